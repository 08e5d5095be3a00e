/* Values as text: units, ranges and words, and that what is printed is read back. */
#include "base/text.h"
#include "schema/schema_value.h"
#include "unit/unit.h"

static const char *const colours[] = {"red", "green_blue", "yellow", NULL};
static const struct schema_key size_key = {
    .name = "size", .type = SCHEMA_SIZE, .least = 0, .most = INT64_MAX};
static const struct schema_key duration_key = {
    .name = "wait", .type = SCHEMA_DURATION, .least = 0, .most = 3600000};
static const struct schema_key some_key = {
    .name = "some", .type = SCHEMA_DURATION, .fallback = "1s", .least = 10, .most = 3600000};
static const char *const words[] = {"auto", "off", NULL};
static const struct schema_key words_key = {
    .name = "count", .type = SCHEMA_INT, .least = 1, .most = 256, .word = "none", .words = words};
static const struct schema_key int_key = {
    .name = "count", .type = SCHEMA_INT, .fallback = "auto", .least = 1, .most = 256, .word = "auto"};
static const struct schema_key percent_key = {
    .name = "share", .type = SCHEMA_PERCENT, .least = 0, .most = 100};
static const char *const nones[] = {"none", NULL};
static const struct schema_key none_key = {.name = "patience",
                                           .type = SCHEMA_DURATION,
                                           .fallback = "none",
                                           .least = 1,
                                           .most = 3600000,
                                           .word = "none"};
static const struct schema_key own_key = {
    .name = "own", .type = SCHEMA_DURATION, .least = 1, .most = 3600000, .words = nones};
static const struct schema_key rate_key = {.name = "rate", .type = SCHEMA_RATE};
static const struct schema_key bool_key = {.name = "flag", .type = SCHEMA_BOOL};
static const struct schema_key choice_key = {.name = "colour", .type = SCHEMA_CHOICE, .choices = colours};

static void numbers_are_read_with_their_units_and_printed_the_same(void **state)
{
    static const struct {
        const struct schema_key *key;
        const char *text;
        uint64_t number;
        const char *printed;
    } rows[] = {
        {&size_key, "0", 0, "0B"},
        {&size_key, "0B", 0, "0B"},
        {&size_key, "1023B", 1023, "1023B"},
        {&size_key, "64KiB", 65536, "64KiB"},
        {&size_key, "1024KiB", 1 << 20, "1MiB"},
        {&size_key, "10MB", 10000000, "10MB"},
        {&size_key, "3GiB", 3221225472, "3GiB"},
        {&size_key, "2GB", 2000000000, "2GB"},
        {&duration_key, "0", 0, "0s"},
        {&duration_key, "250ms", 250, "250ms"},
        {&duration_key, "1000ms", 1000, "1s"},
        {&duration_key, "90s", 90000, "90s"},
        {&duration_key, "60m", 3600000, "1h"},
        {&int_key, "auto", 0, "auto"},
        {&int_key, "256", 256, "256"},
        {&words_key, "auto", SCHEMA_WORD(0), "auto"},
        {&words_key, "off", SCHEMA_WORD(1), "off"},
        {&words_key, "none", 0, "none"},
        {&none_key, "none", 0, "none"},
        {&none_key, "1ms", 1, "1ms"},
        {&own_key, "none", SCHEMA_WORD(0), "none"},
        {&percent_key, "20%", 20, "20%"},
        {&percent_key, "0", 0, "0%"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t number = 77;
        struct error error;
        struct text printed = text_growing();
        assert_true(value_read(rows[i].key, span_of(rows[i].text), NULL, &number, &error));
        assert_int_equal(number, rows[i].number);
        value_print(rows[i].key, &number, &printed);
        assert_string_equal(printed.at, rows[i].printed);
        text_free(&printed);
    }
}

static void what_is_no_value_is_refused_and_nothing_is_stored(void **state)
{
    static const struct {
        const struct schema_key *key;
        const char *text, *sentence;
    } rows[] = {
        {&duration_key, "5", "\"5\" has no unit; write ms, s, m or h, such as 2s"},
        {&duration_key, "2 sec", "\"2 sec\" is not a duration; write a number and ms, s, m or h, such as 2s"},
        {&duration_key, "-1s", "\"-1s\" is not a duration; write a number and ms, s, m or h, such as 2s"},
        {&duration_key, "", "\"\" is not a duration; write a number and ms, s, m or h, such as 2s"},
        {&duration_key, "s", "\"s\" is not a duration; write a number and ms, s, m or h, such as 2s"},
        {&duration_key, "3601s", "\"3601s\" is out of range; wait takes 0s to 1h"},
        {&duration_key, "99999999999999999h", "\"99999999999999999h\" is out of range; wait takes 0s to 1h"},
        {&duration_key, "99999999999999999999h",
         "\"99999999999999999999h\" is out of range; wait takes 0s to 1h"},
        {&some_key, "0", "\"0\" is out of range; some takes 10ms to 1h"},
        {&none_key, "0", "\"0\" could mean several things; patience takes none or 1ms to 1h"},
        {&none_key, "0s", "\"0s\" could mean several things; patience takes none or 1ms to 1h"},
        {&none_key, "off", "\"off\" is not known; did you mean \"none\"? patience takes none or 1ms to 1h"},
        {&none_key, "unlimited",
         "\"unlimited\" is not known; did you mean \"none\"? patience takes none or 1ms to 1h"},
        {&own_key, "0s",
         "\"0s\" could mean several things; own takes none or 1ms to 1h; without the key its default holds"},
        {&some_key, "9ms", "\"9ms\" is out of range; some takes 10ms to 1h"},
        {&size_key, "10mb",
         "\"10mb\" is not a size; write a number and B, KiB, MiB, GiB, KB, MB or GB, such as 64KiB"},
        {&int_key, "0", "\"0\" could mean several things; count takes auto or 1 to 256"},
        {&words_key, "on", "\"on\" is not a whole number; count takes none or auto or off or 1 to 256"},
        {&words_key, "300", "\"300\" is out of range; count takes none or auto or off or 1 to 256"},
        {&int_key, "1.0", "\"1.0\" is not a whole number; count takes auto or 1 to 256"},
        {&int_key, "0x1", "\"0x1\" is not a whole number; count takes auto or 1 to 256"},
        {&percent_key, "101%", "\"101%\" is out of range; share takes 0% to 100%"},
        {&bool_key, "on", "\"on\" is not a boolean; flag takes true or false"},
        {&bool_key, "True", "\"True\" is not a boolean; flag takes true or false"},
        {&choice_key, "greenblue",
         "\"greenblue\" is not known; did you mean \"green_blue\"? colour takes red, green_blue or yellow"},
        {&choice_key, "x", "\"x\" is not known; colour takes red, green_blue or yellow"},
        {&choice_key, "blau",
         "\"blau\" is not known; did you mean \"green_blue\"? colour takes red, green_blue or yellow"},
    };
    static const struct schema_alias aliases[] = {
        {.section = "colour:", .whose = "others", .theirs = "blau", .ours = "green_blue"}, {.theirs = NULL}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t number = 77;
        struct error error = {""};
        assert_false(value_read(rows[i].key, span_of(rows[i].text), aliases, &number, &error));
        assert_string_equal(error.text, rows[i].sentence);
        assert_int_equal(number, 77);
    }
}

static void rates_hold_from_one_an_hour_to_a_million_a_second(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t count, period;
    } rows[] = {{"1/h", true, 1, 3600000},
                {"6000/m", true, 6000, 60000},
                {"1000000/s", true, 1000000, 1000},
                {"1000001/s", false, 0, 0},
                {"60000000/m", true, 60000000, 60000},
                {"60000001/m", false, 0, 0},
                {"0/s", false, 0, 0},
                {"1/d", false, 0, 0},
                {"1", false, 0, 0},
                {"/s", false, 0, 0}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rate rate = {0, 0};
        struct error error;
        struct text printed = text_growing();
        assert_int_equal(value_read(&rate_key, span_of(rows[i].text), NULL, &rate, &error), rows[i].good);
        assert_int_equal(rate.count, rows[i].count);
        assert_int_equal(rate.period, rows[i].period);
        if (rows[i].good)
            value_print(&rate_key, &rate, &printed);
        assert_string_equal(printed.at, rows[i].good ? rows[i].text : "");
        text_free(&printed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_with_their_units_and_printed_the_same),
        cmocka_unit_test(what_is_no_value_is_refused_and_nothing_is_stored),
        cmocka_unit_test(rates_hold_from_one_an_hour_to_a_million_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
