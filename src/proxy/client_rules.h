/*
 * What of a listener was decided once, when a connection began, and holds for all that comes on it: whether a
 * PROXY header says who the client is, the rules of TLS, the versions of HTTP. Where a reload changes it the
 * connection is drained. All else (routes, filters, limits, timeouts, who is trusted) is asked for by each
 * request.
 */
#ifndef WEIR_PROXY_CLIENT_RULES_H
#define WEIR_PROXY_CLIENT_RULES_H

#include <stdbool.h>

#include "base/attributes.h"

struct client_conn;
struct site;

/* The connection could have begun in the same way under this site, which is of the current snapshot. */
bool client_rules_hold(const struct client_conn *conn, const struct site *site) MUST_CHECK;
/* Of these the rules of TLS alone: when they change, tunnels end too. */
bool client_rules_hold_of_tls(const struct client_conn *conn, const struct site *site) MUST_CHECK;
/* Of an opened connection: the client has shown what this site demands of its clients. */
bool client_rules_are_met(const struct client_conn *conn, const struct site *site) MUST_CHECK;

#endif
