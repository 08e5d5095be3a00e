/* Upgrades: what a route lets tunnel, and the handshake of a WebSocket between any two versions of HTTP. */
#ifndef WEIR_PROXY_UPGRADE_H
#define WEIR_PROXY_UPGRADE_H

#include "base/attributes.h"
#include "base/span.h"
#include "http/failure.h"

struct exchange_run;
struct head;
struct pool;
struct route_config;

/* A CONNECT, before its route is known: an extended one for a WebSocket becomes the GET that it would be in
 * HTTP/1. */
enum failure upgrade_take_connect(struct exchange_run *run) MUST_CHECK;
/* A request for a protocol that the route lets pass, of several the first; a WebSocket's must be right (RFC
 * 6455 4.2.1), any other have no body in chunks. What asks for something else goes on as a plain request,
 * without request->upgrade. */
enum failure upgrade_choose(const struct route_config *route, struct head *request) MUST_CHECK;
/* The same for an exchange, of which one may be a CONNECT: what that asks for passes or is refused. */
enum failure upgrade_check(struct exchange_run *run) MUST_CHECK;
/* The pool is chosen: to servers that are spoken to by HTTP/2 only a WebSocket can be asked for. */
void upgrade_fit_pool(struct exchange_run *run, const struct pool *pool);
/*
 * The server's 101: of the protocol asked for, and not before the request was whole (RFC 9110 7.8). Of a
 * WebSocket the accept key must answer the key it was given (RFC 6455 4.1), so that no cache or other
 * protocol can be mistaken for a WebSocket server. One of HTTP/2 gives none, and the client gets ours.
 */
enum failure upgrade_switch(struct exchange_run *run) MUST_CHECK;

/* Of a 426: what the server would speak instead; it is told to clients of HTTP/1, though a tunnel to it needs
 * the route's leave. */
struct span upgrade_offered(const struct head *response);

#endif
