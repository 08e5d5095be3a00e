/*
 * Servers and the shared parts of pools: made and found on the thread that loads, counted from any, freed by
 * the sweep after the last reference is gone. What is sent to a server is upstream.c's, what it is worth
 * health.c's.
 */
#include "upstream/server.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"
#include "base/text.h"

#define REFUSED_WINDOW_US 1000000u
#define UNREACHED_IN_A_ROW 2u

struct server_set {
    struct map *servers; /* by pool name, NUL, address text: the first of a chain by next_same */
    struct map *pools;   /* by name */
    uint32_t servers_made, pools_made;
};

/* --- what workers do to a server --- */

/* Silence counts from when the first begins to wait. Two workers may both be first: they store the same
 * instant. */
void server_awaited(struct server *server, uint64_t now_us)
{
    if (atomic_fetch_add_explicit(&server->awaiting, 1, memory_order_relaxed) == 0)
        atomic_store_explicit(&server->heard_us, (uint32_t)now_us, memory_order_relaxed);
}

bool server_reserve(struct server *server, uint32_t most)
{
    /* Atomic read-modify-writes per request: balancing and max_connections need the sums over all workers. */
    if (most == 0 || most == SERVER_ADAPTS) {
        atomic_fetch_add_explicit(&server->in_flight, 1, memory_order_relaxed);
        return true;
    }
    /* Sequentially consistent: pairs with the bit of a worker that starts to wait (see upstream_queue.c). */
    int32_t taken = atomic_load(&server->in_flight);
    while (taken < (int32_t)most) {
        if (atomic_compare_exchange_weak(&server->in_flight, &taken, taken + 1))
            return true;
    }
    return false;
}

void server_unreserve(struct server *server)
{
    int32_t before = atomic_fetch_sub(&server->in_flight, 1);
    assert(before > 0);
}

void server_unawaited(struct server *server)
{
    /* Sequentially consistent: where the limit adapts, this frees the slot. */
    int32_t before = atomic_fetch_sub(&server->awaiting, 1);
    assert(before > 0);
}

void server_heard(struct server *server, uint64_t now_us)
{
    server_unawaited(server);
    atomic_store_explicit(&server->heard_us, (uint32_t)now_us, memory_order_relaxed);
}

bool server_was_refused(struct server *server, uint64_t now_us, uint64_t threshold)
{
    /* Two workers may begin a new window at once and lose one refusal: the next one counts. */
    uint64_t since = atomic_load_explicit(&server->refused_at_us, memory_order_relaxed);
    uint32_t count = 1;
    if (atomic_load_explicit(&server->refused_count, memory_order_relaxed) == 0 ||
        now_us - since > REFUSED_WINDOW_US) {
        atomic_store_explicit(&server->refused_at_us, now_us, memory_order_relaxed);
        atomic_store_explicit(&server->refused_count, 1, memory_order_relaxed);
    } else {
        count = atomic_fetch_add_explicit(&server->refused_count, 1, memory_order_relaxed) + 1;
    }
    if (threshold == 0 || count < threshold || !atomic_load(&server->probed))
        return false;
    bool was_up = atomic_exchange(&server->health, SERVER_DOWN) != SERVER_DOWN;
    if (atomic_load(&server->probed))
        return was_up;
    /* A reload has taken its check away meanwhile: nobody would bring it back. */
    atomic_store(&server->health, SERVER_UNKNOWN);
    return false;
}

void server_was_reached(struct server *server)
{
    if (atomic_load_explicit(&server->refused_count, memory_order_relaxed) != 0)
        atomic_store_explicit(&server->refused_count, 0, memory_order_relaxed);
    if (atomic_load_explicit(&server->unreached_in_a_row, memory_order_relaxed) != 0)
        atomic_store_explicit(&server->unreached_in_a_row, 0, memory_order_relaxed);
    if (atomic_load_explicit(&server->turned_away_us, memory_order_relaxed) != 0)
        atomic_store_explicit(&server->turned_away_us, 0, memory_order_relaxed);
}

bool server_was_unreached(struct server *server)
{
    return atomic_fetch_add_explicit(&server->unreached_in_a_row, 1, memory_order_relaxed) + 1 >=
           UNREACHED_IN_A_ROW;
}

void server_turned_away(struct server *server, uint64_t now_us)
{
    atomic_store_explicit(&server->turned_away_us, now_us, memory_order_relaxed);
}

const struct address *server_address(const struct server *server, unsigned tries)
{
    if (tries >= server->addresses_count)
        return NULL;
    uint32_t at = atomic_load_explicit(&server->address_at, memory_order_relaxed);
    return &server->addresses[(at + tries) % server->addresses_count];
}

void server_address_worked(struct server *server, const struct address *address)
{
    uint32_t at = (uint32_t)(address - server->addresses);
    if (atomic_load_explicit(&server->address_at, memory_order_relaxed) != at)
        atomic_store_explicit(&server->address_at, at, memory_order_relaxed);
}

struct server *server_take(struct server *server)
{
    atomic_fetch_add_explicit(&server->references, 1, memory_order_relaxed);
    return server;
}

void server_release(struct server *server)
{
    int32_t before = atomic_fetch_sub_explicit(&server->references, 1, memory_order_release);
    assert(before > 0);
}

void pool_shared_release(struct pool_shared *shared)
{
    int32_t before = atomic_fetch_sub_explicit(&shared->references, 1, memory_order_release);
    assert(before > 0);
}

/* --- the set --- */

static void server_free(struct server *server)
{
    /* Nobody refers to it any more: every attempt that took a slot has given it back. */
    assert(server_load(server) == 0 && atomic_load(&server->awaiting) == 0);
    free((char *)server->pool_name);
    free((char *)server->name);
    free((char *)server->address_text);
    free((char *)server->host);
    free(server->addresses);
    free(server);
}

static void pool_shared_free(struct pool_shared *shared)
{
    assert(atomic_load(&shared->waiting) == 0);
    free((char *)shared->name);
    free(shared);
}

static struct text server_key(const char *pool_name, const char *address_text)
{
    struct text key = text_growing();
    text_add(&key, span_of(pool_name));
    text_char(&key, '\0');
    text_add(&key, span_of(address_text));
    return key;
}

static char *host_of(const char *address_text)
{
    const char *colon = strrchr(address_text, ':');
    if (colon == NULL || colon == address_text || strncmp(address_text, "unix:", 5) == 0)
        return NULL;
    struct span host = span_make(address_text, (size_t)(colon - address_text));
    if (host.length > 2 && host.at[0] == '[')
        host = span_make(host.at + 1, host.length - 2);
    char *copy = xmalloc(host.length + 1);
    memcpy(copy, host.at, host.length);
    copy[host.length] = '\0';
    return copy;
}

/* A name's addresses come in any order: the same set is the same server. */
static bool same_addresses(const struct server *server, const struct address *addresses, size_t count)
{
    if (server->addresses_count != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (size_t k = 0; k < count && !found; k++)
            found = address_equal(&server->addresses[i], &addresses[k]);
        if (!found)
            return false;
    }
    return true;
}

static struct server *server_new(struct server_set *set, const struct pool_shared *shared, const char *name,
                                 const char *address_text, const struct address *addresses, size_t count)
{
    struct server *server = xcalloc_lines(sizeof *server);
    server->pool_name = xstrdup(shared->name);
    server->name = xstrdup(name);
    server->address_text = xstrdup(address_text);
    server->host = host_of(address_text);
    server->addresses = xcalloc(count, sizeof *addresses);
    memcpy(server->addresses, addresses, count * sizeof *addresses);
    server->addresses_count = (uint32_t)count;
    server->number = set->servers_made++;
    server->pool_number = shared->number;
    atomic_init(&server->slowness, 1.0f);
    atomic_init(&server->limit, SERVER_LIMIT_OPEN);
    return server;
}

struct span server_authority(const struct server *server)
{
    return server->host != NULL ? span_of(server->address_text) : SPAN("localhost");
}

struct server_set *server_set_new(void)
{
    struct server_set *set = xcalloc(1, sizeof *set);
    set->servers = map_new();
    set->pools = map_new();
    return set;
}

struct pool_shared *server_set_take_pool(struct server_set *set, const char *pool_name)
{
    struct pool_shared *shared = map_get(set->pools, span_of(pool_name));
    if (shared == NULL) {
        shared = xcalloc_lines(sizeof *shared);
        shared->name = xstrdup(pool_name);
        shared->number = set->pools_made++;
        map_set(set->pools, span_of(pool_name), shared);
    }
    atomic_fetch_add_explicit(&shared->references, 1, memory_order_relaxed);
    return shared;
}

struct server *server_set_take(struct server_set *set, const struct pool_shared *shared, const char *name,
                               const char *address_text, const struct address *addresses, size_t count)
{
    assert(count > 0);
    struct text key = server_key(shared->name, address_text);
    struct server *first = map_get(set->servers, text_span(&key));
    struct server *server = first;
    while (server != NULL && !(server->pool_number == shared->number && strcmp(server->name, name) == 0 &&
                               same_addresses(server, addresses, count)))
        server = server->next_same;
    if (server == NULL) {
        server = server_new(set, shared, name, address_text, addresses, count);
        server->next_same = first;
        map_set(set->servers, text_span(&key), server);
    }
    text_free(&key);
    return server_take(server);
}

/* Frees those of a chain that nobody refers to; returns what is left. */
static struct server *chain_sweep(struct server *first, bool all)
{
    struct server *left = NULL;
    while (first != NULL) {
        struct server *server = first;
        first = server->next_same;
        if (all || atomic_load_explicit(&server->references, memory_order_acquire) == 0) {
            server_free(server);
            continue;
        }
        server->next_same = left;
        left = server;
    }
    return left;
}

/* Values to be changed or removed are collected first: a map must not change while it is walked. */
static void servers_sweep(struct server_set *set, bool all)
{
    size_t count = map_count(set->servers), at = 0, filled = 0;
    struct server **firsts = xcalloc(count + 1, sizeof *firsts);
    struct span key;
    void *value;
    while (map_next(set->servers, &at, &key, &value))
        firsts[filled++] = value;
    for (size_t i = 0; i < filled; i++) {
        struct text text = server_key(firsts[i]->pool_name, firsts[i]->address_text);
        struct server *left = chain_sweep(firsts[i], all);
        if (left == NULL)
            map_remove(set->servers, text_span(&text));
        else
            map_set(set->servers, text_span(&text), left);
        text_free(&text);
    }
    free(firsts);
}

static void pools_sweep(struct server_set *set, bool all)
{
    size_t count = map_count(set->pools), at = 0, filled = 0;
    struct pool_shared **found = xcalloc(count + 1, sizeof *found);
    struct span key;
    void *value;
    while (map_next(set->pools, &at, &key, &value))
        found[filled++] = value;
    for (size_t i = 0; i < filled; i++) {
        if (!all && atomic_load_explicit(&found[i]->references, memory_order_acquire) != 0)
            continue;
        map_remove(set->pools, span_of(found[i]->name));
        pool_shared_free(found[i]);
    }
    free(found);
}

void server_set_sweep(struct server_set *set)
{
    servers_sweep(set, false);
    pools_sweep(set, false);
}

void server_set_free(struct server_set *set)
{
    if (set == NULL)
        return;
    servers_sweep(set, true);
    pools_sweep(set, true);
    map_free(set->servers);
    map_free(set->pools);
    free(set);
}
