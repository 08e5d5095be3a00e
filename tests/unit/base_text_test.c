/* Text, numbers, JSON, errors and dates: what is printed, and that nothing runs over. */
#include "base/attributes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "unit.h"

static void test_text_never_runs_over(void **state)
{
    (void)state;
    for (size_t room = 1; room < 40; room++) {
        char memory[64];
        memset(memory, '#', sizeof memory);
        struct text text = text_over(memory, room);
        text_add(&text, SPAN("abc"));
        text_print(&text, "-%05d-", 42);
        text_number(&text, UINT64_MAX);
        text_char(&text, '.');
        const char whole[] = "abc-00042-18446744073709551615.";
        size_t expected = room - 1 < sizeof whole - 1 ? room - 1 : sizeof whole - 1;
        assert_int_equal(text.length, expected);
        assert_memory_equal(memory, whole, expected);
        assert_int_equal(memory[expected], '\0');
        assert_int_equal(memory[room], '#');
        assert_int_equal(text.cut, room < sizeof whole);
    }
}

static void test_text_grows(void **state)
{
    (void)state;
    struct text text = text_growing();
    for (unsigned i = 0; i < 1000; i++)
        text_print(&text, "%03u", i);
    text_print(&text, "%05000d", 1);
    assert_int_equal(text.length, 8000);
    assert_memory_equal(text.at + 2997, "999000", 6);
    assert_int_equal(text.at[7999], '1');
    assert_false(text.cut);
    text_free(&text);
}

static void test_text_escapes_client_data(void **state)
{
    (void)state;
    char memory[64];
    struct text text = text_over(memory, sizeof memory);
    text_escaped(&text, span_make("a\n\"\\\x1b[31m\x7f\xc3\xa9~", 13));
    assert_span(text_span(&text), "a\\x0a\\x22\\x5c\\x1b[31m\\x7f\\xc3\\xa9~");
    struct text brief = text_over(memory, 6);
    text_escaped(&brief, SPAN("abc\n"));
    assert_span(text_span(&brief), "abc"); /* not half an escape */
    assert_true(brief.cut);
}

static void test_text_to_number(void **state)
{
    (void)state;
    static const struct {
        const char *digits;
        uint64_t most;
        bool good;
        uint64_t value;
    } rows[] = {
        {"0", UINT64_MAX, true, 0},
        {"0042", 42, true, 42},
        {"43", 42, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"99999999999999999999999", UINT64_MAX, false, 0},
        {"9", 5, false, 0},
        {"", 5, false, 0},
        {"+1", 5, false, 0},
        {"-1", 5, false, 0},
        {" 1", 5, false, 0},
        {"1a", 5, false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t value = 0;
        assert_int_equal(text_to_number(span_of(rows[i].digits), rows[i].most, &value), rows[i].good);
        assert_int_equal(value, rows[i].value);
    }
}

static void test_text_distance(void **state)
{
    (void)state;
    assert_int_equal(text_distance(SPAN("health"), SPAN("health"), 3), 0);
    assert_int_equal(text_distance(SPAN("helth"), SPAN("health"), 3), 1);
    assert_int_equal(text_distance(SPAN("haelth"), SPAN("health"), 3), 1);
    assert_int_equal(text_distance(SPAN("kitten"), SPAN("sitting"), 3), 3);
    assert_int_equal(text_distance(SPAN("kitten"), SPAN("sitting"), 2), 3);
    assert_int_equal(text_distance(SPAN(""), SPAN("abc"), 5), 3);
    assert_int_equal(text_distance(SPAN("pool"), SPAN("listeners"), 2), 3);
}

static void test_json_keeps_commas_and_nesting(void **state)
{
    (void)state;
    struct text text = text_growing();
    struct json json;
    json_begin(&json, &text);
    json_object(&json);
    json_key(&json, "a");
    json_array(&json);
    json_number(&json, INT64_MIN);
    json_decimal(&json, 0.25);
    json_decimal(&json, 3);
    json_decimal(&json, -0.0000001);
    json_bool(&json, true);
    json_null(&json);
    json_object(&json);
    json_end_object(&json);
    for (int i = 1; i < 3; i++) {
        json_array(&json);
        json_number(&json, i);
        json_end_array(&json);
    }
    json_end_array(&json);
    json_key(&json, "b");
    json_string(&json, SPAN("x"));
    json_end_object(&json);
    assert_span(text_span(&text),
                "{\"a\":[-9223372036854775808,0.25,3,-0,true,null,{},[1],[2]],\"b\":\"x\"}");
    text_free(&text);
}

static void test_json_strings_are_always_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *json;
    } rows[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"q\"b\\", "\"q\\\"b\\\\\""},
        {"\n\t\x01\x7f", "\"\\n\\t\\u0001\\u007f\""},
        {"\xc2\x9b\xc2\xa0", "\"\\u009b\xc2\xa0\""}, /* a control of terminals, and a blank that is none */
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"a\xff"
         "b",
         "\"a\\ufffdb\""},
        {"\xc3", "\"\\ufffd\""},
        {"\xc0\xaf", "\"\\ufffd\\ufffd\""},            /* overlong */
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""}, /* surrogate */
        {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        {"\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\""},
        {"x\xe2\x82", "\"x\\ufffd\\ufffd\""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct text text = text_growing();
        json_text_string(&text, span_of(rows[i].bytes));
        assert_span(text_span(&text), rows[i].json);
        text_free(&text);
    }
}

static void test_error_texts(void **state)
{
    (void)state;
    struct error error;
    assert_false(error_set(&error, "no %s", "luck"));
    assert_string_equal(error.text, "no luck");
    assert_false(error_wrap(&error, "file %d", 3));
    assert_string_equal(error.text, "file 3: no luck");
    assert_false(error_set_errno(&error, 2, "cannot open %s", "x"));
    assert_string_equal(error.text, "cannot open x: No such file or directory");
    assert_false(error_set(&error, "%0600d", 7));
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    assert_string_equal(error.text + sizeof error.text - 4, "...");
    assert_false(error_wrap(&error, "again"));
    assert_int_equal(strncmp(error.text, "again: 000", 10), 0);
    assert_string_equal(error.text + sizeof error.text - 4, "...");
    assert_false(error_set(NULL, "unheard"));
}

static void test_clock_dates(void **state)
{
    (void)state;
    static const struct {
        uint64_t seconds;
        const char *iso, *http;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777, "1994-11-06T08:49:37.000Z", "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782400, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 GMT"},
        {951868800, "2000-03-01T00:00:00.000Z", "Wed, 01 Mar 2000 00:00:00 GMT"},
        {1735689599, "2024-12-31T23:59:59.000Z", "Tue, 31 Dec 2024 23:59:59 GMT"},
        {4107542400, "2100-03-01T00:00:00.000Z", "Mon, 01 Mar 2100 00:00:00 GMT"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char iso[25], http[30];
        clock_print(iso, rows[i].seconds * 1000000);
        clock_print_http(http, rows[i].seconds * 1000000);
        assert_string_equal(iso, rows[i].iso);
        assert_string_equal(http, rows[i].http);
    }
    char iso[25];
    clock_print(iso, 1999999);
    assert_string_equal(iso, "1970-01-01T00:00:01.999Z");
    uint64_t before = clock_monotonic_us();
    assert_true(clock_monotonic_us() >= before);
    assert_true(clock_wall_us() > 1600000000ULL * 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_never_runs_over),
        cmocka_unit_test(test_text_grows),
        cmocka_unit_test(test_text_escapes_client_data),
        cmocka_unit_test(test_text_to_number),
        cmocka_unit_test(test_text_distance),
        cmocka_unit_test(test_json_keeps_commas_and_nesting),
        cmocka_unit_test(test_json_strings_are_always_utf8),
        cmocka_unit_test(test_error_texts),
        cmocka_unit_test(test_clock_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
