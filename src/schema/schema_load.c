/*
 * The tree as structs, row by row. A value that is refused leaves the default in its place, so that one run
 * finds every mistake. Numbers and words are read by schema_value.c, texts by schema_text.c, what to say
 * about unknown keys is in schema_unknown.c.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "schema/schema_loader.h"
#include "schema/schema_value.h"

enum { NAME_MOST = 64 };

static void section_load(struct loader *loader, const struct node *key, const struct node *node, void *to,
                         const struct context *context, bool partial);

void *loader_get(struct loader *loader, size_t size)
{
    void *memory = arena_get_zeroed(loader->arena, size);
    assert(memory != NULL); /* the arena is on malloc and has no cap */
    return memory;
}

/* The name a section in a list gives itself, for messages. */
static const char *own_name(const struct node *node)
{
    const struct node *name = node->kind == NODE_MAP ? node_get(node, "name") : NULL;
    return name != NULL && name->kind == NODE_SCALAR && name->as.text.length <= NAME_MOST ? name->as.text.at
                                                                                          : NULL;
}

static void optional_load(struct loader *loader, const struct schema_key *key, const struct node_entry *entry,
                          void *field, const struct context *up)
{
    const struct node *node = entry->value;
    void *section = NULL;
    bool is_false = node->kind == NODE_SCALAR && node->plain && span_is(node->as.text, "false");
    if (!is_false) {
        section = loader_get(loader, key->section->size);
        section_load(loader, entry->key, node, section, &(struct context){key->section, NULL, up},
                     (key->flags & SCHEMA_PARTIAL) != 0);
    }
    memcpy(field, &section, sizeof(section));
}

static void many_store(const struct schema_key *key, char *section, void *items, size_t count)
{
    memcpy(section + key->offset, &items, sizeof(items));
    memcpy(section + key->count_offset, &count, sizeof(count));
}

static void sections_load(struct loader *loader, const struct schema_key *key, const struct node *node,
                          char *section, const struct context *up)
{
    bool is_list = node->kind == NODE_LIST;
    if (node->refused || node_is_null(node) || (!is_list && (key->flags & SCHEMA_SINGLE) == 0)) {
        if (node_is_null(node))
            schema_report_add(loader->report, SCHEMA_ERROR, node_place(node),
                              "%s has no value; write a list or remove the key", key->name);
        else if (!node->refused)
            schema_report_add(loader->report, SCHEMA_ERROR, node_place(node),
                              "%s takes a list; begin each item with \"- \"", key->name);
        return;
    }
    size_t count = is_list ? node->count : 1;
    char *items = loader_get(loader, (count + 1) * key->section->size);
    for (size_t i = 0; i < count; i++) {
        const struct node *item = is_list ? node->as.items[i] : node;
        section_load(loader, NULL, item, items + i * key->section->size,
                     &(struct context){key->section, own_name(item), up}, false);
    }
    if (count < key->least)
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(node), "%s cannot be empty", key->name);
    many_store(key, section, items, count);
}

static void name_check(struct loader *loader, const struct schema_key *key, const struct node *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
    struct span text = name->as.text;
    if (text.length == 0 || text.length > NAME_MOST || strspn(text.at, allowed) < text.length)
        schema_report_add(
            loader->report, SCHEMA_ERROR, node_place(name),
            "\"%s\" cannot name a %s; a name is up to 64 letters, digits, \"-\", \"_\" and \".\"", text.at,
            key->section->noun);
}

static void map_load(struct loader *loader, const struct schema_key *key, const struct node *node,
                     char *section, const struct context *up)
{
    if (node->kind != NODE_MAP) {
        if (!node->refused)
            schema_report_add(loader->report, SCHEMA_ERROR, node_place(node),
                              "%s takes names, each with its own keys below it", key->name);
        return;
    }
    const struct schema *schema = key->section;
    char *items = loader_get(loader, (node->count + (size_t)1) * schema->size);
    for (uint32_t i = 0; i < node->count; i++) {
        const struct node_entry *entry = &node->as.entries[i];
        char *item = items + i * schema->size;
        name_check(loader, key, entry->key);
        const char *name = arena_copy(loader->arena, entry->key->as.text).at;
        section_load(loader, entry->key, entry->value, item, &(struct context){schema, name, up}, false);
        memcpy(item + schema->name_offset, &name, sizeof(name));
    }
    many_store(key, section, items, node->count);
}

static void value_load(struct loader *loader, const struct schema_key *key, const struct node *node,
                       void *field)
{
    struct span value;
    struct error error = {""};
    if (text_of(loader, key, node, key->type, &value) &&
        !value_read(key, value, loader->aliases, field, &error))
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(node), "%s", error.text);
}

static void key_load(struct loader *loader, const struct schema_key *key, const struct node_entry *entry,
                     char *section, const struct context *context)
{
    void *field = section + key->offset;
    const struct node *node = entry->value;
    const char *text;
    switch (key->type) {
    case SCHEMA_BOOL:
    case SCHEMA_INT:
    case SCHEMA_SIZE:
    case SCHEMA_DURATION:
    case SCHEMA_PERCENT:
    case SCHEMA_RATE:
    case SCHEMA_CHOICE:
        value_load(loader, key, node, field);
        break;
    case SCHEMA_STRING:
    case SCHEMA_TEMPLATE:
    case SCHEMA_PATH:
    case SCHEMA_REFERENCE:
        text = text_load(loader, key, node, key->type);
        if (text != NULL)
            memcpy(field, &text, sizeof(text));
        break;
    case SCHEMA_TEXTS:
        texts_load(loader, key, node, field);
        break;
    case SCHEMA_PAIRS:
        pairs_load(loader, key, node, field);
        break;
    case SCHEMA_SECTION:
        section_load(loader, entry->key, node, field, &(struct context){key->section, NULL, context}, false);
        break;
    case SCHEMA_OPTIONAL:
        optional_load(loader, key, entry, field, context);
        break;
    case SCHEMA_SECTIONS:
        sections_load(loader, key, node, section, context);
        break;
    case SCHEMA_MAP:
        map_load(loader, key, node, section, context);
        break;
    case SCHEMA_INCLUDE:
        return;
    }
    place_add(loader->document, field, false, entry->key, node);
}

/* Which rows the section gives: its entries by row; false when something was refused. */
static bool rows_find(struct loader *loader, const struct node *node, const struct context *context,
                      struct node_entry *rows, uint64_t *meant)
{
    const struct schema_key *keys = context->schema->keys;
    bool good = true;
    for (uint32_t i = 0; i < node->count; i++) {
        const struct node_entry *entry = &node->as.entries[i];
        size_t row = 0;
        while (keys[row].name != NULL && !span_is(entry->key->as.text, keys[row].name))
            row++;
        if (keys[row].name != NULL) {
            rows[row] = *entry;
            continue;
        }
        const struct schema_key *probably = unknown_key_tell(loader, context, entry->key);
        if (probably != NULL)
            *meant |= (uint64_t)1 << (probably - keys);
        good = false;
    }
    return good;
}

/* A bare value where a section may be written short: the entry of the key that it gives. */
static bool shorthand_find(const struct node *node, const struct schema *schema, struct node_entry *rows)
{
    if (node->kind != NODE_SCALAR || schema->shorthand == NULL || node_is_null(node))
        return false;
    size_t row = 0;
    while (strcmp(schema->keys[row].name, schema->shorthand) != 0)
        row++;
    rows[row] = (struct node_entry){NULL, (struct node *)(uintptr_t)node};
    return true;
}

static void kind_refuse(struct loader *loader, const struct node *node, const struct context *context)
{
    if (node->refused)
        return;
    struct text what = text_growing();
    const char *hint = section_hint(loader, context->schema, node);
    context_print(context, &what);
    if (node_is_null(node))
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(node),
                          "%.*s has no keys; write {} for the defaults, or remove it", (int)what.length,
                          what.at);
    else
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(node),
                          "%.*s takes keys such as \"%s: ...\", not a %s%s%s", (int)what.length, what.at,
                          context->schema->keys[0].name, node->kind == NODE_LIST ? "list" : "single value",
                          hint != NULL ? "; " : "", hint != NULL ? hint : "");
    text_free(&what);
}

static void missing_tell(struct loader *loader, const struct schema_key *key, struct schema_place place,
                         const struct context *context)
{
    struct text where = text_growing();
    context_print(context, &where);
    schema_report_add(loader->report, SCHEMA_ERROR, place, "%.*s lacks \"%s\"", (int)where.length, where.at,
                      key->name);
    text_free(&where);
}

static void rows_load(struct loader *loader, struct node_entry *rows, void *to, const struct context *context,
                      bool partial)
{
    const struct schema_key *keys = context->schema->keys;
    for (size_t row = 0; keys[row].name != NULL; row++) {
        if (rows[row].value == NULL)
            continue;
        if (partial && (keys[row].flags & SCHEMA_OWN) != 0)
            schema_report_add(loader->report, SCHEMA_ERROR, node_place(rows[row].key),
                              "\"%s\" cannot have a default; give it in each %s", keys[row].name,
                              context->schema->noun);
        else
            key_load(loader, &keys[row], &rows[row], to, context);
    }
}

/* The section of defaults becomes what every later section of its schema starts from. */
static void prototype_replace(struct loader *loader, const struct schema *schema, const void *section,
                              const struct node_entry *rows)
{
    struct prototype *prototype = prototype_of(loader, schema);
    memcpy(prototype->bytes, section, schema->size);
    for (size_t row = 0; schema->keys[row].name != NULL; row++)
        if (rows[row].value != NULL)
            prototype->given |= (uint64_t)1 << row;
}

static void section_load(struct loader *loader, const struct node *key, const struct node *node, void *to,
                         const struct context *context, bool partial)
{
    const struct schema *schema = context->schema;
    const struct prototype *prototype = prototype_of(loader, schema);
    struct node_entry rows[SCHEMA_MOST_KEYS] = {{NULL, NULL}};
    uint64_t given = prototype->given;
    size_t errors = schema_report_errors(loader->report);
    memcpy(to, prototype->bytes, schema->size);
    place_add(loader->document, to, true, key, node);
    if (node->kind == NODE_MAP) {
        (void)rows_find(loader, node, context, rows, &given);
    } else if (node->refused || !shorthand_find(node, schema, rows)) {
        kind_refuse(loader, node, context);
        given = UINT64_MAX;
    }
    rows_load(loader, rows, to, context, partial);
    struct schema_place place = node_place(key != NULL ? key : node);
    if (context->up == NULL)
        place.line = 0; /* what the file lacks has no place in it */
    for (size_t row = 0; schema->keys[row].name != NULL; row++) {
        bool required =
            (schema->keys[row].flags & SCHEMA_REQUIRED) != 0 && !partial && !loader->document->incomplete;
        if (required && rows[row].value == NULL && (given >> row & 1) == 0)
            missing_tell(loader, &schema->keys[row], place, context);
    }
    if (partial)
        prototype_replace(loader, schema, to, rows);
    if (schema_report_errors(loader->report) != errors || node->refused)
        place_break(loader->document, to);
}

void *schema_load(struct schema_document *document, const struct schema *root,
                  const struct schema_alias *aliases, struct arena *arena)
{
    struct loader loader = {
        .document = document, .report = document->report, .arena = arena, .root = root, .aliases = aliases};
    void *section = loader_get(&loader, root->size);
    section_load(&loader, NULL, document->root, section, &(struct context){root, NULL, NULL}, false);
    if (!document->incomplete)
        references_check(&loader, section);
    free(loader.references);
    return section;
}
