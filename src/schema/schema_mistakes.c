/*
 * What looks right and is read as something else: characters that word processors and web pages make of
 * blanks, quotes and dashes, and addresses in brackets, which YAML takes for lists. And files that are not
 * YAML at all, but in the language of another proxy.
 */
#include <string.h>

#include "base/text.h"
#include "schema/schema_document.h"

static const struct {
    const char *bytes, *name, *ours;
    bool is_quote;
} lookalikes[] = {
    {"\xC2\xA0", "a no-break space (U+00A0)", "a plain blank", false},
    {"\xE2\x80\x87", "a figure space (U+2007)", "a plain blank", false},
    {"\xE2\x80\xAF", "a narrow no-break space (U+202F)", "a plain blank", false},
    {"\xE2\x80\x89", "a thin space (U+2009)", "a plain blank", false},
    {"\xE2\x80\x83", "an em space (U+2003)", "a plain blank", false},
    {"\xE2\x80\x82", "an en space (U+2002)", "a plain blank", false},
    {"\xE3\x80\x80", "an ideographic space (U+3000)", "a plain blank", false},
    {"\xE2\x80\x8B", "a zero-width space (U+200B)", "nothing in its place", false},
    {"\xEF\xBB\xBF", "a byte order mark (U+FEFF)", "nothing in its place", false},
    {"\xC2\xAD", "a soft hyphen (U+00AD)", "nothing in its place", false},
    {"\xE2\x80\x9C", "a curly quote (U+201C)", "\"", true},
    {"\xE2\x80\x9D", "a curly quote (U+201D)", "\"", true},
    {"\xE2\x80\x9E", "a curly quote (U+201E)", "\"", true},
    {"\xE2\x80\x9F", "a curly quote (U+201F)", "\"", true},
    {"\xE2\x80\x98", "a curly quote (U+2018)", "'", true},
    {"\xE2\x80\x99", "a curly quote (U+2019)", "'", true},
    {"\xE2\x80\x9A", "a curly quote (U+201A)", "'", true},
    {"\xE2\x80\x93", "a dash (U+2013)", "-", false},
    {"\xE2\x80\x94", "a dash (U+2014)", "-", false},
    {"\xE2\x88\x92", "a minus sign (U+2212)", "-", false},
    {"\xEF\xBC\x9A", "a wide colon (U+FF1A)", ":", false},
};

static bool lookalike_at(struct span text, size_t at, struct lookalike *found)
{
    struct span rest = span_skip(text, at);
    for (size_t i = 0; (unsigned char)text.at[at] >= 0x80 && i < COUNT_OF(lookalikes); i++) {
        struct span bytes = span_of(lookalikes[i].bytes);
        if (!span_starts(rest, bytes))
            continue;
        *found = (struct lookalike){at, bytes.length, lookalikes[i].name, lookalikes[i].ours,
                                    lookalikes[i].is_quote};
        return true;
    }
    return false;
}

bool lookalike_find(struct span text, struct lookalike *found)
{
    for (size_t at = 0; at < text.length; at++)
        if (lookalike_at(text, at, found))
            return true;
    return false;
}

bool lookalike_at_edge(struct span text, struct lookalike *found)
{
    if (text.length == 0)
        return false;
    if (lookalike_at(text, 0, found))
        return true;
    for (size_t length = 2; length <= 3 && length < text.length; length++)
        if (lookalike_at(text, text.length - length, found) && found->length == length && !found->is_quote)
            return true;
    return false;
}

/* The last in a line that is neither in a comment nor between plain quotes. */
static bool lookalike_of_line(struct span line, struct lookalike *found)
{
    bool any = false;
    char quote = '\0';
    struct lookalike here;
    for (size_t at = 0; at < line.length; at++) {
        char c = line.at[at];
        if (quote == '\0' && c == '#' && (at == 0 || line.at[at - 1] == ' '))
            break;
        if (quote == '\0' && (c == '"' || c == '\''))
            quote = c;
        else if (c == quote)
            quote = '\0';
        else if (quote == '\0' && lookalike_at(line, at, &here)) {
            *found = here;
            any = true;
        }
    }
    return any;
}

/* An address such as [::1]:80 or [fe80::1] that no quotes keep from being a list. */
static bool address_of_line(struct span line, size_t *from, size_t *length)
{
    for (size_t at = 0; at < line.length; at++) {
        size_t inside = 0, colons = 0;
        bool free = line.at[at] == '[' && (at == 0 || strchr("\"'/", line.at[at - 1]) == NULL);
        while (free && at + 1 + inside < line.length &&
               strchr("0123456789abcdefABCDEF:.", line.at[at + 1 + inside]) != NULL)
            colons += line.at[at + 1 + inside++] == ':';
        if (!free || colons < 2 || at + 1 + inside >= line.length || line.at[at + 1 + inside] != ']')
            continue;
        size_t end = at + inside + 2;
        if (end < line.length && line.at[end] == ':')
            end++;
        while (end < line.length && line.at[end] >= '0' && line.at[end] <= '9')
            end++;
        *from = at;
        *length = end - at;
        return true;
    }
    return false;
}

/* One such as ::1, which begins with what stands behind a key. */
static bool colons_of_line(struct span line, size_t *from, size_t *length)
{
    for (size_t at = 0; at + 1 < line.length; at++) {
        bool free = line.at[at] == ':' && line.at[at + 1] == ':' &&
                    (at == 0 || strchr(" ,[", line.at[at - 1]) != NULL);
        size_t end = at + 2;
        while (free && end < line.length && strchr("0123456789abcdefABCDEF:./", line.at[end]) != NULL)
            end++;
        if (!free)
            continue;
        *from = at;
        *length = end - at;
        return true;
    }
    return false;
}

/* A variable outside quotes in a list or section on one line, where its braces are YAML's. */
static bool variable_of_line(struct span line, size_t before, size_t *from, size_t *length)
{
    char quote = '\0';
    for (size_t at = 0; at < line.length && at <= before; at++) {
        char c = line.at[at];
        if (quote == '\0' && (c == '"' || c == '\''))
            quote = c;
        else if (c == quote)
            quote = '\0';
        else if (quote == '\0' && span_starts(span_skip(line, at), SPAN("${"))) {
            size_t begin = at, end = at + span_find(span_skip(line, at), '}');
            while (begin > 0 && strchr(" ,[{", line.at[begin - 1]) == NULL)
                begin--;
            end += end < line.length;
            while (end < line.length && strchr(" ,]}", line.at[end]) == NULL)
                end++;
            *from = begin;
            *length = end - begin;
            return true;
        }
    }
    return false;
}

static uint32_t column_of(struct span line, size_t at)
{
    uint32_t column = 1;
    for (size_t i = 0; i < at; i++)
        column += ((unsigned char)line.at[i] & 0xc0) != 0x80;
    return column;
}

bool mistake_tell(struct schema_report *report, struct schema_place place)
{
    size_t from, length;
    struct lookalike found;
    for (uint32_t line = place.line; line > 0 && line + 1 >= place.line; line--) {
        struct span text = schema_source_line(place.source, line);
        if (lookalike_of_line(text, &found)) {
            schema_report_add(report, SCHEMA_ERROR,
                              (struct schema_place){place.source, line, column_of(text, found.at), 1},
                              LOOKALIKE_SENTENCE, found.name, "here", found.ours);
            return true;
        }
        if (line == place.line && variable_of_line(text, place.column, &from, &length)) {
            schema_report_add(
                report, SCHEMA_ERROR,
                (struct schema_place){place.source, line, column_of(text, from), (uint32_t)length},
                "\"{\" begins a section here; a variable in a list or section on one line needs quotes: \"%.*s\"",
                (int)length, text.at + from);
            return true;
        }
        bool list = line == place.line && address_of_line(text, &from, &length);
        if (!list && (line != place.line || !colons_of_line(text, &from, &length)))
            continue;
        schema_report_add(report, SCHEMA_ERROR,
                          (struct schema_place){place.source, line, column_of(text, from), (uint32_t)length},
                          list ? "\"[\" begins a list here; an address in brackets needs quotes: \"%.*s\""
                               : "\":\" cannot begin a value; the address needs quotes: \"%.*s\"",
                          (int)length, text.at + from);
        return true;
    }
    return false;
}

/* ---- keys without a colon ---- */

struct keyed_line {
    struct span key, value;
    bool equals; /* "key = value"; else "key:value" */
};

static bool keyed_line_read(struct span line, struct keyed_line *keyed)
{
    size_t from = 0, length = 0;
    while (from < line.length && (line.at[from] == ' ' || (line.at[from] == '-' && from + 1 < line.length &&
                                                           line.at[from + 1] == ' ')))
        from++;
    struct span rest = span_skip(line, from);
    while (length < rest.length &&
           ((ascii_lower(rest.at[length]) >= 'a' && ascii_lower(rest.at[length]) <= 'z') ||
            rest.at[length] == '_'))
        length++;
    keyed->key = span_first(rest, length);
    rest = span_skip(rest, length);
    bool glued = rest.length > 1 && rest.at[0] == ':' && rest.at[1] != ' ';
    rest = span_trim(rest);
    keyed->equals = rest.length > 1 && rest.at[0] == '=';
    keyed->value = span_trim(span_skip(rest, rest.length != 0));
    return length != 0 && keyed->value.length != 0 && (glued || keyed->equals);
}

bool separator_tell(struct schema_report *report, struct schema_place place)
{
    struct span line = schema_source_line(place.source, place.line);
    struct keyed_line keyed;
    if (!keyed_line_read(line, &keyed))
        return false;
    size_t from = (size_t)(keyed.key.at - line.at);
    place.column = column_of(line, from);
    place.length = (uint32_t)(keyed.value.at + keyed.value.length - keyed.key.at);
    schema_report_add(report, SCHEMA_ERROR, place, "%s; write %.*s: %.*s",
                      keyed.equals ? "a key and its value have \": \" between them, not \"=\""
                                   : "a blank is missing after the colon",
                      (int)keyed.key.length, keyed.key.at, (int)keyed.value.length, keyed.value.at);
    return true;
}

bool separator_tell_above(struct schema_report *report, struct schema_place place)
{
    struct span line = schema_source_line(place.source, place.line), above = SPAN_NONE;
    size_t indentation = strspn(line.at, " -");
    struct keyed_line keyed;
    do
        above = schema_source_line(place.source, --place.line);
    while (place.line > 1 && span_trim(above).length == 0);
    return place.line != 0 && keyed_line_read(above, &keyed) &&
           (size_t)(keyed.key.at - above.at) == indentation && separator_tell(report, place);
}

/* ---- files of other products ---- */

static bool is_one_of(struct span word, const char *const *words)
{
    while (*words != NULL && !span_is(word, *words))
        words++;
    return *words != NULL;
}

static struct span first_word(struct span line)
{
    size_t length = 0;
    while (length < line.length && strchr(" \t;{", line.at[length]) == NULL)
        length++;
    return span_first(line, length);
}

/* `key:` or `key: value`, as the first line of a file of YAML has it. */
static bool has_key(struct span line)
{
    for (size_t at = 0; at < line.length; at++)
        if (line.at[at] == ':' && (at + 1 == line.length || line.at[at + 1] == ' '))
            return true;
    return false;
}

/* By the first line that says anything; NULL: nobody's that is known. */
static const char *product_of(struct span line)
{
    static const char *const haproxy[] = {"global", "defaults",  "frontend", "backend",
                                          "listen", "resolvers", "peers",    NULL};
    static const char *const nginx[] = {"user",
                                        "worker_processes",
                                        "events",
                                        "http",
                                        "server",
                                        "upstream",
                                        "stream",
                                        "location",
                                        "map",
                                        "include",
                                        "pid",
                                        "load_module",
                                        "geo",
                                        "error_log",
                                        "log_format",
                                        "limit_req_zone",
                                        "proxy_cache_path",
                                        NULL};
    struct span word = first_word(line);
    char last = line.at[line.length - 1];
    bool alone = word.length == line.length;
    if (line.at[0] == '<')
        return "Apache";
    if (line.at[0] == '[' && last == ']')
        return "Traefik, in TOML";
    if (is_one_of(word, nginx) && (last == ';' || last == '{' || alone))
        return "nginx";
    if (is_one_of(word, haproxy) && last != '{' && last != ':')
        return "HAProxy";
    return last == '{' && line.length > 1 ? "Caddy" : NULL;
}

/* A site of a Caddyfile needs no braces. */
static bool is_caddyfile(struct schema_source *source)
{
    for (uint32_t line = 1; line < 40; line++)
        if (span_is(first_word(span_trim(schema_source_line(source, line))), "reverse_proxy"))
            return true;
    return false;
}

bool foreign_file_tell(struct schema_report *report, struct schema_source *source)
{
    struct span first = SPAN_NONE;
    uint32_t line = 0;
    while (first.length == 0 && line < 1000) {
        first = span_trim(schema_source_line(source, ++line));
        if (first.length != 0 && first.at[0] == '#')
            first = SPAN_NONE;
    }
    if (first.length == 0 || has_key(first))
        return false;
    const char *product = product_of(first);
    if (product == NULL && is_caddyfile(source))
        product = "Caddy";
    if (product != NULL)
        schema_report_add(
            report, SCHEMA_ERROR, (struct schema_place){source, line, 1, 1},
            "this is a configuration of %s; weir's file is YAML with listeners, routes and pools: see "
            "weir-migrating(7)",
            product);
    return product != NULL;
}
