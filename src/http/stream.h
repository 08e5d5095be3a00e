/*
 * The waist of the design: one message each way. Two codecs and raw bytes, two roles, one interface.
 *
 * Server role: `head` tells the request; refused() may come instead of it or at any time before the request
 * is whole. Client role: `head` comes for each 1xx (last = false) and for the final response. A body ends
 * with `last` of head or body, or with trailers(). Events come from the loop, never from inside a stream_ops
 * call, and none after closed(). After send_head(101) (server) or a received 101 (client) the stream carries
 * raw bytes: body events until the peer's EOF (`last`), send_body(last) half-closes. Over HTTP/2 an upgrade
 * is an extended CONNECT (RFC 8441) and its 101 a 200; the codec translates, so that nobody above sees a
 * difference but in these: a request comes as CONNECT with head.upgrade set (`last`, no bytes before 101 is
 * sent), without a Sec-WebSocket-Key; a request to be sent is what HTTP/1 would be given (GET with
 * head.upgrade), its key is left out; and a 101 comes without Sec-WebSocket-Accept. A response other than 101
 * ends our side of the stream.
 */
#ifndef WEIR_HTTP_STREAM_H
#define WEIR_HTTP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/failure.h"

struct arena;
struct buf;
struct fields;
struct head;
struct stream;

/* Server role: how far the client is with what it is sent. */
struct stream_taken {
    uint64_t own;  /* bytes of this answer */
    uint64_t line; /* bytes that have arrived, of all on the connection */
    bool by_line;  /* it would take more than the line carries */
    bool waits;    /* of what has left some has not arrived */
};

/* Calls go down, from the proxy to a codec. They queue work and return; they never call back. */
struct stream_ops {
    /* the head is serialised at once; spans need not live on */
    void (*send_head)(struct stream *stream, const struct head *head, bool last);
    /* takes all bytes; may be empty with last */
    void (*send_body)(struct stream *stream, struct buf *bytes, bool last);
    /* ends the message; the fields' items live until closed() */
    void (*send_trailers)(struct stream *stream, const struct fields *trailers);
    void (*credit)(struct stream *stream, size_t bytes); /* received body bytes now dealt with */
    /* Gives the exchange up: a message half sent is cut visibly (no last chunk, RST_STREAM). closed()
     * follows. Harmless when already closing. */
    void (*reset)(struct stream *stream, enum failure why);
    struct stream_taken (*taken)(struct stream *stream); /* server role; asks the kernel */
};
/* Events go up, from a codec to the proxy. */
struct stream_events {
    void (*head)(struct stream *stream, struct head *head, bool last);
    void (*body)(struct stream *stream, struct buf *bytes, bool last); /* the owner takes all bytes */
    void (*trailers)(struct stream *stream, struct fields *trailers);
    void (*sent)(struct stream *stream, size_t bytes); /* body bytes that have left for the peer */
    /* Server role: the request can't be taken further (malformed, too large, too slow); nothing more of it
     * comes. Answer and end: the connection closes after. */
    void (*refused)(struct stream *stream, enum failure why);
    /* Server role: NONE once the response has left; else CLIENT_CLOSED, CLIENT_STALLED or what reset() gave.
     * Client role: NONE once the response is complete; else STREAM_REFUSED (HTTP/2: the server says it has
     * not processed it), UPGRADE_UNSUPPORTED, SERVER_CLOSED or SERVER_STALE (no byte of a response yet; STALE
     * on a reused connection), RESPONSE_INVALID, RESPONSE_VERSION, RESPONSE_TOO_LARGE, RESPONSE_CUT, or what
     * reset() gave. Once, and last. */
    void (*closed)(struct stream *stream, enum failure why);
    /* Server role: bytes of memory that the owner holds for the stream beside its arena, about; NULL: none */
    size_t (*held)(const struct stream *stream);
};
/* The exchange sets events and owner in http_conn_events.opened or after http_conn_open(). */
struct stream {
    const struct stream_ops *ops;
    const struct stream_events *events;
    void *owner;
    struct arena *arena; /* received heads live here. Server role: made by the codec, the owner takes it over
                            at opened() and frees it after closed(). Client role: set by the opener before
                            send_head (its exchange's arena); response heads go there */
    /* server role: the first http_settings.stream_room bytes of the arena, taken before a byte of a head was:
     * however large that is, the owner can be made. Not zeroed */
    void *room;
    /* uncredited body bytes at which the codec stops delivering; set by the owner in opened() or after
     * http_conn_open() */
    size_t window;
    uint64_t began_us;         /* server role: when the first byte of the request came, by the loop's clock */
    unsigned request_sent : 1; /* client role: the whole request has left */
    /* client role: at least one byte of the request was given to the socket */
    unsigned any_sent : 1;
    unsigned any_received : 1; /* client role: at least one byte of a response came */
    unsigned reused : 1;       /* client role: not the first on its connection */
    /* the codec may deliver more than `window` while this worker has plenty of memory; set with window */
    unsigned window_grows : 1;
    /* client role: the owner passes the body on unseen, so it may lie in a pipe (base/pipe.h); set in head()
     */
    unsigned takes_pipes : 1;
    unsigned http2 : 1; /* on an HTTP/2 connection */
    /* server role, HTTP/2: the client has left next to no window for the answer: little of one is to be held
     * for it */
    unsigned narrow : 1;
    /* server role, HTTP/2: the owner bounds for how long the request's body is quiet; the codec does not */
    unsigned patient : 1;
};

#endif
