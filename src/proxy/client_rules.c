/* Compares the site that a connection belongs to with the same address's site of the current snapshot. */
#include "proxy/client_rules.h"

#include <string.h>

#include "config/listener_config.h"
#include "http/http_conn.h"
#include "proxy/client_conn.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "tls/tls.h"

/* Past the PROXY header; what comes before has not chosen anything else yet. */
static bool has_begun(const struct client_conn *conn)
{
    return conn->transport != NULL || conn->http != NULL;
}

static bool same_networks(const struct networks *a, const struct networks *b)
{
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->items, b->items, a->count * sizeof *a->items) == 0);
}

static bool same_trust(const struct snapshot *then, const struct snapshot *now)
{
    return then->trust_unix == now->trust_unix && same_networks(&then->trusted, &now->trusted);
}

static bool preface_holds(const struct client_conn *conn, const struct site *site)
{
    enum proxy_protocol_mode mode = site->config->proxy_protocol;
    return mode == conn->site->config->proxy_protocol &&
           (mode != PROXY_PROTOCOL_OPTIONAL ||
            same_trust(conn->lease->snapshot, conn->worker->lease->snapshot));
}

static bool version_holds(const struct client_conn *conn, const struct site *site)
{
    unsigned bits = site->config->protocol_bits;
    if (conn->http == NULL)
        return bits == conn->site->config->protocol_bits;
    return (bits & (conn->http->version == HTTP_1 ? PROTOCOL_HTTP_1
                    : conn->tls                   ? PROTOCOL_H2
                                                  : PROTOCOL_H2C)) != 0;
}

bool client_rules_hold_of_tls(const struct client_conn *conn, const struct site *site)
{
    return !has_begun(conn) || ((site->tls != NULL) == conn->tls &&
                                (!conn->tls || tls_store_same_rule(conn->site->tls, site->tls)));
}

bool client_rules_hold(const struct client_conn *conn, const struct site *site)
{
    return preface_holds(conn, site) && client_rules_hold_of_tls(conn, site) &&
           (!has_begun(conn) || version_holds(conn, site));
}

bool client_rules_are_met(const struct client_conn *conn, const struct site *site)
{
    const struct transport *transport =
        conn->http != NULL ? http_conn_transport(conn->http) : conn->transport;
    return site->tls == NULL || !conn->tls || tls_transport_satisfies(transport, site->tls);
}
