/* The life of an exchange: its states from the head of the request to both streams closed. */
#ifndef WEIR_PROXY_EXCHANGE_RUN_H
#define WEIR_PROXY_EXCHANGE_RUN_H

#include <stdbool.h>
#include <stdint.h>

struct client_conn;
struct client_progress;
struct stream;
struct upstream_waiter;
struct worker;

/* http_conn_events.opened of a client connection: takes the stream and its arena. */
void exchange_begin(struct client_conn *conn, struct stream *stream);
/* After a reload: tunnels on connections that it has outdated end, spread over drain_timeout, and those of
 * older files over reload_drain. */
void exchanges_end_tunnels(struct worker *worker);
/* Ends the requests of the connection that run under that snapshot, and the connection if it has not begun
 * to speak under another. */
void exchanges_cut(struct client_conn *conn, uint64_t snapshot);
/* forward.c; for upstreams_when_full(). */
bool forward_held_up(struct upstream_waiter *waiter, struct client_progress *progress);
void forward_yield(struct upstream_waiter *waiter);

#endif
