/* What the balancers share: the two tiers of a pool (its servers, its backups), and who of them may be chosen. */
#ifndef WEIR_UPSTREAM_BALANCE_TIER_H
#define WEIR_UPSTREAM_BALANCE_TIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "upstream/balance.h"
#include "upstream/pool.h"

enum { TIER_SERVERS, TIER_BACKUPS, TIER_COUNT };

/* Members that can ever be chosen: weight over 0. */
struct tier {
    uint32_t count;
    uint32_t *members; /* indexes into pool->servers, in the order of the file */
};
void tiers_fill(struct tier tiers[TIER_COUNT], const struct pool *pool);
void tiers_clear(struct tier tiers[TIER_COUNT]);

/* Chooses within one tier: index or -1. *any_up is set when somebody is up and untried, though perhaps full. */
struct tier_picker {
    int (*pick)(const struct pool *pool, const void *plan, unsigned tier, struct choice *choice, bool *any_up);
};
int tiers_choose(const struct pool *pool, const void *plan, struct choice *choice, struct tier_picker picker);

static inline bool choice_was_tried(const struct choice *choice, const struct server *server)
{
    for (unsigned i = 0; i < choice->tried_count; i++)
        if (choice->tried[i] == server)
            return true;
    return false;
}

static inline uint32_t member_load(const struct pool_server *member)
{
    return server_load(member->server);
}

static inline bool server_is_eligible(const struct server *server, const struct choice *choice)
{
    return server_is_up(server) && (!server_is_ejected(server, choice->now_us) || choice->panic);
}

/* May be chosen now; *any_up is set when only its limit stands against it, or nothing. */
static inline bool member_is_free(const struct pool_server *member, const struct choice *choice, bool *any_up)
{
    if (!server_is_eligible(member->server, choice) || choice_was_tried(choice, member->server))
        return false;
    *any_up = true;
    return server_has_room(member->server, member->max_connections, choice->now_us);
}

extern const struct balancer balance_adaptive, balance_first, balance_hash, balance_least_conn, balance_round_robin,
    balance_random;

#endif
