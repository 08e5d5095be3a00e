/*
 * One request and its answer: the plan, and the facts of what each end has really sent and seen. Both ends
 * live in this process, so that either may be held against the other.
 */
#ifndef ORACLE_EXCHANGE_H
#define ORACLE_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "oracle/plan.h"

#define ATTEMPTS_MOST 8u

struct exchange;
struct link;

/* The request as it reached a server, and what that server has answered. */
struct attempt {
    struct exchange *exchange;
    const struct answer_plan *plan;
    void (*give_up)(struct attempt *attempt); /* ends its stream or connection */
    void *owner;
    struct link *link;
    uint64_t body_seen;
    uint64_t up_seen; /* of a tunnel */
    uint64_t body_sent;
    uint64_t interims_sent;
    uint8_t number;   /* from 1 */
    bool copy;        /* for the pool that mirrors, which no client asks */
    bool whole;       /* the request's end was seen */
    bool head_sent;   /* of the answer */
    bool ended;       /* the answer's end was sent */
    bool failed;      /* the server has cut it, refused it, or said what allows another attempt */
    bool unprocessed; /* it has said that it did nothing with it */
    bool tunnels;     /* it has opened a tunnel */
    bool torn;        /* and cut it so that it can't be taken for an end */
    bool over;
};
struct exchange {
    uint64_t id;
    struct plan plan;
    struct exchange *newer, *older; /* of those in progress */
    uint64_t began, touched;        /* ticks: at the beginning, and when anything of it moved last */
    void (*give_up)(struct exchange *exchange); /* ends the client's stream or connection */
    void *owner;
    struct link *link;

    /* the client's side: what was sent */
    uint64_t body_sent;
    uint64_t up_sent; /* to a tunnel, or before there is one */
    bool head_sent, ended;
    bool forbidden;   /* it must never reach a server */
    bool gave_up;     /* the client or its connection has: any end is right */
    bool over;        /* for the client */
    bool half_closed; /* its connection has: weir asks by 102 whether it is still there */
    /* what it has seen */
    uint64_t body_seen;
    unsigned interims_seen, continues_seen;
    const struct attempt *interims_of; /* those that were seen */
    const struct attempt *answered;    /* by which attempt; NULL: weir's own answer, or none */
    uint16_t status;                   /* 0: no answer yet */
    bool whole;                        /* the answer's end was seen */
    bool tunnels;                      /* 101, or 2xx to a CONNECT */
    bool torn; /* the client has cut its tunnel so that it can't be taken for an end */

    unsigned attempts_count, attempts_open;
    struct attempt attempts[ATTEMPTS_MOST];
    struct attempt copy;
    unsigned copies;
    bool copy_lost;             /* it met a connection that the server had ended, or may have */
    uint64_t goaways_before[2]; /* a second before it began: weir may learn of them late */
    bool stale; /* it met a connection that the server had ended: weir may have to give it up */
    bool was_early, was_reset, was_pipelined, was_behind, was_hedged;
    bool failed, done;
    char *suspicion;       /* a fault that is not sure yet; NULL: none */
    uint64_t suspected_at; /* tick */
    uint8_t suspected;     /* enum fault */
};

/* The next exchange of a client of that kind; NULL: as many as were asked for have begun. */
struct exchange *exchange_new(bool http2_in, bool tls_in);
/* NULL: there is none of that number, or it was long ago. */
struct exchange *exchange_find(uint64_t id);
void exchange_touch(struct exchange *exchange);
/* Looks whether both sides are over. */
void exchange_settle(struct exchange *exchange);
/* The client's side has ended. */
void exchange_client_over(struct exchange *exchange);
void attempt_over(struct attempt *attempt);
/* At each tick: those that nothing has moved for so many are hung, and suspicions are looked at again. */
void exchange_look_around(uint64_t bound);
/* Whether HTTP/2 has had fewer exchanges than HTTP/1 so far: both are to have as many. */
bool exchange_wants_http2(void);
/* False: as many as were asked for have begun, or one is still under way that is too old. */
bool exchange_may_begin(void);
bool exchange_all_begun(void);
bool exchange_all_done(void);

/* Whether its copy is still to come. */
bool exchange_awaits_copy(const struct exchange *exchange);

/* How often servers of HTTP/2 have said GOAWAY, in the clear and inside TLS: what weir has sent behind it
 * they have not seen, and it may have to give that up. */
extern uint64_t exchange_goaways[2];
extern uint64_t exchange_moves; /* how often anything of any has moved */
extern uint64_t
    exchange_ticks; /* how often the loop has looked at its clock, each 100 ms, and weir had nothing to do */
void exchange_tick(void);

#endif
