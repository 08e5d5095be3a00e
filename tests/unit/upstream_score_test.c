/* The measure of servers, on a clock of the test's own: slowness, errors, silence, forgetting, and who judges
 * when. */
#include "unit.h"

#include <math.h>

#include "upstream/pool.h"
#include "upstream/server_score.h"

#define SERVERS 4
#define SECOND 1000000u

struct bench {
    struct server servers[SERVERS];
    struct pool_server members[SERVERS];
    struct pool_shared shared;
    struct pool pool;
    uint64_t now_us;
};

static void bench_begin(struct bench *bench, size_t count)
{
    memset(bench, 0, sizeof *bench);
    bench->now_us = 1000 * (uint64_t)SECOND;
    for (size_t i = 0; i < count; i++) {
        bench->servers[i].slowness = 1;
        bench->members[i] = (struct pool_server){.server = &bench->servers[i], .weight = 1};
    }
    bench->pool = (struct pool){.servers = bench->members, .servers_count = count, .shared = &bench->shared};
}

static void answers(struct bench *bench, unsigned server, unsigned count, uint64_t waited_us)
{
    struct score_cell cell = {.answers = 0};
    for (unsigned i = 0; i < count; i++)
        score_answered(&cell, &bench->shared, &bench->servers[server], waited_us, bench->now_us);
    score_fold(&cell, &bench->servers[server]);
}

static void errors(struct bench *bench, unsigned server, unsigned count)
{
    struct score_cell cell = {.answers = 0};
    for (unsigned i = 0; i < count; i++)
        score_failed(&cell, &bench->shared, &bench->servers[server], bench->now_us);
}

static void judge(struct bench *bench)
{
    score_pool(&bench->pool, bench->now_us);
}

static float slowness(struct bench *bench, unsigned server)
{
    return bench->servers[server].slowness;
}

static float surcharge(struct bench *bench, unsigned server)
{
    return bench->servers[server].surcharge;
}

static void assert_near(double got, double expected)
{
    if (fabs(got - expected) > 1e-3 * fabs(expected) + 1e-6)
        fail_msg("%f is not %f", got, expected);
}

static void equals_tie(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    for (unsigned i = 0; i < 4; i++)
        answers(&bench, i, 50, 10000 + 150 * i); /* within a step of 0.1 */
    judge(&bench);
    for (unsigned i = 0; i < 4; i++) {
        assert_near(slowness(&bench, i), 1);
        assert_near(surcharge(&bench, i), 0);
    }
}

static void slowness_is_a_power_of_the_ratio_to_the_mean(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    for (unsigned i = 0; i < 3; i++)
        answers(&bench, i, 27, 10000);
    answers(&bench, 3, 27, 100000);
    judge(&bench);
    /* L - Lf = ln 10 * 3/4, its square 2.98; the variance of all is 0.99, of the mean of 27 0.037, so 1.5 *
     * 1.727 * 2.98 / 3.02 = 2.56; in steps of 0.1: 2.6 */
    assert_near(slowness(&bench, 3), exp(2.6));
    /* - ln 10 / 4, its square 0.331: -1.5 * 0.576 * 0.331 / 0.368 = -0.777 */
    assert_near(slowness(&bench, 0), exp(-0.8));
}

/* Answers that take a tenth or ten times of the mean: three of them say little, unless all are far out. */
static void few_answers_are_believed_when_they_are_plain(void **state)
{
    (void)state;
    struct bench bench;
    const struct {
        uint64_t waited_us;
        double slowness; /* its logarithm */
    } samples[] = {
        {10000, 0},
        {20000, 0.1},   /* ln 2 = 0.69; 1.5 * 0.68 * 0.46 / (0.46 + 5.2 / 3) = 0.2 */
        {100000, 2.5},  /* of 3.4 */
        {1000000, 4.2}, /* the bound */
    };
    for (unsigned i = 0; i < COUNT_OF(samples); i++) {
        bench_begin(&bench, 3);
        answers(&bench, 0, 100, 1000);
        answers(&bench, 1, 100, 100000);
        answers(&bench, 2, 3, samples[i].waited_us);
        judge(&bench);
        double log_slowness = log((double)slowness(&bench, 2));
        if (fabs(log_slowness - samples[i].slowness) > 0.15)
            fail_msg("%u: %f is not about %f", (unsigned)samples[i].waited_us, log_slowness,
                     samples[i].slowness);
    }
}

/* What is late is known, and of the second of two servers nothing. */
static void bench_begin_spread(struct bench *bench)
{
    bench_begin(bench, 2);
    answers(bench, 0, 100, 5000);
    answers(bench, 0, 100, 20000);
    judge(bench);
}

/* The pool's measure is that of the last tick; the server's is told before the next. */
static void a_very_slow_answer_is_told_at_once(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin_spread(&bench);
    uint32_t silence_us = bench.shared.silence_us;
    struct score_cell cell = {.answers = 0};
    for (unsigned i = 0; i < 2; i++)
        score_answered(&cell, &bench.shared, &bench.servers[1], silence_us - 1, bench.now_us);
    score_answered(&cell, &bench.shared, &bench.servers[1], 2 * silence_us - 1, bench.now_us);
    assert_near(slowness(&bench, 1), 1);
    score_answered(&cell, &bench.shared, &bench.servers[1], 2 * silence_us, bench.now_us);
    assert_in_range(slowness(&bench, 1) * 100, 250, 800);
    assert_near(cell.answers, 0); /* folded */
    assert_near(bench.servers[1].score.answers, 4);
}

/* One that is hardly asked is asked to see how it does. */
static void of_few_answers_half_as_late_is_told(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin_spread(&bench);
    struct score_cell cell = {.answers = 0};
    score_answered(&cell, &bench.shared, &bench.servers[1], bench.shared.silence_us - 1, bench.now_us);
    assert_near(cell.answers, 1);
    score_answered(&cell, &bench.shared, &bench.servers[1], bench.shared.silence_us, bench.now_us);
    assert_near(cell.answers, 0);
    assert_true(slowness(&bench, 1) > 1.2f);
}

static void others_answer(struct bench *bench, unsigned seconds)
{
    for (unsigned second = 0; second < seconds; second++) {
        bench->now_us += SECOND;
        for (unsigned i = 0; i < 3; i++)
            answers(bench, i, 200, 1000);
        judge(bench);
    }
}

/* By one quick answer that falls out of the server's usual ones it would have its whole share again. */
static void one_quick_answer_does_not_acquit(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    others_answer(&bench, 1);
    assert_false(bench.servers[3].known_slow);
    answers(&bench, 3, 10, 20000);
    judge(&bench);
    assert_true(bench.servers[3].known_slow);
    others_answer(&bench, 22);
    assert_in_range(slowness(&bench, 3) * 100, 90, 190);
    assert_true(bench.servers[3].known_slow); /* nothing has shown otherwise */
    answers(&bench, 3, 1, 1000);
    judge(&bench);
    assert_true(slowness(&bench, 3) > 4);
    assert_true(bench.servers[3].known_slow);
    answers(&bench, 3, 30, 1000);
    judge(&bench);
    assert_true(slowness(&bench, 3) < 2);
    assert_false(bench.servers[3].known_slow);
    assert_false(bench.servers[0].known_slow);
}

/* Where answers are so rare that three never count at once: it is quick for the others' sake. */
static void one_that_is_hardly_asked_is_acquitted(void **state)
{
    (void)state;
    const double rates[] = {0.1, 0.5, 1, 3}; /* answers a second and server */
    for (unsigned k = 0; k < COUNT_OF(rates); k++) {
        struct bench bench;
        bench_begin(&bench, 4);
        others_answer(&bench, 1);
        answers(&bench, 3, 3, 100000);
        judge(&bench);
        assert_true(bench.servers[3].known_slow);
        double due = 0;
        unsigned tick = 0;
        for (; tick < 600 && bench.servers[3].known_slow; tick++, bench.now_us += SECOND / 10) {
            due += rates[k] / 10;
            for (unsigned i = 0; due >= 1 && i < 4; i++)
                answers(&bench, i, 1, 1000);
            due -= due >= 1 ? 1 : 0;
            judge(&bench);
        }
        assert_in_range(tick, 10, 400);
    }
}

/* Nor does half of the evidence: from 4 times on a server is slow, below twice it is no more. */
static void what_is_in_between_stays_as_it_was(void **state)
{
    (void)state;
    struct bench bench;
    for (unsigned slow = 0; slow < 2; slow++) {
        bench_begin(&bench, 4);
        others_answer(&bench, 1);
        bench.servers[3].known_slow = slow;
        answers(&bench, 3, 40, 2000); /* T is 2 to 3 */
        judge(&bench);
        assert_in_range(slowness(&bench, 3) * 100, 205, 395);
        assert_int_equal(bench.servers[3].known_slow, slow);
    }
}

static void what_was_cut_short_took_as_long_as_usual(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    others_answer(&bench, 1);
    answers(&bench, 3, 10, 100000);
    others_answer(&bench, 22);
    const struct {
        unsigned server;
        uint64_t waited_us, taken_us;
    } samples[] = {{3, 2000, 100000}, {3, 200000, 200000}, {0, 2000, 2000}};
    for (unsigned i = 0; i < COUNT_OF(samples); i++) {
        struct score_cell cell = {.answers = 5};
        struct pool_shared unknown = {.silence_us = 0}; /* so that nothing is folded */
        score_outrun(&cell, &unknown, &bench.servers[samples[i].server], samples[i].waited_us, bench.now_us);
        assert_in_range(exp(cell.logs), samples[i].taken_us - samples[i].taken_us / 50,
                        samples[i].taken_us + samples[i].taken_us / 50);
    }
}

static void slowness_is_bounded_and_forgotten(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    for (unsigned i = 0; i < 3; i++)
        answers(&bench, i, 200, 1000);
    answers(&bench, 3, 200, 60 * SECOND);
    judge(&bench);
    assert_near(slowness(&bench, 3), exp(4.2)); /* 64, in steps */
    for (unsigned second = 0; second < 22; second++) {
        bench.now_us += SECOND;
        for (unsigned i = 0; i < 3; i++)
            answers(&bench, i, 200, 1000);
    }
    judge(&bench);
    assert_in_range(slowness(&bench, 3) * 100, 90, 190); /* average again: it is tried again */
}

static void surcharge_is_for_an_excess_of_errors(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    for (unsigned i = 0; i < 4; i++) { /* everybody fails once in twenty: nobody pays */
        answers(&bench, i, 95, 10000);
        errors(&bench, i, 5);
    }
    judge(&bench);
    assert_near(bench.shared.normal_errors, 0.05);
    for (unsigned i = 0; i < 4; i++)
        assert_near(surcharge(&bench, i), 0);
    bench_begin(&bench, 4);
    for (unsigned i = 0; i < 3; i++)
        answers(&bench, i, 100, 10000);
    judge(&bench);
    errors(&bench, 3, 1); /* told at once, without a tick */
    assert_near(surcharge(&bench, 3), 25);
    errors(&bench, 3, 96);
    assert_near(surcharge(&bench, 3), 97);
    judge(&bench);
    assert_near(surcharge(&bench, 3), 97);
    bench_begin(&bench, 2); /* one bad of two is bad */
    answers(&bench, 0, 100, 10000);
    errors(&bench, 1, 97);
    judge(&bench);
    assert_near(surcharge(&bench, 1), 97);
    assert_near(surcharge(&bench, 0), 0);
}

static void errors_are_no_measure_of_speed(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 2);
    answers(&bench, 0, 100, 10000);
    errors(&bench, 1, 100);
    judge(&bench);
    assert_near(slowness(&bench, 0), 1);
    assert_near(slowness(&bench, 1), 1);
}

static void history_is_capped(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1);
    answers(&bench, 0, 100000, 1000);
    assert_near(bench.servers[0].score.answers, 200);
    answers(&bench, 0, 200, 10000);
    struct server_score *score = &bench.servers[0].score;
    assert_near(score->logs / score->answers, (log(1000) + log(10000)) / 2);
}

static void silence_is_a_deviation_above_the_mean(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 2);
    judge(&bench);
    assert_int_equal(bench.shared.silence_us, 0); /* nothing is known */
    answers(&bench, 0, 50, 1000);
    answers(&bench, 1, 50, 100000);
    judge(&bench);
    assert_in_range(bench.shared.silence_us, 99900, 100100); /* 10 ms, times a factor of ten */
}

/* Hedges wait for this: longer than in the best times, by more than noise; and what was best is forgotten
 * slowly. */
static void queues_are_a_rise_above_the_best(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 2);
    for (unsigned i = 0; i < 40; i++, bench.now_us += SECOND / 10) {
        answers(&bench, i % 2, 20, i % 3 == 0 ? 9600 : 10400); /* a tenth at most between two judgements */
        judge(&bench);
        assert_false(bench.shared.queues);
    }
    for (unsigned i = 0; i < 30; i++, bench.now_us += SECOND / 10) {
        answers(&bench, i % 2, 40, 20000);
        judge(&bench);
    }
    assert_true(bench.shared.queues);
    /* ln 2 is 0.69: at 0.1 a minute what was best is as bad after six to seven minutes of it, less a tenth.
     */
    unsigned seconds = 0;
    for (; bench.shared.queues && seconds < 1000; seconds++, bench.now_us += SECOND) {
        answers(&bench, seconds % 2, 40, 20000);
        judge(&bench);
    }
    assert_in_range(seconds, 240, 420);
    for (unsigned i = 0; i < 30; i++, bench.now_us += SECOND / 10) {
        answers(&bench, i % 2, 40, 5000);
        judge(&bench);
        assert_false(bench.shared.queues);
    }
}

static void one_judges_each_tick(void **state)
{
    (void)state;
    struct pool_shared shared = {.waiting = 0};
    uint64_t now_us = 5 * SECOND;
    assert_true(score_is_due(&shared, now_us));
    assert_false(score_is_due(&shared, now_us));
    assert_false(score_is_due(&shared, now_us + SCORE_TICK_US - 1));
    assert_true(score_is_due(&shared, now_us + SCORE_TICK_US));
    assert_false(score_is_due(&shared, now_us)); /* a clock that is behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_tie),
        cmocka_unit_test(slowness_is_a_power_of_the_ratio_to_the_mean),
        cmocka_unit_test(few_answers_are_believed_when_they_are_plain),
        cmocka_unit_test(a_very_slow_answer_is_told_at_once),
        cmocka_unit_test(of_few_answers_half_as_late_is_told),
        cmocka_unit_test(one_quick_answer_does_not_acquit),
        cmocka_unit_test(one_that_is_hardly_asked_is_acquitted),
        cmocka_unit_test(what_is_in_between_stays_as_it_was),
        cmocka_unit_test(what_was_cut_short_took_as_long_as_usual),
        cmocka_unit_test(slowness_is_bounded_and_forgotten),
        cmocka_unit_test(surcharge_is_for_an_excess_of_errors),
        cmocka_unit_test(errors_are_no_measure_of_speed),
        cmocka_unit_test(history_is_capped),
        cmocka_unit_test(silence_is_a_deviation_above_the_mean),
        cmocka_unit_test(queues_are_a_rise_above_the_best),
        cmocka_unit_test(one_judges_each_tick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
