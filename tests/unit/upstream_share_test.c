/* Connections that several requests share (HTTP/2), with the codec of fake_codec.h. */
#include <poll.h>
#include <unistd.h>

#include "support/fake_codec.h"
#include "support/no_tls.h"
#include "support/upstream_bench.h"
#include "tls/tls.h"
#include "unit.h"

static void bench_begin_http2(struct bench *bench, enum pool_protocol protocol)
{
    bench_begin(bench, 1, 0);
    fake_codec_streams = 100;
    bench->pool.protocol = protocol;
    if (protocol != POOL_H2C)
        bench->pool.tls = tls_client_new(NULL, 0, NULL, NULL);
}

static void say(struct bench *bench, int fd, char what)
{
    assert_int_equal(send(fd, &what, 1, 0), 1);
    bench_run(bench, 10);
}

static bool another_connects(struct bench *bench)
{
    struct pollfd listening = {.fd = bench->listening[0], .events = POLLIN};
    return poll(&listening, 1, 0) == 1;
}

static unsigned ready_count(const struct bench *bench)
{
    unsigned count = 0;
    for (unsigned i = 0; i < ASKS_MOST; i++)
        count += bench->askers[i].ready;
    return count;
}

/* So many ask at once; the connection that is made for them. */
static int bench_begin_asked(struct bench *bench, unsigned count)
{
    bench_begin_http2(bench, POOL_H2C);
    for (unsigned i = 0; i < count; i++)
        (void)ask(bench, i);
    bench_run(bench, 10);
    return serve(bench, 0);
}

static void many_at_once_make_one_connection(void **state)
{
    (void)state;
    struct bench bench;
    int fd = bench_begin_asked(&bench, 4);
    assert_false(another_connects(&bench));
    assert_int_equal(ready_count(&bench), 1); /* the others wait for SETTINGS */
    say(&bench, fd, 's');
    assert_int_equal(ready_count(&bench), 4);
    assert_false(bench.askers[3].waiter.reused);
    (void)ask(&bench, 4);
    bench_run(&bench, 10);
    assert_int_equal(ready_count(&bench), 5);
    assert_true(bench.askers[4].waiter.reused);
    assert_int_equal(bench.members[0].server->in_flight, 5);
    for (unsigned i = 0; i < 5; i++)
        answer(&bench, fd, 'k');
    assert_int_equal(counted(COUNTER_upstream_idle), 1);
    (void)ask(&bench, 5);
    bench_run(&bench, 10);
    assert_true(bench.askers[5].waiter.reused);
    assert_int_equal(counted(COUNTER_upstream_idle), 0);
    answer(&bench, fd, 'k');
    assert_false(another_connects(&bench));
    close(fd);
    bench_run(&bench, 10);
    assert_int_equal(counted(COUNTER_upstream_idle), 0);
    bench_end(&bench);
}

static void another_is_made_before_the_limit_is_passed(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin_http2(&bench, POOL_H2C);
    fake_codec_streams = 2;
    for (unsigned i = 0; i < 5; i++)
        (void)ask(&bench, i);
    bench_run(&bench, 10);
    int fd = serve(&bench, 0);
    say(&bench, fd, 's');
    assert_int_equal(ready_count(&bench), 3); /* two here, one as the first of the next */
    int next = serve(&bench, 0);
    assert_false(another_connects(&bench));
    say(&bench, next, 's');
    assert_int_equal(ready_count(&bench), 5);
    int last = serve(&bench, 0);
    say(&bench, last, 's');
    /* A stream ends, and the connection has room again. */
    answer(&bench, fd, 'k');
    for (unsigned i = 5; i < 7; i++)
        (void)ask(&bench, i);
    bench_run(&bench, 10);
    assert_int_equal(ready_count(&bench), 7);
    assert_false(another_connects(&bench));
    close(fd);
    close(next);
    close(last);
    bench_run(&bench, 10);
    bench_end(&bench);
}

static void goaway_ends_a_connection_with_its_last_stream(void **state)
{
    (void)state;
    struct bench bench;
    int fd = bench_begin_asked(&bench, 2);
    say(&bench, fd, 's');
    say(&bench, fd, 'g');
    (void)ask(&bench, 2);
    bench_run(&bench, 10);
    int next = serve(&bench, 0);
    assert_false(bench.askers[2].waiter.reused);
    answer(&bench, fd, 'k');
    assert_int_equal(bench.askers[0].done, 1);
    answer(&bench, fd, 'r');
    assert_int_equal(bench.askers[1].closed, FAILURE_STREAM_REFUSED);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0); /* and it is over */
    answer(&bench, next, 'k');
    /* Nobody is on it when it comes. */
    say(&bench, next, 'g');
    assert_int_equal(recv(next, &byte, 1, 0), 0);
    assert_int_equal(counted(COUNTER_upstream_idle), 0);
    close(fd);
    close(next);
    bench_run(&bench, 10);
    bench_end(&bench);
}

static void fresh_ones_share_what_is_new(void **state)
{
    (void)state;
    struct bench bench;
    int fd = bench_begin_asked(&bench, 1);
    say(&bench, fd, 's');
    for (unsigned i = 1; i < 3; i++)
        (void)ask(&bench, i);
    bench_run(&bench, 10);
    close(fd);
    bench_run(&bench, 10);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(bench.askers[i].closed, FAILURE_SERVER_CLOSED);
    for (unsigned i = 3; i < 6; i++)
        ask(&bench, i)->waiter.fresh = true;
    bench_run(&bench, 10);
    fd = serve(&bench, 0);
    say(&bench, fd, 's');
    assert_int_equal(ready_count(&bench), 6);
    assert_false(another_connects(&bench));
    (void)ask(&bench, 6);
    bench.askers[6].waiter.fresh = true; /* none was lost since */
    bench_run(&bench, 10);
    assert_int_equal(bench.askers[6].ready, 1);
    assert_false(another_connects(&bench));
    close(fd);
    bench_run(&bench, 10);
    bench_end(&bench);
}

static void each_gets_the_failure_but_it_counts_once(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin_http2(&bench, POOL_H2C);
    close(bench.listening[0]);
    bench.config.health = &bench.health;
    bench.members[0].server->probed = true;
    for (unsigned i = 0; i < 3; i++)
        (void)ask(&bench, i);
    bench_run(&bench, 10);
    unsigned failed = 0;
    for (unsigned i = 0; i < 3; i++)
        failed += bench.askers[i].failed;
    assert_int_equal(failed, 3);
    assert_true(server_is_up(bench.members[0].server)); /* one refusal */
    bench.listening[0] = -1;
    bench_end(&bench);
}

static void a_connection_that_dies_young_fails_who_waits(void **state)
{
    (void)state;
    struct bench bench;
    int fd = bench_begin_asked(&bench, 3);
    upstream_give_up(bench.upstreams, &bench.askers[2].waiter);
    close(fd);
    bench_run(&bench, 10);
    assert_int_equal(bench.askers[0].closed, FAILURE_SERVER_CLOSED);
    assert_int_equal(bench.askers[1].failure, FAILURE_CONNECT_FAILED);
    assert_int_equal(bench.askers[2].failed, 0);
    bench_end(&bench);
}

static void silence_instead_of_settings_is_not_waited_for(void **state)
{
    (void)state;
    struct bench bench;
    int fd = bench_begin_asked(&bench, 3);
    assert_int_equal(ready_count(&bench), 1);
    bench_run(&bench, 220); /* connect_timeout is 200 */
    assert_int_equal(ready_count(&bench), 3);
    close(fd);
    bench_run(&bench, 10);
    bench_end(&bench);
}

static void auto_goes_by_what_the_server_chooses(void **state)
{
    (void)state;
    struct bench bench;
    int fds[4];
    bench_begin_http2(&bench, POOL_AUTO);
    no_tls_alpn = "http/1.1";
    for (unsigned i = 0; i < 3; i++)
        (void)ask(&bench, i);
    bench_run(&bench, 10);
    assert_int_equal(ready_count(&bench), 3); /* each on a connection of its own */
    for (unsigned i = 0; i < 3; i++)
        fds[i] = serve(&bench, 0);
    assert_false(another_connects(&bench));
    for (unsigned i = 0; i < 3; i++)
        answer(&bench, fds[i], 'k');
    assert_int_equal(counted(COUNTER_upstream_idle), 3);
    upstreams_close_idle(bench.upstreams);
    no_tls_alpn = "h2";
    (void)ask(&bench, 0);
    bench_run(&bench, 10);
    fds[3] = serve(&bench, 0);
    say(&bench, fds[3], 's');
    for (unsigned i = 1; i < 3; i++)
        (void)ask(&bench, i);
    bench.askers[2].waiter.http1_only = true;
    bench_run(&bench, 10);
    assert_true(bench.askers[1].waiter.reused);
    assert_false(bench.askers[2].waiter.reused); /* a WebSocket has an HTTP/1.1 connection to itself */
    close(serve(&bench, 0));
    for (unsigned i = 0; i < 4; i++)
        close(fds[i]);
    bench_run(&bench, 10);
    no_tls_alpn = "";
    bench_end(&bench);
}

static void h2_is_not_spoken_with_who_did_not_choose_it(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin_http2(&bench, POOL_H2);
    no_tls_alpn = "";
    (void)ask(&bench, 0);
    bench_run(&bench, 10);
    assert_int_equal(bench.askers[0].failure, FAILURE_TLS_FAILED);
    close(serve(&bench, 0));
    no_tls_alpn = "h2";
    (void)ask(&bench, 0);
    bench_run(&bench, 10);
    assert_int_equal(bench.askers[0].ready, 1);
    close(serve(&bench, 0));
    bench_run(&bench, 10);
    no_tls_alpn = "";
    bench_end(&bench);
}

static void limits_and_reloads_end_shared_connections(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin_http2(&bench, POOL_H2C);
    bench.config.max_requests = 2;
    (void)ask(&bench, 0);
    bench_run(&bench, 10);
    int fd = serve(&bench, 0);
    say(&bench, fd, 's');
    for (unsigned i = 1; i < 3; i++)
        (void)ask(&bench, i);
    bench_run(&bench, 10);
    int next = serve(&bench, 0);
    assert_true(bench.askers[1].waiter.reused);
    assert_false(bench.askers[2].waiter.reused);
    answer(&bench, fd, 'k');
    answer(&bench, fd, 'k');
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    /* The pool speaks HTTP/1.1 from now on: the request that runs is not disturbed, its connection goes with
     * it. */
    struct pool after = bench.pool;
    struct pool *pools[] = {&after};
    after.protocol = POOL_HTTP_1;
    upstreams_keep_only(bench.upstreams, pools, 1);
    bench_run(&bench, 10);
    assert_int_equal(bench.askers[2].done, 0);
    answer(&bench, next, 'k');
    assert_int_equal(bench.askers[2].closed, FAILURE_NONE);
    assert_int_equal(recv(next, &byte, 1, 0), 0);
    assert_int_equal(counted(COUNTER_upstream_idle), 0);
    close(fd);
    close(next);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_at_once_make_one_connection),
        cmocka_unit_test(another_is_made_before_the_limit_is_passed),
        cmocka_unit_test(goaway_ends_a_connection_with_its_last_stream),
        cmocka_unit_test(fresh_ones_share_what_is_new),
        cmocka_unit_test(each_gets_the_failure_but_it_counts_once),
        cmocka_unit_test(a_connection_that_dies_young_fails_who_waits),
        cmocka_unit_test(silence_instead_of_settings_is_not_waited_for),
        cmocka_unit_test(auto_goes_by_what_the_server_chooses),
        cmocka_unit_test(h2_is_not_spoken_with_who_did_not_choose_it),
        cmocka_unit_test(limits_and_reloads_end_shared_connections),
    };
    counters_thread_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
