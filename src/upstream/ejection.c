/*
 * Who is left out, for how long, and when so many are out that none is (panic). Workers come here after
 * errors and at ticks; a lock of the pool keeps two from ejecting more than may go at once. Choices read one
 * word a server.
 */
#include "upstream/ejection.h"

#include "base/counters.h"
#include "base/log.h"
#include "base/log_crowd.h"
#include "upstream/pool.h"
#include "upstream/server.h"
#include "upstream/server_score.h"

#define KNOWN_ANSWERS 20.0    /* before a share of errors ejects */
#define EXCESS 0.3            /* of errors over the pool's own, which ejects */
#define TIMES_MOST 6          /* the time grows with each ejection up to so many times */
#define FORGIVEN_US 30000000u /* after so long without trouble the count begins anew */
#define PANIC_PERCENT 50      /* of the weight: when fewer are left, ejections do not count */

/* Weight of the pool's servers, of those that are out, of these that could serve all the same, and of the
 * others that could. */
struct census {
    uint64_t all, out, spare, eligible;
};

static bool is_out(const struct server *server, uint64_t now_us)
{
    return server_is_ejected(server, now_us);
}

static struct census census_of(const struct pool *pool, uint64_t now_us)
{
    struct census census = {0};
    for (size_t i = 0; i < pool->servers_count; i++) {
        const struct pool_server *member = &pool->servers[i];
        if (member->standby)
            continue; /* serves when others are down, not when they are ejected */
        bool out = is_out(member->server, now_us);
        census.all += member->weight;
        bool up = server_is_up(member->server);
        census.out += out ? member->weight : 0;
        census.spare += out && up ? member->weight : 0;
        census.eligible += !out && up ? member->weight : 0;
    }
    return census;
}

static uint32_t weight_of(const struct pool *pool, const struct server *server)
{
    for (size_t i = 0; i < pool->servers_count; i++)
        if (pool->servers[i].server == server)
            return pool->servers[i].weight;
    return 0;
}

static void ejected_log(struct server *server, const char *why, uint64_t milliseconds)
{
    static struct log_crowd lines = LOG_CROWD("balance", "pool");
    const struct log_pair pairs[] = {KV("pool", server->pool_name), KV("server", server->name),
                                     KV("why", why), KV_NUMBER("for_ms", milliseconds), KV_NONE};
    counter_add(COUNTER_ejections, 1);
    log_crowd_write(&lines, LOG_LEVEL_WARN, "server is ejected", server->pool_name, why, pairs);
}

static void ejecting_lock(struct pool_shared *shared)
{
    while (atomic_flag_test_and_set_explicit(&shared->ejecting, memory_order_acquire))
        continue;
}

static void ejecting_unlock(struct pool_shared *shared)
{
    atomic_flag_clear_explicit(&shared->ejecting, memory_order_release);
}

/* Unless too many would be out, or it is the last that could serve. */
static void eject(const struct pool *pool, struct server *server, const char *why, uint64_t now_us)
{
    const struct outlier_config *config = pool->config->outlier;
    ejecting_lock(pool->shared);
    struct census census = census_of(pool, now_us);
    uint64_t weight = weight_of(pool, server), milliseconds = 0;
    bool fits = (census.out + weight) * 100 <= config->most * census.all && census.eligible > weight;
    if (fits && !is_out(server, now_us)) {
        if (now_us > server->ejected_at_us + FORGIVEN_US)
            server->ejections = 0;
        server->ejections += server->ejections < TIMES_MOST;
        milliseconds = config->time * server->ejections;
        server->ejected_at_us = now_us + milliseconds * 1000; /* good time counts from its return */
        server_set_ejected(server, now_us, milliseconds);
    }
    atomic_store_explicit(&server->errors_in_a_row, 0, memory_order_relaxed);
    ejecting_unlock(pool->shared);
    if (milliseconds != 0)
        ejected_log(server, why, milliseconds);
    else if (!fits)
        counter_add(COUNTER_ejections_refused, 1);
}

static bool is_on(const struct pool *pool)
{
    return pool->config->outlier != NULL && pool->config->outlier->time != 0;
}

/* Errors in a row that are enough; 0: none are. A row of clients is as long as there have to be clients. */
static uint64_t row_of(const struct outlier_config *config, uint32_t client)
{
    return config->errors == 0 || client == 0 || config->errors > config->clients ? config->errors
                                                                                  : config->clients;
}

void ejection_error(const struct pool *pool, struct server *server, uint32_t client, uint64_t now_us)
{
    const struct outlier_config *config = pool->config->outlier;
    if (!is_on(pool) || !score_accused(server, client, (unsigned)config->clients, now_us))
        return;
    uint32_t errors = atomic_fetch_add_explicit(&server->errors_in_a_row, 1, memory_order_relaxed) + 1;
    uint64_t row = row_of(config, client);
    if (row != 0 && errors >= row && !is_out(server, now_us))
        eject(pool, server, "errors in a row", now_us);
}

void ejection_success(struct server *server)
{
    if (atomic_load_explicit(&server->errors_in_a_row, memory_order_relaxed) != 0)
        atomic_store_explicit(&server->errors_in_a_row, 0, memory_order_relaxed);
}

void ejection_end(struct server *server)
{
    atomic_store_explicit(&server->ejected_until_ms, 0, memory_order_relaxed);
}

/* Choices compare the low bits of clocks: an end that is left standing would lie ahead again after 25 days.
 */
static void forget_if_over(const struct pool *pool, struct server *server, uint64_t now_us)
{
    if (LIKELY(atomic_load_explicit(&server->ejected_until_ms, memory_order_relaxed) == 0))
        return;
    ejecting_lock(pool->shared);
    if (now_us >= server->ejected_at_us)
        ejection_end(server);
    ejecting_unlock(pool->shared);
}

void ejection_judge(const struct pool *pool, uint64_t now_us)
{
    for (size_t i = 0; i < pool->servers_count; i++)
        forget_if_over(pool, pool->servers[i].server, now_us);
    if (!is_on(pool))
        return;
    double normal = (double)atomic_load_explicit(&pool->shared->normal_errors, memory_order_relaxed);
    for (size_t i = 0; i < pool->servers_count; i++) {
        struct server *server = pool->servers[i].server;
        struct score_view view = score_view(server, now_us);
        if (view.answers >= KNOWN_ANSWERS && score_rate(view.accused, &view, normal) > normal + EXCESS &&
            !is_out(server, now_us))
            eject(pool, server, "share of errors", now_us);
    }
    struct census census = census_of(pool, now_us);
    /* Where those that are missing are down, no ejection keeps anybody from serving. */
    bool panic = census.spare != 0 && census.eligible * 100 < (uint64_t)PANIC_PERCENT * census.all;
    if (atomic_exchange_explicit(&pool->shared->panic, panic, memory_order_relaxed) == panic || !panic)
        return;
    counter_add(COUNTER_panics, 1);
    log_warn("balance", "too few servers are left, ejected ones are used", KV("pool", pool->name),
             KV_NUMBER("eligible_percent", census.all != 0 ? census.eligible * 100 / census.all : 0));
}
