/*
 * In flight, awaiting and waiting return to zero after any mix of answers, refusals, cuts, time-outs,
 * cancels, retries, hedges, copies and tunnels: random walks over one worker's upstream side, over HTTP/1 and
 * HTTP/2, with servers of this test that do whatever comes to mind. Each step also holds that the counts are
 * exactly what the attempts that are open make of them. The same with all of weir around it is
 * tests/integration/test_in_flight.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/rng.h"
#include "http/stream.h"
#include "net/socket.h"
#include "support/fake_codec.h"
#include "support/upstream_bench.h"
#include "unit.h"
#include "upstream/balance.h"

#define STEPS 45 /* turns of the loop, each after some: */
#define MOVES 6
#define LINKS_MOST 256
#define ROUNDS_MOST 10 /* of each balance with each limit */

enum kind {
    ANSWERED,
    FAILED_BEFORE,
    GIVEN_UP,
    CANCELLED,
    TIMED_OUT,
    HEDGED,
    HEDGE_WON,
    TUNNEL,
    REFUSED_STREAM,
    KIND_COUNT
};
static const char *const kinds[] = {"answered", "failed before", "given up",  "cancelled", "timed out",
                                    "hedged",   "hedge won",     "in tunnel", "refused"};

struct walk {
    struct bench bench;
    struct outlier_config outlier;
    struct rng rng;
    int links[LINKS_MOST]; /* the servers' ends of connections */
    unsigned links_count;
    bool moved[ASKS_MOST]; /* in this turn */
    bool reset[ASKS_MOST]; /* in this turn; it is told in the next */
    bool open[ASKS_MOST];  /* asked, and neither failed nor done nor given up */
    /* that asks for the same: a hedge; whose head comes first goes on alone. -1: none */
    int twin[ASKS_MOST];
    bool http2;
    struct task leave;
    unsigned leaves;            /* rounds of tasks left */
    unsigned asked[KIND_COUNT]; /* what the walk had, so that no mix is without one of them */
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
    asker->waiter.http1_only = chance(walk, 10);
    if (chance(walk, 20)) { /* a retry */
        asker->waiter.except = walk->bench.members[rng_below(&walk->rng, SERVERS_MOST)].server;
    } else if (chance(walk, 10)) { /* a replay */
        asker->waiter.only = walk->bench.members[rng_below(&walk->rng, SERVERS_MOST)].server;
    }
    walk->open[i] = true;
    walk->twin[i] = -1;
}

/* The request of `i` goes to another server too. */
static void walk_hedge(struct walk *walk, unsigned i)
{
    unsigned k = rng_below(&walk->rng, ASKS_MOST);
    struct asker *asker = &walk->bench.askers[i];
    if (walk->open[k] || walk->moved[k] || walk->twin[i] >= 0 || asker->waiter.answered)
        return;
    struct asker *copy = ask(&walk->bench, k);
    copy->waiter.except = asker->waiter.server;
    walk->open[k] = true;
    walk->twin[k] = (int)i;
    walk->twin[i] = (int)k;
    walk->asked[HEDGED]++;
}

static void walk_reset(struct walk *walk, unsigned i, enum failure why)
{
    struct asker *asker = &walk->bench.askers[i];
    asker->stream->ops->reset(asker->stream, why);
    walk->reset[i] = true;
    walk->asked[why == FAILURE_RESPONSE_TIMEOUT ? TIMED_OUT : CANCELLED]++;
}

static void walk_drop(struct walk *walk, unsigned i)
{
    if (walk->bench.askers[i].ready != 0) {
        walk_reset(walk, i, FAILURE_CLIENT_CLOSED);
        return;
    }
    upstream_give_up(walk->bench.upstreams, &walk->bench.askers[i].waiter);
    walk->open[i] = false;
    walk->asked[GIVEN_UP]++;
}

/* The loser of two, if there are two and it has not ended or been moved in this turn. */
static void walk_end_twin(struct walk *walk, unsigned i)
{
    int k = walk->twin[i];
    walk->twin[i] = -1;
    if (k < 0 || walk->twin[k] != (int)i)
        return;
    walk->twin[k] = -1;
    struct asker *loser = &walk->bench.askers[k];
    if (!walk->open[k] || walk->reset[k] || loser->failed != 0 || loser->done != 0)
        return;
    walk->asked[HEDGE_WON]++;
    walk_drop(walk, (unsigned)k);
}

static void walk_answer(struct walk *walk, unsigned i)
{
    static const unsigned statuses[] = {200, 200, 200, 101, 404, 429, 500, 503};
    struct asker *asker = &walk->bench.askers[i];
    if (asker->waiter.answered)
        return;
    unsigned status = statuses[rng_below(&walk->rng, COUNT_OF(statuses))];
    upstream_answered(walk->bench.upstreams, &asker->waiter, status,
                      chance(walk, 50) ? loop_now_us(walk->bench.loop) : 0);
    walk->asked[status == 101 ? TUNNEL : ANSWERED]++;
    walk_end_twin(walk, i);
}

static void walk_attempt(struct walk *walk, unsigned i)
{
    struct asker *asker = &walk->bench.askers[i];
    if (asker->ready == 0) {
        if (chance(walk, 30))
            walk_drop(walk, i);
        return;
    }
    switch (rng_below(&walk->rng, 8)) {
    case 0:
        upstream_sent_whole(walk->bench.upstreams, &asker->waiter);
        break;
    case 1:
    case 2:
        walk_answer(walk, i);
        break;
    case 3:
        if (chance(walk, 30))
            walk_reset(walk, i, FAILURE_CLIENT_CLOSED);
        break;
    case 4:
        if (chance(walk, 30) && !asker->waiter.answered)
            walk_reset(walk, i, FAILURE_RESPONSE_TIMEOUT);
        break;
    case 5:
    case 6:
        walk_hedge(walk, i);
        break;
    default:
        break;
    }
}

static void walk_move(struct walk *walk)
{
    unsigned i = rng_below(&walk->rng, ASKS_MOST);
    if (walk->moved[i] || walk->reset[i])
        return;
    if (walk->open[i])
        walk_attempt(walk, i);
    else
        walk_ask(walk, i);
    walk->moved[i] = true;
}

/* What a server says: well, and closes, and of HTTP/2 its SETTINGS, a refusal of a stream or a GOAWAY. */
static char walk_letter(struct walk *walk)
{
    static const char of_http2[] = {'k', 'k', 'k', 'k', 's', 'r', 'g', 'c'};
    char letter = chance(walk, 80) ? 'k' : 'c';
    if (walk->http2)
        letter = of_http2[rng_below(&walk->rng, COUNT_OF(of_http2))];
    walk->asked[REFUSED_STREAM] += letter == 'r';
    return letter;
}

/* Nobody listens for a while: connections are refused. */
static void walk_refuse(struct walk *walk)
{
    unsigned i = rng_below(&walk->rng, SERVERS_MOST);
    const struct address *address = walk->bench.members[i].server->addresses;
    struct error error;
    if (walk->bench.listening[i] >= 0) {
        if (!chance(walk, 20))
            return;
        close(walk->bench.listening[i]);
        walk->bench.listening[i] = -1;
        return;
    }
    walk->bench.listening[i] = socket_listen(address, 16, 0, &error);
    assert_true(walk->bench.listening[i] >= 0);
    assert_int_equal(fcntl(walk->bench.listening[i], F_SETFL, O_NONBLOCK), 0);
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
        char request, answer = walk_letter(walk);
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
    if (chance(walk, 30))
        member->server->health = chance(walk, 85) ? SERVER_UP : SERVER_DOWN;
    if (chance(walk, 10))
        member->server->limit = (uint16_t)(1 + rng_below(&walk->rng, 3));
    if (chance(walk, 5))
        server_set_ejected(member->server, loop_now_us(walk->bench.loop), 20);
    if (chance(walk, 30))
        walk_refuse(walk);
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
        walk->asked[FAILED_BEFORE] += walk->open[i] && asker->failed != 0;
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
    for (unsigned i = 0; i < ASKS_MOST; i++)
        if (walk->open[i])
            walk_drop(walk, i);
    bench_run(&walk->bench, 5);
    while (walk->links_count > 0)
        close(walk->links[--walk->links_count]);
    bench_run(&walk->bench, 5);
    bench_end(&walk->bench);
}

/* Somebody leaves between two tasks of a turn: with a slot reserved, say, and not yet connecting. */
static void walk_leave(struct task *task)
{
    struct walk *walk = CONTAINER_OF(task, struct walk, leave);
    unsigned i = rng_below(&walk->rng, ASKS_MOST);
    const struct asker *asker = &walk->bench.askers[i];
    if (walk->open[i] && asker->ready == 0 && asker->failed == 0 && chance(walk, 30))
        walk_drop(walk, i);
    if (walk->leaves > 0) {
        walk->leaves--;
        loop_later(walk->bench.loop, task);
    }
}

static void walk_begin(struct walk *walk, enum balance_kind kind, enum queue_discipline discipline,
                       uint64_t limit)
{
    bench_begin(&walk->bench, SERVERS_MOST, limit);
    walk->leave.run = walk_leave;
    walk->bench.pool.balancer = balancers[kind];
    walk->bench.pool.protocol = walk->http2 ? POOL_H2C : POOL_HTTP_1;
    walk->bench.config.balance = kind;
    walk->bench.config.choices = 2;
    walk->bench.config.queue =
        (struct queue_config){.size = 3, .max_wait = 20, .discipline = discipline, .target = 2};
    walk->outlier = (struct outlier_config){.errors = 5, .time = 10, .most = 50, .clients = 2};
    walk->bench.config.outlier = &walk->outlier;
    for (unsigned i = 0; i < ASKS_MOST; i++) {
        walk->twin[i] = -1;
        walk->open[i] = false;
    }
    for (unsigned i = 0; i < SERVERS_MOST; i++)
        assert_int_equal(fcntl(walk->bench.listening[i], F_SETFL, O_NONBLOCK), 0);
}

static void walk_once(struct walk *walk, enum balance_kind kind, enum queue_discipline discipline,
                      uint64_t limit, uint64_t seed)
{
    print_message("balance %d, queue %d, limit %llu, HTTP/%d, seed %llu\n", kind, discipline,
                  (unsigned long long)limit, walk->http2 ? 2 : 1, (unsigned long long)seed);
    rng_seed_with(&walk->rng, seed);
    walk_begin(walk, kind, discipline, limit);
    for (unsigned step = 0; step < STEPS; step++) {
        memset(walk->moved, 0, sizeof walk->moved);
        memset(walk->reset, 0, sizeof walk->reset);
        for (unsigned move = 0; move < MOVES; move++)
            walk_move(walk);
        walk_change(walk);
        walk_serve(walk);
        walk->leaves = 6;
        loop_later(walk->bench.loop, &walk->leave);
        bench_run(&walk->bench, 0);
        walk_look(walk);
    }
    walk_end(walk);
}

static void walk_all(struct walk *walk, uint64_t seed)
{
    static const uint64_t limits[] = {0, 1, 2, SERVER_ADAPTS};
    static const enum balance_kind balances[] = {BALANCE_ROUND_ROBIN, BALANCE_ADAPTIVE, BALANCE_RANDOM};
    for (size_t i = 0; i < COUNT_OF(limits); i++)
        for (size_t k = 0; k < COUNT_OF(balances); k++) {
            walk->http2 = (i + k) % 2 == 1;
            walk_once(walk, balances[k], (enum queue_discipline)((i + k) % 3), limits[i], seed + 3 * i + k);
        }
}

static bool walk_had_all(const struct walk *walk)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (walk->asked[i] == 0)
            return false;
    return true;
}

/* What a walk meets depends on how fast the machine is, too: it goes on until it has met everything. */
static void counts_return_to_zero(void **state)
{
    (void)state;
    const char *given = getenv("WEIR_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 1;
    struct walk *walk = calloc(1, sizeof *walk);
    assert_non_null(walk);
    print_message("WEIR_TEST_SEED=%llu\n", (unsigned long long)seed);
    fake_codec_streams = 2;
    for (unsigned round = 0; round < ROUNDS_MOST && !walk_had_all(walk); round++)
        walk_all(walk, seed + 100 * round);
    for (size_t i = 0; i < KIND_COUNT; i++)
        print_message("%s: %u\n", kinds[i], walk->asked[i]);
    assert_true(walk_had_all(walk));
    free(walk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_return_to_zero),
    };
    counters_thread_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
