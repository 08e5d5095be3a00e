/*
 * Sticky sessions: the word in a client's cookie that names a server of a pool, and back. It is signed, names
 * no address, and says when it was given. Which server is chosen when that one can't be had is upstream.c's,
 * what a cookie looks like the proxy's.
 */
#ifndef WEIR_UPSTREAM_STICKY_H
#define WEIR_UPSTREAM_STICKY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"

struct pool;
struct server;
struct sticky;

#define STICKY_LENGTH 40 /* characters of a word */

/* For the servers that the pool has by now; reads the file of secrets. NULL with error. */
struct sticky *sticky_new(const struct pool *pool, struct error *error) MUST_CHECK;
void sticky_free(struct sticky *sticky);                /* NULL allowed */
struct span sticky_cookie(const struct sticky *sticky); /* the cookie's name */
/* The server, or NULL: the word is not ours, has been changed, is too old, or its server has left the pool.
 * *renew: good, but to be given anew, as half of its time has passed or it is signed with an older secret. */
struct server *sticky_read(const struct sticky *sticky, struct span word, uint64_t wall_us, bool *renew);
/* False: the server is not of the pool, or memory is out. */
bool sticky_write(const struct sticky *sticky, const struct server *server, uint64_t wall_us,
                  char word[STICKY_LENGTH]) MUST_CHECK;

#endif
