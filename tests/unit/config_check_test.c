/* What the check derives and what defaults do: fields that other rooms read without knowing the file. What it
 * refuses is in tests/config/wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "config/config.h"
#include "schema/schema.h"
#include "unit/unit.h"

static struct config *load(const char *text)
{
    struct schema_report *report = schema_report_new();
    struct text told = text_growing();
    struct config *config = config_load_text("test.yaml", text, strlen(text), report);
    schema_report_print(report, &told, false);
    if (config == NULL)
        fail_msg("%s", told.at);
    schema_report_free(report);
    text_free(&told);
    return config;
}

/* The first error of a text that must be refused; the caller frees. */
static char *refusal(const char *text)
{
    struct schema_report *report = schema_report_new();
    struct text told = text_growing();
    assert_null(config_load_text("test.yaml", text, strlen(text), report));
    schema_report_first(report, &told);
    schema_report_free(report);
    return told.at;
}

static void assert_refused(const char *text, const char *expected)
{
    char *told = refusal(text);
    assert_string_equal(told, expected);
    free(told);
}

static void the_smallest_file_has_every_default(void **state)
{
    (void)state;
    struct config *config =
        load("listeners: { address: \":80\" }\nroutes: [{ pool: a }]\npools: { a: { servers: \"h:1\" } }\n");
    const struct listener_config *listener = &config->listeners[0];
    const struct pool_config *pool = config_pool(config, "a");
    assert_string_equal(listener->name, ":80");
    assert_int_equal(listener->protocol_bits, PROTOCOL_HTTP_1);
    assert_int_equal(listener->protocols.count, 1);
    assert_int_equal(listener->backlog, 4096);
    assert_string_equal(config->routes[0].name, "route 1");
    assert_string_equal(config->routes[0].upgrades.items[0], "websocket");
    assert_string_equal(config->routes[0].pool[0].name, "a");
    assert_int_equal(config->routes[0].pool[0].weight, 1);
    assert_ptr_equal(pool, &config->pools[0]);
    assert_string_equal(pool->servers[0].name, "h:1");
    assert_true(pool->retry.never_sent && pool->retry.sent_no_reply);
    assert_int_equal(pool->retry.statuses.count, 4);
    assert_int_equal(pool->retry.statuses.items[0], 500);
    assert_null(pool->health);
    assert_int_equal(config->workers, 0);
    assert_string_equal(config->access_log->to, "stdout");
    assert_int_equal(config->timeouts.tunnel_idle, 3600000);
    assert_int_equal(config->limits.memory, LIMITS_AUTO);
    assert_int_equal(config->tls.ticket_lifetime, 12 * 3600000);
    assert_null(config_pool(config, "b"));
    assert_null(config_rate_limit(config, "a"));
    config_free(config);
}

static void keys_and_retries_are_taken_apart(void **state)
{
    (void)state;
    struct config *config =
        load("listeners: [{ address: \":80\" }]\n"
             "rate_limits: { r: { rate: 6000/m, key: [client.ip, \"header:x-a\", path] } }\n"
             "routes: [{ rate_limit: r, in_flight: { limit: 3, key: \"cookie:c\" }, pool: a }]\n"
             "pools: { a: { servers: \"h:1\", retry: { on: [\"503\", never_sent, \"500\"] } } }\n");
    const struct limiter_config *limit = config_rate_limit(config, "r");
    const struct in_flight_config *in_flight = config->routes[0].in_flight;
    const struct retry_config *retry = &config->pools[0].retry;
    assert_int_equal(limit->rate.count, 6000);
    assert_int_equal(limit->rate.period, 60000);
    assert_int_equal(limit->parts_count, 3);
    assert_int_equal(limit->parts[0].kind, KEY_CLIENT_IP);
    assert_int_equal(limit->parts[1].kind, KEY_HEADER);
    assert_string_equal(limit->parts[1].name, "x-a");
    assert_int_equal(limit->parts[2].kind, KEY_PATH);
    assert_int_equal(in_flight->parts[0].kind, KEY_COOKIE);
    assert_true(retry->never_sent && !retry->sent_no_reply);
    assert_int_equal(retry->statuses.count, 2);
    assert_int_equal(retry->statuses.items[0], 503);
    config_free(config);
}

static void a_key_replaces_the_default_whole(void **state)
{
    (void)state;
    struct config *config = load(
        "listeners: [{ address: \":80\" }, { address: \":81\", backlog: 7 }]\n"
        "defaults:\n"
        "  listener: { backlog: 9 }\n"
        "  route: { timeout: 7s, upgrades: none }\n"
        "  pool: { health: { path: /h, interval: 500ms, rise: 9 }, retry: { attempts: 3 }, connect_timeout: 7ms }\n"
        "routes: [{ pool: [a, b, c] }, { match: { path: /x }, upgrades: websocket, respond: 204 }]\n"
        "pools:\n"
        "  a: { servers: \"h:1\", retry: { budget: 5% } }\n"
        "  b: { servers: \"h:1\", health: { fall: 7 }, tls: {} }\n"
        "  c: { servers: \"h:1\", health: false }\n"
        "  d: { servers: \"h:1\", tls: {} }\n");
    const struct pool_config *pools = config->pools;
    assert_int_equal(config->listeners[0].backlog, 9);
    assert_int_equal(config->listeners[1].backlog, 7);
    assert_int_equal(config->routes[1].timeout, 7000);
    assert_string_equal(config->routes[1].upgrades.items[0], "websocket");
    assert_string_equal(config->routes[0].upgrades.items[0], "none");
    assert_int_equal(pools[0].connect_timeout, 7);
    assert_int_equal(pools[0].retry.attempts, 1); /* not 3: its retry is its own */
    assert_int_equal(pools[0].retry.budget, 5);
    assert_int_equal(pools[1].retry.attempts, 3);
    assert_int_equal(pools[0].health->rise, 9);
    assert_int_equal(pools[0].health->timeout, 500); /* no longer than the interval */
    assert_int_equal(pools[0].health->type, PROBE_HTTP);
    assert_int_equal(pools[1].health->rise, 2);
    assert_int_equal(pools[1].health->fall, 7);
    assert_int_equal(pools[1].health->type, PROBE_HTTPS);
    assert_null(pools[2].health);
    /* the section is shared, what follows from tls is not */
    assert_int_equal(pools[3].health->type, PROBE_HTTPS);
    assert_int_equal(pools[3].health->rise, 9);
    config_free(config);
}

static size_t lines_of(const char *file, size_t *errors, struct text *printed)
{
    struct schema_report *report = schema_report_new();
    size_t lines = 0;
    *printed = text_growing();
    assert_null(config_load_text("many.yaml", file, strlen(file), report));
    schema_report_print(report, printed, false);
    *errors = schema_report_errors(report);
    schema_report_free(report);
    for (size_t i = 0; i < printed->length; i++)
        lines += printed->at[i] == '\n';
    return lines;
}

/* One mistake at 10,000 places, 10,000 mistakes, and one at a place that 10,000 aliases stand for. */
static void many_mistakes_are_told_in_few_lines(void **state)
{
    /* Three lines a message: three of the same and a note, fifty of all and what is left, or the one. */
    static const size_t lines_due[] = {10, 151, 3};
    (void)state;
    for (unsigned kind = 0; kind < 3; kind++) {
        struct text file = text_growing(), printed;
        size_t errors;
        text_print(&file, "listeners: \":80\"\npools: { a: { servers: \"10.0.0.1:80\" } }\nroutes:\n%s",
                   kind == 2 ? "- &one { timeout: 5, pool: a }\n" : "");
        for (size_t i = 0; i < 10000; i++)
            switch (kind) {
            case 0:
                text_print(&file, "- { match: { path: /%zu }, pool: nobody }\n", i);
                break;
            case 1:
                text_print(&file, "- { match: { path: /%zu }, pool: nobody%zu }\n", i, i);
                break;
            default:
                text_print(&file, "- *one\n");
            }
        size_t lines = lines_of(file.at, &errors, &printed);
        assert_int_equal(errors, kind == 2 ? 1 : 10000);
        assert_int_equal(lines, lines_due[kind]);
        if (kind == 0)
            assert_non_null(strstr(printed.at, "note: the same stands at 9997 other places\n"));
        if (kind == 1)
            assert_non_null(strstr(printed.at, "... and 9950 more errors; mend these first\n"));
        text_free(&file);
        text_free(&printed);
    }
}

static void a_variable_may_hold_a_list(void **state)
{
    (void)state;
    setenv("NETWORKS", "10.0.0.0/8, 192.168.0.0/16\t2001:db8::/32,", 1);
    setenv("SERVERS", "10.0.0.1:80,10.0.0.2:80", 1);
    setenv("SECRET", "one secret, with a comma and a ${env.NETWORKS}", 1);
    setenv("POOLS", "a,b", 1);
    setenv("REGEX", "~^/a{1,2}$", 1);
    setenv("STATUSES", "502 503", 1);
    struct config *config = load(
        "listeners: \":80\"\n"
        "trusted_proxies: ${env.NETWORKS}\n"
        "routes:\n"
        "  - { match: { path: \"${env.REGEX}\", client: [ 127.0.0.1, \"${env.NETWORKS}\", \"::1\" ] }, pool: a }\n"
        "  - { access: { deny: \"${env.NO_SUCH:-}\" }, pool: [ \"${env.POOLS}\" ] }\n"
        "pools:\n"
        "  a: { servers: \"${env.SERVERS}\", sticky: \"${env.SECRET}\", retry: { on: [ never_sent, \"${env.STATUSES}\" ] } }\n"
        "  b: { servers: [ { address: \"10.0.0.3:80\" }, \"${env.SERVERS}\" ] }\n");
    assert_int_equal(config->trusted_proxies.count, 3);
    assert_string_equal(config->trusted_proxies.items[2], "2001:db8::/32");
    assert_int_equal(config->routes[0].match.client.count, 5);
    assert_string_equal(config->routes[0].match.client.items[1], "10.0.0.0/8");
    assert_string_equal(config->routes[0].match.client.items[4], "::1");
    assert_int_equal(config->routes[0].match.path.count, 1);
    assert_int_equal(config->routes[1].access->deny.count, 0);
    assert_int_equal(config->routes[1].pool_count, 2);
    assert_string_equal(config->routes[1].pool[1].name, "b");
    assert_int_equal(config->pools[0].servers_count, 2);
    assert_string_equal(config->pools[0].servers[1].address, "10.0.0.2:80");
    assert_int_equal(config->pools[0].sticky->secrets.count, 1);
    assert_string_equal(config->pools[0].sticky->secrets.items[0], getenv("SECRET"));
    assert_int_equal(config->pools[0].retry.statuses.count, 2);
    assert_int_equal(config->pools[1].servers_count, 3);
    config_free(config);
    setenv("SERVERS", "10.0.0.1:80,10.0.0.2", 1);
    assert_refused(
        "listeners: \":80\"\nroutes: [ { pool: a } ]\npools: { a: { servers: \"${env.SERVERS}\" } }\n",
        "test.yaml:3:24: \"10.0.0.2\" has no port; an address is host:port, such as 10.0.0.1:8080");
}

static void the_environment_brings_no_template(void **state)
{
    static const char *const values[] = {"{host}", "%[src]", "%{HOST}i", "{{.x}}",  "%REQ(:path)%", "{env.X}",
                                         "{$X}",   "$host",  "$X",       "${host}", "a%ci %HU"};
    static const char text[] =
        "listeners: \":80\"\n"
        "access_log: \"/var/log/${env.SIGNS}\"\n"
        "routes:\n"
        "  - { match: { header: { x-a: \"${env.SIGNS}\" } }, respond: { body: \"${env.SIGNS}\" } }\n"
        "  - { request: { headers: { set: { X-A: \"${env.SIGNS} ${request.host}\" } } }, pool: a }\n"
        "pools: { a: { servers: \"10.0.0.1:80\" } }\n";
    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        setenv("SIGNS", values[i], 1);
        struct schema_report *report = schema_report_new();
        struct config *config = config_load_text("test.yaml", text, strlen(text), report);
        assert_non_null(config);
        assert_int_equal(schema_report_warnings(report), 0);
        schema_report_free(report);
        char path[64];
        (void)snprintf(path, sizeof(path), "/var/log/%s", values[i]);
        assert_string_equal(config->access_log->to, path);
        assert_string_equal(config->routes[0].match.header.items[0].value, values[i]);
        config_free(config);
    }
    setenv("SIGNS", "$host {uri}", 1);
    assert_refused("listeners: \":80\"\n"
                   "routes: [ { respond: { headers: { X-A: \"${env.SIGNS} {host}\" } } } ]\n",
                   "test.yaml:2:40: \"{host}\" is Caddy's; write \"${env.SIGNS} ${request.host}\"");
}

static void anchors_have_a_place_of_their_own(void **state)
{
    (void)state;
    struct config *config = load(
        "x-slow: &slow 7s\nx-anything: { of: [ any, kind ] }\nx-: 1\n"
        "listeners: \":80\"\nroutes: [ { timeout: *slow, pool: a } ]\npools: { a: { servers: \"10.0.0.1:80\" } }\n");
    assert_int_equal(config->routes[0].timeout, 7000);
    config_free(config);
    assert_refused(
        "listeners: \":80\"\nroutes: [ { x-note: a, respond: 204 } ]\n",
        "test.yaml:2:13: unknown key \"x-note\" in route; see weir.yaml(5) for the keys of a route");
    assert_refused(
        "x-base: &base { timeout: 5s }\nlisteners: \":80\"\nroutes: [ { <<: *base, respond: 204 } ]\n",
        "test.yaml:3:13: merge keys (<<) are not supported, since an alias stands for a whole value; write the keys out or use defaults");
}

static bool hook_refuse(const char *text, struct error *error)
{
    return strstr(text, "bad") == NULL || error_set(error, "not this: %s", text);
}

static bool certificate_refuse(const struct certificate_config *certificate, struct error *error)
{
    return error_set(error, "no key fits %s", certificate->names.items[0]);
}

static void what_rooms_above_refuse_is_told_at_its_place(void **state)
{
    (void)state;
    config_hooks = (struct config_hooks){
        .regex = hook_refuse, .template = hook_refuse, .certificate = certificate_refuse};
    assert_refused(
        "listeners: [{ address: \":80\" }]\nroutes: [{ match: { path: \"~bad\" }, respond: 200 }]\n",
        "test.yaml:2:27: not this: bad");
    assert_refused(
        "listeners: [{ address: \":80\" }]\nroutes: [{ match: { header: { a: \"~bad\" } }, respond: 200 }]\n",
        "test.yaml:2:34: not this: bad");
    assert_refused("listeners: [{ address: \":80\" }]\nroutes: [{ respond: { body: \"${bad}\" } }]\n",
                   "test.yaml:2:29: not this: ${bad}");
    static const char pem[] = "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n";
    char name[] = "/tmp/weir-check-XXXXXX", text[400];
    int file = mkstemp(name);
    assert_int_equal(write(file, pem, sizeof(pem) - 1), sizeof(pem) - 1);
    close(file);
    (void)snprintf(
        text, sizeof(text),
        "listeners: [{ address: \":80\", tls: { certificates: { cert: %s, key: %s, names: n } } }]\n"
        "routes: [{ respond: 204 }]\n",
        name, name);
    assert_refused(text, "test.yaml:1:60: no key fits n");
    unlink(name);
    config_hooks = (struct config_hooks){.regex = NULL};
}

static void a_file_that_is_not_there_is_an_error(void **state)
{
    struct schema_report *report = schema_report_new();
    struct text told = text_growing();
    (void)state;
    assert_null(config_load("/nowhere/weir.yaml", report));
    schema_report_print(report, &told, false);
    assert_string_equal(told.at, "error: cannot read /nowhere/weir.yaml: No such file or directory\n");
    text_free(&told);
    schema_report_free(report);
    report = schema_report_new();
    assert_null(config_load("/", report));
    assert_int_equal(schema_report_errors(report), 1);
    schema_report_free(report);
}

/* A file of many routes takes time in proportion: four times the routes, far less than sixteen times the
 * time. */
static double seconds_for(size_t routes)
{
    struct text text = text_growing();
    struct timespec from, to;
    text_print(&text, "listeners: [{ address: \":80\" }]\npools: { p: { servers: \"h:1\" } }\nroutes:\n");
    for (size_t i = 0; i < routes; i++)
        text_print(&text, "  - { match: { host: h%zu.example.com, path: /p%zu/ }, pool: p }\n", i % 1000, i);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    struct config *config = load(text.at);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    assert_int_equal(config->routes_count, routes);
    config_free(config);
    text_free(&text);
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

static void many_routes_take_time_in_proportion(void **state)
{
    (void)state;
    double few = seconds_for(2500), many = seconds_for(10000);
    assert_true(many < few * 10 + 0.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_file_has_every_default),
        cmocka_unit_test(keys_and_retries_are_taken_apart),
        cmocka_unit_test(a_key_replaces_the_default_whole),
        cmocka_unit_test(many_mistakes_are_told_in_few_lines),
        cmocka_unit_test(a_variable_may_hold_a_list),
        cmocka_unit_test(the_environment_brings_no_template),
        cmocka_unit_test(anchors_have_a_place_of_their_own),
        cmocka_unit_test(what_rooms_above_refuse_is_told_at_its_place),
        cmocka_unit_test(a_file_that_is_not_there_is_an_error),
        cmocka_unit_test(many_routes_take_time_in_proportion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
