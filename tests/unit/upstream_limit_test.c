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
    bench->server.limit = SERVER_LIMIT_FIRST | SERVER_LIMIT_OPEN;
    bench->server.pool_name = "api";
    bench->server.name = "a";
    bench->member =
        (struct pool_server){.server = &bench->server, .weight = 1, .max_connections = SERVER_ADAPTS};
    bench->pool = (struct pool){
        .servers = &bench->member, .servers_count = 1, .shared = &bench->shared, .adapts = true};
}

static void bench_end(struct bench *bench)
{
    log_site_forget(&bench->server.limit_site);
}

/* A tenth of a second with so many answers, while so many await theirs. */
static unsigned window(struct bench *bench, unsigned count, uint64_t waited_us, int32_t awaiting)
{
    struct score_cell cell = {.answers = 0};
    bench->server.awaiting = awaiting;
    for (unsigned i = 0; i < count; i++)
        score_answered(&cell, waited_us, bench->now_us);
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

static bool has_room(const struct bench *bench, int32_t awaiting, uint64_t heard_before_us)
{
    struct server server = bench->server;
    server.awaiting = awaiting;
    server.heard_us = (uint32_t)(bench->now_us - heard_before_us);
    return server_has_room(&server, SERVER_ADAPTS, bench->now_us);
}

static void quick_answers_speak_against_a_limit(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    /* Three times the usual is still no queue. */
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(window(&bench, 50, (i % 2 == 0 ? 10 : 30) * MILLISECOND, 31),
                         SERVER_LIMIT_FIRST | SERVER_LIMIT_OPEN);
    assert_true(has_room(&bench, SERVER_LIMIT_MOST - 1, 0));
    assert_false(has_room(&bench, SERVER_LIMIT_MOST, 0));
    /* But silence speaks for one. */
    assert_true(has_room(&bench, SERVER_LIMIT_FIRST, 999999));
    assert_false(has_room(&bench, SERVER_LIMIT_FIRST, 1000000));
    assert_true(has_room(&bench, SERVER_LIMIT_FIRST - 1, 1000000));
    bench_end(&bench);
}

static void it_falls_when_requests_wait_there_down_to_a_floor(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 60);
    /* Eight times as long, against four that are allowed: 0.5 * 400 + 0.5 * (400 * 0.5 + 20), from what it
     * has */
    assert_int_equal(window(&bench, 50, 80 * MILLISECOND, 400), 310);
    assert_false(has_room(&bench, 310, 0));
    assert_true(has_room(&bench, 309, 2000000));
    assert_int_equal(windows(&bench, 60, 50, 200 * MILLISECOND, 1000), 24);
    bench_end(&bench);
}

static void it_grows_while_answers_are_quick_until_it_is_opened(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 64);
    (void)windows(&bench, 50, 50, 200 * MILLISECOND, 64);
    assert_int_equal(bench.server.limit, 24);
    /* 0.5 * 24 + 0.5 * (24 * 1.25 + 4.9) */
    assert_int_equal(window(&bench, 50, 10 * MILLISECOND, 24), 29);
    assert_int_equal(window(&bench, 50, 10 * MILLISECOND, 14), 29); /* not felt */
    (void)windows(&bench, 8, 50, 10 * MILLISECOND, 1000);
    assert_in_range(bench.server.limit, 80, 400);
    (void)window(&bench, 50, 10 * MILLISECOND, 20);
    assert_int_equal(bench.server.limit & SERVER_LIMIT_OPEN, SERVER_LIMIT_OPEN);
    bench_end(&bench);
}

static void few_answers_are_judged_when_they_are_enough(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 64);
    (void)windows(&bench, 3, 5, 50 * MILLISECOND, 64);
    assert_int_equal(bench.server.limit, SERVER_LIMIT_FIRST | SERVER_LIMIT_OPEN);
    assert_in_range(window(&bench, 5, 50 * MILLISECOND, 64), 24, 63);
    /* Those of long ago are not put together with new ones. */
    unsigned before = windows(&bench, 3, 5, 50 * MILLISECOND, 64);
    bench.now_us += 31000 * MILLISECOND;
    assert_int_equal(window(&bench, 5, 50 * MILLISECOND, 64), before);
    /* Half as many will do where there is no doubt. */
    bench.now_us += 31000 * MILLISECOND;
    assert_int_equal(window(&bench, 9, 200 * MILLISECOND, 64), before);
    assert_true(window(&bench, 1, 200 * MILLISECOND, 64) < before);
    bench_end(&bench);
}

static void timeouts_count_as_answers_that_took_so_long(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 64);
    struct score_cell cell = {.answers = 0};
    /* Errors that came at once say nothing about waiting. */
    for (unsigned i = 0; i < 20; i++)
        score_failed(&cell, &bench.shared, &bench.server, bench.now_us);
    assert_int_equal(window(&bench, 0, 0, 64), SERVER_LIMIT_FIRST | SERVER_LIMIT_OPEN);
    for (unsigned i = 0; i < 20; i++) {
        score_timed_out(&cell, 2000 * MILLISECOND);
        score_failed(&cell, &bench.shared, &bench.server, bench.now_us);
    }
    assert_in_range(window(&bench, 0, 0, 64), 24, 63);
    bench_end(&bench);
}

/* A server that became slower for good gets back what it had, as the usual rises by e in 300 s. */
static void what_is_usual_is_learned_anew(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    (void)window(&bench, 50, 10 * MILLISECOND, 64);
    assert_int_equal(windows(&bench, 100, 50, 100 * MILLISECOND, 64), 24);
    (void)windows(&bench, 3000, 50, 100 * MILLISECOND, 64);
    assert_int_equal(bench.server.limit & SERVER_LIMIT_OPEN, SERVER_LIMIT_OPEN);
    bench_end(&bench);
}

static void other_limits_are_left_alone(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench.member.max_connections = 5;
    assert_int_equal(windows(&bench, 5, 50, 10 * MILLISECOND, 64), SERVER_LIMIT_FIRST | SERVER_LIMIT_OPEN);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick_answers_speak_against_a_limit),
        cmocka_unit_test(it_grows_while_answers_are_quick_until_it_is_opened),
        cmocka_unit_test(it_falls_when_requests_wait_there_down_to_a_floor),
        cmocka_unit_test(few_answers_are_judged_when_they_are_enough),
        cmocka_unit_test(timeouts_count_as_answers_that_took_so_long),
        cmocka_unit_test(what_is_usual_is_learned_anew),
        cmocka_unit_test(other_limits_are_left_alone),
    };
    counters_thread_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
