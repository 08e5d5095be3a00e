/*
 * The text of the file is cut once into what is constant (the scheme), the host, and the rest, each a
 * template of its own. A value cannot move a border that the file has drawn; where the file leaves the whole
 * to a value, what came out is cut in the same way and judged.
 */
#include "filter/location.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "config/route_config.h"
#include "http/exchange.h"
#include "http/target.h"
#include "http/template.h"

struct location {
    char *texts;             /* of the parts, one behind another */
    struct template *prefix; /* "https://" or "//"; empty: a path, or what the request says */
    struct template *host, *rest;
};

static struct template *part_new(char **at, struct span text, struct error *error)
{
    memcpy(*at, text.at, text.length);
    (*at)[text.length] = '\0';
    struct template *template = template_new(*at, error);
    *at += text.length + 1;
    return template;
}

struct location *location_new(const char *text, struct error *error)
{
    struct location_parts parts = location_split(span_of(text));
    struct location *location = xcalloc(1, sizeof *location);
    char *at = location->texts = xmalloc(strlen(text) + 3);
    if ((location->prefix = part_new(&at, parts.prefix, error)) != NULL &&
        (location->host = part_new(&at, parts.host, error)) != NULL &&
        (location->rest = part_new(&at, parts.rest, error)) != NULL)
        return location;
    location_free(location);
    return NULL;
}

void location_free(struct location *location)
{
    if (location == NULL)
        return;
    template_free(location->prefix);
    template_free(location->host);
    template_free(location->rest);
    free(location->texts);
    free(location);
}

bool location_names_host(const struct location *location)
{
    return template_names_host(location->host) || template_names_host(location->rest);
}

/* Clients drop tabs and line ends, read "\" as "/", and encode other bytes each in its way. */
bool location_rest_is_fine(struct span rest)
{
    bool in_path = true;
    if (rest.length != 0 && strchr("/?#", rest.at[0]) == NULL)
        return false;
    for (size_t i = 0; i < rest.length; i++) {
        unsigned char c = (unsigned char)rest.at[i];
        in_path = in_path && c != '?' && c != '#';
        if (c <= ' ' || c >= 0x7f || (in_path && c == '\\'))
            return false;
    }
    return true;
}

enum failure location_refuse(struct exchange *exchange, struct span made)
{
    exchange->made = made;
    return FAILURE_REWRITE_INVALID;
}

static bool authority_is_fine(struct span authority)
{
    struct span host;
    uint16_t port;
    bool has_port;
    return authority_split(authority, &host, &port, &has_port);
}

/* A URL that a value of the request gave as a whole: of the schemes that a browser goes by. */
static bool url_is_fine(struct span url)
{
    const struct location_parts parts = location_split(url);
    return (span_equal_nocase(parts.prefix, SPAN("http://")) ||
            span_equal_nocase(parts.prefix, SPAN("https://"))) &&
           authority_is_fine(parts.host) && location_rest_is_fine(parts.rest);
}

/* A path that begins with "//" would be another host, which only the file may name: "/." before it keeps it a
 * path (RFC 3986 5.2.4). */
static enum failure fill_path(struct exchange *exchange, struct span made, struct span *value)
{
    bool is_path = made.length != 0 && made.at[0] == '/' && location_rest_is_fine(made);
    if (!is_path && !url_is_fine(made))
        return location_refuse(exchange, made);
    *value = span_starts(made, SPAN("//")) ? arena_print(exchange->arena, "/.%.*s", (int)made.length, made.at)
                                           : made;
    return value->at != NULL ? FAILURE_NONE : FAILURE_OVERLOADED;
}

enum failure location_fill(const struct location *location, struct exchange *exchange, struct span *value)
{
    struct span prefix = template_fill(location->prefix, exchange),
                host = template_fill(location->host, exchange),
                rest = template_fill(location->rest, exchange);
    if (prefix.at == NULL || host.at == NULL || rest.at == NULL)
        return FAILURE_OVERLOADED;
    if (prefix.length == 0)
        return fill_path(exchange, rest, value);
    *value = arena_print(exchange->arena, "%.*s%.*s%.*s", (int)prefix.length, prefix.at, (int)host.length,
                         host.at, (int)rest.length, rest.at);
    if (value->at == NULL)
        return FAILURE_OVERLOADED;
    return authority_is_fine(host) && location_rest_is_fine(rest) ? FAILURE_NONE
                                                                  : location_refuse(exchange, *value);
}

bool field_value_new(struct field_value *value, const char *name, const char *text, struct error *error)
{
    bool located = field_id(span_of(name)) == FIELD_LOCATION;
    *value = (struct field_value){.location = located ? location_new(text, error) : NULL,
                                  .template = located ? NULL : template_new(text, error),
                                  .escape = field_id(span_of(name)) == FIELD_SET_COOKIE ? TEMPLATE_FOR_COOKIE
                                                                                        : TEMPLATE_AS_IT_IS};
    return value->location != NULL || value->template != NULL;
}

void field_value_free(struct field_value *value)
{
    location_free(value->location);
    template_free(value->template);
}

enum failure field_value_fill(const struct field_value *value, struct exchange *exchange, struct span *filled)
{
    if (value->location != NULL)
        return location_fill(value->location, exchange, filled);
    struct span made = template_fill_escaped(value->template, exchange, value->escape);
    *filled = span_trim(made); /* blanks at an end are no part of a value, and malformed over HTTP/2 */
    return made.at != NULL ? FAILURE_NONE : FAILURE_OVERLOADED;
}
