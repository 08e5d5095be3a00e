/* What every SSL_CTX of weir has in common, and the client side's context. Where
 * nothing is said, OpenSSL's own defaults stand. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "config/listener_config.h"
#include "tls/tls_error.h"
#include "tls/tls_private.h"

/* The names of all ciphers are for encrypted keys, which nobody could type a passphrase for; without them a
 * start takes a tenth fewer instructions. (Those of digests are needed where certificates are verified.) */
bool tls_begin(struct error *error)
{
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ADD_ALL_CIPHERS, NULL) != 1)
        return tls_error(error, "can't start OpenSSL");
    return true;
}

const char *tls_library_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}

static int version_number(enum tls_version version)
{
    return version == TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

bool tls_context_prepare(SSL_CTX *context, enum tls_version least, enum tls_version most, struct error *error)
{
    /* Partial and moving: we write from a queue. Released buffers: 14 KB an idle connection instead of 47. */
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1); /* one read a record instead of two */
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    if (SSL_CTX_set_min_proto_version(context, version_number(least)) != 1 ||
        SSL_CTX_set_max_proto_version(context, version_number(most)) != 1)
        return tls_error(error, "TLS versions are refused");
    return true;
}

struct span tls_protocols(unsigned protocol_bits)
{
    static const char all[] = "\x02h2\x08http/1.1"; /* each name with its length before it (RFC 7301 3.1) */
    enum { H2_SIZE = 3 };
    size_t first = (protocol_bits & PROTOCOL_H2) != 0 ? 0 : H2_SIZE;
    size_t end = (protocol_bits & PROTOCOL_HTTP_1) != 0 ? sizeof all - 1 : H2_SIZE;
    return span_make(all + first, end - first);
}

/*
 * A certificate's extensions are decoded and kept when they are first asked for: here, and not by whichever
 * of the threads that share the context verifies a chain first.
 */
static void decode_trusted(SSL_CTX *context)
{
    STACK_OF(X509_OBJECT) *trusted = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
    for (int i = 0; i < sk_X509_OBJECT_num(trusted); i++) {
        X509 *certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
        if (certificate != NULL)
            (void)X509_check_purpose(certificate, -1, 0);
    }
}

static bool client_trust(SSL_CTX *context, const struct upstream_tls_config *config, struct error *error)
{
    if (config->verify == SERVER_VERIFY_NONE)
        return true;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (config->ca != NULL)
        return SSL_CTX_load_verify_file(context, config->ca) == 1 ||
               tls_error(error, "can't read certificates of %s", config->ca);
    return SSL_CTX_set_default_verify_paths(context) == 1 ||
           tls_error(error, "can't read the system's certificates");
}

static bool client_identity(SSL_CTX *context, const struct upstream_tls_config *config, struct error *error)
{
    if (config->cert == NULL)
        return true;
    if (SSL_CTX_use_certificate_chain_file(context, config->cert) != 1)
        return tls_error(error, "can't read the certificate %s", config->cert);
    if (SSL_CTX_use_PrivateKey_file(context, config->key, SSL_FILETYPE_PEM) != 1)
        return tls_error(error, "can't read the key %s", config->key);
    return SSL_CTX_check_private_key(context) == 1 ||
           tls_error(error, "%s is not the key of %s", config->key, config->cert);
}

struct tls_client *tls_client_new(const struct upstream_tls_config *config, unsigned protocol_bits,
                                  struct error *error)
{
    struct tls_client *client = xcalloc(1, sizeof *client);
    atomic_init(&client->references, 1);
    client->verify = config->verify;
    client->server_name = config->server_name != NULL ? xstrdup(config->server_name) : NULL;
    client->context = SSL_CTX_new(TLS_client_method());
    struct span protocols = tls_protocols(protocol_bits);
    bool fine = client->context != NULL &&
                tls_context_prepare(client->context, config->min_version, TLS_VERSION_1_3, error) &&
                SSL_CTX_set_ciphersuites(client->context, TLS_CIPHERSUITES) == 1 &&
                client_trust(client->context, config, error) &&
                client_identity(client->context, config, error) &&
                SSL_CTX_set_alpn_protos(client->context, (const unsigned char *)protocols.at,
                                        (unsigned)protocols.length) == 0;
    if (!fine) {
        tls_client_release(client);
        return NULL;
    }
    decode_trusted(client->context);
    SSL_CTX_set_session_cache_mode(client->context, SSL_SESS_CACHE_OFF);
    return client;
}

struct tls_client *tls_client_take(struct tls_client *client)
{
    if (client != NULL)
        atomic_fetch_add_explicit(&client->references, 1, memory_order_relaxed);
    return client;
}

void tls_client_release(struct tls_client *client)
{
    /* Acquire and release: all uses happen before the memory goes. */
    if (client == NULL || atomic_fetch_sub_explicit(&client->references, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(client->context);
    free(client->server_name);
    free(client);
}
