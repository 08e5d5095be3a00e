/* The registry. Its order is the order in which a request passes the filters, whatever the order in the file;
 * weir.yaml(5) and `weir explain` print it. */
#include "filter/kinds.h"

const struct filter_kind *const filter_kinds[] = {
    &filter_access,
    &filter_rate_limit,
    &filter_in_flight,
    &filter_rewrite,
    &filter_request_headers,
    &filter_response_headers,
    NULL,
};
