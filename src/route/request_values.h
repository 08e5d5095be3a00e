/* What a request gives under a name: values of a field, of a query parameter; none, one or several. Of a list
 * of protocols (Upgrade) each is one, in lower case. */
#ifndef WEIR_ROUTE_REQUEST_VALUES_H
#define WEIR_ROUTE_REQUEST_VALUES_H

#include <stdbool.h>

#include "base/span.h"

struct exchange;
struct field;

enum value_kind { VALUE_HEADER, VALUE_QUERY, VALUE_KINDS };
struct request_values {
    enum value_kind kind;
    struct span name;
    const struct exchange *exchange;
    const struct field *field; /* the next one */
    struct span rest;    /* of the query, or of what the head keeps under the name; at == NULL: nothing */
    struct span decoded; /* of a query parameter, to be given next; at == NULL: none */
    bool failed;         /* memory: there may have been more */
    /* short values are decoded here, so that many conditions on one take no memory each */
    char few[256];
    char lower[64]; /* of an element of the latter, which protocols and codings are compared in */
};
/* name: of a field without case; of a query parameter as received, or as it is when it is decoded. */
void request_values_begin(struct request_values *values, enum value_kind kind, struct span name,
                          const struct exchange *exchange);
/* In the order of the request, of a query parameter as received and, where that differs, decoded; false at
 * the end. The value lasts until the next one. */
bool request_values_next(struct request_values *values, struct span *value);

#endif
