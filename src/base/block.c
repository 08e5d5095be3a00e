/*
 * The per-thread pool of blocks. They are cut from slabs of their own, apart from malloc's heap, so that a
 * burst of blocks between long-lived small structs leaves no holes: a free block is warm (kept as it was,
 * last in first out) or cold (its pages given back to the kernel). All but the cold ones are counted
 * (memory.h). Under AddressSanitizer blocks come from malloc, which is counted itself, and are never kept, so
 * that a use after release is seen. Who sheds load when none is given is left to callers.
 */
#include "base/block.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/pages.h"
#include "base/pooling.h"

#define SLAB_BLOCKS 64u /* 1 MiB of addresses; memory only as it is touched */

struct block_pool {
    struct block *warm;
    size_t warm_count, out, cap, keep;
    struct block **cold; /* pointers apart from the blocks: touching one would bring its page back */
    size_t cold_count, cold_room;
    void **slabs;
    size_t slabs_count;
};

static _Thread_local struct block_pool block_pool = {.keep = 256};

/* ---- slabs ---- */

/* cold_room counts all blocks of all slabs, so this never has to grow. */
static void cold_push(struct block_pool *pool, struct block *block)
{
    assert(pool->cold_count < pool->cold_room);
    pool->cold[pool->cold_count++] = block;
}

static bool slab_add(struct block_pool *pool)
{
    size_t size = (size_t)SLAB_BLOCKS * BLOCK_SIZE, count = pool->slabs_count + 1;
    void **slabs = realloc(pool->slabs, count * sizeof *slabs);
    pool->slabs = slabs != NULL ? slabs : pool->slabs;
    struct block **cold = realloc(pool->cold, count * SLAB_BLOCKS * sizeof *cold);
    pool->cold = cold != NULL ? cold : pool->cold;
    char *slab = slabs != NULL && cold != NULL ? pages_new(size) : NULL;
    if (slab == NULL)
        return false;
    pool->slabs[pool->slabs_count++] = slab;
    pool->cold_room = pool->slabs_count * SLAB_BLOCKS;
    for (size_t i = SLAB_BLOCKS; i > 0; i--)
        cold_push(pool, (struct block *)(void *)(slab + (i - 1) * BLOCK_SIZE));
    return true;
}

/* Nothing is out: the thread ends, or a test begins anew. */
static void slabs_free(struct block_pool *pool)
{
    for (size_t i = 0; i < pool->slabs_count; i++)
        pages_free(pool->slabs[i], (size_t)SLAB_BLOCKS * BLOCK_SIZE);
    free(pool->slabs);
    free(pool->cold);
    pool->slabs = NULL;
    pool->cold = NULL;
    pool->slabs_count = pool->cold_count = pool->cold_room = 0;
}

/* ---- blocks ---- */

static struct block *block_get(struct block_pool *pool)
{
    struct block *block = pool->warm;
    if (block != NULL) {
        pool->warm = block->next;
        pool->warm_count--;
        return block;
    }
    if (memory_is_full())
        return NULL;
    if (!POOLING)
        return malloc(BLOCK_SIZE);
    if (pool->cold_count == 0 && !slab_add(pool))
        return NULL;
    memory_count(BLOCK_SIZE);
    return pool->cold[--pool->cold_count];
}

static void block_chill(struct block_pool *pool, struct block *block)
{
    (void)madvise(block, BLOCK_SIZE, MADV_DONTNEED);
    cold_push(pool, block);
    memory_count(-(ptrdiff_t)BLOCK_SIZE);
}

struct block *block_take(void)
{
    struct block_pool *pool = &block_pool;
    if (pool->cap != 0 && pool->out >= pool->cap)
        return NULL;
    struct block *block = block_get(pool);
    if (block == NULL)
        return NULL;
    pool->out++;
    block->next = NULL;
    block->count = 1;
    block->used = 0;
    return block;
}

/* ---- bytes of others ---- */

struct lent {
    void (*home)(void *owner);
    void *owner;
};

struct block *block_lent_new(void (*home)(void *owner), void *owner)
{
    struct block *block = xcalloc(1, sizeof *block + sizeof(struct lent));
    struct lent lent = {.home = home, .owner = owner};
    block->used = BLOCK_LENT;
    memcpy(block->bytes, &lent, sizeof lent);
    return block;
}

void block_lent_free(struct block *block)
{
    assert(block == NULL || block->count == 0);
    free(block);
}

static void lent_home(struct block *block)
{
    struct lent lent;
    memcpy(&lent, block->bytes, sizeof lent);
    lent.home(lent.owner);
}

/* ---- the end of a block ---- */

void block_free_last(struct block *block)
{
    struct block_pool *pool = &block_pool;
    if (block_is_lent(block)) {
        lent_home(block);
        return;
    }
    assert(pool->out > 0);
    pool->out--;
    if (!POOLING) {
        free(block);
    } else if (pool->warm_count >= pool->keep) {
        block_chill(pool, block);
    } else {
        block->next = pool->warm;
        pool->warm = block;
        pool->warm_count++;
    }
}

void block_pool_configure(size_t cap, size_t keep)
{
    block_pool.cap = cap;
    block_pool.keep = keep;
    if (block_pool.warm_count > keep)
        block_pool_trim(keep);
}

size_t block_pool_out(void)
{
    return block_pool.out;
}

size_t block_pool_free_count(void)
{
    return block_pool.warm_count;
}

void block_pool_trim(size_t keep)
{
    struct block_pool *pool = &block_pool;
    while (pool->warm_count > keep) {
        struct block *block = pool->warm;
        pool->warm = block->next;
        pool->warm_count--;
        block_chill(pool, block);
    }
    if (keep == 0 && pool->out == 0)
        slabs_free(pool);
}
