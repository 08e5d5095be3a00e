/* weir check: reads and validates the file, and tells every problem. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "config/config.h"
#include "control/control.h"
#include "control/options.h"
#include "schema/schema_report.h"

enum { ROW_CONFIG, ROW_JSON, ROW_QUIET };

static void check_print_json(struct schema_report *report)
{
    struct text text = text_growing();
    struct json json;
    json_begin(&json, &text);
    json_object(&json);
    json_key(&json, "errors");
    json_number(&json, (int64_t)schema_report_errors(report));
    json_key(&json, "warnings");
    json_number(&json, (int64_t)schema_report_warnings(report));
    json_key(&json, "messages");
    schema_report_json(report, &json);
    json_end_object(&json);
    printf("%s\n", text.at);
    text_free(&text);
}

static int check_file(const char *path, bool as_json, bool quiet)
{
    struct schema_report *report = schema_report_new();
    struct config *config = config_load(path, report);
    bool good = config != NULL;
    if (as_json)
        check_print_json(report);
    else
        report_print(report, stderr);
    if (good && !as_json && !quiet)
        printf("%s is good: %zu listener%s, %zu route%s, %zu pool%s\n",
               strcmp(path, "-") == 0 ? "standard input" : path, config->listeners_count,
               config->listeners_count == 1 ? "" : "s", config->routes_count,
               config->routes_count == 1 ? "" : "s", config->pools_count,
               config->pools_count == 1 ? "" : "s");
    config_free(config);
    schema_report_free(report);
    return good ? EXIT_OK : EXIT_FAILED;
}

int cli_check(int argc, char **argv)
{
    static const struct option_row rows[] = {
        [ROW_CONFIG] = {"config", 'c', "FILE",
                        "the configuration (default /etc/weir/weir.yaml; -: standard input)"},
        [ROW_JSON] = {"json", 'j', NULL, "for programs"},
        [ROW_QUIET] = {"quiet", 'q', NULL, "problems only"},
        {NULL, 0, NULL, NULL},
    };
    struct options options = {
        .command = "check",
        .arguments = "[-c FILE] [--json] [--quiet]",
        .summary = "Reads and validates the file and tells every problem, not just the first.",
        .rows = rows,
        .notes = "exit codes: 0 the file is good, 1 it has errors, 2 wrong usage",
    };
    const char *value, *path = "/etc/weir/weir.yaml";
    bool as_json = false, quiet = false;
    int row;
    options_begin(&options, argc, argv);
    while ((row = options_next(&options, &value)) >= 0) {
        if (row == ROW_CONFIG)
            path = value;
        as_json = as_json || row == ROW_JSON;
        quiet = quiet || row == ROW_QUIET;
    }
    if (row == OPTIONS_END && (value = options_argument(&options)) != NULL)
        row = options_complain(&options, "unexpected argument \"%s\"; a file is given with -c", value);
    if (row != OPTIONS_END)
        return row == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;
    return check_file(path, as_json, quiet);
}
