/* weir version: what was built, and from what. */
#include <stdbool.h>
#include <stdio.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "control/control.h"
#include "control/options.h"
#include "http/h2_version.h"
#include "http/regex.h"
#include "net/net_version.h"
#include "schema/schema_version.h"
#include "tls/tls.h"

struct version_part {
    const char *name, *version; /* NULL: configure left it out */
};

static void version_print_text(const struct version_part *parts)
{
    printf("weir %s\ncompiler: %s\noptions: %s\nfile: %s\n", PACKAGE_VERSION, __VERSION__, BUILD_OPTIONS,
           CLI_DEFAULT_FILE);
    for (; parts->name != NULL; parts++)
        printf("%s: %s\n", parts->name, parts->version != NULL ? parts->version : "left out");
}

static void version_print_json(const struct version_part *parts)
{
    struct text text = text_growing();
    struct json json;
    json_begin(&json, &text);
    json_object(&json);
    json_key(&json, "version");
    json_string(&json, SPAN(PACKAGE_VERSION));
    json_key(&json, "compiler");
    json_string(&json, SPAN(__VERSION__));
    json_key(&json, "options");
    json_string(&json, SPAN(BUILD_OPTIONS));
    json_key(&json, "file");
    json_string(&json, SPAN(CLI_DEFAULT_FILE));
    json_key(&json, "libraries");
    json_object(&json);
    for (; parts->name != NULL; parts++) {
        json_key(&json, parts->name);
        if (parts->version != NULL)
            json_string(&json, span_of(parts->version));
        else
            json_null(&json);
    }
    json_end_object(&json);
    json_end_object(&json);
    printf("%s\n", text.at);
    text_free(&text);
}

int cli_version(int argc, char **argv)
{
    static const struct option_row rows[] = {
        {"json", 'j', NULL, "for programs"},
        {NULL, 0, NULL, NULL},
    };
    struct options options = {
        .command = "version",
        .arguments = "[--json]",
        .summary = "Prints the version, how it was built, and the libraries in use.",
        .rows = rows,
    };
    const struct version_part parts[] = {
        {"libevent", net_library_version()},   {"openssl", tls_library_version()},
        {"libyaml", schema_library_version()}, {"pcre2", regex_library_version()},
        {"nghttp2", h2_library_version()},     {NULL, NULL},
    };
    const char *value;
    bool as_json = false;
    int row;
    options_begin(&options, argc, argv);
    while ((row = options_next(&options, &value)) >= 0)
        as_json = true;
    if (row == OPTIONS_END && (value = options_argument(&options)) != NULL)
        row = options_complain(&options, "unexpected argument \"%s\"", value);
    if (row != OPTIONS_END)
        return row == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;
    if (as_json)
        version_print_json(parts);
    else
        version_print_text(parts);
    return EXIT_OK;
}
