/* What the balancers share: the two tiers of a pool (its servers, its backups), the standbys behind them, and
 * who of them may be chosen. */
#ifndef WEIR_UPSTREAM_BALANCE_TIER_H
#define WEIR_UPSTREAM_BALANCE_TIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/rng.h"
#include "upstream/balance.h"
#include "upstream/pool.h"
#include "upstream/tried.h"

enum { TIER_SERVERS, TIER_BACKUPS, TIER_COUNT };

/* Members that can ever be chosen: weight over 0. */
struct tier {
    uint32_t count;
    uint32_t *members; /* indexes into pool->servers, in the order of the file */
};
void tiers_fill(struct tier tiers[TIER_COUNT], const struct pool *pool);
void tiers_clear(struct tier tiers[TIER_COUNT]);
/* The greatest number that divides all its weights; 0: it has no members. */
uint32_t tier_divisor(const struct tier *tier, const struct pool *pool);
/* The one standby whose turn it is: the first of the file that is not away, while all others are; -1: none.
 */
int standby_of(const struct pool *pool, const struct choice *choice);
/* Of a thousand requests, those that the first tier keeps; the others are for the backups. */
unsigned tiers_kept(const struct pool *pool, const struct choice *choice);

/* Chooses within one tier: index or -1. *any_up is set when somebody is up and untried, though perhaps full.
 */
struct tier_picker {
    int (*pick)(const struct pool *pool, const void *plan, unsigned tier, struct choice *choice,
                bool *any_up);
};
int tiers_choose(const struct pool *pool, const void *plan, struct choice *choice, struct tier_picker picker);

/* Whether this choice has to leave out the member of that index, whose server it is. */
static inline bool choice_excludes(const struct choice *choice, uint32_t index, const struct server *server)
{
    return !LIKELY(!choice->excludes) &&
           ((choice->tried != NULL && tried_has(choice->tried, index)) || server == choice->except ||
            (choice->spares && server_turns_away(server, choice->now_us)));
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
static inline bool member_is_free(const struct pool *pool, uint32_t index, const struct choice *choice,
                                  bool *any_up)
{
    const struct pool_server *member = &pool->servers[index];
    if (!server_is_eligible(member->server, choice) || choice_excludes(choice, index, member->server))
        return false;
    *any_up = true;
    return server_has_room(member->server, member->max_connections);
}

/* Microseconds of silence from which on it counts; INT32_MAX: not known. */
static inline int32_t pool_silence(const struct pool *pool)
{
    uint32_t silence_us =
        pool->shared != NULL ? atomic_load_explicit(&pool->shared->silence_us, memory_order_relaxed) : 0;
    return silence_us != 0 ? (int32_t)silence_us : INT32_MAX;
}

/* 1 but for one that lets requests wait and has not been heard for longer than most answers of the pool take.
 */
static inline float server_silence(const struct server *server, int32_t silence_us, uint32_t now_us)
{
    if (LIKELY(atomic_load_explicit(&server->awaiting, memory_order_relaxed) <= 0))
        return 1;
    /* Signed: another worker's clock may be a little ahead. */
    int32_t elapsed = (int32_t)(now_us - atomic_load_explicit(&server->heard_us, memory_order_relaxed));
    return elapsed > silence_us ? (float)elapsed / (float)silence_us : 1;
}

/* Servers of sticky sessions do not see the same mix of requests: their times cannot be compared. */
static inline bool pool_compares_times(const struct pool *pool)
{
    return pool->sticky == NULL;
}

#define SLOW_START_FIRST 0.1f /* share of its requests that a server gets when it has just come back */

/* Share of its requests that it is to get now: 1 but for a while after it was down. */
static inline float server_ramp(const struct pool *pool, const struct server *server, uint64_t now_us)
{
    uint32_t joined = atomic_load_explicit(&server->joined_ms, memory_order_relaxed);
    if (joined == 0 || pool->slow_start_ms == 0)
        return 1;
    uint32_t elapsed = server_clock(now_us) - joined;
    if (elapsed >= pool->slow_start_ms)
        return 1;
    return SLOW_START_FIRST + (1 - SLOW_START_FIRST) * (float)elapsed / (float)pool->slow_start_ms;
}

/* Takes the turn of a server that comes back only as often as its ramp says. */
static inline bool server_ramp_allows(const struct pool *pool, const struct server *server,
                                      struct choice *choice)
{
    float ramp = server_ramp(pool, server, choice->now_us);
    return ramp >= 1 || (float)rng_below(choice->rng, 1024) < ramp * 1024;
}

extern const struct balancer balance_adaptive, balance_first, balance_hash, balance_least_conn,
    balance_round_robin, balance_random;

#endif
