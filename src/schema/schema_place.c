/*
 * Which field of which struct was given where, so that a check made later can point into the file. Few files
 * have anything wrong with them, so places are only written down one after the other, and become a table by
 * address when the first is asked for.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/hash.h"
#include "schema/schema_document.h"

struct places {
    struct place_entry *said;
    size_t count, room;
    struct place_entry *table; /* of the first `tabulated` of them; open addressing, a power of two */
    size_t table_room, tabulated;
    bool any_broken;
    struct place_copy *copies; /* in the order of `to` once `sorted` */
    size_t copies_count;
    bool sorted;
};
/* A section that stands elsewhere too: its fields have their places where they were read. */
struct place_copy {
    const char *to, *from;
    size_t size;
};

struct places *places_new(void)
{
    return xcalloc(1, sizeof(struct places));
}

void places_free(struct places *places)
{
    free(places->said);
    free(places->table);
    free(places->copies);
    free(places);
}

/* ---- writing down ---- */

static struct place_entry *place_next(struct places *places)
{
    if (places->count == places->room) {
        places->room = places->room != 0 ? places->room * 2 : 256;
        places->said = xrealloc(places->said, places->room * sizeof(*places->said));
    }
    return &places->said[places->count++];
}

void place_add(struct schema_document *document, const void *address, bool is_section, const struct node *key,
               const struct node *value)
{
    *place_next(document->places) =
        (struct place_entry){.address = address, .key = key, .value = value, .is_section = is_section};
}

void place_break(struct schema_document *document, const void *section)
{
    *place_next(document->places) =
        (struct place_entry){.address = section, .is_section = true, .broken = true};
    document->places->any_broken = true;
}

/* ---- the table ---- */

static struct place_entry *place_slot(const struct places *places, const void *address, bool is_section)
{
    size_t mask = places->table_room - 1,
           at = (size_t)hash_mix((uint64_t)(uintptr_t)address * 2 + is_section) & mask;
    while (places->table[at].address != NULL &&
           (places->table[at].address != address || places->table[at].is_section != is_section))
        at = (at + 1) & mask;
    return &places->table[at];
}

/* In the order in which it was said: what was given again stands where it was given last. */
static void places_tabulate(struct places *places)
{
    free(places->table);
    places->table_room = 16;
    while (places->table_room < 2 * places->count)
        places->table_room *= 2;
    places->table = xcalloc(places->table_room, sizeof(*places->table));
    for (size_t i = 0; i < places->count; i++) {
        const struct place_entry *said = &places->said[i];
        struct place_entry *entry = place_slot(places, said->address, said->is_section);
        if (said->broken)
            entry->broken = true;
        else
            *entry = *said;
    }
    places->tabulated = places->count;
}

static int copy_compare(const void *left, const void *right)
{
    const struct place_copy *a = left, *b = right;
    return ((uintptr_t)a->to > (uintptr_t)b->to) - ((uintptr_t)a->to < (uintptr_t)b->to);
}

static int copy_holds(const void *key, const void *item)
{
    const struct place_copy *copy = item;
    uintptr_t at = (uintptr_t)key, to = (uintptr_t)copy->to;
    return at < to ? -1 : at >= to + copy->size;
}

/* Where it was read; NULL: it is in no copy. */
static const void *place_original(struct places *places, const void *address)
{
    if (places->copies_count == 0)
        return NULL;
    if (!places->sorted)
        qsort(places->copies, places->copies_count, sizeof(*places->copies), copy_compare);
    places->sorted = true;
    const struct place_copy *copy =
        bsearch(address, places->copies, places->copies_count, sizeof(*places->copies), copy_holds);
    return copy != NULL ? copy->from + ((const char *)address - copy->to) : NULL;
}

static const struct place_entry *place_find(const struct schema_document *document, const void *address,
                                            bool is_section)
{
    struct places *places = document->places;
    if (places->tabulated != places->count)
        places_tabulate(places);
    if (places->table_room == 0)
        return NULL;
    const struct place_entry *entry = place_slot(places, address, is_section);
    if (entry->address != NULL)
        return entry;
    const void *original = place_original(places, address);
    return original != NULL ? place_find(document, original, is_section) : NULL;
}

void schema_place_copy(struct schema_document *document, const void *from, const void *to, size_t size)
{
    struct places *places = document->places;
    places->copies = xrealloc(places->copies, (places->copies_count + 1) * sizeof(*places->copies));
    places->copies[places->copies_count++] = (struct place_copy){to, from, size};
    places->sorted = false;
}

bool node_has_variable(const struct node *node)
{
    for (size_t i = 0; node->kind == NODE_SCALAR && i < node->as.text.length; i++) {
        struct span rest = span_skip(node->as.text, i);
        if (span_starts(rest, SPAN("$$")))
            i++;
        else if (span_starts(rest, SPAN("${env.")))
            return true;
    }
    return false;
}

const struct node *place_variable(const struct schema_document *document, const void *address,
                                  bool is_section)
{
    const struct place_entry *entry = place_find(document, address, is_section);
    if (entry == NULL || entry->value == NULL)
        return NULL;
    if (entry->value->from != NULL)
        return entry->value->from;
    return !is_section && node_has_variable(entry->value) ? entry->value : NULL;
}

const char *schema_written(const struct schema_document *document, const char *text)
{
    const struct node *node = place_variable(document, text, false);
    return node != NULL ? node->as.text.at : text;
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
    if (!document->places->any_broken)
        return false;
    const struct place_entry *entry = place_find(document, section, true);
    return entry != NULL && entry->broken;
}
