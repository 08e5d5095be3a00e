/* What is not made when the system has no memory, or no room in epoll: it is NULL on the way up, what was
 * handed over stays the caller's, and nothing ends but what can't go on. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/block.h"
#include "base/clock.h"
#include "http/http_conn.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/transport.h"
#include "support/http_bench.h"
#include "support/loop_run_for.h"
#include "unit/unit.h"

/* The linker puts these in the place of what libweir.a calls (--wrap). Each fails at the call that is counted
 * down to; 0: none does. */
static unsigned callocs, adds;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
int __real_event_add(struct event *event, const struct timeval *timeout);
int __wrap_event_add(struct event *event, const struct timeval *timeout);

static bool fails(unsigned *left)
{
    return *left != 0 && --*left == 0;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails(&callocs) ? NULL : __real_calloc(count, size);
}

int __wrap_event_add(struct event *event, const struct timeval *timeout)
{
    return fails(&adds) ? -1 : __real_event_add(event, timeout);
}

static struct http_bench bench;
static int pair[2];
static int ended_by; /* the error of closed(); -1: it was not told */
static size_t received_bytes;

static int begin(void **state)
{
    (void)state;
    http_bench_begin(&bench, HTTP_SERVER);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    ended_by = -1;
    received_bytes = 0;
    return 0;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int end(void **state)
{
    (void)state;
    callocs = adds = 0;
    block_pool_configure(0, 256);
    close(pair[1]);
    if (is_open(pair[0]))
        close(pair[0]);
    http_bench_end(&bench);
    assert_int_equal(block_pool_out(), 0);
    return 0;
}

/* ---- a watch ---- */

static void nothing_ready(void *owner, unsigned bits)
{
    (void)owner;
    (void)bits;
}

static void a_watch_that_cannot_be_made_is_null(void **state)
{
    (void)state;
    callocs = 1;
    assert_null(watch_new(bench.loop, pair[0], WATCH_READ, nothing_ready, NULL));
    adds = 1;
    assert_null(watch_new(bench.loop, pair[0], WATCH_READ, nothing_ready, NULL));
    struct watch *watch = watch_new(bench.loop, pair[0], WATCH_READ, nothing_ready, NULL);
    assert_non_null(watch);
    adds = 1;
    assert_false(watch_change(watch, WATCH_READ | WATCH_WRITE));
    assert_true(watch_change(watch, WATCH_READ));
    watch_free(watch);
    http_bench_turns(&bench, 2);
    assert_true(is_open(pair[0]));
}

/* ---- a transport ---- */

static void opened(struct transport *transport)
{
    (void)transport;
}

static void closed(struct transport *transport, int error)
{
    (void)transport;
    assert_int_equal(ended_by, -1); /* once */
    ended_by = error;
}

static void received(struct transport *transport, struct buf *bytes)
{
    (void)transport;
    received_bytes += bytes->length;
    buf_clear(bytes);
}

static const struct transport_events events = {.opened = opened, .received = received, .closed = closed};

static void a_transport_without_memory_leaves_the_descriptor(void **state)
{
    (void)state;
    callocs = 1;
    assert_null(transport_new_plain(bench.loop, pair[0], false, &events, NULL));
    assert_true(is_open(pair[0]));
    http_bench_turns(&bench, 2);
    assert_int_equal(ended_by, -1);
}

static void a_transport_that_nothing_watches_ends(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        int own[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, own), 0);
        callocs = i == 0 ? 2 : 0; /* the first is the transport itself */
        adds = i;
        ended_by = -1;
        assert_non_null(transport_new_plain(bench.loop, own[0], false, &events, NULL));
        assert_int_equal(ended_by, -1); /* not from inside */
        http_bench_turns(&bench, 3);
        assert_int_equal(ended_by, ENOMEM);
        assert_false(is_open(own[0]));
        close(own[1]);
    }
}

static void a_transport_whose_watch_is_lost_ends(void **state)
{
    (void)state;
    struct transport *transport = transport_new_plain(bench.loop, pair[0], false, &events, NULL);
    assert_non_null(transport);
    http_bench_turns(&bench, 2);
    transport_pause(transport);
    assert_int_equal(write(pair[1], "x", 1), 1);
    http_bench_turns(&bench, 3); /* what waits while it is paused is watched no more */
    adds = 1;
    transport_resume(transport);
    http_bench_turns(&bench, 3);
    assert_int_equal(adds, 0);
    assert_int_equal(ended_by, ENOMEM);
    assert_false(is_open(pair[0]));
}

/* ---- reading without memory ---- */

/* Opened, with a byte to read, and no block to read it into. */
static struct transport *starving(struct loop *loop, struct block **taken)
{
    struct transport *transport = transport_new_plain(loop, pair[0], false, &events, NULL);
    assert_non_null(transport);
    loop_turn(loop);
    *taken = block_take();
    assert_non_null(*taken);
    block_pool_configure(block_pool_out(), 256);
    assert_int_equal(write(pair[1], "x", 1), 1);
    return transport;
}

static void who_finds_no_memory_waits_for_some(void **state)
{
    (void)state;
    struct block *taken;
    struct transport *transport = starving(bench.loop, &taken);
    for (unsigned i = 0; i < 3; i++) { /* that it was fed starts the count again */
        loop_run_for(bench.loop, 120);
        assert_int_equal(ended_by, -1);
        assert_int_equal(received_bytes, i);
        block_release(taken);
        RUN_UNTIL(bench.loop, received_bytes == i + 1);
        assert_int_equal(received_bytes, i + 1);
        taken = block_take();
        assert_non_null(taken);
        assert_int_equal(write(pair[1], "x", 1), 1);
    }
    block_release(taken);
    RUN_UNTIL(bench.loop, received_bytes == 4);
    assert_int_equal(write(pair[1], "x", 1), 1);
    RUN_UNTIL(bench.loop, received_bytes == 5); /* the loop tells again of what comes */
    assert_int_equal(received_bytes, 5);
    transport_close(transport);
    http_bench_turns(&bench, 3);
    assert_int_equal(ended_by, 0);
}

static uint64_t processor_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ... without a spin of the loop, which would tell of the byte in every turn. */
static void who_waits_in_vain_for_memory_ends(void **state)
{
    (void)state;
    struct loop *loop = loop_new(); /* the bench's never sleeps */
    struct block *taken;
    (void)starving(loop, &taken);
    loop_run_for(loop, 1);
    uint64_t began = processor_us(), clock_began = clock_monotonic_us();
    while (ended_by == -1 && clock_monotonic_us() - clock_began < 30000000)
        loop_run_for(loop, 20);
    assert_int_equal(ended_by, ENOMEM);
    assert_in_range(clock_monotonic_us() - clock_began, 150000, 30000000);
    if (processor_us() - began > (clock_monotonic_us() - clock_began) / 2)
        fail_msg("%" PRIu64 " us of the processor's", processor_us() - began);
    assert_false(is_open(pair[0]));
    block_release(taken);
    loop_free(loop);
}

/* Whoever is closed while it waits is not looked at again. */
static void who_waits_for_memory_may_be_closed(void **state)
{
    (void)state;
    struct block *taken;
    struct transport *transport = starving(bench.loop, &taken);
    loop_run_for(bench.loop, 20);
    transport_close(transport);
    loop_run_for(bench.loop, 20);
    assert_int_equal(ended_by, 0);
    assert_int_equal(received_bytes, 0);
    block_release(taken);
}

/* ---- a codec ---- */

static void nobody(struct http_conn *conn)
{
    (void)conn;
}

static void a_codec_without_memory_leaves_the_transport(void **state)
{
    (void)state;
    static const struct http_conn_events none = {.idle = nobody};
    static const enum http_role roles[] = {HTTP_SERVER, HTTP_CLIENT};
    static const enum http_version versions[] = {HTTP_1, HTTP_2};
    struct transport *transport = transport_new_plain(bench.loop, pair[0], false, &events, NULL);
    assert_non_null(transport);
    http_bench_turns(&bench, 2);
    for (size_t i = 0; i < COUNT_OF(versions); i++)
        for (size_t j = 0; j < COUNT_OF(roles) && http_version_is_built(versions[i]); j++) {
            callocs = 1;
            assert_null(http_conn_new(versions[i], roles[j], transport, &bench.settings, NULL, &none, NULL));
            assert_int_equal(callocs, 0);
        }
    http_bench_turns(&bench, 2);
    assert_int_equal(ended_by, -1);
    transport_close(transport);
    http_bench_turns(&bench, 3);
    assert_int_equal(ended_by, 0);
}

/* ---- a listener ---- */

static unsigned came;

static enum listener_next accepted(void *owner, int fd, const struct address *peer)
{
    (void)owner;
    (void)peer;
    came++;
    close(fd);
    return LISTENER_MORE;
}

static void a_listener_that_nothing_watches_tries_again(void **state)
{
    (void)state;
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    for (unsigned i = 0; i < 2; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
            client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(listen(fd, 8), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
        came = 0;
        callocs = i == 0 ? 2 : 0; /* the first is the listener itself */
        adds = i;
        struct listener *listener = listener_new(bench.loop, fd, accepted, NULL);
        assert_int_equal(callocs + adds, 0);
        assert_int_equal(connect(client, (struct sockaddr *)&name, length), 0);
        http_bench_turns(&bench, 2);
        assert_int_equal(came, 0);
        http_bench_wait(&bench, 1000);
        assert_int_equal(came, 1);
        listener_free(listener);
        http_bench_turns(&bench, 2);
        close(client);
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_watch_that_cannot_be_made_is_null, begin, end),
        cmocka_unit_test_setup_teardown(a_transport_without_memory_leaves_the_descriptor, begin, end),
        cmocka_unit_test_setup_teardown(a_transport_that_nothing_watches_ends, begin, end),
        cmocka_unit_test_setup_teardown(a_transport_whose_watch_is_lost_ends, begin, end),
        cmocka_unit_test_setup_teardown(who_finds_no_memory_waits_for_some, begin, end),
        cmocka_unit_test_setup_teardown(who_waits_in_vain_for_memory_ends, begin, end),
        cmocka_unit_test_setup_teardown(who_waits_for_memory_may_be_closed, begin, end),
        cmocka_unit_test_setup_teardown(a_codec_without_memory_leaves_the_transport, begin, end),
        cmocka_unit_test_setup_teardown(a_listener_that_nothing_watches_tries_again, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
