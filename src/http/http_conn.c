/* The choice of codec. */
#include "http/http_conn.h"

#include <assert.h>

#include "config/config.h"
#include "http/h1_conn.h"
#include "http/h2_conn.h"
#include "http/stream.h"

bool http_version_is_built(enum http_version version)
{
    return version == HTTP_1 || (version == HTTP_2 && WITH_HTTP2);
}

struct http_conn *http_conn_new(enum http_version version, enum http_role role, struct transport *transport,
                                const struct http_settings *settings, struct buf *early,
                                const struct http_conn_events *events, void *owner)
{
    if (version == HTTP_2)
        return h2_conn_new(role, transport, settings, early, events, owner);
    assert(version == HTTP_1); /* raw bytes are a state of the other two */
    return h1_conn_new(role, transport, settings, early, events, owner);
}

struct pace_rule http_pace_rule(const struct http_settings *settings)
{
    return (struct pace_rule){.least = settings->limits->least_read_rate,
                              .length = settings->timeouts->write};
}

enum failure http_close_failure(const struct http_conn *conn, enum http_close how)
{
    if (conn->role == HTTP_CLIENT)
        return FAILURE_CLIENT_CLOSED;
    return how == HTTP_CLOSE_SOON ? FAILURE_OVERLOADED : FAILURE_SHUTTING_DOWN;
}

size_t http_held_above(const struct stream *stream)
{
    return stream->events != NULL && stream->events->held != NULL ? stream->events->held(stream) : 0;
}

struct transport *http_conn_transport(const struct http_conn *conn)
{
    return conn->ops->transport(conn);
}

int http_conn_keep_alive_hint(const struct http_conn *conn)
{
    return conn->ops->keep_alive_hint(conn);
}
