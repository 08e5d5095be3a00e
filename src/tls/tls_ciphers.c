/* Lists of ciphers, word by word: OpenSSL passes over the words that it does not know. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/error.h"
#include "base/span.h"
#include "tls/tls.h"
#include "tls/tls_error.h"

static bool word_is_known(SSL_CTX *context, const char *word, bool of_1_3)
{
    bool known =
        (of_1_3 ? SSL_CTX_set_ciphersuites(context, word) : SSL_CTX_set_cipher_list(context, word)) == 1;
    ERR_clear_error();
    return known;
}

static bool word_check(SSL_CTX *context, struct span word, bool of_1_3, struct error *error)
{
    char copy[128];
    if (word.length >= sizeof copy)
        return error_set(error, "\"%.60s...\" is too long for a cipher; separate them by \":\"", word.at);
    memcpy(copy, word.at, word.length);
    copy[word.length] = '\0';
    if (word_is_known(context, copy, of_1_3))
        return true;
    if (word_is_known(context, copy, !of_1_3))
        return error_set(error, "\"%s\" is a cipher of TLS %s; write it in %s", copy, of_1_3 ? "1.2" : "1.3",
                         of_1_3 ? "ciphers" : "ciphersuites");
    return error_set(
        error, "\"%s\" is no cipher that OpenSSL knows; `openssl ciphers -v` tells which it does", copy);
}

bool tls_ciphers_check(const char *ciphers, bool of_1_3, struct error *error)
{
    static const char separators[] = ": ,;";
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    if (context == NULL)
        return tls_error(error, "ciphers");
    bool good = true;
    for (const char *at = ciphers; good && *at != '\0';) {
        size_t length = strcspn(at, separators);
        bool changes_list = length != 0 && strchr("!-+@", at[0]) != NULL;
        if (length != 0 && !changes_list)
            good = word_check(context, span_make(at, length), of_1_3, error);
        at += length + (at[length] != '\0');
    }
    if (good && !word_is_known(context, ciphers, of_1_3))
        good =
            error_set(error, "\"%s\" leaves no cipher; leave the key out for those that are safe", ciphers);
    SSL_CTX_free(context);
    return good;
}
