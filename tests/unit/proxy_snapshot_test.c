/* Snapshots from files: what becomes of routes, pools and listeners, whose error it is, and that ten thousand
 * routes stay quick and small. */
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "proxy/access_log.h"
#include "proxy_fixture.h"
#include "route/router.h"
#include "upstream/pool.h"

static struct shared_state *shared;

static int setup(void **state)
{
    (void)state;
    shared = shared_state_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    shared_state_free(shared);
    return 0;
}

static const char two_listeners[] = "listeners:\n"
                                    "  - address: 127.0.0.1:21100\n"
                                    "  - address: 127.0.0.1:21101\n"
                                    "    routes: [ { redirect: { scheme: https } } ]\n"
                                    "  - address: 127.0.0.1:21102\n"
                                    "trusted_proxies: [10.0.0.0/8, unix]\n"
                                    "timeouts: { response: 7s, request: 9s }\n"
                                    "limits: { body: 1MiB }\n"
                                    "routes:\n"
                                    "  - name: split\n"
                                    "    match: { path: /a/ }\n"
                                    "    body_limit: 2KiB\n"
                                    "    timeout: 1s\n"
                                    "    pool: [ { name: blue, weight: 9 }, green ]\n"
                                    "  - pool: green\n"
                                    "    upgrades: none\n"
                                    "pools:\n"
                                    "  blue: { servers: [127.0.0.1:21110] }\n"
                                    "  green: { servers: [127.0.0.1:21111, 127.0.0.1:21112] }\n";

static void sites_and_plans(void **state)
{
    (void)state;
    struct snapshot *snapshot = fixture_snapshot(two_listeners, shared);
    assert_int_equal(snapshot->sites_count, 3);
    assert_int_equal(snapshot->pools_count, 2);
    assert_true(snapshot->trust_unix);
    assert_int_equal(snapshot->trusted.count, 1);
    const struct site *common = snapshot_site(snapshot, "127.0.0.1:21100");
    const struct site *own = snapshot_site(snapshot, "127.0.0.1:21101");
    assert_null(snapshot_site(snapshot, "127.0.0.1:21109"));
    assert_ptr_equal(common->router, snapshot_site(snapshot, "127.0.0.1:21102")->router);
    assert_ptr_equal(common->plans, snapshot->plans);
    assert_true(own->own_routes && !common->own_routes);
    assert_int_equal(own->plans_count, 1);
    assert_non_null(own->plans[0].action);

    const struct plan *split = &common->plans[0], *all = &common->plans[1];
    assert_null(split->action);
    assert_int_equal(split->pools_count, 2);
    assert_string_equal(split->pools[0]->name, "blue");
    assert_int_equal(split->weights[0], 9);
    assert_int_equal(split->weights_total, 10);
    assert_int_equal(split->body_limit, 2048);
    assert_int_equal(split->timeout, 1000);
    assert_string_equal(split->config->upgrades.items[0], "websocket");
    assert_string_equal(all->config->upgrades.items[0], "none");
    assert_ptr_equal(all->pools[0], split->pools[1]);
    assert_int_equal(all->body_limit, 1048576);
    assert_int_equal(all->timeout, 9000);
    assert_int_equal(all->response_timeout, 7000);
    assert_int_equal(all->idle_timeout, 60000);
    snapshot_release(snapshot);
}

/* A reload that keeps a server keeps its state; what is gone is dropped with the last snapshot that knew it.
 */
static void servers_outlive_snapshots(void **state)
{
    (void)state;
    struct snapshot *old = fixture_snapshot(two_listeners, shared);
    struct snapshot *new = fixture_snapshot(two_listeners, shared);
    assert_ptr_not_equal(old->pools[0], new->pools[0]);
    assert_ptr_equal(old->pools[0]->servers[0].server, new->pools[0]->servers[0].server);
    assert_ptr_equal(old->sites[0].counts, new->sites[0].counts);
    snapshot_release(old);
    shared_state_sweep(shared);
    assert_string_equal(new->pools[1]->servers[1].server->name, "127.0.0.1:21112");
    snapshot_release(new);
    shared_state_sweep(shared);
}

static unsigned came_home;
static void bring_home(struct snapshot *snapshot)
{
    came_home++;
    snapshot_free(snapshot);
}

static void last_reference_brings_home(void **state)
{
    (void)state;
    came_home = 0;
    struct snapshot *snapshot = fixture_snapshot(two_listeners, shared);
    snapshot->last_release = bring_home;
    assert_ptr_equal(snapshot_take(snapshot), snapshot);
    snapshot_release(snapshot);
    assert_int_equal(came_home, 0);
    snapshot_release(snapshot);
    assert_int_equal(came_home, 1);
}

/* What only building finds out: patterns, and what stands in files that can be read. @ is such a file. */
static void errors_tell_where(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        const char *where;
    } cases[] = {
        {"listeners: [ { address: \":21100\" } ]\n"
         "routes: [ { respond: 204, match: { path: /a } }, { name: files, match: { path: \"~(\" }, respond: 204 } ]\n",
         "route \"files\""},
        {"listeners: [ { address: \":21100\", routes: [ { name: own, match: { path: \"~[\" }, respond: 204 } ] } ]\n",
         "listener \":21100\": route \"own\""},
        {"listeners: [ { address: \":21100\", tls: { certificates: [ { cert: @, key: @ } ] } } ]\nroutes: [ { respond: 204 } ]\n",
         "listener \":21100\""},
        {"listeners: [ { address: \":21100\" } ]\nroutes: [ { pool: p } ]\n"
         "pools: { p: { servers: [127.0.0.1:1], tls: { ca: @ } } }\n",
         "pool \"p\""},
    };
    char path[] = "/tmp/weir-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    /* what the lines promise, which is all that the file's check looks at, is not there */
    static const char nothing[] = "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n";
    assert_int_equal(write(fd, nothing, sizeof nothing - 1), sizeof nothing - 1);
    close(fd);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct text yaml = text_growing();
        for (const char *at = cases[i].yaml; *at != '\0'; at++)
            text_add(&yaml, *at == '@' ? span_of(path) : span_make(at, 1));
        struct config *config = fixture_config(yaml.at);
        text_free(&yaml);
        struct error error = {.text = ""};
        assert_null(snapshot_new(config, shared, NULL, &error));
        if (strstr(error.text, cases[i].where) == NULL)
            fail_msg("\"%s\" does not tell %s", error.text, cases[i].where);
        config_free(config); /* not taken over */
    }
    unlink(path);
}

static void ten_thousand_routes(void **state)
{
    (void)state;
    struct text yaml = text_growing();
    text_add(
        &yaml,
        SPAN(
            "listeners: [ { address: \":21100\" } ]\npools: { p: { servers: [127.0.0.1:21110] } }\nroutes:\n"));
    for (unsigned i = 0; i < 10000; i++)
        text_print(&yaml, "  - { match: { host: h%u.example.com, path: /v%u/ }, pool: p }\n", i, i % 7);
    struct config *config = fixture_config(yaml.at);
    text_free(&yaml);
    struct error error;
    struct mallinfo2 before = mallinfo2();
    uint64_t began = clock_monotonic_us();
    struct snapshot *snapshot = snapshot_new(config, shared, NULL, &error);
    uint64_t took = clock_monotonic_us() - began;
    struct mallinfo2 after = mallinfo2();
    assert_non_null(snapshot);
    size_t bytes = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
    print_message("10,000 routes: %llu us, %zu bytes\n", (unsigned long long)took, bytes);
    assert_true(took < 1000000); /* far above what it takes, for slow machines and sanitizers */
    assert_true(bytes < 10000u * 600u);
    snapshot_release(snapshot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sites_and_plans, setup, teardown),
        cmocka_unit_test_setup_teardown(servers_outlive_snapshots, setup, teardown),
        cmocka_unit_test_setup_teardown(last_reference_brings_home, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_tell_where, setup, teardown),
        cmocka_unit_test_setup_teardown(ten_thousand_routes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
