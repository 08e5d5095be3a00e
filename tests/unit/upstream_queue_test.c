/* Slots and who waits for them: on one worker, and on several that wait for each other. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/stream.h"
#include "net/mailbox.h"
#include "support/fake_codec.h"
#include "support/upstream_bench.h"
#include "unit.h"
#include "upstream/balance.h"
#include "upstream/upstream_state.h"

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
    bench_run(&bench, 170);
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

/* A reload has added a server: who waits for the full one, with the older file, is in nobody's way. */
static void older_snapshots_requests_hold_nobody_up(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 2, 1);
    bench.config.queue = (struct queue_config){.size = 10, .max_wait = 10000, .discipline = QUEUE_FIFO};
    bench.pool.servers_count = 1;
    struct asker *old[] = {ask(&bench, 0), ask(&bench, 1), ask(&bench, 2)};
    bench_run(&bench, 5);
    struct pool newer = bench.pool, *const pools[] = {&newer};
    newer.servers_count = 2;
    assert_true(newer.balancer->prepare(&newer, &newer.plan, NULL));
    upstreams_keep_only(bench.upstreams, pools, 1);
    struct asker *new[] = {ask(&bench, 3), ask(&bench, 4)};
    new[0]->waiter.pool = new[1]->waiter.pool = &newer;
    struct asker *late = ask(&bench, 5); /* had begun before the reload */
    bench_run(&bench, 5);
    assert_int_equal(new[0]->ready, 1);
    assert_ptr_equal(new[0]->waiter.server, bench.members[1].server);
    assert_int_equal(bench.pool.shared->waiting, 4);
    int fds[2] = {serve(&bench, 0), serve(&bench, 1)};
    answer(&bench, fds[1], 'k');
    assert_int_equal(new[1]->ready, 1);
    for (unsigned i = 0; i < COUNT_OF(old); i++) {
        assert_int_equal(old[i]->ready, 1);
        assert_int_equal(late->ready, 0);
        answer(&bench, fds[0], 'k');
    }
    assert_int_equal(late->ready, 1);
    answer(&bench, fds[0], 'k');
    answer(&bench, fds[1], 'k');
    newer.balancer->dispose(newer.plan);
    bench.pool.servers_count = 2;
    close(fds[0]);
    close(fds[1]);
    bench_end(&bench);
}

/* --- who goes first --- */

/* One request holds the only slot; then others wait, one after another. */
static int crowd_begin(struct bench *bench, enum queue_discipline discipline, unsigned first,
                       unsigned waiting)
{
    bench_begin(bench, 1, 1);
    bench->config.queue =
        (struct queue_config){.size = waiting, .max_wait = 10000, .discipline = discipline, .target = 50};
    (void)ask(bench, 0);
    for (unsigned i = first; i < first + waiting; i++) {
        (void)ask(bench, i);
        bench_run(bench, 5);
    }
    return serve(bench, 0);
}

/* Answers until nobody waits: tells who came when, as digits. */
static void crowd_end(struct bench *bench, int fd, const char *order)
{
    bool seen[ASKS_MOST] = {true};
    char got[ASKS_MOST + 1] = "";
    for (size_t length = 0; length < strlen(order); length++) {
        answer(bench, fd, 'k');
        for (unsigned i = 1; i < ASKS_MOST; i++) {
            if (bench->askers[i].ready == 1 && !seen[i]) {
                got[length] = (char)('0' + i);
                seen[i] = true;
            }
        }
    }
    answer(bench, fd, 'k');
    assert_string_equal(got, order);
    close(fd);
    bench_end(bench);
}

static void a_burst_is_served_in_order_whatever_the_discipline(void **state)
{
    (void)state;
    struct bench bench;
    for (enum queue_discipline discipline = QUEUE_ADAPTIVE; discipline <= QUEUE_FIFO; discipline++) {
        int fd = crowd_begin(&bench, discipline, 1, 2);
        uint64_t since_us = bench.askers[1].waiter.queued_us;
        answer(&bench, fd, 'k');
        bool in_order = bench.askers[1].ready == 1 && bench.askers[2].ready == 0;
        /* On a machine that stood still meanwhile the burst was none. */
        assert_true(in_order || loop_now_us(bench.loop) > since_us + 40000);
        while (bench.members[0].server->in_flight > 0)
            answer(&bench, fd, 'k');
        close(fd);
        bench_end(&bench);
    }
}

static void under_overload_the_newest_goes_first(void **state)
{
    (void)state;
    struct bench bench;
    int fd = crowd_begin(&bench, QUEUE_ADAPTIVE, 1, 3);
    bench_run(&bench, 120);
    crowd_end(&bench, fd, "321");
    /* But when as many come as are answered, the oldest. */
    fd = crowd_begin(&bench, QUEUE_ADAPTIVE, 1, 3);
    bench_run(&bench, 120);
    atomic_store(&bench.pool.shared->steady_in_a_row, 3);
    crowd_end(&bench, fd, "123");
    fd = crowd_begin(&bench, QUEUE_FIFO, 1, 3);
    bench_run(&bench, 120);
    crowd_end(&bench, fd, "123");
}

static void under_overload_codel_sheds_who_waited_too_long(void **state)
{
    (void)state;
    struct bench bench;
    int64_t before = counted(COUNTER_queue_overdue);
    int fd = crowd_begin(&bench, QUEUE_CODEL, 1, 2);
    bench_run(&bench, 120);
    bench.config.queue.size = 3;
    bench.config.queue.target = 5000; /* for who comes now */
    struct asker *last = ask(&bench, 3);
    bench_run(&bench, 5);
    bench.config.queue.target = 50;
    last->waiter.queued_us = loop_now_us(bench.loop);
    answer(&bench, fd, 'k');
    assert_int_equal(bench.askers[1].failure, FAILURE_QUEUE_TIMEOUT);
    assert_int_equal(bench.askers[2].failure, FAILURE_QUEUE_TIMEOUT);
    assert_int_equal(last->ready, 1);
    assert_int_equal(counted(COUNTER_queue_overdue), before + 2);
    answer(&bench, fd, 'k');
    close(fd);
    bench_end(&bench);
}

static void higher_priorities_go_first_and_take_the_place_of_lower_ones(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1, 1);
    bench.config.queue = (struct queue_config){.size = 3, .max_wait = 10000, .discipline = QUEUE_FIFO};
    static const uint8_t priorities[] = {PRIORITY_NORMAL, PRIORITY_LOW,  PRIORITY_NORMAL,
                                         PRIORITY_LOW,    PRIORITY_HIGH, PRIORITY_LOW};
    for (unsigned i = 0; i < COUNT_OF(priorities); i++) {
        ask(&bench, i)->waiter.priority = priorities[i];
        bench_run(&bench, 5);
    }
    assert_int_equal(bench.askers[1].failure, FAILURE_QUEUE_FULL); /* displaced by 4 */
    assert_int_equal(bench.askers[5].failure, FAILURE_QUEUE_FULL); /* below nobody */
    crowd_end(&bench, serve(&bench, 0), "423");
}

/* --- limits that adapt --- */

static void a_limit_that_adapts_counts_those_that_await_a_head(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench, 1, SERVER_ADAPTS);
    bench.config.queue.max_wait = 10000;
    bench.members[0].server->limit = 1; /* and not open */
    struct asker *asker[3];
    for (unsigned i = 0; i < 3; i++)
        asker[i] = ask(&bench, i);
    asker[0]->waiter.uploading = true; /* does not count before it is sent */
    bench_run(&bench, 10);
    assert_int_equal(asker[0]->ready + asker[1]->ready, 2);
    assert_int_equal(asker[2]->ready, 0);
    assert_int_equal(bench.members[0].server->awaiting, 1);
    upstream_sent_whole(bench.upstreams, &asker[0]->waiter);
    assert_int_equal(bench.members[0].server->awaiting, 2);
    upstream_answered(bench.upstreams, &asker[0]->waiter, 200, 0);
    bench_run(&bench, 5);
    assert_int_equal(asker[2]->ready, 0);
    /* The head frees the place, though the answer is not over. */
    upstream_answered(bench.upstreams, &asker[1]->waiter, 200, 0);
    bench_run(&bench, 5);
    assert_int_equal(asker[2]->ready, 1);
    assert_int_equal(bench.members[0].server->in_flight, 3);
    for (unsigned i = 0; i < 3; i++) {
        int fd = serve(&bench, 0);
        answer(&bench, fd, 'k');
        close(fd);
    }
    bench_end(&bench);
}

/* --- workers that wait for each other --- */

/* Three workers of one pool, here in one thread, so that the order of what happens is the test's. */
static void trio_begin(struct bench trio[3], struct mailbox *mailboxes[3])
{
    struct upstreams *all[3];
    bench_begin(&trio[0], 1, 1);
    trio[0].config.queue = (struct queue_config){.size = 100, .max_wait = 10000, .discipline = QUEUE_FIFO};
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
        loop_free(trio[i].loop);
    }
    bench_end(&trio[0]);
}

/* Who waits hears of a slot by the bells alone: on a machine with no time for this, the look of now and then
 * would take it first. */
static struct asker *trio_ask(struct bench *worker, unsigned i, uint8_t priority)
{
    struct asker *asker = ask(worker, i);
    asker->waiter.priority = priority;
    bench_run(worker, 2);
    deadline_clear(&upstreams_pool(worker->upstreams, worker->pool.shared->number)->look);
    return asker;
}

/* Until nobody has heard anything new. */
static void trio_run(struct bench trio[3])
{
    for (unsigned i = 0; i < 6; i++)
        bench_run(&trio[2 - i % 3], 2);
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
    struct asker *second = trio_ask(&trio[1], 0, PRIORITY_NORMAL);
    struct asker *third = trio_ask(&trio[2], 0, PRIORITY_NORMAL);
    assert_int_equal(trio[0].pool.shared->waiting, 2);
    answer(&trio[0], fd, 'k');
    /* Worker 1 is told, but whoever waited there has gone: worker 2 hears of it. */
    upstream_give_up(trio[1].upstreams, &second->waiter);
    bench_run(&trio[1], 5);
    bench_run(&trio[2], 5);
    assert_int_equal(third->ready, 1);
    assert_int_equal(second->ready, 0);
    /* Those of the same worker come first, and then in turn with the others'. */
    struct asker *own[2] = {trio_ask(&trio[2], 1, PRIORITY_NORMAL), trio_ask(&trio[2], 2, PRIORITY_NORMAL)};
    struct asker *other = trio_ask(&trio[0], 1, PRIORITY_NORMAL);
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

/* The slot of a worker whose own requests wait goes to another's of a higher priority, whoever is next, and
 * stays while its own have the highest. */
static void priorities_hold_between_workers(void **state)
{
    (void)state;
    static const struct {
        unsigned worker;
        uint8_t priority;
    } waits[] = {
        {2, PRIORITY_HIGH}, {2, PRIORITY_HIGH}, {2, PRIORITY_HIGH}, {1, PRIORITY_NORMAL}, {0, PRIORITY_LOW}};
    struct bench trio[3];
    struct mailbox *mailboxes[3];
    struct asker *asker[COUNT_OF(waits)];
    int fds[3] = {-1, -1, -1};
    trio_begin(trio, mailboxes);
    (void)ask(&trio[0], 0);
    trio_run(trio);
    int fd = fds[0] = serve(&trio[0], 0);
    for (unsigned i = 0; i < COUNT_OF(waits); i++)
        asker[i] = trio_ask(&trio[waits[i].worker], 1 + i, waits[i].priority);
    answer(&trio[0], fd, 'k');
    for (unsigned i = 0; i < COUNT_OF(waits); i++) {
        unsigned worker = waits[i].worker;
        trio_run(trio);
        for (unsigned k = 0; k < COUNT_OF(waits); k++)
            assert_int_equal(asker[k]->ready, k <= i);
        if (fds[worker] < 0)
            fds[worker] = serve(&trio[worker], 0);
        answer(&trio[worker], fds[worker], 'k');
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(trio[0].pool.shared->urgency[i], 0);
        close(fds[i]);
    }
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
    *waiter = (struct upstream_waiter){
        .ready = waiter->ready, .failed = waiter->failed, .pool = asker->worker->pool};
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
        fprintf(stderr, "%u requests by %u workers through %u slots: %llu us\n",
                WORKERS * ASKERS_OF_ONE * ROUNDS, WORKERS, SLOTS, (unsigned long long)took);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_exact_and_others_wait_in_order),
        cmocka_unit_test(waiting_ends_in_time_or_by_giving_up),
        cmocka_unit_test(a_server_that_comes_up_is_seen_by_those_who_wait),
        cmocka_unit_test(older_snapshots_requests_hold_nobody_up),
        cmocka_unit_test(a_burst_is_served_in_order_whatever_the_discipline),
        cmocka_unit_test(under_overload_the_newest_goes_first),
        cmocka_unit_test(under_overload_codel_sheds_who_waited_too_long),
        cmocka_unit_test(higher_priorities_go_first_and_take_the_place_of_lower_ones),
        cmocka_unit_test(a_limit_that_adapts_counts_those_that_await_a_head),
        cmocka_unit_test(a_free_slot_is_told_to_other_workers),
        cmocka_unit_test(priorities_hold_between_workers),
        cmocka_unit_test(no_wake_up_is_lost_between_workers),
    };
    counters_thread_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
