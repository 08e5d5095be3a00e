/* Sockets: options, bind, listen, connect. All non-blocking and close-on-exec. */
#ifndef WEIR_NET_SOCKET_H
#define WEIR_NET_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "net/address.h"

/* Whether a listening socket could be had on a TCP address: it is bound, without SO_REUSEPORT, and closed.
 * False: errno in *number. */
bool socket_try(const struct address *address, int *number) MUST_CHECK;
/* A listening socket (SO_REUSEPORT on TCP; a stale unix socket file is removed, a live one is an error). -1
 * and error. unix_mode: permissions of a unix socket. */
int socket_listen(const struct address *address, int backlog, unsigned unix_mode,
                  struct error *error) MUST_CHECK;
/* Starts connecting (TCP_NODELAY). -1 with errno kept in *number. *pending: not yet connected. */
int socket_connect(const struct address *address, bool *pending, int *number) MUST_CHECK;
int socket_error(int fd); /* SO_ERROR after a connect */
void socket_no_delay(int fd);

#endif
