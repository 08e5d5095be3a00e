/*
 * What is wrong with a file, told the way a good compiler tells it: place, sentence, source line, underline.
 * Messages are collected, so that one run tells all of them, and printed in the order of the file. A report
 * needs nothing else to stay alive.
 */
#ifndef WEIR_SCHEMA_SCHEMA_REPORT_H
#define WEIR_SCHEMA_SCHEMA_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/span.h"

struct json;
struct schema_report;
struct text;

/* One file as it was read. Lives in the arena of its document. */
struct schema_source {
    const char *name;   /* as messages tell it */
    bool is_file;       /* name is its path */
    const char *folder; /* absolute, with a final slash: relative paths in the file start here */
    struct span bytes;
    uint32_t order;        /* of reading; messages are sorted by it */
    uint32_t *line_starts; /* made when the first message of this file needs it */
    size_t lines;
};
/* Line and column count from 1, columns and length in characters. Without a source: the problem has no place.
 */
struct schema_place {
    struct schema_source *source;
    uint32_t line, column, length;
};
#define SCHEMA_NOWHERE ((struct schema_place){.source = NULL})

enum schema_severity { SCHEMA_ERROR, SCHEMA_WARNING, SCHEMA_NOTE };

struct schema_report *schema_report_new(void);
void schema_report_free(struct schema_report *report); /* NULL allowed */
/* A note belongs to the message before it and stays with it. */
void schema_report_add(struct schema_report *report, enum schema_severity severity, struct schema_place place,
                       const char *format, ...) PRINTF_LIKE(4, 5);
size_t schema_report_errors(const struct schema_report *report);
size_t schema_report_warnings(const struct schema_report *report);
/* In the order of the file, at most 50 errors and 50 warnings, and of one sentence at most three, with how
 * many are left; `colour` for a terminal. */
void schema_report_print(struct schema_report *report, struct text *to, bool colour);
/* The last line without its end: "2 errors, 1 warning"; "no errors". */
void schema_report_sum(const struct schema_report *report, struct text *to);
/* One message as programs want it; `file` NULL: it has no place, `line` 0: it is about the file as a whole.
 */
struct schema_message {
    enum schema_severity severity;
    const char *file;
    uint32_t line, column; /* from 1, in characters */
    const char *text;
};
/* All messages in the order of the file, a note behind the message it belongs to. */
void schema_report_each(struct schema_report *report,
                        void (*tell)(void *owner, const struct schema_message *message), void *owner);
/* From now on warnings are errors, and those that were added are. */
void schema_report_strict(struct schema_report *report);
/* An array of { severity, file, line, column, message }. */
void schema_report_json(struct schema_report *report, struct json *json);
/* The first error in one line, `file:line:column: sentence`, for a log; empty when there is none. */
void schema_report_first(struct schema_report *report, struct text *to);

/* The bytes of a line, counted from 1; none: there is no such line. */
struct span schema_source_line(struct schema_source *source, uint32_t line);

/* Length of the UTF-8 sequence at `at`, 0 when it is not one (RFC 3629). */
size_t schema_utf8_length(const unsigned char *at, size_t left);

#endif
