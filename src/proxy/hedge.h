/*
 * Hedging: a request whose answer is later than most is sent to a second server, the first answer that is no
 * error wins, and the other attempt is cancelled (balancing.md 7). Only what is idempotent and has no body;
 * only while nothing queues, since in a fleet that is full the requests that are late are those that cost
 * most.
 */
#ifndef WEIR_PROXY_HEDGE_H
#define WEIR_PROXY_HEDGE_H

#include <stdbool.h>

#include "base/attributes.h"
#include "http/failure.h"
#include "net/loop.h"

struct attempt;
struct exchange_run;

/* In the exchange's arena. */
struct hedge {
    struct exchange_run *run;
    struct attempt *copy; /* the second attempt, while both are under way */
    struct deadline deadline;
};
/* The first attempt has been sent. */
void hedge_begin(struct exchange_run *run);
/* A head came; only while there is run->hedge. False: it is not, or no longer, this attempt whose answer is
 * waited for. */
bool hedge_head(struct exchange_run *run, struct attempt *attempt, unsigned status) MUST_CHECK;
/* An attempt came to nothing; true: another is under way, nothing is to be done. */
bool hedge_failed(struct exchange_run *run, struct attempt *attempt, enum failure why) MUST_CHECK;
void hedge_cancel(struct exchange_run *run);

#endif
