/* The kinds of filter, one file each; filter_kinds.c puts them in order. */
#ifndef WEIR_FILTER_KINDS_H
#define WEIR_FILTER_KINDS_H

#include "filter/filter.h"

extern const struct filter_kind filter_access, filter_rate_limit, filter_in_flight, filter_rewrite,
    filter_request_headers, filter_response_headers;

#endif
