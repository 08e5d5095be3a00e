/* What to say about a key or a name that does not exist: which one was probably meant, or where the key
 * belongs. */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/text.h"
#include "schema/schema_loader.h"
#include "schema/schema_value.h"

enum { SCHEMAS_MOST = 128 };

void context_print(const struct context *context, struct text *to)
{
    if (context->up == NULL) {
        text_print(to, "the file");
        return;
    }
    text_print(to, "%s", context->schema->noun);
    if (context->name != NULL)
        text_print(to, " \"%s\"", context->name);
    else if (context->up->up != NULL) {
        text_print(to, " of ");
        context_print(context->up, to);
    }
}

static const struct schema_alias *alias_find(const struct loader *loader, const struct schema *schema,
                                             struct span word)
{
    for (const struct schema_alias *alias = loader->aliases; alias != NULL && alias->theirs != NULL; alias++)
        if (span_is(word, alias->theirs) &&
            (alias->section == NULL || strcmp(alias->section, schema->noun) == 0))
            return alias;
    return NULL;
}

const char *value_hint(const struct loader *loader, const char *name, struct span value)
{
    for (const struct schema_alias *alias = loader->aliases; alias != NULL && alias->theirs != NULL; alias++)
        if (alias->hint != NULL && value_alias_is_of(alias, name) && span_is(value, alias->theirs))
            return alias->hint;
    return NULL;
}

static const struct schema_key *key_find(const struct schema *schema, const char *name)
{
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        if (strcmp(key->name, name) == 0)
            return key;
    return NULL;
}

static const struct schema_key *key_near(const struct schema *schema, struct span word, unsigned most)
{
    const struct schema_key *found = NULL;
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++) {
        unsigned distance = text_distance(word, span_of(key->name), most);
        if (distance <= most && distance < strlen(key->name)) {
            found = key;
            if (distance == 0)
                break;
            most = distance - 1;
        }
    }
    return found;
}

/* A section, and the one that it stands in. */
struct spot {
    const struct schema *schema, *up; /* NULL, NULL: none */
};
struct search {
    const char *name;
    const struct schema *seen[SCHEMAS_MOST];
    size_t count;
};

/* The first section below `at` that has a key of this name. */
static struct spot spot_with(struct search *search, struct spot at)
{
    for (size_t i = 0; i < search->count; i++)
        if (search->seen[i] == at.schema)
            return (struct spot){NULL, NULL};
    if (search->count == SCHEMAS_MOST)
        return (struct spot){NULL, NULL};
    search->seen[search->count++] = at.schema;
    if (key_find(at.schema, search->name) != NULL)
        return at;
    struct spot found = {NULL, NULL};
    for (const struct schema_key *key = at.schema->keys; key->name != NULL && found.schema == NULL; key++)
        if (key->section != NULL)
            found = spot_with(search, (struct spot){key->section, at.schema});
    return found;
}

/* The sections right below come first: what is missing is most often one level of indentation. */
static struct spot spot_elsewhere(const struct loader *loader, const struct schema *schema, const char *name)
{
    struct search search = {.name = name};
    struct spot found = spot_with(&search, (struct spot){schema, NULL});
    return found.schema != NULL ? found : spot_with(&search, (struct spot){loader->root, NULL});
}

bool key_is_explained(const struct loader *loader, const struct schema *schema, struct span word)
{
    return alias_find(loader, schema, word) != NULL ||
           key_near(schema, word, word.length > 3 ? 1 : 0) != NULL;
}

struct guess {
    const struct schema_alias *alias;
    const struct schema_key *meant; /* of this section */
    struct spot elsewhere;          /* has a key of that name, or of ours for it */
    const char *name;               /* of that key */
};

/* What another product calls so is known for certain; then comes what is nearly the same, then what stands in
 * another section, and last what is a little like it. */
static struct guess key_guess(const struct loader *loader, const struct schema *schema, struct span word)
{
    struct guess guess = {.alias = alias_find(loader, schema, word), .name = word.at};
    const char *ours = guess.alias != NULL ? guess.alias->ours : NULL;
    if (ours != NULL)
        guess.meant = key_find(schema, ours);
    if (guess.meant != NULL || (guess.alias != NULL && ours == NULL))
        return guess;
    if (ours != NULL)
        guess.name = ours;
    else
        guess.meant = key_near(schema, word, word.length > 3 ? 1 : 0);
    if (guess.meant == NULL)
        guess.elsewhere = spot_elsewhere(loader, schema, guess.name);
    if (guess.meant == NULL && guess.elsewhere.schema == NULL)
        guess.meant = key_near(schema, word, word.length < 6 ? 1 : word.length < 9 ? 2 : 3);
    return guess;
}

/* Where sections of one name stand in several places, it is told which is meant. */
static void spot_print(const struct loader *loader, const struct schema *here, struct spot spot,
                       struct text *to)
{
    if (spot.schema == loader->root)
        text_print(to, "stands at the top of the file");
    else if (strcmp(spot.schema->noun, here->noun) != 0 || spot.up == NULL)
        text_print(to, "is a key of %s", spot.schema->noun);
    else if (spot.up == loader->root)
        text_print(to, "is a key of %s at the top of the file", spot.schema->noun);
    else
        text_print(to, "is a key of %s in a %s", spot.schema->noun, spot.up->noun);
}

static void guess_print(const struct loader *loader, const struct schema *schema, const struct guess *guess,
                        struct text *to)
{
    const struct schema_alias *alias = guess->alias;
    bool known = alias != NULL && strcmp(alias->whose, "others") != 0;
    if (alias != NULL && alias->absent != NULL)
        text_print(to, "; %s%sweir has nothing like it: see %s under NOT IN WEIR in weir.yaml(5)",
                   known ? alias->whose : "", known ? " has that, and " : "", alias->absent);
    else if (alias != NULL && alias->hint != NULL)
        text_print(to, "; %s", alias->hint);
    else if (guess->meant != NULL)
        text_print(to, "; did you mean \"%s\"?", guess->meant->name);
    else if (guess->elsewhere.schema != NULL) {
        text_print(to, "; \"%s\" ", guess->name);
        spot_print(loader, schema, guess->elsewhere, to);
    }
}

/* What a section takes, where nothing better can be said. */
static void keys_print(const struct schema *schema, struct text *to)
{
    size_t count = 0;
    while (schema->keys[count].name != NULL)
        count++;
    if (count > 12) {
        text_print(to, "; see weir.yaml(5) for the keys of %s %s",
                   strcmp(schema->noun, "file") == 0 ? "the" : "a", schema->noun);
        return;
    }
    text_print(to, "; its keys are ");
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        text_print(to, "%s%s", key == schema->keys ? "" : key[1].name == NULL ? " and " : ", ", key->name);
}

const struct schema_key *unknown_key_tell(struct loader *loader, const struct context *context,
                                          const struct node *node, const char **told)
{
    struct guess guess = key_guess(loader, context->schema, node->as.text);
    const char *hint = guess.alias != NULL ? guess.alias->hint : NULL;
    if (hint != NULL && *told != NULL && strcmp(hint, *told) == 0)
        return guess.meant;
    if (hint != NULL)
        *told = hint;
    struct text where = text_growing(), tail = text_growing();
    if (context->up != NULL)
        text_print(&where, " in ");
    if (context->up != NULL)
        context_print(context, &where);
    guess_print(loader, context->schema, &guess, &tail);
    if (tail.length == 0)
        keys_print(context->schema, &tail);
    schema_report_add(loader->report, SCHEMA_ERROR, node_place(node), "unknown key \"%s\"%.*s%.*s",
                      node->as.text.at, (int)where.length, where.length != 0 ? where.at : "",
                      (int)tail.length, tail.at);
    text_free(&where);
    text_free(&tail);
    return guess.meant;
}

static const char *entry_name(const struct schema_key *key, const void *root, size_t at)
{
    const char *entries, *name;
    memcpy(&entries, (const char *)root + key->offset, sizeof(entries));
    memcpy(&name, entries + at * key->section->size + key->section->name_offset, sizeof(name));
    return name;
}

static size_t entry_count(const struct schema_key *key, const void *root)
{
    size_t count;
    memcpy(&count, (const char *)root + key->count_offset, sizeof(count));
    return count;
}

static void reference_tell(struct loader *loader, const struct schema_key *names,
                           const struct reference *reference, const void *root)
{
    const char *noun = names->section->noun, *found = NULL;
    size_t count = entry_count(names, root);
    unsigned best = strlen(reference->name) < 4 ? 1 : 2;
    for (size_t i = 0; i < count; i++) {
        const char *name = entry_name(names, root, i);
        unsigned distance = text_distance(span_of(reference->name), span_of(name), best);
        if (distance <= best) {
            found = name;
            best = distance != 0 ? distance - 1 : 0;
        }
    }
    static const char named[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
    bool is_name = strspn(reference->name, named) == strlen(reference->name);
    const char *hint = is_name ? NULL : value_hint(loader, reference->key->name, SPAN("{}"));
    if (hint == NULL && !is_name)
        hint = value_hint(loader, noun, SPAN("{}"));
    if (found != NULL)
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(reference->node),
                          "there is no %s \"%s\"; did you mean \"%s\"?", noun, reference->name, found);
    else if (hint != NULL)
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(reference->node),
                          "\"%s\" is not the name of a %s; %s", reference->name, noun, hint);
    else
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(reference->node),
                          "there is no %s \"%s\"; write it under %s, or name one that is there", noun,
                          reference->name, names->name);
}

/* All references to one map of the root. */
static void map_check(struct loader *loader, const struct schema_key *names, const void *root)
{
    struct map *known = map_new();
    size_t count = entry_count(names, root);
    for (size_t i = 0; i < count; i++)
        map_set(known, span_of(entry_name(names, root, i)), loader);
    for (size_t i = 0; i < loader->references_count; i++) {
        const struct reference *reference = &loader->references[i];
        if (strcmp(reference->key->refers, names->name) == 0 &&
            map_get(known, span_of(reference->name)) == NULL)
            reference_tell(loader, names, reference, root);
    }
    map_free(known);
}

void references_check(struct loader *loader, const void *root)
{
    for (const struct schema_key *key = loader->root->keys; key->name != NULL; key++)
        if (key->type == SCHEMA_MAP)
            map_check(loader, key, root);
}
