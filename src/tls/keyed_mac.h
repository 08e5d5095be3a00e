/* HMAC-SHA-256 under a key that lives long (RFC 2104). Here because the digest is OpenSSL's. */
#ifndef WEIR_TLS_KEYED_MAC_H
#define WEIR_TLS_KEYED_MAC_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/span.h"

#define KEYED_MAC_LENGTH 32

struct keyed_mac;
struct keyed_mac *keyed_mac_new(struct span key); /* NULL: OpenSSL would not */
void keyed_mac_free(struct keyed_mac *mac);       /* NULL allowed */
/* Of the parts one behind another; any thread. False: out of memory. */
bool keyed_mac_make(const struct keyed_mac *mac, const struct span *parts, unsigned count,
                    unsigned char made[KEYED_MAC_LENGTH]) MUST_CHECK;
/* In a time that tells nothing of where they differ. */
bool keyed_mac_equal(const void *one, const void *other, size_t length) MUST_CHECK;

#endif
