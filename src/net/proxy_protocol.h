/* PROXY protocol v1 and v2 (haproxy.org, proxy-protocol.txt): read a preface; pure functions over bytes. */
#ifndef WEIR_NET_PROXY_PROTOCOL_H
#define WEIR_NET_PROXY_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "net/address.h"

enum proxy_protocol_step {
    PROXY_PROTOCOL_MORE,
    PROXY_PROTOCOL_DONE,
    PROXY_PROTOCOL_ABSENT,
    PROXY_PROTOCOL_BAD
};
struct proxy_protocol {
    size_t length; /* bytes the preface takes, when DONE */
    bool local;    /* LOCAL / UNKNOWN: keep the socket's own addresses */
    struct ip_address source;
    struct ip_address destination;
    bool tls; /* v2: the client spoke TLS to who sent this (PP2_TYPE_SSL with PP2_CLIENT_SSL, 2.2.6) */
};
#define PROXY_PROTOCOL_MAX 4096 /* longest preface taken (v2 with TLVs) */
/* Looks at the bytes so far. ABSENT: these bytes can't begin a preface. */
enum proxy_protocol_step proxy_protocol_read(struct proxy_protocol *result, struct span bytes);

#endif
