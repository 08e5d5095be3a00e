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
 * Fills host, port, path, marks and query of `target` from the authority and the received path, whose normal
 * form (http/path.h) is what is matched and what is forwarded. No copy when nothing had to change.
 * FAILURE_NONE, BAD_TARGET, BAD_HOST, or OVERLOADED: the arena's cap.
 */
enum failure target_prepare(struct target *target, struct span authority, struct span path, struct span query,
                            struct arena *arena) MUST_CHECK;
/* uri-host[:port] (RFC 3986 3.2.2, 9110 7.2): valid, and split. */
bool authority_split(struct span authority, struct span *host, uint16_t *port, bool *has_port) MUST_CHECK;

#endif
