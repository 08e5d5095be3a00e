/*
 * Who waits for a server when all are at their max_connections: a queue a worker and pool, with one count
 * over all workers as its cap. Higher priorities are served first, whichever worker they wait in; among
 * equals the oldest, until somebody has waited without a break for so long that this is more than a burst,
 * and ever more come: then old requests are those that nobody may be waiting for any more, and
 * `queue.discipline` decides (balancing.md 8). No wake-up is lost: a worker that waits first sets its bit at
 * the servers and then looks for room once more, and who frees a slot first frees it and then looks for bits
 * (all sequentially consistent). Who was woken and does not need the slot passes the word on.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/counters.h"
#include "base/error.h"
#include "upstream/server_limit.h"
#include "upstream/upstream_state.h"

#define LOOK_EVERY 100            /* ms */
#define OVERLOAD_AFTER_US 100000u /* of a queue that is never empty */

static uint64_t bit_of(unsigned number)
{
    return 1ull << (number % 64);
}

/* Clears a worker's bit; false when it was not set, or somebody else was faster. */
static bool bit_clear(struct server *server, unsigned number)
{
    _Atomic uint64_t *word = &server->waiting_workers[number / 64];
    return (atomic_load(word) & bit_of(number)) != 0 &&
           (atomic_fetch_and(word, ~bit_of(number)) & bit_of(number)) != 0;
}

static unsigned urgency_of(const struct pool_shared *shared, unsigned number)
{
    return atomic_load_explicit(&shared->urgency[number], memory_order_relaxed);
}

/* What this worker's queue has to tell the others. */
static void urgency_tell(const struct pool_entry *pool, struct pool_shared *shared)
{
    unsigned number = pool->upstreams->number, first = 0;
    while (first < PRIORITY_COUNT && list_is_empty(&pool->queues[first]) &&
           list_is_empty(&pool->older[first]))
        first++;
    if (urgency_of(shared, number) != PRIORITY_COUNT - first)
        atomic_store_explicit(&shared->urgency[number], (uint8_t)(PRIORITY_COUNT - first),
                              memory_order_relaxed);
}

/* The worker where the highest priority waits for this server, and of equals the next after this one in a
 * circle; the worker's own number: none. shared: NULL where priorities do not matter. */
static unsigned next_waiting(const struct server *server, const struct pool_shared *shared, unsigned number,
                             unsigned count)
{
    unsigned found = number, most = 0;
    for (unsigned i = 1; i < count; i++) {
        unsigned other = (number + i) % count;
        if ((atomic_load(&server->waiting_workers[other / 64]) & bit_of(other)) == 0)
            continue;
        if (shared == NULL)
            return other;
        unsigned urgency = urgency_of(shared, other);
        if (found == number || urgency > most) {
            found = other;
            most = urgency;
        }
    }
    return found;
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
static void wake_other(struct upstreams *upstreams, const struct pool_shared *shared, struct server *server)
{
    for (;;) {
        unsigned other = next_waiting(server, shared, upstreams->number, workers_count(upstreams));
        if (other == upstreams->number || upstreams->peers == NULL)
            return;
        if (bit_clear(server, other)) {
            ring(&upstreams->peers->bells[other]);
            return;
        }
    }
}

void queue_slot_free(struct upstreams *upstreams, const struct pool_shared *shared, struct server *server)
{
    if (!anybody_waits(server, workers_count(upstreams)))
        return;
    struct pool_entry *pool = upstreams_pool(upstreams, server->pool_number);
    unsigned number = upstreams->number;
    unsigned other = next_waiting(server, shared, number, workers_count(upstreams));
    unsigned own = urgency_of(shared, number), theirs = other != number ? urgency_of(shared, other) : 0;
    bool mine =
        pool->queued != 0 && (other == number || own > theirs || (own == theirs && !pool->others_next));
    pool->others_next = mine;
    if (mine)
        loop_later(upstreams->loop, &pool->wake);
    else
        wake_other(upstreams, shared, server);
}

/* The queue is empty, and perhaps it was woken for nothing: clears this worker's bits and passes the word on.
 */
static void queue_pass_on(struct pool_entry *pool)
{
    if (!pool->bits_set)
        return;
    pool->bits_set = false;
    LIST_EACH (node, &pool->servers) {
        struct server *server = CONTAINER_OF(node, struct server_entry, of_pool)->server;
        (void)bit_clear(server, pool->upstreams->number);
        wake_other(pool->upstreams, NULL, server);
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

static bool queue_is_overloaded(const struct pool_entry *pool)
{
    return pool->queued != 0 && loop_now_us(pool->upstreams->loop) > pool->filled_us + OVERLOAD_AFTER_US;
}

/* While ever more wait, those who came last are the likeliest to still be there; while as many come as are
 * answered it would be the same few who are never served. */
static bool queue_is_newest_first(const struct pool_entry *entry, const struct pool *pool)
{
    return pool->config->queue.discipline == QUEUE_ADAPTIVE && queue_is_overloaded(entry) &&
           !queue_is_steady(pool->shared);
}

static void queue_remove(struct pool_entry *pool, struct upstream_waiter *waiter)
{
    int32_t before = atomic_fetch_sub_explicit(&waiter->pool->shared->waiting, 1, memory_order_relaxed);
    assert(before > 0 && pool->queued > 0);
    pool->queued--;
    counter_add(COUNTER_queue_waiting, -1);
    counter_add(COUNTER_queue_time_us, (int64_t)(loop_now_us(pool->upstreams->loop) - waiter->queued_us));
    list_remove(&waiter->queued);
    urgency_tell(pool, waiter->pool->shared);
    deadline_clear(&waiter->deadline);
}

/* What it comes to is told by a task of its own, so that the lists stand still while they are walked. */
static void queue_take(struct pool_entry *pool, struct upstream_waiter *waiter, enum waiter_phase phase,
                       enum failure why)
{
    queue_remove(pool, waiter);
    waiter->phase = (uint8_t)phase;
    waiter->failure = why;
    loop_later(pool->upstreams->loop, &waiter->task);
}

static void queue_refuses(const struct pool *pool, enum counter_id why)
{
    counter_add(why, 1);
    atomic_fetch_add_explicit(&pool->shared->refused, 1, memory_order_relaxed);
}

/* Under overload codel serves nobody who has waited for longer than its target. */
static bool queue_sheds(struct pool_entry *pool, struct upstream_waiter *waiter, bool overloaded)
{
    const struct queue_config *config = &waiter->pool->config->queue;
    if (!overloaded || config->discipline != QUEUE_CODEL ||
        loop_now_us(pool->upstreams->loop) <= waiter->queued_us + config->target * 1000)
        return false;
    queue_refuses(waiter->pool, COUNTER_queue_overdue);
    queue_take(pool, waiter, PHASE_FAILING, FAILURE_QUEUE_TIMEOUT);
    return true;
}

/* Gives slots to those of one priority; false: nobody has one any more. */
static bool queue_serve_some(struct pool_entry *pool, struct list *queue, bool overloaded)
{
    if (list_is_empty(queue))
        return true;
    const struct pool *any = CONTAINER_OF(queue->next, struct upstream_waiter, queued)->pool;
    bool newest_first = queue_is_newest_first(pool, any);
    struct list *node = newest_first ? queue->previous : queue->next;
    while (node != queue) {
        struct upstream_waiter *waiter = CONTAINER_OF(node, struct upstream_waiter, queued);
        node = newest_first ? node->previous : node->next;
        if (queue_sheds(pool, waiter, overloaded))
            continue;
        enum chosen chosen = waiter_choose(pool->upstreams, waiter);
        if (chosen == CHOSEN_FULL) {
            /* Nobody behind is better off, unless this one may not go everywhere. */
            if (waiter->tried == NULL && waiter->except == NULL && waiter->only == NULL)
                return false;
            continue;
        }
        counter_add(COUNTER_queue_served, chosen == CHOSEN);
        queue_take(pool, waiter, chosen == CHOSEN ? PHASE_RESERVED : PHASE_FAILING, FAILURE_NO_SERVER);
    }
    return true;
}

/* Servers that are full for an older snapshot's requests may not be all that the newest has, or have other
 * limits there. */
static void queue_serve(struct pool_entry *pool)
{
    bool overloaded = queue_is_overloaded(pool), older = true, newest = true;
    for (unsigned i = 0; i < PRIORITY_COUNT; i++) {
        older = older && queue_serve_some(pool, &pool->older[i], overloaded);
        newest = newest && queue_serve_some(pool, &pool->queues[i], overloaded);
    }
}

static const struct pool *pool_of(const struct list *queued)
{
    return CONTAINER_OF(queued, struct upstream_waiter, queued)->pool;
}

/* Sets the bits for all pools that are waited for. */
static void queue_set_all_bits(struct pool_entry *pool)
{
    const struct pool *last = NULL;
    for (unsigned i = 0; i < PRIORITY_COUNT; i++) {
        if (!list_is_empty(&pool->queues[i]) && pool_of(pool->queues[i].next) != last)
            queue_set_bits(pool, last = pool_of(pool->queues[i].next));
    }
    for (unsigned i = 0; i < PRIORITY_COUNT; i++) {
        LIST_EACH (node, &pool->older[i])
            if (pool_of(node) != last)
                queue_set_bits(pool, last = pool_of(node));
    }
}

static void queue_wake(struct task *task)
{
    struct pool_entry *pool = CONTAINER_OF(task, struct pool_entry, wake);
    queue_serve(pool);
    if (pool->queued != 0) {
        queue_set_all_bits(pool);
        queue_serve(pool);
    }
    if (pool->queued == 0)
        queue_pass_on(pool);
}

/* A pool that is waited for; NULL: none. */
static const struct pool *queue_any(const struct pool_entry *pool)
{
    for (unsigned i = 0; i < PRIORITY_COUNT; i++) {
        if (!list_is_empty(&pool->queues[i]))
            return pool_of(pool->queues[i].next);
        if (!list_is_empty(&pool->older[i]))
            return pool_of(pool->older[i].next);
    }
    return NULL;
}

static void queue_look(struct deadline *deadline)
{
    struct pool_entry *pool = CONTAINER_OF(deadline, struct pool_entry, look);
    const struct pool *waited_for = queue_any(pool);
    if (waited_for == NULL)
        return;
    pool_entry_score(pool, waited_for, loop_now_us(pool->upstreams->loop));
    loop_later(pool->upstreams->loop, &pool->wake);
    deadline_set(&pool->look, pool->upstreams->loop, LOOK_EVERY);
}

static void waiter_waited_too_long(struct deadline *deadline)
{
    struct upstream_waiter *waiter = CONTAINER_OF(deadline, struct upstream_waiter, deadline);
    struct upstreams *upstreams = waiter->upstreams;
    bool overdue = waiter->pool->config->queue.discipline == QUEUE_CODEL &&
                   queue_is_overloaded(upstreams_pool(upstreams, waiter->pool->shared->number));
    queue_refuses(waiter->pool, overdue ? COUNTER_queue_overdue : COUNTER_queue_timeouts);
    queue_leave(upstreams, waiter);
    waiter_fail(waiter, FAILURE_QUEUE_TIMEOUT);
}

void pool_entry_init(struct pool_entry *pool, struct upstreams *upstreams)
{
    pool->upstreams = upstreams;
    for (unsigned i = 0; i < PRIORITY_COUNT; i++) {
        list_init(&pool->queues[i]);
        list_init(&pool->older[i]);
    }
    list_init(&pool->servers);
    held_init(pool);
    pool->wake.run = queue_wake;
    pool->look.passed = queue_look;
    pool->cursor = (uint32_t)rng_next(&upstreams->rng);
    pool->kept = true;
}

/* Whom a newcomer to a full queue takes the place of: the one that has waited longest of the lowest priority,
 * if that is below its own, or where the newest are served first. Of this worker's queue: others' are theirs.
 */
static struct upstream_waiter *queue_victim(struct pool_entry *pool, const struct upstream_waiter *newcomer)
{
    bool newest_first = queue_is_newest_first(pool, newcomer->pool);
    for (unsigned i = PRIORITY_COUNT; i-- > newcomer->priority;) {
        const struct list *queue = list_is_empty(&pool->older[i]) ? &pool->queues[i] : &pool->older[i];
        if (!list_is_empty(queue) && (i > newcomer->priority || newest_first))
            return CONTAINER_OF(queue->next, struct upstream_waiter, queued);
    }
    return NULL;
}

/* Room for one more, perhaps at another's cost. */
static bool queue_admits(struct pool_entry *pool, const struct upstream_waiter *waiter)
{
    _Atomic int32_t *waiting = &waiter->pool->shared->waiting;
    int32_t before = atomic_fetch_add_explicit(waiting, 1, memory_order_relaxed);
    if (before >= 0 && (uint64_t)before < waiter->pool->config->queue.size)
        return true;
    struct upstream_waiter *victim = queue_victim(pool, waiter);
    if (victim != NULL) {
        queue_refuses(waiter->pool, COUNTER_queue_displaced);
        queue_take(pool, victim, PHASE_FAILING, FAILURE_QUEUE_FULL);
        return true;
    }
    atomic_fetch_sub_explicit(waiting, 1, memory_order_relaxed);
    return false;
}

/* How long it may wait, in ms. */
static uint64_t queue_patience(const struct pool_entry *pool, const struct queue_config *config)
{
    bool hurry =
        config->discipline == QUEUE_CODEL && config->target < config->max_wait && queue_is_overloaded(pool);
    return hurry ? config->target : config->max_wait;
}

void queue_enter(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    const struct queue_config *config = &waiter->pool->config->queue;
    struct pool_entry *pool = upstreams_pool(upstreams, waiter->pool->shared->number);
    assert(waiter->priority < PRIORITY_COUNT);
    if (!queue_admits(pool, waiter)) {
        queue_refuses(waiter->pool, COUNTER_queue_refused);
        waiter_fail(waiter, FAILURE_QUEUE_FULL);
        return;
    }
    counter_add(COUNTER_queue_waiting, 1);
    waiter->phase = PHASE_QUEUED;
    waiter->queued_us = loop_now_us(upstreams->loop);
    if (pool->queued == 0)
        pool->filled_us = waiter->queued_us;
    waiter->deadline.passed = waiter_waited_too_long;
    deadline_set(&waiter->deadline, upstreams->loop, queue_patience(pool, config));
    pool->queued++;
    if (pool->newest == NULL)
        pool->newest = waiter->pool;
    struct list *queues = waiter->pool == pool->newest ? pool->queues : pool->older;
    list_push_back(&queues[waiter->priority], &waiter->queued);
    urgency_tell(pool, waiter->pool->shared);
    loop_later(upstreams->loop, &pool->wake); /* sets the bits and looks once more */
    if (!deadline_is_set(&pool->look))
        deadline_set(&pool->look, upstreams->loop, LOOK_EVERY);
}

void queue_leave(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    struct pool_entry *pool = upstreams_pool(upstreams, waiter->pool->shared->number);
    queue_remove(pool, waiter);
    if (pool->queued == 0)
        loop_later(upstreams->loop, &pool->wake); /* passes on what it may have been woken for */
}

void queue_renew(struct pool_entry *pool)
{
    pool->newest = NULL;
    for (unsigned i = 0; i < PRIORITY_COUNT; i++) {
        LIST_EACH_SAFE (node, after, &pool->queues[i]) {
            list_remove(node);
            list_push_back(&pool->older[i], node);
        }
    }
}

void queue_forget_server(struct upstreams *upstreams, struct server *server)
{
    (void)bit_clear(server, upstreams->number);
    wake_other(upstreams, NULL, server);
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
