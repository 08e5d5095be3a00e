/*
 * Turns a checked configuration into what workers read: pools, limits, filters, actions, routers and
 * certificates, each made by its own room; here they are put together, and an error is told with the route,
 * pool or listener it belongs to.
 */
#include "proxy/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "config/config.h"
#include "filter/answer.h"
#include "proxy/access_log.h"
#include "proxy/exchange_state.h"
#include "proxy/listener_counts.h"
#include "proxy/shared_state.h"
#include "route/router.h"
#include "tls/tls.h"
#include "upstream/pool.h"

/* The codecs there are; a listener that wants others only can't be served. */
#define PROTOCOLS_BUILT (PROTOCOL_HTTP_1 | (WITH_HTTP2 ? PROTOCOL_H2 | PROTOCOL_H2C : 0))

/* What is needed while building and not after. */
struct building {
    struct snapshot *snapshot;
    const struct config *config;
    struct shared_state *shared;
    const struct names *names;
    struct map *pools; /* by name */
    struct error *error;
};

static void *snapshot_get(struct snapshot *snapshot, size_t count, size_t size)
{
    if (count == 0)
        return NULL;
    void *memory = arena_get_zeroed(snapshot->arena, count * size);
    if (memory == NULL)
        die("out of memory");
    return memory;
}

static bool build_trusted(struct building *building)
{
    struct snapshot *snapshot = building->snapshot;
    const struct texts *texts = &building->config->trusted_proxies;
    snapshot->trusted.items = snapshot_get(snapshot, texts->count, sizeof(struct network));
    for (size_t i = 0; i < texts->count; i++) {
        if (strcmp(texts->items[i], "unix") == 0) {
            snapshot->trust_unix = true;
            continue;
        }
        if (!network_parse(&snapshot->trusted.items[snapshot->trusted.count], texts->items[i],
                           building->error))
            return error_wrap(building->error, "trusted_proxies");
        snapshot->trusted.count++;
    }
    return true;
}

static bool build_pools(struct building *building)
{
    struct snapshot *snapshot = building->snapshot;
    const struct config *config = building->config;
    const struct pool_sources sources = {
        .servers = building->shared->servers, .files = building->shared->files, .names = building->names};
    snapshot->pools = snapshot_get(snapshot, config->pools_count, sizeof(struct pool *));
    for (size_t i = 0; i < config->pools_count; i++) {
        const struct pool_config *settings = &config->pools[i];
        struct pool *pool = pool_new(settings, (uint32_t)i, &sources, building->error);
        if (pool == NULL)
            return false; /* the error says which */
        snapshot->pools[snapshot->pools_count++] = pool;
        map_set(building->pools, span_of(settings->name), &snapshot->pools[i]);
    }
    return true;
}

static bool plan_take_pools(struct building *building, struct plan *plan, const struct route_config *route)
{
    if (route->pool_count == 0)
        return true;
    bool single = route->pool_count == 1; /* nothing to weigh, and no list to keep for ten thousand routes */
    if (!single) {
        plan->pools = snapshot_get(building->snapshot, route->pool_count, sizeof(struct pool *));
        plan->weights = snapshot_get(building->snapshot, route->pool_count, sizeof(uint32_t));
    }
    for (size_t i = 0; i < route->pool_count; i++) {
        struct pool **pool = map_get(building->pools, span_of(route->pool[i].name));
        if (pool == NULL)
            return error_set(building->error, "there is no pool \"%s\"", route->pool[i].name);
        plan->weights_total += (uint32_t)route->pool[i].weight;
        if (single) {
            plan->pools = pool;
        } else {
            plan->pools[i] = *pool;
            plan->weights[i] = (uint32_t)route->pool[i].weight;
        }
    }
    if (route->mirror != NULL) {
        struct pool **mirror = map_get(building->pools, span_of(route->mirror->pool));
        if (mirror == NULL)
            return error_set(building->error, "there is no pool \"%s\"", route->mirror->pool);
        plan->mirror = *mirror;
        plan->mirrors = true;
    }
    plan->pools_count = (uint32_t)route->pool_count;
    plan->single = single;
    if (plan->weights_total == 0)
        return error_set(building->error, "the weights of its pools are all 0");
    return true;
}

/* The route's own value or, when it gives none, the one for all; 0: no limit. */
static uint64_t own_or(uint64_t own, uint64_t common)
{
    return own == ROUTE_NONE ? 0 : own != 0 ? own : common;
}

/* Pools of one route say the same here. */
static unsigned route_forwarding(const struct config *config, const struct route_config *route)
{
    const struct pool_config *pool = route->pool_count != 0 ? config_pool(config, route->pool[0].name) : NULL;
    return forwarding_bits(pool != NULL && pool->forwarding != NULL ? pool->forwarding : &config->forwarding);
}

static bool plan_build(struct building *building, struct plan *plan, const struct route_config *route)
{
    const struct config *config = building->config;
    const struct timeouts_config *timeouts = &config->timeouts;
    plan->config = route;
    plan->name = route->name;
    plan->body_limit = own_or(route->body_limit, config->limits.body);
    plan->timeout = (uint32_t)own_or(route->timeout, timeouts->request);
    plan->response_timeout = (uint32_t)own_or(route->response_timeout, timeouts->response);
    plan->idle_timeout = (uint32_t)own_or(route->idle_timeout, timeouts->response_idle);
    plan->grpc_web = route->grpc_web;
    plan->hedges = route->hedge != NULL;
    plan->priority = (uint8_t)route->priority;
    plan->forwarding = (uint8_t)route_forwarding(config, route);
    return filters_new(&plan->filters, route, config, building->shared->limiters, building->error) &&
           action_new(&plan->action, route, building->error) && plan_take_pools(building, plan, route);
}

/* Plans and the router of one list of routes. What was made before an error hangs in *plans and *made for
 * snapshot_free(). */
static bool build_routes(struct building *building, const struct route_config *routes, size_t count,
                         struct plan **plans, size_t *made, struct router **router)
{
    *plans = xcalloc_lines((count != 0 ? count : 1) * sizeof(struct plan));
    for (size_t i = 0; i < count; i++) {
        *made = i + 1;
        if (!plan_build(building, &(*plans)[i], &routes[i]))
            return error_wrap(building->error, "route \"%s\"", routes[i].name);
    }
    size_t bad = 0;
    *router = router_new(routes, count, &bad, building->error);
    if (*router == NULL)
        return error_wrap(building->error, "route \"%s\"", bad < count ? routes[bad].name : "");
    return true;
}

static bool build_common_routes(struct building *building)
{
    const struct config *config = building->config;
    bool wanted = false;
    for (size_t i = 0; i < config->listeners_count; i++)
        wanted |= config->listeners[i].routes_count == 0;
    struct snapshot *snapshot = building->snapshot;
    return !wanted || build_routes(building, config->routes, config->routes_count, &snapshot->plans,
                                   &snapshot->plans_count, &snapshot->router);
}

static bool site_build(struct building *building, struct site *site, const struct listener_config *listener)
{
    const struct config *config = building->config;
    site->config = listener;
    site->counts = listener_counts_set_take(building->shared->listeners, listener->address);
    site->http.limits = &config->limits;
    site->http.timeouts = &config->timeouts;
    site->http.stream_room = sizeof(struct exchange_run);
    site->own_routes = listener->routes_count != 0;
    if (!site->own_routes) {
        site->plans = building->snapshot->plans;
        site->plans_count = building->snapshot->plans_count;
        site->router = building->snapshot->router;
    } else if (!build_routes(building, listener->routes, listener->routes_count, &site->plans,
                             &site->plans_count, &site->router)) {
        return false;
    }
    if ((listener->protocol_bits & PROTOCOLS_BUILT) == 0)
        return error_set(building->error, "none of its protocols is built in: this weir speaks http/1.1");
    if (listener->tls != NULL) {
        site->tls = tls_store_new(listener->tls, listener->protocol_bits & PROTOCOLS_BUILT,
                                  building->shared->files, building->shared->tickets, building->error);
        if (site->tls == NULL)
            return false;
        site->checks_hosts = tls_store_checks_hosts(site->tls);
    }
    return true;
}

static bool build_sites(struct building *building)
{
    struct snapshot *snapshot = building->snapshot;
    const struct config *config = building->config;
    snapshot->sites = snapshot_get(snapshot, config->listeners_count, sizeof(struct site));
    for (size_t i = 0; i < config->listeners_count; i++) {
        snapshot->sites_count = i + 1;
        if (!site_build(building, &snapshot->sites[i], &config->listeners[i]))
            return error_wrap(building->error, "listener \"%s\"", config->listeners[i].name);
    }
    return true;
}

static bool build_all(struct building *building)
{
    struct snapshot *snapshot = building->snapshot;
    const struct config *config = building->config;
    snapshot->upstream_http.limits = &config->limits;
    snapshot->upstream_http.timeouts = &config->timeouts;
    if (config->access_log != NULL)
        snapshot->access_log = access_log_new(config->access_log);
    return build_trusted(building) && build_pools(building) && build_common_routes(building) &&
           build_sites(building);
}

struct snapshot *snapshot_new(struct config *config, struct shared_state *shared, const struct names *names,
                              struct error *error)
{
    struct snapshot *snapshot = xcalloc(1, sizeof(*snapshot));
    atomic_init(&snapshot->references, 1);
    snapshot->arena = arena_new_malloc();
    struct building building = {.snapshot = snapshot,
                                .config = config,
                                .shared = shared,
                                .names = names,
                                .pools = map_new(),
                                .error = error};
    limiter_set_begin(shared->limiters);
    bool built = build_all(&building);
    map_free(building.pools);
    if (!built) {
        snapshot_free(snapshot);
        return NULL;
    }
    snapshot->config = config;
    return snapshot;
}

struct snapshot *snapshot_take(struct snapshot *snapshot)
{
    atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
    return snapshot;
}

void snapshot_release(struct snapshot *snapshot)
{
    /* Release: what this thread read of the snapshot comes before its freeing. Acquire: the last one sees
     * that of all. */
    if (atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel) != 1)
        return;
    if (snapshot->last_release != NULL)
        snapshot->last_release(snapshot);
    else
        snapshot_free(snapshot);
}

static void plans_dispose(struct plan *plans, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        filters_dispose(&plans[i].filters);
        action_free(plans[i].action);
    }
    free(plans);
}

void snapshot_free(struct snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    for (size_t i = 0; i < snapshot->sites_count; i++) {
        struct site *site = &snapshot->sites[i];
        if (site->own_routes) {
            plans_dispose(site->plans, site->plans_count);
            router_free(site->router);
        }
        tls_store_release(site->tls);
        listener_counts_release(site->counts);
    }
    plans_dispose(snapshot->plans, snapshot->plans_count);
    router_free(snapshot->router);
    for (size_t i = 0; i < snapshot->pools_count; i++)
        pool_free(snapshot->pools[i]);
    access_log_free(snapshot->access_log);
    config_free(snapshot->config);
    arena_free(snapshot->arena);
    free(snapshot);
}

struct site *snapshot_site(const struct snapshot *snapshot, const char *address)
{
    for (size_t i = 0; i < snapshot->sites_count; i++)
        if (strcmp(snapshot->sites[i].config->address, address) == 0)
            return &snapshot->sites[i];
    return NULL;
}
