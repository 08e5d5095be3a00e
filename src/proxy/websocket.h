/* The handshake of a WebSocket between any two versions of HTTP. */
#ifndef WEIR_PROXY_WEBSOCKET_H
#define WEIR_PROXY_WEBSOCKET_H

#include "base/attributes.h"
#include "http/failure.h"

struct exchange_run;

/* A CONNECT, before its route is known: an extended one for a WebSocket becomes the GET that it would be in
 * HTTP/1. */
enum failure websocket_take_connect(struct exchange_run *run) MUST_CHECK;
/* A handshake that the route lets pass (RFC 6455 4.2.1); anything else that asks for an upgrade goes on as a
 * plain request, or is refused as a CONNECT. */
enum failure websocket_check(struct exchange_run *run) MUST_CHECK;
/*
 * The server's 101: the accept key must answer the key it was given (RFC 6455 4.1), so that no cache or other
 * protocol can be mistaken for a WebSocket server. One of HTTP/2 gives none, and the client gets ours.
 */
enum failure websocket_switch(struct exchange_run *run) MUST_CHECK;

#endif
