/* What the files of the HTTP/1 codec share: h1_conn.c (life and timers), h1_receive.c (bytes to events),
 * h1_send.c (calls to bytes). */
#ifndef WEIR_HTTP_H1_H
#define WEIR_HTTP_H1_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/h1_chunked.h"
#include "http/h1_parse.h"
#include "http/head.h"
#include "http/http_conn.h"
#include "http/pace.h"
#include "http/stream.h"
#include "net/loop.h"
#include "net/transport.h"

enum h1_receiving {
    RECEIVE_HEAD, /* server: between requests or in a head; client: a response head */
    RECEIVE_LENGTH,
    RECEIVE_CHUNKED,
    RECEIVE_TRAILERS,
    RECEIVE_UNTIL_CLOSE, /* client role: the body ends with the connection */
    RECEIVE_RAW,         /* tunnel */
    RECEIVE_NOTHING,     /* the message is whole; client role without a stream */
    RECEIVE_DISCARD      /* lingering: what comes is thrown away */
};
enum h1_sending {
    SEND_NOTHING, /* no head yet */
    SEND_BODY,
    SEND_RAW,
    SEND_ENDED /* the message is queued whole */
};
/* Idle connections pay for this struct. */
struct h1_conn {
    struct http_conn conn;
    struct stream stream; /* one at a time */
    struct transport *transport;
    const struct http_settings *settings;
    struct buf in;       /* received, not yet looked at or not yet wanted */
    struct block *fill;  /* small pieces of a body are copied into its tail; a reference, or NULL */
    struct block *dense; /* likewise for what is left of much framing */
    char *gathered;      /* a head that spans blocks, put together; in the stream's arena */
    size_t gathered_length;
    struct h1_scan scan;
    union {
        struct h1_chunked chunked; /* RECEIVE_CHUNKED */
        int64_t body_left;         /* RECEIVE_LENGTH */
    };
    int64_t send_left;   /* body bytes that were announced and not sent; -1: the framing tells the end */
    size_t uncredited;   /* delivered body bytes that the owner has not dealt with */
    size_t body_queued;  /* body bytes given to the transport and not yet reported as sent */
    uint64_t since;      /* ms: when what is waited for from the peer began or last moved */
    struct pace pace;    /* server role: of what waits for the client */
    uint64_t rate_since; /* ms: start of the stretch that rate_bytes counts; 0: none */
    uint64_t rate_bytes; /* body bytes since the last look at the rate */
    uint32_t requests;   /* carried so far */
    uint32_t discarded;  /* bytes thrown away to keep the connection; little more than H1_LEFTOVER_MOST */
    struct deadline deadline;
    union {
        struct task step;       /* what a call has put off */
        struct retired retired; /* once it is closed */
    };
    uint8_t receiving, sending;
    uint8_t framing;         /* of the message being sent: enum h1_framing */
    uint8_t minor_version;   /* of the peer's last head */
    uint8_t why;             /* enum failure with which the stream ends when the transport closes */
    uint8_t like_last;       /* blocks to read at once for a message as long as the last; 0: one */
    uint8_t interims;        /* 1xx of this response, as far as they are counted */
    int16_t keep_alive_hint; /* seconds: the server's Keep-Alive: timeout; -1: it said none */
    /* server role: a head has begun; since its first byte it is that `since` stands */
    bool in_head : 1;
    bool stream_open : 1;  /* announced or opened, and not yet closed() */
    bool close_after : 1;  /* no further message after this one */
    bool peer_keeps : 1;   /* the peer's side of keep-alive */
    bool peer_ended : 1;   /* EOF came */
    bool refused : 1;      /* refused() was told */
    bool head_request : 1; /* the request's method is HEAD */
    bool asked_upgrade : 1;
    bool paused : 1;
    bool draining : 1;
    bool closing : 1;
    bool lingering : 1;
    bool failing : 1;      /* server role: what h1_fail() has left to the step task */
    bool cut : 1;          /* lingering, and the peer is to see a reset once it has what was sent */
    bool skipped_line : 1; /* the one empty line before a head */
    bool head_told : 1;    /* client role: the final head was told */
    bool raw_ended : 1;    /* the peer's side of the tunnel */
    bool end_told : 1;     /* the peer's end was acted upon */
    bool write_stalls : 1; /* bytes wait for the peer to take them */
    /* server role: the response has left, the rest of the request is thrown away */
    bool leftover : 1;
    bool expects : 1; /* server role: the client waits for a 100 before it sends its body */
};

#define H1_LEFTOVER_MOST \
    (256u << 10) /* bytes of a request nobody wants that are thrown away to keep its connection */

/*
 * TCP shows no difference between a client that has no more to say and one that is gone, until something is
 * sent to it (protocol.md 19 and 24). So a client that has shut its side while it waits is sent a 102 (RFC
 * 2518 10.1) now and then: one that is gone answers with a reset, the other reads on.
 */
#define H1_PROBE_MS 1000u
#define H1_PROBES_QUICK 2u /* a reset is seen by the second */
#define H1_PROBE_LATER_MS 15000u

#define H1_CUT_LOOK_MS \
    10u /* how often it is seen whether a client has all that was sent before its answer was cut */

#define H1_DRAIN_QUIET_MS 1000u /* a quiet connection of a weir that drains is closed after this */

extern const struct stream_ops h1_stream_ops;
struct h1_conn *h1_of_stream(struct stream *stream);
static inline struct loop *h1_loop(const struct h1_conn *conn)
{
    return conn->transport->loop;
}
/* h1_conn.c */
void h1_end_stream(struct h1_conn *conn, enum failure why); /* tells closed() */
/* ends the connection, at once or when the client has what was sent to it; the stream ends with `why` */
void h1_fail(struct h1_conn *conn, enum failure why);
/* looks whether the exchange is over on this side */
void h1_finish_message(struct h1_conn *conn);
/* the timer comes within that time at the latest */
void h1_arm(struct h1_conn *conn, uint64_t milliseconds);
void h1_touch(struct h1_conn *conn); /* what is waited for has moved */
/* ends our side and throws away what still comes, within bounds */
void h1_linger(struct h1_conn *conn);
/* h1_receive.c */
void h1_receive(struct h1_conn *conn); /* goes through conn->in as far as it may */
void h1_received(struct h1_conn *conn, struct buf *bytes);
void h1_peer_ended(struct h1_conn *conn);
/* Client role: what it is when the connection ends and something has come: cut, unless it never was HTTP. */
enum failure h1_end_of_response(const struct h1_conn *conn) MUST_CHECK;
void h1_refuse(struct h1_conn *conn, enum failure why); /* server role */
void h1_drop_blocks(struct h1_conn *conn);
static inline void h1_drop_fill(struct h1_conn *conn)
{
    if (((uintptr_t)conn->fill | (uintptr_t)conn->dense) != 0)
        h1_drop_blocks(conn);
}
bool h1_gather_anew(struct h1_conn *conn) MUST_CHECK;
/* h1_send.c */
void h1_report_sent(struct h1_conn *conn);
void h1_probe(struct h1_conn *conn);

#endif
