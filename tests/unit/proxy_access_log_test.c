/* Access-log lines: both formats word for word, what is left out, and that nothing a client sends can break
 * or stretch a line. */
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "http/exchange.h"
#include "proxy/access_log.h"
#include "proxy/snapshot.h"
#include "unit.h"

#define WALL_US 1700000000123456u /* 2023-11-14T22:13:20.123Z */

static struct access_log *log_of(enum access_log_format format)
{
    struct access_log_config config = {.to = "stdout", .format = format};
    return access_log_new(&config);
}

static struct ip_address ip_of(const char *text)
{
    struct ip_address ip;
    assert_true(ip_address_parse(&ip, span_of(text)));
    return ip;
}

/* A request that went well at the second server. */
static struct exchange exchange_made(struct field *fields)
{
    struct exchange x = {.number = 7, .request_id = SPAN("0123456789abcdef0123456789abcdef"), .tls = true};
    x.peer = ip_of("10.0.0.1");
    x.client = ip_of("2001:db8::7");
    x.tls_version = SPAN("TLSv1.3");
    x.server_name = SPAN("example.com");
    x.local = SPAN("[::]:443");
    x.target =
        (struct target){.host = SPAN("example.com"), .path = SPAN("/a b/\"x\""), .query = SPAN("q=1&r=\\")};
    x.request.line.request.method_name = SPAN("GET");
    x.request.line.request.path = SPAN("/rewritten");
    x.request.minor_version = 1;
    fields[0] =
        (struct field){.name = SPAN("User-Agent"), .value = SPAN("curl/8 \x01"), .id = FIELD_USER_AGENT};
    fields[1] =
        (struct field){.name = SPAN("Referer"), .value = SPAN("https://example.com/"), .id = FIELD_REFERER};
    x.request.fields = (struct fields){.items = fields, .count = 2, .room = 2};
    x.times = (struct exchange_times){.began = 1000,
                                      .routed = 1005,
                                      .connected = 2345,
                                      .sent = 2345,
                                      .answered = 1002345,
                                      .ended = 1003000};
    x.bytes_in = 3;
    x.bytes_out = 4000000000u;
    x.attempts = 2;
    return x;
}

static const struct plan api_plan = {.name = "api"};
static const struct attempt_record failed_once[] = {{"10.1.0.1:80", "connect_refused"}};
static const struct access_facts good_facts = {.plan = &api_plan,
                                               .pool = "blue",
                                               .server = "10.1.0.2:80",
                                               .server_protocol = "HTTP/1.1",
                                               .attempts = failed_once,
                                               .attempts_count = 1,
                                               .status = 200,
                                               .grpc_status = {"14", 2},
                                               .replayed = false,
                                               .upstream_reused = true};

static void check_line(enum access_log_format format, struct exchange *x, const struct access_facts *facts,
                       const char *expected)
{
    char memory[ACCESS_LINE_MAX];
    struct access_log *log = log_of(format);
    struct span line = access_log_print(log, x, facts, WALL_US, memory);
    assert_int_equal(memory[line.length], '\0');
    assert_string_equal(memory, expected);
    access_log_free(log);
}

static void json_line_is_whole(void **state)
{
    (void)state;
    struct field fields[2];
    struct exchange x = exchange_made(fields);
    check_line(
        ACCESS_LOG_JSON, &x, &good_facts,
        "{\"time\":\"2023-11-14T22:13:20.123Z\",\"id\":\"0123456789abcdef0123456789abcdef\","
        "\"listener\":\"[::]:443\",\"client\":\"2001:db8::7\",\"peer\":\"10.0.0.1\",\"method\":\"GET\","
        "\"host\":\"example.com\",\"path\":\"/a b/\\\"x\\\"\",\"query\":\"q=1&r=\\\\\","
        "\"protocol\":\"HTTP/1.1\",\"status\":200,\"grpc_status\":14,\"bytes_in\":3,\"bytes_out\":4000000000,\"route\":\"api\","
        "\"pool\":\"blue\",\"server\":\"10.1.0.2:80\",\"server_protocol\":\"HTTP/1.1\",\"attempts\":2,"
        "\"failed\":[{\"server\":\"10.1.0.1:80\",\"failure\":\"connect_refused\"}],\"reused\":true,"
        "\"route_ms\":0.005,\"connect_ms\":1.340,\"first_byte_ms\":1000.000,\"total_ms\":1002.000,"
        "\"tls\":\"TLSv1.3\",\"sni\":\"example.com\",\"user_agent\":\"curl/8 \\u0001\","
        "\"referer\":\"https://example.com/\"}\n");
}

static void logfmt_line_is_whole(void **state)
{
    (void)state;
    struct field fields[2];
    struct exchange x = exchange_made(fields);
    check_line(
        ACCESS_LOG_LOGFMT, &x, &good_facts,
        "time=2023-11-14T22:13:20.123Z id=0123456789abcdef0123456789abcdef listener=[::]:443 "
        "client=2001:db8::7 peer=10.0.0.1 method=GET host=example.com path=\"/a b/\\\"x\\\"\" "
        "query=\"q=1&r=\\\\\" protocol=HTTP/1.1 status=200 grpc_status=14 bytes_in=3 bytes_out=4000000000 route=api "
        "pool=blue server=10.1.0.2:80 server_protocol=HTTP/1.1 attempts=2 "
        "failed=10.1.0.1:80:connect_refused reused=true route_ms=0.005 connect_ms=1.340 "
        "first_byte_ms=1000.000 total_ms=1002.000 tls=TLSv1.3 sni=example.com user_agent=\"curl/8 \\u0001\" "
        "referer=https://example.com/\n");
}

/* A connection that sent rubbish: no method, no route, no server; what is not known is not there. */
static void unknown_is_left_out(void **state)
{
    (void)state;
    struct exchange x = {.request_id = SPAN("id"), .local = SPAN(":80"), .failure = FAILURE_BAD_REQUEST};
    x.peer = x.client = ip_of("192.0.2.1");
    x.times = (struct exchange_times){.began = 5, .ended = 1005};
    struct access_facts facts = {.status = 400};
    check_line(
        ACCESS_LOG_JSON, &x, &facts,
        "{\"time\":\"2023-11-14T22:13:20.123Z\",\"id\":\"id\",\"listener\":\":80\",\"client\":\"192.0.2.1\","
        "\"status\":400,\"bytes_in\":0,\"bytes_out\":0,\"failure\":\"bad_request\",\"failure_of\":\"client\","
        "\"total_ms\":1.000}\n");
}

static void failures_tell_whose(void **state)
{
    (void)state;
    static const struct {
        enum failure failure;
        const char *tail;
    } cases[] = {
        {FAILURE_SERVER_CLOSED, "failure=server_closed failure_of=server\n"},
        {FAILURE_QUEUE_FULL, "failure=queue_full failure_of=weir\n"},
        {FAILURE_CLIENT_CLOSED, "failure=client_closed failure_of=client\n"},
    };
    struct access_log *log = log_of(ACCESS_LOG_LOGFMT);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct exchange x = {.request_id = SPAN("id"), .failure = cases[i].failure};
        struct access_facts facts = {.status = 0};
        char memory[ACCESS_LINE_MAX];
        struct span line = access_log_print(log, &x, &facts, WALL_US, memory);
        size_t tail = strlen(cases[i].tail);
        assert_true(line.length > tail);
        assert_string_equal(memory + line.length - tail, cases[i].tail);
    }
    access_log_free(log);
}

/* As much as a client can send, in the bytes that grow most when escaped: the line keeps its bound, its one
 * newline and its end. */
static void long_values_are_cut(void **state)
{
    (void)state;
    enum { LONG = 30000 };
    char *bytes = malloc(LONG);
    assert_non_null(bytes);
    static const char kinds[] = {'\x01', '\n', '"', '\\', '\xff', 'a'};
    for (int format = ACCESS_LOG_JSON; format <= ACCESS_LOG_LOGFMT; format++) {
        struct access_log *log = log_of((enum access_log_format)format);
        for (size_t i = 0; i < sizeof(kinds); i++) {
            memset(bytes, kinds[i], LONG);
            bytes[LONG - 1] = '\0';
            struct span all = span_make(bytes, LONG - 1);
            struct field fields[2];
            struct exchange x = exchange_made(fields);
            struct plan plan = {.name = bytes};
            struct attempt_record failed[5];
            for (size_t j = 0; j < COUNT_OF(failed); j++)
                failed[j] = (struct attempt_record){bytes, "response_too_large"};
            struct access_facts facts = {.plan = &plan,
                                         .pool = bytes,
                                         .server = bytes,
                                         .server_protocol = "HTTP/1.1",
                                         .attempts = failed,
                                         .attempts_count = COUNT_OF(failed),
                                         .status = 502,
                                         .replayed = true,
                                         .upstream_reused = true};
            x.request_id = x.local = x.server_name = x.target.host = x.target.path = x.target.query = all;
            x.request.line.request.method_name = fields[0].value = fields[1].value = all;
            x.failure = FAILURE_RESPONSE_TOO_LARGE;
            char memory[ACCESS_LINE_MAX];
            struct span line = access_log_print(log, &x, &facts, WALL_US, memory);
            assert_true(line.length < ACCESS_LINE_MAX);
            assert_int_equal(span_find(line, '\n'), line.length - 1);
            if (format == ACCESS_LOG_JSON)
                assert_string_equal(memory + line.length - 3, "\"}\n");
            for (size_t j = 0; j + 1 < line.length; j++)
                assert_true((unsigned char)memory[j] >= ' ');
        }
        access_log_free(log);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_line_is_whole),  cmocka_unit_test(logfmt_line_is_whole),
        cmocka_unit_test(unknown_is_left_out), cmocka_unit_test(failures_tell_whose),
        cmocka_unit_test(long_values_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
