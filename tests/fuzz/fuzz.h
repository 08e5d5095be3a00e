/* What the targets share: the entry that libFuzzer and replay.c call, and what must hold there. */
#ifndef WEIR_TESTS_FUZZ_H
#define WEIR_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"

/* -1: the input is none for this target, and not worth keeping. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

/* The bytes in a place that ends where they end, so that a sanitizer sees who reads on; free() it. */
static inline char *fuzz_exact(struct span bytes)
{
    char *copy = malloc(bytes.length + (bytes.length == 0));
    HOLDS(copy != NULL);
    if (bytes.length != 0)
        memcpy(copy, bytes.at, bytes.length);
    return copy;
}

/* The next line of the input, without its end; false: there is none. */
static inline bool fuzz_line(struct span *rest, struct span *line)
{
    if (rest->at == NULL)
        return false;
    size_t end = span_find(*rest, '\n');
    *line = span_first(*rest, end);
    *rest = end == rest->length ? SPAN_NONE : span_skip(*rest, end + 1);
    return true;
}

#endif
