/* See loop_run_for.h. */
#include "support/loop_run_for.h"

#include <stdbool.h>
#include <time.h>

#include "net/loop.h"

struct stop {
    struct loop *loop;
    struct deadline deadline;
    bool last_turn;
};

/* One turn more than the time: what was ready when it ran out is still heard. */
static void stop_passed(struct deadline *deadline)
{
    struct stop *stop = CONTAINER_OF(deadline, struct stop, deadline);
    if (stop->last_turn)
        loop_stop(stop->loop);
    else
        deadline_set(deadline, stop->loop, 4);
    stop->last_turn = true;
}

void loop_run_for(struct loop *loop, unsigned milliseconds)
{
    struct stop stop = {.loop = loop, .deadline.passed = stop_passed};
    deadline_set(&stop.deadline, loop, milliseconds);
    loop_run(loop);
    deadline_clear(&stop.deadline);
}

struct turn {
    struct task task;
    struct loop *loop;
};

static void turn_ends(struct task *task)
{
    loop_stop(CONTAINER_OF(task, struct turn, task)->loop);
}

void loop_turn(struct loop *loop)
{
    struct turn turn = {.task.run = turn_ends, .loop = loop};
    loop_later(loop, &turn.task); /* which also lets the loop not wait */
    loop_run(loop);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}
