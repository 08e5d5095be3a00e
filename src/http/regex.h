/*
 * Regular expressions (PCRE2) whose work is bounded, and which never take "it went too far" for "no".
 * Compiled once, read-only, matched from any thread.
 *
 * A match costs at most a few milliseconds for a subject of 8 KiB, whatever pattern and subject are, and the
 * answer does not depend on whether patterns could be compiled to machine code.
 */
#ifndef WEIR_HTTP_REGEX_H
#define WEIR_HTTP_REGEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"

/* FAILED: it can't be told within bounds. Never a "no": whoever asked for a decision must refuse. */
enum match { MATCH_NO, MATCH_YES, MATCH_FAILED };

struct regex;
struct regex *regex_new(const char *pattern, struct error *error) MUST_CHECK;
/* The same for a few matches: no machine code is made, which takes a quarter of a millisecond. */
struct regex *regex_new_plain(const char *pattern, struct error *error) MUST_CHECK;
void regex_free(struct regex *regex); /* NULL allowed */
/* Whether regex_new() would take the pattern; costs a fraction of it, since nothing is made ready for
 * matching. */
bool regex_check(const char *pattern, struct error *error) MUST_CHECK;
/* Groups of a pattern that regex_check() has taken. */
unsigned regex_groups(const char *pattern) MUST_CHECK;
/* False: the pattern can be made to try very many ways, or to fail; error tells why. It is taken all the
 * same. */
bool regex_is_sound(const char *pattern, struct error *error) MUST_CHECK;

enum match regex_match(const struct regex *regex, struct span subject) MUST_CHECK;
/* With the captures, up to `most` (the whole first) as spans into the subject, *given of them. */
enum match regex_find(const struct regex *regex, struct span subject, struct span *captures, unsigned most,
                      unsigned *given) MUST_CHECK;

/* What this thread's matches may cost together from now on, in steps of about a nanosecond, counted by what
 * they might take at most: past it they fail. 0: each has its own bounds only. */
void regex_work_begin(uint64_t most);
uint64_t regex_work_done(void); /* since then */

void regex_thread_leave(void); /* gives back what this thread keeps for matching */
const char *regex_library_version(void);

#endif
