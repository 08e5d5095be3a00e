/* A client of HTTP/1: one connection, requests one after another or pipelined, answers held strictly in
 * order. */
#ifndef ORACLE_CLIENT_H1_H
#define ORACLE_CLIENT_H1_H

#include <stdbool.h>

#include "oracle/draw.h"
#include "oracle/exchange.h"
#include "oracle/h1_reader.h"
#include "oracle/link.h"

#define QUEUE_MOST 8u

enum client_step {
    CLIENT_BETWEEN, /* nothing is being sent */
    CLIENT_BODY,
    CLIENT_CUTS, /* gives up once what was written has left */
    CLIENT_TUNNEL
};
struct client_h1 {
    struct link link;
    struct h1_reader reader;
    struct exchange *queue[QUEUE_MOST]; /* sent or being sent, and not yet answered whole; the oldest first */
    unsigned count;
    struct exchange *sending;
    struct exchange *last_one; /* answered; the connection is to end now */
    enum client_step step;
    unsigned depth; /* of pipelining */
    unsigned left;  /* exchanges that this connection will carry */
    struct event fallback;
    struct draw draw;
    bool released; /* the body need not wait for a 100 any more */
    bool alone;    /* behind the last request nothing may be sent until it is answered */
    bool ending;   /* no further request begins */
    bool closes;   /* the answer that comes now, or came, is the last of the connection */
    bool tls;
    void (*gone)(void);
};

/* Opens a connection; gone() is called once it is over. */
void client_h1_open(bool tls, struct draw draw, void (*gone)(void));

/* client_h1_send.c */
void client_h1_pump(struct client_h1 *client);
/* client_h1.c: gives the connection and all on it up, as the plan says of the one that is being sent. */
void client_h1_cut(struct client_h1 *client, struct exchange *exchange, bool reset);
void client_h1_give_up(struct exchange *exchange); /* the same, when a fault was found */

#endif
