/*
 * The limit of max_connections: auto, server by server. The answers of a tenth of a second, or of as long as
 * it takes to have enough of them, give a geometric mean, which for times of servers is about the median.
 * While it is within PATIENCE times the usual, which is what it falls to when nobody waits, nothing speaks
 * for a limit, and a burst may have what it needs. Beyond, the limit falls in proportion, from what the
 * server then had, and it is opened again after a time without trouble. (A gradient limit as in Netflix's
 * concurrency-limits; constants from simulations, balancing.md 8, whose limit is never open: a pool of one
 * server then refuses bursts that the server would have taken.)
 */
#include "upstream/server_limit.h"

#include <math.h>

#include "base/counters.h"
#include "base/log.h"
#include "upstream/pool.h"
#include "upstream/server_score.h"

#define ANSWERS_LEAST 20.0 /* for one judgement; half as many when they leave no doubt: */
#define NO_DOUBT 2.0       /* times what is a queue */
#define STALE_US 30000000u /* answers older than this are not judged with newer ones */
#define PATIENCE 4.0       /* F: the usual time, times this, is not yet a queue */
#define USUAL_FALLS 0.3    /* of the gap, at each judgement below it */
#define USUAL_RISES_US \
    300e6              /* in which it rises by e: what a server became slower by for good is forgotten */
#define STEP_LEAST 0.5 /* of the limit, in one judgement */
#define STEP_MOST 1.25
#define LIMIT_LEAST 24.0        /* that wait for their head; balancing.md says 32, of all in flight */
#define OPENS_AFTER_US 1000000u /* without a judgement that answers take too long */
#define TOLD_EVERY_US 10000000u

/* What a judgement found, for the log. */
struct judgement {
    double median_us, usual_us;
    unsigned before, after;
    bool lowered, tell;
};

void limit_gather(struct server_limit *limit, double answers, double logs, uint64_t now_us)
{
    if (limit->answers == 0 || now_us > limit->since_us + STALE_US) {
        limit->since_us = now_us;
        limit->answers = limit->logs = 0;
    }
    limit->answers += answers;
    limit->logs += logs;
}

static void usual_follow(struct server_limit *limit, double median_us, uint64_t now_us)
{
    if (limit->usual_us == 0)
        limit->usual_us = median_us;
    else if (now_us > limit->usual_at_us)
        limit->usual_us *= exp((double)(now_us - limit->usual_at_us) / USUAL_RISES_US);
    limit->usual_at_us = now_us;
    if (median_us < limit->usual_us)
        limit->usual_us -= USUAL_FALLS * (limit->usual_us - median_us);
}

static double limit_next(double limit, double ratio, unsigned awaiting)
{
    ratio = ratio < STEP_LEAST ? STEP_LEAST : ratio > STEP_MOST ? STEP_MOST : ratio;
    if (ratio > 1 && awaiting < limit / 2)
        return limit; /* it was not the limit that kept them few */
    double next = 0.5 * limit + 0.5 * (limit * ratio + sqrt(limit));
    return next < LIMIT_LEAST ? LIMIT_LEAST : next > SERVER_LIMIT_MOST ? SERVER_LIMIT_MOST : next;
}

/* The median is known. True: the limit holds. */
static bool limit_follow(struct server_limit *limit, double median_us, unsigned awaiting, uint64_t now_us)
{
    usual_follow(limit, median_us, now_us);
    double ratio = PATIENCE * limit->usual_us / median_us;
    bool open = limit->slow_at_us == 0;
    if (ratio < 1)
        limit->slow_at_us = now_us;
    if (open)
        limit->value = awaiting < SERVER_LIMIT_FIRST  ? SERVER_LIMIT_FIRST
                       : awaiting < SERVER_LIMIT_MOST ? awaiting
                                                      : SERVER_LIMIT_MOST;
    if (limit->slow_at_us != 0)
        limit->value = limit_next(limit->value, ratio, awaiting);
    if (now_us > limit->slow_at_us + OPENS_AFTER_US)
        limit->slow_at_us = 0;
    return limit->slow_at_us != 0;
}

/* Under the lock. */
static struct judgement judge(struct server *server, uint64_t now_us)
{
    struct server_limit *limit = &server->limiting;
    uint32_t before = atomic_load_explicit(&server->limit, memory_order_relaxed);
    int32_t load = atomic_load_explicit(&server->awaiting, memory_order_relaxed);
    unsigned awaiting = load > 0 ? (unsigned)load : 0;
    bool open = (before & SERVER_LIMIT_OPEN) != 0;
    struct judgement found = {.before = open ? awaiting : before, .after = before & ~SERVER_LIMIT_OPEN};
    if (limit->answers < ANSWERS_LEAST / 2)
        return found;
    found.median_us = exp(limit->logs / limit->answers);
    if (limit->answers < ANSWERS_LEAST &&
        (limit->usual_us == 0 || found.median_us < NO_DOUBT * PATIENCE * limit->usual_us))
        return found;
    limit->answers = limit->logs = 0;
    bool holds = limit_follow(limit, found.median_us, awaiting, now_us);
    found.after = (unsigned)limit->value;
    found.usual_us = limit->usual_us;
    atomic_store_explicit(&server->limit, (uint16_t)(found.after | (holds ? 0 : SERVER_LIMIT_OPEN)),
                          memory_order_relaxed);
    found.lowered = holds && (open || found.after < found.before);
    /* Only one that is felt is worth a word. */
    found.tell = found.lowered && awaiting >= found.after &&
                 (limit->told_us == 0 || now_us > limit->told_us + TOLD_EVERY_US);
    if (found.tell)
        limit->told_us = now_us;
    return found;
}

static void limit_log(struct server *server, const struct judgement *found)
{
    const struct log_pair pairs[] = {KV("pool", server->pool_name),
                                     KV("server", server->name),
                                     KV_NUMBER("from", found->before),
                                     KV_NUMBER("to", found->after),
                                     KV_NUMBER("median_us", (uint64_t)found->median_us),
                                     KV_NUMBER("usual_us", (uint64_t)found->usual_us),
                                     KV_NONE};
    if (LOG_LEVEL_WARN >= log_level)
        log_write(&server->limit_site, LOG_LEVEL_WARN, "balance", "limit lowered", pairs);
}

void limit_judge(const struct pool *pool, uint64_t now_us)
{
    for (size_t i = 0; pool->adapts && i < pool->servers_count; i++) {
        struct server *server = pool->servers[i].server;
        if (pool->servers[i].max_connections != SERVER_ADAPTS)
            continue;
        score_lock(&server->score);
        struct judgement found = judge(server, now_us);
        score_unlock(&server->score);
        if (found.lowered)
            counter_add(COUNTER_limits_lowered, 1);
        if (found.tell)
            limit_log(server, &found);
    }
}
