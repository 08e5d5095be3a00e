/*
 * max_connections: auto. How many requests a server may be given at once follows from how long its answers
 * take beside the shortest they took (balancing.md 8): a server that lets requests wait gets fewer, those
 * wait here.
 */
#ifndef WEIR_UPSTREAM_SERVER_LIMIT_H
#define WEIR_UPSTREAM_SERVER_LIMIT_H

#include <stdint.h>

#include "upstream/server.h"

struct pool;

/* More answers, with the sum of the logarithms of their times in microseconds and the least of these; the
 * caller holds the score's lock. */
void limit_gather(struct server_limit *limit, double answers, double logs, uint64_t least_us,
                  uint64_t now_us);
/* It is down: when it comes back it gets what it had, and then more and more. Any thread. */
void limit_server_left(struct server *server);
/* Once each SCORE_TICK_US, by one worker: sets the limits of servers that adapt or come back, and looks how
 * the pool's queue changes. */
void limit_judge(const struct pool *pool, uint64_t now_us);

#define STEADY_IN_A_ROW 3 /* looks; one alone may be the turn from more to fewer */

/* As many have come for a second and a half as were answered: who waits gets his turn, and nobody is too
 * much.
 */
static inline bool queue_is_steady(const struct pool_shared *shared)
{
    return atomic_load_explicit(&shared->steady_in_a_row, memory_order_relaxed) >= STEADY_IN_A_ROW;
}

#endif
