/* Pools of servers. */
#ifndef WEIR_CONFIG_POOL_CONFIG_H
#define WEIR_CONFIG_POOL_CONFIG_H

#include "config/cookie_config.h"
#include "config/forwarding_config.h"
#include "config/subset_config.h"
#include "config/tls_config.h"
#include "config/values.h"

enum balance_kind {
    BALANCE_ADAPTIVE,
    BALANCE_LEAST_CONN,
    BALANCE_ROUND_ROBIN,
    BALANCE_RANDOM,
    BALANCE_FIRST,
    BALANCE_HASH
};
enum pool_protocol { POOL_HTTP_1, POOL_H2, POOL_H2C, POOL_AUTO }; /* http/1.1, h2, h2c, auto */

/* Values of max_connections that are no numbers. */
#define CONNECTIONS_AUTO UINT64_MAX
#define CONNECTIONS_NONE (UINT64_MAX - 1)
#define SLOW_START_AUTO UINT64_MAX

/* false; true: takes what the others lack; standby: used when all others are down, one at a time */
enum backup_kind { BACKUP_NOT, BACKUP_SHARES, BACKUP_STANDBY };
#define WEIGHT_MOST 1000u
struct server_config {
    const char *address;      /* "ip:port", "name:port", "unix:/path"; required; scalar shorthand */
    const char *name;         /* in logs; default: the address */
    uint64_t weight;          /* 1; 0: no new requests; 0..1000 */
    enum backup_kind backup;  /* false */
    uint64_t max_connections; /* 0: the pool's; CONNECTIONS_AUTO, CONNECTIONS_NONE */
    const char *zone;         /* where it stands; NULL: not told */
    bool repeats;             /* one above, which has its weight too; gone when the file is read */
};
enum probe_kind { PROBE_HTTP, PROBE_HTTPS, PROBE_TCP, PROBE_GRPC };
struct health_config {
    enum probe_kind type;       /* http; (https when the pool has tls and type is not written) */
    const char *path;           /* / */
    const char *method;         /* GET */
    const char *host;           /* Host field of the probe; NULL: the server's address */
    struct texts expect_status; /* "200", "2xx", "200-399"; default [2xx, 3xx] */
    const char *expect_body;    /* text that must stand in the first 64 KiB of the body; NULL: any */
    const char *service;        /* that a gRPC probe asks about; "": the server as a whole */
    uint64_t interval;          /* ms; 2s */
    uint64_t fast_interval;     /* ms; 500ms; while a server is changing its state */
    uint64_t timeout;           /* ms; 1s; never longer than interval */
    uint64_t port;              /* 0: the server's own */
    uint64_t rise;              /* 2 */
    uint64_t fall;              /* 3 */
    uint64_t jitter;            /* percent of the interval; 15% */
    bool trust_traffic;         /* true; good answers to requests count as well */
};
enum queue_discipline { QUEUE_ADAPTIVE, QUEUE_CODEL, QUEUE_FIFO };
struct queue_config {
    uint64_t size;                    /* 10000; requests that wait, of the pool, all workers together */
    uint64_t max_wait;                /* ms; 3s */
    enum queue_discipline discipline; /* adaptive */
    uint64_t target;                  /* ms; 5ms; of codel: longest wait under overload */
};
struct retry_config {
    uint64_t attempts; /* 1: attempts after the first; 0..3 */
    /* never_sent, sent_no_reply, or a status such as "503"; default [never_sent, sent_no_reply, 500, 502,
     * 503, 504] */
    struct texts on;
    uint64_t budget;      /* percent of requests; 20% */
    uint64_t buffer;      /* bytes of a request body kept for a retry; 64KiB */
    uint64_t try_timeout; /* ms; per attempt until the response head; 0: none */
    bool never_sent;      /* not keys: set by the check from `on` */
    bool sent_no_reply;
    struct numbers statuses;
};
struct key_part;
struct hash_config {
    struct texts key;   /* [client.ip] */
    size_t parts_count; /* not a key: set by the check from `key` */
    struct key_part *parts;
    uint64_t ipv6_prefix; /* 64 */
    /* percent of its share of all requests in flight that a server may have; 125%; 0: no bound */
    uint64_t bounded_load;
};
struct outlier_config {
    uint64_t errors;  /* 5 in a row that eject a server; 0: no number does */
    uint64_t time;    /* ms; 5s, times how often it was ejected lately, up to 6; 0s: nobody is ejected */
    uint64_t most;    /* percent of the pool's weight that may be out; 50% */
    uint64_t clients; /* 2 that must have had errors by turns; 1: those of one client are enough */
};
#define OUTLIER_CLIENTS_MOST 4
struct pool_config {
    const char *name;               /* its key in the map */
    enum balance_kind balance;      /* adaptive */
    struct outlier_config *outlier; /* NULL: nobody is ejected */
    struct hash_config hash;        /* of balance: hash */
    struct sticky_config *sticky;   /* NULL: any server does */
    struct subset_config *subset;   /* NULL: all of them are used */
    uint64_t choices;               /* of balance: random; 2 */
    const char *zone;               /* where this weir stands; NULL: zones do not count */
    enum pool_protocol protocol;    /* http/1.1 */
    size_t servers_count;
    struct server_config *servers; /* at least one */
    struct health_config *health;  /* NULL: only what traffic shows */
    struct upstream_tls_config *tls;
    struct forwarding_config *forwarding; /* NULL: as the file says */
    /* auto: per server, requests at once; CONNECTIONS_AUTO, CONNECTIONS_NONE */
    uint64_t max_connections;
    struct queue_config queue;
    struct retry_config retry;
    uint64_t slow_start;       /* ms; SLOW_START_AUTO: 10 s where it is needed */
    uint64_t connect_timeout;  /* ms; 2s: longer than the second after which TCP sends a lost SYN again */
    uint64_t idle_timeout;     /* ms; 4s: kept connections; below most servers' own 5s */
    uint64_t idle_connections; /* kept idle per server and worker; 256 */
    uint64_t max_requests;     /* per connection; 0: no end */
    /* refused connects within 1 s that take a server down until a probe passes; 2; 0: off */
    uint64_t fast_down;
};

#endif
