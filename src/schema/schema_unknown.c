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

const char *section_hint(const struct loader *loader, const struct schema *schema, const struct node *value)
{
    const struct schema_alias *alias =
        value->kind == NODE_SCALAR ? alias_find(loader, schema, value->as.text) : NULL;
    return alias != NULL ? alias->hint : NULL;
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

/* The first section below `schema` that has a key of this name. */
static const struct schema *schema_with(const struct schema *schema, const char *name,
                                        const struct schema **seen, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        if (seen[i] == schema)
            return NULL;
    if (*count == SCHEMAS_MOST)
        return NULL;
    seen[(*count)++] = schema;
    if (key_find(schema, name) != NULL)
        return schema;
    const struct schema *found = NULL;
    for (const struct schema_key *key = schema->keys; key->name != NULL && found == NULL; key++)
        if (key->section != NULL)
            found = schema_with(key->section, name, seen, count);
    return found;
}

/* The sections right below come first: what is missing is most often one level of indentation. */
static const struct schema *schema_elsewhere(const struct loader *loader, const struct schema *schema,
                                             const char *name)
{
    const struct schema *seen[SCHEMAS_MOST];
    size_t count = 0;
    const struct schema *found = schema_with(schema, name, seen, &count);
    return found != NULL ? found : schema_with(loader->root, name, seen, &count);
}

const struct schema_key *unknown_key_tell(struct loader *loader, const struct context *context,
                                          const struct node *node)
{
    const struct schema *schema = context->schema, *elsewhere = NULL;
    struct span word = node->as.text;
    const struct schema_alias *alias = alias_find(loader, schema, word);
    const struct schema_key *meant =
        alias != NULL && alias->ours != NULL ? key_find(schema, alias->ours) : NULL;
    bool known = alias != NULL && alias->hint != NULL; /* better than a guess */
    if (meant == NULL && !known)
        meant = key_near(schema, word, word.length > 3 ? 1 : 0);
    if (meant == NULL)
        elsewhere = schema_elsewhere(loader, schema, word.at);
    if (meant == NULL && elsewhere == NULL && !known)
        meant = key_near(schema, word, word.length < 4 ? 1 : word.length < 8 ? 2 : 3);
    if (meant == NULL && elsewhere == NULL && alias != NULL && alias->ours != NULL)
        elsewhere = schema_elsewhere(loader, schema, alias->ours);
    struct text where = text_growing(), tail = text_growing();
    if (context->up != NULL)
        text_print(&where, " in ");
    if (context->up != NULL)
        context_print(context, &where);
    if (meant != NULL)
        text_print(&tail, "; did you mean \"%s\"?", meant->name);
    else if (known)
        text_print(&tail, "; %s", alias->hint);
    else if (elsewhere != NULL && elsewhere != loader->root)
        text_print(&tail, "; \"%s\" is a key of %s",
                   alias != NULL && alias->ours != NULL ? alias->ours : word.at, elsewhere->noun);
    else if (elsewhere != NULL)
        text_print(&tail, "; \"%s\" stands at the top of the file",
                   alias != NULL && alias->ours != NULL ? alias->ours : word.at);
    schema_report_add(loader->report, SCHEMA_ERROR, node_place(node), "unknown key \"%s\"%.*s%.*s", word.at,
                      (int)where.length, where.length != 0 ? where.at : "", (int)tail.length,
                      tail.length != 0 ? tail.at : "");
    text_free(&where);
    text_free(&tail);
    return meant;
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
    if (found != NULL)
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(reference->node),
                          "there is no %s \"%s\"; did you mean \"%s\"?", noun, reference->name, found);
    else
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(reference->node),
                          "there is no %s \"%s\" under %s", noun, reference->name, names->name);
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
