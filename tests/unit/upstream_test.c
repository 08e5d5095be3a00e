/*
 * A worker's upstream side over a real loop and loopback sockets, with a codec of one byte a message: connections that
 * are made, kept and lost, slots and the queue, and two workers that wait for each other's slots.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "config/pool_config.h"
#include "http/stream.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "net/socket.h"
#include "support/fake_codec.h"
#include "unit.h"
#include "upstream/balance.h"
#include "upstream/pool.h"
#include "upstream/retry_budget.h"
#include "upstream/upstream.h"

#define SERVERS_MOST 3
#define ASKS_MOST 8

struct asker {
    struct upstream_waiter waiter;
    struct bench *bench;
    struct stream *stream;
    enum failure failure; /* of failed() */
    enum failure closed;
    unsigned ready, failed, done;
    bool in_call;
};
/* One worker, and servers that are listening sockets without anybody behind but the test. */
struct bench {
    struct loop *loop;
    struct upstreams *upstreams;
    struct server_set *set;
    struct pool_config config;
    struct health_config health;
    struct pool_server members[SERVERS_MOST];
    struct pool pool;
    int listening[SERVERS_MOST];
    struct asker askers[ASKS_MOST];
    struct deadline stop;
};

static void bench_stop(struct deadline *deadline)
{
    loop_stop(CONTAINER_OF(deadline, struct bench, stop)->loop);
}

static void bench_run(struct bench *bench, unsigned milliseconds)
{
    bench->stop.passed = bench_stop;
    deadline_set(&bench->stop, bench->loop, milliseconds);
    loop_run(bench->loop);
}

static struct address listening_address(int *fd)
{
    struct error error;
    struct address address;
    assert_true(address_parse(&address, "127.0.0.1:0", &error));
    *fd = socket_listen(&address, 16, 0, &error);
    assert_true(*fd >= 0);
    address.length = sizeof address.socket;
    assert_int_equal(getsockname(*fd, &address.socket.any, &address.length), 0);
    return address;
}

static void bench_add(struct bench *bench, const struct address *addresses, size_t count)
{
    size_t at = bench->pool.servers_count++;
    char text[ADDRESS_TEXT_MAX], name[8];
    struct span printed = address_print(&addresses[0], text);
    (void)printed;
    snprintf(name, sizeof name, "s%zu", at);
    bench->members[at] = (struct pool_server){
        .server = server_set_take(bench->set, bench->pool.shared, name, name, addresses, count),
        .weight = 1,
        .max_connections = (uint32_t)bench->config.max_connections,
    };
    bench->pool.limited = bench->config.max_connections != 0;
}

static void bench_begin(struct bench *bench, size_t servers, uint64_t max_connections)
{
    memset(bench, 0, sizeof *bench);
    fake_codec_hint = -1;
    bench->config = (struct pool_config){
        .name = "api",
        .max_connections = max_connections,
        .queue = {.size = 2, .max_wait = 60},
        .retry = {.budget = 20},
        .connect_timeout = 200,
        .idle_timeout = 4000,
        .idle_connections = 64,
        .fast_down = 2,
    };
    bench->loop = loop_new();
    bench->set = server_set_new();
    bench->upstreams = upstreams_new(bench->loop, 0, NULL, NULL);
    bench->pool = (struct pool){
        .config = &bench->config,
        .name = "api",
        .servers = bench->members,
        .shared = server_set_take_pool(bench->set, "api"),
        .balancer = balancers[BALANCE_ROUND_ROBIN],
    };
    for (size_t i = 0; i < servers; i++) {
        struct address address = listening_address(&bench->listening[i]);
        bench_add(bench, &address, 1);
    }
    for (size_t i = 0; i < ASKS_MOST; i++)
        bench->askers[i].bench = bench;
}

/* Every slot is free again, nobody refers to the servers, and they can be swept. */
static void bench_end(struct bench *bench)
{
    upstreams_free(bench->upstreams);
    if (bench->pool.plan != NULL)
        bench->pool.balancer->dispose(bench->pool.plan);
    assert_int_equal(bench->pool.shared->waiting, 0);
    for (size_t i = 0; i < bench->pool.servers_count; i++) {
        assert_int_equal(bench->members[i].server->in_flight, 0);
        assert_int_equal(bench->members[i].server->references, 1);
        server_release(bench->members[i].server);
        close(bench->listening[i]);
    }
    pool_shared_release(bench->pool.shared);
    server_set_sweep(bench->set);
    server_set_free(bench->set);
    deadline_clear(&bench->stop);
    loop_free(bench->loop);
}

static void asker_closed(struct stream *stream, enum failure why)
{
    struct asker *asker = stream->owner;
    asker->closed = why;
    asker->stream = NULL;
    asker->done++;
    upstream_done(asker->bench->upstreams, &asker->waiter, why);
}

static const struct stream_events asker_events = {.closed = asker_closed};

static void asker_ready(struct upstream_waiter *waiter, struct stream *stream)
{
    struct asker *asker = CONTAINER_OF(waiter, struct asker, waiter);
    assert_false(asker->in_call);
    asker->ready++;
    asker->stream = stream;
    stream->events = &asker_events;
    stream->owner = asker;
    stream->ops->send_head(stream, NULL, true);
}

static void asker_failed(struct upstream_waiter *waiter, enum failure why)
{
    struct asker *asker = CONTAINER_OF(waiter, struct asker, waiter);
    assert_false(asker->in_call);
    asker->failed++;
    asker->failure = why;
}

static struct asker *ask(struct bench *bench, unsigned number)
{
    struct asker *asker = &bench->askers[number];
    if (bench->pool.plan == NULL)
        assert_true(bench->pool.balancer->prepare(&bench->pool, &bench->pool.plan, NULL));
    memset(asker, 0, sizeof *asker);
    asker->bench = bench;
    asker->waiter.ready = asker_ready;
    asker->waiter.failed = asker_failed;
    asker->waiter.pool = &bench->pool;
    asker->in_call = true;
    upstream_open(bench->upstreams, &asker->waiter);
    asker->in_call = false;
    return asker;
}

/* The server's side: takes a connection, answers one. */
static int serve(struct bench *bench, unsigned server)
{
    return accept(bench->listening[server], NULL, NULL);
}

static void answer(struct bench *bench, int fd, char how)
{
    char request;
    assert_int_equal(recv(fd, &request, 1, 0), 1);
    assert_int_equal(request, 'q');
    assert_int_equal(send(fd, &how, 1, 0), 1);
    bench_run(bench, 10);
}

static int64_t counted(enum counter_id id)
{
    return counter_cells->value[id];
}

/* --- connections --- */

static void connection_is_made_kept_and_used_again(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1, 0);
    struct asker *asker = ask(&bench, 0);
    bench_run(&bench, 10);
    assert_int_equal(asker->ready, 1);
    assert_false(asker->waiter.reused);
    assert_int_equal(bench.members[0].server->in_flight, 1);
    int fd = serve(&bench, 0);
    answer(&bench, fd, 'k');
    assert_int_equal(asker->done, 1);
    assert_int_equal(bench.members[0].server->in_flight, 0);
    assert_int_equal(counted(COUNTER_upstream_idle), 1);

    struct asker *second = ask(&bench, 1);
    struct asker *third = ask(&bench, 2);
    bench_run(&bench, 10);
    assert_true(second->waiter.reused);
    assert_false(third->waiter.reused);
    assert_int_equal(counted(COUNTER_upstream_idle), 0);
    int other = serve(&bench, 0);
    answer(&bench, other, 'k');
    answer(&bench, fd, 'k'); /* the newest now */
    (void)ask(&bench, 3);
    bench_run(&bench, 10);
    assert_true(bench.askers[3].waiter.reused);
    answer(&bench, fd, 'c');
    assert_int_equal(counted(COUNTER_upstream_idle), 1);
    /* A replay asks for a fresh one although one is kept. */
    struct asker *replay = ask(&bench, 4);
    replay->waiter.fresh = true;
    replay->waiter.only = bench.members[0].server;
    bench_run(&bench, 10);
    assert_false(replay->waiter.reused);
    close(serve(&bench, 0));
    bench_run(&bench, 10);
    assert_int_equal(replay->closed, FAILURE_SERVER_CLOSED);
    assert_int_equal(bench.members[0].server->failed, 1);
    upstreams_close_idle(bench.upstreams);
    bench_run(&bench, 5);
    assert_int_equal(counted(COUNTER_upstream_idle), 0);
    close(fd);
    close(other);
    bench_end(&bench);
}

static void connection_that_the_server_ended_is_not_used(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1, 0);
    (void)ask(&bench, 0);
    bench_run(&bench, 10);
    int fd = serve(&bench, 0);
    answer(&bench, fd, 'k');
    /* The end is there before the next request, in the same turn: the loop has not told it yet. */
    close(fd);
    struct asker *second = ask(&bench, 1);
    bench_run(&bench, 10);
    assert_int_equal(second->ready, 1);
    assert_false(second->waiter.reused);
    close(serve(&bench, 0));
    bench_run(&bench, 10);
    bench_end(&bench);
}

static void idle_connections_end_in_time(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1, 0);
    bench.config.idle_timeout = 30;
    bench.config.idle_connections = 1;
    for (unsigned i = 0; i < 2; i++)
        (void)ask(&bench, i);
    bench_run(&bench, 10);
    int fds[2] = {serve(&bench, 0), serve(&bench, 0)};
    answer(&bench, fds[0], 'k');
    answer(&bench, fds[1], 'k');
    assert_int_equal(counted(COUNTER_upstream_idle), 1); /* no more than idle_connections */
    bench_run(&bench, 60);
    assert_int_equal(counted(COUNTER_upstream_idle), 0);
    /* The server's own word goes before: 1 s is kept for half of it, which is more than 30 ms; 0 s is not kept. */
    fake_codec_hint = 0;
    (void)ask(&bench, 0);
    bench_run(&bench, 10);
    int fd = serve(&bench, 0);
    answer(&bench, fd, 'k');
    assert_int_equal(counted(COUNTER_upstream_idle), 0);
    fake_codec_hint = -1;
    bench.config.max_requests = 1;
    (void)ask(&bench, 0);
    bench_run(&bench, 10);
    int last = serve(&bench, 0);
    answer(&bench, last, 'k');
    assert_int_equal(counted(COUNTER_upstream_idle), 0);
    close(fd);
    close(last);
    close(fds[0]);
    close(fds[1]);
    bench_end(&bench);
}

static void refused_connects_take_a_server_down(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1, 0);
    close(bench.listening[0]); /* nobody listens */
    struct server *server = bench.members[0].server;
    for (unsigned i = 0; i < 3; i++) {
        struct asker *asker = ask(&bench, i);
        bench_run(&bench, 5);
        assert_int_equal(asker->failed, 1);
        assert_int_equal(asker->failure, FAILURE_CONNECT_REFUSED);
        assert_ptr_equal(asker->waiter.server, server);
    }
    assert_int_equal(server->health, SERVER_UNKNOWN); /* nothing would bring it back */
    bench.config.health = &bench.health;
    server->refused_count = 0;
    (void)ask(&bench, 0);
    bench_run(&bench, 5);
    assert_true(server_is_up(server));
    (void)ask(&bench, 1);
    bench_run(&bench, 5);
    assert_false(server_is_up(server));
    struct asker *asker = ask(&bench, 2);
    bench_run(&bench, 5);
    assert_int_equal(asker->failure, FAILURE_NO_SERVER);
    assert_null(asker->waiter.server);
    assert_int_equal(server->failed, 5);
    bench.listening[0] = -1;
    bench_end(&bench);
}

static void refusals_far_apart_do_not_count(void **state)
{
    (void)state;
    struct server server = {.health = SERVER_UP};
    assert_false(server_was_refused(&server, 1000, 2));
    assert_false(server_was_refused(&server, 1001002, 2));
    assert_true(server_was_refused(&server, 1001003, 2));
    assert_false(server_was_refused(&server, 1001004, 2)); /* it is down already */
    server.health = SERVER_UP;
    server.refused_count = 0;
    assert_false(server_was_refused(&server, 5000000, 2));
    server_was_reached(&server);
    assert_false(server_was_refused(&server, 5000001, 2));
    server.refused_count = 0;
    for (unsigned i = 0; i < 9; i++)
        assert_false(server_was_refused(&server, 6000000, 0)); /* off */
}

static void connects_that_hang_end_in_time(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1, 0);
    /* A queue of connections that is full: further ones get no answer. */
    assert_int_equal(listen(bench.listening[0], 0), 0);
    int fillers[3];
    for (unsigned i = 0; i < 3; i++) {
        bool pending;
        int number;
        fillers[i] = socket_connect(server_address(bench.members[0].server, 0), &pending, &number);
    }
    struct asker *asker = ask(&bench, 0);
    struct asker *other = ask(&bench, 1);
    bench_run(&bench, 50);
    assert_int_equal(asker->failed + asker->ready, 0);
    assert_int_equal(bench.members[0].server->in_flight, 2);
    upstream_give_up(bench.upstreams, &other->waiter);
    assert_int_equal(bench.members[0].server->in_flight, 1);
    bench_run(&bench, 200);
    assert_int_equal(asker->failure, FAILURE_CONNECT_TIMEOUT);
    assert_int_equal(other->failed, 0);
    for (unsigned i = 0; i < 3; i++)
        close(fillers[i]);
    bench_end(&bench);
}

static void next_address_of_a_name_is_tried(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 0, 0);
    struct address addresses[2];
    int dead;
    addresses[0] = listening_address(&dead);
    close(dead);
    addresses[1] = listening_address(&bench.listening[0]);
    bench_add(&bench, addresses, 2);
    for (unsigned i = 0; i < 2; i++) {
        struct asker *asker = ask(&bench, i);
        bench_run(&bench, 10);
        assert_int_equal(asker->ready, 1);
        close(serve(&bench, 0));
        bench_run(&bench, 10);
        assert_ptr_equal(server_address(bench.members[0].server, 0), &bench.members[0].server->addresses[1]);
    }
    bench_end(&bench);
}

static void servers_outlive_reloads(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 2, 0);
    (void)ask(&bench, 0);
    (void)ask(&bench, 1);
    bench_run(&bench, 10);
    int fds[2] = {serve(&bench, 0), serve(&bench, 1)};
    answer(&bench, fds[0], 'k');
    answer(&bench, fds[1], 'k');
    assert_int_equal(counted(COUNTER_upstream_idle), 2);
    /* The same name and addresses are the same server; another address is another. */
    struct server *server = bench.members[0].server;
    assert_ptr_equal(server_set_take(bench.set, bench.pool.shared, "s0", "s0", server->addresses, 1), server);
    server_release(server);
    struct server *moved =
        server_set_take(bench.set, bench.pool.shared, "s0", "s0", bench.members[1].server->addresses, 1);
    assert_ptr_not_equal(moved, server);
    server_release(moved);
    server_set_sweep(bench.set);
    /* A snapshot without the second server: what is kept for it ends, the reference too. */
    struct pool next = bench.pool;
    struct pool *pools[] = {&next};
    next.servers_count = 1;
    upstreams_keep_only(bench.upstreams, pools, 1);
    bench_run(&bench, 5);
    assert_int_equal(counted(COUNTER_upstream_idle), 1);
    assert_int_equal(bench.members[1].server->references, 1);
    assert_int_equal(bench.members[0].server->references, 2);
    upstreams_keep_only(bench.upstreams, NULL, 0);
    bench_run(&bench, 5);
    assert_int_equal(bench.members[0].server->references, 1);
    close(fds[0]);
    close(fds[1]);
    bench_end(&bench);
}

/* --- slots and the queue --- */

static void slots_are_exact_and_others_wait_in_order(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1, 1);
    bench.config.queue.max_wait = 10000;
    struct asker *asker[4];
    for (unsigned i = 0; i < 4; i++)
        asker[i] = ask(&bench, i);
    bench_run(&bench, 10);
    assert_int_equal(asker[0]->ready, 1);
    assert_int_equal(asker[1]->ready + asker[2]->ready, 0);
    assert_int_equal(asker[3]->failure, FAILURE_QUEUE_FULL);
    assert_int_equal(bench.members[0].server->in_flight, 1);
    assert_int_equal(bench.pool.shared->waiting, 2);
    int fd = serve(&bench, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(bench.members[0].server->in_flight, 1);
        if (i < 2)
            assert_int_equal(asker[i + 1]->ready, 0);
        answer(&bench, fd, 'k');
        assert_int_equal(asker[i]->done, 1);
        if (i < 2)
            assert_int_equal(asker[i + 1]->ready, 1);
    }
    assert_true(asker[2]->waiter.reused);
    assert_int_equal(bench.pool.shared->waiting, 0);
    close(fd);
    bench_end(&bench);
}

static void waiting_ends_in_time_or_by_giving_up(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1, 1);
    (void)ask(&bench, 0);
    struct asker *second = ask(&bench, 1);
    struct asker *third = ask(&bench, 2);
    bench_run(&bench, 10);
    upstream_give_up(bench.upstreams, &third->waiter);
    assert_int_equal(bench.pool.shared->waiting, 1);
    bench_run(&bench, 100);
    assert_int_equal(second->failure, FAILURE_QUEUE_TIMEOUT);
    assert_int_equal(third->ready + third->failed, 0);
    int fd = serve(&bench, 0);
    /* One that was given the slot gives up in the same turn: the next gets it. */
    bench.config.queue.max_wait = 10000;
    second = ask(&bench, 1);
    third = ask(&bench, 2);
    bench_run(&bench, 5);
    answer(&bench, fd, 'k');
    assert_int_equal(second->ready, 1);
    upstream_give_up(bench.upstreams, &third->waiter);
    answer(&bench, fd, 'k');
    struct asker *fourth = ask(&bench, 3);
    bench_run(&bench, 10);
    assert_int_equal(fourth->ready, 1);
    answer(&bench, fd, 'k');
    close(fd);
    bench_end(&bench);
}

static void a_server_that_comes_up_is_seen_by_those_who_wait(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 2, 1);
    bench.config.queue.max_wait = 10000;
    bench.members[1].server->health = SERVER_DOWN;
    (void)ask(&bench, 0);
    struct asker *second = ask(&bench, 1);
    bench_run(&bench, 10);
    assert_int_equal(second->ready, 0);
    bench.members[1].server->health = SERVER_UP;
    bench_run(&bench, 130);
    assert_int_equal(second->ready, 1);
    assert_ptr_equal(second->waiter.server, bench.members[1].server);
    int fds[2] = {serve(&bench, 0), serve(&bench, 1)};
    answer(&bench, fds[0], 'k');
    answer(&bench, fds[1], 'k');
    close(fds[0]);
    close(fds[1]);
    bench_end(&bench);
}

/* --- workers that wait for each other --- */

/* Three workers of one pool, here in one thread, so that the order of what happens is the test's. */
static void trio_begin(struct bench trio[3], struct mailbox *mailboxes[3])
{
    struct upstreams *all[3];
    bench_begin(&trio[0], 1, 1);
    trio[0].config.queue = (struct queue_config){.size = 100, .max_wait = 10000};
    assert_true(trio[0].pool.balancer->prepare(&trio[0].pool, &trio[0].pool.plan, NULL));
    for (unsigned i = 0; i < 3; i++) {
        if (i != 0) {
            trio[i] = trio[0];
            trio[i].loop = loop_new();
            trio[i].upstreams = upstreams_new(trio[i].loop, i, NULL, NULL);
        }
        mailboxes[i] = mailbox_new(trio[i].loop, NULL);
        all[i] = trio[i].upstreams;
    }
    for (unsigned i = 0; i < 3; i++)
        upstreams_peers(all[i], mailboxes, all, 3);
}

static void trio_end(struct bench trio[3], struct mailbox *mailboxes[3])
{
    for (unsigned i = 3; i-- > 0;) {
        mailbox_free(mailboxes[i]);
        if (i == 0)
            break;
        upstreams_free(trio[i].upstreams);
        deadline_clear(&trio[i].stop);
        loop_free(trio[i].loop);
    }
    bench_end(&trio[0]);
}

static void a_free_slot_is_told_to_other_workers(void **state)
{
    (void)state;
    struct bench trio[3];
    struct mailbox *mailboxes[3];
    trio_begin(trio, mailboxes);
    (void)ask(&trio[0], 0);
    bench_run(&trio[0], 5);
    int fd = serve(&trio[0], 0);
    struct asker *second = ask(&trio[1], 0);
    struct asker *third = ask(&trio[2], 0);
    bench_run(&trio[1], 5);
    bench_run(&trio[2], 5);
    assert_int_equal(trio[0].pool.shared->waiting, 2);
    answer(&trio[0], fd, 'k');
    /* Worker 1 is told, but whoever waited there has gone: worker 2 hears of it. */
    upstream_give_up(trio[1].upstreams, &second->waiter);
    bench_run(&trio[1], 5);
    bench_run(&trio[2], 5);
    assert_int_equal(third->ready, 1);
    assert_int_equal(second->ready, 0);
    /* Those of the same worker come first, and then in turn with the others'. */
    struct asker *own[2] = {ask(&trio[2], 1), ask(&trio[2], 2)};
    struct asker *other = ask(&trio[0], 1);
    bench_run(&trio[2], 5);
    bench_run(&trio[0], 5);
    int last = serve(&trio[2], 0);
    answer(&trio[2], last, 'k');
    assert_int_equal(own[0]->ready, 1);
    answer(&trio[2], last, 'k');
    assert_int_equal(own[1]->ready, 0);
    bench_run(&trio[0], 5);
    assert_int_equal(other->ready, 1);
    answer(&trio[0], fd, 'k');
    bench_run(&trio[2], 5);
    assert_int_equal(own[1]->ready, 1);
    answer(&trio[2], last, 'k');
    close(last);
    close(fd);
    trio_end(trio, mailboxes);
}

enum { WORKERS = 3, ROUNDS = 1000, ASKERS_OF_ONE = 3, SLOTS = 2 };

struct worker {
    struct loop *loop;
    struct mailbox *mailbox;
    struct upstreams *upstreams;
    struct pool *pool;
    struct asker_of_worker {
        struct upstream_waiter waiter;
        struct worker *worker;
        struct task again;
        struct letter letter; /* to itself: arrives in a later turn */
        struct stream *stream;
        unsigned rounds;
    } askers[ASKERS_OF_ONE];
    unsigned left;
    _Atomic unsigned *finished;
    _Atomic int *inside;
    pthread_barrier_t *start;
    pthread_t thread;
};

static void worker_ask(struct asker_of_worker *asker)
{
    struct upstream_waiter *waiter = &asker->waiter;
    *waiter = (struct upstream_waiter){.ready = waiter->ready, .failed = waiter->failed, .pool = asker->worker->pool};
    upstream_open(asker->worker->upstreams, waiter);
}

static void worker_again(struct task *task)
{
    worker_ask(CONTAINER_OF(task, struct asker_of_worker, again));
}

static void worker_closed(struct stream *stream, enum failure why)
{
    struct asker_of_worker *asker = stream->owner;
    struct worker *worker = asker->worker;
    atomic_fetch_sub(worker->inside, 1);
    upstream_done(worker->upstreams, &asker->waiter, why);
    if (--asker->rounds != 0)
        loop_later(worker->loop, &asker->again);
    else
        worker->left--;
}

static const struct stream_events worker_events = {.closed = worker_closed};

static void worker_ready(struct upstream_waiter *waiter, struct stream *stream)
{
    struct asker_of_worker *asker = CONTAINER_OF(waiter, struct asker_of_worker, waiter);
    int inside = atomic_fetch_add(asker->worker->inside, 1);
    if (inside >= SLOTS)
        abort();
    stream->events = &worker_events;
    stream->owner = asker;
    asker->stream = stream;
    mailbox_post(asker->worker->mailbox, &asker->letter); /* the slot is held over the end of the turn */
}

static void worker_letter(struct letter *letter, void *reader)
{
    (void)reader;
    fake_stream_finish(CONTAINER_OF(letter, struct asker_of_worker, letter)->stream);
}

static void worker_failed(struct upstream_waiter *waiter, enum failure why)
{
    (void)waiter;
    fprintf(stderr, "failed: %s\n", failure_info[why].word);
    abort();
}

/* The loop of a worker that has finished must go on, as the others may ring at it. */
static void worker_look(struct deadline *deadline);
struct worker_clock {
    struct deadline deadline;
    struct worker *worker;
    bool counted;
};

static void worker_look(struct deadline *deadline)
{
    struct worker_clock *clock = CONTAINER_OF(deadline, struct worker_clock, deadline);
    if (clock->worker->left == 0 && !clock->counted) {
        clock->counted = true;
        atomic_fetch_add(clock->worker->finished, 1);
    }
    if (atomic_load(clock->worker->finished) == WORKERS)
        loop_stop(clock->worker->loop);
    else
        deadline_set(deadline, clock->worker->loop, 4);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct worker_clock clock = {.deadline.passed = worker_look, .worker = worker};
    counters_thread_enter();
    pthread_barrier_wait(worker->start);
    deadline_set(&clock.deadline, worker->loop, 4);
    for (unsigned i = 0; i < ASKERS_OF_ONE; i++) {
        worker->askers[i].worker = worker;
        worker->askers[i].rounds = ROUNDS;
        worker->askers[i].again.run = worker_again;
        worker->askers[i].letter.open = worker_letter;
        worker->askers[i].waiter.ready = worker_ready;
        worker->askers[i].waiter.failed = worker_failed;
        worker_ask(&worker->askers[i]);
    }
    loop_run(worker->loop);
    deadline_clear(&clock.deadline);
    upstreams_free(worker->upstreams);
    return NULL;
}

static void no_wake_up_is_lost_between_workers(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, SLOTS, 1);
    bench.config.queue = (struct queue_config){.size = 100, .max_wait = 20000};
    assert_true(bench.pool.balancer->prepare(&bench.pool, &bench.pool.plan, NULL));
    static struct worker workers[WORKERS];
    struct mailbox *mailboxes[WORKERS];
    struct upstreams *all[WORKERS];
    _Atomic unsigned finished = 0;
    _Atomic int inside = 0;
    pthread_barrier_t start;
    memset(workers, 0, sizeof workers);
    assert_int_equal(pthread_barrier_init(&start, NULL, WORKERS), 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *worker = &workers[i];
        worker->loop = loop_new();
        worker->mailbox = mailboxes[i] = mailbox_new(worker->loop, worker);
        worker->upstreams = all[i] = upstreams_new(worker->loop, i, worker->mailbox, NULL);
        worker->pool = &bench.pool;
        worker->left = ASKERS_OF_ONE;
        worker->finished = &finished;
        worker->inside = &inside;
        worker->start = &start;
    }
    for (unsigned i = 0; i < WORKERS; i++)
        upstreams_peers(all[i], mailboxes, all, WORKERS);
    uint64_t began = clock_monotonic_us();
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
    uint64_t took = clock_monotonic_us() - began;
    pthread_barrier_destroy(&start);
    for (unsigned i = 0; i < WORKERS; i++) {
        mailbox_free(workers[i].mailbox);
        loop_free(workers[i].loop);
        assert_int_equal(workers[i].left, 0);
    }
    uint64_t served = 0;
    for (unsigned i = 0; i < SLOTS; i++)
        served += bench.members[i].server->served;
    assert_int_equal(served, WORKERS * ASKERS_OF_ONE * ROUNDS);
    /* A lost word costs 100 ms, until the next look: many would show. */
    assert_true(took < 8000000);
    if (getenv("WEIR_TEST_TIMES") != NULL)
        fprintf(stderr, "%u requests by %u workers through %u slots: %llu us\n", WORKERS * ASKERS_OF_ONE * ROUNDS,
                WORKERS, SLOTS, (unsigned long long)took);
    bench_end(&bench);
}

/* --- retry budget --- */

static void retry_budget_follows_requests_with_a_floor(void **state)
{
    (void)state;
    struct retry_budget budget = {0};
    uint64_t now = 1000000;
    unsigned granted = 0;
    assert_false(retry_budget_spend(&budget, 0, now));
    while (retry_budget_spend(&budget, 0.2, now))
        granted++;
    assert_int_equal(granted, 10); /* what a new one holds */
    for (granted = 0; retry_budget_spend(&budget, 0.2, now + 2000000); granted++) {
    }
    assert_int_equal(granted, 6); /* three a second in any case */
    /* 1,000 requests a second earn 200 retries a second; at most ten seconds of them are kept. */
    now += 2000000;
    for (unsigned i = 0; i < 5000; i++)
        retry_budget_earn(&budget, 0.2, now += 1000);
    for (granted = 0; retry_budget_spend(&budget, 0.2, now); granted++) {
    }
    assert_in_range(granted, 990, 1001);
    for (unsigned i = 0; i < 60000; i++)
        retry_budget_earn(&budget, 0.2, now += 1000);
    for (granted = 0; retry_budget_spend(&budget, 0.2, now); granted++) {
    }
    assert_in_range(granted, 1950, 2011);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_is_made_kept_and_used_again),
        cmocka_unit_test(connection_that_the_server_ended_is_not_used),
        cmocka_unit_test(idle_connections_end_in_time),
        cmocka_unit_test(refused_connects_take_a_server_down),
        cmocka_unit_test(refusals_far_apart_do_not_count),
        cmocka_unit_test(connects_that_hang_end_in_time),
        cmocka_unit_test(next_address_of_a_name_is_tried),
        cmocka_unit_test(servers_outlive_reloads),
        cmocka_unit_test(slots_are_exact_and_others_wait_in_order),
        cmocka_unit_test(waiting_ends_in_time_or_by_giving_up),
        cmocka_unit_test(a_server_that_comes_up_is_seen_by_those_who_wait),
        cmocka_unit_test(a_free_slot_is_told_to_other_workers),
        cmocka_unit_test(no_wake_up_is_lost_between_workers),
        cmocka_unit_test(retry_budget_follows_requests_with_a_floor),
    };
    counters_thread_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
