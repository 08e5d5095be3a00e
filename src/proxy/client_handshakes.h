/*
 * Clients that have not finished their PROXY header or TLS handshake, which cost much and have shown nothing
 * yet: so many in all, and so many of one client (limits.handshakes, limits.handshakes_per_client). Past that
 * the oldest goes: so who holds them back ends his own, and nobody is locked out. A worker holds its share of
 * each limit.
 */
#ifndef WEIR_PROXY_CLIENT_HANDSHAKES_H
#define WEIR_PROXY_CLIENT_HANDSHAKES_H

#include "base/list.h"

struct client_conn;
struct client_handshakes; /* of a worker */
struct handshakes_of;     /* of a client there */

/* In what a connection has while it is set up; zeroed: not in progress. */
struct handshake {
    struct list at;        /* of the worker, by age */
    struct list of_client; /* likewise, once its address is known */
    struct handshakes_of *client;
    struct client_conn *conn;
};

struct client_handshakes *client_handshakes_new(void);
void client_handshakes_free(
    struct client_handshakes *handshakes); /* when none is in progress; NULL allowed */
void handshake_begin(struct handshake *handshake, struct client_conn *conn);
void handshake_known(struct handshake *handshake); /* conn->peer is the client */
void handshake_end(struct handshake *handshake);   /* harmless on one that is not in progress */

#endif
