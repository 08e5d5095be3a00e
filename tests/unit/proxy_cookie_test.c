/*
 * Cookies that weir gives to clients, at an exchange (weir.yaml(5), pools.NAME.sticky, routes[].split): which
 * server or pool one leads to, when one is given, and how it is written. The words of sticky sessions
 * themselves are upstream_sticky_test.c's.
 */
#include "proxy/cookie.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "proxy/exchange_state.h"
#include "proxy/worker.h"
#include "proxy_fixture.h"
#include "upstream/pool.h"
#include "upstream/sticky.h"

#define SECRET "sixteen bytes or more of secret"
#define OLDER "what was used before this one"
#define SERVERS "servers: [127.0.0.1:8001, 127.0.0.1:8002, 127.0.0.1:8003]"
#define MINUTE_US UINT64_C(60000000)

/* A request to the first pool of a file's first route. */
struct visit {
    struct shared_state *shared;
    struct snapshot *snapshot;
    struct worker worker;
    struct attempt attempt;
    struct exchange_run run;
    char given[4096]; /* Set-Cookie, as it was seen last */
};

static void visit_open(struct visit *visit, const char *file)
{
    memset(visit, 0, sizeof *visit);
    visit->shared = shared_state_new();
    visit->snapshot = fixture_snapshot(file, visit->shared);
    rng_seed_with(&visit->worker.rng, 1);
}

static void visit_open_pool(struct visit *visit, const char *pool)
{
    char file[4096];
    snprintf(file, sizeof file,
             "listeners: [ \"127.0.0.1:21190\" ]\nroutes: [ { pool: app } ]\npools: { app: { " SERVERS
             ", %s } }\n",
             pool);
    visit_open(visit, file);
}

static void visit_close(struct visit *visit)
{
    arena_free(visit->run.exchange.arena);
    snapshot_release(visit->snapshot);
    shared_state_free(visit->shared);
}

/* A new request; cookie: the value of its Cookie field, or NULL. */
static struct exchange *visit_begin(struct visit *visit, const char *cookie)
{
    struct exchange *x = &visit->run.exchange;
    arena_free(x->arena);
    memset(&visit->run, 0, sizeof visit->run);
    memset(&visit->attempt, 0, sizeof visit->attempt);
    visit->run.worker = &visit->worker;
    visit->run.plan = &visit->snapshot->plans[0];
    visit->run.pool = visit->snapshot->pools[0];
    visit->run.attempt = &visit->attempt;
    x->arena = arena_new_malloc();
    if (cookie != NULL)
        assert_true(fields_add(&x->request.fields, x->arena, SPAN("Cookie"),
                               arena_copy(x->arena, span_of(cookie)), FIELD_COOKIE));
    if (visit->run.pool->sticky != NULL)
        sticky_begin(&visit->run);
    return x;
}

static struct server *server_at(const struct visit *visit, size_t number)
{
    return visit->snapshot->pools[0]->servers[number].server;
}

/* A cookie that was given so long ago, as a client sends it back. */
static const char *cookie_of(const struct visit *visit, size_t server, uint64_t ago_us)
{
    static char cookie[512];
    char word[STICKY_LENGTH];
    const struct sticky *sticky = visit->snapshot->pools[0]->sticky;
    assert_true(sticky_write(sticky, server_at(visit, server), clock_wall_us() - ago_us, word));
    snprintf(cookie, sizeof cookie, "%s=%.*s", sticky_cookie(sticky).at, STICKY_LENGTH, word);
    return cookie;
}

static const char *set_cookie(struct visit *visit, const struct fields *fields)
{
    const struct field *field = fields_find(fields, FIELD_SET_COOKIE);
    if (field == NULL)
        return "(none)";
    assert_null(fields_next(fields, field));
    assert_true(field->value.length < sizeof visit->given);
    memcpy(visit->given, field->value.at, field->value.length);
    visit->given[field->value.length] = '\0';
    return visit->given;
}

/* The answer comes from this server; the cookie that goes with it. */
static const char *answered_by(struct visit *visit, size_t server)
{
    visit->run.exchange.server = server_at(visit, server);
    assert_true(sticky_end(&visit->run));
    return set_cookie(visit, &visit->run.exchange.response.fields);
}

static void expect_server(const struct visit *visit, const struct server *expected)
{
    const struct server *seen = visit->run.sticky_server;
    assert_string_equal(seen != NULL ? seen->name : "nobody", expected != NULL ? expected->name : "nobody");
}

#define STICKY "sticky: { secrets: \"" SECRET "\", cookie: { name: at } }"

static int open_sticky(void **state)
{
    static struct visit visit;
    visit_open_pool(&visit, STICKY);
    *state = &visit;
    return 0;
}

static int close_visit(void **state)
{
    visit_close(*state);
    return 0;
}

/* ---- sticky sessions ---- */

static void a_first_answer_names_its_server(void **state)
{
    struct visit *visit = *state;
    for (size_t server = 0; server < 3; server++) {
        (void)visit_begin(visit, NULL);
        expect_server(visit, NULL);
        char cookie[512];
        snprintf(cookie, sizeof cookie, "%s", answered_by(visit, server));
        *strchr(cookie, ';') = '\0';
        (void)visit_begin(visit, cookie);
        expect_server(visit, server_at(visit, server));
    }
}

static void a_cookie_is_found_among_others(void **state)
{
    struct visit *visit = *state;
    static const char *const forms[] = {"%s", "a=1; %s", "%s; at2=b", "a=\"x\";%s;b=2", "cat=1; %s"};
    char cookies[1024];
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        char *percent = strstr(forms[i], "%s");
        snprintf(cookies, sizeof cookies, "%.*s%s%s", (int)(percent - forms[i]), forms[i],
                 cookie_of(visit, 1, 0), percent + 2);
        (void)visit_begin(visit, cookies);
        expect_server(visit, server_at(visit, 1));
    }
}

static void who_stays_is_given_no_other_cookie(void **state)
{
    struct visit *visit = *state;
    int64_t kept = counter_sum(COUNTER_sticky_kept);
    (void)visit_begin(visit, cookie_of(visit, 1, 0));
    assert_string_equal(answered_by(visit, 1), "(none)");
    assert_int_equal(counter_sum(COUNTER_sticky_kept) - kept, 1);
}

static void who_moves_is_told_where(void **state)
{
    struct visit *visit = *state;
    int64_t moved = counter_sum(COUNTER_sticky_moved);
    (void)visit_begin(visit, cookie_of(visit, 1, 0));
    char cookie[512];
    snprintf(cookie, sizeof cookie, "%s", answered_by(visit, 2));
    assert_int_equal(counter_sum(COUNTER_sticky_moved) - moved, 1);
    *strchr(cookie, ';') = '\0';
    (void)visit_begin(visit, cookie);
    expect_server(visit, server_at(visit, 2));
}

/* weir.yaml(5): while it only is at its max_connections, requests go elsewhere and the cookie stays. */
static void who_finds_no_free_place_keeps_the_cookie(void **state)
{
    struct visit *visit = *state;
    (void)visit_begin(visit, cookie_of(visit, 1, 0));
    visit->attempt.waiter.preferred_full = true;
    assert_string_equal(answered_by(visit, 2), "(none)");
}

static void a_cookie_that_is_not_ours_counts_as_none_and_is_counted(void **state)
{
    struct visit *visit = *state;
    static const char *const forged[] = {"at=", "at=me", "at=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < COUNT_OF(forged); i++) {
        int64_t refused = counter_sum(COUNTER_sticky_refused);
        (void)visit_begin(visit, forged[i]);
        expect_server(visit, NULL);
        assert_int_equal(counter_sum(COUNTER_sticky_refused) - refused, 1);
        assert_memory_equal(answered_by(visit, 0), "at=", 3);
    }
}

static void a_request_without_the_cookie_is_not_counted_as_refused(void **state)
{
    struct visit *visit = *state;
    int64_t refused = counter_sum(COUNTER_sticky_refused);
    (void)visit_begin(visit, "a=1");
    assert_int_equal(counter_sum(COUNTER_sticky_refused) - refused, 0);
}

static void a_cookie_that_has_half_its_time_is_given_anew(void **state)
{
    (void)state;
    struct visit visit;
    visit_open_pool(&visit, "sticky: { secrets: \"" SECRET "\", cookie: { name: at, max_age: 60m } }");
    (void)visit_begin(&visit, cookie_of(&visit, 1, 29 * MINUTE_US));
    assert_string_equal(answered_by(&visit, 1), "(none)");
    (void)visit_begin(&visit, cookie_of(&visit, 1, 32 * MINUTE_US));
    assert_string_not_equal(answered_by(&visit, 1), "(none)");
    (void)visit_begin(&visit, cookie_of(&visit, 1, 62 * MINUTE_US));
    expect_server(&visit, NULL);
    visit_close(&visit);
}

/* weir.yaml(5): to change secrets, put the new one first; those that come back are given a new cookie. */
static void a_cookie_of_an_older_secret_is_given_anew(void **state)
{
    (void)state;
    struct visit before, after;
    visit_open_pool(&before, "sticky: { secrets: \"" OLDER "\", cookie: { name: at } }");
    visit_open_pool(&after, "sticky: { secrets: [\"" SECRET "\", \"" OLDER "\"], cookie: { name: at } }");
    (void)visit_begin(&after, cookie_of(&before, 1, 0));
    expect_server(&after, server_at(&after, 1));
    char cookie[512];
    snprintf(cookie, sizeof cookie, "%s", answered_by(&after, 1));
    *strchr(cookie, ';') = '\0';
    (void)visit_begin(&after, cookie);
    assert_string_equal(answered_by(&after, 1), "(none)");
    visit_close(&before);
    visit_close(&after);
}

/* ---- how it is written ---- */

/* Behind the name and the word of a pool's cookie with such keys. */
static void expect_attributes(const char *cookie_keys, bool https, const char *expected)
{
    struct visit visit;
    char pool[2048];
    snprintf(pool, sizeof pool, "sticky: { secrets: \"" SECRET "\", cookie: { %s } }", cookie_keys);
    visit_open_pool(&visit, pool);
    visit_begin(&visit, NULL)->https = https;
    const char *attributes = strchr(answered_by(&visit, 0), ';');
    assert_non_null(attributes);
    assert_string_equal(attributes, expected);
    visit_close(&visit);
}

static void a_cookie_is_written_by_its_keys(void **state)
{
    (void)state;
    expect_attributes("name: a", false, "; Path=/; HttpOnly; SameSite=Lax");
    expect_attributes("path: /app", false, "; Path=/app; HttpOnly; SameSite=Lax");
    expect_attributes("domain: a.test", false, "; Path=/; Domain=a.test; HttpOnly; SameSite=Lax");
    expect_attributes("http_only: false", false, "; Path=/; SameSite=Lax");
    expect_attributes("same_site: strict", false, "; Path=/; HttpOnly; SameSite=Strict");
}

/* In whole seconds; less than one is not none, which would end the cookie at once. */
static void max_age_is_rounded_up(void **state)
{
    (void)state;
    expect_attributes("max_age: 2h", false, "; Path=/; Max-Age=7200; HttpOnly; SameSite=Lax");
    expect_attributes("max_age: 1500ms", false, "; Path=/; Max-Age=2; HttpOnly; SameSite=Lax");
    expect_attributes("max_age: 1ms", false, "; Path=/; Max-Age=1; HttpOnly; SameSite=Lax");
}

static void secure_goes_by_how_the_client_came(void **state)
{
    (void)state;
    expect_attributes("secure: auto", true, "; Path=/; Secure; HttpOnly; SameSite=Lax");
    expect_attributes("secure: auto", false, "; Path=/; HttpOnly; SameSite=Lax");
    expect_attributes("secure: always", false, "; Path=/; Secure; HttpOnly; SameSite=Lax");
    expect_attributes("secure: never", true, "; Path=/; HttpOnly; SameSite=Lax");
}

/* Clients drop it otherwise. */
static void a_cookie_for_other_sites_is_secure(void **state)
{
    (void)state;
    expect_attributes("same_site: none", false, "; Path=/; Secure; HttpOnly; SameSite=None");
}

/* All that the file may say fits: else no answer of the pool could go out. */
static void the_longest_cookie_is_written_whole(void **state)
{
    (void)state;
    char name[257], path[1025], domain[254], keys[1700], expected[1500];
    memset(name, 'n', sizeof name - 1);
    memset(path, 'p', sizeof path - 1);
    memset(domain, 'd', sizeof domain - 1);
    path[0] = '/';
    name[sizeof name - 1] = path[sizeof path - 1] = domain[sizeof domain - 1] = '\0';
    snprintf(keys, sizeof keys, "name: %s, path: %s, domain: %s, max_age: 9600h, same_site: none", name, path,
             domain);
    snprintf(expected, sizeof expected,
             "; Path=%s; Domain=%s; Max-Age=34560000; Secure; HttpOnly; SameSite=None", path, domain);
    expect_attributes(keys, false, expected);
}

/* They leave the attribute out, and send the cookie for other paths than the file says. */
static void a_path_that_clients_do_not_take_is_refused(void **state)
{
    (void)state;
    char path[1026], file[2048];
    memset(path, 'p', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    snprintf(file, sizeof file,
             "listeners: [ \"127.0.0.1:21190\" ]\nroutes: [ { pool: app } ]\n"
             "pools: { app: { " SERVERS ", sticky: { secrets: \"" SECRET "\", cookie: { path: %s } } } }\n",
             path);
    struct schema_report *report = schema_report_new();
    assert_null(config_load_text("test.yaml", file, strlen(file), report));
    struct text text = text_growing();
    schema_report_print(report, &text, false);
    assert_non_null(strstr(text.at, "clients take no path of a cookie over 1024 bytes; this one has 1025"));
    text_free(&text);
    schema_report_free(report);
}

static void a_long_name_is_the_one_of_the_file(void **state)
{
    (void)state;
    struct visit visit;
    char name[257], pool[512];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(pool, sizeof pool, "sticky: { secrets: \"" SECRET "\", cookie: %s }", name);
    visit_open_pool(&visit, pool);
    (void)visit_begin(&visit, NULL);
    const char *cookie = answered_by(&visit, 0);
    assert_int_equal(strcspn(cookie, "="), strlen(name));
    visit_close(&visit);
}

static void without_a_name_it_stands_for_the_pool(void **state)
{
    (void)state;
    struct visit visit;
    unsigned digits = 0;
    int length = 0;
    visit_open_pool(&visit, "sticky: { secrets: \"" SECRET "\" }");
    (void)visit_begin(&visit, NULL);
    const char *cookie = answered_by(&visit, 0);
    assert_int_equal(sscanf(cookie, "weir_%8x%n", &digits, &length), 1);
    assert_int_equal(length, 13);
    assert_int_equal(cookie[13], '=');
    visit_close(&visit);
}

static void a_full_arena_is_told(void **state)
{
    struct visit *visit = *state;
    struct exchange *x = visit_begin(visit, NULL);
    struct arena *whole = x->arena;
    x->arena = arena_new(1);
    x->server = server_at(visit, 0);
    assert_false(sticky_end(&visit->run));
    arena_free(x->arena);
    x->arena = whole;
}

/* ---- splits ---- */

static void visit_open_split(struct visit *visit, const char *weights, const char *split)
{
    char file[2048];
    snprintf(
        file, sizeof file,
        "listeners: [ \"127.0.0.1:21190\" ]\n"
        "routes: [ { pool: [ %s ], split: { %s } } ]\n"
        "pools: { blue: { servers: 127.0.0.1:1 }, green: { servers: 127.0.0.1:2 }, red: { servers: 127.0.0.1:3 } }\n",
        weights, split);
    visit_open(visit, file);
}

#define HALVES "{ name: blue, weight: 50 }, { name: green, weight: 50 }, { name: red, weight: 0 }"
#define BY_COOKIE "cookie: { name: variant, max_age: 1h }"

static void a_split_gives_a_mark_and_goes_by_it(void **state)
{
    (void)state;
    struct visit visit;
    visit_open_split(&visit, HALVES, BY_COOKIE);
    for (unsigned i = 0; i < 50; i++) {
        struct exchange *x = visit_begin(&visit, NULL);
        const struct pool *pool = split_choose(&visit.run, visit.run.plan);
        assert_non_null(pool);
        char cookie[512];
        snprintf(cookie, sizeof cookie, "%s", set_cookie(&visit, &x->response_fields));
        assert_int_equal(strspn(cookie + strlen("variant="), "0123456789abcdef"), 16);
        assert_string_equal(strchr(cookie, ';'), "; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax");
        *strchr(cookie, ';') = '\0';
        x = visit_begin(&visit, cookie);
        assert_string_equal(split_choose(&visit.run, visit.run.plan)->name, pool->name);
        assert_string_equal(set_cookie(&visit, &x->response_fields), "(none)");
    }
    visit_close(&visit);
}

static void a_mark_that_is_not_ours_is_replaced(void **state)
{
    (void)state;
    static const char *const marks[] = {"variant=",
                                        "variant=me",
                                        "variant=0123456789ABCDEF",
                                        "variant=0123456789abcde",
                                        "variant=0123456789abcdef0",
                                        "variant=0123456789abcdeg"};
    struct visit visit;
    visit_open_split(&visit, HALVES, BY_COOKIE);
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        struct exchange *x = visit_begin(&visit, marks[i]);
        assert_null(split_known(visit.run.plan, x));
        assert_non_null(split_choose(&visit.run, visit.run.plan));
        assert_memory_equal(set_cookie(&visit, &x->response_fields), "variant=", 8);
    }
    visit_close(&visit);
}

#define USERS 2000u

/* By the cookie of a session of its own: which pool each user goes to, by its first letter. */
static void ask_users(const char *weights, char pools[USERS])
{
    struct visit visit;
    char cookie[64];
    visit_open_split(&visit, weights, "key: \"cookie:session\"");
    for (unsigned i = 0; i < USERS; i++) {
        snprintf(cookie, sizeof cookie, "session=user-%u", i);
        struct exchange *x = visit_begin(&visit, cookie);
        const struct pool *known = split_known(visit.run.plan, x);
        assert_non_null(known);
        assert_ptr_equal(split_choose(&visit.run, visit.run.plan), known);
        assert_string_equal(set_cookie(&visit, &x->response_fields), "(none)");
        pools[i] = known->name[0];
    }
    visit_close(&visit);
}

static unsigned users_at(const char pools[USERS], char pool)
{
    unsigned count = 0;
    for (unsigned i = 0; i < USERS; i++)
        count += pools[i] == pool;
    return count;
}

static void keys_are_shared_out_by_weight(void **state)
{
    (void)state;
    char pools[USERS];
    ask_users("{ name: blue, weight: 90 }, { name: green, weight: 10 }, { name: red, weight: 0 }", pools);
    assert_in_range(users_at(pools, 'g'), USERS / 10 - USERS / 40, USERS / 10 + USERS / 40);
    assert_int_equal(users_at(pools, 'r'), 0);
}

static void who_moves_moves_to_the_pool_that_grew(void **state)
{
    (void)state;
    char before[USERS], after[USERS];
    ask_users("{ name: blue, weight: 90 }, { name: green, weight: 10 }", before);
    ask_users("{ name: blue, weight: 90 }, { name: green, weight: 10 }, { name: red, weight: 50 }", after);
    for (unsigned i = 0; i < USERS; i++)
        if (after[i] != before[i] && after[i] != 'r')
            fail_msg("user %u went from %c to %c", i, before[i], after[i]);
    assert_in_range(users_at(after, 'r'), USERS / 3 - USERS / 20, USERS / 3 + USERS / 20);
}

static void without_its_key_a_request_goes_anywhere(void **state)
{
    (void)state;
    struct visit visit;
    bool blue = false, green = false;
    visit_open_split(&visit, HALVES, "key: \"cookie:session\"");
    for (unsigned i = 0; i < 100; i++) {
        struct exchange *x = visit_begin(&visit, "other=1");
        assert_null(split_known(visit.run.plan, x));
        const struct pool *pool = split_choose(&visit.run, visit.run.plan);
        blue |= pool->name[0] == 'b';
        green |= pool->name[0] == 'g';
    }
    assert_true(blue && green);
    visit_close(&visit);
}

static int begin_all(void **state)
{
    (void)state;
    counters_thread_enter();
    return 0;
}

#define STICKY_TEST(name) cmocka_unit_test_setup_teardown(name, open_sticky, close_visit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STICKY_TEST(a_first_answer_names_its_server),
        STICKY_TEST(a_cookie_is_found_among_others),
        STICKY_TEST(who_stays_is_given_no_other_cookie),
        STICKY_TEST(who_moves_is_told_where),
        STICKY_TEST(who_finds_no_free_place_keeps_the_cookie),
        STICKY_TEST(a_cookie_that_is_not_ours_counts_as_none_and_is_counted),
        STICKY_TEST(a_request_without_the_cookie_is_not_counted_as_refused),
        cmocka_unit_test(a_cookie_that_has_half_its_time_is_given_anew),
        cmocka_unit_test(a_cookie_of_an_older_secret_is_given_anew),
        cmocka_unit_test(a_cookie_is_written_by_its_keys),
        cmocka_unit_test(max_age_is_rounded_up),
        cmocka_unit_test(secure_goes_by_how_the_client_came),
        cmocka_unit_test(a_cookie_for_other_sites_is_secure),
        cmocka_unit_test(the_longest_cookie_is_written_whole),
        cmocka_unit_test(a_path_that_clients_do_not_take_is_refused),
        cmocka_unit_test(a_long_name_is_the_one_of_the_file),
        cmocka_unit_test(without_a_name_it_stands_for_the_pool),
        STICKY_TEST(a_full_arena_is_told),
        cmocka_unit_test(a_split_gives_a_mark_and_goes_by_it),
        cmocka_unit_test(a_mark_that_is_not_ours_is_replaced),
        cmocka_unit_test(keys_are_shared_out_by_weight),
        cmocka_unit_test(who_moves_moves_to_the_pool_that_grew),
        cmocka_unit_test(without_its_key_a_request_goes_anywhere),
    };
    return cmocka_run_group_tests_name("cookie", tests, begin_all, NULL);
}
