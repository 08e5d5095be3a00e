/* Connections to servers over loopback sockets: made, kept, lost, refused, and what a reload leaves of them.
 */
#include <unistd.h>

#include "net/socket.h"
#include "support/fake_codec.h"
#include "support/upstream_bench.h"
#include "unit.h"
#include "upstream/retry_budget.h"

static void connection_is_made_kept_and_used_again(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1, 0);
    struct asker *asker = ask(&bench, 0);
    bench_run(&bench, 10);
    assert_int_equal(asker->ready, 1);
    assert_false(asker->waiter.reused);
    assert_int_equal(bench.members[0].server->in_flight, 1);
    int fd = serve(&bench, 0);
    answer(&bench, fd, 'k');
    assert_int_equal(asker->done, 1);
    assert_int_equal(bench.members[0].server->in_flight, 0);
    assert_int_equal(counted(COUNTER_upstream_idle), 1);

    struct asker *second = ask(&bench, 1);
    struct asker *third = ask(&bench, 2);
    bench_run(&bench, 10);
    assert_true(second->waiter.reused);
    assert_false(third->waiter.reused);
    assert_int_equal(counted(COUNTER_upstream_idle), 0);
    int other = serve(&bench, 0);
    answer(&bench, other, 'k');
    answer(&bench, fd, 'k'); /* the newest now */
    (void)ask(&bench, 3);
    bench_run(&bench, 10);
    assert_true(bench.askers[3].waiter.reused);
    answer(&bench, fd, 'c');
    assert_int_equal(counted(COUNTER_upstream_idle), 1);
    /* A replay asks for a fresh one although one is kept. */
    struct asker *replay = ask(&bench, 4);
    replay->waiter.fresh = true;
    replay->waiter.only = bench.members[0].server;
    bench_run(&bench, 10);
    assert_false(replay->waiter.reused);
    close(serve(&bench, 0));
    bench_run(&bench, 10);
    assert_int_equal(replay->closed, FAILURE_SERVER_CLOSED);
    assert_int_equal(bench.members[0].server->failed, 1);
    upstreams_close_idle(bench.upstreams);
    bench_run(&bench, 5);
    assert_int_equal(counted(COUNTER_upstream_idle), 0);
    close(fd);
    close(other);
    bench_end(&bench);
}

static void connection_that_the_server_ended_is_not_used(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1, 0);
    (void)ask(&bench, 0);
    bench_run(&bench, 10);
    int fd = serve(&bench, 0);
    answer(&bench, fd, 'k');
    /* The end is there before the next request, in the same turn: the loop has not told it yet. */
    close(fd);
    struct asker *second = ask(&bench, 1);
    bench_run(&bench, 10);
    assert_int_equal(second->ready, 1);
    assert_false(second->waiter.reused);
    close(serve(&bench, 0));
    bench_run(&bench, 10);
    bench_end(&bench);
}

static void idle_connections_end_in_time(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1, 0);
    bench.config.idle_timeout = 150;
    bench.config.idle_connections = 1;
    for (unsigned i = 0; i < 2; i++)
        (void)ask(&bench, i);
    bench_run(&bench, 10);
    int fds[2] = {serve(&bench, 0), serve(&bench, 0)};
    answer(&bench, fds[0], 'k');
    answer(&bench, fds[1], 'k');
    assert_int_equal(counted(COUNTER_upstream_idle), 1); /* no more than idle_connections */
    bench_run(&bench, 170);
    assert_int_equal(counted(COUNTER_upstream_idle), 0);
    /* The server's own word goes before the file's: 0 s is not kept at all. */
    fake_codec_hint = 0;
    (void)ask(&bench, 0);
    bench_run(&bench, 10);
    int fd = serve(&bench, 0);
    answer(&bench, fd, 'k');
    assert_int_equal(counted(COUNTER_upstream_idle), 0);
    fake_codec_hint = -1;
    bench.config.max_requests = 1;
    (void)ask(&bench, 0);
    bench_run(&bench, 10);
    int last = serve(&bench, 0);
    answer(&bench, last, 'k');
    assert_int_equal(counted(COUNTER_upstream_idle), 0);
    close(fd);
    close(last);
    close(fds[0]);
    close(fds[1]);
    bench_end(&bench);
}

static void refused_connects_take_a_server_down(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1, 0);
    close(bench.listening[0]); /* nobody listens */
    struct server *server = bench.members[0].server;
    for (unsigned i = 0; i < 3; i++) {
        struct asker *asker = ask(&bench, i);
        bench_run(&bench, 5);
        assert_int_equal(asker->failed, 1);
        assert_int_equal(asker->failure, FAILURE_CONNECT_REFUSED);
        assert_ptr_equal(asker->waiter.server, server);
    }
    assert_int_equal(server->health, SERVER_UNKNOWN); /* nothing would bring it back */
    bench.config.health = &bench.health;
    server->probed = true;
    server->refused_count = 0;
    (void)ask(&bench, 0);
    bench_run(&bench, 5);
    assert_true(server_is_up(server));
    (void)ask(&bench, 1);
    bench_run(&bench, 5);
    assert_false(server_is_up(server));
    struct asker *asker = ask(&bench, 2);
    bench_run(&bench, 5);
    assert_int_equal(asker->failure, FAILURE_NO_SERVER);
    assert_null(asker->waiter.server);
    assert_int_equal(server->failed, 5);
    bench.listening[0] = -1;
    bench_end(&bench);
}

static void refusals_far_apart_do_not_count(void **state)
{
    (void)state;
    struct server server = {.health = SERVER_UP, .probed = true};
    assert_false(server_was_refused(&server, 1000, 2));
    assert_false(server_was_refused(&server, 1001002, 2));
    assert_true(server_was_refused(&server, 1001003, 2));
    assert_false(server_was_refused(&server, 1001004, 2)); /* it is down already */
    server.health = SERVER_UP;
    server.refused_count = 0;
    assert_false(server_was_refused(&server, 5000000, 2));
    server_was_reached(&server);
    assert_false(server_was_refused(&server, 5000001, 2));
    server.refused_count = 0;
    for (unsigned i = 0; i < 9; i++)
        assert_false(server_was_refused(&server, 6000000, 0)); /* off */
}

static void connects_that_hang_end_in_time(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1, 0);
    /* A queue of connections that is full: further ones get no answer. */
    assert_int_equal(listen(bench.listening[0], 0), 0);
    int fillers[3];
    for (unsigned i = 0; i < 3; i++) {
        bool pending;
        int number;
        fillers[i] = socket_connect(server_address(bench.members[0].server, 0), &pending, &number);
    }
    struct asker *asker = ask(&bench, 0);
    struct asker *other = ask(&bench, 1);
    bench_run(&bench, 50);
    assert_int_equal(asker->failed + asker->ready, 0);
    assert_int_equal(bench.members[0].server->in_flight, 2);
    upstream_give_up(bench.upstreams, &other->waiter);
    assert_int_equal(bench.members[0].server->in_flight, 1);
    bench_run(&bench, 200);
    assert_int_equal(asker->failure, FAILURE_CONNECT_TIMEOUT);
    assert_int_equal(other->failed, 0);
    for (unsigned i = 0; i < 3; i++)
        close(fillers[i]);
    bench_end(&bench);
}

static void next_address_of_a_name_is_tried(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 0, 0);
    struct address addresses[2];
    int dead;
    addresses[0] = listening_address(&dead);
    close(dead);
    addresses[1] = listening_address(&bench.listening[0]);
    bench_add(&bench, addresses, 2);
    for (unsigned i = 0; i < 2; i++) {
        struct asker *asker = ask(&bench, i);
        bench_run(&bench, 10);
        assert_int_equal(asker->ready, 1);
        close(serve(&bench, 0));
        bench_run(&bench, 10);
        assert_ptr_equal(server_address(bench.members[0].server, 0), &bench.members[0].server->addresses[1]);
    }
    bench_end(&bench);
}

static void servers_outlive_reloads(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 2, 0);
    (void)ask(&bench, 0);
    (void)ask(&bench, 1);
    bench_run(&bench, 10);
    int fds[2] = {serve(&bench, 0), serve(&bench, 1)};
    answer(&bench, fds[0], 'k');
    answer(&bench, fds[1], 'k');
    assert_int_equal(counted(COUNTER_upstream_idle), 2);
    /* The same name and addresses are the same server; another address is another. */
    struct server *server = bench.members[0].server;
    assert_ptr_equal(server_set_take(bench.set, bench.pool.shared, "s0", "s0", server->addresses, 1), server);
    server_release(server);
    struct server *moved =
        server_set_take(bench.set, bench.pool.shared, "s0", "s0", bench.members[1].server->addresses, 1);
    assert_ptr_not_equal(moved, server);
    server_release(moved);
    server_set_sweep(bench.set);
    /* A snapshot without the second server: what is kept for it ends, the reference too. */
    struct pool next = bench.pool;
    struct pool *pools[] = {&next};
    next.servers_count = 1;
    upstreams_keep_only(bench.upstreams, pools, 1);
    bench_run(&bench, 5);
    assert_int_equal(counted(COUNTER_upstream_idle), 1);
    assert_int_equal(bench.members[1].server->references, 1);
    assert_int_equal(bench.members[0].server->references, 2);
    upstreams_keep_only(bench.upstreams, NULL, 0);
    bench_run(&bench, 5);
    assert_int_equal(bench.members[0].server->references, 1);
    close(fds[0]);
    close(fds[1]);
    bench_end(&bench);
}

static void retry_budget_follows_requests_with_a_floor(void **state)
{
    (void)state;
    struct retry_budget budget = {0};
    uint64_t now = 1000000;
    unsigned granted = 0;
    assert_false(retry_budget_spend(&budget, 0, now));
    while (retry_budget_spend(&budget, 0.2, now))
        granted++;
    assert_int_equal(granted, 10); /* what a new one holds */
    for (granted = 0; retry_budget_spend(&budget, 0.2, now + 2000000); granted++) {
    }
    assert_int_equal(granted, 6); /* three a second in any case */
    /* 1,000 requests a second earn 200 retries a second; at most ten seconds of them are kept. */
    now += 2000000;
    for (unsigned i = 0; i < 5000; i++)
        retry_budget_earn(&budget, 0.2, now += 1000);
    for (granted = 0; retry_budget_spend(&budget, 0.2, now); granted++) {
    }
    assert_in_range(granted, 990, 1001);
    for (unsigned i = 0; i < 60000; i++)
        retry_budget_earn(&budget, 0.2, now += 1000);
    for (granted = 0; retry_budget_spend(&budget, 0.2, now); granted++) {
    }
    assert_in_range(granted, 1950, 2011);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_is_made_kept_and_used_again),
        cmocka_unit_test(connection_that_the_server_ended_is_not_used),
        cmocka_unit_test(idle_connections_end_in_time),
        cmocka_unit_test(refused_connects_take_a_server_down),
        cmocka_unit_test(refusals_far_apart_do_not_count),
        cmocka_unit_test(connects_that_hang_end_in_time),
        cmocka_unit_test(next_address_of_a_name_is_tried),
        cmocka_unit_test(servers_outlive_reloads),
        cmocka_unit_test(retry_budget_follows_requests_with_a_floor),
    };
    counters_thread_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
