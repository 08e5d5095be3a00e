/*
 * `${...}` in values of the file, compiled once, filled per request. Names: request.id, request.method,
 * request.host, request.path, request.query, request.uri, request.scheme, request.header.NAME, client.ip,
 * client.port, peer.ip, route, tls.version, tls.sni, server, status. What is not there, or not yet, is empty.
 * Those of the request tell it as it came, whatever filters have made of it.
 */
#ifndef WEIR_HTTP_TEMPLATE_H
#define WEIR_HTTP_TEMPLATE_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"

struct arena;
struct exchange;
struct template;

/* Compiles; unknown names are an error with "did you mean". `$$` is one `$`. */
struct template *template_new(const char *text, struct error *error) MUST_CHECK;
/* False: it names what exists only once a response is there. For templates that are filled before. */
bool template_check_early(const char *text, struct error *error) MUST_CHECK;
void template_free(struct template *template);
bool template_is_constant(const struct template *template, struct span *text);
bool template_names_host(const struct template *template); /* of the request, by ${request.host} */
/* Into the exchange's arena (no copy when constant). Control bytes never come out of a value: they are
 * dropped, but for HTAB. at == NULL: arena cap. */
struct span template_fill(const struct template *template, struct exchange *exchange) MUST_CHECK;
/* The same for a body of some type, or for a cookie: values are text in it and nothing else. */
enum template_escape {
    TEMPLATE_AS_IT_IS,
    TEMPLATE_FOR_HTML,
    TEMPLATE_FOR_JSON,
    TEMPLATE_FOR_COOKIE, /* Set-Cookie: no value begins an attribute or another cookie */
    TEMPLATE_ESCAPES
};
enum template_escape template_escape_of(struct span content_type);
struct span template_fill_escaped(const struct template *template, struct exchange *exchange,
                                  enum template_escape escape) MUST_CHECK;

#endif
