/* The life of an exchange: its states from the head of the request to both streams closed. */
#ifndef WEIR_PROXY_EXCHANGE_RUN_H
#define WEIR_PROXY_EXCHANGE_RUN_H

#include <stdint.h>

struct client_conn;
struct stream;
struct worker;

/* http_conn_events.opened of a client connection: takes the stream and its arena. */
void exchange_begin(struct client_conn *conn, struct stream *stream);
/* After a reload: tunnels on connections that it has outdated end, spread over drain_timeout, and those of
 * older files over reload_drain. */
void exchanges_end_tunnels(struct worker *worker);
/* Ends the requests of the connection that run under that snapshot, and the connection if it has not begun
 * to speak under another. */
void exchanges_cut(struct client_conn *conn, uint64_t snapshot);

#endif
