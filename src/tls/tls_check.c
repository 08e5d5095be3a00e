/*
 * What a listener or a pool has files for, looked at before anything is made of it, so that each mistake is
 * told at its place; and dates, which come due while weir runs.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/map.h"
#include "base/text.h"
#include "tls/tls_files.h"

#define DAY (INT64_C(24) * 60 * 60)
#define SOON (14 * DAY) /* before the end, or: */
#define SOON_SHARE 5    /* this part of a short life */
#define DATE_WORDS 96

static void tell(const struct tls_teller *teller, enum tls_word word, const char *const *field,
                 const char *path, const char *text)
{
    struct error line;
    (void)error_set(&line, "%s%s%s", path, path[0] != '\0' ? ": " : "", text);
    teller->tell(teller->owner, word, field, line.text);
}

static void tell_lines(const struct tls_teller *teller, const char *const *field, const char *path,
                       const char *lines)
{
    char line[512];
    for (struct span rest = span_of(lines != NULL ? lines : ""); rest.length != 0;) {
        size_t end = span_find(rest, '\n');
        (void)snprintf(line, sizeof line, "%.*s", (int)end, rest.at);
        tell(teller, TLS_WORD_WARNING, field, path, line);
        rest = span_skip(rest, end < rest.length ? end + 1 : end);
    }
}

/* ---- dates ---- */

static const char *day_of(int64_t seconds, char text[32])
{
    const time_t at = (time_t)seconds;
    struct tm parts;
    (void)strftime(text, 32, "%Y-%m-%d %H:%M UTC", gmtime_r(&at, &parts));
    return text;
}

static bool date_words(int64_t begins, int64_t ends, int64_t now, char *text, size_t size)
{
    char day[32];
    int64_t life = begins != INT64_MIN && ends != INT64_MAX ? ends - begins : SOON * SOON_SHARE;
    int64_t soon = life / SOON_SHARE < SOON ? life / SOON_SHARE : SOON;
    if (now >= ends)
        (void)snprintf(text, size, "expired on %s", day_of(ends, day));
    else if (now < begins)
        (void)snprintf(text, size, "is not valid before %s", day_of(begins, day));
    else if (ends - now < soon)
        (void)snprintf(text, size, "expires on %s", day_of(ends, day));
    else
        return false;
    return true;
}

void tls_store_dates(const struct tls_store *store, int64_t now, const struct tls_date_teller *teller)
{
    char words[DATE_WORDS];
    for (size_t i = 0; i < store->identities_count; i++)
        if (date_words(store->identities[i]->begins, store->identities[i]->ends, now, words, sizeof words))
            teller->tell(teller->owner, i, words);
    if (date_words(INT64_MIN, store->authorities_end, now, words, sizeof words))
        teller->tell(teller->owner, TLS_AUTHORITIES, words);
}

void tls_client_dates(const struct tls_client *client, int64_t now, const struct tls_date_teller *teller)
{
    char words[DATE_WORDS];
    const struct identity *identity = client->identity;
    if (identity != NULL && date_words(identity->begins, identity->ends, now, words, sizeof words))
        teller->tell(teller->owner, 0, words);
    if (date_words(INT64_MIN, client->authorities_end, now, words, sizeof words))
        teller->tell(teller->owner, TLS_AUTHORITIES, words);
}

/* ---- names ---- */

/* A name of the file that clients will not find in the certificate. */
static void check_given_names(const struct certificate_config *config, const struct identity *identity,
                              const struct tls_teller *teller)
{
    for (size_t i = 0; i < config->names.count; i++) {
        const char *name = config->names.items[i];
        bool covered = strncmp(name, "*.", 2) != 0 && X509_check_host(identity->leaf, name, 0, 0, NULL) == 1;
        for (size_t k = 0; !covered && k < identity->names_count; k++)
            covered = strcasecmp(identity->names[k], name) == 0;
        if (!covered)
            tell(teller, TLS_WORD_WARNING, &config->names.items[i], config->cert,
                 "it is shown for a name that it does not have, so clients will not trust it");
    }
}

/* Notes that there is a certificate of that kind for the name; false: there was one before. */
static bool name_note(struct map *seen, const char *name, const char *kind)
{
    char key[TLS_NAME_MOST + 32];
    struct text text = text_over(key, sizeof key);
    text_print(&text, "%s ", kind);
    for (const char *c = name; *c != '\0'; c++)
        text_char(&text, ascii_lower(*c));
    if (map_get(seen, text_span(&text)) != NULL)
        return false;
    map_set(seen, text_span(&text), seen);
    return true;
}

static bool has_address(X509 *leaf)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++)
        found = found || sk_GENERAL_NAME_value(names, i)->type == GEN_IPADD;
    GENERAL_NAMES_free(names);
    return found;
}

static void check_names(struct map *seen, const struct certificate_config *config, bool is_default,
                        const struct identity *identity, const struct tls_teller *teller)
{
    bool given = config->names.count != 0, fresh = false;
    size_t count = given ? config->names.count : identity->names_count;
    const char *kind = EVP_PKEY_get0_type_name(identity->key);
    for (size_t i = 0; i < count; i++)
        fresh =
            name_note(seen, given ? config->names.items[i] : identity->names[i], kind != NULL ? kind : "") ||
            fresh;
    if (given)
        check_given_names(config, identity, teller);
    if (is_default)
        return;
    if (count == 0 && !has_address(identity->leaf))
        tell(teller, TLS_WORD_WARNING, &config->cert, config->cert,
             "it has no name, so no client is shown it; give it names");
    else if (count == 0)
        tell(
            teller, TLS_WORD_WARNING, &config->cert, config->cert,
            "it is for addresses, which clients do not ask for by name, so only the default certificate can be");
    else if (!fresh)
        tell(teller, TLS_WORD_WARNING, &config->cert, config->cert,
             "it is never shown: a certificate before it serves each of its names");
}

/* ---- what a section names ---- */

static SSL_CTX *context_with(const char *ciphers)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL)
        die("OpenSSL has no memory");
    /* A list that is wrong is told by whoever uses it. */
    if (ciphers != NULL && SSL_CTX_set_cipher_list(context, ciphers) != 1)
        ERR_clear_error();
    return context;
}

int tls_security_level(const char *ciphers)
{
    SSL_CTX *context = context_with(ciphers);
    int level = SSL_CTX_get_security_level(context);
    SSL_CTX_free(context);
    return level;
}

struct identity_wish *tls_wishes(const struct tls_config *config)
{
    struct identity_wish *wishes = xcalloc(config->certificates_count + 1, sizeof *wishes);
    int level = tls_security_level(config->ciphers);
    for (size_t i = 0; i < config->certificates_count; i++)
        wishes[i] = (struct identity_wish){
            .cert = config->certificates[i].cert, .key = config->certificates[i].key, .level = level};
    return wishes;
}

struct identity_wish tls_client_wish(const struct upstream_tls_config *config)
{
    return (struct identity_wish){
        .cert = config->cert, .key = config->key, .level = tls_security_level(NULL), .client = true};
}

/* cert and key: fields of the file. */
static void check_identity(const struct identity *identity, const char *const *cert,
                           const struct tls_teller *teller)
{
    char words[DATE_WORDS];
    tell_lines(teller, cert, *cert, identity->warnings);
    tell_lines(teller, cert, *cert, identity->chain->warnings);
    if (date_words(identity->begins, identity->ends, (int64_t)time(NULL), words, sizeof words))
        tell(teller, TLS_WORD_DATE, cert, *cert, words);
}

/* ---- ciphers ---- */

static bool any_is(STACK_OF(SSL_CIPHER) * ciphers, struct identity *const *identities, size_t count,
                   bool (*is)(const struct identity *identity, const SSL_CIPHER *cipher))
{
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++)
        for (size_t k = 0; k < count; k++)
            if (identities[k] != NULL && is(identities[k], sk_SSL_CIPHER_value(ciphers, i)))
                return true;
    return false;
}

/* Of the list, those that the security level leaves. To be freed. */
static STACK_OF(SSL_CIPHER) * ciphers_left(SSL_CTX *context)
{
    SSL *ssl = SSL_new(context);
    if (ssl == NULL)
        die("OpenSSL has no memory");
    STACK_OF(SSL_CIPHER) *left = SSL_get1_supported_ciphers(ssl);
    SSL_free(ssl);
    return left;
}

/* NULL: there is one for a client of TLS 1.2, whose ciphers are for one kind of key each. */
static const char *ciphers_fault(const char *list, struct identity *const *identities, size_t count)
{
    SSL_CTX *context = context_with(list);
    STACK_OF(SSL_CIPHER) *left = ciphers_left(context);
    const char *fault = NULL;
    if (!any_is(SSL_CTX_get_ciphers(context), identities, count, identity_fits_cipher))
        fault = "is for the kind of key that a certificate here has";
    else if (!any_is(SSL_CTX_get_ciphers(context), identities, count, identity_serves_cipher))
        fault =
            "exchanges keys by ECDHE, or by RSA with a key that is not of RSA-PSS, and there is no other way here";
    else if (!any_is(left, identities, count, identity_serves_cipher))
        fault = "is strong enough for OpenSSL's security level";
    sk_SSL_CIPHER_free(left);
    SSL_CTX_free(context);
    return fault;
}

static bool check_ciphers(const struct tls_config *config, struct identity *const *identities,
                          const struct tls_teller *teller)
{
    bool alone = config->max_version == TLS_VERSION_1_2;
    const char *fault = config->min_version == TLS_VERSION_1_3
                            ? NULL
                            : ciphers_fault(config->ciphers, identities, config->certificates_count);
    if (fault == NULL)
        return true;
    struct text words = text_growing();
    text_print(&words, "none of these ciphers %s, so no client %s; leave the key out, %s", fault,
               alone ? "could connect" : "of TLS 1.2 can connect",
               alone ? "or add ECDHE+AESGCM" : "add ECDHE+AESGCM, or write min_version: \"1.3\"");
    tell(teller, alone ? TLS_WORD_ERROR : TLS_WORD_WARNING, &config->ciphers, "", words.at);
    text_free(&words);
    return !alone;
}

static size_t default_of(const struct tls_config *config)
{
    size_t found = 0;
    for (size_t i = 0; i < config->certificates_count; i++)
        if (config->certificates[i].is_default)
            found = i;
    return found;
}

static bool check_authorities(struct tls_files *files, const char *const *path, int level,
                              const struct tls_teller *teller)
{
    struct error error;
    char words[DATE_WORDS];
    const struct tls_authorities *authorities = tls_files_authorities(files, *path, level, &error);
    if (authorities == NULL) {
        teller->missing(teller->owner, path, NULL, false, error.text);
        return false;
    }
    tell_lines(teller, path, *path, authorities->warnings);
    if (date_words(INT64_MIN, authorities->ends, (int64_t)time(NULL), words, sizeof words))
        tell(teller, TLS_WORD_DATE, path, *path, words);
    return true;
}

bool tls_check_listener(struct tls_files *files, const struct tls_config *config,
                        const struct tls_teller *teller)
{
    size_t count = config->certificates_count, shown_first = default_of(config);
    struct identity_wish *wishes = tls_wishes(config);
    struct identity **identities = xcalloc(count + 1, sizeof *identities);
    struct identity_problem *problems = xcalloc(count + 1, sizeof *problems);
    struct map *seen = map_new();
    bool fine = tls_files_identities(files, wishes, count, identities, problems);
    for (size_t i = 0; i < count; i++) {
        const struct certificate_config *certificate = &config->certificates[i];
        if (identities[i] == NULL) {
            teller->missing(teller->owner, &certificate->cert, &certificate->key, problems[i].of_key,
                            problems[i].error.text);
            continue;
        }
        check_identity(identities[i], &certificate->cert, teller);
        check_names(seen, certificate, i == shown_first, identities[i], teller);
    }
    fine = fine && check_ciphers(config, identities, teller);
    if (config->client_auth != CLIENT_AUTH_OFF)
        fine =
            check_authorities(files, &config->client_ca, tls_security_level(config->ciphers), teller) && fine;
    map_free(seen);
    free(problems);
    free(identities);
    free(wishes);
    return fine;
}

bool tls_check_pool(struct tls_files *files, const struct upstream_tls_config *config,
                    const struct tls_teller *teller)
{
    const int level = tls_security_level(NULL);
    bool fine = true;
    if (config->ca != NULL && config->verify != SERVER_VERIFY_NONE)
        fine = check_authorities(files, &config->ca, level, teller);
    if (config->cert == NULL)
        return fine;
    const struct identity_wish wish = tls_client_wish(config);
    struct identity *identity;
    struct identity_problem problem;
    if (!tls_files_identities(files, &wish, 1, &identity, &problem)) {
        teller->missing(teller->owner, &config->cert, &config->key, problem.of_key, problem.error.text);
        return false;
    }
    check_identity(identity, &config->cert, teller);
    return fine;
}
