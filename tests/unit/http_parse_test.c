/* Heads and trailers from bytes: what is taken, what is refused and with which name, found whole at every
 * split point. */
#include "http/h1_parse.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/block.h"
#include "config/config.h"
#include "config/field_names.h"
#include "http/head.h"
#include "unit.h"

static const struct limits_config limits = {
    .request_head = 2048, .request_line = 256, .fields = 20, .response_head = 4096};

/* What a codec does: the section is looked for as bytes come (here: two pieces), then parsed. NONE with
 * *more: it has no end. */
static enum failure parse_split(struct span bytes, size_t split, bool request, struct arena *arena,
                                struct head *head, struct head_check *check, bool *more)
{
    struct h1_scan scan = {.in_trailers = false};
    size_t length = 0;
    enum h1_step step = h1_scan(&scan, span_first(bytes, split), &length);
    if (step == H1_MORE)
        step = h1_scan(&scan, bytes, &length);
    *more = step == H1_MORE;
    if (step == H1_MORE)
        return FAILURE_NONE;
    if (step == H1_FAILED)
        return request ? FAILURE_BAD_REQUEST : FAILURE_RESPONSE_INVALID;
    bytes = span_first(bytes, length);
    return request ? h1_parse_request(bytes, &limits, arena, head, check)
                   : h1_parse_response(bytes, &limits, arena, head, check);
}

static enum failure parse_everywhere(struct span bytes, bool request, struct arena *arena, struct head *head,
                                     struct head_check *check)
{
    bool more;
    enum failure why = parse_split(bytes, bytes.length, request, arena, head, check, &more);
    assert_false(more);
    for (size_t split = 0; split < bytes.length; split++) {
        struct arena *other = arena_new(1 << 20);
        struct head head_again;
        struct head_check check_again;
        assert_int_equal(parse_split(bytes, split, request, other, &head_again, &check_again, &more), why);
        if (why == FAILURE_NONE) {
            assert_int_equal(head_again.body_length, head->body_length);
            assert_int_equal(head_again.fields.count, head->fields.count);
        }
        arena_free(other);
    }
    return why;
}

static void check_cases(const char *const *cases, size_t count, bool request, enum failure expected)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *arena = arena_new(1 << 20);
        struct head head;
        struct head_check check;
        enum failure why = parse_everywhere(span_of(cases[i]), request, arena, &head, &check);
        if (why != expected)
            fail_msg("%s: %s instead of %s", cases[i], failure_info[why].word, failure_info[expected].word);
        arena_free(arena);
    }
}
#define CHECK(cases, request, expected) check_cases(cases, COUNT_OF(cases), request, expected)

#define HOST "Host: a.test\r\n"
#define GET "GET /c HTTP/1.1\r\n" HOST
#define POST "POST /c HTTP/1.1\r\n" HOST

static void a_request_is_taken_apart(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20);
    struct head head;
    struct head_check check;
    const char *raw =
        "PUT /a/b?c=d&e HTTP/1.1\r\nhOST: A.test:8080\r\nX-A:\r\nx-b:v  w \t\r\nX-A: 2\xc3\xa9\r\nContent-Length: 5\r\n"
        "Connection: Upgrade, foo\r\nUpgrade: websocket\r\nTE: trailers\r\nExpect: 100-Continue\r\n\r\nhello";
    assert_int_equal(parse_everywhere(span_of(raw), true, arena, &head, &check), FAILURE_NONE);
    assert_int_equal(head.line.request.method, METHOD_PUT);
    assert_span(head.line.request.path, "/a/b");
    assert_span(head.line.request.query, "c=d&e");
    assert_span(head.line.request.authority, "A.test:8080");
    assert_span(head.line.request.scheme, "");
    assert_int_equal(head.minor_version, 1);
    assert_int_equal(head.body_length, 5);
    assert_true(head.length_given);
    assert_true(head.accepts_trailers);
    assert_true(head.expect_continue);
    assert_span(head.upgrade, "websocket");
    /* Order and repetition stay; what belongs to the codec is gone. */
    static const char *const names[] = {"X-A", "x-b", "X-A", "Connection", "Upgrade", "TE", "Expect"};
    static const char *const values[] = {"",          "v  w",     "2\xc3\xa9",   "Upgrade, foo",
                                         "websocket", "trailers", "100-Continue"};
    assert_int_equal(head.fields.count, COUNT_OF(names));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_span(head.fields.items[i].name, names[i]);
        assert_span(head.fields.items[i].value, values[i]);
    }
    arena_free(arena);
}

static void forms_of_targets(void **state)
{
    (void)state;
    static const struct {
        const char *line, *scheme, *authority, *path, *query;
    } cases[] = {
        {"GET / HTTP/1.1", "", "a.test", "/", NULL},
        {"GET /? HTTP/1.1", "", "a.test", "/", ""},
        {"GET /c??a HTTP/1.1", "", "a.test", "/c", "?a"},
        {"OPTIONS * HTTP/1.1", "", "a.test", "*", NULL},
        {"GET http://b.test/x?y HTTP/1.1", "http", "b.test", "/x", "y"},
        {"GET HTTPS://b.test:1 HTTP/1.1", "https", "b.test:1", "/", NULL},
        {"GET http://b.test?y HTTP/1.1", "http", "b.test", "/", "y"},
        {"OPTIONS http://b.test HTTP/1.1", "http", "b.test", "*", NULL},
        {"Odd //evil.test/c HTTP/1.9", "", "a.test", "//evil.test/c", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *arena = arena_new(1 << 20);
        struct head head;
        struct head_check check;
        struct span raw = arena_print(arena, "%s\r\n" HOST "\r\n", cases[i].line);
        assert_int_equal(parse_everywhere(raw, true, arena, &head, &check), FAILURE_NONE);
        assert_span(head.line.request.scheme, cases[i].scheme);
        assert_span(head.line.request.authority, cases[i].authority);
        assert_span(head.line.request.path, cases[i].path);
        assert_int_equal(head.line.request.query.at == NULL, cases[i].query == NULL);
        assert_span(head.line.request.query, cases[i].query);
        assert_int_equal(h1_check_request_line(span_of(cases[i].line)), FAILURE_NONE);
        arena_free(arena);
    }
}

static void start_lines_that_are_none(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "GET /c\r\n" HOST "\r\n",
        "GET /c HTTP/1.10\r\n" HOST "\r\n",
        "GET /c HTTP/1.01\r\n" HOST "\r\n",
        "GET /c http/1.1\r\n" HOST "\r\n",
        "GET /c Http/1.1\r\n" HOST "\r\n",
        "GET /c HTTP/1\r\n" HOST "\r\n",
        "GET /c HTTP/1.\r\n" HOST "\r\n",
        "GET /c HTTP/1,1\r\n" HOST "\r\n",
        "GET /c HTTP/ 1.1\r\n" HOST "\r\n",
        "GET /c HTTP/-1.1\r\n" HOST "\r\n",
        "GET /c HTTPS/1.1\r\n" HOST "\r\n",
        "GET /c HTTP/1.1 \r\n" HOST "\r\n",
        "GET  /c HTTP/1.1\r\n" HOST "\r\n",
        "GET /c  HTTP/1.1\r\n" HOST "\r\n",
        "GET\t/c\tHTTP/1.1\r\n" HOST "\r\n",
        " GET /c HTTP/1.1\r\n" HOST "\r\n",
        "GET /c /d HTTP/1.1\r\n" HOST "\r\n",
        "GET  HTTP/1.1\r\n" HOST "\r\n",
        "G\xc3\x89T /c HTTP/1.1\r\n" HOST "\r\n",
        "G(T /c HTTP/1.1\r\n" HOST "\r\n",
        "GET /c\rX HTTP/1.1\r\n" HOST "\r\n",
        "GET /c\x0b HTTP/1.1\r\n" HOST "\r\n",
        "GET /c\x7f HTTP/1.1\r\n" HOST "\r\n",
        "GET /c HTTP/1.1\n" HOST "\r\n",
        "\r\nGET /c HTTP/1.1\r\n" HOST "\r\n",
        "GET /c HTTP/0.9\r\n" HOST "\r\n",
    };
    static const char *const targets[] = {
        "GET c HTTP/1.1\r\n" HOST "\r\n",
        "GET a.test/c HTTP/1.1\r\n" HOST "\r\n",
        "GET @e.test/ HTTP/1.1\r\n" HOST "\r\n",
        "GET :80/c HTTP/1.1\r\n" HOST "\r\n",
        "GET * HTTP/1.1\r\n" HOST "\r\n",
        "GET /c#x HTTP/1.1\r\n" HOST "\r\n",
        "GET http:///c HTTP/1.1\r\n" HOST "\r\n",
        "GET http:// HTTP/1.1\r\n" HOST "\r\n",
        "GET ftp://a.test/ HTTP/1.1\r\n" HOST "\r\n",
        "GET http://u:p@a.test/ HTTP/1.1\r\n" HOST "\r\n",
        "GET http:/a.test/ HTTP/1.1\r\n" HOST "\r\n",
    };
    static const char *const versions[] = {"GET /c HTTP/9.9\r\n" HOST "\r\n",
                                           "PRI * HTTP/2.0\r\n" HOST "\r\n"};
    static const char *const connects[] = {"CONNECT b.test:443 HTTP/1.1\r\nHost: b.test:443\r\n\r\n",
                                           "CONNECT /c HTTP/1.1\r\n" HOST "\r\n"};
    static const char *const connects_with_length[] = {
        "CONNECT b.test:443 HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n",
        "CONNECT b.test:443 HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
        "CONNECT b.test:443 HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
        "CONNECT b.test:443 HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"};
    CHECK(malformed, true, FAILURE_BAD_REQUEST);
    CHECK(targets, true, FAILURE_BAD_TARGET);
    CHECK(versions, true, FAILURE_VERSION_UNKNOWN);
    CHECK(connects, true, FAILURE_METHOD_REFUSED);
    CHECK(connects_with_length, true, FAILURE_BAD_FRAMING);
}

static void hosts(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\nX: y\r\n\r\n",
        GET HOST "\r\n",
        GET "Host:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: :80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: http://a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:1:1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [:::::]\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: <a>\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a%2etest\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\"b\r\n\r\n",
        "GET http://a.test/ HTTP/1.1\r\nX: y\r\n\r\n",
        "GET http://a.test/ HTTP/1.1\r\n" HOST HOST "\r\n",
        "GET http://a.test/ HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.0\r\n" HOST HOST "\r\n",
    };
    static const char *const good[] = {
        GET "\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: A.TEST.\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a_b.test:0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:65535\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::ffff:1.2.3.4]\r\n\r\n",
    };
    CHECK(bad, true, FAILURE_BAD_HOST);
    CHECK(good, true, FAILURE_NONE);
}

static void framing_of_requests(void **state)
{
    (void)state;
    static const char *const bad[] = {
        POST "Content-Length: -5\r\n\r\n",
        POST "Content-Length: +5\r\n\r\n",
        POST "Content-Length: 0x5\r\n\r\n",
        POST "Content-Length: 5a\r\n\r\n",
        POST "Content-Length: 5 5\r\n\r\n",
        POST "Content-Length: 5;5\r\n\r\n",
        POST "Content-Length: 5, 6\r\n\r\n",
        POST "Content-Length: 5,\r\n\r\n",
        POST "Content-Length: ,5\r\n\r\n",
        POST "Content-Length:\r\n\r\n",
        POST "Content-Length: \xd9\xa5\r\n\r\n",
        POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        POST "Content-Length: 9223372036854775808\r\n\r\n",
        POST "Content-Length: 18446744073709551621\r\n\r\n",
        POST "Content-Length: 99999999999999999999999999999999999999999\r\n\r\n",
        POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        POST "Transfer-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
        POST "Transfer-Encoding: chunked, chunked\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        POST "Transfer-Encoding: chunked, gzip\r\n\r\n",
        POST "Transfer-Encoding: chunked;q=1\r\n\r\n",
        POST "Transfer-Encoding: gzip, chunked ; q=1\r\n\r\n",
        POST "Transfer-Encoding: g zip;q=1, chunked\r\n\r\n",
        POST "Transfer-Encoding: ,chunked\r\n\r\n",
        POST "Transfer-Encoding: chunked,\r\n\r\n",
        POST "Transfer-Encoding:\r\n\r\n",
        POST "Transfer-Encoding: chunked;q=1\r\n\r\n",
        POST "Transfer-Encoding: \"chunked\"\r\n\r\n",
        POST "Transfer-Encoding: chunk ed\r\n\r\n",
        POST "Transfer-Encoding: chunked\xa0\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n",
    };
    static const char *const unknown[] = {
        POST "Transfer-Encoding: xchunked\r\n\r\n",
        POST "Transfer-Encoding: gzip, chunked\r\n\r\n",
        POST "Transfer-Encoding: gzip;q=1 , chunked\r\n\r\n",
        POST "Transfer-Encoding: identity\r\n\r\n",
        POST "Transfer-Encoding: 'chunked'\r\n\r\n",
        POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    CHECK(bad, true, FAILURE_BAD_FRAMING);
    CHECK(unknown, true, FAILURE_CODING_UNKNOWN);
    static const struct {
        const char *raw;
        int64_t length;
        bool given;
    } good[] = {
        {GET "\r\n", BODY_NONE, false},
        {POST "Content-Length: 0\r\n\r\n", 0, true},
        {GET "Content-Length: 5\r\n\r\n", 5, true},
        {POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 5, true},
        {POST "Content-Length: 5 , 005\r\n\r\n", 5, true},
        {POST "Content-Length: 9223372036854775807\r\n\r\n", INT64_MAX, true},
        {POST "TRANSFER-ENCODING: \t ChunKED\t\r\n\r\n", BODY_OF_UNKNOWN_LENGTH, false},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct arena *arena = arena_new(1 << 20);
        struct head head;
        struct head_check check;
        assert_int_equal(parse_everywhere(span_of(good[i].raw), true, arena, &head, &check), FAILURE_NONE);
        assert_int_equal(head.body_length, good[i].length);
        assert_int_equal(head.length_given, good[i].given);
        assert_int_equal(head.fields.count, 0);
        arena_free(arena);
    }
}

static void field_lines_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        GET "X-A : b\r\n\r\n",
        GET "X-A\t: b\r\n\r\n",
        GET ": b\r\n\r\n",
        GET "XA\r\n\r\n",
        GET "X: a\r\n b\r\n\r\n",
        GET "X: a\r\n\tb\r\n\r\n",
        GET "X: a\rb\r\n\r\n",
        GET "X: a\r\r\n\r\n",
        GET "X: a\nY: b\r\n\r\n",
        GET "X: a\r\n\n",
        "GET /c HTTP/1.1\r\n X: a\r\n" HOST "\r\n",
        GET "\rZ: a\r\n\r\n",
    };
    CHECK(bad, true, FAILURE_BAD_REQUEST);
    /* Every byte, in a name and in a value. */
    for (unsigned c = 0; c < 256; c++) {
        static const char tokens[] =
            "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        struct arena *arena = arena_new(1 << 20);
        struct head head;
        struct head_check check;
        bool more;
        char name[] = GET "Xx0123456789abcdefA: v\r\n\r\n", value[] = GET "X: vv0123456789abcdefw\r\n\r\n";
        size_t skip = sizeof(GET) - 1;
        name[skip + 1] = (char)c;
        value[skip + 4] = (char)c;
        bool token = c != 0 && strchr(tokens, (int)c) != NULL,
             visible = c == '\t' || (c >= 0x20 && c != 0x7f);
        assert_int_equal(parse_split(span_make(name, sizeof name - 1), 0, true, arena, &head, &check, &more),
                         token || c == ':' ? FAILURE_NONE : FAILURE_BAD_REQUEST);
        assert_int_equal(
            parse_split(span_make(value, sizeof value - 1), 0, true, arena, &head, &check, &more),
            visible ? FAILURE_NONE : FAILURE_BAD_REQUEST);
        arena_free(arena);
    }
}

/* Names that CGI folds into others do not reach a server, unless the file says so. */
static void names_that_could_imitate_others(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20);
    struct head head;
    struct head_check check;
    struct span raw = SPAN(GET "Content_Length: 5\r\nX.A: b\r\nX-B: c\r\n\r\n");
    assert_int_equal(h1_parse_request(raw, &limits, arena, &head, &check), FAILURE_NONE);
    assert_int_equal(head.fields.count, 1);
    assert_span(head.fields.items[0].name, "X-B");
    struct limits_config lax = limits;
    lax.underscore_names = true;
    assert_int_equal(h1_parse_request(raw, &lax, arena, &head, &check), FAILURE_NONE);
    assert_int_equal(head.fields.count, 2);
    assert_span(head.fields.items[0].name, "X.A"); /* but nothing that weir itself reads */
    arena_free(arena);
}

/* Any byte at any place of a name of any length, whichever way the name is looked at. */
static void names_of_every_byte(void **state)
{
    (void)state;
    for (unsigned length = 1; length < 20; length++)
        for (unsigned at = 0; at < length; at++)
            for (unsigned c = 1; c < 256; c++) {
                char raw[128], name[20];
                memset(name, 'n', length);
                name[at] = (char)c;
                int total = sprintf(raw, "GET / HTTP/1.1\r\nHost: a\r\n%.*s: v\r\n\r\n", (int)length, name);
                struct span bytes = span_make(raw, (size_t)total);
                struct arena *arena = arena_new(1 << 16);
                struct head head;
                struct head_check check;
                bool colon = c == ':' && at != 0; /* the name ends there */
                bool token = h1_is_token_byte((unsigned char)c);
                bool plain = field_name_is_plain(span_make(name, colon ? at : length));
                enum failure why = h1_parse_request(bytes, &limits, arena, &head, &check);
                if (c != '\r' && c != '\n' && why != (token || colon ? FAILURE_NONE : FAILURE_BAD_REQUEST))
                    fail_msg("%u at %u of %u: %s", c, at, length, failure_info[why].word);
                if (why == FAILURE_NONE && c != '\r' && c != '\n')
                    assert_int_equal(head.fields.count, plain);
                arena_free(arena);
            }
}

static void limits_hold(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20);
    struct head head;
    struct head_check check;
    char path[257];
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    struct span raw = arena_print(arena, "GET /%s HTTP/1.1\r\n" HOST "\r\n", path);
    assert_int_equal(h1_parse_request(raw, &limits, arena, &head, &check), FAILURE_TARGET_TOO_LONG);
    raw = arena_print(arena, "GET /%.200s HTTP/1.1\r\n" HOST "\r\n", path);
    assert_int_equal(h1_parse_request(raw, &limits, arena, &head, &check), FAILURE_NONE);
    char fields[21 * 6 + 1] = "";
    for (unsigned i = 0; i < 20; i++)
        memcpy(fields + i * 6, "X: y\r\n", 7);
    raw = arena_print(arena, "GET / HTTP/1.1\r\n" HOST "%s\r\n", fields);
    assert_int_equal(h1_parse_request(raw, &limits, arena, &head, &check), FAILURE_FIELDS_TOO_LARGE);
    raw = arena_print(arena, "GET / HTTP/1.1\r\n" HOST "%s\r\n", fields + 6);
    assert_int_equal(h1_parse_request(raw, &limits, arena, &head, &check), FAILURE_NONE);
    assert_int_equal(head.fields.count, 19);
    arena_free(arena);
}

/* A list and lines mean the same (RFC 9110 5.3), and one goes on. */
static void expectations(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        enum failure why;
        unsigned fields;
    } cases[] = {
        {"Expect: 100-continue\r\n", FAILURE_NONE, 1},
        {"Expect: 100-continue, 100-Continue\r\n", FAILURE_NONE, 1},
        {"Expect: , 100-CONTINUE ,\r\n", FAILURE_NONE, 1},
        {"Expect: 100-continue\r\nExpect: 100-continue\r\n", FAILURE_NONE, 1},
        {"Expect:\r\nExpect: 100-continue\r\n", FAILURE_NONE, 1},
        {"Expect:\r\n", FAILURE_NONE, 0},
        {"Expect: foo\r\n", FAILURE_EXPECTATION_UNKNOWN, 0},
        {"Expect: foo, 100-continue\r\n", FAILURE_EXPECTATION_UNKNOWN, 0},
        {"Expect: 100-continue, foo\r\n", FAILURE_EXPECTATION_UNKNOWN, 0},
        {"Expect: 100-continue\r\nExpect: foo\r\n", FAILURE_EXPECTATION_UNKNOWN, 0},
        {"Expect: 100-continue;q=1\r\n", FAILURE_EXPECTATION_UNKNOWN, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *arena = arena_new(1 << 20);
        struct head head;
        struct head_check check;
        char raw[200];
        snprintf(raw, sizeof raw, "PUT / HTTP/1.1\r\nHost: a\r\n%s\r\n", cases[i].raw);
        assert_int_equal(parse_everywhere(span_of(raw), true, arena, &head, &check), cases[i].why);
        if (cases[i].why == FAILURE_NONE) {
            assert_int_equal(head.fields.count, cases[i].fields);
            assert_int_equal(head.expect_continue, cases[i].fields);
        }
        if (cases[i].why == FAILURE_NONE && cases[i].fields != 0) {
            struct span value = head.fields.items[0].value;
            assert_true(span_equal_nocase(value, SPAN("100-continue")));
        }
        snprintf(raw, sizeof raw, "PUT / HTTP/1.0\r\n%s\r\n", cases[i].raw);
        assert_int_equal(parse_everywhere(span_of(raw), true, arena, &head, &check), FAILURE_NONE);
        assert_false(head.expect_continue);
        arena_free(arena);
    }
}

static void old_clients(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20);
    struct head head;
    struct head_check check;
    struct span raw = SPAN(
        "GET / HTTP/1.0\r\nConnection: keep-alive, upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(parse_everywhere(raw, true, arena, &head, &check), FAILURE_NONE);
    assert_int_equal(head.minor_version, 0);
    assert_false(head.expect_continue);
    assert_int_equal(head.upgrade.length, 0);
    assert_true(check.says_keep_alive);
    arena_free(arena);
}

static void responses(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20);
    struct head head;
    struct head_check check;
    struct span raw = SPAN(
        "HTTP/1.1 200 caf\xc3\xa9 ok\r\nSet-Cookie: a\r\nContent-Length: 5\r\nSet-Cookie: b\r\nX_Y: z\r\nConnection: close\r\n\r\n");
    assert_int_equal(parse_everywhere(raw, false, arena, &head, &check), FAILURE_NONE);
    assert_int_equal(head.line.response.status, 200);
    assert_span(head.line.response.reason, "caf\xc3\xa9 ok");
    assert_int_equal(head.fields.count, 4);
    assert_span(head.fields.items[1].value, "b");
    assert_int_equal(head.body_length, 5);
    assert_true(check.says_close);
    arena_free(arena);
#define OK "HTTP/1.1 200 OK\r\n"
    static const char *const good[] = {"HTTP/1.1 200 \r\n\r\n",
                                       "HTTP/1.1 200\r\n\r\n",
                                       "HTTP/1.0 404 Not Found\r\n\r\n",
                                       "HTTP/1.9 999 x\r\n\r\n",
                                       OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
                                       OK "X-Y_Z: \r\n\r\n",
                                       "HTTP/1.1 100 Continue\r\n\r\n"};
    static const char *const bad[] = {
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.x 200 OK\r\n\r\n",
        "HTTP/1.1 200OK\r\n\r\n",
        "HTTP/1.1\t200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 O\x01K\r\n\r\n",
        OK "X(R: v\r\n\r\n",
        OK "X: a\rb\r\n\r\n",
        OK "X: a\r\n b\r\n\r\n",
        OK "X: a\nY: b\r\n\r\n",
        OK ": a\r\n\r\n",
        OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        OK "Content-Length: -5\r\n\r\n",
        OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK "Transfer-Encoding: cow\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK "Transfer-Encoding: gzip, chunked\r\n\r\n",
    };
    CHECK(good, false, FAILURE_NONE);
    CHECK(bad, false, FAILURE_RESPONSE_INVALID);
}

static void trailers(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        int count; /* -1: refused */
    } cases[] = {
        {"\r\n", 0},
        {"X-T: v\r\n\r\n", 1},
        {"X-T: v\r\nY: \r\n\r\n", 2},
        {"Content-Length: 50\r\nHost: b\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n", 1},
        {"foo\r\n\r\n", -1},
        {"Foo: x\r\n y\r\n\r\n", -1},
        {"Foo : x\r\n\r\n", -1},
        {" Foo: x\r\n\r\n", -1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct span raw = span_of(cases[i].raw);
        for (size_t split = 0; split <= raw.length; split++) {
            struct arena *arena = arena_new(1 << 20);
            struct h1_scan scan = {.in_trailers = true};
            struct fields fields;
            size_t length = 0;
            enum h1_step step = h1_scan(&scan, span_first(raw, split), &length);
            if (step == H1_MORE)
                step = h1_scan(&scan, raw, &length);
            assert_int_equal(step, H1_DONE);
            assert_int_equal(length, raw.length);
            enum failure why = h1_parse_trailers(raw, true, &limits, arena, &fields);
            assert_int_equal(why == FAILURE_NONE ? fields.count : -1, cases[i].count);
            arena_free(arena);
        }
    }
}

/* The wide search and the byte-wise one agree wherever the byte stands. */
static void controls_are_found_anywhere(void **state)
{
    (void)state;
    char bytes[70];
    for (size_t length = 0; length < sizeof bytes; length++)
        for (size_t at = 0; at < length; at++)
            for (unsigned c = 0; c < 256; c += c == 0x21 ? 0x5d : 1) {
                memset(bytes, 0x80, sizeof bytes);
                bytes[at] = (char)c;
                size_t expected = c < 0x20 || c == 0x7f ? at : length;
                if (h1_find_control(span_make(bytes, length), 0) != expected)
                    fail_msg("byte %02x at %zu of %zu", c, at, length);
            }
}

static void known_names_are_found(void **state)
{
    (void)state;
    static const char *const names[] = {
#define X(id, name, hop) [FIELD_##id] = name,
        FIELDS(X)
#undef X
    };
    for (uint16_t id = 1; id < FIELD_ID_COUNT; id++) {
        char upper[40];
        size_t length = strlen(names[id]);
        for (size_t i = 0; i < length; i++)
            upper[i] = names[id][i] >= 'a' && names[id][i] <= 'z' ? (char)(names[id][i] - 32) : names[id][i];
        assert_int_equal(field_id(span_of(names[id])), id);
        assert_int_equal(field_id(span_make(upper, length)), id);
        assert_true(span_equal_nocase(field_names[id], span_of(names[id])));
        for (size_t i = 0; i < length; i++) { /* neighbours are others */
            char kept = upper[i];
            upper[i] = kept == 'Q' ? 'J' : 'Q';
            assert_int_equal(field_id(span_make(upper, length)), FIELD_OTHER);
            upper[i] = kept;
        }
    }
    assert_int_equal(field_id(SPAN("")), FIELD_OTHER);
    assert_int_equal(field_id(SPAN("x")), FIELD_OTHER);
}

static void fields_keep_their_order(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20);
    struct fields fields = {.items = NULL};
    for (unsigned i = 0; i < 100; i++) {
        struct span value = arena_print(arena, "%u", i);
        assert_true(fields_add(&fields, arena,
                               i % 3 == 0   ? SPAN("Set-Cookie")
                               : i % 3 == 1 ? SPAN("X-A")
                                            : SPAN("x-b"),
                               value, i % 3 == 0 ? FIELD_SET_COOKIE : FIELD_OTHER));
    }
    assert_span(fields_find(&fields, FIELD_SET_COOKIE)->value, "0");
    struct field *field = fields_find_name(&fields, SPAN("X-B"));
    assert_span(field->value, "2");
    field = fields_next(&fields, field);
    assert_span(field->value, "5");
    assert_int_equal(fields_remove_name(&fields, SPAN("x-a")), 33);
    assert_int_equal(fields.count, 67);
    assert_int_equal(fields_remove(&fields, FIELD_SET_COOKIE), 34);
    for (uint16_t i = 0; i < fields.count; i++) {
        char text[12];
        snprintf(text, sizeof text, "%u", i * 3u + 2);
        assert_span(fields.items[i].value, text);
    }
    assert_null(fields_find(&fields, FIELD_SET_COOKIE));
    assert_int_equal(fields_remove(&fields, FIELD_DATE), 0);
    arena_free(arena);
}

/* The table of config/field_names.c against that of http/field_table.h: what never reaches a rule, or belongs
 * to a connection, cannot be named. */
static void names_of_the_file(void **state)
{
    (void)state;
    struct error error;
    for (uint16_t id = FIELD_OTHER + 1; id < FIELD_ID_COUNT; id++) {
        struct span value;
        struct head none = {.body_length = BODY_NONE};
        bool kept = head_keeps(&none, id, &value), hop = field_is_hop(id);
        for (unsigned use = FIELD_USE_MATCH; use < FIELD_USES; use++) {
            bool fine = field_name_check(field_names[id], (enum field_use)use, &error);
            bool reads = use != FIELD_USE_EDIT;
            if (hop || id == FIELD_HOST)
                assert_int_equal(fine, reads && kept);
            else if (reads)
                assert_true(fine);
        }
    }
    assert_false(field_name_check(SPAN("content-length"), FIELD_USE_EDIT, &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_the_file),
        cmocka_unit_test(a_request_is_taken_apart),
        cmocka_unit_test(forms_of_targets),
        cmocka_unit_test(start_lines_that_are_none),
        cmocka_unit_test(hosts),
        cmocka_unit_test(framing_of_requests),
        cmocka_unit_test(field_lines_that_are_none),
        cmocka_unit_test(names_that_could_imitate_others),
        cmocka_unit_test(names_of_every_byte),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(expectations),
        cmocka_unit_test(old_clients),
        cmocka_unit_test(responses),
        cmocka_unit_test(trailers),
        cmocka_unit_test(controls_are_found_anywhere),
        cmocka_unit_test(known_names_are_found),
        cmocka_unit_test(fields_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
