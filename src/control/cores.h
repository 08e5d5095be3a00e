/* How many cores this process may use: its affinity, and the CPU quota of its control group. */
#ifndef WEIR_CONTROL_CORES_H
#define WEIR_CONTROL_CORES_H

#include <stdint.h>

#include "base/span.h"

unsigned cores_available(void);
/* The text of a cpu.max file ("200000 100000", "max 100000") as cores, rounded up; 0: no quota. */
uint64_t cores_of_quota(struct span text);

#endif
