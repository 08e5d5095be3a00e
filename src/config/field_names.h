/*
 * What a name of a header in the file may be, by what it is for. Some never reach what would look at them:
 * they belong to one connection, stand elsewhere in a request, or are weir's to write. A rule on one would
 * silently never hold, so it is refused with what to write instead.
 */
#ifndef WEIR_CONFIG_FIELD_NAMES_H
#define WEIR_CONFIG_FIELD_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/span.h"

enum field_use {
    FIELD_USE_MATCH,    /* a condition of a route */
    FIELD_USE_KEY,      /* of a limit, a hash, a split */
    FIELD_USE_TEMPLATE, /* ${request.header.NAME} */
    FIELD_USE_EDIT,     /* set, added, removed, or of an answer */
    FIELD_USES
};
bool field_name_check(struct span name, enum field_use use, struct error *error);
/* Letters, digits and '-' only: what limits.underscore_names need not let pass. */
bool field_name_is_plain(struct span name);

struct config;
struct schema_document;
struct schema_report;
/* What depends on other keys: names that limits.underscore_names drops from requests, and those that only
 * trusted proxies may bring. */
void field_names_check(const struct config *config, const struct schema_document *document,
                       struct schema_report *report);

#endif
