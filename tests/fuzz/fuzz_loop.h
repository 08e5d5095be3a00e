/* One loop for all inputs of a target, turned so often. */
#ifndef WEIR_TESTS_FUZZ_LOOP_H
#define WEIR_TESTS_FUZZ_LOOP_H

#include <sys/eventfd.h>

#include "net/loop.h"

static struct {
    struct loop *loop;
    struct watch *turns;
    unsigned turns_left;
} fuzz_loop;

static inline void fuzz_turn_over(void *owner, unsigned bits)
{
    (void)owner;
    (void)bits;
    if (fuzz_loop.turns_left-- == 1)
        loop_stop(fuzz_loop.loop);
}

static inline struct loop *fuzz_loop_begin(void)
{
    if (fuzz_loop.loop == NULL) {
        fuzz_loop.loop = loop_new();
        fuzz_loop.turns = watch_new(fuzz_loop.loop, eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC), WATCH_READ,
                                    fuzz_turn_over, NULL);
    }
    return fuzz_loop.loop;
}

static inline void fuzz_turn(unsigned turns)
{
    fuzz_loop.turns_left = turns;
    loop_run(fuzz_loop.loop);
}

#endif
