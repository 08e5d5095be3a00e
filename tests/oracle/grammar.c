/* Draws the plan of an exchange. Shares are of a thousand. */
#include <string.h>

#include "oracle/draw.h"
#include "oracle/identity.h"
#include "oracle/malformed.h"
#include "oracle/plan.h"
#include "oracle/settings.h"

const struct method methods[] = {
    {"GET", true, 400, 120},   {"HEAD", true, 90, 50},       {"POST", false, 250, 950},
    {"PUT", true, 120, 950},   {"OPTIONS", true, 30, 100},   {"DELETE", true, 50, 200},
    {"PATCH", false, 25, 950}, {"PROPFIND", false, 15, 400}, {"x!odd~", false, 10, 400},
    {"Odd", false, 10, 100},   {NULL, false, 0, 0},
};

const char *const protocols[PROTOCOLS] = {"websocket", "tcp", "SPDY/3.1"};

static uint8_t draw_method(struct draw *draw)
{
    uint32_t pick = draw_below(draw, 1000);
    uint8_t row = 0;
    while (pick >= methods[row].weight)
        pick -= methods[row++].weight;
    return row;
}

static uint32_t draw_length(struct draw *draw)
{
    static const struct {
        uint16_t share;
        uint32_t least, most;
    } sizes[] = {{70, 0, 0},         {350, 1, 100},      {420, 100, 4000},
                 {120, 4000, 17000}, {30, 17000, 70000}, {10, 70000, 200000}};
    uint32_t pick = draw_below(draw, 1000), row = 0;
    while (pick >= sizes[row].share)
        pick -= sizes[row++].share;
    return draw_between(draw, sizes[row].least, sizes[row].most);
}

static uint32_t draw_piece(struct draw *draw, uint32_t length)
{
    uint32_t pick = draw_below(draw, 100);
    if (pick < 50)
        return 16384;
    if (pick < 80)
        return 1 + length / draw_between(draw, 1, 6);
    return length < 60 && pick < 90 ? draw_between(draw, 1, 3) : 1 + length / 7;
}

static void draw_body(struct draw *draw, struct body_plan *body)
{
    body->length = draw_length(draw);
    body->framing = draw_permille(draw, 500) ? FRAMING_LENGTH : FRAMING_CHUNKED;
    body->flavour = (uint8_t)draw_below(draw, FLAVOUR_COUNT);
    body->piece = draw_piece(draw, body->length);
    body->odd = draw_permille(draw, 150);
    if (body->framing == FRAMING_CHUNKED && draw_permille(draw, 250)) {
        body->trailers = (uint8_t)draw_between(draw, 1, 3);
        body->bad_trailers = draw_permille(draw, 300);
    }
}

static uint16_t draw_write_piece(struct draw *draw, uint32_t length)
{
    uint32_t pick = draw_below(draw, 1000);
    if (pick < 8 && length < 500)
        return (uint16_t)draw_between(draw, 1, 4);
    return pick < 60 ? (uint16_t)(length / 8 + draw_between(draw, 20, 200)) : 0;
}

/* ---- the request ---- */

static void draw_request(struct draw *draw, struct plan *plan)
{
    plan->method = draw_method(draw);
    if (draw_permille(draw, methods[plan->method].bodies))
        draw_body(draw, &plan->body);
    plan->noise = draw_permille(draw, 200) ? (uint16_t)draw_between(draw, 1, 1500) : 0;
    plan->holds_at = NEVER;
    if (plan->http2_in)
        return;
    plan->piece = draw_write_piece(draw, plan->body.length);
    plan->absolute = draw_permille(draw, 40);
    plan->old = plan->body.framing != FRAMING_CHUNKED && draw_permille(draw, 120);
    plan->says_keep_alive = plan->old && draw_permille(draw, 600);
    plan->says_close = !plan->says_keep_alive && draw_permille(draw, 25);
    plan->half_closes = draw_permille(draw, 8);
}

static void draw_expectation(struct draw *draw, struct plan *plan)
{
    plan->expects =
        plan->body.framing != FRAMING_NONE && plan->body.length != 0 && !plan->old && draw_permille(draw, 80);
    plan->waits = plan->expects && draw_permille(draw, 800);
}

static void draw_client_cut(struct draw *draw, struct plan *plan)
{
    plan->cut.reset = draw_permille(draw, plan->http2_in ? 60 : 500);
    plan->cut.answer_at = NEVER;
    uint32_t pick = draw_below(draw, 100);
    if (pick < 30 && plan->body.framing != FRAMING_NONE && plan->body.length != 0) {
        plan->cut.where = CUT_IN_BODY;
        plan->cut.at = draw_below(draw, plan->body.length);
    } else if (pick < 45 && !plan->http2_in) {
        plan->cut.where = CUT_IN_HEAD;
        plan->cut.at = draw_between(draw, 1, 60);
    } else {
        plan->cut.where = CUT_UNANSWERED;
        if (draw_permille(draw, 600))
            plan->cut.answer_at = draw_below(draw, 3000);
    }
}

/* ---- the answer ---- */

static uint16_t draw_status(struct draw *draw)
{
    static const uint16_t statuses[] = {200, 200, 200, 200, 201, 204, 206, 301, 304, 400, 401,
                                        403, 404, 404, 413, 417, 426, 429, 501, 505, 299, 599};
    return statuses[draw_below(draw, sizeof statuses / sizeof *statuses)];
}

bool plan_answer_has_body(const struct plan *plan, const struct answer_plan *answer)
{
    return !plan_is_bodiless(plan, answer) && answer->body.framing != FRAMING_NONE &&
           answer->body.length != 0;
}

/* What may not be so together is mended here. */
static void fit_answer(const struct plan *plan, struct answer_plan *answer)
{
    if (plan_is_bodiless(plan, answer)) {
        answer->body.trailers = 0;
        answer->body.bad_trailers = false;
        answer->holds = false;
        if (answer->body.framing == FRAMING_CLOSE || answer->status == 204)
            answer->body.framing = FRAMING_NONE;
    }
    /* Of a body that is not read nothing is wrong, nor of a length in an answer to CONNECT (RFC 9110 9.3.6).
     */
    if (plan_is_head(plan) || (plan->kind == KIND_UPGRADE && plan->http2_out))
        answer->bad = 0;
    if (answer->body.framing == FRAMING_CLOSE) {
        answer->end = END_CLOSE;
        /* In the clear its end would be that of the body. */
        answer->cut.reset = answer->cut.reset || !plan->tls_out;
    }
    if (answer->begin != BEGIN_WHOLE && answer->leaves)
        answer->end = END_CLOSE;
    /* They must come together with what they follow, and be read with it: small answers, in one write. */
    if (answer->end == END_SURPLUS) {
        answer->body.length %= 2000;
        answer->body.piece = 16384;
        answer->piece = 0;
        answer->holds = false;
    }
    if (!plan_answer_has_body(plan, answer) && answer->cut.where == CUT_IN_BODY)
        answer->cut.where = CUT_UNANSWERED;
    if (answer->cut.where == CUT_IN_BODY && answer->cut.at >= answer->body.length)
        answer->cut.at = answer->body.length / 2;
}

static void draw_answer_cut(struct draw *draw, const struct plan *plan, struct answer_plan *answer)
{
    struct cut *cut = &answer->cut;
    uint32_t pick = draw_below(draw, 100);
    cut->reset = draw_permille(draw, plan->http2_out ? 60 : 500);
    cut->late = draw_permille(draw, 500);
    if (pick < 25 && plan->http2_out) {
        cut->where = CUT_REFUSED;
    } else if (pick < 55) {
        cut->where = CUT_UNANSWERED;
    } else if (pick < 70 && !plan->http2_out) {
        cut->where = CUT_IN_HEAD;
        cut->at = draw_between(draw, 1, 60);
    } else {
        cut->where = CUT_IN_BODY;
        cut->at = answer->body.length != 0 ? draw_below(draw, answer->body.length) : 0;
    }
}

static void draw_answer(struct draw *draw, const struct plan *plan, struct answer_plan *answer)
{
    answer->status = draw_status(draw);
    draw_body(draw, &answer->body);
    answer->delay = draw_permille(draw, 20) ? (uint16_t)draw_between(draw, 1, 15) : 0;
    answer->continues = draw_permille(draw, 750);
    if (draw_permille(draw, 30)) { /* nothing but a head and what stands behind a body */
        answer->body.framing = FRAMING_CHUNKED;
        answer->body.length = 0;
        answer->body.trailers = (uint8_t)draw_between(draw, 1, 3);
    }
    if (draw_permille(draw, 80))
        answer->interims = (uint8_t)(draw_permille(draw, 30) ? 12 : draw_between(draw, 1, 3));
    if (plan->http2_out) {
        uint32_t pick = draw_below(draw, 1000);
        answer->end = pick < 4 ? END_CLOSE : END_KEEP;
        answer->goes = pick >= 8 ? GOES_NOT : pick < 4 ? GOES_NOT : pick < 6 ? GOES_AT_ONCE : GOES_IN_TWO;
        return;
    }
    answer->piece = draw_write_piece(draw, answer->body.length);
    if (draw_permille(draw, 60))
        answer->body.framing = FRAMING_CLOSE;
    uint32_t pick = draw_below(draw, 1000);
    answer->end = pick < 60 ? END_CLOSE : pick < 85 ? END_SILENT : pick < 105 ? END_SURPLUS : END_KEEP;
}

/* Its end is that of the connection, and a cut comes instead, while the request is still being sent. */
static void make_cut_early(struct draw *draw, struct plan *plan)
{
    struct answer_plan *answer = &plan->answers[0];
    answer->body.framing = FRAMING_CLOSE;
    answer->body.trailers = 0;
    answer->body.bad_trailers = false;
    answer->cut = (struct cut){.where = CUT_IN_BODY, .late = draw_permille(draw, 500)};
    answer->cut.reset = !plan->tls_out || draw_permille(draw, 500); /* else an end that TLS does not say */
    answer->cut.at = answer->body.length != 0 ? draw_below(draw, answer->body.length) : 0;
    plan->gives_up = false;
    if (!plan->http2_in)
        plan->piece = (uint16_t)draw_between(draw, 50, 2000);
}

/* An answer before the request is whole; mostly the client waits for it half-way, so that it surely is. */
static void make_early(struct draw *draw, struct plan *plan)
{
    if (plan->body.framing == FRAMING_NONE)
        plan->body.framing = plan->old || draw_permille(draw, 500) ? FRAMING_LENGTH : FRAMING_CHUNKED;
    if (plan->body.length < 2) {
        plan->body.length = draw_between(draw, 2, 3000);
        plan->body.piece = draw_piece(draw, plan->body.length);
    }
    plan->gives_up = draw_permille(draw, 300);
    uint32_t at = draw_below(draw, plan->body.length);
    if (draw_permille(draw, 850))
        plan->holds_at = at;
    for (unsigned i = 0; i < ANSWERS_MOST; i++) {
        struct answer_plan *answer = &plan->answers[i];
        answer->begin = draw_permille(draw, 600) ? BEGIN_HEAD : BEGIN_MIDDLE;
        answer->begin_at = at;
        answer->leaves = draw_permille(draw, 400);
        answer->holds = !answer->leaves && !plan->gives_up && draw_permille(draw, 400);
        answer->delay = 0;
    }
    if (!plan->http2_out && draw_permille(draw, 150))
        make_cut_early(draw, plan);
}

/* ---- tunnels ---- */

/* As docker exec has one: it comes before the tunnel, whose bytes begin behind it. Some servers answer
 * sooner. */
static void draw_tunnel_body(struct draw *draw, struct plan *plan)
{
    plan->method = METHOD_POST_ROW;
    draw_body(draw, &plan->body);
    plan->body.framing = FRAMING_LENGTH;
    plan->body.trailers = 0;
    plan->body.bad_trailers = false;
    plan->expects = plan->body.length != 0 && draw_permille(draw, 250);
    plan->waits = plan->expects && draw_permille(draw, 800);
    if (plan->body.length < 2 || draw_permille(draw, 750))
        return;
    plan->holds_at = draw_below(draw, plan->body.length);
    plan->tunnel.hasty = plan->tunnel.accepted;
    for (unsigned i = 0; i < ANSWERS_MOST; i++) {
        plan->answers[i].begin = draw_permille(draw, 600) ? BEGIN_HEAD : BEGIN_MIDDLE;
        plan->answers[i].begin_at = plan->holds_at;
        plan->answers[i].leaves = draw_permille(draw, 300);
        plan->answers[i].delay = 0;
    }
}

static void draw_tunnel(struct draw *draw, struct plan *plan)
{
    struct tunnel_plan *tunnel = &plan->tunnel;
    plan->method = METHOD_GET_ROW;
    plan->body = (struct body_plan){0};
    plan->old = plan->half_closes = plan->says_close = plan->says_keep_alive = plan->absolute = false;
    tunnel->accepted = draw_permille(draw, 600);
    tunnel->up = draw_length(draw);
    tunnel->down = draw_length(draw);
    tunnel->ends = (uint8_t)draw_below(draw, 3);
    tunnel->flavour = (uint8_t)draw_below(draw, FLAVOUR_COUNT);
    if (!plan->http2_in && !plan->http2_out && draw_permille(draw, 400))
        tunnel->protocol = (uint8_t)draw_between(draw, 1, PROTOCOLS - 1);
    tunnel->together = draw_permille(draw, 400);
    tunnel->cut = draw_permille(draw, 80) ? (uint8_t)draw_between(draw, 1, 2) : 0;
    if (draw_permille(draw, 250) && tunnel->up != 0)
        tunnel->early = draw_between(draw, 1, tunnel->up);
    bool body = tunnel->protocol != PROTOCOL_WEBSOCKET_ROW && draw_permille(draw, 500);
    for (unsigned i = 0; i < ANSWERS_MOST; i++) {
        /* Another 2xx to an extended CONNECT over HTTP/1 is a server's fault, over HTTP/2 a tunnel. */
        while (plan->answers[i].status < 300 && (plan->http2_in || plan->http2_out))
            plan->answers[i].status = draw_status(draw);
        plan->answers[i].begin = BEGIN_WHOLE;
        plan->answers[i].cut.reset = draw_permille(draw, 600);
    }
    if (body)
        draw_tunnel_body(draw, plan);
}

/* ---- hedges ---- */

/*
 * Many ask for it, few may have it: what changes nothing when it comes twice, and has no body. Which of both
 * answers it will be, the clock decides; so they have no interim answers, which would have to be those of the
 * one.
 */
static void draw_hedge(struct draw *draw, struct plan *plan)
{
    plan->asks_hedge = draw_permille(draw, 300);
    bool bodiless = plan->body.framing == FRAMING_NONE ||
                    (plan->body.framing == FRAMING_LENGTH && plan->body.length == 0);
    plan->hedged = plan->asks_hedge && bodiless && methods[plan->method].idempotent;
    for (unsigned i = 0; i < ANSWERS_MOST && plan->asks_hedge; i++) {
        plan->answers[i].interims = 0;
        plan->answers[i].delay = draw_permille(draw, 300) ? (uint16_t)draw_between(draw, 3, 20) : 0;
    }
}

/* ---- limits and copies ---- */

static void draw_limit(struct draw *draw, struct plan *plan)
{
    plan->limited = !plan->asks_hedge && plan->body.framing != FRAMING_NONE && draw_permille(draw, 80);
}

/* Of anything, be it that it must not be copied; to a pool that has requests of its own. */
static void draw_mirror(struct draw *draw, struct plan *plan)
{
    if (plan->asks_hedge || plan->limited || !draw_permille(draw, 250))
        return;
    unsigned own = pool_of(plan->http2_out, plan->tls_out), pool = draw_below(draw, settings.tls ? POOLS : 2);
    if (pool == own)
        return;
    struct plan other = *plan;
    other.http2_out = pool % 2 == 1;
    other.tls_out = pool >= 2;
    draw_answer(draw, &other, &plan->copy);
    if (draw_permille(draw, 80))
        draw_answer_cut(draw, &other, &plan->copy);
    else if (draw_permille(draw, 20))
        plan->copy.bad = (uint8_t)draw_between(draw, 1, 255);
    if (draw_permille(draw, 100))
        plan->copy.begin = BEGIN_HEAD;
    fit_answer(&other, &plan->copy);
    plan->mirror = (uint8_t)(pool + 1);
}

/* ---- the whole ---- */

static void draw_kind(struct draw *draw, struct plan *plan)
{
    uint32_t pick = draw_below(draw, 1000);
    plan->kind = pick < 105   ? KIND_UPGRADE
                 : pick < 125 ? KIND_CONNECT
                 : pick < 150 ? KIND_BAD_HEAD
                 : pick < 162 ? KIND_BAD_BODY
                              : KIND_PLAIN;
    unsigned rows = malformed_rows(plan);
    plan->variant = rows != 0 ? (uint8_t)draw_below(draw, rows) : 0;
}

void plan_draw(struct plan *plan, uint64_t seed, uint64_t number)
{
    struct draw draw = {.state = draw_mix(seed) ^ draw_mix(~number)};
    draw_kind(&draw, plan);
    draw_request(&draw, plan);
    if (plan->kind == KIND_BAD_BODY)
        plan->old = false; /* malformed.c has its text, which says HTTP/1.1 */
    for (unsigned i = 0; i < ANSWERS_MOST; i++)
        draw_answer(&draw, plan, &plan->answers[i]);
    if (plan->kind == KIND_UPGRADE)
        draw_tunnel(&draw, plan);
    if (plan->kind == KIND_PLAIN && draw_permille(&draw, 180))
        make_early(&draw, plan);
    if (plan->kind == KIND_PLAIN)
        draw_expectation(&draw, plan);
    if (plan->kind == KIND_PLAIN)
        draw_hedge(&draw, plan);
    if ((plan->kind == KIND_PLAIN || plan->kind == KIND_UPGRADE) && draw_permille(&draw, 35))
        draw_client_cut(&draw, plan);
    if (draw_permille(&draw, 50))
        draw_answer_cut(&draw, plan, &plan->answers[0]);
    else if (draw_permille(&draw, 12))
        plan->answers[0].bad = (uint8_t)draw_between(&draw, 1, 255);
    else if (draw_permille(&draw, 12))
        plan->answers[0].status = (uint16_t)draw_between(&draw, 502, 504);
    for (unsigned i = 0; i < ANSWERS_MOST; i++)
        fit_answer(plan, &plan->answers[i]);
    if (plan->kind == KIND_PLAIN)
        draw_limit(&draw, plan);
    draw_mirror(&draw, plan);
}
