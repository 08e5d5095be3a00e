/* The log: rings between two threads, lines as they are written, folding, files that are reopened, readers
 * that are stuck. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/log_crowd.h"
#include "base/log_output.h"
#include "base/log_ring.h"
#include "base/log_writer.h"
#include "base/rng.h"
#include "unit.h"

static char folder[] = "/tmp/weir-log-test-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[8][128];
    static unsigned turn;
    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static char *contents(const char *path)
{
    static char text[1 << 20];
    int descriptor = open(path, O_RDONLY);
    ssize_t length = descriptor >= 0 ? read(descriptor, text, sizeof text - 1) : 0;
    if (descriptor >= 0)
        close(descriptor);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

static size_t record_length(unsigned i)
{
    return (i * 2654435761u >> 7) % 61;
}

static void *put_records(void *argument)
{
    struct log_ring *ring = argument;
    for (unsigned i = 0; i < 50000; i++) {
        char bytes[61];
        memset(bytes, (int)(i & 127), sizeof bytes);
        bool half_full;
        while (!log_ring_put(ring, i, span_make(bytes, record_length(i)), &half_full))
            sched_yield();
    }
    return NULL;
}

static void test_ring_between_two_threads(void **state)
{
    (void)state;
    struct log_ring *ring = log_ring_new(256);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, put_records, ring), 0);
    for (unsigned i = 0; i < 50000;) {
        uint32_t tag;
        struct span bytes;
        if (!log_ring_first(ring, &tag, &bytes)) {
            sched_yield();
            continue;
        }
        assert_int_equal(tag, i);
        assert_int_equal(bytes.length, record_length(i));
        for (size_t j = 0; j < bytes.length; j++)
            assert_int_equal(bytes.at[j], i & 127);
        log_ring_drop(ring, bytes);
        i++;
    }
    pthread_join(thread, NULL);
    log_ring_free(ring);
}

static void test_ring_refuses_when_full(void **state)
{
    (void)state;
    struct log_ring *ring = log_ring_new(64);
    bool half_full;
    assert_true(log_ring_put(ring, 1, SPAN("0123456789"), &half_full)); /* 24 bytes */
    assert_false(half_full);
    assert_true(log_ring_put(ring, 2, SPAN("0123456789"), &half_full));
    assert_true(half_full);
    assert_false(log_ring_put(ring, 3, SPAN("0123456789"), &half_full));
    assert_true(log_ring_put(ring, 3, SPAN("01234567"), &half_full));
    assert_false(log_ring_put(ring, 3, SPAN(""), &half_full));
    assert_false(log_ring_put(ring, 3, span_make(folder, 65), &half_full));
    log_ring_free(ring);
}

static void test_lines_reach_the_file_and_fold(void **state)
{
    (void)state;
    struct error error;
    const char *path = path_of("log");
    log_format_set(LOG_FORMAT_LOGFMT);
    assert_true(log_target_set(LOG_TARGET_LOG, path, &error));
    assert_true(log_target_set(LOG_TARGET_ACCESS, path_of("access"), &error));
    assert_true(log_writer_start(&error));
    log_thread_enter(65536);
    while (clock_monotonic_us() % 1000000 > 500000) /* all within one second */
        usleep(10000);
    log_warn("health", "server is down", KV("pool", "api"), KV_NUMBER("after", -3));
    log_info("test", "client said", KV_SPAN("what", span_make("a\nb \"c\"", 7)), KV("none", ""));
    log_debug("test", "nobody hears this", KV_NONE);
    for (unsigned i = 0; i < 10; i++)
        log_info("test", "same again", KV("pool", "api"));
    for (unsigned i = 0; i < 100; i++)
        log_info("test", "many", KV_NUMBER("i", i));
    assert_true(log_line(LOG_TARGET_ACCESS, SPAN("{\"one\":1}\n")));
    log_thread_leave();
    log_writer_stop();
    char *text = contents(path);
    assert_non_null(strstr(text, " level=warn subject=health message=\"server is down\" pool=api "
                                 "after=-3\n"));
    assert_non_null(strstr(text, " what=\"a\\nb \\\"c\\\"\" none=\"\"\n"));
    assert_null(strstr(text, "nobody"));
    assert_int_equal(count_of(text, "message=\"same again\""), 2);
    assert_non_null(strstr(text, "message=\"same again\" repeated=9\n"));
    assert_int_equal(count_of(text, "message=many i="), 32);
    assert_non_null(strstr(text, "message=many repeated=68\n"));
    assert_string_equal(contents(path_of("access")), "{\"one\":1}\n");
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
}

static struct log_crowd crowd = LOG_CROWD("health", "pool");

static void server_is_down(const char *pool, unsigned server, const char *why)
{
    char name[16];
    (void)snprintf(name, sizeof name, "s%u", server);
    const struct log_pair pairs[] = {KV("pool", pool), KV("server", name), KV("why", why), KV_NONE};
    log_crowd_write(&crowd, LOG_LEVEL_WARN, "server is down", pool, why, pairs);
}

/* How many lines begin so, and, added up, how often they were repeated. */
static unsigned events_of(const char *text, const char *begins, unsigned *lines)
{
    unsigned events = 0;
    *lines = 0;
    for (const char *at = strstr(text, begins); at != NULL; at = strstr(at + 1, begins)) {
        const char *end = strchr(at, '\n'), *repeated = strstr(at, " repeated=");
        events += repeated != NULL && repeated < end ? (unsigned)strtoul(repeated + 10, NULL, 10) : 1;
        (*lines)++;
    }
    return events;
}

/* Of thousands that fail at once few lines tell, and no event is lost from their sum. */
static void test_crowds_are_counted(void **state)
{
    (void)state;
    const char *path = path_of("crowd");
    struct error error;
    unsigned lines;
    assert_true(log_target_set(LOG_TARGET_LOG, path, &error));
    assert_true(log_writer_start(&error));
    log_thread_enter(1u << 20);
    for (unsigned i = 0; i < 5000; i++)
        server_is_down("app", i, i % 5 == 0 ? "no answer" : "connection refused");
    for (unsigned i = 0; i < 60; i++) {
        char pool[16];
        (void)snprintf(pool, sizeof pool, "other%u", i);
        server_is_down(pool, 1, "connection refused");
    }
    const struct log_pair pairs[] = {KV("pool", "app"), KV("server", "s1"), KV_NONE};
    log_crowd_write(&crowd, LOG_LEVEL_DEBUG, "server is up", "app", "",
                    pairs); /* is not written, nor counted */
    log_thread_leave();
    log_writer_stop();
    char *text = contents(path);
    assert_int_equal(events_of(text, "message=\"server is down\"", &lines), 5060);
    assert_in_range(lines, 22,
                    2 * (LOG_CROWD_MOST + LOG_CROWD_PLACES + 1)); /* a second may have ended meanwhile */
    assert_int_equal(events_of(text, "message=\"server is down\" pool=app ", &lines), 5000);
    assert_in_range(lines, 22, 2 * 22);
    assert_non_null(strstr(text, "pool=app why=\"connection refused\" repeated="));
    assert_non_null(strstr(text, "pool=app why=\"no answer\" repeated="));
    assert_null(strstr(text, "server is up"));
}

static void test_json_lines_are_whole_however_long(void **state)
{
    (void)state;
    struct error error;
    static char longest[10000];
    memset(longest, '\x01', sizeof longest);
    log_format_set(LOG_FORMAT_JSON);
    assert_true(log_target_set(LOG_TARGET_LOG, path_of("json"), &error));
    assert_true(log_writer_start(&error));
    log_thread_enter(65536);
    log_warn("test", "long", KV_SPAN("a", span_make(longest, sizeof longest)),
             KV_SPAN("b", span_make(longest, sizeof longest)), KV_NUMBER("n", 1));
    log_thread_leave();
    log_writer_stop();
    log_format_set(LOG_FORMAT_LOGFMT);
    char *text = contents(path_of("json"));
    size_t length = strlen(text);
    assert_true(length > 3000 && length < 4096);
    assert_memory_equal(text, "{\"time\":\"", 9);
    assert_non_null(
        strstr(text, "\"level\":\"warn\",\"subject\":\"test\",\"message\":\"long\",\"a\":\"\\u0001"));
    assert_string_equal(text + length - 3, "\"}\n");
}

static void wait_for(const char *path, const char *what)
{
    for (unsigned i = 0; i < 300 && strstr(contents(path), what) == NULL; i++)
        usleep(10000);
    assert_non_null(strstr(contents(path), what));
}

static void test_reopening(void **state)
{
    (void)state;
    struct error error;
    const char *path = path_of("moving");
    assert_true(log_target_set(LOG_TARGET_ACCESS, path, &error));
    assert_true(log_target_set(LOG_TARGET_LOG, "off", &error));
    assert_true(log_writer_start(&error));
    log_thread_enter(65536);
    assert_true(log_line(LOG_TARGET_ACCESS, SPAN("before\n")));
    wait_for(path, "before");
    usleep(1200000); /* the thread has gone to sleep: the next line wakes it */
    assert_int_equal(rename(path, path_of("moved")), 0);
    assert_true(log_reopen(&error));
    usleep(100000);
    assert_true(log_line(LOG_TARGET_ACCESS, SPAN("after\n")));
    wait_for(path, "after");
    assert_null(strstr(contents(path), "before"));
    assert_string_equal(contents(path_of("moved")), "before\n");
    assert_false(log_target_set(LOG_TARGET_ACCESS, "/nowhere/at/all", &error));
    assert_string_equal(error.text, "cannot open /nowhere/at/all: No such file or directory");
    assert_true(log_line(LOG_TARGET_ACCESS, SPAN("still\n")));
    log_thread_leave();
    log_writer_stop();
    assert_string_equal(contents(path), "after\nstill\n");
}

static void test_a_stuck_reader_costs_lines_and_not_the_stop(void **state)
{
    (void)state;
    struct error error;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
    assert_true(log_target_set(LOG_TARGET_LOG, "off", &error));
    assert_true(log_target_set(LOG_TARGET_ACCESS, path, &error));
    assert_true(log_writer_start(&error));
    log_thread_enter(16384);
    int64_t before = counter_sum(COUNTER_log_dropped);
    uint64_t began = clock_monotonic_us();
    char line[200];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    for (unsigned i = 0; i < 2000; i++) {
        (void)!log_line(LOG_TARGET_ACCESS, span_make(line, sizeof line));
        usleep(10);
    }
    log_thread_leave();
    log_writer_stop();
    assert_true(clock_monotonic_us() - began < 8000000);
    assert_true(counter_sum(COUNTER_log_dropped) - before > 1000);
    close(ends[0]);
    close(ends[1]);
}

/* The access log's disk is full: the log tells how many lines went, and why, once a second and not for each.
 */
static void test_lost_lines_are_told_in_the_log(void **state)
{
    (void)state;
    struct error error;
    char path[] = "/tmp/weir-log-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    assert_true(log_target_set(LOG_TARGET_LOG, path, &error));
    assert_true(log_target_set(LOG_TARGET_ACCESS, "/dev/full", &error));
    assert_true(log_writer_start(&error));
    log_thread_enter(16384);
    for (unsigned i = 0; i < 50; i++) {
        assert_true(log_line(LOG_TARGET_ACCESS, SPAN("{\"a\":1}\n")));
        usleep(1000);
    }
    log_thread_leave();
    log_writer_stop();
    char *text = contents(path);
    unsigned long told = 0;
    unsigned lines = 0;
    for (const char *at = text;
         (at = strstr(at, "message=\"lines were lost\" log=access_log lines=")) != NULL; lines++) {
        at = strstr(at, "lines=") + 6;
        told += strtoul(at, NULL, 10);
        assert_non_null(strstr(at, "why=\"No space left on device\""));
    }
    assert_int_equal(told, 50);
    assert_in_range(lines, 1, 3);
    unlink(path);
}

/* Pipes that are full, so that lines are cut, and read again later. */
static void test_a_cut_line_does_not_take_the_next(void **state)
{
    (void)state;
    struct error error;
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, 8192), 8192);
    char where[64], line[301], text[1 << 17];
    snprintf(where, sizeof where, "/proc/self/fd/%d", ends[1]);
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    struct log_output output;
    assert_true(log_output_open(&output, where, &error));
    for (unsigned i = 0; i < 100; i++)
        log_output_add(&output, span_make(line, sizeof line), clock_monotonic_us());
    log_output_flush(&output, clock_monotonic_us());
    ssize_t length = read(ends[0], text, sizeof text);
    assert_true(length > 0 && text[length - 1] == 'x');
    log_output_add(&output, SPAN("whole\n"), clock_monotonic_us());
    log_output_flush(&output, clock_monotonic_us());
    assert_int_equal(read(ends[0], text, sizeof text), 7);
    assert_memory_equal(text, "\nwhole\n", 7);
    log_output_close(&output);
    close(ends[0]);
    close(ends[1]);
}

static void test_a_stuck_standard_error_holds_nobody_up(void **state)
{
    (void)state;
    int ends[2], kept = dup(STDERR_FILENO);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    while (write(ends[1], "full", 4) > 0)
        ;
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
    int64_t before = counter_sum(COUNTER_log_dropped);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    alarm(10);
    log_stderr(SPAN("nobody reads this\n"));
    alarm(0);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    assert_int_equal(counter_sum(COUNTER_log_dropped) - before, 1);
    close(kept);
    close(ends[0]);
    close(ends[1]);
}

static void test_unix_datagrams_are_a_line_each(void **state)
{
    (void)state;
    struct error error;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    int reader = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(reader, (const struct sockaddr *)&address, sizeof address), 0);
    char where[128];
    snprintf(where, sizeof where, "unix:%s", address.sun_path);
    assert_true(log_target_set(LOG_TARGET_ACCESS, where, &error));
    assert_true(log_writer_start(&error));
    log_thread_enter(16384);
    assert_true(log_line(LOG_TARGET_ACCESS, SPAN("one\n")));
    assert_true(log_line(LOG_TARGET_ACCESS, SPAN("two\n")));
    log_thread_leave();
    log_writer_stop();
    char text[16] = "";
    assert_int_equal(recv(reader, text, sizeof text, 0), 3);
    assert_memory_equal(text, "one", 3);
    assert_int_equal(recv(reader, text, sizeof text, 0), 3);
    assert_memory_equal(text, "two", 3);
    close(reader);
}

static int reader_at(const struct sockaddr_un *address, int type)
{
    unlink(address->sun_path);
    int reader = socket(AF_UNIX, type, 0);
    assert_int_equal(bind(reader, (const struct sockaddr *)address, sizeof *address), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(reader, 1), 0);
    return reader;
}

static void test_a_reader_that_was_started_anew_is_found(void **state)
{
    (void)state;
    struct error error;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/again", folder);
    char where[128], text[16] = "";
    snprintf(where, sizeof where, "unix:%s", address.sun_path);
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < 2; i++) {
        int type = i == 0 ? SOCK_DGRAM : SOCK_STREAM, reader = reader_at(&address, type);
        struct log_output output;
        assert_true(log_output_open(&output, where, &error));
        close(reader);
        reader = reader_at(&address, type);
        log_output_add(&output, SPAN("again\n"), clock_monotonic_us() + 1000000);
        log_output_flush(&output, clock_monotonic_us() + 1000000);
        int from = type == SOCK_STREAM ? accept4(reader, NULL, NULL, SOCK_NONBLOCK) : reader;
        assert_true(recv(from, text, sizeof text, MSG_DONTWAIT) >= 5);
        assert_memory_equal(text, "again", 5);
        log_output_close(&output);
        close(from);
        if (from != reader)
            close(reader);
    }
}

static void *write_many(void *unused)
{
    (void)unused;
    counters_thread_enter();
    log_thread_enter(1 << 20);
    for (unsigned i = 0; i < 3000; i++) {
        char line[64];
        int length = snprintf(line, sizeof line, "line %u\n", i);
        assert_true(log_line(LOG_TARGET_ACCESS, span_make(line, (size_t)length)));
        log_error("test", "from many threads", KV_NUMBER("i", i / 1000));
    }
    log_thread_leave();
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    struct error error;
    const char *path = path_of("many");
    assert_true(log_target_set(LOG_TARGET_LOG, path_of("manylog"), &error));
    assert_true(log_target_set(LOG_TARGET_ACCESS, path, &error));
    assert_true(log_writer_start(&error));
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, NULL), 0);
    for (unsigned i = 0; i < 20; i++)
        assert_true(log_reopen(&error));
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    log_writer_stop();
    char *text = contents(path);
    assert_int_equal(count_of(text, "\n"), 9000);
    assert_int_equal(count_of(text, "line 2999\n"), 3);
}

static int setup(void **state)
{
    (void)state;
    hash_init();
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_between_two_threads),
        cmocka_unit_test(test_ring_refuses_when_full),
        cmocka_unit_test(test_lines_reach_the_file_and_fold),
        cmocka_unit_test(test_crowds_are_counted),
        cmocka_unit_test(test_json_lines_are_whole_however_long),
        cmocka_unit_test(test_reopening),
        cmocka_unit_test(test_a_stuck_reader_costs_lines_and_not_the_stop),
        cmocka_unit_test(test_lost_lines_are_told_in_the_log),
        cmocka_unit_test(test_a_cut_line_does_not_take_the_next),
        cmocka_unit_test(test_a_stuck_standard_error_holds_nobody_up),
        cmocka_unit_test(test_unix_datagrams_are_a_line_each),
        cmocka_unit_test(test_a_reader_that_was_started_anew_is_found),
        cmocka_unit_test(test_many_threads),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
