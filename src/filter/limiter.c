/*
 * Time is counted in units of which `interval` make one emission interval and `units_per_ms` a millisecond,
 * both whole numbers (for 1,000,000/s a unit is a microsecond, for 7/s it is 1/7 ms): so the long-run rate is
 * exact whatever the rate. Times are compared modulo 2^44; a TAT is never further ahead of now than the
 * burst, so one that seems to be is an old one and counts as past.
 * A bucket is a cache line of eight words; a key that is not in its bucket takes the word whose time is the
 * oldest, which is one that would be admitted anyway unless more than eight keys of the bucket are busy:
 * flooding with other keys can only take words from keys that are idle longer.
 */
#include "filter/limiter.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/pages.h"
#include "config/limiter_config.h"

#define WORDS LIMITER_WORDS
#define TIME_BITS 44u
#define TIME_MASK (((uint64_t)1 << TIME_BITS) - 1)
#define TAG_SHIFT TIME_BITS
_Static_assert(WORDS * sizeof(uint64_t) == CACHE_LINE, "a look at a key takes one line");

struct limiter {
    _Atomic int32_t references;
    char *name;
    struct limiter_config config; /* rate, burst, prefix, keys: what must stay for the counts to stay */
    char **key;
    uint64_t interval; /* units */
    uint64_t units_per_ms;
    uint64_t burst;
    uint64_t buckets; /* power of two */
    _Atomic uint64_t *words;
};

static uint64_t greatest_common(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static char **copy_key(const struct texts *key)
{
    char **copy = xcalloc(key->count + 1, sizeof *copy);
    for (size_t i = 0; i < key->count; i++)
        copy[i] = xstrdup(key->items[i]);
    return copy;
}

struct limiter *limiter_new(const struct limiter_config *config)
{
    uint64_t buckets = limiter_buckets(config->keys);
    _Atomic uint64_t *words = pages_new(buckets * CACHE_LINE); /* a bucket is a line */
    if (words == NULL)
        return NULL;
    struct limiter *limiter = xcalloc(1, sizeof *limiter);
    atomic_init(&limiter->references, 1);
    limiter->name = xstrdup(config->name);
    limiter->config = *config;
    limiter->key = copy_key(&config->key);
    /* count events in period ms: one takes period/count ms. */
    uint64_t common = greatest_common(config->rate.count, config->rate.period);
    limiter->units_per_ms = config->rate.count / common;
    limiter->interval = config->rate.period / common;
    uint64_t a_second = config->rate.count * 1000 / config->rate.period;
    limiter->burst = config->burst != 0 ? config->burst : a_second != 0 ? a_second : 1;
    limiter->buckets = buckets;
    limiter->words = words;
    return limiter;
}

struct limiter *limiter_take(struct limiter *limiter)
{
    atomic_fetch_add_explicit(&limiter->references, 1, memory_order_relaxed);
    return limiter;
}

void limiter_release(struct limiter *limiter)
{
    /* Acquire and release: all uses happen before the memory goes. */
    if (limiter == NULL || atomic_fetch_sub_explicit(&limiter->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < limiter->config.key.count; i++)
        free(limiter->key[i]);
    free(limiter->key);
    free(limiter->name);
    pages_free((void *)limiter->words, limiter->buckets * CACHE_LINE);
    free(limiter);
}

bool limiter_is_unused(const struct limiter *limiter)
{
    return atomic_load_explicit(&limiter->references, memory_order_acquire) == 1;
}

const char *limiter_name(const struct limiter *limiter)
{
    return limiter->name;
}

bool limiter_is_same(const struct limiter *limiter, const struct limiter_config *config)
{
    const struct limiter_config *own = &limiter->config;
    if (own->rate.count != config->rate.count || own->rate.period != config->rate.period ||
        own->burst != config->burst || own->keys != config->keys || own->ipv6_prefix != config->ipv6_prefix ||
        own->key.count != config->key.count)
        return false;
    for (size_t i = 0; i < config->key.count; i++)
        if (strcmp(limiter->key[i], config->key.items[i]) != 0)
            return false;
    return true;
}

uint64_t limiter_burst(const struct limiter *limiter)
{
    return limiter->burst;
}

uint64_t limiter_rate_count(const struct limiter *limiter)
{
    return limiter->config.rate.count;
}

uint64_t limiter_rate_seconds(const struct limiter *limiter)
{
    return limiter->config.rate.period / 1000;
}

static uint64_t units_of(const struct limiter *limiter, uint64_t us)
{
    return us / 1000 * limiter->units_per_ms + us % 1000 * limiter->units_per_ms / 1000;
}

/* How far the word's time is ahead of now; 0 when it has passed. */
static uint64_t units_ahead(const struct limiter *limiter, uint64_t word, uint64_t now)
{
    uint64_t ahead = (word - now) & TIME_MASK;
    return ahead <= limiter->burst * limiter->interval ? ahead : 0;
}

/* The word of this tag, else the one with the oldest time. */
static _Atomic uint64_t *word_of(struct limiter *limiter, uint64_t bucket, uint64_t tag, uint64_t now,
                                 uint64_t *seen)
{
    _Atomic uint64_t *words = &limiter->words[bucket * WORDS], *oldest = words;
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t word = atomic_load_explicit(&words[i], memory_order_relaxed);
        if (word != 0 && word >> TAG_SHIFT == tag) {
            *seen = word;
            return &words[i];
        }
        uint64_t ahead = word == 0 ? 0 : units_ahead(limiter, word, now) + 1;
        if (ahead < least) {
            least = ahead;
            oldest = &words[i];
            *seen = word;
        }
    }
    return oldest;
}

struct place {
    _Atomic uint64_t *word;
    uint64_t seen, tag;
};

static struct place place_of(struct limiter *limiter, uint64_t hash, uint64_t now)
{
    struct place place = {.tag = hash >> TAG_SHIFT};
    if (place.tag == 0)
        place.tag = 1; /* a word of 0 is a free one */
    place.word = word_of(limiter, hash & (limiter->buckets - 1), place.tag, now, &place.seen);
    return place;
}

static uint64_t place_ahead(const struct limiter *limiter, const struct place *place, uint64_t now)
{
    return place->seen != 0 && place->seen >> TAG_SHIFT == place->tag ? units_ahead(limiter, place->seen, now)
                                                                      : 0;
}

/* False: another worker was first, look again. */
static bool place_set(const struct place *place, uint64_t tat)
{
    uint64_t seen = place->seen;
    return atomic_compare_exchange_weak_explicit(place->word, &seen,
                                                 place->tag << TAG_SHIFT | (tat & TIME_MASK),
                                                 memory_order_relaxed, memory_order_relaxed);
}

static uint64_t units_to_us(const struct limiter *limiter, uint64_t units)
{
    return (units * 1000 + limiter->units_per_ms - 1) / limiter->units_per_ms;
}

struct limiter_verdict limiter_admit(struct limiter *limiter, uint64_t hash, uint64_t now_us)
{
    uint64_t now = units_of(limiter, now_us), most = limiter->burst * limiter->interval;
    for (;;) {
        struct place place = place_of(limiter, hash, now);
        uint64_t ahead = place_ahead(limiter, &place, now);
        if (ahead + limiter->interval > most)
            return (struct limiter_verdict){.retry_after_us =
                                                units_to_us(limiter, ahead + limiter->interval - most)};
        ahead += limiter->interval;
        if (!place_set(&place, now + ahead))
            continue;
        uint64_t remaining = (most - ahead) / limiter->interval;
        return (struct limiter_verdict){
            .admitted = true,
            .remaining = remaining,
            .retry_after_us = remaining != 0 ? 0 : units_to_us(limiter, ahead + limiter->interval - most),
        };
    }
}

void limiter_give_back(struct limiter *limiter, uint64_t hash, uint64_t now_us)
{
    uint64_t now = units_of(limiter, now_us);
    for (;;) {
        struct place place = place_of(limiter, hash, now);
        uint64_t ahead = place_ahead(limiter, &place, now);
        if (ahead < limiter->interval || place_set(&place, now + ahead - limiter->interval))
            return;
    }
}
