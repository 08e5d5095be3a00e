/* The rate limiter under a clock of the test: exact at every rate, in bursts, over threads, and under floods
 * of other keys. */
#include <pthread.h>

#include "unit.h"

#include "base/hash.h"
#include "base/rng.h"
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

/* ---- the whole range that a file may give ---- */

/* The same without words: a time that never comes round. In the limiter's units. */
__extension__ typedef unsigned __int128 wide;
struct model {
    struct limiter_units units;
    wide tat, most;
};

static struct model model_of(const struct rate *rate, uint64_t burst)
{
    struct limiter_units units = limiter_units_of(rate);
    return (struct model){.units = units, .most = (wide)units.interval * burst};
}

static bool model_admits(struct model *model, uint64_t now_us)
{
    wide now = (wide)(now_us / 1000) * model->units.per_ms + now_us % 1000 * model->units.per_ms / 1000;
    wide tat = (model->tat > now ? model->tat : now) + model->units.interval;
    if (tat > now + model->most)
        return false;
    model->tat = tat;
    return true;
}

/* As many bits as any other number is likely to have. */
static uint64_t draw_up_to(struct rng *rng, uint64_t most)
{
    return (rng_next(rng) >> rng_next(rng) % 64) % most + 1;
}

static struct rate draw_rate(struct rng *rng)
{
    static const uint64_t periods[] = {1000, 60000, 3600000};
    uint64_t period = periods[rng_next(rng) % 3], most = 1000000 * (period / 1000);
    bool edge = rng_next(rng) % 4 == 0;
    return (struct rate){.count = edge ? most - rng_next(rng) % 3 : draw_up_to(rng, most), .period = period};
}

/* How long nobody asks: from nothing to years, and about where 44 bits of units come round. */
static uint64_t draw_pause(struct rng *rng, const struct rate *rate)
{
    const uint64_t year = 365 * 86400ull * SECOND;
    uint64_t round_us = ((uint64_t)1 << 44) / limiter_units_of(rate).per_ms * 1000;
    if (rng_next(rng) % 2 == 0 && round_us < 3 * year)
        return round_us / 16 * (rng_next(rng) % 40) + rng_next(rng) % 3;
    return draw_up_to(rng, rng_next(rng) % 8 == 0 ? year : 100 * SECOND);
}

#define KEYS 5u /* of one bucket, and of some in other pages */

static void walk(struct rng *rng, const struct rate *rate, uint64_t burst)
{
    struct limiter *limiter = limiter_of(rate->count, rate->period, burst, 4096);
    struct model models[KEYS];
    uint64_t hashes[KEYS], now = BEGAN;
    for (unsigned i = 0; i < KEYS; i++) {
        models[i] = model_of(rate, burst);
        hashes[i] = (uint64_t)(i + 1) << 44 | (i < 3 ? 0 : rng_next(rng) % 512);
    }
    for (unsigned round = 0; round < 60; round++, now += draw_pause(rng, rate)) {
        uint64_t key = rng_next(rng) % KEYS;
        for (unsigned i = 0; i < 2 * burst && i < 12; i++, now += rng_next(rng) % 2)
            assert_int_equal(limiter_admit(limiter, hashes[key], now).admitted,
                             model_admits(&models[key], now));
    }
    limiter_release(limiter);
}

static void all_that_a_file_may_give_is_counted(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed_with(&rng, 1);
    for (unsigned i = 0; i < 3000; i++) {
        struct rate rate = draw_rate(&rng);
        uint64_t most = limiter_burst_most(&rate);
        most = most < 1000000000 ? most : 1000000000;
        walk(&rng, &rate,
             rng_next(&rng) % 4 == 0 ? most : draw_up_to(&rng, rng_next(&rng) % 2 == 0 ? 8 : most));
    }
}

/* The largest bursts, taken to the last request, and once more when they are full again. */
static void largest_bursts_are_counted(void **state)
{
    (void)state;
    static const struct rate rates[] = {
        {1, 3600000}, {7, 3600000}, {999983, 3600000}, {3599999999, 3600000}, {59999999, 60000}};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        uint64_t burst = limiter_burst_most(&rates[i]), now = BEGAN;
        uint64_t full_us = burst * rates[i].period / rates[i].count * 1000 + 1000000;
        struct limiter *limiter = limiter_of(rates[i].count, rates[i].period, burst, 8);
        for (unsigned round = 0; round < 2; round++, now += full_us) {
            for (uint64_t k = 0; k < burst; k++)
                assert_true(limiter_admit(limiter, 42, now).admitted);
            assert_false(limiter_admit(limiter, 42, now).admitted);
        }
        limiter_release(limiter);
    }
}

static void auto_fits_any_rate(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed_with(&rng, 1);
    for (unsigned i = 0; i < 100000; i++) {
        struct limiter_config config = {.rate = draw_rate(&rng)};
        assert_true(limiter_burst_of(&config) <= limiter_burst_most(&config.rate));
    }
}

/* Of two workers one looks at the clock earlier. */
static void a_clock_behind_admits_no_more(void **state)
{
    (void)state;
    static const struct rate rates[] = {{1000, 1000}, {1000000, 1000}, {3599999999, 3600000}, {1, 3600000}};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct limiter *limiter = limiter_of(rates[i].count, rates[i].period, 5, 8);
        for (uint64_t now = BEGAN + 100000; now < BEGAN + 3 * SECOND; now += 100000) {
            unsigned admitted = 0;
            for (unsigned k = 0; k < 8; k++)
                admitted += limiter_admit(limiter, 42, now).admitted;
            assert_true(i != 3 ? admitted == 5 : now != BEGAN + 100000 || admitted == 5);
            for (unsigned behind = 1; behind <= 50000; behind *= 7)
                assert_false(limiter_admit(limiter, 42, now - behind).admitted);
        }
        limiter_release(limiter);
    }
}

/* A table that is too small never lets a key through more often. */
static void a_full_table_forgets_nothing(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_of(1, 60000, 20, 8);
    unsigned admitted = 0, taken_over = 0;
    for (unsigned i = 0; i < 1000; i++) {
        struct limiter_verdict verdict = limiter_admit(limiter, hash_mix(i + 1), BEGAN + i);
        admitted += verdict.admitted;
        taken_over += verdict.taken_over;
        assert_int_equal(verdict.taken_over, i >= 8);
    }
    assert_int_equal(admitted, 8 * 20);
    assert_int_equal(taken_over, 1000 - 8);
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
        cmocka_unit_test(rates_are_exact),
        cmocka_unit_test(burst_then_pace),
        cmocka_unit_test(times_long_past_are_past),
        cmocka_unit_test(a_flood_does_not_reset_a_count),
        cmocka_unit_test(threads_share_one_count),
        cmocka_unit_test(all_that_a_file_may_give_is_counted),
        cmocka_unit_test(largest_bursts_are_counted),
        cmocka_unit_test(auto_fits_any_rate),
        cmocka_unit_test(a_clock_behind_admits_no_more),
        cmocka_unit_test(a_full_table_forgets_nothing),
    };
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
