/* How problems of a file are shown by the subcommands. */
#ifndef WEIR_CLI_REPORT_H
#define WEIR_CLI_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct schema_report;

/* All problems and, when there are any, the line that sums them up; coloured on a terminal unless NO_COLOR is
 * set. */
void report_print(struct schema_report *report, FILE *to);
/* What is told besides of the file as a whole: sentences. */
struct report_notices {
    const char *file;
    char **sentences;
    size_t count;
};
/* Annotations of GitHub's workflow commands, one line each. */
void report_print_github(struct schema_report *report, const struct report_notices *notices, FILE *to);
/* SARIF 2.1.0 (OASIS), which code hosts and editors read. */
void report_print_sarif(struct schema_report *report, const struct report_notices *notices, FILE *to);

#endif
