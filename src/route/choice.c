/*
 * Almost every path can be read in one way, and costs one search. Others are searched for in each reading: a
 * rule that some server's reading would meet must not be passed by with another spelling.
 */
#include "route/choice.h"

#include "base/arena.h"
#include "base/span.h"
#include "http/exchange.h"
#include "http/path.h"
#include "http/regex.h"
#include "route/router.h"

/* What the regular expressions of all readings together may cost, in the steps of http/regex.h: so much, and
 * so many times what they took for the path as it came. */
#define READINGS_WORK 64000000u
#define READINGS_WORK_TIMES 8u

static const struct paths_config *paths_of(const struct route *route)
{
    static const struct paths_config any;
    return route != NULL ? &route->config->paths : &any;
}

static const char *name_of(const struct route *route)
{
    return route != NULL ? route->config->name : NULL;
}

/* Whether all readings of `path` take the route that the first one takes. */
static enum failure readings_agree(const struct router *router, struct exchange *x, struct span path,
                                   const struct paths_config *paths, const struct route **route)
{
    struct path_readings readings;
    struct span text;
    enum path_step step;
    char *room = arena_get_bytes(x->arena, path.length + 1);
    if (room == NULL)
        return FAILURE_OVERLOADED;
    path_readings_begin(&readings, path, path_marks(path), paths, room);
    while ((step = path_readings_next(&readings, &text)) == PATH_READING) {
        struct route_found found = router_find(router, x, text);
        if (found.failed) {
            x->route = found.route;
            return FAILURE_PATTERN_FAILED;
        }
        if (readings.count == 1)
            *route = found.route;
        if (found.route == *route)
            continue;
        x->misreading =
            (struct misreading){.path = arena_copy(x->arena, text), .route = name_of(found.route)};
        return FAILURE_PATH_AMBIGUOUS;
    }
    return step == PATH_END      ? FAILURE_NONE
           : step == PATH_CLIMBS ? FAILURE_BAD_TARGET
                                 : FAILURE_PATH_AMBIGUOUS;
}

/* The same, and it is this route. */
static enum failure readings_take(const struct router *router, struct exchange *x, struct span path,
                                  const struct route *route)
{
    const struct route *taken;
    enum failure why = readings_agree(router, x, path, paths_of(route), &taken);
    if (why == FAILURE_NONE && taken != route) {
        x->misreading = (struct misreading){.path = path, .route = name_of(taken)};
        why = FAILURE_PATH_AMBIGUOUS;
    }
    return why;
}

/* What servers that read as `paths` says read of it. */
static struct span read_by(struct exchange *x, struct span path, const struct paths_config *paths)
{
    char *room = arena_get_bytes(x->arena, path.length + 1);
    return room != NULL ? path_read(path, paths, room) : SPAN_NONE;
}

/*
 * The servers of the route that the path takes as it came read it so that it is another route's. That one's
 * servers must read it as theirs too: as it came or, where they would not, in the form in which it was read.
 */
static enum failure hand_on(const struct router *router, struct exchange *x, const struct route *to,
                            struct span *path)
{
    bool serves = to != NULL && to->config->pool_count != 0;
    if (to == NULL || (serves && readings_take(router, x, *path, to) == FAILURE_NONE))
        return FAILURE_NONE;
    *path = read_by(x, *path, paths_of(x->route));
    if (path->at == NULL)
        return FAILURE_OVERLOADED;
    return serves ? readings_take(router, x, *path, to) : FAILURE_NONE;
}

static enum failure choose_reading(const struct router *router, struct exchange *x)
{
    const struct route *route = NULL;
    struct span path = x->target.path;
    enum failure why = readings_agree(router, x, path, paths_of(x->route), &route);
    if (why == FAILURE_NONE && route != x->route)
        why = hand_on(router, x, route, &path);
    if (why != FAILURE_NONE)
        return why;
    x->route = route;
    x->misreading = (struct misreading){.route = NULL};
    x->target.path = read_by(x, path, paths_of(route));
    x->request.line.request.path = path;
    return x->target.path.at != NULL ? FAILURE_NONE : FAILURE_OVERLOADED;
}

static enum failure choose_bounded(const struct router *router, struct exchange *x)
{
    uint64_t most = regex_work_done() * READINGS_WORK_TIMES;
    regex_work_begin(most > READINGS_WORK ? most : READINGS_WORK);
    enum failure why = choose_reading(router, x);
    regex_work_begin(0);
    return why;
}

enum failure route_choose(const struct router *router, struct exchange *x)
{
    if (x->target.marks != 0)
        regex_work_begin(0);
    struct route_found found = router_find(router, x, x->target.path);
    enum failure why = found.failed ? FAILURE_PATTERN_FAILED : FAILURE_NONE;
    x->route = found.route;
    x->request.line.request.path = x->target.path;
    if (x->target.marks != 0 && why == FAILURE_NONE)
        why = choose_bounded(router, x);
    return why != FAILURE_NONE ? why : x->route != NULL ? FAILURE_NONE : FAILURE_NO_ROUTE;
}
