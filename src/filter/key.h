/* The key of a limit or of a choice of servers: parts of a request, hashed together. */
#ifndef WEIR_FILTER_KEY_H
#define WEIR_FILTER_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/span.h"
#include "config/limiter_config.h"

struct exchange;
struct key_part;
struct paths_config;

/* The key of a limit. */
struct key_rule {
    const struct key_part *parts;
    size_t count;
    unsigned ipv6_prefix;
    enum key_missing missing;
    const struct paths_config *paths; /* how the servers behind it read a path */
};
enum key_found {
    KEY_COUNTS, /* under the hash */
    KEY_PASSES, /* it lacks a part and is not counted */
    KEY_REFUSED /* it lacks a part, or has several values of one */
};
extern const char *const key_told[]; /* by enum key_found: how explain goes on */
/* What servers may take for the same counts as the same: a path in the form of path_counted(), values of
 * cookies and of query parameters with their escapes decoded, credentials with their scheme in any case. What
 * is empty is missing. Of what is missing, and of what has several values, there is one key. */
enum key_found key_hash(const struct key_rule *rule, const struct exchange *exchange,
                        uint64_t *hash) MUST_CHECK;

/* For choosing a server, by a hash that is equal in every process. False: there is no key, since a part is
 * missing or empty. Of several values the first counts. */
bool key_hash_fixed(const struct key_part *parts, size_t count, unsigned ipv6_prefix,
                    const struct exchange *exchange, uint64_t *hash) MUST_CHECK;

/* The value of a cookie of the request; at == NULL: there is none of that name. */
struct span key_cookie(const struct exchange *exchange, struct span name);

#endif
