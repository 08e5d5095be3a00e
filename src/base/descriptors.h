/*
 * How many descriptors connections have, and may have, all threads together. Counted by who opens them: each
 * connection of a client or to a server, and both ends of each pipe. What control opens (listening sockets,
 * logs, files of a reload) is not: for that it sets apart a reserve before it says what is left. One change
 * for each connection, none for a request.
 */
#ifndef WEIR_BASE_DESCRIPTORS_H
#define WEIR_BASE_DESCRIPTORS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

/* What connections may have; at first there is no limit. Any thread. */
void descriptors_allow(uint64_t count);
/* Of these, how many clients may have: the others are for servers, whatever clients do. */
uint64_t descriptors_for_clients(void);
uint64_t descriptors_clients_of(uint64_t count); /* the same if so many were allowed */
/* So few are left that clients and pipes get none: what is left is for servers. */
bool descriptors_are_short(void);

/* False: not so many are left. For clients and for pipes, without which weir does; and for servers. */
bool descriptors_take(unsigned count) MUST_CHECK;
bool descriptors_take_last(unsigned count) MUST_CHECK;
/* Who has just made another let go of as many, or can't do without. */
void descriptors_take_anyway(unsigned count);
void descriptors_give(unsigned count);

#endif
