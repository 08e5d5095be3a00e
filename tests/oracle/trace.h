/* What has passed over a connection of late, kept to be shown when something is wrong. */
#ifndef ORACLE_TRACE_H
#define ORACLE_TRACE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TRACE_RECORDS 16u
#define TRACE_KEPT 400u /* bytes of each piece */

enum trace_kind { TRACE_RECEIVED, TRACE_SENT, TRACE_NOTE };
struct trace_record {
    uint64_t ms;
    size_t length; /* of the piece, however much was kept */
    enum trace_kind kind;
    char bytes[TRACE_KEPT];
};
struct trace {
    unsigned next;
    struct trace_record records[TRACE_RECORDS];
};

/* Milliseconds of a clock that only goes on. */
uint64_t trace_now(void);
void trace_bytes(struct trace *trace, enum trace_kind kind, const char *bytes, size_t length);
__attribute__((format(printf, 2, 3))) void trace_note(struct trace *trace, const char *format, ...);
/* The records, oldest first, bytes escaped. */
void trace_print(const struct trace *trace, FILE *to);

#endif
