/* What log.c offers the log thread: the lines that tell how often something was folded. Of no use to others.
 */
#ifndef WEIR_BASE_LOG_FOLD_H
#define WEIR_BASE_LOG_FOLD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"

#define LOG_LINE_MOST 4096u

/* Prints into `line` (LOG_LINE_MOST bytes) for the next site that has folded lines of a second gone by (or
 * any, with `all`); returns its length, 0 when there is none. */
size_t log_folded_line(char *line, bool all) MUST_CHECK;

#endif
