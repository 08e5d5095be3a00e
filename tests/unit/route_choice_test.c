/* Which route a path takes that can be read in more than one way, and what goes on to the server. */
#include "route/choice.h"

#include <string.h>

#include "base/arena.h"
#include "http/exchange.h"
#include "http/target.h"
#include "route/router.h"
#include "unit.h"

#define SLASHES(word)                  \
    {                                  \
        .slashes = PATH_SLASHES_##word \
    }
#define ENCODED(word)                         \
    {                                         \
        .encoded_slash = ENCODED_SLASH_##word \
    }
#define PARAMETERS(word)                     \
    {                                        \
        .parameters = PATH_PARAMETERS_##word \
    }

/* A rule without servers, one with, and everything else, which has servers too. */
struct rules {
    const char *rule, *own;
    struct paths_config own_paths, rest_paths;
};

static struct router *build(const struct rules *rules, struct route_config routes[3], const char *texts[2])
{
    static struct weighted_pool_config pool = {.name = "p", .weight = 1};
    struct error error = {.text = ""};
    size_t bad;
    texts[0] = rules->rule;
    texts[1] = rules->own;
    routes[0] = (struct route_config){.name = "rule", .match.path = {1, &texts[0]}};
    routes[1] = (struct route_config){.name = "own",
                                      .match.path = {1, &texts[1]},
                                      .paths = rules->own_paths,
                                      .pool = &pool,
                                      .pool_count = 1};
    routes[2] =
        (struct route_config){.name = "rest", .paths = rules->rest_paths, .pool = &pool, .pool_count = 1};
    struct router *router = router_new(routes, 3, &bad, &error);
    if (router == NULL)
        print_error("%s\n", error.text);
    assert_non_null(router);
    return router;
}

static void paths_take_the_route_of_all_readings(void **state)
{
    (void)state;
    static const struct rules plain = {.rule = "/admin/", .own = "/own/"},
                              exact = {.rule = "/users:delete", .own = "/own"},
                              escaped = {.rule = "/users%3Adelete", .own = "/a%2Fb"},
                              regex = {.rule = "~^/admin(/|$)", .own = "~^/own/"},
                              as_is = {.rule = "/admin/", .own = "/own/", .rest_paths = SLASHES(AS_IS)},
                              merged = {.rule = "/admin/", .own = "/own/", .rest_paths = SLASHES(MERGED)},
                              both = {.rule = "/admin/",
                                      .own = "/own/",
                                      .rest_paths = SLASHES(MERGED),
                                      .own_paths = SLASHES(MERGED)},
                              kept = {.rule = "/admin/", .own = "/own/", .rest_paths = PARAMETERS(KEPT)},
                              tomcat = {.rule = "/admin/",
                                        .own = "/own/",
                                        .rest_paths = PARAMETERS(IGNORED),
                                        .own_paths = PARAMETERS(IGNORED)},
                              registry = {.rule = "/admin/", .own = "/own/", .own_paths = ENCODED(AS_IS)},
                              decoding = {.rule = "/admin/", .own = "/own/", .rest_paths = ENCODED(DECODED)};
    static const struct {
        const struct rules *rules;
        const char *path, *route; /* NULL: ambiguous */
        const char *sent;         /* NULL: as it came */
        const char *read;         /* NULL: as it is sent */
    } cases[] = {
        {&plain, "/x", "rest", NULL, NULL},
        {&plain, "/admin/x", "rule", NULL, NULL},
        {&plain, "/admin/../pub", "rest", "/pub", NULL},
        {&plain, "/admin/%2e%2e/pub", "rest", "/pub", NULL},
        {&plain, "/a//../admin", "rest", "/a/admin", NULL},
        {&plain, "/x//y", "rest", NULL, NULL},
        {&plain, "/x%2Fy;z/%40a", "rest", NULL, NULL},
        {&plain, "/admin/a%2Fb", "rule", NULL, NULL},
        {&plain, "/own/@s%2Fname", "own", NULL, NULL},
        {&plain, "//admin/x", NULL, NULL, NULL},
        {&plain, "/.//admin/x", NULL, NULL, NULL},
        {&plain, "//h/admin/x", NULL, NULL, NULL},
        {&plain, "/admin%2Fx", NULL, NULL, NULL},
        {&plain, "/admin;a=1/x", NULL, NULL, NULL},
        {&plain, "/admin;", NULL, NULL, NULL},
        {&plain, "/;/admin", NULL, NULL, NULL},
        {&plain, "/x/..;/admin/x", NULL, NULL, NULL},
        {&plain, "/x/%2e%2e;/admin", NULL, NULL, NULL},
        {&plain, "/x/..%3B/admin", NULL, NULL, NULL},
        {&plain, "/x/..%2Fadmin", NULL, NULL, NULL},
        {&plain, "/admin%2F..%2Fx", NULL, NULL, NULL},
        {&plain, "/x/..%252Fadmin", NULL, NULL, NULL},
        {&plain, "/x%25%32%66..%25%32%66admin", NULL, NULL, NULL},
        {&plain, "/admin%252Fx", NULL, NULL, NULL},
        {&plain, "/own/..;/x", NULL, NULL, NULL},
        {&exact, "/users%3Adelete", NULL, NULL, NULL},
        {&exact, "/users%253Adelete", NULL, NULL, NULL},
        {&exact, "/users%3Alist", "rest", NULL, NULL},
        {&exact, "/own;v=1", NULL, NULL, NULL},
        {&exact, "/own%20", "rest", NULL, NULL},
        {&escaped, "/users:delete", "rule", NULL, NULL},
        {&escaped, "/users%3Adelete", "rule", NULL, NULL},
        {&escaped, "/a/b", "rest", NULL, NULL},
        {&escaped, "/a%2Fb", NULL, NULL, NULL},
        {&regex, "/admin%2Fx", NULL, NULL, NULL},
        {&regex, "//admin", NULL, NULL, NULL},
        {&regex, "/own/a%2Fb", "own", NULL, NULL},
        {&as_is, "//admin/x", "rest", NULL, NULL},
        {&as_is, "//admin%2Fx", "rest", NULL, NULL},
        {&as_is, "/admin%2Fx", NULL, NULL, NULL},
        {&merged, "//admin/x", "rule", "/admin/x", NULL},
        {&merged, "//own/x", "own", "/own/x", NULL},
        {&merged, "//own//x", "own", "/own/x", NULL},
        {&merged, "//x//y", "rest", NULL, "/x/y"},
        {&both, "//own/x", "own", NULL, "/own/x"},
        {&kept, "/admin;a=1/x", "rest", NULL, NULL},
        {&kept, "/x/..;/admin", "rest", NULL, NULL},
        {&kept, "/x/..%2Fadmin", NULL, NULL, NULL},
        {&tomcat, "/own;jsessionid=1/x", "own", NULL, "/own/x"},
        {&tomcat, "/x/..;/admin", NULL, NULL, NULL},
        {&tomcat, "/admin;a/x", "rule", "/admin/x", NULL},
        {&registry, "/own/a%2Fb", "own", NULL, NULL},
        {&registry, "/own/..%2Fadmin", "own", NULL, NULL},
        {&registry, "/x/..%2Fadmin", NULL, NULL, NULL},
        {&decoding, "/admin%2Fx", "rule", "/admin/x", NULL},
        {&decoding, "/x%2Fy", "rest", NULL, "/x/y"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct route_config routes[3];
        const char *texts[2];
        struct router *router = build(cases[i].rules, routes, texts);
        struct exchange x = {.arena = arena_new_malloc()};
        assert_int_equal(target_prepare(&x.target, SPAN_NONE, span_of(cases[i].path), SPAN_NONE, x.arena),
                         FAILURE_NONE);
        enum failure why = route_choose(router, &x);
        if (why != (cases[i].route != NULL ? FAILURE_NONE : FAILURE_PATH_AMBIGUOUS))
            fail_msg("%zu %s: %s, %s", i, cases[i].path, failure_info[why].word,
                     x.route != NULL ? x.route->config->name : "no route");
        if (cases[i].route == NULL) {
            assert_non_null(x.misreading.path.at);
            assert_true(x.misreading.route == NULL || strcmp(x.misreading.route, "") != 0);
        } else {
            const char *sent = cases[i].sent != NULL ? cases[i].sent : cases[i].path;
            assert_string_equal(x.route->config->name, cases[i].route);
            assert_span(x.request.line.request.path, sent);
            assert_span(x.target.path, cases[i].read != NULL ? cases[i].read : sent);
        }
        arena_free(x.arena);
        router_free(router);
    }
}

static enum failure choose(const char *path, const char *pattern, const struct route **route)
{
    struct route_config only = {.name = "only", .match.path = {pattern != NULL, &pattern}};
    struct error error = {.text = ""};
    size_t bad;
    struct router *router = router_new(&only, 1, &bad, &error);
    struct exchange x = {.arena = arena_new_malloc()};
    assert_non_null(router);
    assert_int_equal(target_prepare(&x.target, SPAN_NONE, span_of(path), SPAN_NONE, x.arena), FAILURE_NONE);
    enum failure why = route_choose(router, &x);
    *route = x.route;
    arena_free(x.arena);
    router_free(router);
    return why;
}

static void no_reading_climbs_and_none_is_forgotten(void **state)
{
    (void)state;
    const struct route *route;
    assert_int_equal(choose("/..%2Fx", NULL, &route), FAILURE_BAD_TARGET);
    assert_int_equal(choose("/..;/x", NULL, &route), FAILURE_BAD_TARGET);
    assert_int_equal(choose("/a/..;/x", NULL, &route), FAILURE_NONE);
    assert_int_equal(choose("*", NULL, &route), FAILURE_NONE);
    assert_int_equal(choose("//x", "/y", &route), FAILURE_NO_ROUTE);
    char hard[600] = "/";
    memset(hard + 1, 'a', 500);
    strcpy(hard + 501, "c");
    assert_int_equal(choose(hard, "~^/(a+)+(b)?\\2$", &route), FAILURE_PATTERN_FAILED);
    assert_non_null(route);
    memcpy(hard + 490, "%2F", 3); /* only one of its readings is */
    assert_int_equal(choose(hard, "~^/(a+)+/((a+)+(b)?\\4)+$", &route), FAILURE_PATTERN_FAILED);
    assert_int_equal(choose("//y", "/y", &route), FAILURE_PATH_AMBIGUOUS);
    assert_null(route);
    assert_int_equal(choose("///%252F//;a;;%2F%252F/%25%2F%253B%253Bb%3B%3A%25//%25", NULL, &route),
                     FAILURE_PATH_AMBIGUOUS); /* more readings than are looked at */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_take_the_route_of_all_readings),
        cmocka_unit_test(no_reading_climbs_and_none_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
