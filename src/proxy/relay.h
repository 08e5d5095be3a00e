/*
 * One direction of an exchange: body bytes from one stream to the other, with backpressure by one rule: bytes
 * are credited back to the sender once they have left for the receiver. While there is no receiver yet the
 * bytes are held here, and count as not having left.
 */
#ifndef WEIR_PROXY_RELAY_H
#define WEIR_PROXY_RELAY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct fields;
struct stream;

struct relay {
    struct stream *from, *to; /* to: NULL until relay_attach() */
    struct buf held;          /* waits for a receiver */
    struct fields *trailers;  /* end of the message, when it ends with trailers */
    size_t uncredited;        /* received, not yet credited to the sender */
    size_t queued;            /* handed on or held, not yet sent */
    size_t window;
    bool ended; /* the sender has ended its message */
};
void relay_init(struct relay *relay, struct stream *from, size_t window);
void relay_attach(struct relay *relay, struct stream *to); /* hands on what is held, and the end if it came */
/* The receiver is gone; `kept` is all that it had been given, to be given to the next (taken). */
void relay_rewind(struct relay *relay, struct buf *kept);
/* taken: how many of the sender's bytes these stand for: as many, unless what is relayed is translated. */
void relay_push(struct relay *relay, struct buf *bytes, size_t taken, bool last);
void relay_end(struct relay *relay, struct fields *trailers);
void relay_sent(struct relay *relay, size_t bytes);
/* Takes bytes that nobody wants: credited at once. taken: as in relay_push() */
void relay_discard(struct relay *relay, struct buf *bytes, size_t taken);
/* The receiver is gone and no other comes: what is held goes, and all that is owed is credited. The sender
 * may go on, to relay_discard(). */
void relay_drop(struct relay *relay);
void relay_clear(struct relay *relay); /* lets go of held bytes and of both streams, which are over */
/* The receiver holds the sender up. */
static inline bool relay_is_blocked(const struct relay *relay)
{
    return relay->queued >= relay->window / 2;
}

#endif
