/*
 * Time is counted in units of which an emission interval and a millisecond have whole numbers (for
 * 1,000,000/s a unit is a microsecond, for 7/s it is 1/7 ms): so the long-run rate is exact whatever the
 * rate. A word has the low 44 bits of a time, which at high rates come round within seconds. So no word is
 * left alone for that long: a page of words has a stamp, the epoch in which it was last looked through, and
 * who comes in another clears those whose time has passed. A key is at most a quarter of what the bits hold
 * ahead of now, and a word that is older than its page's stamp allows is cleared unseen: what seems to be
 * further ahead has passed. A bucket is a cache line of eight words; a key that is not in its bucket takes
 * the word whose time is the oldest. Where that has not passed the table is too small, and the newcomer takes
 * it over as it stands: so a key may be let through less often than its limit says, and never more often.
 */
#include "filter/limiter.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/pages.h"
#include "config/limiter_config.h"

#define WORDS LIMITER_WORDS
#define TIME_BITS 44u
#define TIME_MASK (((uint64_t)1 << TIME_BITS) - 1)
#define TAG_SHIFT TIME_BITS
/* Workers' clocks differ by as much as a turn takes, and the one behind finds keys further ahead of it. */
#define AHEAD_MOST ((uint64_t)3 << (LIMITER_AHEAD_BITS - 1))
#define EPOCH_BITS (LIMITER_AHEAD_BITS - 2) /* of its units, at most; and more than half as many */
#define EPOCHS_AHEAD ((uint64_t)8)          /* a key is ahead by fewer */
_Static_assert(AHEAD_MOST + ((EPOCHS_AHEAD + 1) << EPOCH_BITS) < (uint64_t)1 << TIME_BITS,
               "what has passed does not seem to be ahead before its page is looked through");
#define PAGE_BUCKETS 64u /* that share a stamp */
_Static_assert(WORDS * sizeof(uint64_t) == CACHE_LINE, "a look at a key takes one line");

struct limiter {
    _Atomic int32_t references;
    char *name;
    struct limiter_config config; /* rate, burst, prefix, keys: what must stay for the counts to stay */
    char **key;
    struct limiter_units units;
    uint64_t burst;
    unsigned epoch_shift; /* an epoch is 2^epoch_shift microseconds */
    uint64_t buckets;     /* power of two */
    _Atomic uint64_t *words;
    _Atomic uint32_t *stamps; /* behind the words */
};

static char **copy_key(const struct texts *key)
{
    char **copy = xcalloc(key->count + 1, sizeof *copy);
    for (size_t i = 0; i < key->count; i++)
        copy[i] = xstrdup(key->items[i]);
    return copy;
}

static size_t words_size(uint64_t buckets)
{
    return buckets * CACHE_LINE; /* a bucket is a line */
}

static size_t pages_size(uint64_t buckets)
{
    return words_size(buckets) + (buckets / PAGE_BUCKETS + 1) * sizeof(uint32_t);
}

static unsigned epoch_shift_of(const struct limiter_units *units)
{
    unsigned shift = 0;
    while (((uint64_t)2 << shift) <= ((uint64_t)1 << EPOCH_BITS) * 1000 / units->per_ms)
        shift++;
    return shift;
}

struct limiter *limiter_new(const struct limiter_config *config)
{
    assert(limiter_burst_of(config) <= limiter_burst_most(&config->rate)); /* limiter_check() */
    uint64_t buckets = limiter_buckets(config->keys);
    char *pages = pages_new(pages_size(buckets));
    if (pages == NULL)
        return NULL;
    struct limiter *limiter = xcalloc(1, sizeof *limiter);
    atomic_init(&limiter->references, 1);
    limiter->name = xstrdup(config->name);
    limiter->config = *config;
    limiter->key = copy_key(&config->key);
    limiter->units = limiter_units_of(&config->rate);
    limiter->epoch_shift = epoch_shift_of(&limiter->units);
    limiter->burst = limiter_burst_of(config);
    limiter->buckets = buckets;
    limiter->words = (void *)pages;
    limiter->stamps = (void *)(pages + words_size(buckets));
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
    pages_free((void *)limiter->words, pages_size(limiter->buckets));
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
    return us / 1000 * limiter->units.per_ms + us % 1000 * limiter->units.per_ms / 1000;
}

/* How far the word's time is ahead of now; 0 when it has passed. */
static uint64_t units_ahead(uint64_t word, uint64_t now)
{
    uint64_t ahead = (word - now) & TIME_MASK;
    return ahead <= AHEAD_MOST ? ahead : 0;
}

/* Clears the words of a page that was last looked through in the epoch before, or earlier. all: their times
 * have all passed, whatever they seem to be. */
static void page_clear(struct limiter *limiter, uint64_t page, uint64_t now, bool all)
{
    uint64_t begin = page * PAGE_BUCKETS, end = begin + PAGE_BUCKETS;
    if (end > limiter->buckets)
        end = limiter->buckets;
    for (uint64_t i = begin * WORDS; i < end * WORDS; i++) {
        uint64_t word = atomic_load_explicit(&limiter->words[i], memory_order_relaxed);
        if (word != 0 && (all || units_ahead(word, now) == 0)) /* else somebody was faster */
            (void)atomic_compare_exchange_strong_explicit(&limiter->words[i], &word, 0, memory_order_relaxed,
                                                          memory_order_relaxed);
    }
}

/* The time by which the words of this bucket are to be read: now, or what another worker's clock has made of
 * it, in units. Its page has been looked through in this epoch. */
static uint64_t bucket_now(struct limiter *limiter, uint64_t bucket, uint64_t now_us)
{
    uint64_t page = bucket / PAGE_BUCKETS;
    uint32_t epoch = (uint32_t)(now_us >> limiter->epoch_shift);
    uint32_t stamp = atomic_load_explicit(&limiter->stamps[page], memory_order_acquire);
    if (LIKELY(stamp == epoch))
        return units_of(limiter, now_us);
    if ((int32_t)(epoch - stamp) < 0)
        return units_of(limiter, (uint64_t)stamp << limiter->epoch_shift);
    uint64_t now = units_of(limiter, now_us);
    page_clear(limiter, page, now, epoch - stamp > EPOCHS_AHEAD);
    atomic_store_explicit(&limiter->stamps[page], epoch, memory_order_release);
    return now;
}

struct place {
    _Atomic uint64_t *word;
    uint64_t seen, tag;
    uint64_t now, ahead; /* units */
    bool taken_over;     /* it is another key's, which has not passed */
};

/* The word of this tag, else the one with the oldest time. */
static void place_look(struct place *place, _Atomic uint64_t *words)
{
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t word = atomic_load_explicit(&words[i], memory_order_relaxed);
        bool own = word >> TAG_SHIFT == place->tag;
        uint64_t ahead = word == 0 ? 0 : units_ahead(word, place->now) + 1; /* free ones before passed ones */
        if (!own && ahead >= least)
            continue;
        least = ahead;
        place->word = &words[i];
        place->seen = word;
        place->ahead = ahead == 0 ? 0 : ahead - 1;
        place->taken_over = !own && place->ahead != 0;
        if (own)
            return;
    }
}

static struct place place_of(struct limiter *limiter, uint64_t hash, uint64_t now_us)
{
    uint64_t bucket = hash & (limiter->buckets - 1);
    struct place place = {.tag = hash >> TAG_SHIFT, .now = bucket_now(limiter, bucket, now_us)};
    if (place.tag == 0)
        place.tag = 1; /* a word of 0 is a free one */
    place_look(&place, &limiter->words[bucket * WORDS]);
    return place;
}

/* False: another worker was first, look again. */
static bool place_set(const struct place *place, uint64_t ahead)
{
    uint64_t seen = place->seen;
    return atomic_compare_exchange_weak_explicit(place->word, &seen,
                                                 place->tag << TAG_SHIFT | ((place->now + ahead) & TIME_MASK),
                                                 memory_order_relaxed, memory_order_relaxed);
}

static uint64_t units_to_us(const struct limiter *limiter, uint64_t units)
{
    return (units * 1000 + limiter->units.per_ms - 1) / limiter->units.per_ms;
}

struct limiter_verdict limiter_admit(struct limiter *limiter, uint64_t hash, uint64_t now_us)
{
    uint64_t interval = limiter->units.interval, most = limiter->burst * interval;
    for (;;) {
        struct place place = place_of(limiter, hash, now_us);
        uint64_t ahead = place.ahead + interval;
        if (ahead > most)
            return (struct limiter_verdict){.taken_over = place.taken_over,
                                            .retry_after_us = units_to_us(limiter, ahead - most)};
        if (!place_set(&place, ahead))
            continue;
        if (place.seen == 0)
            pages_used((void *)limiter->words, pages_size(limiter->buckets), (const void *)place.word);
        uint64_t remaining = (most - ahead) / interval;
        return (struct limiter_verdict){
            .admitted = true,
            .taken_over = place.taken_over,
            .remaining = remaining,
            .retry_after_us = remaining != 0 ? 0 : units_to_us(limiter, ahead + interval - most),
        };
    }
}

void limiter_give_back(struct limiter *limiter, uint64_t hash, uint64_t now_us)
{
    uint64_t interval = limiter->units.interval;
    for (;;) {
        struct place place = place_of(limiter, hash, now_us);
        if (place.taken_over || place.ahead < interval || place_set(&place, place.ahead - interval))
            return;
    }
}
