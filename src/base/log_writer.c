/*
 * The log thread, and the door to it for all others. It looks at the rings every 20 ms while lines come,
 * sleeps after a second without, and is woken by the next line or by a ring that is half full.
 */
#include "base/log_writer.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log_fold.h"
#include "base/log_output.h"
#include "base/log_ring.h"

#define LOG_ROUND_US 20000u
#define LOG_ROUNDS_AWAKE 50u      /* without a line, before a long sleep */
#define LOG_SLEEP_US 1000000u     /* also how late folded lines are told at most */
#define LOG_STUCK_US 1000000u     /* how long a reader that reads nothing is waited for */
#define LOG_STDERR_US 200000u     /* the same for standard error, where the log tells that lines are lost */
#define LOG_LOST_US 1000000u      /* lost lines are told of once in so long, all of that time together */
#define LOG_RECORDS_A_ROUND 4096u /* of one ring, so that each gets its turn */

enum log_state { LOG_NOT_STARTED, LOG_RUNNING, LOG_STOPPING, LOG_STOPPED };

/* A target's new output on its way to the log thread. */
struct log_change {
    bool waits;
    struct log_output output;
};

static struct {
    _Atomic(enum log_state) state;
    _Atomic bool called; /* somebody has posted `wake` since the last round */
    _Atomic bool asleep;
    _Atomic(struct log_ring *) rings;           /* new ones are put in front; only the log thread takes out */
    _Atomic size_t ring_full[LOG_TARGET_COUNT]; /* lines that found no room, not told of yet */
    sem_t wake;
    pthread_t thread;
    uint64_t lost_told_us;                       /* of the log thread */
    struct log_output outputs[LOG_TARGET_COUNT]; /* of the log thread while it runs */
    pthread_mutex_t lock;                        /* of what follows */
    struct log_change changes[LOG_TARGET_COUNT];
    char *where[LOG_TARGET_COUNT];
} writer = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .outputs = {{.descriptor = -1}, {.descriptor = -1}},
};

static _Thread_local struct log_ring *log_ring;

static void log_wake(void)
{
    if (!atomic_load_explicit(&writer.called, memory_order_relaxed) && !atomic_exchange(&writer.called, true))
        sem_post(&writer.wake);
}

static void log_take_changes(void)
{
    pthread_mutex_lock(&writer.lock);
    for (unsigned i = 0; i < LOG_TARGET_COUNT; i++) {
        if (!writer.changes[i].waits)
            continue;
        writer.changes[i].waits = false;
        size_t lost = writer.outputs[i].lost; /* still to be told of */
        int why = writer.outputs[i].lost_why;
        log_output_close(&writer.outputs[i]);
        writer.outputs[i] = writer.changes[i].output;
        writer.outputs[i].lost = lost;
        writer.outputs[i].lost_why = why;
    }
    pthread_mutex_unlock(&writer.lock);
}

/* Moves lines from a ring to the outputs; returns whether there were any. */
static bool log_drain(struct log_ring *ring, uint64_t deadline)
{
    uint32_t target;
    struct span line;
    unsigned count = 0;
    while (count < LOG_RECORDS_A_ROUND && log_ring_first(ring, &target, &line)) {
        log_output_add(&writer.outputs[target], line, deadline);
        log_ring_drop(ring, line);
        count++;
    }
    return count > 0;
}

static void log_take_out(struct log_ring *ring)
{
    struct log_ring *first = ring;
    if (!atomic_compare_exchange_strong(&writer.rings, &first, ring->next)) {
        while (first->next != ring)
            first = first->next;
        first->next = ring->next;
    }
    log_ring_free(ring);
}

static bool log_drain_all(uint64_t deadline)
{
    bool any = false;
    struct log_ring *next;
    for (struct log_ring *ring = atomic_load(&writer.rings); ring != NULL; ring = next) {
        next = ring->next;
        /* Read before draining: what was put before leaving is then seen. */
        bool left = atomic_load_explicit(&ring->left, memory_order_acquire);
        bool more = log_drain(ring, deadline);
        any = any || more;
        if (left && !more)
            log_take_out(ring);
    }
    return any;
}

/* To the log, unless that is what loses lines or is off; then to standard error, where it may be seen. */
static void log_tell_lost_of(enum log_target target, size_t lost, const char *why, uint64_t deadline)
{
    static const char *const names[LOG_TARGET_COUNT] = {
        [LOG_TARGET_LOG] = "log", [LOG_TARGET_ACCESS] = "access_log"};
    char line[LOG_LINE_MOST];
    size_t length = log_lost_line(line, names[target], lost, why);
    if (length == 0)
        return;
    if (target == LOG_TARGET_LOG || writer.outputs[LOG_TARGET_LOG].descriptor < 0)
        log_stderr(span_make(line, length));
    else
        log_output_add(&writer.outputs[LOG_TARGET_LOG], span_make(line, length), deadline);
}

/* What the system's words for it hide: whose doing it is, and what helps. */
static const char *log_lost_why(int number)
{
    switch (number) {
    case ETIMEDOUT:
        return "its reader does not read, or too slowly; let it read all the time, or write to a file";
    case EPIPE:
        return "its reader is gone; start it again, and reload or send SIGUSR1 where that is a pipe";
    default:
        return strerrordesc_np(number);
    }
}

static void log_tell_lost(bool at_once, uint64_t deadline)
{
    uint64_t now = clock_monotonic_us();
    if (!at_once && now - writer.lost_told_us < LOG_LOST_US)
        return;
    writer.lost_told_us = now;
    for (unsigned i = LOG_TARGET_COUNT; i-- > 0;) {
        struct log_output *output = &writer.outputs[i];
        size_t full = atomic_exchange_explicit(&writer.ring_full[i], 0, memory_order_relaxed);
        if (full != 0)
            log_tell_lost_of((enum log_target)i, full, "more came than could be written", deadline);
        if (output->lost != 0)
            log_tell_lost_of((enum log_target)i, output->lost, log_lost_why(output->lost_why), deadline);
        output->lost = 0;
    }
}

/* One look at everything; returns whether there was anything to write. */
static bool log_round(bool all_folded)
{
    uint64_t deadline = clock_monotonic_us() + LOG_STUCK_US;
    bool any = log_drain_all(deadline);
    char line[LOG_LINE_MOST];
    size_t length;
    while ((length = log_folded_line(line, all_folded)) != 0 ||
           (length = log_crowd_line(line, all_folded)) != 0)
        log_output_add(&writer.outputs[LOG_TARGET_LOG], span_make(line, length), deadline);
    for (unsigned i = 0; i < LOG_TARGET_COUNT; i++)
        log_output_flush(&writer.outputs[i], deadline);
    log_tell_lost(all_folded, deadline);
    log_output_flush(&writer.outputs[LOG_TARGET_LOG], deadline);
    log_take_changes(); /* after the flush: lines from before a reopening go to the old file */
    return any;
}

static void log_sleep(unsigned quiet_rounds)
{
    bool long_sleep = quiet_rounds >= LOG_ROUNDS_AWAKE;
    /* A line put just before this store is seen is written after the long sleep: late, not lost. */
    if (long_sleep)
        atomic_store_explicit(&writer.asleep, true, memory_order_relaxed);
    uint64_t until = clock_monotonic_us() + (long_sleep ? LOG_SLEEP_US : LOG_ROUND_US);
    const struct timespec at = {.tv_sec = (time_t)(until / 1000000u),
                                .tv_nsec = (long)(until % 1000000u * 1000u)};
    while (sem_clockwait(&writer.wake, CLOCK_MONOTONIC, &at) != 0 && errno == EINTR)
        ;
    atomic_store_explicit(&writer.asleep, false, memory_order_relaxed);
    atomic_store(&writer.called, false);
}

static void *log_thread(void *unused)
{
    (void)unused;
    counters_thread_enter();
    unsigned quiet_rounds = 0;
    while (atomic_load(&writer.state) == LOG_RUNNING) {
        quiet_rounds = log_round(false) ? 0 : quiet_rounds + 1;
        log_sleep(quiet_rounds);
    }
    uint64_t give_up = clock_monotonic_us() + 2 * LOG_STUCK_US;
    while (log_round(true) && clock_monotonic_us() < give_up)
        ;
    return NULL;
}

static bool log_line_without_ring(enum log_target target, struct span line)
{
    if (target == LOG_TARGET_LOG) {
        log_stderr(line);
        return true;
    }
    if (atomic_load(&writer.state) != LOG_NOT_STARTED)
        return false;
    /* One thread yet: it may write itself. */
    uint64_t deadline = clock_monotonic_us() + LOG_STUCK_US;
    log_output_add(&writer.outputs[target], line, deadline);
    log_output_flush(&writer.outputs[target], deadline);
    return true;
}

/* Hands an open output over, to the log thread if it runs. */
static void log_change_output(enum log_target target, const struct log_output *output)
{
    pthread_mutex_lock(&writer.lock);
    struct log_change *change = &writer.changes[target];
    if (change->waits)
        log_output_close(&change->output);
    *change = (struct log_change){.waits = true, .output = *output};
    pthread_mutex_unlock(&writer.lock);
    if (atomic_load(&writer.state) == LOG_RUNNING)
        log_wake();
    else
        log_take_changes();
}

void log_stderr(struct span text)
{
    if (!log_output_stderr(text, clock_monotonic_us() + LOG_STDERR_US))
        counter_add(COUNTER_log_dropped, 1);
}

bool log_target_set(enum log_target target, const char *where, struct error *error)
{
    struct log_output output;
    if (!log_output_open(&output, where, error))
        return false;
    char *copy = xstrdup(where); /* before the old is freed: it may be the same text */
    free(writer.where[target]);
    writer.where[target] = copy;
    log_change_output(target, &output);
    return true;
}

bool log_reopen(struct error *error)
{
    struct log_output outputs[LOG_TARGET_COUNT];
    for (unsigned i = 0; i < LOG_TARGET_COUNT; i++) {
        const char *where = writer.where[i] != NULL ? writer.where[i] : "off";
        if (log_output_open(&outputs[i], where, error))
            continue;
        while (i-- > 0)
            log_output_close(&outputs[i]);
        return false;
    }
    for (unsigned i = 0; i < LOG_TARGET_COUNT; i++)
        if (writer.where[i] != NULL)
            log_change_output((enum log_target)i, &outputs[i]);
    return true;
}

bool log_writer_start(struct error *error)
{
    assert(atomic_load(&writer.state) != LOG_RUNNING);
    if (sem_init(&writer.wake, 0, 0) != 0)
        return error_set_errno(error, errno, "cannot make a semaphore");
    struct error ignored;
    for (unsigned i = 0; i < LOG_TARGET_COUNT; i++)
        if (writer.where[i] == NULL &&
            !log_target_set((enum log_target)i, i == LOG_TARGET_LOG ? "stderr" : "stdout", &ignored))
            writer.outputs[i].descriptor = -1; /* the stream is closed: the target is off */
    log_take_changes();
    /* Signals are for the control thread; a broken pipe is an error of write() here. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&writer.state, LOG_RUNNING);
    int number = pthread_create(&writer.thread, NULL, log_thread, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (number != 0) {
        atomic_store(&writer.state, LOG_NOT_STARTED);
        return error_set_errno(error, number, "cannot start the log thread");
    }
    pthread_setname_np(writer.thread, "weir-log");
    return true;
}

void log_writer_stop(void)
{
    if (atomic_load(&writer.state) != LOG_RUNNING)
        return;
    atomic_store(&writer.state, LOG_STOPPING);
    sem_post(&writer.wake);
    pthread_join(writer.thread, NULL);
    atomic_store(&writer.state, LOG_STOPPED);
    log_take_changes();
    for (unsigned i = 0; i < LOG_TARGET_COUNT; i++) {
        log_output_close(&writer.outputs[i]);
        free(writer.where[i]);
        writer.where[i] = NULL;
    }
    sem_destroy(&writer.wake);
}

void log_thread_enter(size_t size)
{
    assert(log_ring == NULL);
    struct log_ring *ring = log_ring_new(size);
    ring->next = atomic_load(&writer.rings);
    while (!atomic_compare_exchange_weak(&writer.rings, &ring->next, ring))
        ;
    log_ring = ring;
}

void log_thread_leave(void)
{
    if (log_ring == NULL)
        return;
    atomic_store_explicit(&log_ring->left, true, memory_order_release);
    log_ring = NULL;
}

bool log_line(enum log_target target, struct span line)
{
    struct log_ring *ring = log_ring;
    if (ring == NULL || atomic_load_explicit(&writer.state, memory_order_relaxed) == LOG_STOPPED)
        return log_line_without_ring(target, line);
    bool half_full = false;
    bool put = log_ring_put(ring, (uint32_t)target, line, &half_full);
    if (!put) {
        counter_add(COUNTER_log_dropped, 1);
        atomic_fetch_add_explicit(&writer.ring_full[target], 1, memory_order_relaxed);
    }
    if (half_full || atomic_load_explicit(&writer.asleep, memory_order_relaxed))
        log_wake();
    return put;
}
