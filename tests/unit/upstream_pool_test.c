/* Pools from what the file says: limits, names, shared servers, and errors that name the pool. */
#include <string.h>

#include "unit.h"
#include "upstream/balance.h"
#include "upstream/pool.h"

static struct server_config servers[] = {
    {.address = "127.0.0.1:8001", .weight = 3},
    {.address = "unix:/run/some.sock", .name = "local", .weight = 1, .max_connections = 7, .backup = true},
    {.address = "localhost:8002", .weight = 1},
};

static struct pool_config config_of(size_t count, uint64_t max_connections)
{
    return (struct pool_config){
        .name = "api", .servers = servers, .servers_count = count, .max_connections = max_connections};
}

static void pool_is_as_the_file_says(void **state)
{
    (void)state;
    struct error error;
    struct server_set *set = server_set_new();
    struct pool_config config = config_of(3, 5);
    struct pool *pool = pool_new(&config, 4, &(struct pool_sources){.servers = set}, &error);
    assert_non_null(pool);
    assert_int_equal(pool->index, 4);
    assert_true(pool->limited);
    assert_int_equal(pool->servers[0].max_connections, 5);
    assert_int_equal(pool->servers[1].max_connections, 7); /* its own goes before the pool's */
    assert_true(pool->servers[1].backup);
    assert_int_equal(pool->servers[0].weight, 3);
    assert_string_equal(pool->servers[0].server->name, "127.0.0.1:8001");
    assert_string_equal(pool->servers[1].server->name, "local");
    assert_string_equal(pool->servers[0].server->host, "127.0.0.1");
    assert_null(pool->servers[1].server->host); /* of a unix socket */
    assert_string_equal(pool->servers[2].server->host, "localhost");
    assert_in_range(pool->servers[2].server->addresses_count, 1, 8);
    pool_free(pool);
    server_set_free(set);
}

static void servers_and_counts_are_shared_by_snapshots(void **state)
{
    (void)state;
    struct error error;
    struct server_set *set = server_set_new();
    struct pool_config config = config_of(1, 0), other = config_of(1, 0);
    other.name = "other";
    struct pool *before = pool_new(&config, 0, &(struct pool_sources){.servers = set}, &error),
                *after = pool_new(&config, 1, &(struct pool_sources){.servers = set}, &error),
                *apart = pool_new(&other, 2, &(struct pool_sources){.servers = set}, &error);
    assert_true(before != NULL && after != NULL && apart != NULL);
    assert_false(before->limited);
    assert_ptr_equal(before->servers[0].server, after->servers[0].server);
    assert_ptr_equal(before->shared, after->shared);
    assert_ptr_not_equal(before->servers[0].server,
                         apart->servers[0].server); /* the same address in another pool is another server */
    assert_ptr_not_equal(before->shared, apart->shared);
    struct server *server = before->servers[0].server;
    uint32_t number = server->number;
    server->health = SERVER_DOWN;
    pool_free(before);
    server_set_sweep(set);
    assert_int_equal(after->servers[0].server->health, SERVER_DOWN);
    /* The last reference gone: swept, and a new one begins anew. */
    pool_free(after);
    server_set_sweep(set);
    after = pool_new(&config, 0, &(struct pool_sources){.servers = set}, &error);
    assert_non_null(after);
    assert_int_equal(after->servers[0].server->health, SERVER_UNKNOWN);
    assert_int_not_equal(after->servers[0].server->number, number);
    pool_free(after);
    pool_free(apart);
    server_set_free(set);
}

static void probes_over_tls_have_settings(void **state)
{
    (void)state;
    struct error error;
    struct server_set *set = server_set_new();
    struct pool_config config = config_of(1, 0);
    struct health_config health = {.type = PROBE_HTTPS};
    config.health = &health;
    struct pool *pool = pool_new(&config, 0, &(struct pool_sources){.servers = set}, &error);
    assert_non_null(pool);
    assert_null(pool->tls);
    assert_non_null(pool->probe_tls);
    pool_free(pool);
    server_set_free(set);
}

static void errors_name_the_pool(void **state)
{
    (void)state;
    struct error error;
    struct server_set *set = server_set_new();
    struct server_config bad[] = {{.address = "127.0.0.1:8001", .weight = 1},
                                  {.address = "unix:", .weight = 1}};
    struct pool_config config = {.name = "api", .servers = bad, .servers_count = 2};
    assert_null(pool_new(&config, 0, &(struct pool_sources){.servers = set}, &error));
    assert_non_null(strstr(error.text, "pool \"api\": "));
    server_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_is_as_the_file_says),
        cmocka_unit_test(servers_and_counts_are_shared_by_snapshots),
        cmocka_unit_test(probes_over_tls_have_settings),
        cmocka_unit_test(errors_name_the_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
