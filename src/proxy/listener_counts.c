/*
 * Connections by listener address and, where a cap asks for it, by client. One atomic for each connection
 * that comes or goes, which is no request; what is done about a full listener is client_conn's.
 */
#include "proxy/listener_counts.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "net/address.h"

#define CLIENT_IPV6_PREFIX 64 /* what one subscriber usually holds */

struct listener_counts {
    struct list at;
    _Atomic int32_t references; /* sites of snapshots */
    _Atomic uint64_t connections;
    pthread_mutex_t lock;
    /* client -> its count, kept in the pointer; as many entries as connections at most */
    struct map *by_client;
    char address[];
};
struct listener_counts_set {
    struct list all;
};

struct listener_counts_set *listener_counts_set_new(void)
{
    struct listener_counts_set *set = xcalloc(1, sizeof(*set));
    list_init(&set->all);
    return set;
}

static void listener_counts_free(struct listener_counts *counts)
{
    list_remove(&counts->at);
    pthread_mutex_destroy(&counts->lock);
    map_free(counts->by_client);
    free(counts);
}

static struct listener_counts *listener_counts_new(const char *address)
{
    size_t size = strlen(address) + 1;
    struct listener_counts *counts = xcalloc_lines(sizeof(*counts) + size);
    memcpy(counts->address, address, size);
    if (pthread_mutex_init(&counts->lock, NULL) != 0)
        die("cannot make a mutex");
    counts->by_client = map_new();
    return counts;
}

void listener_counts_set_free(struct listener_counts_set *set)
{
    if (set == NULL)
        return;
    LIST_EACH_SAFE (node, after, &set->all)
        listener_counts_free(CONTAINER_OF(node, struct listener_counts, at));
    free(set);
}

struct listener_counts *listener_counts_set_take(struct listener_counts_set *set, const char *address)
{
    struct listener_counts *counts = NULL;
    LIST_EACH (node, &set->all) {
        struct listener_counts *other = CONTAINER_OF(node, struct listener_counts, at);
        if (strcmp(other->address, address) == 0)
            counts = other;
    }
    if (counts == NULL) {
        counts = listener_counts_new(address);
        list_push_back(&set->all, &counts->at);
    }
    atomic_fetch_add_explicit(&counts->references, 1, memory_order_relaxed);
    return counts;
}

void listener_counts_set_sweep(struct listener_counts_set *set)
{
    LIST_EACH_SAFE (node, after, &set->all) {
        struct listener_counts *counts = CONTAINER_OF(node, struct listener_counts, at);
        if (atomic_load_explicit(&counts->references, memory_order_acquire) == 0)
            listener_counts_free(counts);
    }
}

void listener_counts_release(struct listener_counts *counts)
{
    if (counts != NULL)
        atomic_fetch_sub_explicit(&counts->references, 1, memory_order_release);
}

bool listener_counts_enter(struct listener_counts *counts, uint64_t most)
{
    uint64_t before = atomic_fetch_add_explicit(&counts->connections, 1, memory_order_relaxed);
    if (most == 0 || before < most)
        return true;
    atomic_fetch_sub_explicit(&counts->connections, 1, memory_order_relaxed);
    return false;
}

void listener_counts_leave(struct listener_counts *counts)
{
    uint64_t before = atomic_fetch_sub_explicit(&counts->connections, 1, memory_order_relaxed);
    assert(before > 0);
}

static struct span client_key(struct ip_address *masked, const struct ip_address *client)
{
    *masked = *client;
    ip_address_mask(masked, CLIENT_IPV6_PREFIX);
    return span_make((const char *)masked->bytes, sizeof(masked->bytes));
}

bool listener_counts_enter_client(struct listener_counts *counts, const struct ip_address *client,
                                  uint64_t most)
{
    struct ip_address masked;
    struct span key = client_key(&masked, client);
    pthread_mutex_lock(&counts->lock);
    uintptr_t count = (uintptr_t)map_get(counts->by_client, key);
    bool entered = count < most;
    if (entered)
        map_set(counts->by_client, key, (void *)(count + 1));
    pthread_mutex_unlock(&counts->lock);
    return entered;
}

void listener_counts_leave_client(struct listener_counts *counts, const struct ip_address *client)
{
    struct ip_address masked;
    struct span key = client_key(&masked, client);
    pthread_mutex_lock(&counts->lock);
    uintptr_t count = (uintptr_t)map_get(counts->by_client, key);
    assert(count > 0);
    if (count == 1)
        (void)map_remove(counts->by_client, key);
    else
        map_set(counts->by_client, key, (void *)(count - 1));
    pthread_mutex_unlock(&counts->lock);
}
