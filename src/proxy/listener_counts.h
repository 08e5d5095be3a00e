/*
 * How many connections a listener address has, over all workers and across reloads, and how many each client
 * has there. Sets are for the thread that loads; entering and leaving is for any thread. Caps come with each
 * call: they belong to the snapshot.
 */
#ifndef WEIR_PROXY_LISTENER_COUNTS_H
#define WEIR_PROXY_LISTENER_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

struct ip_address;
struct listener_counts;
struct listener_counts_set;

struct listener_counts_set *listener_counts_set_new(void);
void listener_counts_set_free(struct listener_counts_set *set);
/* Finds or makes the counts of an address, and takes a reference. */
struct listener_counts *listener_counts_set_take(struct listener_counts_set *set, const char *address);
void listener_counts_set_sweep(struct listener_counts_set *set); /* drops those nobody refers to */
/* any thread; NULL allowed; memory goes with the next sweep */
void listener_counts_release(struct listener_counts *counts);

/* most: 0 for no cap. False: the cap is reached and nothing was counted. */
bool listener_counts_enter(struct listener_counts *counts, uint64_t most) MUST_CHECK;
void listener_counts_leave(struct listener_counts *counts);
/* By the client's address, IPv6 by its /64. Only while a cap is configured: it takes a lock. */
bool listener_counts_enter_client(struct listener_counts *counts, const struct ip_address *client,
                                  uint64_t most) MUST_CHECK;
void listener_counts_leave_client(struct listener_counts *counts, const struct ip_address *client);

#endif
