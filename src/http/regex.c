/*
 * PCRE2 has two matchers. The usual one tries one way after another: fast where there are few ways, and
 * without bound where there are many. The other (pcre2_dfa_match) follows all ways at once: slower, but never
 * more than so much for each byte; it can't tell captures and does not know back references. Each subject
 * goes to the first of these that can answer it within its bounds:
 *
 * 1. trying, in machine code where the system allows it, when the pattern's text says that few ways exist for
 *    a subject of this length (http/pattern.h);
 * 2. trying, interpreted, for so many steps: unlike machine code it counts every one;
 * 3. all ways at once, in a room that bounds how many there may be;
 * 4. for captures, trying again, for more steps.
 *
 * Which one answers is a matter of speed only, so the same subject gets the same answer everywhere.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "http/regex.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "http/pattern.h"

/* Steps are of about a nanosecond: what a byte compared or a state followed costs at most. */
#define FEW_WAYS 50000.0
/* Of those that PCRE2 counts each may run over the rest of the subject, and over the whole pattern: so their
 * number times either is bounded too, and so is the length of a subject anywhere in which a match may begin.
 */
#define TRIES_MOST 10000u
#define TRIES_WORK 4000000u
#define TRY_STEPS 20u
#define STARTS_WORK 1000000u
#define CAPTURES_TIMES 16u          /* so much more of all that where the captures of a match must be found */
#define TRIES_IN_FEW_WAYS 10000000u /* never reached: the pattern has no more ways */
#define SIZE_USUAL 256u             /* bytes of a compiled pattern */
/* A list of states is searched for each of them. */
#define STATES_WORK 2500000u
#define STATES_LEAST 16u
#define STATES_MOST 300u
#define STATE_STEPS 10u
#define STATES_SUBJECT_MOST 65536u /* bytes */
#define HEAP_LIMIT_KIB 1024u
/* The longest line and head that the file can allow: no subject is too long to be compared. */
#define SUBJECT_MOST (1024u * 1024u)
#define JIT_STACK_FIRST (32u * 1024u)
#define JIT_STACK_MOST (256u * 1024u)
#define CAPTURES_MOST 10u
/* pcre2_dfa_match(3): two lists of states of three numbers, and two numbers more */
#define STATE_INTS 6u
#define ROOM_INTS (STATES_MOST * STATE_INTS + 2u)

struct regex {
    pcre2_code *code;
    /* for all ways at once, anchored; NULL: it would never be asked, or does not know the pattern */
    pcre2_code *parallel;
    struct pattern_cost cost;
    unsigned starts; /* 1: a match may begin anywhere, which is one degree more */
    uint32_t groups;
    size_t size; /* bytes, compiled: what one way through it may cost */
};
/* What matching needs beside the pattern: one a thread, made at the first match, kept to the thread's end. */
static _Thread_local struct {
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_jit_stack *stack;
    int *room;                /* ROOM_INTS */
    uint64_t work, work_most; /* 0: no bound on all together */
} scratch;

/* ---- compiling ---- */

static pcre2_code *pattern_compile(const char *pattern, struct error *error)
{
    int number;
    PCRE2_SIZE offset;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_NEVER_BACKSLASH_C,
                                     &number, &offset, NULL);
    if (code == NULL) {
        PCRE2_UCHAR text[256];
        pcre2_get_error_message(number, text, sizeof text);
        error_set(error, "\"%s\" is not a regular expression: %s, at character %zu", pattern,
                  (const char *)text, offset + 1);
    }
    return code;
}

static bool is_anchored(const pcre2_code *code)
{
    uint32_t options = 0;
    (void)pcre2_pattern_info(code, PCRE2_INFO_ALLOPTIONS, &options);
    return (options & PCRE2_ANCHORED) != 0;
}

/* Whether all ways at once can be followed: captures are nothing then, so what asks for them can't be told.
 */
static bool is_regular(const pcre2_code *code, const char *pattern)
{
    uint32_t references = 0;
    (void)pcre2_pattern_info(code, PCRE2_INFO_BACKREFMAX, &references);
    return references == 0 && strstr(pattern, "\\K") == NULL && strstr(pattern, "(*") == NULL &&
           strstr(pattern, "(?(") == NULL;
}

/* The pattern, searched from the beginning in one go. NULL: it can't be written so (it begins with a verb, or
 * its end is open). */
static pcre2_code *parallel_compile(const char *pattern, const pcre2_code *code)
{
    int number;
    PCRE2_SIZE offset;
    uint32_t groups = 0, same = 0;
    struct text text = text_growing();
    text_print(&text, is_anchored(code) ? "(?:" : "(?s:.*?)(?:");
    pattern_unroll(pattern, &text);
    text_char(&text, ')');
    pcre2_code *parallel = pcre2_compile((PCRE2_SPTR)text.at, text.length,
                                         PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C, &number, &offset, NULL);
    text_free(&text);
    (void)pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
    if (parallel != NULL)
        (void)pcre2_pattern_info(parallel, PCRE2_INFO_CAPTURECOUNT, &same);
    if (parallel == NULL || same == groups)
        return parallel;
    pcre2_code_free(parallel);
    return NULL;
}

bool regex_check(const char *pattern, struct error *error)
{
    pcre2_code *code = pattern_compile(pattern, error);
    pcre2_code_free(code);
    return code != NULL;
}

unsigned regex_groups(const char *pattern)
{
    struct error error;
    uint32_t count = 0;
    pcre2_code *code = pattern_compile(pattern, &error);
    if (code != NULL)
        (void)pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &count);
    pcre2_code_free(code);
    return count;
}

struct regex *regex_new_plain(const char *pattern, struct error *error)
{
    pcre2_code *code = pattern_compile(pattern, error);
    if (code == NULL)
        return NULL;
    struct regex *regex = xmalloc(sizeof *regex);
    *regex = (struct regex){.code = code, .cost = pattern_cost(pattern), .starts = !is_anchored(code)};
    (void)pcre2_pattern_info(code, PCRE2_INFO_SIZE, &regex->size);
    (void)pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &regex->groups);
    if (pattern_steps(&regex->cost, regex->starts, SUBJECT_MOST) > FEW_WAYS && is_regular(code, pattern))
        regex->parallel = parallel_compile(pattern, code);
    return regex;
}

struct regex *regex_new(const char *pattern, struct error *error)
{
    struct regex *regex = regex_new_plain(pattern, error);
    /* where memory may not be made executable it is interpreted */
    if (regex != NULL && !regex->cost.endless)
        (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
    return regex;
}

bool regex_is_sound(const char *pattern, struct error *error)
{
    struct regex *regex = regex_new_plain(pattern, NULL);
    if (regex == NULL)
        return true; /* which is regex_check()'s to tell */
    bool bounded =
        regex->parallel != NULL || (!regex->cost.endless && regex->cost.degree + regex->starts < 3);
    bool explodes = regex->cost.explodes;
    regex_free(regex);
    if (explodes)
        return error_set(
            error,
            "\"%s\" repeats what can match the same text in several ways; on some texts it is slow, and "
            "a request with which it goes too far is refused",
            pattern);
    return bounded ||
           error_set(error,
                     "\"%s\" can't be matched within bounds whatever the text is, since it has back "
                     "references, conditions or verbs; a request with which it goes too far is refused",
                     pattern);
}

void regex_free(struct regex *regex)
{
    if (regex == NULL)
        return;
    pcre2_code_free(regex->code);
    pcre2_code_free(regex->parallel);
    free(regex);
}

/* ---- what a thread keeps ---- */

static void scratch_make(void)
{
    scratch.context = pcre2_match_context_create(NULL);
    scratch.data = pcre2_match_data_create(CAPTURES_MOST, NULL);
    if (scratch.context == NULL || scratch.data == NULL)
        die("regular expressions: no memory for matching");
    scratch.stack = pcre2_jit_stack_create(JIT_STACK_FIRST, JIT_STACK_MOST, NULL);
    pcre2_set_heap_limit(scratch.context, HEAP_LIMIT_KIB);
    if (scratch.stack != NULL)
        pcre2_jit_stack_assign(scratch.context, NULL, scratch.stack);
    scratch.room = xmalloc(ROOM_INTS * sizeof *scratch.room);
}

void regex_thread_leave(void)
{
    pcre2_jit_stack_free(scratch.stack);
    pcre2_match_data_free(scratch.data);
    pcre2_match_context_free(scratch.context);
    free(scratch.room);
    scratch.context = NULL;
    scratch.data = NULL;
    scratch.stack = NULL;
    scratch.room = NULL;
}

void regex_work_begin(uint64_t most)
{
    scratch.work = 0;
    scratch.work_most = most;
}

uint64_t regex_work_done(void)
{
    return scratch.work;
}

/* ---- matching ---- */

/* FAILED: within these steps it could not be told. */
static enum match match_try(const struct regex *regex, struct span subject, uint32_t options, uint32_t tries)
{
    pcre2_set_match_limit(scratch.context, tries);
    int count = pcre2_match(regex->code, (PCRE2_SPTR)subject.at, subject.length, 0, options, scratch.data,
                            scratch.context);
    return count >= 0 ? MATCH_YES : count == PCRE2_ERROR_NOMATCH ? MATCH_NO : MATCH_FAILED;
}

/* PCRE2 counts anew for each place where a match may begin. */
static enum match match_counted(const struct regex *regex, struct span subject, uint32_t times)
{
    uint64_t length = subject.length + 1, starts = regex->starts != 0 ? length : 1;
    uint64_t cost = TRY_STEPS + (length > regex->size ? length : regex->size) / 2,
             tries = TRIES_WORK / cost / 2;
    tries = tries < TRIES_MOST ? tries : TRIES_MOST;
    if (starts * length > (uint64_t)STARTS_WORK * times)
        return MATCH_FAILED;
    tries = tries * times / starts + 1;
    enum match match = match_try(regex, subject, PCRE2_NO_JIT, (uint32_t)tries);
    scratch.work += match != MATCH_FAILED ? starts * length : starts * tries * cost;
    return match;
}

static enum match match_states(const struct regex *regex, struct span subject, uint64_t states)
{
    uint64_t length = subject.length + 1;
    scratch.work += length * states * (states / 2 + STATE_STEPS);
    pcre2_set_match_limit(scratch.context, (uint32_t)(STATES_WORK / length + 1));
    int count =
        pcre2_dfa_match(regex->parallel, (PCRE2_SPTR)subject.at, subject.length, 0, PCRE2_DFA_SHORTEST,
                        scratch.data, scratch.context, scratch.room, states * STATE_INTS + 2);
    return count >= 0 ? MATCH_YES : count == PCRE2_ERROR_NOMATCH ? MATCH_NO : MATCH_FAILED;
}

/* States cost by their square: first in a room that almost
 * all fit into, then in the largest that the length allows. */
static enum match match_parallel(const struct regex *regex, struct span subject)
{
    uint64_t states = STATES_MOST;
    if (regex->parallel == NULL || subject.length > STATES_SUBJECT_MOST)
        return MATCH_FAILED;
    while (states > STATES_LEAST && (subject.length + 1) * states * states > 2 * (uint64_t)STATES_WORK)
        states = states * 3 / 4;
    enum match match = match_states(regex, subject, STATES_LEAST);
    return match == MATCH_FAILED && states > STATES_LEAST ? match_states(regex, subject, states) : match;
}

/* captures: whether they are wanted besides; they are in scratch.data then. */
static enum match match_within_bounds(const struct regex *regex, struct span subject, bool captures)
{
    if (scratch.context == NULL)
        scratch_make();
    if (subject.length > SUBJECT_MOST || (scratch.work_most != 0 && scratch.work > scratch.work_most))
        return MATCH_FAILED;
    double steps =
        pattern_steps(&regex->cost, regex->starts, subject.length) * (double)(1 + regex->size / SIZE_USUAL);
    enum match match = MATCH_FAILED;
    if (steps <= FEW_WAYS) {
        scratch.work += (uint64_t)steps;
        match = match_try(regex, subject, 0, TRIES_IN_FEW_WAYS);
    }
    if (match == MATCH_FAILED)
        match = match_counted(regex, subject, 1);
    if (match == MATCH_FAILED) {
        match = match_parallel(regex, subject);
        if (match == MATCH_YES && captures)
            match = match_counted(regex, subject, CAPTURES_TIMES);
    }
    return match;
}

enum match regex_match(const struct regex *regex, struct span subject)
{
    return match_within_bounds(regex, subject, false);
}

enum match regex_find(const struct regex *regex, struct span subject, struct span *captures, unsigned most,
                      unsigned *given)
{
    enum match match = match_within_bounds(regex, subject, true);
    if (match != MATCH_YES)
        return match;
    const PCRE2_SIZE *vector = pcre2_get_ovector_pointer(scratch.data);
    uint32_t count = regex->groups + 1 < CAPTURES_MOST ? regex->groups + 1 : CAPTURES_MOST;
    *given = count < most ? count : most; /* what lies behind the pattern's own is not written */
    for (unsigned i = 0; i < *given; i++)
        captures[i] = vector[2 * i] == PCRE2_UNSET
                          ? SPAN_NONE
                          : span_make(subject.at + vector[2 * i], vector[2 * i + 1] - vector[2 * i]);
    return MATCH_YES;
}

const char *regex_library_version(void)
{
    static char version[64]; /* "10.42 2022-12-11" */
    if (version[0] == '\0' && pcre2_config(PCRE2_CONFIG_VERSION, NULL) < (int)sizeof version)
        (void)pcre2_config(PCRE2_CONFIG_VERSION, version);
    return version;
}
