/*
 * Fields both ways. What the library has let pass of a request is well formed (RFC 9113 8.2, 8.3: lower-case
 * names, known pseudo-fields, once and first, no connection fields); of a response that is looked at here.
 * What makes a head acceptable besides is held to the same rules as HTTP/1's (head_check.h).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "config/config.h"
#include "config/field_names.h"
#include "http/h2.h"
#include "http/target.h"

#define NAMES_ON_STACK 64u
#define BOMB 4u   /* times the limit: up to there a head is read to its end, and answered */
#define CRUMBS 2u /* crumbs of cookies to a field of limits.fields */

/* ---- received ---- */

bool h2_reading_begin(struct h2_stream *stream, bool trailers)
{
    if (stream->reading == NULL &&
        (stream->reading = arena_get(stream->stream.arena, sizeof *stream->reading)) == NULL)
        return false;
    *stream->reading = (struct h2_reading){.trailers = trailers};
    return true;
}

static enum failure too_large(const struct h2_conn *conn)
{
    return conn->conn.role == HTTP_SERVER ? FAILURE_FIELDS_TOO_LARGE : FAILURE_RESPONSE_TOO_LARGE;
}

/* The request line that HTTP/1 would have for it: method, target, version, two blanks. */
static bool line_is_too_long(const struct limits_config *limits, struct h2_reading *reading, struct span name,
                             struct span value)
{
    if (!span_is(name, ":path") && !span_is(name, ":method"))
        return false;
    reading->line += value.length;
    return reading->line + sizeof "  HTTP/1.1" - 1 > limits->request_line;
}

/* Over a limit: the verdict, with nothing kept. A crumb of a cookie (RFC 9113 8.2.3) is no field of its own,
 * but costs one to keep. */
static enum failure over_limit(const struct h2_conn *conn, struct h2_reading *reading, struct span name,
                               struct span value)
{
    const struct limits_config *limits = conn->settings->limits;
    bool server = conn->conn.role == HTTP_SERVER;
    size_t most = server ? limits->header_list : limits->response_head;
    /* a server's fields are its own affair up to ten times a client's */
    unsigned fields_most = (unsigned)limits->fields * (server ? 1u : 10u);
    bool pseudo = name.at[0] == ':';
    if (server && pseudo && line_is_too_long(limits, reading, name, value))
        return FAILURE_TARGET_TOO_LONG;
    if (reading->size > most)
        return too_large(conn);
    if (pseudo)
        return FAILURE_NONE;
    bool over =
        span_is(name, "cookie") ? ++reading->crumbs > CRUMBS * fields_most : ++reading->fields > fields_most;
    return over ? too_large(conn) : FAILURE_NONE;
}

static void take_pseudo(struct h2_stream *stream, struct span name, struct span value)
{
    struct h2_reading *reading = stream->reading;
    struct head *head = &reading->head;
    struct span copy = arena_copy(stream->stream.arena, value);
    if (copy.at == NULL) {
        reading->why = FAILURE_OVERLOADED;
    } else if (span_is(name, ":method")) {
        head->line.request.method_name = copy;
        head->line.request.method = method_of(copy);
    } else if (span_is(name, ":path")) {
        reading->path = copy;
    } else if (span_is(name, ":authority")) {
        reading->authority = copy;
    } else if (span_is(name, ":scheme")) {
        reading->scheme = copy;
    } else if (span_is(name, ":protocol")) {
        reading->protocol = copy;
    } else if (span_is(name, ":status")) {
        for (size_t i = 0; i < copy.length && i < 3; i++)
            head->line.response.status = (uint16_t)(head->line.response.status * 10 + (copy.at[i] - '0'));
    }
}

/* Names of the table are known without a copy, in the case that HTTP/1 writes them. */
static bool copy_field(struct h2_stream *stream, struct span name, struct span value, struct field *field)
{
    field->id = field_id(name);
    size_t name_length = field->id == FIELD_OTHER ? name.length : 0;
    char *at = arena_get_bytes(stream->stream.arena, name_length + value.length + 1);
    if (at == NULL)
        return false;
    if (name_length != 0)
        memcpy(at, name.at, name_length);
    if (value.length != 0)
        memcpy(at + name_length, value.at, value.length);
    field->name = field->id == FIELD_OTHER ? span_make(at, name_length) : field_names[field->id];
    field->value = span_make(at + name_length, value.length);
    return true;
}

static bool is_dropped(const struct h2_conn *conn, struct span name, uint16_t id)
{
    return conn->conn.role == HTTP_SERVER && id == FIELD_OTHER && !field_name_is_plain(name) &&
           name_is_dropped(name, conn->settings->limits);
}

/* ---- responses: the library would end the stream for what harms nobody, such as a length in a 103, so it
 * lets all pass ---- */

/* RFC 9113 8.3: :status alone, once, before the others, and not in trailers. */
static bool status_is_good(const struct h2_reading *reading, struct span name, struct span value)
{
    if (!span_is(name, ":status") || reading->trailers || reading->past_pseudo ||
        reading->head.line.response.status != 0 || value.length != 3)
        return false;
    for (size_t i = 0; i < value.length; i++)
        if (value.at[i] < '0' || value.at[i] > '9')
            return false;
    return true;
}

/* RFC 9113 8.2.2; they would mean a connection of HTTP/1. */
static bool is_of_connection(struct span name, struct span value)
{
    static const char *const names[] = {"connection", "keep-alive", "proxy-connection", "transfer-encoding",
                                        "upgrade"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (span_is(name, names[i]))
            return true;
    return span_is(name, "te") && !span_equal_nocase(value, SPAN("trailers"));
}

/* One number: no second one, and no list. */
static bool length_is_good(const struct h2_reading *reading, struct span value)
{
    for (size_t i = 0; i < value.length; i++)
        if (value.at[i] < '0' || value.at[i] > '9')
            return false;
    return value.length != 0 && !reading->check.has_length && !reading->check.bad_length;
}

static bool response_field_is_good(struct h2_reading *reading, struct span name, struct span value)
{
    const uint8_t *bytes = (const uint8_t *)name.at, *text = (const uint8_t *)value.at;
    if (name.length == 0)
        return false;
    if (name.at[0] == ':')
        return status_is_good(reading, name, value);
    reading->past_pseudo = true;
    return nghttp2_check_header_name(bytes, name.length) != 0 &&
           nghttp2_check_header_value_rfc9113(text, value.length) != 0 && !is_of_connection(name, value) &&
           (!span_is(name, "content-length") || length_is_good(reading, value));
}

/* Where a length says nothing (RFC 9110 8.6), and none goes on. */
static bool length_is_idle(const struct h2_reading *reading, struct span name)
{
    unsigned status = reading->head.line.response.status;
    return span_is(name, "content-length") && !reading->trailers && (status < 200 || status == 204);
}

/* False: nothing of it is to be kept. */
static bool look_at_response(struct h2_reading *reading, struct span name, struct span value)
{
    if (response_field_is_good(reading, name, value))
        return !length_is_idle(reading, name);
    reading->why = FAILURE_RESPONSE_INVALID;
    return false;
}

/* ---- any field ---- */

void h2_reading_field(struct h2_stream *stream, struct span name, struct span value, bool never_indexed)
{
    struct h2_conn *conn = stream->conn;
    struct h2_reading *reading = stream->reading;
    reading->size += name.length + value.length + 4;
    if (reading->why != FAILURE_NONE ||
        (conn->conn.role == HTTP_CLIENT && !look_at_response(reading, name, value)))
        return;
    reading->why = over_limit(conn, reading, name, value);
    if (reading->why != FAILURE_NONE)
        return;
    if (name.at[0] == ':') {
        take_pseudo(stream, name, value);
        return;
    }
    struct field field;
    if (!copy_field(stream, name, value, &field)) {
        reading->why = FAILURE_OVERLOADED;
        return;
    }
    if (is_dropped(conn, name, field.id) || !head_check_note(&reading->check, &field, &reading->head))
        return;
    struct fields *fields = &reading->head.fields;
    if (!fields_add(fields, stream->stream.arena, field.name, field.value, field.id))
        reading->why = too_large(conn);
    else
        fields->items[fields->count - 1].never_indexed = never_indexed;
}

bool h2_reading_is_bomb(const struct h2_stream *stream)
{
    const struct limits_config *limits = stream->conn->settings->limits;
    size_t most = stream->conn->conn.role == HTTP_SERVER ? limits->header_list : limits->response_head;
    return stream->reading->why != FAILURE_NONE && stream->reading->size > BOMB * most;
}

/* An empty one adds nothing: with "; " behind the others the value would end with a blank, which is malformed
 * (RFC 9113 8.2.1). */
static size_t put_crumb(char *to, bool first, struct span crumb)
{
    size_t length = 0;
    if (crumb.length == 0)
        return 0;
    if (!first) {
        memcpy(to, "; ", 2);
        length = 2;
    }
    memcpy(to + length, crumb.at, crumb.length);
    return length + crumb.length;
}

/* Crumbs of a cookie are one field again (RFC 9113 8.2.3): HTTP/1 servers expect one, and h2 ones may. */
static bool join_cookies(struct fields *fields, struct arena *arena)
{
    size_t size = 0;
    unsigned count = 0;
    for (uint16_t i = 0; i < fields->count; i++) {
        if (fields->items[i].id != FIELD_COOKIE)
            continue;
        size += fields->items[i].value.length + 2;
        count++;
    }
    if (count < 2)
        return true;
    char *text = arena_get_bytes(arena, size);
    if (text == NULL)
        return false;
    uint16_t kept = 0;
    struct field *first = NULL;
    size_t length = 0;
    for (uint16_t i = 0; i < fields->count; i++) {
        struct field field = fields->items[i];
        if (field.id == FIELD_COOKIE) {
            length += put_crumb(text + length, length == 0, field.value);
            if (first != NULL) {
                first->never_indexed = first->never_indexed || field.never_indexed;
                continue;
            }
            first = &fields->items[kept];
        }
        fields->items[kept++] = field;
    }
    first->value = span_make(text, length);
    fields->count = kept;
    return true;
}

static uint16_t default_port(struct span scheme)
{
    return span_equal_nocase(scheme, SPAN("http")) ? 80 : span_equal_nocase(scheme, SPAN("https")) ? 443 : 0;
}

/* :authority and Host say the same, or one of them says it (RFC 9113 8.3.1). */
static enum failure check_authority(struct h2_reading *reading)
{
    struct head_check *check = &reading->check;
    if (reading->authority.at == NULL)
        return FAILURE_NONE;
    if (check->host_count > 1 ||
        (check->host_count == 1 &&
         !authority_is_same(check->host, reading->authority, default_port(reading->scheme))))
        return FAILURE_BAD_HOST;
    check->host_count = 1;
    check->host = reading->authority;
    return FAILURE_NONE;
}

static enum failure check_target(struct h2_reading *reading)
{
    struct head *head = &reading->head;
    struct span path = reading->path;
    bool connect = head->line.request.method == METHOD_CONNECT;
    if (connect && reading->protocol.at == NULL)
        return FAILURE_NONE; /* it has neither scheme nor path (RFC 9113 8.5) */
    if (!span_equal_nocase(reading->scheme, SPAN("http")) &&
        !span_equal_nocase(reading->scheme, SPAN("https")))
        return FAILURE_BAD_TARGET;
    bool asterisk = head->line.request.method == METHOD_OPTIONS && span_is(path, "*");
    if (path.length == 0 || (path.at[0] != '/' && !asterisk))
        return FAILURE_BAD_TARGET;
    for (size_t i = 0; i < path.length; i++) {
        unsigned char c = (unsigned char)path.at[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return FAILURE_BAD_TARGET;
    }
    size_t mark = span_find(path, '?');
    head->line.request.path = span_first(path, mark);
    head->line.request.query = mark != path.length ? span_skip(path, mark + 1) : SPAN_NONE;
    return FAILURE_NONE;
}

enum failure h2_reading_request(struct h2_stream *stream, bool ended)
{
    struct h2_reading *reading = stream->reading;
    struct head *head = &reading->head;
    head->minor_version = 1;
    if (reading->why != FAILURE_NONE)
        return reading->why;
    enum failure why = head_check_method(head, stream->conn->settings->limits);
    if (why == FAILURE_NONE)
        why = check_authority(reading);
    if (why == FAILURE_NONE)
        why = check_target(reading);
    if (why == FAILURE_NONE)
        why = head_check_request(&reading->check, head);
    if (why == FAILURE_NONE && !join_cookies(&head->fields, stream->stream.arena))
        why = FAILURE_OVERLOADED;
    head->upgrade = head->line.request.method == METHOD_CONNECT ? reading->protocol : SPAN_NONE;
    if (!head->length_given && !ended && head->line.request.method != METHOD_CONNECT)
        head->body_length = BODY_OF_UNKNOWN_LENGTH;
    return why;
}

enum failure h2_reading_response(struct h2_stream *stream, bool ended)
{
    struct h2_reading *reading = stream->reading;
    struct head *head = &reading->head;
    unsigned status = head->line.response.status;
    head->minor_version = 1;
    head->line.response.reason = status_reason(status);
    if (reading->why != FAILURE_NONE)
        return reading->why;
    if (status < 100 || status == 101)
        return FAILURE_RESPONSE_INVALID;
    enum failure why = head_check_response(&reading->check, head);
    head->upgrade = SPAN_NONE;
    if (ended && !head->length_given)
        head->body_length = BODY_NONE;
    if (stream->tunnel && status / 100 == 2) { /* RFC 8441 5: what HTTP/1 says by 101 */
        head->line.response.status = 101;
        head->line.response.reason = status_reason(101);
        head->upgrade = SPAN("websocket");
        head->body_length = BODY_NONE;
        head->length_given = false;
    }
    return why;
}

/* ---- sent ---- */

/* Name and value pairs for the library, which copies them (and lowers the case of names). */
struct names {
    nghttp2_nv *items;
    size_t count;
    nghttp2_nv few[NAMES_ON_STACK];
};

static bool names_begin(struct names *names, size_t room)
{
    names->count = 0;
    names->items = room <= NAMES_ON_STACK ? names->few : malloc(room * sizeof *names->items);
    return names->items != NULL;
}

static void names_end(struct names *names)
{
    if (names->items != names->few)
        free(names->items);
}

static void names_put(struct names *names, struct span name, struct span value)
{
    names->items[names->count++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.at,
        .namelen = name.length,
        .value = (uint8_t *)(uintptr_t)value.at,
        .valuelen = value.length,
    };
}

/* Of an upgrade, the fields of the HTTP/1 handshake go (RFC 8441 5). */
static void names_put_fields(struct names *names, const struct fields *fields, bool upgrade)
{
    for (uint16_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (field_is_hop(field->id) ||
            (upgrade && (field->id == FIELD_SEC_WEBSOCKET_KEY || field->id == FIELD_SEC_WEBSOCKET_ACCEPT)))
            continue;
        names_put(names, field->name, field->value);
        /* in no table of the next hop either, which is shared by many clients */
        if (field->never_indexed)
            names->items[names->count - 1].flags |= NGHTTP2_NV_FLAG_NO_INDEX;
    }
}

#define NUMBER_ROOM 24

static struct span number_text(char text[NUMBER_ROOM], uint64_t number)
{
    size_t at = NUMBER_ROOM;
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    return span_make(text + at, NUMBER_ROOM - at);
}

#define NAMES_FIXED 8u /* pseudo-fields, content-length and te */

/* Path and query lie together as they were received, unless something was rewritten. */
static struct span whole_path(struct h2_stream *stream, const struct head *head)
{
    struct span path = head->line.request.path, query = head->line.request.query;
    if (query.at == NULL)
        return path;
    if (query.at == path.at + path.length + 1 && path.at[path.length] == '?')
        return span_make(path.at, path.length + 1 + query.length);
    char *text = arena_get_bytes(stream->stream.arena, path.length + 1 + query.length);
    if (text == NULL)
        return SPAN_NONE;
    memcpy(text, path.at, path.length);
    text[path.length] = '?';
    if (query.length != 0)
        memcpy(text + path.length + 1, query.at, query.length);
    return span_make(text, path.length + 1 + query.length);
}

int64_t h2_length_of_request(const struct head *head, bool last)
{
    enum method method = head->line.request.method;
    bool usual_body = method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
    if (head->upgrade.length != 0)
        return -1;
    if (head->body_length > 0)
        return head->body_length;
    return head->length_given || (last && usual_body) ? 0 : -1;
}

int64_t h2_length_of_response(const struct h2_stream *stream, const struct head *head)
{
    unsigned status = head->line.response.status;
    int64_t length = head->body_length > 0 ? head->body_length : 0;
    if (status < 200 || status == 204) /* RFC 9110 8.6: whatever was asked */
        return -1;
    if (stream->head_request || status == 304)
        return head->length_given ? length : -1;
    /* END_STREAM says as much as a length of nothing, and trailers of gRPC are no place for one */
    return head->body_length > 0 || head->length_given ? length : -1;
}

static void put_length(struct names *names, char digits[NUMBER_ROOM], int64_t length)
{
    if (length >= 0)
        names_put(names, SPAN("content-length"), number_text(digits, (uint64_t)length));
}

bool h2_submit_request(struct h2_stream *stream, const struct head *head, bool last)
{
    struct h2_conn *conn = stream->conn;
    struct names names;
    char digits[NUMBER_ROOM];
    struct span path = whole_path(stream, head);
    bool upgrade = head->upgrade.length != 0;
    bool tls = conn->transport->kind->tls;
    if (path.at == NULL || !names_begin(&names, head->fields.count + NAMES_FIXED))
        return false;
    names_put(&names, SPAN(":method"), upgrade ? SPAN("CONNECT") : head->line.request.method_name);
    if (upgrade)
        names_put(&names, SPAN(":protocol"), head->upgrade);
    names_put(&names, SPAN(":scheme"), tls ? SPAN("https") : SPAN("http"));
    names_put(&names, SPAN(":authority"), head->line.request.authority);
    names_put(&names, SPAN(":path"), path);
    names_put_fields(&names, &head->fields, upgrade);
    if (head->accepts_trailers)
        names_put(&names, SPAN("te"), SPAN("trailers"));
    put_length(&names, digits, h2_length_of_request(head, last));
    nghttp2_data_provider body = {.source.ptr = stream, .read_callback = h2_read_body};
    stream->id = nghttp2_submit_request(conn->session, NULL, names.items, names.count,
                                        last && !upgrade ? NULL : &body, stream);
    names_end(&names);
    return stream->id > 0;
}

static void put_status(struct names *names, char text[3], unsigned status)
{
    text[0] = (char)('0' + status / 100 % 10);
    text[1] = (char)('0' + status / 10 % 10);
    text[2] = (char)('0' + status % 10);
    names_put(names, SPAN(":status"), span_make(text, 3));
}

bool h2_submit_response(struct h2_stream *stream, const struct head *head, bool last)
{
    struct names names;
    char status_text[3], digits[NUMBER_ROOM];
    unsigned status = head->line.response.status;
    bool upgrade = status == 101;
    if (!names_begin(&names, head->fields.count + NAMES_FIXED))
        return false;
    put_status(&names, status_text, upgrade ? 200 : status);
    names_put_fields(&names, &head->fields, upgrade);
    put_length(&names, digits, h2_length_of_response(stream, head));
    nghttp2_data_provider body = {.source.ptr = stream, .read_callback = h2_read_body};
    int result = nghttp2_submit_response(stream->conn->session, stream->id, names.items, names.count,
                                         last ? NULL : &body);
    names_end(&names);
    return result == 0;
}

bool h2_submit_interim(struct h2_stream *stream, const struct head *head)
{
    struct names names;
    char status_text[3];
    if (!names_begin(&names, head->fields.count + NAMES_FIXED))
        return false;
    put_status(&names, status_text, head->line.response.status);
    names_put_fields(&names, &head->fields, false);
    int32_t result = nghttp2_submit_headers(stream->conn->session, NGHTTP2_FLAG_NONE, stream->id, NULL,
                                            names.items, names.count, NULL);
    names_end(&names);
    return result == 0;
}

bool h2_submit_trailers(struct h2_stream *stream)
{
    struct names names;
    if (!names_begin(&names, stream->trailers.count + NAMES_FIXED))
        return false;
    names_put_fields(&names, &stream->trailers, false);
    int result = nghttp2_submit_trailer(stream->conn->session, stream->id, names.items, names.count);
    names_end(&names);
    return result == 0;
}
