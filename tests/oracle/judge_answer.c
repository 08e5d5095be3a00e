/* At the client: is this answer that of its own request, whole or visibly cut, and weir's own only where it
 * has to be? */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "oracle/identity.h"
#include "oracle/judge.h"
#include "oracle/malformed.h"
#include "oracle/message.h"
#include "oracle/report.h"
#include "oracle/trailers.h"

#define BODY_KEPT (60u << 10) /* somewhat less than retry.buffer */
#define INTERIMS_PASSED 8u    /* limits.interim_responses */

static bool is_malformed(const struct plan *plan)
{
    return plan->kind == KIND_BAD_HEAD || plan->kind == KIND_BAD_BODY || plan->kind == KIND_CONNECT;
}

/* The attempt that an answer names. NULL, and *said: what is wrong; NULL and *said NULL: it names none. */
static struct attempt *attempt_named(struct exchange *x, const struct message *message, const char **said)
{
    unsigned count;
    uint64_t id = 0;
    unsigned number = 0;
    char text[24];
    struct span name = message_field(message, "x-oracle", &count);
    *said = NULL;
    (void)message_field(message, "x-smuggled", &number);
    if (number != 0 || count > 1) {
        *said = "an answer that no server gave";
        return NULL;
    }
    if (count == 0)
        return NULL;
    *said = "an answer of another";
    if (name.length >= sizeof text)
        return NULL;
    memcpy(text, name.at, name.length);
    text[name.length] = 0;
    if (sscanf(text, "%16" SCNx64 "-%2x", &id, &number) != 2 || id != x->id || number == 0 ||
        number > x->attempts_count)
        return NULL;
    *said = NULL;
    return &x->attempts[number - 1];
}

bool judge_explains(const struct exchange *x)
{
    bool failed = x->attempts_count != 0 && x->attempts[x->attempts_count - 1].failed;
    for (unsigned i = 0; i < x->attempts_count && x->plan.hedged; i++)
        failed = failed || x->attempts[i].failed;
    /* What was sent behind a GOAWAY goes out again twice, unless its body was not kept. */
    uint64_t goaways = exchange_goaways[x->plan.tls_out] - x->goaways_before[x->plan.tls_out];
    bool behind = x->plan.http2_out && goaways > (x->plan.body.length > BODY_KEPT ? 0 : 2);
    return failed || behind || x->stale || x->failed;
}

/* weir's own answers are for those who said something wrong, and for the failures of servers. */
static bool judge_own(struct exchange *x, const struct message *message)
{
    x->status = (uint16_t)message->status;
    bool malformed = is_malformed(&x->plan);
    if (malformed && message->status >= 400 && message->status <= 505) {
        x->gave_up = true; /* what of it went to a server may end in any way */
        return true;
    }
    bool too_large = plan_is_over_limit(&x->plan) && message->status == 413 &&
                     (x->forbidden || x->body_sent > LIMIT_BYTES);
    if (too_large) {
        x->gave_up = true; /* the same; only its end may never come there */
        return true;
    }
    if (malformed || message->status < 502 || message->status > 504) {
        report_fault(FAULT_OWN, x, x->link, "weir itself answered %u", message->status);
        return false;
    }
    if (!judge_explains(x))
        report_suspect(FAULT_OWN, x, "weir itself answered %u", message->status);
    return true;
}

static const char *length_differs(const struct attempt *a, const struct message *message)
{
    const struct body_plan *body = &a->plan->body;
    bool has_body = !plan_is_bodiless(&a->exchange->plan, a->plan);
    if (message->length == LENGTH_UNKNOWN)
        return body->framing == FRAMING_LENGTH && has_body && !a->plan->bad ? "no length" : NULL;
    if (body->framing == FRAMING_LENGTH || body->length == 0 || body->framing == FRAMING_NONE)
        return message->length == (body->framing == FRAMING_NONE ? 0 : body->length) ? NULL
                                                                                     : "another length";
    return "a length that nobody sent";
}

static bool judge_of_server(struct exchange *x, struct attempt *a, const struct message *message)
{
    bool late = true;
    if (a->plan->bad)
        (void)malformed_answer(x->plan.http2_out, a->plan->bad, &late);
    if (!a->head_sent || (a->number != x->attempts_count && !x->plan.hedged) || !late) {
        report_fault(FAULT_ALIEN, x, x->link, "an answer of attempt %u of %u%s", a->number, x->attempts_count,
                     late ? "" : ", which was malformed");
        return false;
    }
    unsigned status = !a->tunnels ? a->plan->status : x->plan.http2_in ? 200 : 101;
    const char *wrong = NULL;
    if (a->plan->bad == 0 && message->status != status)
        wrong = "another status";
    else if (a->plan->bad == 0 && !a->tunnels)
        wrong = length_differs(a, message);
    if (wrong != NULL) {
        report_fault(FAULT_CHANGED, x, x->link, "the answer has %s", wrong);
        return false;
    }
    x->status = (uint16_t)message->status;
    x->answered = a;
    x->tunnels = a->tunnels;
    return true;
}

bool judge_answer(struct exchange *x, const struct message *message)
{
    const char *said;
    struct attempt *a = attempt_named(x, message, &said);
    exchange_touch(x);
    if (said != NULL) {
        report_fault(FAULT_ALIEN, x, x->link, "%s", said);
        return false;
    }
    if (x->status != 0) {
        report_fault(FAULT_ALIEN, x, x->link, "a second answer, %u after %u", message->status, x->status);
        return false;
    }
    return a != NULL ? judge_of_server(x, a, message) : judge_own(x, message);
}

/* ---- interim answers ---- */

static bool some_attempt_continued(const struct exchange *x)
{
    for (unsigned i = 0; i < x->attempts_count; i++)
        if (x->attempts[i].plan->continues)
            return true;
    return false;
}

static bool judge_continue(struct exchange *x)
{
    if (++x->continues_seen == 1 && x->plan.expects && some_attempt_continued(x))
        return true;
    report_fault(FAULT_MADE_UP, x, x->link, "a 100 that is not for it, or its second");
    return false;
}

bool judge_interim(struct exchange *x, const struct message *message)
{
    const char *said;
    unsigned count;
    uint64_t number;
    exchange_touch(x);
    struct attempt *a = attempt_named(x, message, &said);
    if (said == NULL && message->status == 100)
        return judge_continue(x);
    /* One that has ended its side is asked whether it is still there. */
    if (said == NULL && a == NULL && message->status == 102 && x->half_closed)
        return true;
    if (a != x->interims_of)
        x->interims_seen = 0;
    x->interims_of = a;
    bool numbered = span_number(message_field(message, "x-interim", &count), &number);
    if (said != NULL || a == NULL || !numbered || number > a->interims_sent || number <= x->interims_seen ||
        x->plan.old) {
        report_fault(FAULT_ALIEN, x, x->link, "an interim answer %u that is not its own", message->status);
        return false;
    }
    x->interims_seen = (unsigned)number;
    return true;
}

/* ---- the body ---- */

bool judge_answer_body(struct exchange *x, const char *bytes, size_t length)
{
    const struct attempt *a = x->answered;
    exchange_touch(x);
    if (a == NULL || a->plan->bad != 0)
        return true; /* a page of weir's own */
    struct identity whose = {
        .id = x->id, .flow = FLOW_ANSWER, .flavour = a->plan->body.flavour, .attempt = a->number};
    if (x->body_seen + length > a->body_sent) {
        report_fault(FAULT_ALIEN, x, x->link,
                     "the client got %zu bytes at %" PRIu64 ", %" PRIu64 " were sent", length, x->body_seen,
                     a->body_sent);
        return false;
    }
    size_t same = identity_match(&whose, x->body_seen, bytes, length);
    if (same != length) {
        report_fault(FAULT_ALIEN, x, x->link, "byte %" PRIu64 " of the answer's body is not its own",
                     x->body_seen + same);
        return false;
    }
    x->body_seen += length;
    return true;
}

static const char *end_is_wrong(const struct exchange *x, const struct attempt *a)
{
    const struct body_plan *body = &a->plan->body;
    uint32_t length = plan_answer_has_body(&x->plan, a->plan) ? body->length : 0;
    if (a->plan->bad != 0)
        return "of a malformed answer";
    /* Over HTTP/2 an end may come behind the last byte of a length, which is an end itself. */
    if (!a->ended && !(body->framing == FRAMING_LENGTH && a->body_sent == length && length != 0))
        return "of an answer that was not over";
    return x->body_seen == length ? NULL : "too early";
}

/* Those of all attempts count against the bound. */
static bool interims_are_missing(const struct exchange *x, const struct attempt *a)
{
    uint64_t all = 0, seen = x->interims_of == a ? x->interims_seen : 0;
    for (unsigned i = 0; i < x->attempts_count; i++)
        all += x->attempts[i].interims_sent + 1; /* and perhaps a 100 */
    return !x->plan.old && all <= INTERIMS_PASSED && seen != a->interims_sent;
}

bool judge_answer_end(struct exchange *x, const struct message *trailers)
{
    const struct attempt *a = x->answered;
    exchange_touch(x);
    x->whole = true;
    if (a == NULL)
        return true;
    const char *wrong = end_is_wrong(x, a);
    if (wrong != NULL) {
        report_fault(FAULT_MADE_UP, x, x->link, "the client saw an end %s, after %" PRIu64 " bytes", wrong,
                     x->body_seen);
        return false;
    }
    bool lost = a->plan->body.framing != FRAMING_CHUNKED || x->plan.old;
    wrong = trailers_differ(trailers, &a->plan->body, x->id, lost);
    if (wrong == NULL && interims_are_missing(x, a))
        wrong = "interim answers are missing";
    if (wrong != NULL)
        report_fault(FAULT_CHANGED, x, x->link, "the answer's trailers: %s", wrong);
    return wrong == NULL;
}

void judge_client_gone(struct exchange *x, const char *how)
{
    const struct attempt *a = x->answered;
    bool too_large = plan_is_over_limit(&x->plan) && x->body_sent > LIMIT_BYTES;
    bool may_be = x->over || x->gave_up || x->failed || x->whole || too_large;
    const struct attempt *last = x->attempts_count != 0 ? &x->attempts[x->attempts_count - 1] : NULL;
    if (!may_be && x->status != 0)
        may_be = a != NULL && a->failed;
    else if (!may_be) /* of an answer that was cut soon the head may be lost with it */
        may_be =
            (x->plan.http2_in && is_malformed(&x->plan)) || (last != NULL && last->failed && last->head_sent);
    if (!may_be)
        report_fault(FAULT_CUT, x, x->link, "%s", how);
    if (is_malformed(&x->plan))
        x->gave_up = true; /* what of it went to a server may end in any way */
    exchange_client_over(x);
}

/* ---- tunnels ---- */

static bool judge_tunnel(struct exchange *x, struct link *link, enum flow flow, uint64_t sent, uint64_t *seen,
                         struct span bytes)
{
    struct identity whose = {.id = x->id, .flow = (uint8_t)flow, .flavour = x->plan.tunnel.flavour};
    exchange_touch(x);
    size_t same = identity_match(&whose, *seen, bytes.at, bytes.length);
    if (*seen + bytes.length > sent || same != bytes.length) {
        report_fault(flow == FLOW_TUNNEL_UP ? FAULT_UNSENT : FAULT_ALIEN, x, link,
                     "byte %" PRIu64 " of the tunnel is not its own (%" PRIu64 " were sent)", *seen + same,
                     sent);
        return false;
    }
    *seen += bytes.length;
    return true;
}

bool judge_tunnel_down(struct exchange *x, const char *bytes, size_t length)
{
    return judge_tunnel(x, x->link, FLOW_TUNNEL_DOWN, x->answered->body_sent, &x->body_seen,
                        (struct span){bytes, length});
}

bool judge_tunnel_up(struct attempt *a, const char *bytes, size_t length)
{
    return judge_tunnel(a->exchange, a->link, FLOW_TUNNEL_UP, a->exchange->up_sent, &a->up_seen,
                        (struct span){bytes, length});
}

bool judge_tunnel_down_end(struct exchange *x)
{
    exchange_touch(x);
    const struct attempt *a = x->answered;
    bool torn = a->torn && !x->gave_up && !x->failed;
    if (!torn && (x->gave_up || x->failed || a->failed || (a->ended && x->body_seen == a->body_sent)))
        return true;
    report_fault(a->ended ? FAULT_CUT : FAULT_MADE_UP, x, x->link,
                 "the client saw the tunnel's end after %" PRIu64 " of %u bytes", x->body_seen,
                 x->plan.tunnel.down);
    return false;
}

bool judge_tunnel_up_end(struct attempt *a)
{
    struct exchange *x = a->exchange;
    exchange_touch(x);
    bool torn = x->torn && !a->failed && !x->failed;
    if (!torn && (x->gave_up || x->failed || a->failed || (x->ended && a->up_seen == x->up_sent)))
        return true;
    report_fault(x->ended ? FAULT_CUT : FAULT_MADE_UP, x, a->link,
                 "the server saw the tunnel's end after %" PRIu64 " of %u bytes", a->up_seen,
                 x->plan.tunnel.up);
    return false;
}
