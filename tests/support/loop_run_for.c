/* See loop_run_for.h. */
#include "support/loop_run_for.h"

#include <stdbool.h>
#include <time.h>

#include "net/loop.h"

/* After the time: what was ready when it ran out is still heard, what the kernel brings a little late, and
 * what comes of both in the turns that follow, however slow the machine was meanwhile. */
#define LATE_MS 4u
#define TURNS_AFTER 8u

struct stop {
    struct task task;
    struct deadline deadline;
    struct loop *loop;
    bool late;
};

static void stop_passed(struct deadline *deadline)
{
    struct stop *stop = CONTAINER_OF(deadline, struct stop, deadline);
    if (stop->late)
        loop_stop(stop->loop);
    else
        deadline_set(deadline, stop->loop, LATE_MS);
    stop->late = true;
}

static void stop_now(struct task *task)
{
    loop_stop(CONTAINER_OF(task, struct stop, task)->loop);
}

static void one_turn(struct loop *loop)
{
    struct stop stop = {.task.run = stop_now, .loop = loop};
    loop_later(loop, &stop.task); /* which also lets the loop not wait */
    loop_run(loop);
}

void loop_run_for(struct loop *loop, unsigned milliseconds)
{
    struct stop stop = {.deadline.passed = stop_passed, .loop = loop};
    deadline_set(&stop.deadline, loop, milliseconds);
    loop_run(loop);
    deadline_clear(&stop.deadline);
    for (unsigned i = 0; i < TURNS_AFTER; i++)
        one_turn(loop);
}

void loop_turn(struct loop *loop)
{
    one_turn(loop);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}
