/* Health as a state machine over a real loop: TCP probes of loopback ports that listen or not. What an answer
 * is worth stands in upstream_probe_test.c. */
#include <unistd.h>

#include "base/counters.h"
#include "net/loop.h"
#include "net/socket.h"
#include "support/loop_run_for.h"
#include "unit.h"
#include "upstream/health.h"
#include "upstream/health_probe.h"
#include "upstream/pool.h"
#include "upstream/server_score.h"

struct bench {
    struct loop *loop;
    struct server_set *set;
    struct health *health;
    struct health_config config;
    struct pool_config pool_config;
    struct pool_server member;
    struct pool pool;
    struct address address;
    int port;      /* bound to it all the time, so that nobody else is given it */
    int listening; /* -1: nobody listens */
};

static void bench_run(struct bench *bench, unsigned milliseconds)
{
    loop_run_for(bench->loop, milliseconds);
}

static void bench_listen(struct bench *bench)
{
    struct error error;
    bench->listening = socket_listen(&bench->address, 16, 0, &error);
    assert_true(bench->listening >= 0);
}

static void bench_deaf(struct bench *bench)
{
    close(bench->listening);
    bench->listening = -1;
}

static void bench_begin(struct bench *bench)
{
    struct error error;
    const int on = 1;
    memset(bench, 0, sizeof *bench);
    assert_true(address_parse(&bench->address, "127.0.0.1:0", &error));
    bench->port = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(setsockopt(bench->port, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    assert_int_equal(setsockopt(bench->port, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(bench->port, &bench->address.socket.any, bench->address.length), 0);
    bench->address.length = sizeof bench->address.socket;
    assert_int_equal(getsockname(bench->port, &bench->address.socket.any, &bench->address.length), 0);
    bench_listen(bench);
    bench->config = (struct health_config){.type = PROBE_TCP,
                                           .interval = 80,
                                           .fast_interval = 16,
                                           .timeout = 1000,
                                           .rise = 2,
                                           .fall = 3,
                                           .jitter = 15};
    bench->pool_config = (struct pool_config){.name = "api", .health = &bench->config, .fast_down = 2};
    bench->loop = loop_new();
    bench->set = server_set_new();
    bench->health = health_new(bench->loop);
    bench->pool = (struct pool){
        .config = &bench->pool_config, .name = "api", .servers = &bench->member, .servers_count = 1};
    bench->pool.shared = server_set_take_pool(bench->set, "api");
    bench->member = (struct pool_server){
        .server = server_set_take(bench->set, bench->pool.shared, "s", "127.0.0.1:1", &bench->address, 1),
        .weight = 1};
}

static void bench_pools(struct bench *bench, size_t count)
{
    struct pool *pools[] = {&bench->pool};
    health_set_pools(bench->health, pools, count);
}

static void bench_end(struct bench *bench)
{
    health_free(bench->health);
    assert_int_equal(bench->member.server->references, 1);
    server_release(bench->member.server);
    pool_shared_release(bench->pool.shared);
    server_set_free(bench->set);
    loop_free(bench->loop);
    if (bench->listening >= 0)
        close(bench->listening);
    close(bench->port);
}

static int64_t probes(void)
{
    return counter_cells->value[COUNTER_probes];
}

static int64_t probes_failed(void)
{
    return counter_cells->value[COUNTER_probes_failed];
}

/* Runs until the state is there; how many probes that took. */
static int64_t probes_until(struct bench *bench, enum server_health state)
{
    int64_t before = probes();
    RUN_UNTIL(bench->loop, bench->member.server->health == (int)state);
    assert_int_equal(bench->member.server->health, state);
    return probes() - before;
}

static void rise_and_fall_are_exact(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench_pools(&bench, 1);
    assert_int_equal(bench.member.server->health, SERVER_UNKNOWN);
    assert_int_equal(probes_until(&bench, SERVER_UP), 1); /* the first good answer is enough */
    bench_deaf(&bench);
    assert_int_equal(probes_until(&bench, SERVER_DOWN), 3);
    bench_listen(&bench);
    assert_int_equal(probes_until(&bench, SERVER_UP), 2);
    /* Single failures among good answers change nothing, however many. */
    for (unsigned i = 0; i < 4; i++) {
        int64_t failed = probes_failed(), made;
        bench_deaf(&bench);
        RUN_UNTIL(bench.loop, probes_failed() != failed);
        bench_listen(&bench);
        made = probes();
        RUN_UNTIL(bench.loop, probes() == made + 2); /* the first of them has ended well */
        assert_int_equal(probes_failed(), failed + 1);
        assert_int_equal(bench.member.server->health, SERVER_UP);
    }
    bench_end(&bench);
}

static void unknown_servers_fall_like_others(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench_deaf(&bench);
    bench_pools(&bench, 1);
    assert_true(server_is_up(bench.member.server));
    assert_int_equal(probes_until(&bench, SERVER_DOWN), 3);
    bench_end(&bench);
}

static void changes_are_verified_fast_and_the_rest_is_slow(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench.config.interval = 700;
    bench.config.fast_interval = 20;
    bench.config.jitter = 0;
    bench_pools(&bench, 1);
    (void)probes_until(&bench, SERVER_UP);
    bench_deaf(&bench);
    int64_t before = probes();
    uint64_t since_us = loop_now_us(bench.loop);
    RUN_UNTIL(bench.loop, probes() != before);
    assert_in_range(loop_now_us(bench.loop) - since_us, 700 * 1000,
                    UINT32_MAX);         /* none before the interval is over */
    bench.config.interval = 3600 * 1000; /* which it would take for two more */
    assert_int_equal(probes_until(&bench, SERVER_DOWN), 2);
    bench_end(&bench);
}

static void a_server_that_a_worker_took_down_is_probed_soon(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench.config.interval = 2000;
    bench.pool.slow_start_ms = 10000;
    bench_pools(&bench, 1);
    (void)probes_until(&bench, SERVER_UP);
    assert_false(server_was_refused(bench.member.server, 1, 2));
    assert_true(server_was_refused(bench.member.server, 2, 2));
    assert_int_equal(bench.member.server->health, SERVER_DOWN);
    assert_int_equal(probes_until(&bench, SERVER_UP), 2);
    assert_int_not_equal(bench.member.server->joined_ms, 0); /* from where it starts slowly */
    /* While it stays away, ever more slowly: after 250, 500, 1000 ms. */
    bench_deaf(&bench);
    bench_run(&bench, 120);
    bench.member.server->health = SERVER_DOWN;
    int64_t before = probes();
    uint64_t since_us = loop_now_us(bench.loop);
    RUN_UNTIL(bench.loop, probes() >= before + 3);
    assert_int_equal(probes(), before + 3);
    assert_true(loop_now_us(bench.loop) >= since_us + 850 * (250 + 500 + 1000));
    bench_end(&bench);
}

/* Or it would be just now again when the low bits of the clock begin anew. */
static void a_slow_start_that_is_over_is_forgotten(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench.pool.slow_start_ms = 1500;
    bench_pools(&bench, 1);
    (void)probes_until(&bench, SERVER_UP);
    bench.member.server->health = SERVER_DOWN;
    int64_t before = probes();
    RUN_UNTIL(bench.loop, probes() != before); /* is noticed */
    (void)probes_until(&bench, SERVER_UP);
    assert_int_not_equal(bench.member.server->joined_ms, 0);
    uint64_t since_us = loop_now_us(bench.loop);
    RUN_UNTIL(bench.loop, bench.member.server->joined_ms == 0);
    assert_int_equal(bench.member.server->joined_ms, 0);
    assert_true(loop_now_us(bench.loop) >= since_us + 1500 * 1000);
    bench_end(&bench);
}

/* A reload took its check away while requests of the older file are still refused: nobody would bring it
 * back. */
static void a_server_without_a_check_is_not_taken_down(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench_pools(&bench, 1);
    (void)probes_until(&bench, SERVER_UP);
    assert_false(server_was_refused(bench.member.server, 1, 2));
    assert_true(server_was_refused(bench.member.server, 2, 2));
    bench_pools(&bench, 0);
    for (uint64_t now_us = 3; now_us < 9; now_us++)
        assert_false(server_was_refused(bench.member.server, now_us, 2));
    assert_true(server_is_up(bench.member.server));
    /* And it has one again. */
    bench_pools(&bench, 1);
    assert_true(server_was_refused(bench.member.server, 9, 2));
    bench_end(&bench);
}

/* So many answers of requests came, of which some were errors. */
static void traffic(struct bench *bench, unsigned answers, unsigned errors)
{
    struct score_cell cell = {.answers = 0};
    for (unsigned i = 0; i < answers - errors; i++)
        score_answered(&cell, bench->pool.shared, bench->member.server, 1000, loop_now_us(bench->loop));
    for (unsigned i = 0; i < errors; i++)
        score_failed(&cell, bench->pool.shared, bench->member.server, loop_now_us(bench->loop));
    score_fold(&cell, bench->member.server);
}

static int64_t spared(void)
{
    return counter_cells->value[COUNTER_probes_spared];
}

/* Nine of ten at most. */
static void good_answers_spare_probes(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench.config.trust_traffic = true;
    bench.config.interval = 40;
    bench_pools(&bench, 1);
    (void)probes_until(&bench, SERVER_UP);
    int64_t before = spared(), made = probes();
    for (unsigned i = 0; i < 30000 && spared() < before + 18; i++) {
        traffic(&bench, 20, 1);
        loop_turn(bench.loop);
    }
    assert_int_equal(spared(), before + 18);
    assert_in_range(probes() - made, 1, 2); /* one each ten */
    before = spared();
    made = probes();
    for (unsigned i = 0; i < 30000 && probes() < made + 5; i++) {
        traffic(&bench, 20, 2);
        loop_turn(bench.loop);
    }
    assert_int_equal(probes(), made + 5);
    assert_int_equal(spared(), before); /* not where one of ten fails */
    bench_end(&bench);
}

static void good_answers_outweigh_failed_checks(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench.config.trust_traffic = true;
    bench_pools(&bench, 1);
    (void)probes_until(&bench, SERVER_UP);
    bench_deaf(&bench);
    int64_t before = counter_cells->value[COUNTER_probes_outweighed];
    for (unsigned i = 0; i < 30000 && counter_cells->value[COUNTER_probes_outweighed] < before + 2; i++) {
        traffic(&bench, 200, 1);
        loop_turn(bench.loop);
    }
    assert_int_equal(counter_cells->value[COUNTER_probes_outweighed], before + 2);
    assert_int_equal(bench.member.server->health, SERVER_UP);
    traffic(&bench, 200, 100);
    (void)probes_until(&bench, SERVER_DOWN);
    bench_end(&bench);
}

static void checks_that_failed_as_well_end_an_ejection(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench.config.fall = 1000;
    bench_pools(&bench, 1);
    (void)probes_until(&bench, SERVER_UP);
    server_set_ejected(bench.member.server, loop_now_us(bench.loop), 600000);
    int64_t made = probes();
    RUN_UNTIL(bench.loop, probes() >= made + 4);
    /* they pass: it is requests that fail */
    assert_true(server_is_ejected(bench.member.server, loop_now_us(bench.loop)));
    bench_deaf(&bench);
    int64_t failed = probes_failed();
    RUN_UNTIL(bench.loop, probes_failed() != failed);
    bench_listen(&bench);
    RUN_UNTIL(bench.loop, !server_is_ejected(bench.member.server, loop_now_us(bench.loop)));
    assert_false(server_is_ejected(bench.member.server, loop_now_us(bench.loop)));
    bench_end(&bench);
}

static void reloads_keep_the_state(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench_deaf(&bench);
    bench_pools(&bench, 1);
    (void)probes_until(&bench, SERVER_DOWN);
    struct pool old = bench.pool, next = bench.pool;
    struct pool *pools[] = {&next};
    (void)old;
    health_set_pools(bench.health, pools, 1);
    assert_int_equal(bench.member.server->health, SERVER_DOWN);
    bench_listen(&bench);
    assert_int_equal(probes_until(&bench, SERVER_UP), 2);
    bench_deaf(&bench);
    (void)probes_until(&bench, SERVER_DOWN);
    /* Without `health` nobody would bring it back. */
    struct pool_config without = bench.pool_config;
    without.health = NULL;
    next.config = &without;
    health_set_pools(bench.health, pools, 1);
    assert_int_equal(bench.member.server->health, SERVER_UNKNOWN);
    int64_t before = probes();
    bench_run(&bench, 150);
    assert_int_equal(probes(), before);
    bench_end(&bench);
}

static void statuses_match_as_written(void **state)
{
    (void)state;
    const char *some[] = {"200", "3xx", "410-412"};
    struct texts texts = {3, some};
    const unsigned good[] = {200, 300, 399, 410, 411, 412}, bad[] = {201, 199, 299, 400, 409, 413, 503};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(health_status_matches(&texts, good[i]));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(health_status_matches(&texts, bad[i]));
    struct texts none = {0, NULL};
    assert_true(health_status_matches(&none, 302));
    assert_false(health_status_matches(&none, 404));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rise_and_fall_are_exact),
        cmocka_unit_test(unknown_servers_fall_like_others),
        cmocka_unit_test(changes_are_verified_fast_and_the_rest_is_slow),
        cmocka_unit_test(a_server_that_a_worker_took_down_is_probed_soon),
        cmocka_unit_test(a_slow_start_that_is_over_is_forgotten),
        cmocka_unit_test(a_server_without_a_check_is_not_taken_down),
        cmocka_unit_test(good_answers_spare_probes),
        cmocka_unit_test(good_answers_outweigh_failed_checks),
        cmocka_unit_test(checks_that_failed_as_well_end_an_ejection),
        cmocka_unit_test(reloads_keep_the_state),
        cmocka_unit_test(statuses_match_as_written),
    };
    counters_thread_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
