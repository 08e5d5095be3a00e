/* Bounded and growing text, decimal numbers, and how unlike two words are. */
#include "base/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

/* Makes room for `more` bytes and the final NUL; returns how many of them fit. */
static size_t text_fit(struct text *text, size_t more)
{
    size_t left = text->room - text->length - 1;
    if (more <= left)
        return more;
    if (!text->grows) {
        text->cut = true;
        return left;
    }
    size_t room = text->room * 2;
    while (room - text->length - 1 < more)
        room *= 2;
    text->at = xrealloc(text->at, room);
    text->room = room;
    return more;
}

struct text text_over(char *memory, size_t room)
{
    assert(room > 0);
    memory[0] = '\0';
    return (struct text){.at = memory, .room = room};
}

struct text text_growing(void)
{
    struct text text = {.at = xmalloc(256), .room = 256, .grows = true};
    text.at[0] = '\0';
    return text;
}

void text_free(struct text *text)
{
    assert(text->grows || text->at == NULL);
    free(text->at);
    *text = (struct text){.at = NULL};
}

void text_add(struct text *text, struct span bytes)
{
    size_t fits = text_fit(text, bytes.length);
    if (fits != 0) /* an empty span may point nowhere */
        memcpy(text->at + text->length, bytes.at, fits);
    text->length += fits;
    text->at[text->length] = '\0';
}

void text_char(struct text *text, char c)
{
    text_add(text, span_make(&c, 1));
}

void text_print(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int wanted = vsnprintf(text->at + text->length, text->room - text->length, format, arguments);
    if (wanted > 0) {
        size_t room_before = text->room;
        size_t fits = text_fit(text, (size_t)wanted);
        if (text->room != room_before)
            vsnprintf(text->at + text->length, text->room - text->length, format, again);
        text->length += fits;
    }
    text->at[text->length] = '\0';
    va_end(again);
    va_end(arguments);
}

void text_number(struct text *text, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    text_add(text, span_make(digits + at, sizeof digits - at));
}

void text_escaped(struct text *text, struct span bytes)
{
    static const char hex[] = "0123456789abcdef";
    size_t plain = 0; /* where the bytes begin that are still to be copied as they are */
    for (size_t i = 0; i < bytes.length; i++) {
        unsigned char c = (unsigned char)bytes.at[i];
        if (c >= 0x20 && c <= 0x7e && c != '"' && c != '\\')
            continue;
        text_add(text, span_make(bytes.at + plain, i - plain));
        plain = i + 1;
        const char escape[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
        if (!text->grows && text->room - text->length - 1 < sizeof escape) {
            text->cut = true; /* half an escape would read as something else */
            return;
        }
        text_add(text, span_make(escape, sizeof escape));
    }
    text_add(text, span_make(bytes.at + plain, bytes.length - plain));
}

struct span text_span(const struct text *text)
{
    return span_make(text->at, text->length);
}

bool text_to_number(struct span digits, uint64_t most, uint64_t *value)
{
    if (digits.length == 0)
        return false;
    uint64_t number = 0;
    for (size_t i = 0; i < digits.length; i++) {
        char c = digits.at[i];
        if (c < '0' || c > '9')
            return false;
        unsigned digit = (unsigned)(c - '0');
        if (digit > most || number > (most - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *value = number;
    return true;
}

static unsigned text_least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned text_distance(struct span a, struct span b, unsigned most)
{
    enum { LONGEST = 64 };
    unsigned rows[3][LONGEST + 1];
    size_t apart = a.length > b.length ? a.length - b.length : b.length - a.length;
    if (apart > most || a.length > LONGEST || b.length > LONGEST)
        return most + 1;
    unsigned *older = rows[0], *old = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= b.length; j++)
        old[j] = j;
    for (unsigned i = 1; i <= a.length; i++) {
        unsigned best = row[0] = i;
        for (unsigned j = 1; j <= b.length; j++) {
            unsigned change = a.at[i - 1] != b.at[j - 1];
            unsigned cost = text_least(old[j - 1] + change, text_least(old[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1])
                cost = text_least(cost, older[j - 2] + 1);
            row[j] = cost;
            best = text_least(best, cost);
        }
        if (best > most)
            return most + 1;
        unsigned *recycled = older;
        older = old;
        old = row;
        row = recycled;
    }
    return old[b.length] <= most ? old[b.length] : most + 1;
}
