/* HTTP/1 towards clients: requests in, responses out, over a socket pair; what is refused, kept, closed, and
 * when. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/block.h"
#include "base/buf.h"
#include "http/failure.h"
#include "net/transport.h"
#include "support/http_bench.h"
#include "unit.h"

#define GET "GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define POST5 "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n"
#define CHUNKED "POST /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
#define OK2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define OK2_CLOSE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

static struct http_bench bench;

static int begin(void **state)
{
    (void)state;
    http_bench_begin(&bench, HTTP_SERVER);
    return 0;
}

static struct buf kept;

static int end(void **state)
{
    (void)state;
    buf_clear(&kept);
    http_bench_end(&bench);
    assert_int_equal(block_pool_out(), 0);
    return 0;
}

static void answer_ok(void)
{
    call_response(&bench, 200, 2, false);
    call_body(&bench, "ok", true);
    http_bench_turns(&bench, 3);
}

/* ---- requests ---- */

static void request_and_response_at_every_split(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *events;
    } cases[] = {
        {GET, "opened head:GET:/a:last"},
        {"\r\n" GET, "opened head:GET:/a:last"},
        {POST5 "hello", "opened head:POST:/p body"},
        {CHUNKED "5\r\nhello\r\n0\r\n\r\n", "opened head:POST:/p body"},
        {CHUNKED "5;x=y\r\nhello\r\n0\r\nX-T: v\r\nContent-Length: 9\r\n\r\n", "opened head:POST:/p body"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t length = strlen(cases[i].raw);
        for (size_t split = 1; split <= length; split++) {
            peer_sends_bytes(&bench, cases[i].raw, split);
            peer_sends_bytes(&bench, cases[i].raw + split, length - split);
            struct span got = text_span(&bench.log);
            assert_true(span_starts(got, span_of(cases[i].events)));
            assert_non_null(bench.stream);
            if (strstr(cases[i].raw, "hello") != NULL)
                assert_int_equal(bench.body_bytes, 5);
            if (strstr(cases[i].raw, "X-T") != NULL)
                assert_non_null(memmem(got.at, got.length, "trailers:X-T:v", 14));
            else if (strstr(cases[i].raw, "hello") != NULL)
                assert_non_null(memmem(got.at + got.length - 5, 5, ":last", 5));
            bench.log.length = bench.body_bytes = 0;
            answer_ok();
            expect_events(&bench, "sent:2 closed:none idle");
            expect_output(&bench, OK2);
        }
    }
}

static void a_drip_costs_one_block(void **state)
{
    (void)state;
    size_t before = block_pool_out();
    peer_sends(&bench, "GET /");
    for (unsigned i = 0; i < 100; i++)
        peer_sends(&bench, "a");
    assert_in_range(block_pool_out(), before, before + 1);
    peer_sends(&bench, " HTTP/1.1\r\nHost: a.test\r\n\r\n");
    call_response(&bench, 200, 0, true);
    http_bench_turns(&bench, 3);
    assert_int_equal(block_pool_out(), before);
}

/* A body that comes byte by byte and is kept by its owner shares blocks: else every byte would hold 16 KiB.
 */
static void keep_body(struct stream *stream, struct buf *bytes, bool last)
{
    (void)stream;
    (void)last;
    buf_move(&kept, bytes);
}

static void a_body_that_drips_shares_blocks(void **state)
{
    (void)state;
    peer_sends(&bench, CHUNKED);
    static struct stream_events events;
    events = *bench.stream->events;
    events.body = keep_body;
    bench.stream->events = &events;
    size_t before = block_pool_out();
    for (unsigned i = 0; i < 300; i++)
        peer_sends(&bench, "1\r\nx\r\n");
    assert_int_equal(kept.length, 300);
    assert_in_range(block_pool_out(), 0, before + 2);
    buf_clear(&kept);
    peer_sends(&bench, "0\r\n\r\n");
    bench.log.length = 0;
    answer_ok();
    expect_events(&bench, "sent:2 closed:none idle");
}

static unsigned deliveries;

static void count_body(struct stream *stream, struct buf *bytes, bool last)
{
    deliveries++;
    keep_body(stream, bytes, last);
}

static void keep_what_comes(struct http_bench *self)
{
    static struct stream_events events;
    events = *self->stream->events;
    events.body = count_body;
    self->stream->events = &events;
    self->stream->window = 20000;
    self->stream->window_grows = 1;
}

/* The second of two alike is read with its head, over several blocks, and told as it was read: not copied,
 * and in one piece, though so many blocks are out that the window does not grow. */
static void a_body_that_came_with_its_head(void **state)
{
    (void)state;
    static char raw[50100];
    struct block *held[128];
    int head = sprintf(raw, "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 50000\r\n\r\n");
    memset(raw + head, 'x', 50000);
    for (size_t i = 0; i < COUNT_OF(held); i++)
        assert_non_null(held[i] = block_take());
    bench.on_head = keep_what_comes;
    for (unsigned round = 0; round < 2; round++) {
        deliveries = 0;
        for (size_t sent = 0; sent < (size_t)head + 50000;) {
            ssize_t part = send(bench.peer, raw + sent, (size_t)head + 50000 - sent, MSG_DONTWAIT);
            assert_true(part > 0);
            sent += (size_t)part;
        }
        while (kept.length < 50000) {
            size_t before = kept.length;
            http_bench_turns(&bench, 3);
            assert_true(kept.length > before);
            call_credit(&bench, kept.length - before);
        }
        bench.log.length = 0;
        if (round == 1) {
            assert_int_equal(deliveries, 1);
            assert_ptr_equal(kept.first->at, kept.first->block->bytes + head);
            assert_int_equal(kept.first->length, BLOCK_ROOM - (size_t)head);
        }
        buf_clear(&kept);
        answer_ok();
        expect_events(&bench, "sent:2 closed:none idle");
    }
    for (size_t i = 0; i < COUNT_OF(held); i++)
        block_release(held[i]);
}

static void heads_over_several_blocks(void **state)
{
    (void)state;
    bench.limits.request_head = 60000;
    size_t length = 40000;
    char *raw = malloc(length + 200);
    size_t at = (size_t)sprintf(raw, "GET /a HTTP/1.1\r\nHost: a.test\r\n");
    while (at < length)
        at += (size_t)sprintf(raw + at, "X-%zu: %0900d\r\n", at, 7);
    at += (size_t)sprintf(raw + at, "\r\n" POST5 "hel");
    for (size_t piece = 1000; piece < at; piece += 9973) {
        peer_sends_bytes(&bench, raw, piece);
        peer_sends_bytes(&bench, raw + piece, at - piece);
        expect_events(&bench, "opened head:GET:/a:last");
        answer_ok();
        expect_events(&bench, "sent:2 closed:none idle opened head:POST:/p body:hel");
        peer_sends(&bench, "lo");
        expect_events(&bench, "body:lo:last");
        answer_ok();
        expect_events(&bench, "sent:2 closed:none idle");
        expect_output(&bench, OK2 OK2);
    }
    free(raw);
}

static void pipelined_requests_wait_their_turn(void **state)
{
    (void)state;
    peer_sends(&bench, GET POST5 "hello"
                                 "HEAD /h HTTP/1.1\r\nHost: a.test\r\n\r\n" GET);
    expect_events(&bench, "opened head:GET:/a:last");
    answer_ok();
    expect_events(&bench, "sent:2 closed:none idle opened head:POST:/p body:hello:last");
    answer_ok();
    expect_events(&bench, "sent:2 closed:none idle opened head:HEAD:/h:last");
    call_response(&bench, 200, 1234, true);
    http_bench_turns(&bench, 3);
    expect_events(&bench, "closed:none idle opened head:GET:/a:last");
    expect_output(&bench, OK2 OK2 "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    /* Ones that nobody reads yet stay in the socket: what is held is bounded. */
    unsigned waiting = 0;
    for (unsigned round = 0; round < 20; round++) {
        while (waiting < 30000 && send(bench.peer, GET, sizeof GET - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
            waiting++;
        http_bench_turns(&bench, 3);
    }
    assert_in_range(waiting, 100, 29999);
    assert_in_range(block_pool_out(), 1, 16);
    expect_events(&bench, "");
    answer_ok();
    expect_events(&bench, "sent:2 closed:none idle opened head:GET:/a:last");
    for (unsigned i = 0; i + 1 < waiting; i++) {
        answer_ok();
        (void)peer_reads(&bench);
        assert_non_null(bench.stream);
    }
    bench.log.length = 0;
}

/* ---- responses ---- */

static void framing_of_responses(void **state)
{
    (void)state;
    peer_sends(&bench, GET);
    call_response(&bench, 200, -1, false);
    call_body(&bench, "hello", false);
    http_bench_turns(&bench, 3);
    expect_output(&bench, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    call_body(&bench, "", false);
    call_body(&bench, "x", true);
    http_bench_turns(&bench, 3);
    expect_output(&bench, "1\r\nx\r\n0\r\n\r\n");
    expect_events(&bench, "opened head:GET:/a:last sent:5 sent:1 closed:none idle");
    peer_sends(&bench, GET);
    call_response(&bench, 200, -1, false);
    call_trailers(&bench, "X-T", "v");
    http_bench_turns(&bench, 3);
    expect_output(&bench, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: v\r\n\r\n");
    static const struct {
        unsigned status;
        int64_t length;
        const char *output;
    } without_body[] = {
        {204, 0, "HTTP/1.1 204 No Content\r\n\r\n"},
        {204, 5, "HTTP/1.1 204 No Content\r\n\r\n"},
        {304, -1, "HTTP/1.1 304 Not Modified\r\n\r\n"},
        {304, 7, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"},
        {200, 0, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
        {200, -1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
    };
    for (size_t i = 0; i < COUNT_OF(without_body); i++) {
        peer_sends(&bench, GET);
        call_response(&bench, without_body[i].status, without_body[i].length, true);
        http_bench_turns(&bench, 3);
        expect_output(&bench, without_body[i].output);
    }
    bench.log.length = 0;
}

static void interim_responses(void **state)
{
    (void)state;
    peer_sends(&bench,
               "POST /p HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    call_response(&bench, 100, 0, false);
    http_bench_turns(&bench, 3);
    expect_output(&bench, "HTTP/1.1 100 Continue\r\n\r\n");
    peer_sends(&bench, "hello");
    call_response(&bench, 103, 0, false);
    answer_ok();
    expect_output(&bench, "HTTP/1.1 103 Early Hints\r\n\r\n" OK2);
    expect_events(&bench, "opened head:POST:/p body:hello:last sent:2 closed:none idle");
    /* None to HTTP/1.0. */
    peer_sends(&bench, "GET /a HTTP/1.0\r\n\r\n");
    call_response(&bench, 103, 0, false);
    answer_ok();
    expect_output(&bench, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok<end>");
}

static void http_1_0(void **state)
{
    (void)state;
    peer_sends(&bench, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    answer_ok();
    expect_output(&bench, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok");
    expect_events(&bench, "opened head:GET:/a:last sent:2 closed:none idle");
    peer_sends(&bench, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    call_response(&bench, 200, -1, false); /* no chunks: the end of the connection ends it */
    call_body(&bench, "hello", false);
    call_body(&bench, "", true);
    http_bench_turns(&bench, 3);
    expect_output(&bench, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello<end>");
    http_bench_again(&bench, HTTP_SERVER);
    /* Cut short it must not look whole. */
    peer_sends(&bench, "GET /a HTTP/1.0\r\n\r\n");
    call_response(&bench, 200, -1, false);
    call_body(&bench, "hel", false);
    http_bench_turns(&bench, 3);
    call_reset(&bench, FAILURE_RESPONSE_CUT);
    http_bench_turns(&bench, 3);
    expect_events(&bench, "opened head:GET:/a:last sent:3 closed:response_cut");
    expect_output(&bench, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhel"); /* and no end */
    http_bench_wait(&bench, 50);
    expect_events(&bench, "end");
}

static void connection_close(void **state)
{
    (void)state;
    peer_sends(&bench, "GET /a HTTP/1.1\r\nHost: a.test\r\nConnection: foo, CLOSE\r\n\r\n" GET);
    answer_ok();
    http_bench_turns(&bench, 5);
    expect_output(&bench, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok<end>");
    close(bench.peer);
    bench.peer = -1;
    http_bench_turns(&bench, 5);
    expect_events(&bench, "opened head:GET:/a:last sent:2 closed:none end"); /* nothing more is read */

    http_bench_again(&bench, HTTP_SERVER);
    peer_sends(&bench, GET);
    struct head head = {.body_length = 0, .length_given = true, .close = true};
    head.line.response.status = 404;
    head.line.response.reason = SPAN("Not Found");
    call_head(&bench, &head, true);
    http_bench_turns(&bench, 3);
    expect_output(&bench, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>");

    bench.limits.keep_alive_requests = 2;
    http_bench_again(&bench, HTTP_SERVER);
    peer_sends(&bench, GET GET);
    answer_ok();
    answer_ok();
    expect_output(&bench, OK2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok<end>");
}

static void a_wrong_length_is_never_taken_for_whole(void **state)
{
    (void)state;
    peer_sends(&bench, GET);
    call_response(&bench, 200, 5, false);
    call_body(&bench, "hel", true);
    http_bench_turns(&bench, 3);
    expect_events(&bench, "opened head:GET:/a:last closed:internal end");
    http_bench_again(&bench, HTTP_SERVER);
    peer_sends(&bench, GET);
    call_response(&bench, 200, 5, false);
    call_body(&bench, "hello!", true);
    http_bench_turns(&bench, 3);
    expect_events(&bench, "opened head:GET:/a:last closed:internal end");
}

/* A client never waits for a body that does not come, nor gets one that it takes for the next response. */
static void what_is_announced_is_sent(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        int64_t length;
        const char *body; /* NULL: the head ends the message */
        bool last, trailers;
    } cases[] = {
        {GET, 5, NULL, true, false},
        {GET, 5, "hell", true, false},
        {GET, 5, "hello!", false, false},
        {GET, 5, "hell", false, true},
        {GET, 0, "HTTP", false, false},
        {"HEAD /a HTTP/1.1\r\nHost: a.test\r\n\r\n", 5, "hello", true, false},
        {"HEAD /a HTTP/1.1\r\nHost: a.test\r\n\r\n", -1, "hello", true, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        peer_sends(&bench, cases[i].request);
        bench.log.length = 0;
        call_response(&bench, 200, cases[i].length, cases[i].body == NULL);
        if (cases[i].body != NULL)
            call_body(&bench, cases[i].body, cases[i].last);
        if (cases[i].trailers)
            call_trailers(&bench, "X-T", "v");
        http_bench_turns(&bench, 3);
        expect_output(&bench, "<end>");
        expect_events(&bench, "closed:internal end");
        http_bench_again(&bench, HTTP_SERVER);
    }
    /* What of a request is still to come can't become the tunnel's first bytes. */
    peer_sends(&bench, "POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhe");
    bench.log.length = 0;
    call_response(&bench, 101, -1, false);
    http_bench_turns(&bench, 3);
    expect_output(&bench, "<end>");
    expect_events(&bench, "closed:internal end");
}

/* ---- refusals ---- */

static void refusals_are_answered_and_the_connection_ends(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *word;
    } cases[] = {
        {"GET /c\r\n", "bad_request"}, /* answered at once: nothing follows it */
        {"GET /c HTTP/1.1\r\nHost: a.test\r\nX : y\r\n\r\n" GET, "bad_request"},
        {"\r\n\r\n" GET, "bad_request"},
        {"\n" GET, "bad_request"},
        {"GET /c HTTP/1.1\r\n\r\n", "bad_host"},
        {"GET c HTTP/1.1\r\n", "bad_target"},
        {"PRI * HTTP/2.0\r\n\r\n", "version_unknown"},
        {"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n" GET, "method_refused"},
        {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
         "bad_framing"},
        {"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip\r\n\r\n", "coding_unknown"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char events[100];
        peer_sends(&bench, cases[i].raw);
        snprintf(events, sizeof events, "opened refused:%s", cases[i].word);
        expect_events(&bench, events);
        call_response(&bench, 400, 0, true);
        http_bench_turns(&bench, 3);
        expect_output(&bench,
                      "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>");
        peer_sends(&bench, GET); /* heard, and thrown away */
        expect_events(&bench, "closed:none");
        peer_ends(&bench);
        expect_events(&bench, "end");
        http_bench_again(&bench, HTTP_SERVER);
    }
}

static void limits_of_heads(void **state)
{
    (void)state;
    char *text = malloc(30000);
    memset(text, 'a', 30000);
    peer_sends(&bench, "GET /");
    peer_sends_bytes(&bench, text, 9000);
    expect_events(&bench, "opened refused:target_too_long");
    call_response(&bench, 414, 0, true);
    http_bench_turns(&bench, 3);
    http_bench_again(&bench, HTTP_SERVER);
    peer_sends(&bench, "GET / HTTP/1.1\r\nX: ");
    peer_sends_bytes(&bench, text, 20000);
    expect_events(&bench, "opened refused:fields_too_large");
    call_response(&bench, 431, 0, true);
    http_bench_turns(&bench, 3);
    free(text);
}

static void bad_bodies_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "5\r\nhelloXX", "zz\r\n", "5\nhello", "0\r\nfoo\r\n\r\n", "0\r\nX: a\r\n b\r\n\r\n", "0\r\n\r\r"};
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        peer_sends(&bench, CHUNKED);
        expect_events(&bench, "opened head:POST:/p");
        peer_sends(&bench, bodies[i]);
        struct span got = text_span(&bench.log);
        assert_true(got.length >= 16 && memcmp(got.at + got.length - 16, "refused:bad_body", 16) == 0);
        bench.log.length = 0;
        call_response(&bench, 400, 0, true);
        http_bench_turns(&bench, 3);
        expect_output(&bench,
                      "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>");
        http_bench_again(&bench, HTTP_SERVER);
    }
}

static void tls_on_a_plain_port_is_closed(void **state)
{
    (void)state;
    peer_sends_bytes(&bench, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
    expect_output(&bench, "<end>");
    expect_events(&bench, "end");
}

/* ---- the order of things ---- */

/* The answer comes in the middle of the request, and the rest of that in two pieces, whatever is in the
 * middle of either. How many chunks are still to come is known when the last has come, and only then. */
static void early_answers_at_every_split(void)
{
    static const char rest[] = "llo\r\n3\r\nabc\r\n0\r\nX: y\r\nZ: z\r\n\r\n";
    size_t length = sizeof rest - 1, last = (size_t)(strchr(rest, '0') + 3 - rest);
    for (size_t before = 0; before < length; before++) {
        for (size_t split = before; split < length; split++) {
            peer_sends(&bench, CHUNKED "5\r\nhe");
            peer_sends_bytes(&bench, rest, before / 2);
            peer_sends_bytes(&bench, rest + before / 2, before - before / 2);
            answer_ok();
            if (before < last) {
                expect_output(&bench, OK2_CLOSE "<end>");
                http_bench_again(&bench, HTTP_SERVER);
                continue;
            }
            expect_output(&bench, OK2);
            peer_sends_bytes(&bench, rest + before, split - before);
            peer_sends_bytes(&bench, rest + split, length - split);
            peer_sends(&bench, GET);
            answer_ok();
            expect_output(&bench, OK2);
            struct span told = text_span(&bench.log);
            assert_non_null(
                memmem(told.at, told.length, "opened head:GET:/a:last sent:2 closed:none idle", 47));
            bench.log.length = bench.body_bytes = 0;
        }
    }
}

/* The answer comes before the request is whole: the rest is thrown away, and the connection kept where that
 * is little. */
static void early_answers(void **state)
{
    (void)state;
    peer_sends(&bench, "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\n1234567890");
    answer_ok();
    expect_events(&bench, "opened head:POST:/p body:1234567890 sent:2 closed:none");
    expect_output(&bench, OK2);
    char rest[91];
    memset(rest, 'x', 90);
    rest[90] = '\0';
    peer_sends(&bench, rest);
    expect_events(&bench, "idle");
    peer_sends(&bench, GET);
    answer_ok();
    expect_events(&bench, "opened head:GET:/a:last sent:2 closed:none idle");
    expect_output(&bench, OK2);
    /* Chunked as well, once the last chunk is here, with a next request right behind. */
    peer_sends(&bench, CHUNKED "5\r\nhello\r\n0\r\nX: y\r\n");
    answer_ok();
    expect_output(&bench, OK2);
    peer_sends(&bench, "\r\n" GET);
    answer_ok();
    expect_events(&bench, "opened head:POST:/p body:hello sent:2 closed:none idle opened head:GET:/a:last "
                          "sent:2 closed:none idle");
    expect_output(&bench, OK2);
    early_answers_at_every_split();
    /* Too much, or nobody knows how much: closed, and said so (RFC 9112 9.6). */
    peer_sends(&bench, "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10000000\r\n\r\n");
    answer_ok();
    expect_output(&bench, OK2_CLOSE "<end>");
    http_bench_again(&bench, HTTP_SERVER);
    peer_sends(&bench, CHUNKED);
    answer_ok();
    expect_output(&bench, OK2_CLOSE "<end>");
    http_bench_again(&bench, HTTP_SERVER);
    /* A client that waits for 100 may never send the body: nobody can tell what comes next (RFC 9110 10.1.1).
     */
    peer_sends(&bench,
               "POST /p HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    answer_ok();
    expect_output(&bench, OK2_CLOSE "<end>");
    bench.log.length = 0;
}

static void backpressure(void **state)
{
    (void)state;
    static char body[300000];
    memset(body, 'x', sizeof body);
    bench.hold = true;
    bench.window = 20000;
    peer_sends(&bench, "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 300000\r\n\r\n");
    size_t sent = 0, credited = 0;
    while (credited < sizeof body) {
        while (sent < sizeof body) {
            ssize_t part = send(bench.peer, body + sent, sizeof body - sent, MSG_DONTWAIT);
            if (part < 0)
                break;
            sent += (size_t)part;
        }
        http_bench_turns(&bench, 3);
        assert_in_range(bench.body_bytes - credited, 1, 20000 + (64 << 10));
        size_t before = bench.body_bytes;
        http_bench_turns(&bench, 3);
        assert_int_equal(bench.body_bytes, before); /* stopped, or at its end */
        call_credit(&bench, before - credited);
        credited = before;
        http_bench_turns(&bench, 3);
    }
    assert_int_equal(bench.body_bytes, sizeof body);
    bench.log.length = 0;
    answer_ok();
    expect_events(&bench, "sent:2 closed:none idle");
}

static void what_left_is_told_and_never_early(void **state)
{
    (void)state;
    int small = 4096;
    assert_int_equal(
        setsockopt(http_conn_transport(bench.conn)->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    static char text[200001];
    memset(text, 'x', sizeof text - 1);
    peer_sends(&bench, GET);
    call_response(&bench, 200, -1, false);
    call_body(&bench, text, false);
    http_bench_turns(&bench, 3);
    bench.log.length = 0;
    struct text all = text_growing();
    size_t told = 0, got = 0;
    for (unsigned i = 0; i < 1000 && got < 200000; i++) {
        char piece[3000];
        ssize_t part = recv(bench.peer, piece, sizeof piece, 0);
        got += part > 0 ? (size_t)part : 0;
        http_bench_turns(&bench, 3);
    }
    text_add(&all, text_span(&bench.log));
    for (char *word = strtok(all.at, " "); word != NULL; word = strtok(NULL, " "))
        told += (size_t)atol(word + strlen("sent:"));
    text_free(&all);
    assert_in_range(told, 200000 - 70000, 200000);
    bench.log.length = 0;
    call_body(&bench, "", true);
    http_bench_turns(&bench, 3);
    (void)peer_reads(&bench);
    struct span log = text_span(&bench.log);
    assert_non_null(memmem(log.at, log.length, "closed:none idle", 16));
}

/* ---- ends ---- */

static void clients_that_leave(void **state)
{
    (void)state;
    peer_ends(&bench);
    expect_events(&bench, "end");
    http_bench_again(&bench, HTTP_SERVER);
    peer_sends(&bench, "GET /a HT");
    peer_ends(&bench);
    expect_events(&bench, "end");
    http_bench_again(&bench, HTTP_SERVER);
    peer_sends(&bench, POST5 "hel");
    peer_ends(&bench);
    expect_events(&bench, "opened head:POST:/p body:hel closed:client_closed end");
    http_bench_again(&bench, HTTP_SERVER);
    static const char whole[] = "POST /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "5;x=y\r\nhello\r\n0\r\nX-T: v\r\nX-U: w\r\n\r\n";
    for (size_t cut = (size_t)(strstr(whole, "5;x") - whole); cut < sizeof whole - 1; cut++) {
        peer_sends_bytes(&bench, whole, cut);
        peer_ends(&bench);
        text_print(&bench.log, "%c", 0);
        if (strstr(bench.log.at, "closed:client_closed end") == NULL)
            fail_msg("cut after %zu bytes: %s", cut, bench.log.at);
        bench.log.length = 0;
        http_bench_again(&bench, HTTP_SERVER);
    }
    peer_sends(&bench, GET);
    call_response(&bench, 200, 5, false);
    close(bench.peer);
    bench.peer = -1;
    http_bench_turns(&bench, 5);
    expect_events(&bench, "opened head:GET:/a:last closed:client_closed end");
}

static void half_closed_clients_are_answered(void **state)
{
    (void)state;
    peer_sends(&bench, GET GET);
    peer_ends(&bench);
    expect_events(&bench, "opened head:GET:/a:last");
    answer_ok();
    expect_events(&bench, "sent:2 closed:none idle opened head:GET:/a:last");
    answer_ok();
    http_bench_turns(&bench, 3);
    expect_events(&bench, "sent:2 closed:none end");
}

/* TCP shows no difference between a client that has no more to say and one that is gone: an interim response
 * finds out. */
static void a_client_that_is_gone_is_found_out(void **state)
{
    (void)state;
    peer_sends(&bench, GET);
    peer_ends(&bench);
    http_bench_wait(&bench, 1300);
    expect_output(&bench, "HTTP/1.1 102 Processing\r\n\r\n");
    http_bench_wait(&bench, 1700);
    expect_events(&bench, "opened head:GET:/a:last");
    answer_ok();
    const char *got = peer_reads(&bench);
    assert_non_null(strstr(got, "\r\n\r\nok<end>"));
    expect_events(&bench, "sent:2 closed:none end");
    http_bench_again(&bench, HTTP_SERVER);
    peer_sends(&bench, GET);
    close(bench.peer);
    bench.peer = -1;
    http_bench_wait(&bench, 2500);
    expect_events(&bench, "opened head:GET:/a:last closed:client_closed end");
}

static void resets(void **state)
{
    (void)state;
    peer_sends(&bench, GET);
    call_response(&bench, 200, -1, false);
    call_body(&bench, "hello", false);
    http_bench_turns(&bench, 3);
    call_reset(&bench, FAILURE_RESPONSE_CUT);
    call_body(&bench, "more", true); /* harmless */
    call_reset(&bench, FAILURE_INTERNAL);
    http_bench_turns(&bench, 3);
    expect_events(&bench, "opened head:GET:/a:last sent:5 closed:response_cut");
    const char *got = peer_reads(&bench);
    assert_null(strstr(got, "0\r\n\r\n"));
    assert_non_null(strstr(got, "hello\r\n<end>"));
    peer_sends(&bench, GET); /* thrown away: unread, it would reset what was sent */
    expect_events(&bench, "");
    peer_ends(&bench);
    expect_events(&bench, "end");
}

static void tunnels(void **state)
{
    (void)state;
    peer_sends(&bench,
               "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nearly");
    expect_events(&bench, "opened head:GET:/ws:last");
    struct head head = {.body_length = 0, .upgrade = SPAN("websocket")};
    head.line.response.status = 101;
    head.line.response.reason = SPAN("Switching Protocols");
    call_head(&bench, &head, false);
    http_bench_turns(&bench, 3);
    expect_output(&bench,
                  "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    expect_events(&bench, "body:early");
    peer_sends(&bench, GET);
    bench.log.length = 0;
    call_body(&bench, "down", false);
    http_bench_turns(&bench, 3);
    expect_output(&bench, "down");
    expect_events(&bench, "sent:4");
    peer_ends(&bench);
    expect_events(&bench, "body::last");
    call_body(&bench, "last", true);
    http_bench_turns(&bench, 3);
    expect_output(&bench, "last<end>");
    expect_events(&bench, "sent:4 closed:none end");
}

/* ---- timers ---- */

static void heads_have_a_time(void **state)
{
    (void)state;
    bench.timeouts.request_head = 60;
    http_bench_again(&bench, HTTP_SERVER);
    http_bench_wait(&bench, 120);
    expect_events(&bench, "end"); /* nothing was asked: nothing is answered */
    expect_output(&bench, "<end>");
    http_bench_again(&bench, HTTP_SERVER);
    for (unsigned i = 0; i < 4; i++) {
        peer_sends(&bench, "G"); /* a drip does not push it back */
        http_bench_wait(&bench, 30);
    }
    expect_events(&bench, "opened refused:head_timeout");
    call_response(&bench, 408, 0, true);
    http_bench_turns(&bench, 3);
    expect_output(&bench,
                  "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>");
}

static void idle_connections_end(void **state)
{
    (void)state;
    bench.timeouts.keep_alive = 60;
    peer_sends(&bench, GET);
    answer_ok();
    http_bench_turns(&bench, 3);
    expect_output(&bench, OK2);
    http_bench_wait(&bench, 120);
    expect_events(&bench, "opened head:GET:/a:last sent:2 closed:none idle end");
    /* What the client has not taken is not lost with the connection. */
    http_bench_again(&bench, HTTP_SERVER);
    peer_sends(&bench, GET);
    answer_ok();
    http_bench_wait(&bench, 120);
    expect_events(&bench, "opened head:GET:/a:last sent:2 closed:none idle");
    peer_sends(&bench, GET);
    expect_output(&bench, OK2 "<end>");
    peer_ends(&bench);
    expect_events(&bench, "end");
}

static void bodies_have_a_time_and_a_rate(void **state)
{
    (void)state;
    bench.timeouts.request_idle = 60;
    peer_sends(&bench, POST5 "he");
    http_bench_wait(&bench, 120);
    expect_events(&bench, "opened head:POST:/p body:he refused:body_timeout");
    call_response(&bench, 408, 0, true);
    http_bench_turns(&bench, 3);
    bench.limits.least_body_rate = 1000;
    http_bench_again(&bench, HTTP_SERVER);
    peer_sends(&bench, "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5000\r\n\r\n");
    for (unsigned i = 0; i < 8; i++) {
        peer_sends(&bench, "x");
        http_bench_wait(&bench, 30);
    }
    struct span log = text_span(&bench.log);
    assert_non_null(memmem(log.at, log.length, "refused:body_timeout", 20));
    bench.log.length = 0;
    call_response(&bench, 408, 0, true);
    http_bench_turns(&bench, 3);
    /* Not while it is the owner who does not take it. */
    bench.hold = true;
    bench.window = 1;
    http_bench_again(&bench, HTTP_SERVER);
    peer_sends(&bench, POST5 "he");
    http_bench_wait(&bench, 150);
    log = text_span(&bench.log);
    assert_null(memmem(log.at, log.length, "refused", 7));
}

static void clients_that_take_nothing(void **state)
{
    (void)state;
    static char text[2000001];
    memset(text, 'x', sizeof text - 1);
    bench.timeouts.write = 80;
    http_bench_again(&bench, HTTP_SERVER);
    peer_sends(&bench, CHUNKED);
    call_response(&bench, 200, -1, false);
    call_body(&bench, text, false);
    /* That it still sends is no excuse. */
    for (unsigned i = 0; i < 8; i++) {
        peer_sends(&bench, "1\r\nx\r\n");
        http_bench_wait(&bench, 30);
    }
    struct span log = text_span(&bench.log);
    assert_non_null(memmem(log.at, log.length, "closed:client_stalled end", 25));
}

/* By silence, by too low a rate, and in all; not by a number of bytes, so that who sends much is answered. */
static void lingering_has_an_end(void **state)
{
    (void)state;
    static char flood[65536];
    static const struct {
        size_t piece;
        unsigned pieces_most;
    } cases[] = {{0, 50}, {1, 50}, {sizeof flood, 1000}};
    bench.timeouts.linger = 60;
    bench.limits.least_body_rate = 1000;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        http_bench_again(&bench, HTTP_SERVER);
        peer_sends(&bench, "GARBAGE\r\n\r\n");
        call_response(&bench, 400, 0, true);
        http_bench_turns(&bench, 3);
        unsigned pieces = 0;
        for (; bench.conn != NULL && pieces < cases[i].pieces_most; pieces++) {
            if (cases[i].piece != 0)
                peer_sends_bytes(&bench, flood, cases[i].piece);
            http_bench_wait(&bench, 10);
        }
        assert_null(bench.conn);
        expect_events(&bench, "opened refused:bad_request closed:none end");
        if (i == 2)
            assert_true(pieces > 8); /* half a megabyte and more was let come */
    }
}

static void draining(void **state)
{
    (void)state;
    peer_sends(&bench, GET);
    http_conn_drain(bench.conn);
    answer_ok();
    expect_output(&bench, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok<end>");
    peer_sends(&bench, GET); /* it can't have known */
    expect_events(&bench, "opened head:GET:/a:last sent:2 closed:none");
    peer_ends(&bench);
    expect_events(&bench, "end");
    http_bench_again(&bench, HTTP_SERVER);
    peer_sends(&bench, GET);
    answer_ok();
    http_conn_drain(bench.conn);
    http_bench_turns(&bench, 3);
    peer_sends(&bench, GET); /* on its way already: answered */
    answer_ok();
    expect_output(&bench, OK2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok<end>");
    http_bench_again(&bench, HTTP_SERVER);
    peer_sends(&bench, GET);
    answer_ok();
    http_bench_turns(&bench, 3);
    expect_output(&bench, OK2);
    http_conn_drain(bench.conn);
    http_bench_wait(&bench, 1200);
    expect_events(&bench, "opened head:GET:/a:last sent:2 closed:none idle end");
}

static void idle_costs_little(void **state)
{
    (void)state;
    peer_sends(&bench, GET);
    answer_ok();
    assert_int_equal(block_pool_out(), 0);
    bench.log.length = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(request_and_response_at_every_split),
        TEST(a_drip_costs_one_block),
        TEST(a_body_that_drips_shares_blocks),
        TEST(a_body_that_came_with_its_head),
        TEST(heads_over_several_blocks),
        TEST(pipelined_requests_wait_their_turn),
        TEST(framing_of_responses),
        TEST(interim_responses),
        TEST(http_1_0),
        TEST(connection_close),
        TEST(a_wrong_length_is_never_taken_for_whole),
        TEST(what_is_announced_is_sent),
        TEST(refusals_are_answered_and_the_connection_ends),
        TEST(limits_of_heads),
        TEST(bad_bodies_are_refused),
        TEST(tls_on_a_plain_port_is_closed),
        TEST(early_answers),
        TEST(backpressure),
        TEST(what_left_is_told_and_never_early),
        TEST(clients_that_leave),
        TEST(half_closed_clients_are_answered),
        TEST(a_client_that_is_gone_is_found_out),
        TEST(resets),
        TEST(tunnels),
        TEST(heads_have_a_time),
        TEST(idle_connections_end),
        TEST(bodies_have_a_time_and_a_rate),
        TEST(clients_that_take_nothing),
        TEST(lingering_has_an_end),
        TEST(draining),
        TEST(idle_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
