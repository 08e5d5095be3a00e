/* The bytes of gRPC's health check, whole, cut and wrong. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "unit.h"
#include "upstream/health_grpc.h"

#define BYTES(text) span_make(text, sizeof text - 1)

static void check_asked(struct span service, struct span wanted)
{
    struct buf bytes = {0};
    char all[400];
    assert_true(health_grpc_ask(&bytes, service));
    assert_int_equal(bytes.length, wanted.length);
    buf_peek(&bytes, all, sizeof all);
    assert_memory_equal(all, wanted.at, wanted.length);
    buf_clear(&bytes);
}

static void the_question_names_the_service(void **state)
{
    (void)state;
    check_asked(SPAN(""), BYTES("\0\0\0\0\0"));
    check_asked(SPAN("a.B"), BYTES("\0\0\0\0\5\12\3a.B"));
    char service[200], wanted[208] = "\0\0\0\0\xcb\12\xc8\1";
    memset(service, 'x', sizeof service);
    memset(wanted + 8, 'x', sizeof service);
    check_asked(span_make(service, sizeof service), span_make(wanted, sizeof wanted));
}

static enum probe_verdict verdict;

/* NULL when the server is well. */
static const char *judge(struct span body, struct span status)
{
    const char *why;
    verdict = health_grpc_judge(body, status, &why);
    return verdict == PROBE_PASSED ? NULL : why;
}

static void only_serving_is_well(void **state)
{
    (void)state;
    assert_null(judge(BYTES("\0\0\0\0\2\10\1"), SPAN("0")));
    assert_string_equal(judge(BYTES("\0\0\0\0\2\10\2"), SPAN("0")), "service is NOT_SERVING");
    assert_string_equal(judge(BYTES("\0\0\0\0\2\10\3"), SPAN("0")), "service is SERVICE_UNKNOWN");
    assert_string_equal(judge(BYTES("\0\0\0\0\2\10\0"), SPAN("0")), "service is UNKNOWN");
    assert_string_equal(judge(BYTES("\0\0\0\0\0"), SPAN("0")), "service is UNKNOWN");
    /* 129 */
    assert_string_equal(judge(BYTES("\0\0\0\0\3\10\x81\1"), SPAN("0")), "service is UNKNOWN");
    assert_string_equal(judge(SPAN(""), SPAN("12")),
                        "grpc status UNIMPLEMENTED: server has no health service");
    assert_string_equal(judge(BYTES("\0\0\0\0\2\10\1"), SPAN("14")), "grpc status UNAVAILABLE");
    assert_string_equal(judge(SPAN(""), SPAN("16")), "grpc status UNAUTHENTICATED");
    assert_string_equal(judge(SPAN(""), SPAN("17")), "grpc status is not known");
    assert_int_equal(verdict, PROBE_FAILED); /* may be the fault of who asks */
    (void)judge(BYTES("\0\0\0\0\2\10\2"), SPAN("0"));
    assert_int_equal(verdict, PROBE_SICK);
    (void)judge(BYTES("\0\0\0\0\2\10\7"), SPAN("0")); /* a word that we don't know */
    assert_int_equal(verdict, PROBE_SICK);
    for (char code[3] = "1"; code[0] <= '9'; code[0]++)
        assert_non_null(judge(BYTES("\0\0\0\0\2\10\1"), span_make(code, 1)));
}

static void unknown_fields_are_skipped(void **state)
{
    (void)state;
    /* A varint, 64 bits, bytes and 32 bits, then the field, twice: the last holds. */
    assert_null(judge(BYTES("\0\0\0\0\x1d\20\xff\xff\xff\1\21"
                            "12345678"
                            "\32\4"
                            "\10\2\10\2"
                            "\45"
                            "1234"
                            "\10\2\10\1"),
                      SPAN("0")));
}

static void whatever_is_cut_or_wrong_fails(void **state)
{
    (void)state;
    static const char good[] = "\0\0\0\0\x11\32\2ab\21"
                               "12345678"
                               "\20\1\10\1";
    struct span whole = BYTES(good);
    assert_null(judge(whole, SPAN("0")));
    for (size_t length = 0; length < whole.length; length++) {
        /* Of its own memory, so that a look beyond it is found; and once with a length that fits what is
         * left. */
        char *cut = malloc(length + 1);
        memcpy(cut, good, length);
        assert_non_null(judge(span_make(cut, length), SPAN("0")));
        if (length >= 5)
            cut[4] = (char)(length - 5);
        (void)judge(span_make(cut, length), SPAN("0"));
        free(cut);
    }
    assert_non_null(judge(BYTES("\0\0\0\0\2\10\1x"), SPAN("0")));
    assert_non_null(judge(BYTES("\1\0\0\0\2\10\1"), SPAN("0")));       /* compressed */
    assert_non_null(judge(BYTES("\0\0\0\0\4\10\1\13\14"), SPAN("0"))); /* a group */
    /* beyond the end */
    assert_non_null(judge(BYTES("\0\0\0\0\4\32\xff\10\1"), SPAN("0")));
    assert_non_null(judge(BYTES("\0\0\0\0\x0d\32\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\10\1"), SPAN("0")));
    assert_non_null(
        judge(BYTES("\0\0\0\0\x0e\10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\10\1"), SPAN("0")));
    assert_non_null(judge(whole, SPAN_NONE));
    assert_non_null(judge(whole, SPAN("")));
    assert_non_null(judge(whole, SPAN("0x")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_question_names_the_service),
        cmocka_unit_test(only_serving_is_well),
        cmocka_unit_test(unknown_fields_are_skipped),
        cmocka_unit_test(whatever_is_cut_or_wrong_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
