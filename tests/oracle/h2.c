#include "oracle/h2.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle/report.h"
#include "oracle/trailers.h"

#define OUT_MOST (32u << 10)
#define H2_FRAME_HEAD 9u

static void wrong(struct h2 *h2, int32_t id, const char *what, const char *more)
{
    void *stream = id > 0 ? nghttp2_session_get_stream_user_data(h2->session, id) : NULL;
    if (h2->ended)
        return;
    report_fault(FAULT_SYNTAX, stream != NULL ? h2->events->exchange(stream) : NULL, h2->link,
                 "stream %d: %s: %s", id, what, more);
    link_close(h2->link);
    h2->events->lost(h2);
}

/* ---- what is received ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *owner)
{
    struct h2 *h2 = owner;
    (void)session;
    (void)frame;
    h2->message = (struct message){.http2 = true, .minor = 1};
    h2->text_length = 0;
    return 0;
}

static struct span keep(struct h2 *h2, const uint8_t *bytes, size_t length)
{
    struct span kept = {h2->text + h2->text_length, length};
    memcpy(h2->text + h2->text_length, bytes, length);
    h2->text_length += length;
    return kept;
}

static void take_pseudo(struct message *message, struct span name, struct span value)
{
    uint64_t status;
    if (span_is(name, ":method"))
        message->method = value;
    else if (span_is(name, ":path"))
        message->path = value;
    else if (span_is(name, ":authority"))
        message->authority = value;
    else if (span_is(name, ":scheme"))
        message->scheme = value;
    else if (span_is(name, ":protocol"))
        message->protocol = value;
    else if (span_is(name, ":status") && span_number(value, &status))
        message->status = (unsigned)status;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                     void *owner)
{
    struct h2 *h2 = owner;
    struct message *message = &h2->message;
    (void)session;
    (void)flags;
    if (h2->text_length + name_length + value_length > H2_TEXT || message->count == MESSAGE_FIELDS_MOST) {
        wrong(h2, frame->hd.stream_id, "a head", "larger than anybody sent");
        return 0;
    }
    struct span kept_name = keep(h2, name, name_length), kept_value = keep(h2, value, value_length);
    if (name[0] == ':')
        take_pseudo(message, kept_name, kept_value);
    else
        message->fields[message->count++] = (struct field){kept_name, kept_value};
    return 0;
}

static void trace_frame(struct h2 *h2, const char *way, const nghttp2_frame *frame)
{
    static const char *const names[] = {"DATA",          "HEADERS",      "PRIORITY", "RST_STREAM",
                                        "SETTINGS",      "PUSH_PROMISE", "PING",     "GOAWAY",
                                        "WINDOW_UPDATE", "CONTINUATION"};
    const char *name = frame->hd.type < 10 ? names[frame->hd.type] : "unknown";
    unsigned more = frame->hd.type == NGHTTP2_RST_STREAM ? frame->rst_stream.error_code
                    : frame->hd.type == NGHTTP2_GOAWAY   ? frame->goaway.error_code
                                                         : 0;
    trace_note(&h2->link->trace, "%s %s stream %d length %zu flags %x %u", way, name, frame->hd.stream_id,
               frame->hd.length, frame->hd.flags, more);
}

static void take_head(struct h2 *h2, const nghttp2_frame *frame, void *stream)
{
    const char *bad = message_framing(&h2->message);
    if (bad != NULL) {
        wrong(h2, frame->hd.stream_id, "a head", bad);
        return;
    }
    bool last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    h2->events->head(h2, frame->hd.stream_id, stream, &h2->message, last);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *owner)
{
    struct h2 *h2 = owner;
    void *stream =
        frame->hd.stream_id > 0 ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;
    trace_frame(h2, "<", frame);
    if (h2->link->dead)
        return 0;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        take_head(h2, frame, stream);
        break;
    case NGHTTP2_DATA:
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && stream != NULL)
            h2->events->end(h2, stream);
        break;
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
            h2->events->settings(h2);
        break;
    case NGHTTP2_GOAWAY:
        h2->events->goaway(h2, frame->goaway.error_code);
        break;
    default:
        break;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t length,
                   void *owner)
{
    struct h2 *h2 = owner;
    void *stream = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    if (!h2->link->dead && stream != NULL)
        h2->events->body(h2, stream, (const char *)bytes, length);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *owner)
{
    struct h2 *h2 = owner;
    void *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream != NULL)
        h2->events->closed(h2, stream, error);
    return 0;
}

/* ---- what is wrong with it ---- */

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *owner)
{
    (void)session;
    wrong(owner, frame->hd.stream_id, "a frame is wrong", nghttp2_strerror(error));
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *owner)
{
    struct h2 *h2 = owner;
    (void)session;
    trace_frame(h2, ">", frame);
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != 0)
        wrong(h2, 0, "the connection is in error", nghttp2_http2_strerror(frame->goaway.error_code));
    return 0;
}

static ssize_t on_padding(nghttp2_session *session, const nghttp2_frame *frame, size_t most, void *owner)
{
    struct h2 *h2 = owner;
    (void)session;
    size_t least = frame->hd.length;
    if (h2->padding == 0 || most <= least)
        return (ssize_t)least;
    size_t padded = least + draw_below(h2->draw, h2->padding);
    return (ssize_t)(padded < most ? padded : most);
}

/* ---- the session ---- */

void h2_begin(struct h2 *h2, struct link *link, const struct h2_events *events, struct draw *draw,
              bool server)
{
    nghttp2_session_callbacks *callbacks;
    h2->link = link;
    h2->events = events;
    h2->draw = draw;
    h2->padding = draw_permille(draw, 200) ? 200 : 0;
    h2->splits = draw_permille(draw, 100);
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        abort();
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_select_padding_callback(callbacks, on_padding);
    int result = server ? nghttp2_session_server_new(&h2->session, callbacks, h2)
                        : nghttp2_session_client_new(&h2->session, callbacks, h2);
    nghttp2_session_callbacks_del(callbacks);
    if (result != 0)
        abort();
}

void h2_end(struct h2 *h2)
{
    nghttp2_session_del(h2->session);
}

void h2_read(struct h2 *h2)
{
    struct link *link = h2->link;
    while (!link->dead && bytes_length(&link->in) != 0) {
        size_t length = bytes_length(&link->in);
        ssize_t taken = nghttp2_session_mem_recv(h2->session, (uint8_t *)bytes_front(&link->in), length);
        if (taken < 0) {
            wrong(h2, 0, "what came is no HTTP/2", nghttp2_strerror((int)taken));
            return;
        }
        if (!link->dead)
            bytes_take(&link->in, (size_t)taken);
    }
}

/* A head in several frames means the same as in one (RFC 9113 4.3). The library would do that only for what
 * is over 16 KiB. False: it is no such frame. */
static bool write_split(struct h2 *h2, const uint8_t *bytes, size_t length)
{
    struct bytes *out = &h2->link->out;
    uint8_t head[H2_FRAME_HEAD];
    bool is_head = length > 2 * H2_FRAME_HEAD && bytes[3] == NGHTTP2_HEADERS &&
                   (bytes[4] & NGHTTP2_FLAG_END_HEADERS) != 0 && (bytes[4] & NGHTTP2_FLAG_PADDED) == 0 &&
                   (bytes[4] & NGHTTP2_FLAG_PRIORITY) == 0 &&
                   (size_t)(bytes[0] << 16 | bytes[1] << 8 | bytes[2]) + H2_FRAME_HEAD == length;
    if (!is_head || !draw_permille(h2->draw, 300))
        return false;
    memcpy(head, bytes, sizeof head);
    head[4] = (uint8_t)(head[4] & ~NGHTTP2_FLAG_END_HEADERS);
    bytes += H2_FRAME_HEAD;
    length -= H2_FRAME_HEAD;
    unsigned frames = draw_between(h2->draw, 2, 4);
    for (unsigned i = 1; i <= frames; i++) {
        size_t part = i == frames ? length : draw_below(h2->draw, (uint32_t)length + 1); /* none, too */
        head[0] = 0;
        head[1] = (uint8_t)(part >> 8);
        head[2] = (uint8_t)part;
        if (i == frames)
            head[4] |= NGHTTP2_FLAG_END_HEADERS;
        bytes_add(out, head, sizeof head);
        bytes_add(out, bytes, part);
        bytes += part;
        length -= part;
        head[3] = NGHTTP2_CONTINUATION;
        head[4] = 0;
    }
    trace_note(&h2->link->trace, "the head goes out in %u frames", frames);
    return true;
}

/* True: the library has more. */
static bool write_some(struct h2 *h2)
{
    struct link *link = h2->link;
    while (bytes_length(&link->out) < OUT_MOST) {
        const uint8_t *bytes;
        ssize_t length = nghttp2_session_mem_send(h2->session, &bytes);
        if (length < 0)
            abort();
        if (length == 0 || link->dead)
            return false;
        if (!h2->splits || !write_split(h2, bytes, (size_t)length))
            bytes_add(&link->out, bytes, (size_t)length);
    }
    return true;
}

void h2_flush(struct h2 *h2)
{
    struct link *link = h2->link;
    bool more = true;
    while (more && link->open && !link->dead && bytes_length(&link->out) == 0) {
        more = write_some(h2);
        if (!link->dead)
            link_flush(link);
    }
}

/* ---- heads that are sent ---- */

void h2_put(struct h2_names *names, const char *name, const char *format, ...)
{
    char *at = names->text + names->used;
    va_list arguments;
    if (names->count == H2_NAMES_MOST)
        abort();
    va_start(arguments, format);
    int length = vsnprintf(at, sizeof names->text - names->used, format, arguments);
    va_end(arguments);
    if (length < 0 || names->used + (size_t)length >= sizeof names->text)
        abort();
    names->used += (size_t)length;
    names->items[names->count++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                                                .namelen = strlen(name),
                                                .value = (uint8_t *)at,
                                                .valuelen = (size_t)length};
}

void h2_put_trailers(struct h2_names *names, const struct body_plan *body, uint64_t id)
{
    static struct trailer list[TRAILERS_MOST]; /* the library copies it before this returns */
    unsigned count = trailers_list(list, body, id, true);
    for (unsigned i = 0; i < count; i++)
        h2_put(names, list[i].name, "%s", list[i].value);
}

static char *put_lines(struct h2_names *names, char *at, char *end)
{
    for (char *c = at; c < end && *c != '\1'; c++)
        *c = *c == '\2' ? '\r' : *c == '\3' ? '\n' : *c == '\4' ? 0 : *c == '\n' ? '\1' : *c;
    while (at < end && *at != '\1') {
        /* A name may begin with a colon, and have one. */
        char *equals = memchr(at, '=', (size_t)(end - at)), *line_end = memchr(at, '\1', (size_t)(end - at));
        names->items[names->count++] =
            (nghttp2_nv){.name = (uint8_t *)at,
                         .namelen = (size_t)(equals - at),
                         .value = (uint8_t *)equals + 1,
                         .valuelen = (size_t)(line_end - equals) - 1,
                         .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
        at = line_end + 1;
    }
    return at;
}

void h2_put_malformed(struct h2_names *names, struct h2_names *trailers, struct bytes *text, size_t *data)
{
    char *begin = bytes_front(text), *end = begin + bytes_length(text);
    char *at = put_lines(names, begin, end);
    char *behind = at < end ? memchr(at, '\5', (size_t)(end - at)) : NULL;
    *data = (size_t)(at - begin) + 1;
    if (behind == NULL)
        return;
    (void)put_lines(trailers, behind + 1, end);
    text->end = text->begin + (size_t)(behind - begin);
}
