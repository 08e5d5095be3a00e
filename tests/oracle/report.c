#include "oracle/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "oracle/exchange.h"
#include "oracle/link.h"
#include "oracle/malformed.h"
#include "oracle/subject.h"
#include "oracle/trace.h"

#define SHARES_JUDGED 20000u /* exchanges from which on the shares must be as wanted */
#define FAULTS_TOLD 10u      /* more of them are only counted */

static struct {
    uint64_t seed, asked, began_ms;
    uint64_t crossings[2][2], exchanges;
    uint64_t shares[SHARE_COUNT];
    uint64_t connections[2][2][2];
    uint64_t faults[FAULT_COUNT], faults_all;
} tally;

void report_begin(uint64_t seed, uint64_t exchanges)
{
    tally.seed = seed;
    tally.asked = exchanges;
    tally.began_ms = trace_now();
    printf("oracle: seed %" PRIu64 ", %" PRIu64 " exchanges\n", seed, exchanges);
    fflush(stdout);
}

void report_connection(bool http2, bool tls, bool to_server)
{
    tally.connections[to_server][http2][tls]++;
}

uint64_t report_faults(void)
{
    return tally.faults_all;
}

uint64_t report_exchanges(void)
{
    return tally.exchanges;
}

static bool has_interims(const struct exchange *x)
{
    for (unsigned i = 0; i < x->attempts_count; i++)
        if (x->attempts[i].interims_sent != 0)
            return true;
    return false;
}

static bool has_trailers(const struct exchange *x)
{
    return x->plan.body.trailers != 0 || (x->answered != NULL && x->answered->plan->body.trailers != 0);
}

void report_exchange(const struct exchange *x)
{
    const struct plan *plan = &x->plan;
    const bool has[SHARE_COUNT] = {
        [SHARE_UPGRADE] = plan->kind == KIND_UPGRADE || plan->kind == KIND_CONNECT,
        [SHARE_EARLY] = x->was_early,
        [SHARE_RESET] = x->was_reset,
        [SHARE_INTERIM] = has_interims(x),
        [SHARE_TRAILERS] = has_trailers(x),
        [SHARE_PIPELINED] = x->was_pipelined,
        [SHARE_MALFORMED] = plan->kind == KIND_BAD_HEAD || plan->kind == KIND_BAD_BODY,
        [SHARE_BAD_ANSWER] = x->attempts_count != 0 && plan->answers[0].bad != 0,
        [SHARE_EXPECT] = plan->expects,
        [SHARE_TUNNEL] = x->tunnels,
        [SHARE_OTHER_UPGRADE] = plan->kind == KIND_UPGRADE && plan->tunnel.protocol != PROTOCOL_WEBSOCKET_ROW,
        [SHARE_BEHIND_UPGRADE] = x->was_behind,
        [SHARE_RETRIED] = x->attempts_count > 1,
        [SHARE_HEDGED] = x->was_hedged,
        [SHARE_UPGRADE_BODY] = plan->kind == KIND_UPGRADE && plan->body.framing != FRAMING_NONE,
        [SHARE_MIRRORED] = x->copies != 0,
        [SHARE_OVER_LIMIT] = plan_is_over_limit(plan),
        [SHARE_OWN_ANSWER] = x->status != 0 && x->answered == NULL,
        [SHARE_TLS_IN] = plan->tls_in,
        [SHARE_TLS_OUT] = plan->tls_out,
    };
    tally.exchanges++;
    tally.crossings[plan->http2_in][plan->http2_out]++;
    for (unsigned i = 0; i < SHARE_COUNT; i++)
        tally.shares[i] += has[i];
}

/* ---- a failure ---- */

static void print_body(FILE *to, const char *whose, const struct body_plan *body)
{
    static const char *const framings[] = {"none", "length", "chunked", "until close"};
    fprintf(to, "      %s body: %s, %u bytes in pieces of %u%s%s, %u trailers%s\n", whose,
            framings[body->framing], body->length, body->piece, body->odd ? ", odd" : "",
            body->flavour != 0 ? ", like messages" : "", body->trailers,
            body->bad_trailers ? " and bad ones" : "");
}

static void print_cut(FILE *to, const struct cut *cut)
{
    static const char *const wheres[] = {"nowhere", "refused", "unanswered", "in the head", "in the body"};
    if (cut->where != CUT_NOWHERE)
        fprintf(to, "      cut %s at %u (of the answer %d)%s\n", wheres[cut->where], cut->at,
                (int)cut->answer_at, cut->reset ? " by a reset" : "");
}

static void print_answer(FILE *to, const struct answer_plan *answer)
{
    static const char *const begins[] = {"when whole", "at the head", "half-way"};
    static const char *const ends[] = {"keeps", "says close", "closes without a word", "sends more"};
    fprintf(to, "    answer: %u %s (at %u), %s, %u interims%s%s%s, delay %u ms, piece %u, malformed %u\n",
            answer->status, begins[answer->begin], answer->begin_at, ends[answer->end], answer->interims,
            answer->continues ? ", continues" : "", answer->leaves ? ", leaves" : "",
            answer->holds ? ", holds" : "", answer->delay, answer->piece, answer->bad);
    print_body(to, "answer's", &answer->body);
    print_cut(to, &answer->cut);
}

static void print_plan(FILE *to, const struct plan *plan)
{
    static const char *const kinds[] = {"plain", "upgrade", "connect", "malformed head", "malformed body"};
    fprintf(to, "    %s%s -> %s%s, %s, variant %u, %s%s%s%s%s%s%s%s%s, piece %u, holds at %d\n",
            plan->http2_in ? "h2" : "h1", plan->tls_in ? "/tls" : "", plan->http2_out ? "h2" : "h1",
            plan->tls_out ? "/tls" : "", kinds[plan->kind], plan->variant, methods[plan->method].name,
            plan->old ? ", 1.0" : "", plan->says_close ? ", close" : "",
            plan->says_keep_alive ? ", keep-alive" : "", plan->absolute ? ", absolute" : "",
            plan->expects ? ", expects" : "", plan->waits ? ", waits" : "",
            plan->half_closes ? ", half-closes" : "",
            plan->hedged     ? ", hedged"
            : plan->gives_up ? ", gives up"
                             : "",
            plan->piece, (int)plan->holds_at);
    if (plan->limited)
        fprintf(to, "    limited to %u bytes\n", LIMIT_BYTES);
    print_body(to, "request's", &plan->body);
    print_cut(to, &plan->cut);
    if (plan->kind == KIND_UPGRADE)
        fprintf(to, "    tunnel: %s, %s%s, up %u (early %u), down %u%s, ends %u, cut %u\n",
                protocols[plan->tunnel.protocol], plan->tunnel.accepted ? "accepted" : "refused",
                plan->tunnel.hasty ? " too soon" : "", plan->tunnel.up, plan->tunnel.early, plan->tunnel.down,
                plan->tunnel.together ? " together" : "", plan->tunnel.ends, plan->tunnel.cut);
    if (plan->kind == KIND_CONNECT || plan->kind == KIND_BAD_HEAD || plan->kind == KIND_BAD_BODY)
        fprintf(to, "    text: %.60s...\n", malformed_request(plan));
    for (unsigned i = 0; i < ANSWERS_MOST; i++)
        print_answer(to, &plan->answers[i]);
    if (plan->mirror != 0) {
        fprintf(to, "    a copy for pool p%u\n", plan->mirror - 1);
        print_answer(to, &plan->copy);
    }
}

static void print_attempt(FILE *to, const struct attempt *a)
{
    fprintf(to,
            "    %s %u: saw %" PRIu64 " bytes%s; sent %" PRIu64 " interims%s, %" PRIu64 " bytes%s%s%s%s\n",
            a->copy ? "copy" : "attempt", a->number, a->body_seen, a->whole ? ", end" : "", a->interims_sent,
            a->head_sent ? ", head" : "", a->body_sent, a->ended ? ", end" : "", a->failed ? ", failed" : "",
            a->unprocessed ? ", unprocessed" : "", a->over ? ", over" : "");
}

static void print_facts(FILE *to, const struct exchange *x)
{
    fprintf(to,
            "    client: sent %" PRIu64 " bytes and %" PRIu64
            " to a tunnel%s%s%s%s; saw status %u of attempt %u, %" PRIu64
            " bytes%s, %u interims, %u continues%s%s%s\n",
            x->body_sent, x->up_sent, x->head_sent ? ", head" : "", x->ended ? ", end" : "",
            x->gave_up ? ", gave up" : "", x->forbidden ? ", forbidden" : "", x->status,
            x->answered != NULL ? x->answered->number : 0, x->body_seen, x->whole ? ", end" : "",
            x->interims_seen, x->continues_seen, x->stale ? ", met a stale connection" : "",
            x->over ? ", over" : "", x->done ? ", done" : "");
    for (unsigned i = 0; i < x->attempts_count; i++)
        print_attempt(to, &x->attempts[i]);
    if (x->copies != 0)
        print_attempt(to, &x->copy);
}

static void print_link(FILE *to, const char *which, const struct link *link)
{
    fprintf(to, "  %s:\n", which);
    trace_print(&link->trace, to);
}

static void print_exchange(FILE *to, const struct exchange *x, const struct link *link)
{
    fprintf(to, "  exchange %" PRIu64 " (%016" PRIx64 ") of seed %" PRIu64 "\n", x->id, x->id, tally.seed);
    print_plan(to, &x->plan);
    print_facts(to, x);
    if (x->link != NULL)
        print_link(to, "the client's connection", x->link);
    for (unsigned i = 0; i < x->attempts_count; i++)
        if (x->attempts[i].link != NULL && x->attempts[i].link != link && !x->attempts[i].over)
            print_link(to, "the server's connection", x->attempts[i].link);
    if (x->copies != 0 && !x->copy.over && x->copy.link != NULL && x->copy.link != link)
        print_link(to, "the copy's connection", x->copy.link);
}

static void give_up(struct exchange *x)
{
    x->failed = true;
    for (unsigned i = 0; i < x->attempts_count; i++)
        if (!x->attempts[i].over && x->attempts[i].give_up != NULL)
            x->attempts[i].give_up(&x->attempts[i]);
    if (x->copies != 0 && !x->copy.over && x->copy.give_up != NULL)
        x->copy.give_up(&x->copy);
    if (!x->over && x->give_up != NULL)
        x->give_up(x);
}

static const char *const fault_texts[] = {
#define X(name, text) text,
    FAULTS(X)
#undef X
};

static void print_head(FILE *to, enum fault fault, const char *format, va_list arguments)
{
    fprintf(to, "FAULT (%s) after %" PRIu64 " exchanges: ", fault_texts[fault], tally.exchanges);
    vfprintf(to, format, arguments);
    fputc('\n', to);
}

static void print_all(FILE *to, const struct exchange *x, const struct link *link)
{
    if (x != NULL)
        print_exchange(to, x, link);
    if (link != NULL && (x == NULL || link != x->link))
        print_link(to, "the connection", link);
}

void report_fault(enum fault fault, struct exchange *x, struct link *link, const char *format, ...)
{
    if (x != NULL && x->failed)
        return;
    tally.faults[fault]++;
    if (tally.faults_all++ < FAULTS_TOLD) {
        va_list arguments;
        va_start(arguments, format);
        print_head(stdout, fault, format, arguments);
        va_end(arguments);
        print_all(stdout, x, link);
        if (x != NULL)
            subject_print_log(x->id);
        fflush(stdout);
    }
    if (x != NULL)
        give_up(x);
}

void report_suspect(enum fault fault, struct exchange *x, const char *format, ...)
{
    size_t length;
    if (x->failed || x->suspicion != NULL)
        return;
    FILE *to = open_memstream(&x->suspicion, &length);
    if (to == NULL)
        abort();
    va_list arguments;
    va_start(arguments, format);
    print_head(to, fault, format, arguments);
    va_end(arguments);
    print_all(to, x, NULL);
    (void)fclose(to);
    x->suspected = (uint8_t)fault;
    x->suspected_at = exchange_ticks;
}

void report_suspicion_ends(struct exchange *x, bool was_right)
{
    if (!was_right) {
        tally.faults[x->suspected]++;
        if (tally.faults_all++ < FAULTS_TOLD) {
            printf("%s", x->suspicion);
            print_facts(stdout, x);
            subject_print_log(x->id);
            fflush(stdout);
        }
        x->failed = true;
    }
    free(x->suspicion);
    x->suspicion = NULL;
}

/* ---- the figures ---- */

static const char *const share_texts[] = {
#define X(name, text) text,
    SHARES(X)
#undef X
};

static void print_shares(void)
{
    double all = tally.exchanges != 0 ? (double)tally.exchanges : 1;
    for (unsigned i = 0; i < SHARE_COUNT; i++)
        printf("  %-26s %9" PRIu64 "  %5.1f %%\n", share_texts[i], tally.shares[i],
               100 * (double)tally.shares[i] / all);
}

static void print_connections(void)
{
    static const char *const sides[] = {"from clients", "to servers"};
    for (unsigned side = 0; side < 2; side++)
        printf("  connections %-14s %9" PRIu64 " h1, %" PRIu64 " h1/tls, %" PRIu64 " h2, %" PRIu64
               " h2/tls\n",
               sides[side], tally.connections[side][0][0], tally.connections[side][0][1],
               tally.connections[side][1][0], tally.connections[side][1][1]);
}

/* The grammar has to go on drawing enough of what matters. */
static bool shares_are_enough(void)
{
    static const struct {
        enum share share;
        unsigned percent;
    } wanted[] = {{SHARE_UPGRADE, 10}, {SHARE_EARLY, 10}, {SHARE_RESET, 5}};
    bool enough = true;
    for (unsigned i = 0; i < 3 && tally.exchanges >= SHARES_JUDGED; i++) {
        bool too_few = tally.shares[wanted[i].share] * 100 < tally.exchanges * wanted[i].percent;
        if (too_few)
            printf("oracle: fewer than %u %% are %s\n", wanted[i].percent, share_texts[wanted[i].share]);
        enough = enough && !too_few;
    }
    return enough;
}

bool report_end(void)
{
    static const char *const versions[] = {"h1", "h2"};
    double seconds = (double)(trace_now() - tally.began_ms) / 1000;
    for (unsigned in = 0; in < 2; in++)
        for (unsigned out = 0; out < 2; out++)
            printf("  %s -> %s                   %9" PRIu64 "\n", versions[in], versions[out],
                   tally.crossings[in][out]);
    print_shares();
    print_connections();
    printf("  reloads %29u\n", subject_reloads());
    for (unsigned i = 0; i < FAULT_COUNT; i++)
        printf("  %9" PRIu64 " %s\n", tally.faults[i], fault_texts[i]);
    bool good = shares_are_enough() && tally.faults_all == 0 && tally.exchanges >= tally.asked;
    printf("oracle: %s, seed %" PRIu64 ": %" PRIu64 " exchanges in %.1f s (%.0f/s), %" PRIu64 " faults\n",
           good ? "passed" : "FAILED", tally.seed, tally.exchanges, seconds,
           (double)tally.exchanges / (seconds > 0 ? seconds : 1), tally.faults_all);
    fflush(stdout);
    return good;
}
