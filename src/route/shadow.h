/* Routes that are never reached, because one before them matches all that they match. */
#ifndef WEIR_ROUTE_SHADOW_H
#define WEIR_ROUTE_SHADOW_H

#include <stddef.h>

struct route_config;

/*
 * by[i]: the place of a route before the i-th that matches every request which that one does, or SIZE_MAX.
 * None is told wrongly; what only several routes together match, and what can't be seen from the texts of two
 * regular expressions, is not found. Takes about 10 us a route, however many there are.
 */
void routes_shadowed(const struct route_config *const *routes, size_t count, size_t *by);

#endif
