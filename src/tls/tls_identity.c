/*
 * One certificate with its chain and key, from the bytes of their files. It is only made when it can be used:
 * the key is the certificate's and has signed once, and OpenSSL's security level lets both and the chain
 * pass.
 */
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tls/tls_error.h"
#include "tls/tls_files.h"

#define CHAIN_MOST 32   /* certificates behind the leaf */
#define DECODERS_MOST 4 /* kinds of keys at a time */

/* A decoder is set up for a kind of key; that takes longer than decoding, so it is kept. */
struct key_decoder {
    const char *kind; /* OpenSSL's static name */
    OSSL_DECODER_CTX *context;
    EVP_PKEY *key; /* what it decoded last */
};
struct identity_maker {
    struct tls_files *files;
    bool thorough;
    EC_GROUP *curve; /* of the last key; NULL: none yet */
    SSL_CTX *scratch;
    EVP_MD *sha256;
    EVP_MD_CTX *digest, *signing;
    struct key_decoder decoders[DECODERS_MOST];
    unsigned next; /* decoder to replace */
};
/* The PEM blocks of a file that are certificates. */
struct blocks {
    unsigned char *at[1 + CHAIN_MOST];
    long length[1 + CHAIN_MOST];
    unsigned count;
};

struct identity_maker *identity_maker_new(struct tls_files *files, bool thorough)
{
    struct identity_maker *maker = xcalloc(1, sizeof *maker);
    maker->files = files;
    maker->thorough = thorough;
    maker->scratch = SSL_CTX_new(TLS_server_method());
    maker->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    maker->digest = EVP_MD_CTX_new();
    maker->signing = EVP_MD_CTX_new();
    if (maker->scratch == NULL || maker->sha256 == NULL || maker->digest == NULL || maker->signing == NULL)
        die("OpenSSL has no memory");
    return maker;
}

static void decoder_free(struct key_decoder *decoder)
{
    OSSL_DECODER_CTX_free(decoder->context);
    *decoder = (struct key_decoder){.kind = NULL};
}

void identity_maker_free(struct identity_maker *maker)
{
    for (unsigned i = 0; i < DECODERS_MOST; i++)
        decoder_free(&maker->decoders[i]);
    EC_GROUP_free(maker->curve);
    EVP_MD_CTX_free(maker->signing);
    EVP_MD_CTX_free(maker->digest);
    EVP_MD_free(maker->sha256);
    SSL_CTX_free(maker->scratch);
    free(maker);
}

/* ---- the certificate and its chain ---- */

static void blocks_free(struct blocks *blocks)
{
    while (blocks->count > 0)
        OPENSSL_free(blocks->at[--blocks->count]);
}

static bool is_certificate(const char *name)
{
    return strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0 ||
           strcmp(name, PEM_STRING_X509_TRUSTED) == 0;
}

static bool blocks_read(struct blocks *blocks, const char *path, struct span bytes, struct error *error)
{
    BIO *file = BIO_new_mem_buf(bytes.at, (int)bytes.length);
    char *name, *header;
    unsigned char *data;
    long length;
    bool fine = file != NULL;
    while (fine && PEM_read_bio(file, &name, &header, &data, &length) == 1) {
        bool wanted = is_certificate(name);
        if (wanted && blocks->count == COUNT_OF(blocks->at))
            fine = error_set(error, "%s holds more than %d certificates; the leaf and its chain are wanted",
                             path, CHAIN_MOST);
        if (wanted && fine) {
            blocks->at[blocks->count] = data;
            blocks->length[blocks->count++] = length;
        } else {
            OPENSSL_clear_free(data, (size_t)length); /* it may be a key */
        }
        OPENSSL_free(name);
        OPENSSL_free(header);
    }
    unsigned long last = ERR_peek_last_error();
    bool ended = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    BIO_free(file);
    if (!fine)
        return false;
    if (!ended)
        return tls_error(error, "%s is damaged behind %u certificates", path, blocks->count);
    ERR_clear_error();
    return blocks->count != 0 || error_set(error, "%s holds no certificate in PEM", path);
}

static X509 *certificate_of(const struct blocks *blocks, unsigned number, const char *path,
                            struct error *error)
{
    const unsigned char *at = blocks->at[number];
    X509 *certificate = d2i_X509_AUX(NULL, &at, blocks->length[number]);
    if (certificate == NULL || X509_get0_pubkey(certificate) == NULL) {
        tls_error(error, "%s: certificate %u of the file cannot be read", path, number + 1);
        X509_free(certificate);
        return NULL;
    }
    /* Its extensions are decoded once, here, and not by whichever thread needs them first. */
    (void)X509_check_purpose(certificate, -1, 0);
    return certificate;
}

static void keep_shortest(X509 *certificate, int64_t *begins, int64_t *ends)
{
    int64_t from, until;
    if (!tls_valid_from(certificate, &from) || !tls_valid_until(certificate, &until))
        return; /* a date that cannot be read is the client's to judge */
    *begins = from > *begins ? from : *begins;
    *ends = until < *ends ? until : *ends;
}

static struct tls_chain *chain_make(struct identity_maker *maker, const struct blocks *blocks,
                                    const char *path, struct error *error)
{
    struct tls_chain *chain = xcalloc(1, sizeof *chain);
    chain->certificates = sk_X509_new_null();
    chain->begins = INT64_MIN;
    chain->ends = INT64_MAX;
    for (unsigned i = 1; i < blocks->count; i++) {
        X509 *certificate = certificate_of(blocks, i, path, error);
        if (certificate == NULL || sk_X509_push(chain->certificates, certificate) == 0) {
            tls_chain_free(chain);
            return NULL;
        }
        keep_shortest(certificate, &chain->begins, &chain->ends);
    }
    if (!tls_judge_chain(maker->scratch, chain->certificates, path, error) ||
        !tls_judge_issuers(NULL, chain->certificates, true, path, &chain->warnings, error)) {
        tls_chain_free(chain);
        return NULL;
    }
    return chain;
}

void tls_chain_free(struct tls_chain *chain)
{
    if (chain == NULL)
        return;
    sk_X509_pop_free(chain->certificates, X509_free);
    free(chain->warnings);
    free(chain);
}

/* The one that another certificate has already, or a new one. */
static struct tls_chain *chain_get(struct identity_maker *maker, const struct blocks *blocks,
                                   const struct identity_wish *wish, struct error *error)
{
    unsigned char digest[TLS_DIGEST_SIZE];
    bool fine = EVP_DigestInit_ex(maker->digest, maker->sha256, NULL) == 1 &&
                EVP_DigestUpdate(maker->digest, &wish->level, sizeof wish->level) == 1;
    for (unsigned i = 1; i < blocks->count; i++)
        fine = fine && EVP_DigestUpdate(maker->digest, blocks->at[i], (size_t)blocks->length[i]) == 1;
    if (!fine || EVP_DigestFinal_ex(maker->digest, digest, NULL) != 1) {
        tls_error(error, "%s: no digest of its chain can be made", wish->cert);
        return NULL;
    }
    struct span key = span_make((const char *)digest, sizeof digest);
    struct tls_chain *chain = tls_files_chain_find(maker->files, key);
    if (chain == NULL && (chain = chain_make(maker, blocks, wish->cert, error)) != NULL)
        chain = tls_files_chain_add(maker->files, key, chain);
    return chain;
}

/* ---- the key ---- */

static struct key_decoder *decoder_of(struct identity_maker *maker, const char *kind)
{
    for (unsigned i = 0; i < DECODERS_MOST; i++)
        if (maker->decoders[i].kind != NULL && strcmp(maker->decoders[i].kind, kind) == 0)
            return &maker->decoders[i];
    struct key_decoder *decoder = &maker->decoders[maker->next++ % DECODERS_MOST];
    decoder_free(decoder);
    decoder->kind = kind;
    decoder->context =
        OSSL_DECODER_CTX_new_for_pkey(&decoder->key, "DER", NULL, kind, EVP_PKEY_KEYPAIR, NULL, NULL);
    return decoder;
}

/* A key of the certificate's kind; NULL: it is another, or none. */
static EVP_PKEY *key_decode(struct identity_maker *maker, const char *kind, const unsigned char *data,
                            long length)
{
    struct key_decoder *decoder = decoder_of(maker, kind);
    size_t left = (size_t)length;
    EVP_PKEY *key = NULL;
    if (decoder->context != NULL && OSSL_DECODER_from_data(decoder->context, &data, &left) == 1)
        key = decoder->key;
    decoder->key = NULL;
    if (key == NULL)
        decoder_free(decoder); /* what an error leaves behind in it is not known */
    ERR_clear_error();
    return key;
}

/* The first PEM block that is a private key. */
static bool key_block(struct span bytes, unsigned char **data, long *length)
{
    BIO *file = BIO_new_mem_buf(bytes.at, (int)bytes.length);
    char *name, *header;
    bool found = false;
    while (!found && file != NULL && PEM_read_bio(file, &name, &header, data, length) == 1) {
        size_t end = strlen(name), tail = sizeof PEM_STRING_PKCS8INF - 1;
        found = end >= tail && strcmp(name + end - tail, PEM_STRING_PKCS8INF) == 0;
        if (!found)
            OPENSSL_free(*data);
        OPENSSL_free(name);
        OPENSSL_free(header);
    }
    BIO_free(file);
    ERR_clear_error();
    return found;
}

static bool key_take(struct identity_maker *maker, struct identity *identity,
                     const struct identity_wish *wish, struct span bytes, struct error *error)
{
    unsigned char *data = NULL;
    long length = 0;
    if (!key_block(bytes, &data, &length))
        return error_set(error, "%s holds no private key in PEM", wish->key);
    const char *kind = EVP_PKEY_get0_type_name(X509_get0_pubkey(identity->leaf));
    identity->key = key_decode(maker, kind != NULL ? kind : "", data, length);
    const unsigned char *at = data;
    EVP_PKEY *other = identity->key == NULL ? d2i_AutoPrivateKey(NULL, &at, length) : NULL;
    const char *other_kind = other != NULL ? EVP_PKEY_get0_type_name(other) : NULL;
    if (identity->key == NULL && other_kind != NULL)
        error_set(error, "%s is not the key of %s: it is of kind %s, and the certificate's is of kind %s",
                  wish->key, wish->cert, other_kind, kind != NULL ? kind : "unknown");
    else if (identity->key == NULL)
        tls_error(error, "the private key in %s cannot be read", wish->key);
    ERR_clear_error();
    EVP_PKEY_free(other);
    OPENSSL_clear_free(data, (size_t)length);
    return identity->key != NULL;
}

/* A key file tells its public part as well, which may be that of another: what counts is that the certificate
 * verifies what the key has signed. */
static bool key_signs(struct identity_maker *maker, const struct identity *identity)
{
    static const unsigned char words[] = "weir asks each key to sign once";
    size_t length = (size_t)EVP_PKEY_get_size(identity->key);
    unsigned char *signature = xmalloc(length + 1);
    EVP_MD_CTX *context = maker->signing;
    bool signs = EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, identity->key, NULL) == 1 &&
                 EVP_DigestSign(context, signature, &length, words, sizeof words) == 1;
    EVP_MD_CTX_reset(context);
    signs = signs &&
            EVP_DigestVerifyInit_ex(context, NULL, NULL, NULL, NULL, X509_get0_pubkey(identity->leaf),
                                    NULL) == 1 &&
            EVP_DigestVerify(context, signature, length, words, sizeof words) == 1;
    EVP_MD_CTX_reset(context);
    free(signature);
    return signs;
}

static bool key_fits(struct identity_maker *maker, const struct identity *identity,
                     const struct identity_wish *wish, struct error *error)
{
    if (X509_check_private_key(identity->leaf, identity->key) != 1) {
        ERR_clear_error();
        STACK_OF(X509) *others = identity->chain->certificates;
        for (int i = 0; i < sk_X509_num(others); i++)
            if (X509_check_private_key(sk_X509_value(others, i), identity->key) == 1)
                return error_set(
                    error,
                    "%s is the key of certificate %d in %s, which has to stand first, its issuers behind it",
                    wish->key, i + 2, wish->cert);
        ERR_clear_error();
        return error_set(error, "%s is not the key of %s", wish->key, wish->cert);
    }
    if (!maker->thorough && tls_key_is_proven(identity->leaf, identity->key, &maker->curve))
        return true;
    return key_signs(maker, identity) ||
           tls_error(error, "%s does not sign for %s: its private part is not that of its public part",
                     wish->key, wish->cert);
}

/* ---- both ---- */

static void name_take(struct identity *identity, const char *name, size_t length)
{
    if (length == 0 || length >= TLS_NAME_MOST || memchr(name, '\0', length) != NULL)
        return;
    if ((identity->names_count & (identity->names_count - 1)) == 0)
        identity->names = xrealloc(
            identity->names, (identity->names_count == 0 ? 1 : identity->names_count * 2) * sizeof(char *));
    char *copy = xmalloc(length + 1);
    memcpy(copy, name, length);
    copy[length] = '\0';
    identity->names[identity->names_count++] = copy;
}

/* The names in the certificate: its SAN, or the common name when it has none (for home-made certificates). */
static void names_take(struct identity *identity)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(identity->leaf, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            name_take(identity, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                      (size_t)ASN1_STRING_length(name->d.dNSName));
    }
    char common[TLS_NAME_MOST];
    int length = names == NULL ? X509_NAME_get_text_by_NID(X509_get_subject_name(identity->leaf),
                                                           NID_commonName, common, sizeof common)
                               : 0;
    if (length > 0)
        name_take(identity, common, (size_t)length);
    GENERAL_NAMES_free(names);
}

static bool identity_fill(struct identity_maker *maker, struct identity *identity, struct blocks *blocks,
                          const struct identity_wish *wish, struct span key, struct identity_problem *problem)
{
    struct error *error = &problem->error;
    identity->leaf = certificate_of(blocks, 0, wish->cert, error);
    if (identity->leaf == NULL || (identity->chain = chain_get(maker, blocks, wish, error)) == NULL)
        return false;
    identity->begins = identity->chain->begins;
    identity->ends = identity->chain->ends;
    keep_shortest(identity->leaf, &identity->begins, &identity->ends);
    names_take(identity);
    tls_judge_usage(identity->leaf, wish->client, &identity->warnings);
    if (!tls_judge_key(maker->scratch, identity->leaf, wish->cert, error) ||
        !tls_judge_issuers(identity->leaf, identity->chain->certificates, maker->thorough, wish->cert,
                           &identity->warnings, error))
        return false;
    problem->of_key = true;
    return key_take(maker, identity, wish, key, error) && key_fits(maker, identity, wish, error) &&
           (X509_digest(identity->leaf, maker->sha256, identity->digest, NULL) == 1 ||
            tls_error(error, "%s: no digest of it can be made", wish->cert));
}

struct identity *identity_make(struct identity_maker *maker, const struct identity_wish *wish,
                               struct span cert, struct span key, struct identity_problem *problem)
{
    struct identity *identity = xcalloc(1, sizeof *identity);
    struct blocks blocks = {.count = 0};
    SSL_CTX_set_security_level(maker->scratch, wish->level);
    bool made = blocks_read(&blocks, wish->cert, cert, &problem->error) &&
                identity_fill(maker, identity, &blocks, wish, key, problem);
    blocks_free(&blocks);
    if (made)
        return identity;
    identity_free(identity);
    return NULL;
}

bool identity_fits_cipher(const struct identity *identity, const SSL_CIPHER *cipher)
{
    int kind = EVP_PKEY_get_base_id(identity->key);
    int wanted = kind == EVP_PKEY_RSA || kind == EVP_PKEY_RSA_PSS ? NID_auth_rsa : NID_auth_ecdsa;
    return SSL_CIPHER_get_auth_nid(cipher) == wanted;
}

bool identity_serves_cipher(const struct identity *identity, const SSL_CIPHER *cipher)
{
    int exchange = SSL_CIPHER_get_kx_nid(cipher);
    bool deciphers = EVP_PKEY_get_base_id(identity->key) == EVP_PKEY_RSA;
    return identity_fits_cipher(identity, cipher) &&
           (exchange == NID_kx_ecdhe || (exchange == NID_kx_rsa && deciphers));
}

void identity_free(struct identity *identity)
{
    if (identity == NULL)
        return;
    for (size_t i = 0; i < identity->names_count; i++)
        free(identity->names[i]);
    free(identity->names);
    X509_free(identity->leaf);
    EVP_PKEY_free(identity->key);
    free(identity->warnings);
    free(identity);
}
