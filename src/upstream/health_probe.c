/*
 * A probe connects, for HTTP sends a request and judges status and body, tells, and hangs up. When the head
 * alone is enough it is told at once, and the rest of a short body is read before hanging up, so that the
 * server sees a clean end. When to ask and what the answers mean is health.c's.
 */
#include "upstream/health_probe.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/text.h"
#include "config/config.h"
#include "http/head.h"
#include "http/http_conn.h"
#include "http/stream.h"
#include "net/loop.h"
#include "net/socket.h"
#include "net/transport.h"
#include "tls/tls.h"
#include "upstream/health_grpc.h"
#include "upstream/server.h"

#define BODY_MOST 65536u   /* bytes that are looked at */
#define ARENA_MOST 131072u /* of the response head */
#define WHY_SIZE 160

static const char not_made[] = "weir could not ask";

struct health_probe {
    struct loop *loop;
    const struct health_config *config; /* NULL once told: it may be gone */
    const struct server *server;
    struct tls_client *tls; /* a reference; NULL: plain */
    enum pool_protocol protocol;
    void (*done)(void *owner, enum probe_verdict verdict, const char *why);
    void *owner;
    struct transport *transport; /* until the codec takes it over */
    struct http_conn *http;
    struct stream *stream; /* NULL when none is open */
    struct arena *arena;
    struct text body;        /* so far, when a text is looked for, or of gRPC */
    struct span grpc_status; /* in the arena */
    size_t body_length;
    struct deadline deadline;
    struct task fail; /* when it could not even begin */
    struct retired retired;
    struct address address;
    unsigned address_tries;
    bool told, closing;
    bool not_made;       /* for want of something of weir's own */
    bool has_descriptor; /* counted in base/descriptors.h */
    char why[WHY_SIZE];
};

/* What a codec obeys when no snapshot says: the defaults of the file. Its waits are the probe's own deadline.
 */
static const struct limits_config probe_limits = {
    .request_head = 16384,
    .request_line = 8192,
    .fields = 100,
    .response_head = 32768,
    .window = BODY_MOST,
    .stream_window = BODY_MOST,
    .connection_window = 4 * BODY_MOST,
    .interim_responses = 8,
};
static const struct timeouts_config probe_timeouts = {
    .request_head = 10000,
    .keep_alive = 60000,
    .request_idle = 30000,
    .write = 30000,
    .linger = 2000,
    .response = 60000,
    .response_idle = 60000,
};
static const struct http_settings probe_settings = {.limits = &probe_limits, .timeouts = &probe_timeouts};

static const struct transport_events probe_transport_events;
static const struct http_conn_events probe_http_events;
static const struct stream_events probe_stream_events;

/* --- the end --- */

static void probe_free(struct retired *retired)
{
    struct health_probe *probe = CONTAINER_OF(retired, struct health_probe, retired);
    arena_free(probe->arena);
    text_free(&probe->body);
    tls_client_release(probe->tls);
    free(probe);
}

static void probe_end(struct health_probe *probe)
{
    if (probe->has_descriptor)
        descriptors_give(1);
    probe->has_descriptor = false;
    deadline_clear(&probe->deadline);
    loop_cancel(probe->loop, &probe->fail);
    loop_retire(probe->loop, &probe->retired);
}

/* closed() comes from the loop and ends it. */
static void probe_close(struct health_probe *probe)
{
    if (probe->closing)
        return;
    probe->closing = true;
    if (probe->http != NULL)
        http_conn_close(probe->http);
    else if (probe->transport != NULL)
        transport_close(probe->transport);
    else
        probe_end(probe);
}

static void probe_tell(struct health_probe *probe, enum probe_verdict verdict, const char *why)
{
    if (probe->told)
        return;
    probe->told = true;
    probe->config = NULL;
    probe->done(probe->owner, verdict, why);
}

static void probe_ends(struct health_probe *probe, enum probe_verdict verdict, const char *why)
{
    probe_close(probe);
    probe_tell(probe, verdict, why);
}

/* The connection has ended. What weir lacks says nothing of the server. */
static void probe_ends_by(struct health_probe *probe, enum failure why)
{
    bool own = why == FAILURE_OVERLOADED || http_conn_transport(probe->http)->error == ENOMEM;
    probe_ends(probe, own ? PROBE_NOT_MADE : PROBE_FAILED, own ? not_made : failure_info[why].text);
}

static void probe_fails(struct health_probe *probe, const char *why)
{
    probe_ends(probe, PROBE_FAILED, why);
}

/* Of an answer whose status is not the one wanted. */
static void probe_fails_by_status(struct health_probe *probe, unsigned status)
{
    snprintf(probe->why, sizeof probe->why, "status %u", status);
    probe_ends(probe, status >= 500 && status < 600 ? PROBE_SICK : PROBE_FAILED, probe->why);
}

static void probe_lacks_text(struct health_probe *probe)
{
    probe_ends(probe, PROBE_SICK, "answer lacks the expected text");
}

static void probe_passes(struct health_probe *probe, bool over)
{
    if (over)
        probe_close(probe);
    probe_tell(probe, PROBE_PASSED, "");
}

static void probe_took_too_long(struct deadline *deadline)
{
    struct health_probe *probe = CONTAINER_OF(deadline, struct health_probe, deadline);
    probe_fails(probe, probe->http != NULL ? "no answer in time" : "no connection in time");
}

/* --- judging --- */

static bool status_is_in(const char *text, unsigned status)
{
    unsigned low = 0, high = 0;
    int end = 0;
    if (sscanf(text, "%1uxx%n", &low, &end) == 1 && end == 3 && text[end] == '\0')
        return status / 100 == low;
    if (sscanf(text, "%3u-%3u%n", &low, &high, &end) == 2 && text[end] == '\0')
        return status >= low && status <= high;
    return sscanf(text, "%3u%n", &low, &end) == 1 && text[end] == '\0' && status == low;
}

bool health_status_matches(const struct texts *expected, unsigned status)
{
    for (size_t i = 0; i < expected->count; i++)
        if (status_is_in(expected->items[i], status))
            return true;
    return expected->count == 0 && status >= 200 && status < 400;
}

static void probe_note_status(struct health_probe *probe, const struct fields *fields)
{
    const struct field *status = fields_find(fields, FIELD_GRPC_STATUS);
    if (status != NULL)
        probe->grpc_status = status->value;
}

static void probe_judge_grpc(struct health_probe *probe)
{
    const char *why;
    enum probe_verdict verdict = health_grpc_judge(text_span(&probe->body), probe->grpc_status, &why);
    probe_ends(probe, verdict, why);
}

static void grpc_head(struct health_probe *probe, const struct head *head, bool last)
{
    unsigned status = head->line.response.status;
    if (status != 200) {
        probe_fails_by_status(probe, status);
        return;
    }
    probe_note_status(probe, &head->fields); /* an answer without a message has it here */
    if (last)
        probe_judge_grpc(probe);
}

static void grpc_body(struct health_probe *probe, const struct buf *bytes, bool last)
{
    for (const struct slice *slice = bytes->first; slice != NULL; slice = slice->next)
        text_add(&probe->body, span_make(slice->at, slice->length));
    if (last)
        probe_judge_grpc(probe);
    else if (text_span(&probe->body).length > HEALTH_GRPC_ANSWER_MOST)
        probe_fails(probe, "answer is not a message of grpc.health.v1");
}

static void stream_head(struct stream *stream, struct head *head, bool last)
{
    struct health_probe *probe = stream->owner;
    unsigned status = head->line.response.status;
    if (probe->told || status < 200)
        return;
    if (probe->config->type == PROBE_GRPC) {
        grpc_head(probe, head, last);
        return;
    }
    if (!health_status_matches(&probe->config->expect_status, status)) {
        probe_fails_by_status(probe, status);
    } else if (probe->config->expect_body == NULL) {
        probe_passes(probe, last);
    } else if (last) {
        probe_ends(probe, PROBE_SICK, "answer has no body");
    }
}

/* Looks through what came, and the end of what came before. */
static void probe_search(struct health_probe *probe, const struct buf *bytes, bool last)
{
    struct span wanted = span_of(probe->config->expect_body);
    for (const struct slice *slice = bytes->first; slice != NULL; slice = slice->next)
        text_add(&probe->body, span_make(slice->at, slice->length));
    struct span body = text_span(&probe->body);
    size_t before = body.length - bytes->length;
    size_t from = before > wanted.length ? before - wanted.length : 0;
    if (body.length > from && memmem(body.at + from, body.length - from, wanted.at, wanted.length) != NULL)
        probe_passes(probe, last);
    else if (last || body.length >= BODY_MOST)
        probe_lacks_text(probe);
}

static void stream_body(struct stream *stream, struct buf *bytes, bool last)
{
    struct health_probe *probe = stream->owner;
    size_t length = bytes->length;
    probe->body_length += length;
    if (!probe->told && probe->config->type == PROBE_GRPC)
        grpc_body(probe, bytes, last);
    else if (!probe->told)
        probe_search(probe, bytes, last);
    if (probe->told && (last || probe->body_length >= BODY_MOST))
        probe_close(probe);
    buf_clear(bytes);
    if (!probe->closing && length != 0)
        stream->ops->credit(stream, length);
}

static void stream_trailers(struct stream *stream, struct fields *trailers)
{
    struct health_probe *probe = stream->owner;
    if (!probe->told && probe->config->type == PROBE_GRPC) {
        probe_note_status(probe, trailers);
        probe_judge_grpc(probe);
    } else if (!probe->told)
        probe_lacks_text(probe);
    probe_close(probe);
}

static void stream_sent(struct stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void stream_refused(struct stream *stream, enum failure why)
{
    (void)stream;
    (void)why;
    assert(false); /* refused() is of the server role */
}

static void stream_closed(struct stream *stream, enum failure why)
{
    struct health_probe *probe = stream->owner;
    probe->stream = NULL;
    probe_ends_by(probe, why);
}

static const struct stream_events probe_stream_events = {
    .head = stream_head,
    .body = stream_body,
    .trailers = stream_trailers,
    .sent = stream_sent,
    .refused = stream_refused,
    .closed = stream_closed,
};

/* --- asking --- */

static struct head probe_request(const struct health_probe *probe)
{
    const struct health_config *config = probe->config;
    bool grpc = config->type == PROBE_GRPC;
    struct span path = span_of(grpc ? HEALTH_GRPC_PATH : config->path), query = SPAN_NONE;
    size_t mark = span_find(path, '?');
    if (mark != path.length) {
        query = span_skip(path, mark + 1);
        path = span_first(path, mark);
    }
    bool local = probe->address.socket.any.sa_family == AF_UNIX;
    const char *host = config->host != NULL ? config->host
                       : local              ? "localhost"
                                            : probe->server->address_text;
    struct head head = {.body_length = grpc ? BODY_OF_UNKNOWN_LENGTH : BODY_NONE, .minor_version = 1};
    head.accepts_trailers = grpc;
    head.line.request.method_name = span_of(grpc ? "POST" : config->method);
    head.line.request.method = method_of(head.line.request.method_name);
    head.line.request.authority = span_of(host);
    head.line.request.path = path;
    head.line.request.query = query;
    return head;
}

static bool probe_add_fields(const struct health_probe *probe, struct fields *fields)
{
    bool grpc = probe->config->type == PROBE_GRPC;
    struct span name = grpc ? SPAN("Content-Type") : SPAN("Accept");
    return fields_add(fields, probe->arena, SPAN("User-Agent"), SPAN("weir"), field_id(SPAN("User-Agent"))) &&
           fields_add(fields, probe->arena, name, grpc ? SPAN("application/grpc") : SPAN("*/*"),
                      field_id(name));
}

static void probe_ask(struct health_probe *probe)
{
    struct head head = probe_request(probe);
    struct buf message = {0};
    bool grpc = probe->config->type == PROBE_GRPC;
    probe->arena = arena_new(ARENA_MOST);
    probe->stream = http_conn_open(probe->http);
    if (probe->stream == NULL) {
        probe_ends(probe, PROBE_NOT_MADE, not_made);
        return;
    }
    probe->stream->events = &probe_stream_events;
    probe->stream->owner = probe;
    probe->stream->arena = probe->arena;
    probe->stream->window = BODY_MOST;
    if (probe->arena == NULL || !probe_add_fields(probe, &head.fields) ||
        (grpc && !health_grpc_ask(&message, span_of(probe->config->service)))) {
        buf_clear(&message);
        probe_ends(probe, PROBE_NOT_MADE, not_made);
        return;
    }
    probe->stream->ops->send_head(probe->stream, &head, !grpc);
    if (grpc)
        probe->stream->ops->send_body(probe->stream, &message, true);
}

static void conn_opened(struct http_conn *http, struct stream *stream)
{
    (void)http;
    (void)stream;
    assert(false); /* servers open no streams */
}

static void conn_idle(struct http_conn *http)
{
    probe_close(http->owner);
}

static void conn_closed(struct http_conn *http, enum failure why)
{
    struct health_probe *probe = http->owner;
    probe->closing = true;
    probe_ends_by(probe, why);
    probe_end(probe);
}

static const struct http_conn_events probe_http_events = {
    .opened = conn_opened, .idle = conn_idle, .closed = conn_closed};

/* --- connecting --- */

static void set_port(struct address *address, uint64_t port)
{
    if (port == 0)
        return;
    if (address->socket.any.sa_family == AF_INET)
        address->socket.v4.sin_port = htons((uint16_t)port);
    else if (address->socket.any.sa_family == AF_INET6)
        address->socket.v6.sin6_port = htons((uint16_t)port);
}

/* Log text begins in lower case, unless it is an abbreviation. */
static void probe_why(struct health_probe *probe, const char *text)
{
    snprintf(probe->why, sizeof probe->why, "%s", text);
    if (probe->why[0] != '\0' && ascii_lower(probe->why[1]) == probe->why[1])
        probe->why[0] = ascii_lower(probe->why[0]);
}

/* By what the last address has come to. */
static void probe_tell_unreached(struct health_probe *probe)
{
    if (probe->not_made)
        probe_tell(probe, PROBE_NOT_MADE, not_made);
    else
        probe_tell(probe, PROBE_FAILED, probe->why);
}

static bool is_own_want(int number)
{
    return number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM;
}

/* At the next address that lets itself be tried; false: there is none, and why tells of the last. */
static bool probe_connect(struct health_probe *probe)
{
    const struct address *address;
    if (!probe->has_descriptor && !(probe->has_descriptor = descriptors_take_last(1))) {
        probe->not_made = true;
        return false;
    }
    while ((address = server_address(probe->server, probe->address_tries)) != NULL) {
        bool pending;
        int number = 0;
        probe->address_tries++;
        probe->address = *address;
        set_port(&probe->address, probe->config->port);
        int fd = socket_connect(&probe->address, &pending, &number);
        if (fd < 0) {
            probe->not_made = is_own_want(number);
            probe_why(probe, transport_error_text(number));
            continue;
        }
        probe->transport =
            probe->tls != NULL
                ? tls_transport_connect(probe->loop, fd, pending, probe->tls, probe->server->host,
                                        &probe_transport_events, probe)
                : transport_new_plain(probe->loop, fd, pending, &probe_transport_events, probe);
        if (probe->transport != NULL)
            return true;
        close(fd);
        probe->not_made = true;
    }
    return false;
}

/* What the pool speaks; gRPC is HTTP/2 alone. False: the server has not chosen it. */
static bool probe_version(const struct health_probe *probe, struct transport *transport,
                          enum http_version *version)
{
    bool grpc = probe->config->type == PROBE_GRPC;
    if (probe->tls == NULL) {
        *version = grpc || probe->protocol == POOL_H2C ? HTTP_2 : HTTP_1;
        return true;
    }
    *version = span_equal(tls_transport_facts(transport).alpn, SPAN("h2")) ? HTTP_2 : HTTP_1;
    return *version == HTTP_2 || !(grpc || probe->protocol == POOL_H2);
}

static void transport_opened(struct transport *transport)
{
    struct health_probe *probe = transport->owner;
    enum http_version version;
    if (probe->closing)
        return;
    if (probe->config->type == PROBE_TCP) {
        probe_passes(probe, true);
        return;
    }
    if (!probe_version(probe, transport, &version)) {
        probe_fails(probe, "server does not choose h2 by ALPN");
        return;
    }
    probe->http =
        http_conn_new(version, HTTP_CLIENT, transport, &probe_settings, NULL, &probe_http_events, probe);
    if (probe->http == NULL) {
        probe_ends(probe, PROBE_NOT_MADE, not_made);
        return;
    }
    probe->transport = NULL;
    probe_ask(probe);
}

static void transport_received(struct transport *transport, struct buf *bytes)
{
    (void)transport;
    buf_clear(bytes); /* a TCP probe's server may greet */
}

static void transport_sent(struct transport *transport, size_t bytes)
{
    (void)transport;
    (void)bytes;
}

static void transport_ended(struct transport *transport)
{
    probe_fails(transport->owner, "closed before it was asked");
}

static void transport_closed(struct transport *transport, int error)
{
    struct health_probe *probe = transport->owner;
    bool tls = error == TRANSPORT_ERROR_TLS || error == TRANSPORT_ERROR_VERIFY;
    probe_why(probe, tls ? tls_transport_failure(transport) : transport_error_text(error));
    probe->transport = NULL;
    probe->not_made = is_own_want(error);
    if (!probe->closing && !tls && probe_connect(probe))
        return;
    probe->closing = true;
    probe_tell_unreached(probe);
    probe_end(probe);
}

static const struct transport_events probe_transport_events = {
    .opened = transport_opened,
    .received = transport_received,
    .sent = transport_sent,
    .ended = transport_ended,
    .closed = transport_closed,
};

static void probe_cannot_begin(struct task *task)
{
    struct health_probe *probe = CONTAINER_OF(task, struct health_probe, fail);
    probe_close(probe);
    probe_tell_unreached(probe);
}

static uint64_t probe_time(const struct health_config *config)
{
    return config->timeout < config->interval ? config->timeout : config->interval;
}

struct health_probe *
health_probe_start(struct loop *loop, const struct health_config *config, const struct server *server,
                   enum pool_protocol protocol, struct tls_client *tls,
                   void (*done)(void *owner, enum probe_verdict verdict, const char *why), void *owner)
{
    struct health_probe *probe = xcalloc(1, sizeof *probe);
    probe->loop = loop;
    probe->config = config;
    probe->server = server;
    bool uses_tls = config->type == PROBE_HTTPS || config->type == PROBE_GRPC;
    probe->protocol = protocol;
    probe->tls = uses_tls && tls != NULL ? tls_client_take(tls) : NULL;
    probe->done = done;
    probe->owner = owner;
    probe->body = text_growing();
    probe->deadline.passed = probe_took_too_long;
    probe->fail.run = probe_cannot_begin;
    probe->retired.free = probe_free;
    if (probe_connect(probe))
        deadline_set(&probe->deadline, loop, probe_time(config));
    else
        loop_later(loop, &probe->fail);
    return probe;
}

void health_probe_cancel(struct health_probe *probe)
{
    assert(!probe->told);
    probe->told = true;
    probe->config = NULL;
    probe_close(probe);
}
