/* One table for all uses. */
#include "config/field_names.h"

#include <string.h>

#include "base/text.h"
#include "config/config.h"
#include "config/config_schema.h"

/* What is wrong with it and what to write instead, by use; NULL: the name is fine there. */
struct row {
    const char *name;
    const char *instead[FIELD_USES];
};

/* clang-format off */
/* Gone before anybody looks, and made anew for the next connection (RFC 9110 7.6.1). */
#define HOP_READ ", since it belongs to one connection and is gone before routes are looked at; remove it here"
#define HOP_EDIT ", since it belongs to the connection; remove it here"
#define HANDSHAKE ", since it belongs to the handshake, which weir checks; remove it here"
#define HOP(name) {name, {HOP_READ, HOP_READ, HOP_READ, HOP_EDIT}}
/* What rules see of it is what is forwarded. */
#define READABLE(name, edit) {name, {NULL, NULL, NULL, edit}}
#define HOST(name) {name, {"; write match: { host: ... }", "; write the key host", "; write ${request.host}", " here; use rewrite: { host: ... }"}}
static const struct row rows[] = {
    HOST("host"),
    HOST(":authority"),
    {":path", {"; write match: { path: ... }", "; write the key path", "; write ${request.path}", " here; use rewrite: { path: ... }"}},
    {":method", {"; write match: { methods: ... }", "; write the key method", "; write ${request.method}", ": the method goes on as it came"}},
    {":scheme", {"; redirect: { scheme: https } passes over what came by https", ": the scheme is no key", "; write ${request.scheme}", ": the scheme goes on as it came"}},
    {":protocol", {"; write match: { header: { Upgrade: ... } }", "; write header:upgrade", "; write ${request.header.upgrade}", "; write upgrades: ... for what may pass"}},
    {":status", {": a request has none", ": a request has none", "; write ${status}", " here; use respond: { status: ... }"}},
    HOP("connection"),
    HOP("keep-alive"),
    HOP("proxy-connection"),
    HOP("proxy"),
    HOP("proxy-authenticate"),
    HOP("proxy-authorization"),
    HOP("proxy-authentication-info"),
    HOP("transfer-encoding"),
    HOP("http2-settings"),
    READABLE("content-length", HOP_EDIT),
    READABLE("te", HOP_EDIT),
    READABLE("trailer", HOP_EDIT),
    READABLE("expect", HOP_EDIT),
    READABLE("upgrade", ", since it belongs to the connection; remove it here, and write upgrades: ... for what may pass"),
    READABLE("sec-websocket-key", HANDSHAKE),
    READABLE("sec-websocket-accept", HANDSHAKE),
};
/* clang-format on */

bool field_name_is_plain(struct span name)
{
    for (size_t i = 0; i < name.length; i++) {
        char c = ascii_lower(name.at[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

bool field_name_check(struct span name, enum field_use use, struct error *error)
{
    static const char *const verbs[FIELD_USES] = {"matched as a header", "a key as a header",
                                                  "filled in as a header", "edited"};
    struct error no_token;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (span_equal_nocase(name, span_of(rows[i].name)) && rows[i].instead[use] != NULL)
            return error_set(error, "\"%.*s\" cannot be %s%s", (int)name.length, name.at, verbs[use],
                             rows[i].instead[use]);
    return syntax_token(name, &no_token) ||
           error_set(error, "\"%.*s\" is not a header name; write it without a colon or blanks",
                     (int)name.length, name.at);
}

/* ---- what other keys say ---- */

struct names {
    const struct config *config;
    const struct schema_document *document;
    struct schema_report *report;
};

/* A name that requests never bring. */
static void dropped_tell(const struct names *names, struct span name, const void *field)
{
    if (names->config->limits.underscore_names || field_name_is_plain(name))
        return;
    struct text ours = text_growing();
    for (size_t i = 0; i < name.length; i++)
        text_char(&ours, field_name_is_plain(span_make(name.at + i, 1)) ? name.at[i] : '-');
    schema_report_add(
        names->report, SCHEMA_ERROR, schema_place(names->document, field),
        "headers of such names are dropped from requests, so none has \"%.*s\"; write limits: { "
        "underscore_names: true }, or the name as \"%.*s\"",
        (int)name.length, name.at, (int)ours.length, ours.at);
    text_free(&ours);
}

static void key_names_check(const struct names *names, const struct texts *key)
{
    for (size_t i = 0; i < key->count; i++)
        if (strncmp(key->items[i], "header:", 7) == 0)
            dropped_tell(names, span_of(key->items[i] + 7), &key->items[i]);
}

static void template_names_check(const struct names *names, const char *text, const void *field)
{
    static const char mark[] = "${request.header.";
    for (const char *at = text; at != NULL && (at = strstr(at, mark)) != NULL;) {
        at += sizeof mark - 1;
        dropped_tell(names, span_make(at, strcspn(at, "}")), field);
    }
}

static void values_names_check(const struct names *names, const struct name_values *pairs)
{
    for (size_t i = 0; i < pairs->count; i++)
        template_names_check(names, pairs->items[i].value, pairs);
}

/* Of a peer that is not trusted these are dropped before routes are looked at. */
static bool is_claim(struct span name)
{
    return (name.length > 12 && span_equal_nocase(span_first(name, 12), SPAN("x-forwarded-"))) ||
           span_equal_nocase(name, SPAN("forwarded")) || span_equal_nocase(name, SPAN("x-real-ip"));
}

static bool has_upper_case(const char *text)
{
    while (*text != '\0' && ascii_lower(*text) == *text)
        text++;
    return *text != '\0';
}

static void match_names_check(const struct names *names, const struct name_values *header)
{
    for (size_t i = 0; i < header->count; i++) {
        struct span name = span_of(header->items[i].name);
        const char *value = header->items[i].value;
        dropped_tell(names, name, &header->items[i].name);
        if (is_claim(name) && names->config->trusted_proxies.count == 0)
            schema_report_add(
                names->report, SCHEMA_WARNING, schema_place(names->document, &header->items[i].value),
                "\"%s\" never comes here: it is believed of trusted proxies alone, and trusted_proxies "
                "names none",
                name.at);
        if (span_equal_nocase(name, SPAN("upgrade")) && value[0] != '~' && has_upper_case(value))
            schema_report_add(names->report, SCHEMA_ERROR,
                              schema_place(names->document, &header->items[i].value),
                              "protocols are compared in lower case, so write \"%s\" in it", value);
    }
}

static void route_names_check(const struct names *names, const struct route_config *route)
{
    match_names_check(names, &route->match.header);
    if (route->in_flight != NULL)
        key_names_check(names, &route->in_flight->key);
    if (route->split != NULL)
        key_names_check(names, &route->split->key);
    const struct headers_config *const edits[] = {&route->request.headers, &route->response.headers};
    for (size_t i = 0; i < COUNT_OF(edits); i++) {
        values_names_check(names, &edits[i]->set);
        values_names_check(names, &edits[i]->add);
    }
    for (size_t i = 0; i < route->request.headers.remove.count; i++)
        dropped_tell(names, span_of(route->request.headers.remove.items[i]), &route->request.headers.remove);
    if (route->rewrite != NULL) {
        template_names_check(names, route->rewrite->path, &route->rewrite->path);
        template_names_check(names, route->rewrite->host, &route->rewrite->host);
    }
    if (route->redirect != NULL) {
        template_names_check(names, route->redirect->to, &route->redirect->to);
        template_names_check(names, route->redirect->host, &route->redirect->host);
        template_names_check(names, route->redirect->path, &route->redirect->path);
    }
    if (route->respond != NULL) {
        template_names_check(names, route->respond->body, &route->respond->body);
        values_names_check(names, &route->respond->headers);
    }
}

void field_names_check(const struct config *config, const struct schema_document *document,
                       struct schema_report *report)
{
    struct names names = {config, document, report};
    for (size_t i = 0; i < config->routes_count; i++)
        route_names_check(&names, &config->routes[i]);
    for (size_t i = 0; i < config->listeners_count; i++)
        for (size_t k = 0; k < config->listeners[i].routes_count; k++)
            route_names_check(&names, &config->listeners[i].routes[k]);
    for (size_t i = 0; i < config->pools_count; i++)
        key_names_check(&names, &config->pools[i].hash.key);
    for (size_t i = 0; i < config->rate_limits_count; i++)
        key_names_check(&names, &config->rate_limits[i].key);
}
