/*
 * Certificates and keys by the first lines of their files: whether the one stands where the other is meant,
 * whether a key waits for a passphrase, whether it is PEM at all. What is in them is judged by the room that
 * uses them.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "config/pem_check.h"

#include "config/config.h"
#include "config/config_schema.h"
#include "schema/schema.h"

#define LOOKED_AT 16384

struct pem {
    bool read; /* false: it can't be, which is told already, or is not read now */
    bool certificate, key, encrypted;
    bool der;   /* binary ASN.1 */
    bool whole; /* there is no more than what was looked at */
};

static struct pem pem_of(const char *const *field, const struct schema_document *document,
                         struct schema_report *report)
{
    char bytes[LOOKED_AT + 1];
    struct pem pem = {.read = false};
    if (!file_check(field, document, report))
        return pem;
    int file = open(*field, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t length = file >= 0 ? read(file, bytes, LOOKED_AT) : -1;
    if (file >= 0)
        (void)close(file);
    if (length < 0)
        return pem;
    pem.der = length > 1 && bytes[0] == 0x30 && (unsigned char)bytes[1] >= 0x80;
    for (ssize_t i = 0; i < length; i++)
        if (bytes[i] == '\0')
            bytes[i] = ' ';
    bytes[length] = '\0';
    pem.read = true;
    pem.whole = length < LOOKED_AT;
    pem.certificate = strstr(bytes, "CERTIFICATE-----") != NULL;
    pem.key = strstr(bytes, "PRIVATE KEY-----") != NULL;
    pem.encrypted = strstr(bytes, "BEGIN ENCRYPTED PRIVATE KEY-----") != NULL ||
                    strstr(bytes, "Proc-Type: 4,ENCRYPTED") != NULL;
    explicit_bzero(bytes, sizeof bytes);
    return pem;
}

static void format_tell(const char *const *field, const struct pem *pem, const char *what, const char *mark,
                        const char *command, const struct schema_document *document,
                        struct schema_report *report)
{
    struct schema_place place = schema_place(document, field);
    if (pem->der)
        schema_report_add(
            report, SCHEMA_ERROR, place,
            "%s is binary (DER or PKCS#12), and PEM is read; convert it: openssl %s -inform der -in %s",
            *field, command, *field);
    else
        schema_report_add(report, SCHEMA_ERROR, place,
                          "%s holds no %s in PEM; that begins with a line such as -----BEGIN %s-----", *field,
                          what, mark);
}

static void certificate_tell(const char *const *field, const struct pem *pem,
                             const struct schema_document *document, struct schema_report *report)
{
    if (!pem->read || pem->certificate || !pem->whole)
        return;
    if (pem->key)
        schema_report_add(report, SCHEMA_ERROR, schema_place(document, field),
                          "%s holds a private key and no certificate; name the certificate's file here",
                          *field);
    else
        format_tell(field, pem, "certificate", "CERTIFICATE", "x509", document, report);
}

static void key_tell(const char *const *field, const struct pem *pem, const struct schema_document *document,
                     struct schema_report *report)
{
    if (pem->read && pem->encrypted)
        schema_report_add(
            report, SCHEMA_ERROR, schema_place(document, field),
            "%s is encrypted, and nobody is there to type its passphrase; write it without one: openssl pkey -in "
            "%s -out NEW",
            *field, *field);
    else if (pem->read && !pem->key && pem->certificate && pem->whole)
        schema_report_add(report, SCHEMA_ERROR, schema_place(document, field),
                          "%s holds a certificate and no private key; name the key's file here", *field);
    else if (pem->read && !pem->key && pem->whole)
        format_tell(field, pem, "private key", "PRIVATE KEY", "pkey", document, report);
}

void pem_pair_check(const char *const *cert, const char *const *key, const struct schema_document *document,
                    struct schema_report *report)
{
    struct pem first = pem_of(cert, document, report), second = pem_of(key, document, report);
    bool swapped = first.read && second.read && first.whole && second.whole && first.key &&
                   !first.certificate && second.certificate && !second.key;
    if (swapped) {
        schema_report_add(report, SCHEMA_ERROR, schema_place(document, cert),
                          "cert and key are swapped: %s holds the private key and %s the certificate", *cert,
                          *key);
        return;
    }
    certificate_tell(cert, &first, document, report);
    key_tell(key, &second, document, report);
}

void pem_authority_check(const char *const *ca, const struct schema_document *document,
                         struct schema_report *report)
{
    struct pem pem = pem_of(ca, document, report);
    certificate_tell(ca, &pem, document, report);
}
