/* The choice of codec. */
#include "http/http_conn.h"

#include <assert.h>

#include "http/h1_conn.h"

struct http_conn *http_conn_new(enum http_version version, enum http_role role, struct transport *transport, const struct http_settings *settings,
                                struct buf *early, const struct http_conn_events *events, void *owner)
{
    assert(version == HTTP_1); /* the only codec that is built */
    return h1_conn_new(role, transport, settings, early, events, owner);
}

struct transport *http_conn_transport(const struct http_conn *conn)
{
    return conn->ops->transport(conn);
}

int http_conn_keep_alive_hint(const struct http_conn *conn)
{
    return conn->ops->keep_alive_hint(conn);
}
