/*
 * Fuzzes a codec (FUZZ_VERSION: HTTP_1 or HTTP_2), both roles, over a real loop and a socket pair. Of the
 * input the first byte chooses the role, the next two seed what the owner does (answers, credits, resets,
 * drains, at some time or other) and where the rest, the peer's bytes, is cut into pieces. What holds: no
 * event inside a call, each stream is closed once and before its connection, and the connection ends when the
 * peer has gone.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/counters.h"
#include "config/config.h"
#include "fuzz.h"
#include "fuzz_loop.h"
#include "http/head.h"
#include "http/http_conn.h"
#include "http/stream.h"
#include "net/transport.h"

#define STREAMS_MOST 64u
#define HELLO "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"

struct owned {
    struct stream *stream; /* NULL: closed, or never opened */
    struct arena *arena;
    size_t uncredited, unsent;
    bool head_told, head_sent, ended, upgrade;
};
static struct {
    uint32_t random;
    enum http_role role;
    struct http_conn *conn;
    bool in_call;
    unsigned opened;
    struct owned streams[STREAMS_MOST];
} fuzz;
static struct limits_config limits = {.request_head = 4096,
                                      .header_list = 4096,
                                      .request_line = 1024,
                                      .fields = 20,
                                      .response_head = 4096,
                                      .window = 8192,
                                      .streams = 20,
                                      .stream_window = 128 << 10,
                                      .connection_window = 128 << 10,
                                      .interim_responses = 8};
static struct timeouts_config timeouts = {.request_head = 10000,
                                          .keep_alive = 60000,
                                          .request_idle = 30000,
                                          .write = 30000,
                                          .linger = 2000,
                                          .half_closed = 30000,
                                          .ping = 15000,
                                          .ping_answer = 5000};
static const struct http_settings settings = {.limits = &limits, .timeouts = &timeouts};
static volatile unsigned char looked_at;

static unsigned choose(unsigned most)
{
    fuzz.random = fuzz.random * 1664525u + 1013904223u;
    return (fuzz.random >> 16) % most;
}

/* ---- what the owner does ---- */

static void look_at(struct span bytes)
{
    for (size_t i = 0; i < bytes.length; i++)
        looked_at ^= (unsigned char)bytes.at[i];
}

static void look_at_fields(const struct fields *fields)
{
    for (uint16_t i = 0; i < fields->count; i++) {
        look_at(fields->items[i].name);
        look_at(fields->items[i].value);
    }
}

static struct head some_request(struct owned *owned)
{
    static const char *const methods[] = {"GET", "POST", "HEAD", "PUT"};
    struct span method = span_of(methods[choose(4)]);
    struct head head = {.body_length = BODY_OF_UNKNOWN_LENGTH};
    head.line.request.method_name = method;
    head.line.request.method = method_of(method);
    head.line.request.authority = SPAN("a.test");
    head.line.request.path = SPAN("/x");
    if (choose(4) == 0) {
        owned->upgrade = true;
        head.upgrade = SPAN("websocket");
        head.line.request.method_name = SPAN("GET");
        head.line.request.method = METHOD_GET;
        head.body_length = BODY_NONE;
    }
    return head;
}

static void send_head(struct owned *owned)
{
    struct stream *stream = owned->stream;
    bool last = choose(2) == 0;
    struct head head = {.body_length = BODY_OF_UNKNOWN_LENGTH};
    if (fuzz.role == HTTP_CLIENT) {
        head = some_request(owned);
        last = last || owned->upgrade;
    } else if (owned->upgrade && choose(2) == 0) {
        head.line.response.status = 101;
        head.upgrade = SPAN("websocket");
        last = false;
    } else {
        head.line.response.status = choose(3) == 0 ? 204 : 200;
        last = last || head.line.response.status == 204;
    }
    if (last)
        head.body_length = BODY_NONE;
    owned->head_sent = true;
    owned->ended = last;
    stream->ops->send_head(stream, &head, last);
}

static void send_more(struct owned *owned)
{
    static struct field field = {.name = {.at = "x-sum", .length = 5}, .value = {.at = "1", .length = 1}};
    static const char zeros[20000];
    struct stream *stream = owned->stream;
    struct buf bytes = {.first = NULL};
    if (choose(8) == 0 && !owned->upgrade) {
        const struct fields trailers = {.items = &field, .count = 1, .room = 1};
        owned->ended = true;
        stream->ops->send_trailers(stream, &trailers);
        return;
    }
    owned->ended = choose(3) == 0;
    if (!buf_add(&bytes, zeros, choose(4) == 0 ? choose(sizeof zeros) : choose(100)))
        abort();
    stream->ops->send_body(stream, &bytes, owned->ended);
}

static void act_on(struct owned *owned)
{
    struct stream *stream = owned->stream;
    bool outer = fuzz.in_call;
    fuzz.in_call = true;
    switch (choose(8)) {
    case 0:
        stream->ops->reset(stream, fuzz.role == HTTP_SERVER ? FAILURE_INTERNAL : FAILURE_CLIENT_CLOSED);
        break;
    case 1:
    case 2: {
        size_t part = owned->uncredited / (1 + choose(2));
        owned->uncredited -= part;
        stream->ops->credit(stream, part);
        break;
    }
    default:
        if (!owned->head_sent && (fuzz.role == HTTP_CLIENT || owned->head_told))
            send_head(owned);
        else if (owned->head_sent && !owned->ended &&
                 (fuzz.role == HTTP_SERVER || !owned->upgrade || owned->head_told))
            send_more(owned);
        break;
    }
    fuzz.in_call = outer;
}

/* ---- events ---- */

static struct owned *owned_of(const struct stream *stream)
{
    struct owned *owned = stream->owner;
    assert(!fuzz.in_call && owned->stream == stream);
    return owned;
}

static void on_head(struct stream *stream, struct head *head, bool last)
{
    struct owned *owned = owned_of(stream);
    (void)last;
    look_at_fields(&head->fields);
    look_at(head->upgrade);
    if (fuzz.role == HTTP_SERVER) {
        assert(!owned->head_told);
        owned->head_told = true;
        owned->upgrade = head->upgrade.length != 0;
        look_at(head->line.request.method_name);
        look_at(head->line.request.authority);
        look_at(head->line.request.path);
        look_at(head->line.request.query);
    } else {
        unsigned status = head->line.response.status;
        assert(!owned->head_told && status >= 100 && status <= 599);
        owned->head_told = status >= 200 || status == 101;
        if (owned->upgrade && status != 101 && owned->head_told)
            owned->ended = true;
    }
    if (choose(2) == 0)
        act_on(owned);
}

static void on_body(struct stream *stream, struct buf *bytes, bool last)
{
    struct owned *owned = owned_of(stream);
    (void)last;
    assert(owned->head_told);
    look_at(buf_front(bytes));
    owned->uncredited += bytes->length;
    buf_clear(bytes);
    if (choose(2) == 0)
        act_on(owned);
}

static void on_trailers(struct stream *stream, struct fields *trailers)
{
    assert(owned_of(stream)->head_told);
    look_at_fields(trailers);
}

static void on_sent(struct stream *stream, size_t bytes)
{
    (void)owned_of(stream);
    (void)bytes;
}

static void on_refused(struct stream *stream, enum failure why)
{
    struct owned *owned = owned_of(stream);
    (void)why;
    assert(fuzz.role == HTTP_SERVER);
    owned->head_told = true; /* it is answered */
    if (!owned->head_sent && choose(2) == 0)
        act_on(owned);
}

static void on_closed(struct stream *stream, enum failure why)
{
    struct owned *owned = owned_of(stream);
    (void)why;
    owned->stream = NULL;
    arena_free(owned->arena);
    owned->arena = NULL;
}

static const struct stream_events stream_events = {.head = on_head,
                                                   .body = on_body,
                                                   .trailers = on_trailers,
                                                   .sent = on_sent,
                                                   .refused = on_refused,
                                                   .closed = on_closed};

static void take_stream(struct stream *stream)
{
    unsigned at = 0;
    while (fuzz.streams[at].stream != NULL)
        at++;
    assert(at < STREAMS_MOST);
    fuzz.streams[at] = (struct owned){.stream = stream, .arena = stream->arena};
    stream->events = &stream_events;
    stream->owner = &fuzz.streams[at];
    stream->window = limits.window;
    fuzz.opened++;
}

static void conn_opened(struct http_conn *conn, struct stream *stream)
{
    (void)conn;
    assert(!fuzz.in_call && fuzz.role == HTTP_SERVER);
    take_stream(stream);
}

static void conn_quiet(struct http_conn *conn)
{
    (void)conn;
    assert(!fuzz.in_call);
}

static void conn_closed(struct http_conn *conn, enum failure why)
{
    (void)conn;
    (void)why;
    assert(!fuzz.in_call);
    for (unsigned i = 0; i < STREAMS_MOST; i++)
        assert(fuzz.streams[i].stream == NULL);
    fuzz.conn = NULL;
}

static const struct http_conn_events conn_events = {
    .opened = conn_opened, .idle = conn_quiet, .room = conn_quiet, .closed = conn_closed};

static void act(void)
{
    fuzz.in_call = true;
    if (fuzz.role == HTTP_CLIENT && fuzz.opened < 40 && choose(4) == 0 && http_conn_room(fuzz.conn) != 0) {
        struct stream *stream = http_conn_open(fuzz.conn);
        stream->arena = arena_new(65536);
        take_stream(stream);
    } else if (choose(40) == 0) {
        http_conn_drain(fuzz.conn);
    } else if (choose(100) == 0) {
        http_conn_close(fuzz.conn);
    }
    fuzz.in_call = false;
    for (unsigned i = 0; i < STREAMS_MOST; i++)
        if (fuzz.streams[i].stream != NULL && choose(3) == 0)
            act_on(&fuzz.streams[i]);
}

/* ---- the loop ---- */

static void early(struct transport *transport)
{
    (void)transport;
}

static const struct transport_events early_events = {.opened = early};

static void drain_peer(int peer)
{
    static char sink[65536];
    while (recv(peer, sink, sizeof sink, MSG_DONTWAIT) > 0)
        continue;
}

static void feed(int peer, const uint8_t *bytes, size_t length)
{
    while (length != 0 && fuzz.conn != NULL) {
        size_t most = choose(3) == 0 ? 16 : 4096, part = 1 + choose((unsigned)most);
        part = part < length ? part : length;
        if (send(peer, bytes, part, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)part)
            return;
        bytes += part;
        length -= part;
        fuzz_turn(2);
        if (fuzz.conn != NULL && choose(2) == 0)
            act();
        if (choose(3) == 0)
            drain_peer(peer);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    if (size < 3)
        return -1;
    struct loop *loop = fuzz_loop_begin();
    fuzz.role = (data[0] & 1) != 0 ? HTTP_CLIENT : HTTP_SERVER;
    fuzz.random = (uint32_t)data[1] << 8 | data[2];
    fuzz.opened = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    struct transport *transport = transport_new_plain(loop, pair[0], false, &early_events, NULL);
    fuzz_turn(2);
    fuzz.conn = http_conn_new(FUZZ_VERSION, fuzz.role, transport, &settings, NULL, &conn_events, NULL);
    assert(fuzz.conn != NULL);
    if (FUZZ_VERSION == HTTP_2) {
        size_t skip = fuzz.role == HTTP_SERVER ? 0 : 24;
        feed(pair[1], (const uint8_t *)HELLO + skip, sizeof HELLO - 1 - skip);
    } else if (fuzz.role == HTTP_CLIENT) {
        act();
    }
    feed(pair[1], data + 3, size - 3);
    for (unsigned i = 0; i < 3 && fuzz.conn != NULL; i++) {
        act();
        fuzz_turn(2);
        drain_peer(pair[1]);
    }
    close(pair[1]);
    for (unsigned i = 0; i < 20 && fuzz.conn != NULL; i++)
        fuzz_turn(2);
    if (fuzz.conn != NULL)
        http_conn_reset(fuzz.conn);
    fuzz_turn(3);
    assert(fuzz.conn == NULL);
    return 0;
}
