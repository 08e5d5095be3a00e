/*
 * A route takes a product of sets: hosts, paths, methods, clients, and what headers and query parameters must
 * be. So one takes all that another does when it does so in each of them.
 */
#include "route/shape.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"
#include "config/route_config.h"
#include "http/path.h"
#include "http/regex.h"
#include "route/request_values.h"
#include "route/router_tables.h"

/* Hosts times paths of routes included: past it nothing more is compared. */
#define WORK_MOST 20000000u

struct shaping shaping_begin(void)
{
    return (struct shaping){.arena = arena_new_malloc(), .regexes = map_new()};
}

void shaping_end(struct shaping *shaping)
{
    size_t at = 0;
    struct span pattern;
    void *regex;
    while (map_next(shaping->regexes, &at, &pattern, &regex))
        regex_free(regex);
    map_free(shaping->regexes);
    arena_free(shaping->arena);
}

void *shaping_get(struct shaping *shaping, size_t size)
{
    void *memory = arena_get_zeroed(shaping->arena, size);
    if (memory == NULL)
        die("out of memory");
    return memory;
}

bool shaping_work(struct shaping *shaping, uint64_t steps)
{
    shaping->work += steps;
    return shaping->work <= WORK_MOST;
}

/* ---- shapes ---- */

static bool is_literal(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("/-_~%:@!&',;= \"<>`", c) != NULL);
}

/* "^/v1/": what it begins with. Of alternatives nothing is known, of a character that may be missing neither.
 */
static void regex_shape(struct path_shape *shape, const char *pattern)
{
    const char *at = pattern + (*pattern == '^');
    size_t length = 0;
    shape->text = shape->decoded = span_of(pattern);
    shape->begins = SPAN("");
    while (is_literal(at[length]))
        length++;
    const char *rest = at + length;
    bool nothing_more = *rest == '\0' || strcmp(rest, ".*") == 0 || strcmp(rest, ".*$") == 0;
    if (*pattern != '^') { /* found anywhere: in all paths, when it is in what all begin with */
        shape->all_that_begin = nothing_more && (length == 0 || (length == 1 && *at == '/'));
        return;
    }
    if (!nothing_more && (strchr(pattern, '|') != NULL || strchr("*?{", *rest) != NULL))
        length -= length != 0;
    if (strchr(pattern, '|') != NULL)
        length = 0;
    shape->begins = span_make(at, length);
    shape->all_that_begin = nothing_more;
}

static bool paths_shape(struct shaping *shaping, struct shape *shape)
{
    const struct texts *paths = &shape->match->path;
    shape->paths_count = paths->count != 0 ? paths->count : 1;
    shape->paths = shaping_get(shaping, shape->paths_count * sizeof *shape->paths);
    for (size_t i = 0; i < paths->count; i++) {
        struct path_shape *path = &shape->paths[i];
        const char *text = paths->items[i];
        if (text[0] == '~') {
            path->kind = PATH_REGEX;
            regex_shape(path, text + 1);
            continue;
        }
        path->text = path_of_file(text, shaping->arena);
        if (path->text.at == NULL)
            return false;
        path->decoded = path_decoded(path->text, shaping->arena);
        path->kind = path->text.at[path->text.length - 1] == '/' ? PATH_PREFIX : PATH_EXACT;
    }
    return true;
}

static bool hosts_shape(struct shaping *shaping, struct shape *shape)
{
    const struct texts *hosts = &shape->match->host;
    shape->hosts_count = hosts->count != 0 ? hosts->count : 1;
    shape->hosts = shaping_get(shaping, shape->hosts_count * sizeof *shape->hosts);
    shape->hosts[0].any = hosts->count == 0;
    for (size_t i = 0; i < hosts->count; i++) {
        char room[HOST_ROOM];
        if (strlen(hosts->items[i]) > HOST_ROOM)
            return false;
        bool wildcard = strncmp(hosts->items[i], "*.", 2) == 0;
        shape->hosts[i].wildcard = wildcard;
        shape->hosts[i].name =
            arena_copy(shaping->arena, host_normal(hosts->items[i] + (wildcard ? 2 : 0), room));
    }
    return true;
}

static bool clients_shape(struct shaping *shaping, struct shape *shape)
{
    const struct texts *clients = &shape->match->client;
    struct error error;
    shape->clients.items = shaping_get(shaping, (clients->count + 1) * sizeof *shape->clients.items);
    for (size_t i = 0; i < clients->count; i++, shape->clients.count++)
        if (!network_parse(&shape->clients.items[i], clients->items[i], &error))
            return false;
    return true;
}

struct shape *shape_new(struct shaping *shaping, const struct match_config *match, size_t number)
{
    struct shape *shape = shaping_get(shaping, sizeof *shape);
    *shape = (struct shape){.match = match, .number = number};
    return hosts_shape(shaping, shape) && paths_shape(shaping, shape) && clients_shape(shaping, shape) ? shape
                                                                                                       : NULL;
}

/* ---- one takes all that another does ---- */

static bool host_covers(const struct host_shape *wide, const struct host_shape *narrow)
{
    if (wide->any || narrow->any)
        return wide->any;
    if (!wide->wildcard)
        return !narrow->wildcard && span_equal(wide->name, narrow->name);
    size_t length = wide->name.length;
    if (narrow->wildcard && span_equal(wide->name, narrow->name))
        return true;
    return narrow->name.length > length && narrow->name.at[narrow->name.length - length - 1] == '.' &&
           span_equal(span_skip(narrow->name, narrow->name.length - length), wide->name);
}

static struct regex *regex_of(struct shaping *shaping, struct span pattern)
{
    struct regex *regex = map_get(shaping->regexes, pattern);
    if (regex == NULL && (regex = regex_new_plain(pattern.at, NULL)) != NULL)
        map_set(shaping->regexes, pattern, regex);
    return regex;
}

static bool regex_matches(struct shaping *shaping, struct span pattern, struct span text)
{
    struct regex *regex = shaping_work(shaping, 20) ? regex_of(shaping, pattern) : NULL;
    return regex != NULL && regex_match(regex, text) == MATCH_YES;
}

/* What every path begins with that a prefix matches in one of its forms: "/a" of "/a/". */
static struct span prefix_begins(struct span prefix)
{
    return prefix.length > 1 ? span_first(prefix, prefix.length - 1) : prefix;
}

/* In the form `text` of it. */
static bool path_covers_form(struct shaping *shaping, const struct path_shape *wide,
                             const struct path_shape *narrow, struct span text)
{
    struct span begins = narrow->kind == PATH_PREFIX  ? prefix_begins(text)
                         : narrow->kind == PATH_REGEX ? narrow->begins
                                                      : text;
    switch (wide->kind) {
    case PATH_ANY:
        return true;
    case PATH_EXACT:
        return narrow->kind == PATH_EXACT &&
               (span_equal(wide->text, text) || span_equal(wide->decoded, text));
    case PATH_PREFIX:
        if (narrow->kind == PATH_EXACT &&
            (span_equal(prefix_begins(wide->text), text) || span_equal(prefix_begins(wide->decoded), text)))
            return true;
        begins = narrow->kind == PATH_PREFIX ? text : begins;
        return span_starts(begins, wide->text) || span_starts(begins, wide->decoded);
    case PATH_REGEX:
        if (narrow->kind == PATH_REGEX && span_equal(wide->text, narrow->text))
            return true;
        if (narrow->kind == PATH_EXACT)
            return regex_matches(shaping, wide->text, text);
        return wide->all_that_begin && begins.length != 0 && span_starts(begins, wide->begins);
    }
    return false;
}

static bool path_covers(struct shaping *shaping, const struct path_shape *wide,
                        const struct path_shape *narrow)
{
    if (narrow->kind == PATH_ANY)
        return wide->kind == PATH_ANY;
    return path_covers_form(shaping, wide, narrow, narrow->text) &&
           (span_equal(narrow->text, narrow->decoded) ||
            path_covers_form(shaping, wide, narrow, narrow->decoded));
}

static bool hosts_cover(struct shaping *shaping, const struct shape *wide, const struct shape *narrow)
{
    for (size_t i = 0; i < narrow->hosts_count; i++) {
        size_t k = 0;
        while (k < wide->hosts_count && shaping_work(shaping, 1) &&
               !host_covers(&wide->hosts[k], &narrow->hosts[i]))
            k++;
        if (k == wide->hosts_count || !shaping_work(shaping, 0))
            return false;
    }
    return true;
}

static bool paths_cover(struct shaping *shaping, const struct shape *wide, const struct shape *narrow)
{
    for (size_t i = 0; i < narrow->paths_count; i++) {
        size_t k = 0;
        while (k < wide->paths_count && shaping_work(shaping, 1) &&
               !path_covers(shaping, &wide->paths[k], &narrow->paths[i]))
            k++;
        if (k == wide->paths_count || !shaping_work(shaping, 0))
            return false;
    }
    return true;
}

static bool methods_cover(const struct texts *wide, const struct texts *narrow)
{
    for (size_t i = 0; i < narrow->count; i++) {
        size_t k = 0;
        while (k < wide->count && strcmp(wide->items[k], narrow->items[i]) != 0)
            k++;
        if (k == wide->count)
            return wide->count == 0;
    }
    return narrow->count != 0 || wide->count == 0;
}

static bool network_covers(const struct network *wide, const struct network *narrow)
{
    struct networks one = {.count = 1, .items = (struct network *)(uintptr_t)wide};
    struct ip_address first = {.family = narrow->family};
    memcpy(first.bytes, narrow->bytes, sizeof narrow->bytes);
    return wide->bits <= narrow->bits && networks_contain(&one, &first);
}

static bool clients_cover(struct shaping *shaping, const struct networks *wide, const struct networks *narrow)
{
    for (size_t i = 0; i < narrow->count; i++) {
        size_t k = 0;
        while (k < wide->count && shaping_work(shaping, 1) &&
               !network_covers(&wide->items[k], &narrow->items[i]))
            k++;
        if (k == wide->count || !shaping_work(shaping, 0))
            return wide->count == 0;
    }
    return narrow->count != 0 || wide->count == 0;
}

static bool same_name(enum value_kind kind, const struct name_value *a, const struct name_value *b)
{
    return kind == VALUE_HEADER ? span_equal_nocase(span_of(a->name), span_of(b->name))
                                : strcmp(a->name, b->name) == 0;
}

/* Whether what passes `narrow` passes `wide`. */
static bool value_covers(struct shaping *shaping, const char *wide, const char *narrow)
{
    if (strcmp(wide, "*") == 0 || strcmp(wide, narrow) == 0)
        return true;
    return wide[0] == '~' && narrow[0] != '~' && strcmp(narrow, "*") != 0 &&
           regex_matches(shaping, span_of(wide + 1), span_of(narrow));
}

/* Each that the wide one wants must follow from one that the narrow one wants. */
static bool values_cover(struct shaping *shaping, enum value_kind kind, const struct name_values *wide,
                         const struct name_values *narrow)
{
    for (size_t i = 0; i < wide->count; i++) {
        size_t k = 0;
        while (k < narrow->count && shaping_work(shaping, 1) &&
               !(same_name(kind, &wide->items[i], &narrow->items[k]) &&
                 value_covers(shaping, wide->items[i].value, narrow->items[k].value)))
            k++;
        if (k == narrow->count || !shaping_work(shaping, 0))
            return false;
    }
    return true;
}

bool shape_covers(struct shaping *shaping, const struct shape *wide, const struct shape *narrow)
{
    const struct match_config *a = wide->match, *b = narrow->match;
    return methods_cover(&a->methods, &b->methods) &&
           values_cover(shaping, VALUE_HEADER, &a->header, &b->header) &&
           values_cover(shaping, VALUE_QUERY, &a->query, &b->query) &&
           clients_cover(shaping, &wide->clients, &narrow->clients) && hosts_cover(shaping, wide, narrow) &&
           paths_cover(shaping, wide, narrow);
}
