/*
 * Which route serves a request: first match in the order of the file, found through indexes by host and path,
 * never by a scan that grows with the file. Read-only once built; shared by all workers.
 */
#ifndef WEIR_ROUTE_ROUTER_H
#define WEIR_ROUTE_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"
#include "config/route_config.h"

struct exchange;
struct router;

struct route {
    const struct route_config *config;
    uint32_t number; /* its place in the file, from 0: index of the snapshot's plan */
};
/* routes: of one listener or the top level. Regexes are compiled here (error tells route and offset). The
 * error's place: *bad is the index of the route. */
struct router *router_new(const struct route_config *routes, size_t count, size_t *bad,
                          struct error *error) MUST_CHECK;
void router_free(struct router *router);
struct route_found {
    const struct route *route; /* NULL: none */
    bool failed; /* whether it matches can't be told: a regular expression could not be matched */
};
/* The first route that matches a request for `path`, or may. Reads besides exchange->target, request, client.
 */
struct route_found router_find(const struct router *router, const struct exchange *exchange,
                               struct span path);
/* The number of a route that router_find() told, which need not be read from it: of many routes each is cold.
 */
uint32_t router_number(const struct router *router, const struct route *route);
/* For explain: why route `number` did not match (a sentence in `why`), or true when it would, or may. */
bool router_explain(const struct router *router, uint32_t number, const struct exchange *exchange, char *why,
                    size_t room);
const struct route *router_route(const struct router *router, uint32_t number);
/* Whether a path of the file (exact or prefix) is one that requests can have. */
bool router_path_check(const char *pattern, struct error *error) MUST_CHECK;

#endif
