/* Answers of weir's own: where redirects go, what fixed responses hold, and what is answered to requests that
 * have no place to go to. */
#include "filter/answer.h"

#include <unistd.h>

#include "filter_fixture.h"

struct answering {
    struct route_fixture *route;
    struct action *action;
};

static struct answering answering_open(const char *keys)
{
    struct answering made = {.route = route_open("", keys)};
    struct error error = {.text = ""};
    if (!action_new(&made.action, &made.route->config->routes[0], &error))
        fail_msg("%s", error.text);
    return made;
}

static void answering_close(struct answering *answering)
{
    action_free(answering->action);
    route_close(answering->route);
}

/* ---- redirects ---- */

/* Status and Location, or status and word of the failure. */
static const char *redirected(const char *keys, const char *target, const char *fields)
{
    static char told[512];
    struct answering a = answering_open(keys);
    struct exchange *x = request_of(a.route, target, fields);
    enum failure why = action_answer(a.action, x);
    const struct field *location = fields_find(&x->answer.fields, FIELD_LOCATION);
    if (why != FAILURE_NONE)
        (void)snprintf(told, sizeof told, "%u %s", failure_info[why].status, failure_info[why].word);
    else
        (void)snprintf(told, sizeof told, "%u %.*s", x->answer.status,
                       location != NULL ? (int)location->value.length : 0,
                       location != NULL ? location->value.at : "");
    answering_close(&a);
    return told;
}

static void parts_that_are_not_given_stay_as_they_came(void **state)
{
    (void)state;
    static const char host[] = "Host: A.test:8080\n";
    assert_string_equal(redirected("redirect: { scheme: https }", "GET /p?q=1", host),
                        "308 https://a.test/p?q=1");
    assert_string_equal(redirected("redirect: { scheme: https, port: 8443 }", "GET /p?", host),
                        "308 https://a.test:8443/p?");
    assert_string_equal(redirected("match: { host: a.test }, redirect: { host: b.test }", "GET /p?q=1", host),
                        "308 http://b.test/p?q=1");
    assert_string_equal(redirected("match: { path: /p }, redirect: { path: /new }", "GET /p?q=1", host),
                        "308 http://a.test:8080/new");
    assert_string_equal(
        redirected("match: { path: /p }, redirect: { path: \"/new?${request.query}\", status: 302 }",
                   "GET /p?q=1", host),
        "302 http://a.test:8080/new?q=1");
}

static void an_ipv6_host_keeps_its_brackets(void **state)
{
    (void)state;
    assert_string_equal(redirected("redirect: { scheme: https }", "GET /", "Host: [2001:DB8::1]:8080\n"),
                        "308 https://[2001:db8::1]/");
    assert_string_equal(redirected("redirect: { scheme: https, host: \"${request.header.x-host}\" }", "GET /",
                                   "Host: a.test\nX-Host: 2001:db8::2\n"),
                        "308 https://[2001:db8::2]/");
}

static void to_is_the_whole_location(void **state)
{
    (void)state;
    assert_string_equal(
        redirected("redirect: \"https://example.com${request.uri}\"", "GET /p?q=1", "Host: a.test:8080\n"),
        "308 https://example.com/p?q=1");
    assert_string_equal(redirected("redirect: { to: \"https://example.com/\", status: 303 }", "POST /p",
                                   "Host: a.test:8080\n"),
                        "303 https://example.com/");
}

static void what_is_no_place_is_refused_as_the_files_fault(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "redirect: { to: \"https://b.test/${request.header.x-bad}\" }",
        "redirect: { scheme: https, host: \"${request.header.x-bad}\" }",
        "redirect: { scheme: https, path: \"${request.header.x-bad}\" }",
    };
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        struct answering a = answering_open(keys[i]);
        struct exchange *x = request_of(a.route, "GET /", "Host: a.test\nX-Bad: b c\n");
        assert_failure(action_answer(a.action, x), FAILURE_REWRITE_INVALID);
        if (span_find(x->made, 'c') == x->made.length)
            fail_msg("%s: what was made is not kept for the log", keys[i]);
        answering_close(&a);
    }
}

/* Not its port: the file has given one. */
static void a_host_that_a_value_gives_may_bring_a_port_where_the_file_gives_none(void **state)
{
    (void)state;
    static const char fields[] = "Host: a.test\nX-Host: b.test:8443\n";
    assert_string_equal(
        redirected("redirect: { scheme: https, host: \"${request.header.x-host}\" }", "GET /", fields),
        "308 https://b.test:8443/");
    assert_string_equal(redirected("redirect: { scheme: https, host: \"${request.header.x-host}\", port: 1 }",
                                   "GET /", fields),
                        "500 rewrite_invalid");
}

static void an_empty_path_of_a_redirect_is_a_slash(void **state)
{
    (void)state;
    assert_string_equal(redirected("redirect: { scheme: https, path: \"${request.header.x-none}\" }",
                                   "GET /p", "Host: a.test\n"),
                        "308 https://a.test/");
}

static void without_a_host_there_is_no_place_that_keeps_it(void **state)
{
    (void)state;
    assert_string_equal(redirected("redirect: { scheme: https }", "GET /p", "Host:\n"), "400 bad_host");
    assert_string_equal(redirected("redirect: \"https://${request.host}/\"", "GET /p", "Host:\n"),
                        "400 bad_host");
    assert_string_equal(redirected("redirect: \"https://b.test/\"", "GET /p", "Host:\n"),
                        "308 https://b.test/");
}

/* ---- requests about weir itself ---- */

static void options_that_cannot_be_redirected_are_answered_by_weir(void **state)
{
    (void)state;
    static const struct {
        const char *target, *fields;
    } rows[] = {{"OPTIONS /", "Host:\n"}, {"OPTIONS *", "Host: a.test\n"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct answering a = answering_open("redirect: { scheme: https }");
        struct exchange *x = request_of(a.route, rows[i].target, rows[i].fields);
        assert_failure(action_answer(a.action, x), FAILURE_NONE);
        assert_int_equal(x->answer.status, 204);
        assert_fields(&x->answer.fields, "Allow: GET, HEAD, OPTIONS\n");
        answering_close(&a);
    }
}

/* A trace would send back what proxies before have added. */
static void a_trace_that_goes_no_further_is_not_allowed(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "pool: app");
    struct exchange *x = request_of(route, "TRACE /", "Host: a.test\n");
    assert_failure(answer_for_itself(x), FAILURE_NONE);
    assert_int_equal(x->answer.status, 405);
    assert_failure(x->answer.failure, FAILURE_METHOD_REFUSED);
    assert_fields(&x->answer.fields, "Allow: GET, HEAD, OPTIONS\n");
    assert_null(x->answer.body.at);
    route_close(route);
}

/* ---- fixed responses ---- */

static struct exchange *responded(struct answering *a, const char *fields)
{
    struct exchange *x = request_of(a->route, "GET /p?q=1", fields);
    assert_failure(action_answer(a->action, x), FAILURE_NONE);
    assert_failure(x->answer.failure, FAILURE_NONE);
    return x;
}

static void a_fixed_response_has_defaults(void **state)
{
    (void)state;
    struct answering a = answering_open("respond: { body: ok }");
    struct exchange *x = responded(&a, "Host: a.test\n");
    assert_int_equal(x->answer.status, 200);
    assert_text(x->answer.body, "ok");
    assert_text(x->answer.content_type, "text/plain; charset=utf-8");
    assert_fields(&x->answer.fields, "");
    answering_close(&a);
}

static void a_number_is_a_status_without_a_body(void **state)
{
    (void)state;
    struct answering a = answering_open("respond: 204");
    struct exchange *x = responded(&a, "Host: a.test\n");
    assert_int_equal(x->answer.status, 204);
    assert_non_null(x->answer.body.at);
    assert_text(x->answer.body, "");
    answering_close(&a);
}

/* What is filled in, by the type of the body. */
static void assert_body(const char *keys, const char *body)
{
    struct answering a = answering_open(keys);
    struct exchange *x = responded(&a, "Host: a.test\nX-Value: <b>\"&\n");
    assert_text(x->answer.body, body);
    answering_close(&a);
}

static void what_is_filled_into_a_body_is_text_there(void **state)
{
    (void)state;
    assert_body("respond: { body: \"${request.header.x-value}\" }", "<b>\"&");
    assert_body("respond: { body: \"<i>${request.header.x-value}</i>\", content_type: text/html }",
                "<i>&lt;b&gt;&quot;&amp;</i>");
    assert_body("respond: { body: '{\"a\":\"${request.header.x-value}\"}', content_type: application/json }",
                "{\"a\":\"\\u003cb\\u003e\\\"&\"}");
}

static void a_content_type_among_the_headers_says_how_a_body_is_filled(void **state)
{
    (void)state;
    assert_body("respond: { body: \"${request.header.x-value}\", headers: { content-type: text/html } }",
                "&lt;b&gt;&quot;&amp;");
}

static void only_a_body_that_is_always_the_same_lasts(void **state)
{
    (void)state;
    struct answering constant = answering_open("respond: { body: ok }"),
                     filled = answering_open("respond: { body: \"${request.path}\" }");
    assert_true(responded(&constant, "Host: a.test\n")->answer.body_lasts);
    assert_false(responded(&filled, "Host: a.test\n")->answer.body_lasts);
    answering_close(&filled);
    answering_close(&constant);
}

static void headers_are_filled_in_and_empty_ones_are_left_out(void **state)
{
    (void)state;
    struct answering a =
        answering_open("respond: { status: 503, headers: { Retry-After: \"600\", X-Path: \"${request.path}\","
                       " X-Sni: \"${tls.sni}\", Set-Cookie: \"k=${request.header.x-k}\" } }");
    struct exchange *x = responded(&a, "Host: a.test\nX-K: a; Domain=b\n");
    assert_int_equal(x->answer.status, 503);
    assert_fields(&x->answer.fields, "Retry-After: 600\nX-Path: /p\nSet-Cookie: k=a%3B%20Domain=b\n");
    answering_close(&a);
}

static void a_location_among_the_headers_is_judged_as_one(void **state)
{
    (void)state;
    static const char keys[] = "respond: { status: 302, headers: { Location: \"${request.header.x-to}\" } }";
    assert_string_equal(redirected(keys, "GET /", "Host: a.test\nX-To: /there\n"), "302 /there");
    assert_string_equal(redirected(keys, "GET /", "Host: a.test\nX-To: javascript:a\n"),
                        "500 rewrite_invalid");
}

static void a_file_is_the_body_byte_for_byte(void **state)
{
    (void)state;
    char path[] = "/tmp/weir-answer-XXXXXX", keys[128];
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, "${request.path}\n", 16), 16);
    close(descriptor);
    (void)snprintf(keys, sizeof keys, "respond: { file: %s }", path);
    struct answering a = answering_open(keys);
    (void)unlink(path); /* it was read when the file was loaded */
    struct exchange *x = responded(&a, "Host: a.test\n");
    assert_text(x->answer.body, "${request.path}\n");
    assert_true(x->answer.body_lasts);
    answering_close(&a);
}

static void want_of_room_is_no_empty_answer(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "redirect: { scheme: https }",
        "redirect: \"https://b.test${request.uri}\"",
        "respond: { body: \"a${request.path}\" }",
        "respond: { headers: { X-A: \"a${request.path}\" } }",
    };
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        struct answering a = answering_open(keys[i]);
        struct exchange *x = request_of(a.route, "GET /", "Host: a.test\n");
        arena_use_up(x->arena);
        assert_failure(action_answer(a.action, x), FAILURE_OVERLOADED);
        answering_close(&a);
    }
}

static void a_route_to_a_pool_answers_nothing_itself(void **state)
{
    (void)state;
    struct answering a = answering_open("pool: app");
    assert_null(a.action);
    answering_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_that_are_not_given_stay_as_they_came),
        cmocka_unit_test(an_ipv6_host_keeps_its_brackets),
        cmocka_unit_test(to_is_the_whole_location),
        cmocka_unit_test(what_is_no_place_is_refused_as_the_files_fault),
        cmocka_unit_test(a_host_that_a_value_gives_may_bring_a_port_where_the_file_gives_none),
        cmocka_unit_test(an_empty_path_of_a_redirect_is_a_slash),
        cmocka_unit_test(without_a_host_there_is_no_place_that_keeps_it),
        cmocka_unit_test(options_that_cannot_be_redirected_are_answered_by_weir),
        cmocka_unit_test(a_trace_that_goes_no_further_is_not_allowed),
        cmocka_unit_test(a_fixed_response_has_defaults),
        cmocka_unit_test(a_number_is_a_status_without_a_body),
        cmocka_unit_test(what_is_filled_into_a_body_is_text_there),
        cmocka_unit_test(a_content_type_among_the_headers_says_how_a_body_is_filled),
        cmocka_unit_test(only_a_body_that_is_always_the_same_lasts),
        cmocka_unit_test(headers_are_filled_in_and_empty_ones_are_left_out),
        cmocka_unit_test(a_location_among_the_headers_is_judged_as_one),
        cmocka_unit_test(a_file_is_the_body_byte_for_byte),
        cmocka_unit_test(want_of_room_is_no_empty_answer),
        cmocka_unit_test(a_route_to_a_pool_answers_nothing_itself),
    };
    return cmocka_run_group_tests(tests, filter_setup, NULL);
}
