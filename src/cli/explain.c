/* weir explain: which listener, route, filters and pool would serve a request, and why not the routes before
 * it. It reads the request with the parser, and finds the route with the router, that serve real ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "config/config.h"
#include "control/control.h"
#include "control/options.h"
#include "filter/answer.h"
#include "filter/filter.h"
#include "http/exchange.h"
#include "http/grpc.h"
#include "http/h1_parse.h"
#include "http/path.h"
#include "http/target.h"
#include "proxy/client_chain.h"
#include "proxy/forwarded.h"
#include "proxy/shared_state.h"
#include "proxy/snapshot.h"
#include "route/choice.h"
#include "route/router.h"
#include "schema/schema_report.h"
#include "tls/tls.h"
#include "upstream/pool.h"
#include "upstream/sticky.h"
#include "upstream/subset.h"

enum { ROW_CONFIG, ROW_FIELD, ROW_FROM, ROW_LISTENER, ROW_JSON };
#define FIELDS_MOST 32
#define ARENA_MOST (1u << 20)
#define SKIPPED_MOST 20u /* routes told before the one that serves; more are only counted */

struct question {
    const char *path, *method, *url, *from, *listener;
    const char *fields[FIELDS_MOST];
    size_t fields_count;
    bool as_json;
};

/* Lines for people, or one object for programs. */
struct answer_text {
    struct text text;
    struct json json;
    bool as_json;
};

static void tell(struct answer_text *out, const char *key, const char *value)
{
    if (out->as_json) {
        json_key(&out->json, key);
        json_string(&out->json, span_of(value));
    } else {
        text_print(&out->text, "%-12s %s\n", key, value);
    }
}

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
    return colon != NULL && (unsigned)strtoul(colon + 1, NULL, 10) == port;
}

/* By name, else by the URL's port and scheme, else the first of its scheme, else the first. */
static const struct site *choose_site(const struct snapshot *snapshot, const struct question *question,
                                      const struct url *url)
{
    bool tls = span_equal_nocase(url->scheme, SPAN("https"));
    struct span host;
    uint16_t port = 0;
    bool has_port = false;
    if (!authority_split(url->authority, &host, &port, &has_port) || !has_port)
        port = tls ? 443 : 80;
    const struct site *of_scheme = NULL;
    for (size_t i = 0; i < snapshot->sites_count; i++) {
        const struct site *site = &snapshot->sites[i];
        const struct listener_config *config = site->config;
        if (question->listener != NULL) {
            if (strcmp(question->listener, config->name) == 0 ||
                strcmp(question->listener, config->address) == 0)
                return site;
            continue;
        }
        if ((site->tls != NULL) != tls)
            continue;
        if (address_has_port(config->address, port))
            return site;
        of_scheme = of_scheme != NULL ? of_scheme : site;
    }
    return question->listener != NULL ? NULL : of_scheme != NULL ? of_scheme : &snapshot->sites[0];
}

/* ---- the answer ---- */

static void tell_skipped(struct answer_text *out, const struct site *site, const struct exchange *x,
                         uint32_t until)
{
    char why[256], line[400];
    if (out->as_json) {
        json_key(&out->json, "not");
        json_array(&out->json);
    }
    for (uint32_t i = 0; i < until && i < SKIPPED_MOST; i++) {
        const char *name = router_route(site->router, i)->config->name;
        if (router_explain(site->router, i, x, why, sizeof why))
            continue;
        snprintf(line, sizeof line, "%s: %s", name, why);
        if (out->as_json)
            json_string(&out->json, span_of(line));
        else
            tell(out, "not", line);
    }
    if (out->as_json)
        json_end_array(&out->json);
    else if (until > SKIPPED_MOST)
        text_print(&out->text, "%-12s and %u more routes before it\n", "not", until - SKIPPED_MOST);
}

static void tell_filters(struct answer_text *out, const struct plan *plan, struct exchange *x)
{
    char line[1024];
    for (size_t i = 0; i < plan->filters.count; i++) {
        const struct filter *filter = &plan->filters.items[i];
        if (filter->kind->explain == NULL)
            continue;
        line[0] = '\0';
        filter->kind->explain(filter, x, line, sizeof line);
        tell(out, filter->kind->name, line);
        /* What a filter changes is what the next one and the action see; limits must not count a question. */
        if (strcmp(filter->kind->name, "rewrite") == 0 && filter->kind->request != NULL)
            (void)!filter->kind->request(filter, x);
    }
}

static void pool_line(char *line, size_t room, const struct plan *plan, size_t index)
{
    static const char *const protocols[] = {[POOL_HTTP_1] = "HTTP/1.1",
                                            [POOL_H2] = "HTTP/2",
                                            [POOL_H2C] = "HTTP/2",
                                            [POOL_AUTO] = "HTTP/2 or HTTP/1.1"};
    static const char *const balances[] = {"adaptive", "least_conn", "round_robin",
                                           "random",   "first",      "hash"};
    const struct pool_config *pool = plan->pools[index]->config;
    size_t servers = plan->pools[index]->servers_count;
    char share[64] = "";
    if (plan->pools_count > 1)
        snprintf(share, sizeof share, " (%u of %u)", plan->weights[index], plan->weights_total);
    snprintf(
        line, room,
        "%s%s: %s over %zu server%s by %s%s, %llu %s after the first, at most %llu requests wait %llu ms",
        pool->name, share, balances[pool->balance], servers, servers == 1 ? "" : "s",
        protocols[plan->pools[index]->protocol], pool->tls != NULL ? " in TLS" : "",
        (unsigned long long)pool->retry.attempts, pool->retry.attempts == 1 ? "try" : "tries",
        (unsigned long long)pool->queue.size, (unsigned long long)pool->queue.max_wait);
}

/* "auto", "50", or empty for no limit, with a word before it. */
static void print_most(struct text *text, const char *before, uint64_t most)
{
    if (most == CONNECTIONS_AUTO)
        text_print(text, "%sauto", before);
    else if (most != 0 && most != CONNECTIONS_NONE)
        text_print(text, "%s%llu", before, (unsigned long long)most);
}

/* What decides between the servers, beside how busy they are. */
static void tell_choice(struct answer_text *out, const struct pool_config *pool)
{
    char line[512];
    struct text text = text_over(line, sizeof line);
    print_most(&text, "", pool->max_connections);
    tell(out, "at_once", text.length != 0 ? line : "no limit");
    text = text_over(line, sizeof line);
    for (size_t i = 0; pool->balance == BALANCE_HASH && i < pool->hash.key.count; i++)
        text_print(&text, "%s%s", i == 0 ? "by " : ", ", pool->hash.key.items[i]);
    if (text.length != 0 && pool->hash.bounded_load != 0)
        text_print(&text, "; at most %llu%% of its share to a server",
                   (unsigned long long)pool->hash.bounded_load);
    if (text.length != 0)
        tell(out, "hash", line);
}

static void print_server(struct text *text, const struct pool_server *member)
{
    const struct server_config *server = member->config;
    text_print(text, "%s, weight %llu", server->address, (unsigned long long)server->weight);
    if (server->max_connections == CONNECTIONS_NONE)
        text_print(text, ", no limit");
    print_most(text, ", at once ", server->max_connections);
    if (member->far)
        text_print(text, ", of another zone");
    if (server->backup)
        text_print(text, ", backup");
}

/* For programs an array of objects, since a route may have several pools; for people a line each. */
static void tell_pool(struct answer_text *out, const struct plan *plan, size_t index,
                      const struct timeouts_config *timeouts)
{
    const struct pool_config *pool = plan->pools[index]->config;
    char line[512];
    pool_line(line, sizeof line, plan, index);
    if (out->as_json)
        json_object(&out->json);
    tell(out, "pool", line);
    if (plan->pools[index]->protocol != POOL_HTTP_1 && timeouts->ping != 0) {
        snprintf(line, sizeof line, "after %llu ms without a byte, %llu ms for the answer",
                 (unsigned long long)timeouts->ping, (unsigned long long)timeouts->ping_answer);
        tell(out, "ping", line);
    }
    tell_choice(out, pool);
    if (pool->subset != NULL) {
        struct text text = text_over(line, sizeof line);
        subset_print(plan->pools[index], &text);
        tell(out, "subset", line);
    }
    if (pool->sticky != NULL) {
        snprintf(line, sizeof line, "by the cookie %s", sticky_cookie(plan->pools[index]->sticky).at);
        tell(out, "sticky", line);
    }
    if (out->as_json) {
        json_key(&out->json, "servers");
        json_array(&out->json);
    }
    for (size_t i = 0; i < plan->pools[index]->servers_count && (out->as_json || i < SKIPPED_MOST); i++) {
        struct text text = text_over(line, sizeof line);
        print_server(&text, &plan->pools[index]->servers[i]);
        if (out->as_json)
            json_string(&out->json, span_of(line));
        else
            tell(out, "server", line);
    }
    if (out->as_json) {
        json_end_array(&out->json);
        json_end_object(&out->json);
    }
}

/* As an exchange takes it: the deadline, and in which form its failures are told. */
static void tell_grpc(struct answer_text *out, const struct plan *plan, const struct exchange *x)
{
    enum grpc_kind kind =
        x->request.line.request.method == METHOD_POST ? grpc_kind(&x->request.fields, NULL) : GRPC_NONE;
    uint64_t asked;
    char line[80];
    if (kind == GRPC_NONE)
        return;
    if (kind != GRPC_PLAIN && !plan->grpc_web)
        tell(out, "grpc", "gRPC-Web, passed on as it is; grpc_web: true would translate it");
    else
        tell(out, "grpc", "a failure is told by grpc-status, not by a page");
    if (!grpc_timeout(&x->request.fields, &asked))
        return;
    snprintf(line, sizeof line, "%llu ms, by grpc-timeout", (unsigned long long)asked);
    tell(out, "deadline", line);
}

/* What the route lets pass, or makes of it, beside plain requests. */
static void tell_kinds(struct answer_text *out, const struct plan *plan, const struct exchange *x,
                       const struct timeouts_config *timeouts)
{
    char line[80];
    snprintf(line, sizeof line, "passes, and ends after %llu ms without a byte",
             (unsigned long long)timeouts->tunnel_idle);
    tell(out, "websocket", plan->websocket ? line : "is not passed: an upgrade goes on as a plain request");
    if (plan->grpc_web)
        tell(out, "grpc_web", "goes to the pool as gRPC");
    tell_grpc(out, plan, x);
}

static void tell_plan(struct answer_text *out, const struct plan *plan, struct exchange *x,
                      const struct timeouts_config *timeouts)
{
    char line[1024];
    tell_filters(out, plan, x);
    if (plan->body_limit != 0) {
        snprintf(line, sizeof line, "%llu bytes", (unsigned long long)plan->body_limit);
        tell(out, "body_limit", line);
    }
    if (plan->action != NULL) {
        action_explain(plan->action, x, line, sizeof line);
        tell(out, "action", line);
        return;
    }
    snprintf(line, sizeof line, "response %u ms, idle %u ms, whole %u ms (0: no limit)",
             plan->response_timeout, plan->idle_timeout, plan->timeout);
    tell(out, "timeouts", line);
    if (plan->config->priority != PRIORITY_NORMAL)
        tell(out, "priority", plan->config->priority == PRIORITY_HIGH ? "high" : "low");
    tell_kinds(out, plan, x, timeouts);
    if (plan->mirror != NULL) {
        snprintf(line, sizeof line, "%llu%% of the requests to %s, answers are dropped",
                 (unsigned long long)plan->config->mirror->share, plan->mirror->name);
        tell(out, "mirror", line);
    }
    const struct hedge_config *hedge = plan->config->hedge;
    static const char *const lates[] = {"90", "95", "99"};
    if (hedge != NULL && hedge->after != 0)
        snprintf(line, sizeof line, "after %llu ms", (unsigned long long)hedge->after);
    else if (hedge != NULL)
        snprintf(line, sizeof line, "later than %s of 100 answers", lates[hedge->at]);
    if (hedge != NULL)
        tell(out, "hedge", line);
    const struct split_config *split = plan->config->split;
    if (split != NULL && split->cookie != NULL) {
        snprintf(line, sizeof line, "by the cookie %s", split->cookie->name);
        tell(out, "split", line);
    } else if (split != NULL) {
        snprintf(line, sizeof line, "by %s%s", split->key.items[0], split->key.count > 1 ? " and more" : "");
        tell(out, "split", line);
    }
    if (out->as_json) {
        json_key(&out->json, "pools");
        json_array(&out->json);
    }
    for (size_t i = 0; i < plan->pools_count; i++)
        tell_pool(out, plan, i, timeouts);
    if (out->as_json)
        json_end_array(&out->json);
}

static enum failure prepare(struct exchange *x, const struct question *question, const struct url *url,
                            const struct snapshot *snapshot)
{
    enum failure why = read_request(x, question, url, snapshot->config);
    if (why != FAILURE_NONE)
        return why;
    client_chain_find(x, snapshot);
    why = forwarded_strip(&x->request, x->arena);
    if (why != FAILURE_NONE)
        return why;
    return target_prepare(&x->target, x->request.line.request.authority, x->request.line.request.path,
                          x->request.line.request.query, x->arena);
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
    tell(out, "protocols", line);
    if ((bits & (PROTOCOL_H2 | PROTOCOL_H2C)) == 0)
        return;
    snprintf(
        line, sizeof line,
        "%llu streams a connection, heads of %llu bytes, windows of up to %llu a stream and %llu a connection",
        (unsigned long long)limits->streams, (unsigned long long)limits->header_list,
        (unsigned long long)limits->stream_window, (unsigned long long)limits->connection_window);
    tell(out, "http2", line);
}

static void tell_failure(struct answer_text *out, const struct exchange *x, enum failure why)
{
    const struct failure_info *info = &failure_info[why];
    char line[256];
    if (grpc_kind(&x->request.fields, NULL) == GRPC_PLAIN)
        snprintf(line, sizeof line, "200 with grpc-status %d, %s (%s)", (int)info->grpc, info->text,
                 info->word);
    else
        snprintf(line, sizeof line, "%u, %s (%s)", info->status, info->text, info->word);
    tell(out, "answer", line);
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
        struct span line;
        route = router_find(site->router, x, text).route;
        line = arena_print(x->arena, "%.*s: %s", (int)text.length, text.at,
                           route != NULL ? route->config->name : "no route");
        if (out->as_json)
            json_string(&out->json, line);
        else
            tell(out, "reading", line.at);
    }
    if (out->as_json)
        json_end_array(&out->json);
}

static bool explain_request(struct answer_text *out, const struct question *question, const struct url *url,
                            const struct snapshot *snapshot, struct exchange *x)
{
    char line[512];
    const struct site *site = choose_site(snapshot, question, url);
    if (site == NULL) {
        tell(out, "answer", "no listener has that name");
        return false;
    }
    x->tls = x->https = site->tls != NULL;
    snprintf(line, sizeof line, "%s%s", site->config->name, site->tls != NULL ? " (TLS)" : "");
    tell(out, "listener", line);
    tell_protocols(out, site);
    enum failure why = prepare(x, question, url, snapshot);
    if (why != FAILURE_NONE) {
        tell_failure(out, x, why);
        return false;
    }
    tell_readings(out, site, x);
    why = route_choose(site->router, x);
    const struct route *route = x->route;
    tell_skipped(out, site, x, route != NULL ? route->number : (uint32_t)site->plans_count);
    if (why != FAILURE_NONE) {
        tell_failure(out, x, why);
        return false;
    }
    tell(out, "route", route->config->name);
    tell_plan(out, &site->plans[route->number], x, &snapshot->config->timeouts);
    return true;
}

static bool explain(const struct question *question, const struct snapshot *snapshot)
{
    struct exchange x = {.arena = arena_new_malloc()};
    struct url url;
    struct answer_text out = {.text = text_growing(), .as_json = question->as_json};
    bool found = false;
    if (out.as_json) {
        json_begin(&out.json, &out.text);
        json_object(&out.json);
    }
    if (question->from != NULL && !ip_address_parse(&x.peer, span_of(question->from)))
        tell(&out, "answer", "--from is not an IP address");
    else if (!url_split(span_of(question->url), &url))
        tell(&out, "answer", "the URL is neither http nor https");
    else if (url.authority.length == 0)
        tell(&out, "answer", "the URL names no host; write it whole, such as http://example.com/");
    else
        found = explain_request(&out, question, &url, snapshot, &x);
    if (out.as_json)
        json_end_object(&out.json);
    printf("%s%s", out.text.at, out.as_json ? "\n" : "");
    text_free(&out.text);
    arena_free(x.arena);
    return found;
}

static int explain_file(const struct question *question)
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
    struct snapshot *snapshot = snapshot_new(config, shared, NULL, &error);
    if (snapshot == NULL) {
        fprintf(stderr, "weir explain: %s\n", error.text);
        config_free(config);
    } else {
        code = explain(question, snapshot) ? EXIT_OK : EXIT_FAILED;
        snapshot_free(snapshot);
    }
    shared_state_free(shared);
    return code;
}

int cli_explain(int argc, char **argv)
{
    static const struct option_row rows[] = {
        [ROW_CONFIG] = {"config", 'c', "FILE", CLI_CONFIG_TEXT},
        [ROW_FIELD] = {"header", 'H', "FIELD", "a field of the request, 'Name: value'; may be given again"},
        [ROW_FROM] = {"from", 'f', "IP", "the address that the request comes from (default 127.0.0.1)"},
        [ROW_LISTENER] = {"listener", 'l', "NAME",
                          "the listener (default: the one of the URL's scheme and port)"},
        [ROW_JSON] = {"json", 'j', NULL, "for programs"},
        {NULL, 0, NULL, NULL},
    };
    struct options options = {
        .command = "explain",
        .arguments = "[-c FILE] [-H 'Name: value'] [--from IP] METHOD URL",
        .summary =
            "Tells which listener, route, limits, filters and pool would serve a request, and why not the "
            "routes before it.",
        .rows = rows,
        .notes = "exit codes: 0 a route serves it, 1 none does or the file has errors, 2 wrong usage",
    };
    struct question question = {.path = CLI_DEFAULT_FILE, .from = "127.0.0.1"};
    const char *value;
    int row;
    options_begin(&options, argc, argv);
    while ((row = options_next(&options, &value)) >= 0) {
        if (row == ROW_CONFIG)
            question.path = value;
        else if (row == ROW_FIELD && question.fields_count < FIELDS_MOST)
            question.fields[question.fields_count++] = value;
        else if (row == ROW_FROM)
            question.from = value;
        else if (row == ROW_LISTENER)
            question.listener = value;
        question.as_json = question.as_json || row == ROW_JSON;
    }
    if (row == OPTIONS_END) {
        question.method = options_argument(&options);
        question.url = question.method != NULL ? options_argument(&options) : NULL;
        if (question.url == NULL)
            row =
                options_complain(&options, "a METHOD and a URL are needed, such as GET https://example.com/");
    }
    if (row != OPTIONS_END)
        return row == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;
    return explain_file(&question);
}
