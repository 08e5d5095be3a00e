/* What the server is sent instead of the path and host that came: each way of rewriting, what stays as it
 * came, and what is refused since it can't be sent. */
#include "filter_fixture.h"

/* What goes on of a request of a route with `keys`: path, or the word of the failure. */
static const char *rewritten(const char *keys, const char *target)
{
    static char told[512];
    struct route_fixture *route = route_open("", keys);
    char line[256];
    (void)snprintf(line, sizeof line, "GET %s", target);
    struct exchange *x = request_of(route, line, "Host: a.test:8080\nX-Path: /from header\nX-Bad: b?c\n");
    unsigned status = filter(route, x);
    struct span path = x->request.line.request.path, query = x->request.line.request.query;
    if (status != 0)
        (void)snprintf(told, sizeof told, "%u %s", status, failure_info[x->answer.failure].word);
    else
        (void)snprintf(told, sizeof told, "%.*s%s%.*s", (int)path.length, path.at,
                       query.at != NULL ? "?" : "", (int)query.length, query.at != NULL ? query.at : "");
    route_close(route);
    return told;
}

struct row {
    const char *target, *sent;
};

static void assert_rewritten(const char *keys, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *seen = rewritten(keys, rows[i].target);
        if (strcmp(seen, rows[i].sent) != 0)
            fail_msg("%s: %s becomes \"%s\", not \"%s\"", keys, rows[i].target, seen, rows[i].sent);
    }
}

#define ASSERT_REWRITTEN(keys, ...)                      \
    do {                                                 \
        static const struct row rows_[] = {__VA_ARGS__}; \
        assert_rewritten(keys, rows_, COUNT_OF(rows_));  \
    } while (0)

/* ---- path ---- */

static void a_path_takes_the_place_of_the_whole_path_and_the_query_stays(void **state)
{
    (void)state;
    ASSERT_REWRITTEN("rewrite: { path: \"/app${request.path}\" }, pool: app", {"/x", "/app/x"},
                     {"/x?a=/b&c", "/app/x?a=/b&c"}, {"/x?", "/app/x?"}, {"/", "/app/"});
    ASSERT_REWRITTEN("rewrite: { path: /fixed }, pool: app", {"/x/y?q", "/fixed?q"});
}

static void asterisk_is_no_path_and_stays(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "rewrite: { path: /fixed }, pool: app");
    struct exchange *x = request_of(route, "OPTIONS *", "Host: a.test\n");
    assert_int_equal(filter(route, x), 0);
    assert_text(x->request.line.request.path, "*");
    route_close(route);
}

/* ---- prefixes ---- */

static void whole_segments_are_stripped_off_the_front(void **state)
{
    (void)state;
    ASSERT_REWRITTEN("rewrite: { strip_prefix: /shop }, pool: app", {"/shop/a/b?q", "/a/b?q"}, {"/shop", "/"},
                     {"/shop/", "/"}, {"/shopping/a", "/shopping/a"}, {"/a/shop/b", "/a/shop/b"},
                     {"/Shop/a", "/Shop/a"});
    ASSERT_REWRITTEN("rewrite: { strip_prefix: /shop/v1/ }, pool: app", {"/shop/v1/a", "/a"},
                     {"/shop/v1", "/"}, {"/shop/a", "/shop/a"});
}

/* As a path of a match stands for them. */
static void an_escaped_prefix_stands_for_both_its_spellings(void **state)
{
    (void)state;
    ASSERT_REWRITTEN("rewrite: { strip_prefix: /@shop }, pool: app", {"/@shop/a", "/a"},
                     {"/%40shop/a", "/%40shop/a"});
    ASSERT_REWRITTEN("rewrite: { strip_prefix: /%40shop }, pool: app", {"/@shop/a", "/a"},
                     {"/%40shop/a", "/a"});
}

static void of_slashes_behind_a_prefix_one_stays(void **state)
{
    (void)state;
    ASSERT_REWRITTEN("rewrite: { strip_prefix: /shop }, pool: app", {"/shop//evil.test/x", "/evil.test/x"},
                     {"/shop///a//b", "/a//b"});
    ASSERT_REWRITTEN("rewrite: { strip_prefix: /shop }, paths: { slashes: as_is }, pool: app",
                     {"/shop//a", "//a"});
}

static void a_prefix_is_put_before_the_path(void **state)
{
    (void)state;
    ASSERT_REWRITTEN("rewrite: { add_prefix: /v2 }, pool: app", {"/a?q", "/v2/a?q"}, {"/", "/v2/"});
    ASSERT_REWRITTEN("rewrite: { add_prefix: /v2/ }, pool: app", {"/a", "/v2/a"});
    ASSERT_REWRITTEN("rewrite: { strip_prefix: /shop, add_prefix: /v2 }, pool: app", {"/shop/a", "/v2/a"},
                     {"/shop//a", "/v2/a"}, {"/shop", "/v2/"}, {"/a", "/v2/a"});
}

/* ---- regular expressions ---- */

static void what_a_regex_finds_is_replaced(void **state)
{
    (void)state;
    ASSERT_REWRITTEN("rewrite: { regex: \"^/user/([0-9]+)$\", replacement: \"/users/$1\" }, pool: app",
                     {"/user/42?q", "/users/42?q"}, {"/user/x", "/user/x"});
    ASSERT_REWRITTEN("rewrite: { regex: \"b+\", replacement: \"($0)\" }, pool: app",
                     {"/abbc/b", "/a(bb)c/b"});
}

static void groups_are_numbered_up_to_nine_and_two_dollars_are_one(void **state)
{
    (void)state;
    ASSERT_REWRITTEN("rewrite: { regex: \"^/(.)(.)(.)(.)(.)(.)(.)(.)(.)$\", replacement: \"/$9$8$1$0$$1\" }, "
                     "pool: app",
                     {"/abcdefghi", "/iha/abcdefghi$1"});
}

static void a_group_that_took_no_part_is_empty(void **state)
{
    (void)state;
    ASSERT_REWRITTEN("rewrite: { regex: \"^/(a)|^/(b)\", replacement: \"/$1-$2-\" }, pool: app",
                     {"/b", "/-b-"}, {"/a", "/a--"});
}

/* Back references are what only trying can follow, and this text is hopeless for it. */
static void a_regex_that_cannot_be_told_refuses_and_is_no_no(void **state)
{
    (void)state;
    char hard[600] = "/";
    memset(hard + 1, 'a', 150);
    strcpy(hard + 151, "c");
    assert_string_equal(
        rewritten("rewrite: { regex: \"^/(a+)+(b)?\\\\2$\", replacement: /found }, pool: app", hard),
        "500 pattern_failed");
}

/* ---- what can't be sent ---- */

static void an_empty_path_is_a_slash(void **state)
{
    (void)state;
    ASSERT_REWRITTEN("rewrite: { regex: \"^/gone$\", replacement: \"\" }, pool: app", {"/gone?q", "/?q"});
    ASSERT_REWRITTEN("rewrite: { path: \"${request.header.x-none}\" }, pool: app", {"/a", "/"});
}

static void what_is_no_path_is_refused_as_the_files_fault(void **state)
{
    (void)state;
    ASSERT_REWRITTEN("rewrite: { path: \"${request.header.x-bad}\" }, pool: app",
                     {"/a", "500 rewrite_invalid"});
    ASSERT_REWRITTEN("rewrite: { path: \"/${request.header.x-bad}\" }, pool: app",
                     {"/a", "500 rewrite_invalid"});
    ASSERT_REWRITTEN("rewrite: { path: \"${request.header.x-path}\" }, pool: app",
                     {"/a", "500 rewrite_invalid"});
    ASSERT_REWRITTEN("rewrite: { regex: \"^/cut/\", replacement: \"\" }, pool: app",
                     {"/cut/a", "500 rewrite_invalid"});
}

static void the_log_is_told_what_was_made(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "rewrite: { path: \"/x${request.header.x-a}\" }, pool: app");
    struct exchange *x = request_of(route, "GET /a", "Host: a.test\nX-A: #b\n");
    assert_int_equal(filter(route, x), 500);
    assert_text(x->made, "/x#b");
    assert_text(x->request.line.request.path, "/a");
    route_close(route);
}

/* "//host" would be another host to some servers. */
static void of_slashes_at_the_front_of_what_is_made_one_goes_on(void **state)
{
    (void)state;
    ASSERT_REWRITTEN("rewrite: { regex: \"^/cut\", replacement: \"/\" }, pool: app",
                     {"/cut/evil.test", "/evil.test"}, {"/cut//evil.test//a", "/evil.test//a"});
    ASSERT_REWRITTEN(
        "rewrite: { regex: \"^/cut\", replacement: \"/\" }, paths: { slashes: as_is }, pool: app",
        {"/cut/a", "//a"});
}

static void dot_segments_that_rewriting_makes_are_refused(void **state)
{
    (void)state;
    ASSERT_REWRITTEN("rewrite: { regex: \"^/up\", replacement: \"/a/..\" }, pool: app",
                     {"/up/b", "400 bad_target"}, {"/upper", "/a/..per"});
    ASSERT_REWRITTEN("rewrite: { regex: \"x\", replacement: \".\" }, pool: app", {"/a/x/b", "400 bad_target"},
                     {"/a/.x/b", "400 bad_target"}, {"/a/x%2Fb", "400 bad_target"}, {"/a/bx", "/a/b."});
}

static void a_path_that_is_not_changed_goes_on_as_it_came(void **state)
{
    (void)state;
    ASSERT_REWRITTEN("rewrite: { strip_prefix: /shop }, pool: app", {"//a;b/%2F", "//a;b/%2F"});
}

static void a_full_arena_refuses(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "rewrite: { path: \"/app${request.path}\" }, pool: app",
        "rewrite: { add_prefix: /app }, pool: app",
        "rewrite: { regex: a, replacement: b }, pool: app",
        "rewrite: { host: \"x.${request.host}\" }, pool: app",
    };
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        struct route_fixture *route = route_open("", keys[i]);
        struct exchange *x = request_of(route, "GET /a", "Host: a.test\n");
        arena_use_up(x->arena);
        assert_int_equal(filter(route, x), 503);
        assert_failure(x->answer.failure, FAILURE_OVERLOADED);
        route_close(route);
    }
}

/* ---- host ---- */

/* The authority that goes on, or the word of the failure. */
static const char *host_of(const char *keys, const char *fields)
{
    static char told[256];
    struct route_fixture *route = route_open("", keys);
    struct exchange *x = request_of(route, "GET /a", fields);
    unsigned status = filter(route, x);
    struct span host = x->request.line.request.authority;
    if (status != 0)
        (void)snprintf(told, sizeof told, "%u %s", status, failure_info[x->answer.failure].word);
    else
        (void)snprintf(told, sizeof told, "%.*s", (int)host.length, host.at);
    route_close(route);
    return told;
}

static void a_host_takes_the_place_of_the_one_that_came(void **state)
{
    (void)state;
    assert_string_equal(host_of("rewrite: { host: shop.test }, pool: app", "Host: a.test:8080\n"),
                        "shop.test");
    assert_string_equal(
        host_of("rewrite: { host: \"${request.host}.internal\" }, pool: app", "Host: A.test:8080\n"),
        "a.test.internal");
    assert_string_equal(host_of("rewrite: { path: /b }, pool: app", "Host: a.test:8080\n"), "a.test:8080");
}

static void what_is_no_host_is_refused_as_the_files_fault(void **state)
{
    (void)state;
    static const char keys[] = "rewrite: { host: \"${request.header.x-host}\" }, pool: app";
    assert_string_equal(host_of(keys, "Host: a.test\nX-Host: b.test\n"), "b.test");
    assert_string_equal(host_of(keys, "Host: a.test\nX-Host: b/c\n"), "500 rewrite_invalid");
    assert_string_equal(host_of(keys, "Host: a.test\nX-Host: b c\n"), "500 rewrite_invalid");
    assert_string_equal(host_of(keys, "Host: a.test\nX-Host: b.test:99999\n"), "500 rewrite_invalid");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_takes_the_place_of_the_whole_path_and_the_query_stays),
        cmocka_unit_test(asterisk_is_no_path_and_stays),
        cmocka_unit_test(whole_segments_are_stripped_off_the_front),
        cmocka_unit_test(an_escaped_prefix_stands_for_both_its_spellings),
        cmocka_unit_test(of_slashes_behind_a_prefix_one_stays),
        cmocka_unit_test(a_prefix_is_put_before_the_path),
        cmocka_unit_test(what_a_regex_finds_is_replaced),
        cmocka_unit_test(groups_are_numbered_up_to_nine_and_two_dollars_are_one),
        cmocka_unit_test(a_group_that_took_no_part_is_empty),
        cmocka_unit_test(a_regex_that_cannot_be_told_refuses_and_is_no_no),
        cmocka_unit_test(an_empty_path_is_a_slash),
        cmocka_unit_test(what_is_no_path_is_refused_as_the_files_fault),
        cmocka_unit_test(the_log_is_told_what_was_made),
        cmocka_unit_test(of_slashes_at_the_front_of_what_is_made_one_goes_on),
        cmocka_unit_test(dot_segments_that_rewriting_makes_are_refused),
        cmocka_unit_test(a_path_that_is_not_changed_goes_on_as_it_came),
        cmocka_unit_test(a_full_arena_refuses),
        cmocka_unit_test(a_host_takes_the_place_of_the_one_that_came),
        cmocka_unit_test(what_is_no_host_is_refused_as_the_files_fault),
    };
    return cmocka_run_group_tests(tests, filter_setup, NULL);
}
