/* A worker: a thread with a loop, its client connections, its upstream connections, its lease on the current
 * snapshot.
 */
#ifndef WEIR_PROXY_WORKER_H
#define WEIR_PROXY_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/rng.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "proxy/client_caps.h"

struct address;
struct block;
struct client_handshakes;
struct snapshot;
struct upstreams;
struct worker;

/* A worker's hold on a snapshot. Exchanges are counted plainly; the snapshot's atomic count moves once per
 * worker and reload. */
struct lease {
    struct snapshot *snapshot;
    struct worker *worker;
    uint32_t users; /* exchanges, client connections and orphaned listeners that use it */
    bool current;
    struct block
        *lent; /* for bodies of the snapshot that are on their way to clients; NULL: there was none */
    struct retired retired;
};
struct worker {
    unsigned number;
    pthread_t thread;
    struct loop *loop;
    struct mailbox *mailbox;
    struct lease *lease; /* current */
    struct upstreams *upstreams;
    /* client_conn.at: those that have begun a request, those that have not yet, the oldest first, and those
     * that have flooded their connection */
    struct list clients, fresh, flooded;
    struct client_handshakes *handshakes;
    struct list listeners; /* of this worker */
    uint32_t clients_count;
    struct list tunnels; /* exchange_run.tunnel */
    struct list mirrors; /* mirror.at: copies of requests that are on their way */
    uint32_t mirrors_count;
    struct rng rng;
    struct memory_server memory; /* what this thread holds for peers */
    struct task relieve;         /* it has grown, and memory is short */
    uint64_t shed_turn;          /* loop_now_us() when clients last went for others */
    uint64_t shed_bytes;         /* what they held, which is counted until that turn has ended */
    uint64_t exchange_number;
    struct deadline trim;          /* gives warm memory back when no request comes */
    uint64_t exchange_number_seen; /* at the last look */
    bool leaving;                  /* each connection ends with its next answer, and new ones are taken */
    bool draining;                 /* and none is */
    void (*drained)(struct worker *worker); /* to control: told once, on the worker's thread, when it drains
                                               and has no client left */
    void *control;
    _Atomic uint64_t turns; /* grows as long as the loop lives: for the watchdog */
    /* this file's own */
    uint32_t old_leases; /* not current and still used */
    bool started, told_drained, stopping;
    struct task stop;
    struct deadline stop_at_the_latest;
    struct worker **peers; /* all workers */
    unsigned peers_count, peer_self, peer_next;
    struct letter shed; /* asks it to let a client go; one under way at a time */
    _Atomic bool shed_asked;
    /* read and written by the others too, once for a connection (hand_over.c) */
    _Alignas(CACHE_LINE) _Atomic int32_t load; /* clients it has, and those on their way to it */
    _Atomic uint32_t oldest; /* ms of the clock, low bits: when the first of `fresh` came; 0: it is empty */
    _Atomic bool shut;       /* it drains or stops: no more */
};
_Static_assert(offsetof(struct worker, load) % CACHE_LINE == 0 &&
                   sizeof(struct worker) - offsetof(struct worker, load) == CACHE_LINE,
               "what others write would slow down what a worker reads for each request");
/* Makes the worker (not yet its thread). */
struct worker *worker_new(unsigned number, struct snapshot *snapshot);
/* Tells the workers of each other; after all were made and before the first starts. */
void workers_introduce(struct worker *const *workers, unsigned count);
bool worker_start(struct worker *worker, struct error *error) MUST_CHECK;
void worker_join(struct worker *worker);
void worker_free(struct worker *worker); /* after all have been joined: they write letters to each other */
/* Letters, from control: */
/* takes a reference of its own */
void worker_post_snapshot(struct worker *worker, struct snapshot *snapshot);
void worker_post_listen(struct worker *worker, int fd, const char *address); /* the socket stays control's */
void worker_post_unlisten(struct worker *worker, int fd, void (*done)(void *),
                          /* done is called on the worker once it no longer accepts there */
                          void *argument);
/* End what runs under the snapshot of that number. */
void worker_post_cut(struct worker *worker, uint64_t snapshot);
void worker_post_leave(struct worker *worker); /* go on accepting; the next answers say Connection: close */
void worker_post_drain(struct worker *worker); /* stop accepting, Connection: close, then drained() */
void worker_post_stop(struct worker *worker);  /* close all, end the loop */
void worker_post_ping(struct worker *worker);  /* bumps turns */

/* A request began: memory is kept warm until none has for a while. Costs a compare. */
void worker_keep_warm(struct worker *worker);

struct lease *lease_take(struct worker *worker); /* the current one */
struct lease *lease_hold(struct lease *lease);   /* one more user of this one */
void lease_release(struct lease *lease);         /* what it shows stays good until the end of the turn */
/* A reference of a block that stands for bytes of the lease's snapshot: as long as there is one, the lease is
 * used. */
struct block *lease_lend(struct lease *lease);
/* One that another worker has accepted, at an address of that snapshot; hops: how many workers had it before.
 */
void worker_take_client(struct worker *worker, struct snapshot *snapshot, const char *address, int fd,
                        const struct address *peer, unsigned hops);
/* Descriptors are short: lets go of a connection that is of no use now, an idle one to a server first, then a
 * quiet client. False: it has none; then another worker is asked, for the next time. */
bool worker_make_room(struct worker *worker, enum caps_who who);
/* Descriptors or memory are short: another worker looks whom it can do without. */
void worker_ask_to_shed(struct worker *other);
void worker_load_less(struct worker *worker); /* one that was on its way is there, or does not come */
void worker_client_came(struct worker *worker);
/* client_conn tells that one is over, after it has left worker->clients. */
void worker_client_gone(struct worker *worker);

#endif
