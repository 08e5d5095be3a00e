/* See http_bench.h. */
#include "support/http_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "http/failure.h"
#include "net/transport.h"
#include "unit/unit.h"

static struct http_bench *bench_of(const struct stream *stream)
{
    return stream->owner;
}

static void note(struct http_bench *bench, const char *word)
{
    assert_false(bench->in_call); /* no callback inside a call */
    if (bench->log.length != 0)
        text_char(&bench->log, ' ');
    text_add(&bench->log, span_of(word));
}

static void note_more(struct http_bench *bench, struct span bytes)
{
    text_char(&bench->log, ':');
    text_escaped(&bench->log, bytes);
}

/* ---- events ---- */

static void on_head(struct stream *stream, struct head *head, bool last)
{
    struct http_bench *bench = bench_of(stream);
    note(bench, "head");
    if (bench->conn->role == HTTP_SERVER) {
        note_more(bench, head->line.request.method_name);
        note_more(bench, head->line.request.path);
    } else {
        text_print(&bench->log, ":%u", (unsigned)head->line.response.status);
    }
    if (last)
        text_add(&bench->log, SPAN(":last"));
    if (bench->on_head != NULL)
        bench->on_head(bench);
}

static void on_body(struct stream *stream, struct buf *bytes, bool last)
{
    struct http_bench *bench = bench_of(stream);
    char text[64];
    size_t length = bytes->length;
    note(bench, "body");
    if (length < sizeof text)
        note_more(bench, span_make(text, buf_peek(bytes, text, sizeof text)));
    else
        text_print(&bench->log, ":%zu", length);
    if (last)
        text_add(&bench->log, SPAN(":last"));
    bench->body_bytes += length;
    buf_clear(bytes);
    if (!bench->hold)
        stream->ops->credit(stream, length);
}

static void on_trailers(struct stream *stream, struct fields *trailers)
{
    struct http_bench *bench = bench_of(stream);
    note(bench, "trailers");
    for (uint16_t i = 0; i < trailers->count; i++) {
        note_more(bench, trailers->items[i].name);
        note_more(bench, trailers->items[i].value);
    }
}

static void on_sent(struct stream *stream, size_t bytes)
{
    struct http_bench *bench = bench_of(stream);
    note(bench, "sent");
    text_print(&bench->log, ":%zu", bytes);
}

static void on_refused(struct stream *stream, enum failure why)
{
    struct http_bench *bench = bench_of(stream);
    note(bench, "refused");
    note_more(bench, span_of(failure_info[why].word));
}

static void on_closed(struct stream *stream, enum failure why)
{
    struct http_bench *bench = bench_of(stream);
    assert_ptr_equal(stream, bench->stream); /* once */
    bench->any_sent = stream->any_sent;
    note(bench, "closed");
    note_more(bench, span_of(failure_info[why].word));
    bench->stream = NULL;
    arena_free(bench->arena);
    bench->arena = NULL;
}

static const struct stream_events stream_events = {
    .head = on_head,
    .body = on_body,
    .trailers = on_trailers,
    .sent = on_sent,
    .refused = on_refused,
    .closed = on_closed,
};

static void stream_begin(struct http_bench *bench, struct stream *stream)
{
    stream->events = &stream_events;
    stream->owner = bench;
    stream->window = bench->window;
    bench->stream = stream;
    bench->arena = stream->arena;
}

static void conn_opened(struct http_conn *conn, struct stream *stream)
{
    struct http_bench *bench = conn->owner;
    note(bench, "opened");
    assert_null(bench->stream);
    stream_begin(bench, stream);
}

static void conn_idle(struct http_conn *conn)
{
    note(conn->owner, "idle");
}

static void conn_closed(struct http_conn *conn, enum failure why)
{
    struct http_bench *bench = conn->owner;
    (void)why;
    note(bench, "end");
    assert_null(bench->stream); /* streams have had their closed() */
    bench->conn = NULL;
}

static const struct http_conn_events conn_events = {
    .opened = conn_opened, .idle = conn_idle, .closed = conn_closed};

static void early(struct transport *transport)
{
    (void)transport;
}

static const struct transport_events early_events = {.opened = early};

/* ---- the loop ---- */

static void turn_over(void *owner, unsigned bits)
{
    struct http_bench *bench = owner;
    (void)bits;
    if (bench->turns_left-- == 1)
        loop_stop(bench->loop);
}

void http_bench_turns(struct http_bench *bench, unsigned turns)
{
    bench->turns_left = turns;
    loop_run(bench->loop);
}

struct stop {
    struct deadline deadline;
    struct loop *loop;
};

static void stop_passed(struct deadline *deadline)
{
    loop_stop(CONTAINER_OF(deadline, struct stop, deadline)->loop);
}

void http_bench_wait(struct http_bench *bench, unsigned milliseconds)
{
    struct stop stop = {.deadline = {.passed = stop_passed}, .loop = bench->loop};
    (void)!watch_change(bench->turns, 0);
    deadline_set(&stop.deadline, bench->loop, milliseconds);
    loop_run(bench->loop);
    (void)!watch_change(bench->turns, WATCH_READ);
}

/* ---- begin and end ---- */

static void conn_begin(struct http_bench *bench, enum http_role role)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    bench->peer = pair[1];
    struct transport *transport = transport_new_plain(bench->loop, pair[0], false, &early_events, bench);
    http_bench_turns(bench, 2);
    bench->conn =
        http_conn_new(bench->version, role, transport, &bench->settings, NULL, bench->conn_events, bench);
}

void http_bench_begin_as(struct http_bench *bench, enum http_role role, enum http_version version,
                         const struct http_conn_events *events)
{
    *bench = (struct http_bench){.window = 65536, .version = version, .conn_events = events};
    bench->limits = (struct limits_config){.request_head = 16384,
                                           .request_line = 8192,
                                           .fields = 100,
                                           .response_head = 32768,
                                           .least_body_rate = 0,
                                           .window = 65536,
                                           .interim_responses = 8,
                                           .streams = 100,
                                           .header_list = 16384,
                                           .stream_window = 1 << 20,
                                           .connection_window = 4 << 20};
    bench->timeouts = (struct timeouts_config){.request_head = 10000,
                                               .keep_alive = 60000,
                                               .request_idle = 30000,
                                               .write = 30000,
                                               .linger = 2000,
                                               .half_closed = 30000};
    bench->settings = (struct http_settings){.limits = &bench->limits, .timeouts = &bench->timeouts};
    bench->loop = loop_new();
    bench->turns_fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    bench->turns = watch_new(bench->loop, bench->turns_fd, WATCH_READ, turn_over, bench);
    bench->log = text_growing();
    conn_begin(bench, role);
}

void http_bench_begin(struct http_bench *bench, enum http_role role)
{
    http_bench_begin_as(bench, role, HTTP_1, &conn_events);
}

static void conn_end(struct http_bench *bench)
{
    if (bench->conn != NULL)
        http_conn_close(bench->conn);
    http_bench_turns(bench, 3);
    assert_null(bench->conn);
    assert_null(bench->stream);
    if (bench->peer >= 0)
        close(bench->peer);
    bench->peer = -1;
    bench->log.length = 0;
    bench->body_bytes = 0;
}

void http_bench_again(struct http_bench *bench, enum http_role role)
{
    conn_end(bench);
    conn_begin(bench, role);
}

void http_bench_end(struct http_bench *bench)
{
    conn_end(bench);
    watch_free(bench->turns);
    loop_free(bench->loop);
    close(bench->turns_fd);
    text_free(&bench->log);
}

/* ---- the peer ---- */

void peer_sends_bytes(struct http_bench *bench, const char *bytes, size_t length)
{
    while (length != 0) {
        ssize_t wrote = send(bench->peer, bytes, length, MSG_NOSIGNAL);
        if (wrote < 0 && errno == EAGAIN) {
            http_bench_turns(bench, 3);
            wrote = send(bench->peer, bytes, length, MSG_NOSIGNAL);
        }
        if (wrote < 0)
            break; /* paused or closed: the test sees it by what comes out */
        bytes += wrote;
        length -= (size_t)wrote;
    }
    http_bench_turns(bench, 3);
}

void peer_sends(struct http_bench *bench, const char *text)
{
    peer_sends_bytes(bench, text, strlen(text));
}

void peer_ends(struct http_bench *bench)
{
    shutdown(bench->peer, SHUT_WR);
    http_bench_turns(bench, 3);
}

const char *peer_reads(struct http_bench *bench)
{
    static char text[1 << 21];
    size_t length = 0;
    for (;;) {
        ssize_t got = recv(bench->peer, text + length, sizeof text - 16 - length, 0);
        if (got > 0) {
            length += (size_t)got;
            http_bench_turns(bench, 3);
            continue;
        }
        const char *end = got == 0 ? "<end>" : errno == EAGAIN ? "" : "<reset>";
        strcpy(text + length, end);
        return text;
    }
}

void http_bench_expect(struct http_bench *bench, const char *text, const char *file, int line)
{
    struct span got = text_span(&bench->log);
    if (!span_is(got, text)) {
        print_error("told:     %.*s\nexpected: %s\n", (int)got.length, got.at, text);
        _fail(file, line);
    }
    bench->log.length = 0;
}

void http_bench_expect_output(struct http_bench *bench, const char *text, const char *file, int line)
{
    const char *got = peer_reads(bench);
    if (strcmp(got, text) != 0) {
        print_error("sent:     %s\nexpected: %s\n", got, text);
        _fail(file, line);
    }
}

/* ---- calls ---- */

void call_head(struct http_bench *bench, const struct head *head, bool last)
{
    bool outer = bench->in_call;
    bench->in_call = true;
    bench->stream->ops->send_head(bench->stream, head, last);
    bench->in_call = outer;
}

void call_response(struct http_bench *bench, unsigned status, int64_t length, bool last)
{
    struct head head = {.body_length = length, .length_given = length >= 0};
    head.line.response.status = (uint16_t)status;
    head.line.response.reason = status_reason(status);
    call_head(bench, &head, last);
}

void call_body(struct http_bench *bench, const char *text, bool last)
{
    struct buf bytes = {.first = NULL};
    assert_true(buf_add_span(&bytes, span_of(text)));
    bench->in_call = true;
    bench->stream->ops->send_body(bench->stream, &bytes, last);
    bench->in_call = false;
    assert_int_equal(bytes.length, 0);
}

void call_trailers(struct http_bench *bench, const char *name, const char *value)
{
    struct field field = {.name = span_of(name), .value = span_of(value)};
    struct fields trailers = {.items = &field, .count = 1, .room = 1};
    bench->in_call = true;
    bench->stream->ops->send_trailers(bench->stream, &trailers);
    bench->in_call = false;
}

void call_credit(struct http_bench *bench, size_t bytes)
{
    bench->in_call = true;
    bench->stream->ops->credit(bench->stream, bytes);
    bench->in_call = false;
}

void call_reset(struct http_bench *bench, enum failure why)
{
    bench->in_call = true;
    bench->stream->ops->reset(bench->stream, why);
    bench->in_call = false;
}

void http_bench_open(struct http_bench *bench)
{
    bench->in_call = true;
    struct stream *stream = http_conn_open(bench->conn);
    bench->in_call = false;
    stream->arena = arena_new(1 << 20);
    stream_begin(bench, stream);
}

void call_request(struct http_bench *bench, const char *method, int64_t length, bool last)
{
    struct head head = {.body_length = length, .length_given = length > 0};
    head.line.request.method_name = span_of(method);
    head.line.request.method = method_of(span_of(method));
    head.line.request.authority = SPAN("a.test");
    head.line.request.path = SPAN("/x");
    http_bench_open(bench);
    call_head(bench, &head, last);
}
