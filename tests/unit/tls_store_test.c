/* Which certificate serves which name: real handshakes with the store of a listener, by what clients ask for
 * and by what they can use; weir.yaml(5), listeners[].tls. */
#include <pthread.h>
#include <stdatomic.h>

#include "tls_fixture.h"

/* ---- what the tests say ---- */

static void expect_shown(struct tls_store *store, struct fixture_client client, const char *expected)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        if (client.version != 0 && client.version != versions[i])
            continue;
        struct fixture_client one = client;
        one.version = versions[i];
        struct fixture_visit visit = fixture_visit(store, one);
        if (!visit.opened || strcmp(visit.shown, expected) != 0)
            fail_msg("%s is asked for by TLS 1.%d (%s): \"%s\" is shown instead of \"%s\", alert %d",
                     client.name != NULL ? client.name : "no name", versions[i] == TLS1_2_VERSION ? 2 : 3,
                     client.algorithms != NULL ? client.algorithms : "any algorithms", visit.shown, expected,
                     visit.alert);
        SSL_SESSION_free(visit.session);
    }
}

static void expect_name_shown(struct tls_store *store, const char *name, const char *expected)
{
    expect_shown(store, (struct fixture_client){.name = name}, expected);
}

static void expect_alert(struct tls_store *store, struct fixture_client client, int expected)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        client.version = versions[i];
        struct fixture_visit visit = fixture_visit(store, client);
        if (visit.opened || visit.alert != expected)
            fail_msg("%s is asked for by TLS 1.%d: %s, alert %d instead of %d",
                     client.name != NULL ? client.name : "no name", versions[i] == TLS1_2_VERSION ? 2 : 3,
                     visit.opened ? "it is served" : "it is refused", visit.alert, expected);
        SSL_SESSION_free(visit.session);
    }
}

static void expect_admission(const struct tls_store *store, const char *name, const char *host,
                             enum tls_admission expected)
{
    static const char *const words[] = {"admitted", "refused by name", "misdirected"};
    enum tls_admission seen = tls_store_admits(store, name, span_of(host));
    if (seen != expected)
        fail_msg("%s, on a connection for %s, is %s instead of %s", host, name != NULL ? name : "no name",
                 words[seen], words[expected]);
}

/* ---- names ---- */

static void an_exact_name_is_served_by_its_certificate(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("a", "b"));
    expect_name_shown(store, "a.test", "a");
    expect_name_shown(store, "b.test", "b");
    expect_name_shown(store, "also-b.test", "b");
    tls_store_release(store);
}

static void names_differ_by_more_than_case(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("a", "b", "shouting", "wild"));
    expect_name_shown(store, "B.Test", "b");
    expect_name_shown(store, "loud.test", "shouting");
    expect_name_shown(store, "X.WILD.test", "wild");
    tls_store_release(store);
}

static void an_exact_name_goes_before_a_wildcard(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("a", "wild", "exact"));
    expect_name_shown(store, "exact.wild.test", "exact");
    expect_name_shown(store, "other.wild.test", "wild");
    tls_store_release(store);
}

static void a_wildcard_stands_for_one_label(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("a", "wild"));
    expect_name_shown(store, "x.wild.test", "wild");
    expect_name_shown(store, "y.x.wild.test", "a");
    expect_name_shown(store, "wild.test", "a");
    expect_name_shown(store, "xwild.test", "a");
    tls_store_release(store);
}

static void a_wildcard_is_a_whole_label(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("a", "partial"));
    expect_name_shown(store, "foo.partial.test", "a");
    expect_name_shown(store, "x.y.partial.test", "a");
    tls_store_release(store);
}

static void names_of_the_file_replace_those_of_the_certificate(void **state)
{
    (void)state;
    static const char *names[] = {"Given.test", "*.given.test"};
    struct fixture_listener listener = FIXTURE_LISTEN("a", "b");
    listener.certificates[1].names = (struct texts){.count = COUNT_OF(names), .items = names};
    struct tls_store *store = fixture_store(listener);
    expect_name_shown(store, "given.test", "b");
    expect_name_shown(store, "x.given.test", "b");
    expect_name_shown(store, "b.test", "a");
    tls_store_release(store);
}

static void the_common_name_serves_only_without_alternative_names(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("a", "common.test", "hidden.test"));
    expect_name_shown(store, "common.test", "common.test");
    expect_name_shown(store, "hidden.test", "a");
    tls_store_release(store);
}

static void each_of_many_names_is_found(void **state)
{
    enum { MANY = 300 };
    static char texts[MANY][24];
    static const char *items[2][MANY];
    struct fixture_listener listener = FIXTURE_LISTEN("a", "b");
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(texts[i], sizeof texts[i], i % 3 == 0 ? "*.n%u.test" : "n%u.test", i * 7 % MANY);
        items[i % 2][i / 2] = texts[i];
    }
    for (unsigned i = 0; i < 2; i++)
        listener.certificates[i].names = (struct texts){.count = MANY / 2, .items = items[i]};
    struct tls_store *store = fixture_store(listener);
    for (unsigned i = 0; i < MANY; i++) {
        char name[32];
        struct tls_choice choice;
        snprintf(name, sizeof name, i % 3 == 0 ? "x.n%u.test" : "n%u.test", i * 7 % MANY);
        assert_true(tls_store_choose(store, name, &choice));
        if (choice.count != 1 || choice.identities[0] != i % 2)
            fail_msg("%s is served by certificate %zu of %u instead of %u", name, choice.identities[0],
                     choice.count, i % 2);
    }
    tls_store_release(store);
}

/* ---- addresses ---- */

static void an_address_of_a_certificate_is_no_name_to_ask_for(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("a", "address"));
    expect_name_shown(store, "192.0.2.1", "a");
    expect_name_shown(store, "2001:db8::1", "a");
    expect_name_shown(store, "address.test", "address");
    tls_store_release(store);
}

static void a_request_for_an_address_needs_a_certificate_that_has_it(void **state)
{
    (void)state;
    struct fixture_listener listener = FIXTURE_LISTEN("address", "a");
    listener.config.authority = AUTHORITY_COVERED;
    struct tls_store *store = fixture_store(listener);
    expect_admission(store, NULL, "192.0.2.1", TLS_ADMITTED);
    expect_admission(store, NULL, "2001:db8::1", TLS_ADMITTED);
    expect_admission(store, NULL, "2001:0DB8:0::1", TLS_ADMITTED);
    expect_admission(store, NULL, "192.0.2.2", TLS_MISDIRECTED);
    expect_admission(store, NULL, "2001:db8::2", TLS_MISDIRECTED);
    expect_admission(store, "a.test", "192.0.2.1", TLS_MISDIRECTED);
    tls_store_release(store);
}

/* ---- the default, and its refusal ---- */

static void the_first_certificate_serves_unknown_names_and_none(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("b", "a"));
    expect_name_shown(store, "unknown.test", "b");
    expect_name_shown(store, NULL, "b");
    tls_store_release(store);
}

static void a_certificate_marked_default_serves_unknown_names_and_none(void **state)
{
    (void)state;
    struct fixture_listener listener = FIXTURE_LISTEN("b", "a");
    listener.certificates[1].is_default = true;
    struct tls_store *store = fixture_store(listener);
    expect_name_shown(store, "unknown.test", "a");
    expect_name_shown(store, NULL, "a");
    expect_name_shown(store, "b.test", "b");
    tls_store_release(store);
}

static void strict_sni_refuses_unknown_names_and_none(void **state)
{
    (void)state;
    enum { UNRECOGNIZED_NAME = 112 };
    struct fixture_listener listener = FIXTURE_LISTEN("a", "wild");
    listener.config.strict_sni = true;
    struct tls_store *store = fixture_store(listener);
    expect_alert(store, (struct fixture_client){.name = "unknown.test"}, UNRECOGNIZED_NAME);
    expect_alert(store, (struct fixture_client){.name = "y.x.wild.test"}, UNRECOGNIZED_NAME);
    expect_alert(store, (struct fixture_client){.name = NULL}, UNRECOGNIZED_NAME);
    expect_name_shown(store, "a.test", "a");
    expect_name_shown(store, "A.TEST", "a");
    expect_name_shown(store, "x.wild.test", "wild");
    tls_store_release(store);
}

/* ---- hosts of requests ---- */

static void strict_sni_admits_only_hosts_of_the_certificate_shown(void **state)
{
    (void)state;
    struct fixture_listener listener = FIXTURE_LISTEN("a", "b");
    listener.config.strict_sni = true;
    struct tls_store *store = fixture_store(listener);
    expect_admission(store, "b.test", "also-b.test", TLS_ADMITTED);
    expect_admission(store, "b.test", "ALSO-B.test.", TLS_ADMITTED);
    expect_admission(store, "b.test", "a.test", TLS_MISDIRECTED);
    expect_admission(store, "unknown.test", "a.test", TLS_NAME_REFUSED);
    tls_store_release(store);
}

/* Of the certificate's own too, since clients go by those. */
static void strict_sni_admits_hosts_by_names_of_the_file(void **state)
{
    (void)state;
    static const char *names[] = {"given.test", "*.given.test"};
    struct fixture_listener listener = FIXTURE_LISTEN("a", "b");
    char host[300 + sizeof ".given.test"]; /* longer than names are */
    memset(host, 'x', 300);
    strcpy(host + 300, ".given.test");
    listener.config.strict_sni = true;
    listener.certificates[1].names = (struct texts){.count = COUNT_OF(names), .items = names};
    struct tls_store *store = fixture_store(listener);
    expect_admission(store, "given.test", "X.GIVEN.test", TLS_ADMITTED);
    expect_admission(store, "x.given.test", "Given.test", TLS_ADMITTED);
    expect_admission(store, "given.test", "b.test", TLS_ADMITTED);
    expect_admission(store, "given.test", "y.x.given.test", TLS_MISDIRECTED);
    expect_admission(store, "given.test", host, TLS_MISDIRECTED);
    tls_store_release(store);
}

static void any_host_is_admitted_unless_something_is_said(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("a", "b"));
    assert_false(tls_store_checks_hosts(store));
    expect_admission(store, "b.test", "a.test", TLS_ADMITTED);
    expect_admission(store, NULL, "unknown.test", TLS_ADMITTED);
    tls_store_release(store);
}

static void where_clients_show_certificates_hosts_are_of_the_name_asked_for(void **state)
{
    (void)state;
    struct fixture_listener listener = FIXTURE_LISTEN("b", "wild");
    listener.config.client_auth = CLIENT_AUTH_REQUIRED;
    listener.config.client_ca = fixture_authority("authority");
    struct tls_store *store = fixture_store(listener);
    assert_true(tls_store_checks_hosts(store));
    expect_admission(store, "b.test", "b.test", TLS_ADMITTED);
    expect_admission(store, "b.test", "also-b.test", TLS_MISDIRECTED);
    expect_admission(store, "x.wild.test", "y.wild.test", TLS_ADMITTED);
    expect_admission(store, "x.wild.test", "b.test", TLS_MISDIRECTED);
    tls_store_release(store);
}

/* ---- kinds of keys ---- */

#define ONLY_RSA "RSA+SHA256:rsa_pss_rsae_sha256"
#define ONLY_ECDSA "ECDSA+SHA256"
#define ONLY_ED25519 "ed25519"

static void the_kind_shown_is_one_that_the_client_takes(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("b", "both-rsa", "both-ecdsa", "both-ed"));
    expect_shown(store, (struct fixture_client){.name = "both.test", .algorithms = ONLY_RSA}, "both-rsa");
    expect_shown(store, (struct fixture_client){.name = "both.test", .algorithms = ONLY_ECDSA}, "both-ecdsa");
    expect_shown(store, (struct fixture_client){.name = "both.test", .algorithms = ONLY_ED25519}, "both-ed");
    tls_store_release(store);
}

static void up_to_tls_1_2_the_kind_is_of_the_ciphers_too(void **state)
{
    (void)state;
    struct fixture_client client = {.name = "both.test", .version = TLS1_2_VERSION};
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("b", "both-rsa", "both-ecdsa"));
    client.ciphers = "ECDHE-RSA-AES128-GCM-SHA256";
    expect_shown(store, client, "both-rsa");
    client.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
    expect_shown(store, client, "both-ecdsa");
    tls_store_release(store);
}

static void of_several_of_one_kind_the_first_is_shown(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(
        FIXTURE_LISTEN("b", "both-ecdsa", "both-again", "both-again", "both-again", "both-rsa"));
    expect_shown(store, (struct fixture_client){.name = "both.test", .algorithms = ONLY_ECDSA}, "both-ecdsa");
    expect_shown(store, (struct fixture_client){.name = "both.test", .algorithms = ONLY_RSA}, "both-rsa");
    tls_store_release(store);
}

static void a_wildcard_helps_out_whom_the_exact_name_has_nothing_for(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("b", "exact", "wild-rsa"));
    struct fixture_client client = {.name = "exact.wild.test"};
    expect_shown(store, client, "exact");
    client.algorithms = ONLY_RSA;
    expect_shown(store, client, "wild-rsa");
    client.algorithms = ONLY_RSA ":" ONLY_ECDSA;
    expect_shown(store, client, "exact");
    tls_store_release(store);
}

/* The library, of keys that it is given, would take one of ECDSA first. */
static void a_wildcard_does_not_stand_in_for_an_exact_name_of_another_kind(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("b", "exact-pss", "wild"));
    struct fixture_client client = {.name = "exact.wild.test"};
    expect_shown(store, client, "exact-pss");
    client.algorithms = ONLY_ECDSA;
    expect_shown(store, client, "wild");
    tls_store_release(store);
}

static void by_ciphers_of_tls_1_2_a_wildcard_helps_out_as_well(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("b", "exact", "wild-rsa"));
    struct fixture_client client = {.name = "exact.wild.test", .version = TLS1_2_VERSION};
    client.ciphers = "ECDHE-RSA-AES128-GCM-SHA256";
    expect_shown(store, client, "wild-rsa");
    client.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
    expect_shown(store, client, "exact");
    tls_store_release(store);
}

/* Its signatures are RSA's, and so are its ciphers (RFC 8446 4.2.3). */
static void a_key_of_rsa_pss_goes_with_ciphers_of_rsa(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("b", "exact-pss", "wild-rsa"));
    struct fixture_client client = {.name = "exact.wild.test",
                                    .version = TLS1_2_VERSION,
                                    .algorithms = "rsa_pss_pss_sha256:" ONLY_RSA,
                                    .ciphers = "ECDHE-RSA-AES128-GCM-SHA256"};
    expect_shown(store, client, "exact-pss");
    client.algorithms = ONLY_RSA; /* by those, not with such a key */
    expect_shown(store, client, "wild-rsa");
    tls_store_release(store);
}

static void a_key_of_rsa_pss_goes_with_no_cipher_of_ecdsa(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("b", "exact-pss", "wild"));
    struct fixture_client client = {.name = "exact.wild.test",
                                    .version = TLS1_2_VERSION,
                                    .algorithms = "rsa_pss_pss_sha256:" ONLY_ECDSA,
                                    .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"};
    expect_shown(store, client, "wild");
    tls_store_release(store);
}

static void a_key_of_ed25519_goes_with_ciphers_of_ecdsa(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("b", "exact-ed", "wild-rsa"));
    struct fixture_client client = {.name = "exact.wild.test", .version = TLS1_2_VERSION};
    client.algorithms = ONLY_ED25519 ":" ONLY_RSA;
    client.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
    expect_shown(store, client, "exact-ed");
    client.ciphers = "ECDHE-RSA-AES128-GCM-SHA256";
    expect_shown(store, client, "wild-rsa");
    tls_store_release(store);
}

static void a_key_of_ed25519_is_for_those_who_take_its_signatures(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("b", "exact-ed", "wild"));
    struct fixture_client client = {.name = "exact.wild.test", .algorithms = ONLY_ED25519 ":" ONLY_ECDSA};
    expect_shown(store, client, "exact-ed");
    client.algorithms = ONLY_ECDSA;
    expect_shown(store, client, "wild");
    tls_store_release(store);
}

/* Up to TLS 1.2 groups say for which curves a client is, from TLS 1.3 on its signatures (RFC 8446 4.2.3). */
static void a_curve_is_for_those_who_take_it(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("b", "exact-384", "wild-rsa"));
    struct fixture_client client = {.name = "exact.wild.test", .version = TLS1_2_VERSION, .groups = "P-384"};
    expect_shown(store, client, "exact-384");
    client.groups = "P-256";
    expect_shown(store, client, "wild-rsa");
    client = (struct fixture_client){.name = "exact.wild.test", .version = TLS1_3_VERSION};
    client.algorithms = "ECDSA+SHA384:" ONLY_RSA;
    expect_shown(store, client, "exact-384");
    client.algorithms = ONLY_ECDSA ":" ONLY_RSA;
    expect_shown(store, client, "wild-rsa");
    tls_store_release(store);
}

static void the_default_has_the_other_kinds_of_its_name_too(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("both-ecdsa", "b", "both-rsa"));
    expect_shown(store, (struct fixture_client){.name = "unknown.test"}, "both-ecdsa");
    expect_shown(store, (struct fixture_client){.name = "unknown.test", .algorithms = ONLY_RSA}, "both-rsa");
    expect_shown(store, (struct fixture_client){.name = NULL, .algorithms = ONLY_RSA}, "both-rsa");
    tls_store_release(store);
}

static void the_default_is_shown_to_all_who_can_use_it(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("both-rsa", "b", "both-ecdsa"));
    expect_name_shown(store, "unknown.test", "both-rsa");
    expect_name_shown(store, NULL, "both-rsa");
    tls_store_release(store);
}

static void no_other_name_helps_out(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("both-rsa", "b"));
    expect_alert(store, (struct fixture_client){.name = "b.test", .algorithms = ONLY_RSA},
                 SSL_AD_HANDSHAKE_FAILURE);
    tls_store_release(store);
    store = fixture_store(FIXTURE_LISTEN("b", "both-ecdsa", "both-rsa"));
    expect_alert(store, (struct fixture_client){.name = "unknown.test", .algorithms = ONLY_RSA},
                 SSL_AD_HANDSHAKE_FAILURE);
    tls_store_release(store);
}

/* ---- what is sent beside ---- */

static void a_certificate_is_sent_with_its_chain(void **state)
{
    (void)state;
    struct tls_store *store = fixture_store(FIXTURE_LISTEN("a"));
    struct fixture_visit visit = fixture_visit(store, (struct fixture_client){.name = "a.test"});
    assert_string_equal(visit.shown, "a");
    assert_int_equal(visit.chain, 2);
    SSL_SESSION_free(visit.session);
    tls_store_release(store);
}

/* What is chosen for a client that offers these protocols; "refused" with the alert of RFC 7301. */
static const char *protocol_chosen(unsigned protocol_bits, struct span offered)
{
    static char chosen[16];
    struct fixture_listener listener = FIXTURE_LISTEN("a");
    struct tls_store *store = fixture_store_of(&listener, protocol_bits, NULL);
    struct fixture_visit visit =
        fixture_visit(store, (struct fixture_client){.name = "a.test", .protocols = offered});
    snprintf(chosen, sizeof chosen, "%s",
             visit.opened                                    ? visit.protocol
             : visit.alert == SSL_AD_NO_APPLICATION_PROTOCOL ? "refused"
                                                             : "another failure");
    SSL_SESSION_free(visit.session);
    tls_store_release(store);
    return chosen;
}

/* Workers give back while the loader sweeps; what it then finds is whole, or gone (under a sanitizer). */
enum { SWEPT = 32, SWEEPS = 12 };

struct giver {
    struct tls_store *stores[SWEPT];
    _Atomic bool done;
};

static void *give_back(void *argument)
{
    struct giver *giver = argument;
    for (unsigned i = 0; i < SWEPT; i++)
        tls_store_release(giver->stores[i]);
    atomic_store(&giver->done, true);
    return NULL;
}

static void a_sweep_goes_beside_workers(void **state)
{
    (void)state;
    static char names[SWEPT][8];
    for (unsigned i = 0; i < SWEPT; i++) {
        snprintf(names[i], sizeof names[i], "swept%u", i);
        fixture_leaf(names[i], "DNS:swept.test", NULL);
    }
    for (unsigned round = 0; round < SWEEPS; round++) {
        struct giver giver = {.done = false};
        for (unsigned i = 0; i < SWEPT; i++)
            giver.stores[i] = fixture_store(FIXTURE_LISTEN(names[i]));
        expect_name_shown(giver.stores[round], "swept.test", names[round]);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, give_back, &giver), 0);
        while (!atomic_load(&giver.done))
            tls_files_sweep(fixture_files);
        pthread_join(thread, NULL);
        tls_files_sweep(fixture_files);
    }
}

static void of_the_protocols_offered_ours_is_the_order(void **state)
{
    (void)state;
    assert_string_equal(protocol_chosen(PROTOCOL_HTTP_1 | PROTOCOL_H2, SPAN("\x08http/1.1\x02h2")), "h2");
    assert_string_equal(protocol_chosen(PROTOCOL_HTTP_1, SPAN("\x02h2\x08http/1.1")), "http/1.1");
    assert_string_equal(protocol_chosen(PROTOCOL_H2, SPAN("\x08http/1.1\x02h2")), "h2");
}

static void a_client_that_offers_no_protocol_goes_on_without(void **state)
{
    (void)state;
    assert_string_equal(protocol_chosen(PROTOCOL_HTTP_1 | PROTOCOL_H2, SPAN_NONE), "");
}

static void who_offers_http_1_0_gets_it_where_http_1_is_spoken(void **state)
{
    (void)state;
    assert_string_equal(protocol_chosen(PROTOCOL_HTTP_1 | PROTOCOL_H2, SPAN("\x08http/1.0")), "http/1.0");
    assert_string_equal(protocol_chosen(PROTOCOL_H2, SPAN("\x08http/1.0")), "refused");
}

static void protocols_that_are_not_spoken_are_refused(void **state)
{
    (void)state;
    assert_string_equal(protocol_chosen(PROTOCOL_HTTP_1, SPAN("\x02h2")), "refused");
    assert_string_equal(protocol_chosen(PROTOCOL_HTTP_1 | PROTOCOL_H2, SPAN("\x03"
                                                                            "foo")),
                        "refused");
}

/* ---- the program ---- */

static int begin(void **state)
{
    if (fixture_begin(state) != 0)
        return -1;
    fixture_leaf("a", "DNS:a.test", NULL);
    fixture_leaf("b", "DNS:b.test,DNS:also-b.test", NULL);
    fixture_leaf("shouting", "DNS:LOUD.test", NULL);
    fixture_leaf("wild", "DNS:*.wild.test", NULL);
    fixture_leaf("wild-rsa", "DNS:*.wild.test", "RSA");
    fixture_leaf("exact", "DNS:exact.wild.test", NULL);
    fixture_leaf("exact-pss", "DNS:exact.wild.test", "RSA-PSS");
    fixture_leaf("exact-384", "DNS:exact.wild.test", "P-384");
    fixture_leaf("exact-ed", "DNS:exact.wild.test", "ED25519");
    fixture_leaf("partial", "DNS:f*.partial.test,DNS:x.*.partial.test", NULL);
    fixture_leaf("common.test", NULL, NULL);
    fixture_leaf("hidden.test", "DNS:seen.test", NULL);
    fixture_leaf("address", "DNS:address.test,IP:192.0.2.1,IP:2001:db8::1", NULL);
    fixture_leaf("both-rsa", "DNS:both.test", "RSA");
    fixture_leaf("both-ecdsa", "DNS:both.test", NULL);
    fixture_leaf("both-again", "DNS:both.test", NULL);
    fixture_leaf("both-ed", "DNS:both.test", "ED25519");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exact_name_is_served_by_its_certificate),
        cmocka_unit_test(names_differ_by_more_than_case),
        cmocka_unit_test(an_exact_name_goes_before_a_wildcard),
        cmocka_unit_test(a_wildcard_stands_for_one_label),
        cmocka_unit_test(a_wildcard_is_a_whole_label),
        cmocka_unit_test(names_of_the_file_replace_those_of_the_certificate),
        cmocka_unit_test(the_common_name_serves_only_without_alternative_names),
        cmocka_unit_test(each_of_many_names_is_found),
        cmocka_unit_test(an_address_of_a_certificate_is_no_name_to_ask_for),
        cmocka_unit_test(a_request_for_an_address_needs_a_certificate_that_has_it),
        cmocka_unit_test(the_first_certificate_serves_unknown_names_and_none),
        cmocka_unit_test(a_certificate_marked_default_serves_unknown_names_and_none),
        cmocka_unit_test(strict_sni_refuses_unknown_names_and_none),
        cmocka_unit_test(strict_sni_admits_only_hosts_of_the_certificate_shown),
        cmocka_unit_test(strict_sni_admits_hosts_by_names_of_the_file),
        cmocka_unit_test(any_host_is_admitted_unless_something_is_said),
        cmocka_unit_test(where_clients_show_certificates_hosts_are_of_the_name_asked_for),
        cmocka_unit_test(the_kind_shown_is_one_that_the_client_takes),
        cmocka_unit_test(up_to_tls_1_2_the_kind_is_of_the_ciphers_too),
        cmocka_unit_test(of_several_of_one_kind_the_first_is_shown),
        cmocka_unit_test(a_wildcard_helps_out_whom_the_exact_name_has_nothing_for),
        cmocka_unit_test(a_wildcard_does_not_stand_in_for_an_exact_name_of_another_kind),
        cmocka_unit_test(by_ciphers_of_tls_1_2_a_wildcard_helps_out_as_well),
        cmocka_unit_test(a_key_of_rsa_pss_goes_with_ciphers_of_rsa),
        cmocka_unit_test(a_key_of_rsa_pss_goes_with_no_cipher_of_ecdsa),
        cmocka_unit_test(a_key_of_ed25519_goes_with_ciphers_of_ecdsa),
        cmocka_unit_test(a_key_of_ed25519_is_for_those_who_take_its_signatures),
        cmocka_unit_test(a_curve_is_for_those_who_take_it),
        cmocka_unit_test(the_default_has_the_other_kinds_of_its_name_too),
        cmocka_unit_test(the_default_is_shown_to_all_who_can_use_it),
        cmocka_unit_test(no_other_name_helps_out),
        cmocka_unit_test(a_certificate_is_sent_with_its_chain),
        cmocka_unit_test(a_sweep_goes_beside_workers),
        cmocka_unit_test(of_the_protocols_offered_ours_is_the_order),
        cmocka_unit_test(a_client_that_offers_no_protocol_goes_on_without),
        cmocka_unit_test(who_offers_http_1_0_gets_it_where_http_1_is_spoken),
        cmocka_unit_test(protocols_that_are_not_spoken_are_refused),
    };
    return cmocka_run_group_tests_name("tls store", tests, begin, fixture_end);
}
