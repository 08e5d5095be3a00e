/*
 * From a pool to a response: tries servers, one after another where the retry rules allow it (protocol.md 30
 * to 32, balancing.md 7), and carries the response head back. What the heads become at the border is
 * forwarded.c's, which server is the upstream room's.
 */
#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/counters.h"
#include "base/log_crowd.h"
#include "config/config.h"
#include "filter/key.h"
#include "http/auth_scheme.h"
#include "http/grpc.h"
#include "http/head.h"
#include "proxy/client_conn.h"
#include "proxy/cookie.h"
#include "proxy/exchange_run.h"
#include "proxy/exchange_state.h"
#include "proxy/forwarded.h"
#include "proxy/grpc_bridge.h"
#include "proxy/hedge.h"
#include "proxy/mirror.h"
#include "proxy/retry.h"
#include "proxy/snapshot.h"
#include "proxy/upgrade.h"
#include "proxy/worker.h"
#include "upstream/absence.h"
#include "upstream/pool.h"
#include "upstream/server.h"

#define NARROW_WINDOW 4096 /* bytes of an answer that wait for a client that does not want any yet */

#define LEFTOVER_MOST 16384 /* bytes of an answer that nobody wants, to keep its connection */

/* Where another try may go. */
struct try_place {
    struct server *only; /* NULL: any that was not tried */
    bool fresh;          /* over a new connection */
    uint32_t avoid;      /* not over this one */
};

static void forward_try(struct exchange_run *run, struct try_place place);

/* Told with the request; and by the log, where it is no matter of load. */
static void tell_absence(struct exchange_run *run, enum failure why)
{
    static struct log_crowd lines = LOG_CROWD("upstream", "pool");
    char text[ABSENCE_TEXT];
    struct span absent = absence_print(run->pool, run->tried, loop_now_us(run->exchange.loop), text);
    const struct log_pair pairs[] = {KV("pool", run->pool->name), KV_SPAN("servers_out", absent), KV_NONE};
    run->servers_out = arena_copy(run->exchange.arena, absent);
    if (why == FAILURE_NO_SERVER)
        log_crowd_write(&lines, LOG_LEVEL_WARN, "no server of the pool can be had", run->pool->name, "",
                        pairs);
}

/* Gives up for good: tells what went wrong first, which a later "no other server" would hide. */
static void forward_gave_up(struct exchange_run *run, enum failure why)
{
    bool nobody = why == FAILURE_NO_SERVER || why == FAILURE_QUEUE_FULL || why == FAILURE_QUEUE_TIMEOUT;
    if (nobody)
        tell_absence(run, why);
    exchange_fail(run, nobody && run->first_failure != FAILURE_NONE ? run->first_failure : why);
}

/* Once more, at once or after a pause. All that a server was given is given to the next. */
static void forward_retry(struct exchange_run *run)
{
    relay_rewind(&run->up, &run->replay.kept);
    if (run->retry_pause == 0) {
        forward_try(run, (struct try_place){.only = NULL});
        return;
    }
    exchange_enter(run, EXCHANGE_CHOOSING);
    exchange_wait_for(run, WAIT_RETRY);
}

void forward_resume(struct exchange_run *run)
{
    exchange_wait_for(run, WAIT_NOTHING);
    forward_try(run, (struct try_place){.only = NULL});
}

/* Not the server's failure and not a retry: the same request goes to it once more, over another connection.
 */
static bool forward_again(struct exchange_run *run, const struct attempt *attempt, enum failure why,
                          const struct stream *stream)
{
    struct try_place place = {.only = attempt->waiter.server};
    if (!retry_same_server(run, why, stream))
        return false;
    if (why == FAILURE_SERVER_STALE)
        place.fresh = true;
    else
        place.avoid = attempt->waiter.connection;
    relay_rewind(&run->up, &run->replay.kept);
    forward_try(run, place);
    return true;
}

/* A try ended without a response. stream: NULL when none was had. */
static void forward_failed(struct exchange_run *run, struct attempt *attempt, enum failure why,
                           const struct stream *stream)
{
    run->attempt = NULL;
    run->spare = attempt;
    exchange_wait_for(run, WAIT_NOTHING);
    if (forward_again(run, attempt, why, stream))
        return;
    retry_record(run, &attempt->waiter, failure_info[why].word);
    if (run->first_failure == FAILURE_NONE)
        run->first_failure = why;
    if (retry_after_failure(run, &attempt->waiter, why, stream))
        forward_retry(run);
    else
        forward_gave_up(run, why);
}

static struct attempt *attempt_of(struct stream *stream)
{
    return stream->owner;
}

/* Of gRPC, a head that is all there is stands for trailers (PROTOCOL-HTTP2.md), which are the server's. */
static bool is_trailers_only(const struct exchange_run *run, bool last)
{
    return run->grpc && last && run->bridge == NULL &&
           fields_find(&run->exchange.response.fields, FIELD_GRPC_STATUS) != NULL;
}

/* What weir and the route make of the head that answers the request, a 101 as any other. False: the arena is
 * full. */
static bool complete_answer(struct exchange_run *run, bool last)
{
    struct exchange *x = &run->exchange;
    bool via = (run->plan->forwarding & FORWARDING_VIA) != 0;
    x->times.answered = loop_now_us(x->loop);
    bool fits = (is_trailers_only(run, last) || forwarded_add_response(x, via)) &&
                (run->pool->sticky == NULL || sticky_end(run)) && filters_response(&run->plan->filters, x);
    for (uint16_t i = 0; fits && i < x->response_fields.count; i++) {
        const struct field *field = &x->response_fields.items[i];
        fits = fields_add(&x->response.fields, x->arena, field->name, field->value, field->id);
    }
    return fits;
}

static void forward_upgrade(struct exchange_run *run)
{
    struct exchange *x = &run->exchange;
    enum failure why = upgrade_switch(run);
    if (why == FAILURE_NONE && !complete_answer(run, false))
        why = FAILURE_OVERLOADED;
    if (why != FAILURE_NONE) {
        exchange_fail(run, why);
        return;
    }
    run->status = 101;
    run->head_sent = true;
    replay_drop(&run->replay);
    run->up.ended = false;
    exchange_tunnel(run);
    x->client_stream->ops->send_head(x->client_stream, &x->response, false);
    exchange_wait_for(run, WAIT_TUNNEL);
}

/* 1xx: relayed to HTTP/1.1 and up; one 100 at most, and only to those who wait for it (protocol.md 20, 21).
 */
static void forward_interim(struct exchange_run *run)
{
    struct exchange *x = &run->exchange;
    if (x->request.minor_version == 0 ||
        ++run->interim_count > run->snapshot->config->limits.interim_responses)
        return;
    if (x->response.line.response.status == 100) {
        if (!x->request.expect_continue || run->continue_sent)
            return;
        run->continue_sent = true;
    }
    filters_response_trailers(&run->plan->filters,
                              &x->response.fields); /* what is set comes with the answer */
    counter_add(COUNTER_responses_1xx, 1);
    x->client_stream->ops->send_head(x->client_stream, &x->response, false);
}

static void forward_final(struct exchange_run *run, bool last)
{
    struct exchange *x = &run->exchange;
    run->status = x->response.line.response.status;
    replay_drop(&run->replay);
    struct buf bytes = {0}; /* that the head alone becomes */
    enum failure why = run->bridge != NULL ? grpc_bridge_head(run, last, &bytes) : FAILURE_NONE;
    if (why != FAILURE_NONE || !complete_answer(run, last)) {
        buf_clear(&bytes);
        exchange_fail(run, FAILURE_OVERLOADED);
        return;
    }
    run->head_sent = true;
    run->down.ended = last;
    /* nobody here looks at a body of known length */
    x->upstream->takes_pipes = !x->tls && !x->http2 && x->response.body_length > 0;
    x->bytes_out += bytes.length;
    x->client_stream->ops->send_head(x->client_stream, &x->response, last && buf_is_empty(&bytes));
    if (!buf_is_empty(&bytes))
        relay_push(&run->down, &bytes, 0, true);
    exchange_wait_for(run, last ? WAIT_NOTHING : WAIT_BODY);
}

static void forward_drop_leftover(struct exchange_run *run)
{
    struct attempt *attempt = run->leftover;
    run->leftover = NULL;
    if (attempt != NULL)
        attempt->stream->ops->reset(attempt->stream, FAILURE_NONE);
}

/* A connection of HTTP/1 is worth more than the few bytes that end a small answer; over HTTP/2 it is not at
 * stake. */
static bool answer_is_small(const struct exchange *x, const struct stream *stream, bool last)
{
    return last ||
           (!stream->http2 && x->response.body_length >= 0 && x->response.body_length <= LEFTOVER_MOST);
}

/* The server answered with a status that the pool retries: its answer is dropped. */
static void forward_other_server(struct exchange_run *run, struct attempt *attempt, bool last)
{
    struct span status =
        arena_print(run->exchange.arena, "status_%u", (unsigned)run->exchange.response.line.response.status);
    retry_record(run, &attempt->waiter, status.at != NULL ? status.at : "status");
    run->attempt = NULL;
    run->exchange.upstream = NULL;
    forward_drop_leftover(run);
    run->leftover = attempt;
    if (!attempt->stream->request_sent || !answer_is_small(&run->exchange, attempt->stream, last))
        forward_drop_leftover(run);
    forward_retry(run);
}

/* Since when the server alone was waited for; 0: the request still comes, at the client's pace. */
static uint64_t waited_since(const struct exchange_run *run)
{
    const struct exchange *x = &run->exchange;
    return run->up.ended && x->times.sent >= x->times.connected ? x->times.sent : 0;
}

/* What an answer says of its server. A gRPC server that fails at once says so in a head that is all there is,
 * with status 200; one that has sent fields or messages before, in the trailers. */
static unsigned status_of_server(const struct exchange_run *run, const struct head *head)
{
    unsigned status = head->line.response.status;
    return run->grpc && status == 200 ? grpc_server_status(&head->fields) : status;
}

/* What the server has learned about its connection must not serve others. */
static void look_at_challenge(struct attempt *attempt, const struct head *head)
{
    enum auth_challenge challenge = auth_challenge_of(&head->fields);
    if (challenge != AUTH_CHALLENGE_NONE)
        upstream_bind(&attempt->waiter, challenge == AUTH_CHALLENGE_GOES_ON);
}

static void upstream_head(struct stream *stream, struct head *head, bool last)
{
    struct attempt *attempt = attempt_of(stream);
    struct exchange_run *run = attempt->run;
    unsigned status = head->line.response.status;
    if (status == 401 || status == 407)
        look_at_challenge(attempt, head);
    if (run->hedge != NULL ? !hedge_head(run, attempt, status) : run->attempt != attempt)
        return;
    run->progress = loop_now(run->exchange.loop);
    run->exchange.response = *head;
    struct span offered = status == 426 ? upgrade_offered(head) : SPAN_NONE;
    enum failure why = forwarded_strip(&run->exchange.response, CLAIMS_OF_SERVER, run->exchange.arena);
    if (why != FAILURE_NONE) {
        exchange_fail(run, why == FAILURE_OVERLOADED ? why : FAILURE_RESPONSE_INVALID);
        return;
    }
    if (status == 101) {
        upstream_answered(run->worker->upstreams, &attempt->waiter, status, 0);
        forward_upgrade(run);
        return;
    }
    run->exchange.response.upgrade = offered;
    if (status < 200) {
        forward_interim(run);
        return;
    }
    attempt->waiter.told_at_end = run->grpc && status == 200 && !last;
    upstream_answered(run->worker->upstreams, &attempt->waiter, status_of_server(run, head),
                      waited_since(run));
    if (run->extended_connect && status < 300) {
        exchange_fail(run, FAILURE_UPGRADE_INVALID);
        return;
    }
    if (status >= 500 && retry_after_status(run, attempt->waiter.server, status)) {
        forward_other_server(run, attempt, last);
        return;
    }
    run->upgrading = false;
    forward_final(run, last);
}

static void upstream_body(struct stream *stream, struct buf *bytes, bool last)
{
    struct attempt *attempt = attempt_of(stream);
    struct exchange_run *run = attempt->run;
    if (run->attempt != attempt || run->client_closed) {
        size_t length = bytes->length;
        buf_clear(bytes);
        stream->ops->credit(stream, length);
        return;
    }
    size_t taken = bytes->length;
    enum failure why = run->bridge != NULL ? grpc_bridge_response(run, bytes, last) : FAILURE_NONE;
    if (why != FAILURE_NONE) {
        buf_clear(bytes);
        exchange_fail(run, why);
        return;
    }
    run->progress = loop_now(run->exchange.loop);
    run->exchange.bytes_out += bytes->length;
    relay_push(&run->down, bytes, taken, last);
    if (!last && relay_is_blocked(&run->down))
        upstream_held(run->worker->upstreams, &attempt->waiter);
    if (last)
        exchange_wait_for(run, run->exchange.state == EXCHANGE_TUNNEL ? WAIT_TUNNEL : WAIT_NOTHING);
}

static void upstream_trailers(struct stream *stream, struct fields *trailers)
{
    struct attempt *attempt = attempt_of(stream);
    struct exchange_run *run = attempt->run;
    if (run->attempt != attempt || run->client_closed)
        return;
    if (attempt->waiter.told_at_end)
        upstream_told_at_end(run->worker->upstreams, &attempt->waiter, grpc_server_status(trailers));
    forwarded_strip_trailers(trailers, run->exchange.response.named);
    if (run->plan != NULL)
        filters_response_trailers(&run->plan->filters, trailers);
    const struct field *status = run->grpc ? fields_find(trailers, FIELD_GRPC_STATUS) : NULL;
    if (status != NULL)
        run->grpc_status = status->value; /* in the exchange's arena */
    struct buf bytes = {0};
    enum failure why = run->bridge != NULL ? grpc_bridge_trailers(run, trailers, &bytes) : FAILURE_NONE;
    if (why != FAILURE_NONE) {
        buf_clear(&bytes);
        exchange_fail(run, why);
        return;
    }
    run->exchange.bytes_out += bytes.length;
    if (buf_is_empty(&bytes))
        relay_end(&run->down, trailers);
    else
        relay_push(&run->down, &bytes, 0, true);
    exchange_wait_for(run, WAIT_NOTHING);
}

/* The server has all of the request, if so. The end alone is not told as sent: it has no byte of the body. */
static void forward_look_sent(struct exchange_run *run)
{
    struct attempt *attempt = run->attempt;
    if (!run->up.ended || run->up.queued != 0 || attempt == NULL || attempt->stream == NULL ||
        run->up.to != attempt->stream)
        return;
    run->exchange.times.sent = loop_now_us(run->exchange.loop);
    upstream_sent_whole(run->worker->upstreams, &attempt->waiter);
}

static void upstream_sent(struct stream *stream, size_t bytes)
{
    struct attempt *attempt = attempt_of(stream);
    struct exchange_run *run = attempt->run;
    if (run->attempt != attempt)
        return;
    run->progress = loop_now(run->exchange.loop);
    relay_sent(&run->up, bytes);
    forward_look_sent(run);
}

static void upstream_closed(struct stream *stream, enum failure why)
{
    struct attempt *attempt = attempt_of(stream);
    struct exchange_run *run = attempt->run;
    attempt->stream = NULL;
    run->attempts_open--;
    /* What it sent may still be on its way to the client, but there is nobody to credit any more. */
    if (run->down.from == stream)
        run->down.from = NULL;
    if (run->up.to == stream)
        run->up.to = NULL;
    if (run->leftover == attempt)
        run->leftover = NULL;
    upstream_done(run->worker->upstreams, &attempt->waiter, why);
    if (why != FAILURE_NONE && !run->head_sent && run->hedge != NULL && hedge_failed(run, attempt, why)) {
        exchange_settle(run);
        return;
    }
    if (run->attempt == attempt) {
        run->exchange.upstream = NULL;
        if (why == FAILURE_NONE) {
            run->attempt = NULL;
            relay_drop(&run->up); /* it has answered without the rest of the request */
        } else if (!run->head_sent) {
            forward_failed(run, attempt, why, stream);
        } else {
            run->attempt = NULL;
            exchange_fail(run, why == FAILURE_SERVER_CLOSED ? FAILURE_RESPONSE_CUT : why);
        }
    }
    exchange_settle(run);
}

static void upstream_refused(struct stream *stream, enum failure why)
{
    (void)stream;
    (void)why;
    assert(0 && "refused() is of the server role");
}

static const struct stream_events upstream_events = {
    .head = upstream_head,
    .body = upstream_body,
    .trailers = upstream_trailers,
    .sent = upstream_sent,
    .refused = upstream_refused,
    .closed = upstream_closed,
};

/* What is known of the exchange's server is that of the current attempt. */
static void attempt_is_current(struct exchange_run *run, const struct attempt *attempt)
{
    struct exchange *x = &run->exchange;
    struct stream *stream = attempt->stream;
    x->upstream = stream;
    x->server = attempt->waiter.server;
    x->server_address = x->server->name;
    x->times.connected = attempt->waiter.opened_us;
    run->reused = attempt->waiter.reused;
    run->server_http2 = stream->http2;
    /* not towards servers of HTTP/1, whom a slow body costs more */
    run->patient = run->grpc && stream->http2;
    x->client_stream->patient = run->patient;
    relay_init(&run->down, stream, stream->window);
    run->down.to = x->client_stream;
}

void forward_take(struct exchange_run *run)
{
    struct attempt *attempt = run->attempt;
    run->up.to = attempt->stream; /* nothing more goes there: such requests have no body */
    run->exchange.upstream = attempt->stream;
    if (attempt->stream == NULL) {
        exchange_enter(run, EXCHANGE_CHOOSING);
        exchange_wait_for(run, WAIT_NOTHING);
        return;
    }
    attempt_is_current(run, attempt);
    run->exchange.times.sent = run->exchange.times.connected;
    exchange_wait_for(run, WAIT_RESPONSE);
}

void forward_drop(struct exchange_run *run, struct attempt *attempt)
{
    assert(attempt != run->attempt);
    if (attempt->stream != NULL) {
        attempt->stream->ops->reset(attempt->stream, FAILURE_CLIENT_CLOSED); /* nobody's failure */
        return;
    }
    upstream_give_up(run->worker->upstreams, &attempt->waiter);
    run->attempts_open--;
}

/* A client of HTTP/1.0 need not name a host, but servers of HTTP/1.1 and HTTP/2 refuse an empty one. */
static void attempt_send_head(struct exchange_run *run, struct attempt *attempt, bool last)
{
    const struct head *request = &run->exchange.request;
    struct head named;
    if (request->line.request.authority.length == 0) {
        named = *request;
        named.line.request.authority = server_authority(attempt->waiter.server);
        request = &named;
    }
    attempt->stream->ops->send_head(attempt->stream, request, last);
}

/* A hedge: whole, and its answer is not yet the one that counts. */
static void attempt_send_copy(struct exchange_run *run, struct attempt *attempt)
{
    struct stream *stream = attempt->stream;
    if (!retry_tell(run)) {
        stream->ops->reset(stream, FAILURE_OVERLOADED);
        return;
    }
    attempt_send_head(run, attempt, true);
    upstream_sent_whole(run->worker->upstreams, &attempt->waiter);
}

static void attempt_ready(struct upstream_waiter *waiter, struct stream *stream)
{
    struct attempt *attempt = CONTAINER_OF(waiter, struct attempt, waiter);
    struct exchange_run *run = attempt->run;
    struct exchange *x = &run->exchange;
    attempt->stream = stream;
    stream->events = &upstream_events;
    stream->owner = attempt;
    stream->arena = x->arena;
    stream->window = x->client_stream->narrow ? NARROW_WINDOW : run->snapshot->config->limits.window;
    stream->window_grows = !x->client_stream->narrow;
    x->attempts++;
    run->sends++;
    if (attempt != run->attempt) {
        attempt_send_copy(run, attempt);
        return;
    }
    attempt_is_current(run, attempt);
    exchange_enter(run, EXCHANGE_FORWARDING);
    if (run->sends > 1 && !retry_tell(run)) {
        exchange_fail(run, FAILURE_OVERLOADED);
        return;
    }
    bool whole = run->up.ended && buf_is_empty(&run->up.held) && run->up.trailers == NULL;
    attempt_send_head(run, attempt, whole);
    replay_keep(&run->replay, &run->up.held);
    relay_attach(&run->up, stream);
    forward_look_sent(run);
    if (!run->up.ended)
        upstream_held(run->worker->upstreams, &attempt->waiter);
    exchange_wait_for(run, WAIT_RESPONSE);
    if (run->plan->hedges || hedge_is_trial(run))
        hedge_begin(run);
}

static void attempt_failed(struct upstream_waiter *waiter, enum failure why)
{
    struct attempt *attempt = CONTAINER_OF(waiter, struct attempt, waiter);
    struct exchange_run *run = attempt->run;
    run->attempts_open--;
    if (waiter->server != NULL)
        run->exchange.attempts++;
    bool another = run->hedge != NULL && hedge_failed(run, attempt, why);
    if (!another && run->attempt == attempt)
        forward_failed(run, attempt, why, NULL);
    exchange_settle(run);
}

/* The server waits for more of the request and has not begun to answer. One that asks leave to send its body
 * is not late before it has it; a conversation may be quiet. */
static bool request_is_late(const struct exchange_run *run)
{
    const struct exchange *x = &run->exchange;
    bool may_send = !x->request.expect_continue || run->continue_sent || x->bytes_in != 0;
    return !run->up.ended && run->up.queued == 0 && !run->head_sent && !run->patient && may_send &&
           x->state == EXCHANGE_FORWARDING;
}

bool forward_held_up(struct upstream_waiter *waiter, struct client_progress *progress)
{
    const struct attempt *attempt = CONTAINER_OF(waiter, struct attempt, waiter);
    const struct exchange_run *run = attempt->run;
    const struct limits_config *limits = &run->snapshot->config->limits;
    if (run->attempt != attempt || attempt->stream == NULL || run->client_closed)
        return false;
    if (relay_is_blocked(&run->down)) {
        struct stream *client = run->exchange.client_stream;
        struct stream_taken taken = client->ops->taken(client);
        *progress = (struct client_progress){.kind = HELD_ANSWER,
                                             .by_line = taken.by_line,
                                             .own = taken.own,
                                             .line = taken.line,
                                             .least = limits->least_read_rate,
                                             .was_slow = run->conn->holds_up};
        return true;
    }
    *progress = (struct client_progress){.kind = HELD_REQUEST,
                                         .own = run->exchange.bytes_in,
                                         .least = limits->least_body_rate,
                                         .was_slow = run->conn->holds_up};
    return request_is_late(run);
}

void forward_yield(struct upstream_waiter *waiter)
{
    struct exchange_run *run = CONTAINER_OF(waiter, struct attempt, waiter)->run;
    run->conn->holds_up = true;
    exchange_fail(run, relay_is_blocked(&run->down) ? FAILURE_CLIENT_STALLED : FAILURE_BODY_TIMEOUT);
    exchange_settle(run);
}

/* One that is still to be opened; NULL: the arena is full. */
static struct attempt *attempt_new(struct exchange_run *run, struct try_place place)
{
    struct exchange *x = &run->exchange;
    struct attempt *attempt = run->spare;
    run->spare = NULL;
    if (attempt == NULL)
        attempt = arena_get(x->arena, sizeof *attempt);
    if (attempt == NULL)
        return NULL;
    memset(attempt, 0, sizeof *attempt);
    attempt->run = run;
    struct upstream_waiter *waiter = &attempt->waiter;
    waiter->ready = attempt_ready;
    waiter->failed = attempt_failed;
    waiter->pool = run->pool;
    waiter->preferred = run->sticky_server;
    waiter->only = place.only;
    waiter->fresh = place.fresh;
    waiter->avoid = place.avoid;
    waiter->http1_only = run->upgrading || run->logs_in || run->http1_only;
    waiter->owner = &run->conn->owner;
    waiter->logs_in = run->logs_in;
    waiter->hash = run->hash;
    waiter->client = &x->client;
    waiter->uploading = !run->up.ended;
    waiter->priority = run->conn->holds_up ? PRIORITY_LOW : run->plan->priority;
    waiter->tried = run->tried;
    waiter->spares = run->spares;
    return attempt;
}

/* A client that has a connection of its own in the pool stays there. */
static void stay_with_owned(struct exchange_run *run, struct try_place *place)
{
    const struct upstream_owner *owner = &run->conn->owner;
    if (list_is_empty(&owner->conns) || place->only != NULL)
        return;
    place->only = upstream_owned_server(owner, run->pool, run->logs_in, &run->goes_on);
    run->owned = place->only != NULL;
}

static void forward_try(struct exchange_run *run, struct try_place place)
{
    stay_with_owned(run, &place);
    struct attempt *attempt = attempt_new(run, place);
    if (attempt == NULL) {
        exchange_fail(run, FAILURE_OVERLOADED);
        return;
    }
    run->attempt = attempt;
    run->attempts_open++;
    exchange_enter(run, EXCHANGE_CHOOSING);
    upstream_open(run->worker->upstreams, &attempt->waiter);
}

struct attempt *forward_copy(struct exchange_run *run)
{
    struct attempt *attempt = attempt_new(run, (struct try_place){.only = NULL});
    if (attempt == NULL)
        return NULL;
    attempt->waiter.except = run->attempt->waiter.server;
    attempt->waiter.priority = PRIORITY_LOW;
    run->attempts_open++;
    upstream_open(run->worker->upstreams, &attempt->waiter);
    return attempt;
}

/* Without the key (no such cookie, say) 0: any server will do. */
static uint64_t balance_key(const struct hash_config *config, const struct exchange *x)
{
    uint64_t hash;
    return key_hash_fixed(config->parts, config->parts_count, (unsigned)config->ipv6_prefix, x, &hash)
               ? hash | 1
               : 0;
}

void forward_begin(struct exchange_run *run, const struct pool *pool)
{
    run->pool = pool;
    run->replay.cap = pool->config->retry.buffer;
    run->hash = pool->config->balance == BALANCE_HASH ? balance_key(&pool->config->hash, &run->exchange) : 0;
    if (pool->sticky != NULL)
        sticky_begin(run);
    upgrade_fit_pool(run, pool);
    run->logs_in = auth_is_of_connection(&run->exchange.request);
    if (run->plan->mirrors)
        mirror_begin(run);
    upstream_budget_earn(run->worker->upstreams, pool);
    forward_try(run, (struct try_place){.only = NULL});
}

void forward_body(struct exchange_run *run, struct buf *bytes, size_t taken, bool last)
{
    if (run->mirror != NULL)
        mirror_body(run, bytes, last);
    if (run->up.to != NULL && run->exchange.state != EXCHANGE_TUNNEL)
        replay_keep(&run->replay, bytes);
    if (last && run->attempt != NULL && run->attempt->stream == NULL)
        /* no matter when it is chosen already: attempt_ready() tells */
        run->attempt->waiter.uploading = false;
    relay_push(&run->up, bytes, taken, last);
    if (last)
        forward_look_sent(run);
}

void forward_trailers(struct exchange_run *run, struct fields *trailers)
{
    forwarded_strip_trailers(trailers, run->exchange.request.named);
    filters_request_trailers(&run->plan->filters, trailers);
    /* A later try may need them: the codec's own go when this call returns, the fields themselves live in the
     * arena. */
    struct fields *kept = arena_get(run->exchange.arena, sizeof *kept);
    if (kept == NULL) {
        exchange_fail(run, FAILURE_OVERLOADED);
        exchange_settle(run);
        return;
    }
    *kept = *trailers;
    if (run->mirror != NULL)
        mirror_trailers(run, kept);
    relay_end(&run->up, kept);
    forward_look_sent(run);
}

void forward_abandon(struct exchange_run *run, enum failure why)
{
    struct attempt *attempt = run->attempt;
    if (run->wait == WAIT_RETRY)
        exchange_wait_for(run, WAIT_NOTHING);
    if (run->hedge != NULL)
        hedge_cancel(run);
    if (run->leftover != NULL)
        forward_drop_leftover(run);
    if (attempt == NULL)
        return;
    run->attempt = NULL;
    run->up.to = NULL;
    run->exchange.upstream = NULL;
    if (attempt->stream != NULL) {
        attempt->stream->ops->reset(attempt->stream, why);
        return;
    }
    upstream_give_up(run->worker->upstreams, &attempt->waiter);
    run->attempts_open--;
}

void forward_timed_out(struct exchange_run *run, enum failure why)
{
    struct attempt *attempt = run->attempt;
    if (attempt == NULL || attempt->stream == NULL || run->head_sent) {
        exchange_fail(run, why);
        return;
    }
    if (run->hedge != NULL)
        hedge_cancel(run);
    run->up.to = NULL;                                 /* what comes meanwhile is held */
    attempt->stream->ops->reset(attempt->stream, why); /* closed(why) decides on another try */
}
