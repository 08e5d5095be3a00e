/*
 * The rate limiter: GCRA (ITU-T I.371) with one 64-bit atomic word a key in a table of fixed size. Shared by
 * all workers without locks; exact: in any window w a key is admitted at most burst + rate * w times. A word
 * is 20 bits of tag and 44 bits of the theoretical arrival time (TAT) in units of the limiter.
 */
#ifndef WEIR_FILTER_LIMITER_H
#define WEIR_FILTER_LIMITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

struct limiter;
struct limiter_config;

struct limiter_verdict {
    bool admitted;
    bool taken_over;         /* the table is full: it is counted on top of another key */
    uint64_t remaining;      /* requests that would be admitted right now, after this one */
    uint64_t retry_after_us; /* until the next would be admitted; 0 when one would be now */
};
/* NULL: no memory for its keys. */
struct limiter *limiter_new(const struct limiter_config *config) MUST_CHECK;
struct limiter *limiter_take(struct limiter *limiter);
void limiter_release(struct limiter *limiter); /* any thread */
/* its counts go on meaning the same */
bool limiter_is_same(const struct limiter *limiter, const struct limiter_config *config);
/* hash: keyed, of the key. now_us: monotonic. */
struct limiter_verdict limiter_admit(struct limiter *limiter, uint64_t hash, uint64_t now_us);
/* Takes one admission back (another limit refused the request). */
void limiter_give_back(struct limiter *limiter, uint64_t hash, uint64_t now_us);
uint64_t limiter_burst(const struct limiter *limiter);
uint64_t limiter_rate_count(const struct limiter *limiter);
uint64_t limiter_rate_seconds(const struct limiter *limiter);
bool limiter_is_unused(const struct limiter *limiter); /* only its set refers to it */
const char *limiter_name(const struct limiter *limiter);

#endif
