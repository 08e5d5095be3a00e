/* HTTP/2 (RFC 9113) as http_conn, both roles, over libnghttp2. */
#ifndef WEIR_HTTP_H2_CONN_H
#define WEIR_HTTP_H2_CONN_H

#include "base/attributes.h"
#include "http/http_conn.h"

/* As http_conn_new(). NULL: no memory for the library's session, or HTTP/2 is not built in; the transport is
 * the caller's still. */
struct http_conn *h2_conn_new(enum http_role role, struct transport *transport,
                              const struct http_settings *settings, struct buf *early,
                              const struct http_conn_events *events, void *owner) MUST_CHECK;

#endif
