/* What the command line asked for, and where everybody listens. */
#ifndef ORACLE_SETTINGS_H
#define ORACLE_SETTINGS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

/* Pools are HTTP/1 and HTTP/2, each in the clear and inside TLS; pool_of() numbers them. */
#define POOLS 4u
#define SERVERS 3u /* of a pool; the last is in every other file only */
static inline unsigned pool_of(bool http2, bool tls)
{
    return (unsigned)http2 + 2 * (unsigned)tls;
}

struct settings {
    const char *weir;
    uint64_t seed, exchanges;
    unsigned slots;   /* client connections at once */
    unsigned in, out; /* 1 or 2: only that version of HTTP; 0: both */
    double slow;      /* of times that are waited for */
    bool tls;
    bool calm; /* nothing disturbs weir */
    bool stop_at_fault;
    bool stopping;          /* no more exchanges begin */
    uint16_t weir_ports[2]; /* in the clear, and TLS */
    uint16_t server_ports[POOLS][SERVERS];
    SSL_CTX *client_tls[2]; /* by version of HTTP */
    SSL_CTX *server_tls[2];
};
extern struct settings settings;

#endif
