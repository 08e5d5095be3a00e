/*
 * random: some servers drawn by weight, two by default, of which the one of the least cost is taken
 * (Mitzenmacher, The Power of Two Choices, 2001; the cost is that of adaptive). Costs the same in a pool of
 * any size, while nobody is down or full.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/rng.h"
#include "upstream/balance_tier.h"

#define DRAWS_MOST 16 /* after so many misses most of the pool is down or full: look at all */

struct random_plan {
    struct tier tiers[TIER_COUNT];
    unsigned choices;
    uint32_t *sums[TIER_COUNT]; /* of the weights up to and with each member */
};

static bool random_prepare(const struct pool *pool, void **plan, struct error *error)
{
    (void)error;
    struct random_plan *random = xcalloc(1, sizeof *random);
    tiers_fill(random->tiers, pool);
    random->choices = pool->config != NULL ? (unsigned)pool->config->choices : 2;
    for (unsigned tier = 0; tier < TIER_COUNT; tier++) {
        uint32_t sum = 0;
        random->sums[tier] = xcalloc(random->tiers[tier].count + 1, sizeof *random->sums[tier]);
        for (uint32_t i = 0; i < random->tiers[tier].count; i++)
            random->sums[tier][i] = sum += pool->servers[random->tiers[tier].members[i]].weight;
    }
    *plan = random;
    return true;
}

/* The member whose share of the weights holds a random point. */
static uint32_t random_draw(const struct tier *tier, const uint32_t *sums, struct rng *rng)
{
    uint32_t point = rng_below(rng, sums[tier->count - 1]);
    uint32_t low = 0, high = tier->count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (point < sums[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return tier->members[low];
}

/* Looks at all members, from a random one on, for one that is free and not `except`. */
static int random_scan(const struct pool *pool, const struct tier *tier, struct choice *choice, int except,
                       bool *any_up)
{
    uint32_t start = rng_below(choice->rng, tier->count);
    for (uint32_t i = 0; i < tier->count; i++) {
        int index = (int)tier->members[(start + i) % tier->count];
        if (index != except && member_is_free(pool, (uint32_t)index, choice, any_up))
            return index;
    }
    return -1;
}

static int random_one(const struct pool *pool, const struct tier *tier, const uint32_t *sums,
                      struct choice *choice, int except, bool *any_up)
{
    for (unsigned i = 0; i < DRAWS_MOST; i++) {
        int index = (int)random_draw(tier, sums, choice->rng);
        if (index != except && member_is_free(pool, (uint32_t)index, choice, any_up) &&
            server_ramp_allows(pool, pool->servers[index].server, choice))
            return index;
    }
    return random_scan(pool, tier, choice, except, any_up);
}

/* In proportion to the weight it is drawn by already, the weight counts as in adaptive. */
static float member_cost(const struct pool *pool, const struct pool_server *member,
                         const struct choice *choice)
{
    const struct server *server = member->server;
    float cost = (float)(member_load(member) + 1) / (float)member->weight;
    if (pool_compares_times(pool))
        cost *= atomic_load_explicit(&server->slowness, memory_order_relaxed) *
                server_silence(server, pool_silence(pool), (uint32_t)choice->now_us);
    return cost + atomic_load_explicit(&server->surcharge, memory_order_relaxed);
}

static int random_pick(const struct pool *pool, const void *plan, unsigned tier, struct choice *choice,
                       bool *any_up)
{
    const struct random_plan *random = plan;
    const struct tier *members = &random->tiers[tier];
    if (members->count == 0)
        return -1;
    int first = random_one(pool, members, random->sums[tier], choice, -1, any_up);
    int best = first;
    for (unsigned drawn = 1; drawn < random->choices && best >= 0 && members->count > 1; drawn++) {
        int other = random_one(pool, members, random->sums[tier], choice, best, any_up);
        if (other < 0)
            break;
        if (member_cost(pool, &pool->servers[other], choice) <
            member_cost(pool, &pool->servers[best], choice))
            best = other;
    }
    return best;
}

static int random_choose(const struct pool *pool, const void *plan, struct choice *choice)
{
    return tiers_choose(pool, plan, choice, (struct tier_picker){random_pick});
}

static void random_dispose(void *plan)
{
    struct random_plan *random = plan;
    tiers_clear(random->tiers);
    for (unsigned tier = 0; tier < TIER_COUNT; tier++)
        free(random->sums[tier]);
    free(random);
}

const struct balancer balance_random = {
    .name = "random",
    .prepare = random_prepare,
    .choose = random_choose,
    .dispose = random_dispose,
};
