/* Cookies that weir itself gives to clients. */
#ifndef WEIR_CONFIG_COOKIE_CONFIG_H
#define WEIR_CONFIG_COOKIE_CONFIG_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"
#include "config/values.h"

#define COOKIE_NAME_MOST 256u  /* as of any name in the file */
#define COOKIE_PATH_MOST 1024u /* clients take no longer ones (RFC 6265bis) */

enum cookie_secure { COOKIE_SECURE_AUTO, COOKIE_SECURE_ALWAYS, COOKIE_SECURE_NEVER };
enum cookie_site { COOKIE_SITE_LAX, COOKIE_SITE_STRICT, COOKIE_SITE_NONE };
struct cookie_config {
    const char *name;           /* scalar shorthand; NULL: as its place says */
    const char *path;           /* / */
    const char *domain;         /* NULL: the host that was asked */
    uint64_t max_age;           /* ms; 0: until the client ends its session */
    enum cookie_secure secure;  /* auto: when the client came by TLS */
    bool http_only;             /* true */
    enum cookie_site same_site; /* lax */
};
/* Which server serves a client's requests (pool.sticky). */
struct sticky_config {
    struct cookie_config cookie;
    struct texts secrets;    /* the first signs, all are accepted */
    const char *secret_file; /* further ones, one a line; NULL: none */
};
/* Whether this can be a secret, wherever it was read; if not, the sentence does not tell what it was. */
bool secret_check(struct span secret, struct error *error) MUST_CHECK;
/* Each secret of a file, one a line, checked, in its order until `each` returns false. `each` may be NULL.
 * Blocks on a file that is no plain one only as long as opening does. */
bool secret_file_read(const char *path, bool (*each)(void *owner, struct span secret, struct error *error),
                      void *owner, struct error *error) MUST_CHECK;

struct key_part;
/* By what a request's pool is chosen among the several of its route (route.split). */
struct split_config {
    struct texts key;             /* of the request; none: the cookie */
    struct cookie_config *cookie; /* given to clients that have none; NULL: key */
    uint64_t ipv6_prefix;         /* 64 */
    size_t parts_count;           /* not keys: set by the check from `key` */
    struct key_part *parts;
};

#endif
