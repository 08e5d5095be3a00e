/*
 * What TLS reads from files: certificates with their keys, and authorities. What was read is kept over
 * reloads as long as its bytes stay, and is shared by all listeners and pools that name it. For one thread:
 * the one that loads. It has others read for it where there is much to read.
 */
#ifndef WEIR_TLS_TLS_FILES_H
#define WEIR_TLS_TLS_FILES_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"
#include "tls/tls.h"
#include "tls/tls_private.h"

/* The certificates behind the leaf, as its file has them; thousands of leaves may have the same. */
struct tls_chain {
    uint32_t users; /* identities */
    STACK_OF(X509) * certificates;
    int64_t begins, ends; /* of those that are valid for the shortest time; seconds since 1970 */
    char *warnings;       /* lines; NULL: none */
};
/* A certificate with its chain and key. Never written once it is made, but for the count and the mark. */
struct identity {
    _Atomic int32_t references; /* of stores and clients, on any thread; memory goes with the sweep */
    bool unused;                /* at the last sweep: the loader's own */
    X509 *leaf;
    struct tls_chain *chain;
    EVP_PKEY *key;
    unsigned char digest[TLS_DIGEST_SIZE]; /* of the leaf */
    int64_t begins, ends;                  /* chain included */
    char **names;                          /* of the certificate, as they stand there */
    size_t names_count;
    char *warnings; /* lines: what clients may stumble over; NULL: nothing */
};
/* Which pair of files, and what for. */
struct identity_wish {
    const char *cert, *key;
    int level;   /* OpenSSL's security level, which its handshakes go by */
    bool client; /* shown to servers */
};
/* Why it is not had. */
struct identity_problem {
    struct error error;
    bool of_key; /* of the key's file, and not the certificate's */
};
/* Certificates that others are verified against. */
struct tls_authorities {
    X509_STORE *store;
    STACK_OF(X509) * certificates;
    int64_t ends;   /* when the last of them does */
    char *warnings; /* lines; NULL: none */
};

/* Asks for many at once: identities[i] is that of wishes[i], and NULL where problems[i] says why not. What is
 * got is good until the next sweep, or for as long as a reference is held. False: any is missing. */
bool tls_files_identities(struct tls_files *files, const struct identity_wish *wishes, size_t count,
                          struct identity **identities, struct identity_problem *problems) MUST_CHECK;
/* path: NULL for those of the system. NULL with error. */
const struct tls_authorities *tls_files_authorities(struct tls_files *files, const char *path, int level,
                                                    struct error *error) MUST_CHECK;

/* tls_check.c: of ciphers in the notation of OpenSSL, which may say @SECLEVEL; NULL: the default. */
int tls_security_level(const char *ciphers);
/* Of all certificates of a listener; the caller frees them. */
struct identity_wish *tls_wishes(const struct tls_config *config);
struct identity_wish tls_client_wish(const struct upstream_tls_config *config);

/* tls_identity.c: what one thread needs to make them of bytes. */
struct identity_maker;
/* thorough: each key signs, and signatures of issuers are verified where their key ids say as much, too. */
struct identity_maker *identity_maker_new(struct tls_files *files, bool thorough);
void identity_maker_free(struct identity_maker *maker);
/* NULL with the problem. */
struct identity *identity_make(struct identity_maker *maker, const struct identity_wish *wish,
                               struct span cert, struct span key,
                               struct identity_problem *problem) MUST_CHECK;
void identity_free(struct identity *identity);
/* Up to TLS 1.2 the cipher says the kind of the key too: all of RSA go with one, all others with the other
 * (RFC 8446 4.2.3, RFC 8422 5.1.1). */
bool identity_fits_cipher(const struct identity *identity, const SSL_CIPHER *cipher) MUST_CHECK;
/* It does, and the way keys are exchanged is there, too: there are no parameters for DHE and no keys for PSK
 * and SRP, and a key of RSA-PSS signs alone. */
bool identity_serves_cipher(const struct identity *identity, const SSL_CIPHER *cipher) MUST_CHECK;
void tls_chain_free(struct tls_chain *chain);
/* Of the set, by what its certificates are; a maker may be told that there is one already. Any thread. */
struct tls_chain *tls_files_chain_find(struct tls_files *files, struct span digest);
struct tls_chain *tls_files_chain_add(struct tls_files *files, struct span digest, struct tls_chain *chain);

/* tls_key_proof.c: of a key whose public part is the certificate's, whether its private part is that of it.
 * False: it is not, or it is of a kind of which this cannot be said. kept: a curve for the next call, NULL at
 * first; the caller frees it. */
bool tls_key_is_proven(X509 *leaf, EVP_PKEY *key, EC_GROUP **kept) MUST_CHECK;

/* tls_judge.c: what OpenSSL will say of a certificate in a handshake, and what clients will. `scratch` is a
 * context of that security level that nobody else uses. */
bool tls_judge_key(SSL_CTX *scratch, X509 *leaf, const char *path, struct error *error) MUST_CHECK;
bool tls_judge_chain(SSL_CTX *scratch, STACK_OF(X509) * chain, const char *path,
                     struct error *error) MUST_CHECK;
/* Whether the first of the chain has issued the leaf; without a leaf: whether each of the chain has issued
 * the one before. What does not fit is told, a signature that is wrong is an error. */
bool tls_judge_issuers(X509 *leaf, STACK_OF(X509) * chain, bool thorough, const char *path, char **warnings,
                       struct error *error) MUST_CHECK;
void tls_judge_usage(X509 *leaf, bool client, char **warnings);
/* Whether certificates could be verified by this authority; if not, why. */
bool tls_judge_authority(X509 *authority, STACK_OF(X509) * all, int level, char *why, size_t size) MUST_CHECK;
/* Adds a line to those there are. */
void tls_warn(char **lines, const char *format, ...) PRINTF_LIKE(2, 3);
/* The subject for a message. */
const char *tls_subject(X509 *certificate, char *memory, size_t size);
bool tls_valid_from(const X509 *certificate, int64_t *seconds) MUST_CHECK;
bool tls_valid_until(const X509 *certificate, int64_t *seconds) MUST_CHECK;

#endif
