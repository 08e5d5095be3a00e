/* Making the router's tables from the routes of a file. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"
#include "base/text.h"
#include "http/path.h"
#include "http/regex.h"
#include "http/target.h"
#include "route/condition.h"
#include "route/router_tables.h"

/* What is needed while building and not after. */
struct building {
    struct router *router;
    struct map *regexes; /* by pattern */
    uint32_t *last;      /* entries of the slots */
    struct error *error;
};

/* ---- normal forms: a pattern is compared with what target_prepare() and path_readings_next() make of a
 * request ---- */

/* Lower case, without brackets and final dot, of an IPv6 address its one form; in `room`. */
struct span host_normal(const char *text, char room[HOST_ROOM])
{
    struct span host = span_make(room, strlen(text));
    _Static_assert(HOST_ROOM >= HOST_V6_MOST, "an address fits");
    if (host_v6_normal(span_of(text), room))
        return span_of(room);
    assert(host.length <= HOST_ROOM); /* the check of the configuration knows the limit of names */
    memcpy(room, text, host.length);
    if (host.length > 1 && host.at[host.length - 1] == '.')
        host.length--;
    for (size_t i = 0; text[i] != '\0'; i++)
        room[i] = ascii_lower(room[i]);
    return host;
}

bool router_path_check(const char *pattern, struct error *error)
{
    struct arena *arena = arena_new_malloc();
    bool fine = path_of_file(pattern, arena).at != NULL;
    arena_free(arena);
    return fine ||
           error_set(error, "no request has the path \"%s\"; it is not one, or climbs above \"/\"", pattern);
}

/* ---- the tables ---- */

static void entry_link(struct router *router, uint32_t *first, uint32_t *last, uint32_t index)
{
    if (*first == NONE)
        *first = index;
    else
        router->entries[*last].next = index;
    *last = index;
}

static void entry_append(struct router *router, uint32_t *first, uint32_t *last, struct entry entry)
{
    uint32_t index = (uint32_t)router->entries_count++;
    router->entries[index] = entry;
    entry_link(router, first, last, index);
}

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
        struct span normal = path_of_file(path, router->arena);
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

/* ---- long lists ---- */

#define LIST_LONG 8u       /* routes from which on a list is looked up by values */
#define SELECTORS_MOST 16u /* names of a list: each is one more thing to look up for every request */

/* What an entry of a long list is picked by. */
struct choice {
    uint32_t selector; /* NONE: by nothing */
    struct span value;
};
struct picking {
    struct router *router;
    struct choice *choices; /* by entry */
    size_t picked, lists_count, selectors_count, selectors_room;
    /* of the list at hand */
    struct map *wanted; /* how many of its routes want a header or parameter to equal a text */
    struct text key;
    uint32_t selectors, length;
};

static bool wants_equal(const struct name_value *pair)
{
    return strcmp(pair->value, "*") != 0 && pair->value[0] != '~';
}

static const struct name_values *wants_of(const struct picking *picking, uint32_t entry, enum value_kind kind)
{
    const struct router *router = picking->router;
    const struct match_config *match = &router->routes[router->entries[entry].number].config->match;
    return kind == VALUE_HEADER ? &match->header : &match->query;
}

/* How often it is wanted, after `more`. */
static size_t wanted_count(struct picking *picking, enum value_kind kind, const struct name_value *pair,
                           size_t more)
{
    struct text *key = &picking->key;
    key->length = 0;
    text_char(key, kind == VALUE_HEADER ? 'h' : 'q');
    for (const char *c = pair->name; *c != '\0'; c++)
        text_char(key, kind == VALUE_HEADER ? ascii_lower(*c) : *c);
    text_char(key, '\n');
    text_add(key, span_of(pair->value));
    size_t count = (size_t)(uintptr_t)map_get(picking->wanted, text_span(key)) + more;
    if (more != 0)
        map_set(picking->wanted, text_span(key), (void *)(uintptr_t)count);
    return count;
}

static void wants_count(struct picking *picking, uint32_t entry)
{
    for (unsigned kind = 0; kind < VALUE_KINDS; kind++) {
        const struct name_values *wants = wants_of(picking, entry, kind);
        for (size_t i = 0; i < wants->count; i++)
            if (wants_equal(&wants->items[i]))
                (void)wanted_count(picking, kind, &wants->items[i], 1);
    }
}

/* The list's selector of this name; NONE: it has as many as it may. */
static uint32_t selector_of(struct picking *picking, enum value_kind kind, struct span name)
{
    struct router *router = picking->router;
    unsigned count = 0;
    for (uint32_t i = picking->selectors; i != NONE; i = router->selectors[i].next, count++)
        if (router->selectors[i].kind == kind &&
            (kind == VALUE_HEADER ? span_equal_nocase(router->selectors[i].name, name)
                                  : span_equal(router->selectors[i].name, name)))
            return i;
    if (count == SELECTORS_MOST)
        return NONE;
    if (picking->selectors_count == picking->selectors_room) {
        picking->selectors_room = picking->selectors_room * 2 + 8;
        router->selectors = xrealloc(router->selectors, picking->selectors_room * sizeof *router->selectors);
    }
    uint32_t made = (uint32_t)picking->selectors_count++;
    router->selectors[made] = (struct selector){.kind = kind, .name = name, .next = picking->selectors};
    picking->selectors = made;
    return made;
}

/* By what the fewest routes of the list want: a value that half of them want helps nobody. */
static void choice_make(struct picking *picking, uint32_t entry)
{
    size_t least = picking->length / 2;
    const struct name_value *best = NULL;
    enum value_kind best_kind = VALUE_HEADER;
    for (unsigned kind = 0; kind < VALUE_KINDS; kind++) {
        const struct name_values *wants = wants_of(picking, entry, kind);
        for (size_t i = 0; i < wants->count; i++) {
            const struct name_value *pair = &wants->items[i];
            size_t count = wants_equal(pair) ? wanted_count(picking, kind, pair, 0) : SIZE_MAX;
            if (count < least) {
                least = count;
                best = pair;
                best_kind = kind;
            }
        }
    }
    uint32_t selector = best != NULL ? selector_of(picking, best_kind, span_of(best->name)) : NONE;
    picking->choices[entry] =
        (struct choice){.selector = selector, .value = selector != NONE ? span_of(best->value) : SPAN_NONE};
    picking->picked += selector != NONE;
}

/* True: the list is long, and some of it is picked by values. */
static bool list_choose(struct picking *picking, uint32_t first)
{
    const struct router *router = picking->router;
    size_t picked = picking->picked;
    picking->length = 0;
    picking->selectors = NONE;
    for (uint32_t i = first; i != NONE; i = router->entries[i].next)
        picking->length++;
    if (picking->length < LIST_LONG)
        return false;
    picking->wanted = map_new();
    for (uint32_t i = first; i != NONE; i = router->entries[i].next)
        wants_count(picking, i);
    for (uint32_t i = first; i != NONE; i = router->entries[i].next)
        choice_make(picking, i);
    map_free(picking->wanted);
    return picking->picked != picked;
}

/* Makes a long list of a plain one: *first was its first entry, and is its number then. */
static bool list_note(struct picking *picking, uint32_t *first)
{
    struct router *router = picking->router;
    if (!list_choose(picking, *first))
        return false;
    router->lists[picking->lists_count] = (struct long_list){.selectors = picking->selectors, .rest = *first};
    *first = (uint32_t)picking->lists_count++;
    return true;
}

/* Whether the value that it is picked by is all that the route wants. */
static bool wants_nothing_else(const struct picking *picking, uint32_t entry)
{
    const struct router *router = picking->router;
    const struct match_config *match = &router->routes[router->entries[entry].number].config->match;
    return router->entries[entry].regex == NULL &&
           match->methods.count + match->client.count + match->header.count + match->query.count == 1;
}

static void list_link(const struct picking *picking, struct long_list *list, uint32_t *last)
{
    struct router *router = picking->router;
    uint32_t next = list->rest, rest_last = NONE;
    list->rest = NONE;
    for (uint32_t i = next; i != NONE; i = next) {
        const struct choice *choice = &picking->choices[i];
        next = router->entries[i].next;
        router->entries[i].next = NONE;
        if (choice->selector == NONE) {
            entry_link(router, &list->rest, &rest_last, i);
            continue;
        }
        struct pick *pick = pick_place(router, choice->selector, choice->value);
        if (!pick->used)
            *pick = (struct pick){.value = choice->value.at,
                                  .length = (uint32_t)choice->value.length,
                                  .hash = (uint32_t)(hash_keyed_seed(choice->value, choice->selector) >> 32),
                                  .selector = choice->selector,
                                  .first = NONE,
                                  .number = router->entries[i].number,
                                  .used = true,
                                  .always = wants_nothing_else(picking, i)};
        entry_link(router, &pick->first, &last[pick - router->picks], i);
    }
}

static void lists_pick(struct router *router)
{
    struct picking picking = {.router = router, .key = text_growing()};
    picking.choices = xcalloc(router->entries_count + 1, sizeof *picking.choices);
    router->lists = xcalloc(router->entries_count / LIST_LONG + 1, sizeof *router->lists);
    for (size_t i = 0; i < router->slots_room; i++)
        if (router->slots[i].used && !router->slots[i].always)
            router->slots[i].picked = list_note(&picking, &router->slots[i].first);
    for (size_t i = 0; i <= router->hosts_room; i++)
        if (router->hosts[i].rest != NONE && (router->hosts[i].used || i == router->hosts_room))
            router->hosts[i].rest_picked = list_note(&picking, &router->hosts[i].rest);
    if (picking.picked != 0) {
        router->picks_room = power_of_two(picking.picked + picking.picked / 3 + 1);
        router->picks = xcalloc_lines(router->picks_room * sizeof *router->picks);
        uint32_t *last = xcalloc(router->picks_room, sizeof *last);
        for (size_t i = 0; i < picking.lists_count; i++)
            list_link(&picking, &router->lists[i], last);
        free(last);
    }
    text_free(&picking.key);
    free(picking.choices);
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
    if (done == count) {
        lists_pick(router);
        return router;
    }
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
    free(router->picks);
    free(router->selectors);
    free(router->lists);
    free(router->hosts);
    arena_free(router->arena);
    free(router);
}
