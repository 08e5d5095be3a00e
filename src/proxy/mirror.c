/* Each copy is on its own: it has an arena, a hold on the snapshot, one connection to a server and one
 * deadline, and is no exchange. */
#include "proxy/mirror.h"

#include <assert.h>

#include "base/arena.h"
#include "base/counters.h"
#include "base/memory.h"
#include "config/config.h"
#include "http/head.h"
#include "http/stream.h"
#include "proxy/exchange_state.h"
#include "proxy/retry.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "upstream/pool.h"
#include "upstream/server.h"

struct mirror {
    struct upstream_waiter waiter;
    struct list at; /* worker->mirrors */
    struct worker *worker;
    struct lease *lease;
    struct ip_address client;
    struct arena *arena; /* it lies here */
    struct stream *stream;
    struct head request;
    struct buf body;
    struct fields trailers;
    size_t window;
    uint64_t sent_us;
    struct deadline deadline;
    struct retired retired;
};

static void mirror_free(struct retired *retired)
{
    struct mirror *mirror = CONTAINER_OF(retired, struct mirror, retired);
    arena_free(mirror->arena);
}

static void mirror_end(struct mirror *mirror, bool answered)
{
    if (!answered)
        counter_add(COUNTER_mirrors_failed, 1);
    deadline_clear(&mirror->deadline);
    buf_clear(&mirror->body);
    list_remove(&mirror->at);
    mirror->worker->mirrors_count--;
    loop_retire(mirror->worker->loop, &mirror->retired);
    lease_release(mirror->lease);
}

/* ---- the answer ---- */

static void answer_head(struct stream *stream, struct head *head, bool last)
{
    struct mirror *mirror = stream->owner;
    unsigned status = head->line.response.status;
    (void)last;
    if (status >= 200)
        upstream_answered(mirror->worker->upstreams, &mirror->waiter, status, mirror->sent_us);
}

static void answer_body(struct stream *stream, struct buf *bytes, bool last)
{
    size_t length = bytes->length;
    (void)last;
    buf_clear(bytes);
    stream->ops->credit(stream, length);
}

static void answer_trailers(struct stream *stream, struct fields *trailers)
{
    (void)stream;
    (void)trailers;
}

static void answer_sent(struct stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void answer_refused(struct stream *stream, enum failure why)
{
    (void)stream;
    (void)why;
    assert(0 && "refused() is of the server role");
}

static void answer_closed(struct stream *stream, enum failure why)
{
    struct mirror *mirror = stream->owner;
    mirror->stream = NULL;
    upstream_done(mirror->worker->upstreams, &mirror->waiter, why);
    mirror_end(mirror, why == FAILURE_NONE);
}

static const struct stream_events answer_events = {
    .head = answer_head,
    .body = answer_body,
    .trailers = answer_trailers,
    .sent = answer_sent,
    .refused = answer_refused,
    .closed = answer_closed,
};

/* ---- the request ---- */

static void mirror_ready(struct upstream_waiter *waiter, struct stream *stream)
{
    struct mirror *mirror = CONTAINER_OF(waiter, struct mirror, waiter);
    mirror->stream = stream;
    stream->events = &answer_events;
    stream->owner = mirror;
    stream->arena = mirror->arena;
    stream->window = mirror->window;
    bool trails = mirror->trailers.count != 0, whole = buf_is_empty(&mirror->body) && !trails;
    mirror->sent_us = loop_now_us(mirror->worker->loop);
    struct span *authority = &mirror->request.line.request.authority;
    if (authority->length == 0)
        *authority = server_authority(waiter->server);
    stream->ops->send_head(stream, &mirror->request, whole);
    if (!buf_is_empty(&mirror->body))
        stream->ops->send_body(stream, &mirror->body, !trails);
    if (trails)
        stream->ops->send_trailers(stream, &mirror->trailers);
}

static void mirror_failed(struct upstream_waiter *waiter, enum failure why)
{
    (void)why;
    mirror_end(CONTAINER_OF(waiter, struct mirror, waiter), false);
}

static void mirror_give_up(struct mirror *mirror, enum failure why)
{
    if (mirror->stream != NULL) {
        mirror->stream->ops->reset(mirror->stream, why);
        return;
    }
    upstream_give_up(mirror->worker->upstreams, &mirror->waiter);
    mirror_end(mirror, false);
}

static void mirror_timed_out(struct deadline *deadline)
{
    mirror_give_up(CONTAINER_OF(deadline, struct mirror, deadline), FAILURE_RESPONSE_TIMEOUT);
}

void mirrors_stop(struct worker *worker)
{
    LIST_EACH_SAFE (node, after, &worker->mirrors)
        mirror_give_up(CONTAINER_OF(node, struct mirror, at), FAILURE_SHUTTING_DOWN);
}

void mirrors_shed(struct worker *worker)
{
    LIST_EACH_SAFE (node, after, &worker->mirrors)
        mirror_give_up(CONTAINER_OF(node, struct mirror, at), FAILURE_OVERLOADED);
}

void mirrors_cut(struct worker *worker, uint64_t snapshot)
{
    LIST_EACH_SAFE (node, after, &worker->mirrors) {
        struct mirror *mirror = CONTAINER_OF(node, struct mirror, at);
        if (mirror->lease->snapshot->number == snapshot)
            mirror_give_up(mirror, FAILURE_RELOAD_DRAINED);
    }
}

/* Copies are nobody's request: they take no memory that others begin to want. */
static bool has_room(const struct exchange_run *run)
{
    const struct other_server anybody = {.pool = run->plan->mirror, .free_now = true};
    return memory_level() == MEMORY_PLENTY &&
           run->worker->mirrors_count < run->plan->config->mirror->max_in_flight &&
           upstream_has_other(run->worker->upstreams, &anybody);
}

/* Head and trailers as they are to be sent, in the copy's own arena. */
static bool fields_take(struct mirror *mirror, const struct exchange_run *run, const struct fields *trailers)
{
    if (!head_copy(&mirror->request, &run->exchange.request, true, mirror->arena) ||
        (trailers != NULL && !fields_copy(&mirror->trailers, trailers, mirror->arena)))
        return false;
    (void)fields_remove(&mirror->request.fields, FIELD_EXPECT); /* the body is at hand */
    if (!retry_came_so(run)) /* how often the request was sent, which the copy was not */
        (void)fields_remove_name(&mirror->request.fields, SPAN("X-Attempt"));
    mirror->request.expect_continue = false;
    return true;
}

static void mirror_skip(void)
{
    counter_add(COUNTER_mirrors_skipped, 1);
}

/* body: taken; trailers: NULL for none. */
static void mirror_send(struct exchange_run *run, struct buf *body, const struct fields *trailers)
{
    struct worker *worker = run->worker;
    struct arena *arena = has_room(run) ? arena_new(head_arena_most(&run->snapshot->config->limits)) : NULL;
    struct mirror *mirror = arena != NULL ? arena_get_zeroed(arena, sizeof *mirror) : NULL;
    if (mirror != NULL)
        mirror->arena = arena;
    if (mirror == NULL || !fields_take(mirror, run, trailers)) {
        arena_free(arena);
        mirror_skip();
        return;
    }
    counter_add(COUNTER_mirrors, 1);
    mirror->worker = worker;
    mirror->lease = lease_hold(run->lease);
    mirror->window = run->snapshot->config->limits.window;
    mirror->retired.free = mirror_free;
    buf_move(&mirror->body, body);
    list_push_back(&worker->mirrors, &mirror->at);
    worker->mirrors_count++;
    mirror->deadline.passed = mirror_timed_out;
    deadline_set(&mirror->deadline, worker->loop, run->plan->config->mirror->timeout);
    mirror->waiter.ready = mirror_ready;
    mirror->waiter.failed = mirror_failed;
    mirror->waiter.pool = run->plan->mirror;
    mirror->client = run->exchange.client;
    mirror->waiter.client = &mirror->client;
    mirror->waiter.priority = PRIORITY_LOW; /* the shadow pool may have requests of its own */
    upstream_open(worker->upstreams, &mirror->waiter);
}

void mirror_begin(struct exchange_run *run)
{
    const struct mirror_config *config = run->plan->config->mirror;
    if (run->upgrading || run->logs_in || rng_below(&run->worker->rng, 100) >= config->share)
        return;
    if (run->up.ended) {
        struct buf none = {0};
        mirror_send(run, &none, NULL);
        return;
    }
    run->mirror = has_room(run) ? arena_get_zeroed(run->exchange.arena, sizeof *run->mirror) : NULL;
    if (run->mirror == NULL)
        mirror_skip();
}

void mirror_drop(struct exchange_run *run)
{
    buf_clear(&run->mirror->kept);
    run->mirror = NULL;
    mirror_skip();
}

void mirror_body(struct exchange_run *run, const struct buf *bytes, bool last)
{
    struct mirror_body *body = run->mirror;
    bool fits = memory_level() == MEMORY_PLENTY &&
                body->kept.length + bytes->length <= run->pool->config->retry.buffer;
    if (!fits || (bytes->length != 0 && !buf_share(&body->kept, bytes))) {
        mirror_drop(run);
        return;
    }
    if (last)
        mirror_trailers(run, NULL);
}

void mirror_trailers(struct exchange_run *run, const struct fields *trailers)
{
    struct mirror_body *body = run->mirror;
    run->mirror = NULL;
    mirror_send(run, &body->kept, trailers);
    buf_clear(&body->kept);
}
