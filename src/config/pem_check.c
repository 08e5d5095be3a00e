/*
 * Certificates and keys by the first lines of their files: whether the one stands where the other is meant,
 * whether a key waits for a passphrase, whether it is PEM at all. What is in them is judged by the room that
 * uses them.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "config/pem_check.h"

#include "base/text.h"
#include "config/config.h"
#include "config/config_schema.h"
#include "schema/schema.h"

#define LOOKED_AT 16384

/* What keeps keys and certificates otherwise, by the bytes or lines that it begins with or has, and how to
 * get PEM out of it. */
struct format {
    const char *noun;
    const char *to_certificate, *to_key; /* commands; %s is the file; NULL: it has none */
};
static const struct format pkcs12 = {"PKCS#12, as .p12 and .pfx files are",
                                     "openssl pkcs12 -in %s -nokeys -out cert.pem",
                                     "openssl pkcs12 -in %s -nocerts -noenc -out key.pem"};
static const struct format pkcs7 = {"PKCS#7, as .p7b files are",
                                    "openssl pkcs7 -print_certs -in %s -out cert.pem", NULL};
static const struct format pkcs7_der = {"PKCS#7 in binary, as .p7b files are",
                                        "openssl pkcs7 -inform der -print_certs -in %s -out cert.pem", NULL};
static const struct format der_certificate = {"a certificate in binary (DER)",
                                              "openssl x509 -inform der -in %s -out cert.pem", NULL};
static const struct format der_key = {"a key in binary (DER)", NULL,
                                      "openssl pkey -inform der -in %s -out key.pem"};
static const struct format der = {"binary (DER)", "openssl x509 -inform der -in %s -out cert.pem",
                                  "openssl pkey -inform der -in %s -out key.pem"};
static const struct format java = {
    "a key store of Java",
    "keytool -importkeystore -srckeystore %s -destkeystore store.p12 -deststoretype pkcs12",
    "keytool -importkeystore -srckeystore %s -destkeystore store.p12 -deststoretype pkcs12"};
static const struct format openssh = {"a key in the format of OpenSSH", NULL,
                                      "ssh-keygen -p -m pem -N '' -f %s, which changes the file itself"};
static const struct format request = {"a request for a certificate", NULL, NULL};
static const struct format public_key = {"a public key", NULL, NULL};

/* Of DER: an outermost sequence; what it begins with tells which. */
static const struct format *der_format(const unsigned char *at, size_t length)
{
    static const unsigned char signed_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                                0xf7, 0x0d, 0x01, 0x07, 0x02};
    if (length >= 4 && memcmp(at, "\xfe\xed\xfe\xed", 4) == 0)
        return &java;
    if (length < 2 || at[0] != 0x30 || (at[1] < 0x80 && length != at[1] + (size_t)2))
        return NULL;
    size_t head = at[1] < 0x80 ? 2 : 2u + (at[1] & 0x7fu);
    if (at[1] == 0x80)
        return &pkcs12; /* of a length that is not told beforehand */
    if (head > 6 || head + sizeof signed_data > length)
        return at[1] > 0x80 ? &der : NULL;
    if (memcmp(at + head, signed_data, sizeof signed_data) == 0)
        return &pkcs7_der;
    if (at[head] == 0x02 && at[head + 1] == 1 && at[head + 2] == 3)
        return &pkcs12;
    if (at[head] == 0x02)
        return &der_key;
    bool nested = at[head] == 0x30 && at[head + 1] >= 0x80;
    return nested ? &der_certificate : at[head] == 0x30 ? &der_key : NULL; /* that is encrypted */
}

static const struct format *text_format(const char *bytes)
{
    static const struct {
        const char *mark;
        const struct format *format;
    } marks[] = {{"BEGIN PKCS7-----", &pkcs7},
                 {"BEGIN OPENSSH PRIVATE", &openssh},
                 {"CERTIFICATE REQUEST-----", &request},
                 {"BEGIN PUBLIC KEY-----", &public_key},
                 {"ssh-", &public_key},
                 {"ecdsa-sha2-", &public_key}};
    for (size_t i = 0; i < COUNT_OF(marks); i++)
        if (strstr(bytes, marks[i].mark) != NULL)
            return marks[i].format;
    return NULL;
}

struct pem {
    bool read; /* false: it can't be, which is told already, or is not read now */
    bool certificate, key, encrypted;
    const struct format *format; /* that it has in place of PEM's; NULL: none that is known */
    bool whole;                  /* there is no more than what was looked at */
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
    pem.format = der_format((const unsigned char *)bytes, (size_t)length);
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
    pem.format = pem.format == NULL ? text_format(bytes) : pem.format;
    pem.key = pem.key && pem.format != &openssh;
    explicit_bzero(bytes, sizeof bytes);
    return pem;
}

static void format_tell(const char *const *field, const struct pem *pem, bool key,
                        const struct schema_document *document, struct schema_report *report)
{
    struct schema_place place = schema_place(document, field);
    const char *what = key ? "private key" : "certificate", *mark = key ? "PRIVATE KEY" : "CERTIFICATE";
    const char *command = pem->format == NULL ? NULL
                          : key               ? pem->format->to_key
                                              : pem->format->to_certificate;
    struct text how = text_growing();
    for (const char *at = command; at != NULL && *at != '\0'; at++) {
        bool file = at[0] == '%' && at[1] == 's';
        text_add(&how, file ? span_of(*field) : span_make(at, 1));
        at += file;
    }
    if (command != NULL)
        schema_report_add(report, SCHEMA_ERROR, place, "%s is %s, and PEM is read; convert it: %.*s", *field,
                          pem->format->noun, (int)how.length, how.at);
    else if (pem->format != NULL)
        schema_report_add(report, SCHEMA_ERROR, place, "%s is %s; name the file with the %s here", *field,
                          pem->format->noun, what);
    else
        schema_report_add(report, SCHEMA_ERROR, place,
                          "%s holds no %s in PEM; that begins with a line such as -----BEGIN %s-----", *field,
                          what, mark);
    text_free(&how);
}

static void certificate_tell(const char *const *field, const struct pem *pem,
                             const struct schema_document *document, struct schema_report *report)
{
    if (!pem->read || pem->certificate || (!pem->whole && pem->format == NULL))
        return;
    if (pem->key)
        schema_report_add(report, SCHEMA_ERROR, schema_place(document, field),
                          "%s holds a private key and no certificate; name the certificate's file here",
                          *field);
    else
        format_tell(field, pem, false, document, report);
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
    else if (pem->read && !pem->key && (pem->whole || pem->format != NULL))
        format_tell(field, pem, true, document, report);
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
