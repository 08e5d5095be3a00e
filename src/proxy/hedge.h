/*
 * Hedging: a request whose answer is later than most is sent to a second server, the first answer that is no
 * error wins, and the other attempt is cancelled (balancing.md 7). Only what is idempotent and has no body;
 * only while nothing queues, since in a fleet that is full the requests that are late are those that cost
 * most.
 *
 * A route asks for it. Unasked are hedged the requests that go to a server known to be slow, every few
 * seconds, to see whether it still is: otherwise each of these would be a client's loss.
 */
#ifndef WEIR_PROXY_HEDGE_H
#define WEIR_PROXY_HEDGE_H

#include <stdbool.h>

#include "base/attributes.h"
#include "http/failure.h"
#include "net/loop.h"
#include "proxy/exchange_state.h"
#include "upstream/pool.h"

/* In the exchange's arena. */
struct hedge {
    struct exchange_run *run;
    struct attempt *copy; /* the second attempt, while both are under way */
    struct deadline deadline;
    const struct server *trial; /* the server that is tried; NULL: a route asked */
};
/* Whether the server of the current attempt is asked to see whether it is still slow. */
static inline bool hedge_is_trial(const struct exchange_run *run)
{
    return run->pool->hedges_trials &&
           atomic_load_explicit(&run->attempt->waiter.server->known_slow, memory_order_relaxed);
}
/* The first attempt has been sent. */
void hedge_begin(struct exchange_run *run);
/* A head came; only while there is run->hedge. False: it is not, or no longer, this attempt whose answer is
 * waited for. */
bool hedge_head(struct exchange_run *run, struct attempt *attempt, unsigned status) MUST_CHECK;
/* An attempt came to nothing; true: another is under way, nothing is to be done. */
bool hedge_failed(struct exchange_run *run, struct attempt *attempt, enum failure why) MUST_CHECK;
void hedge_cancel(struct exchange_run *run);

#endif
