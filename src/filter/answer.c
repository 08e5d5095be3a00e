/* Redirects and fixed responses. */
#include "filter/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "config/route_config.h"
#include "filter/location.h"
#include "http/exchange.h"
#include "http/target.h"
#include "http/template.h"

#define FILE_MOST (1u << 20)

struct action {
    uint16_t status;
    bool redirects;
    bool needs_host; /* the new place is of the host that the request names */
    /* redirect */
    struct span scheme;
    uint16_t port;
    struct location *to;
    struct template *host, *path;
    /* respond */
    struct template *body;
    struct span file, content_type;
    enum template_escape escape; /* of the body, by its type */
    size_t headers_count;
    struct name_value *names;
    struct field_value *headers;
};

void action_free(struct action *action)
{
    if (action == NULL)
        return;
    location_free(action->to);
    template_free(action->host);
    template_free(action->path);
    template_free(action->body);
    for (size_t i = 0; i < action->headers_count; i++)
        field_value_free(&action->headers[i]);
    free(action->headers);
    free((void *)(uintptr_t)action->file.at);
    free(action);
}

static bool template_maybe(struct template **made, const char *text, struct error *error)
{
    return text == NULL || (*made = template_new(text, error)) != NULL;
}

static bool redirect_new(struct action *action, const struct redirect_config *config, struct error *error)
{
    action->redirects = true;
    action->status = (uint16_t)config->status;
    action->scheme = span_of(config->scheme);
    action->port = (uint16_t)config->port;
    if ((config->to != NULL && (action->to = location_new(config->to, error)) == NULL) ||
        !template_maybe(&action->host, config->host, error) ||
        !template_maybe(&action->path, config->path, error))
        return false;
    action->needs_host = action->to != NULL     ? location_names_host(action->to)
                         : action->host != NULL ? template_names_host(action->host)
                                                : true;
    return true;
}

static bool read_file(struct span *file, const char *path, struct error *error)
{
    return file_read(path, FILE_MOST, file, error);
}

/* A header may say it in place of the key. */
static struct span type_of_answer(const struct respond_config *config)
{
    struct span type = span_of(config->content_type);
    for (size_t i = 0; i < config->headers.count; i++)
        if (field_id(span_of(config->headers.items[i].name)) == FIELD_CONTENT_TYPE)
            type = span_of(config->headers.items[i].value);
    return type;
}

static bool respond_new(struct action *action, const struct respond_config *config, struct error *error)
{
    action->status = (uint16_t)config->status;
    action->content_type = span_of(config->content_type);
    action->names = config->headers.items;
    action->headers = xcalloc(config->headers.count + 1, sizeof *action->headers);
    for (; action->headers_count < config->headers.count; action->headers_count++) {
        const struct name_value *pair = &config->headers.items[action->headers_count];
        if (!field_value_new(&action->headers[action->headers_count], pair->name, pair->value, error))
            return false;
    }
    action->escape = template_escape_of(type_of_answer(config));
    if (config->file != NULL)
        return read_file(&action->file, config->file, error);
    return template_maybe(&action->body, config->body != NULL ? config->body : "", error);
}

bool action_new(struct action **made, const struct route_config *route, struct error *error)
{
    *made = NULL;
    if (route->redirect == NULL && route->respond == NULL)
        return true;
    struct action *action = xcalloc(1, sizeof *action);
    bool fine = route->redirect != NULL ? redirect_new(action, route->redirect, error)
                                        : respond_new(action, route->respond, error);
    if (!fine) {
        action_free(action);
        return false;
    }
    *made = action;
    return true;
}

static struct span fill_or(const struct template *template, struct exchange *exchange, struct span otherwise)
{
    return template != NULL ? template_fill(template, exchange) : otherwise;
}

/* As it stands behind "://": with a port where the file gives none. */
static bool host_of_template(const struct action *action, struct exchange *x, struct span *host)
{
    struct span name;
    uint16_t port;
    bool has_port;
    if (authority_split(*host, &name, &port, &has_port))
        return !has_port || action->port == 0;
    struct span bare = arena_print(x->arena, "[%.*s]", (int)host->length, host->at); /* an IPv6 address */
    bool is_v6 = bare.at != NULL && authority_split(bare, &name, &port, &has_port);
    *host = is_v6 ? bare : *host;
    return is_v6;
}

/* Scheme, host and port that are not given are the request's; another port belongs to the old place only. */
static enum failure location_of_parts(const struct action *action, struct exchange *x, struct span *location)
{
    struct span scheme = action->scheme.at != NULL ? action->scheme : x->https ? SPAN("https") : SPAN("http");
    struct span host = fill_or(action->host, x, x->target.host), query = x->request.line.request.query;
    struct span path = fill_or(action->path, x, x->request.line.request.path);
    bool same = action->scheme.at == NULL && action->host == NULL;
    uint16_t number = action->port != 0 ? action->port : same ? x->target.port : 0;
    char port[8] = "";
    if (action->path != NULL)
        query = SPAN_NONE;
    if (host.at == NULL || path.at == NULL)
        return FAILURE_OVERLOADED;
    if (!host_of_template(action, x, &host))
        return location_refuse(x, host);
    path = path.length == 0 ? SPAN("/") : path; /* RFC 9110 4.2.3 */
    if (path.at[0] != '/' || !location_rest_is_fine(path))
        return location_refuse(x, path);
    if (number != 0)
        snprintf(port, sizeof port, ":%u", number);
    *location = arena_print(x->arena, "%.*s://%.*s%s%.*s%s%.*s", (int)scheme.length, scheme.at,
                            (int)host.length, host.at, port, (int)path.length, path.at,
                            query.at != NULL ? "?" : "", (int)query.length, query.at != NULL ? query.at : "");
    return location->at != NULL ? FAILURE_NONE : FAILURE_OVERLOADED;
}

static enum failure location_of(const struct action *action, struct exchange *x, struct span *location)
{
    *location = SPAN_NONE;
    return action->to != NULL ? location_fill(action->to, x, location)
                              : location_of_parts(action, x, location);
}

/* TRACE would send back what a proxy before has added, cookies of others among it. */
enum failure answer_for_itself(struct exchange *exchange)
{
    struct answer *answer = &exchange->answer;
    bool allowed = exchange->request.line.request.method == METHOD_OPTIONS;
    *answer = (struct answer){.status = allowed ? 204 : 405,
                              .failure = allowed ? FAILURE_NONE : FAILURE_METHOD_REFUSED,
                              .body = allowed ? SPAN("") : SPAN_NONE};
    bool fits =
        fields_add(&answer->fields, exchange->arena, SPAN("Allow"), SPAN("GET, HEAD, OPTIONS"), FIELD_OTHER);
    return fits ? FAILURE_NONE : FAILURE_OVERLOADED;
}

/* A request without a host has no other place to go to. But one with OPTIONS asks about this server, as
 * balancers do before it ("OPTIONS / HTTP/1.0"), who would take anything but an answer for its being down. */
static enum failure no_host_answer(struct exchange *exchange)
{
    return exchange->request.line.request.method == METHOD_OPTIONS ? answer_for_itself(exchange)
                                                                   : FAILURE_BAD_HOST;
}

static enum failure redirect_answer(const struct action *action, struct exchange *exchange)
{
    struct answer *answer = &exchange->answer;
    if (action->needs_host && exchange->target.host.length == 0)
        return no_host_answer(exchange);
    if (span_is(exchange->request.line.request.path, "*"))
        return answer_for_itself(exchange); /* it asks for no place that could have moved */
    struct span location;
    enum failure why = location_of(action, exchange, &location);
    answer->body = SPAN("");
    if (why == FAILURE_NONE &&
        !fields_add(&answer->fields, exchange->arena, SPAN("Location"), location, FIELD_LOCATION))
        why = FAILURE_OVERLOADED;
    return why;
}

enum failure action_answer(const struct action *action, struct exchange *exchange)
{
    struct answer *answer = &exchange->answer;
    *answer = (struct answer){.status = action->status};
    if (action->redirects)
        return redirect_answer(action, exchange);
    answer->content_type = action->content_type;
    struct span constant;
    answer->body_lasts = action->file.at != NULL || template_is_constant(action->body, &constant);
    answer->body = action->file.at != NULL ? action->file
                                           : template_fill_escaped(action->body, exchange, action->escape);
    for (size_t i = 0; i < action->headers_count; i++) {
        struct span value, name = span_of(action->names[i].name);
        enum failure why = field_value_fill(&action->headers[i], exchange, &value);
        if (why != FAILURE_NONE)
            return why;
        if (value.length == 0)
            continue; /* no value, no field */
        if (!fields_add(&answer->fields, exchange->arena, name, value, field_id(name)))
            return FAILURE_OVERLOADED;
    }
    return answer->body.at != NULL ? FAILURE_NONE : FAILURE_OVERLOADED;
}

enum failure action_explain(const struct action *action, const struct exchange *exchange, char *line,
                            size_t room)
{
    struct exchange copy = *exchange;
    if (!action->redirects) {
        snprintf(line, room, "respond with %u", action->status);
        return FAILURE_NONE;
    }
    if (action->needs_host && exchange->target.host.length == 0) {
        snprintf(line, room, "redirect, which needs a host; 204 to OPTIONS");
        return exchange->request.line.request.method == METHOD_OPTIONS ? FAILURE_NONE : FAILURE_BAD_HOST;
    }
    struct span location;
    enum failure why = location_of(action, &copy, &location);
    struct span made = why == FAILURE_NONE ? location : copy.made;
    snprintf(line, room, why == FAILURE_NONE ? "redirect with %u to %.*s" : "redirect with %u to \"%.*s\"",
             action->status, (int)made.length, made.length != 0 ? made.at : "");
    return why;
}
