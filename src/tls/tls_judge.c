/*
 * What handshakes would say of a certificate, said when it is loaded. Of keys and signatures OpenSSL itself
 * is asked, with the security level of the listener, so that the judge and the handshake agree. What only
 * clients look at (dates, purposes, order) is warned of.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/tls_error.h"
#include "tls/tls_files.h"

void tls_warn(char **lines, const char *format, ...)
{
    struct error line;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line.text, sizeof line.text, format, arguments);
    va_end(arguments);
    size_t before = *lines != NULL ? strlen(*lines) : 0, more = strlen(line.text);
    *lines = xrealloc(*lines, before + more + 2);
    if (before != 0)
        (*lines)[before++] = '\n';
    memcpy(*lines + before, line.text, more + 1);
}

const char *tls_subject(X509 *certificate, char *memory, size_t size)
{
    BIO *text = BIO_new(BIO_s_mem());
    char *at = NULL;
    long length = 0;
    if (text != NULL && X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0,
                                           XN_FLAG_ONELINE & ~XN_FLAG_SPC_EQ) >= 0)
        length = BIO_get_mem_data(text, &at);
    (void)snprintf(memory, size, "%.*s", (int)length, at != NULL ? at : "");
    BIO_free(text);
    return memory;
}

static bool seconds_of(const ASN1_TIME *time, int64_t *seconds)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return false;
    *seconds = (int64_t)timegm(&parts);
    return true;
}

bool tls_valid_from(const X509 *certificate, int64_t *seconds)
{
    return seconds_of(X509_get0_notBefore(certificate), seconds);
}

bool tls_valid_until(const X509 *certificate, int64_t *seconds)
{
    return seconds_of(X509_get0_notAfter(certificate), seconds);
}

/* ---- keys and signatures ---- */

static const char *key_words(EVP_PKEY *key, char *memory, size_t size)
{
    char group[64];
    const char *kind = EVP_PKEY_get0_type_name(key);
    if (EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1)
        (void)snprintf(memory, size, "%s on %s", kind != NULL ? kind : "a key", group);
    else
        (void)snprintf(memory, size, "%s of %d bits", kind != NULL ? kind : "a key", EVP_PKEY_get_bits(key));
    return memory;
}

static const char *signature_words(const X509 *certificate)
{
    const char *name = OBJ_nid2ln(X509_get_signature_nid(certificate));
    return name != NULL ? name : "an unknown algorithm";
}

static int bits_of(int level)
{
    static const int bits[] = {0, 80, 112, 128, 192, 256}; /* SSL_CTX_set_security_level(3) */
    return level <= 0 ? 0 : level < (int)COUNT_OF(bits) ? bits[level] : 256;
}

static bool is_self_signed(X509 *certificate)
{
    return (X509_get_extension_flags(certificate) & EXFLAG_SS) != 0;
}

/* Nobody looks at the signature of one that has signed itself. */
static bool signature_is_weak(X509 *certificate, int level)
{
    int bits = -1;
    return !is_self_signed(certificate) &&
           (X509_get_signature_info(certificate, NULL, NULL, &bits, NULL) != 1 || bits < bits_of(level));
}

static bool refused_signature(const X509 *certificate, const char *what, const char *path,
                              struct error *error)
{
    return error_set(error,
                     "%s: the signature of %s is too weak (%s), so every handshake would fail; have one "
                     "issued that is signed with SHA-256",
                     path, what, signature_words(certificate));
}

/* OpenSSL's reasons as sentences; `what` is the certificate. */
static bool refused(X509 *certificate, const char *what, const char *path, struct error *error)
{
    char key[96];
    unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    switch (ERR_GET_REASON(code)) {
    case SSL_R_EE_KEY_TOO_SMALL:
    case SSL_R_CA_KEY_TOO_SMALL:
        return error_set(error,
                         "%s: the key of %s is too weak (%s), so every handshake would fail; have one issued "
                         "for RSA of 2048 bits or more, or for ECDSA on P-256",
                         path, what, key_words(X509_get0_pubkey(certificate), key, sizeof key));
    case SSL_R_CA_MD_TOO_WEAK:
        return refused_signature(certificate, what, path, error);
    default:
        return error_set(error, "%s: %s cannot be used: %s", path, what,
                         ERR_reason_error_string(code) != NULL ? ERR_reason_error_string(code)
                                                               : "unknown reason");
    }
}

/* A kind of key, and a curve, that clients take in a handshake: RFC 8446 4.2.3 less what is not for TLS 1.3,
 * which no client of today offers for TLS 1.2 either. */
static bool is_for_handshakes(EVP_PKEY *key)
{
    static const char *const kinds[] = {"RSA", "RSA-PSS", "ED25519", "ED448"};
    static const char *const curves[] = {"prime256v1", "P-256", "secp384r1", "P-384", "secp521r1", "P-521"};
    char group[64] = "";
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (EVP_PKEY_is_a(key, kinds[i]))
            return true;
    if (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1)
        return false;
    for (size_t i = 0; i < COUNT_OF(curves); i++)
        if (strcmp(group, curves[i]) == 0)
            return true;
    return false;
}

bool tls_judge_key(SSL_CTX *scratch, X509 *leaf, const char *path, struct error *error)
{
    char key[96];
    EVP_PKEY *public = X509_get0_pubkey(leaf);
    if (SSL_CTX_use_certificate(scratch, leaf) != 1)
        return refused(leaf, "the certificate", path, error);
    /* OpenSSL 3.5 has servers send one whose signature is weak; its clients refuse it as those of 3.0 do. */
    if (signature_is_weak(leaf, SSL_CTX_get_security_level(scratch)))
        return refused_signature(leaf, "the certificate", path, error);
    return is_for_handshakes(public) ||
           error_set(error,
                     "%s: clients do not take the certificate's kind of key (%s), so every handshake would "
                     "fail; have one issued for RSA or for ECDSA on P-256, P-384 or P-521",
                     path, key_words(public, key, sizeof key));
}

bool tls_judge_chain(SSL_CTX *scratch, STACK_OF(X509) * chain, const char *path, struct error *error)
{
    char subject[160], what[192];
    if (sk_X509_num(chain) == 0)
        return true;
    /* The chain hangs on a certificate, whichever. */
    SSL_CTX_clear_chain_certs(scratch);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *certificate = sk_X509_value(chain, i);
        bool added = SSL_CTX_add1_chain_cert(scratch, certificate) == 1;
        if (added && !signature_is_weak(certificate, SSL_CTX_get_security_level(scratch)))
            continue;
        (void)snprintf(what, sizeof what, "certificate %d of the file (%s)", i + 2,
                       tls_subject(certificate, subject, sizeof subject));
        return added ? refused_signature(certificate, what, path, error)
                     : refused(certificate, what, path, error);
    }
    SSL_CTX_clear_chain_certs(scratch);
    return true;
}

/* ---- who issued whom ---- */

/* A signature takes as long to verify as a third of all the rest: of thousands of leaves, where both sides
 * name the issuer's key (RFC 5280 4.2.1.1), that it is the same has to do. */
static bool names_key(X509 *issuer, X509 *issued)
{
    return X509_get0_subject_key_id(issuer) != NULL && X509_get0_authority_key_id(issued) != NULL;
}

static bool judge_issuer(X509 *issuer, int place, X509 *issued, bool thorough, const char *path,
                         char **warnings, struct error *error)
{
    char one[160], other[160];
    if (X509_check_issued(issuer, issued) != X509_V_OK) {
        tls_warn(warnings,
                 "certificate %d of the file (%s) did not issue the one before it (%s); clients may not find "
                 "the chain: leaf first, then each with its issuer behind it",
                 place, tls_subject(issuer, one, sizeof one), tls_subject(issued, other, sizeof other));
        return true;
    }
    if ((!thorough && names_key(issuer, issued)) || X509_verify(issued, X509_get0_pubkey(issuer)) == 1)
        return true;
    ERR_clear_error();
    return error_set(error, "%s: certificate %d (%s) says that %s has signed it, and the signature is wrong",
                     path, place - 1, tls_subject(issued, one, sizeof one),
                     tls_subject(issuer, other, sizeof other));
}

bool tls_judge_issuers(X509 *leaf, STACK_OF(X509) * chain, bool thorough, const char *path, char **warnings,
                       struct error *error)
{
    if (leaf != NULL)
        return sk_X509_num(chain) == 0 ||
               judge_issuer(sk_X509_value(chain, 0), 2, leaf, thorough, path, warnings, error);
    for (int i = 1; i < sk_X509_num(chain); i++)
        if (!judge_issuer(sk_X509_value(chain, i), i + 2, sk_X509_value(chain, i - 1), thorough, path,
                          warnings, error))
            return false;
    return true;
}

/* ---- purposes ---- */

void tls_judge_usage(X509 *leaf, bool client, char **warnings)
{
    uint32_t wanted = client ? XKU_SSL_CLIENT : XKU_SSL_SERVER;
    uint32_t purposes = X509_get_extended_key_usage(leaf); /* all bits where nothing is said */
    if ((purposes & (wanted | XKU_ANYEKU)) == 0)
        tls_warn(warnings, "the certificate is not for %s (its extended key usage lacks %sAuth)",
                 client ? "clients" : "servers", client ? "client" : "server");
    if ((X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) == 0)
        tls_warn(warnings, "the certificate's key is not for signing (its key usage lacks digitalSignature)");
}

/* ---- authorities ---- */

static bool has_issuer(X509 *authority, STACK_OF(X509) * all)
{
    for (int i = 0; i < sk_X509_num(all); i++)
        if (X509_check_issued(sk_X509_value(all, i), authority) == X509_V_OK)
            return true;
    return false;
}

bool tls_judge_authority(X509 *authority, STACK_OF(X509) * all, int level, char *why, size_t size)
{
    char key[96];
    EVP_PKEY *public = X509_get0_pubkey(authority);
    if (public == NULL || EVP_PKEY_get_security_bits(public) < bits_of(level))
        (void)snprintf(why, size, "its key is too weak (%s)",
                       public != NULL ? key_words(public, key, sizeof key) : "unknown");
    else if (!is_self_signed(authority) && X509_check_ca(authority) == 0)
        (void)snprintf(why, size, "it is no authority's (basicConstraints lacks CA:TRUE)");
    else if (!is_self_signed(authority) && !has_issuer(authority, all))
        (void)snprintf(why, size, "it is not a root, and its issuer is not in the file");
    else if (signature_is_weak(authority, level))
        (void)snprintf(why, size, "its signature is too weak (%s)", signature_words(authority));
    else
        return true;
    return false;
}
