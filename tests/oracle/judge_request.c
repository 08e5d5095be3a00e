/* At the server: is this request one that a client has really sent, as it was sent, and not more often than
 * it may be? */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "oracle/identity.h"
#include "oracle/judge.h"
#include "oracle/malformed.h"
#include "oracle/message.h"
#include "oracle/report.h"
#include "oracle/settings.h"
#include "oracle/trailers.h"

#define ID_LENGTH 16u
#define COPY_NUMBER 0xc0u

/* The number in /x/NUMBER or /x/NUMBER?..., `begins` being what stands before it; 0: there is none. */
static uint64_t id_of_path(struct span path, const char *begins)
{
    uint64_t id = 0;
    size_t skip = strlen(begins);
    if (path.length < skip + ID_LENGTH || memcmp(path.at, begins, skip) != 0)
        return 0;
    if (path.length > skip + ID_LENGTH && path.at[skip + ID_LENGTH] != '?')
        return 0;
    for (size_t i = skip; i < skip + ID_LENGTH; i++) {
        char c = path.at[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return 0;
        id = id * 16 + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return id;
}

/* Bytes that a client has sent for a tunnel before it had one are its next requests, when there is none. */
static bool is_of_refused_tunnel(struct span path)
{
    uint64_t id = id_of_path(path, "/smuggled/");
    const struct exchange *x = id != 0 ? exchange_find(id) : NULL;
    if (x == NULL || x->plan.kind != KIND_UPGRADE || x->up_sent == 0)
        return false;
    for (unsigned i = 0; i < x->attempts_count; i++)
        if (x->attempts[i].tunnels)
            return false;
    return true;
}

static bool says_id(const struct message *message, uint64_t id)
{
    char text[ID_LENGTH + 1];
    unsigned count;
    (void)snprintf(text, sizeof text, "%016" PRIx64, id);
    return span_is(message_field(message, "x-id", &count), text);
}

/* NULL: the method, and what an upgrade needs, are as they were sent. */
static const char *method_differs(const struct plan *plan, const struct message *message)
{
    unsigned count;
    struct span upgrade = message_field(message, "upgrade", &count);
    bool asks = message->http2 ? message->protocol.at != NULL : count != 0;
    if (plan->kind == KIND_BAD_BODY)
        return span_is(message->method, "POST") && !asks ? NULL : "another method, or an upgrade";
    if (plan->kind == KIND_PLAIN)
        return span_is(message->method, methods[plan->method].name) && !asks
                   ? NULL
                   : "another method, or an upgrade";
    if (message->http2)
        return span_is(message->method, "CONNECT") && span_is(message->protocol, "websocket")
                   ? NULL
                   : "no extended CONNECT";
    bool good = span_is(message->method, methods[plan->method].name) &&
                span_is_nocase(upgrade, protocols[plan->tunnel.protocol]) &&
                message_says(message, "connection", "upgrade");
    return good ? NULL : "no such request with Upgrade";
}

static const char *framing_differs(const struct plan *plan, const struct message *message)
{
    const struct body_plan *body = &plan->body;
    if (plan->kind == KIND_BAD_BODY)
        return NULL;
    switch ((enum framing)body->framing) {
    case FRAMING_NONE:
        return !message->chunked && (message->length == LENGTH_UNKNOWN || message->length == 0)
                   ? NULL
                   : "a body where none was sent";
    case FRAMING_LENGTH:
        return message->length == body->length ? NULL : "another length than was sent";
    case FRAMING_CHUNKED:
    case FRAMING_CLOSE:
        break;
    }
    /* What is known to be empty may be said so. */
    bool unknown = message->length == LENGTH_UNKNOWN && (message->http2 || message->chunked);
    return unknown || (body->length == 0 && message->length == 0) ? NULL : "a length that nobody sent";
}

static bool may_be_sent_again(const struct exchange *x)
{
    return x->plan.kind == KIND_BAD_BODY ? false
                                         : x->plan.kind == KIND_PLAIN && methods[x->plan.method].idempotent;
}

/* NULL: it may come (again). A hedge is one more than those that have failed, and comes while nothing was
 * answered. */
static const char *may_not_come(const struct exchange *x)
{
    unsigned spare = x->plan.hedged ? 1 : 0;
    for (unsigned i = 0; i < x->attempts_count; i++) {
        const struct attempt *a = &x->attempts[i];
        if (!a->failed && spare-- == 0)
            return "a server has it already";
        if (!a->failed)
            continue;
        if (!a->unprocessed && !may_be_sent_again(x))
            return "it is not idempotent, and a server has had it";
    }
    if (x->done && !x->gave_up && !x->plan.hedged)
        return "its exchange is over";
    return x->attempts_count == ATTEMPTS_MOST ? "it came too often" : NULL;
}

static const char *request_differs(const struct exchange *x, const struct message *message, unsigned pool)
{
    const struct plan *plan = &x->plan;
    char host[16];
    unsigned count;
    (void)snprintf(host, sizeof host, "p%u.test", pool_of(plan->http2_out, plan->tls_out));
    struct span authority = message->http2 ? message->authority : message_field(message, "host", &count);
    if (pool != pool_of(plan->http2_out, plan->tls_out) && pool + 1 != plan->mirror)
        return "it came to another pool";
    if (!span_is(authority, host))
        return "another host";
    const char *differs = method_differs(plan, message);
    return differs != NULL ? differs : framing_differs(plan, message);
}

static struct attempt *begin_attempt(struct exchange *x, struct link *link)
{
    struct attempt *a = &x->attempts[x->attempts_count++];
    unsigned row = x->attempts_count - 1 < ANSWERS_MOST - 1 ? x->attempts_count - 1 : ANSWERS_MOST - 1;
    *a = (struct attempt){.exchange = x, .link = link, .plan = &x->plan.answers[row]};
    a->number = (uint8_t)x->attempts_count;
    x->attempts_open++;
    x->was_hedged = x->was_hedged || (x->attempts_count > 1 && !x->attempts[x->attempts_count - 2].failed);
    exchange_touch(x);
    return a;
}

/* ---- copies ---- */

/* A copy is the request as a server would have got it, once, and only of what was whole. */
static const char *may_not_be_copied(const struct exchange *x, const struct message *message)
{
    unsigned expects, attempts;
    (void)message_field(message, "expect", &expects);
    (void)message_field(message, "x-attempt", &attempts);
    bool whole = x->ended || x->plan.body.framing == FRAMING_NONE ||
                 (x->plan.body.framing == FRAMING_LENGTH && x->body_sent == x->plan.body.length);
    if (x->plan.kind != KIND_PLAIN)
        return "of what is not to be copied";
    if (x->copies != 0)
        return "for the second time";
    if (!whole)
        return "before its request was whole";
    if (expects != 0)
        return "that waits for a 100";
    return attempts != 0 ? "that counts the attempts of its request" : NULL;
}

static struct attempt *judge_copy(struct exchange *x, const struct message *message, unsigned pool,
                                  bool ended, struct link *link)
{
    const char *wrong = may_not_be_copied(x, message);
    if (wrong != NULL) {
        report_fault(x->copies != 0 ? FAULT_TWICE : FAULT_UNSENT, x, link, "a copy came %s", wrong);
        return NULL;
    }
    if (ended) {
        x->copy_lost = true;
        exchange_settle(x);
        return NULL;
    }
    wrong = request_differs(x, message, pool);
    if (wrong != NULL) {
        report_fault(FAULT_CHANGED, x, link, "its copy reached a server with %s", wrong);
        return NULL;
    }
    x->copies++;
    x->copy = (struct attempt){
        .exchange = x, .link = link, .plan = &x->plan.copy, .number = COPY_NUMBER, .copy = true};
    x->attempts_open++;
    exchange_touch(x);
    return &x->copy;
}

struct attempt *judge_request(const struct message *message, unsigned pool, bool ended, struct link *link)
{
    uint64_t id = id_of_path(message->path, "/x/");
    struct exchange *x = id != 0 ? exchange_find(id) : NULL;
    if (x == NULL && is_of_refused_tunnel(message->path))
        return NULL;
    if (x == NULL || !x->head_sent) {
        report_fault(FAULT_UNSENT, NULL, link, "a server was sent %.*s %.*s", (int)message->method.length,
                     message->method.at, (int)message->path.length, message->path.at);
        return NULL;
    }
    if (x->forbidden) {
        report_fault(FAULT_FORBIDDEN, x, link, "it reached a server");
        return NULL;
    }
    if (!says_id(message, id)) {
        report_fault(FAULT_CHANGED, x, link, "its X-Id is another's");
        return NULL;
    }
    if (pool + 1 == x->plan.mirror)
        return judge_copy(x, message, pool, ended, link);
    if (ended) {
        x->stale = true;
        exchange_touch(x);
        return NULL;
    }
    const char *wrong = request_differs(x, message, pool);
    if (wrong != NULL) {
        report_fault(FAULT_CHANGED, x, link, "it reached the server with %s", wrong);
        return NULL;
    }
    wrong = may_not_come(x);
    if (wrong != NULL) {
        report_fault(FAULT_TWICE, x, link, "%s", wrong);
        return NULL;
    }
    return begin_attempt(x, link);
}

bool judge_request_body(struct attempt *a, const char *bytes, size_t length)
{
    struct exchange *x = a->exchange;
    struct identity whose = {.id = x->id, .flow = FLOW_REQUEST, .flavour = x->plan.body.flavour};
    exchange_touch(x);
    if (x->plan.kind == KIND_BAD_BODY)
        return true;
    if (a->body_seen + length > x->body_sent) {
        report_fault(FAULT_UNSENT, x, a->link,
                     "the server got %zu bytes at %" PRIu64 ", %" PRIu64 " were sent", length, a->body_seen,
                     x->body_sent);
        return false;
    }
    size_t same = identity_match(&whose, a->body_seen, bytes, length);
    if (same != length) {
        report_fault(FAULT_CHANGED, x, a->link, "byte %" PRIu64 " of the request's body is not its own",
                     a->body_seen + same);
        return false;
    }
    a->body_seen += length;
    return true;
}

bool judge_request_end(struct attempt *a, const struct message *trailers)
{
    struct exchange *x = a->exchange;
    exchange_touch(x);
    a->whole = true;
    /* Over HTTP/2 an end may come behind the last byte of a length, which is an end itself. */
    bool ended = x->ended || x->plan.kind == KIND_UPGRADE || x->plan.body.framing == FRAMING_LENGTH;
    if (plan_is_over_limit(&x->plan)) {
        report_fault(FAULT_FORBIDDEN, x, a->link, "the server saw the end of what is over the limit");
        return false;
    }
    if (x->plan.kind == KIND_BAD_BODY && malformed_may_look_whole(&x->plan))
        return true;
    if (x->plan.kind == KIND_BAD_BODY || !ended || a->body_seen != x->plan.body.length) {
        report_fault(FAULT_MADE_UP, x, a->link, "the server saw the request's end after %" PRIu64 " bytes",
                     a->body_seen);
        return false;
    }
    bool lost = x->plan.body.framing == FRAMING_LENGTH; /* HTTP/1 has no place for them */
    const char *wrong = trailers_differ(trailers, &x->plan.body, x->id, lost);
    if (wrong != NULL) {
        report_fault(FAULT_CHANGED, x, a->link, "the request's trailers: %s", wrong);
        return false;
    }
    return true;
}

/* What becomes of the request and its client is nothing to its copy. */
static void copy_gone(struct attempt *a, const char *how)
{
    if (!a->over && !a->failed && !a->ended && !a->exchange->failed)
        report_fault(FAULT_CUT, a->exchange, a->link, "%s while the copy's %s", how,
                     a->whole ? "answer was not taken" : "request was coming");
    attempt_over(a);
}

void judge_server_gone(struct attempt *a, const char *how)
{
    struct exchange *x = a->exchange;
    if (a->copy) {
        copy_gone(a, how);
        return;
    }
    /* Of two that were asked, the one that was not needed may go, and so may one that has failed by its
     * status, before the other's request is seen here; the answer of the other is held to the rules. */
    bool by_status = a->plan->status == 429 || a->plan->status >= 500;
    bool not_needed = x->plan.hedged && x->answered != a && (x->attempts_count > 1 || by_status);
    bool cut_request = !a->whole && !a->ended && x->plan.kind != KIND_BAD_BODY;
    bool too_large = plan_is_over_limit(&x->plan) && x->body_sent > LIMIT_BYTES;
    if (!not_needed && !too_large && !a->over && !a->failed && !x->gave_up && !x->failed &&
        (cut_request || !a->ended) && x->plan.kind != KIND_BAD_BODY)
        report_fault(FAULT_CUT, x, a->link, "%s while the %s", how,
                     cut_request ? "request was coming" : "answer was not taken");
    attempt_over(a);
}
