/* What log.c and log_crowd.c offer the log thread, and each other: the lines that tell how often something
 * was folded, and how many were lost. Of no use to others. */
#ifndef WEIR_BASE_LOG_FOLD_H
#define WEIR_BASE_LOG_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/log.h"

#define LOG_LINE_MOST 4096u

/* Prints into `line` (LOG_LINE_MOST bytes) for the next site that has folded lines of a second gone by (or
 * any, with `all`); returns its length, 0 when there is none. */
size_t log_folded_line(char *line, bool all) MUST_CHECK;
/* Prints into `line` (LOG_LINE_MOST bytes) that so many lines of that log were lost; returns its length, 0
 * when the log is off. */
size_t log_lost_line(char *line, const char *which, size_t lost, const char *why) MUST_CHECK;
/* The same for crowds (log_crowd.h). */
size_t log_crowd_line(char *line, bool all) MUST_CHECK;
/* What both are made of: a whole line, the second that it is of, and a hash of what it says. */
size_t log_print_line(char *line, enum log_level level, const char *subject, const char *sentence,
                      const struct log_pair *pairs) MUST_CHECK;
uint64_t log_second(void);
uint64_t log_content(const struct log_pair *pairs);

#endif
