/* Kept connections over the real codec: what servers say and do decides whether the next request finds one.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/counters.h"
#include "config/config.h"
#include "http/head.h"
#include "http/http_conn.h"
#include "http/stream.h"
#include "net/loop.h"
#include "net/socket.h"
#include "support/loop_run_for.h"
#include "unit.h"
#include "upstream/balance.h"
#include "upstream/pool.h"
#include "upstream/upstream.h"

static const struct limits_config limits = {.request_head = 16384,
                                            .request_line = 8192,
                                            .fields = 100,
                                            .response_head = 32768,
                                            .window = 65536,
                                            .interim_responses = 8};
static const struct timeouts_config timeouts = {.keep_alive = 60000, .write = 30000, .linger = 2000};
static const struct http_settings settings = {.limits = &limits, .timeouts = &timeouts};

struct bench {
    struct loop *loop;
    struct upstreams *upstreams;
    struct server_set *set;
    struct pool_config config;
    struct pool_server member;
    struct pool pool;
    int listening;
    struct upstream_waiter waiter;
    struct arena *arena;
    unsigned status;
    enum failure closed;
    bool open;
};

static void bench_run(struct bench *bench, unsigned milliseconds)
{
    loop_run_for(bench->loop, milliseconds);
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
    bench->config = (struct pool_config){
        .name = "api", .connect_timeout = 200, .idle_timeout = 4000, .idle_connections = 8};
    bench->loop = loop_new();
    bench->set = server_set_new();
    bench->upstreams = upstreams_new(bench->loop, 0, NULL, &settings);
    bench->pool =
        (struct pool){.config = &bench->config, .name = "api", .servers = &bench->member, .servers_count = 1};
    bench->pool.shared = server_set_take_pool(bench->set, "api");
    bench->pool.balancer = balancers[BALANCE_LEAST_CONN];
    bench->member = (struct pool_server){
        .server = server_set_take(bench->set, bench->pool.shared, "s", "s", &address, 1), .weight = 1};
    assert_true(bench->pool.balancer->prepare(&bench->pool, &bench->pool.plan, NULL));
}

static void bench_end(struct bench *bench)
{
    upstreams_free(bench->upstreams);
    bench->pool.balancer->dispose(bench->pool.plan);
    assert_int_equal(bench->member.server->in_flight, 0);
    server_release(bench->member.server);
    pool_shared_release(bench->pool.shared);
    server_set_free(bench->set);
    loop_free(bench->loop);
    close(bench->listening);
    arena_free(bench->arena);
}

static void on_head(struct stream *stream, struct head *head, bool last)
{
    struct bench *bench = stream->owner;
    (void)last;
    bench->status = head->line.response.status;
}

static void on_body(struct stream *stream, struct buf *bytes, bool last)
{
    size_t length = bytes->length;
    (void)last;
    buf_clear(bytes);
    stream->ops->credit(stream, length);
}

static void on_sent(struct stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void on_closed(struct stream *stream, enum failure why)
{
    struct bench *bench = stream->owner;
    bench->open = false;
    bench->closed = why;
    upstream_done(bench->upstreams, &bench->waiter, why);
}

static const struct stream_events events = {
    .head = on_head, .body = on_body, .sent = on_sent, .closed = on_closed};

static void on_ready(struct upstream_waiter *waiter, struct stream *stream)
{
    struct bench *bench = CONTAINER_OF(waiter, struct bench, waiter);
    struct head head = {.body_length = BODY_NONE};
    head.line.request.method = METHOD_GET;
    head.line.request.method_name = SPAN("GET");
    head.line.request.authority = SPAN("s");
    head.line.request.path = SPAN("/");
    bench->open = true;
    stream->events = &events;
    stream->owner = bench;
    stream->arena = bench->arena;
    stream->window = 65536;
    stream->ops->send_head(stream, &head, true);
}

static void on_failed(struct upstream_waiter *waiter, enum failure why)
{
    (void)waiter;
    fail_msg("no connection: %s", failure_info[why].word);
}

/* Sends one request; the server's side answers it with this text on `fd`, which is accepted when it is -1. */
static void request(struct bench *bench, int *fd, const char *answer)
{
    char text[1024];
    arena_free(bench->arena);
    bench->arena = arena_new(1 << 17);
    bench->waiter = (struct upstream_waiter){.ready = on_ready, .failed = on_failed, .pool = &bench->pool};
    upstream_open(bench->upstreams, &bench->waiter);
    bench_run(bench, 8);
    assert_true(bench->open);
    if (*fd < 0)
        *fd = accept(bench->listening, NULL, NULL);
    assert_true(recv(*fd, text, sizeof text, 0) > 0);
    assert_int_equal(send(*fd, answer, strlen(answer), 0), strlen(answer));
    if (*answer == '\0') {
        close(*fd);
        *fd = -1;
    }
    bench_run(bench, 8);
    assert_false(bench->open);
}

static int64_t idle(void)
{
    return counter_cells->value[COUNTER_upstream_idle];
}

static void answers_decide_whether_the_connection_is_kept(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    int fd = -1;
    request(&bench, &fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_int_equal(bench.closed, FAILURE_NONE);
    assert_int_equal(idle(), 1);
    request(&bench, &fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    assert_true(bench.waiter.reused);
    assert_int_equal(idle(), 1);
    request(&bench, &fd, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    assert_int_equal(bench.closed, FAILURE_NONE);
    assert_int_equal(idle(), 0);
    close(fd);
    fd = -1;
    request(&bench, &fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok+surplus");
    assert_int_equal(idle(), 0);
    close(fd);
    fd = -1;
    request(&bench, &fd, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(idle(), 0);
    close(fd);
    bench_end(&bench);
}

static void a_connection_that_dies_is_told_for_what_it_was(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    int fd = -1;
    request(&bench, &fd, "");
    assert_int_equal(bench.closed, FAILURE_SERVER_CLOSED);
    assert_int_equal(bench.member.server->failed, 1);
    request(&bench, &fd, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(idle(), 1);
    /* It dies under the second request: stale, which is not the server's failure. */
    request(&bench, &fd, "");
    assert_int_equal(bench.closed, FAILURE_SERVER_STALE);
    assert_int_equal(bench.member.server->failed, 1);
    /* It dies between two requests: nobody notices. */
    request(&bench, &fd, "HTTP/1.1 204 No Content\r\n\r\n");
    close(fd);
    fd = -1;
    request(&bench, &fd, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(bench.closed, FAILURE_NONE);
    assert_false(bench.waiter.reused);
    /* It speaks between two requests: what it says answers nothing. */
    assert_int_equal(send(fd, "HTTP/1.1 200 OK\r\n\r\n", 19, 0), 19);
    bench_run(&bench, 8);
    assert_int_equal(idle(), 0);
    close(fd);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_decide_whether_the_connection_is_kept),
        cmocka_unit_test(a_connection_that_dies_is_told_for_what_it_was),
    };
    counters_thread_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
