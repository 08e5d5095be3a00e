/* Which upgrades pass, which are refused, and which answers of servers begin a tunnel; weir.yaml(5),
 * WEBSOCKET AND OTHER UPGRADES; RFC 6455 4.1 and 4.2, RFC 8441 5. */
#include "proxy/upgrade.h"

#include <stdlib.h>

#include "base/arena.h"
#include "http/h1_parse.h"
#include "http/head_check.h"
#include "http/stream.h"
#include "proxy/exchange_state.h"
#include "proxy_fixture.h"
#include "tls/websocket_key.h"
#include "upstream/pool.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define WEBSOCKET "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define WITH_KEY "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n"
#define TCP "Connection: Upgrade\r\nUpgrade: tcp\r\n"

/* ---- routes, found by their names ---- */

static const char file[] =
    "listeners: [ { address: \"127.0.0.1:21100\", protocols: [http/1.1, h2c] } ]\n"
    "routes:\n"
    "  - { name: plain, match: { path: /plain }, pool: http1 }\n"
    "  - { name: more, match: { path: /more }, upgrades: [websocket, tcp, SPDY/3.1], pool: http1 }\n"
    "  - { name: none, match: { path: /none }, upgrades: none, pool: http1 }\n"
    "  - { name: tcp-only, match: { path: /tcp }, upgrades: tcp, pool: http1 }\n"
    "  - { name: answers-200, match: { path: /200 }, respond: 200 }\n"
    "  - { name: answers-403, match: { path: /403 }, respond: 403 }\n"
    "  - { name: redirects, match: { path: /redirect }, redirect: { scheme: https } }\n"
    "pools:\n"
    "  http1: { servers: 127.0.0.1:1, protocol: http/1.1 }\n"
    "  auto: { servers: 127.0.0.1:1 }\n"
    "  h2c: { servers: 127.0.0.1:1, protocol: h2c }\n";

static struct shared_state *shared;
static struct snapshot *snapshot;

static const struct plan *plan_of(const char *route)
{
    for (size_t i = 0; i < snapshot->plans_count; i++)
        if (strcmp(snapshot->plans[i].name, route) == 0)
            return &snapshot->plans[i];
    fail_msg("there is no route %s", route);
    return NULL;
}

static const struct pool *pool_of(const char *name)
{
    for (size_t i = 0; i < snapshot->pools_count; i++)
        if (strcmp(snapshot->pools[i]->name, name) == 0)
            return snapshot->pools[i];
    fail_msg("there is no pool %s", name);
    return NULL;
}

/* ---- exchanges ---- */

static const struct limits_config limits = {
    .request_head = 4096, .request_line = 256, .fields = 20, .response_head = 4096};

static struct exchange_run *run_new(const char *route)
{
    struct exchange_run *run = calloc(1, sizeof *run);
    run->plan = plan_of(route);
    run->exchange.arena = arena_new_malloc();
    return run;
}

static void run_free(struct exchange_run *run)
{
    arena_free(run->exchange.arena);
    free(run);
}

/* A request of HTTP/1 as the codec has read it. */
static struct exchange_run *http1_run(const char *route, const char *line, const char *fields)
{
    struct exchange_run *run = run_new(route);
    struct head_check check;
    struct span raw = arena_print(run->exchange.arena, "%s\r\nHost: a.test\r\n%s\r\n", line, fields);
    enum failure why = h1_parse_request(raw, &limits, run->exchange.arena, &run->exchange.request, &check);
    if (why != FAILURE_NONE)
        fail_msg("%s, %s: %s", line, fields, failure_info[why].word);
    return run;
}

/* An extended CONNECT as the codec of HTTP/2 hands it on; protocol: NULL for a plain CONNECT. */
static struct exchange_run *connect_run(const char *route, const char *protocol)
{
    struct exchange_run *run = run_new(route);
    struct head *request = &run->exchange.request;
    request->line.request.method = METHOD_CONNECT;
    request->line.request.method_name = SPAN("CONNECT");
    request->line.request.authority = SPAN("a.test");
    request->line.request.path = SPAN("/");
    request->minor_version = 1;
    request->upgrade = span_of(protocol);
    return run;
}

/* ---- what the tests say ---- */

/* sent: the protocol that the server is asked for; "": it is a plain request. */
static void expect_asked(struct exchange_run *run, const char *said, const char *sent)
{
    enum failure why = upgrade_check(run);
    struct span upgrade = run->exchange.request.upgrade;
    if (why != FAILURE_NONE)
        fail_msg("%s, on route %s: %s instead of \"%s\"", said, run->plan->name, failure_info[why].word,
                 sent);
    if (!span_is(upgrade, sent) || run->upgrading != (sent[0] != '\0'))
        fail_msg("%s, on route %s: the server is asked for \"%.*s\" instead of \"%s\"", said, run->plan->name,
                 (int)upgrade.length, upgrade.length != 0 ? upgrade.at : "", sent);
    run_free(run);
}

/* Upgrade: that, of a GET without a body. */
static void expect_protocol(const char *route, const char *asked, const char *sent)
{
    struct arena *arena = arena_new_malloc();
    struct span fields = arena_print(arena, "Connection: Upgrade\r\nUpgrade: %s\r\n" WITH_KEY, asked);
    expect_asked(http1_run(route, "GET / HTTP/1.1", fields.at), asked, sent);
    arena_free(arena);
}

static void expect_request(const char *route, const char *line, const char *fields, const char *sent)
{
    expect_asked(http1_run(route, line, fields), fields, sent);
}

static void expect_status(enum failure why, unsigned expected, const char *said)
{
    if (why == FAILURE_NONE || failure_info[why].status != expected)
        fail_msg("%s: %s (%u) instead of %u", said, failure_info[why].word, failure_info[why].status,
                 expected);
}

static void expect_malformed(const char *route, const char *line, const char *fields)
{
    struct exchange_run *run = http1_run(route, line, fields);
    enum failure why = upgrade_check(run);
    assert_false(run->upgrading);
    expect_status(why, 400, fields);
    run_free(run);
}

/* ---- protocols ---- */

static void a_websocket_passes_unless_the_route_says_otherwise(void **state)
{
    (void)state;
    expect_protocol("plain", "websocket", "websocket");
    expect_protocol("more", "websocket", "websocket");
    expect_protocol("none", "websocket", "");
    expect_protocol("tcp-only", "websocket", "");
}

static void a_websocket_is_asked_for_in_lower_case(void **state)
{
    (void)state;
    expect_protocol("plain", "WebSocket", "websocket");
    expect_protocol("plain", "WEBSOCKET", "websocket");
}

static void other_protocols_are_asked_for_as_the_client_writes_them(void **state)
{
    (void)state;
    expect_protocol("more", "tcp", "tcp");
    expect_protocol("more", "TCP", "TCP");
    expect_protocol("more", "spdy/3.1", "spdy/3.1");
}

static void of_several_the_first_that_passes_is_asked_for(void **state)
{
    (void)state;
    expect_protocol("more", "foo, tcp, websocket", "tcp");
    expect_protocol("more", "SPDY/3, SPDY/3.1", "SPDY/3.1");
    expect_protocol("more", ", tcp", "tcp");
    expect_protocol("plain", "tcp, websocket", "websocket");
}

static void what_the_route_does_not_name_goes_on_as_a_plain_request(void **state)
{
    (void)state;
    expect_protocol("plain", "tcp", "");
    expect_protocol("more", "h2c", "");
    expect_protocol("more", "SPDY/3", "");
    expect_protocol("more", "SPDY", "");
    expect_protocol("more", "tcp/1", "");
    expect_protocol("more", "websocket/13", "");
    expect_protocol("more", ",", "");
}

static void the_word_none_is_no_protocol(void **state)
{
    (void)state;
    expect_protocol("none", "none", "");
    expect_protocol("none", "NONE", "");
}

static void an_upgrade_counts_only_where_connection_names_it(void **state)
{
    (void)state;
    expect_request("plain", "GET / HTTP/1.1", "Upgrade: websocket\r\n" WITH_KEY, "");
    expect_request("plain", "GET / HTTP/1.1", "Connection: keep-alive\r\nUpgrade: websocket\r\n" WITH_KEY,
                   "");
    expect_request("plain", "GET / HTTP/1.1",
                   "Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n" WITH_KEY, "websocket");
}

static void http_1_0_knows_no_upgrade(void **state)
{
    (void)state;
    expect_request("plain", "GET / HTTP/1.0", WEBSOCKET WITH_KEY, "");
}

/* ---- the request of a WebSocket (RFC 6455 4.2.1) ---- */

static void a_websocket_needs_a_right_key(void **state)
{
    (void)state;
    expect_malformed("plain", "GET / HTTP/1.1", WEBSOCKET "Sec-WebSocket-Version: 13\r\n");
    expect_malformed("plain", "GET / HTTP/1.1", WEBSOCKET "Sec-WebSocket-Key:\r\n");
    expect_malformed("plain", "GET / HTTP/1.1", WEBSOCKET "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n");
}

/* The answer has one accept key. */
static void a_websocket_has_one_key(void **state)
{
    (void)state;
    struct arena *arena = arena_new_malloc();
    struct head head;
    struct head_check check;
    struct span raw = span_of("GET / HTTP/1.1\r\nHost: a.test\r\n" WEBSOCKET "Sec-WebSocket-Key: " KEY
                              "\r\n" WITH_KEY "\r\n");
    expect_status(h1_parse_request(raw, &limits, arena, &head, &check), 400, "two keys");
    arena_free(arena);
}

static void a_websocket_is_asked_for_by_get(void **state)
{
    (void)state;
    expect_malformed("plain", "POST / HTTP/1.1", WEBSOCKET WITH_KEY);
    expect_malformed("plain", "HEAD / HTTP/1.1", WEBSOCKET WITH_KEY);
}

static void a_websocket_is_asked_for_without_a_body(void **state)
{
    (void)state;
    expect_malformed("plain", "GET / HTTP/1.1", WEBSOCKET WITH_KEY "Content-Length: 5\r\n");
    expect_malformed("plain", "GET / HTTP/1.1", WEBSOCKET WITH_KEY "Transfer-Encoding: chunked\r\n");
    expect_request("plain", "GET / HTTP/1.1", WEBSOCKET WITH_KEY "Content-Length: 0\r\n", "websocket");
}

/* Which versions there are is the server's to say, by its 426. */
static void the_version_of_a_websocket_is_left_to_the_server(void **state)
{
    (void)state;
    expect_request("plain", "GET / HTTP/1.1", WEBSOCKET "Sec-WebSocket-Key: " KEY "\r\n", "websocket");
    expect_request("plain", "GET / HTTP/1.1",
                   WEBSOCKET "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 8\r\n", "websocket");
}

/* ---- the request of other protocols ---- */

static void other_protocols_need_no_key_and_take_any_method(void **state)
{
    (void)state;
    expect_request("more", "GET / HTTP/1.1", TCP, "tcp");
    expect_request("more", "POST / HTTP/1.1", TCP "Content-Length: 0\r\n", "tcp");
    expect_request("more", "ATTACH / HTTP/1.1", TCP, "tcp");
}

static void other_protocols_take_a_body_whose_length_is_known(void **state)
{
    (void)state;
    expect_request("more", "POST / HTTP/1.1", TCP "Content-Length: 12\r\n", "tcp");
    expect_malformed("more", "POST / HTTP/1.1", TCP "Transfer-Encoding: chunked\r\n");
}

static void a_plain_request_may_have_any_body(void **state)
{
    (void)state;
    expect_request("plain", "POST / HTTP/1.1", TCP "Transfer-Encoding: chunked\r\n", "");
}

/* ---- extended CONNECT (RFC 8441) ---- */

/* Taken, and checked on its route. */
static enum failure connect_check(struct exchange_run *run)
{
    enum failure why = upgrade_take_connect(run);
    return why != FAILURE_NONE ? why : upgrade_check(run);
}

static void expect_connect_status(const char *route, const char *protocol, unsigned status)
{
    struct exchange_run *run = connect_run(route, protocol);
    expect_status(connect_check(run), status, protocol != NULL ? protocol : "no protocol");
    assert_false(run->upgrading);
    run_free(run);
}

static void an_extended_connect_becomes_the_get_of_http_1_1(void **state)
{
    (void)state;
    struct exchange_run *run = connect_run("plain", "WebSocket");
    assert_int_equal(upgrade_take_connect(run), FAILURE_NONE);
    struct head *request = &run->exchange.request;
    assert_int_equal(request->line.request.method, METHOD_GET); /* already as routes look at it */
    assert_span(request->line.request.method_name, "GET");
    assert_int_equal(upgrade_check(run), FAILURE_NONE);
    assert_true(run->upgrading);
    assert_span(request->upgrade, "websocket");
    run_free(run);
}

static void an_extended_connect_gets_a_key_and_a_version(void **state)
{
    (void)state;
    char accept[WEBSOCKET_ACCEPT_LENGTH];
    struct exchange_run *run = connect_run("plain", "websocket");
    assert_int_equal(connect_check(run), FAILURE_NONE);
    const struct fields *fields = &run->exchange.request.fields;
    const struct field *key = fields_find(fields, FIELD_SEC_WEBSOCKET_KEY);
    const struct field *version = fields_find(fields, FIELD_SEC_WEBSOCKET_VERSION);
    assert_non_null(key);
    assert_true(websocket_accept(key->value, accept));
    assert_non_null(version);
    assert_span(version->value, "13");
    run_free(run);
}

static void the_key_of_an_extended_connect_is_never_the_clients(void **state)
{
    (void)state;
    struct exchange_run *run = connect_run("plain", "websocket");
    struct fields *fields = &run->exchange.request.fields;
    assert_true(fields_add(fields, run->exchange.arena, SPAN("sec-websocket-key"), SPAN(KEY),
                           FIELD_SEC_WEBSOCKET_KEY));
    assert_int_equal(connect_check(run), FAILURE_NONE);
    const struct field *key = fields_find(fields, FIELD_SEC_WEBSOCKET_KEY);
    assert_non_null(key);
    assert_false(span_is(key->value, KEY));
    assert_null(fields_next(fields, key));
    run_free(run);
}

static void the_version_of_an_extended_connect_stays(void **state)
{
    (void)state;
    struct exchange_run *run = connect_run("plain", "websocket");
    struct fields *fields = &run->exchange.request.fields;
    assert_true(fields_add(fields, run->exchange.arena, SPAN("sec-websocket-version"), SPAN("14"),
                           FIELD_SEC_WEBSOCKET_VERSION));
    assert_int_equal(connect_check(run), FAILURE_NONE);
    const struct field *version = fields_find(fields, FIELD_SEC_WEBSOCKET_VERSION);
    assert_span(version->value, "14");
    assert_null(fields_next(fields, version));
    run_free(run);
}

static void a_connect_without_a_protocol_is_refused(void **state)
{
    (void)state;
    expect_connect_status("plain", NULL, 405);
}

static void an_extended_connect_for_another_protocol_is_not_implemented(void **state)
{
    (void)state;
    expect_connect_status("more", "tcp", 501);
    expect_connect_status("more", "connect-udp", 501);
}

static void an_extended_connect_that_the_route_does_not_let_pass_is_refused(void **state)
{
    (void)state;
    expect_connect_status("none", "websocket", 405);
    expect_connect_status("tcp-only", "websocket", 405);
}

/* What logs and pages tell is what the client has sent. */
static void a_refused_connect_is_a_connect_again(void **state)
{
    (void)state;
    struct exchange_run *run = connect_run("none", "websocket");
    expect_status(connect_check(run), 405, "websocket");
    const struct head *request = &run->exchange.request;
    assert_int_equal(request->line.request.method, METHOD_CONNECT);
    assert_span(request->line.request.method_name, "CONNECT");
    assert_int_equal(request->upgrade.length, 0);
    run_free(run);
}

/* To the client a 2xx would be a tunnel; other answers are answers. */
static void an_extended_connect_is_never_answered_2xx_by_weir(void **state)
{
    static const char *const answered[] = {"answers-403", "redirects"};
    (void)state;
    expect_connect_status("answers-200", "websocket", 405);
    for (size_t i = 0; i < COUNT_OF(answered); i++) {
        struct exchange_run *run = connect_run(answered[i], "websocket");
        enum failure why = connect_check(run);
        if (why != FAILURE_NONE)
            fail_msg("on route %s: %s", answered[i], failure_info[why].word);
        run_free(run);
    }
}

/* ---- pools ---- */

static void expect_fits(const char *pool, const char *protocol, bool expected)
{
    struct arena *arena = arena_new_malloc();
    struct span fields = arena_print(arena, "Connection: Upgrade\r\nUpgrade: %s\r\n" WITH_KEY, protocol);
    struct exchange_run *run = http1_run("more", "GET / HTTP/1.1", fields.at);
    assert_int_equal(upgrade_check(run), FAILURE_NONE);
    upgrade_fit_pool(run, pool_of(pool));
    if (run->upgrading != expected || (run->exchange.request.upgrade.length != 0) != expected)
        fail_msg("%s is%s asked for in pool %s", protocol, expected ? " not" : "", pool);
    run_free(run);
    arena_free(arena);
}

static void only_a_websocket_is_asked_for_of_servers_of_http_2(void **state)
{
    (void)state;
    expect_fits("h2c", "websocket", true);
    expect_fits("h2c", "tcp", !WITH_HTTP2); /* without HTTP/2 its servers are spoken to over HTTP/1.1 */
    expect_fits("h2c", "SPDY/3.1", !WITH_HTTP2);
    expect_fits("http1", "tcp", true);
    expect_fits("auto", "tcp", true);
}

/* ---- the server's 101 (RFC 6455 4.1) ---- */

enum server_speaks { SPEAKS_HTTP_1, SPEAKS_HTTP_2 };

/* The exchange of a request that is whole, with this answer of the server. */
static struct exchange_run *answered_run(const char *asked, enum server_speaks speaks, const char *answer)
{
    static struct stream stream;
    struct exchange_run *run = http1_run("more", "GET / HTTP/1.1", asked);
    struct exchange *x = &run->exchange;
    struct head_check check;
    assert_int_equal(upgrade_check(run), FAILURE_NONE);
    struct span raw = arena_print(x->arena, "HTTP/1.1 101 Switching Protocols\r\n%s\r\n", answer);
    assert_int_equal(h1_parse_response(raw, &limits, x->arena, &x->response, &check), FAILURE_NONE);
    run->up.ended = true;
    stream.http2 = speaks == SPEAKS_HTTP_2;
    x->upstream = &stream;
    return run;
}

static void expect_switched(const char *asked, const char *answer, const char *told)
{
    struct exchange_run *run = answered_run(asked, SPEAKS_HTTP_1, answer);
    enum failure why = upgrade_switch(run);
    if (why != FAILURE_NONE)
        fail_msg("%s is answered by %s: %s", asked, answer, failure_info[why].word);
    assert_span(run->exchange.response.upgrade, told);
    run_free(run);
}

static void expect_bad_gateway(const char *asked, const char *answer)
{
    struct exchange_run *run = answered_run(asked, SPEAKS_HTTP_1, answer);
    expect_status(upgrade_switch(run), 502, answer);
    run_free(run);
}

#define ANSWERS(protocol) "Connection: Upgrade\r\nUpgrade: " protocol "\r\n"
#define ACCEPTS "Sec-WebSocket-Accept: " ACCEPT "\r\n"

static void a_tunnel_begins_with_the_protocol_asked_for(void **state)
{
    (void)state;
    expect_switched(WEBSOCKET WITH_KEY, ANSWERS("websocket") ACCEPTS, "websocket");
    expect_switched(TCP, ANSWERS("tcp"), "tcp");
}

static void the_protocol_is_told_to_the_client_as_it_asked(void **state)
{
    (void)state;
    expect_switched(WEBSOCKET WITH_KEY, ANSWERS("WebSocket") ACCEPTS, "websocket");
    expect_switched(TCP, ANSWERS("TCP"), "tcp");
}

static void another_protocol_is_a_bad_gateway(void **state)
{
    (void)state;
    expect_bad_gateway(TCP, ANSWERS("websocket") ACCEPTS);
    expect_bad_gateway(TCP, ANSWERS("tcp/1"));
    expect_bad_gateway(TCP, ANSWERS("tcp, foo"));
    expect_bad_gateway(WEBSOCKET WITH_KEY, ANSWERS("tcp") ACCEPTS);
    expect_bad_gateway(WEBSOCKET WITH_KEY, ACCEPTS);
}

static void a_wrong_accept_key_is_a_bad_gateway(void **state)
{
    (void)state;
    expect_bad_gateway(WEBSOCKET WITH_KEY, ANSWERS("websocket"));
    expect_bad_gateway(WEBSOCKET WITH_KEY,
                       ANSWERS("websocket") "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n");
    expect_bad_gateway(WEBSOCKET WITH_KEY,
                       ANSWERS("websocket") "Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=\r\n");
    expect_bad_gateway(WEBSOCKET WITH_KEY, ANSWERS("websocket") "Sec-WebSocket-Accept: " KEY "\r\n");
}

static void two_accept_keys_are_a_bad_gateway(void **state)
{
    (void)state;
    expect_bad_gateway(WEBSOCKET WITH_KEY, ANSWERS("websocket") ACCEPTS ACCEPTS);
}

static void a_101_that_nobody_asked_for_is_a_bad_gateway(void **state)
{
    (void)state;
    expect_bad_gateway("", ANSWERS("websocket") ACCEPTS);
    expect_bad_gateway("", "");
}

/* RFC 9110 7.8 */
static void a_101_before_the_request_is_whole_is_a_bad_gateway(void **state)
{
    (void)state;
    struct exchange_run *run = answered_run(TCP, SPEAKS_HTTP_1, ANSWERS("tcp"));
    run->up.ended = false;
    expect_status(upgrade_switch(run), 502, "before the request is whole");
    run->up.ended = true;
    assert_int_equal(upgrade_switch(run), FAILURE_NONE);
    run_free(run);
}

/* Over HTTP/2 there are no keys: the client of HTTP/1.1 gets the answer to its own. */
static void a_server_of_http_2_gives_no_accept_key_and_the_client_gets_one(void **state)
{
    static const char *const answers[] = {
        ANSWERS("websocket"), ANSWERS("websocket") "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct exchange_run *run = answered_run(WEBSOCKET WITH_KEY, SPEAKS_HTTP_2, answers[i]);
        assert_int_equal(upgrade_switch(run), FAILURE_NONE);
        const struct fields *fields = &run->exchange.response.fields;
        const struct field *accept = fields_find(fields, FIELD_SEC_WEBSOCKET_ACCEPT);
        assert_non_null(accept);
        assert_span(accept->value, ACCEPT);
        assert_null(fields_next(fields, accept));
        run_free(run);
    }
}

/* ---- the program ---- */

static int begin(void **state)
{
    (void)state;
    shared = shared_state_new();
    snapshot = fixture_snapshot(file, shared);
    return 0;
}

static int end(void **state)
{
    (void)state;
    snapshot_release(snapshot);
    shared_state_free(shared);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_websocket_passes_unless_the_route_says_otherwise),
        cmocka_unit_test(a_websocket_is_asked_for_in_lower_case),
        cmocka_unit_test(other_protocols_are_asked_for_as_the_client_writes_them),
        cmocka_unit_test(of_several_the_first_that_passes_is_asked_for),
        cmocka_unit_test(what_the_route_does_not_name_goes_on_as_a_plain_request),
        cmocka_unit_test(the_word_none_is_no_protocol),
        cmocka_unit_test(an_upgrade_counts_only_where_connection_names_it),
        cmocka_unit_test(http_1_0_knows_no_upgrade),
        cmocka_unit_test(a_websocket_needs_a_right_key),
        cmocka_unit_test(a_websocket_has_one_key),
        cmocka_unit_test(a_websocket_is_asked_for_by_get),
        cmocka_unit_test(a_websocket_is_asked_for_without_a_body),
        cmocka_unit_test(the_version_of_a_websocket_is_left_to_the_server),
        cmocka_unit_test(other_protocols_need_no_key_and_take_any_method),
        cmocka_unit_test(other_protocols_take_a_body_whose_length_is_known),
        cmocka_unit_test(a_plain_request_may_have_any_body),
        cmocka_unit_test(an_extended_connect_becomes_the_get_of_http_1_1),
        cmocka_unit_test(an_extended_connect_gets_a_key_and_a_version),
        cmocka_unit_test(the_key_of_an_extended_connect_is_never_the_clients),
        cmocka_unit_test(the_version_of_an_extended_connect_stays),
        cmocka_unit_test(a_connect_without_a_protocol_is_refused),
        cmocka_unit_test(an_extended_connect_for_another_protocol_is_not_implemented),
        cmocka_unit_test(an_extended_connect_that_the_route_does_not_let_pass_is_refused),
        cmocka_unit_test(a_refused_connect_is_a_connect_again),
        cmocka_unit_test(an_extended_connect_is_never_answered_2xx_by_weir),
        cmocka_unit_test(only_a_websocket_is_asked_for_of_servers_of_http_2),
        cmocka_unit_test(a_tunnel_begins_with_the_protocol_asked_for),
        cmocka_unit_test(the_protocol_is_told_to_the_client_as_it_asked),
        cmocka_unit_test(another_protocol_is_a_bad_gateway),
        cmocka_unit_test(a_wrong_accept_key_is_a_bad_gateway),
        cmocka_unit_test(two_accept_keys_are_a_bad_gateway),
        cmocka_unit_test(a_101_that_nobody_asked_for_is_a_bad_gateway),
        cmocka_unit_test(a_101_before_the_request_is_whole_is_a_bad_gateway),
        cmocka_unit_test(a_server_of_http_2_gives_no_accept_key_and_the_client_gets_one),
    };
    return cmocka_run_group_tests_name("upgrades", tests, begin, end);
}
