/* What a server of HTTP/2 answers, and when. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "oracle/identity.h"
#include "oracle/malformed.h"
#include "oracle/report.h"
#include "oracle/server_h2.h"

#define CUT_LATE_MS 3

static ssize_t defer(struct h2_answer *answer)
{
    answer->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
}

static void resume(struct h2_answer *answer)
{
    if (!answer->deferred)
        return;
    answer->deferred = false;
    (void)nghttp2_session_resume_data(answer->server->h2.session, answer->id);
}

/* From now on the exchange may end in any way that shows it. */
static void decide_cut(struct h2_answer *answer, uint32_t error)
{
    answer->cuts = true;
    answer->error = error;
    answer->attempt->failed = answer->attempt->exchange->was_reset = true;
}

/* ---- bodies ---- */

static ssize_t end_body(struct h2_answer *answer, uint32_t *flags)
{
    struct attempt *a = answer->attempt;
    const struct body_plan *body = &a->plan->body;
    struct h2_names names = {0};
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    a->ended = true;
    answer->server->leaves = answer->server->leaves || a->plan->end == END_CLOSE;
    exchange_touch(a->exchange);
    h2_put_trailers(&names, body, a->exchange->id);
    if (names.count != 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        (void)nghttp2_submit_trailer(answer->server->h2.session, answer->id, names.items, names.count);
    }
    /* The rest of a request that it has answered it does not want. */
    if (a->plan->leaves && !a->whole) {
        answer->cuts = true;
        answer->error = NGHTTP2_NO_ERROR;
    }
    return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *owner)
{
    struct h2_answer *answer = source->ptr;
    struct attempt *a = answer->attempt;
    (void)session;
    (void)id;
    (void)owner;
    if (a == NULL || answer->cuts)
        return defer(answer);
    const struct body_plan *body = &a->plan->body;
    struct identity whose = {
        .id = a->exchange->id, .flow = FLOW_ANSWER, .flavour = body->flavour, .attempt = a->number};
    uint64_t part = body->length - a->body_sent;
    if (a->plan->cut.where == CUT_IN_BODY) {
        if (a->body_sent >= a->plan->cut.at) {
            decide_cut(answer, NGHTTP2_INTERNAL_ERROR);
            return defer(answer);
        }
        part = a->plan->cut.at - a->body_sent;
    }
    if (a->plan->holds && !a->whole && part != 0 && --part == 0)
        return defer(answer); /* the last byte waits for the request's */
    if (part == 0)
        return end_body(answer, flags);
    if (body->odd && a->body_sent == 0 && draw_permille(&answer->server->draw, 100))
        return 0; /* an empty frame */
    part = part < body->piece ? part : body->piece;
    part = part < room ? part : room;
    identity_fill(&whose, a->body_sent, (char *)to, (size_t)part);
    a->body_sent += part;
    exchange_touch(a->exchange);
    if (a->body_sent == body->length && body->trailers == 0 && !body->bad_trailers && !body->odd)
        (void)end_body(answer, flags);
    return (ssize_t)part;
}

static ssize_t read_tunnel(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                           nghttp2_data_source *source, void *owner)
{
    struct h2_answer *answer = source->ptr;
    struct attempt *a = answer->attempt;
    (void)session;
    (void)id;
    (void)owner;
    if (a == NULL || answer->cuts)
        return defer(answer);
    const struct tunnel_plan *tunnel = &a->exchange->plan.tunnel;
    struct identity whose = {.id = a->exchange->id, .flow = FLOW_TUNNEL_DOWN, .flavour = tunnel->flavour};
    uint64_t left = tunnel->down - a->body_sent;
    if (tunnel->cut == 2 && a->body_sent >= tunnel->down / 2) {
        decide_cut(answer, NGHTTP2_CONNECT_ERROR);
        return defer(answer);
    }
    if (left == 0) {
        if (tunnel->ends == ENDS_CLIENT && !answer->up_ended)
            return defer(answer);
        a->ended = true;
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return 0;
    }
    size_t part = left < room ? (size_t)left : room;
    identity_fill(&whose, a->body_sent, (char *)to, part);
    a->body_sent += part;
    exchange_touch(a->exchange);
    return (ssize_t)part;
}

static ssize_t read_malformed(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                              nghttp2_data_source *source, void *owner)
{
    struct h2_answer *answer = source->ptr;
    size_t left = bytes_length(&answer->malformed) - answer->malformed_at;
    size_t part = left < room ? left : room;
    (void)owner;
    memcpy(to, bytes_front(&answer->malformed) + answer->malformed_at, part);
    answer->malformed_at += part;
    if (part == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (part == left && answer->malformed_trailers.count != 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        (void)nghttp2_submit_trailer(session, id, answer->malformed_trailers.items,
                                     answer->malformed_trailers.count);
    }
    return (ssize_t)part;
}

/* ---- heads ---- */

static void put_name(struct h2_names *names, const struct attempt *a)
{
    h2_put(names, "x-oracle", "%016" PRIx64 "-%02x", a->exchange->id, a->number);
}

static void submit_malformed(struct h2_answer *answer)
{
    struct attempt *a = answer->attempt;
    struct h2_names names = {0};
    nghttp2_data_provider body = {.source.ptr = answer, .read_callback = read_malformed};
    char name[24];
    bool late;
    (void)snprintf(name, sizeof name, "%016" PRIx64 "-%02x", a->exchange->id, a->number);
    malformed_print(&answer->malformed, malformed_answer(true, a->plan->bad, &late),
                    &(struct malformed_names){.id = "", .answer = name, .host = "", .mirror = ""});
    h2_put_malformed(&names, &answer->malformed_trailers, &answer->malformed, &answer->malformed_at);
    (void)nghttp2_submit_response(answer->server->h2.session, answer->id, names.items, names.count, &body);
    a->failed = a->head_sent = true;
}

static void submit_switch(struct h2_answer *answer)
{
    struct attempt *a = answer->attempt;
    struct h2_names names = {0};
    nghttp2_data_provider body = {.source.ptr = answer, .read_callback = read_tunnel};
    h2_put(&names, ":status", "200");
    put_name(&names, a);
    (void)nghttp2_submit_response(answer->server->h2.session, answer->id, names.items, names.count, &body);
    a->head_sent = a->tunnels = true;
    exchange_touch(a->exchange);
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

/* A head, and trailers at once: no DATA stands between. */
static void submit_without_body(struct h2_answer *answer, const struct h2_names *names)
{
    struct h2_names trailers = {0};
    nghttp2_session *session = answer->server->h2.session;
    (void)nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, answer->id, NULL, names->items, names->count,
                                 NULL);
    h2_put_trailers(&trailers, &answer->attempt->plan->body, answer->attempt->exchange->id);
    (void)nghttp2_submit_trailer(session, answer->id, trailers.items, trailers.count);
}

static void submit_answer(struct h2_answer *answer)
{
    struct attempt *a = answer->attempt;
    const struct answer_plan *plan = a->plan;
    const struct exchange *x = a->exchange;
    struct h2_names names = {0};
    nghttp2_data_provider body = {.source.ptr = answer, .read_callback = read_body};
    bool bodiless = plan_is_bodiless(&x->plan, plan) || plan->body.framing == FRAMING_NONE;
    h2_put(&names, ":status", "%u", plan->status);
    put_name(&names, a);
    if (plan->body.framing == FRAMING_LENGTH)
        h2_put(&names, "content-length", "%u", plan->body.length);
    bool trailers_only = !bodiless && plan->body.length == 0 && plan->body.framing == FRAMING_CHUNKED &&
                         (plan->body.trailers != 0 || plan->body.bad_trailers) && !plan->body.odd;
    if (trailers_only)
        submit_without_body(answer, &names);
    else
        (void)nghttp2_submit_response(answer->server->h2.session, answer->id, names.items, names.count,
                                      bodiless ? NULL : &body);
    note_begin(a);
    answer->server->leaves = answer->server->leaves || plan->goes != GOES_NOT;
    answer->server->in_two = answer->server->in_two || plan->goes == GOES_IN_TWO;
    if (bodiless || trailers_only) {
        a->ended = true;
        answer->cuts = plan->leaves && !a->whole;
        answer->error = NGHTTP2_NO_ERROR;
    }
}

static void submit_interims(struct h2_answer *answer)
{
    struct attempt *a = answer->attempt;
    nghttp2_session *session = answer->server->h2.session;
    if (a->plan->continues && a->exchange->plan.expects) {
        struct h2_names names = {0};
        h2_put(&names, ":status", "100");
        (void)nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, answer->id, NULL, names.items, names.count,
                                     NULL);
    }
    while (a->interims_sent < a->plan->interims) {
        struct h2_names names = {0};
        h2_put(&names, ":status", a->interims_sent % 2 == 0 ? "103" : "102");
        put_name(&names, a);
        h2_put(&names, "x-interim", "%" PRIu64, ++a->interims_sent);
        (void)nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, answer->id, NULL, names.items, names.count,
                                     NULL);
    }
}

/* ---- when ---- */

static bool is_due(const struct h2_answer *answer)
{
    const struct attempt *a = answer->attempt;
    if (answer->begun || answer->delayed)
        return false;
    if (a->whole || a->plan->begin == BEGIN_HEAD)
        return true;
    return a->plan->begin == BEGIN_MIDDLE && a->body_seen >= a->plan->begin_at;
}

static void refuse(struct h2_answer *answer)
{
    decide_cut(answer, NGHTTP2_REFUSED_STREAM);
    answer->attempt->unprocessed = true;
}

void server_h2_look(struct h2_answer *answer)
{
    static const uint32_t errors[] = {NGHTTP2_INTERNAL_ERROR, NGHTTP2_CANCEL, NGHTTP2_PROTOCOL_ERROR,
                                      NGHTTP2_ENHANCE_YOUR_CALM};
    struct attempt *a = answer->attempt;
    const struct plan *plan = &a->exchange->plan;
    if (!is_due(answer)) {
        resume(answer);
        return;
    }
    answer->begun = true;
    if (a->plan->cut.where == CUT_REFUSED)
        refuse(answer);
    else if (a->plan->cut.where == CUT_UNANSWERED)
        decide_cut(answer, errors[a->exchange->id % 4]);
    else if (a->plan->bad != 0)
        submit_malformed(answer);
    else if (plan->kind == KIND_UPGRADE && plan->tunnel.accepted && a->plan->cut.where == CUT_NOWHERE)
        submit_switch(answer);
    else
        submit_answer(answer);
}

void server_h2_begin(struct h2_answer *answer)
{
    struct timeval wait = {.tv_usec = (long)answer->attempt->plan->delay * 1000};
    answer->delayed = wait.tv_usec != 0;
    if (answer->delayed)
        evtimer_add(&answer->delay, &wait);
    submit_interims(answer);
    server_h2_look(answer);
}

/* ---- all ---- */

/* GOAWAY, so that everything behind this stream counts as not processed. */
static void say_goaway(struct server_h2 *server, int32_t last)
{
    if (server->goes)
        return;
    server->goes = true;
    exchange_goaways[server->pool >= 2]++;
    if (server->in_two) /* the real one comes when it ends */
        (void)nghttp2_submit_shutdown_notice(server->h2.session);
    else
        (void)nghttp2_submit_goaway(server->h2.session, 0, last, NGHTTP2_NO_ERROR, NULL, 0);
}

/* All that it was asked it has answered. */
static void finish(struct server_h2 *server)
{
    if (server->in_two) {
        server->in_two = false;
        exchange_goaways[server->pool >= 2]++;
        (void)nghttp2_submit_goaway(server->h2.session, 0, server->last_id, NGHTTP2_NO_ERROR, NULL, 0);
        h2_flush(&server->h2);
    }
    if (!server->link.dead)
        link_finish(&server->link);
}

static bool waits_with_cut(struct h2_answer *answer)
{
    struct timeval wait = {.tv_usec = CUT_LATE_MS * 1000};
    if (answer->attempt->failed && answer->attempt->plan->cut.late && !answer->late) {
        answer->late = answer->delayed = true;
        evtimer_add(&answer->delay, &wait);
    }
    return answer->delayed;
}

static bool cut_one(struct server_h2 *server)
{
    for (unsigned i = 0; i < server->count; i++) {
        struct h2_answer *answer = server->streams[i];
        struct attempt *a = answer->attempt;
        if (!answer->cuts || waits_with_cut(answer))
            continue;
        answer->cuts = false;
        a->torn = a->tunnels;
        if (a->plan->cut.reset && a->failed && !a->unprocessed) {
            server_h2_end(server);
            return false;
        }
        (void)nghttp2_submit_rst_stream(server->h2.session, 0, answer->id, answer->error);
        return true;
    }
    return false;
}

/* It is written at once, before any other stream can come, or that one would be closed as not processed. */
static void look_at_end(struct server_h2 *server)
{
    if (!server->leaves || server->goes)
        return;
    say_goaway(server, server->last_id);
    h2_flush(&server->h2);
}

void server_h2_pump(struct server_h2 *server)
{
    struct link *link = &server->link;
    if (server->ended)
        return;
    do {
        h2_flush(&server->h2);
        if (!link->dead && bytes_length(&link->out) == 0)
            look_at_end(server);
    } while (!link->dead && bytes_length(&link->out) == 0 && cut_one(server));
    if (!link->dead && server->goes && server->count == 0 && bytes_length(&link->out) == 0)
        finish(server);
}
