/* A route's rate limits: what is let through, what a refused request is answered, and what is counted of
 * requests that another limit refuses. The clock of these tests stands still, so nothing comes back. */
#include "filter_fixture.h"

#define HOUR "rate: 1/h"

/* How many requests like this one are let through, of up to 20. */
static unsigned let_through(struct route_fixture *route, const char *client, const char *fields)
{
    unsigned count = 0;
    while (count < 20 && filter(route, request_from(route, client, "GET /", fields)) == 0)
        count++;
    return count;
}

static void as_many_as_the_burst_come_at_once(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("rate_limits: { l: { " HOUR ", burst: 3 } }", "rate_limit: l, pool: app");
    assert_int_equal(let_through(route, "192.0.2.1", "Host: a.test\n"), 3);
    assert_int_equal(let_through(route, "192.0.2.2", "Host: a.test\n"), 3);
    route_close(route);
}

static void a_refused_request_is_told_when_to_come_again(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("rate_limits: { l: { " HOUR ", burst: 1 } }", "rate_limit: l, pool: app");
    int64_t limited = counter_sum(COUNTER_rate_limited);
    assert_int_equal(let_through(route, "192.0.2.1", "Host: a.test\n"), 1);
    struct exchange *x = request_of(route, "GET /", "Host: a.test\n");
    assert_int_equal(filter(route, x), 429);
    assert_failure(x->answer.failure, FAILURE_RATE_LIMITED);
    assert_fields(&x->answer.fields, "Retry-After: 3600\n");
    assert_fields(&x->response_fields, "RateLimit-Policy: \"l\";q=1;w=3600\nRateLimit: \"l\";r=0;t=3600\n");
    assert_int_equal(counter_sum(COUNTER_rate_limited), limited + 2);
    route_close(route);
}

/* Nobody who comes after exactly that long is refused for a part of a second. */
static void times_are_told_in_whole_seconds_rounded_up(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("rate_limits: { l: { rate: 40/m, burst: 1 } }", "rate_limit: l, pool: app");
    assert_int_equal(let_through(route, "192.0.2.1", "Host: a.test\n"), 1);
    struct exchange *x = request_of(route, "GET /", "Host: a.test\n");
    assert_int_equal(filter(route, x), 429);
    assert_fields(&x->answer.fields, "Retry-After: 2\n");
    assert_fields(&x->response_fields, "RateLimit-Policy: \"l\";q=40;w=60\nRateLimit: \"l\";r=0;t=2\n");
    route_close(route);
}

static void a_request_that_is_let_through_is_told_what_is_left(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("rate_limits: { l: { " HOUR ", burst: 3 } }", "rate_limit: l, pool: app");
    struct exchange *x = request_of(route, "GET /", "Host: a.test\n");
    assert_int_equal(filter(route, x), 0);
    assert_fields(&x->response_fields, "RateLimit-Policy: \"l\";q=1;w=3600\nRateLimit: \"l\";r=2;t=0\n");
    assert_fields(&x->answer.fields, "");
    route_close(route);
}

static void the_file_chooses_the_status(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("rate_limits: { l: { " HOUR ", burst: 1, status: 503 } }", "rate_limit: l, pool: app");
    assert_int_equal(filter(route, request_of(route, "GET /", "Host: a.test\n")), 0);
    assert_int_equal(filter(route, request_of(route, "GET /", "Host: a.test\n")), 503);
    route_close(route);
}

/* ---- several limits ---- */

static const char two[] =
    "rate_limits: { wide: { " HOUR ", burst: 5, key: host }, narrow: { " HOUR ", burst: 2 } }";

static void all_limits_must_let_a_request_through(void **state)
{
    (void)state;
    struct route_fixture *route = route_open(two, "rate_limit: [wide, narrow], pool: app");
    assert_int_equal(let_through(route, "192.0.2.1", "Host: a.test\n"), 2);
    assert_int_equal(let_through(route, "192.0.2.2", "Host: a.test\n"), 2);
    assert_int_equal(let_through(route, "192.0.2.3", "Host: a.test\n"), 1);
    route_close(route);
}

/* What a later one refuses takes nothing from an earlier one: else one client would use up the others' part.
 */
static void what_one_limit_refuses_is_given_back_to_the_others(void **state)
{
    (void)state;
    struct route_fixture *route = route_open(two, "rate_limit: [wide, narrow], pool: app");
    assert_int_equal(let_through(route, "192.0.2.1", "Host: a.test\n"), 2);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(filter(route, request_of(route, "GET /", "Host: a.test\n")), 429);
    assert_int_equal(let_through(route, "192.0.2.2", "Host: a.test\n"), 2);
    assert_int_equal(let_through(route, "192.0.2.3", "Host: a.test\n"), 1);
    route_close(route);
}

static void each_limit_tells_of_itself(void **state)
{
    (void)state;
    struct route_fixture *route = route_open(two, "rate_limit: [wide, narrow], pool: app");
    struct exchange *x = request_of(route, "GET /", "Host: a.test\n");
    assert_int_equal(filter(route, x), 0);
    assert_fields(&x->response_fields,
                  "RateLimit-Policy: \"wide\";q=1;w=3600\nRateLimit: \"wide\";r=4;t=0\n"
                  "RateLimit-Policy: \"narrow\";q=1;w=3600\nRateLimit: \"narrow\";r=1;t=0\n");
    route_close(route);
}

/* Else a client would wait for a limit that would let it through. */
static void what_was_given_back_is_told_as_left(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("rate_limits: { wide: { " HOUR ", burst: 3 }, narrow: { rate: 1/m, "
                   "burst: 2 } }",
                   "rate_limit: [wide, narrow], pool: app");
    assert_int_equal(let_through(route, "192.0.2.1", "Host: a.test\n"), 2);
    struct exchange *x = request_of(route, "GET /", "Host: a.test\n");
    assert_int_equal(filter(route, x), 429);
    assert_fields(&x->answer.fields, "Retry-After: 60\n");
    assert_fields(&x->response_fields,
                  "RateLimit-Policy: \"wide\";q=1;w=3600\nRateLimit: \"wide\";r=1;t=0\n"
                  "RateLimit-Policy: \"narrow\";q=1;w=60\nRateLimit: \"narrow\";r=0;t=60\n");
    route_close(route);
}

/* ---- missing parts of the key ---- */

static const char by_key_refuse[] =
    "rate_limits: { l: { " HOUR ", burst: 2, key: \"header:x-key\", missing: refuse, status: 401 } }";

static void who_lacks_a_part_is_refused_and_waiting_does_not_help(void **state)
{
    (void)state;
    struct route_fixture *route = route_open(by_key_refuse, "rate_limit: l, pool: app");
    struct exchange *x = request_of(route, "GET /", "Host: a.test\n");
    assert_int_equal(filter(route, x), 401);
    assert_failure(x->answer.failure, FAILURE_RATE_LIMITED);
    assert_fields(&x->answer.fields, "");
    assert_int_equal(let_through(route, "192.0.2.1", "Host: a.test\nX-Key: a\n"), 2);
    route_close(route);
}

static void who_lacks_a_part_passes_uncounted(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("rate_limits: { l: { " HOUR ", burst: 2, key: \"header:x-key\", missing: pass } }",
                   "rate_limit: l, pool: app");
    assert_int_equal(let_through(route, "192.0.2.1", "Host: a.test\n"), 20);
    assert_int_equal(let_through(route, "192.0.2.1", "Host: a.test\nX-Key: a\n"), 2);
    route_close(route);
}

static void all_who_lack_a_part_are_counted_together(void **state)
{
    (void)state;
    struct route_fixture *route = route_open(
        "rate_limits: { l: { " HOUR ", burst: 2, key: \"header:x-key\" } }", "rate_limit: l, pool: app");
    assert_int_equal(filter(route, request_from(route, "192.0.2.1", "GET /", "Host: a.test\n")), 0);
    assert_int_equal(let_through(route, "192.0.2.2", "Host: a.test\n"), 1);
    route_close(route);
}

/* ---- dry run ---- */

static void a_dry_run_refuses_nothing_and_counts_what_it_would(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("rate_limits: { l: { " HOUR ", burst: 2, dry_run: true } }", "rate_limit: l, pool: app");
    int64_t dry = counter_sum(COUNTER_rate_limited_dry), limited = counter_sum(COUNTER_rate_limited);
    assert_int_equal(let_through(route, "192.0.2.1", "Host: a.test\n"), 20);
    assert_int_equal(counter_sum(COUNTER_rate_limited_dry), dry + 18);
    assert_int_equal(counter_sum(COUNTER_rate_limited), limited);
    route_close(route);
}

static void a_dry_run_refuses_nobody_who_lacks_a_part(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("rate_limits: { l: { " HOUR ", key: \"header:x-key\", missing: "
                                             "refuse, dry_run: true } }",
                                             "rate_limit: l, pool: app");
    int64_t dry = counter_sum(COUNTER_rate_limited_dry);
    assert_int_equal(filter(route, request_of(route, "GET /", "Host: a.test\n")), 0);
    assert_int_equal(counter_sum(COUNTER_rate_limited_dry), dry + 1);
    route_close(route);
}

/* A client that keeps to what it is told must not be held up by a limit that does not hold for it. */
static void limits_that_do_not_hold_for_a_request_tell_nothing(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("rate_limits: { tried: { " HOUR ", burst: 1, dry_run: true },"
                                             " keyed: { " HOUR ", key: \"header:x-key\", missing: pass } }",
                                             "rate_limit: [tried, keyed], pool: app");
    assert_int_equal(filter(route, request_of(route, "GET /", "Host: a.test\n")), 0);
    struct exchange *x = request_of(route, "GET /", "Host: a.test\n");
    assert_int_equal(filter(route, x), 0);
    assert_fields(&x->response_fields, "");
    route_close(route);
}

/* ---- tables ---- */

static void a_key_without_a_place_takes_over_another_and_is_not_let_through_more_often(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("rate_limits: { l: { " HOUR ", burst: 2, keys: 8 } }", "rate_limit: l, pool: app");
    int64_t full = counter_sum(COUNTER_rate_limit_full);
    for (unsigned i = 1; i <= 8; i++) {
        char client[32];
        (void)snprintf(client, sizeof client, "192.0.2.%u", i);
        assert_int_equal(filter(route, request_from(route, client, "GET /", "Host: a.test\n")), 0);
    }
    assert_int_equal(counter_sum(COUNTER_rate_limit_full), full);
    assert_int_equal(let_through(route, "192.0.2.9", "Host: a.test\n"), 1);
    assert_true(counter_sum(COUNTER_rate_limit_full) > full);
    route_close(route);
}

/* ---- reloads ---- */

static void counts_go_on_over_a_reload_while_the_limit_stays(void **state)
{
    (void)state;
    struct route_fixture *old =
        route_open("rate_limits: { l: { " HOUR ", burst: 3 } }", "rate_limit: l, pool: app");
    assert_int_equal(filter(old, request_of(old, "GET /", "Host: a.test\n")), 0);
    struct route_fixture *same =
        route_reloaded(old, "rate_limits: { l: { " HOUR ", burst: 3, status: 503 } }",
                       "rate_limit: l, match: { path: / }, pool: app");
    assert_int_equal(let_through(same, "192.0.2.1", "Host: a.test\n"), 2);
    struct route_fixture *other =
        route_reloaded(old, "rate_limits: { l: { " HOUR ", burst: 4 } }", "rate_limit: l, pool: app");
    assert_int_equal(let_through(other, "192.0.2.1", "Host: a.test\n"), 4);
    route_close(other);
    route_close(same);
    route_close(old);
}

/* ---- weir explain ---- */

static enum verdict asked(struct route_fixture *route, struct exchange *x)
{
    const struct filter *filter = &route->filters.items[0];
    assert_string_equal(filter->kind->name, "rate_limit");
    return filter->kind->ask(filter, x);
}

static void a_question_is_refused_for_its_key_alone_and_counts_nothing(void **state)
{
    (void)state;
    struct route_fixture *route = route_open(by_key_refuse, "rate_limit: l, pool: app");
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(asked(route, request_of(route, "GET /", "Host: a.test\nX-Key: a\n")), VERDICT_NEXT);
    struct exchange *x = request_of(route, "GET /", "Host: a.test\n");
    assert_int_equal(asked(route, x), VERDICT_ANSWERED);
    assert_int_equal(x->answer.status, 401);
    assert_int_equal(let_through(route, "192.0.2.1", "Host: a.test\nX-Key: a\n"), 2);
    route_close(route);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_the_burst_come_at_once),
        cmocka_unit_test(a_refused_request_is_told_when_to_come_again),
        cmocka_unit_test(times_are_told_in_whole_seconds_rounded_up),
        cmocka_unit_test(a_request_that_is_let_through_is_told_what_is_left),
        cmocka_unit_test(the_file_chooses_the_status),
        cmocka_unit_test(all_limits_must_let_a_request_through),
        cmocka_unit_test(what_one_limit_refuses_is_given_back_to_the_others),
        cmocka_unit_test(each_limit_tells_of_itself),
        cmocka_unit_test(what_was_given_back_is_told_as_left),
        cmocka_unit_test(who_lacks_a_part_is_refused_and_waiting_does_not_help),
        cmocka_unit_test(who_lacks_a_part_passes_uncounted),
        cmocka_unit_test(all_who_lack_a_part_are_counted_together),
        cmocka_unit_test(a_dry_run_refuses_nothing_and_counts_what_it_would),
        cmocka_unit_test(a_dry_run_refuses_nobody_who_lacks_a_part),
        cmocka_unit_test(limits_that_do_not_hold_for_a_request_tell_nothing),
        cmocka_unit_test(a_key_without_a_place_takes_over_another_and_is_not_let_through_more_often),
        cmocka_unit_test(counts_go_on_over_a_reload_while_the_limit_stays),
        cmocka_unit_test(a_question_is_refused_for_its_key_alone_and_counts_nothing),
    };
    return cmocka_run_group_tests(tests, filter_setup, NULL);
}
