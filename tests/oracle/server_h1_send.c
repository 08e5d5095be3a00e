/* What a server of HTTP/1 answers, and when. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "oracle/h1_writer.h"
#include "oracle/malformed.h"
#include "oracle/report.h"
#include "oracle/server_h1.h"

#define PIECE_MOST 16384u
#define CUT_LATE_MS 3

/* ---- heads ---- */

static void write_name(struct bytes *out, const struct attempt *a)
{
    bytes_print(out, "X-Oracle: %016" PRIx64 "-%02x\r\n", a->exchange->id, a->number);
}

static const char *end_words(const struct answer_plan *plan)
{
    return plan->end == END_CLOSE ? "Connection: close\r\n" : "";
}

static void write_head(struct bytes *out, const struct attempt *a)
{
    const struct answer_plan *plan = a->plan;
    static const struct body_plan empty = {.framing = FRAMING_LENGTH};
    bool bodiless = plan->status == 204 || plan->status == 304;
    bytes_print(out, "HTTP/1.1 %u %s\r\n", plan->status, plan->body.odd ? "" : "As Planned");
    write_name(out, a);
    bytes_print(out, "%s", end_words(plan));
    if (plan->status == 426)
        bytes_print(out, "Upgrade: websocket\r\n");
    if (plan->body.framing != FRAMING_NONE)
        h1_write_framing(out, &plan->body);
    else if (!bodiless && !plan_is_head(&a->exchange->plan))
        h1_write_framing(out, &empty);
    bytes_add(out, "\r\n", 2);
}

static void write_switch(struct bytes *out, const struct attempt *a, const char *accept)
{
    unsigned protocol = a->exchange->plan.tunnel.protocol;
    bytes_print(out, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n",
                protocols[protocol]);
    if (protocol == PROTOCOL_WEBSOCKET_ROW)
        bytes_print(out, "Sec-WebSocket-Accept: %s\r\n", accept);
    write_name(out, a);
    bytes_add(out, "\r\n", 2);
}

static void write_malformed(struct bytes *out, const struct attempt *a, bool *late)
{
    char answer[24];
    (void)snprintf(answer, sizeof answer, "%016" PRIx64 "-%02x", a->exchange->id, a->number);
    malformed_print(out, malformed_answer(false, a->plan->bad, late),
                    &(struct malformed_names){.id = "", .answer = answer, .host = "", .mirror = ""});
}

static void write_interims(struct bytes *out, struct attempt *a)
{
    if (a->plan->continues && a->exchange->plan.expects)
        bytes_print(out, "HTTP/1.1 100 Continue\r\n\r\n");
    while (a->interims_sent < a->plan->interims) {
        bytes_print(out, "HTTP/1.1 %s\r\nX-Interim: %" PRIu64 "\r\nLink: </a.css>\r\n",
                    a->interims_sent % 2 == 0 ? "103 Early Hints" : "102 Processing", a->interims_sent + 1);
        a->interims_sent++;
        write_name(out, a);
        bytes_add(out, "\r\n", 2);
    }
}

/* ---- the end ---- */

/* From now on the exchange may end in any way that shows it. */
static bool decide_cut(struct server_h1 *server)
{
    server->step = SERVER_CUTS;
    server->attempt->failed = server->attempt->exchange->was_reset = true;
    return true;
}

static void cut(struct server_h1 *server)
{
    struct attempt *a = server->attempt;
    server->step = SERVER_OVER;
    /* In the clear a FIN is an end, whatever was meant. */
    a->torn = a->tunnels && (a->plan->cut.reset || server->link.ssl != NULL);
    if (a->plan->cut.reset) {
        link_reset(&server->link);
        server->attempt = NULL;
        attempt_over(a);
        return;
    }
    server->discards = server->link.bare = true;
    link_finish(&server->link);
}

static bool waits_with_cut(struct server_h1 *server)
{
    struct timeval wait = {.tv_usec = CUT_LATE_MS * 1000};
    if (server->attempt->plan->cut.late && !server->late) {
        server->late = server->delayed = true;
        evtimer_add(&server->delay, &wait);
    }
    return server->delayed;
}

/* The answer is written whole. */
static void answered(struct server_h1 *server)
{
    static const char surplus[] = "HTTP/1.1 200 OK\r\nX-Smuggled: 1\r\nContent-Length: 0\r\n\r\n";
    struct attempt *a = server->attempt;
    a->ended = true;
    exchange_touch(a->exchange);
    server->step = SERVER_WAITS;
    if (a->plan->end == END_SURPLUS) {
        server->surplus = true;
        bytes_add(&server->link.out, surplus, sizeof surplus - 1);
    }
    if (a->plan->body.framing == FRAMING_CLOSE || a->plan->end == END_CLOSE || a->plan->leaves) {
        server->discards = true;
        server->step = SERVER_OVER;
        link_finish(&server->link);
    } else if (a->plan->end == END_SILENT && a->whole) {
        server->ended = true;
        link_finish(&server->link);
    }
    if (a->whole && !server->discards)
        server_h1_next(server);
}

/* ---- the answer ---- */

static bool is_due(const struct server_h1 *server)
{
    const struct attempt *a = server->attempt;
    if (a == NULL || a->ended || server->delayed)
        return false;
    if (a->whole || a->plan->begin == BEGIN_HEAD)
        return true;
    return a->plan->begin == BEGIN_MIDDLE && a->body_seen >= a->plan->begin_at;
}

static void note_begin(struct attempt *a)
{
    struct exchange *x = a->exchange;
    a->head_sent = true;
    exchange_touch(x);
    if (!x->ended && !a->copy && x->plan.kind == KIND_PLAIN)
        x->was_early = true;
    bool retried = a->plan->status >= 502 && a->plan->status <= 504;
    if (retried && methods[x->plan.method].idempotent && x->plan.kind == KIND_PLAIN)
        a->failed = true; /* weir may ask another server */
}

static void accept_key(const struct bytes *key, char accept[40])
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[128];
    unsigned char digest[SHA_DIGEST_LENGTH];
    size_t length = bytes_length(key) < 80 ? bytes_length(key) : 80;
    if (length != 0)
        memcpy(text, bytes_front(key), length);
    memcpy(text + length, magic, sizeof magic - 1);
    (void)EVP_Digest(text, length + sizeof magic - 1, digest, NULL, EVP_sha1(), NULL);
    (void)EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
}

/* Before all of the request is here no 101 counts: whoever takes it takes the rest for the tunnel's. */
static bool begin_tunnel(struct server_h1 *server)
{
    struct attempt *a = server->attempt;
    char accept[40];
    accept_key(&server->websocket_key, accept);
    write_switch(&server->link.out, a, accept);
    a->head_sent = true;
    exchange_touch(a->exchange);
    if (!a->whole) {
        a->failed = true;
        server->discards = true;
        server->step = SERVER_OVER;
        return true;
    }
    a->tunnels = true;
    server->step = SERVER_TUNNEL;
    server->reader.state = H1_RAW;
    if (!a->exchange->plan.tunnel.together)
        link_flush(&server->link);
    return true;
}

/* True: something was written, or the step is another. */
static bool begin_answer(struct server_h1 *server)
{
    struct attempt *a = server->attempt;
    struct bytes *out = &server->link.out;
    size_t before = bytes_length(out);
    bool late;
    if (!is_due(server))
        return false;
    server->link.piece = a->plan->piece;
    if (a->plan->cut.where == CUT_UNANSWERED) {
        return decide_cut(server);
    }
    if (a->plan->bad != 0) {
        write_malformed(out, a, &late);
        a->failed = a->head_sent = true;
        server->discards = true;
        server->step = SERVER_OVER;
        return true;
    }
    if (a->exchange->plan.kind == KIND_UPGRADE && a->exchange->plan.tunnel.accepted &&
        a->plan->cut.where == CUT_NOWHERE)
        return begin_tunnel(server);
    write_head(out, a);
    if (a->plan->cut.where == CUT_IN_HEAD && before + a->plan->cut.at < bytes_length(out)) {
        out->end = out->begin + before + a->plan->cut.at;
        return decide_cut(server);
    }
    note_begin(a);
    server->step = SERVER_BODY;
    return true;
}

static bool send_body(struct server_h1 *server)
{
    struct attempt *a = server->attempt;
    const struct body_plan *body = &a->plan->body;
    struct identity whose = {
        .id = a->exchange->id, .flow = FLOW_ANSWER, .flavour = body->flavour, .attempt = a->number};
    uint64_t most = plan_answer_has_body(&a->exchange->plan, a->plan) ? body->length - a->body_sent : 0;
    if (a->plan->cut.where == CUT_IN_BODY && a->plan->cut.at <= a->body_sent) {
        return decide_cut(server);
    }
    if (a->plan->cut.where == CUT_IN_BODY)
        most = a->plan->cut.at - a->body_sent;
    if (a->plan->holds && !a->whole && most != 0 && --most == 0)
        return false; /* the last byte waits for the request's */
    if (most != 0) {
        a->body_sent += h1_write_piece(&server->link.out, body, &whose, a->body_sent, most);
        exchange_touch(a->exchange);
        return true;
    }
    if (!plan_is_bodiless(&a->exchange->plan, a->plan))
        h1_write_end(&server->link.out, body, a->exchange->id);
    answered(server);
    return true;
}

static bool send_tunnel(struct server_h1 *server)
{
    struct attempt *a = server->attempt;
    const struct tunnel_plan *tunnel = &a->exchange->plan.tunnel;
    struct identity whose = {.id = a->exchange->id, .flow = FLOW_TUNNEL_DOWN, .flavour = tunnel->flavour};
    uint64_t left = tunnel->down - a->body_sent;
    if (a->ended)
        return false;
    if (tunnel->cut == 2 && a->body_sent >= tunnel->down / 2) {
        return decide_cut(server);
    }
    if (left == 0) {
        if (tunnel->ends == ENDS_CLIENT && !server->link.peer_end)
            return false;
        a->ended = true;
        link_finish(&server->link);
        return false;
    }
    size_t part = left < PIECE_MOST ? (size_t)left : PIECE_MOST;
    identity_fill(&whose, a->body_sent, bytes_reserve(&server->link.out, part), part);
    bytes_wrote(&server->link.out, part);
    a->body_sent += part;
    exchange_touch(a->exchange);
    return true;
}

static bool send_step(struct server_h1 *server)
{
    switch (server->step) {
    case SERVER_WAITS:
        return begin_answer(server);
    case SERVER_BODY:
        return send_body(server);
    case SERVER_CUTS:
        if (bytes_length(&server->link.out) == 0 && !waits_with_cut(server))
            cut(server);
        return false;
    case SERVER_TUNNEL:
        return send_tunnel(server);
    case SERVER_OVER:
        return false;
    }
    return false;
}

void server_h1_pump(struct server_h1 *server)
{
    struct link *link = &server->link;
    bool more = true;
    while (more && !link->dead && !link->shut) {
        while (!link->dead && bytes_length(&link->out) < PIECE_MOST && (more = send_step(server)))
            ;
        link_flush(link);
        more = !link->dead && bytes_length(&link->out) == 0 &&
               (more || (server->step == SERVER_CUTS && !server->delayed));
    }
}

void server_h1_begin(struct server_h1 *server)
{
    struct attempt *a = server->attempt;
    struct timeval wait = {.tv_usec = (long)a->plan->delay * 1000};
    server->delayed = a->plan->delay != 0;
    if (server->delayed)
        evtimer_add(&server->delay, &wait);
    write_interims(&server->link.out, a);
    server_h1_pump(server);
}
