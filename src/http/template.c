/* Templates: compiled into pieces of text and named values; filled by concatenation into the exchange's
 * arena. */
#include "http/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include "config/field_names.h"
#include "config/route_config.h"
#include "http/exchange.h"

struct piece {
    struct span text;                                                  /* constant, or the header's name */
    struct span (*value)(struct exchange *exchange, struct span name); /* NULL: constant */
};
struct template
{
    char *source;
    size_t count;
    struct piece *pieces;
};

#define PIECES_MOST 64u

/* What a name stands for in this exchange; at == NULL: the arena's cap. Absent things are empty. */
static struct span present(struct span value)
{
    return value.at != NULL ? value : SPAN("");
}

static struct span value_request_id(struct exchange *x, struct span name)
{
    (void)name;
    return exchange_request_id(x);
}

static struct span value_method(struct exchange *x, struct span name)
{
    (void)name;
    return x->request.line.request.method_name;
}

/* As it stands in a URL: an IPv6 address in brackets. */
static struct span value_host(struct exchange *x, struct span name)
{
    struct span host = x->target.host;
    (void)name;
    if (span_find(host, ':') == host.length)
        return present(host);
    return arena_print(x->arena, "[%.*s]", (int)host.length, host.at);
}

static struct span value_path(struct exchange *x, struct span name)
{
    (void)name;
    return x->came_path.at != NULL ? x->came_path : x->request.line.request.path;
}

static struct span value_query(struct exchange *x, struct span name)
{
    (void)name;
    return present(x->request.line.request.query);
}

static struct span value_uri(struct exchange *x, struct span name)
{
    struct span path = value_path(x, name), query = x->request.line.request.query;
    if (query.at == NULL)
        return path;
    return arena_print(x->arena, "%.*s?%.*s", (int)path.length, path.at, (int)query.length, query.at);
}

static struct span value_scheme(struct exchange *x, struct span name)
{
    (void)name;
    return x->https ? SPAN("https") : SPAN("http");
}

static struct span value_header(struct exchange *x, struct span name)
{
    const struct fields *fields = x->came_fields != NULL ? x->came_fields : &x->request.fields;
    return present(head_field_among(&x->request, fields, name));
}

static struct span print_ip(struct exchange *x, const struct ip_address *ip)
{
    char text[ADDRESS_TEXT_MAX];
    return arena_copy(x->arena, ip_address_print(ip, text));
}

static struct span value_client_ip(struct exchange *x, struct span name)
{
    (void)name;
    return print_ip(x, &x->client);
}

static struct span value_client_port(struct exchange *x, struct span name)
{
    (void)name;
    return arena_print(x->arena, "%u", x->client.port);
}

static struct span value_peer_ip(struct exchange *x, struct span name)
{
    (void)name;
    return print_ip(x, &x->peer);
}

static struct span value_route(struct exchange *x, struct span name)
{
    (void)name;
    return present(span_of(x->route_name));
}

static struct span value_tls_version(struct exchange *x, struct span name)
{
    (void)name;
    return present(x->tls_version);
}

static struct span value_tls_sni(struct exchange *x, struct span name)
{
    (void)name;
    return present(x->server_name);
}

static struct span value_server(struct exchange *x, struct span name)
{
    (void)name;
    return present(span_of(x->server_address));
}

static struct span value_status(struct exchange *x, struct span name)
{
    (void)name;
    if (x->response.line.response.status == 0)
        return SPAN("");
    return arena_print(x->arena, "%u", x->response.line.response.status);
}

static const struct {
    const char *name;
    struct span (*value)(struct exchange *exchange, struct span name);
    bool prefix;      /* the rest of the name is a parameter */
    bool of_response; /* there is none before a response is */
} values[] = {
    {"request.id", value_request_id, false, false},
    {"request.method", value_method, false, false},
    {"request.host", value_host, false, false},
    {"request.path", value_path, false, false},
    {"request.query", value_query, false, false},
    {"request.uri", value_uri, false, false},
    {"request.scheme", value_scheme, false, false},
    {"request.header.", value_header, true, false},
    {"client.ip", value_client_ip, false, false},
    {"client.port", value_client_port, false, false},
    {"peer.ip", value_peer_ip, false, false},
    {"route", value_route, false, false},
    {"tls.version", value_tls_version, false, false},
    {"tls.sni", value_tls_sni, false, false},
    {"server", value_server, false, true},
    {"status", value_status, false, true},
};

static bool unknown_name(struct span name, struct error *error)
{
    const char *nearest = NULL;
    unsigned least = 4;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        unsigned distance = text_distance(name, span_of(values[i].name), least);
        if (distance < least) {
            least = distance;
            nearest = values[i].name;
        }
    }
    if (nearest != NULL)
        return error_set(error, "unknown name \"${%.*s}\"; did you mean \"${%s}\"?", (int)name.length,
                         name.at, nearest);
    return error_set(
        error,
        "unknown name \"${%.*s}\"; names are request.id, request.path, client.ip and others of weir.yaml(5)",
        (int)name.length, name.at);
}

static bool piece_named(struct piece *piece, struct span name, struct error *error)
{
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        struct span known = span_of(values[i].name);
        if (values[i].prefix ? span_starts(name, known) && name.length > known.length
                             : span_equal(name, known)) {
            piece->text = values[i].prefix ? span_skip(name, known.length) : SPAN_NONE;
            piece->value = values[i].value;
            return !values[i].prefix || field_name_check(piece->text, FIELD_USE_TEMPLATE, error);
        }
    }
    return unknown_name(name, error);
}

/* The next piece: a name in ${}, "$$" for one dollar, or text up to the next dollar. */
static bool piece_next(struct piece *piece, struct span *rest, struct error *error)
{
    *piece = (struct piece){.value = NULL};
    if (span_starts(*rest, SPAN("${"))) {
        size_t end = span_find(*rest, '}');
        if (end == rest->length)
            return error_set(error, "\"${\" without its \"}\"");
        struct span name = span_make(rest->at + 2, end - 2);
        *rest = span_skip(*rest, end + 1);
        return piece_named(piece, name, error);
    }
    size_t end = rest->at[0] == '$' ? 1 : span_find(*rest, '$');
    piece->text = span_first(*rest, end);
    *rest = span_skip(*rest, end + (span_starts(*rest, SPAN("$$")) ? 1 : 0));
    return true;
}

struct template *template_new(const char *text, struct error *error)
{
    struct template *template = xcalloc(1, sizeof *template);
    template->source = xstrdup(text);
    template->pieces = xcalloc(PIECES_MOST, sizeof *template->pieces);
    struct span rest = span_of(template->source);
    while (rest.length != 0) {
        if (template->count == PIECES_MOST) {
            error_set(error, "a template has at most %u parts", PIECES_MOST);
            template_free(template);
            return NULL;
        }
        if (!piece_next(&template->pieces[template->count++], &rest, error)) {
            template_free(template);
            return NULL;
        }
    }
    template->pieces = xrealloc(template->pieces, (template->count + 1) * sizeof *template->pieces);
    return template;
}

void template_free(struct template *template)
{
    if (template == NULL)
        return;
    free(template->pieces);
    free(template->source);
    free(template);
}

bool template_check_early(const char *text, struct error *error)
{
    for (const char *at = strchr(text, '$'); at != NULL; at = strchr(at, '$')) {
        struct span rest = span_of(at);
        at += span_starts(rest, SPAN("$$")) ? 2 : 1;
        if (!span_starts(rest, SPAN("${")))
            continue;
        struct span name = span_make(rest.at + 2, span_find(rest, '}') - 2);
        for (size_t i = 0; i < COUNT_OF(values); i++)
            if (values[i].of_response && span_is(name, values[i].name))
                return error_set(
                    error,
                    "\"${%s}\" is known once there is a response, and is always empty here; it can stand in response: { headers: ... }",
                    values[i].name);
    }
    return true;
}

bool template_is_constant(const struct template *template, struct span *text)
{
    if (template->count > 1 || (template->count == 1 && template->pieces[0].value != NULL))
        return false;
    *text = template->count == 1 ? template->pieces[0].text : SPAN("");
    return true;
}

bool template_names_host(const struct template *template)
{
    size_t i = 0;
    while (i < template->count && template->pieces[i].value != value_host)
        i++;
    return i != template->count;
}

/* What ends text: of an element or an attribute, of a string, of a cookie's value (RFC 6265 4.1.1). */
static const struct {
    char byte;
    const char *as[TEMPLATE_ESCAPES]; /* NULL: as it is */
} escapes[] = {
    {'&', {[TEMPLATE_FOR_HTML] = "&amp;"}},
    {'<', {[TEMPLATE_FOR_HTML] = "&lt;", [TEMPLATE_FOR_JSON] = "\\u003c"}},
    {'>', {[TEMPLATE_FOR_HTML] = "&gt;", [TEMPLATE_FOR_JSON] = "\\u003e"}},
    {'"', {[TEMPLATE_FOR_HTML] = "&quot;", [TEMPLATE_FOR_JSON] = "\\\"", [TEMPLATE_FOR_COOKIE] = "%22"}},
    {'\'', {[TEMPLATE_FOR_HTML] = "&#39;"}},
    {'\\', {[TEMPLATE_FOR_JSON] = "\\\\", [TEMPLATE_FOR_COOKIE] = "%5C"}},
    {'\t', {[TEMPLATE_FOR_JSON] = "\\t", [TEMPLATE_FOR_COOKIE] = "%09"}},
    {' ', {[TEMPLATE_FOR_COOKIE] = "%20"}},
    {';', {[TEMPLATE_FOR_COOKIE] = "%3B"}},
    {',', {[TEMPLATE_FOR_COOKIE] = "%2C"}},
};
#define ESCAPE_MOST 6u /* bytes that one becomes */

static size_t copy_escaped(char *to, char c, enum template_escape escape)
{
    for (size_t i = 0; i < COUNT_OF(escapes); i++) {
        if (escapes[i].byte != c || escapes[i].as[escape] == NULL)
            continue;
        struct span text = span_of(escapes[i].as[escape]);
        memcpy(to, text.at, text.length);
        return text.length;
    }
    *to = c;
    return 1;
}

/* Bytes that could end a field or a line never come out of a value. */
static size_t copy_clean(char *to, struct span from, enum template_escape escape)
{
    size_t length = 0;
    for (size_t i = 0; i < from.length; i++) {
        unsigned char c = (unsigned char)from.at[i];
        if ((c < ' ' || c == 0x7f) && c != '\t')
            continue;
        if (escape == TEMPLATE_AS_IT_IS)
            to[length++] = from.at[i];
        else
            length += copy_escaped(to + length, from.at[i], escape);
    }
    return length;
}

static bool type_is(struct span type, struct span whole, struct span suffix)
{
    return span_equal_nocase(type, whole) ||
           (type.length > suffix.length &&
            span_equal_nocase(span_skip(type, type.length - suffix.length), suffix));
}

enum template_escape template_escape_of(struct span content_type)
{
    struct span type = span_trim(span_first(content_type, span_find(content_type, ';')));
    if (type_is(type, SPAN("application/json"), SPAN("+json")) || span_equal_nocase(type, SPAN("text/json")))
        return TEMPLATE_FOR_JSON;
    return type_is(type, SPAN("text/html"), SPAN("+xml")) || type_is(type, SPAN("text/xml"), SPAN("/xml"))
               ? TEMPLATE_FOR_HTML
               : TEMPLATE_AS_IT_IS;
}

struct span template_fill_escaped(const struct template *template, struct exchange *exchange,
                                  enum template_escape escape)
{
    struct span parts[PIECES_MOST], constant;
    if (template_is_constant(template, &constant))
        return constant;
    size_t length = 0;
    for (size_t i = 0; i < template->count; i++) {
        const struct piece *piece = &template->pieces[i];
        bool grows = piece->value != NULL && escape != TEMPLATE_AS_IT_IS;
        parts[i] = piece->value != NULL ? piece->value(exchange, piece->text) : piece->text;
        if (parts[i].at == NULL)
            return SPAN_NONE;
        length += parts[i].length * (grows ? ESCAPE_MOST : 1);
    }
    char *at = arena_get_bytes(exchange->arena, length + 1);
    if (at == NULL)
        return SPAN_NONE;
    size_t out = 0;
    for (size_t i = 0; i < template->count; i++) {
        if (template->pieces[i].value != NULL) {
            out += copy_clean(at + out, parts[i], escape);
        } else {
            memcpy(at + out, parts[i].at, parts[i].length);
            out += parts[i].length;
        }
    }
    at[out] = '\0';
    return span_make(at, out);
}

struct span template_fill(const struct template *template, struct exchange *exchange)
{
    return template_fill_escaped(template, exchange, TEMPLATE_AS_IT_IS);
}
