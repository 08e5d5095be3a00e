/* Which version of HTTP a client speaks, by its first bytes. */
#ifndef WEIR_PROXY_CLIENT_VERSION_H
#define WEIR_PROXY_CLIENT_VERSION_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/span.h"

struct buf;

/* MORE: they do not tell yet */
enum client_version { CLIENT_VERSION_MORE, CLIENT_VERSION_1, CLIENT_VERSION_2 };
/*
 * HTTP/2 begins with a preface that is no request of HTTP/1 (RFC 9113 3.4). What differs from it is HTTP/1
 * where that is spoken; elsewhere only what looks like a request, and the rest a broken preface.
 */
enum client_version client_version_of(const struct buf *bytes, bool http_1_is_spoken) MUST_CHECK;
/* The answer to a request of HTTP/1 where only HTTP/2 is spoken. */
extern const struct span client_version_refusal;

#endif
