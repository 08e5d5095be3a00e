/*
 * The rules of retries. What can't be sent again without harm is not: of a request that is not idempotent no
 * byte may have been given to a connection. The rest is a matter of what it would cost: a budget, the time
 * that is left, and no retries of retries.
 */
#include "proxy/retry.h"

#include "base/arena.h"
#include "base/counters.h"
#include "config/pool_config.h"
#include "http/head.h"
#include "proxy/exchange_state.h"
#include "proxy/forwarded.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "upstream/pool.h"
#include "upstream/server.h"
#include "upstream/tried.h"

#define REFUSALS_MOST \
    2 /* streams that a server may refuse of one request before that is a failure of its own */
#define PAUSE_MOST 25u /* ms before the first retry of what was sent, twice as much before the next */

/* All body bytes that went to a server are still held, so that another can be given them. */
static bool body_is_held(const struct exchange_run *run)
{
    return !run->replay.lost;
}

static bool request_is_idempotent(const struct exchange_run *run)
{
    return method_is_idempotent(run->exchange.request.line.request.method) && !run->upgrading;
}

/* Heads can be acted upon without their bodies, so one byte is too much. */
static enum retry_class class_of(enum failure why, const struct stream *stream)
{
    enum retry_class class = failure_info[why].retry;
    bool nothing_sent = stream == NULL || !stream->any_sent;
    return class == RETRY_SENT_NO_REPLY && nothing_sent ? RETRY_NEVER_SENT : class;
}

static bool class_is_allowed(const struct exchange_run *run, enum retry_class class)
{
    const struct retry_config *retry = &run->pool->config->retry;
    switch (class) {
    case RETRY_NEVER:
        return false;
    case RETRY_NEVER_SENT:
        return retry->never_sent;
    case RETRY_SENT_NO_REPLY:
        return retry->sent_no_reply && request_is_idempotent(run);
    }
    return false;
}

static bool status_is_retried(const struct exchange_run *run, unsigned status)
{
    const struct numbers *statuses = &run->pool->config->retry.statuses;
    for (size_t i = 0; i < statuses->count; i++)
        if (statuses->items[i] == (int64_t)status)
            return request_is_idempotent(run);
    return false;
}

static bool is_over_one(struct span number)
{
    bool digits = number.length != 0 && number.length < 10;
    for (size_t i = 0; digits && i < number.length; i++)
        digits = number.at[i] >= '0' && number.at[i] <= '9';
    return digits && (number.length > 1 || number.at[0] > '1');
}

/* A trusted proxy before this one sends it for the second time or more: there the decision to go on lies. */
static bool request_is_retry(const struct exchange_run *run)
{
    const struct fields *fields = &run->exchange.request.fields;
    for (uint16_t i = 0; i < fields->count; i++)
        if (forwarded_is_attempt(fields->items[i].name) && is_over_one(fields->items[i].value))
            return true;
    return false;
}

bool retry_came_so(const struct exchange_run *run)
{
    return run->told_attempt ? run->is_retry : request_is_retry(run);
}

/* Half of the pool's answers would still come in time. */
static bool time_is_left(const struct exchange_run *run)
{
    if (!deadline_is_set(&run->total))
        return true;
    uint64_t now = loop_now(run->exchange.loop), left = run->total.due > now ? run->total.due - now : 0;
    uint32_t median_us = atomic_load_explicit(&run->pool->shared->median_us, memory_order_relaxed);
    return left * 1000 > (uint64_t)run->retry_pause * 1000 + median_us;
}

/* The time until the next try: at once when no server has had work from this one, else any time up to a bound
 * that doubles, so that the requests that failed together do not come together again. */
static uint32_t pause_before(struct exchange_run *run, enum retry_class class)
{
    return class == RETRY_NEVER_SENT ? 0 : rng_below(&run->worker->rng, (PAUSE_MOST << run->retries) + 1);
}

static bool refuse(enum counter_id counter)
{
    counter_add(counter, 1);
    return false;
}

/* All of it is still at hand, nobody has seen anything of an answer, and it means the same on another
 * connection. */
static bool may_be_sent(const struct exchange_run *run)
{
    return !run->head_sent && !run->client_closed && body_is_held(run) && !run->goes_on;
}

/* One more server may be tried; spends the budget when it says yes. server: that answered; NULL: it is among
 * the tried. */
static bool may_retry(struct exchange_run *run, enum retry_class class, const struct server *server)
{
    const struct other_server other = {
        .pool = run->pool, .tried = run->tried, .except = server, .free_now = server != NULL};
    if (!may_be_sent(run) || run->retries >= run->pool->config->retry.attempts)
        return false;
    if (retry_came_so(run))
        return refuse(COUNTER_retries_of_retries);
    if (!upstream_has_other(run->worker->upstreams, &other))
        return refuse(COUNTER_retries_nobody_else);
    run->spares = false;
    run->retry_pause = pause_before(run, class);
    if (!time_is_left(run))
        return refuse(COUNTER_retries_too_late);
    if (!upstream_budget_spend(run->worker->upstreams, run->pool))
        return refuse(COUNTER_retries_out_of_budget);
    run->retries++;
    counter_add(COUNTER_retries, 1);
    return true;
}

/* Nothing was sent, so another server costs nobody anything but the time, of which there is as much as for an
 * answer. Those that have turned requests away just now would do it again: of a pool that is down each
 * request would go through all of it. */
static bool may_go_on(struct exchange_run *run, enum failure why)
{
    const struct other_server other = {.pool = run->pool, .tried = run->tried, .spares = true};
    uint64_t most = run->plan->response_timeout;
    uint64_t passed_us = loop_now_us(run->exchange.loop) - run->exchange.times.routed;
    run->retry_pause = 0;
    if (why == FAILURE_UPGRADE_UNSUPPORTED || !may_be_sent(run) || (most != 0 && passed_us >= most * 1000) ||
        !time_is_left(run) || !upstream_has_other(run->worker->upstreams, &other))
        return false;
    run->spares = true;
    counter_add(COUNTER_retries, 1);
    return true;
}

void retry_record(struct exchange_run *run, const struct upstream_waiter *waiter, const char *why)
{
    if (waiter->server == NULL)
        return;
    if (run->tried == NULL)
        run->tried = arena_get_zeroed(run->exchange.arena, tried_size(run->pool->servers_count));
    if (run->tried != NULL)
        tried_add(run->tried, waiter->member);
    if (run->failed_count < FAILED_TOLD)
        run->failed[run->failed_count++] =
            (struct attempt_record){.server = waiter->server->name, .failure = why};
}

bool retry_same_server(struct exchange_run *run, enum failure why, const struct stream *stream)
{
    if (!may_be_sent(run))
        return false;
    if (why == FAILURE_SERVER_STALE) {
        if (run->replayed || (class_of(why, stream) != RETRY_NEVER_SENT && !request_is_idempotent(run)))
            return false;
        run->replayed = true; /* protocol.md 31 */
    } else if (why == FAILURE_STREAM_REFUSED && run->refusals < REFUSALS_MOST) {
        /* it says that it will go (GOAWAY), or that this connection has enough: RFC 9113 8.7 */
        run->refusals++;
    } else if (why == FAILURE_HTTP1_REQUIRED && run->pool->protocol == POOL_AUTO && !run->http1_only) {
        run->http1_only = true; /* RFC 9113 7 */
    } else {
        return false;
    }
    counter_add(COUNTER_replays, 1);
    return true;
}

bool retry_after_failure(struct exchange_run *run, const struct upstream_waiter *waiter, enum failure why,
                         const struct stream *stream)
{
    enum retry_class class = class_of(why, stream);
    bool never_sent = class == RETRY_NEVER_SENT;
    if (never_sent)
        upstream_turned_away(run->worker->upstreams, waiter);
    if (!class_is_allowed(run, class) || run->tried == NULL ||
        !((never_sent && may_go_on(run, why)) || may_retry(run, class, NULL)))
        return false;
    counter_add(never_sent ? COUNTER_retries_never_sent : COUNTER_retries_sent_no_reply, 1);
    return true;
}

bool retry_after_status(struct exchange_run *run, const struct server *server, unsigned status)
{
    if (server == run->sticky_server || run->owned) /* the client's session is there: its answer counts */
        return false;
    if (!status_is_retried(run, status) || !may_retry(run, RETRY_SENT_NO_REPLY, server))
        return false;
    counter_add(COUNTER_retries_status, 1);
    return true;
}

bool retry_tell(struct exchange_run *run)
{
    struct exchange *x = &run->exchange;
    run->is_retry = retry_came_so(run);
    run->told_attempt = true;
    if (run->is_retry)
        return true;
    struct span number = arena_print(x->arena, "%u", run->sends);
    (void)fields_remove_name(&x->request.fields, SPAN("X-Attempt"));
    return number.at != NULL &&
           fields_add(&x->request.fields, x->arena, SPAN("X-Attempt"), number, FIELD_OTHER);
}
