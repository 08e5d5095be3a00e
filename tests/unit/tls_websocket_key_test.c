/* The accept key of a WebSocket handshake, and what is no key (RFC 6455 4.1, 4.2.2). */
#include "tls/websocket_key.h"

#include <string.h>

#include "base/attributes.h"
#include "unit.h"

static void expect_accept(const char *key, const char *expected)
{
    char accept[WEBSOCKET_ACCEPT_LENGTH];
    if (!websocket_accept(span_of(key), accept))
        fail_msg("\"%s\" is taken for no key", key);
    if (memcmp(accept, expected, sizeof accept) != 0)
        fail_msg("\"%s\" is answered %.*s instead of %s", key, (int)sizeof accept, accept, expected);
}

static void expect_no_key(struct span key)
{
    char accept[WEBSOCKET_ACCEPT_LENGTH];
    if (websocket_accept(key, accept))
        fail_msg("\"%.*s\" is taken for a key", (int)key.length, key.at);
}

static void the_example_of_the_rfc_is_answered_as_there(void **state)
{
    (void)state;
    expect_accept("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/* Expected: `openssl dgst -sha1 -binary | base64` of the key and the GUID. */
static void every_character_of_base64_may_be_in_a_key(void **state)
{
    (void)state;
    expect_accept("ABCDEFGHIJKLMNOPQRSTUA==", "ZYC31uPJmGv4wHRdD+Ynp8or/yQ=");
    expect_accept("VWXYZabcdefghijklmnopg==", "QsJ2XBiLdGo3YQBAX22zJ2uzcLQ=");
    expect_accept("qrstuvwxyz0123456789+w==", "YHPa37f5lTuusZ7x7OGIOCxE4Bg=");
    expect_accept("/+/+/+/+/+/+/+/+/+/+/A==", "jab+uuaSDni184nZPWXvdEB8E9s=");
}

static void a_key_is_of_sixteen_bytes(void **state)
{
    (void)state;
    expect_no_key(SPAN(""));
    expect_no_key(SPAN("dGhlIHNhbXBsZSBub25j"));         /* 15 */
    expect_no_key(SPAN("dGhlIHNhbXBsZSBub25jZWU="));     /* 17 */
    expect_no_key(SPAN("dGhlIHNhbXBsZSBub25jZWVl"));     /* 18 */
    expect_no_key(SPAN("dGhlIHNhbXBsZSBub25jZWVlZQ==")); /* 19 */
    expect_no_key(SPAN("dGhlIHNhbXBsZSBub25jZQ==dGhl")); /* a key and more */
    expect_no_key(span_make("dGhlIHNhbXBsZSBub25jZQ==", 23));
}

static void a_key_has_its_padding(void **state)
{
    (void)state;
    expect_no_key(SPAN("dGhlIHNhbXBsZSBub25jZQ"));
    expect_no_key(SPAN("dGhlIHNhbXBsZSBub25jZQ="));
    expect_no_key(SPAN("dGhlIHNhbXBsZSBub25jZQ=A"));
    expect_no_key(SPAN("dGhlIHNhbXBsZSBub25jZQA="));
    expect_no_key(SPAN("dGhlIHNhbXBsZSBub25jZ==="));
}

static void other_characters_are_in_no_key(void **state)
{
    static const char others[] = {'-', '_', '.', '=', ' ', '\t', ',',    ';',   '@',
                                  '[', '`', '{', ':', '*', '\0', '\x80', '\xff'};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        for (size_t at = 0; at < 22; at++) {
            char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
            key[at] = others[i];
            expect_no_key(span_make(key, sizeof key - 1));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_rfc_is_answered_as_there),
        cmocka_unit_test(every_character_of_base64_may_be_in_a_key),
        cmocka_unit_test(a_key_is_of_sixteen_bytes),
        cmocka_unit_test(a_key_has_its_padding),
        cmocka_unit_test(other_characters_are_in_no_key),
    };
    return cmocka_run_group_tests_name("websocket key", tests, NULL, NULL);
}
