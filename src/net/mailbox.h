/* Letters between threads: a lock-free list and an eventfd; the wake-up write is skipped when the list was
 * not empty. */
#ifndef WEIR_NET_MAILBOX_H
#define WEIR_NET_MAILBOX_H

struct loop;
struct mailbox;
/* What to do; opened once on the reader's thread, in order of posting. The letter frees itself in open() if
 * it is on the heap. */
struct letter {
    void (*open)(struct letter *letter, void *reader);
    struct letter *next;
};
struct mailbox *mailbox_new(struct loop *reader_loop, void *reader);
void mailbox_free(struct mailbox *mailbox);
void mailbox_post(struct mailbox *mailbox, struct letter *letter); /* from any thread */

#endif
