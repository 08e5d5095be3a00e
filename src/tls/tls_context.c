/* What every SSL_CTX of weir has in common, and the client side's context. Where
 * nothing is said, OpenSSL's own defaults stand. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "config/listener_config.h"
#include "tls/tls_error.h"
#include "tls/tls_files.h"
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

static bool client_trust(struct tls_client *client, const struct upstream_tls_config *config,
                         struct tls_files *files, struct error *error)
{
    SSL_CTX *context = client->context;
    client->authorities_end = INT64_MAX;
    if (config->verify == SERVER_VERIFY_NONE)
        return true;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    const struct tls_authorities *authorities =
        tls_files_authorities(files, config->ca, SSL_CTX_get_security_level(context), error);
    if (authorities == NULL)
        return false;
    SSL_CTX_set1_cert_store(context, authorities->store);
    client->authorities_end = authorities->ends;
    return true;
}

static bool client_identity(struct tls_client *client, const struct upstream_tls_config *config,
                            struct tls_files *files, struct error *error)
{
    if (config->cert == NULL)
        return true;
    const struct identity_wish wish = tls_client_wish(config);
    struct identity *identity;
    struct identity_problem problem;
    if (!tls_files_identities(files, &wish, 1, &identity, &problem)) {
        *error = problem.error;
        return false;
    }
    atomic_fetch_add_explicit(&identity->references, 1, memory_order_relaxed);
    client->identity = identity;
    return SSL_CTX_use_cert_and_key(client->context, identity->leaf, identity->key,
                                    identity->chain->certificates, 1) == 1 ||
           tls_error(error, "%s cannot be used", config->cert);
}

struct tls_client *tls_client_new(const struct upstream_tls_config *config, unsigned protocol_bits,
                                  struct tls_files *files, struct error *error)
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
                client_trust(client, config, files, error) && client_identity(client, config, files, error) &&
                SSL_CTX_set_alpn_protos(client->context, (const unsigned char *)protocols.at,
                                        (unsigned)protocols.length) == 0;
    if (!fine) {
        tls_client_release(client);
        return NULL;
    }
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
    if (client->identity != NULL) /* release: uses come before the sweep's freeing */
        atomic_fetch_sub_explicit(&client->identity->references, 1, memory_order_release);
    free(client->server_name);
    free(client);
}
