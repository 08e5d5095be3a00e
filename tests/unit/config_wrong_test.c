/*
 * Wrong files made from the key table itself. Each key is given each kind of wrong value, in a file that is
 * right but for it: none that cannot work is taken, and each is told at its line with what to write instead.
 * Likewise each word of other products, in the section or for the key that it is listed for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/checks.h"
#include "config/config.h"
#include "config/config_schema.h"
#include "schema/schema.h"
#include "schema/schema_value.h"
#include "unit/unit.h"

enum { DEPTH_MOST = 12, PATHS_MOST = 2000 };

/* The keys from the root down to one row. */
struct path {
    size_t depth;
    const struct schema_key *keys[DEPTH_MOST];
    const struct schema *section; /* that the last is a row of */
};

static struct path paths[PATHS_MOST];
static size_t paths_count;
static char pem[] = "/tmp/weir-wrong-XXXXXX"; /* certificate and key, as far as its lines tell */

static void paths_collect(const struct schema *schema, const struct path *above)
{
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++) {
        assert_true(paths_count < PATHS_MOST && above->depth < DEPTH_MOST);
        struct path *path = &paths[paths_count++];
        *path = *above;
        path->section = schema;
        path->keys[path->depth++] = key;
        if (key->section != NULL && (key->flags & SCHEMA_SEEN) == 0)
            paths_collect(key->section, path);
    }
}

/* ---- files that are right but for one key ---- */

static const char *sample_of(const char *key)
{
    static const char *const samples[][2] = {{"address", "127.0.0.1:80"},
                                             {"rate", "1/s"},
                                             {"limit", "1"},
                                             {"name", "p"},
                                             {"pool", "p"},
                                             {"cert", pem},
                                             {"key", pem},
                                             {"servers", "10.0.0.1:80"},
                                             {"listeners", "127.0.0.1:8080"}};
    for (size_t i = 0; i < COUNT_OF(samples); i++)
        if (strcmp(samples[i][0], key) == 0)
            return samples[i][1];
    return NULL;
}

static void line_indent(struct text *to, size_t indent)
{
    text_print(to, "%*s", (int)indent, "");
}

static bool is_action(const char *key)
{
    return strcmp(key, "pool") == 0 || strcmp(key, "redirect") == 0 || strcmp(key, "respond") == 0;
}

/* What the section needs beside the key that is tried. */
static void others_write(const struct schema *schema, const char *tried, struct text *to, size_t indent)
{
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++) {
        if ((key->flags & SCHEMA_REQUIRED) == 0 || strcmp(key->name, tried) == 0)
            continue;
        line_indent(to, indent);
        if (strcmp(key->name, "certificates") == 0)
            text_print(to, "certificates: { cert: %s, key: %s }\n", pem, pem);
        else if (sample_of(key->name) != NULL)
            text_print(to, "%s: \"%s\"\n", key->name, sample_of(key->name));
        else
            fail_msg("tell sample_of() a value for the required key %s", key->name);
    }
    bool cert = strcmp(tried, "cert") == 0, key_alone = strcmp(tried, "key") == 0;
    if (schema == &upstream_tls_schema && (cert || key_alone)) { /* go together */
        line_indent(to, indent);
        text_print(to, "%s: %s\n", cert ? "key" : "cert", pem);
    }
    if (schema == &route_schema && !is_action(tried)) {
        line_indent(to, indent);
        text_print(to, "pool: p\n");
    }
}

static void path_write(const struct path *path, size_t level, const char *tried, const char *value,
                       struct text *to, size_t indent)
{
    const struct schema_key *key = path->keys[level];
    bool is_last = level + 1 == path->depth;
    line_indent(to, indent);
    text_print(to, "%s:", is_last ? tried : key->name);
    if (is_last) {
        text_print(to, " %s\n", value);
        return;
    }
    text_char(to, '\n');
    if (key->type == SCHEMA_SECTIONS || key->type == SCHEMA_MAP) {
        line_indent(to, indent + 2);
        text_print(to, "%s\n",
                   key->type == SCHEMA_SECTIONS            ? "-"
                   : strcmp(key->name, "rate_limits") == 0 ? "r:"
                                                           : "p:");
        indent += 2;
    }
    others_write(key->section, level + 2 == path->depth ? tried : path->keys[level + 1]->name, to,
                 indent + 2);
    path_write(path, level + 1, tried, value, to, indent + 2);
}

/* The line of the tried key goes to `line`. */
static struct text file_of(const struct path *path, const char *tried, const char *value, unsigned *line)
{
    static const char *const base[][2] = {{"listeners", "127.0.0.1:8080"},
                                          {"routes", "[ { pool: p, rate_limit: r } ]"},
                                          {"pools", "{ p: { servers: 10.0.0.1:80 } }"},
                                          {"rate_limits", "{ r: { rate: 1/s } }"}};
    struct text text = text_growing();
    for (size_t i = 0; i < COUNT_OF(base); i++)
        if (strcmp(base[i][0], path->depth > 1 ? path->keys[0]->name : tried) != 0)
            text_print(&text, "%s: %s\n", base[i][0], base[i][1]);
    path_write(path, 0, tried, value, &text, 0);
    /* the tried value may have lines of its own: it is the last */
    *line = 1;
    const char *at = text.at;
    char key[160];
    (void)snprintf(key, sizeof(key), "%s: %.60s", tried, value);
    const char *found = at;
    for (const char *next = at; (next = strstr(next, key)) != NULL; next++)
        found = next;
    for (; at < found; at++)
        *line += *at == '\n';
    return text;
}

/* ---- what is told ---- */

static struct text printed_of(const struct text *file)
{
    struct schema_report *report = schema_report_new();
    struct text printed = text_growing();
    config_free(config_load_text("wrong.yaml", file->at, file->length, report));
    schema_report_print(report, &printed, false);
    text_char(&printed, '\n');
    schema_report_free(report);
    return printed;
}

/* What a sentence has that says what to do. */
static bool has_remedy(const char *sentence)
{
    static const char *const remedies[] = {"write ", " takes ",   "did you mean", "such as",    "name a",
                                           "set it", "remove ",   "leave ",       "give ",      "begin each",
                                           "see ",   "is wanted", " are ",        "must begin", "is written"};
    for (size_t i = 0; i < COUNT_OF(remedies); i++)
        if (strstr(sentence, remedies[i]) != NULL)
            return true;
    return false;
}

/* An error at the line that has `with` in it, or else some remedy; its sentence, or that of another error
 * there, goes to `sentence`. */
static bool is_told(const struct text *printed, unsigned line, const char *with, char *sentence, size_t room)
{
    char place[40];
    (void)snprintf(place, sizeof(place), "wrong.yaml:%u:", line);
    sentence[0] = '\0';
    for (const char *at = strstr(printed->at, place); at != NULL; at = strstr(at + 1, place)) {
        const char *error = strstr(at, " error: ");
        if (error == NULL || error > strchr(at, '\n') || (at != printed->at && at[-1] != '\n'))
            continue;
        (void)snprintf(sentence, room, "%.*s", (int)strcspn(error + 8, "\n"), error + 8);
        if (with != NULL ? strstr(sentence, with) != NULL : has_remedy(sentence))
            return true;
    }
    return false;
}

static void path_name(const struct path *path, struct text *to)
{
    for (size_t i = 0; i < path->depth; i++)
        text_print(to, "%s%s", i == 0 ? "" : ".", path->keys[i]->name);
}

static unsigned mistakes; /* all are told before the test fails */

static void must_be_told(const struct path *path, const char *tried, const char *value, const char *with)
{
    unsigned line;
    char sentence[700], name[200];
    struct text where = text_over(name, sizeof(name));
    struct text file = file_of(path, tried, value, &line), printed = printed_of(&file);
    bool told = is_told(&printed, line, with, sentence, sizeof(sentence));
    path_name(path, &where);
    if (!told && sentence[0] == '\0')
        print_error("%s: \"%s: %s\" is taken (line %u)\n%s%s", name, tried, value, line, file.at, printed.at);
    else if (!told)
        print_error("%s: \"%s: %s\" is told without %s: %s\n", name, tried, value,
                    with != NULL ? with : "a remedy", sentence);
    mistakes += !told;
    text_free(&file);
    text_free(&printed);
}

/* ---- kinds of wrong values ---- */

static enum schema_type item_of(const struct schema_key *key)
{
    return key->type == SCHEMA_TEXTS || key->type == SCHEMA_PAIRS ? key->item : key->type;
}

/* A list, a section, or nothing where something else is meant. */
static void kinds_try(const struct path *path)
{
    const struct schema_key *key = path->keys[path->depth - 1];
    bool takes_list =
        key->type == SCHEMA_TEXTS || key->type == SCHEMA_SECTIONS || key->type == SCHEMA_INCLUDE;
    bool takes_map = key->type == SCHEMA_PAIRS || key->type == SCHEMA_MAP || key->section != NULL;
    for (const struct schema_key *row = key->section != NULL ? key->section->keys : NULL;
         row != NULL && key->section->shorthand != NULL && row->name != NULL; row++)
        takes_list =
            takes_list || (strcmp(row->name, key->section->shorthand) == 0 && row->type == SCHEMA_TEXTS);
    if (key->type == SCHEMA_INCLUDE)
        return;
    if (!takes_list)
        must_be_told(path, key->name, "[ a, b ]", NULL);
    if (!takes_map)
        must_be_told(path, key->name, "{ nonsense: b }", NULL);
    if (key->type == SCHEMA_TEXTS)
        must_be_told(path, key->name, "[ [ a ] ]", NULL);
    if (key->type == SCHEMA_PAIRS)
        must_be_told(path, key->name, "{ a: [ b ] }", NULL);
    if (key->section != NULL && key->type != SCHEMA_MAP)
        must_be_told(path, key->name,
                     key->type == SCHEMA_SECTIONS ? "[ { nonsense: b } ]" : "{ nonsense: b }", NULL);
    must_be_told(path, key->name, "", NULL);
    must_be_told(path, key->name, "~", NULL);
    must_be_told(path, key->name, "!tag x", "tags");
    must_be_told(path, key->name, "*nowhere", "anchor");
}

static void numbers_try(const struct path *path)
{
    const struct schema_key *key = path->keys[path->depth - 1];
    bool has_unit = key->type != SCHEMA_INT;
    static const char *const never[] = {"some",
                                        "-1",
                                        "1e3",
                                        "0x10",
                                        "1_000",
                                        "1.5",
                                        "\"\"",
                                        "\" 1\"",
                                        "1 s",
                                        "true",
                                        "off",
                                        "on",
                                        "unlimited",
                                        "99999999999999999999",
                                        "$N",
                                        "\"${N}\"",
                                        "\"${client.ip}\""};
    static const char *const scaled[] = {"5",
                                         "1sec",
                                         "1 day",
                                         "10mb",
                                         "10k",
                                         "5 %",
                                         "99999999999999999999s",
                                         "99999999999999999999GiB",
                                         "999999999999%",
                                         "1/d",
                                         "100 per s"};
    for (size_t i = 0; i < COUNT_OF(never); i++)
        must_be_told(path, key->name, never[i], NULL);
    for (size_t i = 0; has_unit && i < COUNT_OF(scaled); i++)
        must_be_told(path, key->name, scaled[i], NULL);
    if (key->type == SCHEMA_RATE || key->least > 0) {
        must_be_told(path, key->name, "0", NULL);
        must_be_told(path, key->name,
                     key->type == SCHEMA_SIZE       ? "0B"
                     : key->type == SCHEMA_DURATION ? "0s"
                                                    : "0",
                     NULL);
    }
    must_be_told(path, key->name, "1\xC2\xA0s", "no-break space");
}

/* What is longer than any line, and what no line has. */
static void lines_try(const struct path *path)
{
    static char huge[20003];
    const struct schema_key *key = path->keys[path->depth - 1];
    bool pairs = key->type == SCHEMA_PAIRS;
    if ((key->flags & SCHEMA_LINES) != 0)
        return;
    memset(huge, 'a', sizeof(huge) - 1);
    huge[0] = '/';
    struct text long_one = text_growing();
    text_print(&long_one, pairs ? "{ X-Some: %s }" : "%s", huge);
    must_be_told(path, key->name, long_one.at, NULL);
    must_be_told(path, key->name, pairs ? "{ X-Some: \"/a\\u0001b\" }" : "\"/a\\u0001b\"", NULL);
    text_free(&long_one);
}

static void scalars_try(const struct path *path)
{
    const struct schema_key *key = path->keys[path->depth - 1];
    static const char *const words[] = {"some_thing_else", "$N", "\"\"", "0", "99999999999999999999"};
    switch ((int)item_of(key)) {
    case SCHEMA_INT:
    case SCHEMA_SIZE:
    case SCHEMA_DURATION:
    case SCHEMA_PERCENT:
    case SCHEMA_RATE:
        numbers_try(path);
        return;
    case SCHEMA_BOOL:
        must_be_told(path, key->name, "yes", NULL);
        must_be_told(path, key->name, "True", NULL); /* fall through */
    case SCHEMA_CHOICE:
        for (size_t i = 0; i < COUNT_OF(words); i++)
            must_be_told(path, key->name, words[i], NULL);
        return;
    case SCHEMA_REFERENCE:
        must_be_told(path, key->name, "nobody", NULL);
        must_be_told(path, key->name, "\"http://10.0.0.1:80\"", NULL);
        must_be_told(path, key->name, "\"\"", NULL);
        return;
    case SCHEMA_PATH:
        lines_try(path);
        must_be_told(path, key->name, "$N/x", "${env.N}/x");
        must_be_told(path, key->name, "\"${N}/x\"", "${env.N}");
        must_be_told(path, key->name, "/tmp", NULL);
        if (key->choices == NULL) /* a log is made */
            must_be_told(path, key->name, "/nowhere", NULL);
        must_be_told(path, key->name, "\"\"", NULL);
        return;
    case SCHEMA_TEMPLATE:
        lines_try(path);
        if (key->type == SCHEMA_PAIRS) {
            must_be_told(path, key->name, "{ X-Some: \"a $host\" }", "${request.host}");
            must_be_told(path, key->name, "{ X-Some: \"${request.hots}\" }", "${request.host}");
            must_be_told(path, key->name, "{ X-Some: \"${N}\" }", "${env.N}");
            must_be_told(path, key->name, "{ Content-Length: \"1\" }", NULL);
            return;
        }
        must_be_told(path, key->name, "\"/$host\"", "${request.host}");
        must_be_told(path, key->name, "\"/${request.hots}\"", "${request.host}");
        must_be_told(path, key->name, "\"${N}\"", "${env.N}");
        must_be_told(path, key->name, "\"/${request.host\"", NULL);
        return;
    case SCHEMA_STRING:
        lines_try(path);
        if (key->type != SCHEMA_PAIRS)
            must_be_told(path, key->name, "\"${client.ip}\"", NULL);
        if (key->choices != NULL)
            must_be_told(path, key->name, "some_thing_else", NULL);
        return;
    default:
        return;
    }
}

static void no_key_takes_a_value_that_cannot_work(void **state)
{
    (void)state;
    mistakes = 0;
    for (size_t i = 0; i < paths_count; i++) {
        const struct schema_key *key = paths[i].keys[paths[i].depth - 1];
        if (strcmp(paths[i].keys[0]->name, "defaults") == 0 && paths[i].depth == 2)
            continue;
        kinds_try(&paths[i]);
        if (key->section == NULL)
            scalars_try(&paths[i]);
    }
    assert_int_equal(mistakes, 0);
    assert_true(paths_count > 200);
}

/* ---- the text alone ---- */

static void must_be_taken(const struct path *path, const char *value)
{
    unsigned line;
    const struct schema_key *key = path->keys[path->depth - 1];
    struct text file = file_of(path, key->name, value, &line), printed = printed_of(&file);
    if (strstr(printed.at, "error: ") != NULL) {
        print_error("\"%s: %s\" is refused:\n%s%s", key->name, value, file.at, printed.at);
        mistakes++;
    }
    text_free(&file);
    text_free(&printed);
}

/* Wherever a variable may stand: what it stands for, and what hangs on that, is nobody's mistake. */
static void no_variable_has_to_be_set_for_the_text(void **state)
{
    (void)state;
    mistakes = 0;
    config_text_only = true;
    for (size_t i = 0; i < paths_count; i++) {
        const struct schema_key *key = paths[i].keys[paths[i].depth - 1];
        bool has_bare = key->section != NULL && key->section->shorthand != NULL && key->type != SCHEMA_MAP;
        bool of_defaults = strcmp(paths[i].keys[0]->name, "defaults") == 0; /* none is bare */
        if (key->type == SCHEMA_INCLUDE || (key->section != NULL && !has_bare) || of_defaults)
            continue;
        if (key->type == SCHEMA_PAIRS)
            must_be_taken(&paths[i], strcmp(key->name, "query") == 0 || item_of(key) == SCHEMA_TEMPLATE ||
                                             key->check_name != NULL
                                         ? "{ X-Some: \"${env.WRONG_NOT_SET}\" }"
                                         : "{ a: \"${env.WRONG_NOT_SET}\" }");
        else
            must_be_taken(&paths[i], "\"${env.WRONG_NOT_SET}\"");
        if (key->type == SCHEMA_TEXTS || key->type == SCHEMA_SECTIONS)
            must_be_taken(&paths[i], "[ \"${env.WRONG_NOT_SET}\" ]");
    }
    config_text_only = false;
    assert_int_equal(mistakes, 0);
}

/* ---- words of other products ---- */

/* form: what stands for "{}" */
static bool value_word_is_told(const struct schema_alias *alias, struct span theirs, const char *form)
{
    char key[64], value[80];
    (void)snprintf(key, sizeof(key), "%.*s", (int)strlen(alias->section) - 1, alias->section);
    /* "{}" is told of sections, or of what cannot be a name */
    (void)snprintf(value, sizeof(value), "%.*s", (int)theirs.length, theirs.at);
    if (span_is(theirs, "{number}") || span_is(theirs, "{}"))
        (void)snprintf(value, sizeof(value), "%s", span_is(theirs, "{}") ? form : "10");
    for (size_t i = 0; i < paths_count;
         i++) /* keys of one name may stand in several sections: one has to know it */
        if (strcmp(paths[i].keys[paths[i].depth - 1]->name, key) == 0) {
            unsigned line;
            char sentence[700];
            struct text file = file_of(&paths[i], key, value, &line), printed = printed_of(&file);
            bool good = is_told(&printed, line, alias->hint != NULL ? alias->hint : alias->ours, sentence,
                                sizeof(sentence));
            text_free(&file);
            text_free(&printed);
            if (good)
                return true;
        }
    return false;
}

static void value_word_try(const struct schema_alias *alias, struct span theirs)
{
    if (value_word_is_told(alias, theirs, "a/b") || value_word_is_told(alias, theirs, "{ a: b }"))
        return;
    print_error("%s: %.*s is not answered with %s\n", alias->section, (int)theirs.length, theirs.at,
                alias->hint != NULL ? alias->hint : alias->ours);
    mistakes++;
}

static void key_word_try(const struct schema_alias *alias, struct span theirs)
{
    const char *with = alias->absent != NULL ? alias->absent
                       : alias->hint != NULL ? alias->hint
                                             : alias->ours;
    bool good = false;
    char word[80]; /* in quotes, of which some have need */
    size_t star = span_find(theirs, '*');
    (void)snprintf(word, sizeof(word), "\"%.*s%s\"", (int)star, theirs.at, star < theirs.length ? "x" : "");
    for (size_t i = 0; i < paths_count && !good; i++) { /* sections of one noun: one has to know it */
        if (strcmp(paths[i].section->noun, alias->section) != 0)
            continue;
        unsigned line;
        char sentence[700];
        struct text file = file_of(&paths[i], word, "x", &line), printed = printed_of(&file);
        good = is_told(&printed, line, with, sentence, sizeof(sentence)) &&
               strncmp(sentence, "unknown key", 11) == 0;
        text_free(&file);
        text_free(&printed);
    }
    if (!good)
        print_error("%s: the key %.*s is not answered with %s\n", alias->section, (int)theirs.length,
                    theirs.at, with);
    mistakes += !good;
}

static void each_foreign_word_is_answered(void **state)
{
    static const char *const products[] = {"nginx", "HAProxy",    "Envoy",  "Traefik",
                                           "Caddy", "Kubernetes", "Apache", "others"};
    char name[4096];
    (void)state;
    (void)snprintf(name, sizeof(name), "%s/man/weir.yaml.5",
                   getenv("srcdir") != NULL ? getenv("srcdir") : ".");
    FILE *page = fopen(name, "r");
    assert_non_null(page);
    static char manual[400000];
    manual[fread(manual, 1, sizeof(manual) - 1, page)] = '\0';
    fclose(page);
    const char *not_in_weir = strstr(manual, "\n.Sh NOT IN WEIR");
    assert_non_null(not_in_weir);
    mistakes = 0;
    for (const struct schema_alias *alias = config_words; alias->theirs != NULL; alias++) {
        bool is_product = false;
        for (size_t i = 0; i < COUNT_OF(products); i++)
            is_product = is_product || strcmp(alias->whose, products[i]) == 0;
        assert_true(is_product && (alias->ours != NULL || alias->hint != NULL || alias->absent != NULL) &&
                    (alias->ours == NULL || alias->absent == NULL));
        (void)snprintf(name, sizeof(name), "\n.It %s\n", alias->absent != NULL ? alias->absent : "");
        if (alias->absent != NULL && strstr(not_in_weir, name) == NULL) {
            print_error("NOT IN WEIR lacks the entry %s\n", alias->absent);
            mistakes++;
        }
        struct span words = span_of(alias->theirs), theirs;
        while (span_next_element(&words, &theirs))
            if (alias->section[strlen(alias->section) - 1] == ':')
                value_word_try(alias, theirs);
            else
                key_word_try(alias, theirs);
    }
    assert_int_equal(mistakes, 0);
}

static int prepare(void **state)
{
    static const char lines[] = "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n";
    (void)state;
    checks_install();
    int file = mkstemp(pem);
    bool good = file >= 0 && write(file, lines, sizeof(lines) - 1) == (ssize_t)sizeof(lines) - 1;
    if (file >= 0)
        close(file);
    paths_collect(&config_schema, &(struct path){.depth = 0});
    return good ? 0 : -1;
}

static int tidy(void **state)
{
    (void)state;
    return unlink(pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_key_takes_a_value_that_cannot_work),
        cmocka_unit_test(no_variable_has_to_be_set_for_the_text),
        cmocka_unit_test(each_foreign_word_is_answered),
    };
    return cmocka_run_group_tests(tests, prepare, tidy);
}
