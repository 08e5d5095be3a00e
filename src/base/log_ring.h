/*
 * A ring of tagged records between two threads: one puts, one takes, nobody waits. The puts cost one copy and
 * one release store; the taker's position is looked at only when the ring seems half full.
 */
#ifndef WEIR_BASE_LOG_RING_H
#define WEIR_BASE_LOG_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/span.h"

struct log_ring {
    /* the putter's line */
    _Alignas(CACHE_LINE) _Atomic size_t head; /* bytes ever put */
    size_t tail_seen;                         /* an old value of tail */
    /* the taker's line */
    _Alignas(CACHE_LINE) _Atomic size_t tail; /* bytes ever taken */
    /* never written, but for `left` at the end */
    _Alignas(CACHE_LINE) size_t size; /* a power of two */
    char *bytes;
    _Atomic bool left; /* the putter has gone */
    struct log_ring *next;
};

_Static_assert(offsetof(struct log_ring, tail) - offsetof(struct log_ring, head) >= CACHE_LINE &&
                   offsetof(struct log_ring, size) - offsetof(struct log_ring, tail) >= CACHE_LINE,
               "the putter and the taker would slow each other down");

struct log_ring *log_ring_new(size_t size);
void log_ring_free(struct log_ring *ring);
/* Puts a record; false when it does not fit. *half_full is set when the taker should hurry. */
bool log_ring_put(struct log_ring *ring, uint32_t tag, struct span bytes, bool *half_full) MUST_CHECK;
/* The oldest record, good until log_ring_drop(); false when there is none. */
bool log_ring_first(struct log_ring *ring, uint32_t *tag, struct span *bytes) MUST_CHECK;
void log_ring_drop(struct log_ring *ring, struct span bytes);

#endif
