/* One member of a pool at run time. Lives in the shared state of the process and outlives reloads while pool and address stay. */
#ifndef WEIR_UPSTREAM_SERVER_H
#define WEIR_UPSTREAM_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "http/failure.h"
#include "net/address.h"

enum server_health { SERVER_UNKNOWN, SERVER_UP, SERVER_DOWN }; /* UNKNOWN counts as up (before the first probe) */

/* What workers write for each attempt stands on a line of its own. */
struct server {
    _Alignas(CACHE_LINE) _Atomic int32_t in_flight; /* attempts sent and not finished, and reserved slots, all workers */
    _Atomic uint64_t waiting_workers[4];            /* bit by worker number: it has requests queued that this server could take */
    /* read mostly */
    _Alignas(CACHE_LINE) _Atomic int health;        /* enum server_health; written by control, and by workers on fast-down */
    _Atomic int32_t references;                     /* pools of snapshots, connections */
    _Atomic uint64_t refused_at_us;                 /* last refused connect, for fast-down */
    _Atomic uint32_t refused_count;
    _Atomic uint64_t served, failed;                /* attempts finished well, attempts that were the server's failure */
    const char *pool_name, *name, *address_text;    /* owned */
    const char *host_name;                          /* host part of the address when it is a name (SNI); NULL for an IP or unix socket */
    struct address address;
    uint32_t number;                                /* unique in the process, for indexing per-worker tables */
};

/* All servers of the process, found by pool name and address text; thread: control only, but for server_release(). */
struct server_set;
struct server_set *server_set_new(void);
void server_set_free(struct server_set *set);
/* Finds or makes it, and takes a reference. address: resolved. */
struct server *server_set_take(struct server_set *set, const char *pool_name, const char *name, const char *address_text, const struct address *address);
void server_set_sweep(struct server_set *set); /* drops those nobody refers to */
struct server *server_take(struct server *server);
void server_release(struct server *server); /* any thread; memory goes with the next sweep */

static inline bool server_is_up(const struct server *server)
{
    return atomic_load_explicit(&server->health, memory_order_relaxed) != SERVER_DOWN;
}

#endif
