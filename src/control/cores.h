/* How many cores this process may use: its affinity, and the CPU quota of its control group. */
#ifndef WEIR_CONTROL_CORES_H
#define WEIR_CONTROL_CORES_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

unsigned cores_available(void);
/* A small file of a control group, into `memory`; SPAN_NONE where it is not there or empty. */
struct span group_file_read(const char *path, char *memory, size_t room);
/* The text of a cpu.max file ("200000 100000", "max 100000") as cores, rounded up; 0: no quota. */
uint64_t cores_of_quota(struct span text);

#endif
