/* Accepts in batches. Out of descriptors: it pauses for a moment instead of spinning; one reserve descriptor
 * lets it turn a client away at once. */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/error.h"
#include "base/log.h"
#include "net/loop.h"

#define BATCH 64u /* connections taken a turn */
#define MOMENT_MS 4u
#define BACK_OFF_MS 100u /* pause when there are no descriptors or memory */

struct listener {
    struct loop *loop;
    struct watch *watch;
    int fd, reserve;
    enum listener_next (*accepted)(void *owner, int fd, const struct address *peer);
    void *owner;
    struct deadline pause;
};

static void listener_pause(struct listener *listener, uint64_t milliseconds)
{
    if (listener->watch != NULL)
        (void)!watch_change(listener->watch, 0);
    deadline_set(&listener->pause, listener->loop, milliseconds);
}

/* No descriptor is left: gives the reserve up for a moment to close the client that waits first. */
static void listener_turn_away(struct listener *listener)
{
    if (listener->reserve >= 0)
        close(listener->reserve);
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        counter_add(COUNTER_connections_refused, 1);
    }
    listener->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void listener_back_off(struct listener *listener, int number)
{
    log_warn("listener", "can't accept connections for now", KV("why", strerror(number)));
    if (number == EMFILE || number == ENFILE)
        listener_turn_away(listener);
    listener_pause(listener, BACK_OFF_MS);
}

static void listener_ready(void *owner, unsigned bits);

static void listener_watch(struct listener *listener)
{
    if (listener->watch == NULL)
        listener->watch = watch_new(listener->loop, listener->fd, WATCH_READ, listener_ready, listener);
    if (listener->watch == NULL || !watch_change(listener->watch, WATCH_READ))
        listener_back_off(listener, ENOMEM);
}

static void pause_passed(struct deadline *deadline)
{
    struct listener *listener = CONTAINER_OF(deadline, struct listener, pause);
    listener_watch(listener);
}

static void listener_ready(void *owner, unsigned bits)
{
    (void)bits;
    struct listener *listener = owner;
    for (unsigned i = 0; i < BATCH; i++) {
        struct address peer = {.length = sizeof peer.socket};
        int fd = accept4(listener->fd, &peer.socket.any, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            enum listener_next next = listener->accepted(listener->owner, fd, &peer);
            if (next == LISTENER_PAUSE)
                listener_pause(listener, MOMENT_MS);
            if (next != LISTENER_MORE)
                return;
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            listener_back_off(listener, errno);
            return;
        }
        /* ECONNABORTED and the network errors of accept(2): that connection is gone, the next may be fine. */
    }
}

struct listener *listener_new(struct loop *loop, int fd,
                              enum listener_next (*accepted)(void *owner, int fd, const struct address *peer),
                              void *owner)
{
    struct listener *listener = xcalloc(1, sizeof *listener);
    listener->loop = loop;
    listener->fd = fd;
    listener->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    listener->accepted = accepted;
    listener->owner = owner;
    listener->pause.passed = pause_passed;
    listener_watch(listener);
    return listener;
}

void listener_free(struct listener *listener)
{
    if (listener == NULL)
        return;
    deadline_clear(&listener->pause);
    watch_free(listener->watch);
    if (listener->reserve >= 0)
        close(listener->reserve);
    free(listener);
}
