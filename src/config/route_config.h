/* Routes: a match, filters and one action. The order in which keys act is that of filter/filter_kinds.c. */
#ifndef WEIR_CONFIG_ROUTE_CONFIG_H
#define WEIR_CONFIG_ROUTE_CONFIG_H

#include "config/cookie_config.h"
#include "config/limiter_config.h"
#include "config/values.h"

/* All that is given must hold; an empty match holds for everything. Lists may be written as a single value.
 */
struct match_config {
    /* exact "api.example.com" or "*.example.com" (any depth below); any of them; no port */
    struct texts host;
    /* "/v1/": that segment and below; "/x": exact; "~regex" (PCRE2, normalised path); any of them */
    struct texts path;
    struct texts methods;      /* any of them */
    struct name_values header; /* name: value ("*": present, "~regex", else equal); all of them */
    struct name_values query;  /* likewise */
    struct texts client;       /* addresses and CIDR networks; any of them */
    /* not a key: requests by this scheme pass the route over, since it redirects to nothing else; NULL: none
     */
    const char *unless_scheme;
};
/* Values are templates. Applied in this order: remove, set, add. */
struct headers_config {
    struct name_values set;
    struct name_values add;
    struct texts remove;
};
struct message_config {
    struct headers_config headers;
};
struct access_config {
    struct texts allow; /* networks; if not empty, all others are denied */
    struct texts deny;  /* looked at first */
    uint64_t status;    /* 403 */
};
/* What is sent to the server instead of the original path: one of path, strip_prefix (with or without
 * add_prefix), add_prefix, regex. */
struct rewrite_config {
    const char *path;         /* template for the whole path; the query stays */
    const char *strip_prefix; /* whole segments */
    const char *add_prefix;
    const char *regex; /* on the normalised path; `replacement` takes $0 to $9 */
    const char *replacement;
    const char *host; /* Host sent to the server; template */
};
/* How the servers of a route read paths that can be read in more than one way (protocol.md 4); ANY: not said,
 * so each way is tried. */
enum encoded_slash { ENCODED_SLASH_ANY, ENCODED_SLASH_AS_IS, ENCODED_SLASH_DECODED };
enum path_parameters { PATH_PARAMETERS_ANY, PATH_PARAMETERS_KEPT, PATH_PARAMETERS_IGNORED };
enum path_slashes { PATH_SLASHES_ANY, PATH_SLASHES_AS_IS, PATH_SLASHES_MERGED };
struct paths_config {
    enum encoded_slash encoded_slash; /* %2F, and with it every other escape */
    enum path_parameters parameters;  /* ";a=1" in a segment */
    enum path_slashes slashes;        /* "//" */
};
/* A location in parts: "https://" or "//" (empty: there is no host), host with port, and what stands behind.
 */
struct location_parts {
    struct span prefix, host, rest;
};
struct location_parts location_split(struct span text);
struct redirect_config {
    const char *to;     /* the whole Location, a template; scalar shorthand of redirect; alone with status */
    const char *scheme; /* NULL: as it is */
    const char *host;   /* template; NULL: as it is */
    const char *path;   /* template; NULL: path and query as they are */
    uint64_t port;      /* 0: none written */
    uint64_t status;    /* 308; one of 301 302 303 307 308 */
};
struct respond_config {
    uint64_t status;          /* 200; scalar shorthand of respond */
    const char *body;         /* template; "" */
    const char *file;         /* body read at load, at most 1 MiB; NULL: body */
    const char *content_type; /* text/plain; charset=utf-8 */
    struct name_values headers;
};
struct weighted_pool_config {
    const char *name; /* reference to pools; scalar shorthand */
    uint64_t weight;  /* 1 */
};
struct mirror_config {
    const char *pool;       /* reference to pools; scalar shorthand */
    uint64_t share;         /* percent of requests; 100% */
    uint64_t max_in_flight; /* copies at once, of one worker; 100 */
    uint64_t timeout;       /* ms; 10s: the whole of a copy and its answer */
};
enum hedge_at { HEDGE_P90, HEDGE_P95, HEDGE_P99 };
struct hedge_config {
    enum hedge_at at; /* p95; scalar shorthand */
    uint64_t after;   /* ms; 0: as `at` says */
    uint64_t budget;  /* percent of requests; 2% */
};
#define ROUTE_NONE UINT64_MAX /* no limit, whatever holds for the other routes */
struct route_config {
    const char *name;     /* default: "route N", counted from 1 */
    bool named;           /* not a key: the file gives the name */
    const char *listener; /* not a key: the address of the one whose own it is; NULL: of all without own */
    struct match_config match;
    struct access_config *access; /* allow and deny by address; NULL: none */
    struct texts rate_limit;      /* references to rate_limits; single or list */
    struct in_flight_config *in_flight;
    struct rewrite_config *rewrite;
    struct message_config request;
    struct message_config response;
    uint64_t body_limit;       /* bytes; 0: limits.body; ROUTE_NONE */
    struct texts upgrades;     /* protocols that may tunnel; "none" alone: no upgrade passes */
    bool no_upgrades;          /* not a key: so it is */
    enum priority priority;    /* normal; beside others that wait for a server of the same pool */
    bool grpc_web;             /* false: gRPC-Web goes on as it is; true: to the pool as gRPC */
    uint64_t timeout;          /* ms; the whole request; 0: timeouts.request; ROUTE_NONE */
    uint64_t response_timeout; /* ms; until the response head; 0: timeouts.response; ROUTE_NONE */
    uint64_t idle_timeout;     /* ms; between body bytes; 0: timeouts.response_idle; ROUTE_NONE */
    struct paths_config paths;
    /* exactly one action */
    size_t pool_count;
    struct weighted_pool_config *pool;
    struct split_config *split;   /* NULL: each request anew */
    struct mirror_config *mirror; /* NULL: no copies */
    struct hedge_config *hedge;   /* NULL: each request goes to one server at a time */
    struct redirect_config *redirect;
    struct respond_config *respond;
};

#endif
