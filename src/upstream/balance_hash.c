/*
 * hash: requests of one key go to one server, by Maglev's table (Eisenbud and others, Maglev, NSDI 2016). The
 * table is built from the servers that the file names, whoever is up: a key whose server is down or over its
 * share is hashed again and again, so that a server that goes moves its own keys and no others, and gets them
 * back. Slowness does not count here, as servers get different requests by intention (balancing.md 5 and 10).
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/rng.h"
#include "upstream/balance_tier.h"

#define SLOTS_LEAST 65537u /* prime; shares of up to 655 servers differ by 1 % at most */
#define SLOTS_EACH 100u    /* above that: the next prime over so many for each server */
#define ROUNDS_LEAST \
    50u             /* in which the table is filled: the last one, which may end early, is so little of it */
#define PROBES 8u   /* hashes tried before the least loaded serves: then most of the pool is down or full */
#define SAMPLES 64u /* members whose load stands for the mean of a larger pool */
#define UNUSED UINT32_MAX

struct table {
    uint32_t count;
    uint32_t *slots; /* index into pool->servers; NULL: the tier has no members */
};
struct hash_plan {
    struct tier tiers[TIER_COUNT];
    struct table tables[TIER_COUNT];
    unsigned bound; /* percent of its share of the mean; 0: none */
    void *least;    /* plan of least_conn, for what no probe finds */
};
/* Requests in flight, and the weight of those that carry them. */
struct mean {
    uint64_t load, weight;
};
/* One server's order of preference over all slots, while the table is filled. */
struct preference {
    uint64_t turns; /* due, in parts of one */
    uint64_t at, step;
    uint32_t weight, index;
};

static bool is_prime(uint32_t number)
{
    for (uint32_t i = 3; i <= number / i; i += 2)
        if (number % i == 0)
            return false;
    return number % 2 != 0;
}

static uint32_t slots_for(uint32_t servers)
{
    if (servers <= SLOTS_LEAST / SLOTS_EACH)
        return SLOTS_LEAST;
    uint32_t slots = servers * SLOTS_EACH + 1;
    while (!is_prime(slots))
        slots++;
    return slots;
}

/* By name: the same in every process, and wherever the server stands in the list. */
static struct preference preference_of(const struct pool_server *member, uint32_t index, uint32_t slots)
{
    static const uint64_t keys[2][2] = {{0x7765697241ull, 1}, {0x7765697242ull, 2}};
    struct span name = span_of(member->server->name);
    return (struct preference){
        .at = hash_sip13(keys[0], name) % slots,
        .step = hash_sip13(keys[1], name) % (slots - 1) + 1,
        .weight = member->weight,
        .index = index,
    };
}

static int preference_compare(const void *left, const void *right)
{
    const struct preference *a = left, *b = right;
    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    return a->at != b->at ? (a->at < b->at ? -1 : 1) : a->index < b->index ? -1 : 1;
}

/* In rounds, each server takes the next slot it likes as often as its weight; large weights by parts, so that
 * there are some rounds. */
static void table_fill(struct table *table, struct preference *preferences, uint32_t count)
{
    uint64_t weights = 0, turns = table->count / ROUNDS_LEAST, filled = 0;
    for (uint32_t i = 0; i < count; i++)
        weights += preferences[i].weight;
    if (turns > weights)
        turns = weights;
    for (uint32_t i = 0; i < count; i++)
        preferences[i].turns = weights - 1; /* everybody has a slot */
    for (;;) {
        for (uint32_t i = 0; i < count; i++) {
            struct preference *mine = &preferences[i];
            for (mine->turns += mine->weight * turns; mine->turns >= weights; mine->turns -= weights) {
                while (table->slots[mine->at] != UNUSED)
                    mine->at = (mine->at + mine->step) % table->count;
                table->slots[mine->at] = mine->index;
                if (++filled == table->count)
                    return;
            }
        }
    }
}

static void table_make(struct table *table, const struct tier *tier, const struct pool *pool)
{
    struct preference *preferences = xcalloc(tier->count, sizeof *preferences);
    uint32_t divisor = tier_divisor(tier, pool);
    table->count = slots_for(tier->count);
    table->slots = xcalloc(table->count, sizeof *table->slots);
    memset(table->slots, 0xff, table->count * sizeof *table->slots);
    for (uint32_t i = 0; i < tier->count; i++) {
        const struct pool_server *member = &pool->servers[tier->members[i]];
        preferences[i] = preference_of(member, tier->members[i], table->count);
        preferences[i].weight /= divisor;
    }
    /* Turns are taken in an order of their own, not that of the file, which may change. */
    qsort(preferences, tier->count, sizeof *preferences, preference_compare);
    table_fill(table, preferences, tier->count);
    free(preferences);
}

static bool hash_prepare(const struct pool *pool, void **plan, struct error *error)
{
    struct hash_plan *hash = xcalloc(1, sizeof *hash);
    tiers_fill(hash->tiers, pool);
    for (unsigned tier = 0; tier < TIER_COUNT; tier++)
        if (hash->tiers[tier].count > 0)
            table_make(&hash->tables[tier], &hash->tiers[tier], pool);
    hash->bound = pool->config != NULL ? (unsigned)pool->config->hash.bounded_load : 0;
    *plan = hash;
    return balance_least_conn.prepare(pool, &hash->least, error);
}

/* Who is down carries nothing, and the others its share: with it in the mean, all of them would be over the
 * bound as soon as a fifth of the pool is down, and no key would find its server. */
static void mean_add(struct mean *mean, const struct pool_server *member, const struct choice *choice)
{
    if (!server_is_eligible(member->server, choice))
        return;
    mean->load += member_load(member);
    mean->weight += member->weight;
}

/* Of the servers of a tier, or of some of them that stand for all. */
static struct mean mean_of(const struct pool *pool, const struct tier *tier, const struct choice *choice)
{
    struct mean mean = {0};
    bool all = tier->count <= 2 * SAMPLES;
    uint32_t looks = all ? tier->count : SAMPLES, step = tier->count / looks;
    uint32_t at = all ? 0 : rng_below(choice->rng, tier->count);
    for (uint32_t i = 0; i < looks; i++, at = (at + step) % tier->count)
        mean_add(&mean, &pool->servers[tier->members[at]], choice);
    mean.load = mean.load * tier->count / looks + 1; /* with the new one */
    mean.weight = mean.weight * tier->count / looks;
    return mean;
}

/* With one more it is within the bound: so many percent of its share of all requests in flight (Mirrokni and
 * others, Consistent Hashing with Bounded Loads, 2018). *mean: worked out at the first need, as most servers
 * are idle enough. */
static bool within_bound(const struct pool *pool, const struct hash_plan *plan, const struct tier *tier,
                         const struct pool_server *member, const struct choice *choice, struct mean *mean)
{
    uint64_t load = member_load(member);
    if (plan->bound == 0 || load == 0)
        return true;
    if (mean->load == 0)
        *mean = mean_of(pool, tier, choice);
    return (load + 1) * 100 * mean->weight <= plan->bound * mean->load * member->weight;
}

/* Of a server that comes back always the same keys are the first, so that none goes to and fro. */
static bool key_comes_back(const struct pool *pool, const struct server *server, const struct choice *choice,
                           uint64_t hash)
{
    float ramp = server_ramp(pool, server, choice->now_us);
    return ramp >= 1 || (float)(hash_mix(hash) % 1024) < ramp * 1024;
}

static int hash_pick(const struct pool *pool, const struct hash_plan *plan, unsigned tier,
                     const struct choice *choice)
{
    const struct table *table = &plan->tables[tier];
    struct mean mean = {0};
    bool any_up = false;
    for (uint64_t probe = 0; table->slots != NULL && probe < PROBES; probe++) {
        uint64_t hash = hash_mix(choice->hash + probe);
        uint32_t index = table->slots[hash % table->count];
        const struct pool_server *member = &pool->servers[index];
        if (member_is_free(pool, index, choice, &any_up) &&
            key_comes_back(pool, member->server, choice, hash) &&
            within_bound(pool, plan, &plan->tiers[tier], member, choice, &mean))
            return (int)index;
    }
    return -1;
}

/* What the servers that are left could not carry is always that of the same keys, and stays together at the
 * backups as well. */
static bool key_spills_over(const struct pool *pool, const struct choice *choice)
{
    return pool->has_backups && (hash_mix(~choice->hash) >> 32) % 1000 >= tiers_kept(pool, choice);
}

static int hash_choose(const struct pool *pool, const void *data, struct choice *choice)
{
    const struct hash_plan *plan = data;
    int index = -1;
    *choice->all_full = false;
    if (choice->hash != 0 && key_spills_over(pool, choice))
        index = hash_pick(pool, plan, TIER_BACKUPS, choice);
    if (choice->hash != 0 && index < 0)
        index = hash_pick(pool, plan, TIER_SERVERS, choice);
    return index >= 0 ? index : balance_least_conn.choose(pool, plan->least, choice);
}

static void hash_dispose(void *data)
{
    struct hash_plan *plan = data;
    tiers_clear(plan->tiers);
    balance_least_conn.dispose(plan->least);
    for (unsigned tier = 0; tier < TIER_COUNT; tier++)
        free(plan->tables[tier].slots);
    free(plan);
}

const struct balancer balance_hash = {
    .name = "hash",
    .prepare = hash_prepare,
    .choose = hash_choose,
    .dispose = hash_dispose,
};
