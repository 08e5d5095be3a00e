/* Heads and framing as bytes: always written anew from the parsed form, always HTTP/1.1. */
#ifndef WEIR_HTTP_H1_WRITE_H
#define WEIR_HTTP_H1_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

struct buf;
struct fields;
struct head;

enum h1_framing { H1_FRAMING_NONE, H1_FRAMING_LENGTH, H1_FRAMING_CHUNKED, H1_FRAMING_CLOSE };
enum h1_connection { H1_CONNECTION_NONE, H1_CONNECTION_CLOSE, H1_CONNECTION_KEEP_ALIVE };
/* Into one block where it fits. False: no block. */
bool h1_write_request(struct buf *out, const struct head *head, enum h1_framing framing) MUST_CHECK;
bool h1_write_response(struct buf *out, const struct head *head, enum h1_framing framing,
                       enum h1_connection connection) MUST_CHECK;
/* A chunk's size line; the data and "\r\n" follow. */
bool h1_write_chunk_size(struct buf *out, uint64_t size) MUST_CHECK;
/* The last chunk with its trailers (NULL: none). */
bool h1_write_end(struct buf *out, const struct fields *trailers) MUST_CHECK;

#endif
