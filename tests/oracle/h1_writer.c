#include "oracle/h1_writer.h"

#include <inttypes.h>

#include "oracle/trailers.h"

void h1_write_framing(struct bytes *out, const struct body_plan *body)
{
    if (body->framing == FRAMING_LENGTH)
        bytes_print(out, body->odd ? "content-length:%u \r\n" : "Content-Length: %u\r\n", body->length);
    else if (body->framing == FRAMING_CHUNKED)
        bytes_print(out, "Transfer-Encoding: %s\r\n", body->odd ? "Chunked" : "chunked");
}

/* Sizes and extensions in all the forms that are allowed (RFC 9112 7.1). */
static void write_size(struct bytes *out, uint32_t size, uint64_t offset)
{
    static const char *const forms[] = {"%X\r\n", "000%x\r\n", "%x;a=b\r\n", "%x;name=\"quoted; text\"\r\n"};
    bytes_print(out, forms[offset % 4], size);
}

uint32_t h1_write_piece(struct bytes *out, const struct body_plan *body, const struct identity *whose,
                        uint64_t offset, uint64_t most)
{
    uint64_t left = body->length - offset;
    uint32_t size = left < body->piece ? (uint32_t)left : body->piece;
    size = size < most ? size : (uint32_t)most;
    if (size == 0)
        return 0;
    if (body->framing == FRAMING_CHUNKED && body->odd)
        write_size(out, size, offset);
    else if (body->framing == FRAMING_CHUNKED)
        bytes_print(out, "%x\r\n", size);
    identity_fill(whose, offset, bytes_reserve(out, size), size);
    bytes_wrote(out, size);
    if (body->framing == FRAMING_CHUNKED)
        bytes_add(out, "\r\n", 2);
    return size;
}

void h1_write_end(struct bytes *out, const struct body_plan *body, uint64_t id)
{
    struct trailer list[TRAILERS_MOST];
    if (body->framing != FRAMING_CHUNKED)
        return;
    bytes_print(out, body->odd ? "00;last\r\n" : "0\r\n");
    unsigned count = trailers_list(list, body, id, false);
    for (unsigned i = 0; i < count; i++)
        bytes_print(out, "%s: %s\r\n", list[i].name, list[i].value);
    bytes_add(out, "\r\n", 2);
}
