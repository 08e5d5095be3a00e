/* A failure told to a person: what was tried and why it failed. Load-time code returns false and fills one.
 */
#ifndef WEIR_BASE_ERROR_H
#define WEIR_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"

struct error {
    char text[512]; /* cut with "..." when longer */
};

/* Sets the text and returns false, so that `return error_set(...)` reads well. error may be NULL. */
bool error_set(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);
/* As error_set, with ": " and strerror(number) at the end. */
bool error_set_errno(struct error *error, int number, const char *format, ...) PRINTF_LIKE(3, 4);
/* Puts "text: " before what is there; returns false. */
bool error_wrap(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);
/* For a failure nobody can go on from at start (no memory, no random bytes): prints and exits with 70
 * (EX_SOFTWARE). */
void die(const char *format, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));
void *xmalloc(size_t size) __attribute__((malloc));
void *xcalloc(size_t count, size_t size) __attribute__((malloc));
void *xrealloc(void *old, size_t size);
/* Zeroed, on cache lines that nothing else is on: for what another thread writes or reads often. */
void *xcalloc_lines(size_t size) __attribute__((malloc));
char *xstrdup(const char *text) __attribute__((malloc));

#endif
