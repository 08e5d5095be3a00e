/* What servers are told of the client: the keys of `forwarding`. */
#ifndef WEIR_CONFIG_FORWARDING_CONFIG_H
#define WEIR_CONFIG_FORWARDING_CONFIG_H

#include <stdbool.h>

#include "config/values.h"

enum forwarding {
    FORWARDING_FOR = 1,
    FORWARDING_PROTO = 2,
    FORWARDING_HOST = 4,
    FORWARDING_PORT = 8,
    FORWARDING_FORWARDED = 16,
    FORWARDING_VIA = 32,
    FORWARDING_REAL_IP = 64
};
struct forwarding_config {
    struct texts x_forwarded; /* for, proto, host, port */
    bool forwarded, via;      /* true */
    bool x_real_ip;           /* false */
};
/* The same as bits of enum forwarding. */
unsigned forwarding_bits(const struct forwarding_config *config);

#endif
