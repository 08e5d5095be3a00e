/* Balancers over servers made by hand: exact orders and shares, weights, backups, tried and full ones. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/rng.h"
#include "upstream/balance.h"
#include "upstream/pool.h"
#include "upstream/tried.h"

#define SERVERS_MOST 6

struct bench {
    struct server servers[SERVERS_MOST];
    struct pool_server members[SERVERS_MOST];
    struct pool pool;
    struct rng rng;
    uint32_t cursor;
    bool all_full;
    struct choice choice;
    void *plan;
};

static void bench_begin(struct bench *bench, enum balance_kind kind, const uint32_t *weights, size_t count)
{
    memset(bench, 0, sizeof *bench);
    rng_seed_with(&bench->rng, 7);
    for (size_t i = 0; i < count; i++)
        bench->members[i] = (struct pool_server){.server = &bench->servers[i], .weight = weights[i]};
    for (size_t i = 0; i < count; i++) {
        bench->servers[i].slowness = 1;
        bench->servers[i].limit = SERVER_LIMIT_OPEN;
    }
    static const char *const names[SERVERS_MOST] = {"a", "b", "c", "d", "e", "f"};
    for (size_t i = 0; i < count; i++)
        bench->servers[i].name = names[i];
    bench->pool =
        (struct pool){.servers = bench->members, .servers_count = count, .balancer = balancers[kind]};
    bench->choice = (struct choice){
        .hash = 77, .cursor = &bench->cursor, .rng = &bench->rng, .all_full = &bench->all_full};
}

/* Plans are made late, so that a test may set backups first. */
static int bench_choose(struct bench *bench)
{
    if (bench->plan == NULL)
        assert_true(bench->pool.balancer->prepare(&bench->pool, &bench->plan, NULL));
    return bench->pool.balancer->choose(&bench->pool, bench->plan, &bench->choice);
}

static void bench_end(struct bench *bench)
{
    bench->pool.balancer->dispose(bench->plan);
}

static void assert_order(struct bench *bench, const char *expected)
{
    char got[64] = "";
    for (size_t i = 0; expected[i] != '\0'; i++) {
        int index = bench_choose(bench);
        got[i] = index < 0 ? '-' : (char)('a' + index);
    }
    assert_string_equal(got, expected);
}

static void round_robin_is_smooth_as_in_nginx(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, BALANCE_ROUND_ROBIN, (const uint32_t[]){5, 1, 1}, 3);
    assert_order(&bench, "aabacaaaabacaa");
    bench_end(&bench);
    bench_begin(&bench, BALANCE_ROUND_ROBIN, (const uint32_t[]){200, 100, 100}, 3); /* as 2, 1, 1 */
    assert_order(&bench, "abcaabca");
    bench_end(&bench);
}

static void round_robin_steps_over_who_is_down_in_proportion(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, BALANCE_ROUND_ROBIN, (const uint32_t[]){1, 1, 1}, 3);
    bench.servers[1].health = SERVER_DOWN;
    assert_order(&bench, "acacac");
    bench.servers[1].health = SERVER_UNKNOWN;
    assert_order(&bench, "abcabc");
    bench_end(&bench);
    unsigned counts[3] = {0};
    bench_begin(&bench, BALANCE_ROUND_ROBIN, (const uint32_t[]){1000, 2, 1}, 3);
    bench.servers[0].health = SERVER_DOWN;
    for (unsigned i = 0; i < 300; i++)
        counts[bench_choose(&bench)]++;
    assert_int_equal(counts[0], 0);
    assert_int_equal(counts[1], 200);
    assert_int_equal(counts[2], 100);
    bench_end(&bench);
}

static void large_orders_keep_the_shares(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static struct server servers[COUNT];
    static struct pool_server members[COUNT];
    static unsigned counts[COUNT];
    unsigned turns = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        members[i] = (struct pool_server){.server = &servers[i], .weight = i % 3 + 1};
        turns += i % 3 + 1;
    }
    struct pool pool = {
        .servers = members, .servers_count = COUNT, .balancer = balancers[BALANCE_ROUND_ROBIN]};
    void *plan;
    uint32_t cursor = 0;
    bool all_full;
    struct rng rng;
    rng_seed_with(&rng, 1);
    struct choice choice = {.cursor = &cursor, .rng = &rng, .all_full = &all_full};
    assert_true(pool.balancer->prepare(&pool, &plan, NULL));
    for (unsigned i = 0; i < turns; i++)
        counts[pool.balancer->choose(&pool, plan, &choice)]++;
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(counts[i], i % 3 + 1);
    pool.balancer->dispose(plan);
}

static void least_conn_is_exact_and_breaks_ties_by_lot(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, BALANCE_LEAST_CONN, (const uint32_t[]){1, 1, 4}, 3);
    bench.servers[0].in_flight = 1; /* 2/1 */
    bench.servers[1].in_flight = 2; /* 3/1 */
    bench.servers[2].in_flight = 6; /* 7/4 */
    assert_int_equal(bench_choose(&bench), 2);
    bench.servers[2].in_flight = 8; /* 9/4 */
    assert_int_equal(bench_choose(&bench), 0);
    bench_end(&bench);
    bench_begin(&bench, BALANCE_LEAST_CONN, (const uint32_t[]){1, 1, 1}, 3);
    unsigned counts[3] = {0};
    for (unsigned i = 0; i < 3000; i++)
        counts[bench_choose(&bench)]++;
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(counts[i], 850, 1150);
    bench_end(&bench);
}

static void adaptive_weighs_slowness_errors_and_silence(void **state)
{
    (void)state;
    struct bench bench;
    struct pool_shared shared = {.silence_us = 10000};
    bench_begin(&bench, BALANCE_ADAPTIVE, (const uint32_t[]){1, 1, 2}, 3);
    bench.pool.shared = &shared;
    bench.servers[0].slowness = 3;  /* 3 * 1 */
    bench.servers[1].surcharge = 2; /* 1 + 2, and less from here on */
    bench.servers[2].in_flight = 4; /* 5 / 2 */
    assert_int_equal(bench_choose(&bench), 2);
    bench.servers[2].in_flight = 6; /* 7 / 2 */
    bench.servers[1].surcharge = 1.5f;
    assert_int_equal(bench_choose(&bench), 1);
    bench.servers[1].surcharge = 4;
    assert_int_equal(bench_choose(&bench), 0);
    /* Silence: twice as long as most answers take, from the wrap of the clock too. */
    bench.servers[0].heard_us = (uint32_t)-15000;
    bench.choice.now_us = 5000;
    assert_int_equal(bench_choose(&bench), 0); /* nothing is awaited */
    bench.servers[0].awaiting = 1;             /* 3 * 2 */
    assert_int_equal(bench_choose(&bench), 2);
    bench.servers[0].heard_us = 6000; /* another worker's clock is ahead */
    assert_int_equal(bench_choose(&bench), 0);
    bench_end(&bench);
    bench_begin(&bench, BALANCE_LEAST_CONN, (const uint32_t[]){1, 1}, 2);
    bench.pool.shared = &shared;
    bench.servers[0].slowness = 64;
    bench.servers[1].surcharge = 0.1f;
    assert_int_equal(bench_choose(&bench), 0);
    bench_end(&bench);
}

static void adaptive_samples_large_pools(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static struct server servers[COUNT];
    static struct pool_server members[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        servers[i].slowness = 1;
        servers[i].limit = SERVER_LIMIT_OPEN;
        servers[i].in_flight = i < COUNT / 2 ? 5 : 0;
        members[i] = (struct pool_server){.server = &servers[i], .weight = 1};
    }
    struct pool pool = {.servers = members, .servers_count = COUNT, .balancer = balancers[BALANCE_ADAPTIVE]};
    void *plan;
    bool all_full;
    struct rng rng;
    rng_seed_with(&rng, 3);
    struct choice choice = {.rng = &rng, .all_full = &all_full};
    assert_true(pool.balancer->prepare(&pool, &plan, NULL));
    unsigned idle = 0;
    for (unsigned i = 0; i < 1000; i++)
        idle += pool.balancer->choose(&pool, plan, &choice) >= COUNT / 2;
    assert_in_range(idle, 980, 1000); /* all eight places in the busy half: once in 256 */
    for (unsigned i = 0; i < COUNT; i++)
        servers[i].health = i == 777 ? SERVER_UP : SERVER_DOWN;
    assert_int_equal(pool.balancer->choose(&pool, plan, &choice), 777);
    pool.balancer->dispose(plan);
}

static void zones_are_a_price_and_no_wall(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, BALANCE_ADAPTIVE, (const uint32_t[]){1, 1}, 2);
    bench.members[1].far = true;
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(bench_choose(&bench), 0);
    bench.servers[0].in_flight = 3;
    bench.servers[1].in_flight = 2; /* 3 * 1.3 < 4 */
    assert_int_equal(bench_choose(&bench), 1);
    bench_end(&bench);
}

static void first_fills_up(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, BALANCE_FIRST, (const uint32_t[]){1, 1}, 2);
    bench.members[0].max_connections = 2;
    for (int load = 0; load < 4; load++) {
        bench.servers[0].in_flight = load;
        assert_int_equal(bench_choose(&bench), load < 2 ? 0 : 1);
    }
    bench_end(&bench);
}

/* One of three is left: 1.4 thirds of the requests stay, the rest goes to the backup. */
static void backups_take_what_the_others_lack(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, BALANCE_ADAPTIVE, (const uint32_t[]){1, 1, 1, 1}, 4);
    bench.members[3].backup = bench.pool.has_backups = true;
    unsigned spilled = 0;
    bench.servers[0].health = SERVER_DOWN;
    for (unsigned i = 0; i < 3000; i++)
        spilled += bench_choose(&bench) == 3;
    assert_in_range(spilled, 120, 280); /* 1 - 1.4 * 2 / 3 = 0.067 */
    bench.servers[1].health = SERVER_DOWN;
    spilled = 0;
    for (unsigned i = 0; i < 3000; i++)
        spilled += bench_choose(&bench) == 3;
    assert_in_range(spilled, 1500, 1700); /* 1 - 1.4 / 3 = 0.533 */
    bench.servers[0].health = bench.servers[1].health = SERVER_UP;
    for (unsigned i = 0; i < 3000; i++)
        assert_int_not_equal(bench_choose(&bench), 3);
    bench_end(&bench);
}

#define HASHED 100
#define KEYS 20000

/* A pool of `HASHED` named servers for hash. */
struct hashed {
    struct server servers[HASHED];
    char names[HASHED][8];
    struct pool_server members[HASHED];
    struct pool_config config;
    struct pool pool;
    struct rng rng;
    bool all_full;
    void *plan;
};

static void hashed_begin(struct hashed *hashed, size_t count, uint64_t bound)
{
    memset(hashed, 0, sizeof *hashed);
    rng_seed_with(&hashed->rng, 11);
    for (size_t i = 0; i < count; i++) {
        snprintf(hashed->names[i], sizeof hashed->names[i], "s%zu", i);
        hashed->servers[i].name = hashed->names[i];
        hashed->servers[i].slowness = 1;
        hashed->servers[i].limit = SERVER_LIMIT_OPEN;
        hashed->members[i] = (struct pool_server){.server = &hashed->servers[i], .weight = 1};
    }
    hashed->config.hash.bounded_load = bound;
    hashed->pool = (struct pool){.config = &hashed->config,
                                 .servers = hashed->members,
                                 .servers_count = count,
                                 .balancer = balancers[BALANCE_HASH]};
}

static int hashed_choose(struct hashed *hashed, uint64_t key)
{
    if (hashed->plan == NULL)
        assert_true(hashed->pool.balancer->prepare(&hashed->pool, &hashed->plan, NULL));
    struct choice choice = {.hash = hash_mix(key + 1), .rng = &hashed->rng, .all_full = &hashed->all_full};
    return hashed->pool.balancer->choose(&hashed->pool, hashed->plan, &choice);
}

/* Where the key goes when nobody has anything to do. */
static int hashed_idle(struct hashed *hashed, uint64_t key)
{
    int32_t loads[HASHED];
    for (size_t i = 0; i < HASHED; i++)
        loads[i] = atomic_exchange(&hashed->servers[i].in_flight, 0);
    int index = hashed_choose(hashed, key);
    for (size_t i = 0; i < HASHED; i++)
        atomic_store(&hashed->servers[i].in_flight, loads[i]);
    return index;
}

static void hashed_end(struct hashed *hashed)
{
    hashed->pool.balancer->dispose(hashed->plan);
}

static void hash_moves_only_the_keys_of_who_leaves(void **state)
{
    (void)state;
    static struct hashed hashed;
    static int before[KEYS];
    unsigned moved = 0, needless = 0, counts[HASHED] = {0};
    hashed_begin(&hashed, HASHED, 125);
    for (unsigned key = 0; key < KEYS; key++)
        counts[before[key] = hashed_choose(&hashed, key)]++;
    for (unsigned i = 0; i < HASHED; i++)
        assert_in_range(counts[i], 130, 280); /* 200, with the noise of so few keys */
    hashed.servers[42].health = SERVER_DOWN;
    for (unsigned key = 0; key < KEYS; key++) {
        int now = hashed_choose(&hashed, key);
        moved += now != before[key];
        needless += now != before[key] && before[key] != 42;
        assert_int_not_equal(now, 42);
    }
    print_message("one of %u servers leaves: %u of %u keys move, %u of them needlessly\n", HASHED, moved,
                  KEYS, needless);
    assert_int_equal(moved, counts[42]);
    assert_int_equal(needless, 0);
    hashed.servers[42].health = SERVER_UP;
    for (unsigned key = 0; key < KEYS; key++)
        assert_int_equal(hashed_choose(&hashed, key), before[key]);
    hashed_end(&hashed);
}

static void hash_does_not_depend_on_the_order_of_the_file(void **state)
{
    (void)state;
    static struct hashed hashed;
    static int before[KEYS];
    hashed_begin(&hashed, 10, 0);
    for (unsigned key = 0; key < KEYS; key++)
        before[key] = hashed_choose(&hashed, key);
    hashed_end(&hashed);
    hashed_begin(&hashed, 10, 0);
    for (unsigned i = 0; i < 10; i++)
        hashed.servers[i].name = hashed.names[9 - i];
    for (unsigned key = 0; key < KEYS; key++)
        assert_int_equal(hashed_choose(&hashed, key), 9 - before[key]);
    hashed_end(&hashed);
}

static void hash_follows_weights(void **state)
{
    (void)state;
    static struct hashed hashed;
    unsigned counts[3] = {0};
    hashed_begin(&hashed, 3, 0);
    hashed.members[1].weight = 2;
    hashed.members[2].weight = 5;
    for (unsigned key = 0; key < KEYS; key++)
        counts[hashed_choose(&hashed, key)]++;
    assert_in_range(counts[0], KEYS / 8 - 300, KEYS / 8 + 300);
    assert_in_range(counts[1], KEYS / 4 - 300, KEYS / 4 + 300);
    hashed_end(&hashed);
}

/* Zipf(1.0) over 10,000 keys at 20 servers with 2,000 in flight: the hottest has 3 times the mean unless it
 * is bounded. */
static double hottest(uint64_t bound)
{
    enum { SERVERS = 20, BALLS = 60000, IN_FLIGHT = 2000, ZIPF_KEYS = 10000 };
    static struct hashed hashed;
    static double sums[ZIPF_KEYS];
    static int flying[IN_FLIGHT];
    double sum = 0, most = 0;
    hashed_begin(&hashed, SERVERS, bound);
    for (unsigned key = 0; key < ZIPF_KEYS; key++)
        sums[key] = sum += 1.0 / (key + 1);
    for (unsigned ball = 0; ball < BALLS; ball++) {
        int *slot = &flying[ball % IN_FLIGHT];
        if (ball >= IN_FLIGHT)
            hashed.servers[*slot].in_flight--;
        double point = (double)(rng_next(&hashed.rng) >> 11) / 9007199254740992.0 * sum;
        unsigned low = 0, high = ZIPF_KEYS - 1;
        while (low < high) {
            unsigned middle = (low + high) / 2;
            if (point < sums[middle])
                high = middle;
            else
                low = middle + 1;
        }
        *slot = hashed_choose(&hashed, low);
        hashed.servers[*slot].in_flight++;
        if (ball < IN_FLIGHT)
            continue;
        for (unsigned i = 0; i < SERVERS; i++)
            most = hashed.servers[i].in_flight > most ? hashed.servers[i].in_flight : most;
    }
    hashed_end(&hashed);
    return most / (IN_FLIGHT / SERVERS);
}

static void hash_bounds_the_hottest(void **state)
{
    (void)state;
    double free = hottest(0), bounded = hottest(125), loose = hottest(200);
    print_message("Zipf(1.0), 20 servers, the hottest of the mean: unbounded %.2f, 125%% %.2f, 200%% %.2f\n",
                  free, bounded, loose);
    assert_true(free > 2);
    assert_true(bounded < 1.26);
    assert_true(loose < 2.01);
}

/* The bound is a share of what the servers that are up carry: else all of them are over it as soon as a fifth
 * is down, and keys go anywhere. */
static void hash_keeps_its_keys_while_servers_are_down(void **state)
{
    (void)state;
    enum { SERVERS = 10, DOWN = 4, IN_FLIGHT = 600, LOOKS = 6000 };
    static struct hashed hashed;
    static int held[IN_FLIGHT];
    unsigned own = 0;
    struct rng rng;
    rng_seed_with(&rng, 5);
    hashed_begin(&hashed, SERVERS, 125);
    for (size_t i = 0; i < DOWN; i++)
        hashed.servers[i].health = SERVER_DOWN;
    for (unsigned i = 0; i < IN_FLIGHT + LOOKS; i++) {
        int *slot = &held[i % IN_FLIGHT];
        if (i >= IN_FLIGHT)
            hashed.servers[*slot].in_flight--;
        uint64_t key = rng_below(&rng, KEYS);
        *slot = hashed_choose(&hashed, key);
        hashed.servers[*slot].in_flight++;
        own += i >= IN_FLIGHT && *slot == hashed_idle(&hashed, key);
    }
    print_message("four of ten servers are down: %u of %d requests at the server of their key\n", own, LOOKS);
    assert_in_range(own, LOOKS * 8 / 10, LOOKS);
    hashed_end(&hashed);
}

/* As with the others, but always the same keys, and each at a backup of its own. */
static void hash_spills_over_to_backups(void **state)
{
    (void)state;
    enum { SERVERS = 10, BACKUPS = 2 };
    static struct hashed hashed;
    hashed_begin(&hashed, SERVERS + BACKUPS, 0);
    for (size_t i = SERVERS; i < SERVERS + BACKUPS; i++)
        hashed.members[i].backup = hashed.pool.has_backups = true;
    static const unsigned downs[] = {0, 2, 4, 6, SERVERS};
    for (size_t step = 0; step < COUNT_OF(downs); step++) {
        unsigned down = downs[step], spilled = 0, first = 0, same = 0;
        for (unsigned i = 0; i < down; i++)
            hashed.servers[i].health = SERVER_DOWN;
        for (uint64_t key = 0; key < KEYS; key++) {
            int index = hashed_choose(&hashed, key);
            same += hashed_choose(&hashed, key) == index;
            spilled += index >= SERVERS;
            first += index == SERVERS;
        }
        unsigned kept = down > 2 ? KEYS / 100 * 14 * (SERVERS - down) : KEYS;
        assert_in_range(spilled, (KEYS - kept) * 95 / 100, (KEYS - kept) * 105 / 100);
        assert_in_range(first, spilled * 45 / 100, spilled * 55 / 100);
        assert_in_range(same, KEYS * 98 / 100, KEYS); /* eight probes find nobody for some */
    }
    hashed_end(&hashed);
}

/* That have no divisor in common, so that one round of the table by weights would be longer than it. */
static void hash_follows_large_weights(void **state)
{
    (void)state;
    static struct hashed hashed;
    unsigned counts[HASHED] = {0};
    const uint64_t many = 1000000;
    uint64_t weights = 0;
    hashed_begin(&hashed, HASHED, 0);
    for (uint32_t i = 0; i < HASHED; i++)
        weights += hashed.members[i].weight = i == 0 ? 1 : 1000 - i;
    for (uint64_t key = 0; key < many; key++)
        counts[hashed_choose(&hashed, key)]++;
    assert_in_range(counts[0], 1, 60);
    for (unsigned i = 1; i < HASHED; i++) {
        unsigned share = (unsigned)((uint64_t)hashed.members[i].weight * many / weights);
        assert_in_range(counts[i], share * 85 / 100, share * 115 / 100);
    }
    hashed_end(&hashed);
}

static void random_follows_weights_and_avoids_load(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, BALANCE_RANDOM, (const uint32_t[]){1, 1, 1, 1}, 4);
    unsigned counts[4] = {0};
    for (unsigned i = 0; i < 4000; i++)
        counts[bench_choose(&bench)]++;
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(counts[i], 850, 1150);
    bench.servers[3].in_flight = 50;
    for (unsigned i = 0; i < 200; i++)
        assert_int_not_equal(bench_choose(&bench), 3);
    bench.servers[0].health = bench.servers[1].health = bench.servers[2].health = SERVER_DOWN;
    assert_int_equal(bench_choose(&bench), 3);
    bench_end(&bench);
    /* Of two, both are always drawn: the one that is less loaded for its weight. */
    bench_begin(&bench, BALANCE_RANDOM, (const uint32_t[]){1, 9}, 2);
    bench.servers[0].in_flight = 1;
    bench.servers[1].in_flight = 16; /* 17/9 < 2/1 */
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(bench_choose(&bench), 1);
    bench_end(&bench);
}

static void random_compares_what_adaptive_does(void **state)
{
    (void)state;
    struct bench bench;
    struct pool_shared shared = {.silence_us = 10000};
    bench_begin(&bench, BALANCE_RANDOM, (const uint32_t[]){1, 1}, 2);
    bench.pool.shared = &shared;
    bench.servers[0].awaiting = 1; /* for 30 ms: 1 * 3 */
    bench.choice.now_us = 30000;
    bench.servers[1].in_flight = 1; /* 2 */
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(bench_choose(&bench), 1);
    bench.servers[0].slowness = 8;
    bench.pool.sticky = (struct sticky *)&bench; /* where clients stay, times are left out */
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(bench_choose(&bench), 0);
    bench_end(&bench);
}

/* One at a time, in the order of the file, and only when nobody else is there. */
static void standbys_for_all(enum balance_kind kind)
{
    struct bench bench;
    bench_begin(&bench, kind, (const uint32_t[]){1, 1, 1, 1, 1}, 5);
    bench.members[2].backup = bench.pool.has_backups = true;
    bench.members[1].standby = bench.members[3].standby = bench.pool.has_standbys = true;
    bool seen[5] = {false};
    for (unsigned i = 0; i < 100; i++)
        seen[bench_choose(&bench)] = true;
    assert_true(!seen[1] && !seen[2] && !seen[3]);
    bench.servers[0].health = SERVER_DOWN;
    bench.servers[4].health = SERVER_DOWN;
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(bench_choose(&bench), 2);
    /* Only down is down. */
    bench.choice.excludes = true;
    bench.choice.except = &bench.servers[2];
    assert_int_equal(bench_choose(&bench), -1);
    bench.choice.excludes = false;
    server_set_ejected(&bench.servers[2], 0, 10);
    assert_int_equal(bench_choose(&bench), -1);
    bench.servers[2].ejected_until_ms = 0;
    /* This request was refused there. */
    bench.choice.excludes = true;
    assert_false(server_was_unreached(&bench.servers[2]));
    server_turned_away(&bench.servers[2], bench.choice.now_us = 1);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(bench_choose(&bench), 1);
    bench.members[1].max_connections = 1;
    bench.servers[1].in_flight = 1;
    assert_int_equal(bench_choose(&bench), -1);
    assert_true(bench.all_full); /* it is waited for */
    bench.servers[1].health = SERVER_DOWN;
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(bench_choose(&bench), 3);
    bench.members[3].weight = 0;
    assert_int_equal(bench_choose(&bench), -1);
    bench.members[3].weight = 1;
    server_was_reached(&bench.servers[2]);
    assert_int_equal(bench_choose(&bench), -1);
    bench.choice.excludes = false;
    assert_int_equal(bench_choose(&bench), 2);
    bench_end(&bench);
}

static void rules_for_all(enum balance_kind kind)
{
    struct bench bench;
    bench_begin(&bench, kind, (const uint32_t[]){1, 1, 0, 1, 1}, 5);
    bench.members[3].backup = bench.members[4].backup = true;
    bench.members[1].max_connections = 2; /* plans keep what the file says */
    for (unsigned i = 0; i < 50; i++)
        assert_in_range(bench_choose(&bench), 0, 1); /* neither weight 0 nor backups */

    struct tried *tried = calloc(1, tried_size(5));
    tried_add(tried, 0);
    bench.choice.tried = tried;
    bench.choice.excludes = true;
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(bench_choose(&bench), 1);
    bench.choice.tried = NULL;
    bench.choice.except = &bench.servers[0];
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(bench_choose(&bench), 1);
    bench.choice.except = NULL;
    bench.choice.spares = true;
    server_turned_away(&bench.servers[1], 1);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(bench_choose(&bench), 0);
    server_turned_away(&bench.servers[0], 1);
    assert_in_range(bench_choose(&bench), 3, 4); /* nobody but backups is left */
    server_was_reached(&bench.servers[0]);
    server_was_reached(&bench.servers[1]);
    bench.choice.spares = false;
    bench.choice.tried = tried;
    bench.servers[1].in_flight = 2;
    assert_int_equal(bench_choose(&bench), -1);
    assert_true(bench.all_full); /* full is worth waiting for: no backup steps in */
    bench.servers[1].in_flight = 1;
    assert_int_equal(bench_choose(&bench), 1);
    bench.choice.excludes = false;
    bench.choice.tried = NULL;
    free(tried);
    server_set_ejected(&bench.servers[1], 0, 10);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(bench_choose(&bench), 0);
    bench.choice.now_us = 12000;
    assert_int_equal(server_is_ejected(&bench.servers[1], bench.choice.now_us), false);
    bench.choice.now_us = 0;
    bench.servers[1].ejected_until_ms = 0;
    bench.servers[0].health = bench.servers[1].health = SERVER_DOWN;
    bool seen[5] = {false};
    for (unsigned i = 0; i < 100; i++)
        seen[bench_choose(&bench)] = true;
    assert_true(!seen[0] && !seen[1] && !seen[2] && seen[3] && seen[4] == (kind != BALANCE_FIRST));
    bench.servers[3].health = bench.servers[4].health = SERVER_DOWN;
    assert_int_equal(bench_choose(&bench), -1);
    assert_false(bench.all_full);
    bench.servers[1].health = SERVER_UP;
    assert_int_equal(bench_choose(&bench), 1);
    bench_end(&bench);
}

/* How many of a thousand requests, each with a key of its own, the first of two servers gets. */
static unsigned share_of_first(enum balance_kind kind, uint32_t ago_ms)
{
    static struct hashed hashed;
    unsigned got = 0;
    hashed_begin(&hashed, 2, 0);
    hashed.config.choices = 1;
    hashed.pool.balancer = balancers[kind];
    hashed.pool.slow_start_ms = 10240;
    const uint64_t now_us = 1000000000000;
    uint32_t cursor = 0;
    hashed.servers[0].joined_ms = server_clock(now_us) - ago_ms;
    assert_true(hashed.pool.balancer->prepare(&hashed.pool, &hashed.plan, NULL));
    for (uint64_t i = 0; i < 1000; i++) {
        struct choice choice = {.hash = hash_mix(i + 1),
                                .now_us = now_us,
                                .cursor = &cursor,
                                .rng = &hashed.rng,
                                .all_full = &hashed.all_full};
        got += hashed.pool.balancer->choose(&hashed.pool, hashed.plan, &choice) == 0;
    }
    hashed_end(&hashed);
    return got;
}

static void who_comes_back_starts_slowly(void **state)
{
    (void)state;
    static const enum balance_kind kinds[] = {BALANCE_ROUND_ROBIN, BALANCE_RANDOM, BALANCE_HASH};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        /* a tenth of its half, or of what it is offered again */
        assert_in_range(share_of_first(kinds[i], 0), 15, 150);
        assert_in_range(share_of_first(kinds[i], 5120), 220, 400); /* 0.55 */
        assert_in_range(share_of_first(kinds[i], 10240), 430, 570);
    }
    /* Costs ten times as much at first: nine requests in flight elsewhere before it gets one. */
    struct bench bench;
    bench_begin(&bench, BALANCE_LEAST_CONN, (const uint32_t[]){1, 1}, 2);
    bench.pool.slow_start_ms = 10240;
    bench.choice.now_us = 1000000000000;
    bench.servers[0].joined_ms = server_clock(bench.choice.now_us);
    bench.servers[1].in_flight = 8;
    assert_int_equal(bench_choose(&bench), 1);
    bench.servers[1].in_flight = 10;
    assert_int_equal(bench_choose(&bench), 0);
    bench_end(&bench);
}

static void standbys_serve_one_at_a_time(void **state)
{
    (void)state;
    for (unsigned kind = BALANCE_ADAPTIVE; kind <= BALANCE_HASH; kind++)
        standbys_for_all((enum balance_kind)kind);
}

static void every_balancer_obeys_the_rules(void **state)
{
    (void)state;
    rules_for_all(BALANCE_ADAPTIVE);
    rules_for_all(BALANCE_LEAST_CONN);
    rules_for_all(BALANCE_ROUND_ROBIN);
    rules_for_all(BALANCE_RANDOM);
    rules_for_all(BALANCE_FIRST);
    rules_for_all(BALANCE_HASH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_robin_is_smooth_as_in_nginx),
        cmocka_unit_test(round_robin_steps_over_who_is_down_in_proportion),
        cmocka_unit_test(large_orders_keep_the_shares),
        cmocka_unit_test(least_conn_is_exact_and_breaks_ties_by_lot),
        cmocka_unit_test(adaptive_weighs_slowness_errors_and_silence),
        cmocka_unit_test(adaptive_samples_large_pools),
        cmocka_unit_test(zones_are_a_price_and_no_wall),
        cmocka_unit_test(first_fills_up),
        cmocka_unit_test(backups_take_what_the_others_lack),
        cmocka_unit_test(hash_moves_only_the_keys_of_who_leaves),
        cmocka_unit_test(hash_does_not_depend_on_the_order_of_the_file),
        cmocka_unit_test(hash_follows_weights),
        cmocka_unit_test(hash_follows_large_weights),
        cmocka_unit_test(hash_bounds_the_hottest),
        cmocka_unit_test(hash_keeps_its_keys_while_servers_are_down),
        cmocka_unit_test(hash_spills_over_to_backups),
        cmocka_unit_test(random_follows_weights_and_avoids_load),
        cmocka_unit_test(random_compares_what_adaptive_does),
        cmocka_unit_test(who_comes_back_starts_slowly),
        cmocka_unit_test(standbys_serve_one_at_a_time),
        cmocka_unit_test(every_balancer_obeys_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
