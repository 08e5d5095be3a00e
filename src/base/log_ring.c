/*
 * Records are an 8-byte mark and the bytes, rounded up to 8, in one piece: what is left at the end of the
 * ring and too short is skipped by a mark of its own.
 */
#include "base/log_ring.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"

#define LOG_RING_SKIP UINT32_MAX

struct log_mark {
    uint32_t length, tag;
};

static size_t log_ring_record_size(size_t length)
{
    return sizeof(struct log_mark) + (length + 7) / 8 * 8;
}

static void log_ring_mark(struct log_ring *ring, size_t at, uint32_t length, uint32_t tag)
{
    const struct log_mark mark = {.length = length, .tag = tag};
    memcpy(ring->bytes + (at & (ring->size - 1)), &mark, sizeof mark);
}

/* Bytes in use as the putter knows it; looks anew only when that seems much. */
static size_t log_ring_used(struct log_ring *ring, size_t head, size_t wanted)
{
    if (head - ring->tail_seen + wanted > ring->size / 2)
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return head - ring->tail_seen;
}

struct log_ring *log_ring_new(size_t size)
{
    assert(size >= 64 && (size & (size - 1)) == 0);
    struct log_ring *ring = aligned_alloc(CACHE_LINE, sizeof *ring);
    if (ring == NULL)
        die("out of memory (a log ring wanted)");
    memset(ring, 0, sizeof *ring);
    ring->size = size;
    ring->bytes = xmalloc(size);
    return ring;
}

void log_ring_free(struct log_ring *ring)
{
    free(ring->bytes);
    free(ring);
}

bool log_ring_put(struct log_ring *ring, uint32_t tag, struct span bytes, bool *half_full)
{
    if (bytes.length > ring->size)
        return false;
    size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    size_t wanted = log_ring_record_size(bytes.length);
    size_t to_end = ring->size - (head & (ring->size - 1));
    size_t skipped = to_end < wanted ? to_end : 0;
    size_t used = log_ring_used(ring, head, skipped + wanted);
    *half_full = used + skipped + wanted > ring->size / 2;
    if (ring->size - used < skipped + wanted)
        return false;
    if (skipped != 0) {
        log_ring_mark(ring, head, (uint32_t)(skipped - sizeof(struct log_mark)), LOG_RING_SKIP);
        head += skipped;
    }
    log_ring_mark(ring, head, (uint32_t)bytes.length, tag);
    if (bytes.length != 0)
        memcpy(ring->bytes + (head & (ring->size - 1)) + sizeof(struct log_mark), bytes.at, bytes.length);
    atomic_store_explicit(&ring->head, head + wanted, memory_order_release);
    return true;
}

bool log_ring_first(struct log_ring *ring, uint32_t *tag, struct span *bytes)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    while (tail != head) {
        char *at = ring->bytes + (tail & (ring->size - 1));
        struct log_mark mark;
        memcpy(&mark, at, sizeof mark);
        if (mark.tag != LOG_RING_SKIP) {
            *tag = mark.tag;
            *bytes = span_make(at + sizeof mark, mark.length);
            return true;
        }
        tail += log_ring_record_size(mark.length);
        atomic_store_explicit(&ring->tail, tail, memory_order_release);
    }
    return false;
}

void log_ring_drop(struct log_ring *ring, struct span bytes)
{
    size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + log_ring_record_size(bytes.length), memory_order_release);
}
