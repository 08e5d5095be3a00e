/* Query parameters are compared as they were received and as servers decode them: a rule must not be passed
 * by with another spelling. */
#include "route/request_values.h"

#include "http/exchange.h"
#include "http/form.h"

void request_values_begin(struct request_values *values, enum value_kind kind, struct span name,
                          const struct exchange *exchange)
{
    const struct head *request = &exchange->request;
    values->kind = kind;
    values->name = name;
    values->exchange = exchange;
    values->field = NULL;
    values->rest = SPAN_NONE;
    values->decoded = SPAN_NONE;
    values->failed = false;
    if (kind == VALUE_QUERY)
        values->rest = exchange->target.query;
    else if (!head_keeps(request, field_id(name), &values->rest))
        values->field = fields_find_name(&request->fields, name);
}

static bool query_next(struct request_values *values, struct span *value)
{
    if (values->decoded.at != NULL) {
        *value = values->decoded;
        values->decoded = SPAN_NONE;
        return true;
    }
    while (values->rest.at != NULL) {
        size_t end = span_find(values->rest, '&');
        struct span pair = span_first(values->rest, end);
        values->rest = end == values->rest.length ? SPAN_NONE : span_skip(values->rest, end + 1);
        size_t equal = span_find(pair, '=');
        *value = equal == pair.length ? SPAN("") : span_skip(pair, equal + 1);
        struct span name = span_first(pair, equal);
        if (!span_equal(name, values->name) && !form_is_named(name, values->name))
            continue;
        if (form_is_encoded(*value)) {
            values->decoded = value->length <= sizeof values->few
                                  ? form_decode(*value, values->few)
                                  : form_decoded(*value, values->exchange->arena);
            values->failed = values->failed || values->decoded.at == NULL;
        }
        return true;
    }
    return false;
}

static bool element_next(struct request_values *values, struct span *value)
{
    if (!span_next_element(&values->rest, value))
        return false;
    if (value->length > sizeof values->lower)
        return true;
    for (size_t i = 0; i < value->length; i++)
        values->lower[i] = ascii_lower(value->at[i]);
    *value = span_make(values->lower, value->length);
    return true;
}

bool request_values_next(struct request_values *values, struct span *value)
{
    if (values->kind == VALUE_QUERY)
        return query_next(values, value);
    if (values->rest.at != NULL)
        return element_next(values, value);
    if (values->field == NULL)
        return false;
    *value = values->field->value;
    values->field = fields_next(&values->exchange->request.fields, values->field);
    return true;
}
