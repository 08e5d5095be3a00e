/* A connection of one worker to one server: connects, serves one request after the other (HTTP/2: several at
 * once), and waits idle in between. */
#ifndef WEIR_UPSTREAM_UPSTREAM_CONN_H
#define WEIR_UPSTREAM_UPSTREAM_CONN_H

#include <stdbool.h>

#include "base/attributes.h"
#include "http/failure.h"

struct pool;
struct server_entry;
struct upstream_waiter;
struct upstreams;

/* A kept connection for the waiter, told at once by waiter_ready(); false: there is none. From tasks only. */
bool upstream_conn_reuse(struct server_entry *entry, struct upstream_waiter *waiter) MUST_CHECK;
/* The same of those that the waiter's owner has at this server, of either version. */
bool upstream_conn_own(struct server_entry *entry, struct upstream_waiter *waiter) MUST_CHECK;
/* For pools that speak HTTP/2: a place on a connection with others, told at once as above, or later as below
 * when it is still being made. From tasks only. */
bool upstream_conn_share(struct server_entry *entry, struct upstream_waiter *waiter) MUST_CHECK;
/* Begins a new one: waiter_ready() or waiter_connect_failed() comes later. Not NONE: it could not even begin.
 */
enum failure upstream_conn_connect(struct upstreams *upstreams, struct server_entry *entry,
                                   struct upstream_waiter *waiter) MUST_CHECK;
/* The waiter for a connection in the making has gone: nothing will be told to it. */
void upstream_conn_abandon(struct upstream_waiter *waiter);
/* Idle connections of a server; keep: those that were made for this pool's TLS settings and protocol stay,
 * and shared ones that were not end with their last request. NULL: none stays. */
void upstream_conns_close_idle(struct server_entry *entry, const struct pool *keep);
/* All, also those that carry requests; and the settings of all. */
void upstream_conns_close(struct upstreams *upstreams);
void upstream_conns_reset(struct upstreams *upstreams); /* those that would still say goodbye as well */
void upstream_conns_settings(struct upstreams *upstreams);

#endif
