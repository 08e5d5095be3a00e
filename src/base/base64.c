/* Base64 by table; strict: no line ends, no spaces, and no set bits behind the last byte. */
#include "base/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const void *bytes, size_t length, char *to)
{
    const unsigned char *at = bytes;
    char *begin = to;
    for (; length >= 3; length -= 3, at += 3) {
        *to++ = letters[at[0] >> 2];
        *to++ = letters[(at[0] & 3) << 4 | at[1] >> 4];
        *to++ = letters[(at[1] & 15) << 2 | at[2] >> 6];
        *to++ = letters[at[2] & 63];
    }
    if (length != 0) {
        unsigned second = length == 2 ? at[1] : 0;
        *to++ = letters[at[0] >> 2];
        *to++ = letters[(at[0] & 3u) << 4 | second >> 4];
        *to++ = length == 2 ? letters[(second & 15) << 2] : '=';
        *to++ = '=';
    }
    return (size_t)(to - begin);
}

static int letter_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* A whole group: three bytes less its padding. */
static bool group_end(struct base64_reader *reader, unsigned char *to, size_t *written)
{
    uint32_t bits = reader->bits;
    unsigned bytes = 3u - reader->padding;
    *reader = (struct base64_reader){0};
    if ((bytes < 3 && (bits & 0xff) != 0) || (bytes < 2 && (bits & 0xffff) != 0))
        return false;
    for (unsigned i = 0; i < bytes; i++)
        to[(*written)++] = (unsigned char)(bits >> (16 - 8 * i));
    return true;
}

bool base64_read(struct base64_reader *reader, const char *text, size_t length, void *to, size_t *written)
{
    *written = 0;
    for (size_t i = 0; i < length; i++) {
        int value = letter_value(text[i]);
        if (text[i] == '=' && reader->count >= 2) {
            reader->padding++;
            value = 0;
        } else if (value < 0 || reader->padding != 0) {
            return false;
        }
        reader->bits = reader->bits << 6 | (unsigned)value;
        if (++reader->count == 4 && !group_end(reader, to, written))
            return false;
    }
    return true;
}
