/* Every row of the file's tables, by construction: its default is in range, one below and one above are
 * refused, and it has prose. */
#include <string.h>

#include "base/text.h"
#include "config/config.h"
#include "schema/schema.h"
#include "schema/schema_value.h"
#include "unit/unit.h"

enum { SCHEMAS_MOST = 128 };

static const struct schema *seen[SCHEMAS_MOST];
static size_t seen_count;

static bool reads(const struct schema_key *key, uint64_t number)
{
    uint64_t stored = 0;
    struct error error = {""};
    struct text text = text_growing();
    value_number_print(key, number, &text);
    bool good = value_read(key, text_span(&text), NULL, &stored, &error);
    assert_true(!good || stored == number);
    assert_true(good || error.text[0] != '\0');
    text_free(&text);
    return good;
}

/* 0 is 0 or an error that says what to write: never no limit, off or what another key says. */
static void zero_check(const struct schema_key *key)
{
    static const char *const zeros[] = {"0", "00", "0B", "0GiB", "0ms", "0h", "0%"};
    for (size_t i = 0; i < COUNT_OF(zeros); i++) {
        uint64_t stored = 1;
        struct error error = {""};
        if (value_read(key, span_of(zeros[i]), NULL, &stored, &error)) {
            assert_true(stored == 0 && key->least == 0);
        } else {
            char range[160];
            struct text text = text_over(range, sizeof(range));
            value_range_print(key, &text);
            bool other_unit = strstr(error.text, " is not ") != NULL || strstr(error.text, "no unit") != NULL;
            if (!other_unit && strstr(error.text, range) == NULL)
                fail_msg("%s: %s: %s", key->name, zeros[i], error.text);
        }
    }
}

static void number_row_check(const struct schema_key *key)
{
    assert_true(key->least <= key->most);
    assert_true(reads(key, key->least));
    /* 0 is taken by what stands for it, and by what says that nothing was set. */
    assert_true(key->least > 0 || (key->word == NULL && (key->unset != 0 || !value_may_lack(key))));
    assert_false(value_may_lack(key) && key->unset != 0 && reads(key, key->unset));
    zero_check(key);
    if (key->most <= INT64_MAX / 2) {
        assert_true(reads(key, key->most));
        assert_false(reads(key, key->most + 1));
    }
    if (key->least > 0 && key->word == NULL)
        assert_false(reads(key, key->least - 1));
}

static void row_check(const struct schema *schema, const struct schema_key *key)
{
    uint64_t stored[4] = {0};
    struct error error = {""};
    assert_non_null(key->text);
    assert_int_equal(key->text[strlen(key->text) - 1], '.');
    assert_false((key->flags & SCHEMA_REQUIRED) != 0 && key->fallback != NULL);
    /* the flag says of the prose what it says */
    bool tells = strstr(key->text, "by default") != NULL && key->fallback == NULL;
    assert_true(tells == ((key->flags & SCHEMA_TOLD) != 0));
    if (value_is_number(key))
        number_row_check(key);
    bool is_value = value_is_number(key) || key->type == SCHEMA_BOOL || key->type == SCHEMA_CHOICE ||
                    key->type == SCHEMA_RATE;
    if (is_value && key->fallback != NULL && !value_read(key, span_of(key->fallback), NULL, stored, &error))
        fail_msg("%s.%s: %s", schema->noun, key->name, error.text);
    assert_true(!is_value || value_is_number(key) || key->fallback != NULL ||
                (key->flags & SCHEMA_REQUIRED) != 0);
}

static void schema_check(const struct schema *schema)
{
    size_t rows = 0;
    for (size_t i = 0; i < seen_count; i++)
        if (seen[i] == schema)
            return;
    assert_true(seen_count < SCHEMAS_MOST);
    seen[seen_count++] = schema;
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++, rows++) {
        row_check(schema, key);
        for (const struct schema_key *other = schema->keys; other != key; other++)
            assert_string_not_equal(other->name, key->name);
        if (key->section != NULL)
            schema_check(key->section);
    }
    assert_in_range(rows, 1, SCHEMA_MOST_KEYS);
}

static void every_row_holds(void **state)
{
    (void)state;
    schema_check(&config_schema);
    assert_true(seen_count > 20);
}

static void the_list_has_five_columns(void **state)
{
    struct text list = text_growing();
    size_t tabs = 0, lines = 0;
    (void)state;
    schema_export_list(&config_schema, &list);
    for (size_t i = 0; i < list.length; i++) {
        tabs += list.at[i] == '\t';
        lines += list.at[i] == '\n';
    }
    assert_true(lines > 150);
    assert_int_equal(tabs, lines * 4);
    assert_non_null(strstr(list.at, "\npools.NAME.servers[].weight\tint\t1\t0 to 1000\t"));
    assert_non_null(strstr(list.at, "\nlisteners[].address\tstring\trequired\t-\t"));
    text_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_holds),
        cmocka_unit_test(the_list_has_five_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
