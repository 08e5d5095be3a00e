/* Calls of the owner become frames: heads at once, bodies when the peer's windows and the transport's queue
 * have room for them. */
#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "config/config.h"
#include "http/h2.h"

#define FRAME_HEAD 9u     /* RFC 9113 4.1 */
#define BODY_COPIED 2048u /* bytes: small pieces of many streams lie in one block instead of a slice each */

struct h2_stream *h2_of_stream(struct stream *stream)
{
    return CONTAINER_OF(stream, struct h2_stream, stream);
}

/* ---- frames of a body ---- */

/* What answers let the peer say: it acknowledges bytes by WINDOW_UPDATE, and measures by PING. Not bytes that
 * it let go few by few. */
static void earn(struct h2_conn *conn, size_t available, size_t room)
{
    bool dribbled = room < available && room < H2_NARROW_WINDOW;
    if (dribbled)
        return;
    h2_guard_earn(&conn->guard, H2_GUARD_window_updates, 2);
    h2_guard_earn(&conn->guard, H2_GUARD_pings, 1);
}

ssize_t h2_read_body(nghttp2_session *session, int32_t id, uint8_t *at, size_t room, uint32_t *flags,
                     nghttp2_data_source *source, void *user)
{
    /* not the source: it may be over */
    struct h2_stream *stream = h2_find_stream(user, id);
    (void)session;
    (void)at;
    (void)source;
    if (stream == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (transport_unsent(stream->conn->transport) >=
        H2_OUT_MOST) { /* the library would frame all that all streams have in one call */
        stream->conn->more = true;
        return NGHTTP2_ERR_PAUSE;
    }
    size_t available = stream->out.length, part = available < room ? available : room;
    if (part == 0 && !stream->out_last) {
        stream->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    earn(user, available, room);
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (part < available || !stream->out_last)
        return (ssize_t)part;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->has_trailers && stream->trailers.count != 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (!h2_submit_trailers(stream))
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)part;
}

static bool copy_body(struct h2_stream *stream, const uint8_t *head, size_t length)
{
    struct buf *out = &stream->conn->transport->out;
    size_t room;
    char *at = buf_reserve(out, FRAME_HEAD + length, &room);
    if (at == NULL)
        return false;
    memcpy(at, head, FRAME_HEAD);
    size_t got = buf_peek(&stream->out, at + FRAME_HEAD, length);
    assert(got == length);
    buf_skip(&stream->out, length);
    buf_commit(out, FRAME_HEAD + length);
    return true;
}

static bool move_body(struct h2_stream *stream, const uint8_t *head, size_t length)
{
    struct buf *out = &stream->conn->transport->out, part = {.first = NULL};
    if (!buf_move_some(&part, &stream->out, length))
        return false;
    bool added = buf_add(out, head, FRAME_HEAD);
    if (!added) { /* back to the front */
        buf_move(&part, &stream->out);
        buf_move(&stream->out, &part);
    } else {
        buf_move(out, &part);
    }
    return added;
}

int h2_write_body(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
                  nghttp2_data_source *source, void *user)
{
    struct h2_stream *stream = h2_find_stream(user, frame->hd.stream_id);
    struct h2_conn *conn = user;
    (void)session;
    (void)source;
    if (stream == NULL || stream->over) /* it may have ended while the frame waited for memory */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (!(length <= BODY_COPIED ? copy_body(stream, head, length) : move_body(stream, head, length))) {
        conn->body_waits = true;
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    h2_waits(stream, -(ptrdiff_t)length);
    stream->left += length;
    stream->framed += length;
    conn->framed += length;
    stream->framed_at = conn->framed_at = conn->transport->sent + transport_unsent(conn->transport);
    if (stream->out.length == 0)
        pace_stop(&stream->pace);
    if (length != 0 && !list_is_linked(&stream->told))
        list_push_back(&conn->told, &stream->told);
    return 0;
}

static void resume(struct h2_stream *stream)
{
    if (stream->deferred)
        h2_must(stream->conn, nghttp2_session_resume_data(stream->conn->session, stream->id));
    stream->deferred = false;
    h2_later(stream->conn);
}

/* ---- heads ---- */

static void submit_failed(struct h2_stream *stream)
{
    h2_reset(stream, NGHTTP2_INTERNAL_ERROR, FAILURE_OVERLOADED);
}

/* Counts bytes of the body before they are framed: more or fewer than the head has announced must not be
 * taken for whole. */
static bool length_is_wrong(struct h2_stream *stream, size_t length, bool last)
{
    if (stream->send_left < 0)
        return false;
    if ((uint64_t)length > (uint64_t)stream->send_left ||
        (last && (uint64_t)length != (uint64_t)stream->send_left))
        return true;
    stream->send_left -= (int64_t)length;
    return false;
}

static void submit_request(struct h2_stream *stream, const struct head *head, bool last)
{
    struct h2_conn *conn = stream->conn;
    if (stream->tunnel &&
        nghttp2_session_get_remote_settings(conn->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) != 1) {
        h2_over(stream, FAILURE_UPGRADE_UNSUPPORTED);
        return;
    }
    if (!h2_submit_request(stream, head, last))
        submit_failed(stream);
}

void h2_send_waiting(struct h2_conn *conn)
{
    LIST_EACH_SAFE (node, after, &conn->waiting) {
        struct h2_stream *stream = CONTAINER_OF(node, struct h2_stream, told);
        list_remove(&stream->told);
        stream->waits_settings = false;
        submit_request(stream, stream->request, true);
    }
}

/* Whether the server takes extended CONNECTs is known when its SETTINGS have come. */
static void wait_for_settings(struct h2_stream *stream, const struct head *head)
{
    struct head *kept = arena_get(stream->stream.arena, sizeof *kept);
    if (kept == NULL || !head_copy(kept, head, true, stream->stream.arena)) {
        h2_over(stream, FAILURE_OVERLOADED);
        return;
    }
    stream->request = kept;
    stream->waits_settings = true;
    list_push_back(&stream->conn->waiting, &stream->told);
}

static void send_request(struct h2_stream *stream, const struct head *head, bool last)
{
    struct h2_conn *conn = stream->conn;
    stream->head_sent = true;
    stream->head_request = head->line.request.method == METHOD_HEAD;
    stream->tunnel = head->upgrade.length != 0;
    stream->out_last = last && !stream->tunnel;
    stream->send_left = h2_length_of_request(head, last);
    stream->bytes_before = conn->received;
    /* a tunnel has no body (RFC 8441 4) */
    if (length_is_wrong(stream, 0, last) || (stream->tunnel && head->body_length != BODY_NONE))
        h2_over(stream, FAILURE_INTERNAL);
    else if (stream->tunnel && !conn->peer_settings)
        wait_for_settings(stream, head);
    else
        submit_request(stream, head, last);
}

/* The tunnel is there: what came for it meanwhile is told by a task. */
static void open_tunnel(struct h2_stream *stream)
{
    stream->raw = true;
    stream->hold = false;
    loop_later(stream->conn->loop, &stream->conn->step);
}

/* Bytes that the client sent into a tunnel that it does not get. */
static void refuse_tunnel(struct h2_stream *stream)
{
    size_t dropped = stream->in.length;
    buf_clear(&stream->in);
    stream->tunnel = stream->hold = stream->in_last = false;
    stream->refused = true;
    h2_uncredit(stream, dropped);
}

static void send_response(struct h2_stream *stream, const struct head *head, bool last)
{
    unsigned status = head->line.response.status;
    bool bodiless = stream->head_request || status == 204 || status == 304;
    stream->head_sent = true;
    stream->out_last = last || (bodiless && status != 101);
    stream->send_left = bodiless ? 0 : h2_length_of_response(stream, head);
    if (length_is_wrong(stream, 0, stream->out_last)) {
        h2_reset(stream, NGHTTP2_INTERNAL_ERROR, FAILURE_INTERNAL);
        return;
    }
    if (status == 101)
        open_tunnel(stream);
    else if (stream->tunnel)
        refuse_tunnel(stream);
    if (!h2_submit_response(stream, head, stream->out_last))
        submit_failed(stream);
}

static void h2_send_head(struct stream *waist, const struct head *head, bool last)
{
    struct h2_stream *stream = h2_of_stream(waist);
    if (stream->over)
        return;
    assert(!stream->head_sent);
    h2_keeps(stream);
    if (stream->conn->conn.role == HTTP_CLIENT)
        send_request(stream, head, last);
    else if (head->line.response.status >= 200 || head->line.response.status == 101)
        send_response(stream, head, last);
    else if (!h2_submit_interim(stream, head))
        submit_failed(stream);
    h2_later(stream->conn);
}

/* ---- bodies ---- */

/* What is to be sent waits for the peer's windows, even an end that has no byte. */
static void begin_waiting(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    if (conn->conn.role != HTTP_SERVER)
        return;
    struct pace_rule rule = http_pace_rule(conn->settings);
    pace_begin(&stream->pace, stream->framed, loop_now(conn->loop), &rule);
    h2_arm(conn, conn->settings->timeouts->write);
}

static void h2_send_body(struct stream *waist, struct buf *bytes, bool last)
{
    struct h2_stream *stream = h2_of_stream(waist);
    if (stream->over || stream->out_last || !stream->head_sent) {
        buf_clear(bytes);
        return;
    }
    if (length_is_wrong(stream, bytes->length, last)) {
        buf_clear(bytes);
        h2_reset(stream, NGHTTP2_INTERNAL_ERROR, FAILURE_INTERNAL);
        return;
    }
    if (stream->out.length == 0) {
        begin_waiting(stream);
        stream->out_lent =
            bytes->first != NULL && bytes->first->block != NULL && block_is_lent(bytes->first->block);
    }
    h2_waits(stream, (ptrdiff_t)bytes->length);
    buf_join(&stream->out, bytes);
    stream->out_last = last;
    resume(stream);
}

static void h2_send_trailers(struct stream *waist, const struct fields *trailers)
{
    struct h2_stream *stream = h2_of_stream(waist);
    if (stream->over || stream->out_last)
        return;
    if (length_is_wrong(stream, 0, true)) {
        h2_reset(stream, NGHTTP2_INTERNAL_ERROR, FAILURE_INTERNAL);
        return;
    }
    if (stream->out.length == 0)
        begin_waiting(stream);
    stream->trailers = *trailers;
    stream->has_trailers = true;
    stream->out_last = true;
    resume(stream);
}

/* ---- credit ---- */

void h2_uncredit(struct h2_stream *stream, size_t bytes)
{
    struct h2_conn *conn = stream->conn;
    bytes = bytes < stream->uncredited ? bytes : stream->uncredited;
    stream->uncredited -= bytes;
    conn->held -= bytes;
    if (!stream->over && !stream->in_ended && bytes != 0)
        h2_must(conn, nghttp2_session_consume_stream(conn->session, stream->id, bytes));
}

/* A window that was used up while its bytes were passed on at once is what holds the peer back: it doubles,
 * up to the cap (limits.stream_window), as long as all of the connection's have not grown by
 * limits.connection_window: a peer may fill every one of them. */
static void grow_window(struct h2_stream *stream, size_t bytes)
{
    struct h2_conn *conn = stream->conn;
    const struct limits_config *limits = conn->settings->limits;
    size_t most = limits->stream_window, window = stream->window;
    stream->passed += bytes;
    if (stream->passed < window || stream->uncredited > window / 4 || window >= most)
        return;
    size_t grown = window > most / 2 ? most - window : window;
    if (conn->grown + grown > limits->connection_window)
        return;
    stream->passed = 0;
    stream->window += grown;
    conn->grown += grown;
    h2_must(conn, nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, stream->id,
                                                        (int32_t)stream->window));
}

static void h2_credit(struct stream *waist, size_t bytes)
{
    struct h2_stream *stream = h2_of_stream(waist);
    h2_uncredit(stream, bytes);
    if (!stream->over && !stream->in_ended)
        grow_window(stream, bytes);
    if (stream->uncredited == 0 && stream->raw)
        h2_drop_fill(stream->conn); /* a quiet tunnel holds no block */
    h2_later(stream->conn);
}

/* ---- giving up ---- */

void h2_reset(struct h2_stream *stream, uint32_t code, enum failure why)
{
    struct h2_conn *conn = stream->conn;
    if (stream->over)
        return;
    stream->reset_here = true;
    if (stream->id > 0 && !conn->closing) {
        conn->reset_at = loop_now(conn->loop);
        h2_must(conn, nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, stream->id, code));
        h2_forget_stream(conn, stream->id);
        h2_later(conn);
    }
    h2_over(stream, why);
}

static uint32_t code_of(const struct h2_stream *stream, enum failure why)
{
    if (stream->conn->conn.role == HTTP_CLIENT || why == FAILURE_NONE || stream->raw) /* RFC 8441 5 */
        return NGHTTP2_CANCEL;
    return why == FAILURE_STREAM_REFUSED ? NGHTTP2_REFUSED_STREAM : NGHTTP2_INTERNAL_ERROR;
}

/* The library sends RST_STREAM before what waits, and drops that: what an answer or a tunnel had before it
 * was cut is framed first, as far as the windows let it. */
static void frame_what_waits(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    bool passes = stream->raw || (conn->conn.role == HTTP_SERVER && stream->head_sent);
    if (!passes || stream->over || conn->feeding != NULL || conn->closing || conn->finishing)
        return;
    if (!h2_write_frames(conn))
        h2_later(conn); /* where what waits is tried again */
}

static void h2_give_up(struct stream *waist, enum failure why)
{
    struct h2_stream *stream = h2_of_stream(waist);
    frame_what_waits(stream);
    h2_reset(stream, code_of(stream, why), why);
}

/* Its windows are the client's to open. */
static struct stream_taken h2_taken(struct stream *waist)
{
    struct h2_stream *stream = h2_of_stream(waist);
    nghttp2_session *session = stream->conn->session;
    bool open = nghttp2_session_get_stream_remote_window_size(session, stream->id) > 0 &&
                nghttp2_session_get_remote_window_size(session) > 0;
    uint64_t line = transport_taken(stream->conn->transport);
    return (struct stream_taken){
        .own = stream->framed, .line = line, .by_line = open, .waits = line < stream->framed_at};
}

const struct stream_ops h2_stream_ops = {
    .send_head = h2_send_head,
    .send_body = h2_send_body,
    .send_trailers = h2_send_trailers,
    .credit = h2_credit,
    .reset = h2_give_up,
    .taken = h2_taken,
};
