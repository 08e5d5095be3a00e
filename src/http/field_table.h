/* Field names that weir itself looks at, as numbers (lower case here; compared without case, RFC 9110 5.1).
 */
#ifndef WEIR_HTTP_FIELD_TABLE_H
#define WEIR_HTTP_FIELD_TABLE_H

/* id, name, and how far it goes. HOP: removed hop by hop in both directions (protocol.md 16). HEAD: end to
 * end, but of heads only: framing, routing, credentials, who the client is, and what a body is may not come
 * behind it, when all has been decided (RFC 9110 6.5.1). END: end to end, in trailers too */
#define FIELDS(X)                                                  \
    X(HOST, "host", HEAD)                                          \
    X(CONNECTION, "connection", HOP)                               \
    X(CONTENT_LENGTH, "content-length", HEAD)                      \
    X(TRANSFER_ENCODING, "transfer-encoding", HOP)                 \
    X(KEEP_ALIVE, "keep-alive", HOP)                               \
    X(PROXY_CONNECTION, "proxy-connection", HOP)                   \
    X(PROXY, "proxy", HOP)                                         \
    X(PROXY_AUTHENTICATE, "proxy-authenticate", HOP)               \
    X(PROXY_AUTHORIZATION, "proxy-authorization", HOP)             \
    X(PROXY_AUTHENTICATION_INFO, "proxy-authentication-info", HOP) \
    X(TE, "te", HOP)                                               \
    X(TRAILER, "trailer", HEAD)                                    \
    X(UPGRADE, "upgrade", HOP)                                     \
    X(HTTP2_SETTINGS, "http2-settings", HOP)                       \
    X(EXPECT, "expect", HEAD)                                      \
    X(VIA, "via", HEAD)                                            \
    X(FORWARDED, "forwarded", HEAD)                                \
    X(X_FORWARDED_FOR, "x-forwarded-for", HEAD)                    \
    X(X_FORWARDED_PROTO, "x-forwarded-proto", HEAD)                \
    X(X_FORWARDED_HOST, "x-forwarded-host", HEAD)                  \
    X(X_FORWARDED_PORT, "x-forwarded-port", HEAD)                  \
    X(X_REAL_IP, "x-real-ip", HEAD)                                \
    X(X_REQUEST_ID, "x-request-id", HEAD)                          \
    X(AUTHORIZATION, "authorization", HEAD)                        \
    X(COOKIE, "cookie", HEAD)                                      \
    X(SET_COOKIE, "set-cookie", HEAD)                              \
    X(DATE, "date", HEAD)                                          \
    X(SERVER, "server", END)                                       \
    X(LOCATION, "location", HEAD)                                  \
    X(ACCEPT, "accept", END)                                       \
    X(USER_AGENT, "user-agent", END)                               \
    X(REFERER, "referer", END)                                     \
    X(CONTENT_TYPE, "content-type", HEAD)                          \
    X(CONTENT_ENCODING, "content-encoding", HEAD)                  \
    X(CONTENT_RANGE, "content-range", HEAD)                        \
    X(RANGE, "range", HEAD)                                        \
    X(ORIGIN, "origin", HEAD)                                      \
    X(CACHE_CONTROL, "cache-control", HEAD)                        \
    X(RETRY_AFTER, "retry-after", HEAD)                            \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key", HEAD)                \
    X(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept", HEAD)          \
    X(SEC_WEBSOCKET_VERSION, "sec-websocket-version", HEAD)        \
    X(TRACEPARENT, "traceparent", END)                             \
    X(GRPC_TIMEOUT, "grpc-timeout", HEAD)                          \
    X(GRPC_STATUS, "grpc-status", END)                             \
    X(GRPC_MESSAGE, "grpc-message", END)
enum field_id {
    FIELD_OTHER, /* any name that is not in the table */
#define X(id, name, reach) FIELD_##id,
    FIELDS(X)
#undef X
        FIELD_ID_COUNT
};

#endif
