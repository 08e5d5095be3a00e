/* Probes while memory is short: the n-th allocation fails, for every n until none is left to fail. Over the
 * real codec and sockets. */
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/socket.h"
#include "support/loop_run_for.h"
#include "support/no_memory.h"
#include "unit.h"
#include "upstream/health_probe.h"
#include "upstream/server.h"

static struct {
    struct loop *loop;
    struct server_set *set;
    struct pool_shared *shared;
    struct server *server;
    struct health_config config;
    int listening, accepted;
    unsigned told;
    enum probe_verdict verdict;
} bench;

static int begin(void **state)
{
    struct error error;
    struct address address;
    (void)state;
    bench.accepted = -1;
    assert_true(address_parse(&address, "127.0.0.1:0", &error));
    bench.listening = socket_listen(&address, 16, 0, &error);
    assert_true(bench.listening >= 0);
    address.length = sizeof address.socket;
    assert_int_equal(getsockname(bench.listening, &address.socket.any, &address.length), 0);
    bench.loop = loop_new();
    bench.set = server_set_new();
    bench.shared = server_set_take_pool(bench.set, "api");
    bench.server = server_set_take(bench.set, bench.shared, "s", "s", &address, 1);
    bench.config = (struct health_config){
        .type = PROBE_HTTP, .path = "/", .method = "GET", .interval = 30000, .timeout = 30000};
    return 0;
}

static int end(void **state)
{
    (void)state;
    no_memory_at(0);
    server_release(bench.server);
    pool_shared_release(bench.shared);
    server_set_free(bench.set);
    loop_free(bench.loop);
    close(bench.listening);
    return 0;
}

static void done(void *owner, enum probe_verdict verdict, const char *why)
{
    (void)owner;
    (void)why;
    bench.told++;
    bench.verdict = verdict;
}

/* A server that is well: it answers whoever comes. */
static void server_answers(void)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    char request[1024];
    if (bench.accepted < 0)
        bench.accepted = accept4(bench.listening, NULL, NULL, SOCK_NONBLOCK);
    if (bench.accepted >= 0 && recv(bench.accepted, request, sizeof request, 0) > 0)
        (void)!send(bench.accepted, answer, sizeof answer - 1, MSG_NOSIGNAL);
}

static bool is_told(void)
{
    server_answers();
    return bench.told != 0;
}

/* Allocation n of a probe fails; false: it has no n-th one. */
static bool probe_fails_at(unsigned n)
{
    bench.told = 0;
    no_memory_at(n);
    assert_non_null(
        health_probe_start(bench.loop, &bench.config, bench.server, POOL_HTTP_1, NULL, done, NULL));
    assert_int_equal(bench.told, 0); /* later */
    RUN_UNTIL(bench.loop, is_told());
    bool came = no_memory_came();
    for (unsigned i = 0; i < 5; i++) /* its connection ends */
        loop_turn(bench.loop);
    assert_int_equal(bench.told, 1); /* once */
    if (bench.accepted >= 0)
        close(bench.accepted);
    else if ((bench.accepted = accept4(bench.listening, NULL, NULL, SOCK_NONBLOCK)) >= 0)
        close(bench.accepted); /* it was connected, and has gone */
    bench.accepted = -1;
    return came;
}

/* The server is well, and must not be taken for down. */
static void a_probe_without_memory_says_nothing_of_the_server(void **state)
{
    (void)state;
    unsigned n = 1;
    for (unsigned i = 0; i < 3; i++) /* what is kept for the next */
        assert_false(probe_fails_at(10000));
    size_t before = no_memory_pieces();
    while (probe_fails_at(n)) {
        if (bench.verdict != PROBE_NOT_MADE && bench.verdict != PROBE_PASSED)
            fail_msg("allocation %u failed, and the verdict is %d", n, (int)bench.verdict);
        size_t after = no_memory_pieces();
        if (after > before)
            fail_msg("allocation %u failed, and %zu pieces are still held", n, after - before);
        assert_int_equal(atomic_load(&bench.server->references), 1);
        n++;
    }
    assert_true(n > 3);
    assert_int_equal(bench.verdict, PROBE_PASSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_probe_without_memory_says_nothing_of_the_server, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
