/* Explaining: the plain reading of one route, without the tables. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "http/exchange.h"
#include "http/path.h"
#include "http/regex.h"
#include "route/condition.h"
#include "route/router_tables.h"

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
    struct regex *regex = regex_new_plain(pattern, NULL);
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
        struct span normal = path_of_file(patterns->items[i], arena);
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
