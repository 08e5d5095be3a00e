/* What a client of HTTP/2 sends, and when. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle/client_h2.h"
#include "oracle/identity.h"
#include "oracle/malformed.h"
#include "oracle/settings.h"

#define FALLBACK_MS 60

void client_h2_resume(struct h2_request *request)
{
    if (!request->deferred)
        return;
    request->deferred = false;
    (void)nghttp2_session_resume_data(request->client->h2.session, request->id);
}

static ssize_t defer(struct h2_request *request)
{
    request->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
}

/* From now on the exchange may end in any way. The cut itself waits until what was written has left. */
static ssize_t decide_cut(struct h2_request *request)
{
    struct exchange *x = request->exchange;
    request->cuts = true;
    x->gave_up = x->was_reset = true;
    return defer(request);
}

/* ---- bodies ---- */

static ssize_t end_body(struct h2_request *request, uint32_t *flags)
{
    struct exchange *x = request->exchange;
    struct h2_names names = {0};
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    x->ended = true;
    exchange_touch(x);
    h2_put_trailers(&names, &x->plan.body, x->id);
    if (names.count != 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        (void)nghttp2_submit_trailer(request->client->h2.session, request->id, names.items, names.count);
    }
    if (x->plan.cut.where == CUT_UNANSWERED && x->plan.cut.answer_at == NEVER) {
        request->cuts = true;
        x->gave_up = x->was_reset = true;
    }
    return 0;
}

static bool is_held(const struct h2_request *request)
{
    const struct exchange *x = request->exchange;
    if (x->status != 0)
        return false;
    return !request->released || x->plan.holds_at == x->body_sent;
}

static uint64_t bytes_until_stop(const struct exchange *x)
{
    uint64_t stop = x->plan.body.length;
    if (x->plan.cut.where == CUT_IN_BODY && x->plan.cut.at < stop)
        stop = x->plan.cut.at;
    if (x->plan.holds_at < stop && x->body_sent < x->plan.holds_at)
        stop = x->plan.holds_at;
    return stop - x->body_sent;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *owner)
{
    struct h2_request *request = source->ptr;
    struct exchange *x = request->exchange;
    (void)session;
    (void)id;
    (void)owner;
    if (x == NULL || request->cuts || is_held(request))
        return defer(request);
    const struct body_plan *body = &x->plan.body;
    struct identity whose = {.id = x->id, .flow = FLOW_REQUEST, .flavour = body->flavour};
    if (x->plan.cut.where == CUT_IN_BODY && x->body_sent >= x->plan.cut.at)
        return decide_cut(request);
    uint64_t part = bytes_until_stop(x);
    if (x->plan.gives_up && x->whole)
        return decide_cut(request);
    if (part == 0)
        return end_body(request, flags);
    /* An empty frame now and then; many are taken for a flood. */
    if (body->odd && x->body_sent == 0 && draw_permille(&request->client->draw, 100))
        return 0;
    part = part < body->piece ? part : body->piece;
    part = part < room ? part : room;
    identity_fill(&whose, x->body_sent, (char *)to, (size_t)part);
    x->body_sent += part;
    exchange_touch(x);
    /* The end comes with the last bytes, or in a frame of its own. */
    if (x->body_sent == body->length && x->plan.holds_at != x->body_sent && body->trailers == 0 &&
        !body->bad_trailers && !body->odd)
        (void)end_body(request, flags);
    return (ssize_t)part;
}

static ssize_t read_tunnel(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                           nghttp2_data_source *source, void *owner)
{
    struct h2_request *request = source->ptr;
    struct exchange *x = request->exchange;
    (void)session;
    (void)id;
    (void)owner;
    if (x == NULL || request->cuts)
        return defer(request);
    const struct tunnel_plan *tunnel = &x->plan.tunnel;
    struct identity whose = {.id = x->id, .flow = FLOW_TUNNEL_UP, .flavour = x->plan.tunnel.flavour};
    uint64_t left = (x->tunnels ? tunnel->up : tunnel->early) - x->up_sent;
    if (left == 0 && !x->tunnels)
        return defer(request);
    if (x->tunnels && tunnel->cut == 1 && x->up_sent >= tunnel->up / 2)
        return decide_cut(request);
    if (left == 0) {
        if (tunnel->ends == ENDS_SERVER && !request->down_ended)
            return defer(request);
        x->ended = true;
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return 0;
    }
    size_t part = left < room ? (size_t)left : room;
    identity_fill(&whose, x->up_sent, (char *)to, part);
    x->up_sent += part;
    exchange_touch(x);
    return (ssize_t)part;
}

static ssize_t read_malformed(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                              nghttp2_data_source *source, void *owner)
{
    struct h2_request *request = source->ptr;
    size_t left = bytes_length(&request->malformed) - request->malformed_at;
    size_t part = left < room ? left : room;
    (void)owner;
    memcpy(to, bytes_front(&request->malformed) + request->malformed_at, part);
    request->malformed_at += part;
    /* A CONNECT is left open, as one that waits for its tunnel is. */
    if (part == left && (request->exchange == NULL || request->exchange->plan.kind == KIND_CONNECT))
        return part != 0 ? (ssize_t)part : defer(request);
    if (part == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (part == left && request->malformed_trailers.count != 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        (void)nghttp2_submit_trailer(session, id, request->malformed_trailers.items,
                                     request->malformed_trailers.count);
    }
    return (ssize_t)part;
}

/* ---- heads ---- */

static void put_head(struct h2_names *names, const struct exchange *x)
{
    const struct plan *plan = &x->plan;
    bool upgrade = plan->kind == KIND_UPGRADE;
    h2_put(names, ":method", "%s", upgrade ? "CONNECT" : methods[plan->method].name);
    if (upgrade)
        h2_put(names, ":protocol", "websocket");
    h2_put(names, ":scheme", plan->tls_in ? "https" : "http");
    h2_put(names, ":authority", "p%u.test", pool_of(plan->http2_out, plan->tls_out));
    h2_put(names, ":path", "/x/%016" PRIx64 "%s", x->id, plan->noise % 3 == 1 ? "?query=1" : "");
    h2_put(names, "x-id", "%016" PRIx64, x->id);
    if (upgrade)
        h2_put(names, "sec-websocket-version", "13");
    if (plan->asks_hedge)
        h2_put(names, "x-hedge", "1");
    if (plan->mirror != 0)
        h2_put(names, "x-mirror", "%u", plan->mirror);
    if (plan->limited)
        h2_put(names, "x-limit", "1");
    if (plan->noise != 0)
        h2_put(names, "x-noise", "%0*u", plan->noise, 0u);
    if (plan->noise % 5 == 1)
        h2_put(names, "te", "trailers");
    if (plan->expects)
        h2_put(names, "expect", "100-continue");
    if (plan->body.framing == FRAMING_LENGTH)
        h2_put(names, "content-length", "%u", plan->body.length);
}

static void submit_malformed(struct h2_request *request, struct h2_names *names)
{
    struct exchange *x = request->exchange;
    char id[24], host[16], mirror[24] = "";
    (void)snprintf(id, sizeof id, "%016" PRIx64, x->id);
    (void)snprintf(host, sizeof host, "p%u.test", pool_of(x->plan.http2_out, x->plan.tls_out));
    if (x->plan.mirror != 0)
        (void)snprintf(mirror, sizeof mirror, "x-mirror=%u\n", x->plan.mirror);
    malformed_print(&request->malformed, malformed_request(&x->plan),
                    &(struct malformed_names){.id = id, .answer = "", .host = host, .mirror = mirror});
    h2_put_malformed(names, &request->malformed_trailers, &request->malformed, &request->malformed_at);
}

static void submit(struct h2_request *request)
{
    struct exchange *x = request->exchange;
    struct h2_names names = {0};
    nghttp2_data_provider body = {.source.ptr = request, .read_callback = read_body};
    bool has_body = x->plan.body.framing != FRAMING_NONE;
    if (x->plan.kind == KIND_UPGRADE) {
        body.read_callback = read_tunnel;
        has_body = true;
    }
    if (x->plan.kind == KIND_PLAIN || x->plan.kind == KIND_UPGRADE) {
        put_head(&names, x);
    } else {
        submit_malformed(request, &names);
        body.read_callback = read_malformed;
        has_body = true;
    }
    request->id = nghttp2_submit_request(request->client->h2.session, NULL, names.items, names.count,
                                         has_body ? &body : NULL, request);
    if (request->id < 0)
        abort();
    x->head_sent = true;
    if (!has_body) {
        x->ended = true;
        if (x->plan.cut.where == CUT_UNANSWERED && x->plan.cut.answer_at == NEVER)
            request->cuts = x->gave_up = x->was_reset = true;
    }
}

static void on_fallback(evutil_socket_t fd, short what, void *owner)
{
    struct h2_request *request = owner;
    (void)fd;
    (void)what;
    request->released = true;
    client_h2_resume(request);
    client_h2_pump(request->client);
}

static bool begin_next(struct client_h2 *client)
{
    struct timeval wait = {.tv_usec = FALLBACK_MS * 1000};
    if (!client->ready || client->ending || client->left == 0 || client->count >= client->depth)
        return false;
    struct exchange *x = exchange_new(true, client->tls);
    struct h2_request *request = x != NULL ? calloc(1, sizeof *request) : NULL;
    if (request == NULL) {
        client->ending = true;
        return false;
    }
    client->left--;
    client->streams[client->count++] = request;
    request->client = client;
    request->exchange = x;
    request->released = !x->plan.waits;
    x->owner = request;
    x->link = &client->link;
    x->give_up = client_h2_give_up;
    x->was_pipelined = client->count > 1;
    evtimer_assign(&request->fallback, link_base, on_fallback, request);
    if (x->plan.waits)
        evtimer_add(&request->fallback, &wait);
    submit(request);
    return true;
}

/* ---- all ---- */

static bool cut_one(struct client_h2 *client)
{
    for (unsigned i = 0; i < client->count; i++) {
        struct h2_request *request = client->streams[i];
        if (!request->cuts)
            continue;
        request->exchange->torn = request->exchange->tunnels && !request->exchange->ended;
        if (request->exchange->plan.cut.reset) {
            link_reset(&client->link);
            client_h2_abandon(client, NULL);
            return false;
        }
        request->cuts = false;
        /* Only a stream that weir has seen can be reset. */
        (void)nghttp2_submit_rst_stream(client->h2.session, 0, request->id, NGHTTP2_CANCEL);
        return true;
    }
    return false;
}

void client_h2_pump(struct client_h2 *client)
{
    struct link *link = &client->link;
    if (!link->open || link->dead)
        return;
    while (begin_next(client))
        ;
    /* What is written may end a stream, whose place is another's then: nothing else may come to tell of it.
     */
    for (bool more = true; more;) {
        do
            h2_flush(&client->h2);
        while (!link->dead && bytes_length(&link->out) == 0 && cut_one(client));
        more = !link->dead && begin_next(client);
    }
    if (!link->dead && client->count == 0 && client->ready && (client->ending || client->left == 0))
        link_close(link);
}
