/* What a route asks for beside host and path: methods, fields, query parameters, client networks; and paths
 * by regular expression. Compiled once. */
#ifndef WEIR_ROUTE_CONDITION_H
#define WEIR_ROUTE_CONDITION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/error.h"
#include "http/regex.h"

struct condition;
struct exchange;
struct match_config;

/* *condition is NULL when the route asks for nothing of the kind. */
bool condition_new(struct condition **condition, const struct match_config *match,
                   struct error *error) MUST_CHECK;
void condition_free(struct condition *condition);
/* FAILED: it can't be told, since a regular expression could not be matched. why (NULL: not wanted) gets a
 * sentence when it does not hold. */
enum match condition_holds(const struct condition *condition, const struct exchange *exchange, char *why,
                           size_t room) MUST_CHECK;

#endif
