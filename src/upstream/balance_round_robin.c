/*
 * round_robin, smooth and weighted: an order in which each server stands as often as its weight, spread out
 * as evenly as can be. The order is nginx's: each turn everybody gains its weight, the richest goes next and
 * pays the sum. It is computed once a snapshot; a worker walks it with a cursor of its own. Who can't be
 * chosen is stepped over, which leaves the shares of the others in proportion.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/rng.h"
#include "upstream/balance_tier.h"

#define ORDER_MOST 65536u /* longest order: heavier weights are scaled down to fit */
#define STEPS_MOST \
    (1ull          \
     << 22) /* of the exact computation (length times servers): beyond it, an order by position is made */
#define WALK_MOST \
    4096u /* steps of one choice: then nearly everybody is down or full, and any free one will do */

struct order {
    uint32_t length;
    uint32_t *at; /* indexes into pool->servers */
};
struct round_robin_plan {
    struct tier tiers[TIER_COUNT];
    struct order orders[TIER_COUNT];
};
struct place {
    uint64_t position;
    uint32_t member;
};

/* Weights of the tier, as small as the same order allows; returns their sum. */
static uint32_t order_weights(uint32_t *weights, const struct pool *pool, const struct tier *tier)
{
    uint32_t divisor = tier_divisor(tier, pool);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < tier->count; i++)
        sum += weights[i] = pool->servers[tier->members[i]].weight / divisor;
    if (sum <= ORDER_MOST)
        return (uint32_t)sum;
    uint32_t scaled = 0;
    for (uint32_t i = 0; i < tier->count; i++) {
        weights[i] = (uint32_t)((uint64_t)weights[i] * ORDER_MOST / sum);
        if (weights[i] == 0)
            weights[i] = 1;
        scaled += weights[i];
    }
    return scaled;
}

static void order_smooth(struct order *order, const struct tier *tier, const uint32_t *weights)
{
    int64_t *riches = xcalloc(tier->count, sizeof *riches);
    for (uint32_t step = 0; step < order->length; step++) {
        uint32_t best = 0;
        for (uint32_t i = 0; i < tier->count; i++) {
            riches[i] += weights[i];
            if (riches[i] > riches[best])
                best = i;
        }
        riches[best] -= order->length;
        order->at[step] = tier->members[best];
    }
    free(riches);
}

static int place_compare(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    if (a->position != b->position)
        return a->position < b->position ? -1 : 1;
    return a->member < b->member ? -1 : a->member > b->member;
}

/* Each server's turns at even distances over the whole: nearly the smooth order, without its cost for large
 * pools. */
static void order_by_position(struct order *order, const struct tier *tier, const uint32_t *weights)
{
    struct place *places = xcalloc(order->length, sizeof *places);
    uint32_t filled = 0;
    for (uint32_t i = 0; i < tier->count; i++)
        for (uint32_t turn = 0; turn < weights[i]; turn++)
            places[filled++] =
                (struct place){(((uint64_t)turn * 2 + 1) << 31) / weights[i], tier->members[i]};
    qsort(places, order->length, sizeof *places, place_compare);
    for (uint32_t i = 0; i < order->length; i++)
        order->at[i] = places[i].member;
    free(places);
}

static void order_make(struct order *order, const struct pool *pool, const struct tier *tier)
{
    if (tier->count == 0)
        return;
    uint32_t *weights = xcalloc(tier->count, sizeof *weights);
    order->length = order_weights(weights, pool, tier);
    order->at = xcalloc(order->length, sizeof *order->at);
    if ((uint64_t)order->length * tier->count <= STEPS_MOST)
        order_smooth(order, tier, weights);
    else
        order_by_position(order, tier, weights);
    free(weights);
}

static bool round_robin_prepare(const struct pool *pool, void **plan, struct error *error)
{
    (void)error;
    struct round_robin_plan *made = xcalloc(1, sizeof *made);
    tiers_fill(made->tiers, pool);
    for (unsigned tier = 0; tier < TIER_COUNT; tier++)
        order_make(&made->orders[tier], pool, &made->tiers[tier]);
    *plan = made;
    return true;
}

static int anybody_free(const struct pool *pool, const struct tier *tier, struct choice *choice, bool *any_up)
{
    uint32_t start = rng_below(choice->rng, tier->count);
    for (uint32_t i = 0; i < tier->count; i++) {
        uint32_t index = tier->members[(start + i) % tier->count];
        if (member_is_free(pool, index, choice, any_up))
            return (int)index;
    }
    return -1;
}

static int round_robin_pick(const struct pool *pool, const void *plan, unsigned tier, struct choice *choice,
                            bool *any_up)
{
    const struct round_robin_plan *made = plan;
    const struct order *order = &made->orders[tier];
    const struct tier *members = &made->tiers[tier];
    if (order->length == 0)
        return -1;
    uint32_t steps = order->length < WALK_MOST ? order->length : WALK_MOST;
    uint32_t at = *choice->cursor % order->length;
    int slow = -1;
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t index = order->at[at];
        at = at + 1 == order->length ? 0 : at + 1;
        if (!member_is_free(pool, index, choice, any_up))
            continue;
        if (server_ramp_allows(pool, pool->servers[index].server, choice)) {
            *choice->cursor = at;
            return (int)index;
        }
        slow = slow < 0 ? (int)index : slow;
    }
    *choice->cursor = at;
    if (slow >= 0)
        return slow; /* all that could are coming back */
    return steps < order->length ? anybody_free(pool, members, choice, any_up) : -1;
}

static int round_robin_choose(const struct pool *pool, const void *plan, struct choice *choice)
{
    return tiers_choose(pool, plan, choice, (struct tier_picker){round_robin_pick});
}

static void round_robin_dispose(void *plan)
{
    struct round_robin_plan *made = plan;
    tiers_clear(made->tiers);
    for (unsigned tier = 0; tier < TIER_COUNT; tier++)
        free(made->orders[tier].at);
    free(made);
}

const struct balancer balance_round_robin = {
    .name = "round_robin",
    .prepare = round_robin_prepare,
    .choose = round_robin_choose,
    .dispose = round_robin_dispose,
};
