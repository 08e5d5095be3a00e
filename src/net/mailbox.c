/* Posting pushes onto an atomic list; the reader takes the whole list and turns it round. The eventfd is
 * written only when the list was empty. */
#include "net/mailbox.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "net/loop.h"

struct mailbox {
    _Atomic(struct letter *) last; /* newest first */
    int fd;
    struct watch *watch;
    void *reader;
};

static void mailbox_ready(void *owner, unsigned bits)
{
    (void)bits;
    struct mailbox *mailbox = owner;
    uint64_t count;
    if (read(mailbox->fd, &count, sizeof count) < 0)
        return;
    /* Acquire: what the sender wrote before posting is seen here. */
    struct letter *letter = atomic_exchange_explicit(&mailbox->last, NULL, memory_order_acquire);
    struct letter *first = NULL;
    while (letter != NULL) {
        struct letter *next = letter->next;
        letter->next = first;
        first = letter;
        letter = next;
    }
    while (first != NULL) {
        struct letter *next = first->next;
        first->open(first, mailbox->reader);
        first = next;
    }
}

struct mailbox *mailbox_new(struct loop *reader_loop, void *reader)
{
    struct mailbox *mailbox = xcalloc(1, sizeof *mailbox);
    mailbox->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (mailbox->fd < 0)
        die("mailbox: no descriptor for an eventfd");
    mailbox->reader = reader;
    mailbox->watch = watch_new(reader_loop, mailbox->fd, WATCH_READ, mailbox_ready, mailbox);
    if (mailbox->watch == NULL)
        die("event loop: a descriptor can't be watched");
    return mailbox;
}

void mailbox_free(struct mailbox *mailbox)
{
    if (mailbox == NULL)
        return;
    watch_free(mailbox->watch);
    close(mailbox->fd);
    free(mailbox);
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
    struct letter *last = atomic_load_explicit(&mailbox->last, memory_order_relaxed);
    do {
        letter->next = last;
        /* Release: pairs with the reader's acquire. */
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->last, &last, letter, memory_order_release,
                                                    memory_order_relaxed));
    if (last != NULL)
        return;
    uint64_t one = 1;
    if (write(mailbox->fd, &one, sizeof one) < 0) {
        /* EAGAIN only when the counter is full: then the reader wakes anyway. */
    }
}
