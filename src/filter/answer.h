/* Actions that weir answers itself: redirect and respond, prepared once per route. */
#ifndef WEIR_FILTER_ANSWER_H
#define WEIR_FILTER_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/error.h"
#include "http/failure.h"

struct action;
struct exchange;
struct route_config;

/* True and *action set, or NULL when the route's action is a pool; false with error. */
bool action_new(struct action **action, const struct route_config *route, struct error *error) MUST_CHECK;
void action_free(struct action *action);
/* Fills exchange->answer, or says why there is none. */
enum failure action_answer(const struct action *action, struct exchange *exchange) MUST_CHECK;
/* Fills exchange->answer for a request that is about this server and no other: one with OPTIONS, or what may
 * go no further. */
enum failure answer_for_itself(struct exchange *exchange) MUST_CHECK;
/* What it does, or what it made that can't be sent. */
enum failure action_explain(const struct action *action, const struct exchange *exchange, char *line,
                            size_t room) MUST_CHECK;

#endif
