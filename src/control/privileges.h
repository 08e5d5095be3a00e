/* Becoming another user once the sockets are open, and descriptors enough for the connections that are
 * allowed. */
#ifndef WEIR_CONTROL_PRIVILEGES_H
#define WEIR_CONTROL_PRIVILEGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

/* "user" or "user:group", for good: whatever fails on the way is an error; keeps the right to open ports
 * under 1024, so that a reload can add listeners. NULL: stays. */
bool privileges_drop(const char *user, struct error *error) MUST_CHECK;
/* Whether privileges_drop() could, as far as that can be told without doing it. */
bool privileges_try(const char *user, struct error *error) MUST_CHECK;
/* Whether it is root by name or number; nobody is looked up. */
bool privileges_is_root(const char *user);
/* Calls `act` with the rights of that user over files, and takes ours back; only while there is one thread.
 */
bool privileges_as(const char *user, void (*act)(void *owner), void *owner, struct error *error) MUST_CHECK;
/* Raises the limit of open files as far as it goes. */
void privileges_raise_files(void);

#endif
