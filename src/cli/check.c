/* weir check: reads and validates the file, and tells every problem. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "config/config.h"
#include "config/listener_config.h"
#include "config/pool_config.h"
#include "control/control.h"
#include "control/options.h"
#include "schema/schema_report.h"
#include "tls/tls.h"

enum { ROW_CONFIG, ROW_JSON, ROW_QUIET };

static void check_print_json(struct schema_report *report, uint64_t keys_size)
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
    json_number(&json, (int64_t)keys_size);
    json_key(&json, "messages");
    schema_report_json(report, &json);
    json_end_object(&json);
    printf("%s\n", text.at);
    text_free(&text);
}

/* What the file names is read as a start would read it. */
static void check_listeners(const struct config *config, struct tls_tickets *tickets,
                            struct schema_report *report)
{
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct listener_config *listener = &config->listeners[i];
        struct error error;
        if (listener->tls == NULL)
            continue;
        struct tls_store *store = tls_store_new(listener->tls, listener->protocol_bits, tickets, &error);
        if (store == NULL)
            schema_report_add(report, SCHEMA_ERROR, SCHEMA_NOWHERE, "listener \"%s\": %s", listener->name,
                              error.text);
        tls_store_release(store);
    }
}

static void check_pools(const struct config *config, struct schema_report *report)
{
    for (size_t i = 0; i < config->pools_count; i++) {
        const struct pool_config *pool = &config->pools[i];
        struct error error;
        if (pool->tls == NULL)
            continue;
        struct tls_client *client = tls_client_new(pool->tls, PROTOCOL_HTTP_1, &error);
        if (client == NULL)
            schema_report_add(report, SCHEMA_ERROR, SCHEMA_NOWHERE, "pool \"%s\": %s", pool->name,
                              error.text);
        tls_client_release(client);
    }
}

static void check_certificates(const struct config *config, struct schema_report *report)
{
    struct error error;
    if (!tls_begin(&error)) {
        schema_report_add(report, SCHEMA_ERROR, SCHEMA_NOWHERE, "%s", error.text);
        return;
    }
    struct tls_tickets *tickets = tls_tickets_new();
    check_listeners(config, tickets, report);
    check_pools(config, report);
    tls_tickets_free(tickets);
}

static int check_file(const char *path, bool as_json, bool quiet)
{
    struct schema_report *report = schema_report_new();
    struct config *config = config_load(path, report);
    if (config != NULL)
        check_certificates(config, report);
    bool good = config != NULL && schema_report_errors(report) == 0;
    if (as_json)
        check_print_json(report, config != NULL ? config_keys_size(config) : 0);
    else
        report_print(report, stderr);
    if (good && !as_json && !quiet)
        printf("%s is good: %zu listener%s, %zu route%s, %zu pool%s\n",
               strcmp(path, "-") == 0 ? "standard input" : path, config->listeners_count,
               config->listeners_count == 1 ? "" : "s", config->routes_count,
               config->routes_count == 1 ? "" : "s", config->pools_count,
               config->pools_count == 1 ? "" : "s");
    if (good && !as_json && !quiet && config_keys_size(config) != 0)
        printf("keys of rate_limits and in_flight: up to %llu KiB of memory, as they come\n",
               (unsigned long long)(config_keys_size(config) >> 10));
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
