/* Field names that weir itself looks at, as numbers (lower case here; compared without case, RFC 9110 5.1).
 */
#ifndef WEIR_HTTP_FIELD_TABLE_H
#define WEIR_HTTP_FIELD_TABLE_H

/* id, name, HOP: removed hop by hop in both directions (protocol.md 16) or END: end to end */
#define FIELDS(X)                                                  \
    X(HOST, "host", END)                                           \
    X(CONNECTION, "connection", HOP)                               \
    X(CONTENT_LENGTH, "content-length", END)                       \
    X(TRANSFER_ENCODING, "transfer-encoding", HOP)                 \
    X(KEEP_ALIVE, "keep-alive", HOP)                               \
    X(PROXY_CONNECTION, "proxy-connection", HOP)                   \
    X(PROXY, "proxy", HOP)                                         \
    X(PROXY_AUTHENTICATE, "proxy-authenticate", HOP)               \
    X(PROXY_AUTHORIZATION, "proxy-authorization", HOP)             \
    X(PROXY_AUTHENTICATION_INFO, "proxy-authentication-info", HOP) \
    X(TE, "te", HOP)                                               \
    X(TRAILER, "trailer", END)                                     \
    X(UPGRADE, "upgrade", HOP)                                     \
    X(HTTP2_SETTINGS, "http2-settings", HOP)                       \
    X(EXPECT, "expect", END)                                       \
    X(VIA, "via", END)                                             \
    X(FORWARDED, "forwarded", END)                                 \
    X(X_FORWARDED_FOR, "x-forwarded-for", END)                     \
    X(X_FORWARDED_PROTO, "x-forwarded-proto", END)                 \
    X(X_FORWARDED_HOST, "x-forwarded-host", END)                   \
    X(X_FORWARDED_PORT, "x-forwarded-port", END)                   \
    X(X_REAL_IP, "x-real-ip", END)                                 \
    X(X_REQUEST_ID, "x-request-id", END)                           \
    X(AUTHORIZATION, "authorization", END)                         \
    X(COOKIE, "cookie", END)                                       \
    X(SET_COOKIE, "set-cookie", END)                               \
    X(DATE, "date", END)                                           \
    X(SERVER, "server", END)                                       \
    X(LOCATION, "location", END)                                   \
    X(ACCEPT, "accept", END)                                       \
    X(USER_AGENT, "user-agent", END)                               \
    X(REFERER, "referer", END)                                     \
    X(CONTENT_TYPE, "content-type", END)                           \
    X(CONTENT_ENCODING, "content-encoding", END)                   \
    X(CONTENT_RANGE, "content-range", END)                         \
    X(CACHE_CONTROL, "cache-control", END)                         \
    X(RETRY_AFTER, "retry-after", END)                             \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key", END)                 \
    X(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept", END)           \
    X(SEC_WEBSOCKET_VERSION, "sec-websocket-version", END)         \
    X(TRACEPARENT, "traceparent", END)                             \
    X(GRPC_TIMEOUT, "grpc-timeout", END)                           \
    X(GRPC_STATUS, "grpc-status", END)                             \
    X(GRPC_MESSAGE, "grpc-message", END)
enum field_id {
    FIELD_OTHER, /* any name that is not in the table */
#define X(id, name, hop) FIELD_##id,
    FIELDS(X)
#undef X
        FIELD_ID_COUNT
};

#endif
