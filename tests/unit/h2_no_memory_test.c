/* The HTTP/2 codec as a server without memory: a stream for which there is none was not processed, which
 * REFUSED_STREAM says (RFC 9113 8.7), so that the client may ask again; the others go on. */
#include <stdio.h>
#include <string.h>

#include "base/block.h"
#include "base/counters.h"
#include "base/small.h"
#include "support/h2_bench.h"
#include "support/no_memory.h"
#include "unit/unit.h"

#define ROUNDS 16u
#define MORE 6u /* streams than in the round before: kept pieces don't suffice for them */

static struct h2_bench bench;
static struct h2_frames frames;

static int begin(void **state)
{
    (void)state;
    h2_bench_begin(&bench, HTTP_SERVER);
    return 0;
}

static int end(void **state)
{
    (void)state;
    no_memory_at(0);
    h2_bench_end(&bench);
    return 0;
}

static unsigned count(const char *text, const char *word)
{
    unsigned times = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word))
        times++;
    return times;
}

static void a_stream_without_memory_is_refused(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        h2_bench_again(&bench, HTTP_SERVER);
        int64_t refused_before = counter_sum(COUNTER_memory_refused);
        unsigned streams = round * MORE;
        for (unsigned i = 0; i < streams; i++)
            h2_frame_post(&frames, (int32_t)(2 * i + 1), NULL);
        no_memory_at(round % MORE + 1);
        h2_peer_sends(&bench, &frames);
        bool came = no_memory_came();
        no_memory_at(0);
        http_bench_wait(&bench.http, 50); /* where no block was to be had, it is looked again */
        const char *answered = h2_peer_reads(&bench);
        if (strchr(answered, '<') != NULL) { /* what had been read was lost, so the connection is */
            assert_true(came);
            assert_int_equal(bench.opened, 0);
            frames.length = 0;
            continue;
        }
        unsigned refused = count(answered, ":7"); /* REFUSED_STREAM */
        if (count(answered, "RST") != refused || count(answered, "GOAWAY") != 0 ||
            bench.opened + refused != streams)
            fail_msg("%u of %u streams came: %s", bench.opened, streams, answered);
        assert_int_equal(counter_sum(COUNTER_memory_refused), refused_before + refused);
        assert_true(refused <= (came ? 1 : 0));
        failed += refused;
        /* who asks again is served */
        h2_frame_get(&frames, (int32_t)(2 * streams + 1), NULL);
        h2_peer_sends(&bench, &frames);
        assert_int_equal(bench.opened + refused, streams + 1);
    }
    assert_true(failed >= ROUNDS / 4);
}

/* As long as others may go and give theirs: what was framed, and bodies that are copied or moved, wait. */
static void answers_wait_for_memory(void **state)
{
    (void)state;
    static char large[9000];
    memset(large, 'b', sizeof large - 1);
    const struct {
        const char *body, *frames;
        unsigned waits; /* ms */
    } cases[] = {{"hello", "HEADERS1{:status=200} DATA1:5:end", 100},
                 {large, "HEADERS1{:status=200} DATA1:8999:end", 100},
                 {"hello", NULL, 1000}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        h2_bench_again(&bench, HTTP_SERVER);
        h2_frame_get(&frames, 1, NULL);
        h2_peer_sends(&bench, &frames);
        expect_told(&bench, "head1:GET:/x:last");
        (void)h2_peer_reads(&bench);
        h2_call_response(&bench, 1, 200, -1, false);
        h2_call_text(&bench, 1, cases[i].body, true);
        block_pool_configure(block_pool_out(), 0);
        http_bench_wait(&bench.http, cases[i].waits);
        if (cases[i].frames != NULL)
            expect_told(&bench, "");
        block_pool_configure(0, 256);
        if (cases[i].frames == NULL) {
            expect_told(&bench, "closed1:overloaded end");
            continue;
        }
        http_bench_wait(&bench.http, 100);
        expect_told(&bench, "closed1:none idle");
        expect_frames(&bench, cases[i].frames);
    }
}

/* ---- frames for which the library has no memory: it does not make them again ---- */

static void peer_asks(void)
{
    h2_frame_get(&frames, 1, NULL);
    h2_peer_sends(&bench, &frames);
}

static void peer_is_answered(void)
{
    peer_asks();
    h2_call_response(&bench, 1, 200, -1, false);
}

/* As many bodies as the library's queue of them has to grow for. */
static void many_are_answered(void)
{
    for (unsigned i = 1; i <= MORE; i++) {
        h2_frame_get(&frames, (int32_t)(2 * i - 1), NULL);
        h2_peer_sends(&bench, &frames);
        h2_call_response(&bench, i, 200, -1, false);
        http_bench_turns(&bench.http, 3);
    }
}

static void peer_uploads(void)
{
    h2_frame_post(&frames, 1, NULL);
    for (unsigned i = 0; i < 4; i++)
        h2_frame_bytes(&frames, 1, 10000, false);
    h2_peer_sends(&bench, &frames);
}

static void request(void)
{
    (void)h2_call_request(&bench, "GET", -1, true, NULL);
}

static void nothing(void)
{
}

static void answer(void)
{
    h2_call_response(&bench, 1, 200, -1, true);
}

static void send_trailers(void)
{
    for (unsigned i = 1; i <= MORE; i++)
        h2_call_trailers(&bench, i, "a", "b");
}

static void cut_answer(void)
{
    h2_call_reset(&bench, 1, FAILURE_RESPONSE_CUT);
}

static void credit(void)
{
    h2_call_credit(&bench, 1, 40000);
}

static bool has_frame(const char *frames_read, const char *kind, unsigned id)
{
    char words[2][32]; /* "RST1:8", "HEADERS1{:status=200}" */
    snprintf(words[0], sizeof words[0], "%s%u:", kind, id);
    snprintf(words[1], sizeof words[1], "%s%u{", kind, id);
    return strstr(frames_read, words[0]) != NULL || strstr(frames_read, words[1]) != NULL;
}

/* The peer has the frame of each stream, or the end of the stream or of the connection: else it would wait
 * for good. */
static void expect_peer_knows(const char *kind, unsigned streams, unsigned n)
{
    const char *got = h2_peer_reads(&bench);
    for (unsigned id = 1; id < 2 * streams && strchr(got, '<') == NULL; id += 2)
        if (!has_frame(got, kind, id) && !has_frame(got, "RST", id))
            fail_msg("%s%u is lost where allocation %u fails: %s", kind, id, n, got);
}

static void no_frame_is_lost_alone(void **state)
{
    (void)state;
    const struct {
        enum http_role role;
        void (*before)(void), (*act)(void);
        const char *frame;
        unsigned streams;
    } cases[] = {
        {HTTP_CLIENT, request, nothing, "HEADERS", 1},
        {HTTP_SERVER, peer_asks, answer, "HEADERS", 1},
        {HTTP_SERVER, many_are_answered, send_trailers, "HEADERS", MORE},
        {HTTP_SERVER, peer_is_answered, cut_answer, "RST", 1},
        {HTTP_SERVER, peer_uploads, credit, "WINDOW", 1},
    };
    bench.http.hold = true;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool came = true;
        for (unsigned n = 1; came; n++) {
            h2_bench_again(&bench, cases[i].role);
            cases[i].before();
            if (cases[i].act != nothing) { /* then what stood before is on its way */
                http_bench_turns(&bench.http, 3);
                (void)h2_peer_reads(&bench);
            }
            small_trim();
            no_memory_at(n);
            cases[i].act();
            http_bench_turns(&bench.http, 5);
            came = no_memory_came();
            http_bench_wait(&bench.http, 50); /* where no block was to be had, it is looked again */
            expect_peer_knows(cases[i].frame, cases[i].streams, n);
            assert_true(came || n > 1); /* memory was asked for */
        }
    }
    bench.http.hold = false;
}

int main(void)
{
    counters_thread_enter();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stream_without_memory_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(answers_wait_for_memory, begin, end),
        cmocka_unit_test_setup_teardown(no_frame_is_lost_alone, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
