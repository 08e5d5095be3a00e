/* When the second attempt is made, and which of both is the exchange's. What an attempt is, forward.c knows.
 */
#include "proxy/hedge.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/counters.h"
#include "config/config.h"
#include "http/head.h"
#include "http/stream.h"
#include "proxy/exchange_state.h"
#include "proxy/retry.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "upstream/pool.h"
#include "upstream/server.h"

#define LEAST_MS 2u /* sooner than this there is nothing to win */
#define TRIAL_EVERY_US 1000000
#define TRIAL_LASTS_US 50000 /* several may come before the first has told that the server still is slow */

/* After how long the answer is late, in ms: a percentile of a lognormal distribution with the pool's median
 * and standard deviation, of a trial the one that a choice calls silence. 0: not known. */
static uint64_t late_after(const struct pool *pool, const struct hedge_config *config, bool trial)
{
    static const float deviations[] = {[HEDGE_P90] = 1.2816f, [HEDGE_P95] = 1.6449f, [HEDGE_P99] = 2.3263f};
    float median_us = (float)atomic_load_explicit(&pool->shared->median_us, memory_order_relaxed);
    /* one deviation above */
    float most_us = (float)atomic_load_explicit(&pool->shared->silence_us, memory_order_relaxed);
    uint64_t after = config != NULL ? config->after : 0;
    if ((!trial && after != 0) || median_us < 1 || most_us < 1)
        return after;
    float late_us = trial ? most_us : median_us * powf(most_us / median_us, deviations[config->at]);
    uint64_t late = (uint64_t)(late_us / 1000) + 1;
    late = late < LEAST_MS ? LEAST_MS : late;
    return after != 0 && after < late ? after : late;
}

static bool refuse(enum counter_id counter)
{
    counter_add(counter, 1);
    return false;
}

/* That answers take long while one server is slow says nothing about the others. */
static bool hedge_is_wise(const struct exchange_run *run)
{
    const struct pool *pool = run->pool;
    struct upstreams *upstreams = run->worker->upstreams;
    const struct other_server other = {
        .pool = pool, .tried = run->tried, .except = run->attempt->waiter.server, .free_now = true};
    bool trial = run->hedge->trial != NULL;
    bool full = (!trial && atomic_load_explicit(&pool->shared->queues, memory_order_relaxed)) ||
                atomic_load_explicit(&pool->shared->waiting, memory_order_relaxed) > 0;
    if (full || retry_came_so(run) || !upstream_has_other(upstreams, &other))
        return refuse(COUNTER_hedges_gated);
    bool spent = run->plan->config->hedge != NULL && upstream_hedge_spend(upstreams, pool);
    spent = spent || (trial && upstream_budget_spend(upstreams, pool));
    return spent || refuse(COUNTER_hedges_out_of_budget);
}

static void hedge_passed(struct deadline *deadline)
{
    struct hedge *hedge = CONTAINER_OF(deadline, struct hedge, deadline);
    struct exchange_run *run = hedge->run;
    bool awaits = run->attempt != NULL && run->attempt->stream != NULL &&
                  run->exchange.state == EXCHANGE_FORWARDING && !run->head_sent;
    if (awaits && hedge->trial != run->attempt->waiter.server)
        hedge->trial = NULL; /* a retry went elsewhere */
    if (hedge->trial == NULL && run->plan->config->hedge == NULL)
        return;
    if (!awaits || run->client_closed || !hedge_is_wise(run))
        return;
    hedge->copy = forward_copy(run);
    if (hedge->copy == NULL)
        return;
    counter_add(COUNTER_hedges, 1);
    if (hedge->trial != NULL)
        counter_add(COUNTER_hedges_of_trials, 1);
}

/* A server that is slow and has work all the same, as the others have more than enough, is not tried with
 * each request: then hedges would be load. Clocks of workers differ a little. */
static bool trial_is_due(struct server *server, uint64_t now_us)
{
    uint64_t last = atomic_load_explicit(&server->trial_us, memory_order_relaxed);
    int64_t since = (int64_t)(now_us - last);
    return since < TRIAL_LASTS_US ||
           (since >= TRIAL_EVERY_US &&
            atomic_compare_exchange_strong_explicit(&server->trial_us, &last, now_us, memory_order_relaxed,
                                                    memory_order_relaxed));
}

/* Unasked, only what changes nothing at a server. */
static bool is_trial(const struct exchange_run *run, enum method method)
{
    return hedge_is_trial(run) &&
           (method == METHOD_GET || method == METHOD_HEAD || method == METHOD_OPTIONS) &&
           trial_is_due(run->attempt->waiter.server, loop_now_us(run->exchange.loop));
}

void hedge_begin(struct exchange_run *run)
{
    const struct exchange *x = &run->exchange;
    const struct hedge_config *config = run->plan->config->hedge;
    enum method method = x->request.line.request.method;
    bool may = method_is_idempotent(method) && x->request.body_length == BODY_NONE && run->up.ended &&
               !run->upgrading && !run->logs_in && !run->owned && run->sticky_server == NULL &&
               run->pool->servers_count > 1;
    if (!may || run->hedge != NULL)
        return;
    bool trial = is_trial(run, method);
    if (!trial && config == NULL)
        return;
    if (config != NULL)
        upstream_hedge_earn(run->worker->upstreams, run->pool, (double)config->budget / 100);
    uint64_t late = late_after(run->pool, config, trial);
    if (late == 0 || (run->hedge = arena_get_zeroed(x->arena, sizeof *run->hedge)) == NULL)
        return;
    run->hedge->run = run;
    run->hedge->trial = trial ? run->attempt->waiter.server : NULL;
    run->hedge->deadline.passed = hedge_passed;
    deadline_set(&run->hedge->deadline, x->loop, late);
}

/* The other goes on alone. */
static void hedge_hand_over(struct exchange_run *run)
{
    struct attempt *copy = run->hedge->copy;
    run->hedge->copy = NULL;
    run->attempt = copy;
    forward_take(run);
}

static bool status_is_error(unsigned status)
{
    return status == 429 || (status >= 500 && status != 501 && status != 505);
}

/* While the other may still do better, an error is as good as no answer. */
static void hedge_drop_error(struct exchange_run *run, struct attempt *attempt, unsigned status)
{
    struct span word = arena_print(run->exchange.arena, "status_%u", status);
    upstream_answered(run->worker->upstreams, &attempt->waiter, status, attempt->waiter.opened_us);
    retry_record(run, &attempt->waiter, word.at != NULL ? word.at : "status");
    if (attempt == run->attempt)
        hedge_hand_over(run);
    else
        run->hedge->copy = NULL;
    forward_drop(run, attempt);
}

bool hedge_head(struct exchange_run *run, struct attempt *attempt, unsigned status)
{
    struct hedge *hedge = run->hedge;
    bool is_copy = hedge->copy == attempt;
    if (run->attempt != attempt && !is_copy)
        return false;
    if (status < 200)
        return !is_copy;
    deadline_clear(&hedge->deadline);
    if (hedge->copy == NULL)
        return true;
    if (status_is_error(status)) {
        hedge_drop_error(run, attempt, status);
        return false;
    }
    struct attempt *loser = is_copy ? run->attempt : hedge->copy;
    if (is_copy) {
        counter_add(COUNTER_hedges_won, 1);
        upstream_outrun(run->worker->upstreams, &loser->waiter);
        hedge_hand_over(run);
    }
    hedge->copy = NULL;
    retry_record(run, &loser->waiter, "hedged");
    forward_drop(run, loser);
    return true;
}

bool hedge_failed(struct exchange_run *run, struct attempt *attempt, enum failure why)
{
    struct hedge *hedge = run->hedge;
    if (hedge->copy == NULL || (attempt != hedge->copy && attempt != run->attempt))
        return false;
    retry_record(run, &attempt->waiter, failure_info[why].word);
    if (attempt == hedge->copy) {
        hedge->copy = NULL;
        return true;
    }
    if (run->first_failure == FAILURE_NONE)
        run->first_failure = why;
    hedge_hand_over(run);
    return true;
}

void hedge_cancel(struct exchange_run *run)
{
    struct hedge *hedge = run->hedge;
    struct attempt *copy = hedge->copy;
    deadline_clear(&hedge->deadline);
    hedge->copy = NULL;
    if (copy != NULL)
        forward_drop(run, copy);
}
