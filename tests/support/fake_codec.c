/* See fake_codec.h. */
#include "support/fake_codec.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "http/http_conn.h"
#include "http/stream.h"
#include "net/transport.h"

#define STREAMS_MOST 8

int fake_codec_hint = -1;
unsigned fake_codec_streams = 100;

struct fake_conn;
struct fake_stream {
    struct stream stream;
    struct fake_conn *conn;
    unsigned number;    /* 0: free; else in the order of opening */
    enum failure reset; /* as what its owner has ended it; NONE: it runs */
};
struct fake_conn {
    struct http_conn conn;
    struct fake_stream streams[STREAMS_MOST];
    unsigned opened, busy, most;
    struct transport *transport;
    struct retired retired;
    struct task finish, resets;
    bool ended;
};

static struct fake_conn *fake_of(const struct http_conn *conn)
{
    return CONTAINER_OF(conn, struct fake_conn, conn);
}

static struct fake_conn *fake_of_stream(struct stream *stream)
{
    return CONTAINER_OF(stream, struct fake_stream, stream)->conn;
}

static void fake_stream_end(struct fake_stream *stream, enum failure why)
{
    stream->number = 0;
    stream->conn->busy--;
    if (stream->stream.events != NULL)
        stream->stream.events->closed(&stream->stream, stream->reset != FAILURE_NONE ? stream->reset : why);
}

/* The oldest. */
static void fake_stream_close(struct fake_conn *fake, enum failure why)
{
    struct fake_stream *oldest = NULL;
    for (size_t i = 0; i < STREAMS_MOST; i++)
        if (fake->streams[i].number != 0 && (oldest == NULL || fake->streams[i].number < oldest->number))
            oldest = &fake->streams[i];
    if (oldest != NULL)
        fake_stream_end(oldest, why);
}

static void fake_room_changed(struct fake_conn *fake)
{
    if (fake->conn.version == HTTP_2)
        fake->conn.events->room(&fake->conn);
}

static void fake_answered(struct fake_conn *fake, bool keep, enum failure why)
{
    fake->ended = fake->ended || !keep;
    fake_stream_close(fake, why);
    if (!keep) {
        transport_close(fake->transport);
        return;
    }
    fake_room_changed(fake);
    if (fake->busy == 0)
        fake->conn.events->idle(&fake->conn);
}

static void fake_finish_task(struct task *task)
{
    fake_answered(CONTAINER_OF(task, struct fake_conn, finish), true, FAILURE_NONE);
}

void fake_stream_finish(struct stream *stream)
{
    struct fake_conn *fake = fake_of_stream(stream);
    loop_later(fake->transport->loop, &fake->finish);
}

static void fake_send_head(struct stream *stream, const struct head *head, bool last)
{
    struct fake_conn *fake = fake_of_stream(stream);
    struct buf bytes = {0};
    (void)head;
    (void)last;
    if (!buf_add(&bytes, "q", 1))
        abort();
    transport_send(fake->transport, &bytes);
}

/* Over HTTP/2 the others go on. */
static void fake_resets_task(struct task *task)
{
    struct fake_conn *fake = CONTAINER_OF(task, struct fake_conn, resets);
    for (size_t i = 0; i < STREAMS_MOST; i++)
        if (fake->streams[i].number != 0 && fake->streams[i].reset != FAILURE_NONE)
            fake_stream_end(&fake->streams[i], FAILURE_NONE);
    if (fake->ended)
        return;
    fake_room_changed(fake);
    if (fake->busy == 0)
        fake->conn.events->idle(&fake->conn);
}

static void fake_reset(struct stream *stream, enum failure why)
{
    struct fake_conn *fake = fake_of_stream(stream);
    CONTAINER_OF(stream, struct fake_stream, stream)->reset = why;
    if (fake->conn.version == HTTP_2) {
        loop_later(fake->transport->loop, &fake->resets);
        return;
    }
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
    switch (answer) {
    case 's':
        fake->most = fake_codec_streams;
        fake_room_changed(fake);
        break;
    case 'g':
        fake->most = 0;
        fake_room_changed(fake);
        break;
    case 'r':
        fake_answered(fake, true, FAILURE_STREAM_REFUSED);
        break;
    default:
        fake_answered(fake, answer == 'k' && fake->busy != 0, FAILURE_NONE);
    }
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
    loop_cancel(transport->loop, &fake->resets);
    while (fake->busy != 0)
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
    struct fake_stream *stream = fake->streams;
    while (stream->number != 0)
        assert(++stream != fake->streams + STREAMS_MOST);
    *stream = (struct fake_stream){.stream.ops = &fake_stream_ops, .conn = fake, .number = ++fake->opened};
    fake->busy++;
    return &stream->stream;
}

static unsigned fake_room(const struct http_conn *conn)
{
    const struct fake_conn *fake = fake_of(conn);
    return fake->ended || fake->busy >= fake->most ? 0 : fake->most - fake->busy;
}

static void fake_close(struct http_conn *conn, enum http_close how)
{
    (void)how;
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
    fake->conn = (struct http_conn){
        .events = events, .owner = owner, .version = version, .role = role, .ops = &fake_ops};
    fake->most = version == HTTP_2 ? 100 : 1;
    fake->transport = transport;
    fake->retired.free = fake_free;
    fake->finish.run = fake_finish_task;
    fake->resets.run = fake_resets_task;
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
