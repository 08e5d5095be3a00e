/* Keys of pools, their servers, health checks, queues and retries. */
#include "config/pool_config.h"

#include "config/config_schema.h"

static const char *const balances[] = {"adaptive", "least_conn", "round_robin", "random",
                                       "first",    "hash",       NULL};
static const char *const protocols[] = {"http/1.1", "h2", "h2c", "auto", NULL};
static const char *const disciplines[] = {"adaptive", "codel", "fifo", NULL};
static const char *const automatic[] = {"auto", NULL}; /* SLOW_START_AUTO */
static const char *const backups[] = {"false", "true", "standby", NULL};
static const char *const limits[] = {"auto", "none", NULL}; /* CONNECTIONS_AUTO, CONNECTIONS_NONE */
static const char *const probes[] = {"http", "https", "tcp", "grpc", NULL};

#define SERVER struct server_config
static const struct schema_key server_keys[] = {
    KEY_STRING(SERVER, address, NULL, "Address of the server: ip:port, name:port or unix:/path.",
               .flags = SCHEMA_REQUIRED, .check = syntax_server_address),
    KEY_STRING(SERVER, name, NULL,
               "Name in logs, cookies and hashes, of one server of the pool alone; by default the address.",
               .flags = SCHEMA_TOLD),
    KEY_INT(SERVER, weight, "1", 0, WEIGHT_MOST,
            "Share of requests beside the other servers; 0: no new ones."),
    KEY_CHOICE(
        SERVER, backup, "false", backups,
        "true: used while under 1/1.4 of the weight of the others is up, for what they lack, and alone when none is; "
        "standby: one at a time, when all others are down."),
    KEY_INT(SERVER, max_connections, NULL, 1, 1000000, "Requests at once; by default as the pool says.",
            .words = limits, .flags = SCHEMA_TOLD),
    KEY_STRING(SERVER, zone, NULL, "Where the server stands; compared with the pool's zone.",
               .check = syntax_zone),
    KEY_END};
const struct schema server_schema = {
    .noun = "server",
    .size = sizeof(SERVER),
    .keys = server_keys,
    .shorthand = "address",
    .strangers = "write a list: servers: [ \"10.0.0.1:8080\", { address: \"10.0.0.2:8080\", weight: 2 } ]",
    .text = "A member of a pool."};

#define HEALTH struct health_config
static const struct schema_key health_keys[] = {
    KEY_CHOICE(
        HEALTH, type, "http", probes,
        "What a probe is: a request, a request over TLS, a connection, or gRPC's health check; https by default when the "
        "pool has tls."),
    KEY_STRING(HEALTH, path, "/", "Path that a probe asks for.", .check = syntax_path,
               .doubt = doubt_probe_path),
    KEY_STRING(HEALTH, method, "GET", "Method of a probe.", .check = syntax_probe_method,
               .doubt = doubt_method),
    KEY_STRING(HEALTH, host, NULL, "Host that a probe names; by default the server's address.",
               .check = syntax_probe_host, .flags = SCHEMA_TOLD),
    KEY_TEXTS(SCHEMA_STRING, HEALTH, expect_status, "[2xx, 3xx]",
              "Statuses of a server that is well: 200, 2xx or 200-399.", .check = syntax_expected_status,
              .least = 1),
    KEY_STRING(HEALTH, expect_body, NULL, "Text that must stand in the first 64 KiB of the answer.",
               .flags = SCHEMA_LINES, .check = syntax_expected_body),
    KEY_STRING(HEALTH, service, "", "Service that a grpc probe asks about; empty: the server as a whole.",
               .check = syntax_grpc_service, .flags = SCHEMA_MAY_BE_EMPTY),
    KEY_DURATION(HEALTH, interval, "2s", 10, HOURS(24), "Time between two probes of one server."),
    KEY_DURATION(HEALTH, fast_interval, "500ms", 10, HOURS(24),
                 "The same while a server is changing its state."),
    KEY_DURATION(HEALTH, timeout, "1s", 10, HOURS(1),
                 "Longest time for a probe; never longer than interval."),
    KEY_INT(HEALTH, port, NULL, 1, 65535, "Port of the probes; by default the server's own.",
            .flags = SCHEMA_TOLD),
    KEY_INT(HEALTH, rise, "2", 1, 1000, "Good probes in a row that bring a server back."),
    KEY_INT(HEALTH, fall, "3", 1, 1000, "Failed probes in a row that take a server out."),
    KEY_PERCENT(HEALTH, jitter, "15%", 0, 100,
                "Random part of the interval, so that probes do not come together."),
    KEY_BOOL(
        HEALTH, trust_traffic, "true",
        "Good answers to requests spare probes, and outweigh failed ones unless the server itself says that it is out of service."),
    KEY_END};
static const struct schema health_schema = {.noun = "health",
                                            .size = sizeof(HEALTH),
                                            .bare = "write health: { path: ... }",
                                            .keys = health_keys,
                                            .text = "Active health checks of a pool."};

#define QUEUE struct queue_config
static const struct schema_key queue_keys[] = {
    KEY_INT(QUEUE, size, "10000", 0, 1000000,
            "Requests that may wait for a server of the pool, all workers together."),
    KEY_DURATION(QUEUE, max_wait, "3s", 0, MINUTES(10), "Longest wait; then the answer is 503."),
    KEY_CHOICE(
        QUEUE, discipline, "adaptive", disciplines,
        "Who is served next once requests have waited for 100 ms without a break: the newest, the oldest of those "
        "within target, or the oldest."),
    KEY_DURATION(QUEUE, target, "5ms", 1, MINUTES(10), "Longest wait then, of codel."), KEY_END};
static const struct schema queue_schema = {
    .noun = "queue",
    .size = sizeof(QUEUE),
    .bare = "write queue: { size: ... }",
    .off = (const char *const[]){"size", "0", NULL},
    .keys = queue_keys,
    .text = "Where requests wait while all servers are at max_connections."};
_Static_assert(CONNECTIONS_AUTO == SCHEMA_WORD(0) && CONNECTIONS_NONE == SCHEMA_WORD(1) &&
                   SLOW_START_AUTO == SCHEMA_WORD(0),
               "in the order of limits[] and automatic[]");

#define RETRY struct retry_config
static const struct schema_key retry_keys[] = {
    KEY_INT(RETRY, attempts, "1", 0, 3, "Attempts after the first, beside those of which nothing was sent."),
    KEY_TEXTS(
        SCHEMA_STRING, RETRY, on, "[never_sent, sent_no_reply, 500, 502, 503, 504]",
        "What is tried again: never_sent, and of idempotent methods sent_no_reply and statuses such as 503.",
        .check = syntax_retry_class),
    KEY_PERCENT(RETRY, budget, "20%", 0, 100,
                "Retries as a share of requests; over it nothing is tried again of which a byte was sent."),
    KEY_SIZE(RETRY, buffer, "64KiB", 0, MEBIBYTES(64),
             "Bytes of a request body that are kept for another attempt."),
    KEY_DURATION(RETRY, try_timeout, "none", 1, HOURS(1),
                 "Longest time for one attempt until the head of its answer; none: none of its own.",
                 .word = "none"),
    KEY_END};
static const struct schema retry_schema = {.noun = "retry",
                                           .size = sizeof(RETRY),
                                           .bare = "write retry: { attempts: ... }",
                                           .off = (const char *const[]){"attempts", "0", NULL},
                                           .keys = retry_keys,
                                           .text = "When a request is sent again."};

#define OUTLIER struct outlier_config
static const struct schema_key outlier_keys[] = {
    KEY_INT(OUTLIER, errors, "5", 1, 1000000, "Errors in a row that eject a server; none: no number does.",
            .word = "none"),
    KEY_DURATION(OUTLIER, time, "5s", 0, HOURS(24),
                 "How long, times the ejections not yet forgiven, up to six; 0s: nobody is ejected."),
    KEY_PERCENT(OUTLIER, most, "50%", 0, 100, "Most of the pool's weight that may be out at once."),
    KEY_INT(OUTLIER, clients, "2", 1, OUTLIER_CLIENTS_MOST,
            "Clients that must have had errors by turns; 1: those of one client alone are enough."),
    KEY_END};
static const struct schema outlier_schema = {.noun = "outlier",
                                             .size = sizeof(OUTLIER),
                                             .bare = "write outlier: { errors: ... }",
                                             .keys = outlier_keys,
                                             .text = "When a server is left out because its traffic fails."};

#define HASH struct hash_config
static const struct schema_key hash_keys[] = {
    KEY_TEXTS(
        SCHEMA_STRING, HASH, key, "[client.ip]",
        "What requests to one server have in common: client.ip, host, path, method, header:NAME, cookie:NAME, "
        "query:NAME.",
        .check = syntax_key_part, .least = 1),
    KEY_INT(HASH, ipv6_prefix, "64", 1, 128, "Bits of an IPv6 client address that count as one client."),
    KEY_PERCENT(
        HASH, bounded_load, "125%", 101, 1000,
        "Most requests in flight at one server, of its share of all among the servers that are up; more go elsewhere.",
        .word = "none"),
    KEY_END};
static const struct schema hash_schema = {.noun = "hash",
                                          .size = sizeof(HASH),
                                          .keys = hash_keys,
                                          .shorthand = "key",
                                          .text = "How balance: hash finds a server."};

#define POOL struct pool_config
static const struct schema_key pool_keys[] = {
    KEY_SECTIONS(POOL, servers, SERVER, server_schema, "The servers; an address alone will do.",
                 .flags = SCHEMA_REQUIRED | SCHEMA_SINGLE | SCHEMA_OWN, .least = 1),
    KEY_CHOICE(POOL, balance, "adaptive", balances, "How requests are spread over the servers."),
    KEY_OPTIONAL(POOL, outlier, OUTLIER, outlier_schema,
                 "When a server is left out because its traffic fails; false: never.",
                 .flags = SCHEMA_PRESENT),
    KEY_SECTION(POOL, hash, HASH, hash_schema, "How balance: hash finds a server."),
    KEY_OPTIONAL(POOL, sticky, struct sticky_config, sticky_schema,
                 "Sends a client's requests to the server that had its first, by a signed cookie."),
    KEY_OPTIONAL(POOL, subset, struct subset_config, subset_schema,
                 "Lets this weir use a part of the servers, where many weirs stand in front of a huge pool."),
    KEY_INT(POOL, choices, "2", 1, 32, "Servers that balance: random draws, to take the best."),
    KEY_STRING(
        POOL, zone, NULL,
        "Where this weir stands: servers of other zones cost adaptive and least_conn 1.3 times as much.",
        .check = syntax_zone),
    KEY_CHOICE(
        POOL, protocol, "http/1.1", protocols,
        "Protocol spoken to the servers: h2 inside TLS, h2c in the clear, auto what a server chooses inside TLS."),
    KEY_OPTIONAL(POOL, health, HEALTH, health_schema,
                 "Active health checks; without them only traffic shows who is down."),
    KEY_OPTIONAL(POOL, forwarding, struct forwarding_config, forwarding_schema,
                 "What servers of this pool are told of the client; by default what the file says.",
                 .flags = SCHEMA_SEEN | SCHEMA_TOLD),
    KEY_OPTIONAL(POOL, tls, struct upstream_tls_config, upstream_tls_schema,
                 "Turns on TLS to the servers, verified."),
    KEY_INT(
        POOL, max_connections, "auto", 1, 1000000,
        "Requests at once to one server; more wait in the queue. auto: fewer when its answers begin to take long.",
        .words = limits),
    KEY_SECTION(POOL, queue, QUEUE, queue_schema,
                "Where requests wait while all servers are at max_connections."),
    KEY_SECTION(POOL, retry, RETRY, retry_schema, "When a request is sent again."),
    KEY_DURATION(
        POOL, slow_start, "auto", 0, HOURS(24),
        "How long a server that comes back gets fewer requests, from a tenth to all. auto: 10s for round_robin, "
        "random and hash, 0s for the others.",
        .words = automatic),
    KEY_DURATION(POOL, connect_timeout, "2s", 1, MINUTES(10),
                 "Longest time to connect to a server, TLS included."),
    KEY_DURATION(POOL, idle_timeout, "4s", 0, HOURS(24),
                 "How long an idle connection to a server is kept; 0s: not at all."),
    KEY_INT(POOL, idle_connections, "256", 0, 100000, "Idle connections kept for one server by one worker."),
    KEY_INT(POOL, max_requests, "none", 1, 1000000000, "Requests on one connection.", .word = "none"),
    KEY_INT(
        POOL, fast_down, "2", 1, 1000,
        "Refused connections within a second that take a server down until a probe passes; none: no number does.",
        .word = "none"),
    KEY_END};
const struct schema pool_schema = {.noun = "pool",
                                   .size = sizeof(POOL),
                                   .keys = pool_keys,
                                   .bare = "write NAME: { servers: ... }",
                                   .name_offset = offsetof(POOL, name),
                                   .text = "A named group of servers."};
