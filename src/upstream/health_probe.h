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

/* FAILED may be the fault of the check, or of the way to the server. SICK is the server's own word: it
 * answers that it is not well, or takes itself out before it stops. NOT_MADE: weir itself could not ask,
 * which says nothing of the server. */
enum probe_verdict { PROBE_PASSED, PROBE_FAILED, PROBE_SICK, PROBE_NOT_MADE };
/* done() comes once, later, within config->timeout. why: for people alone, good until it returns. The config
 * and server must live until then or health_probe_cancel(). protocol: of the pool; tls: for PROBE_HTTPS, and
 * for PROBE_GRPC where the pool has TLS. */
struct health_probe *
health_probe_start(struct loop *loop, const struct health_config *config, const struct server *server,
                   enum pool_protocol protocol, struct tls_client *tls,
                   void (*done)(void *owner, enum probe_verdict verdict, const char *why), void *owner);
void health_probe_cancel(struct health_probe *probe); /* before done(), which will not come */
/* "200", "2xx" or "200-399". */
bool health_status_matches(const struct texts *expected, unsigned status) MUST_CHECK;

#endif
