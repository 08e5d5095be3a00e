/* What limits count as one and what apart: spellings of the same value, values that are missing or there
 * several times; and the key by which a server is chosen. */
#include "filter/key.h"

#include "filter_fixture.h"

/* NULL: a default. */
struct asked {
    const char *client, *target, *host, *fields;
};
#define ASKED(...) (&(struct asked){__VA_ARGS__})

static struct exchange *ask(struct route_fixture *route, const struct asked *asked)
{
    char fields[512];
    (void)snprintf(fields, sizeof fields, "Host: %s\n%s", asked->host != NULL ? asked->host : "a.test",
                   asked->fields != NULL ? asked->fields : "");
    return request_from(route, asked->client != NULL ? asked->client : "192.0.2.1",
                        asked->target != NULL ? asked->target : "GET /", fields);
}

/* limit: keys of an in_flight; its key is looked at alone. */
static struct route_fixture *route_of_limit(const char *limit, const char *more)
{
    char keys[512];
    (void)snprintf(keys, sizeof keys, "in_flight: { limit: 1, %s }, %spool: app", limit, more);
    return route_open("", keys);
}

static enum key_found key_of(const struct route_fixture *route, const struct exchange *x, uint64_t *hash)
{
    const struct route_config *config = &route->config->routes[0];
    const struct key_rule rule = {.parts = config->in_flight->parts,
                                  .count = config->in_flight->parts_count,
                                  .ipv6_prefix = (unsigned)config->in_flight->ipv6_prefix,
                                  .missing = config->in_flight->missing,
                                  .paths = &config->paths};
    return key_hash(&rule, x, hash);
}

static void tell_asked(const char *name, const struct asked *asked)
{
    print_error("%s: %s %s %s %s\n", name, asked->client != NULL ? asked->client : "",
                asked->target != NULL ? asked->target : "", asked->host != NULL ? asked->host : "",
                asked->fields != NULL ? asked->fields : "");
}

static void assert_counted(bool as_one, const char *limit, const char *more, const struct asked *a,
                           const struct asked *b)
{
    struct route_fixture *route = route_of_limit(limit, more);
    uint64_t hash_a, hash_b;
    enum key_found found_a = key_of(route, ask(route, a), &hash_a),
                   found_b = key_of(route, ask(route, b), &hash_b);
    if (found_a != KEY_COUNTS || found_b != KEY_COUNTS || (hash_a == hash_b) != as_one) {
        tell_asked("one", a);
        tell_asked("other", b);
        fail_msg("%s: %s, but are %s", limit, as_one ? "count as one" : "count apart",
                 found_a != KEY_COUNTS || found_b != KEY_COUNTS ? "not both counted"
                 : as_one                                       ? "counted apart"
                                                                : "counted as one");
    }
    route_close(route);
}

#define ASSERT_ONE(limit, a, b) assert_counted(true, limit, "", a, b)
#define ASSERT_APART(limit, a, b) assert_counted(false, limit, "", a, b)

static void assert_found(const char *limit, const struct asked *asked, enum key_found expected)
{
    static const char *const words[] = {
        [KEY_COUNTS] = "counts", [KEY_PASSES] = "passes", [KEY_REFUSED] = "refused"};
    struct route_fixture *route = route_of_limit(limit, "");
    uint64_t hash;
    enum key_found found = key_of(route, ask(route, asked), &hash);
    if (found != expected) {
        tell_asked("asked", asked);
        fail_msg("%s: %s, not %s", limit, words[found], words[expected]);
    }
    route_close(route);
}

/* ---- client.ip ---- */

static void clients_are_counted_by_address(void **state)
{
    (void)state;
    ASSERT_APART("key: client.ip", ASKED(.client = "192.0.2.1"), ASKED(.client = "192.0.2.2"));
    ASSERT_ONE("key: client.ip", ASKED(.client = "192.0.2.1:1000"), ASKED(.client = "192.0.2.1:2000"));
    ASSERT_ONE("key: client.ip", ASKED(.client = "192.0.2.1"), ASKED(.client = "::ffff:192.0.2.1"));
}

static void of_ipv6_a_prefix_is_one_client(void **state)
{
    (void)state;
    ASSERT_ONE("key: client.ip", ASKED(.client = "2001:db8:0:1::1"), ASKED(.client = "2001:db8:0:1:ffff::2"));
    ASSERT_APART("key: client.ip", ASKED(.client = "2001:db8:0:1::1"), ASKED(.client = "2001:db8:0:2::1"));
    ASSERT_ONE("key: client.ip, ipv6_prefix: 56", ASKED(.client = "2001:db8:0:1::1"),
               ASKED(.client = "2001:db8:0:ff::1"));
    ASSERT_APART("key: client.ip, ipv6_prefix: 128", ASKED(.client = "2001:db8::1"),
                 ASKED(.client = "2001:db8::2"));
}

static void a_prefix_of_ipv6_says_nothing_of_ipv4(void **state)
{
    (void)state;
    ASSERT_APART("key: client.ip, ipv6_prefix: 8", ASKED(.client = "192.0.2.1"),
                 ASKED(.client = "192.0.2.2"));
}

static void clients_of_a_unix_socket_are_one(void **state)
{
    (void)state;
    ASSERT_ONE("key: client.ip", ASKED(.client = "unix"), ASKED(.client = "unix"));
    ASSERT_APART("key: [client.ip, path]", ASKED(.client = "unix"),
                 ASKED(.client = "unix", .target = "GET /b"));
}

/* ---- host, path, method ---- */

static void hosts_are_counted_without_port_final_dot_and_case(void **state)
{
    (void)state;
    ASSERT_ONE("key: host", ASKED(.host = "a.test"), ASKED(.host = "A.Test.:8080"));
    ASSERT_APART("key: host", ASKED(.host = "a.test"), ASKED(.host = "b.test"));
}

static void spellings_of_a_path_are_one(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"GET /a:b", "GET /a%3Ab"}, {"GET /~a", "GET /%7ea"},   {"GET /a/b", "GET /a;x=1/b;y"},
        {"GET /a/b", "GET /a//b"},  {"GET /a/b", "GET /a%2Fb"}, {"GET /a/b", "GET /a/./x/../b"},
        {"GET /b", "GET //a/b"},    {"GET /a?x", "GET /a?y"},   {"GET /a/b", "GET /a/x%2F..%2Fb"},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        ASSERT_ONE("key: path", ASKED(.target = pairs[i][0]), ASKED(.target = pairs[i][1]));
}

static void a_final_slash_and_the_case_of_a_path_count(void **state)
{
    (void)state;
    ASSERT_APART("key: path", ASKED(.target = "GET /a"), ASKED(.target = "GET /a/"));
    ASSERT_APART("key: path", ASKED(.target = "GET /a"), ASKED(.target = "GET /A"));
}

static void paths_says_what_its_servers_take_for_another_path(void **state)
{
    (void)state;
    assert_counted(false, "key: path", "paths: { parameters: kept }, ", ASKED(.target = "GET /a;x=1"),
                   ASKED(.target = "GET /a"));
    assert_counted(false, "key: path", "paths: { slashes: as_is }, ", ASKED(.target = "GET /a//b"),
                   ASKED(.target = "GET /a/b"));
    assert_counted(false, "key: path", "paths: { encoded_slash: as_is }, ", ASKED(.target = "GET /a%2Fb"),
                   ASKED(.target = "GET /a/b"));
}

static void a_path_that_mixes_ways_of_reading_has_several_values(void **state)
{
    (void)state;
    ASSERT_ONE("key: path", ASKED(.target = "GET /a;x%2Fb"), ASKED(.target = "GET /c;y%2Fd"));
    assert_found("key: path, missing: refuse", ASKED(.target = "GET /a;x%2Fb"), KEY_REFUSED);
    assert_found("key: path, missing: pass", ASKED(.target = "GET /a;x%2Fb"), KEY_COUNTS);
}

static void methods_are_counted_as_they_came(void **state)
{
    (void)state;
    ASSERT_APART("key: method", ASKED(.target = "GET /"), ASKED(.target = "HEAD /"));
    ASSERT_APART("key: method", ASKED(.target = "OWN /"), ASKED(.target = "Own /"));
}

/* ---- header ---- */

static void headers_are_counted_byte_for_byte_without_blanks_around(void **state)
{
    (void)state;
    ASSERT_ONE("key: \"header:x-key\"", ASKED(.fields = "X-Key: a\n"), ASKED(.fields = "x-KEY: \t a \n"));
    ASSERT_APART("key: \"header:x-key\"", ASKED(.fields = "X-Key: a\n"), ASKED(.fields = "X-Key: A\n"));
    ASSERT_APART("key: \"header:x-key\"", ASKED(.fields = "X-Key: a\n"), ASKED(.fields = "X-Key: %61\n"));
}

static void of_authorization_neither_case_of_the_scheme_nor_blanks_behind_it_count(void **state)
{
    (void)state;
    static const char *const other[] = {"Authorization: bearer x\n", "Authorization: BEARER   x\n",
                                        "Authorization: Bearer\tx\n"};
    for (size_t i = 0; i < COUNT_OF(other); i++)
        ASSERT_ONE("key: \"header:authorization\"", ASKED(.fields = "Authorization: Bearer x\n"),
                   ASKED(.fields = other[i]));
    ASSERT_APART("key: \"header:authorization\"", ASKED(.fields = "Authorization: Bearer x\n"),
                 ASKED(.fields = "Authorization: Bearer X\n"));
    ASSERT_APART("key: \"header:authorization\"", ASKED(.fields = "Authorization: Bearer x\n"),
                 ASKED(.fields = "Authorization: Token x\n"));
}

static void authorization_that_servers_read_in_ways_that_differ_has_several_values(void **state)
{
    (void)state;
    static const char limit[] = "key: \"header:authorization\", missing: refuse";
    assert_found(limit, ASKED(.fields = "Authorization: Bearer a b\n"), KEY_REFUSED);
    assert_found(limit, ASKED(.fields = "Authorization: Basic YTpi!\n"), KEY_REFUSED);
    assert_found(limit, ASKED(.fields = "Authorization: Basic YTpi\n"), KEY_COUNTS);
}

/* Not a field of a head: the codec keeps it apart. */
static void content_length_is_counted_as_a_number(void **state)
{
    (void)state;
    ASSERT_ONE("key: \"header:content-length\"", ASKED(.target = "POST /", .fields = "Content-Length: 5\n"),
               ASKED(.target = "POST /", .fields = "Content-Length: 005\n"));
    ASSERT_APART("key: \"header:content-length\"", ASKED(.target = "POST /", .fields = "Content-Length: 5\n"),
                 ASKED(.target = "POST /", .fields = "Content-Length: 6\n"));
}

/* ---- cookie and query ---- */

static void cookies_are_counted_decoded_and_without_quotation_marks(void **state)
{
    (void)state;
    static const char *const other[] = {
        "Cookie: k=\"ab\"\n",          "Cookie: k=%61b\n",    "Cookie: %6B=ab\n", "Cookie: j=1; k=ab\n",
        "Cookie: j=1\nCookie: k=ab\n", "Cookie: k=ab; k=ab\n"};
    for (size_t i = 0; i < COUNT_OF(other); i++)
        ASSERT_ONE("key: \"cookie:k\"", ASKED(.fields = "Cookie: k=ab\n"), ASKED(.fields = other[i]));
    ASSERT_APART("key: \"cookie:k\"", ASKED(.fields = "Cookie: k=ab\n"), ASKED(.fields = "Cookie: k=aB\n"));
}

static void parameters_are_counted_decoded(void **state)
{
    (void)state;
    static const char *const other[] = {"GET /?k=a%20b", "GET /?%6b=a+b", "GET /?j=1&k=a+b&l=2",
                                        "GET /?k=a+b&k=a+b"};
    for (size_t i = 0; i < COUNT_OF(other); i++)
        ASSERT_ONE("key: \"query:k\"", ASKED(.target = "GET /?k=a+b"), ASKED(.target = other[i]));
    ASSERT_APART("key: \"query:k\"", ASKED(.target = "GET /?k=a"), ASKED(.target = "GET /?k=b"));
    ASSERT_APART("key: \"query:k\"", ASKED(.target = "GET /?k=a"), ASKED(.target = "GET /?k=A"));
}

static void a_parameter_that_is_another_where_semicolons_part_has_several_values(void **state)
{
    (void)state;
    static const char limit[] = "key: \"query:k\", missing: refuse";
    assert_found(limit, ASKED(.target = "GET /?k=a;b"), KEY_REFUSED);
    assert_found(limit, ASKED(.target = "GET /?j=1;k=a"), KEY_REFUSED);
    assert_found(limit, ASKED(.target = "GET /?k=a&j=1;2"), KEY_COUNTS);
}

/* ---- missing, and several ---- */

static void all_that_lack_a_part_or_have_it_empty_are_one(void **state)
{
    (void)state;
    ASSERT_ONE("key: \"header:x-key\"", ASKED(0), ASKED(.client = "192.0.2.2", .fields = "X-Key:\n"));
    ASSERT_APART("key: \"header:x-key\"", ASKED(0), ASKED(.fields = "X-Key: a\n"));
    ASSERT_ONE("key: \"query:k\"", ASKED(.target = "GET /"), ASKED(.target = "GET /?k="));
    ASSERT_ONE("key: \"query:k\"", ASKED(.target = "GET /"), ASKED(.target = "GET /?k"));
    ASSERT_ONE("key: \"cookie:k\"", ASKED(0), ASKED(.fields = "Cookie: k=\"\"\n"));
}

static void who_lacks_one_part_is_counted_by_the_others(void **state)
{
    (void)state;
    ASSERT_ONE("key: [client.ip, \"header:x-key\"]", ASKED(.client = "192.0.2.1"),
               ASKED(.client = "192.0.2.1"));
    ASSERT_APART("key: [client.ip, \"header:x-key\"]", ASKED(.client = "192.0.2.1"),
                 ASKED(.client = "192.0.2.2"));
}

static void values_that_differ_are_nobodys_and_one(void **state)
{
    (void)state;
    static const char limit[] = "key: \"header:x-key\"";
    ASSERT_ONE(limit, ASKED(.fields = "X-Key: a\nX-Key: b\n"), ASKED(.fields = "X-Key: c\nX-Key: d\n"));
    ASSERT_ONE(limit, ASKED(.fields = "X-Key: a\n"), ASKED(.fields = "X-Key: a\nX-Key: a\n"));
    ASSERT_APART(limit, ASKED(.fields = "X-Key: a\n"), ASKED(.fields = "X-Key: a\nX-Key: b\n"));
    ASSERT_APART(limit, ASKED(.fields = "X-Key: b\n"), ASKED(.fields = "X-Key: a\nX-Key: b\n"));
}

static void pass_lets_who_lacks_a_part_pass_but_counts_several_values(void **state)
{
    (void)state;
    static const char limit[] = "key: [client.ip, \"header:x-key\"], missing: pass";
    assert_found(limit, ASKED(0), KEY_PASSES);
    assert_found(limit, ASKED(.fields = "X-Key:\n"), KEY_PASSES);
    assert_found(limit, ASKED(.fields = "X-Key: a\n"), KEY_COUNTS);
    assert_found(limit, ASKED(.fields = "X-Key: a\nX-Key: b\n"), KEY_COUNTS);
}

static void refuse_refuses_who_lacks_a_part_and_who_has_several_values(void **state)
{
    (void)state;
    static const char limit[] = "key: [client.ip, \"header:x-key\"], missing: refuse";
    assert_found(limit, ASKED(0), KEY_REFUSED);
    assert_found(limit, ASKED(.fields = "X-Key: a\nX-Key: b\n"), KEY_REFUSED);
    assert_found(limit, ASKED(.fields = "X-Key: a\n"), KEY_COUNTS);
}

/* Want of room makes no value another one, and none that is missing. */
static void a_value_that_cannot_be_decoded_is_nobodys(void **state)
{
    (void)state;
    static const struct {
        const char *limit;
        enum key_found found;
    } rows[] = {{"key: \"query:k\", missing: refuse", KEY_REFUSED},
                {"key: \"query:k\", missing: pass", KEY_COUNTS}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct route_fixture *route = route_of_limit(rows[i].limit, "");
        struct exchange *x = ask(route, ASKED(.target = "GET /?k=%61"));
        uint64_t hash;
        assert_int_equal(key_of(route, x, &hash), KEY_COUNTS);
        arena_use_up(x->arena);
        assert_int_equal(key_of(route, x, &hash), rows[i].found);
        route_close(route);
    }
}

static void parts_do_not_run_into_each_other(void **state)
{
    (void)state;
    static const char limit[] = "key: [\"header:x-a\", \"header:x-b\"]";
    ASSERT_APART(limit, ASKED(.fields = "X-A: ab\nX-B: c\n"), ASKED(.fields = "X-A: a\nX-B: bc\n"));
    ASSERT_APART(limit, ASKED(.fields = "X-A: a\nX-B: b\n"), ASKED(.fields = "X-A: b\nX-B: a\n"));
    ASSERT_APART(limit, ASKED(.fields = "X-A: a\n"), ASKED(.fields = "X-B: a\n"));
}

/* ---- the value of a cookie; choosing a server ---- */

static void a_cookie_is_found_by_its_name(void **state)
{
    (void)state;
    struct route_fixture *route = route_of_limit("key: client.ip", "");
    struct exchange *x = ask(route, ASKED(.fields = "Cookie: akey=1; key=\"a%20b\"\nCookie: key=2\n"));
    assert_text(key_cookie(x, SPAN("key")), "\"a%20b\"");
    assert_null(key_cookie(x, SPAN("ke")).at);
    assert_null(key_cookie(x, SPAN("Key")).at);
    route_close(route);
}

/* Servers that are chosen by it must stay the same over restarts, and on all machines. */
static void the_hash_of_a_choice_is_the_same_in_every_process(void **state)
{
    (void)state;
    static const struct key_part parts[] = {{KEY_HEADER, "x-key"}, {KEY_CLIENT_IP, NULL}};
    struct route_fixture *route = route_of_limit("key: client.ip", "");
    uint64_t hash;
    assert_true(key_hash_fixed(parts, 2, 64, ask(route, ASKED(.fields = "X-Key: a\n")), &hash));
    assert_true(hash == UINT64_C(0x99a8414fdcec636e)); /* SipHash-1-3 by another program */
    route_close(route);
}

static void a_choice_goes_by_the_first_of_several_values(void **state)
{
    (void)state;
    static const struct key_part parts[] = {{KEY_HEADER, "x-key"}};
    struct route_fixture *route = route_of_limit("key: client.ip", "");
    uint64_t first, several;
    assert_true(key_hash_fixed(parts, 1, 64, ask(route, ASKED(.fields = "X-Key: a\n")), &first));
    assert_true(key_hash_fixed(parts, 1, 64, ask(route, ASKED(.fields = "X-Key: a\nX-Key: b\n")), &several));
    assert_int_equal(first, several);
    route_close(route);
}

static void without_a_part_there_is_no_choice(void **state)
{
    (void)state;
    static const struct key_part parts[] = {{KEY_CLIENT_IP, NULL}, {KEY_QUERY, "k"}};
    struct route_fixture *route = route_of_limit("key: client.ip", "");
    uint64_t hash;
    assert_false(key_hash_fixed(parts, 2, 64, ask(route, ASKED(0)), &hash));
    assert_false(key_hash_fixed(parts, 2, 64, ask(route, ASKED(.target = "GET /?k=")), &hash));
    assert_true(key_hash_fixed(parts, 2, 64, ask(route, ASKED(.target = "GET /?k=a")), &hash));
    route_close(route);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_are_counted_by_address),
        cmocka_unit_test(of_ipv6_a_prefix_is_one_client),
        cmocka_unit_test(a_prefix_of_ipv6_says_nothing_of_ipv4),
        cmocka_unit_test(clients_of_a_unix_socket_are_one),
        cmocka_unit_test(hosts_are_counted_without_port_final_dot_and_case),
        cmocka_unit_test(spellings_of_a_path_are_one),
        cmocka_unit_test(a_final_slash_and_the_case_of_a_path_count),
        cmocka_unit_test(paths_says_what_its_servers_take_for_another_path),
        cmocka_unit_test(a_path_that_mixes_ways_of_reading_has_several_values),
        cmocka_unit_test(methods_are_counted_as_they_came),
        cmocka_unit_test(headers_are_counted_byte_for_byte_without_blanks_around),
        cmocka_unit_test(of_authorization_neither_case_of_the_scheme_nor_blanks_behind_it_count),
        cmocka_unit_test(authorization_that_servers_read_in_ways_that_differ_has_several_values),
        cmocka_unit_test(content_length_is_counted_as_a_number),
        cmocka_unit_test(cookies_are_counted_decoded_and_without_quotation_marks),
        cmocka_unit_test(parameters_are_counted_decoded),
        cmocka_unit_test(a_parameter_that_is_another_where_semicolons_part_has_several_values),
        cmocka_unit_test(all_that_lack_a_part_or_have_it_empty_are_one),
        cmocka_unit_test(who_lacks_one_part_is_counted_by_the_others),
        cmocka_unit_test(values_that_differ_are_nobodys_and_one),
        cmocka_unit_test(pass_lets_who_lacks_a_part_pass_but_counts_several_values),
        cmocka_unit_test(refuse_refuses_who_lacks_a_part_and_who_has_several_values),
        cmocka_unit_test(a_value_that_cannot_be_decoded_is_nobodys),
        cmocka_unit_test(parts_do_not_run_into_each_other),
        cmocka_unit_test(a_cookie_is_found_by_its_name),
        cmocka_unit_test(the_hash_of_a_choice_is_the_same_in_every_process),
        cmocka_unit_test(a_choice_goes_by_the_first_of_several_values),
        cmocka_unit_test(without_a_part_there_is_no_choice),
    };
    return cmocka_run_group_tests(tests, filter_setup, NULL);
}
