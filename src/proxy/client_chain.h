/* Who the client is and how it came, by what trusted proxies tell: one notion for logs, conditions,
 * templates, cookies, redirects and what servers are told (protocol.md 17; RFC 7239). */
#ifndef WEIR_PROXY_CLIENT_CHAIN_H
#define WEIR_PROXY_CLIENT_CHAIN_H

#include <stdbool.h>

#include "base/span.h"

struct arena;
struct exchange;
struct snapshot;

/* So many elements of a chain count, from its end. */
#define CHAIN_MOST 32u

/* exchange->peer_trusted, client, https, chain and what was told; https holds what the connection itself says
 * before. What of a trusted peer's chain cannot be read leaves the fields, with all before it (chain_cut). */
void client_chain_find(struct exchange *exchange, const struct snapshot *snapshot);
/* Cuts the last element off a list of Forwarded; commas in quotes do not part (RFC 7239 4). */
struct span client_chain_cut_last(struct span *list);
/* The value of a parameter in one element of Forwarded, without quotes and escapes; at == NULL: there is
 * none, or no room in the arena for one with escapes. */
struct span client_chain_parameter(struct span element, struct span name, struct arena *arena);
/* Of whom an element of Forwarded is: `for`, without a port that is a name (RFC 7239 6: "192.0.2.1:_a"). */
struct span client_chain_node(struct span element, struct arena *arena);

#endif
