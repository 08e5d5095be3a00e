/* Bounded text: a writer over memory of the caller that never runs over and remembers that it was cut; and a
 * growing one. */
#ifndef WEIR_BASE_TEXT_H
#define WEIR_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/span.h"

struct text {
    char *at;
    size_t length, room; /* room counts the place for a final NUL, which is always kept */
    bool cut;            /* something did not fit */
    bool grows;          /* at is malloc'ed and grows; free with text_free() */
};

struct text text_over(char *memory, size_t room);
struct text text_growing(void);
void text_free(struct text *text);
void text_add(struct text *text, struct span bytes);
void text_char(struct text *text, char c);
void text_print(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);
void text_number(struct text *text, uint64_t value);
/* Escapes control bytes, quotes, backslash and bytes over 0x7e as \xHH, so that client data cannot forge
 * lines or colours. */
void text_escaped(struct text *text, struct span bytes);
struct span text_span(const struct text *text);

/* Decimal digits only, no sign, no blanks; false on anything else or over `most`. */
bool text_to_number(struct span digits, uint64_t most, uint64_t *value) MUST_CHECK;
/* Edit distance with swaps (Damerau-Levenshtein, restricted), for "did you mean"; stops at `most` + 1. */
unsigned text_distance(struct span a, struct span b, unsigned most);

#endif
