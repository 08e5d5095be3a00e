/*
 * Which upgrades may pass, and the handshake of a WebSocket between any two versions (RFC 6455 4, RFC 8441).
 * Inside weir it has HTTP/1's form, a GET with Upgrade: an extended CONNECT is made one at the client's
 * border, with a key of weir's own, and the codecs leave key and accept out on HTTP/2. Other protocols are
 * asked for over HTTP/1.1 on both sides, some with a POST that has a body (docker exec): that is sent as any
 * other, and the tunnel begins behind it. The tunnel is two relays, as everywhere.
 */
#include "proxy/upgrade.h"

#include <string.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/rng.h"
#include "config/config.h"
#include "http/head.h"
#include "proxy/exchange_state.h"
#include "proxy/snapshot.h"
#include "tls/websocket_key.h"
#include "upstream/pool.h"

#define KEY_BYTES 16

static bool add_field(struct exchange *x, struct fields *fields, uint16_t id, struct span value)
{
    return value.at != NULL && fields_add(fields, x->arena, field_names[id], value, id);
}

/* A server of HTTP/1 asks for what HTTP/2 has no use for: a key to answer (never the client's own, who has
 * sent none that means anything), and the version. */
static bool add_handshake(struct exchange_run *run)
{
    struct exchange *x = &run->exchange;
    struct fields *fields = &x->request.fields;
    uint64_t bytes[KEY_BYTES / sizeof(uint64_t)] = {random_bits(), random_bits()};
    char key[BASE64_LENGTH(KEY_BYTES)];
    struct span value = arena_copy(x->arena, span_make(key, base64_encode(bytes, sizeof bytes, key)));
    fields_remove(fields, FIELD_SEC_WEBSOCKET_KEY);
    return add_field(x, fields, FIELD_SEC_WEBSOCKET_KEY, value) &&
           (fields_find(fields, FIELD_SEC_WEBSOCKET_VERSION) != NULL ||
            add_field(x, fields, FIELD_SEC_WEBSOCKET_VERSION, SPAN("13")));
}

enum failure upgrade_take_connect(struct exchange_run *run)
{
    struct head *request = &run->exchange.request;
    if (request->upgrade.length == 0)
        return FAILURE_METHOD_REFUSED;
    if (!span_equal_nocase(request->upgrade, SPAN("websocket")))
        return FAILURE_PROTOCOL_UNKNOWN; /* RFC 9220 3 */
    request->line.request.method = METHOD_GET;
    request->line.request.method_name = SPAN("GET");
    run->extended_connect = true;
    return FAILURE_NONE;
}

static bool is_websocket(struct span protocol)
{
    return span_equal_nocase(protocol, SPAN("websocket"));
}

static bool route_lets_pass(const struct route_config *route, struct span protocol)
{
    const struct texts *upgrades = &route->upgrades;
    for (size_t i = 0; !route->no_upgrades && i < upgrades->count; i++)
        if (span_equal_nocase(protocol, span_of(upgrades->items[i])))
            return true;
    return false;
}

/* An answer of its own with 2xx would open a tunnel to nowhere. */
static bool connect_is_refused(const struct exchange_run *run)
{
    const struct respond_config *respond = run->plan->config->respond;
    return !route_lets_pass(run->plan->config, SPAN("websocket")) ||
           (respond != NULL && respond->status < 300);
}

static enum failure check_connect(struct exchange_run *run)
{
    struct head *request = &run->exchange.request;
    if (connect_is_refused(run)) {
        request->line.request.method = METHOD_CONNECT;
        request->line.request.method_name = SPAN("CONNECT");
        request->upgrade = SPAN_NONE;
        return FAILURE_METHOD_REFUSED;
    }
    request->upgrade = SPAN("websocket");
    run->upgrading = true;
    return add_handshake(run) ? FAILURE_NONE : FAILURE_OVERLOADED;
}

static bool websocket_is_right(const struct head *request)
{
    const struct field *key = fields_find(&request->fields, FIELD_SEC_WEBSOCKET_KEY);
    char accept[WEBSOCKET_ACCEPT_LENGTH];
    return request->line.request.method == METHOD_GET && request->body_length == BODY_NONE && key != NULL &&
           websocket_accept(key->value, accept);
}

enum failure upgrade_choose(const struct route_config *route, struct head *request)
{
    struct span list = request->upgrade, protocol = SPAN_NONE;
    request->upgrade = SPAN_NONE;
    if (list.length == 0)
        return FAILURE_NONE;
    bool passes = false;
    while (!passes && span_next_element(&list, &protocol))
        passes = protocol.length != 0 && route_lets_pass(route, protocol);
    if (!passes)
        return FAILURE_NONE;
    bool right =
        is_websocket(protocol) ? websocket_is_right(request) : request->body_length != BODY_OF_UNKNOWN_LENGTH;
    if (!right)
        return FAILURE_UPGRADE_REFUSED;
    request->upgrade = is_websocket(protocol) ? SPAN("websocket") : protocol;
    return FAILURE_NONE;
}

enum failure upgrade_check(struct exchange_run *run)
{
    if (run->extended_connect)
        return check_connect(run);
    struct head *request = &run->exchange.request;
    enum failure why = upgrade_choose(run->plan->config, request);
    run->upgrading = why == FAILURE_NONE && request->upgrade.length != 0;
    return why;
}

void upgrade_fit_pool(struct exchange_run *run, const struct pool *pool)
{
    struct head *request = &run->exchange.request;
    bool only_http_2 = pool->protocol == POOL_H2 || pool->protocol == POOL_H2C;
    if (!run->upgrading || !only_http_2 || is_websocket(request->upgrade))
        return;
    request->upgrade = SPAN_NONE;
    run->upgrading = false;
}

static enum failure websocket_switch(struct exchange_run *run)
{
    struct exchange *x = &run->exchange;
    struct head *response = &x->response;
    const struct field *key = fields_find(&x->request.fields, FIELD_SEC_WEBSOCKET_KEY);
    char expected[WEBSOCKET_ACCEPT_LENGTH];
    if (key == NULL || !websocket_accept(key->value, expected))
        return FAILURE_UPGRADE_INVALID;
    if (x->upstream->http2) {
        fields_remove(&response->fields, FIELD_SEC_WEBSOCKET_ACCEPT);
        return add_field(x, &response->fields, FIELD_SEC_WEBSOCKET_ACCEPT,
                         arena_copy(x->arena, span_make(expected, sizeof expected)))
                   ? FAILURE_NONE
                   : FAILURE_OVERLOADED;
    }
    const struct field *accept = fields_find(&response->fields, FIELD_SEC_WEBSOCKET_ACCEPT);
    return accept != NULL && fields_next(&response->fields, accept) == NULL &&
                   span_equal(accept->value, span_make(expected, sizeof expected))
               ? FAILURE_NONE
               : FAILURE_UPGRADE_INVALID;
}

enum failure upgrade_switch(struct exchange_run *run)
{
    struct exchange *x = &run->exchange;
    struct span asked = x->request.upgrade;
    if (!run->upgrading || !run->up.ended || !span_equal_nocase(x->response.upgrade, asked))
        return FAILURE_UPGRADE_INVALID;
    x->response.upgrade = asked;
    return is_websocket(asked) ? websocket_switch(run) : FAILURE_NONE;
}

struct span upgrade_offered(const struct head *response)
{
    const struct field *field = fields_find(&response->fields, FIELD_UPGRADE);
    return field != NULL ? field->value : SPAN_NONE;
}
