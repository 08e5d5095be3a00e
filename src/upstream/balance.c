/* The table of balancers, and the tiers they choose from. */
#include "upstream/balance.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/rng.h"
#include "upstream/balance_tier.h"

const struct balancer *const balancers[] = {
    [BALANCE_ADAPTIVE] = &balance_adaptive,
    [BALANCE_LEAST_CONN] = &balance_least_conn,
    [BALANCE_ROUND_ROBIN] = &balance_round_robin,
    [BALANCE_RANDOM] = &balance_random,
    [BALANCE_FIRST] = &balance_first,
    [BALANCE_HASH] = &balance_hash,
};

void tiers_fill(struct tier tiers[TIER_COUNT], const struct pool *pool)
{
    for (unsigned tier = 0; tier < TIER_COUNT; tier++) {
        tiers[tier].count = 0;
        tiers[tier].members = xcalloc(pool->servers_count + 1, sizeof *tiers[tier].members);
    }
    for (size_t i = 0; i < pool->servers_count; i++) {
        struct tier *tier = &tiers[pool->servers[i].backup ? TIER_BACKUPS : TIER_SERVERS];
        if (pool->servers[i].weight > 0)
            tier->members[tier->count++] = (uint32_t)i;
    }
}

void tiers_clear(struct tier tiers[TIER_COUNT])
{
    for (unsigned tier = 0; tier < TIER_COUNT; tier++)
        free(tiers[tier].members);
}

uint32_t tier_divisor(const struct tier *tier, const struct pool *pool)
{
    uint32_t divisor = 0;
    for (uint32_t i = 0; i < tier->count; i++) {
        uint32_t weight = pool->servers[tier->members[i]].weight;
        while (weight != 0) {
            uint32_t rest = divisor % weight;
            divisor = weight;
            weight = rest;
        }
    }
    return divisor;
}

/* Backups take a share as soon as under 1 / 1.4 of the servers' weight is up: what is left could not carry
 * more than that share of the load (Envoy's overprovisioning factor of 1.4). */
unsigned tiers_kept(const struct pool *pool, const struct choice *choice)
{
    uint64_t up = 0, all = 0;
    for (size_t i = 0; i < pool->servers_count; i++) {
        const struct pool_server *member = &pool->servers[i];
        if (member->backup)
            continue;
        all += member->weight;
        up += server_is_eligible(member->server, choice) ? member->weight : 0;
    }
    return up * 14 >= all * 10 ? 1000 : (unsigned)(1400 * up / all);
}

int tiers_choose(const struct pool *pool, const void *plan, struct choice *choice, struct tier_picker picker)
{
    *choice->all_full = false;
    unsigned kept = pool->has_backups ? tiers_kept(pool, choice) : 1000;
    if (kept < 1000 && rng_below(choice->rng, 1000) >= kept) {
        bool any_up = false;
        int index = picker.pick(pool, plan, TIER_BACKUPS, choice, &any_up);
        if (index >= 0)
            return index;
    }
    for (unsigned tier = 0; tier < TIER_COUNT; tier++) {
        bool any_up = false;
        int index = picker.pick(pool, plan, tier, choice, &any_up);
        if (index >= 0)
            return index;
        if (any_up) {
            *choice->all_full = true;
            return -1;
        }
    }
    return -1;
}
