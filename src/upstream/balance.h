/*
 * Balancers: a table of policies. prepare() builds an immutable plan once a snapshot, choose() reads it and
 * the servers' atomics.
 */
#ifndef WEIR_UPSTREAM_BALANCE_H
#define WEIR_UPSTREAM_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

struct pool;
struct rng;
struct server;
struct tried;

/* What one choice depends on. cursor and rng belong to the worker. */
struct choice {
    uint64_t hash; /* of the request's key; 0: it has none */
    uint64_t now_us;
    bool panic; /* ejections do not count */
    uint32_t *cursor;
    struct rng *rng;
    bool excludes;               /* any of the next three says something */
    const struct tried *tried;   /* NULL: nobody was tried */
    const struct server *except; /* nor this one; NULL: nobody */
    bool spares;                 /* nor who has turned requests away just now */
    bool *all_full;              /* told: servers are up but each is at its max_connections */
};
struct balancer {
    const char *name; /* as in the file */
    bool (*prepare)(const struct pool *pool, void **plan, struct error *error);
    /* Index into pool->servers, or -1: nobody. Only servers that are up, weight > 0, not tried, under their
     * limit; backups for what the others lack, a standby when all others are down. */
    int (*choose)(const struct pool *pool, const void *plan, struct choice *choice);
    void (*dispose)(void *plan);
};
extern const struct balancer *const balancers[]; /* by enum balance_kind */

#endif
