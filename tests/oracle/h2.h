/* What both roles share of HTTP/2: a session of nghttp2 over a link, heads put together as messages, frames
 * in the trace. What the library finds wrong with a peer is a fault of weir. */
#ifndef ORACLE_H2_H
#define ORACLE_H2_H

#include <nghttp2/nghttp2.h>

#include "oracle/draw.h"
#include "oracle/exchange.h"
#include "oracle/link.h"
#include "oracle/message.h"

#define H2_TEXT (48u << 10)
#define H2_NAMES_MOST 24u

struct h2;
struct h2_events {
    /* A whole head, or trailers (message->status and method both none). stream: what
     * nghttp2_session_set_stream_user_data() has, or NULL. */
    void (*head)(struct h2 *h2, int32_t id, void *stream, struct message *message, bool last);
    void (*body)(struct h2 *h2, void *stream, const char *bytes, size_t length);
    void (*end)(struct h2 *h2, void *stream); /* of a body, without trailers */
    void (*closed)(struct h2 *h2, void *stream, uint32_t error);
    void (*settings)(struct h2 *h2);
    void (*goaway)(struct h2 *h2, uint32_t error);
    void (*lost)(struct h2 *h2);                /* the link was closed on a peer that is wrong */
    struct exchange *(*exchange)(void *stream); /* whose it is */
};
struct h2 {
    nghttp2_session *session;
    struct link *link;
    const struct h2_events *events;
    struct draw *draw;
    struct message message; /* being received */
    char text[H2_TEXT];
    size_t text_length;
    unsigned padding; /* bytes of it on each frame, at most; 0: none */
    bool splits;      /* heads go on in CONTINUATION frames */
    bool ended;       /* a connection that was given up: what its peer does now is no fault */
};

void h2_begin(struct h2 *h2, struct link *link, const struct h2_events *events, struct draw *draw,
              bool server);
void h2_end(struct h2 *h2);
/* Goes through what the link has received. */
void h2_read(struct h2 *h2);
/* Lets the library write. */
void h2_flush(struct h2 *h2);

/* Names and values that are put together for a head; they are copied by the library when it is submitted. */
struct h2_names {
    nghttp2_nv items[H2_NAMES_MOST];
    size_t count;
    char text[4096];
    size_t used;
};
__attribute__((format(printf, 3, 4))) void h2_put(struct h2_names *names, const char *name,
                                                  const char *format, ...);
void h2_put_trailers(struct h2_names *names, const struct body_plan *body, uint64_t id);
/* From a text of malformed.h, which has to live as long as the stream; *data: where its DATA begins.
 * `trailers`: those behind it, none mostly; the text is cut before them. */
void h2_put_malformed(struct h2_names *names, struct h2_names *trailers, struct bytes *text, size_t *data);

#endif
