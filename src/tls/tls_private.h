/* What the files of this room share. */
#ifndef WEIR_TLS_TLS_PRIVATE_H
#define WEIR_TLS_TLS_PRIVATE_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "base/error.h"
#include "tls/tls.h"

#define TLS_NAME_MOST 256u /* of a DNS name, its NUL included */
#define TLS_DIGEST_SIZE 32 /* SHA-256 */
#define TLS_KINDS_MOST 4u  /* kinds of keys that one name may have certificates of */

struct tls_tickets;
struct identity; /* a certificate with its chain and key (tls_files.h) */

struct tls_store {
    _Atomic int32_t references;
    SSL_CTX *context;
    bool strict_sni;
    bool covered; /* hosts of requests have to be names of the certificate that was shown */
    enum client_auth client_auth;
    unsigned protocol_bits;
    int64_t authorities_end;                    /* of client_ca; seconds since 1970, INT64_MAX: none */
    unsigned char rule[TLS_DIGEST_SIZE];        /* all that is asked of clients; not our own certificates */
    unsigned char authorities[TLS_DIGEST_SIZE]; /* what of it says who verifies clients */
    size_t names_count;
    struct tls_name *names; /* sorted by (wildcard, name) */
    size_t identities_count;
    struct identity **identities;
    size_t default_identity;
    const struct tls_name *default_name; /* one of its names that has other kinds too, or NULL */
};
struct tls_name {
    char *name; /* lower case; what follows "*." when wildcard */
    bool wildcard;
    size_t identities[TLS_KINDS_MOST]; /* an ECDSA and an RSA one may serve the same name */
    unsigned count;
};
/* What a client that asks for a name may be shown. */
struct tls_choice {
    size_t identities[2 * TLS_KINDS_MOST]; /* each of another kind */
    unsigned wanted; /* so many are shown; the others to clients that cannot use any of these */
    unsigned count;
};
struct tls_client {
    _Atomic int32_t references;
    SSL_CTX *context;
    char *server_name; /* from the config, or NULL */
    enum server_verify verify;
    struct identity *identity; /* shown to servers; NULL: none */
    int64_t authorities_end;   /* seconds since 1970; INT64_MAX: not known */
};
/* The entry for a name: exact, then wildcard; NULL: none. */
const struct tls_name *tls_store_find(const struct tls_store *store, struct span name);
/* The identity serves that name. */
bool tls_store_is_named(const struct tls_store *store, size_t identity, struct span name);
/* name: NULL when the client gave none. False: a name without a certificate, which strict_sni refuses. */
bool tls_store_choose(const struct tls_store *store, const char *name, struct tls_choice *choice) MUST_CHECK;
/* Settings that both roles share: modes for our transports, versions. */
bool tls_context_prepare(SSL_CTX *context, enum tls_version least, enum tls_version most,
                         struct error *error) MUST_CHECK;
/* Of enum protocol_bit, in the form of ALPN and in the order of preference; static. */
struct span tls_protocols(unsigned protocol_bits);
int tls_tickets_callback(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int encrypt);
/* Takes the digest of a rule whose authorities are in the context; tickets open under this rule alone. */
bool tls_rule_take(struct tls_store *store, const struct tls_config *config, struct error *error) MUST_CHECK;
/* What the client was shown, now or in the handshake that its ticket is of; identities_count: not known. */
size_t tls_identity_shown(SSL *ssl, const struct tls_store *store);
/* Has the store look at each ticket before it opens. */
void tls_resumption_use(struct tls_store *store);
void tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *context);

#endif
