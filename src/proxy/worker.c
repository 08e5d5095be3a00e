/*
 * A worker's thread: its letters from control, its listeners, and its leases on snapshots. Connections are
 * client_conn's and the upstream room's business; opening and closing listening sockets is control's.
 */
#include "proxy/worker.h"

#include <assert.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/block.h"
#include "base/counters.h"
#include "base/descriptors.h"
#include "base/log_writer.h"
#include "base/pipe.h"
#include "base/small.h"
#include "config/config.h"
#include "http/regex.h"
#include "net/listener.h"
#include "proxy/client_caps.h"
#include "proxy/client_conn.h"
#include "proxy/client_handshakes.h"
#include "proxy/client_memory.h"
#include "proxy/exchange_run.h"
#include "proxy/hand_over.h"
#include "proxy/mirror.h"
#include "proxy/snapshot.h"
#include "upstream/upstream.h"

#define LOG_RING_SIZE ((size_t)1 << 20) /* about two thousand access-log lines until the log thread looks */
#define BLOCKS_KEPT_IDLE 4              /* free blocks a worker keeps warm when no request came for a while */
#define IDLE_MS 250
#define STOP_MOST 1000     /* ms that a stopping worker gives its exchanges to let go */
#define BACKLOG_MOST 65536 /* connections taken from the queue of a socket that is about to close */

struct worker_listener {
    struct list at; /* worker->listeners */
    struct worker *worker;
    struct listener *listener;
    const struct site *site;
    /* of the last snapshot that had this address, once the current one has not; else NULL */
    struct lease *lease;
    int fd; /* control's */
    char address[];
};
/* Any of control's letters. */
struct worker_letter {
    struct letter letter;
    struct snapshot *snapshot;
    uint64_t number;
    int fd;
    void (*done)(void *);
    void *argument;
    char address[];
};

/* ---- leases ---- */

static struct lease *lease_new(struct worker *worker, struct snapshot *snapshot)
{
    struct lease *lease = xcalloc(1, sizeof(*lease));
    lease->snapshot = snapshot_take(snapshot);
    lease->worker = worker;
    lease->current = true;
    return lease;
}

static void lease_free(struct retired *retired)
{
    struct lease *lease = CONTAINER_OF(retired, struct lease, retired);
    snapshot_release(lease->snapshot);
    block_lent_free(lease->lent);
    free(lease);
}

/* The last that used it may still look at its snapshot in this turn; control may free it as soon as it is
 * released. */
static void lease_end(struct lease *lease)
{
    lease->worker->old_leases--;
    lease->retired.free = lease_free;
    loop_retire(lease->worker->loop, &lease->retired);
}

static void worker_check_stop(struct worker *worker)
{
    if (worker->stopping && worker->old_leases == 0 && worker->lease->users == 0 &&
        atomic_load(&worker->load) == 0)
        loop_later(worker->loop, &worker->stop);
}

struct lease *lease_hold(struct lease *lease)
{
    lease->users++;
    return lease;
}

static void lent_home(void *owner)
{
    lease_release(owner);
}

/* Plain counting, since slices and leases are of one worker. */
struct block *lease_lend(struct lease *lease)
{
    if (lease->lent == NULL)
        lease->lent = block_lent_new(lent_home, lease);
    if (lease->lent->count == 0)
        (void)lease_hold(lease);
    return block_share(lease->lent);
}

struct lease *lease_take(struct worker *worker)
{
    return lease_hold(worker->lease);
}

void lease_release(struct lease *lease)
{
    assert(lease->users > 0);
    if (--lease->users != 0)
        return;
    if (!lease->current)
        lease_end(lease);
    worker_check_stop(lease->worker);
}

/* ---- listeners ---- */

/* Where a limit is reached and nobody here may go for it, another worker may have somebody. */
static void worker_accept(const struct worker_listener *listener, int fd, const struct address *peer,
                          unsigned hops)
{
    struct worker *worker = listener->worker;
    struct lease *lease = listener->lease != NULL ? listener->lease : worker->lease;
    bool all = listener->lease != NULL || hand_on_is_over(worker, hops);
    const char *limit = client_conn_accept(lease, listener->site, fd, peer, all ? CAPS_ANY : CAPS_OLDEST);
    if (limit != NULL && (all || !hand_on(worker, fd, peer, listener->address, hops)))
        client_conn_refuse(listener->site, fd, limit);
}

/* The descriptor of one that goes for it is free at the end of the turn: the next client is taken after that,
 * and not before the other workers have taken those that they were given. */
static enum listener_next worker_accepted(void *owner, int fd, const struct address *peer)
{
    struct worker_listener *listener = owner;
    struct worker *worker = listener->worker;
    bool reached = client_caps_are_reached(worker->lease);
    if (!reached && listener->lease == NULL && hand_over(worker, fd, peer, listener->address))
        return LISTENER_MORE;
    worker_accept(listener, fd, peer, 0);
    return !reached ? LISTENER_MORE : hand_on_is_slow(worker) ? LISTENER_PAUSE : LISTENER_NEXT_TURN;
}

static void worker_listen(struct worker *worker, int fd, const char *address)
{
    size_t size = strlen(address) + 1;
    struct worker_listener *listener = xcalloc(1, sizeof(*listener) + size);
    memcpy(listener->address, address, size);
    listener->worker = worker;
    listener->fd = fd;
    listener->site = snapshot_site(worker->lease->snapshot, address);
    assert(listener->site != NULL); /* control sends the snapshot first */
    listener->listener = listener_new(worker->loop, fd, worker_accepted, listener);
    list_push_back(&worker->listeners, &listener->at);
}

/* What the kernel has already accepted for a socket that closes would be reset with it. */
static void listener_take_backlog(struct worker_listener *listener)
{
    for (unsigned i = 0; i < BACKLOG_MOST; i++) {
        struct address peer = {.length = sizeof(peer.socket)};
        int fd = accept4(listener->fd, &peer.socket.any, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            break;
        worker_accept(listener, fd, &peer, HOPS_ALL);
    }
}

static void worker_listener_free(struct worker_listener *listener)
{
    listener_free(listener->listener);
    list_remove(&listener->at);
    if (listener->lease != NULL)
        lease_release(listener->lease);
    free(listener);
}

/* The sites of the new snapshot; where it has none, the listener stays on the old one until control takes it
 * away. */
static void worker_move_listeners(struct worker *worker, struct lease *old)
{
    LIST_EACH (node, &worker->listeners) {
        struct worker_listener *listener = CONTAINER_OF(node, struct worker_listener, at);
        const struct site *site = snapshot_site(worker->lease->snapshot, listener->address);
        if (site != NULL) {
            listener->site = site;
            if (listener->lease != NULL)
                lease_release(listener->lease);
            listener->lease = NULL;
        } else if (listener->lease == NULL) {
            listener->lease = lease_hold(old);
        }
    }
}

/* ---- letters ---- */

static struct worker_letter *letter_new(void (*open)(struct letter *, void *), const char *address)
{
    size_t size = strlen(address) + 1;
    struct worker_letter *letter = xcalloc(1, sizeof(*letter) + size);
    memcpy(letter->address, address, size);
    letter->letter.open = open;
    return letter;
}

static struct worker_letter *letter_of(struct letter *letter)
{
    return CONTAINER_OF(letter, struct worker_letter, letter);
}

static void each_client(struct worker *worker, void (*act)(struct client_conn *conn))
{
    struct list *const lists[] = {&worker->clients, &worker->fresh, &worker->flooded};
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        LIST_EACH_SAFE (node, after, lists[i])
            act(CONTAINER_OF(node, struct client_conn, at));
}

static void open_snapshot(struct letter *letter, void *reader)
{
    struct worker_letter *mine = letter_of(letter);
    struct worker *worker = reader;
    struct snapshot *snapshot = mine->snapshot;
    struct lease *old = worker->lease;
    worker->lease = lease_new(worker, snapshot);
    snapshot_release(snapshot);
    free(mine);
    upstreams_settings(worker->upstreams, &snapshot->upstream_http);
    upstreams_keep_only(worker->upstreams, snapshot->pools, snapshot->pools_count);
    old->current = false;
    worker->old_leases++;
    (void)lease_hold(old); /* so that it outlives the moving */
    worker_move_listeners(worker, old);
    each_client(worker, client_conn_refresh);
    exchanges_end_tunnels(worker);
    lease_release(old);
}

static void open_cut(struct letter *letter, void *reader)
{
    struct worker *worker = reader;
    uint64_t number = letter_of(letter)->number;
    free(letter_of(letter));
    LIST_EACH_SAFE (node, after, &worker->clients)
        exchanges_cut(CONTAINER_OF(node, struct client_conn, at), number);
    LIST_EACH_SAFE (node, after, &worker->fresh)
        exchanges_cut(CONTAINER_OF(node, struct client_conn, at), number);
    mirrors_cut(worker, number);
}

static void open_listen(struct letter *letter, void *reader)
{
    struct worker_letter *mine = letter_of(letter);
    worker_listen(reader, mine->fd, mine->address);
    free(mine);
}

static void open_unlisten(struct letter *letter, void *reader)
{
    struct worker_letter *mine = letter_of(letter);
    struct worker *worker = reader;
    LIST_EACH_SAFE (node, after, &worker->listeners) {
        struct worker_listener *listener = CONTAINER_OF(node, struct worker_listener, at);
        if (listener->fd != mine->fd)
            continue;
        listener_take_backlog(listener);
        worker_listener_free(listener);
    }
    if (mine->done != NULL)
        mine->done(mine->argument);
    free(mine);
}

static void worker_check_drained(struct worker *worker)
{
    if (!worker->draining || worker->clients_count != 0 || worker->told_drained ||
        atomic_load(&worker->load) != 0)
        return;
    worker->told_drained = true;
    if (worker->drained != NULL)
        worker->drained(worker);
}

static void drain_busy(struct client_conn *conn)
{
    if (conn->exchanges != 0)
        client_conn_drain(conn);
}

/* Who is quiet is told with the next answer: nobody's request meets a closed connection. */
static void open_leave(struct letter *letter, void *reader)
{
    struct worker *worker = reader;
    free(letter_of(letter));
    worker->leaving = true;
    each_client(worker, drain_busy);
}

static void open_drain(struct letter *letter, void *reader)
{
    struct worker *worker = reader;
    free(letter_of(letter));
    if (worker->draining)
        return;
    worker->draining = true;
    atomic_store(&worker->shut, true);
    LIST_EACH_SAFE (node, after, &worker->listeners) {
        struct worker_listener *listener = CONTAINER_OF(node, struct worker_listener, at);
        listener_take_backlog(listener);
        worker_listener_free(listener);
    }
    each_client(worker, client_conn_drain);
    worker_check_drained(worker);
}

static void open_stop(struct letter *letter, void *reader)
{
    struct worker *worker = reader;
    free(letter_of(letter));
    if (worker->stopping)
        return;
    worker->stopping = true;
    atomic_store(&worker->shut, true);
    LIST_EACH_SAFE (node, after, &worker->listeners)
        worker_listener_free(CONTAINER_OF(node, struct worker_listener, at));
    each_client(worker, client_conn_close);
    mirrors_stop(worker);
    deadline_set(&worker->stop_at_the_latest, worker->loop, STOP_MOST);
    worker_check_stop(worker);
}

static void open_ping(struct letter *letter, void *reader)
{
    struct worker *worker = reader;
    atomic_fetch_add_explicit(&worker->turns, 1, memory_order_relaxed); /* control's ping, not each turn */
    free(letter_of(letter));
}

void worker_post_snapshot(struct worker *worker, struct snapshot *snapshot)
{
    struct worker_letter *letter = letter_new(open_snapshot, "");
    letter->snapshot = snapshot_take(snapshot);
    mailbox_post(worker->mailbox, &letter->letter);
}

void worker_post_listen(struct worker *worker, int fd, const char *address)
{
    struct worker_letter *letter = letter_new(open_listen, address);
    letter->fd = fd;
    mailbox_post(worker->mailbox, &letter->letter);
}

void worker_post_unlisten(struct worker *worker, int fd, void (*done)(void *), void *argument)
{
    struct worker_letter *letter = letter_new(open_unlisten, "");
    letter->fd = fd;
    letter->done = done;
    letter->argument = argument;
    mailbox_post(worker->mailbox, &letter->letter);
}

void worker_post_cut(struct worker *worker, uint64_t snapshot)
{
    struct worker_letter *letter = letter_new(open_cut, "");
    letter->number = snapshot;
    mailbox_post(worker->mailbox, &letter->letter);
}

void worker_post_leave(struct worker *worker)
{
    mailbox_post(worker->mailbox, &letter_new(open_leave, "")->letter);
}

void worker_post_drain(struct worker *worker)
{
    mailbox_post(worker->mailbox, &letter_new(open_drain, "")->letter);
}

void worker_post_stop(struct worker *worker)
{
    mailbox_post(worker->mailbox, &letter_new(open_stop, "")->letter);
}

void worker_post_ping(struct worker *worker)
{
    mailbox_post(worker->mailbox, &letter_new(open_ping, "")->letter);
}

/* ---- clients ---- */

void worker_client_came(struct worker *worker)
{
    worker->clients_count++;
    (void)atomic_fetch_add_explicit(&worker->load, 1, memory_order_relaxed);
}

void worker_load_less(struct worker *worker)
{
    (void)atomic_fetch_sub(&worker->load, 1);
    worker_check_drained(worker);
    worker_check_stop(worker);
}

void worker_client_gone(struct worker *worker)
{
    assert(worker->clients_count > 0);
    worker->clients_count--;
    worker_load_less(worker);
}

static void open_shed(struct letter *letter, void *reader)
{
    struct worker *worker = reader;
    (void)letter;
    atomic_store(&worker->shed_asked, false);
    if (descriptors_are_short())
        (void)client_caps_shed(worker, NULL, CAPS_OLDEST);
    client_memory_answer(worker);
}

void worker_ask_to_shed(struct worker *other)
{
    if (!atomic_exchange(&other->shed_asked, true))
        mailbox_post(other->mailbox, &other->shed);
}

static void ask_another_to_shed(struct worker *worker)
{
    if (worker->peers_count < 2)
        return;
    struct worker *other = client_caps_oldest(worker);
    if (other == worker)
        other = worker->peers[(worker->peer_self + 1 + worker->peer_next++ % (worker->peers_count - 1)) %
                              worker->peers_count];
    worker_ask_to_shed(other);
}

bool worker_make_room(struct worker *worker, enum caps_who who)
{
    if (upstreams_shed_idle(worker->upstreams) || client_caps_shed(worker, NULL, who))
        return true;
    ask_another_to_shed(worker);
    return false;
}

static bool make_room(void *owner, bool badly)
{
    return worker_make_room(owner, badly ? CAPS_ANY : CAPS_OLDEST);
}

static const struct worker_listener *listener_at(const struct worker *worker, const char *address)
{
    LIST_EACH (node, &worker->listeners) {
        const struct worker_listener *listener = CONTAINER_OF(node, struct worker_listener, at);
        if (strcmp(listener->address, address) == 0)
            return listener;
    }
    return NULL;
}

/* A reload has taken the address away meanwhile: the client is served by what it was accepted with. */
static void take_by_snapshot(struct worker *worker, struct snapshot *snapshot, const char *address, int fd,
                             const struct address *peer)
{
    bool current = snapshot == worker->lease->snapshot;
    struct lease *lease = current ? worker->lease : lease_new(worker, snapshot);
    lease->current = current;
    worker->old_leases += !current;
    (void)lease_hold(lease);
    const struct site *site = snapshot_site(snapshot, address);
    const char *limit = client_conn_accept(lease, site, fd, peer, CAPS_ANY);
    if (limit != NULL)
        client_conn_refuse(site, fd, limit);
    lease_release(lease);
}

void worker_take_client(struct worker *worker, struct snapshot *snapshot, const char *address, int fd,
                        const struct address *peer, unsigned hops)
{
    if (worker->stopping) {
        close(fd);
        return;
    }
    uint32_t before = worker->clients_count;
    const struct worker_listener *listener = listener_at(worker, address);
    bool late = worker->draining || (listener == NULL && snapshot != worker->lease->snapshot);
    if (listener != NULL)
        worker_accept(listener, fd, peer, hops);
    else
        take_by_snapshot(worker, snapshot, address, fd, peer);
    if (late && worker->clients_count != before)
        client_conn_drain(CONTAINER_OF(worker->fresh.previous, struct client_conn, at));
}

/* ---- the thread ---- */

static void worker_stop_now(struct task *task)
{
    struct worker *worker = CONTAINER_OF(task, struct worker, stop);
    deadline_clear(&worker->stop_at_the_latest);
    loop_stop(worker->loop);
}

/* Some read on without closing: they are not waited for. */
static void worker_stop_late(struct deadline *deadline)
{
    struct worker *worker = CONTAINER_OF(deadline, struct worker, stop_at_the_latest);
    each_client(worker, client_conn_cut);
    loop_later(worker->loop, &worker->stop);
}

/* No request began since the last look: what a burst has left warm goes back to the system. */
static void worker_trim(struct deadline *deadline)
{
    struct worker *worker = CONTAINER_OF(deadline, struct worker, trim);
    if (worker->exchange_number != worker->exchange_number_seen) {
        worker->exchange_number_seen = worker->exchange_number;
        block_pool_configure(0, client_memory_blocks_kept(worker));
        deadline_set(deadline, worker->loop, IDLE_MS);
        return;
    }
    pipe_pool_trim(0);
    small_trim();
    block_pool_configure(0, client_memory_blocks_kept(worker));
    if (block_pool_free_count() <= BLOCKS_KEPT_IDLE)
        return;
    block_pool_trim(BLOCKS_KEPT_IDLE);
    malloc_trim(0);
}

void worker_keep_warm(struct worker *worker)
{
    if (!deadline_is_set(&worker->trim))
        deadline_set(&worker->trim, worker->loop, IDLE_MS);
}

/* Inside malloc(): what is to be done, is done by a task. */
static void memory_grown(struct memory_server *memory)
{
    struct worker *worker = CONTAINER_OF(memory, struct worker, memory);
    loop_later(worker->loop, &worker->relieve);
}

static void worker_relieve(struct task *task)
{
    client_memory_relieve(CONTAINER_OF(task, struct worker, relieve));
}

struct worker *worker_new(unsigned number, struct snapshot *snapshot)
{
    struct worker *worker = xcalloc_lines(sizeof(*worker));
    worker->number = number;
    worker->memory.grown = memory_grown;
    worker->relieve.run = worker_relieve;
    worker->loop = loop_new();
    worker->mailbox = mailbox_new(worker->loop, worker);
    worker->lease = lease_new(worker, snapshot);
    worker->upstreams = upstreams_new(worker->loop, number, worker->mailbox, &snapshot->upstream_http);
    upstreams_when_short(worker->upstreams, make_room, worker);
    upstreams_when_full(worker->upstreams, forward_held_up, forward_yield);
    worker->shed.open = open_shed;
    worker->trim.passed = worker_trim;
    worker->stop.run = worker_stop_now;
    worker->stop_at_the_latest.passed = worker_stop_late;
    list_init(&worker->clients);
    list_init(&worker->fresh);
    list_init(&worker->flooded);
    worker->handshakes = client_handshakes_new();
    list_init(&worker->tunnels);
    list_init(&worker->mirrors);
    list_init(&worker->listeners);
    rng_seed(&worker->rng);
    return worker;
}

void workers_introduce(struct worker *const *workers, unsigned count)
{
    struct mailbox **mailboxes = xcalloc(count, sizeof(struct mailbox *));
    struct upstreams **upstreams = xcalloc(count, sizeof(struct upstreams *));
    for (unsigned i = 0; i < count; i++) {
        mailboxes[i] = workers[i]->mailbox;
        upstreams[i] = workers[i]->upstreams;
    }
    for (unsigned i = 0; i < count; i++) {
        upstreams_peers(workers[i]->upstreams, mailboxes, upstreams, count);
        workers[i]->peers = xcalloc(count, sizeof(struct worker *));
        memcpy(workers[i]->peers, workers, count * sizeof(struct worker *));
        workers[i]->peers_count = count;
        workers[i]->peer_self = i;
    }
    free(upstreams);
    free(mailboxes);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    char name[16];
    snprintf(name, sizeof(name), "weir-worker-%u", worker->number % 1000);
    pthread_setname_np(pthread_self(), name);
    counters_thread_enter();
    log_thread_enter(LOG_RING_SIZE);
    block_pool_configure(0, client_memory_blocks_kept(worker));
    memory_thread_serves(&worker->memory);
    loop_run(worker->loop);
    /* Its blocks and log ring are this thread's, so its connections to servers end here too. */
    upstreams_free(worker->upstreams);
    worker->upstreams = NULL;
    block_pool_trim(0);
    pipe_pool_trim(0);
    small_trim();
    memory_thread_serves(NULL);
    regex_thread_leave();
    log_thread_leave();
    return NULL;
}

bool worker_start(struct worker *worker, struct error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited by the thread: signals are control's */
    int number = pthread_create(&worker->thread, NULL, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (number != 0)
        return error_set_errno(error, number, "cannot start worker %u", worker->number);
    worker->started = true;
    return true;
}

void worker_join(struct worker *worker)
{
    if (worker->started)
        pthread_join(worker->thread, NULL);
    worker->started = false;
}

void worker_free(struct worker *worker)
{
    if (worker == NULL)
        return;
    assert(!worker->started);
    if (worker->upstreams != NULL)
        upstreams_free(worker->upstreams);
    mailbox_free(worker->mailbox);
    loop_free(worker->loop);
    snapshot_release(worker->lease->snapshot);
    block_lent_free(worker->lease->lent);
    free(worker->lease);
    client_handshakes_free(worker->handshakes);
    free(worker->peers);
    free(worker);
}
