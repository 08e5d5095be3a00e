/*
 * The handshake of a WebSocket between any two versions (RFC 6455 4, RFC 8441). Inside weir it has HTTP/1's
 * form, a GET with Upgrade: an extended CONNECT is made one at the client's border, with a key of weir's own,
 * and the codecs leave key and accept out on HTTP/2. The tunnel that follows is two relays, as everywhere.
 */
#include "proxy/websocket.h"

#include <string.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/rng.h"
#include "config/config.h"
#include "http/head.h"
#include "proxy/exchange_state.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "tls/websocket_key.h"

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
    uint64_t bytes[KEY_BYTES / sizeof(uint64_t)] = {rng_next(&run->worker->rng), rng_next(&run->worker->rng)};
    char key[BASE64_LENGTH(KEY_BYTES)];
    struct span value = arena_copy(x->arena, span_make(key, base64_encode(bytes, sizeof bytes, key)));
    fields_remove(fields, FIELD_SEC_WEBSOCKET_KEY);
    return add_field(x, fields, FIELD_SEC_WEBSOCKET_KEY, value) &&
           (fields_find(fields, FIELD_SEC_WEBSOCKET_VERSION) != NULL ||
            add_field(x, fields, FIELD_SEC_WEBSOCKET_VERSION, SPAN("13")));
}

enum failure websocket_take_connect(struct exchange_run *run)
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

/* The route takes no WebSocket. An answer of its own with 2xx would open a tunnel to nowhere. */
static bool is_refused(const struct exchange_run *run)
{
    const struct respond_config *respond = run->plan->config->respond;
    return !run->plan->websocket || (respond != NULL && respond->status < 300);
}

static enum failure check_connect(struct exchange_run *run)
{
    struct head *request = &run->exchange.request;
    if (is_refused(run)) {
        request->line.request.method = METHOD_CONNECT;
        request->line.request.method_name = SPAN("CONNECT");
        request->upgrade = SPAN_NONE;
        return FAILURE_METHOD_REFUSED;
    }
    request->upgrade = SPAN("websocket");
    run->upgrading = true;
    return add_handshake(run) ? FAILURE_NONE : FAILURE_OVERLOADED;
}

enum failure websocket_check(struct exchange_run *run)
{
    struct head *request = &run->exchange.request;
    if (run->extended_connect)
        return check_connect(run);
    bool websocket = run->plan->websocket && span_equal_nocase(request->upgrade, SPAN("websocket"));
    request->upgrade = SPAN_NONE;
    if (!websocket)
        return FAILURE_NONE;
    const struct field *key = fields_find(&request->fields, FIELD_SEC_WEBSOCKET_KEY);
    char accept[WEBSOCKET_ACCEPT_LENGTH];
    if (request->line.request.method != METHOD_GET || request->body_length != BODY_NONE || key == NULL ||
        !websocket_accept(key->value, accept))
        return FAILURE_UPGRADE_REFUSED;
    request->upgrade = SPAN("websocket");
    run->upgrading = true;
    return FAILURE_NONE;
}

enum failure websocket_switch(struct exchange_run *run)
{
    struct exchange *x = &run->exchange;
    struct head *response = &x->response;
    const struct field *key = fields_find(&x->request.fields, FIELD_SEC_WEBSOCKET_KEY);
    char expected[WEBSOCKET_ACCEPT_LENGTH];
    if (!run->upgrading || key == NULL || !websocket_accept(key->value, expected) ||
        !span_equal_nocase(response->upgrade, SPAN("websocket")))
        return FAILURE_UPGRADE_INVALID;
    response->upgrade = SPAN("websocket");
    if (x->upstream->http2) {
        fields_remove(&response->fields, FIELD_SEC_WEBSOCKET_ACCEPT);
        return add_field(x, &response->fields, FIELD_SEC_WEBSOCKET_ACCEPT,
                         arena_copy(x->arena, span_make(expected, sizeof expected)))
                   ? FAILURE_NONE
                   : FAILURE_OVERLOADED;
    }
    const struct field *accept = fields_find(&response->fields, FIELD_SEC_WEBSOCKET_ACCEPT);
    return accept != NULL && span_equal(accept->value, span_make(expected, sizeof expected))
               ? FAILURE_NONE
               : FAILURE_UPGRADE_INVALID;
}
