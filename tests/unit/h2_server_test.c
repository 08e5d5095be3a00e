/* The HTTP/2 codec as a server: what a client's frames become, at every split point, and what is answered to
 * wrong ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/transport.h"
#include "support/h2_bench.h"
#include "unit/unit.h"

static struct h2_bench bench;
static struct h2_frames frames;

static int begin(void **state)
{
    (void)state;
    h2_bench_begin(&bench, HTTP_SERVER);
    frames.length = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    h2_bench_end(&bench);
    return 0;
}

/* The frames in two pieces, at each place; the same is told each time. */
static void expect_at_every_split(const char *told)
{
    for (size_t split = 0; split < frames.length; split++) {
        h2_bench_again(&bench, HTTP_SERVER);
        peer_sends_bytes(&bench.http, frames.bytes, split);
        peer_sends_bytes(&bench.http, frames.bytes + split, frames.length - split);
        expect_told(&bench, told);
    }
    for (size_t step = 1; step < 8;
         step +=
         2) { /* and in many (of one byte: the library takes a CONTINUATION's head so for several frames) */
        if (step == 1 && strstr(told, "Cookie") != NULL)
            continue;
        h2_bench_again(&bench, HTTP_SERVER);
        for (size_t at = 0; at < frames.length; at += step)
            peer_sends_bytes(&bench.http, frames.bytes + at,
                             step < frames.length - at ? step : frames.length - at);
        expect_told(&bench, told);
    }
    frames.length = 0;
}

/* ---- requests ---- */

static void requests_at_every_split(void **state)
{
    (void)state;
    char payload[256] = {5, 0, 0, 0, 0, 15}; /* of padding; depends on no stream; weight */
    h2_frame_get(&frames, 1, "accept", "*/*", NULL);
    size_t block = h2_block(payload + 6, sizeof payload - 16, ":method", "POST", ":scheme", "https",
                            ":authority", "a.test", ":path", "/y?z", "te", "trailers", NULL);
    h2_frame(&frames, NGHTTP2_HEADERS, NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_PRIORITY | NGHTTP2_FLAG_END_HEADERS,
             3, payload, 6 + block + 5);
    h2_frame(&frames, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 3, "\3hello\0\0\0", 9);
    h2_frame(&frames, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 3, "\3\0\0\0", 4); /* nothing but padding */
    h2_frame(&frames, NGHTTP2_DATA, 0, 3, NULL, 0);
    h2_frame(&frames, NGHTTP2_PING, 0, 0, "12345678", 8);
    h2_frame(&frames, 0xfa, 0x55, 3, "unknown", 7);
    h2_frame_data(&frames, 3, " you", false);
    h2_frame_head(&frames, 3, H2_END, "x-sum", "1", NULL);
    expect_at_every_split(
        "head1:GET:/x:Accept=*/*:last head2:POST:/y:TE=trailers body2:hello you trailers2:x-sum=1");
}

/* Empty ones leave no blank at either end, which whoever reads it next would refuse. */
static void crumbs_of_a_cookie_are_joined(void **state)
{
    (void)state;
    static const struct {
        const char *crumbs[4], *told;
    } cases[] = {
        {{"a=1", ""}, "a=1"},         {{"", "a=1"}, "a=1"},         {{"a=1", "", "b=2"}, "a=1; b=2"},
        {{"", "", "a=1", ""}, "a=1"}, {{"a=1", "b=2"}, "a=1; b=2"}, {{"", ""}, ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *names[8 + 2 * 4 + 1] = {":method",    "GET",    ":scheme", "http",
                                            ":authority", "a.test", ":path",   "/x"};
        char told[64];
        for (size_t j = 0; j < 4 && cases[i].crumbs[j] != NULL; j++) {
            names[8 + 2 * j] = "cookie";
            names[9 + 2 * j] = cases[i].crumbs[j];
        }
        h2_bench_again(&bench, HTTP_SERVER);
        h2_frame_names(&frames, 1, H2_END, names);
        h2_peer_sends(&bench, &frames);
        snprintf(told, sizeof told, "head1:GET:/x:Cookie=%s:last", cases[i].told);
        expect_told(&bench, told);
    }
}

static void heads_in_pieces_at_every_split(void **state)
{
    (void)state;
    char block[512];
    size_t length =
        h2_block(block, sizeof block, ":method", "GET", ":scheme", "http", ":authority", "a.test", ":path",
                 "/x", "cookie", "a=1", "x-y", "", "cookie", "b=2", "cookie", "c=3", NULL);
    h2_frame(&frames, NGHTTP2_HEADERS, H2_END, 1, block, 0);
    h2_frame(&frames, NGHTTP2_CONTINUATION, 0, 1, block, 20);
    h2_frame(&frames, NGHTTP2_CONTINUATION, 0, 1, block + 20, 0);
    h2_frame(&frames, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, block + 20, length - 20);
    expect_at_every_split("head1:GET:/x:Cookie=a=1; b=2; c=3:x-y=:last");
    h2_frame_post(&frames, 1, "content-length", "4", NULL);
    h2_frame_data(&frames, 1, "abcd", false);
    h2_frame(&frames, NGHTTP2_DATA, H2_END, 1, NULL, 0);
    expect_at_every_split("head1:POST:/x body1:abcd:last");
}

/* How many requests are taken whose heads go on in two CONTINUATION frames, of 250. */
static unsigned asked_in_frames(bool empty, bool reset)
{
    char block[512];
    size_t length = h2_block(block, sizeof block, ":method", "GET", ":scheme", "http", ":authority", "a.test",
                             ":path", "/x", NULL);
    size_t second = empty ? 0 : 2;
    unsigned count = 0;
    h2_bench_again(&bench, HTTP_SERVER);
    while (count < 250 && strstr(h2_peer_reads(&bench), "GOAWAY") == NULL) {
        int32_t id = (int32_t)(2 * count++ + 1);
        h2_frame(&frames, NGHTTP2_HEADERS, H2_END, id, block, 5);
        h2_frame(&frames, NGHTTP2_CONTINUATION, 0, id, block + 5, second);
        h2_frame(&frames, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, id, block + 5 + second,
                 length - 5 - second);
        if (reset)
            h2_frame_number(&frames, NGHTTP2_RST_STREAM, id, NGHTTP2_CANCEL);
        h2_peer_sends(&bench, &frames);
        if (bench.streams[count].stream != NULL)
            h2_call_response(&bench, count, 204, -1, true);
        http_bench_turns(&bench.http, 2);
    }
    bench.http.log.length = 0;
    return count;
}

/* The same of trailers. */
static void ends_in_frames(unsigned times)
{
    char block[64];
    size_t length = h2_block(block, sizeof block, "x-sum", "1", NULL);
    h2_bench_again(&bench, HTTP_SERVER);
    for (unsigned i = 1; i <= times; i++) {
        int32_t id = (int32_t)(2 * i - 1);
        h2_frame_post(&frames, id, NULL);
        h2_frame(&frames, NGHTTP2_HEADERS, H2_END, id, block, 1);
        h2_frame(&frames, NGHTTP2_CONTINUATION, 0, id, block + 1, 1);
        h2_frame(&frames, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, id, block + 2, length - 2);
        h2_peer_sends(&bench, &frames);
        h2_call_response(&bench, i, 204, -1, true);
        http_bench_turns(&bench.http, 2);
        assert_null(strstr(h2_peer_reads(&bench), "GOAWAY"));
    }
    bench.http.log.length = 0;
}

/* CVE-2024-27316 is a head that does not end; those of browsers with 30 KB of cookies do. */
static void large_heads_are_no_flood(void **state)
{
    (void)state;
    assert_int_equal(asked_in_frames(false, false), 250);
    ends_in_frames(250);
    assert_in_range(asked_in_frames(true, false), 200, 249);
    assert_in_range(asked_in_frames(false, true), 100, 249);
}

/* Nobody hears of a request whose reset was received with it (CVE-2023-44487); one that was told is told its
 * end. */
static void resets_behind_their_requests(void **state)
{
    (void)state;
    h2_frame_post(&frames, 1, NULL);
    h2_frame_data(&frames, 1, "ab", false);
    size_t whole = frames.length;
    h2_frame_number(&frames, NGHTTP2_RST_STREAM, 1, NGHTTP2_CANCEL);
    for (size_t split = whole; split < frames.length; split++) {
        h2_bench_again(&bench, HTTP_SERVER);
        peer_sends_bytes(&bench.http, frames.bytes, split);
        peer_sends_bytes(&bench.http, frames.bytes + split, frames.length - split);
        expect_told(&bench, "head1:POST:/x body1:ab closed1:client_closed idle");
    }
    h2_bench_again(&bench, HTTP_SERVER);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "");
    h2_frame_get(&frames, 3, NULL);
    h2_frame_post(&frames, 5, NULL);
    h2_frame_number(&frames, NGHTTP2_RST_STREAM, 5, NGHTTP2_CANCEL);
    h2_frame_post(&frames, 7, NULL);
    h2_frame_data(&frames, 7, "c", true);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "head1:GET:/x:last head2:POST:/x body2:c:last"); /* numbered as they are told */
}

/* ---- wrong heads ---- */

#define USUAL ":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "/x"

static void wrong_heads(void **state)
{
    (void)state;
    /* Malformed for HTTP/2 itself: an error of the stream (RFC 9113 8.1.1), and nobody hears of it. */
    static const char *const malformed[][16] = {
        {USUAL, "X-Upper", "1"},
        {USUAL, "connection", "close"},
        {USUAL, "transfer-encoding", "chunked"},
        {USUAL, "te", "gzip"},
        {USUAL, "proxy-connection", "x"},
        {USUAL, "keep-alive", "x"},
        {USUAL, "upgrade", "h2c"},
        {USUAL, "host", "a.test", "host", "a.test"},
        {":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "x"},
        {USUAL, ":path", "/y"},
        {USUAL, ":other", "y"},
        {USUAL, ":status", "200"},
        {USUAL, "", "y"},
        {USUAL, "x y", "1"},
        {USUAL, "x", "a\nb"},
        {USUAL, "x", "a\rb"},
        {USUAL, "content-length", "x"},
        {USUAL, "content-length", "-1"},
        {USUAL, "content-length", "5"}, /* END_STREAM says 0 */
        {USUAL, "content-length", "0", "content-length", "0"},
        {":method", "GET", "x", "y", ":scheme", "http", ":authority", "a.test", ":path", "/x"},
        {":method", "GET", ":scheme", "http", ":authority", "a.test"},
        {":scheme", "http", ":authority", "a.test", ":path", "/x"},
        {":method", "GET", ":authority", "a.test", ":path", "/x"},
        {":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", ""},
        {":method", "G T", ":scheme", "http", ":authority", "a.test", ":path", "/x"},
        /* without CONNECT */
        {":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "/x", ":protocol",
         "websocket"},
        {":method", "GET", ":scheme", "http", ":authority", "a test", ":path", "/x"},
        {":path", "/x", ":method", "GET", ":scheme", "http"}, /* for nobody */
    };
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        h2_bench_again(&bench, HTTP_SERVER);
        h2_frame_names(&frames, 1, H2_END, malformed[i]);
        h2_frame_get(&frames, 3, NULL); /* the connection goes on */
        h2_peer_sends(&bench, &frames);
        const char *told = malformed[i][1] != NULL && strcmp(malformed[i][0], ":path") == 0
                               ? "head2:GET:/x:last closed1:bad_host"
                               : "head2:GET:/x:last closed1:bad_request"; /* told once, for the log */
        if (strcmp(bench.http.log.at, told) != 0)
            print_error("row %zu\n", i);
        expect_told(&bench, told);
        expect_frames(&bench, "RST1:1");
    }
}

static void refused_heads(void **state)
{
    (void)state;
    static char long_path[9000], long_value[17000];
    memset(long_path, '/', sizeof long_path - 1);
    memset(long_value, 'v', sizeof long_value - 1);
    /* Fit for HTTP/2, not for us: they are answered. */
    const struct {
        const char *names[16];
        const char *why;
    } rows[] = {
        {{USUAL, "host", "b.test"}, "bad_host"},
        {{USUAL, "host", "a.test:443"}, "bad_host"},
        {{USUAL, "host", "a.test:"}, NULL},
        {{USUAL, "host", "A.test.:80"}, NULL},
        {{":method", "GET", ":scheme", "https", ":authority", "a.test:443", ":path", "/x", "host", "a.test"},
         NULL},
        {{USUAL, "expect", "100-continue", "expect", "foo"}, "expectation_unknown"},
        {{":method", "GET", ":scheme", "ftp", ":authority", "a.test", ":path", "/x"}, "bad_target"},
        {{":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "/x#y"}, "bad_target"},
        {{":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", long_path},
         "target_too_long"},
        {{USUAL, "x", long_value}, "fields_too_large"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char told[64];
        h2_bench_again(&bench, HTTP_SERVER);
        h2_frame_names(&frames, 1, H2_END, rows[i].names);
        h2_peer_sends(&bench, &frames);
        snprintf(told, sizeof told, rows[i].why != NULL ? "refused1:%s" : "head1:GET:/x:last", rows[i].why);
        expect_told(&bench, told);
        h2_call_response(&bench, 1, 400, 0, true);
        http_bench_turns(&bench.http, 3);
        expect_told(&bench, "closed1:none idle");
        expect_frames(&bench, "HEADERS1{:status=400,content-length=0}:end");
    }
}

static void lengths_that_are_not_kept(void **state)
{
    (void)state;
    h2_frame_post(&frames, 1, "content-length", "5", NULL);
    h2_frame_data(&frames, 1, "abc", true);
    h2_frame_post(&frames, 3, "content-length", "5", NULL);
    h2_frame_data(&frames, 3, "abcdef", false);
    h2_frame_post(&frames, 5, "content-length", "5", NULL);
    h2_frame_head(&frames, 5, H2_END, "x-sum", "1", NULL); /* trailers before it is whole */
    h2_peer_sends(&bench, &frames);
    assert_null(bench.streams[1].stream);
    assert_null(bench.streams[2].stream);
    assert_null(bench.streams[3].stream);
    assert_non_null(strstr(bench.http.log.at, "closed1:bad_body"));
    assert_null(strstr(bench.http.log.at, ":last"));
    assert_null(strstr(bench.http.log.at, "trailers"));
    expect_frames(&bench, "RST1:1 RST3:1 RST5:1");
}

/* Few bytes that unfold to many: the connection ends, long before all is unfolded. */
static void header_list_bomb(void **state)
{
    (void)state;
    static char block[1 << 16], value[4000];
    memset(value, 'v', sizeof value - 1);
    size_t length = h2_block(block, sizeof block, ":method", "GET", ":scheme", "http", ":authority", "a.test",
                             ":path", "/x", NULL);
    block[length++] = 0x40; /* a literal that is indexed, and then named 9,000 times: 36 MB */
    block[length++] = 1;
    block[length++] = 'x';
    block[length++] = 127;
    block[length++] = (char)((3999 - 127) % 128 + 128);
    block[length++] = (char)((3999 - 127) / 128);
    memcpy(block + length, value, 3999);
    length += 3999;
    memset(block + length, 0x80 | 62, 9000);
    length += 9000;
    h2_frame(&frames, NGHTTP2_HEADERS, H2_END | NGHTTP2_FLAG_END_HEADERS, 1, block, length);
    h2_frame_get(&frames, 3, NULL);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "");
    expect_frames(&bench, "GOAWAY:1:11 <end>");
}

/* ---- answers ---- */

static void answers(void **state)
{
    (void)state;
    h2_frame_get(&frames, 1, NULL);
    h2_frame_get(&frames, 3, NULL);
    h2_frame_head(&frames, 5, H2_END, ":method", "HEAD", ":scheme", "http", ":authority", "a.test", ":path",
                  "/x", NULL);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "head1:GET:/x:last head2:GET:/x:last head3:HEAD:/x:last");
    h2_call_response(&bench, 1, 103, -1, false);
    h2_call_response(&bench, 1, 200, 5, false);
    h2_call_text(&bench, 1, "hello", true);
    h2_call_response(&bench, 2, 200, -1, false);
    h2_call_text(&bench, 2, "more", false);
    h2_call_response(&bench, 3, 200, 1000, false);
    http_bench_turns(&bench.http, 3);
    expect_told(&bench, "closed3:none closed1:none");
    expect_frames(
        &bench,
        "HEADERS1{:status=103} HEADERS1{:status=200,content-length=5} HEADERS3{:status=200} HEADERS5{:status=200,content-length=1000}:end "
        "DATA1:5:end DATA3:4");
    h2_call_trailers(&bench, 2, "x-sum", "7");
    http_bench_turns(&bench.http, 3);
    expect_told(&bench, "closed2:none idle");
    expect_frames(&bench, "HEADERS3{x-sum=7}:end");
}

/* A body that is not what its head has said is cut, and seen to be. */
static void answers_of_wrong_length(void **state)
{
    (void)state;
    h2_frame_get(&frames, 1, NULL);
    h2_frame_get(&frames, 3, NULL);
    h2_peer_sends(&bench, &frames);
    h2_call_response(&bench, 1, 200, 5, false);
    h2_call_text(&bench, 1, "hell", true);
    h2_call_response(&bench, 2, 200, 5, false);
    h2_call_text(&bench, 2, "hello!", false);
    http_bench_turns(&bench.http, 3);
    expect_told(&bench, "head1:GET:/x:last head2:GET:/x:last closed1:internal closed2:internal idle");
    assert_null(strstr(h2_peer_reads(&bench), "DATA"));
}

/* Answered before its body came: what comes of it is thrown away, and in the end it is reset without an error
 * (RFC 9113 8.1). */
static void answered_early(void **state)
{
    (void)state;
    h2_frame_post(&frames, 1, NULL);
    h2_frame_data(&frames, 1, "some", false);
    h2_peer_sends(&bench, &frames);
    h2_call_response(&bench, 1, 404, 0, true);
    http_bench_turns(&bench.http, 3);
    expect_told(&bench, "head1:POST:/x body1:some closed1:none idle");
    expect_frames(&bench, "HEADERS1{:status=404,content-length=0}:end");
    h2_frame_data(&frames, 1, "more", false);
    h2_frame_get(&frames, 3, NULL);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "head2:GET:/x:last");
    for (unsigned i = 0; i < 500; i++) {
        http_bench_wait(&bench.http, 10);
        const char *got = h2_peer_reads(&bench);
        if (got[0] == 0)
            continue;
        assert_string_equal(got, "RST1:0");
        break;
    }
    h2_frame_data(&frames, 1, "late", true); /* it was on its way */
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "");
    expect_frames(&bench, "");
}

/* curl 7.88 has been answered when it sends the end of its request, and waits for one more frame. */
static void answered_before_its_last_bytes(void **state)
{
    (void)state;
    h2_frame_post(&frames, 1, "content-length", "9", NULL);
    h2_peer_sends(&bench, &frames);
    h2_call_response(&bench, 1, 204, -1, true);
    http_bench_turns(&bench.http, 3);
    expect_told(&bench, "head1:POST:/x closed1:none idle");
    expect_frames(&bench, "HEADERS1{:status=204}:end");
    h2_frame_data(&frames, 1, "some", false);
    h2_peer_sends(&bench, &frames);
    expect_frames(&bench, "");
    h2_frame_data(&frames, 1, "bytes", true);
    h2_peer_sends(&bench, &frames);
    expect_frames(&bench, "WINDOW0:5");
}

/* The same while trailers are half there: their fields would lie in an arena that is gone. */
static void answered_between_trailers(void **state)
{
    (void)state;
    char block[512];
    for (unsigned split = 0; split < 2; split++) {
        h2_bench_again(&bench, HTTP_SERVER);
        h2_frame_post(&frames, 1, NULL);
        size_t length = h2_block(block, sizeof block, "x-one", "1", "x-two", "2", "x-three", "3", NULL);
        h2_frame(&frames, NGHTTP2_HEADERS, H2_END | (split == 0 ? 0 : NGHTTP2_FLAG_END_HEADERS), 1, block,
                 split == 0 ? 12 : length);
        size_t kept = split == 0 ? 0 : length - 12;
        peer_sends_bytes(&bench.http, frames.bytes, frames.length - kept);
        h2_call_response(&bench, 1, 404, 0, true);
        http_bench_turns(&bench.http, 3);
        expect_told(&bench, "head1:POST:/x closed1:none idle");
        memmove(frames.bytes, frames.bytes + frames.length - kept, kept);
        frames.length = kept;
        if (split == 0)
            h2_frame(&frames, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, block + 12, length - 12);
        h2_frame_get(&frames, 3, NULL);
        h2_peer_sends(&bench, &frames);
        expect_told(&bench, "head2:GET:/x:last");
    }
}

/* ---- ends of streams ---- */

static void resets_both_ways(void **state)
{
    (void)state;
    h2_frame_get(&frames, 1, NULL);
    h2_frame_get(&frames, 3, NULL);
    h2_frame_get(&frames, 5, NULL);
    h2_peer_sends(&bench, &frames);
    bench.http.log.length = 0;
    h2_call_response(&bench, 2, 200, -1, false);
    h2_call_text(&bench, 2, "some", false);
    http_bench_turns(&bench.http, 3);
    h2_call_reset(&bench, 2, FAILURE_RESPONSE_CUT);
    h2_call_reset(&bench, 3, FAILURE_STREAM_REFUSED);
    h2_frame_number(&frames, NGHTTP2_RST_STREAM, 1, NGHTTP2_CANCEL);
    h2_frame_number(&frames, NGHTTP2_RST_STREAM, 3, NGHTTP2_CANCEL); /* they cross */
    h2_frame_number(&frames, NGHTTP2_WINDOW_UPDATE, 5, 100);
    h2_peer_sends(&bench, &frames);
    assert_non_null(strstr(bench.http.log.at, "closed1:client_closed"));
    assert_non_null(strstr(bench.http.log.at, "closed2:response_cut"));
    assert_non_null(strstr(bench.http.log.at, "closed3:stream_refused"));
    expect_frames(&bench, "HEADERS3{:status=200} DATA3:4 RST3:2 RST5:7");
}

static void frames_of_ended_streams(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        h2_bench_again(&bench, HTTP_SERVER);
        h2_frame_get(&frames, 1, NULL);
        h2_peer_sends(&bench, &frames);
        h2_call_response(&bench, 1, 200, 0, true);
        http_bench_turns(&bench.http, 3);
        (void)h2_peer_reads(&bench);
        bench.http.log.length = 0;
        if (i == 0)
            h2_frame_data(&frames, 1, "more", false);
        else
            h2_frame_get(&frames, 1, NULL);
        h2_peer_sends(&bench, &frames);
        expect_frames(&bench, "GOAWAY:1:5 <end>"); /* STREAM_CLOSED (RFC 9113 5.1) */
    }
}

/* ---- windows ---- */

static size_t sum_of(const char *output, const char *word)
{
    size_t sum = 0;
    for (const char *at = output; (at = strstr(at, word)) != NULL; at += strlen(word))
        sum += strtoul(at + strlen(word), NULL, 10);
    return sum;
}

static void the_peers_window_is_kept(void **state)
{
    (void)state;
    h2_frame_setting(&frames, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 256);
    h2_frame_get(&frames, 1, NULL);
    h2_frame_get(&frames, 3, NULL);
    h2_peer_sends(&bench, &frames);
    (void)h2_peer_reads(&bench);
    for (unsigned number = 1; number <= 2; number++) {
        h2_call_response(&bench, number, 200, 100000, false);
        h2_call_body(&bench, number, 100000, true);
    }
    http_bench_turns(&bench.http, 5);
    const char *got = h2_peer_reads(&bench);
    assert_int_equal(sum_of(got, "DATA1:"), 256);
    assert_int_equal(sum_of(got, "DATA3:"), 256);
    h2_frame_number(&frames, NGHTTP2_WINDOW_UPDATE, 1, 1);
    h2_peer_sends(&bench, &frames);
    expect_frames(&bench, "DATA1:1");
    h2_frame_setting(&frames, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0); /* now 256 below zero */
    h2_frame_number(&frames, NGHTTP2_WINDOW_UPDATE, 1, 100);
    h2_peer_sends(&bench, &frames);
    expect_frames(&bench, "SETTINGS:ack");
    h2_frame_setting(&frames, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20);
    h2_peer_sends(&bench, &frames);
    got = h2_peer_reads(&bench);
    assert_int_equal(sum_of(got, "DATA1:") + sum_of(got, "DATA3:"), 65535 - 513); /* the connection's */
    h2_frame_number(&frames, NGHTTP2_WINDOW_UPDATE, 0, 1 << 20);
    h2_peer_sends(&bench, &frames);
    got = h2_peer_reads(&bench);
    assert_int_equal(sum_of(got, "DATA1:") + sum_of(got, "DATA3:"), 200000 - 65535);
    wait_told(&bench, "idle");
}

/* Requests without a window for their answers come one at a time, until the one before has been given some.
 */
static void answers_without_a_window(void **state)
{
    (void)state;
    h2_frame_setting(&frames, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 255);
    h2_frame_get(&frames, 1, NULL);
    h2_frame_get(&frames, 3, NULL);
    h2_peer_sends(&bench, &frames);
    expect_frames(&bench, "SETTINGS:ack RST3:7");
    h2_frame_number(&frames, NGHTTP2_WINDOW_UPDATE, 1, 4095 - 255);
    h2_frame_get(&frames, 5, NULL);
    h2_peer_sends(&bench, &frames);
    expect_frames(&bench, "RST5:7");
    h2_frame_number(&frames, NGHTTP2_WINDOW_UPDATE, 1, 1);
    h2_frame_get(&frames, 7, NULL);
    h2_peer_sends(&bench, &frames);
    expect_frames(&bench, "");
}

static void windows_that_overflow(void **state)
{
    (void)state;
    h2_frame_get(&frames, 1, NULL);
    h2_frame_number(&frames, NGHTTP2_WINDOW_UPDATE, 1, INT32_MAX);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, ""); /* it never was a request of anybody's */
    expect_frames(&bench, "RST1:3");
    h2_frame_get(&frames, 3, NULL);
    h2_frame_number(&frames, NGHTTP2_WINDOW_UPDATE, 0, INT32_MAX);
    h2_peer_sends(&bench, &frames);
    expect_frames(&bench, "GOAWAY:3:3 <end>");
    h2_bench_again(&bench, HTTP_SERVER);
    h2_frame_get(&frames, 1, NULL);
    /* the library takes it for an error of the connection */
    h2_frame_number(&frames, NGHTTP2_WINDOW_UPDATE, 1, 0);
    h2_peer_sends(&bench, &frames);
    expect_frames(&bench, "GOAWAY:1:1 <end>");
}

/* A stream that holds its bytes is given no more than its window; credit opens it again by as much. */
static void our_window_is_kept(void **state)
{
    (void)state;
    bench.http.hold = true;
    h2_frame_post(&frames, 1, NULL);
    for (unsigned i = 0; i < 3; i++)
        h2_frame_bytes(&frames, 1, 16384, false);
    h2_frame_bytes(&frames, 1, 16383, false);
    h2_peer_sends(&bench, &frames);
    assert_int_equal(bench.streams[1].body_bytes, 65535);
    assert_int_equal(sum_of(h2_peer_reads(&bench), "WINDOW1:"), 0);
    h2_call_credit(&bench, 1, 40000);
    http_bench_turns(&bench.http, 3);
    expect_frames(&bench, "WINDOW1:40000");
    for (unsigned i = 0; i < 4; i++)
        h2_frame_bytes(&frames, 1, 10000, false);
    h2_peer_sends(&bench, &frames);
    assert_int_equal(bench.streams[1].body_bytes, 105535);
    bench.http.log.length = 0;
    h2_frame_bytes(&frames, 1, 1, false);
    h2_peer_sends(&bench, &frames);
    expect_frames(&bench, "RST1:3"); /* FLOW_CONTROL_ERROR */
    assert_null(bench.streams[1].stream);
}

/* A stream that is passed on at once gets a larger window, up to the cap and not beyond. */
static void windows_grow_to_the_cap(void **state)
{
    (void)state;
    bench.http.limits.stream_window = 300000;
    h2_bench_again(&bench, HTTP_SERVER);
    h2_frame_post(&frames, 1, NULL);
    size_t sent = 0, given = 65535, most = 0;
    for (unsigned i = 0; i < 400; i++) {
        while (frames.length + 17000 < sizeof frames.bytes && given - sent >= 16384) {
            h2_frame_bytes(&frames, 1, 16384, false);
            sent += 16384;
        }
        h2_peer_sends(&bench, &frames);
        given += sum_of(h2_peer_reads(&bench), "WINDOW1:");
        most = given - sent > most ? given - sent : most;
        assert_true(given - sent <= 300000);
    }
    assert_true(most > 150000);
    assert_int_equal(bench.streams[1].body_bytes, sent);
}

/* So many streams whose bytes are held; the next one's come all the same. */
static void held_streams_shut_no_other(void **state)
{
    (void)state;
    bench.http.limits.connection_window = 128 << 10;
    bench.http.hold = true;
    h2_bench_again(&bench, HTTP_SERVER);
    const size_t each = 60000; /* so that a window of 64 KiB is never used up */
    size_t given = 65535;      /* as long as half of connection_window is no more */
    int32_t id = 1;
    for (; id < 2 * 20; id += 2) {
        h2_frame_post(&frames, id, NULL);
        for (size_t sent = 0; sent < each; sent += 10000, given -= 10000) {
            assert_true(given >= 10000);
            h2_frame_bytes(&frames, id, 10000, false);
            h2_peer_sends(&bench, &frames);
            given += sum_of(h2_peer_reads(&bench), "WINDOW0:");
        }
        assert_int_equal(bench.streams[(id + 1) / 2].body_bytes, each);
    }
}

/* All windows together grow by connection_window, and what a stream had grown by is there for others once it
 * is over. */
static void windows_grow_by_the_connections(void **state)
{
    (void)state;
    enum { STREAMS = 4 };
    bench.http.limits.connection_window = 256 << 10;
    h2_bench_again(&bench, HTTP_SERVER);
    for (int32_t first = 1; first < 2 * 2 * STREAMS; first += 2 * STREAMS) {
        size_t sent[STREAMS] = {0}, given[STREAMS], most = 0, connection = 128 << 10;
        for (int32_t i = 0; i < STREAMS; i++) {
            given[i] = 65535;
            h2_frame_post(&frames, first + 2 * i, NULL);
        }
        for (unsigned round = 0; round < 400; round++) {
            size_t open = 0;
            for (int32_t i = 0; i < STREAMS; i++) {
                char word[16];
                size_t part = given[i] - sent[i] < 16384 ? given[i] - sent[i] : 16384;
                part = part < connection ? part : connection;
                if (part != 0)
                    h2_frame_bytes(&frames, first + 2 * i, part, false);
                sent[i] += part;
                h2_peer_sends(&bench, &frames);
                const char *read = h2_peer_reads(&bench);
                connection += sum_of(read, "WINDOW0:") - part;
                for (int32_t j = 0; j < STREAMS; j++) {
                    snprintf(word, sizeof word, "WINDOW%d:", (int)(first + 2 * j));
                    given[j] += sum_of(read, word);
                }
            }
            for (int32_t i = 0; i < STREAMS; i++)
                open += given[i] - sent[i];
            most = open > most ? open : most;
        }
        assert_in_range(most, STREAMS * 65536 + (100 << 10), STREAMS * 65536 + (256 << 10));
        for (int32_t i = 0; i < STREAMS; i++)
            h2_frame_number(&frames, NGHTTP2_RST_STREAM, first + 2 * i, NGHTTP2_CANCEL);
        h2_peer_sends(&bench, &frames);
        (void)h2_peer_reads(&bench);
    }
}

static size_t send_part(int32_t id, uint8_t flags, size_t room)
{
    char padded[16000] = {42};
    size_t part = room < sizeof padded ? room : sizeof padded;
    if (part <= 50)
        return 0;
    h2_frame(&frames, NGHTTP2_DATA, (uint8_t)(NGHTTP2_FLAG_PADDED | flags), id, padded, part);
    return part;
}

/* Bytes of streams that are cancelled, refused, answered early or whole, or before their last bytes: the
 * connection's window comes back once, no more and no less. */
static void credit_comes_back_once(void **state)
{
    (void)state;
    bench.http.limits.connection_window = 256 << 10; /* announced is the half */
    bench.http.hold = true;
    h2_bench_again(&bench, HTTP_SERVER);
    const size_t window = 128 << 10;
    size_t sent = 0, given = window;
    int32_t id = 1;
    for (unsigned round = 0; round < 120; round++, id += 2) {
        unsigned number = bench.opened + 1;
        h2_frame_post(&frames, id, NULL);
        for (unsigned i = 0; i < 3; i++)
            sent += send_part(id, NGHTTP2_FLAG_NONE, given - sent);
        h2_peer_sends(&bench, &frames);
        switch (round % 7) {
        case 0:
            h2_frame_number(&frames, NGHTTP2_RST_STREAM, id, NGHTTP2_CANCEL);
            break;
        case 1:
            h2_call_reset(&bench, number, FAILURE_INTERNAL);
            break;
        case 2:
            h2_call_response(&bench, number, 404, 0, true);
            break;
        case 3:
            h2_call_credit(&bench, number, bench.streams[number].body_bytes / 2);
            h2_frame_number(&frames, NGHTTP2_RST_STREAM, id, NGHTTP2_CANCEL);
            break;
        case 4:
            h2_call_credit(&bench, number, bench.streams[number].body_bytes);
            h2_call_reset(&bench, number, FAILURE_INTERNAL);
            break;
        case 5:
            h2_call_response(&bench, number, 404, 0, true);
            http_bench_turns(&bench.http, 3);
            sent += send_part(id, NGHTTP2_FLAG_END_STREAM, given - sent);
            break;
        default: /* stays for a while */
            if (number > 12 && bench.streams[number - 12].stream != NULL)
                h2_call_reset(&bench, number - 12, FAILURE_INTERNAL);
            break;
        }
        h2_peer_sends(&bench, &frames);
        given += sum_of(h2_peer_reads(&bench), "WINDOW0:");
        assert_true(given >= sent && given - sent <= window);
    }
    for (unsigned number = 1; number <= bench.opened; number++)
        if (bench.streams[number].stream != NULL)
            h2_call_reset(&bench, number, FAILURE_INTERNAL);
    http_bench_turns(&bench.http, 5);
    given += sum_of(h2_peer_reads(&bench), "WINDOW0:");
    /* the rest is told with the next bytes */
    assert_true(given - sent > window / 2 - 1 && given - sent <= window);
}

/* ---- extended CONNECT (RFC 8441) ---- */

#define TUNNEL \
    ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a.test", ":path", "/x"

static void tunnels(void **state)
{
    (void)state;
    h2_frame_head(&frames, 1, 0, TUNNEL, "sec-websocket-version", "13", NULL);
    h2_frame_data(&frames, 1, "early", false); /* is kept until the tunnel is there */
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "head1:CONNECT:/x:websocket:Sec-WebSocket-Version=13:last");
    h2_call_response(&bench, 1, 101, -1, false);
    h2_call_text(&bench, 1, "hello", false);
    http_bench_turns(&bench.http, 3);
    expect_told(&bench, "body1:early");
    expect_frames(&bench, "HEADERS1{:status=200} DATA1:5");
    h2_frame_data(&frames, 1, "last", true);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "body1:last:last");
    h2_call_text(&bench, 1, "bye", true);
    http_bench_turns(&bench.http, 3);
    expect_told(&bench, "closed1:none idle");
    expect_frames(&bench, "DATA1:3:end");
    /* ended by the client before it is granted */
    h2_frame_head(&frames, 3, 0, TUNNEL, NULL);
    h2_frame_data(&frames, 3, "all", true);
    h2_peer_sends(&bench, &frames);
    h2_call_response(&bench, 2, 101, -1, false);
    http_bench_turns(&bench.http, 3);
    expect_told(&bench, "head2:CONNECT:/x:websocket:last body2:all:last");
    h2_call_body(&bench, 2, 0, true);
    http_bench_turns(&bench.http, 3);
    expect_told(&bench, "closed2:none idle");
    /* refused */
    h2_frame_head(&frames, 5, 0, TUNNEL, NULL);
    h2_frame_data(&frames, 5, "all", false);
    h2_peer_sends(&bench, &frames);
    h2_call_response(&bench, 3, 403, 0, true);
    http_bench_turns(&bench.http, 3);
    expect_told(&bench, "head3:CONNECT:/x:websocket:last closed3:none idle");
}

/* A tunnel has no length: one that is announced is a body that never comes. */
static void tunnels_with_a_length(void **state)
{
    (void)state;
    static const char *const lengths[] = {"38", "0"};
    for (size_t i = 0; i < 2; i++) {
        h2_frame_head(&frames, 1 + 2 * (int)i, 0, TUNNEL, "content-length", lengths[i], NULL);
        h2_peer_sends(&bench, &frames);
        char told[64];
        snprintf(told, sizeof told, "refused%zu:bad_framing", i + 1);
        expect_told(&bench, told);
    }
}

static void what_is_announced_is_sent(void **state)
{
    (void)state;
    static const struct {
        int64_t length;
        const char *body; /* NULL: the head ends the message */
        bool last, trailers;
    } cases[] = {{5, NULL, true, false},
                 {5, "hell", true, false},
                 {5, "hello!", false, false},
                 {5, "hell", false, true}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        h2_bench_again(&bench, HTTP_SERVER);
        h2_frame_get(&frames, 1, NULL);
        h2_peer_sends(&bench, &frames);
        bench.http.log.length = 0;
        h2_call_response(&bench, 1, 200, cases[i].length, cases[i].body == NULL);
        if (cases[i].body != NULL)
            h2_call_text(&bench, 1, cases[i].body, cases[i].last);
        if (cases[i].trailers)
            h2_call_trailers(&bench, 1, "x-sum", "1");
        http_bench_turns(&bench.http, 3);
        expect_told(&bench, "closed1:internal idle");
        const char *seen = h2_peer_reads(&bench);
        assert_null(strstr(seen, ":end"));
        assert_non_null(strstr(seen, "RST1:2"));
    }
}

/* ---- the end of the connection ---- */

static void drained_in_two_steps(void **state)
{
    (void)state;
    h2_frame_get(&frames, 1, NULL);
    h2_peer_sends(&bench, &frames);
    http_conn_drain(bench.http.conn);
    http_bench_turns(&bench.http, 3);
    /* in this order: the answer tells that GOAWAY was seen */
    expect_frames(&bench, "GOAWAY:2147483647:0 PING");
    h2_frame_get(&frames, 3, NULL); /* was on its way */
    h2_frame(&frames, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "\0\0\0\0\0\0\0\0", 8);
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "head1:GET:/x:last head2:GET:/x:last");
    expect_frames(&bench, "GOAWAY:3:0");
    h2_frame_get(&frames, 5, NULL); /* is not taken any more */
    h2_peer_sends(&bench, &frames);
    expect_told(&bench, "");
    h2_call_response(&bench, 1, 200, 0, true);
    h2_call_response(&bench, 2, 200, 0, true);
    http_bench_turns(&bench.http, 3);
    expect_told(&bench, "closed1:none closed2:none idle");
    expect_frames(
        &bench,
        "HEADERS1{:status=200,content-length=0}:end HEADERS3{:status=200,content-length=0}:end <end>");
    close(bench.http.peer);
    bench.http.peer = -1;
    http_bench_turns(&bench.http, 3);
    expect_told(&bench, "end");
}

/* All that was said leaves, however slowly the client reads: lingering begins after that. */
static void the_last_answer_leaves_before_the_end(void **state)
{
    (void)state;
    bench.http.timeouts.linger = 50;
    h2_bench_again(&bench, HTTP_SERVER);
    h2_frame_setting(&frames, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 24);
    h2_frame_number(&frames, NGHTTP2_WINDOW_UPDATE, 0, 1 << 24);
    h2_frame_get(&frames, 1, NULL);
    h2_peer_sends(&bench, &frames);
    http_conn_drain(bench.http.conn);
    h2_frame(&frames, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "\0\0\0\0\0\0\0\0", 8);
    h2_peer_sends(&bench, &frames);
    h2_call_response(&bench, 1, 200, 600000, false);
    h2_call_body(&bench, 1, 600000, true);
    size_t total = 0;
    for (;;) {
        static char some[30000];
        http_bench_wait(&bench.http, 120); /* nothing for longer than linger, and then a little */
        ssize_t got = recv(bench.http.peer, some, sizeof some, 0);
        if (got <= 0)
            break;
        total += (size_t)got;
    }
    assert_true(total > 600000);
}

/* What a client's windows allow but its line does not take waits in the streams, where it is counted, and not
 * in the transport. */
static void bodies_wait_in_their_streams(void **state)
{
    (void)state;
    h2_frame_setting(&frames, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 24);
    h2_frame_number(&frames, NGHTTP2_WINDOW_UPDATE, 0, 1 << 24);
    for (int32_t id = 1; id <= 99; id += 2)
        h2_frame_get(&frames, id, NULL);
    h2_peer_sends(&bench, &frames);
    (void)h2_peer_reads(&bench);
    for (unsigned number = 1; number <= 50; number++) {
        h2_call_response(&bench, number, 200, 64000, false);
        h2_call_body(&bench, number, 64000, true);
    }
    http_bench_turns(&bench.http, 3);
    assert_true(transport_unsent(http_conn_transport(bench.http.conn)) <= (64 << 10) + 16384 + 9);
    size_t got = 0;
    for (unsigned i = 0; i < 200 && bench.http.log.length == 0; i++)
        got += sum_of(h2_peer_reads(&bench), "DATA1:");
    for (unsigned i = 0; i < 1000 && strstr(bench.http.log.at, "idle") == NULL; i++) {
        got += sum_of(h2_peer_reads(&bench), "DATA1:");
        http_bench_turns(&bench.http, 3);
    }
    got += sum_of(h2_peer_reads(&bench), "DATA1:");
    assert_int_equal(got, 64000);
}

/* ---- attackers ---- */

/* A request head that does not come to its end, by CONTINUATION frames or within a frame: the time for heads
 * is kept. */
static void slow_heads(void **state)
{
    (void)state;
    char block[256];
    size_t length = h2_block(block, sizeof block, USUAL, "accept", "*/*", NULL);
    bench.http.timeouts.request_head = 100;
    for (unsigned i = 0; i < 4; i++) {
        h2_bench_again(&bench, HTTP_SERVER);
        frames.length = 0;
        if (i >= 2) { /* behind a request that was answered */
            h2_frame_get(&frames, 1, NULL);
            h2_peer_sends(&bench, &frames);
            h2_call_response(&bench, 1, 200, 0, true);
            http_bench_turns(&bench.http, 3);
        }
        bool whole = i % 2 == 0;
        h2_frame(&frames, NGHTTP2_HEADERS, H2_END | (whole ? NGHTTP2_FLAG_END_HEADERS : 0), 3, block, length);
        if (whole)
            frames.length -= 5;
        h2_peer_sends(&bench, &frames);
        bench.http.log.length = 0;
        unsigned turns = 0;
        const char *got = h2_peer_reads(&bench);
        for (; strstr(got, "GOAWAY") == NULL && turns < 200; turns++) {
            http_bench_wait(&bench.http, 20);
            got = h2_peer_reads(&bench);
        }
        assert_non_null(strstr(got, "GOAWAY"));
    }
}

/* Many answers over a thin line: each gets its turn, later than a client may stall; the client does not
 * stall. */
static void a_slow_reader_of_many_streams(void **state)
{
    (void)state;
    bench.http.timeouts.write = 300;
    h2_bench_again(&bench, HTTP_SERVER);
    h2_frame_setting(&frames, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 24);
    for (int32_t id = 1; id <= 99; id += 2)
        h2_frame_get(&frames, id, NULL);
    h2_peer_sends(&bench, &frames);
    (void)h2_peer_reads(&bench);
    bench.http.log.length = 0;
    for (unsigned number = 1; number <= 50; number++) {
        h2_call_response(&bench, number, 200, 40000, false);
        h2_call_body(&bench, number, 40000, true);
    }
    http_bench_turns(&bench.http, 3);
    size_t got = sum_of(h2_peer_reads(&bench), "DATA1:");
    assert_true(got != 0);
    for (unsigned i = 0; i < 30; i++) { /* the connection's window opens by a frame at a time */
        h2_frame_number(&frames, NGHTTP2_WINDOW_UPDATE, 0, 16384);
        h2_peer_sends(&bench, &frames);
        http_bench_wait(&bench.http, 50);
        (void)h2_peer_reads(&bench);
    }
    bench.http.log.at[bench.http.log.length] = 0;
    assert_true(bench.http.log.length == 0 || strstr(bench.http.log.at, "client_stalled") == NULL);
    bench.http.log.length = 0;
    wait_told(&bench, "client_stalled"); /* but one that takes nothing does */
}

/* Past the bound of errors the connection is told why it ends. */
static void a_flood_is_told(void **state)
{
    (void)state;
    const char *goaway = NULL;
    for (int32_t id = 1; id < 1000 && goaway == NULL; id += 2) {
        h2_frame_head(&frames, id, H2_END, USUAL, "X-Upper", "1", NULL);
        h2_peer_sends(&bench, &frames);
        goaway = strstr(h2_peer_reads(&bench), "GOAWAY:");
    }
    assert_non_null(goaway);
    assert_non_null(strstr(goaway, ":11 <end>")); /* ENHANCE_YOUR_CALM */
    assert_int_equal(bench.opened, 2);            /* a few lines in the log, and no more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_at_every_split, begin, end),
        cmocka_unit_test_setup_teardown(crumbs_of_a_cookie_are_joined, begin, end),
        cmocka_unit_test_setup_teardown(heads_in_pieces_at_every_split, begin, end),
        cmocka_unit_test_setup_teardown(resets_behind_their_requests, begin, end),
        cmocka_unit_test_setup_teardown(large_heads_are_no_flood, begin, end),
        cmocka_unit_test_setup_teardown(wrong_heads, begin, end),
        cmocka_unit_test_setup_teardown(refused_heads, begin, end),
        cmocka_unit_test_setup_teardown(lengths_that_are_not_kept, begin, end),
        cmocka_unit_test_setup_teardown(header_list_bomb, begin, end),
        cmocka_unit_test_setup_teardown(answers, begin, end),
        cmocka_unit_test_setup_teardown(answers_of_wrong_length, begin, end),
        cmocka_unit_test_setup_teardown(answered_early, begin, end),
        cmocka_unit_test_setup_teardown(answered_before_its_last_bytes, begin, end),
        cmocka_unit_test_setup_teardown(answered_between_trailers, begin, end),
        cmocka_unit_test_setup_teardown(resets_both_ways, begin, end),
        cmocka_unit_test_setup_teardown(frames_of_ended_streams, begin, end),
        cmocka_unit_test_setup_teardown(the_peers_window_is_kept, begin, end),
        cmocka_unit_test_setup_teardown(answers_without_a_window, begin, end),
        cmocka_unit_test_setup_teardown(windows_that_overflow, begin, end),
        cmocka_unit_test_setup_teardown(our_window_is_kept, begin, end),
        cmocka_unit_test_setup_teardown(windows_grow_to_the_cap, begin, end),
        cmocka_unit_test_setup_teardown(held_streams_shut_no_other, begin, end),
        cmocka_unit_test_setup_teardown(windows_grow_by_the_connections, begin, end),
        cmocka_unit_test_setup_teardown(credit_comes_back_once, begin, end),
        cmocka_unit_test_setup_teardown(tunnels, begin, end),
        cmocka_unit_test_setup_teardown(tunnels_with_a_length, begin, end),
        cmocka_unit_test_setup_teardown(what_is_announced_is_sent, begin, end),
        cmocka_unit_test_setup_teardown(drained_in_two_steps, begin, end),
        cmocka_unit_test_setup_teardown(the_last_answer_leaves_before_the_end, begin, end),
        cmocka_unit_test_setup_teardown(bodies_wait_in_their_streams, begin, end),
        cmocka_unit_test_setup_teardown(slow_heads, begin, end),
        cmocka_unit_test_setup_teardown(a_slow_reader_of_many_streams, begin, end),
        cmocka_unit_test_setup_teardown(a_flood_is_told, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
