/*
 * One hash table for all hosts and paths: a slot is a host pattern with an exact path or a prefix of whole
 * segments, and holds its routes in the order of the file. A request looks up the few slots that could serve
 * it and takes the lowest route number whose conditions hold, so the file's order decides over all kinds of
 * match, and the cost does not grow with the file. How many slots it looks up is bounded by the patterns of
 * the file (labels of the longest wildcard, segments of the longest prefix), never by what a client sends.
 * Where many routes share a slot, or have no path, those that want a header or a query parameter to equal a
 * text are found by a second table, over these values.
 */
#include "route/router.h"

#include "http/exchange.h"
#include "http/regex.h"
#include "route/condition.h"
#include "route/router_tables.h"

struct search {
    const struct router *router;
    const struct exchange *exchange;
    struct span path;
    uint32_t best; /* number of the first route found so far; NONE: none yet */
    bool failed;   /* whether that one matches can't be told */
};

static enum match entry_holds(const struct search *search, const struct entry *entry)
{
    enum match path = entry->regex != NULL ? regex_match(entry->regex, search->path) : MATCH_YES;
    if (path == MATCH_NO)
        return MATCH_NO;
    enum match rest = condition_holds(search->router->conditions[entry->number], search->exchange, NULL, 0);
    return rest == MATCH_YES ? path : rest;
}

static void search_take(struct search *search, uint32_t number)
{
    if (number < search->best) {
        search->best = number;
        search->failed = false;
    }
}

/* A list is in the order of the file: it is left as soon as it can't better what was found. */
static void search_list(struct search *search, uint32_t index)
{
    while (index != NONE) {
        const struct entry *entry = &search->router->entries[index];
        if (entry->number >= search->best)
            return;
        enum match match = entry_holds(search, entry);
        if (match != MATCH_NO) {
            search->best = entry->number;
            search->failed = match == MATCH_FAILED;
            return;
        }
        index = entry->next;
    }
}

/* The values that the request gives come first: they are few, and the rest may need regular expressions. */
static void search_long(struct search *search, const struct long_list *list)
{
    const struct router *router = search->router;
    for (uint32_t i = list->selectors; i != NONE; i = router->selectors[i].next) {
        const struct selector *selector = &router->selectors[i];
        struct request_values values;
        struct span value;
        request_values_begin(&values, selector->kind, selector->name, search->exchange);
        while (request_values_next(&values, &value)) {
            const struct pick *pick = pick_place(router, i, value);
            if (pick->used && !pick->always)
                search_list(search, pick->first);
            else if (pick->used)
                search_take(search, pick->number);
        }
        if (values.failed) { /* any of them */
            search->best = 0;
            search->failed = true;
        }
    }
    search_list(search, list->rest);
}

static void search_any(struct search *search, uint32_t first, bool picked)
{
    if (picked)
        search_long(search, &search->router->lists[first]);
    else
        search_list(search, first);
}

static void search_slot(struct search *search, uint32_t host, enum slot_kind kind, struct span path)
{
    const struct slot *slot = slot_place(search->router, host, kind, path);
    if (slot->used && !slot->always)
        search_any(search, slot->first, slot->picked);
    else if (slot->used)
        search_take(search, slot->number);
}

/* "/a/b" is under "/", "/a/" and "/a/b/": a prefix serves its own segment too. */
static void search_prefixes(struct search *search, uint32_t index, struct span path)
{
    const struct host *host = &search->router->hosts[index];
    size_t depth = 0;
    for (size_t i = 0; i <= path.length && depth <= host->deepest; i++) {
        bool at_end = i == path.length && i != 0 && path.at[i - 1] != '/';
        if (!at_end && (i == path.length || path.at[i] != '/'))
            continue;
        if ((host->depths & depth_bit(depth)) != 0)
            search_slot(search, index, SLOT_PREFIX, span_first(path, i));
        depth++;
    }
}

static void search_paths(struct search *search, uint32_t index)
{
    const struct host *host = &search->router->hosts[index];
    if (host->has_exact)
        search_slot(search, index, SLOT_EXACT, search->path);
    if (host->depths != 0)
        search_prefixes(search, index, search->path);
}

/* The host patterns that fit: any host, this host, and the wildcards it is below. */
static unsigned hosts_of(const struct router *router, struct span name, uint32_t hosts[HOSTS_MOST])
{
    unsigned count = 0, labels = 0;
    hosts[count++] = (uint32_t)router->hosts_room;
    if (router->hosts_used == 0)
        return count;
    uint32_t place = host_place(router, name, false);
    if (router->hosts[place].used)
        hosts[count++] = place;
    for (size_t i = name.length; labels < router->labels && i-- > 1;) {
        if (name.at[i] != '.')
            continue;
        labels++;
        place = host_place(router, span_skip(name, i + 1), true);
        if (router->hosts[place].used)
            hosts[count++] = place;
    }
    return count;
}

struct route_found router_find(const struct router *router, const struct exchange *exchange, struct span path)
{
    struct search search = {.router = router, .exchange = exchange, .path = path, .best = NONE};
    uint32_t hosts[HOSTS_MOST];
    unsigned count = hosts_of(router, exchange->target.host, hosts);
    for (unsigned i = 0; i < count; i++)
        search_paths(&search, hosts[i]);
    /* Last, so that regular expressions of later routes are not tried at all. */
    for (unsigned i = 0; i < count; i++)
        search_any(&search, router->hosts[hosts[i]].rest, router->hosts[hosts[i]].rest_picked);
    return (struct route_found){.route = search.best != NONE ? &router->routes[search.best] : NULL,
                                .failed = search.failed};
}

uint32_t router_number(const struct router *router, const struct route *route)
{
    return (uint32_t)(route - router->routes);
}

const struct route *router_route(const struct router *router, uint32_t number)
{
    return number < router->count ? &router->routes[number] : NULL;
}
