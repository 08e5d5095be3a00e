/*
 * In flight, awaiting and waiting return to zero after any mix of answers, refusals, cuts, time-outs, cancels
 * and retries: random walks over one worker's upstream side, with servers of this test that do whatever comes
 * to mind. Each step also holds that the counts are exactly what the attempts that are open make of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/rng.h"
#include "http/stream.h"
#include "support/upstream_bench.h"
#include "unit.h"
#include "upstream/balance.h"

#define STEPS 40 /* turns of the loop, each after some: */
#define MOVES 6
#define LINKS_MOST 256

struct walk {
    struct bench bench;
    struct rng rng;
    int links[LINKS_MOST]; /* the servers' ends of connections */
    unsigned links_count;
    bool moved[ASKS_MOST]; /* in this turn: a reset, say, is told in the next */
    bool open[ASKS_MOST];  /* asked, and neither failed nor done nor given up */
};

static bool chance(struct walk *walk, uint32_t percent)
{
    return rng_below(&walk->rng, 100) < percent;
}

static void walk_ask(struct walk *walk, unsigned i)
{
    struct asker *asker = ask(&walk->bench, i);
    asker->waiter.priority = (uint8_t)rng_below(&walk->rng, PRIORITY_COUNT);
    asker->waiter.uploading = chance(walk, 30);
    asker->waiter.fresh = chance(walk, 10);
    if (chance(walk, 20)) { /* a retry */
        asker->waiter.tried[0] = walk->bench.members[rng_below(&walk->rng, SERVERS_MOST)].server;
        asker->waiter.tried_count = 1;
    } else if (chance(walk, 10)) { /* a replay */
        asker->waiter.only = walk->bench.members[rng_below(&walk->rng, SERVERS_MOST)].server;
    }
    walk->open[i] = true;
}

static void walk_attempt(struct walk *walk, unsigned i)
{
    struct asker *asker = &walk->bench.askers[i];
    if (asker->ready == 0) {
        if (chance(walk, 30)) {
            upstream_give_up(walk->bench.upstreams, &asker->waiter);
            walk->open[i] = false;
        }
        return;
    }
    static const unsigned statuses[] = {200, 200, 200, 404, 429, 500, 503};
    switch (rng_below(&walk->rng, 4)) {
    case 0:
        upstream_sent_whole(walk->bench.upstreams, &asker->waiter);
        break;
    case 1:
        if (!asker->waiter.answered)
            upstream_answered(walk->bench.upstreams, &asker->waiter,
                              statuses[rng_below(&walk->rng, COUNT_OF(statuses))],
                              chance(walk, 50) ? loop_now_us(walk->bench.loop) : 0);
        break;
    case 2:
        if (chance(walk, 30))
            asker->stream->ops->reset(asker->stream, FAILURE_CLIENT_CLOSED);
        break;
    default:
        break;
    }
}

static void walk_move(struct walk *walk)
{
    unsigned i = rng_below(&walk->rng, ASKS_MOST);
    if (walk->open[i] && !walk->moved[i])
        walk_attempt(walk, i);
    else if (!walk->open[i])
        walk_ask(walk, i);
    walk->moved[i] = true;
}

/* The servers take what came, and answer, cut, or let wait. */
static void walk_serve(struct walk *walk)
{
    for (unsigned i = 0; i < SERVERS_MOST; i++) {
        int fd = accept4(walk->bench.listening[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0 && walk->links_count < LINKS_MOST)
            walk->links[walk->links_count++] = fd;
        else if (fd >= 0)
            close(fd);
    }
    for (unsigned i = 0; i < walk->links_count; i++) {
        char request, answer = chance(walk, 80) ? 'k' : 'c';
        ssize_t got = chance(walk, 50) ? recv(walk->links[i], &request, 1, 0) : -1;
        bool cut = chance(walk, 3) || got == 0;
        if (got == 1 && !cut)
            cut = send(walk->links[i], &answer, 1, MSG_NOSIGNAL) != 1;
        if (cut) {
            close(walk->links[i]);
            walk->links[i--] = walk->links[--walk->links_count];
        }
    }
}

/* Health comes and goes, limits rise and fall. */
static void walk_change(struct walk *walk)
{
    struct pool_server *member = &walk->bench.members[rng_below(&walk->rng, SERVERS_MOST)];
    if (chance(walk, 10))
        member->server->health = chance(walk, 70) ? SERVER_UP : SERVER_DOWN;
    if (chance(walk, 10))
        member->server->limit = (uint16_t)(1 + rng_below(&walk->rng, 3));
    if (chance(walk, 5))
        server_set_ejected(member->server, loop_now_us(walk->bench.loop), 20);
}

static void walk_look(struct walk *walk)
{
    int32_t in_flight = 0, awaiting = 0, made = 0, expected = 0;
    for (unsigned i = 0; i < SERVERS_MOST; i++) {
        int32_t n = walk->bench.members[i].server->in_flight, waits = walk->bench.members[i].server->awaiting;
        assert_true(waits >= 0 && waits <= n);
        in_flight += n;
        awaiting += waits;
    }
    for (unsigned i = 0; i < ASKS_MOST; i++) {
        struct asker *asker = &walk->bench.askers[i];
        walk->open[i] = walk->open[i] && asker->failed == 0 && asker->done == 0;
        bool has_slot = walk->open[i] && asker->waiter.server != NULL;
        made += has_slot;
        expected += has_slot && asker->waiter.awaits;
    }
    assert_int_equal(in_flight, made);
    assert_int_equal(awaiting, expected);
    assert_true(walk->bench.pool.shared->waiting >= 0);
    assert_true(in_flight + walk->bench.pool.shared->waiting <= ASKS_MOST);
}

/* All are given up, reset or answered: bench_end() asserts the zeros. */
static void walk_end(struct walk *walk)
{
    for (unsigned i = 0; i < ASKS_MOST; i++) {
        struct asker *asker = &walk->bench.askers[i];
        if (walk->open[i] && asker->ready == 0)
            upstream_give_up(walk->bench.upstreams, &asker->waiter);
        else if (walk->open[i])
            asker->stream->ops->reset(asker->stream, FAILURE_CLIENT_CLOSED);
    }
    bench_run(&walk->bench, 5);
    while (walk->links_count > 0)
        close(walk->links[--walk->links_count]);
    bench_run(&walk->bench, 5);
    bench_end(&walk->bench);
}

static void walk_once(enum balance_kind kind, enum queue_discipline discipline, uint64_t limit, uint64_t seed)
{
    struct walk *walk = calloc(1, sizeof *walk);
    assert_non_null(walk);
    bench_begin(&walk->bench, SERVERS_MOST, limit);
    rng_seed_with(&walk->rng, seed);
    walk->bench.pool.balancer = balancers[kind];
    walk->bench.config.balance = kind;
    walk->bench.config.choices = 2;
    walk->bench.config.queue =
        (struct queue_config){.size = 3, .max_wait = 20, .discipline = discipline, .target = 2};
    walk->bench.config.outlier = (struct outlier_config){.errors = 5, .time = 10, .most = 50};
    for (unsigned i = 0; i < SERVERS_MOST; i++)
        assert_int_equal(fcntl(walk->bench.listening[i], F_SETFL, O_NONBLOCK), 0);
    for (unsigned step = 0; step < STEPS; step++) {
        memset(walk->moved, 0, sizeof walk->moved);
        for (unsigned move = 0; move < MOVES; move++)
            walk_move(walk);
        walk_change(walk);
        walk_serve(walk);
        bench_run(&walk->bench, 0);
        walk_look(walk);
    }
    walk_end(walk);
    free(walk);
}

static void counts_return_to_zero(void **state)
{
    (void)state;
    const char *given = getenv("WEIR_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 1;
    static const uint64_t limits[] = {0, 1, 2, SERVER_ADAPTS};
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        walk_once(BALANCE_ROUND_ROBIN, (enum queue_discipline)(i % 3), limits[i], seed + i);
        walk_once(BALANCE_ADAPTIVE, (enum queue_discipline)((i + 1) % 3), limits[i], seed + 10 + i);
        walk_once(BALANCE_RANDOM, (enum queue_discipline)((i + 2) % 3), limits[i], seed + 20 + i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_return_to_zero),
    };
    counters_thread_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
