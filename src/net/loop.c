/*
 * Turns: events by libevent, then tasks, then frees. Deadlines are on a hashed timing wheel of 4 ms ticks
 * with one libevent timer, which stands at the next tick that has anything filed, and is not touched while a
 * sooner one stands.
 */
#include "net/loop.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"

#define TICK_MS 4u
#define WHEEL_SLOTS 4096u /* 16 s a round; later deadlines are filed again when their slot comes by */
#define EVENTS_A_TURN                                                                                       \
    256u                    /* then what they caused is done: the servers get the first requests of a burst \
                               while the last are still to be read */
#define TASKS_A_TURN 10000u /* fairness: the rest wakes the next turn at once */

struct tasks {
    struct task *first, *last;
};

struct loop {
    struct event_base *base;
    struct event timer;
    uint64_t now_us;
    uint64_t tick;               /* all slots up to this tick were looked at */
    uint64_t timer_tick;         /* where the timer stands; 0: nowhere */
    struct tasks tasks, put_off; /* those put off to the next tick */
    struct deadline next_tick;   /* set while any are */
    struct retired *retired;
    bool stopping;
    bool awake;      /* the clock was read in this turn */
    unsigned events; /* of this turn */
    /* a list once its slot is occupied: most of these pages are never touched */
    struct list wheel[WHEEL_SLOTS];
    uint64_t occupied[WHEEL_SLOTS / 64];
};

static void loop_read_clock(struct loop *loop)
{
    loop->now_us = clock_monotonic_us();
}

/* Every callback of libevent begins with this: one clock reading a turn. */
static void loop_wake(struct loop *loop)
{
    if (loop->awake)
        return;
    loop->awake = true;
    loop_read_clock(loop);
}

uint64_t loop_now(const struct loop *loop)
{
    return loop->now_us / 1000;
}

uint64_t loop_now_us(const struct loop *loop)
{
    return loop->now_us;
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

/* ---- the wheel ---- */

/* The next tick after `from` whose slot has something; at most one round on. */
static uint64_t wheel_next(const struct loop *loop, uint64_t from)
{
    for (uint64_t i = 1; i <= WHEEL_SLOTS;) {
        uint64_t slot = (from + i) % WHEEL_SLOTS;
        uint64_t rest = loop->occupied[slot / 64] >> (slot % 64);
        if (rest != 0)
            return from + i + (uint64_t)__builtin_ctzll(rest);
        i += 64 - slot % 64;
    }
    return from + WHEEL_SLOTS;
}

static void timer_stand_at(struct loop *loop, uint64_t tick)
{
    loop->timer_tick = tick;
    uint64_t due_us = tick * TICK_MS * 1000;
    uint64_t wait = due_us > loop->now_us ? due_us - loop->now_us : 0;
    struct timeval timeval = {.tv_sec = (time_t)(wait / 1000000), .tv_usec = (suseconds_t)(wait % 1000000)};
    if (event_add(&loop->timer, &timeval) != 0)
        die("event loop: no memory for a timer");
}

static void deadline_file(struct deadline *deadline, struct loop *loop)
{
    uint64_t tick = deadline->due / TICK_MS + 1; /* never early */
    if (tick <= loop->tick)
        tick = loop->tick + 1;
    if (tick > loop->tick + WHEEL_SLOTS - 1)
        tick = loop->tick + WHEEL_SLOTS - 1;
    deadline->filed = tick;
    uint64_t slot = tick % WHEEL_SLOTS, bit = (uint64_t)1 << (slot % 64);
    if ((loop->occupied[slot / 64] & bit) == 0)
        list_init(&loop->wheel[slot]);
    loop->occupied[slot / 64] |= bit;
    list_push_back(&loop->wheel[slot], &deadline->at);
    if (loop->timer_tick == 0 || tick < loop->timer_tick)
        timer_stand_at(loop, tick);
}

void deadline_set(struct deadline *deadline, struct loop *loop, uint64_t milliseconds)
{
    uint64_t due = loop_now(loop) + milliseconds;
    deadline->due = due != 0 ? due : 1;
    if (list_is_linked(&deadline->at)) {
        if (deadline->due / TICK_MS + 1 >= deadline->filed)
            return; /* comes up early, looks, and is filed again */
        list_remove(&deadline->at);
    }
    deadline_file(deadline, loop);
}

void deadline_clear(struct deadline *deadline)
{
    deadline->due = 0;
    list_remove(&deadline->at);
}

/* One slot has come: those that are due pass, the others are filed again. */
static void wheel_turn_slot(struct loop *loop, uint64_t tick)
{
    struct list *slot = &loop->wheel[tick % WHEEL_SLOTS];
    uint64_t bit = (uint64_t)1 << (tick % WHEEL_SLOTS % 64), *word = &loop->occupied[tick % WHEEL_SLOTS / 64];
    if ((*word & bit) == 0)
        return;
    *word &= ~bit;
    struct list now;
    list_init(&now);
    while (!list_is_empty(slot)) {
        struct list *node = slot->next;
        list_remove(node);
        list_push_back(&now, node);
    }
    while (!list_is_empty(&now)) {
        struct list *node = now.next;
        struct deadline *deadline = CONTAINER_OF(node, struct deadline, at);
        list_remove(node);
        if (deadline->due > loop_now(loop)) {
            deadline_file(deadline, loop);
            continue;
        }
        deadline->due = 0;
        deadline->passed(deadline);
    }
}

static void wheel_turn(struct loop *loop)
{
    uint64_t last = loop_now(loop) / TICK_MS;
    loop->timer_tick = 0;
    while (loop->tick < last) {
        uint64_t next = wheel_next(loop, loop->tick);
        if (next > last) {
            loop->tick = last;
            break;
        }
        loop->tick = next;
        wheel_turn_slot(loop, next);
    }
    uint64_t next = wheel_next(loop, loop->tick);
    if (loop->occupied[next % WHEEL_SLOTS / 64] >> (next % WHEEL_SLOTS % 64) & 1)
        if (loop->timer_tick == 0 || next < loop->timer_tick)
            timer_stand_at(loop, next);
}

static void timer_fired(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    struct loop *loop = argument;
    loop_wake(loop);
    wheel_turn(loop);
}

/* ---- turns ---- */

static struct task last_mark; /* behind the last: so that `next` tells of every task whether it is queued */

static void tasks_add(struct tasks *tasks, struct task *task)
{
    if (task->next != NULL)
        return;
    task->next = &last_mark;
    if (tasks->last != NULL)
        tasks->last->next = task;
    else
        tasks->first = task;
    tasks->last = task;
}

/* False: it is not among these. */
static bool tasks_remove(struct tasks *tasks, struct task *task)
{
    struct task *before = NULL, *at = tasks->first;
    while (at != task && at != NULL && at != &last_mark) {
        before = at;
        at = at->next;
    }
    if (at != task)
        return false;
    if (before != NULL)
        before->next = task->next;
    else
        tasks->first = task->next != &last_mark ? task->next : NULL;
    if (tasks->last == task)
        tasks->last = before;
    task->next = NULL;
    return true;
}

void loop_later(struct loop *loop, struct task *task)
{
    tasks_add(&loop->tasks, task);
}

void loop_next_tick(struct loop *loop, struct task *task)
{
    tasks_add(&loop->put_off, task);
    if (!deadline_is_set(&loop->next_tick))
        deadline_set(&loop->next_tick, loop, TICK_MS);
}

static void next_tick_passed(struct deadline *deadline)
{
    struct loop *loop = CONTAINER_OF(deadline, struct loop, next_tick);
    struct tasks *tasks = &loop->tasks, *put_off = &loop->put_off;
    if (put_off->first == NULL)
        return;
    if (tasks->last != NULL)
        tasks->last->next = put_off->first;
    else
        tasks->first = put_off->first;
    tasks->last = put_off->last;
    *put_off = (struct tasks){0};
}

void loop_cancel(struct loop *loop, struct task *task)
{
    if (task->next != NULL && !tasks_remove(&loop->tasks, task))
        (void)tasks_remove(&loop->put_off, task);
}

static void loop_run_tasks(struct loop *loop)
{
    for (unsigned i = 0; i < TASKS_A_TURN && loop->tasks.first != NULL; i++) {
        struct task *task = loop->tasks.first;
        if (task->next != &last_mark)
            loop->tasks.first = task->next;
        else
            loop->tasks = (struct tasks){0};
        task->next = NULL;
        task->run(task);
    }
}

void loop_retire(struct loop *loop, struct retired *self)
{
    self->next = loop->retired;
    loop->retired = self;
}

static void loop_free_retired(struct loop *loop)
{
    while (loop->retired != NULL) {
        struct retired *self = loop->retired;
        loop->retired = self->next;
        self->free(self);
    }
}

struct loop *loop_new(void)
{
    struct loop *loop = xcalloc(1, sizeof *loop);
    struct event_config *config = event_config_new();
    if (config == NULL ||
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) != 0)
        die("event loop: libevent refuses its settings");
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    if (loop->base == NULL)
        die("event loop: libevent has no backend");
    loop_read_clock(loop);
    loop->tick = loop_now(loop) / TICK_MS;
    event_assign(&loop->timer, loop->base, -1, 0, timer_fired, loop);
    loop->next_tick.passed = next_tick_passed;
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    loop_run_tasks(loop);
    loop_free_retired(loop);
    event_del(&loop->timer);
    event_base_free(loop->base);
    free(loop);
}

void loop_run(struct loop *loop)
{
    loop->stopping = false;
    while (!loop->stopping) {
        int flags = EVLOOP_ONCE;
        if (loop->tasks.first != NULL)
            flags |= EVLOOP_NONBLOCK;
        loop->awake = false;
        loop->events = 0;
        if (event_base_loop(loop->base, flags) < 0)
            die("event loop: libevent failed");
        loop_wake(loop);
        loop_run_tasks(loop);
        loop_free_retired(loop);
    }
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
    event_base_loopbreak(loop->base);
}

/* ---- watches ---- */

struct watch {
    union {
        struct event event;
        struct retired retired; /* once it is no more watched */
    };
    struct loop *loop;
    void (*ready)(void *owner, unsigned bits);
    void *owner;
};

static void watch_fired(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    struct watch *watch = argument;
    loop_wake(watch->loop);
    if (++watch->loop->events == EVENTS_A_TURN)
        event_base_loopbreak(watch->loop->base); /* the rest stays active */
    unsigned bits = 0;
    if (what & (EV_READ | EV_CLOSED))
        bits |= WATCH_READ;
    if (what & EV_WRITE)
        bits |= WATCH_WRITE;
    watch->ready(watch->owner, bits);
}

static short watch_events(unsigned bits)
{
    short events = EV_PERSIST;
    if (bits & WATCH_READ)
        events |= EV_READ;
    if (bits & WATCH_WRITE)
        events |= EV_WRITE;
    return events;
}

static bool watch_register(struct watch *watch, int fd, unsigned bits)
{
    return event_assign(&watch->event, watch->loop->base, fd, watch_events(bits), watch_fired, watch) == 0 &&
           (bits == 0 || event_add(&watch->event, NULL) == 0);
}

struct watch *watch_new(struct loop *loop, int fd, unsigned bits, void (*ready)(void *owner, unsigned bits),
                        void *owner)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return NULL;
    watch->loop = loop;
    watch->ready = ready;
    watch->owner = owner;
    if (watch_register(watch, fd, bits))
        return watch;
    free(watch);
    return NULL;
}

bool watch_change(struct watch *watch, unsigned bits)
{
    short events = watch_events(bits);
    if ((event_get_events(&watch->event) & (EV_READ | EV_WRITE | EV_PERSIST)) == events)
        return true;
    int fd = (int)event_get_fd(&watch->event);
    event_del(&watch->event);
    return watch_register(watch, fd, bits);
}

static void watch_free_now(struct retired *retired)
{
    free(CONTAINER_OF(retired, struct watch, retired));
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    event_del(&watch->event);
    watch->retired.free = watch_free_now;
    loop_retire(watch->loop, &watch->retired);
}
