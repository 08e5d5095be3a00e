/*
 * Who counts what weir holds. Every byte of malloc, of whatever library asked for it, of blocks (block.h) and
 * of tables (pages.h) is counted here, by the thread that takes or gives it: plainly, and in steps into two
 * sums of all threads, of what the file makes weir hold and of what peers do. Threads that serve peers say
 * so; all others are the file's.
 *
 * Of limits.memory the file's part is taken off, and of the rest each level below is a share: at it something
 * more goes or is refused. What that is, and who, is left to callers (proxy/client_memory.c).
 */
#ifndef WEIR_BASE_MEMORY_H
#define WEIR_BASE_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define MEMORY_LEVELS(X)                                                                                \
    /* name, sixteenths of what peers may make weir hold */                                             \
    X(SHARED, 8)          /* a connection that holds more than its share gets nothing new; no copies */ \
    X(QUIET_GO, 12)       /* copies and quiet connections go */                                         \
    X(NO_CONNECTIONS, 13) /* one that comes needs another that goes for it */                           \
    X(NO_REQUESTS, 14)    /* a request likewise */                                                      \
    X(HOLDERS_GO, 15)     /* those who hold most go, unasked */                                         \
    X(FULL, 16)           /* no block is given */

enum memory_level {
    MEMORY_PLENTY,
#define X(name, sixteenths) MEMORY_##name,
    MEMORY_LEVELS(X)
#undef X
};

/* A thread that serves peers; its count is kept here, where other threads may read it. */
struct memory_server {
    /* counts have grown, and the level is not MEMORY_PLENTY, or it is full: called inside malloc() or
     * block_take(), so it may do no more than note it */
    void (*grown)(struct memory_server *server);
    _Atomic int64_t held;
};

extern _Atomic uint32_t memory_level_now; /* enum memory_level */

static inline enum memory_level memory_level(void)
{
    return (enum memory_level)atomic_load_explicit(&memory_level_now, memory_order_relaxed);
}

/* What it would be if peers held so much less, as they will once what goes has gone. */
enum memory_level memory_level_without(uint64_t bytes);
/* Looks, where it has not been looked for a while, how much more the process has than is counted: what the C
 * library could not give back counts, too. now: ms of a clock. */
void memory_weigh(uint64_t now);

/* Sets addresses apart for when malloc() finds none: it then takes these, and the level is MEMORY_FULL until
 * as many could be set apart again. So what needs a small piece gets it, while who holds much goes. */
void memory_set_apart(void);

/* limits.memory: bytes for all; 0, at first: no limit. Any thread. */
void memory_limit(uint64_t bytes);
/* What this thread takes from now on is for peers; NULL: it ends, or serves no more. */
void memory_thread_serves(struct memory_server *server);

/* No more is to be given to peers; this thread's server is told, as if it had grown. */
bool memory_is_full(void) MUST_CHECK;
/* Bytes that were taken (or given back: less than 0) otherwise than by malloc. */
void memory_count(ptrdiff_t bytes);
/* The same for the file, whoever takes it. */
void memory_count_file(ptrdiff_t bytes);
/* What is held, as far as it is known: threads keep up to a step each to themselves. */
uint64_t memory_held_for_peers(void);
uint64_t memory_held_for_file(void);
/* What peers may make weir hold, and what is left of it. */
uint64_t memory_for_peers(void);
/* By how much the file has more than half of the limit: older snapshots have to go. */
uint64_t memory_over_half(void);
uint64_t memory_left(void);
/* What one connection may hold and still get more, once half of it is used: a part of what is left, so that
 * many connections share what there is and one that comes has some. */
#define MEMORY_SHARE 4u
static inline uint64_t memory_share(void)
{
    return memory_level() == MEMORY_PLENTY ? UINT64_MAX : memory_left() / MEMORY_SHARE;
}

#endif
