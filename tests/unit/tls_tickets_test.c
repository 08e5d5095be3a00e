/* Session tickets: whose key opens them and for how long, and what may not be resumed though its key is
 * right; weir.yaml(5), listeners[].tls and tls.ticket_lifetime. The clocks are played here. */
#include <sys/syscall.h>
#include <time.h>

#include "tls_fixture.h"

#define LIFETIME (12 * 3600L) /* seconds */

/* ---- clocks, instead of the C library's ---- */

static long monotonic_ahead, wall_ahead; /* seconds */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    long got = syscall(SYS_clock_gettime, clock, now);
    now->tv_sec += clock == CLOCK_MONOTONIC ? monotonic_ahead : clock == CLOCK_REALTIME ? wall_ahead : 0;
    return (int)got;
}

time_t time(time_t *to)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (to != NULL)
        *to = now.tv_sec;
    return now.tv_sec;
}

/* ---- what the tests say ---- */

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
#define FOR_EACH_VERSION(version) \
    for (const int *version = versions; version < versions + COUNT_OF(versions); version++)

enum how { REFUSED, ANEW, RESUMED };

static struct fixture_visit expect_visit(struct tls_store *store, struct fixture_client client,
                                         enum how expected)
{
    static const char *const words[] = {"refused", "a full handshake", "resumed"};
    struct fixture_visit visit = fixture_visit(store, client);
    enum how seen = !visit.opened ? REFUSED : visit.resumed ? RESUMED : ANEW;
    if (seen != expected)
        fail_msg("by TLS 1.%d, for %s: %s instead of %s (alert %d)", client.version == TLS1_2_VERSION ? 2 : 3,
                 client.name != NULL ? client.name : "no name", words[seen], words[expected], visit.alert);
    return visit;
}

/* A full handshake that brings a ticket, which the caller frees. */
static SSL_SESSION *ticket_of(struct tls_store *store, struct fixture_client client)
{
    struct fixture_visit visit = expect_visit(store, client, ANEW);
    assert_non_null(visit.session);
    return visit.session;
}

/* What comes of a client that brings the ticket. */
static void expect(struct tls_store *store, struct fixture_client client, SSL_SESSION *ticket,
                   enum how expected)
{
    client.session = ticket;
    SSL_SESSION_free(expect_visit(store, client, expected).session);
}

static struct tls_store *store_with(struct fixture_listener listener, struct tls_tickets *tickets)
{
    return fixture_store_of(&listener, PROTOCOL_HTTP_1 | PROTOCOL_H2, tickets);
}

static struct tls_tickets *tickets_new(void)
{
    struct tls_tickets *tickets = tls_tickets_new();
    tls_tickets_configure(tickets, LIFETIME * 1000);
    return tickets;
}

/* A ticket of the one listener at the other, which has the same keys. */
static void expect_across(struct fixture_listener given, struct fixture_listener brought,
                          struct fixture_client client, enum how expected)
{
    struct tls_tickets *tickets = tickets_new();
    struct tls_store *one = store_with(given, tickets), *other = store_with(brought, tickets);
    FOR_EACH_VERSION(version)
    {
        client.version = *version;
        SSL_SESSION *ticket = ticket_of(one, client);
        expect(one, client, ticket, RESUMED);
        expect(other, client, ticket, expected);
        SSL_SESSION_free(ticket);
    }
    tls_store_release(one);
    tls_store_release(other);
    tls_tickets_free(tickets);
}

static const struct fixture_client for_a = {.name = "a.test"};

static struct fixture_listener with_client_auth(enum client_auth auth, const char *authority)
{
    struct fixture_listener listener = FIXTURE_LISTEN("a");
    listener.config.client_auth = auth;
    listener.config.client_ca = fixture_authority(authority);
    return listener;
}

/* ---- keys ---- */

static void listeners_share_their_keys(void **state)
{
    (void)state;
    expect_across(FIXTURE_LISTEN("a"), FIXTURE_LISTEN("b", "a"), for_a, RESUMED);
}

static void keys_of_another_process_open_nothing(void **state)
{
    (void)state;
    struct tls_tickets *ours = tickets_new(), *theirs = tickets_new();
    struct tls_store *one = store_with(FIXTURE_LISTEN("a"), ours);
    struct tls_store *other = store_with(FIXTURE_LISTEN("a"), theirs);
    FOR_EACH_VERSION(version)
    {
        struct fixture_client client = {.name = "a.test", .version = *version};
        SSL_SESSION *ticket = ticket_of(one, client);
        expect(other, client, ticket, ANEW);
        SSL_SESSION_free(ticket);
    }
    tls_store_release(one);
    tls_store_release(other);
    tls_tickets_free(ours);
    tls_tickets_free(theirs);
}

static void clocks_go_ahead(long seconds)
{
    monotonic_ahead += seconds;
    wall_ahead += seconds;
}

/* Tickets of this age, where another client has come when `key_used_at` seconds had passed. */
static void expect_at_age(long key_used_at, long age, enum how expected)
{
    FOR_EACH_VERSION(version)
    {
        struct fixture_client client = {.name = "a.test", .version = *version};
        struct tls_tickets *tickets = tickets_new();
        struct tls_store *store = store_with(FIXTURE_LISTEN("a"), tickets);
        SSL_SESSION *ticket = ticket_of(store, client);
        clocks_go_ahead(key_used_at);
        expect(store, client, NULL, ANEW);
        clocks_go_ahead(age - key_used_at);
        expect(store, client, ticket, expected);
        clocks_go_ahead(-age);
        SSL_SESSION_free(ticket);
        tls_store_release(store);
        tls_tickets_free(tickets);
    }
}

static void the_key_before_still_opens(void **state)
{
    (void)state;
    expect_at_age(0, LIFETIME - 60, RESUMED);
    expect_at_age(0, LIFETIME + 60, RESUMED);
    expect_at_age(LIFETIME + 60, 2 * LIFETIME - 60, RESUMED);
}

static void a_key_of_two_lifetimes_opens_nothing(void **state)
{
    (void)state;
    expect_at_age(LIFETIME + 60, 2 * LIFETIME + 60, ANEW);
    expect_at_age(0, 2 * LIFETIME + 60, ANEW);
    expect_at_age(0, 100 * LIFETIME, ANEW);
}

static void only_one_key_before_is_kept(void **state)
{
    (void)state;
    struct tls_tickets *tickets = tickets_new();
    struct tls_store *store = store_with(FIXTURE_LISTEN("a"), tickets);
    struct fixture_client client = {.name = "a.test", .version = TLS1_3_VERSION};
    long began = monotonic_ahead;
    SSL_SESSION *ticket = ticket_of(store, client);
    tls_tickets_configure(tickets, 60 * 1000); /* a reload: from here on keys rotate every minute */
    for (int rotation = 0; rotation < 2; rotation++) {
        monotonic_ahead += 61;
        expect(store, client, NULL, ANEW);
    }
    tls_tickets_configure(tickets, LIFETIME * 1000);
    expect(store, client, ticket, ANEW);
    monotonic_ahead = began;
    SSL_SESSION_free(ticket);
    tls_store_release(store);
    tls_tickets_free(tickets);
}

static void a_ticket_under_the_key_before_is_renewed(void **state)
{
    (void)state;
    FOR_EACH_VERSION(version)
    {
        struct fixture_client client = {.name = "a.test", .version = *version};
        struct tls_tickets *tickets = tickets_new();
        struct tls_store *store = store_with(FIXTURE_LISTEN("a"), tickets);
        long began = monotonic_ahead;
        SSL_SESSION *ticket = ticket_of(store, client);
        monotonic_ahead = began + LIFETIME + 60;
        client.session = ticket;
        struct fixture_visit renewed = expect_visit(store, client, RESUMED);
        assert_non_null(renewed.session);
        monotonic_ahead = began + 2 * LIFETIME + 30; /* the key of the first is too old, its next is not */
        expect(store, client, ticket, ANEW);
        expect(store, client, renewed.session, RESUMED);
        monotonic_ahead = began;
        SSL_SESSION_free(renewed.session);
        SSL_SESSION_free(ticket);
        tls_store_release(store);
        tls_tickets_free(tickets);
    }
}

/* RFC 8446 C.4: who uses each ticket once needs the next. TLS 1.2 has no such rule. */
static void with_tls_1_3_each_connection_brings_the_next_ticket(void **state)
{
    (void)state;
    struct tls_tickets *tickets = tickets_new();
    struct tls_store *store = store_with(FIXTURE_LISTEN("a"), tickets);
    struct fixture_client client = {.name = "a.test", .version = TLS1_3_VERSION};
    SSL_SESSION *ticket = ticket_of(store, client);
    for (int visit = 0; visit < 3; visit++) {
        client.session = ticket;
        SSL_SESSION *next = expect_visit(store, client, RESUMED).session;
        assert_non_null(next);
        SSL_SESSION_free(ticket);
        ticket = next;
    }
    SSL_SESSION_free(ticket);
    tls_store_release(store);
    tls_tickets_free(tickets);
}

/* RFC 5077 4: the name of the key, then what the cipher begins with, which must not come twice. */
static void each_ticket_of_a_key_begins_anew_behind_its_name(void **state)
{
    (void)state;
    enum { NAME = 16, VECTOR = 16 };
    struct tls_tickets *tickets = tickets_new();
    struct tls_store *store = store_with(FIXTURE_LISTEN("a"), tickets);
    struct fixture_client client = {.name = "a.test", .version = TLS1_2_VERSION};
    SSL_SESSION *one = ticket_of(store, client), *other = ticket_of(store, client);
    const unsigned char *first, *second;
    size_t first_length, second_length;
    SSL_SESSION_get0_ticket(one, &first, &first_length);
    SSL_SESSION_get0_ticket(other, &second, &second_length);
    assert_true(first_length > NAME + VECTOR && second_length > NAME + VECTOR);
    assert_memory_equal(first, second, NAME);
    assert_memory_not_equal(first + NAME, second + NAME, VECTOR);
    SSL_SESSION_free(one);
    SSL_SESSION_free(other);
    tls_store_release(store);
    tls_tickets_free(tickets);
}

static void without_a_lifetime_there_are_no_tickets(void **state)
{
    (void)state;
    struct tls_tickets *tickets = tickets_new();
    struct tls_store *store = store_with(FIXTURE_LISTEN("a"), tickets);
    FOR_EACH_VERSION(version)
    {
        struct fixture_client client = {.name = "a.test", .version = *version};
        SSL_SESSION *ticket = ticket_of(store, client);
        tls_tickets_configure(tickets, 0);
        assert_null(expect_visit(store, client, ANEW).session);
        expect(store, client, ticket, ANEW);
        tls_tickets_configure(tickets, LIFETIME * 1000);
        SSL_SESSION_free(ticket);
    }
    tls_store_release(store);
    tls_tickets_free(tickets);
}

/* ---- what may not be resumed ---- */

static void a_ticket_is_of_the_name_it_was_given_for(void **state)
{
    static const char *const names[] = {"b.test",      "also-b.test",  "x.wild.test",
                                        "y.wild.test", "unknown.test", NULL};
    (void)state;
    struct tls_tickets *tickets = tickets_new();
    struct tls_store *store = store_with(FIXTURE_LISTEN("a", "b", "wild"), tickets);
    FOR_EACH_VERSION(version)
    {
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            struct fixture_client client = {.name = names[i], .version = *version};
            SSL_SESSION *ticket = ticket_of(store, client);
            for (size_t k = 0; k < COUNT_OF(names); k++) {
                client.name = names[k];
                expect(store, client, ticket, i == k ? RESUMED : ANEW);
            }
            SSL_SESSION_free(ticket);
        }
    }
    tls_store_release(store);
    tls_tickets_free(tickets);
}

static void case_makes_no_other_name(void **state)
{
    (void)state;
    struct tls_tickets *tickets = tickets_new();
    struct tls_store *store = store_with(FIXTURE_LISTEN("a"), tickets);
    struct fixture_client lower = {.name = "a.test", .version = TLS1_3_VERSION}, upper = lower;
    upper.name = "A.TEST";
    SSL_SESSION *ticket = ticket_of(store, lower);
    expect(store, upper, ticket, RESUMED);
    SSL_SESSION_free(ticket);
    tls_store_release(store);
    tls_tickets_free(tickets);
}

static void where_the_name_has_another_certificate_a_ticket_opens_nothing(void **state)
{
    (void)state;
    expect_across(FIXTURE_LISTEN("a"), FIXTURE_LISTEN("a-renewed"), for_a, ANEW);
    expect_across(FIXTURE_LISTEN("a"), FIXTURE_LISTEN("a-renewed", "a"), for_a, ANEW);
}

static void where_the_certificate_shown_is_of_another_name_a_ticket_opens_nothing(void **state)
{
    static const char *names[] = {"other.test"};
    (void)state;
    struct fixture_listener renamed = FIXTURE_LISTEN("b", "a");
    renamed.certificates[1].names = (struct texts){.count = 1, .items = names};
    expect_across(FIXTURE_LISTEN("b", "a"), renamed, for_a, ANEW);
}

static void tickets_of_other_authorities_are_not_taken(void **state)
{
    (void)state;
    struct fixture_client client = {.name = "a.test", .certificate = "client"};
    struct fixture_listener same = with_client_auth(CLIENT_AUTH_REQUIRED, "authority");
    expect_across(same, same, client, RESUMED);
    expect_across(same, with_client_auth(CLIENT_AUTH_OPTIONAL, "authority"), client, ANEW);
    expect_across(same, with_client_auth(CLIENT_AUTH_REQUIRED, "another-authority"), client, REFUSED);
}

static void a_ticket_got_without_a_certificate_opens_nothing_that_wants_one(void **state)
{
    (void)state;
    expect_across(FIXTURE_LISTEN("a"), with_client_auth(CLIENT_AUTH_REQUIRED, "authority"), for_a, REFUSED);
    expect_across(with_client_auth(CLIENT_AUTH_OPTIONAL, "authority"),
                  with_client_auth(CLIENT_AUTH_REQUIRED, "authority"), for_a, REFUSED);
}

static void another_rule_ends_what_was_given_under_the_one_before(void **state)
{
    (void)state;
    struct fixture_listener rule = FIXTURE_LISTEN("a");
    expect_across(rule, rule, for_a, RESUMED);
    rule.config.strict_sni = true;
    expect_across(FIXTURE_LISTEN("a"), rule, for_a, ANEW);
    rule = FIXTURE_LISTEN("a");
    rule.config.ciphers = "ECDHE+AESGCM";
    expect_across(FIXTURE_LISTEN("a"), rule, for_a, ANEW);
    rule = FIXTURE_LISTEN("a");
    rule.config.ciphersuites = "TLS_AES_128_GCM_SHA256";
    expect_across(FIXTURE_LISTEN("a"), rule, for_a, ANEW);
    rule = FIXTURE_LISTEN("a");
    rule.config.authority = AUTHORITY_COVERED;
    expect_across(FIXTURE_LISTEN("a"), rule, for_a, ANEW);
}

static void other_versions_end_what_was_given_under_those_before(void **state)
{
    (void)state;
    static const enum tls_version allowed[] = {TLS_VERSION_1_2, TLS_VERSION_1_3};
    for (size_t i = 0; i < COUNT_OF(allowed); i++) {
        struct tls_tickets *tickets = tickets_new();
        struct fixture_listener narrow = FIXTURE_LISTEN("a");
        narrow.config.min_version = narrow.config.max_version = allowed[i];
        struct tls_store *both = store_with(FIXTURE_LISTEN("a"), tickets), *one = store_with(narrow, tickets);
        struct fixture_client client = {.name = "a.test", .version = versions[i]};
        SSL_SESSION *ticket = ticket_of(both, client);
        expect(both, client, ticket, RESUMED);
        expect(one, client, ticket, ANEW);
        SSL_SESSION_free(ticket);
        tls_store_release(both);
        tls_store_release(one);
        tls_tickets_free(tickets);
    }
}

/* Of a certificate of a client that is valid for an hour more, a ticket when that is over. */
static void expect_after_the_end_of(const char *certificate, enum how before, enum how after)
{
    FOR_EACH_VERSION(version)
    {
        struct fixture_client client = {.name = "a.test", .version = *version, .certificate = certificate};
        struct tls_tickets *tickets = tickets_new();
        struct tls_store *store = store_with(with_client_auth(CLIENT_AUTH_REQUIRED, "authority"), tickets);
        SSL_SESSION *ticket = ticket_of(store, client);
        wall_ahead += 3600 - 60;
        expect(store, client, ticket, before);
        wall_ahead += 2 * 60;
        expect(store, client, ticket, after);
        wall_ahead = 0;
        SSL_SESSION_free(ticket);
        tls_store_release(store);
        tls_tickets_free(tickets);
    }
}

static void a_ticket_ends_with_the_certificate_that_the_client_has_shown(void **state)
{
    (void)state;
    expect_after_the_end_of("client-for-an-hour", RESUMED, REFUSED);
    expect_after_the_end_of("client", RESUMED, RESUMED);
}

static void a_ticket_ends_with_each_certificate_of_the_chain_shown(void **state)
{
    (void)state;
    expect_after_the_end_of("client-of-an-office-for-an-hour", RESUMED, REFUSED);
}

static void a_ticket_opens_nothing_before_the_certificate_shown_is_valid(void **state)
{
    (void)state;
    struct fixture_client client = {
        .name = "a.test", .version = TLS1_3_VERSION, .certificate = "client-since-an-hour"};
    struct tls_tickets *tickets = tickets_new();
    struct tls_store *store = store_with(with_client_auth(CLIENT_AUTH_REQUIRED, "authority"), tickets);
    SSL_SESSION *ticket = ticket_of(store, client);
    wall_ahead = -3600 - 60; /* somebody has set the clock */
    SSL_SESSION_set_time(ticket, (long)time(NULL));
    expect(store, client, ticket, REFUSED);
    wall_ahead = 0;
    SSL_SESSION_free(ticket);
    tls_store_release(store);
    tls_tickets_free(tickets);
}

/* ---- the program ---- */

static void client_certificate(const char *name, const char *issuer, long begins_in, long ends_in)
{
    fixture_write(name, &(struct fixture_certificate){.common_name = name,
                                                      .issuer = fixture_path(issuer, ".crt"),
                                                      .begins_in = begins_in,
                                                      .ends_in = ends_in});
}

static int begin(void **state)
{
    if (fixture_begin(state) != 0)
        return -1;
    fixture_leaf("a", "DNS:a.test", NULL);
    fixture_leaf("a-renewed", "DNS:a.test", NULL);
    fixture_leaf("b", "DNS:b.test,DNS:also-b.test", NULL);
    fixture_leaf("wild", "DNS:*.wild.test", NULL);
    client_certificate("client", "authority", -FIXTURE_DAY, FIXTURE_DAY);
    client_certificate("client-for-an-hour", "authority", -FIXTURE_DAY, 3600);
    client_certificate("client-since-an-hour", "authority", -3600, FIXTURE_DAY);
    fixture_write("office-for-an-hour",
                  &(struct fixture_certificate){.common_name = "office",
                                                .kind = "P-384",
                                                .issues = true,
                                                .issuer = fixture_authority("authority"),
                                                .begins_in = -FIXTURE_DAY,
                                                .ends_in = 3600});
    client_certificate("client-of-an-office-for-an-hour", "office-for-an-hour", -FIXTURE_DAY, FIXTURE_DAY);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listeners_share_their_keys),
        cmocka_unit_test(keys_of_another_process_open_nothing),
        cmocka_unit_test(the_key_before_still_opens),
        cmocka_unit_test(a_key_of_two_lifetimes_opens_nothing),
        cmocka_unit_test(only_one_key_before_is_kept),
        cmocka_unit_test(a_ticket_under_the_key_before_is_renewed),
        cmocka_unit_test(with_tls_1_3_each_connection_brings_the_next_ticket),
        cmocka_unit_test(each_ticket_of_a_key_begins_anew_behind_its_name),
        cmocka_unit_test(without_a_lifetime_there_are_no_tickets),
        cmocka_unit_test(a_ticket_is_of_the_name_it_was_given_for),
        cmocka_unit_test(case_makes_no_other_name),
        cmocka_unit_test(where_the_name_has_another_certificate_a_ticket_opens_nothing),
        cmocka_unit_test(where_the_certificate_shown_is_of_another_name_a_ticket_opens_nothing),
        cmocka_unit_test(tickets_of_other_authorities_are_not_taken),
        cmocka_unit_test(a_ticket_got_without_a_certificate_opens_nothing_that_wants_one),
        cmocka_unit_test(another_rule_ends_what_was_given_under_the_one_before),
        cmocka_unit_test(other_versions_end_what_was_given_under_those_before),
        cmocka_unit_test(a_ticket_ends_with_the_certificate_that_the_client_has_shown),
        cmocka_unit_test(a_ticket_ends_with_each_certificate_of_the_chain_shown),
        cmocka_unit_test(a_ticket_opens_nothing_before_the_certificate_shown_is_valid),
    };
    return cmocka_run_group_tests_name("tls tickets", tests, begin, fixture_end);
}
