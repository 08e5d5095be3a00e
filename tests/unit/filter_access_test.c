/* Who may, by address: which clients a route's access lets through, and what the others are answered. */
#include "filter_fixture.h"

/* The status that a client is answered by the route's access; 0: it may. */
static unsigned access_of(const char *keys, const char *client)
{
    struct route_fixture *route = route_open("", keys);
    unsigned status = filter(route, request_from(route, client, "GET /", "Host: a.test\n"));
    route_close(route);
    return status;
}

struct row {
    const char *client;
    bool denied;
};

static void assert_access(const char *keys, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned status = access_of(keys, rows[i].client);
        if (status != (rows[i].denied ? 403u : 0u))
            fail_msg("%s: \"%s\" is %s, and gets %u", keys, rows[i].client,
                     rows[i].denied ? "to be denied" : "allowed", status);
    }
}

#define ASSERT_ACCESS(keys, ...)                         \
    do {                                                 \
        static const struct row rows_[] = {__VA_ARGS__}; \
        assert_access(keys, rows_, COUNT_OF(rows_));     \
    } while (0)

static void deny_is_looked_at_before_allow(void **state)
{
    (void)state;
    ASSERT_ACCESS("access: { allow: [192.0.2.0/24], deny: 192.0.2.7 }, pool: app", {"192.0.2.7", true},
                  {"192.0.2.8", false});
}

static void allow_denies_all_others(void **state)
{
    (void)state;
    ASSERT_ACCESS("access: { allow: [192.0.2.0/24, 2001:db8::/32] }, pool: app", {"192.0.2.255", false},
                  {"192.0.3.0", true}, {"192.0.1.255", true}, {"2001:db8:ffff::1", false},
                  {"2001:db9::", true}, {"unix", true});
}

static void deny_alone_lets_all_others_through(void **state)
{
    (void)state;
    ASSERT_ACCESS("access: { deny: [192.0.2.0/25, 2001:db8::1] }, pool: app", {"192.0.2.127", true},
                  {"192.0.2.128", false}, {"2001:db8::1", true}, {"2001:db8::2", false}, {"unix", false});
}

/* Sockets of both families tell IPv4 clients as ::ffff:a.b.c.d. */
static void mapped_addresses_are_ipv4(void **state)
{
    (void)state;
    ASSERT_ACCESS("access: { deny: 192.0.2.0/24 }, pool: app", {"::ffff:192.0.2.7", true},
                  {"::ffff:192.0.3.7", false});
    ASSERT_ACCESS("access: { deny: \"::ffff:192.0.2.0/120\" }, pool: app", {"192.0.2.7", true},
                  {"::ffff:192.0.2.7", true}, {"192.0.3.7", false});
}

/* weir check warns of them: "10.0.0.1/8" means all of 10.0.0.0/8. */
static void bits_behind_the_prefix_do_not_count(void **state)
{
    (void)state;
    ASSERT_ACCESS("access: { allow: [10.0.0.1/8, \"fd00::1/8\"] }, pool: app", {"10.255.0.9", false},
                  {"::ffff:10.255.0.9", false}, {"11.0.0.1", true}, {"fdff::9", false}, {"fe00::1", true});
    ASSERT_ACCESS("access: { deny: \"::ffff:10.0.0.1/104\" }, pool: app", {"10.255.0.9", true},
                  {"11.0.0.1", false});
}

static void networks_of_one_family_hold_nobody_of_the_other(void **state)
{
    (void)state;
    ASSERT_ACCESS("access: { allow: \"::/0\" }, pool: app", {"2001:db8::1", false}, {"192.0.2.1", true},
                  {"::ffff:192.0.2.1", true}, {"unix", true});
    ASSERT_ACCESS("access: { allow: 0.0.0.0/0 }, pool: app", {"192.0.2.1", false},
                  {"::ffff:192.0.2.1", false}, {"2001:db8::1", true}, {"unix", true});
}

static void unix_is_a_network_of_its_own(void **state)
{
    (void)state;
    ASSERT_ACCESS("access: { allow: unix }, pool: app", {"unix", false}, {"192.0.2.1", true}, {"::", true});
    ASSERT_ACCESS("access: { deny: unix }, pool: app", {"unix", true}, {"192.0.2.1", false});
}

/* Of a client without an address nobody can say that it is one of those. */
static void who_has_no_address_is_not_allowed_by_one(void **state)
{
    (void)state;
    ASSERT_ACCESS("access: { allow: [0.0.0.0/0, \"::/0\", unix] }, pool: app", {"", true});
}

static void refused_requests_get_an_error_page_of_403(void **state)
{
    (void)state;
    struct route_fixture *route = route_open("", "access: { deny: 192.0.2.1 }, pool: app");
    struct exchange *x = request_of(route, "GET /", "Host: a.test\n");
    int64_t denied = counter_sum(COUNTER_access_denied);
    assert_int_equal(filter(route, x), 403);
    assert_failure(x->answer.failure, FAILURE_ACCESS_DENIED);
    assert_null(x->answer.body.at);
    assert_int_equal(counter_sum(COUNTER_access_denied), denied + 1);
    route_close(route);
}

static void the_file_chooses_the_status(void **state)
{
    (void)state;
    assert_int_equal(access_of("access: { deny: 192.0.2.1, status: 404 }, pool: app", "192.0.2.1"), 404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deny_is_looked_at_before_allow),
        cmocka_unit_test(allow_denies_all_others),
        cmocka_unit_test(deny_alone_lets_all_others_through),
        cmocka_unit_test(mapped_addresses_are_ipv4),
        cmocka_unit_test(bits_behind_the_prefix_do_not_count),
        cmocka_unit_test(networks_of_one_family_hold_nobody_of_the_other),
        cmocka_unit_test(unix_is_a_network_of_its_own),
        cmocka_unit_test(who_has_no_address_is_not_allowed_by_one),
        cmocka_unit_test(refused_requests_get_an_error_page_of_403),
        cmocka_unit_test(the_file_chooses_the_status),
    };
    return cmocka_run_group_tests(tests, filter_setup, NULL);
}
