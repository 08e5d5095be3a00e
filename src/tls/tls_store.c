/*
 * Certificates by name. One SSL_CTX a listener; the certificate callback puts the chosen certificate and key
 * into the connection's SSL, so thousands of names cost their certificates and not thousands of contexts.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/text.h"
#include "config/listener_config.h"
#include "tls/tls_error.h"
#include "tls/tls_files.h"
#include "tls/tls_private.h"

/* ---- names ---- */

static bool has_kind(const struct tls_store *store, const size_t *identities, unsigned count, size_t identity)
{
    int kind = EVP_PKEY_get_base_id(store->identities[identity]->key);
    for (unsigned i = 0; i < count; i++)
        if (EVP_PKEY_get_base_id(store->identities[identities[i]]->key) == kind)
            return true;
    return false;
}

static void name_add(struct tls_store *store, struct map *places, const char *text, size_t identity)
{
    char key[TLS_NAME_MOST + 2]; /* lower case; what tells a wildcard is its dot */
    struct text lower = text_over(key, sizeof key);
    for (; *text != '\0'; text++)
        text_char(&lower, ascii_lower(*text));
    bool wildcard = span_starts(text_span(&lower), SPAN("*."));
    if (lower.length == (wildcard ? 2u : 0u) || lower.cut)
        return;
    size_t at = (size_t)(uintptr_t)map_get(places, text_span(&lower));
    if (at != 0) {
        struct tls_name *name = &store->names[at - 1];
        if (name->count < TLS_KINDS_MOST && !has_kind(store, name->identities, name->count, identity))
            name->identities[name->count++] = identity;
        return;
    }
    if ((store->names_count & (store->names_count - 1)) == 0)
        store->names = xrealloc(store->names, (store->names_count == 0 ? 1 : store->names_count * 2) *
                                                  sizeof *store->names);
    store->names[store->names_count++] = (struct tls_name){.name = xstrdup(lower.at + (wildcard ? 2 : 0)),
                                                           .wildcard = wildcard,
                                                           .identities = {identity},
                                                           .count = 1};
    map_set(places, text_span(&lower), (void *)(uintptr_t)store->names_count);
}

static void names_add(struct tls_store *store, const struct tls_config *config)
{
    struct map *places = map_new(); /* number + 1 */
    for (size_t i = 0; i < store->identities_count; i++) {
        const struct certificate_config *certificate = &config->certificates[i];
        const struct identity *identity = store->identities[i];
        for (size_t k = 0; certificate->names.count == 0 && k < identity->names_count; k++)
            name_add(store, places, identity->names[k], i);
        for (size_t k = 0; k < certificate->names.count; k++)
            name_add(store, places, certificate->names.items[k], i);
        if (certificate->is_default)
            store->default_identity = i;
    }
    map_free(places);
}

static bool take_identities(struct tls_store *store, const struct tls_config *config, struct tls_files *files,
                            struct error *error)
{
    size_t count = config->certificates_count;
    struct identity_wish *wishes = tls_wishes(config);
    struct identity_problem *problems = xcalloc(count + 1, sizeof *problems);
    store->identities = xcalloc(count + 1, sizeof(struct identity *));
    bool got = tls_files_identities(files, wishes, count, store->identities, problems);
    for (size_t i = 0; got && i < count; i++)
        atomic_fetch_add_explicit(&store->identities[i]->references, 1, memory_order_relaxed);
    for (size_t i = 0; !got && i < count; i++) {
        if (store->identities[i] != NULL)
            continue;
        *error = problems[i].error;
        break;
    }
    store->identities_count = got ? count : 0;
    free(problems);
    free(wishes);
    if (got)
        names_add(store, config);
    return got;
}

/* ---- choosing ---- */

static int name_order(const void *a, const void *b)
{
    const struct tls_name *one = a, *other = b;
    return one->wildcard != other->wildcard ? (int)one->wildcard - (int)other->wildcard
                                            : strcmp(one->name, other->name);
}

static void names_finish(struct tls_store *store)
{
    if (store->names_count != 0)
        qsort(store->names, store->names_count, sizeof *store->names, name_order);
    for (size_t i = 0; i < store->names_count && store->default_name == NULL; i++)
        for (unsigned k = 0; k < store->names[i].count; k++)
            if (store->names[i].count > 1 && store->names[i].identities[k] == store->default_identity)
                store->default_name = &store->names[i];
}

static const struct tls_name *find_sorted(const struct tls_store *store, const char *name, bool wildcard)
{
    struct tls_name key = {.name = (char *)(uintptr_t)name, .wildcard = wildcard};
    return store->names_count != 0
               ? bsearch(&key, store->names, store->names_count, sizeof *store->names, name_order)
               : NULL;
}

/* A wildcard stands for one label (RFC 9525 6.3). */
static const struct tls_name *find_wildcard(const struct tls_store *store, struct span name)
{
    size_t dot = span_find(name, '.');
    return dot < name.length ? find_sorted(store, name.at + dot + 1, true) : NULL;
}

static bool lowered(char lower[TLS_NAME_MOST], struct span name)
{
    if (name.length == 0 || name.length >= TLS_NAME_MOST)
        return false;
    for (size_t i = 0; i < name.length; i++)
        lower[i] = ascii_lower(name.at[i]);
    lower[name.length] = '\0';
    return true;
}

static bool is_among(const struct tls_name *name, size_t identity)
{
    for (unsigned i = 0; name != NULL && i < name->count; i++)
        if (name->identities[i] == identity)
            return true;
    return false;
}

bool tls_store_is_named(const struct tls_store *store, size_t identity, struct span name)
{
    char lower[TLS_NAME_MOST];
    return lowered(lower, name) && (is_among(find_sorted(store, lower, false), identity) ||
                                    is_among(find_wildcard(store, span_of(lower)), identity));
}

const struct tls_name *tls_store_find(const struct tls_store *store, struct span name)
{
    char lower[TLS_NAME_MOST];
    if (!lowered(lower, name))
        return NULL;
    const struct tls_name *found = find_sorted(store, lower, false);
    return found != NULL ? found : find_wildcard(store, span_of(lower));
}

static bool use_identity(SSL *ssl, const struct identity *identity)
{
    return SSL_use_cert_and_key(ssl, identity->leaf, identity->key, identity->chain->certificates, 1) == 1;
}

static void choice_add(const struct tls_store *store, struct tls_choice *choice, const struct tls_name *name)
{
    for (unsigned i = 0; name != NULL && i < name->count; i++)
        if (!has_kind(store, choice->identities, choice->count, name->identities[i]))
            choice->identities[choice->count++] = name->identities[i];
}

bool tls_store_choose(const struct tls_store *store, const char *name, struct tls_choice *choice)
{
    const struct tls_name *found = name != NULL ? tls_store_find(store, span_of(name)) : NULL;
    choice->count = 0;
    if (found == NULL && store->strict_sni)
        return false;
    if (found == NULL)
        choice->identities[choice->count++] = store->default_identity;
    else
        choice_add(store, choice, found);
    choice->wanted = choice->count;
    if (found == NULL)
        choice_add(store, choice, store->default_name);
    else if (!found->wildcard)
        choice_add(store, choice, find_wildcard(store, span_of(found->name)));
    return true;
}

static bool shares_cipher(SSL *ssl, const struct identity *identity)
{
    STACK_OF(SSL_CIPHER) *ours = SSL_get_ciphers(ssl), *theirs = SSL_get_client_ciphers(ssl);
    for (int i = 0; i < sk_SSL_CIPHER_num(ours); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ours, i);
        if (identity_serves_cipher(identity, cipher) && sk_SSL_CIPHER_find(theirs, cipher) >= 0)
            return true;
    }
    return false;
}

/* The key is of a kind that the client takes. Who signed the certificate is left aside: clients say little
 * about that, and most take more than they say. */
static bool is_usable(SSL *ssl, const struct identity *identity)
{
    int fits = SSL_check_chain(ssl, identity->leaf, identity->key, identity->chain->certificates);
    if ((fits & CERT_PKEY_SIGN) == 0)
        return false;
    return SSL_version(ssl) >= TLS1_3_VERSION
               ? (fits & CERT_PKEY_EE_SIGNATURE) != 0
               : (fits & CERT_PKEY_EE_PARAM) != 0 && shares_cipher(ssl, identity);
}

static bool any_usable(SSL *ssl, const struct tls_store *store, const size_t *identities, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (is_usable(ssl, store->identities[identities[i]]))
            return true;
    return false;
}

static int choose_certificate(SSL *ssl, void *argument)
{
    const struct tls_store *store = argument;
    struct tls_choice choice;
    if (!tls_store_choose(store, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), &choice))
        return 0;
    const size_t *shown = choice.identities, *others = shown + choice.wanted;
    unsigned count = choice.wanted, others_count = choice.count - choice.wanted;
    if (others_count != 0 && !any_usable(ssl, store, shown, count) &&
        any_usable(ssl, store, others, others_count)) {
        shown = others;
        count = others_count;
    }
    for (unsigned i = 0; i < count; i++)
        if (!use_identity(ssl, store->identities[shown[i]]))
            return 0;
    return 1;
}

/* Must be there for the name to be acknowledged and kept with the session. Called for resumed sessions too,
 * which choose no certificate. */
static int take_name(SSL *ssl, int *alert, void *argument)
{
    const struct tls_store *store = argument;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (store->strict_sni && (name == NULL || tls_store_find(store, span_of(name)) == NULL)) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return name != NULL ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* The server's preference. Called only for a client that offers something; one that does not goes on without
 * ALPN. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *length,
                           const unsigned char *in, unsigned int in_length, void *argument)
{
    const struct tls_store *store = argument;
    struct span ours = tls_protocols(store->protocol_bits); /* what is chosen is a place in these */
    static const unsigned char old[] = "\x08http/1.0";
    unsigned char *chosen;
    (void)ssl;
    if (SSL_select_next_proto(&chosen, length, (const unsigned char *)ours.at, (unsigned)ours.length, in,
                              in_length) != OPENSSL_NPN_NEGOTIATED &&
        ((store->protocol_bits & PROTOCOL_HTTP_1) == 0 ||
         SSL_select_next_proto(&chosen, length, old, sizeof old - 1, in, in_length) !=
             OPENSSL_NPN_NEGOTIATED))
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2: no_application_protocol */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

bool tls_store_checks_hosts(const struct tls_store *store)
{
    return store->covered || store->client_auth != CLIENT_AUTH_OFF;
}

/* ---- the context ---- */

static bool client_certificates(struct tls_store *store, const struct tls_config *config,
                                struct tls_files *files, struct error *error)
{
    SSL_CTX *context = store->context;
    store->authorities_end = INT64_MAX;
    if (config->client_auth == CLIENT_AUTH_OFF)
        return true;
    SSL_CTX_set_verify(
        context,
        SSL_VERIFY_PEER | (config->client_auth == CLIENT_AUTH_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
        NULL);
    const struct tls_authorities *authorities =
        tls_files_authorities(files, config->client_ca, SSL_CTX_get_security_level(context), error);
    if (authorities == NULL)
        return false;
    SSL_CTX_set1_cert_store(context, authorities->store);
    store->authorities_end = authorities->ends;
    for (int i = 0; i < sk_X509_num(authorities->certificates); i++)
        if (SSL_CTX_add_client_CA(context, sk_X509_value(authorities->certificates, i)) != 1)
            return tls_error(error, "can't read names of %s", config->client_ca);
    return true;
}

static bool set_ciphers(SSL_CTX *context, const struct tls_config *config, struct error *error)
{
    /* Ours is the order; who names ChaCha20 first computes AES slowly, and gets it. */
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    if (SSL_CTX_set_cipher_list(context, config->ciphers) != 1)
        return tls_error(error, "ciphers \"%s\"", config->ciphers);
    if (SSL_CTX_set_ciphersuites(context, config->ciphersuites) != 1)
        return tls_error(error, "ciphersuites \"%s\"", config->ciphersuites);
    return true;
}

struct tls_store *tls_store_new(const struct tls_config *config, unsigned protocol_bits,
                                struct tls_files *files, struct tls_tickets *tickets, struct error *error)
{
    struct tls_store *store = xcalloc(1, sizeof *store);
    atomic_init(&store->references, 1);
    store->strict_sni = config->strict_sni;
    store->covered = config->strict_sni || config->authority == AUTHORITY_COVERED;
    store->client_auth = config->client_auth;
    store->protocol_bits = protocol_bits;
    store->context = SSL_CTX_new(TLS_server_method());
    bool fine = store->context != NULL &&
                tls_context_prepare(store->context, config->min_version, config->max_version, error) &&
                set_ciphers(store->context, config, error) && take_identities(store, config, files, error) &&
                client_certificates(store, config, files, error) && tls_rule_take(store, config, error);
    if (!fine) {
        tls_store_release(store);
        return NULL;
    }
    names_finish(store);
    SSL_CTX_set_session_cache_mode(store->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(store->context, 1);
    SSL_CTX_set_cert_cb(store->context, choose_certificate, store);
    SSL_CTX_set_tlsext_servername_callback(store->context, take_name);
    SSL_CTX_set_tlsext_servername_arg(store->context, store);
    SSL_CTX_set_alpn_select_cb(store->context, choose_protocol, store);
    tls_tickets_use(tickets, store->context);
    tls_resumption_use(store);
    return store;
}

struct tls_store *tls_store_take(struct tls_store *store)
{
    if (store != NULL)
        atomic_fetch_add_explicit(&store->references, 1, memory_order_relaxed);
    return store;
}

void tls_store_release(struct tls_store *store)
{
    /* Acquire and release: all uses happen before the memory goes. */
    if (store == NULL || atomic_fetch_sub_explicit(&store->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < store->identities_count; i++) /* release: uses come before the sweep's freeing */
        atomic_fetch_sub_explicit(&store->identities[i]->references, 1, memory_order_release);
    for (size_t i = 0; i < store->names_count; i++)
        free(store->names[i].name);
    free(store->names);
    free(store->identities);
    SSL_CTX_free(store->context);
    free(store);
}
