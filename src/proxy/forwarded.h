/* Fields at the border: hop-by-hop removal, Via, X-Forwarded-*, Forwarded, and who the client is (protocol.md
 * 16, 17; RFC 9110 7.6, RFC 7239). */
#ifndef WEIR_PROXY_FORWARDED_H
#define WEIR_PROXY_FORWARDED_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/span.h"
#include "http/failure.h"

struct arena;
struct exchange;
struct field_names;
struct fields;
struct head;

/* What a peer says of who is behind it (X-Forwarded-*, Forwarded, X-Real-IP) and of how often it tried: of
 * one that is not trusted it is dropped before anybody looks, so that conditions, keys and templates see what
 * servers are told. */
enum claims { CLAIMS_OF_SERVER, CLAIMS_KEPT, CLAIMS_DROPPED };
/* Removes what must not go on: all that Connection names (but never what weir asserts), which head->named
 * keeps for the trailers, and the hop-by-hop fields. Request or response. BAD_REQUEST: it names more than
 * anybody means; OVERLOADED: arena cap. */
enum failure forwarded_strip(struct head *head, enum claims claims, struct arena *arena) MUST_CHECK;
/* From trailers the same, and all that only a head may say: framing, routing, credentials, who the client is.
 * named: of the message's head. */
void forwarded_strip_trailers(struct fields *trailers, const struct field_names *named);
/* Replaces (untrusted peer) or extends (trusted) the forwarding fields of the request, and adds Via: those of
 * `what`, bits of enum forwarding. After client_chain_find(). False: arena cap. */
bool forwarded_add(struct exchange *exchange, unsigned what) MUST_CHECK;
/* A field that tells which attempt a request is: ours, or Envoy's. */
bool forwarded_is_attempt(struct span name);
/* The server's response gets a Date where it has none (RFC 9110 6.6.1) and, if asked for, a Via. False: arena
 * cap. */
bool forwarded_add_response(struct exchange *exchange, bool via) MUST_CHECK;
/* Max-Forwards of OPTIONS and TRACE (RFC 9110 7.6.2): NONE, and *here when nobody behind weir is asked, else
 * counted down. BAD_REQUEST: it is no number. */
enum failure forwarded_count(struct exchange *exchange, bool *here) MUST_CHECK;

#endif
