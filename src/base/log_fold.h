/* What log.c offers the log thread: the lines that tell how often something was folded, and how many were
 * lost. Of no use to others. */
#ifndef WEIR_BASE_LOG_FOLD_H
#define WEIR_BASE_LOG_FOLD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"

#define LOG_LINE_MOST 4096u

/* Prints into `line` (LOG_LINE_MOST bytes) for the next site that has folded lines of a second gone by (or
 * any, with `all`); returns its length, 0 when there is none. */
size_t log_folded_line(char *line, bool all) MUST_CHECK;
/* Prints into `line` (LOG_LINE_MOST bytes) that so many lines of that log were lost; returns its length, 0
 * when the log is off. */
size_t log_lost_line(char *line, const char *which, size_t lost, const char *why) MUST_CHECK;

#endif
