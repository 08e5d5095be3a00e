/* A strict reader of HTTP/1 in either role: what is not exactly as it should be is wrong, and nothing is
 * repaired. */
#ifndef ORACLE_H1_READER_H
#define ORACLE_H1_READER_H

#include "oracle/message.h"

struct link;

/* How the bytes behind a head are framed, as the owner decides who knows the request's method. */
enum h1_body { H1_AS_SAID, H1_NO_BODY, H1_ANOTHER_HEAD, H1_TUNNEL };
struct h1_reader_events {
    enum h1_body (*head)(void *owner, struct message *message);
    void (*body)(void *owner, const char *bytes, size_t length); /* of a tunnel, too */
    void (*end)(void *owner, const struct message *trailers);    /* count 0: none */
    void (*wrong)(void *owner, const char *what);                /* the owner closes the link */
};
enum h1_state {
    H1_HEAD,
    H1_LENGTH,
    H1_SIZE,
    H1_CHUNK,
    H1_CHUNK_END,
    H1_TRAILERS,
    H1_UNTIL_CLOSE,
    H1_RAW,
    H1_OVER
};
struct h1_reader {
    const struct h1_reader_events *events;
    void *owner;
    struct link *link;
    uint64_t left; /* of a length or a chunk */
    enum h1_state state;
    bool requests; /* the server's role */
};

/* Goes through what the link has received, until it is used up, the link is dead, or the message is over
 * (H1_OVER): the owner sets H1_HEAD when another may follow. */
void h1_read(struct h1_reader *reader);
/* The peer has ended its side: of a body that ends with the connection, that is the end. */
void h1_read_end(struct h1_reader *reader);

#endif
