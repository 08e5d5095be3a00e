/* How nginx, HAProxy, Envoy and Caddy write what weir writes as ${...}, so that a value copied from one of
 * them is answered with ours instead of being taken for text. */
#ifndef WEIR_CONFIG_FOREIGN_VARIABLES_H
#define WEIR_CONFIG_FOREIGN_VARIABLES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/span.h"

struct text;

struct foreign_variable {
    const char *whose;
    const char *theirs; /* "*" stands for a name; $NAME is also found as ${NAME} */
    const char *ours;   /* as it is written in a template, with the same "*"; NULL: `hint` */
    const char *hint;   /* a clause */
};
/* Ends with a `whose` of NULL. */
extern const struct foreign_variable foreign_variables[];

/* What may be plain text: `{path}` and `{{` in a page, `{http.vars.x}` and `%ci` hardly anywhere, `$host`
 * nowhere. */
enum foreign_doubt { FOREIGN_PLAIN, FOREIGN_LIKELY, FOREIGN_PERHAPS };
/* The one that stands at the front of `text`, whatever follows, of those in no more doubt than that. Its
 * length goes to `used`, the name to `name`; NULL: none. */
const struct foreign_variable *foreign_variable_find(struct span text, enum foreign_doubt most, size_t *used,
                                                     struct span *name) MUST_CHECK;
/* What weir writes for it. */
void foreign_variable_print(const struct foreign_variable *variable, struct span name, struct text *to);

#endif
