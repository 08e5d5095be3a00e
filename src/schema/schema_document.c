/*
 * YAML to a tree that knows its places, over the event interface of libyaml. What that library lets pass
 * silently is decided here: duplicate keys, undefined and endless aliases, merge keys, tags, several
 * documents, depth and size. What keys and values mean is left to schema_load.c, other files to
 * schema_include.c.
 */
#include "schema/schema_document.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"
#include "base/text.h"

enum {
    DEPTH_MOST = 64,           /* flow nesting costs libyaml quadratic time */
    ALIAS_NODES_MOST = 100000, /* that all aliases together may stand for */
    KEYS_COMPARED = 16,        /* more keys in a map are looked for duplicates by hash */
    FILE_MOST = 16 << 20,
    ALL_FILES_MOST = 64 << 20
};

struct reader {
    struct schema_document *document;
    struct schema_source *source;
    yaml_parser_t parser;
    yaml_event_t event;
    struct map *anchors;
    struct node **stack; /* children of the collections that are open */
    size_t stack_count, stack_room;
    unsigned depth;
    bool failed; /* nothing more can be read from this file */
};

#define DIRECTIVE "\"%\" at the beginning of a line is YAML's; put the value in quotes"
#define TAG "\"!\" cannot begin a value; put it in quotes"

/* libyaml's words for a syntax error and ours. */
static const struct {
    const char *theirs, *ours;
} problems[] = {
    {"did not find expected key", "a key must stand here; is the line indented like its neighbours?"},
    {"mapping values are not allowed in this context",
     "\":\" cannot stand here; is the line indented like its neighbours, or does the value before it need quotes?"},
    {"could not find expected ':'", "\":\" is missing after the key"},
    {"block sequence entries are not allowed in this context",
     "an item of a list (\"- \") cannot stand here"},
    {"block mapping entries are not allowed in this context", "a key cannot stand here"},
    {"mapping keys are not allowed in this context", "a key cannot stand here"},
    {"did not find expected '-' indicator",
     "an item of a list (\"- \") must stand here; is the line indented like its neighbours?"},
    {"did not find expected ',' or ']'", "\",\" or \"]\" must stand here; is the list closed?"},
    {"did not find expected ',' or '}'", "\",\" or \"}\" must stand here; is the section closed?"},
    {"found unexpected end of stream", "the quote that opens here is never closed"},
    {"found unexpected document indicator", "the quote that opens here is never closed"},
    {"did not find expected node content", "a value must stand here"},
    {"did not find expected <document start>", "this cannot follow what stands before it"},
    {"found unknown escape character",
     "this escape is not known; \\\\ is a backslash in double quotes, and single quotes know no escapes"},
    {"did not find expected hexdecimal number", "hexadecimal digits must follow this escape"},
    {"found undefined tag handle", "tags such as !name are not supported"},
    {"found a tab character where an indentation space is expected", "a tab cannot indent; use spaces"},
    {"found a tab character that violates indentation", "a tab cannot indent; use spaces"},
    {"did not find expected alphabetic or numeric character",
     "\"*\" and \"&\" cannot begin a value; put it in quotes"},
    {"found incompatible YAML document", "only YAML 1.1 and 1.2 are read"},
    {"found unexpected ':'",
     "\":\" cannot end a value in a list or section on one line; put the value in quotes"},
    {"did not find expected comment or line break",
     "\"|\" and \">\" begin a text of the lines below; put a value that begins so in quotes"},
    {"found an indentation indicator equal to 0",
     "\"|\" and \">\" begin a text; put a value that begins so in quotes"},
    {"found invalid Unicode character escape code",
     "there is no such character; \\\\ is a backslash in double quotes"},
    {"could not find expected directive name", DIRECTIVE},
    {"found unknown directive name", DIRECTIVE},
    {"found unexpected non-alphabetical character", DIRECTIVE},
    {"found duplicate %YAML directive", DIRECTIVE},
    {"found duplicate %TAG directive", DIRECTIVE},
    {"did not find expected version number", DIRECTIVE},
    {"did not find expected digit or '.' character", DIRECTIVE},
    {"found extremely long version number", DIRECTIVE},
    {"did not find expected whitespace", DIRECTIVE},
    {"did not find expected whitespace or line break", TAG},
    {"did not find expected '!'", TAG},
    {"did not find the expected '>'", TAG},
    {"did not find expected tag URI", TAG},
    {"did not find URI escaped octet", TAG},
};

struct schema_place node_place(const struct node *node)
{
    if (node == NULL)
        return SCHEMA_NOWHERE;
    return (struct schema_place){node->source, node->line, node->column, node->length};
}

bool node_is_null(const struct node *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (node->kind != NODE_SCALAR || !node->plain)
        return false;
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (span_is(node->as.text, words[i]))
            return true;
    return false;
}

struct node *node_get(const struct node *map, const char *key)
{
    for (uint32_t i = 0; map->kind == NODE_MAP && i < map->count; i++)
        if (span_is(map->as.entries[i].key->as.text, key))
            return map->as.entries[i].value;
    return NULL;
}

/* The arena is on malloc and ends the process when memory is out. */
static void *document_get(struct schema_document *document, size_t size)
{
    void *memory = arena_get_zeroed(document->arena, size);
    assert(memory != NULL);
    return memory;
}

static struct schema_place mark_place(const struct reader *reader, const yaml_mark_t *mark, size_t length)
{
    return (struct schema_place){reader->source, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1,
                                 (uint32_t)length};
}

/* Length of the event on its first line, at least 1. */
static size_t event_length(const yaml_event_t *event)
{
    if (event->start_mark.line != event->end_mark.line || event->end_mark.column <= event->start_mark.column)
        return 1;
    return event->end_mark.column - event->start_mark.column;
}

static struct schema_place event_place(const struct reader *reader)
{
    return mark_place(reader, &reader->event.start_mark, event_length(&reader->event));
}

static void reader_stop(struct reader *reader, struct schema_place place, const char *sentence)
{
    reader->failed = true;
    schema_report_add(reader->document->report, SCHEMA_ERROR, place, "%s", sentence);
}

/* The character at a mark; marks count characters. */
static char char_at(const struct reader *reader, const yaml_mark_t *mark)
{
    const struct span bytes = reader->source->bytes;
    size_t at = 0;
    for (size_t line = 0; line < mark->line && at < bytes.length; at++)
        line += bytes.at[at] == '\n';
    for (size_t column = 0; column < mark->column && at < bytes.length; column++)
        do
            at++;
        while (at < bytes.length && ((unsigned char)bytes.at[at] & 0xc0) == 0x80);
    return at < bytes.length ? bytes.at[at] : '\0';
}

static const char *our_words(const char *problem)
{
    for (size_t i = 0; i < COUNT_OF(problems); i++)
        if (strcmp(problems[i].theirs, problem) == 0)
            return problems[i].ours;
    return problem;
}

/* A key without its colon is found where the next one begins; told is the line that lacks it. */
static bool key_error(struct reader *reader, const char *problem)
{
    const yaml_mark_t *begin = &reader->parser.context_mark, *found = &reader->parser.problem_mark;
    struct schema_report *report = reader->document->report;
    if (strcmp(problem, "mapping values are not allowed in this context") == 0)
        return reader->failed = separator_tell_above(report, mark_place(reader, found, 1));
    if (strcmp(problem, "could not find expected ':'") != 0)
        return false;
    if (begin->line == found->line)
        reader_stop(reader, mark_place(reader, begin, 1), "a key has at most 1024 characters");
    else if (!separator_tell(report, mark_place(reader, begin, 1)))
        reader_stop(reader, mark_place(reader, begin, 1), our_words(problem));
    return reader->failed = true;
}

/* A sign of lists and sections on one line, behind what is none or is closed already. */
static bool surplus_error(struct reader *reader, const char *problem)
{
    struct schema_place place = mark_place(reader, &reader->parser.problem_mark, 1);
    char c = char_at(reader, &reader->parser.problem_mark), sentence[80];
    bool ends = strcmp(problem, "did not find expected key") == 0 ||
                strcmp(problem, "did not find expected '-' indicator") == 0 ||
                strcmp(problem, "did not find expected <document start>") == 0;
    if (!ends || c == '\0' || strchr("]},", c) == NULL)
        return false;
    if (separator_tell(reader->document->report, place))
        return reader->failed = true;
    (void)snprintf(sentence, sizeof sentence, "\"%c\" %s here; remove it", c,
                   c == ',' ? "parts nothing" : "closes nothing");
    reader_stop(reader, place, sentence);
    return true;
}

/* What is missing is seen where something else stands, and meant for where the bracket opens. */
static bool bracket_error(struct reader *reader, const char *problem)
{
    const yaml_mark_t *opens = &reader->parser.context_mark, *found = &reader->parser.problem_mark;
    bool list = strcmp(problem, "did not find expected ',' or ']'") == 0;
    if (!list && strcmp(problem, "did not find expected ',' or '}'") != 0)
        return false;
    if (char_at(reader, found) == '\0') {
        reader_stop(reader, mark_place(reader, opens, 1),
                    list ? "the list that opens here is never closed; \"]\" ends it"
                         : "the section that opens here is never closed; \"}\" ends it");
        return true;
    }
    char c = char_at(reader, found);
    reader_stop(reader, mark_place(reader, found, 1),
                list && c == '}'    ? "\"}\" closes no list; \"]\" does, or one of them is too many"
                : !list && c == ']' ? "\"]\" closes no section; \"}\" does, or one of them is too many"
                                    : our_words(problem));
    schema_report_add(reader->document->report, SCHEMA_NOTE, mark_place(reader, opens, 1), "it opens here");
    return true;
}

static void syntax_error(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem != NULL ? parser->problem : "this cannot be read";
    const yaml_mark_t *mark = &parser->problem_mark;
    char starts[80];
    if (foreign_file_tell(reader->document->report, reader->source)) {
        reader->failed = true;
        return;
    }
    if (strcmp(problem, "found character that cannot start any token") == 0) {
        char c = char_at(reader, mark);
        (void)snprintf(starts, sizeof(starts), "\"%c\" cannot begin a value; put the value in quotes", c);
        reader_stop(reader, mark_place(reader, mark, 1),
                    c == '\t' ? "a tab cannot indent; use spaces" : starts);
        return;
    }
    if (mistake_tell(reader->document->report, mark_place(reader, mark, 1))) {
        reader->failed = true;
        return;
    }
    if (key_error(reader, problem) || surplus_error(reader, problem) || bracket_error(reader, problem))
        return;
    bool quoted = parser->context != NULL && strstr(parser->context, "quoted scalar") != NULL;
    if (quoted && strstr(problem, "unexpected") != NULL)
        mark = &parser->context_mark;
    reader_stop(reader, mark_place(reader, mark, 1), our_words(problem));
}

static bool event_next(struct reader *reader)
{
    yaml_event_delete(&reader->event);
    if (reader->failed || yaml_parser_parse(&reader->parser, &reader->event))
        return !reader->failed;
    memset(&reader->event, 0, sizeof(reader->event));
    syntax_error(reader);
    return false;
}

static struct node *node_new(struct reader *reader, enum node_kind kind)
{
    struct node *node = document_get(reader->document, sizeof(*node));
    struct schema_place place = event_place(reader);
    node->kind = kind;
    node->source = reader->source;
    node->line = place.line;
    node->column = place.column;
    node->length = kind == NODE_SCALAR ? place.length : 1; /* a section is shown by where it begins */
    node->expanded = 1;
    if (kind == NODE_SCALAR)
        node->as.text = SPAN("");
    return node;
}

static struct node *refused_new(struct reader *reader)
{
    struct node *node = node_new(reader, NODE_SCALAR);
    node->refused = true;
    return node;
}

static void anchor_set(struct reader *reader, const yaml_char_t *anchor, struct node *node)
{
    if (anchor == NULL)
        return;
    struct span name = span_of((const char *)anchor);
    struct node *first = map_get(reader->anchors, name);
    if (first != NULL) {
        schema_report_add(reader->document->report, SCHEMA_ERROR, event_place(reader),
                          "anchor \"%s\" is set twice", name.at);
        schema_report_add(reader->document->report, SCHEMA_NOTE, node_place(first), "it was set here first");
        return;
    }
    map_set(reader->anchors, name, node);
}

static void tag_refuse(struct reader *reader, const yaml_char_t *tag)
{
    static const char standard[] = "tag:yaml.org,2002:"; /* what !! stands for */
    const char *name = (const char *)tag;
    bool is_standard = tag != NULL && strncmp(name, standard, sizeof(standard) - 1) == 0;
    if (tag != NULL)
        schema_report_add(reader->document->report, SCHEMA_ERROR, event_place(reader),
                          "tags such as %s%s are not supported; the key decides what a value is",
                          is_standard ? "!!" : "", is_standard ? name + sizeof(standard) - 1 : name);
}

/* An alias is the node it names, not a copy: only what reads the tree pays for each use, and that is what the
 * cap counts. */
static struct node *alias_read(struct reader *reader)
{
    struct schema_document *document = reader->document;
    const char *name = (const char *)reader->event.data.alias.anchor;
    struct node *node = map_get(reader->anchors, span_of(name));
    if (node == NULL) {
        schema_report_add(document->report, SCHEMA_ERROR, event_place(reader),
                          "there is no anchor \"%s\" before this alias", name);
        return refused_new(reader);
    }
    if (node->open) {
        schema_report_add(document->report, SCHEMA_ERROR, event_place(reader),
                          "alias \"%s\" stands in its own anchor", name);
        return refused_new(reader);
    }
    document->alias_nodes += node->expanded;
    if (document->alias_nodes > ALIAS_NODES_MOST)
        reader_stop(reader, event_place(reader),
                    "aliases stand for more than 100,000 values in all; write them out or use defaults");
    return node;
}

static struct node *scalar_read(struct reader *reader)
{
    struct node *node = node_new(reader, NODE_SCALAR);
    const struct span value = {(const char *)reader->event.data.scalar.value,
                               reader->event.data.scalar.length};
    node->as.text = arena_copy(reader->document->arena, value);
    assert(node->as.text.at != NULL);
    node->plain = reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    tag_refuse(reader, reader->event.data.scalar.tag);
    struct lookalike found;
    if (node->plain && lookalike_at_edge(value, &found)) {
        schema_report_add(reader->document->report, SCHEMA_ERROR, event_place(reader), LOOKALIKE_SENTENCE,
                          found.name, found.at == 0 ? "in front" : "at the end", found.ours);
        node->refused = true;
    }
    if (memchr(value.at, '\0', value.length) != NULL)
        reader_stop(reader, event_place(reader), "a value cannot contain a NUL character");
    anchor_set(reader, reader->event.data.scalar.anchor, node);
    return node;
}

static void stack_push(struct reader *reader, struct node *node)
{
    if (reader->stack_count == reader->stack_room) {
        reader->stack_room = reader->stack_room != 0 ? reader->stack_room * 2 : 256;
        reader->stack = xrealloc(reader->stack, reader->stack_room * sizeof(struct node *));
    }
    reader->stack[reader->stack_count++] = node;
}

static void duplicate_tell(struct schema_report *report, const struct node *again, const struct node *first)
{
    bool spelt_alike = span_equal(again->as.text, first->as.text);
    schema_report_add(report, SCHEMA_ERROR, node_place(again), "key \"%s\" is given twice%s",
                      again->as.text.at, spelt_alike ? "" : ", since these names have no case");
    schema_report_add(report, SCHEMA_NOTE, node_place(first), "it was given here first");
}

static struct span lower_copy(struct schema_document *document, struct span text)
{
    struct span copy = arena_copy(document->arena, text);
    assert(copy.at != NULL);
    for (size_t i = 0; i < copy.length; i++)
        ((char *)(uintptr_t)copy.at)[i] = ascii_lower(copy.at[i]);
    return copy;
}

void duplicates_drop(struct schema_document *document, struct node *map, bool caseless)
{
    struct node_entry *entries = map->as.entries;
    struct map *seen = map->count > KEYS_COMPARED ? map_new() : NULL;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < map->count; i++) {
        struct span text = entries[i].key->as.text;
        struct span filed = seen != NULL && caseless ? lower_copy(document, text) : text;
        const struct node *first = seen != NULL ? map_get(seen, filed) : NULL;
        for (uint32_t j = 0; seen == NULL && j < kept && first == NULL; j++)
            if (caseless ? span_equal_nocase(text, entries[j].key->as.text)
                         : span_equal(text, entries[j].key->as.text))
                first = entries[j].key;
        if (first != NULL) {
            duplicate_tell(document->report, entries[i].key, first);
            continue;
        }
        if (seen != NULL)
            map_set(seen, filed, entries[i].key);
        entries[kept++] = entries[i];
    }
    map->count = kept;
    map_free(seen);
}

static bool key_is_good(const struct reader *reader, const struct node *key)
{
    struct schema_report *report = reader->document->report;
    struct lookalike found;
    if (key->refused)
        return false;
    if (key->kind != NODE_SCALAR && !mistake_tell(report, node_place(key)))
        schema_report_add(report, SCHEMA_ERROR, node_place(key),
                          "a key must be plain text; a list or a section needs quotes to be one");
    if (key->kind != NODE_SCALAR)
        return false;
    if (key->plain && lookalike_find(key->as.text, &found))
        schema_report_add(report, SCHEMA_ERROR, node_place(key), LOOKALIKE_SENTENCE, found.name,
                          "in this key", found.ours);
    else if (key->plain && span_is(key->as.text, "<<"))
        schema_report_add(
            report, SCHEMA_ERROR, node_place(key),
            "merge keys (<<) are not supported, since an alias stands for a whole value; write the keys out or "
            "use defaults");
    else
        return true;
    return false;
}

static struct node *node_read(struct reader *reader);

static void map_finish(struct reader *reader, struct node *map, size_t from)
{
    size_t count = (reader->stack_count - from) / 2;
    map->as.entries = document_get(reader->document, (count + 1) * sizeof(struct node_entry));
    for (size_t i = 0; i < count; i++) {
        struct node *key = reader->stack[from + 2 * i];
        if (!key_is_good(reader, key))
            map->refused = true; /* what seems to be missing may be what was misspelt */
        else
            map->as.entries[map->count++] = (struct node_entry){key, reader->stack[from + 2 * i + 1]};
    }
    duplicates_drop(reader->document, map, false);
}

static void list_finish(struct reader *reader, struct node *list, size_t from)
{
    list->count = (uint32_t)(reader->stack_count - from);
    list->as.items = document_get(reader->document, (list->count + 1) * sizeof(struct node *));
    for (uint32_t i = 0; i < list->count; i++)
        list->as.items[i] = reader->stack[from + i];
}

static struct node *collection_read(struct reader *reader, enum node_kind kind, yaml_event_type_t end)
{
    struct node *node = node_new(reader, kind);
    bool is_map = kind == NODE_MAP;
    tag_refuse(reader, is_map ? reader->event.data.mapping_start.tag : reader->event.data.sequence_start.tag);
    anchor_set(reader,
               is_map ? reader->event.data.mapping_start.anchor : reader->event.data.sequence_start.anchor,
               node);
    if (reader->depth++ == DEPTH_MOST)
        reader_stop(reader, event_place(reader), "nested more than 64 deep");
    node->open = true;
    size_t from = reader->stack_count;
    while (event_next(reader) && reader->event.type != end) {
        struct node *child = node_read(reader);
        stack_push(reader, child);
        node->expanded += child->expanded;
    }
    node->open = false;
    reader->depth--;
    if (!reader->failed && is_map)
        map_finish(reader, node, from);
    else if (!reader->failed)
        list_finish(reader, node, from);
    reader->stack_count = from;
    return node;
}

static struct node *node_read(struct reader *reader)
{
    switch ((int)reader->event.type) {
    case YAML_ALIAS_EVENT:
        return alias_read(reader);
    case YAML_SEQUENCE_START_EVENT:
        return collection_read(reader, NODE_LIST, YAML_SEQUENCE_END_EVENT);
    case YAML_MAPPING_START_EVENT:
        return collection_read(reader, NODE_MAP, YAML_MAPPING_END_EVENT);
    default:
        assert(reader->event.type == YAML_SCALAR_EVENT);
        return scalar_read(reader);
    }
}

/* The only document of the stream. An empty file is an empty section. */
static struct node *stream_read(struct reader *reader)
{
    struct node *root = NULL;
    while (event_next(reader) && reader->event.type != YAML_STREAM_END_EVENT) {
        bool starts = reader->event.type == YAML_DOCUMENT_START_EVENT;
        if (starts && root != NULL)
            reader_stop(reader, event_place(reader), "a second document begins here; a file holds one");
        else if (starts && event_next(reader))
            root = node_read(reader);
    }
    if (root == NULL || node_is_null(root)) {
        root = node_new(reader, NODE_MAP);
        root->line = root->column = 1;
    }
    return root;
}

/* Keys of the root that begin with x- hold what only aliases use. */
static void anchors_place_drop(struct node *root)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; root->kind == NODE_MAP && i < root->count; i++)
        if (!span_starts(root->as.entries[i].key->as.text, SPAN("x-")))
            root->as.entries[kept++] = root->as.entries[i];
    root->count = root->kind == NODE_MAP ? kept : root->count;
}

/* Refuses bytes that are not text, at their place: libyaml would only give an offset. */
static bool bytes_check(struct schema_document *document, struct schema_source *source)
{
    struct schema_place place = {source, 1, 1, 1};
    const unsigned char *bytes = (const unsigned char *)source->bytes.at;
    for (size_t i = 0; i < source->bytes.length;) {
        unsigned char c = bytes[i];
        if (c >= ' ' && c < 0x7f) { /* nearly all */
            i++;
            place.column++;
            continue;
        }
        size_t length = c == '\0' ? 0 : schema_utf8_length(bytes + i, source->bytes.length - i);
        bool of_two = c == 0xc2 && length == 2 && bytes[i + 1] < 0xa0 && bytes[i + 1] != 0x85; /* NEL */
        bool control = (c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 0x7f || of_two;
        if (length == 0 || control) {
            schema_report_add(document->report, SCHEMA_ERROR, place,
                              c == '\0' ? "the file contains a NUL byte; is it text?"
                              : control ? "the file contains the control character 0x%02x"
                                        : "byte 0x%02x is not UTF-8; is the file in another encoding?",
                              of_two ? bytes[i + 1] : c);
            return false;
        }
        i += length;
        place.column++;
        if (c == '\n') {
            place.line++;
            place.column = 1;
        }
    }
    return true;
}

static struct schema_source *source_add(struct schema_document *document, const char *name, struct span bytes)
{
    if (document->sources_count == document->sources_room) {
        document->sources_room = document->sources_room != 0 ? document->sources_room * 2 : 8;
        document->sources =
            xrealloc(document->sources, document->sources_room * sizeof(struct schema_source *));
    }
    struct schema_source *source = document_get(document, sizeof(*source));
    source->name = arena_text(document->arena, name);
    source->bytes = bytes;
    source->order = (uint32_t)document->sources_count;
    document->sources[document->sources_count++] = source;
    return source;
}

/* Absolute, with a final slash: that of `path` when it has one, else the working directory. */
static void source_locate(struct schema_document *document, struct schema_source *source, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *here = path[0] == '/' ? NULL : realpath(".", NULL);
    int folder = slash != NULL ? (int)(slash - path) + 1 : 0;
    struct span text = arena_print(document->arena, "%s%s%.*s", here != NULL ? here : "",
                                   here != NULL && strcmp(here, "/") != 0 ? "/" : "", folder, path);
    assert(text.at != NULL);
    source->folder = text.at;
    free(here);
}

static struct node *source_parse(struct schema_document *document, struct schema_source *source)
{
    document->bytes += source->bytes.length;
    if (source->bytes.length > FILE_MOST || document->bytes > ALL_FILES_MOST) {
        schema_report_add(document->report, SCHEMA_ERROR, (struct schema_place){.source = source},
                          "the file is too large; at most 16 MiB are read, and 64 MiB of all files together");
        return NULL;
    }
    /* A byte order mark, as some editors write it: libyaml would count it as the first line's indentation. */
    if (span_starts(source->bytes, SPAN("\xEF\xBB\xBF")))
        source->bytes = span_skip(source->bytes, 3);
    if (!bytes_check(document, source))
        return NULL;
    struct reader reader = {.document = document, .source = source, .anchors = map_new()};
    if (yaml_parser_initialize(&reader.parser) == 0)
        die("no memory to read %s", source->name);
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)source->bytes.at,
                                 source->bytes.length);
    struct node *root = stream_read(&reader);
    anchors_place_drop(root);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    map_free(reader.anchors);
    free(reader.stack);
    return reader.failed ? NULL : root;
}

struct node *document_read_file(struct schema_document *document, const char *path, const struct node *from)
{
    bool is_input = strcmp(path, "-") == 0 && from == NULL;
    struct error error;
    struct span bytes;
    if (!(is_input ? file_read_all(STDIN_FILENO, "standard input", FILE_MOST, &bytes, &error)
                   : file_read(path, FILE_MOST, &bytes, &error))) {
        schema_report_add(document->report, SCHEMA_ERROR, node_place(from), "%s", error.text);
        return NULL;
    }
    struct span copy = arena_copy(document->arena, bytes);
    free((char *)(uintptr_t)bytes.at);
    struct schema_source *source = source_add(document, is_input ? "standard input" : path, copy);
    source->is_file = !is_input;
    source_locate(document, source, is_input ? "" : path);
    return source_parse(document, source);
}

struct schema_document *schema_document_new(struct schema_report *report)
{
    struct schema_document *document = xcalloc(1, sizeof(*document));
    document->arena = arena_new_malloc();
    document->places = places_new();
    document->report = report;
    return document;
}

void schema_document_free(struct schema_document *document)
{
    if (document == NULL)
        return;
    for (size_t i = 0; i < document->sources_count; i++)
        free(document->sources[i]->line_starts);
    free(document->sources);
    places_free(document->places);
    arena_free(document->arena);
    free(document);
}

void schema_document_judge_text(struct schema_document *document)
{
    document->judges_text = true;
}

const struct texts *schema_document_unjudged(const struct schema_document *document)
{
    return &document->unjudged;
}

bool schema_is_partial(const struct schema_document *document)
{
    return document->partial;
}

void document_unjudged_note(struct schema_document *document, struct span name)
{
    struct texts *names = &document->unjudged;
    document->unjudged_values++;
    for (size_t i = 0; i < names->count; i++)
        if (span_is(name, names->items[i]))
            return;
    if (names->count == document->unjudged_room) {
        document->unjudged_room = document->unjudged_room * 2 + 8;
        const char **larger = document_get(document, document->unjudged_room * sizeof(*larger));
        if (names->count != 0)
            memcpy(larger, names->items, names->count * sizeof(*larger));
        names->items = larger;
    }
    struct span copy = arena_copy(document->arena, name);
    assert(copy.at != NULL);
    names->items[names->count++] = copy.at;
}

struct schema_report *schema_document_report(const struct schema_document *document)
{
    return document->report;
}

static bool document_finish(struct schema_document *document, struct node *root, const char *path)
{
    document->root = root;
    if (root != NULL && root->kind != NODE_MAP) {
        if (!foreign_file_tell(document->report, root->source))
            schema_report_add(document->report, SCHEMA_ERROR, node_place(root),
                              "the file must be a list of keys such as \"listeners:\"");
        document->root = NULL;
    }
    if (document->root != NULL)
        document_include(document, path);
    return document->root != NULL;
}

const char *schema_document_file(const struct schema_document *document, size_t number)
{
    for (size_t i = 0; i < document->sources_count; i++)
        if (document->sources[i]->is_file && number-- == 0)
            return document->sources[i]->name;
    return NULL;
}

bool schema_document_read(struct schema_document *document, const char *path)
{
    return document_finish(document, document_read_file(document, path, NULL),
                           strcmp(path, "-") != 0 ? path : NULL);
}

bool schema_document_read_text(struct schema_document *document, const char *name, const char *text,
                               size_t length)
{
    struct schema_source *source =
        source_add(document, name, arena_copy(document->arena, span_make(text, length)));
    source_locate(document, source, name);
    return document_finish(document, source_parse(document, source), NULL);
}
