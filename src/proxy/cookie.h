/* Cookies that weir gives to clients (RFC 6265), and what rests on them: sticky sessions and stable splits.
 */
#ifndef WEIR_PROXY_COOKIE_H
#define WEIR_PROXY_COOKIE_H

#include <stdbool.h>

#include "base/attributes.h"

struct exchange;
struct exchange_run;
struct pool;
struct plan;

/* Sets run->sticky_server to the server that the client's cookie names, if it names one of this pool. */
void sticky_begin(struct exchange_run *run);
/* To the head of the response: the cookie, when the client has none or another server's. False: the arena is
 * full. */
bool sticky_end(struct exchange_run *run) MUST_CHECK;
/* The pool of a plan that splits which the request's key or cookie decides on; NULL: it has none. */
const struct pool *split_known(const struct plan *plan, const struct exchange *exchange) MUST_CHECK;
/* One of a plan's several pools: the same for the same key or cookie, in proportion to the weights. NULL: the
 * arena is full. */
const struct pool *split_choose(struct exchange_run *run, const struct plan *plan) MUST_CHECK;

#endif
