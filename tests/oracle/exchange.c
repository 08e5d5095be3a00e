#include "oracle/exchange.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "oracle/draw.h"
#include "oracle/judge.h"
#include "oracle/report.h"
#include "oracle/settings.h"

/* Exchanges are remembered for as long as this many have begun after them: what comes late is still known. */
#define REMEMBERED 65536u

#define GOAWAY_TICKS 10u
#define BODY_COPIED (60u << 10) /* somewhat less than retry.buffer */
#define SUSPICION_TICKS (uint64_t)(30 * settings.slow)

uint64_t exchange_goaways[2];
uint64_t exchange_moves;
uint64_t exchange_ticks;
static uint64_t goaways_then[2][GOAWAY_TICKS]; /* at the last ticks */
static struct exchange *slots[REMEMBERED];
static struct exchange in_progress; /* a ring; its members are newest first */
static uint64_t begun, begun_by[2];

static void ring_add(struct exchange *x)
{
    if (in_progress.newer == NULL)
        in_progress.newer = in_progress.older = &in_progress;
    x->older = in_progress.older;
    x->newer = &in_progress;
    in_progress.older->newer = x;
    in_progress.older = x;
}

static void ring_remove(struct exchange *x)
{
    x->older->newer = x->newer;
    x->newer->older = x->older;
}

struct exchange *exchange_new(bool http2_in, bool tls_in)
{
    if (!exchange_may_begin())
        return NULL;
    uint64_t id = begun + 1;
    struct exchange **slot = &slots[id % REMEMBERED], *x = *slot;
    if (x == NULL)
        x = malloc(sizeof *x);
    if (x == NULL)
        abort();
    begun++;
    begun_by[http2_in]++;
    *slot = x;
    memset(x, 0, sizeof *x);
    x->id = id;
    struct draw draw = {.state = draw_mix(settings.seed ^ draw_mix(id))};
    x->plan.http2_in = http2_in;
    x->plan.tls_in = tls_in;
    x->plan.http2_out = settings.out != 0 ? settings.out == 2 : draw_below(&draw, 2) == 1;
    x->plan.tls_out = settings.tls && draw_permille(&draw, 300);
    plan_draw(&x->plan, settings.seed, id);
    for (unsigned i = 0; i < 2; i++)
        x->goaways_before[i] = goaways_then[i][(exchange_ticks + 1) % GOAWAY_TICKS];
    x->forbidden = x->plan.kind == KIND_CONNECT || x->plan.kind == KIND_BAD_HEAD ||
                   (plan_is_over_limit(&x->plan) && x->plan.body.framing == FRAMING_LENGTH);
    ring_add(x);
    x->began = exchange_ticks;
    exchange_touch(x);
    return x;
}

void exchange_tick(void)
{
    exchange_ticks++;
    for (unsigned i = 0; i < 2; i++)
        goaways_then[i][exchange_ticks % GOAWAY_TICKS] = exchange_goaways[i];
}

struct exchange *exchange_find(uint64_t id)
{
    struct exchange *x = slots[id % REMEMBERED];
    return x != NULL && x->id == id ? x : NULL;
}

void exchange_touch(struct exchange *x)
{
    x->touched = exchange_ticks;
    exchange_moves++;
}

/* Who has had all of a request that is to be copied has had it after weir, which then copies it. */
bool exchange_awaits_copy(const struct exchange *x)
{
    if (x->plan.mirror == 0 || x->plan.kind != KIND_PLAIN || x->copies != 0 || x->copy_lost || x->failed ||
        !x->ended || x->plan.body.length > BODY_COPIED)
        return false;
    for (unsigned i = 0; i < x->attempts_count; i++)
        if (x->attempts[i].whole)
            return true;
    return false;
}

void exchange_settle(struct exchange *x)
{
    if (x->done || !x->over || x->attempts_open != 0 || x->suspicion != NULL || exchange_awaits_copy(x))
        return;
    x->done = true;
    ring_remove(x);
    report_exchange(x);
}

void exchange_client_over(struct exchange *x)
{
    if (x->over)
        return;
    x->over = true;
    x->link = NULL;
    exchange_touch(x);
    exchange_settle(x);
}

void attempt_over(struct attempt *attempt)
{
    if (attempt->over)
        return;
    attempt->over = true;
    attempt->link = NULL;
    attempt->exchange->attempts_open--;
    exchange_touch(attempt->exchange);
    exchange_settle(attempt->exchange);
}

/* False: giving it up may have ended others, so that the ring has to be gone through anew. */
static bool look_at(struct exchange *x, uint64_t bound)
{
    if (x->suspicion != NULL && (judge_explains(x) || exchange_ticks - x->suspected_at > SUSPICION_TICKS)) {
        report_suspicion_ends(x, judge_explains(x));
        exchange_settle(x);
        return false;
    }
    if (x->over && x->attempts_open == 0 && exchange_awaits_copy(x) &&
        exchange_ticks - x->touched > SUSPICION_TICKS) {
        bool tls = x->plan.mirror - 1u >= 2;
        /* Sent behind a GOAWAY it is lost. */
        if ((x->plan.mirror - 1u) % 2 == 1 && exchange_goaways[tls] != x->goaways_before[tls])
            x->copy_lost = true;
        else
            report_fault(FAULT_CUT, x, NULL, "its copy does not come");
        exchange_settle(x);
        return false;
    }
    bool endless = exchange_ticks - x->began > 4 * bound;
    if (x->failed || (exchange_ticks - x->touched < bound && !endless))
        return true;
    report_fault(FAULT_HANG, x, NULL,
                 endless ? "it goes on for %" PRIu64 "00 ms" : "nothing of it has moved for %" PRIu64 "00 ms",
                 endless ? 4 * bound : bound);
    return false;
}

void exchange_look_around(uint64_t bound)
{
    if (in_progress.newer == NULL)
        return;
    for (struct exchange *x = in_progress.newer; x != &in_progress;)
        x = look_at(x, bound) ? x->newer : in_progress.newer;
}

bool exchange_wants_http2(void)
{
    return begun_by[1] < begun_by[0];
}

bool exchange_may_begin(void)
{
    const struct exchange *oldest = slots[(begun + 1) % REMEMBERED];
    return !exchange_all_begun() && (oldest == NULL || oldest->done);
}

bool exchange_all_begun(void)
{
    return begun >= settings.exchanges || settings.stopping;
}

bool exchange_all_done(void)
{
    return exchange_all_begun() && (in_progress.newer == NULL || in_progress.newer == &in_progress);
}
