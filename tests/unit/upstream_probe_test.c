/* What probes ask and how they judge: a small server in a thread of its own answers each connection with one
 * scripted text. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/socket.h"
#include "unit.h"
#include "upstream/health_probe.h"
#include "upstream/server.h"

#define REQUEST_SIZE 2048

/* What the server does with its next connection. */
struct script {
    const char *head; /* sent as it is; NULL: nothing, and the connection is held */
    const char *rest; /* sent a little later, so that it comes in a piece of its own; NULL: nothing */
    size_t filling;   /* bytes of 'x' between the two */
    bool deaf;        /* closes before it has read anything */
};
struct bench {
    struct loop *loop;
    struct server_set *set;
    struct pool_shared *shared;
    struct server *server;
    struct health_config config;
    enum pool_protocol protocol;
    int listening;
    pthread_t thread;
    struct script script;
    char request[REQUEST_SIZE];
    struct deadline stop;
    unsigned told;
    bool passed;
    char why[200];
    enum probe_verdict verdict;
};

static void send_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        length -= (size_t)sent;
    }
}

static void *serve(void *argument)
{
    struct bench *bench = argument;
    struct pollfd ready = {.fd = bench->listening, .events = POLLIN};
    if (poll(&ready, 1, 2000) != 1)
        return NULL;
    int fd = accept(bench->listening, NULL, NULL);
    size_t length = 0;
    while (!bench->script.deaf && length < REQUEST_SIZE - 1 && strstr(bench->request, "\r\n\r\n") == NULL) {
        ssize_t got = recv(fd, bench->request + length, REQUEST_SIZE - 1 - length, 0);
        if (got <= 0)
            break;
        length += (size_t)got;
        bench->request[length] = '\0';
    }
    if (bench->script.head != NULL)
        send_all(fd, bench->script.head, strlen(bench->script.head));
    char filling[1024];
    memset(filling, 'x', sizeof filling);
    for (size_t sent = 0; sent < bench->script.filling; sent += sizeof filling)
        send_all(fd, filling, sizeof filling);
    if (bench->script.rest != NULL) {
        usleep(5000);
        send_all(fd, bench->script.rest, strlen(bench->script.rest));
    }
    if (!bench->script.deaf && bench->script.head == NULL) { /* held until the other side has gone */
        char byte;
        while (recv(fd, &byte, 1, 0) > 0) {
        }
    }
    close(fd);
    return NULL;
}

static void bench_begin(struct bench *bench)
{
    struct error error;
    struct address address;
    memset(bench, 0, sizeof *bench);
    assert_true(address_parse(&address, "127.0.0.1:0", &error));
    bench->listening = socket_listen(&address, 16, 0, &error);
    assert_true(bench->listening >= 0);
    address.length = sizeof address.socket;
    assert_int_equal(getsockname(bench->listening, &address.socket.any, &address.length), 0);
    bench->loop = loop_new();
    bench->set = server_set_new();
    bench->shared = server_set_take_pool(bench->set, "api");
    bench->server = server_set_take(bench->set, bench->shared, "s", "backend.example:81", &address, 1);
    bench->config = (struct health_config){
        .type = PROBE_HTTP, .path = "/healthz?full=1", .method = "GET", .interval = 2000, .timeout = 300};
}

static void bench_end(struct bench *bench)
{
    server_release(bench->server);
    pool_shared_release(bench->shared);
    server_set_free(bench->set);
    deadline_clear(&bench->stop);
    loop_free(bench->loop);
    close(bench->listening);
}

static void bench_stop(struct deadline *deadline)
{
    loop_stop(CONTAINER_OF(deadline, struct bench, stop)->loop);
}

static void probe_done(void *owner, enum probe_verdict verdict, const char *why)
{
    struct bench *bench = owner;
    bench->told++;
    bench->passed = verdict == PROBE_PASSED;
    bench->verdict = verdict;
    snprintf(bench->why, sizeof bench->why, "%s", why);
    deadline_set(&bench->stop, bench->loop, 20); /* time for the end of the connection */
}

/* NULL: passed. */
static const char *probe(struct bench *bench, struct script script)
{
    bench->script = script;
    bench->told = 0;
    memset(bench->request, 0, sizeof bench->request);
    bench->stop.passed = bench_stop;
    assert_int_equal(pthread_create(&bench->thread, NULL, serve, bench), 0);
    struct health_probe *probe = health_probe_start(bench->loop, &bench->config, bench->server,
                                                    bench->protocol, NULL, probe_done, bench);
    assert_non_null(probe);
    assert_int_equal(bench->told, 0);
    loop_run(bench->loop);
    pthread_join(bench->thread, NULL);
    assert_int_equal(bench->told, 1);
    return bench->passed ? NULL : bench->why;
}

static void the_request_is_as_configured(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    const struct script good = {.head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};
    assert_null(probe(&bench, good));
    assert_memory_equal(bench.request, "GET /healthz?full=1 HTTP/1.1\r\nHost: backend.example:81\r\n", 54);
    bench.config.host = "www.example";
    bench.config.method = "HEAD";
    bench.config.path = "/";
    assert_null(probe(&bench, (struct script){.head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"}));
    assert_memory_equal(bench.request, "HEAD / HTTP/1.1\r\nHost: www.example\r\n", 36);
    bench_end(&bench);
}

static void status_decides(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    assert_null(probe(&bench, (struct script){.head = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"}));
    assert_null(probe(&bench, (struct script){.head = "HTTP/1.1 204 No Content\r\n\r\n"}));
    assert_null(probe(&bench, (struct script){.head = "HTTP/1.1 103 Early Hints\r\n\r\n",
                                              .rest = "HTTP/1.0 200 OK\r\n\r\nuntil the end"}));
    assert_string_equal(
        probe(&bench, (struct script){.head = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"}), "status 503");
    assert_int_equal(bench.verdict, PROBE_SICK);
    assert_string_equal(
        probe(&bench, (struct script){.head = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"}), "status 404");
    assert_int_equal(bench.verdict, PROBE_FAILED); /* it may be asked the wrong question */
    const char *only[] = {"503"};
    bench.config.expect_status = (struct texts){1, only};
    assert_null(probe(&bench, (struct script){.head = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"}));
    assert_string_equal(
        probe(&bench, (struct script){.head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}), "status 200");
    assert_int_equal(bench.verdict, PROBE_FAILED);
    bench_end(&bench);
}

static void the_body_is_searched(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench.config.expect_body = "all systems go";
    assert_null(probe(
        &bench, (struct script){.head = "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n[all systems go]"}));
    assert_null(probe(&bench, (struct script){.head = "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nall sys",
                                              .rest = "tems go"}));
    assert_null(probe(
        &bench,
        (struct script){.head = "HTTP/1.1 200 OK\r\n\r\n", .filling = 40960, .rest = "all systems go"}));
    assert_string_equal(
        probe(&bench, (struct script){.head = "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nall systems no"}),
        "answer lacks the expected text");
    assert_string_equal(
        probe(&bench, (struct script){.head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}),
        "answer has no body");
    assert_int_equal(bench.verdict, PROBE_SICK);
    assert_string_equal(
        probe(&bench,
              (struct script){.head = "HTTP/1.1 200 OK\r\n\r\n", .filling = 81920, .rest = "all systems go"}),
        "answer lacks the expected text");
    assert_int_equal(bench.verdict, PROBE_SICK);
    bench_end(&bench);
}

static void servers_that_do_not_answer_fail(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    assert_string_equal(probe(&bench, (struct script){.deaf = true}),
                        failure_info[FAILURE_SERVER_CLOSED].text);
    assert_string_equal(probe(&bench, (struct script){.head = "SSH-2.0-what\r\n"}),
                        failure_info[FAILURE_RESPONSE_INVALID].text);
    bench.config.timeout = 60;
    assert_string_equal(probe(&bench, (struct script){.head = NULL}), "no answer in time");
    assert_int_equal(bench.verdict, PROBE_FAILED);
    bench_end(&bench);
}

static void a_probe_can_be_cancelled(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    struct health_probe *probe =
        health_probe_start(bench.loop, &bench.config, bench.server, POOL_HTTP_1, NULL, probe_done, &bench);
    bench.stop.passed = bench_stop;
    deadline_set(&bench.stop, bench.loop, 30);
    loop_run(bench.loop);
    health_probe_cancel(probe);
    deadline_set(&bench.stop, bench.loop, 30);
    loop_run(bench.loop);
    assert_int_equal(bench.told, 0);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_is_as_configured), cmocka_unit_test(status_decides),
        cmocka_unit_test(the_body_is_searched),         cmocka_unit_test(servers_that_do_not_answer_fail),
        cmocka_unit_test(a_probe_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
