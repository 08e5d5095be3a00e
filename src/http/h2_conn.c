/*
 * The life of an HTTP/2 connection in both roles: bytes in and out of the library, streams from their
 * beginning to closed(), timers, drain and end. h2_callbacks.c turns frames into events, h2_stream.c calls
 * into frames.
 */
#include "http/h2_conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/counters.h"
#include "base/error.h"
#include "base/log.h"
#include "base/small.h"
#include "config/config.h"
#include "http/h2.h"

#define PING_AGAIN_MS 310000u
#define STARVED_MS 400u   /* as long as transport.c waits for memory to read into, at most */
#define QUEUE_MOST 10000u /* frames of ours that wait for a peer who reads nothing: then it goes */

static struct h2_conn *h2_of(const struct http_conn *conn)
{
    return (struct h2_conn *)(uintptr_t)conn; /* its first member */
}

static bool is_server(const struct h2_conn *conn)
{
    return conn->conn.role == HTTP_SERVER;
}

void h2_later(struct h2_conn *conn)
{
    if (!conn->closing && !conn->lingering)
        loop_later(conn->loop, &conn->flush);
}

/* ---- streams ---- */

static void stream_free(struct retired *retired)
{
    small_free(CONTAINER_OF(retired, struct h2_stream, retired));
}

struct h2_stream *h2_stream_new(struct h2_conn *conn)
{
    struct h2_stream *stream = small_get_zeroed(sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->stream.ops = &h2_stream_ops;
    stream->stream.window = SIZE_MAX;
    stream->stream.http2 = 1;
    stream->conn = conn;
    stream->window = H2_FIRST_WINDOW;
    stream->send_left = stream->receive_left = -1;
    stream->retired.free = stream_free;
    stream->since_in = loop_now(conn->loop);
    list_push_back(&conn->streams, &stream->at);
    conn->streams_count++;
    return stream;
}

/* Nothing of it is the library's any more, or will not be once a RST_STREAM has left. */
void h2_over(struct h2_stream *stream, enum failure why)
{
    struct h2_conn *conn = stream->conn;
    if (stream->over)
        return;
    stream->over = true;
    stream->why = (uint8_t)why;
    /* a header block may still be coming in for it, and the arena goes with closed() */
    stream->reading = NULL;
    buf_clear(&stream->in);
    h2_waits(stream, -(ptrdiff_t)stream->out.length);
    buf_clear(&stream->out);
    h2_uncredit(stream, stream->uncredited);
    conn->grown -= stream->window - H2_FIRST_WINDOW;
    list_remove(&stream->told);
    list_push_back(&conn->over, &stream->told);
    loop_later(conn->loop, &conn->step);
}

static void tell_sent(struct h2_stream *stream)
{
    size_t left = stream->left;
    stream->left = 0;
    if (left != 0 && stream->announced)
        stream->stream.events->sent(&stream->stream, left);
}

static void tell_closed(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    tell_sent(stream);
    list_remove(&stream->at);
    conn->streams_count--;
    conn->kept -= stream->kept;
    stream->kept = 0;
    if (stream->announced)
        stream->stream.events->closed(&stream->stream, (enum failure)stream->why);
    else if (is_server(conn))
        arena_free(stream->stream.arena); /* of a head that never became a request */
    if (!stream->leftover || conn->closing || stream->gone) {
        loop_retire(conn->loop, &stream->retired);
        return;
    }
    stream->since_in = loop_now(conn->loop);
    list_push_back(&conn->leftovers, &stream->at);
    conn->leftovers_count++;
    h2_arm(conn, H2_LEFTOVER_MS);
}

/* It may come before closed() was told. */
void h2_leftover_gone(struct h2_stream *stream)
{
    stream->gone = true;
    if (list_is_linked(&stream->told)) /* on conn->over: tell_closed() sees to it */
        return;
    list_remove(&stream->at);
    stream->conn->leftovers_count--;
    loop_retire(stream->conn->loop, &stream->retired);
}

/* The oldest first: all that are due are reset (RFC 9113 8.1: NO_ERROR, the answer stands; CANCEL from who
 * asked). */
static void look_at_leftovers(struct h2_conn *conn, uint64_t now, uint64_t *next)
{
    while (!list_is_empty(&conn->leftovers)) {
        struct h2_stream *stream = CONTAINER_OF(conn->leftovers.next, struct h2_stream, at);
        uint64_t due = stream->since_in + H2_LEFTOVER_MS;
        if (now < due) {
            *next = due < *next ? due : *next;
            return;
        }
        h2_forget_stream(conn, stream->id);
        h2_must(conn, nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, stream->id,
                                                is_server(conn) ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL));
        h2_later(conn);
        h2_leftover_gone(stream);
    }
}

static void drop_leftovers(struct h2_conn *conn)
{
    LIST_EACH_SAFE (node, after, &conn->leftovers) {
        struct h2_stream *stream = CONTAINER_OF(node, struct h2_stream, at);
        h2_forget_stream(conn, stream->id);
        h2_leftover_gone(stream);
    }
}

/* The last stream has ended. */
static void connection_idle(struct h2_conn *conn)
{
    h2_drop_fill(conn);
    conn->since = loop_now(conn->loop);
    transport_expect(conn->transport, 0);
    if (is_server(conn))
        h2_arm(conn, conn->settings->timeouts->keep_alive != 0 ? conn->settings->timeouts->keep_alive : 1);
    conn->conn.events->idle(&conn->conn);
    if (conn->draining && !is_server(conn))
        h2_terminate(conn, NGHTTP2_NO_ERROR, FAILURE_NONE);
    else if (conn->draining && !conn->closing)
        h2_later(conn); /* where it sees that nothing is left */
}

void h2_tell_over(struct h2_conn *conn)
{
    bool any = false;
    while (!list_is_empty(&conn->over)) {
        struct h2_stream *stream = CONTAINER_OF(conn->over.next, struct h2_stream, told);
        list_remove(&stream->told);
        any = any || stream->announced;
        tell_closed(stream);
    }
    if (conn->closing)
        return;
    if (!any) { /* heads that never became requests: who sends no others is idle */
        if (is_server(conn) && conn->streams_count == 0)
            h2_arm(conn, conn->settings->timeouts->request_head);
        return;
    }
    /* Before its SETTINGS nobody knows how many streams a server takes. */
    if (conn->conn.events->room != NULL && conn->peer_settings)
        conn->conn.events->room(&conn->conn);
    if (conn->streams_count == 0 && !conn->closing)
        connection_idle(conn);
}

/* Client role: what a failure of the connection is for one of its streams. */
static enum failure failure_for(const struct h2_conn *conn, const struct h2_stream *stream, enum failure why)
{
    if (is_server(conn) || why != FAILURE_RESPONSE_INVALID)
        return why;
    if (stream->head_told)
        return FAILURE_RESPONSE_CUT;
    return stream->stream.any_sent ? why : FAILURE_STREAM_REFUSED;
}

static void end_streams(struct h2_conn *conn, enum failure why)
{
    LIST_EACH_SAFE (node, after, &conn->streams) {
        struct h2_stream *stream = CONTAINER_OF(node, struct h2_stream, at);
        if (stream->id > 0)
            h2_forget_stream(conn, stream->id);
        h2_over(stream, failure_for(conn, stream, why));
    }
    drop_leftovers(conn);
}

/* ---- the end of the connection ---- */

void h2_fail(struct h2_conn *conn, enum failure why)
{
    if (conn->closing)
        return;
    conn->closing = true;
    conn->why = (uint8_t)why;
    transport_close(conn->transport);
}

/* Other errors are of streams that have ended meanwhile. One that finishes says what it can, and ends. */
void h2_call_failed(struct h2_conn *conn, int result)
{
    if (nghttp2_is_fatal(result) && !conn->finishing)
        h2_fail(conn, FAILURE_OVERLOADED);
}

/* Once it finishes its time is set, and not moved by what the peer does: a server that reads nothing keeps
 * even GOAWAY from leaving, and who has flooded is given no more. */
static bool ends_in_time(const struct h2_conn *conn)
{
    return !is_server(conn) || conn->flooded;
}

void h2_terminate(struct h2_conn *conn, uint32_t code, enum failure why)
{
    if (conn->closing || conn->finishing)
        return;
    conn->finishing = true;
    (void)nghttp2_session_terminate_session(conn->session, code);
    end_streams(conn, why);
    if (ends_in_time(conn))
        deadline_set(&conn->deadline, conn->loop, conn->settings->timeouts->linger);
    h2_later(conn);
}

/*
 * What was said leaves, as long as the peer takes it. Then a client is given time to read it before the
 * connection closes; what a server still has to say to us is of no use, and closing hurts no answer of ours.
 */
static void linger_on(struct h2_conn *conn)
{
    const struct timeouts_config *timeouts = conn->settings->timeouts;
    bool unsent = transport_unsent(conn->transport) != 0;
    uint64_t time = unsent && is_server(conn) ? timeouts->write : timeouts->linger;
    if (conn->flooded)
        return;
    if (time == 0 || (!unsent && !is_server(conn)))
        h2_fail(conn, FAILURE_NONE);
    else
        deadline_set(&conn->deadline, conn->loop, time);
}

/* All is said: our side ends, what still comes is thrown away, within bounds. */
static void linger(struct h2_conn *conn)
{
    conn->finishing = conn->lingering = true;
    conn->received = 0;
    conn->since = loop_now(conn->loop);
    end_streams(conn, is_server(conn) ? FAILURE_CLIENT_CLOSED : FAILURE_RESPONSE_INVALID);
    transport_finish(conn->transport);
    linger_on(conn);
}

/* As over HTTP/1: while bytes come, by a least rate and for a time in all. */
static bool lingers_on(struct h2_conn *conn, uint64_t now)
{
    uint64_t time = conn->settings->timeouts->linger;
    uint64_t least = conn->settings->limits->least_body_rate * time / 1000;
    if (ends_in_time(conn) || transport_unsent(conn->transport) != 0 || conn->received <= least ||
        now - conn->since >= HTTP_LINGERS * time)
        return false;
    conn->received = 0;
    deadline_set(&conn->deadline, conn->loop, time);
    return true;
}

/* Its place is wanted now: what was said goes as far as the socket takes it, and the connection with it. */
static void leave(struct h2_conn *conn)
{
    conn->closing = true;
    transport_leave(conn->transport);
}

static void tell_flood(struct h2_conn *conn, enum counter_id counter, const char *of)
{
    counter_add(counter, 1);
    conn->flooded = true;
    if (conn->conn.events->flooded != NULL)
        conn->conn.events->flooded(&conn->conn, of);
    else
        log_debug("http2", "connection is closed for a flood", KV("of", of));
}

void h2_flood(struct h2_conn *conn, enum h2_guard_kind kind)
{
    if (conn->finishing || conn->closing)
        return;
    tell_flood(conn, h2_guard_info[kind].counter, h2_guard_info[kind].name);
    h2_terminate(conn, NGHTTP2_ENHANCE_YOUR_CALM,
                 is_server(conn) ? FAILURE_FLOODED : FAILURE_RESPONSE_INVALID);
}

bool h2_note(struct h2_conn *conn, enum h2_guard_kind kind)
{
    if (h2_guard_note(&conn->guard, kind, loop_now(conn->loop)))
        return true;
    h2_flood(conn, kind);
    return false;
}

/* ---- out ---- */

static void tell_all_sent(struct h2_conn *conn)
{
    while (!list_is_empty(&conn->told)) {
        struct h2_stream *stream = CONTAINER_OF(conn->told.next, struct h2_stream, told);
        list_remove(&stream->told);
        tell_sent(stream);
    }
}

static void watch_writes(struct h2_conn *conn)
{
    bool unsent = transport_unsent(conn->transport) != 0;
    if (unsent && !conn->write_stalls && is_server(conn))
        h2_arm(conn, conn->settings->timeouts->write);
    conn->write_stalls = unsent;
}

/* What the library has framed it does not frame again. */
static bool write_unwritten(struct h2_conn *conn)
{
    if (!buf_add_span(&conn->transport->out, conn->unwritten))
        return false;
    conn->unwritten = SPAN_NONE;
    return true;
}

bool h2_write_frames(struct h2_conn *conn)
{
    conn->more = false;
    conn->body_waits = false;
    if (!write_unwritten(conn))
        return false;
    for (;;) {
        const uint8_t *bytes;
        if (transport_unsent(conn->transport) >= H2_OUT_MOST) {
            conn->more = true;
            return true;
        }
        ssize_t length = nghttp2_session_mem_send(conn->session, &bytes);
        if (length == 0)
            return !conn->body_waits;
        if (length < 0) { /* the frame that it was making is gone */
            h2_must(conn, (int)length);
            return false;
        }
        conn->unwritten = span_make((const char *)bytes, (size_t)length);
        if (!write_unwritten(conn))
            return false;
    }
}

/* Others hold all there is, and go: as what reads does (transport.c), so this waits for some time. */
static bool waits_for_memory(struct h2_conn *conn)
{
    uint64_t now = loop_now(conn->loop);
    if (conn->starved_at == 0)
        conn->starved_at = now;
    if (now - conn->starved_at >= STARVED_MS)
        return false;
    loop_next_tick(conn->loop, &conn->flush);
    return true;
}

static void h2_flush(struct task *task)
{
    struct h2_conn *conn = CONTAINER_OF(task, struct h2_conn, flush);
    struct buf nothing = {0};
    if (conn->closing || conn->lingering)
        return;
    conn->turned_away = 0;
    bool written = h2_write_frames(conn);
    if (conn->closing)
        return;
    if (conn->hurries) {
        leave(conn);
        return;
    }
    if (written) {
        conn->starved_at = 0;
    } else if (!conn->finishing && !waits_for_memory(conn)) {
        h2_fail(conn, FAILURE_OVERLOADED);
        return;
    }
    if (nghttp2_session_get_outbound_queue_size(conn->session) > QUEUE_MOST) {
        tell_flood(conn, COUNTER_h2_flood_library, "library");
        h2_fail(conn, is_server(conn) ? FAILURE_FLOODED : FAILURE_RESPONSE_INVALID);
        return;
    }
    if (transport_unsent(conn->transport) != 0)
        transport_send(conn->transport, &nothing);
    watch_writes(conn);
    tell_all_sent(conn);
    h2_tell_over(conn);
    bool done =
        nghttp2_session_want_read(conn->session) == 0 && nghttp2_session_want_write(conn->session) == 0;
    if (!conn->closing && !conn->more && (conn->finishing || (done && written)))
        linger(conn);
}

/* ---- in ---- */

static void library_failed(struct h2_conn *conn, int error)
{
    if (conn->finishing || conn->closing)
        return;
    enum failure why = is_server(conn) ? FAILURE_CLIENT_CLOSED : FAILURE_RESPONSE_INVALID;
    switch (error) {
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC: /* it does not speak HTTP/2 */
        h2_fail(conn, why);
        break;
    case NGHTTP2_ERR_NOMEM:
        h2_fail(conn, FAILURE_OVERLOADED);
        break;
    default: /* a bound of the library's own: acknowledgements nobody reads, CONTINUATION frames without an
                end */
        tell_flood(conn, COUNTER_h2_flood_library, "library");
        h2_terminate(conn, NGHTTP2_ENHANCE_YOUR_CALM, is_server(conn) ? FAILURE_FLOODED : why);
        break;
    }
}

/* Bodies that fill what is read are read more at a time. */
static void expect_more(struct h2_conn *conn, size_t length)
{
    transport_expect(conn->transport, length >= BLOCK_ROOM ? 4 * BLOCK_ROOM : 0);
}

void h2_receive_bytes(struct h2_conn *conn, struct buf *bytes)
{
    expect_more(conn, bytes->length);
    for (const struct slice *slice = bytes->first; slice != NULL && !conn->finishing && !conn->closing;
         slice = slice->next) {
        conn->feeding = slice;
        int error = h2_walk(conn, slice->at, slice->length);
        if (error != 0)
            library_failed(conn, error);
    }
    conn->feeding = NULL;
    h2_tell_fresh(conn);
    if (conn->partial != NULL && !conn->closing)
        h2_deliver(conn->partial);
    conn->partial = NULL;
    buf_clear(bytes);
    h2_tell_over(conn);
    h2_later(conn);
}

/* The first byte of a server's SETTINGS is 0, since no frame is as long as 64 KiB. What else it says to our
 * preface may be shorter than a frame's head, and would be waited for: a greeting, or the answer of a server
 * of HTTP/1, which has a word of its own. */
static enum failure no_http_2(const struct buf *bytes)
{
    static const char http_1[] = "HTTP/";
    char begin[sizeof http_1 - 1];
    size_t seen = buf_peek(bytes, begin, sizeof begin);
    if (seen == 0 || begin[0] == 0)
        return FAILURE_NONE;
    return memcmp(begin, http_1, seen) == 0 ? FAILURE_RESPONSE_VERSION : FAILURE_RESPONSE_INVALID;
}

static void on_received(struct transport *transport, struct buf *bytes)
{
    struct h2_conn *conn = transport->owner;
    conn->received += bytes->length;
    conn->received_at = loop_now(conn->loop);
    if (conn->closing || conn->finishing) {
        buf_clear(bytes);
        return;
    }
    if (conn->early.length != 0) { /* which come first */
        buf_move(&conn->early, bytes);
        return;
    }
    if (!is_server(conn) && conn->received == bytes->length) {
        enum failure why = no_http_2(bytes);
        if (why != FAILURE_NONE) {
            buf_clear(bytes);
            h2_fail(conn, why);
            return;
        }
    }
    h2_receive_bytes(conn, bytes);
}

static void on_opened(struct transport *transport)
{
    (void)transport;
    assert(false); /* the codec gets an open transport */
}

static void on_sent(struct transport *transport, size_t bytes)
{
    struct h2_conn *conn = transport->owner;
    if (bytes == 0)
        return;
    struct pace_rule rule = http_pace_rule(conn->settings);
    conn->write_stalls = transport_unsent(transport) != 0;
    if (!conn->write_stalls)
        pace_stop(&conn->pace);
    else if (!pace_runs(&conn->pace) && is_server(conn))
        pace_begin(&conn->pace, transport_taken(transport), loop_now(conn->loop), &rule);
    if (conn->lingering && !conn->closing)
        linger_on(conn);
    if (conn->more && transport_unsent(transport) < H2_OUT_MOST / 2)
        h2_later(conn);
}

/* Why a stream ends when the peer has gone. */
static enum failure death(const struct h2_conn *conn, const struct h2_stream *stream)
{
    if (is_server(conn))
        return h2_tunnel_is_done(stream) ? FAILURE_NONE : FAILURE_CLIENT_CLOSED;
    if (stream->stream.any_received)
        return FAILURE_RESPONSE_CUT;
    return stream->stream.reused && conn->received == stream->bytes_before ? FAILURE_SERVER_STALE
                                                                           : FAILURE_SERVER_CLOSED;
}

static void streams_die(struct h2_conn *conn)
{
    LIST_EACH_SAFE (node, after, &conn->streams) {
        struct h2_stream *stream = CONTAINER_OF(node, struct h2_stream, at);
        h2_over(stream, death(conn, stream));
    }
    drop_leftovers(conn);
}

static void on_ended(struct transport *transport)
{
    struct h2_conn *conn = transport->owner;
    if (!conn->closing && !conn->finishing)
        streams_die(conn);
    h2_fail(conn, FAILURE_NONE);
}

static void conn_free(struct retired *retired)
{
    struct h2_conn *conn = CONTAINER_OF(retired, struct h2_conn, retired);
    nghttp2_session_del(conn->session);
    free(conn);
}

static void on_closed(struct transport *transport, int error)
{
    struct h2_conn *conn = transport->owner;
    bool by_us = conn->closing || error == 0;
    enum failure why = (enum failure)conn->why;
    conn->closing = true;
    deadline_clear(&conn->deadline);
    if (by_us)
        end_streams(conn, why);
    else
        streams_die(conn);
    h2_tell_over(conn);
    loop_cancel(conn->loop, &conn->flush);
    loop_cancel(conn->loop, &conn->step);
    h2_drop_fill(conn);
    buf_clear(&conn->early);
    if (is_server(conn))
        counter_add(COUNTER_h2_connections, -1);
    conn->conn.events->closed(&conn->conn, by_us             ? why
                                           : is_server(conn) ? FAILURE_CLIENT_CLOSED
                                                             : FAILURE_SERVER_CLOSED);
    loop_retire(conn->loop, &conn->retired);
}

static const struct transport_events h2_transport_events = {
    .opened = on_opened,
    .received = on_received,
    .sent = on_sent,
    .ended = on_ended,
    .closed = on_closed,
};

/* ---- drain ---- */

/* RFC 9113 6.8: first "no more after this", and once that has had a round trip (a PING measures it) or a
 * second, what the last stream was. */
static void drain_finally(struct h2_conn *conn)
{
    conn->drain_due = false;
    if (conn->goaway_sent || conn->finishing)
        return;
    conn->goaway_sent = true;
    int32_t last = nghttp2_session_get_last_proc_stream_id(conn->session);
    h2_must(conn, nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0));
    h2_later(conn);
}

static void h2_drain(struct http_conn *http)
{
    struct h2_conn *conn = h2_of(http);
    if (conn->draining || conn->closing)
        return;
    conn->draining = true;
    if (!is_server(conn)) {
        if (conn->streams_count == 0)
            h2_terminate(conn, NGHTTP2_NO_ERROR, FAILURE_NONE);
        return;
    }
    (void)nghttp2_submit_shutdown_notice(conn->session); /* without it the second step says all */
    conn->drain_since = loop_now(conn->loop);
    h2_arm(conn, H2_DRAIN_STEP_MS);
    h2_later(conn);
}

/* What calls have put off to the loop: the first bytes of tunnels, ends of streams, the second step of a
 * drain. */
static void h2_step(struct task *task)
{
    struct h2_conn *conn = CONTAINER_OF(task, struct h2_conn, step);
    if (conn->closing && list_is_empty(&conn->over))
        return;
    if (conn->early.length != 0 && !conn->closing)
        h2_receive_bytes(conn, &conn->early);
    LIST_EACH_SAFE (node, after, &conn->streams) {
        struct h2_stream *stream = CONTAINER_OF(node, struct h2_stream, at);
        if (stream->raw && stream->announced)
            h2_deliver(stream);
    }
    h2_tell_over(conn);
    if (conn->drain_due && !conn->closing)
        drain_finally(conn);
}

/* ---- timers: the deadline comes early, looks, and sleeps on ---- */

void h2_arm(struct h2_conn *conn, uint64_t milliseconds)
{
    if (milliseconds == 0 || conn->closing || conn->lingering)
        return;
    if (!deadline_is_set(&conn->deadline) || conn->deadline.due > loop_now(conn->loop) + milliseconds)
        deadline_set(&conn->deadline, conn->loop, milliseconds);
}

/* True when it is due; else `next` comes no later than it. */
static bool is_due(uint64_t since, uint64_t length, uint64_t now, uint64_t *next)
{
    uint64_t due = since + length;
    if (length == 0)
        return false;
    if (now >= due)
        return true;
    *next = due < *next ? due : *next;
    return false;
}

/* The body must come at least at the least rate, averaged over an idle time. */
static bool body_is_too_slow(struct h2_stream *stream, uint64_t now)
{
    const struct timeouts_config *timeouts = stream->conn->settings->timeouts;
    uint64_t least = stream->conn->settings->limits->least_body_rate, elapsed = now - stream->rate_since;
    if (least == 0 || elapsed < timeouts->request_idle)
        return false;
    bool slow = stream->rate_bytes < least * elapsed / 1000;
    stream->rate_bytes = 0;
    stream->rate_since = now;
    return slow;
}

/* The end of an answer, or its trailers, wait as its bytes do: the library asks for them only when there is a
 * window. A head that ends the answer waits for the transport alone. */
static bool waits_for_window(const struct h2_stream *stream)
{
    return stream->out.length != 0 || (stream->out_last && !stream->out_ended && !stream->conn->write_stalls);
}

/* How far the client is with what the connection has sent it, at one look. */
struct reader {
    uint64_t now, taken;
    struct pace_rule rule;
    bool line_is_slow; /* what the socket has goes at less than the least rate: that is no line to wait for */
    bool shut_out;     /* a stream waits for the connection's window */
};

/* What it was sent has arrived: what it lets through by its windows now is its own doing, not its line's. */
static bool has_arrived(const struct reader *reader, uint64_t framed_at)
{
    return reader->line_is_slow || framed_at <= reader->taken;
}

/*
 * A stream waits for the client when its window is shut, or the connection's, which other streams may have
 * used before its turn came: then what they get counts too. While neither is shut it waits for the transport
 * only, which is looked at by itself, and so does what is still on its way.
 */
static bool reads_too_slowly(struct h2_stream *stream, struct reader *reader, uint64_t *next)
{
    struct h2_conn *conn = stream->conn;
    bool shut = nghttp2_session_get_stream_remote_window_size(conn->session, stream->id) <= 0;
    bool all_shut = nghttp2_session_get_remote_window_size(conn->session) <= 0;
    if (shut && waits_for_window(stream) && has_arrived(reader, stream->framed_at))
        return pace_is_slow(&stream->pace, stream->framed, reader->now, &reader->rule, next);
    pace_stop(&stream->pace);
    if (!waits_for_window(stream))
        return false;
    reader->shut_out = reader->shut_out || (!shut && all_shut);
    if (!shut && all_shut && has_arrived(reader, conn->framed_at))
        return pace_is_slow(&conn->window_pace, conn->framed, reader->now, &reader->rule, next);
    (void)is_due(reader->now, reader->rule.length, reader->now, next);
    return false;
}

static void look_at_stream(struct h2_stream *stream, struct reader *reader, uint64_t *next)
{
    const struct timeouts_config *timeouts = stream->conn->settings->timeouts;
    uint64_t now = reader->now;
    if (stream->over || !stream->announced)
        return;
    bool receives =
        !stream->in_ended && !stream->raw && !stream->hold && !stream->refused && !stream->stream.patient;
    if (receives && stream->uncredited >= stream->window / 2)
        stream->since_in = stream->rate_since = now; /* it waits for us */
    if (receives &&
        (is_due(stream->since_in, timeouts->request_idle, now, next) || body_is_too_slow(stream, now)))
        h2_refuse(stream, FAILURE_BODY_TIMEOUT);
    else if (reads_too_slowly(stream, reader, next))
        h2_reset(stream, NGHTTP2_CANCEL, FAILURE_CLIENT_STALLED);
}

/* Whether what the socket has moves. Looked at only while streams wait: what was seen long ago says nothing.
 */
static bool line_is_slow(struct h2_conn *conn, const struct reader *reader, uint64_t *next)
{
    bool all_arrived = reader->taken >= conn->transport->sent;
    if (all_arrived || reader->now > conn->looked + 3 * reader->rule.length)
        pace_stop(&conn->line_pace);
    return !all_arrived && pace_is_slow(&conn->line_pace, reader->taken, reader->now, &reader->rule, next);
}

static void look_at_streams(struct h2_conn *conn, uint64_t now, uint64_t *next)
{
    struct reader reader = {
        .now = now, .taken = transport_taken(conn->transport), .rule = http_pace_rule(conn->settings)};
    if (conn->write_stalls && pace_is_slow(&conn->pace, reader.taken, now, &reader.rule, next)) {
        h2_fail(conn, FAILURE_CLIENT_STALLED);
        return;
    }
    reader.line_is_slow = line_is_slow(conn, &reader, next);
    conn->looked = now;
    LIST_EACH_SAFE (node, after, &conn->streams)
        look_at_stream(CONTAINER_OF(node, struct h2_stream, at), &reader, next);
    if (!reader.shut_out)
        pace_stop(&conn->window_pace);
}

static void look_at_server(struct h2_conn *conn, uint64_t now, uint64_t *next)
{
    const struct timeouts_config *timeouts = conn->settings->timeouts;
    if (conn->since_head != 0 && is_due(conn->since_head, timeouts->request_head, now, next)) {
        h2_terminate(conn, NGHTTP2_ENHANCE_YOUR_CALM, FAILURE_CLIENT_CLOSED);
        return;
    }
    if (conn->draining && !conn->goaway_sent && is_due(conn->drain_since, H2_DRAIN_STEP_MS, now, next))
        drain_finally(conn);
    if (conn->streams_count == 0 &&
        now - conn->since >= (conn->any_stream ? timeouts->keep_alive : timeouts->request_head)) {
        h2_terminate(conn, NGHTTP2_NO_ERROR, FAILURE_NONE);
        return;
    }
    if (conn->streams_count == 0)
        (void)is_due(conn->since, conn->any_stream ? timeouts->keep_alive : timeouts->request_head, now,
                     next);
    look_at_leftovers(conn, now, next);
    look_at_streams(conn, now, next);
}

/*
 * When a server is to be asked whether it is there. One that has answered and still sends nothing is asked
 * seldom: those of gRPC end a connection on which PINGs come more often than every five minutes while they
 * have nothing to send (grpc/doc/keepalive.md).
 */
static bool ping_is_due(const struct h2_conn *conn, uint64_t now, uint64_t *next)
{
    uint64_t length = conn->settings->timeouts->ping;
    uint64_t heard = conn->received_at > conn->since ? conn->received_at : conn->since;
    bool was_asked = conn->ping_at > conn->said_at; /* what is said in that millisecond is an answer */
    if (!was_asked || length >= PING_AGAIN_MS)
        return is_due(heard, length, now, next);
    *next = now + length < *next ? now + length : *next; /* it may have said something by then */
    return is_due(conn->ping_at, PING_AGAIN_MS, now, next);
}

/* A server that says nothing while it has requests is asked; one that does not answer is gone. */
static void look_at_client(struct h2_conn *conn, uint64_t now, uint64_t *next)
{
    const struct timeouts_config *timeouts = conn->settings->timeouts;
    look_at_leftovers(conn, now, next);
    if (conn->streams_count == 0 || timeouts->ping == 0) {
        conn->ping_out = false;
        return;
    }
    if (conn->ping_out && now - conn->ping_at >= timeouts->ping_answer) {
        streams_die(conn);
        h2_fail(conn, FAILURE_SERVER_CLOSED);
        return;
    }
    if (conn->ping_out) {
        (void)is_due(conn->ping_at, timeouts->ping_answer, now, next);
        return;
    }
    if (!ping_is_due(conn, now, next))
        return;
    conn->ping_out = true;
    conn->ping_at = now;
    h2_must(conn, nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, NULL));
    h2_later(conn);
    (void)is_due(now, timeouts->ping_answer, now, next);
}

static void h2_passed(struct deadline *deadline)
{
    struct h2_conn *conn = CONTAINER_OF(deadline, struct h2_conn, deadline);
    uint64_t now = loop_now(conn->loop), next = UINT64_MAX;
    if (conn->closing)
        return;
    if (conn->lingering && lingers_on(conn, now))
        return;
    if (conn->lingering || (conn->finishing && ends_in_time(conn))) {
        if (conn->flooded)
            transport_reset(conn->transport);
        h2_fail(conn, FAILURE_NONE);
        return;
    }
    if (conn->finishing) /* what it is told has not left, and nothing else is waited for */
        look_at_streams(conn, now, &next);
    else if (is_server(conn))
        look_at_server(conn, now, &next);
    else
        look_at_client(conn, now, &next);
    h2_tell_over(conn);
    if (next != UINT64_MAX && !conn->closing && !conn->lingering)
        h2_arm(conn, next > now ? next - now : 1);
}

/* ---- the interface ---- */

static struct stream *h2_open(struct http_conn *http)
{
    struct h2_conn *conn = h2_of(http);
    assert(conn->conn.role == HTTP_CLIENT && !conn->closing);
    if (conn->streams_count == 0)
        conn->since = loop_now(conn->loop);
    struct h2_stream *stream = h2_stream_new(conn);
    if (stream == NULL)
        return NULL;
    stream->announced = true;
    stream->stream.reused = conn->any_stream;
    stream->bytes_before = conn->received;
    conn->any_stream = true;
    h2_arm(conn, conn->settings->timeouts->ping);
    return &stream->stream;
}

static unsigned h2_room(const struct http_conn *http)
{
    const struct h2_conn *conn = h2_of(http);
    if (conn->closing || conn->finishing || conn->draining || conn->peer_goaway ||
        nghttp2_session_check_request_allowed(conn->session) == 0)
        return 0;
    uint32_t most =
        nghttp2_session_get_remote_settings(conn->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    unsigned open = conn->streams_count + conn->leftovers_count;
    return open < most ? most - open : 0;
}

static void h2_close(struct http_conn *http, enum http_close how)
{
    struct h2_conn *conn = h2_of(http);
    enum failure why = http_close_failure(http, how);
    bool soon = how == HTTP_CLOSE_SOON;
    /* who does not take what waits for it does not take a GOAWAY either */
    bool stuck = conn->flooded || transport_unsent(conn->transport) != 0;
    if (how == HTTP_CLOSE_RESET || (soon && stuck))
        transport_reset(conn->transport);
    if (how == HTTP_CLOSE_RESET || (soon && (stuck || conn->finishing))) {
        h2_fail(conn, why);
        return;
    }
    conn->hurries = soon;
    h2_terminate(conn, NGHTTP2_NO_ERROR, why);
}

static void h2_settings(struct http_conn *http, const struct http_settings *settings)
{
    h2_of(http)->settings = settings;
}

static void h2_each(struct http_conn *http, void (*act)(struct stream *stream, void *argument),
                    void *argument)
{
    struct h2_conn *conn = h2_of(http);
    LIST_EACH_SAFE (node, after, &conn->streams) {
        struct h2_stream *stream = CONTAINER_OF(node, struct h2_stream, at);
        if (stream->announced && !stream->over)
            act(&stream->stream, argument);
    }
}

static struct transport *h2_transport(const struct http_conn *http)
{
    return h2_of(http)->transport;
}

static int h2_keep_alive_hint(const struct http_conn *http)
{
    (void)http;
    return -1;
}

#define ITSELF (14u << 10)  /* bytes of a connection that has not asked, the library's most of all */
#define FRAME_WAITING 256u  /* bytes that one of the library's frames takes, about */
#define STREAM_ITSELF 1024u /* and a stream, beside what it has received and is to send */

size_t h2_held(const struct h2_conn *conn)
{
    return conn->kept + conn->held + conn->unsent + buf_kept(&conn->transport->out) +
           conn->streams_count * STREAM_ITSELF +
           nghttp2_session_get_outbound_queue_size(conn->session) * FRAME_WAITING;
}

static size_t held(const struct http_conn *http)
{
    const struct h2_conn *conn = h2_of(http);
    size_t held = ITSELF + h2_held(conn);
    LIST_EACH (node, &conn->streams) {
        const struct h2_stream *stream = CONTAINER_OF(node, struct h2_stream, at);
        if (stream->announced && !stream->over)
            held += http_held_above(&stream->stream);
    }
    return held;
}

static const struct http_conn_ops h2_conn_ops = {
    .open = h2_open,
    .room = h2_room,
    .drain = h2_drain,
    .close = h2_close,
    .each = h2_each,
    .settings = h2_settings,
    .transport = h2_transport,
    .keep_alive_hint = h2_keep_alive_hint,
    .held = held,
    .least = ITSELF + STREAM_ITSELF + BLOCK_SIZE,
};

/* What we say first. The stream windows begin at the protocol's own size and grow by themselves; the
 * connection's does not hold streams back. */
static bool say_settings(struct h2_conn *conn)
{
    const struct limits_config *limits = conn->settings->limits;
    const nghttp2_settings_entry server[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)limits->streams},
        /* 32 a field: RFC 9113 6.5.2 */
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)(limits->header_list + 32 * limits->fields)},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    };
    const nghttp2_settings_entry client[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)(limits->response_head + 320 * limits->fields)},
    };
    int result = is_server(conn)
                     ? nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, server, COUNT_OF(server))
                     : nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, client, COUNT_OF(client));
    int32_t window =
        (int32_t)(limits->connection_window / 2 < INT32_MAX ? limits->connection_window / 2 : INT32_MAX);
    if (result == 0 && window > (int32_t)H2_FIRST_WINDOW)
        result = nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0, window);
    return result == 0;
}

struct http_conn *h2_conn_new(enum http_role role, struct transport *transport,
                              const struct http_settings *settings, struct buf *early,
                              const struct http_conn_events *events, void *owner)
{
    struct h2_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return NULL;
    conn->conn = (struct http_conn){
        .events = events, .owner = owner, .version = HTTP_2, .role = role, .ops = &h2_conn_ops};
    conn->transport = transport;
    conn->settings = settings;
    conn->loop = transport->loop;
    list_init(&conn->streams);
    list_init(&conn->leftovers);
    list_init(&conn->told);
    list_init(&conn->over);
    list_init(&conn->waiting);
    list_init(&conn->fresh);
    conn->flush.run = h2_flush;
    conn->step.run = h2_step;
    conn->deadline.passed = h2_passed;
    conn->retired.free = conn_free;
    conn->since = loop_now(conn->loop);
    h2_walk_begin(conn);
    conn->session = h2_session_new(conn);
    if (conn->session == NULL || !say_settings(conn)) {
        if (conn->session != NULL)
            nghttp2_session_del(conn->session);
        free(conn);
        return NULL;
    }
    transport->events = &h2_transport_events;
    transport->owner = conn;
    if (role == HTTP_SERVER) {
        counter_add(COUNTER_h2_connections, 1);
        h2_arm(conn, settings->timeouts->request_head);
    }
    h2_later(conn);
    if (early != NULL && early->length != 0) {
        buf_move(&conn->early, early);
        loop_later(conn->loop, &conn->step);
    }
    return &conn->conn;
}
