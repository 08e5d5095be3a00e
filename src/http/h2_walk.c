/*
 * Looks at the head of each frame before the library does: counts what the guard bounds, and finds frames of
 * streams that have ended, which the library, keeping no closed streams (they cost 240 bytes each), would
 * take for late ones and ignore.
 */
#include "config/config.h"
#include "http/h2.h"

#define FRAME_HEAD 9u      /* RFC 9113 4.1 */
#define CLIENT_PREFACE 24u /* RFC 9113 3.4; the library checks it */
#define TINY_DATA 5u       /* bytes: the least that a gRPC message has */
#define LATE_MS 30000u /* frames may still be on their way for a stream that we have reset (RFC 9113 5.1) */

struct frame_head {
    uint32_t length;
    uint8_t type, flags;
    int32_t id;
};

void h2_walk_begin(struct h2_conn *conn)
{
    conn->walk.skip = conn->conn.role == HTTP_SERVER ? CLIENT_PREFACE : 0;
}

static struct frame_head parse(const uint8_t bytes[FRAME_HEAD])
{
    return (struct frame_head){
        .length = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2],
        .type = bytes[3],
        .flags = bytes[4],
        .id = (int32_t)((uint32_t)(bytes[5] & 0x7f) << 24 | (uint32_t)bytes[6] << 16 |
                        (uint32_t)bytes[7] << 8 | bytes[8]),
    };
}

/* Which guard counts a frame; H2_GUARD_COUNT: none. What RST_STREAM means is seen where it ends a stream. */
static enum h2_guard_kind guard_of(const struct frame_head *frame)
{
    bool ack = (frame->flags & NGHTTP2_FLAG_ACK) != 0, ends = (frame->flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->type) {
    case NGHTTP2_DATA:
        if (ends || frame->length >= TINY_DATA)
            return H2_GUARD_COUNT;
        return frame->length == 0 ? H2_GUARD_empty_data : H2_GUARD_tiny_data;
    case NGHTTP2_PRIORITY:
        return H2_GUARD_priorities;
    case NGHTTP2_SETTINGS:
        return ack ? H2_GUARD_COUNT : H2_GUARD_settings;
    case NGHTTP2_PING:
        return ack ? H2_GUARD_COUNT : H2_GUARD_pings;
    case NGHTTP2_WINDOW_UPDATE:
        return H2_GUARD_window_updates;
    case NGHTTP2_CONTINUATION:
        return H2_GUARD_continuations;
    case NGHTTP2_HEADERS:
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_PUSH_PROMISE:
    case NGHTTP2_GOAWAY:
        return H2_GUARD_COUNT;
    default:
        return H2_GUARD_unknown_frames;
    }
}

static void note_head(struct h2_conn *conn, const struct frame_head *frame)
{
    conn->walk.in_head = frame->type == NGHTTP2_HEADERS || frame->type == NGHTTP2_CONTINUATION;
    conn->walk.head_ends = (frame->flags & NGHTTP2_FLAG_END_HEADERS) != 0;
    if (frame->type != NGHTTP2_CONTINUATION)
        conn->since_head = conn->walk.continuations = 0;
    else if (frame->length != 0 && conn->walk.continuations != UINT8_MAX)
        conn->walk.continuations++;
}

/* Since when a request's head is under way: the rest of a frame may be long in coming, and so may
 * CONTINUATION frames. */
static void watch_head(struct h2_conn *conn)
{
    bool waits = conn->walk.in_head && (conn->walk.skip != 0 || !conn->walk.head_ends);
    if (!waits) {
        conn->since_head = 0;
    } else if (conn->since_head == 0 && conn->conn.role == HTTP_SERVER) {
        conn->since_head = loop_now(conn->loop);
        h2_arm(conn, conn->settings->timeouts->request_head);
    }
}

static bool ended_lately(const struct h2_walk *walk, int32_t id)
{
    for (unsigned i = 0; i < H2_CLOSED_KNOWN; i++)
        if (walk->closed[i] == id)
            return true;
    return false;
}

/* The client began it before it saw our GOAWAY, behind the last stream that this names (RFC 9113 6.8). */
static bool is_ignored(const struct h2_conn *conn, int32_t id)
{
    return conn->goaway_sent && id > nghttp2_session_get_last_proc_stream_id(conn->session);
}

/* Streams are begun in order, each once (RFC 9113 5.1, 5.1.1). */
static bool stream_is_fine(struct h2_conn *conn, const struct frame_head *frame)
{
    struct h2_walk *walk = &conn->walk;
    bool odd = (frame->id & 1) != 0;
    if (conn->conn.role != HTTP_SERVER || !odd ||
        (frame->type != NGHTTP2_HEADERS && frame->type != NGHTTP2_DATA))
        return true;
    if (frame->id > walk->last_id) {
        if (frame->type == NGHTTP2_HEADERS)
            walk->last_id = frame->id;
        return true;
    }
    bool known = nghttp2_session_get_stream_remote_close(conn->session, frame->id) >= 0;
    bool late = conn->reset_at != 0 && loop_now(conn->loop) - conn->reset_at < LATE_MS;
    if (known || late || is_ignored(conn, frame->id))
        return true;
    bool closed = frame->type == NGHTTP2_DATA || ended_lately(walk, frame->id);
    h2_terminate(conn, closed ? NGHTTP2_STREAM_CLOSED : NGHTTP2_PROTOCOL_ERROR, FAILURE_CLIENT_CLOSED);
    return false;
}

static bool frame_is_fine(struct h2_conn *conn)
{
    struct frame_head frame = parse(conn->walk.head);
    enum h2_guard_kind kind = guard_of(&frame);
    conn->walk.skip = frame.length;
    if (frame.type == NGHTTP2_DATA || frame.type == NGHTTP2_HEADERS)
        conn->said_at = loop_now(conn->loop);
    note_head(conn, &frame);
    return (kind == H2_GUARD_COUNT || h2_note(conn, kind)) && stream_is_fine(conn, &frame);
}

static int feed(struct h2_conn *conn, const void *from, const void *to)
{
    if (from == to || conn->finishing || conn->closing)
        return 0;
    ssize_t taken =
        nghttp2_session_mem_recv(conn->session, from, (size_t)((const uint8_t *)to - (const uint8_t *)from));
    return taken < 0 ? (int)taken : 0;
}

/*
 * What stands before a frame is the library's before the frame is looked at: it knows the streams. A frame's
 * head is given to it whole, since it counts a CONTINUATION each time that it gets a piece of its head.
 */
static int walk_frames(struct h2_conn *conn, const char *bytes, size_t length)
{
    struct h2_walk *walk = &conn->walk;
    const char *at = bytes, *end = bytes + length, *fed = bytes;
    while (at < end) {
        if (walk->skip != 0) {
            size_t part = (size_t)(end - at) < walk->skip ? (size_t)(end - at) : walk->skip;
            at += part;
            walk->skip -= (uint32_t)part;
            continue;
        }
        const char *begins = at;
        bool in_pieces = walk->have != 0; /* its first bytes are in walk->head only */
        while (at < end && walk->have < FRAME_HEAD)
            walk->head[walk->have++] = (uint8_t)*at++;
        int error = feed(conn, fed, begins);
        fed = begins;
        if (error != 0 || walk->have < FRAME_HEAD)
            return error;
        walk->have = 0;
        if (conn->finishing || conn->closing || !frame_is_fine(conn))
            return 0;
        if (in_pieces) {
            error = feed(conn, walk->head, walk->head + FRAME_HEAD);
            fed = at;
            if (error != 0)
                return error;
        }
    }
    return feed(conn, fed, end);
}

int h2_walk(struct h2_conn *conn, const char *bytes, size_t length)
{
    int error = walk_frames(conn, bytes, length);
    watch_head(conn);
    return error;
}
