/* Routes that are never reached: which are told, that none is told wrongly, and that many take no long. */
#include "route/shadow.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/rng.h"
#include "config/route_config.h"
#include "http/exchange.h"
#include "http/target.h"
#include "route/router.h"
#include "unit.h"

/* A match in short: "host path METHOD x-a=1 ?q=1 10.0.0.0/8", parts with commas, in any order. */
static void match_read(struct match_config *match, char *text, struct arena *arena)
{
    *match = (struct match_config){.host.count = 0};
    for (char *save = NULL, *part = strtok_r(text, " ", &save); part != NULL;
         part = strtok_r(NULL, " ", &save)) {
        char *equal = strchr(part, '='), *colon = strchr(part, ':');
        if (equal != NULL && part[0] != '~') {
            struct name_values *values = part[0] == '?' ? &match->query : &match->header;
            struct name_value *more = arena_get_zeroed(arena, (values->count + 1) * sizeof *more);
            assert_non_null(more);
            if (values->count != 0)
                memcpy(more, values->items, values->count * sizeof *more);
            *equal = '\0';
            more[values->count] = (struct name_value){part + (part[0] == '?'), equal + 1};
            *values = (struct name_values){values->count + 1, more};
            continue;
        }
        bool upper = part[0] >= 'A' && part[0] <= 'Z', digit = part[0] >= '0' && part[0] <= '9';
        struct texts *texts = part[0] == '/' || part[0] == '~' ? &match->path
                              : upper                          ? &match->methods
                              : digit || colon != NULL         ? &match->client
                                                               : &match->host;
        texts->items = arena_get_zeroed(arena, 8 * sizeof *texts->items);
        assert_non_null(texts->items);
        for (char *at = part, *item; (item = strsep(&at, ",")) != NULL;)
            texts->items[texts->count++] = item;
    }
}

/* The place of the route that shadows the last one, -1: none. */
static int shadow_of(const char *const *matches, size_t count)
{
    struct arena *arena = arena_new_malloc();
    struct route_config routes[8] = {{.name = NULL}};
    const struct route_config *list[8];
    size_t by[8];
    for (size_t i = 0; i < count; i++) {
        match_read(&routes[i].match, arena_text(arena, matches[i]), arena);
        list[i] = &routes[i];
    }
    routes_shadowed(list, count, by);
    for (size_t i = 0; i + 1 < count; i++)
        assert_true(by[i] == SIZE_MAX || by[i] < i);
    arena_free(arena);
    return by[count - 1] == SIZE_MAX ? -1 : (int)by[count - 1];
}

static void pairs(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second;
        bool shadowed;
    } cases[] = {
        {"/a", "/a", true},
        {"/", "/api/", true},
        {"/", "/x", true},
        {"/", "~^/x", true},
        {"/", "~x$", false},
        {"/", "h.test", false}, /* OPTIONS * */
        {"", "h.test", true},
        {"h.test", "", false},
        {"/v1/", "/v1/users/", true},
        {"/v1/", "/v1", true},
        {"/v1/", "/v1/users", true},
        {"/v1/", "/v1x", false},
        {"/v1/", "/", false},
        {"/v1", "/v1/", false},
        {"/v1", "/v1/x", false},
        {"/v1/", "~^/v1/.*x", true},
        {"/v1/", "~^/v1", false},
        {"/v1/", "~^/v1/?", false},
        {"/v1/", "~^/v1/+x", true},
        {"/v1/", "~^/v1/|^/v2/", false},
        {"/v1/", "~^(/v1/)", false},
        {"~^/", "/z", true},
        {"~^/", "/z/", true},
        {"~^/", "~^/z", true},
        {"~^/", "h.test", false},
        {"~/", "/z/", true},
        {"~.*", "/z", true},
        {"~^/z", "/zoo/", true},
        {"~^/z", "/z", true},
        {"~^/z/", "/z/", false}, /* which takes /z too */
        {"~^/z/.*$", "/z/x", true},
        {"~^/z$", "/z", true},
        {"~^/z$", "/zz", false},
        {"~^/[a-m]/[0-9]+$", "/b/12", true},
        {"~^/[a-m]/[0-9]+$", "/b/12/", false},
        {"~^/x[0-9]", "~^/x[0-9]", true},
        {"~^/x", "~^/x[0-9]", true},
        {"~^/x[0-9]", "~^/x", false},
        {"/a,/b/", "/b/c", true},
        {"/a,/b/", "/a,/b/c", true},
        {"/a,/b/", "/a,/c", false},
        {"/%40a", "/%40a", true},
        {"/%40a", "/@a", true},
        {"/@a", "/%40a", false},
        {"/@a/", "/%40a/x", false},
        {"/%40a/", "/@a/x", true},
        {"/%61", "/a", true},
        {"/x/../a/", "/a/b", true},
        {"*.x.test", "a.x.test", true},
        {"*.x.test", "a.b.X.test.", true},
        {"*.x.test", "*.b.x.test", true},
        {"*.x.test", "x.test", false},
        {"*.b.x.test", "*.x.test", false},
        {"*.x.test", "ax.test", false},
        {"a.test,b.test", "b.test", true},
        {"a.test,b.test", "b.test,c.test", false},
        {"*.x.test /v1/", "a.x.test /v1/z", true},
        {"*.x.test /v1/", "a.x.test /v2/z", false},
        {"/a", "/a GET", true},
        {"/a GET", "/a", false},
        {"/a GET,POST", "/a POST", true},
        {"/a GET", "/a GET,POST", false},
        {"10.0.0.0/8", "10.1.0.0/16", true},
        {"10.0.0.0/8", "10.1.2.3", true},
        {"10.1.0.0/16", "10.0.0.0/8", false},
        {"10.0.0.0/8,192.0.2.1", "10.1.0.0/16,192.0.2.1", true},
        {"10.0.0.0/8", "10.1.0.0/16,192.0.2.1", false},
        {"0.0.0.0/0", "10.1.0.0/16", true},
        {"0.0.0.0/0", "/", false},
        {"::/0", "10.1.0.0/16", false},
        {"2001:db8::/32", "2001:db8:1::/48", true},
        {"x-a=1", "X-A=1", true},
        {"x-a=1", "x-a=1 x-b=2", true},
        {"x-b=2", "x-a=1 x-b=2", true},
        {"x-a=1 x-b=2", "x-a=1", false},
        {"x-a=1", "x-a=2", false},
        {"x-a=*", "x-a=2", true},
        {"x-a=*", "x-a=~^2", true},
        {"x-a=2", "x-a=*", false},
        {"x-a=~^2", "x-a=22", true},
        {"x-a=~^2", "x-a=12", false},
        {"x-a=~^2", "x-a=~^2", true},
        {"x-a=~^2", "x-a=~^22", false},
        {"x-a=~(a+)+(b)?\\2$", "x-a=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac",
         false},
        {"?q=1", "?q=1 ?r=2", true},
        {"?q=1", "?Q=1", false},
        {"?q=1", "q=1", false},
        {"/v1/ GET,POST x-a=* 10.0.0.0/8", "/v1/x POST x-a=1 10.2.0.0/16 ?q=1", true},
        {"/v1/ GET,POST x-a=* 10.0.0.0/8", "/v1/x POST x-a=1 11.2.0.0/16 ?q=1", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *both[] = {cases[i].first, cases[i].second};
        if ((shadow_of(both, 2) == 0) != cases[i].shadowed)
            fail_msg("[%s] before [%s]", cases[i].first, cases[i].second);
        /* others between do not matter */
        const char *more[] = {"zz.test /q", cases[i].first, "/q x-q=1", "GET /q", cases[i].second};
        if ((shadow_of(more, 5) == 1) != cases[i].shadowed)
            fail_msg("[%s] before [%s], with others", cases[i].first, cases[i].second);
    }
    const char *chain[] = {"/", "/v1/", "/v1/users/"};
    assert_int_equal(shadow_of(chain, 3), 0);
}

/* ---- none is told wrongly: the plain reading of each route is the judge ---- */

static const char *const parts[][10] = {
    {"", "a.test", "*.test", "*.b.test", "x.b.test,a.test", ""},
    {"", "/", "/a/", "/a/b", "/a/b/,/c", "~^/a", "~^/a/b$", "~b", "~^/", "/%40a/"},
    {"", "", "GET", "POST", "GET,POST", ""},
    {"", "", "x-a=1", "x-a=*", "x-a=~^1", "x-a=1 x-b=2", "x-b=2"},
    {"", "", "?q=1", "?q=*", "?q=~[0-9]", "?q=1 ?r=1"},
    {"", "", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3,192.0.2.1", "2001:db8::/32"},
};

static void match_random(struct rng *rng, struct match_config *match, struct arena *arena)
{
    char text[300] = "";
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        const char *part = parts[i][rng_below(rng, 10)];
        if (part != NULL) {
            strcat(text, part);
            strcat(text, " ");
        }
    }
    match_read(match, arena_text(arena, text), arena);
}

static void request_random(struct rng *rng, struct exchange *x, struct arena *arena)
{
    static const char *const
        hosts[] = {"a.test", "x.b.test", "y.x.b.test", "c.d", "test"},
        *const paths[] = {"/", "/a", "/a/", "/a/b", "/a/b/c", "/c", "/b", "/@a/x", "/%40a", "*"},
        *const from[] = {"10.1.2.3", "10.2.0.1", "192.0.2.1", "2001:db8::1", "198.51.100.1"},
        *const queries[] = {"", "q=1", "q=2", "q=1&r=1", "q=", "r=1"}, *const values[] = {"1", "2", "12", ""};
    *x = (struct exchange){.arena = arena};
    x->request.line.request.method_name = rng_below(rng, 2) == 0 ? SPAN("GET") : SPAN("PUT");
    if (rng_below(rng, 3) == 0)
        x->request.line.request.method_name = SPAN("POST");
    assert_int_equal(target_prepare(&x->target, span_of(hosts[rng_below(rng, 5)]),
                                    span_of(paths[rng_below(rng, 10)]), span_of(queries[rng_below(rng, 6)]),
                                    arena),
                     FAILURE_NONE);
    assert_true(ip_address_parse(&x->client, span_of(from[rng_below(rng, 5)])));
    for (unsigned i = rng_below(rng, 3); i > 0; i--)
        assert_true(fields_add(&x->request.fields, arena, i == 1 ? SPAN("X-A") : SPAN("x-b"),
                               span_of(values[rng_below(rng, 4)]), FIELD_OTHER));
}

static void none_is_told_wrongly(void **state)
{
    (void)state;
    struct rng rng;
    unsigned told = 0;
    rng_seed_with(&rng, 3);
    for (unsigned round = 0; round < 200; round++) {
        struct arena *arena = arena_new_malloc();
        struct route_config routes[40] = {{.name = NULL}};
        const struct route_config *list[40];
        struct error error;
        size_t by[40], bad;
        for (size_t i = 0; i < 40; i++) {
            match_random(&rng, &routes[i].match, arena);
            list[i] = &routes[i];
        }
        routes_shadowed(list, 40, by);
        struct router *router = router_new(routes, 40, &bad, &error);
        assert_non_null(router);
        for (unsigned i = 0; i < 300; i++) {
            struct exchange x;
            request_random(&rng, &x, arena);
            const struct route *route = router_find(router, &x, x.target.path).route;
            if (route != NULL && by[route->number] != SIZE_MAX)
                fail_msg("route %u is reached, though %zu is before it", route->number, by[route->number]);
        }
        for (size_t i = 0; i < 40; i++)
            told += by[i] != SIZE_MAX;
        router_free(router);
        arena_free(arena);
    }
    assert_true(told > 500);
}

/* ---- many ---- */

static size_t told_of_many(const char *format, const char *second, unsigned count)
{
    struct arena *arena = arena_new_malloc();
    struct route_config *routes = arena_get_zeroed(arena, (count + 1) * sizeof *routes);
    const struct route_config **list = arena_get_zeroed(arena, (count + 1) * sizeof *list);
    size_t *by = arena_get_zeroed(arena, (count + 1) * sizeof *by), told = 0;
    struct timespec began, ended;
    assert_true(routes != NULL && list != NULL && by != NULL);
    for (unsigned i = 0; i <= count; i++) {
        char text[200];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, i == count ? second : format, i / 250 % 250, i % 250, i);
#pragma GCC diagnostic pop
        match_read(&routes[i].match, arena_text(arena, text), arena);
        list[i] = &routes[i];
    }
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
    routes_shadowed(list, count + 1, by);
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
    if (ended.tv_sec - began.tv_sec > 20) /* 0.1 s here; each against each would be minutes */
        fail_msg("%s: %ld s", format, (long)(ended.tv_sec - began.tv_sec));
    for (unsigned i = 0; i <= count; i++)
        told += by[i] != SIZE_MAX;
    arena_free(arena);
    return told;
}

static void ten_thousand_are_looked_at_in_a_moment(void **state)
{
    (void)state;
    assert_int_equal(told_of_many("h%u-%u-%u.test /api/", "h0-7-7.test /api/v1", 10000), 1);
    assert_int_equal(told_of_many("/p%u/%u/%u/", "/p0/7/7/x", 10000), 1);
    assert_int_equal(told_of_many("x-tenant=t%u-%u-%u", "x-tenant=t0-7-7 GET", 10000), 1);
    assert_int_equal(told_of_many("/ ?t=t%u-%u-%u x-env=prod", "/z ?t=t39-249-9999 x-env=prod", 10000), 1);
    assert_int_equal(told_of_many("/ 10.%u.%u.0/24", "/a/ 10.39.249.7", 10000), 1);
    assert_int_equal(told_of_many("/ M%u%u%u", "/a M39249999", 10000), 0);
    assert_int_equal(told_of_many("/ M%u%u%u", "/a M392499999", 10000), 1);
    assert_int_equal(told_of_many("~^/u%u/%u/%u[0-9]", "/u0/7/70", 10000), 1);
    assert_int_equal(told_of_many("x-t=~^t%u-%u-%u$", "x-t=t0-7-7", 10000), 1);
    assert_int_equal(told_of_many("/a/ x-a=1 ?q=%u GET,POST 10.%u.0.0/16", "/zz", 10000), 10000 - 250 * 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs),
        cmocka_unit_test(none_is_told_wrongly),
        cmocka_unit_test(ten_thousand_are_looked_at_in_a_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
