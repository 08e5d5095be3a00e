/* Structs as YAML that reads back to the same: the effective configuration, defaults filled in and other
 * files merged.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "schema/schema_document.h"
#include "schema/schema_value.h"

/* Where to, and the document in which values stand as they were written; NULL: nobody asks. */
struct dump {
    struct text *text;
    const struct schema_document *document;
    size_t *masked; /* secrets that stand in the file itself */
};

static void section_dump(const struct schema *schema, const char *section, struct dump *to, int indent);

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
static void string_dump(const char *value, bool is_template, struct dump *to)
{
    struct text escaped = text_growing();
    for (const char *at = value; *at != '\0'; at++) {
        if (!is_template && at[0] == '$' && at[1] == '{')
            text_char(&escaped, '$');
        text_char(&escaped, *at);
    }
    if (is_plain(text_span(&escaped)))
        text_add(to->text, text_span(&escaped));
    else
        json_text_string(to->text, text_span(&escaped));
    text_free(&escaped);
}

/* As it stands in the file. A relative path is one from there, unless its variable brings the beginning. */
static void written_dump(const struct schema_key *key, const struct node *node, const char *value,
                         struct dump *to)
{
    enum schema_type type = key->type == SCHEMA_TEXTS || key->type == SCHEMA_PAIRS ? key->item : key->type;
    struct text whole = text_growing();
    struct span folder = span_of(node->source->folder), written = node->as.text;
    bool relative = type == SCHEMA_PATH && written.at[0] != '/' && !span_starts(written, SPAN("unix:")) &&
                    span_starts(span_of(value), folder);
    if (relative && (written.at[0] != '$' || strchr(value + folder.length, '/') == NULL))
        text_add(&whole, folder);
    text_add(&whole, written);
    json_text_string(to->text, text_span(&whole));
    text_free(&whole);
}

/* A default beside a variable stands in the file: of a secret it is one. */
static bool is_shown(const struct schema_key *key, const struct node *node)
{
    return node != NULL && ((key->flags & SCHEMA_SECRET) == 0 || strstr(node->as.text.at, ":-") == NULL);
}

static const struct node *variable_of(const struct dump *to, const void *address, bool is_section)
{
    return to->document != NULL ? place_variable(to->document, address, is_section) : NULL;
}

static void key_text_dump(const struct schema_key *key, const char *value, bool is_template, struct dump *to)
{
    const struct node *node = variable_of(to, value, false);
    if (is_shown(key, node)) {
        written_dump(key, node, value, to);
        return;
    }
    bool secret = (key->flags & SCHEMA_SECRET) != 0;
    *to->masked += secret;
    string_dump(secret ? SCHEMA_SECRET_SHOWN : value, is_template, to);
}

static void key_begin(const char *name, struct dump *to, int indent)
{
    text_print(to->text, "%*s", indent, "");
    string_dump(name, true, to);
    text_char(to->text, ':');
}

static void texts_dump(const struct schema_key *key, const struct texts *texts, struct dump *to, int indent)
{
    if (texts->count == 0 && key->fallback == NULL)
        return;
    key_begin(key->name, to, indent);
    text_print(to->text, " [");
    const struct node *last = NULL; /* one variable may bring several */
    for (size_t i = 0; i < texts->count; i++) {
        const struct node *node = variable_of(to, texts->items[i], false);
        if (node == NULL || node != last) {
            text_print(to->text, "%s", i == 0 ? "" : ", ");
            key_text_dump(key, texts->items[i], key->item == SCHEMA_TEMPLATE, to);
        }
        last = node;
    }
    text_print(to->text, "]\n");
}

static void pairs_dump(const struct schema_key *key, const struct name_values *pairs, struct dump *to,
                       int indent)
{
    if (pairs->count == 0)
        return;
    key_begin(key->name, to, indent);
    text_char(to->text, '\n');
    for (size_t i = 0; i < pairs->count; i++) {
        key_begin(pairs->items[i].name, to, indent + 2);
        text_char(to->text, ' ');
        key_text_dump(key, pairs->items[i].value, key->item == SCHEMA_TEMPLATE, to);
        text_char(to->text, '\n');
    }
}

/* A section below its key. `empty` says what stands there when nothing in it is set; NULL: the key is left
 * out. */
static void nested_dump(const char *name, const struct schema *schema, const char *section, const char *empty,
                        struct dump *to, int indent)
{
    struct text inside = text_growing();
    struct dump nested = {&inside, to->document, to->masked};
    section_dump(schema, section, &nested, indent + 2);
    if (inside.length != 0 || empty != NULL) {
        key_begin(name, to, indent);
        text_print(to->text, "%s\n", inside.length != 0 ? "" : empty);
        text_add(to->text, text_span(&inside));
    }
    text_free(&inside);
}

static void sections_dump(const struct schema_key *key, const char *items, size_t count, struct dump *to,
                          int indent)
{
    if (count == 0)
        return;
    key_begin(key->name, to, indent);
    text_char(to->text, '\n');
    const struct node *last = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct node *node = variable_of(to, items + i * key->section->size, true);
        if (node != NULL && node != last) {
            text_print(to->text, "%*s- ", indent + 2, "");
            json_text_string(to->text, node->as.text);
            text_char(to->text, '\n');
        }
        last = node;
        if (node != NULL)
            continue;
        struct text inside = text_growing();
        struct dump nested = {&inside, to->document, to->masked};
        section_dump(key->section, items + i * key->section->size, &nested, indent + 4);
        text_print(to->text, "%*s- ", indent + 2, "");
        text_add(to->text,
                 inside.length != 0 ? span_skip(text_span(&inside), (size_t)indent + 4) : SPAN("{}\n"));
        text_free(&inside);
    }
}

static void map_dump(const struct schema_key *key, const char *items, size_t count, struct dump *to,
                     int indent)
{
    if (count == 0)
        return;
    key_begin(key->name, to, indent);
    text_char(to->text, '\n');
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
static void choice_dump(const char *choice, struct dump *to)
{
    if (strcmp(choice, "true") == 0 || strcmp(choice, "false") == 0)
        text_print(to->text, "%s", choice);
    else
        string_dump(choice, true, to);
}

static void value_dump(const struct schema_key *key, const void *field, struct dump *to, int indent)
{
    if (is_unset(key, field))
        return;
    key_begin(key->name, to, indent);
    text_char(to->text, ' ');
    unsigned which;
    const struct node *node = variable_of(to, field, false);
    if (node != NULL) {
        json_text_string(to->text, node->as.text);
    } else if (key->type == SCHEMA_CHOICE) {
        memcpy(&which, field, sizeof(which));
        choice_dump(key->choices[which], to);
    } else {
        value_print(key, field, to->text);
    }
    text_char(to->text, '\n');
}

static void key_dump(const struct schema_key *key, const char *section, struct dump *to, int indent)
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
        text_char(to->text, ' ');
        key_text_dump(key, pointer, key->type == SCHEMA_TEMPLATE, to);
        text_char(to->text, '\n');
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
            text_print(to->text, "%*s%s: false\n", indent, "", key->name);
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

static void section_dump(const struct schema *schema, const char *section, struct dump *to, int indent)
{
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        if ((key->flags & SCHEMA_MERGED) == 0)
            key_dump(key, section, to, indent);
}

void schema_dump(const struct schema *root, const void *section, struct text *to)
{
    size_t masked = 0;
    section_dump(root, section, &(struct dump){to, NULL, &masked}, 0);
}

size_t schema_dump_written(const struct schema_document *document, const struct schema *root,
                           const void *section, struct text *to)
{
    size_t masked = 0;
    section_dump(root, section, &(struct dump){to, document, &masked}, 0);
    return masked;
}

void schema_dump_key(const struct schema_key *key, const void *section,
                     const struct schema_document *document, struct text *to)
{
    size_t masked = 0;
    key_dump(key, section, &(struct dump){to, document, &masked}, 0);
}
