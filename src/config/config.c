/*
 * The root of the file, and loading: the schema room turns text into structs, config_check.c finds what a
 * single key can't tell. Nothing here acts on what the file says.
 */
#include "config/config.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "config/config_schema.h"

static const char *const log_levels[] = {"debug", "info", "warn", "error", "off", NULL};
static const char *const log_formats[] = {"logfmt", "json", NULL};
static const char *const access_log_formats[] = {"json", "logfmt", NULL};
static const char *const log_targets[] = {"stdout", "stderr", NULL};

#define TIMEOUTS struct timeouts_config
static const struct schema_key timeouts_keys[] = {
    KEY_DURATION(TIMEOUTS, proxy_header, "5s", 10, MINUTES(10), "Longest time for a PROXY header."),
    KEY_DURATION(TIMEOUTS, request_head, "10s", 10, HOURS(1),
                 "Longest time for the head of a request, from its first byte or the accept."),
    KEY_DURATION(TIMEOUTS, keep_alive, "60s", 0, HOURS(24),
                 "How long a client connection may be idle between requests; 0s: one request each."),
    KEY_DURATION(TIMEOUTS, request_idle, "30s", 10, HOURS(24),
                 "Longest time between two pieces of a request body."),
    KEY_DURATION(
        TIMEOUTS, write, "30s", 10, HOURS(24),
        "How long a client may take less than limits.least_read_rate, or nothing, of what waits for it."),
    KEY_DURATION(
        TIMEOUTS, linger, "2s", 0, MINUTES(5),
        "How long a client that is answered before its request is whole, or whose connection ends with requests behind that are not answered, may be quiet, and still be read from, so that it sees what was sent; 15 times that in all."),
    KEY_DURATION(
        TIMEOUTS, response, "60s", 10, HOURS(24),
        "Longest time for a server to begin its answer, once it has the request, and to take more of it."),
    KEY_DURATION(TIMEOUTS, response_idle, "60s", 10, HOURS(24),
                 "Longest time between two pieces of a response body."),
    KEY_DURATION(TIMEOUTS, request, "none", 1, HOURS(168), "Longest time for a request and its response.",
                 .word = "none"),
    KEY_DURATION(TIMEOUTS, tunnel_idle, "1h", 10, HOURS(168),
                 "Longest time without a byte either way in a tunnel such as a WebSocket."),
    KEY_DURATION(
        TIMEOUTS, ping, "15s", 1, HOURS(1),
        "After this long without a byte from a server with requests in progress over HTTP/2, it is asked by PING; none: never.",
        .word = "none"),
    KEY_DURATION(TIMEOUTS, ping_answer, "5s", 10, HOURS(1),
                 "Longest time for the answer to a PING; then the connection is closed."),
    KEY_DURATION(TIMEOUTS, half_closed, "30s", 10, HOURS(168),
                 "Longest time for a tunnel of which one side has ended."),
    KEY_END};
const struct schema timeouts_schema = {.noun = "timeouts",
                                       .size = sizeof(TIMEOUTS),
                                       .bare = "write timeouts: { request: ... }",
                                       .keys = timeouts_keys,
                                       .text = "Every wait has an end."};

static const char *const no_limit[] = {"none", NULL}; /* HANDSHAKES_NONE, RELOAD_DRAIN_NONE */

#define LIMITS struct limits_config
static const struct schema_key limits_keys[] = {
    KEY_INT(
        LIMITS, connections, "10000", 1, 10000000,
        "Client connections open at once, all workers together; fewer where fewer fit into the limit of open files."),
    KEY_INT(
        LIMITS, handshakes, "auto", 1, 10000000,
        "Clients at once that have not finished their PROXY header or TLS handshake, all workers together; auto: "
        "half of connections. Past it the oldest goes.",
        .word = "auto", .words = no_limit),
    KEY_INT(LIMITS, handshakes_per_client, "auto", 1, 10000000,
            "The same of one client address, of IPv6 a /64; auto: a fifth of connections.", .word = "auto",
            .words = no_limit),
    KEY_SIZE(LIMITS, request_head, "16KiB", 1024, MEBIBYTES(1), "Largest head of a request; over it: 431."),
    KEY_SIZE(LIMITS, header_list, "64KiB", 1024, MEBIBYTES(1),
             "Largest head of a request over HTTP/2, where gRPC carries its metadata; over it: 431."),
    KEY_SIZE(LIMITS, request_line, "8KiB", 256, MEBIBYTES(1),
             "Longest request line, over HTTP/2 method and path as HTTP/1 would write them; over it: 414."),
    KEY_INT(LIMITS, fields, "100", 4, 10000, "Most headers of a request; over it: 431."),
    KEY_SIZE(LIMITS, response_head, "32KiB", 1024, MEBIBYTES(1), "Largest head of a response; over it: 502."),
    KEY_SIZE(LIMITS, body, "none", 1, INT64_MAX, "Largest request body; over it: 413.", .word = "none"),
    KEY_SIZE(LIMITS, least_body_rate, "240B", 1, GIBIBYTES(1),
             "Bytes a second that a request body must bring, averaged over timeouts.request_idle.",
             .word = "none"),
    KEY_SIZE(LIMITS, least_read_rate, "500B", 1, GIBIBYTES(1),
             "Bytes a second that a client must take of what waits for it, averaged over timeouts.write.",
             .word = "none"),
    KEY_INT(LIMITS, keep_alive_requests, "none", 1, 1000000000,
            "Requests on one client connection; over HTTP/2 it is drained with the last of them.",
            .word = "none"),
    KEY_SIZE(
        LIMITS, window, "32KiB", KIBIBYTES(16), MEBIBYTES(64),
        "Bytes on their way at once, each direction of a request; up to 128KiB while a worker holds little."),
    KEY_INT(LIMITS, streams, "100", 1, 10000, "Streams open at once on one HTTP/2 connection of a client."),
    KEY_SIZE(LIMITS, stream_window, "1MiB", KIBIBYTES(64), MEBIBYTES(64),
             "What the window of one HTTP/2 stream may grow to, by itself, from 64KiB."),
    KEY_SIZE(
        LIMITS, connection_window, "4MiB", KIBIBYTES(64), GIBIBYTES(1),
        "By how much the windows of all streams of one HTTP/2 connection may grow together, beyond the 64KiB that each begins with; half of it is what a peer may have on its way."),
    KEY_SIZE(
        LIMITS, memory, "auto", MEBIBYTES(1), GIBIBYTES(4096),
        "Memory in all; what the file itself needs is taken off, and the rest is what peers may make weir hold; auto: the lesser of three quarters of what the control group may have and half of what the process itself may have beside its threads' stacks, else 1GiB.",
        .word = "auto"),
    KEY_INT(LIMITS, interim_responses, "8", 0, 1000,
            "Interim responses (1xx) passed on before one response."),
    KEY_INT(
        LIMITS, old_configurations, "16", 1, 10000,
        "Older files in use at once, by tunnels and long requests, after reloads; past it the oldest ends."),
    KEY_BOOL(
        LIMITS, underscore_names, "false",
        "Keeps headers whose names have other characters than letters, digits and \"-\"; they are dropped otherwise."),
    KEY_BOOL(
        LIMITS, lower_case_methods, "false",
        "Lets methods pass that are known ones but for case, such as delete; they are refused otherwise."),
    KEY_END};
const struct schema limits_schema = {
    .noun = "limits", .size = sizeof(LIMITS), .keys = limits_keys, .text = "Every growth has a cap."};

#define LOG struct log_config
static const struct schema_key log_keys[] = {
    KEY_CHOICE(LOG, level, "info", log_levels, "Least serious level that is written."),
    KEY_CHOICE(LOG, format, "logfmt", log_formats, "How a line is written."),
    KEY_PATH(LOG, to, "stderr",
             "Where to: stderr, stdout, a file or unix:/path, as unix:/dev/log for syslog.",
             .choices = log_targets, .check = syntax_log_target),
    KEY_END};
const struct schema log_schema = {.noun = "log",
                                  .size = sizeof(LOG),
                                  .keys = log_keys,
                                  .shorthand = "to",
                                  .off = (const char *const[]){"level", "off", NULL},
                                  .text = "The log of the life of the process."};

#define ACCESS_LOG struct access_log_config
static const struct schema_key access_log_keys[] = {
    KEY_PATH(ACCESS_LOG, to, "stdout",
             "Where to: stdout, stderr, a file or unix:/path, as unix:/dev/log for syslog.",
             .choices = log_targets, .check = syntax_log_target),
    KEY_CHOICE(ACCESS_LOG, format, "json", access_log_formats, "How a line is written."), KEY_END};
const struct schema access_log_schema = {.noun = "access_log",
                                         .size = sizeof(ACCESS_LOG),
                                         .keys = access_log_keys,
                                         .shorthand = "to",
                                         .text = "The log of requests, one line each."};

#define DEFAULTS struct defaults_config
static const struct schema_key defaults_keys[] = {
    KEY_OPTIONAL(DEFAULTS, listener, struct listener_config, listener_schema,
                 "For every listener that does not say its own.", .flags = SCHEMA_PARTIAL | SCHEMA_SEEN),
    KEY_OPTIONAL(DEFAULTS, route, struct route_config, route_schema,
                 "For every route that does not say its own.", .flags = SCHEMA_PARTIAL | SCHEMA_SEEN),
    KEY_OPTIONAL(DEFAULTS, pool, struct pool_config, pool_schema, "For every pool that does not say its own.",
                 .flags = SCHEMA_PARTIAL | SCHEMA_SEEN),
    KEY_END};
static const struct schema defaults_schema = {
    .noun = "defaults",
    .size = sizeof(DEFAULTS),
    .keys = defaults_keys,
    .text = "Values for sections that do not say their own; a key replaces the default's whole."};

#define CONFIG struct config
static const struct schema_key config_keys[] = {
    /* First, so that what it gives is known when the sections it gives it to are read. */
    KEY_SECTION(CONFIG, defaults, DEFAULTS, defaults_schema, "Values for sections that do not say their own.",
                .flags = SCHEMA_MERGED),
    KEY_SECTIONS(CONFIG, listeners, struct listener_config, listener_schema,
                 "Addresses that weir accepts connections on.", .flags = SCHEMA_REQUIRED | SCHEMA_SINGLE,
                 .least = 1),
    KEY_SECTIONS(CONFIG, routes, struct route_config, route_schema,
                 "Which way a request goes; the first that matches serves it."),
    KEY_MAP(CONFIG, pools, struct pool_config, pool_schema, "Groups of servers, by name."),
    KEY_MAP(CONFIG, rate_limits, struct limiter_config, limiter_schema, "Rate limits, by name."),
    KEY_INT(CONFIG, workers, "auto", 1, 256,
            "Threads that serve; auto: one for each core that the process may use.", .word = "auto"),
    KEY_STRING(CONFIG, user, NULL, "User, or user:group, to become once all addresses are open.",
               .check = syntax_user),
    KEY_TEXTS(SCHEMA_STRING, CONFIG, trusted_proxies, NULL,
              "Networks whose forwarding headers are believed; unix: peers on unix sockets.",
              .check = syntax_proxy_network, .doubt = doubt_proxy_network),
    KEY_SECTION(CONFIG, forwarding, struct forwarding_config, forwarding_schema,
                "What servers are told of the client."),
    KEY_SECTION(CONFIG, timeouts, TIMEOUTS, timeouts_schema, "Longest waits."),
    KEY_SECTION(CONFIG, limits, LIMITS, limits_schema, "Caps on what peers can make grow."),
    KEY_SECTION(CONFIG, tls, struct tls_shared_config, tls_shared_schema,
                "TLS settings that all listeners share."),
    KEY_SECTION(CONFIG, log, LOG, log_schema, "The log of the life of the process."),
    KEY_OPTIONAL(CONFIG, access_log, ACCESS_LOG, access_log_schema, "The log of requests; false: none.",
                 .flags = SCHEMA_PRESENT),
    KEY_DURATION(CONFIG, drain_timeout, "30s", 0, HOURS(24),
                 "How long requests in progress may take to end when weir stops."),
    KEY_DURATION(CONFIG, drain_delay, "0s", 0, HOURS(1),
                 "How long weir serves on when it is told to stop, before drain_timeout begins."),
    KEY_DURATION(
        CONFIG, reload_drain, "none", 0, HOURS(24),
        "How long what runs under an older file may take to end after a reload; tunnels end spread over it.",
        .words = no_limit),
    {.name = "include",
     .type = SCHEMA_INCLUDE,
     .text = "Other files, merged: lists grow, sections are joined. Patterns such as conf.d/*.yaml."},
    KEY_END};
const struct schema config_schema = {
    .noun = "file", .size = sizeof(CONFIG), .keys = config_keys, .text = "The configuration of weir."};

/* What config.h shows, and what finds pools and limits by name. */
struct loaded {
    struct config config;
    struct config_written written;
    struct map *pools, *rate_limits;
};

static void names_map(struct loaded *loaded)
{
    struct config *config = &loaded->config;
    loaded->pools = map_new();
    for (size_t i = 0; i < config->pools_count; i++)
        map_set(loaded->pools, span_of(config->pools[i].name), &config->pools[i]);
    loaded->rate_limits = map_new();
    for (size_t i = 0; i < config->rate_limits_count; i++)
        map_set(loaded->rate_limits, span_of(config->rate_limits[i].name), &config->rate_limits[i]);
}

/* Once no place in the file is asked for any more. */
static void repeats_drop(struct pool_config *pool)
{
    size_t kept = 0;
    for (size_t i = 0; i < pool->servers_count; i++)
        if (!pool->servers[i].repeats)
            pool->servers[kept++] = pool->servers[i];
    pool->servers_count = kept;
}

static struct texts sources_of(const struct schema_document *document, struct arena *arena)
{
    struct texts sources = {.count = 0};
    while (schema_document_file(document, sources.count) != NULL)
        sources.count++;
    sources.items = arena_get_zeroed(arena, (sources.count + 1) * sizeof *sources.items);
    for (size_t i = 0; sources.items != NULL && i < sources.count; i++)
        sources.items[i] = arena_text(arena, schema_document_file(document, i));
    return sources;
}

static struct texts texts_copy(struct arena *arena, const struct texts *from)
{
    struct texts copy = {.count = from->count,
                         .items = arena_get(arena, (from->count + 1) * sizeof(*copy.items))};
    assert(copy.items != NULL);
    for (size_t i = 0; i < from->count; i++)
        copy.items[i] = arena_text(arena, from->items[i]);
    return copy;
}

static struct config *config_make(struct schema_document *document, const char *path,
                                  struct schema_report *report, const struct config_late *late)
{
    struct arena *arena = arena_new_malloc();
    struct loaded *loaded = arena_get_zeroed(arena, sizeof(*loaded));
    assert(loaded != NULL);
    struct config *made = schema_load(document, &config_schema, config_words, arena);
    made->arena = arena;
    made->path = arena_text(arena, path);
    made->sources = sources_of(document, arena);
    made->unjudged = texts_copy(arena, schema_document_unjudged(document));
    made->files_later = late != NULL && late->reads_files;
    config_check(made, document);
    /* What follows from an error is told once that is mended. */
    if (late != NULL && late->check != NULL && schema_report_errors(report) == 0)
        late->check(late->owner, made, document, report);
    bool keeps = late != NULL && late->keeps_written;
    for (size_t i = 0; !keeps && i < made->pools_count; i++)
        repeats_drop(&made->pools[i]);
    loaded->config = *made;
    if (keeps) {
        loaded->written = (struct config_written){made, document};
        loaded->config.written = &loaded->written;
    }
    if (schema_report_errors(report) != 0) {
        arena_free(arena);
        return NULL;
    }
    names_map(loaded);
    return &loaded->config;
}

struct config *config_load_checked(const struct config_source *source, struct schema_report *report,
                                   const struct config_late *late)
{
    struct schema_document *document = schema_document_new(report);
    struct config *config = NULL;
    if (config_text_only)
        schema_document_judge_text(document);
    if (source->text == NULL
            ? schema_document_read(document, source->path)
            : schema_document_read_text(document, source->path, source->text, source->length))
        config = config_make(document, source->path, report, late);
    if (config == NULL || config->written == NULL)
        schema_document_free(document);
    return config;
}

struct config *config_load(const char *path, struct schema_report *report)
{
    return config_load_checked(&(struct config_source){.path = path}, report, NULL);
}

struct config *config_load_text(const char *name, const char *text, size_t length,
                                struct schema_report *report)
{
    return config_load_checked(&(struct config_source){.path = name, .text = text, .length = length}, report,
                               NULL);
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    struct loaded *loaded = (struct loaded *)config;
    if (config->written != NULL)
        schema_document_free(config->written->document);
    map_free(loaded->pools);
    map_free(loaded->rate_limits);
    arena_free(config->arena);
}

const struct pool_config *config_pool(const struct config *config, const char *name)
{
    return map_get(((const struct loaded *)config)->pools, span_of(name));
}

const struct limiter_config *config_rate_limit(const struct config *config, const char *name)
{
    return map_get(((const struct loaded *)config)->rate_limits, span_of(name));
}
