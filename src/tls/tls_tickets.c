/*
 * Session ticket keys: shared by all listeners and workers, so that a session is resumed wherever the client
 * comes back; rotated by age, the previous key still opens. Tickets are AES-256-CBC with HMAC-SHA-256 (RFC
 * 5077 4). The lock is taken once per handshake, never per request.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "tls/tls_private.h"

struct ticket_key {
    unsigned char name[16], cipher[32], mac[32];
    uint64_t made_us; /* 0: none */
};
struct tls_tickets {
    pthread_mutex_t lock;
    uint64_t lifetime_us; /* 0: no tickets */
    struct ticket_key current, previous;
    EVP_CIPHER *cipher; /* fetched once: an implicit fetch per handshake takes locks of OpenSSL */
};

static void key_make(struct ticket_key *key)
{
    random_secret(key->name, sizeof key->name);
    random_secret(key->cipher, sizeof key->cipher);
    random_secret(key->mac, sizeof key->mac);
    key->made_us = clock_monotonic_us();
}

struct tls_tickets *tls_tickets_new(void)
{
    struct tls_tickets *tickets = xcalloc(1, sizeof *tickets);
    pthread_mutex_init(&tickets->lock, NULL);
    return tickets;
}

void tls_tickets_free(struct tls_tickets *tickets)
{
    if (tickets == NULL)
        return;
    EVP_CIPHER_free(tickets->cipher);
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets, sizeof *tickets);
    free(tickets);
}

void tls_tickets_configure(struct tls_tickets *tickets, uint64_t lifetime_ms)
{
    pthread_mutex_lock(&tickets->lock);
    tickets->lifetime_us = lifetime_ms * 1000;
    pthread_mutex_unlock(&tickets->lock);
}

static void rotate(struct tls_tickets *tickets)
{
    if (tickets->cipher == NULL)
        tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    uint64_t now = clock_monotonic_us();
    if (tickets->current.made_us != 0 && now - tickets->current.made_us < tickets->lifetime_us)
        return;
    tickets->previous = tickets->current;
    key_make(&tickets->current);
}

/* The key that made this ticket; NULL: none that is still good. *renew: it is the previous one. */
static const struct ticket_key *key_of(const struct tls_tickets *tickets, const unsigned char *name,
                                       bool *renew)
{
    *renew = false;
    if (memcmp(name, tickets->current.name, sizeof tickets->current.name) == 0)
        return &tickets->current;
    bool good = tickets->previous.made_us != 0 &&
                clock_monotonic_us() - tickets->previous.made_us < 2 * tickets->lifetime_us;
    *renew = true;
    return good && memcmp(name, tickets->previous.name, sizeof tickets->previous.name) == 0
               ? &tickets->previous
               : NULL;
}

static bool use_key(const struct ticket_key *key, const EVP_CIPHER *kind, unsigned char *iv,
                    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters) == 1 &&
           EVP_CipherInit_ex(cipher, kind, NULL, key->cipher, iv, encrypt) == 1;
}

static struct tls_tickets *tickets_of(SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

int tls_tickets_callback(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int encrypt)
{
    struct tls_tickets *tickets = tickets_of(ssl);
    struct ticket_key key;
    bool renew = false, found = true;
    EVP_CIPHER *kind;
    pthread_mutex_lock(&tickets->lock);
    bool off = tickets->lifetime_us == 0;
    if (!off)
        rotate(tickets);
    const struct ticket_key *chosen = encrypt ? &tickets->current : key_of(tickets, name, &renew);
    found = chosen != NULL;
    if (found)
        key = *chosen;
    kind = tickets->cipher;
    pthread_mutex_unlock(&tickets->lock);
    if (off || !found)
        return 0;
    if (encrypt) {
        memcpy(name, key.name, sizeof key.name);
        random_secret(iv, (size_t)EVP_CIPHER_get_iv_length(kind));
    }
    bool fine = use_key(&key, kind, iv, cipher, mac, encrypt);
    OPENSSL_cleanse(&key, sizeof key);
    /* A client of TLS 1.3 uses each ticket once (RFC 8446 C.4): it gets the next one with every connection.
     */
    renew = renew || (!encrypt && SSL_version(ssl) >= TLS1_3_VERSION);
    return !fine ? -1 : renew ? 2 : 1;
}

void tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *context)
{
    if (tickets == NULL)
        return;
    SSL_CTX_set_app_data(context, tickets);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, tls_tickets_callback);
    /* How long a ticket opens is the age of its key; this only must not be shorter. RFC 8446 4.6.1: at most 7
     * days. */
    SSL_CTX_set_timeout(context, 7L * 86400);
}
