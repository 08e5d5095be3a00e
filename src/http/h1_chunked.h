/* The chunked coding (RFC 9112 7.1): a decoder that cuts body bytes out of a buf without copying them, but
 * for small pieces. Pure but for the bufs. */
#ifndef WEIR_HTTP_H1_CHUNKED_H
#define WEIR_HTTP_H1_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "http/h1_parse.h"

struct buf;

/* Zeroed at the start of a body. */
struct h1_chunked {
    uint64_t left;       /* of this chunk's size or data */
    uint32_t extensions; /* bytes of extensions so far */
    uint8_t state;
    uint8_t digits;
    uint8_t blanks; /* around the digits of this size */
    bool padded;    /* of a server: some fill a size up with blanks, as old Apache does */
};
/* Moves up to `most` body bytes from `in` to `out`. DONE: the last chunk's line has been taken, a section of
 * trailers follows. FAILED: malformed, or more extensions than anybody needs. MORE: `in` is used up, or
 * `most` was reached. */
enum h1_step h1_chunked_read(struct h1_chunked *chunked, struct buf *in, struct buf *out,
                             size_t most) MUST_CHECK;
/* The last chunk's line stands in `in`, where the body goes on; nothing is taken. */
bool h1_chunked_ends_in(struct h1_chunked chunked, const struct buf *in) MUST_CHECK;

#endif
