/*
 * The upstream side of one worker: chooses a server, reserves its slot, finds or opens a connection, or waits
 * in the pool's queue. After upstream_open() comes ready() or failed(), never inside the call. After ready()
 * the waiter owns a stream in client role, and says upstream_done() exactly once when its attempt is over
 * (stream closed).
 */
#ifndef WEIR_UPSTREAM_UPSTREAM_H
#define WEIR_UPSTREAM_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "http/failure.h"
#include "http/pace.h"
#include "net/loop.h"

struct arena;
struct http_settings;
struct ip_address;
struct mailbox;
struct pool;
struct pool_server;
struct server;
struct stream;
struct tried;
struct upstreams; /* one worker's connections to all servers */
struct upstream_conn;

/*
 * Connections that are one client connection's alone, since the server knows by the connection who it is
 * (http/auth_scheme.h): nobody else's request ever goes there. In the client's struct; the end comes after
 * its last attempt, or before, and they end with it.
 */
struct upstream_owner {
    struct list conns; /* upstream_conn.of_owner, newest first */
    bool ended;
};
void upstream_owner_init(struct upstream_owner *owner);
void upstream_owner_end(struct upstream_owner *owner);

/* How far a client is with what it keeps a server waiting for. */
enum held_kind { HELD_ANSWER, HELD_REQUEST };
struct client_progress {
    enum held_kind kind;
    bool by_line;       /* it waits for the line, not for the client: what that moves counts too */
    uint64_t own, line; /* bytes of this message; of all on the connection */
    uint64_t least;     /* that it is to move in a second */
    bool was_slow;      /* with another exchange: it has no time ahead */
};

struct upstream_waiter {
    /* set by the caller before upstream_open() */
    void (*ready)(struct upstream_waiter *waiter, struct stream *stream);
    /* CONNECT_*, TLS_*, NO_SERVER, QUEUE_*, OVERLOADED, SHUTTING_DOWN; waiter->server tells whom, or is NULL
     */
    void (*failed)(struct upstream_waiter *waiter, enum failure why);
    const struct pool *pool;
    uint64_t hash; /* for hash policies */
    /* whose request it is: what comes of it is held against the server only as far as others fare the same;
     * NULL: nobody's */
    const struct ip_address *client;
    bool fresh; /* open a new connection, do not reuse (replay after a stale one) */
    /* its body still comes at the client's pace: the server is not waited for until upstream_sent_whole() */
    bool uploading;
    uint8_t priority; /* enum priority: who is served first of those who wait */
    /* whether it went well stands behind the answer, not in its head; until upstream_told_at_end() */
    bool told_at_end;
    bool http1_only; /* where both versions may be spoken, HTTP/1.1: what is asked for needs it */
    /* whose own connections it may use, and whose a connection becomes; NULL: nobody's */
    struct upstream_owner *owner;
    bool logs_in; /* the request has credentials for its connection, which becomes the owner's, or serves
                     nobody else */
    struct server *preferred;    /* this one if it is up and has room, whatever its weight; NULL: none */
    struct server *only;         /* not NULL: this server and no other (replay) */
    uint32_t avoid;              /* the connection that refused it before, as `connection` told; 0: none */
    const struct tried *tried;   /* members that are not asked again; NULL: none */
    const struct server *except; /* nor this one, where the same request is under way; NULL: none */
    bool spares;                 /* those that have turned requests away just now are the last choice */
    /* set by upstream */
    uint32_t member; /* of `server`: index into pool->servers */
    /* chosen, also when it then failed; NULL: none. Held by the pool, which the caller keeps */
    struct server *server;
    struct upstreams *upstreams;
    struct upstream_conn *conn;    /* that is being opened for it; NULL before and after */
    struct upstream_conn *serving; /* it, from ready() on until the stream has closed */
    uint64_t opened_us;            /* when the connection was ready */
    uint32_t connection;           /* that it was given, by number */
    bool reused, answered;
    bool preferred_full; /* only for want of a place there another was chosen */
    bool awaits;         /* counted among those that wait for the server */
    /* in the pool's queue, with the connection in the making, or of those whom their client holds up */
    struct list queued;
    uint64_t queued_us;          /* since when it is in the queue */
    struct client_progress held; /* at the last look, from which on it is measured */
    uint64_t held_moved;
    struct pace held_pace;
    struct deadline deadline;
    struct task task;
    uint8_t phase;
    enum failure failure;
};
/* number: of the worker; settings: for codecs; may change at reload. */
struct upstreams *upstreams_new(struct loop *loop, unsigned number, struct mailbox *mailbox,
                                const struct http_settings *settings);
void upstreams_settings(struct upstreams *upstreams, const struct http_settings *settings);
/* On the worker's thread, after its loop has ended: closes all, for which the loop runs once more. */
void upstreams_free(struct upstreams *upstreams);
void upstreams_close_idle(struct upstreams *upstreams);
/* Closes one that is idle, an old one first; false: there is none. */
bool upstreams_shed_idle(struct upstreams *upstreams);
/* Asked where descriptors are short; it says whether it has one go. badly: there is none left. */
void upstreams_when_short(struct upstreams *upstreams, bool (*make_room)(void *owner, bool badly),
                          void *owner);
/* Places that clients hold up go to others who wait. held_up: false where it is not for the client that the
 * server waits. yield: the exchange is to end. */
void upstreams_when_full(struct upstreams *upstreams,
                         bool (*held_up)(struct upstream_waiter *waiter, struct client_progress *progress),
                         void (*yield)(struct upstream_waiter *waiter));
/* A new snapshot: idle connections of servers that are in none of its pools close. */
void upstreams_keep_only(struct upstreams *upstreams, struct pool *const *pools, size_t count);
/* Tells whose mailbox is whose, by worker number, so that freed slots reach who waits; before workers run. */
void upstreams_peers(struct upstreams *upstreams, struct mailbox *const *mailboxes,
                     struct upstreams *const *others, unsigned count);

void upstream_open(struct upstreams *upstreams, struct upstream_waiter *waiter);
/* Before ready() and failed(): neither will come. */
void upstream_give_up(struct upstreams *upstreams, struct upstream_waiter *waiter);
/* The server has all of the request now. Needed only where `uploading` was set; harmless otherwise, and
 * again. */
void upstream_sent_whole(struct upstreams *upstreams, struct upstream_waiter *waiter);
/* The head of its answer came (no 1xx), and with what status; since_us: when the server had all it needs to
 * answer, 0: not known, and no measure of its speed. Once an attempt, before upstream_done(). */
void upstream_answered(struct upstreams *upstreams, struct upstream_waiter *waiter, unsigned status,
                       uint64_t since_us);
/* The answer tells that the server has asked, or known, who its connection is: it is the owner's from now on.
 * goes_on: the next request that logs in has to take it. Before upstream_done(). */
void upstream_bind(struct upstream_waiter *waiter, bool goes_on);
/* The server of the owner's connection that a request to this pool has to take; NULL: it has none that is
 * free. goes_on: between the steps of logging in. */
struct server *upstream_owned_server(const struct upstream_owner *owner, const struct pool *pool,
                                     bool logs_in, bool *goes_on) MUST_CHECK;
/* Another server answered the same request before: it took longer than until now. Before the attempt is
 * reset.
 */
void upstream_outrun(struct upstreams *upstreams, struct upstream_waiter *waiter);
/* What is known at the end of an answer whose head could not tell, as a status; before upstream_done(), and
 * only where `told_at_end` is set. */
void upstream_told_at_end(struct upstreams *upstreams, struct upstream_waiter *waiter, unsigned status);
/* It may be its client that the server waits for, now or later. Harmless again; after ready(). */
void upstream_held(struct upstreams *upstreams, struct upstream_waiter *waiter);
/* The attempt is over: releases the slot (wakes who waits, on any worker) and counts the result. Only what
 * the failure table calls the server's doing counts against it; SERVER_STALE and STREAM_REFUSED do not. */
void upstream_done(struct upstreams *upstreams, struct upstream_waiter *waiter, enum failure result);

/* What another server has to be, beside being up. */
struct other_server {
    const struct pool *pool;
    const struct tried *tried;   /* none of these; NULL: none was tried */
    const struct server *except; /* nor this one; NULL: none */
    bool spares;                 /* nor one that has turned requests away just now */
    bool free_now;               /* and it is well, and could begin at once */
};
bool upstream_has_other(const struct upstreams *upstreams, const struct other_server *wanted);
/* It turned the request away before a byte of it was sent. */
void upstream_turned_away(const struct upstreams *upstreams, const struct upstream_waiter *waiter);

/* Retry budget of a pool on this worker (balancing.md 7): a request earns, a retry spends. */
void upstream_budget_earn(struct upstreams *upstreams, const struct pool *pool);
bool upstream_budget_spend(struct upstreams *upstreams, const struct pool *pool);
/* The same for hedges; share: hedges a request earns. */
void upstream_hedge_earn(struct upstreams *upstreams, const struct pool *pool, double share);
bool upstream_hedge_spend(struct upstreams *upstreams, const struct pool *pool);

#endif
