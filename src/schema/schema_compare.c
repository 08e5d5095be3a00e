/* What differs between two structs of one schema, key by key: for whoever wants to know what a new file would
 * change. Secrets are compared and not shown, nor is what the environment brought: it is told as it stands in
 * the file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "schema/schema_document.h"

enum side { BEFORE, AFTER };
struct comparison {
    struct text path; /* of the section that is looked at, with a dot behind it; empty: the root of it all */
    const struct schema_document *documents[2];
    bool (*name)(const struct schema *schema, const void *item, const struct schema_document *document,
                 struct text *to);
    void (*tell)(void *owner, const struct schema_difference *difference);
    void *owner;
    const struct schema *of; /* of the item that is looked at, and that */
    const void *item;
};

static void section_compare(struct comparison *comparison, const struct schema *schema, const char *before,
                            const char *after);

/* The value alone, where it fits on a line; else that there is one. */
static char *value_text(const struct schema_key *key, const char *section,
                        const struct schema_document *document)
{
    struct text text = text_growing();
    schema_dump_key(key, section, document, &text);
    size_t head = strlen(key->name) + 2;
    bool one_line = text.length > head && memchr(text.at, '\n', text.length) == text.at + text.length - 1;
    char *value = one_line ? strndup(text.at + head, text.length - head - 1)
                           : strdup(text.length != 0 ? "..." : "none");
    text_free(&text);
    return value;
}

static void key_tell(struct comparison *comparison, const struct schema_key *key, const char *before,
                     const char *after)
{
    struct text path = text_growing();
    text_add(&path, text_span(&comparison->path));
    text_add(&path, span_of(key->name));
    char *was = value_text(key, before, comparison->documents[BEFORE]),
         *is = value_text(key, after, comparison->documents[AFTER]);
    comparison->tell(comparison->owner,
                     &(struct schema_difference){path.at, false, was, is, comparison->of, comparison->item});
    free(was);
    free(is);
    text_free(&path);
}

static void nested_compare(struct comparison *comparison, const char *name, const char *item,
                           const struct schema *schema, const char *before, const char *after)
{
    size_t length = comparison->path.length;
    text_print(&comparison->path, item != NULL ? "%s[%s]." : "%s.", name, item);
    section_compare(comparison, schema, before, after);
    comparison->path.length = length;
    comparison->path.at[length] = '\0';
}

/* ---- lists ---- */

struct items {
    const char *at;
    size_t count;
};

static struct items items_of(const struct schema_key *key, const char *section)
{
    struct items items;
    memcpy(&items.at, section + key->offset, sizeof items.at);
    memcpy(&items.count, section + key->count_offset, sizeof items.count);
    return items;
}

/* The key that a bare value gives tells an item of a list from the others, or what the owner says; else its
 * place does. Of a map the name does. */
static void item_name(const struct comparison *comparison, const struct schema_key *key, struct items items,
                      size_t place, const struct schema_document *document, struct text *to)
{
    const struct schema *schema = key->section;
    const char *item = items.at + place * schema->size, *name = NULL;
    const struct node *node = document != NULL ? place_variable(document, item, true) : NULL;
    if (node != NULL) { /* a variable brought the whole item */
        text_add(to, node->as.text);
        return;
    }
    if (comparison->name != NULL && comparison->name(schema, item, document, to))
        return;
    if (key->type == SCHEMA_MAP)
        memcpy(&name, item + schema->name_offset, sizeof name);
    for (const struct schema_key *own = schema->keys;
         name == NULL && schema->shorthand != NULL && own->name != NULL; own++)
        if (strcmp(own->name, schema->shorthand) == 0 &&
            (own->type == SCHEMA_STRING || own->type == SCHEMA_REFERENCE))
            memcpy(&name, item + own->offset, sizeof name);
    if (name != NULL)
        text_add(to, span_of(document != NULL ? schema_written(document, name) : name));
    else
        text_print(to, "%zu", place + 1);
}

/* All names at once, sorted, so that lists of thousands are matched in no time. */
struct named_item {
    char *name;
    size_t place;
};

static int named_compare(const void *left, const void *right)
{
    const struct named_item *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order != 0 ? order : (a->place > b->place) - (a->place < b->place);
}

static struct named_item *items_named(const struct comparison *comparison, const struct schema_key *key,
                                      struct items items)
{
    struct named_item *named = xcalloc(items.count + 1, sizeof *named);
    for (size_t i = 0; i < items.count; i++) {
        struct text name = text_growing();
        item_name(comparison, key, items, i, NULL, &name);
        named[i] = (struct named_item){name.at, i};
    }
    if (items.count > 1)
        qsort(named, items.count, sizeof *named, named_compare);
    return named;
}

static void items_free(struct named_item *named, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(named[i].name);
    free(named);
}

static void item_tell(struct comparison *comparison, const struct schema_key *key, struct items items,
                      size_t place, enum side side)
{
    struct text path = text_growing(), name = text_growing();
    text_add(&path, text_span(&comparison->path));
    text_add(&path, span_of(key->name));
    item_name(comparison, key, items, place, comparison->documents[side], &name);
    comparison->tell(comparison->owner,
                     &(struct schema_difference){path.at, true, side == BEFORE ? name.at : NULL,
                                                 side == AFTER ? name.at : NULL, key->section,
                                                 items.at + place * key->section->size});
    text_free(&name);
    text_free(&path);
}

static void item_compare(struct comparison *comparison, const struct schema_key *key, struct items was,
                         size_t was_place, struct items is, size_t is_place)
{
    size_t size = key->section->size;
    const struct comparison outer = *comparison;
    struct text name = text_growing();
    item_name(comparison, key, is, is_place, comparison->documents[AFTER], &name);
    comparison->of = key->section;
    comparison->item = was.at + was_place * size;
    nested_compare(comparison, key->name, name.at, key->section, was.at + was_place * size,
                   is.at + is_place * size);
    comparison->of = outer.of;
    comparison->item = outer.item;
    text_free(&name);
}

static void items_compare(struct comparison *comparison, const struct schema_key *key, const char *before,
                          const char *after)
{
    struct items was = items_of(key, before), is = items_of(key, after);
    struct named_item *old = items_named(comparison, key, was), *new = items_named(comparison, key, is);
    for (size_t i = 0, j = 0; i < was.count || j < is.count;) {
        int order = i == was.count ? 1 : j == is.count ? -1 : strcmp(old[i].name, new[j].name);
        if (order == 0)
            item_compare(comparison, key, was, old[i].place, is, new[j].place);
        else if (order < 0)
            item_tell(comparison, key, was, old[i].place, BEFORE);
        else
            item_tell(comparison, key, is, new[j].place, AFTER);
        i += order <= 0;
        j += order >= 0;
    }
    items_free(old, was.count);
    items_free(new, is.count);
}

/* ---- keys ---- */

/* A secret's own texts count, not what is shown of them. */
static bool texts_are_same(const struct texts *before, const struct texts *after)
{
    bool same = before->count == after->count;
    for (size_t i = 0; same && i < before->count; i++)
        same = strcmp(before->items[i], after->items[i]) == 0;
    return same;
}

static bool values_are_same(const struct schema_key *key, const char *before, const char *after)
{
    if (key->type == SCHEMA_TEXTS)
        return texts_are_same((const void *)(before + key->offset), (const void *)(after + key->offset));
    struct text was = text_growing(), is = text_growing();
    schema_dump_key(key, before, NULL, &was);
    schema_dump_key(key, after, NULL, &is);
    bool same = was.length == is.length && memcmp(was.at, is.at, was.length) == 0;
    text_free(&was);
    text_free(&is);
    return same;
}

static void optional_compare(struct comparison *comparison, const struct schema_key *key, const char *before,
                             const char *after)
{
    const char *was, *is;
    memcpy(&was, before + key->offset, sizeof was);
    memcpy(&is, after + key->offset, sizeof is);
    if (was != NULL && is != NULL)
        nested_compare(comparison, key->name, NULL, key->section, was, is);
    else if (was != is)
        key_tell(comparison, key, before, after);
}

static void key_compare(struct comparison *comparison, const struct schema_key *key, const char *before,
                        const char *after)
{
    if (key->type == SCHEMA_SECTION)
        nested_compare(comparison, key->name, NULL, key->section, before + key->offset, after + key->offset);
    else if (key->type == SCHEMA_OPTIONAL)
        optional_compare(comparison, key, before, after);
    else if (key->type == SCHEMA_SECTIONS || key->type == SCHEMA_MAP)
        items_compare(comparison, key, before, after);
    else if (!values_are_same(key, before, after))
        key_tell(comparison, key, before, after);
}

static void section_compare(struct comparison *comparison, const struct schema *schema, const char *before,
                            const char *after)
{
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        if ((key->flags & SCHEMA_MERGED) == 0 && key->type != SCHEMA_INCLUDE)
            key_compare(comparison, key, before, after);
}

void schema_compare(const struct schema *schema, const struct schema_side *before,
                    const struct schema_side *after,
                    bool (*name)(const struct schema *schema, const void *item,
                                 const struct schema_document *document, struct text *to),
                    void (*tell)(void *owner, const struct schema_difference *difference), void *owner)
{
    struct comparison comparison = {
        text_growing(), {before->document, after->document}, name, tell, owner, NULL, NULL};
    section_compare(&comparison, schema, before->section, after->section);
    text_free(&comparison.path);
}
