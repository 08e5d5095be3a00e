/* A route's rate limits: all must admit the request. One that refuses gets back what those before it took.
 * Fields as in draft-ietf-httpapi-ratelimit-headers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/counters.h"
#include "base/error.h"
#include "base/log.h"
#include "config/config.h"
#include "filter/key.h"
#include "filter/kinds.h"
#include "filter/limiter.h"
#include "filter/limiter_set.h"
#include "http/exchange.h"
#include "net/loop.h"

#define LIMITS_MOST 8u

struct limit {
    const struct limiter_config *config;
    struct key_rule key;
    struct limiter *limiter;
};
struct rate_limit {
    size_t count;
    struct limit limits[];
};

static bool rate_limit_prepare(struct filter *filter, const struct route_config *route,
                               const struct config *config, struct limiter_set *limiters, struct error *error)
{
    if (route->rate_limit.count == 0)
        return true;
    if (route->rate_limit.count > LIMITS_MOST)
        return error_set(error, "a route has at most %u rate limits", LIMITS_MOST);
    struct rate_limit *rate = xcalloc(1, sizeof *rate + route->rate_limit.count * sizeof rate->limits[0]);
    filter->prepared = rate;
    for (size_t i = 0; i < route->rate_limit.count; i++) {
        const struct limiter_config *limit = config_rate_limit(config, route->rate_limit.items[i]);
        rate->limits[i].config = limit;
        rate->limits[i].key = (struct key_rule){.parts = limit->parts,
                                                .count = limit->parts_count,
                                                .ipv6_prefix = (unsigned)limit->ipv6_prefix,
                                                .missing = limit->missing,
                                                .paths = &route->paths};
        rate->limits[i].limiter = limiter_set_find(limiters, limit);
        if (rate->limits[i].limiter == NULL)
            return error_set(error, "no memory for %llu keys of rate limit \"%s\"; lower its keys",
                             (unsigned long long)limit->keys, limit->name);
        rate->count++;
    }
    return true;
}

static void rate_limit_dispose(struct filter *filter)
{
    struct rate_limit *rate = filter->prepared;
    for (size_t i = 0; i < rate->count; i++)
        limiter_release(rate->limits[i].limiter);
    free(rate);
}

static uint64_t seconds_up(uint64_t us)
{
    uint64_t seconds = (us + 999999) / 1000000;
    return seconds != 0 ? seconds : 1;
}

/* RateLimit-Policy: what the limit is; RateLimit: what is left of it. */
static void tell(struct exchange *exchange, const struct limit *limit, const struct limiter_verdict *verdict)
{
    struct span policy = arena_print(exchange->arena, "\"%s\";q=%llu;w=%llu", limit->config->name,
                                     (unsigned long long)limiter_rate_count(limit->limiter),
                                     (unsigned long long)limiter_rate_seconds(limit->limiter));
    struct span left = arena_print(
        exchange->arena, "\"%s\";r=%llu;t=%llu", limit->config->name, (unsigned long long)verdict->remaining,
        (unsigned long long)(verdict->retry_after_us == 0 ? 0 : seconds_up(verdict->retry_after_us)));
    /* Without room these are left out: they inform, the limit itself holds. */
    if (policy.at != NULL && left.at != NULL &&
        fields_add(&exchange->response_fields, exchange->arena, SPAN("RateLimit-Policy"), policy,
                   FIELD_OTHER))
        (void)!fields_add(&exchange->response_fields, exchange->arena, SPAN("RateLimit"), left, FIELD_OTHER);
}

static enum verdict refuse(struct exchange *exchange, const struct limit *limit, uint64_t retry_after_us)
{
    counter_add(COUNTER_rate_limited, 1);
    exchange->answer =
        (struct answer){.status = (uint16_t)limit->config->status, .failure = FAILURE_RATE_LIMITED};
    struct span seconds = SPAN_NONE;
    if (retry_after_us != 0)
        seconds = arena_print(exchange->arena, "%llu", (unsigned long long)seconds_up(retry_after_us));
    if (seconds.at != NULL)
        (void)!fields_add(&exchange->answer.fields, exchange->arena, SPAN("Retry-After"), seconds,
                          FIELD_RETRY_AFTER);
    return VERDICT_ANSWERED;
}

static void would_refuse(const struct limit *limit, const char *why)
{
    counter_add(COUNTER_rate_limited_dry, 1);
    log_info("rate_limit", "a request would be refused, were the limit not in dry run",
             KV("limit", limit->config->name), KV("why", why));
}

static void is_taken_over(const struct limit *limit)
{
    counter_add(COUNTER_rate_limit_full, 1);
    log_warn("rate_limit", "table is full, a request is counted on top of another key's",
             KV("limit", limit->config->name), KV("mend", "raise its keys"));
}

/* What of a request's limits has admitted it, to be given back if another does not. */
struct admissions {
    const struct rate_limit *rate;
    uint64_t now_us;
    uint64_t hashes[LIMITS_MOST];
    bool taken[LIMITS_MOST];
    bool asked[LIMITS_MOST]; /* but for what a dry run would refuse, which clients are not told */
    struct limiter_verdict verdicts[LIMITS_MOST]; /* of those that were asked */
};

/* False: the limit refuses the request; *retry_after_us: 0 when waiting does not help. */
static bool admit(struct admissions *admissions, size_t i, struct exchange *exchange,
                  uint64_t *retry_after_us)
{
    const struct limit *limit = &admissions->rate->limits[i];
    *retry_after_us = 0;
    switch (key_hash(&limit->key, exchange, &admissions->hashes[i])) {
    case KEY_PASSES:
        return true;
    case KEY_REFUSED:
        if (limit->config->dry_run)
            would_refuse(limit, "a part of the key is missing, or there several times");
        return limit->config->dry_run;
    case KEY_COUNTS:
        break;
    }
    struct limiter_verdict verdict = limiter_admit(limit->limiter, admissions->hashes[i], admissions->now_us);
    admissions->taken[i] = verdict.admitted;
    if (verdict.taken_over)
        is_taken_over(limit);
    if (!verdict.admitted && limit->config->dry_run) {
        would_refuse(limit, "over the rate");
        return true;
    }
    admissions->asked[i] = true;
    admissions->verdicts[i] = verdict;
    *retry_after_us = verdict.retry_after_us;
    return verdict.admitted;
}

/* Of a request that another limit refuses, so that nobody waits for a limit that would let it through. */
static void give_back(struct admissions *admissions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!admissions->taken[i])
            continue;
        limiter_give_back(admissions->rate->limits[i].limiter, admissions->hashes[i], admissions->now_us);
        admissions->verdicts[i].remaining++;
        admissions->verdicts[i].retry_after_us = 0;
    }
}

static void tell_all(const struct admissions *admissions, size_t count, struct exchange *exchange)
{
    for (size_t i = 0; i < count; i++)
        if (admissions->asked[i])
            tell(exchange, &admissions->rate->limits[i], &admissions->verdicts[i]);
}

static enum verdict rate_limit_request(const struct filter *filter, struct exchange *exchange)
{
    const struct rate_limit *rate = filter->prepared;
    struct admissions admissions = {.rate = rate, .now_us = loop_now_us(exchange->loop)};
    for (size_t i = 0; i < rate->count; i++) {
        uint64_t retry_after_us;
        if (admit(&admissions, i, exchange, &retry_after_us))
            continue;
        give_back(&admissions, i);
        tell_all(&admissions, i + 1, exchange);
        return refuse(exchange, &rate->limits[i], retry_after_us);
    }
    tell_all(&admissions, rate->count, exchange);
    return VERDICT_NEXT;
}

/* Of what is refused whatever was before. */
static enum verdict rate_limit_ask(const struct filter *filter, struct exchange *exchange)
{
    const struct rate_limit *rate = filter->prepared;
    uint64_t hash;
    for (size_t i = 0; i < rate->count; i++)
        if (!rate->limits[i].config->dry_run &&
            key_hash(&rate->limits[i].key, exchange, &hash) == KEY_REFUSED)
            return refuse(exchange, &rate->limits[i], 0);
    return VERDICT_NEXT;
}

static void rate_limit_explain(const struct filter *filter, const struct exchange *exchange, char *line,
                               size_t room)
{
    const struct rate_limit *rate = filter->prepared;
    size_t length = 0;
    uint64_t hash;
    for (size_t i = 0; i < rate->count && length < room; i++) {
        const struct limiter_config *config = rate->limits[i].config;
        int wrote = snprintf(
            line + length, room - length, "%s%s: %llu in %llu s, burst %llu%s%s", i == 0 ? "" : "; ",
            config->name, (unsigned long long)limiter_rate_count(rate->limits[i].limiter),
            (unsigned long long)limiter_rate_seconds(rate->limits[i].limiter),
            (unsigned long long)limiter_burst(rate->limits[i].limiter), config->dry_run ? ", dry run" : "",
            key_told[key_hash(&rate->limits[i].key, exchange, &hash)]);
        length += wrote > 0 ? (size_t)wrote : 0;
    }
}

const struct filter_kind filter_rate_limit = {
    .name = "rate_limit",
    .state = -1,
    .prepare = rate_limit_prepare,
    .dispose = rate_limit_dispose,
    .request = rate_limit_request,
    .ask = rate_limit_ask,
    .explain = rate_limit_explain,
};
