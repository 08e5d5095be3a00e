/* A worker: a thread with a loop, its client connections, its upstream connections, its lease on the current snapshot. */
#ifndef WEIR_PROXY_WORKER_H
#define WEIR_PROXY_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/list.h"
#include "base/rng.h"
#include "net/loop.h"
#include "net/mailbox.h"

struct route_scratch;
struct snapshot;
struct upstreams;
struct worker;

/* A worker's hold on a snapshot. Exchanges are counted plainly; the snapshot's atomic count moves once per worker and reload. */
struct lease {
    struct snapshot *snapshot;
    struct worker *worker;
    uint32_t users;      /* exchanges and client connections that use it */
    bool current;
};
struct worker {
    unsigned number;
    pthread_t thread;
    struct loop *loop;
    struct mailbox *mailbox;
    struct lease *lease;              /* current */
    struct upstreams *upstreams;
    struct route_scratch *route_scratch;
    struct list clients;              /* client_conn.at */
    struct list listeners;            /* of this worker */
    uint32_t clients_count;
    struct rng rng;
    uint64_t exchange_number;
    bool draining;
    void (*drained)(struct worker *worker); /* to control: told once, on the worker's thread, when it drains and has no client left */
    void *control;
    _Atomic uint64_t turns;           /* grows as long as the loop lives: for the watchdog */
};
/* Makes the worker (not yet its thread). cap: blocks it may hold. */
struct worker *worker_new(unsigned number, struct snapshot *snapshot, size_t block_cap);
bool worker_start(struct worker *worker, struct error *error) MUST_CHECK;
void worker_join(struct worker *worker);
void worker_free(struct worker *worker);
/* Letters, from control: */
void worker_post_snapshot(struct worker *worker, struct snapshot *snapshot);           /* takes a reference of its own */
void worker_post_listen(struct worker *worker, int fd, const char *address);           /* the socket stays control's */
void worker_post_unlisten(struct worker *worker, int fd, void (*done)(void *), void *argument); /* done is called on the worker once it no longer accepts there */
void worker_post_drain(struct worker *worker);                                         /* stop accepting, Connection: close, then drained() */
void worker_post_stop(struct worker *worker);                                          /* close all, end the loop */
void worker_post_ping(struct worker *worker);                                          /* bumps turns */

struct lease *lease_take(struct worker *worker); /* the current one */
void lease_release(struct lease *lease);

#endif
