/* Whether a request that came to nothing at a server goes to another one, and when (protocol.md 30 to 32,
 * balancing.md 7). */
#ifndef WEIR_PROXY_RETRY_H
#define WEIR_PROXY_RETRY_H

#include <stdbool.h>

#include "base/attributes.h"
#include "http/failure.h"

struct exchange_run;
struct server;
struct stream;
struct upstream_waiter;

/* A try came to nothing at its server, if it had one: for the log, and so that no other try goes there. */
void retry_record(struct exchange_run *run, const struct upstream_waiter *waiter, const char *why);
/* The same server is to have the request once more, over another connection: that is no retry. stream: NULL
 * when none was had. */
bool retry_same_server(struct exchange_run *run, enum failure why, const struct stream *stream) MUST_CHECK;
/* Another server is to have it; these spend the budget and set run->retry_pause when they say so. The first
 * wants retry_record() before, and spends nothing where nothing was sent. */
bool retry_after_failure(struct exchange_run *run, const struct upstream_waiter *waiter, enum failure why,
                         const struct stream *stream) MUST_CHECK;
bool retry_after_status(struct exchange_run *run, const struct server *server, unsigned status) MUST_CHECK;
/* The request was a retry already when it came. */
bool retry_came_so(const struct exchange_run *run);
/* Tells the next server which attempt it is. False: the arena is full. */
bool retry_tell(struct exchange_run *run) MUST_CHECK;

#endif
