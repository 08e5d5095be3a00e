/*
 * What no single key can say: listeners that collide, keys that need each other, files that can't be read;
 * and the fields that are derived from others. Routes are in route_check.c.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"
#include "base/text.h"
#include "config/config.h"
#include "config/config_schema.h"
#include "config/field_names.h"
#include "config/pem_check.h"

/* What this build can speak; the rest is left out with a warning. */
static const unsigned protocols_built = PROTOCOL_HTTP_1 | (WITH_HTTP2 ? PROTOCOL_H2 | PROTOCOL_H2C : 0);

struct check {
    struct config *config;
    struct schema_document *document;
    struct schema_report *report;
};

static void *check_get(const struct check *check, size_t size)
{
    void *memory = arena_get_zeroed(check->config->arena, size);
    assert(memory != NULL);
    return memory;
}

#define PLACE(check_, field_) schema_place((check_)->document, (field_))
#define PLACE_SECTION(check_, section_) schema_place_section((check_)->document, (section_))
#define IS_GIVEN(check_, field_) (PLACE(check_, field_).source != NULL)
/* What was refused stands at its default, and nothing follows from that. */
#define IS_WHOLE(check_, section_) (!schema_is_broken((check_)->document, (section_)))

bool file_check(const char *const *field, const struct schema_document *document,
                struct schema_report *report)
{
    if (*field == NULL || config_text_only)
        return false;
    struct error error;
    struct stat status;
    bool good = file_exists(*field, &error);
    bool is_told = !good && stat(*field, &status) == 0; /* what is wanted instead */
    if (!good)
        schema_report_add(report, SCHEMA_ERROR, schema_place(document, field), "%s%s", error.text,
                          is_told ? "" : "; name a file that weir can read");
    return good;
}

/* A log is made where there is none, but not in the place of a folder. */
static void log_check(const struct check *check, const char *const *to)
{
    struct stat status;
    if (config_text_only || strcmp(*to, "stdout") == 0 || strcmp(*to, "stderr") == 0 ||
        strncmp(*to, "unix:", 5) == 0)
        return;
    if (stat(*to, &status) == 0 && S_ISDIR(status.st_mode))
        schema_report_add(check->report, SCHEMA_ERROR, PLACE(check, to), "%s is a folder; name a file in it",
                          *to);
}

/* ---- listeners ---- */

static unsigned protocol_bit(const char *name)
{
    return strcmp(name, "h2") == 0 ? PROTOCOL_H2 : strcmp(name, "h2c") == 0 ? PROTOCOL_H2C : PROTOCOL_HTTP_1;
}

static void protocols_default(const struct check *check, struct listener_config *listener)
{
    static const char *const secure[] = {"h2", "http/1.1"};
    size_t first = listener->tls != NULL ? 0 : 1;
    if (listener->protocols.count != 0)
        return;
    listener->protocols.count = COUNT_OF(secure) - first;
    listener->protocols.items = check_get(check, sizeof(secure));
    memcpy(listener->protocols.items, secure + first, sizeof(secure) - first * sizeof(secure[0]));
}

static void protocols_check(const struct check *check, struct listener_config *listener)
{
    bool given = listener->protocols.count != 0;
    protocols_default(check, listener);
    listener->protocol_bits = 0;
    for (size_t i = 0; i < listener->protocols.count; i++) {
        const char *const *name = &listener->protocols.items[i];
        unsigned bit = protocol_bit(*name);
        if (bit == PROTOCOL_H2 && listener->tls == NULL)
            schema_report_add(check->report, SCHEMA_ERROR, PLACE(check, name),
                              "h2 needs tls; in the clear it is h2c");
        else if (bit == PROTOCOL_H2C && listener->tls != NULL)
            schema_report_add(check->report, SCHEMA_ERROR, PLACE(check, name),
                              "h2c is in the clear; behind tls it is h2");
        else if (given && (bit & protocols_built) == 0)
            schema_report_add(check->report, SCHEMA_WARNING, PLACE(check, name),
                              "this weir is built without HTTP/2; %s is not offered", *name);
        listener->protocol_bits |= bit & protocols_built;
    }
    if (listener->protocol_bits == 0)
        schema_report_add(check->report, SCHEMA_ERROR, PLACE(check, &listener->protocols),
                          "no protocol is left that this weir can speak; add http/1.1");
}

static void certificate_check(const struct check *check, const struct certificate_config *certificate)
{
    struct error error = {""};
    size_t errors = schema_report_errors(check->report);
    if (!check->config->files_later)
        pem_pair_check(&certificate->cert, &certificate->key, check->document, check->report);
    bool whole = certificate->cert != NULL && certificate->key != NULL &&
                 schema_report_errors(check->report) == errors;
    if (whole && config_hooks.certificate != NULL && !config_hooks.certificate(certificate, &error))
        schema_report_add(check->report, SCHEMA_ERROR, PLACE(check, &certificate->cert), "%s", error.text);
}

static void ciphers_check(const struct check *check, const char *const *field, bool of_1_3)
{
    struct error error = {""};
    if (IS_GIVEN(check, field) && config_hooks.ciphers != NULL &&
        !config_hooks.ciphers(*field, of_1_3, &error))
        schema_report_add(check->report, SCHEMA_ERROR, PLACE(check, field), "%s", error.text);
}

static void tls_check(const struct check *check, const struct tls_config *tls)
{
    const struct certificate_config *first = NULL;
    if (tls->min_version > tls->max_version)
        schema_report_add(check->report, SCHEMA_ERROR, PLACE_SECTION(check, tls),
                          "min_version is above max_version");
    if (tls->client_auth != CLIENT_AUTH_OFF && tls->client_ca == NULL && !IS_GIVEN(check, &tls->client_ca))
        schema_report_add(check->report, SCHEMA_ERROR, PLACE(check, &tls->client_auth),
                          "client_auth needs client_ca, to verify against");
    if (tls->client_auth == CLIENT_AUTH_OFF && tls->client_ca != NULL && IS_WHOLE(check, tls))
        schema_report_add(check->report, SCHEMA_WARNING, PLACE(check, &tls->client_ca),
                          "client_ca has no effect while client_auth is off");
    if (!check->config->files_later)
        pem_authority_check(&tls->client_ca, check->document, check->report);
    ciphers_check(check, &tls->ciphers, false);
    ciphers_check(check, &tls->ciphersuites, true);
    for (size_t i = 0; i < tls->certificates_count; i++) {
        const struct certificate_config *certificate = &tls->certificates[i];
        certificate_check(check, certificate);
        if (!certificate->is_default)
            continue;
        if (first != NULL) {
            schema_report_add(check->report, SCHEMA_ERROR, PLACE(check, &certificate->is_default),
                              "two certificates are the default");
            schema_report_add(check->report, SCHEMA_NOTE, PLACE(check, &first->is_default),
                              "this is the other");
        }
        first = certificate;
    }
}

/* An address in the one form that all its spellings have. */
struct address_form {
    struct span text;
    struct span key; /* the same for all that collide: the port alone where it is on all addresses */
    bool of_both;    /* all addresses of the port, of IPv4 and IPv6 */
};

/* "/tmp//a", "/tmp/./a": what links and ".." lead to is not asked. */
static struct span path_form(struct arena *arena, struct span path)
{
    char *form = arena_get_bytes(arena, path.length + 1);
    size_t length = 0;
    assert(form != NULL);
    while (path.length != 0) {
        struct span name = span_first(path, span_find(path, '/'));
        if (name.length != 0 && !span_is(name, ".")) {
            form[length++] = '/';
            memcpy(form + length, name.at, name.length);
            length += name.length;
        }
        path = span_skip(path, name.length < path.length ? name.length + 1 : name.length);
    }
    return span_make(form, length);
}

static struct address_form address_form(struct arena *arena, const char *address)
{
    static const unsigned char all_ipv6[16], all_ipv4[16] = {[10] = 0xff, [11] = 0xff};
    struct span whole = span_of(address), port = authority_port(whole);
    unsigned char bytes[16] = {0};
    uint64_t number = 0;
    if (span_starts(whole, SPAN("unix:"))) {
        struct span path = path_form(arena, span_skip(whole, 5));
        return (struct address_form){.text = path, .key = path};
    }
    if (port.at == NULL)
        return (struct address_form){.text = whole, .key = whole};
    struct span host = span_first(whole, whole.length - port.length - 1);
    if (host.length >= 2 && host.at[0] == '[')
        host = span_make(host.at + 1, host.length - 2);
    if ((host.length != 0 && !ip_read(host, bytes)) || !text_to_number(port, 65535, &number))
        return (struct address_form){.text = whole, .key = whole};
    char ip[INET6_ADDRSTRLEN];
    struct span text =
        arena_print(arena, "%s:%u", inet_ntop(AF_INET6, bytes, ip, sizeof ip), (unsigned)number);
    bool of_both = memcmp(bytes, all_ipv6, sizeof bytes) == 0;
    bool of_all = of_both || memcmp(bytes, all_ipv4, sizeof bytes) == 0;
    return (struct address_form){text, of_all ? arena_print(arena, ":%u", (unsigned)number) : text, of_both};
}

/* Logs and counters tell listeners by their names. */
static void listener_name_check(const struct check *check, const struct listener_config *listener,
                                struct map *names)
{
    const struct listener_config *first = map_get(names, span_of(listener->name));
    if (first == NULL) {
        map_set(names, span_of(listener->name), (void *)(uintptr_t)listener);
        return;
    }
    schema_report_add(check->report, SCHEMA_WARNING, PLACE(check, &listener->name),
                      "another listener has the name \"%s\" too, so the log can't tell them apart",
                      listener->name);
    schema_report_add(check->report, SCHEMA_NOTE, PLACE(check, &first->name), "it is here");
}

static void collision_tell(const struct check *check, const struct listener_config *listener,
                           const struct address_form *form, const struct listener_config *first)
{
    struct address_form other = address_form(check->config->arena, first->address);
    struct schema_place place = PLACE(check, &listener->address);
    if (strcmp(first->address, listener->address) == 0)
        schema_report_add(check->report, SCHEMA_ERROR, place, "two listeners cannot have the address \"%s\"",
                          listener->address);
    else if (span_equal(form->text, other.text))
        schema_report_add(check->report, SCHEMA_ERROR, place,
                          "two listeners cannot have one address: \"%s\" is \"%s\", written otherwise; "
                          "leave one of them out",
                          listener->address, first->address);
    else
        schema_report_add(
            check->report, SCHEMA_ERROR, place,
            "two listeners cannot have \"%s\" and \"%s\": \"%s\" is all addresses of this port, "
            "those of IPv4 as well; write \"%.*s\" alone",
            listener->address, first->address, form->of_both ? listener->address : first->address,
            (int)form->key.length, form->key.at);
    schema_report_add(check->report, SCHEMA_NOTE, PLACE(check, &first->address), "it is taken here");
}

static void listener_check(const struct check *check, struct listener_config *listener, struct map *addresses,
                           struct map *names)
{
    if (listener->name != NULL)
        listener_name_check(check, listener, names);
    else
        listener->name = listener->address;
    protocols_check(check, listener);
    if (listener->tls != NULL)
        tls_check(check, listener->tls);
    if (listener->proxy_protocol == PROXY_PROTOCOL_OPTIONAL && check->config->trusted_proxies.count == 0 &&
        IS_WHOLE(check, check->config))
        schema_report_add(check->report, SCHEMA_WARNING, PLACE(check, &listener->proxy_protocol),
                          "optional PROXY headers are read only from trusted_proxies, and there are none");
    if (listener->routes_count == 0 && check->config->routes_count == 0 && IS_WHOLE(check, check->config))
        schema_report_add(check->report, SCHEMA_ERROR, PLACE_SECTION(check, listener),
                          "listener has nothing to serve; give routes to it or to the file");
    for (size_t i = 0; i < listener->routes_count; i++)
        listener->routes[i].listener = listener->address;
    routes_check(listener->routes, listener->routes_count, check->document, check->config->arena,
                 check->report);
    if (listener->address == NULL)
        return;
    struct address_form form = address_form(check->config->arena, listener->address);
    const struct listener_config *first = map_get(addresses, form.key);
    if (first == NULL)
        map_set(addresses, form.key, listener);
    else
        collision_tell(check, listener, &form, first);
}

/* ---- pools ---- */

static void retry_check(const struct check *check, struct retry_config *retry)
{
    retry->statuses = (struct numbers){.items = check_get(check, (retry->on.count + 1) * sizeof(int64_t))};
    for (size_t i = 0; i < retry->on.count; i++) {
        const char *on = retry->on.items[i];
        if (strcmp(on, "never_sent") == 0)
            retry->never_sent = true;
        else if (strcmp(on, "sent_no_reply") == 0)
            retry->sent_no_reply = true;
        else
            retry->statuses.items[retry->statuses.count++] = strtol(on, NULL, 10);
    }
}

/* What stands at its default may come from a dump and is not told. */
static void probe_keys_check(const struct check *check, const struct health_config *health, bool grpc)
{
    const struct {
        const void *field;
        bool is_default;
    } of_http[] = {{&health->path, strcmp(health->path, "/") == 0},
                   {&health->method, strcmp(health->method, "GET") == 0},
                   {&health->host, grpc || health->host == NULL},
                   {&health->expect_body, health->expect_body == NULL}};
    for (size_t i = 0; i < COUNT_OF(of_http); i++)
        if (!of_http[i].is_default)
            schema_report_add(check->report, SCHEMA_WARNING,
                              schema_place_key(check->document, of_http[i].field),
                              "this has no effect in a %s probe", grpc ? "grpc" : "tcp");
}

/* Pools may share one section of defaults, so what is derived goes into a copy of the pool's own. */
static void health_check(const struct check *check, struct pool_config *pool)
{
    const struct health_config *given = pool->health;
    struct health_config *health = check_get(check, sizeof(*health));
    *health = *given;
    pool->health = health;
    schema_place_copy(check->document, given, health, sizeof(*health));
    if (pool->tls != NULL && !IS_GIVEN(check, &given->type))
        health->type = PROBE_HTTPS;
    if (given->timeout > given->interval && IS_GIVEN(check, &given->timeout) && IS_WHOLE(check, given))
        schema_report_add(check->report, SCHEMA_ERROR, PLACE(check, &given->timeout),
                          "a probe's timeout cannot be longer than the interval");
    if (given->timeout > given->interval)
        health->timeout = health->interval;
    if (given->fast_interval > given->interval && IS_GIVEN(check, &given->fast_interval) &&
        IS_WHOLE(check, given))
        schema_report_add(check->report, SCHEMA_WARNING, PLACE(check, &given->fast_interval),
                          "fast_interval is longer than interval");
    if (given->fast_interval > given->interval)
        health->fast_interval = health->interval;
    if (health->type == PROBE_TCP || health->type == PROBE_GRPC)
        probe_keys_check(check, given, health->type == PROBE_GRPC);
    if (health->type != PROBE_GRPC && given->service[0] != '\0')
        schema_report_add(check->report, SCHEMA_WARNING, PLACE(check, &given->service),
                          "service has no effect but in a grpc probe");
    bool in_http_1 = pool->protocol == POOL_HTTP_1 || (pool->protocol == POOL_AUTO && pool->tls == NULL);
    if (WITH_HTTP2 && health->type == PROBE_GRPC && in_http_1 && given->port == 0)
        schema_report_add(
            check->report, SCHEMA_WARNING, PLACE(check, &given->type),
            "this goes over HTTP/2, requests to the same port over HTTP/1.1; give pool \"%s\" protocol: %s, "
            "or the check a port of its own",
            pool->name, pool->tls != NULL ? "h2" : "h2c");
    if (!WITH_HTTP2 && health->type == PROBE_GRPC)
        schema_report_add(check->report, SCHEMA_ERROR, PLACE(check, &given->type),
                          "this weir is built without HTTP/2, over which gRPC goes");
}

/* A certificate is verified by a name, and the path of a unix socket is none. */
static void unix_names_check(const struct check *check, const struct pool_config *pool)
{
    const struct upstream_tls_config *tls = pool->tls;
    bool probed = pool->health != NULL && pool->health->type == PROBE_HTTPS;
    if (tls != NULL ? tls->verify != SERVER_VERIFY_FULL || tls->server_name != NULL : !probed)
        return;
    for (size_t i = 0; i < pool->servers_count; i++) {
        const char *const *address = &pool->servers[i].address;
        if (*address != NULL && strncmp(*address, "unix:", 5) == 0)
            schema_report_add(
                check->report, SCHEMA_ERROR, PLACE(check, address),
                tls != NULL ? "a certificate is verified by a name, and a unix socket has none; give "
                              "tls a server_name"
                            : "an https probe verifies a name, and a unix socket has none; write type: http");
    }
}

static void upstream_tls_check(const struct check *check, const struct upstream_tls_config *tls)
{
    bool cert = tls->cert != NULL || IS_GIVEN(check, &tls->cert),
         key = tls->key != NULL || IS_GIVEN(check, &tls->key);
    if (cert != key)
        schema_report_add(check->report, SCHEMA_ERROR, PLACE_SECTION(check, tls),
                          "cert and key are given together or not at all");
    if (tls->verify == SERVER_VERIFY_NONE && tls->ca != NULL && IS_WHOLE(check, tls))
        schema_report_add(check->report, SCHEMA_WARNING, PLACE(check, &tls->ca),
                          "ca has no effect while verify is none");
    if (check->config->files_later)
        return;
    pem_authority_check(&tls->ca, check->document, check->report);
    pem_pair_check(&tls->cert, &tls->key, check->document, check->report);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* A server is known by its name: in logs, in cookies, in hashes. So a name stands for one address; who lists
 * a server twice, as in nginx, gives it twice the share. */
static void server_repeats(const struct check *check, const struct pool_config *pool,
                           struct server_config *first, struct server_config *server)
{
    bool same_place = same_text(first->address, server->address);
    bool same_rest = first->backup == server->backup && first->max_connections == server->max_connections &&
                     same_text(first->zone, server->zone);
    if (same_place && same_rest) {
        schema_report_add(check->report, SCHEMA_WARNING, PLACE(check, &server->address),
                          "server \"%s\" is in pool \"%s\" twice, so its weights add up; write weight: %llu",
                          server->name, pool->name, (unsigned long long)(first->weight + server->weight));
        first->weight =
            first->weight + server->weight < WEIGHT_MOST ? first->weight + server->weight : WEIGHT_MOST;
        server->repeats = true;
    } else {
        schema_report_add(
            check->report, SCHEMA_ERROR, PLACE(check, &server->address),
            same_place
                ? "server \"%s\" is in pool \"%s\" twice, with other keys; give each a name of its own"
                : "server \"%s\" is in pool \"%s\" twice, at another address; give each a name of its own",
            server->name, pool->name);
    }
    schema_report_add(check->report, SCHEMA_NOTE, PLACE(check, &first->address), "it is here first");
}

static void servers_check(const struct check *check, struct pool_config *pool)
{
    struct map *names = map_new();
    uint64_t weights = 0;
    for (size_t i = 0; i < pool->servers_count; i++) {
        struct server_config *server = &pool->servers[i];
        weights += server->weight;
        if (server->address == NULL)
            continue;
        if (server->name == NULL)
            server->name = server->address;
        struct server_config *first = map_get(names, span_of(server->name));
        if (first != NULL)
            server_repeats(check, pool, first, server);
        else
            map_set(names, span_of(server->name), server);
    }
    map_free(names);
    if (weights == 0 && pool->servers_count != 0 && IS_WHOLE(check, pool))
        schema_report_add(check->report, SCHEMA_WARNING, PLACE_SECTION(check, pool),
                          "all servers of pool \"%s\" have weight 0; every request gets 503", pool->name);
}

static void hash_check(const struct check *check, struct hash_config *hash)
{
    if (hash->parts == NULL)
        hash->parts = key_parts_of(&hash->key, &hash->parts_count, check->config->arena);
}

static void pool_check(const struct check *check, struct pool_config *pool)
{
    const struct pool_config *defaults = check->config->defaults.pool;
    servers_check(check, pool);
    retry_check(check, &pool->retry);
    hash_check(check, &pool->hash);
    if (pool->sticky != NULL)
        sticky_check(pool->sticky, check->document, check->report);
    if (pool->subset != NULL)
        subset_check(pool, defaults == NULL || pool->subset != defaults->subset, check->document,
                     check->report);
    if (pool->health != NULL)
        health_check(check, pool);
    if (pool->tls != NULL)
        upstream_tls_check(check, pool->tls);
    unix_names_check(check, pool);
    if (pool->protocol == POOL_H2 && pool->tls == NULL)
        schema_report_add(check->report, SCHEMA_ERROR, PLACE(check, &pool->protocol),
                          "h2 needs tls; in the clear it is h2c");
    else if (pool->protocol == POOL_H2C && pool->tls != NULL)
        schema_report_add(check->report, SCHEMA_ERROR, PLACE(check, &pool->protocol),
                          "h2c is in the clear; with tls it is h2");
    else if (!WITH_HTTP2 && (pool->protocol == POOL_H2 || pool->protocol == POOL_H2C))
        schema_report_add(
            check->report, SCHEMA_WARNING, PLACE(check, &pool->protocol),
            "this weir is built without HTTP/2; servers of pool \"%s\" are spoken to in HTTP/1.1",
            pool->name);
}

/* ---- names that nothing uses ---- */

static void uses_note(struct map *pools, struct map *limits, const struct route_config *routes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < routes[i].pool_count; j++)
            map_set(pools, span_of(routes[i].pool[j].name), pools);
        if (routes[i].mirror != NULL && routes[i].mirror->pool != NULL)
            map_set(pools, span_of(routes[i].mirror->pool), pools);
        for (size_t j = 0; j < routes[i].rate_limit.count; j++)
            map_set(limits, span_of(routes[i].rate_limit.items[j]), limits);
    }
}

static void unused_tell(const struct check *check)
{
    const struct config *config = check->config;
    struct map *pools = map_new(), *limits = map_new();
    uses_note(pools, limits, config->routes, config->routes_count);
    for (size_t i = 0; i < config->listeners_count; i++)
        uses_note(pools, limits, config->listeners[i].routes, config->listeners[i].routes_count);
    for (size_t i = 0; i < config->pools_count; i++)
        if (map_get(pools, span_of(config->pools[i].name)) == NULL)
            schema_report_add(check->report, SCHEMA_WARNING, PLACE_SECTION(check, &config->pools[i]),
                              "no route uses pool \"%s\"", config->pools[i].name);
    for (size_t i = 0; i < config->rate_limits_count; i++)
        if (map_get(limits, span_of(config->rate_limits[i].name)) == NULL)
            schema_report_add(check->report, SCHEMA_WARNING, PLACE_SECTION(check, &config->rate_limits[i]),
                              "no route uses rate limit \"%s\"", config->rate_limits[i].name);
    map_free(pools);
    map_free(limits);
}

/* A listener with routes of its own does not serve those of the file. */
static void unserved_check(const struct check *check)
{
    const struct config *config = check->config;
    for (size_t i = 0; i < config->listeners_count; i++)
        if (config->listeners[i].routes_count == 0 ||
            schema_is_broken(check->document, &config->listeners[i]))
            return;
    if (config->routes_count != 0 && config->listeners_count != 0)
        schema_report_add(check->report, SCHEMA_WARNING, PLACE_SECTION(check, &config->routes[0]),
                          "no listener serves the routes of the file, since each has routes of its own");
}

void config_check(struct config *config, struct schema_document *document)
{
    struct check check = {config, document, schema_document_report(document)};
    struct map *addresses = map_new(), *names = map_new();
    for (size_t i = 0; i < config->listeners_count; i++)
        listener_check(&check, &config->listeners[i], addresses, names);
    map_free(addresses);
    map_free(names);
    routes_check(config->routes, config->routes_count, document, config->arena, check.report);
    unserved_check(&check);
    for (size_t i = 0; i < config->pools_count; i++)
        pool_check(&check, &config->pools[i]);
    for (size_t i = 0; i < config->rate_limits_count; i++) {
        struct limiter_config *limiter = &config->rate_limits[i];
        limiter->parts = key_parts_of(&limiter->key, &limiter->parts_count, config->arena);
        limiter_check(limiter, document, check.report);
        status_doubt(&limiter->status, document, check.report);
    }
    log_check(&check, &config->log.to);
    if (config->access_log != NULL)
        log_check(&check, &config->access_log->to);
    if (config->limits.request_line > config->limits.request_head)
        schema_report_add(check.report, SCHEMA_ERROR, schema_place_section(document, &config->limits),
                          "request_line is larger than request_head, which contains it");
    if (schema_report_errors(check.report) != 0 || schema_is_partial(document))
        return;
    protocol_check(config, document, check.report);
    effect_check(config, document, check.report);
    loop_check(config, document, check.report);
    field_names_check(config, document, check.report);
    memory_check(config, document, check.report);
    unused_tell(&check);
}
