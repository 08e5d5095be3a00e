/* Trees to structs with a small schema of every type: values, places, defaults, variables, and text cut at
 * every point.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"
#include "schema/schema.h"
#include "unit/unit.h"

struct leaf {
    const char *name;
    uint64_t wait;
    struct texts words;
};
struct tree {
    struct {
        struct leaf *leaf;
    } defaults;
    size_t leaves_count;
    struct leaf *leaves;
    size_t list_count;
    struct leaf *list;
    struct leaf inner;
    struct leaf *maybe, *present;
    struct name_values pairs;
    const char *template, *path, *uses, *text;
    bool flag;
};
struct defaults {
    struct leaf *leaf;
};

static const struct schema_key leaf_keys[] = {
    KEY_STRING(struct leaf, name, NULL, "Name."), KEY_DURATION(struct leaf, wait, "5s", 0, 10000, "Wait."),
    KEY_TEXTS(SCHEMA_STRING, struct leaf, words, "[a, b]", "Words."), KEY_END};
static const struct schema leaf_schema = {.noun = "leaf",
                                          .size = sizeof(struct leaf),
                                          .keys = leaf_keys,
                                          .shorthand = "name",
                                          .name_offset = offsetof(struct leaf, name),
                                          .text = "Leaf."};
static const struct schema_key defaults_keys[] = {KEY_OPTIONAL(struct defaults, leaf, struct leaf,
                                                               leaf_schema, "Leaf.",
                                                               .flags = SCHEMA_PARTIAL | SCHEMA_SEEN),
                                                  KEY_END};
static const struct schema defaults_schema = {
    .noun = "defaults", .size = sizeof(struct defaults), .keys = defaults_keys, .text = "Defaults."};
static const struct schema_key tree_keys[] = {
    {.name = "defaults",
     .type = SCHEMA_SECTION,
     .section = &defaults_schema,
     .flags = SCHEMA_MERGED,
     .text = "Defaults."},
    KEY_MAP(struct tree, leaves, struct leaf, leaf_schema, "Leaves."),
    KEY_SECTIONS(struct tree, list, struct leaf, leaf_schema, "List.", .flags = SCHEMA_SINGLE),
    KEY_SECTION(struct tree, inner, struct leaf, leaf_schema, "Inner."),
    KEY_OPTIONAL(struct tree, maybe, struct leaf, leaf_schema, "Maybe."),
    KEY_OPTIONAL(struct tree, present, struct leaf, leaf_schema, "Present.", .flags = SCHEMA_PRESENT),
    KEY_PAIRS(SCHEMA_TEMPLATE, struct tree, pairs, "Pairs."),
    KEY_TEMPLATE(struct tree, template, NULL, "Template."),
    KEY_PATH(struct tree, path, NULL, "Path."),
    KEY_REFERENCE(struct tree, uses, "leaves", "Uses."),
    KEY_STRING(struct tree, text, NULL, "Text."),
    KEY_BOOL(struct tree, flag, "true", "Flag."),
    KEY_END};
static const struct schema tree_schema = {
    .noun = "tree", .size = sizeof(struct tree), .keys = tree_keys, .text = "Tree."};

struct loaded {
    struct schema_report *report;
    struct schema_document *document;
    struct arena *arena;
    struct tree *tree; /* NULL: not YAML */
};

static struct loaded load(struct span text)
{
    struct loaded loaded = {schema_report_new(), NULL, arena_new_malloc(), NULL};
    loaded.document = schema_document_new(loaded.report);
    if (schema_document_read_text(loaded.document, "/folder/tree.yaml", text.at, text.length))
        loaded.tree = schema_load(loaded.document, &tree_schema, NULL, loaded.arena);
    return loaded;
}

static struct loaded load_good(const char *text)
{
    struct loaded loaded = load(span_of(text));
    struct text told = text_growing();
    schema_report_print(loaded.report, &told, false);
    assert_string_equal(told.at, "");
    assert_non_null(loaded.tree);
    text_free(&told);
    return loaded;
}

static void unload(struct loaded *loaded)
{
    schema_document_free(loaded->document);
    schema_report_free(loaded->report);
    arena_free(loaded->arena);
}

static void nothing_given_is_all_defaults(void **state)
{
    (void)state;
    struct loaded loaded = load_good("{}");
    const struct tree *tree = loaded.tree;
    assert_int_equal(tree->inner.wait, 5000);
    assert_int_equal(tree->inner.words.count, 2);
    assert_string_equal(tree->inner.words.items[1], "b");
    assert_null(tree->maybe);
    assert_int_equal(tree->present->wait, 5000);
    assert_true(tree->flag);
    assert_null(tree->text);
    assert_int_equal(tree->leaves_count + tree->list_count + tree->pairs.count, 0);
    unload(&loaded);
}

static const char full[] = "defaults: { leaf: { wait: 1s } }\n"
                           "leaves:\n"
                           "  zwei: { words: [x, y, z] }\n"
                           "  eins: { wait: 2s, words: single }\n"
                           "list: [bare, { name: long, wait: 0 }]\n"
                           "inner: { words: [] }\n"
                           "maybe: {}\n"
                           "present: false\n"
                           "pairs: { B: \"${request.id}\", A: \"1\" }\n"
                           "template: \"$$ ${env.WEIR_TEST}\"\n"
                           "path: sub/file\n"
                           "uses: eins\n"
                           "text: \"$${x} ${env.WEIR_TEST} ${env.WEIR_NONE:-none}\"\n"
                           "flag: false\n";

static void all_types_are_stored_in_the_order_of_the_file(void **state)
{
    (void)state;
    setenv("WEIR_TEST", "a$b", 1);
    unsetenv("WEIR_NONE");
    struct loaded loaded = load_good(full);
    const struct tree *tree = loaded.tree;
    assert_int_equal(tree->leaves_count, 2);
    assert_string_equal(tree->leaves[0].name, "zwei");
    assert_int_equal(tree->leaves[0].wait, 1000); /* of the defaults */
    assert_int_equal(tree->leaves[0].words.count, 3);
    assert_string_equal(tree->leaves[1].words.items[0], "single");
    assert_string_equal(tree->list[0].name, "bare");
    assert_int_equal(tree->list[1].wait, 0);
    assert_int_equal(tree->inner.words.count, 0);
    assert_non_null(tree->maybe);
    assert_null(tree->present);
    assert_string_equal(tree->pairs.items[0].name, "B");
    assert_string_equal(tree->pairs.items[0].value, "${request.id}");
    assert_string_equal(tree->template, "$$ a$$b"); /* what comes from outside is no template */
    assert_string_equal(tree->path, "/folder/sub/file");
    assert_string_equal(tree->text, "${x} a$b none");
    assert_false(tree->flag);
    unload(&loaded);
}

static void values_know_their_places(void **state)
{
    (void)state;
    struct loaded loaded = load_good(full);
    const struct tree *tree = loaded.tree;
    struct schema_place place = schema_place(loaded.document, &tree->leaves[1].wait);
    assert_int_equal(place.line, 4);
    assert_int_equal(place.column, 17);
    assert_int_equal(place.length, 2);
    place = schema_place_key(loaded.document, &tree->leaves[1].wait);
    assert_int_equal(place.column, 11);
    place = schema_place_section(loaded.document, &tree->leaves[1]);
    assert_int_equal(place.line, 4);
    assert_int_equal(place.column, 3);
    place = schema_place(loaded.document, &tree->leaves[0].words.items[2]);
    assert_int_equal(place.column, 25);
    place = schema_place(loaded.document, &tree->pairs.items[1].name);
    assert_int_equal(place.line, 9);
    assert_null(schema_place(loaded.document, &tree->leaves[0].wait).source);
    unload(&loaded);
}

static void a_byte_order_mark_is_not_indentation(void **state)
{
    (void)state;
    struct loaded loaded = load_good("\xEF\xBB\xBFlist: one\ntext: two\n");
    assert_string_equal(loaded.tree->list[0].name, "one");
    assert_string_equal(loaded.tree->text, "two");
    assert_int_equal(schema_place(loaded.document, &loaded.tree->list[0].name).column, 7);
    unload(&loaded);
}

static void a_dump_reads_back_to_the_same(void **state)
{
    (void)state;
    struct loaded loaded = load_good(full);
    struct text first = text_growing(), second = text_growing();
    schema_dump(&tree_schema, loaded.tree, &first);
    struct loaded again = load_good(first.at);
    schema_dump(&tree_schema, again.tree, &second);
    assert_string_equal(first.at, second.at);
    assert_string_equal(again.tree->text, loaded.tree->text);
    assert_string_equal(again.tree->template, loaded.tree->template);
    assert_non_null(again.tree->maybe);
    assert_null(again.tree->present);
    text_free(&first);
    text_free(&second);
    unload(&loaded);
    unload(&again);
}

/* Wherever a file is cut, it is read or refused with a place inside it, and nothing else happens. */
static void text_cut_anywhere_is_read_or_told(void **state)
{
    (void)state;
    for (size_t length = 0; length < sizeof(full); length++) {
        struct loaded loaded = load(span_make(full, length));
        struct text told = text_growing();
        schema_report_print(loaded.report, &told, true);
        assert_true(loaded.tree != NULL || schema_report_errors(loaded.report) == 1);
        assert_true((schema_report_errors(loaded.report) == 0) == (told.length == 0));
        text_free(&told);
        unload(&loaded);
    }
}

/* Any byte in place of another does no harm either. */
static void a_changed_byte_is_read_or_told(void **state)
{
    static const char others[] = "\t\n :{}[]&*!|>'\"%@`#,?-\\\x01\x80\xff$~a0";
    (void)state;
    for (size_t at = 0; at + 1 < sizeof(full); at++)
        for (size_t i = 0; i < sizeof(others); i++) {
            char changed[sizeof(full)];
            memcpy(changed, full, sizeof(full));
            changed[at] = others[i];
            struct loaded loaded = load(span_make(changed, sizeof(full) - 1));
            struct text told = text_growing();
            schema_report_print(loaded.report, &told, false);
            text_free(&told);
            unload(&loaded);
        }
}

static void the_source_line_stands_below_the_message(void **state)
{
    (void)state;
    struct loaded loaded = load(SPAN("inner: { wait: 5 }\nflag: on\nnope: 1\n"));
    struct text told = text_growing();
    schema_report_print(loaded.report, &told, false);
    schema_report_sum(loaded.report, &told);
    assert_string_equal(
        told.at,
        "/folder/tree.yaml:1:16: error: \"5\" has no unit; write ms, s, m or h, such as 2s\n"
        "    1 | inner: { wait: 5 }\n"
        "      |                ^\n"
        "/folder/tree.yaml:2:7: error: \"on\" is not a boolean; flag takes true or false\n"
        "    2 | flag: on\n"
        "      |       ^~\n"
        "/folder/tree.yaml:3:1: error: unknown key \"nope\"; its keys are defaults, leaves, list, inner, maybe, present, pairs, template, path, uses, text and flag\n"
        "    3 | nope: 1\n"
        "      | ^~~~\n"
        "3 errors");
    text_free(&told);
    unload(&loaded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_given_is_all_defaults),
        cmocka_unit_test(all_types_are_stored_in_the_order_of_the_file),
        cmocka_unit_test(values_know_their_places),
        cmocka_unit_test(a_byte_order_mark_is_not_indentation),
        cmocka_unit_test(a_dump_reads_back_to_the_same),
        cmocka_unit_test(text_cut_anywhere_is_read_or_told),
        cmocka_unit_test(a_changed_byte_is_read_or_told),
        cmocka_unit_test(the_source_line_stands_below_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
