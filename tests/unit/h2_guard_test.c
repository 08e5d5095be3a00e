/* Buckets that leak: each kind of frame at its brim, one over, and after a while. */
#include "http/h2_guard.h"

#include "unit/unit.h"

/* Fills a bucket from `level`; the one over the brim is refused, and again. */
static void fill(struct h2_guard *guard, enum h2_guard_kind kind, unsigned level, uint64_t now)
{
    for (unsigned i = level; i < h2_guard_info[kind].brim; i++)
        assert_true(h2_guard_note(guard, kind, now));
    assert_false(h2_guard_note(guard, kind, now));
    assert_false(h2_guard_note(guard, kind, now));
}

static void each_kind_has_its_brim(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < H2_GUARD_COUNT; kind++) {
        struct h2_guard guard = {.second = 0};
        assert_true(h2_guard_info[kind].brim >= h2_guard_info[kind].leak && h2_guard_info[kind].leak != 0);
        fill(&guard, kind, 0, 5000999);
        for (unsigned other = 0; other < H2_GUARD_COUNT; other++)
            /* kinds are counted apart */
            assert_int_equal(guard.levels[other], other == kind ? h2_guard_info[kind].brim : 0);
    }
}

static void a_bucket_leaks_by_the_second(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < H2_GUARD_COUNT; kind++) {
        const unsigned brim = h2_guard_info[kind].brim, leak = h2_guard_info[kind].leak;
        struct h2_guard guard = {.second = 0};
        fill(&guard, kind, 0, 7000000);
        assert_false(h2_guard_note(&guard, kind, 7000999)); /* the same second */
        fill(&guard, kind, brim - leak, 7001000);
        fill(&guard, kind, brim > 3 * leak ? brim - 3 * leak : 0, 7004000);
        fill(&guard, kind, 0, 7004000 + 1000 * (uint64_t)(brim / leak + 1)); /* dry */
    }
}

/* The clock's seconds are kept in 32 bits, and a level in 16: a long sleep empties the bucket, it does not
 * turn around. */
static void a_long_sleep_empties(void **state)
{
    (void)state;
    const uint64_t sleeps[] = {3600, 65536, 65537, 1u << 26, UINT32_MAX};
    for (size_t i = 0; i < sizeof sleeps / sizeof *sleeps; i++) {
        struct h2_guard guard = {.second = 0};
        fill(&guard, H2_GUARD_pings, 0, 1000);
        fill(&guard, H2_GUARD_pings, 0, 1000 + 1000 * sleeps[i]);
    }
    struct h2_guard guard = {.second = 0};
    uint64_t turn = ((uint64_t)UINT32_MAX + 1) * 1000; /* the kept second begins anew */
    fill(&guard, H2_GUARD_settings, 0, turn - 1000);
    fill(&guard, H2_GUARD_settings,
         h2_guard_info[H2_GUARD_settings].brim - h2_guard_info[H2_GUARD_settings].leak, turn);
}

static void what_is_earned_is_room(void **state)
{
    (void)state;
    struct h2_guard guard = {.second = 0};
    fill(&guard, H2_GUARD_pings, 0, 1000);
    h2_guard_earn(&guard, H2_GUARD_pings, 3);
    fill(&guard, H2_GUARD_pings, h2_guard_info[H2_GUARD_pings].brim - 3, 1000);
    h2_guard_earn(&guard, H2_GUARD_pings, UINT16_MAX);
    h2_guard_earn(&guard, H2_GUARD_pings, 1); /* never more than all */
    fill(&guard, H2_GUARD_pings, 0, 1000);
}

/* 10,000 frames of any kind within a second meet a bound; a steady rate below the leak meets none. */
static void floods_end_and_steady_rates_do_not(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < H2_GUARD_COUNT; kind++) {
        struct h2_guard guard = {.second = 0};
        unsigned passed = 0;
        while (passed < 10000 && h2_guard_note(&guard, kind, 1000000 + passed / 10))
            passed++;
        assert_true(passed < 10000);
        guard = (struct h2_guard){.second = 0};
        for (uint64_t second = 0; second < 500; second++)
            for (unsigned i = 0; i < h2_guard_info[kind].leak; i++)
                assert_true(h2_guard_note(&guard, kind, second * 1000 + i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_has_its_brim),
        cmocka_unit_test(a_bucket_leaks_by_the_second),
        cmocka_unit_test(a_long_sleep_empties),
        cmocka_unit_test(what_is_earned_is_room),
        cmocka_unit_test(floods_end_and_steady_rates_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
