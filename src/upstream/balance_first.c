/* first: the first server of the file that is up and has room, so that the others can rest. Wants
 * max_connections. */
#include <stdlib.h>

#include "base/error.h"
#include "upstream/balance_tier.h"

struct first_plan {
    struct tier tiers[TIER_COUNT];
};

static bool first_prepare(const struct pool *pool, void **plan, struct error *error)
{
    (void)error;
    struct first_plan *first = xcalloc(1, sizeof *first);
    tiers_fill(first->tiers, pool);
    *plan = first;
    return true;
}

static int first_pick(const struct pool *pool, const void *plan, unsigned tier, struct choice *choice,
                      bool *any_up)
{
    const struct tier *members = &((const struct first_plan *)plan)->tiers[tier];
    for (uint32_t i = 0; i < members->count; i++)
        if (member_is_free(pool, members->members[i], choice, any_up))
            return (int)members->members[i];
    return -1;
}

static int first_choose(const struct pool *pool, const void *plan, struct choice *choice)
{
    return tiers_choose(pool, plan, choice, (struct tier_picker){first_pick});
}

static void first_dispose(void *plan)
{
    struct first_plan *first = plan;
    tiers_clear(first->tiers);
    free(first);
}

const struct balancer balance_first = {
    .name = "first",
    .prepare = first_prepare,
    .choose = first_choose,
    .dispose = first_dispose,
};
