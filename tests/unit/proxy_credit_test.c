/* A client whose request fails, or is answered early, is credited all that it has sent: else its codec, with
 * a whole window of bytes that nobody has, would stop reading. The exchange, its servers and the loop are
 * real. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "http/http_conn.h"
#include "net/socket.h"
#include "proxy/client_conn.h"
#include "proxy/exchange_run.h"
#include "proxy/exchange_state.h"
#include "proxy/worker.h"
#include "proxy_fixture.h"
#include "recording_stream.h"
#include "support/loop_run_for.h"

#define SERVER "127.21.12.5:21139"
#define FILE_OF(route)                                                                      \
    "listeners: [ { address: \"127.21.12.5:21130\" } ]\n"                                   \
    "access_log: false\nlimits: { window: 16KiB }\n"                                        \
    "pools: { p: { servers: [" SERVER "], retry: { attempts: 0 }, protocol: http/1.1 } }\n" \
    "routes: [ { pool: p" route " } ]\n"

struct bench {
    struct shared_state *shared;
    struct worker *worker;
    struct http_conn http; /* of the client: only its version is looked at */
    struct client_conn conn;
    struct recording_stream client;
    int listening, server; /* -1: none */
    size_t sent;           /* body bytes of the client */
};

static struct bench bench;

/* end() frees it. */
static void kept_for_end(struct snapshot *snapshot)
{
    (void)snapshot;
}

static void bench_begin(const char *yaml)
{
    bench = (struct bench){.listening = -1, .server = -1, .http = {.version = HTTP_1}};
    bench.shared = shared_state_new();
    struct snapshot *snapshot = fixture_snapshot(yaml, bench.shared);
    snapshot->last_release = kept_for_end;
    bench.worker = worker_new(0, snapshot);
    workers_introduce(&bench.worker, 1);
    snapshot_release(snapshot);
    bench.conn = (struct client_conn){.worker = bench.worker,
                                      .lease = lease_take(bench.worker),
                                      .site = &snapshot->sites[0],
                                      .http = &bench.http};
    upstream_owner_init(&bench.conn.owner);
    recording_begin(&bench.client);
    bench.client.stream.arena = arena_new(1 << 17);
    bench.client.stream.room = arena_get(bench.client.stream.arena, sizeof(struct exchange_run));
    assert_non_null(bench.client.stream.room);
    exchange_begin(&bench.conn, &bench.client.stream);
}

static int end(void **state)
{
    (void)state;
    struct snapshot *snapshot = bench.worker->lease->snapshot;
    bench.client.stream.events->closed(&bench.client.stream, FAILURE_NONE);
    RUN_UNTIL(bench.worker->loop, bench.conn.exchanges == 0);
    assert_int_equal(bench.conn.exchanges, 0);
    loop_turn(bench.worker->loop);
    upstream_owner_end(&bench.conn.owner);
    lease_release(bench.conn.lease);
    worker_free(bench.worker);
    snapshot_free(snapshot);
    shared_state_free(bench.shared);
    recording_end(&bench.client);
    if (bench.server >= 0)
        close(bench.server);
    if (bench.listening >= 0)
        close(bench.listening);
    assert_int_equal(block_pool_out(), 0);
    return 0;
}

static void server_listens(void)
{
    struct error error = {.text = ""};
    struct address address;
    int few = 4096; /* bytes that its socket takes */
    assert_true(address_parse(&address, SERVER, &error));
    bench.listening = socket_listen(&address, 16, 0, &error);
    if (bench.listening < 0)
        fail_msg("%s", error.text);
    assert_int_equal(setsockopt(bench.listening, SOL_SOCKET, SO_RCVBUF, &few, sizeof few), 0);
}

static void client_posts(const char *type)
{
    struct stream *stream = &bench.client.stream;
    struct head head = {.body_length = BODY_OF_UNKNOWN_LENGTH, .minor_version = 1};
    head.line.request.method = METHOD_POST;
    head.line.request.method_name = SPAN("POST");
    head.line.request.authority = SPAN("a.test");
    head.line.request.path = SPAN("/");
    assert_true(fields_add(&head.fields, stream->arena, field_names[FIELD_CONTENT_TYPE], span_of(type),
                           FIELD_CONTENT_TYPE));
    stream->events->head(stream, &head, false);
}

static void client_sends(const char *bytes, size_t length)
{
    struct stream *stream = &bench.client.stream;
    struct buf buf = buf_with(span_make(bytes, length));
    bench.sent += length;
    stream->events->body(stream, &buf, false);
    assert_true(buf_is_empty(&buf));
}

/* Half a window and more: it is not credited while it waits. */
static void client_fills_its_window(void)
{
    static char zeros[12288];
    memset(zeros, '0', sizeof zeros);
    client_sends(zeros, sizeof zeros);
    assert_int_equal(bench.client.credited, 0);
}

static bool client_was_answered(unsigned status)
{
    char head[32];
    snprintf(head, sizeof head, "head:%u", status);
    return bench.client.told.length != 0 && strstr(bench.client.told.at, head) != NULL;
}

static void expect_answer(unsigned status, enum failure why)
{
    const struct exchange_run *run = bench.client.stream.owner;
    RUN_UNTIL(bench.worker->loop, client_was_answered(status));
    if (!client_was_answered(status))
        fail_msg("no answer with %u, but: %s", status,
                 bench.client.told.length != 0 ? bench.client.told.at : "nothing");
    assert_string_equal(failure_info[run->exchange.failure].word, failure_info[why].word);
}

/* And so is what comes after the answer, more than would be credited while it waits. */
static void expect_all_is_credited(void)
{
    static const char more[16384];
    assert_int_equal(bench.client.credited, bench.sent);
    client_sends(more, sizeof more);
    assert_int_equal(bench.client.credited, bench.sent);
}

static void a_body_whose_server_cannot_be_reached_is_credited(void **state)
{
    (void)state;
    bench_begin(FILE_OF(""));
    client_posts("text/plain");
    client_fills_its_window();
    expect_answer(502, FAILURE_CONNECT_REFUSED);
    expect_all_is_credited();
}

static void a_body_that_is_too_large_is_credited(void **state)
{
    (void)state;
    bench_begin(FILE_OF(", body_limit: 12289B"));
    client_posts("text/plain");
    client_fills_its_window();
    client_sends("a", 1);
    assert_false(client_was_answered(413)); /* it is as large as may be */
    client_sends("b", 1);
    expect_answer(413, FAILURE_BODY_TOO_LARGE);
    expect_all_is_credited();
}

static void a_body_of_wrong_base64_is_credited(void **state)
{
    (void)state;
    bench_begin(FILE_OF(", grpc_web: true"));
    client_posts("application/grpc-web-text");
    client_fills_its_window();
    client_sends("**", 2);
    expect_answer(200, FAILURE_BAD_BODY); /* with a status of gRPC */
    expect_all_is_credited();
}

/* Until the server's socket takes no more. */
static void client_sends_until_it_is_held_up(void)
{
    static char zeros[12288];
    for (unsigned quiet = 0; quiet < 20;) {
        if (bench.client.credited == bench.sent) {
            client_sends(zeros, sizeof zeros);
            quiet = 0;
        }
        loop_turn(bench.worker->loop);
        quiet += bench.client.credited != bench.sent;
    }
}

static void a_body_is_credited_whose_server_answers_before_it_has_all(void **state)
{
    (void)state;
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    bench_begin(FILE_OF(""));
    server_listens();
    client_posts("text/plain");
    RUN_UNTIL(bench.worker->loop, (bench.server = accept4(bench.listening, NULL, NULL, SOCK_NONBLOCK)) >= 0);
    assert_true(bench.server >= 0);
    client_sends_until_it_is_held_up();
    assert_int_equal(send(bench.server, answer, sizeof answer - 1, MSG_NOSIGNAL), sizeof answer - 1);
    expect_answer(200, FAILURE_NONE);
    RUN_UNTIL(bench.worker->loop, bench.client.credited == bench.sent);
    expect_all_is_credited();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_body_whose_server_cannot_be_reached_is_credited, end),
        cmocka_unit_test_teardown(a_body_that_is_too_large_is_credited, end),
        cmocka_unit_test_teardown(a_body_of_wrong_base64_is_credited, end),
        cmocka_unit_test_teardown(a_body_is_credited_whose_server_answers_before_it_has_all, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
