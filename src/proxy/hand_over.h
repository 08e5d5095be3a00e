/*
 * The kernel spreads connections over the workers' sockets by a hash, which is even only in the long run, and
 * connections can live long. So a worker that has more clients than another hands a new one over, before
 * anything was read from it.
 */
#ifndef WEIR_PROXY_HAND_OVER_H
#define WEIR_PROXY_HAND_OVER_H

#include "base/attributes.h"
#include "net/address.h"
#include "proxy/worker.h"

/* True: another worker has the socket, which was accepted at that address of the current snapshot. */
bool hand_over(struct worker *worker, int fd, const struct address *peer, const char *address) MUST_CHECK;

#endif
