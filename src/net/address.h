/* Socket addresses: IPv4, IPv6 and unix sockets; networks (CIDR). */
#ifndef WEIR_NET_ADDRESS_H
#define WEIR_NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"

struct address {
    socklen_t length;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } socket;
};
/* A client address without the room for a unix path; IPv4 is stored as v4-mapped IPv6. family 0: unknown,
 * AF_UNIX: a unix socket. */
struct ip_address {
    uint8_t bytes[16];
    uint16_t port;
    uint8_t family; /* AF_INET, AF_INET6, AF_UNIX or 0 */
};

#define ADDRESS_TEXT_MAX 128 /* enough for any address_print(); the path of a unix socket may be cut */

/* "1.2.3.4:80", "[::1]:80", ":80" (all addresses of both families: [::] with v6only off, or 0.0.0.0 without
 * IPv6), "unix:/path". Names are not resolved. */
bool address_parse(struct address *address, const char *text, struct error *error) MUST_CHECK;
/* Resolves "name:port" (blocks: see net/names.h) to up to `most` addresses, or parses as above; returns
 * how many, 0 with error. */
size_t address_resolve(struct address *addresses, size_t most, const char *text,
                       struct error *error) MUST_CHECK;
bool address_equal(const struct address *a, const struct address *b);
struct span address_print(const struct address *address, char text[ADDRESS_TEXT_MAX]); /* with port */
void ip_address_of(struct ip_address *ip, const struct address *address);
/* "1.2.3.4", "::1", "[::1]", each with or without ":port" when not ambiguous */
bool ip_address_parse(struct ip_address *ip, struct span text) MUST_CHECK;
/* without port; v4 as dotted; "unix" */
struct span ip_address_print(const struct ip_address *ip, char text[ADDRESS_TEXT_MAX]);
bool ip_address_equal(const struct ip_address *a, const struct ip_address *b); /* without port */
/* Zeroes the bits behind the prefix: for IPv6 addresses; IPv4 is left whole. */
void ip_address_mask(struct ip_address *ip, unsigned ipv6_prefix);

/* "10.0.0.0/8", "2001:db8::/32", a single address, or "unix"; bits behind the prefix do not count. Matches
 * are O(count) over a packed array. */
struct network {
    uint8_t bytes[16];
    uint8_t bits; /* on the v4-mapped form */
    uint8_t family;
};
struct networks {
    size_t count;
    struct network *items;
};
bool network_parse(struct network *network, const char *text, struct error *error) MUST_CHECK;
bool networks_contain(const struct networks *networks, const struct ip_address *ip);

#endif
