/* Writes of HTTP/1 what both roles write: bodies and their ends, oddly where the plan says so. */
#ifndef ORACLE_H1_WRITER_H
#define ORACLE_H1_WRITER_H

#include <stdint.h>

#include "oracle/bytes.h"
#include "oracle/identity.h"
#include "oracle/plan.h"

/* Content-Length or Transfer-Encoding, if any. */
void h1_write_framing(struct bytes *out, const struct body_plan *body);
/* The next piece, up to `most` bytes of the body; returns how many bytes. */
uint32_t h1_write_piece(struct bytes *out, const struct body_plan *body, const struct identity *whose,
                        uint64_t offset, uint64_t most);
/* The last chunk and the trailers, of a chunked body. */
void h1_write_end(struct bytes *out, const struct body_plan *body, uint64_t id);

#endif
