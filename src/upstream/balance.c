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
        if (pool->servers[i].weight > 0 && !pool->servers[i].standby)
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
        if (member->backup || member->standby)
            continue;
        all += member->weight;
        up += server_is_eligible(member->server, choice) ? member->weight : 0;
    }
    return up * 14 >= all * 10 ? 1000 : (unsigned)(1400 * up / all);
}

/* Down, or connections to it have just failed: where nothing probes, only that shows. */
static bool is_away(const struct server *server, const struct choice *choice)
{
    bool unreached = atomic_load_explicit(&server->unreached_in_a_row, memory_order_relaxed) != 0;
    return !server_is_up(server) || (unreached && server_turns_away(server, choice->now_us));
}

int standby_of(const struct pool *pool, const struct choice *choice)
{
    int first = -1;
    for (size_t i = 0; i < pool->servers_count; i++) {
        const struct pool_server *member = &pool->servers[i];
        if (member->weight == 0 || is_away(member->server, choice))
            continue;
        if (!member->standby)
            return -1;
        first = first < 0 ? (int)i : first;
    }
    return first;
}

/* Two standbys never serve at once: whoever can't have the one has none. */
static int standby_choose(const struct pool *pool, struct choice *choice)
{
    int index = standby_of(pool, choice);
    bool any_up = false;
    if (index < 0 || member_is_free(pool, (uint32_t)index, choice, &any_up))
        return index;
    *choice->all_full = any_up;
    return -1;
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
    return pool->has_standbys ? standby_choose(pool, choice) : -1;
}
