/* The rows for other readers: JSON Schema for editors, and a list of keys that the manual is held against. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "schema/schema.h"
#include "schema/schema_value.h"

enum { SCHEMAS_MOST = 128, PATH_MOST = 256 };

/* ---- the list ---- */

/* What holds where the key is left out and has no default of its own: a section that is off, or on, or is
 * made of its keys' defaults; no items; what the prose says. */
static const char *absent_list(const struct schema_key *key)
{
    if ((key->flags & SCHEMA_TOLD) != 0)
        return "(told)";
    if (key->type == SCHEMA_OPTIONAL)
        return (key->flags & SCHEMA_PRESENT) != 0 ? "(on)" : "(off)";
    if (key->type == SCHEMA_SECTION)
        return "(its keys)";
    return "-";
}

static void row_list(const struct schema_key *key, const char *path, struct text *to)
{
    text_print(to, "%s\t%s\t", path, value_type_name(key));
    if ((key->flags & SCHEMA_REQUIRED) != 0)
        text_print(to, "required");
    else
        text_print(to, "%s",
                   key->fallback == NULL      ? absent_list(key)
                   : key->fallback[0] == '\0' ? "\"\""
                                              : key->fallback);
    text_char(to, '\t');
    size_t before = to->length;
    value_range_print(key, to);
    text_print(to, "%s\t%s\n", to->length == before ? "-" : "", key->text);
}

static void section_list(const struct schema *schema, const char *path, struct text *to)
{
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++) {
        char below[PATH_MOST];
        struct text text = text_over(below, sizeof(below));
        text_print(&text, "%s%s%s", path, path[0] != '\0' ? "." : "", key->name);
        row_list(key, below, to);
        if (key->section == NULL || (key->flags & SCHEMA_SEEN) != 0)
            continue;
        text_print(&text, "%s", key->type == SCHEMA_SECTIONS ? "[]" : key->type == SCHEMA_MAP ? ".NAME" : "");
        section_list(key->section, below, to);
    }
}

void schema_export_list(const struct schema *root, struct text *to)
{
    section_list(root, "", to);
}

/* ---- JSON Schema ---- */

struct export
{
    struct json json;
    const struct schema *schemas[SCHEMAS_MOST];
    size_t count;
};

static void schemas_collect(struct export *export, const struct schema *schema)
{
    for (size_t i = 0; i < export->count; i++)
        if (export->schemas[i] == schema)
            return;
    assert(export->count < SCHEMAS_MOST);
    export->schemas[export->count++] = schema;
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        if (key->section != NULL)
            schemas_collect(export, key->section);
}

/* The noun, with a number when an earlier section has the same. */
static void definition_name(const struct export *export, const struct schema *schema, bool partial,
                            struct text *to)
{
    unsigned same = 1;
    for (size_t i = 0; export->schemas[i] != schema; i++)
        same += strcmp(export->schemas[i]->noun, schema->noun) == 0;
    for (const char *at = schema->noun; *at != '\0'; at++)
        text_char(to, *at == ' ' ? '_' : *at);
    if (same > 1)
        text_print(to, "_%u", same);
    text_print(to, "%s", partial ? "_defaults" : "");
}

static void member(struct json *json, const char *key, const char *value)
{
    json_key(json, key);
    json_string(json, span_of(value));
}

static void types(struct json *json, const char *const *names)
{
    json_key(json, "type");
    json_array(json);
    for (; *names != NULL; names++)
        json_string(json, span_of(*names));
    json_end_array(json);
}

static void reference(struct export *export, const struct schema *schema, bool partial)
{
    char name[128];
    struct text text = text_over(name, sizeof(name));
    text_print(&text, "#/$defs/");
    definition_name(export, schema, partial, &text);
    json_object(&export->json);
    member(&export->json, "$ref", name);
    json_end_object(&export->json);
}

/* What a text may be that is written as this row's numbers are, and what variables may bring. */
static void number_pattern(struct json *json, const struct schema_key *key, const char *units)
{
    char pattern[256];
    struct text text = text_over(pattern, sizeof(pattern));
    text_print(&text, "^(");
    if (key->word != NULL)
        text_print(&text, "%s|", key->word);
    for (const char *const *word = key->words; word != NULL && *word != NULL; word++)
        text_print(&text, "%s|", *word);
    if (key->least == 0 && units[0] != '\0')
        text_print(&text, "0|");
    text_print(&text, "%s%s)$|\\$\\{env\\.", key->least == 0 ? "[0-9]+" : "0*[1-9][0-9]*", units);
    member(json, "pattern", pattern);
}

static void number_members(struct json *json, const struct schema_key *key)
{
    types(json, (const char *const[]){"integer", "string", NULL});
    json_key(json, "minimum");
    json_number(json, (int64_t)key->least);
    if (key->most <= INT64_MAX) {
        json_key(json, "maximum");
        json_number(json, (int64_t)key->most);
    }
    number_pattern(json, key, "");
}

/* A number without its unit is an error, but for 0, which is the same in every unit. */
static void scaled_members(struct json *json, const struct schema_key *key, const char *units)
{
    bool takes_zero = key->least == 0 && key->type != SCHEMA_RATE;
    types(json, takes_zero ? (const char *const[]){"string", "integer", NULL}
                           : (const char *const[]){"string", NULL});
    if (takes_zero) {
        json_key(json, "minimum");
        json_number(json, 0);
        json_key(json, "maximum");
        json_number(json, 0);
    }
    number_pattern(json, key, units);
}

/* YAML readers take a bare 1.2 for a number, and true and false for themselves. */
static void choice_write(struct json *json, const char *choice)
{
    char *end = NULL;
    double number = strtod(choice, &end);
    bool yes = strcmp(choice, "true") == 0;
    json_string(json, span_of(choice));
    if (*end == '\0')
        json_decimal(json, number);
    if (yes || strcmp(choice, "false") == 0)
        json_bool(json, yes);
}

static void choice_members(struct json *json, const struct schema_key *key)
{
    const char *const *choices = key->choices;
    json_key(json, "anyOf");
    json_array(json);
    json_object(json);
    json_key(json, "enum");
    json_array(json);
    for (; *choices != NULL; choices++)
        choice_write(json, *choices);
    for (const char *const *pair = key->synonyms; pair != NULL && *pair != NULL; pair += 2) {
        bool yes = strcmp(pair[0], "true") == 0;
        json_string(json, span_of(pair[0]));
        if (yes || strcmp(pair[0], "false") == 0) /* as which editors read the bare word */
            json_bool(json, yes);
    }
    json_end_array(json);
    json_end_object(json);
    json_object(json);
    member(json, "type", "string");
    member(json, "pattern", "\\$\\{env\\.");
    json_end_object(json);
    json_end_array(json);
}

/* Members of the schema of one value. YAML readers take bare words for numbers and booleans, so texts may
 * look like these. */
static void scalar_members(struct json *json, const struct schema_key *key, enum schema_type type)
{
    static const char *const units[] = {
        [SCHEMA_SIZE] = "(B|KiB|MiB|GiB|KB|MB|GB)",
        [SCHEMA_DURATION] = "(ms|s|m|h)",
        [SCHEMA_PERCENT] = "%",
        [SCHEMA_RATE] = "/[smh]",
    };
    if (type == SCHEMA_BOOL) {
        types(json, (const char *const[]){"boolean", "string", NULL});
        member(json, "pattern", "^(true|false)$|\\$\\{env\\.");
    } else if (type == SCHEMA_INT) {
        number_members(json, key);
    } else if (type < COUNT_OF(units) && units[type] != NULL) {
        scaled_members(json, key, units[type]);
    } else if (key->choices != NULL && type != SCHEMA_PATH) {
        choice_members(json, key);
    } else {
        types(json, (const char *const[]){"string", "number", "boolean", NULL});
    }
}

static void scalar_object(struct json *json, const struct schema_key *key, enum schema_type type)
{
    json_object(json);
    scalar_members(json, key, type);
    json_end_object(json);
}

/* A section, or the bare value that stands for it. */
static void section_alternatives(struct export *export, const struct schema_key *key)
{
    const struct schema *schema = key->section;
    reference(export, schema, (key->flags & SCHEMA_PARTIAL) != 0);
    for (const struct schema_key *row = schema->keys; schema->shorthand != NULL && row->name != NULL; row++)
        if (strcmp(row->name, schema->shorthand) == 0)
            scalar_object(&export->json, row, row->type);
    if (key->type != SCHEMA_OPTIONAL && schema->off == NULL)
        return;
    json_object(&export->json);
    json_key(&export->json, "enum");
    json_array(&export->json);
    json_bool(&export->json, false);
    json_string(&export->json, SPAN("none"));
    json_end_array(&export->json);
    json_end_object(&export->json);
}

static void sections_members(struct export *export, const struct schema_key *key)
{
    struct json *json = &export->json;
    json_key(json, "anyOf");
    json_array(json);
    if (key->type != SCHEMA_SECTIONS || (key->flags & SCHEMA_SINGLE) != 0)
        section_alternatives(export, key);
    if (key->type == SCHEMA_SECTIONS) {
        json_object(json);
        member(json, "type", "array");
        json_key(json, "minItems");
        json_number(json, (int64_t)key->least);
        json_key(json, "items");
        json_object(json);
        json_key(json, "anyOf");
        json_array(json);
        section_alternatives(export, key);
        json_end_array(json);
        json_end_object(json);
        json_end_object(json);
    }
    json_end_array(json);
}

static void texts_members(struct json *json, const struct schema_key *key)
{
    json_key(json, "anyOf");
    json_array(json);
    scalar_object(json, key, key->item);
    json_object(json);
    member(json, "type", "array");
    json_key(json, "items");
    scalar_object(json, key, key->item);
    json_end_object(json);
    json_end_array(json);
}

static void map_members(struct export *export, const struct schema_key *key)
{
    struct json *json = &export->json;
    member(json, "type", "object");
    json_key(json, "additionalProperties");
    if (key->section != NULL)
        reference(export, key->section, false);
    else
        scalar_object(json, key, key->item);
}

static void default_export(struct json *json, const struct schema_key *key)
{
    uint64_t number;
    if (key->fallback == NULL || key->type == SCHEMA_TEXTS)
        return;
    json_key(json, "default");
    if (key->type == SCHEMA_BOOL)
        json_bool(json, strcmp(key->fallback, "true") == 0);
    else if (key->type == SCHEMA_INT && text_to_number(span_of(key->fallback), INT64_MAX, &number))
        json_number(json, (int64_t)number);
    else
        json_string(json, span_of(key->fallback));
}

static void key_export(struct export *export, const struct schema_key *key)
{
    struct json *json = &export->json;
    json_key(json, key->name);
    json_object(json);
    member(json, "description", key->text);
    default_export(json, key);
    if (key->type == SCHEMA_MAP || key->type == SCHEMA_PAIRS)
        map_members(export, key);
    else if (key->section != NULL)
        sections_members(export, key);
    else if (key->type == SCHEMA_TEXTS || key->type == SCHEMA_INCLUDE)
        texts_members(json, key);
    else
        scalar_members(json, key, key->type);
    json_end_object(json);
}

static void section_members(struct export *export, const struct schema *schema, bool partial)
{
    struct json *json = &export->json;
    member(json, "description", schema->text);
    member(json, "type", "object");
    json_key(json, "additionalProperties");
    json_bool(json, false);
    json_key(json, "required");
    json_array(json);
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        if ((key->flags & SCHEMA_REQUIRED) != 0 && !partial)
            json_string(json, span_of(key->name));
    json_end_array(json);
    json_key(json, "properties");
    json_object(json);
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        if (!partial || (key->flags & SCHEMA_OWN) == 0)
            key_export(export, key);
    json_end_object(json);
}

static void definition_export(struct export *export, const struct schema *schema, bool partial)
{
    char name[128];
    struct text text = text_over(name, sizeof(name));
    definition_name(export, schema, partial, &text);
    json_key(&export->json, name);
    json_object(&export->json);
    section_members(export, schema, partial);
    json_end_object(&export->json);
}

static bool has_defaults(const struct export *export, const struct schema *schema)
{
    for (size_t i = 0; i < export->count; i++)
        for (const struct schema_key *key = export->schemas[i]->keys; key->name != NULL; key++)
            if (key->section == schema && (key->flags & SCHEMA_PARTIAL) != 0)
                return true;
    return false;
}

static void line_begin(struct text *to, unsigned depth)
{
    text_print(to, "\n%*s", (int)depth * 2, "");
}

/* One member or item a line, so that a change of the schema is a small change of its text. */
static void json_spread(struct span json, struct text *to)
{
    bool quoted = false;
    unsigned depth = 0;
    for (size_t i = 0; i < json.length; i++) {
        char c = json.at[i];
        bool opens = !quoted && (c == '{' || c == '['), closes = !quoted && (c == '}' || c == ']');
        bool empty = opens && i + 1 < json.length && (json.at[i + 1] == '}' || json.at[i + 1] == ']');
        if (closes && json.at[i - 1] != '{' && json.at[i - 1] != '[')
            line_begin(to, --depth);
        text_char(to, c);
        if (quoted && c == '\\')
            text_char(to, json.at[++i]);
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && c == ':')
            text_char(to, ' ');
        if (opens && !empty)
            depth++;
        if ((opens && !empty) || (!quoted && c == ','))
            line_begin(to, depth);
    }
    text_char(to, '\n');
}

void schema_export_json(const struct schema *root, const char *title, struct text *to)
{
    struct export export = {.count = 0};
    struct text dense = text_growing();
    schemas_collect(&export, root);
    json_begin(&export.json, &dense);
    json_object(&export.json);
    member(&export.json, "$schema", "https://json-schema.org/draft/2020-12/schema");
    member(&export.json, "title", title);
    section_members(&export, root, false);
    json_key(&export.json, "patternProperties"); /* a place for anchors */
    json_object(&export.json);
    json_key(&export.json, "^x-");
    json_bool(&export.json, true);
    json_end_object(&export.json);
    json_key(&export.json, "$defs");
    json_object(&export.json);
    for (size_t i = 1; i < export.count; i++) {
        definition_export(&export, export.schemas[i], false);
        if (has_defaults(&export, export.schemas[i]))
            definition_export(&export, export.schemas[i], true);
    }
    json_end_object(&export.json);
    json_end_object(&export.json);
    json_spread(text_span(&dense), to);
    text_free(&dense);
}
