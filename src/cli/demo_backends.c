/* The demo's servers, on the same transports and codec as the proxy: each answers with its name and with the
 * request it got. */
#include "cli/demo_backends.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/text.h"
#include "config/config.h"
#include "http/head.h"
#include "http/http_conn.h"
#include "http/stream.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "net/socket.h"
#include "net/transport.h"

#define STOP_AFTER 20 /* ms: closing connections take a turn */

const char *const demo_backend_names[DEMO_BACKENDS] = {"red", "green", "blue"};

struct demo_backend {
    struct demo_backends *backends;
    const char *name;
    int descriptor;
    uint16_t port;
    struct listener *listener;
};
struct demo_backends {
    struct demo_backend servers[DEMO_BACKENDS];
    struct http_settings settings;
    struct loop *loop;
    struct mailbox *mailbox;
    struct letter stop;
    struct deadline stopped;
    struct list connections; /* demo_connection.at */
    pthread_t thread;
    bool started;
};
struct demo_connection {
    struct list at;
    struct demo_backend *server;
    struct transport *transport; /* until the codec has it */
    struct http_conn *http;
    struct retired retired;
};
/* In its arena, taken over from the stream. */
struct demo_request {
    struct arena *arena;
    struct demo_backend *server;
    struct stream *stream;
    struct head head; /* copied: only what its spans show lives in the arena */
    uint64_t body_bytes;
};

/* ---- requests ---- */

static void demo_describe(struct text *text, const struct demo_request *request)
{
    const struct head *head = &request->head;
    text_print(text, "hello from %s\n\n", request->server->name);
    text_add(text, head->line.request.method_name);
    text_char(text, ' ');
    text_escaped(text, head->line.request.path);
    if (head->line.request.query.at != NULL) {
        text_char(text, '?');
        text_escaped(text, head->line.request.query);
    }
    text_add(text, SPAN("\nHost: "));
    text_escaped(text, head->line.request.authority);
    text_char(text, '\n');
    for (unsigned i = 0; i < head->fields.count; i++) {
        text_add(text, head->fields.items[i].name);
        text_add(text, SPAN(": "));
        text_escaped(text, head->fields.items[i].value);
        text_char(text, '\n');
    }
    if (request->body_bytes != 0)
        text_print(text, "\n%llu body bytes\n", (unsigned long long)request->body_bytes);
}

static void demo_send(struct demo_request *request, unsigned status, struct span body)
{
    struct stream *stream = request->stream;
    bool head_only = request->head.line.request.method == METHOD_HEAD;
    struct head head = {.body_length = (int64_t)body.length};
    struct buf bytes = {.first = NULL};
    head.line.response.status = (uint16_t)status;
    head.line.response.reason = status_reason(status);
    if (!fields_add(&head.fields, request->arena, SPAN("Content-Type"), SPAN("text/plain; charset=utf-8"),
                    field_id(SPAN("Content-Type"))) ||
        !fields_add(&head.fields, request->arena, SPAN("X-Backend"), span_of(request->server->name), 0) ||
        !buf_add_span(&bytes, body)) {
        buf_clear(&bytes);
        stream->ops->reset(stream, FAILURE_INTERNAL);
        return;
    }
    stream->ops->send_head(stream, &head, head_only);
    if (!head_only)
        stream->ops->send_body(stream, &bytes, true);
    buf_clear(&bytes);
}

static void demo_answer(struct demo_request *request)
{
    struct text text = text_growing();
    demo_describe(&text, request);
    demo_send(request, 200, text_span(&text));
    text_free(&text);
}

static void demo_head(struct stream *stream, struct head *head, bool last)
{
    struct demo_request *request = stream->owner;
    request->head = *head;
    if (last)
        demo_answer(request);
}

static void demo_body(struct stream *stream, struct buf *bytes, bool last)
{
    struct demo_request *request = stream->owner;
    size_t length = bytes->length;
    request->body_bytes += length;
    buf_clear(bytes);
    stream->ops->credit(stream, length);
    if (last)
        demo_answer(request);
}

static void demo_trailers(struct stream *stream, struct fields *trailers)
{
    (void)trailers;
    demo_answer(stream->owner);
}

static void demo_sent(struct stream *stream, size_t bytes)
{
    (void)stream;
    (void)bytes;
}

static void demo_refused(struct stream *stream, enum failure why)
{
    demo_send(stream->owner, failure_info[why].status != 0 ? failure_info[why].status : 400,
              SPAN("refused\n"));
}

static void demo_closed(struct stream *stream, enum failure why)
{
    (void)why;
    struct demo_request *request = stream->owner;
    arena_free(request->arena);
}

static const struct stream_events demo_stream_events = {
    .head = demo_head,
    .body = demo_body,
    .trailers = demo_trailers,
    .sent = demo_sent,
    .refused = demo_refused,
    .closed = demo_closed,
};

/* ---- connections ---- */

static void connection_free(struct retired *retired)
{
    free(CONTAINER_OF(retired, struct demo_connection, retired));
}

static void connection_end(struct demo_connection *connection)
{
    list_remove(&connection->at);
    connection->retired.free = connection_free;
    loop_retire(connection->server->backends->loop, &connection->retired);
}

static void http_opened(struct http_conn *http, struct stream *stream)
{
    const struct demo_connection *connection = http->owner;
    struct demo_request *request = stream->room;
    *request = (struct demo_request){.arena = stream->arena, .server = connection->server, .stream = stream};
    stream->events = &demo_stream_events;
    stream->owner = request;
    stream->window = 256u * 1024;
}

static void http_idle(struct http_conn *http)
{
    (void)http;
}

static void http_closed(struct http_conn *http, enum failure why)
{
    (void)why;
    connection_end(http->owner);
}

static const struct http_conn_events demo_http_events = {
    .opened = http_opened, .idle = http_idle, .closed = http_closed};

static void transport_opened(struct transport *transport)
{
    struct demo_connection *connection = transport->owner;
    connection->transport = NULL;
    connection->http = http_conn_new(HTTP_1, HTTP_SERVER, transport, &connection->server->backends->settings,
                                     NULL, &demo_http_events, connection);
}

static void transport_received(struct transport *transport, struct buf *bytes)
{
    (void)transport;
    buf_clear(bytes);
}

static void transport_sent(struct transport *transport, size_t bytes)
{
    (void)transport;
    (void)bytes;
}

static void transport_ended(struct transport *transport)
{
    transport_close(transport);
}

static void transport_closed(struct transport *transport, int error)
{
    (void)error;
    connection_end(transport->owner);
}

static const struct transport_events demo_transport_events = {
    .opened = transport_opened,
    .received = transport_received,
    .sent = transport_sent,
    .ended = transport_ended,
    .closed = transport_closed,
};

static enum listener_next demo_accepted(void *owner, int descriptor, const struct address *peer)
{
    (void)peer;
    struct demo_backend *server = owner;
    struct demo_connection *connection = xcalloc(1, sizeof *connection);
    connection->server = server;
    list_push_back(&server->backends->connections, &connection->at);
    connection->transport =
        transport_new_plain(server->backends->loop, descriptor, false, &demo_transport_events, connection);
    if (connection->transport == NULL)
        die("out of memory (a connection wanted)");
    return LISTENER_MORE;
}

/* ---- the thread ---- */

static void demo_stopped(struct deadline *deadline)
{
    loop_stop(CONTAINER_OF(deadline, struct demo_backends, stopped)->loop);
}

static void demo_stop(struct letter *letter, void *reader)
{
    (void)letter;
    struct demo_backends *backends = reader;
    for (unsigned i = 0; i < DEMO_BACKENDS; i++)
        listener_free(backends->servers[i].listener);
    LIST_EACH_SAFE (node, after, &backends->connections) {
        struct demo_connection *connection = CONTAINER_OF(node, struct demo_connection, at);
        if (connection->http != NULL)
            http_conn_close(connection->http);
        else
            transport_close(connection->transport);
    }
    backends->stopped.passed = demo_stopped;
    deadline_set(&backends->stopped, backends->loop, STOP_AFTER);
}

static void *demo_thread(void *argument)
{
    struct demo_backends *backends = argument;
    pthread_setname_np(pthread_self(), "demo-backends");
    for (unsigned i = 0; i < DEMO_BACKENDS; i++)
        backends->servers[i].listener = listener_new(backends->loop, backends->servers[i].descriptor,
                                                     demo_accepted, &backends->servers[i]);
    loop_run(backends->loop);
    block_pool_trim(0);
    return NULL;
}

static bool demo_listen(struct demo_backend *server, uint16_t port, struct error *error)
{
    struct address address = {.length = sizeof address.socket};
    if (!address_parse(&address, "127.0.0.1:0", error))
        return false;
    address.socket.v4.sin_port = htons(port);
    server->descriptor = socket_listen(&address, 128, 0, error);
    if (server->descriptor < 0)
        return false;
    address.length = sizeof address.socket;
    if (getsockname(server->descriptor, &address.socket.any, &address.length) != 0)
        return error_set(error, "cannot find the port of a backend");
    server->port = ntohs(address.socket.v4.sin_port);
    return true;
}

struct demo_backends *demo_backends_new(const uint16_t ports[DEMO_BACKENDS], struct error *error)
{
    struct demo_backends *backends = xcalloc(1, sizeof *backends);
    list_init(&backends->connections);
    for (unsigned i = 0; i < DEMO_BACKENDS; i++)
        backends->servers[i] =
            (struct demo_backend){.backends = backends, .name = demo_backend_names[i], .descriptor = -1};
    for (unsigned i = 0; i < DEMO_BACKENDS; i++) {
        if (demo_listen(&backends->servers[i], ports[i], error))
            continue;
        demo_backends_free(backends);
        return NULL;
    }
    return backends;
}

uint16_t demo_backends_port(const struct demo_backends *backends, unsigned number)
{
    return backends->servers[number].port;
}

bool demo_backends_start(struct demo_backends *backends, const struct config *config, struct error *error)
{
    backends->settings = (struct http_settings){
        .limits = &config->limits, .timeouts = &config->timeouts, .stream_room = sizeof(struct demo_request)};
    backends->loop = loop_new();
    backends->mailbox = mailbox_new(backends->loop, backends);
    int number = pthread_create(&backends->thread, NULL, demo_thread, backends);
    if (number != 0)
        return error_set_errno(error, number, "cannot start the backends");
    backends->started = true;
    return true;
}

void demo_backends_free(struct demo_backends *backends)
{
    if (backends == NULL)
        return;
    if (backends->started) {
        backends->stop.open = demo_stop;
        mailbox_post(backends->mailbox, &backends->stop);
        pthread_join(backends->thread, NULL);
    }
    if (backends->loop != NULL) {
        mailbox_free(backends->mailbox);
        loop_free(backends->loop);
    }
    for (unsigned i = 0; i < DEMO_BACKENDS; i++)
        if (backends->servers[i].descriptor >= 0)
            close(backends->servers[i].descriptor);
    free(backends);
}
