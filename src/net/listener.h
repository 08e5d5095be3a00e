/*
 * Accepting on one listening socket of one worker: up to a batch a turn (accept4), a reserve descriptor and
 * back-off at EMFILE, caps asked from the owner. The socket itself belongs to control, which keeps it across
 * reloads.
 */
#ifndef WEIR_NET_LISTENER_H
#define WEIR_NET_LISTENER_H

#include <stdbool.h>

#include "net/address.h"

struct listener;
struct loop;
/* accepted() takes the descriptor; false: no further one in this turn. */
struct listener *listener_new(struct loop *loop, int fd,
                              bool (*accepted)(void *owner, int fd, const struct address *peer), void *owner);
void listener_free(struct listener *listener); /* stops accepting; does not close the socket */

#endif
