/* What is held is counted by thread, whoever asks for it, and levels are shares of limits.memory. */
#include "base/memory.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/arena.h"
#include "base/block.h"
#include "base/buf.h"
#include "base/sanitizers.h"
#include "unit.h"

#define MIB ((size_t)1 << 20)

#if UNDER_THREAD_SANITIZER /* which does not tell of these */
#define ALIGNED(size) malloc(size)
#define ALIGNED_MORE(size) malloc(size)
#else
#define ALIGNED(size) aligned_alloc(64, size)
#define ALIGNED_MORE(size) page_aligned(size)

static void *page_aligned(size_t size)
{
    void *piece = NULL;
    assert_int_equal(posix_memalign(&piece, 4096, size), 0);
    return piece;
}
#endif

static unsigned grown;

static void note(struct memory_server *server)
{
    (void)server;
    grown++;
}

static struct memory_server server = {.grown = note};

static int serve(void **state)
{
    (void)state;
    memory_limit(0);
    memory_thread_serves(&server);
    return 0;
}

static int serve_no_more(void **state)
{
    (void)state;
    memory_thread_serves(NULL);
    memory_limit(0);
    return block_pool_out() == 0 ? 0 : -1;
}

static void assert_about(uint64_t value, uint64_t wanted)
{
    assert_in_range(value, wanted < 256 << 10 ? 0 : wanted - (256 << 10), wanted + (256 << 10));
}

static void test_malloc_of_any_kind_is_counted(void **state)
{
    (void)state;
    uint64_t before = memory_held_for_peers();
    void *pieces[5] = {malloc(MIB), calloc(1, MIB), ALIGNED(MIB), ALIGNED_MORE(MIB), strdup("x")};
    for (unsigned i = 0; i < 5; i++)
        assert_non_null(pieces[i]);
    assert_about(memory_held_for_peers(), before + 4 * MIB);
    void *larger = realloc(pieces[0], 3 * MIB);
    assert_non_null(larger);
    pieces[0] = larger;
    assert_about(memory_held_for_peers(), before + 6 * MIB);
    for (unsigned i = 0; i < 5; i++)
        free(pieces[i]);
    assert_about(memory_held_for_peers(), before);
}

static void *take(void *argument)
{
    (void)argument;
    return malloc(4 * MIB);
}

static void test_threads_that_do_not_serve_take_for_the_file(void **state)
{
    (void)state;
    uint64_t peers = memory_held_for_peers(), file = memory_held_for_file();
    pthread_t thread;
    void *piece = NULL;
    assert_int_equal(pthread_create(&thread, NULL, take, NULL), 0);
    assert_int_equal(pthread_join(thread, &piece), 0);
    assert_about(memory_held_for_file(), file + 4 * MIB);
    assert_about(memory_held_for_peers(), peers);
    free(piece);
}

static void test_pieces_of_a_record_are_kept(void **state)
{
    (void)state;
    void *first = malloc(16712);
    memset(first, 'a', 16712);
    free(first);
    void *again = malloc(16500);
    assert_true(malloc_usable_size(again) >= 16500);
    memset(again, 'b', 16500);
    void *pieces[8];
    for (unsigned i = 0; i < 8; i++)
        pieces[i] = malloc(16385 + 64 * i);
    for (unsigned i = 0; i < 8; i++)
        free(pieces[i]);
    free(again);
    void *grows = malloc(16400);
    grows = realloc(grows, 100000);
    assert_non_null(grows);
    free(grows);
}

/* Blocks are given until nothing is left, and again once some have come back. */
static void test_levels(void **state)
{
    (void)state;
    struct block *blocks[2048];
    unsigned count = 0;
    memory_limit(memory_held_for_peers() + memory_held_for_file() + 16 * MIB);
    size_t most = memory_for_peers();
    assert_int_equal(memory_level(), MEMORY_PLENTY);
    assert_true(memory_share() == UINT64_MAX);
    enum memory_level before = MEMORY_PLENTY;
    grown = 0;
    while (count < COUNT_OF(blocks) && (blocks[count] = block_take()) != NULL) {
        blocks[count++]->used = 0;
        assert_true(memory_level() >= before);
        before = memory_level();
        unsigned sixteenths = (unsigned)(memory_held_for_peers() * 16 / most);
        assert_int_equal(memory_level() >= MEMORY_SHARED, sixteenths >= 8);
        assert_int_equal(memory_level() >= MEMORY_NO_REQUESTS, sixteenths >= 14);
    }
    assert_int_equal(memory_level(), MEMORY_FULL);
    assert_about(memory_held_for_peers(), most);
    assert_true(grown > 0);
    assert_null(arena_new(1000));
    assert_true(memory_share() <= MIB);
    for (unsigned i = 0; i < count; i++)
        block_release(blocks[i]);
    block_pool_trim(0);
    assert_int_equal(memory_level(), MEMORY_PLENTY);
    uint64_t file = memory_held_for_file();
    memory_limit(file);
    assert_int_equal(memory_for_peers(), file - file / 4 * 3);
    assert_int_equal(memory_over_half(), file - file / 2);
    memory_limit(1);
    assert_int_equal(memory_for_peers(), 1);
}

#if !UNDER_ADDRESS_SANITIZER && !UNDER_THREAD_SANITIZER /* which need the addresses */

static size_t addresses(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return pages * 4096;
}

/* The system gives no more: small pieces are still to be had, and nothing else is, until some have come back.
 */
static void test_what_is_set_apart(void **state)
{
    (void)state;
    static void *pieces[4096];
    struct rlimit before, short_of;
    unsigned count = 0, late = 0;
    memory_set_apart();
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    short_of = (struct rlimit){.rlim_cur = addresses() + 2 * MIB, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &short_of), 0);
    while (count < COUNT_OF(pieces) && (pieces[count] = malloc(150000)) != NULL) {
        count++;
        late += memory_level() == MEMORY_FULL;
    }
    assert_in_range(late, 10, 30); /* of 4 MiB */
    assert_null(block_take());
    grown = 0;
    memory_weigh(1000);
    assert_int_equal(memory_level(), MEMORY_FULL);
    while (count != 0)
        free(pieces[--count]);
    memory_weigh(2000);
    assert_int_equal(memory_level(), MEMORY_PLENTY);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    void *piece = malloc(150000);
    assert_non_null(piece);
    free(piece);
}

#endif

static unsigned came_home;

static void home(void *owner)
{
    (void)owner;
    came_home++;
}

static void test_lent_bytes_are_shared_and_not_written(void **state)
{
    (void)state;
    char bytes[] = "one answer for all";
    struct block *lent = block_lent_new(home, NULL);
    struct buf some = {0}, other = {0};
    assert_true(buf_add_block(&some, lent, bytes, sizeof bytes - 1));
    assert_true(buf_share(&other, &some));
    assert_true(buf_add(&some, "!", 1));
    assert_int_equal(buf_held(&some), BLOCK_SIZE);
    assert_int_equal(buf_held(&other), 0);
    struct buf part = {0};
    assert_true(buf_move_some(&part, &some, 3));
    assert_int_equal(lent->count, 3);
    buf_clear(&some);
    buf_clear(&other);
    assert_int_equal(came_home, 0);
    buf_clear(&part);
    assert_int_equal(came_home, 1);
    assert_string_equal(bytes, "one answer for all");
    block_lent_free(lent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_malloc_of_any_kind_is_counted, serve, serve_no_more),
        cmocka_unit_test_setup_teardown(test_threads_that_do_not_serve_take_for_the_file, serve,
                                        serve_no_more),
        cmocka_unit_test_setup_teardown(test_pieces_of_a_record_are_kept, serve, serve_no_more),
        cmocka_unit_test_setup_teardown(test_levels, serve, serve_no_more),
#if !UNDER_ADDRESS_SANITIZER && !UNDER_THREAD_SANITIZER
        cmocka_unit_test_setup_teardown(test_what_is_set_apart, serve, serve_no_more),
#endif
        cmocka_unit_test_setup_teardown(test_lent_bytes_are_shared_and_not_written, serve, serve_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
