/*
 * What limits.memory comes to: what the file says, or a share of what the process's control group or the
 * process itself may have, or the default. Counting and shedding are base/memory.h's and the workers'
 * business.
 */
#ifndef WEIR_CONTROL_MEMORY_LIMIT_H
#define WEIR_CONTROL_MEMORY_LIMIT_H

#include <stdint.h>

struct config;
struct schema_document;
struct schema_report;

struct memory_found {
    uint64_t bytes;
    const char *from; /* for people */
};
struct memory_found memory_limit_find(const struct config *config);
/* Counts against it from now on, and tells it where it is another than before. */
void memory_limit_set(const struct config *config);
/* A limit that the control group or the process's own limits do not let it reach, or that the keys of limits
 * may outgrow, is warned of.
 */
void memory_limit_check(const struct config *config, const struct schema_document *document,
                        struct schema_report *report);

/* The least that a group on the way up from the process's may have, of version 2 or 1; 0: there is no limit.
 * root: where the groups are mounted; self: as /proc/self/cgroup. */
uint64_t memory_of_groups(const char *root, const char *self);

#endif
