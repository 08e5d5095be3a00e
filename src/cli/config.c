/* weir config: the effective configuration, as YAML that reads back to the same. */
#include <stdio.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "config/config.h"
#include "control/control.h"
#include "control/options.h"
#include "schema/schema.h"

static int config_print(const char *path)
{
    struct schema_report *report = schema_report_new();
    struct config *config = config_load(path, report);
    report_print(report, stderr);
    if (config != NULL) {
        struct text text = text_growing();
        schema_dump(&config_schema, config, &text);
        (void)fputs(text.at, stdout);
        text_free(&text);
    }
    int code = config != NULL ? EXIT_OK : EXIT_FAILED;
    config_free(config);
    schema_report_free(report);
    return code;
}

int cli_config(int argc, char **argv)
{
    static const struct option_row rows[] = {
        {"config", 'c', "FILE", CLI_CONFIG_TEXT},
        {NULL, 0, NULL, NULL},
    };
    struct options options = {
        .command = "config",
        .arguments = "[-c FILE]",
        .summary =
            "Prints the effective configuration: other files merged, variables and defaults filled in.",
        .rows = rows,
        .notes = "exit codes: 0 the file is good, 1 it has errors, 2 wrong usage",
    };
    const char *value, *path = CLI_DEFAULT_FILE;
    int row;
    options_begin(&options, argc, argv);
    while ((row = options_next(&options, &value)) >= 0)
        path = value;
    if (row == OPTIONS_END && (value = options_argument(&options)) != NULL)
        row = options_complain(&options, "unexpected argument \"%s\"; a file is given with -c", value);
    if (row != OPTIONS_END)
        return row == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;
    return config_print(path);
}
