/*
 * Who goes is the connection that has been quiet longest, whatever it is quiet in: a handshake, a head that
 * does not come, between two requests. Only some are looked at, so that a cap costs no more with a million
 * connections than with a hundred; those looked at go behind the others, so that the next look sees new ones.
 */
#include "proxy/client_caps.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counters.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "config/config.h"
#include "proxy/client_conn.h"
#include "proxy/client_memory.h"
#include "proxy/listener_counts.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"

#define LOOKS 64u      /* connections looked at to find one that may go */
#define LOOKS_AT 4096u /* for one of a listener, behind those of others */
#define CANDIDATES 8u  /* quiet ones, of which the longest quiet goes */
/* How long it must have been quiet since its last request: who has just been answered is about to ask. Who
 * never asked has no such claim: else connections that come fast enough would lock everybody out. */
#define QUIET_MS 250u

/* All workers together: one change for each connection, none for a request. */
static struct {
    _Alignas(CACHE_LINE) _Atomic uint64_t value;
} client_conn_count; /* alone on its line, since a struct is as long as its alignment */
_Static_assert(sizeof client_conn_count == CACHE_LINE,
               "what is beside a count that all workers write would be slow to read");

static uint32_t quiet_ms(const struct client_conn *conn)
{
    return (uint32_t)loop_now(conn->worker->loop) - conn->quiet_since;
}

static bool may_go(const struct client_conn *conn, const struct listener_counts *at)
{
    return conn->exchanges == 0 && (at == NULL || conn->site->counts == at) &&
           (!conn->asked || quiet_ms(conn) >= QUIET_MS);
}

/* Of the first of a list. Those that may not go are put behind the others. */
static struct client_conn *longest_quiet(struct list *clients, const struct listener_counts *at)
{
    struct client_conn *longest = NULL;
    unsigned looks = 0, candidates = 0;
    LIST_EACH_SAFE (node, after, clients) {
        struct client_conn *conn = CONTAINER_OF(node, struct client_conn, at);
        if (++looks > (at != NULL ? LOOKS_AT : LOOKS) || candidates == CANDIDATES)
            break;
        if (may_go(conn, at)) {
            candidates++;
            if (longest == NULL || quiet_ms(conn) > quiet_ms(longest))
                longest = conn;
        } else if (conn->asked) { /* the others lie by age */
            list_remove(node);
            list_push_back(clients, node);
        }
    }
    return longest;
}

void client_caps_publish(struct worker *worker)
{
    uint32_t since = 0;
    if (!list_is_empty(&worker->fresh))
        since = CONTAINER_OF(worker->fresh.next, struct client_conn, at)->quiet_since | 1; /* 0 is none */
    atomic_store_explicit(&worker->oldest, since, memory_order_relaxed);
}

/* How long the oldest client of a worker that never asked is there; -1: it has none. */
static int64_t oldest_ms(const struct worker *worker, uint32_t now)
{
    uint32_t since = atomic_load_explicit(&worker->oldest, memory_order_relaxed);
    int32_t age = (int32_t)(now - since);
    return since == 0 ? -1 : age > 0 ? age : 0;
}

struct worker *client_caps_oldest(struct worker *worker)
{
    uint32_t now = (uint32_t)loop_now(worker->loop);
    struct worker *oldest = worker;
    int64_t most = oldest_ms(worker, now);
    for (unsigned i = 0; i < worker->peers_count; i++) {
        struct worker *peer = worker->peers[i];
        int64_t age = oldest_ms(peer, now);
        if (age <= most || atomic_load_explicit(&peer->shut, memory_order_relaxed))
            continue;
        most = age;
        oldest = peer;
    }
    return oldest;
}

/* Another worker has one that never asked and is there longer than this one is quiet. */
static bool other_is_older(struct worker *worker, const struct client_conn *conn)
{
    const struct worker *oldest = client_caps_oldest(worker);
    return oldest != worker && oldest_ms(oldest, (uint32_t)loop_now(worker->loop)) > quiet_ms(conn);
}

struct client_conn *client_caps_flooded(const struct worker *worker, const struct listener_counts *at)
{
    LIST_EACH (node, &worker->flooded) {
        struct client_conn *conn = CONTAINER_OF(node, struct client_conn, at);
        if (at == NULL || conn->site->counts == at)
            return conn;
    }
    return NULL;
}

/* Who goes for another that comes. */
static struct client_conn *who_goes(struct worker *worker, const struct listener_counts *at,
                                    enum caps_who who)
{
    struct client_conn *flooded = client_caps_flooded(worker, at);
    if (flooded != NULL)
        return flooded;
    struct client_conn *longest = longest_quiet(&worker->clients, at),
                       *oldest = longest_quiet(&worker->fresh, at);
    if (longest == NULL || (oldest != NULL && quiet_ms(oldest) > quiet_ms(longest)))
        longest = oldest;
    if (longest == NULL || (who == CAPS_OLDEST && other_is_older(worker, longest)) ||
        (who == CAPS_QUIET && quiet_ms(longest) < QUIET_MS))
        return NULL;
    return longest;
}

bool client_caps_shed(struct worker *worker, const struct listener_counts *at, enum caps_who who)
{
    struct client_conn *conn = who_goes(worker, at, who);
    if (conn == NULL)
        return false;
    counter_add(COUNTER_connections_shed, 1);
    client_conn_shed(conn);
    return true;
}

uint64_t client_caps_most(const struct lease *lease)
{
    uint64_t most = lease->snapshot->config->limits.connections, fit = descriptors_for_clients();
    return most < fit ? most : fit;
}

bool client_caps_are_reached(const struct lease *lease)
{
    return atomic_load_explicit(&client_conn_count.value, memory_order_relaxed) >= client_caps_most(lease) ||
           descriptors_are_short() || memory_level() >= MEMORY_NO_CONNECTIONS;
}

/* Descriptors are taken together with their count. */
static bool enter_all(const struct lease *lease, enum caps_who who)
{
    uint64_t before = atomic_fetch_add_explicit(&client_conn_count.value, 1, memory_order_relaxed);
    bool full = before >= client_caps_most(lease), taken = !full && descriptors_take(1);
    if (taken)
        return true;
    if (full ? client_caps_shed(lease->worker, NULL, who) : worker_make_room(lease->worker, who)) {
        descriptors_take_anyway(1);
        return true;
    }
    atomic_fetch_sub_explicit(&client_conn_count.value, 1, memory_order_relaxed);
    return false;
}

static void leave_all(void)
{
    atomic_fetch_sub_explicit(&client_conn_count.value, 1, memory_order_relaxed);
    descriptors_give(1);
}

const char *client_caps_enter(const struct lease *lease, const struct site *site, enum caps_who who)
{
    if (!client_memory_takes_connection(lease->worker))
        return "limits.memory";
    if (!enter_all(lease, who))
        return "limits.connections";
    if (listener_counts_enter(site->counts, site->config->max_connections))
        return NULL;
    if (client_caps_shed(lease->worker, site->counts, who)) {
        (void)!listener_counts_enter(site->counts, 0);
        return NULL;
    }
    leave_all();
    return "max_connections";
}

/* Where the file wants clients counted one by one, and this one has an address. */
static bool client_counts(const struct client_conn *conn, const struct site *site)
{
    return site->config->max_connections_per_client != 0 && conn->peer.family != AF_UNIX &&
           conn->peer.family != 0;
}

bool client_caps_enter_client(struct client_conn *conn)
{
    uint64_t most = conn->site->config->max_connections_per_client;
    if (!client_counts(conn, conn->site))
        return true;
    conn->counted_client = listener_counts_enter_client(conn->site->counts, &conn->peer, most);
    if (!conn->counted_client)
        client_caps_tell(conn->site, "max_connections_per_client");
    return conn->counted_client;
}

void client_caps_follow(struct client_conn *conn, const struct site *site)
{
    if (!conn->released && !conn->counted_client && client_counts(conn, site))
        conn->counted_client = listener_counts_enter_client(site->counts, &conn->peer, UINT64_MAX);
}

void client_caps_release(struct client_conn *conn)
{
    if (conn->released)
        return;
    conn->released = true;
    if (conn->counted_client)
        listener_counts_leave_client(conn->site->counts, &conn->peer);
    listener_counts_leave(conn->site->counts);
    atomic_fetch_sub_explicit(&client_conn_count.value, 1, memory_order_relaxed);
}

void client_caps_leave(struct client_conn *conn)
{
    client_caps_release(conn);
    descriptors_give(1);
}

void client_caps_tell(const struct site *site, const char *limit)
{
    counter_add(COUNTER_connections_refused, 1);
    log_warn("listener", "connection refused", KV("listener", site->config->name), KV("limit", limit));
}
