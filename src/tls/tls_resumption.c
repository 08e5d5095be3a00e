/*
 * Sessions that are taken up again (RFC 5077, RFC 8446 2.2). A full handshake looks at the client's
 * certificate and shows it ours; a resumed one does neither. So a ticket opens only where a full handshake
 * would end the same: under the same rule with the same authorities (the session id context), for the same
 * name, where the same certificate may be shown, and while the client's chain is valid. Anywhere else the
 * handshake is a full one, which costs the client a round trip and nothing more.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/tls_error.h"
#include "tls/tls_files.h"
#include "tls/tls_private.h"

_Static_assert(TLS_DIGEST_SIZE <= SSL_MAX_SID_CTX_LENGTH, "the digest of a rule is a session id context");

/* What a ticket holds beside the session; sealed with it, so its bytes are ours. */
struct ticket_data {
    int64_t valid_from, valid_until;      /* the whole chain that the client has shown; seconds */
    unsigned char shown[TLS_DIGEST_SIZE]; /* the certificate that it was shown */
};

/* ---- the rule ---- */

/* Each with its NUL or its length, so that no two rules are the same bytes. */
static bool add_text(EVP_MD_CTX *digest, const char *text)
{
    return EVP_DigestUpdate(digest, text, strlen(text) + 1) == 1;
}

static bool add_certificate(EVP_MD_CTX *digest, X509 *certificate)
{
    unsigned char *bytes = NULL;
    int length = i2d_X509(certificate, &bytes);
    bool added = length > 0 && EVP_DigestUpdate(digest, &length, sizeof length) == 1 &&
                 EVP_DigestUpdate(digest, bytes, (size_t)length) == 1;
    OPENSSL_free(bytes);
    return added;
}

/* What was loaded, and not what a file of that name holds by now. */
static bool take_authorities(EVP_MD_CTX *digest, struct tls_store *store)
{
    STACK_OF(X509_OBJECT) *trusted = X509_STORE_get0_objects(SSL_CTX_get_cert_store(store->context));
    if (EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1)
        return false;
    for (int i = 0; i < sk_X509_OBJECT_num(trusted); i++) {
        X509 *certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
        if (certificate != NULL && !add_certificate(digest, certificate))
            return false;
    }
    return EVP_DigestFinal_ex(digest, store->authorities, NULL) == 1;
}

static bool take_rule(EVP_MD_CTX *digest, struct tls_store *store, const struct tls_config *config)
{
    const unsigned numbers[] = {config->client_auth, config->min_version, config->max_version,
                                config->strict_sni, config->authority};
    return take_authorities(digest, store) && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
           EVP_DigestUpdate(digest, numbers, sizeof numbers) == 1 && add_text(digest, config->ciphers) &&
           add_text(digest, config->ciphersuites) &&
           EVP_DigestUpdate(digest, store->authorities, sizeof store->authorities) == 1 &&
           EVP_DigestFinal_ex(digest, store->rule, NULL) == 1;
}

bool tls_rule_take(struct tls_store *store, const struct tls_config *config, struct error *error)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool taken = digest != NULL && take_rule(digest, store, config) &&
                 SSL_CTX_set_session_id_context(store->context, store->rule, sizeof store->rule) == 1;
    EVP_MD_CTX_free(digest);
    return taken || tls_error(error, "can't make a digest of the rules for clients");
}

bool tls_store_same_rule(const struct tls_store *a, const struct tls_store *b)
{
    return memcmp(a->rule, b->rule, sizeof a->rule) == 0;
}

/* ---- what goes into a ticket ---- */

static bool seconds_of(const ASN1_TIME *time, int64_t *seconds)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return false;
    *seconds = timegm(&parts);
    return true;
}

/* When all certificates of the client's chain are valid; without one, always. */
static bool chain_times(SSL *ssl, struct ticket_data *data)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    data->valid_from = INT64_MIN;
    data->valid_until = INT64_MAX;
    if (SSL_get0_peer_certificate(ssl) != NULL && sk_X509_num(chain) <= 0)
        return false;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        int64_t from, until;
        const X509 *certificate = sk_X509_value(chain, i);
        if (!seconds_of(X509_get0_notBefore(certificate), &from) ||
            !seconds_of(X509_get0_notAfter(certificate), &until))
            return false;
        data->valid_from = from > data->valid_from ? from : data->valid_from;
        data->valid_until = until < data->valid_until ? until : data->valid_until;
    }
    return true;
}

static bool data_of(SSL_SESSION *session, struct ticket_data *data)
{
    void *bytes;
    size_t length;
    if (SSL_SESSION_get0_ticket_appdata(session, &bytes, &length) != 1 || length != sizeof *data)
        return false;
    memcpy(data, bytes, sizeof *data);
    return true;
}

size_t tls_identity_shown(SSL *ssl, const struct tls_store *store)
{
    struct tls_choice choice;
    struct ticket_data data;
    bool resumed = SSL_session_reused(ssl) == 1;
    const X509 *shown = SSL_get_certificate(ssl);
    if (!tls_store_choose(store, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), &choice) ||
        (resumed && !data_of(SSL_get_session(ssl), &data)))
        return store->identities_count;
    for (unsigned i = 0; i < choice.count; i++) {
        const struct identity *identity = store->identities[choice.identities[i]];
        if (resumed ? memcmp(identity->digest, data.shown, sizeof data.shown) == 0 : identity->leaf == shown)
            return choice.identities[i];
    }
    return store->identities_count;
}

static bool shown_digest(SSL *ssl, const struct tls_store *store, struct ticket_data *data)
{
    size_t shown = tls_identity_shown(ssl, store);
    if (shown == store->identities_count)
        return false;
    memcpy(data->shown, store->identities[shown]->digest, sizeof data->shown);
    return true;
}

/* A ticket of a resumed session goes on with what the full handshake has put into it. One that could not be
 * given its data opens nothing. */
static int ticket_filled(SSL *ssl, void *argument)
{
    struct ticket_data data = {0};
    SSL_SESSION *session = SSL_get_session(ssl);
    if (SSL_session_reused(ssl) != 1 && chain_times(ssl, &data) && shown_digest(ssl, argument, &data))
        (void)!SSL_SESSION_set1_ticket_appdata(session, &data, sizeof data);
    return 1;
}

/* ---- what a ticket opens ---- */

/* The name in the ClientHello that is being read (RFC 6066 3), which the library has not looked at yet. */
static struct span asked_name(SSL *ssl)
{
    enum { HEAD = 5 }; /* length of the list, kind of name, length of the name */
    const unsigned char *bytes;
    size_t length;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &length) != 1 || length <= HEAD)
        return SPAN_NONE;
    size_t name = (size_t)bytes[3] << 8 | bytes[4];
    return bytes[2] == TLSEXT_NAMETYPE_host_name && name == length - HEAD
               ? span_make((const char *)bytes + HEAD, name)
               : SPAN_NONE;
}

static bool may_be_shown(const struct tls_store *store, const char *name, const struct ticket_data *data)
{
    struct tls_choice choice;
    if (!tls_store_choose(store, name, &choice))
        return false;
    for (unsigned i = 0; i < choice.count; i++)
        if (memcmp(store->identities[choice.identities[i]]->digest, data->shown, sizeof data->shown) == 0)
            return true;
    return false;
}

static bool ticket_holds(SSL *ssl, const struct tls_store *store, SSL_SESSION *session)
{
    struct ticket_data data;
    const char *name = SSL_SESSION_get0_hostname(session);
    if (!data_of(session, &data))
        return false;
    int64_t now = time(NULL);
    if (now < data.valid_from || now > data.valid_until)
        return false;
    if (store->client_auth == CLIENT_AUTH_REQUIRED && SSL_SESSION_get0_peer(session) == NULL)
        return false;
    return span_equal_nocase(asked_name(ssl), name != NULL ? span_of(name) : SPAN_NONE) &&
           may_be_shown(store, name, &data);
}

static SSL_TICKET_RETURN ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *key_name,
                                       size_t key_name_length, SSL_TICKET_STATUS status, void *argument)
{
    (void)key_name;
    (void)key_name_length;
    if ((status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) ||
        !ticket_holds(ssl, argument, session))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

void tls_resumption_use(struct tls_store *store)
{
    SSL_CTX_set_session_ticket_cb(store->context, ticket_filled, ticket_opened, store);
}
