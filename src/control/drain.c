/*
 * The way to the end, a step at a time: it serves on for drain_delay while its answers say that it goes, then
 * takes no more connections and waits for what runs, then cuts what is left. Each further word to end takes
 * the next step at once.
 */
#include <stdlib.h>

#include "base/counters.h"
#include "base/log.h"
#include "config/config.h"
#include "control/control_state.h"
#include "control/listeners.h"
#include "control/loader.h"
#include "control/service_notify.h"
#include "net/mailbox.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"

/* ms */
#define SAME_WORD                                                                                            \
    500 /* timeout(1), shells and supervisors signal the process and then its group, which is no second word \
         */
#define CUT_MOST 5000 /* what may pass from the last step to the end of the process */

static void drained_opened(struct letter *letter, void *reader)
{
    struct control *control = reader;
    free(letter);
    if (++control->workers_drained < control->workers_count || control->stopping)
        return;
    log_info("control", "drained", KV_NONE);
    control_stop(control);
}

void drain_worker_done(struct worker *worker)
{
    struct control *control = worker->control;
    struct letter *letter = xcalloc(1, sizeof *letter);
    letter->open = drained_opened;
    mailbox_post(control->mailbox, letter);
}

static void drain_cut(struct control *control, const char *why)
{
    log_warn("control", why, KV_NUMBER("connections", counter_sum(COUNTER_connections_open)),
             KV_NUMBER("requests", counter_sum(COUNTER_requests_active)));
    control_stop(control);
}

static void drain_timed_out(struct deadline *deadline)
{
    drain_cut(CONTAINER_OF(deadline, struct control, drain_step), "drain timeout; what is left is cut");
}

static void drain_begin(struct control *control)
{
    uint64_t timeout = control->snapshot->config->drain_timeout;
    control->draining = true;
    log_info("control", "draining", KV_NUMBER("connections", counter_sum(COUNTER_connections_open)),
             KV_NUMBER("timeout_ms", timeout));
    control->drain_step.passed = drain_timed_out;
    deadline_set(&control->drain_step, control->loop, timeout);
    listeners_withdraw(control->listeners, control->workers, control->mailbox);
    for (unsigned i = 0; i < control->workers_count; i++)
        worker_post_drain(control->workers[i]);
}

static void drain_delay_passed(struct deadline *deadline)
{
    drain_begin(CONTAINER_OF(deadline, struct control, drain_step));
}

/* No new file from here on: what one would change is gone before it is known. */
static void drain_leave(struct control *control)
{
    const struct config *config = control->snapshot->config;
    control->leaving = true;
    if (control->loading)
        log_warn("control", "the reload is given up, as weir is told to end", KV_NONE);
    loader_give_up(control->loader);
    service_notify_stopping(config->drain_delay + config->drain_timeout + CUT_MOST);
    if (config->drain_delay == 0) {
        drain_begin(control);
        return;
    }
    log_info("control", "told to end; it serves on until drain_delay is over",
             KV_NUMBER("connections", counter_sum(COUNTER_connections_open)),
             KV_NUMBER("delay_ms", config->drain_delay));
    control->drain_step.passed = drain_delay_passed;
    deadline_set(&control->drain_step, control->loop, config->drain_delay);
    for (unsigned i = 0; i < control->workers_count; i++)
        worker_post_leave(control->workers[i]);
}

void drain_told(struct control *control)
{
    uint64_t now = loop_now(control->loop);
    if (control->stopping || (control->leaving && now - control->told_at < SAME_WORD))
        return;
    control->told_at = now;
    if (!control->leaving) {
        drain_leave(control);
    } else if (!control->draining) {
        log_info("control", "told to end again; the rest of drain_delay is left out", KV_NONE);
        drain_begin(control);
    } else {
        drain_cut(control, "told to end again; what is left is cut");
    }
}

void drain_stop(struct control *control)
{
    deadline_clear(&control->drain_step);
}
