/*
 * That a private key belongs to a certificate, by arithmetic: for RSA it says more than a signature, which
 * does not use all of the key's numbers, in a thirtieth of the time; for ECDSA as much in a fifth.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <string.h>

#include "base/attributes.h"
#include "tls/tls_files.h"

#define EC_FIELD_MOST 66 /* bytes: P-521 */

/* ---- ECDSA: the private number times the generator is the public point (SEC 1, 3.2.1) ---- */

/* Making the curve takes longer than the rest. */
static EC_GROUP *curve_of(EVP_PKEY *key, EC_GROUP **kept)
{
    char name[64];
    if (EVP_PKEY_get_group_name(key, name, sizeof name, NULL) != 1)
        return NULL;
    int number = OBJ_txt2nid(name);
    if (*kept == NULL || EC_GROUP_get_curve_name(*kept) != number) {
        EC_GROUP_free(*kept);
        *kept = EC_GROUP_new_by_curve_name(number);
    }
    return *kept;
}

static bool ec_is_proven(X509 *leaf, EVP_PKEY *key, EC_GROUP **kept)
{
    unsigned char made[2 * EC_FIELD_MOST + 1], known[2 * EC_FIELD_MOST + 1];
    size_t length = 0, known_length = 0;
    BIGNUM *private = NULL;
    const EC_GROUP *curve = curve_of(key, kept);
    if (curve == NULL || EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &private) != 1)
        return false;
    EC_POINT *point = EC_POINT_new(curve);
    if (point != NULL && EC_POINT_mul(curve, point, private, NULL, NULL, NULL) == 1)
        length = EC_POINT_point2oct(curve, point, POINT_CONVERSION_UNCOMPRESSED, made, sizeof made, NULL);
    BN_clear_free(private);
    EC_POINT_free(point);
    return length != 0 &&
           EVP_PKEY_get_octet_string_param(X509_get0_pubkey(leaf), OSSL_PKEY_PARAM_PUB_KEY, known,
                                           sizeof known, &known_length) == 1 &&
           known_length == length && memcmp(made, known, length) == 0;
}

/* ---- RSA: what RFC 8017 3.2 says of the numbers of a key of two primes: n has no other two factors ---- */

enum rsa_number { RSA_N, RSA_E, RSA_D, RSA_P, RSA_Q, RSA_DP, RSA_DQ, RSA_QINV, RSA_NUMBERS };

static const char *const rsa_names[RSA_NUMBERS] = {
    [RSA_N] = OSSL_PKEY_PARAM_RSA_N,          [RSA_E] = OSSL_PKEY_PARAM_RSA_E,
    [RSA_D] = OSSL_PKEY_PARAM_RSA_D,          [RSA_P] = OSSL_PKEY_PARAM_RSA_FACTOR1,
    [RSA_Q] = OSSL_PKEY_PARAM_RSA_FACTOR2,    [RSA_DP] = OSSL_PKEY_PARAM_RSA_EXPONENT1,
    [RSA_DQ] = OSSL_PKEY_PARAM_RSA_EXPONENT2, [RSA_QINV] = OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

/* The exponent of one prime undoes e, and is d's rest. */
static bool exponent_fits(BIGNUM *const numbers[], const BIGNUM *prime, const BIGNUM *exponent,
                          BN_CTX *context)
{
    BIGNUM *less = BN_CTX_get(context), *rest = BN_CTX_get(context);
    return rest != NULL && BN_copy(less, prime) != NULL && BN_sub_word(less, 1) == 1 && !BN_is_zero(less) &&
           BN_mod_mul(rest, numbers[RSA_E], exponent, less, context) == 1 && BN_is_one(rest) &&
           BN_mod(rest, numbers[RSA_D], less, context) == 1 && BN_cmp(rest, exponent) == 0;
}

static bool rsa_fits(BIGNUM *const numbers[], BN_CTX *context)
{
    BIGNUM *product = BN_CTX_get(context);
    /* Of different lengths one may be two primes in truth, of which the rest says nothing. */
    return product != NULL && BN_num_bits(numbers[RSA_P]) == BN_num_bits(numbers[RSA_Q]) &&
           BN_mul(product, numbers[RSA_P], numbers[RSA_Q], context) == 1 &&
           BN_cmp(product, numbers[RSA_N]) == 0 && !BN_is_one(numbers[RSA_P]) && !BN_is_one(numbers[RSA_Q]) &&
           exponent_fits(numbers, numbers[RSA_P], numbers[RSA_DP], context) &&
           exponent_fits(numbers, numbers[RSA_Q], numbers[RSA_DQ], context) &&
           BN_mod_mul(product, numbers[RSA_Q], numbers[RSA_QINV], numbers[RSA_P], context) == 1 &&
           BN_is_one(product);
}

static bool rsa_is_proven(EVP_PKEY *key)
{
    BIGNUM *numbers[RSA_NUMBERS] = {NULL}, *third = NULL;
    BN_CTX *context = BN_CTX_secure_new();
    bool proven = context != NULL;
    for (unsigned i = 0; proven && i < RSA_NUMBERS; i++)
        proven = EVP_PKEY_get_bn_param(key, rsa_names[i], &numbers[i]) == 1;
    /* Of more than two primes OpenSSL is asked to sign. */
    proven = proven && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_FACTOR3, &third) != 1;
    if (proven) {
        BN_CTX_start(context);
        proven = rsa_fits(numbers, context);
        BN_CTX_end(context);
    }
    for (unsigned i = 0; i < RSA_NUMBERS; i++)
        BN_clear_free(numbers[i]);
    BN_clear_free(third);
    BN_CTX_free(context);
    return proven;
}

bool tls_key_is_proven(X509 *leaf, EVP_PKEY *key, EC_GROUP **kept)
{
    /* n and e of both are equal already. */
    bool proven = EVP_PKEY_is_a(key, "EC")    ? ec_is_proven(leaf, key, kept)
                  : EVP_PKEY_is_a(key, "RSA") ? rsa_is_proven(key)
                                              : false;
    ERR_clear_error();
    return proven;
}
