/* Fields at the border. First everything hop by hop goes, only then weir adds its own: so a client can strip
 * nothing that weir asserts. */
#include "proxy/forwarded.h"

#include <string.h>

#include "base/arena.h"
#include "http/exchange.h"
#include "http/head.h"
#include "http/stream.h"
#include "net/address.h"
#include "proxy/snapshot.h"

#define NAMED_MOST 32 /* names that a Connection field may list */

/* What Connection can't name away: framing, Host, and what weir or an earlier trusted hop asserts. */
static bool field_is_protected(uint16_t id)
{
    switch (id) {
    case FIELD_HOST:
    case FIELD_CONTENT_LENGTH:
    case FIELD_VIA:
    case FIELD_FORWARDED:
    case FIELD_X_FORWARDED_FOR:
    case FIELD_X_FORWARDED_PROTO:
    case FIELD_X_FORWARDED_HOST:
    case FIELD_X_FORWARDED_PORT:
    case FIELD_X_REAL_IP:
    case FIELD_X_REQUEST_ID:
        return true;
    default:
        return false;
    }
}

bool forwarded_is_attempt(struct span name)
{
    return span_equal_nocase(name, SPAN("x-attempt")) ||
           span_equal_nocase(name, SPAN("x-envoy-attempt-count"));
}

/* What tells who the client is, or how often it asked. */
static bool field_is_claim(const struct field *field)
{
    struct span name = field->name;
    if (field->id == FIELD_FORWARDED || field->id == FIELD_X_REAL_IP)
        return true;
    if ((name.at[0] | 0x20) != 'x' || name.length < 9)
        return false;
    return (name.length > 12 && span_equal_nocase(span_first(name, 12), SPAN("x-forwarded-"))) ||
           forwarded_is_attempt(name);
}

/* Names of end-to-end fields that Connection lists, into names; most messages list none. More than
 * NAMED_MOST: there are more. */
static unsigned named_by_connection(const struct fields *fields, struct span names[NAMED_MOST])
{
    unsigned count = 0;
    for (uint16_t i = 0; i < fields->count; i++) {
        if (fields->items[i].id != FIELD_CONNECTION)
            continue;
        struct span rest = fields->items[i].value, name;
        while (span_next_element(&rest, &name)) {
            uint16_t id = field_id(name);
            if (name.length == 0 || field_is_hop(id) || field_is_protected(id) ||
                span_equal_nocase(name, SPAN("close")))
                continue;
            if (count == NAMED_MOST)
                return NAMED_MOST + 1;
            names[count++] = name;
        }
    }
    return count;
}

static bool name_is_among(struct span name, const struct field_names *names)
{
    for (unsigned i = 0; i < names->count; i++)
        if (span_equal_nocase(name, names->items[i]))
            return true;
    return false;
}

static bool keep_names(struct head *head, const struct span *names, unsigned count, struct arena *arena)
{
    struct field_names *kept = arena_get(arena, sizeof *kept + count * sizeof *names);
    if (kept == NULL)
        return false;
    kept->count = count;
    memcpy(kept->items, names, count * sizeof *names);
    head->named = kept;
    return true;
}

enum failure forwarded_strip(struct head *head, struct arena *arena)
{
    struct span names[NAMED_MOST];
    struct fields *fields = &head->fields;
    unsigned named = named_by_connection(fields, names);
    if (named > NAMED_MOST)
        return FAILURE_BAD_REQUEST;
    if (named != 0 && !keep_names(head, names, named, arena))
        return FAILURE_OVERLOADED;
    uint16_t kept = 0;
    for (uint16_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (field_is_hop(field->id) || (named != 0 && name_is_among(field->name, head->named)))
            continue;
        if (kept != i)
            fields->items[kept] = *field;
        kept++;
    }
    fields->count = kept;
    return FAILURE_NONE;
}

void forwarded_strip_trailers(struct fields *trailers, const struct field_names *named)
{
    uint16_t kept = 0;
    for (uint16_t i = 0; i < trailers->count; i++) {
        const struct field *field = &trailers->items[i];
        if (field_may_trail(field->id) && !field_is_claim(field) &&
            (named == NULL || !name_is_among(field->name, named)))
            trailers->items[kept++] = *field;
    }
    trailers->count = kept;
}

static bool is_trusted(const struct snapshot *snapshot, const struct ip_address *ip)
{
    if (ip->family == AF_UNIX)
        return snapshot->trust_unix;
    return snapshot->trusted.count != 0 && networks_contain(&snapshot->trusted, ip);
}

/* The value of for= in one element of Forwarded, without quotes; empty when there is none (RFC 7239 4). */
static struct span forwarded_for(struct span element)
{
    while (element.length != 0) {
        size_t end = span_find(element, ';');
        struct span pair = span_trim(span_first(element, end));
        element = end == element.length ? SPAN_NONE : span_skip(element, end + 1);
        if (pair.length < 4 || !span_equal_nocase(span_first(pair, 4), SPAN("for=")))
            continue;
        struct span value = span_skip(pair, 4);
        if (value.length >= 2 && value.at[0] == '"' && value.at[value.length - 1] == '"')
            value = span_make(value.at + 1, value.length - 2);
        return value;
    }
    return SPAN_NONE;
}

/* Cuts the last element off a comma-separated list. */
static struct span cut_last(struct span *list)
{
    size_t i = list->length;
    while (i > 0 && list->at[i - 1] != ',')
        i--;
    struct span last = span_trim(span_skip(*list, i));
    *list = span_first(*list, i > 0 ? i - 1 : 0);
    return last;
}

/* Walks the lines of one field from the last to the first, each from the right, while the address found is
 * trusted. */
static void walk_client(struct exchange *exchange, const struct snapshot *snapshot, uint16_t id)
{
    const struct fields *fields = &exchange->request.fields;
    for (uint16_t i = fields->count; i-- > 0;) {
        if (fields->items[i].id != id)
            continue;
        struct span list = fields->items[i].value;
        while (list.length != 0) {
            struct span element = cut_last(&list);
            struct ip_address ip;
            if (!ip_address_parse(&ip, id == FIELD_FORWARDED ? forwarded_for(element) : element))
                return;
            exchange->client = ip;
            if (!is_trusted(snapshot, &ip))
                return;
        }
    }
}

void forwarded_find_client(struct exchange *exchange, const struct snapshot *snapshot)
{
    exchange->client = exchange->peer;
    exchange->peer_trusted = is_trusted(snapshot, &exchange->peer);
    if (!exchange->peer_trusted)
        return;
    bool has_list = fields_find(&exchange->request.fields, FIELD_X_FORWARDED_FOR) != NULL;
    walk_client(exchange, snapshot, has_list ? FIELD_X_FORWARDED_FOR : FIELD_FORWARDED);
}

/* All values of one field and then `more`, joined by ", " into one line; the old lines go. */
static struct span join_values(struct exchange *exchange, uint16_t id, struct span more)
{
    struct fields *fields = &exchange->request.fields;
    size_t length = more.length;
    for (uint16_t i = 0; i < fields->count; i++)
        if (fields->items[i].id == id)
            length += fields->items[i].value.length + 2;
    char *at = arena_get_bytes(exchange->arena, length + 1);
    if (at == NULL)
        return SPAN_NONE;
    char *to = at;
    for (uint16_t i = 0; i < fields->count; i++) {
        struct span value = fields->items[i].value;
        if (fields->items[i].id != id || value.length == 0)
            continue;
        memcpy(to, value.at, value.length);
        memcpy(to + value.length, ", ", 2);
        to += value.length + 2;
    }
    memcpy(to, more.at, more.length);
    fields_remove(fields, id);
    return span_make(at, (size_t)(to - at) + more.length);
}

static bool add(struct exchange *exchange, uint16_t id, struct span value)
{
    return value.at != NULL &&
           fields_add(&exchange->request.fields, exchange->arena, field_names[id], value, id);
}

/* An untrusted peer's word is dropped on who it speaks for (the known names and everything that begins with
 * X-Forwarded-), and on how often. */
static void remove_claims(struct fields *fields)
{
    uint16_t kept = 0;
    for (uint16_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (field_is_claim(field))
            continue;
        if (kept != i)
            fields->items[kept] = *field;
        kept++;
    }
    fields->count = kept;
}

/* for=1.2.3.4;proto=https;host="a.test:8443" (RFC 7239 4: IPv6 in brackets and quotes). The host is quoted:
 * it may hold a colon. Once a request, so without printf, which costs a tenth of all that a request does
 * here. */
static struct span forwarded_entry(struct exchange *exchange, struct span ip, struct span scheme)
{
    struct span host = exchange->request.line.request.authority;
    bool quoted = exchange->peer.family == AF_INET6, named = host.length != 0;
    const struct span parts[] = {
        SPAN("for="),
        quoted ? SPAN("\"[") : SPAN(""),
        ip,
        quoted ? SPAN("]\"") : SPAN(""),
        SPAN(";proto="),
        scheme,
        named ? SPAN(";host=\"") : SPAN(""),
        host,
        named ? SPAN("\"") : SPAN(""),
    };
    size_t length = 0;
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        length += parts[i].length;
    char *at = arena_get_bytes(exchange->arena, length), *to = at;
    for (size_t i = 0; at != NULL && i < COUNT_OF(parts); i++)
        if (parts[i].length != 0)
            to = (char *)memcpy(to, parts[i].at, parts[i].length) + parts[i].length;
    return at != NULL ? span_make(at, length) : SPAN_NONE;
}

/* The version that the message came in (RFC 9110 7.6.3). */
static struct span via_entry(bool http2)
{
    return http2 ? SPAN("2.0 weir") : SPAN("1.1 weir");
}

bool forwarded_add(struct exchange *exchange)
{
    struct fields *fields = &exchange->request.fields;
    char text[ADDRESS_TEXT_MAX];
    struct span ip = ip_address_print(&exchange->peer, text);
    if (exchange->peer.family == AF_UNIX || exchange->peer.family == 0)
        ip = SPAN("unknown"); /* RFC 7239 6.2 */
    struct span scheme = exchange->tls ? SPAN("https") : SPAN("http");
    struct span entry = forwarded_entry(exchange, ip, scheme);
    struct span own_ip = arena_copy(exchange->arena, ip);
    struct span id = exchange_request_id(exchange);
    fields_remove(fields, FIELD_X_REQUEST_ID); /* a trusted peer's own is what exchange_request_id() gave */
    if (entry.at == NULL || own_ip.at == NULL)
        return false;
    bool known_proto = false, known_host = false;
    if (exchange->peer_trusted) {
        own_ip = join_values(exchange, FIELD_X_FORWARDED_FOR, own_ip);
        entry = join_values(exchange, FIELD_FORWARDED, entry);
        known_proto = fields_find(fields, FIELD_X_FORWARDED_PROTO) != NULL;
        known_host = fields_find(fields, FIELD_X_FORWARDED_HOST) != NULL;
    } else {
        remove_claims(fields);
    }
    struct span host = exchange->request.line.request.authority;
    return add(exchange, FIELD_X_FORWARDED_FOR, own_ip) &&
           (known_proto || add(exchange, FIELD_X_FORWARDED_PROTO, scheme)) &&
           (known_host || host.length == 0 || add(exchange, FIELD_X_FORWARDED_HOST, host)) &&
           add(exchange, FIELD_FORWARDED, entry) && add(exchange, FIELD_X_REQUEST_ID, id) &&
           add(exchange, FIELD_VIA, via_entry(exchange->http2));
}

bool forwarded_add_response(struct exchange *exchange)
{
    return fields_add(&exchange->response.fields, exchange->arena, field_names[FIELD_VIA],
                      via_entry(exchange->upstream->http2), FIELD_VIA);
}
