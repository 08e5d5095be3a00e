/* A weight that is none counts as none given: 1. */
#include "http/accept.h"

#include "base/text.h"
#include "http/head.h"

/* "0", "1", with at most three digits behind a point. */
static unsigned weight_read(struct span text)
{
    unsigned weight = 0, step = 1000;
    if (text.length == 0 || text.length > 5 || (text.at[0] != '0' && text.at[0] != '1') ||
        (text.length > 1 && text.at[1] != '.'))
        return 1000;
    for (size_t i = 0; i < text.length; i++) {
        if (i == 1)
            continue;
        if (text.at[i] < '0' || text.at[i] > '9')
            return 1000;
        weight += (unsigned)(text.at[i] - '0') * step;
        step /= 10;
    }
    return weight < 1000 ? weight : 1000;
}

static unsigned weight_of(struct span parameters)
{
    while (parameters.at != NULL) {
        size_t end = span_find(parameters, ';');
        struct span parameter = span_trim(span_first(parameters, end));
        parameters = end == parameters.length ? SPAN_NONE : span_skip(parameters, end + 1);
        size_t equal = span_find(parameter, '=');
        if (equal != parameter.length &&
            span_equal_nocase(span_trim(span_first(parameter, equal)), SPAN("q")))
            return weight_read(span_trim(span_skip(parameter, equal + 1)));
    }
    return 1000;
}

static enum accept_range range_of(struct span range, struct span type, struct span subtype)
{
    size_t slash = span_find(range, '/');
    struct span first = span_first(range, slash),
                second = slash < range.length ? span_skip(range, slash + 1) : SPAN("");
    second = span_first(second, span_find(second, '+'));
    if (span_is(first, "*") && span_is(second, "*"))
        return ACCEPT_ANY;
    if (!span_equal_nocase(first, type))
        return ACCEPT_NOT_NAMED;
    return span_is(second, "*")                 ? ACCEPT_ANY_SUBTYPE
           : span_equal_nocase(second, subtype) ? ACCEPT_NAMED
                                                : ACCEPT_NOT_NAMED;
}

struct acceptance accept_of(const struct fields *fields, struct span type, struct span subtype)
{
    struct acceptance best = {.range = ACCEPT_NOT_NAMED};
    const struct field *field = fields_find(fields, FIELD_ACCEPT);
    for (; field != NULL; field = fields_next(fields, field)) {
        struct span list = field->value, element;
        while (span_next_element(&list, &element)) {
            size_t end = span_find(element, ';');
            enum accept_range range = range_of(span_trim(span_first(element, end)), type, subtype);
            unsigned weight = weight_of(end < element.length ? span_skip(element, end + 1) : SPAN_NONE);
            /* of two that say the same, the kinder */
            if (range > best.range ||
                (range == best.range && range != ACCEPT_NOT_NAMED && weight > best.weight))
                best = (struct acceptance){.range = range, .weight = weight};
        }
    }
    return best;
}
