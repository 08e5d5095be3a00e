/*
 * The measure of servers. All of it is relative: a server is slow or failing when its pool is not. The
 * formulas and constants are those of balancing.md 5, where simulations and real runs chose them; sums decay,
 * so that nothing needs to be forgotten by a timer. The lock of a server is held for some additions, never by
 * a choice.
 */
#include "upstream/server_score.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "upstream/pool.h"
#include "upstream/server_limit.h"

#define MEMORY_US 2e6      /* tau of the decay: an answer counts 1/e after 2 s */
#define ANSWERS_MOST 200.0 /* heavy traffic does not make history immovable; with tau: forgotten in 8 s */
#define ANSWERS_KEPT 1.0   /* of all that decayed: one quick answer does not acquit a slow server */
#define SHRINK 3.0         /* answers' worth of belief that a server is average, and in: */
#define VARIANCE 1.0       /* of ln(time to the head), where little is known */
#define DOUBT_LEAST                                                                                          \
    0.1                      /* answers' worth, however plain a difference: so a sick server is tried again, \
                                some 8 s after one answer of it and some 20 s after many */
#define SLOWNESS_POWER 1.5   /* of the ratio to the pool's mean: sheds load faster than in proportion */
#define SLOWNESS_STEP 0.1    /* of ln T: equals tie, and are told apart by requests in flight alone */
#define SLOWNESS_MOST 4.1589 /* |ln T|: 64 at most; 1/8 at least: */
#define SLOWNESS_LEAST (-2.0794)
#define ERROR_WORTH 100.0 /* mean requests in flight; 30 and 300 do the same */
#define DOUBT 2.0         /* standard errors that an excess of errors, or of time, has to exceed */
#define BEST_RISES \
    0.1 /* a minute, of the least mean logarithm: what was once fast is forgotten (balancing.md 7) */
#define QUEUES_AT 0.0953 /* ln 1.1 */
#define SLOW_AT_ONCE \
    2.0 /* times what most answers take: told before the next tick, so that a sick server is tried once */
#define FEW 2.0 /* answers since the last tick, where that is all a server is asked: half as late will do */
#define SLOW_FROM 4.0f /* T of a server that is known to be slow; below half of that it is no more */
#define KNOWN 1.0      /* answers from which on a server has a say in what is normal */

void score_lock(struct server_score *score)
{
    while (atomic_flag_test_and_set_explicit(&score->busy, memory_order_acquire))
        continue;
}

void score_unlock(struct server_score *score)
{
    atomic_flag_clear_explicit(&score->busy, memory_order_release);
}

static void score_scale(struct server_score *score, double factor)
{
    score->answers *= factor;
    score->errors *= factor;
    score->accused *= factor;
    score->logs *= factor;
    score->squares *= factor;
}

/* What decays goes where it counts as one answer, however long ago. */
static void score_keep(struct server_score *score, double share)
{
    score->kept_answers += share * (score->answers - score->errors);
    score->kept_logs += share * score->logs;
    if (score->kept_answers > ANSWERS_KEPT) {
        score->kept_logs *= ANSWERS_KEPT / score->kept_answers;
        score->kept_answers = ANSWERS_KEPT;
    }
}

/* Clocks of workers are read once a turn and differ a little: time never goes back. */
static void score_decay(struct server_score *score, uint64_t now_us)
{
    if (now_us <= score->at_us)
        return;
    double left = exp(-(double)(now_us - score->at_us) / MEMORY_US);
    score_keep(score, 1 - left);
    score_scale(score, left);
    score->at_us = now_us;
}

struct score_view score_view(struct server *server, uint64_t now_us)
{
    struct server_score *score = &server->score;
    score_lock(score);
    score_decay(score, now_us);
    struct score_view view = {score->answers,   score->errors,      score->accused,
                              score->logs,      score->squares,     score->kept_answers,
                              score->kept_logs, score->all_answers, score->all_errors};
    score_unlock(score);
    return view;
}

void score_fold(struct score_cell *cell, struct server *server)
{
    struct server_score *score = &server->score;
    if (cell->answers == 0)
        return;
    score_lock(score);
    score_decay(score, cell->last_us);
    score->answers += (double)cell->answers;
    score->errors += (double)cell->errors;
    score->logs += cell->logs;
    score->squares += cell->squares;
    score->all_answers += (uint64_t)cell->answers;
    score->all_errors += (uint64_t)cell->errors;
    limit_gather(&server->limiting, (double)(cell->answers - cell->errors + cell->timeouts),
                 cell->logs + cell->timeout_logs, cell->least_us, cell->last_us);
    if (score->answers > ANSWERS_MOST)
        score_scale(score, ANSWERS_MOST / score->answers);
    score_unlock(score);
    *cell = (struct score_cell){.answers = 0};
}

double score_rate(double errors, const struct score_view *view, double normal)
{
    return (errors + SHRINK * normal) / (view->answers + SHRINK);
}

/* E: what an excess of errors over the pool's own rate costs. */
static float surcharge_of(const struct score_view *view, double normal)
{
    double doubt = DOUBT * sqrt(normal * (1 - normal) / (view->answers + SHRINK));
    double excess = score_rate(view->errors, view, normal) - normal - doubt;
    return excess > 0 ? (float)(ERROR_WORTH * excess) : 0;
}

/* T: a power of how much slower than the mean, as far as there are answers to believe it: a mean of `good`
 * answers is off by chance, with a variance of variance / good, and of a difference that part is believed
 * that this does not explain (James and Stein). The shrinkage of balancing.md 5, good / (good + 3), doubts
 * plain differences as much as small ones: a server ten times slower than the others was tried twice a
 * second, and is now once in five to eight seconds. */
static float slowness_of(const struct score_view *view, double mean, double variance)
{
    double good = view->answers - view->errors;
    if (good < 1e-3)
        return 1;
    double known = (view->logs + view->kept_logs) / (good + view->kept_answers);
    double difference = known - mean, square = difference * difference;
    double doubt = square > 0 ? fmax(variance / square, DOUBT_LEAST) : 0; /* in answers */
    double slow = SLOWNESS_POWER * difference * good / (good + doubt);
    slow = slow > SLOWNESS_MOST ? SLOWNESS_MOST : slow < SLOWNESS_LEAST ? SLOWNESS_LEAST : slow;
    return (float)exp(SLOWNESS_STEP * round(slow / SLOWNESS_STEP));
}

/* Without the shrinkage, which at a server that is hardly asked says nothing: of what it was last. */
static float slowness_last(const struct score_view *view, double mean)
{
    double weight = view->answers - view->errors + view->kept_answers;
    return weight < 1e-3 ? 1 : (float)exp(SLOWNESS_POWER * ((view->logs + view->kept_logs) / weight - mean));
}

static void slowness_tell(struct server *server, const struct score_view *view, double mean, double variance)
{
    float slowness = slowness_of(view, mean, variance);
    atomic_store_explicit(&server->slowness, slowness, memory_order_relaxed);
    bool slow = atomic_load_explicit(&server->known_slow, memory_order_relaxed);
    bool acquits = slowness < SLOW_FROM / 2 && slowness_last(view, mean) < SLOW_FROM / 2;
    bool now_slow = slow ? !acquits : slowness >= SLOW_FROM;
    if (now_slow != slow)
        atomic_store_explicit(&server->known_slow, now_slow, memory_order_relaxed);
}

static void score_errors_now(const struct pool_shared *shared, struct server *server, uint64_t now_us)
{
    struct score_view view = score_view(server, now_us);
    double normal = (double)atomic_load_explicit(&shared->normal_errors, memory_order_relaxed);
    atomic_store_explicit(&server->surcharge, surcharge_of(&view, normal), memory_order_relaxed);
}

static void cell_least(struct score_cell *cell, uint64_t waited_us)
{
    if (cell->least_us == 0 || waited_us < cell->least_us)
        cell->least_us = waited_us > 0 ? waited_us : 1;
}

static void score_slowness_now(const struct pool_shared *shared, struct server *server, uint64_t now_us)
{
    struct score_view view = score_view(server, now_us);
    double mean = (double)atomic_load_explicit(&shared->mean_log, memory_order_relaxed);
    double variance = (double)atomic_load_explicit(&shared->variance, memory_order_relaxed);
    slowness_tell(server, &view, mean, variance);
}

void score_answered(struct score_cell *cell, const struct pool_shared *shared, struct server *server,
                    uint64_t waited_us, uint64_t now_us)
{
    double log_waited = log(waited_us > 0 ? (double)waited_us : 1);
    uint32_t silence_us = atomic_load_explicit(&shared->silence_us, memory_order_relaxed);
    cell->answers++;
    cell->logs += log_waited;
    cell->squares += log_waited * log_waited;
    cell->last_us = now_us;
    cell_least(cell, waited_us);
    double late_us = cell->answers <= FEW ? silence_us : SLOW_AT_ONCE * silence_us;
    if (LIKELY(silence_us == 0 || (double)waited_us < late_us))
        return;
    score_fold(cell, server);
    score_slowness_now(shared, server, now_us);
}

/* What was cut short would have taken as long as the server's answers did so far, if not longer. */
void score_outrun(struct score_cell *cell, const struct pool_shared *shared, struct server *server,
                  uint64_t waited_us, uint64_t now_us)
{
    struct score_view view = score_view(server, now_us);
    double usual_us = view.kept_answers > 0 ? exp(view.kept_logs / view.kept_answers) : 0;
    score_answered(cell, shared, server, usual_us > (double)waited_us ? (uint64_t)usual_us : waited_us,
                   now_us);
}

void score_timed_out(struct score_cell *cell, uint64_t waited_us)
{
    cell->timeouts++;
    cell->timeout_logs += log(waited_us > 0 ? (double)waited_us : 1);
    cell_least(cell, waited_us);
}

void score_failed(struct score_cell *cell, const struct pool_shared *shared, struct server *server,
                  uint64_t now_us)
{
    cell->answers++;
    cell->errors++;
    cell->last_us = now_us;
    score_fold(cell, server);
    score_errors_now(shared, server, now_us);
}

static bool accuser_is_new(struct server_score *score, uint32_t client, unsigned clients)
{
    for (unsigned i = 0; i + 1 < clients; i++)
        if (score->accusers[i] == client)
            return false;
    memmove(&score->accusers[1], &score->accusers[0], sizeof score->accusers - sizeof score->accusers[0]);
    score->accusers[0] = client;
    return true;
}

bool score_accused(struct server *server, uint32_t client, unsigned clients, uint64_t now_us)
{
    struct server_score *score = &server->score;
    assert(clients >= 1 && clients <= OUTLIER_CLIENTS_MOST);
    score_lock(score);
    bool counts = client == 0 || accuser_is_new(score, client, clients);
    score_decay(score, now_us);
    score->accused += counts;
    score_unlock(score);
    return counts;
}

bool score_is_due(struct pool_shared *shared, uint64_t now_us)
{
    uint64_t last = atomic_load_explicit(&shared->scored_us, memory_order_relaxed);
    return now_us >= last + SCORE_TICK_US &&
           atomic_compare_exchange_strong_explicit(&shared->scored_us, &last, now_us, memory_order_relaxed,
                                                   memory_order_relaxed);
}

static int rate_compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

/* The median of the servers' error rates, of two in the middle the lower one: so a single bad server of two
 * does not define what is normal. (The mean of the better half, the other bound of balancing.md 5, is never
 * above it.) */
static double errors_normal(const struct score_view *views, size_t count, double *rates)
{
    size_t known = 0;
    for (size_t i = 0; i < count; i++)
        if (views[i].answers > KNOWN)
            rates[known++] = views[i].errors / views[i].answers;
    if (known == 0)
        return 0;
    qsort(rates, known, sizeof *rates, rate_compare);
    return rates[(known - 1) / 2];
}

static uint32_t microseconds_of(double logarithm)
{
    double time = exp(logarithm);
    return time < 1 ? 1 : time < 1e9 ? (uint32_t)time : 1000000000u;
}

/* Requests queue somewhere when answers take a tenth longer than in the best times. Both are means of so many
 * answers, and the best of many means is better than it was: `doubt` standard errors of each are allowed for.
 */
static void queues_judge(struct pool_shared *shared, double mean, double doubt, uint64_t now_us)
{
    uint64_t last = atomic_load_explicit(&shared->best_at_us, memory_order_relaxed);
    double best = (double)atomic_load_explicit(&shared->best_log, memory_order_relaxed);
    best += now_us > last ? BEST_RISES * (double)(now_us - last) / 60e6 : 0;
    if (last == 0 || mean + doubt < best)
        best = mean + doubt;
    atomic_store_explicit(&shared->best_at_us, now_us, memory_order_relaxed);
    atomic_store_explicit(&shared->best_log, (float)best, memory_order_relaxed);
    atomic_store_explicit(&shared->queues, mean - doubt > best + QUEUES_AT, memory_order_relaxed);
}

/* Mean of the logarithms, and times that half and most answers (a standard deviation above the mean: about
 * the 84th of 100) take; 0 while too few are known. */
static double logs_mean(const struct score_view *views, size_t count, struct pool_shared *shared,
                        uint64_t now_us)
{
    double good = 0, logs = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        good += views[i].answers - views[i].errors;
        logs += views[i].logs;
        squares += views[i].squares;
    }
    bool known = good >= SHRINK;
    double mean = good > 0 ? logs / good : 0, variance = known ? squares / good - mean * mean : 0;
    double deviation = variance > 0 ? sqrt(variance) : 0;
    double believed = (fmax(variance, 0) * good + VARIANCE * SHRINK) / (good + SHRINK);
    atomic_store_explicit(&shared->mean_log, (float)mean, memory_order_relaxed);
    atomic_store_explicit(&shared->variance, (float)believed, memory_order_relaxed);
    const struct {
        _Atomic uint32_t *time;
        double logarithm;
    } times[] = {{&shared->median_us, mean}, {&shared->silence_us, mean + deviation}};
    for (size_t i = 0; i < COUNT_OF(times); i++)
        atomic_store_explicit(times[i].time, known ? microseconds_of(times[i].logarithm) : 0,
                              memory_order_relaxed);
    if (known)
        queues_judge(shared, mean, DOUBT * deviation / sqrt(good), now_us);
    return mean;
}

void score_pool(const struct pool *pool, uint64_t now_us)
{
    size_t count = pool->servers_count;
    struct score_view *views = xcalloc(count, sizeof *views);
    double *rates = xcalloc(count, sizeof *rates);
    for (size_t i = 0; i < count; i++)
        views[i] = score_view(pool->servers[i].server, now_us);
    double mean = logs_mean(views, count, pool->shared, now_us), normal = errors_normal(views, count, rates);
    double variance = (double)atomic_load_explicit(&pool->shared->variance, memory_order_relaxed);
    atomic_store_explicit(&pool->shared->normal_errors, (float)normal, memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        struct server *server = pool->servers[i].server;
        slowness_tell(server, &views[i], mean, variance);
        atomic_store_explicit(&server->surcharge, surcharge_of(&views[i], normal), memory_order_relaxed);
    }
    free(rates);
    free(views);
}
