/* A stream without a codec, for the tests of src/proxy: what it is told is written down, a word or two a
 * call, and what it is credited is added up. */
#ifndef WEIR_TESTS_RECORDING_STREAM_H
#define WEIR_TESTS_RECORDING_STREAM_H

#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "http/head.h"
#include "http/stream.h"
#include "unit.h"

struct recording_stream {
    struct stream stream;
    struct text told; /* since the last look */
    size_t credited;  /* bytes, in all */
};

static inline struct recording_stream *recording_of(struct stream *stream)
{
    return CONTAINER_OF(stream, struct recording_stream, stream);
}

static inline struct text *recording_call(struct stream *stream, const char *name)
{
    struct text *told = &recording_of(stream)->told;
    if (told->length != 0)
        text_char(told, ' ');
    text_add(told, span_of(name));
    return told;
}

static inline void recording_last(struct text *told, bool last)
{
    if (last)
        text_add(told, SPAN(":last"));
}

static inline void recording_send_head(struct stream *stream, const struct head *head, bool last)
{
    struct text *told = recording_call(stream, "head");
    text_print(told, ":%u", (unsigned)head->line.response.status);
    recording_last(told, last);
}

static inline void recording_send_body(struct stream *stream, struct buf *bytes, bool last)
{
    char text[64];
    size_t length = bytes->length;
    struct text *told = recording_call(stream, "body:");
    if (length <= sizeof text)
        text_escaped(told, span_make(text, buf_peek(bytes, text, sizeof text)));
    else
        text_print(told, "%zu bytes", length);
    buf_clear(bytes);
    recording_last(told, last);
}

static inline void recording_send_trailers(struct stream *stream, const struct fields *trailers)
{
    struct text *told = recording_call(stream, "trailers");
    for (uint16_t i = 0; i < trailers->count; i++) {
        text_char(told, ':');
        text_add(told, trailers->items[i].name);
        text_char(told, '=');
        text_add(told, trailers->items[i].value);
    }
}

static inline void recording_credit(struct stream *stream, size_t bytes)
{
    recording_of(stream)->credited += bytes;
    text_print(recording_call(stream, "credit"), ":%zu", bytes);
}

static inline void recording_reset(struct stream *stream, enum failure why)
{
    text_print(recording_call(stream, "reset"), ":%s", failure_info[why].word);
}

static inline struct stream_taken recording_taken(struct stream *stream)
{
    (void)stream;
    return (struct stream_taken){.own = 0};
}

static const struct stream_ops recording_ops = {
    .send_head = recording_send_head,
    .send_body = recording_send_body,
    .send_trailers = recording_send_trailers,
    .credit = recording_credit,
    .reset = recording_reset,
    .taken = recording_taken,
};

static inline void recording_begin(struct recording_stream *recording)
{
    *recording = (struct recording_stream){.stream = {.ops = &recording_ops}, .told = text_growing()};
}

static inline void recording_end(struct recording_stream *recording)
{
    text_free(&recording->told);
}

/* The calls since the last look are these; forgets them. */
#define expect_calls(recording, expected)                                                       \
    do {                                                                                        \
        struct recording_stream *recording_ = (recording);                                      \
        assert_string_equal(recording_->told.length != 0 ? recording_->told.at : "", expected); \
        recording_->told.length = 0;                                                            \
    } while (0)

static inline struct buf buf_with(struct span bytes)
{
    struct buf buf = {0};
    assert_true(bytes.length == 0 || buf_add_span(&buf, bytes));
    return buf;
}

/* The bytes are these; empties it. */
#define expect_bytes(bytes, expected)                          \
    do {                                                       \
        struct buf *seen_ = (bytes);                           \
        struct span wanted_ = (expected);                      \
        char text_[4096];                                      \
        size_t length_ = buf_peek(seen_, text_, sizeof text_); \
        assert_int_equal(seen_->length, wanted_.length);       \
        if (length_ != 0)                                      \
            assert_memory_equal(text_, wanted_.at, length_);   \
        buf_clear(seen_);                                      \
    } while (0)

#endif
