/* What the file says: plain structs without behaviour that every room above may read. */
#ifndef WEIR_CONFIG_CONFIG_H
#define WEIR_CONFIG_CONFIG_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/log.h"
#include "config/forwarding_config.h"
#include "config/limiter_config.h"
#include "config/listener_config.h"
#include "config/pool_config.h"
#include "config/route_config.h"
#include "config/tls_config.h"
#include "config/values.h"

/* All in ms. Of the client side unless said otherwise (protocol.md 34). */
struct timeouts_config {
    uint64_t proxy_header; /* 5s: PROXY preface */
    uint64_t request_head; /* 10s: from the first byte of a request (or the accept) to the end of its head */
    uint64_t keep_alive;   /* 60s: idle between requests */
    uint64_t request_idle; /* 30s: between two pieces of a request body */
    uint64_t write;        /* 30s: a client that takes no byte of what waits for it */
    uint64_t linger;   /* 2s: silence of a client that is answered early and is to see it; HTTP_LINGERS times
                          that in all */
    uint64_t response; /* 60s: server, from the request sent to its response head */
    uint64_t response_idle; /* 60s: server, between two pieces of a response body */
    uint64_t request;       /* 0: none; the whole exchange */
    uint64_t tunnel_idle;   /* 1h: no byte either way */
    uint64_t ping;          /* 15s: HTTP/2 server that says nothing while it has requests; 0: never asked */
    uint64_t ping_answer;   /* 5s */
    uint64_t half_closed;   /* 30s: a tunnel with one side ended */
};
#define LIMITS_AUTO 0
#define HANDSHAKES_AUTO 0
#define HANDSHAKES_NONE UINT64_MAX
struct limits_config {
    uint64_t connections;           /* 10000; all workers */
    uint64_t handshakes;            /* auto: half of connections */
    uint64_t handshakes_per_client; /* auto: a fifth of connections; HANDSHAKES_NONE */
    uint64_t request_head;          /* bytes; 16KiB: request line and fields; over: 431 */
    uint64_t header_list;           /* bytes; 64KiB: fields of a request over HTTP/2; over: 431 */
    uint64_t request_line;          /* bytes; 8KiB; over: 414 */
    uint64_t fields;                /* 100; over: 431 */
    uint64_t response_head;         /* bytes; 32KiB */
    uint64_t body;                  /* bytes of a request body; 0: no limit */
    uint64_t least_body_rate;       /* bytes a second, averaged over request_idle; 240B; 0: off */
    uint64_t least_read_rate;       /* bytes a second, averaged over timeouts.write; 500B; 0: none */
    uint64_t keep_alive_requests;   /* per client connection; 0: no end */
    uint64_t window;                /* bytes on their way, each direction of an exchange; 32KiB */
    uint64_t streams;               /* 100; open at once on one HTTP/2 connection */
    uint64_t stream_window;         /* bytes; 1MiB: what the window of one HTTP/2 stream may grow to */
    /* bytes; 4MiB: received and not yet passed on, all streams of one HTTP/2 connection */
    uint64_t connection_window;
    uint64_t memory;             /* bytes in all; LIMITS_AUTO: control/memory_limit.c finds it */
    uint64_t interim_responses;  /* 1xx relayed per response; 8 */
    uint64_t old_configurations; /* in use besides the current one; 16 */
    bool
        /* false: fields whose names have other characters than letters, digits and '-' are dropped */
        underscore_names;
    bool lower_case_methods; /* false: "delete" is refused, since some servers take it for DELETE */
};
struct log_config {
    enum log_level level;   /* info */
    enum log_format format; /* logfmt */
    const char *to;         /* stderr, stdout or a file */
};
enum access_log_format { ACCESS_LOG_JSON, ACCESS_LOG_LOGFMT };
struct access_log_config {
    const char *to;                /* stdout */
    enum access_log_format format; /* json */
};
/* Values for sections that do not say their own; the loader applies them, so nobody else needs to look here.
 */
struct defaults_config {
    struct listener_config *listener;
    struct route_config *route;
    struct pool_config *pool;
};
#define RELOAD_DRAIN_NONE UINT64_MAX
struct config {
    size_t listeners_count;
    struct listener_config *listeners;
    size_t routes_count;
    struct route_config *routes;
    size_t pools_count;
    struct pool_config *pools; /* map by name, in the order of the file */
    size_t rate_limits_count;
    struct limiter_config *rate_limits; /* map by name */
    int64_t workers;                    /* `auto` (0): the cores that this process may use; 1..256 */
    const char *user;                   /* user or user:group to become after binding; NULL: stay */
    struct texts trusted_proxies;       /* networks; `unix` for peers on unix sockets */
    struct forwarding_config forwarding;
    struct timeouts_config timeouts;
    struct limits_config limits;
    struct tls_shared_config tls;
    struct log_config log;
    struct access_log_config *access_log; /* NULL: `access_log: false` */
    uint64_t drain_timeout;               /* ms; 30s */
    uint64_t drain_delay;                 /* ms; 0s */
    uint64_t reload_drain;                /* ms; RELOAD_DRAIN_NONE */
    struct defaults_config defaults;
    /* not keys: */
    struct arena *arena;            /* owns every text and array here */
    const char *path;               /* of the main file */
    struct texts sources;           /* files that were read: the main one and those that it includes */
    struct texts unjudged;          /* variables that are not set, where the text alone is judged */
    bool files_later;               /* those of TLS are left to the late check, which reads them */
    struct config_written *written; /* where the load was to keep it; else NULL */
};
/* The root as it was loaded, whose fields have their places in the document. */
struct config_written {
    struct config *root;
    struct schema_document *document;
};

struct schema_document;
struct schema_report;
struct schema;
/*
 * Checks of values that only rooms above can make, set once at start before the first load; NULL: not
 * checked. Each returns false with a sentence in `error`.
 */
struct config_hooks {
    bool (*regex)(const char *pattern, struct error *error);
    unsigned (*groups)(const char *pattern); /* of a pattern that `regex` has taken */
    /* of one that is taken: whether nothing is to be said against it */
    bool (*regex_sound)(const char *pattern, struct error *error);
    bool (*ciphers)(const char *ciphers, bool of_1_3, struct error *error);
    /* by[i]: the place of a route that takes all that the i-th does and stands before it, or SIZE_MAX */
    void (*shadowed)(const struct route_config *const *routes, size_t count, size_t *by);
    bool (*template)(const char *text, struct error *error);
    bool (*template_early)(const char *text, struct error *error); /* of one filled before the response */
    bool (*path)(const char *pattern, struct error *error);
    bool (*certificate)(const struct certificate_config *certificate, struct error *error);
};
extern struct config_hooks config_hooks;
/* True: the text alone is judged, and files that it names are not looked at: they are on another machine.
 * Those of `include` are part of the text. Set before a load. */
extern bool config_text_only;
extern const struct schema config_schema; /* the root: for dumps, JSON Schema and the list of keys */
/*
 * Reads, validates and cross-checks the file ("-": standard input). All problems go to `report` (schema
 * room); NULL when there was an error. The caller frees with config_free(). Any thread; reads the
 * environment.
 */
struct config *config_load(const char *path, struct schema_report *report) MUST_CHECK;
/* The same from memory; `name` stands for the file in messages, its folder for relative paths. */
struct config *config_load_text(const char *name, const char *text, size_t length,
                                struct schema_report *report) MUST_CHECK;
/* The same, with a check by rooms above of what is good so far, while places in the file are known. */
struct config_source {
    const char *path; /* with text: the name */
    const char *text; /* NULL: read from path */
    size_t length;
};
struct config_late {
    /* NULL: none */
    void (*check)(void *owner, const struct config *config, const struct schema_document *document,
                  struct schema_report *report);
    void *owner;
    bool reads_files;   /* of TLS; thousands are not read twice */
    bool keeps_written; /* for whoever compares; servers that are listed twice stay so */
};
struct config *config_load_checked(const struct config_source *source, struct schema_report *report,
                                   const struct config_late *late) MUST_CHECK;
void config_free(struct config *config); /* NULL allowed */
/* The pool or limiter of that name; the check made sure that references exist. */
const struct pool_config *config_pool(const struct config *config, const char *name);
const struct limiter_config *config_rate_limit(const struct config *config, const char *name);
/* Bytes that the keys of its rate limits and limits in flight come to once all are in use. */
uint64_t config_keys_size(const struct config *config);

#endif
