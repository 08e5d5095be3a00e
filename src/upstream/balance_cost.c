/*
 * adaptive and least_conn: a scan for the least cost. The cost of a server is
 *
 *     slowness * silence * (requests in flight + 1) / weight  +  surcharge for errors
 *
 * with requests in flight of all workers; least_conn leaves slowness and silence out (balancing.md 5). Without news it
 * is an exact least_conn. Ties go to the first from a random place on.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/rng.h"
#include "upstream/balance_tier.h"

/* Up to here a scan of all costs less than a third of a microsecond; above, some lines of servers next to each other
 * stand for all. */
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
    uint32_t now_us, silence_us; /* silence_us: 0 when silence does not count */
    bool slowness;
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
            made->members[i] = (struct cost_member){.server = member->server,
                                                    .share = (member->far ? FAR_COST : 1.0f) / (float)member->weight,
                                                    .most = member->max_connections,
                                                    .index = tiers[tier].members[i]};
        }
    }
    tiers_clear(tiers);
    *plan = cost;
    return true;
}

static inline float silence_of(const struct scan *scan, const struct server *server)
{
    if (atomic_load_explicit(&server->awaiting, memory_order_relaxed) <= 0)
        return 1;
    /* Signed: another worker's clock may be a little ahead. */
    int32_t elapsed = (int32_t)(scan->now_us - atomic_load_explicit(&server->heard_us, memory_order_relaxed));
    return elapsed > (int32_t)scan->silence_us ? (float)elapsed / (float)scan->silence_us : 1;
}

static inline void scan_member(struct scan *scan, const struct cost_member *member)
{
    const struct server *server = member->server;
    if (!server_is_eligible(server, scan->choice) || choice_was_tried(scan->choice, server))
        return;
    scan->any_up = true;
    if (!server_has_room(server, member->most, scan->choice->now_us))
        return;
    uint32_t load = server_load(server);
    float cost = (float)(load + 1) * member->share;
    if (scan->slowness) {
        cost *= atomic_load_explicit(&server->slowness, memory_order_relaxed);
        if (scan->silence_us != 0)
            cost *= silence_of(scan, server);
    }
    if (scan->pool->slow_start_ms != 0)
        cost /= server_ramp(scan->pool, server, scan->choice->now_us);
    cost += atomic_load_explicit(&server->surcharge, memory_order_relaxed);
    if (scan->best < 0 || cost < scan->best_cost) {
        scan->best = (int)member->index;
        scan->best_cost = cost;
    }
}

static void scan_all(struct scan *scan, const struct cost_tier *tier)
{
    uint32_t start = tier->count > 1 ? rng_below(scan->choice->rng, tier->count) : 0;
    for (uint32_t i = start; i < tier->count; i++)
        scan_member(scan, &tier->members[i]);
    for (uint32_t i = 0; i < start; i++)
        scan_member(scan, &tier->members[i]);
}

static void scan_some(struct scan *scan, const struct cost_tier *tier)
{
    for (unsigned run = 0; run < RUNS; run++) {
        uint32_t start = rng_below(scan->choice->rng, tier->count);
        for (uint32_t i = 0; i < RUN_LENGTH; i++)
            scan_member(scan, &tier->members[start + i < tier->count ? start + i : start + i - tier->count]);
    }
}

static int cost_pick(const struct pool *pool, const void *plan, unsigned tier, struct choice *choice, bool *any_up,
                     bool slowness)
{
    const struct cost_tier *members = &((const struct cost_plan *)plan)->tiers[tier];
    struct scan scan = {.pool = pool, .choice = choice, .now_us = (uint32_t)choice->now_us, .slowness = slowness, .best = -1};
    if (slowness && pool->shared != NULL)
        scan.silence_us = atomic_load_explicit(&pool->shared->silence_us, memory_order_relaxed);
    if (members->count > SCAN_MOST)
        scan_some(&scan, members);
    if (scan.best < 0)
        scan_all(&scan, members);
    *any_up = *any_up || scan.any_up;
    return scan.best;
}

static int adaptive_pick(const struct pool *pool, const void *plan, unsigned tier, struct choice *choice, bool *any_up)
{
    /* Servers of sticky sessions do not see the same mix of requests: their times cannot be compared. */
    return cost_pick(pool, plan, tier, choice, any_up, pool->sticky == NULL);
}

static int least_pick(const struct pool *pool, const void *plan, unsigned tier, struct choice *choice, bool *any_up)
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
