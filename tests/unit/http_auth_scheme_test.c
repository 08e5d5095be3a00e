/* Which challenges and credentials are a connection's. */
#include "base/arena.h"
#include "base/block.h"
#include "http/auth_scheme.h"
#include "http/head.h"
#include "unit.h"

static struct arena *arena;

static struct fields one(const char *name, const char *value)
{
    struct fields fields = {0};
    assert_true(fields_add(&fields, arena, SPAN("X"), SPAN("NTLM"), FIELD_OTHER));
    assert_true(fields_add(&fields, arena, span_of(name), span_of(value), field_id(span_of(name))));
    return fields;
}

static void challenges(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        enum auth_challenge found;
    } cases[] = {
        {"WWW-Authenticate", "NTLM", AUTH_CHALLENGE_BEGIN},
        {"www-authenticate", "negotiate", AUTH_CHALLENGE_BEGIN},
        {"WWW-Authenticate", "Nego2", AUTH_CHALLENGE_BEGIN},
        {"WWW-Authenticate", "Kerberos", AUTH_CHALLENGE_BEGIN},
        {"WWW-Authenticate", "Basic realm=\"a, b\", NTLM", AUTH_CHALLENGE_BEGIN},
        {"WWW-Authenticate", "Digest nonce=\"x\",Negotiate,Basic realm=a", AUTH_CHALLENGE_BEGIN},
        {"WWW-Authenticate", "NTLM TlRMTVNTUAAC", AUTH_CHALLENGE_GOES_ON},
        {"WWW-Authenticate", "Negotiate\toYG2", AUTH_CHALLENGE_GOES_ON},
        {"WWW-Authenticate", "Negotiate, NTLM TlRM", AUTH_CHALLENGE_GOES_ON},
        {"Proxy-Authenticate", "NTLM", AUTH_CHALLENGE_BEGIN},
        {"WWW-Authenticate", "Basic realm=\"NTLM\"", AUTH_CHALLENGE_NONE},
        {"WWW-Authenticate", "NTLMx", AUTH_CHALLENGE_NONE},
        {"WWW-Authenticate", "Bearer", AUTH_CHALLENGE_NONE},
        {"WWW-Authenticate", "", AUTH_CHALLENGE_NONE},
        {"Y-Authenticate", "NTLM", AUTH_CHALLENGE_NONE},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fields fields = one(cases[i].name, cases[i].value);
        if (auth_challenge_of(&fields) != cases[i].found)
            fail_msg("%s: %s", cases[i].name, cases[i].value);
    }
    /* in several lines the one that goes furthest counts */
    struct fields fields = one("WWW-Authenticate", "Negotiate oYG2");
    assert_true(fields_add(&fields, arena, SPAN("WWW-Authenticate"), SPAN("NTLM"), FIELD_OTHER));
    assert_int_equal(auth_challenge_of(&fields), AUTH_CHALLENGE_GOES_ON);
}

static void credentials(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool of_connection;
    } cases[] = {{"NTLM TlRM", true},   {"ntlm", true},      {"Negotiate YII", true}, {"nego2 x", true},
                 {"Basic NTLM", false}, {"NTLMv2 x", false}, {"Bearer x", false},     {"", false}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct head head = {.fields = one("Authorization", cases[i].value), .has_credentials = true};
        assert_int_equal(auth_is_of_connection(&head), cases[i].of_connection);
    }
}

static int begin(void **state)
{
    (void)state;
    arena = arena_new(1 << 20);
    return arena == NULL;
}

static int end(void **state)
{
    (void)state;
    arena_free(arena);
    assert_int_equal(block_pool_out(), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(challenges, begin, end),
        cmocka_unit_test_setup_teardown(credentials, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
