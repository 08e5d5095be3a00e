/*
 * The life of an HTTP/1 connection in both roles: one message each way at a time, keep-alive, lingering, and
 * in server role the timers of the client's side. h1_receive.c turns bytes into events, h1_send.c calls into
 * bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "config/config.h"
#include "http/h1.h"
#include "http/h1_conn.h"
#include "http/h1_write.h"

struct h1_conn *h1_of_stream(struct stream *stream)
{
    return CONTAINER_OF(stream, struct h1_conn, stream);
}

static struct h1_conn *h1_of(const struct http_conn *conn)
{
    return (struct h1_conn *)(uintptr_t)conn; /* its first member */
}

/* ---- the timer: it comes early, looks, and sleeps on ---- */

void h1_arm(struct h1_conn *conn, uint64_t milliseconds)
{
    if (conn->conn.role == HTTP_CLIENT || milliseconds == 0)
        return;
    if (!deadline_is_set(&conn->deadline) || conn->deadline.due > loop_now(h1_loop(conn)) + milliseconds)
        deadline_set(&conn->deadline, h1_loop(conn), milliseconds);
}

void h1_touch(struct h1_conn *conn)
{
    conn->since = loop_now(h1_loop(conn));
}

static bool receives_body(const struct h1_conn *conn)
{
    return conn->receiving == RECEIVE_LENGTH || conn->receiving == RECEIVE_CHUNKED ||
           conn->receiving == RECEIVE_TRAILERS;
}

/* What is waited for, how long it may take, and since when. Length 0: nothing. */
struct wait {
    uint64_t since, length;
    void (*passed)(struct h1_conn *conn);
};

/* The peer has all bytes that were ever sent to it: what becomes of the connection can't take them from it.
 */
static bool all_is_taken(const struct h1_conn *conn)
{
    const struct transport *transport = conn->transport;
    return transport_unsent(transport) == 0 && transport_taken(transport) >= transport->sent;
}

static void idle_passed(struct h1_conn *conn)
{
    if (!conn->lingering && conn->requests != 0 && !all_is_taken(conn)) {
        h1_linger(conn);
        return;
    }
    transport_close(conn->transport);
    conn->closing = true;
}

static void head_passed(struct h1_conn *conn)
{
    h1_refuse(conn, FAILURE_HEAD_TIMEOUT);
}

static void body_passed(struct h1_conn *conn)
{
    h1_refuse(conn, FAILURE_BODY_TIMEOUT);
}

static void half_closed_passed(struct h1_conn *conn)
{
    if (conn->minor_version == 0) {
        h1_fail(conn, FAILURE_CLIENT_CLOSED); /* HTTP/1.0 knows no interim responses to ask with */
        return;
    }
    if (conn->interims < H1_PROBES_QUICK)
        conn->interims++;
    h1_probe(conn);
}

static struct wait half_closed_wait(const struct h1_conn *conn)
{
    uint64_t length = conn->interims < H1_PROBES_QUICK ? H1_PROBE_MS : H1_PROBE_LATER_MS;
    return (struct wait){conn->since,
                         conn->minor_version != 0 ? length : conn->settings->timeouts->half_closed,
                         half_closed_passed};
}

/* A time of 0 is none at all: at the timer's next look. */
static uint64_t or_at_once(uint64_t milliseconds)
{
    return milliseconds != 0 ? milliseconds : 1;
}

static uint64_t linger_time(const struct h1_conn *conn)
{
    return or_at_once(conn->settings->timeouts->linger);
}

/* Who still sends a request that was answered has not looked at the answer, and a reset would take it from
 * him: so what comes is read as long as it comes, within a least rate and a time in all. */
static void linger_passed(struct h1_conn *conn)
{
    uint64_t now = loop_now(h1_loop(conn)), time = linger_time(conn);
    uint64_t least = conn->settings->limits->least_body_rate * time / 1000;
    if (conn->rate_bytes <= least || now - conn->rate_since >= HTTP_LINGERS * time) {
        idle_passed(conn);
        return;
    }
    conn->rate_bytes = 0;
    h1_touch(conn);
    h1_arm(conn, time);
}

/* A reset that comes behind what was sent must not overtake it. */
static void cut_passed(struct h1_conn *conn)
{
    if (all_is_taken(conn) || loop_now(h1_loop(conn)) - conn->rate_since >= linger_time(conn)) {
        conn->closing = true;
        transport_reset(conn->transport);
        return;
    }
    h1_touch(conn);
    h1_arm(conn, H1_CUT_LOOK_MS);
}

/* The answer has left: from now on it lingers, or what is left of the request is thrown away. */
static void linger_begins(struct h1_conn *conn)
{
    h1_drop_fill(conn);
    h1_touch(conn);
    if (!conn->leftover) { /* else it has begun already */
        conn->rate_since = conn->since;
        conn->rate_bytes = 0;
    }
    h1_arm(conn, linger_time(conn));
}

/* How long the connection may be quiet before a request. */
static uint64_t quiet_time(const struct h1_conn *conn)
{
    const struct timeouts_config *timeouts = conn->settings->timeouts;
    if (conn->draining)
        return H1_DRAIN_QUIET_MS;
    return conn->requests == 0 ? timeouts->request_head : or_at_once(timeouts->keep_alive);
}

/* The peer sends nothing. */
static struct wait read_wait(const struct h1_conn *conn)
{
    const struct timeouts_config *timeouts = conn->settings->timeouts;
    if (conn->cut)
        return (struct wait){conn->since, H1_CUT_LOOK_MS, cut_passed};
    if (conn->lingering || conn->leftover)
        return (struct wait){conn->since, linger_time(conn), linger_passed};
    if (conn->receiving == RECEIVE_HEAD && conn->in_head)
        return (struct wait){conn->since, timeouts->request_head, head_passed};
    if (conn->receiving == RECEIVE_HEAD)
        return (struct wait){conn->since, quiet_time(conn), idle_passed};
    if (receives_body(conn) && !conn->paused)
        return (struct wait){conn->since, timeouts->request_idle, body_passed};
    if (conn->peer_ended && conn->sending == SEND_NOTHING && conn->receiving == RECEIVE_NOTHING)
        return half_closed_wait(conn);
    return (struct wait){0, 0, NULL};
}

/* The body must come at least at the least rate, averaged over an idle time. */
static bool body_is_too_slow(struct h1_conn *conn)
{
    const struct timeouts_config *timeouts = conn->settings->timeouts;
    uint64_t now = loop_now(h1_loop(conn));
    if (conn->lingering || conn->leftover)
        return false; /* linger_passed() sees to it */
    if (!receives_body(conn) || conn->paused || conn->settings->limits->least_body_rate == 0) {
        conn->rate_since = 0;
        return false;
    }
    if (conn->rate_since == 0)
        conn->rate_since = now;
    uint64_t elapsed = now - conn->rate_since;
    if (elapsed < timeouts->request_idle)
        return false;
    bool slow = conn->rate_bytes < conn->settings->limits->least_body_rate * elapsed / 1000;
    conn->rate_bytes = 0;
    conn->rate_since = now;
    return slow;
}

/* What waits for the client must be taken at least at the least rate. */
static bool reads_too_slowly(struct h1_conn *conn, uint64_t now, uint64_t *next)
{
    struct pace_rule rule = http_pace_rule(conn->settings);
    return conn->write_stalls && conn->conn.role == HTTP_SERVER &&
           pace_is_slow(&conn->pace, transport_taken(conn->transport), now, &rule, next);
}

static void h1_passed(struct deadline *deadline)
{
    struct h1_conn *conn = CONTAINER_OF(deadline, struct h1_conn, deadline);
    uint64_t now = loop_now(h1_loop(conn)), next = UINT64_MAX;
    if (conn->closing)
        return;
    if (reads_too_slowly(conn, now, &next)) {
        h1_fail(conn, FAILURE_CLIENT_STALLED);
        return;
    }
    struct wait wait = read_wait(conn);
    uint64_t due = wait.since + wait.length;
    if (wait.length != 0 && now >= due) {
        wait.passed(conn);
        if (!conn->closing)
            h1_finish_message(conn);
        return;
    }
    if (wait.length != 0 && due < next)
        next = due;
    if (body_is_too_slow(conn)) {
        h1_refuse(conn, FAILURE_BODY_TIMEOUT);
        return;
    }
    if (next != UINT64_MAX)
        deadline_set(deadline, h1_loop(conn), next - now);
}

/* ---- the end of a message, and of the connection ---- */

void h1_end_stream(struct h1_conn *conn, enum failure why)
{
    if (!conn->stream_open)
        return;
    conn->stream_open = false;
    conn->stream.arena = NULL; /* the owner's */
    conn->stream.events->closed(&conn->stream, why);
}

/* Only the end of the connection tells the peer where what it reads ends: one that we make would be taken for
 * the other side's. */
static bool end_is_believed(const struct h1_conn *conn)
{
    return conn->sending == SEND_RAW || (conn->conn.role == HTTP_SERVER && conn->sending == SEND_BODY &&
                                         conn->framing == H1_FRAMING_CLOSE);
}

/*
 * A socket that is closed while requests lie unread in it is reset, and the reset takes what is still on its
 * way: answers that were given long ago, too, when the client sends one request behind another. So our side
 * ends, and what comes is read. Not for who is gone or takes nothing; nor where what waits here is wrong, or
 * memory that is wanted.
 */
static bool may_be_read(const struct h1_conn *conn, enum failure why)
{
    bool said = conn->requests > 1 || conn->sending != SEND_NOTHING;
    bool gone = why == FAILURE_CLIENT_CLOSED || why == FAILURE_CLIENT_STALLED || why == FAILURE_SHUTTING_DOWN;
    bool drops =
        (why == FAILURE_OVERLOADED || why == FAILURE_INTERNAL) && transport_unsent(conn->transport) != 0;
    return conn->conn.role == HTTP_SERVER && said && !gone && !drops && !conn->lingering;
}

static void fail(struct h1_conn *conn, enum failure why, bool waits)
{
    if (conn->closing)
        return;
    conn->closing = true;
    conn->why = (uint8_t)why;
    if (waits) {
        conn->failing = true;
        loop_later(h1_loop(conn), &conn->step);
    } else if (end_is_believed(conn)) {
        transport_cut(conn->transport);
    } else {
        transport_close(conn->transport);
    }
}

void h1_fail(struct h1_conn *conn, enum failure why)
{
    fail(conn, why, may_be_read(conn, why));
}

/* What h1_fail() has put off: the stream ends at once, and the connection when its client has read. */
static void fail_now(struct h1_conn *conn)
{
    bool cut = end_is_believed(conn);
    conn->failing = conn->closing = false;
    h1_end_stream(conn, (enum failure)conn->why);
    if (conn->closing)
        return;
    conn->cut = cut;
    h1_linger(conn);
}

/* Nothing more comes from a client that has ended: once it is given all there is, nothing is waited for. */
static void look_at_lingering(struct h1_conn *conn)
{
    if (conn->peer_ended && !conn->cut && transport_unsent(conn->transport) == 0)
        idle_passed(conn);
}

void h1_linger(struct h1_conn *conn)
{
    conn->receiving = RECEIVE_DISCARD;
    conn->lingering = true;
    conn->gathered = NULL;
    conn->gathered_length = 0;
    buf_clear(&conn->in);
    if (!conn->cut)
        transport_finish(conn->transport);
    linger_begins(conn);
    conn->leftover = false;
    if (conn->cut)
        h1_arm(conn, H1_CUT_LOOK_MS);
    if (conn->paused) {
        conn->paused = false;
        transport_resume(conn->transport);
    }
    look_at_lingering(conn);
}

static void ready_for_next(struct h1_conn *conn)
{
    conn->receiving = RECEIVE_HEAD;
    conn->sending = SEND_NOTHING;
    conn->uncredited = conn->body_queued = 0;
    conn->interims = 0;
    conn->head_told = conn->asked_upgrade = conn->head_request = false;
    conn->leftover = conn->expects = conn->end_told = false;
    conn->discarded = 0;
    h1_drop_fill(conn);
}

static void close_quietly(struct h1_conn *conn)
{
    conn->closing = true;
    transport_close(conn->transport);
}

/* Nothing of the exchange is left: the next request may come, or is here. */
static void server_exchange_over(struct h1_conn *conn)
{
    ready_for_next(conn);
    h1_touch(conn);
    h1_arm(conn, quiet_time(conn));
    conn->conn.events->idle(&conn->conn);
    if (!conn->closing && (conn->in.length != 0 || conn->paused || conn->peer_ended))
        loop_later(h1_loop(conn), &conn->step);
}

/* A request that was answered before it was whole: its rest is thrown away, so that the next one can be
 * found. */
static void throw_rest_away(struct h1_conn *conn)
{
    linger_begins(conn);
    conn->leftover = true;
    conn->uncredited = 0;
    if (conn->in.length != 0 || conn->paused)
        loop_later(h1_loop(conn), &conn->step);
}

/* Ends the connection after a whole exchange. Over TLS, and where the end of the connection is the end of the
 * body, it has to be said properly. A client that has not said that it ends may have sent another request,
 * and one that has said so may do it all the same, before it has what it was sent (RFC 9112 9.6). */
static void close_politely(struct h1_conn *conn)
{
    bool says_more = conn->in.length != 0 || conn->peer_keeps || !all_is_taken(conn);
    if (!says_more && !conn->transport->kind->tls && conn->framing != H1_FRAMING_CLOSE)
        close_quietly(conn);
    else
        h1_linger(conn);
}

/* The response has left. */
static void server_message_over(struct h1_conn *conn)
{
    bool whole = conn->receiving == RECEIVE_NOTHING;
    /* where the next request would begin is not known */
    bool lost = conn->receiving == RECEIVE_DISCARD || !h1_gather_anew(conn);
    h1_end_stream(conn, FAILURE_NONE);
    if (conn->closing)
        return;
    if (whole && conn->close_after)
        close_politely(conn);
    else if (conn->close_after || lost)
        h1_linger(conn);
    else if (whole)
        server_exchange_over(conn);
    else
        throw_rest_away(conn);
}

static void client_message_over(struct h1_conn *conn)
{
    bool sent = conn->sending == SEND_ENDED && transport_unsent(conn->transport) == 0;
    bool keep = sent && conn->peer_keeps && !conn->close_after && !conn->peer_ended && !conn->draining &&
                conn->in.length == 0;
    h1_end_stream(conn, FAILURE_NONE);
    if (conn->closing)
        return;
    if (!keep) {
        close_quietly(conn);
        return;
    }
    ready_for_next(conn);
    conn->receiving = RECEIVE_NOTHING;
    conn->conn.events->idle(&conn->conn);
}

void h1_finish_message(struct h1_conn *conn)
{
    if (conn->leftover && conn->receiving == RECEIVE_NOTHING) {
        server_exchange_over(conn);
        return;
    }
    if (!conn->stream_open)
        return;
    bool sent = conn->sending == SEND_ENDED && transport_unsent(conn->transport) == 0;
    if (conn->receiving == RECEIVE_RAW) {
        if (sent && conn->raw_ended) {
            h1_end_stream(conn, FAILURE_NONE);
            if (!conn->closing)
                close_quietly(conn);
        }
    } else if (conn->conn.role == HTTP_SERVER) {
        if (sent)
            server_message_over(conn);
    } else if (conn->head_told && conn->receiving == RECEIVE_NOTHING) {
        client_message_over(conn);
    }
}

/* ---- tasks and transport events ---- */

static void h1_step(struct task *task)
{
    struct h1_conn *conn = CONTAINER_OF(task, struct h1_conn, step);
    if (conn->failing) {
        fail_now(conn);
        return;
    }
    if (conn->closing)
        return;
    bool room = conn->uncredited <= conn->stream.window / 2 || !conn->stream_open;
    if (room)
        h1_receive(conn);
    else
        h1_finish_message(conn);
    bool wants = conn->receiving != RECEIVE_NOTHING || conn->in.length <= BLOCK_ROOM;
    if (!conn->closing && conn->paused && room && wants && conn->uncredited <= conn->stream.window / 2) {
        conn->paused = false;
        h1_touch(conn);
        transport_resume(conn->transport);
        if (receives_body(conn))
            h1_arm(conn, conn->settings->timeouts->request_idle);
    }
}

static void on_opened(struct transport *transport)
{
    (void)transport;
    assert(false); /* the codec gets an open transport */
}

static void on_received(struct transport *transport, struct buf *bytes)
{
    struct h1_conn *conn = transport->owner;
    if (conn->closing) {
        buf_clear(bytes);
        return;
    }
    h1_received(conn, bytes);
}

static void on_sent(struct transport *transport, size_t bytes)
{
    struct h1_conn *conn = transport->owner;
    if (conn->conn.role == HTTP_CLIENT && conn->stream_open) {
        conn->stream.any_sent = 1;
        conn->stream.request_sent = conn->sending == SEND_ENDED && transport_unsent(transport) == 0;
    }
    if (bytes == 0)
        return;
    h1_report_sent(conn);
    if (conn->lingering && !conn->closing)
        look_at_lingering(conn);
    if (!conn->closing)
        h1_finish_message(conn);
}

static void on_ended(struct transport *transport)
{
    h1_peer_ended(transport->owner);
}

/* Why the stream ends when the transport died by itself. */
static enum failure death(const struct h1_conn *conn, int error)
{
    if (conn->closing || error == 0)
        return (enum failure)conn->why;
    if (conn->conn.role == HTTP_SERVER) {
        bool done = conn->receiving == RECEIVE_RAW && conn->sending == SEND_ENDED; /* as in h2.h */
        return done && transport_unsent(conn->transport) == 0 ? FAILURE_NONE : FAILURE_CLIENT_CLOSED;
    }
    if (conn->head_told || conn->stream.any_received)
        return h1_end_of_response(conn);
    return conn->stream.reused ? FAILURE_SERVER_STALE : FAILURE_SERVER_CLOSED;
}

static void h1_free(struct retired *retired)
{
    struct h1_conn *conn = CONTAINER_OF(retired, struct h1_conn, retired);
    free(conn);
}

static void on_closed(struct transport *transport, int error)
{
    struct h1_conn *conn = transport->owner;
    enum failure why = death(conn, error);
    conn->closing = true;
    deadline_clear(&conn->deadline);
    loop_cancel(h1_loop(conn), &conn->step);
    buf_clear(&conn->in);
    h1_drop_fill(conn);
    if (conn->stream_open)
        h1_end_stream(conn, why);
    else if (conn->conn.role == HTTP_SERVER)
        arena_free(conn->stream.arena); /* of a head that never became a request */
    conn->conn.events->closed(&conn->conn, why);
    conn->retired = (struct retired){.free = h1_free};
    loop_retire(h1_loop(conn), &conn->retired);
}

static const struct transport_events h1_transport_events = {
    .opened = on_opened,
    .received = on_received,
    .sent = on_sent,
    .ended = on_ended,
    .closed = on_closed,
};

/* ---- the interface ---- */

static struct stream *h1_open(struct http_conn *http)
{
    struct h1_conn *conn = h1_of(http);
    assert(!conn->stream_open && !conn->closing);
    conn->stream.any_sent = conn->stream.request_sent = conn->stream.any_received = conn->stream.takes_pipes =
        0;
    conn->stream.reused = conn->requests != 0;
    conn->stream.window = SIZE_MAX;
    conn->requests++;
    conn->stream_open = true;
    conn->keep_alive_hint = -1;
    conn->peer_keeps = true;
    conn->receiving = RECEIVE_HEAD;
    return &conn->stream;
}

static unsigned h1_room(const struct http_conn *http)
{
    const struct h1_conn *conn = h1_of(http);
    return !conn->stream_open && !conn->closing && !conn->draining && !conn->peer_ended &&
           !conn->close_after && (conn->conn.role == HTTP_SERVER || !transport_is_stale(conn->transport));
}

static void h1_drain(struct http_conn *http)
{
    struct h1_conn *conn = h1_of(http);
    if (conn->draining || conn->closing)
        return;
    conn->draining = true;
    if (conn->conn.role == HTTP_CLIENT) {
        if (!conn->stream_open)
            close_quietly(conn);
        return;
    }
    /* A quiet client may be sending its first or next request right now: it gets an answer with Connection:
     * close instead of a reset. */
    if (!conn->stream_open)
        h1_touch(conn);
    h1_arm(conn, H1_DRAIN_QUIET_MS);
}

static void h1_close(struct http_conn *http, enum http_close how)
{
    struct h1_conn *conn = h1_of(http);
    enum failure why = conn->failing ? (enum failure)conn->why : http_close_failure(http, how);
    if (conn->failing && how != HTTP_CLOSE)
        conn->failing = conn->closing = false; /* what was put off is not waited for */
    if (how == HTTP_CLOSE_RESET)
        transport_reset(conn->transport);
    fail(conn, why, how == HTTP_CLOSE && may_be_read(conn, why));
}

static void h1_each(struct http_conn *http, void (*act)(struct stream *stream, void *argument),
                    void *argument)
{
    struct h1_conn *conn = h1_of(http);
    if (conn->stream_open && !conn->closing)
        act(&conn->stream, argument);
}

static void h1_settings(struct http_conn *http, const struct http_settings *settings)
{
    h1_of(http)->settings = settings;
}

static struct transport *h1_transport(const struct http_conn *http)
{
    return h1_of(http)->transport;
}

static int h1_keep_alive_hint(const struct http_conn *http)
{
    return h1_of(http)->keep_alive_hint;
}

static size_t h1_held(const struct http_conn *http)
{
    const struct h1_conn *conn = h1_of(http);
    size_t arena = conn->stream.arena != NULL ? arena_taken(conn->stream.arena) : 0;
    size_t above = conn->stream_open ? http_held_above(&conn->stream) : 0;
    return arena + above + buf_kept(&conn->in) + conn->uncredited + buf_kept(&conn->transport->out);
}

static const struct http_conn_ops h1_conn_ops = {
    .open = h1_open,
    .room = h1_room,
    .drain = h1_drain,
    .close = h1_close,
    .each = h1_each,
    .settings = h1_settings,
    .transport = h1_transport,
    .keep_alive_hint = h1_keep_alive_hint,
    .held = h1_held,
    .least = BLOCK_SIZE,
};

struct http_conn *h1_conn_new(enum http_role role, struct transport *transport,
                              const struct http_settings *settings, struct buf *early,
                              const struct http_conn_events *events, void *owner)
{
    struct h1_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return NULL;
    conn->conn = (struct http_conn){
        .events = events, .owner = owner, .version = HTTP_1, .role = role, .ops = &h1_conn_ops};
    conn->stream.ops = &h1_stream_ops;
    conn->transport = transport;
    conn->settings = settings;
    conn->keep_alive_hint = -1;
    conn->deadline.passed = h1_passed;
    conn->step.run = h1_step;
    conn->receiving = role == HTTP_SERVER ? RECEIVE_HEAD : RECEIVE_NOTHING;
    transport->events = &h1_transport_events;
    transport->owner = conn;
    h1_touch(conn);
    h1_arm(conn, settings->timeouts->request_head);
    if (early != NULL && early->length != 0) {
        buf_move(&conn->in, early);
        loop_later(h1_loop(conn), &conn->step);
    }
    return &conn->conn;
}
