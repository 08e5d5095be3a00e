/* A named group of servers in a snapshot: read-only but for the atomics of its servers and of its shared
 * part. */
#ifndef WEIR_UPSTREAM_POOL_H
#define WEIR_UPSTREAM_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "config/pool_config.h"
#include "upstream/server.h"

struct balancer;
struct names;
struct server_set;
struct sticky;
struct tls_client;
struct tls_files;

struct pool_server {
    struct server *server;
    const struct server_config *config;
    uint32_t weight;
    uint32_t max_connections; /* 0: no limit; SERVER_ADAPTS */
    bool backup, standby;     /* at most one of them */
    bool far;                 /* in another zone than this weir */
};
struct pool {
    const struct pool_config *config;
    const char *name;
    size_t servers_count;
    struct pool_server *servers; /* in the order of the file, but for those that are not of the subset */
    const struct balancer *balancer;
    void *plan;                   /* of the balancer */
    struct sticky *sticky;        /* NULL: any server does */
    struct tls_client *tls;       /* NULL: plain */
    struct tls_client *probe_tls; /* of HTTPS probes; NULL: probes are plain */
    /* What is spoken: of the file's `auto` and of HTTP/2 what this build and the lack of TLS leave. */
    enum pool_protocol protocol;
    struct pool_shared *shared;
    uint32_t index;         /* in the snapshot */
    uint32_t slow_start_ms; /* 0: none */
    bool limited;           /* any server has a limit */
    bool adapts;            /* any server has one that adapts */
    bool has_backups, has_standbys;
    bool hedges_trials; /* requests to a server that is known to be slow are hedged: hedge.h */
};
/* What pools are made of besides the file. */
struct pool_sources {
    struct server_set *servers;
    struct tls_files *files;
    const struct names *names; /* found before; NULL: asked for where they are met, which blocks */
};
/* NULL with error. */
struct pool *pool_new(const struct pool_config *config, uint32_t index, const struct pool_sources *sources,
                      struct error *error) MUST_CHECK;
/* The names that pool_new() of this will look for. */
void pool_want_names(const struct pool_config *config, struct names *names);
void pool_free(struct pool *pool); /* any thread */

#endif
