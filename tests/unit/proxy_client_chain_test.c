/*
 * Who the client is, by what trusted proxies tell (weir.yaml(5), Who is believed; RFC 7239): a stranger is
 * not believed, a trusted peer in one language; the chain is walked from its right end, scheme, host and port
 * are those of the client's hop, and what cannot be read goes with all before it.
 */
#include "proxy/client_chain.h"

#include <string.h>

#include "config/config.h"
#include "proxy_border_fixture.h"

#define STRANGER "192.0.2.7"
#define PROXY "10.0.0.1" /* that is trusted */

static int open_border(void **state)
{
    static struct border border;
    border_open(&border, "trusted_proxies: [10.0.0.0/8, \"2001:db8:a::/48\"]\n");
    *state = &border;
    return 0;
}

static int close_border(void **state)
{
    border_close(*state);
    return 0;
}

/* What came from a peer with such fields, by who it is said to be: "192.0.2.7 https", with " cut". */
static const char *client_seen(struct border *border, const char *peer, const char *fields)
{
    static char seen[256];
    char ip[ADDRESS_TEXT_MAX];
    border_receive(border, peer, fields);
    client_chain_find(&border->x, border->snapshot);
    snprintf(seen, sizeof seen, "%s %s%s", ip_address_print(&border->x.client, ip).at,
             border->x.https ? "https" : "http", border->x.chain_cut ? " cut" : "");
    return seen;
}

struct client_case {
    const char *fields, *client;
};

static void expect_clients(struct border *border, const struct client_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *seen = client_seen(border, PROXY, cases[i].fields);
        if (strcmp(seen, cases[i].client) != 0)
            fail_msg("%s%s instead of %s", cases[i].fields, seen, cases[i].client);
    }
}
#define EXPECT_CLIENTS(border, cases) expect_clients(border, cases, COUNT_OF(cases))

/* ---- who is believed ---- */

static void a_stranger_is_the_client_whatever_it_says(void **state)
{
    struct border *border = *state;
    static const char *const said[] = {
        "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Port: 1\r\n",
        "Forwarded: for=203.0.113.9;proto=https;host=evil.test\r\n", "X-Real-IP: 203.0.113.9\r\n"};
    for (size_t i = 0; i < COUNT_OF(said); i++) {
        assert_string_equal(client_seen(border, STRANGER, said[i]), "192.0.2.7 http");
        assert_false(border->x.peer_trusted);
        assert_int_equal(border->x.chain, CHAIN_NONE);
        assert_span(border->x.told_host, "");
        assert_int_equal(border->x.told_port, 0);
    }
}

static void a_trusted_peer_that_says_nothing_is_the_client(void **state)
{
    struct border *border = *state;
    assert_string_equal(client_seen(border, PROXY, ""), "10.0.0.1 http");
    assert_true(border->x.peer_trusted);
}

static void networks_of_ipv6_are_trusted_by_their_prefix(void **state)
{
    struct border *border = *state;
    assert_string_equal(client_seen(border, "2001:db8:a::1", "X-Forwarded-For: 192.0.2.7\r\n"),
                        "192.0.2.7 http");
    assert_string_equal(client_seen(border, "2001:db8:b::1", "X-Forwarded-For: 192.0.2.7\r\n"),
                        "2001:db8:b::1 http");
}

/* A socket of a file system has no address that a network could contain. */
static void peers_on_unix_sockets_are_trusted_by_their_own_word(void **state)
{
    struct border *border = *state, other;
    assert_string_equal(client_seen(border, "unix", "X-Forwarded-For: 192.0.2.7\r\n"), "unix http");
    border_open(&other, "trusted_proxies: [unix]\n");
    assert_string_equal(client_seen(&other, "unix", "X-Forwarded-For: 192.0.2.7\r\n"), "192.0.2.7 http");
    assert_string_equal(client_seen(&other, PROXY, "X-Forwarded-For: 192.0.2.7\r\n"), "10.0.0.1 http");
    border_close(&other);
}

static void without_trusted_proxies_nobody_is_believed(void **state)
{
    struct border open;
    (void)state;
    border_open(&open, "");
    assert_string_equal(client_seen(&open, "127.0.0.1", "X-Forwarded-For: 192.0.2.7\r\n"), "127.0.0.1 http");
    border_close(&open);
}

/* ---- the walk ---- */

static void the_first_from_the_right_that_is_not_trusted_is_the_client(void **state)
{
    static const struct client_case cases[] = {
        {"X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7 http"},
        {"X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n", "192.0.2.7 http"},
        {"X-Forwarded-For: 203.0.113.9, 192.0.2.7, 10.0.0.2, 2001:db8:a::3\r\n", "192.0.2.7 http"},
        {"X-Forwarded-For: 10.9.9.9, 192.0.2.7, 10.0.0.2\r\n", "192.0.2.7 http"}, /* nor what is before it */
        {"Forwarded: for=203.0.113.9, for=192.0.2.7, for=10.0.0.2\r\n", "192.0.2.7 http"},
        {"Forwarded: ;for=192.0.2.7;;proto=https;, for=10.0.0.2;\r\n", "192.0.2.7 https"}, /* RFC 7239 4 */
    };
    EXPECT_CLIENTS(*state, cases);
}

static void lines_are_one_list(void **state)
{
    static const struct client_case cases[] = {
        {"X-Forwarded-For: 203.0.113.9\r\nX-A: 1\r\nX-Forwarded-For: 192.0.2.7, 10.0.0.3\r\nX-Forwarded-For: 10.0.0.2\r\n",
         "192.0.2.7 http"},
        {"Forwarded: for=203.0.113.9\r\nForwarded: for=192.0.2.7;proto=https\r\nForwarded: for=10.0.0.2\r\n",
         "192.0.2.7 https"},
    };
    EXPECT_CLIENTS(*state, cases);
}

static void of_a_chain_that_is_trusted_whole_the_leftmost_is_the_client(void **state)
{
    static const struct client_case cases[] = {
        {"X-Forwarded-For: 10.0.0.4, 10.0.0.3, 10.0.0.2\r\n", "10.0.0.4 http"},
        {"Forwarded: for=10.0.0.4, for=10.0.0.3\r\n", "10.0.0.4 http"},
    };
    EXPECT_CLIENTS(*state, cases);
}

static void addresses_come_with_ports_and_brackets(void **state)
{
    static const struct client_case cases[] = {
        {"X-Forwarded-For: 192.0.2.7:4711\r\n", "192.0.2.7 http"},
        {"X-Forwarded-For: 2001:db8::7\r\n", "2001:db8::7 http"},
        {"X-Forwarded-For: [2001:db8::7]\r\n", "2001:db8::7 http"},
        {"X-Forwarded-For: [2001:db8::7]:4711\r\n", "2001:db8::7 http"},
        {"X-Forwarded-For: ::ffff:192.0.2.7, ::ffff:10.0.0.2\r\n", "192.0.2.7 http"},
        {"Forwarded: for=\"192.0.2.7:4711\"\r\n", "192.0.2.7 http"},
        {"Forwarded: for=\"[2001:db8::7]:4711\"\r\n", "2001:db8::7 http"},
        {"Forwarded: for=[2001:db8::7]\r\n", "2001:db8::7 http"}, /* as many write it */
        {"Forwarded: for=\"192.0\\.2.7\"\r\n", "192.0.2.7 http"}, /* RFC 9110 5.6.4 */
        {"Forwarded: for=\"[2001:db\\8::7]\\:80\", for=\"10.0\\.0.2\"\r\n", "2001:db8::7 http"},
    };
    EXPECT_CLIENTS(*state, cases);
}

/* RFC 7239 6: nobody knows who is before, so the nearest that is known counts. */
static void the_walk_ends_where_no_address_is_told(void **state)
{
    static const struct client_case cases[] = {
        {"X-Forwarded-For: 192.0.2.7, unknown, 10.0.0.2\r\n", "10.0.0.2 http"},
        {"X-Forwarded-For: 192.0.2.7, _hidden.1\r\n", "10.0.0.1 http"},
        {"Forwarded: for=192.0.2.7, for=Unknown, for=10.0.0.2\r\n", "10.0.0.2 http"},
        {"Forwarded: for=192.0.2.7;proto=https, , for=unknown, for=10.0.0.2\r\n", "10.0.0.2 http"},
    };
    EXPECT_CLIENTS(*state, cases);
}

/* Who hides the client, or says nothing of it, tells its scheme all the same (RFC 7239 4, 6.2, 6.3). */
static void the_scheme_is_told_without_an_address(void **state)
{
    static const struct client_case cases[] = {
        {"Forwarded: proto=https\r\n", "10.0.0.1 https"},
        {"Forwarded: for=unknown;proto=https\r\n", "10.0.0.1 https"},
        {"Forwarded: for=_gw1;proto=https;host=x.test\r\n", "10.0.0.1 https"},
        {"Forwarded: by=203.0.113.3;proto=https\r\n", "10.0.0.1 https"},
        {"Forwarded: for=192.0.2.7;proto=http, proto=https, for=10.0.0.2\r\n", "10.0.0.2 https"},
        {"Forwarded: proto=https, for=192.0.2.7;proto=http\r\n", "192.0.2.7 http"},
        {"Forwarded: proto=https, for=10.0.0.2;proto=http\r\n", "10.0.0.2 https"},
        {"X-Forwarded-For: unknown\r\nX-Forwarded-Proto: https\r\n", "10.0.0.1 https"},
        {"X-Forwarded-For: unknown, 10.0.0.2\r\nX-Forwarded-Proto: https, http\r\n", "10.0.0.2 https"},
    };
    EXPECT_CLIENTS(*state, cases);
}

/* RFC 7239 6: node-port = port / obfport. */
static void a_port_may_be_a_name(void **state)
{
    static const struct client_case cases[] = {
        {"Forwarded: for=\"192.0.2.7:_p\";proto=https\r\n", "192.0.2.7 https"},
        {"Forwarded: for=\"[2001:db8::7]:_p.1\"\r\n", "2001:db8::7 http"},
        {"Forwarded: for=\"[2001:db8::7]\"\r\n", "2001:db8::7 http"},
        {"Forwarded: for=\"192.0.2.7:\"\r\n", "10.0.0.1 http"},
        {"Forwarded: for=\"_a:_b\"\r\n", "10.0.0.1 http"},
    };
    EXPECT_CLIENTS(*state, cases);
}

/* RFC 9110 5.6.1.2, in both languages. */
static void an_empty_element_is_nobody(void **state)
{
    static const struct client_case cases[] = {
        {"Forwarded: for=192.0.2.7;proto=https, , for=10.0.0.2\r\n", "192.0.2.7 https"},
        {"Forwarded: for=192.0.2.7,\r\n", "192.0.2.7 http"},
        {"Forwarded: for=192.0.2.7\r\nForwarded: , for=10.0.0.2\r\n", "192.0.2.7 http"},
        {"Forwarded: for=192.0.2.7\r\nForwarded:\r\nForwarded: ,\r\n", "192.0.2.7 http"},
        {"X-Forwarded-For: 192.0.2.7,\r\n", "192.0.2.7 http"},
        {"X-Forwarded-For: 192.0.2.7,,10.0.0.2\r\nX-Forwarded-Proto: https, http\r\n", "192.0.2.7 https"},
        {"X-Forwarded-For: ,192.0.2.7 ,\t, 10.0.0.2\r\n", "192.0.2.7 http"},
        {"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For:\r\nX-Forwarded-For: ,\r\n", "192.0.2.7 http"},
        {"X-Forwarded-For: 192.0.2.7,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\r\n", "192.0.2.7 http"},
    };
    EXPECT_CLIENTS(*state, cases);
}

static void expect_nearest(struct border *border, unsigned proxies, const char *client)
{
    char lines[4096];
    for (unsigned as_forwarded = 0; as_forwarded < 2; as_forwarded++) {
        const char *word = as_forwarded ? "for=" : "";
        struct text text = text_over(lines, sizeof lines);
        text_print(&text, "%s: %s192.0.2.7", as_forwarded ? "Forwarded" : "X-Forwarded-For", word);
        for (unsigned i = 0; i < proxies; i++)
            text_print(&text, ", %s10.0.1.%u", word, i);
        text_print(&text, "\r\n");
        text_char(&text, '\0');
        assert_false(text.cut);
        assert_string_equal(client_seen(border, PROXY, lines), client);
    }
}

static void of_a_chain_the_32_nearest_count(void **state)
{
    expect_nearest(*state, 31, "192.0.2.7 http");
    expect_nearest(*state, 32, "10.0.1.0 http cut");
    expect_nearest(*state, 100, "10.0.1.68 http cut");
}

/* ---- one language ---- */

static void x_forwarded_takes_the_place_of_forwarded(void **state)
{
    struct border *border = *state;
    static const struct client_case cases[] = {
        {"Forwarded: for=203.0.113.9;proto=https\r\nX-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7 http"},
        {"Forwarded: for=203.0.113.9;proto=http\r\nX-Forwarded-Proto: https\r\n", "10.0.0.1 https"},
    };
    EXPECT_CLIENTS(border, cases);
    assert_int_equal(border->x.chain, CHAIN_X_FORWARDED);
    assert_told(border, "Forwarded", "(none)");
}

static void forwarded_counts_alone(void **state)
{
    struct border *border = *state;
    static const struct client_case cases[] = {
        {"Forwarded: for=192.0.2.7;proto=https;host=a.test\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Port: 1\r\n",
         "192.0.2.7 https"}};
    EXPECT_CLIENTS(border, cases);
    assert_int_equal(border->x.chain, CHAIN_FORWARDED);
    assert_span(border->x.told_host, "a.test");
    assert_int_equal(border->x.told_port, 0);
    assert_told(border, "X-Forwarded-Host", "(none)");
    assert_told(border, "X-Forwarded-Port", "(none)");
}

/* ---- how the client came ---- */

static void the_scheme_is_that_of_the_clients_hop(void **state)
{
    static const struct client_case cases[] = {
        {"X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\nX-Forwarded-Proto: https, http\r\n", "192.0.2.7 http"},
        {"X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\nX-Forwarded-Proto: http, https\r\n", "192.0.2.7 https"},
        {"X-Forwarded-For: 192.0.2.7, 10.0.0.2\r\nX-Forwarded-Proto: https, http\r\n", "192.0.2.7 https"},
        {"X-Forwarded-For: 192.0.2.7, 10.0.0.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n",
         "192.0.2.7 https"},
        {"X-Forwarded-For: 192.0.2.7, 10.0.0.2\r\nX-Forwarded-Proto: https\r\n",
         "192.0.2.7 https"}, /* for all */
        {"Forwarded: for=203.0.113.9;proto=https, for=192.0.2.7;proto=http, for=10.0.0.2;proto=https\r\n",
         "192.0.2.7 http"},
    };
    EXPECT_CLIENTS(*state, cases);
}

static void an_empty_value_is_no_hops(void **state)
{
    static const struct client_case cases[] = {
        {"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http, https,\r\n", "192.0.2.7 https"},
        {"X-Forwarded-For: 192.0.2.7, 10.0.0.2\r\nX-Forwarded-Proto: https, , http\r\n", "192.0.2.7 https"},
    };
    EXPECT_CLIENTS(*state, cases);
}

static void schemes_of_websockets_stand_for_those_of_http(void **state)
{
    static const struct client_case cases[] = {
        {"X-Forwarded-Proto: wss\r\n", "10.0.0.1 https"},
        {"X-Forwarded-Proto: HTTPS\r\n", "10.0.0.1 https"},
        {"Forwarded: for=192.0.2.7;proto=WSS\r\n", "192.0.2.7 https"},
        {"Forwarded: for=192.0.2.7;proto=\"wss\"\r\n", "192.0.2.7 https"},
        {"Forwarded: for=192.0.2.7;proto=\"\\w\\ss\"\r\n", "192.0.2.7 https"},
        {"X-Forwarded-Proto: ws\r\n", "10.0.0.1 http"},
    };
    EXPECT_CLIENTS(*state, cases);
}

/* From a connection over TLS: what is told takes its place, and what is none of these does not. */
static void a_scheme_that_is_none_says_nothing(void **state)
{
    struct border *border = *state;
    static const struct {
        const char *fields;
        bool https;
    } cases[] = {
        {"", true},
        {"X-Forwarded-Proto: gopher\r\n", true},
        {"X-Forwarded-Proto: \"http\"\r\n", true},
        {"Forwarded: for=192.0.2.7\r\n", true},
        {"X-Forwarded-Proto: http\r\n", false},
        {"X-Forwarded-Proto: ws\r\n", false},
        {"Forwarded: for=192.0.2.7;proto=http\r\n", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        border_receive(border, PROXY, cases[i].fields);
        border->x.https = true;
        client_chain_find(&border->x, border->snapshot);
        if (border->x.https != cases[i].https)
            fail_msg("%s: %s", cases[i].fields, border->x.https ? "https" : "http");
    }
}

static void expect_host(struct border *border, const char *fields, const char *host)
{
    (void)client_seen(border, PROXY, fields);
    struct span seen = border->x.told_host;
    if (!span_is(seen, host))
        fail_msg("%s\"%.*s\" instead of \"%s\"", fields, (int)seen.length, seen.at != NULL ? seen.at : "",
                 host);
}

static void the_host_is_that_of_the_clients_hop(void **state)
{
    struct border *border = *state;
    expect_host(border, "X-Forwarded-Host: a.test\r\n", "a.test");
    expect_host(border, "X-Forwarded-For: 192.0.2.7, 10.0.0.2\r\nX-Forwarded-Host: a.test, b.test\r\n",
                "a.test");
    expect_host(border, "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: evil.test, b.test\r\n", "b.test");
    expect_host(border, "Forwarded: for=192.0.2.7;host=a.test, for=10.0.0.2;host=b.test\r\n", "a.test");
    expect_host(border, "Forwarded: for=192.0.2.7, for=10.0.0.2;host=b.test\r\n", "");
}

static void a_host_has_its_normal_form(void **state)
{
    struct border *border = *state;
    expect_host(border, "X-Forwarded-Host: A.Test.:8443\r\n", "a.test:8443");
    expect_host(border, "Forwarded: for=192.0.2.7;host=\"[0::1]:80\"\r\n", "[::1]:80");
    expect_host(border, "Forwarded: for=192.0.2.7;host=\"a\\.te\\st\"\r\n", "a.test"); /* RFC 9110 5.6.4 */
}

static void a_host_that_is_none_says_nothing(void **state)
{
    struct border *border = *state;
    static const char *const none[] = {"X-Forwarded-Host: a..test\r\n",
                                       "X-Forwarded-Host: a\"b\r\n",
                                       "X-Forwarded-Host: a/b\r\n",
                                       "X-Forwarded-Host: a\\.test\r\n", /* no quotes, no escapes */
                                       "X-Forwarded-Host: a.test:99999\r\n",
                                       "Forwarded: for=192.0.2.7;host=\"a b\"\r\n",
                                       "Forwarded: for=192.0.2.7;host=\"\"\r\n"};
    for (size_t i = 0; i < COUNT_OF(none); i++)
        expect_host(border, none[i], "");
}

static void expect_port(struct border *border, const char *fields, unsigned port)
{
    (void)client_seen(border, PROXY, fields);
    if (border->x.told_port != port)
        fail_msg("%s%u instead of %u", fields, border->x.told_port, port);
}

static void the_port_is_that_of_the_clients_hop(void **state)
{
    struct border *border = *state;
    expect_port(border, "X-Forwarded-Port: 8443\r\n", 8443);
    expect_port(border, "X-Forwarded-For: 192.0.2.7, 10.0.0.2\r\nX-Forwarded-Port: 443, 80\r\n", 443);
    expect_port(border, "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Port: 443, 80\r\n", 80);
    expect_port(border, "X-Forwarded-Port: 65535\r\n", 65535);
}

static void a_port_that_is_none_says_nothing(void **state)
{
    struct border *border = *state;
    static const char *const none[] = {"65536", "65616", "-1", "80a", "\"80\"", "0", ""};
    char line[64];
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        snprintf(line, sizeof line, "X-Forwarded-Port: %s\r\n", none[i]);
        expect_port(border, line, 0);
    }
}

/* ---- what is left for conditions ---- */

static void conditions_see_what_is_believed(void **state)
{
    struct border *border = *state;
    (void)client_seen(
        border, PROXY,
        "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http, WSS\r\nX-Forwarded-Host: b.test, A.Test\r\n"
        "X-Forwarded-Host: A.Test.\r\nX-Forwarded-Port: 00443\r\n");
    assert_told(border, "X-Forwarded-Proto", "https");
    assert_told(border, "X-Forwarded-Host", "a.test");
    assert_told(border, "X-Forwarded-Port", "443");
}

static void what_says_nothing_is_not_seen(void **state)
{
    struct border *border = *state;
    (void)client_seen(border, PROXY,
                      "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: a..test\r\nX-Forwarded-Port: x\r\n");
    assert_told(border, "X-Forwarded-Proto", "(none)");
    assert_told(border, "X-Forwarded-Host", "(none)");
    assert_told(border, "X-Forwarded-Port", "(none)");
}

static void a_real_ip_that_is_no_address_or_another_says_nothing(void **state)
{
    struct border *border = *state;
    (void)client_seen(border, PROXY, "X-Real-IP: 192.0.2.7\r\n");
    assert_told(border, "X-Real-IP", "192.0.2.7");
    (void)client_seen(border, PROXY, "X-Real-IP: 192.0.2.7\r\nX-Forwarded-For: 192.0.2.7\r\n");
    assert_told(border, "X-Real-IP", "192.0.2.7");
    (void)client_seen(border, PROXY, "X-Real-IP: 192.0.2.7\r\nForwarded: for=192.0.2.7\r\n");
    assert_told(border, "X-Real-IP", "192.0.2.7");
    static const char *const none[] = {"X-Real-IP: 192.0.2.8\r\nX-Forwarded-For: 192.0.2.7\r\n",
                                       "X-Real-IP: 192.0.2.8\r\nForwarded: for=192.0.2.7\r\n",
                                       "X-Real-IP: me\r\n", "X-Real-IP: 192.0.2.7, 192.0.2.8\r\n",
                                       "X-Real-IP: 192.0.2.7\r\nX-Real-IP: 192.0.2.8\r\n"};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        (void)client_seen(border, PROXY, none[i]);
        assert_told(border, "X-Real-IP", "(none)");
    }
}

static void an_id_is_seen_once_and_only_if_it_is_sane(void **state)
{
    struct border *border = *state;
    (void)client_seen(border, PROXY, "X-Request-Id: one\r\nX-Request-Id: two\r\n");
    assert_told(border, "X-Request-Id", "one");
    (void)client_seen(border, PROXY, "X-Request-Id: a b\r\n");
    assert_int_equal(strlen(border_seen(border, &border->x.request.fields, "X-Request-Id")), 32);
}

/* ---- what cannot be read ---- */

/* It goes with all before it, since a stranger may have written that; what stands behind is kept. */
static void expect_kept(struct border *border, const char *name, const char *lines, const char *kept)
{
    (void)client_seen(border, PROXY, lines);
    const char *seen = border_seen(border, &border->x.request.fields, name);
    if (strcmp(seen, kept) != 0 || !border->x.chain_cut)
        fail_msg("%s\"%s\"%s instead of \"%s\"", lines, seen, border->x.chain_cut ? "" : ", not cut", kept);
}

static void what_cannot_be_read_of_forwarded_goes_with_all_before_it(void **state)
{
    static const struct {
        const char *lines, *kept;
    } cases[] = {
        /* a quote that is open would swallow what is behind it */
        {"Forwarded: for=203.0.113.9;x=\", for=192.0.2.7\r\n", "for=192.0.2.7"},
        {"Forwarded: for=203.0.113.9;x=\"\r\nForwarded: for=192.0.2.7;proto=https\r\n",
         "for=192.0.2.7;proto=https"},
        {"Forwarded: for=203.0.113.9\", for=\"192.0.2.7\"\r\n", "for=\"192.0.2.7\""},
        {"Forwarded: for=203.0.113.9;x=\"a\r\n", "(none)"},
        /* a parameter that stands twice */
        {"Forwarded: for=203.0.113.9;For=10.0.0.2, for=192.0.2.7\r\n", "for=192.0.2.7"},
        {"Forwarded: proto=http;for=203.0.113.9;proto=https, for=192.0.2.7\r\n", "for=192.0.2.7"},
        /* what is no pair, no token and no value */
        {"Forwarded: for, for=192.0.2.7\r\n", "for=192.0.2.7"},
        {"Forwarded: for=203.0.113.9; ;for, for=192.0.2.7\r\n", "for=192.0.2.7"},
        {"Forwarded: =203.0.113.9, for=192.0.2.7\r\n", "for=192.0.2.7"},
        {"Forwarded: f r=203.0.113.9, for=192.0.2.7\r\n", "for=192.0.2.7"},
        {"Forwarded: for=, for=192.0.2.7\r\n", "for=192.0.2.7"},
        {"Forwarded: for=203.0.113.9 for=10.0.0.2, for=192.0.2.7\r\n", "for=192.0.2.7"},
        {"Forwarded: for=\"203.0.113.9\"x, for=192.0.2.7\r\n", "for=192.0.2.7"},
        /* of lines, all before the one that it stands in */
        {"Forwarded: for=203.0.113.9\r\nForwarded: for, for=192.0.2.7\r\nForwarded: for=10.0.0.2\r\n",
         "for=192.0.2.7 | for=10.0.0.2"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_kept(*state, "Forwarded", cases[i].lines, cases[i].kept);
}

static void what_is_no_address_of_a_chain_goes_with_all_before_it(void **state)
{
    static const struct {
        const char *lines, *kept;
    } cases[] = {
        {"X-Forwarded-For: 203.0.113.9, <b>, 192.0.2.7\r\n", "192.0.2.7"},
        {"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: \"\r\nX-Forwarded-For: 192.0.2.7\r\n",
         "192.0.2.7"},
        {"X-Forwarded-For: 203.0.113.9, _, 192.0.2.7\r\n", "192.0.2.7"},
        {"X-Forwarded-For: 203.0.113.9, _a/b, 192.0.2.7\r\n", "192.0.2.7"},
        {"X-Forwarded-For: 203.0.113.9, for=10.0.0.2\r\n", "(none)"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_kept(*state, "X-Forwarded-For", cases[i].lines, cases[i].kept);
}

static void what_can_be_read_stays_as_it_was_written(void **state)
{
    struct border *border = *state;
    static const char *const chains[] = {
        "for=192.0.2.7;proto=https;by=\"a,b;c\\\"d\";ext=x",
        "For=unknown, for=_hidden.1, for=\"192.0.2.7:80\"",
        "for=192.0.2.7 ; proto=http , for=10.1.1.1",
        "for=\"[2001:db8::7]\";host=\"a.test:80\"",
        "secret=x;x=y",
        ";for=192.0.2.7;; proto=https ;",
    };
    char line[256];
    for (size_t i = 0; i < COUNT_OF(chains); i++) {
        snprintf(line, sizeof line, "Forwarded: %s\r\n", chains[i]);
        (void)client_seen(border, PROXY, line);
        assert_told(border, "Forwarded", chains[i]);
        assert_false(border->x.chain_cut);
    }
}

/* ---- elements and parameters ---- */

static void a_comma_in_quotes_parts_no_elements(void **state)
{
    (void)state;
    struct span list = SPAN("for=a, by=\"b, \\\"c\" ,for=d");
    assert_span(client_chain_cut_last(&list), "for=d");
    assert_span(client_chain_cut_last(&list), "by=\"b, \\\"c\"");
    assert_span(client_chain_cut_last(&list), "for=a");
    assert_int_equal(list.length, 0);
}

static void a_parameter_is_found_by_its_name_in_any_case(void **state)
{
    struct border *border = *state;
    border_receive(border, PROXY, "");
    static const struct {
        const char *element, *value; /* of "for"; NULL: none */
    } cases[] = {
        {"for=a", "a"},
        {"proto=http; FOR=a;host=b", "a"},
        {"by=\"x;for=b\";for=\"a\"", "a"}, /* a semicolon in quotes parts none */
        {"for=\"a;b=c\"", "a;b=c"},
        {"for=\"\"", ""},
        {"for=\"\\a\\\\b\\\"\"", "a\\b\""},
        {";by=b;;for=a;", "a"},
        {"before=a;fo=b", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct span value = client_chain_parameter(span_of(cases[i].element), SPAN("for"), border->x.arena);
        assert_int_equal(value.at == NULL, cases[i].value == NULL);
        assert_span(value, cases[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stranger_is_the_client_whatever_it_says),
        cmocka_unit_test(a_trusted_peer_that_says_nothing_is_the_client),
        cmocka_unit_test(networks_of_ipv6_are_trusted_by_their_prefix),
        cmocka_unit_test(peers_on_unix_sockets_are_trusted_by_their_own_word),
        cmocka_unit_test(without_trusted_proxies_nobody_is_believed),
        cmocka_unit_test(the_first_from_the_right_that_is_not_trusted_is_the_client),
        cmocka_unit_test(lines_are_one_list),
        cmocka_unit_test(of_a_chain_that_is_trusted_whole_the_leftmost_is_the_client),
        cmocka_unit_test(addresses_come_with_ports_and_brackets),
        cmocka_unit_test(the_walk_ends_where_no_address_is_told),
        cmocka_unit_test(the_scheme_is_told_without_an_address),
        cmocka_unit_test(a_port_may_be_a_name),
        cmocka_unit_test(an_empty_element_is_nobody),
        cmocka_unit_test(of_a_chain_the_32_nearest_count),
        cmocka_unit_test(x_forwarded_takes_the_place_of_forwarded),
        cmocka_unit_test(forwarded_counts_alone),
        cmocka_unit_test(the_scheme_is_that_of_the_clients_hop),
        cmocka_unit_test(an_empty_value_is_no_hops),
        cmocka_unit_test(schemes_of_websockets_stand_for_those_of_http),
        cmocka_unit_test(a_scheme_that_is_none_says_nothing),
        cmocka_unit_test(the_host_is_that_of_the_clients_hop),
        cmocka_unit_test(a_host_has_its_normal_form),
        cmocka_unit_test(a_host_that_is_none_says_nothing),
        cmocka_unit_test(the_port_is_that_of_the_clients_hop),
        cmocka_unit_test(a_port_that_is_none_says_nothing),
        cmocka_unit_test(conditions_see_what_is_believed),
        cmocka_unit_test(what_says_nothing_is_not_seen),
        cmocka_unit_test(a_real_ip_that_is_no_address_or_another_says_nothing),
        cmocka_unit_test(an_id_is_seen_once_and_only_if_it_is_sane),
        cmocka_unit_test(what_cannot_be_read_of_forwarded_goes_with_all_before_it),
        cmocka_unit_test(what_is_no_address_of_a_chain_goes_with_all_before_it),
        cmocka_unit_test(what_can_be_read_stays_as_it_was_written),
        cmocka_unit_test(a_comma_in_quotes_parts_no_elements),
        cmocka_unit_test(a_parameter_is_found_by_its_name_in_any_case),
    };
    return cmocka_run_group_tests_name("client chain", tests, open_border, close_border);
}
