/* Which route serves a request, whoever reads its path (protocol.md 4). */
#ifndef WEIR_ROUTE_CHOICE_H
#define WEIR_ROUTE_CHOICE_H

#include "base/attributes.h"
#include "http/failure.h"

struct exchange;
struct router;

/*
 * Sets exchange->route, target.path and the path that is forwarded. A path that servers read in more than one
 * way goes on as it came where each reading takes the same route. What the route that it takes as it came
 * says of its servers (paths) decides which readings there are. NONE, or: NO_ROUTE; PATH_AMBIGUOUS: readings
 * take different routes, exchange->misreading tells; BAD_TARGET: a reading climbs above the root;
 * PATTERN_FAILED: whether exchange->route matches can't be told; OVERLOADED: the arena's cap. With all others
 * exchange->route is then the one of the path as it came.
 */
enum failure route_choose(const struct router *router, struct exchange *exchange) MUST_CHECK;

#endif
