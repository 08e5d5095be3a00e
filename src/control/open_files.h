/* How many connections fit into the limit of open files: what control and the workers need for themselves is
 * set apart, and of the rest a part is kept for servers. */
#ifndef WEIR_CONTROL_OPEN_FILES_H
#define WEIR_CONTROL_OPEN_FILES_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/error.h"

struct config;

/* Before the file is read: false where none could be served. */
bool open_files_suffice_to_start(struct error *error) MUST_CHECK;
/* False: not even a few connections would fit. */
bool open_files_suffice(const struct config *config, unsigned workers, struct error *error) MUST_CHECK;
/* False: limits.connections is more than what fits, and will be lowered, which the sentence says. */
bool open_files_fit(const struct config *config, unsigned workers, struct error *error) MUST_CHECK;
/* At the start and after a reload: says to all threads what there is, and in the log where limits.connections
 * is more than that. */
void open_files_allow(const struct config *config, unsigned workers);

#endif
