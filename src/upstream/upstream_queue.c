/*
 * Who waits for a server when all are at their max_connections: a queue a worker and pool, first come, first served,
 * with one count over all workers as its cap. No wake-up is lost: a worker that waits first sets its bit at the servers
 * and then looks for room once more, and who frees a slot first frees it and then looks for bits (all sequentially
 * consistent). Who was woken and does not need the slot passes the word on.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/counters.h"
#include "base/error.h"
#include "upstream/upstream_state.h"

#define LOOK_EVERY 100 /* ms */

static uint64_t bit_of(unsigned number)
{
    return 1ull << (number % 64);
}

/* Clears a worker's bit; false when it was not set, or somebody else was faster. */
static bool bit_clear(struct server *server, unsigned number)
{
    _Atomic uint64_t *word = &server->waiting_workers[number / 64];
    return (atomic_load(word) & bit_of(number)) != 0 && (atomic_fetch_and(word, ~bit_of(number)) & bit_of(number)) != 0;
}

/* The next worker after this one, in a circle, whose bit is set; the worker's own number: none. */
static unsigned next_waiting(const struct server *server, unsigned number, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        unsigned other = (number + i) % count;
        if ((atomic_load(&server->waiting_workers[other / 64]) & bit_of(other)) != 0)
            return other;
    }
    return number;
}

static bool anybody_waits(const struct server *server, unsigned count)
{
    for (unsigned word = 0; word * 64 < count; word++)
        if (atomic_load(&server->waiting_workers[word]) != 0)
            return true;
    return false;
}

static unsigned workers_count(const struct upstreams *upstreams)
{
    return upstreams->peers != NULL ? upstreams->peers->count : upstreams->number + 1;
}

static void ring(struct upstream_bell *bell)
{
    if (!atomic_exchange(&bell->rung, true))
        mailbox_post(bell->mailbox, &bell->letter);
}

/* Wakes one other worker that waits for this server, if any. */
static void wake_other(struct upstreams *upstreams, struct server *server)
{
    for (;;) {
        unsigned other = next_waiting(server, upstreams->number, workers_count(upstreams));
        if (other == upstreams->number || upstreams->peers == NULL)
            return;
        if (bit_clear(server, other)) {
            ring(&upstreams->peers->bells[other]);
            return;
        }
    }
}

void queue_slot_free(struct upstreams *upstreams, struct server *server)
{
    if (!anybody_waits(server, workers_count(upstreams)))
        return;
    struct pool_entry *pool = upstreams_pool(upstreams, server->pool_number);
    bool mine = !list_is_empty(&pool->queue);
    bool others = next_waiting(server, upstreams->number, workers_count(upstreams)) != upstreams->number;
    if (mine && (!others || !pool->others_next)) {
        pool->others_next = true;
        loop_later(upstreams->loop, &pool->wake);
        return;
    }
    pool->others_next = false;
    wake_other(upstreams, server);
}

/* The queue is empty, and perhaps it was woken for nothing: clears this worker's bits and passes the word on. */
static void queue_pass_on(struct pool_entry *pool)
{
    if (!pool->bits_set)
        return;
    pool->bits_set = false;
    LIST_EACH(node, &pool->servers)
    {
        struct server *server = CONTAINER_OF(node, struct server_entry, of_pool)->server;
        (void)bit_clear(server, pool->upstreams->number);
        wake_other(pool->upstreams, server);
    }
}

static void queue_set_bits(struct pool_entry *entry, const struct pool *pool)
{
    struct upstreams *upstreams = entry->upstreams;
    uint64_t bit = bit_of(upstreams->number);
    entry->bits_set = true;
    for (size_t i = 0; i < pool->servers_count; i++) {
        struct server *server = pool->servers[i].server;
        if (pool->servers[i].max_connections == 0)
            continue;
        (void)upstreams_server(upstreams, server);
        _Atomic uint64_t *word = &server->waiting_workers[upstreams->number / 64];
        if ((atomic_load(word) & bit) == 0)
            atomic_fetch_or(word, bit);
    }
}

static void queue_remove(struct upstream_waiter *waiter)
{
    int32_t before = atomic_fetch_sub_explicit(&waiter->pool->shared->waiting, 1, memory_order_relaxed);
    assert(before > 0);
    counter_add(COUNTER_queue_waiting, -1);
    list_remove(&waiter->queued);
    deadline_clear(&waiter->deadline);
}

/* Gives slots to those in front. Nothing is told from here: a task of each does that, so that the list stands still
 * while it is walked. */
static void queue_serve(struct pool_entry *pool)
{
    struct upstreams *upstreams = pool->upstreams;
    LIST_EACH_SAFE(node, after, &pool->queue)
    {
        struct upstream_waiter *waiter = CONTAINER_OF(node, struct upstream_waiter, queued);
        enum chosen chosen = waiter_choose(upstreams, waiter);
        if (chosen == CHOSEN_FULL) {
            /* Nobody behind is better off, unless this one may not go everywhere. */
            if (waiter->tried_count == 0 && waiter->only == NULL)
                return;
            continue;
        }
        queue_remove(waiter);
        waiter->phase = chosen == CHOSEN ? PHASE_RESERVED : PHASE_FAILING;
        waiter->failure = FAILURE_NO_SERVER;
        loop_later(upstreams->loop, &waiter->task);
    }
}

static void queue_wake(struct task *task)
{
    struct pool_entry *pool = CONTAINER_OF(task, struct pool_entry, wake);
    queue_serve(pool);
    const struct pool *last = NULL;
    LIST_EACH(node, &pool->queue)
    {
        /* More than one only while an old snapshot's requests wait too. */
        const struct pool *waits_for = CONTAINER_OF(node, struct upstream_waiter, queued)->pool;
        if (waits_for != last)
            queue_set_bits(pool, waits_for);
        last = waits_for;
    }
    if (last != NULL)
        queue_serve(pool);
    if (list_is_empty(&pool->queue))
        queue_pass_on(pool);
}

static void queue_look(struct deadline *deadline)
{
    struct pool_entry *pool = CONTAINER_OF(deadline, struct pool_entry, look);
    if (list_is_empty(&pool->queue))
        return;
    loop_later(pool->upstreams->loop, &pool->wake);
    deadline_set(&pool->look, pool->upstreams->loop, LOOK_EVERY);
}

static void waiter_waited_too_long(struct deadline *deadline)
{
    struct upstream_waiter *waiter = CONTAINER_OF(deadline, struct upstream_waiter, deadline);
    struct upstreams *upstreams = waiter->upstreams;
    counter_add(COUNTER_queue_timeouts, 1);
    queue_leave(upstreams, waiter);
    waiter_fail(waiter, FAILURE_QUEUE_TIMEOUT);
}

void pool_entry_init(struct pool_entry *pool, struct upstreams *upstreams)
{
    pool->upstreams = upstreams;
    list_init(&pool->queue);
    list_init(&pool->servers);
    pool->wake.run = queue_wake;
    pool->look.passed = queue_look;
    pool->cursor = (uint32_t)rng_next(&upstreams->rng);
    pool->kept = true;
}

void queue_enter(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    const struct queue_config *config = &waiter->pool->config->queue;
    struct pool_entry *pool = upstreams_pool(upstreams, waiter->pool->shared->number);
    if ((uint64_t)atomic_fetch_add_explicit(&waiter->pool->shared->waiting, 1, memory_order_relaxed) >= config->size) {
        atomic_fetch_sub_explicit(&waiter->pool->shared->waiting, 1, memory_order_relaxed);
        counter_add(COUNTER_queue_refused, 1);
        waiter_fail(waiter, FAILURE_QUEUE_FULL);
        return;
    }
    counter_add(COUNTER_queue_waiting, 1);
    waiter->phase = PHASE_QUEUED;
    waiter->deadline.passed = waiter_waited_too_long;
    deadline_set(&waiter->deadline, upstreams->loop, config->max_wait);
    list_push_back(&pool->queue, &waiter->queued);
    loop_later(upstreams->loop, &pool->wake); /* sets the bits and looks once more */
    if (!deadline_is_set(&pool->look))
        deadline_set(&pool->look, upstreams->loop, LOOK_EVERY);
}

void queue_leave(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    struct pool_entry *pool = upstreams_pool(upstreams, waiter->pool->shared->number);
    queue_remove(waiter);
    if (list_is_empty(&pool->queue))
        loop_later(upstreams->loop, &pool->wake); /* passes on what it may have been woken for */
}

void queue_forget_server(struct upstreams *upstreams, struct server *server)
{
    (void)bit_clear(server, upstreams->number);
    wake_other(upstreams, server);
}

/* --- the bells --- */

static void bell_heard(struct letter *letter, void *reader)
{
    struct upstream_bell *bell = CONTAINER_OF(letter, struct upstream_bell, letter);
    (void)reader;
    /* Before looking: who rings from now on posts anew. */
    (void)atomic_exchange(&bell->rung, false);
    struct upstreams *upstreams = bell->upstreams;
    for (uint32_t i = 0; i < upstreams->pools_room; i++)
        if (upstreams->pools[i] != NULL && upstreams->pools[i]->bits_set)
            loop_later(upstreams->loop, &upstreams->pools[i]->wake);
}

struct upstream_peers *upstream_peers_new(struct mailbox *const *mailboxes, struct upstreams *const *all,
                                          unsigned count)
{
    assert(count <= SERVER_WORKERS_MOST);
    struct upstream_peers *peers = xcalloc(1, sizeof *peers + count * sizeof peers->bells[0]);
    peers->count = count;
    atomic_store(&peers->references, (int32_t)count);
    for (unsigned i = 0; i < count; i++) {
        peers->bells[i].letter.open = bell_heard;
        peers->bells[i].upstreams = all[i];
        peers->bells[i].mailbox = mailboxes[i];
    }
    return peers;
}

void upstream_peers_release(struct upstream_peers *peers)
{
    if (peers != NULL && atomic_fetch_sub(&peers->references, 1) == 1)
        free(peers);
}
