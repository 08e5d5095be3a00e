/* What is kept of a request's body for another server: all of it in order, or nothing. */
#include "proxy/replay.h"

#include "recording_stream.h"

#define CAP 8u

static struct replay replay;

static int begin(void **state)
{
    (void)state;
    replay = (struct replay){.cap = CAP};
    return 0;
}

static int end(void **state)
{
    (void)state;
    block_pool_configure(0, 256);
    replay_drop(&replay);
    assert_int_equal(block_pool_out(), 0);
    return 0;
}

static void keep(const char *text)
{
    struct buf bytes = buf_with(span_of(text));
    replay_keep(&replay, &bytes);
    expect_bytes(&bytes, span_of(text)); /* they go on as they are */
}

static void pieces_are_kept_in_order(void **state)
{
    (void)state;
    keep("abc");
    keep("");
    keep("def");
    assert_false(replay.lost);
    expect_bytes(&replay.kept, SPAN("abcdef"));
}

static void as_many_bytes_as_the_cap_are_kept(void **state)
{
    (void)state;
    keep("abcdefg");
    keep("h");
    assert_false(replay.lost);
    expect_bytes(&replay.kept, SPAN("abcdefgh"));
}

static void one_byte_more_and_nothing_is_kept(void **state)
{
    (void)state;
    keep("abcdefgh");
    keep("i");
    assert_true(replay.lost);
    assert_int_equal(replay.kept.length, 0);
    assert_int_equal(block_pool_out(), 0);
}

static void a_cap_of_nothing_keeps_an_empty_body(void **state)
{
    (void)state;
    replay.cap = 0;
    keep("");
    assert_false(replay.lost);
    keep("a");
    assert_true(replay.lost);
}

/* A body with a hole in it must never go to a server. */
static void what_was_lost_is_not_kept_again(void **state)
{
    (void)state;
    keep("abcdefghi");
    keep("j");
    assert_true(replay.lost);
    assert_int_equal(replay.kept.length, 0);
}

static void what_is_dropped_is_lost(void **state)
{
    (void)state;
    keep("abc");
    replay_drop(&replay);
    assert_true(replay.lost);
    assert_int_equal(block_pool_out(), 0);
    keep("def");
    assert_int_equal(replay.kept.length, 0);
}

static void keeping_takes_no_block_of_its_own(void **state)
{
    (void)state;
    struct buf bytes = buf_with(SPAN("abc"));
    block_pool_configure(1, 256); /* there is no other */
    replay_keep(&replay, &bytes);
    assert_false(replay.lost);
    assert_ptr_equal(buf_front(&replay.kept).at, buf_front(&bytes).at);
    buf_clear(&bytes);
}

/* The relay has taken them for the next server, which is to be given them after that one too. */
static void what_went_to_the_next_server_is_kept_anew(void **state)
{
    (void)state;
    struct buf held = {0};
    keep("abc");
    buf_move(&held, &replay.kept);
    replay_keep(&replay, &held);
    keep("def");
    assert_false(replay.lost);
    expect_bytes(&replay.kept, SPAN("abcdef"));
    buf_clear(&held);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(pieces_are_kept_in_order),          TEST(as_many_bytes_as_the_cap_are_kept),
        TEST(one_byte_more_and_nothing_is_kept), TEST(a_cap_of_nothing_keeps_an_empty_body),
        TEST(what_was_lost_is_not_kept_again),   TEST(what_is_dropped_is_lost),
        TEST(keeping_takes_no_block_of_its_own), TEST(what_went_to_the_next_server_is_kept_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
