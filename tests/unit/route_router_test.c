/* The router against a plain scan of the routes that shares nothing with it, over thousands of random routes
 * and requests; and the cases that people ask about, one by one. */
#include "route/router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/rng.h"
#include "base/text.h"
#include "http/exchange.h"
#include "http/target.h"
#include "unit.h"

#define ROUTES 60u
#define ROUNDS 150u
#define REQUESTS 150u

/* ---- routes and requests ---- */

struct request {
    const char *method, *host, *path, *query, *header, *from;
};

static struct texts texts_of(const char **items)
{
    struct texts texts = {.items = items};
    while (items[texts.count] != NULL)
        texts.count++;
    return texts;
}

static void request_fill(struct exchange *x, const struct request *request)
{
    struct span query = request->query != NULL ? span_of(request->query) : SPAN_NONE;
    *x = (struct exchange){.arena = arena_new_malloc()};
    x->request.line.request.method_name = span_of(request->method != NULL ? request->method : "GET");
    assert_int_equal(
        target_prepare(&x->target, span_of(request->host), span_of(request->path), query, x->arena),
        FAILURE_NONE);
    assert_true(ip_address_parse(&x->client, span_of(request->from != NULL ? request->from : "192.0.2.1")));
    if (request->header != NULL)
        assert_true(fields_add(&x->request.fields, x->arena, SPAN("X-Kind"), span_of(request->header),
                               field_id(SPAN("X-Kind"))));
}

/* The number of the route, -1: none. */
static int found(const struct router *router, const struct request *request)
{
    struct exchange x;
    request_fill(&x, request);
    const struct route *route = router_find(router, &x, x.target.path).route;
    arena_free(x.arena);
    return route != NULL ? (int)route->number : -1;
}

static struct router *build(const struct route_config *routes, size_t count)
{
    struct error error = {.text = ""};
    size_t bad = 0;
    struct router *router = router_new(routes, count, &bad, &error);
    if (router == NULL)
        print_error("%s\n", error.text);
    assert_non_null(router);
    return router;
}

/* ---- the property: the same as a plain scan ---- */

static const char *const host_patterns[] = {"a.test", "b.a.test", "*.a.test", "*.test",      "*.b.a.test",
                                            "c.test", "A.Test.",  "*.c.test", "*.x.b.a.test"};
static const char *const request_hosts[] = {"a.test", "b.a.test",     "c.b.a.test", "test",   "c.test:8080",
                                            "",       "X.x.B.a.TEST", "0.a.test",   "zz.test"};
static const char *const path_patterns[] = {"/",     "/a",      "/a/",  "/a/b", "/a/b/",  "/a/b/c", "/b/",
                                            "/a//b", "/a/b/c/", "~^/a", "~b$",  "/%61/b", "/c/",    "~/./"};
static const char *const request_paths[] = {"/",    "/a", "/a/",  "/a/b",     "/a/b/", "/a/b/c",
                                            "/ab",  "/b", "/b/b", "/a/b/c/d", "/a//b", "/x/y",
                                            "/%61", "*",  "/c",   "/C/",      "/a/./b"};
static const char *const methods[] = {"GET", "POST"};
static const char *const header_values[] = {"1", "*", "~^[0-9]+$"};
static const char *const query_values[] = {"1", "*", "~^2"};
static const char *const client_networks[] = {"192.0.2.0/24", "198.51.100.7"};

static const char *pick(struct rng *rng, const char *const *list, size_t count)
{
    return list[rng_below(rng, (uint32_t)count)];
}
#define PICK(rng_, list_) pick(rng_, list_, COUNT_OF(list_))

static struct texts random_texts(struct rng *rng, struct arena *arena, const char *const *list, size_t count,
                                 unsigned one_in)
{
    struct texts texts = {.count = rng_below(rng, one_in) == 0 ? 1 + rng_below(rng, 2) : 0};
    texts.items = arena_get(arena, 2 * sizeof *texts.items);
    assert_non_null(texts.items);
    for (size_t i = 0; i < texts.count; i++)
        texts.items[i] = pick(rng, list, count);
    return texts;
}

static struct name_values random_pair(struct rng *rng, struct arena *arena, const char *name,
                                      const char *const *list, size_t count)
{
    struct name_values pairs = {.count = rng_below(rng, 6) == 0};
    pairs.items = arena_get(arena, sizeof *pairs.items);
    assert_non_null(pairs.items);
    pairs.items[0] = (struct name_value){name, pick(rng, list, count)};
    return pairs;
}

static void random_match(struct rng *rng, struct arena *arena, struct match_config *match)
{
    do {
        match->host = random_texts(rng, arena, host_patterns, COUNT_OF(host_patterns), 2);
        match->path = random_texts(rng, arena, path_patterns, COUNT_OF(path_patterns), 1);
    } while (match->host.count + match->path.count == 0);
    if (rng_below(rng, 8) == 0)
        match->path.count = 0;
    match->methods = random_texts(rng, arena, methods, COUNT_OF(methods), 4);
    match->client = random_texts(rng, arena, client_networks, COUNT_OF(client_networks), 6);
    match->header = random_pair(rng, arena, "x-kind", header_values, COUNT_OF(header_values));
    match->query = random_pair(rng, arena, "q", query_values, COUNT_OF(query_values));
}

static bool plain_host(const char *pattern, const char *host)
{
    char name[64], wanted[64];
    snprintf(name, sizeof name, "%s", host);
    snprintf(wanted, sizeof wanted, "%s", pattern);
    if (strchr(name, ':') != NULL)
        *strchr(name, ':') = '\0';
    if (wanted[strlen(wanted) - 1] == '.')
        wanted[strlen(wanted) - 1] = '\0';
    if (wanted[0] != '*')
        return strcasecmp(wanted, name) == 0;
    size_t tail = strlen(wanted) - 1;
    return strlen(name) > tail && strcasecmp(name + strlen(name) - tail, wanted + 1) == 0;
}

/* The regular expressions of the table, by hand: this must not need what it tests. */
static bool plain_regex(const char *pattern, const char *path)
{
    size_t length = strlen(path);
    if (strcmp(pattern, "^/a") == 0)
        return strncmp(path, "/a", 2) == 0;
    if (strcmp(pattern, "b$") == 0)
        return path[length - 1] == 'b';
    for (size_t i = 0; i + 2 < length; i++)
        if (path[i] == '/' && path[i + 2] == '/')
            return true;
    return false;
}

static bool plain_path(const char *pattern, const char *path)
{
    char normal[64] = "";
    for (const char *p = path; *p != '\0'; p++) {
        if (strncmp(p, "%61", 3) == 0) {
            strcat(normal, "a");
            p += 2;
        } else if (strncmp(p, "/./", 3) == 0) {
            p++;
        } else {
            strncat(normal, p, 1);
        }
    }
    if (pattern[0] == '~')
        return plain_regex(pattern + 1, normal);
    if (strcmp(pattern, "/%61/b") == 0)
        pattern = "/a/b";
    size_t length = strlen(pattern);
    if (pattern[length - 1] != '/')
        return strcmp(pattern, normal) == 0;
    return strncmp(pattern, normal, length) == 0 ||
           (strlen(normal) == length - 1 && strncmp(pattern, normal, length - 1) == 0 && length > 1);
}

static bool plain_value(const char *wanted, const char *value)
{
    if (value == NULL)
        return false;
    if (strcmp(wanted, "*") == 0)
        return true;
    if (strcmp(wanted, "~^[0-9]+$") == 0)
        return strspn(value, "0123456789") == strlen(value) && value[0] != '\0';
    if (strcmp(wanted, "~^2") == 0)
        return value[0] == '2';
    return strcmp(wanted, value) == 0;
}

static bool plain_any(bool (*fits)(const char *pattern, const char *value), const struct texts *patterns,
                      const char *value)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (fits(patterns->items[i], value))
            return true;
    return patterns->count == 0;
}

static bool plain_method(const char *wanted, const char *method)
{
    return strcmp(wanted, method) == 0;
}

static bool plain_client(const char *network, const char *from)
{
    return strchr(network, '/') != NULL ? strncmp(from, "192.0.2.", 8) == 0 : strcmp(from, network) == 0;
}

static int plain_find(const struct route_config *routes, size_t count, const struct request *request)
{
    const char *q = request->query != NULL ? strstr(request->query, "q=") : NULL;
    q = q != NULL ? q + 2 : NULL;
    for (size_t i = 0; i < count; i++) {
        const struct match_config *match = &routes[i].match;
        if (plain_any(plain_host, &match->host, request->host) &&
            plain_any(plain_path, &match->path, request->path) &&
            plain_any(plain_method, &match->methods, request->method) &&
            plain_any(plain_client, &match->client, request->from) &&
            (match->header.count == 0 || plain_value(match->header.items[0].value, request->header)) &&
            (match->query.count == 0 || plain_value(match->query.items[0].value, q)))
            return (int)i;
    }
    return -1;
}

static struct request random_request(struct rng *rng)
{
    static const char *const queries[] = {NULL, "q=1", "q=22", "p=0&q=1", "p=1", ""};
    static const char *const headers[] = {NULL, "1", "12", "x", ""};
    static const char *const froms[] = {"192.0.2.9", "198.51.100.7", "203.0.113.1"};
    return (struct request){.method = PICK(rng, methods),
                            .host = PICK(rng, request_hosts),
                            .path = PICK(rng, request_paths),
                            .query = PICK(rng, queries),
                            .header = PICK(rng, headers),
                            .from = PICK(rng, froms)};
}

/* Explaining is the third reading: it holds for the route that serves, and for none before it. */
static void check_explained(const struct router *router, const struct request *request, int number)
{
    struct exchange x;
    char why[200];
    request_fill(&x, request);
    for (int i = 0; i < (number < 0 ? (int)ROUTES : number); i++) {
        why[0] = '\0';
        assert_false(router_explain(router, (uint32_t)i, &x, why, sizeof why));
        assert_string_not_equal(why, "");
    }
    if (number >= 0)
        assert_true(router_explain(router, (uint32_t)number, &x, why, sizeof why));
    arena_free(x.arena);
}

static void finds_what_a_scan_finds(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed_with(&rng, 1);
    unsigned hits = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct arena *arena = arena_new_malloc();
        struct route_config *routes = arena_get_zeroed(arena, ROUTES * sizeof *routes);
        assert_non_null(routes);
        for (unsigned i = 0; i < ROUTES; i++)
            random_match(&rng, arena, &routes[i].match);
        struct router *router = build(routes, ROUTES);
        for (unsigned i = 0; i < REQUESTS; i++) {
            struct request request = random_request(&rng);
            int wanted = plain_find(routes, ROUTES, &request);
            if (found(router, &request) != wanted)
                fail_msg("%s %s%s?%s: route %d, not %d", request.method, request.host, request.path,
                         request.query != NULL ? request.query : "", found(router, &request), wanted);
            if (i == 0)
                check_explained(router, &request, wanted);
            hits += wanted >= 0;
        }
        router_free(router);
        arena_free(arena);
    }
    assert_true(hits > ROUNDS * REQUESTS / 4 && hits < ROUNDS * REQUESTS);
}

/* ---- long lists ---- */

#define MANY 400u

static struct name_values random_pairs(struct rng *rng, struct arena *arena, const char *const names[3],
                                       unsigned most)
{
    static const char *const odd[] = {"*", "~^[0-9]*[05]$", ""};
    struct name_values pairs = {.count = rng_below(rng, most + 1)};
    pairs.items = arena_get_zeroed(arena, (most + 1) * sizeof *pairs.items);
    assert_non_null(pairs.items);
    for (size_t i = 0; i < pairs.count; i++) {
        struct span text = arena_print(arena, "%u", rng_below(rng, i == 0 ? 3 : 60));
        pairs.items[i] = (struct name_value){
            names[i], rng_below(rng, 8) == 0 ? odd[rng_below(rng, COUNT_OF(odd))] : text.at};
    }
    return pairs;
}

static void random_values(struct rng *rng, struct exchange *x)
{
    struct text query = text_growing();
    static const char *const names[] = {"x-env", "X-Tenant", "x-shard"};
    for (unsigned i = rng_below(rng, 5); i > 0; i--) {
        struct span name = span_of(names[rng_below(rng, 3)]);
        assert_true(fields_add(&x->request.fields, x->arena, name,
                               arena_print(x->arena, "%u", rng_below(rng, 60)), field_id(name)));
    }
    for (unsigned i = rng_below(rng, 4); i > 0; i--)
        text_print(&query, "%s=%u&", i % 2 == 0 ? "t" : "s", rng_below(rng, 60));
    x->target.query = query.length != 0 ? arena_copy(x->arena, text_span(&query)) : SPAN_NONE;
    text_free(&query);
}

/* Many routes of one slot, or of no path, with values of headers and query parameters: what is found by them
 * is what the plain reading of each route in turn gives. */
static void values_find_what_a_scan_finds(void **state)
{
    (void)state;
    static const char *const headers[] = {"x-env", "x-tenant", "X-Shard"}, *const queries[] = {"t", "s", "u"};
    static const char *paths[] = {"/a/", "~^/[ab]"};
    static struct name_value none[] = {{"x-none", "1"}};
    struct rng rng;
    unsigned hits = 0;
    rng_seed_with(&rng, 5);
    for (unsigned round = 0; round < 30; round++) {
        struct arena *arena = arena_new_malloc();
        struct route_config *routes = arena_get_zeroed(arena, MANY * sizeof *routes);
        assert_non_null(routes);
        for (unsigned i = 0; i < MANY; i++) {
            struct match_config *match = &routes[i].match;
            match->header = random_pairs(&rng, arena, headers, 3);
            match->query = random_pairs(&rng, arena, queries, 2);
            if (match->header.count + match->query.count == 0)
                match->header = (struct name_values){1, none};
            if (rng_below(&rng, 3) != 0)
                match->path = (struct texts){.count = 1, .items = &paths[rng_below(&rng, 2)]};
        }
        struct router *router = build(routes, MANY);
        for (unsigned i = 0; i < 200; i++) {
            struct exchange x;
            char why[200];
            int wanted = -1;
            request_fill(&x, &(struct request){.host = "h", .path = rng_below(&rng, 2) == 0 ? "/a/x" : "/b"});
            random_values(&rng, &x);
            for (unsigned k = 0; k < MANY && wanted < 0; k++)
                wanted = router_explain(router, k, &x, why, sizeof why) ? (int)k : -1;
            const struct route *route = router_find(router, &x, x.target.path).route;
            if ((route != NULL ? (int)route->number : -1) != wanted)
                fail_msg("query %.*s: route %d, not %d", (int)x.target.query.length,
                         x.target.query.length != 0 ? x.target.query.at : "",
                         route != NULL ? (int)route->number : -1, wanted);
            hits += wanted >= 0;
            arena_free(x.arena);
        }
        router_free(router);
        arena_free(arena);
    }
    assert_true(hits > 1000);
}

/* Microseconds of CPU for 1,000 requests by the last of `count` values. */
static double value_cost(unsigned count, bool query)
{
    struct arena *arena = arena_new_malloc();
    struct route_config *routes = arena_get_zeroed(arena, count * sizeof *routes);
    struct name_value *pairs = arena_get_zeroed(arena, count * sizeof *pairs);
    struct timespec began, ended;
    struct exchange x;
    assert_true(routes != NULL && pairs != NULL);
    for (unsigned i = 0; i < count; i++) {
        pairs[i] = (struct name_value){query ? "t" : "x-tenant", arena_print(arena, "t%u", i).at};
        *(query ? &routes[i].match.query : &routes[i].match.header) = (struct name_values){1, &pairs[i]};
    }
    struct router *router = build(routes, count);
    struct span value = span_of(pairs[count - 1].value);
    request_fill(&x, &(struct request){.host = "h", .path = "/"});
    x.target.query = arena_print(x.arena, "a=b&t=%s", value.at);
    assert_true(fields_add(&x.request.fields, x.arena, SPAN("X-Tenant"), value, field_id(SPAN("X-Tenant"))));
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(router_find(router, &x, x.target.path).route->number, count - 1);
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
    arena_free(x.arena);
    router_free(router);
    arena_free(arena);
    return (double)(ended.tv_sec - began.tv_sec) * 1e6 + (double)(ended.tv_nsec - began.tv_nsec) * 1e-3;
}

/* They are 3 times as much here, caches included; one after another they were 3,000 times. */
static void many_values_cost_about_as_much_as_one(void **state)
{
    (void)state;
    for (int query = 0; query < 2; query++) {
        double one = value_cost(1, query != 0), many = value_cost(10000, query != 0);
        if (many > 200 * one + 1000)
            fail_msg("10,000 values: %.0f us, one: %.0f us for 1,000 requests", many, one);
    }
}

/* ---- one by one ---- */

static int find_one(const char *host, const char *path, const char *request_host, const char *request_path)
{
    const char *hosts[] = {host, NULL}, *paths[] = {path, NULL};
    struct route_config route = {.match = {.host = texts_of(hosts), .path = texts_of(paths)}};
    struct router *router = build(&route, 1);
    int number = found(router, &(struct request){.host = request_host, .path = request_path});
    router_free(router);
    return number;
}

static void prefixes_are_whole_segments(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"/a/b", "0"},  {"/a/", "0"},      {"/a", "0"},
                                          {"/ab", "-1"},  {"/", "-1"},       {"*", "-1"},
                                          {"/b/a", "-1"}, {"/a/b/c/d", "0"}, {"/A/", "-1"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(find_one(NULL, "/a/", "h", rows[i][0]), atoi(rows[i][1]));
    assert_int_equal(find_one(NULL, "/", "h", "/anything"), 0);
    assert_int_equal(find_one(NULL, "/", "h", "*"), -1);
}

/* A name as deep as a client likes does not get past a wildcard. */
static void wildcards_reach_any_depth(void **state)
{
    (void)state;
    assert_int_equal(find_one("*.example.com", NULL, "a.b.c.d.e.f.g.h.i.j.k.l.example.com", "/"), 0);
    assert_int_equal(find_one("*.example.com", NULL, "example.com", "/"), -1);
    assert_int_equal(find_one("*.example.com", NULL, "an.xexample.com", "/"), -1);
    assert_int_equal(find_one("*.1.2.3.4.5.6.7.8.9.10.11.test", NULL, "x.1.2.3.4.5.6.7.8.9.10.11.test", "/"),
                     0);
}

static void hosts_and_paths_are_compared_in_normal_form(void **state)
{
    (void)state;
    assert_int_equal(find_one("API.Example.COM.", NULL, "api.example.com:8443", "/"), 0);
    assert_int_equal(find_one("[2001:DB8::1]", NULL, "[2001:db8::1]:443", "/"), 0);
    assert_int_equal(find_one(NULL, "/caf\xc3\xa9/", "h", "/caf%c3%a9/x"), 0);
    assert_int_equal(find_one(NULL, "/%7Euser", "h", "/~user"), 0);
    assert_int_equal(find_one(NULL, "/a b", "h", "/a%20b"), 0);
    assert_int_equal(find_one(NULL, "/a/", "h", "/b/../a/c"), 0);
}

static void long_paths_have_prefixes_too(void **state)
{
    (void)state;
    char pattern[2 * 300 + 1], path[9000];
    for (size_t i = 0; i < 300; i++)
        memcpy(pattern + 2 * i, "/x", 2);
    strcpy(pattern + 2 * 299, "/");
    assert_int_equal(find_one(NULL, pattern, "h", pattern), 0);
    memset(path, 'y', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    assert_int_equal(find_one(NULL, "~^/y", "h", path), 0);
    assert_int_equal(find_one(NULL, path, "h", path), 0);
}

static void order_is_the_files_over_all_kinds(void **state)
{
    (void)state;
    const char *exact[] = {"/a/b", NULL}, *prefix[] = {"/a/", NULL}, *regex[] = {"~b$", NULL},
               *wild[] = {"*.test", NULL}, *post[] = {"POST", NULL};
    struct route_config routes[] = {{.match = {.path = texts_of(exact), .methods = texts_of(post)}},
                                    {.match = {.path = texts_of(regex), .host = texts_of(wild)}},
                                    {.match = {.path = texts_of(prefix)}},
                                    {.match = {.path = texts_of(exact)}},
                                    {.match = {.host = texts_of(wild)}}};
    struct router *router = build(routes, COUNT_OF(routes));
    assert_int_equal(found(router, &(struct request){.method = "POST", .host = "x.test", .path = "/a/b"}), 0);
    assert_int_equal(found(router, &(struct request){.host = "x.test", .path = "/a/b"}), 1);
    assert_int_equal(found(router, &(struct request){.host = "other", .path = "/a/b"}), 2);
    assert_int_equal(found(router, &(struct request){.host = "x.test", .path = "/c"}), 4);
    assert_int_equal(found(router, &(struct request){.host = "other", .path = "/c"}), -1);
    router_free(router);
}

static void mistakes_are_told_with_their_route(void **state)
{
    (void)state;
    const char *good[] = {"/a", NULL}, *broken[] = {"~(", NULL}, *climbs[] = {"/../a", NULL};
    struct route_config routes[] = {{.match = {.path = texts_of(good)}},
                                    {.match = {.path = texts_of(broken)}}};
    struct error error = {.text = ""};
    size_t bad = 9;
    assert_null(router_new(routes, COUNT_OF(routes), &bad, &error));
    assert_int_equal(bad, 1);
    assert_non_null(strstr(error.text, "\"(\" is not a regular expression"));
    routes[0].match.path = texts_of(climbs);
    assert_null(router_new(routes, 1, &bad, &error));
    assert_int_equal(bad, 0);
    assert_non_null(strstr(error.text, "\"/../a\""));
    assert_false(router_path_check("/a%zz", &error));
    assert_true(router_path_check("/a%2Fb/", &error));
}

static void explains_what_is_missing(void **state)
{
    (void)state;
    struct name_value pairs[] = {{"x-kind", "2"}};
    const char *post[] = {"POST", NULL};
    struct route_config routes[] = {{.match = {.header = {1, pairs}}},
                                    {.match = {.methods = texts_of(post)}}};
    struct router *router = build(routes, COUNT_OF(routes));
    struct exchange x;
    char why[100];
    request_fill(&x, &(struct request){.host = "h", .path = "/", .header = "1"});
    assert_false(router_explain(router, 0, &x, why, sizeof why));
    assert_string_equal(why, "it wants header x-kind to be \"2\"");
    assert_false(router_explain(router, 0, &x, why, 12));
    assert_false(router_explain(router, 1, &x, why, sizeof why));
    assert_string_equal(why, "it does not take method GET");
    arena_free(x.arena);
    router_free(router);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_a_scan_finds),
        cmocka_unit_test(values_find_what_a_scan_finds),
        cmocka_unit_test(many_values_cost_about_as_much_as_one),
        cmocka_unit_test(prefixes_are_whole_segments),
        cmocka_unit_test(wildcards_reach_any_depth),
        cmocka_unit_test(hosts_and_paths_are_compared_in_normal_form),
        cmocka_unit_test(long_paths_have_prefixes_too),
        cmocka_unit_test(order_is_the_files_over_all_kinds),
        cmocka_unit_test(mistakes_are_told_with_their_route),
        cmocka_unit_test(explains_what_is_missing),
    };
    return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}
