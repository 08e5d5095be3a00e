/* Regular expressions (PCRE2) with bounds against patterns that run away. Compiled once, read-only, matched
 * from any thread. */
#ifndef WEIR_HTTP_REGEX_H
#define WEIR_HTTP_REGEX_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"

struct regex;
struct regex *regex_new(const char *pattern, struct error *error) MUST_CHECK;
void regex_free(struct regex *regex); /* NULL allowed */
/* Whether regex_new() would take the pattern; costs a fraction of it, since nothing is made ready for
 * matching. */
bool regex_check(const char *pattern, struct error *error) MUST_CHECK;
/* Groups of a pattern that regex_check() has taken. */
unsigned regex_groups(const char *pattern) MUST_CHECK;
/* Up to `most` captures (the whole first) as spans into the subject; returns how many, 0: no match, or a
 * bound was hit.
 */
unsigned regex_match(const struct regex *regex, struct span subject, struct span *captures,
                     unsigned most) MUST_CHECK;
void regex_thread_leave(void); /* gives back what this thread keeps for matching */
const char *regex_library_version(void);

#endif
