/* One accepted connection: PROXY preface, TLS, codec, and the exchanges on it. Separate from the upstream
 * side in every field. */
#ifndef WEIR_PROXY_CLIENT_CONN_H
#define WEIR_PROXY_CLIENT_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/list.h"
#include "net/address.h"
#include "net/loop.h"
#include "proxy/client_caps.h"
#include "upstream/upstream.h"

struct client_setup;
struct http_conn;
struct lease;
struct site;
struct transport;
struct worker;

/* Ten thousand of these may sit idle: what only the first moments need is in client_setup. */
struct client_conn {
    union {
        struct list at;         /* worker->clients, fresh or flooded; none once it is shed or gone */
        struct retired retired; /* once it is gone */
    };
    struct worker *worker;
    /* of the snapshot its site belongs to; moved to the current one by client_conn_refresh() (an exchange
     * holds its own: lease_hold) */
    struct lease *lease;
    const struct site *site;
    struct transport *transport; /* until the codec has it */
    struct http_conn *http;
    /* PROXY preface, handshake, choice of version; NULL once the codec has the connection */
    struct client_setup *setup;
    struct upstream_owner owner; /* what it has to itself at servers */
    struct ip_address peer;
    uint32_t exchanges;   /* in progress */
    uint32_t quiet_since; /* loop_now(), its low bits: when it was accepted or its last request ended */
    uint32_t passed_at;   /* likewise: when it last sent or was sent some of a body or tunnel */
    bool tls;
    bool preface_tls; /* a PROXY header says that the client spoke TLS to who sent it */
    bool asked;       /* a request of it has begun */
    bool released;    /* client_caps_release(): it goes for another */
    /* this file's own */
    bool counted_client; /* in listener_counts, by its address */
    bool draining;       /* takes no request after the one in progress */
    bool outdated;       /* its listener's TLS rules have changed since it began: its tunnels end */
    bool refused;        /* and demand more of clients than it has shown: its requests get 421 */
    bool holds_up;       /* it was so slow that a server's place was taken from it: others go before it */
    bool gone;           /* the codec has said closed; only exchanges that end still know it */
};
/* For who has passed some of a body or tunnel within that time a conversation goes on. */
#define CLIENT_PASSES_MS 2000u
/* Takes the descriptor; the site is of the lease's snapshot. Not NULL: the name of the limit for which it
 * can't, as no client of this worker may go. */
const char *client_conn_accept(struct lease *lease, const struct site *site, int fd,
                               const struct address *peer, enum caps_who who) MUST_CHECK;
/* No worker can take it: closes it, and tells. */
void client_conn_refuse(const struct site *site, int fd, const char *limit);
/* A new snapshot is current: moves the connection to it, or drains it when its listener is no more or would
 * not take it as it began (client_rules.h). HTTP/1: not moved while a request is in progress. */
void client_conn_refresh(struct client_conn *conn);
void client_conn_drain(struct client_conn *conn);
void client_conn_close(struct client_conn *conn);
/* At once, with a reset: nothing more is said to it. */
void client_conn_cut(struct client_conn *conn);
/* Closes it for another: its descriptor is free at the end of the turn, whatever it is at. */
void client_conn_shed(struct client_conn *conn);
/* The exchange tells that it is over (its lease hold is its own). */
void client_conn_exchange_done(struct client_conn *conn);

#endif
