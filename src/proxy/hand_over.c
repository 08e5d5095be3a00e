/*
 * A worker's `load` is the clients it has and those that are on their way to it, so that nobody is handed
 * more than his share. Who is `shut` (drains or stops) gets no more: giver and taker each write their side
 * before they look at the other's (sequentially consistent), so that either the giver sees that the taker is
 * shut, or the taker sees that a letter is coming and waits for it.
 */
#include "proxy/hand_over.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "proxy/snapshot.h"

#define LOOKS 4u /* other workers whose load is looked at: a cache line of another core each */
#define LEAN                                                                                               \
    8 /* 1/LEAN more clients than another has, and one, are let be: an even spread of short connections is \
         not worth a letter each */

struct handed {
    struct letter letter;
    struct snapshot *snapshot; /* a reference: the address may be gone from the taker's */
    struct address peer;
    int fd; /* -1: nothing comes after all */
    char at[];
};

static void open_handed(struct letter *letter, void *reader)
{
    struct handed *handed = CONTAINER_OF(letter, struct handed, letter);
    struct worker *worker = reader;
    if (handed->fd >= 0)
        worker_take_client(worker, handed->snapshot, handed->at, handed->fd, &handed->peer);
    snapshot_release(handed->snapshot);
    free(handed);
    worker_load_less(worker);
}

static void post(const struct worker *worker, struct worker *to, int fd, const struct address *peer,
                 const char *address)
{
    size_t size = strlen(address) + 1;
    struct handed *handed = xcalloc(1, sizeof(*handed) + size);
    handed->letter.open = open_handed;
    handed->snapshot = snapshot_take(worker->lease->snapshot);
    handed->peer = *peer;
    handed->fd = fd;
    memcpy(handed->at, address, size);
    mailbox_post(to->mailbox, &handed->letter);
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
    if (to == worker)
        return false;
    (void)atomic_fetch_add(&to->load, 1);
    bool shut = atomic_load(&to->shut);
    post(worker, to, shut ? -1 : fd, peer, address);
    return !shut;
}
