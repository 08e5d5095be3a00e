/* A key and a certificate signed with itself, made on the spot: for the demo and for tests. */
#ifndef WEIR_TLS_TLS_SELF_SIGNED_H
#define WEIR_TLS_TLS_SELF_SIGNED_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/error.h"

/* Writes both files (PEM; the key for the owner only). names: as OpenSSL writes subject alternative names,
 * such as "DNS:localhost,IP:127.0.0.1". ECDSA P-256, valid for 30 days. A client that is given the
 * certificate as its authority accepts it. */
bool tls_self_signed(const char *certificate_path, const char *key_path, const char *names,
                     struct error *error) MUST_CHECK;

#endif
