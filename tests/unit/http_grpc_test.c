#include "unit.h"

#include "base/arena.h"
#include "http/failure.h"
#include "http/grpc.h"
#include "http/head.h"

static enum grpc_kind kind_of(const char *type, struct span *subtype)
{
    struct field field = {.name = SPAN("content-type"), .value = span_of(type), .id = FIELD_CONTENT_TYPE};
    struct fields fields = {.items = &field, .count = 1, .room = 1};
    return grpc_kind(&fields, subtype);
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        enum grpc_kind kind;
        const char *subtype;
    } cases[] = {
        {"application/grpc", GRPC_PLAIN, ""},
        {"Application/gRPC+proto", GRPC_PLAIN, "+proto"},
        {"application/grpc;charset=x", GRPC_PLAIN, ""},
        {"application/grpc-web", GRPC_WEB, ""},
        {"application/grpc-web+json; a=b", GRPC_WEB, "+json"},
        {"application/grpc-web-text", GRPC_WEB_TEXT, ""},
        {"application/grpc-web-text+proto", GRPC_WEB_TEXT, "+proto"},
        {"application/grpc-webtext", GRPC_NONE, ""},
        {"application/grpcx", GRPC_NONE, ""},
        {"application/grp", GRPC_NONE, ""},
        {"", GRPC_NONE, ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct span subtype = SPAN_NONE;
        assert_int_equal(kind_of(cases[i].type, &subtype), cases[i].kind);
        assert_span(subtype, cases[i].subtype);
    }
    struct fields none = {0};
    assert_int_equal(grpc_kind(&none, NULL), GRPC_NONE);
}

static void test_timeouts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t milliseconds;
        bool fine;
    } cases[] = {
        {"1H", 3600000, true},    {"2M", 120000, true},
        {"3S", 3000, true},       {"100m", 100, true},
        {"1u", 1, true},          {"1500u", 2, true},
        {"99999999n", 100, true}, {"0n", 0, true},
        {"", 0, false},           {"S", 0, false},
        {"1", 0, false},          {"1s", 0, false},
        {"-1S", 0, false},        {"1 S", 0, false},
        {"100000000n", 0, false}, {"99999999H", 359999996400000, true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct field field = {
            .name = SPAN("grpc-timeout"), .value = span_of(cases[i].text), .id = FIELD_GRPC_TIMEOUT};
        struct fields fields = {.items = &field, .count = 1, .room = 1};
        uint64_t milliseconds = 0;
        assert_int_equal(grpc_timeout(&fields, &milliseconds), cases[i].fine);
        assert_int_equal(milliseconds, cases[i].milliseconds);
    }
}

static void test_messages(void **state)
{
    (void)state;
    struct arena *arena = arena_new_malloc();
    assert_span(grpc_message(SPAN("plain text ~"), arena), "plain text ~");
    assert_span(grpc_message(SPAN("100%\t\r\n\x7f\xe2\x98\xba"), arena), "100%25%09%0D%0A%7F%E2%98%BA");
    assert_span(grpc_message(SPAN(""), arena), "");
    arena_free(arena);
}

/* What HTTP's status says gRPC's says too (doc/http-grpc-status-mapping.md), and a failure that is none of
 * HTTP's is at least not OK. */
static void test_failures(void **state)
{
    (void)state;
    for (unsigned i = 1; i < FAILURE_COUNT; i++) {
        const struct failure_info *info = &failure_info[i];
        assert_int_not_equal(info->grpc, GRPC_OK);
        if (info->status == 403)
            assert_int_equal(info->grpc, GRPC_PERMISSION_DENIED);
        if (info->status == 404)
            assert_int_equal(info->grpc, GRPC_UNIMPLEMENTED);
        if (info->status == 429)
            assert_int_equal(info->grpc, GRPC_RESOURCE_EXHAUSTED);
        if (info->status == 503)
            assert_int_equal(info->grpc, GRPC_UNAVAILABLE);
    }
}

static void test_server_statuses(void **state)
{
    static const unsigned expected[] = {200, 200, 500, 200, 504, 200, 200, 200, 429,
                                        200, 200, 200, 200, 500, 503, 500, 200};
    (void)state;
    struct arena *arena = arena_new_malloc();
    struct fields none = {0};
    assert_int_equal(grpc_server_status(&none), 200);
    for (unsigned i = 0; i < COUNT_OF(expected); i++) {
        struct fields fields = {0};
        assert_true(
            fields_add(&fields, arena, SPAN("grpc-status"), arena_print(arena, "%u", i), FIELD_GRPC_STATUS));
        assert_int_equal(grpc_server_status(&fields), expected[i]);
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),           cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_messages),        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_server_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
