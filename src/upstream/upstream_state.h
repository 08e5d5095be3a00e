/*
 * What the files of a worker's upstream side share: upstream.c leads, upstream_queue.c keeps who waits,
 * upstream_conn.c keeps the connections.
 */
#ifndef WEIR_UPSTREAM_UPSTREAM_STATE_H
#define WEIR_UPSTREAM_UPSTREAM_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/rng.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "upstream/pool.h"
#include "upstream/retry_budget.h"
#include "upstream/server.h"
#include "upstream/server_score.h"
#include "upstream/upstream.h"

/* One worker's side of one server. Made at first use, ends when no pool has the server any more and no
 * connection is left. */
struct server_entry {
    struct server *server; /* a reference */
    struct list idle;      /* upstream_conn.place of HTTP/1, newest first */
    /* upstream_conn.place of HTTP/2 that may take more, also those being made; newest first */
    struct list shared;
    struct list owned;   /* upstream_conn.place of both, of those that have an owner */
    struct list of_pool; /* pool_entry.servers */
    uint32_t idle_count, conns_count;
    struct score_cell cell;
    uint32_t served;   /* attempts not yet told to server->served */
    uint32_t losses;   /* of connections that ended otherwise than by us */
    bool kept;         /* in the current snapshot */
    bool speaks_http1; /* what it chose last by ALPN */
};
/* One worker's side of one pool, over all snapshots that have it. */
struct pool_entry {
    struct upstreams *upstreams;
    /* upstream_waiter.queued, oldest first; by priority, the highest first. In one queue all wait for the
     * same pool, that of the newest snapshot; who has an older one waits in `older` */
    struct list queues[PRIORITY_COUNT], older[PRIORITY_COUNT];
    const struct pool *newest; /* NULL: not known yet. Only compared, as it may be gone */
    uint32_t queued;           /* in all of them */
    uint64_t filled_us;        /* when they were last empty: since then somebody has always waited */
    struct list servers;       /* server_entry.of_pool */
    struct task wake;          /* looks whom of the queue can be served */
    struct deadline look;      /* the same now and then: servers come up without a word */
    uint32_t cursor;           /* of round_robin */
    struct retry_budget budget;
    double hedges;      /* that may be made now */
    uint64_t folded_us; /* when the cells of its servers were last folded */
    struct list held;   /* upstream_waiter.queued: upstream_held() was said of them */
    struct deadline held_look;
    uint32_t held_refused; /* pool_shared.refused at the last look at them */
    bool bits_set;         /* this worker's bit may stand at servers of the pool */
    bool others_next;      /* the last free slot went to this worker: the next goes to another that waits */
    bool kept;
};
/* The letter that tells a worker to look at its queues. One a worker, posted once at a time. */
struct upstream_bell {
    struct letter letter;
    _Atomic bool rung;
    /* the reader's; gone after its loop has ended, when no letter is opened any more */
    struct upstreams *upstreams;
    struct mailbox *mailbox;
};
/* All workers' bells: outlive each single worker's upstreams, as another may ring late. */
struct upstream_peers {
    _Atomic int32_t references;
    unsigned count;
    struct upstream_bell bells[];
};
struct upstreams {
    struct loop *loop;
    unsigned number;
    const struct http_settings *settings;
    struct server_entry **servers; /* by server->number; NULL where none */
    uint32_t servers_room;
    struct pool_entry **pools; /* by pool_shared.number */
    uint32_t pools_room;
    struct list conns; /* upstream_conn.of_all */
    uint32_t conns_made, conns_count;
    bool (*make_room)(void *owner, bool badly); /* NULL: nobody is asked */
    void *room_owner;
    bool (*held_up)(struct upstream_waiter *waiter, struct client_progress *progress); /* NULL: not asked */
    void (*yield)(struct upstream_waiter *waiter);
    struct rng rng;
    struct upstream_peers *peers; /* NULL: this worker is alone */
    struct deadline fold;         /* tells the servers what was served */
    bool closing;
    struct task last;
    unsigned last_rounds;
};

/* upstream.c */
enum waiter_phase {
    PHASE_NONE,
    PHASE_CHOOSING,
    PHASE_QUEUED,
    PHASE_RESERVED,
    PHASE_CONNECTING,
    PHASE_FAILING,
    PHASE_READY,
    PHASE_DONE
};
enum chosen { CHOSEN, CHOSEN_FULL, CHOSEN_NOBODY };
struct server_entry *upstreams_server(struct upstreams *upstreams, struct server *server);
struct pool_entry *upstreams_pool(struct upstreams *upstreams, uint32_t pool_number);
void pool_entry_score(struct pool_entry *entry, const struct pool *pool, uint64_t now_us);
/* Reserves the slot too. */
enum chosen waiter_choose(struct upstreams *upstreams, struct upstream_waiter *waiter) MUST_CHECK;
/* These three call up: from events and tasks only. */
void waiter_fail(struct upstream_waiter *waiter, enum failure why);
void waiter_ready(struct upstreams *upstreams, struct upstream_waiter *waiter, struct stream *stream);
/* first: of those that waited for this connection; a refusal counts once. */
void waiter_connect_failed(struct upstreams *upstreams, struct upstream_waiter *waiter, enum failure why,
                           bool first);
/* The connection it waited for is not for it: finds another, in a task of its own. */
void waiter_connect_later(struct upstreams *upstreams, struct upstream_waiter *waiter);
/* Frees it when nobody needs it. */
void server_entry_check(struct upstreams *upstreams, struct server_entry *entry);

/* upstream_held.c */
void held_init(struct pool_entry *pool);
void held_begin(struct upstreams *upstreams, struct upstream_waiter *waiter);

/* upstream_queue.c */
void pool_entry_init(struct pool_entry *pool, struct upstreams *upstreams);
void queue_enter(struct upstreams *upstreams, struct upstream_waiter *waiter);
void queue_leave(struct upstreams *upstreams, struct upstream_waiter *waiter);
/* A new snapshot: who waits now waits for an older one's pool. */
void queue_renew(struct pool_entry *pool);
/* A slot was released: wakes somebody who waits for it. */
void queue_slot_free(struct upstreams *upstreams, const struct pool_shared *shared, struct server *server);
void queue_forget_server(struct upstreams *upstreams, struct server *server);
struct upstream_peers *upstream_peers_new(struct mailbox *const *mailboxes, struct upstreams *const *all,
                                          unsigned count);
void upstream_peers_release(struct upstream_peers *peers);

#endif
