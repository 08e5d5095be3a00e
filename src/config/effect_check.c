/*
 * Keys that are given and do nothing, as the other keys are: a table says for each when that is so and what
 * reads it. A value that is the default is not told, since a printed configuration has them all; nor is what
 * comes from `defaults`, which is meant for those whom it fits.
 */
#include <string.h>

#include "base/text.h"
#include "config/config.h"
#include "config/config_schema.h"

struct place {
    const struct config *config;
    const struct schema_document *document;
    struct schema_report *report;
    const struct listener_config
        *listener; /* NULL, as the next ones, where there is none around the section */
    const struct route_config *route;
    const struct pool_config *pool;
    const void *section;
};
struct effect {
    const char *key;
    bool (*is_idle)(const struct place *place);
    const char *why; /* after "has no effect: " */
};

/* A part that may take as long as the whole has its end with it. */
static bool is_shorter(uint64_t whole, uint64_t part)
{
    return whole != 0 && whole != ROUTE_NONE && part != ROUTE_NONE && part >= whole;
}

/* ---- the file ---- */

static bool no_tls(const struct place *place)
{
    for (size_t i = 0; i < place->config->listeners_count; i++)
        if (place->config->listeners[i].tls != NULL)
            return false;
    return true;
}

static bool no_proxy_header(const struct place *place)
{
    for (size_t i = 0; i < place->config->listeners_count; i++)
        if (place->config->listeners[i].proxy_protocol != PROXY_PROTOCOL_OFF)
            return false;
    return true;
}

static bool no_handshake(const struct place *place)
{
    return no_tls(place) && no_proxy_header(place);
}

static bool no_http_2(const struct place *place)
{
    for (size_t i = 0; i < place->config->listeners_count; i++)
        if ((place->config->listeners[i].protocol_bits & (PROTOCOL_H2 | PROTOCOL_H2C)) != 0)
            return false;
    return true;
}

static bool no_http_2_servers(const struct place *place)
{
    for (size_t i = 0; i < place->config->pools_count; i++) {
        const struct pool_config *pool = &place->config->pools[i];
        if (pool->protocol != POOL_HTTP_1 && (pool->protocol != POOL_AUTO || pool->tls != NULL))
            return false;
    }
    return true;
}

static bool no_ping(const struct place *place)
{
    return place->config->timeouts.ping == 0;
}

static bool any_own_timeout(const struct route_config *routes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (routes[i].timeout != 0)
            return true;
    return false;
}

/* The file's time for the whole request holds for each route. */
static bool ends_all(const struct place *place, uint64_t part)
{
    if (!is_shorter(place->config->timeouts.request, part) ||
        any_own_timeout(place->config->routes, place->config->routes_count))
        return false;
    for (size_t i = 0; i < place->config->listeners_count; i++)
        if (any_own_timeout(place->config->listeners[i].routes, place->config->listeners[i].routes_count))
            return false;
    return true;
}

static bool ends_all_before_response(const struct place *place)
{
    return ends_all(place, place->config->timeouts.response);
}

static bool ends_all_before_idle(const struct place *place)
{
    return ends_all(place, place->config->timeouts.response_idle);
}

static bool one_request_each(const struct place *place)
{
    return place->config->timeouts.keep_alive == 0;
}

static bool log_is_off(const struct place *place)
{
    return place->config->log.level == LOG_LEVEL_OFF;
}

static const struct effect timeouts_effects[] = {
    {"proxy_header", no_proxy_header, "no listener has proxy_protocol"},
    {"ping", no_http_2_servers, "only servers that speak HTTP/2 are asked (protocol of a pool)"},
    {"ping_answer", no_http_2_servers, "only servers that speak HTTP/2 are asked (protocol of a pool)"},
    {"response", ends_all_before_response, "request is no longer, and bounds the whole"},
    {"response_idle", ends_all_before_idle, "request is no longer, and bounds the whole"},
    {"ping_answer", no_ping, "nobody is asked while ping is none"},
    {NULL, NULL, NULL}};
static const struct effect limits_effects[] = {
    {"handshakes", no_handshake, "no listener has tls or proxy_protocol"},
    {"handshakes_per_client", no_handshake, "no listener has tls or proxy_protocol"},
    {"header_list", no_http_2, "no listener speaks HTTP/2 (protocols)"},
    {"streams", no_http_2, "no listener speaks HTTP/2 (protocols)"},
    {"stream_window", no_http_2, "no listener speaks HTTP/2 (protocols)"},
    {"connection_window", no_http_2, "no listener speaks HTTP/2 (protocols)"},
    {"keep_alive_requests", one_request_each, "with keep_alive: 0s each connection has one request"},
    {NULL, NULL, NULL}};
static const struct effect shared_tls_effects[] = {{"ticket_lifetime", no_tls, "no listener has tls"},
                                                   {"handshake_timeout", no_tls, "no listener has tls"},
                                                   {NULL, NULL, NULL}};
static const struct effect log_effects[] = {{"format", log_is_off, "level: off writes nothing"},
                                            {"to", log_is_off, "level: off writes nothing"},
                                            {NULL, NULL, NULL}};

/* ---- listeners ---- */

static bool is_no_unix_socket(const struct place *place)
{
    return strncmp(place->listener->address, "unix:", 5) != 0;
}

static bool over_all_connections(const struct place *place)
{
    return place->listener->max_connections > place->config->limits.connections;
}

static bool over_own_connections(const struct place *place)
{
    uint64_t own = place->listener->max_connections, most = place->config->limits.connections;
    return place->listener->max_connections_per_client > (own != 0 && own < most ? own : most);
}

static bool is_tls_1_3(const struct place *place)
{
    return place->listener->tls->min_version == TLS_VERSION_1_3;
}

static bool is_tls_1_2(const struct place *place)
{
    return place->listener->tls->max_version == TLS_VERSION_1_2;
}

static const struct effect listener_effects[] = {
    {"mode", is_no_unix_socket, "only a unix socket has permissions"},
    {"max_connections", over_all_connections, "limits.connections is less, and holds first"},
    {"max_connections_per_client", over_own_connections, "all clients together may have less"},
    {NULL, NULL, NULL}};
static const struct effect tls_effects[] = {
    {"ciphers", is_tls_1_3, "they are those of TLS 1.2, and min_version is 1.3"},
    {"ciphersuites", is_tls_1_2, "they are those of TLS 1.3, and max_version is 1.2"},
    {NULL, NULL, NULL}};

/* ---- routes ---- */

static bool no_pool(const struct place *place)
{
    return place->route->pool_count == 0;
}

/* No server is sent the path, and the answer does not go by it: templates are filled with the one that came.
 */
static bool no_path_reader(const struct place *place)
{
    const struct redirect_config *redirect = place->route->redirect;
    return no_pool(place) && (redirect == NULL || redirect->to != NULL || redirect->path != NULL);
}

static size_t most_servers(const struct place *place)
{
    size_t most = 0;
    for (size_t i = 0; i < place->route->pool_count; i++)
        for (size_t j = 0; j < place->config->pools_count; j++)
            if (strcmp(place->route->pool[i].name, place->config->pools[j].name) == 0 &&
                place->config->pools[j].servers_count > most)
                most = place->config->pools[j].servers_count;
    return most;
}

static bool no_second_server(const struct place *place)
{
    return place->route->hedge != NULL && place->route->pool_count != 0 && most_servers(place) < 2;
}

static bool hedges_nothing(const struct place *place)
{
    return place->route->hedge != NULL && place->route->hedge->budget == 0;
}

static bool copies_nothing(const struct place *place)
{
    return place->route->mirror != NULL && place->route->mirror->share == 0;
}

static bool ends_before_response(const struct place *place)
{
    return is_shorter(place->route->timeout, place->route->response_timeout);
}

static bool ends_before_idle(const struct place *place)
{
    return is_shorter(place->route->timeout, place->route->idle_timeout);
}

static bool one_pool(const struct place *place)
{
    return place->route->pool_count == 1 &&
           ((const struct weighted_pool_config *)place->section)->weight != 1;
}

static bool late_is_a_time(const struct place *place)
{
    return ((const struct hedge_config *)place->section)->after != 0;
}

static bool no_body(const struct place *place)
{
    const struct respond_config *respond = place->section;
    return respond->file == NULL && respond->body[0] == '\0';
}

static const struct effect route_effects[] = {
    {"rewrite", no_path_reader, "no server is sent the request, and variables tell it as it came"},
    {"request", no_pool, "no server is sent the request, and variables tell it as it came"},
    {"upgrades", no_pool, "only what goes to a pool can be upgraded"},
    {"priority", no_pool, "only what goes to a pool waits for a server"},
    {"response_timeout", no_pool, "no server is waited for"},
    {"idle_timeout", no_pool, "no server is waited for"},
    {"response_timeout", ends_before_response, "timeout is no longer, and bounds the whole request"},
    {"idle_timeout", ends_before_idle, "timeout is no longer, and bounds the whole request"},
    {"hedge", no_second_server, "no pool of the route has a second server"},
    {"hedge", hedges_nothing, "a budget of 0% hedges nothing"},
    {"mirror", copies_nothing, "a share of 0% copies nothing"},
    {NULL, NULL, NULL}};
static const struct effect weighted_effects[] = {{"weight", one_pool, "it is the only pool of the route"},
                                                 {NULL, NULL, NULL}};
static const struct effect hedge_effects[] = {{"at", late_is_a_time, "after says what is late"},
                                              {NULL, NULL, NULL}};
static const struct effect respond_effects[] = {{"content_type", no_body, "there is no body or file"},
                                                {NULL, NULL, NULL}};

/* ---- keys of requests ---- */

static bool lacks_address(const struct key_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (parts[i].kind == KEY_CLIENT_IP)
            return false;
    return true;
}

static bool limiter_lacks_address(const struct place *place)
{
    const struct limiter_config *limiter = place->section;
    return lacks_address(limiter->parts, limiter->parts_count);
}

static bool in_flight_lacks_address(const struct place *place)
{
    const struct in_flight_config *in_flight = place->section;
    return lacks_address(in_flight->parts, in_flight->parts_count);
}

static bool split_lacks_address(const struct place *place)
{
    const struct split_config *split = place->section;
    return lacks_address(split->parts, split->parts_count);
}

static bool hash_lacks_address(const struct place *place)
{
    const struct hash_config *hash = place->section;
    return lacks_address(hash->parts, hash->parts_count);
}

#define NO_ADDRESS "client.ip is no part of the key"
static const struct effect limiter_effects[] = {{"ipv6_prefix", limiter_lacks_address, NO_ADDRESS},
                                                {NULL, NULL, NULL}};
static const struct effect in_flight_effects[] = {{"ipv6_prefix", in_flight_lacks_address, NO_ADDRESS},
                                                  {NULL, NULL, NULL}};
static const struct effect split_effects[] = {{"ipv6_prefix", split_lacks_address, NO_ADDRESS},
                                              {NULL, NULL, NULL}};
static const struct effect hash_effects[] = {{"ipv6_prefix", hash_lacks_address, NO_ADDRESS},
                                             {NULL, NULL, NULL}};

/* ---- pools ---- */

static bool is_no_hash(const struct place *place)
{
    const struct hash_config *hash = &place->pool->hash;
    bool usual = hash->parts_count == 1 && hash->parts[0].kind == KEY_CLIENT_IP && hash->ipv6_prefix == 64 &&
                 hash->bounded_load == 125;
    return place->pool->balance != BALANCE_HASH && !usual;
}

static bool is_not_random(const struct place *place)
{
    return place->pool->balance != BALANCE_RANDOM && place->pool->choices != 2;
}

static bool is_without_zones(const struct place *place)
{
    return place->pool->balance != BALANCE_ADAPTIVE && place->pool->balance != BALANCE_LEAST_CONN;
}

static bool is_zone_without_zones(const struct place *place)
{
    return ((const struct server_config *)place->section)->zone != NULL && is_without_zones(place);
}

static bool no_server_has_zone(const struct place *place)
{
    if (place->pool->zone == NULL)
        return false;
    for (size_t i = 0; i < place->pool->servers_count; i++)
        if (place->pool->servers[i].zone != NULL)
            return false;
    return true;
}

static bool pool_has_no_zone(const struct place *place)
{
    return place->pool->zone == NULL && ((const struct server_config *)place->section)->zone != NULL;
}

static bool nobody_waits(const struct place *place)
{
    bool none = place->pool->max_connections == CONNECTIONS_NONE;
    for (size_t i = 0; i < place->pool->servers_count; i++) {
        uint64_t own = place->pool->servers[i].max_connections;
        if (own != CONNECTIONS_NONE && (own != 0 || !none))
            return false;
    }
    return true;
}

static bool each_has_own_limit(const struct place *place)
{
    for (size_t i = 0; i < place->pool->servers_count; i++)
        if (place->pool->servers[i].max_connections == 0)
            return false;
    return true;
}

static bool keeps_for_no_time(const struct place *place)
{
    return place->pool->idle_timeout == 0;
}

static bool keeps_none(const struct place *place)
{
    return place->pool->idle_connections == 0;
}

static bool is_first_alone(const struct place *place)
{
    for (size_t i = 0; i < place->pool->servers_count; i++)
        if (place->pool->servers[i].backup == BACKUP_SHARES)
            return false;
    return place->pool->balance == BALANCE_FIRST &&
           ((const struct server_config *)place->section)->weight != 0;
}

static bool all_are_backups(const struct place *place)
{
    if (place->pool->servers[0].backup != BACKUP_SHARES)
        return false;
    for (size_t i = 0; i < place->pool->servers_count; i++)
        if (place->pool->servers[i].backup != BACKUP_SHARES)
            return false;
    return true;
}

static bool is_not_codel(const struct place *place)
{
    return place->pool->queue.discipline != QUEUE_CODEL && place->pool->queue.target != 5;
}

static bool none_may_wait(const struct place *place)
{
    return place->pool->queue.size == 0;
}

static bool waits_no_time(const struct place *place)
{
    return place->pool->queue.max_wait == 0;
}

static bool sends_once(const struct place *place)
{
    return place->pool->retry.attempts == 0;
}

static bool ejects_for_no_time(const struct place *place)
{
    return place->pool->outlier->time == 0;
}

static bool ejects_nobody(const struct place *place)
{
    return place->pool->outlier->most == 0;
}

static const struct effect pool_effects[] = {
    {"hash", is_no_hash, "only balance: hash reads it"},
    {"choices", is_not_random, "only balance: random reads it"},
    {"zone", is_without_zones, "only balance: adaptive and least_conn go by zones"},
    {"zone", no_server_has_zone, "no server of the pool has a zone to compare with"},
    {"queue", nobody_waits, "with max_connections: none nobody waits for a server"},
    {"max_connections", each_has_own_limit, "every server has one of its own"},
    {"idle_connections", keeps_for_no_time, "with idle_timeout: 0s no connection is kept"},
    {"idle_timeout", keeps_none, "with idle_connections: 0 no connection is kept"},
    {NULL, NULL, NULL}};
static const struct effect server_effects[] = {
    {"zone", is_zone_without_zones, "only balance: adaptive and least_conn go by zones"},
    {"zone", pool_has_no_zone, "the pool has no zone to compare with; it says where this weir stands"},
    {"weight", is_first_alone, "balance: first goes by the order of the servers"},
    {"backup", all_are_backups, "all servers of the pool are backups"},
    {NULL, NULL, NULL}};
static const struct effect queue_effects[] = {{"target", is_not_codel, "only discipline: codel reads it"},
                                              {"target", none_may_wait, "with size: 0 nobody waits"},
                                              {"target", waits_no_time, "with max_wait: 0s nobody waits"},
                                              {"discipline", none_may_wait, "with size: 0 nobody waits"},
                                              {"discipline", waits_no_time, "with max_wait: 0s nobody waits"},
                                              {"max_wait", none_may_wait, "with size: 0 nobody waits"},
                                              {"size", waits_no_time, "with max_wait: 0s nobody waits"},
                                              {NULL, NULL, NULL}};
static const struct effect retry_effects[] = {
    {"budget", sends_once, "it bounds attempts, and there are none after the first"}, {NULL, NULL, NULL}};
static const struct effect outlier_effects[] = {
    {"errors", ejects_for_no_time, "with time: 0s nobody is ejected"},
    {"errors", ejects_nobody, "with most: 0% nobody is ejected"},
    {"clients", ejects_for_no_time, "with time: 0s nobody is ejected"},
    {"clients", ejects_nobody, "with most: 0% nobody is ejected"},
    {"most", ejects_for_no_time, "with time: 0s nobody is ejected"},
    {"time", ejects_nobody, "with most: 0% nobody is ejected"},
    {NULL, NULL, NULL}};

/* ---- telling ---- */

static const struct schema_key *row_of(const struct schema *schema, const char *name)
{
    const struct schema_key *key = schema->keys;
    while (key->name != NULL && strcmp(key->name, name) != 0)
        key++;
    return key;
}

/* Of a key that is idle for two reasons the first is told. */
static void section_tell(struct place *place, const struct schema *schema, const void *section,
                         const struct effect *effects)
{
    const char *told = "";
    if (schema_is_broken(place->document, section))
        return; /* a value that is not judged may be what reads it */
    place->section = section;
    for (const struct effect *effect = effects; effect->key != NULL; effect++) {
        if (!effect->is_idle(place) || strcmp(told, effect->key) == 0)
            continue; /* places are made a table when the first is asked for, and most files have none to tell
                       */
        const struct schema_key *key = row_of(schema, effect->key);
        struct schema_place where = schema_place_key(place->document, (const char *)section + key->offset);
        if (where.source == NULL || schema_is_default(schema, key, section))
            continue;
        told = key->name;
        schema_report_add(place->report, SCHEMA_WARNING, where, "%s has no effect: %s", key->name,
                          effect->why);
    }
}

static void nested_tell(struct place *place, const struct schema *schema, const char *name,
                        const void *section, const struct effect *effects)
{
    section_tell(place, row_of(schema, name)->section, section, effects);
}

static void routes_tell(struct place *place, const struct route_config *routes, size_t count)
{
    const struct route_config *defaults = place->config->defaults.route;
    for (size_t i = 0; i < count; i++) {
        const struct route_config *route = place->route = &routes[i];
        if (schema_is_broken(place->document, route))
            continue;
        section_tell(place, &route_schema, route, route_effects);
        for (size_t j = 0; j < route->pool_count; j++)
            nested_tell(place, &route_schema, "pool", &route->pool[j], weighted_effects);
        if (route->hedge != NULL && (defaults == NULL || route->hedge != defaults->hedge))
            nested_tell(place, &route_schema, "hedge", route->hedge, hedge_effects);
        if (route->in_flight != NULL && (defaults == NULL || route->in_flight != defaults->in_flight))
            section_tell(place, &in_flight_schema, route->in_flight, in_flight_effects);
        if (route->split != NULL && (defaults == NULL || route->split != defaults->split))
            section_tell(place, &split_schema, route->split, split_effects);
        if (route->respond != NULL)
            nested_tell(place, &route_schema, "respond", route->respond, respond_effects);
    }
    place->route = NULL;
}

static void pool_tell(struct place *place, const struct pool_config *pool)
{
    const struct pool_config *defaults = place->config->defaults.pool;
    place->pool = pool;
    if (schema_is_broken(place->document, pool))
        return;
    section_tell(place, &pool_schema, pool, pool_effects);
    for (size_t i = 0; i < pool->servers_count; i++)
        nested_tell(place, &pool_schema, "servers", &pool->servers[i], server_effects);
    if (pool->balance == BALANCE_HASH)
        nested_tell(place, &pool_schema, "hash", &pool->hash, hash_effects);
    if (!nobody_waits(place))
        nested_tell(place, &pool_schema, "queue", &pool->queue, queue_effects);
    nested_tell(place, &pool_schema, "retry", &pool->retry, retry_effects);
    if (pool->outlier != NULL && (defaults == NULL || pool->outlier != defaults->outlier))
        nested_tell(place, &pool_schema, "outlier", pool->outlier, outlier_effects);
}

void effect_check(const struct config *config, const struct schema_document *document,
                  struct schema_report *report)
{
    struct place place = {.config = config, .document = document, .report = report};
    if (!schema_is_broken(document, config)) {
        section_tell(&place, &timeouts_schema, &config->timeouts, timeouts_effects);
        section_tell(&place, &limits_schema, &config->limits, limits_effects);
        section_tell(&place, &tls_shared_schema, &config->tls, shared_tls_effects);
        section_tell(&place, &log_schema, &config->log, log_effects);
    }
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct listener_config *listener = place.listener = &config->listeners[i];
        section_tell(&place, &listener_schema, listener, listener_effects);
        if (listener->tls != NULL)
            section_tell(&place, &tls_schema, listener->tls, tls_effects);
        routes_tell(&place, listener->routes, listener->routes_count);
    }
    place.listener = NULL;
    routes_tell(&place, config->routes, config->routes_count);
    for (size_t i = 0; i < config->pools_count; i++)
        pool_tell(&place, &config->pools[i]);
    for (size_t i = 0; i < config->rate_limits_count; i++)
        section_tell(&place, &limiter_schema, &config->rate_limits[i], limiter_effects);
}
