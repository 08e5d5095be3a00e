/*
 * Places at servers that are held only since a client does not take its answer, or does not send its request.
 * Nobody minds while there are others; where requests wait for the pool, or are turned away, the clients that
 * have brought their exchange on the least go for them, at most as many as wait. Looked at by each worker for
 * its own, five times a second while it has such; how slow each is, is asked for only while somebody waits,
 * and measured since it was last asked.
 */
#include <assert.h>

#include "base/counters.h"
#include "base/log.h"
#include "upstream/upstream_state.h"

#define LOOK_EVERY 200 /* ms */
/* What its least rate is averaged over then, in ms: who has kept to it has twice that time, which is less
 * than others wait for. */
#define AVERAGED_OVER 1000
#define YIELDS_MOST 32u /* at one look */

struct slowest {
    struct upstream_waiter *waiters[YIELDS_MOST]; /* the slowest first */
    uint32_t count, wanted;
};

static void slowest_note(struct slowest *slowest, struct upstream_waiter *waiter)
{
    struct upstream_waiter *next = waiter;
    for (uint32_t i = 0; i < slowest->count; i++) {
        struct upstream_waiter *here = slowest->waiters[i];
        if (here->held_pace.due <= next->held_pace.due)
            continue;
        slowest->waiters[i] = next;
        next = here;
    }
    if (slowest->count < slowest->wanted)
        slowest->waiters[slowest->count++] = next;
}

static void measure_begin(struct upstream_waiter *waiter, const struct client_progress *progress,
                          uint64_t now)
{
    const struct pace_rule rule = {.least = progress->least,
                                   .length = progress->was_slow ? 0 : AVERAGED_OVER};
    waiter->held = *progress;
    waiter->held_pace = (struct pace){.taken = 0};
    waiter->held_moved = 0;
    pace_begin(&waiter->held_pace, 0, now, &rule);
}

/* What it moved since it was looked at; the line's bytes where it would take more than that carries. */
static uint64_t moved(const struct client_progress *before, const struct client_progress *now)
{
    uint64_t own = now->own - before->own, line = now->line - before->line;
    return now->by_line && line > own ? line : own;
}

static bool is_slow(struct upstream_waiter *waiter, uint64_t now)
{
    struct client_progress progress;
    uint64_t next = UINT64_MAX;
    if (!waiter->upstreams->held_up(waiter, &progress)) {
        pace_stop(&waiter->held_pace);
        return false;
    }
    if (!pace_runs(&waiter->held_pace) || progress.kind != waiter->held.kind)
        measure_begin(waiter, &progress, now);
    const struct pace_rule rule = {.least = progress.least, .length = AVERAGED_OVER};
    waiter->held_moved += moved(&waiter->held, &progress);
    waiter->held = progress;
    return pace_is_slow(&waiter->held_pace, waiter->held_moved, now, &rule, &next);
}

static uint32_t places_wanted(struct pool_entry *pool, const struct pool_shared *shared)
{
    int32_t waiting = atomic_load_explicit(&shared->waiting, memory_order_relaxed);
    uint32_t refused = atomic_load_explicit(&shared->refused, memory_order_relaxed);
    uint32_t wanted = (waiting > 0 ? (uint32_t)waiting : 0) + (refused - pool->held_refused);
    pool->held_refused = refused;
    return wanted < YIELDS_MOST ? wanted : YIELDS_MOST;
}

static void yield_slowest(struct pool_entry *pool, uint32_t wanted)
{
    struct slowest slowest = {.wanted = wanted};
    uint64_t now = loop_now(pool->upstreams->loop);
    LIST_EACH (node, &pool->held) {
        struct upstream_waiter *waiter = CONTAINER_OF(node, struct upstream_waiter, queued);
        if (is_slow(waiter, now))
            slowest_note(&slowest, waiter);
    }
    for (uint32_t i = 0; i < slowest.count; i++) {
        struct upstream_waiter *waiter = slowest.waiters[i];
        counter_add(COUNTER_places_taken_back, 1);
        log_info("balance", "a slow client's place at a server goes to those who wait",
                 KV("pool", waiter->server->pool_name), KV("server", waiter->server->name));
        list_remove(&waiter->queued);
        pool->upstreams->yield(waiter);
    }
}

static void held_look(struct deadline *deadline)
{
    struct pool_entry *pool = CONTAINER_OF(deadline, struct pool_entry, held_look);
    if (list_is_empty(&pool->held))
        return;
    const struct upstream_waiter *any = CONTAINER_OF(pool->held.next, struct upstream_waiter, queued);
    uint32_t wanted = places_wanted(pool, any->pool->shared);
    if (wanted != 0)
        yield_slowest(pool, wanted);
    deadline_set(deadline, pool->upstreams->loop, LOOK_EVERY);
}

void held_init(struct pool_entry *pool)
{
    list_init(&pool->held);
    pool->held_look.passed = held_look;
}

void held_begin(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    uint32_t most = waiter->pool->servers[waiter->member].max_connections;
    struct pool_entry *pool = upstreams_pool(upstreams, waiter->pool->shared->number);
    struct client_progress progress;
    assert(waiter->phase == PHASE_READY);
    if (most == 0 || most == SERVER_ADAPTS || upstreams->held_up == NULL)
        return;
    list_push_back(&pool->held, &waiter->queued);
    pace_stop(&waiter->held_pace);
    if (upstreams->held_up(waiter, &progress))
        measure_begin(waiter, &progress, loop_now(upstreams->loop));
    if (deadline_is_set(&pool->held_look))
        return;
    pool->held_refused = atomic_load_explicit(&waiter->pool->shared->refused, memory_order_relaxed);
    deadline_set(&pool->held_look, upstreams->loop, LOOK_EVERY);
}

void upstreams_when_full(struct upstreams *upstreams,
                         bool (*held_up)(struct upstream_waiter *waiter, struct client_progress *progress),
                         void (*yield)(struct upstream_waiter *waiter))
{
    upstreams->held_up = held_up;
    upstreams->yield = yield;
}
