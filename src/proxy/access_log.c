/*
 * One line an exchange. access_rows[] says what stands in it and in which order; a row that has nothing to
 * say is left out. What clients send is escaped and cut, so a line is one line and never longer than
 * ACCESS_LINE_MAX. No allocation for a line; writing is the log thread's.
 */
#include "proxy/access_log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log_writer.h"
#include "base/text.h"
#include "config/config.h"
#include "http/exchange.h"
#include "proxy/snapshot.h"

/* Bytes a value may take once escaped. Together with the rest they stay under ACCESS_LINE_MAX. */
enum {
    ROOM_NAME = 128,
    ROOM_TOKEN = 192,
    ROOM_HOST = 272,
    ROOM_AGENT = 512,
    ROOM_READING = 512,
    ROOM_REFERER = 1024,
    ROOM_PATH = 1536,
    ROOM_QUERY = 1536,
    ROOM_FAILED = 512
};

struct access_line {
    struct text text;
    const struct exchange *exchange;
    const struct access_facts *facts;
    uint64_t wall_us;
    struct span key; /* of the row being written, with what stands before and after it */
    bool json;
};
struct access_row {
    const char *name;
    void (*write)(struct access_line *line);
};

/* ---- values ---- */

static void value_json(struct text *to, struct span value)
{
    json_text_string(to, value);
}

static bool is_plain(struct span value)
{
    for (size_t i = 0; i < value.length; i++)
        if (value.at[i] <= ' ' || value.at[i] > '~' || value.at[i] == '"' || value.at[i] == '=' ||
            value.at[i] == '\\')
            return false;
    return value.length != 0;
}

static void value_logfmt(struct text *to, struct span value)
{
    if (is_plain(value)) {
        text_add(to, value);
        return;
    }
    json_text_string(to, value); /* readers of logfmt take the escapes of JSON */
}

/* A value in at most `room` bytes. One that does not fit is cut so far that it fits even if each byte takes
 * six (\u00XX). */
static void line_value(struct access_line *line, struct span value, size_t room)
{
    void (*print)(struct text *, struct span) = line->json ? value_json : value_logfmt;
    size_t left = line->text.room - line->text.length;
    struct text window = text_over(line->text.at + line->text.length, room < left ? room : left);
    print(&window, value);
    if (window.cut) {
        window = text_over(window.at, window.room);
        print(&window, span_first(value, window.room > 3 ? (window.room - 3) / 6 : 0));
    }
    line->text.length += window.length;
}

static void line_string(struct access_line *line, struct span value, size_t room)
{
    if (value.length == 0)
        return;
    text_add(&line->text, line->key);
    line_value(line, value, room);
}

static void line_number(struct access_line *line, uint64_t value)
{
    text_add(&line->text, line->key);
    text_number(&line->text, value);
}

static void line_true(struct access_line *line, bool value)
{
    if (!value)
        return;
    text_add(&line->text, line->key);
    text_add(&line->text, SPAN("true"));
}

/* Milliseconds with three decimals between two readings, when both were taken. */
static void line_time(struct access_line *line, uint64_t from, uint64_t to)
{
    if (from == 0 || to < from)
        return;
    uint64_t took = to - from;
    char decimals[4] = {'.', (char)('0' + took / 100 % 10), (char)('0' + took / 10 % 10),
                        (char)('0' + took % 10)};
    line_number(line, took / 1000);
    text_add(&line->text, span_make(decimals, sizeof(decimals)));
}

static void line_field(struct access_line *line, enum field_id id, size_t room)
{
    const struct field *field = fields_find(&line->exchange->request.fields, (uint16_t)id);
    if (field != NULL)
        line_string(line, field->value, room);
}

/* ---- rows ---- */

static void write_time(struct access_line *line)
{
    char text[25];
    clock_print(text, line->wall_us);
    line_string(line, span_make(text, 24), ROOM_NAME);
}

static void write_id(struct access_line *line)
{
    line_string(line, line->exchange->request_id, ROOM_TOKEN);
}

static void write_listener(struct access_line *line)
{
    line_string(line, line->exchange->local, ROOM_NAME);
}

static void write_client(struct access_line *line)
{
    char text[ADDRESS_TEXT_MAX];
    line_string(line, ip_address_print(&line->exchange->client, text), ROOM_NAME);
}

/* Only when somebody stands between the client and weir. */
static void write_peer(struct access_line *line)
{
    char text[ADDRESS_TEXT_MAX];
    if (!ip_address_equal(&line->exchange->client, &line->exchange->peer))
        line_string(line, ip_address_print(&line->exchange->peer, text), ROOM_NAME);
}

static void write_method(struct access_line *line)
{
    line_string(line, line->exchange->request.line.request.method_name, ROOM_TOKEN);
}

static void write_host(struct access_line *line)
{
    const struct exchange *x = line->exchange;
    line_string(line, x->target.host.length != 0 ? x->target.host : x->request.line.request.authority,
                ROOM_HOST);
}

/* As it was routed: filters may have rewritten the request's own path meanwhile. */
static void write_path(struct access_line *line)
{
    const struct exchange *x = line->exchange;
    line_string(line, x->target.path.length != 0 ? x->target.path : x->request.line.request.path, ROOM_PATH);
}

static void write_query(struct access_line *line)
{
    const struct exchange *x = line->exchange;
    line_string(line, x->target.path.length != 0 ? x->target.query : x->request.line.request.query,
                ROOM_QUERY);
}

static void write_protocol(struct access_line *line)
{
    const struct head *request = &line->exchange->request;
    if (request->line.request.method_name.length == 0)
        return;
    line_string(line,
                line->exchange->http2         ? SPAN("HTTP/2")
                : request->minor_version == 0 ? SPAN("HTTP/1.0")
                                              : SPAN("HTTP/1.1"),
                ROOM_TOKEN);
}

static void write_status(struct access_line *line)
{
    unsigned status = line->facts->status;
    /* Who went away was sent none; 499 is what logs call that since nginx. */
    if (status == 0 && line->exchange->failure == FAILURE_CLIENT_CLOSED)
        status = failure_info[FAILURE_CLIENT_CLOSED].status;
    if (status != 0)
        line_number(line, status);
}

/* A number of at most three digits, or what it says is left out: there is none other. */
static void write_grpc_status(struct access_line *line)
{
    struct span value = line->facts->grpc_status;
    uint64_t number = 0;
    if (value.length == 0 || value.length > 3)
        return;
    for (size_t i = 0; i < value.length; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return;
        number = number * 10 + (uint64_t)(value.at[i] - '0');
    }
    line_number(line, number);
}

static void write_bytes_in(struct access_line *line)
{
    line_number(line, line->exchange->bytes_in);
}

static void write_bytes_out(struct access_line *line)
{
    line_number(line, line->exchange->bytes_out);
}

static void write_route(struct access_line *line)
{
    const char *name = line->facts->plan != NULL ? line->facts->plan->name : line->exchange->route_name;
    line_string(line, span_of(name), ROOM_NAME);
}

static void write_read_as(struct access_line *line)
{
    line_string(line, line->exchange->misreading.path, ROOM_READING);
}

static void write_other_route(struct access_line *line)
{
    line_string(line, span_of(line->exchange->misreading.route), ROOM_NAME);
}

static void write_pool(struct access_line *line)
{
    line_string(line, span_of(line->facts->pool), ROOM_NAME);
}

static void write_server(struct access_line *line)
{
    line_string(line, span_of(line->facts->server), ROOM_NAME);
}

static void write_server_protocol(struct access_line *line)
{
    line_string(line, span_of(line->facts->server_protocol), ROOM_TOKEN);
}

static void write_attempts(struct access_line *line)
{
    if (line->exchange->attempts != 0)
        line_number(line, line->exchange->attempts);
}

/* a:connect_refused,b:... in one value */
static void failed_logfmt(struct access_line *line)
{
    char memory[ROOM_FAILED];
    struct text text = text_over(memory, sizeof memory);
    for (unsigned i = 0; i < line->facts->attempts_count; i++)
        text_print(&text, "%s%.*s:%s", i != 0 ? "," : "", ROOM_NAME / 4, line->facts->attempts[i].server,
                   line->facts->attempts[i].failure);
    line_string(line, text_span(&text), ROOM_FAILED);
}

/* [{"server":"a","failure":"connect_refused"}] */
static void failed_json(struct access_line *line)
{
    text_add(&line->text, line->key);
    text_char(&line->text, '[');
    for (unsigned i = 0; i < line->facts->attempts_count; i++) {
        text_add(&line->text, i != 0 ? SPAN(",{\"server\":") : SPAN("{\"server\":"));
        line_value(line, span_of(line->facts->attempts[i].server), ROOM_NAME);
        text_add(&line->text, SPAN(",\"failure\":"));
        line_value(line, span_of(line->facts->attempts[i].failure), ROOM_NAME);
        text_char(&line->text, '}');
    }
    text_char(&line->text, ']');
}

static void write_failed(struct access_line *line)
{
    if (line->facts->attempts_count == 0)
        return;
    if (line->json)
        failed_json(line);
    else
        failed_logfmt(line);
}

static void write_servers_out(struct access_line *line)
{
    line_string(line, line->facts->servers_out, ROOM_HOST);
}

static void write_reused(struct access_line *line)
{
    line_true(line, line->facts->upstream_reused);
}

static void write_replayed(struct access_line *line)
{
    line_true(line, line->facts->replayed);
}

static void write_failure(struct access_line *line)
{
    if (line->exchange->failure != FAILURE_NONE)
        line_string(line, span_of(failure_info[line->exchange->failure].word), ROOM_TOKEN);
}

static void write_failure_of(struct access_line *line)
{
    if (line->exchange->failure == FAILURE_NONE)
        return;
    char whose = failure_info[line->exchange->failure].whose;
    line_string(line,
                whose == 'C'   ? SPAN("client")
                : whose == 'S' ? SPAN("server")
                               : SPAN("weir"),
                ROOM_TOKEN);
}

/* From the first byte of the request until its route was found: what the client took to send the head. */
static void write_route_ms(struct access_line *line)
{
    line_time(line, line->exchange->times.began, line->exchange->times.routed);
}

/* Filters, the queue of the pool, and connecting, of the last attempt. */
static void write_connect_ms(struct access_line *line)
{
    line_time(line, line->exchange->times.routed, line->exchange->times.connected);
}

static void write_first_byte_ms(struct access_line *line)
{
    line_time(line, line->exchange->times.connected, line->exchange->times.answered);
}

static void write_total_ms(struct access_line *line)
{
    line_time(line, line->exchange->times.began, line->exchange->times.ended);
}

static void write_tls(struct access_line *line)
{
    line_string(line, line->exchange->tls_version, ROOM_TOKEN);
}

static void write_sni(struct access_line *line)
{
    line_string(line, line->exchange->server_name, ROOM_HOST);
}

static void write_user_agent(struct access_line *line)
{
    line_field(line, FIELD_USER_AGENT, ROOM_AGENT);
}

static void write_referer(struct access_line *line)
{
    line_field(line, FIELD_REFERER, ROOM_REFERER);
}

static const struct access_row access_rows[] = {
    {"time", write_time},
    {"id", write_id},
    {"listener", write_listener},
    {"client", write_client},
    {"peer", write_peer},
    {"method", write_method},
    {"host", write_host},
    {"path", write_path},
    {"query", write_query},
    {"protocol", write_protocol},
    {"status", write_status},
    {"grpc_status", write_grpc_status},
    {"bytes_in", write_bytes_in},
    {"bytes_out", write_bytes_out},
    {"route", write_route},
    {"read_as", write_read_as},
    {"other_route", write_other_route},
    {"pool", write_pool},
    {"server", write_server},
    {"server_protocol", write_server_protocol},
    {"attempts", write_attempts},
    {"failed", write_failed},
    {"servers_out", write_servers_out},
    {"reused", write_reused},
    {"replayed", write_replayed},
    {"failure", write_failure},
    {"failure_of", write_failure_of},
    {"route_ms", write_route_ms},
    {"connect_ms", write_connect_ms},
    {"first_byte_ms", write_first_byte_ms},
    {"total_ms", write_total_ms},
    {"tls", write_tls},
    {"sni", write_sni},
    {"user_agent", write_user_agent},
    {"referer", write_referer},
};

/* ---- the line ---- */

struct access_log {
    bool json;
    /* each with what stands before and after it in its format, in `memory` */
    struct span keys[COUNT_OF(access_rows)];
    struct text memory;
};

struct access_log *access_log_new(const struct access_log_config *config)
{
    struct access_log *log = xcalloc(1, sizeof(*log));
    size_t ends[COUNT_OF(access_rows)];
    log->json = config->format == ACCESS_LOG_JSON;
    log->memory = text_growing();
    for (size_t i = 0; i < COUNT_OF(access_rows); i++) {
        if (log->json)
            text_print(&log->memory, "%c\"%s\":", i == 0 ? '{' : ',', access_rows[i].name);
        else
            text_print(&log->memory, "%s%s=", i == 0 ? "" : " ", access_rows[i].name);
        ends[i] = log->memory.length;
    }
    for (size_t i = 0, begin = 0; i < COUNT_OF(access_rows); begin = ends[i++])
        log->keys[i] = span_make(log->memory.at + begin, ends[i] - begin);
    return log;
}

void access_log_free(struct access_log *log)
{
    if (log == NULL)
        return;
    text_free(&log->memory);
    free(log);
}

struct span access_log_print(const struct access_log *log, struct exchange *exchange,
                             const struct access_facts *facts, uint64_t wall_us, char memory[ACCESS_LINE_MAX])
{
    (void)exchange_request_id(exchange);
    struct access_line line = {.text = text_over(memory, ACCESS_LINE_MAX),
                               .exchange = exchange,
                               .facts = facts,
                               .wall_us = wall_us,
                               .json = log->json};
    for (size_t i = 0; i < COUNT_OF(access_rows); i++) {
        line.key = log->keys[i];
        access_rows[i].write(&line);
    }
    text_add(&line.text, log->json ? SPAN("}\n") : SPAN("\n"));
    assert(!line.text.cut);
    return text_span(&line.text);
}

void access_log_write(const struct access_log *log, struct exchange *exchange,
                      const struct access_facts *facts)
{
    char memory[ACCESS_LINE_MAX];
    /* A full ring drops the line; the log counts it. */
    if (!log_line(LOG_TARGET_ACCESS, access_log_print(log, exchange, facts, clock_wall_us(), memory)))
        return;
}
