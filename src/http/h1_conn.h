/* HTTP/1 as an http_conn, in both roles. */
#ifndef WEIR_HTTP_H1_CONN_H
#define WEIR_HTTP_H1_CONN_H

#include "base/attributes.h"
#include "http/http_conn.h"

struct http_conn *h1_conn_new(enum http_role role, struct transport *transport,
                              const struct http_settings *settings, struct buf *early,
                              const struct http_conn_events *events, void *owner) MUST_CHECK;

#endif
