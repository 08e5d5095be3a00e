/* A client of HTTP/2: one connection, many exchanges at once. */
#ifndef ORACLE_CLIENT_H2_H
#define ORACLE_CLIENT_H2_H

#include "oracle/draw.h"
#include "oracle/h2.h"

#define STREAMS_MOST 16u

struct client_h2;
/* One stream. */
struct h2_request {
    struct client_h2 *client;
    struct h2_request *next_lost;
    struct exchange *exchange; /* NULL: it was given up, and only the library still knows of it */
    int32_t id;
    struct event fallback;
    struct bytes malformed; /* the text of a malformed request, and where its DATA is */
    size_t malformed_at;
    struct h2_names malformed_trailers;
    bool released;   /* the body need not wait for a 100 any more */
    bool deferred;   /* the library is to be told when there is more to send */
    bool cuts;       /* gives up once what was written has left */
    bool down_ended; /* of a tunnel: the answer's side */
};
struct client_h2 {
    struct link link;
    struct h2 h2;
    struct h2_request *streams[STREAMS_MOST];
    unsigned count;
    struct h2_request *lost; /* until the connection is freed */
    unsigned depth, left;
    struct draw draw;
    bool ready; /* weir's SETTINGS are here */
    bool ending, tls;
    bool opens; /* streams begin without a window, and get one when their answer's head is here */
    void (*gone)(void);
};

void client_h2_open(bool tls, struct draw draw, void (*gone)(void));
/* client_h2_send.c: begins what may begin, and lets the library write. */
void client_h2_pump(struct client_h2 *client);
/* More may be sent of it now. */
void client_h2_resume(struct h2_request *request);
/* client_h2.c */
void client_h2_give_up(struct exchange *exchange);
void client_h2_abandon(struct client_h2 *client, const char *how);

#endif
