/* Frames of the peer become events of the owner, and the library's news of a stream's end becomes its
 * verdict. */
#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/counters.h"
#include "base/memory.h"
#include "base/small.h"
#include "config/config.h"
#include "http/h2.h"

#define REFUSALS_ANSWERED \
    2u /* what a guard may hold of a kind: beyond, a refused request is reset without an answer */
#define TURNED_AWAY_MOST 16u /* streams, for want of memory, before what was said to that has left */
#define INTERIMS_MOST 100u   /* 1xx of one response; the proxy relays fewer */

static bool is_server(const struct h2_conn *conn)
{
    return conn->conn.role == HTTP_SERVER;
}

/* Nobody has heard of it: what it kept is not kept until the turn's end, where as many of them may wait as
 * were received in one piece. */
static void forget_head(struct h2_stream *stream)
{
    arena_free(stream->stream.arena);
    stream->stream.arena = NULL;
    h2_keeps(stream);
    stream->reading = NULL;
    stream->fresh = NULL;
}

/* What a head is at fault for that the library has not let pass. */
static enum failure ill_head(const struct h2_stream *stream)
{
    const struct h2_reading *reading = stream->reading;
    bool nameless = reading->authority.at == NULL && reading->check.host_count == 0;
    return nameless && reading->path.at != NULL ? FAILURE_BAD_HOST : FAILURE_BAD_REQUEST;
}

/* The library will reset the stream: nothing of it goes out to a server until the RST_STREAM has left. A
 * request that could not begin leaves a line in the log all the same, unless there are too many. */
static void end_ill_stream(struct h2_conn *conn, int32_t id)
{
    struct h2_stream *stream = h2_find_stream(conn, id);
    if (stream == NULL || stream->leftover || !is_server(conn))
        return;
    enum failure why = FAILURE_CLIENT_CLOSED;
    h2_forget_stream(conn, id);
    stream->reset_here = true;
    if (!stream->announced && !stream->over && stream->reading != NULL && !stream->reading->trailers &&
        !conn->finishing && conn->guard.levels[H2_GUARD_errors] < REFUSALS_ANSWERED) {
        why = ill_head(stream);
        stream->announced = true;
        conn->conn.events->opened(&conn->conn, &stream->stream);
    }
    h2_over(stream, why);
    if (!stream->announced)
        forget_head(stream);
}

/* The library answers such a frame by an error of the stream or of the connection. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
    struct h2_conn *conn = user;
    (void)session;
    (void)error;
    conn->reset_at = loop_now(conn->loop);
    end_ill_stream(conn, frame->hd.stream_id);
    return h2_note(conn, H2_GUARD_errors) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* ---- heads ---- */

/* A head that came whole and is taken: large ones are no flood (CVE-2024-27316 is one that does not end). */
static void earn_continuations(struct h2_conn *conn, uint8_t count)
{
    h2_guard_earn(&conn->guard, H2_GUARD_continuations, count);
}

static bool stream_is_narrow(const struct h2_stream *stream, int32_t least)
{
    return nghttp2_session_get_stream_remote_window_size(stream->conn->session, stream->id) < least;
}

/*
 * Whoever leaves no window for the answer (SETTINGS_INITIAL_WINDOW_SIZE of next to nothing) makes a server's
 * answer wait here for as long as it likes: few at a time may be had in that way, the rest are refused, which
 * harms no client that means well (RFC 9113 8.7). Those whose window has opened do not count.
 */
static bool narrow_is_refused(struct h2_stream *stream)
{
    unsigned others = 0;
    if (!stream_is_narrow(stream, H2_NARROW_WINDOW))
        return false;
    LIST_EACH (node, &stream->conn->streams) {
        struct h2_stream *other = CONTAINER_OF(node, struct h2_stream, at);
        if (other->stream.narrow && !other->over)
            others += stream_is_narrow(other, H2_OPEN_WINDOW);
    }
    stream->stream.narrow = 1;
    return others >= H2_NARROW_MOST;
}

/* Before a head is kept: what the owner needs comes first. */
static bool take_arena(struct h2_stream *stream)
{
    const struct http_settings *settings = stream->conn->settings;
    struct arena *arena = stream->stream.arena = arena_new(head_arena_most(settings->limits));
    stream->stream.room = arena != NULL ? arena_get(arena, settings->stream_room) : NULL;
    h2_keeps(stream);
    return stream->stream.room != NULL;
}

/* Of a connection that holds its share no more is taken. */
static bool share_is_held(const struct h2_conn *conn)
{
    return memory_level() != MEMORY_PLENTY && h2_held(conn) > memory_share();
}

/* There is no memory for it: not processed, to be asked again (RFC 9113 8.7). A refusal takes memory too
 * until it has left, so who asks on and on goes. */
static int turn_away(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    counter_add(COUNTER_memory_refused, 1);
    h2_reset(stream, NGHTTP2_REFUSED_STREAM, FAILURE_OVERLOADED);
    if (!is_server(conn) || ++conn->turned_away <= TURNED_AWAY_MOST)
        return 0;
    counter_add(COUNTER_memory_shed, 1);
    h2_terminate(conn, NGHTTP2_ENHANCE_YOUR_CALM, FAILURE_OVERLOADED);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *conn = user;
    struct h2_stream *stream = h2_find_stream(user, frame->hd.stream_id);
    if (stream == NULL) {
        if (!is_server(conn) || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
            return 0; /* of a stream that is over */
        stream = h2_stream_new(conn);
        if (stream == NULL) { /* likewise, and nothing of it is known any more */
            counter_add(COUNTER_memory_refused, 1);
            h2_must(conn, nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                                    NGHTTP2_REFUSED_STREAM));
            return conn->closing ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
        }
        stream->id = frame->hd.stream_id;
        stream->stream.began_us = loop_now_us(conn->loop);
        nghttp2_session_set_stream_user_data(session, stream->id, stream);
        if (narrow_is_refused(stream)) {
            h2_reset(stream, NGHTTP2_REFUSED_STREAM, FAILURE_STREAM_REFUSED);
            return h2_note(conn, H2_GUARD_narrow_windows) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
        }
        if (share_is_held(conn) || !take_arena(stream) || !h2_reading_begin(stream, false))
            return turn_away(stream);
        return 0;
    }
    if (stream->over)
        return 0;
    bool trailers = is_server(conn) || stream->head_told;
    if (!h2_reading_begin(stream, trailers))
        h2_reset(stream, NGHTTP2_INTERNAL_ERROR, FAILURE_OVERLOADED);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags, void *user)
{
    struct h2_stream *stream = h2_find_stream(user, frame->hd.stream_id);
    (void)session;
    if (stream == NULL || stream->reading == NULL)
        return 0;
    h2_reading_field(stream, span_make((const char *)name, name_length),
                     span_make((const char *)value, value_length), (flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0);
    if (!h2_reading_is_bomb(stream))
        return 0;
    /* Few bytes may unfold to many: only the end of the connection spares reading them. */
    if (is_server(user)) {
        h2_flood(user, H2_GUARD_oversize);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return h2_note(user, H2_GUARD_oversize) ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
                                            : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* The library would leave the field out: what is malformed is refused, never repaired. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                             size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                             void *user)
{
    struct h2_conn *conn = user;
    (void)session;
    (void)name;
    (void)name_length;
    (void)value;
    (void)value_length;
    (void)flags;
    if (is_server(conn)) {
        end_ill_stream(conn, frame->hd.stream_id);
        if (!h2_note(conn, H2_GUARD_errors))
            return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* an error of the stream */
}

void h2_refuse(struct h2_stream *stream, enum failure why)
{
    if (stream->refused || stream->over)
        return;
    stream->refused = true;
    size_t dropped = stream->in.length;
    buf_clear(&stream->in);
    stream->in_last = false;
    h2_uncredit(stream, dropped);
    stream->stream.events->refused(&stream->stream, why);
}

static enum h2_guard_kind guard_of_refusal(enum failure why)
{
    return why == FAILURE_FIELDS_TOO_LARGE || why == FAILURE_TARGET_TOO_LONG ? H2_GUARD_oversize
                                                                             : H2_GUARD_errors;
}

/* Counts a refused request; false: nothing more is to be done for it than to reset it, or the connection
 * ends. */
static bool refusal_is_answered(struct h2_stream *stream, enum failure why, int *result)
{
    struct h2_conn *conn = stream->conn;
    enum h2_guard_kind kind = guard_of_refusal(why);
    bool in_bounds = h2_note(conn, kind);
    *result = in_bounds ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
    if (in_bounds && conn->guard.levels[kind] <= REFUSALS_ANSWERED)
        return true;
    if (in_bounds) {
        h2_reset(stream, kind == H2_GUARD_oversize ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR, why);
        forget_head(stream);
    }
    return false;
}

/* It is told when all that was received with it has been looked at: one that is reset by then
 * (CVE-2023-44487) makes no work for anybody. */
static int request_received(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    enum failure why = h2_reading_request(stream, stream->in_ended);
    struct head *head = &stream->reading->head;
    int result;
    stream->reading = NULL;
    stream->continuations = conn->walk.continuations;
    stream->head_request = head->line.request.method == METHOD_HEAD;
    stream->tunnel = stream->hold = head->upgrade.length != 0;
    /* the tunnel's first end, to be told once there is one */
    stream->in_last = stream->tunnel && stream->in_ended;
    stream->since_in = stream->rate_since = loop_now(conn->loop);
    stream->stream.window = SIZE_MAX;
    conn->any_stream = true;
    if (why != FAILURE_NONE && why != FAILURE_OVERLOADED && !refusal_is_answered(stream, why, &result))
        return result;
    stream->fresh = head;
    stream->fresh_why = (uint8_t)why;
    stream->fresh_last = stream->in_ended || stream->tunnel;
    list_push_back(&conn->fresh, &stream->told);
    return 0;
}

/* As HTTP/1 says Connection: close with the last answer; what comes before the client has seen it is served.
 */
static void count_request(struct h2_conn *conn)
{
    uint64_t most = conn->settings->limits->keep_alive_requests;
    if (++conn->requests >= most && most != 0)
        http_conn_drain(&conn->conn);
}

static void tell_request(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    struct head *head = stream->fresh;
    list_remove(&stream->told);
    stream->fresh = NULL;
    stream->announced = true;
    count_request(conn);
    conn->conn.events->opened(&conn->conn, &stream->stream);
    if (stream->over)
        return;
    if (stream->fresh_why != FAILURE_NONE) {
        h2_refuse(stream, (enum failure)stream->fresh_why);
        return;
    }
    earn_continuations(conn, stream->continuations);
    if (!stream->fresh_last)
        h2_arm(conn, conn->settings->timeouts->request_idle);
    stream->stream.events->head(&stream->stream, head, stream->fresh_last);
    h2_deliver(stream);
}

void h2_tell_fresh(struct h2_conn *conn)
{
    while (!list_is_empty(&conn->fresh) && !conn->closing)
        tell_request(CONTAINER_OF(conn->fresh.next, struct h2_stream, told));
}

/* The end of the response came: what is left of the request nobody wants. */
static void response_complete(struct h2_stream *stream)
{
    if (stream->raw || stream->over || stream->out_ended)
        return; /* the library tells when both sides have ended */
    h2_reset(stream, NGHTTP2_CANCEL, FAILURE_NONE);
}

/*
 * HEAD, 204 and 304 end with their head, though many servers say so by a frame of its own behind it. That one
 * is waited for: a reset would count there as a request that was cancelled, of which they take only so many.
 */
static bool ends_by_itself(const struct h2_stream *stream, unsigned status)
{
    return stream->out_ended && (stream->head_request || status == 204 || status == 304);
}

static void response_invalid(struct h2_stream *stream, enum failure why)
{
    h2_reset(stream, NGHTTP2_PROTOCOL_ERROR, stream->head_told ? FAILURE_RESPONSE_CUT : why);
}

/* The answer ended before its announced length. */
static bool response_is_short(const struct h2_stream *stream)
{
    return stream->in_ended && stream->receive_left > 0;
}

/* What of a body may come: nothing where there is none, whatever its length would be (RFC 9110 6.4.1). */
static void expect_body(struct h2_stream *stream, const struct head *head)
{
    unsigned status = head->line.response.status;
    if (stream->head_request || status == 204 || status == 304)
        stream->receive_left = 0;
    else if (head->length_given)
        stream->receive_left = head->body_length;
}

/* A server that grants no tunnel is owed the end of the request. */
static void tunnel_refused(struct h2_stream *stream)
{
    stream->tunnel = false;
    stream->out_last = true;
    if (stream->deferred)
        h2_must(stream->conn, nghttp2_session_resume_data(stream->conn->session, stream->id));
    stream->deferred = false;
    h2_later(stream->conn);
}

static void response_received(struct h2_stream *stream)
{
    bool ended = stream->in_ended;
    enum failure why = h2_reading_response(stream, ended);
    struct head *head = &stream->reading->head;
    unsigned status = head->line.response.status;
    stream->stream.any_received = 1;
    if (why == FAILURE_NONE && status < 200 && status != 101 && (ended || ++stream->interims > INTERIMS_MOST))
        why = FAILURE_RESPONSE_INVALID;
    if (why != FAILURE_NONE) {
        response_invalid(stream, why);
        return;
    }
    earn_continuations(stream->conn, stream->conn->walk.continuations);
    struct head told = *head;
    if (status == 101) {
        stream->raw = true;
        stream->head_told = true;
        stream->stream.events->head(&stream->stream, &told, false);
        stream->in_last = ended;
        h2_deliver(stream);
        return;
    }
    if (status < 200) {
        stream->stream.events->head(&stream->stream, &told, false);
        return;
    }
    if (stream->tunnel)
        tunnel_refused(stream);
    expect_body(stream, head);
    if (response_is_short(stream)) {
        response_invalid(stream, FAILURE_RESPONSE_INVALID);
        return;
    }
    stream->head_told = true;
    stream->leftover = !ended && ends_by_itself(stream, status);
    stream->stream.events->head(&stream->stream, &told, ended || stream->leftover);
    if (stream->leftover)
        h2_over(stream, FAILURE_NONE);
    else if (ended)
        response_complete(stream);
}

/* A tunnel has no trailers (RFC 9113 8.5). */
static int trailers_in_tunnel(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    h2_reset(stream, NGHTTP2_PROTOCOL_ERROR, is_server(conn) ? FAILURE_CLIENT_CLOSED : FAILURE_RESPONSE_CUT);
    return !is_server(conn) || h2_note(conn, H2_GUARD_errors) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int trailers_received(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    enum failure why = stream->reading->why;
    struct fields trailers = stream->reading->head.fields;
    stream->reading = NULL;
    if (stream->fresh != NULL)
        h2_tell_fresh(conn); /* in their order */
    if (stream->over)
        return 0;
    if (stream->tunnel)
        return trailers_in_tunnel(stream);
    if (why != FAILURE_NONE && is_server(conn)) {
        h2_refuse(stream, why);
        return h2_note(conn, guard_of_refusal(why)) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (why != FAILURE_NONE || (!is_server(conn) && (!stream->in_ended || response_is_short(stream)))) {
        response_invalid(stream, why);
        return 0;
    }
    earn_continuations(conn, conn->walk.continuations);
    h2_deliver(stream);
    if (stream->over || stream->refused)
        return 0;
    stream->stream.events->trailers(&stream->stream, &trailers);
    if (!is_server(conn))
        response_complete(stream);
    return 0;
}

static int headers_received(struct h2_stream *stream, const nghttp2_frame *frame)
{
    if (stream->reading == NULL || stream->over)
        return 0;
    stream->in_ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    h2_keeps(stream);
    if (stream->reading->trailers)
        return trailers_received(stream);
    if (is_server(stream->conn))
        return request_received(stream);
    response_received(stream);
    return 0;
}

/* ---- bodies ---- */

void h2_drop_fill(struct h2_conn *conn)
{
    if (conn->fill != NULL)
        block_release(conn->fill);
    conn->fill = NULL;
}

/* Small pieces lie together in a block of the connection: whoever keeps them would else keep 16 KiB for each.
 * Large ones stay where they were read. */
static bool append(struct h2_conn *conn, struct buf *to, const char *bytes, size_t length)
{
    if (length > H2_SMALL_PIECE && conn->feeding->block != NULL)
        return buf_add_block(to, conn->feeding->block, (char *)(uintptr_t)bytes, length);
    if (conn->fill != NULL && BLOCK_ROOM - conn->fill->used < length)
        h2_drop_fill(conn);
    if (conn->fill == NULL && (conn->fill = block_take()) == NULL)
        return false;
    char *at = conn->fill->bytes + conn->fill->used;
    if (length > BLOCK_ROOM || !buf_add_block(to, conn->fill, at, length))
        return false;
    memcpy(at, bytes, length);
    conn->fill->used += (uint32_t)length;
    return true;
}

void h2_deliver(struct h2_stream *stream)
{
    if (stream->over || stream->refused || stream->hold || stream->fresh != NULL ||
        (stream->in.length == 0 && !stream->in_last))
        return;
    struct buf bytes = {0};
    bool last = stream->in_last;
    buf_move(&bytes, &stream->in);
    stream->in_last = false;
    stream->stream.events->body(&stream->stream, &bytes, last);
    if (last && !is_server(stream->conn))
        response_complete(stream);
}

/* The connection's window is given back at once, whatever is held: one that the slow streams have shut would
 * hold up all others (RFC 9113 5.2.1). Windows of streams bound what is held. */
static void hold_bytes(struct h2_stream *stream, size_t length)
{
    stream->uncredited += length;
    stream->conn->held += length;
    h2_must(stream->conn, nghttp2_session_consume_connection(stream->conn->session, length));
}

/*
 * Of a stream that has been answered. Its last bytes are given back at once: curl 7.88, whose answer had come
 * before it sent the end of its request, waits for one more frame to see that all is done.
 * What the library is told to give back it takes off what it has been told was consumed: so that comes first,
 * and where it has given all of it back itself by now, a frame goes without another.
 */
static void leftover_received(struct h2_conn *conn, uint8_t flags, size_t length)
{
    nghttp2_session *session = conn->session;
    h2_must(conn, nghttp2_session_consume_connection(session, length));
    bool waits = (size_t)nghttp2_session_get_effective_recv_data_length(session) >= length;
    if ((flags & NGHTTP2_FLAG_END_STREAM) != 0 && waits)
        h2_must(conn, nghttp2_submit_window_update(session, NGHTTP2_FLAG_NONE, 0, (int32_t)length));
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t length,
                   void *user)
{
    struct h2_conn *conn = user;
    struct h2_stream *stream = h2_find_stream(user, id);
    if (stream != NULL && stream->leftover) { /* its own window stays shut */
        leftover_received(conn, flags, length);
        return 0;
    }
    if (stream == NULL || stream->over || stream->refused) {
        h2_must(conn, nghttp2_session_consume(session, id, length));
        return 0;
    }
    if (!is_server(conn) && !stream->head_told) {
        h2_must(conn, nghttp2_session_consume(session, id, length));
        response_invalid(stream, FAILURE_RESPONSE_INVALID);
        return 0;
    }
    if (stream->receive_left >= 0 && (stream->receive_left -= (int64_t)length) < 0) {
        h2_must(conn, nghttp2_session_consume(session, id, length));
        response_invalid(stream, FAILURE_RESPONSE_CUT);
        return 0;
    }
    hold_bytes(stream, length);
    stream->since_in = loop_now(conn->loop);
    stream->rate_bytes += length;
    if (!append(conn, &stream->in, (const char *)bytes, length)) {
        h2_reset(stream, NGHTTP2_INTERNAL_ERROR, FAILURE_OVERLOADED);
        return 0;
    }
    conn->partial = stream;
    return 0;
}

static void data_received(struct h2_stream *stream, const nghttp2_frame *frame)
{
    stream->conn->partial = NULL;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        stream->in_ended = stream->in_last = true;
    bool headless = !is_server(stream->conn) && !stream->head_told;
    if (stream->in_ended && (headless || response_is_short(stream))) {
        response_invalid(stream, FAILURE_RESPONSE_INVALID);
        return;
    }
    h2_deliver(stream);
}

/* ---- the connection's own frames ---- */

static int settings_received(struct h2_conn *conn, const nghttp2_frame *frame)
{
    if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
        return 0;
    conn->peer_settings = true;
    h2_send_waiting(conn);
    if (conn->conn.events->room != NULL)
        conn->conn.events->room(&conn->conn);
    return 0;
}

static int ping_received(struct h2_conn *conn, const nghttp2_frame *frame)
{
    if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
        return 0;
    conn->ping_out = false;
    if (conn->draining && !conn->goaway_sent)
        conn->drain_due = true;
    if (conn->drain_due)
        loop_later(conn->loop, &conn->step);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *conn = user;
    struct h2_stream *stream = h2_find_stream(user, frame->hd.stream_id);
    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        return stream != NULL ? headers_received(stream, frame) : 0;
    case NGHTTP2_DATA:
        if (stream != NULL)
            data_received(stream, frame);
        return 0;
    case NGHTTP2_RST_STREAM:
        if (stream != NULL)
            stream->peer_reset = true;
        return 0;
    case NGHTTP2_SETTINGS:
        return settings_received(conn, frame);
    case NGHTTP2_PING:
        return ping_received(conn, frame);
    case NGHTTP2_WINDOW_UPDATE:
        if (stream != NULL && stream->stream.narrow)
            stream->stream.narrow = stream_is_narrow(stream, H2_OPEN_WINDOW);
        return 0;
    case NGHTTP2_GOAWAY:
        conn->peer_goaway = true;
        if (conn->conn.events->room != NULL)
            conn->conn.events->room(&conn->conn);
        return 0;
    default:
        return 0;
    }
}

/* ---- what was sent ---- */

/* Past the bound GOAWAY is submitted; it has to leave, so the library is not stopped. */
static void reset_sent(struct h2_conn *conn, const struct h2_stream *stream, const nghttp2_frame *frame)
{
    conn->reset_at = loop_now(conn->loop);
    /* then nobody knows the stream any more */
    bool ours = stream == NULL || frame->rst_stream.error_code == NGHTTP2_NO_ERROR;
    if (!ours)
        (void)!h2_note(conn, H2_GUARD_errors);
}

static void message_sent(struct h2_conn *conn, struct h2_stream *stream, const nghttp2_frame *frame)
{
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return;
    stream->out_ended = true;
    stream->stream.request_sent = 1;
    h2_guard_earn(&conn->guard, H2_GUARD_resets, 1); /* deadlines cancel many of many */
    if (is_server(conn) && !stream->in_ended && !stream->raw && !stream->over) {
        stream->leftover = true;
        h2_over(stream, FAILURE_NONE);
    }
}

/* The first of its bytes come with this call. on_frame_sent() is told with the last of its CONTINUATION
 * frames, which wait while the transport's queue is full. */
static int on_frame_leaves(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_stream *stream =
        frame->hd.type == NGHTTP2_HEADERS ? h2_find_stream(user, frame->hd.stream_id) : NULL;
    (void)session;
    (void)user;
    if (stream != NULL)
        stream->stream.any_sent = 1;
    return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *conn = user;
    struct h2_stream *stream = h2_find_stream(user, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        reset_sent(conn, stream, frame);
    else if (stream != NULL && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
        message_sent(conn, stream, frame);
    else if (frame->hd.type == NGHTTP2_GOAWAY && conn->draining && !conn->goaway_sent && !conn->finishing)
        (void)nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, NULL); /* behind it: who answers has seen it */
    return 0;
}

/* ---- the end of a stream ---- */

static enum failure server_verdict(const struct h2_stream *stream)
{
    if (stream->peer_reset)
        return h2_tunnel_is_done(stream) ? FAILURE_NONE : FAILURE_CLIENT_CLOSED;
    if (stream->out_ended)
        return FAILURE_NONE;
    return FAILURE_BAD_BODY; /* the library found the request malformed while its body came */
}

static enum failure client_verdict(const struct h2_stream *stream, uint32_t code)
{
    if (stream->head_told && stream->in_ended)
        return FAILURE_NONE;
    if (stream->head_told)
        return FAILURE_RESPONSE_CUT;
    if (code == NGHTTP2_REFUSED_STREAM)
        return FAILURE_STREAM_REFUSED;
    if (code == NGHTTP2_HTTP_1_1_REQUIRED && stream->peer_reset)
        return FAILURE_HTTP1_REQUIRED;
    if (stream->stream.any_received && stream->peer_reset)
        return FAILURE_RESPONSE_CUT;
    return stream->peer_reset || code == NGHTTP2_NO_ERROR ? FAILURE_SERVER_CLOSED : FAILURE_RESPONSE_INVALID;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct h2_conn *conn = user;
    struct h2_stream *stream = h2_find_stream(conn, id);
    (void)session;
    conn->last = NULL;
    conn->walk.closed[conn->walk.closed_at++ % H2_CLOSED_KNOWN] = id;
    if (stream == NULL)
        return 0;
    if (stream->leftover) {
        h2_leftover_gone(stream);
        if (conn->conn.events->room != NULL && !conn->closing)
            conn->conn.events->room(&conn->conn);
        return 0;
    }
    bool cancelled = is_server(conn) && stream->peer_reset && !stream->out_ended;
    h2_over(stream, is_server(conn) ? server_verdict(stream) : client_verdict(stream, code));
    if (stream->fresh != NULL)
        forget_head(stream);
    return !cancelled || h2_note(conn, H2_GUARD_resets) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* ---- the session ---- */

static nghttp2_session_callbacks *callbacks_new(const struct h2_conn *conn)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    if (!is_server(conn))
        nghttp2_session_callbacks_set_before_frame_send_callback(callbacks, on_frame_leaves);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, h2_write_body);
    return callbacks;
}

static nghttp2_option *option_new(const struct h2_conn *conn)
{
    nghttp2_option *option;
    const struct limits_config *limits = conn->settings->limits;
    size_t most = (size_t)(is_server(conn) ? limits->header_list : limits->response_head);
    if (nghttp2_option_new(&option) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(option, 1); /* credits decide */
    nghttp2_option_set_no_closed_streams(option, 1);
    /* Of responses all that it would look at is looked at by us (h2_head.c, and where bodies come). */
    nghttp2_option_set_no_http_messaging(option, !is_server(conn));
    /* A whole head in frames of the usual size, and some: bytes are counted besides. */
    nghttp2_option_set_max_continuations(option, most / 16384 + 8);
    /* what was received within its limit, with all that an exchange may make of it, can be sent */
    nghttp2_option_set_max_send_header_block_length(option, head_arena_most(limits));
    /* h2_guard is stricter, and tells its name */
    nghttp2_option_set_stream_reset_rate_limit(option, 2000, 1000);
    return option;
}

/* The library takes and frees half a dozen pieces for each request. */
static void *memory_get(size_t size, void *user)
{
    (void)user;
    return small_get(size);
}

static void memory_free(void *piece, void *user)
{
    (void)user;
    small_free(piece);
}

static void *memory_get_zeroed(size_t count, size_t size, void *user)
{
    (void)user;
    return size == 0 || count <= SIZE_MAX / size ? small_get_zeroed(count * size) : NULL;
}

static void *memory_grow(void *piece, size_t size, void *user)
{
    (void)user;
    return small_grow(piece, size);
}

static nghttp2_mem memory = {
    .malloc = memory_get, .free = memory_free, .calloc = memory_get_zeroed, .realloc = memory_grow};

nghttp2_session *h2_session_new(struct h2_conn *conn)
{
    nghttp2_session *session = NULL;
    nghttp2_session_callbacks *callbacks = callbacks_new(conn);
    nghttp2_option *option = option_new(conn);
    int result = NGHTTP2_ERR_NOMEM;
    if (callbacks != NULL && option != NULL)
        result = is_server(conn) ? nghttp2_session_server_new3(&session, callbacks, conn, option, &memory)
                                 : nghttp2_session_client_new3(&session, callbacks, conn, option, &memory);
    if (option != NULL)
        nghttp2_option_del(option);
    if (callbacks != NULL)
        nghttp2_session_callbacks_del(callbacks);
    return result == 0 ? session : NULL;
}
