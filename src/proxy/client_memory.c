/*
 * Who has flooded goes first, then who never asked, then who holds most beyond what a request needs: an
 * attacker makes weir hold more than that, or as little as others. Where bytes go to and fro, what is beyond
 * it counts for less: an attacker's lies, and a stream of events would go first, since it holds a block or
 * two more whenever something comes. Of those that hold no more, who waits goes first, since it can ask
 * again; a conversation goes last, behind those that hold nothing and never asked.
 *
 * Only some connections are looked at to find one that holds much, and those go behind the others, so that
 * the next look sees new ones; those that never asked lie by age, and the oldest that holds something goes.
 * What goes gives its memory back at the end of the turn: so a look counts what was sent away in it, or a
 * turn in which many come would send everybody away that holds something.
 */
#include "proxy/client_memory.h"

#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "base/counters.h"
#include "base/log.h"
#include "config/config.h"
#include "http/http_conn.h"
#include "net/transport.h"
#include "proxy/client_caps.h"
#include "proxy/client_conn.h"
#include "proxy/mirror.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "upstream/upstream.h"

#define LOOKS 32u                /* connections looked at to find one that holds much */
#define LOOKS_MOST 128u          /* likewise, where those that hold much pass bytes on */
#define LOOKS_FRESH 256u         /* likewise, of those that never asked */
#define LARGE (1u << 20)         /* who holds that goes, and nobody else is looked at */
#define MUCH BLOCK_SIZE          /* who holds less goes for nobody: it has no request on its way */
#define SOMETHING (8u << 10)     /* the same of who never asked: a head of that size is no usual one */
#define PART_AS_MUCH 2u          /* of what who asks holds, at least, holds who goes for a request: half */
#define PASSING (2 * BLOCK_SIZE) /* so much beyond that, which comes and goes, of who passes bytes on */
#define PASSING_COUNTS 3u        /* and so much less counts what is more */
#define MORE_BY_FAR 2            /* so often what this worker holds */
#define QUIET_AT_ONCE 64u        /* connections that go in a turn */
#define HOLDERS_AT_ONCE 16u      /* likewise */

/*
 * Free blocks that stay warm. Attackers fill the memory again and again, and what one leaves is room for the
 * next: were each block given back, madvise() and the pages' coming back would be half of all work on a
 * machine whose own pages are virtual. They stay counted. The part is that of all workers, and is what goes
 * at once when holders go, about: with sixteen blocks ten times as many pages come back.
 */
#define KEPT_MOST 1024u /* of a worker: 16 MiB */
#define KEPT_LEAST 16u
#define KEPT_PART 6u

#define QUIET_HOLDS 4096u /* bytes: what a quiet one has, about */
#define QUIET_FOR_A_REQUEST 8u

/* A handshake in progress, whatever its stage: OpenSSL's, 45 to 77 KB; and what it keeps after one. */
#define HANDSHAKE_HOLDS (48u << 10)
#define TLS_HOLDS (14u << 10)

static size_t held_by(const struct client_conn *conn)
{
    if (conn->http != NULL)
        return http_conn_held(conn->http) + (conn->tls ? TLS_HOLDS : 0);
    bool shakes = conn->tls && conn->transport != NULL && !conn->transport->opened;
    return shakes ? HANDSHAKE_HOLDS : 0;
}

static bool passes_bytes(const struct client_conn *conn)
{
    return (uint32_t)loop_now(conn->worker->loop) - conn->passed_at < CLIENT_PASSES_MS;
}

/* What speaks for its going before others, of one that holds so much; 0: next to nothing. */
static size_t weight_of(const struct client_conn *conn, size_t held)
{
    size_t needed = conn->http != NULL ? conn->http->ops->least + (conn->tls ? TLS_HOLDS : 0) : 0;
    size_t beyond = held > needed ? held - needed : 0;
    if (!passes_bytes(conn))
        return beyond + 1;
    return beyond > PASSING ? (beyond - PASSING) / PASSING_COUNTS : 0;
}

static struct client_conn *oldest_fresh(const struct worker *worker, size_t least)
{
    unsigned looks = 0;
    LIST_EACH (node, &worker->fresh) {
        struct client_conn *conn = CONTAINER_OF(node, struct client_conn, at);
        if (++looks > LOOKS_FRESH)
            break;
        if (held_by(conn) >= least)
            return conn;
    }
    return NULL;
}

/* Of some that hold at least so much, who weighs most; NULL: nobody holds it. */
static struct client_conn *largest(struct worker *worker, const struct client_conn *but, size_t least)
{
    struct client_conn *most = NULL;
    size_t most_weight = 0;
    unsigned looks = 0, looks_most = LOOKS_MOST;
    LIST_EACH_SAFE (node, after, &worker->clients) {
        struct client_conn *conn = CONTAINER_OF(node, struct client_conn, at);
        if (++looks > looks_most)
            break;
        list_remove(node);
        list_push_back(&worker->clients, node);
        size_t held = conn != but ? held_by(conn) : 0;
        if (held < least)
            continue;
        size_t weight = weight_of(conn, held);
        if (!passes_bytes(conn))
            looks_most = LOOKS;
        if (most != NULL && weight <= most_weight)
            continue;
        most = conn;
        most_weight = weight;
        if (weight >= LARGE)
            break;
    }
    return most;
}

/* The worker that holds most, if that is more than so often what this one does; NULL: none does. */
static struct worker *who_holds_more(const struct worker *worker, int64_t so_often)
{
    struct worker *most = NULL;
    int64_t held = atomic_load_explicit(&worker->memory.held, memory_order_relaxed) * so_often;
    for (unsigned i = 0; i < worker->peers_count; i++) {
        int64_t its = atomic_load_explicit(&worker->peers[i]->memory.held, memory_order_relaxed);
        if (its <= held)
            continue;
        held = its;
        most = worker->peers[i];
    }
    return most;
}

/* It will look by itself. */
static bool ask_another(const struct worker *worker)
{
    struct worker *most = who_holds_more(worker, 1);
    if (most != NULL)
        worker_ask_to_shed(most);
    return most != NULL;
}

/* Bytes that are counted still, of clients that were sent away in this turn. */
static uint64_t going(const struct worker *worker)
{
    return worker->shed_turn == loop_now_us(worker->loop) ? worker->shed_bytes : 0;
}

/* Who holds no more than a request takes goes where nobody else does: not where the memory is another
 * worker's by far, nor a conversation where others have just gone, of whom it is not known yet how much they
 * held. */
static struct client_conn *last_to_go(const struct worker *worker, struct client_conn *conn)
{
    bool passes = passes_bytes(conn);
    struct client_conn *fresh = passes ? oldest_fresh(worker, 0) : NULL;
    if (fresh != NULL)
        return fresh;
    bool stays = (passes && going(worker) != 0) || who_holds_more(worker, MORE_BY_FAR) != NULL;
    return stays ? NULL : conn;
}

static struct client_conn *holder(struct worker *worker, const struct client_conn *but, size_t least)
{
    struct client_conn *conn = client_caps_flooded(worker, NULL);
    if (conn == NULL)
        conn = oldest_fresh(worker, least > SOMETHING ? least : SOMETHING);
    if (conn != NULL)
        return conn;
    conn = largest(worker, but, least > MUCH ? least : MUCH);
    return conn == NULL || weight_of(conn, held_by(conn)) > 1 ? conn : last_to_go(worker, conn);
}

static size_t send_away(struct client_conn *conn)
{
    char peer[ADDRESS_TEXT_MAX];
    struct worker *worker = conn->worker;
    size_t held = held_by(conn);
    worker->shed_bytes = going(worker) + held;
    worker->shed_turn = loop_now_us(worker->loop);
    counter_add(COUNTER_memory_shed, 1);
    log_warn("listener", "memory is short, and a client that held much went for others",
             KV_SPAN("client", ip_address_print(&conn->peer, peer)), KV("listener", conn->site->config->name),
             KV_NUMBER("held", held));
    client_conn_shed(conn);
    return held;
}

static bool quiet_goes(struct worker *worker)
{
    if (!client_caps_shed(worker, NULL, CAPS_QUIET) && !upstreams_shed_idle(worker->upstreams))
        return false;
    counter_add(COUNTER_memory_shed, 1);
    return true;
}

static unsigned quiet_ones_go(struct worker *worker, unsigned most)
{
    unsigned gone = 0;
    while (gone < most && quiet_goes(worker))
        gone++;
    return gone;
}

static bool holder_goes(struct worker *worker, const struct client_conn *for_whom, size_t least)
{
    struct client_conn *conn = holder(worker, for_whom, least);
    if (conn == NULL)
        return false;
    (void)send_away(conn);
    return true;
}

/* At the last level nothing more is promised; before it, another worker may be asked and what is left
 * suffices until it has looked. */
static bool may_come_meanwhile(const struct worker *worker)
{
    return memory_level() < MEMORY_HOLDERS_GO && ask_another(worker);
}

/*
 * Before somebody goes or is turned away it is looked whether memory is still short: what was set apart and
 * spent may be had again, and what was not counted may have gone, of which nobody else hears once nothing
 * grows because all are turned away.
 */
static bool is_short(struct worker *worker, enum memory_level from)
{
    if (memory_level() < from)
        return false;
    memory_weigh(loop_now(worker->loop));
    return memory_level_without(going(worker)) >= from;
}

bool client_memory_takes_connection(struct worker *worker)
{
    if (!is_short(worker, MEMORY_NO_CONNECTIONS) || quiet_goes(worker) || holder_goes(worker, NULL, 0) ||
        may_come_meanwhile(worker))
        return true;
    counter_add(COUNTER_memory_refused, 1);
    return false;
}

bool client_memory_make_room(const struct client_conn *conn)
{
    struct worker *worker = conn->worker;
    if (!is_short(worker, MEMORY_NO_REQUESTS) || holder_goes(worker, conn, held_by(conn) / PART_AS_MUCH) ||
        quiet_ones_go(worker, QUIET_FOR_A_REQUEST) == QUIET_FOR_A_REQUEST || may_come_meanwhile(worker))
        return true;
    counter_add(COUNTER_memory_refused, 1);
    return false;
}

void client_memory_answer(struct worker *worker)
{
    if (is_short(worker, MEMORY_NO_CONNECTIONS))
        (void)holder_goes(worker, NULL, 0);
}

/* This worker's part of what is held beyond so many sixteenths. */
static uint64_t too_much(const struct worker *worker, unsigned sixteenths)
{
    uint64_t held = memory_held_for_peers(), most = memory_for_peers() / 16 * sixteenths;
    int64_t own = atomic_load_explicit(&worker->memory.held, memory_order_relaxed);
    if (held <= most || own <= 0)
        return 0;
    return (uint64_t)((double)(held - most) * (double)own / (double)held);
}

static void quiet_go(struct worker *worker)
{
    uint64_t wanted = too_much(worker, 12) / QUIET_HOLDS;
    (void)quiet_ones_go(worker, wanted < QUIET_AT_ONCE ? (unsigned)wanted : QUIET_AT_ONCE);
}

static void holders_go(struct worker *worker)
{
    uint64_t wanted = too_much(worker, 14), gone = going(worker);
    for (unsigned i = 0; i < HOLDERS_AT_ONCE && gone < wanted; i++) {
        struct client_conn *conn = holder(worker, NULL, 0);
        if (conn == NULL)
            return;
        gone += send_away(conn);
    }
}

size_t client_memory_blocks_kept(const struct worker *worker)
{
    if (memory_level() == MEMORY_PLENTY)
        return KEPT_MOST;
    uint64_t part =
        memory_for_peers() / KEPT_PART / BLOCK_SIZE / (worker->peers_count > 1 ? worker->peers_count : 1);
    return part < KEPT_LEAST ? KEPT_LEAST : part > KEPT_MOST ? KEPT_MOST : (size_t)part;
}

void client_memory_relieve(struct worker *worker)
{
    enum memory_level level = memory_level();
    if (level == MEMORY_PLENTY)
        return;
    block_pool_configure(0, client_memory_blocks_kept(worker));
    memory_weigh(loop_now(worker->loop));
    if (level >= MEMORY_QUIET_GO) {
        mirrors_shed(worker);
        quiet_go(worker);
    }
    if (level >= MEMORY_HOLDERS_GO)
        holders_go(worker);
}
