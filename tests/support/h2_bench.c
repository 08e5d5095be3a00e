/* See h2_bench.h. */
#include "support/h2_bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/buf.h"
#include "unit/unit.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static struct h2_bench_stream *told_of(const struct stream *stream)
{
    return stream->owner;
}

static void note(struct h2_bench_stream *told, const char *word)
{
    struct text *log = &told->bench->http.log;
    assert_false(told->bench->http.in_call); /* no callback inside a call */
    told->bench->in_body = 0;
    if (log->length != 0)
        text_char(log, ' ');
    text_print(log, "%s%u", word, told->number);
}

static void note_more(struct h2_bench_stream *told, struct span bytes)
{
    text_char(&told->bench->http.log, ':');
    text_escaped(&told->bench->http.log, bytes);
}

/* ---- events ---- */

static void note_fields(struct h2_bench_stream *told, const struct fields *fields)
{
    for (uint16_t i = 0; i < fields->count; i++) {
        note_more(told, fields->items[i].name);
        text_char(&told->bench->http.log, '=');
        text_escaped(&told->bench->http.log, fields->items[i].value);
    }
}

static void on_head(struct stream *stream, struct head *head, bool last)
{
    struct h2_bench_stream *told = told_of(stream);
    struct h2_bench *bench = told->bench;
    note(told, "head");
    if (bench->http.conn->role == HTTP_SERVER) {
        note_more(told, head->line.request.method_name);
        note_more(told, head->line.request.path);
    } else {
        text_print(&bench->http.log, ":%u", (unsigned)head->line.response.status);
    }
    if (head->upgrade.length != 0)
        note_more(told, head->upgrade);
    note_fields(told, &head->fields);
    if (last)
        text_add(&bench->http.log, SPAN(":last"));
    if (bench->on_head != NULL)
        bench->on_head(bench, told->number);
}

static void on_body(struct stream *stream, struct buf *bytes, bool last)
{
    struct h2_bench_stream *told = told_of(stream);
    struct h2_bench *bench = told->bench;
    struct text *log = &bench->http.log;
    size_t length = bytes->length;
    told->body_bytes += length;
    if (bench->in_body != told->number) { /* pieces that follow each other are one */
        note(told, "body");
        text_char(log, ':');
    }
    assert_false(bench->http.in_call);
    bench->in_body = told->number;
    char text[64];
    if (length < sizeof text)
        text_escaped(log, span_make(text, buf_peek(bytes, text, sizeof text)));
    else
        text_print(log, "%zu", length);
    if (last)
        text_add(log, SPAN(":last"));
    buf_clear(bytes);
    if (!bench->http.hold)
        stream->ops->credit(stream, length);
}

static void on_trailers(struct stream *stream, struct fields *trailers)
{
    note(told_of(stream), "trailers");
    note_fields(told_of(stream), trailers);
}

static void on_sent(struct stream *stream, size_t bytes)
{
    (void)bytes;
    assert_false(told_of(stream)->bench->http.in_call);
}

static void on_refused(struct stream *stream, enum failure why)
{
    note(told_of(stream), "refused");
    note_more(told_of(stream), span_of(failure_info[why].word));
}

static void on_closed(struct stream *stream, enum failure why)
{
    struct h2_bench_stream *told = told_of(stream);
    assert_ptr_equal(stream, told->stream); /* once */
    note(told, "closed");
    note_more(told, span_of(failure_info[why].word));
    told->stream = NULL;
    arena_free(told->arena);
    told->arena = NULL;
}

static const struct stream_events stream_events = {
    .head = on_head,
    .body = on_body,
    .trailers = on_trailers,
    .sent = on_sent,
    .refused = on_refused,
    .closed = on_closed,
};

static unsigned stream_begin(struct h2_bench *bench, struct stream *stream)
{
    assert_true(bench->opened < H2_BENCH_STREAMS);
    struct h2_bench_stream *told = &bench->streams[++bench->opened];
    *told = (struct h2_bench_stream){
        .bench = bench, .stream = stream, .arena = stream->arena, .number = bench->opened};
    stream->events = &stream_events;
    stream->owner = told;
    stream->window = bench->http.window;
    return told->number;
}

static struct h2_bench *bench_of(const struct http_conn *conn)
{
    return conn->owner;
}

static void note_conn(struct h2_bench *bench, const char *word)
{
    assert_false(bench->http.in_call);
    bench->in_body = 0;
    if (bench->http.log.length != 0)
        text_char(&bench->http.log, ' ');
    text_add(&bench->http.log, span_of(word));
}

static void conn_opened(struct http_conn *conn, struct stream *stream)
{
    assert_false(bench_of(conn)->http.in_call);
    (void)stream_begin(bench_of(conn), stream);
}

static void conn_idle(struct http_conn *conn)
{
    note_conn(bench_of(conn), "idle");
}

static void conn_room(struct http_conn *conn)
{
    struct h2_bench *bench = bench_of(conn);
    note_conn(bench, "room");
    text_print(&bench->http.log, ":%u", http_conn_room(conn));
}

static void conn_closed(struct http_conn *conn, enum failure why)
{
    struct h2_bench *bench = bench_of(conn);
    (void)why;
    note_conn(bench, "end");
    for (unsigned i = 1; i <= bench->opened; i++)
        assert_null(bench->streams[i].stream); /* streams have had their closed() */
    bench->http.conn = NULL;
}

static const struct http_conn_events server_events = {
    .opened = conn_opened, .idle = conn_idle, .closed = conn_closed};
static const struct http_conn_events client_events = {
    .opened = conn_opened, .idle = conn_idle, .room = conn_room, .closed = conn_closed};

/* ---- begin and end ---- */

static void inflater_new(struct h2_bench *bench)
{
    if (bench->inflater != NULL)
        nghttp2_hd_inflate_del(bench->inflater);
    assert_int_equal(nghttp2_hd_inflate_new(&bench->inflater), 0);
}

static void say_hello(struct h2_bench *bench, enum http_role role)
{
    struct h2_frames frames = {.length = 0};
    if (role == HTTP_SERVER) {
        memcpy(frames.bytes, PREFACE, sizeof PREFACE - 1);
        frames.length = sizeof PREFACE - 1;
    }
    h2_frame(&frames, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    h2_frame(&frames, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
    h2_peer_sends(bench, &frames);
    const char *got = h2_peer_reads(bench);
    assert_int_equal(strncmp(got, "SETTINGS ", 9), 0);
    assert_non_null(strstr(got, "SETTINGS:ack"));
    bench->http.log.length = 0;
}

/* Whatever is under way ends at once: a server lingers else. */
static void cut(struct h2_bench *bench)
{
    if (bench->http.conn != NULL)
        http_conn_reset(bench->http.conn);
    http_bench_turns(&bench->http, 3);
    assert_null(bench->http.conn);
}

void h2_bench_again_silent(struct h2_bench *bench, enum http_role role)
{
    cut(bench);
    bench->http.conn_events = role == HTTP_SERVER ? &server_events : &client_events;
    http_bench_again(&bench->http, role);
    bench->opened = bench->in_body = 0;
    bench->output.length = 0;
    inflater_new(bench);
}

void h2_bench_again(struct h2_bench *bench, enum http_role role)
{
    h2_bench_again_silent(bench, role);
    say_hello(bench, role);
}

void h2_bench_begin(struct h2_bench *bench, enum http_role role)
{
    memset(bench, 0, sizeof *bench);
    http_bench_begin_as(&bench->http, role, HTTP_2, role == HTTP_SERVER ? &server_events : &client_events);
    bench->output = text_growing();
    inflater_new(bench);
    say_hello(bench, role);
}

void h2_bench_end(struct h2_bench *bench)
{
    cut(bench);
    http_bench_end(&bench->http);
    nghttp2_hd_inflate_del(bench->inflater);
    bench->inflater = NULL;
    text_free(&bench->output);
}

/* ---- the peer's frames ---- */

void h2_frame(struct h2_frames *frames, uint8_t type, uint8_t flags, int32_t id, const void *payload,
              size_t length)
{
    assert_true(frames->length + 9 + length <= sizeof frames->bytes);
    const uint8_t head[9] = {
        (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length,    type,       flags,
        (uint8_t)(id >> 24),     (uint8_t)(id >> 16),    (uint8_t)(id >> 8), (uint8_t)id};
    memcpy(frames->bytes + frames->length, head, sizeof head);
    if (length != 0)
        memcpy(frames->bytes + frames->length + sizeof head, payload, length);
    frames->length += sizeof head + length;
}

static void put_number(uint8_t to[4], uint32_t number)
{
    for (unsigned i = 0; i < 4; i++)
        to[i] = (uint8_t)(number >> (24 - 8 * i));
}

void h2_frame_number(struct h2_frames *frames, uint8_t type, int32_t id, uint32_t number)
{
    uint8_t payload[4];
    put_number(payload, number);
    h2_frame(frames, type, 0, id, payload, sizeof payload);
}

void h2_frame_goaway(struct h2_frames *frames, int32_t last, uint32_t code)
{
    uint8_t payload[8];
    put_number(payload, (uint32_t)last);
    put_number(payload + 4, code);
    h2_frame(frames, NGHTTP2_GOAWAY, 0, 0, payload, sizeof payload);
}

void h2_frame_setting(struct h2_frames *frames, uint16_t name, uint32_t value)
{
    uint8_t payload[6] = {(uint8_t)(name >> 8), (uint8_t)name};
    put_number(payload + 2, value);
    h2_frame(frames, NGHTTP2_SETTINGS, 0, 0, payload, sizeof payload);
}

void h2_frame_data(struct h2_frames *frames, int32_t id, const char *text, bool last)
{
    h2_frame(frames, NGHTTP2_DATA, last ? H2_END : 0, id, text, strlen(text));
}

void h2_frame_bytes(struct h2_frames *frames, int32_t id, size_t length, bool last)
{
    static char zeros[16384];
    assert_true(length <= sizeof zeros);
    h2_frame(frames, NGHTTP2_DATA, last ? H2_END : 0, id, zeros, length);
}

/* HPACK: a literal that is not indexed, its strings as they are (RFC 7541 5.1, 6.2.2). */
static size_t put_string(char *to, size_t room, const char *text)
{
    size_t length = strlen(text), at = 0, rest = length;
    assert_true(length + 8 <= room);
    if (rest < 127) {
        to[at++] = (char)rest;
    } else {
        to[at++] = 127;
        for (rest -= 127; rest >= 128; rest >>= 7)
            to[at++] = (char)(rest % 128 + 128);
        to[at++] = (char)rest;
    }
    memcpy(to + at, text, length);
    return at + length;
}

static size_t put_block(char *to, size_t room, const char *const *names)
{
    size_t length = 0;
    for (; *names != NULL; names += 2) {
        assert_true(length < room);
        to[length++] = 0;
        length += put_string(to + length, room - length, names[0]);
        length += put_string(to + length, room - length, names[1]);
    }
    return length;
}

#define NAMES_MOST 512u

static void collect(const char *names[NAMES_MOST], va_list list)
{
    unsigned count = 0;
    do {
        assert_true(count < NAMES_MOST);
        names[count] = va_arg(list, const char *);
    } while (names[count++] != NULL);
}

size_t h2_block(char *to, size_t room, ...)
{
    const char *names[NAMES_MOST];
    va_list list;
    va_start(list, room);
    collect(names, list);
    va_end(list);
    return put_block(to, room, names);
}

void h2_frame_names(struct h2_frames *frames, int32_t id, uint8_t flags, const char *const *names)
{
    static char block[1 << 17];
    size_t length = put_block(block, sizeof block, names);
    size_t part = length < 16384 ? length : 16384;
    h2_frame(frames, NGHTTP2_HEADERS, (uint8_t)(flags | (part == length ? NGHTTP2_FLAG_END_HEADERS : 0)), id,
             block, part);
    for (size_t at = part; at < length; at += part) {
        part = length - at < 16384 ? length - at : 16384;
        h2_frame(frames, NGHTTP2_CONTINUATION, at + part == length ? NGHTTP2_FLAG_END_HEADERS : 0, id,
                 block + at, part);
    }
}

void h2_frame_head(struct h2_frames *frames, int32_t id, int flags, ...)
{
    const char *names[NAMES_MOST];
    va_list list;
    va_start(list, flags);
    collect(names, list);
    va_end(list);
    h2_frame_names(frames, id, (uint8_t)flags, names);
}

void h2_peer_sends(struct h2_bench *bench, struct h2_frames *frames)
{
    peer_sends_bytes(&bench->http, frames->bytes, frames->length);
    frames->length = 0;
}

/* ---- the codec's frames ---- */

static uint32_t number_at(const char *at)
{
    const uint8_t *bytes = (const uint8_t *)at;
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void print_block(struct h2_bench *bench, struct text *text, const char *block, size_t length)
{
    bool first = true;
    text_char(text, '{');
    for (;;) {
        nghttp2_nv field;
        int flags = 0;
        ssize_t used =
            nghttp2_hd_inflate_hd2(bench->inflater, &field, &flags, (const uint8_t *)block, length, 1);
        assert_true(used >= 0);
        block += used;
        length -= (size_t)used;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
            text_print(text, "%s%.*s=%.*s", first ? "" : ",", (int)field.namelen, (const char *)field.name,
                       (int)field.valuelen, (const char *)field.value);
            first = false;
        }
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0)
            break;
    }
    text_char(text, '}');
    nghttp2_hd_inflate_end_headers(bench->inflater);
}

static void print_frame(struct h2_bench *bench, struct text *text, const char *head, size_t length)
{
    const char *payload = head + 9;
    unsigned id = number_at(head + 5), flags = (uint8_t)head[4];
    bool ack = (flags & NGHTTP2_FLAG_ACK) != 0;
    if (text->length != 0)
        text_char(text, ' ');
    switch (head[3]) {
    case NGHTTP2_HEADERS: /* the codec sends no padding, no priorities, and here no long heads */
        text_print(text, "HEADERS%u", id);
        print_block(bench, text, payload, length);
        break;
    case NGHTTP2_DATA:
        text_print(text, "DATA%u:%zu", id, length);
        break;
    case NGHTTP2_RST_STREAM:
        text_print(text, "RST%u:%u", id, number_at(payload));
        break;
    case NGHTTP2_SETTINGS:
        text_print(text, "SETTINGS%s", ack ? ":ack" : "");
        break;
    case NGHTTP2_PING:
        text_print(text, "PING%s", ack ? ":ack" : "");
        break;
    case NGHTTP2_GOAWAY:
        text_print(text, "GOAWAY:%u:%u", number_at(payload), number_at(payload + 4));
        break;
    case NGHTTP2_WINDOW_UPDATE:
        text_print(text, "WINDOW%u:%u", id, number_at(payload));
        break;
    default:
        text_print(text, "FRAME%u", (unsigned)(uint8_t)head[3]);
        break;
    }
    if ((head[3] == NGHTTP2_HEADERS || head[3] == NGHTTP2_DATA) && (flags & H2_END) != 0)
        text_add(text, SPAN(":end"));
}

/* What the socket has now; true: more may come by and by. */
static const char *take_output(struct h2_bench *bench)
{
    char bytes[16384];
    for (;;) {
        ssize_t got = recv(bench->http.peer, bytes, sizeof bytes, 0);
        if (got > 0) {
            text_add(&bench->output, span_make(bytes, (size_t)got));
            http_bench_turns(&bench->http, 3);
            continue;
        }
        return got == 0 ? "<end>" : errno == EAGAIN ? NULL : "<reset>";
    }
}

const char *h2_peer_reads(struct h2_bench *bench)
{
    static char memory[1 << 16];
    struct text text = text_over(memory, sizeof memory);
    bool preface = bench->http.conn_events == &client_events;
    const char *end = take_output(bench);
    const char *at = bench->output.at;
    size_t left = bench->output.length;
    if (preface && left >= sizeof PREFACE - 1 && memcmp(at, PREFACE, sizeof PREFACE - 1) == 0) {
        at += sizeof PREFACE - 1;
        left -= sizeof PREFACE - 1;
    }
    while (left >= 9) {
        size_t length = number_at(at) >> 8;
        if (left < 9 + length)
            break;
        print_frame(bench, &text, at, length);
        at += 9 + length;
        left -= 9 + length;
    }
    if (left != 0)
        memmove(bench->output.at, at, left);
    bench->output.length = left;
    if (end != NULL)
        text_print(&text, "%s%s", text.length != 0 ? " " : "", end);
    memory[text.length] = 0;
    return memory;
}

void h2_bench_expect_frames(struct h2_bench *bench, const char *text, const char *file, int line)
{
    const char *got = h2_peer_reads(bench);
    if (strcmp(got, text) != 0) {
        print_error("sent:     %s\nexpected: %s\n", got, text);
        _fail(file, line);
    }
}

void h2_bench_expect_told(struct h2_bench *bench, const char *text, const char *file, int line)
{
    bench->in_body = 0; /* the next body is an event of its own */
    if (!span_is(text_span(&bench->http.log), text))
        print_error("sent:     %s\n", h2_peer_reads(bench));
    http_bench_expect(&bench->http, text, file, line);
}

void h2_bench_wait_told(struct h2_bench *bench, const char *words, const char *file, int line)
{
    for (unsigned i = 0; i < 1000; i++) {
        if (strstr(bench->http.log.at != NULL && bench->http.log.length != 0 ? bench->http.log.at : "",
                   words) != NULL) {
            bench->http.log.length = 0;
            bench->in_body = 0;
            return;
        }
        http_bench_wait(&bench->http, 10);
    }
    print_error("told:     %.*s\nwaits for: %s\n", (int)bench->http.log.length, bench->http.log.at, words);
    _fail(file, line);
}

/* ---- calls ---- */

static struct stream *call_begin(struct h2_bench *bench, unsigned number)
{
    assert_non_null(bench->streams[number].stream);
    bench->http.in_call = true;
    return bench->streams[number].stream;
}

void h2_call_response(struct h2_bench *bench, unsigned number, unsigned status, int64_t length, bool last)
{
    struct head head = {.body_length = length, .length_given = length >= 0};
    head.line.response.status = (uint16_t)status;
    head.line.response.reason = status_reason(status);
    bool outer = bench->http.in_call;
    struct stream *stream = call_begin(bench, number);
    stream->ops->send_head(stream, &head, last);
    bench->http.in_call = outer;
}

static void call_bytes(struct h2_bench *bench, unsigned number, struct buf *bytes, bool last)
{
    bool outer = bench->http.in_call;
    struct stream *stream = call_begin(bench, number);
    stream->ops->send_body(stream, bytes, last);
    bench->http.in_call = outer;
    assert_int_equal(bytes->length, 0);
}

void h2_call_body(struct h2_bench *bench, unsigned number, size_t length, bool last)
{
    struct buf bytes = {.first = NULL};
    char some[4096];
    memset(some, 'x', sizeof some);
    for (size_t part; length != 0; length -= part) {
        part = length < sizeof some ? length : sizeof some;
        assert_true(buf_add(&bytes, some, part));
    }
    call_bytes(bench, number, &bytes, last);
}

void h2_call_text(struct h2_bench *bench, unsigned number, const char *text, bool last)
{
    struct buf bytes = {.first = NULL};
    assert_true(buf_add_span(&bytes, span_of(text)));
    call_bytes(bench, number, &bytes, last);
}

void h2_call_trailers(struct h2_bench *bench, unsigned number, const char *name, const char *value)
{
    struct stream *stream = call_begin(bench, number);
    struct field *field = arena_get(bench->streams[number].arena, sizeof *field);
    *field = (struct field){.name = span_of(name), .value = span_of(value)};
    struct fields trailers = {.items = field, .count = 1, .room = 1};
    stream->ops->send_trailers(stream, &trailers);
    bench->http.in_call = false;
}

void h2_call_credit(struct h2_bench *bench, unsigned number, size_t bytes)
{
    struct stream *stream = call_begin(bench, number);
    stream->ops->credit(stream, bytes);
    bench->http.in_call = false;
}

void h2_call_reset(struct h2_bench *bench, unsigned number, enum failure why)
{
    struct stream *stream = call_begin(bench, number);
    stream->ops->reset(stream, why);
    bench->http.in_call = false;
}

unsigned h2_call_open(struct h2_bench *bench)
{
    bench->http.in_call = true;
    struct stream *stream = http_conn_open(bench->http.conn);
    bench->http.in_call = false;
    stream->arena = arena_new(1 << 20);
    return stream_begin(bench, stream);
}

unsigned h2_call_request(struct h2_bench *bench, const char *method, int64_t length, bool last,
                         const char *upgrade)
{
    struct head head = {.body_length = length, .length_given = length > 0};
    head.line.request.method_name = span_of(method);
    head.line.request.method = method_of(span_of(method));
    head.line.request.authority = SPAN("a.test");
    head.line.request.path = SPAN("/x");
    if (upgrade != NULL)
        head.upgrade = span_of(upgrade);
    unsigned number = h2_call_open(bench);
    struct stream *stream = call_begin(bench, number);
    stream->ops->send_head(stream, &head, last);
    bench->http.in_call = false;
    return number;
}
