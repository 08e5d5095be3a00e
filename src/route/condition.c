/* Conditions are looked at on candidates only, so a plain walk over a handful is the fastest there is. */
#include "route/condition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "config/route_config.h"
#include "http/exchange.h"
#include "http/regex.h"
#include "net/address.h"
#include "route/request_values.h"
#include "route/router.h"

enum test_kind { TEST_PRESENT, TEST_EQUAL, TEST_REGEX };
struct test {
    struct span name, value;
    enum test_kind kind;
    struct regex *regex;
};
struct condition {
    size_t methods_count, headers_count, queries_count;
    struct span *methods;
    struct test *headers, *queries;
    struct networks clients;
    struct span unless_scheme; /* that requests must not have come by; empty: any */
};

static bool test_new(struct test *test, const struct name_value *pair, struct error *error)
{
    *test = (struct test){.name = span_of(pair->name), .value = span_of(pair->value), .kind = TEST_EQUAL};
    if (strcmp(pair->value, "*") == 0) {
        test->kind = TEST_PRESENT;
    } else if (pair->value[0] == '~') {
        test->kind = TEST_REGEX;
        test->regex = regex_new(pair->value + 1, error);
        return test->regex != NULL;
    }
    return true;
}

static bool tests_new(struct test **tests, size_t *count, const struct name_values *pairs,
                      struct error *error)
{
    *tests = pairs->count != 0 ? xcalloc(pairs->count, sizeof **tests) : NULL;
    for (*count = 0; *count < pairs->count; ++*count)
        if (!test_new(&(*tests)[*count], &pairs->items[*count], error))
            return false;
    return true;
}

static bool clients_new(struct networks *clients, const struct texts *texts, struct error *error)
{
    clients->items = texts->count != 0 ? xcalloc(texts->count, sizeof *clients->items) : NULL;
    for (clients->count = 0; clients->count < texts->count; clients->count++)
        if (!network_parse(&clients->items[clients->count], texts->items[clients->count], error))
            return false;
    return true;
}

bool condition_new(struct condition **made, const struct match_config *match, struct error *error)
{
    *made = NULL;
    if (match->methods.count + match->header.count + match->query.count + match->client.count == 0 &&
        match->unless_scheme == NULL)
        return true;
    struct condition *condition = xcalloc(1, sizeof *condition);
    condition->unless_scheme = match->unless_scheme != NULL ? span_of(match->unless_scheme) : SPAN_NONE;
    condition->methods =
        match->methods.count != 0 ? xcalloc(match->methods.count, sizeof *condition->methods) : NULL;
    for (; condition->methods_count < match->methods.count; condition->methods_count++)
        condition->methods[condition->methods_count] =
            span_of(match->methods.items[condition->methods_count]);
    if (!tests_new(&condition->headers, &condition->headers_count, &match->header, error) ||
        !tests_new(&condition->queries, &condition->queries_count, &match->query, error) ||
        !clients_new(&condition->clients, &match->client, error)) {
        condition_free(condition);
        return false;
    }
    *made = condition;
    return true;
}

static void tests_free(struct test *tests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        regex_free(tests[i].regex);
    free(tests);
}

void condition_free(struct condition *condition)
{
    if (condition == NULL)
        return;
    tests_free(condition->headers, condition->headers_count);
    tests_free(condition->queries, condition->queries_count);
    free(condition->methods);
    free(condition->clients.items);
    free(condition);
}

static enum match value_passes(const struct test *test, struct span value)
{
    switch (test->kind) {
    case TEST_PRESENT:
        return MATCH_YES;
    case TEST_EQUAL:
        return span_equal(value, test->value) ? MATCH_YES : MATCH_NO;
    case TEST_REGEX:
        return regex_match(test->regex, value);
    }
    return MATCH_NO;
}

/* Of several values one has to pass: what could not be told of another is then no matter. */
static enum match match_either(enum match a, enum match b)
{
    return a == MATCH_YES || b == MATCH_YES ? MATCH_YES : a == MATCH_FAILED ? a : b;
}

static enum match test_passes(const struct test *test, enum value_kind kind, const struct exchange *exchange)
{
    struct request_values values;
    struct span value;
    enum match match = MATCH_NO;
    request_values_begin(&values, kind, test->name, exchange);
    while (match != MATCH_YES && request_values_next(&values, &value))
        match = match_either(match, value_passes(test, value));
    return values.failed ? match_either(match, MATCH_FAILED) : match;
}

/* Without case: what a server may take for the method is the method to rules. */
static bool method_passes(const struct condition *condition, struct span method)
{
    for (size_t i = 0; i < condition->methods_count; i++)
        if (span_equal_nocase(condition->methods[i], method))
            return true;
    return condition->methods_count == 0;
}

static enum match no(char *why, size_t room, const char *what, struct span name)
{
    if (why != NULL)
        snprintf(why, room, "%s%.*s", what, (int)name.length, name.length != 0 ? name.at : "");
    return MATCH_NO;
}

static enum match no_test(char *why, size_t room, const char *what, const struct test *test)
{
    if (why == NULL)
        return MATCH_NO;
    int length = snprintf(why, room, "it wants %s %.*s ", what, (int)test->name.length, test->name.at);
    if (length < 0 || (size_t)length >= room)
        return MATCH_NO;
    char *at = why + length;
    size_t left = room - (size_t)length;
    if (test->kind == TEST_PRESENT)
        snprintf(at, left, "to be there");
    else
        snprintf(at, left, test->kind == TEST_EQUAL ? "to be \"%.*s\"" : "to match \"%.*s\"",
                 (int)test->value.length, test->value.at);
    return MATCH_NO;
}

enum match condition_holds(const struct condition *condition, const struct exchange *exchange, char *why,
                           size_t room)
{
    if (condition == NULL)
        return MATCH_YES;
    enum match all = MATCH_YES;
    struct span method = exchange->request.line.request.method_name;
    if (!method_passes(condition, method))
        return no(why, room, "it does not take method ", method);
    if (condition->clients.count != 0 && !networks_contain(&condition->clients, &exchange->client))
        return no(why, room, "the client's address is not in its networks", SPAN_NONE);
    if (condition->unless_scheme.length != 0 &&
        span_equal_nocase(condition->unless_scheme, exchange->https ? SPAN("https") : SPAN("http")))
        return no(why, room, "the request came by ", condition->unless_scheme);
    for (size_t i = 0; i < condition->headers_count; i++) {
        enum match match = test_passes(&condition->headers[i], VALUE_HEADER, exchange);
        if (match == MATCH_NO)
            return no_test(why, room, "header", &condition->headers[i]);
        all = match == MATCH_FAILED ? match : all;
    }
    for (size_t i = 0; i < condition->queries_count; i++) {
        enum match match = test_passes(&condition->queries[i], VALUE_QUERY, exchange);
        if (match == MATCH_NO)
            return no_test(why, room, "query parameter", &condition->queries[i]);
        all = match == MATCH_FAILED ? match : all;
    }
    return all;
}
