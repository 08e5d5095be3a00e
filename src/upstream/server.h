/*
 * One member of a pool at run time. Lives in the shared state of the process and outlives reloads while pool,
 * name and addresses stay.
 */
#ifndef WEIR_UPSTREAM_SERVER_H
#define WEIR_UPSTREAM_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "config/pool_config.h"
#include "http/failure.h"
#include "net/address.h"

/* UNKNOWN counts as up (before the first probe) */
enum server_health { SERVER_UNKNOWN, SERVER_UP, SERVER_DOWN };

#define SERVER_WORKERS_MOST 256 /* bits in waiting_workers */

/* What all workers and snapshots of a pool of one name share. */
struct pool_shared {
    _Alignas(CACHE_LINE) _Atomic int32_t waiting; /* requests in its queues, all workers */
    _Atomic uint32_t refused;                     /* turned away by these: too many, or too long */
    _Atomic int32_t references;                   /* pools of snapshots */
    /* unique in the process, never used again: for per-worker tables */
    uint32_t number;
    const char *name; /* owned */
    /* of server_score.c, written once a tick and read by every choice */
    /* when the last tick was; the worker that changes it does it */
    _Alignas(CACHE_LINE) _Atomic uint64_t scored_us;
    _Atomic float normal_errors;      /* share of errors that is usual in this pool */
    _Atomic uint32_t silence_us;      /* a server silent for longer is slow; 0: not known */
    _Atomic float mean_log, variance; /* of ln(microseconds to the head) */
    _Atomic uint32_t median_us;       /* that half of the answers took; 0: not known */
    _Atomic float best_log;           /* least mean of ln(microseconds to the head) of late */
    _Atomic uint64_t best_at_us;      /* when that was looked at last; 0: never */
    _Atomic bool queues;              /* answers take longer than then, by more than a tenth */
    _Atomic uint64_t looked_us;       /* of server_limit.c, as the next three: at the queue */
    _Atomic int32_t waiting_before;
    _Atomic uint32_t refused_before, steady_in_a_row;
    _Atomic bool panic;   /* so few are left that ejections do not count */
    atomic_flag ejecting; /* held while somebody counts who is out */
    atomic_flag telling;  /* held for what follows, of absence.c */
    uint64_t absent_us;   /* when `absent` was counted; 0: anew */
    char down_why[64], absent[192];
    /* of upstream_queue.c: by worker, the highest priority that waits in its queue (PRIORITY_COUNT less
     * that); 0: nobody waits */
    _Alignas(CACHE_LINE) _Atomic uint8_t urgency[SERVER_WORKERS_MOST];
};
/* What traffic has shown of a server, decaying (server_score.c). Not on the path of a choice. */
struct server_score {
    atomic_flag busy;                 /* held for some additions */
    double answers, errors;           /* errors are among the answers */
    double accused;                   /* of these, those that count against it: score_accused() */
    double logs, squares;             /* of ln(microseconds to the head), over the answers that were none */
    double kept_answers, kept_logs;   /* what became of those that decayed */
    uint64_t at_us;                   /* decayed to here */
    uint64_t all_answers, all_errors; /* ever */
    uint32_t accusers[OUTLIER_CLIENTS_MOST - 1]; /* whose errors counted last, the newest first; 0: nobody */
};
/* How many requests a server may be given at once (server_limit.c): one of max_connections: auto, and of a
 * number when it comes back; guarded by the score's lock. */
struct server_limit {
    /* of ln(microseconds to the head), since the last judgement; timeouts are among them */
    double answers, logs;
    uint64_t least_us;      /* of the times themselves */
    uint64_t since_us;      /* of the first of them */
    uint64_t deaf_until_us; /* answers before are not to what the present limit let through */
    double usual_us;        /* what the head takes when nobody has to wait; 0: not known */
    uint64_t usual_at_us, told_us;
    bool holds, tries; /* there is a limit; it is put to the test */
    /* it is that of a server that comes back; which has answered; and has only grown since */
    bool returns, has_answered, hurries;
    uint64_t changed_us;      /* when that limit was last changed, or found right; 0: not yet */
    uint64_t bound_us;        /* when it last kept requests back; 0: not looked at yet */
    double carried;           /* requests that lately awaited their head while all was well, at most */
    unsigned slow_in_a_row;   /* judgements, while there is none */
    unsigned awaiting_first;  /* at the first of these */
    unsigned awaiting_before; /* at the last judgement */
    double value;             /* server.limit before it was rounded */
    uint64_t slow_at_us;      /* when answers last took too long */
    uint64_t trial_at_us, trial_after_us;
    double trial_value, trial_median_us; /* before the trial */
};
/* What a choice reads, and what workers write for each attempt, is one line: a scan takes one miss a server
 * at most. */
struct server {
    /* attempts sent and not finished, and reserved slots, of all workers */
    _Alignas(CACHE_LINE) _Atomic int32_t in_flight;
    /* those of them that wait for the server alone: sent whole, and no response head yet */
    _Atomic int32_t awaiting;
    _Atomic uint32_t heard_us; /* last head, or when the first began to wait; low bits of the clock */
    _Atomic float slowness;    /* T of balancing.md 5; 1: as its pool */
    _Atomic float surcharge;   /* E of balancing.md 5, in requests in flight; 0: fails no more than others */
    _Atomic uint32_t ejected_until_ms; /* low bits of the clock, see server_is_ejected(); 0: not ejected */
    _Atomic uint32_t joined_ms;        /* when it came back, for slow start; 0: it has always been there */
    _Atomic uint16_t health; /* enum server_health; written by control, and by workers on fast-down */
    _Atomic uint16_t limit;  /* of those that await a head, see server_has_room() */
    /* bit by worker number: it has requests queued that this server could take */
    _Atomic uint64_t waiting_workers[SERVER_WORKERS_MOST / 64];
    /* from here on read mostly */
    _Alignas(CACHE_LINE) struct server_score score;
    struct server_limit limiting;
    _Atomic uint32_t errors_in_a_row;
    _Atomic uint64_t trial_us;  /* the last one that might be hedged unasked */
    _Atomic bool probed;        /* a check would bring it back */
    _Atomic bool known_slow;    /* by far, and no answers have shown otherwise: a request here is a trial */
    uint32_t ejections;         /* not forgiven yet; this and the next under pool_shared.ejecting */
    uint64_t ejected_at_us;     /* end of the last ejection */
    _Atomic int32_t references; /* pools of snapshots, tables and connections of workers */
    _Atomic uint64_t refused_at_us; /* first refused connect of the current second, for fast-down */
    _Atomic uint32_t refused_count;
    _Atomic uint32_t unreached_in_a_row; /* connects that came to nothing */
    _Atomic uint64_t turned_away_us;     /* when a request was last, unsent; 0: not since it was reached */
    _Atomic uint32_t address_at;         /* the address that last worked: index into addresses */
    _Atomic uint64_t served;             /* attempts finished well; told about once a second */
    _Atomic uint64_t failed;             /* attempts that were the server's failure */
    const char *pool_name, *name, *address_text; /* owned */
    /* host part of the address, a name or an IP address without brackets: whom its certificate names; NULL
     * for a unix socket */
    const char *host;
    /* owned; several when a name has several: when one can't be reached, the next may be */
    struct address *addresses;
    uint32_t addresses_count;
    uint32_t number;          /* unique in the process, never used again: for per-worker tables */
    uint32_t pool_number;     /* pool_shared.number */
    struct server *next_same; /* of the set */
};

_Static_assert(offsetof(struct server, score) == CACHE_LINE,
               "what a choice reads is one line, and what is read mostly is not on it");
_Static_assert(offsetof(struct pool_shared, scored_us) == CACHE_LINE,
               "what a request that waits writes would be read by each choice");

/* What a request that names no host is to be sent with as its host: where the server is. */
struct span server_authority(const struct server *server);

/* All servers of the process, found by pool name and address text; thread: control only, but for
 * server_release(). */
struct server_set;
struct server_set *server_set_new(void);
void server_set_free(struct server_set *set);
/* Finds or makes it, and takes a reference. addresses: resolved, at least one. */
struct server *server_set_take(struct server_set *set, const struct pool_shared *shared, const char *name,
                               const char *address_text, const struct address *addresses, size_t count);
/* The shared part of the pool of that name, with a reference. */
struct pool_shared *server_set_take_pool(struct server_set *set, const char *pool_name);
void pool_shared_release(struct pool_shared *shared); /* any thread; memory goes with the next sweep */
void server_set_sweep(struct server_set *set);        /* drops those nobody refers to */
struct server *server_take(struct server *server);
void server_release(struct server *server); /* any thread; memory goes with the next sweep */

#define SERVER_ADAPTS \
    UINT32_MAX /* as the most of a server: what server->limit says, of those that await a head */
#define SERVER_LIMIT_OPEN UINT16_MAX /* in server.limit: none */

/* Takes one slot; false when `most` (0: no limit) are taken, by all workers together. A limit that adapts is
 * not exact: each worker may take one too many. */
bool server_reserve(struct server *server, uint32_t most) MUST_CHECK;
void server_unreserve(struct server *server);
/* a slot waits for the server alone from now on */
void server_awaited(struct server *server, uint64_t now_us);
void server_heard(struct server *server, uint64_t now_us); /* it has its head */
void server_unawaited(struct server *server);              /* it will not have one */
/* A connect was refused. `threshold` of them in a second (0: never) take a server that is probed down: true
 * when this one did. */
bool server_was_refused(struct server *server, uint64_t now_us, uint64_t threshold) MUST_CHECK;
void server_was_reached(struct server *server); /* a connect went well: refusals before it no longer count */
/* A connect came to nothing; true: so did others before it, and the server is taken to be away. */
bool server_was_unreached(struct server *server) MUST_CHECK;
/* A request came to nothing here before a byte of it was sent. */
void server_turned_away(struct server *server, uint64_t now_us);
/* The address to try after `tries` others; NULL: no more. */
const struct address *server_address(const struct server *server, unsigned tries);
void server_address_worked(struct server *server, const struct address *address);

/* Milliseconds (nearly) in 32 bits, never 0. */
static inline uint32_t server_clock(uint64_t now_us)
{
    return (uint32_t)(now_us >> 10) | 1;
}

static inline bool server_is_ejected(const struct server *server, uint64_t now_us)
{
    uint32_t until = atomic_load_explicit(&server->ejected_until_ms, memory_order_relaxed);
    return !LIKELY(until == 0) && (int32_t)(until - server_clock(now_us)) > 0;
}

static inline void server_set_ejected(struct server *server, uint64_t now_us, uint64_t milliseconds)
{
    atomic_store_explicit(&server->ejected_until_ms, server_clock(now_us + milliseconds * 1000),
                          memory_order_relaxed);
}

#define TURNED_AWAY_LASTS_US 1000000u

/* So lately that the next request would hardly fare better. */
static inline bool server_turns_away(const struct server *server, uint64_t now_us)
{
    uint64_t at_us = atomic_load_explicit(&server->turned_away_us, memory_order_relaxed);
    return at_us != 0 && now_us < at_us + TURNED_AWAY_LASTS_US;
}

/* Sequentially consistent, which costs nothing on x86: who starts to wait sets his bit and then looks here
 * (upstream_queue.c). */
static inline uint32_t server_load(const struct server *server)
{
    return (uint32_t)atomic_load(&server->in_flight);
}

static inline bool server_has_room(const struct server *server, uint32_t most)
{
    if (!LIKELY(most != 0))
        return true;
    if (!LIKELY(most == SERVER_ADAPTS) && server_load(server) >= most)
        return false;
    int32_t limit = atomic_load_explicit(&server->limit, memory_order_relaxed);
    /* Sequentially consistent, as the load. */
    return LIKELY(limit == SERVER_LIMIT_OPEN) || atomic_load(&server->awaiting) < limit;
}

/* Some wait for others to have their head. */
static inline bool server_is_limited(const struct server *server)
{
    return atomic_load_explicit(&server->limit, memory_order_relaxed) != SERVER_LIMIT_OPEN;
}

static inline bool server_is_up(const struct server *server)
{
    return atomic_load_explicit(&server->health, memory_order_relaxed) != SERVER_DOWN;
}

#endif
