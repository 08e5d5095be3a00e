#include "oracle/certificate.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle/settings.h"

static void want(int good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "oracle: %s failed\n", what);
    exit(2);
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    want(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, "an extension");
    X509_EXTENSION_free(extension);
}

/* issuer NULL: it is its own. */
static X509 *make(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, long serial)
{
    X509 *certificate = X509_new();
    want(certificate != NULL, "X509_new");
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 7 * 24 * 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509 *by = issuer != NULL ? issuer : certificate;
    X509_set_issuer_name(certificate, X509_get_subject_name(by));
    add_extension(certificate, by, NID_subject_key_identifier, "hash");
    if (issuer == NULL) {
        add_extension(certificate, by, NID_basic_constraints, "critical,CA:TRUE");
        add_extension(certificate, by, NID_key_usage, "critical,keyCertSign");
    } else {
        add_extension(certificate, by, NID_authority_key_identifier, "keyid");
        add_extension(certificate, by, NID_key_usage, "critical,digitalSignature");
        add_extension(certificate, by, NID_subject_alt_name,
                      "DNS:p0.test,DNS:p1.test,DNS:p2.test,DNS:p3.test,IP:127.0.0.1");
    }
    want(X509_sign(certificate, issuer_key, EVP_sha256()) != 0, "signing a certificate");
    return certificate;
}

static FILE *create(const char *folder, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    want(file != NULL, path);
    return file;
}

static void write_certificate(const char *folder, const char *name, X509 *certificate)
{
    FILE *file = create(folder, name);
    want(PEM_write_X509(file, certificate) == 1 && fclose(file) == 0, "writing a certificate");
}

static void write_all(const char *folder)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    want(ca_key != NULL && key != NULL, "making a key");
    X509 *ca = make("the oracle's authority", ca_key, NULL, ca_key, 1);
    X509 *leaf = make("p0.test", key, ca, ca_key, 2);
    write_certificate(folder, "ca.crt", ca);
    write_certificate(folder, "leaf.crt", leaf);
    FILE *file = create(folder, "leaf.key");
    want(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(file) == 0,
         "writing a key");
    X509_free(ca);
    X509_free(leaf);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
}

/* ---- TLS ---- */

/* A list of one protocol, as ALPN has it. */
static const unsigned char protocols[2][10] = {"\x08http/1.1", "\x02h2"};

static unsigned length_of(const unsigned char *protocol)
{
    return protocol[0] + 1u;
}

/* A server speaks one protocol; weir offers that, or none. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *length,
                           const unsigned char *offered, unsigned offered_length, void *owner)
{
    const unsigned char *wanted = owner;
    (void)ssl;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, length, wanted, length_of(wanted), offered, offered_length) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *context(const SSL_METHOD *method)
{
    SSL_CTX *tls = SSL_CTX_new(method);
    want(tls != NULL, "SSL_CTX_new");
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return tls;
}

static void load(SSL_CTX *tls, const char *folder)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/leaf.crt", folder);
    want(SSL_CTX_use_certificate_file(tls, path, SSL_FILETYPE_PEM) == 1, "loading the certificate");
    (void)snprintf(path, sizeof path, "%s/leaf.key", folder);
    want(SSL_CTX_use_PrivateKey_file(tls, path, SSL_FILETYPE_PEM) == 1, "loading the key");
}

void certificate_prepare(const char *folder)
{
    write_all(folder);
    for (unsigned i = 0; i < 2; i++) {
        settings.client_tls[i] = context(TLS_client_method());
        want(SSL_CTX_set_alpn_protos(settings.client_tls[i], protocols[i], length_of(protocols[i])) == 0,
             "setting ALPN");
        settings.server_tls[i] = context(TLS_server_method());
        load(settings.server_tls[i], folder);
        SSL_CTX_set_alpn_select_cb(settings.server_tls[i], choose_protocol, (void *)(uintptr_t)protocols[i]);
    }
}
