/* How long a client may take too little, by a clock of the test. */
#include "unit.h"

#include "http/pace.h"

static const struct pace_rule rule = {.least = 500, .length = 30000}, any = {.least = 0, .length = 30000};

/* When one is let go that takes so many bytes every so many ms; 0: not within an hour. */
static uint64_t let_go(const struct pace_rule *by, uint64_t bytes, uint64_t every, uint64_t before)
{
    struct pace pace = {.due = 0};
    uint64_t began = 1000000, now = began;
    pace_begin(&pace, before, now, by);
    while (now < began + 3600000) {
        uint64_t next = UINT64_MAX;
        if (pace_is_slow(&pace, before + (now - began) / every * bytes, now, by, &next))
            return now - began;
        assert_true(next > now && next <= now + 2 * by->length);
        now = next;
    }
    return 0;
}

static void who_takes_nothing_or_next_to_nothing_goes(void **state)
{
    (void)state;
    assert_int_equal(let_go(&rule, 0, 1000, 0), 30000);
    assert_in_range(let_go(&rule, 1, 12000, 300), 30000, 31000);
    assert_int_equal(let_go(&rule, 0, 1000, 1 << 20), 60000); /* what it took before buys no more than that */
    assert_true(let_go(&rule, 450, 1000, 0) != 0);
}

static void who_takes_enough_stays(void **state)
{
    (void)state;
    assert_int_equal(let_go(&rule, 500, 1000, 0), 0);
    assert_int_equal(let_go(&rule, 2048, 1000, 0), 0);
    assert_int_equal(let_go(&rule, 65536, 32000, 65536), 0); /* in the steps of a client's kernel */
}

static void any_byte_will_do_where_there_is_no_rate(void **state)
{
    (void)state;
    assert_int_equal(let_go(&any, 1, 12000, 0), 0);
    assert_int_equal(let_go(&any, 0, 1000, 0), 30000);
}

static void what_stopped_begins_anew(void **state)
{
    (void)state;
    struct pace pace = {.due = 0};
    uint64_t next = UINT64_MAX;
    pace_begin(&pace, 0, 1000, &rule);
    pace_stop(&pace);
    assert_false(pace_runs(&pace));
    assert_false(pace_is_slow(&pace, 0, 1000000, &rule, &next));
    assert_int_equal(next, 1030000);
    assert_true(pace_is_slow(&pace, 0, 1030000, &rule, &next));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_takes_nothing_or_next_to_nothing_goes),
        cmocka_unit_test(who_takes_enough_stays),
        cmocka_unit_test(any_byte_will_do_where_there_is_no_rate),
        cmocka_unit_test(what_stopped_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
