/*
 * Everything one configuration means at run time. Built by the loader, never written after, counted: one
 * reference for each worker's lease and one for control; the last reference frees it (on the loader's thread,
 * by letter).
 */
#ifndef WEIR_PROXY_SNAPSHOT_H
#define WEIR_PROXY_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"
#include "filter/filter.h"
#include "http/http_conn.h"
#include "net/address.h"

struct access_log;
struct arena;
struct config;
struct listener_config;
struct listener_counts;
struct names;
struct pool;
struct router;
struct shared_state;
struct tls_store;
struct action;

/* What one route means at run time: found by its number. Of many routes each is cold: what a common request
 * reads is one line. */
struct plan {
    _Alignas(CACHE_LINE) const char *name;
    struct filters filters;
    struct pool **pools;                              /* the action, when it is pools */
    struct action *action;                            /* redirect or respond (filter/answer.h); NULL: pools */
    uint64_t body_limit;                              /* bytes, 0: none; the route's or the global one */
    uint32_t timeout, response_timeout, idle_timeout; /* ms; 0: none */
    uint8_t priority;                                 /* enum priority */
    uint8_t forwarding;                               /* what servers are told, bits of enum forwarding */
    bool single : 1;                                  /* pool */
    bool mirrors : 1, grpc_web : 1, hedges : 1;
    /* the other line */
    const struct route_config *config;
    uint32_t *weights; /* of several pools */
    uint32_t pools_count, weights_total;
    struct pool *mirror; /* gets copies of requests */
};
_Static_assert(offsetof(struct plan, config) == CACHE_LINE, "what a common request reads is one line");
/* One listener of this snapshot: its router and the plans of its routes. */
struct site {
    const struct listener_config *config;
    struct router *router;
    struct plan *plans;
    size_t plans_count;
    bool own_routes;       /* else router and plans are shared with the other sites */
    struct tls_store *tls; /* NULL: plain */
    struct http_settings http;
    /* of connections, shared with the sites of this address in other snapshots */
    struct listener_counts *counts;
    bool checks_hosts; /* its TLS says which hosts may be asked for on which connection */
};
struct snapshot {
    uint64_t memory; /* bytes that making it has taken, about */
    _Atomic int32_t references;
    uint64_t number;       /* set by control's loader: how many it has made */
    struct config *config; /* owned */
    struct arena *arena;   /* the arrays of plans, sites and pools */
    struct router *router; /* of the top-level routes; NULL when every listener has its own */
    struct plan *plans;
    size_t plans_count;
    struct site *sites; /* by the listener's place in config->listeners */
    size_t sites_count;
    struct pool **pools; /* by pool->index */
    size_t pools_count;
    struct networks trusted; /* trusted_proxies */
    bool trust_unix;
    struct access_log *access_log; /* NULL: off */
    struct http_settings upstream_http;
    void (*last_release)(struct snapshot *snapshot); /* set by control: brings it home for freeing */
};
/* Takes the config over on success. names: as pool_new() takes them. NULL: the error tells what could not be
 * built. */
struct snapshot *snapshot_new(struct config *config, struct shared_state *shared, const struct names *names,
                              struct error *error) MUST_CHECK;
struct snapshot *snapshot_take(struct snapshot *snapshot);
void snapshot_release(struct snapshot *snapshot); /* any thread */
void snapshot_free(struct snapshot *snapshot);    /* the thread that builds them */
/* Site for a listener address text, or NULL. */
struct site *snapshot_site(const struct snapshot *snapshot, const char *address);

#endif
