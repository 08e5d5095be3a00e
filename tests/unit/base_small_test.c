/* Pieces are aligned and apart, keep their bytes when they grow, come back newest first, and what is kept has
 * an end. */
#include "base/small.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "base/pooling.h"
#include "unit.h"

#define MOST 3000u

static void pieces_are_apart(void **state)
{
    (void)state;
    unsigned char *pieces[MOST / 7 + 1];
    unsigned count = 0;
    for (size_t size = 0; size < MOST; size += 7, count++) {
        pieces[count] = small_get(size);
        assert_non_null(pieces[count]);
        assert_int_equal((uintptr_t)pieces[count] % 16, 0);
        memset(pieces[count], (int)(count % 251), size);
    }
    for (unsigned i = 0; i < count; i++) {
        for (size_t at = 0; at < i * 7u; at++)
            assert_int_equal(pieces[i][at], i % 251);
        small_free(pieces[i]);
    }
    small_free(NULL);
    small_trim();
    assert_int_equal(small_kept(), 0);
}

static void growing_keeps_bytes(void **state)
{
    (void)state;
    unsigned char *piece = small_grow(NULL, 1);
    assert_non_null(piece);
    piece[0] = 0;
    for (size_t size = 2; size < MOST; size++) {
        piece = small_grow(piece, size);
        assert_non_null(piece);
        piece[size - 1] = (unsigned char)((size - 1) % 251);
        if (size % 100 == 0)
            for (size_t at = 0; at < size; at++)
                assert_int_equal(piece[at], at % 251);
    }
    small_free(piece);
    small_trim();
}

static void the_newest_comes_first(void **state)
{
    (void)state;
    if (!POOLING)
        skip();
    void *first = small_get(100), *second = small_get(100);
    memset(first, 1, 100);
    memset(second, 1, 100);
    small_free(first);
    small_free(second);
    unsigned char *again = small_get_zeroed(97);
    assert_ptr_equal(again, second);
    for (unsigned i = 0; i < 97; i++)
        assert_int_equal(again[i], 0);
    assert_ptr_equal(small_get(100), first);
    small_free(first);
    small_free(second);
    small_trim();
    assert_int_equal(small_kept(), 0);
}

static void what_is_kept_has_an_end(void **state)
{
    (void)state;
    enum { COUNT = 4000 };
    void *pieces[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        pieces[i] = small_get(500);
    for (unsigned i = 0; i < COUNT; i++)
        small_free(pieces[i]);
    assert_true(small_kept() <= 512u << 10);
    assert_int_equal(small_kept() != 0, POOLING);
    small_trim();
    assert_null(small_get(SIZE_MAX - 4)); /* and a sum does not wrap around */
}

static void *free_elsewhere(void *piece)
{
    small_free(piece);
    small_trim();
    return NULL;
}

static void another_thread_may_free(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, free_elsewhere, small_get(64)), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(small_kept(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_apart),        cmocka_unit_test(growing_keeps_bytes),
        cmocka_unit_test(the_newest_comes_first),  cmocka_unit_test(what_is_kept_has_an_end),
        cmocka_unit_test(another_thread_may_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
