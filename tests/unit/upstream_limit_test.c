/* max_connections: auto, on a clock of the test's own: what raises a server's limit, what lowers it, within
 * which bounds. */
#include "unit.h"

#include "base/counters.h"
#include "base/log.h"
#include "upstream/pool.h"
#include "upstream/server_limit.h"
#include "upstream/server_score.h"

#define MILLISECOND 1000u

struct bench {
    struct server server;
    struct pool_server member;
    struct pool_shared shared;
    struct pool pool;
    uint64_t now_us;
};

static void bench_begin(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    bench->now_us = 1000000 * (uint64_t)MILLISECOND;
    bench->server.slowness = 1;
    bench->server.limit = SERVER_LIMIT_OPEN;
    bench->server.pool_name = "api";
    bench->server.name = "a";
    bench->server.pool_name = "p";
    bench->member =
        (struct pool_server){.server = &bench->server, .weight = 1, .max_connections = SERVER_ADAPTS};
    bench->pool = (struct pool){.servers = &bench->member,
                                .servers_count = 1,
                                .shared = &bench->shared,
                                .adapts = true,
                                .limited = true};
}

/* A server with a number, beside which it is limited only when it comes back. */
#define NUMBER 100u
static void bench_begin_number(struct bench *bench)
{
    bench_begin(bench);
    bench->member.max_connections = NUMBER;
    bench->pool.adapts = false;
}

/* A tenth of a second with so many answers, while so many await theirs. */
static unsigned window(struct bench *bench, unsigned count, uint64_t waited_us, int32_t awaiting)
{
    struct score_cell cell = {.answers = 0};
    bench->server.awaiting = awaiting;
    for (unsigned i = 0; i < count; i++)
        score_answered(&cell, &bench->shared, &bench->server, waited_us, bench->now_us);
    score_fold(&cell, &bench->server);
    bench->now_us += 100 * MILLISECOND;
    limit_judge(&bench->pool, bench->now_us);
    return bench->server.limit;
}

static unsigned windows(struct bench *bench, unsigned times, unsigned count, uint64_t waited_us,
                        int32_t awaiting)
{
    for (unsigned i = 0; i < times; i++)
        (void)window(bench, count, waited_us, awaiting);
    return bench->server.limit;
}

/* While ever more do. */
static unsigned crowd(struct bench *bench, unsigned times, unsigned count, uint64_t waited_us,
                      int32_t awaiting)
{
    for (unsigned i = 0; i < times; i++)
        (void)window(bench, count, waited_us, awaiting += awaiting / 8);
    return bench->server.limit;
}

static bool has_room(const struct bench *bench, int32_t awaiting)
{
    struct server server = bench->server;
    server.awaiting = awaiting;
    return server_has_room(&server, SERVER_ADAPTS);
}

/* 10 ms are usual; then twenty times as long. */
static void bench_lower(struct bench *bench)
{
    (void)window(bench, 50, 10 * MILLISECOND, 20);
    (void)window(bench, 50, 200 * MILLISECOND, 20);
    assert_int_equal(windows(bench, 25, 50, 200 * MILLISECOND, 24), 24);
}

static void quick_answers_speak_against_a_limit(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    /* Three times the usual is still no queue. */
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(window(&bench, 50, (i % 2 == 0 ? 10 : 30) * MILLISECOND, 31), SERVER_LIMIT_OPEN);
    assert_true(has_room(&bench, 50000));
}

/* Ten times the usual, but nobody is hurt by a wait of 19 ms. */
static void a_quick_server_has_some_milliseconds_free(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, MILLISECOND / 2, 64);
    assert_int_equal(crowd(&bench, 10, 50, 19 * MILLISECOND, 640), SERVER_LIMIT_OPEN);
    assert_in_range(crowd(&bench, 3, 50, 30 * MILLISECOND, 640), 24, 1000);
}

static void a_few_slow_requests_among_others_are_no_queue(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 64);
    for (int32_t i = 0; i < 100; i++) {
        struct score_cell cell = {.answers = 0};
        score_answered(&cell, &bench.shared, &bench.server, 9 * MILLISECOND, bench.now_us);
        score_fold(&cell, &bench.server);
        assert_int_equal(window(&bench, 49, 1000 * MILLISECOND, 64 + 10 * i), SERVER_LIMIT_OPEN);
    }
}

/* As many are answered as come, or more: the server works a burst off. */
static void a_queue_that_drains_is_left_alone(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 0);
    for (int32_t awaiting = 2000; awaiting >= 0; awaiting -= 40)
        assert_int_equal(window(&bench, 50, 300 * MILLISECOND, awaiting), SERVER_LIMIT_OPEN);
    (void)crowd(&bench, 3, 50, 300 * MILLISECOND, 100);
    assert_true(bench.server.limit < 150);
}

/* Clients that ask again when they are answered: as many wait as there are, and no more. */
static void a_queue_that_does_not_grow_is_left_alone(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 0);
    for (int32_t i = 0; i < 100; i++)
        assert_int_equal(window(&bench, 50, 300 * MILLISECOND, 1000 + i % 10 * 9), SERVER_LIMIT_OPEN);
    assert_in_range(window(&bench, 50, 300 * MILLISECOND, 1120), 24, 1100);
}

/* The pool's queue, as long as it was three times in a row half a second apart. */
static void a_limit_that_sheds_nothing_is_left(void **state)
{
    (void)state;
    static const struct {
        int32_t waiting[5];
        uint32_t refused; /* each time */
        bool holds;
    } samples[] = {
        {{1000, 1070, 1010, 990, 1080}, 0, false},  /* 5 %, and 31 */
        {{1000, 1090, 1180, 1170, 1180}, 0, true},  /* twice, not thrice */
        {{1000, 900, 800, 700, 600}, 0, true},      /* it is worked off */
        {{1000, 1000, 1000, 1000, 1000}, 90, true}, /* as many are turned away */
        {{1000, 1000, 1000, 1000, 1000}, 70, false},
        {{4, 5, 4, 3, 4}, 0, false},
        {{0, 0, 0, 0, 0}, 0, true}, /* nobody is kept waiting */
    };
    for (unsigned i = 0; i < COUNT_OF(samples); i++) {
        struct bench bench;
        bench_begin(&bench);
        bench_lower(&bench);
        bench.server.limiting.trial_at_us = UINT64_MAX;
        bench.shared.looked_us = 0;
        for (unsigned look = 0; look < 5; look++) {
            bench.shared.waiting = samples[i].waiting[look];
            if (look > 0)
                bench.shared.refused += samples[i].refused;
            (void)windows(&bench, 5, 50, 200 * MILLISECOND, 24);
        }
        if (samples[i].holds != (bench.server.limit != SERVER_LIMIT_OPEN))
            fail_msg("sample %u: the limit is %u", i, bench.server.limit);
    }
}

static void it_falls_when_requests_wait_there_down_to_a_floor(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 60);
    assert_int_equal(window(&bench, 50, 80 * MILLISECOND, 350), SERVER_LIMIT_OPEN); /* once is chance */
    /* Eight times as long, against four that are allowed: 0.5 * 400 + 0.5 * (400 * 0.5 + 20), from what it
     * has */
    assert_int_equal(window(&bench, 50, 80 * MILLISECOND, 400), 310);
    assert_false(has_room(&bench, 310));
    assert_true(has_room(&bench, 309));
    /* No further before the server has no more than that. */
    assert_int_equal(windows(&bench, 5, 50, 200 * MILLISECOND, 342), 310);
    assert_in_range(window(&bench, 50, 200 * MILLISECOND, 310), 200, 260);
    assert_int_equal(windows(&bench, 18, 50, 200 * MILLISECOND, 24), 24);
}

static void it_grows_while_answers_are_quick_until_it_is_opened(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench_lower(&bench);
    /* 0.5 * 24 + 0.5 * (24 * 1.25 + 4.9) */
    assert_int_equal(window(&bench, 50, 10 * MILLISECOND, 24), 29);
    assert_int_equal(window(&bench, 50, 10 * MILLISECOND, 14), 29); /* not felt */
    (void)windows(&bench, 8, 50, 10 * MILLISECOND, 1000);
    assert_in_range(bench.server.limit, 80, 400);
    (void)window(&bench, 50, 10 * MILLISECOND, 20);
    assert_int_equal(bench.server.limit, SERVER_LIMIT_OPEN);
}

static void few_answers_are_judged_when_they_are_enough(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 50);
    (void)windows(&bench, 4, 5, 50 * MILLISECOND, 58);
    (void)windows(&bench, 3, 5, 50 * MILLISECOND, 64);
    assert_int_equal(bench.server.limit, SERVER_LIMIT_OPEN);
    unsigned before = window(&bench, 5, 50 * MILLISECOND, 64);
    assert_in_range(before, 24, 63);
    /* Those of long ago are not put together with new ones. */
    (void)windows(&bench, 3, 5, 50 * MILLISECOND, 64);
    bench.now_us += 31000 * MILLISECOND;
    assert_int_equal(window(&bench, 5, 50 * MILLISECOND, 64), before);
    /* Half as many will do where there is no doubt. */
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 50);
    (void)window(&bench, 10, 200 * MILLISECOND, 58);
    assert_int_equal(window(&bench, 9, 200 * MILLISECOND, 64), SERVER_LIMIT_OPEN);
    assert_in_range(window(&bench, 1, 200 * MILLISECOND, 64), 24, 63);
}

static void timeouts_count_as_answers_that_took_so_long(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 50);
    struct score_cell cell = {.answers = 0};
    /* Errors that came at once say nothing about waiting. */
    for (unsigned i = 0; i < 40; i++)
        score_failed(&cell, &bench.shared, &bench.server, bench.now_us);
    assert_int_equal(windows(&bench, 2, 0, 0, 64), SERVER_LIMIT_OPEN);
    for (int32_t times = 0; times < 2; times++) {
        for (unsigned i = 0; i < 20; i++) {
            score_timed_out(&cell, 2000 * MILLISECOND);
            score_failed(&cell, &bench.shared, &bench.server, bench.now_us);
        }
        (void)window(&bench, 0, 0, 58 + 6 * times);
    }
    assert_in_range(bench.server.limit, 24, 63);
}

/* 3 s after it came: 48 instead of 24, and what is answered by then is not to them. */
static void trial_begins(struct bench *bench)
{
    unsigned tries = 0;
    while (bench->server.limit == 24 && tries++ < 100)
        (void)window(bench, 50, 200 * MILLISECOND, 24);
    assert_in_range(tries, 4, 40);
    assert_int_equal(bench->server.limit, 48);
    /* 2 * 200 ms and a tick */
    assert_int_equal(windows(bench, 5, 50, 10 * MILLISECOND, 48), 48);
}

static void a_limit_that_does_not_help_is_lifted(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench_lower(&bench);
    trial_begins(&bench);
    /* Twice as many take as long each: they do not wait for each other. */
    assert_int_equal(window(&bench, 50, 220 * MILLISECOND, 48), SERVER_LIMIT_OPEN);
    /* And that is the usual now. */
    assert_int_equal(crowd(&bench, 50, 50, 700 * MILLISECOND, 500), SERVER_LIMIT_OPEN);
    assert_in_range(crowd(&bench, 3, 50, 1500 * MILLISECOND, 500), 24, 600);
}

static void a_limit_that_helps_stays(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench_lower(&bench);
    trial_begins(&bench);
    assert_int_equal(window(&bench, 50, 390 * MILLISECOND, 48), 24); /* a queue of twice the length */
    /* The next trial is after 6 s, not 3. */
    assert_int_equal(windows(&bench, 59, 50, 200 * MILLISECOND, 24), 24);
    assert_int_equal(windows(&bench, 3, 50, 200 * MILLISECOND, 24), 48);
    /* One that nobody needed shows nothing. */
    (void)windows(&bench, 5, 50, 200 * MILLISECOND, 30);
    assert_int_equal(window(&bench, 50, 200 * MILLISECOND, 30), 24);
}

/* One at a time, 1 ms each: a limit near the most there may be is tried with twice as many, too. */
static void a_high_limit_that_helps_stays(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 1200);
    (void)crowd(&bench, 2, 50, 1400 * MILLISECOND, 1200);
    unsigned limit = bench.server.limit, next = limit, tries = 0;
    assert_in_range(limit, 600, 1000);
    while (next <= limit && tries++ < 100)
        next = window(&bench, 50, limit * MILLISECOND, (int32_t)(limit + limit / 5));
    assert_int_equal(next, 2 * limit);
    unsigned deaf = 2 * limit / 100 + 1;
    assert_int_equal(windows(&bench, deaf, 50, limit * MILLISECOND, (int32_t)next), next);
    assert_in_range(window(&bench, 50, next * MILLISECOND, (int32_t)next), 600, limit);
}

/* A server that became slower for good gets back what it had, as the usual rises by e in 300 s. */
static void what_is_usual_is_learned_anew(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 9);
    (void)window(&bench, 50, 100 * MILLISECOND, 9);
    assert_int_equal(windows(&bench, 20, 50, 100 * MILLISECOND, 10), 24);
    (void)windows(&bench, 3000, 50, 100 * MILLISECOND, 10); /* too few for a trial to show anything */
    assert_int_equal(bench.server.limit, SERVER_LIMIT_OPEN);
}

/* A night or a weekend without enough answers to be judged by. */
static void a_quiet_time_forgets_little(void **state)
{
    (void)state;
    static const uint64_t hours[] = {1, 8, 62, 1000};
    for (unsigned i = 0; i < COUNT_OF(hours); i++) {
        struct bench bench;
        bench_begin(&bench);
        (void)windows(&bench, 50, 50, 50 * MILLISECOND, 20);
        bench.now_us += hours[i] * 3600 * 1000 * MILLISECOND;
        (void)windows(&bench, 5, 50, 50 * MILLISECOND, 20);
        /* What was usual is no queue, */
        assert_int_equal(crowd(&bench, 5, 50, 60 * MILLISECOND, 20), SERVER_LIMIT_OPEN);
        /* and ten times as much is. */
        assert_in_range(crowd(&bench, 5, 50, 600 * MILLISECOND, 100), 24, 200);
    }
}

/* 10 ms are usual, with 6 at once; then it is gone. */
static void bench_leave(struct bench *bench)
{
    (void)windows(bench, 10, 50, 10 * MILLISECOND, 6);
    assert_int_equal(bench->server.limit, SERVER_LIMIT_OPEN);
    limit_server_left(&bench->server);
}

static void a_server_that_comes_back_begins_with_what_it_had(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    limit_server_left(&bench.server);
    assert_int_equal(bench.server.limit, 24); /* of which nothing is known */
    bench_begin(&bench);
    bench_leave(&bench);
    assert_int_equal(bench.server.limit, 9); /* 6 and a half of them */
    bench_begin(&bench);
    (void)windows(&bench, 10, 50, 10 * MILLISECOND, 100);
    limit_server_left(&bench.server);
    assert_int_equal(bench.server.limit, 150);
    (void)windows(&bench, 10, 50, 10 * MILLISECOND, 0);
}

static void a_number_is_all_while_it_is_there(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin_number(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 20);
    assert_int_equal(crowd(&bench, 25, 50, 200 * MILLISECOND, 24), SERVER_LIMIT_OPEN);
    bench.server.in_flight = NUMBER - 1;
    assert_true(server_has_room(&bench.server, NUMBER));
    bench.server.in_flight = NUMBER;
    assert_false(server_has_room(&bench.server, NUMBER));
    /* A reload has made a number of what was auto, and had a limit. */
    bench_begin(&bench);
    bench_lower(&bench);
    bench.member.max_connections = NUMBER;
    assert_int_equal(window(&bench, 50, 200 * MILLISECOND, 24), SERVER_LIMIT_OPEN);
}

/* When those of before the last change have been answered. */
static unsigned later(struct bench *bench, unsigned count, uint64_t waited_us, int32_t awaiting)
{
    bench->now_us += 100 * MILLISECOND;
    return window(bench, count, waited_us, awaiting);
}

static void gets_more(void (*begin)(struct bench *bench), uint32_t most)
{
    struct bench bench;
    begin(&bench);
    bench_leave(&bench);
    bench.server.awaiting = bench.server.in_flight = 8;
    assert_true(server_has_room(&bench.server, most));
    bench.server.awaiting = 9; /* an answer on its way is no work for it */
    assert_false(server_has_room(&bench.server, most));
    bench.shared.waiting = 500;
    assert_int_equal(later(&bench, 30, 10 * MILLISECOND, 9), 18);
    assert_int_equal(later(&bench, 30, 11 * MILLISECOND, 18), 36);
    assert_int_equal(later(&bench, 30, 11 * MILLISECOND, 20), 36); /* it was not given as many yet */
    /* Twice as long: they wait for each other there. */
    assert_int_equal(later(&bench, 30, 20 * MILLISECOND, 36), 25);
    assert_int_equal(later(&bench, 30, 14 * MILLISECOND, 25), 31);
    for (unsigned i = 0; i < 20; i++)
        (void)later(&bench, 30, 40 * MILLISECOND, 8);
    assert_int_equal(bench.server.limit, 8); /* no fewer than that */
    bench.shared.waiting = 0;
    /* Nobody waits any more. */
    assert_int_equal(windows(&bench, 15, 30, 10 * MILLISECOND, 3), SERVER_LIMIT_OPEN);
}

static void it_gets_more_while_that_takes_no_longer(void **state)
{
    (void)state;
    gets_more(bench_begin, SERVER_ADAPTS);
    gets_more(bench_begin_number, NUMBER);
}

/* The same who wait and ask again: for others that would be a reason to have no limit. */
static void a_steady_herd_is_still_one(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench_leave(&bench);
    bench.shared.waiting = 80;
    for (unsigned i = 0; i < 200; i++)
        assert_in_range(
            later(&bench, 30, (bench.server.limit > 12 ? 20 : 10) * MILLISECOND, bench.server.limit), 8, 36);
}

static void a_server_that_comes_back_slower_is_no_queue(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench_leave(&bench);
    bench.shared.waiting = 500;
    assert_int_equal(window(&bench, 30, 50 * MILLISECOND, 9), 18);
    assert_int_equal(later(&bench, 30, 50 * MILLISECOND, 18), 36);
}

/* Answers that take minutes say nothing for minutes. */
static void without_answers_it_grows_all_the_same(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench_leave(&bench);
    bench.shared.waiting = 500;
    (void)windows(&bench, 11, 0, 0, 9);
    assert_int_equal(bench.server.limit, 9);
    (void)windows(&bench, 1, 0, 0, 9);
    assert_int_equal(bench.server.limit, 18);
    (void)windows(&bench, 60, 0, 0, 600);
    assert_int_equal(bench.server.limit, 576);
    (void)windows(&bench, 12, 0, 0, 600);
    assert_int_equal(bench.server.limit, SERVER_LIMIT_OPEN);
}

static void while_it_is_away_nothing_is_learned(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench_leave(&bench);
    bench.server.health = SERVER_DOWN;
    assert_int_equal(windows(&bench, 100, 30, 2000 * MILLISECOND, 0), 9);
    bench.server.health = SERVER_UP;
    assert_false(server_was_unreached(&bench.server));
    assert_true(server_was_unreached(&bench.server));
    assert_int_equal(windows(&bench, 100, 30, 2000 * MILLISECOND, 0), 9);
    limit_server_left(&bench.server);
    server_was_reached(&bench.server);
    bench.shared.waiting = 500;
    assert_int_equal(window(&bench, 30, 10 * MILLISECOND, 9), 18);
}

static void other_limits_are_left_alone(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 64);
    bench.member.max_connections = 5;
    assert_int_equal(crowd(&bench, 5, 50, 1000 * MILLISECOND, 64), SERVER_LIMIT_OPEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick_answers_speak_against_a_limit),
        cmocka_unit_test(a_quick_server_has_some_milliseconds_free),
        cmocka_unit_test(a_few_slow_requests_among_others_are_no_queue),
        cmocka_unit_test(a_queue_that_drains_is_left_alone),
        cmocka_unit_test(a_queue_that_does_not_grow_is_left_alone),
        cmocka_unit_test(a_limit_that_sheds_nothing_is_left),
        cmocka_unit_test(it_grows_while_answers_are_quick_until_it_is_opened),
        cmocka_unit_test(it_falls_when_requests_wait_there_down_to_a_floor),
        cmocka_unit_test(few_answers_are_judged_when_they_are_enough),
        cmocka_unit_test(timeouts_count_as_answers_that_took_so_long),
        cmocka_unit_test(a_limit_that_does_not_help_is_lifted),
        cmocka_unit_test(a_limit_that_helps_stays),
        cmocka_unit_test(a_high_limit_that_helps_stays),
        cmocka_unit_test(what_is_usual_is_learned_anew),
        cmocka_unit_test(a_quiet_time_forgets_little),
        cmocka_unit_test(a_server_that_comes_back_begins_with_what_it_had),
        cmocka_unit_test(a_number_is_all_while_it_is_there),
        cmocka_unit_test(it_gets_more_while_that_takes_no_longer),
        cmocka_unit_test(a_steady_herd_is_still_one),
        cmocka_unit_test(a_server_that_comes_back_slower_is_no_queue),
        cmocka_unit_test(without_answers_it_grows_all_the_same),
        cmocka_unit_test(while_it_is_away_nothing_is_learned),
        cmocka_unit_test(other_limits_are_left_alone),
    };
    counters_thread_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
