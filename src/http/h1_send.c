/* Calls of the owner become bytes of the transport. Framing: the length that is known, chunks for HTTP/1.1,
 * the end of the connection for HTTP/1.0. */
#include <assert.h>

#include "config/config.h"
#include "http/h1.h"
#include "http/h1_write.h"

/* Chunks smaller than this are copied behind their size line: one slice instead of three. */
#define CHUNK_COPIED 1024u

static bool response_has_no_body(const struct h1_conn *conn, unsigned status)
{
    return conn->head_request || status < 200 || status == 204 || status == 304;
}

static enum h1_framing response_framing(struct h1_conn *conn, const struct head *head, bool last)
{
    unsigned status = head->line.response.status;
    if (response_has_no_body(conn, status))
        return head->length_given && status >= 200 && status != 204 ? H1_FRAMING_LENGTH : H1_FRAMING_NONE;
    if (last || head->body_length >= 0)
        return H1_FRAMING_LENGTH;
    if (conn->minor_version != 0)
        return H1_FRAMING_CHUNKED;
    conn->close_after = true;
    return H1_FRAMING_CLOSE;
}

/* Keep-alive is the default of HTTP/1.1 and has to be said to HTTP/1.0. */
static enum h1_connection response_connection(const struct h1_conn *conn)
{
    if (conn->close_after)
        return H1_CONNECTION_CLOSE;
    return conn->minor_version == 0 ? H1_CONNECTION_KEEP_ALIVE : H1_CONNECTION_NONE;
}

static enum failure send_interim(struct h1_conn *conn, const struct head *head)
{
    if (conn->minor_version == 0)
        return FAILURE_NONE; /* HTTP/1.0 knows none (RFC 9110 15.2) */
    if (head->line.response.status == 100)
        conn->expects = false;
    bool upgrade = head->line.response.status == 101;
    if (upgrade && conn->receiving != RECEIVE_NOTHING)
        return FAILURE_INTERNAL; /* the rest of the request would be taken for the tunnel's bytes */
    bool fits = h1_write_response(&conn->transport->out, head, H1_FRAMING_NONE, H1_CONNECTION_NONE);
    if (upgrade) {
        conn->sending = SEND_RAW;
        conn->receiving = RECEIVE_RAW;
        conn->close_after = true;
        /* what came behind the request belongs to the tunnel, be it the end */
        conn->end_told = false;
        loop_later(h1_loop(conn), &conn->step);
    }
    return fits ? FAILURE_NONE : FAILURE_OVERLOADED;
}

/* A request that was not whole when its answer began: can the connection go on, that is, can its end be found
 * with little effort? How much is still to come in chunks nobody knows, and the client has to be told now
 * (RFC 9112 9.6). */
static bool rest_is_too_much(const struct h1_conn *conn)
{
    if (conn->receiving == RECEIVE_NOTHING)
        return false;
    /* Who waits for a 100 may leave its body out or not: then nobody can tell what comes next (RFC
     * 9110 10.1.1). */
    return conn->expects ||
           (conn->receiving == RECEIVE_LENGTH && conn->body_left > (int64_t)H1_LEFTOVER_MOST) ||
           (conn->receiving == RECEIVE_CHUNKED && !h1_chunked_ends_in(conn->chunked, &conn->in));
}

/*
 * What a head announces is sent, or the connection is gone: the peer would take what follows, of whomever it
 * is, for the rest of the body. What the framing announces is counted here and nowhere above; chunks and the
 * end of the connection say by themselves whether a body is whole.
 */
static void announce(struct h1_conn *conn, enum h1_framing framing, int64_t length)
{
    conn->framing = (uint8_t)framing;
    conn->send_left = framing == H1_FRAMING_LENGTH ? length : framing == H1_FRAMING_NONE ? 0 : -1;
}

/* The head alone is not the whole message. */
static bool end_is_too_soon(const struct h1_conn *conn, bool last)
{
    return last && conn->send_left > 0;
}

static enum failure send_response(struct h1_conn *conn, const struct head *head, bool last)
{
    const struct limits_config *limits = conn->settings->limits;
    bool spent = (limits->keep_alive_requests != 0 && conn->requests >= limits->keep_alive_requests) ||
                 conn->settings->timeouts->keep_alive == 0;
    bool ended = conn->peer_ended && conn->in.length == 0;
    if (head->close || conn->draining || !conn->peer_keeps || conn->refused || ended || spent ||
        rest_is_too_much(conn))
        conn->close_after = true;
    struct head written = *head;
    if (last && written.body_length < 0)
        written.body_length = 0;
    bool no_body = response_has_no_body(conn, head->line.response.status);
    announce(conn, response_framing(conn, head, last), no_body ? 0 : written.body_length);
    if (end_is_too_soon(conn, last))
        return FAILURE_INTERNAL;
    conn->sending = last ? SEND_ENDED : SEND_BODY;
    bool fits = h1_write_response(&conn->transport->out, &written, (enum h1_framing)conn->framing,
                                  response_connection(conn));
    return fits ? FAILURE_NONE : FAILURE_OVERLOADED;
}

static enum h1_framing request_framing(const struct head *head)
{
    enum method method = head->line.request.method;
    bool usual_body = method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
    if (head->body_length == BODY_OF_UNKNOWN_LENGTH)
        return H1_FRAMING_CHUNKED;
    return head->body_length > 0 || head->length_given || usual_body ? H1_FRAMING_LENGTH : H1_FRAMING_NONE;
}

static enum failure send_request(struct h1_conn *conn, const struct head *head, bool last)
{
    conn->head_request = head->line.request.method == METHOD_HEAD;
    conn->asked_upgrade = head->upgrade.length != 0;
    announce(conn, request_framing(head), head->body_length);
    if (end_is_too_soon(conn, last))
        return FAILURE_INTERNAL;
    /* A server that refuses an upgrade may not have taken its request's body for one. */
    if (conn->asked_upgrade && conn->send_left != 0)
        conn->close_after = true;
    bool fits = h1_write_request(&conn->transport->out, head, (enum h1_framing)conn->framing);
    conn->sending = last ? SEND_ENDED : SEND_BODY;
    if (last && conn->framing == H1_FRAMING_CHUNKED)
        fits = fits && h1_write_end(&conn->transport->out, NULL);
    return fits ? FAILURE_NONE : FAILURE_OVERLOADED;
}

/* What was added to the out-queue leaves at the turn's end; without anything to leave, the end of the message
 * is looked at by a task. */
static void push_out(struct h1_conn *conn, enum failure why)
{
    struct buf nothing = {0};
    if (why != FAILURE_NONE) {
        h1_fail(conn, why);
        return;
    }
    transport_send(conn->transport, &nothing);
    if (transport_unsent(conn->transport) == 0)
        loop_later(h1_loop(conn), &conn->step);
    else if (conn->conn.role == HTTP_SERVER && !conn->write_stalls) {
        conn->write_stalls = true;
        h1_arm(conn, conn->settings->timeouts->write);
    }
}

void h1_probe(struct h1_conn *conn)
{
    bool fits = buf_add_constant(&conn->transport->out, SPAN("HTTP/1.1 102 Processing\r\n\r\n"));
    h1_touch(conn);
    push_out(conn, fits ? FAILURE_NONE : FAILURE_OVERLOADED);
    h1_arm(conn, H1_PROBE_MS);
}

static void h1_send_head(struct stream *stream, const struct head *head, bool last)
{
    struct h1_conn *conn = h1_of_stream(stream);
    if (conn->closing)
        return;
    assert(conn->sending == SEND_NOTHING);
    enum failure why;
    if (conn->conn.role == HTTP_CLIENT)
        why = send_request(conn, head, last);
    else if (head->line.response.status < 200)
        why = send_interim(conn, head);
    else
        why = send_response(conn, head, last);
    push_out(conn, why);
}

/* One chunk: small ones in one piece, large ones by reference between their lines. */
static bool write_chunk(struct buf *out, struct buf *bytes)
{
    if (!h1_write_chunk_size(out, bytes->length))
        return false;
    if (bytes->length >= CHUNK_COPIED) {
        buf_move(out, bytes);
        return buf_add_constant(out, SPAN("\r\n"));
    }
    for (const struct slice *slice = bytes->first; slice != NULL; slice = slice->next)
        if (!buf_add(out, slice->at, slice->length))
            return false;
    buf_clear(bytes);
    return buf_add(out, "\r\n", 2);
}

static bool write_body(struct h1_conn *conn, struct buf *bytes)
{
    struct buf *out = &conn->transport->out;
    size_t length = bytes->length;
    if (length == 0)
        return true;
    conn->body_queued += length;
    if (conn->framing == H1_FRAMING_CHUNKED && conn->sending != SEND_RAW)
        return write_chunk(out, bytes);
    buf_join(out, bytes);
    return true;
}

/* Counts bytes of the body, before any is written; more or fewer than were announced must not be taken for
 * whole. */
static bool length_is_wrong(struct h1_conn *conn, size_t length, bool last)
{
    if (conn->sending == SEND_RAW || conn->send_left < 0)
        return false;
    if ((uint64_t)length > (uint64_t)conn->send_left)
        return true;
    conn->send_left -= (int64_t)length;
    return last && conn->send_left != 0;
}

static void h1_send_body(struct stream *stream, struct buf *bytes, bool last)
{
    struct h1_conn *conn = h1_of_stream(stream);
    if (conn->closing || (conn->sending != SEND_BODY && conn->sending != SEND_RAW)) {
        buf_clear(bytes);
        return;
    }
    if (length_is_wrong(conn, bytes->length, last)) {
        buf_clear(bytes);
        h1_fail(conn, FAILURE_INTERNAL);
        return;
    }
    bool raw = conn->sending == SEND_RAW;
    bool fits = write_body(conn, bytes);
    buf_clear(bytes); /* of what did not fit nothing is left behind */
    if (last && raw)
        transport_finish(conn->transport);
    else if (last && conn->framing == H1_FRAMING_CHUNKED)
        fits = fits && h1_write_end(&conn->transport->out, NULL);
    if (last)
        conn->sending = SEND_ENDED;
    push_out(conn, fits ? FAILURE_NONE : FAILURE_OVERLOADED);
}

static void h1_send_trailers(struct stream *stream, const struct fields *trailers)
{
    struct h1_conn *conn = h1_of_stream(stream);
    if (conn->closing || conn->sending != SEND_BODY)
        return;
    if (length_is_wrong(conn, 0, true)) {
        h1_fail(conn, FAILURE_INTERNAL);
        return;
    }
    bool fits = conn->framing != H1_FRAMING_CHUNKED || h1_write_end(&conn->transport->out, trailers);
    conn->sending = SEND_ENDED;
    push_out(conn, fits ? FAILURE_NONE : FAILURE_OVERLOADED);
}

static void h1_credit(struct stream *stream, size_t bytes)
{
    struct h1_conn *conn = h1_of_stream(stream);
    conn->uncredited -= bytes < conn->uncredited ? bytes : conn->uncredited;
    if (conn->uncredited == 0 && conn->receiving == RECEIVE_RAW)
        h1_drop_fill(conn); /* a quiet tunnel holds no block */
    if (!conn->closing && (conn->paused || conn->in.length != 0) && conn->uncredited <= stream->window / 2)
        loop_later(h1_loop(conn), &conn->step);
}

static void h1_reset(struct stream *stream, enum failure why)
{
    struct h1_conn *conn = h1_of_stream(stream);
    if (conn->closing || !conn->stream_open)
        return;
    h1_fail(conn, why);
}

static struct stream_taken h1_taken(struct stream *stream)
{
    const struct transport *transport = h1_of_stream(stream)->transport;
    uint64_t taken = transport_taken(transport);
    return (struct stream_taken){
        .own = taken, .line = taken, .by_line = true, .waits = taken < transport->sent};
}

const struct stream_ops h1_stream_ops = {
    .send_head = h1_send_head,
    .send_body = h1_send_body,
    .send_trailers = h1_send_trailers,
    .credit = h1_credit,
    .reset = h1_reset,
    .taken = h1_taken,
};

/* Body bytes that have left: all when the queue is empty; else those that can't be in it any more. Never
 * early, never lost. */
void h1_report_sent(struct h1_conn *conn)
{
    size_t unsent = transport_unsent(conn->transport);
    if (unsent == 0) {
        conn->write_stalls = false;
        pace_stop(&conn->pace);
    } else if (!pace_runs(&conn->pace) && conn->conn.role == HTTP_SERVER) {
        struct pace_rule rule = http_pace_rule(conn->settings);
        pace_begin(&conn->pace, transport_taken(conn->transport), loop_now(h1_loop(conn)), &rule);
    }
    if (conn->body_queued <= unsent || !conn->stream_open)
        return;
    size_t left = conn->body_queued - unsent;
    conn->body_queued = unsent;
    conn->stream.events->sent(&conn->stream, left);
}
