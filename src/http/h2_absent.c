/* Stands for the HTTP/2 codec where weir is built without it. */
#include <stddef.h>

#include "http/h2_conn.h"
#include "http/h2_version.h"

struct http_conn *h2_conn_new(enum http_role role, struct transport *transport,
                              const struct http_settings *settings, struct buf *early,
                              const struct http_conn_events *events, void *owner)
{
    (void)role;
    (void)transport;
    (void)settings;
    (void)early;
    (void)events;
    (void)owner;
    return NULL;
}

const char *h2_library_version(void)
{
    return NULL;
}
