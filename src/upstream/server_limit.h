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
/* Once each SCORE_TICK_US, by one worker. */
void limit_judge(const struct pool *pool, uint64_t now_us);

#endif
