/* Size, extensions, data, line ends: a byte at a time between the chunks, whole slices inside them. */
#include "http/h1_chunked.h"

#include "base/buf.h"

#define DIGITS_MOST 16u
#define BLANKS_MOST 16u /* of one size, where they are borne with */
#define EXTENSIONS_MOST                                                                 \
    16384u /* bytes in all chunks of a body together: nothing that is in use comes near \
            */

enum chunk_state {
    CHUNK_SIZE,
    CHUNK_BLANK,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF
};

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}

/* A server's padding: the length of a size means the same with it and without. */
static enum h1_step read_padding(struct h1_chunked *chunked)
{
    return ++chunked->blanks > BLANKS_MOST ? H1_FAILED : H1_MORE;
}

/* Blanks are borne with before an extension and, of clients, nowhere else (BWS, RFC 9112 7.1.1). */
static enum h1_step read_blank(struct h1_chunked *chunked, unsigned char c)
{
    if (c == ';')
        chunked->state = CHUNK_EXTENSION;
    else if (is_blank(c))
        chunked->state = CHUNK_BLANK;
    else if (c == '\r' && chunked->padded)
        chunked->state = CHUNK_SIZE_LF;
    else
        return H1_FAILED;
    if (chunked->padded && is_blank(c))
        return read_padding(chunked);
    return ++chunked->extensions > EXTENSIONS_MOST ? H1_FAILED : H1_MORE;
}

static enum h1_step read_size(struct h1_chunked *chunked, unsigned char c)
{
    int digit = hex_value(c);
    if (digit >= 0) {
        if (++chunked->digits > DIGITS_MOST || chunked->left >> 59 != 0)
            return H1_FAILED; /* sizes from 2^63 on overflow somewhere */
        chunked->left = chunked->left * 16 + (unsigned)digit;
        return H1_MORE;
    }
    if (chunked->digits == 0)
        return chunked->padded && is_blank(c) ? read_padding(chunked) : H1_FAILED;
    if (c == '\r') {
        chunked->state = CHUNK_SIZE_LF;
        return H1_MORE;
    }
    return read_blank(chunked, c);
}

static enum h1_step read_extension(struct h1_chunked *chunked, unsigned char c)
{
    if (c == '\r') {
        chunked->state = CHUNK_SIZE_LF;
        return H1_MORE;
    }
    if ((c < 0x20 && c != '\t') || c == 0x7f || ++chunked->extensions > EXTENSIONS_MOST)
        return H1_FAILED;
    return H1_MORE;
}

/* One byte that is not data. */
static enum h1_step read_framing(struct h1_chunked *chunked, unsigned char c)
{
    switch ((enum chunk_state)chunked->state) {
    case CHUNK_SIZE:
        return read_size(chunked, c);
    case CHUNK_BLANK:
        return read_blank(chunked, c);
    case CHUNK_EXTENSION:
        return read_extension(chunked, c);
    case CHUNK_SIZE_LF:
        if (c != '\n')
            return H1_FAILED;
        chunked->state = CHUNK_DATA;
        return chunked->left == 0 ? H1_DONE : H1_MORE;
    case CHUNK_DATA:
    case CHUNK_DATA_CR:
        if (c != '\r')
            return H1_FAILED;
        chunked->state = CHUNK_DATA_LF;
        return H1_MORE;
    case CHUNK_DATA_LF:
        if (c != '\n')
            return H1_FAILED;
        chunked->state = CHUNK_SIZE;
        chunked->digits = chunked->blanks = 0;
        return H1_MORE;
    }
    return H1_FAILED;
}

/* Framing bytes of the first slice. */
static enum h1_step read_slice(struct h1_chunked *chunked, struct buf *in)
{
    struct span bytes = buf_front(in);
    enum h1_step step = H1_MORE;
    size_t i = 0;
    while (i < bytes.length && step == H1_MORE && !(chunked->state == CHUNK_DATA && chunked->left != 0))
        step = read_framing(chunked, (unsigned char)bytes.at[i++]);
    buf_skip(in, i);
    return step;
}

#define SMALL_PIECE 256u

enum h1_step h1_chunked_read(struct h1_chunked *chunked, struct buf *in, struct buf *out, size_t most)
{
    size_t moved = 0;
    while (in->length != 0) {
        if (chunked->state != CHUNK_DATA || chunked->left == 0) {
            enum h1_step step = read_slice(chunked, in);
            if (step != H1_MORE)
                return step;
            continue;
        }
        size_t part = in->length < chunked->left ? in->length : (size_t)chunked->left;
        part = part < most - moved ? part : most - moved;
        if (part == 0)
            return H1_MORE;
        if (!(part <= SMALL_PIECE && buf_pull(out, in, part)) && !buf_move_some(out, in, part))
            return H1_FAILED;
        moved += part;
        chunked->left -= part;
        if (chunked->left == 0)
            chunked->state = CHUNK_DATA_CR;
    }
    return H1_MORE;
}

bool h1_chunked_ends_in(struct h1_chunked chunked, const struct buf *in)
{
    for (const struct slice *slice = in->first; slice != NULL; slice = slice->next) {
        for (size_t i = 0; i < slice->length;) {
            if (chunked.state != CHUNK_DATA || chunked.left == 0) {
                enum h1_step step = read_framing(&chunked, (unsigned char)slice->at[i++]);
                if (step != H1_MORE)
                    return step == H1_DONE;
                continue;
            }
            size_t rest = slice->length - i, part = rest < chunked.left ? rest : (size_t)chunked.left;
            i += part;
            chunked.left -= part;
            if (chunked.left == 0)
                chunked.state = CHUNK_DATA_CR;
        }
    }
    return false;
}
