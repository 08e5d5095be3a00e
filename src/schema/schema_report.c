/*
 * Collects and prints messages about a file. Finding out what is wrong is left to schema_document.c (syntax),
 * schema_load.c (keys and values) and the rooms above (what a key alone cannot say).
 */
#include "schema/schema_report.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/map.h"
#include "base/text.h"

/* characters of a source line that are shown; a longer line is cut around the place */
enum {
    LINE_SHOWN = 160,
    EQUAL_MOST = 3, /* messages of one sentence that are printed; the others are counted */
    SHOWN_MOST = 50 /* errors that are printed, and warnings */
};

struct message {
    enum schema_severity severity;
    uint32_t order, line, column;      /* for sorting; a note has those of its message */
    size_t number;                     /* of adding: keeps the order of messages at one place */
    uint32_t shown_line, shown_column; /* what is printed; 0: the file as a whole */
    char *place;                       /* file:line:column, or the file alone, or NULL */
    char *file;
    char *sentence;
    char *source_line, *underline; /* NULL when there is nothing to show */
    bool hidden;                   /* not printed */
    size_t elsewhere;              /* how many more of this sentence are not printed */
};
struct schema_report {
    struct message *messages;
    size_t count, room;
    size_t errors, warnings;
};

static const char *const severity_names[] = {"error", "warning", "note"};
static const char *const severity_colours[] = {"\033[1;31m", "\033[1;35m", "\033[1;36m"};

struct schema_report *schema_report_new(void)
{
    return xcalloc(1, sizeof(struct schema_report));
}

static void message_free(struct message *message)
{
    free(message->place);
    free(message->file);
    free(message->sentence);
    free(message->source_line);
    free(message->underline);
}

void schema_report_free(struct schema_report *report)
{
    if (report == NULL)
        return;
    for (size_t i = 0; i < report->count; i++)
        message_free(&report->messages[i]);
    free(report->messages);
    free(report);
}

/* Length of the UTF-8 sequence at `at`, 0 when it is not one (RFC 3629). */
size_t schema_utf8_length(const unsigned char *at, size_t left)
{
    unsigned char c = at[0];
    size_t length = c < 0x80                ? 1
                    : c >= 0xc2 && c < 0xe0 ? 2
                    : c >= 0xe0 && c < 0xf0 ? 3
                    : c >= 0xf0 && c < 0xf5 ? 4
                                            : 0;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool bad = (c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f) || (c == 0xf0 && at[1] < 0x90) ||
               (c == 0xf4 && at[1] > 0x8f);
    return bad ? 0 : length;
}

/* The number of a character of several bytes that terminals obey: those that turn the direction of text, and
 * the controls behind ASCII. 0: it is none. */
static unsigned hidden_at(const unsigned char *at, size_t length)
{
    unsigned number = length == 2   ? (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu)
                      : length == 3 ? (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu)
                                    : 0;
    bool turns = number == 0x61c || number == 0x200e || number == 0x200f ||
                 (number >= 0x202a && number <= 0x202e) || (number >= 0x2066 && number <= 0x2069);
    return turns || (number >= 0x80 && number < 0xa0) ? number : 0;
}

/* Length of the line break at `at`, or 0. The breaks are those of the YAML reader, or lines would be counted
 * apart. */
static size_t break_length(struct span bytes, size_t at)
{
    const unsigned char *c = (const unsigned char *)bytes.at + at;
    size_t left = bytes.length - at;
    if (c[0] == '\r')
        return left > 1 && c[1] == '\n' ? 2 : 1;
    if (c[0] == '\n')
        return 1;
    if (left > 1 && c[0] == 0xc2 && c[1] == 0x85)
        return 2;
    if (left > 2 && c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9))
        return 3;
    return 0;
}

static void source_index(struct schema_source *source)
{
    size_t room = 64;
    source->line_starts = xmalloc(room * sizeof(uint32_t));
    source->line_starts[0] = 0;
    source->lines = 1;
    for (size_t i = 0; i < source->bytes.length;) {
        size_t width = break_length(source->bytes, i);
        i += width != 0 ? width : 1;
        if (width == 0)
            continue;
        if (source->lines == room) {
            room *= 2;
            source->line_starts = xrealloc(source->line_starts, room * sizeof(uint32_t));
        }
        source->line_starts[source->lines++] = (uint32_t)i;
    }
}

struct span schema_source_line(struct schema_source *source, uint32_t line)
{
    if (source->line_starts == NULL)
        source_index(source);
    if (line == 0 || line > source->lines)
        return SPAN_NONE;
    size_t from = source->line_starts[line - 1], to = from;
    while (to < source->bytes.length && break_length(source->bytes, to) == 0)
        to++;
    return span_make(source->bytes.at + from, to - from);
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Byte offset of the character number `characters`, at most the end. */
static size_t offset_of(struct span line, size_t characters)
{
    size_t at = 0;
    while (at < line.length && characters > 0) {
        at++;
        while (at < line.length && is_continuation(line.at[at]))
            at++;
        characters--;
    }
    return at;
}

static size_t characters_in(struct span line)
{
    size_t count = 0;
    for (size_t i = 0; i < line.length; i++)
        count += !is_continuation(line.at[i]);
    return count;
}

static void line_cut(struct span *line, uint32_t *column, const char **before, const char **after)
{
    size_t all = characters_in(*line);
    *before = *after = "";
    if (all <= LINE_SHOWN)
        return;
    size_t from = *column > LINE_SHOWN / 2 ? *column - LINE_SHOWN / 2 : 0;
    size_t to = from + LINE_SHOWN < all ? from + LINE_SHOWN : all;
    size_t first = offset_of(*line, from), last = offset_of(*line, to);
    *before = from > 0 ? "..." : "";
    *after = to < all ? "..." : "";
    *column -= (uint32_t)from;
    *line = span_make(line->at + first, last - first);
}

static char *finished(struct text *text)
{
    char *copy = xmalloc(text->length + 1);
    if (text->length != 0)
        memcpy(copy, text->at, text->length);
    copy[text->length] = '\0';
    text_free(text);
    return copy;
}

/* The source line and the underline below it; tabs stay tabs in both, so that they line up. */
static void message_show(struct message *message, struct schema_place place)
{
    struct span line = schema_source_line(place.source, place.line);
    if (line.length == 0 || place.column == 0)
        return;
    const char *before, *after;
    uint32_t column = place.column;
    line_cut(&line, &column, &before, &after);
    struct text shown = text_growing(), under = text_growing();
    text_print(&shown, "%s", before);
    for (size_t i = 0; i < line.length;) {
        size_t length = schema_utf8_length((const unsigned char *)line.at + i, line.length - i);
        bool control = ((unsigned char)line.at[i] < ' ' && line.at[i] != '\t') || line.at[i] == 0x7f ||
                       hidden_at((const unsigned char *)line.at + i, length) != 0;
        text_add(&shown, length == 0 || control ? SPAN("?") : span_make(line.at + i, length));
        i += length != 0 ? length : 1;
    }
    text_print(&shown, "%s", after);
    text_print(&under, "%*s", (int)strlen(before), "");
    size_t from = offset_of(line, column - 1);
    for (size_t i = 0; i < from; i++)
        if (!is_continuation(line.at[i]))
            text_char(&under, line.at[i] == '\t' ? '\t' : ' ');
    text_char(&under, '^');
    size_t rest = characters_in(span_skip(line, from));
    for (size_t i = 1; i < place.length && i < rest; i++)
        text_char(&under, '~');
    message->source_line = finished(&shown);
    message->underline = finished(&under);
}

static char *__attribute__((format(printf, 1, 0))) printed(const char *format, va_list arguments)
{
    assert(format != NULL);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    assert(length >= 0);
    char *raw = xmalloc((size_t)length + 1);
    (void)vsnprintf(raw, (size_t)length + 1, format, arguments);
    struct text text = text_growing(); /* a value must not forge lines or colours, nor turn text round */
    for (const char *c = raw; *c != '\0';) {
        size_t width = schema_utf8_length((const unsigned char *)c, strlen(c));
        unsigned hidden = hidden_at((const unsigned char *)c, width);
        if (hidden != 0)
            text_print(&text, "<U+%04X>", hidden);
        else if ((unsigned char)*c < ' ' || *c == 0x7f)
            text_char(&text, '?');
        else
            text_add(&text, span_make(c, width != 0 ? width : 1));
        c += width != 0 ? width : 1;
    }
    free(raw);
    return finished(&text);
}

static void message_place(struct message *message, struct schema_place place)
{
    if (place.source == NULL)
        return;
    struct text text = text_growing();
    text_print(&text, "%s", place.source->name);
    message->file = xstrdup(place.source->name);
    message->order = place.source->order;
    message->line = message->shown_line = place.line;
    message->column = message->shown_column = place.column;
    if (place.line != 0)
        text_print(&text, ":%u:%u", place.line, place.column);
    message->place = finished(&text);
    message_show(message, place);
}

void schema_report_add(struct schema_report *report, enum schema_severity severity, struct schema_place place,
                       const char *format, ...)
{
    if (report->count == report->room) {
        report->room = report->room != 0 ? report->room * 2 : 16;
        report->messages = xrealloc(report->messages, report->room * sizeof(struct message));
    }
    struct message *message = &report->messages[report->count];
    *message = (struct message){.severity = severity, .number = report->count};
    report->count++;
    report->errors += severity == SCHEMA_ERROR;
    report->warnings += severity == SCHEMA_WARNING;
    va_list arguments;
    va_start(arguments, format);
    message->sentence = printed(format, arguments);
    va_end(arguments);
    message_place(message, place);
}

size_t schema_report_errors(const struct schema_report *report)
{
    return report->errors;
}

size_t schema_report_warnings(const struct schema_report *report)
{
    return report->warnings;
}

static int message_compare(const void *left, const void *right)
{
    const struct message *a = left, *b = right;
    if (a->order != b->order)
        return a->order < b->order ? -1 : 1;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

static bool is_same(const struct message *a, const struct message *b)
{
    return a->severity == b->severity && a->order == b->order && a->line == b->line &&
           a->column == b->column && a->place != NULL && strcmp(a->sentence, b->sentence) == 0;
}

/* What an alias brings to many places is read there each time, and wrong once. */
static void repeated_drop(struct schema_report *report)
{
    size_t kept = 0, last = 0;
    bool dropping = false;
    for (size_t i = 0; i < report->count; i++) {
        struct message *message = &report->messages[i];
        bool is_note = message->severity == SCHEMA_NOTE;
        if (!is_note)
            dropping = kept != 0 && is_same(message, &report->messages[last]);
        if (!dropping) {
            last = is_note ? last : kept;
            report->messages[kept++] = *message;
            continue;
        }
        report->errors -= message->severity == SCHEMA_ERROR;
        report->warnings -= message->severity == SCHEMA_WARNING;
        message_free(message);
    }
    report->count = kept;
}

/* Sorts by place. A note sorts as the message it belongs to, whatever file it points into. */
static void report_sort(struct schema_report *report)
{
    for (size_t i = 1; i < report->count; i++) {
        struct message *message = &report->messages[i];
        if (message->severity != SCHEMA_NOTE)
            continue;
        message->order = message[-1].order;
        message->line = message[-1].line;
        message->column = message[-1].column;
    }
    if (report->count > 1)
        qsort(report->messages, report->count, sizeof(struct message), message_compare);
    repeated_drop(report);
    for (size_t i = 0; i < report->count; i++)
        report->messages[i].number = i;
}

static void message_print(const struct message *message, struct text *to, bool colour)
{
    const char *strong = colour ? "\033[1m" : "", *plain = colour ? "\033[0m" : "";
    const char *tint = colour ? severity_colours[message->severity] : "";
    if (message->place != NULL)
        text_print(to, "%s%s:%s ", strong, message->place, plain);
    text_print(to, "%s%s:%s %s%s%s\n", tint, severity_names[message->severity], plain, strong,
               message->sentence, plain);
    if (message->source_line == NULL)
        return;
    text_print(to, "%5u | %s\n", message->shown_line, message->source_line);
    text_print(to, "      | %s%s%s\n", tint, message->underline, plain);
}

struct tally {
    size_t all, told; /* messages of one sentence */
};

static struct map *sentences_count(const struct schema_report *report, struct tally *tallies)
{
    struct map *sentences = map_new();
    for (size_t i = 0; i < report->count; i++) {
        const struct message *message = &report->messages[i];
        struct tally *tally = map_get(sentences, span_of(message->sentence));
        if (tally == NULL)
            map_set(sentences, span_of(message->sentence), tally = &tallies[i]);
        tally->all++;
    }
    return sentences;
}

/* One mistake can stand at ten thousand places: which messages are printed, and how many are left. */
static void report_choose(struct schema_report *report, size_t left[2])
{
    size_t shown[2] = {0, 0};
    struct tally *tallies = xcalloc(report->count + 1, sizeof(*tallies));
    struct map *sentences = sentences_count(report, tallies);
    bool hidden = false;
    left[SCHEMA_ERROR] = report->errors;
    left[SCHEMA_WARNING] = report->warnings;
    for (size_t i = 0; i < report->count; i++) {
        struct message *message = &report->messages[i];
        struct tally *tally = map_get(sentences, span_of(message->sentence));
        bool is_note = message->severity == SCHEMA_NOTE;
        message->hidden = hidden =
            is_note ? hidden : tally->told == EQUAL_MOST || shown[message->severity] == SHOWN_MOST;
        if (hidden || is_note)
            continue;
        shown[message->severity]++;
        tally->told++;
        message->elsewhere = tally->told == EQUAL_MOST ? tally->all - EQUAL_MOST : 0;
        left[message->severity] -= 1 + message->elsewhere;
    }
    map_free(sentences);
    free(tallies);
}

static void left_print(const size_t left[2], struct text *to)
{
    if (left[SCHEMA_ERROR] + left[SCHEMA_WARNING] == 0)
        return;
    text_print(to, "... and ");
    if (left[SCHEMA_ERROR] != 0)
        text_print(to, "%zu more error%s", left[SCHEMA_ERROR], left[SCHEMA_ERROR] == 1 ? "" : "s");
    if (left[SCHEMA_WARNING] != 0)
        text_print(to, "%s%zu more warning%s", left[SCHEMA_ERROR] != 0 ? " and " : "", left[SCHEMA_WARNING],
                   left[SCHEMA_WARNING] == 1 ? "" : "s");
    text_print(to, "; mend these first\n");
}

void schema_report_print(struct schema_report *report, struct text *to, bool colour)
{
    size_t left[2];
    report_sort(report);
    report_choose(report, left);
    for (size_t i = 0; i < report->count; i++) {
        const struct message *message = &report->messages[i];
        if (!message->hidden)
            message_print(message, to, colour);
        if (!message->hidden && message->elsewhere != 0)
            text_print(to, "%snote:%s the same stands at %zu other place%s\n",
                       colour ? severity_colours[SCHEMA_NOTE] : "", colour ? "\033[0m" : "",
                       message->elsewhere, message->elsewhere == 1 ? "" : "s");
    }
    left_print(left, to);
}

void schema_report_sum(const struct schema_report *report, struct text *to)
{
    if (report->errors == 0)
        text_print(to, "no errors");
    else
        text_print(to, "%zu error%s", report->errors, report->errors == 1 ? "" : "s");
    if (report->warnings != 0)
        text_print(to, ", %zu warning%s", report->warnings, report->warnings == 1 ? "" : "s");
}

void schema_report_each(struct schema_report *report,
                        void (*tell)(void *owner, const struct schema_message *message), void *owner)
{
    report_sort(report);
    for (size_t i = 0; i < report->count; i++) {
        const struct message *message = &report->messages[i];
        bool placed = message->place != NULL;
        tell(owner, &(struct schema_message){message->severity, placed ? message->file : NULL,
                                             placed ? message->shown_line : 0,
                                             placed ? message->shown_column : 0, message->sentence});
    }
}

void schema_report_strict(struct schema_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        if (report->messages[i].severity == SCHEMA_WARNING)
            report->messages[i].severity = SCHEMA_ERROR;
    report->errors += report->warnings;
    report->warnings = 0;
}

static void message_json(void *owner, const struct schema_message *message)
{
    struct json *json = owner;
    json_object(json);
    json_key(json, "severity");
    json_string(json, span_of(severity_names[message->severity]));
    if (message->file != NULL) {
        json_key(json, "file");
        json_string(json, span_of(message->file));
        json_key(json, "line");
        json_number(json, message->line);
        json_key(json, "column");
        json_number(json, message->column);
    }
    json_key(json, "message");
    json_string(json, span_of(message->text));
    json_end_object(json);
}

void schema_report_json(struct schema_report *report, struct json *json)
{
    json_array(json);
    schema_report_each(report, message_json, json);
    json_end_array(json);
}

void schema_report_first(struct schema_report *report, struct text *to)
{
    report_sort(report);
    for (size_t i = 0; i < report->count; i++) {
        const struct message *message = &report->messages[i];
        if (message->severity != SCHEMA_ERROR)
            continue;
        if (message->place != NULL)
            text_print(to, "%s: ", message->place);
        text_print(to, "%s", message->sentence);
        return;
    }
}
