/* The rate limiter under a clock of the test: exact at every rate, in bursts, over threads, and under floods
 * of other keys. */
#include <pthread.h>

#include "unit.h"

#include "base/hash.h"
#include "config/limiter_config.h"
#include "filter/limiter.h"

#define SECOND 1000000ull
#define BEGAN (86400ull * SECOND) /* not 0, so that a free word and time 0 are told apart */

static struct limiter *limiter_of(uint64_t count, uint64_t period, uint64_t burst, uint64_t keys)
{
    static const char *key[] = {"client.ip"};
    struct limiter_config config = {
        .name = "test",
        .rate = {.count = count, .period = period},
        .burst = burst,
        .key = {.count = 1, .items = key},
        .keys = keys,
    };
    return limiter_new(&config);
}

/* How many of a client that asks every `step` for `length` are admitted. */
static uint64_t saturate(struct limiter *limiter, uint64_t hash, uint64_t from, uint64_t length,
                         uint64_t step)
{
    uint64_t admitted = 0;
    for (uint64_t at = 0; at < length; at += step)
        admitted += limiter_admit(limiter, hash, from + at).admitted;
    return admitted;
}

static void rates_are_exact(void **state)
{
    (void)state;
    static const struct {
        uint64_t count, period, burst, length, step;
    } rows[] = {
        {1, 3600000, 1, 10 * 3600 * SECOND, SECOND},      /* 1/h for ten hours */
        {10, 3600000, 2, 10 * 3600 * SECOND, SECOND / 2}, /* 10/h */
        {7, 1000, 1, 1000 * SECOND, 1000},                /* 7/s: no whole number of microseconds */
        {100, 1000, 200, 100 * SECOND, 500},
        {59999, 60000, 5, 60 * SECOND, 100}, /* a rate whose parts have no common factor */
        {1000000, 1000, 1, SECOND, 1},       /* 1,000,000/s */
        {1000000, 1000, 1000, 2 * SECOND, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct limiter *limiter = limiter_of(rows[i].count, rows[i].period, rows[i].burst, 64);
        uint64_t admitted = saturate(limiter, hash_mix(i + 1), BEGAN, rows[i].length, rows[i].step);
        uint64_t exact = rows[i].length / 1000 * rows[i].count / rows[i].period + rows[i].burst;
        assert_true(admitted <= exact);
        assert_true(admitted + 1 + exact / 1000 >= exact); /* within 0.1 % below */
        limiter_release(limiter);
    }
}

static void burst_then_pace(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_of(10, 1000, 5, 64);
    for (unsigned i = 0; i < 5; i++) {
        struct limiter_verdict verdict = limiter_admit(limiter, 42, BEGAN);
        assert_true(verdict.admitted);
        assert_int_equal(verdict.remaining, 4 - i);
    }
    struct limiter_verdict refused = limiter_admit(limiter, 42, BEGAN);
    assert_false(refused.admitted);
    assert_int_equal(refused.retry_after_us, 100000);
    assert_false(limiter_admit(limiter, 42, BEGAN + 99000).admitted);
    assert_true(limiter_admit(limiter, 42, BEGAN + 100000).admitted);
    limiter_give_back(limiter, 42, BEGAN + 100000);
    assert_true(limiter_admit(limiter, 42, BEGAN + 100000).admitted);
    assert_false(limiter_admit(limiter, 42, BEGAN + 100000).admitted);
    assert_int_equal(saturate(limiter, 42, BEGAN + 3600 * SECOND, 1000, 100),
                     5); /* an idle hour gives one burst, no more */
    limiter_release(limiter);
}

static void times_long_past_are_past(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_of(1000000, 1000, 3, 64);
    assert_int_equal(saturate(limiter, 7, BEGAN, 3, 3), 1);
    for (unsigned day = 1; day < 1000;
         day += 13) /* beyond the 203 days after which 44 bits of microseconds come round */
        assert_true(limiter_admit(limiter, 7, BEGAN + day * 86400ull * SECOND + 500).admitted);
    limiter_release(limiter);
}

/* Keys that are used less lose their word to a flood; the one that is over its limit keeps being refused. */
static void a_flood_does_not_reset_a_count(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_of(1, 60000, 20, 8);
    uint64_t own = hash_mix(99), admitted = 0;
    for (unsigned i = 0; i < 20000; i++) {
        admitted += limiter_admit(limiter, own, BEGAN + i).admitted;
        /* each another key, all in the one bucket */
        (void)limiter_admit(limiter, hash_mix(1000 + i), BEGAN + i);
    }
    assert_true(admitted <= 21);
    limiter_release(limiter);
}

struct asker {
    struct limiter *limiter;
    uint64_t admitted;
};

static void *ask(void *argument)
{
    struct asker *asker = argument;
    for (unsigned i = 0; i < 50000; i++)
        asker->admitted += limiter_admit(asker->limiter, 5, BEGAN + i / 100).admitted;
    return NULL;
}

static void threads_share_one_count(void **state)
{
    (void)state;
    struct asker askers[4];
    pthread_t threads[4];
    struct limiter *limiter = limiter_of(1, 3600000, 12345, 64);
    for (unsigned i = 0; i < 4; i++) {
        askers[i] = (struct asker){.limiter = limiter};
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
    }
    uint64_t admitted = 0;
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        admitted += askers[i].admitted;
    }
    assert_int_equal(admitted, 12345);
    limiter_release(limiter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_exact),          cmocka_unit_test(burst_then_pace),
        cmocka_unit_test(times_long_past_are_past), cmocka_unit_test(a_flood_does_not_reset_a_count),
        cmocka_unit_test(threads_share_one_count),
    };
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
