/* Why a request finds no server: what each server of its pool is, counted, in a few words for the logs. */
#ifndef WEIR_UPSTREAM_ABSENCE_H
#define WEIR_UPSTREAM_ABSENCE_H

#include <stdint.h>

#include "base/span.h"

struct pool;
struct pool_shared;
struct tried;

#define ABSENCE_TEXT 224u

/* `down 3 (connection refused), ejected 1, full 2; tried 1`: each server under the first that holds. What is
 * true of all requests is looked at ten times a second at most, however many fail. tried: of this request, or
 * NULL. */
struct span absence_print(const struct pool *pool, const struct tried *tried, uint64_t now_us,
                          char text[ABSENCE_TEXT]);
/* A server was found down, and why. */
void absence_note_down(struct pool_shared *shared, const char *why);

#endif
