/* Bytes that wait: written at the end, taken at the front. Memory that runs out ends the program. */
#ifndef ORACLE_BYTES_H
#define ORACLE_BYTES_H

#include <stddef.h>

struct bytes {
    char *at;
    size_t begin, end, room;
};
struct span {
    const char *at;
    size_t length;
};

static inline size_t bytes_length(const struct bytes *bytes)
{
    return bytes->end - bytes->begin;
}
static inline char *bytes_front(const struct bytes *bytes)
{
    return bytes->at + bytes->begin;
}
/* Room for so many more; bytes_wrote() tells how many were written there. */
char *bytes_reserve(struct bytes *bytes, size_t length);
static inline void bytes_wrote(struct bytes *bytes, size_t length)
{
    bytes->end += length;
}
void bytes_add(struct bytes *bytes, const void *from, size_t length);
__attribute__((format(printf, 2, 3))) void bytes_print(struct bytes *bytes, const char *format, ...);
void bytes_take(struct bytes *bytes, size_t length);
void bytes_free(struct bytes *bytes);

#endif
