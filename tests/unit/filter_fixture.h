/* The filters of one route, out of the text of a file by the real loader; and requests and responses that go
 * through them, out of heads as they stand on the wire, by the real parser and router. */
#ifndef WEIR_TESTS_FILTER_FIXTURE_H
#define WEIR_TESTS_FILTER_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/counters.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"
#include "cli/checks.h"
#include "config/config.h"
#include "filter/filter.h"
#include "http/exchange.h"
#include "http/h1_parse.h"
#include "http/target.h"
#include "net/loop.h"
#include "route/choice.h"
#include "route/router.h"
#include "schema/schema_report.h"
#include "unit.h"

#define REQUESTS_MOST 64u /* of one route, in one test */

struct route_fixture {
    struct config *config;
    struct router *router;
    struct limiter_set *limiters;
    bool owns_limiters;
    struct filters filters;
    struct loop *loop; /* its clock stands still */
    size_t requests_count;
    struct exchange requests[REQUESTS_MOST];
};

static inline int filter_setup(void **state)
{
    (void)state;
    hash_init();
    counters_thread_enter();
    checks_install();
    return 0;
}

/* NULL, and the messages in `told` where there were errors. */
static inline struct config *config_of(const char *yaml, struct text *told)
{
    struct schema_report *report = schema_report_new();
    struct config *config = config_load_text("test.yaml", yaml, strlen(yaml), report);
    if (config == NULL)
        schema_report_print(report, told, false);
    schema_report_free(report);
    return config;
}

/* A file with one route, whose keys are `keys`; `top` are keys of the whole file. */
static inline struct text file_of(const char *top, const char *keys)
{
    struct text yaml = text_growing();
    text_print(&yaml,
               "listeners: \":8080\"\n%s\nroutes: [ { name: only, %s } ]\n"
               "pools: { app: { servers: 10.0.0.11:8080 } }\n",
               top, keys);
    return yaml;
}

/* What is counted goes on from an older route, as after a reload. */
static inline struct route_fixture *route_reloaded(const struct route_fixture *before, const char *top,
                                                   const char *keys)
{
    struct route_fixture *route = xcalloc(1, sizeof *route);
    struct text yaml = file_of(top, keys), told = text_growing();
    struct error error = {.text = ""};
    size_t bad;
    route->config = config_of(yaml.at, &told);
    if (route->config == NULL)
        fail_msg("%s\n%s", yaml.at, told.at);
    text_free(&yaml);
    text_free(&told);
    route->router = router_new(route->config->routes, route->config->routes_count, &bad, &error);
    if (route->router == NULL)
        fail_msg("%s", error.text);
    route->owns_limiters = before == NULL;
    route->limiters = before == NULL ? limiter_set_new() : before->limiters;
    limiter_set_begin(route->limiters);
    if (!filters_new(&route->filters, &route->config->routes[0], route->config, route->limiters, &error))
        fail_msg("%s", error.text);
    route->loop = loop_new();
    return route;
}

static inline struct route_fixture *route_open(const char *top, const char *keys)
{
    return route_reloaded(NULL, top, keys);
}

static inline void route_close(struct route_fixture *route)
{
    for (size_t i = 0; i < route->requests_count; i++)
        arena_free(route->requests[i].arena);
    filters_dispose(&route->filters);
    if (route->owns_limiters)
        limiter_set_free(route->limiters);
    router_free(route->router);
    config_free(route->config);
    loop_free(route->loop);
    free(route);
}

/* ---- requests and responses ---- */

/* Lines as they stand on the wire. */
static inline struct span wire_of(struct arena *arena, const char *start, const char *fields)
{
    struct text wire = text_growing();
    text_print(&wire, "%s\r\n", start);
    for (const char *at = fields; *at != '\0'; at++) {
        if (*at == '\n')
            text_char(&wire, '\r');
        text_char(&wire, *at);
    }
    text_print(&wire, "\r\n");
    struct span copy = arena_copy(arena, text_span(&wire));
    text_free(&wire);
    assert_non_null(copy.at);
    return copy;
}

/* target: method and target, "GET /x"; fields: lines that each end with \n. It comes from `client`, and has
 * taken the route, but none of its filters. */
static inline struct exchange *request_from(struct route_fixture *route, const char *client,
                                            const char *target, const char *fields)
{
    assert_true(route->requests_count < REQUESTS_MOST);
    struct exchange *x = &route->requests[route->requests_count++];
    struct head_check check = {.seen = 0};
    char line[1024];
    *x = (struct exchange){.arena = arena_new(1 << 16), .loop = route->loop};
    if (strcmp(client, "unix") == 0)
        x->client.family = AF_UNIX;
    else if (client[0] != '\0')
        assert_true(ip_address_parse(&x->client, span_of(client)));
    (void)snprintf(line, sizeof line, "%s HTTP/1.1", target);
    enum failure why = h1_parse_request(wire_of(x->arena, line, fields), &route->config->limits, x->arena,
                                        &x->request, &check);
    if (why == FAILURE_NONE)
        why = target_prepare_head(&x->target, &x->request, x->arena);
    x->request.line.request.authority = x->target.authority;
    if (why == FAILURE_NONE)
        why = route_choose(route->router, x);
    if (why != FAILURE_NONE)
        fail_msg("%s came to no filter: %s", target, failure_info[why].word);
    x->route_name = x->route->config->name;
    return x;
}

static inline struct exchange *request_of(struct route_fixture *route, const char *target, const char *fields)
{
    return request_from(route, "192.0.2.1", target, fields);
}

/* The response head that its server gave. */
static inline void response_comes(struct route_fixture *route, struct exchange *x, const char *status,
                                  const char *fields)
{
    struct head_check check = {.seen = 0};
    char line[64];
    (void)snprintf(line, sizeof line, "HTTP/1.1 %s", status);
    x->response = (struct head){.minor_version = 1};
    assert_int_equal(h1_parse_response(wire_of(x->arena, line, fields), &route->config->limits, x->arena,
                                       &x->response, &check),
                     FAILURE_NONE);
}

/* All request filters from the first on. Status of weir's answer; 0: the request goes on. */
static inline unsigned filter(struct route_fixture *route, struct exchange *x)
{
    unsigned index = 0;
    enum verdict verdict = filters_request(&route->filters, x, &index);
    assert_int_not_equal(verdict, VERDICT_WAIT);
    assert_int_equal(x->answer.status != 0, verdict == VERDICT_ANSWERED);
    return x->answer.status;
}

/* No more of the arena is to be had. */
static inline void arena_use_up(struct arena *arena)
{
    for (size_t piece = 1024; piece != 0; piece /= 2)
        while (arena_get_bytes(arena, piece) != NULL)
            ;
}

/* ---- expectations: on failure both texts are told ---- */

#define assert_text(actual, expected)                                                                     \
    do {                                                                                                  \
        char seen_[1024];                                                                                 \
        struct span span_ = (actual);                                                                     \
        (void)snprintf(seen_, sizeof seen_, "%.*s", (int)span_.length, span_.at != NULL ? span_.at : ""); \
        assert_string_equal(seen_, expected);                                                             \
    } while (0)

/* As lines "Name: value\n", in order. */
static inline const char *lines_of(const struct fields *fields, char *lines, size_t room)
{
    size_t length = 0;
    lines[0] = '\0';
    for (uint16_t i = 0; i < fields->count && length < room; i++) {
        const struct field *field = &fields->items[i];
        length += (size_t)snprintf(lines + length, room - length, "%.*s: %.*s\n", (int)field->name.length,
                                   field->name.at, (int)field->value.length, field->value.at);
    }
    return lines;
}

#define assert_fields(fields, expected)                                             \
    do {                                                                            \
        char lines_[4096];                                                          \
        assert_string_equal(lines_of((fields), lines_, sizeof lines_), (expected)); \
    } while (0)

#define assert_failure(actual, expected) \
    assert_string_equal(failure_info[(actual)].word, failure_info[(expected)].word)

#endif
