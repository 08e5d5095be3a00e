/*
 * Snapshots that are no longer current and still used: by tunnels, long answers and slow clients. Each holds
 * the memory of its whole file, so they are counted and told, end in time where the file says so
 * (reload_drain), and are never more than limits.old_configurations: the oldest ends for a new one.
 */
#include <stdlib.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/memory.h"
#include "config/config.h"
#include "control/control_state.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"

/* ms until what was ended and is still there is ended again: a connection that takes its leave, or that one
 * worker was handing to another, may have begun one more request under it. */
#define AGAIN_AFTER 3000

/* ms in which workers take the file that is current, and the one before it comes home if nobody uses it:
 * until then nobody knows whether it is in use. */
#define SETTLED_AFTER 1000

/* The oldest first. */
struct old_snapshot {
    struct list at;
    uint64_t number;
    uint64_t memory; /* bytes */
    uint64_t since;  /* ms of the loop: when another took its place */
    uint64_t due;    /* when what uses it is ended; UINT64_MAX: it is not */
    bool ended;      /* the workers were told; it comes home soon */
};

static struct old_snapshot *old_of(struct list *node)
{
    return CONTAINER_OF(node, struct old_snapshot, at);
}

static void old_end(struct control *control, struct old_snapshot *old)
{
    old->ended = true;
    old->due = loop_now(control->loop) + AGAIN_AFTER;
    for (unsigned i = 0; i < control->workers_count; i++)
        worker_post_cut(control->workers[i], old->number);
}

/* Down to as many as may be in use, of those whose place was taken before a time; and while all that files
 * hold is more than half of limits.memory. */
static void old_make_room(struct control *control, uint64_t before, uint64_t too_much)
{
    uint64_t count = 0, now = loop_now(control->loop),
             most = control->snapshot->config->limits.old_configurations;
    LIST_EACH (node, &control->old_snapshots)
        count += !old_of(node)->ended && old_of(node)->since <= before;
    LIST_EACH (node, &control->old_snapshots) {
        struct old_snapshot *old = old_of(node);
        if (count <= most && too_much == 0)
            break;
        too_much -= old->memory < too_much ? old->memory : too_much;
        if (old->ended)
            continue;
        log_warn("control", "an older configuration is still in use by requests or tunnels, which are ended",
                 KV_NUMBER("since_s", (now - old->since) / 1000),
                 KV_NUMBER("limits.old_configurations", most), KV_NUMBER("memory", old->memory));
        old_end(control, old);
        count -= old->since <= before;
    }
}

static void old_passed(struct deadline *deadline);

static void old_end_due(struct control *control)
{
    uint64_t now = loop_now(control->loop), next = UINT64_MAX;
    LIST_EACH (node, &control->old_snapshots) {
        struct old_snapshot *old = old_of(node);
        if (old->due <= now)
            old_end(control, old);
        next = old->due < next ? old->due : next;
        uint64_t settled = old->since + SETTLED_AFTER;
        next = settled > now && settled < next ? settled : next;
    }
    control->reload_drain.passed = old_passed;
    if (next != UINT64_MAX)
        deadline_set(&control->reload_drain, control->loop, next - now);
}

static void old_passed(struct deadline *deadline)
{
    struct control *control = CONTAINER_OF(deadline, struct control, reload_drain);
    old_make_room(control, loop_now(control->loop) - SETTLED_AFTER, 0);
    old_end_due(control);
}

void old_snapshots_add(struct control *control, const struct snapshot *before)
{
    const struct config *config = control->snapshot->config;
    uint64_t now = loop_now(control->loop), drain = config->reload_drain;
    old_make_room(control, now, memory_over_half()); /* without the one that is added */
    struct old_snapshot *made = xcalloc(1, sizeof *made);
    *made = (struct old_snapshot){
        .number = before->number, .memory = before->memory, .since = now, .due = UINT64_MAX};
    list_push_back(&control->old_snapshots, &made->at);
    counter_add(COUNTER_configurations_old, 1);
    LIST_EACH (node, &control->old_snapshots)
        if (drain != RELOAD_DRAIN_NONE && old_of(node)->due > now + drain)
            old_of(node)->due = now + drain;
    old_end_due(control);
}

static void old_drop(struct old_snapshot *old)
{
    list_remove(&old->at);
    free(old);
    counter_add(COUNTER_configurations_old, -1);
}

void old_snapshots_gone(struct control *control, uint64_t number)
{
    LIST_EACH_SAFE (node, after, &control->old_snapshots)
        if (old_of(node)->number == number)
            old_drop(old_of(node));
}

struct old_count old_snapshots_count(const struct control *control)
{
    struct old_count sum = {.count = 0};
    LIST_EACH (node, &control->old_snapshots) {
        uint64_t age = loop_now(control->loop) - old_of(node)->since;
        sum.oldest = age > sum.oldest ? age : sum.oldest;
        sum.count++;
    }
    return sum;
}

void old_snapshots_end(struct control *control)
{
    deadline_clear(&control->reload_drain);
    LIST_EACH_SAFE (node, after, &control->old_snapshots)
        old_drop(old_of(node));
}
