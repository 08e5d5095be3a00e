/*
 * Received bytes become events of the owner: heads, bodies by the window, trailers, raw bytes. Every up-call
 * may make the owner call down; those calls only queue, so after each up-call only `closing` has to be looked
 * at.
 */
#include <string.h>

#include "base/arena.h"
#include "base/pipe.h"
#include "config/config.h"
#include "http/h1.h"

/* Less room than this in the window is none: it would cost a block that is held for a few bytes. */
#define WINDOW_SCRAP 4096u
#define HEAD_COPIED 4096u
#define PIPE_LEAST                                                                                           \
    (256u << 10) /* what of a body still has to come for a pipe: it costs two calls more for each piece, and \
                    saves copying */
#define GROWN_WINDOW \
    (128u << 10) /* what a window may be while fewer than PLENTY blocks (2 MiB) are out in this worker */
#define PLENTY 128u
#define WHOLE_MOST 6u     /* blocks: a body no longer than this may be read together with its head */
#define SMALL_PIECE 2048u /* bytes: worth a copy rather than a block of its own */

static void take_keep_alive_hint(struct h1_conn *conn, const struct head *head)
{
    const struct field *field = fields_find(&head->fields, FIELD_KEEP_ALIVE);
    struct span rest = field != NULL ? field->value : SPAN_NONE, element;
    while (span_next_element(&rest, &element)) {
        if (element.length < 9 || !span_equal_nocase(span_first(element, 8), SPAN("timeout=")))
            continue;
        unsigned seconds = 0;
        for (size_t i = 8;
             i < element.length && element.at[i] >= '0' && element.at[i] <= '9' && seconds < 6000; i++)
            seconds = seconds * 10 + (unsigned)(element.at[i] - '0');
        conn->keep_alive_hint = (int16_t)(seconds < INT16_MAX ? seconds : INT16_MAX);
    }
}

/* ---- the end of a message ---- */

void h1_drop_blocks(struct h1_conn *conn)
{
    if (conn->fill != NULL)
        block_release(conn->fill);
    if (conn->dense != NULL)
        block_release(conn->dense);
    conn->fill = conn->dense = NULL;
}

/* The block of the last bytes takes the next small piece behind them, if nobody wrote there. */
static void keep_fill(struct h1_conn *conn, const struct slice *last)
{
    if (conn->fill != NULL)
        block_release(conn->fill);
    conn->fill = NULL;
    if (last->block != NULL && last->at + last->length == last->block->bytes + last->block->used)
        conn->fill = block_share(last->block);
}

static void message_ended(struct h1_conn *conn)
{
    conn->receiving = RECEIVE_NOTHING;
    transport_expect(conn->transport, (size_t)conn->like_last * BLOCK_ROOM);
    h1_drop_fill(conn);
}

/* Uncredited bytes at which delivery stops. Large pieces cost a fraction of small ones, so it grows while
 * memory is no matter: what slow peers can make a worker hold is PLENTY and a plain window for each. */
static size_t window_now(const struct h1_conn *conn)
{
    size_t least = conn->transport->pipe != NULL                            ? PIPE_ROOM
                   : conn->stream.window_grows && block_pool_out() < PLENTY ? GROWN_WINDOW
                                                                            : 0;
    return conn->stream.window > least ? conn->stream.window : least;
}

/* The blocks of a whole message of this length, head and all, when a few can take it: the connection's next
 * message is likely to be as long, and is then read with one call. 0: a message whose head comes with all
 * there is, or one that takes many reads anyway. */
static uint8_t whole_message(int64_t body_length)
{
    bool fits = body_length > (int64_t)BLOCK_ROOM && body_length <= (int64_t)(WHOLE_MOST * BLOCK_ROOM);
    return fits ? (uint8_t)((uint64_t)body_length / BLOCK_ROOM + 2) : 0;
}

/* What follows a head: its body by the framing that was read. */
static void begin_body(struct h1_conn *conn, const struct head *head)
{
    if (head->body_length > 0)
        conn->body_left = head->body_length;
    else
        conn->chunked = (struct h1_chunked){.padded = conn->conn.role == HTTP_CLIENT};
    conn->rate_bytes = 0;
    conn->rate_since = loop_now(h1_loop(conn));
    conn->like_last = whole_message(head->body_length);
    if (head->body_length == BODY_NONE)
        message_ended(conn);
    else
        conn->receiving = head->body_length > 0 ? RECEIVE_LENGTH : RECEIVE_CHUNKED;
    if (head->body_length > (int64_t)BLOCK_ROOM)
        transport_expect(conn->transport, window_now(conn));
}

/* ---- heads ---- */

/* Before a head is kept: what the owner needs comes first. */
static bool have_arena(struct h1_conn *conn)
{
    struct stream *stream = &conn->stream;
    if (stream->arena != NULL)
        return true;
    stream->arena = arena_new(head_arena_most(conn->settings->limits));
    stream->room = stream->arena != NULL ? arena_get(stream->arena, conn->settings->stream_room) : NULL;
    if (stream->room != NULL)
        return true;
    arena_free(stream->arena);
    stream->arena = NULL;
    return false;
}

/* Copies what there is of a head together, when it came in pieces over several blocks. */
static bool gather(struct h1_conn *conn, size_t most, struct span *bytes)
{
    if (!have_arena(conn))
        return false;
    size_t room = most + BLOCK_ROOM;
    if (conn->gathered == NULL && (conn->gathered = arena_get_bytes(conn->stream.arena, room)) == NULL)
        return false;
    size_t part = buf_peek(&conn->in, conn->gathered + conn->gathered_length, room - conn->gathered_length);
    buf_skip(&conn->in, part);
    conn->gathered_length += part;
    *bytes = span_make(conn->gathered, conn->gathered_length);
    return true;
}

/* Its arena goes away in the middle of it: it is gathered anew. False: no memory. */
bool h1_gather_anew(struct h1_conn *conn)
{
    struct buf gathered = {0};
    if (conn->gathered == NULL)
        return true;
    if (!buf_add(&gathered, conn->gathered, conn->gathered_length))
        return false;
    buf_prepend(&conn->in, &gathered);
    conn->gathered = NULL;
    conn->gathered_length = 0;
    conn->scan = (struct h1_scan){.in_trailers = conn->receiving == RECEIVE_TRAILERS};
    return true;
}

/* What a look for the end of a head has found. */
struct head_look {
    struct span bytes; /* that were looked at, from the head's first on */
    size_t length;     /* of the head, when it is whole */
    enum h1_step step;
};

/* A head nearly always lies in the first slice, however much of a body came behind it. False: no memory. */
static bool look_for_end(struct h1_conn *conn, size_t most, struct head_look *look)
{
    *look = (struct head_look){.step = H1_MORE};
    if (conn->gathered == NULL) {
        look->bytes = buf_front(&conn->in);
        look->step = h1_scan(&conn->scan, look->bytes, &look->length);
        if (look->step != H1_MORE || conn->in.first == conn->in.last)
            return true;
    }
    if (!gather(conn, most, &look->bytes))
        return false;
    look->step = h1_scan(&conn->scan, look->bytes, &look->length);
    return true;
}

/* The bytes of a whole head go to the arena before they are parsed, and what lies behind them stays in `in`.
 * Usual heads are copied: a few hundred bytes cost less than a block of 16 KiB that is held for them until
 * the exchange ends.
 */
static bool take_head_bytes(struct h1_conn *conn, struct span *head, size_t length)
{
    struct span bytes = *head;
    *head = span_first(bytes, length);
    if (conn->gathered == NULL)
        keep_fill(conn, conn->in.last);
    if (conn->gathered == NULL && length <= HEAD_COPIED) {
        *head = arena_copy(conn->stream.arena, *head);
        buf_skip(&conn->in, length);
        return head->at != NULL;
    }
    if (conn->gathered == NULL) {
        bool held = arena_hold(conn->stream.arena, conn->in.first->block);
        buf_skip(&conn->in, length);
        return held;
    }
    struct buf rest = {0};
    if (!buf_add(&rest, bytes.at + length, bytes.length - length))
        return false;
    buf_prepend(&conn->in, &rest);
    conn->gathered = NULL;
    conn->gathered_length = 0;
    return true;
}

static bool open_server_stream(struct h1_conn *conn)
{
    if (!have_arena(conn))
        return false;
    conn->requests++;
    conn->stream.window = SIZE_MAX;
    conn->stream_open = true;
    conn->conn.events->opened(&conn->conn, &conn->stream);
    return true;
}

void h1_refuse(struct h1_conn *conn, enum failure why)
{
    conn->refused = true;
    conn->close_after = true;
    conn->receiving = RECEIVE_DISCARD;
    if (!conn->stream_open && !open_server_stream(conn)) {
        h1_fail(conn, FAILURE_OVERLOADED);
        return;
    }
    conn->stream.events->refused(&conn->stream, why);
}

static void begin_request(struct h1_conn *conn, struct head *head, const struct head_check *check)
{
    conn->minor_version = head->minor_version;
    conn->head_request = head->line.request.method == METHOD_HEAD;
    conn->peer_keeps = !check->says_close && (head->minor_version != 0 || check->says_keep_alive);
    conn->expects = head->expect_continue;
    begin_body(conn, head);
    conn->stream.events->head(&conn->stream, head, conn->receiving == RECEIVE_NOTHING);
    if (conn->receiving != RECEIVE_NOTHING) {
        h1_touch(conn);
        h1_arm(conn, conn->settings->timeouts->request_idle);
    }
}

/* Over the limit while the head is not whole, or at its end. */
static enum failure head_too_long(const struct h1_conn *conn, size_t length)
{
    const struct limits_config *limits = conn->settings->limits;
    if (conn->scan.first_line == 0 ? length > limits->request_line + 2
                                   : conn->scan.first_line > limits->request_line)
        return FAILURE_TARGET_TOO_LONG;
    return length > limits->request_head ? FAILURE_FIELDS_TOO_LARGE : FAILURE_NONE;
}

/* One empty line before a request is let pass (RFC 9112 2.2), and before a response: some servers end a body
 * with one. False: more bytes are needed to see. */
static bool skip_empty_line(struct h1_conn *conn)
{
    char start[2];
    if (conn->scan.at != 0 || conn->gathered != NULL || conn->in.length == 0 ||
        buf_front(&conn->in).at[0] != '\r')
        return true;
    if (buf_peek(&conn->in, start, 2) < 2)
        return false;
    if (start[1] == '\n' && !conn->skipped_line) {
        conn->skipped_line = true;
        buf_skip(&conn->in, 2);
    }
    return conn->in.length != 0;
}

/* A TLS record (handshake, 22) where HTTP is spoken: no answer would be understood. */
static bool is_tls(const struct h1_conn *conn)
{
    return conn->requests == 0 && conn->scan.at == 0 && conn->gathered == NULL &&
           buf_front(&conn->in).at[0] == 0x16;
}

/* True when a head was taken (or refused) and more of `in` may be looked at. */
static bool receive_request(struct h1_conn *conn)
{
    struct head_look look;
    if (conn->close_after || conn->closing || !skip_empty_line(conn))
        return false;
    if (is_tls(conn)) {
        h1_fail(conn, FAILURE_TLS_ON_PLAIN);
        return false;
    }
    if (!conn->in_head) {
        h1_touch(conn);
        conn->stream.began_us = loop_now_us(h1_loop(conn));
    }
    conn->in_head = true;
    bool had_line = conn->scan.first_line != 0;
    if (!look_for_end(conn, conn->settings->limits->request_head, &look)) {
        h1_fail(conn, FAILURE_OVERLOADED);
        return false;
    }
    enum failure why = look.step == H1_FAILED
                           ? FAILURE_BAD_REQUEST
                           : head_too_long(conn, look.step == H1_DONE ? look.length : look.bytes.length);
    /* Nothing may follow a line that is none: HTTP/0.9 waits for its answer (RFC 9112 3). */
    if (why == FAILURE_NONE && look.step == H1_MORE && !had_line && conn->scan.first_line != 0)
        why = h1_check_request_line(span_first(look.bytes, conn->scan.first_line));
    if (why != FAILURE_NONE) {
        h1_refuse(conn, why);
        return true;
    }
    if (look.step == H1_MORE) {
        h1_arm(conn, conn->settings->timeouts->request_head);
        return false;
    }
    if (!have_arena(conn)) {
        h1_fail(conn, FAILURE_OVERLOADED);
        return false;
    }
    struct head head;
    struct head_check check;
    conn->scan = (struct h1_scan){0};
    conn->in_head = false;
    conn->skipped_line = false;
    if (!take_head_bytes(conn, &look.bytes, look.length)) {
        h1_fail(conn, FAILURE_OVERLOADED);
        return false;
    }
    why = h1_parse_request(look.bytes, conn->settings->limits, conn->stream.arena, &head, &check);
    if (why != FAILURE_NONE) {
        h1_refuse(conn, why);
        return true;
    }
    if (open_server_stream(conn))
        begin_request(conn, &head, &check);
    return true;
}

/* ---- responses ---- */

static void begin_response(struct h1_conn *conn, struct head *head, const struct head_check *check)
{
    unsigned status = head->line.response.status;
    bool no_body = conn->head_request || status == 204 || status == 304;
    conn->peer_keeps = !check->says_close && (head->minor_version != 0 || check->says_keep_alive);
    take_keep_alive_hint(conn, head);
    if (no_body) {
        conn->receiving = RECEIVE_NOTHING;
        if (status == 204 && (check->has_coding || check->content_length != 0))
            /* a server that is wrong about its own body: what comes next may be one */
            conn->peer_keeps = false;
    } else if (head->body_length == BODY_OF_UNKNOWN_LENGTH && !check->chunked) {
        conn->receiving = RECEIVE_UNTIL_CLOSE;
        conn->peer_keeps = false;
    } else {
        begin_body(conn, head);
    }
    if (conn->receiving == RECEIVE_UNTIL_CLOSE || conn->receiving == RECEIVE_CHUNKED)
        transport_expect(conn->transport, window_now(conn));
    conn->head_told = true;
    conn->stream.events->head(&conn->stream, head, conn->receiving == RECEIVE_NOTHING);
    if (conn->stream.takes_pipes && !conn->closing && conn->receiving == RECEIVE_LENGTH &&
        conn->body_left >= (int64_t)conn->in.length + (int64_t)PIPE_LEAST)
        transport_pipe(conn->transport, (uint64_t)conn->body_left - conn->in.length);
}

/* 101 opens the tunnel when an upgrade was asked for; other 1xx are told and another head follows, up to a
 * bound. */
static void begin_interim(struct h1_conn *conn, struct head *head)
{
    if (head->line.response.status == 101) {
        /* In the middle of the request the protocol can't change (RFC 9110 7.8). */
        if (!conn->asked_upgrade || conn->sending != SEND_ENDED) {
            h1_fail(conn, FAILURE_UPGRADE_INVALID);
            return;
        }
        conn->receiving = RECEIVE_RAW;
        conn->sending = SEND_RAW;
        conn->close_after = true;
    } else if (++conn->interims >
               100) { /* the proxy relays fewer; a server that sends more than this is broken */
        h1_fail(conn, FAILURE_RESPONSE_INVALID);
        return;
    }
    head->body_length = BODY_NONE;
    conn->stream.events->head(&conn->stream, head, false);
}

/* What the first bytes of a server can still become. Who greets, as servers of SSH and mail do, sends no
 * empty line, and would be waited for. SETTINGS is the first frame of a server of HTTP/2 (RFC 9113 3.4): who
 * set the protocol is helped by a word of its own. */
enum begin { BEGIN_RESPONSE, BEGIN_NOTHING_KNOWN, BEGIN_HTTP_2, BEGIN_MAYBE_HTTP_2 };

static enum begin begin_of(struct span bytes)
{
    static const char response[] = "HTTP/1.", settings[] = {4, 0, 0, 0, 0, 0}; /* type, flags, stream */
    size_t seen = bytes.length < sizeof response - 1 ? bytes.length : sizeof response - 1;
    if (memcmp(bytes.at, response, seen) == 0)
        return BEGIN_RESPONSE;
    size_t behind = bytes.length <= 3 ? 0 : bytes.length < 9 ? bytes.length - 3 : sizeof settings;
    if (bytes.at[0] != 0 || (behind != 0 && memcmp(bytes.at + 3, settings, behind) != 0))
        return BEGIN_NOTHING_KNOWN;
    return behind == sizeof settings ? BEGIN_HTTP_2 : BEGIN_MAYBE_HTTP_2;
}

static bool receive_response(struct h1_conn *conn)
{
    struct head_look look;
    size_t most = conn->settings->limits->response_head;
    conn->stream.any_received = 1;
    if (!skip_empty_line(conn))
        return false;
    if (!look_for_end(conn, most, &look)) {
        h1_fail(conn, FAILURE_OVERLOADED);
        return false;
    }
    if (look.step != H1_DONE && look.bytes.length != 0) {
        enum begin begin = begin_of(look.bytes);
        if (begin == BEGIN_MAYBE_HTTP_2)
            return false;
        if (begin != BEGIN_RESPONSE) {
            h1_fail(conn, begin == BEGIN_HTTP_2 ? FAILURE_RESPONSE_VERSION : FAILURE_RESPONSE_INVALID);
            return false;
        }
    }
    if (look.step == H1_FAILED || (look.step == H1_DONE ? look.length : look.bytes.length) > most) {
        h1_fail(conn, look.step == H1_FAILED ? FAILURE_RESPONSE_INVALID : FAILURE_RESPONSE_TOO_LARGE);
        return false;
    }
    if (look.step == H1_MORE)
        return false;
    struct head head;
    struct head_check check;
    conn->scan = (struct h1_scan){0};
    conn->skipped_line = false;
    enum failure why = FAILURE_OVERLOADED;
    if (take_head_bytes(conn, &look.bytes, look.length))
        why = h1_parse_response(look.bytes, conn->settings->limits, conn->stream.arena, &head, &check);
    if (why != FAILURE_NONE) {
        h1_fail(conn, why);
        return false;
    }
    if (head.line.response.status < 200)
        begin_interim(conn, &head);
    else
        begin_response(conn, &head, &check);
    return true;
}

/* ---- bodies ---- */

static void stop_reading(struct h1_conn *conn)
{
    if (!conn->paused) {
        conn->paused = true;
        transport_pause(conn->transport);
    }
}

/* How many body bytes may be delivered now; 0: the owner has enough, and reading stops. Bytes that are here
 * are held here or there, so the first of a window are told together and can leave together. */
static size_t window_left(struct h1_conn *conn)
{
    size_t window = window_now(conn);
    size_t left = conn->uncredited < window ? window - conn->uncredited : 0;
    if (left < WINDOW_SCRAP && conn->uncredited != 0) {
        stop_reading(conn);
        return 0;
    }
    transport_expect(conn->transport, window);
    bool together = conn->stream.window_grows && conn->uncredited == 0 && left < GROWN_WINDOW;
    return together ? GROWN_WINDOW : left;
}

static void body_failed(struct h1_conn *conn, enum failure request_why)
{
    if (conn->leftover)
        h1_linger(conn);
    else if (conn->conn.role == HTTP_SERVER)
        h1_refuse(conn, request_why);
    else
        h1_fail(conn, conn->head_told ? FAILURE_RESPONSE_CUT : FAILURE_RESPONSE_INVALID);
}

/* Bytes that nobody wants any more, up to a bound. */
static void discard(struct h1_conn *conn, struct buf *bytes)
{
    conn->discarded += (uint32_t)bytes->length;
    conn->rate_bytes += bytes->length;
    buf_clear(bytes);
    if (conn->discarded > H1_LEFTOVER_MOST)
        h1_linger(conn);
}

static void deliver(struct h1_conn *conn, struct buf *bytes, bool last)
{
    if (conn->leftover) {
        discard(conn, bytes);
        return;
    }
    conn->expects = false;
    conn->uncredited += bytes->length;
    conn->rate_bytes += bytes->length;
    h1_touch(conn);
    conn->stream.events->body(&conn->stream, bytes, last);
}

static bool receive_length(struct h1_conn *conn)
{
    size_t part = window_left(conn);
    struct buf bytes = {0};
    part = part < conn->in.length ? part : conn->in.length;
    part = (uint64_t)part < (uint64_t)conn->body_left ? part : (size_t)conn->body_left;
    if (part == 0)
        return false;
    if (!buf_move_some(&bytes, &conn->in, part)) {
        h1_fail(conn, FAILURE_OVERLOADED);
        return false;
    }
    conn->body_left -= (int64_t)part;
    if (conn->body_left == 0) {
        message_ended(conn);
    }
    deliver(conn, &bytes, conn->body_left == 0);
    return true;
}

/* A piece behind the last in the block for such; false: no block to be had. */
static bool add_dense(struct h1_conn *conn, struct buf *to, const char *bytes, size_t length)
{
    if (conn->dense != NULL && BLOCK_ROOM - conn->dense->used < length) {
        block_release(conn->dense);
        conn->dense = NULL;
    }
    if (length > BLOCK_ROOM || (conn->dense == NULL && (conn->dense = block_take()) == NULL))
        return false;
    char *at = conn->dense->bytes + conn->dense->used;
    if (!buf_add_block(to, conn->dense, at, length))
        return false;
    memcpy(at, bytes, length);
    conn->dense->used += (uint32_t)length;
    return true;
}

/* Chunks of a few bytes are mostly framing: whoever keeps what was in them would else keep blocks that are
 * all but empty. */
static void make_dense(struct h1_conn *conn, struct buf *bytes, size_t with_framing)
{
    struct buf dense = {0};
    if (bytes->length >= with_framing / 2)
        return;
    for (const struct slice *slice = bytes->first; slice != NULL; slice = slice->next)
        if (!add_dense(conn, &dense, slice->at, slice->length)) {
            buf_clear(&dense);
            return;
        }
    buf_clear(bytes);
    buf_move(bytes, &dense);
}

static bool receive_chunked(struct h1_conn *conn)
{
    size_t most = window_left(conn);
    struct buf bytes = {0};
    if (most == 0)
        return false;
    size_t before = conn->in.length;
    enum h1_step step = h1_chunked_read(&conn->chunked, &conn->in, &bytes, most);
    if (step == H1_FAILED) {
        buf_clear(&bytes);
        body_failed(conn, FAILURE_BAD_BODY);
        return false;
    }
    if (step == H1_DONE) {
        conn->receiving = RECEIVE_TRAILERS;
        conn->scan = (struct h1_scan){.in_trailers = true, .first_line = 0};
    }
    if (bytes.length != 0) {
        make_dense(conn, &bytes, before - conn->in.length);
        deliver(conn, &bytes, false);
    }
    return conn->in.length != before || step == H1_DONE;
}

/* Those of a request that was answered before. */
static bool skip_trailers(struct h1_conn *conn, struct head_look *look)
{
    if (conn->gathered == NULL) {
        buf_skip(&conn->in, look->length);
    } else if (!take_head_bytes(conn, &look->bytes, look->length)) {
        h1_fail(conn, FAILURE_OVERLOADED);
        return false;
    }
    arena_free(conn->stream.arena); /* nobody's: the next request has its own */
    conn->stream.arena = NULL;
    conn->scan = (struct h1_scan){0};
    message_ended(conn);
    return true;
}

/* No trailers is by far the most frequent: then the body just ends. */
static bool receive_trailers(struct h1_conn *conn)
{
    char start[2];
    struct buf nothing = {0};
    size_t seen = buf_peek(&conn->in, start, 2);
    if (conn->gathered == NULL && seen == 2 && start[0] == '\r' && start[1] == '\n') {
        buf_skip(&conn->in, 2);
        conn->scan = (struct h1_scan){0};
        message_ended(conn);
        deliver(conn, &nothing, true);
        return true;
    }
    struct head_look look;
    const struct limits_config *limits = conn->settings->limits;
    bool request = conn->conn.role == HTTP_SERVER;
    size_t most = request ? limits->request_head : limits->response_head;
    struct fields trailers;
    if (seen < 2 && conn->gathered == NULL)
        return false;
    if (!look_for_end(conn, most, &look)) {
        h1_fail(conn, FAILURE_OVERLOADED);
        return false;
    }
    if (look.step == H1_MORE && look.bytes.length <= most)
        return false;
    if (conn->leftover && look.step == H1_DONE && look.length <= most)
        return skip_trailers(conn, &look);
    bool bad = conn->leftover || look.step != H1_DONE || look.length > most ||
               !take_head_bytes(conn, &look.bytes, look.length) ||
               h1_parse_trailers(look.bytes, request, limits, conn->stream.arena, &trailers) != FAILURE_NONE;
    if (bad) {
        body_failed(conn, look.step == H1_MORE ? FAILURE_FIELDS_TOO_LARGE : FAILURE_BAD_BODY);
        return false;
    }
    conn->scan = (struct h1_scan){0};
    message_ended(conn);
    conn->stream.events->trailers(&conn->stream, &trailers);
    return true;
}

/* Raw bytes, and bodies that end with the connection. */
static bool receive_rest(struct h1_conn *conn)
{
    size_t part = window_left(conn);
    struct buf bytes = {0};
    part = part < conn->in.length ? part : conn->in.length;
    if (part == 0)
        return false;
    if (!buf_move_some(&bytes, &conn->in, part)) {
        h1_fail(conn, FAILURE_OVERLOADED);
        return false;
    }
    deliver(conn, &bytes, false);
    return true;
}

static bool receive_nothing(struct h1_conn *conn)
{
    if (conn->conn.role == HTTP_SERVER) {
        if (conn->in.length > BLOCK_ROOM)
            stop_reading(conn); /* pipelined requests wait for their turn in the socket */
        return false;
    }
    /* Bytes that no request has asked for: never the next response (protocol.md 14). */
    conn->peer_keeps = false;
    if (!conn->stream_open)
        h1_fail(conn, FAILURE_RESPONSE_INVALID);
    return false;
}

static bool receive_discard(struct h1_conn *conn)
{
    conn->rate_bytes += conn->in.length;
    if (!conn->lingering) {
        conn->discarded += (uint32_t)conn->in.length;
        if (conn->discarded > H1_LEFTOVER_MOST)
            stop_reading(conn); /* until the answer has left */
    }
    buf_clear(&conn->in);
    return false;
}

static bool receive_head(struct h1_conn *conn)
{
    return conn->conn.role == HTTP_SERVER ? receive_request(conn) : receive_response(conn);
}

/* Small pieces of a head lie together, so that it can be parsed where it is. */
static bool append_to_head(struct h1_conn *conn, struct buf *bytes)
{
    for (const struct slice *slice = bytes->first; slice != NULL; slice = slice->next)
        if (!buf_add(&conn->in, slice->at, slice->length))
            return false;
    buf_clear(bytes);
    return true;
}

/* Small pieces of a body share a block. Whoever keeps them (a slow server's queue, a retry) would else keep
 * 16 KiB for each, however small. */
static bool append_to_body(struct h1_conn *conn, struct buf *bytes)
{
    struct block *fill = conn->fill;
    size_t length = bytes->length;
    if (buf_front_pipe(bytes) != NULL) {
        buf_move(&conn->in, bytes);
        return true;
    }
    if (fill == NULL || length > SMALL_PIECE || length > BLOCK_ROOM - fill->used) {
        if (length <= SMALL_PIECE)
            keep_fill(conn, bytes->last);
        buf_move(&conn->in, bytes);
        return true;
    }
    char *at = fill->bytes + fill->used;
    if (!buf_add_block(&conn->in, fill, at, length))
        return false;
    fill->used += (uint32_t)buf_peek(bytes, at, length);
    buf_clear(bytes);
    return true;
}

static bool append(struct h1_conn *conn, struct buf *bytes)
{
    switch ((enum h1_receiving)conn->receiving) {
    case RECEIVE_HEAD:
        if (conn->in.length != 0 && conn->gathered == NULL)
            return append_to_head(conn, bytes);
        break;
    case RECEIVE_LENGTH:
    case RECEIVE_CHUNKED:
    case RECEIVE_TRAILERS:
    case RECEIVE_UNTIL_CLOSE:
    case RECEIVE_RAW:
        return append_to_body(conn, bytes);
    case RECEIVE_NOTHING:
    case RECEIVE_DISCARD:
        break;
    }
    buf_move(&conn->in, bytes);
    return true;
}

void h1_received(struct h1_conn *conn, struct buf *bytes)
{
    /* Before a request has left there is nothing to answer: it is what the server said to an idle connection,
     * never a response (protocol.md 14). */
    if (conn->conn.role == HTTP_CLIENT && conn->stream_open && !conn->stream.any_sent) {
        bool other = bytes->length != 0 && begin_of(buf_front(bytes)) == BEGIN_HTTP_2;
        buf_clear(bytes);
        h1_fail(conn, conn->stream.reused ? FAILURE_SERVER_STALE
                      : other             ? FAILURE_RESPONSE_VERSION
                                          : FAILURE_RESPONSE_INVALID);
        return;
    }
    if (!append(conn, bytes)) {
        buf_clear(bytes);
        h1_fail(conn, FAILURE_OVERLOADED);
        return;
    }
    h1_receive(conn);
}

/* ---- the peer's end ---- */

static void server_peer_ended(struct h1_conn *conn)
{
    switch ((enum h1_receiving)conn->receiving) {
    case RECEIVE_HEAD:
        h1_fail(conn, FAILURE_CLIENT_CLOSED);
        break;
    case RECEIVE_LENGTH:
    case RECEIVE_CHUNKED:
    case RECEIVE_TRAILERS:
        h1_fail(conn, FAILURE_CLIENT_CLOSED);
        break;
    case RECEIVE_DISCARD:
        if (conn->lingering)
            h1_fail(conn, FAILURE_CLIENT_CLOSED);
        break;
    case RECEIVE_NOTHING:
        h1_touch(conn);
        h1_arm(conn, conn->minor_version != 0 ? H1_PROBE_MS : conn->settings->timeouts->half_closed);
        break;
    case RECEIVE_RAW:
    case RECEIVE_UNTIL_CLOSE:
        break;
    }
}

enum failure h1_end_of_response(const struct h1_conn *conn)
{
    char start[8];
    size_t seen = conn->gathered_length < sizeof start ? conn->gathered_length : sizeof start;
    if (seen != 0)
        memcpy(start, conn->gathered, seen);
    else
        seen = buf_peek(&conn->in, start, sizeof start);
    bool wrong =
        conn->receiving == RECEIVE_HEAD && seen != 0 && begin_of(span_make(start, seen)) != BEGIN_RESPONSE;
    return wrong ? FAILURE_RESPONSE_INVALID : FAILURE_RESPONSE_CUT;
}

static void client_peer_ended(struct h1_conn *conn)
{
    if (!conn->stream_open) {
        h1_fail(conn, FAILURE_NONE);
        return;
    }
    struct buf nothing = {0};
    switch ((enum h1_receiving)conn->receiving) {
    case RECEIVE_HEAD:
        h1_fail(conn, conn->stream.any_received ? h1_end_of_response(conn)
                      : conn->stream.reused     ? FAILURE_SERVER_STALE
                                                : FAILURE_SERVER_CLOSED);
        break;
    case RECEIVE_UNTIL_CLOSE:
        message_ended(conn);
        deliver(conn, &nothing, true);
        h1_finish_message(conn);
        break;
    case RECEIVE_LENGTH:
    case RECEIVE_CHUNKED:
    case RECEIVE_TRAILERS:
        h1_fail(conn, FAILURE_RESPONSE_CUT);
        break;
    case RECEIVE_NOTHING:
    case RECEIVE_DISCARD:
    case RECEIVE_RAW:
        break;
    }
}

/* All that came before the end has been looked at, or nothing more of it is wanted. */
static void tell_end(struct h1_conn *conn)
{
    struct buf nothing = {0};
    conn->end_told = true;
    if (conn->receiving == RECEIVE_RAW && conn->transport->truncated) {
        h1_fail(conn, FAILURE_CLIENT_CLOSED);
    } else if (conn->receiving == RECEIVE_RAW && conn->stream_open) {
        conn->raw_ended = true;
        deliver(conn, &nothing, true);
    } else if (conn->conn.role == HTTP_SERVER) {
        server_peer_ended(conn);
    } else {
        client_peer_ended(conn);
    }
}

void h1_receive(struct h1_conn *conn)
{
    static bool (*const steps[])(struct h1_conn *) = {
        [RECEIVE_HEAD] = receive_head,        [RECEIVE_LENGTH] = receive_length,
        [RECEIVE_CHUNKED] = receive_chunked,  [RECEIVE_TRAILERS] = receive_trailers,
        [RECEIVE_UNTIL_CLOSE] = receive_rest, [RECEIVE_RAW] = receive_rest,
        [RECEIVE_NOTHING] = receive_nothing,  [RECEIVE_DISCARD] = receive_discard,
    };
    while (!conn->closing && (conn->in.length != 0 || conn->gathered_length != 0) &&
           steps[conn->receiving](conn))
        ;
    /* heads and trailers wait here until they are whole */
    bool looked_at = conn->in.length == 0 || conn->receiving == RECEIVE_NOTHING ||
                     conn->receiving == RECEIVE_HEAD || conn->receiving == RECEIVE_TRAILERS;
    if (!conn->closing && conn->peer_ended && !conn->end_told && looked_at)
        tell_end(conn);
    if (!conn->closing)
        h1_finish_message(conn);
}

void h1_peer_ended(struct h1_conn *conn)
{
    conn->peer_ended = true;
    if (!conn->closing)
        h1_receive(conn);
}
