/*
 * How many client connections there may be: of all workers (limits.connections, and what descriptors are left
 * for them), of a listener, of a client there. Who comes when all are taken has one go that asks for nothing.
 */
#ifndef WEIR_PROXY_CLIENT_CAPS_H
#define WEIR_PROXY_CLIENT_CAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

struct client_conn;
struct lease;
struct listener_counts;
struct site;
struct worker;

/* Which clients may go: those that are quiet longer than any that another worker has, or any, or those that
 * have been quiet so long that they are not about to ask. */
enum caps_who { CAPS_OLDEST, CAPS_ANY, CAPS_QUIET };

/* limits.connections, or what fits into the descriptors. */
uint64_t client_caps_most(const struct lease *lease);
/* Somebody would have to go for the next one. */
bool client_caps_are_reached(const struct lease *lease);
/* Counts one more. Else the name of the limit that is reached, where no client of this worker may go for it.
 */
const char *client_caps_enter(const struct lease *lease, const struct site *site,
                              enum caps_who who) MUST_CHECK;
/* Once its address is known; false: told in the log. */
bool client_caps_enter_client(struct client_conn *conn) MUST_CHECK;
/* It is open already, and this is its listener now: a cap that came with the site counts it too. */
void client_caps_follow(struct client_conn *conn, const struct site *site);
/* It goes for another: it counts no more, though its descriptor does until it is closed. Else whoever comes
 * before the turn's end would make one more go for each. */
void client_caps_release(struct client_conn *conn);
void client_caps_leave(struct client_conn *conn);
void client_caps_tell(const struct site *site, const char *limit); /* in the log: one was turned away */
/* Closes the connection that has been quiet longest, or nearly so, and says whether there was one. at: only
 * of this listener; NULL: of any. Its descriptor is free at the end of the turn. */
/* Who has flooded goes before all. */
bool client_caps_shed(struct worker *worker, const struct listener_counts *at, enum caps_who who);
/* One that has flooded its connection and is not gone yet: it goes before any other. NULL: none. */
struct client_conn *client_caps_flooded(const struct worker *worker, const struct listener_counts *at);

/* After a client has come to or left worker->fresh: tells the other workers how old the oldest is. */
void client_caps_publish(struct worker *worker);
/* The worker whose oldest client that never asked is the oldest of all, so that it goes there. */
struct worker *client_caps_oldest(struct worker *worker);

#endif
