/* Opens, keeps and closes listening sockets. Accepting is the workers' business. */
#include "control/listeners.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/text.h"
#include "config/config.h"
#include "net/address.h"
#include "net/mailbox.h"
#include "net/socket.h"
#include "proxy/worker.h"

enum listening_state { LISTENING_NEW, LISTENING_KEPT, LISTENING_UNWANTED, LISTENING_WITHDRAWN };

/* One address: a TCP socket of its own for each worker, or one Unix socket under a descriptor for each. */
struct listening {
    struct list at;
    struct listeners *listeners;
    enum listening_state state;
    struct address address;
    unsigned withdrawals; /* under way */
    int backlog, backlog_wanted;
    unsigned mode, mode_wanted; /* of a Unix socket */
    char *text;                 /* as the configuration says it */
    int descriptors[];
};

/* One taking away of an address from all workers. A reload may want the address back while it is under way.
 */
struct withdrawal {
    struct letter letter; /* to control, from the last worker */
    struct listening *listening;
    struct mailbox *mailbox;
    _Atomic unsigned workers_left;
};

struct listeners {
    unsigned count; /* workers, so descriptors of each */
    struct list open;
    struct list withdrawn; /* workers have not all let go */
};

static void listening_close(struct listening *listening, bool for_good)
{
    for (unsigned i = 0; i < listening->listeners->count; i++)
        if (listening->descriptors[i] >= 0)
            close(listening->descriptors[i]);
    if (for_good && listening->address.socket.any.sa_family == AF_UNIX)
        unlink(listening->address.socket.local.sun_path);
    list_remove(&listening->at);
    free(listening->text);
    free(listening);
}

static unsigned address_port(const struct address *address)
{
    switch (address->socket.any.sa_family) {
    case AF_INET:
        return address->socket.v4.sin_port;
    case AF_INET6:
        return address->socket.v6.sin6_port;
    default:
        return 0;
    }
}

/* Whether a socket of weir's own holds the port: on one address where the other is all of them, or on the
 * same one, written otherwise, which a reload is about to close. */
static bool listening_is_own(const struct list *list, const struct listening *wanted)
{
    LIST_EACH (node, list) {
        const struct listening *own = CONTAINER_OF(node, struct listening, at);
        bool stays = own->state != LISTENING_UNWANTED && own->state != LISTENING_WITHDRAWN;
        bool same = address_equal(&own->address, &wanted->address);
        if (own != wanted && address_port(&own->address) == address_port(&wanted->address) &&
            !(same && stays))
            return true;
    }
    return false;
}

/* SO_REUSEPORT lets a second weir of the same user take half of the connections of the first: a bind without
 * it tells. */
static bool listening_is_free(const struct listening *listening, struct error *error)
{
    const struct address *address = &listening->address;
    int family = address->socket.any.sa_family;
    if (family == AF_UNIX)
        return true;
    int on = 1, off = 0;
    int descriptor = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return true; /* socket_listen() will say why */
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6)
        setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    int result = bind(descriptor, &address->socket.any, address->length);
    int number = errno;
    close(descriptor);
    if (result == 0 || number != EADDRINUSE || listening_is_own(&listening->listeners->open, listening) ||
        listening_is_own(&listening->listeners->withdrawn, listening))
        return true;
    return error_set(error, "cannot listen on %s: the address is in use by another process", listening->text);
}

static void listening_want(struct listening *listening, const struct listener_config *config)
{
    listening->backlog_wanted = (int)config->backlog;
    listening->mode_wanted = config->mode != NULL ? (unsigned)strtoul(config->mode, NULL, 8) : 0660u;
}

static bool listening_open(struct listening *listening, struct error *error)
{
    bool local = listening->address.socket.any.sa_family == AF_UNIX;
    if (!listening_is_free(listening, error))
        return false;
    for (unsigned i = 0; i < listening->listeners->count; i++) {
        if (i > 0 && local)
            listening->descriptors[i] = fcntl(listening->descriptors[0], F_DUPFD_CLOEXEC, 3);
        else
            listening->descriptors[i] =
                socket_listen(&listening->address, listening->backlog_wanted, listening->mode_wanted, error);
        if (listening->descriptors[i] < 0)
            return i > 0 && local ? error_set_errno(error, errno, "cannot share the socket") : false;
    }
    listening->backlog = listening->backlog_wanted;
    listening->mode = listening->mode_wanted;
    return true;
}

/* What the file says otherwise now of a socket that stays. */
static void listening_adjust(struct listening *listening)
{
    for (unsigned i = 0; listening->backlog != listening->backlog_wanted && i < listening->listeners->count;
         i++)
        (void)!listen(listening->descriptors[i], listening->backlog_wanted);
    listening->backlog = listening->backlog_wanted;
    if (listening->mode != listening->mode_wanted && listening->address.socket.any.sa_family == AF_UNIX &&
        chmod(listening->address.socket.local.sun_path, (mode_t)listening->mode_wanted) != 0)
        log_warn("control", "the mode of a socket cannot be changed", KV("address", listening->text),
                 KV("why", strerrordesc_np(errno)));
    listening->mode = listening->mode_wanted;
}

static bool listeners_open_one(struct listeners *listeners, const struct listener_config *config,
                               struct error *error)
{
    struct listening *listening = xcalloc(1, sizeof *listening + listeners->count * sizeof(int));
    listening->listeners = listeners;
    listening->text = xstrdup(config->address);
    listening_want(listening, config);
    for (unsigned i = 0; i < listeners->count; i++)
        listening->descriptors[i] = -1;
    list_push_back(&listeners->open, &listening->at);
    if (address_parse(&listening->address, config->address, error) && listening_open(listening, error))
        return true;
    listening_close(listening, false);
    return false;
}

static struct listening *listening_find(const struct list *list, const char *text)
{
    LIST_EACH (node, list) {
        struct listening *listening = CONTAINER_OF(node, struct listening, at);
        if (strcmp(listening->text, text) == 0)
            return listening;
    }
    return NULL;
}

/* ---- taking sockets from workers ---- */

static void withdrawal_opened(struct letter *letter, void *reader)
{
    (void)reader;
    struct withdrawal *withdrawal = CONTAINER_OF(letter, struct withdrawal, letter);
    struct listening *listening = withdrawal->listening;
    free(withdrawal);
    if (--listening->withdrawals == 0 && listening->state == LISTENING_WITHDRAWN)
        listening_close(listening, true);
}

/* On a worker's thread: it no longer accepts there. */
static void withdrawal_let_go(void *argument)
{
    struct withdrawal *withdrawal = argument;
    /* Acquire and release: the last to let go posts the letter, and all others are past their use of the
     * struct. */
    if (atomic_fetch_sub_explicit(&withdrawal->workers_left, 1, memory_order_acq_rel) == 1)
        mailbox_post(withdrawal->mailbox, &withdrawal->letter);
}

static void listening_move(struct listening *listening, struct list *to, enum listening_state state)
{
    list_remove(&listening->at);
    list_push_back(to, &listening->at);
    listening->state = state;
}

static void listening_withdraw(struct listening *listening, struct worker *const *workers,
                               struct mailbox *mailbox)
{
    struct listeners *listeners = listening->listeners;
    struct withdrawal *withdrawal = xcalloc(1, sizeof *withdrawal);
    withdrawal->letter.open = withdrawal_opened;
    withdrawal->listening = listening;
    withdrawal->mailbox = mailbox;
    atomic_store(&withdrawal->workers_left, listeners->count);
    listening->withdrawals++;
    listening_move(listening, &listeners->withdrawn, LISTENING_WITHDRAWN);
    for (unsigned i = 0; i < listeners->count; i++)
        worker_post_unlisten(workers[i], listening->descriptors[i], withdrawal_let_go, withdrawal);
}

/* ---- public ---- */

struct listeners *listeners_new(unsigned workers_count)
{
    struct listeners *listeners = xcalloc(1, sizeof *listeners);
    listeners->count = workers_count;
    list_init(&listeners->open);
    list_init(&listeners->withdrawn);
    return listeners;
}

void listeners_free(struct listeners *listeners)
{
    if (listeners == NULL)
        return;
    LIST_EACH_SAFE (node, after, &listeners->open)
        listening_close(CONTAINER_OF(node, struct listening, at), true);
    LIST_EACH_SAFE (node, after, &listeners->withdrawn)
        listening_close(CONTAINER_OF(node, struct listening, at), true);
    free(listeners);
}

bool listeners_open(struct listeners *listeners, const struct config *config, struct error *error)
{
    LIST_EACH (node, &listeners->open)
        CONTAINER_OF(node, struct listening, at)->state = LISTENING_UNWANTED;
    /* First what stays, so that what is new knows what goes. */
    for (size_t i = 0; i < config->listeners_count; i++) {
        struct listening *kept = listening_find(&listeners->open, config->listeners[i].address);
        if (kept == NULL)
            continue;
        kept->state = LISTENING_KEPT;
        listening_want(kept, &config->listeners[i]);
    }
    for (size_t i = 0; i < config->listeners_count; i++) {
        const char *text = config->listeners[i].address;
        struct listening *leaving = listening_find(&listeners->withdrawn, text);
        if (listening_find(&listeners->open, text) != NULL)
            continue;
        if (leaving != NULL) {
            listening_move(leaving, &listeners->open, LISTENING_NEW);
            listening_want(leaving, &config->listeners[i]);
        } else if (!listeners_open_one(listeners, &config->listeners[i], error)) {
            listeners_undo(listeners);
            return false;
        }
    }
    return true;
}

void listeners_undo(struct listeners *listeners)
{
    LIST_EACH_SAFE (node, after, &listeners->open) {
        struct listening *listening = CONTAINER_OF(node, struct listening, at);
        if (listening->state != LISTENING_NEW)
            listening->state = LISTENING_KEPT;
        else if (listening->withdrawals != 0)
            listening_move(listening, &listeners->withdrawn, LISTENING_WITHDRAWN);
        else
            listening_close(listening, true);
    }
}

void listeners_commit(struct listeners *listeners, struct worker *const *workers, struct mailbox *mailbox)
{
    LIST_EACH_SAFE (node, after, &listeners->open) {
        struct listening *listening = CONTAINER_OF(node, struct listening, at);
        if (listening->state == LISTENING_NEW)
            for (unsigned i = 0; i < listeners->count; i++)
                worker_post_listen(workers[i], listening->descriptors[i], listening->text);
        if (listening->state != LISTENING_UNWANTED) {
            listening->state = LISTENING_KEPT;
            listening_adjust(listening);
            continue;
        }
        log_info("control", "listener removed", KV("address", listening->text));
        listening_withdraw(listening, workers, mailbox);
    }
}

void listeners_withdraw(struct listeners *listeners, struct worker *const *workers, struct mailbox *mailbox)
{
    LIST_EACH_SAFE (node, after, &listeners->open)
        listening_withdraw(CONTAINER_OF(node, struct listening, at), workers, mailbox);
}

void listeners_print(const struct listeners *listeners, struct text *to)
{
    LIST_EACH (node, &listeners->open) {
        const struct listening *listening = CONTAINER_OF(node, struct listening, at);
        if (to->length != 0)
            text_char(to, ',');
        text_add(to, span_of(listening->text));
    }
}
