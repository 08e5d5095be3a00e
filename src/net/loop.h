/*
 * One thread's event loop. It runs a turn at a time: events, then tasks until none is left (bounded), then
 * frees what was retired in the turn. From this follow the turn rules: no callback inside a call, `closed`
 * once and last, nothing freed in the turn in which it dies.
 */
#ifndef WEIR_NET_LOOP_H
#define WEIR_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/list.h"

struct event_base;
struct loop;

/* Work put off to the end of the turn. Zeroed is idle. Queued at most once: a second loop_later() before it
 * ran changes nothing. */
struct task {
    void (*run)(struct task *task);
    struct task *next; /* NULL: not queued; the last one's is a mark */
};
/* Freed after the turn in which it was retired. */
struct retired {
    void (*free)(struct retired *self);
    struct retired *next;
};
/* A timer that costs nothing to push back: kept on the loop's timing wheel; when it comes up early it is
 * filed again. Zeroed is unset. Ticks are 4 ms; it passes at the due time or up to two ticks after, never
 * before. */
struct deadline {
    struct list at;
    uint64_t due; /* loop_now() milliseconds; 0: unset */
    uint64_t filed;
    void (*passed)(struct deadline *self);
};

struct loop *loop_new(void);
void loop_free(struct loop *loop);
void loop_run(struct loop *loop);  /* until loop_stop() */
void loop_stop(struct loop *loop); /* from its own thread */
void loop_later(struct loop *loop, struct task *task);
/* The same, but put off to the turn of the next tick: for what has to look again and again, and not spin. */
void loop_next_tick(struct loop *loop, struct task *task);
void loop_cancel(struct loop *loop, struct task *task); /* harmless when not queued */
void loop_retire(struct loop *loop, struct retired *self);
uint64_t loop_now(const struct loop *loop);    /* monotonic milliseconds, one clock reading a turn */
uint64_t loop_now_us(const struct loop *loop); /* the same reading in microseconds */
struct event_base *loop_base(struct loop *loop);

/* from now; moves it when already set */
void deadline_set(struct deadline *deadline, struct loop *loop, uint64_t milliseconds);
void deadline_clear(struct deadline *deadline); /* harmless when not set; from its own passed() too */
static inline bool deadline_is_set(const struct deadline *deadline)
{
    return deadline->due != 0;
}

/* A descriptor on the loop: registered once for its life for reading; writing only while wanted. For
 * listeners, transports, probes. */
struct watch;
enum watch_bit { WATCH_READ = 1, WATCH_WRITE = 2 };
/* NULL: the kernel takes no more of them (epoll's max_user_watches), or there is no memory. */
struct watch *watch_new(struct loop *loop, int fd, unsigned bits, void (*ready)(void *owner, unsigned bits),
                        void *owner) MUST_CHECK;
bool watch_change(struct watch *watch, unsigned bits) MUST_CHECK; /* false likewise: it is not watched now */
void watch_free(struct watch *watch); /* does not close the descriptor; safe inside its own ready() */

#endif
