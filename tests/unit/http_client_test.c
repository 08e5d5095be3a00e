/* HTTP/1 towards servers: requests out, responses in; what is invalid, cut, stale, kept or not kept. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/block.h"
#include "http/failure.h"
#include "http/h1.h"
#include "net/transport.h"
#include "support/http_bench.h"
#include "unit.h"

#define OK5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define CHUNKS "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static struct http_bench bench;

static int begin(void **state)
{
    (void)state;
    http_bench_begin(&bench, HTTP_CLIENT);
    return 0;
}

static int end(void **state)
{
    (void)state;
    http_bench_end(&bench);
    assert_int_equal(block_pool_out(), 0);
    return 0;
}

static void again(void)
{
    http_bench_again(&bench, HTTP_CLIENT);
}

/* A whole request without a body has left. */
static void ask(const char *method)
{
    call_request(&bench, method, 0, true);
    http_bench_turns(&bench, 3);
    (void)peer_reads(&bench);
}

static bool log_ends_with(const char *tail)
{
    size_t length = strlen(tail);
    return bench.log.length >= length && memcmp(bench.log.at + bench.log.length - length, tail, length) == 0;
}

static void framing_of_requests(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        int64_t length;
        const char *output;
    } cases[] = {
        {"GET", 0, "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"},
        {"POST", 0, "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n"},
        {"FOO", 0, "FOO /x HTTP/1.1\r\nHost: a.test\r\n\r\n"},
        {"PUT", -1, "PUT /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        call_request(&bench, cases[i].method, cases[i].length, true);
        assert_false(bench.stream->any_sent);
        http_bench_turns(&bench, 3);
        expect_output(&bench, cases[i].output);
        assert_true(bench.stream->any_sent);
        assert_true(bench.stream->request_sent);
        assert_int_equal(bench.stream->reused, i != 0);
        peer_sends(&bench, OK5);
        expect_events(&bench, "head:200 body:hello:last closed:none idle");
        assert_int_equal(http_conn_room(bench.conn), 1);
    }
    call_request(&bench, "POST", 5, false);
    call_body(&bench, "hel", false);
    http_bench_turns(&bench, 3);
    assert_false(bench.stream->request_sent);
    assert_int_equal(http_conn_room(bench.conn), 0);
    call_body(&bench, "lo", true);
    http_bench_turns(&bench, 3);
    assert_true(bench.stream->request_sent);
    expect_output(&bench, "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    expect_events(&bench, "sent:3 sent:2");
    peer_sends(&bench, OK5);
    call_request(&bench, "POST", -1, false);
    call_body(&bench, "hello", false);
    call_trailers(&bench, "X-T", "v");
    http_bench_turns(&bench, 3);
    expect_output(
        &bench,
        "POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: v\r\n\r\n");
    peer_sends(&bench, OK5);
    bench.log.length = 0;
}

static void responses_at_every_split(void **state)
{
    (void)state;
    static const struct {
        const char *method, *raw;
        size_t body;
        const char *last; /* of the events */
    } cases[] = {
        {"GET", OK5, 5, ":last closed:none idle"},
        {"GET", CHUNKS "5;x\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n", 8, ":last closed:none idle"},
        {"GET", CHUNKS "0\r\nX-T: v\r\nContent-Length: 3\r\n\r\n", 0, "trailers:X-T:v closed:none idle"},
        {"GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK5, 5,
         ":last closed:none idle"},
        /* what old servers do, and harms nobody: an empty line, padded sizes, a blank before the colon */
        {"GET", "\r\n" OK5, 5, ":last closed:none idle"},
        {"GET", "\r\nHTTP/1.1 103 Early Hints\r\n\r\n\r\n" OK5, 5, ":last closed:none idle"},
        {"GET", CHUNKS "5  \r\nhello\r\n  3\t;x\r\nabc\r\n 0   \r\n\r\n", 8, ":last closed:none idle"},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Length \t: 5\r\nX :y\r\n\r\nhello", 5, ":last closed:none idle"},
        {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\nX-T : v\r\n\r\n", 0,
         "trailers:X-T:v closed:none idle"},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", 0, "head:200:last closed:none idle"},
        {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0,
         "head:200:last closed:none idle"},
        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 0,
         "head:304:last closed:none idle"},
        {"GET", "HTTP/1.1 204 No Content\r\n\r\n", 0, "head:204:last closed:none idle"},
        {"GET", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello", 5,
         ":last closed:none idle"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t length = strlen(cases[i].raw);
        for (size_t split = 1; split <= length; split++) {
            ask(cases[i].method);
            peer_sends_bytes(&bench, cases[i].raw, split);
            peer_sends_bytes(&bench, cases[i].raw + split, length - split);
            if (!log_ends_with(cases[i].last))
                fail_msg("%s split at %zu: %.*s", cases[i].raw, split, (int)bench.log.length, bench.log.at);
            assert_int_equal(bench.body_bytes, cases[i].body);
            bench.log.length = bench.body_bytes = 0;
        }
    }
}

static void connections_that_are_not_kept(void **state)
{
    (void)state;
    static const struct {
        const char *method, *raw, *events;
    } cases[] = {
        {"GET", "HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 5\r\n\r\nhello",
         "head:200 body:hello:last closed:none end"},
        {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
         "head:200 body:hello:last closed:none end"},
        /* Bytes behind a response are never the next one. */
        {"GET", OK5 "EXTRA", "head:200 body:hello:last closed:none end"},
        {"GET", OK5 OK5, "head:200 body:hello:last closed:none end"},
        {"HEAD", OK5, "head:200:last closed:none end"},
        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
         "head:304:last closed:none end"},
        {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "head:204:last closed:none end"},
        {"GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
         "head:204:last closed:none end"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ask(cases[i].method);
        peer_sends(&bench, cases[i].raw);
        expect_events(&bench, cases[i].events);
        again();
    }
    /* Nor are bytes that nobody asked for, nor an end. */
    ask("GET");
    peer_sends(&bench, OK5);
    bench.log.length = 0;
    peer_sends(&bench, OK5);
    expect_events(&bench, "end");
    again();
    ask("GET");
    peer_sends(&bench, OK5);
    bench.log.length = 0;
    peer_ends(&bench);
    expect_events(&bench, "end");
}

/* What a server says to an idle connection is never the response to the request that was about to go. */
static void bytes_before_the_request_are_no_response(void **state)
{
    (void)state;
    ask("GET");
    peer_sends(&bench, OK5);
    bench.log.length = 0;
    assert_int_equal(send(bench.peer, OK5, sizeof OK5 - 1, 0), sizeof OK5 - 1);
    call_request(&bench, "GET", 0, true); /* queued; it leaves after the socket was read */
    http_bench_turns(&bench, 3);
    expect_events(&bench, "closed:server_stale end");
    again();
    assert_int_equal(send(bench.peer, OK5, sizeof OK5 - 1, 0), sizeof OK5 - 1);
    call_request(&bench, "GET", 0, true);
    http_bench_turns(&bench, 3);
    expect_events(&bench, "closed:response_invalid end");
}

static void invalid_responses(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "GARBAGE\r\n\r\n",
        "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", /* one empty line is borne with */
        "\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 200 OK\nX: y\n\n",
        "HTTP/1.1 200 OK\r\nX y: z\r\n\r\n",
        "HTTP/1.1 200 OK\r\n X: z\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX \r\n\r\n",
        "HTTP/1.1 200 OK\r\n : z\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ask("GET");
        peer_sends(&bench, cases[i]);
        expect_events(&bench, "closed:response_invalid end");
        again();
    }
    /* An upgrade that was not asked for. */
    ask("GET");
    peer_sends(&bench, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    expect_events(&bench, "closed:upgrade_invalid end");
    again();
    /* In the middle of a body: cut. */
    static const char *const bodies[] = {
        "5\r\nhelloXX",        "zz\r\n",       "8000000000000000\r\n",        "5\nhello",
        "0\r\nX y: z\r\n\r\n", "5 5\r\nhello", "                 5\r\nhello", "\r\n5\r\nhello"};
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        ask("GET");
        peer_sends(&bench, CHUNKS "3\r\nabc\r\n");
        expect_events(&bench, "head:200 body:abc");
        peer_sends(&bench, bodies[i]);
        struct span log = text_span(&bench.log);
        assert_non_null(memmem(log.at, log.length, "closed:response_cut end", 23));
        again();
    }
    /* Too large, and without an end. */
    ask("GET");
    peer_sends(&bench, "HTTP/1.1 200 OK\r\nX: ");
    char *flood = malloc(100000);
    memset(flood, 'a', 100000);
    peer_sends_bytes(&bench, flood, 100000);
    expect_events(&bench, "closed:response_too_large end");
    again();
    ask("GET");
    for (unsigned i = 0; i < 1000 && bench.conn != NULL; i++)
        peer_sends(&bench, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    struct span log = text_span(&bench.log);
    assert_non_null(memmem(log.at, log.length, "closed:response_invalid end", 27));
    free(flood);
}

static void ends_of_connections(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *events;
    } cases[] = {
        {"", "closed:server_closed end"},
        {"HTT", "closed:response_cut end"},
        {"HTTP/1.1 200 OK\r\nContent-Le", "closed:response_cut end"},
        {"SSH-2.0-what\r\n", "closed:response_invalid end"},
        {"HTTP/1.1 103 Early Hints\r\n\r\n", "head:103 closed:response_cut end"},
        {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 2", "head:103 closed:response_cut end"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "head:200 body:hel closed:response_cut end"},
        {CHUNKS "5\r\nhello\r\n", "head:200 body:hello closed:response_cut end"},
        {CHUNKS "5\r\nhello\r\n0\r\n", "head:200 body:hello closed:response_cut end"},
        {"HTTP/1.1 200 OK\r\n\r\nhello", "head:200 body:hello body::last closed:none end"},
        {"HTTP/1.1 200 OK\r\n\r\n", "head:200 body::last closed:none end"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ask("GET");
        peer_sends(&bench, cases[i].raw);
        peer_ends(&bench);
        expect_events(&bench, cases[i].events);
        again();
    }
    /* Wherever it ends. */
    static const char whole[] = CHUNKS "5;x=y\r\nhello\r\n0\r\nX-T: v\r\nX-U: w\r\n\r\n";
    for (size_t cut = sizeof CHUNKS - 1; cut < sizeof whole - 1; cut++) {
        ask("GET");
        peer_sends_bytes(&bench, whole, cut);
        peer_ends(&bench);
        if (!log_ends_with("closed:response_cut end"))
            fail_msg("cut after %zu bytes: %.*s", cut, (int)bench.log.length, bench.log.at);
        bench.log.length = 0;
        again();
    }
    /* Both at once, as the kernel likes it. */
    ask("GET");
    assert_int_equal(send(bench.peer, OK5, sizeof OK5 - 1, 0), sizeof OK5 - 1);
    peer_ends(&bench);
    expect_events(&bench, "head:200 body:hello:last closed:none idle end");
    again();
    /* A kept connection that dies without a byte was stale: the server can't be blamed. */
    ask("GET");
    peer_sends(&bench, OK5);
    bench.log.length = 0;
    ask("POST");
    peer_ends(&bench);
    expect_events(&bench, "closed:server_stale end");
}

/* Whatever the owner does: a server never waits for a body that does not come, nor gets one that it takes for
 * the next request. */
static void what_is_announced_is_sent(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        int64_t length;
        const char *body; /* NULL: the head ends the message */
        bool last, trailers;
    } cases[] = {
        {"POST", 38, NULL, true, false},  {"GET", 38, NULL, true, false},
        {"POST", 5, "hell", true, false}, {"POST", 5, "hello!", false, false},
        {"POST", 5, "hell", false, true}, {"POST", 0, "x", false, false},
        {"GET", 0, "GET ", false, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        call_request(&bench, cases[i].method, cases[i].length, cases[i].body == NULL);
        if (cases[i].body != NULL)
            call_body(&bench, cases[i].body, cases[i].last);
        if (cases[i].trailers)
            call_trailers(&bench, "X-T", "v");
        http_bench_turns(&bench, 3);
        expect_output(&bench, "<end>");
        expect_events(&bench, "closed:internal end");
        again();
    }
    /* Half of it has left already: then the connection is gone. */
    call_request(&bench, "POST", 5, false);
    call_body(&bench, "hell", false);
    http_bench_turns(&bench, 3);
    call_body(&bench, "", true);
    http_bench_turns(&bench, 3);
    expect_output(&bench, "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhell<end>");
    expect_events(&bench, "sent:4 closed:internal end");
}

/* POST /x that asks for an upgrade; a part of its body, or all of it. */
static void ask_upgrade(int64_t length, const char *body, bool last)
{
    struct head head = {.body_length = length, .length_given = true, .upgrade = SPAN("tcp")};
    head.line.request.method_name = SPAN("POST");
    head.line.request.method = METHOD_POST;
    head.line.request.authority = SPAN("a.test");
    head.line.request.path = SPAN("/x");
    http_bench_open(&bench);
    call_head(&bench, &head, body == NULL);
    if (body != NULL)
        call_body(&bench, body, last);
    http_bench_turns(&bench, 3);
    (void)peer_reads(&bench);
}

/* A server that takes no upgrade may have left its body unread. */
static void refused_upgrades(void **state)
{
    (void)state;
    ask_upgrade(0, NULL, true);
    peer_sends(&bench, OK5);
    expect_events(&bench, "head:200 body:hello:last closed:none idle");
    ask_upgrade(3, "abc", true);
    peer_sends(&bench, OK5);
    expect_events(&bench, "sent:3 head:200 body:hello:last closed:none end");
    again();
    ask_upgrade(3, "ab", false); /* not in the middle of the request */
    peer_sends(&bench, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n");
    expect_events(&bench, "sent:2 closed:upgrade_invalid end");
}

static void early_responses(void **state)
{
    (void)state;
    call_request(&bench, "POST", 100, false);
    call_body(&bench, "hello", false);
    http_bench_turns(&bench, 3);
    peer_sends(&bench, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
    /* Delivered; the request was not sent whole, so nothing can follow on this connection. */
    expect_events(&bench, "sent:5 head:413 body:big:last closed:none end");
}

static void backpressure(void **state)
{
    (void)state;
    static char text[300000];
    memset(text, 'x', sizeof text);
    bench.hold = true;
    bench.window = 20000;
    ask("GET");
    peer_sends(&bench, "HTTP/1.1 200 OK\r\n\r\n");
    size_t sent = 0, credited = 0;
    while (credited < sizeof text) {
        while (sent < sizeof text) {
            ssize_t part = send(bench.peer, text + sent, sizeof text - sent, MSG_DONTWAIT);
            if (part < 0)
                break;
            sent += (size_t)part;
        }
        http_bench_turns(&bench, 3);
        assert_in_range(bench.body_bytes - credited, 1, 20000);
        size_t before = bench.body_bytes;
        call_credit(&bench, before - credited);
        credited = before;
        http_bench_turns(&bench, 3);
    }
    peer_ends(&bench);
    struct span log = text_span(&bench.log);
    assert_non_null(memmem(log.at, log.length, "body::last closed:none end", 26));
    bench.log.length = 0;
}

/* A whole response and the end are there, but the owner takes no more for now: it gets all of it. */
static void an_end_behind_a_full_window(void **state)
{
    (void)state;
    bench.hold = true;
    bench.window = 4;
    ask("GET");
    assert_int_equal(send(bench.peer, "HTTP/1.1 200 OK\r\n\r\n1234567890", 29, 0), 29);
    shutdown(bench.peer, SHUT_WR);
    http_bench_turns(&bench, 5);
    expect_events(&bench, "head:200 body:1234");
    call_credit(&bench, 4);
    http_bench_turns(&bench, 5);
    call_credit(&bench, 4);
    http_bench_turns(&bench, 5);
    expect_events(&bench, "body:5678 body:90 body::last closed:none end");
}

static void resets(void **state)
{
    (void)state;
    ask("GET");
    call_reset(&bench, FAILURE_RESPONSE_TIMEOUT);
    call_reset(&bench, FAILURE_INTERNAL);
    http_bench_turns(&bench, 3);
    expect_events(&bench, "closed:response_timeout end");
    again();
    ask("GET");
    http_conn_close(bench.conn);
    http_bench_turns(&bench, 3);
    struct span log = text_span(&bench.log);
    assert_true(span_starts(log, SPAN("closed:")));
    bench.log.length = 0;
}

static void keep_alive_hints(void **state)
{
    (void)state;
    ask("GET");
    peer_sends(&bench, OK5);
    assert_int_equal(http_conn_keep_alive_hint(bench.conn), -1);
    ask("GET");
    peer_sends(&bench, "HTTP/1.1 200 OK\r\nKeep-Alive: max=5, Timeout=7\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(http_conn_keep_alive_hint(bench.conn), 7);
    bench.log.length = 0;
}

static void tunnels(void **state)
{
    (void)state;
    struct head head = {.body_length = 0, .upgrade = SPAN("websocket")};
    head.line.request.method_name = SPAN("GET");
    head.line.request.method = METHOD_GET;
    head.line.request.authority = SPAN("a.test");
    head.line.request.path = SPAN("/ws");
    http_bench_open(&bench);
    call_head(&bench, &head, true);
    http_bench_turns(&bench, 3);
    expect_output(&bench,
                  "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    peer_sends(&bench,
               "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nearly");
    expect_events(&bench, "head:101 body:early");
    call_body(&bench, "up", false);
    http_bench_turns(&bench, 3);
    expect_output(&bench, "up");
    call_body(&bench, "", true);
    http_bench_turns(&bench, 3);
    expect_output(&bench, "<end>");
    peer_sends(&bench, "HTTP/1.1 200 OK\r\n\r\n");
    expect_events(&bench, "sent:2 body:HTTP/1.1 200 OK\\x0d\\x0a\\x0d\\x0a");
    peer_ends(&bench);
    expect_events(&bench, "body::last closed:none end");
}

static void an_upgrade_that_is_answered_otherwise(void **state)
{
    (void)state;
    struct head head = {.body_length = 0, .upgrade = SPAN("websocket")};
    head.line.request.method_name = SPAN("GET");
    head.line.request.method = METHOD_GET;
    head.line.request.path = SPAN("/ws");
    http_bench_open(&bench);
    call_head(&bench, &head, true);
    http_bench_turns(&bench, 3);
    peer_sends(&bench, OK5);
    expect_events(&bench, "head:200 body:hello:last closed:none idle");
}

/* ---- what has left of a request whose connection fails ---- */

/* One write: as many bytes as it tells of, as many that it does not, and how it goes on. */
static struct write_plan {
    size_t told, ahead;
    enum transport_step step;
} plan;

static enum transport_step planned_write(struct transport *transport, const struct iovec *vectors, int count,
                                         size_t *sent)
{
    (void)vectors;
    assert_true(count > 0);
    *sent = plan.told;
    transport->error = plan.step == TRANSPORT_FAILED ? EPIPE : 0;
    return plan.step;
}

static size_t planned_ahead(const struct transport *transport)
{
    (void)transport;
    return plan.ahead;
}

/* Whether a request may go to another server hangs on it: a byte that has left counts, though the write
 * failed behind it, or it left in a record of several of which none is told of yet (TLS). */
static void what_left_of_a_connection_that_fails(void **state)
{
    (void)state;
    static const struct {
        struct write_plan plan;
        bool any_sent;
    } rows[] = {
        {{0, 0, TRANSPORT_FAILED}, false},     {{1, 0, TRANSPORT_FAILED}, true},
        {{0, 1, TRANSPORT_FAILED}, true},      {{0, 0, TRANSPORT_WANTS_WRITE}, false},
        {{1, 0, TRANSPORT_WANTS_WRITE}, true}, {{0, 1, TRANSPORT_WANTS_WRITE}, true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        again();
        struct transport *transport = CONTAINER_OF(bench.conn, struct h1_conn, conn)->transport;
        struct transport_kind kind = *transport->kind;
        kind.write = planned_write;
        kind.ahead = planned_ahead;
        transport->kind = &kind;
        plan = rows[i].plan;
        call_request(&bench, "POST", 0, true);
        http_bench_turns(&bench, 3);
        if (bench.conn != NULL)
            peer_ends(&bench);
        expect_events(&bench, "closed:server_closed end");
        assert_int_equal(bench.any_sent, rows[i].any_sent);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(framing_of_requests),
        TEST(responses_at_every_split),
        TEST(connections_that_are_not_kept),
        TEST(bytes_before_the_request_are_no_response),
        TEST(invalid_responses),
        TEST(ends_of_connections),
        TEST(what_is_announced_is_sent),
        TEST(refused_upgrades),
        TEST(early_responses),
        TEST(backpressure),
        TEST(an_end_behind_a_full_window),
        TEST(resets),
        TEST(what_left_of_a_connection_that_fails),
        TEST(keep_alive_hints),
        TEST(tunnels),
        TEST(an_upgrade_that_is_answered_otherwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
