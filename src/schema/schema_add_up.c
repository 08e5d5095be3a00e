/*
 * Sections of names that add up: what an outer section says of a name holds until an inner one says something
 * of the same name, under whichever of its keys. Names are compared without case, as those of headers are.
 */
#include <assert.h>
#include <string.h>

#include "schema/schema_loader.h"

static const struct texts *texts_at(const struct schema_key *key, const char *section)
{
    return (const struct texts *)(const void *)(section + key->offset);
}

static const struct name_values *pairs_at(const struct schema_key *key, const char *section)
{
    return (const struct name_values *)(const void *)(section + key->offset);
}

static bool section_names(const struct schema *schema, const char *section, const char *name)
{
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++) {
        size_t count =
            key->type == SCHEMA_TEXTS ? texts_at(key, section)->count : pairs_at(key, section)->count;
        for (size_t i = 0; i < count; i++) {
            const char *other = key->type == SCHEMA_TEXTS ? texts_at(key, section)->items[i]
                                                          : pairs_at(key, section)->items[i].name;
            if (span_equal_nocase(span_of(name), span_of(other)))
                return true;
        }
    }
    return false;
}

static void texts_add_up(struct loader *loader, const struct schema *schema, const struct schema_key *key,
                         const char *outer, const char *inner, char *to)
{
    const struct texts *before = texts_at(key, outer), *own = texts_at(key, inner);
    struct texts sum = {.items = loader_get(loader, (before->count + own->count + 1) * sizeof(*sum.items))};
    for (size_t i = 0; i < before->count; i++)
        if (!section_names(schema, inner, before->items[i]))
            sum.items[sum.count++] = before->items[i];
    for (size_t i = 0; i < own->count; i++)
        sum.items[sum.count++] = own->items[i];
    memcpy(to + key->offset, &sum, sizeof(sum));
}

static void pairs_add_up(struct loader *loader, const struct schema *schema, const struct schema_key *key,
                         const char *outer, const char *inner, char *to)
{
    const struct name_values *before = pairs_at(key, outer), *own = pairs_at(key, inner);
    struct name_values sum = {.items =
                                  loader_get(loader, (before->count + own->count + 1) * sizeof(*sum.items))};
    for (size_t i = 0; i < before->count; i++)
        if (!section_names(schema, inner, before->items[i].name))
            sum.items[sum.count++] = before->items[i];
    for (size_t i = 0; i < own->count; i++)
        sum.items[sum.count++] = own->items[i];
    memcpy(to + key->offset, &sum, sizeof(sum));
}

static void names_add_up(struct loader *loader, const struct schema *schema, const char *outer, char *section)
{
    char *inner = loader_get(loader, schema->size);
    memcpy(inner, section, schema->size);
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++) {
        assert(key->type == SCHEMA_TEXTS || key->type == SCHEMA_PAIRS);
        if (key->type == SCHEMA_TEXTS)
            texts_add_up(loader, schema, key, outer, inner, section);
        else
            pairs_add_up(loader, schema, key, outer, inner, section);
    }
}

bool section_adds_up(const struct schema *schema)
{
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        if ((key->flags & SCHEMA_ADDS_UP) != 0)
            return true;
    return false;
}

void section_add_up(struct loader *loader, const struct schema *schema, const void *outer, void *section)
{
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        if ((key->flags & SCHEMA_ADDS_UP) != 0)
            names_add_up(loader, key->section, (const char *)outer + key->offset,
                         (char *)section + key->offset);
}
