/*
 * Copies of requests for a shadow pool: sent once, their answers dropped. Nothing of the request that is
 * copied waits for its copy, and what would cost too much is not copied: a body over the pool's retry.buffer,
 * more copies at once than the route allows, or any while the shadow pool has nobody well.
 */
#ifndef WEIR_PROXY_MIRROR_H
#define WEIR_PROXY_MIRROR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct exchange_run;
struct fields;
struct worker;

/* A request that shall be copied, until its body is whole. In the exchange's arena. */
struct mirror_body {
    struct buf kept;
};
/* The request is about to be forwarded: copies it at once when it has no body, or begins to keep that. */
void mirror_begin(struct exchange_run *run);
/* What of the body comes; only while run->mirror is not NULL. bytes: left as they are. */
void mirror_body(struct exchange_run *run, const struct buf *bytes, bool last);
/* The request ends with them, as the filters have left them; the same. */
void mirror_trailers(struct exchange_run *run, const struct fields *trailers);
/* The exchange ends before its request was whole. */
void mirror_drop(struct exchange_run *run);
/* The worker stops: its copies end. */
void mirrors_stop(struct worker *worker);
/* Memory is short: all go. */
void mirrors_shed(struct worker *worker);
/* Ends those that run under the snapshot of that number. */
void mirrors_cut(struct worker *worker, uint64_t snapshot);

#endif
