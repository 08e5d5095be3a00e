/* Request targets: split, and made ready once for routing (protocol.md 3, 4). Pure functions. */
#ifndef WEIR_HTTP_TARGET_H
#define WEIR_HTTP_TARGET_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/span.h"
#include "http/exchange.h"
#include "http/failure.h"

struct arena;
/*
 * Fills authority, host, port, path, marks and query of `target` from the authority and the path that came:
 * the normal forms of both (of a path http/path.h's) are what is matched, forwarded and logged. No copy when
 * nothing had to change. FAILURE_NONE, BAD_TARGET, BAD_HOST, or OVERLOADED: the arena's cap.
 */
enum failure target_prepare(struct target *target, struct span authority, struct span path, struct span query,
                            struct arena *arena) MUST_CHECK;
/* Its first part: authority, host and port. NONE, BAD_HOST or OVERLOADED. */
enum failure target_host(struct target *target, struct span authority, struct arena *arena) MUST_CHECK;
/* The normal form of an IPv6 address in brackets, without them; false: it is none. */
#define HOST_V6_MOST 46u /* INET6_ADDRSTRLEN */
bool host_v6_normal(struct span host, char text[HOST_V6_MOST]) MUST_CHECK;
/* The same of a request that a codec has read, which has looked at the authority already. */
enum failure target_prepare_head(struct target *target, const struct head *head,
                                 struct arena *arena) MUST_CHECK;
/* uri-host[:port] (RFC 3986 3.2.2, 9110 7.2): valid, and split. is_normal: it is written as weir would. */
struct authority {
    struct span host;
    uint16_t port;
    bool has_port, is_normal;
};
bool authority_read(struct span authority, struct authority *parts) MUST_CHECK;
/* They name the same host and port (RFC 3986 6.2.3, 9113 8.3.1): without case, a final dot or what has no
 * port said, which is default_port; 0: a scheme without one. */
bool authority_is_same(struct span a, struct span b, uint16_t default_port) MUST_CHECK;
/* authority_read() without is_normal. */
bool authority_split(struct span authority, struct span *host, uint16_t *port, bool *has_port) MUST_CHECK;

#endif
