/*
 * The life of an exchange. The client stream's events drive it from the head of the request to both sides
 * closed; forward.c carries it to a server, answer_page.c answers where weir itself does. exchange_enter() is
 * the only writer of the state.
 */
#include "proxy/exchange_run.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/counters.h"
#include "base/log.h"
#include "config/config.h"
#include "filter/answer.h"
#include "http/auth_scheme.h"
#include "http/grpc.h"
#include "http/head.h"
#include "http/http_conn.h"
#include "http/target.h"
#include "net/transport.h"
#include "proxy/client_chain.h"
#include "proxy/client_conn.h"
#include "proxy/client_memory.h"
#include "proxy/cookie.h"
#include "proxy/exchange_state.h"
#include "proxy/forwarded.h"
#include "proxy/grpc_bridge.h"
#include "proxy/hedge.h"
#include "proxy/mirror.h"
#include "proxy/snapshot.h"
#include "proxy/upgrade.h"
#include "proxy/worker.h"
#include "route/choice.h"
#include "route/router.h"
#include "tls/tls.h"
#include "upstream/pool.h"

/* Which state may follow which: bit by state. */
#define NEXT(state) (1u << EXCHANGE_##state)
static const unsigned successors[] = {
    [EXCHANGE_READING] = NEXT(FILTERING) | NEXT(ANSWERING) | NEXT(DONE),
    [EXCHANGE_FILTERING] = NEXT(CHOOSING) | NEXT(ANSWERING) | NEXT(DONE),
    [EXCHANGE_CHOOSING] = NEXT(FORWARDING) | NEXT(CHOOSING) | NEXT(ANSWERING) | NEXT(DONE),
    [EXCHANGE_FORWARDING] = NEXT(CHOOSING) | NEXT(ANSWERING) | NEXT(TUNNEL) | NEXT(DONE),
    [EXCHANGE_ANSWERING] = NEXT(DONE),
    [EXCHANGE_TUNNEL] = NEXT(DONE),
    [EXCHANGE_DONE] = 0,
};

void exchange_enter(struct exchange_run *run, enum exchange_state state)
{
    assert((successors[run->exchange.state] >> state & 1u) != 0);
    run->exchange.state = state;
}

/* ---- waits ---- */

static uint64_t wait_length(const struct exchange_run *run)
{
    const struct timeouts_config *timeouts = &run->snapshot->config->timeouts;
    switch (run->wait) {
    case WAIT_RESPONSE: {
        uint64_t a_try = run->patient && !run->up.ended ? 0 : run->pool->config->retry.try_timeout;
        uint64_t most = run->plan->response_timeout;
        return a_try != 0 && (most == 0 || a_try < most) ? a_try : most;
    }
    case WAIT_BODY:
        return run->plan->idle_timeout;
    case WAIT_TUNNEL:
        return run->up.ended || run->down.ended ? timeouts->half_closed : timeouts->tunnel_idle;
    case WAIT_RETRY:
        return run->retry_pause;
    case WAIT_NOTHING:
        break;
    }
    return 0;
}

void exchange_wait_for(struct exchange_run *run, enum exchange_wait wait)
{
    run->wait = wait;
    run->progress = loop_now(run->exchange.loop);
    uint64_t length = wait_length(run);
    if (length != 0)
        deadline_set(&run->deadline, run->exchange.loop, length);
    else
        deadline_clear(&run->deadline);
}

static enum failure wait_failure(enum exchange_wait wait)
{
    static const enum failure failures[] = {
        [WAIT_NOTHING] = FAILURE_INTERNAL,      [WAIT_RESPONSE] = FAILURE_RESPONSE_TIMEOUT,
        [WAIT_BODY] = FAILURE_RESPONSE_STALLED, [WAIT_TUNNEL] = FAILURE_TUNNEL_IDLE,
        [WAIT_RETRY] = FAILURE_INTERNAL,
    };
    return failures[wait];
}

/* The request is still on its way: at the client's pace, or held up by a server that takes none of it, for as
 * long as an answer may take. */
static bool request_comes(const struct exchange_run *run, uint64_t now)
{
    uint64_t most = run->plan->response_timeout;
    return !run->up.ended && !run->patient &&
           !(relay_is_blocked(&run->up) && most != 0 && now - run->progress >= most);
}

/* The server is not late while the client keeps it from sending, or while the client's body is still on its
 * way; of a conversation either side's bytes count. */
static bool wait_is_excused(const struct exchange_run *run, uint64_t now)
{
    return (run->wait == WAIT_BODY && relay_is_blocked(&run->down)) ||
           (run->wait == WAIT_RESPONSE && request_comes(run, now));
}

/* What the kernel holds for a slow client reaches it long after the last byte that weir has seen. */
static bool client_takes(struct exchange_run *run)
{
    struct stream *client = run->exchange.client_stream;
    if (run->client_closed)
        return false;
    struct stream_taken taken = client->ops->taken(client);
    bool more = taken.waits && taken.line != run->taken;
    run->taken = taken.line;
    return more;
}

/* Deadlines are not pushed back at each byte: they come early, look, and sleep on. */
static void wait_passed(struct deadline *deadline)
{
    struct exchange_run *run = CONTAINER_OF(deadline, struct exchange_run, deadline);
    uint64_t now = loop_now(run->exchange.loop);
    uint64_t due = run->progress + wait_length(run);
    bool takes = run->wait == WAIT_TUNNEL && client_takes(run);
    if (wait_is_excused(run, now) || (takes && now >= due))
        due = now + wait_length(run);
    if (now < due) {
        deadline_set(deadline, run->exchange.loop, due - now);
        return;
    }
    if (run->wait == WAIT_RETRY)
        forward_resume(run);
    else
        forward_timed_out(run, wait_failure(run->wait));
}

static void total_passed(struct deadline *deadline)
{
    struct exchange_run *run = CONTAINER_OF(deadline, struct exchange_run, total);
    exchange_fail(run, FAILURE_REQUEST_TIMEOUT);
    exchange_settle(run);
}

/* ---- tunnels ---- */

static void tunnel_passed(struct deadline *deadline)
{
    struct exchange_run *run = CONTAINER_OF(deadline, struct exchange_run, total);
    exchange_fail(run, run->conn->outdated ? FAILURE_RULES_CHANGED : FAILURE_RELOAD_DRAINED);
    exchange_settle(run);
}

/* Within how many milliseconds it has to end, as a reload has it; UINT64_MAX: it need not. */
static uint64_t tunnel_time(const struct exchange_run *run)
{
    const struct lease *current = run->worker->lease;
    const struct config *config = current->snapshot->config;
    uint64_t most = run->conn->outdated ? config->drain_timeout : UINT64_MAX;
    bool old = run->lease != current && config->reload_drain != RELOAD_DRAIN_NONE;
    return old && config->reload_drain < most ? config->reload_drain : most;
}

/* At a time of its own, so that not all clients come back at once. */
static void tunnel_end_in_time(struct exchange_run *run)
{
    uint64_t most = tunnel_time(run), now = loop_now(run->exchange.loop);
    /* Drawn once, or many reloads would bring it nearer and nearer. */
    if (most == UINT64_MAX || (deadline_is_set(&run->total) && run->total.due <= now + most))
        return;
    run->total.passed = tunnel_passed;
    deadline_set(&run->total, run->exchange.loop,
                 most != 0 ? 1 + rng_below(&run->worker->rng, (uint32_t)most) : 1);
}

void exchange_tunnel(struct exchange_run *run)
{
    exchange_enter(run, EXCHANGE_TUNNEL);
    list_push_back(&run->worker->tunnels, &run->tunnel);
    tunnel_end_in_time(run);
}

void exchanges_end_tunnels(struct worker *worker)
{
    LIST_EACH (node, &worker->tunnels)
        tunnel_end_in_time(CONTAINER_OF(node, struct exchange_run, tunnel));
}

/* ---- the end ---- */

void exchange_fail(struct exchange_run *run, enum failure why)
{
    struct exchange *x = &run->exchange;
    if (x->failure == FAILURE_NONE)
        x->failure = why;
    forward_abandon(run, why);
    if (run->client_closed || x->state == EXCHANGE_ANSWERING)
        return;
    if (run->head_sent) {
        deadline_clear(&run->deadline);
        x->client_stream->ops->reset(x->client_stream, why);
    } else {
        relay_drop(&run->up);
        answer_failure(run, why);
    }
}

/* Also where the client is in the middle of its head or of weir's own answer. */
static void exchange_cut(struct exchange_run *run, enum failure why)
{
    struct exchange *x = &run->exchange;
    if (x->state != EXCHANGE_READING && x->state != EXCHANGE_ANSWERING) {
        exchange_fail(run, why);
    } else {
        if (x->failure == FAILURE_NONE)
            x->failure = why;
        x->client_stream->ops->reset(x->client_stream, why);
    }
    exchange_settle(run);
}

static void cut_stream(struct stream *stream, void *argument);

void exchanges_cut(struct client_conn *conn, uint64_t snapshot)
{
    if (conn->http != NULL)
        http_conn_each(conn->http, cut_stream, &snapshot);
    else if (conn->lease->snapshot->number == snapshot)
        client_conn_close(conn);
}

static void exchange_free(struct retired *retired)
{
    struct exchange_run *run = CONTAINER_OF(retired, struct exchange_run, retired);
    arena_free(run->exchange.arena);
}

static void exchange_count(const struct exchange_run *run)
{
    static const enum counter_id classes[] = {COUNTER_responses_1xx, COUNTER_responses_2xx,
                                              COUNTER_responses_3xx, COUNTER_responses_4xx,
                                              COUNTER_responses_5xx};
    if (run->status == 101)
        counter_add(COUNTER_responses_1xx, 1);
    else if (run->status >= 200 && run->status < 600)
        counter_add(classes[run->status / 100 - 1], 1);
    counter_add(COUNTER_requests_active, -1);
    counter_add(COUNTER_bytes_from_clients, (int64_t)run->exchange.bytes_in);
    counter_add(COUNTER_bytes_to_clients, (int64_t)run->exchange.bytes_out);
    if (run->exchange.failure != FAILURE_NONE)
        counter_failure(run->exchange.failure);
}

/* The trailers' or, where a head is all there is, the head's. */
static struct span grpc_status(const struct exchange_run *run)
{
    if (!run->grpc || run->grpc_status.length != 0)
        return run->grpc_status;
    const struct field *status = fields_find(&run->exchange.response.fields, FIELD_GRPC_STATUS);
    return status != NULL ? status->value : SPAN_NONE;
}

static void exchange_log(struct exchange_run *run)
{
    if (run->snapshot->access_log == NULL)
        return;
    struct access_facts facts = {
        .plan = run->plan,
        .pool = run->pool != NULL ? run->pool->name : NULL,
        .server = run->exchange.server != NULL ? run->exchange.server->name : NULL,
        .server_protocol = run->exchange.server == NULL ? NULL
                           : run->server_http2          ? "HTTP/2"
                                                        : "HTTP/1.1",
        .attempts = run->failed,
        .attempts_count = run->failed_count,
        .status = run->status,
        .grpc_status = grpc_status(run),
        .servers_out = run->servers_out,
        .replayed = run->replayed,
        .upstream_reused = run->reused,
    };
    access_log_write(run->snapshot->access_log, &run->exchange, &facts);
}

void exchange_settle(struct exchange_run *run)
{
    if (run->ended || !run->client_closed || run->attempts_open != 0)
        return;
    run->ended = true;
    struct exchange *x = &run->exchange;
    list_remove(&run->tunnel);
    run->retired.free = exchange_free;
    exchange_enter(run, EXCHANGE_DONE);
    x->times.ended = loop_now_us(x->loop);
    deadline_clear(&run->deadline);
    deadline_clear(&run->total);
    relay_clear(&run->up);
    relay_clear(&run->down);
    replay_drop(&run->replay);
    if (run->mirror != NULL)
        mirror_drop(run);
    if (run->hedge != NULL)
        hedge_cancel(run);
    exchange_log(run);
    exchange_count(run);
    if (run->plan != NULL)
        filters_done(&run->plan->filters, x, run->filter_index);
    struct client_conn *conn = run->conn;
    lease_release(run->lease);
    loop_retire(x->loop, &run->retired);
    client_conn_exchange_done(conn);
}

/* ---- the request ---- */

static void tell_pattern(const struct exchange *x)
{
    log_warn("route",
             "a regular expression of a route could not be matched within its bounds; the request is refused",
             KV("route", x->route_name), KV_SPAN("path", x->target.path), KV_SPAN("query", x->target.query));
}

static void tell_made(const struct exchange *x)
{
    log_warn("route",
             "a template of a route made no path, host or location that can be sent; the request is refused",
             KV("route", x->route_name), KV_SPAN("made", x->made), KV_SPAN("path", x->target.path),
             KV_SPAN("query", x->target.query));
}

/* What the file made of a request that was right. */
static void tell_file(const struct exchange *x, enum failure why)
{
    if (why == FAILURE_PATTERN_FAILED)
        tell_pattern(x);
    else if (why == FAILURE_REWRITE_INVALID)
        tell_made(x);
}

static void answer_filtered(struct exchange_run *run)
{
    tell_file(&run->exchange, run->exchange.answer.failure);
    if (run->exchange.answer.failure != FAILURE_NONE && run->exchange.failure == FAILURE_NONE)
        run->exchange.failure = run->exchange.answer.failure;
    answer_send(run);
}

/* Of several pools the one where the client has a connection of its own; NULL: none. */
static const struct pool *owned_pool(const struct exchange_run *run)
{
    const struct upstream_owner *owner = &run->conn->owner;
    const struct plan *plan = run->plan;
    bool logs_in = auth_is_of_connection(&run->exchange.request), goes_on;
    for (uint32_t i = 0; i < plan->pools_count && !list_is_empty(&owner->conns); i++)
        if (upstream_owned_server(owner, plan->pools[i], logs_in, &goes_on) != NULL)
            return plan->pools[i];
    return NULL;
}

static const struct pool *pool_of(struct exchange_run *run)
{
    const struct plan *plan = run->plan;
    if (plan->single)
        return plan->pools[0];
    const struct pool *owned = owned_pool(run);
    if (owned != NULL)
        return owned;
    if (plan->config->split != NULL)
        return split_choose(run, plan);
    uint32_t pick = rng_below(&run->worker->rng, plan->weights_total);
    uint32_t i = 0;
    while (pick >= plan->weights[i])
        pick -= plan->weights[i++];
    return plan->pools[i];
}

static void exchange_answer(struct exchange_run *run, enum failure why)
{
    if (why == FAILURE_NONE) {
        answer_filtered(run);
        return;
    }
    tell_file(&run->exchange, why);
    exchange_fail(run, why);
}

static void exchange_act(struct exchange_run *run)
{
    struct exchange *x = &run->exchange;
    if (run->plan->action != NULL) {
        exchange_answer(run, action_answer(run->plan->action, x));
        return;
    }
    bool here;
    enum failure why = forwarded_count(x, &here);
    if (why != FAILURE_NONE || here) {
        exchange_answer(run, why != FAILURE_NONE ? why : answer_for_itself(x));
        return;
    }
    const struct pool *pool = pool_of(run);
    if (pool != NULL)
        forward_begin(run, pool);
    else
        exchange_fail(run, FAILURE_OVERLOADED);
}

static void exchange_filter(struct exchange_run *run)
{
    struct exchange *x = &run->exchange;
    exchange_enter(run, EXCHANGE_FILTERING);
    x->body_limit = run->plan->body_limit;
    enum failure why = upgrade_check(run);
    if (why == FAILURE_NONE && run->grpc && run->plan->grpc_web)
        why = grpc_bridge_begin(run);
    if (why == FAILURE_NONE && !forwarded_add(x, run->plan->forwarding))
        why = FAILURE_OVERLOADED;
    if (why != FAILURE_NONE) {
        exchange_fail(run, why);
        return;
    }
    enum verdict verdict = filters_request(&run->plan->filters, x, &run->filter_index);
    assert(verdict != VERDICT_WAIT); /* no kind of filter waits yet */
    if (verdict == VERDICT_ANSWERED)
        answer_filtered(run);
    else if (x->body_limit != 0 && x->request.body_length > (int64_t)x->body_limit)
        exchange_fail(run, FAILURE_BODY_TOO_LARGE);
    else
        exchange_act(run);
}

static enum failure prepare_target(struct exchange_run *run)
{
    struct exchange *x = &run->exchange;
    struct head *request = &x->request;
    enum failure why =
        request->line.request.method == METHOD_CONNECT ? upgrade_take_connect(run) : FAILURE_NONE;
    if (why == FAILURE_NONE)
        why = target_prepare_head(&x->target, request, x->arena);
    if (why == FAILURE_NONE)
        request->line.request.authority = x->target.authority;
    return why;
}

/* RFC 9110 7.4 and 15.5.20 */
static bool is_misdirected(const struct exchange_run *run)
{
    return run->conn->refused ||
           (run->site->checks_hosts &&
            !tls_transport_serves(http_conn_transport(run->conn->http), run->exchange.target.host));
}

/* How long the whole exchange may take, in ms; 0: as long as it will. A gRPC client says itself for how long
 * it waits. */
static uint64_t time_left(const struct exchange_run *run)
{
    uint64_t most = run->plan->timeout, asked;
    if (!run->grpc || !grpc_timeout(&run->exchange.request.fields, &asked))
        return most;
    asked = asked != 0 ? asked : 1;
    return most == 0 || asked < most ? asked : most;
}

static void tell_ambiguous(const struct exchange *x)
{
    const char *other = x->misreading.route;
    log_info("route", "a path takes one route or another, depending on who reads it",
             KV_SPAN("path", x->target.path), KV("route", x->route_name != NULL ? x->route_name : "none"),
             KV_SPAN("read_as", x->misreading.path), KV("other_route", other != NULL ? other : "none"));
}

/* Not the client's word alone: the trusted peer has let it through. */
static void tell_chain(const struct exchange *x)
{
    char peer[ADDRESS_TEXT_MAX];
    counter_add(COUNTER_chains_cut, 1);
    log_info("forwarding", "the begin of a chain that a trusted peer tells cannot be read, and was dropped",
             KV_SPAN("peer", ip_address_print(&x->peer, peer)),
             KV("header", x->chain == CHAIN_FORWARDED ? "Forwarded" : "X-Forwarded-For"));
}

static void client_head(struct stream *stream, struct head *head, bool last)
{
    struct exchange_run *run = stream->owner;
    struct exchange *x = &run->exchange;
    x->request = *head;
    run->up.ended = last;
    client_chain_find(x, run->snapshot);
    if (x->chain_cut)
        tell_chain(x);
    enum failure why = client_memory_takes_request(run->conn) ? FAILURE_NONE : FAILURE_OVERLOADED;
    if (why == FAILURE_NONE)
        why = forwarded_strip(&x->request, x->peer_trusted ? CLAIMS_KEPT : CLAIMS_DROPPED, x->arena);
    /* by what goes on, not by what Connection has named away */
    run->grpc = grpc_request_kind(&x->request) != GRPC_NONE;
    if (why == FAILURE_NONE)
        why = prepare_target(run);
    if (why == FAILURE_NONE && is_misdirected(run))
        why = FAILURE_MISDIRECTED;
    if (why == FAILURE_NONE) {
        why = route_choose(run->site->router, x);
        x->times.routed = loop_now_us(x->loop);
    }
    if (why != FAILURE_NONE) {
        x->route_name = x->route != NULL ? x->route->config->name : NULL;
        if (why == FAILURE_PATH_AMBIGUOUS)
            tell_ambiguous(x);
        else if (why == FAILURE_PATTERN_FAILED)
            tell_pattern(x);
        exchange_fail(run, why);
        return;
    }
    run->plan = &run->site->plans[router_number(run->site->router, x->route)];
    x->route_name = run->plan->name;
    uint64_t most = time_left(run);
    if (most != 0)
        deadline_set(&run->total, x->loop, most);
    exchange_filter(run);
}

static bool takes_body(const struct exchange_run *run)
{
    enum exchange_state state = run->exchange.state;
    return state == EXCHANGE_CHOOSING ||
           ((state == EXCHANGE_FORWARDING || state == EXCHANGE_TUNNEL) && run->attempt != NULL);
}

static void client_passes(struct exchange_run *run)
{
    run->conn->passed_at = (uint32_t)loop_now(run->exchange.loop);
}

static void client_body(struct stream *stream, struct buf *bytes, bool last)
{
    struct exchange_run *run = stream->owner;
    struct exchange *x = &run->exchange;
    x->bytes_in += bytes->length;
    if (bytes->length != 0)
        client_passes(run);
    size_t taken = bytes->length;
    if (!takes_body(run)) {
        run->up.ended = run->up.ended || last;
        relay_discard(&run->up, bytes, taken);
        return;
    }
    enum failure why = FAILURE_NONE;
    if (x->body_limit != 0 && x->bytes_in > x->body_limit && x->state != EXCHANGE_TUNNEL)
        why = FAILURE_BODY_TOO_LARGE;
    else if (run->bridge != NULL)
        why = grpc_bridge_request(run, bytes, last);
    if (why != FAILURE_NONE) {
        relay_discard(&run->up, bytes, taken);
        exchange_fail(run, why);
        exchange_settle(run);
        return;
    }
    run->progress = loop_now(x->loop);
    forward_body(run, bytes, taken, last);
    if (x->state == EXCHANGE_TUNNEL && last)
        exchange_wait_for(run, WAIT_TUNNEL);
}

static void client_trailers(struct stream *stream, struct fields *trailers)
{
    struct exchange_run *run = stream->owner;
    struct buf none = {0};
    if (!takes_body(run)) {
        run->up.ended = true;
    } else if (run->bridge != NULL && grpc_bridge_request(run, &none, true) != FAILURE_NONE) {
        exchange_fail(run, FAILURE_BAD_BODY);
        exchange_settle(run);
    } else {
        forward_trailers(run, trailers);
    }
}

static void client_sent(struct stream *stream, size_t bytes)
{
    struct exchange_run *run = stream->owner;
    if (run->wait == WAIT_TUNNEL) /* a client that takes its bytes slowly is not idle */
        run->progress = loop_now(run->exchange.loop);
    client_passes(run);
    relay_sent(&run->down, bytes);
}

static void client_refused(struct stream *stream, enum failure why)
{
    struct exchange_run *run = stream->owner;
    exchange_fail(run, why);
    exchange_settle(run);
}

static void client_closed(struct stream *stream, enum failure why)
{
    struct exchange_run *run = stream->owner;
    struct exchange *x = &run->exchange;
    run->client_closed = true;
    run->up.from = NULL;
    run->down.to = NULL;
    if (x->failure == FAILURE_NONE)
        x->failure = why;
    /* Of a tunnel that both sides have ended, the last bytes may still be on their way to the server. */
    bool tunnel_over = why == FAILURE_NONE && x->state == EXCHANGE_TUNNEL && run->up.ended && run->down.ended;
    if (!tunnel_over)
        forward_abandon(run, why == FAILURE_NONE ? FAILURE_NONE : FAILURE_CLIENT_CLOSED);
    exchange_settle(run);
}

/* The bytes that a server has not taken are counted by the stream, until they are credited. */
static size_t client_held(const struct stream *stream)
{
    const struct exchange_run *run = stream->owner;
    return buf_held(&run->up.held) + buf_held(&run->replay.kept);
}

static const struct stream_events client_events = {
    .head = client_head,
    .body = client_body,
    .trailers = client_trailers,
    .sent = client_sent,
    .refused = client_refused,
    .closed = client_closed,
    .held = client_held,
};

static void exchange_meet_client(struct exchange *x, const struct client_conn *conn)
{
    x->peer = conn->peer;
    x->client = conn->peer;
    x->tls = conn->tls;
    x->https = conn->tls || conn->preface_tls;
    x->http2 = conn->http->version == HTTP_2;
    x->local = span_of(conn->site->config->name);
    if (!conn->tls)
        return;
    struct tls_facts facts = tls_transport_facts(http_conn_transport(conn->http));
    x->tls_version = span_of(facts.version);
    x->server_name = facts.server_name;
}

static void cut_stream(struct stream *stream, void *argument)
{
    const uint64_t *snapshot = argument;
    struct exchange_run *run = stream->owner;
    if (stream->events == &client_events && run->snapshot->number == *snapshot && !run->client_closed)
        exchange_cut(run, FAILURE_RELOAD_DRAINED);
}

void exchange_begin(struct client_conn *conn, struct stream *stream)
{
    _Static_assert(sizeof(struct exchange_run) <= HTTP_STREAM_ROOM_MOST, "http_settings.stream_room");
    struct exchange_run *run = memset(stream->room, 0, sizeof *run);
    struct worker *worker = conn->worker;
    struct exchange *x = &run->exchange;
    worker_keep_warm(worker);
    conn->exchanges++;
    run->conn = conn;
    run->worker = worker;
    run->lease = conn->lease;
    run->lease->users++;
    run->snapshot = run->lease->snapshot;
    run->site = conn->site;
    x->number = worker->exchange_number++;
    x->arena = stream->arena;
    x->loop = worker->loop;
    x->client_stream = stream;
    x->times.began = stream->began_us != 0 ? stream->began_us : loop_now_us(worker->loop);
    exchange_meet_client(x, conn);
    run->deadline.passed = wait_passed;
    run->total.passed = total_passed;
    stream->owner = run;
    stream->events = &client_events;
    stream->window = run->snapshot->config->limits.window;
    stream->window_grows = 1;
    relay_init(&run->up, stream, stream->window);
    counter_add(COUNTER_requests, 1);
    counter_add(COUNTER_requests_active, 1);
}
