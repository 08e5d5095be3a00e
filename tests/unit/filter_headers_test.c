/* Edits of fields in requests, responses and trailers: what is removed, set and added, in which order, what a
 * client or a server brought under the same name, and which names are weir's own. */
#include "filter_fixture.h"

/* ---- requests ---- */

/* The fields of a request, once the route's filters have seen it. */
#define ASSERT_REQUEST(top, keys, came, goes)                           \
    do {                                                                \
        struct route_fixture *route_ = route_open((top), (keys));       \
        struct exchange *x_ = request_of(route_, "GET /p?q=1", (came)); \
        assert_int_equal(filter(route_, x_), 0);                        \
        assert_fields(&x_->request.fields, (goes));                     \
        route_close(route_);                                            \
    } while (0)

static void fields_are_removed_then_set_then_added(void **state)
{
    (void)state;
    ASSERT_REQUEST("",
                   "request: { headers: { add: { X-A: added, X-B: more }, set: { X-B: set },"
                   " remove: [X-A, X-C] } }, pool: app",
                   "Host: a.test\nX-A: came\nX-B: came\nX-C: came\nX-D: came\n",
                   "X-D: came\nX-B: set\nX-A: added\nX-B: more\n");
}

static void several_edits_of_a_kind_keep_the_order_of_the_file(void **state)
{
    (void)state;
    ASSERT_REQUEST("", "request: { headers: { set: { X-2: b, X-1: a, X-3: c } } }, pool: app",
                   "Host: a.test\n", "X-2: b\nX-1: a\nX-3: c\n");
}

static void set_takes_the_place_of_all_of_that_name_in_any_case(void **state)
{
    (void)state;
    ASSERT_REQUEST("", "request: { headers: { set: { X-User: weir } } }, pool: app",
                   "Host: a.test\nx-user: one\nX-Other: stays\nX-USER: two\n",
                   "X-Other: stays\nX-User: weir\n");
}

static void remove_takes_all_of_that_name_in_any_case(void **state)
{
    (void)state;
    ASSERT_REQUEST("", "request: { headers: { remove: [cookie, X-Debug] } }, pool: app",
                   "Host: a.test\nCookie: a=1\nX-DEBUG: 1\nCOOKIE: b=2\nX-Debugger: stays\n",
                   "X-Debugger: stays\n");
}

static void add_leaves_what_is_there(void **state)
{
    (void)state;
    ASSERT_REQUEST("", "request: { headers: { add: { X-Via-Region: eu } } }, pool: app",
                   "Host: a.test\nX-Via-Region: us\n", "X-Via-Region: us\nX-Via-Region: eu\n");
}

static void values_are_filled_in_from_the_request(void **state)
{
    (void)state;
    ASSERT_REQUEST("",
                   "request: { headers: { set: { X-What: \"${request.method} ${request.uri} of ${client.ip}"
                   " by ${route} for $$1\", X-Copy: \"<${request.header.x-came}>\" } } }, pool: app",
                   "Host: a.test\nX-Came: it\n",
                   "X-Came: it\nX-What: GET /p?q=1 of 192.0.2.1 by only for $1\nX-Copy: <it>\n");
}

/* What was there before is a part of the new value, and does not stand beside it. */
static void a_set_value_may_take_up_what_it_replaces(void **state)
{
    (void)state;
    ASSERT_REQUEST("", "request: { headers: { set: { X-A: \"${request.header.x-a}, more\" } } }, pool: app",
                   "Host: a.test\nX-A: came\n", "X-A: came, more\n");
}

static void blanks_at_the_ends_of_a_value_are_left_out(void **state)
{
    (void)state;
    ASSERT_REQUEST(
        "",
        "request: { headers: { set: { X-A: \" ${request.header.x-no}  in  it ${request.header.x-no} "
        "\" } } }, pool: app",
        "Host: a.test\n", "X-A: in  it\n");
}

static void an_empty_value_leaves_no_field_not_even_the_clients(void **state)
{
    (void)state;
    ASSERT_REQUEST("", "request: { headers: { set: { X-User: \"${tls.sni}\" } } }, pool: app",
                   "Host: a.test\nX-User: admin\n", "");
    ASSERT_REQUEST("", "request: { headers: { add: { X-User: \"${tls.sni}\" } } }, pool: app",
                   "Host: a.test\nX-User: admin\n", "");
    ASSERT_REQUEST("", "request: { headers: { set: { X-User: \" ${tls.sni} \" } } }, pool: app",
                   "Host: a.test\nX-User: admin\n", "");
}

/* Servers that read "_" as "-" must not find the client's word beside weir's. */
static void what_is_set_takes_the_place_of_spellings_that_servers_fold(void **state)
{
    (void)state;
    static const char folds[] = "limits: { underscore_names: true }";
    ASSERT_REQUEST(folds, "request: { headers: { set: { X-User: weir } } }, pool: app",
                   "Host: a.test\nX_User: admin\nx_user: admin\nX_Users: stays\n",
                   "X_Users: stays\nX-User: weir\n");
    ASSERT_REQUEST(folds, "request: { headers: { remove: X-User } }, pool: app",
                   "Host: a.test\nX_User: admin\nX-User: admin\nX_Users: stays\n", "X_Users: stays\n");
    ASSERT_REQUEST(folds, "request: { headers: { set: { X_User: weir } } }, pool: app",
                   "Host: a.test\nX-User: admin\nX_User: admin\n", "X_User: weir\n");
    ASSERT_REQUEST(folds, "request: { headers: { add: { X-User: \"${tls.sni}\" } } }, pool: app",
                   "Host: a.test\nX_User: admin\n", "");
}

/* Only then is it looked for, to find whether a connection belongs to one client. */
static void credentials_that_are_set_are_known_to_be_there(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("", "request: { headers: { set: { Authorization: \"Negotiate x\" } } }, pool: app");
    struct exchange *x = request_of(route, "GET /", "Host: a.test\n");
    assert_false(x->request.has_credentials);
    assert_int_equal(filter(route, x), 0);
    assert_true(x->request.has_credentials);
    route_close(route);
    route = route_open("", "request: { headers: { set: { X-A: b } } }, pool: app");
    x = request_of(route, "GET /", "Host: a.test\n");
    assert_int_equal(filter(route, x), 0);
    assert_false(x->request.has_credentials);
    route_close(route);
}

static void edits_of_the_defaults_hold_but_for_names_of_the_route(void **state)
{
    (void)state;
    ASSERT_REQUEST("defaults: { route: { request: { headers: { remove: [X-Gone], set: { X-A: default, X-B: "
                   "default } } } } }",
                   "request: { headers: { set: { X-A: route } } }, pool: app",
                   "Host: a.test\nX-Gone: 1\nX-A: came\nX-B: came\n", "X-B: default\nX-A: route\n");
}

static void a_request_that_cannot_be_edited_is_not_sent_unedited(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("", "request: { headers: { set: { X-User: \"weir ${request.path}\" } } }, pool: app");
    struct exchange *x = request_of(route, "GET /", "Host: a.test\nX-User: admin\n");
    arena_use_up(x->arena);
    assert_int_equal(filter(route, x), 503);
    assert_failure(x->answer.failure, FAILURE_OVERLOADED);
    route_close(route);
}

/* ---- responses ---- */

#define ASSERT_RESPONSE(keys, came, goes)                                         \
    do {                                                                          \
        struct route_fixture *route_ = route_open("", (keys));                    \
        struct exchange *x_ = request_of(route_, "GET /p?q=1", "Host: a.test\n"); \
        assert_int_equal(filter(route_, x_), 0);                                  \
        response_comes(route_, x_, "404 Not Found", (came));                      \
        assert_true(filters_response(&route_->filters, x_));                      \
        assert_fields(&x_->response.fields, (goes));                              \
        route_close(route_);                                                      \
    } while (0)

static void responses_are_edited_in_the_same_order(void **state)
{
    (void)state;
    ASSERT_RESPONSE("response: { headers: { add: { Vary: Accept }, set: { X-Frame-Options: DENY }, remove: "
                    "[Server, X-Powered-By] } }, pool: app",
                    "Server: s\nVary: Cookie\nx-frame-options: ALLOWALL\nX-POWERED-BY: p\nX-A: stays\n",
                    "Vary: Cookie\nX-A: stays\nX-Frame-Options: DENY\nVary: Accept\n");
}

static void values_are_filled_in_from_request_and_response(void **state)
{
    (void)state;
    ASSERT_RESPONSE("response: { headers: { set: { X-What: \"${status} of ${request.path}\" } } }, pool: app",
                    "", "X-What: 404 of /p\n");
}

static void an_empty_value_sets_no_field_of_a_response_and_adds_none(void **state)
{
    (void)state;
    ASSERT_RESPONSE("response: { headers: { set: { X-Set: \"${tls.sni}\" }, add: { X-Add: \"${tls.sni}\" } } "
                    "}, pool: app",
                    "X-Set: server\nX-Add: server\n", "X-Add: server\n");
}

/* Servers choose the names of what they send: none is taken for another. */
static void names_of_responses_are_not_folded(void **state)
{
    (void)state;
    ASSERT_RESPONSE("response: { headers: { set: { X-User: weir }, remove: [A_B] } }, pool: app",
                    "X_User: server\nA-B: server\nA_B: server\n",
                    "X_User: server\nA-B: server\nX-User: weir\n");
}

static void a_location_that_is_none_is_left_out(void **state)
{
    (void)state;
    ASSERT_RESPONSE("response: { headers: { set: { Location: \"${request.query}\" } } }, pool: app",
                    "Location: /server\n", "");
    ASSERT_RESPONSE("response: { headers: { add: { Location: \"${request.query}\" } } }, pool: app",
                    "Location: /server\n", "Location: /server\n");
    ASSERT_RESPONSE(
        "response: { headers: { set: { Location: \"https://b.test${request.uri}\" } } }, pool: app",
        "Location: /server\n", "Location: https://b.test/p?q=1\n");
}

static void what_is_filled_into_a_cookie_begins_no_attribute(void **state)
{
    (void)state;
    struct route_fixture *route = route_open(
        "", "response: { headers: { add: { Set-Cookie: \"from=${request.query}; Path=/\" } } }, pool: app");
    struct exchange *x = request_of(route, "GET /?a;Domain=b,\"c", "Host: a.test\n");
    assert_int_equal(filter(route, x), 0);
    response_comes(route, x, "200 OK", "Set-Cookie: own=1\n");
    assert_true(filters_response(&route->filters, x));
    assert_fields(&x->response.fields, "Set-Cookie: own=1\nSet-Cookie: from=a%3BDomain=b%2C%22c; Path=/\n");
    route_close(route);
}

static void a_response_that_cannot_be_edited_does_not_go_out_unedited(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("", "response: { headers: { set: { X-A: \"weir ${request.path}\" } } }, pool: app");
    struct exchange *x = request_of(route, "GET /", "Host: a.test\n");
    assert_int_equal(filter(route, x), 0);
    response_comes(route, x, "200 OK", "X-A: server\n");
    arena_use_up(x->arena);
    assert_false(filters_response(&route->filters, x));
    route_close(route);
}

/* ---- trailers ---- */

/* A section of fields as it comes behind the body of a request, or of a response. */
static struct fields trailers_of(struct route_fixture *route, struct exchange *x, bool request,
                                 const char *fields)
{
    struct span wire = wire_of(x->arena, "", fields);
    struct fields trailers = {0};
    assert_int_equal(
        h1_parse_trailers(span_skip(wire, 2), request, &route->config->limits, x->arena, &trailers),
        FAILURE_NONE);
    return trailers;
}

static void of_trailers_goes_what_is_removed_or_set(void **state)
{
    (void)state;
    struct route_fixture *route = route_open(
        "limits: { underscore_names: true }",
        "request: { headers: { remove: [X-Gone], set: { X-Set: weir }, add: { X-More: weir } } },"
        " response: { headers: { remove: [Y-Gone], set: { Y-Set: weir }, add: { Y-More: weir } } }, pool: app");
    struct exchange *x = request_of(route, "GET /", "Host: a.test\n");
    static const char came[] = "X-Gone: 1\nx-set: 1\nX_Set: 1\nX-More: 1\nY-Gone: 1\ny-set: 1\nY_Set: 1\n"
                               "Y-More: 1\n";
    struct fields of_request = trailers_of(route, x, true, came),
                  of_response = trailers_of(route, x, false, came);
    filters_request_trailers(&route->filters, &of_request);
    assert_fields(&of_request, "X-More: 1\nY-Gone: 1\ny-set: 1\nY_Set: 1\nY-More: 1\n");
    filters_response_trailers(&route->filters, &of_response);
    assert_fields(&of_response, "X-Gone: 1\nx-set: 1\nX_Set: 1\nX-More: 1\nY_Set: 1\nY-More: 1\n");
    route_close(route);
}

/* ---- names that are not the file's ---- */

static const char *const protected[] = {"Host",
                                        "Upgrade",
                                        "Content-Length",
                                        "TE",
                                        "Expect",
                                        "Trailer",
                                        "Sec-WebSocket-Key",
                                        "Sec-WebSocket-Accept",
                                        "Connection",
                                        "Keep-Alive",
                                        "Proxy",
                                        "Proxy-Connection",
                                        "Proxy-Authenticate",
                                        "Proxy-Authorization",
                                        "Proxy-Authentication-Info",
                                        "Transfer-Encoding",
                                        "HTTP2-Settings",
                                        "\":authority\"",
                                        "\":path\"",
                                        "\":method\""};

static bool is_refused(const char *keys)
{
    struct text yaml = file_of("", keys), told = text_growing();
    struct config *config = config_of(yaml.at, &told);
    bool refused = config == NULL && strstr(told.at, "cannot be edited") != NULL;
    config_free(config);
    text_free(&told);
    text_free(&yaml);
    return refused;
}

static void names_that_frame_a_message_or_belong_to_a_connection_are_refused(void **state)
{
    (void)state;
    static const char *const edits[] = {
        "request: { headers: { set: { %s: a } } }, pool: app",
        "request: { headers: { add: { %s: a } } }, pool: app",
        "request: { headers: { remove: [%s] } }, pool: app",
        "response: { headers: { set: { %s: a } } }, pool: app",
        "response: { headers: { add: { %s: a } } }, pool: app",
        "response: { headers: { remove: [%s] } }, pool: app",
    };
    for (size_t i = 0; i < COUNT_OF(protected); i++)
        for (size_t k = 0; k < COUNT_OF(edits); k++) {
            struct text keys = text_growing();
            const char *place = strstr(edits[k], "%s");
            text_print(&keys, "%.*s%s%s", (int)(place - edits[k]), edits[k], protected[i], place + 2);
            if (!is_refused(keys.at))
                fail_msg("the file is taken: %s", keys.at);
            text_free(&keys);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_removed_then_set_then_added),
        cmocka_unit_test(several_edits_of_a_kind_keep_the_order_of_the_file),
        cmocka_unit_test(set_takes_the_place_of_all_of_that_name_in_any_case),
        cmocka_unit_test(remove_takes_all_of_that_name_in_any_case),
        cmocka_unit_test(add_leaves_what_is_there),
        cmocka_unit_test(values_are_filled_in_from_the_request),
        cmocka_unit_test(a_set_value_may_take_up_what_it_replaces),
        cmocka_unit_test(blanks_at_the_ends_of_a_value_are_left_out),
        cmocka_unit_test(an_empty_value_leaves_no_field_not_even_the_clients),
        cmocka_unit_test(what_is_set_takes_the_place_of_spellings_that_servers_fold),
        cmocka_unit_test(credentials_that_are_set_are_known_to_be_there),
        cmocka_unit_test(edits_of_the_defaults_hold_but_for_names_of_the_route),
        cmocka_unit_test(a_request_that_cannot_be_edited_is_not_sent_unedited),
        cmocka_unit_test(responses_are_edited_in_the_same_order),
        cmocka_unit_test(values_are_filled_in_from_request_and_response),
        cmocka_unit_test(an_empty_value_sets_no_field_of_a_response_and_adds_none),
        cmocka_unit_test(names_of_responses_are_not_folded),
        cmocka_unit_test(a_location_that_is_none_is_left_out),
        cmocka_unit_test(what_is_filled_into_a_cookie_begins_no_attribute),
        cmocka_unit_test(a_response_that_cannot_be_edited_does_not_go_out_unedited),
        cmocka_unit_test(of_trailers_goes_what_is_removed_or_set),
        cmocka_unit_test(names_that_frame_a_message_or_belong_to_a_connection_are_refused),
    };
    return cmocka_run_group_tests(tests, filter_setup, NULL);
}
