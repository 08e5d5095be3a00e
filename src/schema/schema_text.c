/*
 * Values that stay text: variables of the environment are filled in, paths made absolute, names of other
 * sections noted for the check at the end. `$${` stands for `${` itself. In templates the rest of the `$`
 * language is left for the request, so there a
 * `$` from the environment is doubled: a variable cannot bring in a template.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "schema/schema_loader.h"
#include "schema/schema_value.h"

struct filling {
    struct loader *loader;
    const struct schema_key *key;
    const struct node *node;
    bool is_template;
    struct text *out;
};

/* The place of a part of a scalar, when the source line shows it as it is; else of the whole. */
static struct schema_place part_place(const struct node *node, struct span part)
{
    struct schema_place place = node_place(node);
    size_t at = (size_t)(part.at - node->as.text.at);
    if (node->length < node->as.text.length || at + part.length > node->length)
        return place;
    for (size_t i = 0; i < node->as.text.length; i++)
        if ((unsigned char)node->as.text.at[i] >= 0x80)
            return place;
    place.column += (uint32_t)at + !node->plain;
    place.length = (uint32_t)part.length;
    return place;
}

static bool is_variable(struct span name)
{
    if (name.length == 0 || (name.at[0] >= '0' && name.at[0] <= '9'))
        return false;
    return strspn(name.at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") >= name.length;
}

static bool has_small_letter(struct span name)
{
    for (size_t i = 0; i < name.length; i++)
        if (name.at[i] >= 'a' && name.at[i] <= 'z')
            return true;
    return false;
}

static void value_add(struct filling *filling, struct span value)
{
    for (size_t i = 0; i < value.length; i++) {
        if (value.at[i] == '$' && filling->is_template)
            text_char(filling->out, '$');
        text_char(filling->out, value.at[i]);
    }
}

/* `fallback`: what may stand behind `:-`. */
static void variable_empty_tell(struct loader *loader, const struct schema_key *key, const struct node *node,
                                struct span whole, const char *fallback, const char *when)
{
    struct schema_place place = part_place(node, whole);
    struct span inside = span_make(whole.at + 6, whole.length - 7);
    int name = (int)span_find(inside, ':');
    if ((key->flags & SCHEMA_SECRET) != 0)
        schema_report_add(loader->report, SCHEMA_ERROR, place, "%.*s is empty; set %.*s to the secret%s",
                          (int)whole.length, whole.at, name, inside.at, when);
    else
        schema_report_add(loader->report, SCHEMA_ERROR, place,
                          "%.*s is empty; set %.*s, or write ${env.%.*s:-%s}%s", (int)whole.length, whole.at,
                          name, inside.at, name, inside.at, fallback, when);
}

static void variable_refuse_part(struct loader *loader, const struct schema_key *key, const struct node *node,
                                 struct span whole)
{
    char may_be[300];
    (void)snprintf(may_be, sizeof(may_be), ", or %s${env.%.*s:-} if it may be empty",
                   (key->flags & SCHEMA_SECRET) != 0 ? "write " : "", (int)strcspn(whole.at + 6, ":}"),
                   whole.at + 6);
    variable_empty_tell(loader, key, node, whole, "default", may_be);
}

/* Of a value or an item: that the list may be emptied is said by what stands alone in it. */
static void variable_refuse(struct loader *loader, const struct schema_key *key, const struct node *node,
                            struct span whole)
{
    if (whole.length != node->as.text.length)
        variable_refuse_part(loader, key, node, whole);
    else if (key->type == SCHEMA_TEXTS && key->least == 0 && (key->flags & SCHEMA_SECRET) == 0)
        variable_empty_tell(loader, key, node, whole, "", " if the list may be empty");
    else
        variable_empty_tell(loader, key, node, whole, "default", "");
}

/* `inside` stands between `${env.` and `}`; `whole` is all of it. */
static bool variable_fill(struct filling *filling, struct span inside, struct span whole)
{
    size_t colon = span_find(inside, ':');
    struct span name = span_first(inside, colon);
    bool has_default = colon + 1 < inside.length && inside.at[colon + 1] == '-';
    struct schema_report *report = filling->loader->report;
    if (!is_variable(name) || (colon < inside.length && !has_default)) {
        schema_report_add(report, SCHEMA_ERROR, part_place(filling->node, whole),
                          "\"%.*s\" is not a variable; write ${env.NAME} or ${env.NAME:-default}",
                          (int)whole.length, whole.at);
        return false;
    }
    char copy[256];
    const char *value = NULL;
    if (name.length < sizeof(copy)) {
        memcpy(copy, name.at, name.length);
        copy[name.length] = '\0';
        value = getenv(copy);
    }
    if ((value == NULL || value[0] == '\0') && has_default) {
        value_add(filling, span_skip(inside, colon + 2));
        return true;
    }
    if (value == NULL && filling->loader->document->judges_text) {
        document_unjudged_note(filling->loader->document, name);
        return false;
    }
    if (value == NULL && (filling->key->flags & SCHEMA_SECRET) != 0) { /* a default would be a known one */
        schema_report_add(report, SCHEMA_ERROR, part_place(filling->node, whole),
                          "environment variable %.*s is not set; set it to the secret", (int)name.length,
                          name.at);
        return false;
    }
    if (value == NULL) {
        schema_report_add(report, SCHEMA_ERROR, part_place(filling->node, whole),
                          "environment variable %.*s is not set; set it, or write ${env.%.*s:-default}",
                          (int)name.length, name.at, (int)name.length, name.at);
        return false;
    }
    if (value[0] == '\0' && (filling->key->flags & SCHEMA_CONDITION) != 0) {
        variable_refuse(filling->loader, filling->key, filling->node, whole);
        return false;
    }
    value_add(filling, span_of(value));
    return true;
}

/* A name that only templates have, where none can stand: what was meant by it, as far as that shows. */
static bool name_refuse(struct filling *filling, struct span name, struct schema_place place)
{
    struct schema_report *report = filling->loader->report;
    const struct schema_key *key = filling->key;
    struct error error;
    char copy[64], braced[80];
    struct text inside = text_over(copy, sizeof(copy)), whole = text_over(braced, sizeof(braced));
    text_add(&inside, name);
    text_print(&whole, "${%.*s}", (int)name.length, name.at);
    bool is_number = name.length == 1 && name.at[0] >= '0' && name.at[0] <= '9';
    if (is_variable(name) && !has_small_letter(name))
        schema_report_add(report, SCHEMA_ERROR, place, "\"${%.*s}\" is not a variable; write ${env.%.*s}",
                          (int)name.length, name.at, (int)name.length, name.at);
    else if (is_number)
        schema_report_add(report, SCHEMA_ERROR, place,
                          "\"${%.*s}\" is not a variable; write $%.*s for that group", (int)name.length,
                          name.at, (int)name.length, name.at);
    else if (key->check != NULL && !inside.cut && key->check(text_span(&inside), &error) &&
             !key->check(text_span(&whole), &error) && !key->check(SPAN("no.such-word"), &error))
        schema_report_add(report, SCHEMA_ERROR, place, "%s is written without ${}; write \"%.*s\"", key->name,
                          (int)name.length, name.at);
    else
        schema_report_add(
            report, SCHEMA_ERROR, place,
            "%s is not filled per request, so \"${%.*s}\" cannot stand here; write the value itself, or ${env.NAME}",
            key->name, (int)name.length, name.at);
    return false;
}

/* One `${...}` at the front of `rest`; its length goes to `used`. */
static bool dollar_fill(struct filling *filling, struct span rest, size_t *used)
{
    size_t end = span_find(rest, '}');
    struct span whole = span_first(rest, end < rest.length ? end + 1 : rest.length);
    *used = whole.length;
    struct schema_place place = part_place(filling->node, whole);
    if (end == rest.length) {
        schema_report_add(filling->loader->report, SCHEMA_ERROR, place,
                          "\"${\" is never closed; write $${ for the two characters themselves");
        return false;
    }
    if (span_starts(whole, SPAN("${env.")))
        return variable_fill(filling, span_make(whole.at + 6, whole.length - 7), whole);
    if (filling->is_template) {
        text_add(filling->out, whole);
        return true;
    }
    return name_refuse(filling, span_make(whole.at + 2, whole.length - 3), place);
}

static bool text_fill(struct filling *filling, struct span value)
{
    bool good = true;
    for (size_t i = 0; i < value.length;) {
        struct span rest = span_skip(value, i);
        size_t used = 1;
        if (filling->is_template && span_starts(rest, SPAN("$$"))) {
            text_add(filling->out, SPAN("$$"));
            used = 2;
        } else if (span_starts(rest, SPAN("$${"))) {
            text_add(filling->out, SPAN("${"));
            used = 3;
        } else if (span_starts(rest, SPAN("${"))) {
            good = dollar_fill(filling, rest, &used) && good;
        } else {
            text_char(filling->out, rest.at[0]);
        }
        i += used;
    }
    return good;
}

/* What came out of the environment can be shown as it was written. */
static const char *variable_note(struct loader *loader, const struct node *node, const char *text)
{
    if (node->from != NULL || node_has_variable(node))
        place_add(loader->document, text, false, NULL, node);
    return text;
}

bool text_of(struct loader *loader, const struct schema_key *key, const struct node *node,
             enum schema_type type, struct span *value)
{
    if (node->refused)
        return false;
    if (node->kind != NODE_SCALAR) {
        const char *hint = node->kind == NODE_MAP ? value_hint(loader, key->name, SPAN("{}")) : NULL;
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(node),
                          "%s takes a single value here, not a %s%s%s", key->name,
                          node->kind == NODE_LIST ? "list" : "section", hint != NULL ? "; " : "",
                          hint != NULL ? hint : "");
        return false;
    }
    if (node_is_null(node)) {
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(node),
                          "%s has no value; write one or remove the key", key->name);
        return false;
    }
    if ((key->flags & SCHEMA_LINES) == 0 && strpbrk(node->as.text.at, "\r\n") != NULL) {
        schema_report_add(
            loader->report, SCHEMA_ERROR, node_place(node),
            "this value has several lines where one is taken; join them, or write \">-\" instead of \"|\" or \">\"");
        return false;
    }
    if (memchr(node->as.text.at, '$', node->as.text.length) == NULL) {
        *value = arena_copy(loader->arena, node->as.text);
        (void)variable_note(loader, node, value->at);
        return true;
    }
    struct text out = text_growing();
    struct filling filling = {loader, key, node, type == SCHEMA_TEMPLATE, &out};
    bool good = text_fill(&filling, node->as.text);
    *value = arena_copy(loader->arena, text_span(&out));
    text_free(&out);
    (void)variable_note(loader, node, value->at);
    return good;
}

/* The first `${env.NAME...}` of a text; empty: it has none. */
static struct span variable_in(struct span text)
{
    size_t at = 0;
    while (at < text.length && !span_starts(span_skip(text, at), SPAN("${env.")))
        at++;
    struct span rest = span_skip(text, at);
    return span_first(rest, at < text.length ? span_find(rest, '}') + 1 : 0);
}

bool emptied_tell(struct loader *loader, const struct schema_key *key, const struct node *node,
                  struct span value)
{
    struct span whole = variable_in(node->as.text);
    if (value.length != 0 || whole.length == 0 || (key->flags & SCHEMA_MAY_BE_EMPTY) != 0)
        return false;
    variable_empty_tell(loader, key, node, whole, "default", "");
    return true;
}

bool item_emptied_tell(struct loader *loader, const struct schema_key *key, const struct node *item,
                       bool among_others)
{
    struct span whole = variable_in(item->as.text);
    if (span_is(span_skip(whole, whole.length - 3), ":-}"))
        return false;
    (among_others ? variable_refuse_part : variable_refuse)(loader, key, item, whole);
    return true;
}

void list_short_tell(struct loader *loader, const struct schema_key *key, const struct node *node)
{
    schema_report_add(loader->report, SCHEMA_ERROR, node_place(node), "%s cannot be empty; %s", key->name,
                      key->empty != NULL ? key->empty : "write a value or remove the key");
}

bool lookalike_tell(struct loader *loader, const struct node *node, struct span value)
{
    struct lookalike found;
    if (!lookalike_find(value, &found))
        return false;
    schema_report_add(loader->report, SCHEMA_ERROR, node_place(node), LOOKALIKE_SENTENCE, found.name,
                      "in this value", found.ours);
    return true;
}

bool hint_tell(struct loader *loader, const struct schema_key *key, const struct node *node,
               struct span value)
{
    const char *hint = value_hint(loader, key->name, value);
    if (hint != NULL)
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(node), "\"%s\" cannot stand here; %s",
                          value.at, hint);
    return hint != NULL;
}

static void reference_note(struct loader *loader, const struct schema_key *key, const char *name,
                           const struct node *node)
{
    if (loader->references_count == loader->references_room) {
        loader->references_room = loader->references_room != 0 ? loader->references_room * 2 : 64;
        loader->references = xrealloc(loader->references, loader->references_room * sizeof(struct reference));
    }
    loader->references[loader->references_count++] = (struct reference){key, name, node};
}

static const char *path_absolute(struct loader *loader, const struct schema_key *key, const struct node *node,
                                 struct span value)
{
    unsigned which;
    bool is_word = key->choices != NULL && value_choice(key->choices, value, &which);
    if (is_word || value.at[0] == '/' || span_starts(value, SPAN("unix:")))
        return value.at;
    struct span path = arena_print(loader->arena, "%s%s", node->source->folder, value.at);
    assert(path.at != NULL);
    return path.at;
}

/* Words of a list that takes only some. */
static bool choice_check(struct loader *loader, const struct schema_key *key, const struct node *node,
                         struct span value)
{
    unsigned which;
    if (key->choices == NULL || key->type == SCHEMA_PATH || value_choice(key->choices, value, &which))
        return true;
    const char *meant = value_suggest(key->choices, value, loader->aliases, key->name);
    char range[256];
    struct text text = text_over(range, sizeof(range));
    value_range_print(key, &text);
    schema_report_add(loader->report, SCHEMA_ERROR, node_place(node),
                      "\"%.80s\" is not known%s%s%s %s takes %s", value.at,
                      meant != NULL ? "; did you mean \"" : ";", meant != NULL ? meant : "",
                      meant != NULL ? "\"?" : "", key->name, range);
    return false;
}

enum { LINE_MOST = 8192 };

/* What one line of a head, a log or a file system can carry. */
static bool line_check(const struct schema_key *key, struct span value, struct error *error)
{
    if ((key->flags & SCHEMA_LINES) != 0)
        return true;
    if (value.length > LINE_MOST)
        return error_set(error, "\"%.40s...\" has %zu bytes; %s takes at most %d bytes", value.at,
                         value.length, key->name, LINE_MOST);
    for (size_t i = 0; i < value.length; i++)
        if ((unsigned char)value.at[i] < ' ' || value.at[i] == 0x7f)
            return error_set(error,
                             "\"%s\" has a control character (0x%02x), which %s takes none of; remove it",
                             value.at, (unsigned char)value.at[i], key->name);
    return true;
}

/* What is being judged, and how the file writes it. */
static _Thread_local struct {
    struct span value, written;
} judged;

struct span schema_judged_text(struct span value)
{
    return value.at != NULL && value.at == judged.value.at && value.length == judged.value.length
               ? judged.written
               : value;
}

bool value_judge(bool (*judge)(struct span value, struct error *error), const struct node *node,
                 struct span value, struct error *error)
{
    if (judge == NULL)
        return true;
    judged.value = value;
    judged.written = node->from != NULL ? node->from->as.text : node->as.text;
    bool good = judge(value, error);
    judged.value = SPAN_NONE;
    return good;
}

/* Of an item that cannot stand: where commas and blanks alone are left, its variables were to bring the rest.
 */
static bool rest_emptied_tell(struct loader *loader, const struct schema_key *key, const struct node *node,
                              struct span value)
{
    return strspn(value.at, ", \t\n") == value.length && emptied_tell(loader, key, node, SPAN(""));
}

const char *text_load(struct loader *loader, const struct schema_key *key, const struct node *node,
                      enum schema_type type)
{
    struct span value;
    struct error error = {""};
    if (!text_of(loader, key, node, type, &value) || emptied_tell(loader, key, node, value) ||
        hint_tell(loader, key, node, value) || !choice_check(loader, key, node, value))
        return NULL;
    if (value.length == 0 && (type == SCHEMA_PATH || type == SCHEMA_REFERENCE)) {
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(node),
                          "%s cannot be empty; write a value or remove the key", key->name);
        return NULL;
    }
    if (type == SCHEMA_REFERENCE && rest_emptied_tell(loader, key, node, value))
        return NULL;
    bool fits = value.length <= LINE_MOST || (key->flags & SCHEMA_LINES) != 0; /* its own words come first */
    bool good = !fits || value_judge(key->check, node, value, &error);
    if (!good || !line_check(key, value, &error)) {
        if (!lookalike_tell(loader, node, value) && !rest_emptied_tell(loader, key, node, value))
            schema_report_add(loader->report, SCHEMA_ERROR, node_place(node), "%s", error.text);
        return NULL;
    }
    if (!value_judge(key->doubt, node, value, &error))
        schema_report_add(loader->report, SCHEMA_WARNING, node_place(node), "%s", error.text);
    if (type == SCHEMA_REFERENCE)
        reference_note(loader, key, value.at, node);
    return type == SCHEMA_PATH ? variable_note(loader, node, path_absolute(loader, key, node, value))
                               : value.at;
}

void texts_load(struct loader *loader, const struct schema_key *key, const struct node *node,
                struct texts *to)
{
    node = list_expand(loader, key, node);
    if (node->refused)
        return;
    bool is_list = node->kind == NODE_LIST;
    uint32_t count = is_list ? node->count : 1;
    if (node->kind == NODE_MAP) {
        const char *hint = value_hint(loader, key->name, SPAN("{}"));
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(node),
                          "%s takes a list such as [a, b], not a section%s%s", key->name,
                          hint != NULL ? "; " : "", hint != NULL ? hint : "");
        return;
    }
    struct texts texts = {.items = loader_get(loader, (count + 1) * sizeof(*texts.items))};
    for (uint32_t i = 0; i < count; i++) {
        const struct node *item = is_list ? node->as.items[i] : node;
        const char *text = text_load(loader, key, item, key->item);
        if (text == NULL)
            continue;
        texts.items[texts.count] = text;
        place_add(loader->document, &texts.items[texts.count++], false, NULL, item);
    }
    if (key->most != 0 && count > key->most)
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(node), "%s takes at most %u values",
                          key->name, (unsigned)key->most);
    if (count < key->least)
        list_short_tell(loader, key, node);
    *to = texts;
}

/* The map without names that are another's in other letters; it may be an anchor that others read. */
static struct node caseless_copy(struct loader *loader, const struct node *map)
{
    struct node copy = *map;
    copy.as.entries = loader_get(loader, (map->count + (size_t)1) * sizeof(*copy.as.entries));
    if (map->count != 0)
        memcpy(copy.as.entries, map->as.entries, map->count * sizeof(*copy.as.entries));
    duplicates_drop(loader->document, &copy, true);
    return copy;
}

void pairs_load(struct loader *loader, const struct schema_key *key, const struct node *node,
                struct name_values *to)
{
    if (node->kind != NODE_MAP && !node->refused)
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(node),
                          "%s takes names with values, such as { name: value }", key->name);
    if (node->kind != NODE_MAP)
        return;
    struct node caseless;
    if ((key->flags & SCHEMA_CASELESS) != 0) {
        caseless = caseless_copy(loader, node);
        node = &caseless;
    }
    struct name_values pairs = {.items = loader_get(loader, (node->count + 1) * sizeof(*pairs.items))};
    for (uint32_t i = 0; i < node->count; i++) {
        const struct node_entry *entry = &node->as.entries[i];
        struct error error = {""};
        struct span name = arena_copy(loader->arena, entry->key->as.text);
        const char *value = text_load(loader, key, entry->value, key->item);
        if (key->check_name != NULL && !key->check_name(name, &error)) {
            schema_report_add(loader->report, SCHEMA_ERROR, node_place(entry->key), "%s", error.text);
            continue;
        }
        if (key->doubt_name != NULL && !key->doubt_name(name, &error))
            schema_report_add(loader->report, SCHEMA_WARNING, node_place(entry->key), "%s", error.text);
        if (value == NULL)
            continue;
        struct name_value *pair = &pairs.items[pairs.count++];
        *pair = (struct name_value){name.at, value};
        place_add(loader->document, &pair->name, false, entry->key, entry->key);
        place_add(loader->document, &pair->value, false, entry->key, entry->value);
    }
    *to = pairs;
}
