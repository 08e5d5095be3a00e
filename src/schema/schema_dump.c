/* Structs as YAML that reads back to the same: the effective configuration, defaults filled in and other
 * files merged.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "schema/schema.h"
#include "schema/schema_value.h"

static void section_dump(const struct schema *schema, const char *section, struct text *to, int indent);

/* Text that YAML reads as itself wherever it stands, and that no reader takes for another type. */
static bool is_plain(struct span text)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no", "on", "off"};
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/.";
    static const char others[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_/.-:";
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (span_equal_nocase(text, span_of(words[i])))
            return false;
    char *end = NULL;
    (void)strtod(text.at, &end);
    if (*end == '\0') /* a number to readers that go by looks; an empty text too */
        return false;
    return text.length != 0 && strspn(text.at, first) > 0 && strspn(text.at, others) == text.length &&
           text.at[text.length - 1] != ':';
}

/* `${` of a text that is no template was written `$${`, and is again. */
static void string_dump(const char *value, bool is_template, struct text *to)
{
    struct text escaped = text_growing();
    for (const char *at = value; *at != '\0'; at++) {
        if (!is_template && at[0] == '$' && at[1] == '{')
            text_char(&escaped, '$');
        text_char(&escaped, *at);
    }
    if (is_plain(text_span(&escaped)))
        text_add(to, text_span(&escaped));
    else
        json_text_string(to, text_span(&escaped));
    text_free(&escaped);
}

static void key_begin(const char *name, struct text *to, int indent)
{
    text_print(to, "%*s", indent, "");
    string_dump(name, true, to);
    text_char(to, ':');
}

static void texts_dump(const struct schema_key *key, const struct texts *texts, struct text *to, int indent)
{
    if (texts->count == 0 && key->fallback == NULL)
        return;
    key_begin(key->name, to, indent);
    text_print(to, " [");
    for (size_t i = 0; i < texts->count; i++) {
        text_print(to, "%s", i == 0 ? "" : ", ");
        string_dump(key->flags & SCHEMA_SECRET ? SCHEMA_SECRET_SHOWN : texts->items[i],
                    key->item == SCHEMA_TEMPLATE, to);
    }
    text_print(to, "]\n");
}

static void pairs_dump(const struct schema_key *key, const struct name_values *pairs, struct text *to,
                       int indent)
{
    if (pairs->count == 0)
        return;
    key_begin(key->name, to, indent);
    text_char(to, '\n');
    for (size_t i = 0; i < pairs->count; i++) {
        key_begin(pairs->items[i].name, to, indent + 2);
        text_char(to, ' ');
        string_dump(pairs->items[i].value, key->item == SCHEMA_TEMPLATE, to);
        text_char(to, '\n');
    }
}

/* A section below its key. `empty` says what stands there when nothing in it is set; NULL: the key is left
 * out. */
static void nested_dump(const char *name, const struct schema *schema, const char *section, const char *empty,
                        struct text *to, int indent)
{
    struct text inside = text_growing();
    section_dump(schema, section, &inside, indent + 2);
    if (inside.length != 0 || empty != NULL) {
        key_begin(name, to, indent);
        text_print(to, "%s\n", inside.length != 0 ? "" : empty);
        text_add(to, text_span(&inside));
    }
    text_free(&inside);
}

static void sections_dump(const struct schema_key *key, const char *items, size_t count, struct text *to,
                          int indent)
{
    if (count == 0)
        return;
    key_begin(key->name, to, indent);
    text_char(to, '\n');
    for (size_t i = 0; i < count; i++) {
        struct text inside = text_growing();
        section_dump(key->section, items + i * key->section->size, &inside, indent + 4);
        text_print(to, "%*s- ", indent + 2, "");
        text_add(to, inside.length != 0 ? span_skip(text_span(&inside), (size_t)indent + 4) : SPAN("{}\n"));
        text_free(&inside);
    }
}

static void map_dump(const struct schema_key *key, const char *items, size_t count, struct text *to,
                     int indent)
{
    if (count == 0)
        return;
    key_begin(key->name, to, indent);
    text_char(to, '\n');
    for (size_t i = 0; i < count; i++) {
        const char *item = items + i * key->section->size, *name;
        memcpy(&name, item + key->section->name_offset, sizeof(name));
        nested_dump(name, key->section, item, " {}", to, indent + 2);
    }
}

static bool is_unset(const struct schema_key *key, const void *field)
{
    uint64_t number;
    if (!value_is_number(key) || !value_may_lack(key))
        return false;
    memcpy(&number, field, sizeof(number));
    return number == key->unset;
}

/* A choice that is a boolean stands as one; what only looks like something else is quoted. */
static void choice_dump(const char *choice, struct text *to)
{
    if (strcmp(choice, "true") == 0 || strcmp(choice, "false") == 0)
        text_print(to, "%s", choice);
    else
        string_dump(choice, true, to);
}

static void value_dump(const struct schema_key *key, const void *field, struct text *to, int indent)
{
    if (is_unset(key, field))
        return;
    key_begin(key->name, to, indent);
    text_char(to, ' ');
    unsigned which;
    if (key->type == SCHEMA_CHOICE) {
        memcpy(&which, field, sizeof(which));
        choice_dump(key->choices[which], to);
    } else {
        value_print(key, field, to);
    }
    text_char(to, '\n');
}

static void key_dump(const struct schema_key *key, const char *section, struct text *to, int indent)
{
    const char *field = section + key->offset, *pointer = NULL;
    size_t count = 0;
    switch (key->type) {
    case SCHEMA_STRING:
    case SCHEMA_TEMPLATE:
    case SCHEMA_PATH:
    case SCHEMA_REFERENCE:
        memcpy(&pointer, field, sizeof(pointer));
        if (pointer == NULL)
            return;
        key_begin(key->name, to, indent);
        text_char(to, ' ');
        string_dump(pointer, key->type == SCHEMA_TEMPLATE, to);
        text_char(to, '\n');
        return;
    case SCHEMA_TEXTS:
        texts_dump(key, (const struct texts *)(const void *)field, to, indent);
        return;
    case SCHEMA_PAIRS:
        pairs_dump(key, (const struct name_values *)(const void *)field, to, indent);
        return;
    case SCHEMA_SECTION:
        nested_dump(key->name, key->section, field, NULL, to, indent);
        return;
    case SCHEMA_OPTIONAL:
        memcpy(&pointer, field, sizeof(pointer));
        if (pointer != NULL)
            nested_dump(key->name, key->section, pointer, " {}", to, indent);
        else if ((key->flags & SCHEMA_PRESENT) != 0)
            text_print(to, "%*s%s: false\n", indent, "", key->name);
        return;
    case SCHEMA_SECTIONS:
    case SCHEMA_MAP:
        memcpy(&pointer, field, sizeof(pointer));
        memcpy(&count, section + key->count_offset, sizeof(count));
        if (key->type == SCHEMA_MAP)
            map_dump(key, pointer, count, to, indent);
        else
            sections_dump(key, pointer, count, to, indent);
        return;
    case SCHEMA_INCLUDE:
        return;
    case SCHEMA_BOOL:
    case SCHEMA_INT:
    case SCHEMA_SIZE:
    case SCHEMA_DURATION:
    case SCHEMA_PERCENT:
    case SCHEMA_RATE:
    case SCHEMA_CHOICE:
        value_dump(key, field, to, indent);
        return;
    }
}

static void section_dump(const struct schema *schema, const char *section, struct text *to, int indent)
{
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        if ((key->flags & SCHEMA_MERGED) == 0)
            key_dump(key, section, to, indent);
}

void schema_dump(const struct schema *root, const void *section, struct text *to)
{
    section_dump(root, section, to, 0);
}

void schema_dump_key(const struct schema_key *key, const void *section, struct text *to)
{
    key_dump(key, section, to, 0);
}
