/*
 * How many retries one worker may make for one pool: a bucket that requests fill and retries empty, so that a
 * broken pool is not hit twice as hard.
 */
#ifndef WEIR_UPSTREAM_RETRY_BUDGET_H
#define WEIR_UPSTREAM_RETRY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

/* Zeroed is new. */
struct retry_budget {
    double tokens;      /* retries that may be made now */
    double earned;      /* by requests, since floor_us */
    double rate;        /* requests a second, smoothed */
    uint64_t floor_us;  /* up to here the floor has been granted; 0: not used yet */
    uint64_t window_us; /* begin of the second that is being counted */
    uint32_t requests;  /* in it */
};
/* share: retries a request earns, 0.2 for 20%; 0: no retries at all. */
void retry_budget_earn(struct retry_budget *budget, double share, uint64_t now_us);
bool retry_budget_spend(struct retry_budget *budget, double share, uint64_t now_us) MUST_CHECK;

#endif
