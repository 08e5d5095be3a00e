/* One request and its response as data only, so that filters, routes and logs see it without seeing the
 * proxy. */
#ifndef WEIR_HTTP_EXCHANGE_H
#define WEIR_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "http/failure.h"
#include "http/head.h"
#include "net/address.h"

struct arena;
struct loop;
struct route;
struct server;
struct stream;

enum exchange_state {
    EXCHANGE_READING, /* no request head yet */
    EXCHANGE_FILTERING,
    EXCHANGE_CHOOSING, /* waits for a server, a connection to it, or the queue */
    EXCHANGE_FORWARDING,
    EXCHANGE_ANSWERING, /* weir's own response */
    EXCHANGE_TUNNEL,
    EXCHANGE_DONE
};
enum client_chain { CHAIN_NONE, CHAIN_X_FORWARDED, CHAIN_FORWARDED };
/* Microseconds of the monotonic clock (loop_now_us); 0: never came to that. */
struct exchange_times {
    uint64_t began, routed, connected, sent, answered, ended;
};
/* The target prepared once for routing (http/target.h): views into the arena. */
struct target {
    struct span
        host; /* lower case, without port and final dot; IPv6 without brackets, as inet_ntop() has it */
    struct span authority; /* the same as it stands in Host: with brackets and port */
    uint16_t port;         /* of the authority; 0: none given */
    unsigned marks;        /* of the path: enum path_mark; 0: there is one way to read it */
    /* its normal form (http/path.h) or, once the route is known, what the route's servers read of it */
    struct span path;
    struct span query; /* as received; at == NULL: none */
};
/* A path that would take two routes, depending on who reads it: the other reading and its route. */
struct misreading {
    struct span path;  /* at == NULL: none */
    const char *route; /* NULL: no route */
};
/* An answer that a filter or action has decided on. Field names and values must outlive the exchange or live
 * in its arena. */
struct answer {
    uint16_t status;      /* 0: none */
    enum failure failure; /* why, when it is an error page; NONE for a configured response or redirect */
    struct span body;     /* NULL with a failure: the error page */
    bool body_lasts;      /* it is the snapshot's, and need not be copied */
    struct span content_type;
    struct fields fields; /* further fields (Location, Retry-After, RateLimit, ...) */
};
struct exchange {
    /* of this worker, counts up: with the worker's random prefix it makes the request id */
    uint64_t number;
    /* 32 hex digits; made when first asked for (exchange_request_id()), then kept */
    struct span request_id;
    struct arena *arena;
    struct loop *loop;
    struct ip_address peer;   /* the socket's other end, or what the PROXY preface says */
    struct ip_address client; /* after trusted_proxies: the first untrusted from the right */
    bool peer_trusted;
    bool tls, http2;                      /* what the client's connection is */
    bool https;                           /* what the client itself used, as far as trusted proxies tell */
    enum client_chain chain;              /* in which language a trusted peer told of those before it */
    bool chain_cut;                       /* its begin could not be read, and is gone */
    uint16_t told_port;                   /* by X-Forwarded-Port for the client's hop; 0: none */
    unsigned hops_behind;                 /* of X-Forwarded-For, behind the client's */
    struct span told_host;                /* for the client's hop, in normal form; empty: none */
    struct span tls_version, server_name; /* empty without */
    struct span local;                    /* the listener's name */
    uint16_t local_port;
    struct target target;
    struct misreading misreading;
    const struct route *route;
    const char *route_name;     /* for templates; NULL: no route yet */
    const char *server_address; /* for templates: the server that took it last; NULL: none */
    struct server *server;
    struct stream *client_stream, *upstream;
    /* request: as received until the filters change it; what is forwarded is written from it */
    struct head request, response;
    /* what templates see: path and fields before filters changed them; none: they are as they came */
    struct span came_path;
    const struct fields *came_fields;
    struct answer answer;
    struct span made; /* by a template, and refused: REWRITE_INVALID */
    enum exchange_state state;
    enum failure failure;
    struct exchange_times times;
    uint64_t bytes_in, bytes_out; /* body bytes from and to the client */
    uint64_t body_limit;          /* bytes; 0: none; set by routing and filters */
    uint32_t attempts;
    /* what request filters want added to whatever response goes out (RateLimit) */
    struct fields response_fields;
    /* per exchange, by filter kinds that keep something (in_flight): index = filter_kind.state */
    void *filter_states[4];
};
/* The request id of this exchange, made on first use; from a trusted peer's X-Request-Id when that is a sane
 * token of at most 128 bytes. */
struct span exchange_request_id(struct exchange *exchange);

#endif
