/*
 * `include:` of the root: other files, read and merged. Lists grow at their end, sections by the keys they
 * lack; what is given in two files is an error that shows both places. Files come in the order of the
 * patterns, by name within a pattern.
 */
#include <assert.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "schema/schema_loader.h"

enum { FILES_MOST = 10000 };

/* A map of the root, or the root itself, that grows: its own copy of the node (an alias may share it) and its
 * keys by name. */
struct merged {
    struct node *node;
    size_t room;
    struct map *known; /* key to 1 + its place, so that many files don't cost quadratic time */
    struct merged *next;
};
struct include {
    struct schema_document *document;
    struct merged root;
    struct merged *maps;
    struct map *files; /* real paths read */
};

static void *include_get(struct include *include, size_t size)
{
    void *memory = arena_get_zeroed(include->document->arena, size);
    assert(memory != NULL);
    return memory;
}

static void merged_begin(struct include *include, struct merged *merged, struct node *node)
{
    merged->room = (size_t)node->count * 2 + 16;
    struct node_entry *entries = include_get(include, merged->room * sizeof(*entries));
    merged->known = map_new();
    for (uint32_t i = 0; i < node->count; i++) {
        entries[i] = node->as.entries[i];
        map_set(merged->known, entries[i].key->as.text, (void *)(uintptr_t)(i + 1));
    }
    node->as.entries = entries;
    merged->node = node;
}

static void entry_add(struct include *include, struct merged *merged, const struct node_entry *entry)
{
    struct node *node = merged->node;
    if (node->count == merged->room) {
        struct node_entry *larger = include_get(include, merged->room * 2 * sizeof(*larger));
        memcpy(larger, node->as.entries, node->count * sizeof(*larger));
        node->as.entries = larger;
        merged->room *= 2;
    }
    node->as.entries[node->count++] = *entry;
    map_set(merged->known, entry->key->as.text, (void *)(uintptr_t)node->count);
}

static struct node *node_copy(struct include *include, const struct node *node)
{
    struct node *copy = include_get(include, sizeof(*copy));
    *copy = *node;
    return copy;
}

static struct merged *merged_of(struct include *include, struct node_entry *entry)
{
    for (struct merged *merged = include->maps; merged != NULL; merged = merged->next)
        if (merged->node == entry->value)
            return merged;
    struct merged *merged = include_get(include, sizeof(*merged));
    entry->value = node_copy(include, entry->value);
    merged_begin(include, merged, entry->value);
    merged->next = include->maps;
    include->maps = merged;
    return merged;
}

static void list_append(struct include *include, struct node_entry *entry, const struct node *from)
{
    struct node *to = node_copy(include, entry->value);
    struct node **items = include_get(include, ((size_t)to->count + from->count + 1) * sizeof(*items));
    if (to->count != 0)
        memcpy(items, to->as.items, to->count * sizeof(*items));
    if (from->count != 0)
        memcpy(items + to->count, from->as.items, from->count * sizeof(*items));
    to->as.items = items;
    to->count += from->count;
    entry->value = to;
}

static void clash_tell(struct include *include, const struct node *again, const struct node *first)
{
    struct schema_report *report = include->document->report;
    schema_report_add(report, SCHEMA_ERROR, node_place(again), "\"%s\" is given in another file already",
                      again->as.text.at);
    schema_report_add(report, SCHEMA_NOTE, node_place(first), "it was given here first");
}

static struct node_entry *entry_known(const struct merged *merged, const struct node_entry *entry)
{
    uintptr_t at = (uintptr_t)map_get(merged->known, entry->key->as.text);
    return at != 0 ? &merged->node->as.entries[at - 1] : NULL;
}

static void map_merge(struct include *include, struct merged *to, const struct node *from)
{
    for (uint32_t i = 0; i < from->count; i++) {
        const struct node_entry *entry = &from->as.entries[i], *mine = entry_known(to, entry);
        if (mine == NULL)
            entry_add(include, to, entry);
        else
            clash_tell(include, entry->key, mine->key);
    }
}

/* Adds what a file gives to the root: lists and sections of one name grow together. */
static void root_merge(struct include *include, const struct node *from)
{
    for (uint32_t i = 0; i < from->count; i++) {
        const struct node_entry *entry = &from->as.entries[i];
        struct node_entry *mine = entry_known(&include->root, entry);
        if (span_is(entry->key->as.text, "include"))
            continue;
        if (mine == NULL)
            entry_add(include, &include->root, entry);
        else if (mine->value->kind == NODE_LIST && entry->value->kind == NODE_LIST)
            list_append(include, mine, entry->value);
        else if (mine->value->kind == NODE_MAP && entry->value->kind == NODE_MAP)
            map_merge(include, merged_of(include, mine), entry->value);
        else
            clash_tell(include, entry->key, mine->key);
    }
}

static void include_follow(struct include *include, const struct node *from);

/* Notes a file as read; false when it is already. */
static bool file_note(struct include *include, const char *path)
{
    char *real = realpath(path, NULL);
    bool fresh = real == NULL || map_get(include->files, span_of(real)) == NULL;
    if (real != NULL)
        map_set(include->files, span_of(real), include);
    free(real);
    return fresh;
}

static void file_include(struct include *include, const char *path, const struct node *from)
{
    struct schema_document *document = include->document;
    if (!file_note(include, path)) {
        schema_report_add(document->report, SCHEMA_ERROR, node_place(from),
                          "%s is read already; a file cannot include itself or be included twice", path);
        return;
    }
    if (document->sources_count >= FILES_MOST) {
        schema_report_add(document->report, SCHEMA_ERROR, node_place(from),
                          "more than 10,000 files are included");
        return;
    }
    struct node *included = document_read_file(document, path, from);
    if (included == NULL) {
        document->incomplete = true;
        return;
    }
    if (included->kind != NODE_MAP) {
        schema_report_add(document->report, SCHEMA_ERROR, node_place(included),
                          "the file must be a list of keys such as \"pools:\"");
        return;
    }
    root_merge(include, included);
    include_follow(include, included);
}

/* A folder that is there and can't be looked into may hold files: leaving them out is no answer. */
static _Thread_local int closed_because;

static int folder_is_closed(const char *path, int number)
{
    (void)path;
    closed_because = number;
    return number != ENOENT && number != ENOTDIR;
}

static void pattern_include(struct include *include, const struct node *pattern)
{
    struct schema_document *document = include->document;
    struct loader loader = {.document = document, .report = document->report, .arena = document->arena};
    static const struct schema_key row = {.name = "include", .type = SCHEMA_INCLUDE};
    struct span value = SPAN_NONE;
    if (pattern->kind == NODE_SCALAR && !text_of(&loader, &row, pattern, SCHEMA_PATH, &value)) {
        document->incomplete = true;
        return;
    }
    if (pattern->kind != NODE_SCALAR || value.length == 0) {
        schema_report_add(document->report, SCHEMA_ERROR, node_place(pattern),
                          "include takes file names such as conf.d/*.yaml");
        return;
    }
    const char *text = value.at, *name = pattern->source->name;
    const char *slash = strrchr(name, '/');
    int folder = text[0] != '/' && slash != NULL ? (int)(slash - name) + 1 : 0;
    struct span path = arena_print(document->arena, "%.*s%s", folder, name, text);
    assert(path.at != NULL);
    glob_t found = {.gl_pathc = 0};
    int result = glob(path.at, 0, folder_is_closed, &found);
    if (result == GLOB_NOMATCH && strpbrk(text, "*?[") == NULL)
        schema_report_add(document->report, SCHEMA_ERROR, node_place(pattern), "there is no file %s",
                          path.at);
    else if (result == GLOB_NOMATCH)
        schema_report_add(document->report, SCHEMA_WARNING, node_place(pattern),
                          "no file is found as %s; put one there, or take the pattern out", path.at);
    else if (result != 0)
        schema_report_add(document->report, SCHEMA_ERROR, node_place(pattern), "cannot look for files %s: %s",
                          path.at, result == GLOB_ABORTED ? strerrordesc_np(closed_because) : "no memory");
    for (size_t i = 0; result == 0 && i < found.gl_pathc; i++)
        file_include(include, found.gl_pathv[i], pattern);
    globfree(&found);
}

static void include_follow(struct include *include, const struct node *from)
{
    const struct node *patterns = node_get(from, "include");
    if (patterns == NULL)
        return;
    if (patterns->kind != NODE_LIST) {
        pattern_include(include, patterns);
        return;
    }
    for (uint32_t i = 0; i < patterns->count; i++)
        pattern_include(include, patterns->as.items[i]);
}

void document_include(struct schema_document *document, const char *path)
{
    if (node_get(document->root, "include") == NULL)
        return;
    struct include include = {.document = document, .files = map_new()};
    struct node main_file = *document->root;
    merged_begin(&include, &include.root, document->root);
    if (path != NULL)
        (void)file_note(&include, path);
    include_follow(&include, &main_file);
    map_free(include.files);
    map_free(include.root.known);
    for (struct merged *merged = include.maps; merged != NULL; merged = merged->next)
        map_free(merged->known);
}
