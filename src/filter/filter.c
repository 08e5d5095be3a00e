/* Runs a route's filters: forward for the request, backward for the response. */
#include "filter/filter.h"

#include <stdlib.h>

#include "base/error.h"

bool filters_new(struct filters *filters, const struct route_config *route, const struct config *config,
                 struct limiter_set *limiters, struct error *error)
{
    struct filter found[16];
    *filters = (struct filters){.count = 0};
    for (size_t i = 0; filter_kinds[i] != NULL; i++) {
        struct filter filter = {.kind = filter_kinds[i]};
        bool fine = filter.kind->prepare(&filter, route, config, limiters, error);
        if (filter.prepared != NULL)
            found[filters->count++] = filter;
        if (!fine) {
            error_wrap(error, "%s", filter.kind->name);
            filters->items = found;
            for (size_t k = 0; k < filters->count; k++)
                found[k].kind->dispose(&found[k]);
            *filters = (struct filters){.count = 0};
            return false;
        }
    }
    if (filters->count == 0)
        return true; /* most routes of large files: no memory at all */
    filters->items = xmalloc(filters->count * sizeof *filters->items);
    for (size_t i = 0; i < filters->count; i++)
        filters->items[i] = found[i];
    return true;
}

void filters_dispose(struct filters *filters)
{
    for (size_t i = 0; i < filters->count; i++)
        filters->items[i].kind->dispose(&filters->items[i]);
    free(filters->items);
    *filters = (struct filters){.count = 0};
}

enum verdict filters_request(const struct filters *filters, struct exchange *exchange, unsigned *index)
{
    for (; *index < filters->count; ++*index) {
        const struct filter *filter = &filters->items[*index];
        enum verdict verdict =
            filter->kind->request != NULL ? filter->kind->request(filter, exchange) : VERDICT_NEXT;
        if (verdict != VERDICT_NEXT)
            return verdict;
    }
    return VERDICT_NEXT;
}

bool filters_response(const struct filters *filters, struct exchange *exchange)
{
    bool fits = true;
    for (size_t i = filters->count; i-- > 0;)
        if (filters->items[i].kind->response != NULL)
            fits = filters->items[i].kind->response(&filters->items[i], exchange) && fits;
    return fits;
}

void filters_request_trailers(const struct filters *filters, struct fields *trailers)
{
    for (size_t i = 0; i < filters->count; i++)
        if (filters->items[i].kind->request_trailers != NULL)
            filters->items[i].kind->request_trailers(&filters->items[i], trailers);
}

void filters_response_trailers(const struct filters *filters, struct fields *trailers)
{
    for (size_t i = filters->count; i-- > 0;)
        if (filters->items[i].kind->response_trailers != NULL)
            filters->items[i].kind->response_trailers(&filters->items[i], trailers);
}

void filters_done(const struct filters *filters, struct exchange *exchange, unsigned index)
{
    for (size_t i = 0; i < filters->count && i < (size_t)index + 1; i++)
        if (filters->items[i].kind->done != NULL)
            filters->items[i].kind->done(&filters->items[i], exchange);
}
