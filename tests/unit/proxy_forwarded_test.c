/*
 * What heads become at the border: what belongs to one connection goes no further (RFC 9110 7.6.1), what
 * strangers say of who they are is dropped, and servers are told it by weir, in X-Forwarded-*, Forwarded (RFC
 * 7239), Via (RFC 9110 7.6.3) and X-Request-Id. Trailers, responses and Max-Forwards (RFC 9110 7.6.2)
 * besides. Who is believed is proxy_client_chain_test.c's.
 */
#include "proxy/forwarded.h"

#include <ctype.h>
#include <string.h>

#include "config/config.h"
#include "proxy_border_fixture.h"

#define TRUSTED "trusted_proxies: [10.0.0.0/8, \"2001:db8:a::/48\", unix]\n"
#define STRANGER "192.0.2.7"
#define PROXY "10.0.0.1" /* that is trusted */

static int open_border(void **state)
{
    static struct border border;
    border_open(&border, TRUSTED "limits: { underscore_names: true }");
    *state = &border;
    return 0;
}

static int close_border(void **state)
{
    border_close(*state);
    return 0;
}

/* ---- hop by hop ---- */

static const char *const names_of_one_connection[] = {
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "Proxy",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Authentication-Info",
    "TE",
    "Upgrade",
    "HTTP2-Settings",
};

static void fields_of_one_connection_go_no_further(void **state)
{
    struct border *border = *state;
    char line[128];
    for (size_t i = 0; i < COUNT_OF(names_of_one_connection); i++) {
        const char *name = names_of_one_connection[i];
        snprintf(line, sizeof line, "%s: trailers\r\nX-End: 1\r\n", name);
        border_take(border, STRANGER, line);
        assert_told(border, name, "(none)");
        assert_told(border, "X-End", "1");
    }
}

static void those_of_a_response_neither(void **state)
{
    struct border *border = *state;
    char line[128];
    for (size_t i = 0; i < COUNT_OF(names_of_one_connection); i++) {
        const char *name = names_of_one_connection[i];
        border_receive(border, STRANGER, "");
        snprintf(line, sizeof line, "%s: a\r\nX-End: 1\r\n", name);
        border_answer(border, line);
        assert_int_equal(forwarded_strip(&border->x.response, CLAIMS_OF_SERVER, border->x.arena),
                         FAILURE_NONE);
        assert_answered(border, name, "(none)");
        assert_answered(border, "X-End", "1");
    }
}

static void all_others_stay_as_they_came_and_in_their_order(void **state)
{
    struct border *border = *state;
    border_take(
        border, STRANGER,
        "accept: */*\r\nConnection: close\r\nCOOKIE: a=1\r\nKeep-Alive: 5\r\nX-A: 1\r\nAuthorization: Basic YQ==\r\n"
        "X-a: 2\r\nVia: 1.0 old\r\n");
    assert_string_equal(border_names(border, &border->x.request.fields),
                        "accept COOKIE X-A Authorization X-a Via");
    assert_told(border, "x-a", "1 | 2");
}

static void what_connection_names_goes_with_it(void **state)
{
    struct border *border = *state;
    border_take(
        border, STRANGER,
        "X-One: 1\r\nConnection: x-one, close,, X-TWO\r\nX-Two: 2\r\nX-Two: 3\r\nConnection:\tcookie\r\n"
        "Cookie: a=1\r\nX-Three: 3\r\n");
    assert_string_equal(border_names(border, &border->x.request.fields), "X-Three");
}

static void what_connection_of_a_response_names_goes_with_it(void **state)
{
    struct border *border = *state;
    border_receive(border, STRANGER, "");
    border_answer(border, "Connection: x-one\r\nX-One: 1\r\nX-Two: 2\r\n");
    assert_int_equal(forwarded_strip(&border->x.response, CLAIMS_OF_SERVER, border->x.arena), FAILURE_NONE);
    assert_string_equal(border_names(border, &border->x.response.fields), "X-Two");
}

/* A client behind a proxy could else have its own address taken out of what the proxy asserts. */
static void connection_cannot_name_away_what_is_asserted(void **state)
{
    struct border *border = *state;
    static const char *const asserted[] = {"Via",
                                           "Forwarded",
                                           "X-Forwarded-For",
                                           "X-Forwarded-Proto",
                                           "X-Forwarded-Host",
                                           "X-Forwarded-Port",
                                           "X-Real-IP",
                                           "X-Request-Id"};
    static const char *const values[] = {"1.1 a", "for=192.0.2.7", "192.0.2.7",      "http", "shop.test",
                                         "80",    "192.0.2.7",     "id-of-the-proxy"};
    char lines[256];
    for (size_t i = 0; i < COUNT_OF(asserted); i++) {
        snprintf(lines, sizeof lines, "Connection: %s, x-hop\r\n%s: %s\r\nX-Hop: 1\r\n", asserted[i],
                 asserted[i], values[i]);
        border_receive(border, PROXY, lines);
        assert_int_equal(forwarded_strip(&border->x.request, CLAIMS_KEPT, border->x.arena), FAILURE_NONE);
        assert_told(border, asserted[i], values[i]);
        assert_told(border, "X-Hop", "(none)");
    }
}

/* weir.yaml(5), TRAILERS: a head whose Connection names more than 32 others is malformed. */
static enum failure strip_with_names(struct border *border, unsigned count)
{
    char lines[2048];
    struct text text = text_over(lines, sizeof lines);
    for (unsigned i = 0; i < count; i++) /* in two lines, with what does not count */
        text_print(&text, "%s%sx-%u", i == 0 ? "Connection: close, te, via" : "",
                   i == 20 ? "\r\nConnection: keep-alive," : ",", i);
    text_print(&text, "\r\nX-31: a\r\n");
    text_char(&text, '\0');
    assert_false(text.cut);
    border_receive(border, STRANGER, lines);
    return border_enter(border);
}

static void connection_names_32_fields(void **state)
{
    struct border *border = *state;
    assert_int_equal(strip_with_names(border, 32), FAILURE_NONE);
    assert_told(border, "X-31", "(none)");
}

static void a_head_whose_connection_names_more_is_malformed(void **state)
{
    struct border *border = *state;
    assert_int_equal(strip_with_names(border, 33), FAILURE_BAD_REQUEST);
}

/* ---- what strangers say of themselves ---- */

static const char *const claims[] = {
    "Forwarded",          "X-Forwarded-For",    "X-Forwarded-Proto",
    "X-Forwarded-Host",   "X-Forwarded-Port",   "X-Real-IP",
    "X-Request-Id",       "X-Attempt",          "X-Envoy-Attempt-Count",
    "X-Forwarded-Server", "x-forwarded-prefix",
};
/* As a server of the CGI kind reads them; X_Real_IP and the like end in the parser. */
static const char *const folded_claims[] = {"X_Forwarded_Prefix", "x.forwarded.server", "X_Attempt",
                                            "x-envoy_attempt-count"};

static void claims_of_a_stranger_are_dropped(void **state)
{
    struct border *border = *state;
    char line[64];
    for (size_t i = 0; i < COUNT_OF(claims); i++) {
        snprintf(line, sizeof line, "%s: 1\r\n", claims[i]);
        border_take(border, STRANGER, line);
        assert_told(border, claims[i], "(none)");
    }
}

static void spellings_that_servers_take_for_claims_are_dropped_of_a_stranger(void **state)
{
    struct border *border = *state;
    char line[64];
    for (size_t i = 0; i < COUNT_OF(folded_claims); i++) {
        snprintf(line, sizeof line, "%s: 1\r\n", folded_claims[i]);
        border_take(border, STRANGER, line);
        assert_told(border, folded_claims[i], "(none)");
    }
}

/* A trusted proxy has no reason to spell its own so: they are its client's. */
static void those_spellings_are_dropped_of_a_trusted_proxy_too(void **state)
{
    struct border *border = *state;
    char line[64];
    for (size_t i = 0; i < COUNT_OF(folded_claims); i++) {
        snprintf(line, sizeof line, "%s: 1\r\n", folded_claims[i]);
        border_take(border, PROXY, line);
        assert_told(border, folded_claims[i], "(none)");
    }
}

static void other_claims_of_a_trusted_proxy_stay(void **state)
{
    struct border *border = *state;
    border_take(border, PROXY, "X-Forwarded-Prefix: /shop\r\nX-Attempt: 2\r\nX-Real-IP: 192.0.2.7\r\n");
    assert_string_equal(border_names(border, &border->x.request.fields),
                        "X-Forwarded-Prefix X-Attempt X-Real-IP");
}

static void names_that_only_resemble_claims_stay(void **state)
{
    struct border *border = *state;
    border_take(border, STRANGER, "X-Forward: 1\r\nX-Real-IPs: 1\r\nX-Request: 1\r\nX-Attempts: 1\r\n");
    assert_string_equal(border_names(border, &border->x.request.fields),
                        "X-Forward X-Real-IPs X-Request X-Attempts");
}

static void what_a_server_says_of_itself_stays(void **state)
{
    struct border *border = *state;
    border_receive(border, STRANGER, "");
    border_answer(border, "X-Request-Id: a\r\nX-Forwarded-For: b\r\nX_Real_IP: c\r\n");
    assert_int_equal(forwarded_strip(&border->x.response, CLAIMS_OF_SERVER, border->x.arena), FAILURE_NONE);
    assert_string_equal(border_names(border, &border->x.response.fields),
                        "X-Request-Id X-Forwarded-For X_Real_IP");
}

/* ---- what servers are told of a client that comes straight ---- */

static void a_stranger_is_told_by_its_address(void **state)
{
    struct border *border = *state;
    border_forward(border, STRANGER, "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n");
    assert_told(border, "X-Forwarded-For", STRANGER);
    assert_told(border, "X-Real-IP", STRANGER);
    assert_told(border, "Forwarded", "for=192.0.2.7;proto=http;host=\"shop.test\"");
}

/* RFC 7239 6: in brackets, and so in quotes. */
static void an_ipv6_address_is_quoted_in_forwarded_alone(void **state)
{
    struct border *border = *state;
    border_forward(border, "2001:db8::7", "");
    assert_told(border, "X-Forwarded-For", "2001:db8::7");
    assert_told(border, "X-Real-IP", "2001:db8::7");
    assert_told(border, "Forwarded", "for=\"[2001:db8::7]\";proto=http;host=\"shop.test\"");
}

static void a_peer_without_an_address_is_unknown(void **state)
{
    struct border *border = *state;
    border_forward(border, "unix", "");
    assert_told(border, "X-Forwarded-For", "unknown");
    assert_told(border, "Forwarded", "for=unknown;proto=http;host=\"shop.test\"");
}

static void a_client_without_an_address_has_no_real_ip(void **state)
{
    struct border *border = *state;
    border_forward(border, "unix", "");
    assert_told(border, "X-Real-IP", "(none)");
    border_forward(border, "unix", "X-Real-IP: 192.0.2.7\r\n"); /* of a proxy that does not say who it is */
    assert_told(border, "X-Real-IP", "(none)");
}

static void the_scheme_is_that_of_the_connection(void **state)
{
    struct border *border = *state;
    border_receive(border, STRANGER, "X-Forwarded-Proto: http\r\n");
    border->x.tls = border->x.https = true;
    assert_int_equal(border_enter(border), FAILURE_NONE);
    assert_true(forwarded_add(&border->x, TELL_ALL));
    assert_told(border, "X-Forwarded-Proto", "https");
    assert_told(border, "X-Forwarded-Port", "443");
    assert_told(border, "Forwarded", "for=192.0.2.7;proto=https;host=\"shop.test\"");
}

static void the_host_is_that_which_was_asked_for(void **state)
{
    struct border *border = *state;
    border_receive_line(border, STRANGER, "GET / HTTP/1.1", "Host: Shop.Test.:8080\r\n");
    assert_int_equal(border_enter(border), FAILURE_NONE);
    assert_true(forwarded_add(&border->x, TELL_ALL));
    assert_told(border, "X-Forwarded-Host", "shop.test:8080");
    assert_told(border, "X-Forwarded-Port", "8080");
    assert_told(border, "Forwarded", "for=192.0.2.7;proto=http;host=\"shop.test:8080\"");
}

static void of_a_host_that_was_not_given_nothing_is_told(void **state)
{
    struct border *border = *state;
    border_receive_line(border, STRANGER, "GET / HTTP/1.0", "");
    assert_int_equal(border_enter(border), FAILURE_NONE);
    assert_true(forwarded_add(&border->x, TELL_ALL));
    assert_told(border, "X-Forwarded-Host", "(none)");
    assert_told(border, "X-Forwarded-Port", "80");
    assert_told(border, "Forwarded", "for=192.0.2.7;proto=http");
}

static void via_tells_the_version_that_the_request_came_in(void **state)
{
    struct border *border = *state;
    border_forward(border, STRANGER, "");
    assert_told(border, "Via", "1.1 weir");
    border_take(border, STRANGER, "");
    border->x.http2 = true;
    assert_true(forwarded_add(&border->x, TELL_ALL));
    assert_told(border, "Via", "2.0 weir");
}

static void via_stands_behind_those_of_others(void **state)
{
    struct border *border = *state;
    border_forward(border, STRANGER, "Via: 1.0 fred, 1.1 p.test\r\n");
    assert_told(border, "Via", "1.0 fred, 1.1 p.test | 1.1 weir");
}

static void an_id_of_a_stranger_is_replaced_by_32_hex_digits(void **state)
{
    struct border *border = *state;
    border_forward(border, STRANGER, "X-Request-Id: mine\r\n");
    const char *id = border_seen(border, &border->x.request.fields, "X-Request-Id");
    assert_int_equal(strlen(id), 32);
    for (size_t i = 0; i < 32; i++)
        assert_true(isxdigit((unsigned char)id[i]));
}

static void an_id_of_a_trusted_proxy_goes_on_once(void **state)
{
    struct border *border = *state;
    border_forward(border, PROXY, "X-Request-Id: one\r\nX-Request-Id: two\r\n");
    assert_told(border, "X-Request-Id", "one");
}

/* weir.yaml(5), forwarding. X-Request-Id is always there. */
static void each_is_sent_by_its_own_choice(void **state)
{
    struct border *border = *state;
    static const struct {
        unsigned choice;
        const char *names;
    } cases[] = {
        {0, "X-Request-Id"},
        {FORWARDING_FOR, "X-Forwarded-For X-Request-Id"},
        {FORWARDING_PROTO, "X-Forwarded-Proto X-Request-Id"},
        {FORWARDING_HOST, "X-Forwarded-Host X-Request-Id"},
        {FORWARDING_PORT, "X-Forwarded-Port X-Request-Id"},
        {FORWARDING_FORWARDED, "Forwarded X-Request-Id"},
        {FORWARDING_VIA, "Via X-Request-Id"},
        {FORWARDING_REAL_IP, "X-Request-Id X-Real-IP"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        border_take(border, STRANGER, "");
        assert_true(forwarded_add(&border->x, cases[i].choice));
        assert_string_equal(border_names(border, &border->x.request.fields), cases[i].names);
    }
}

/* ---- behind a trusted proxy ---- */

static void a_chain_of_a_trusted_proxy_is_extended_in_one_line(void **state)
{
    struct border *border = *state;
    border_forward(border, PROXY, "X-Forwarded-For: 203.0.113.9\r\nX-A: 1\r\nX-Forwarded-For: 192.0.2.7\r\n");
    assert_told(border, "X-Forwarded-For", "203.0.113.9, 192.0.2.7, 10.0.0.1");
    assert_told(border, "X-Real-IP", "192.0.2.7");
}

/* Of each hop the address, of the client's how it came besides: what was said of others is not known. */
static void forwarded_is_made_of_the_chain(void **state)
{
    struct border *border = *state;
    border_forward(border, PROXY,
                   "X-Forwarded-For: 203.0.113.9, 2001:db8::7, 10.0.0.2\r\nX-Forwarded-Proto: https\r\n"
                   "X-Forwarded-Host: front.test\r\n");
    assert_told(border, "Forwarded",
                "for=203.0.113.9, for=\"[2001:db8::7]\";proto=https;host=\"front.test\", for=10.0.0.2, "
                "for=10.0.0.1;proto=http;host=\"shop.test\"");
}

static void the_chain_is_made_of_forwarded(void **state)
{
    struct border *border = *state;
    border_forward(border, PROXY,
                   "Forwarded: for=_hidden, for=\"[2001:db8::7]:4711\";proto=https;host=front.test, "
                   "for=\"10.0.0.2:80\"\r\n");
    assert_told(border, "X-Forwarded-For", "unknown, 2001:db8::7, 10.0.0.2, 10.0.0.1");
    assert_told(border, "Forwarded",
                "for=_hidden, for=\"[2001:db8::7]:4711\";proto=https;host=front.test, for=\"10.0.0.2:80\", "
                "for=10.0.0.1;proto=http;host=\"shop.test\"");
    assert_told(border, "X-Forwarded-Proto", "https");
    assert_told(border, "X-Forwarded-Host", "front.test");
}

/* RFC 9110 5.6.1: a list may come with elements that are empty, which stand for nobody, and goes on without.
 */
static void an_empty_element_is_nobody(void **state)
{
    struct border *border = *state;
    border_forward(border, PROXY, "Forwarded: for=192.0.2.7, ,for=10.0.0.2,\r\n");
    assert_told(border, "X-Forwarded-For", "192.0.2.7, 10.0.0.2, 10.0.0.1");
    assert_told(border, "Forwarded",
                "for=192.0.2.7, for=10.0.0.2, for=10.0.0.1;proto=http;host=\"shop.test\"");
    border_forward(border, PROXY, "X-Forwarded-For: ,192.0.2.7,, 10.0.0.2 ,\r\nX-Forwarded-For: ,\r\n");
    assert_told(border, "X-Forwarded-For", "192.0.2.7, 10.0.0.2, 10.0.0.1");
    assert_told(border, "Forwarded",
                "for=192.0.2.7;proto=http;host=\"shop.test\", for=10.0.0.2, "
                "for=10.0.0.1;proto=http;host=\"shop.test\"");
}

/* Whoever reads the list next believes nothing of what stands before one that is unknown. */
static void a_peer_without_an_address_that_tells_the_client_adds_no_element(void **state)
{
    struct border *border = *state;
    border_forward(border, "unix",
                   "X-Forwarded-For: 203.0.113.9, 192.0.2.7, 10.0.0.2\r\nX-Forwarded-Proto: https\r\n"
                   "X-Forwarded-Host: front.test\r\n");
    assert_told(border, "X-Forwarded-For", "203.0.113.9, 192.0.2.7, 10.0.0.2");
    assert_told(border, "Forwarded",
                "for=203.0.113.9, for=192.0.2.7;proto=https;host=\"front.test\", for=10.0.0.2");
    border_forward(border, "unix", "Forwarded: for=\"[2001:db8::7]:80\";proto=https;host=front.test\r\n");
    assert_told(border, "X-Forwarded-For", "2001:db8::7");
    assert_told(border, "Forwarded", "for=\"[2001:db8::7]:80\";proto=https;host=front.test");
    assert_told(border, "X-Forwarded-Host", "front.test");
    assert_told(border, "X-Real-IP", "2001:db8::7");
}

static void one_that_does_not_is_unknown(void **state)
{
    struct border *border = *state;
    border_forward(border, "unix", "X-Forwarded-For: 192.0.2.7, unknown\r\n");
    assert_told(border, "X-Forwarded-For", "192.0.2.7, unknown, unknown");
    border_forward(border, "unix", "X-Forwarded-Proto: https\r\nX-Forwarded-Host: front.test\r\n");
    assert_told(border, "X-Forwarded-For", "unknown");
    assert_told(border, "Forwarded", "for=unknown;proto=https;host=\"front.test\"");
}

/* RFC 9110 5.6.4: they mean what stands behind the backslash; Forwarded goes on as it was written. */
static void escapes_of_forwarded_are_undone(void **state)
{
    struct border *border = *state;
    border_forward(border, PROXY,
                   "Forwarded: for=\"\\1\\9\\2.0.2\\.7\";proto=\"h\\ttps\";host=\"front\\.test\"\r\n");
    assert_told(border, "X-Forwarded-For", "192.0.2.7, 10.0.0.1");
    assert_told(border, "X-Forwarded-Proto", "https");
    assert_told(border, "X-Forwarded-Host", "front.test");
    assert_told(border, "Forwarded",
                "for=\"\\1\\9\\2.0.2\\.7\";proto=\"h\\ttps\";host=\"front\\.test\", "
                "for=10.0.0.1;proto=http;host=\"shop.test\"");
}

/* Many pass on what a stranger wrote in the language that they do not speak. */
static void the_other_language_of_a_trusted_proxy_goes_no_further(void **state)
{
    struct border *border = *state;
    border_forward(border, PROXY,
                   "X-Forwarded-For: 192.0.2.7\r\nForwarded: for=10.9.9.9;proto=https;host=evil.test\r\n");
    assert_told(border, "Forwarded",
                "for=192.0.2.7;proto=http;host=\"shop.test\", for=10.0.0.1;proto=http;host=\"shop.test\"");
}

static void scheme_host_and_port_are_told_once_and_of_the_client(void **state)
{
    struct border *border = *state;
    border_forward(border, PROXY,
                   "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Proto: HTTPS\r\n"
                   "X-Forwarded-Host: a.test, B.test\r\nX-Forwarded-Port: 1, 8443\r\n");
    assert_told(border, "X-Forwarded-Proto", "https");
    assert_told(border, "X-Forwarded-Host", "b.test");
    assert_told(border, "X-Forwarded-Port", "8443");
}

/* weir.yaml(5): the port that a trusted peer tells, else that of the host that is told, else the scheme's. */
static void the_port_is_of_the_place_that_is_told(void **state)
{
    struct border *border = *state;
    static const struct {
        const char *fields, *port;
    } cases[] = {
        {"X-Forwarded-Host: front.test:8443\r\nX-Forwarded-Port: 99\r\n", "99"},
        {"X-Forwarded-Host: front.test:8443\r\n", "8443"},
        {"X-Forwarded-Host: front.test\r\n", "80"},
        {"X-Forwarded-Host: front.test\r\nX-Forwarded-Proto: https\r\n", "443"},
        {"X-Forwarded-Port: 0\r\n", "77"},
        {"", "77"},
    };
    char fields[256];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        snprintf(fields, sizeof fields, "Host: shop.test:77\r\n%s", cases[i].fields);
        border_receive_line(border, PROXY, "GET / HTTP/1.1", fields);
        assert_int_equal(border_enter(border), FAILURE_NONE);
        assert_true(forwarded_add(&border->x, TELL_ALL));
        assert_told(border, "X-Forwarded-Port", cases[i].port);
    }
}

/* In both languages alike. */
static void a_proxy_that_tells_no_chain_is_the_first_hop(void **state)
{
    struct border *border = *state;
    static const char *const none[] = {"", "X-Forwarded-Proto: https\r\n", "X-Forwarded-For: ,\r\n",
                                       "X-Forwarded-For: <b>\r\n"};
    char fields[256];
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        const char *scheme = i == 1 ? "https" : "http";
        char entry[128];
        snprintf(fields, sizeof fields, "X-Forwarded-Host: front.test\r\n%s", none[i]);
        snprintf(entry, sizeof entry, "for=10.0.0.1;proto=%s;host=\"front.test\"", scheme);
        border_forward(border, PROXY, fields);
        assert_told(border, "X-Forwarded-Host", "front.test");
        assert_told(border, "X-Forwarded-Proto", scheme);
        assert_told(border, "Forwarded", entry);
    }
    /* by a PROXY header that tells of TLS */
    border_receive(border, PROXY, "Forwarded: for=\r\n");
    border->x.https = true;
    assert_int_equal(border_enter(border), FAILURE_NONE);
    assert_true(forwarded_add(&border->x, TELL_ALL));
    assert_told(border, "X-Forwarded-Proto", "https");
    assert_told(border, "Forwarded", "for=10.0.0.1;proto=https;host=\"shop.test\"");
}

static void a_proxy_that_tells_the_scheme_alone_is_the_first_hop(void **state)
{
    struct border *border = *state;
    border_forward(border, PROXY, "X-Forwarded-Proto: https\r\n");
    assert_told(border, "X-Forwarded-For", PROXY);
    assert_told(border, "X-Forwarded-Proto", "https");
    assert_told(border, "Forwarded", "for=10.0.0.1;proto=https;host=\"shop.test\"");
}

static void a_real_ip_of_a_trusted_proxy_gives_way_to_the_client(void **state)
{
    struct border *border = *state;
    border_forward(border, PROXY, "X-Forwarded-For: 192.0.2.7\r\nX-Real-IP: 203.0.113.9\r\n");
    assert_told(border, "X-Real-IP", "192.0.2.7");
}

/* All or nothing: a request that lacks one of them is not sent, also where only the long chain finds no room.
 */
static void a_full_arena_is_told(void **state)
{
    struct border *border = *state;
    static const char chain[] =
        "203.0.113.1, 203.0.113.2, 203.0.113.3, 203.0.113.4, 203.0.113.5, 203.0.113.6, 203.0.113.7, 203.0.113.8, "
        "203.0.113.9, 203.0.113.10, 203.0.113.11, 203.0.113.12, 203.0.113.13, 203.0.113.14, 192.0.2.7";
    char line[512];
    bool added = false;
    unsigned refused = 0;
    snprintf(line, sizeof line, "X-Forwarded-For: %s\r\nX-Real-IP: 192.0.2.9\r\n", chain);
    for (size_t cap = 0; !added; cap += 8) {
        border_take(border, PROXY, line);
        struct arena *whole = border->x.arena, *small = arena_new(cap);
        border->x.arena = small;
        added = forwarded_add(&border->x, TELL_ALL);
        refused += !added;
        if (added) {
            assert_string_equal(
                border_names(border, &border->x.request.fields),
                "X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host X-Forwarded-Port Forwarded "
                "Via X-Request-Id X-Real-IP");
            assert_told(border, "X-Real-IP", "192.0.2.7");
        }
        border->x.arena = whole;
        border->x.request.fields.count = 0;
        arena_free(small);
    }
    assert_true(refused > 8);
}

/* ---- trailers ---- */

/* Of a section of fields: those that go on, with a blank between two of them. */
static const char *trailers_left(struct border *border, const char *lines, const struct field_names *named)
{
    struct fields trailers = {.count = 0};
    struct span bytes = arena_print(border->x.arena, "%s\r\n", lines);
    assert_int_equal(
        h1_parse_trailers(bytes, true, &border->snapshot->config->limits, border->x.arena, &trailers),
        FAILURE_NONE);
    forwarded_strip_trailers(&trailers, named);
    return border_names(border, &trailers);
}

static void trailers_go_on_in_their_order(void **state)
{
    struct border *border = *state;
    border_receive(border, STRANGER, "");
    assert_string_equal(
        trailers_left(border, "X-Sum: 1\r\nGrpc-Status: 0\r\nDigest: a\r\nX-Sum: 2\r\n", NULL),
        "X-Sum Grpc-Status Digest X-Sum");
}

static void what_only_a_head_may_bring_is_dropped_of_trailers(void **state)
{
    struct border *border = *state;
    static const char *const names[] = {"Host",         "Content-Length", "Transfer-Encoding",
                                        "Connection",   "Keep-Alive",     "TE",
                                        "Trailer",      "Upgrade",        "Expect",
                                        "Via",          "Authorization",  "Cookie",
                                        "Set-Cookie",   "Date",           "Location",
                                        "Content-Type", "Content-Range",  "Content-Encoding",
                                        "Range",        "Cache-Control",  "Proxy-Authorization"};
    char line[64];
    border_receive(border, STRANGER, "");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(line, sizeof line, "%s: 1\r\nX-Sum: 1\r\n", names[i]);
        assert_string_equal(trailers_left(border, line, NULL), "X-Sum");
    }
}

static void who_the_client_is_is_dropped_of_trailers(void **state)
{
    struct border *border = *state;
    char line[64];
    border_receive(border, PROXY, "");
    for (size_t i = 0; i < COUNT_OF(claims) + COUNT_OF(folded_claims); i++) {
        const char *name = i < COUNT_OF(claims) ? claims[i] : folded_claims[i - COUNT_OF(claims)];
        snprintf(line, sizeof line, "%s: 1\r\nX-Sum: 1\r\n", name);
        assert_string_equal(trailers_left(border, line, NULL), "X-Sum");
    }
}

static void what_connection_of_the_head_names_is_dropped_of_trailers(void **state)
{
    struct border *border = *state;
    border_take(border, STRANGER, "Connection: x-hop, close, X-TWO\r\n");
    assert_string_equal(
        trailers_left(border, "X-Hop: 1\r\nX-Sum: 1\r\nx-two: 2\r\n", border->x.request.named), "X-Sum");
}

/* ---- responses ---- */

static void answer_forwarded(struct border *border, const char *fields, bool http2, bool via)
{
    border_receive(border, STRANGER, "");
    border_answer(border, fields);
    border->upstream.http2 = http2;
    assert_int_equal(forwarded_strip(&border->x.response, CLAIMS_OF_SERVER, border->x.arena), FAILURE_NONE);
    assert_true(forwarded_add_response(&border->x, via));
}

static void a_response_without_a_date_is_given_one(void **state)
{
    struct border *border = *state;
    answer_forwarded(border, "X-A: 1\r\n", false, false);
    const char *date = border_seen(border, &border->x.response.fields, "Date");
    assert_int_equal(strlen(date), strlen("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_string_equal(date + strlen(date) - 4, " GMT");
}

static void the_date_of_a_server_stays(void **state)
{
    struct border *border = *state;
    answer_forwarded(border, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", false, false);
    assert_answered(border, "Date", "Sun, 06 Nov 1994 08:49:37 GMT");
}

/* RFC 9110 6.6.1: what is forwarded has a Date. */
static void a_date_that_connection_names_is_replaced(void **state)
{
    struct border *border = *state;
    answer_forwarded(border, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: date\r\n", false, false);
    const char *date = border_seen(border, &border->x.response.fields, "Date");
    assert_string_not_equal(date, "(none)");
    assert_string_not_equal(date, "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void via_of_a_response_tells_the_version_that_it_came_in(void **state)
{
    struct border *border = *state;
    answer_forwarded(border, "Via: 1.1 inner\r\n", false, true);
    assert_answered(border, "Via", "1.1 inner | 1.1 weir");
    answer_forwarded(border, "", true, true);
    assert_answered(border, "Via", "2.0 weir");
}

static void via_of_a_response_is_a_choice(void **state)
{
    struct border *border = *state;
    answer_forwarded(border, "", false, false);
    assert_answered(border, "Via", "(none)");
}

/* ---- Max-Forwards ---- */

static void expect_count(struct border *border, const char *method, const char *value, enum failure why,
                         bool here, const char *left)
{
    char start[64], fields[128];
    bool is_here = !here;
    snprintf(start, sizeof start, "%s / HTTP/1.1", method);
    snprintf(fields, sizeof fields, "Host: shop.test\r\nMax-Forwards: %s\r\n", value);
    border_receive_line(border, STRANGER, start, fields);
    enum failure seen = forwarded_count(&border->x, &is_here);
    if (seen != why || is_here != here)
        fail_msg("%s, %s: %s and %s", method, value, failure_info[seen].word, is_here ? "here" : "further");
    if (why == FAILURE_NONE && !here)
        assert_told(border, "Max-Forwards", left);
}

static void max_forwards_of_options_and_trace_is_counted_down(void **state)
{
    struct border *border = *state;
    expect_count(border, "OPTIONS", "5", FAILURE_NONE, false, "4");
    expect_count(border, "TRACE", "1", FAILURE_NONE, false, "0");
    expect_count(border, "OPTIONS", "0010", FAILURE_NONE, false, "9");
}

static void at_zero_weir_is_the_one_that_is_asked(void **state)
{
    struct border *border = *state;
    expect_count(border, "OPTIONS", "0", FAILURE_NONE, true, NULL);
    expect_count(border, "TRACE", "00", FAILURE_NONE, true, NULL);
}

static void max_forwards_of_other_methods_is_not_looked_at(void **state)
{
    struct border *border = *state;
    expect_count(border, "GET", "0", FAILURE_NONE, false, "0");
    expect_count(border, "POST", "x", FAILURE_NONE, false, "x");
}

static void a_request_without_max_forwards_goes_on(void **state)
{
    struct border *border = *state;
    bool here = true;
    border_receive_line(border, STRANGER, "OPTIONS * HTTP/1.1", "Host: shop.test\r\n");
    assert_int_equal(forwarded_count(&border->x, &here), FAILURE_NONE);
    assert_false(here);
}

/* RFC 9110 7.6.2: a proxy may send a lesser number that it supports. */
static void a_number_that_is_too_large_is_cut_and_never_wraps(void **state)
{
    struct border *border = *state;
    bool here;
    static const char *const numbers[] = {"4294967296", "4294967297", "18446744073709551616",
                                          "99999999999999999999999999999999"};
    char fields[128];
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        snprintf(fields, sizeof fields, "Host: shop.test\r\nMax-Forwards: %s\r\n", numbers[i]);
        border_receive_line(border, STRANGER, "OPTIONS / HTTP/1.1", fields);
        assert_int_equal(forwarded_count(&border->x, &here), FAILURE_NONE);
        assert_false(here);
        assert_true(strlen(border_seen(border, &border->x.request.fields, "Max-Forwards")) >= 9);
    }
}

static void what_is_no_number_is_malformed(void **state)
{
    struct border *border = *state;
    static const char *const values[] = {"", "-1", "+1", "1.0", "1 2", "0x1", "1, 2", "a"};
    for (size_t i = 0; i < COUNT_OF(values); i++)
        expect_count(border, "OPTIONS", values[i], FAILURE_BAD_REQUEST, false, NULL);
}

static void two_numbers_are_malformed(void **state)
{
    struct border *border = *state;
    expect_count(border, "TRACE", "1\r\nMax-Forwards: 1", FAILURE_BAD_REQUEST, false, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_of_one_connection_go_no_further),
        cmocka_unit_test(those_of_a_response_neither),
        cmocka_unit_test(all_others_stay_as_they_came_and_in_their_order),
        cmocka_unit_test(what_connection_names_goes_with_it),
        cmocka_unit_test(what_connection_of_a_response_names_goes_with_it),
        cmocka_unit_test(connection_cannot_name_away_what_is_asserted),
        cmocka_unit_test(connection_names_32_fields),
        cmocka_unit_test(a_head_whose_connection_names_more_is_malformed),
        cmocka_unit_test(claims_of_a_stranger_are_dropped),
        cmocka_unit_test(spellings_that_servers_take_for_claims_are_dropped_of_a_stranger),
        cmocka_unit_test(those_spellings_are_dropped_of_a_trusted_proxy_too),
        cmocka_unit_test(other_claims_of_a_trusted_proxy_stay),
        cmocka_unit_test(names_that_only_resemble_claims_stay),
        cmocka_unit_test(what_a_server_says_of_itself_stays),
        cmocka_unit_test(a_stranger_is_told_by_its_address),
        cmocka_unit_test(an_ipv6_address_is_quoted_in_forwarded_alone),
        cmocka_unit_test(a_peer_without_an_address_is_unknown),
        cmocka_unit_test(a_client_without_an_address_has_no_real_ip),
        cmocka_unit_test(the_scheme_is_that_of_the_connection),
        cmocka_unit_test(the_host_is_that_which_was_asked_for),
        cmocka_unit_test(of_a_host_that_was_not_given_nothing_is_told),
        cmocka_unit_test(via_tells_the_version_that_the_request_came_in),
        cmocka_unit_test(via_stands_behind_those_of_others),
        cmocka_unit_test(an_id_of_a_stranger_is_replaced_by_32_hex_digits),
        cmocka_unit_test(an_id_of_a_trusted_proxy_goes_on_once),
        cmocka_unit_test(each_is_sent_by_its_own_choice),
        cmocka_unit_test(a_chain_of_a_trusted_proxy_is_extended_in_one_line),
        cmocka_unit_test(forwarded_is_made_of_the_chain),
        cmocka_unit_test(the_chain_is_made_of_forwarded),
        cmocka_unit_test(an_empty_element_is_nobody),
        cmocka_unit_test(a_peer_without_an_address_that_tells_the_client_adds_no_element),
        cmocka_unit_test(one_that_does_not_is_unknown),
        cmocka_unit_test(escapes_of_forwarded_are_undone),
        cmocka_unit_test(the_other_language_of_a_trusted_proxy_goes_no_further),
        cmocka_unit_test(scheme_host_and_port_are_told_once_and_of_the_client),
        cmocka_unit_test(the_port_is_of_the_place_that_is_told),
        cmocka_unit_test(a_proxy_that_tells_no_chain_is_the_first_hop),
        cmocka_unit_test(a_proxy_that_tells_the_scheme_alone_is_the_first_hop),
        cmocka_unit_test(a_real_ip_of_a_trusted_proxy_gives_way_to_the_client),
        cmocka_unit_test(a_full_arena_is_told),
        cmocka_unit_test(trailers_go_on_in_their_order),
        cmocka_unit_test(what_only_a_head_may_bring_is_dropped_of_trailers),
        cmocka_unit_test(who_the_client_is_is_dropped_of_trailers),
        cmocka_unit_test(what_connection_of_the_head_names_is_dropped_of_trailers),
        cmocka_unit_test(a_response_without_a_date_is_given_one),
        cmocka_unit_test(the_date_of_a_server_stays),
        cmocka_unit_test(a_date_that_connection_names_is_replaced),
        cmocka_unit_test(via_of_a_response_tells_the_version_that_it_came_in),
        cmocka_unit_test(via_of_a_response_is_a_choice),
        cmocka_unit_test(max_forwards_of_options_and_trace_is_counted_down),
        cmocka_unit_test(at_zero_weir_is_the_one_that_is_asked),
        cmocka_unit_test(max_forwards_of_other_methods_is_not_looked_at),
        cmocka_unit_test(a_request_without_max_forwards_goes_on),
        cmocka_unit_test(a_number_that_is_too_large_is_cut_and_never_wraps),
        cmocka_unit_test(what_is_no_number_is_malformed),
        cmocka_unit_test(two_numbers_are_malformed),
    };
    return cmocka_run_group_tests_name("forwarded", tests, open_border, close_border);
}
