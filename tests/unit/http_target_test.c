/* Targets for routing: one reading of a path and a host, and what is refused because others might read it
 * otherwise. */
#include "http/target.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "unit.h"

static enum failure prepare(struct target *target, const char *authority, const char *path,
                            struct arena *arena)
{
    /* Copies of their very size, so that a sanitizer sees a read beyond the end. */
    char *host_copy = arena_get_bytes(arena, strlen(authority) + 1), *path_copy = malloc(strlen(path) + 1);
    memcpy(host_copy, authority, strlen(authority));
    memcpy(path_copy, path, strlen(path));
    char *exact = realloc(path_copy, strlen(path) != 0 ? strlen(path) : 1);
    enum failure why = target_prepare(target, span_make(host_copy, strlen(authority)),
                                      span_make(exact, strlen(path)), SPAN_NONE, arena);
    if (target->path.at == exact) {
        target->path = arena_copy(arena, target->path);
    }
    free(exact);
    return why;
}

static void paths(void **state)
{
    (void)state;
    static const struct {
        const char *path, *normal; /* NULL: refused */
    } cases[] = {
        {"/", "/"},
        {"*", "*"},
        {"/a/b", "/a/b"},
        {"/%63", "/c"},
        {"/%7e%2D%5f%2e%41", "/~-_.A"},
        {"/a%20b", "/a%20b"},
        {"/%c3%a9", "/%C3%A9"},
        {"/c%0d%0aX:%20y", "/c%0D%0AX:%20y"},
        {"/a%252fc", "/a%252fc"},
        {"/a%25%32%66c", "/a%252fc"},
        {"/a/../c", "/c"},
        {"/a/%2e%2E/c", "/c"},
        {"/a/.%2e/c", "/c"},
        {"/./c", "/c"},
        {"/a/.", "/a/"},
        {"/a/..", "/"},
        {"/a/b/../", "/a/"},
        {"/a/..;/c", "/a/..;/c"},
        {"/.a/..b/...", "/.a/..b/..."},
        {"/a//c///d", "/a//c///d"},
        {"/a//../c", "/a/c"},
        {"//", "//"},
        {"/.//c", "//c"},
        {"/a//c///d//", "/a//c///d//"},
        {"/!$&'()*+,;=:@|^", "/!$&'()*+,;=:@|^"},
        {"/%3a%40%2c%7c", "/%3A%40%2C%7C"},
        {"/a%2fc", "/a%2Fc"},
        {"/a/..%2fc", "/a/..%2Fc"},
        {"/../c", NULL},
        {"/..", NULL},
        {"/a/../../c", NULL},
        {"/%2e%2e/c", NULL},
        {"/a%5Cc", NULL},
        {"/a%5cc", NULL},
        {"/a\\c", NULL},
        {"/a%00", NULL},
        {"/%c0%af", NULL},
        {"/x%C1%9C", NULL},
        {"/%e0%80%aex", NULL},
        {"/%F0%8f%bf%bf", NULL},
        {"/%f8%80%80%80%af", NULL},
        {"/%fc%83%80", NULL},
        {"/%c3%80%C2%af", "/%C3%80%C2%AF"},
        {"/%C0", "/%C0"},
        {"/%C0%41", "/%C0A"},
        {"/%E0%A0%80%F0%90%80%80", "/%E0%A0%80%F0%90%80%80"},
        {"/%0d%0A%3f%23", "/%0D%0A%3F%23"},
        {"/c%zz", NULL},
        {"/c%4", NULL},
        {"/c%", NULL},
        {"/c%4g", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *arena = arena_new(1 << 20);
        struct target target;
        enum failure why = prepare(&target, "a.test", cases[i].path, arena);
        if (why != (cases[i].normal != NULL ? FAILURE_NONE : FAILURE_BAD_TARGET))
            fail_msg("%s: %s", cases[i].path, failure_info[why].word);
        if (cases[i].normal != NULL && !span_is(target.path, cases[i].normal))
            fail_msg("%s: became %.*s", cases[i].path, (int)target.path.length, target.path.at);
        /* The normal form is its own. */
        struct target again;
        if (cases[i].normal != NULL) {
            assert_int_equal(target_prepare(&again, SPAN("a.test"), target.path, SPAN_NONE, arena),
                             FAILURE_NONE);
            assert_true(span_equal(again.path, target.path));
        }
        arena_free(arena);
    }
}

static void hosts(void **state)
{
    (void)state;
    static const struct {
        const char *authority, *host;
        uint16_t port;
        const char *normal;
    } cases[] = {
        {"a.test", "a.test", 0, "a.test"},
        {"A.Test.:80", "a.test", 80, "a.test:80"},
        {"a.test.", "a.test", 0, "a.test"},
        {"a.test:", "a.test", 0, "a.test"},
        {"A.TEST:00080", "a.test", 80, "a.test:80"},
        {"a.test:000", "a.test", 0, "a.test:0"},
        {"[::1]:8080", "::1", 8080, "[::1]:8080"},
        {"[0:0::0:0001]:", "::1", 0, "[::1]"},
        {"[FE80::1]", "fe80::1", 0, "[fe80::1]"},
        {"127.0.0.1:65535", "127.0.0.1", 65535, "127.0.0.1:65535"},
        {"a_b.test:0", "a_b.test", 0, "a_b.test:0"},
        {"", "", 0, ""},
        {"[::ffff:1.2.3.4]", "::ffff:1.2.3.4", 0, "[::ffff:1.2.3.4]"},
        {"[::FFFF:102:304]:1", "::ffff:1.2.3.4", 1, "[::ffff:1.2.3.4]:1"},
    };
    static const char *const bad[] = {
        "a,b",      "a b", "a/b",     "u@a", "a:b",       "a:1:1", "a:65536", "a:-1", "a:+1",          ":80",
        "[::1",     "[]",  "[::1]80", "::1", "[1.2.3.4]", "[::g]", "a%2eb",   "a\"b", "a#b",           "a?b",
        "\xc3\xa9", ".",   "..",      ".a",  "a..",       "a..b",  "a..:80",  ".:80", "[fe80::1%25lo]"};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *arena = arena_new(1 << 20);
        struct target target;
        assert_int_equal(prepare(&target, cases[i].authority, "/", arena), FAILURE_NONE);
        assert_span(target.host, cases[i].host);
        assert_int_equal(target.port, cases[i].port);
        assert_span(target.authority, cases[i].normal);
        arena_free(arena);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct arena *arena = arena_new(1 << 20);
        struct target target;
        if (prepare(&target, bad[i], "/", arena) != FAILURE_BAD_HOST)
            fail_msg("%s is taken", bad[i]);
        arena_free(arena);
    }
}

static void authorities_that_are_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned port;
        bool same;
    } cases[] = {
        {"a.test", "A.Test", 80, true},
        {"a.test:80", "a.test", 80, true},
        {"a.test:443", "a.test.", 443, true},
        {"a.test:", "a.test:0080", 80, true},
        {"[::1]", "[0::1]:80", 80, true},
        {"a.test:8080", "A.test.:8080", 80, true},
        {"a.test:80", "a.test", 443, false},
        {"a.test:80", "a.test:", 0, false},
        {"a.test:443", "a.test:80", 80, false},
        {"a.test.", "b.test.", 80, false},
        {"[::1]", "[::2]", 80, false},
        {"[::1]", "::1", 80, false},
        {"a.test", "", 80, false},
        {"a.test..", "a.test.", 80, false},
        {"[::1]", "a.test", 80, false},
        {"a.test", "a.test.x", 80, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct span a = span_of(cases[i].a), b = span_of(cases[i].b);
        if (authority_is_same(a, b, (uint16_t)cases[i].port) != cases[i].same ||
            authority_is_same(b, a, (uint16_t)cases[i].port) != cases[i].same)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
    }
}

static void nothing_is_copied_without_need(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20);
    struct target target;
    struct span host = SPAN("a.test:80"), path = SPAN("/a/b.c"), query = SPAN("");
    assert_int_equal(target_prepare(&target, host, path, query, arena), FAILURE_NONE);
    assert_ptr_equal(target.host.at, host.at);
    assert_ptr_equal(target.path.at, path.at);
    assert_ptr_equal(target.query.at, query.at);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(hosts),
        cmocka_unit_test(authorities_that_are_the_same),
        cmocka_unit_test(nothing_is_copied_without_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
