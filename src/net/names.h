/*
 * Names to addresses, all of a file at once: the system's resolver blocks, so threads of their own ask it,
 * several at a time, and the wait for them has an end. Text that holds an address or a path instead of a name
 * needs nobody.
 */
#ifndef WEIR_NET_NAMES_H
#define WEIR_NET_NAMES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "net/address.h"

#define NAMES_WAIT_MOST 30000u /* ms for all names of a file: past that they count as unresolved */

struct names;

struct names *names_new(void);
/* A thread that the system's resolver still holds goes on by itself and is heard no more. NULL allowed. */
void names_free(struct names *names);
/* `text` as address_resolve() takes it. All names are wanted before they are asked for: the threads that ask
 * use the list from then on. */
void names_want(struct names *names, const char *text);
/* Asks, once, for all names that are wanted, and waits for `milliseconds` at most, or until `given_up` (NULL:
 * never) is set. False when any was not found: the error tells which, and how many more. */
bool names_resolve(struct names *names, uint64_t milliseconds, const _Atomic bool *given_up,
                   struct error *error) MUST_CHECK;
/* Asks for none of those that are wanted: each gets an address of its own that leads nowhere. For who wants
 * to know what a file means, and not to reach anybody. */
void names_leave_unasked(struct names *names);
/* What was found, as address_resolve() gives it; with names of NULL the answer is that function's. */
size_t names_find(const struct names *names, struct address *addresses, size_t most, const char *text,
                  struct error *error) MUST_CHECK;

#endif
