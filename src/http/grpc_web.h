/*
 * The bytes of gRPC-Web (github.com/grpc/grpc, doc/PROTOCOL-WEB.md): what a browser sends as gRPC's own, and
 * gRPC's answer with its trailers as a last frame of the body, both as bytes or as base64. A piece at a time,
 * in constant memory; heads are the proxy's.
 */
#ifndef WEIR_HTTP_GRPC_WEB_H
#define WEIR_HTTP_GRPC_WEB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/base64.h"
#include "http/failure.h"

struct buf;
struct fields;

/* A zeroed one stands at the beginning of a body. */
struct grpc_web_writer {
    uint64_t left;     /* bytes of the message that are still to come */
    uint8_t prefix[5]; /* of the message: a flag and its length */
    uint8_t prefix_got;
    uint8_t group[3]; /* bytes that wait for a whole group of base64 */
    uint8_t group_got;
};
/* Base64 to bytes. Takes all of `from`; BAD_BODY, or OVERLOADED. At the end of a body base64_is_whole() must
 * hold. */
enum failure grpc_web_decode(struct base64_reader *reader, struct buf *from, struct buf *to) MUST_CHECK;
/* Bytes to base64, whole with each message, so that a reader needs no more to have it. Takes all of `from`;
 * NONE or OVERLOADED. */
enum failure grpc_web_encode(struct grpc_web_writer *writer, struct buf *from, bool last,
                             struct buf *to) MUST_CHECK;
/* The frame that stands for the trailers, behind all messages; text: as base64. NONE or OVERLOADED. */
enum failure grpc_web_trailers(const struct fields *trailers, bool text, struct buf *to) MUST_CHECK;

#endif
