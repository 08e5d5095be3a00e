/*
 * The tree as structs, row by row. A value that is refused leaves the default in its place, so that one run
 * finds every mistake. Numbers and words are read by schema_value.c, texts by schema_text.c, what to say
 * about unknown keys is in schema_unknown.c.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
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

static bool is_one_of(struct span value, const char *const *words)
{
    while (*words != NULL && !span_equal_nocase(value, span_of(*words)))
        words++;
    return *words != NULL;
}

/* The name of a key that the section must be given; NULL: it can do with its defaults. */
static const char *required_of(const struct schema *schema)
{
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        if ((key->flags & SCHEMA_REQUIRED) != 0)
            return key->name;
    return NULL;
}

/* One rule for every section that can be turned off. */
static bool is_off(const struct node *node)
{
    static const char *const words[] = {"false", "none", NULL};
    return node->kind == NODE_SCALAR && node->plain && !node->refused && is_one_of(node->as.text, words);
}

/* A switch where a section is meant, such as `tls: on`. False: it is none. */
static bool switch_refuse(struct loader *loader, const struct schema_key *key, const struct node *node)
{
    static const char *const on[] = {"true", "on", "yes", "enabled", "1", NULL};
    static const char *const off[] = {"off", "no", "disabled", "0", NULL};
    struct schema_report *report = loader->report;
    if (node->kind != NODE_SCALAR || !node->plain || node->refused)
        return false;
    struct span value = node->as.text;
    bool is_on = is_one_of(value, on);
    if (!is_on && !is_one_of(value, off))
        return false;
    const char *hint = value_hint(loader, key->name, is_on ? SPAN("true") : value),
               *needs = required_of(key->section);
    if (hint != NULL)
        schema_report_add(report, SCHEMA_ERROR, node_place(node), "\"%s\" says too little; %s", value.at,
                          hint);
    else if (!is_on)
        schema_report_add(report, SCHEMA_ERROR, node_place(node),
                          "\"%s\" is not known; write %s: false to turn it off", value.at, key->name);
    else if ((key->flags & SCHEMA_PRESENT) != 0)
        schema_report_add(report, SCHEMA_ERROR, node_place(node),
                          "%s is on unless it is false; leave the key out", key->name);
    else if (needs != NULL)
        schema_report_add(report, SCHEMA_ERROR, node_place(node),
                          "\"%s\" says too little; write %s: { %s: ... }", value.at, key->name, needs);
    else
        schema_report_add(report, SCHEMA_ERROR, node_place(node),
                          "\"%s\" is not known; write %s: {} to turn it on with its defaults", value.at,
                          key->name);
    return true;
}

static bool is_number_bare(const struct schema *schema)
{
    for (const struct schema_key *key = schema->keys; schema->shorthand != NULL && key->name != NULL; key++)
        if (strcmp(key->name, schema->shorthand) == 0)
            return value_is_number(key);
    return false;
}

static void optional_load(struct loader *loader, const struct schema_key *key, const struct node_entry *entry,
                          void *field, const struct context *up)
{
    const struct node *node = entry->value;
    void *section = NULL;
    bool is_digit = node->kind == NODE_SCALAR && node->as.text.length == 1 && is_number_bare(key->section);
    if ((!is_off(node) || key->section->off != NULL) && (is_digit || !switch_refuse(loader, key, node))) {
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
    node = list_expand(loader, key, node);
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
        list_short_tell(loader, key, node);
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
    if (!text_of(loader, key, node, key->type, &value) || emptied_tell(loader, key, node, value) ||
        hint_tell(loader, key, node, value))
        return;
    if (!value_read(key, value, loader->aliases, field, &error) && !lookalike_tell(loader, node, value))
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(node), "%s", error.text);
}

/* `field` holds what a section of defaults gave. */
static void inner_load(struct loader *loader, const struct schema_key *key, const struct node_entry *entry,
                       void *field, const struct context *up)
{
    void *outer = NULL;
    if (section_adds_up(key->section)) {
        outer = loader_get(loader, key->section->size);
        memcpy(outer, field, key->section->size);
    }
    section_load(loader, entry->key, entry->value, field, &(struct context){key->section, NULL, up}, false);
    if (outer != NULL)
        section_add_up(loader, key->section, outer, field);
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
        inner_load(loader, key, entry, field, context);
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

/* Names of other things where the section's own keys are meant: told once, with how such things are written.
 */
static bool strangers_tell(struct loader *loader, const struct node *node, const struct context *context)
{
    if (context->schema->strangers == NULL || node->count == 0)
        return false;
    bool named = true; /* names, each with keys of its own below it, whatever else the names mean elsewhere */
    for (uint32_t i = 0; i < node->count; i++)
        named = named && node->as.entries[i].value->kind == NODE_MAP &&
                !key_is_ours(loader, context->schema, node->as.entries[i].key->as.text);
    for (uint32_t i = 0; !named && i < node->count; i++)
        if (key_is_explained(loader, context->schema, node->as.entries[i].key->as.text))
            return false;
    struct text what = text_growing();
    context_print(context, &what);
    schema_report_add(loader->report, SCHEMA_ERROR, node_place(node->as.entries[0].key),
                      "%.*s has no key \"%s\"; %s", (int)what.length, what.at,
                      node->as.entries[0].key->as.text.at, context->schema->strangers);
    text_free(&what);
    return true;
}

/* Which rows the section gives: its entries by row; false when something was refused. */
static bool rows_find(struct loader *loader, const struct node *node, const struct context *context,
                      struct node_entry *rows, uint64_t *meant)
{
    const struct schema_key *keys = context->schema->keys;
    bool good = true;
    if (strangers_tell(loader, node, context)) {
        *meant = UINT64_MAX;
        return false;
    }
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

/* `false` where a section is turned off by values of its keys. */
static bool off_find(struct loader *loader, const struct node *node, const struct schema *schema,
                     struct node_entry *rows)
{
    if (schema->off == NULL || !is_off(node))
        return false;
    for (const char *const *pair = schema->off; *pair != NULL; pair += 2) {
        struct node *made = loader_get(loader, sizeof *made);
        size_t row = 0;
        *made = *node;
        made->as.text = span_of(pair[1]);
        if (strcmp(pair[1], "[]") == 0)
            *made = (struct node){
                .kind = NODE_LIST, .line = node->line, .column = node->column, .source = node->source};
        while (strcmp(schema->keys[row].name, pair[0]) != 0)
            row++;
        rows[row] = (struct node_entry){NULL, made};
    }
    return true;
}

static bool bare_find(struct loader *loader, const struct node *node, const struct context *context,
                      struct node_entry *rows)
{
    if (off_find(loader, node, context->schema, rows))
        return true;
    bool foreign =
        node->kind == NODE_SCALAR && value_hint(loader, context->schema->noun, node->as.text) != NULL;
    return !foreign && shorthand_find(node, context->schema, rows);
}

static void kind_refuse(struct loader *loader, const struct node *node, const struct context *context)
{
    if (node->refused)
        return;
    struct text what = text_growing();
    const char *hint =
        value_hint(loader, context->schema->noun, node->kind == NODE_SCALAR ? node->as.text : SPAN("[]"));
    if (hint == NULL)
        hint = context->schema->bare;
    context_print(context, &what);
    if (node_is_null(node))
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(node),
                          "%.*s has no keys; write {} for the defaults, or remove it", (int)what.length,
                          what.at);
    else if (hint != NULL && node->kind == NODE_SCALAR && context->schema->shorthand != NULL)
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(node), "\"%s\" cannot stand here; %s",
                          node->as.text.at, hint);
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
    schema_report_add(loader->report, SCHEMA_ERROR, place, "%.*s lacks \"%s\"; write %s: ...",
                      (int)where.length, where.at, key->name, key->name);
    text_free(&where);
}

static void rows_load(struct loader *loader, struct node_entry *rows, void *to, const struct context *context,
                      bool partial)
{
    const struct schema_key *keys = context->schema->keys;
    for (size_t row = 0; keys[row].name != NULL; row++) {
        size_t unjudged = loader->document->unjudged_values;
        if (rows[row].value == NULL)
            continue;
        if (partial && (keys[row].flags & SCHEMA_OWN) != 0)
            schema_report_add(loader->report, SCHEMA_ERROR,
                              node_place(rows[row].key != NULL ? rows[row].key : rows[row].value),
                              "\"%s\" cannot have a default; give it in each %s", keys[row].name,
                              context->schema->noun);
        else
            key_load(loader, &keys[row], &rows[row], to, context);
        bool needed = (keys[row].flags & SCHEMA_REQUIRED) != 0 && keys[row].section == NULL;
        if (needed && loader->document->unjudged_values != unjudged)
            loader->document->partial = true;
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

/* Keys are given, and none is the file's: what it lacks is no help to who gave another one. */
static bool is_another_file(const struct node_entry *rows, const struct context *context,
                            const struct node *node)
{
    for (size_t row = 0; context->schema->keys[row].name != NULL; row++)
        if (rows[row].value != NULL)
            return false;
    return context->up == NULL && node->kind == NODE_MAP && node->count != 0;
}

/* What stands under a key could not be read: told before the section was loaded. */
static bool is_refused_in(const struct node_entry *rows, const struct schema *schema)
{
    for (size_t row = 0; schema->keys[row].name != NULL; row++)
        if (rows[row].value != NULL && rows[row].value->refused)
            return true;
    return false;
}

static void section_load(struct loader *loader, const struct node *key, const struct node *node, void *to,
                         const struct context *context, bool partial)
{
    const struct schema *schema = context->schema;
    const struct prototype *prototype = prototype_of(loader, schema);
    struct node_entry rows[SCHEMA_MOST_KEYS] = {{NULL, NULL}};
    uint64_t given = prototype->given;
    size_t errors = schema_report_errors(loader->report), unjudged = loader->document->unjudged_values;
    memcpy(to, prototype->bytes, schema->size);
    place_add(loader->document, to, true, key, node);
    if (node->kind == NODE_MAP) {
        (void)rows_find(loader, node, context, rows, &given);
    } else if (node->kind == NODE_SCALAR && !node->refused && glued_key_tell(loader, schema, node)) {
        given = UINT64_MAX;
    } else if (node->refused || !bare_find(loader, node, context, rows)) {
        kind_refuse(loader, node, context);
        given = UINT64_MAX;
    }
    rows_load(loader, rows, to, context, partial);
    if (node->kind == NODE_SCALAR && schema->shorthand != NULL && schema->bare != NULL &&
        schema_report_errors(loader->report) != errors)
        schema_report_add(loader->report, SCHEMA_NOTE, node_place(node), "%s", schema->bare);
    if (node->refused)
        loader->document->partial = true;
    if (is_another_file(rows, context, node))
        given = UINT64_MAX;
    struct schema_place place = node_place(key != NULL ? key : node);
    if (context->up == NULL)
        place.line = 0; /* what the file lacks has no place in it */
    for (size_t row = 0; schema->keys[row].name != NULL; row++) {
        bool required = (schema->keys[row].flags & SCHEMA_REQUIRED) != 0 && !partial &&
                        !loader->document->incomplete && !node->refused;
        if (required && rows[row].value == NULL && (given >> row & 1) == 0)
            missing_tell(loader, &schema->keys[row], place, context);
    }
    if (partial)
        prototype_replace(loader, schema, to, rows);
    if (schema_report_errors(loader->report) != errors || loader->document->unjudged_values != unjudged ||
        node->refused || is_refused_in(rows, schema))
        place_break(loader->document, to);
}

void *schema_load(struct schema_document *document, const struct schema *root,
                  const struct schema_alias *aliases, struct arena *arena)
{
    struct loader loader = {
        .document = document, .report = document->report, .arena = arena, .root = root, .aliases = aliases};
    hints_file(&loader);
    void *section = loader_get(&loader, root->size);
    section_load(&loader, NULL, document->root, section, &(struct context){root, NULL, NULL}, false);
    if (!document->incomplete)
        references_check(&loader, section);
    free(loader.references);
    map_free(loader.hints);
    return section;
}
