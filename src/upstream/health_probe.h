/*
 * One question to one server: does it answer as it should? Over the same transports and codec as requests, on
 * a connection of its own.
 */
#ifndef WEIR_UPSTREAM_HEALTH_PROBE_H
#define WEIR_UPSTREAM_HEALTH_PROBE_H

#include <stdbool.h>

#include "base/attributes.h"
#include "config/pool_config.h"

struct health_probe;
struct loop;
struct server;
struct tls_client;

/* Told instead of a reason (the pointer, not its text): weir itself could not ask, which says nothing of the
 * server. */
extern const char health_probe_not_made[];

/* done() comes once, later, within config->timeout. why: NULL when the server passed, else a text that is
 * good until it returns. The config and server must live until then or health_probe_cancel(). protocol: of
 * the pool; tls: for PROBE_HTTPS, and for PROBE_GRPC where the pool has TLS. */
struct health_probe *health_probe_start(struct loop *loop, const struct health_config *config,
                                        const struct server *server, enum pool_protocol protocol,
                                        struct tls_client *tls, void (*done)(void *owner, const char *why),
                                        void *owner);
void health_probe_cancel(struct health_probe *probe); /* before done(), which will not come */
/* "200", "2xx" or "200-399". */
bool health_status_matches(const struct texts *expected, unsigned status) MUST_CHECK;

#endif
