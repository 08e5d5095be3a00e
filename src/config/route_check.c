/* What no single key of a route can say: one action each, keys that exclude each other, routes that are never
 * reached.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/text.h"
#include "config/config.h"
#include "config/config_schema.h"

enum { BODY_FILE_MOST = 1 << 20 };

struct routes {
    const struct schema_document *document;
    struct arena *arena;
    struct schema_report *report;
    struct map *names;    /* to the first route of each */
    struct map *patterns; /* regular expressions that were looked at */
};

#define PLACE(routes_, field_) schema_place((routes_)->document, (field_))
#define PLACE_KEY(routes_, field_) schema_place_key((routes_)->document, (field_))
#define PLACE_SECTION(routes_, section_) schema_place_section((routes_)->document, (section_))

static struct key_part key_part_of(const char *text)
{
    static const struct {
        const char *text;
        enum key_part_kind kind;
        bool has_name;
    } parts[] = {{"client.ip", KEY_CLIENT_IP, false}, {"host", KEY_HOST, false},
                 {"path", KEY_PATH, false},           {"method", KEY_METHOD, false},
                 {"header:", KEY_HEADER, true},       {"cookie:", KEY_COOKIE, true},
                 {"query:", KEY_QUERY, true}};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        size_t length = strlen(parts[i].text);
        if (parts[i].has_name && strncmp(text, parts[i].text, length) == 0)
            return (struct key_part){parts[i].kind, text + length};
        if (!parts[i].has_name && strcmp(text, parts[i].text) == 0)
            return (struct key_part){parts[i].kind, NULL};
    }
    assert(false); /* the check of the row lets no other text through */
    return (struct key_part){KEY_CLIENT_IP, NULL};
}

struct key_part *key_parts_of(const struct texts *key, size_t *count, struct arena *arena)
{
    struct key_part *parts = arena_get(arena, (key->count + 1) * sizeof(*parts));
    assert(parts != NULL);
    for (*count = 0; *count < key->count; ++*count)
        parts[*count] = key_part_of(key->items[*count]);
    return parts;
}

static void actions_check(const struct routes *routes, const struct route_config *route)
{
    int given = (route->pool_count != 0) + (route->redirect != NULL) + (route->respond != NULL);
    if (given == 1 || (given == 0 && schema_is_broken(routes->document, route)))
        return;
    if (given == 0) {
        schema_report_add(routes->report, SCHEMA_ERROR, PLACE_SECTION(routes, route),
                          "%s%s has no action; give it pool, redirect or respond",
                          route->named ? "route " : "", route->name);
        return;
    }
    const struct schema_place pool = PLACE_KEY(routes, &route->pool),
                              redirect = PLACE_KEY(routes, &route->redirect),
                              respond = PLACE_KEY(routes, &route->respond);
    struct schema_place first = pool.source != NULL ? pool : redirect,
                        second = respond.source != NULL ? respond : redirect;
    schema_report_add(routes->report, SCHEMA_ERROR, second, "a route has one action; this is a second");
    schema_report_add(routes->report, SCHEMA_NOTE, first, "this is the first");
}

static void weights_check(const struct routes *routes, const struct route_config *route)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < route->pool_count; i++)
        sum += route->pool[i].weight;
    if (route->pool_count != 0 && sum == 0)
        schema_report_add(routes->report, SCHEMA_ERROR, PLACE(routes, &route->pool),
                          "the weights of the pools are all 0");
}

static void rewrite_check(const struct routes *routes, const struct rewrite_config *rewrite,
                          const struct texts *paths)
{
    struct error error = {""};
    int ways = (rewrite->path != NULL) + (rewrite->strip_prefix != NULL || rewrite->add_prefix != NULL) +
               (rewrite->regex != NULL);
    if (ways > 1)
        schema_report_add(
            routes->report, SCHEMA_ERROR, PLACE_SECTION(routes, rewrite),
            "a rewrite gives one of path, regex, or strip_prefix and add_prefix; the others would have no effect");
    if (schema_is_broken(routes->document, rewrite))
        return;
    if (rewrite->strip_prefix != NULL && config_hooks.path != NULL &&
        !config_hooks.path(rewrite->strip_prefix, &error))
        schema_report_add(routes->report, SCHEMA_ERROR, PLACE(routes, &rewrite->strip_prefix), "%s",
                          error.text);
    if ((rewrite->regex == NULL) != (rewrite->replacement == NULL))
        schema_report_add(routes->report, SCHEMA_ERROR, PLACE_SECTION(routes, rewrite),
                          "regex and replacement are given together or not at all");
    else if (rewrite->regex != NULL && config_hooks.groups != NULL &&
             !replacement_check(rewrite->regex, rewrite->replacement, config_hooks.groups(rewrite->regex),
                                &error))
        schema_report_add(routes->report, SCHEMA_ERROR, PLACE(routes, &rewrite->replacement), "%s",
                          error.text);
    else if (rewrite->regex != NULL &&
             !replacement_doubt(rewrite->regex, rewrite->replacement, paths, &error))
        schema_report_add(routes->report, SCHEMA_WARNING, PLACE(routes, &rewrite->replacement), "%s",
                          error.text);
}

static void redirect_check(const struct routes *routes, const struct redirect_config *redirect)
{
    bool parts =
        redirect->scheme != NULL || redirect->host != NULL || redirect->path != NULL || redirect->port != 0;
    if (redirect->to != NULL && parts)
        schema_report_add(routes->report, SCHEMA_ERROR, PLACE(routes, &redirect->to),
                          "\"to\" is the whole location; scheme, host, path and port cannot stand beside it");
    if (redirect->to == NULL && !parts && !schema_is_broken(routes->document, redirect))
        schema_report_add(
            routes->report, SCHEMA_ERROR, PLACE_SECTION(routes, redirect),
            "a redirect that changes nothing never ends; give it to, scheme, host, path or port");
}

/* What is by that scheme already would be sent to where it is: behind a proxy that ends TLS such a redirect
 * never ended.
 */
static void redirect_derive(struct route_config *route)
{
    const struct redirect_config *redirect = route->redirect;
    if (redirect != NULL && redirect->to == NULL && redirect->host == NULL && redirect->path == NULL)
        route->match.unless_scheme = redirect->scheme;
}

/* By nginx's 444 no answer is meant. */
void status_doubt(const uint64_t *status, const struct schema_document *document,
                  struct schema_report *report)
{
    if (*status == 444)
        schema_report_add(
            report, SCHEMA_WARNING, schema_place(document, status),
            "444 is sent to clients as it stands, where nginx closes the connection, which weir "
            "does for no status; write one that clients know, such as 403");
}

static void respond_check(const struct routes *routes, const struct respond_config *respond)
{
    struct stat status;
    status_doubt(&respond->status, routes->document, routes->report);
    bool no_body = respond->status == 204 || respond->status == 205 || respond->status == 304;
    if (no_body && (respond->body[0] != '\0' || respond->file != NULL))
        schema_report_add(routes->report, SCHEMA_ERROR, PLACE_SECTION(routes, respond),
                          "an answer with status %d has no body", (int)respond->status);
    if (respond->file == NULL)
        return;
    if (respond->body[0] != '\0')
        schema_report_add(routes->report, SCHEMA_ERROR, PLACE(routes, &respond->file),
                          "body and file exclude each other");
    bool is_read = file_check(&respond->file, routes->document, routes->report);
    if (is_read && stat(respond->file, &status) == 0 && status.st_size > BODY_FILE_MOST)
        schema_report_add(
            routes->report, SCHEMA_ERROR, PLACE(routes, &respond->file),
            "%s has %llu bytes, and a body at most 1 MiB; put a file server into a pool for larger ones",
            respond->file, (unsigned long long)status.st_size);
}

static void access_check(const struct routes *routes, const struct access_config *access)
{
    status_doubt(&access->status, routes->document, routes->report);
    if (access->allow.count == 0 && access->deny.count == 0 && !schema_is_broken(routes->document, access))
        schema_report_add(routes->report, SCHEMA_WARNING, PLACE_SECTION(routes, access),
                          "access has neither allow nor deny and refuses nobody");
    for (size_t i = 0; i < access->allow.count; i++)
        for (size_t j = 0; j < access->deny.count; j++)
            if (network_has(access->deny.items[j], access->allow.items[i]))
                schema_report_add(routes->report, SCHEMA_WARNING, PLACE(routes, &access->allow.items[i]),
                                  "\"%s\" is allowed nothing: deny is looked at first, and has \"%s\"",
                                  access->allow.items[i], access->deny.items[j]);
}

/* What is named twice is counted twice. */
static void limits_check(const struct routes *routes, const struct texts *limits)
{
    for (size_t i = 1; i < limits->count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(limits->items[i], limits->items[j]) == 0)
                schema_report_add(
                    routes->report, SCHEMA_WARNING, PLACE(routes, &limits->items[i]),
                    "rate limit \"%s\" is named twice, and counts each request twice; name it once",
                    limits->items[i]);
}

/* One pool that is meant twice is mostly two that are meant. */
static void pools_check(const struct routes *routes, const struct route_config *route)
{
    const char *shadow = route->mirror != NULL ? route->mirror->pool : NULL;
    for (size_t i = 0; i < route->pool_count; i++) {
        const char *name = route->pool[i].name;
        if (name == NULL)
            continue;
        for (size_t j = 0; j < i; j++)
            if (route->pool[j].name != NULL && strcmp(name, route->pool[j].name) == 0) {
                schema_report_add(routes->report, SCHEMA_WARNING, PLACE(routes, &route->pool[i].name),
                                  "pool \"%s\" is named twice; name it once, with the sum of the weights",
                                  name);
                break;
            }
        if (shadow != NULL && strcmp(name, shadow) == 0)
            schema_report_add(routes->report, SCHEMA_WARNING, PLACE(routes, &route->mirror->pool),
                              "\"%s\" serves the requests already, and would have each of them twice; copies "
                              "go to another pool",
                              shadow);
    }
}

static bool match_is_empty(const struct match_config *match)
{
    return match->unless_scheme == NULL && match->host.count + match->path.count + match->methods.count +
                                                   match->client.count + match->header.count +
                                                   match->query.count ==
                                               0;
}

/* The routes below one that takes everything are told of once, not one by one; `left` counts it too. */
static void shadow_tell(const struct routes *routes, const struct route_config *route, size_t left)
{
    if (left == 2)
        schema_report_add(routes->report, SCHEMA_WARNING, PLACE_SECTION(routes, route + 1),
                          "this route is never reached; the one above it matches every request");
    else if (left == 3)
        schema_report_add(
            routes->report, SCHEMA_WARNING, PLACE_SECTION(routes, route + 1),
            "this route and the one below it are never reached; the one above matches every request");
    else
        schema_report_add(
            routes->report, SCHEMA_WARNING, PLACE_SECTION(routes, route + 1),
            "this route and the %zu below it are never reached; the one above matches every request",
            left - 2);
    schema_report_add(routes->report, SCHEMA_NOTE, PLACE_SECTION(routes, route), "it is this one");
}

/* Of the routes that one route shadows so many are told one by one; those behind them are counted. */
#define SHADOWED_TOLD 8u

/* "route 3", or 'route "api"'. */
static const char *route_title(const struct routes *routes, const struct route_config *route)
{
    struct span title = arena_print(routes->arena, route->named ? "route \"%s\"" : "%s", route->name);
    return title.at != NULL ? title.at : route->name;
}

static void shadowed_tell(const struct routes *routes, const struct route_config *route, size_t others,
                          const struct route_config *by)
{
    const char *title = route_title(routes, route), *above = route_title(routes, by);
    if (others == 0)
        schema_report_add(routes->report, SCHEMA_WARNING, PLACE_SECTION(routes, route),
                          "%s is never reached; %s above it matches all that it does", title, above);
    else
        schema_report_add(routes->report, SCHEMA_WARNING, PLACE_SECTION(routes, route),
                          "%s and %zu more below it are never reached; %s above matches all that they do",
                          title, others, above);
    schema_report_add(routes->report, SCHEMA_NOTE, PLACE_SECTION(routes, by), "it is this one");
}

/* Routes with errors may not say yet what they will match. */
static size_t routes_to_look_at(const struct routes *routes, const struct route_config *list, size_t count,
                                const struct route_config **found)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (!schema_is_broken(routes->document, &list[i]) && list[i].match.unless_scheme == NULL)
            found[kept++] = &list[i]; /* one that passes a scheme over takes no other's place */
    return kept;
}

/* Up to the first route that takes everything. */
static void shadows_check(const struct routes *routes, const struct route_config *list, size_t count)
{
    if (config_hooks.shadowed == NULL || count < 2)
        return;
    const struct route_config **looked = xcalloc(count, sizeof(struct route_config *));
    size_t kept = routes_to_look_at(routes, list, count, looked);
    size_t *by = xcalloc(kept + 1, sizeof *by), *all = xcalloc(kept + 1, sizeof *all),
           *told = xcalloc(kept + 1, sizeof *told);
    config_hooks.shadowed(looked, kept, by);
    for (size_t i = 0; i < kept; i++)
        if (by[i] != SIZE_MAX)
            all[by[i]]++;
    for (size_t i = 0; i < kept; i++) {
        if (by[i] == SIZE_MAX || told[by[i]] == SHADOWED_TOLD)
            continue;
        bool last = ++told[by[i]] == SHADOWED_TOLD;
        shadowed_tell(routes, looked[i], last ? all[by[i]] - SHADOWED_TOLD : 0, looked[by[i]]);
    }
    free(told);
    free(all);
    free(by);
    free(looked);
}

static void reach_check(const struct routes *routes, const struct route_config *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!match_is_empty(&list[i].match) || schema_is_broken(routes->document, &list[i]))
            continue;
        shadows_check(routes, list, i);
        if (i + 1 < count)
            shadow_tell(routes, &list[i], count - i);
        return;
    }
    shadows_check(routes, list, count);
}

/* Logs and explain tell routes by their names. */
static void name_check(const struct routes *routes, const struct route_config *route)
{
    struct route_config *first = map_get(routes->names, span_of(route->name));
    if (first == NULL) {
        map_set(routes->names, span_of(route->name), (void *)(uintptr_t)route);
        return;
    }
    schema_report_add(routes->report, SCHEMA_WARNING, PLACE(routes, &route->name),
                      "another route has the name \"%s\" too, so the log can't tell them apart", route->name);
    schema_report_add(routes->report, SCHEMA_NOTE, PLACE(routes, &first->name), "it is here");
}

/* Each pattern is told of once, at the first of its places. */
static void pattern_check(const struct routes *routes, const char *pattern, struct schema_place place)
{
    struct error error;
    if (pattern == NULL || config_hooks.regex_sound == NULL ||
        map_get(routes->patterns, span_of(pattern)) != NULL)
        return;
    map_set(routes->patterns, span_of(pattern), routes->patterns);
    if (!config_hooks.regex_sound(pattern, &error))
        schema_report_add(routes->report, SCHEMA_WARNING, place, "%s", error.text);
}

static void values_check(const struct routes *routes, const struct name_values *values)
{
    for (size_t i = 0; i < values->count; i++)
        if (values->items[i].value[0] == '~')
            pattern_check(routes, values->items[i].value + 1, PLACE(routes, values));
}

static void patterns_check(const struct routes *routes, const struct route_config *route)
{
    const struct match_config *match = &route->match;
    for (size_t i = 0; i < match->path.count; i++)
        if (match->path.items[i][0] == '~')
            pattern_check(routes, match->path.items[i] + 1, PLACE(routes, &match->path));
    values_check(routes, &match->header);
    values_check(routes, &match->query);
    if (route->rewrite != NULL)
        pattern_check(routes, route->rewrite->regex, PLACE(routes, &route->rewrite->regex));
}

static void pools_split_check(const struct routes *routes, struct route_config *route)
{
    split_check(route->split, routes->document, routes->arena, routes->report);
    if (route->pool_count < 2)
        schema_report_add(routes->report, SCHEMA_WARNING, PLACE_KEY(routes, &route->split),
                          "split has no effect on a route without several pools");
}

static void upgrades_check(const struct routes *routes, struct route_config *route)
{
    const struct texts *upgrades = &route->upgrades;
    route->no_upgrades = upgrades->count == 1 && strcasecmp(upgrades->items[0], "none") == 0;
    for (size_t i = 0; upgrades->count > 1 && i < upgrades->count; i++)
        if (strcasecmp(upgrades->items[i], "none") == 0)
            schema_report_add(routes->report, SCHEMA_ERROR, PLACE(routes, &upgrades->items[i]),
                              "none stands alone: no upgrade passes then");
}

/* Whether a request that the pattern takes can have a path that begins with the prefix; whole: in whole
 * segments. Of a regular expression that is not known, so it may. */
static bool may_begin(const char *pattern, struct span prefix, bool whole)
{
    struct span path = span_of(pattern);
    if (pattern[0] == '~' || span_find(path, '%') < path.length || span_find(prefix, '%') < prefix.length)
        return true;
    bool below = path.at[path.length - 1] == '/'; /* or the path itself, without the slash */
    if (whole && prefix.length != 0 && prefix.at[prefix.length - 1] == '/')
        prefix.length--;
    bool longer = span_starts(path, prefix) &&
                  (!whole || path.length == prefix.length || path.at[prefix.length] == '/');
    return longer || (below && span_starts(prefix, path));
}

/* What a regular expression finds begins with this text; none: anything may. */
static struct span regex_beginning(const char *regex)
{
    if (regex[0] != '^' || strchr(regex, '|') != NULL)
        return SPAN_NONE;
    size_t length = strspn(regex + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_-");
    if (length != 0 && regex[1 + length] != '\0' && strchr("*?{", regex[1 + length]) != NULL)
        length--;
    return span_make(regex + 1, length);
}

/* A rewrite of a path that the route does not take changes nothing. */
static void rewrite_reach_check(const struct routes *routes, const struct route_config *route)
{
    const struct rewrite_config *rewrite = route->rewrite;
    bool strips = rewrite->strip_prefix != NULL;
    const char *const *field = strips ? &rewrite->strip_prefix : &rewrite->regex;
    if (*field == NULL || route->match.path.count == 0 || schema_is_broken(routes->document, route))
        return;
    if (PLACE_KEY(routes, &route->rewrite).source == NULL)
        return; /* of defaults, which is meant for those whom it fits */
    struct span prefix = strips ? span_of(*field) : regex_beginning(*field);
    for (size_t i = 0; i < route->match.path.count; i++)
        if (may_begin(route->match.path.items[i], prefix, strips))
            return;
    schema_report_add(
        routes->report, SCHEMA_WARNING, PLACE(routes, field),
        strips
            ? "strip_prefix has no effect: no path of this route begins with \"%s\"; write that of the route"
            : "regex has no effect: no path of this route begins as \"%s\" wants; write that of the route",
        *field);
}

/* HTTP/1's is refused before routes are looked at, and what it asks for over HTTP/2 goes on as HTTP/1 would
 * ask. */
static void methods_check(const struct routes *routes, const struct texts *methods)
{
    for (size_t i = 0; i < methods->count; i++)
        if (strcmp(methods->items[i], "CONNECT") == 0)
            schema_report_add(
                routes->report, SCHEMA_WARNING, PLACE(routes, &methods->items[i]),
                "no request is a CONNECT here; a WebSocket over HTTP/2 is a GET, and is matched by "
                "header: { Upgrade: websocket }");
}

/* All cookies of a request stand in one header, and are compared as one. */
static void cookies_check(const struct routes *routes, const struct name_values *headers)
{
    for (size_t i = 0; i < headers->count; i++) {
        const char *value = headers->items[i].value;
        if (strcasecmp(headers->items[i].name, "Cookie") == 0 && value[0] != '~' && strcmp(value, "*") != 0)
            schema_report_add(
                routes->report, SCHEMA_WARNING, PLACE(routes, headers),
                "\"%s\" is compared with all cookies of a request at once; for one among others "
                "write Cookie: \"~(^|; )NAME=VALUE(;|$)\"",
                value);
    }
}

static void route_check(struct routes *routes, struct route_config *route)
{
    cookies_check(routes, &route->match.header);
    methods_check(routes, &route->match.methods);
    actions_check(routes, route);
    upgrades_check(routes, route);
    weights_check(routes, route);
    if (route->rewrite != NULL) {
        rewrite_check(routes, route->rewrite, &route->match.path);
        rewrite_reach_check(routes, route);
    }
    if (route->redirect != NULL)
        redirect_check(routes, route->redirect);
    redirect_derive(route);
    if (route->respond != NULL)
        respond_check(routes, route->respond);
    if (route->access != NULL)
        access_check(routes, route->access);
    limits_check(routes, &route->rate_limit);
    if (route->in_flight != NULL)
        status_doubt(&route->in_flight->status, routes->document, routes->report);
    if (route->in_flight != NULL && route->in_flight->parts == NULL)
        route->in_flight->parts =
            key_parts_of(&route->in_flight->key, &route->in_flight->parts_count, routes->arena);
    if (route->split != NULL)
        pools_split_check(routes, route);
    if (route->hedge != NULL && route->pool_count == 0)
        schema_report_add(routes->report, SCHEMA_WARNING, PLACE_KEY(routes, &route->hedge),
                          "only requests that go to a pool are hedged; this has no effect here");
    pools_check(routes, route);
    if (route->mirror != NULL && route->pool_count == 0)
        schema_report_add(routes->report, SCHEMA_WARNING, PLACE_KEY(routes, &route->mirror),
                          "only requests that go to a pool are mirrored; this has no effect here");
    patterns_check(routes, route);
}

void routes_check(struct route_config *list, size_t count, const struct schema_document *document,
                  struct arena *arena, struct schema_report *report)
{
    struct routes routes = {
        .document = document, .arena = arena, .report = report, .names = map_new(), .patterns = map_new()};
    for (size_t i = 0; i < count; i++) {
        list[i].named = list[i].name != NULL;
        if (list[i].named) {
            name_check(&routes, &list[i]);
        } else {
            struct span name = arena_print(arena, "route %zu", i + 1);
            assert(name.at != NULL);
            list[i].name = name.at;
        }
        route_check(&routes, &list[i]);
    }
    reach_check(&routes, list, count);
    map_free(routes.names);
    map_free(routes.patterns);
}
