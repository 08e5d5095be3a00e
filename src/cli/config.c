/* weir config: the effective configuration, as YAML that reads back to the same. */
#include <stdio.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "config/config.h"
#include "control/control.h"
#include "control/options.h"
#include "schema/schema.h"
#include "schema/schema_report.h"

struct printing {
    struct text text;
    size_t masked;
};

static void config_dump(void *owner, const struct config *config, const struct schema_document *document,
                        struct schema_report *report)
{
    struct printing *printing = owner;
    (void)report;
    printing->masked = schema_dump_written(document, &config_schema, config, &printing->text);
}

static int config_print(const char *path)
{
    struct schema_report *report = schema_report_new();
    struct printing printing = {.text = text_growing()};
    const struct config_late late = {.check = config_dump, .owner = &printing};
    struct config *config = config_load_checked(&(struct config_source){.path = path}, report, &late);
    report_print(report, stderr);
    if (config != NULL && printing.masked != 0)
        printf(
            "# Does not load as it stands: %zu secret%s in the file itself, and %s not shown here. Write\n"
            "# secrets as \"${env.NAME}\", or give secret_file; what comes from the environment is printed so.\n",
            printing.masked, printing.masked == 1 ? " stands" : "s stand",
            printing.masked == 1 ? "is" : "are");
    if (config != NULL)
        (void)fputs(printing.text.at, stdout);
    int code = config != NULL ? EXIT_OK : EXIT_FAILED;
    text_free(&printing.text);
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
            "Prints the effective configuration: other files merged, defaults filled in, variables as they stand.",
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
