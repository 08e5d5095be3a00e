/* Every way a request can fail: one table for the status, the retry class, the log word, the metric label and
 * the manual. */
#ifndef WEIR_HTTP_FAILURE_H
#define WEIR_HTTP_FAILURE_H

#include <stdbool.h>
#include <stdint.h>

/* When another try may be made (protocol.md 30). */
enum retry_class { RETRY_NEVER, RETRY_NEVER_SENT, RETRY_SENT_NO_REPLY };

/* Of gRPC's status codes those that a proxy has a use for (github.com/grpc/grpc, doc/statuscodes.md). */
enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14
};

/* clang-format off */
/* name, word in logs and metrics, status for the client (0: none can be sent), status for a gRPC client, retry class, whose doing (C client, S server, W weir), text */
#define FAILURES(X)                                                                                                                                           \
    X(NONE, none, 0, GRPC_OK, RETRY_NEVER, 'W', "no failure")                                                                                                 \
    X(BAD_REQUEST, bad_request, 400, GRPC_INTERNAL, RETRY_NEVER, 'C', "request head is malformed")                                                            \
    X(BAD_METHOD, bad_method, 400, GRPC_INTERNAL, RETRY_NEVER, 'C', "method is a known one but for case")                                                            \
    X(BAD_FRAMING, bad_framing, 400, GRPC_INTERNAL, RETRY_NEVER, 'C', "request length is ambiguous or malformed")                                             \
    X(FIELD_REPEATED, field_repeated, 400, GRPC_INTERNAL, RETRY_NEVER, 'C', "a header that has one value came twice")                                            \
    X(BAD_HOST, bad_host, 400, GRPC_INTERNAL, RETRY_NEVER, 'C', "Host is missing, repeated or malformed")                                                     \
    X(BAD_TARGET, bad_target, 400, GRPC_INTERNAL, RETRY_NEVER, 'C', "request target is malformed or climbs above the root")                                   \
    X(PATH_AMBIGUOUS, path_ambiguous, 400, GRPC_INTERNAL, RETRY_NEVER, 'C', "path takes one route or another, depending on who reads it")                      \
    X(BAD_BODY, bad_body, 400, GRPC_INTERNAL, RETRY_NEVER, 'C', "request body is malformed")                                                                  \
    X(TLS_ON_PLAIN, tls_on_plain, 0, GRPC_CANCELLED, RETRY_NEVER, 'C', "TLS was sent to a plain port")                                                        \
    X(ACCESS_DENIED, access_denied, 403, GRPC_PERMISSION_DENIED, RETRY_NEVER, 'C', "address is not allowed")                                                  \
    X(NO_ROUTE, no_route, 404, GRPC_UNIMPLEMENTED, RETRY_NEVER, 'C', "no route matches")                                                                      \
    X(METHOD_REFUSED, method_refused, 405, GRPC_UNIMPLEMENTED, RETRY_NEVER, 'C', "method is not allowed here")                                                \
    X(HEAD_TIMEOUT, head_timeout, 408, GRPC_DEADLINE_EXCEEDED, RETRY_NEVER, 'C', "request head did not come in time")                                         \
    X(BODY_TIMEOUT, body_timeout, 408, GRPC_DEADLINE_EXCEEDED, RETRY_NEVER, 'C', "request body came too slowly")                                              \
    X(BODY_TOO_LARGE, body_too_large, 413, GRPC_RESOURCE_EXHAUSTED, RETRY_NEVER, 'C', "request body is over the limit")                                       \
    X(TARGET_TOO_LONG, target_too_long, 414, GRPC_RESOURCE_EXHAUSTED, RETRY_NEVER, 'C', "request line is over the limit")                                     \
    X(EXPECTATION_UNKNOWN, expectation_unknown, 417, GRPC_INTERNAL, RETRY_NEVER, 'C', "request expects what is not known")                                    \
    X(MISDIRECTED, misdirected, 421, GRPC_UNAVAILABLE, RETRY_NEVER, 'C', "request does not belong on this TLS connection")                                        \
    X(UPGRADE_REFUSED, upgrade_refused, 400, GRPC_INTERNAL, RETRY_NEVER, 'C', "upgrade request is malformed")                                                 \
    X(RATE_LIMITED, rate_limited, 429, GRPC_RESOURCE_EXHAUSTED, RETRY_NEVER, 'C', "rate limit reached")                                                       \
    X(IN_FLIGHT_LIMITED, in_flight_limited, 429, GRPC_RESOURCE_EXHAUSTED, RETRY_NEVER, 'C', "too many requests in flight")                                    \
    X(FIELDS_TOO_LARGE, fields_too_large, 431, GRPC_RESOURCE_EXHAUSTED, RETRY_NEVER, 'C', "request fields are over the limit")                                \
    X(CLIENT_CLOSED, client_closed, 499, GRPC_CANCELLED, RETRY_NEVER, 'C', "client went away")                                                                \
    X(CLIENT_STALLED, client_stalled, 0, GRPC_CANCELLED, RETRY_NEVER, 'C', "client took bytes too slowly, or none")                                           \
    X(FLOODED, flooded, 0, GRPC_CANCELLED, RETRY_NEVER, 'C', "client flooded its HTTP/2 connection")                                               \
    X(CODING_UNKNOWN, coding_unknown, 501, GRPC_UNIMPLEMENTED, RETRY_NEVER, 'C', "transfer coding is not known")                                              \
    X(PROTOCOL_UNKNOWN, protocol_unknown, 501, GRPC_UNIMPLEMENTED, RETRY_NEVER, 'C', "protocol of an extended CONNECT is not known")                          \
    X(VERSION_UNKNOWN, version_unknown, 505, GRPC_UNIMPLEMENTED, RETRY_NEVER, 'C', "HTTP version is not supported")                                           \
    X(CONNECT_REFUSED, connect_refused, 502, GRPC_UNAVAILABLE, RETRY_NEVER_SENT, 'S', "server refused the connection")                                        \
    X(CONNECT_FAILED, connect_failed, 502, GRPC_UNAVAILABLE, RETRY_NEVER_SENT, 'S', "server cannot be reached")                                               \
    X(CONNECT_TIMEOUT, connect_timeout, 504, GRPC_UNAVAILABLE, RETRY_NEVER_SENT, 'S', "server did not accept in time")                                        \
    X(TLS_FAILED, tls_failed, 502, GRPC_UNAVAILABLE, RETRY_NEVER_SENT, 'S', "TLS handshake with the server failed")                                           \
    X(TLS_UNVERIFIED, tls_unverified, 502, GRPC_UNAVAILABLE, RETRY_NEVER_SENT, 'S', "certificate of the server is not trusted")                               \
    X(STREAM_REFUSED, stream_refused, 502, GRPC_UNAVAILABLE, RETRY_NEVER_SENT, 'S', "server refused the stream unprocessed")                                  \
    X(SERVER_STALE, server_stale, 502, GRPC_UNAVAILABLE, RETRY_SENT_NO_REPLY, 'S', "kept connection had been closed by the server")                           \
    X(SERVER_CLOSED, server_closed, 502, GRPC_UNAVAILABLE, RETRY_SENT_NO_REPLY, 'S', "server closed before answering")                                        \
    X(RESPONSE_INVALID, response_invalid, 502, GRPC_INTERNAL, RETRY_NEVER, 'S', "response is malformed")                                                      \
    X(RESPONSE_VERSION, response_version, 502, GRPC_UNAVAILABLE, RETRY_NEVER, 'S', "server speaks another version of HTTP")                                   \
    X(RESPONSE_TOO_LARGE, response_too_large, 502, GRPC_RESOURCE_EXHAUSTED, RETRY_NEVER, 'S', "response head is over the limit")                              \
    X(UPGRADE_INVALID, upgrade_invalid, 502, GRPC_INTERNAL, RETRY_NEVER, 'S', "answer to an upgrade is wrong, or was not asked for")                          \
    X(UPGRADE_UNSUPPORTED, upgrade_unsupported, 502, GRPC_UNIMPLEMENTED, RETRY_NEVER_SENT, 'S', "server takes no WebSocket over HTTP/2")                      \
    X(HTTP1_REQUIRED, http1_required, 502, GRPC_UNAVAILABLE, RETRY_NEVER, 'S', "server wants HTTP/1.1 for this request")                                      \
    X(RESPONSE_TIMEOUT, response_timeout, 504, GRPC_DEADLINE_EXCEEDED, RETRY_SENT_NO_REPLY, 'S', "server did not answer in time")                             \
    X(RESPONSE_CUT, response_cut, 502, GRPC_UNAVAILABLE, RETRY_NEVER, 'S', "server cut its response short")                                                   \
    X(RESPONSE_STALLED, response_stalled, 504, GRPC_DEADLINE_EXCEEDED, RETRY_NEVER, 'S', "server stopped in the middle of its response")                      \
    X(REQUEST_TIMEOUT, request_timeout, 504, GRPC_DEADLINE_EXCEEDED, RETRY_NEVER, 'S', "request took longer than it may")                                     \
    X(RULES_CHANGED, rules_changed, 0, GRPC_CANCELLED, RETRY_NEVER, 'W', "a reload has changed the TLS rules of the listener")                                \
    X(RELOAD_DRAINED, reload_drained, 503, GRPC_UNAVAILABLE, RETRY_NEVER, 'W', "a reload has ended what ran under an older file")                              \
    X(TUNNEL_IDLE, tunnel_idle, 0, GRPC_CANCELLED, RETRY_NEVER, 'W', "tunnel was idle for too long")                                                          \
    X(NO_SERVER, no_server, 503, GRPC_UNAVAILABLE, RETRY_NEVER, 'S', "no server of the pool is up")                                                           \
    X(QUEUE_FULL, queue_full, 503, GRPC_UNAVAILABLE, RETRY_NEVER, 'W', "queue of the pool is full")                                                           \
    X(QUEUE_TIMEOUT, queue_timeout, 503, GRPC_UNAVAILABLE, RETRY_NEVER, 'W', "no server was free in time")                                                    \
    X(REWRITE_INVALID, rewrite_invalid, 500, GRPC_INTERNAL, RETRY_NEVER, 'W', "a template of the route made no path, host or location that can be sent")                 \
    X(OVERLOADED, overloaded, 503, GRPC_UNAVAILABLE, RETRY_NEVER, 'W', "weir is at a limit of its own")                                                       \
    X(SHUTTING_DOWN, shutting_down, 503, GRPC_UNAVAILABLE, RETRY_NEVER, 'W', "weir is shutting down")                                                         \
    X(PATTERN_FAILED, pattern_failed, 500, GRPC_INTERNAL, RETRY_NEVER, 'W', "a regular expression of a route could not be matched within its bounds")          \
    X(INTERNAL, internal, 500, GRPC_INTERNAL, RETRY_NEVER, 'W', "weir failed")
/* clang-format on */
enum failure {
#define X(name, word, status, grpc, retry, whose, text) FAILURE_##name,
    FAILURES(X)
#undef X
        FAILURE_COUNT
};
struct failure_info {
    const char *word;
    uint16_t status;
    enum grpc_status grpc;
    enum retry_class retry;
    char whose;
    const char *text;
};
extern const struct failure_info failure_info[FAILURE_COUNT];

#endif
