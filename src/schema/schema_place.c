/* Which field of which struct was given where: a table by address, so that a check made later can point into the file.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/hash.h"
#include "schema/schema_document.h"

static struct place_entry *place_slot(struct place_entry *places, size_t room, const void *address, bool is_section)
{
    size_t at = (size_t)hash_mix((uint64_t)(uintptr_t)address * 2 + is_section) & (room - 1);
    while (places[at].address != NULL && (places[at].address != address || places[at].is_section != is_section))
        at = (at + 1) & (room - 1);
    return &places[at];
}

static void places_grow(struct schema_document *document)
{
    size_t room = document->places_room != 0 ? document->places_room * 2 : 1024;
    struct place_entry *places = xcalloc(room, sizeof(*places));
    for (size_t i = 0; i < document->places_room; i++) {
        const struct place_entry *old = &document->places[i];
        if (old->address != NULL)
            *place_slot(places, room, old->address, old->is_section) = *old;
    }
    free(document->places);
    document->places = places;
    document->places_room = room;
}

struct place_entry *place_add(struct schema_document *document, const void *address, bool is_section,
                              const struct node *key, const struct node *value)
{
    if (document->places_count * 2 >= document->places_room)
        places_grow(document);
    struct place_entry *entry = place_slot(document->places, document->places_room, address, is_section);
    document->places_count += entry->address == NULL;
    *entry = (struct place_entry){.address = address, .key = key, .value = value, .is_section = is_section};
    return entry;
}

struct place_entry *place_find(const struct schema_document *document, const void *address, bool is_section)
{
    if (document->places_room == 0)
        return NULL;
    struct place_entry *entry = place_slot(document->places, document->places_room, address, is_section);
    return entry->address != NULL ? entry : NULL;
}

struct schema_place schema_place(const struct schema_document *document, const void *field)
{
    const struct place_entry *entry = place_find(document, field, false);
    return entry != NULL ? node_place(entry->value) : SCHEMA_NOWHERE;
}

struct schema_place schema_place_key(const struct schema_document *document, const void *field)
{
    const struct place_entry *entry = place_find(document, field, false);
    if (entry == NULL)
        return SCHEMA_NOWHERE;
    return node_place(entry->key != NULL ? entry->key : entry->value);
}

struct schema_place schema_place_section(const struct schema_document *document, const void *section)
{
    const struct place_entry *entry = place_find(document, section, true);
    if (entry == NULL)
        return SCHEMA_NOWHERE;
    return node_place(entry->key != NULL ? entry->key : entry->value);
}

bool schema_is_broken(const struct schema_document *document, const void *section)
{
    const struct place_entry *entry = place_find(document, section, true);
    return entry != NULL && entry->broken;
}
