/* The service manager's watchdog: fed as long as each worker answers its ping between two looks. While
 * a file is loaded, at a start or a reload, it is told that this goes on. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"
#include "control/control_state.h"
#include "control/service_notify.h"
#include "proxy/worker.h"

/* ms */
#define PATIENCE_FIRST 500 /* most loads are over by then */
#define PATIENCE_EVERY 5000
#define PATIENCE_FOR 20000

/* Whether each worker has opened a letter since the last look. */
static bool watchdog_all_turned(struct control *control)
{
    bool all = true;
    for (unsigned i = 0; i < control->workers_count; i++) {
        uint64_t turns = atomic_load_explicit(&control->workers[i]->turns, memory_order_relaxed);
        if (turns == control->watchdog_turns[i]) {
            log_error("control", "a worker does not turn", KV_NUMBER("worker", i));
            all = false;
        }
        control->watchdog_turns[i] = turns;
    }
    return all;
}

static void watchdog_ping(struct control *control)
{
    for (unsigned i = 0; i < control->workers_count; i++)
        worker_post_ping(control->workers[i]);
    deadline_set(&control->watchdog, control->loop, control->watchdog_period);
}

static void watchdog_looks(struct deadline *deadline)
{
    struct control *control = CONTAINER_OF(deadline, struct control, watchdog);
    if (watchdog_all_turned(control))
        service_notify_alive();
    watchdog_ping(control);
}

static void patience_asked(struct deadline *deadline)
{
    struct control *control = CONTAINER_OF(deadline, struct control, patience);
    service_notify_extend(PATIENCE_FOR);
    deadline_set(&control->patience, control->loop, PATIENCE_EVERY);
}

void patience_start(struct control *control)
{
    control->patience.passed = patience_asked;
    deadline_set(&control->patience, control->loop, PATIENCE_FIRST);
}

void patience_stop(struct control *control)
{
    deadline_clear(&control->patience);
}

void watchdog_start(struct control *control)
{
    /* A third of the manager's period: one late look is no hang. */
    control->watchdog_period = service_watchdog_period() / 3;
    if (control->watchdog_period == 0)
        return;
    control->watchdog_turns = xcalloc(control->workers_count, sizeof(uint64_t));
    control->watchdog.passed = watchdog_looks;
    watchdog_ping(control);
}

void watchdog_stop(struct control *control)
{
    deadline_clear(&control->watchdog);
    free(control->watchdog_turns);
    control->watchdog_turns = NULL;
}
