/*
 * A worker's `load` is the clients it has and those that are on their way to it, so that nobody is handed
 * more than his share. Who is `shut` (drains or stops) gets no more: giver and taker each write their side
 * before they look at the other's (sequentially consistent), so that either the giver sees that the taker is
 * shut, or the taker sees that a letter is coming and waits for it.
 */
#include "proxy/hand_over.h"

#include <stdlib.h>
#include <string.h>

#include "base/descriptors.h"
#include "base/error.h"
#include "proxy/client_caps.h"
#include "proxy/snapshot.h"

#define LOOKS 4u /* other workers whose load is looked at: a cache line of another core each */
#define LEAN                                                                                               \
    8 /* 1/LEAN more clients than another has, and one, are let be: an even spread of short connections is \
         not worth a letter each */

/* Descriptors for each worker that control sets apart for this (control/open_files.c). */
#define ON_THE_WAY 4u

/* Letters of all workers that nobody has opened: their descriptors are nobody's yet. */
static _Atomic int on_their_way;

struct handed {
    struct letter letter;
    struct snapshot *snapshot; /* a reference: the address may be gone from the taker's */
    struct address peer;
    int fd; /* -1: nothing comes after all */
    unsigned hops;
    char at[];
};

static void open_handed(struct letter *letter, void *reader)
{
    struct handed *handed = CONTAINER_OF(letter, struct handed, letter);
    struct worker *worker = reader;
    atomic_fetch_sub_explicit(&on_their_way, 1, memory_order_relaxed);
    if (handed->fd >= 0) {
        descriptors_give(1); /* the taker counts it as a client's */
        worker_take_client(worker, handed->snapshot, handed->at, handed->fd, &handed->peer, handed->hops);
    }
    snapshot_release(handed->snapshot);
    free(handed);
    worker_load_less(worker);
}

/* False: it takes no more. */
static bool post(const struct worker *worker, struct worker *to, int fd, const struct address *peer,
                 const char *address, unsigned hops)
{
    (void)atomic_fetch_add(&to->load, 1);
    bool shut = atomic_load(&to->shut);
    size_t size = strlen(address) + 1;
    struct handed *handed = xcalloc(1, sizeof(*handed) + size);
    handed->letter.open = open_handed;
    handed->snapshot = snapshot_take(worker->lease->snapshot);
    handed->peer = *peer;
    handed->fd = shut ? -1 : fd;
    handed->hops = hops;
    memcpy(handed->at, address, size);
    atomic_fetch_add_explicit(&on_their_way, 1, memory_order_relaxed);
    if (!shut)
        descriptors_take_anyway(1);
    mailbox_post(to->mailbox, &handed->letter);
    return !shut;
}

/* Of all, or, when there are many, of some that are others each time. */
static struct worker *least_loaded(struct worker *worker)
{
    struct worker *least = worker;
    int32_t load = atomic_load_explicit(&worker->load, memory_order_relaxed);
    unsigned others = worker->peers_count - 1, looks = others < LOOKS ? others : LOOKS;
    for (unsigned i = 0; i < looks; i++) {
        unsigned step = 1 + worker->peer_next++ % others;
        struct worker *other = worker->peers[(worker->peer_self + step) % worker->peers_count];
        int32_t its_load = atomic_load_explicit(&other->load, memory_order_relaxed);
        if (its_load >= load || atomic_load_explicit(&other->shut, memory_order_relaxed))
            continue;
        load = its_load;
        least = other;
    }
    int32_t own = atomic_load_explicit(&worker->load, memory_order_relaxed);
    return own < load + 1 + load / LEAN ? worker : least;
}

bool hand_over(struct worker *worker, int fd, const struct address *peer, const char *address)
{
    if (worker->peers_count < 2)
        return false;
    struct worker *to = least_loaded(worker);
    return to != worker && post(worker, to, fd, peer, address, 0);
}

static unsigned count_on_the_way(void)
{
    return (unsigned)atomic_load_explicit(&on_their_way, memory_order_relaxed);
}

/* While one is on its way who was to go for it may have gone: so it may come by twice. */
bool hand_on_is_over(const struct worker *worker, unsigned hops)
{
    return worker->peers_count < 2 || hops >= 2 * worker->peers_count ||
           count_on_the_way() >= ON_THE_WAY * worker->peers_count;
}

bool hand_on_is_slow(const struct worker *worker)
{
    return count_on_the_way() >= worker->peers_count;
}

bool hand_on(struct worker *worker, int fd, const struct address *peer, const char *address, unsigned hops)
{
    if (hand_on_is_over(worker, hops))
        return false;
    struct worker *to = client_caps_oldest(worker);
    if (to == worker)
        to = worker->peers[(worker->peer_self + 1) % worker->peers_count];
    return post(worker, to, fd, peer, address, hops + 1);
}
