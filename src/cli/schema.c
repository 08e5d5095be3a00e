/* weir schema: the keys of the file, for editors and for the check of the manual. */
#include <stdbool.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/cli.h"
#include "config/config.h"
#include "control/control.h"
#include "control/options.h"
#include "schema/schema.h"

int cli_schema(int argc, char **argv)
{
    static const struct option_row rows[] = {
        {"list", 'l', NULL, "one line a key: path, type, default, range, text, with tabs between"},
        {NULL, 0, NULL, NULL},
    };
    struct options options = {
        .command = "schema",
        .arguments = "[--list]",
        .summary = "Prints the JSON Schema of the file, for editors that complete and check YAML.",
        .rows = rows,
    };
    const char *value;
    bool as_list = false;
    int row;
    options_begin(&options, argc, argv);
    while ((row = options_next(&options, &value)) >= 0)
        as_list = true;
    if (row == OPTIONS_END && (value = options_argument(&options)) != NULL)
        row = options_complain(&options, "unexpected argument \"%s\"", value);
    if (row != OPTIONS_END)
        return row == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;
    struct text text = text_growing();
    if (as_list)
        schema_export_list(&config_schema, &text);
    else
        schema_export_json(&config_schema, "weir", &text);
    (void)fputs(text.at, stdout);
    text_free(&text);
    return EXIT_OK;
}
