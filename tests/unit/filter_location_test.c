/* Locations that templates make: each part is judged as that part, and no value of a request reaches out of
 * its place, into a host or from a path to another host. */
#include "filter/location.h"

#include "filter_fixture.h"

static struct route_fixture *route;

static int setup(void **state)
{
    (void)filter_setup(state);
    route = route_open("", "pool: app");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    route_close(route);
    return 0;
}

/* What a template makes where the request's X-Value is `value`: the location, or the word of the failure. */
static const char *made_of(const char *template, const char *value)
{
    static char told[512];
    struct error error = {.text = ""};
    struct location *location = location_new(template, &error);
    struct span made = SPAN_NONE;
    char fields[256];
    assert_non_null(location);
    (void)snprintf(fields, sizeof fields, "Host: a.test\n%s%s\n",
                   value[0] != '\0' ? "X-Value: " : "X-None:", value);
    route->requests_count = 0;
    struct exchange *x = request_of(route, "GET /p?q=1", fields);
    enum failure why = location_fill(location, x, &made);
    if (why != FAILURE_NONE)
        (void)snprintf(told, sizeof told, "%s", failure_info[why].word);
    else
        (void)snprintf(told, sizeof told, "%.*s", (int)made.length, made.at);
    location_free(location);
    arena_free(x->arena);
    route->requests_count = 0;
    return told;
}

struct row {
    const char *value, *made; /* NULL: it is none */
};

static void assert_made(const char *template, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *expected = rows[i].made != NULL ? rows[i].made : "rewrite_invalid",
                   *seen = made_of(template, rows[i].value);
        if (strcmp(seen, expected) != 0)
            fail_msg("%s with \"%s\" is \"%s\", not \"%s\"", template, rows[i].value, seen, expected);
    }
}

#define ASSERT_MADE(template, ...)                       \
    do {                                                 \
        static const struct row rows_[] = {__VA_ARGS__}; \
        assert_made(template, rows_, COUNT_OF(rows_));   \
    } while (0)

static void what_the_file_writes_stands(void **state)
{
    (void)state;
    ASSERT_MADE("https://b.test:8443${request.uri}#top", {"", "https://b.test:8443/p?q=1#top"});
    ASSERT_MADE("${request.scheme}://${request.host}/new", {"", "http://a.test/new"});
    ASSERT_MADE("//b.test/x", {"", "//b.test/x"});
    ASSERT_MADE("/x", {"", "/x"});
}

static void a_host_is_a_host_with_or_without_a_port(void **state)
{
    (void)state;
    ASSERT_MADE("https://${request.header.x-value}/a", {"b.test", "https://b.test/a"},
                {"b.test:8443", "https://b.test:8443/a"}, {"b.test:", "https://b.test:/a"},
                {"[2001:db8::1]", "https://[2001:db8::1]/a"}, {"b.test/evil", NULL}, {"b.test?", NULL},
                {"b.test#", NULL}, {"b.test\\", NULL}, {"user@b.test", NULL}, {"b.test:99999", NULL},
                {"b test", NULL}, {"", NULL});
    ASSERT_MADE("//${request.header.x-value}/a", {"b.test", "//b.test/a"}, {"b.test/evil", NULL});
}

static void what_stands_behind_a_host_does_not_reach_into_it(void **state)
{
    (void)state;
    ASSERT_MADE("https://b.test/${request.header.x-value}", {"a", "https://b.test/a"},
                {"?q", "https://b.test/?q"}, {"/a", "https://b.test//a"}, {"a b", NULL}, {"a\tb", NULL},
                {"a\\b", NULL}, {"caf\xc3\xa9", NULL}, {"?a\\b", "https://b.test/?a\\b"});
}

/* A path that ends with a slash would do it in the file; a value does not. */
static void a_value_right_behind_a_host_is_a_part_of_it_and_judged_so(void **state)
{
    (void)state;
    ASSERT_MADE("https://b.test${request.header.x-value}", {"", "https://b.test"},
                {":8443", "https://b.test:8443"}, {"/a", NULL}, {"@evil.test", NULL});
}

static void an_asterisk_is_no_path_behind_a_host(void **state)
{
    (void)state;
    struct error error = {.text = ""};
    struct location *location = location_new("https://b.test${request.path}", &error);
    struct exchange *x = request_of(route, "OPTIONS *", "Host: a.test\n");
    struct span made;
    assert_failure(location_fill(location, x, &made), FAILURE_REWRITE_INVALID);
    location_free(location);
    arena_free(x->arena);
}

static void a_location_that_a_value_gives_whole_is_a_path_or_a_url_of_http(void **state)
{
    (void)state;
    ASSERT_MADE("${request.header.x-value}", {"/a?b#c", "/a?b#c"}, {"https://c.test/x", "https://c.test/x"},
                {"HTTP://c.test", "HTTP://c.test"}, {"", NULL}, {"a", NULL}, {"?a", NULL},
                {"javascript:alert(1)", NULL}, {"ftp://c.test/", NULL}, {"https:/c.test", NULL},
                {"https://", NULL}, {"https://user@c.test/", NULL}, {"https://c.test\\.evil.test/", NULL},
                {"/\\evil.test", NULL}, {"\\\\evil.test", NULL}, {"/a b", NULL});
}

/* Clients take "//evil.test" for another host; "/.//evil.test" is the path that was meant. */
static void a_path_stays_a_path_though_it_begins_with_two_slashes(void **state)
{
    (void)state;
    ASSERT_MADE("${request.header.x-value}", {"//evil.test/a", "/.//evil.test/a"},
                {"///evil.test", "/.///evil.test"});
    ASSERT_MADE("/${request.header.x-value}", {"/evil.test", "/.//evil.test"}, {"a", "/a"});
}

static void what_was_made_is_kept_for_the_log(void **state)
{
    (void)state;
    struct error error = {.text = ""};
    struct location *location = location_new("https://b.test/${request.header.x-value}", &error);
    struct exchange *x = request_of(route, "GET /", "Host: a.test\nX-Value: a b\n");
    struct span made;
    assert_failure(location_fill(location, x, &made), FAILURE_REWRITE_INVALID);
    assert_text(x->made, "https://b.test/a b");
    location_free(location);
}

static void want_of_room_is_no_wrong_location(void **state)
{
    (void)state;
    static const char *const templates[] = {"https://b.test/${request.header.x-value}",
                                            "https://${request.header.x-value}.test/",
                                            "/a${request.header.x-value}", "${request.header.x-value}"};
    for (size_t i = 0; i < COUNT_OF(templates); i++) {
        struct error error = {.text = ""};
        struct location *location = location_new(templates[i], &error);
        struct exchange *x = request_of(route, "GET /", "Host: a.test\nX-Value: //b\n");
        struct span made;
        arena_use_up(x->arena);
        assert_failure(location_fill(location, x, &made), FAILURE_OVERLOADED);
        location_free(location);
    }
}

static void it_is_known_whether_the_host_of_the_request_is_needed(void **state)
{
    (void)state;
    static const struct {
        const char *template;
        bool needs_host;
    } rows[] = {
        {"https://${request.host}/", true},
        {"https://b.test/?from=${request.host}", true},
        {"https://b.test${request.uri}", false},
        {"/a", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct error error = {.text = ""};
        struct location *location = location_new(rows[i].template, &error);
        if (location_names_host(location) != rows[i].needs_host)
            fail_msg("%s %s a host", rows[i].template, rows[i].needs_host ? "needs" : "needs not");
        location_free(location);
    }
}

/* ---- values of fields ---- */

/* The value of a field with that name, of a template that is the request's X-Value. */
static const char *value_of(const char *name, const char *value)
{
    static char told[256];
    struct error error = {.text = ""};
    struct field_value field;
    struct span filled;
    char fields[256];
    (void)snprintf(fields, sizeof fields, "Host: a.test\nX-Value: %s\n", value);
    assert_true(field_value_new(&field, name, "${request.header.x-value}", &error));
    enum failure why = field_value_fill(&field, request_of(route, "GET /", fields), &filled);
    (void)snprintf(told, sizeof told, "%.*s", why == FAILURE_NONE ? (int)filled.length : 0, filled.at);
    field_value_free(&field);
    return why == FAILURE_NONE ? told : failure_info[why].word;
}

static void a_field_is_judged_by_its_name_in_any_case(void **state)
{
    (void)state;
    assert_string_equal(value_of("LOCATION", "no place"), "rewrite_invalid");
    assert_string_equal(value_of("Location", "/place"), "/place");
    assert_string_equal(value_of("X-Location", "no place"), "no place");
    assert_string_equal(value_of("set-cookie", "a; b"), "a%3B%20b");
    assert_string_equal(value_of("X-Cookie", "a; b"), "a; b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_file_writes_stands),
        cmocka_unit_test(a_host_is_a_host_with_or_without_a_port),
        cmocka_unit_test(what_stands_behind_a_host_does_not_reach_into_it),
        cmocka_unit_test(a_value_right_behind_a_host_is_a_part_of_it_and_judged_so),
        cmocka_unit_test(an_asterisk_is_no_path_behind_a_host),
        cmocka_unit_test(a_location_that_a_value_gives_whole_is_a_path_or_a_url_of_http),
        cmocka_unit_test(a_path_stays_a_path_though_it_begins_with_two_slashes),
        cmocka_unit_test(what_was_made_is_kept_for_the_log),
        cmocka_unit_test(want_of_room_is_no_wrong_location),
        cmocka_unit_test(it_is_known_whether_the_host_of_the_request_is_needed),
        cmocka_unit_test(a_field_is_judged_by_its_name_in_any_case),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
