/*
 * The socket as OpenSSL sees it. OpenSSL writes each record by a call of its own; here the records of one
 * turn are gathered and leave together. What the socket does not take waits here, sealed, and goes before all
 * else.
 */
#ifndef WEIR_TLS_TLS_SOCKET_H
#define WEIR_TLS_TLS_SOCKET_H

#include <openssl/bio.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/buf.h"

/*
 * A client's first message says how long it is, and OpenSSL sets memory aside for all of that before it has
 * come: 170 KB for nine bytes. Those of clients that mean well are a few KB, and others (BoringSSL) take 16.
 */
#define TLS_HELLO_MOST 32768u

/* Of what comes first: as much as it takes to see that length, which may be spread over records. */
struct tls_hello {
    uint32_t record,
        message;   /* what has come of a record's head, and of the message's: their last four bytes */
    uint16_t left; /* of the record */
    uint8_t record_got, message_got;
    bool awaited; /* server role, until it is seen */
    bool too_long;
};

struct tls_socket {
    struct buf unsent;
    int fd;
    struct tls_hello hello;
    bool gathering;
    bool drained; /* the last read was short: the next would find nothing, and is left out once */
};

#define TLS_RECORD_MOST 16384u /* bytes of plain text */
#define TLS_RECORD_ROOM 16896u /* a record of the largest size with what TLS puts around it */

/* A BIO that reads and writes that socket, which outlives it; NULL: no memory. */
BIO *tls_socket_bio(struct tls_socket *socket) MUST_CHECK;
/* From here on records are gathered, as long as there is room for another; ends with tls_socket_send(). */
void tls_socket_gather(struct tls_socket *socket);
bool tls_socket_has_room(void);
/* TLS_RECORD_MOST bytes to put a record together in; good while records are gathered */
char *tls_socket_plain(void);
/* 1: all sealed bytes have left; 0: some wait in unsent; else -1 and errno. */
int tls_socket_send(struct tls_socket *socket) MUST_CHECK;

#endif
