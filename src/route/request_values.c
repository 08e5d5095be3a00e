/* Query parameters are compared as they were received, like everything that weir does not decode before it
 * forwards it. */
#include "route/request_values.h"

#include "http/exchange.h"

void request_values_begin(struct request_values *values, enum value_kind kind, struct span name,
                          const struct exchange *exchange)
{
    *values = (struct request_values){.kind = kind, .name = name, .exchange = exchange};
    if (kind == VALUE_HEADER)
        values->field = fields_find_name(&exchange->request.fields, name);
    else
        values->rest = exchange->target.query;
}

static bool query_next(struct request_values *values, struct span *value)
{
    while (values->rest.at != NULL) {
        size_t end = span_find(values->rest, '&');
        struct span pair = span_first(values->rest, end);
        values->rest = end == values->rest.length ? SPAN_NONE : span_skip(values->rest, end + 1);
        size_t equal = span_find(pair, '=');
        *value = equal == pair.length ? SPAN("") : span_skip(pair, equal + 1);
        if (span_equal(span_first(pair, equal), values->name))
            return true;
    }
    return false;
}

bool request_values_next(struct request_values *values, struct span *value)
{
    if (values->kind == VALUE_QUERY)
        return query_next(values, value);
    if (values->field == NULL)
        return false;
    *value = values->field->value;
    values->field = fields_next(&values->exchange->request.fields, values->field);
    return true;
}
