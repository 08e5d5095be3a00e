/* The writer measures first, then fills one reservation; a head larger than a block is added piece by piece.
 */
#include "http/h1_write.h"

#include <string.h>

#include "base/buf.h"
#include "http/head.h"

/* Writes into a reservation, or, when the head does not fit a block, into the buf itself. */
struct writer {
    struct buf *out;
    char *at; /* NULL: piece by piece */
    size_t length;
    bool failed;
};

static inline void put(struct writer *writer, const char *bytes, size_t length)
{
    if (writer->at != NULL) {
        memcpy(writer->at + writer->length, bytes, length);
        writer->length += length;
    } else if (!writer->failed) {
        writer->failed = !buf_add(writer->out, bytes, length);
    }
}

static inline void put_span(struct writer *writer, struct span bytes)
{
    if (bytes.length != 0)
        put(writer, bytes.at, bytes.length);
}

#define PUT(writer, literal) put(writer, literal, sizeof(literal) - 1)

static struct writer writer_begin(struct buf *out, size_t size)
{
    struct writer writer = {.out = out};
    size_t room;
    if (size > BLOCK_ROOM)
        return writer;
    writer.at = buf_reserve(out, size, &room);
    writer.failed = writer.at == NULL;
    return writer;
}

static bool writer_end(struct writer *writer)
{
    if (writer->at != NULL)
        buf_commit(writer->out, writer->length);
    return !writer->failed;
}

static size_t fields_size(const struct fields *fields)
{
    size_t size = 0;
    for (uint16_t i = 0; i < fields->count; i++)
        size += fields->items[i].name.length + fields->items[i].value.length + 4;
    return size;
}

static void put_field(struct writer *writer, struct span name, struct span value)
{
    put_span(writer, name);
    PUT(writer, ": ");
    put_span(writer, value);
    PUT(writer, "\r\n");
}

/* Two spans with the two bytes between them that would be written between them. */
static inline bool is_between(struct span before, const char *after, const char two[2])
{
    /* An empty value may be nowhere. */
    return before.at != NULL && before.at + before.length + 2 == after && memcmp(after - 2, two, 2) == 0;
}

/* Lines that lie one behind another as they would be written, which is how most of them came, are written as
 * one. */
static void put_fields(struct writer *writer, const struct fields *fields)
{
    if (fields->count == 0)
        return; /* and nowhere */
    const struct field *field = fields->items, *end = field + fields->count;
    while (field != end) {
        const struct field *first = field, *last;
        bool whole;
        do {
            last = field++;
            whole = is_between(last->name, last->value.at, ": ");
        } while (whole && field != end && is_between(last->value, field->name.at, "\r\n"));
        const struct field *lines_end = whole ? last + 1 : last;
        if (lines_end != first) {
            const struct span *value = &lines_end[-1].value;
            put(writer, first->name.at, (size_t)(value->at + value->length - first->name.at));
            PUT(writer, "\r\n");
        }
        if (!whole)
            put_field(writer, last->name, last->value);
    }
}

static void put_fields_but_trailer(struct writer *writer, const struct fields *fields)
{
    for (uint16_t i = 0, begin = 0; i <= fields->count; i++) {
        if (i != fields->count && fields->items[i].id != FIELD_TRAILER)
            continue;
        put_fields(writer, &(struct fields){.items = fields->items + begin, .count = (uint16_t)(i - begin)});
        begin = (uint16_t)(i + 1);
    }
}

/* Trailer goes with chunks: no other framing has a place for what it announces (RFC 9110 6.6.2). */
static inline void put_fields_of(struct writer *writer, const struct head *head, enum h1_framing framing)
{
    if (head->announces_trailers && framing != H1_FRAMING_CHUNKED)
        put_fields_but_trailer(writer, &head->fields);
    else
        put_fields(writer, &head->fields);
}

static size_t print_number(char text[20], uint64_t value)
{
    char reversed[20];
    size_t length = 0;
    do {
        reversed[length++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (size_t i = 0; i < length; i++)
        text[i] = reversed[length - 1 - i];
    return length;
}

static void put_framing(struct writer *writer, const struct head *head, enum h1_framing framing)
{
    char digits[20];
    switch (framing) {
    case H1_FRAMING_LENGTH:
        PUT(writer, "Content-Length: ");
        put(writer, digits, print_number(digits, (uint64_t)head->body_length));
        PUT(writer, "\r\n");
        break;
    case H1_FRAMING_CHUNKED:
        PUT(writer, "Transfer-Encoding: chunked\r\n");
        break;
    case H1_FRAMING_NONE:
    case H1_FRAMING_CLOSE:
        break;
    }
}

#define FIXED_MOST 256u /* version, status, framing and connection lines, and blanks */

bool h1_write_request(struct buf *out, const struct head *head, enum h1_framing framing)
{
    struct span method = head->line.request.method_name, query = head->line.request.query,
                host = head->line.request.authority;
    size_t size = method.length + head->line.request.path.length + query.length + host.length +
                  head->upgrade.length + fields_size(&head->fields) + FIXED_MOST;
    struct writer writer = writer_begin(out, size);
    put_span(&writer, method);
    PUT(&writer, " ");
    put_span(&writer, head->line.request.path);
    if (query.at != NULL) {
        PUT(&writer, "?");
        put_span(&writer, query);
    }
    PUT(&writer, " HTTP/1.1\r\nHost: ");
    put_span(&writer, host);
    PUT(&writer, "\r\n");
    put_fields_of(&writer, head, framing);
    put_framing(&writer, head, framing);
    if (head->upgrade.length != 0) {
        PUT(&writer, "Connection: upgrade\r\n");
        put_field(&writer, SPAN("Upgrade"), head->upgrade);
    }
    if (head->accepts_trailers) /* weir's own word for its hop: what comes is passed on (RFC 9110 10.1.4) */
        PUT(&writer, "Connection: TE\r\nTE: trailers\r\n");
    PUT(&writer, "\r\n");
    return writer_end(&writer);
}

bool h1_write_response(struct buf *out, const struct head *head, enum h1_framing framing,
                       enum h1_connection connection)
{
    unsigned status = head->line.response.status;
    char line[] = "HTTP/1.1 000 ";
    line[9] = (char)('0' + status / 100 % 10);
    line[10] = (char)('0' + status / 10 % 10);
    line[11] = (char)('0' + status % 10);
    struct writer writer = writer_begin(out, head->line.response.reason.length + head->upgrade.length +
                                                 fields_size(&head->fields) + FIXED_MOST);
    put(&writer, line, sizeof line - 1);
    put_span(&writer, head->line.response.reason);
    PUT(&writer, "\r\n");
    put_fields_of(&writer, head, framing);
    put_framing(&writer, head, framing);
    switch (connection) {
    case H1_CONNECTION_CLOSE:
        PUT(&writer, "Connection: close\r\n");
        break;
    case H1_CONNECTION_KEEP_ALIVE:
        PUT(&writer, "Connection: keep-alive\r\n");
        break;
    case H1_CONNECTION_NONE:
        break;
    }
    if (head->upgrade.length != 0) { /* of a 101, or what a 426 asks for (RFC 9110 7.8) */
        PUT(&writer, "Connection: upgrade\r\n");
        put_field(&writer, SPAN("Upgrade"), head->upgrade);
    }
    PUT(&writer, "\r\n");
    return writer_end(&writer);
}

bool h1_write_chunk_size(struct buf *out, uint64_t size)
{
    static const char digits[] = "0123456789abcdef";
    char text[18];
    size_t at = sizeof text;
    text[--at] = '\n';
    text[--at] = '\r';
    do {
        text[--at] = digits[size & 15];
        size >>= 4;
    } while (size != 0);
    return buf_add(out, text + at, sizeof text - at);
}

bool h1_write_end(struct buf *out, const struct fields *trailers)
{
    if (trailers == NULL || trailers->count == 0)
        return buf_add_constant(out, SPAN("0\r\n\r\n"));
    struct writer writer = writer_begin(out, fields_size(trailers) + FIXED_MOST);
    PUT(&writer, "0\r\n");
    put_fields(&writer, trailers);
    PUT(&writer, "\r\n");
    return writer_end(&writer);
}
