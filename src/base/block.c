/*
 * The per-thread pool of blocks. Under AddressSanitizer blocks are never kept, so that a use after release is seen.
 * Who sheds load at the cap is left to callers.
 */
#include "base/block.h"

#include <assert.h>
#include <stdlib.h>

#include "base/counters.h"
#include "base/pooling.h"

struct block_pool {
    struct block *free;
    size_t free_count, out, cap, keep;
};

static _Thread_local struct block_pool block_pool = {.keep = 256};

static void block_count_out(void)
{
    atomic_store_explicit(&counter_cells->value[COUNTER_blocks_out], (int64_t)block_pool.out,
                          memory_order_relaxed);
}

struct block *block_take(void)
{
    struct block_pool *pool = &block_pool;
    if (pool->cap != 0 && pool->out >= pool->cap)
        return NULL;
    struct block *block = pool->free;
    if (block != NULL) {
        pool->free = block->next;
        pool->free_count--;
    } else {
        block = malloc(BLOCK_SIZE);
        if (block == NULL)
            return NULL;
    }
    pool->out++;
    block_count_out();
    block->next = NULL;
    block->count = 1;
    block->used = 0;
    return block;
}

void block_free_last(struct block *block)
{
    struct block_pool *pool = &block_pool;
    assert(pool->out > 0);
    pool->out--;
    block_count_out();
    if (!POOLING || pool->free_count >= pool->keep) {
        free(block);
        return;
    }
    block->next = pool->free;
    pool->free = block;
    pool->free_count++;
}

void block_pool_configure(size_t cap, size_t keep)
{
    block_pool.cap = cap;
    block_pool.keep = keep;
    if (block_pool.free_count > keep)
        block_pool_trim(keep);
}

size_t block_pool_out(void)
{
    return block_pool.out;
}

size_t block_pool_free_count(void)
{
    return block_pool.free_count;
}

void block_pool_trim(size_t keep)
{
    while (block_pool.free_count > keep) {
        struct block *block = block_pool.free;
        block_pool.free = block->next;
        block_pool.free_count--;
        free(block);
    }
}
