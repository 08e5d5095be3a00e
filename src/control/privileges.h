/* Becoming another user once the sockets are open, and descriptors enough for the connections that are
 * allowed. */
#ifndef WEIR_CONTROL_PRIVILEGES_H
#define WEIR_CONTROL_PRIVILEGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

struct config;

/* "user" or "user:group"; keeps the right to open ports under 1024, so that a reload can add listeners. NULL:
 * stays. */
bool privileges_drop(const char *user, struct error *error) MUST_CHECK;
/* Whether privileges_drop() could, as far as that can be told without doing it. */
bool privileges_try(const char *user, struct error *error) MUST_CHECK;
/* Warns of files that the user we have become can't read: a reload would fail. */
void privileges_check_files(const struct config *config);
/* Raises the limit of open files as far as it goes. */
void privileges_raise_files(void);

#endif
