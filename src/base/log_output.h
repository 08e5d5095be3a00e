/* One place that log lines go to: a file, a standard stream, a Unix socket, or nowhere. Used by one thread at
 * a time. */
#ifndef WEIR_BASE_LOG_OUTPUT_H
#define WEIR_BASE_LOG_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"

#define LOG_OUTPUT_ROOM 65536u

struct log_output {
    int descriptor; /* -1: off */
    bool file;      /* a write cannot block for long */
    bool datagrams; /* each line is a message of its own */
    bool torn;      /* what was written last ends inside a line */
    char *socket;   /* path of a Unix socket; else NULL */
    size_t used;    /* of bytes */
    size_t lines;   /* in bytes */
    size_t lost;    /* lines that could not be written and were not told of yet */
    int lost_why;   /* errno of the last of them */
    char *bytes;    /* lines that wait to be written together, LOG_OUTPUT_ROOM; allocated at the first */
};

/* Opens what `where` says into an output without bytes; see log_writer.h for its forms. */
bool log_output_open(struct log_output *output, const char *where, struct error *error) MUST_CHECK;
void log_output_close(struct log_output *output); /* what waits is dropped */
/* Takes a line, writing first what waits when it would not fit. `deadline` is of clock_monotonic_us(): a
 * reader that reads nothing is waited for until then, and then its lines are dropped and counted. */
void log_output_add(struct log_output *output, struct span line, uint64_t deadline);
void log_output_flush(struct log_output *output, uint64_t deadline);
/* Why a path could not be opened for writing, of which the system only says ENXIO. */
enum log_unread { LOG_UNREAD_NOT, LOG_UNREAD_PIPE, LOG_UNREAD_SOCKET };
enum log_unread log_output_unread(const char *path, int number, struct error *error) MUST_CHECK;
/* Writes to standard error what it takes until then; false when that was not all. */
bool log_output_stderr(struct span bytes, uint64_t deadline) MUST_CHECK;

#endif
