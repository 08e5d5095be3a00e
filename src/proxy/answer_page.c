/* weir's own responses: configured ones, redirects, and the page of a failure. A page says the status and the
 * request id, nothing internal. */
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/rng.h"
#include "http/accept.h"
#include "http/grpc.h"
#include "http/head.h"
#include "proxy/client_conn.h"
#include "proxy/exchange_state.h"
#include "proxy/grpc_bridge.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"

#define BODY_COPIED 2048u

/* After these the connection ends (protocol.md, "What each bad input gets"): where the next request would
 * begin is not sure, or the peer is too slow or too much. */
static bool status_closes(unsigned status)
{
    return status == 400 || status == 405 || status == 408 || status == 413 || status == 414 ||
           status == 431 || status == 501 || status == 505;
}

/* It has to be named: who takes anything gets text, which people can read. */
static bool wants_json(const struct exchange *x)
{
    const struct fields *fields = &x->request.fields;
    struct acceptance json = accept_of(fields, SPAN("application"), SPAN("json"));
    if (json.range <= ACCEPT_ANY || json.weight == 0)
        return false;
    struct acceptance text = accept_of(fields, SPAN("text"), SPAN("plain"));
    return json.weight > text.weight || (json.weight == text.weight && json.range >= text.range);
}

/* What a person needs to go on: a word where the status alone would not help them. */
static const char *page_hint(enum failure why)
{
    return why == FAILURE_VERSION_UNKNOWN ? "This port speaks HTTP/1.0 and HTTP/1.1.\n" : "";
}

static struct span page_body(struct exchange *x, unsigned status, enum failure why)
{
    struct span reason = status_reason(status);
    struct span id = exchange_request_id(x);
    if (wants_json(x))
        return arena_print(x->arena, "{\"status\":%u,\"error\":\"%.*s\",\"request_id\":\"%.*s\"}\n", status,
                           (int)reason.length, reason.at, (int)id.length, id.length != 0 ? id.at : "");
    return arena_print(x->arena, "%u %.*s\n%srequest id: %.*s\n", status, (int)reason.length, reason.at,
                       page_hint(why), (int)id.length, id.length != 0 ? id.at : "");
}

static bool response_add(struct exchange *x, uint16_t id, struct span value)
{
    return fields_add(&x->response.fields, x->arena, field_names[id], value, id);
}

/* What the file or a filter says takes the place of what weir says by itself, where a response has one of it.
 */
static bool response_add_all(struct exchange *x, const struct fields *fields)
{
    for (uint16_t i = 0; i < fields->count; i++)
        if (fields->items[i].id == FIELD_DATE || fields->items[i].id == FIELD_CONTENT_TYPE)
            fields_remove(&x->response.fields, fields->items[i].id);
    for (uint16_t i = 0; i < fields->count; i++)
        if (!fields_add(&x->response.fields, x->arena, fields->items[i].name, fields->items[i].value,
                        fields->items[i].id))
            return false;
    return true;
}

static bool response_begin(struct exchange *x, unsigned status)
{
    x->response = (struct head){0};
    x->response.line.response.status = (uint16_t)status;
    x->response.line.response.reason = status_reason(status);
    return response_add(x, FIELD_DATE,
                        clock_http_now(loop_now_us(x->loop))); /* written before the clock is asked again */
}

/*
 * A gRPC client takes no pages: a response of trailers only says the status and, as the message, what went
 * wrong (PROTOCOL-HTTP2.md, "Responses"). Those that the file configures stay what it says.
 */
static bool wants_grpc_status(const struct exchange *x)
{
    return x->answer.failure != FAILURE_NONE && x->answer.body.at == NULL &&
           grpc_request_kind(&x->request) == GRPC_PLAIN;
}

static bool grpc_fields(struct exchange *x, struct fields *fields, enum failure why)
{
    struct span status = arena_print(x->arena, "%d", (int)failure_info[why].grpc);
    struct span id = exchange_request_id(x);
    struct span text = arena_print(x->arena, "%s (request id %.*s)", failure_info[why].text, (int)id.length,
                                   id.length != 0 ? id.at : "");
    struct span message = text.at != NULL ? grpc_message(text, x->arena) : SPAN_NONE;
    return status.at != NULL && message.at != NULL &&
           fields_add(fields, x->arena, field_names[FIELD_GRPC_STATUS], status, FIELD_GRPC_STATUS) &&
           fields_add(fields, x->arena, field_names[FIELD_GRPC_MESSAGE], message, FIELD_GRPC_MESSAGE);
}

static bool describe_grpc(struct exchange_run *run, struct buf *bytes)
{
    struct exchange *x = &run->exchange;
    struct fields trailers = {0};
    if (run->bridge != NULL)
        return grpc_fields(x, &trailers, x->answer.failure) &&
               grpc_bridge_answer(run, &trailers, bytes) == FAILURE_NONE;
    return response_add(x, FIELD_CONTENT_TYPE, SPAN("application/grpc")) &&
           grpc_fields(x, &x->response.fields, x->answer.failure);
}

static void answer_write(struct exchange_run *run, struct buf *bytes)
{
    struct exchange *x = &run->exchange;
    bool no_body = bytes->length == 0 || x->request.line.request.method == METHOD_HEAD ||
                   run->status == 204 || run->status == 304;
    x->response.body_length = (int64_t)bytes->length;
    x->response.length_given = run->status != 204 && run->status != 304;
    x->times.answered = loop_now_us(x->loop);
    run->head_sent = true;
    exchange_wait_for(run, WAIT_NOTHING);
    x->client_stream->ops->send_head(x->client_stream, &x->response, no_body);
    if (no_body)
        return;
    x->bytes_out += bytes->length;
    x->client_stream->ops->send_body(x->client_stream, bytes, true);
}

/* By lot, so that those who are turned away together do not come back together. */
static struct span retry_after(struct exchange_run *run)
{
    static const struct span seconds[] = {{"1", 1}, {"2", 1}};
    return seconds[rng_below(&run->worker->rng, 2)];
}

/* A body that all answers share is not copied for each: who asks often and reads nothing would make weir hold
 * it as often. A small one lies best behind its head, where one connection has one answer at a time. */
static bool body_add(struct exchange_run *run, struct span body, struct buf *bytes)
{
    if (!run->exchange.answer.body_lasts || (body.length <= BODY_COPIED && !run->exchange.http2))
        return buf_add_span(bytes, body);
    struct block *lent = lease_lend(run->lease);
    bool added = buf_add_block(bytes, lent, (char *)(uintptr_t)body.at, body.length);
    block_release(lent);
    return added;
}

/* The fields that say what the answer is. */
static bool describe(struct exchange_run *run, struct buf *bytes)
{
    struct exchange *x = &run->exchange;
    const struct answer *answer = &x->answer;
    bool page = answer->failure != FAILURE_NONE && answer->body.at == NULL;
    struct span type = page ? (wants_json(x) ? SPAN("application/json") : SPAN("text/plain; charset=utf-8"))
                            : answer->content_type;
    struct span body = page ? page_body(x, answer->status, answer->failure) : answer->body;
    if ((page && body.at == NULL) || (body.length != 0 && !body_add(run, body, bytes)))
        return false;
    return (type.length == 0 || body.length == 0 || response_add(x, FIELD_CONTENT_TYPE, type)) &&
           (answer->status != 503 || answer->failure == FAILURE_NONE ||
            response_add(x, FIELD_RETRY_AFTER, retry_after(run)));
}

void answer_send(struct exchange_run *run)
{
    struct exchange *x = &run->exchange;
    const struct answer *answer = &x->answer;
    bool grpc = wants_grpc_status(x);
    struct buf bytes = {0};
    exchange_enter(run, EXCHANGE_ANSWERING);
    run->status = grpc ? 200 : answer->status;
    bool fits = response_begin(x, run->status) &&
                (grpc ? describe_grpc(run, &bytes) : describe(run, &bytes)) &&
                response_add_all(x, &answer->fields) && response_add_all(x, &x->response_fields) &&
                (run->plan == NULL || filters_response(&run->plan->filters, x));
    if (!fits) {
        buf_clear(&bytes);
        x->client_stream->ops->reset(x->client_stream, FAILURE_OVERLOADED);
        return;
    }
    x->response.close = answer->failure != FAILURE_NONE && status_closes(answer->status);
    answer_write(run, &bytes);
    buf_clear(&bytes);
}

void answer_failure(struct exchange_run *run, enum failure why)
{
    struct exchange *x = &run->exchange;
    if (failure_info[why].status == 0 || failure_info[why].status == 499) {
        x->client_stream->ops->reset(x->client_stream, why);
        return;
    }
    x->answer = (struct answer){.status = failure_info[why].status, .failure = why};
    answer_send(run);
}
