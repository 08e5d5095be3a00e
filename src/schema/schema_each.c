/* Every text of a struct, with the row that it came by: for rules that hold for all keys of a sort. */
#include <string.h>

#include "schema/schema.h"

struct walk {
    void (*each)(void *owner, const struct schema_key *key, const char *const *field);
    void *owner;
};

static void section_walk(const struct walk *walk, const struct schema *schema, const char *section);

static void list_walk(const struct walk *walk, const struct schema_key *key, const char *section)
{
    const char *items;
    size_t count;
    memcpy(&items, section + key->offset, sizeof items);
    memcpy(&count, section + key->count_offset, sizeof count);
    for (size_t i = 0; i < count; i++)
        section_walk(walk, key->section, items + i * key->section->size);
}

static void texts_walk(const struct walk *walk, const struct schema_key *key, const struct texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        walk->each(walk->owner, key, &texts->items[i]);
}

static void key_walk(const struct walk *walk, const struct schema_key *key, const char *section)
{
    const void *field = section + key->offset;
    const char *pointer;
    switch (key->type) {
    case SCHEMA_STRING:
    case SCHEMA_TEMPLATE:
    case SCHEMA_PATH:
    case SCHEMA_REFERENCE:
        if (*(const char *const *)field != NULL)
            walk->each(walk->owner, key, field);
        return;
    case SCHEMA_TEXTS:
        texts_walk(walk, key, field);
        return;
    case SCHEMA_SECTION:
        section_walk(walk, key->section, field);
        return;
    case SCHEMA_OPTIONAL:
        memcpy(&pointer, field, sizeof pointer);
        if (pointer != NULL)
            section_walk(walk, key->section, pointer);
        return;
    case SCHEMA_SECTIONS:
    case SCHEMA_MAP:
        list_walk(walk, key, section);
        return;
    case SCHEMA_PAIRS:
    case SCHEMA_INCLUDE:
    case SCHEMA_BOOL:
    case SCHEMA_INT:
    case SCHEMA_SIZE:
    case SCHEMA_DURATION:
    case SCHEMA_PERCENT:
    case SCHEMA_RATE:
    case SCHEMA_CHOICE:
        return;
    }
}

static void section_walk(const struct walk *walk, const struct schema *schema, const char *section)
{
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        key_walk(walk, key, section);
}

void schema_each_text(const struct schema *root, const void *section,
                      void (*each)(void *owner, const struct schema_key *key, const char *const *field),
                      void *owner)
{
    const struct walk walk = {each, owner};
    section_walk(&walk, root, section);
}
