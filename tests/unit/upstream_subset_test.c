/* Subsets of huge pools: all weirs together use every server as often, and little moves when servers come and
 * go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "unit.h"
#include "upstream/balance.h"
#include "upstream/pool.h"
#include "upstream/subset.h"

#define SERVERS_MOST 1001
#define WEIRS_MOST 200

static struct server_config servers[SERVERS_MOST];
static char addresses[SERVERS_MOST][24];

static struct pool_config config_of(struct subset_config *subset, size_t count)
{
    for (size_t i = 0; i < SERVERS_MOST; i++) {
        (void)snprintf(addresses[i], sizeof addresses[i], "127.0.%zu.%zu:80", i / 250, i % 250 + 1);
        servers[i] = (struct server_config){.address = addresses[i], .weight = 1};
    }
    return (struct pool_config){.name = "api", .servers = servers, .servers_count = count, .subset = subset};
}

static size_t used_count(const bool *used, size_t count)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += used[i];
    return sum;
}

/* How many weirs use the servers that the least and the most of them use. */
static void cover(size_t count, size_t weirs, size_t size, unsigned *least, unsigned *most, size_t *length)
{
    struct subset_config subset = {.of = weirs, .size = size};
    struct pool_config config = config_of(&subset, count);
    static bool used[SERVERS_MOST];
    static unsigned users[SERVERS_MOST];
    memset(users, 0, sizeof users);
    for (subset.index = 0; subset.index < weirs; subset.index++) {
        subset_choose(&config, used);
        *length = used_count(used, count);
        for (size_t i = 0; i < count; i++)
            users[i] += used[i];
    }
    *least = *most = users[0];
    for (size_t i = 0; i < count; i++) {
        *least = users[i] < *least ? users[i] : *least;
        *most = users[i] > *most ? users[i] : *most;
    }
}

static void every_server_is_used_as_often(void **state)
{
    (void)state;
    static const struct {
        size_t servers, weirs, size, length;
    } rows[] = {
        {200, 10, 0, 20}, {1000, 100, 0, 100}, {1000, 7, 0, 143},   {1000, 200, 0, 100},
        {997, 13, 0, 99}, {150, 3, 0, 50},     {12, 5, 0, 12},      {500, 40, 33, 33},
        {1, 2, 0, 1},     {1000, 1, 0, 1000},  {200, 4, 1000, 200},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        unsigned least, most;
        size_t length;
        cover(rows[i].servers, rows[i].weirs, rows[i].size, &least, &most, &length);
        print_message("%zu servers, %zu weirs with %zu each: %u to %u weirs a server\n", rows[i].servers,
                      rows[i].weirs, length, least, most);
        assert_int_equal(length, rows[i].length);
        assert_true(least > 0);
        assert_true(most - least <= 1);
    }
}

/* The most servers that any weir begins to use when server `gone` of `count` leaves, and that all together
 * do. */
static size_t moved_most(size_t count, size_t weirs, size_t gone, size_t *sum)
{
    struct subset_config subset = {.of = weirs};
    static bool before[SERVERS_MOST], after[SERVERS_MOST];
    size_t most = 0;
    *sum = 0;
    for (subset.index = 0; subset.index < weirs; subset.index++) {
        struct pool_config config = config_of(&subset, count);
        subset_choose(&config, before);
        servers[gone] = servers[count - 1]; /* and another place in the file is no other server */
        config.servers_count--;
        subset_choose(&config, after);
        after[count - 1] = after[gone] && gone != count - 1;
        after[gone] = false;
        size_t moved = 0;
        for (size_t i = 0; i < count; i++)
            moved += after[i] && !before[i];
        *sum += moved;
        most = moved > most ? moved : most;
    }
    return most;
}

static void little_moves_when_a_server_leaves(void **state)
{
    (void)state;
    static const struct {
        size_t servers, weirs;
    } rows[] = {{1000, 100}, {1001, 100}, {1000, 7}, {200, 200}, {201, 50}, {300, 15}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t most = 0, sum = 0, removals = 0;
        for (size_t gone = 0; gone < rows[i].servers; gone += rows[i].servers / 8, removals++) {
            size_t of_all, here = moved_most(rows[i].servers, rows[i].weirs, gone, &of_all);
            most = here > most ? here : most;
            sum += of_all;
        }
        print_message(
            "%zu servers, %zu weirs: one leaves, a weir takes %zu others at most, %.2f on average\n",
            rows[i].servers, rows[i].weirs, most, (double)sum / (double)(removals * rows[i].weirs));
        assert_true(most <= 2);
    }
}

static void without_an_index_servers_are_drawn_by_name(void **state)
{
    (void)state;
    struct subset_config subset = {.id = "weir-0"};
    struct pool_config config = config_of(&subset, 1000);
    static bool used[SERVERS_MOST], other[SERVERS_MOST];
    static unsigned users[SERVERS_MOST];
    char id[24];
    unsigned most = 0;
    for (unsigned weir = 0; weir < WEIRS_MOST; weir++) {
        (void)snprintf(id, sizeof id, "weir-%u", weir);
        subset.id = id;
        subset_choose(&config, used);
        assert_int_equal(used_count(used, 1000), 64);
        for (size_t i = 0; i < 1000; i++)
            users[i] += used[i];
    }
    for (size_t i = 0; i < 1000; i++)
        most = users[i] > most ? users[i] : most;
    assert_true(most < 30); /* of 12.8 on average, with a deviation of 3.5 */
    /* One that leaves is replaced by one. */
    size_t gone = 0;
    while (!used[gone])
        gone++;
    servers[gone] = servers[999];
    config.servers_count = 999;
    subset_choose(&config, other);
    size_t moved = 0;
    for (size_t i = 0; i < 999; i++)
        moved += i != gone && other[i] != used[i];
    moved += other[gone] != used[999];
    assert_int_equal(moved, 1);
    /* Of a small pool it is all. */
    config.servers_count = 64;
    subset_choose(&config, used);
    assert_int_equal(used_count(used, 64), 64);
}

static void pools_order_their_servers_by_themselves(void **state)
{
    (void)state;
    struct subset_config subset = {.of = 10};
    struct pool_config config = config_of(&subset, 200);
    bool one[200], other[200];
    size_t both = 0;
    subset_choose(&config, one);
    config.name = "web";
    subset_choose(&config, other);
    for (size_t i = 0; i < 200; i++)
        both += one[i] && other[i];
    assert_true(both < 12); /* of 20, and 2 by luck */
}

static void a_pool_has_its_subset_and_all_backups(void **state)
{
    (void)state;
    struct error error;
    struct server_set *set = server_set_new();
    struct subset_config subset = {.size = 5, .index = 2, .of = 7};
    struct pool_config config = config_of(&subset, 30);
    servers[3].backup = servers[17].backup = true;
    bool used[30];
    subset_choose(&config, used);
    assert_true(used[3] && used[17]);
    struct pool *pool = pool_new(&config, 0, &(struct pool_sources){.servers = set}, &error);
    assert_non_null(pool);
    assert_int_equal(pool->servers_count, 7);
    for (size_t i = 0, at = 0; i < 30; i++) {
        if (!used[i])
            continue;
        assert_string_equal(pool->servers[at].server->name, addresses[i]);
        assert_ptr_equal(pool->servers[at++].config, &servers[i]);
    }
    char line[80];
    struct text text = text_over(line, sizeof line);
    subset_print(pool, &text);
    assert_string_equal(line, "7 of 30 servers, as weir 2 of 7");
    pool_free(pool);
    server_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_server_is_used_as_often),
        cmocka_unit_test(little_moves_when_a_server_leaves),
        cmocka_unit_test(without_an_index_servers_are_drawn_by_name),
        cmocka_unit_test(pools_order_their_servers_by_themselves),
        cmocka_unit_test(a_pool_has_its_subset_and_all_backups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
