/* One accepted connection: PROXY preface, TLS, codec, and the exchanges on it. Separate from the upstream side in every field. */
#ifndef WEIR_PROXY_CLIENT_CONN_H
#define WEIR_PROXY_CLIENT_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/address.h"
#include "net/loop.h"

struct http_conn;
struct lease;
struct site;
struct transport;
struct worker;

struct client_conn {
    struct list at;             /* worker->clients */
    struct worker *worker;
    struct lease *lease;        /* of the snapshot its site belongs to; moved to the current one between requests */
    const struct site *site;
    struct transport *transport; /* until the codec has it */
    struct http_conn *http;
    struct ip_address peer;
    uint32_t exchanges;         /* in progress */
    bool tls;
    /* the room's own */
    struct deadline deadline;   /* PROXY preface, handshake */
    struct retired retired;
    uint8_t phase;
};
void client_conn_accept(struct worker *worker, const struct site *site, int fd, const struct address *peer);
void client_conn_drain(struct client_conn *conn);
void client_conn_close(struct client_conn *conn);
/* The exchange tells that it is over (its lease hold is its own). */
void client_conn_exchange_done(struct client_conn *conn);

#endif
