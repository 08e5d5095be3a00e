/*
 * Accepting on one listening socket of one worker: up to a batch a turn (accept4), a reserve descriptor and
 * back-off at EMFILE, caps asked from the owner. The socket itself belongs to control, which keeps it across
 * reloads.
 */
#ifndef WEIR_NET_LISTENER_H
#define WEIR_NET_LISTENER_H

#include "net/address.h"

struct listener;
struct loop;
/* What accepted(), which takes the descriptor, wants: more; none in this turn; or none for a moment. */
enum listener_next { LISTENER_MORE, LISTENER_NEXT_TURN, LISTENER_PAUSE };
struct listener *listener_new(struct loop *loop, int fd,
                              enum listener_next (*accepted)(void *owner, int fd, const struct address *peer),
                              void *owner);
void listener_free(struct listener *listener); /* stops accepting; does not close the socket */

#endif
