/* Pieces come as they were read and go on as large as they came: nothing is held but a group of base64. */
#include "http/grpc_web.h"

#include <string.h>

#include "base/buf.h"
#include "http/head.h"

#define PIECE 3072u /* bytes taken to or from base64 at once: 4096 characters */
#define TRAILERS_FLAG 0x80

static const size_t prefix_size = sizeof((struct grpc_web_writer *)NULL)->prefix;

enum failure grpc_web_decode(struct base64_reader *reader, struct buf *from, struct buf *to)
{
    char bytes[PIECE + 1];
    enum failure why = FAILURE_NONE;
    while (why == FAILURE_NONE && !buf_is_empty(from)) {
        struct span text = buf_front(from);
        size_t got;
        if (text.length > BASE64_LENGTH(PIECE))
            text = span_first(text, BASE64_LENGTH(PIECE));
        if (!base64_read(reader, text.at, text.length, bytes, &got))
            why = FAILURE_BAD_BODY;
        else if (!buf_add(to, bytes, got))
            why = FAILURE_OVERLOADED;
        buf_skip(from, text.length);
    }
    buf_clear(from);
    return why;
}

/* What the group holds, with padding where it is not whole. */
static bool group_put(struct grpc_web_writer *writer, struct buf *to)
{
    char text[4];
    size_t length = base64_encode(writer->group, writer->group_got, text);
    writer->group_got = 0;
    return length == 0 || buf_add(to, text, length);
}

static bool encode(struct grpc_web_writer *writer, struct span bytes, struct buf *to)
{
    while (writer->group_got != 0 && bytes.length != 0) {
        writer->group[writer->group_got++] = (uint8_t)bytes.at[0];
        bytes = span_skip(bytes, 1);
        if (writer->group_got == sizeof writer->group && !group_put(writer, to))
            return false;
    }
    size_t whole = bytes.length / 3 * 3;
    for (size_t done = 0; done < whole;) {
        char text[BASE64_LENGTH(PIECE)];
        size_t size = whole - done < PIECE ? whole - done : PIECE;
        if (!buf_add(to, text, base64_encode(bytes.at + done, size, text)))
            return false;
        done += size;
    }
    for (size_t i = whole; i < bytes.length; i++)
        writer->group[writer->group_got++] = (uint8_t)bytes.at[i];
    return true;
}

/* How many of the bytes belong to the message in progress; counts them. */
static size_t message_take(struct grpc_web_writer *writer, struct span bytes)
{
    size_t took = 0;
    while (writer->prefix_got < prefix_size && took < bytes.length)
        writer->prefix[writer->prefix_got++] = (uint8_t)bytes.at[took++];
    if (writer->prefix_got < prefix_size)
        return took;
    if (took != 0)
        writer->left = (uint64_t)writer->prefix[1] << 24 | (uint64_t)writer->prefix[2] << 16 |
                       (uint64_t)writer->prefix[3] << 8 | writer->prefix[4];
    size_t more = bytes.length - took < writer->left ? bytes.length - took : (size_t)writer->left;
    writer->left -= more;
    return took + more;
}

enum failure grpc_web_encode(struct grpc_web_writer *writer, struct buf *from, bool last, struct buf *to)
{
    bool fits = true;
    while (fits && !buf_is_empty(from)) {
        struct span bytes = buf_front(from);
        bytes = span_first(bytes, message_take(writer, bytes));
        fits = encode(writer, bytes, to);
        if (fits && writer->prefix_got == prefix_size && writer->left == 0) {
            writer->prefix_got = 0;
            fits = group_put(writer, to);
        }
        buf_skip(from, bytes.length);
    }
    buf_clear(from);
    fits = fits && (!last || group_put(writer, to));
    return fits ? FAILURE_NONE : FAILURE_OVERLOADED;
}

static bool put_line(const struct field *field, struct buf *to)
{
    char name[64];
    struct span rest = field->name;
    while (rest.length != 0) { /* names in lower case, a piece at a time */
        size_t size = rest.length < sizeof name ? rest.length : sizeof name;
        for (size_t i = 0; i < size; i++)
            name[i] = ascii_lower(rest.at[i]);
        if (!buf_add(to, name, size))
            return false;
        rest = span_skip(rest, size);
    }
    return buf_add(to, ": ", 2) && (field->value.length == 0 || buf_add_span(to, field->value)) &&
           buf_add(to, "\r\n", 2);
}

enum failure grpc_web_trailers(const struct fields *trailers, bool text, struct buf *to)
{
    struct buf frame = {0};
    uint64_t length = 0;
    for (uint16_t i = 0; i < trailers->count; i++)
        length += trailers->items[i].name.length + trailers->items[i].value.length + 4;
    const uint8_t prefix[] = {TRAILERS_FLAG, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                              (uint8_t)(length >> 8), (uint8_t)length};
    bool fits = buf_add(&frame, prefix, sizeof prefix);
    for (uint16_t i = 0; fits && i < trailers->count; i++)
        fits = put_line(&trailers->items[i], &frame);
    enum failure why = fits ? FAILURE_NONE : FAILURE_OVERLOADED;
    if (fits && text) {
        struct grpc_web_writer writer = {0};
        why = grpc_web_encode(&writer, &frame, true, to);
    } else if (fits) {
        buf_move(to, &frame);
    }
    buf_clear(&frame);
    return why;
}
