/* Blocks, bufs and arenas: counts come back to zero, caps hold, and bytes keep their order through every
 * move. */
#include "base/arena.h"
#include "base/block.h"
#include "base/buf.h"
#include "base/pooling.h"
#include "base/rng.h"
#include "unit.h"

static int check_nothing_out(void **state)
{
    (void)state;
    return block_pool_out() == 0 ? 0 : -1;
}

static void fill(char *bytes, size_t length, unsigned salt)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (char)('a' + (i * 7 + salt) % 26);
}

static void assert_buf(const struct buf *buf, const char *bytes, size_t length)
{
    static char seen[400000];
    assert_int_equal(buf->length, length);
    assert_int_equal(buf_peek(buf, seen, sizeof seen), length);
    if (length != 0)
        assert_memory_equal(seen, bytes, length);
    size_t sum = 0;
    const struct slice *last = NULL;
    for (const struct slice *slice = buf->first; slice != NULL; slice = slice->next) {
        assert_true(slice->length > 0);
        sum += slice->length;
        last = slice;
    }
    assert_int_equal(sum, length);
    assert_ptr_equal(buf->last, last);
}

static void test_block_pool_is_last_in_first_out_with_a_cap(void **state)
{
    (void)state;
    block_pool_configure(2, 1);
    struct block *a = block_take();
    struct block *b = block_take();
    assert_non_null(a);
    assert_non_null(b);
    assert_null(block_take());
    block_share(a);
    block_release(a);
    assert_int_equal(block_pool_out(), 2);
    block_release(b);
    block_release(a);
    assert_int_equal(block_pool_out(), 0);
    assert_int_equal(block_pool_free_count(), POOLING ? 1 : 0);
    struct block *again = block_take();
    if (POOLING)
        assert_ptr_equal(again, b);
    block_release(again);
    block_pool_trim(0);
    assert_int_equal(block_pool_free_count(), 0);
    block_pool_configure(0, 256);
}

static void test_buf_add_fills_the_last_block_only_when_it_is_alone(void **state)
{
    (void)state;
    static char bytes[3 * BLOCK_SIZE];
    fill(bytes, sizeof bytes, 1);
    struct buf buf = {0}, other = {0};
    assert_true(buf_add(&buf, bytes, 10));
    assert_true(buf_add(&buf, bytes + 10, 20));
    assert_ptr_equal(buf.first, buf.last);
    assert_true(buf_share(&other, &buf));
    assert_true(buf_add(&buf, bytes + 30, 10));
    assert_ptr_not_equal(buf.first, buf.last);
    assert_true(buf_add(&buf, bytes + 40, sizeof bytes - 40));
    assert_buf(&buf, bytes, sizeof bytes);
    assert_buf(&other, bytes, 30);
    buf_clear(&buf);
    assert_buf(&other, bytes, 30);
    buf_clear(&other);
}

static void test_buf_add_at_the_cap_adds_nothing(void **state)
{
    (void)state;
    static char bytes[4 * BLOCK_SIZE];
    struct buf buf = {0};
    block_pool_configure(2, 4);
    assert_true(buf_add(&buf, bytes, 100));
    assert_false(buf_add(&buf, bytes, sizeof bytes));
    assert_int_equal(buf.length, 100);
    assert_int_equal(block_pool_out(), 1);
    buf_clear(&buf);
    block_pool_configure(0, 256);
}

static void test_buf_reserve_and_commit(void **state)
{
    (void)state;
    struct buf buf = {0};
    size_t room = 0;
    char *at = buf_reserve(&buf, 1, &room);
    assert_non_null(at);
    assert_int_equal(room, BLOCK_ROOM);
    buf_commit(&buf, 0);
    assert_int_equal(block_pool_out(), 0);
    at = buf_reserve(&buf, 1, &room);
    memcpy(at, "hello", 5);
    buf_commit(&buf, 5);
    at = buf_reserve(&buf, 1, &room);
    assert_int_equal(room, BLOCK_ROOM - 5);
    memcpy(at, " there", 6);
    buf_commit(&buf, 6);
    assert_buf(&buf, "hello there", 11);
    assert_ptr_equal(buf.first, buf.last);
    at = buf_reserve(&buf, BLOCK_ROOM, &room);
    assert_int_equal(room, BLOCK_ROOM);
    memset(at, 'x', BLOCK_ROOM);
    buf_commit(&buf, BLOCK_ROOM);
    assert_int_equal(buf.length, 11 + BLOCK_ROOM);
    buf_clear(&buf);
}

static void test_buf_moves_at_every_split(void **state)
{
    (void)state;
    static const char text[] = "one two three four five";
    const size_t length = sizeof text - 1;
    for (size_t split = 0; split <= length; split++) {
        for (size_t piece = 1; piece <= length; piece++) {
            struct buf buf = {0}, head = {0}, all = {0};
            for (size_t at = 0; at < length; at += piece) {
                struct buf one = {0};
                size_t part = length - at < piece ? length - at : piece;
                assert_true(buf_add(&one, text + at, part));
                buf_move(&buf, &one);
                assert_buf(&one, "", 0);
            }
            assert_true(buf_move_some(&head, &buf, split));
            assert_buf(&head, text, split);
            assert_buf(&buf, text + split, length - split);
            assert_true(buf_share(&all, &head));
            assert_true(buf_share(&all, &buf));
            assert_buf(&all, text, length);
            buf_prepend(&buf, &head);
            assert_buf(&buf, text, length);
            assert_buf(&head, "", 0);
            buf_skip(&buf, split);
            assert_buf(&buf, text + split, length - split);
            buf_clear(&buf);
            assert_buf(&all, text, length);
            buf_clear(&all);
        }
    }
}

static void test_buf_blocks_constants_and_vectors(void **state)
{
    (void)state;
    struct buf buf = {0};
    struct block *block = block_take();
    assert_non_null(block);
    memcpy(block->bytes, "abcdef", 6);
    block->used = 6;
    assert_true(buf_add_constant(&buf, SPAN("<<")));
    assert_true(buf_add_block(&buf, block, block->bytes, 3));
    assert_true(buf_add_block(&buf, block, block->bytes + 3, 3));
    assert_int_equal(block->count, 2); /* neighbours make one slice */
    assert_true(buf_add_block(&buf, block, block->bytes + 1, 1));
    assert_int_equal(block->count, 3);
    block_release(block);
    assert_true(buf_add_constant(&buf, SPAN(">>")));
    assert_buf(&buf, "<<abcdefb>>", 11);
    struct iovec vectors[8];
    assert_int_equal(buf_vectors(&buf, vectors, 8), 4);
    assert_int_equal(vectors[1].iov_len, 6);
    assert_int_equal(buf_vectors(&buf, vectors, 2), 2);
    assert_span(buf_front(&buf), "<<");
    /* Nobody may write behind constant bytes or into a block that others hold. */
    assert_true(buf_add(&buf, "!", 1));
    assert_buf(&buf, "<<abcdefb>>!", 12);
    buf_clear(&buf);
}

/* Random operations against a plain array of bytes. */
static void test_buf_against_a_model(void **state)
{
    (void)state;
    static char model[300000], bytes[40000];
    struct rng rng;
    rng_seed_with(&rng, 7);
    size_t length = 0;
    struct buf buf = {0}, kept = {0};
    for (unsigned turn = 0; turn < 2000; turn++) {
        size_t size = rng_below(&rng, turn % 10 == 0 ? sizeof bytes : 300);
        if (rng_below(&rng, 2) == 0 && length + size < sizeof model) {
            fill(bytes, size, turn);
            assert_true(buf_add(&buf, bytes, size));
            memcpy(model + length, bytes, size);
            length += size;
        } else {
            size = size < length ? size : length;
            buf_clear(&kept);
            assert_true(buf_move_some(&kept, &buf, size));
            assert_buf(&kept, model, size);
            memmove(model, model + size, length - size);
            length -= size;
        }
        assert_buf(&buf, model, length);
    }
    buf_clear(&buf);
    buf_clear(&kept);
}

static void test_arena_gives_aligned_bytes_up_to_its_cap(void **state)
{
    (void)state;
    struct arena *arena = arena_new(100000);
    assert_non_null(arena);
    assert_int_equal(block_pool_out(), 1);
    char *byte = arena_get_bytes(arena, 1);
    char *next = arena_get_bytes(arena, 1);
    assert_ptr_equal(next, byte + 1);
    for (size_t size = 1; size < 3000; size += 97) {
        char *at = arena_get_zeroed(arena, size);
        assert_non_null(at);
        assert_int_equal((uintptr_t)at % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(at[i], 0);
        memset(at, 'x', size);
    }
    char *large = arena_get(arena, 30000);
    assert_non_null(large);
    memset(large, 'y', 30000);
    assert_null(arena_get(arena, 100000));
    assert_null(arena_get(arena, SIZE_MAX - 8));
    while (arena_get(arena, 100) != NULL)
        ;
    assert_true(arena_size(arena) <= 100000);
    assert_null(arena_copy(arena, SPAN("a text that is a little longer than all that is left over here, "
                                       "so that it cannot fit any more at all"))
                    .at);
    arena_free(arena);
}

static void test_arena_text_and_held_blocks(void **state)
{
    (void)state;
    struct arena *arena = arena_new(BLOCK_SIZE + 1000);
    assert_non_null(arena);
    assert_string_equal(arena_copy(arena, SPAN("copy")).at, "copy");
    assert_string_equal(arena_text(arena, "text"), "text");
    assert_span(arena_print(arena, "%s-%d", "print", 7), "print-7");
    assert_int_equal(arena_print(arena, "%0400d", 1).length, 400);
    struct block *block = block_take();
    struct block *second = block_take();
    assert_non_null(block);
    assert_non_null(second);
    assert_true(arena_hold(arena, block));
    assert_true(arena_hold(arena, block));
    assert_false(arena_hold(arena, second));
    assert_int_equal(block->count, 2);
    block_release(second);
    block_release(block);
    assert_int_equal(block_pool_out(), 2);
    arena_free(arena);
    arena_free(NULL);
}

static void test_arena_without_blocks(void **state)
{
    (void)state;
    block_pool_configure(1, 1);
    struct arena *arena = arena_new(1000000);
    assert_non_null(arena);
    assert_null(arena_new(1000));
    while (arena_get(arena, 64) != NULL)
        ;
    assert_int_equal(block_pool_out(), 1);
    arena_free(arena);
    block_pool_configure(0, 256);
}

static void test_arena_on_malloc(void **state)
{
    (void)state;
    struct arena *arena = arena_new_malloc();
    for (size_t i = 1; i < 2000; i++) {
        char *at = arena_get(arena, i);
        assert_non_null(at);
        assert_int_equal((uintptr_t)at % 16, 0);
        memset(at, (int)(i & 127), i);
    }
    assert_int_equal(block_pool_out(), 0);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_block_pool_is_last_in_first_out_with_a_cap, check_nothing_out),
        cmocka_unit_test_teardown(test_buf_add_fills_the_last_block_only_when_it_is_alone, check_nothing_out),
        cmocka_unit_test_teardown(test_buf_add_at_the_cap_adds_nothing, check_nothing_out),
        cmocka_unit_test_teardown(test_buf_reserve_and_commit, check_nothing_out),
        cmocka_unit_test_teardown(test_buf_moves_at_every_split, check_nothing_out),
        cmocka_unit_test_teardown(test_buf_blocks_constants_and_vectors, check_nothing_out),
        cmocka_unit_test_teardown(test_buf_against_a_model, check_nothing_out),
        cmocka_unit_test_teardown(test_arena_gives_aligned_bytes_up_to_its_cap, check_nothing_out),
        cmocka_unit_test_teardown(test_arena_text_and_held_blocks, check_nothing_out),
        cmocka_unit_test_teardown(test_arena_without_blocks, check_nothing_out),
        cmocka_unit_test_teardown(test_arena_on_malloc, check_nothing_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
