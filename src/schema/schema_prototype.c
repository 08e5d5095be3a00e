/* Sections with nothing but their defaults, made once a load from the text in the rows, by the code that
 * reads the user's values. */
#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "schema/schema_loader.h"
#include "schema/schema_value.h"

/* "[a, b]" or "a": the written form of a list of plain words. */
static void texts_default(struct loader *loader, struct span list, struct texts *to)
{
    if (list.length >= 2 && list.at[0] == '[')
        list = span_make(list.at + 1, list.length - 2);
    struct span rest = list, element;
    size_t count = 0;
    while (span_next_element(&rest, &element))
        count++;
    to->items = loader_get(loader, count * sizeof(*to->items));
    rest = list;
    for (to->count = 0; span_next_element(&rest, &element); to->count++) {
        struct span copy = arena_copy(loader->arena, element);
        assert(copy.at != NULL);
        to->items[to->count] = copy.at;
    }
}

static void default_set(struct loader *loader, const struct schema_key *key, char *section)
{
    void *field = section + key->offset;
    struct error error = {""};
    char *text;
    switch (key->type) {
    case SCHEMA_SECTION:
        memcpy(field, prototype_of(loader, key->section)->bytes, key->section->size);
        return;
    case SCHEMA_OPTIONAL:
        text = (key->flags & SCHEMA_PRESENT) != 0 ? prototype_of(loader, key->section)->bytes : NULL;
        memcpy(field, &text, sizeof(text));
        return;
    case SCHEMA_STRING:
    case SCHEMA_TEMPLATE:
    case SCHEMA_PATH:
    case SCHEMA_REFERENCE:
        text = key->fallback != NULL ? arena_text(loader->arena, key->fallback) : NULL;
        memcpy(field, &text, sizeof(text));
        return;
    case SCHEMA_TEXTS:
        if (key->fallback != NULL)
            texts_default(loader, span_of(key->fallback), field);
        return;
    case SCHEMA_PAIRS:
    case SCHEMA_SECTIONS:
    case SCHEMA_MAP:
    case SCHEMA_INCLUDE:
        return;
    case SCHEMA_BOOL:
    case SCHEMA_INT:
    case SCHEMA_SIZE:
    case SCHEMA_DURATION:
    case SCHEMA_PERCENT:
    case SCHEMA_RATE:
    case SCHEMA_CHOICE:
        break;
    }
    if (key->fallback == NULL && value_is_number(key))
        memcpy(field, &key->unset, sizeof(key->unset));
    bool is_good = key->fallback == NULL || value_read(key, span_of(key->fallback), NULL, field, &error);
    assert(is_good);
    (void)is_good;
}

struct prototype *prototype_of(struct loader *loader, const struct schema *schema)
{
    for (struct prototype *prototype = loader->prototypes; prototype != NULL; prototype = prototype->next)
        if (prototype->schema == schema)
            return prototype;
    struct prototype *prototype = loader_get(loader, sizeof(*prototype));
    prototype->schema = schema;
    prototype->bytes = loader_get(loader, schema->size);
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        default_set(loader, key, prototype->bytes);
    prototype->next = loader->prototypes;
    loader->prototypes = prototype;
    return prototype;
}

bool schema_is_default(const struct schema *schema, const struct schema_key *key, const void *section)
{
    struct arena *arena = arena_new_malloc();
    struct loader loader = {.arena = arena};
    struct text given = text_growing(), otherwise = text_growing();
    schema_dump_key(key, section, NULL, &given);
    schema_dump_key(key, prototype_of(&loader, schema)->bytes, NULL, &otherwise);
    bool same = span_equal(text_span(&given), text_span(&otherwise));
    text_free(&given);
    text_free(&otherwise);
    arena_free(arena);
    return same;
}
