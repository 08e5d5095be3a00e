/*
 * One hash table for all hosts and paths: a slot is a host pattern with an exact path or a prefix of whole
 * segments, and holds its routes in the order of the file. A request looks up the few slots that could serve
 * it and takes the lowest route number whose conditions hold, so the file's order decides over all kinds of
 * match, and the cost does not grow with the file. How many slots it looks up is bounded by the patterns of
 * the file (labels of the longest wildcard, segments of the longest prefix), never by what a client sends.
 */
#include "route/router.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/span.h"
#include "http/exchange.h"
#include "http/path.h"
#include "http/regex.h"
#include "route/condition.h"

#define NONE UINT32_MAX
#define LABELS_MOST 127u /* of a host: names have at most 253 characters in the file */
#define HOST_ROOM 512u   /* bytes; more than the file lets a name have */
#define HOSTS_MOST (LABELS_MOST + 2u)

/* A route in a slot's list, or in a host's list of the rest: regular expressions, and routes without a path.
 */
struct entry {
    uint32_t number, next;
    const struct regex *regex; /* the path must match it; NULL: the slot's path has decided */
};
enum slot_kind { SLOT_EXACT, SLOT_PREFIX };
/* Of a large file each is a line that no cache has; none is on two. */
struct slot {
    const char *path; /* a prefix without its last slash: "" for "/", "/a" for "/a/" */
    uint32_t path_length;
    uint32_t hash;   /* the half that does not tell the place */
    uint32_t host;   /* index of the host pattern */
    uint32_t first;  /* entry */
    uint32_t number; /* of the first route, which serves whatever comes here if it `always` does: its entry
                        and condition would be two lines more */
    uint8_t kind;
    bool used, always;
};
_Static_assert(CACHE_LINE % sizeof(struct slot) == 0, "a slot would be on two lines");
struct host {
    struct span name; /* exact, or what follows "*." */
    uint64_t hash;
    bool wildcard, used, has_exact;
    uint64_t depths; /* of its prefixes: bit n: there may be one of n segments (or n + 64, ...) */
    uint32_t deepest;
    uint32_t rest, rest_last;
};
struct router {
    size_t count;
    struct route *routes;
    struct condition **conditions;
    struct host *hosts; /* open addressing, power of two; hosts[hosts_room] is "any host" */
    size_t hosts_room, hosts_used;
    struct slot *slots; /* open addressing, power of two */
    size_t slots_room;
    struct entry *entries;
    size_t entries_count;
    size_t regexes_count;
    struct regex **regexes; /* each pattern once */
    unsigned labels;        /* of the wildcard with the most; 0: there is none */
    struct arena *arena;    /* hosts and paths in their normal form */
};
/* What is needed while building and not after. */
struct building {
    struct router *router;
    struct map *regexes; /* by pattern */
    uint32_t *last;      /* entries of the slots */
    struct error *error;
};

/* ---- normal forms: a pattern is compared with what target_prepare() and path_readings_next() make of a
 * request ---- */

/* Lower case, without brackets and final dot; in `room`. */
static struct span host_normal(const char *text, char room[HOST_ROOM])
{
    struct span host = span_make(room, strlen(text));
    assert(host.length <= HOST_ROOM); /* the check of the configuration knows the limit of names */
    memcpy(room, text, host.length);
    if (host.length > 2 && host.at[0] == '[')
        host = span_make(host.at + 1, host.length - 2);
    else if (host.length > 1 && host.at[host.length - 1] == '.')
        host.length--;
    for (size_t i = 0; text[i] != '\0'; i++)
        room[i] = ascii_lower(room[i]);
    return host;
}

static bool is_plain(char c)
{
    return c > ' ' && c < 0x7f;
}

/* Characters that can't stand in a request are taken for their escapes. Usually there are none: then the text
 * of the configuration serves. */
static struct span path_escaped(const char *text, struct arena *arena)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t length = 0;
    while (is_plain(text[length]))
        length++;
    if (text[length] == '\0')
        return span_make(text, length);
    char *escaped = arena_get_bytes(arena, strlen(text) * 3 + 1);
    for (length = 0; escaped != NULL && *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        escaped[length++] = is_plain(*text) ? *text : '%';
        if (!is_plain(*text)) {
            escaped[length++] = digits[c >> 4];
            escaped[length++] = digits[c & 15];
        }
    }
    return span_make(escaped, length);
}

/* at == NULL: no request has such a path. */
static struct span path_normal(const char *text, struct arena *arena)
{
    struct span escaped = path_escaped(text, arena), normal;
    unsigned marks;
    if (escaped.at == NULL || path_prepare(escaped, arena, &normal, &marks) != FAILURE_NONE)
        return SPAN_NONE;
    return normal;
}

/* What servers that decode read where the pattern stands as it was written; the same when it has no escapes.
 */
static struct span path_decoded(struct span normal, struct arena *arena)
{
    char *room = memchr(normal.at, '%', normal.length) != NULL ? arena_get_bytes(arena, normal.length) : NULL;
    return room != NULL ? path_decode_pattern(normal, room) : normal;
}

bool router_path_check(const char *pattern, struct error *error)
{
    struct arena *arena = arena_new_malloc();
    bool fine = path_normal(pattern, arena).at != NULL;
    arena_free(arena);
    return fine ||
           error_set(error, "no request has the path \"%s\"; it is not one, or climbs above \"/\"", pattern);
}

/* ---- the tables ---- */

static uint64_t host_hash(struct span name, bool wildcard)
{
    return hash_keyed_seed(name, wildcard ? 2 : 1);
}

/* Where the pattern is, or the free place where it would be. */
static uint32_t host_place(const struct router *router, struct span name, bool wildcard)
{
    uint64_t hash = host_hash(name, wildcard);
    for (size_t i = hash & (router->hosts_room - 1);; i = (i + 1) & (router->hosts_room - 1)) {
        const struct host *host = &router->hosts[i];
        if (!host->used || (host->hash == hash && host->wildcard == wildcard && span_equal(host->name, name)))
            return (uint32_t)i;
    }
}

static uint64_t slot_hash(uint32_t host, enum slot_kind kind, struct span path)
{
    return hash_keyed_seed(path, (uint64_t)host * 2 + kind);
}

static struct slot *slot_place(const struct router *router, uint32_t host, enum slot_kind kind,
                               struct span path)
{
    uint64_t hash = slot_hash(host, kind, path);
    for (size_t i = hash & (router->slots_room - 1);; i = (i + 1) & (router->slots_room - 1)) {
        struct slot *slot = &router->slots[i];
        if (!slot->used || (slot->hash == (uint32_t)(hash >> 32) && slot->host == host &&
                            slot->kind == kind && span_equal(span_make(slot->path, slot->path_length), path)))
            return slot;
    }
}

static void entry_append(struct router *router, uint32_t *first, uint32_t *last, struct entry entry)
{
    uint32_t index = (uint32_t)router->entries_count++;
    router->entries[index] = entry;
    if (*first == NONE)
        *first = index;
    else
        router->entries[*last].next = index;
    *last = index;
}

static uint64_t depth_bit(size_t depth)
{
    return (uint64_t)1 << (depth & 63);
}

/* ---- building ---- */

static size_t count_of(struct span text, char c)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++)
        count += text.at[i] == c;
    return count;
}

static uint32_t host_add(struct router *router, const char *text)
{
    if (text == NULL)
        return (uint32_t)router->hosts_room;
    bool wildcard = strncmp(text, "*.", 2) == 0;
    char room[HOST_ROOM];
    struct span name = host_normal(wildcard ? text + 2 : text, room);
    uint32_t place = host_place(router, name, wildcard);
    struct host *host = &router->hosts[place];
    if (host->used)
        return place;
    name = arena_copy(router->arena, name);
    *host = (struct host){.name = name,
                          .hash = host_hash(name, wildcard),
                          .wildcard = wildcard,
                          .used = true,
                          .rest = NONE,
                          .rest_last = NONE};
    router->hosts_used++;
    unsigned labels = (unsigned)count_of(name, '.') + 1;
    if (wildcard && labels > router->labels)
        router->labels = labels < LABELS_MOST ? labels : LABELS_MOST;
    return place;
}

static void slot_add(struct building *building, uint32_t host, struct span path, uint32_t number)
{
    struct router *router = building->router;
    struct host *at = &router->hosts[host];
    enum slot_kind kind = path.at[path.length - 1] == '/' ? SLOT_PREFIX : SLOT_EXACT;
    if (kind == SLOT_PREFIX) {
        path.length--;
        size_t depth = count_of(path, '/');
        at->depths |= depth_bit(depth);
        at->deepest = depth > at->deepest ? (uint32_t)depth : at->deepest;
    } else {
        at->has_exact = true;
    }
    struct slot *slot = slot_place(router, host, kind, path);
    if (!slot->used)
        *slot = (struct slot){.hash = (uint32_t)(slot_hash(host, kind, path) >> 32),
                              .path = path.at,
                              .path_length = (uint32_t)path.length,
                              .host = host,
                              .first = NONE,
                              .number = number,
                              .kind = (uint8_t)kind,
                              .used = true,
                              .always = router->conditions[number] == NULL};
    entry_append(router, &slot->first, &building->last[slot - router->slots],
                 (struct entry){.number = number, .next = NONE});
}

/* Compiling takes a quarter of a millisecond, and large files repeat their patterns. */
static const struct regex *regex_shared(struct building *building, const char *pattern)
{
    struct router *router = building->router;
    struct regex *regex = map_get(building->regexes, span_of(pattern));
    if (regex != NULL)
        return regex;
    regex = regex_new(pattern, building->error);
    if (regex == NULL)
        return NULL;
    router->regexes[router->regexes_count++] = regex;
    map_set(building->regexes, span_of(pattern), regex);
    return regex;
}

static bool path_add(struct building *building, uint32_t host, const char *path, uint32_t number)
{
    struct router *router = building->router;
    struct host *at = &router->hosts[host];
    if (path != NULL && path[0] != '~') {
        struct span normal = path_normal(path, router->arena);
        if (normal.at == NULL)
            return router_path_check(path, building->error);
        struct span decoded = path_decoded(normal, router->arena);
        slot_add(building, host, normal, number);
        if (!span_equal(decoded, normal))
            slot_add(building, host, decoded, number);
        return true;
    }
    struct entry entry = {.number = number, .next = NONE};
    if (path != NULL && (entry.regex = regex_shared(building, path + 1)) == NULL)
        return false;
    entry_append(router, &at->rest, &at->rest_last, entry);
    return true;
}

static bool route_add(struct building *building, const struct route_config *config, uint32_t number)
{
    struct router *router = building->router;
    const struct texts *hosts = &config->match.host, *paths = &config->match.path;
    router->routes[number] = (struct route){.config = config, .number = number};
    if (!condition_new(&router->conditions[number], &config->match, building->error))
        return false;
    for (size_t h = 0; h < hosts->count || h == 0; h++) {
        uint32_t host = host_add(router, hosts->count != 0 ? hosts->items[h] : NULL);
        for (size_t p = 0; p < paths->count || p == 0; p++)
            if (!path_add(building, host, paths->count != 0 ? paths->items[p] : NULL, number))
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

/* Sizes everything once: the table of hosts, whose misses walk on, at most half full, that of paths at most
 * three quarters. */
static void router_size(struct router *router, const struct route_config *routes, size_t count)
{
    size_t paths = 0, entries = 0;
    struct map *hosts = map_new(); /* large files name few hosts in many routes */
    for (size_t i = 0; i < count; i++) {
        const struct match_config *match = &routes[i].match;
        size_t h = match->host.count != 0 ? match->host.count : 1,
               p = match->path.count != 0 ? match->path.count : 1;
        for (size_t k = 0; k < match->host.count; k++)
            map_set(hosts, span_of(match->host.items[k]), router);
        for (size_t k = 0; k < match->path.count; k++)
            p += strchr(match->path.items[k], '%') != NULL; /* twice: decoded too */
        paths += match->path.count;
        entries += h * p;
    }
    router->hosts_room = power_of_two(map_count(hosts) * 2);
    map_free(hosts);
    router->hosts = xcalloc(router->hosts_room + 1, sizeof *router->hosts);
    router->hosts[router->hosts_room] = (struct host){.rest = NONE, .rest_last = NONE};
    router->slots_room = power_of_two(entries + entries / 3 + 1);
    router->slots = xcalloc_lines(router->slots_room * sizeof *router->slots);
    router->entries = xcalloc(entries + 1, sizeof *router->entries);
    router->regexes = xcalloc(paths + 1, sizeof(struct regex *));
    router->count = count;
    router->routes = xcalloc(count + 1, sizeof *router->routes);
    router->conditions = xcalloc(count + 1, sizeof(struct condition *));
}

struct router *router_new(const struct route_config *routes, size_t count, size_t *bad, struct error *error)
{
    struct router *router = xcalloc(1, sizeof *router);
    struct building building = {.router = router, .regexes = map_new(), .error = error};
    hash_init();
    router->arena = arena_new_malloc();
    router_size(router, routes, count);
    building.last = xcalloc(router->slots_room, sizeof *building.last);
    size_t done = 0;
    while (done < count && route_add(&building, &routes[done], (uint32_t)done))
        done++;
    map_free(building.regexes);
    free(building.last);
    if (done == count)
        return router;
    *bad = done;
    router_free(router);
    return NULL;
}

void router_free(struct router *router)
{
    if (router == NULL)
        return;
    for (size_t i = 0; i < router->count; i++)
        condition_free(router->conditions[i]);
    for (size_t i = 0; i < router->regexes_count; i++)
        regex_free(router->regexes[i]);
    free(router->conditions);
    free(router->routes);
    free(router->entries);
    free(router->regexes);
    free(router->slots);
    free(router->hosts);
    arena_free(router->arena);
    free(router);
}

/* ---- finding ---- */

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

static void search_slot(struct search *search, uint32_t host, enum slot_kind kind, struct span path)
{
    const struct slot *slot = slot_place(search->router, host, kind, path);
    if (slot->used && !slot->always) {
        search_list(search, slot->first);
    } else if (slot->used && slot->number < search->best) {
        search->best = slot->number;
        search->failed = false;
    }
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
        search_list(&search, router->hosts[hosts[i]].rest);
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

/* ---- explaining: the plain reading of one route, without the indexes ---- */

static bool host_fits(const struct texts *patterns, struct span host)
{
    char room[HOST_ROOM];
    for (size_t i = 0; i < patterns->count; i++) {
        struct span pattern = host_normal(patterns->items[i], room);
        if (span_starts(pattern, SPAN("*."))) {
            struct span suffix = span_skip(pattern, 1);
            if (host.length > suffix.length &&
                span_equal(span_skip(host, host.length - suffix.length), suffix))
                return true;
        } else if (span_equal(pattern, host)) {
            return true;
        }
    }
    return patterns->count == 0;
}

static bool regex_fits(const char *pattern, struct span path)
{
    struct regex *regex = regex_new(pattern, NULL);
    bool fits = regex != NULL && regex_match(regex, path) != MATCH_NO;
    regex_free(regex);
    return fits;
}

static bool text_fits(struct span text, struct span path)
{
    bool prefix = text.at[text.length - 1] == '/';
    return span_equal(text, path) || (prefix && span_starts(path, text)) ||
           (prefix && path.length + 1 == text.length && span_starts(text, path));
}

static bool path_fits(const struct texts *patterns, struct span path, struct arena *arena)
{
    for (size_t i = 0; i < patterns->count; i++) {
        if (patterns->items[i][0] == '~') {
            if (regex_fits(patterns->items[i] + 1, path))
                return true;
            continue;
        }
        struct span normal = path_normal(patterns->items[i], arena);
        if (text_fits(normal, path) || text_fits(path_decoded(normal, arena), path))
            return true;
    }
    return patterns->count == 0;
}

bool router_explain(const struct router *router, uint32_t number, const struct exchange *exchange, char *why,
                    size_t room)
{
    const struct match_config *match = &router->routes[number].config->match;
    struct span host = exchange->target.host, path = exchange->target.path;
    struct arena *arena = arena_new_malloc();
    bool host_is = host_fits(&match->host, host), path_is = path_fits(&match->path, path, arena);
    arena_free(arena);
    if (!host_is)
        snprintf(why, room, "it serves another host than \"%.*s\"", (int)host.length,
                 host.length != 0 ? host.at : "");
    else if (!path_is)
        snprintf(why, room, "it serves other paths than \"%.*s\"", (int)path.length, path.at);
    return host_is && path_is && condition_holds(router->conditions[number], exchange, why, room) != MATCH_NO;
}
