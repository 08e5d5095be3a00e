/* Certificates in a folder of their own, listeners' stores made of them, and real handshakes with those over
 * memory, for the tests of src/tls. */
#ifndef WEIR_TESTS_TLS_FIXTURE_H
#define WEIR_TESTS_TLS_FIXTURE_H

#include <dirent.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/listener_config.h"
#include "tls/tls_files.h"
#include "unit.h"

#define FIXTURE_PATH 320
#define FIXTURE_CERTIFICATES 8u
#define FIXTURE_DAY (24 * 3600L)

static char fixture_folder[] = "/tmp/weir-tls-test-XXXXXX";
static struct tls_files *fixture_files;

static inline int fixture_begin(void **state)
{
    (void)state;
    fixture_files = tls_files_new();
    return mkdtemp(fixture_folder) != NULL ? 0 : -1;
}

/* ---- keys: one of each kind is enough for all certificates of a program ---- */

static struct {
    const char *kind;
    EVP_PKEY *key;
} fixture_keys[FIXTURE_CERTIFICATES];

static inline EVP_PKEY *fixture_key_make(const char *kind)
{
    if (strncmp(kind, "ED", 2) == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, kind);
    if (strncmp(kind, "P-", 2) == 0)
        return EVP_EC_gen(kind);
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    assert_int_equal(EVP_PKEY_keygen_init(context), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048), 1);
    assert_int_equal(EVP_PKEY_generate(context, &key), 1);
    EVP_PKEY_CTX_free(context);
    return key;
}

static inline EVP_PKEY *fixture_key(const char *kind)
{
    for (size_t i = 0; i < COUNT_OF(fixture_keys); i++) {
        if (fixture_keys[i].kind == NULL) {
            fixture_keys[i].kind = kind;
            fixture_keys[i].key = fixture_key_make(kind);
            assert_non_null(fixture_keys[i].key);
        }
        if (strcmp(fixture_keys[i].kind, kind) == 0)
            return fixture_keys[i].key;
    }
    fail_msg("more kinds of keys than there is room for");
    return NULL;
}

/* ---- certificates ---- */

/* What a certificate is to be. Without an issuer it is an authority. */
struct fixture_certificate {
    const char *common_name;
    const char *names;       /* alternative names, as OpenSSL writes them; NULL: none */
    const char *kind;        /* of its key; NULL: P-256 */
    const char *issuer;      /* path of its authority, whose key is of kind P-384; NULL: itself */
    bool issues;             /* it is an authority below that one */
    long begins_in, ends_in; /* seconds from now; both 0: from a day ago to ten days ahead */
};

static inline void fixture_extend(X509 *certificate, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static inline X509 *fixture_read(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    assert_non_null(certificate);
    return certificate;
}

static inline X509 *fixture_certificate_make(const struct fixture_certificate *wanted)
{
    static long serial;
    bool authority = wanted->issuer == NULL, dated = wanted->begins_in != 0 || wanted->ends_in != 0;
    const char *kind = wanted->kind != NULL ? wanted->kind : authority ? "P-384" : "P-256";
    X509 *certificate = X509_new(), *issuer = authority ? certificate : fixture_read(wanted->issuer);
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), dated ? wanted->begins_in : -FIXTURE_DAY);
    X509_gmtime_adj(X509_getm_notAfter(certificate), dated ? wanted->ends_in : 10 * FIXTURE_DAY);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)wanted->common_name, -1,
                               -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    X509_set_pubkey(certificate, fixture_key(kind));
    if (authority || wanted->issues)
        fixture_extend(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE");
    if (wanted->names != NULL)
        fixture_extend(certificate, issuer, NID_subject_alt_name, wanted->names);
    assert_true(X509_sign(certificate, fixture_key("P-384"), EVP_sha256()) > 0);
    if (!authority)
        X509_free(issuer);
    return certificate;
}

/* Paths of files in the folder, which stay until the program ends. */
static inline const char *fixture_path(const char *name, const char *ending)
{
    static char paths[64][FIXTURE_PATH];
    static unsigned next;
    char *path = paths[next++ % COUNT_OF(paths)];
    snprintf(path, FIXTURE_PATH, "%s/%s%s", fixture_folder, name, ending);
    return path;
}

/* Writes NAME.crt, with the authority's certificate behind it where there is one, and NAME.key. */
static inline void fixture_write(const char *name, const struct fixture_certificate *wanted)
{
    X509 *certificate = fixture_certificate_make(wanted);
    FILE *file = fopen(fixture_path(name, ".crt"), "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    if (wanted->issuer != NULL) {
        X509 *issuer = fixture_read(wanted->issuer);
        assert_int_equal(PEM_write_X509(file, issuer), 1);
        X509_free(issuer);
    }
    assert_int_equal(fclose(file), 0);
    file = fopen(fixture_path(name, ".key"), "w");
    assert_non_null(file);
    const char *kind = wanted->kind != NULL ? wanted->kind : wanted->issuer == NULL ? "P-384" : "P-256";
    assert_int_equal(PEM_write_PrivateKey(file, fixture_key(kind), NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
    X509_free(certificate);
}

static inline const char *fixture_authority(const char *name)
{
    const char *path = fixture_path(name, ".crt");
    if (access(path, R_OK) != 0)
        fixture_write(name, &(struct fixture_certificate){.common_name = name});
    return path;
}

/* A server's certificate whose common name tells which it is. */
static inline void fixture_leaf(const char *name, const char *names, const char *kind)
{
    fixture_write(name, &(struct fixture_certificate){.common_name = name,
                                                      .names = names,
                                                      .kind = kind,
                                                      .issuer = fixture_authority("authority")});
}

/* ---- listeners ---- */

/* A listener's `tls:` as the file would say it; the rest is of fixture_listen(). */
struct fixture_listener {
    struct tls_config config;
    struct certificate_config certificates[FIXTURE_CERTIFICATES];
};

/* With the defaults of the file, and these certificates of the folder, in this order; NULL ends them. */
static inline struct fixture_listener fixture_listen(const char *const *names)
{
    struct fixture_listener listener = {.config = {.min_version = TLS_VERSION_1_2,
                                                   .max_version = TLS_VERSION_1_3,
                                                   .ciphers = TLS_CIPHERS,
                                                   .ciphersuites = TLS_CIPHERSUITES}};
    for (size_t i = 0; names[i] != NULL; i++) {
        assert_true(i < FIXTURE_CERTIFICATES);
        listener.certificates[i].cert = fixture_path(names[i], ".crt");
        listener.certificates[i].key = fixture_path(names[i], ".key");
        listener.config.certificates_count = i + 1;
    }
    return listener;
}
#define FIXTURE_LISTEN(...) fixture_listen((const char *const[]){__VA_ARGS__, NULL})

static inline struct tls_store *fixture_store_of(struct fixture_listener *listener, unsigned protocol_bits,
                                                 struct tls_tickets *tickets)
{
    struct error error = {.text = ""};
    listener->config.certificates = listener->certificates;
    tls_files_begin(fixture_files, 1, true, NULL);
    struct tls_store *store = tls_store_new(&listener->config, protocol_bits, fixture_files, tickets, &error);
    if (store == NULL)
        fail_msg("%s", error.text);
    return store;
}

static inline struct tls_store *fixture_store(struct fixture_listener listener)
{
    return fixture_store_of(&listener, PROTOCOL_HTTP_1 | PROTOCOL_H2, NULL);
}

/* ---- handshakes ---- */

/* What a client brings. */
struct fixture_client {
    const char *name;        /* that it asks for; NULL: none */
    int version;             /* TLS1_2_VERSION or TLS1_3_VERSION; 0: both */
    const char *algorithms;  /* of signatures, as OpenSSL writes them; NULL: OpenSSL's own */
    const char *ciphers;     /* of TLS 1.2; NULL: OpenSSL's own */
    const char *groups;      /* as OpenSSL writes them; NULL: OpenSSL's own */
    struct span protocols;   /* of ALPN, each with its length before it */
    const char *certificate; /* in the folder; NULL: it shows none */
    SSL_SESSION *session;    /* that it takes up again; NULL: none */
};
/* What came of it. */
struct fixture_visit {
    bool opened;          /* both sides say so */
    int alert;            /* that the client was sent; 0: none */
    bool resumed;         /* both sides say so */
    char shown[64];       /* common name of the server's certificate */
    int chain;            /* certificates that the server has sent */
    char protocol[16];    /* of ALPN */
    SSL_SESSION *session; /* with the ticket that came in this connection; NULL: none. The caller frees it */
};

static inline SSL_CTX *fixture_client_context(const struct fixture_client *client)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_non_null(context);
    if (client->version != 0) {
        SSL_CTX_set_min_proto_version(context, client->version);
        SSL_CTX_set_max_proto_version(context, client->version);
    }
    if (client->algorithms != NULL)
        assert_int_equal(SSL_CTX_set1_sigalgs_list(context, client->algorithms), 1);
    if (client->ciphers != NULL)
        assert_int_equal(SSL_CTX_set_cipher_list(context, client->ciphers), 1);
    if (client->groups != NULL)
        assert_int_equal(SSL_CTX_set1_groups_list(context, client->groups), 1);
    if (client->protocols.length != 0)
        SSL_CTX_set_alpn_protos(context, (const unsigned char *)client->protocols.at,
                                (unsigned)client->protocols.length);
    if (client->certificate != NULL) {
        assert_int_equal(
            SSL_CTX_use_certificate_chain_file(context, fixture_path(client->certificate, ".crt")), 1);
        assert_int_equal(
            SSL_CTX_use_PrivateKey_file(context, fixture_path(client->certificate, ".key"), SSL_FILETYPE_PEM),
            1);
    }
    return context;
}

/* Both sides take turns until neither gets on. */
static inline void fixture_shake(SSL *client, SSL *server, struct fixture_visit *visit)
{
    enum { TURNS = 8 }; /* more than any handshake has */
    char byte;
    int client_done = 0, server_done = 0;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        ERR_clear_error();
        client_done = client_done == 1 ? 1 : SSL_do_handshake(client);
        if (client_done == 1)
            (void)SSL_peek(client, &byte, 1); /* tickets and alerts that come behind it */
        int reason = ERR_GET_REASON(ERR_peek_last_error());
        if (reason > SSL_AD_REASON_OFFSET)
            visit->alert = reason - SSL_AD_REASON_OFFSET;
        ERR_clear_error();
        server_done = server_done == 1 ? 1 : SSL_do_handshake(server);
    }
    ERR_clear_error();
    visit->opened = client_done == 1 && server_done == 1 && visit->alert == 0;
}

static inline void fixture_note(SSL *client, SSL *server, struct fixture_visit *visit)
{
    const unsigned char *protocol;
    unsigned length;
    SSL_get0_alpn_selected(client, &protocol, &length);
    assert_true(length < sizeof visit->protocol);
    if (length != 0)
        memcpy(visit->protocol, protocol, length);
    X509 *shown = SSL_get0_peer_certificate(client);
    if (shown != NULL)
        X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, visit->shown,
                                  sizeof visit->shown);
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(client);
    visit->chain = chain != NULL ? sk_X509_num(chain) : 0;
    visit->resumed = SSL_session_reused(client) == 1 && SSL_session_reused(server) == 1;
}

/* A ticket that the client did not bring. */
static inline void fixture_take_ticket(SSL *client, const SSL_SESSION *brought, struct fixture_visit *visit)
{
    const unsigned char *ticket = NULL, *old = NULL;
    size_t length = 0, old_length = 0;
    SSL_SESSION *session = SSL_get0_session(client);
    SSL_SESSION_get0_ticket(session, &ticket, &length);
    if (brought != NULL)
        SSL_SESSION_get0_ticket(brought, &old, &old_length);
    if (length != 0 && (length != old_length || memcmp(ticket, old, length) != 0))
        visit->session = SSL_SESSION_dup(session);
}

static inline struct fixture_visit fixture_visit(struct tls_store *store, struct fixture_client client)
{
    struct fixture_visit visit = {.opened = false};
    SSL_CTX *context = fixture_client_context(&client);
    SSL *ours = SSL_new(store->context), *theirs = SSL_new(context);
    BIO *server_end, *client_end;
    assert_int_equal(BIO_new_bio_pair(&server_end, 1 << 16, &client_end, 1 << 16), 1);
    SSL_set_bio(ours, server_end, server_end);
    SSL_set_bio(theirs, client_end, client_end);
    SSL_set_accept_state(ours);
    SSL_set_connect_state(theirs);
    if (client.name != NULL)
        assert_int_equal(SSL_set_tlsext_host_name(theirs, client.name), 1);
    SSL_SESSION *session = client.session != NULL ? SSL_SESSION_dup(client.session) : NULL;
    if (session != NULL)
        assert_int_equal(SSL_set_session(theirs, session), 1);
    fixture_shake(theirs, ours, &visit);
    if (visit.opened) {
        fixture_note(theirs, ours, &visit);
        fixture_take_ticket(theirs, client.session, &visit);
    }
    SSL_set_shutdown(theirs, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* else its session is not kept */
    SSL_free(theirs);
    SSL_free(ours);
    SSL_SESSION_free(session);
    SSL_CTX_free(context);
    return visit;
}

/* ---- the end ---- */

static inline int fixture_end(void **state)
{
    (void)state;
    tls_files_free(fixture_files);
    for (size_t i = 0; i < COUNT_OF(fixture_keys); i++)
        EVP_PKEY_free(fixture_keys[i].key);
    DIR *folder = opendir(fixture_folder);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.')
            (void)unlink(fixture_path(entry->d_name, ""));
    if (folder != NULL)
        closedir(folder);
    return rmdir(fixture_folder);
}

#endif
