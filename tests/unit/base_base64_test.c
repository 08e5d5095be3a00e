#include "unit.h"

#include <string.h>

#include "base/base64.h"

/* RFC 4648 10, and bytes with the top bits set. */
static const struct {
    const char *bytes;
    size_t length;
    const char *text;
} vectors[] = {
    {"", 0, ""},
    {"f", 1, "Zg=="},
    {"fo", 2, "Zm8="},
    {"foo", 3, "Zm9v"},
    {"foob", 4, "Zm9vYg=="},
    {"fooba", 5, "Zm9vYmE="},
    {"foobar", 6, "Zm9vYmFy"},
    {"\xff\xfe\xfb\xef\xbf\x00", 6, "//77778A"},
};

static void test_known_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        char text[16];
        assert_int_equal(base64_encode(vectors[i].bytes, vectors[i].length, text), strlen(vectors[i].text));
        assert_int_equal(BASE64_LENGTH(vectors[i].length), strlen(vectors[i].text));
        assert_memory_equal(text, vectors[i].text, strlen(vectors[i].text));
    }
}

static void test_reading_at_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        size_t length = strlen(vectors[i].text);
        for (size_t split = 0; split <= length; split++) {
            struct base64_reader reader = {0};
            char bytes[16];
            size_t first, second;
            assert_true(base64_read(&reader, vectors[i].text, split, bytes, &first));
            assert_true(first <= split * 3 / 4 + 1);
            assert_int_equal(base64_is_whole(&reader), split % 4 == 0);
            assert_true(
                base64_read(&reader, vectors[i].text + split, length - split, bytes + first, &second));
            assert_true(base64_is_whole(&reader));
            assert_int_equal(first + second, vectors[i].length);
            assert_memory_equal(bytes, vectors[i].bytes, vectors[i].length);
        }
    }
}

static void test_texts_one_behind_another(void **state)
{
    (void)state;
    struct base64_reader reader = {0};
    char bytes[16];
    size_t got;
    assert_true(base64_read(&reader, "Zg==Zm8=Zm9v", 12, bytes, &got));
    assert_int_equal(got, 6);
    assert_memory_equal(bytes, "ffofoo", 6);
}

static void test_what_is_not_base64(void **state)
{
    (void)state;
    static const char *const wrong[] = {"Zm9 ", "Zm9\n", "Zm-v", "Zm_v", "=m9v",
                                        "Z===", "Zg=v",  "Zh==", "Zm9=", "Zg=\xff"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct base64_reader reader = {0};
        char bytes[16];
        size_t got;
        assert_false(base64_read(&reader, wrong[i], strlen(wrong[i]), bytes, &got));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_texts),
        cmocka_unit_test(test_reading_at_every_split),
        cmocka_unit_test(test_texts_one_behind_another),
        cmocka_unit_test(test_what_is_not_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
