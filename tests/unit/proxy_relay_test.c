/* The credit rule: whatever becomes of bytes that a sender has told, it is credited each of them once, and
 * not before less than half a window waits for the receiver. */
#include "proxy/relay.h"

#include "base/rng.h"
#include "recording_stream.h"

#define WINDOW 10u /* so that five bytes that wait hold the sender up */

static struct recording_stream sender, receiver, other_receiver;
static struct relay relay;

static int begin(void **state)
{
    (void)state;
    recording_begin(&sender);
    recording_begin(&receiver);
    recording_begin(&other_receiver);
    relay_init(&relay, &sender.stream, WINDOW);
    return 0;
}

/* Nothing is held that was not let go. */
static int end(void **state)
{
    (void)state;
    relay_clear(&relay);
    recording_end(&sender);
    recording_end(&receiver);
    recording_end(&other_receiver);
    assert_int_equal(block_pool_out(), 0);
    return 0;
}

static void push(const char *text, bool last)
{
    struct buf bytes = buf_with(span_of(text));
    relay_push(&relay, &bytes, strlen(text), last);
    assert_true(buf_is_empty(&bytes));
}

static void has_receiver(void)
{
    relay_attach(&relay, &receiver.stream);
    expect_calls(&receiver, "");
}

/* ---- credit ---- */

static void less_than_half_a_window_is_credited_as_it_comes(void **state)
{
    (void)state;
    has_receiver();
    push("abcd", false);
    expect_calls(&receiver, "body:abcd");
    expect_calls(&sender, "credit:4");
}

static void half_a_window_that_waits_is_not_credited(void **state)
{
    (void)state;
    has_receiver();
    push("abcde", false);
    assert_true(relay_is_blocked(&relay));
    expect_calls(&sender, "");
}

static void all_is_credited_once_less_than_half_a_window_waits(void **state)
{
    (void)state;
    has_receiver();
    push("abcdefgh", false);
    relay_sent(&relay, 3);
    expect_calls(&sender, "");
    relay_sent(&relay, 1);
    expect_calls(&sender, "credit:8");
    relay_sent(&relay, 4);
    expect_calls(&sender, "");
}

static void bytes_without_a_receiver_count_as_waiting(void **state)
{
    (void)state;
    push("abcde", false);
    expect_calls(&sender, "");
    relay_attach(&relay, &receiver.stream);
    expect_calls(&receiver, "body:abcde");
    expect_calls(&sender, "");
    relay_sent(&relay, 5);
    expect_calls(&sender, "credit:5");
}

static void what_is_translated_is_credited_as_the_sender_sent_it(void **state)
{
    (void)state;
    has_receiver();
    struct buf bytes = buf_with(SPAN("sixsix"));
    relay_push(&relay, &bytes, 8, false);
    relay_sent(&relay, 6);
    expect_calls(&sender, "credit:8");
}

/* Four characters of base64 may come one by one. */
static void bytes_that_become_none_are_credited(void **state)
{
    (void)state;
    struct buf none = {0};
    has_receiver();
    relay_push(&relay, &none, 3, false);
    expect_calls(&receiver, "");
    expect_calls(&sender, "credit:3");
}

/* Trailers of gRPC-Web, which are nobody's body. */
static void bytes_that_stand_for_none_are_not_credited(void **state)
{
    (void)state;
    has_receiver();
    struct buf bytes = buf_with(SPAN("grpc-status: 0"));
    relay_push(&relay, &bytes, 0, true);
    relay_sent(&relay, 14);
    expect_calls(&receiver, "body:grpc-status: 0:last");
    expect_calls(&sender, "");
}

static void bytes_that_nobody_wants_are_credited_at_once(void **state)
{
    (void)state;
    struct buf bytes = buf_with(SPAN("abcdefghijkl"));
    relay_discard(&relay, &bytes, 12);
    assert_true(buf_is_empty(&bytes));
    expect_calls(&sender, "credit:12");
}

static void an_end_alone_that_nobody_wants_credits_nothing(void **state)
{
    (void)state;
    struct buf none = {0};
    relay_discard(&relay, &none, 0);
    expect_calls(&sender, "");
}

static void a_sender_that_has_gone_is_not_credited(void **state)
{
    (void)state;
    has_receiver();
    push("abcdefgh", false);
    relay.from = NULL;
    relay_sent(&relay, 8);
    struct buf bytes = buf_with(SPAN("late"));
    relay_discard(&relay, &bytes, 4);
    expect_calls(&sender, "");
}

/* ---- what the receiver is told ---- */

static void the_end_goes_with_the_last_bytes(void **state)
{
    (void)state;
    has_receiver();
    push("ab", true);
    expect_calls(&receiver, "body:ab:last");
}

static void the_end_goes_alone_where_it_comes_alone(void **state)
{
    (void)state;
    has_receiver();
    push("", true);
    expect_calls(&receiver, "body::last");
}

static void what_is_held_is_handed_on_in_order_with_its_end(void **state)
{
    (void)state;
    push("ab", false);
    push("cd", true);
    relay_attach(&relay, &receiver.stream);
    expect_calls(&receiver, "body:abcd:last");
}

static struct field checksum = {.name = {"x-sum", 5}, .value = {"7", 1}};
static struct fields trailers = {.items = &checksum, .count = 1, .room = 1};

static void trailers_go_on_behind_the_body(void **state)
{
    (void)state;
    has_receiver();
    push("ab", false);
    relay_end(&relay, &trailers);
    assert_true(relay.ended);
    expect_calls(&receiver, "body:ab trailers:x-sum=7");
}

static void trailers_wait_for_the_receiver_behind_what_is_held(void **state)
{
    (void)state;
    push("ab", false);
    relay_end(&relay, &trailers);
    relay_attach(&relay, &receiver.stream);
    expect_calls(&receiver, "body:ab trailers:x-sum=7");
}

/* ---- another receiver ---- */

/* As the exchange does: what a receiver is given is kept, and given back to the relay when it has gone. */
static void rewind_with(const char *text)
{
    struct buf kept = buf_with(span_of(text));
    relay_rewind(&relay, &kept);
    assert_true(buf_is_empty(&kept));
}

static void the_next_receiver_is_given_all_that_the_first_was(void **state)
{
    (void)state;
    has_receiver();
    push("abc", false);
    push("def", false);
    rewind_with("abcdef");
    push("gh", true); /* comes while there is none */
    relay_attach(&relay, &other_receiver.stream);
    expect_calls(&receiver, "body:abc body:def");
    expect_calls(&other_receiver, "body:abcdefgh:last");
}

static void bytes_that_came_after_the_first_receiver_had_gone_follow_what_it_was_given(void **state)
{
    (void)state;
    has_receiver();
    push("abc", false);
    relay.to = NULL; /* its attempt ran out of time */
    push("def", false);
    rewind_with("abc");
    relay_attach(&relay, &other_receiver.stream);
    expect_calls(&other_receiver, "body:abcdef");
}

static void bytes_that_the_first_receiver_had_sent_wait_again_for_the_next(void **state)
{
    (void)state;
    has_receiver();
    push("abcdef", false);
    relay_sent(&relay, 6);
    assert_false(relay_is_blocked(&relay));
    rewind_with("abcdef");
    assert_true(relay_is_blocked(&relay));
}

static void the_next_receiver_is_given_the_trailers_too(void **state)
{
    (void)state;
    has_receiver();
    push("abc", false);
    relay_end(&relay, &trailers);
    rewind_with("abc");
    relay_attach(&relay, &other_receiver.stream);
    expect_calls(&other_receiver, "body:abc trailers:x-sum=7");
}

static void bytes_that_were_credited_are_not_credited_again_for_the_next_receiver(void **state)
{
    (void)state;
    has_receiver();
    push("abcdef", false);
    relay_sent(&relay, 6);
    expect_calls(&sender, "credit:6");
    rewind_with("abcdef");
    relay_attach(&relay, &other_receiver.stream);
    relay_sent(&relay, 6);
    expect_calls(&sender, "");
}

static void bytes_that_were_not_credited_are_credited_when_the_next_receiver_has_them(void **state)
{
    (void)state;
    has_receiver();
    push("abcdef", false);
    rewind_with("abcdef");
    relay_attach(&relay, &other_receiver.stream);
    expect_calls(&sender, "");
    relay_sent(&relay, 6);
    expect_calls(&sender, "credit:6");
}

/* ---- the end ---- */

static void what_is_dropped_is_credited(void **state)
{
    (void)state;
    push("abcdefgh", false);
    relay_drop(&relay);
    expect_calls(&sender, "credit:8");
    assert_int_equal(block_pool_out(), 0);
}

static void what_a_receiver_had_not_sent_is_credited_when_it_is_dropped(void **state)
{
    (void)state;
    has_receiver();
    push("abcdefgh", false);
    relay_sent(&relay, 2);
    relay_drop(&relay);
    expect_calls(&sender, "credit:8");
    relay_drop(&relay);
    relay_sent(&relay, 6);
    expect_calls(&sender, "");
}

static void what_is_dropped_of_a_sender_that_has_gone_is_let_go(void **state)
{
    (void)state;
    push("abcdefgh", false);
    relay.from = NULL;
    relay_drop(&relay);
    expect_calls(&sender, "");
    assert_int_equal(block_pool_out(), 0);
}

static void a_cleared_relay_tells_nobody_anything(void **state)
{
    (void)state;
    push("abcdefgh", false);
    relay_clear(&relay);
    relay_sent(&relay, 8);
    assert_int_equal(block_pool_out(), 0);
    expect_calls(&sender, "");
    assert_null(relay.from);
    assert_null(relay.to);
}

/* ---- all of it, drawn ---- */

struct life {
    size_t told;        /* bytes of the sender: what the next receiver is given */
    size_t given, left; /* bytes that this receiver was given, and has sent */
};

static void draw_push(struct life *life, struct rng *rng)
{
    char bytes[16] = "abcdefghijklmno";
    uint32_t length = rng_below(rng, 8);
    bytes[length] = '\0';
    push(bytes, false);
    life->told += length;
    if (relay.to != NULL)
        life->given += length;
}

static void draw_sent(struct life *life, struct rng *rng)
{
    size_t waits = life->given - life->left, some = waits != 0 ? rng_below(rng, (uint32_t)waits + 1) : 0;
    life->left += some;
    relay_sent(&relay, some);
}

static void draw_rewind(struct life *life)
{
    struct buf kept = {0};
    for (size_t i = 0; i < life->given; i++)
        assert_true(buf_add(&kept, "x", 1));
    life->given = life->left = 0;
    relay_rewind(&relay, &kept);
}

static void draw_attach(struct life *life)
{
    if (relay.to != NULL)
        return;
    relay_attach(&relay, &receiver.stream);
    life->given = life->told;
    life->left = 0;
}

static void whatever_comes_each_byte_is_credited_once(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++) {
        struct rng rng;
        struct life life = {.told = 0};
        rng_seed_with(&rng, seed);
        relay_init(&relay, &sender.stream, WINDOW);
        sender.credited = 0;
        for (unsigned step = 0; step < 60; step++) {
            switch (rng_below(&rng, 8)) {
            case 0:
                draw_rewind(&life);
                break;
            case 1:
            case 2:
                draw_attach(&life);
                break;
            case 3:
            case 4:
                draw_push(&life, &rng);
                break;
            default:
                draw_sent(&life, &rng);
            }
            if (sender.credited > life.told)
                fail_msg("seed %u, step %u: %zu bytes were credited of %zu", seed, step, sender.credited,
                         life.told);
            if (relay.queued < WINDOW / 2 && sender.credited != life.told)
                fail_msg(
                    "seed %u, step %u: only %zu of %zu bytes are credited, and the sender is not held up",
                    seed, step, sender.credited, life.told);
        }
        relay_drop(&relay);
        if (sender.credited != life.told)
            fail_msg("seed %u: at the end %zu bytes are credited of %zu", seed, sender.credited, life.told);
        sender.told.length = receiver.told.length = 0;
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(less_than_half_a_window_is_credited_as_it_comes),
        TEST(half_a_window_that_waits_is_not_credited),
        TEST(all_is_credited_once_less_than_half_a_window_waits),
        TEST(bytes_without_a_receiver_count_as_waiting),
        TEST(what_is_translated_is_credited_as_the_sender_sent_it),
        TEST(bytes_that_become_none_are_credited),
        TEST(bytes_that_stand_for_none_are_not_credited),
        TEST(bytes_that_nobody_wants_are_credited_at_once),
        TEST(an_end_alone_that_nobody_wants_credits_nothing),
        TEST(a_sender_that_has_gone_is_not_credited),
        TEST(the_end_goes_with_the_last_bytes),
        TEST(the_end_goes_alone_where_it_comes_alone),
        TEST(what_is_held_is_handed_on_in_order_with_its_end),
        TEST(trailers_go_on_behind_the_body),
        TEST(trailers_wait_for_the_receiver_behind_what_is_held),
        TEST(the_next_receiver_is_given_all_that_the_first_was),
        TEST(bytes_that_came_after_the_first_receiver_had_gone_follow_what_it_was_given),
        TEST(bytes_that_the_first_receiver_had_sent_wait_again_for_the_next),
        TEST(the_next_receiver_is_given_the_trailers_too),
        TEST(bytes_that_were_credited_are_not_credited_again_for_the_next_receiver),
        TEST(bytes_that_were_not_credited_are_credited_when_the_next_receiver_has_them),
        TEST(what_is_dropped_is_credited),
        TEST(what_a_receiver_had_not_sent_is_credited_when_it_is_dropped),
        TEST(what_is_dropped_of_a_sender_that_has_gone_is_let_go),
        TEST(a_cleared_relay_tells_nobody_anything),
        TEST(whatever_comes_each_byte_is_credited_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
