/*
 * A connection as bytes, in the clear or inside TLS. Its owner adds to `out` and flushes, takes from `in`,
 * and may end it properly, close it, or reset it; a link that was closed tells nothing more and is freed once
 * the turn is over.
 */
#ifndef ORACLE_LINK_H
#define ORACLE_LINK_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "oracle/bytes.h"
#include "oracle/trace.h"

struct link;
struct link_events {
    void (*opened)(struct link *link); /* connected, and TLS agreed on */
    void (*received)(struct link *link);
    void (*room)(struct link *link);   /* all of `out` has left, though it could not at once */
    void (*ended)(struct link *link);  /* the peer has ended its side properly */
    void (*broken)(struct link *link); /* reset, or TLS cut; the link is closed */
    void (*freed)(struct link *link);  /* last: the memory is the owner's again */
};
struct link {
    const struct link_events *events;
    SSL *ssl; /* NULL: in the clear */
    struct event readable, writable, resumes;
    struct bytes in, out;
    struct trace trace;
    struct link *next_dead;
    size_t piece;    /* most bytes of one write; 0: as many as there are */
    size_t promised; /* of a write that TLS wants repeated with as many bytes; 0: none */
    int fd;
    bool open, dead;
    bool ending;   /* our side ends once `out` has left */
    bool bare;     /* it ends without close_notify, as what is cut does */
    bool shut;     /* our side has ended */
    bool peer_end; /* `ended` was told */
    bool waits_to_write;
    bool unwritable; /* the peer takes nothing more */
};

/* The loop of all links, timers and signals. */
extern struct event_base *link_base;

/* Small socket buffers make backpressure reach the peer; 0: the system's. Both set link->events before. */
void link_connect(struct link *link, unsigned port, SSL_CTX *tls, int buffer);
void link_accept(struct link *link, int fd, SSL_CTX *tls, int buffer);
void link_flush(struct link *link);
void link_finish(struct link *link); /* ends our side after what waits */
void link_close(struct link *link);  /* at once; what waits is lost */
void link_reset(struct link *link);
/* Reads nothing for so long. */
void link_pause(struct link *link, unsigned milliseconds);
/* Frees what was closed in this turn. */
void link_bury(void);

#endif
