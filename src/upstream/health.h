/*
 * Active probes, on the control thread: HTTP, HTTPS and TCP, over the same transports and codec; rise, fall,
 * jitter, no overlap, fast re-check. A worker that marks a server down (refused connects) need not call: it
 * is noticed here.
 */
#ifndef WEIR_UPSTREAM_HEALTH_H
#define WEIR_UPSTREAM_HEALTH_H

#include <stddef.h>

struct health;
struct loop;
struct pool;

struct health *health_new(struct loop *control_loop);
/* The pools of the current snapshot; probes of servers that stay go on with their counts, others end. The
 * pools must live until the next call returns. */
void health_set_pools(struct health *health, struct pool *const *pools, size_t count);
void health_free(struct health *health);

#endif
