/* weir check --against: what a file would change beside an older one, and what that costs those who are
 * connected. */
#ifndef WEIR_CLI_COMPARE_H
#define WEIR_CLI_COMPARE_H

#include <stdio.h>

#include "base/json.h"

struct config;

/* Both were loaded with what is written kept (struct config_late). */

/* For people: a line a listener, route, pool or key, with its cost below. */
void compare_print(const struct config *before, const struct config *after, FILE *to);
/* For programs: an array of { kind, path, before, after, cost }. */
void compare_json(const struct config *before, const struct config *after, struct json *json);
/* A sentence for each change, with its cost, and one with how many there are. */
void compare_lines(const struct config *before, const struct config *after,
                   void (*line)(void *owner, const char *sentence), void *owner);

#endif
