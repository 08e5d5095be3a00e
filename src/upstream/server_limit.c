/*
 * The limit of max_connections: auto, server by server. The answers of a tenth of a second, or of as long as
 * it takes to have enough of them, give a geometric mean, which for times of servers is about the median. A
 * server has no limit until it plainly lets requests wait: the median is PATIENCE times the usual, not one of
 * the answers came within the usual, and no fewer come than are answered, twice in a row. So a burst that the
 * server works off gets what it needs, and so do a few slow requests among others. From then on the limit
 * follows the median, from what the server then had, and goes after a time without trouble. (A gradient limit
 * as in Netflix's concurrency-limits; constants from simulations, balancing.md 8, whose limit is never open:
 * a pool of one server then refuses bursts that the server would have taken.)
 *
 * Whether requests wait there or only take so long can't be seen from their times. So a limit that stays is
 * put to the test: for a moment the server gets twice as many. If each then takes no longer, they did not
 * wait for each other: the limit is lifted, and what they take is the usual from now on.
 *
 * A limit serves to shed what is too much, and nothing is where no more come than are answered: clients, as
 * many as they may be, that ask again when they have their answer. So it takes a server where ever more
 * requests wait to have one, and it goes when the pool's queue stays as long as it is.
 *
 * A server that comes back is not given what its whole pool is asked, which it would be where it is the first
 * of them: it begins with what it had in good times, and the rest waits here. Its limit then grows as TCP's
 * window does, twofold with each round of answers that take no longer than usual, in smaller steps once some
 * did, and is gone when nobody waits for it. One with a number has this limit beside it.
 */
#include "upstream/server_limit.h"

#include <math.h>

#include "base/counters.h"
#include "base/log_crowd.h"
#include "upstream/pool.h"
#include "upstream/server_score.h"

#define ANSWERS_LEAST 20.0    /* for one judgement; half as many when they leave no doubt: */
#define NO_DOUBT 2.0          /* times what is a queue */
#define STALE_US 30000000u    /* answers older than this are not judged with newer ones */
#define PATIENCE 4.0          /* F: the usual time, times this, is not yet a queue */
#define USUAL_LEAST_US 5000.0 /* nobody is hurt by a queue that is this much times PATIENCE long */
#define USUAL_FALLS 0.3       /* of the gap, at each judgement below it */
#define USUAL_RISES_US \
    300e6 /* in which it rises by e: what a server became slower by for good is forgotten */
#define USUAL_RISES_MOST \
    1.0 /* times e, from one judgement to the next: a quiet night is not news of what a server can do */
#define DRAINS 0.75     /* requests that come for one that is answered: fewer, and the queue goes by itself */
#define SLOW_IN_A_ROW 2 /* judgements after which a server without a limit gets one, if more wait there: */
#define GROWS 1.1       /* times those of the first of them */
#define STEP_LEAST 0.5  /* of the limit, in one judgement */
#define STEP_MOST 1.25
#define REACHED 1.1      /* times the limit still wait there: it is not lowered further */
#define LIMIT_LEAST 24.0 /* that wait for their head; balancing.md says 32, of all in flight */
#define LIMIT_MOST 1000.0
#define OPENS_AFTER_US 1000000u /* without a judgement that answers take too long */
#define TRIAL_AFTER_US 3000000u /* of a limit that stays; then after twice the time each, up to: */
#define TRIAL_AFTER_MOST_US 60000000u
#define TRIAL_FACTOR 2.0
#define TRIAL_LONGER 1.3  /* a queue of twice the length takes twice as long; this is not more than chance */
#define TRIAL_BINDING 0.7 /* of its limit has to be used, or the trial shows nothing */
#define STEADY_US 500000u /* between two looks at how many wait; steady is a change of at most: */
#define STEADY_SHARE 0.05 /* of them, and their square root, which is chance */
#define TOLD_EVERY_US 10000000u
/* Of a server that comes back: what it begins with, and has at least; times what it had; or nothing is known.
 */
#define RETURN_LEAST 8.0
#define RETURN_SHARE 1.5
#define RETURN_UNKNOWN 24.0
#define RETURN_ANSWERS 10.0 /* for one judgement, or as many as the limit is */
#define RETURN_PATIENCE 1.5 /* times the usual that answers may take then */
#define RETURN_SLOWER 0.7   /* of the limit is left when they take longer */
#define RETURN_GROWS 1.25   /* times the limit after that */
#define RETURN_HURRIES 2.0  /* times the limit, before */
#define RETURN_USED 0.8     /* of the limit, before more is tried */
#define RETURN_BINDING 0.5  /* of the limit has to be used, or somebody to wait: else it goes */
#define RETURN_QUIET_US 1e6 /* without enough answers, and as long as: it grows all the same */
#define RETURN_WAITS 2.0    /* times the usual */
#define CARRIED_FADES 0.98  /* with each judgement */

/* What the answers since the last judgement show. */
struct window {
    double answers, median_us, least_us;
    unsigned awaiting;
    uint64_t now_us;
};
/* What a judgement made of it, for the log. */
enum limit_change { LIMIT_SAME, LIMIT_LOWERED, LIMIT_LIFTED, LIMIT_LEFT };

void limit_gather(struct server_limit *limit, double answers, double logs, uint64_t least_us, uint64_t now_us)
{
    if (answers == 0 || now_us < limit->deaf_until_us)
        return;
    if (limit->answers == 0 || now_us > limit->since_us + STALE_US) {
        limit->since_us = now_us;
        limit->answers = limit->logs = 0;
        limit->least_us = least_us;
    }
    limit->answers += answers;
    limit->logs += logs;
    if (least_us < limit->least_us)
        limit->least_us = least_us;
}

static double limit_usual(const struct server_limit *limit)
{
    return limit->usual_us > USUAL_LEAST_US ? limit->usual_us : USUAL_LEAST_US;
}

static void usual_follow(struct server_limit *limit, const struct window *window)
{
    if (limit->usual_us == 0)
        limit->usual_us = window->median_us;
    else if (window->now_us > limit->usual_at_us)
        limit->usual_us *=
            exp(fmin((double)(window->now_us - limit->usual_at_us) / USUAL_RISES_US, USUAL_RISES_MOST));
    limit->usual_at_us = window->now_us;
    if (window->median_us < limit->usual_us)
        limit->usual_us -= USUAL_FALLS * (limit->usual_us - window->median_us);
}

static double limit_next(double limit, double ratio, unsigned awaiting)
{
    ratio = ratio < STEP_LEAST ? STEP_LEAST : ratio > STEP_MOST ? STEP_MOST : ratio;
    if (ratio > 1 && awaiting < limit / 2)
        return limit; /* it was not the limit that kept them few */
    double next = 0.5 * limit + 0.5 * (limit * ratio + sqrt(limit));
    return next < LIMIT_LEAST ? LIMIT_LEAST : next > LIMIT_MOST ? LIMIT_MOST : next;
}

/* Without a limit. */
static enum limit_change limit_watch(struct server_limit *limit, const struct window *window, double ratio)
{
    double came = (double)window->awaiting - (double)limit->awaiting_before + window->answers;
    bool slow = ratio < 1 && window->least_us > limit_usual(limit) && came > DRAINS * window->answers;
    limit->slow_in_a_row = slow ? limit->slow_in_a_row + 1 : 0;
    if (limit->slow_in_a_row == 1)
        limit->awaiting_first = window->awaiting;
    if (limit->slow_in_a_row < SLOW_IN_A_ROW || window->awaiting < GROWS * limit->awaiting_first)
        return LIMIT_SAME;
    limit->slow_in_a_row = 0;
    limit->holds = true;
    limit->slow_at_us = window->now_us;
    limit->trial_after_us = TRIAL_AFTER_US;
    limit->trial_at_us = window->now_us + limit->trial_after_us;
    limit->value = limit_next(window->awaiting, ratio, window->awaiting);
    return LIMIT_LOWERED;
}

/* Lets go of twice as many, and waits until answers are to those. */
static void trial_begin(struct server_limit *limit, const struct window *window)
{
    limit->tries = true;
    limit->trial_median_us = window->median_us;
    limit->trial_value = limit->value;
    /* Over LIMIT_MOST too: with less than twice as many it would show nothing. */
    limit->value *= TRIAL_FACTOR;
    limit->deaf_until_us = window->now_us + (uint64_t)(2 * window->median_us) + SCORE_TICK_US;
}

static enum limit_change trial_end(struct server_limit *limit, const struct window *window)
{
    limit->tries = false;
    if (window->median_us < TRIAL_LONGER * limit->trial_median_us &&
        window->awaiting > TRIAL_BINDING * limit->value) {
        limit->holds = false;
        limit->usual_us = window->median_us;
        return LIMIT_LIFTED;
    }
    limit->value = limit->trial_value;
    limit->trial_after_us *= 2;
    if (limit->trial_after_us > TRIAL_AFTER_MOST_US)
        limit->trial_after_us = TRIAL_AFTER_MOST_US;
    limit->trial_at_us = window->now_us + limit->trial_after_us;
    return LIMIT_SAME;
}

static void return_open(struct server_limit *limit)
{
    limit->holds = limit->tries = limit->returns = false;
}

static void return_set(struct server_limit *limit, double value, uint64_t now_us)
{
    limit->value = fmax(value, RETURN_LEAST);
    limit->changed_us = now_us;
    if (limit->value > LIMIT_MOST)
        return_open(limit);
}

/* Answers have come. Where the first take long it is the server that is slower than before: it had as many.
 */
static enum limit_change return_judge(struct server_limit *limit, const struct window *window)
{
    if (!limit->has_answered && window->median_us > RETURN_PATIENCE * limit_usual(limit))
        limit->usual_us = window->median_us;
    limit->has_answered = true;
    double value = limit->value;
    if (window->median_us > RETURN_PATIENCE * limit_usual(limit)) {
        limit->hurries = false;
        value *= RETURN_SLOWER;
    } else if (window->awaiting >= RETURN_USED * limit->value) {
        value *= limit->hurries ? RETURN_HURRIES : RETURN_GROWS;
    }
    return_set(limit, value, window->now_us);
    limit->deaf_until_us = window->now_us + (uint64_t)(2 * window->median_us);
    return LIMIT_SAME;
}

/* Under the lock; each time, with or without answers: a limit that binds nobody goes, one under which nothing
 * is heard grows. */
static void return_look(struct server *server, int32_t waiting, uint64_t now_us)
{
    struct server_limit *limit = &server->limiting;
    int32_t awaiting = atomic_load_explicit(&server->awaiting, memory_order_relaxed);
    if (limit->bound_us == 0)
        limit->changed_us = now_us;
    if (limit->bound_us == 0 || waiting > 0 || awaiting >= RETURN_BINDING * limit->value)
        limit->bound_us = now_us;
    double quiet_us = fmax(RETURN_WAITS * limit->usual_us, RETURN_QUIET_US);
    if (now_us > limit->bound_us + OPENS_AFTER_US)
        return_open(limit);
    else if (now_us == limit->bound_us && (double)(now_us - limit->changed_us) > quiet_us)
        return_set(limit, RETURN_HURRIES * limit->value, now_us);
}

/* With one. */
static enum limit_change limit_hold(struct server_limit *limit, const struct window *window, double ratio)
{
    if (limit->returns)
        return return_judge(limit, window);
    if (ratio < 1)
        limit->slow_at_us = window->now_us;
    if (window->now_us > limit->slow_at_us + OPENS_AFTER_US) {
        limit->holds = limit->tries = false;
        return LIMIT_SAME;
    }
    if (limit->tries)
        return trial_end(limit, window);
    if (ratio < 1 && window->now_us >= limit->trial_at_us) {
        trial_begin(limit, window);
        return LIMIT_SAME;
    }
    if (ratio < 1 && window->awaiting > REACHED * limit->value)
        return LIMIT_SAME; /* what is answered was let through before */
    double before = limit->value;
    limit->value = limit_next(limit->value, ratio, window->awaiting);
    return limit->value < before ? LIMIT_LOWERED : LIMIT_SAME;
}

/* Under the lock. False: there are not enough answers yet. */
static bool window_close(struct server *server, uint64_t now_us, struct window *window)
{
    struct server_limit *limit = &server->limiting;
    if (limit->answers < (limit->returns ? fmin(limit->value, RETURN_ANSWERS) : ANSWERS_LEAST / 2))
        return false;
    int32_t awaiting = atomic_load_explicit(&server->awaiting, memory_order_relaxed);
    *window = (struct window){.answers = limit->answers,
                              .median_us = exp(limit->logs / limit->answers),
                              .least_us = (double)limit->least_us,
                              .awaiting = awaiting > 0 ? (unsigned)awaiting : 0,
                              .now_us = now_us};
    if (!limit->returns && limit->answers < ANSWERS_LEAST &&
        (limit->usual_us == 0 || window->median_us < NO_DOUBT * PATIENCE * limit_usual(limit)))
        return false;
    limit->answers = limit->logs = 0;
    return true;
}

/* Under the lock. */
static enum limit_change judge(struct server *server, const struct window *window, bool adapts)
{
    struct server_limit *limit = &server->limiting;
    usual_follow(limit, window);
    double ratio = PATIENCE * limit_usual(limit) / window->median_us;
    if (!limit->holds && ratio >= 1)
        limit->carried = fmax(CARRIED_FADES * limit->carried, window->awaiting);
    enum limit_change change = limit->holds ? limit_hold(limit, window, ratio)
                               : adapts     ? limit_watch(limit, window, ratio)
                                            : LIMIT_SAME;
    limit->awaiting_before = window->awaiting;
    return change;
}

/* Under the lock. Only a limit that is felt is worth a word, and one now and then. */
static bool is_worth_a_word(struct server_limit *limit, enum limit_change change, const struct window *window)
{
    if (change == LIMIT_SAME || change == LIMIT_LEFT ||
        (change == LIMIT_LOWERED && window->awaiting < (unsigned)limit->value))
        return false;
    if (change == LIMIT_LOWERED && limit->told_us != 0 && window->now_us < limit->told_us + TOLD_EVERY_US)
        return false;
    limit->told_us = change == LIMIT_LOWERED ? window->now_us : 0;
    return true;
}

static void limit_log(struct server *server, enum limit_change change, const struct window *window,
                      unsigned before, double usual_us)
{
    static struct log_crowd lines = LOG_CROWD("balance", "pool");
    uint16_t after = atomic_load_explicit(&server->limit, memory_order_relaxed);
    struct log_pair pairs[] = {KV("pool", server->pool_name),
                               KV("server", server->name),
                               KV_NUMBER("from", before == SERVER_LIMIT_OPEN ? window->awaiting : before),
                               KV_NUMBER("to", after),
                               KV_NUMBER("median_us", (uint64_t)window->median_us),
                               KV_NUMBER("usual_us", (uint64_t)usual_us),
                               KV_NONE};
    if (change == LIMIT_LIFTED)
        pairs[3] = (struct log_pair)KV("to", "off");
    log_crowd_write(&lines, LOG_LEVEL_WARN,
                    change == LIMIT_LOWERED ? "limit lowered"
                                            : "limit lifted: twice as many at once take no longer each",
                    server->pool_name, "", pairs);
}

/* The queue is as long as half a second ago, those that were turned away included, and was then. Only a limit
 * keeps it: as many come as are answered. (Called by one worker at a time, but not always by the same.) */
static void queue_compare(struct pool_shared *shared, uint64_t now_us)
{
    if (now_us < atomic_load_explicit(&shared->looked_us, memory_order_relaxed) + STEADY_US)
        return;
    int32_t waiting = atomic_load_explicit(&shared->waiting, memory_order_relaxed);
    uint32_t refused = atomic_load_explicit(&shared->refused, memory_order_relaxed);
    uint32_t refused_before = atomic_load_explicit(&shared->refused_before, memory_order_relaxed);
    double before = (double)atomic_load_explicit(&shared->waiting_before, memory_order_relaxed);
    double change = (double)waiting + (double)(refused - refused_before) - before;
    bool steady = before > 0 && fabs(change) < STEADY_SHARE * before + sqrt(before);
    uint32_t in_a_row = steady ? atomic_load_explicit(&shared->steady_in_a_row, memory_order_relaxed) + 1 : 0;
    atomic_store_explicit(&shared->looked_us, now_us, memory_order_relaxed);
    atomic_store_explicit(&shared->waiting_before, waiting, memory_order_relaxed);
    atomic_store_explicit(&shared->refused_before, refused, memory_order_relaxed);
    atomic_store_explicit(&shared->steady_in_a_row, in_a_row, memory_order_relaxed);
}

/* Under the lock. */
static void limit_tell(struct server *server)
{
    const struct server_limit *limit = &server->limiting;
    atomic_store_explicit(&server->limit, limit->holds ? (uint16_t)limit->value : SERVER_LIMIT_OPEN,
                          memory_order_relaxed);
}

/* Under the lock. */
static enum limit_change limit_leave(struct server *server)
{
    if (!server->limiting.holds || server->limiting.returns)
        return LIMIT_SAME;
    server->limiting.holds = server->limiting.tries = false;
    return LIMIT_LEFT;
}

/* Nothing that is heard of it now tells what it will bear when it is back. */
static bool server_is_away(const struct server *server)
{
    return !server_is_up(server) ||
           atomic_load_explicit(&server->unreached_in_a_row, memory_order_relaxed) != 0;
}

/* adapts: else its limit is a number, beside which it has one of these only when it comes back. */
static void server_judge(struct server *server, const struct pool_shared *shared, bool adapts, bool steady,
                         uint64_t now_us)
{
    struct server_limit *limit = &server->limiting;
    unsigned before = atomic_load_explicit(&server->limit, memory_order_relaxed);
    struct window window = {.now_us = 0};
    score_lock(&server->score);
    bool away = limit->returns && server_is_away(server);
    if (!adapts && !limit->returns)
        limit->holds = limit->tries = false; /* since before a reload */
    if (limit->returns && !away)
        return_look(server, atomic_load_explicit(&shared->waiting, memory_order_relaxed), now_us);
    bool closed = !away && window_close(server, now_us, &window);
    double usual_us = limit_usual(limit); /* that it was judged by, or nearly so */
    enum limit_change change = closed ? judge(server, &window, adapts) : LIMIT_SAME;
    if (steady)
        change = limit_leave(server);
    limit_tell(server);
    bool tell = closed && is_worth_a_word(limit, change, &window);
    score_unlock(&server->score);
    counter_add(COUNTER_limits_lowered, change == LIMIT_LOWERED);
    counter_add(COUNTER_limits_lifted, change == LIMIT_LIFTED || change == LIMIT_LEFT);
    if (tell)
        limit_log(server, change, &window, before, usual_us);
}

void limit_server_left(struct server *server)
{
    struct server_limit *limit = &server->limiting;
    score_lock(&server->score);
    limit->holds = limit->returns = limit->hurries = true;
    limit->tries = limit->has_answered = false;
    limit->slow_in_a_row = 0;
    limit->answers = limit->logs = 0;
    limit->deaf_until_us = limit->changed_us = limit->bound_us = 0;
    bool known = limit->usual_us != 0;
    limit->value = known ? fmax(RETURN_SHARE * limit->carried, RETURN_LEAST) : RETURN_UNKNOWN;
    limit->value = fmin(limit->value, LIMIT_MOST);
    limit_tell(server);
    score_unlock(&server->score);
}

void limit_judge(const struct pool *pool, uint64_t now_us)
{
    queue_compare(pool->shared, now_us);
    bool steady = queue_is_steady(pool->shared);
    for (size_t i = 0; pool->limited && i < pool->servers_count; i++) {
        uint32_t most = pool->servers[i].max_connections;
        if (most != 0)
            server_judge(pool->servers[i].server, pool->shared, most == SERVER_ADAPTS, steady, now_us);
    }
}
