/* What a client's first bytes say of its version, as each more of them is there. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "proxy/client_version.h"
#include "unit/unit.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* After how many bytes it is known what they are; before that, MORE. */
static void told_at(const char *bytes, bool http_1_is_spoken, size_t known, enum client_version expected)
{
    for (size_t length = 0; length <= strlen(bytes); length++) {
        struct buf buf = {0};
        assert_true(buf_add(&buf, bytes, length));
        enum client_version version = client_version_of(&buf, http_1_is_spoken);
        if (version != (length < known ? CLIENT_VERSION_MORE : expected))
            fail_msg("%zu bytes of \"%s\": %d", length, bytes, (int)version);
        buf_clear(&buf);
    }
}

static void where_both_are_spoken_the_preface_tells(void **state)
{
    (void)state;
    told_at(PREFACE "more", true, strlen(PREFACE), CLIENT_VERSION_2);
    told_at("GET / HTTP/1.1\r\n\r\n", true, 1, CLIENT_VERSION_1);
    told_at("PRI /x HTTP/1.1\r\n\r\n", true, 5, CLIENT_VERSION_1);
    told_at("\x16\x03\x01", true, 1, CLIENT_VERSION_1);
}

static void where_only_one_is_spoken_requests_are_known(void **state)
{
    (void)state;
    told_at(PREFACE "more", false, strlen(PREFACE), CLIENT_VERSION_2);
    told_at("GET / HTTP/1.1\r\n\r\n", false, 5, CLIENT_VERSION_1);
    told_at("OPTIONS * HTTP/1.1\r\n\r\n", false, 9, CLIENT_VERSION_1);
    told_at("GET http://a/ HTTP/1.1\r\n\r\n", false, 5, CLIENT_VERSION_1);
    told_at("PRI /x HTTP/1.1\r\n\r\n", false, 5, CLIENT_VERSION_1);
    /* Broken prefaces, and what is of neither: the codec ends them. */
    told_at("INVALID CONNECTION PREFACE\r\n\r\n", false, 9, CLIENT_VERSION_2);
    told_at("\x16\x03\x01", false, 1, CLIENT_VERSION_2);
    told_at("SSH-2.0", false, 4, CLIENT_VERSION_2);
    told_at("ABCDEFGHIJKLMNOPQRSTUVWXYZ /", false, 24, CLIENT_VERSION_2);
    told_at(" GET /", false, 1, CLIENT_VERSION_2);
}

static void the_refusal_has_the_length_that_it_says(void **state)
{
    (void)state;
    struct span text = client_version_refusal;
    const char *body = strstr(text.at, "\r\n\r\n") + 4, *length = strstr(text.at, "Content-Length: ") + 16;
    assert_int_equal(text.length, strlen(text.at));
    assert_int_equal(strlen(body), strtoul(length, NULL, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_both_are_spoken_the_preface_tells),
        cmocka_unit_test(where_only_one_is_spoken_requests_are_known),
        cmocka_unit_test(the_refusal_has_the_length_that_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
