/*
 * Limits requests in progress per key. A word of the table is 40 bits of tag and 24 bits of count; a word
 * whose count is 0 is free for any key. When all eight words of a bucket are busy with other keys the request
 * is refused: the table is too small then, which is logged.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/counters.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/pages.h"
#include "filter/key.h"
#include "filter/kinds.h"
#include "filter/limiter_set.h"
#include "http/exchange.h"

#define WORDS LIMITER_WORDS
#define COUNT_BITS 24u
#define COUNT_MASK (((uint64_t)1 << COUNT_BITS) - 1)
_Static_assert(WORDS * sizeof(uint64_t) == CACHE_LINE, "a look at a key takes one line");
#define STATE 0 /* in exchange.filter_states: the word that was counted up */

struct in_flight {
    const struct in_flight_config *config;
    struct key_rule key;
    struct in_flight_table *table; /* shared with the snapshots before */
    uint64_t buckets;              /* power of two */
    _Atomic uint64_t *words;
};

static uint64_t hash_texts(uint64_t hash, const struct texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        hash = hash_keyed_seed(span_of(texts->items[i]), hash);
    return hash_keyed_seed(SPAN("|"), hash);
}

static uint64_t hash_pairs(uint64_t hash, const struct name_values *pairs)
{
    for (size_t i = 0; i < pairs->count; i++)
        hash = hash_keyed_seed(span_of(pairs->items[i].value),
                               hash_keyed_seed(span_of(pairs->items[i].name), hash));
    return hash_keyed_seed(SPAN("|"), hash);
}

/* What tells this route from others over a reload, and what must stay for the counts to mean the same. A name
 * that only says the place in the file is none, and names are told apart within one list of routes only. */
static uint64_t whose_counts(const struct route_config *route)
{
    const struct match_config *match = &route->match;
    const struct in_flight_config *config = route->in_flight;
    hash_init();
    uint64_t hash = route->named ? hash_keyed(span_of(route->name)) : 0;
    if (route->listener != NULL)
        hash = hash_keyed_seed(span_of(route->listener), hash);
    hash = hash_texts(hash, &match->host);
    hash = hash_texts(hash, &match->path);
    hash = hash_texts(hash, &match->methods);
    hash = hash_texts(hash, &match->client);
    hash = hash_pairs(hash, &match->header);
    hash = hash_pairs(hash, &match->query);
    return hash_texts(hash + config->ipv6_prefix, &config->key);
}

static bool in_flight_prepare(struct filter *filter, const struct route_config *route,
                              const struct config *config, struct limiter_set *limiters, struct error *error)
{
    (void)config;
    if (route->in_flight == NULL)
        return true;
    struct in_flight *in_flight = xcalloc(1, sizeof *in_flight);
    filter->prepared = in_flight;
    in_flight->config = route->in_flight;
    in_flight->key = (struct key_rule){.parts = route->in_flight->parts,
                                       .count = route->in_flight->parts_count,
                                       .ipv6_prefix = (unsigned)route->in_flight->ipv6_prefix,
                                       .missing = route->in_flight->missing,
                                       .paths = &route->paths};
    in_flight->buckets = limiter_buckets(route->in_flight->keys);
    in_flight->table = limiter_set_in_flight(limiters, whose_counts(route), in_flight->buckets);
    if (in_flight->table == NULL)
        return error_set(error, "no memory for %llu keys; lower in_flight.keys",
                         (unsigned long long)route->in_flight->keys);
    in_flight->words = in_flight->table->words;
    return true;
}

static void in_flight_dispose(struct filter *filter)
{
    struct in_flight *in_flight = filter->prepared;
    in_flight_table_release(in_flight->table);
    free(in_flight);
}

/* The word of this tag, else a free one, else NULL. */
static _Atomic uint64_t *word_of(const struct in_flight *in_flight, uint64_t hash, uint64_t *seen)
{
    _Atomic uint64_t *words = &in_flight->words[(hash & (in_flight->buckets - 1)) * WORDS], *free_word = NULL;
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t word = atomic_load_explicit(&words[i], memory_order_relaxed);
        if ((word & COUNT_MASK) != 0 && word >> COUNT_BITS == hash >> COUNT_BITS) {
            *seen = word;
            return &words[i];
        }
        if (free_word == NULL && (word & COUNT_MASK) == 0) {
            free_word = &words[i];
            *seen = word;
        }
    }
    return free_word;
}

enum admission { ADMITTED, OVER_LIMIT, TABLE_FULL, KEY_MISSING };

static enum admission count_up(const struct in_flight *in_flight, uint64_t hash, _Atomic uint64_t **counted)
{
    for (;;) {
        uint64_t seen;
        _Atomic uint64_t *word = word_of(in_flight, hash, &seen);
        if (word == NULL)
            return TABLE_FULL;
        uint64_t count = seen & COUNT_MASK;
        if (count >= in_flight->config->limit)
            return OVER_LIMIT;
        uint64_t next = (hash >> COUNT_BITS << COUNT_BITS) | (count + 1);
        if (atomic_compare_exchange_weak_explicit(word, &seen, next, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            if (seen == 0)
                pages_used((void *)in_flight->words, in_flight->buckets * CACHE_LINE, (const void *)word);
            *counted = word;
            return ADMITTED;
        }
    }
}

static enum admission admit(const struct in_flight *in_flight, struct exchange *exchange)
{
    uint64_t hash;
    _Atomic uint64_t *word = NULL;
    switch (key_hash(&in_flight->key, exchange, &hash)) {
    case KEY_PASSES:
        return ADMITTED;
    case KEY_REFUSED:
        return KEY_MISSING;
    case KEY_COUNTS:
        break;
    }
    enum admission admission = count_up(in_flight, hash, &word);
    exchange->filter_states[STATE] = (void *)word;
    return admission;
}

static enum verdict refuse(const struct in_flight_config *config, struct exchange *exchange,
                           enum admission why)
{
    counter_add(COUNTER_in_flight_limited, 1);
    exchange->answer =
        (struct answer){.status = (uint16_t)config->status, .failure = FAILURE_IN_FLIGHT_LIMITED};
    if (why != KEY_MISSING) /* else waiting does not help */
        (void)!fields_add(&exchange->answer.fields, exchange->arena, SPAN("Retry-After"), SPAN("1"),
                          FIELD_RETRY_AFTER);
    return VERDICT_ANSWERED;
}

static void would_refuse(const struct exchange *exchange, enum admission why)
{
    static const char *const told[] = {[OVER_LIMIT] = "over the limit",
                                       [TABLE_FULL] = "the table of keys is full",
                                       [KEY_MISSING] =
                                           "a part of the key is missing, or there several times"};
    counter_add(COUNTER_in_flight_limited_dry, 1);
    log_info("in_flight", "a request would be refused, were the limit not in dry run",
             KV("route", exchange->route_name), KV("why", told[why]));
}

static enum verdict in_flight_request(const struct filter *filter, struct exchange *exchange)
{
    const struct in_flight *in_flight = filter->prepared;
    enum admission admission = admit(in_flight, exchange);
    if (admission == ADMITTED)
        return VERDICT_NEXT;
    if (admission == TABLE_FULL) {
        counter_add(COUNTER_in_flight_full, 1);
        log_warn("in_flight", "table of keys is full, a request can't be counted",
                 KV("route", exchange->route_name), KV("mend", "raise in_flight.keys"));
    }
    if (!in_flight->config->dry_run)
        return refuse(in_flight->config, exchange, admission);
    would_refuse(exchange, admission);
    return VERDICT_NEXT;
}

/* Of what is refused whatever else is in flight. */
static enum verdict in_flight_ask(const struct filter *filter, struct exchange *exchange)
{
    const struct in_flight *in_flight = filter->prepared;
    uint64_t hash;
    bool refused = !in_flight->config->dry_run && key_hash(&in_flight->key, exchange, &hash) == KEY_REFUSED;
    return refused ? refuse(in_flight->config, exchange, KEY_MISSING) : VERDICT_NEXT;
}

static void in_flight_done(const struct filter *filter, struct exchange *exchange)
{
    (void)filter;
    _Atomic uint64_t *word = exchange->filter_states[STATE];
    if (word != NULL)
        atomic_fetch_sub_explicit(word, 1, memory_order_relaxed);
    exchange->filter_states[STATE] = NULL;
}

static void in_flight_explain(const struct filter *filter, const struct exchange *exchange, char *line,
                              size_t room)
{
    const struct in_flight *in_flight = filter->prepared;
    uint64_t hash;
    snprintf(line, room, "at most %llu at once per key%s%s", (unsigned long long)in_flight->config->limit,
             in_flight->config->dry_run ? ", dry run" : "",
             key_told[key_hash(&in_flight->key, exchange, &hash)]);
}

const struct filter_kind filter_in_flight = {
    .name = "in_flight",
    .state = STATE,
    .prepare = in_flight_prepare,
    .dispose = in_flight_dispose,
    .request = in_flight_request,
    .ask = in_flight_ask,
    .done = in_flight_done,
    .explain = in_flight_explain,
};
