/* weir check: reads and validates the file, and tells every problem. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/compare.h"
#include "cli/report.h"
#include "config/config.h"
#include "config/listener_config.h"
#include "config/pool_config.h"
#include "control/control.h"
#include "control/cores.h"
#include "control/machine_check.h"
#include "control/memory_limit.h"
#include "control/options.h"
#include "schema/schema_report.h"
#include "tls/tls.h"

enum { ROW_CONFIG, ROW_FILE_ONLY, ROW_HERE, ROW_AGAINST, ROW_STRICT, ROW_FORMAT, ROW_JSON, ROW_QUIET };
static const char *const format_names[] = {"text", "json", "github", "sarif"};
enum check_format { FORMAT_TEXT, FORMAT_JSON, FORMAT_GITHUB, FORMAT_SARIF };

struct check_wish {
    const char *path, *against; /* against NULL: beside nothing */
    enum check_format format;
    bool file_only, here, strict, quiet;
};

static void check_print_json(struct schema_report *report, const struct config *before,
                             const struct config *after)
{
    struct text text = text_growing();
    struct json json;
    json_begin(&json, &text);
    json_object(&json);
    json_key(&json, "errors");
    json_number(&json, (int64_t)schema_report_errors(report));
    json_key(&json, "warnings");
    json_number(&json, (int64_t)schema_report_warnings(report));
    json_key(&json, "limits_keys_bytes");
    json_number(&json, after != NULL ? (int64_t)config_keys_size(after) : 0);
    json_key(&json, "variables_not_judged");
    json_array(&json);
    for (size_t i = 0; after != NULL && i < after->unjudged.count; i++)
        json_string(&json, span_of(after->unjudged.items[i]));
    json_end_array(&json);
    if (after != NULL && !config_text_only) {
        json_key(&json, "limits_memory_bytes");
        json_number(&json, (int64_t)memory_limit_find(after).bytes);
    }
    json_key(&json, "messages");
    schema_report_json(report, &json);
    if (before != NULL && after != NULL) {
        json_key(&json, "changes");
        compare_json(before, after, &json);
    }
    json_end_object(&json);
    printf("%s\n", text.at);
    text_free(&text);
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void check_print_memory(const struct config *config)
{
    struct memory_found found = memory_limit_find(config);
    printf("limit of memory: %llu MiB (%s)\n", (unsigned long long)(found.bytes >> 20), found.from);
}

/* What --file-only leaves to the machine that will run the file. */
static void unjudged_print(const struct config *config, struct text *to)
{
    const struct texts *names = &config->unjudged;
    text_print(to, "not judged: files, names, users and ports of the machine");
    for (size_t i = 0; i < names->count; i++)
        text_print(to, "%s${env.%s}",
                   i == 0                 ? "; nor the values of "
                   : i + 1 < names->count ? ", "
                                          : " and ",
                   names->items[i]);
    if (names->count != 0)
        text_print(to, ", which %s not set here", names->count == 1 ? "is" : "are");
}

static void notice_add(void *owner, const char *sentence)
{
    struct report_notices *notices = owner;
    notices->sentences = xrealloc(notices->sentences, (notices->count + 1) * sizeof *notices->sentences);
    notices->sentences[notices->count++] = xstrdup(sentence);
}

static void check_print_notices(const struct check_wish *wish, struct schema_report *report,
                                const struct config *before, const struct config *config)
{
    struct report_notices notices = {.file = strcmp(wish->path, "-") == 0 ? "standard input" : wish->path};
    struct text unjudged = text_growing();
    if (config != NULL && wish->file_only) {
        unjudged_print(config, &unjudged);
        notice_add(&notices, unjudged.at);
    }
    if (before != NULL && config != NULL)
        compare_lines(before, config, notice_add, &notices);
    if (wish->format == FORMAT_GITHUB)
        report_print_github(report, &notices, stdout);
    else
        report_print_sarif(report, &notices, stdout);
    for (size_t i = 0; i < notices.count; i++)
        free(notices.sentences[i]);
    free(notices.sentences);
    text_free(&unjudged);
}

static void check_tell(const struct check_wish *wish, struct schema_report *report,
                       const struct config *before, const struct config *config, bool good)
{
    switch (wish->format) {
    case FORMAT_JSON:
        check_print_json(report, before, config);
        return;
    case FORMAT_GITHUB:
    case FORMAT_SARIF:
        check_print_notices(wish, report, before, config);
        return;
    case FORMAT_TEXT:
        break;
    }
    report_print(report, stderr);
    if (good && !wish->quiet)
        printf("%s is good: %zu listener%s, %zu route%s, %zu pool%s\n",
               strcmp(wish->path, "-") == 0 ? "standard input" : wish->path, config->listeners_count,
               plural(config->listeners_count), config->routes_count, plural(config->routes_count),
               config->pools_count, plural(config->pools_count));
    if (good && !wish->quiet && wish->file_only) {
        struct text unjudged = text_growing();
        unjudged_print(config, &unjudged);
        printf("%s\n", unjudged.at);
        text_free(&unjudged);
    }
    if (good && !wish->quiet && !wish->file_only)
        check_print_memory(config);
    if (good && !wish->quiet && config_keys_size(config) != 0)
        printf("keys of rate_limits and in_flight: up to %llu KiB of memory, as they come\n",
               (unsigned long long)(config_keys_size(config) >> 10));
    if (before != NULL && config != NULL)
        compare_print(before, config, stdout);
}

/* An error of the older file is told, in the format that is wished for, and is no error of the one that is
 * checked. */
static struct config *check_older(const struct check_wish *wish)
{
    struct schema_report *report = schema_report_new();
    bool text_only = config_text_only;
    config_text_only = true; /* what it names may be gone already */
    struct config *config = config_load_checked(&(struct config_source){.path = wish->against}, report,
                                                &(struct config_late){.keeps_written = true});
    config_text_only = text_only;
    if (config == NULL) {
        fprintf(stderr, "weir check: %s cannot be compared with:\n", wish->against);
        check_tell(&(struct check_wish){.path = wish->against, .format = wish->format}, report, NULL, NULL,
                   false);
    }
    schema_report_free(report);
    return config;
}

static int check_file(const struct check_wish *wish)
{
    struct config *before = wish->against != NULL ? check_older(wish) : NULL;
    if (wish->against != NULL && before == NULL)
        return EXIT_FAILED;
    struct schema_report *report = schema_report_new();
    config_text_only = wish->file_only;
    struct machine_check machine = {
        .files = tls_files_new(), .dates = true, .root = true, .here = wish->here};
    tls_files_begin(machine.files, cores_available(), true, NULL);
    const struct config_late late = {.check = wish->file_only ? NULL : machine_check,
                                     .owner = &machine,
                                     .keeps_written = wish->against != NULL};
    struct config *config = config_load_checked(&(struct config_source){.path = wish->path}, report, &late);
    tls_files_free(machine.files);
    if (wish->strict)
        schema_report_strict(report);
    bool good = config != NULL && schema_report_errors(report) == 0;
    check_tell(wish, report, before, config, good);
    config_free(config);
    config_free(before);
    schema_report_free(report);
    return good ? EXIT_OK : EXIT_FAILED;
}

static int check_format_of(const struct options *options, const char *value, enum check_format *format)
{
    const char *names[COUNT_OF(format_names) + 1] = {NULL};
    for (size_t i = 0; i < COUNT_OF(format_names); i++) {
        names[i] = format_names[i];
        if (strcmp(value, format_names[i]) == 0) {
            *format = (enum check_format)i;
            return ROW_FORMAT;
        }
    }
    const char *nearest = options_nearest(span_of(value), names);
    return options_complain(options, "--format %s: one of text, json, github and sarif is wanted%s%s%s",
                            value, nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                            nearest != NULL ? "\"?" : "");
}

/* The next option into `wish`; OPTIONS_END and so on as options_next(). */
static int check_option(struct options *options, struct check_wish *wish)
{
    const char *value;
    bool *flags[] = {[ROW_FILE_ONLY] = &wish->file_only,
                     [ROW_HERE] = &wish->here,
                     [ROW_STRICT] = &wish->strict,
                     [ROW_QUIET] = &wish->quiet};
    int row = options_next(options, &value);
    if (row == ROW_CONFIG)
        wish->path = value;
    else if (row == ROW_AGAINST)
        wish->against = value;
    else if (row == ROW_FORMAT)
        row = check_format_of(options, value, &wish->format);
    else if (row == ROW_JSON)
        wish->format = FORMAT_JSON;
    else if (row >= 0)
        *flags[row] = true;
    return row;
}

int cli_check(int argc, char **argv)
{
    static const struct option_row rows[] = {
        [ROW_CONFIG] = {"config", 'c', "FILE", CLI_CONFIG_TEXT},
        [ROW_FILE_ONLY] = {"file-only", 0, NULL, "judge the text alone: nothing that it names is opened"},
        [ROW_HERE] = {"here", 0, NULL, "also resolve names and try user, folders and ports as run will"},
        [ROW_AGAINST] = {"against", 'a', "OLD", "tell what would change beside that file, and what it costs"},
        [ROW_STRICT] = {"strict", 's', NULL, "warnings are errors"},
        [ROW_FORMAT] = {"format", 'f', "FORMAT", "text, json, github or sarif"},
        [ROW_JSON] = {"json", 'j', NULL, "the same as --format json"},
        [ROW_QUIET] = {"quiet", 'q', NULL, "problems only"},
        {NULL, 0, NULL, NULL},
    };
    struct options options = {
        .command = "check",
        .arguments =
            "[-c FILE] [--file-only | --here] [--against OLD] [--strict] [--format FORMAT] [--quiet]",
        .summary = "Reads and validates the file and tells every problem, not just the first.",
        .rows = rows,
        .notes = "exit codes: 0 the file is good, 1 it has errors, 2 wrong usage",
    };
    struct check_wish wish = {.path = CLI_DEFAULT_FILE};
    const char *value;
    int row;
    options_begin(&options, argc, argv);
    while ((row = check_option(&options, &wish)) >= 0)
        continue;
    if (row == OPTIONS_END && (value = options_argument(&options)) != NULL)
        row = options_complain(&options, "unexpected argument \"%s\"; a file is given with -c", value);
    if (row == OPTIONS_END && wish.file_only && wish.here)
        row = options_complain(&options, "--file-only opens nothing and --here everything; give one of them");
    if (row != OPTIONS_END)
        return row == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;
    return check_file(&wish);
}
