/* Keys of a route: what it matches, what is done on the way, and its action. */
#include "config/route_config.h"

#include "config/config.h"
#include "config/config_schema.h"

static const char *const redirect_statuses[] = {"301", "302", "303", "307", "308", NULL};

static bool syntax_redirect_status(struct span value, struct error *error)
{
    for (size_t i = 0; redirect_statuses[i] != NULL; i++)
        if (span_is(value, redirect_statuses[i]))
            return true;
    return error_set(error, "\"%s\" is not a redirect; status takes 301, 302, 303, 307 or 308", value.at);
}

#define MATCH struct match_config
static const struct schema_key match_keys[] = {
    KEY_TEXTS(SCHEMA_STRING, MATCH, host, NULL,
              "Hosts, any of them: api.example.com, or *.example.com for all below.",
              .check = syntax_host_pattern, .least = 1, .flags = SCHEMA_CONDITION),
    KEY_TEXTS(
        SCHEMA_STRING, MATCH, path, NULL,
        "Paths, any of them: /v1/ for that segment and all below, /x for exactly that, ~REGEX for a regular "
        "expression.",
        .check = syntax_path_pattern, .doubt = doubt_path_pattern, .least = 1, .flags = SCHEMA_CONDITION),
    KEY_TEXTS(SCHEMA_STRING, MATCH, methods, NULL,
              "Methods, any of them, in capitals; those of requests are compared without case.",
              .check = syntax_method, .doubt = doubt_method, .least = 1, .flags = SCHEMA_CONDITION),
    KEY_PAIRS(SCHEMA_STRING, MATCH, header, "Headers, all of them: a value to equal, * for any, or ~REGEX.",
              .check_name = syntax_match_name, .check = syntax_field_pattern, .doubt = doubt_value_pattern,
              .flags = SCHEMA_CASELESS | SCHEMA_CONDITION),
    KEY_PAIRS(SCHEMA_STRING, MATCH, query,
              "Query parameters, all of them: a value to equal, * for any, or ~REGEX.",
              .check = syntax_value_pattern, .doubt = doubt_value_pattern,
              .flags = SCHEMA_LINES | SCHEMA_CONDITION, .doubt_name = doubt_query_name),
    KEY_TEXTS(SCHEMA_STRING, MATCH, client, NULL, "Addresses and networks of the client, any of them.",
              .check = syntax_network, .doubt = doubt_network, .least = 1, .flags = SCHEMA_CONDITION),
    KEY_END};
static const struct schema match_schema = {
    .noun = "match",
    .size = sizeof(MATCH),
    .bare = "write match: { host: ... } or match: { path: ... }",
    .keys = match_keys,
    .text = "What must hold for the route to serve a request; nothing given: everything."};

#define ACCESS struct access_config
static const struct schema_key access_keys[] = {
    KEY_TEXTS(SCHEMA_STRING, ACCESS, allow, NULL, "Networks that may; if there are any, all others may not.",
              .check = syntax_network_allowed, .doubt = doubt_network, .least = 1, .flags = SCHEMA_CONDITION,
              .empty = "remove the key to let everybody in, or write deny: [0.0.0.0/0, \"::/0\", unix]"),
    KEY_TEXTS(SCHEMA_STRING, ACCESS, deny, NULL, "Networks that may not; looked at first.",
              .check = syntax_network_denied, .doubt = doubt_network, .flags = SCHEMA_CONDITION),
    KEY_INT(ACCESS, status, "403", 400, 599, "Status of the answer to a refused request."), KEY_END};
static const struct schema access_schema = {.noun = "access",
                                            .size = sizeof(ACCESS),
                                            .bare = "write access: { allow: ... }",
                                            .keys = access_keys,
                                            .text = "Who may, by client address."};

#define HEADERS struct headers_config
/* Of a request and of a response, whose templates are filled when more is known. */
#define HEADERS_KEYS(check_)                                                                            \
    {                                                                                                   \
        KEY_PAIRS(SCHEMA_TEMPLATE, HEADERS, set, "Headers that are set, whatever was there.",           \
                  .check_name = syntax_set_name, .check = (check_),                                     \
                  .flags = SCHEMA_MAY_BE_EMPTY | SCHEMA_CASELESS),                                      \
            KEY_PAIRS(SCHEMA_TEMPLATE, HEADERS, add, "Headers that are added to those that are there.", \
                      .check_name = syntax_set_name, .check = (check_), .flags = SCHEMA_MAY_BE_EMPTY),  \
            KEY_TEXTS(SCHEMA_STRING, HEADERS, remove, NULL, "Headers that are removed.",                \
                      .check = syntax_set_name),                                                        \
            KEY_END                                                                                     \
    }
#define HEADERS_SCHEMA(keys_)                                                                        \
    {                                                                                                \
        .noun = "headers", .size = sizeof(HEADERS),                                                  \
        .strangers = "write headers: { set: { NAME: value } }, or add: or remove:", .keys = (keys_), \
        .text = "Edits of headers, in the order remove, set, add."                                   \
    }
static const struct schema_key request_headers_keys[] = HEADERS_KEYS(syntax_header);
static const struct schema_key response_headers_keys[] = HEADERS_KEYS(syntax_response_header);
static const struct schema request_headers_schema = HEADERS_SCHEMA(request_headers_keys);
static const struct schema response_headers_schema = HEADERS_SCHEMA(response_headers_keys);

#define MESSAGE struct message_config
#define MESSAGE_KEYS(headers_)                                                                            \
    {                                                                                                     \
        KEY_SECTION(                                                                                      \
            MESSAGE, headers, HEADERS, headers_,                                                          \
            "Edits of headers, in the order remove, set, add; those of defaults hold too, but for names " \
            "given here.",                                                                                \
            .flags = SCHEMA_ADDS_UP),                                                                     \
            KEY_END                                                                                       \
    }
static const struct schema_key request_keys[] = MESSAGE_KEYS(request_headers_schema);
static const struct schema_key response_keys[] = MESSAGE_KEYS(response_headers_schema);
static const struct schema request_schema = {.noun = "request",
                                             .size = sizeof(MESSAGE),
                                             .bare = "write headers: { set: { NAME: value } } in it",
                                             .keys = request_keys,
                                             .text = "What is changed in the request."};
static const struct schema response_schema = {.noun = "response",
                                              .size = sizeof(MESSAGE),
                                              .bare =
                                                  "write headers: { set: { NAME: value } } in it; a fixed "
                                                  "answer is respond: STATUS",
                                              .keys = response_keys,
                                              .text = "What is changed in the response."};

#define REWRITE struct rewrite_config
static const struct schema_key rewrite_keys[] = {
    KEY_TEMPLATE(REWRITE, path, NULL, "Path that takes the place of the whole path; the query stays.",
                 .check = syntax_rewrite_path, .doubt = doubt_new_path),
    KEY_STRING(REWRITE, strip_prefix, NULL, "Whole segments taken off the front of the path.",
               .check = syntax_prefix, .doubt = doubt_prefix),
    KEY_STRING(REWRITE, add_prefix, NULL, "Segments put before the path.", .check = syntax_prefix,
               .doubt = doubt_prefix),
    KEY_STRING(REWRITE, regex, NULL, "Regular expression that is searched in the path, with replacement.",
               .check = syntax_search),
    KEY_STRING(
        REWRITE, replacement, NULL,
        "What takes the place of what regex found; $0 to $9 are its groups, and $$ is one dollar sign.",
        .flags = SCHEMA_MAY_BE_EMPTY),
    KEY_TEMPLATE(REWRITE, host, NULL, "Host that the server is sent.", .check = syntax_rewrite_host),
    KEY_END};
static const struct schema rewrite_schema = {
    .noun = "rewrite",
    .size = sizeof(REWRITE),
    .bare = "write rewrite: { path: ... }, { strip_prefix: ... } or { regex: ..., replacement: ... }",
    .keys = rewrite_keys,
    .text = "What the server is sent instead of the path and host that came."};

#define REDIRECT struct redirect_config
static const struct schema_key redirect_keys[] = {
    KEY_TEMPLATE(REDIRECT, to, NULL, "The whole location; only status may stand beside it.",
                 .check = syntax_location, .doubt = doubt_location),
    KEY_STRING(REDIRECT, scheme, NULL, "Scheme of the location, http or https; by default as it came.",
               .check = syntax_scheme, .flags = SCHEMA_TOLD),
    KEY_TEMPLATE(REDIRECT, host, NULL, "Host of the location; by default as it came.",
                 .check = syntax_redirect_host, .flags = SCHEMA_TOLD),
    KEY_TEMPLATE(REDIRECT, path, NULL, "Path and query of the location; by default as they came.",
                 .check = syntax_redirect_path, .doubt = doubt_redirect_path, .flags = SCHEMA_TOLD),
    KEY_INT(REDIRECT, port, NULL, 1, 65535, "Port of the location; by default none is written.",
            .flags = SCHEMA_TOLD),
    KEY_INT(REDIRECT, status, "308", 301, 308, "Status of the answer: 301, 302, 303, 307 or 308.",
            .check = syntax_redirect_status),
    KEY_END};
static const struct schema redirect_schema = {.noun = "redirect",
                                              .size = sizeof(REDIRECT),
                                              .keys = redirect_keys,
                                              .shorthand = "to",
                                              .text = "An answer that sends the client elsewhere."};

#define RESPOND struct respond_config
static const struct schema_key respond_keys[] = {
    KEY_INT(RESPOND, status, "200", 200, 599, "Status of the answer."),
    KEY_TEMPLATE(RESPOND, body, "", "Body of the answer.", .check = syntax_body, .doubt = doubt_body,
                 .flags = SCHEMA_LINES | SCHEMA_MAY_BE_EMPTY),
    KEY_PATH(RESPOND, file, NULL, "File with the body, read when the file is loaded; at most 1 MiB.",
             .check = syntax_environment),
    KEY_STRING(RESPOND, content_type, "text/plain; charset=utf-8", "Type of the body.",
               .check = syntax_media_type),
    KEY_PAIRS(SCHEMA_TEMPLATE, RESPOND, headers, "Headers of the answer.", .check_name = syntax_set_name,
              .check = syntax_header, .flags = SCHEMA_MAY_BE_EMPTY | SCHEMA_CASELESS),
    KEY_END};
static const struct schema respond_schema = {
    .noun = "respond",
    .size = sizeof(RESPOND),
    .keys = respond_keys,
    .shorthand = "status",
    .bare = "a bare value is the status; a text is written respond: { body: ... }",
    .text = "A fixed answer."};

#define WEIGHTED struct weighted_pool_config
static const struct schema_key weighted_keys[] = {
    KEY_REFERENCE(WEIGHTED, name, "pools", "Name of the pool.", .flags = SCHEMA_REQUIRED),
    KEY_INT(WEIGHTED, weight, "1", 0, 1000000, "Share of requests beside the other pools."), KEY_END};
static const struct schema weighted_schema = {
    .noun = "pool",
    .size = sizeof(WEIGHTED),
    .keys = weighted_keys,
    .shorthand = "name",
    .strangers = "write a list: pool: [ { name: a, weight: 90 }, { name: b, weight: 10 } ]",
    .text = "A pool and its share of the requests."};

static const char *const none[] = {"none", NULL}; /* ROUTE_NONE */
_Static_assert(ROUTE_NONE == SCHEMA_WORD(0), "in the order of none[]");
static const char *const priorities[] = {"high", "normal", "low", NULL}; /* enum priority */
static const char *const percentiles[] = {"p90", "p95", "p99", NULL};    /* enum hedge_at */

#define HEDGE struct hedge_config
static const struct schema_key hedge_keys[] = {
    KEY_CHOICE(HEDGE, at, "p95", percentiles,
               "Share of the pool's answers that come sooner than what is late."),
    KEY_DURATION(HEDGE, after, NULL, 1, MINUTES(10),
                 "The same as a time; by default as at says, and at least 2 ms.", .flags = SCHEMA_TOLD),
    KEY_PERCENT(HEDGE, budget, "2%", 0, 5, "Hedges as a share of the requests that may be hedged."), KEY_END};
static const struct schema hedge_schema = {
    .noun = "hedge",
    .size = sizeof(HEDGE),
    .keys = hedge_keys,
    .shorthand = "at",
    .bare = "a bare value is a percentile; a time is written hedge: { after: ... }",
    .text = "Sends a request whose answer is late to a second server too."};

#define MIRROR struct mirror_config
static const struct schema_key mirror_keys[] = {
    KEY_REFERENCE(MIRROR, pool, "pools", "Pool that gets the copies.", .flags = SCHEMA_REQUIRED),
    KEY_PERCENT(MIRROR, share, "100%", 0, 100, "Share of the requests that are copied."),
    KEY_INT(MIRROR, max_in_flight, "100", 1, 100000,
            "Copies on their way at once, of one worker; what comes then is not copied."),
    KEY_DURATION(MIRROR, timeout, "10s", 1, HOURS(1), "Longest time for a copy and its whole answer."),
    KEY_END};
static const struct schema mirror_schema = {
    .noun = "mirror",
    .size = sizeof(MIRROR),
    .keys = mirror_keys,
    .shorthand = "pool",
    .text = "Sends copies of requests to a shadow pool and drops its answers."};

static const char *const encoded_slashes[] = {"any", "as_is", "decoded", NULL}; /* enum encoded_slash */
static const char *const path_parameters[] = {"any", "kept", "ignored", NULL};  /* enum path_parameters */
static const char *const path_slashes[] = {"any", "as_is", "merged", NULL};     /* enum path_slashes */

#define PATHS struct paths_config
static const struct schema_key paths_keys[] = {
    KEY_CHOICE(PATHS, encoded_slash, "any", encoded_slashes,
               "Whether they take %2F for a slash; any: it is not known, and both ways are tried."),
    KEY_CHOICE(PATHS, parameters, "any", path_parameters,
               "Whether they leave out ;parameters of segments; any: both ways are tried."),
    KEY_CHOICE(PATHS, slashes, "any", path_slashes,
               "Whether they take // for one slash; any: both ways are tried."),
    KEY_END};
static const struct schema paths_schema = {
    .noun = "paths",
    .size = sizeof(PATHS),
    .keys = paths_keys,
    .text = "How the servers of the route read paths that can be read in more than one way."};

#define ROUTE struct route_config
static const struct schema_key route_keys[] = {
    KEY_STRING(ROUTE, name, NULL, "Name in logs; by default \"route N\", counted from 1.",
               .flags = SCHEMA_OWN | SCHEMA_TOLD, .check = syntax_name),
    KEY_SECTION(ROUTE, match, MATCH, match_schema, "What must hold; without it everything matches.",
                .flags = SCHEMA_OWN),
    KEY_OPTIONAL(ROUTE, access, ACCESS, access_schema, "Who may, by client address."),
    KEY_TEXTS(SCHEMA_REFERENCE, ROUTE, rate_limit, NULL,
              "Names of rate limits that all must let the request through.", .refers = "rate_limits",
              .most = 8),
    KEY_OPTIONAL(ROUTE, in_flight, struct in_flight_config, in_flight_schema,
                 "Limit of requests in progress."),
    KEY_OPTIONAL(ROUTE, rewrite, REWRITE, rewrite_schema,
                 "What the server is sent instead of the path and host that came."),
    KEY_SECTION(ROUTE, request, MESSAGE, request_schema, "What is changed in the request."),
    KEY_SECTION(ROUTE, response, MESSAGE, response_schema, "What is changed in the response."),
    KEY_SIZE(ROUTE, body_limit, NULL, 1, INT64_MAX, "Largest request body; by default as limits.body says.",
             .words = none, .flags = SCHEMA_TOLD),
    KEY_TEXTS(
        SCHEMA_STRING, ROUTE, upgrades, "[websocket]",
        "Protocols that a request may upgrade to and tunnel: websocket, tcp, \"SPDY/3.1\"; none: not any.",
        .check = syntax_upgrade, .doubt = doubt_upgrade, .least = 1, .most = 16),
    KEY_CHOICE(ROUTE, priority, "normal", priorities,
               "Who is served first, and shed last, of those that wait for a server."),
    KEY_BOOL(ROUTE, grpc_web, "false", "Translates gRPC-Web, which browsers speak, to gRPC."),
    KEY_DURATION(ROUTE, timeout, NULL, 1, HOURS(24),
                 "Longest time for the whole request; by default as timeouts.request says.", .words = none,
                 .flags = SCHEMA_TOLD),
    KEY_DURATION(
        ROUTE, response_timeout, NULL, 1, HOURS(24),
        "Longest time until the head of the response, or the next interim one; by default as timeouts.response says.",
        .words = none, .flags = SCHEMA_TOLD),
    KEY_DURATION(ROUTE, idle_timeout, NULL, 1, HOURS(24),
                 "Longest time between two pieces of the body; by default as timeouts.response_idle says.",
                 .words = none, .flags = SCHEMA_TOLD),
    KEY_SECTION(ROUTE, paths, PATHS, paths_schema,
                "How the servers of the route read paths that can be read in more than one way."),
    KEY_SECTIONS(ROUTE, pool, WEIGHTED, weighted_schema,
                 "Action: the pool that serves the request, or several with weights.",
                 .flags = SCHEMA_SINGLE | SCHEMA_OWN, .least = 1),
    KEY_OPTIONAL(ROUTE, split, struct split_config, split_schema,
                 "Keeps a client at one of several pools, by a key of the request or by a cookie."),
    KEY_OPTIONAL(ROUTE, mirror, MIRROR, mirror_schema,
                 "Sends copies of requests to a shadow pool and drops its answers."),
    KEY_OPTIONAL(ROUTE, hedge, HEDGE, hedge_schema,
                 "Sends a request whose answer is late to a second server too."),
    KEY_OPTIONAL(ROUTE, redirect, REDIRECT, redirect_schema, "Action: the client is sent elsewhere.",
                 .flags = SCHEMA_OWN),
    KEY_OPTIONAL(ROUTE, respond, RESPOND, respond_schema, "Action: a fixed answer.", .flags = SCHEMA_OWN),
    KEY_END};
const struct schema route_schema = {.noun = "route",
                                    .size = sizeof(ROUTE),
                                    .keys = route_keys,
                                    .text = "A match, what is done on the way, and one action."};
