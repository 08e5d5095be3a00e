/* The life of the process, on the main thread: start, signals, drain, end. How a configuration becomes a
 * snapshot is in reload.c. */
#include "control/control.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/block.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/log_writer.h"
#include "base/text.h"
#include "config/config.h"
#include "control/control_state.h"
#include "control/cores.h"
#include "control/listeners.h"
#include "control/privileges.h"
#include "control/service_notify.h"
#include "control/signals.h"
#include "net/mailbox.h"
#include "proxy/shared_state.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "tls/tls.h"
#include "upstream/health.h"

#define LOG_RING_SIZE ((size_t)1 << 16) /* of the control thread */
#define TRIM_AFTER 1000                 /* ms after a snapshot was freed: many reloads in a row trim once */
#define WORKERS_MOST 256
#define SAME_WORD                                                                                           \
    500 /* ms: timeout(1), shells and supervisors signal the process and then its group, which is no second \
           word */

/* The one control of the process: snapshots and workers come back to it from other threads. */
static struct control *control_home;

/* ---- snapshots that come home ---- */

struct homecoming {
    struct letter letter;
    struct snapshot *snapshot;
};

static void control_trim(struct deadline *deadline)
{
    (void)deadline;
    malloc_trim(0);
}

static void control_free_snapshot(struct control *control, struct snapshot *snapshot)
{
    snapshot_free(snapshot);
    shared_state_sweep(control->shared);
}

static void homecoming_opened(struct letter *letter, void *reader)
{
    struct control *control = reader;
    struct homecoming *homecoming = CONTAINER_OF(letter, struct homecoming, letter);
    control_free_snapshot(control, homecoming->snapshot);
    free(homecoming);
    if (!deadline_is_set(&control->trim))
        deadline_set(&control->trim, control->loop, TRIM_AFTER);
}

void control_snapshot_comes_home(struct snapshot *snapshot)
{
    struct homecoming *homecoming = xcalloc(1, sizeof *homecoming);
    homecoming->letter.open = homecoming_opened;
    homecoming->snapshot = snapshot;
    mailbox_post(control_home->mailbox, &homecoming->letter);
}

/* ---- the end ---- */

static void control_stop(struct control *control)
{
    control->stopping = true;
    deadline_clear(&control->drain_timeout);
    loop_stop(control->loop);
}

static void drained_opened(struct letter *letter, void *reader)
{
    struct control *control = reader;
    free(letter);
    if (++control->workers_drained < control->workers_count || control->stopping)
        return;
    log_info("control", "drained", KV_NONE);
    control_stop(control);
}

/* On the worker's thread. */
static void control_worker_drained(struct worker *worker)
{
    struct control *control = worker->control;
    struct letter *letter = xcalloc(1, sizeof *letter);
    letter->open = drained_opened;
    mailbox_post(control->mailbox, letter);
}

static void control_drain_timed_out(struct deadline *deadline)
{
    struct control *control = CONTAINER_OF(deadline, struct control, drain_timeout);
    log_warn("control", "drain timeout; what is left is cut",
             KV_NUMBER("connections", counter_sum(COUNTER_connections_open)),
             KV_NUMBER("requests", counter_sum(COUNTER_requests_active)));
    control_stop(control);
}

static void control_drain(struct control *control)
{
    uint64_t timeout = control->snapshot->config->drain_timeout;
    control->draining = true;
    control->drain_began = loop_now(control->loop);
    service_notify_stopping();
    log_info("control", "draining", KV_NUMBER("connections", counter_sum(COUNTER_connections_open)),
             KV_NUMBER("timeout_ms", timeout));
    control->drain_timeout.passed = control_drain_timed_out;
    deadline_set(&control->drain_timeout, control->loop, timeout);
    listeners_withdraw(control->listeners, control->workers, control->mailbox);
    for (unsigned i = 0; i < control->workers_count; i++)
        worker_post_drain(control->workers[i]);
}

static void control_reopen_logs(void)
{
    struct error error;
    if (log_reopen(&error))
        log_info("control", "logs reopened", KV_NONE);
    else
        log_error("control", "logs could not be reopened; the open ones stay in use", KV("why", error.text));
}

/* What was counted since the start; what never happened is left out. */
static void control_tell_counters(void)
{
    static struct log_site site;
    struct log_pair pairs[COUNTER_COUNT + 1];
    size_t count = 0;
    for (enum counter_id id = 0; id < COUNTER_COUNT; id++) {
        int64_t sum = counter_sum(id);
        if (sum != 0)
            pairs[count++] = (struct log_pair)KV_NUMBER(counter_info[id].name, sum);
    }
    pairs[count] = (struct log_pair)KV_NONE;
    if (LOG_LEVEL_INFO >= log_level)
        log_write(&site, LOG_LEVEL_INFO, "control", "counted so far", pairs);
}

static void control_signal_came(void *owner, int number)
{
    struct control *control = owner;
    if (number == SIGUSR1) {
        control_reopen_logs();
    } else if (number == SIGUSR2) {
        control_tell_counters();
    } else if (number == SIGHUP) {
        if (!control->draining)
            reload_now(control);
    } else if (!control->draining) {
        control_drain(control);
    } else if (!control->stopping && loop_now(control->loop) - control->drain_began >= SAME_WORD) {
        log_warn("control", "told to end again; what is left is cut",
                 KV_NUMBER("connections", counter_sum(COUNTER_connections_open)));
        control_stop(control);
    }
}

/* ---- the start ---- */

static unsigned control_count_workers(const struct config *config)
{
    unsigned count = config->workers > 0 ? (unsigned)config->workers : cores_available();
    return count < WORKERS_MOST ? count : WORKERS_MOST;
}

static void control_check_files(const struct control *control, uint64_t files)
{
    const struct config *config = control->snapshot->config;
    /* Most connections are idle at any time, and the others need one more to a server; sockets, logs and
     * loops need a few. */
    uint64_t connections = config->limits.connections;
    uint64_t wanted =
        connections + connections / 4 + (config->listeners_count + 4) * control->workers_count + 32;
    if (files >= wanted)
        return;
    log_warn("control",
             "open files are limited below what limits.connections may need; raise LimitNOFILE or ulimit -n",
             KV_NUMBER("limit", files), KV_NUMBER("needed", wanted));
}

static bool control_start_workers(struct control *control, struct error *error)
{
    const struct config *config = control->snapshot->config;
    size_t blocks = (size_t)(config->limits.memory / BLOCK_SIZE / control->workers_count);
    control->workers = xcalloc(control->workers_count, sizeof(struct worker *));
    for (unsigned i = 0; i < control->workers_count; i++) {
        control->workers[i] = worker_new(i, control->snapshot, blocks > 0 ? blocks : 1);
        control->workers[i]->control = control;
        control->workers[i]->drained = control_worker_drained;
    }
    workers_introduce(control->workers, control->workers_count);
    listeners_commit(control->listeners, control->workers, control->mailbox);
    for (unsigned i = 0; i < control->workers_count; i++)
        if (!worker_start(control->workers[i], error))
            return false;
    return true;
}

static void control_tell_ready(const struct control *control)
{
    char memory[1024], milliseconds[32];
    struct text addresses = text_over(memory, sizeof memory);
    listeners_print(control->listeners, &addresses);
    uint64_t took = clock_monotonic_us() - control->began_us;
    snprintf(milliseconds, sizeof milliseconds, "%llu.%llu", (unsigned long long)(took / 1000),
             (unsigned long long)(took / 100 % 10));
    log_info("control", "ready", KV_SPAN("listening", text_span(&addresses)),
             KV_NUMBER("workers", control->workers_count), KV_NUMBER("pools", control->snapshot->pools_count),
             KV("start_ms", milliseconds));
    reload_log_subsets(control->snapshot);
    service_notify_ready();
}

/* From the file to open sockets; nothing runs yet. */
static bool control_prepare(struct control *control, struct error *error)
{
    struct config *config = reload_read(control, "\n");
    if (config == NULL)
        return false;
    control->workers_count = control_count_workers(config);
    control->listeners = listeners_new(control->workers_count);
    control->snapshot = reload_build(control, config, error);
    if (control->snapshot == NULL)
        return false;
    service_notify_open();
    uint64_t files = privileges_raise_files();
    if (!reload_logs(config, error) || !privileges_drop(config->user, error))
        return false;
    control_check_files(control, files);
    if (config->user != NULL)
        privileges_check_files(config);
    return true;
}

static bool control_start(struct control *control, struct error *error)
{
    if (!control_prepare(control, error))
        return false;
    /* An arena of the allocator for each thread that allocates, and no more: each keeps memory of its own. */
    mallopt(M_ARENA_MAX, (int)control->workers_count + 2);
    malloc_trim(0); /* what reading the file took: several times what is kept of it */
    control->health = health_new(control->loop);
    health_set_pools(control->health, control->snapshot->pools, control->snapshot->pools_count);
    tls_tickets_configure(control->shared->tickets, control->snapshot->config->tls.ticket_lifetime);
    if (!log_writer_start(error))
        return false;
    log_thread_enter(LOG_RING_SIZE);
    return control_start_workers(control, error);
}

/* Opens the letters that came while nobody looked. */
static void control_stop_loop(struct task *task)
{
    (void)task;
    loop_stop(control_home->loop);
}

static void control_open_letters(struct control *control)
{
    struct task task = {.run = control_stop_loop};
    loop_later(control->loop, &task);
    loop_run(control->loop);
}

static void control_end_workers(struct control *control)
{
    for (unsigned i = 0; control->workers != NULL && i < control->workers_count; i++)
        if (control->workers[i] != NULL && control->workers[i]->started)
            worker_post_stop(control->workers[i]);
    /* Workers write letters to each other until the last has ended, so no mailbox goes before. */
    for (unsigned i = 0; control->workers != NULL && i < control->workers_count; i++)
        if (control->workers[i] != NULL)
            worker_join(control->workers[i]);
    for (unsigned i = 0; control->workers != NULL && i < control->workers_count; i++)
        worker_free(control->workers[i]);
    free(control->workers);
}

static void control_end(struct control *control)
{
    watchdog_stop(control);
    control_end_workers(control);
    signals_free(control->signals);
    health_free(control->health);
    if (control->snapshot != NULL)
        snapshot_release(control->snapshot);
    control_open_letters(control);
    listeners_free(control->listeners);
    deadline_clear(&control->trim);
    shared_state_free(control->shared);
    mailbox_free(control->mailbox);
    loop_free(control->loop);
    log_thread_leave();
    log_writer_stop();
}

int control_run(const struct control_options *options)
{
    struct control control = {.options = options, .began_us = clock_monotonic_us()};
    struct error error = {.text = ""};
    signals_block();
    hash_init();
    counters_thread_enter();
    control_home = &control;
    control.loop = loop_new();
    control.mailbox = mailbox_new(control.loop, &control);
    control.shared = shared_state_new();
    control.trim.passed = control_trim;
    bool started = control_start(&control, &error);
    if (started) {
        control.signals = signals_new(control.loop, control_signal_came, &control);
        watchdog_start(&control);
        control_tell_ready(&control);
        if (options->ready != NULL)
            options->ready(options->argument);
        loop_run(control.loop);
        log_info("control", "ended", KV_NONE);
    } else if (error.text[0] != '\0') {
        fprintf(stderr, "weir: %s\n", error.text);
    }
    control_end(&control);
    return started ? EXIT_OK : EXIT_FAILED;
}
