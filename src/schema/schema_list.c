/* Lists whose values stand in a variable of the environment: LIST="10.0.0.1:80, 10.0.0.2:80". */
#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "schema/schema_loader.h"
#include "schema/schema_value.h"

static bool is_variable_alone(const struct node *node)
{
    if (node->kind != NODE_SCALAR || node->refused || !span_starts(node->as.text, SPAN("${env.")))
        return false;
    return span_find(node->as.text, '}') + 1 == node->as.text.length;
}

/* The row by which a bare value of the list is read; NULL: there are none. */
static const struct schema_key *item_row(const struct schema_key *key)
{
    if (key->type == SCHEMA_TEXTS)
        return key;
    for (const struct schema_key *row = key->section->keys;
         key->section->shorthand != NULL && row->name != NULL; row++)
        if (strcmp(row->name, key->section->shorthand) == 0)
            return row;
    return NULL;
}

/* Free text may be anything, and a secret with a comma in it is one. */
static bool can_be_one(const struct schema_key *row, const struct node *item, struct span value)
{
    unsigned which;
    struct error error;
    enum schema_type type = row->type == SCHEMA_TEXTS ? row->item : row->type;
    if (value.length == 0)
        return false;
    if (strpbrk(value.at, ", \t\n") == NULL || (row->flags & SCHEMA_SECRET) != 0)
        return true;
    if (type == SCHEMA_REFERENCE)
        return false;
    if (row->choices != NULL && type != SCHEMA_PATH)
        return value_choice(row->choices, value, &which);
    return value_judge(row->check, item, value, &error);
}

/* A value that is read to `part`: what looks like a variable in it is none. */
static struct node *part_new(struct loader *loader, const struct node *node, struct span part)
{
    struct node *made = loader_get(loader, sizeof(*made));
    struct text escaped = text_growing();
    for (size_t i = 0; i < part.length; i++) {
        if (span_starts(span_skip(part, i), SPAN("${")))
            text_char(&escaped, '$');
        text_char(&escaped, part.at[i]);
    }
    *made = *node;
    made->as.text = arena_copy(loader->arena, text_span(&escaped));
    made->plain = false; /* nothing in it is YAML's */
    made->from = node;
    text_free(&escaped);
    assert(made->as.text.at != NULL);
    return made;
}

struct expansion {
    struct node *list;
    uint32_t room;
};

static void item_add(struct loader *loader, struct expansion *expansion, const struct node *item)
{
    struct node *list = expansion->list;
    if (list->count == expansion->room) {
        expansion->room = expansion->room * 2 + 16;
        struct node **larger = loader_get(loader, expansion->room * sizeof(*larger));
        if (list->count != 0)
            memcpy(larger, list->as.items, list->count * sizeof(*larger));
        list->as.items = larger;
    }
    list->as.items[list->count++] = (struct node *)(uintptr_t)item;
}

static void refused_add(struct loader *loader, struct expansion *expansion, const struct node *item)
{
    struct node *refused = part_new(loader, item, SPAN(""));
    refused->refused = true;
    item_add(loader, expansion, refused);
}

/* True: the parts of the item were added, or it was refused. */
static bool item_split(struct loader *loader, const struct schema_key *key, const struct schema_key *row,
                       struct expansion *expansion, const struct node *item, bool among_others)
{
    struct span value;
    if (!is_variable_alone(item))
        return false;
    if (!text_of(loader, row, item, row->type == SCHEMA_TEXTS ? row->item : row->type, &value)) {
        refused_add(loader, expansion, item);
        return true;
    }
    if (can_be_one(row, item, value))
        return false;
    uint32_t before = expansion->list->count;
    for (size_t at = 0; at < value.length;) {
        size_t length = strcspn(value.at + at, ", \t\n");
        if (length != 0)
            item_add(loader, expansion, part_new(loader, item, span_make(value.at + at, length)));
        at += length + 1;
    }
    if (expansion->list->count == before && item_emptied_tell(loader, key, item, among_others))
        refused_add(loader, expansion, item);
    return true;
}

const struct node *list_expand(struct loader *loader, const struct schema_key *key, const struct node *node)
{
    const struct schema_key *row = item_row(key);
    bool is_list = node->kind == NODE_LIST, any = false;
    if (row == NULL || node->kind == NODE_MAP)
        return node;
    for (uint32_t i = 0; is_list && i < node->count; i++)
        any = any || is_variable_alone(node->as.items[i]);
    if (!any && !is_variable_alone(node))
        return node;
    struct expansion expansion = {.list = loader_get(loader, sizeof(struct node))};
    *expansion.list = *node;
    expansion.list->kind = NODE_LIST;
    expansion.list->count = 0;
    expansion.list->as.items = NULL;
    bool split = false;
    for (uint32_t i = 0; i < (is_list ? node->count : 1); i++) {
        const struct node *item = is_list ? node->as.items[i] : node;
        if (item_split(loader, key, row, &expansion, item, is_list && node->count > 1))
            split = true;
        else
            item_add(loader, &expansion, item);
    }
    return split ? expansion.list : node;
}
