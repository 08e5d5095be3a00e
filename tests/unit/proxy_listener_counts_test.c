/* Connections by listener: caps, sharing by address, and clients told apart as the manual says. */
#include "net/address.h"
#include "proxy/listener_counts.h"
#include "unit.h"

static struct ip_address ip_of(const char *text)
{
    struct ip_address ip;
    assert_true(ip_address_parse(&ip, span_of(text)));
    return ip;
}

static void listeners_are_capped(void **state)
{
    (void)state;
    struct listener_counts_set *set = listener_counts_set_new();
    struct listener_counts *counts = listener_counts_set_take(set, ":80");
    assert_true(listener_counts_enter(counts, 2));
    assert_true(listener_counts_enter(counts, 2));
    assert_false(listener_counts_enter(counts, 2));
    assert_true(listener_counts_enter(counts, 0));
    listener_counts_leave(counts);
    listener_counts_leave(counts);
    assert_true(listener_counts_enter(counts, 2));
    listener_counts_leave(counts);
    listener_counts_leave(counts);
    listener_counts_release(counts);
    listener_counts_set_free(set);
}

static void counts_outlive_a_snapshot(void **state)
{
    (void)state;
    struct listener_counts_set *set = listener_counts_set_new();
    struct listener_counts *counts = listener_counts_set_take(set, ":80");
    assert_ptr_equal(listener_counts_set_take(set, ":80"), counts);
    assert_ptr_not_equal(listener_counts_set_take(set, ":81"), counts);
    assert_true(listener_counts_enter(counts, 1));
    listener_counts_release(counts);
    listener_counts_set_sweep(set);
    assert_false(listener_counts_enter(counts, 1)); /* one site still refers to it */
    listener_counts_leave(counts);
    listener_counts_release(counts);
    listener_counts_set_sweep(set);
    listener_counts_set_free(set);
}

static void clients_are_capped(void **state)
{
    (void)state;
    struct listener_counts_set *set = listener_counts_set_new();
    struct listener_counts *counts = listener_counts_set_take(set, ":80");
    struct ip_address one = ip_of("192.0.2.1"), two = ip_of("192.0.2.2");
    struct ip_address six = ip_of("2001:db8:0:1::1"), same = ip_of("2001:db8:0:1:ffff::2"),
                      other = ip_of("2001:db8:0:2::1");
    one.port = 1;
    assert_true(listener_counts_enter_client(counts, &one, 2));
    one.port = 2; /* the port is not the client */
    assert_true(listener_counts_enter_client(counts, &one, 2));
    assert_false(listener_counts_enter_client(counts, &one, 2));
    assert_true(listener_counts_enter_client(counts, &two, 2));
    assert_true(listener_counts_enter_client(counts, &six, 1));
    assert_false(listener_counts_enter_client(counts, &same, 1));
    assert_true(listener_counts_enter_client(counts, &other, 1));
    listener_counts_leave_client(counts, &one);
    assert_true(listener_counts_enter_client(counts, &one, 2));
    listener_counts_leave_client(counts, &six);
    assert_true(listener_counts_enter_client(counts, &same, 1));
    listener_counts_release(counts);
    listener_counts_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listeners_are_capped),
        cmocka_unit_test(counts_outlive_a_snapshot),
        cmocka_unit_test(clients_are_capped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
