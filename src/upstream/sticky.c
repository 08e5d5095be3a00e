/*
 * A word is base64 of
 *
 *     id of the server (8 bytes) | minute it was given (4) | signature (18)
 *
 * The id is a keyed digest of the names of pool and server, so nobody learns an address from it, and every
 * weir with the same file and secret understands it. The signature covers id, minute and pool.
 */
#include "upstream/sticky.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/hash.h"
#include "base/text.h"
#include "tls/keyed_mac.h"
#include "upstream/pool.h"

#define ID 8u
#define MINUTE 4u
#define SIGNATURE 18u
#define BYTES (ID + MINUTE + SIGNATURE)
#define SECRETS_MOST 16u
#define US_PER_MINUTE UINT64_C(60000000)
#define MS_PER_MINUTE 60000u

_Static_assert(BASE64_LENGTH(BYTES) == STICKY_LENGTH, "whole groups, so there is no padding");

struct sticky_id {
    unsigned char id[ID];
    struct server *server; /* held by the pool */
};
struct sticky_secret {
    struct keyed_mac *mac;
    struct sticky_id *ids; /* sorted by id */
};
struct sticky {
    char cookie[COOKIE_NAME_MOST + 1];
    struct span pool;
    uint64_t minutes_most; /* 0: words do not age */
    size_t servers;
    unsigned count;
    struct sticky_secret secrets[SECRETS_MOST];
};

static int id_compare(const void *left, const void *right)
{
    return memcmp(((const struct sticky_id *)left)->id, ((const struct sticky_id *)right)->id, ID);
}

static bool id_make(const struct sticky *sticky, const struct keyed_mac *mac, const struct server *server,
                    unsigned char id[ID])
{
    const struct span parts[] = {SPAN("weir server"), span_make("", 1), sticky->pool, span_make("", 1),
                                 span_of(server->name)};
    unsigned char made[KEYED_MAC_LENGTH];
    if (!keyed_mac_make(mac, parts, COUNT_OF(parts), made))
        return false;
    memcpy(id, made, ID);
    return true;
}

static bool word_sign(const struct sticky *sticky, const struct keyed_mac *mac, unsigned char bytes[BYTES])
{
    const struct span parts[] = {SPAN("weir sticky"), span_make("", 1), sticky->pool, span_make("", 1),
                                 span_make((const char *)bytes, ID + MINUTE)};
    unsigned char made[KEYED_MAC_LENGTH];
    if (!keyed_mac_make(mac, parts, COUNT_OF(parts), made))
        return false;
    memcpy(bytes + ID + MINUTE, made, SIGNATURE);
    return true;
}

static bool secret_add(struct sticky *sticky, const struct pool *pool, struct span secret,
                       struct error *error)
{
    if (!secret_check(secret, error))
        return false;
    if (sticky->count == SECRETS_MOST)
        return error_set(error, "there are more than %u secrets", SECRETS_MOST);
    struct sticky_secret *made = &sticky->secrets[sticky->count];
    made->mac = keyed_mac_new(secret);
    if (made->mac == NULL)
        return error_set(error, "the secret cannot be used");
    sticky->count++;
    made->ids = xcalloc(pool->servers_count + 1, sizeof *made->ids);
    for (size_t i = 0; i < pool->servers_count; i++) {
        made->ids[i].server = pool->servers[i].server;
        if (!id_make(sticky, made->mac, made->ids[i].server, made->ids[i].id))
            return error_set(error, "the secret cannot be used");
    }
    qsort(made->ids, pool->servers_count, sizeof *made->ids, id_compare);
    return true;
}

struct adding {
    struct sticky *sticky;
    const struct pool *pool;
};

static bool secret_of_file(void *owner, struct span secret, struct error *error)
{
    const struct adding *adding = owner;
    return secret_add(adding->sticky, adding->pool, secret, error);
}

struct sticky *sticky_new(const struct pool *pool, struct error *error)
{
    const struct sticky_config *config = pool->config->sticky;
    struct sticky *sticky = xcalloc(1, sizeof *sticky);
    sticky->pool = span_of(pool->name);
    sticky->servers = pool->servers_count;
    sticky->minutes_most = (config->cookie.max_age + MS_PER_MINUTE - 1) / MS_PER_MINUTE;
    const uint64_t key[2] = {0, 0};
    if (config->cookie.name != NULL)
        (void)snprintf(sticky->cookie, sizeof sticky->cookie, "%s", config->cookie.name);
    else /* cookies of several pools of one host must not overwrite each other, nor tell the pools' names */
        (void)snprintf(sticky->cookie, sizeof sticky->cookie, "weir_%08x",
                       (unsigned)hash_sip13(key, sticky->pool));
    bool good = true;
    for (size_t i = 0; good && i < config->secrets.count; i++)
        good = secret_add(sticky, pool, span_of(config->secrets.items[i]), error);
    if (good && config->secret_file != NULL)
        good = secret_file_read(config->secret_file, secret_of_file, &(struct adding){sticky, pool}, error);
    if (good && sticky->count == 0)
        good = error_set(error, "%s has no secret",
                         config->secret_file != NULL ? config->secret_file : "sticky");
    if (good)
        return sticky;
    (void)error_wrap(error, "pool \"%s\": sticky", pool->name);
    sticky_free(sticky);
    return NULL;
}

void sticky_free(struct sticky *sticky)
{
    if (sticky == NULL)
        return;
    for (unsigned i = 0; i < sticky->count; i++) {
        keyed_mac_free(sticky->secrets[i].mac);
        free(sticky->secrets[i].ids);
    }
    free(sticky);
}

struct span sticky_cookie(const struct sticky *sticky)
{
    return span_of(sticky->cookie);
}

static uint32_t minute_of(const unsigned char bytes[BYTES])
{
    const unsigned char *at = bytes + ID;
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Signed with which secret; NULL: with none. */
static const struct sticky_secret *secret_of(const struct sticky *sticky, const unsigned char bytes[BYTES])
{
    unsigned char own[BYTES];
    memcpy(own, bytes, ID + MINUTE);
    for (unsigned i = 0; i < sticky->count; i++)
        if (word_sign(sticky, sticky->secrets[i].mac, own) && keyed_mac_equal(own, bytes, BYTES))
            return &sticky->secrets[i];
    return NULL;
}

struct server *sticky_read(const struct sticky *sticky, struct span word, uint64_t wall_us, bool *renew)
{
    struct base64_reader reader = {0};
    unsigned char bytes[BYTES + 1];
    size_t length = 0;
    if (word.length != STICKY_LENGTH || !base64_read(&reader, word.at, word.length, bytes, &length) ||
        length != BYTES)
        return NULL;
    const struct sticky_secret *secret = secret_of(sticky, bytes);
    if (secret == NULL)
        return NULL;
    struct sticky_id wanted;
    memcpy(wanted.id, bytes, ID);
    const struct sticky_id *found = bsearch(&wanted, secret->ids, sticky->servers, sizeof wanted, id_compare);
    uint32_t now = (uint32_t)(wall_us / US_PER_MINUTE), given = minute_of(bytes),
             age = now > given ? now - given : 0;
    if (found == NULL || (sticky->minutes_most != 0 && age > sticky->minutes_most))
        return NULL;
    *renew = secret != &sticky->secrets[0] ||
             (sticky->minutes_most != 0 && age * UINT64_C(2) > sticky->minutes_most);
    return found->server;
}

bool sticky_write(const struct sticky *sticky, const struct server *server, uint64_t wall_us,
                  char word[STICKY_LENGTH])
{
    const struct sticky_secret *secret = &sticky->secrets[0];
    unsigned char bytes[BYTES];
    uint32_t minute = (uint32_t)(wall_us / US_PER_MINUTE);
    for (unsigned i = 0; i < MINUTE; i++)
        bytes[ID + i] = (unsigned char)(minute >> (24 - 8 * i));
    if (!id_make(sticky, secret->mac, server, bytes) || !word_sign(sticky, secret->mac, bytes))
        return false;
    (void)base64_encode(bytes, BYTES, word);
    return true;
}
