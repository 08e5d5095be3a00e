/*
 * adaptive and least_conn: a scan for the least cost. The cost of a server is
 *
 *     slowness * silence * (requests in flight + 1) / weight  +  surcharge for errors
 *
 * with requests in flight of all workers; least_conn leaves slowness and silence out (balancing.md 5).
 * Without news it is an exact least_conn. Ties go to the first from a random place on.
 */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/rng.h"
#include "upstream/balance_tier.h"

/* Up to here a scan of all costs less than a third of a microsecond; above, some lines of servers next to
 * each other stand for all. */
#define SCAN_MOST 128u
#define RUNS 8u
#define RUN_LENGTH 4u
#define FAR_COST 1.3f /* of a server in another zone; how far it is shows in its slowness */

/* What a scan needs of a member, in one place. */
struct cost_member {
    struct server *server;
    float share; /* 1 / weight, more in another zone */
    uint32_t most;
    uint32_t index;
};
struct cost_tier {
    uint32_t count;
    struct cost_member *members;
};
struct cost_plan {
    struct cost_tier tiers[TIER_COUNT];
};
/* A scan in progress. */
struct scan {
    const struct pool *pool;
    const struct choice *choice;
    uint32_t now_us;
    int32_t silence_us; /* from which on silence counts */
    bool slowness, ramps;
    bool any_up;
    int best;
    float best_cost;
};

static bool cost_prepare(const struct pool *pool, void **plan, struct error *error)
{
    (void)error;
    struct tier tiers[TIER_COUNT];
    struct cost_plan *cost = xcalloc(1, sizeof *cost);
    tiers_fill(tiers, pool);
    for (unsigned tier = 0; tier < TIER_COUNT; tier++) {
        struct cost_tier *made = &cost->tiers[tier];
        made->count = tiers[tier].count;
        made->members = xcalloc(made->count + 1, sizeof *made->members);
        for (uint32_t i = 0; i < made->count; i++) {
            const struct pool_server *member = &pool->servers[tiers[tier].members[i]];
            made->members[i] =
                (struct cost_member){.server = member->server,
                                     .share = (member->far ? FAR_COST : 1.0f) / (float)member->weight,
                                     .most = member->max_connections,
                                     .index = tiers[tier].members[i]};
        }
    }
    tiers_clear(tiers);
    *plan = cost;
    return true;
}

static inline float cost_of(const struct scan *scan, const struct cost_member *member)
{
    const struct server *server = member->server;
    float cost = (float)(int32_t)(server_load(server) + 1) * member->share;
    if (LIKELY(scan->slowness))
        cost *= atomic_load_explicit(&server->slowness, memory_order_relaxed) *
                server_silence(server, scan->silence_us, scan->now_us);
    if (!LIKELY(!scan->ramps))
        cost /= server_ramp(scan->pool, server, scan->choice->now_us);
    return cost + atomic_load_explicit(&server->surcharge, memory_order_relaxed);
}

/* What is the same for all members stands in a struct of the loop's own, so that it stays in registers. */
static void scan_range(struct scan *result, const struct cost_member *members, uint32_t count)
{
    struct scan scan = *result;
    const struct choice choice = *scan.choice;
    for (const struct cost_member *member = members; member < members + count; member++) {
        const struct server *server = member->server;
        if (!LIKELY(server_is_eligible(server, &choice)) || choice_excludes(&choice, member->index, server))
            continue;
        scan.any_up = true;
        if (!LIKELY(server_has_room(server, member->most)))
            continue;
        float cost = cost_of(&scan, member);
        if (cost < scan.best_cost) {
            scan.best = (int)member->index;
            scan.best_cost = cost;
        }
    }
    *result = scan;
}

/* From one of them on in a circle, as ties go to the first. */
static void scan_circle(struct scan *scan, const struct cost_tier *tier, uint32_t start, uint32_t count)
{
    uint32_t first = count < tier->count - start ? count : tier->count - start;
    scan_range(scan, tier->members + start, first);
    scan_range(scan, tier->members, count - first);
}

static void scan_some(struct scan *scan, const struct cost_tier *tier)
{
    for (unsigned run = 0; run < RUNS; run++)
        scan_circle(scan, tier, rng_below(scan->choice->rng, tier->count), RUN_LENGTH);
}

static int cost_pick(const struct pool *pool, const void *plan, unsigned tier, struct choice *choice,
                     bool *any_up, bool slowness)
{
    const struct cost_tier *members = &((const struct cost_plan *)plan)->tiers[tier];
    struct scan scan = {.pool = pool,
                        .choice = choice,
                        .now_us = (uint32_t)choice->now_us,
                        .silence_us = pool_silence(pool),
                        .slowness = slowness,
                        .ramps = pool->slow_start_ms != 0,
                        .best = -1,
                        .best_cost = INFINITY};
    if (members->count > SCAN_MOST)
        scan_some(&scan, members);
    if (scan.best < 0)
        scan_circle(&scan, members, members->count > 1 ? rng_below(choice->rng, members->count) : 0,
                    members->count);
    *any_up = *any_up || scan.any_up;
    return scan.best;
}

static int adaptive_pick(const struct pool *pool, const void *plan, unsigned tier, struct choice *choice,
                         bool *any_up)
{
    return cost_pick(pool, plan, tier, choice, any_up, pool_compares_times(pool));
}

static int least_pick(const struct pool *pool, const void *plan, unsigned tier, struct choice *choice,
                      bool *any_up)
{
    return cost_pick(pool, plan, tier, choice, any_up, false);
}

static int adaptive_choose(const struct pool *pool, const void *plan, struct choice *choice)
{
    return tiers_choose(pool, plan, choice, (struct tier_picker){adaptive_pick});
}

static int least_choose(const struct pool *pool, const void *plan, struct choice *choice)
{
    return tiers_choose(pool, plan, choice, (struct tier_picker){least_pick});
}

static void cost_dispose(void *plan)
{
    struct cost_plan *cost = plan;
    for (unsigned tier = 0; tier < TIER_COUNT; tier++)
        free(cost->tiers[tier].members);
    free(cost);
}

const struct balancer balance_adaptive = {
    .name = "adaptive",
    .prepare = cost_prepare,
    .choose = adaptive_choose,
    .dispose = cost_dispose,
};
const struct balancer balance_least_conn = {
    .name = "least_conn",
    .prepare = cost_prepare,
    .choose = least_choose,
    .dispose = cost_dispose,
};
