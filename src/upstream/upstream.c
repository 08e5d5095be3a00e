/*
 * A worker's way to servers: chooses one, reserves its slot, hands out a connection, and takes the slot back
 * when the attempt is over. Everything is decided in a task of the same turn, after all events: so nothing
 * calls back from inside upstream_open(), and an idle connection that the peer has just closed is not handed
 * out.
 */
#include "upstream/upstream.h"

#include <assert.h>
#include <stdlib.h>

#include "base/counters.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log_crowd.h"
#include "http/http_conn.h"
#include "upstream/absence.h"
#include "upstream/balance.h"
#include "upstream/balance_tier.h"
#include "upstream/ejection.h"
#include "upstream/server_limit.h"
#include "upstream/upstream_conn.h"
#include "upstream/upstream_state.h"

#define FOLD_EVERY 1000 /* ms */
#define CLIENT_PREFIX 64u
#define HEDGES_MOST 10.0 /* that may be saved up */
#define CLOSING_ROUNDS \
    64 /* of tasks that closing connections get at the end to say goodbye, and as many to be cut off */

/* --- tables --- */

/* Tables grow in steps of twice the size; numbers are never used again, but few are made. */
static void *table_grow(void *table, uint32_t *room, uint32_t number)
{
    if (number < *room)
        return table;
    uint32_t wanted = *room == 0 ? 16 : *room;
    while (wanted <= number)
        wanted *= 2;
    void **grown = xrealloc(table, wanted * sizeof *grown);
    for (uint32_t i = *room; i < wanted; i++)
        grown[i] = NULL;
    *room = wanted;
    return grown;
}

struct pool_entry *upstreams_pool(struct upstreams *upstreams, uint32_t pool_number)
{
    upstreams->pools = table_grow(upstreams->pools, &upstreams->pools_room, pool_number);
    struct pool_entry *entry = upstreams->pools[pool_number];
    if (entry == NULL) {
        entry = upstreams->pools[pool_number] = xcalloc(1, sizeof *entry);
        pool_entry_init(entry, upstreams);
    }
    return entry;
}

struct server_entry *upstreams_server(struct upstreams *upstreams, struct server *server)
{
    upstreams->servers = table_grow(upstreams->servers, &upstreams->servers_room, server->number);
    struct server_entry *entry = upstreams->servers[server->number];
    if (entry != NULL)
        return entry;
    entry = upstreams->servers[server->number] = xcalloc(1, sizeof *entry);
    entry->server = server_take(server);
    entry->kept = true;
    list_init(&entry->idle);
    list_init(&entry->shared);
    list_init(&entry->owned);
    list_push_back(&upstreams_pool(upstreams, server->pool_number)->servers, &entry->of_pool);
    return entry;
}

static void server_entry_fold(struct server_entry *entry)
{
    if (entry->served != 0)
        atomic_fetch_add_explicit(&entry->server->served, entry->served, memory_order_relaxed);
    entry->served = 0;
}

static void server_entry_free(struct upstreams *upstreams, struct server_entry *entry)
{
    server_entry_fold(entry);
    list_remove(&entry->of_pool);
    upstreams->servers[entry->server->number] = NULL;
    queue_forget_server(upstreams, entry->server);
    server_release(entry->server);
    free(entry);
}

void server_entry_check(struct upstreams *upstreams, struct server_entry *entry)
{
    if (!entry->kept && entry->conns_count == 0)
        server_entry_free(upstreams, entry);
}

static void pool_entry_free(struct upstreams *upstreams, uint32_t number)
{
    struct pool_entry *entry = upstreams->pools[number];
    loop_cancel(upstreams->loop, &entry->wake);
    deadline_clear(&entry->look);
    deadline_clear(&entry->held_look);
    upstreams->pools[number] = NULL;
    free(entry);
}

/* What was served is told once a second: the cell is shared by all workers, and on the line that every choice
 * reads. */
static void upstreams_fold(struct deadline *deadline)
{
    struct upstreams *upstreams = CONTAINER_OF(deadline, struct upstreams, fold);
    for (uint32_t i = 0; i < upstreams->servers_room; i++)
        if (upstreams->servers[i] != NULL)
            server_entry_fold(upstreams->servers[i]);
}

/* --- choosing --- */

/* The slot awaits a head from now on, unless the client still sends what the server needs to answer. */
static void waiter_chosen(struct upstream_waiter *waiter, const struct pool_server *member, uint64_t now_us)
{
    struct server *server = member->server;
    waiter->server = server;
    waiter->member = (uint32_t)(member - waiter->pool->servers);
    waiter->awaits = !waiter->uploading;
    if (waiter->awaits)
        server_awaited(server, now_us);
}

static bool waiter_take(struct upstream_waiter *waiter, const struct pool_server *member, uint64_t now_us)
{
    if (!server_has_room(member->server, member->max_connections) ||
        !server_reserve(member->server, member->max_connections))
        return false;
    waiter_chosen(waiter, member, now_us);
    return true;
}

static enum chosen choose_only(struct upstream_waiter *waiter, uint64_t now_us)
{
    for (size_t i = 0; i < waiter->pool->servers_count; i++) {
        const struct pool_server *member = &waiter->pool->servers[i];
        if (member->server != waiter->only)
            continue;
        return waiter_take(waiter, member, now_us) ? CHOSEN : CHOSEN_FULL;
    }
    return CHOSEN_NOBODY;
}

/* Weight 0 keeps its sessions: it only takes no new ones. */
static bool choose_preferred(struct upstream_waiter *waiter, const struct choice *choice)
{
    struct server *server = waiter->preferred;
    if (!server_is_eligible(server, choice))
        return false;
    for (uint32_t i = 0; i < waiter->pool->servers_count; i++) {
        const struct pool_server *member = &waiter->pool->servers[i];
        if (member->server != server || choice_excludes(choice, i, server) ||
            (member->standby && (int)i != standby_of(waiter->pool, choice)))
            continue;
        if (waiter_take(waiter, member, choice->now_us))
            return true;
        waiter->preferred_full = true;
    }
    return false;
}

/* In the order of enum balance_kind. */
_Static_assert(COUNTER_picks_hash - COUNTER_picks_adaptive == BALANCE_HASH - BALANCE_ADAPTIVE,
               "a counter each policy");

static void pick_count(const struct pool *pool, const struct pool_server *member, bool panic)
{
    counter_add((enum counter_id)(COUNTER_picks_adaptive + (int)pool->config->balance), 1);
    if (member->backup || member->standby)
        counter_add(COUNTER_picks_backup, 1);
    if (panic)
        counter_add(COUNTER_picks_panic, 1);
}

enum chosen waiter_choose(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    uint64_t now_us = loop_now_us(upstreams->loop);
    if (waiter->only != NULL)
        return choose_only(waiter, now_us);
    const struct pool *pool = waiter->pool;
    bool all_full = false;
    struct choice choice = {
        .hash = waiter->hash,
        .now_us = now_us,
        .cursor = &upstreams_pool(upstreams, pool->shared->number)->cursor,
        .rng = &upstreams->rng,
        .excludes = waiter->tried != NULL || waiter->except != NULL,
        .tried = waiter->tried,
        .except = waiter->except,
        .spares = waiter->spares,
        .all_full = &all_full,
        .panic = atomic_load_explicit(&pool->shared->panic, memory_order_relaxed),
    };
    waiter->preferred_full = false;
    if (waiter->preferred != NULL && choose_preferred(waiter, &choice))
        return CHOSEN;
    for (;;) {
        int index = pool->balancer->choose(pool, pool->plan, &choice);
        if (index < 0 && !all_full && choice.spares) {
            choice.spares = false; /* other workers' requests were turned away meanwhile */
            continue;
        }
        if (index < 0 && !all_full && !choice.panic) {
            choice.panic = true; /* who else is left is down: better an ejected one than none */
            continue;
        }
        if (index < 0)
            return all_full ? CHOSEN_FULL : CHOSEN_NOBODY;
        const struct pool_server *member = &pool->servers[index];
        if (server_reserve(member->server, member->max_connections)) {
            pick_count(pool, member, choice.panic);
            waiter_chosen(waiter, member, now_us);
            return CHOSEN;
        }
        /* Another worker was faster: the next choice sees it full. */
    }
}

static void slot_release(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    struct server *server = waiter->server;
    if (waiter->awaits)
        server_unawaited(server);
    waiter->awaits = false;
    server_unreserve(server);
    queue_slot_free(upstreams, waiter->pool->shared, server);
}

void waiter_fail(struct upstream_waiter *waiter, enum failure why)
{
    waiter->phase = PHASE_DONE;
    waiter->failed(waiter, why);
}

/* --- what answers tell --- */

/* Of statuses those that say the server is not well; 501 and 505 are about the request. */
static bool status_is_error(unsigned status)
{
    return status >= 500 && status != 501 && status != 505;
}

/* The client asks too much: that says nothing against the server, and an answer that took no work nothing for
 * it. */
static bool status_is_mute(unsigned status)
{
    return status == 429;
}

/* Of failures before the head those that tell something about the server: not a connection it had every right
 * to close, nor what it does not know how to do. */
static bool failure_is_error(enum failure why)
{
    return failure_info[why].whose == 'S' && why != FAILURE_SERVER_STALE && why != FAILURE_STREAM_REFUSED &&
           why != FAILURE_UPGRADE_UNSUPPORTED && why != FAILURE_HTTP1_REQUIRED && why != FAILURE_NO_SERVER;
}

static void judge_pool(const struct pool *pool, uint64_t now_us)
{
    score_pool(pool, now_us);
    ejection_judge(pool, now_us);
    limit_judge(pool, now_us);
}

/* Ten times a second a worker gives what it gathered, and one of them judges. Driven by answers and by those
 * who wait: no timer runs for a pool without any. */
void pool_entry_score(struct pool_entry *entry, const struct pool *pool, uint64_t now_us)
{
    if (now_us < entry->folded_us + SCORE_TICK_US)
        return;
    entry->folded_us = now_us;
    LIST_EACH (node, &entry->servers) {
        struct server_entry *server = CONTAINER_OF(node, struct server_entry, of_pool);
        score_fold(&server->cell, server->server);
    }
    if (score_is_due(pool->shared, now_us))
        judge_pool(pool, now_us);
}

/* How long nothing came, where that is what failed; else 0. A refusal counts as the connection not being made
 * in time. */
static uint64_t waited_in_vain_us(const struct upstream_waiter *waiter, enum failure why, uint64_t now_us)
{
    if (why == FAILURE_CONNECT_REFUSED || why == FAILURE_CONNECT_TIMEOUT)
        return waiter->pool->config->connect_timeout * 1000;
    return why == FAILURE_RESPONSE_TIMEOUT ? now_us - waiter->opened_us : 0;
}

/* IPv6 by /64; 0: nobody. */
static uint32_t client_hash(const struct ip_address *client)
{
    if (client == NULL)
        return 0;
    struct ip_address masked = *client;
    ip_address_mask(&masked, CLIENT_PREFIX);
    struct span bytes = span_make((const char *)masked.bytes, sizeof masked.bytes);
    return (uint32_t)hash_keyed(bytes) | 1;
}

/* Who can't be reached is not well, whoever asks; whatever else goes wrong may be what this client asks for.
 */
static bool failure_is_nobodys(enum failure why)
{
    return why != FAILURE_NONE && failure_info[why].retry == RETRY_NEVER_SENT;
}

static void attempt_is_error(struct upstreams *upstreams, struct upstream_waiter *waiter, enum failure why)
{
    uint64_t now_us = loop_now_us(upstreams->loop);
    struct server *server = waiter->server;
    const struct pool *pool = waiter->pool;
    uint64_t waited_us = waited_in_vain_us(waiter, why, now_us);
    if (waited_us != 0)
        score_timed_out(&upstreams_server(upstreams, server)->cell, waited_us);
    score_failed(&upstreams_server(upstreams, server)->cell, pool->shared, server, now_us);
    ejection_error(pool, server, failure_is_nobodys(why) ? 0 : client_hash(waiter->client), now_us);
    pool_entry_score(upstreams_pool(upstreams, pool->shared->number), pool, now_us);
}

void upstream_sent_whole(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    assert(waiter->phase == PHASE_READY);
    if (waiter->awaits || waiter->answered)
        return;
    waiter->awaits = true;
    server_awaited(waiter->server, loop_now_us(upstreams->loop));
}

void upstream_answered(struct upstreams *upstreams, struct upstream_waiter *waiter, unsigned status,
                       uint64_t since_us)
{
    assert(waiter->phase == PHASE_READY && !waiter->answered);
    uint64_t now_us = loop_now_us(upstreams->loop);
    const struct pool *pool = waiter->pool;
    waiter->answered = true;
    if (waiter->awaits) {
        waiter->awaits = false;
        server_heard(waiter->server, now_us);
        if (pool->adapts || server_is_limited(waiter->server))
            queue_slot_free(upstreams, pool->shared, waiter->server);
    }
    if (status_is_error(status)) {
        attempt_is_error(upstreams, waiter, FAILURE_NONE);
        return;
    }
    if (status_is_mute(status))
        return;
    if (!waiter->told_at_end)
        ejection_success(waiter->server);
    if (since_us == 0)
        return;
    score_answered(&upstreams_server(upstreams, waiter->server)->cell, waiter->pool->shared, waiter->server,
                   now_us - since_us, now_us);
    pool_entry_score(upstreams_pool(upstreams, pool->shared->number), pool, now_us);
}

void upstream_outrun(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    assert(waiter->phase == PHASE_READY && !waiter->answered);
    uint64_t now_us = loop_now_us(upstreams->loop);
    score_outrun(&upstreams_server(upstreams, waiter->server)->cell, waiter->pool->shared, waiter->server,
                 now_us - waiter->opened_us, now_us);
}

/* An error at the end is counted beside the answer that its head was: of a server where all end so half are
 * errors, which is as much as one needs to be left out. */
void upstream_told_at_end(struct upstreams *upstreams, struct upstream_waiter *waiter, unsigned status)
{
    assert(waiter->phase == PHASE_READY && waiter->answered && waiter->told_at_end);
    waiter->told_at_end = false;
    if (status_is_error(status))
        attempt_is_error(upstreams, waiter, FAILURE_NONE);
    else if (!status_is_mute(status))
        ejection_success(waiter->server);
}

void upstream_held(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    if (waiter->pool->limited && !list_is_linked(&waiter->queued))
        held_begin(upstreams, waiter);
}

static bool failure_is_unreached(enum failure why)
{
    return why == FAILURE_CONNECT_REFUSED || why == FAILURE_CONNECT_FAILED || why == FAILURE_CONNECT_TIMEOUT;
}

/* Refusals take a server down at once only where probes will bring it back. */
static void server_refused(struct upstreams *upstreams, const struct pool *pool, struct server *server)
{
    if (pool->config->health == NULL ||
        !server_was_refused(server, loop_now_us(upstreams->loop), pool->config->fast_down))
        return;
    static struct log_crowd down_lines = LOG_CROWD("health", "pool");
    const struct log_pair pairs[] = {KV("pool", server->pool_name), KV("server", server->name),
                                     KV("why", "connections refused"),
                                     KV_NUMBER("after", pool->config->fast_down), KV_NONE};
    absence_note_down(pool->shared, "connections refused");
    log_crowd_write(&down_lines, LOG_LEVEL_WARN, "server is down", server->pool_name, "connections refused",
                    pairs);
}

void waiter_connect_failed(struct upstreams *upstreams, struct upstream_waiter *waiter, enum failure why,
                           bool first)
{
    struct server *server = waiter->server;
    waiter->conn = NULL;
    if (failure_info[why].whose == 'S')
        atomic_fetch_add_explicit(&server->failed, 1, memory_order_relaxed);
    if (why == FAILURE_CONNECT_REFUSED && first)
        server_refused(upstreams, waiter->pool, server);
    if (failure_is_error(why))
        attempt_is_error(upstreams, waiter, why);
    /* After the error, which must not count as an answer of the server that comes back. */
    if (first && failure_is_unreached(why) && server_was_unreached(server))
        limit_server_left(server);
    slot_release(upstreams, waiter);
    waiter_fail(waiter, why);
}

void waiter_ready(struct upstreams *upstreams, struct upstream_waiter *waiter, struct stream *stream)
{
    waiter->conn = NULL;
    waiter->phase = PHASE_READY;
    waiter->opened_us = loop_now_us(upstreams->loop);
    waiter->ready(waiter, stream);
}

void waiter_connect_later(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    waiter->conn = NULL;
    waiter->phase = PHASE_RESERVED;
    loop_later(upstreams->loop, &waiter->task);
}

/* It has its slot: a kept connection, a place on a shared one, or a new one. */
static void waiter_connect(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    struct server_entry *entry = upstreams_server(upstreams, waiter->server);
    if (waiter->owner != NULL && !list_is_empty(&waiter->owner->conns) && upstream_conn_own(entry, waiter))
        return;
    if (waiter->pool->protocol != POOL_HTTP_1 && upstream_conn_share(entry, waiter))
        return;
    if (!waiter->fresh && upstream_conn_reuse(entry, waiter))
        return;
    waiter->phase = PHASE_CONNECTING;
    enum failure why = upstream_conn_connect(upstreams, entry, waiter);
    if (why != FAILURE_NONE)
        waiter_connect_failed(upstreams, waiter, why, true);
}

static void waiter_begin(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    /* Those who wait already come first. */
    if (waiter->pool->limited && upstreams_pool(upstreams, waiter->pool->shared->number)->queued != 0) {
        queue_enter(upstreams, waiter);
        return;
    }
    switch (waiter_choose(upstreams, waiter)) {
    case CHOSEN:
        waiter_connect(upstreams, waiter);
        break;
    case CHOSEN_FULL:
        queue_enter(upstreams, waiter);
        break;
    case CHOSEN_NOBODY:
        waiter_fail(waiter, FAILURE_NO_SERVER);
        break;
    }
}

static void waiter_run(struct task *task)
{
    struct upstream_waiter *waiter = CONTAINER_OF(task, struct upstream_waiter, task);
    struct upstreams *upstreams = waiter->upstreams;
    switch ((enum waiter_phase)waiter->phase) {
    case PHASE_CHOOSING:
        waiter_begin(upstreams, waiter);
        break;
    case PHASE_RESERVED:
        waiter_connect(upstreams, waiter);
        break;
    case PHASE_FAILING:
        waiter_fail(waiter, waiter->failure);
        break;
    case PHASE_NONE:
    case PHASE_QUEUED:
    case PHASE_CONNECTING:
    case PHASE_READY:
    case PHASE_DONE:
        assert(false); /* a waiter's task has nothing to do in these phases */
    }
}

void upstream_open(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    assert(waiter->phase == PHASE_NONE);
    waiter->upstreams = upstreams;
    waiter->server = NULL;
    waiter->conn = waiter->serving = NULL;
    waiter->answered = waiter->awaits = false;
    waiter->failure = FAILURE_SHUTTING_DOWN;
    waiter->phase = upstreams->closing ? PHASE_FAILING : PHASE_CHOOSING;
    waiter->task.run = waiter_run;
    loop_later(upstreams->loop, &waiter->task);
}

void upstream_give_up(struct upstreams *upstreams, struct upstream_waiter *waiter)
{
    enum waiter_phase phase = (enum waiter_phase)waiter->phase;
    waiter->phase = PHASE_DONE;
    switch (phase) {
    case PHASE_CHOOSING:
    case PHASE_FAILING:
        loop_cancel(upstreams->loop, &waiter->task);
        break;
    case PHASE_QUEUED:
        queue_leave(upstreams, waiter);
        break;
    case PHASE_RESERVED:
        loop_cancel(upstreams->loop, &waiter->task);
        slot_release(upstreams, waiter);
        break;
    case PHASE_CONNECTING:
        upstream_conn_abandon(waiter);
        slot_release(upstreams, waiter);
        break;
    case PHASE_NONE:
    case PHASE_READY:
    case PHASE_DONE:
        assert(false); /* given up before ready() or failed() only, and once */
    }
}

void upstream_done(struct upstreams *upstreams, struct upstream_waiter *waiter, enum failure result)
{
    assert(waiter->phase == PHASE_READY);
    waiter->phase = PHASE_DONE;
    waiter->serving = NULL;
    list_remove(&waiter->queued);
    struct server *server = waiter->server;
    if (result == FAILURE_NONE) {
        upstreams_server(upstreams, server)->served++;
        if (!deadline_is_set(&upstreams->fold))
            deadline_set(&upstreams->fold, upstreams->loop, FOLD_EVERY);
    } else if (failure_info[result].whose == 'S' && result != FAILURE_SERVER_STALE &&
               result != FAILURE_STREAM_REFUSED) {
        atomic_fetch_add_explicit(&server->failed, 1, memory_order_relaxed);
    }
    if (!waiter->answered && failure_is_error(result))
        attempt_is_error(upstreams, waiter, result);
    slot_release(upstreams, waiter);
}

bool upstream_has_other(const struct upstreams *upstreams, const struct other_server *wanted)
{
    const struct pool *pool = wanted->pool;
    struct choice choice = {
        .now_us = loop_now_us(upstreams->loop),
        .excludes = true,
        .tried = wanted->tried,
        .except = wanted->except,
        .spares = wanted->spares,
        .panic = !wanted->free_now || atomic_load_explicit(&pool->shared->panic, memory_order_relaxed),
    };
    for (uint32_t i = 0; i < pool->servers_count; i++) {
        bool up = false;
        if (pool->servers[i].weight != 0 &&
            (!pool->servers[i].standby || (int)i == standby_of(pool, &choice)) &&
            (member_is_free(pool, i, &choice, &up) || (up && !wanted->free_now)))
            return true;
    }
    return false;
}

void upstream_turned_away(const struct upstreams *upstreams, const struct upstream_waiter *waiter)
{
    server_turned_away(waiter->server, loop_now_us(upstreams->loop));
}

/* --- retry budget --- */

void upstream_budget_earn(struct upstreams *upstreams, const struct pool *pool)
{
    retry_budget_earn(&upstreams_pool(upstreams, pool->shared->number)->budget,
                      (double)pool->config->retry.budget / 100, loop_now_us(upstreams->loop));
}

bool upstream_budget_spend(struct upstreams *upstreams, const struct pool *pool)
{
    return retry_budget_spend(&upstreams_pool(upstreams, pool->shared->number)->budget,
                              (double)pool->config->retry.budget / 100, loop_now_us(upstreams->loop));
}

void upstream_hedge_earn(struct upstreams *upstreams, const struct pool *pool, double share)
{
    struct pool_entry *entry = upstreams_pool(upstreams, pool->shared->number);
    entry->hedges = entry->hedges + share < HEDGES_MOST ? entry->hedges + share : HEDGES_MOST;
}

bool upstream_hedge_spend(struct upstreams *upstreams, const struct pool *pool)
{
    struct pool_entry *entry = upstreams_pool(upstreams, pool->shared->number);
    if (entry->hedges < 1)
        return false;
    entry->hedges -= 1;
    return true;
}

/* --- the whole --- */

struct upstreams *upstreams_new(struct loop *loop, unsigned number, struct mailbox *mailbox,
                                const struct http_settings *settings)
{
    assert(number < SERVER_WORKERS_MOST);
    (void)mailbox; /* upstreams_peers() tells all of them */
    struct upstreams *upstreams = xcalloc(1, sizeof *upstreams);
    upstreams->loop = loop;
    upstreams->number = number;
    upstreams->settings = settings;
    upstreams->fold.passed = upstreams_fold;
    list_init(&upstreams->conns);
    rng_seed(&upstreams->rng);
    return upstreams;
}

void upstreams_peers(struct upstreams *upstreams, struct mailbox *const *mailboxes,
                     struct upstreams *const *others, unsigned count)
{
    if (upstreams->peers != NULL)
        return; /* told by an earlier worker's call */
    struct upstream_peers *peers = upstream_peers_new(mailboxes, others, count);
    for (unsigned i = 0; i < count; i++)
        others[i]->peers = peers;
}

void upstreams_settings(struct upstreams *upstreams, const struct http_settings *settings)
{
    upstreams->settings = settings;
    upstream_conns_settings(upstreams);
}

void upstreams_close_idle(struct upstreams *upstreams)
{
    for (uint32_t i = 0; i < upstreams->servers_room; i++)
        if (upstreams->servers[i] != NULL)
            upstream_conns_close_idle(upstreams->servers[i], NULL);
}

void upstreams_when_short(struct upstreams *upstreams, bool (*make_room)(void *owner, bool badly),
                          void *owner)
{
    upstreams->make_room = make_room;
    upstreams->room_owner = owner;
}

static void pools_mark(struct upstreams *upstreams, struct pool *const *pools, size_t count)
{
    for (uint32_t i = 0; i < upstreams->pools_room; i++) {
        if (upstreams->pools[i] == NULL)
            continue;
        upstreams->pools[i]->kept = false;
        queue_renew(upstreams->pools[i]);
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t number = pools[i]->shared->number;
        struct pool_entry *entry = number < upstreams->pools_room ? upstreams->pools[number] : NULL;
        if (entry == NULL)
            continue;
        entry->kept = true;
        entry->newest = pools[i];
    }
}

/* Marks what the pools have, and closes what was made for other TLS settings than theirs. */
static void servers_mark(struct upstreams *upstreams, struct pool *const *pools, size_t count)
{
    for (uint32_t i = 0; i < upstreams->servers_room; i++)
        if (upstreams->servers[i] != NULL)
            upstreams->servers[i]->kept = false;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < pools[i]->servers_count; k++) {
            uint32_t number = pools[i]->servers[k].server->number;
            struct server_entry *entry = number < upstreams->servers_room ? upstreams->servers[number] : NULL;
            if (entry == NULL)
                continue;
            entry->kept = true;
            upstream_conns_close_idle(entry, pools[i]);
        }
    }
}

void upstreams_keep_only(struct upstreams *upstreams, struct pool *const *pools, size_t count)
{
    pools_mark(upstreams, pools, count);
    servers_mark(upstreams, pools, count);
    for (uint32_t i = 0; i < upstreams->servers_room; i++) {
        struct server_entry *entry = upstreams->servers[i];
        if (entry == NULL || entry->kept)
            continue;
        upstream_conns_close_idle(entry, NULL);
        server_entry_check(upstreams, entry);
    }
    for (uint32_t i = 0; i < upstreams->pools_room; i++) {
        struct pool_entry *entry = upstreams->pools[i];
        if (entry != NULL && !entry->kept && entry->queued == 0 && list_is_empty(&entry->servers))
            pool_entry_free(upstreams, i);
    }
}

/* Ends the last turns as soon as every connection has said closed; who has not taken our goodbye by then is
 * cut off. */
static void upstreams_last(struct task *task)
{
    struct upstreams *upstreams = CONTAINER_OF(task, struct upstreams, last);
    if (list_is_empty(&upstreams->conns) || ++upstreams->last_rounds == 2 * CLOSING_ROUNDS) {
        loop_stop(upstreams->loop);
        return;
    }
    if (upstreams->last_rounds == CLOSING_ROUNDS)
        upstream_conns_reset(upstreams);
    loop_later(upstreams->loop, task);
}

void upstreams_free(struct upstreams *upstreams)
{
    if (upstreams == NULL)
        return;
    upstreams->closing = true;
    if (!list_is_empty(&upstreams->conns)) {
        upstream_conns_close(upstreams);
        upstreams->last.run = upstreams_last;
        loop_later(upstreams->loop, &upstreams->last);
        loop_run(upstreams->loop);
    }
    deadline_clear(&upstreams->fold);
    for (uint32_t i = 0; i < upstreams->servers_room; i++)
        if (upstreams->servers[i] != NULL)
            server_entry_free(upstreams, upstreams->servers[i]);
    for (uint32_t i = 0; i < upstreams->pools_room; i++)
        if (upstreams->pools[i] != NULL)
            pool_entry_free(upstreams, i);
    upstream_peers_release(upstreams->peers);
    free(upstreams->servers);
    free(upstreams->pools);
    free(upstreams);
}
