#include "oracle/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEPT (64u << 10) /* room that an empty buffer keeps */

char *bytes_reserve(struct bytes *bytes, size_t length)
{
    if (bytes->begin != 0 && bytes->room - bytes->end < length) {
        memmove(bytes->at, bytes_front(bytes), bytes_length(bytes));
        bytes->end -= bytes->begin;
        bytes->begin = 0;
    }
    if (bytes->room - bytes->end < length) {
        bytes->room = bytes->end + length < 2 * bytes->room ? 2 * bytes->room : bytes->end + length;
        bytes->at = realloc(bytes->at, bytes->room);
        if (bytes->at == NULL)
            abort();
    }
    return bytes->at + bytes->end;
}

void bytes_add(struct bytes *bytes, const void *from, size_t length)
{
    if (length == 0)
        return;
    memcpy(bytes_reserve(bytes, length), from, length);
    bytes_wrote(bytes, length);
}

void bytes_print(struct bytes *bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *to = bytes_reserve(bytes, (size_t)length + 1);
    va_start(arguments, format);
    (void)vsnprintf(to, (size_t)length + 1, format, arguments);
    va_end(arguments);
    bytes_wrote(bytes, (size_t)length);
}

void bytes_take(struct bytes *bytes, size_t length)
{
    bytes->begin += length;
    if (bytes->begin != bytes->end)
        return;
    bytes->begin = bytes->end = 0;
    if (bytes->room > KEPT)
        bytes_free(bytes);
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->at);
    *bytes = (struct bytes){0};
}
