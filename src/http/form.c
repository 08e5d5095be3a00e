/* "%XX" is a byte and "+" a blank (application/x-www-form-urlencoded); what is no escape stays. */
#include "http/form.h"

#include "base/arena.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As forms have them; *at goes behind the character. */
static char unescape(struct span text, size_t *at)
{
    char c = text.at[(*at)++];
    int high = c == '%' && *at + 1 < text.length ? hex_digit(text.at[*at]) : -1;
    int low = high >= 0 ? hex_digit(text.at[*at + 1]) : -1;
    if (low < 0)
        return c == '+' ? ' ' : c;
    *at += 2;
    return (char)(high * 16 + low);
}

bool form_is_named(struct span text, struct span name)
{
    size_t at = 0, length = 0;
    while (at < text.length && length < name.length && unescape(text, &at) == name.at[length])
        length++;
    return at == text.length && length == name.length;
}

bool form_is_encoded(struct span value)
{
    return span_find(value, '%') != value.length || span_find(value, '+') != value.length;
}

struct span form_decode(struct span value, char *room)
{
    size_t length = 0;
    for (size_t at = 0; at < value.length; length++)
        room[length] = unescape(value, &at);
    return span_make(room, length);
}

struct span form_decoded(struct span value, struct arena *arena)
{
    if (!form_is_encoded(value))
        return value;
    char *room = arena_get_bytes(arena, value.length);
    return room != NULL ? form_decode(value, room) : SPAN_NONE;
}
