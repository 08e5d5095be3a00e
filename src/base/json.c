/* Writes JSON (RFC 8259). What is not UTF-8 (RFC 3629) becomes U+FFFD, so that the output always is. */
#include "base/json.h"

#include <assert.h>
#include <math.h>

/* Length of the well-formed UTF-8 sequence at the front of `bytes` (no overlong forms, no surrogates), 0 when
 * there is none. */
static size_t json_utf8_length(struct span bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.at;
    unsigned first = at[0];
    size_t length = first < 0x80                    ? 1
                    : first >= 0xc2 && first < 0xe0 ? 2
                    : first >= 0xe0 && first < 0xf0 ? 3
                    : first >= 0xf0 && first < 0xf5 ? 4
                                                    : 0;
    if (length == 0 || length > bytes.length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (first == 0xe0 && at[1] < 0xa0) || (first == 0xf0 && at[1] < 0x90);
    bool outside = (first == 0xed && at[1] >= 0xa0) || (first == 0xf4 && at[1] >= 0x90);
    return overlong || outside ? 0 : length;
}

static void json_before_value(struct json *json)
{
    if (json->after_key) {
        json->after_key = false;
        return;
    }
    if (json->comma[json->depth])
        text_char(json->to, ',');
    json->comma[json->depth] = true;
}

static void json_open(struct json *json, char bracket)
{
    json_before_value(json);
    text_char(json->to, bracket);
    json->depth++;
    assert(json->depth < COUNT_OF(json->comma));
    json->comma[json->depth] = false;
}

static void json_close(struct json *json, char bracket)
{
    assert(json->depth > 0 && !json->after_key);
    json->depth--;
    text_char(json->to, bracket);
}

void json_begin(struct json *json, struct text *to)
{
    *json = (struct json){.to = to};
}

void json_object(struct json *json)
{
    json_open(json, '{');
}

void json_array(struct json *json)
{
    json_open(json, '[');
}

void json_end_object(struct json *json)
{
    json_close(json, '}');
}

void json_end_array(struct json *json)
{
    json_close(json, ']');
}

void json_key(struct json *json, const char *key)
{
    assert(!json->after_key);
    json_before_value(json);
    json_text_string(json->to, span_of(key));
    text_char(json->to, ':');
    json->after_key = true;
}

void json_string(struct json *json, struct span value)
{
    json_before_value(json);
    json_text_string(json->to, value);
}

void json_number(struct json *json, int64_t value)
{
    json_before_value(json);
    if (value < 0)
        text_char(json->to, '-');
    text_number(json->to, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void json_decimal(struct json *json, double value)
{
    if (!isfinite(value)) {
        json_null(json); /* JSON has no word for it */
        return;
    }
    json_before_value(json);
    char memory[352]; /* the largest double has 309 digits */
    struct text digits = text_over(memory, sizeof memory);
    text_print(&digits, "%.6f", value);
    while (digits.at[digits.length - 1] == '0')
        digits.length--;
    if (digits.at[digits.length - 1] == '.')
        digits.length--;
    text_add(json->to, text_span(&digits));
}

void json_bool(struct json *json, bool value)
{
    json_before_value(json);
    text_add(json->to, value ? SPAN("true") : SPAN("false"));
}

void json_null(struct json *json)
{
    json_before_value(json);
    text_add(json->to, SPAN("null"));
}

/* Beside what JSON has to escape (RFC 8259 7), what a terminal would obey: DEL, and the C1 controls, which
 * are two bytes of UTF-8. `length` as json_utf8_length() has it. */
static bool json_is_escaped(const char *at, size_t length)
{
    unsigned char c = (unsigned char)at[0];
    return length == 0 || c < 0x20 || c == 0x7f || c == '"' || c == '\\' ||
           (c == 0xc2 && (unsigned char)at[1] < 0xa0);
}

static void json_escape(struct text *to, const char *at, size_t length)
{
    static const char short_forms[] = "\"\\\bb\ff\nn\rr\tt";
    unsigned char c = (unsigned char)at[0];
    unsigned code = length == 0 ? 0xfffdu : length == 2 ? (unsigned char)at[1] : c;
    if (c == '"' || c == '\\') {
        text_print(to, "\\%c", c);
        return;
    }
    for (size_t i = 2; length == 1 && i < sizeof short_forms - 1; i += 2)
        if (short_forms[i] == (char)c) {
            text_print(to, "\\%c", short_forms[i + 1]);
            return;
        }
    text_print(to, "\\u%04x", code);
}

void json_text_string(struct text *to, struct span value)
{
    text_char(to, '"');
    size_t plain = 0; /* bytes before i that are still to be copied as they are */
    for (size_t i = 0; i < value.length;) {
        size_t length = (unsigned char)value.at[i] < 0x80 ? 1 : json_utf8_length(span_skip(value, i));
        if (!json_is_escaped(value.at + i, length)) {
            i += length;
            plain += length;
            continue;
        }
        text_add(to, span_make(value.at + i - plain, plain));
        plain = 0;
        json_escape(to, value.at + i, length);
        i += length != 0 ? length : 1;
    }
    if (plain != 0)
        text_add(to, span_make(value.at + value.length - plain, plain));
    text_char(to, '"');
}
