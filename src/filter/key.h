/* The key of a limit or of a choice of servers: parts of a request, hashed together. */
#ifndef WEIR_FILTER_KEY_H
#define WEIR_FILTER_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/span.h"

struct exchange;
struct key_part;

/* False: the request lacks a part (no such header, cookie or parameter) and is not counted by this limit. */
bool key_hash(const struct key_part *parts, size_t count, unsigned ipv6_prefix,
              const struct exchange *exchange, uint64_t *hash) MUST_CHECK;

/* The same with a hash that is equal in every process, for choosing a server. What is empty is no key either:
 * else all who send it so would be one. */
bool key_hash_fixed(const struct key_part *parts, size_t count, unsigned ipv6_prefix,
                    const struct exchange *exchange, uint64_t *hash) MUST_CHECK;

/* The value of a cookie of the request; at == NULL: there is none of that name. */
struct span key_cookie(const struct exchange *exchange, struct span name);

#endif
