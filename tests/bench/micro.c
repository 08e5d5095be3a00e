/*
 * Micro-benchmarks of what every request runs through: parser, writer, router, limiter, balancer, buffers.
 * Each prints nanoseconds an operation, the best of several rounds: for comparing two builds on one machine,
 * not for comparing machines.
 *
 *   micro [NAME...]
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/rng.h"
#include "config/config.h"
#include "config/limiter_config.h"
#include "filter/limiter.h"
#include "http/exchange.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"
#include "http/head.h"
#include "http/target.h"
#include "route/router.h"
#include "upstream/balance.h"
#include "upstream/pool.h"

#define ROUNDS 7u
#define OPERATIONS 50000u
#define HOSTS 100u
#define SERVERS_MOST 100u

static const struct limits_config limits = {
    .request_head = 65536, .request_line = 8192, .fields = 100, .response_head = 65536};

static const char short_head[] =
    "GET /b/1024 HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n";
static const char browser_head[] =
    "GET /assets/site/main.css?version=20260101 HTTP/1.1\r\nHost: www.bench.test\r\nConnection: keep-alive\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36\r\n"
    "Accept: text/css,*/*;q=0.1\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: style\r\n"
    "Referer: https://www.bench.test/index.html\r\nAccept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-GB,en;q=0.9\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
    "If-None-Match: \"5f3759df-1d4\"\r\nIf-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n";

/* ---- heads ---- */

static void head_take(const char *text, struct arena *arena, struct head *head)
{
    struct h1_scan scan = {.at = 0};
    struct head_check check;
    size_t length = 0;
    enum h1_step step = h1_scan(&scan, span_of(text), &length);
    enum failure why = h1_parse_request(span_of(text), &limits, arena, head, &check);
    assert(step == H1_DONE && why == FAILURE_NONE);
}

static void parse(const char *text, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct arena *arena = arena_new(1 << 20);
        struct head head;
        head_take(text, arena, &head);
        arena_free(arena);
    }
}

static void parser_short(unsigned count)
{
    parse(short_head, count);
}

static void parser_browser(unsigned count)
{
    parse(browser_head, count);
}

static void writer_browser(unsigned count)
{
    struct arena *arena = arena_new(1 << 20);
    struct head head;
    head_take(browser_head, arena, &head);
    for (unsigned i = 0; i < count; i++) {
        struct buf out = {.first = NULL};
        bool fits = h1_write_request(&out, &head, H1_FRAMING_NONE);
        assert(fits);
        buf_clear(&out);
    }
    arena_free(arena);
}

/* ---- routes ---- */

struct routes {
    struct route_config *configs;
    struct exchange *requests;
    struct router *router;
    size_t count;
};

/* `count` routes over HOSTS names, and a request for each of a sample of them. */
static void routes_begin(struct routes *routes, size_t count)
{
    struct error error = {.text = ""};
    size_t bad = 0;
    *routes = (struct routes){.count = count};
    routes->configs = calloc(count, sizeof *routes->configs);
    routes->requests = calloc(count, sizeof *routes->requests);
    assert(routes->configs != NULL && routes->requests != NULL);
    struct arena *arena = arena_new_malloc();
    for (size_t i = 0; i < count; i++) {
        struct span host = arena_print(arena, "host%zu.bench.test", i % HOSTS);
        struct span path = arena_print(arena, "/service%zu/", i / HOSTS);
        const char **hosts = arena_get_zeroed(arena, 2 * sizeof *hosts),
                   **paths = arena_get_zeroed(arena, 2 * sizeof *paths);
        hosts[0] = host.at;
        paths[0] = path.at;
        routes->configs[i].match.host = (struct texts){.items = hosts, .count = 1};
        routes->configs[i].match.path = (struct texts){.items = paths, .count = 1};
        struct exchange *x = &routes->requests[i];
        x->arena = arena;
        x->request.line.request.method_name = SPAN("GET");
        enum failure why =
            target_prepare(&x->target, host, arena_print(arena, "%sb/1024", path.at), SPAN_NONE, arena);
        assert(why == FAILURE_NONE);
    }
    routes->router = router_new(routes->configs, count, &bad, &error);
    assert(routes->router != NULL);
}

/* Each of these wants another value of one header, and nothing else. */
static void values_begin(struct routes *routes, size_t count)
{
    struct error error = {.text = ""};
    size_t bad = 0;
    *routes = (struct routes){.count = count};
    routes->configs = calloc(count, sizeof *routes->configs);
    routes->requests = calloc(count, sizeof *routes->requests);
    assert(routes->configs != NULL && routes->requests != NULL);
    struct arena *arena = arena_new_malloc();
    for (size_t i = 0; i < count; i++) {
        struct name_value *pair = arena_get_zeroed(arena, sizeof *pair);
        struct span value = arena_print(arena, "tenant-%zu", i);
        *pair = (struct name_value){"x-tenant", value.at};
        routes->configs[i].match.header = (struct name_values){.items = pair, .count = 1};
    }
    struct exchange *x = &routes->requests[0];
    x->arena = arena;
    x->request.line.request.method_name = SPAN("GET");
    x->target.path = SPAN("/b/1024");
    bool fits = fields_add(&x->request.fields, arena, SPAN("Accept"), SPAN("*/*"), FIELD_ACCEPT) &&
                fields_add(&x->request.fields, arena, SPAN("X-Tenant"), SPAN(""), FIELD_OTHER);
    assert(fits);
    routes->router = router_new(routes->configs, count, &bad, &error);
    assert(routes->router != NULL);
}

static void route_all(struct routes *routes, size_t size, unsigned count)
{
    if (routes->router == NULL)
        routes_begin(routes, size);
    for (unsigned i = 0; i < count; i++) {
        size_t number = (size_t)i * 7919 % routes->count;
        const struct route *route =
            router_find(routes->router, &routes->requests[number], routes->requests[number].target.path)
                .route;
        assert(route != NULL && route->number == number);
    }
}

static void router_1(unsigned count)
{
    static struct routes routes;
    route_all(&routes, 1, count);
}

static void router_10000(unsigned count)
{
    static struct routes routes;
    route_all(&routes, 10000, count);
}

/* The request itself is in cache, as it is when it has just been parsed. */
static void value_all(struct routes *routes, size_t size, unsigned count)
{
    if (routes->router == NULL)
        values_begin(routes, size);
    struct exchange *x = &routes->requests[0];
    for (unsigned i = 0; i < count; i++) {
        size_t number = (size_t)i * 7919 % routes->count;
        char value[32];
        int length = snprintf(value, sizeof value, "tenant-%zu", number);
        x->request.fields.items[1].value = span_make(value, (size_t)length);
        const struct route *route = router_find(routes->router, x, x->target.path).route;
        assert(route != NULL && router_number(routes->router, route) == number);
    }
}

static void values_1(unsigned count)
{
    static struct routes routes;
    value_all(&routes, 1, count);
}

static void values_10000(unsigned count)
{
    static struct routes routes;
    value_all(&routes, 10000, count);
}

/* ---- limiter and balancers ---- */

static void limiter_keys(unsigned count)
{
    static struct limiter *limiter;
    static const struct limiter_config config = {
        .name = "bench", .rate = {.count = 100, .period = 1}, .burst = 100, .keys = 100000};
    if (limiter == NULL)
        limiter = limiter_new(&config);
    uint64_t now = clock_monotonic_us();
    for (unsigned i = 0; i < count; i++)
        (void)limiter_admit(limiter, (uint64_t)(i % 1000) * UINT64_C(0x9e3779b97f4a7c15), now + i);
}

/* With the slot taken and given back, as for each request: servers lie apart in memory, as in the program. */
static void balance(enum balance_kind kind, size_t servers_count, unsigned count)
{
    static struct server servers[SERVERS_MOST];
    struct pool_server members[SERVERS_MOST];
    struct server *busy[16] = {NULL};
    struct pool_shared shared = {.silence_us = 1000000};
    struct rng rng;
    uint32_t cursor = 0;
    bool all_full = false;
    void *plan = NULL;
    rng_seed_with(&rng, 7);
    for (size_t i = 0; i < servers_count; i++) {
        servers[i].slowness = 1;
        servers[i].limit = SERVER_LIMIT_OPEN;
        members[i] =
            (struct pool_server){.server = &servers[i], .weight = 1, .max_connections = SERVER_ADAPTS};
    }
    struct pool pool = {
        .servers = members, .servers_count = servers_count, .shared = &shared, .balancer = balancers[kind]};
    struct choice choice = {.cursor = &cursor, .rng = &rng, .all_full = &all_full};
    bool prepared = pool.balancer->prepare(&pool, &plan, NULL);
    assert(prepared);
    for (unsigned i = 0; i < count; i++) {
        choice.hash = rng_next(&rng);
        int chosen = pool.balancer->choose(&pool, plan, &choice);
        assert(chosen >= 0);
        struct server **slot = &busy[i % 16];
        if (*slot != NULL) {
            server_heard(*slot, i);
            server_unreserve(*slot);
        }
        *slot = members[chosen].server;
        bool reserved = server_reserve(*slot, 0);
        assert(reserved);
        server_awaited(*slot, i);
    }
    for (size_t i = 0; i < 16; i++) {
        if (busy[i] != NULL) {
            server_heard(busy[i], 0);
            server_unreserve(busy[i]);
        }
    }
    pool.balancer->dispose(plan);
}

static void balancer_round_robin(unsigned count)
{
    balance(BALANCE_ROUND_ROBIN, 10, count);
}

static void balancer_least(unsigned count)
{
    balance(BALANCE_LEAST_CONN, 10, count);
}

static void balancer_adaptive(unsigned count)
{
    balance(BALANCE_ADAPTIVE, 10, count);
}

static void balancer_adaptive_100(unsigned count)
{
    balance(BALANCE_ADAPTIVE, 100, count);
}

/* ---- buffers ---- */

/* As a relay does: a block is filled, a head goes before it, both leave in two pieces. */
static void buffers(unsigned count)
{
    static const char head[200] = "HTTP/1.1 200 OK\r\n";
    for (unsigned i = 0; i < count; i++) {
        struct buf out = {.first = NULL}, in = {.first = NULL};
        size_t room;
        char *at = buf_reserve(&in, 1024, &room);
        assert(at != NULL);
        buf_commit(&in, 1024);
        bool fits = buf_add(&out, head, sizeof head);
        assert(fits);
        buf_move(&out, &in);
        buf_skip(&out, 600);
        buf_clear(&out);
    }
}

static const struct {
    const char *name;
    void (*run)(unsigned count);
} benches[] = {
    {"parser, 4 lines", parser_short},
    {"parser, 14 lines", parser_browser},
    {"writer, 14 lines", writer_browser},
    {"router, 1 route", router_1},
    {"router, 10000 routes", router_10000},
    {"router, 1 route by a header", values_1},
    {"router, 10000 routes by a header", values_10000},
    {"limiter, 1000 keys", limiter_keys},
    {"balancer, round robin", balancer_round_robin},
    {"balancer, least connections", balancer_least},
    {"balancer, adaptive, 10 servers", balancer_adaptive},
    {"balancer, adaptive, 100 servers", balancer_adaptive_100},
    {"buffers", buffers},
};

static bool is_wanted(const char *name, int count, char **wanted)
{
    for (int i = 1; i < count; i++)
        if (strstr(name, wanted[i]) != NULL)
            return true;
    return count == 1;
}

int main(int count, char **arguments)
{
    for (size_t i = 0; i < COUNT_OF(benches); i++) {
        if (!is_wanted(benches[i].name, count, arguments))
            continue;
        benches[i].run(OPERATIONS / 10);
        uint64_t best = UINT64_MAX;
        for (unsigned round = 0; round < ROUNDS; round++) {
            uint64_t began = clock_monotonic_us();
            benches[i].run(OPERATIONS);
            uint64_t took = clock_monotonic_us() - began;
            best = took < best ? took : best;
        }
        printf("%-26s %8.1f ns\n", benches[i].name, (double)best * 1000 / OPERATIONS);
    }
    return 0;
}
