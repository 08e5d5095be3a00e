/* What is sent to the server instead of the path and host that came. The result is checked: it begins with
 * '/', and nothing in it can end the request line. What the file made of a request that was right is not the
 * client's fault. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "filter/kinds.h"
#include "filter/location.h"
#include "http/exchange.h"
#include "http/path.h"
#include "http/regex.h"
#include "http/target.h"
#include "http/template.h"

#define CAPTURES 10u

struct rewrite {
    struct template *path, *host;
    struct span strip, strip_decoded; /* as in a route's path: both forms in which it is matched; owned */
    struct span add, replacement;
    struct regex *regex;
    const struct paths_config *paths; /* of the route */
};

static void rewrite_dispose(struct filter *filter)
{
    struct rewrite *rewrite = filter->prepared;
    template_free(rewrite->path);
    template_free(rewrite->host);
    regex_free(rewrite->regex);
    free((void *)(uintptr_t)rewrite->strip.at);
    free((void *)(uintptr_t)rewrite->strip_decoded.at);
    free(rewrite);
}

/* Without slashes at its end. */
static struct span prefix_copy(struct span prefix)
{
    while (prefix.length > 0 && prefix.at[prefix.length - 1] == '/')
        prefix.length--;
    char *copy = xmalloc(prefix.length + 1);
    memcpy(copy, prefix.at, prefix.length);
    return span_make(copy, prefix.length);
}

static bool strip_prepare(struct rewrite *rewrite, const char *text, struct error *error)
{
    struct arena *arena = arena_new_malloc();
    struct span normal = path_of_file(text, arena);
    if (normal.at != NULL) {
        rewrite->strip = prefix_copy(normal);
        rewrite->strip_decoded = prefix_copy(path_decoded(normal, arena));
    }
    arena_free(arena);
    return normal.at != NULL || error_set(error, "no request has a path that begins with \"%s\"", text);
}

static bool rewrite_prepare(struct filter *filter, const struct route_config *route,
                            const struct config *config, struct limiter_set *limiters, struct error *error)
{
    (void)config;
    (void)limiters;
    const struct rewrite_config *settings = route->rewrite;
    if (settings == NULL)
        return true;
    struct rewrite *rewrite = xcalloc(1, sizeof *rewrite);
    filter->prepared = rewrite;
    rewrite->paths = &route->paths;
    if (settings->path != NULL && (rewrite->path = template_new(settings->path, error)) == NULL)
        return false;
    if (settings->host != NULL && (rewrite->host = template_new(settings->host, error)) == NULL)
        return false;
    if (settings->regex != NULL && (rewrite->regex = regex_new(settings->regex, error)) == NULL)
        return false;
    if (settings->strip_prefix != NULL && !strip_prepare(rewrite, settings->strip_prefix, error))
        return false;
    rewrite->add = span_of(settings->add_prefix);
    rewrite->replacement = span_of(settings->replacement != NULL ? settings->replacement : "");
    return true;
}

/* $0 to $9 are captures, $$ is a dollar. */
static struct span replace(const struct rewrite *rewrite, struct exchange *exchange, struct span path,
                           const struct span *captures, unsigned count)
{
    size_t room = path.length + 1;
    for (size_t i = 0; i < rewrite->replacement.length; i++)
        room += rewrite->replacement.at[i] == '$' ? path.length : 1;
    char *at = arena_get_bytes(exchange->arena, room);
    if (at == NULL)
        return SPAN_NONE;
    size_t length = (size_t)(captures[0].at - path.at);
    memcpy(at, path.at, length);
    for (size_t i = 0; i < rewrite->replacement.length; i++) {
        char c = rewrite->replacement.at[i],
             next = i + 1 < rewrite->replacement.length ? rewrite->replacement.at[i + 1] : '\0';
        if (c != '$' || next == '\0') {
            at[length++] = c;
        } else if (next == '$') {
            at[length++] = '$';
            i++;
        } else {
            unsigned number = (unsigned)(next - '0');
            if (number < count && captures[number].length != 0) {
                memcpy(at + length, captures[number].at, captures[number].length);
                length += captures[number].length;
            }
            i++;
        }
    }
    struct span rest = span_skip(path, (size_t)(captures[0].at - path.at) + captures[0].length);
    memcpy(at + length, rest.at, rest.length);
    return span_make(at, length + rest.length);
}

/* Of whole segments; the empty prefix is one of all paths. */
static bool has_prefix(struct span path, struct span prefix)
{
    return span_starts(path, prefix) && (path.length == prefix.length || path.at[prefix.length] == '/');
}

/* Bytes to take off the path; 0: it does not begin with the prefix. */
static size_t strip_length(const struct rewrite *rewrite, struct span path)
{
    if (has_prefix(path, rewrite->strip))
        return rewrite->strip.length;
    return has_prefix(path, rewrite->strip_decoded) ? rewrite->strip_decoded.length : 0;
}

/* One slash at the front: more of them would be a host to some servers (RFC 3986 4.2), and the path that came
 * was routed with one there too. For servers to whom each is one, all stay. */
static struct span one_slash(const struct rewrite *rewrite, struct span path)
{
    while (span_starts(path, SPAN("//")) && rewrite->paths->slashes != PATH_SLASHES_AS_IS)
        path = span_skip(path, 1);
    return path;
}

static struct span strip_and_add(const struct rewrite *rewrite, struct exchange *exchange, struct span path)
{
    size_t stripped = strip_length(rewrite, path);
    struct span rest = span_skip(path, stripped);
    if (stripped != 0)
        rest = one_slash(rewrite, rest);
    struct span add = rewrite->add;
    if (rest.length == 0)
        rest = SPAN("/");
    if (add.length == 0)
        return rest;
    if (add.at[add.length - 1] == '/')
        add.length--;
    return arena_print(exchange->arena, "%.*s%.*s", (int)add.length, add.at, (int)rest.length, rest.at);
}

static bool path_is_fine(struct span path)
{
    if (path.length == 0 || path.at[0] != '/')
        return false;
    for (size_t i = 0; i < path.length; i++)
        if ((unsigned char)path.at[i] <= 0x20 || (unsigned char)path.at[i] >= 0x7f || path.at[i] == '#' ||
            path.at[i] == '?')
            return false;
    return true;
}

static enum verdict fail(struct exchange *exchange, enum failure why)
{
    exchange->answer = (struct answer){.status = failure_info[why].status, .failure = why};
    return VERDICT_ANSWERED;
}

/* Of the path as it goes on or, where the expression is not found there, as the route's servers read it. */
static enum failure replace_found(const struct rewrite *rewrite, struct exchange *exchange, struct span *path)
{
    struct span captures[CAPTURES], from = *path;
    unsigned count = 0;
    enum match match = regex_find(rewrite->regex, from, captures, CAPTURES, &count);
    if (match == MATCH_NO && exchange->target.path.at != from.at) {
        from = exchange->target.path;
        match = regex_find(rewrite->regex, from, captures, CAPTURES, &count);
    }
    if (match == MATCH_YES)
        *path = replace(rewrite, exchange, from, captures, count);
    return match == MATCH_FAILED ? FAILURE_PATTERN_FAILED : FAILURE_NONE;
}

static enum failure rewrite_path(const struct rewrite *rewrite, struct exchange *exchange, struct span *path)
{
    struct span came = *path, read = exchange->target.path;
    enum failure why = FAILURE_NONE;
    if (span_is(came, "*")) /* it is no path */
        return FAILURE_NONE;
    if (rewrite->path != NULL) {
        *path = template_fill(rewrite->path, exchange);
    } else if (rewrite->regex != NULL) {
        why = replace_found(rewrite, exchange, path);
    } else if (rewrite->strip.at != NULL || rewrite->add.at != NULL) {
        bool as_read = strip_length(rewrite, came) == 0 && strip_length(rewrite, read) != 0;
        *path = strip_and_add(rewrite, exchange, as_read ? read : came);
    }
    if (why != FAILURE_NONE || (path->at != NULL && span_equal(*path, came)))
        return why;
    if (path->at == NULL)
        return FAILURE_OVERLOADED;
    *path = path->length == 0 ? SPAN("/") : one_slash(rewrite, *path); /* RFC 9110 4.2.3 */
    return path_is_fine(*path) ? path_check(*path, rewrite->paths, exchange->arena)
                               : location_refuse(exchange, *path);
}

static enum verdict rewrite_request(const struct filter *filter, struct exchange *exchange)
{
    const struct rewrite *rewrite = filter->prepared;
    struct span path = exchange->request.line.request.path;
    enum failure why = rewrite_path(rewrite, exchange, &path);
    if (why != FAILURE_NONE)
        return fail(exchange, why);
    exchange->came_path = exchange->request.line.request.path;
    exchange->request.line.request.path = path;
    if (rewrite->host == NULL)
        return VERDICT_NEXT;
    struct span host = template_fill(rewrite->host, exchange);
    struct target target = {.port = 0};
    if (host.at == NULL)
        return fail(exchange, FAILURE_OVERLOADED);
    why = target_host(&target, host, exchange->arena);
    if (why != FAILURE_NONE)
        return fail(exchange, why == FAILURE_BAD_HOST ? location_refuse(exchange, host) : why);
    exchange->request.line.request.authority = target.authority;
    return VERDICT_NEXT;
}

static void rewrite_explain(const struct filter *filter, const struct exchange *exchange, char *line,
                            size_t room)
{
    struct exchange copy = *exchange;
    enum verdict verdict = rewrite_request(filter, &copy);
    struct span path = copy.request.line.request.path, host = copy.request.line.request.authority;
    if (verdict == VERDICT_NEXT)
        snprintf(line, room, "path %.*s, host %.*s", (int)path.length, path.at, (int)host.length,
                 host.length != 0 ? host.at : "");
    else
        snprintf(line, room, "\"%.*s\" is no path or host: refused with %u", (int)copy.made.length,
                 copy.made.length != 0 ? copy.made.at : "", copy.answer.status);
}

const struct filter_kind filter_rewrite = {
    .name = "rewrite",
    .state = -1,
    .prepare = rewrite_prepare,
    .dispose = rewrite_dispose,
    .request = rewrite_request,
    .ask = rewrite_request,
    .explain = rewrite_explain,
};
