/* The trailers of either direction: harmless ones, which arrive, and those that must not. */
#ifndef ORACLE_TRAILERS_H
#define ORACLE_TRAILERS_H

#include <stdbool.h>
#include <stdint.h>

#include "oracle/plan.h"

struct message;

#define TRAILER_ROOM 32u
struct trailer {
    char name[TRAILER_ROOM], value[TRAILER_ROOM];
};
/* Writes those of the body into list; returns how many. */
#define TRAILERS_MOST 6u
unsigned trailers_list(struct trailer list[TRAILERS_MOST], const struct body_plan *body, uint64_t id,
                       bool http2);
/* NULL: they are those of the body. may_be_lost: the next hop has no place for any. */
const char *trailers_differ(const struct message *trailers, const struct body_plan *body, uint64_t id,
                            bool may_be_lost);

#endif
