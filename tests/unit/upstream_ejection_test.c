/* Ejection on a clock of the test's own: when, for how long, of how many, and panic. */
#include "unit.h"

#include "upstream/ejection.h"
#include "upstream/pool.h"
#include "upstream/server_score.h"

#define SERVERS 4
#define SECOND 1000000u

struct bench {
    struct server servers[SERVERS];
    struct pool_server members[SERVERS];
    struct pool_shared shared;
    struct pool_config config;
    struct outlier_config outlier;
    struct pool pool;
    uint64_t now_us;
};

static void bench_begin(struct bench *bench, size_t count)
{
    memset(bench, 0, sizeof *bench);
    bench->now_us = 1000 * (uint64_t)SECOND;
    bench->outlier = (struct outlier_config){.errors = 5, .time = 5000, .most = 50, .clients = 2};
    bench->config = (struct pool_config){.name = "p", .outlier = &bench->outlier};
    for (size_t i = 0; i < count; i++) {
        bench->servers[i].pool_name = "p";
        bench->servers[i].name = "s";
        bench->members[i] = (struct pool_server){.server = &bench->servers[i], .weight = 1};
    }
    bench->pool = (struct pool){.config = &bench->config,
                                .name = "p",
                                .servers = bench->members,
                                .servers_count = count,
                                .shared = &bench->shared};
}

static void error_of(struct bench *bench, unsigned server, uint32_t client)
{
    ejection_error(&bench->pool, &bench->servers[server], client, bench->now_us);
}

/* Of nobody: the server can't be reached. */
static void errors(struct bench *bench, unsigned server, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        error_of(bench, server, 0);
}

static bool is_out(const struct bench *bench, unsigned server)
{
    return server_is_ejected(&bench->servers[server], bench->now_us);
}

static void errors_in_a_row_eject(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    errors(&bench, 0, 4);
    ejection_success(&bench.servers[0]);
    errors(&bench, 0, 4);
    assert_false(is_out(&bench, 0));
    errors(&bench, 0, 1);
    assert_true(is_out(&bench, 0));
    bench.now_us += 4900000;
    assert_true(is_out(&bench, 0));
    bench.now_us += 300000; /* steps of the clock are 1.024 ms */
    assert_false(is_out(&bench, 0));
    errors(&bench, 0, 4); /* it has its five again */
    assert_false(is_out(&bench, 0));
}

static void time_grows_and_is_forgiven(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    for (unsigned times = 1; times <= 8; times++) {
        unsigned expected = times < 6 ? times : 6;
        errors(&bench, 0, 5);
        bench.now_us += expected * 5 * SECOND - SECOND / 10;
        assert_true(is_out(&bench, 0));
        bench.now_us += SECOND / 5;
        assert_false(is_out(&bench, 0));
    }
    bench.now_us += 31 * SECOND;
    errors(&bench, 0, 5);
    bench.now_us += 5 * SECOND + SECOND / 10;
    assert_false(is_out(&bench, 0));
}

static void half_of_the_pool_and_never_the_last(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    for (unsigned i = 0; i < 4; i++)
        errors(&bench, i, 5);
    assert_true(is_out(&bench, 0) && is_out(&bench, 1));
    assert_false(is_out(&bench, 2) || is_out(&bench, 3));
    bench_begin(&bench, 1);
    errors(&bench, 0, 50);
    assert_false(is_out(&bench, 0));
    bench_begin(&bench, 2);
    bench.servers[1].health = SERVER_DOWN;
    errors(&bench, 0, 5);
    assert_false(is_out(&bench, 0));
    bench_begin(&bench, 4);
    bench.outlier.time = 0;
    errors(&bench, 0, 50);
    assert_false(is_out(&bench, 0));
}

static void traffic(struct bench *bench, unsigned server, unsigned good, unsigned bad)
{
    struct score_cell cell = {.answers = 0};
    for (unsigned i = 0; i < good; i++)
        score_answered(&cell, &bench->shared, &bench->servers[server], 1000, bench->now_us);
    for (unsigned i = 0; i < bad; i++) {
        score_failed(&cell, &bench->shared, &bench->servers[server], bench->now_us);
        assert_true(score_accused(&bench->servers[server], i % 7 + 1, 2, bench->now_us));
    }
    score_fold(&cell, &bench->servers[server]);
}

static void share_of_errors_ejects(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    for (unsigned i = 0; i < 3; i++)
        traffic(&bench, i, 90, 10); /* one in ten is usual here */
    traffic(&bench, 3, 50, 50);
    score_pool(&bench.pool, bench.now_us);
    ejection_judge(&bench.pool, bench.now_us);
    assert_true(is_out(&bench, 3));
    assert_false(is_out(&bench, 0) || is_out(&bench, 1) || is_out(&bench, 2));
    bench_begin(&bench, 4);
    for (unsigned i = 0; i < 4; i++)
        traffic(&bench, i, 50, 50); /* everybody fails: that is nobody's fault */
    score_pool(&bench.pool, bench.now_us);
    ejection_judge(&bench.pool, bench.now_us);
    for (unsigned i = 0; i < 4; i++)
        assert_false(is_out(&bench, i));
    bench_begin(&bench, 4);
    for (unsigned i = 0; i < 3; i++)
        traffic(&bench, i, 100, 0);
    traffic(&bench, 3, 9, 10); /* too few to say */
    score_pool(&bench.pool, bench.now_us);
    ejection_judge(&bench.pool, bench.now_us);
    assert_false(is_out(&bench, 3));
}

/* Whatever one client asks for, it takes no server from the others. */
static void one_client_ejects_nobody(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    for (unsigned i = 0; i < 100; i++)
        error_of(&bench, 0, 7);
    error_of(&bench, 0, 9);
    for (unsigned i = 0; i < 100; i++)
        error_of(&bench, 0, 7); /* two by turns: three so far */
    assert_false(is_out(&bench, 0));
    error_of(&bench, 0, 9);
    assert_false(is_out(&bench, 0));
    error_of(&bench, 0, 11);
    assert_true(is_out(&bench, 0));
    /* Not even where one error would do. */
    bench.outlier.errors = 1;
    for (unsigned i = 0; i < 100; i++)
        error_of(&bench, 1, 7);
    assert_false(is_out(&bench, 1));
    error_of(&bench, 1, 9);
    assert_true(is_out(&bench, 1));
    bench_begin(&bench, 4);
    bench.outlier.errors = 1;
    errors(&bench, 0, 1); /* nobody's */
    assert_true(is_out(&bench, 0));
}

static void one_client_is_no_share_of_errors(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    for (unsigned i = 0; i < 3; i++)
        traffic(&bench, i, 100, 0);
    struct score_cell cell = {.answers = 0};
    for (unsigned i = 0; i < 100; i++) {
        score_failed(&cell, &bench.shared, &bench.servers[3], bench.now_us);
        error_of(&bench, 3, 7);
    }
    score_pool(&bench.pool, bench.now_us);
    ejection_judge(&bench.pool, bench.now_us);
    assert_false(is_out(&bench, 3));
    assert_true(bench.servers[3].surcharge > 50); /* which costs nobody the server */
}

static void as_many_clients_as_are_asked_for(void **state)
{
    (void)state;
    struct bench bench;
    for (uint32_t clients = 1; clients <= OUTLIER_CLIENTS_MOST; clients++) {
        bench_begin(&bench, 4);
        bench.outlier.clients = clients;
        for (unsigned i = 0; i < 100 * (clients - 1); i++)
            error_of(&bench, 0, i % (clients - 1) + 1);
        assert_false(is_out(&bench, 0));
        for (unsigned i = 0; i < 2 * OUTLIER_CLIENTS_MOST; i++)
            error_of(&bench, 0, i % clients + 1);
        assert_true(is_out(&bench, 0));
    }
}

static void none_are_ejected_without(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    bench.config.outlier = NULL;
    errors(&bench, 0, 50);
    traffic(&bench, 1, 10, 90);
    score_pool(&bench.pool, bench.now_us);
    ejection_judge(&bench.pool, bench.now_us);
    assert_false(is_out(&bench, 0) || is_out(&bench, 1));
}

static void panic_when_few_are_left(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    errors(&bench, 0, 5);
    bench.servers[1].health = SERVER_DOWN;
    ejection_judge(&bench.pool, bench.now_us);
    assert_false(bench.shared.panic); /* half is left */
    errors(&bench, 2, 5);
    ejection_judge(&bench.pool, bench.now_us);
    assert_true(bench.shared.panic);
    ejection_end(&bench.servers[0]);
    ejection_judge(&bench.pool, bench.now_us);
    assert_false(bench.shared.panic);
}

static void those_that_are_down_are_no_panic(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 4);
    for (size_t i = 0; i < 4; i++)
        bench.servers[i].health = SERVER_DOWN;
    ejection_judge(&bench.pool, bench.now_us);
    assert_false(bench.shared.panic); /* a standby serves, and nobody is ejected */
    bench.servers[0].health = bench.servers[1].health = bench.servers[2].health = SERVER_UP;
    errors(&bench, 0, 5);
    errors(&bench, 1, 5);
    ejection_judge(&bench.pool, bench.now_us);
    assert_true(bench.shared.panic);
    bench.servers[0].health = bench.servers[1].health = SERVER_DOWN; /* ejecting them changes nothing now */
    ejection_judge(&bench.pool, bench.now_us);
    assert_false(bench.shared.panic);
}

/* The clock that choices look at begins anew after 50 days: after half of that what is past lies ahead. */
static void what_is_over_does_not_come_back(void **state)
{
    (void)state;
    static const uint64_t later[] = {5, 3600, 26 * 86400, 45 * 86400};
    struct bench bench;
    bench_begin(&bench, 4);
    errors(&bench, 0, 5);
    ejection_judge(&bench.pool, bench.now_us);
    assert_true(is_out(&bench, 0));
    for (unsigned i = 0; i < COUNT_OF(later); i++) {
        bench.now_us += later[i] * SECOND;
        ejection_judge(&bench.pool, bench.now_us);
        assert_false(is_out(&bench, 0));
    }
    /* Nobody has asked the pool for a month: the first answer sets it right. */
    errors(&bench, 0, 5);
    bench.now_us += (uint64_t)30 * 86400 * SECOND;
    bench.outlier.time = 0;
    ejection_judge(&bench.pool, bench.now_us);
    assert_false(is_out(&bench, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_in_a_row_eject),
        cmocka_unit_test(time_grows_and_is_forgiven),
        cmocka_unit_test(half_of_the_pool_and_never_the_last),
        cmocka_unit_test(share_of_errors_ejects),
        cmocka_unit_test(one_client_ejects_nobody),
        cmocka_unit_test(one_client_is_no_share_of_errors),
        cmocka_unit_test(as_many_clients_as_are_asked_for),
        cmocka_unit_test(none_are_ejected_without),
        cmocka_unit_test(panic_when_few_are_left),
        cmocka_unit_test(those_that_are_down_are_no_panic),
        cmocka_unit_test(what_is_over_does_not_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
