/* Limits of requests in progress: who is counted, who is refused, and that each count is given back once,
 * when its request ends, and never that of another. */
#include "filter_fixture.h"

/* A request runs through the route's filters, and is in progress until end(). */
struct run {
    struct exchange *x;
    unsigned status; /* weir's answer; 0: it goes on */
    unsigned index;
};

static struct run begin(struct route_fixture *route, const char *client, const char *fields)
{
    struct run run = {.x = request_from(route, client, "GET /", fields)};
    (void)filters_request(&route->filters, run.x, &run.index);
    run.status = run.x->answer.status;
    return run;
}

static void end(const struct route_fixture *route, const struct run *run)
{
    filters_done(&route->filters, run->x, run->index);
}

static unsigned status_of(struct route_fixture *route, const char *client, const char *fields)
{
    return begin(route, client, fields).status;
}

#define HOST "Host: a.test\n"
#define ONE "192.0.2.1"
#define OTHER "192.0.2.2"

static void no_more_are_in_progress_than_the_limit_for_each_key(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "in_flight: 2, pool: app");
    assert_int_equal(status_of(route, ONE, HOST), 0);
    assert_int_equal(status_of(route, ONE, HOST), 0);
    assert_int_equal(status_of(route, ONE, HOST), 429);
    assert_int_equal(status_of(route, OTHER, HOST), 0);
    route_close(route);
}

static void a_refused_request_may_come_again_in_a_second(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "in_flight: 1, pool: app");
    int64_t limited = counter_sum(COUNTER_in_flight_limited);
    assert_int_equal(status_of(route, ONE, HOST), 0);
    struct run refused = begin(route, ONE, HOST);
    assert_int_equal(refused.status, 429);
    assert_failure(refused.x->answer.failure, FAILURE_IN_FLIGHT_LIMITED);
    assert_fields(&refused.x->answer.fields, "Retry-After: 1\n");
    assert_int_equal(counter_sum(COUNTER_in_flight_limited), limited + 1);
    route_close(route);
}

static void the_file_chooses_the_status(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "in_flight: { limit: 1, status: 503 }, pool: app");
    assert_int_equal(status_of(route, ONE, HOST), 0);
    assert_int_equal(status_of(route, ONE, HOST), 503);
    route_close(route);
}

/* ---- giving back ---- */

static void a_request_that_ends_makes_room_for_one(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "in_flight: 2, pool: app");
    struct run first = begin(route, ONE, HOST);
    assert_int_equal(status_of(route, ONE, HOST), 0);
    end(route, &first);
    assert_int_equal(status_of(route, ONE, HOST), 0);
    assert_int_equal(status_of(route, ONE, HOST), 429);
    route_close(route);
}

static void a_count_is_given_back_once(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "in_flight: 2, pool: app");
    struct run first = begin(route, ONE, HOST);
    assert_int_equal(status_of(route, ONE, HOST), 0);
    end(route, &first);
    end(route, &first);
    assert_int_equal(status_of(route, ONE, HOST), 0);
    assert_int_equal(status_of(route, ONE, HOST), 429);
    route_close(route);
}

static void a_refused_request_gives_nothing_back(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "in_flight: 1, pool: app");
    assert_int_equal(status_of(route, ONE, HOST), 0);
    struct run refused = begin(route, ONE, HOST);
    assert_int_equal(refused.status, 429);
    end(route, &refused);
    assert_int_equal(status_of(route, ONE, HOST), 429);
    route_close(route);
}

/* The rewrite stands behind the count, and makes of such a request no path. */
static void a_request_that_a_later_filter_answers_gives_back_what_it_took(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("", "in_flight: 1, rewrite: { path: \"/a${request.header.x-bad}\" }, pool: app");
    struct run answered = begin(route, ONE, HOST "X-Bad: ?b\n");
    assert_int_equal(answered.status, 500);
    assert_failure(answered.x->answer.failure, FAILURE_REWRITE_INVALID);
    assert_int_equal(status_of(route, ONE, HOST), 429);
    end(route, &answered);
    assert_int_equal(status_of(route, ONE, HOST), 0);
    assert_int_equal(status_of(route, ONE, HOST), 429);
    route_close(route);
}

static void a_request_that_an_earlier_filter_answers_is_not_counted(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("", "in_flight: { limit: 1, key: host }, access: { deny: " OTHER " }, pool: app");
    struct run denied = begin(route, OTHER, HOST);
    assert_int_equal(denied.status, 403);
    assert_int_equal(status_of(route, ONE, HOST), 0);
    end(route, &denied);
    assert_int_equal(status_of(route, ONE, HOST), 429);
    route_close(route);
}

/* ---- missing parts of the key ---- */

static void who_lacks_a_part_passes_uncounted_and_gives_nothing_back(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("", "in_flight: { limit: 1, key: \"header:x-key\", missing: pass }, pool: app");
    assert_int_equal(status_of(route, ONE, HOST "X-Key: a\n"), 0);
    struct run first = begin(route, ONE, HOST), second = begin(route, ONE, HOST);
    assert_int_equal(first.status, 0);
    assert_int_equal(second.status, 0);
    end(route, &first);
    end(route, &second);
    assert_int_equal(status_of(route, ONE, HOST "X-Key: a\n"), 429);
    route_close(route);
}

static void who_lacks_a_part_is_refused_and_waiting_does_not_help(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("", "in_flight: { limit: 1, key: \"header:x-key\", missing: refuse }, pool: app");
    struct run refused = begin(route, ONE, HOST);
    assert_int_equal(refused.status, 429);
    assert_fields(&refused.x->answer.fields, "");
    assert_int_equal(status_of(route, ONE, HOST "X-Key: a\n"), 0);
    route_close(route);
}

static void all_who_lack_a_part_are_counted_together(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "in_flight: { limit: 1, key: \"header:x-key\" }, pool: app");
    assert_int_equal(status_of(route, ONE, HOST), 0);
    assert_int_equal(status_of(route, OTHER, HOST), 429);
    route_close(route);
}

/* ---- dry run ---- */

static void a_dry_run_refuses_nothing_and_counts_what_it_would(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "in_flight: { limit: 1, dry_run: true }, pool: app");
    int64_t dry = counter_sum(COUNTER_in_flight_limited_dry),
            limited = counter_sum(COUNTER_in_flight_limited);
    assert_int_equal(status_of(route, ONE, HOST), 0);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(status_of(route, ONE, HOST), 0);
    assert_int_equal(counter_sum(COUNTER_in_flight_limited_dry), dry + 5);
    assert_int_equal(counter_sum(COUNTER_in_flight_limited), limited);
    route_close(route);
}

/* Else the limit would seem to be kept once they have ended. */
static void what_a_dry_run_would_refuse_gives_nothing_back(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "in_flight: { limit: 1, dry_run: true }, pool: app");
    assert_int_equal(status_of(route, ONE, HOST), 0);
    struct run over = begin(route, ONE, HOST);
    end(route, &over);
    int64_t dry = counter_sum(COUNTER_in_flight_limited_dry);
    assert_int_equal(status_of(route, ONE, HOST), 0);
    assert_int_equal(counter_sum(COUNTER_in_flight_limited_dry), dry + 1);
    route_close(route);
}

static void a_dry_run_refuses_nobody_who_lacks_a_part(void **state)
{
    (void)state;
    struct route_fixture *route = route_open(
        "", "in_flight: { limit: 1, key: \"header:x-key\", missing: refuse, dry_run: true }, pool: app");
    int64_t dry = counter_sum(COUNTER_in_flight_limited_dry);
    assert_int_equal(status_of(route, ONE, HOST), 0);
    assert_int_equal(counter_sum(COUNTER_in_flight_limited_dry), dry + 1);
    route_close(route);
}

/* ---- tables ---- */

static void client_of(unsigned i, char text[32])
{
    (void)snprintf(text, 32, "198.51.100.%u", i);
}

static void a_request_that_finds_no_place_is_refused_as_one_over_the_limit(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "in_flight: { limit: 5, keys: 8 }, pool: app");
    struct run first = {.x = NULL};
    char client[32];
    for (unsigned i = 0; i < 8; i++) {
        client_of(i, client);
        struct run run = begin(route, client, HOST);
        assert_int_equal(run.status, 0);
        first = i == 0 ? run : first;
    }
    int64_t full = counter_sum(COUNTER_in_flight_full);
    struct run refused = begin(route, ONE, HOST);
    assert_int_equal(refused.status, 429);
    assert_fields(&refused.x->answer.fields, "Retry-After: 1\n");
    assert_int_equal(counter_sum(COUNTER_in_flight_full), full + 1);
    assert_int_equal(status_of(route, client, HOST), 0); /* its key has a place */
    end(route, &first);
    assert_int_equal(status_of(route, ONE, HOST), 0);
    assert_int_equal(counter_sum(COUNTER_in_flight_full), full + 1);
    route_close(route);
}

static void a_place_that_another_key_leaves_is_counted_from_nothing(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "in_flight: { limit: 2, keys: 8 }, pool: app");
    for (unsigned i = 0; i < 20; i++) {
        char client[32];
        client_of(i, client);
        struct run first = begin(route, client, HOST), second = begin(route, client, HOST);
        assert_int_equal(first.status, 0);
        assert_int_equal(second.status, 0);
        assert_int_equal(status_of(route, client, HOST), 429);
        end(route, &first);
        end(route, &second);
    }
    route_close(route);
}

/* ---- reloads ---- */

static void requests_of_before_a_reload_go_on_counting_and_give_back(void **state)
{
    (void)state;
    struct route_fixture *old = route_open("", "in_flight: 1, pool: app");
    struct run run = begin(old, ONE, HOST);
    struct route_fixture *new = route_reloaded(old, "", "in_flight: { limit: 1, status: 503 }, pool: app");
    assert_int_equal(status_of(new, ONE, HOST), 503);
    end(old, &run);
    assert_int_equal(status_of(new, ONE, HOST), 0);
    route_close(new);
    route_close(old);
}

static void requests_of_before_a_reload_do_not_count_where_the_key_or_match_changed(void **state)
{
    (void)state;
    static const char *const changed[] = {
        "in_flight: { limit: 1, key: [client.ip, host] }, pool: app",
        "in_flight: { limit: 1, ipv6_prefix: 56 }, pool: app",
        "in_flight: 1, match: { path: / }, pool: app",
    };
    for (size_t i = 0; i < COUNT_OF(changed); i++) {
        struct route_fixture *old = route_open("", "in_flight: 1, pool: app");
        assert_int_equal(status_of(old, ONE, HOST), 0);
        struct route_fixture *new = route_reloaded(old, "", changed[i]);
        if (status_of(new, ONE, HOST) != 0)
            fail_msg("requests of before count still: %s", changed[i]);
        route_close(new);
        route_close(old);
    }
}

/* Eight clients, since places of the old table and of the new one may be the same by chance. */
static void requests_of_before_a_reload_do_not_count_where_keys_changed(void **state)
{
    (void)state;
    struct route_fixture *old = route_open("", "in_flight: { limit: 1, keys: 64 }, pool: app"),
                         *new = route_reloaded(old, "", "in_flight: { limit: 1, keys: 32 }, pool: app");
    for (unsigned i = 0; i < 8; i++) {
        char client[32];
        client_of(i, client);
        assert_int_equal(status_of(old, client, HOST), 0);
        assert_int_equal(status_of(new, client, HOST), 0);
    }
    route_close(new);
    route_close(old);
}

/* ---- weir explain ---- */

static void a_question_is_not_counted(void **state)
{
    (void)state;
    struct route_fixture *route =
        route_open("", "in_flight: { limit: 1, key: \"header:x-key\", missing: refuse }, pool: app");
    const struct filter *filter = &route->filters.items[0];
    assert_string_equal(filter->kind->name, "in_flight");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(filter->kind->ask(filter, request_of(route, "GET /", HOST "X-Key: a\n")),
                         VERDICT_NEXT);
    assert_int_equal(filter->kind->ask(filter, request_of(route, "GET /", HOST)), VERDICT_ANSWERED);
    assert_int_equal(status_of(route, ONE, HOST "X-Key: a\n"), 0);
    route_close(route);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_are_in_progress_than_the_limit_for_each_key),
        cmocka_unit_test(a_refused_request_may_come_again_in_a_second),
        cmocka_unit_test(the_file_chooses_the_status),
        cmocka_unit_test(a_request_that_ends_makes_room_for_one),
        cmocka_unit_test(a_count_is_given_back_once),
        cmocka_unit_test(a_refused_request_gives_nothing_back),
        cmocka_unit_test(a_request_that_a_later_filter_answers_gives_back_what_it_took),
        cmocka_unit_test(a_request_that_an_earlier_filter_answers_is_not_counted),
        cmocka_unit_test(who_lacks_a_part_passes_uncounted_and_gives_nothing_back),
        cmocka_unit_test(who_lacks_a_part_is_refused_and_waiting_does_not_help),
        cmocka_unit_test(all_who_lack_a_part_are_counted_together),
        cmocka_unit_test(a_dry_run_refuses_nothing_and_counts_what_it_would),
        cmocka_unit_test(what_a_dry_run_would_refuse_gives_nothing_back),
        cmocka_unit_test(a_dry_run_refuses_nobody_who_lacks_a_part),
        cmocka_unit_test(a_request_that_finds_no_place_is_refused_as_one_over_the_limit),
        cmocka_unit_test(a_place_that_another_key_leaves_is_counted_from_nothing),
        cmocka_unit_test(requests_of_before_a_reload_go_on_counting_and_give_back),
        cmocka_unit_test(requests_of_before_a_reload_do_not_count_where_the_key_or_match_changed),
        cmocka_unit_test(requests_of_before_a_reload_do_not_count_where_keys_changed),
        cmocka_unit_test(a_question_is_not_counted),
    };
    return cmocka_run_group_tests(tests, filter_setup, NULL);
}
