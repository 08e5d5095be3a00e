/* Keys of the cookies that weir gives to clients, and of what rests on them. */
#include "config/cookie_config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "config/config.h"
#include "config/config_schema.h"

#define SECRET_LEAST 16u
#define SECRET_MOST 1022u
#define SECRET_FILE_MOST ((size_t)64 << 10)

static const char *const secures[] = {"auto", "always", "never", NULL};
static const char *const sites[] = {"lax", "strict", "none", NULL};

static bool syntax_cookie_path(struct span value, struct error *error)
{
    bool good = value.length != 0 && value.at[0] == '/';
    for (size_t i = 0; i < value.length; i++)
        good = good && value.at[i] > ' ' && value.at[i] < 0x7f && value.at[i] != ';' && value.at[i] != ',';
    if (good && value.length > COOKIE_PATH_MOST)
        return error_set(
            error, "clients take no path of a cookie over %u bytes; this one has %zu, so write a shorter one",
            COOKIE_PATH_MOST, value.length);
    return good ||
           error_set(error, "\"%s\" cannot be the path of a cookie; write one such as / or /app", value.at);
}

/* What anybody can read signs for anybody: the mask of a printed configuration, and examples of manuals. */
bool secret_check(struct span secret, struct error *error)
{
    static const char *const published[] = {"change this secret first", "the secret of last month"};
    secret = span_trim(secret);
    if (span_equal_nocase(secret, SPAN(SCHEMA_SECRET_SHOWN)))
        return error_set(
            error,
            "this is printed in place of a secret; write the secret itself, such as \"${env.STICKY_SECRET}\"");
    for (size_t i = 0; i < COUNT_OF(published); i++)
        if (span_equal_nocase(secret, span_of(published[i])))
            return error_set(
                error,
                "this secret stood in an example, so everybody knows it; write one of your own, such as "
                "\"${env.STICKY_SECRET}\"");
    return secret.length >= SECRET_LEAST ||
           error_set(error, "a secret has at least %u bytes; this one has %zu, so write a longer one",
                     SECRET_LEAST, secret.length);
}

static bool secret_take(struct span line, bool (*each)(void *owner, struct span secret, struct error *error),
                        void *owner, struct error *error)
{
    struct span secret = span_trim(span_first(line, span_find(line, '\r')));
    if (secret.length > SECRET_MOST)
        return error_set(error, "a secret has at most %u bytes", SECRET_MOST);
    return secret.length == 0 ||
           (secret_check(secret, error) && (each == NULL || each(owner, secret, error)));
}

bool secret_file_read(const char *path, bool (*each)(void *owner, struct span secret, struct error *error),
                      void *owner, struct error *error)
{
    struct span bytes;
    if (!file_read(path, SECRET_FILE_MOST, &bytes, error))
        return false;
    bool good = true;
    struct span rest = bytes;
    for (unsigned number = 1; good && rest.length != 0; number++) {
        size_t end = span_find(rest, '\n');
        good = secret_take(span_first(rest, end), each, owner, error) ||
               error_wrap(error, "%s:%u", path, number);
        rest = span_skip(rest, end < rest.length ? end + 1 : end);
    }
    explicit_bzero((char *)(uintptr_t)bytes.at, bytes.length);
    free((char *)(uintptr_t)bytes.at);
    return good;
}

#define COOKIE struct cookie_config
static const struct schema_key cookie_keys[] = {
    KEY_STRING(
        COOKIE, name, NULL,
        "Name of the cookie; of a split it is required, of sticky by default weir_ and eight hexadecimal digits.",
        .check = syntax_token, .flags = SCHEMA_TOLD),
    KEY_STRING(COOKIE, path, "/", "Paths that the client sends it for; at most 1024 bytes, as clients take.",
               .check = syntax_cookie_path),
    KEY_STRING(COOKIE, domain, NULL,
               "Domain that the client sends it for, with all below; by default the host that was asked.",
               .check = syntax_host, .flags = SCHEMA_TOLD),
    KEY_DURATION(COOKIE, max_age, "none", 1, HOURS(24) * 400,
                 "How long it is good; none: until the client's session ends.", .word = "none"),
    KEY_CHOICE(COOKIE, secure, "auto", secures,
               "Whether it is sent over TLS only; auto: when the request came by TLS, or same_site is none."),
    KEY_BOOL(COOKIE, http_only, "true", "Hides it from scripts."),
    KEY_CHOICE(COOKIE, same_site, "lax", sites, "Whether it is sent with requests that other sites cause."),
    KEY_END};
static const struct schema cookie_schema = {.noun = "cookie",
                                            .size = sizeof(COOKIE),
                                            .keys = cookie_keys,
                                            .shorthand = "name",
                                            .text = "A cookie that weir gives to clients."};

#define STICKY struct sticky_config
static const struct schema_key sticky_keys[] = {
    KEY_SECTION(STICKY, cookie, COOKIE, cookie_schema,
                "The cookie; without a name of its own its name stands for the pool."),
    KEY_TEXTS(SCHEMA_STRING, STICKY, secrets, NULL,
              "Secrets of at least 16 bytes: the first signs, all are accepted.", .check = secret_check,
              .flags = SCHEMA_SECRET),
    KEY_PATH(STICKY, secret_file, NULL, "File with further secrets, one a line.", .check = syntax_environment,
             .flags = SCHEMA_SECRET_FILE),
    KEY_END};
const struct schema sticky_schema = {
    .noun = "sticky",
    .size = sizeof(STICKY),
    .keys = sticky_keys,
    .shorthand = "secrets",
    .text = "Sends a client's requests to the server that had its first, by a signed cookie."};

#define SPLIT struct split_config
static const struct schema_key split_keys[] = {
    KEY_TEXTS(
        SCHEMA_STRING, SPLIT, key, NULL,
        "What requests to one pool have in common: client.ip, host, path, method, header:NAME, cookie:NAME, "
        "query:NAME.",
        .check = syntax_key_part, .least = 1),
    KEY_OPTIONAL(SPLIT, cookie, COOKIE, cookie_schema,
                 "The same by a cookie that weir gives to clients; instead of key."),
    KEY_INT(SPLIT, ipv6_prefix, "64", 1, 128, "Bits of an IPv6 client address that count as one client."),
    KEY_END};
const struct schema split_schema = {.noun = "split",
                                    .size = sizeof(SPLIT),
                                    .keys = split_keys,
                                    .shorthand = "key",
                                    .text = "Keeps a client at one of a route's several pools."};

/* Prefixes by which clients hold a cookie to more; RFC 6265bis 4.1.3, and 5.7 for the case. */
static void prefix_check(const struct cookie_config *cookie, const struct schema_document *document,
                         struct schema_report *report)
{
    struct span name = span_of(cookie->name);
    bool host = span_equal_nocase(span_first(name, 7), SPAN("__Host-")),
         secure = span_equal_nocase(span_first(name, 9), SPAN("__Secure-"));
    int length = host ? 7 : 9;
    if ((host || secure) && cookie->secure == COOKIE_SECURE_NEVER)
        schema_report_add(
            report, SCHEMA_ERROR, schema_place(document, &cookie->secure),
            "clients take a cookie whose name begins with %.*s over TLS only; it cannot go with "
            "secure: never",
            length, name.at);
    if (host && cookie->domain != NULL)
        schema_report_add(
            report, SCHEMA_ERROR, schema_place(document, &cookie->domain),
            "clients take a cookie whose name begins with %.*s without a domain only; remove it", length,
            name.at);
    if (host && strcmp(cookie->path, "/") != 0)
        schema_report_add(report, SCHEMA_ERROR, schema_place(document, &cookie->path),
                          "clients take a cookie whose name begins with %.*s with path: / only; remove it",
                          length, name.at);
}

static void cookie_check(const struct cookie_config *cookie, const struct schema_document *document,
                         struct schema_report *report)
{
    if (cookie->same_site == COOKIE_SITE_NONE && cookie->secure == COOKIE_SECURE_NEVER)
        schema_report_add(
            report, SCHEMA_ERROR, schema_place(document, &cookie->secure),
            "clients take a cookie with same_site: none over TLS only; it cannot go with secure: never");
    if (cookie->name != NULL)
        prefix_check(cookie, document, report);
}

static bool secret_note(void *owner, struct span secret, struct error *error)
{
    (void)secret;
    (void)error;
    *(bool *)owner = true;
    return true;
}

void sticky_check(struct sticky_config *sticky, const struct schema_document *document,
                  struct schema_report *report)
{
    cookie_check(&sticky->cookie, document, report);
    struct error error = {""};
    bool is_read = sticky->secret_file != NULL && file_check(&sticky->secret_file, document, report);
    bool any = false;
    if (is_read && !secret_file_read(sticky->secret_file, secret_note, &any, &error))
        schema_report_add(report, SCHEMA_ERROR, schema_place(document, &sticky->secret_file), "%s",
                          error.text);
    else if (is_read && !any && sticky->secrets.count == 0)
        schema_report_add(report, SCHEMA_ERROR, schema_place(document, &sticky->secret_file),
                          "%s holds no secret; write one a line, of at least %u bytes", sticky->secret_file,
                          SECRET_LEAST);
    if (sticky->secrets.count == 0 && sticky->secret_file == NULL && !schema_is_broken(document, sticky))
        schema_report_add(
            report, SCHEMA_ERROR, schema_place_section(document, sticky),
            "sticky needs a secret to sign with; give it secrets, such as \"${env.STICKY_SECRET}\", or secret_file");
}

void split_check(struct split_config *split, const struct schema_document *document, struct arena *arena,
                 struct schema_report *report)
{
    if (split->parts == NULL)
        split->parts = key_parts_of(&split->key, &split->parts_count, arena);
    if ((split->key.count != 0) == (split->cookie != NULL) && !schema_is_broken(document, split))
        schema_report_add(report, SCHEMA_ERROR, schema_place_section(document, split),
                          "a split goes by key or by cookie: give one of them");
    if (split->cookie == NULL)
        return;
    cookie_check(split->cookie, document, report);
    if (split->cookie->name == NULL && !schema_is_broken(document, split->cookie))
        schema_report_add(report, SCHEMA_ERROR, schema_place_section(document, split->cookie),
                          "the cookie of a split needs a name");
}
