/* Keys that fit their certificate and keys that do not, of each kind; with the proof by arithmetic, which
 * many certificates at once go by, and with a signature. */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "tls/tls_files.h"
#include "unit.h"

/* ---- keys ---- */

static EVP_PKEY *rsa_new(const char *kind, int primes)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    assert_int_equal(EVP_PKEY_keygen_init(context), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_primes(context, primes), 1);
    assert_int_equal(EVP_PKEY_generate(context, &key), 1);
    EVP_PKEY_CTX_free(context);
    return key;
}

static EVP_PKEY *key_new(const char *kind)
{
    EVP_PKEY *key = strcmp(kind, "RSA-3") == 0     ? rsa_new("RSA", 3)
                    : strncmp(kind, "RSA", 3) == 0 ? rsa_new(kind, 2)
                    : strncmp(kind, "ED", 2) == 0  ? EVP_PKEY_Q_keygen(NULL, NULL, kind)
                                                   : EVP_EC_gen(kind);
    assert_non_null(key);
    return key;
}

enum { N, E, D, P, Q, DP, DQ, QINV, NUMBERS };
static const char *const rsa_names[NUMBERS] = {
    OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
    OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
    OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
    OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

struct rsa_numbers {
    BIGNUM *at[NUMBERS];
};

static struct rsa_numbers numbers_of(EVP_PKEY *key)
{
    struct rsa_numbers numbers = {{NULL}};
    for (unsigned i = 0; i < NUMBERS; i++)
        assert_int_equal(EVP_PKEY_get_bn_param(key, rsa_names[i], &numbers.at[i]), 1);
    return numbers;
}

static EVP_PKEY *key_of(const char *kind, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    assert_int_equal(EVP_PKEY_fromdata_init(context), 1);
    assert_int_equal(EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parameters), 1);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(build);
    return key;
}

static EVP_PKEY *rsa_of(struct rsa_numbers *numbers)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    for (unsigned i = 0; i < NUMBERS; i++)
        assert_int_equal(OSSL_PARAM_BLD_push_BN(build, rsa_names[i], numbers->at[i]), 1);
    EVP_PKEY *key = key_of("RSA", build);
    for (unsigned i = 0; i < NUMBERS; i++)
        BN_free(numbers->at[i]);
    return key;
}

/* The public part of the one, the private part of the other. */
static EVP_PKEY *ec_mixed(EVP_PKEY *one, EVP_PKEY *other)
{
    char group[64];
    unsigned char public[256];
    size_t length;
    BIGNUM *private = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    assert_int_equal(EVP_PKEY_get_group_name(one, group, sizeof group, NULL), 1);
    assert_int_equal(
        EVP_PKEY_get_octet_string_param(one, OSSL_PKEY_PARAM_PUB_KEY, public, sizeof public, &length), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(other, OSSL_PKEY_PARAM_PRIV_KEY, &private), 1);
    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, public, length);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, private);
    EVP_PKEY *key = key_of("EC", build);
    BN_free(private);
    return key;
}

/* n, e and what else is not named are of the one, those that are named (bits) of the other. */
static EVP_PKEY *rsa_mixed(EVP_PKEY *one, EVP_PKEY *other, unsigned named)
{
    struct rsa_numbers numbers = numbers_of(one), others = numbers_of(other);
    for (unsigned i = 0; i < NUMBERS; i++) {
        if ((named >> i & 1u) != 0) {
            BIGNUM *mine = numbers.at[i];
            numbers.at[i] = others.at[i];
            others.at[i] = mine;
        }
        BN_free(others.at[i]);
    }
    return rsa_of(&numbers);
}

/* ---- certificates ---- */

static X509 *leaf_new(EVP_PKEY *key)
{
    X509 *leaf = X509_new();
    X509_NAME *subject = X509_get_subject_name(leaf);
    bool plain = EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448");
    X509_set_version(leaf, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(leaf), 1);
    X509_gmtime_adj(X509_getm_notBefore(leaf), -3600);
    X509_gmtime_adj(X509_getm_notAfter(leaf), 86400);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)"a.test", -1, -1, 0);
    X509_set_issuer_name(leaf, subject);
    X509_set_pubkey(leaf, key);
    assert_true(X509_sign(leaf, key, plain ? NULL : EVP_sha256()) > 0);
    return leaf;
}

static struct span text_of(BIO *file)
{
    char *at;
    long length = BIO_get_mem_data(file, &at);
    return span_make(at, (size_t)length);
}

/* As the loader takes it, from the bytes of both files; the reason why not is left in `error`. */
static bool taken(X509 *leaf, EVP_PKEY *key, bool thorough, struct error *error)
{
    static const struct identity_wish wish = {.cert = "a.crt", .key = "a.key", .level = 1};
    struct tls_files *files = tls_files_new();
    struct identity_maker *maker = identity_maker_new(files, thorough);
    struct identity_problem problem = {.of_key = false};
    BIO *cert_file = BIO_new(BIO_s_mem()), *key_file = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(cert_file, leaf), 1);
    assert_int_equal(PEM_write_bio_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL), 1);
    struct identity *identity = identity_make(maker, &wish, text_of(cert_file), text_of(key_file), &problem);
    bool made = identity != NULL;
    assert_true(made || problem.of_key);
    *error = problem.error;
    BIO_free(cert_file);
    BIO_free(key_file);
    if (made)
        identity->chain->users++; /* as the set does that it would go to */
    identity_free(identity);
    identity_maker_free(maker);
    tls_files_free(files);
    return made;
}

static bool proven(X509 *leaf, EVP_PKEY *key)
{
    EC_GROUP *kept = NULL;
    bool is = tls_key_is_proven(leaf, key, &kept);
    EC_GROUP_free(kept);
    return is;
}

static void refused_with(X509 *leaf, EVP_PKEY *key, const char *words)
{
    struct error error;
    assert_false(proven(leaf, key));
    for (int thorough = 0; thorough < 2; thorough++) {
        assert_false(taken(leaf, key, thorough != 0, &error));
        assert_non_null(strstr(error.text, words));
    }
}

/* ---- the tests ---- */

static const struct {
    const char *kind;
    bool arithmetic; /* proves it; the others are asked to sign */
} kinds[] = {{"RSA", true},   {"RSA-PSS", false}, {"RSA-3", false},   {"P-256", true},
             {"P-384", true}, {"P-521", true},    {"ED25519", false}, {"ED448", false}};

static void the_right_key_is_taken(void **state)
{
    struct error error;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        EVP_PKEY *key = key_new(kinds[i].kind);
        X509 *leaf = leaf_new(key);
        assert_int_equal(proven(leaf, key), kinds[i].arithmetic);
        assert_true(taken(leaf, key, false, &error));
        assert_true(taken(leaf, key, true, &error));
        X509_free(leaf);
        EVP_PKEY_free(key);
    }
}

static void the_key_of_another_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        EVP_PKEY *key = key_new(kinds[i].kind), *other = key_new(kinds[i].kind);
        X509 *leaf = leaf_new(key);
        struct error error;
        for (int thorough = 0; thorough < 2; thorough++) {
            assert_false(taken(leaf, other, thorough != 0, &error));
            assert_non_null(strstr(error.text, "a.key is not the key of a.crt"));
        }
        X509_free(leaf);
        EVP_PKEY_free(other);
        EVP_PKEY_free(key);
    }
}

/* The file says the public part of the certificate beside a private part that is not its own. */
static void a_private_part_of_another_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (strncmp(kinds[i].kind, "P-", 2) != 0)
            continue;
        EVP_PKEY *key = key_new(kinds[i].kind), *other = key_new(kinds[i].kind);
        EVP_PKEY *mixed = ec_mixed(key, other);
        X509 *leaf = leaf_new(key);
        refused_with(leaf, mixed, "a.key does not sign for a.crt");
        X509_free(leaf);
        EVP_PKEY_free(mixed);
        EVP_PKEY_free(other);
        EVP_PKEY_free(key);
    }
    enum {
        B_D = 1u << D,
        B_P = 1u << P,
        B_Q = 1u << Q,
        B_DP = 1u << DP,
        B_DQ = 1u << DQ,
        B_QINV = 1u << QINV
    };
    static const unsigned wrong[] = {B_D | B_P | B_Q | B_DP | B_DQ | B_QINV,
                                     B_D | B_DP | B_DQ,
                                     B_D | B_DP,
                                     B_D | B_DQ,
                                     B_D | B_QINV,
                                     B_D | B_P | B_DP,
                                     B_D | B_Q | B_DQ};
    EVP_PKEY *key = key_new("RSA"), *other = key_new("RSA");
    X509 *leaf = leaf_new(key);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        EVP_PKEY *mixed = rsa_mixed(key, other, wrong[i]);
        refused_with(leaf, mixed, "a.key does not sign for a.crt");
        EVP_PKEY_free(mixed);
    }
    /* Of one number that is wrong OpenSSL makes up for by the others, so that such a key signs; it proves
     * nothing. */
    static const unsigned one[] = {D, DP, DQ, QINV};
    for (size_t i = 0; i < COUNT_OF(one); i++) {
        EVP_PKEY *mixed = rsa_mixed(key, other, 1u << one[i]);
        assert_false(proven(leaf, mixed));
        EVP_PKEY_free(mixed);
    }
    X509_free(leaf);
    EVP_PKEY_free(other);
    EVP_PKEY_free(key);
}

/* Two of three primes told as one: every equation of a key of two primes holds, and no signature does. */
static void primes_that_are_none_prove_nothing(void **state)
{
    (void)state;
    BN_CTX *context = BN_CTX_new();
    EVP_PKEY *key = key_new("RSA-3");
    struct rsa_numbers numbers = numbers_of(key);
    BIGNUM *third = NULL, *less = BN_new();
    assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_FACTOR3, &third), 1);
    assert_int_equal(BN_mul(numbers.at[P], numbers.at[P], third, context), 1);
    BN_sub(less, numbers.at[P], BN_value_one());
    if (BN_mod_inverse(numbers.at[DP], numbers.at[E], less, context) == NULL)
        skip(); /* e has a part in it; one key in thousands */
    BN_mod_inverse(numbers.at[QINV], numbers.at[Q], numbers.at[P], context);
    /* d, by both rests. */
    BIGNUM *all = BN_new(), *q_less = BN_new(), *shared = BN_new();
    BN_sub(q_less, numbers.at[Q], BN_value_one());
    BN_gcd(shared, less, q_less, context);
    BN_mul(all, less, q_less, context);
    BN_div(all, NULL, all, shared, context);
    assert_non_null(BN_mod_inverse(numbers.at[D], numbers.at[E], all, context));
    BN_mod(numbers.at[DP], numbers.at[D], less, context);
    BN_mod(numbers.at[DQ], numbers.at[D], q_less, context);
    EVP_PKEY *forged = rsa_of(&numbers);
    X509 *leaf = leaf_new(key);
    refused_with(leaf, forged, "a.key does not sign for a.crt");
    X509_free(leaf);
    EVP_PKEY_free(forged);
    EVP_PKEY_free(key);
    BN_free(third);
    BN_free(less);
    BN_free(all);
    BN_free(q_less);
    BN_free(shared);
    BN_CTX_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_right_key_is_taken),
        cmocka_unit_test(the_key_of_another_is_refused),
        cmocka_unit_test(a_private_part_of_another_is_refused),
        cmocka_unit_test(primes_that_are_none_prove_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
