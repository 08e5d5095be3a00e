/*
 * Files as users write them: each of tests/config/wrong prints exactly what stands beside it, the examples
 * are good and read back to the same after a dump, and the JSON Schema that is committed is the one that the
 * rows give. UPDATE_EXPECTED=1 in the environment writes what is printed instead of comparing.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/checks.h"
#include "config/config.h"
#include "schema/schema.h"
#include "unit/unit.h"

static char *source; /* absolute path of the source tree */

static struct text file_read(const char *path)
{
    struct text text = text_growing();
    FILE *file = fopen(path, "r");
    char piece[4096];
    size_t got;
    while (file != NULL && (got = fread(piece, 1, sizeof(piece), file)) > 0)
        text_add(&text, span_make(piece, got));
    if (file != NULL)
        fclose(file);
    return text;
}

static void file_write(const char *path, struct span bytes)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.at, 1, bytes.length, file), bytes.length);
    fclose(file);
}

static int is_yaml(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 5 && strcmp(entry->d_name + length - 5, ".yaml") == 0;
}

static struct text printed_of(const char *path, bool *loaded)
{
    struct text text = text_growing();
    struct schema_report *report = schema_report_new();
    struct config *config = config_load(path, report);
    schema_report_print(report, &text, false);
    schema_report_sum(report, &text);
    text_char(&text, '\n');
    *loaded = config != NULL;
    config_free(config);
    schema_report_free(report);
    return text;
}

/* Absolute paths in messages depend on where the tree lies. */
static void folder_hide(struct text *text)
{
    struct text out = text_growing();
    static const char below[] = "/tests/"; /* a folder as short as /weir stands in other paths too */
    size_t length = strlen(source);
    for (const char *at = text->at; *at != '\0';) {
        bool here = strncmp(at, source, length) == 0 && strncmp(at + length, below, sizeof below - 1) == 0;
        text_add(&out, here ? SPAN("SOURCE") : span_make(at, 1));
        at += here ? length : 1;
    }
    text_free(text);
    *text = out;
}

static void wrong_compare(const char *name)
{
    char expected_name[300];
    bool loaded;
    struct text printed = printed_of(name, &loaded);
    folder_hide(&printed);
    (void)snprintf(expected_name, sizeof(expected_name), "%.*s.expected", (int)strlen(name) - 5, name);
    if (getenv("UPDATE_EXPECTED") != NULL)
        file_write(expected_name, text_span(&printed));
    struct text expected = file_read(expected_name);
    if (strcmp(printed.at, expected.at) != 0)
        fail_msg("%s prints:\n%sinstead of:\n%s", name, printed.at, expected.at);
    text_free(&expected);
    text_free(&printed);
}

static void wrong_files_print_what_stands_beside_them(void **state)
{
    struct dirent **entries;
    (void)state;
    assert_int_equal(chdir(source), 0);
    assert_int_equal(chdir("tests/config/wrong"), 0);
    unsetenv("NOT_SET");
    unsetenv("STICKY_SECRET");
    setenv("EMPTY", "", 1);
    setenv("COMMA", " ,", 1);
    int count = scandir(".", &entries, is_yaml, alphasort);
    assert_true(count >= 36);
    for (int i = 0; i < count; i++) {
        /* Without HTTP/2 these files are told that, and not what is wrong with them. */
        if (WITH_HTTP2 || strncmp(entries[i]->d_name, "protocols", 9) != 0)
            wrong_compare(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

/* Stand-ins for the files that the text names below tls/: examples are of machines that have them. */
static void tls_files_make(const char *text)
{
    (void)mkdir("tls", 0700);
    for (const char *at = strstr(text, "tls/"); at != NULL; at = strstr(at + 4, "tls/")) {
        char name[128];
        size_t length = strcspn(at, " ,}\n");
        assert_true(length < sizeof(name));
        memcpy(name, at, length);
        name[length] = '\0';
        file_write(name, SPAN("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n"));
    }
}

static struct text dump_of(const char *name, struct span text, size_t warnings_most)
{
    struct schema_report *report = schema_report_new();
    struct text out = text_growing(), told = text_growing();
    struct config *config = config_load_text(name, text.at, text.length, report);
    schema_report_print(report, &told, false);
    if (config == NULL || schema_report_warnings(report) > warnings_most)
        fail_msg("%s: %s\n%s", name, told.at, text.at);
    schema_dump(&config_schema, config, &out);
    config_free(config);
    schema_report_free(report);
    text_free(&told);
    return out;
}

/* A dump does not show them, and reads back only with them. */
static void secrets_fill(struct text *dump)
{
    struct text out = text_growing();
    struct span mask = SPAN(SCHEMA_SECRET_SHOWN);
    for (const char *at = dump->at; *at != '\0';) {
        bool masked = span_starts(span_of(at), mask);
        text_add(&out, masked ? SPAN("${env.STICKY_SECRET}") : span_make(at, 1));
        at += masked ? mask.length : 1;
    }
    text_free(dump);
    *dump = out;
}

static void example_check(const char *path)
{
    struct text text = file_read(path);
    assert_true(text.length > 100);
    if (!WITH_HTTP2 && (strstr(text.at, "h2c") != NULL || strstr(text.at, "protocol: h2") != NULL)) {
        text_free(&text);
        return;
    }
    struct text first = dump_of(path + strlen(source) + 1, text_span(&text), 0);
    secrets_fill(&first);
    /* It says the protocols that were meant, and a build may not have them all. */
    struct text second = dump_of("dump", text_span(&first), 2);
    secrets_fill(&second);
    assert_string_equal(first.at, second.at);
    text_free(&first);
    text_free(&second);
    text_free(&text);
}

static void examples_are_good_and_survive_a_dump(void **state)
{
    char folder[] = "/tmp/weir-examples-XXXXXX", path[4096];
    struct dirent **entries;
    (void)state;
    assert_non_null(mkdtemp(folder));
    setenv("STICKY_SECRET", "a secret of this test alone", 1);
    (void)snprintf(path, sizeof(path), "%s/conf/examples", source);
    int count = scandir(path, &entries, is_yaml, alphasort);
    assert_true(count >= 10);
    for (int i = 0; i <= count; i++) {
        if (i < count)
            (void)snprintf(path, sizeof(path), "%s/conf/examples/%s", source, entries[i]->d_name);
        else
            (void)snprintf(path, sizeof(path), "%s/conf/weir.yaml", source);
        /* The name told is relative, so relative paths in the example start in this folder. */
        assert_int_equal(chdir(folder), 0);
        (void)mkdir("conf", 0700);
        (void)mkdir("conf/examples", 0700);
        assert_int_equal(chdir(i < count ? "conf/examples" : "conf"), 0);
        struct text text = file_read(path);
        tls_files_make(text.at);
        text_free(&text);
        assert_int_equal(chdir(folder), 0);
        example_check(path);
        if (i < count)
            free(entries[i]);
    }
    free(entries);
    assert_int_equal(chdir("/"), 0);
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void the_json_schema_is_up_to_date(void **state)
{
    char path[4096];
    struct text made = text_growing();
    (void)state;
    (void)snprintf(path, sizeof(path), "%s/conf/weir.schema.json", source);
    schema_export_json(&config_schema, "weir", &made);
    if (getenv("UPDATE_EXPECTED") != NULL)
        file_write(path, text_span(&made));
    struct text committed = file_read(path);
    if (strcmp(made.at, committed.at) != 0)
        fail_msg(
            "conf/weir.schema.json is out of date: UPDATE_EXPECTED=1 tests/unit/config_files_test writes it anew");
    text_free(&committed);
    text_free(&made);
}

/* One line for each key of the manual: path, type, and what it says of default and range, with tabs between.
 */
static struct text manual_keys(size_t *count)
{
    char path[4096], section[1100] = "", name[128] = "", type[64] = "", line[1024];
    struct text keys = text_growing();
    (void)snprintf(path, sizeof(path), "%s/man/weir.yaml.5", source);
    FILE *page = fopen(path, "r");
    assert_non_null(page);
    bool inside = false;
    text_char(&keys, '\n');
    for (*count = 0; fgets(line, sizeof(line), page) != NULL;) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, ".Sh ", 4) == 0)
            inside = strcmp(line, ".Sh KEYS") == 0;
        if (inside && strncmp(line, ".Ss ", 4) == 0)
            (void)snprintf(section, sizeof(section), "%s%s",
                           strcmp(line, ".Ss The file") == 0 ? "" : line + 4,
                           strcmp(line, ".Ss The file") == 0 ? "" : ".");
        if (!inside || sscanf(line, ".It Ic %127s : Ar %*[\"]%63[^\"]", name, type) != 2) {
            if (!inside || sscanf(line, ".It Ic %127s : Ar %63[a-z]", name, type) != 2)
                continue;
        }
        assert_non_null(fgets(line, sizeof(line), page));
        for (char *at = line; (at = strstr(at, "\\:")) != NULL;) /* where a line may break */
            memmove(at, at + 2, strlen(at + 2) + 1);
        text_print(&keys, "%s%s\t%s\t%s", section, name, type, line);
        ++*count;
    }
    fclose(page);
    return keys;
}

static void the_manual_has_every_key_and_no_other(void **state)
{
    size_t in_manual, in_table = 0;
    struct text manual = manual_keys(&in_manual), list = text_growing();
    (void)state;
    schema_export_list(&config_schema, &list);
    for (char *row = list.at, *next; *row != '\0'; row = next, in_table++) {
        char path[128], type[64], fallback[128], range[128], expected[600];
        next = strchr(row, '\n') + 1;
        assert_int_equal(
            sscanf(row, "%127[^\t]\t%63[^\t]\t%127[^\t]\t%127[^\t]", path, type, fallback, range), 4);
        static const char *const absent[][2] = {{"required", "Required"},
                                                {"(off)", "Off unless it is given"},
                                                {"(on)", "On unless it is false"},
                                                {"(its keys)", "Its keys have defaults"},
                                                {"(told)", "Default as told below"},
                                                {"-", "Not set by default"}};
        const char *words = NULL;
        bool all = strcmp(range, "-") == 0;
        for (size_t i = 0; i < COUNT_OF(absent); i++)
            words = strcmp(fallback, absent[i][0]) == 0 ? absent[i][1] : words;
        (void)snprintf(expected, sizeof(expected), "\n%s\t%s\t%s%s%s%s.\n", path, type,
                       words != NULL ? words : "Default ", words != NULL ? "" : fallback, all ? "" : "; ",
                       all ? "" : range);
        if (strstr(manual.at, expected) == NULL)
            fail_msg("man/weir.yaml.5 lacks, or says otherwise:%s", expected);
    }
    assert_int_equal(in_manual, in_table);
    text_free(&manual);
    text_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_print_what_stands_beside_them),
        cmocka_unit_test(examples_are_good_and_survive_a_dump),
        cmocka_unit_test(the_json_schema_is_up_to_date),
        cmocka_unit_test(the_manual_has_every_key_and_no_other),
    };
    const char *folder = getenv("srcdir"); /* set by automake */
    source = realpath(folder != NULL ? folder : ".", NULL);
    assert_non_null(source);
    checks_install();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(source);
    return failed;
}
