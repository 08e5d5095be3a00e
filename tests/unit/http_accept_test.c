/* What Accept says of a type. */
#include "http/accept.h"

#include "base/arena.h"
#include "base/block.h"
#include "http/head.h"
#include "unit.h"

static void weights(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second; /* fields; NULL: none */
        enum accept_range range;
        unsigned weight;
    } cases[] = {
        {NULL, NULL, ACCEPT_NOT_NAMED, 0},
        {"", NULL, ACCEPT_NOT_NAMED, 0},
        {"application/json", NULL, ACCEPT_NAMED, 1000},
        {"Application/JSON", NULL, ACCEPT_NAMED, 1000},
        {"application/json;q=0", NULL, ACCEPT_NAMED, 0},
        {"application/json;q=0.000", NULL, ACCEPT_NAMED, 0},
        {"application/json ; Q=0.5", NULL, ACCEPT_NAMED, 500},
        {"application/json;charset=utf-8;q=0.001", NULL, ACCEPT_NAMED, 1},
        {"application/json; q=1.000", NULL, ACCEPT_NAMED, 1000},
        {"application/json;q=0.", NULL, ACCEPT_NAMED, 0},
        {"application/json;q=2", NULL, ACCEPT_NAMED, 1000},
        {"application/json;q=", NULL, ACCEPT_NAMED, 1000},
        {"application/json;q=0.0001", NULL, ACCEPT_NAMED, 1000},
        {"application/json;q=0,5", NULL, ACCEPT_NAMED, 0},
        {"application/json+x;q=0.4", NULL, ACCEPT_NAMED, 400},
        {"application/problem+json", NULL, ACCEPT_NOT_NAMED, 0},
        {"application/json-seq", NULL, ACCEPT_NOT_NAMED, 0},
        {"text/json", NULL, ACCEPT_NOT_NAMED, 0},
        {"json", NULL, ACCEPT_NOT_NAMED, 0},
        {"*/*", NULL, ACCEPT_ANY, 1000},
        {"*/*;q=0.1, application/*;q=0.2", NULL, ACCEPT_ANY_SUBTYPE, 200},
        {"application/json;q=0.3, */*, application/*;q=0.9", NULL, ACCEPT_NAMED, 300},
        {"application/json;q=0, application/json", NULL, ACCEPT_NAMED, 1000},
        {"text/html", "application/json;q=0.7", ACCEPT_NAMED, 700},
        {",, application/json ,", NULL, ACCEPT_NAMED, 1000},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *arena = arena_new(1 << 16);
        struct fields fields = {0};
        const char *const values[] = {cases[i].first, cases[i].second};
        assert_true(
            fields_add(&fields, arena, SPAN("Accept-Charset"), SPAN("application/json"), FIELD_OTHER));
        for (size_t k = 0; k < COUNT_OF(values); k++)
            if (values[k] != NULL)
                assert_true(fields_add(&fields, arena, SPAN("Accept"), span_of(values[k]), FIELD_ACCEPT));
        struct acceptance found = accept_of(&fields, SPAN("application"), SPAN("json"));
        if (found.range != cases[i].range || found.weight != cases[i].weight)
            fail_msg("%s: %d, %u", cases[i].first, (int)found.range, found.weight);
        arena_free(arena);
    }
    assert_int_equal(block_pool_out(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(weights)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
