/* What a route asks for beside host and path: methods, fields, query parameters, client networks; and paths
 * by regular expression. Compiled once. */
#ifndef WEIR_ROUTE_CONDITION_H
#define WEIR_ROUTE_CONDITION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/error.h"

struct condition;
struct exchange;
struct match_config;

/* *condition is NULL when the route asks for nothing of the kind. */
bool condition_new(struct condition **condition, const struct match_config *match,
                   struct error *error) MUST_CHECK;
void condition_free(struct condition *condition);
/* why (NULL: not wanted) gets a sentence when it does not hold. */
bool condition_holds(const struct condition *condition, const struct exchange *exchange, char *why,
                     size_t room);

#endif
