/*
 * Schemes of authentication that say who a connection is, not who a request is from (NTLM, Negotiate: RFC
 * 4559 6): what a server learned by one request counts for all that follow on its connection. And the one
 * form of credentials.
 */
#ifndef WEIR_HTTP_AUTH_SCHEME_H
#define WEIR_HTTP_AUTH_SCHEME_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/span.h"

struct fields;
struct head;

enum auth_challenge {
    AUTH_CHALLENGE_NONE,
    AUTH_CHALLENGE_BEGIN,  /* names such a scheme */
    AUTH_CHALLENGE_GOES_ON /* and brings what the client is to answer on the same connection */
};
/* Of a response with status 401 or 407. */
enum auth_challenge auth_challenge_of(const struct fields *response) MUST_CHECK;
/* The request has credentials that the server may take for its connection's. */
bool auth_is_of_connection(const struct head *request) MUST_CHECK;

/*
 * The parts of credentials (RFC 9110 11.4): the scheme, whose case says nothing, and what follows the blanks
 * behind it. A value of one word is all `rest`. False: servers may find several things in it, such as "Bearer
 * t x", of which one takes "t" and another "t x".
 */
bool auth_credentials_read(struct span value, struct span *scheme, struct span *rest) MUST_CHECK;

#endif
