/* See fake_codec.h. */
#include "support/fake_codec.h"

#include <stdlib.h>

#include "base/error.h"
#include "http/http_conn.h"
#include "http/stream.h"
#include "net/transport.h"

int fake_codec_hint = -1;

struct fake_conn {
    struct http_conn conn;
    struct stream stream;
    struct transport *transport;
    struct retired retired;
    struct task finish;
    bool busy, ended;
};

static struct fake_conn *fake_of(const struct http_conn *conn)
{
    return CONTAINER_OF(conn, struct fake_conn, conn);
}

static void fake_stream_close(struct fake_conn *fake, enum failure why)
{
    if (!fake->busy)
        return;
    fake->busy = false;
    if (fake->stream.events != NULL)
        fake->stream.events->closed(&fake->stream, why);
}

static void fake_answered(struct fake_conn *fake, bool keep)
{
    fake->ended = fake->ended || !keep;
    fake_stream_close(fake, FAILURE_NONE);
    if (keep)
        fake->conn.events->idle(&fake->conn);
    else
        transport_close(fake->transport);
}

static void fake_finish_task(struct task *task)
{
    fake_answered(CONTAINER_OF(task, struct fake_conn, finish), true);
}

void fake_stream_finish(struct stream *stream)
{
    struct fake_conn *fake = CONTAINER_OF(stream, struct fake_conn, stream);
    loop_later(fake->transport->loop, &fake->finish);
}

static void fake_send_head(struct stream *stream, const struct head *head, bool last)
{
    struct fake_conn *fake = CONTAINER_OF(stream, struct fake_conn, stream);
    struct buf bytes = {0};
    (void)head;
    (void)last;
    if (!buf_add(&bytes, "q", 1))
        abort();
    transport_send(fake->transport, &bytes);
}

static void fake_reset(struct stream *stream, enum failure why)
{
    struct fake_conn *fake = CONTAINER_OF(stream, struct fake_conn, stream);
    (void)why;
    fake->ended = true;
    transport_close(fake->transport);
}

static const struct stream_ops fake_stream_ops = {.send_head = fake_send_head, .reset = fake_reset};

static void fake_opened(struct transport *transport)
{
    (void)transport;
}

static void fake_received(struct transport *transport, struct buf *bytes)
{
    struct fake_conn *fake = transport->owner;
    char answer = bytes->length != 0 ? bytes->first->at[0] : 'c';
    buf_clear(bytes);
    fake_answered(fake, answer == 'k' && fake->busy);
}

static void fake_sent(struct transport *transport, size_t bytes)
{
    (void)transport;
    (void)bytes;
}

static void fake_ended(struct transport *transport)
{
    struct fake_conn *fake = transport->owner;
    fake->ended = true;
    transport_close(transport);
}

static void fake_free(struct retired *retired)
{
    free(CONTAINER_OF(retired, struct fake_conn, retired));
}

static void fake_closed(struct transport *transport, int error)
{
    struct fake_conn *fake = transport->owner;
    (void)error;
    loop_cancel(transport->loop, &fake->finish);
    fake_stream_close(fake, FAILURE_SERVER_CLOSED);
    fake->conn.events->closed(&fake->conn, FAILURE_NONE);
    loop_retire(transport->loop, &fake->retired);
}

static const struct transport_events fake_transport_events = {
    .opened = fake_opened,
    .received = fake_received,
    .sent = fake_sent,
    .ended = fake_ended,
    .closed = fake_closed,
};

static struct stream *fake_open(struct http_conn *conn)
{
    struct fake_conn *fake = fake_of(conn);
    fake->busy = true;
    fake->stream = (struct stream){.ops = &fake_stream_ops};
    return &fake->stream;
}

static unsigned fake_room(const struct http_conn *conn)
{
    const struct fake_conn *fake = fake_of(conn);
    return !fake->busy && !fake->ended;
}

static void fake_close(struct http_conn *conn, bool reset)
{
    (void)reset;
    fake_of(conn)->ended = true;
    transport_close(fake_of(conn)->transport);
}

static void fake_settings(struct http_conn *conn, const struct http_settings *settings)
{
    (void)conn;
    (void)settings;
}

static const struct http_conn_ops fake_ops = {
    .open = fake_open, .room = fake_room, .close = fake_close, .settings = fake_settings};

struct http_conn *http_conn_new(enum http_version version, enum http_role role, struct transport *transport,
                                const struct http_settings *settings, struct buf *early,
                                const struct http_conn_events *events, void *owner)
{
    struct fake_conn *fake = xcalloc(1, sizeof *fake);
    (void)settings;
    (void)early;
    fake->conn =
        (struct http_conn){.events = events, .owner = owner, .version = version, .role = role, .ops = &fake_ops};
    fake->transport = transport;
    fake->retired.free = fake_free;
    fake->finish.run = fake_finish_task;
    transport->events = &fake_transport_events;
    transport->owner = fake;
    return &fake->conn;
}

struct transport *http_conn_transport(const struct http_conn *conn)
{
    return fake_of(conn)->transport;
}

int http_conn_keep_alive_hint(const struct http_conn *conn)
{
    (void)conn;
    return fake_codec_hint;
}
