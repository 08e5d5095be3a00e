/* What of the file only a restart can change, and what the process runs with instead: the file that was
 * loaded last may have asked for something else already. */
#ifndef WEIR_CONTROL_RESTART_KEYS_H
#define WEIR_CONTROL_RESTART_KEYS_H

#include <stdbool.h>

struct config;

/* What was settled at the start. */
struct restart_facts {
    unsigned workers;
    char *user; /* NULL: it stayed who it was */
};

void restart_facts_take(struct restart_facts *facts, const struct config *config);
void restart_facts_end(struct restart_facts *facts);
/* What a start with this file would settle of the first one, on this machine. */
unsigned restart_workers(const struct config *config);
/* A line of the log for each key with which a start would now do otherwise. */
void restart_keys_tell(const struct restart_facts *facts, const struct config *config);
/* Whether it is one of those keys, by its path. */
bool restart_keys_have(const char *path);

#endif
