/* The life of the process, on the main thread: start, signals, end. How a file becomes a snapshot is in
 * loader.c, how that gets to the workers in reload.c, and how it comes to the end in drain.c. */
#include "control/control.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/log_writer.h"
#include "base/memory.h"
#include "base/text.h"
#include "config/config.h"
#include "control/control_state.h"
#include "control/listeners.h"
#include "control/loader.h"
#include "control/memory_limit.h"
#include "control/named_files.h"
#include "control/open_files.h"
#include "control/privileges.h"
#include "control/service_notify.h"
#include "control/signals.h"
#include "http/failure.h"
#include "net/mailbox.h"
#include "proxy/shared_state.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "tls/tls.h"
#include "upstream/health.h"

#define LOG_RING_SIZE ((size_t)1 << 16) /* of the control thread */

/* ---- the end ---- */

void control_stop(struct control *control)
{
    control->stopping = true;
    loader_give_up(control->loader);
    drain_stop(control);
    loop_stop(control->loop);
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
static void control_tell_counters(const struct control *control)
{
    static struct log_site site;
    struct log_pair pairs[COUNTER_COUNT + 2];
    size_t count = 0;
    for (enum counter_id id = 0; id < COUNTER_COUNT; id++) {
        int64_t sum = counter_sum(id);
        if (sum != 0)
            pairs[count++] = (struct log_pair)KV_NUMBER(counter_info[id].name, sum);
    }
    struct old_count old = old_snapshots_count(control);
    if (old.count != 0)
        pairs[count++] = (struct log_pair)KV_NUMBER("configurations_oldest_s", old.oldest / 1000);
    pairs[count] = (struct log_pair)KV_NONE;
    if (LOG_LEVEL_INFO >= log_level)
        log_write(&site, LOG_LEVEL_INFO, "control", "counted so far", pairs);
}

/* Requests that failed since the start, by the words that the access log has for it. */
static void control_tell_failures(void)
{
    static struct log_site site;
    struct log_pair pairs[FAILURE_COUNT + 1];
    size_t count = 0;
    for (unsigned failure = 0; failure < FAILURE_COUNT; failure++) {
        int64_t sum = counter_failure_sum(failure);
        if (sum != 0)
            pairs[count++] = (struct log_pair)KV_NUMBER(failure_info[failure].word, sum);
    }
    pairs[count] = (struct log_pair)KV_NONE;
    if (LOG_LEVEL_INFO >= log_level)
        log_write(&site, LOG_LEVEL_INFO, "control", "failed so far", pairs);
}

static void control_tell_memory(void)
{
    log_info("control", "memory", KV_NUMBER("for_peers", memory_held_for_peers()),
             KV_NUMBER("for_peers_at_most", memory_for_peers()),
             KV_NUMBER("for_the_file", memory_held_for_file()));
}

/* While it starts, nothing is there to drain or reopen. */
static void control_signal_early(struct control *control, int number)
{
    if (number == SIGHUP) {
        reload_ask(control);
    } else if (number != SIGUSR1 && !control->stopping) {
        log_info("control", "told to end before the start was done", KV_NONE);
        control_stop(control);
    }
}

static void control_signal_came(void *owner, int number)
{
    struct control *control = owner;
    if (control->snapshot == NULL && number != SIGUSR2) {
        control_signal_early(control, number);
    } else if (number == SIGUSR1) {
        control_reopen_logs();
    } else if (number == SIGUSR2) {
        control_tell_counters(control);
        control_tell_failures();
        control_tell_memory();
    } else if (number == SIGHUP) {
        reload_ask(control);
    } else {
        drain_told(control);
    }
}

/* ---- the start ---- */

static bool control_start_workers(struct control *control, struct error *error)
{
    memory_limit_set(control->snapshot->config);
    control->workers = xcalloc(control->workers_count, sizeof(struct worker *));
    for (unsigned i = 0; i < control->workers_count; i++) {
        control->workers[i] = worker_new(i, control->snapshot);
        control->workers[i]->control = control;
        control->workers[i]->drained = drain_worker_done;
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

/* From the snapshot to open sockets and logs; no worker runs yet. */
static bool control_prepare(struct control *control, struct load *load, struct error *error)
{
    if (load->snapshot == NULL)
        return error_set(error, "%s", load->error.text);
    control->snapshot = load->snapshot;
    const struct config *config = control->snapshot->config;
    restart_facts_take(&control->facts, config);
    control->workers_count = control->facts.workers;
    control->listeners = listeners_new(control->workers_count);
    if (!open_files_suffice(config, control->workers_count, error) ||
        !listeners_open(control->listeners, config, error) || !reload_logs(config, error) ||
        !privileges_drop(config->user, error))
        return false;
    open_files_allow(config, control->workers_count);
    return true;
}

static bool control_start_serving(struct control *control, struct load *load, struct error *error)
{
    if (!control_prepare(control, load, error))
        return false;
    /* An arena of the allocator for each thread that allocates, and no more: each keeps memory of its own. */
    mallopt(M_ARENA_MAX, (int)control->workers_count + 3);
    control->health = health_new(control->loop);
    health_set_pools(control->health, control->snapshot->pools, control->snapshot->pools_count);
    tls_tickets_configure(control->shared->tickets, control->snapshot->config->tls.ticket_lifetime);
    if (!log_writer_start(error))
        return false;
    log_thread_enter(LOG_RING_SIZE);
    return control_start_workers(control, error);
}

static void control_start(struct control *control, struct load *load)
{
    struct error error = {.text = ""};
    control->failed = !control_start_serving(control, load, &error);
    if (control->failed) {
        if (error.text[0] != '\0')
            fprintf(stderr, "weir: %s\n", error.text);
        control_stop(control);
        return;
    }
    watchdog_start(control);
    control_tell_ready(control);
    if (control->options->text == NULL)
        named_files_tell(control->snapshot->config);
    expiry_look(control);
    if (control->options->ready != NULL)
        control->options->ready(control->options->argument);
}

static void control_loaded(void *reader, struct load *load)
{
    struct control *control = reader;
    control->loading = false;
    patience_stop(control);
    if (control->stopping || control->leaving) {
        if (load->snapshot != NULL)
            snapshot_release(load->snapshot);
    } else if (control->snapshot == NULL) {
        control_start(control, load);
    } else {
        reload_finish(control, load);
    }
    free(load);
    if (control->load_again && !control->stopping && !control->leaving)
        reload_ask(control);
}

static void control_gone(void *reader, uint64_t number)
{
    old_snapshots_gone(reader, number);
}

/* ---- the end of the process ---- */

/* Opens the letters that came while nobody looked. */
static void control_letters_opened(struct letter *letter, void *reader)
{
    struct control *control = reader;
    free(letter);
    loop_stop(control->loop);
}

static void control_open_letters(struct control *control)
{
    struct letter *last = xcalloc(1, sizeof *last);
    last->open = control_letters_opened;
    mailbox_post(control->mailbox, last);
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
    patience_stop(control);
    watchdog_stop(control);
    expiry_stop(control);
    old_snapshots_end(control);
    control_end_workers(control);
    signals_free(control->signals);
    health_free(control->health);
    restart_facts_end(&control->facts);
    if (control->snapshot != NULL)
        snapshot_release(control->snapshot);
    /* A loader that does not come back keeps what it uses to the end of the process, which is near. */
    bool came_back = loader_stop(control->loader);
    if (came_back)
        control_open_letters(control);
    listeners_free(control->listeners);
    if (came_back) {
        loader_free(control->loader);
        shared_state_free(control->shared);
        mailbox_free(control->mailbox);
        loop_free(control->loop);
    }
    log_thread_leave();
    log_writer_stop();
}

int control_run(const struct control_options *options)
{
    struct control control = {.options = options, .began_us = clock_monotonic_us(), .loading = true};
    struct error error = {.text = ""};
    privileges_raise_files();                   /* before the first of what may be many sockets */
    if (!open_files_suffice_to_start(&error)) { /* libraries would end the process, in words of their own */
        fprintf(stderr, "weir: %s\n", error.text);
        return EXIT_FAILED;
    }
    list_init(&control.old_snapshots);
    signals_block();
    hash_init();
    counters_thread_enter();
    control.loop = loop_new();
    control.mailbox = mailbox_new(control.loop, &control);
    control.shared = shared_state_new();
    control.loader = loader_new(options, control.shared, control.mailbox, control_loaded, control_gone);
    control.signals = signals_new(control.loop, control_signal_came, &control);
    service_notify_open();
    if (loader_start(control.loader, &error)) {
        patience_start(&control);
        loader_ask(control.loader);
        loop_run(control.loop);
        if (!control.failed)
            log_info("control", "ended", KV_NONE);
    } else {
        control.failed = true;
        fprintf(stderr, "weir: %s\n", error.text);
    }
    control_end(&control);
    return control.failed ? EXIT_FAILED : EXIT_OK;
}
