/*
 * The kernel spreads connections over the workers' sockets by a hash, which is even only in the long run, and
 * connections can live long. So a worker that has more clients than another hands a new one over, before
 * anything was read from it.
 */
#ifndef WEIR_PROXY_HAND_OVER_H
#define WEIR_PROXY_HAND_OVER_H

#include <limits.h>

#include "base/attributes.h"
#include "net/address.h"
#include "proxy/worker.h"

/* True: another worker has the socket, which was accepted at that address of the current snapshot. */
bool hand_over(struct worker *worker, int fd, const struct address *peer, const char *address) MUST_CHECK;
/* Another worker may have one that goes for it. hops: how many had it before; false: enough had it, it must
 * not be handed on, or too many are on their way. */
#define HOPS_ALL UINT_MAX
bool hand_on_is_over(const struct worker *worker, unsigned hops);
/* Many are on their way: better wait than come to that. */
bool hand_on_is_slow(const struct worker *worker);
bool hand_on(struct worker *worker, int fd, const struct address *peer, const char *address,
             unsigned hops) MUST_CHECK;

#endif
