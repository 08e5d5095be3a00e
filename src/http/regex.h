/* Regular expressions (PCRE2) with bounds against patterns that run away. Compiled once, read-only, matched from any thread. */
#ifndef WEIR_HTTP_REGEX_H
#define WEIR_HTTP_REGEX_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"

struct regex;
struct regex *regex_new(const char *pattern, struct error *error) MUST_CHECK;
void regex_free(struct regex *regex); /* NULL allowed */
/* Up to `most` captures (the whole first) as spans into the subject; returns how many, 0: no match, or a bound was hit. */
unsigned regex_match(const struct regex *regex, struct span subject, struct span *captures, unsigned most) MUST_CHECK;
void regex_thread_leave(void); /* gives back what this thread keeps for matching */
const char *regex_library_version(void);

#endif
