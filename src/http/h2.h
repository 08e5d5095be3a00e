/*
 * What the files of the HTTP/2 codec share: h2_conn.c (life, timers, the interface of a connection),
 * h2_callbacks.c (frames to events), h2_stream.c (calls to frames), h2_head.c (fields both ways). The library
 * parses and writes frames and keeps their rules; who may do how much, and when, is decided here.
 *
 * The library is called from the loop only: callbacks of nghttp2_session_mem_recv() tell the owner, whose
 * calls then only submit; what was submitted is written by one task at the end of the turn. A stream that is
 * over for the library is told closed() after that call has returned (h2_tell_over()).
 */
#ifndef WEIR_HTTP_H2_H
#define WEIR_HTTP_H2_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "http/h2_guard.h"
#include "http/head.h"
#include "http/head_check.h"
#include "http/http_conn.h"
#include "http/pace.h"
#include "http/stream.h"
#include "net/loop.h"
#include "net/transport.h"

struct h2_conn;

/* A header block while it is received; in the stream's arena. */
struct h2_reading {
    struct head head;
    struct head_check check;
    struct span authority, path, protocol, scheme;
    /* bytes as HTTP/1 would count them: what limits.header_list and response_head say */
    size_t size;
    size_t line; /* of :method and :path, as far as they have come */
    unsigned fields, crumbs;
    enum failure why; /* not NONE: refused; the rest of the block is not kept */
    bool trailers;
    bool past_pseudo; /* of a response: a field without a colon has come */
};
struct h2_stream {
    struct stream stream;
    struct h2_conn *conn;
    struct list at;   /* conn->streams */
    struct list told; /* conn->told: sent() is to be told; also linked while over */
    struct retired retired;
    struct h2_reading *reading; /* NULL: no header block is being received */
    struct buf in;              /* received, not yet told */
    struct buf out;             /* to be sent; leaves by h2_stream.c's data provider */
    const struct head *request; /* waits_settings: in the arena */
    /* server role: received in this call of the library and not told yet, in the arena; linked into
     * conn->fresh by `told` */
    struct head *fresh;
    struct fields trailers; /* to be sent behind it; its items live in the arena */
    int64_t send_left;      /* bytes still to come by the Content-Length that was sent; -1: none was */
    /* client role: bytes still to come of an answer to an extended CONNECT, whose length the library does not
     * hold it to; -1: not counted here */
    int64_t receive_left;
    size_t uncredited;               /* received, not yet credited */
    size_t window;                   /* our receive window of the stream */
    size_t passed;                   /* credited since the window last grew */
    size_t left;                     /* body bytes framed, sent() not yet told */
    size_t kept;                     /* server role: bytes of its arena, counted in conn->kept */
    uint64_t since_in;               /* loop_now(): the last byte received */
    struct pace pace;                /* server role: of what waits for the window */
    uint64_t framed;                 /* body bytes, all */
    uint64_t framed_at;              /* where the last of them lies in what the connection sends */
    uint64_t rate_since, rate_bytes; /* server role: for limits.least_body_rate */
    uint64_t bytes_before;           /* client role: of conn->received when it was opened */
    int32_t id;                      /* 0: not submitted yet */
    unsigned interims;               /* client role: 1xx received */
    uint8_t why;                     /* enum failure with which it ends */
    uint8_t fresh_why;               /* enum failure: it is refused */
    uint8_t continuations;           /* server role: frames with bytes of its head */
    bool fresh_last : 1;             /* END_STREAM stood on the head */
    bool announced : 1;              /* opened() was told, or opened by http_conn_open(): closed() is owed */
    bool over : 1;                   /* ended: nothing is told any more but closed() */
    bool reset_here : 1;             /* RST_STREAM is our own decision */
    bool peer_reset : 1;
    bool head_told : 1; /* client role: the final head */
    bool head_sent : 1; /* server role: the final head; client role: the request */
    bool head_request : 1;
    bool in_last : 1;      /* END_STREAM came, and is to be told with `in` */
    bool in_ended : 1;     /* END_STREAM came */
    bool out_last : 1;     /* the owner has ended its message */
    bool out_ended : 1;    /* END_STREAM was framed */
    bool out_lent : 1;     /* `out` refers to bytes that are held anyway (block_lent_new) */
    bool has_trailers : 1; /* `trailers` ends the message */
    bool deferred : 1;     /* the data provider waits for nghttp2_session_resume_data() */
    bool tunnel : 1;       /* extended CONNECT: asked for */
    bool raw : 1;          /* and granted */
    bool hold : 1;         /* received bytes wait for the tunnel to be granted */
    bool refused : 1;      /* server role: refused() was told */
    /* Told closed(), and not over for the library. Server role: answered, and the rest of its request is
     * thrown away; client role: END_STREAM is still to come behind an answer without a body. On
     * conn->leftovers. */
    bool leftover : 1;
    bool gone : 1;           /* leftover: the library knows it no more */
    bool waits_settings : 1; /* client role: an extended CONNECT before the peer's SETTINGS */
};
#define H2_CLOSED_KNOWN 8u
/* Where the frames begin in what is received (h2_walk.c). */
struct h2_walk {
    uint32_t skip; /* bytes of the current frame's payload still to come */
    uint8_t have;  /* bytes of the next frame's head */
    uint8_t closed_at;
    bool in_head, head_ends; /* of the current frame: it belongs to a header block, and is its last */
    uint8_t continuations;   /* of this block, with bytes */
    uint8_t head[9];
    int32_t last_id;                 /* the highest stream the client has begun */
    int32_t closed[H2_CLOSED_KNOWN]; /* streams that ended last */
};
struct h2_conn {
    struct http_conn conn;
    struct transport *transport;
    const struct http_settings *settings;
    struct loop *loop;
    nghttp2_session *session;
    struct list streams;         /* h2_stream.at, oldest first */
    struct list leftovers;       /* h2_stream.at */
    struct list told;            /* h2_stream.told */
    struct list over;            /* h2_stream.told: closed() is to be told */
    struct list waiting;         /* h2_stream.told: waits_settings */
    struct list fresh;           /* h2_stream.told: h2_stream.fresh */
    struct block *fill;          /* small pieces of bodies are copied together; a reference, or NULL */
    const struct slice *feeding; /* whose bytes the library is looking at */
    struct h2_stream *last;      /* that h2_find_stream() found; NULL: none */
    struct h2_stream *partial;   /* has received a part of a DATA frame in this call of the library */
    struct task flush, step;
    struct buf early; /* read before the codec was there */
    struct deadline deadline;
    struct retired retired;
    uint64_t since;      /* the last stream began or ended, or the connection */
    uint64_t since_head; /* server role: a header block is under way; 0: none */
    /* server role: of what waits for the socket, of what it has, and of what waits for the connection's
     * window */
    struct pace pace, line_pace, window_pace;
    uint64_t looked;            /* ms: when they were last looked at */
    uint64_t starved_at;        /* ms: since when there is no memory to write into; 0: there is */
    struct span unwritten;      /* of the library, which has framed them: good until it frames more */
    uint64_t framed, framed_at; /* body bytes of all streams, as in h2_stream */
    uint64_t drain_since, ping_at;
    uint64_t received_at; /* client role */
    uint64_t said_at;     /* client role: the server's last frame of a message */
    uint64_t received;    /* bytes, all */
    uint64_t requests;    /* server role: told, all */
    size_t held;          /* uncredited, of all streams */
    size_t grown;         /* by so much the windows of all streams are larger than H2_FIRST_WINDOW */
    size_t kept;          /* server role: bytes of the arenas of all streams, about */
    size_t unsent;        /* server role: of all streams' `out`, but for lent bytes */
    unsigned streams_count, leftovers_count;
    unsigned turned_away; /* streams since frames were written last */
    struct h2_guard guard;
    struct h2_walk walk;
    uint64_t reset_at;  /* when we reset a stream last; 0: never */
    uint8_t why;        /* enum failure of streams when the connection ends */
    bool closing : 1;   /* the transport is closed or about to be */
    bool finishing : 1; /* GOAWAY is said or being said: what comes is thrown away */
    bool draining : 1;
    bool drain_due : 1;   /* the second step may be taken at the next look of the timer */
    bool goaway_sent : 1; /* the second step of a drain */
    bool peer_goaway : 1;
    bool peer_settings : 1; /* the first SETTINGS of the peer came */
    bool ping_out : 1;      /* a PING of ours is under way */
    bool hurries : 1;       /* its place is wanted: it ends in this turn */
    bool flooded : 1;       /* the peer has, and is given little time */
    bool lingering : 1;     /* our side is ended */
    bool write_stalls : 1;
    bool more : 1;       /* frames wait for room in the transport's queue */
    bool body_waits : 1; /* a frame of a body waits for memory */
    bool any_stream : 1; /* there has been one */
};

#define H2_OUT_MOST                                                                                      \
    (64u << 10) /* bytes in the transport's queue at which no more frames are made: what waits is in the \
                   streams, where it is counted */
#define H2_SMALL_PIECE 4096u /* bytes: worth a copy rather than a block of its own */
#define H2_NARROW_WINDOW \
    256 /* bytes: with less for an answer at its beginning a request counts as narrow ... */
#define H2_OPEN_WINDOW 4096    /* ... until it has this much, */
#define H2_NARROW_MOST 1u      /* and of these a client may have so many at a time */
#define H2_FIRST_WINDOW 65535u /* RFC 9113 6.9.2 */
#define H2_DRAIN_STEP_MS 1000u
#define H2_LEFTOVER_MS                                                                                      \
    1000u /* a client that was answered early may take this long to see it before its stream is reset: some \
             lose an answer that a reset follows at once */

/* h2_conn.c */
struct h2_stream *h2_stream_new(struct h2_conn *conn) MUST_CHECK; /* NULL: no memory */
/* The stream that the library knows by this id; NULL: it knows none, or h2_forget_stream() was called. The
 * same is asked for a dozen times in a row, and the library looks into a hash table each time: so the last
 * is kept. */
static inline struct h2_stream *h2_find_stream(struct h2_conn *conn, int32_t id)
{
    if (conn->last == NULL || conn->last->id != id)
        conn->last = id > 0 ? nghttp2_session_get_stream_user_data(conn->session, id) : NULL;
    return conn->last;
}
/* The library's callbacks shall know nothing of it any more; before it is freed. */
static inline void h2_forget_stream(struct h2_conn *conn, int32_t id)
{
    conn->last = NULL;
    /* fails for a stream that the library has ended already */
    (void)nghttp2_session_set_stream_user_data(conn->session, id, NULL);
}
/* About how many bytes the peer makes it hold, without what owners of its streams do. */
size_t h2_held(const struct h2_conn *conn);
/* Its arena has grown, or is gone. */
static inline void h2_keeps(struct h2_stream *stream)
{
    size_t taken = stream->stream.arena != NULL ? arena_taken(stream->stream.arena) : 0;
    if (stream->conn->conn.role == HTTP_CLIENT)
        return; /* that of an exchange, which its client's side counts */
    stream->conn->kept += taken - stream->kept;
    stream->kept = taken;
}
/* So many bytes more wait in stream->out, or less. */
static inline void h2_waits(struct h2_stream *stream, ptrdiff_t bytes)
{
    if (!stream->out_lent)
        stream->conn->unsent += (size_t)bytes;
}
void h2_receive_bytes(struct h2_conn *conn, struct buf *bytes);
void h2_tell_over(struct h2_conn *conn);
void h2_leftover_gone(struct h2_stream *stream); /* the library has closed it */
/* what was submitted leaves at the turn's end */
void h2_later(struct h2_conn *conn);
/* the same at once, never from inside a call of the library; false: there is no memory for what it has made,
 * which waits, or it could not make a frame, and the connection ends */
bool h2_write_frames(struct h2_conn *conn) MUST_CHECK;
void h2_over(struct h2_stream *stream, enum failure why); /* closed(why) will be told */
/* Of a tunnel the client has all, and its end. How it leaves then is its own affair: browsers reset. */
static inline bool h2_tunnel_is_done(const struct h2_stream *stream)
{
    return stream->raw && stream->out_ended;
}
/* closes the transport; streams end with `why` */
void h2_fail(struct h2_conn *conn, enum failure why);
void h2_terminate(struct h2_conn *conn, uint32_t code, enum failure why); /* GOAWAY, then the end */
void h2_call_failed(struct h2_conn *conn, int result);
/* Of a call of the library by which a frame is to leave: the peer would wait for one that there was no memory
 * for, so the connection ends. */
static inline void h2_must(struct h2_conn *conn, int result)
{
    if (result != 0)
        h2_call_failed(conn, result);
}
void h2_arm(struct h2_conn *conn, uint64_t milliseconds);
/* Counts what the peer does; past a bound the connection is ended, and false. */
bool h2_note(struct h2_conn *conn, enum h2_guard_kind kind) MUST_CHECK;
void h2_flood(struct h2_conn *conn, enum h2_guard_kind kind); /* ends it for one of a kind */
/* h2_walk.c: gives bytes to the library, frame by frame; 0 or the library's error. */
void h2_walk_begin(struct h2_conn *conn);
int h2_walk(struct h2_conn *conn, const char *bytes, size_t length) MUST_CHECK;
/* h2_callbacks.c */
nghttp2_session *h2_session_new(struct h2_conn *conn) MUST_CHECK; /* with its callbacks; NULL: no memory */
void h2_deliver(struct h2_stream *stream);                        /* tells what was received */
void h2_drop_fill(struct h2_conn *conn);
void h2_refuse(struct h2_stream *stream, enum failure why); /* server role */
/* server role: requests of this call that have not ended meanwhile */
void h2_tell_fresh(struct h2_conn *conn);
/* h2_stream.c */
extern const struct stream_ops h2_stream_ops;
struct h2_stream *h2_of_stream(struct stream *stream);
void h2_reset(struct h2_stream *stream, uint32_t code, enum failure why);
void h2_uncredit(struct h2_stream *stream, size_t bytes); /* takes bytes off what is held */
/* client role: the peer's SETTINGS are here */
void h2_send_waiting(struct h2_conn *conn);
ssize_t h2_read_body(nghttp2_session *session, int32_t id, uint8_t *at, size_t room, uint32_t *flags,
                     nghttp2_data_source *source, void *user);
int h2_write_body(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
                  nghttp2_data_source *source, void *user);
/* h2_head.c */
bool h2_reading_begin(struct h2_stream *stream, bool trailers) MUST_CHECK; /* false: arena cap */
void h2_reading_field(struct h2_stream *stream, struct span name, struct span value, bool never_indexed);
/* So far over the limit that the rest is not worth reading. */
bool h2_reading_is_bomb(const struct h2_stream *stream) MUST_CHECK;
/* The whole block was received: sets head, and tells what is wrong with it. ended: END_STREAM stands on it.
 */
enum failure h2_reading_request(struct h2_stream *stream, bool ended) MUST_CHECK;
enum failure h2_reading_response(struct h2_stream *stream, bool ended) MUST_CHECK;
/* The Content-Length that goes out with a head; -1: none. */
int64_t h2_length_of_request(const struct head *head, bool last);
int64_t h2_length_of_response(const struct h2_stream *stream, const struct head *head);
/* Submits a head; false: no memory. */
bool h2_submit_request(struct h2_stream *stream, const struct head *head, bool last) MUST_CHECK;
bool h2_submit_response(struct h2_stream *stream, const struct head *head, bool last) MUST_CHECK;
bool h2_submit_interim(struct h2_stream *stream, const struct head *head) MUST_CHECK;
bool h2_submit_trailers(struct h2_stream *stream) MUST_CHECK;

#endif
