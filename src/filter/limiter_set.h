/* Finding the limiter of a name, and the counts of requests in flight, while a snapshot is built. */
#ifndef WEIR_FILTER_LIMITER_SET_H
#define WEIR_FILTER_LIMITER_SET_H

#include <stdint.h>

#include "base/attributes.h"

struct limiter;
struct limiter_config;
struct limiter_set;

/* The limiter that already counts for this definition, or a new one; with a reference for the caller. NULL:
 * no memory. */
struct limiter *limiter_set_find(struct limiter_set *set, const struct limiter_config *config) MUST_CHECK;

/* Requests in flight of one route; what the words mean is in_flight.c's. They stay over reloads: requests
 * that began under the older file still count. */
struct in_flight_table {
    uint64_t whose; /* hash of what tells routes apart */
    uint64_t build; /* the last that took it */
    uint32_t users; /* filters of snapshots */
    uint64_t buckets;
    _Atomic uint64_t *words;
};
/* The n-th asking for `whose` in a build gets the table that the n-th of an earlier one got, or a new one of
 * zeros. NULL: no memory. */
struct in_flight_table *limiter_set_in_flight(struct limiter_set *set, uint64_t whose,
                                              uint64_t buckets) MUST_CHECK;
void in_flight_table_release(struct in_flight_table *table); /* the thread that loads, as all of this */

#endif
