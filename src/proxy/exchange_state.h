/* What the files of this room share about an exchange in progress: exchange_run.c leads, forward.c and
 * answer_page.c serve. */
#ifndef WEIR_PROXY_EXCHANGE_STATE_H
#define WEIR_PROXY_EXCHANGE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/span.h"
#include "http/exchange.h"
#include "http/stream.h"
#include "net/loop.h"
#include "proxy/access_log.h"
#include "proxy/relay.h"
#include "proxy/replay.h"
#include "upstream/upstream.h"

struct client_conn;
struct grpc_bridge;
struct hedge;
struct exchange_run;
struct lease;
struct mirror_body;
struct plan;
struct pool;
struct site;
struct snapshot;
struct tried;
struct worker;

#define FAILED_TOLD 5 /* tries that failed, in the access log */

/* One try at a server. In the exchange's arena; several may be ending at once, only one is current. */
struct attempt {
    struct upstream_waiter waiter;
    struct exchange_run *run;
    struct stream *stream; /* NULL before ready() and after closed() */
};
enum exchange_wait { WAIT_NOTHING, WAIT_RESPONSE, WAIT_BODY, WAIT_TUNNEL, WAIT_RETRY };

/* In the exchange's arena, whose freeing ends it. */
struct exchange_run {
    struct exchange exchange;
    struct client_conn *conn;
    struct worker *worker;
    struct lease *lease;
    const struct snapshot *snapshot;
    const struct site *site;
    const struct plan *plan; /* NULL: no route yet, or none */
    const struct pool *pool; /* NULL: weir answers itself */
    struct attempt *attempt; /* current, or NULL */
    /* its answer is dropped, and its connection kept if it soon ends; NULL: none */
    struct attempt *leftover;
    struct hedge *hedge;    /* NULL: there is none */
    unsigned attempts_open; /* not yet ended, the current one among them */
    struct relay up, down;  /* request body, response body */
    struct replay replay;
    struct mirror_body *mirror; /* while a body is kept to be copied; else NULL */
    struct deadline deadline;   /* of what is waited for now */
    struct deadline total;      /* of the whole exchange */
    enum exchange_wait wait;
    uint64_t progress;                         /* ms: last sign of life that `wait` looks at */
    uint64_t taken;                            /* bytes that the client of a tunnel had at the last look */
    struct attempt_record failed[FAILED_TOLD]; /* the first of them */
    unsigned failed_count;
    struct tried *tried;          /* where it came to nothing; in the arena; NULL: nowhere yet */
    struct attempt *spare;        /* one that is over, for the next; NULL: none */
    struct span servers_out;      /* why none could be had, when that was the end */
    struct server *sticky_server; /* that the client's cookie names; NULL: none */
    uint64_t hash;                /* of the key of balance: hash; 0: none */
    unsigned sends;               /* tries for which there was a connection */
    unsigned retries;             /* counted against retry.attempts */
    uint32_t retry_pause;         /* ms before the next one */
    unsigned refusals;            /* sent anew after the server had refused the stream */
    enum failure first_failure;   /* of a try, to be told when no other try can be made */
    unsigned filter_index;
    unsigned status; /* final status sent to the client */
    unsigned interim_count;
    bool head_sent;     /* the final response head went to the client */
    bool continue_sent; /* a 100 went to the client */
    bool client_closed;
    bool upgrading; /* an upgrade is asked for and allowed: request.upgrade */
    /* and asked for as HTTP/2 does (RFC 8441): to this client a 2xx would be the tunnel */
    bool extended_connect;
    bool logs_in;      /* it has credentials that its server may take for the connection's */
    bool owned;        /* it goes to where the client's connection has one of its own */
    bool goes_on;      /* and is a step of logging in there, which no other connection can take */
    bool http1_only;   /* the server has said that it wants HTTP/1.1 */
    bool sticky_renew; /* its cookie is good but to be given anew */
    bool is_retry;     /* the request came as one, see retry_tell() */
    bool told_attempt; /* the request tells the server which attempt it is */
    bool spares;       /* the next try prefers servers that have not turned others away just now */
    bool replayed;     /* sent anew after a stale connection, once */
    bool reused;       /* last attempt went over a kept connection */
    bool grpc;         /* of gRPC or gRPC-Web, by its Content-Type */
    /* a conversation: both sides may be quiet, each as long as the other is not */
    bool patient;
    struct grpc_bridge *bridge; /* of gRPC-Web, on a route that translates it; else NULL */
    struct span grpc_status;    /* of the response's trailers, for the log */
    bool server_http2;          /* last attempt that had a connection: over HTTP/2 */
    bool ended;
    union {
        struct list tunnel; /* worker->tunnels */
        struct retired retired;
    };
};

/* exchange_run.c */
/* From here on it is a tunnel. */
void exchange_tunnel(struct exchange_run *run);
void exchange_enter(struct exchange_run *run, enum exchange_state state);
void exchange_wait_for(struct exchange_run *run, enum exchange_wait wait);
/* The exchange can't be carried through: gives the server up, and tells the client by an answer, or by a cut
 * when its response has begun. */
void exchange_fail(struct exchange_run *run, enum failure why);
/* Ends it when both sides are over. */
void exchange_settle(struct exchange_run *run);

/* forward.c */
void forward_begin(struct exchange_run *run, const struct pool *pool);
/* taken: as in relay_push() */
void forward_body(struct exchange_run *run, struct buf *bytes, size_t taken, bool last);
void forward_trailers(struct exchange_run *run, struct fields *trailers);
void forward_abandon(struct exchange_run *run, enum failure why);
void forward_timed_out(struct exchange_run *run, enum failure why);
/* For hedges. The same once more, to a server that run->attempt is not at; not current, NULL: the arena is
 * full. */
struct attempt *forward_copy(struct exchange_run *run);
/* run->attempt has become the current one */
void forward_take(struct exchange_run *run);
/* its answer is not wanted; not the current one */
void forward_drop(struct exchange_run *run, struct attempt *attempt);
void forward_resume(struct exchange_run *run); /* WAIT_RETRY has passed */

/* answer_page.c: weir's own response, from exchange->answer or, without one, the page of a failure. */
void answer_send(struct exchange_run *run);
void answer_failure(struct exchange_run *run, enum failure why);

#endif
