/*
 * Fuzzes the reading of cookies (filter/key.h, upstream/sticky.h, http/h2_head.c). The first two bytes change
 * a word of a sticky session; then come lines: a name, and Cookie fields. What holds: a cookie is found where
 * a plain reading finds it, whether the fields come as they are, as one, or as crumbs over HTTP/2; and nobody
 * has a word that weir has not given.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "config/config.h"
#include "filter/key.h"
#include "fuzz.h"
#include "fuzz_loop.h"
#include "http/exchange.h"
#include "http/form.h"
#include "http/http_conn.h"
#include "http/stream.h"
#include "net/transport.h"
#include "proxy/shared_state.h"
#include "proxy/snapshot.h"
#include "schema/schema_report.h"
#include "upstream/pool.h"
#include "upstream/sticky.h"

#define ARENA ((size_t)1 << 20)
#define NOON UINT64_C(1700000000000000) /* microseconds */
#define FIELDS_MOST 100u

static const char file[] =
    "listeners: [ \"127.0.0.1:31080\" ]\nroutes: [ { pool: app } ]\n"
    "pools: { app: { servers: [127.0.0.1:1, 127.0.0.1:2], sticky: { secrets: \"sixteen bytes or more\" } } "
    "}\n";
static struct shared_state *shared;
static struct snapshot *snapshot;

static void end(void)
{
    snapshot_release(snapshot);
    shared_state_free(shared);
}

static void begin(void)
{
    struct error error = {.text = ""};
    if (snapshot != NULL)
        return;
    struct schema_report *report = schema_report_new();
    struct config *config = config_load_text("fuzz.yaml", file, sizeof file - 1, report);
    schema_report_free(report);
    HOLDS(config != NULL);
    shared = shared_state_new();
    snapshot = snapshot_new(config, shared, NULL, &error);
    HOLDS(snapshot != NULL);
    (void)atexit(end);
}

/* ---- a plain reading ---- */

static struct span cookie_read_plainly(struct span lines, struct span name, struct arena *arena)
{
    struct span line;
    while (fuzz_line(&lines, &line)) {
        for (size_t at = 0; at <= line.length;) {
            struct span pair = span_skip(line, at);
            pair = span_first(pair, span_find(pair, ';'));
            at += pair.length + 1;
            size_t equal = span_find(pair, '=');
            if (equal != pair.length &&
                span_equal(form_decoded(span_trim(span_first(pair, equal)), arena), name))
                return span_trim(span_skip(pair, equal + 1));
        }
    }
    return SPAN_NONE;
}

static void add_cookie(struct exchange *x, struct span value)
{
    HOLDS(fields_add(&x->request.fields, x->arena, SPAN("Cookie"), value, FIELD_COOKIE));
}

/* As HTTP/1 would have it in one line. */
static struct span joined(struct span lines, struct arena *arena)
{
    struct span line;
    struct text all = text_growing();
    while (fuzz_line(&lines, &line)) {
        line = span_trim(line);
        if (line.length != 0 && all.length != 0)
            text_add(&all, SPAN("; "));
        text_add(&all, line);
    }
    struct span copy = arena_copy(arena, text_span(&all));
    text_free(&all);
    return copy;
}

/* ---- crumbs over HTTP/2 ---- */

static struct {
    struct http_conn *conn;
    struct stream *stream;
    struct span name, expected;
    bool told;
} h2;
static const struct limits_config limits = {.request_head = 16384,
                                            .header_list = 16384,
                                            .request_line = 1024,
                                            .fields = FIELDS_MOST,
                                            .response_head = 4096,
                                            .window = 8192,
                                            .streams = 20,
                                            .stream_window = 128 << 10,
                                            .connection_window = 128 << 10,
                                            .interim_responses = 8};
static const struct timeouts_config timeouts = {.request_head = 10000,
                                                .keep_alive = 60000,
                                                .request_idle = 30000,
                                                .write = 30000,
                                                .linger = 2000,
                                                .half_closed = 30000,
                                                .ping = 15000,
                                                .ping_answer = 5000};
static const struct http_settings settings = {.limits = &limits, .timeouts = &timeouts};

static bool same_cookie(struct span a, struct span b)
{
    return (a.at == NULL) == (b.at == NULL) && span_equal(a, b);
}

static void on_head(struct stream *stream, struct head *head, bool last)
{
    (void)stream;
    struct exchange x = {.request = *head};
    HOLDS(last && !h2.told);
    h2.told = true;
    const struct field *cookie = fields_find(&head->fields, FIELD_COOKIE);
    HOLDS(cookie == NULL || fields_next(&head->fields, cookie) == NULL);
    HOLDS(same_cookie(key_cookie(&x, h2.name), h2.expected));
}

static void on_refused(struct stream *stream, enum failure why)
{
    (void)stream;
    (void)why;
}

static void on_closed(struct stream *stream, enum failure why)
{
    (void)why;
    arena_free(stream->arena);
    h2.stream = NULL;
}

static const struct stream_events stream_events = {
    .head = on_head, .refused = on_refused, .closed = on_closed};

static void conn_opened(struct http_conn *conn, struct stream *stream)
{
    (void)conn;
    HOLDS(h2.stream == NULL);
    h2.stream = stream;
    stream->events = &stream_events;
    stream->window = limits.window;
}

static void conn_idle(struct http_conn *conn)
{
    (void)conn;
}

static void conn_closed(struct http_conn *conn, enum failure why)
{
    (void)conn;
    (void)why;
    h2.conn = NULL;
}

static const struct http_conn_events conn_events = {
    .opened = conn_opened, .idle = conn_idle, .closed = conn_closed};

static void transport_is_open(struct transport *transport)
{
    (void)transport;
}

static const struct transport_events transport_events = {.opened = transport_is_open};

/* A field of the static table, number 32, with a value that stands as it is (RFC 7541 5.1, 6.2.2). */
static void add_crumb(struct text *block, struct span value)
{
    text_add(block, span_make("\x0f\x11", 2));
    size_t length = value.length;
    text_char(block, (char)(length < 127 ? length : 127));
    if (length >= 127)
        for (length -= 127;; length >>= 7) {
            text_char(block, (char)(length < 128 ? length : (length & 127) | 128));
            if (length < 128)
                break;
        }
    text_add(block, value);
}

/* Preface, SETTINGS, and HEADERS of a request that ends. *good: nothing in it is to be refused. */
static struct text request_made(struct span lines, bool *good)
{
    static const char head[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\0\1\5\0\0\0\1"
                               "\x82\x86\x84\x41\6a.test";
    static const size_t before = 24 + 9 + 9;
    struct text bytes = text_growing();
    struct span line;
    unsigned crumbs = 0;
    *good = true;
    text_add(&bytes, span_make(head, sizeof head - 1));
    while (fuzz_line(&lines, &line)) {
        line = span_trim(line);
        add_crumb(&bytes, line);
        crumbs++;
        for (size_t i = 0; i < line.length; i++)
            *good = *good && line.at[i] >= ' ' && line.at[i] != 0x7f;
    }
    size_t length = bytes.length - before;
    *good = *good && crumbs <= FIELDS_MOST && length + (size_t)crumbs * 40 < 8192;
    bytes.at[before - 9] = (char)(length >> 16);
    bytes.at[before - 8] = (char)(length >> 8);
    bytes.at[before - 7] = (char)length;
    return bytes;
}

static void hold_as_crumbs(struct span lines)
{
    int pair[2];
    bool good;
    if (!http_version_is_built(HTTP_2))
        return;
    HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    struct loop *loop = fuzz_loop_begin();
    struct transport *transport = transport_new_plain(loop, pair[0], false, &transport_events, NULL);
    fuzz_turn(2);
    h2.conn = http_conn_new(HTTP_2, HTTP_SERVER, transport, &settings, NULL, &conn_events, NULL);
    HOLDS(h2.conn != NULL);
    struct text bytes = request_made(lines, &good);
    h2.told = false;
    HOLDS(send(pair[1], bytes.at, bytes.length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)bytes.length);
    text_free(&bytes);
    fuzz_turn(3);
    HOLDS(h2.told || !good);
    close(pair[1]);
    if (h2.conn != NULL)
        http_conn_reset(h2.conn);
    fuzz_turn(3);
    HOLDS(h2.conn == NULL && h2.stream == NULL);
}

/* ---- words ---- */

static void hold_word(uint8_t place, uint8_t change, struct span guess)
{
    const struct pool *pool = snapshot->pools[0];
    struct server *server = pool->servers[place & 1].server;
    char word[STICKY_LENGTH];
    bool renew;
    HOLDS(sticky_write(pool->sticky, server, NOON, word));
    HOLDS(sticky_read(pool->sticky, span_make(word, sizeof word), NOON, &renew) == server);
    word[place % sizeof word] = (char)((uint8_t)word[place % sizeof word] ^ change);
    HOLDS(change == 0 || sticky_read(pool->sticky, span_make(word, sizeof word), NOON, &renew) == NULL);
    HOLDS(guess.at == NULL || sticky_read(pool->sticky, guess, NOON, &renew) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest, line, lines = size < 3 ? SPAN_NONE : span_make((const char *)data + 2, size - 2);
    if (!fuzz_line(&lines, &h2.name) || h2.name.length == 0)
        return -1;
    begin();
    struct exchange x = {.arena = arena_new(ARENA)}, one = {.arena = x.arena};
    for (rest = lines; fuzz_line(&rest, &line);)
        add_cookie(&x, line);
    add_cookie(&one, joined(lines, x.arena));
    struct span value = key_cookie(&x, h2.name);
    HOLDS(same_cookie(value, cookie_read_plainly(lines, h2.name, x.arena)));
    HOLDS(same_cookie(value, key_cookie(&one, h2.name)));
    h2.expected = value;
    hold_word(data[0], data[1], value);
    hold_as_crumbs(lines);
    arena_free(x.arena);
    return 0;
}
