/* Borrowed bytes: a pointer and a length. A span never owns what it shows. */
#ifndef WEIR_BASE_SPAN_H
#define WEIR_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *at;
    size_t length;
};

#define SPAN_NONE ((struct span){NULL, 0})
/* A span over a string literal. */
#define SPAN(literal) ((struct span){"" literal, sizeof(literal) - 1})

static inline struct span span_of(const char *text)
{
    return (struct span){text, text != NULL ? strlen(text) : 0};
}

static inline struct span span_make(const char *at, size_t length)
{
    return (struct span){at, length};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}

static inline bool span_is(struct span a, const char *text)
{
    return span_equal(a, span_of(text));
}

/* ASCII lower case of one byte; other bytes unchanged (field names and hosts are ASCII, RFC 9110 5.1). */
static inline char ascii_lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char)(c | 0x20) : c;
}

static inline bool span_equal_nocase(struct span a, struct span b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++)
        if (ascii_lower(a.at[i]) != ascii_lower(b.at[i]))
            return false;
    return true;
}

static inline bool span_starts(struct span a, struct span prefix)
{
    return a.length >= prefix.length && (prefix.length == 0 || memcmp(a.at, prefix.at, prefix.length) == 0);
}

/* All but the first `count` bytes. */
static inline struct span span_skip(struct span a, size_t count)
{
    return (struct span){a.at + count, a.length - count};
}

static inline struct span span_first(struct span a, size_t count)
{
    return (struct span){a.at, count};
}

/* Index of the first `c`, or a.length when there is none. */
static inline size_t span_find(struct span a, char c)
{
    const char *found = a.length != 0 ? memchr(a.at, c, a.length) : NULL;
    return found != NULL ? (size_t)(found - a.at) : a.length;
}

/* Without SP and HTAB at both ends (OWS, RFC 9110 5.6.3). */
static inline struct span span_trim(struct span a)
{
    while (a.length > 0 && (a.at[0] == ' ' || a.at[0] == '\t')) {
        a.at++;
        a.length--;
    }
    while (a.length > 0 && (a.at[a.length - 1] == ' ' || a.at[a.length - 1] == '\t'))
        a.length--;
    return a;
}

/* Cuts the next element of a comma-separated list (RFC 9110 5.6.1) off `rest`; false when `rest` is used up.
 * Elements are trimmed and may be empty. Quoted strings are not looked into. */
static inline bool span_next_element(struct span *rest, struct span *element)
{
    if (rest->at == NULL)
        return false;
    size_t comma = span_find(*rest, ',');
    *element = span_trim(span_first(*rest, comma));
    *rest = comma == rest->length ? SPAN_NONE : span_skip(*rest, comma + 1);
    return true;
}

#endif
