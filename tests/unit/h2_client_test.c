/* The HTTP/2 codec as a client: what a server's frames become, at every split point, and what each end of a
 * stream or a connection means for a request. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "http/h2.h"
#include "support/h2_bench.h"
#include "unit/unit.h"

static struct h2_bench bench;
static struct h2_frames frames;

#define REQUEST "{:method=GET,:scheme=http,:authority=a.test,:path=/x}:end"

static int begin(void **state)
{
    (void)state;
    h2_bench_begin(&bench, HTTP_CLIENT);
    frames.length = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    h2_bench_end(&bench);
    return 0;
}

static void get(unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        (void)h2_call_request(&bench, "GET", 0, true, NULL);
    http_bench_turns(&bench.http, 3);
}

static void expect_at_every_split(unsigned requests, const char *told)
{
    for (size_t split = 0; split < frames.length; split++) {
        h2_bench_again(&bench, HTTP_CLIENT);
        get(requests);
        peer_sends_bytes(&bench.http, frames.bytes, split);
        peer_sends_bytes(&bench.http, frames.bytes + split, frames.length - split);
        expect_told(&bench, told);
    }
    h2_bench_again(&bench, HTTP_CLIENT);
    get(requests);
    for (size_t at = 0; at < frames.length; at++)
        peer_sends_bytes(&bench.http, frames.bytes + at, 1);
    expect_told(&bench, told);
    frames.length = 0;
}

#define ROOM_ALL "4294967295"

static void responses_at_every_split(void **state)
{
    (void)state;
    char payload[128] = {7};
    h2_frame_head(&frames, 1, 0, ":status", "103", "link", "</a>", NULL);
    h2_frame_head(&frames, 1, 0, ":status", "200", "content-type", "text/plain", NULL);
    h2_frame(&frames, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, "\2hello\0\0", 8);
    h2_frame(&frames, NGHTTP2_DATA, 0, 1, NULL, 0);
    h2_frame_data(&frames, 1, " you", false);
    h2_frame_head(&frames, 1, H2_END, "x-sum", "1", NULL);
    expect_at_every_split(
        1,
        "head1:103:link=</a> head1:200:Content-Type=text/plain body1:hello you trailers1:x-sum=1 closed1:none room:" ROOM_ALL
        " idle");
    size_t block = h2_block(payload + 1, sizeof payload - 10, ":status", "200", "content-length", "4", NULL);
    h2_frame(&frames, NGHTTP2_HEADERS, NGHTTP2_FLAG_PADDED, 1, payload, 1 + 8 + 7);
    h2_frame(&frames, NGHTTP2_CONTINUATION, 0, 1, payload + 9, 5);
    h2_frame(&frames, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, payload + 14, block - 13);
    h2_frame_data(&frames, 1, "1234", true);
    expect_at_every_split(1, "head1:200 body1:1234:last closed1:none room:" ROOM_ALL " idle");
    h2_frame_head(&frames, 1, H2_END, ":status", "204", NULL);
    expect_at_every_split(1, "head1:204:last closed1:none room:" ROOM_ALL " idle");
}

static void requests_that_are_sent(void **state)
{
    (void)state;
    unsigned number = h2_call_request(&bench, "POST", 9, false, NULL);
    h2_call_text(&bench, number, "some", false);
    h2_call_text(&bench, number, "thing", true);
    number = h2_call_request(&bench, "PUT", -1, false, NULL);
    h2_call_text(&bench, number, "more", false);
    h2_call_trailers(&bench, number, "x-sum", "2");
    http_bench_turns(&bench.http, 3);
    expect_frames(
        &bench,
        "HEADERS1{:method=POST,:scheme=http,:authority=a.test,:path=/x,content-length=9} "
        "HEADERS3{:method=PUT,:scheme=http,:authority=a.test,:path=/x} DATA1:9:end DATA3:4 HEADERS3{x-sum=2}:end");
    assert_true(bench.streams[1].stream->request_sent && bench.streams[1].stream->any_sent &&
                !bench.streams[1].stream->any_received);
}

static size_t waits_here(void)
{
    return transport_unsent(CONTAINER_OF(bench.http.conn, struct h2_conn, conn)->transport);
}

static void send_long_head(unsigned number)
{
    static char value[30000];         /* more than a frame */
    memset(value, '{', sizeof value); /* no shorter by Huffman coding */
    struct field field = {.name = SPAN("x-long"), .value = span_make(value, sizeof value)};
    struct head head = {.fields = {.items = &field, .count = 1, .room = 1}};
    head.line.request.method_name = SPAN("POST");
    head.line.request.method = METHOD_POST;
    head.line.request.authority = SPAN("a.test");
    head.line.request.path = SPAN("/x");
    struct stream *stream = bench.streams[number].stream;
    stream->ops->send_head(stream, &head, true);
}

/* Of a head of several frames the first fills the transport's queue, from where it may leave, and the others
 * wait. That counts as sent: they follow even when the stream is given up meanwhile. */
static void a_head_that_fills_the_queue(void **state)
{
    (void)state;
    static char piece[4096 + 1];
    memset(piece, 'b', sizeof piece - 1);
    h2_frame_setting(&frames, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 4 << 20);
    h2_frame_number(&frames, NGHTTP2_WINDOW_UPDATE, 0, 4 << 20);
    h2_peer_sends(&bench, &frames);
    unsigned large = h2_call_request(&bench, "PUT", -1, false, NULL);
    while (waits_here() <
           H2_OUT_MOST - 2 * sizeof piece) { /* the socket is full, and so nearly is the queue */
        h2_call_text(&bench, large, piece, false);
        http_bench_turns(&bench.http, 2);
    }
    assert_true(waits_here() < H2_OUT_MOST);
    unsigned number = h2_call_open(&bench);
    send_long_head(number);
    assert_false(bench.streams[number].stream->any_sent);
    http_bench_turns(&bench.http, 2);
    assert_true(waits_here() >= H2_OUT_MOST);
    assert_true(bench.streams[number].stream->any_sent);
}

static void wrong_responses(void **state)
{
    (void)state;
    static char long_value[40000];
    memset(long_value, 'v', sizeof long_value - 1);
    const struct {
        const char *names[8];
        bool ends;
        const char *told;
    } rows[] = {
        {{"x", "y"}, true, "closed1:response_invalid"},
        {{":status", "20"}, true, "closed1:response_invalid"},
        {{":status", "2000"}, true, "closed1:response_invalid"},
        {{":status", "101"}, false, "closed1:response_invalid"},
        {{":status", "099"}, true, "closed1:response_invalid"},
        {{":status", "103"}, true, "closed1:response_invalid"},
        {{":status", "200", "connection", "close"}, true, "closed1:response_invalid"},
        {{":status", "200", "X", "y"}, true, "closed1:response_invalid"},
        {{":status", "200", "content-length", "5"}, true, "closed1:response_invalid"},
        {{":status", "200", "x", long_value}, true, "closed1:response_too_large"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char told[96];
        h2_bench_again(&bench, HTTP_CLIENT);
        get(1);
        (void)h2_peer_reads(&bench);
        h2_frame_names(&frames, 1, rows[i].ends ? H2_END : 0, rows[i].names);
        h2_peer_sends(&bench, &frames);
        snprintf(told, sizeof told, "%s room:" ROOM_ALL " idle", rows[i].told);
        expect_told(&bench, told);
        expect_frames(&bench, "RST1:1");
    }
    const char *const bodies[] = {"abc", "abcdefg"}; /* shorter and longer than announced */
    for (unsigned i = 0; i < 2; i++) {
        h2_bench_again(&bench, HTTP_CLIENT);
        get(1);
        h2_frame_head(&frames, 1, 0, ":status", "200", "content-length", "5", NULL);
        h2_frame_data(&frames, 1, bodies[i], true);
        h2_peer_sends(&bench, &frames);
        bench.http.log.at[bench.http.log.length] = 0;
        assert_non_null(strstr(bench.http.log.at, "closed1:response_cut"));
        assert_null(strstr(bench.http.log.at, ":last"));
    }
}

/* Which requests may be sent again is told apart: unprocessed, perhaps processed, cut. */
static void ends_of_streams(void **state)
{
    (void)state;
    get(5);
    h2_frame_number(&frames, NGHTTP2_RST_STREAM, 1, NGHTTP2_REFUSED_STREAM);
    h2_frame_number(&frames, NGHTTP2_RST_STREAM, 3, NGHTTP2_INTERNAL_ERROR);
    h2_frame_head(&frames, 5, 0, ":status", "200", NULL);
    h2_frame_number(&frames, NGHTTP2_RST_STREAM, 5, NGHTTP2_REFUSED_STREAM); /* too late to say so */
    h2_frame_head(&frames, 7, 0, ":status", "103", NULL);
    h2_frame_number(&frames, NGHTTP2_RST_STREAM, 7, NGHTTP2_CANCEL);
    h2_peer_sends(&bench, &frames);
    expect_told(
        &bench,
        "head3:200 head4:103 closed1:stream_refused closed2:server_closed closed3:response_cut closed4:response_cut room:4294967294");
    (void)h2_peer_reads(&bench);
    h2_call_reset(&bench, 5, FAILURE_CLIENT_CLOSED);
    h2_frame_head(&frames, 9, H2_END, ":status", "200", NULL); /* crosses */
    http_bench_turns(&bench.http, 3);
    expect_frames(&bench, "RST9:8");
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "closed5:client_closed room:" ROOM_ALL " idle");
    expect_frames(&bench, "");
}

/* A server with large heads floods nobody. */
static void heads_in_many_frames(void **state)
{
    (void)state;
    char block[128];
    size_t length = h2_block(block, sizeof block, ":status", "200", "x", "yz", NULL);
    h2_bench_again(&bench, HTTP_CLIENT);
    for (int32_t id = 1; id < 250; id += 2) {
        get(1);
        h2_frame(&frames, NGHTTP2_HEADERS, H2_END, id, block, 1);
        h2_frame(&frames, NGHTTP2_CONTINUATION, 0, id, block + 1, 1);
        h2_frame(&frames, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, id, block + 2, length - 2);
        h2_peer_sends(&bench, &frames);
        char told[100];
        snprintf(told, sizeof told, "head%d:200:x=yz:last closed%d:none room:" ROOM_ALL " idle", (id + 1) / 2,
                 (id + 1) / 2);
        expect_told(&bench, told);
        (void)h2_peer_reads(&bench);
    }
}

/* Ended by its answer before the request was sent. */
static void an_early_answer(void **state)
{
    (void)state;
    unsigned number = h2_call_request(&bench, "POST", 100, false, NULL);
    h2_call_text(&bench, number, "some", false);
    http_bench_turns(&bench.http, 3);
    (void)h2_peer_reads(&bench);
    h2_frame_head(&frames, 1, H2_END, ":status", "413", "content-length", "0", NULL);
    h2_frame_number(&frames, NGHTTP2_RST_STREAM, 1, NGHTTP2_NO_ERROR);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "head1:413:last closed1:none room:" ROOM_ALL " idle");
}

/* GOAWAY: what is above its last stream was not processed; the rest goes on; no more are taken. */
static void goaway(void **state)
{
    (void)state;
    get(3);
    h2_frame_goaway(&frames, INT32_MAX, 0);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "room:0");
    h2_frame_goaway(&frames, 3, 0);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "room:0 closed3:stream_refused room:0");
    h2_frame_head(&frames, 1, H2_END, ":status", "200", NULL);
    h2_frame_head(&frames, 3, H2_END, ":status", "200", NULL);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "head1:200:last head2:200:last closed1:none closed2:none room:0 idle end");
    (void)h2_peer_reads(&bench);
}

/* Requests that were submitted in the turn in which a GOAWAY came, or opened and not even that. */
static void goaway_crosses(void **state)
{
    (void)state;
    get(1);
    (void)h2_peer_reads(&bench);
    h2_frame_goaway(&frames, 1, 0);
    assert_int_equal(send(bench.http.peer, frames.bytes, frames.length, 0), frames.length);
    frames.length = 0;
    (void)h2_call_request(&bench, "GET", 0, true, NULL);
    http_bench_turns(&bench.http, 5);
    bench.http.log.at[bench.http.log.length] = 0;
    assert_non_null(strstr(bench.http.log.at, "closed2:stream_refused"));
    h2_bench_again(&bench, HTTP_CLIENT);
    (void)h2_call_open(&bench);
    h2_frame_goaway(&frames, 0, 0);
    h2_peer_sends(&bench, &frames);
    wait_told(&bench, "closed1:stream_refused");
}

static void room(void **state)
{
    (void)state;
    h2_bench_again_silent(&bench, HTTP_CLIENT);
    h2_frame_setting(&frames, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "room:2");
    get(2);
    assert_int_equal(http_conn_room(bench.http.conn), 0);
    h2_frame_setting(&frames, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1);
    h2_frame_head(&frames, 1, H2_END, ":status", "200", NULL);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "room:0 head1:200:last closed1:none room:0");
    h2_frame_setting(&frames, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 5);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "room:4");
}

/* HEAD, 204 and 304 are over with their head. END_STREAM may come behind it in a frame of its own, and is
 * waited for without a reset; meanwhile the stream counts for the server's limit. */
static void answers_without_a_body(void **state)
{
    (void)state;
    static const struct {
        const char *method, *status;
        bool trailers;
    } rows[] = {{"HEAD", "200", false}, {"HEAD", "200", true}, {"GET", "204", false}, {"POST", "304", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char told[96];
        h2_bench_again_silent(&bench, HTTP_CLIENT);
        h2_frame_setting(&frames, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1);
        h2_peer_sends(&bench, &frames);
        (void)h2_call_request(&bench, rows[i].method, 0, true, NULL);
        http_bench_turns(&bench.http, 3);
        (void)h2_peer_reads(&bench);
        bench.http.log.length = 0;
        h2_frame_head(&frames, 1, 0, ":status", rows[i].status, NULL);
        h2_peer_sends(&bench, &frames);
        snprintf(told, sizeof told, "head1:%s:last closed1:none room:0 idle", rows[i].status);
        expect_told(&bench, told);
        if (rows[i].trailers)
            h2_frame_head(&frames, 1, H2_END, "x-sum", "1", NULL);
        else
            h2_frame_data(&frames, 1, "", true);
        h2_peer_sends(&bench, &frames);
        expect_told(&bench, "room:1");
        expect_frames(&bench, "");
    }
    /* Of a server that never ends it, it is given up. */
    h2_bench_again(&bench, HTTP_CLIENT);
    (void)h2_call_request(&bench, "HEAD", 0, true, NULL);
    http_bench_turns(&bench.http, 3);
    (void)h2_peer_reads(&bench);
    h2_frame_head(&frames, 1, 0, ":status", "200", NULL);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "head1:200:last closed1:none room:4294967294 idle");
    const char *got = "";
    uint64_t until = loop_now(bench.http.loop) + 20000;
    while (got[0] == 0 && loop_now(bench.http.loop) < until) {
        http_bench_turns(&bench.http, 1);
        got = h2_peer_reads(&bench);
    }
    assert_string_equal(got, "RST1:8");
}

static void the_connection_dies(void **state)
{
    (void)state;
    get(3);
    h2_frame_head(&frames, 1, 0, ":status", "200", NULL);
    h2_frame_head(&frames, 3, 0, ":status", "103", NULL);
    h2_peer_sends(&bench, &frames);
    bench.http.log.length = 0;
    peer_ends(&bench.http);
    expect_told(&bench, "closed1:response_cut closed2:response_cut closed3:server_closed end");
    h2_bench_again(&bench, HTTP_CLIENT);
    get(1);
    h2_frame_head(&frames, 1, H2_END, ":status", "200", NULL);
    h2_peer_sends(&bench, &frames);
    (void)h2_call_request(&bench, "GET", 0, true, NULL); /* on a kept connection, without a byte since */
    http_bench_turns(&bench.http, 3);
    bench.http.log.length = 0;
    peer_ends(&bench.http);
    expect_told(&bench, "closed2:server_stale end");
}

/* A server that breaks the protocol: its answers end, each as far as it had come. */
static void the_server_breaks_the_protocol(void **state)
{
    (void)state;
    get(2);
    h2_frame_head(&frames, 1, 0, ":status", "200", NULL);
    h2_frame_data(&frames, 1, "some", false);
    h2_frame(&frames, NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1, "\0\0\0\2", 4);
    h2_peer_sends(&bench, &frames);
    bench.http.log.at[bench.http.log.length] = 0;
    assert_non_null(strstr(bench.http.log.at, "closed1:response_cut"));
    assert_non_null(strstr(bench.http.log.at, "closed2:response_invalid"));
    (void)h2_peer_reads(&bench);
    wait_told(&bench, "end");
}

/* A PING comes, and is answered in the millisecond in which it was sent. */
static void ping_answered_at_once(void)
{
    const char *got = "";
    uint64_t until = loop_now(bench.http.loop) + 20000;
    while (got[0] == 0 && loop_now(bench.http.loop) < until) {
        http_bench_turns(&bench.http, 1);
        got = h2_peer_reads(&bench);
    }
    assert_string_equal(got, "PING");
    expect_told(&bench, "");
    h2_frame(&frames, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "\0\0\0\0\0\0\0\0", 8);
    h2_frame_head(&frames, 1, 0, ":status", "103", NULL); /* it is there, and has something to say */
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "head1:103");
}

static void a_silent_server_is_asked(void **state)
{
    (void)state;
    bench.http.timeouts.ping = 100;
    bench.http.timeouts.ping_answer = 300;
    h2_bench_again(&bench, HTTP_CLIENT);
    get(1);
    (void)h2_peer_reads(&bench);
    for (unsigned i = 0; i < 3; i++)
        ping_answered_at_once();
    wait_told(&bench, "closed1:response_cut end"); /* asked again, it says nothing */
    assert_null(bench.http.conn);
}

#define GRANTS \
    (h2_frame_setting(&frames, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1), h2_peer_sends(&bench, &frames))
#define ASKED "{:method=CONNECT,:protocol=websocket,:scheme=http,:authority=a.test,:path=/x}"

static void tunnels(void **state)
{
    (void)state;
    (void)h2_call_request(&bench, "GET", 0, true, "websocket");
    http_bench_turns(&bench.http, 3);
    /* its SETTINGS did not say so */
    expect_told(&bench, "closed1:upgrade_unsupported room:" ROOM_ALL " idle");
    h2_bench_again_silent(&bench, HTTP_CLIENT);
    (void)h2_call_request(&bench, "GET", 0, true, "websocket");
    http_bench_turns(&bench.http, 3);
    assert_null(strstr(h2_peer_reads(&bench), "HEADERS")); /* waits for them */
    GRANTS;
    bench.http.log.length = 0;
    expect_frames(&bench, "SETTINGS:ack HEADERS1" ASKED);
    h2_frame_head(&frames, 1, 0, ":status", "200", NULL);
    h2_frame_data(&frames, 1, "hello", false);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "head1:101:websocket body1:hello");
    h2_call_text(&bench, 1, "you", false);
    h2_call_text(&bench, 1, "bye", true);
    http_bench_turns(&bench.http, 3);
    expect_frames(&bench, "DATA1:6:end");
    h2_frame_data(&frames, 1, "bye", true); /* half-closed until now */
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "body1:bye:last closed1:none room:" ROOM_ALL " idle");
    (void)h2_call_request(&bench, "GET", 0, true, "websocket");
    http_bench_turns(&bench.http, 3);
    h2_frame_head(&frames, 3, 0, ":status", "403", NULL);
    h2_peer_sends(&bench, &frames);
    h2_frame_data(&frames, 3, "no", true);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "head2:403 body2:no:last closed2:none room:" ROOM_ALL " idle");
    expect_frames(&bench, "HEADERS3" ASKED " DATA3:0:end");
    /* given up before it was sent, and before SETTINGS */
    (void)h2_call_request(&bench, "GET", 0, true, "websocket");
    h2_call_reset(&bench, 3, FAILURE_CLIENT_CLOSED);
    http_bench_turns(&bench.http, 3);
    expect_told(&bench, "closed3:client_closed room:" ROOM_ALL " idle");
    expect_frames(&bench, "");
}

static void response_heads_without_end(void **state)
{
    (void)state;
    static char big[14000];
    memset(big, 'v', sizeof big - 1);
    get(1);
    (void)h2_peer_reads(&bench);
    h2_frame_head(&frames, 1, H2_END, ":status", "200", "a", big, "b", big, "c", big, "d", big, "e", big,
                  NULL);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "closed1:response_too_large room:" ROOM_ALL " idle");
    bench.http.limits.interim_responses = 8;
    h2_bench_again(&bench, HTTP_CLIENT);
    get(1);
    for (unsigned i = 0; i < 1000; i++)
        h2_frame_head(&frames, 1, 0, ":status", "103", NULL);
    h2_peer_sends(&bench, &frames);
    bench.http.log.at[bench.http.log.length] = 0;
    assert_non_null(strstr(bench.http.log.at, "closed1:response_invalid"));
}

/* ---- the end of the connection ---- */

/* A server that reads nothing does not keep a closed connection alive. */
static void closed_before_a_server_that_reads_nothing(void **state)
{
    (void)state;
    bench.http.timeouts.linger = 100;
    h2_bench_again(&bench, HTTP_CLIENT);
    h2_frame_setting(&frames, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 24);
    h2_frame_number(&frames, NGHTTP2_WINDOW_UPDATE, 0, 1 << 24);
    h2_peer_sends(&bench, &frames);
    unsigned number = h2_call_request(&bench, "POST", -1, false, NULL);
    h2_call_body(&bench, number, 2000000, false);
    http_bench_turns(&bench.http, 3);
    h2_call_reset(&bench, number, FAILURE_CLIENT_CLOSED);
    http_bench_turns(&bench.http, 3);
    http_conn_close(bench.http.conn);
    wait_told(&bench, "end");
}

static void drained(void **state)
{
    (void)state;
    get(1);
    http_conn_drain(bench.http.conn);
    assert_int_equal(http_conn_room(bench.http.conn), 0);
    h2_frame_head(&frames, 1, H2_END, ":status", "200", NULL);
    h2_peer_sends(&bench, &frames);
    wait_told(&bench, "end");
    assert_non_null(strstr(h2_peer_reads(&bench), "GOAWAY:0:0 <end>"));
}

/* The library holds no answer to a CONNECT to its length. */
static void refused_tunnels_of_wrong_length(void **state)
{
    (void)state;
    static const struct {
        const char *status, *body; /* NULL: the head ends the message */
        bool last;
        const char *told;
    } cases[] = {
        {"404", NULL, true, "closed1:response_invalid"},
        {"404", "hell", true, "head1:404 closed1:response_cut"},
        {"404", "hello!", false, "head1:404 closed1:response_cut"},
        {"404", "hello", true, "head1:404 body1:hello:last closed1:none"},
        {"304", NULL, true, "head1:304:last closed1:none"},
        {"304", "hello", true, "head1:304 closed1:response_cut"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char told[96];
        h2_bench_again(&bench, HTTP_CLIENT);
        GRANTS;
        bench.http.log.length = 0;
        (void)h2_call_request(&bench, "GET", 0, true, "websocket");
        http_bench_turns(&bench.http, 3);
        h2_frame_head(&frames, 1, cases[i].body == NULL ? H2_END : 0, ":status", cases[i].status,
                      "content-length", "5", NULL);
        h2_peer_sends(&bench, &frames);
        if (cases[i].body != NULL)
            h2_frame_data(&frames, 1, cases[i].body, cases[i].last);
        h2_peer_sends(&bench, &frames);
        snprintf(told, sizeof told, "%s room:" ROOM_ALL " idle", cases[i].told);
        expect_told(&bench, told);
    }
}

/* Whatever the owner does: no stream ends whole with more or fewer bytes than its head has announced. */
static void what_is_announced_is_sent(void **state)
{
    (void)state;
    static const struct {
        int64_t length;
        const char *body; /* NULL: the head ends the message */
        bool last, trailers;
    } cases[] = {{38, NULL, true, false},
                 {5, "hell", true, false},
                 {5, "hello!", false, false},
                 {5, "hell", false, true}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        h2_bench_again(&bench, HTTP_CLIENT);
        unsigned number = h2_call_request(&bench, "POST", cases[i].length, cases[i].body == NULL, NULL);
        if (cases[i].body != NULL)
            h2_call_text(&bench, number, cases[i].body, cases[i].last);
        if (cases[i].trailers)
            h2_call_trailers(&bench, number, "x-sum", "1");
        http_bench_turns(&bench.http, 3);
        expect_told(&bench, "closed1:internal room:" ROOM_ALL " idle");
        assert_null(strstr(h2_peer_reads(&bench), ":end"));
    }
    h2_bench_again(&bench, HTTP_CLIENT);
    GRANTS;
    bench.http.log.length = 0;
    (void)h2_call_request(&bench, "GET", 38, true, "websocket"); /* a tunnel has none */
    http_bench_turns(&bench.http, 3);
    expect_told(&bench, "closed1:internal room:" ROOM_ALL " idle");
    assert_null(strstr(h2_peer_reads(&bench), "HEADERS"));
}

static void windows_of_the_server_are_kept(void **state)
{
    (void)state;
    unsigned number = h2_call_request(&bench, "POST", 100000, false, NULL);
    h2_call_body(&bench, number, 100000, true);
    http_bench_turns(&bench.http, 5);
    size_t sum = 0;
    const char *at = h2_peer_reads(&bench);
    while ((at = strstr(at, "DATA1:")) != NULL)
        sum += strtoul(at += 6, NULL, 10);
    assert_int_equal(sum, 65535);
    h2_call_reset(&bench, number, FAILURE_CLIENT_CLOSED); /* with bytes that wait for a window */
    http_bench_turns(&bench.http, 3);
    expect_frames(&bench, "RST1:8");
    get(1);
    expect_frames(&bench, "HEADERS3" REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(responses_at_every_split, begin, end),
        cmocka_unit_test_setup_teardown(requests_that_are_sent, begin, end),
        cmocka_unit_test_setup_teardown(a_head_that_fills_the_queue, begin, end),
        cmocka_unit_test_setup_teardown(heads_in_many_frames, begin, end),
        cmocka_unit_test_setup_teardown(wrong_responses, begin, end),
        cmocka_unit_test_setup_teardown(ends_of_streams, begin, end),
        cmocka_unit_test_setup_teardown(an_early_answer, begin, end),
        cmocka_unit_test_setup_teardown(goaway, begin, end),
        cmocka_unit_test_setup_teardown(goaway_crosses, begin, end),
        cmocka_unit_test_setup_teardown(room, begin, end),
        cmocka_unit_test_setup_teardown(answers_without_a_body, begin, end),
        cmocka_unit_test_setup_teardown(the_connection_dies, begin, end),
        cmocka_unit_test_setup_teardown(the_server_breaks_the_protocol, begin, end),
        cmocka_unit_test_setup_teardown(a_silent_server_is_asked, begin, end),
        cmocka_unit_test_setup_teardown(tunnels, begin, end),
        cmocka_unit_test_setup_teardown(response_heads_without_end, begin, end),
        cmocka_unit_test_setup_teardown(closed_before_a_server_that_reads_nothing, begin, end),
        cmocka_unit_test_setup_teardown(drained, begin, end),
        cmocka_unit_test_setup_teardown(refused_tunnels_of_wrong_length, begin, end),
        cmocka_unit_test_setup_teardown(what_is_announced_is_sent, begin, end),
        cmocka_unit_test_setup_teardown(windows_of_the_server_are_kept, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
