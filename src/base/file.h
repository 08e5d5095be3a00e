/*
 * Whole files that a configuration names, with a bound. Only regular files are taken: a pipe, a socket or a
 * device may never answer, and may never end.
 */
#ifndef WEIR_BASE_FILE_H
#define WEIR_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"

struct stat;

/* All bytes and a NUL behind them, which is not counted; the caller frees bytes->at. False: nothing is to be
 * freed, and *bytes is as it was, or empty. */
bool file_read(const char *path, size_t most, struct span *bytes, struct error *error) MUST_CHECK;
/* And what the file was as it was opened. */
bool file_read_status(const char *path, size_t most, struct span *bytes, struct stat *status,
                      struct error *error) MUST_CHECK;
/* The same of an open descriptor of any kind, which stays open: may block. `name` is for the error. */
bool file_read_all(int descriptor, const char *name, size_t most, struct span *bytes,
                   struct error *error) MUST_CHECK;
/* Whether it is there, without opening it; that it may be read is seen when it is. */
bool file_exists(const char *path, struct error *error) MUST_CHECK;
/* Whether it is a regular file: else the error says what it is. */
bool file_is_regular(const struct stat *status, const char *path, struct error *error) MUST_CHECK;

#endif
