/*
 * The log thread: drains each thread's ring and writes to the targets. Two targets: the log and the access
 * log. A target is "stdout", "stderr", a file path (opened append, 0640) or "unix:/path" / "off". Reopening
 * (SIGUSR1) opens first and swaps after, so that a failure keeps the old file.
 */
#ifndef WEIR_BASE_LOG_WRITER_H
#define WEIR_BASE_LOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/log.h"

enum log_target { LOG_TARGET_LOG, LOG_TARGET_ACCESS, LOG_TARGET_COUNT };

/* opens; swaps only on success */
bool log_target_set(enum log_target target, const char *where, struct error *error) MUST_CHECK;
void log_format_set(enum log_format format); /* of the log; the access log arrives formatted */
bool log_reopen(struct error *error) MUST_CHECK;
bool log_writer_start(struct error *error) MUST_CHECK; /* starts the thread */
void log_writer_stop(void);                            /* drains everything and joins */
/* Gives this thread a ring (single producer, single consumer, `size` bytes, a power of two). */
void log_thread_enter(size_t size);
void log_thread_leave(void);
/* One finished line (with its newline) for a target from this thread's ring; false: the ring was full, the
 * line is dropped and counted. */
bool log_line(enum log_target target, struct span line);
/* To standard error, past the targets. What it does not take soon is dropped: nobody hangs for a reader that
 * is stuck. */
void log_stderr(struct span text);

#endif
