/*
 * Requests that come back to where they were: redirects to what the same route takes, and pools whose servers
 * are this weir's own listeners. What is certain is an error; what depends on more than the file says is told
 * only where the file leads back at all.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/map.h"
#include "base/text.h"
#include "config/config.h"
#include "config/config_schema.h"

/* ---- redirects ---- */

enum part_kind { PART_SAME, PART_TEXT, PART_UNKNOWN }; /* as it came; `text`; filled with something else */
struct part {
    enum part_kind kind;
    struct span text;
};
struct target {
    struct part scheme, host, path;
    struct span port; /* none: not written */
    bool query_stays;
};
/* Routes, and the listeners that serve them. */
struct served {
    const struct config *config;
    const struct schema_document *document;
    struct schema_report *report;
    const struct route_config *routes;
    size_t count;
    const struct listener_config *own; /* the only one; NULL: those without routes of their own */
};

static struct part part_of(struct span text, const char *same)
{
    if (span_is(text, same))
        return (struct part){PART_SAME, SPAN_NONE};
    bool filled = span_find(text, '$') < text.length;
    return (struct part){filled ? PART_UNKNOWN : PART_TEXT, text};
}

static void target_path(struct target *target, struct span path)
{
    target->query_stays = span_is(path, "${request.uri}");
    target->path = part_of(path, "${request.path}");
    if (target->query_stays)
        target->path = (struct part){PART_SAME, SPAN_NONE};
    if (target->path.kind == PART_TEXT)
        target->path.text = span_first(path, strcspn(path.at, "?#"));
}

static void target_place(struct target *target, struct span to)
{
    const char *rest = strstr(to.at, "://");
    target->scheme = target->host = (struct part){PART_SAME, SPAN_NONE};
    if (rest == NULL && !span_starts(to, SPAN("//"))) {
        target_path(target, to);
        return;
    }
    struct span authority = span_of(rest != NULL ? rest + 3 : to.at + 2);
    if (rest != NULL)
        target->scheme = part_of(span_first(to, (size_t)(rest - to.at)), "${request.scheme}");
    bool uri =
        strstr(authority.at, "${request.uri}") != NULL || strstr(authority.at, "${request.path}") != NULL;
    size_t length = strcspn(authority.at, "/?#");
    const char *variable = uri ? strstr(authority.at, "${request.uri}") : NULL;
    if (uri && variable == NULL)
        variable = strstr(authority.at, "${request.path}");
    if (variable != NULL && (size_t)(variable - authority.at) < length)
        length = (size_t)(variable - authority.at);
    struct span path = span_skip(authority, length);
    authority = span_first(authority, length);
    target->port = authority_port(authority);
    if (target->port.at != NULL && memchr(target->port.at, '}', target->port.length) != NULL)
        target->port = SPAN_NONE;
    if (target->port.at != NULL)
        authority.length -= target->port.length + 1;
    target->host = part_of(authority, "${request.host}");
    target_path(target, path.length != 0 ? path : SPAN("/"));
}

static struct target target_of(const struct redirect_config *redirect, char port[8])
{
    struct target target = {.query_stays = true};
    if (redirect->to != NULL) {
        target_place(&target, span_of(redirect->to));
        return target;
    }
    if (redirect->scheme != NULL)
        target.scheme = (struct part){PART_TEXT, span_of(redirect->scheme)};
    if (redirect->host != NULL)
        target.host = part_of(span_of(redirect->host), "${request.host}");
    if (redirect->path != NULL)
        target_path(&target, span_of(redirect->path));
    if (redirect->port != 0) {
        struct text text = text_over(port, 8);
        text_number(&text, redirect->port);
        target.port = text_span(&text);
    }
    return target;
}

static bool host_takes(const char *pattern, struct span host)
{
    struct span wanted = span_of(pattern);
    if (!span_starts(wanted, SPAN("*.")))
        return span_equal_nocase(wanted, host);
    wanted = span_skip(wanted, 1);
    return host.length > wanted.length &&
           span_equal_nocase(span_skip(host, host.length - wanted.length), wanted);
}

static bool any_host_takes(const struct match_config *match, struct span host)
{
    for (size_t i = 0; i < match->host.count; i++)
        if (host_takes(match->host.items[i], host))
            return true;
    return false;
}

enum verdict { TAKES_NOT, TAKES, TAKES_PERHAPS };

static enum verdict path_takes(const struct match_config *match, struct span path)
{
    bool any_regex = false;
    for (size_t i = 0; i < match->path.count; i++) {
        struct span pattern = span_of(match->path.items[i]);
        any_regex = any_regex || pattern.at[0] == '~';
        bool below = pattern.at[pattern.length - 1] == '/';
        if (span_equal(pattern, path) || (below && span_starts(path, pattern)))
            return TAKES;
    }
    if (match->path.count == 0)
        return TAKES;
    return any_regex || span_find(path, '%') < path.length || strstr(path.at, "/.") != NULL ? TAKES_PERHAPS
                                                                                            : TAKES_NOT;
}

/* A route before takes the target perhaps, which did not take the request that came: for what has changed. */
static bool is_taken_before(const struct served *served, size_t count, const struct target *target)
{
    bool host = target->host.kind == PART_TEXT, path = target->path.kind == PART_TEXT;
    for (size_t i = 0; (host || path) && i < count; i++) {
        const struct match_config *match = &served->routes[i].match;
        bool by_host = host && match->host.count != 0, by_path = path && match->path.count != 0;
        bool not_by_host = by_host && !any_host_takes(match, target->host.text);
        bool not_by_path = by_path && path_takes(match, target->path.text) == TAKES_NOT;
        if ((by_host || by_path) && !not_by_host && !not_by_path)
            return true;
    }
    return false;
}

static bool listener_serves(const struct served *served, const struct listener_config *listener)
{
    return served->own != NULL ? listener == served->own : listener->routes_count == 0;
}

/* One of the listeners speaks this scheme, on this port. */
static bool is_served(const struct served *served, const struct target *target)
{
    for (size_t i = 0; i < served->config->listeners_count; i++) {
        const struct listener_config *listener = &served->config->listeners[i];
        const char *scheme = listener->tls != NULL ? "https" : "http";
        bool fits = target->scheme.kind != PART_TEXT || span_is(target->scheme.text, scheme);
        bool port =
            target->port.at == NULL || span_equal(target->port, authority_port(span_of(listener->address)));
        if (listener_serves(served, listener) && fits && port)
            return true;
    }
    return false;
}

/* The route takes the target of its own redirect as it took the request. */
static bool takes_again(const struct served *served, size_t at, const struct target *target)
{
    const struct route_config *route = &served->routes[at];
    const struct match_config *match = &route->match;
    bool gets = match->methods.count == 0 || route->redirect->status > 303;
    for (size_t i = 0; i < match->methods.count; i++)
        gets = gets || strcmp(match->methods.items[i], "GET") == 0;
    if (!gets || match->header.count != 0 || (match->query.count != 0 && !target->query_stays))
        return false;
    if (target->host.kind == PART_UNKNOWN || target->path.kind == PART_UNKNOWN ||
        target->scheme.kind == PART_UNKNOWN)
        return false;
    if (target->host.kind == PART_TEXT && !any_host_takes(match, target->host.text))
        return false; /* or it is another machine's */
    return (target->path.kind == PART_SAME || path_takes(match, target->path.text) == TAKES) &&
           !is_taken_before(served, at, target);
}

/* Nothing but the scheme is new, which a key of its own says with what came by it passed over. */
static bool is_scheme_alone(const struct route_config *route, const struct target *target)
{
    const struct texts *hosts = &route->match.host;
    bool same_host = target->host.kind == PART_SAME ||
                     (hosts->count == 1 && span_equal_nocase(span_of(hosts->items[0]), target->host.text));
    return target->scheme.kind == PART_TEXT && same_host && target->path.kind == PART_SAME &&
           target->port.at == NULL;
}

static void redirect_check(const struct served *served, size_t at)
{
    const struct route_config *route = &served->routes[at];
    char port[8];
    const struct target target = target_of(route->redirect, port);
    struct span scheme = target.scheme.text;
    if (route->match.unless_scheme != NULL || !takes_again(served, at, &target))
        return;
    struct schema_place place = schema_place(served->document, &route->redirect->to);
    if (place.source == NULL)
        place = schema_place_section(served->document, route->redirect);
    bool here = is_served(served, &target),
         alone = is_scheme_alone(route, &target) && span_is(scheme, "https");
    if (here && !alone)
        schema_report_add(
            served->report, SCHEMA_ERROR, place,
            "this route takes what it redirects to, so the redirect never ends; give match what it leaves "
            "out, or write another place");
    else if (here || (alone && served->config->trusted_proxies.count != 0))
        schema_report_add(
            served->report, here ? SCHEMA_ERROR : SCHEMA_WARNING, place,
            "this sends what came by %.*s%s to where it is, again and again; write redirect: { scheme: %.*s }, "
            "which passes that over",
            (int)scheme.length, scheme.at, here ? "" : " at a trusted proxy", (int)scheme.length, scheme.at);
}

/* What a route takes that asks for one host, one path or both, and for nothing else: "host|path". */
static bool key_of_match(const struct match_config *match, struct text *key)
{
    bool plain = match->host.count < 2 && match->path.count < 2 &&
                 match->methods.count + match->header.count + match->query.count + match->client.count == 0;
    const char *host = match->host.count != 0 ? match->host.items[0] : "";
    const char *path = match->path.count != 0 ? match->path.items[0] : "";
    bool exact = host[0] != '*' && path[0] != '~' && (path[0] == '\0' || path[strlen(path) - 1] != '/');
    for (; plain && exact && *host != '\0'; host++)
        text_char(key, ascii_lower(*host));
    text_print(key, "|%s", path);
    return plain && exact && match->host.count + match->path.count != 0;
}

/* The same of where it sends. */
static bool key_of_target(const struct match_config *match, const struct target *target, struct text *key)
{
    struct span host = span_of(match->host.count != 0 ? match->host.items[0] : "");
    struct span path = span_of(match->path.count != 0 ? match->path.items[0] : "");
    if (target->host.kind == PART_UNKNOWN || target->path.kind == PART_UNKNOWN)
        return false;
    host = target->host.kind == PART_TEXT ? target->host.text : host;
    path = target->path.kind == PART_TEXT ? target->path.text : path;
    for (size_t i = 0; i < host.length; i++)
        text_char(key, ascii_lower(host.at[i]));
    text_print(key, "|%.*s", (int)path.length, path.at);
    return true;
}

struct known_redirect {
    size_t at;
    char *target; /* as a key */
};

/* Two routes that send to each other, as the bare name and its www do when both are redirected. `known` has
 * those before, by what they take. */
static void pair_check(const struct served *served, size_t at, struct map *known, struct known_redirect *own)
{
    const struct route_config *route = &served->routes[at];
    char port[8];
    const struct target target = target_of(route->redirect, port);
    struct text from = text_growing(), to = text_growing();
    *own = (struct known_redirect){at, NULL};
    if (route->match.unless_scheme == NULL && target.scheme.kind != PART_UNKNOWN &&
        is_served(served, &target) && key_of_match(&route->match, &from) &&
        key_of_target(&route->match, &target, &to)) {
        const struct known_redirect *other = map_get(known, text_span(&to));
        own->target = xstrdup(to.at);
        if (map_get(known, text_span(&from)) == NULL)
            map_set(known, text_span(&from), own);
        if (other != NULL && strcmp(other->target, from.at) == 0 &&
            !is_taken_before(served, other->at, &target)) {
            schema_report_add(
                served->report, SCHEMA_ERROR, schema_place_section(served->document, route->redirect),
                "this sends to what %s%s sends back here, without end; leave one of the two out",
                served->routes[other->at].named ? "route " : "", served->routes[other->at].name);
            schema_report_add(served->report, SCHEMA_NOTE,
                              schema_place_section(served->document, served->routes[other->at].redirect),
                              "it is this one");
        }
    }
    text_free(&from);
    text_free(&to);
}

/* Where the redirect sends, as long as no other route takes that first; NULL: to nothing that is known. */
static const struct known_redirect *redirect_next(const struct served *served, const struct map *known,
                                                  const struct known_redirect *own, size_t at)
{
    char port[8];
    const struct target target = target_of(served->routes[at].redirect, port);
    const struct known_redirect *next =
        own[at].target != NULL ? map_get(known, span_of(own[at].target)) : NULL;
    return next != NULL && !is_taken_before(served, next->at, &target) ? next : NULL;
}

/* Three or more that send to each other in turn; told at the first of them. */
static void chain_check(const struct served *served, const struct map *known,
                        const struct known_redirect *own, size_t start)
{
    enum { LENGTH_MOST = 20 }; /* browsers give up as soon */
    const struct known_redirect *next = redirect_next(served, known, own, start);
    size_t length = 1;
    for (; next != NULL && next->at > start && length < LENGTH_MOST; length++)
        next = redirect_next(served, known, own, next->at);
    if (next == NULL || next->at != start || length < 3)
        return;
    schema_report_add(
        served->report, SCHEMA_ERROR, schema_place_section(served->document, served->routes[start].redirect),
        "%zu redirects lead from here to here again, without end; leave one of them out", length);
    for (next = redirect_next(served, known, own, start); next->at != start;
         next = redirect_next(served, known, own, next->at))
        schema_report_add(served->report, SCHEMA_NOTE,
                          schema_place_section(served->document, served->routes[next->at].redirect),
                          "it is one of them");
}

static void redirects_check(const struct served *served)
{
    struct map *known = map_new();
    struct known_redirect *own = xcalloc(served->count + 1, sizeof *own);
    for (size_t i = 0; i < served->count; i++)
        if (served->routes[i].redirect != NULL && !schema_is_broken(served->document, &served->routes[i])) {
            redirect_check(served, i);
            pair_check(served, i, known, &own[i]);
        }
    for (size_t i = 0; i < served->count; i++)
        if (own[i].target != NULL)
            chain_check(served, known, own, i);
    for (size_t i = 0; i < served->count; i++)
        free(own[i].target);
    free(own);
    map_free(known);
}

/* ---- pools ---- */

struct own_listener {
    const struct listener_config *listener;
    struct own_listener *next; /* on the same port */
};
struct loops {
    const struct config *config;
    const struct schema_document *document;
    struct schema_report *report;
    struct map *ports;              /* to own_listener; "unix:" and all of a unix socket's address */
    struct own_listener *listeners; /* all of them */
    struct map *pools;              /* by name */
    struct ifaddrs *interfaces;     /* of this machine; NULL: not looked up */
    bool is_by_interface;           /* the listener that was found last */
};

static struct span address_host(struct span address)
{
    struct span port = authority_port(address);
    return port.at != NULL ? span_first(address, address.length - port.length - 1) : address;
}

static struct span port_key(struct span address)
{
    return span_starts(address, SPAN("unix:")) ? address : authority_port(address);
}

static bool is_any(struct span host)
{
    return host.length == 0 || span_is(host, "0.0.0.0") || span_is(host, "[::]") || span_is(host, "[::0]");
}

static bool is_this_machine(struct span host)
{
    return span_starts(host, SPAN("127.")) || span_is(host, "[::1]") ||
           span_equal_nocase(host, SPAN("localhost")) || is_any(host);
}

/* It is an address of one of this machine's interfaces. */
static bool is_of_interface(struct loops *loops, struct span host)
{
    char text[INET6_ADDRSTRLEN];
    bool in_brackets = host.length > 2 && host.at[0] == '[';
    host = in_brackets ? span_make(host.at + 1, host.length - 2) : host;
    unsigned char wanted[sizeof(struct in6_addr)];
    int family = in_brackets ? AF_INET6 : AF_INET;
    if (config_text_only || host.length >= sizeof text)
        return false;
    memcpy(text, host.at, host.length);
    text[host.length] = '\0';
    if (inet_pton(family, text, wanted) != 1 ||
        (loops->interfaces == NULL && getifaddrs(&loops->interfaces) != 0))
        return false;
    for (const struct ifaddrs *at = loops->interfaces; at != NULL; at = at->ifa_next) {
        if (at->ifa_addr == NULL || at->ifa_addr->sa_family != family)
            continue;
        const void *own =
            family == AF_INET6
                ? (const void *)&((const struct sockaddr_in6 *)(const void *)at->ifa_addr)->sin6_addr
                : (const void *)&((const struct sockaddr_in *)(const void *)at->ifa_addr)->sin_addr;
        if (memcmp(own, wanted, family == AF_INET6 ? 16 : 4) == 0)
            return true;
    }
    return false;
}

/* The listener that a server's address leads to; NULL: it is none of this file's. */
static const struct listener_config *listener_at(struct loops *loops, const char *address)
{
    struct span server = span_of(address), host = address_host(server);
    const struct own_listener *own = map_get(loops->ports, port_key(server));
    for (; own != NULL; own = own->next) {
        struct span other = address_host(span_of(own->listener->address));
        bool certain = span_starts(server, SPAN("unix:")) || span_equal_nocase(host, other) ||
                       (is_any(other) && is_this_machine(host)) ||
                       (span_equal_nocase(host, SPAN("localhost")) && is_this_machine(other));
        loops->is_by_interface = !certain;
        if (certain || (is_any(other) && is_of_interface(loops, host)))
            return own->listener;
    }
    return NULL;
}

static const struct route_config *routes_of(const struct config *config,
                                            const struct listener_config *listener, size_t *count)
{
    bool own = listener->routes_count != 0;
    *count = own ? listener->routes_count : config->routes_count;
    return own ? listener->routes : config->routes;
}

static bool leads_to(const struct route_config *route, const char *pool)
{
    for (size_t i = 0; i < route->pool_count; i++)
        if (strcmp(route->pool[i].name, pool) == 0)
            return true;
    return route->mirror != NULL && route->mirror->pool != NULL && strcmp(route->mirror->pool, pool) == 0;
}

/* What this route sends to the pool it takes again, whatever it is. */
static bool is_endless(const struct route_config *route)
{
    return route->pool_count == 1 && route->rewrite == NULL && route->match.client.count == 0 &&
           route->match.header.count == 0 && route->access == NULL;
}

/* Whether requests that the listener takes may reach the pool, through other listeners of this weir too. */
static bool comes_back(struct loops *loops, const struct listener_config *listener, const char *pool,
                       struct map *seen)
{
    size_t count;
    const struct route_config *routes = routes_of(loops->config, listener, &count);
    if (map_get(seen, span_of(listener->address)) != NULL)
        return false;
    map_set(seen, span_of(listener->address), seen);
    for (size_t i = 0; i < count; i++) {
        if (leads_to(&routes[i], pool))
            return true;
        for (size_t j = 0; j < routes[i].pool_count; j++) {
            const struct pool_config *next = map_get(loops->pools, span_of(routes[i].pool[j].name));
            for (size_t k = 0; next != NULL && k < next->servers_count; k++) {
                const struct listener_config *own = listener_at(loops, next->servers[k].address);
                if (own != NULL && comes_back(loops, own, pool, seen))
                    return true;
            }
        }
    }
    return false;
}

static void server_check(struct loops *loops, const struct pool_config *pool,
                         const struct server_config *server)
{
    const struct listener_config *listener = listener_at(loops, server->address);
    size_t count;
    if (listener == NULL)
        return;
    const struct route_config *routes = routes_of(loops->config, listener, &count);
    /* whose interface it is may differ where weir runs */
    enum schema_severity severity = loops->is_by_interface ? SCHEMA_WARNING : SCHEMA_ERROR;
    for (size_t i = 0; i < count; i++)
        if (leads_to(&routes[i], pool->name) && is_endless(&routes[i])) {
            schema_report_add(
                loops->report, severity, schema_place(loops->document, &server->address),
                "\"%s\" is weir's own listener, and from there %s%s leads here again, without end; name "
                "the server behind it",
                server->address, routes[i].named ? "route " : "", routes[i].name);
            return;
        }
    struct map *seen = map_new();
    if (comes_back(loops, listener, pool->name, seen))
        schema_report_add(
            loops->report, SCHEMA_WARNING, schema_place(loops->document, &server->address),
            "\"%s\" is weir's own listener, whose routes may lead here again; give it routes of its own that "
            "end elsewhere",
            server->address);
    map_free(seen);
}

static void pools_check(struct loops *loops)
{
    const struct config *config = loops->config;
    loops->ports = map_new();
    loops->pools = map_new();
    loops->listeners = xcalloc(config->listeners_count + 1, sizeof *loops->listeners);
    for (size_t i = 0; i < config->listeners_count; i++) {
        struct own_listener *own = &loops->listeners[i];
        struct span key = port_key(span_of(config->listeners[i].address));
        *own = (struct own_listener){&config->listeners[i], map_get(loops->ports, key)};
        map_set(loops->ports, key, own);
    }
    for (size_t i = 0; i < config->pools_count; i++)
        map_set(loops->pools, span_of(config->pools[i].name), (void *)(uintptr_t)&config->pools[i]);
    for (size_t i = 0; i < config->pools_count; i++)
        for (size_t j = 0; j < config->pools[i].servers_count; j++)
            server_check(loops, &config->pools[i], &config->pools[i].servers[j]);
    if (loops->interfaces != NULL)
        freeifaddrs(loops->interfaces);
    free(loops->listeners);
    map_free(loops->pools);
    map_free(loops->ports);
}

void loop_check(const struct config *config, const struct schema_document *document,
                struct schema_report *report)
{
    for (size_t i = 0; i <= config->listeners_count; i++) {
        const struct listener_config *own = i < config->listeners_count ? &config->listeners[i] : NULL;
        const struct served served = {config,
                                      document,
                                      report,
                                      own != NULL ? own->routes : config->routes,
                                      own != NULL ? own->routes_count : config->routes_count,
                                      own};
        redirects_check(&served);
    }
    struct loops loops = {.config = config, .document = document, .report = report};
    pools_check(&loops);
}
