/*
 * Whether a client takes what waits for it fast enough: at least so many bytes a second, averaged over a
 * time. It has that time at first, each byte it takes buys it some more, and it never has more than twice
 * that time ahead: TCP tells in steps, and a step may be as much as the client's kernel holds. Looked at by
 * deadlines that are there anyway; nothing is done for a byte. The owner stops it (pace_stop()) when nothing
 * waits any more.
 */
#ifndef WEIR_HTTP_PACE_H
#define WEIR_HTTP_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

struct pace {
    uint64_t due;   /* ms: when its time is over; 0: nothing waits */
    uint64_t taken; /* bytes of all it was given that the client had taken at the last look */
};
struct pace_rule {
    uint64_t least;  /* bytes a second; 0: any byte will do */
    uint64_t length; /* ms that are averaged over */
};

static inline void pace_stop(struct pace *pace)
{
    pace->due = 0;
}
static inline bool pace_runs(const struct pace *pace)
{
    return pace->due != 0;
}
/* Bytes wait from now on, if they did not before; what it took meanwhile counts for it. */
void pace_begin(struct pace *pace, uint64_t taken, uint64_t now, const struct pace_rule *rule);
/* Bytes wait. True: its time is over. Else `next` comes no later than when to look again. */
bool pace_is_slow(struct pace *pace, uint64_t taken, uint64_t now, const struct pace_rule *rule,
                  uint64_t *next) MUST_CHECK;

#endif
