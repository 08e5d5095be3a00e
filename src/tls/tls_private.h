/* What the files of this room share. */
#ifndef WEIR_TLS_TLS_PRIVATE_H
#define WEIR_TLS_TLS_PRIVATE_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "base/error.h"
#include "tls/tls.h"

#define TLS_NAME_MOST 256u /* of a DNS name, its NUL included */

struct tls_tickets;
struct identity; /* a certificate with its chain and key */

struct tls_store {
    _Atomic int32_t references;
    SSL_CTX *context;
    bool strict_sni;
    bool client_auth;
    unsigned protocol_bits;
    size_t names_count;
    struct tls_name *names; /* sorted by (wildcard, name) */
    size_t identities_count;
    struct identity *identities;
    size_t default_identity;
};
struct identity {
    X509 *leaf;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
};
struct tls_name {
    char *name; /* lower case; what follows "*." when wildcard */
    bool wildcard;
    size_t identities[2]; /* an ECDSA and an RSA one may serve the same name */
    unsigned count;
};
struct tls_client {
    _Atomic int32_t references;
    SSL_CTX *context;
    char *server_name; /* from the config, or NULL */
    enum server_verify verify;
};
/* The entry for a name: exact, then wildcard; NULL: none. */
const struct tls_name *tls_store_find(const struct tls_store *store, struct span name);
/* Settings that both roles share: modes for our transports, versions. */
bool tls_context_prepare(SSL_CTX *context, enum tls_version least, enum tls_version most,
                         struct error *error) MUST_CHECK;
/* Of enum protocol_bit, in the form of ALPN and in the order of preference; static. */
struct span tls_protocols(unsigned protocol_bits);
int tls_tickets_callback(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int encrypt);
void tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *context);

#endif
