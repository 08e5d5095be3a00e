/* Parameters of a query as forms write them: what servers that decode make of a name and of a value. Pure
 * functions. */
#ifndef WEIR_HTTP_FORM_H
#define WEIR_HTTP_FORM_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/span.h"

struct arena;

/* Whether this is `name`, or becomes it when it is decoded. */
bool form_is_named(struct span text, struct span name);
bool form_is_encoded(struct span value);
/* room: as much as the value has. */
struct span form_decode(struct span value, char *room);
/* The same span when nothing in it is encoded. at == NULL: no memory. */
struct span form_decoded(struct span value, struct arena *arena) MUST_CHECK;

#endif
