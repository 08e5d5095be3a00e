/*
 * One codec over one transport, in server or client role. It takes the transport over (sets its events and
 * owner) and closes it. Server role keeps its own timers: request head, keep-alive, body idle and least rate,
 * writing, linger (all from http_settings).
 */
#ifndef WEIR_HTTP_HTTP_CONN_H
#define WEIR_HTTP_HTTP_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "http/failure.h"
#include "http/pace.h"

struct buf;
struct stream;
struct transport;
struct http_conn;
struct limits_config;
struct timeouts_config;

/* timeouts.linger is for how long the peer may send too little; so many times that is the time in all. */
#define HTTP_LINGERS 15u

enum http_version { HTTP_1, HTTP_2, HTTP_RAW };
enum http_role { HTTP_SERVER, HTTP_CLIENT };
/* What a codec obeys; lives at least as long as every conn that was made with it (it belongs to a snapshot;
 * http_conn_settings() moves a conn to a newer one). */
struct http_settings {
    const struct limits_config *limits;
    const struct timeouts_config *timeouts;
    /* server role: bytes of a new stream's arena that are set aside for its owner (stream.room), at most
     * HTTP_STREAM_ROOM_MOST */
    size_t stream_room;
};
#define HTTP_STREAM_ROOM_MOST 8192u
/* Of what a client takes (limits.least_read_rate, timeouts.write). */
struct pace_rule http_pace_rule(const struct http_settings *settings);
struct http_conn_events {
    /* server role: a new request begins; owner sets the stream's events */
    void (*opened)(struct http_conn *conn, struct stream *stream);
    /* client role: the last stream has ended and a new one may be opened (kept alive). Server role: between
     * two requests; the owner may change settings */
    void (*idle)(struct http_conn *conn);
    /* Client role, HTTP/2 only; may be NULL: how many streams may be opened has changed (http_conn_room()):
     * one of several has ended, or the peer has set or lowered its limit, or will take no more (GOAWAY).
     * idle() comes besides when none is left. Streams that end before the peer's limit is known are not told
     * here. */
    void (*room)(struct http_conn *conn);
    /* Server role, HTTP/2 only; may be NULL: the client flooded it, with what `of` names, and the connection
     * ends. Told while frames are read: nothing may be asked of the connection. */
    void (*flooded)(struct http_conn *conn, const char *of);
    /* once, and last; streams have had their closed() */
    void (*closed)(struct http_conn *conn, enum failure why);
};
struct http_conn {
    const struct http_conn_events *events;
    void *owner;
    enum http_version version;
    enum http_role role;
    const struct http_conn_ops *ops; /* of the codec */
};
/* SOON: closed() comes in this turn; what is left to say is said as far as the socket takes it, and nobody
 * waits until the peer has read it. RESET: nothing more is said. */
enum http_close { HTTP_CLOSE, HTTP_CLOSE_SOON, HTTP_CLOSE_RESET };
/* What that is for its streams. */
enum failure http_close_failure(const struct http_conn *conn, enum http_close how);
/* What a stream's owner holds for it. */
size_t http_held_above(const struct stream *stream);
struct http_conn_ops {
    struct stream *(*open)(struct http_conn *conn);
    unsigned (*room)(const struct http_conn *conn);
    void (*drain)(struct http_conn *conn);
    void (*close)(struct http_conn *conn, enum http_close how);
    void (*each)(struct http_conn *conn, void (*act)(struct stream *stream, void *argument), void *argument);
    void (*settings)(struct http_conn *conn, const struct http_settings *settings);
    struct transport *(*transport)(const struct http_conn *conn);
    int (*keep_alive_hint)(const struct http_conn *conn);
    size_t (*held)(const struct http_conn *conn);
    size_t least; /* bytes that one holds at least which has a request on its way */
};
/* Whether this weir was built with that codec. */
bool http_version_is_built(enum http_version version);
/* The transport is open (handshake done). early: bytes already read (behind a PROXY preface), taken; or NULL.
 */
struct http_conn *http_conn_new(enum http_version version, enum http_role role, struct transport *transport,
                                const struct http_settings *settings, struct buf *early,
                                const struct http_conn_events *events, void *owner) MUST_CHECK;
/* Client role; room must not be 0. NULL: no memory. */
MUST_CHECK static inline struct stream *http_conn_open(struct http_conn *conn)
{
    return conn->ops->open(conn);
}
static inline unsigned http_conn_room(
    const struct http_conn *conn) /* streams it can still open; 0 also when the peer closed or said close */
{
    return conn->ops->room(conn);
}
/* Finish what runs, take no more. Server role, HTTP/1: a quiet connection answers one more with Connection:
 * close, or closes when it stays quiet (for 1 s); the response in progress says Connection: close if its head
 * has not gone. HTTP/2: GOAWAY in two steps (RFC 9113 6.8), then it closes with its last stream. */
static inline void http_conn_drain(struct http_conn *conn)
{
    conn->ops->drain(conn);
}
/* Each stream whose owner has been told of it and not yet of its end. */
static inline void http_conn_each(struct http_conn *conn, void (*act)(struct stream *stream, void *argument),
                                  void *argument)
{
    conn->ops->each(conn, act, argument);
}
static inline void http_conn_close(struct http_conn *conn)
{
    conn->ops->close(conn, HTTP_CLOSE);
}
/* Its descriptor and memory are wanted for others, now: whatever it waits for. */
static inline void http_conn_shed(struct http_conn *conn)
{
    conn->ops->close(conn, HTTP_CLOSE_SOON);
}
/* At once: nothing more is said, the peer sees a reset. closed() still comes from the loop. */
static inline void http_conn_reset(struct http_conn *conn)
{
    conn->ops->close(conn, HTTP_CLOSE_RESET);
}
static inline void http_conn_settings(struct http_conn *conn, const struct http_settings *settings)
{
    conn->ops->settings(conn, settings);
}
struct transport *http_conn_transport(const struct http_conn *conn);
/* Bytes of memory that the peer makes it hold by its messages, about: heads, bodies, what waits for it. */
static inline size_t http_conn_held(const struct http_conn *conn)
{
    return conn->ops->held(conn);
}
/* Client role: seconds of the server's last Keep-Alive: timeout (protocol.md 29); -1: it said none. */
int http_conn_keep_alive_hint(const struct http_conn *conn);

#endif
