/* Templates: what every name stands for, what is absent, what is refused, and that no value ends a line. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "config/foreign_variables.h"
#include "http/template.h"

#include "base/arena.h"
#include "http/exchange.h"
#include "unit.h"
#include <arpa/inet.h>

static struct exchange x;

static int exchange_make(void **state)
{
    (void)state;
    x = (struct exchange){.arena = arena_new_malloc(), .route_name = "api", .server_address = "10.0.0.1:80"};
    assert_true(ip_address_parse(&x.client, SPAN("2001:db8::1")));
    assert_true(ip_address_parse(&x.peer, SPAN("192.0.2.1")));
    x.client.port = 1234;
    x.request_id = SPAN("id-1");
    x.tls = x.https = true;
    x.tls_version = SPAN("TLSv1.3");
    x.server_name = SPAN("sni.test");
    x.target.host = SPAN("a.test");
    x.request.line.request.method_name = SPAN("GET");
    x.request.line.request.path = SPAN("/p%20q");
    x.request.line.request.query = SPAN("a=b");
    x.response.line.response.status = 204;
    assert_true(
        fields_add(&x.request.fields, x.arena, SPAN("X-Some"), SPAN("thing"), field_id(SPAN("X-Some"))));
    return 0;
}

static int exchange_drop(void **state)
{
    (void)state;
    arena_free(x.arena);
    return 0;
}

static struct span filled(const char *text)
{
    struct error error = {.text = ""};
    struct template *template = template_new(text, &error);
    if (template == NULL)
        print_error("%s\n", error.text);
    assert_non_null(template);
    struct span value = template_fill(template, &x);
    assert_non_null(value.at);
    value = arena_copy(x.arena, value); /* a constant lives in the template */
    template_free(template);
    return value;
}

static void every_name_has_its_value(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"${request.id}", "id-1"},       {"${request.method}", "GET"},
        {"${request.host}", "a.test"},   {"${request.path}", "/p%20q"},
        {"${request.query}", "a=b"},     {"${request.uri}", "/p%20q?a=b"},
        {"${request.scheme}", "https"},  {"${request.header.x-some}", "thing"},
        {"${client.ip}", "2001:db8::1"}, {"${client.port}", "1234"},
        {"${peer.ip}", "192.0.2.1"},     {"${route}", "api"},
        {"${tls.version}", "TLSv1.3"},   {"${tls.sni}", "sni.test"},
        {"${server}", "10.0.0.1:80"},    {"${status}", "204"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_span(filled(rows[i][0]), rows[i][1]);
}

/* What the file's checks answer the variables of other products with is a template. */
static void answers_to_foreign_variables_are_templates(void **state)
{
    (void)state;
    size_t rows = 0;
    for (const struct foreign_variable *row = foreign_variables; row->whose != NULL; row++, rows++) {
        char theirs[80], copy[80];
        size_t used = 0, star = strcspn(row->theirs, "*");
        struct span name;
        (void)snprintf(theirs, sizeof theirs, "%.*s%s%s,", (int)star, row->theirs,
                       row->theirs[star] == '*' ? "Some_Name" : "",
                       row->theirs[star] == '*' ? row->theirs + star + 1 : "");
        assert_ptr_equal(foreign_variable_find(span_of(theirs), FOREIGN_PERHAPS, &used, &name), row);
        assert_int_equal(used, strlen(theirs) - 1);
        assert_true((row->ours == NULL) != (row->hint == NULL));
        if (row->ours == NULL || strncmp(row->ours, "${env.", 6) == 0)
            continue;
        struct text ours = text_over(copy, sizeof copy);
        foreign_variable_print(row, name, &ours);
        (void)filled(copy);
    }
    assert_true(rows > 80);
}

static void text_and_names_are_joined(void **state)
{
    (void)state;
    assert_span(filled("<${client.ip}|${request.method}>"), "<2001:db8::1|GET>");
    assert_span(filled("plain"), "plain");
    assert_span(filled(""), "");
    assert_span(filled("$$"), "$");
    assert_span(filled("a$$b$${x}"), "a$b${x}");
    assert_span(filled("$ and $1 and }"), "$ and $1 and }");
    assert_span(filled("${request.method}$"), "GET$");
}

static void what_is_absent_is_empty(void **state)
{
    (void)state;
    x = (struct exchange){.arena = x.arena};
    x.request.line.request.path = SPAN("/");
    assert_span(
        filled("[${request.host}${request.query}${request.header.x-none}${route}${tls.version}${tls.sni}"
               "${server}${status}]"),
        "[]");
    assert_span(filled("${request.uri}"), "/");
    assert_span(filled("${request.scheme}"), "http");
}

static void ipv6_hosts_keep_their_brackets(void **state)
{
    (void)state;
    x.target.host = SPAN("2001:db8::1");
    assert_span(filled("https://${request.host}/"), "https://[2001:db8::1]/");
}

/* Constant text may have lines (bodies do); what a client sent never adds one. */
static void values_never_end_a_line(void **state)
{
    (void)state;
    assert_true(fields_add(&x.request.fields, x.arena, SPAN("X-Evil"), span_make("a\r\nSet-Cookie: b\0c", 18),
                           field_id(SPAN("X-Evil"))));
    assert_span(filled("ok\n${request.header.x-evil}"), "ok\naSet-Cookie: bc");
}

static void constants_are_not_copied(void **state)
{
    (void)state;
    struct error error;
    struct template *template = template_new("constant", &error);
    struct span text, again;
    assert_non_null(template);
    assert_true(template_is_constant(template, &text));
    again = template_fill(template, &x);
    assert_ptr_equal(text.at, again.at);
    template_free(template);
    template = template_new("a ${route}", &error);
    assert_non_null(template);
    assert_false(template_is_constant(template, &text));
    template_free(template);
}

static void mistakes_are_told(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"${request.pth}", "did you mean \"${request.path}\"?"},
                                          {"${nothing.like.it}", "unknown name \"${nothing.like.it}\""},
                                          {"${request.header.}", "unknown name"},
                                          {"${}", "unknown name \"${}\""},
                                          {"x ${client.ip", "\"${\" without its \"}\""}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct error error = {.text = ""};
        assert_null(template_new(rows[i][0], &error));
        if (strstr(error.text, rows[i][1]) == NULL)
            fail_msg("%s: %s", rows[i][0], error.text);
    }
}

static void a_full_arena_is_told(void **state)
{
    (void)state;
    struct error error;
    struct template *template = template_new("${request.uri}${request.uri}", &error);
    struct exchange small = x;
    char query[3000];
    memset(query, 'q', sizeof query);
    assert_non_null(template);
    small.request.line.request.query = span_make(query, sizeof query);
    small.arena = arena_new(1024);
    assert_non_null(small.arena);
    assert_null(template_fill(template, &small).at);
    arena_free(small.arena);
    template_free(template);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, exchange_make, exchange_drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_name_has_its_value),       TEST(answers_to_foreign_variables_are_templates),
        TEST(text_and_names_are_joined),      TEST(what_is_absent_is_empty),
        TEST(ipv6_hosts_keep_their_brackets), TEST(values_never_end_a_line),
        TEST(constants_are_not_copied),       TEST(mistakes_are_told),
        TEST(a_full_arena_is_told),
    };
    return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
