/*
 * make_certificates FOLDER COUNT p256|rsa2048 : N.crt (leaf and the authority between) and N.key for N below
 * COUNT, each for the name nN.test, and ca.crt. RSA keys take long to make, so of those there are 64, in
 * turns. For tests of loading.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RSA_KEYS 64

static void need(int fine, const char *what)
{
    if (!fine) {
        fprintf(stderr, "make_certificates: %s failed\n", what);
        exit(1);
    }
}

static EVP_PKEY *key_new(int rsa)
{
    EVP_PKEY *key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    need(key != NULL, "making a key");
    return key;
}

static void extend(X509 *certificate, X509 *issuer, int number, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, number, value);
    need(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

/* name: of the leaf; NULL: an authority */
static X509 *certificate_new(long serial, const char *common, const char *name, EVP_PKEY *key, X509 *issuer,
                             EVP_PKEY *issuer_key)
{
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 90L * 86400);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)common, -1, -1, 0);
    X509_set_issuer_name(certificate, issuer != NULL ? X509_get_subject_name(issuer) : subject);
    X509_set_pubkey(certificate, key);
    issuer = issuer != NULL ? issuer : certificate;
    extend(certificate, issuer, NID_basic_constraints,
           name != NULL ? "critical,CA:FALSE" : "critical,CA:TRUE");
    extend(certificate, issuer, NID_key_usage,
           name != NULL ? "critical,digitalSignature" : "critical,keyCertSign,cRLSign");
    extend(certificate, issuer, NID_subject_key_identifier, "hash");
    extend(certificate, issuer, NID_authority_key_identifier, "keyid");
    if (name != NULL) {
        extend(certificate, issuer, NID_ext_key_usage, "serverAuth,clientAuth");
        extend(certificate, issuer, NID_subject_alt_name, name);
    }
    need(X509_sign(certificate, issuer_key, EVP_sha256()) > 0, "signing");
    return certificate;
}

static FILE *file_open(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    need(file != NULL, path);
    return file;
}

static void leaf_write(const char *folder, long number, EVP_PKEY *key, X509 *between, EVP_PKEY *between_key)
{
    char name[80], common[64], path[64];
    snprintf(common, sizeof common, "n%ld.test", number);
    snprintf(name, sizeof name, "DNS:%s", common);
    X509 *leaf = certificate_new(number + 10, common, name, key, between, between_key);
    snprintf(path, sizeof path, "%ld.crt", number);
    FILE *file = file_open(folder, path);
    need(PEM_write_X509(file, leaf) == 1 && PEM_write_X509(file, between) == 1, path);
    fclose(file);
    snprintf(path, sizeof path, "%ld.key", number);
    file = file_open(folder, path);
    need(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1, path);
    fclose(file);
    X509_free(leaf);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: make_certificates FOLDER COUNT p256|rsa2048\n");
        return 2;
    }
    int rsa = strcmp(argv[3], "rsa2048") == 0;
    EVP_PKEY *root_key = key_new(rsa), *between_key = key_new(rsa), *keys[RSA_KEYS] = {NULL};
    X509 *root = certificate_new(1, "root", NULL, root_key, NULL, root_key);
    X509 *between = certificate_new(2, "between", NULL, between_key, root, root_key);
    FILE *file = file_open(argv[1], "ca.crt");
    need(PEM_write_X509(file, root) == 1, "ca.crt");
    fclose(file);
    for (long i = 0; i < atol(argv[2]); i++) {
        EVP_PKEY **key = &keys[i % RSA_KEYS];
        if (*key == NULL || !rsa) {
            EVP_PKEY_free(*key);
            *key = key_new(rsa);
        }
        leaf_write(argv[1], i, *key, between, between_key);
    }
    return 0;
}
