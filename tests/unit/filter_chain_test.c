/* A route's filters one after another: their order, where a request stops, what goes backward, and who hears
 * of the end. */
#include "filter_fixture.h"

/* ---- the order of the kinds ---- */

/* As weir.yaml(5) has it: "The order in which the keys of a route act". */
static void filters_have_one_order_whatever_the_order_in_the_file(void **state)
{
    (void)state;
    static const char *const order[] = {"access",  "rate_limit",      "in_flight",
                                        "rewrite", "request.headers", "response.headers"};
    struct route_fixture *route =
        route_open("rate_limits: { l: { rate: 1/h } }",
                   "response: { headers: { remove: [A] } }, request: { headers: { remove: [A] } },"
                   " rewrite: { path: /a }, in_flight: 1, rate_limit: l, access: { deny: 192.0.2.9 },"
                   " pool: app");
    assert_int_equal(route->filters.count, COUNT_OF(order));
    for (size_t i = 0; i < COUNT_OF(order); i++)
        assert_string_equal(route->filters.items[i].kind->name, order[i]);
    route_close(route);
}

static void a_route_has_the_filters_that_it_names_and_no_others(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "pool: app");
    assert_int_equal(route->filters.count, 0);
    struct exchange *x = request_of(route, "GET /p", "Host: a.test\nX-A: b\n");
    assert_int_equal(filter(route, x), 0);
    assert_fields(&x->request.fields, "X-A: b\n");
    assert_text(x->request.line.request.path, "/p");
    route_close(route);
}

static void who_is_denied_uses_up_no_limit(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("rate_limits: { l: { rate: 1/h, burst: 1, key: host } }",
                                             "rate_limit: l, access: { deny: 192.0.2.9 }, pool: app");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(filter(route, request_from(route, "192.0.2.9", "GET /", "Host: a.test\n")), 403);
    assert_int_equal(filter(route, request_from(route, "192.0.2.1", "GET /", "Host: a.test\n")), 0);
    route_close(route);
}

/* Whatever filters have made of it: of the response too, and of a redirect. */
static void templates_see_the_request_as_it_came(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("", "request: { headers: { remove: [X-K], set: { X-A: \"${request.header.x-k}\", X-B: "
                       "\"${request.header.x-a}\", X-C: \"${request.path} ${request.uri} ${request.host}\" },"
                       " add: { X-B: \"${request.header.x-b}.\" } } },"
                       " response: { headers: { set: { X-D: \"${request.header.x-k} ${request.header.x-a} "
                       "${request.header.x-b} ${request.uri}\" } } },"
                       " rewrite: { strip_prefix: /shop, host: \"b.test\" }, pool: app");
    struct exchange *x = request_of(route, "GET /shop/a?q=1", "Host: a.test\nX-K: k\nX-A: a\nX-B: b\n");
    assert_int_equal(filter(route, x), 0);
    assert_text(x->request.line.request.path, "/a");
    assert_text(x->request.line.request.authority, "b.test");
    assert_fields(&x->request.fields, "X-A: k\nX-B: a\nX-C: /shop/a /shop/a?q=1 a.test\nX-B: b.\n");
    assert_true(filters_response(&route->filters, x));
    assert_fields(&x->response.fields, "X-D: k a b /shop/a?q=1\n");
    route_close(route);
}

static void edits_without_templates_of_headers_keep_no_copy(void **state)
{
    (void)state;
    struct route_fixture *route = route_open(
        "", "request: { headers: { remove: [X-K], set: { X-A: \"${request.path}\" } } }, pool: app");
    struct exchange *x = request_of(route, "GET /a", "Host: a.test\nX-K: k\n");
    assert_int_equal(filter(route, x), 0);
    assert_null(x->came_fields);
    assert_null(x->came_path.at);
    route_close(route);
}

/* ---- settings that are wrong in a way that no check of the file knows ---- */

static void an_error_names_its_filter_and_leaves_none(void **state)
{
    (void)state;
    static const char *denied[] = {"192.0.2.0/24"};
    struct access_config access = {.deny = {1, denied}, .status = 403};
    struct rewrite_config rewrite = {.regex = "(", .replacement = "/"};
    const struct route_config wrong = {.name = "wrong", .access = &access, .rewrite = &rewrite};
    const struct config config = {.routes_count = 0};
    struct limiter_set *limiters = limiter_set_new();
    struct filters filters;
    struct error error = {.text = ""};
    assert_false(filters_new(&filters, &wrong, &config, limiters, &error));
    assert_int_equal(filters.count, 0);
    assert_null(filters.items);
    assert_non_null(strstr(error.text, "rewrite: "));
    filters_dispose(&filters);
    limiter_set_free(limiters);
}

/* ---- steps: three filters that write down what they are asked ---- */

struct step {
    char name;
    enum verdict verdict; /* of its request step */
    bool fits;            /* its response step */
};
static char heard[64]; /* a letter a call: its name, with what was called before it */

static void hear(char call, const struct filter *filter)
{
    const struct step *step = filter->prepared;
    size_t length = strlen(heard);
    (void)snprintf(heard + length, sizeof heard - length, "%s%c%c", length != 0 ? " " : "", call, step->name);
}

static enum verdict step_request(const struct filter *filter, struct exchange *exchange)
{
    const struct step *step = filter->prepared;
    hear('>', filter);
    if (step->verdict == VERDICT_ANSWERED)
        exchange->answer.status = 403;
    return step->verdict;
}

static bool step_response(const struct filter *filter, struct exchange *exchange)
{
    (void)exchange;
    hear('<', filter);
    return ((const struct step *)filter->prepared)->fits;
}

static void step_request_trailers(const struct filter *filter, struct fields *trailers)
{
    (void)trailers;
    hear('}', filter);
}

static void step_response_trailers(const struct filter *filter, struct fields *trailers)
{
    (void)trailers;
    hear('{', filter);
}

static void step_done(const struct filter *filter, struct exchange *exchange)
{
    (void)exchange;
    hear('.', filter);
}

static const struct filter_kind whole = {.name = "whole",
                                         .state = -1,
                                         .request = step_request,
                                         .response = step_response,
                                         .request_trailers = step_request_trailers,
                                         .response_trailers = step_response_trailers,
                                         .done = step_done},
                                stepless = {.name = "stepless", .state = -1};

struct chain {
    struct step a, b, c;
    struct filter items[4];
    struct filters filters;
    struct exchange exchange;
    unsigned index;
};

/* a, b and c, with one that has no steps between a and b. */
static void chain_begin(struct chain *chain, enum verdict of_b)
{
    *chain = (struct chain){
        .a = {'a', VERDICT_NEXT, true}, .b = {'b', of_b, true}, .c = {'c', VERDICT_NEXT, true}};
    chain->items[0] = (struct filter){&whole, &chain->a};
    chain->items[1] = (struct filter){&stepless, NULL};
    chain->items[2] = (struct filter){&whole, &chain->b};
    chain->items[3] = (struct filter){&whole, &chain->c};
    chain->filters = (struct filters){4, chain->items};
    heard[0] = '\0';
}

static void a_request_goes_forward_through_all(void **state)
{
    (void)state;
    struct chain chain;
    chain_begin(&chain, VERDICT_NEXT);
    assert_int_equal(filters_request(&chain.filters, &chain.exchange, &chain.index), VERDICT_NEXT);
    assert_string_equal(heard, ">a >b >c");
}

static void a_response_goes_backward_through_all(void **state)
{
    (void)state;
    struct chain chain;
    chain_begin(&chain, VERDICT_NEXT);
    assert_true(filters_response(&chain.filters, &chain.exchange));
    assert_string_equal(heard, "<c <b <a");
}

static void trailers_go_the_way_of_their_heads(void **state)
{
    (void)state;
    struct chain chain;
    struct fields trailers = {0};
    chain_begin(&chain, VERDICT_NEXT);
    filters_request_trailers(&chain.filters, &trailers);
    filters_response_trailers(&chain.filters, &trailers);
    assert_string_equal(heard, "}a }b }c {c {b {a");
}

static void a_request_stops_at_the_filter_that_answers(void **state)
{
    (void)state;
    struct chain chain;
    chain_begin(&chain, VERDICT_ANSWERED);
    assert_int_equal(filters_request(&chain.filters, &chain.exchange, &chain.index), VERDICT_ANSWERED);
    assert_string_equal(heard, ">a >b");
}

static void a_request_that_waits_goes_on_where_it_waited(void **state)
{
    (void)state;
    struct chain chain;
    chain_begin(&chain, VERDICT_WAIT);
    assert_int_equal(filters_request(&chain.filters, &chain.exchange, &chain.index), VERDICT_WAIT);
    chain.b.verdict = VERDICT_NEXT;
    assert_int_equal(filters_request(&chain.filters, &chain.exchange, &chain.index), VERDICT_NEXT);
    assert_string_equal(heard, ">a >b >b >c");
}

/* One that is not whole must not go out, whichever step had no room. */
static void a_response_fits_only_where_all_steps_fit(void **state)
{
    (void)state;
    struct chain chain;
    chain_begin(&chain, VERDICT_NEXT);
    chain.c.fits = false;
    assert_false(filters_response(&chain.filters, &chain.exchange));
    chain_begin(&chain, VERDICT_NEXT);
    chain.a.fits = false;
    assert_false(filters_response(&chain.filters, &chain.exchange));
}

static void all_hear_of_the_end_of_a_request_that_went_through(void **state)
{
    (void)state;
    struct chain chain;
    chain_begin(&chain, VERDICT_NEXT);
    (void)filters_request(&chain.filters, &chain.exchange, &chain.index);
    heard[0] = '\0';
    filters_done(&chain.filters, &chain.exchange, chain.index);
    assert_string_equal(heard, ".a .b .c");
}

static void of_an_answered_request_those_hear_whose_step_ran(void **state)
{
    (void)state;
    struct chain chain;
    chain_begin(&chain, VERDICT_ANSWERED);
    (void)filters_request(&chain.filters, &chain.exchange, &chain.index);
    heard[0] = '\0';
    filters_done(&chain.filters, &chain.exchange, chain.index);
    assert_string_equal(heard, ".a .b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_have_one_order_whatever_the_order_in_the_file),
        cmocka_unit_test(a_route_has_the_filters_that_it_names_and_no_others),
        cmocka_unit_test(who_is_denied_uses_up_no_limit),
        cmocka_unit_test(templates_see_the_request_as_it_came),
        cmocka_unit_test(edits_without_templates_of_headers_keep_no_copy),
        cmocka_unit_test(an_error_names_its_filter_and_leaves_none),
        cmocka_unit_test(a_request_goes_forward_through_all),
        cmocka_unit_test(a_response_goes_backward_through_all),
        cmocka_unit_test(trailers_go_the_way_of_their_heads),
        cmocka_unit_test(a_request_stops_at_the_filter_that_answers),
        cmocka_unit_test(a_request_that_waits_goes_on_where_it_waited),
        cmocka_unit_test(a_response_fits_only_where_all_steps_fit),
        cmocka_unit_test(all_hear_of_the_end_of_a_request_that_went_through),
        cmocka_unit_test(of_an_answered_request_those_hear_whose_step_ran),
    };
    return cmocka_run_group_tests(tests, filter_setup, NULL);
}
