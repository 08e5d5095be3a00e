/* least_conn: an exact scan for the least (requests in flight + 1) / weight over all workers; ties are broken by lot.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/rng.h"
#include "upstream/balance_tier.h"

struct least_plan {
    struct tier tiers[TIER_COUNT];
};

static bool least_prepare(const struct pool *pool, void **plan, struct error *error)
{
    (void)error;
    struct least_plan *least = xcalloc(1, sizeof *least);
    tiers_fill(least->tiers, pool);
    *plan = least;
    return true;
}

static int least_pick(const struct pool *pool, const void *plan, unsigned tier, struct choice *choice, bool *any_up)
{
    const struct least_plan *least = plan;
    const struct tier *members = &least->tiers[tier];
    int best = -1;
    uint32_t best_load = 0, ties = 0;
    for (uint32_t i = 0; i < members->count; i++) {
        const struct pool_server *member = &pool->servers[members->members[i]];
        if (!member_is_free(member, choice, any_up))
            continue;
        uint32_t load = member_load(member);
        int order = best < 0 ? -1 : member_compare(member, load, &pool->servers[best], best_load);
        if (order > 0)
            continue;
        /* The k-th of equals replaces the one kept with chance 1/k: each is as likely in the end. */
        ties = order < 0 ? 1 : ties + 1;
        if (ties == 1 || rng_below(choice->rng, ties) == 0) {
            best = (int)members->members[i];
            best_load = load;
        }
    }
    return best;
}

static int least_choose(const struct pool *pool, const void *plan, struct choice *choice)
{
    return tiers_choose(pool, plan, choice, (struct tier_picker){least_pick});
}

static void least_dispose(void *plan)
{
    struct least_plan *least = plan;
    tiers_clear(least->tiers);
    free(least);
}

const struct balancer balance_least_conn = {
    .name = "least_conn",
    .prepare = least_prepare,
    .choose = least_choose,
    .dispose = least_dispose,
};
