/* weir explain: which listener, route, filters and pool would serve a request, and why not the routes before
 * it. It reads the request with the parser, and finds the route with the router, that serve real ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/explain_answer.h"
#include "cli/report.h"
#include "config/config.h"
#include "control/control.h"
#include "control/options.h"
#include "http/exchange.h"
#include "http/grpc.h"
#include "http/h1_parse.h"
#include "http/path.h"
#include "http/target.h"
#include "net/address.h"
#include "net/names.h"
#include "proxy/client_chain.h"
#include "proxy/forwarded.h"
#include "proxy/shared_state.h"
#include "proxy/snapshot.h"
#include "route/choice.h"
#include "route/router.h"
#include "schema/schema_report.h"
#include "tls/tls.h"
#include "upstream/pool.h"

enum { ROW_CONFIG, ROW_FIELD, ROW_FROM, ROW_LISTENER, ROW_SNI, ROW_JSON };
#define FIELDS_MOST 32
#define ASSUMED_PEER "127.0.0.1"

struct question {
    const char *path, *method, *url, *listener;
    const char *from;       /* NULL: ASSUMED_PEER */
    const char *sni;        /* NULL: the URL's host, as clients do */
    struct ip_address peer; /* of `from` */
    const char *fields[FIELDS_MOST];
    size_t fields_count;
    bool as_json;
};

/* ---- the request ---- */

struct url {
    struct span scheme, authority, target;
};

static bool url_split(struct span url, struct url *parts)
{
    const char *mark = memmem(url.at, url.length, "://", 3);
    parts->scheme = mark != NULL ? span_make(url.at, (size_t)(mark - url.at)) : SPAN("http");
    struct span rest = mark != NULL ? span_skip(url, parts->scheme.length + 3) : url;
    size_t slash = span_find(rest, '/');
    parts->authority = span_first(rest, slash);
    parts->target = slash != rest.length ? span_skip(rest, slash) : SPAN("/");
    return span_equal_nocase(parts->scheme, SPAN("http")) || span_equal_nocase(parts->scheme, SPAN("https"));
}

static enum failure read_request(struct exchange *x, const struct question *question, const struct url *url,
                                 const struct config *config)
{
    struct text text = text_growing();
    struct head_check check;
    text_print(&text, "%s %.*s HTTP/1.1\r\n", question->method, (int)url->target.length, url->target.at);
    if (url->authority.length != 0)
        text_print(&text, "Host: %.*s\r\n", (int)url->authority.length, url->authority.at);
    for (size_t i = 0; i < question->fields_count; i++)
        text_print(&text, "%s\r\n", question->fields[i]);
    text_print(&text, "\r\n");
    struct span bytes = arena_copy(x->arena, text_span(&text));
    text_free(&text);
    struct h1_scan scan = {0};
    size_t length;
    if (bytes.at == NULL || h1_scan(&scan, bytes, &length) != H1_DONE || length != bytes.length)
        return FAILURE_BAD_REQUEST;
    return h1_parse_request(bytes, &config->limits, x->arena, &x->request, &check);
}

/* ---- the listener ---- */

static bool address_has_port(const char *address, unsigned port)
{
    const char *colon = strrchr(address, ':');
    return strncmp(address, "unix:", 5) != 0 && colon != NULL &&
           (unsigned)strtoul(colon + 1, NULL, 10) == port;
}

static const struct site *site_named(const struct snapshot *snapshot, const char *name)
{
    for (size_t i = 0; i < snapshot->sites_count; i++) {
        const struct listener_config *config = snapshot->sites[i].config;
        if (strcmp(name, config->name) == 0 || strcmp(name, config->address) == 0)
            return &snapshot->sites[i];
    }
    return NULL;
}

/* No listener fits, or none alone: the question says which are there. */
static const struct site *site_missing(const struct snapshot *snapshot, struct text *why, const char *what)
{
    text_print(why, "%s; --listener names one of", what);
    for (size_t i = 0; i < snapshot->sites_count; i++)
        text_print(why, "%s %s%s", i != 0 ? "," : "", snapshot->sites[i].config->name,
                   snapshot->sites[i].tls != NULL ? " (TLS)" : "");
    return NULL;
}

/* By name, or by the URL's scheme and port. A URL that names no port is also that of the one listener of its
 * scheme: another port of the world may lead to it. */
static const struct site *choose_site(const struct snapshot *snapshot, const struct question *question,
                                      const struct url *url, struct text *why)
{
    bool tls = span_equal_nocase(url->scheme, SPAN("https")), has_port = false;
    struct span host;
    uint16_t port = 0;
    char what[128];
    if (question->listener != NULL) {
        const struct site *site = site_named(snapshot, question->listener);
        return site != NULL ? site : site_missing(snapshot, why, "no listener has that name");
    }
    if (!authority_split(url->authority, &host, &port, &has_port) || !has_port)
        port = tls ? 443 : 80;
    const struct site *of_scheme = NULL;
    unsigned count = 0;
    for (size_t i = 0; i < snapshot->sites_count; i++) {
        const struct site *site = &snapshot->sites[i];
        if ((site->tls != NULL) != tls)
            continue;
        if (address_has_port(site->config->address, port))
            return site;
        of_scheme = site;
        count++;
    }
    if (!has_port && count == 1)
        return of_scheme;
    snprintf(what, sizeof what, "no listener takes %s on port %u", tls ? "https" : "http", port);
    return site_missing(snapshot, why, what);
}

/* ---- the answer ---- */

static void tell_skipped(struct answer_text *out, const struct site *site, const struct exchange *x,
                         uint32_t until)
{
    char why[256];
    if (out->as_json) {
        json_key(&out->json, "not");
        json_array(&out->json);
    }
    for (uint32_t i = 0; i < until && i < SKIPPED_MOST; i++) {
        const char *name = router_route(site->router, i)->config->name;
        if (router_explain(site->router, i, x, why, sizeof why))
            continue;
        explain_tell_pair(out, "not", (struct told_pair){"route", name, "why", why});
    }
    if (out->as_json)
        json_end_array(&out->json);
    else if (until > SKIPPED_MOST)
        text_print(&out->text, "%-12s and %u more routes before it\n", "not", until - SKIPPED_MOST);
}

static enum failure prepare(struct exchange *x, const struct question *question, const struct url *url,
                            const struct snapshot *snapshot)
{
    enum failure why = read_request(x, question, url, snapshot->config);
    if (why != FAILURE_NONE) {
        x->request = (struct head){0}; /* of a head that is refused nothing is known, as in an exchange */
        return why;
    }
    client_chain_find(x, snapshot);
    why = forwarded_strip(&x->request, x->peer_trusted ? CLAIMS_KEPT : CLAIMS_DROPPED, x->arena);
    if (why != FAILURE_NONE)
        return why;
    why = target_prepare_head(&x->target, &x->request, x->arena);
    x->request.line.request.authority = x->target.authority;
    return why;
}

/* What this build speaks of what the file says, and the bounds of a connection of HTTP/2. */
static void tell_protocols(struct answer_text *out, const struct site *site)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = {{"h2", PROTOCOL_H2}, {"h2c", PROTOCOL_H2C}, {"http/1.1", PROTOCOL_HTTP_1}};
    unsigned bits = site->config->protocol_bits;
    const struct limits_config *limits = site->http.limits;
    char line[256] = "";
    for (size_t i = 0, length = 0; i < COUNT_OF(names); i++)
        if ((bits & names[i].bit) != 0)
            length += (size_t)snprintf(line + length, sizeof line - length, "%s%s", length == 0 ? "" : ", ",
                                       names[i].name);
    explain_tell(out, "protocols", line);
    if ((bits & (PROTOCOL_H2 | PROTOCOL_H2C)) == 0)
        return;
    snprintf(
        line, sizeof line,
        "%llu streams a connection, heads of %llu bytes, windows of up to %llu a stream and %llu a connection",
        (unsigned long long)limits->streams, (unsigned long long)limits->header_list,
        (unsigned long long)limits->stream_window, (unsigned long long)limits->connection_window);
    explain_tell(out, "http2", line);
}

/* What servers may read where a path can be read in more than one way, as far as the route that it takes as
 * it came leaves that open. */
static void tell_readings(struct answer_text *out, const struct site *site, const struct exchange *x)
{
    static const struct paths_config any;
    const struct route *route = router_find(site->router, x, x->target.path).route;
    struct path_readings readings;
    struct span path = x->target.path, text;
    if (x->target.marks == 0)
        return;
    if (out->as_json) {
        json_key(&out->json, "readings");
        json_array(&out->json);
    }
    path_readings_begin(&readings, path, x->target.marks, route != NULL ? &route->config->paths : &any,
                        arena_get_bytes(x->arena, path.length + 1));
    while (path_readings_next(&readings, &text) == PATH_READING) {
        struct span read = arena_copy(x->arena, text);
        route = router_find(site->router, x, text).route;
        if (read.at != NULL)
            explain_tell_pair(out, "reading",
                              (struct told_pair){"path", read.at, "route",
                                                 route != NULL ? route->config->name : "no route"});
    }
    if (out->as_json)
        json_end_array(&out->json);
}

static void tell_peer(struct answer_text *out, const struct question *question)
{
    char line[ADDRESS_TEXT_MAX + 64], text[ADDRESS_TEXT_MAX];
    struct span ip = ip_address_print(&question->peer, text);
    bool assumed = question->from == NULL;
    snprintf(line, sizeof line, "%.*s%s", (int)ip.length, ip.at,
             assumed && !out->as_json ? ", assumed; --from names another" : "");
    explain_tell(out, "from", line);
    explain_note_bool(out, "from_assumed", assumed);
}

/* What clients ask for by TLS: names, not addresses (RFC 6066 3). NULL: nothing. */
static const char *sni_of(const struct question *question, const struct exchange *x)
{
    struct ip_address ip;
    if (question->sni != NULL)
        return strcmp(question->sni, "none") == 0 ? NULL : question->sni;
    if (ip_address_parse(&ip, x->target.host))
        return NULL;
    struct span name = arena_print(x->arena, "%.*s", (int)x->target.host.length, x->target.host.at);
    return name.at;
}

static void tell_tls_rules(struct answer_text *out, const struct tls_config *tls, const char *sni)
{
    static const char *const auths[] = {"off", "optional", "required"};
    static const char *const asked[] = {"clients are not asked for certificates",
                                        "clients are asked for a certificate of client_ca, and may have none",
                                        "clients have to show a certificate of client_ca"};
    if (out->as_json) {
        explain_tell(out, "sni", sni != NULL ? sni : "");
        explain_tell(out, "client_auth", auths[tls->client_auth]);
        explain_note_bool(out, "strict_sni", tls->strict_sni);
        explain_tell(out, "authority", tls->authority == AUTHORITY_COVERED ? "covered" : "any");
        return;
    }
    char line[512];
    bool covered = tls->strict_sni || tls->authority == AUTHORITY_COVERED;
    explain_tell(out, "sni", sni != NULL ? sni : "none");
    explain_tell(out, "client_auth", asked[tls->client_auth]);
    snprintf(line, sizeof line, "%s; %s",
             covered ? "421 for hosts that the certificate shown does not cover"
             : tls->client_auth != CLIENT_AUTH_OFF
                 ? "421 for hosts of another name of the listener than SNI's"
                 : "any host may come on any connection",
             tls->strict_sni ? "a name without a certificate is refused in the handshake"
                             : "a name without a certificate is shown the first");
    explain_tell(out, "authority", line);
}

/* The handshake, and whether the connection is one for that host; false: it is not. */
static bool tell_tls(struct answer_text *out, const struct question *question, const struct site *site,
                     const struct exchange *x)
{
    if (site->tls == NULL)
        return true;
    const char *sni = sni_of(question, x);
    tell_tls_rules(out, site->config->tls, sni);
    switch (tls_store_admits(site->tls, sni, x->target.host)) {
    case TLS_NAME_REFUSED:
        explain_tell(out, "answer", "none, the handshake ends with the alert unrecognized_name (strict_sni)");
        return false;
    case TLS_MISDIRECTED:
        explain_tell_failure(out, x, FAILURE_MISDIRECTED);
        return false;
    case TLS_ADMITTED:
        break;
    }
    return true;
}

static bool explain_request(struct answer_text *out, const struct question *question, const struct url *url,
                            const struct snapshot *snapshot, struct exchange *x)
{
    char line[512];
    struct text why_none = text_growing();
    const struct site *site = choose_site(snapshot, question, url, &why_none);
    if (site == NULL)
        explain_tell(out, "answer", why_none.at);
    text_free(&why_none);
    if (site == NULL)
        return false;
    x->tls = x->https = site->tls != NULL;
    snprintf(line, sizeof line, "%s%s", site->config->name,
             site->tls != NULL && !out->as_json ? " (TLS)" : "");
    explain_tell(out, "listener", line);
    explain_note_bool(out, "tls", site->tls != NULL);
    tell_peer(out, question);
    tell_protocols(out, site);
    enum failure why = prepare(x, question, url, snapshot);
    if (why != FAILURE_NONE) {
        explain_tell_failure(out, x, why);
        return false;
    }
    if (!tell_tls(out, question, site, x))
        return false;
    tell_readings(out, site, x);
    why = route_choose(site->router, x);
    const struct route *route = x->route;
    tell_skipped(out, site, x, route != NULL ? route->number : (uint32_t)site->plans_count);
    if (why != FAILURE_NONE) {
        explain_tell_failure(out, x, why);
        return false;
    }
    explain_tell(out, "route", route->config->name);
    return explain_tell_plan(out, &site->plans[route->number], x, &snapshot->config->timeouts);
}

static bool explain(const struct question *question, const struct url *url, const struct snapshot *snapshot)
{
    struct exchange x = {.arena = arena_new_malloc(), .peer = question->peer};
    struct answer_text out = {.text = text_growing(), .as_json = question->as_json};
    if (out.as_json) {
        json_begin(&out.json, &out.text);
        json_object(&out.json);
    }
    bool served = explain_request(&out, question, url, snapshot, &x);
    if (out.as_json) {
        explain_note_bool(&out, "served", served);
        json_end_object(&out.json);
    }
    printf("%s%s", out.text.at, out.as_json ? "\n" : "");
    text_free(&out.text);
    arena_free(x.arena);
    return served;
}

/* Nobody is asked for a name: where a request would go does not depend on it. */
static struct snapshot *explain_snapshot(struct config *config, struct shared_state *shared,
                                         struct error *error)
{
    struct names *names = names_new();
    for (size_t i = 0; i < config->pools_count; i++)
        pool_want_names(&config->pools[i], names);
    names_leave_unasked(names);
    struct snapshot *snapshot = snapshot_new(config, shared, names, error);
    names_free(names);
    return snapshot;
}

static int explain_file(const struct question *question, const struct url *url)
{
    struct schema_report *report = schema_report_new();
    struct config *config = config_load(question->path, report);
    struct error error;
    int code = EXIT_FAILED;
    report_print(report, stderr);
    schema_report_free(report);
    if (config == NULL)
        return EXIT_FAILED;
    if (!tls_begin(&error)) {
        fprintf(stderr, "weir explain: %s\n", error.text);
        config_free(config);
        return EXIT_FAILED;
    }
    struct shared_state *shared = shared_state_new();
    struct snapshot *snapshot = explain_snapshot(config, shared, &error);
    if (snapshot == NULL) {
        fprintf(stderr, "weir explain: %s\n", error.text);
        config_free(config);
    } else {
        code = explain(question, url, snapshot) ? EXIT_OK : EXIT_FAILED;
        snapshot_free(snapshot);
    }
    shared_state_free(shared);
    return code;
}

/* "Name: value", as curl takes it. */
static int question_field(const struct options *options, struct question *question, const char *field)
{
    size_t name = strcspn(field, ":");
    if (question->fields_count == FIELDS_MOST)
        return options_complain(options, "-H %s: at most %d headers can be given", field, FIELDS_MOST);
    if (name == 0 || field[name] != ':')
        return options_complain(options, "-H %s: a header is 'Name: value'", field);
    question->fields[question->fields_count++] = field;
    return ROW_FIELD;
}

static int question_option(struct options *options, struct question *question)
{
    const char *value;
    int row = options_next(options, &value);
    if (row == ROW_FIELD)
        return question_field(options, question, value);
    if (row == ROW_CONFIG)
        question->path = value;
    else if (row == ROW_FROM)
        question->from = value;
    else if (row == ROW_LISTENER)
        question->listener = value;
    else if (row == ROW_SNI)
        question->sni = value;
    question->as_json = question->as_json || row == ROW_JSON;
    return row;
}

static int question_check(const struct options *options, struct question *question, struct url *url)
{
    if (question->url == NULL)
        return options_complain(options, "a METHOD and a URL are needed, such as GET https://example.com/");
    if (!ip_address_parse(&question->peer, span_of(question->from != NULL ? question->from : ASSUMED_PEER)))
        return options_complain(options, "--from %s: this is no IP address", question->from);
    if (!url_split(span_of(question->url), url))
        return options_complain(options, "%s: the URL is neither http nor https", question->url);
    if (url->authority.length == 0)
        return options_complain(
            options, "%s: the URL names no host; write it whole, such as http://example.com/", question->url);
    return OPTIONS_END;
}

static int question_read(struct options *options, struct question *question, struct url *url, int argc,
                         char **argv)
{
    int row;
    options_begin(options, argc, argv);
    while ((row = question_option(options, question)) >= 0)
        continue;
    if (row != OPTIONS_END)
        return row;
    question->method = options_argument(options);
    question->url = question->method != NULL ? options_argument(options) : NULL;
    const char *more = question->url != NULL ? options_argument(options) : NULL;
    if (more != NULL)
        return options_complain(options, "unexpected argument \"%s\"; a METHOD and a URL are enough", more);
    return question_check(options, question, url);
}

int cli_explain(int argc, char **argv)
{
    static const struct option_row rows[] = {
        [ROW_CONFIG] = {"config", 'c', "FILE", CLI_CONFIG_TEXT},
        [ROW_FIELD] = {"header", 'H', "FIELD", "a field of the request, 'Name: value'; may be given again"},
        [ROW_FROM] = {"from", 'f', "IP",
                      "the address that the request comes from (default " ASSUMED_PEER ")"},
        [ROW_LISTENER] = {"listener", 'l', "NAME",
                          "the listener (default: the one of the URL's scheme and port)"},
        [ROW_SNI] = {"sni", 's', "NAME",
                     "the name that the TLS connection was opened for, or none (default: the URL's host)"},
        [ROW_JSON] = {"json", 'j', NULL, "for programs"},
        {NULL, 0, NULL, NULL},
    };
    struct options options = {
        .command = "explain",
        .arguments =
            "[-c FILE] [-H 'Name: value'] [--from IP] [--listener NAME] [--sni NAME] [--json] METHOD URL",
        .summary =
            "Tells which listener, route, limits, filters and pool would serve a request, and why not the "
            "routes before it.",
        .rows = rows,
        .notes =
            "exit codes: 0 a route serves it, 1 it is refused, no route takes it or the file has errors, 2 wrong usage",
    };
    struct question question = {.path = CLI_DEFAULT_FILE};
    struct url url = {.scheme = SPAN_NONE};
    int row = question_read(&options, &question, &url, argc, argv);
    if (row != OPTIONS_END)
        return row == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;
    return explain_file(&question, &url);
}
