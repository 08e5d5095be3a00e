/*
 * The listening sockets: one of each address for each worker, opened here, kept across reloads and told to
 * workers by letter. A change is made in two steps, so that a reload is all or nothing: listeners_open()
 * opens what is new, and then either listeners_commit() or listeners_undo() follows.
 */
#ifndef WEIR_CONTROL_LISTENERS_H
#define WEIR_CONTROL_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/error.h"

struct config;
struct listeners;
struct mailbox;
struct text;
struct worker;

struct listeners *listeners_new(unsigned workers_count);
/* Closes what is left; only once no worker listens any more. */
void listeners_free(struct listeners *listeners);
/* Opens the addresses of the configuration that are not open yet. */
bool listeners_open(struct listeners *listeners, const struct config *config, struct error *error) MUST_CHECK;
void listeners_undo(struct listeners *listeners);
/* Tells the workers of new sockets, and takes from them those that the configuration no longer has. `mailbox`
 * is control's: there the last worker's word arrives, and the socket is closed. The workers must have been
 * sent the snapshot. */
void listeners_commit(struct listeners *listeners, struct worker *const *workers, struct mailbox *mailbox);
/* Takes all sockets from the workers, for a drain. */
void listeners_withdraw(struct listeners *listeners, struct worker *const *workers, struct mailbox *mailbox);
/* The open addresses, with commas between. */
void listeners_print(const struct listeners *listeners, struct text *to);

#endif
