/* Blocks while memory is short: the n-th allocation of a new slab fails, for every n until none is left to
 * fail. */
#include "base/block.h"
#include "base/memory.h"
#include "base/pooling.h"
#include "support/no_memory.h"
#include "unit.h"

#define SLAB_BLOCKS 64u /* as base/block.c has it */

/* Takes one block; allocation n of it fails. False: it has no n-th one. */
static bool taking_fails(unsigned n)
{
    no_memory_at(n);
    struct block *block = block_take();
    bool came = no_memory_came();
    assert_true((block == NULL) == came);
    if (block != NULL)
        block_release(block);
    assert_int_equal(block_pool_out(), 0);
    return came;
}

static void a_slab_that_cannot_be_made_leaves_nothing(void **state)
{
    (void)state;
    size_t before = no_memory_pieces();
    unsigned n = 1;
    for (; taking_fails(n); n++) {
        assert_int_equal(block_pool_free_count(), 0);
        assert_int_equal(no_memory_pieces(), before);
    }
    assert_int_equal(n, POOLING ? 4 : 2); /* two tables and the slab; without pools the block */
    assert_int_equal(no_memory_pieces(), before);
}

/* Those of the slabs before it stay good, and the next attempt makes it. */
static void blocks_go_on_when_another_slab_could_not_be_made(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        struct block *blocks[SLAB_BLOCKS + 1];
        for (unsigned i = 0; i < SLAB_BLOCKS; i++) {
            blocks[i] = block_take();
            assert_non_null(blocks[i]);
            blocks[i]->bytes[0] = (char)i;
        }
        no_memory_at(n);
        blocks[SLAB_BLOCKS] = block_take();
        bool came = no_memory_came();
        assert_true((blocks[SLAB_BLOCKS] == NULL) == came);
        if (came)
            blocks[SLAB_BLOCKS] = block_take();
        assert_non_null(blocks[SLAB_BLOCKS]);
        for (unsigned i = 0; i < SLAB_BLOCKS; i++)
            assert_int_equal(blocks[i]->bytes[0], (char)i);
        assert_int_equal(block_pool_out(), SLAB_BLOCKS + 1);
        for (unsigned i = 0; i <= SLAB_BLOCKS; i++)
            block_release(blocks[i]);
        block_pool_trim(0);
        if (!came)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slab_that_cannot_be_made_leaves_nothing),
        cmocka_unit_test(blocks_go_on_when_another_slab_could_not_be_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
