/* An address weir accepts on. */
#ifndef WEIR_CONFIG_LISTENER_CONFIG_H
#define WEIR_CONFIG_LISTENER_CONFIG_H

#include "config/tls_config.h"
#include "config/values.h"

struct route_config;

enum protocol_bit { PROTOCOL_HTTP_1 = 1, PROTOCOL_H2 = 2, PROTOCOL_H2C = 4 };
enum proxy_protocol_mode { PROXY_PROTOCOL_OFF, PROXY_PROTOCOL_OPTIONAL, PROXY_PROTOCOL_REQUIRED };

struct listener_config {
    const char *name;       /* for logs; default: the address */
    const char *address;    /* "host:port", ":port" (both families), "[v6]:port", "unix:/path"; required */
    struct texts protocols; /* h2, h2c, http/1.1; default [h2, http/1.1] with tls, else [http/1.1] */
    unsigned protocol_bits; /* not a key: set by the check, of enum protocol_bit */
    struct tls_config *tls; /* NULL: plain */
    enum proxy_protocol_mode proxy_protocol; /* off | optional (only from trusted_proxies) | required */
    uint64_t max_connections;                /* 0: only the global cap */
    uint64_t max_connections_per_client;     /* 0: none */
    uint64_t backlog;                        /* 4096 */
    const char *mode;                        /* permissions of a unix socket, octal text: "0660" */
    size_t routes_count;
    struct route_config *routes; /* its own; empty: the top-level ones */
};

#endif
