/* Builds pools from what the file says: names to addresses, servers with their state, the balancer's plan. */
#include "upstream/pool.h"

#include <stdlib.h>
#include <string.h>

#include "config/listener_config.h"
#include "net/names.h"
#include "tls/tls.h"
#include "upstream/balance.h"
#include "upstream/sticky.h"
#include "upstream/subset.h"

#define ADDRESSES_MOST 8 /* of one name that are kept */

static uint32_t server_limit(const struct pool_config *pool, const struct server_config *server)
{
    uint64_t most = server->max_connections != 0 ? server->max_connections : pool->max_connections;
    if (most == CONNECTIONS_AUTO)
        return SERVER_ADAPTS;
    return most == CONNECTIONS_NONE ? 0 : (uint32_t)most;
}

/* A server that does not say where it is counts as near. */
static bool is_far(const struct pool_config *pool, const struct server_config *server)
{
    return pool->zone != NULL && server->zone != NULL && strcmp(pool->zone, server->zone) != 0;
}

static bool pool_add_server(struct pool *pool, const struct server_config *config,
                            const struct pool_sources *sources, struct error *error)
{
    struct address addresses[ADDRESSES_MOST];
    size_t count = names_find(sources->names, addresses, ADDRESSES_MOST, config->address, error);
    if (count == 0)
        return error_wrap(error, "pool \"%s\"", pool->name);
    const char *name = config->name != NULL ? config->name : config->address;
    pool->servers[pool->servers_count++] = (struct pool_server){
        .server = server_set_take(sources->servers, pool->shared, name, config->address, addresses, count),
        .config = config,
        .weight = (uint32_t)config->weight,
        .max_connections = server_limit(pool->config, config),
        .backup = config->backup == BACKUP_SHARES,
        .standby = config->backup == BACKUP_STANDBY,
        .far = is_far(pool->config, config),
    };
    pool->has_backups = pool->has_backups || config->backup == BACKUP_SHARES;
    pool->has_standbys = pool->has_standbys || config->backup == BACKUP_STANDBY;
    pool->limited = pool->limited || server_limit(pool->config, config) != 0;
    pool->adapts = pool->adapts || server_limit(pool->config, config) == SERVER_ADAPTS;
    return true;
}

/* Which servers of the file are used; NULL: all. */
static bool *servers_used(const struct pool_config *config)
{
    if (config->subset == NULL)
        return NULL;
    bool *used = xcalloc(config->servers_count, sizeof *used);
    subset_choose(config, used);
    return used;
}

static bool pool_add_servers(struct pool *pool, const struct pool_sources *sources, struct error *error)
{
    const struct pool_config *config = pool->config;
    bool *used = servers_used(config);
    bool added = true;
    for (size_t i = 0; added && i < config->servers_count; i++)
        if (used == NULL || used[i])
            added = pool_add_server(pool, &config->servers[i], sources, error);
    free(used);
    return added;
}

static enum pool_protocol protocol_spoken(const struct pool_config *config)
{
    if (!WITH_HTTP2 || (config->protocol == POOL_AUTO && config->tls == NULL))
        return POOL_HTTP_1;
    return config->protocol;
}

/* In the order of enum pool_protocol; h2c has no TLS but that of its probes. */
static const unsigned offers[] = {PROTOCOL_HTTP_1, PROTOCOL_H2, PROTOCOL_H2 | PROTOCOL_HTTP_1,
                                  PROTOCOL_H2 | PROTOCOL_HTTP_1};

/* HTTPS probes use the pool's own TLS settings; without these, the defaults. gRPC is asked over TLS where the
 * pool has it, and then over HTTP/2 whatever its requests use. */
static bool pool_add_tls(struct pool *pool, struct tls_files *files, struct error *error)
{
    const struct pool_config *config = pool->config;
    static const struct upstream_tls_config defaults = {.verify = SERVER_VERIFY_FULL,
                                                        .min_version = TLS_VERSION_1_2};
    unsigned offer = offers[pool->protocol];
    if (config->tls != NULL && (pool->tls = tls_client_new(config->tls, offer, files, error)) == NULL)
        return error_wrap(error, "pool \"%s\"", pool->name);
    bool grpc = config->health != NULL && config->health->type == PROBE_GRPC;
    if (config->health == NULL || (grpc ? config->tls == NULL : config->health->type != PROBE_HTTPS))
        return true;
    if (grpc && pool->protocol == POOL_HTTP_1)
        pool->probe_tls = tls_client_new(config->tls, PROTOCOL_H2, files, error);
    else
        pool->probe_tls =
            pool->tls != NULL ? tls_client_take(pool->tls) : tls_client_new(&defaults, offer, files, error);
    return pool->probe_tls != NULL || error_wrap(error, "pool \"%s\": health", pool->name);
}

/* Where the cost of a server shows that it is cold, nothing more is needed (balancing.md 7). */
static uint32_t slow_start_ms(const struct pool_config *config)
{
    static const uint32_t needed[] = {
        [BALANCE_ROUND_ROBIN] = 10000, [BALANCE_RANDOM] = 10000, [BALANCE_HASH] = 10000};
    if (config->slow_start != SLOW_START_AUTO)
        return (uint32_t)config->slow_start;
    return config->balance < COUNT_OF(needed) ? needed[config->balance] : 0;
}

/* Only the default policy leaves a slow server out, so that what it is given is a trial; who wants no retries
 * of what was sent wants nothing sent twice. */
static bool hedges_trials(const struct pool *pool)
{
    const struct pool_config *config = pool->config;
    return config->balance == BALANCE_ADAPTIVE && config->sticky == NULL && config->retry.attempts > 0 &&
           config->retry.sent_no_reply;
}

void pool_want_names(const struct pool_config *config, struct names *names)
{
    bool *used = servers_used(config);
    for (size_t i = 0; i < config->servers_count; i++)
        if (used == NULL || used[i])
            names_want(names, config->servers[i].address);
    free(used);
}

struct pool *pool_new(const struct pool_config *config, uint32_t index, const struct pool_sources *sources,
                      struct error *error)
{
    struct pool *pool = xcalloc(1, sizeof *pool);
    pool->config = config;
    pool->name = config->name;
    pool->index = index;
    pool->shared = server_set_take_pool(sources->servers, config->name);
    pool->servers = xcalloc(config->servers_count, sizeof *pool->servers);
    pool->protocol = protocol_spoken(config);
    pool->slow_start_ms = slow_start_ms(config);
    pool->hedges_trials = hedges_trials(pool);
    bool built = pool_add_tls(pool, sources->files, error) && pool_add_servers(pool, sources, error);
    if (built && config->sticky != NULL)
        built = (pool->sticky = sticky_new(pool, error)) != NULL;
    if (built) {
        const struct balancer *balancer = balancers[config->balance];
        built = balancer->prepare(pool, &pool->plan, error);
        pool->balancer = built ? balancer : NULL;
    }
    if (!built) {
        pool_free(pool);
        return NULL;
    }
    return pool;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    if (pool->balancer != NULL)
        pool->balancer->dispose(pool->plan);
    sticky_free(pool->sticky);
    for (size_t i = 0; i < pool->servers_count; i++)
        server_release(pool->servers[i].server);
    tls_client_release(pool->tls);
    tls_client_release(pool->probe_tls);
    pool_shared_release(pool->shared);
    free(pool->servers);
    free(pool);
}
