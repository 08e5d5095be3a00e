/* What a client of HTTP/1 writes, and when. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "oracle/client_h1.h"
#include "oracle/h1_writer.h"
#include "oracle/malformed.h"
#include "oracle/settings.h"

#define PIECE_MOST 16384u
#define PIECES_FROM 1000u /* bytes that wait: more are not cut in pieces of the next request's size */
#define FALLBACK_MS 60    /* who waits for a 100 does not wait longer */

/* ---- the head ---- */

static void write_noise(struct bytes *out, unsigned length)
{
    if (length == 0)
        return;
    bytes_print(out, "X-Noise: ");
    memset(bytes_reserve(out, length), 'n', length);
    bytes_wrote(out, length);
    bytes_add(out, "\r\n", 2);
}

static void write_connection(struct bytes *out, const struct plan *plan)
{
    static const char websocket[] =
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2l4dGVlbiBieXRlcyBvaw==\r\n";
    if (plan->kind == KIND_UPGRADE)
        bytes_print(out, "Connection: Upgrade\r\nUpgrade: %s\r\n%s", protocols[plan->tunnel.protocol],
                    plan->tunnel.protocol == PROTOCOL_WEBSOCKET_ROW ? websocket : "");
    else if (plan->says_close)
        bytes_print(out, "Connection: close\r\n");
    else if (plan->says_keep_alive)
        bytes_print(out, "Connection: keep-alive\r\n");
    else if (plan->noise % 7 == 1)
        bytes_print(out, "Connection: x-hop, TE\r\nX-Hop: gone\r\nTE: trailers\r\n");
}

static void write_head(struct bytes *out, const struct exchange *x)
{
    const struct plan *plan = &x->plan;
    unsigned pool = pool_of(plan->http2_out, plan->tls_out);
    bytes_print(out, "%s ", methods[plan->method].name);
    if (plan->absolute)
        bytes_print(out, "http://p%u.test", pool);
    bytes_print(out, "/x/%016" PRIx64 " HTTP/1.%u\r\nHost: p%u.test\r\n", x->id, !plan->old, pool);
    if (plan->body.odd)
        h1_write_framing(out, &plan->body);
    bytes_print(out, "X-Id: %016" PRIx64 "\r\n", x->id);
    if (plan->asks_hedge)
        bytes_print(out, "X-Hedge: 1\r\n");
    if (plan->mirror != 0)
        bytes_print(out, "X-Mirror: %u\r\n", plan->mirror);
    if (plan->limited)
        bytes_print(out, "X-Limit: 1\r\n");
    write_connection(out, plan);
    write_noise(out, plan->noise);
    if (plan->expects)
        bytes_print(out, "Expect: 100-continue\r\n");
    if (!plan->body.odd)
        h1_write_framing(out, &plan->body);
    bytes_add(out, "\r\n", 2);
}

static void write_malformed(struct bytes *out, const struct exchange *x)
{
    char id[24], host[16], mirror[24] = "";
    (void)snprintf(id, sizeof id, "%016" PRIx64, x->id);
    (void)snprintf(host, sizeof host, "p%u.test", pool_of(x->plan.http2_out, x->plan.tls_out));
    if (x->plan.mirror != 0)
        (void)snprintf(mirror, sizeof mirror, "X-Mirror: %u\r\n", x->plan.mirror);
    malformed_print(out, malformed_request(&x->plan),
                    &(struct malformed_names){.id = id, .answer = "", .host = host, .mirror = mirror});
}

/* ---- the beginning of a request ---- */

static bool decide_cut(struct client_h1 *client, struct exchange *x)
{
    client->step = CLIENT_CUTS;
    x->gave_up = x->was_reset = true;
    return true;
}

static bool is_alone(const struct plan *plan)
{
    return plan->kind != KIND_PLAIN || plan->cut.where != CUT_NOWHERE || plan->half_closes ||
           plan->says_close || plan->old || plan->expects || plan->holds_at != NEVER || plan->gives_up;
}

/* What comes behind a request that ends the connection is nobody's: it must never reach a server. */
static bool goes_behind(struct client_h1 *client)
{
    const struct exchange *before = client->count != 0 ? client->queue[client->count - 1] : NULL;
    if (before == NULL || client->count == QUEUE_MOST || client->ending || client->sending != NULL)
        return false;
    bool ends = before->plan.says_close && before->plan.kind == KIND_PLAIN &&
                before->plan.cut.where == CUT_NOWHERE && !before->plan.half_closes;
    bool refused = before->plan.kind == KIND_BAD_HEAD || before->plan.kind == KIND_BAD_BODY;
    return (ends || refused) && draw_permille(&client->draw, 400);
}

/* Behind an upgrade that is not granted comes the next request, before the client can know. */
static bool follows_upgrade(struct client_h1 *client)
{
    const struct exchange *before = client->count != 0 ? client->queue[client->count - 1] : NULL;
    if (before == NULL || client->count == QUEUE_MOST || client->ending || client->sending != NULL)
        return false;
    return before->plan.kind == KIND_UPGRADE && !before->plan.tunnel.accepted &&
           before->plan.tunnel.early == 0 && before->plan.cut.where == CUT_NOWHERE &&
           draw_permille(&client->draw, 400);
}

static void make_plain(struct plan *plan)
{
    plan->kind = KIND_PLAIN;
    if (plan->method == METHOD_HEAD_ROW) /* its answers were not drawn for it */
        plan->method = METHOD_GET_ROW;
    plan->cut = (struct cut){0};
    plan->holds_at = NEVER;
    plan->limited = false;
    plan->mirror = 0;
    plan->waits = plan->half_closes = plan->gives_up = plan->asks_hedge = plan->hedged = false;
    plan->tunnel = (struct tunnel_plan){0};
}

static void send_head(struct client_h1 *client, struct exchange *x)
{
    struct bytes *out = &client->link.out;
    size_t before = bytes_length(out);
    if (x->plan.kind == KIND_CONNECT || x->plan.kind == KIND_BAD_HEAD || x->plan.kind == KIND_BAD_BODY)
        write_malformed(out, x);
    else
        write_head(out, x);
    x->head_sent = true;
    client->step = CLIENT_BODY;
    if (x->plan.cut.where == CUT_IN_HEAD && before + x->plan.cut.at < bytes_length(out)) {
        out->end = out->begin + before + x->plan.cut.at;
        x->head_sent = false;
        (void)decide_cut(client, x);
    }
}

/* Bytes of a tunnel that do not wait for it: they come behind the whole request. */
static void send_early_bytes(struct client_h1 *client, struct exchange *x)
{
    struct identity whose = {.id = x->id, .flow = FLOW_TUNNEL_UP, .flavour = x->plan.tunnel.flavour};
    uint32_t early = x->plan.tunnel.early;
    identity_fill(&whose, 0, bytes_reserve(&client->link.out, early), early);
    bytes_wrote(&client->link.out, early);
    x->up_sent = early;
}

static void on_fallback(evutil_socket_t fd, short what, void *owner)
{
    struct client_h1 *client = owner;
    (void)fd;
    (void)what;
    client->released = true;
    client_h1_pump(client);
}

static void begin(struct client_h1 *client, struct exchange *x)
{
    struct timeval wait = {.tv_usec = FALLBACK_MS * 1000};
    x->owner = client;
    x->link = &client->link;
    if (client->count == 0)
        client->reader.state = H1_HEAD;
    else
        x->was_pipelined = true;
    client->queue[client->count++] = x;
    client->sending = x;
    client->alone = is_alone(&x->plan);
    client->released = !x->plan.waits;
    /* What still waits of those before would take as many turns. */
    client->link.piece = bytes_length(&client->link.out) < PIECES_FROM ? x->plan.piece : 0;
    if (x->plan.waits) {
        evtimer_assign(&client->fallback, link_base, on_fallback, client);
        evtimer_add(&client->fallback, &wait);
    }
    send_head(client, x);
}

static bool begin_next(struct client_h1 *client)
{
    bool behind = client->alone && goes_behind(client);
    bool follows = client->alone && !behind && follows_upgrade(client);
    if (!behind && !follows && (client->alone || client->ending || client->count >= client->depth))
        return false;
    struct exchange *x = client->left != 0 ? exchange_new(false, client->tls) : NULL;
    if (x == NULL && client->count == 0)
        link_close(&client->link); /* it has carried all that it was to carry */
    if (x == NULL)
        return false;
    x->give_up = client_h1_give_up;
    client->left--;
    if (behind || follows) {
        make_plain(&x->plan);
        x->forbidden = x->gave_up = behind;
        x->was_behind = follows;
    }
    begin(client, x);
    client->ending = client->ending || behind;
    return true;
}

/* ---- the body ---- */

static bool is_held(const struct client_h1 *client, const struct exchange *x)
{
    bool answered = x->status != 0;
    if (!client->released && !answered)
        return true;
    return x->plan.holds_at == x->body_sent && !answered;
}

/* The most bytes that may come now: up to where the plan stops. */
static uint64_t bytes_until_stop(const struct exchange *x)
{
    uint64_t stop = x->plan.body.length;
    if (x->plan.cut.where == CUT_IN_BODY && x->plan.cut.at < stop)
        stop = x->plan.cut.at;
    if (x->plan.holds_at < stop && x->body_sent < x->plan.holds_at)
        stop = x->plan.holds_at;
    return stop - x->body_sent;
}

static void end_request(struct client_h1 *client, struct exchange *x)
{
    h1_write_end(&client->link.out, &x->plan.body, x->id);
    x->ended = true;
    client->sending = NULL;
    client->step = CLIENT_BETWEEN;
    evtimer_del(&client->fallback);
    if (x->plan.cut.where == CUT_UNANSWERED && x->plan.cut.answer_at == NEVER) {
        client->sending = x;
        (void)decide_cut(client, x);
    }
    if (x->plan.half_closes && !x->over) {
        client->ending = true;
        for (unsigned i = 0; i < client->count; i++)
            client->queue[i]->half_closed = true;
        link_finish(&client->link);
    }
    /* Its answer came before its end. */
    if (client->count == 0 || client->queue[client->count - 1] != x) {
        client->alone = false;
        exchange_client_over(x);
    }
}

static bool send_body(struct client_h1 *client)
{
    struct exchange *x = client->sending;
    struct identity whose = {.id = x->id, .flow = FLOW_REQUEST, .flavour = x->plan.body.flavour};
    bool has_more = x->plan.kind == KIND_UPGRADE && x->body_sent != x->plan.body.length;
    if (x->plan.kind != KIND_PLAIN && !has_more) {
        x->ended = x->plan.kind != KIND_UPGRADE;
        if (x->plan.kind == KIND_UPGRADE && x->plan.tunnel.early != 0)
            send_early_bytes(client, x);
        if (x->plan.cut.where == CUT_UNANSWERED && x->plan.cut.answer_at == NEVER)
            return decide_cut(client, x);
        client->sending = NULL;
        client->step = CLIENT_BETWEEN;
        evtimer_del(&client->fallback);
        /* An upgrade that was refused before its end. */
        if (x->whole && (client->count == 0 || client->queue[client->count - 1] != x)) {
            client->alone = false;
            exchange_client_over(x);
        }
        return true;
    }
    if (is_held(client, x))
        return false;
    if (x->plan.cut.where == CUT_IN_BODY && x->body_sent >= x->plan.cut.at) {
        return decide_cut(client, x);
    }
    uint64_t most = bytes_until_stop(x);
    if (x->plan.body.framing != FRAMING_NONE && most != 0) {
        x->body_sent += h1_write_piece(&client->link.out, &x->plan.body, &whose, x->body_sent, most);
        exchange_touch(x);
        return true;
    }
    end_request(client, x);
    return true;
}

/* ---- tunnels ---- */

static bool send_tunnel(struct client_h1 *client)
{
    struct exchange *x = client->queue[0];
    const struct tunnel_plan *tunnel = &x->plan.tunnel;
    struct identity whose = {.id = x->id, .flow = FLOW_TUNNEL_UP, .flavour = x->plan.tunnel.flavour};
    uint64_t left = tunnel->up - x->up_sent;
    if (x->ended)
        return false;
    if (tunnel->cut == 1 && x->up_sent >= tunnel->up / 2) {
        return decide_cut(client, x);
    }
    if (left == 0) {
        if (tunnel->ends == ENDS_SERVER && !client->link.peer_end)
            return false;
        x->ended = true;
        link_finish(&client->link);
        return false;
    }
    size_t part = left < PIECE_MOST ? (size_t)left : PIECE_MOST;
    identity_fill(&whose, x->up_sent, bytes_reserve(&client->link.out, part), part);
    bytes_wrote(&client->link.out, part);
    x->up_sent += part;
    exchange_touch(x);
    return true;
}

/* ---- all ---- */

static bool send_step(struct client_h1 *client)
{
    switch (client->step) {
    case CLIENT_BETWEEN:
        return begin_next(client);
    case CLIENT_BODY:
        return send_body(client);
    case CLIENT_CUTS:
        if (bytes_length(&client->link.out) == 0) {
            struct exchange *x = client->sending != NULL ? client->sending : client->queue[0];
            bool bare = client->tls && draw_permille(&client->draw, 500);
            client_h1_cut(client, x, x->plan.kind == KIND_UPGRADE ? !bare : x->plan.cut.reset);
        }
        return false;
    case CLIENT_TUNNEL:
        return send_tunnel(client);
    }
    return false;
}

void client_h1_pump(struct client_h1 *client)
{
    struct link *link = &client->link;
    bool more = true;
    while (more && link->open && !link->dead && !link->shut) {
        while (!link->dead && bytes_length(&link->out) < PIECE_MOST && (more = send_step(client)))
            ;
        link_flush(link);
        more = !link->dead && bytes_length(&link->out) == 0 && (more || client->step == CLIENT_CUTS);
    }
}
