/*
 * To find among many routes one that takes all that another does, each is filed under its hosts and paths,
 * and below them under one of its conditions; the few places are looked up where a route must be that takes
 * the first host and path of the one in question.
 */
#include "route/shadow.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/text.h"
#include "config/route_config.h"
#include "route/request_values.h"
#include "route/shape.h"

/* Routes of one place that are compared: the first ones, which are the widest. */
#define CANDIDATES_MOST 32u
#define PREFIX_BITS_MOST 129u

struct candidate {
    const struct shape *shape;
    struct candidate *next;
};
/* Those that are filed under one key, the earliest first. */
struct place {
    struct candidate *first, *last;
    unsigned count;
};
struct shadows {
    struct shaping shaping;
    struct map *places; /* keys: see key_begin() */
    struct map *wanted; /* how many routes want a value */
    struct text key;
    bool bits_used[PREFIX_BITS_MOST]; /* of networks */
    bool begins_used;                 /* there are places 'b' */
};

/* ---- places ---- */

/* Begins a key: host, line feed, path, line feed; a condition may follow. */
static void key_begin(struct shadows *shadows, const struct host_shape *host, char kind, struct span path)
{
    struct text *key = &shadows->key;
    key->length = 0;
    text_char(key, host->any ? 'a' : host->wildcard ? 'w' : 'e');
    text_add(key, host->name);
    text_char(key, '\n');
    text_char(key, kind);
    text_add(key, path);
    text_char(key, '\n');
}

static void key_value(struct text *key, enum value_kind kind, const struct name_value *pair,
                      const char *value)
{
    text_char(key, kind == VALUE_HEADER ? 'h' : 'q');
    for (const char *c = pair->name; *c != '\0'; c++)
        text_char(key, kind == VALUE_HEADER ? ascii_lower(*c) : *c);
    text_char(key, '\n');
    text_add(key, span_of(value));
}

static void key_network(struct text *key, const struct network *network, unsigned bits)
{
    struct ip_address first = {.family = network->family};
    memcpy(first.bytes, network->bytes, sizeof network->bytes);
    for (unsigned i = 0; i < sizeof first.bytes * 8; i++)
        if (i >= bits)
            first.bytes[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
    text_print(key, "c%u/%u/", network->family, bits);
    text_add(key, span_make((const char *)first.bytes, sizeof first.bytes));
}

/* What regular expressions stand for whose text alone is compared. */
static const char *value_class(const char *value)
{
    return value[0] == '~' ? "~" : value;
}

/* ---- filing ---- */

/* Files it under the key; what is filed under a longer one is found only where the shorter one is, too. */
static void file_here(struct shadows *shadows, const struct shape *shape)
{
    struct place *place = map_get(shadows->places, text_span(&shadows->key));
    if (place == NULL) {
        place = shaping_get(&shadows->shaping, sizeof *place);
        map_set(shadows->places, text_span(&shadows->key), place);
    }
    if (shape == NULL || place->count++ >= CANDIDATES_MOST)
        return;
    struct candidate *candidate = shaping_get(&shadows->shaping, sizeof *candidate);
    candidate->shape = shape;
    if (place->first == NULL)
        place->first = candidate;
    else
        place->last->next = candidate;
    place->last = candidate;
}

/* Of the values that it wants the one that the fewest routes want; NULL: it wants none. */
static const struct name_value *rarest_value(struct shadows *shadows, const struct match_config *match,
                                             enum value_kind *kind)
{
    const struct name_values *lists[VALUE_KINDS] = {
        [VALUE_HEADER] = &match->header, [VALUE_QUERY] = &match->query};
    const struct name_value *best = NULL;
    size_t least = SIZE_MAX;
    struct text key = text_growing();
    for (unsigned k = 0; k < VALUE_KINDS; k++) {
        for (size_t i = 0; i < lists[k]->count; i++) {
            key.length = 0;
            key_value(&key, k, &lists[k]->items[i], value_class(lists[k]->items[i].value));
            size_t count = (size_t)(uintptr_t)map_get(shadows->wanted, text_span(&key));
            if (count < least) {
                least = count;
                best = &lists[k]->items[i];
                *kind = k;
            }
        }
    }
    text_free(&key);
    return best;
}

static void file_conditions(struct shadows *shadows, const struct shape *shape)
{
    const struct match_config *match = shape->match;
    enum value_kind kind = VALUE_HEADER;
    const struct name_value *value = rarest_value(shadows, match, &kind);
    size_t length = shadows->key.length;
    file_here(shadows, NULL);
    if (value != NULL) {
        key_value(&shadows->key, kind, value, value_class(value->value));
        file_here(shadows, shape);
        return;
    }
    size_t count = match->methods.count != 0 ? match->methods.count : shape->clients.count;
    for (size_t i = 0; i < count; i++) {
        shadows->key.length = length;
        if (match->methods.count != 0)
            text_print(&shadows->key, "m%s", match->methods.items[i]);
        else
            key_network(&shadows->key, &shape->clients.items[i], shape->clients.items[i].bits);
        file_here(shadows, shape);
    }
    if (count == 0) {
        text_char(&shadows->key, 'n');
        file_here(shadows, shape);
    }
}

static void path_file(struct shadows *shadows, const struct shape *shape, const struct host_shape *host,
                      const struct path_shape *path)
{
    static const char kinds[] = {
        [PATH_ANY] = 'a', [PATH_EXACT] = 'e', [PATH_PREFIX] = 'p', [PATH_REGEX] = 'r'};
    bool begins = path->kind == PATH_REGEX && path->all_that_begin;
    shadows->begins_used = shadows->begins_used || begins;
    key_begin(shadows, host, begins ? 'b' : kinds[path->kind], begins ? path->begins : path->text);
    file_conditions(shadows, shape);
    if (!span_equal(path->text, path->decoded)) {
        key_begin(shadows, host, kinds[path->kind], path->decoded);
        file_conditions(shadows, shape);
    } else if (path->kind == PATH_REGEX && !begins) {
        key_begin(shadows, host, 'x', SPAN("")); /* any regular expression, for whole paths */
        file_conditions(shadows, shape);
    }
}

static void shape_file(struct shadows *shadows, const struct shape *shape)
{
    for (size_t h = 0; h < shape->hosts_count; h++) {
        key_begin(shadows, &shape->hosts[h], 'h', SPAN(""));
        file_here(shadows, NULL);
        for (size_t p = 0; p < shape->paths_count && shaping_work(&shadows->shaping, 10); p++)
            path_file(shadows, shape, &shape->hosts[h], &shape->paths[p]);
    }
}

/* ---- looking up ---- */

struct question {
    struct shadows *shadows;
    const struct shape *shape;
    size_t by;
};

static void ask_place(struct question *question)
{
    const struct place *place = shaping_work(&question->shadows->shaping, 1)
                                    ? map_get(question->shadows->places, text_span(&question->shadows->key))
                                    : NULL;
    for (const struct candidate *c = place != NULL ? place->first : NULL; c != NULL; c = c->next)
        if (c->shape->number < question->by && shaping_work(&question->shadows->shaping, 4) &&
            shape_covers(&question->shadows->shaping, c->shape, question->shape))
            question->by = c->shape->number;
}

static void ask_values(struct question *question, enum value_kind kind, const struct name_values *values,
                       size_t length)
{
    struct text *key = &question->shadows->key;
    for (size_t i = 0; i < values->count; i++) {
        const char *texts[] = {values->items[i].value, "*", "~"};
        for (size_t k = 0; k < COUNT_OF(texts); k++) {
            if (k != 0 && strcmp(texts[k], texts[0]) == 0)
                continue;
            key->length = length;
            key_value(key, kind, &values->items[i], texts[k]);
            ask_place(question);
        }
    }
}

/* Behind host and path: whatever the wide route is filed under, it follows from what the narrow one wants. */
static void ask_conditions(struct question *question)
{
    struct shadows *shadows = question->shadows;
    const struct match_config *match = question->shape->match;
    size_t length = shadows->key.length;
    if (map_get(shadows->places, text_span(&shadows->key)) == NULL)
        return;
    text_char(&shadows->key, 'n');
    ask_place(question);
    ask_values(question, VALUE_HEADER, &match->header, length);
    ask_values(question, VALUE_QUERY, &match->query, length);
    if (match->methods.count != 0) {
        shadows->key.length = length;
        text_print(&shadows->key, "m%s", match->methods.items[0]);
        ask_place(question);
    }
    if (question->shape->clients.count == 0)
        return;
    const struct network *client = &question->shape->clients.items[0];
    for (unsigned bits = 0; bits <= client->bits; bits++) {
        if (!shadows->bits_used[bits])
            continue;
        shadows->key.length = length;
        key_network(&shadows->key, client, bits);
        ask_place(question);
    }
}

static void ask_path(struct question *question, const struct host_shape *host, char kind, struct span path)
{
    key_begin(question->shadows, host, kind, path);
    ask_conditions(question);
}

/* Under the host: where a route is filed that takes the first path. */
static void ask_paths(struct question *question, const struct host_shape *host)
{
    const struct path_shape *path = &question->shape->paths[0];
    key_begin(question->shadows, host, 'h', SPAN(""));
    if (map_get(question->shadows->places, text_span(&question->shadows->key)) == NULL)
        return;
    ask_path(question, host, 'a', SPAN(""));
    if (path->kind == PATH_ANY)
        return;
    struct span begins = path->kind == PATH_REGEX ? path->begins : path->text;
    if (path->kind == PATH_EXACT) {
        ask_path(question, host, 'e', path->text);
        ask_path(question, host, 'x', SPAN(""));
    } else if (path->kind == PATH_REGEX) {
        ask_path(question, host, 'r', path->text);
    }
    for (size_t i = 0; i <= begins.length; i++) {
        if (question->shadows->begins_used)
            ask_path(question, host, 'b', span_first(begins, i));
        if (i < begins.length && begins.at[i] == '/')
            ask_path(question, host, 'p', span_first(begins, i + 1));
    }
    if (path->kind == PATH_EXACT) { /* "/a/" takes "/a" as well */
        struct span slashed =
            arena_print(question->shadows->shaping.arena, "%.*s/", (int)begins.length, begins.at);
        ask_path(question, host, 'p', slashed);
    }
}

static size_t shadow_find(struct shadows *shadows, const struct shape *shape)
{
    struct question question = {.shadows = shadows, .shape = shape, .by = SIZE_MAX};
    const struct host_shape *host = &shape->hosts[0];
    const struct host_shape any = {.any = true};
    ask_paths(&question, &any);
    if (host->any)
        return question.by;
    ask_paths(&question, host);
    for (size_t i = 0; i < host->name.length; i++)
        if (host->name.at[i] == '.')
            ask_paths(&question,
                      &(struct host_shape){.wildcard = true, .name = span_skip(host->name, i + 1)});
    return question.by;
}

/* ---- all ---- */

static void values_count(struct shadows *shadows, enum value_kind kind, const struct name_values *values)
{
    struct text *key = &shadows->key;
    for (size_t i = 0; i < values->count; i++) {
        key->length = 0;
        key_value(key, kind, &values->items[i], value_class(values->items[i].value));
        uintptr_t count = (uintptr_t)map_get(shadows->wanted, text_span(key));
        map_set(shadows->wanted, text_span(key), (void *)(count + 1));
    }
}

static void bits_note(struct shadows *shadows, const struct networks *clients)
{
    for (size_t i = 0; i < clients->count; i++)
        shadows->bits_used[clients->items[i].bits] = true;
}

void routes_shadowed(const struct route_config *const *routes, size_t count, size_t *by)
{
    struct shadows shadows = {
        .shaping = shaping_begin(), .places = map_new(), .wanted = map_new(), .key = text_growing()};
    for (size_t i = 0; i < count; i++) {
        values_count(&shadows, VALUE_HEADER, &routes[i]->match.header);
        values_count(&shadows, VALUE_QUERY, &routes[i]->match.query);
    }
    for (size_t i = 0; i < count; i++) {
        struct shape *shape = shape_new(&shadows.shaping, &routes[i]->match, i);
        by[i] = SIZE_MAX;
        if (shape == NULL || !shaping_work(&shadows.shaping, 1))
            continue;
        by[i] = shadow_find(&shadows, shape);
        if (by[i] != SIZE_MAX)
            continue; /* what it takes, another one takes already */
        bits_note(&shadows, &shape->clients);
        shape_file(&shadows, shape);
    }
    shaping_end(&shadows.shaping);
    map_free(shadows.wanted);
    map_free(shadows.places);
    text_free(&shadows.key);
}
