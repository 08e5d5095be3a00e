/* Snapshots from text, for the tests of src/proxy. */
#ifndef WEIR_TESTS_PROXY_FIXTURE_H
#define WEIR_TESTS_PROXY_FIXTURE_H

#include <string.h>

#include "base/text.h"
#include "config/config.h"
#include "proxy/shared_state.h"
#include "proxy/snapshot.h"
#include "schema/schema_report.h"
#include "unit.h"

static inline struct config *fixture_config(const char *yaml)
{
    struct schema_report *report = schema_report_new();
    struct config *config = config_load_text("test.yaml", yaml, strlen(yaml), report);
    if (config == NULL) {
        struct text text = text_growing();
        schema_report_print(report, &text, false);
        print_error("%s\n", text.at);
        text_free(&text);
    }
    schema_report_free(report);
    assert_non_null(config);
    return config;
}

static inline struct snapshot *fixture_snapshot(const char *yaml, struct shared_state *shared)
{
    struct error error = {.text = ""};
    struct snapshot *snapshot = snapshot_new(fixture_config(yaml), shared, NULL, &error);
    if (snapshot == NULL)
        print_error("%s\n", error.text);
    assert_non_null(snapshot);
    return snapshot;
}

#endif
