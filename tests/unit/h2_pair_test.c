/*
 * Client and server codec against each other, with a middle that passes their bytes on in pieces of random
 * size: requests of random sizes, answered at random times, credited late, some cancelled by either side,
 * some drained. Every stream ends, on both sides; what was not cancelled arrives whole, byte for byte. The
 * seed of what fails is printed: run the test with it as its argument.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "config/config.h"
#include "http/head.h"
#include "http/http_conn.h"
#include "http/stream.h"
#include "net/loop.h"
#include "net/transport.h"
#include "unit/unit.h"

#define REQUESTS 60u
#define SEEDS 25u
#define STEPS_MOST 60000u
#define BODY_MOST 200000u
#define WAITS_MOST 50000u /* bytes of a body that wait in the codec */

/* One direction of one request, at one of its ends. */
struct half {
    struct stream *stream; /* NULL: not opened, or closed */
    struct arena *arena;
    size_t sent, left; /* given to the codec; told by sent() */
    size_t received, uncredited;
    bool head_sent, out_ended, head_told, in_ended, trailers_told, closed;
    enum failure why;
};
struct request {
    struct half client, server;
    size_t up, down;           /* bytes of the bodies */
    bool up_given, down_given; /* the lengths are announced */
    bool up_trailers, down_trailers;
    bool early; /* answered without waiting for its body */
    bool cancelled;
    unsigned answer_at, cancel_at; /* steps; most are never cancelled: that would hide a stream that stalls */
};
static struct pair {
    struct loop *loop;
    struct watch *turns;
    int turns_fd;
    unsigned turns_left;
    uint64_t random;
    unsigned step, opened, finished;
    int ends[2]; /* of the middle: the client's, the server's */
    struct http_conn *client, *server;
    bool in_call, drained;
    struct request requests[REQUESTS];
} pair;
static uint64_t only_seed;
static struct limits_config limits = {.header_list = 16384,
                                      .request_line = 8192,
                                      .fields = 100,
                                      .response_head = 32768,
                                      .streams = 100,
                                      .stream_window = 1 << 20,
                                      .connection_window = 4 << 20};
static struct timeouts_config timeouts = {
    .request_head = 60000, .keep_alive = 60000, .request_idle = 60000, .write = 60000, .linger = 60000};
static const struct http_settings settings = {.limits = &limits, .timeouts = &timeouts};

static unsigned choose(unsigned most)
{
    pair.random = pair.random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(pair.random >> 33) % most;
}

/* Mostly small, at times large. */
static size_t some_size(size_t most)
{
    switch (choose(4)) {
    case 0:
        return 0;
    case 1:
        return choose((unsigned)most);
    default:
        return choose(3000);
    }
}

/* The byte of a body at an offset: of another request or place it would be another. */
static char byte_at(const struct request *request, bool up, size_t at)
{
    size_t index = (size_t)(request - pair.requests);
    return (char)((index * 31 + at * 7 + (at >> 8) * 13 + (up ? 101 : 0)) & 0xff);
}

/* ---- what the owners do ---- */

static void send_piece(struct request *request, struct half *half, bool up)
{
    size_t total = up ? request->up : request->down, left = total - half->sent;
    size_t waits = half->sent - half->left;
    struct buf bytes = {.first = NULL};
    char piece[4000];
    if (!half->head_sent || half->out_ended || waits >= WAITS_MOST)
        return;
    for (unsigned pieces = choose(6) + 1; pieces != 0 && left != 0; pieces--) {
        size_t part = choose(sizeof piece) + 1;
        part = part < left ? part : left;
        for (size_t i = 0; i < part; i++)
            piece[i] = byte_at(request, up, half->sent + i);
        assert_true(buf_add(&bytes, piece, part));
        half->sent += part;
        left -= part;
    }
    bool trailers = up ? request->up_trailers : request->down_trailers;
    half->out_ended = left == 0 && (trailers || choose(2) == 0);
    half->stream->ops->send_body(half->stream, &bytes, half->out_ended && !trailers);
    if (half->out_ended && trailers) {
        struct field *field = arena_get(half->arena, sizeof *field);
        *field = (struct field){.name = SPAN("x-sum"), .value = SPAN("1")};
        const struct fields fields = {.items = field, .count = 1, .room = 1};
        half->stream->ops->send_trailers(half->stream, &fields);
    }
}

static void answer(struct request *request)
{
    struct half *half = &request->server;
    struct head head = {.body_length = request->down_given ? (int64_t)request->down : BODY_OF_UNKNOWN_LENGTH,
                        .length_given = request->down_given};
    head.line.response.status = 103;
    if (choose(5) == 0)
        half->stream->ops->send_head(half->stream, &head, false);
    head.line.response.status = 200;
    half->head_sent = true;
    half->out_ended = request->down == 0 && !request->down_trailers && choose(2) == 0;
    half->stream->ops->send_head(half->stream, &head, half->out_ended);
}

static void credit_some(struct half *half)
{
    size_t part = choose(2) == 0 ? half->uncredited : half->uncredited / 2;
    half->uncredited -= part;
    if (part != 0)
        half->stream->ops->credit(half->stream, part);
}

static void act_on(struct request *request)
{
    struct half *client = &request->client, *server = &request->server;
    pair.in_call = true;
    if (client->stream != NULL) {
        send_piece(request, client, true);
        credit_some(client);
    }
    if (server->stream != NULL) {
        if (server->head_told && !server->head_sent && pair.step >= request->answer_at &&
            (request->early || server->in_ended))
            answer(request);
        send_piece(request, server, false);
        credit_some(server);
    }
    struct half *either = choose(2) == 0 ? client : server;
    if (pair.step >= request->cancel_at && either->stream != NULL) {
        request->cancelled = true;
        request->cancel_at = UINT_MAX;
        either->stream->ops->reset(either->stream, FAILURE_CLIENT_CLOSED);
    }
    pair.in_call = false;
}

/* ---- events ---- */

static struct request *request_of(const struct stream *stream, struct half **half)
{
    struct request *request = stream->owner;
    assert_false(pair.in_call);
    *half = request->client.stream == stream ? &request->client : &request->server;
    assert_ptr_equal((*half)->stream, stream);
    assert_false((*half)->closed);
    return request;
}

static void ended(struct request *request, const struct half *half, bool trailers)
{
    bool up = half == &request->server;
    assert_int_equal(half->received, up ? request->up : request->down);
    assert_int_equal(trailers, up ? request->up_trailers : request->down_trailers);
}

static void on_head(struct stream *stream, struct head *head, bool last)
{
    struct half *half;
    if (stream->owner == NULL) { /* the server learns which it is */
        struct request *request = &pair.requests[strtoul(head->line.request.path.at + 1, NULL, 10)];
        assert_null(request->server.stream);
        stream->owner = request;
        request->server = (struct half){.stream = stream, .arena = stream->arena};
    }
    struct request *request = request_of(stream, &half);
    if (half == &request->client && head->line.response.status == 103)
        return;
    assert_false(half->head_told);
    half->head_told = true;
    half->in_ended = last;
    if (last)
        ended(request, half, false);
}

static void on_body(struct stream *stream, struct buf *bytes, bool last)
{
    struct half *half;
    struct request *request = request_of(stream, &half);
    assert_true(half->head_told && !half->in_ended);
    half->uncredited += bytes->length;
    while (bytes->length != 0) {
        struct span front = buf_front(bytes);
        for (size_t i = 0; i < front.length; i++)
            assert_int_equal(front.at[i], byte_at(request, half == &request->server, half->received + i));
        half->received += front.length;
        buf_skip(bytes, front.length);
    }
    half->in_ended = last;
    if (last)
        ended(request, half, false);
}

static void on_trailers(struct stream *stream, struct fields *trailers)
{
    struct half *half;
    struct request *request = request_of(stream, &half);
    assert_true(half->head_told && !half->in_ended && trailers->count == 1);
    half->in_ended = true;
    ended(request, half, true);
}

static void on_sent(struct stream *stream, size_t bytes)
{
    struct half *half;
    (void)request_of(stream, &half);
    half->left += bytes;
    assert_true(half->left <= half->sent);
}

static void on_refused(struct stream *stream, enum failure why)
{
    (void)stream;
    (void)why;
    fail();
}

static void on_closed(struct stream *stream, enum failure why)
{
    struct half *half;
    struct request *request = request_of(stream, &half);
    half->closed = true;
    half->why = why;
    half->stream = NULL;
    arena_free(half->arena);
    half->arena = NULL;
    pair.finished += half == &request->client;
    if (request->cancelled)
        return;
    if (why == FAILURE_STREAM_REFUSED) {
        assert_true(pair.drained && half == &request->client && request->server.stream == NULL &&
                    !request->server.closed);
        return;
    }
    assert_int_equal(why, FAILURE_NONE);
    if (half == &request->client) {
        assert_true(half->in_ended);
        assert_true(request->early || (request->server.in_ended && half->out_ended));
    } else {
        assert_true(half->out_ended && (request->early || half->in_ended));
    }
}

static const struct stream_events stream_events = {.head = on_head,
                                                   .body = on_body,
                                                   .trailers = on_trailers,
                                                   .sent = on_sent,
                                                   .refused = on_refused,
                                                   .closed = on_closed};

static void conn_opened(struct http_conn *conn, struct stream *stream)
{
    (void)conn;
    assert_false(pair.in_call);
    stream->events = &stream_events;
    stream->owner = NULL;
    stream->window = 65536;
}

static void conn_quiet(struct http_conn *conn)
{
    (void)conn;
    assert_false(pair.in_call);
}

static void conn_closed(struct http_conn *conn, enum failure why)
{
    (void)why;
    if (conn == pair.client)
        pair.client = NULL;
    else
        pair.server = NULL;
}

static const struct http_conn_events conn_events = {
    .opened = conn_opened, .idle = conn_quiet, .room = conn_quiet, .closed = conn_closed};

static void open_request(void)
{
    struct request *request = &pair.requests[pair.opened++];
    char path[16];
    snprintf(path, sizeof path, "/%u", pair.opened - 1);
    *request = (struct request){.up = some_size(BODY_MOST),
                                .down = some_size(BODY_MOST),
                                .up_given = choose(2) == 0,
                                .down_given = choose(2) == 0,
                                .up_trailers = choose(4) == 0,
                                .down_trailers = choose(4) == 0,
                                .early = choose(5) == 0,
                                .answer_at = pair.step + choose(200),
                                .cancel_at = choose(6) == 0 ? pair.step + choose(300) : UINT_MAX};
    struct half *half = &request->client;
    struct head head = {.body_length = request->up_given ? (int64_t)request->up : BODY_OF_UNKNOWN_LENGTH,
                        .length_given = request->up_given};
    head.line.request.method = METHOD_POST;
    head.line.request.method_name = SPAN("POST");
    head.line.request.authority = SPAN("a.test");
    head.line.request.path = span_of(path);
    pair.in_call = true;
    half->stream = http_conn_open(pair.client);
    half->arena = half->stream->arena = arena_new(65536);
    half->stream->events = &stream_events;
    half->stream->owner = request;
    half->stream->window = 65536;
    half->head_sent = true;
    half->out_ended = request->up == 0 && !request->up_trailers;
    half->stream->ops->send_head(half->stream, &head, half->out_ended);
    pair.in_call = false;
}

/* ---- the middle, and the loop ---- */

static void pass_on(int from, int to)
{
    static char bytes[20000];
    size_t most = choose(4) == 0 ? 1 + choose(20) : 1 + choose(sizeof bytes);
    int waiting = 0;
    socklen_t size = sizeof waiting;
    if (choose(3) == 0 || getsockopt(to, SOL_SOCKET, SO_ERROR, &waiting, &size) != 0)
        return;
    ssize_t got = recv(from, bytes, most, MSG_DONTWAIT);
    for (ssize_t at = 0; got > 0 && at < got;) {
        ssize_t wrote = send(to, bytes + at, (size_t)(got - at), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (wrote > 0) {
            at += wrote;
        } else if (errno == EAGAIN) { /* the receiver reads in its turns */
            pair.turns_left = 2;
            loop_run(pair.loop);
        } else {
            return; /* it has gone */
        }
    }
    if (got == 0)
        shutdown(to, SHUT_WR);
}

static void turn_over(void *owner, unsigned bits)
{
    (void)owner;
    (void)bits;
    if (pair.turns_left-- == 1)
        loop_stop(pair.loop);
}

static void turn(unsigned turns)
{
    pair.turns_left = turns;
    loop_run(pair.loop);
}

static void early(struct transport *transport)
{
    (void)transport;
}

static const struct transport_events early_events = {.opened = early};

static struct http_conn *conn_begin(enum http_role role, int *end)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    *end = ends[1];
    struct transport *transport = transport_new_plain(pair.loop, ends[0], false, &early_events, NULL);
    turn(2);
    return http_conn_new(HTTP_2, role, transport, &settings, NULL, &conn_events, NULL);
}

static void one_step(bool drains)
{
    pair.step++;
    if (pair.opened < REQUESTS && choose(4) == 0 && pair.client != NULL && http_conn_room(pair.client) != 0)
        open_request();
    for (unsigned i = 0; i < pair.opened; i++)
        if (choose(3) == 0)
            act_on(&pair.requests[i]);
    pass_on(pair.ends[0], pair.ends[1]);
    pass_on(pair.ends[1], pair.ends[0]);
    if (drains && !pair.drained && pair.opened >= REQUESTS / 2 && pair.server != NULL) {
        pair.drained = true;
        http_conn_drain(pair.server);
    }
    turn(1);
}

static bool all_is_done(void)
{
    if (pair.drained) /* what was refused is not sent again here */
        return pair.finished == pair.opened && pair.client == NULL;
    return pair.finished == REQUESTS;
}

static void with_seed(uint64_t seed)
{
    memset(&pair, 0, sizeof pair);
    pair.random = seed * 0x9e3779b97f4a7c15u;
    pair.loop = loop_new();
    pair.turns_fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    pair.turns = watch_new(pair.loop, pair.turns_fd, WATCH_READ, turn_over, NULL);
    bool drains = choose(3) == 0;
    limits.streams = 2 + choose(50);
    limits.stream_window = (64 + choose(500)) << 10;
    limits.connection_window = choose(2) == 0 ? 128 << 10 : 4 << 20;
    pair.client = conn_begin(HTTP_CLIENT, &pair.ends[0]);
    pair.server = conn_begin(HTTP_SERVER, &pair.ends[1]);
    while (!all_is_done() && pair.step < STEPS_MOST)
        one_step(drains);
    assert_true(all_is_done());
    if (pair.client != NULL)
        http_conn_close(pair.client);
    for (unsigned i = 0; i < 500 && (pair.client != NULL || pair.server != NULL); i++)
        one_step(drains);
    for (unsigned i = 0; i < pair.opened; i++)
        assert_null(pair.requests[i].server.stream);
    assert_null(pair.client);
    close(pair.ends[0]);
    close(pair.ends[1]);
    turn(5);
    assert_null(pair.server);
    watch_free(pair.turns);
    loop_free(pair.loop);
    close(pair.turns_fd);
}

static void against_each_other(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        if (only_seed != 0 && seed != only_seed)
            continue;
        print_message("seed %u\n", (unsigned)seed);
        with_seed(seed);
    }
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_each_other)};
    only_seed = count > 1 ? strtoul(arguments[1], NULL, 10) : 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
