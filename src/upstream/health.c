/*
 * Which servers are up: on the control thread, each server of a pool with `health` is probed in turns of its
 * own, spread by lot, and what `rise` or `fall` answers in a row say becomes the state that all workers read.
 * Workers may take a server down themselves (refused connects); it is noticed here, and probed soon and then
 * ever more slowly until it is back. What requests get counts as well (balancing.md 7): good answers spare
 * probes, and outweigh failed ones.
 */
#include "upstream/health.h"

#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/error.h"
#include "base/list.h"
#include "base/log_crowd.h"
#include "base/rng.h"
#include "net/loop.h"
#include "upstream/absence.h"
#include "upstream/ejection.h"
#include "upstream/health_probe.h"
#include "upstream/pool.h"
#include "upstream/server.h"
#include "upstream/server_limit.h"
#include "upstream/server_score.h"

#define LOOK_EVERY 100    /* ms: for servers that workers took down */
#define BACKOFF_FIRST 250 /* ms to the first probe after that, then twice as long each time, up to: */
#define BACKOFF_MOST 2000
#define GOOD_TO_SPARE \
    10 /* answers since the last probe was due, that make another needless; errors a twentieth of them */
#define SPARED_MOST 9 /* in a row */
#define KNOWN_ANSWERS \
    20.0 /* of about two seconds that may outweigh failed probes, with errors a twentieth of them */
#define GOOD_SHARE 20
#define PASSES_TO_RETURN 2 /* of a server that was ejected while its checks failed */
#define FIRST_WITHIN 1000  /* ms: the first probes are spread over this, or the interval if that is less */

/* One server that is probed. */
struct check {
    struct list at; /* health.checks */
    struct health *health;
    struct server *server;      /* a reference */
    const struct pool *pool;    /* of the current snapshot */
    struct health_probe *probe; /* NULL: none runs */
    struct deadline due;
    uint64_t backoff;         /* ms to the next probe of one that workers took down; 0: as usual */
    uint64_t answers, errors; /* of its traffic when a probe was last due */
    unsigned spared;          /* probes in a row */
    bool disagrees;           /* with what requests get, and that was told */
    /* one failed while the server was ejected: its trouble was not with requests alone */
    bool failed_ejected;
    uint32_t passed, failed; /* in a row */
    bool down;               /* what was last seen or decided here */
    bool kept;
};
struct health {
    struct loop *loop;
    struct list checks;
    struct check **by_server; /* by server->number */
    uint32_t room;
    struct rng rng;
    struct deadline look;
};

static const struct health_config *config_of(const struct check *check)
{
    return check->pool->config->health;
}

/* All servers of a pool may go, and come back, at once. */
static struct log_crowd down_lines = LOG_CROWD("health", "pool");
static struct log_crowd up_lines = LOG_CROWD("health", "pool");
static struct log_crowd odd_lines = LOG_CROWD("health", "pool"); /* of checks that are of no use */

/* --- when --- */

/* Anywhere within so many percent around the interval. */
static uint64_t with_jitter(struct health *health, uint64_t interval, uint64_t percent)
{
    uint64_t span = interval * percent / 100;
    uint32_t room = span < UINT32_MAX / 4 ? 2 * (uint32_t)span : UINT32_MAX / 2;
    return interval - span + rng_below(&health->rng, room + 1);
}

static uint64_t next_interval(struct check *check)
{
    const struct health_config *config = config_of(check);
    if (check->backoff != 0 && check->passed == 0) {
        uint64_t now = check->backoff;
        check->backoff = 2 * now < BACKOFF_MOST ? 2 * now : BACKOFF_MOST;
        return now < config->interval ? now : config->interval;
    }
    bool changing = check->down ? check->passed != 0 : check->failed != 0;
    return changing && config->fast_interval < config->interval ? config->fast_interval : config->interval;
}

static void check_again(struct check *check)
{
    struct health *health = check->health;
    deadline_set(&check->due, health->loop,
                 with_jitter(health, next_interval(check), config_of(check)->jitter));
}

static void check_first(struct check *check)
{
    uint64_t interval = config_of(check)->interval;
    uint64_t within = interval < FIRST_WITHIN ? interval : FIRST_WITHIN;
    deadline_set(&check->due, check->health->loop, rng_below(&check->health->rng, (uint32_t)within + 1));
}

/* --- what it means --- */

static void server_becomes(struct check *check, enum server_health state)
{
    if (state == SERVER_DOWN)
        limit_server_left(check->server);
    check->down = state == SERVER_DOWN;
    check->backoff = 0;
    atomic_store(&check->server->health, state);
}

/* What ejected it was what failed the checks, and these pass again. */
static void check_ends_ejection(struct check *check)
{
    if (!check->failed_ejected || check->passed < PASSES_TO_RETURN)
        return;
    check->failed_ejected = false;
    ejection_end(check->server);
}

static void check_passed(struct check *check)
{
    struct server *server = check->server;
    check->failed = 0;
    check->passed++;
    check->disagrees = false;
    check_ends_ejection(check);
    if (!check->down) {
        if (atomic_load_explicit(&server->health, memory_order_relaxed) == SERVER_UNKNOWN)
            server_becomes(check, SERVER_UP);
        return;
    }
    if (check->passed < config_of(check)->rise)
        return;
    server_was_reached(server); /* refusals of before do not count against it */
    atomic_store_explicit(&server->joined_ms, server_clock(loop_now_us(check->health->loop)),
                          memory_order_relaxed);
    server_becomes(check, SERVER_UP);
    const struct log_pair pairs[] = {KV("pool", server->pool_name), KV("server", server->name),
                                     KV_NUMBER("after", check->passed), KV_NONE};
    log_crowd_write(&up_lines, LOG_LEVEL_INFO, "server is up", server->pool_name, "", pairs);
}

static bool traffic_is_good(struct check *check)
{
    struct score_view view = score_view(check->server, loop_now_us(check->health->loop));
    return view.answers >= KNOWN_ANSWERS && view.errors * GOOD_SHARE <= view.answers;
}

/* What requests get is what matters, but where the server itself says that it is not well; other failures may
 * come from a check that asks the wrong question, or too much. Told once, until a check passes again. */
static bool check_is_outweighed(struct check *check, enum probe_verdict verdict, const char *why)
{
    struct server *server = check->server;
    if (!config_of(check)->trust_traffic || verdict == PROBE_SICK || !traffic_is_good(check))
        return false;
    const struct log_pair pairs[] = {KV("pool", server->pool_name), KV("server", server->name),
                                     KV("why", why), KV_NUMBER("after", check->failed), KV_NONE};
    counter_add(COUNTER_probes_outweighed, 1);
    if (!check->disagrees)
        log_crowd_write(&odd_lines, LOG_LEVEL_WARN, "check disagrees with traffic, server stays up",
                        server->pool_name, why, pairs);
    check->disagrees = true;
    return true;
}

static void check_failed(struct check *check, enum probe_verdict verdict, const char *why)
{
    struct server *server = check->server;
    counter_add(COUNTER_probes_failed, 1);
    check->passed = 0;
    check->failed++;
    if (server_is_ejected(server, loop_now_us(check->health->loop)))
        check->failed_ejected = true;
    if (check->down || check->failed < config_of(check)->fall || check_is_outweighed(check, verdict, why))
        return;
    server_becomes(check, SERVER_DOWN);
    const struct log_pair pairs[] = {KV("pool", server->pool_name), KV("server", server->name),
                                     KV("why", why), KV_NUMBER("after", check->failed), KV_NONE};
    absence_note_down(check->pool->shared, why);
    log_crowd_write(&down_lines, LOG_LEVEL_WARN, "server is down", server->pool_name, why, pairs);
}

/* A worker took it down since. */
static void check_notice(struct check *check)
{
    if (check->down || server_is_up(check->server))
        return;
    limit_server_left(check->server);
    check->down = true;
    check->passed = 0;
    check->backoff = BACKOFF_FIRST;
    if (check->probe == NULL)
        check_again(check);
}

static void check_not_made(const struct check *check)
{
    const struct server *server = check->server;
    const struct log_pair pairs[] = {KV("pool", server->pool_name), KV("server", server->name), KV_NONE};
    log_crowd_write(&odd_lines, LOG_LEVEL_WARN,
                    "servers cannot be asked for now: weir is out of descriptors or memory",
                    server->pool_name, "", pairs);
}

static void check_done(void *owner, enum probe_verdict verdict, const char *why)
{
    struct check *check = owner;
    check->probe = NULL;
    check_notice(check);
    if (verdict == PROBE_PASSED)
        check_passed(check);
    else if (verdict != PROBE_NOT_MADE)
        check_failed(check, verdict, why);
    else
        check_not_made(check);
    check_again(check);
}

/* Requests since the last one was due have shown that the server is well. Now and then it is asked all the
 * same, as only a check learns that a server wants to be left alone. */
static bool check_is_spared(struct check *check)
{
    struct score_view view = score_view(check->server, loop_now_us(check->health->loop));
    uint64_t answers = view.all_answers - check->answers, errors = view.all_errors - check->errors;
    check->answers = view.all_answers;
    check->errors = view.all_errors;
    bool known = atomic_load_explicit(&check->server->health, memory_order_relaxed) == SERVER_UP;
    bool good = known && answers >= GOOD_TO_SPARE + errors && errors * GOOD_SHARE <= answers;
    if (!good || check->down || check->failed != 0 || check->spared == SPARED_MOST ||
        !config_of(check)->trust_traffic) {
        check->spared = 0;
        return false;
    }
    check->spared++;
    counter_add(COUNTER_probes_spared, 1);
    return true;
}

static void check_due(struct deadline *deadline)
{
    struct check *check = CONTAINER_OF(deadline, struct check, due);
    if (check->probe != NULL)
        return; /* no overlap: its end sets the time anew */
    if (check_is_spared(check)) {
        check_again(check);
        return;
    }
    counter_add(COUNTER_probes, 1);
    check->probe = health_probe_start(check->health->loop, config_of(check), check->server,
                                      check->pool->protocol, check->pool->probe_tls, check_done, check);
}

/* Low bits of a clock: what is left standing would be just now again after 50 days. */
static void check_forget_return(struct check *check)
{
    uint32_t joined = atomic_load_explicit(&check->server->joined_ms, memory_order_relaxed);
    if (joined != 0 && server_clock(loop_now_us(check->health->loop)) - joined > check->pool->slow_start_ms)
        atomic_store_explicit(&check->server->joined_ms, 0, memory_order_relaxed);
}

static void health_look(struct deadline *deadline)
{
    struct health *health = CONTAINER_OF(deadline, struct health, look);
    LIST_EACH (node, &health->checks) {
        check_notice(CONTAINER_OF(node, struct check, at));
        check_forget_return(CONTAINER_OF(node, struct check, at));
    }
    if (!list_is_empty(&health->checks))
        deadline_set(&health->look, health->loop, LOOK_EVERY);
}

/* --- who --- */

static struct check *check_new(struct health *health, const struct pool *pool, struct server *server)
{
    struct check *check = xcalloc(1, sizeof *check);
    check->health = health;
    check->server = server_take(server);
    check->pool = pool;
    check->down = !server_is_up(server);
    check->due.passed = check_due;
    atomic_store(&server->probed, true);
    list_push_back(&health->checks, &check->at);
    health->by_server[server->number] = check;
    check_first(check);
    return check;
}

static void check_free(struct check *check)
{
    if (check->probe != NULL)
        health_probe_cancel(check->probe);
    deadline_clear(&check->due);
    list_remove(&check->at);
    check->health->by_server[check->server->number] = NULL;
    server_release(check->server);
    free(check);
}

static void health_grow(struct health *health, uint32_t number)
{
    if (number < health->room)
        return;
    uint32_t room = health->room == 0 ? 16 : health->room;
    while (room <= number)
        room *= 2;
    health->by_server = xrealloc(health->by_server, room * sizeof *health->by_server);
    for (uint32_t i = health->room; i < room; i++)
        health->by_server[i] = NULL;
    health->room = room;
}

/* A probe that runs has the old pool's settings, which the caller keeps only until we return: it is asked
 * anew. */
static void check_move(struct check *check, const struct pool *pool)
{
    uint64_t before = config_of(check)->interval;
    check->pool = pool;
    if (check->probe != NULL) {
        health_probe_cancel(check->probe);
        check->probe = NULL;
        deadline_set(&check->due, check->health->loop, 0);
    } else if (config_of(check)->interval < before) {
        check_first(check);
    }
}

static void health_add_pool(struct health *health, const struct pool *pool)
{
    for (size_t i = 0; i < pool->servers_count; i++) {
        struct server *server = pool->servers[i].server;
        health_grow(health, server->number);
        struct check *check = health->by_server[server->number];
        if (check == NULL)
            check = check_new(health, pool, server);
        else if (check->pool != pool)
            check_move(check, pool);
        check->kept = true;
    }
}

struct health *health_new(struct loop *control_loop)
{
    struct health *health = xcalloc(1, sizeof *health);
    health->loop = control_loop;
    health->look.passed = health_look;
    list_init(&health->checks);
    rng_seed(&health->rng);
    return health;
}

void health_set_pools(struct health *health, struct pool *const *pools, size_t count)
{
    LIST_EACH (node, &health->checks)
        CONTAINER_OF(node, struct check, at)->kept = false;
    for (size_t i = 0; i < count; i++)
        if (pools[i]->config->health != NULL)
            health_add_pool(health, pools[i]);
    LIST_EACH_SAFE (node, after, &health->checks) {
        struct check *check = CONTAINER_OF(node, struct check, at);
        if (check->kept)
            continue;
        /* Its pool has no `health` any more, or it is gone: nobody would bring it back. Requests of older
         * snapshots may still be refused there, so this order: server_was_refused() has the other. */
        atomic_store(&check->server->probed, false);
        server_becomes(check, SERVER_UNKNOWN);
        atomic_store_explicit(&check->server->joined_ms, 0, memory_order_relaxed);
        check_free(check);
    }
    if (!list_is_empty(&health->checks) && !deadline_is_set(&health->look))
        deadline_set(&health->look, health->loop, LOOK_EVERY);
}

void health_free(struct health *health)
{
    if (health == NULL)
        return;
    LIST_EACH_SAFE (node, after, &health->checks)
        check_free(CONTAINER_OF(node, struct check, at));
    deadline_clear(&health->look);
    free(health->by_server);
    free(health);
}
