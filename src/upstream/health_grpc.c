/* See health_grpc.h. What a server sends is read within its bounds, fields that are not known are skipped. */
#include "upstream/health_grpc.h"

#include <assert.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

#define PREFIX 5 /* bytes before a message: compressed or not, and its length */

/* By code (grpc/doc/statuscodes.md). */
static const char *const status_texts[] = {
    NULL,
    "grpc status CANCELLED",
    "grpc status UNKNOWN",
    "grpc status INVALID_ARGUMENT",
    "grpc status DEADLINE_EXCEEDED",
    "grpc status NOT_FOUND: server does not know the service",
    "grpc status ALREADY_EXISTS",
    "grpc status PERMISSION_DENIED",
    "grpc status RESOURCE_EXHAUSTED",
    "grpc status FAILED_PRECONDITION",
    "grpc status ABORTED",
    "grpc status OUT_OF_RANGE",
    "grpc status UNIMPLEMENTED: server has no health service",
    "grpc status INTERNAL",
    "grpc status UNAVAILABLE",
    "grpc status DATA_LOSS",
    "grpc status UNAUTHENTICATED",
};
/* HealthCheckResponse.ServingStatus. */
enum { SERVING = 1 };
static const char *const serving_texts[] = {"service is UNKNOWN", "service is SERVING",
                                            "service is NOT_SERVING", "service is SERVICE_UNKNOWN"};

/* Protobuf's wire types. */
enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* Seven bits a byte, the least first. */
static size_t put_varint(unsigned char *to, uint64_t value)
{
    size_t length = 0;
    for (; value >= 0x80; value >>= 7)
        to[length++] = (unsigned char)(value | 0x80);
    to[length++] = (unsigned char)value;
    return length;
}

bool health_grpc_ask(struct buf *bytes, struct span service)
{
    unsigned char head[PREFIX + 1 + 10];
    size_t length = PREFIX;
    assert(service.length <= UINT32_MAX / 2);
    if (service.length != 0) { /* what is empty is not written */
        head[length++] = 1 << 3 | WIRE_BYTES;
        length += put_varint(head + length, service.length);
    }
    size_t message = length - PREFIX + service.length;
    head[0] = 0;
    for (unsigned i = 0; i < 4; i++)
        head[1 + i] = (unsigned char)(message >> (24 - 8 * i));
    return buf_add(bytes, head, length) && buf_add_span(bytes, service);
}

static bool take_varint(struct span *from, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && from->length != 0; shift += 7) {
        unsigned char byte = (unsigned char)from->at[0];
        *from = span_skip(*from, 1);
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool skip_field(struct span *from, uint64_t tag)
{
    uint64_t length;
    switch (tag & 7) {
    case WIRE_VARINT:
        return take_varint(from, &length);
    case WIRE_64:
        length = 8;
        break;
    case WIRE_BYTES:
        if (!take_varint(from, &length))
            return false;
        break;
    case WIRE_32:
        length = 4;
        break;
    default: /* groups, long out of use */
        return false;
    }
    if (length > from->length)
        return false;
    *from = span_skip(*from, (size_t)length);
    return true;
}

/* The last `status` holds, as protobuf has it; none is 0. */
static bool read_answer(struct span message, uint64_t *serving)
{
    *serving = 0;
    while (message.length != 0) {
        uint64_t tag;
        if (!take_varint(&message, &tag))
            return false;
        bool read =
            tag == (1 << 3 | WIRE_VARINT) ? take_varint(&message, serving) : skip_field(&message, tag);
        if (!read)
            return false;
    }
    return true;
}

/* How the call went; NULL: well. */
static const char *judge_call(struct span status)
{
    uint64_t code;
    if (status.at == NULL || !text_to_number(status, UINT32_MAX, &code))
        return "answer has no grpc-status";
    return code < COUNT_OF(status_texts) ? status_texts[code] : "grpc status is not known";
}

enum probe_verdict health_grpc_judge(struct span body, struct span status, const char **why)
{
    uint64_t serving, length = 0;
    *why = judge_call(status);
    if (*why != NULL)
        return PROBE_FAILED;
    for (unsigned i = 1; i < PREFIX && body.length >= PREFIX; i++)
        length = length << 8 | (unsigned char)body.at[i];
    if (body.length < PREFIX || body.at[0] != 0 || length != body.length - PREFIX ||
        !read_answer(span_skip(body, PREFIX), &serving)) {
        *why = "answer is not a message of grpc.health.v1";
        return PROBE_FAILED;
    }
    *why = serving_texts[serving < COUNT_OF(serving_texts) ? serving : 0];
    return serving == SERVING ? PROBE_PASSED : PROBE_SICK;
}
