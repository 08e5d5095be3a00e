/*
 * What listeners, routes and pools cannot do together because of the protocols that each speaks: only
 * warnings, since a server may be more able than its protocol promises, and weir runs such a file. And
 * because of what servers are told. What one section says by itself is in config_check.c.
 */
#include <string.h>
#include <strings.h>

#include "base/map.h"
#include "config/config.h"
#include "config/config_schema.h"

struct protocols {
    const struct config *config;
    const struct schema_document *document;
    struct schema_report *report;
    struct map *pools;   /* by name; NULL: not needed so far */
    bool own_forwarding; /* a pool says its own */
};

static bool speaks_http_2(const struct pool_config *pool)
{
    return WITH_HTTP2 && pool->protocol != POOL_HTTP_1 && (pool->protocol != POOL_AUTO || pool->tls != NULL);
}

static const struct pool_config *pool_find(struct protocols *check, const char *name)
{
    if (check->pools == NULL) {
        check->pools = map_new();
        for (size_t i = 0; i < check->config->pools_count; i++)
            map_set(check->pools, span_of(check->config->pools[i].name), &check->config->pools[i]);
    }
    return map_get(check->pools, span_of(name));
}

/* What comes from `defaults` was meant for those whom it fits. */
static bool is_own(const struct protocols *check, const void *field, const void *of_defaults)
{
    struct schema_place own = schema_place(check->document, field);
    if (own.source == NULL || of_defaults == NULL)
        return own.source != NULL;
    struct schema_place inherited = schema_place(check->document, of_defaults);
    return inherited.source != own.source || inherited.line != own.line || inherited.column != own.column;
}

/* The fields are written before one of several pools is chosen. */
static void forwarding_check(struct protocols *check, const struct route_config *route)
{
    unsigned first = 0;
    for (size_t i = 0; route->pool_count > 1 && i < route->pool_count; i++) {
        const struct pool_config *pool = pool_find(check, route->pool[i].name);
        if (pool == NULL)
            return;
        unsigned bits =
            forwarding_bits(pool->forwarding != NULL ? pool->forwarding : &check->config->forwarding);
        first = i == 0 ? bits : first;
        if (bits == first)
            continue;
        schema_report_add(
            check->report, SCHEMA_ERROR, schema_place(check->document, &route->pool[i].name),
            "pools of one route are told the same of the client; give \"%s\" and \"%s\" the same forwarding",
            route->pool[0].name, route->pool[i].name);
        return;
    }
}

/* Only a WebSocket can be asked for over HTTP/2 (RFC 8441 is no way for what begins with another method). */
static void upgrades_check(struct protocols *check, const struct route_config *route)
{
    const struct route_config *defaults = check->config->defaults.route;
    const struct texts *upgrades = &route->upgrades;
    if (!is_own(check, upgrades, defaults != NULL ? &defaults->upgrades : NULL))
        return;
    for (size_t i = 0; i < upgrades->count; i++) {
        const char *const *name = &upgrades->items[i];
        if (strcasecmp(*name, "websocket") == 0 || strcasecmp(*name, "none") == 0)
            continue;
        for (size_t j = 0; j < route->pool_count; j++) {
            const struct pool_config *pool = pool_find(check, route->pool[j].name);
            if (pool != NULL && (pool->protocol == POOL_H2 || pool->protocol == POOL_H2C))
                schema_report_add(
                    check->report, SCHEMA_WARNING, schema_place(check->document, name),
                    "pool \"%s\" is spoken to in HTTP/2, over which only websocket can be asked "
                    "for; give it protocol: http/1.1",
                    pool->name);
        }
    }
}

static void route_check(struct protocols *check, const struct route_config *route)
{
    if (check->own_forwarding)
        forwarding_check(check, route);
    const struct route_config *defaults = check->config->defaults.route;
    upgrades_check(check, route);
    if (!route->grpc_web || !is_own(check, &route->grpc_web, defaults != NULL ? &defaults->grpc_web : NULL))
        return;
    struct schema_place place = schema_place_key(check->document, &route->grpc_web);
    if (route->pool_count == 0)
        schema_report_add(check->report, SCHEMA_WARNING, place,
                          "grpc_web has no effect; the route has no pool");
    for (size_t i = 0; WITH_HTTP2 && i < route->pool_count; i++) {
        const struct pool_config *pool = pool_find(check, route->pool[i].name);
        if (pool != NULL && !speaks_http_2(pool))
            schema_report_add(
                check->report, SCHEMA_WARNING, place,
                "pool \"%s\" is spoken to in HTTP/1.1, which few gRPC servers understand; give it protocol: %s",
                pool->name, pool->tls != NULL ? "h2" : "h2c");
    }
}

/* The pool of a route that gRPC clients are meant to reach: its servers are asked by gRPC how they are. */
static const struct pool_config *grpc_pool(struct protocols *check, const struct route_config *route)
{
    for (size_t i = 0; !route->grpc_web && i < route->pool_count; i++) {
        const struct pool_config *pool = pool_find(check, route->pool[i].name);
        if (pool != NULL && speaks_http_2(pool) && pool->health != NULL && pool->health->type == PROBE_GRPC)
            return pool;
    }
    return NULL;
}

static void listener_check(struct protocols *check, const struct listener_config *listener)
{
    bool own = listener->routes_count != 0;
    const struct route_config *routes = own ? listener->routes : check->config->routes;
    size_t count = own ? listener->routes_count : check->config->routes_count;
    if (!WITH_HTTP2 || listener->protocol_bits != PROTOCOL_HTTP_1)
        return;
    for (size_t i = 0; i < count; i++) {
        const struct pool_config *pool = grpc_pool(check, &routes[i]);
        if (pool == NULL)
            continue;
        struct schema_place place = schema_place_key(check->document, &listener->protocols);
        schema_report_add(
            check->report, SCHEMA_WARNING,
            place.source != NULL ? place : schema_place_section(check->document, listener),
            "gRPC goes over HTTP/2, and this listener of pool \"%s\" speaks only HTTP/1.1; give it "
            "protocols: [%s, http/1.1]",
            pool->name, listener->tls != NULL ? "h2" : "h2c");
        return;
    }
}

static bool pool_check(struct protocols *check, const struct pool_config *pool)
{
    const struct pool_config *defaults = check->config->defaults.pool;
    bool own = is_own(check, &pool->protocol, defaults != NULL ? &defaults->protocol : NULL);
    if (pool->protocol == POOL_AUTO && pool->tls == NULL && own)
        schema_report_add(
            check->report, SCHEMA_WARNING, schema_place(check->document, &pool->protocol),
            "auto is agreed on inside TLS; in the clear servers are spoken to in HTTP/1.1, or h2c");
    return pool->health != NULL && pool->health->type == PROBE_GRPC;
}

void protocol_check(const struct config *config, const struct schema_document *document,
                    struct schema_report *report)
{
    struct protocols check = {.config = config, .document = document, .report = report};
    bool any_grpc = false;
    for (size_t i = 0; i < config->pools_count; i++)
        check.own_forwarding = check.own_forwarding || config->pools[i].forwarding != NULL;
    for (size_t i = 0; i < config->pools_count; i++)
        any_grpc = pool_check(&check, &config->pools[i]) || any_grpc;
    for (size_t i = 0; i < config->routes_count; i++)
        route_check(&check, &config->routes[i]);
    for (size_t i = 0; i < config->listeners_count; i++) {
        for (size_t j = 0; j < config->listeners[i].routes_count; j++)
            route_check(&check, &config->listeners[i].routes[j]);
        if (any_grpc)
            listener_check(&check, &config->listeners[i]);
    }
    if (config->limits.stream_window > config->limits.connection_window)
        schema_report_add(report, SCHEMA_WARNING, schema_place(document, &config->limits.stream_window),
                          "the window of a stream cannot grow by more than limits.connection_window");
    if (check.pools != NULL)
        map_free(check.pools);
}
