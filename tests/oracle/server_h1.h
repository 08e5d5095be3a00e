/* A server of HTTP/1: one connection, one request at a time, each byte of which is accounted for. */
#ifndef ORACLE_SERVER_H1_H
#define ORACLE_SERVER_H1_H

#include "oracle/draw.h"
#include "oracle/h1_reader.h"
#include "oracle/judge.h"
#include "oracle/link.h"

enum server_step {
    SERVER_WAITS, /* for a request, or for what of it the answer waits for */
    SERVER_BODY,
    SERVER_CUTS, /* once what was written has left */
    SERVER_TUNNEL,
    SERVER_OVER /* nothing more is said on this connection */
};
struct server_h1 {
    struct link link;
    struct h1_reader reader;
    struct attempt *attempt; /* NULL: between two */
    enum server_step step;
    unsigned pool;
    struct event delay;
    struct draw draw;
    struct bytes websocket_key; /* of the request that is here */
    bool delayed;               /* the answer, or its cut, waits for `delay` */
    bool late;                  /* the cut has waited */
    bool discards;              /* what comes is thrown away */
    bool surplus;               /* bytes that nobody asked for were sent: it must not be used again */
    bool ended;                 /* our side has ended without a word */
};

void server_h1_accept(int fd, unsigned pool, bool tls, struct draw draw);
/* server_h1_send.c */
void server_h1_pump(struct server_h1 *server);
/* The request's head is here: says the interim answers. */
void server_h1_begin(struct server_h1 *server);
/* server_h1.c: the answer and the request are over, and another may come. */
void server_h1_next(struct server_h1 *server);

#endif
