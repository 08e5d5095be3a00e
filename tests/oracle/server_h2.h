/* A server of HTTP/2: one connection, the requests that weir sends over it. */
#ifndef ORACLE_SERVER_H2_H
#define ORACLE_SERVER_H2_H

#include "oracle/draw.h"
#include "oracle/h2.h"
#include "oracle/judge.h"

#define SERVED_MOST 128u

struct server_h2;
/* One stream. */
struct h2_answer {
    struct server_h2 *server;
    struct h2_answer *next_lost;
    struct attempt *attempt; /* NULL: it was given up, and only the library still knows of it */
    int32_t id;
    struct event delay;
    struct bytes malformed; /* the text of a malformed answer, and where its DATA is */
    size_t malformed_at;
    struct h2_names malformed_trailers;
    bool begun;     /* the answer's head was submitted, or what comes instead */
    bool delayed;   /* the answer, or its cut, waits for `delay` */
    bool late;      /* the cut has waited */
    bool deferred;  /* the library is to be told when there is more to send */
    bool cuts;      /* ends once what was written has left */
    bool up_ended;  /* of a tunnel: the request's side */
    uint32_t error; /* with which it is cut */
};
struct server_h2 {
    struct link link;
    struct h2 h2;
    struct h2_answer *streams[SERVED_MOST];
    unsigned count;
    unsigned pool;
    int32_t last_id; /* the newest stream */
    struct draw draw;
    struct h2_answer *lost; /* until the connection is freed */
    bool leaves;            /* GOAWAY is to be said */
    bool goes;              /* and was */
    bool in_two;            /* first for the last stream that there can be */
    bool ended;             /* our side has ended */
};

void server_h2_accept(int fd, unsigned pool, bool tls, struct draw draw);
/* server_h2_send.c: the request's head is here, or more of it, or a delay has passed. */
void server_h2_begin(struct h2_answer *answer);
void server_h2_look(struct h2_answer *answer);
void server_h2_pump(struct server_h2 *server);
/* server_h2.c: no stream of the connection will be answered any more. */
void server_h2_abandon(struct server_h2 *server, const char *how);
/* Ends the connection in the middle of all that it carries. What is still on its way here is noted, and not
 * answered. */
void server_h2_end(struct server_h2 *server);

#endif
