/* Makes a certificate with OpenSSL. What real ones need (requests, authorities) is left to the tools that do
 * that. */
#include "tls/tls_self_signed.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

#include "base/attributes.h"
#include "base/rng.h"

#define VALID_SECONDS (30L * 24 * 3600)

static bool self_signed_add(X509 *certificate, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    if (extension == NULL)
        return false;
    bool added = X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool self_signed_fill(X509 *certificate, EVP_PKEY *key, const char *names)
{
    static const struct {
        int kind;
        const char *value;
    } extensions[] = {
        {NID_basic_constraints, "critical,CA:TRUE"},
        {NID_key_usage, "critical,digitalSignature,keyCertSign"},
        {NID_ext_key_usage, "serverAuth"},
        {NID_subject_key_identifier, "hash"},
    };
    uint64_t serial;
    random_secret(&serial, sizeof serial);
    X509_NAME *name = X509_get_subject_name(certificate);
    const unsigned char *common = (const unsigned char *)"weir demo";
    bool filled = X509_set_version(certificate, X509_VERSION_3) == 1 &&
                  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1) == 1 &&
                  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != NULL &&
                  X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_SECONDS) != NULL &&
                  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common, -1, -1, 0) == 1 &&
                  X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1;
    for (size_t i = 0; filled && i < COUNT_OF(extensions); i++)
        filled = self_signed_add(certificate, extensions[i].kind, extensions[i].value);
    return filled && self_signed_add(certificate, NID_subject_alt_name, names) &&
           X509_sign(certificate, key, EVP_sha256()) != 0;
}

static FILE *self_signed_open(const char *path, unsigned mode, struct error *error)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
    if (file == NULL)
        error_set_errno(error, errno, "cannot write %s", path);
    return file;
}

static bool self_signed_write(const char *path, unsigned mode, X509 *certificate, EVP_PKEY *key,
                              struct error *error)
{
    FILE *file = self_signed_open(path, mode, error);
    if (file == NULL)
        return false;
    int written = certificate != NULL ? PEM_write_X509(file, certificate)
                                      : PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    int closed = fclose(file);
    if (written != 1 || closed != 0)
        return error_set(error, "cannot write %s", path);
    return true;
}

bool tls_self_signed(const char *certificate_path, const char *key_path, const char *names,
                     struct error *error)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    bool made = key != NULL && certificate != NULL && self_signed_fill(certificate, key, names);
    if (!made)
        error_set(error, "cannot make a certificate: %s", ERR_reason_error_string(ERR_get_error()));
    made = made && self_signed_write(key_path, 0600, NULL, key, error) &&
           self_signed_write(certificate_path, 0644, certificate, NULL, error);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return made;
}
