/* Time: a monotonic clock for waits and a wall clock for what people read. */
#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

uint64_t clock_monotonic_us(void); /* microseconds, CLOCK_MONOTONIC through the vdso */
uint64_t clock_wall_us(void);      /* microseconds since 1970 */
/* RFC 3339 with milliseconds and Z, 24 characters and a NUL. */
void clock_print(char text[25], uint64_t wall_us);
/* IMF-fixdate (RFC 9110 5.6.7), 29 characters and a NUL. */
void clock_print_http(char text[30], uint64_t wall_us);
/* Now in that form; good until this thread asks again. monotonic_us: now as the caller knows it; within a
 * second no clock is read. */
struct span clock_http_now(uint64_t monotonic_us);

#endif
