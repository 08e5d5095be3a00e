/*
 * One hash table for all hosts and paths: a slot is a host pattern with an exact path or a prefix of whole segments, and holds its routes in the order of
 * the file. A request looks up the few slots that could serve it and takes the lowest route number whose conditions hold, so the file's order
 * decides over all kinds of match, and the cost does not grow with the file.
 */
#include "route/router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/span.h"
#include "http/exchange.h"
#include "http/regex.h"
#include "route/condition.h"

#define NO_ENTRY UINT32_MAX
#define SLOTS_A_REQUEST 192u /* candidate lists: hosts that fit, at most 10, times exact, prefixes and the rest, at most 17 */
#define HOSTS_MOST 10u
#define PREFIXES_MOST 14u
#define SEGMENT_PREFIX_MOST 8193u /* a path for which its own segment as a prefix is looked up; the request line has the same bound */

/* A route in a slot's list. */
struct entry {
    uint32_t number, next;
    struct regex *regex; /* the path must match it; NULL: the slot's path has decided */
};
enum slot_kind { SLOT_EXACT, SLOT_PREFIX, SLOT_REST /* regular expressions, and routes without a path */ };
struct slot {
    uint64_t hash;
    struct span path;
    uint32_t host; /* index of the host pattern */
    uint32_t first, last;
    uint8_t kind;
    bool used;
};
struct host {
    struct span name; /* exact, or what follows "*"; empty: any */
    uint64_t hash;
    bool wildcard, used;
    bool has_exact;
    uint8_t deepest; /* segments of its longest prefix */
    uint32_t rest;   /* first of its SLOT_REST list */
    uint32_t rest_last;
};
struct router {
    size_t count;
    struct route *routes;
    struct condition **conditions;
    struct host *hosts; /* open addressing, power of two; [hosts_room] is "any host" */
    size_t hosts_room, hosts_used;
    struct slot *slots;
    size_t slots_room, slots_used;
    struct entry *entries;
    size_t entries_count, entries_room;
    bool has_wildcards;
};

/* ---- the tables ---- */

static uint64_t host_hash(struct span name, bool wildcard)
{
    return hash_keyed_seed(name, wildcard ? 2 : 1);
}

static uint32_t host_find(const struct router *router, struct span name, bool wildcard)
{
    if (router->hosts_used == 0)
        return NO_ENTRY;
    uint64_t hash = host_hash(name, wildcard);
    for (size_t i = hash & (router->hosts_room - 1);; i = (i + 1) & (router->hosts_room - 1)) {
        const struct host *host = &router->hosts[i];
        if (!host->used)
            return NO_ENTRY;
        if (host->hash == hash && host->wildcard == wildcard && span_equal(host->name, name))
            return (uint32_t)i;
    }
}

static uint64_t slot_hash(uint32_t host, enum slot_kind kind, struct span path)
{
    return hash_keyed_seed(path, (uint64_t)host * 4 + kind);
}

static struct slot *slot_find(const struct router *router, uint32_t host, enum slot_kind kind, struct span path)
{
    uint64_t hash = slot_hash(host, kind, path);
    for (size_t i = hash & (router->slots_room - 1);; i = (i + 1) & (router->slots_room - 1)) {
        struct slot *slot = &router->slots[i];
        if (!slot->used || (slot->hash == hash && slot->host == host && slot->kind == kind && span_equal(slot->path, path)))
            return slot;
    }
}

static uint32_t entry_append(struct router *router, uint32_t *first, uint32_t *last, uint32_t number, struct regex *regex)
{
    uint32_t index = (uint32_t)router->entries_count++;
    router->entries[index] = (struct entry){.number = number, .next = NO_ENTRY, .regex = regex};
    if (*first == NO_ENTRY)
        *first = index;
    else
        router->entries[*last].next = index;
    *last = index;
    return index;
}

static uint8_t segments_of(struct span prefix)
{
    unsigned count = 0;
    for (size_t i = 0; i < prefix.length; i++)
        count += prefix.at[i] == '/';
    return (uint8_t)(count < 255 ? count : 255);
}

static void slot_add(struct router *router, uint32_t host, enum slot_kind kind, struct span path, uint32_t number)
{
    struct slot *slot = slot_find(router, host, kind, path);
    if (!slot->used) {
        *slot = (struct slot){.hash = slot_hash(host, kind, path), .path = path, .host = host, .first = NO_ENTRY, .last = NO_ENTRY, .kind = (uint8_t)kind, .used = true};
        router->slots_used++;
    }
    entry_append(router, &slot->first, &slot->last, number, NULL);
    struct host *at = &router->hosts[host];
    if (kind == SLOT_EXACT)
        at->has_exact = true;
    else if (segments_of(path) > at->deepest)
        at->deepest = segments_of(path);
}

/* ---- building ---- */

static uint32_t host_add(struct router *router, const char *text)
{
    if (text == NULL)
        return (uint32_t)router->hosts_room;
    bool wildcard = strncmp(text, "*.", 2) == 0;
    struct span name = span_of(wildcard ? text + 2 : text);
    uint64_t hash = host_hash(name, wildcard);
    router->has_wildcards = router->has_wildcards || wildcard;
    size_t i = hash & (router->hosts_room - 1);
    while (router->hosts[i].used) {
        if (router->hosts[i].hash == hash && router->hosts[i].wildcard == wildcard && span_equal(router->hosts[i].name, name))
            return (uint32_t)i;
        i = (i + 1) & (router->hosts_room - 1);
    }
    router->hosts[i] = (struct host){.name = name, .hash = hash, .wildcard = wildcard, .used = true, .rest = NO_ENTRY, .rest_last = NO_ENTRY};
    router->hosts_used++;
    return (uint32_t)i;
}

static bool path_add(struct router *router, uint32_t host, const char *path, uint32_t number, struct error *error)
{
    struct host *at = &router->hosts[host];
    if (path == NULL) {
        entry_append(router, &at->rest, &at->rest_last, number, NULL);
        return true;
    }
    if (path[0] == '~') {
        struct regex *regex = regex_new(path + 1, error);
        if (regex == NULL)
            return false;
        entry_append(router, &at->rest, &at->rest_last, number, regex);
        return true;
    }
    struct span text = span_of(path);
    bool prefix = text.length != 0 && text.at[text.length - 1] == '/';
    if (prefix && segments_of(text) > PREFIXES_MOST)
        return error_set(error, "path \"%s\" has more than %u segments", path, PREFIXES_MOST);
    slot_add(router, host, prefix ? SLOT_PREFIX : SLOT_EXACT, text, number);
    return true;
}

static bool route_add(struct router *router, const struct route_config *config, uint32_t number, struct error *error)
{
    const struct match_config *match = &config->match;
    router->routes[number] = (struct route){.config = config, .number = number};
    if (!condition_new(&router->conditions[number], match, error))
        return false;
    size_t hosts = match->host.count != 0 ? match->host.count : 1, paths = match->path.count != 0 ? match->path.count : 1;
    for (size_t h = 0; h < hosts; h++) {
        uint32_t host = host_add(router, match->host.count != 0 ? match->host.items[h] : NULL);
        for (size_t p = 0; p < paths; p++)
            if (!path_add(router, host, match->path.count != 0 ? match->path.items[p] : NULL, number, error))
                return false;
    }
    return true;
}

static size_t power_of_two(size_t least)
{
    size_t power = 8;
    while (power < least)
        power *= 2;
    return power;
}

/* Sizes everything once, at most half full. */
static void router_size(struct router *router, const struct route_config *routes, size_t count)
{
    size_t hosts = 0, entries = 0;
    for (size_t i = 0; i < count; i++) {
        size_t h = routes[i].match.host.count != 0 ? routes[i].match.host.count : 1, p = routes[i].match.path.count != 0 ? routes[i].match.path.count : 1;
        hosts += h;
        entries += h * p;
    }
    router->hosts_room = power_of_two(hosts * 2);
    router->hosts = xcalloc(router->hosts_room + 1, sizeof *router->hosts);
    router->hosts[router->hosts_room] = (struct host){.rest = NO_ENTRY, .rest_last = NO_ENTRY};
    router->slots_room = power_of_two(entries * 2);
    router->slots = xcalloc(router->slots_room, sizeof *router->slots);
    router->entries = xcalloc(entries + 1, sizeof *router->entries);
    router->count = count;
    router->routes = xcalloc(count + 1, sizeof *router->routes);
    router->conditions = xcalloc(count + 1, sizeof(struct condition *));
}

struct router *router_new(const struct route_config *routes, size_t count, size_t *bad, struct error *error)
{
    struct router *router = xcalloc(1, sizeof *router);
    hash_init();
    router_size(router, routes, count);
    for (size_t i = 0; i < count; i++) {
        if (!route_add(router, &routes[i], (uint32_t)i, error)) {
            *bad = i;
            router_free(router);
            return NULL;
        }
    }
    return router;
}

void router_free(struct router *router)
{
    if (router == NULL)
        return;
    for (size_t i = 0; i < router->count; i++)
        condition_free(router->conditions[i]);
    for (size_t i = 0; i < router->entries_count; i++)
        regex_free(router->entries[i].regex);
    free(router->conditions);
    free(router->routes);
    free(router->entries);
    free(router->slots);
    free(router->hosts);
    free(router);
}

/* ---- finding ---- */

/* Heads of the lists that could hold the route; the lowest number is looked at first. */
struct search {
    const struct router *router;
    const struct exchange *exchange;
    uint32_t lists[SLOTS_A_REQUEST];
    unsigned count;
};

static void search_list(struct search *search, uint32_t first)
{
    if (first != NO_ENTRY && search->count < SLOTS_A_REQUEST)
        search->lists[search->count++] = first;
}

static void search_slot(struct search *search, uint32_t host, enum slot_kind kind, struct span path)
{
    const struct slot *slot = slot_find(search->router, host, kind, path);
    if (slot->used)
        search_list(search, slot->first);
}

/* "/a/b" is under "/", "/a/" and "/a/b/": a prefix serves its own segment too. */
static void search_prefixes(struct search *search, uint32_t host, struct span path, unsigned deepest)
{
    unsigned seen = 0;
    for (size_t i = 0; i < path.length && seen < deepest; i++) {
        if (path.at[i] != '/')
            continue;
        seen++;
        search_slot(search, host, SLOT_PREFIX, span_first(path, i + 1));
    }
    char own[SEGMENT_PREFIX_MOST];
    if (seen < deepest && path.length != 0 && path.at[path.length - 1] != '/' && path.length + 1 < sizeof own) {
        memcpy(own, path.at, path.length);
        own[path.length] = '/';
        search_slot(search, host, SLOT_PREFIX, span_make(own, path.length + 1));
    }
}

static void search_host(struct search *search, uint32_t index)
{
    if (index == NO_ENTRY)
        return;
    const struct host *host = &search->router->hosts[index];
    struct span path = search->exchange->target.path;
    if (host->has_exact)
        search_slot(search, index, SLOT_EXACT, path);
    if (host->deepest != 0)
        search_prefixes(search, index, path, host->deepest);
    search_list(search, host->rest);
}

static void search_hosts(struct search *search)
{
    const struct router *router = search->router;
    struct span name = search->exchange->target.host;
    search_host(search, host_find(router, name, false));
    unsigned walked = 0;
    while (router->has_wildcards && walked++ < HOSTS_MOST - 2) {
        size_t dot = span_find(name, '.');
        if (dot == name.length)
            break;
        name = span_skip(name, dot + 1);
        search_host(search, host_find(router, name, true));
    }
    search_host(search, (uint32_t)router->hosts_room);
}

static bool entry_holds(const struct search *search, const struct entry *entry)
{
    struct span path = search->exchange->target.path, whole;
    if (entry->regex != NULL && regex_match(entry->regex, path, &whole, 1) == 0)
        return false;
    return condition_holds(search->router->conditions[entry->number], search->exchange, NULL, 0);
}

const struct route *router_find(const struct router *router, const struct exchange *exchange)
{
    struct search search;
    search.router = router;
    search.exchange = exchange;
    search.count = 0;
    search_hosts(&search);
    while (search.count != 0) {
        unsigned best = 0;
        for (unsigned i = 1; i < search.count; i++)
            if (router->entries[search.lists[i]].number < router->entries[search.lists[best]].number)
                best = i;
        const struct entry *entry = &router->entries[search.lists[best]];
        if (entry_holds(&search, entry))
            return &router->routes[entry->number];
        if (entry->next != NO_ENTRY)
            search.lists[best] = entry->next;
        else
            search.lists[best] = search.lists[--search.count];
    }
    return NULL;
}

const struct route *router_route(const struct router *router, uint32_t number)
{
    return number < router->count ? &router->routes[number] : NULL;
}

/* ---- explaining: the plain reading of one route, without the indexes ---- */

static bool host_fits(const struct match_config *match, struct span host)
{
    for (size_t i = 0; i < match->host.count; i++) {
        struct span pattern = span_of(match->host.items[i]);
        if (span_starts(pattern, SPAN("*."))) {
            struct span suffix = span_skip(pattern, 1);
            if (host.length > suffix.length && span_equal(span_skip(host, host.length - suffix.length), suffix))
                return true;
        } else if (span_equal(pattern, host)) {
            return true;
        }
    }
    return match->host.count == 0;
}

static bool pattern_fits(const char *pattern, struct span path)
{
    struct span text = span_of(pattern), whole;
    if (pattern[0] == '~') {
        struct regex *regex = regex_new(pattern + 1, NULL);
        bool fits = regex != NULL && regex_match(regex, path, &whole, 1) != 0;
        regex_free(regex);
        return fits;
    }
    if (text.length == 0 || text.at[text.length - 1] != '/')
        return span_equal(text, path);
    return span_starts(path, text) || (path.length + 1 == text.length && span_starts(text, path));
}

static bool path_fits(const struct match_config *match, struct span path)
{
    for (size_t i = 0; i < match->path.count; i++)
        if (pattern_fits(match->path.items[i], path))
            return true;
    return match->path.count == 0;
}

bool router_explain(const struct router *router, uint32_t number, const struct exchange *exchange, char *why, size_t room)
{
    const struct match_config *match = &router->routes[number].config->match;
    struct span host = exchange->target.host, path = exchange->target.path;
    if (!host_fits(match, host)) {
        snprintf(why, room, "it serves another host than \"%.*s\"", (int)host.length, host.length != 0 ? host.at : "");
        return false;
    }
    if (!path_fits(match, path)) {
        snprintf(why, room, "it serves other paths than \"%.*s\"", (int)path.length, path.at);
        return false;
    }
    return condition_holds(router->conditions[number], exchange, why, room);
}
