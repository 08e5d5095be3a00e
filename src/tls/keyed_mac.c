/* The key is set up once and the context copied for each use: fetching and keying would cost more than the
 * digest. */
#include "tls/keyed_mac.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/error.h"

struct keyed_mac {
    EVP_MAC *kind;
    EVP_MAC_CTX *keyed;
};

struct keyed_mac *keyed_mac_new(struct span key)
{
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    struct keyed_mac *mac = xcalloc(1, sizeof *mac);
    mac->kind = EVP_MAC_fetch(NULL, "HMAC", NULL);
    mac->keyed = mac->kind != NULL ? EVP_MAC_CTX_new(mac->kind) : NULL;
    if (mac->keyed != NULL &&
        EVP_MAC_init(mac->keyed, (const unsigned char *)key.at, key.length, parameters) == 1)
        return mac;
    keyed_mac_free(mac);
    return NULL;
}

void keyed_mac_free(struct keyed_mac *mac)
{
    if (mac == NULL)
        return;
    EVP_MAC_CTX_free(mac->keyed);
    EVP_MAC_free(mac->kind);
    free(mac);
}

bool keyed_mac_make(const struct keyed_mac *mac, const struct span *parts, unsigned count,
                    unsigned char made[KEYED_MAC_LENGTH])
{
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(mac->keyed);
    size_t length = 0;
    bool good = context != NULL;
    for (unsigned i = 0; good && i < count; i++)
        good = EVP_MAC_update(context, (const unsigned char *)parts[i].at, parts[i].length) == 1;
    good = good && EVP_MAC_final(context, made, &length, KEYED_MAC_LENGTH) == 1 && length == KEYED_MAC_LENGTH;
    EVP_MAC_CTX_free(context);
    return good;
}

bool keyed_mac_equal(const void *one, const void *other, size_t length)
{
    return CRYPTO_memcmp(one, other, length) == 0;
}
