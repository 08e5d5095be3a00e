/* Base64 (RFC 4648 4), the standard alphabet. Both directions take a piece at a time; the caller keeps what a
 * piece leaves over. */
#ifndef WEIR_BASE_BASE64_H
#define WEIR_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

#define BASE64_LENGTH(bytes) (((bytes) + 2) / 3 * 4)

/* Whole groups of three and, at the end, a group with padding; writes BASE64_LENGTH(length) characters and no
 * NUL. */
size_t base64_encode(const void *bytes, size_t length, char *to);

/* A zeroed struct stands at the beginning of a text, or of a group behind padding: texts that were put one
 * behind another are read as one. */
struct base64_reader {
    uint32_t bits;
    uint8_t count;   /* characters of the group that have come */
    uint8_t padding; /* of them, '=' */
};
/* Reads `length` characters, writes at most length * 3 / 4 + 1 bytes. False: a character that is none of the
 * alphabet, or padding in a wrong place. */
bool base64_read(struct base64_reader *reader, const char *text, size_t length, void *to,
                 size_t *written) MUST_CHECK;
static inline bool base64_is_whole(const struct base64_reader *reader)
{
    return reader->count == 0;
}

#endif
