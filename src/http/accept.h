/* What a client would like to have (RFC 9110 12.5.1). */
#ifndef WEIR_HTTP_ACCEPT_H
#define WEIR_HTTP_ACCEPT_H

#include "base/span.h"

struct fields;

enum accept_range { ACCEPT_NOT_NAMED, ACCEPT_ANY, ACCEPT_ANY_SUBTYPE, ACCEPT_NAMED };
struct acceptance {
    enum accept_range range; /* the closest that speaks of the type, and so decides */
    unsigned weight;         /* 0: not to be sent, to 1000 */
};
/* Of all Accept fields. What stands behind a "+" in a subtype there does not count ("grpc-web+proto"), nor do
 * parameters. Without any field every type is NOT_NAMED with 0. */
struct acceptance accept_of(const struct fields *fields, struct span type, struct span subtype);

#endif
