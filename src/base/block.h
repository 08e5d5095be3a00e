/*
 * Counted 16 KiB blocks and the per-thread pool they come from. A block belongs to the thread that took it:
 * counts are plain. The pool is last in, first out (the warm block is reused). Where memory is short
 * (memory.h) block_take() says no, and the caller sheds load.
 */
#ifndef WEIR_BASE_BLOCK_H
#define WEIR_BASE_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define BLOCK_SIZE 16384u /* of the whole struct: one TLS record fits but for the header */

struct block {
    struct block *next; /* while free */
    uint32_t count;     /* references held by slices and arenas */
    uint32_t used;      /* bytes handed out from the front; the owner that fills the block moves it */
    char bytes[];
};

#define BLOCK_ROOM (BLOCK_SIZE - sizeof(struct block))

/* A block with count 1 and used 0, or NULL: there is no memory for more. */
struct block *block_take(void) MUST_CHECK;

static inline struct block *block_share(struct block *block)
{
    block->count++;
    return block;
}

/*
 * Stands for bytes that slices may refer to without a copy, though they lie in no block: they are good as
 * long as somebody holds what they belong to. Count 0 at first; home() is told whenever it is 0 again.
 */
struct block *block_lent_new(void (*home)(void *owner), void *owner);
void block_lent_free(struct block *block); /* with count 0; NULL allowed */
#define BLOCK_LENT UINT32_MAX
static inline bool block_is_lent(const struct block *block)
{
    return block->used == BLOCK_LENT;
}

void block_free_last(struct block *block); /* internal to block_release() */

/* Drops one reference; at the last the block returns to this thread's pool. */
static inline void block_release(struct block *block)
{
    if (--block->count == 0)
        block_free_last(block);
}

/* The cap of this thread in blocks (0: none, the default; for tests of what happens without one) and how many
 * free blocks it keeps at most (default 256). */
void block_pool_configure(size_t cap, size_t keep);
/* Blocks that are out, and blocks kept free, of this thread. */
size_t block_pool_out(void);
size_t block_pool_free_count(void);
/* Gives the memory of the kept free blocks (all but `keep`) back to the kernel; with 0 and none out, the
 * addresses too. */
void block_pool_trim(size_t keep);

#endif
