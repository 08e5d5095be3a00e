/*
 * What a regular expression may cost that is matched by trying (PCRE2's usual matcher), seen from its text
 * alone. What is not understood counts as the worst, so a cost is never too low.
 */
#ifndef WEIR_HTTP_PATTERN_H
#define WEIR_HTTP_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

struct pattern_cost {
    /* On a subject of n bytes at most ways * n^degree ways are tried; where a match begins is one more degree
     * where it is not anchored. */
    double ways;
    unsigned degree;
    bool endless; /* no such bound is known */
    /* Repeats what can match the same text in several ways: some texts are tried in exponentially many. */
    bool explodes;
};
/* pattern: one that PCRE2 compiles. */
struct pattern_cost pattern_cost(const char *pattern);
struct text;
/* The same pattern with "aa*" for "a+" wherever a is one character: pcre2_dfa_match() counts the rounds of
 * the latter, and states of different counts are different states. What is not understood stays as it is. */
void pattern_unroll(const char *pattern, struct text *to);
/* ways * n^(degree + more), or infinity. */
double pattern_steps(const struct pattern_cost *cost, unsigned more, size_t length);

#endif
