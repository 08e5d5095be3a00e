/*
 * The members of a pool at which a request has come to nothing: a bit for each, so that a request may go
 * through a huge pool. Memory is the caller's.
 */
#ifndef WEIR_UPSTREAM_TRIED_H
#define WEIR_UPSTREAM_TRIED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tried {
    uint32_t count; /* bits set */
    uint64_t words[];
};

/* Bytes, zeroed by the caller, for a pool of so many servers. */
static inline size_t tried_size(size_t servers_count)
{
    return sizeof(struct tried) + (servers_count + 63) / 64 * sizeof(uint64_t);
}

/* index: into pool->servers */
static inline bool tried_has(const struct tried *tried, uint32_t index)
{
    return (tried->words[index / 64] >> index % 64 & 1) != 0;
}

static inline void tried_add(struct tried *tried, uint32_t index)
{
    tried->count += !tried_has(tried, index);
    tried->words[index / 64] |= 1ull << index % 64;
}

#endif
