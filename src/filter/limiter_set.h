/* Finding the limiter of a name while a snapshot is built. */
#ifndef WEIR_FILTER_LIMITER_SET_H
#define WEIR_FILTER_LIMITER_SET_H

struct limiter;
struct limiter_config;
struct limiter_set;

/* The limiter that already counts for this definition, or a new one; with a reference for the caller. */
struct limiter *limiter_set_find(struct limiter_set *set, const struct limiter_config *config);

#endif
