/* The life of an exchange: its states from the head of the request to both streams closed. */
#ifndef WEIR_PROXY_EXCHANGE_RUN_H
#define WEIR_PROXY_EXCHANGE_RUN_H

struct client_conn;
struct stream;
struct worker;

/* http_conn_events.opened of a client connection: takes the stream and its arena. */
void exchange_begin(struct client_conn *conn, struct stream *stream);
/* After a reload: tunnels on connections that it has outdated end, spread over drain_timeout. */
void exchanges_end_tunnels(struct worker *worker);

#endif
