/* Request targets: split, decode, normalise once for routing (protocol.md 3, 4). Pure functions. */
#ifndef WEIR_HTTP_TARGET_H
#define WEIR_HTTP_TARGET_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/span.h"
#include "http/exchange.h"
#include "http/failure.h"

struct arena;
struct target_rules {
    bool merge_slashes;
    bool allow_encoded_slash;     /* %2F stays encoded in the normalised path instead of being refused */
    bool allow_encoded_backslash; /* %5C likewise */
};
/*
 * Fills host, port, path and query of `target` from the authority and the received path: percent-decodes
 * unreserved characters, removes dot segments, refuses %00, %2F, %5C (unless allowed), '\', '..' above the
 * root, malformed escapes. No copy when nothing had to change. FAILURE_NONE or BAD_TARGET / BAD_HOST. Rules
 * come from the listener: the union of what its routes allow; a route that does not allow them re-checks.
 */
enum failure target_prepare(struct target *target, struct span authority, struct span path, struct span query,
                            const struct target_rules *rules, struct arena *arena) MUST_CHECK;
/* uri-host[:port] (RFC 3986 3.2.2, 9110 7.2): valid, and split. */
bool authority_split(struct span authority, struct span *host, uint16_t *port, bool *has_port) MUST_CHECK;

#endif
