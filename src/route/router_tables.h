/*
 * The router's tables, for the three files that make, search and explain them: router_build.c, router.c and
 * router_explain.c.
 */
#ifndef WEIR_ROUTE_ROUTER_TABLES_H
#define WEIR_ROUTE_ROUTER_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/hash.h"
#include "base/span.h"
#include "route/request_values.h"
#include "route/router.h"

struct arena;
struct condition;
struct regex;

#define NONE UINT32_MAX
#define LABELS_MOST 127u /* of a host: names have at most 253 characters in the file */
#define HOST_ROOM 512u   /* bytes; more than the file lets a name have */
#define HOSTS_MOST (LABELS_MOST + 2u)

/* A route in a slot's list, or in a host's list of the rest: regular expressions, and routes without a path.
 */
struct entry {
    uint32_t number, next;
    const struct regex *regex; /* the path must match it; NULL: the slot's path has decided */
};
enum slot_kind { SLOT_EXACT, SLOT_PREFIX };
/* Of a large file each is a line that no cache has; none is on two. */
struct slot {
    const char *path; /* a prefix without its last slash: "" for "/", "/a" for "/a/" */
    uint32_t path_length;
    uint32_t hash;   /* the half that does not tell the place */
    uint32_t host;   /* index of the host pattern */
    uint32_t first;  /* entry or, when `picked`, of the lists */
    uint32_t number; /* of the first route, which serves whatever comes here if it `always` does: its entry
                        and condition would be two lines more */
    uint8_t kind;
    bool used, always, picked;
};
/* A list that is long: what is picked by a value, and the rest. */
struct long_list {
    uint32_t selectors;
    uint32_t rest; /* entry */
};
_Static_assert(CACHE_LINE % sizeof(struct slot) == 0, "a slot would be on two lines");
/* The routes of a long list that want a header or query parameter to equal one text, and it is theirs alone
 * or that of few. */
struct pick {
    const char *value;
    uint32_t length;
    uint32_t hash; /* as in a slot */
    uint32_t selector;
    uint32_t first; /* entry */
    uint32_t
        number; /* as in a slot: of the first route, which serves whatever comes here if it `always` does */
    bool used, always;
};
/* What is looked up for a list: a name of which routes in it want values. */
struct selector {
    struct span name;
    enum value_kind kind;
    uint32_t next; /* of the same list */
};
struct host {
    struct span name; /* exact, or what follows "*." */
    uint64_t hash;
    bool wildcard, used, has_exact;
    uint64_t depths; /* of its prefixes: bit n: there may be one of n segments (or n + 64, ...) */
    uint32_t deepest;
    uint32_t rest, rest_last; /* like a slot's first */
    bool rest_picked;
};
struct router {
    size_t count;
    struct route *routes;
    struct condition **conditions;
    struct host *hosts; /* open addressing, power of two; hosts[hosts_room] is "any host" */
    size_t hosts_room, hosts_used;
    struct slot *slots; /* open addressing, power of two */
    size_t slots_room;
    struct entry *entries;
    size_t entries_count;
    struct pick *picks; /* open addressing, power of two; NULL: there is no long list */
    size_t picks_room;
    struct selector *selectors;
    struct long_list *lists;
    size_t regexes_count;
    struct regex **regexes; /* each pattern once */
    unsigned labels;        /* of the wildcard with the most; 0: there is none */
    struct arena *arena;    /* hosts and paths in their normal form */
};
/* ---- normal forms: a pattern is compared with what target_prepare() and path_readings_next() make of a
 * request ---- */

/* Lower case, without brackets and final dot; in `room`. */
struct span host_normal(const char *text, char room[HOST_ROOM]);

/* ---- places ---- */

static inline uint64_t host_hash(struct span name, bool wildcard)
{
    return hash_keyed_seed(name, wildcard ? 2 : 1);
}

/* Where the pattern is, or the free place where it would be. */
static inline uint32_t host_place(const struct router *router, struct span name, bool wildcard)
{
    uint64_t hash = host_hash(name, wildcard);
    for (size_t i = hash & (router->hosts_room - 1);; i = (i + 1) & (router->hosts_room - 1)) {
        const struct host *host = &router->hosts[i];
        if (!host->used || (host->hash == hash && host->wildcard == wildcard && span_equal(host->name, name)))
            return (uint32_t)i;
    }
}

static inline uint64_t slot_hash(uint32_t host, enum slot_kind kind, struct span path)
{
    return hash_keyed_seed(path, (uint64_t)host * 2 + kind);
}

static inline struct slot *slot_place(const struct router *router, uint32_t host, enum slot_kind kind,
                                      struct span path)
{
    uint64_t hash = slot_hash(host, kind, path);
    for (size_t i = hash & (router->slots_room - 1);; i = (i + 1) & (router->slots_room - 1)) {
        struct slot *slot = &router->slots[i];
        if (!slot->used || (slot->hash == (uint32_t)(hash >> 32) && slot->host == host &&
                            slot->kind == kind && span_equal(span_make(slot->path, slot->path_length), path)))
            return slot;
    }
}

static inline struct pick *pick_place(const struct router *router, uint32_t selector, struct span value)
{
    uint64_t hash = hash_keyed_seed(value, selector);
    for (size_t i = hash & (router->picks_room - 1);; i = (i + 1) & (router->picks_room - 1)) {
        struct pick *pick = &router->picks[i];
        if (!pick->used || (pick->hash == (uint32_t)(hash >> 32) && pick->selector == selector &&
                            span_equal(span_make(pick->value, pick->length), value)))
            return pick;
    }
}

static inline uint64_t depth_bit(size_t depth)
{
    return (uint64_t)1 << (depth & 63);
}

#endif
