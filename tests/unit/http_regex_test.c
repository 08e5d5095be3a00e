/* Regular expressions: the same answer whatever way it is found, "can't be told" never as "no", and bounds on
 * what a match may cost. */
#include "http/regex.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "base/text.h"
#include "http/pattern.h"
#include "unit.h"

#define SUBJECT_MOST 9000u

static char subject_memory[SUBJECT_MOST + 64];

/* `length` bytes of `piece` over and over, and `end`. */
static struct span subject_of(const char *piece, size_t length, const char *end)
{
    size_t step = strlen(piece);
    for (size_t i = 0; i < length; i++)
        subject_memory[i] = piece[i % step];
    strcpy(subject_memory + length, end);
    return span_of(subject_memory);
}

static enum match match_one(const char *pattern, struct span subject)
{
    struct error error = {.text = ""};
    struct regex *regex = regex_new(pattern, &error);
    if (regex == NULL)
        fail_msg("%s", error.text);
    enum match match = regex_match(regex, subject);
    regex_free(regex);
    return match;
}

/* What made a rule fail open: texts that are tried in too many ways still get the right answer. */
static void hard_subjects_get_the_right_answer(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *piece;
        size_t length;
        const char *end;
        enum match match;
    } cases[] = {
        {"^/(.*/)*internal(/|$)", "/a", 24, "/internal/report", MATCH_YES},
        {"^/(.*/)*internal(/|$)", "/a", 8000, "/internal/report", MATCH_YES},
        {"^/(.*/)*internal(/|$)", "/a", 8000, "/internals", MATCH_NO},
        {"^/([^/]+/)*private/", "/a", 8000, "/private/x", MATCH_YES},
        {"^/([^/]+/)*private/", "/a", 8000, "/privates/x", MATCH_NO},
        {"^(a+)+$", "a", 40, "", MATCH_YES},
        {"^(a+)+$", "a", 8000, "b", MATCH_NO},
        {"(x+x+)+y$", "x", 8000, "yz", MATCH_NO},
        {"([a-z]+)*=([a-z]+)*;$", "ab", 8000, "=;=", MATCH_NO},
        {"^([^/]+/?)*x$", "a/b", 8000, "/xy", MATCH_NO},
        {"^(a+)+$", "a", 40, "b", MATCH_NO},
        {"(a|b|ab)*c$", "ab", 4000, "cd", MATCH_NO},
        {"(a|b|ab)*c$", "ab", 4000, "c", MATCH_YES},
        {"^.*a.*b.*c.*d.*e$", "abcd", 4000, "ef", MATCH_NO},
        {"^.*a.*b.*c.*d.*e$", "abcd", 4000, "e", MATCH_YES},
        {"a.*b.*c.*d.*X$", "abcd", 8000, "Xy", MATCH_NO},
        {"(?i)^/(?!public)(?:[a-z]+/?)*secret$", "/ab", 3000, "/SECRET", MATCH_YES},
        {"^/(?:[^/]*/)*(?:[^/]*/)*x$", "/a", 8000, "/xy", MATCH_NO},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum match match =
            match_one(cases[i].pattern, subject_of(cases[i].piece, cases[i].length, cases[i].end));
        if (match != cases[i].match)
            fail_msg("%zu %s: %d", i, cases[i].pattern, (int)match);
    }
}

static void what_cannot_be_told_is_no_no(void **state)
{
    (void)state;
    assert_int_equal(match_one("^(a+)+(b)?\\2$", subject_of("a", 5000, "c")), MATCH_FAILED);
    assert_int_equal(match_one("(*UTF)^.+$", span_of("caf\xe9")), MATCH_FAILED);
    /* captures of a match that is known to be one, but not found */
    struct error error = {.text = ""};
    struct regex *regex = regex_new("^/(.*/)*internal/(.*)$", &error);
    struct span captures[10];
    unsigned given = 0;
    assert_non_null(regex);
    assert_int_equal(regex_find(regex, span_of("/a/internal/b"), captures, 10, &given), MATCH_YES);
    assert_int_equal(given, 3);
    assert_span(captures[1], "a/");
    assert_span(captures[2], "b");
    assert_int_equal(regex_find(regex, subject_of("/a", 300, "/internals/b"), captures, 3, &given), MATCH_NO);
    regex_free(regex);
    regex = regex_new("^(a+)+(b|c)$", &error);
    assert_int_equal(regex_find(regex, subject_of("a", 100, "b"), captures, 3, &given), MATCH_YES);
    assert_int_equal(regex_find(regex, subject_of("a", 100, "d"), captures, 3, &given), MATCH_NO);
    regex_free(regex);
}

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The steps that are counted bound what is done: none of these may take many, and none very long. */
static void work_is_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *piece, *end;
    } cases[] = {
        {"^/(.*/)*internal(/|$)", "/a", "/internals"},
        {"(x+x+)+y$", "x", "yz"},
        {"^(a+)+(b)?\\2$", "a", "c"},
        {"a.*b.*c.*d.*X$", "abcd", "Xy"},
        {"[^/]*x$", "a", "xb"},
        {"([a-z]+)*=([a-z]+)*;$", "ab", "=;="},
        {"(?:a{1,50}){1,50}z$", "a", "zb"},
        {"(?:(?:(?:a{1,20}){1,20}){1,20})z$", "a", "zb"},
        {"(?=.*a)(?=.*b)(?=.*c).*d$", "abc", "de"},
        {"^(?:.?){300}x$", "a", "xb"},
        {"(.)(.)(.)(.)(.).*\\5\\4\\3\\2\\1z$", "abc", "zq"},
        {"\\.(php|phtml|asp)$", ".ph", "q"},
    };
    double worst = 0;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error error = {.text = ""};
        struct regex *regex = regex_new(cases[i].pattern, &error);
        assert_non_null(regex);
        for (size_t length = 8; length <= 8000; length *= 10) {
            struct span subject = subject_of(cases[i].piece, length, cases[i].end);
            regex_work_begin(0);
            double began = seconds_now();
            (void)!regex_match(regex, subject);
            double took = seconds_now() - began;
            worst = took > worst ? took : worst;
            if (regex_work_done() > 20000000)
                fail_msg("%s on %zu bytes: %llu steps", cases[i].pattern, subject.length,
                         (unsigned long long)regex_work_done());
        }
        regex_free(regex);
    }
    assert_true(worst < 1); /* 0.004 here; without the bounds hours */
}

static void all_work_of_a_thread_can_be_bounded(void **state)
{
    (void)state;
    struct error error = {.text = ""};
    struct regex *regex = regex_new("(x{1,9}x+)+y$", &error), *easy = regex_new("^/a", &error);
    assert_true(regex != NULL && easy != NULL);
    struct span hard = subject_of("x", 1000, "yz");
    regex_work_begin(1000);
    (void)!regex_match(regex, hard);
    assert_true(regex_work_done() > 1000);
    assert_int_equal(regex_match(easy, SPAN("/a")), MATCH_FAILED);
    regex_work_begin(0);
    assert_int_equal(regex_match(easy, SPAN("/a")), MATCH_YES);
    regex_free(regex);
    regex_free(easy);
}

/* ---- all ways against trying ---- */

/* A random pattern of what people use, small enough that trying alone answers on short subjects. */
static void pattern_write(struct rng *rng, char *to, unsigned depth)
{
    static const char *const atoms[] = {"a", "b", "/", ".", "[^/]", "[ab]", "\\w", "\\d", "ab", "\\.", "/a"};
    static const char *const quantifiers[] = {"", "", "", "*", "+", "?", "{1,3}", "*?", "{2}", "{2,}"};
    for (unsigned i = 1 + rng_below(rng, 3); i > 0; i--) {
        if (depth > 0 && rng_below(rng, 3) == 0) {
            strcat(to, rng_below(rng, 2) == 0 ? "(" : "(?:");
            pattern_write(rng, to, depth - 1);
            if (rng_below(rng, 2) == 0) {
                strcat(to, "|");
                pattern_write(rng, to, depth - 1);
            }
            strcat(to, ")");
        } else {
            strcat(to, atoms[rng_below(rng, COUNT_OF(atoms))]);
        }
        strcat(to, quantifiers[rng_below(rng, COUNT_OF(quantifiers))]);
    }
}

/* A pattern and its twin that only trying can answer must agree. */
static void both_matchers_agree(void **state)
{
    (void)state;
    struct rng rng;
    unsigned yes = 0, no = 0, failed = 0;
    rng_seed_with(&rng, 11);
    for (unsigned round = 0; round < 3000; round++) {
        char pattern[4096] = "", twin[4200], text[64];
        strcpy(pattern, rng_below(&rng, 2) == 0 ? "^" : "");
        pattern_write(&rng, pattern, 3);
        strcat(pattern, rng_below(&rng, 2) == 0 ? "$" : "");
        snprintf(twin, sizeof twin, "(?:%s)(?(?!)x)", pattern); /* a condition, which is never met */
        struct error error = {.text = ""};
        struct regex *regex = regex_new(pattern, &error), *tried = regex_new(twin, &error);
        assert_true(regex != NULL && tried != NULL);
        for (unsigned i = 0; i < 20; i++) {
            unsigned length = rng_below(&rng, 40);
            for (unsigned k = 0; k < length; k++)
                text[k] = "ab/.1"[rng_below(&rng, 5)];
            struct span subject = span_make(text, length), capture;
            unsigned given;
            enum match a = regex_match(regex, subject), b = regex_match(tried, subject),
                       c = regex_find(regex, subject, &capture, 1, &given);
            if (a != MATCH_FAILED && b != MATCH_FAILED && a != b)
                fail_msg("%s on %.*s: %d, %d", pattern, (int)length, text, (int)a, (int)b);
            assert_true(c == a || c == MATCH_FAILED);
            yes += a == MATCH_YES;
            no += a == MATCH_NO;
            failed += a == MATCH_FAILED;
        }
        regex_free(regex);
        regex_free(tried);
    }
    assert_true(yes > 5000 && no > 5000 && failed < 100); /* repeats in repeats in repeats */
}

/* ---- patterns ---- */

static void patterns_have_their_cost(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        double ways;
        unsigned degree;
        bool endless, explodes;
    } cases[] = {
        {"^/r[0-9]+$", 1, 1, false, false},
        {"^/v1/([^/]+)/p/([^/]+)$", 1, 2, false, false},
        {"\\.(php|phtml|asp)$", 3, 0, false, false},
        {"a{1,50}b?", 100, 0, false, false},
        {"[[:alpha:]]+x{2,5}", 4, 1, false, false},
        {"[]a]+[^]]*", 1, 2, false, false},
        {"[a\\]+]x", 1, 0, false, false},
        {"\\x{41}+\\p{L}*", 1, 2, false, false},
        {"^(?<n>a+)(?P<m>b*)(?i:c)(?i)d$", 1, 2, false, false},
        {"^(?=.*x)(?!y+)a", 1, 2, false, false},
        {"(abc){3,}", 1, 1, false, false},
        {"^/([^/]+/)*private/", 0, 0, true, false},
        {"(?:/[a-z]+(?:-[a-z]+)*)*$", 0, 0, true, false},
        {"((a+)/)*", 0, 0, true, false},
        {"(a|b)*", 0, 0, true, false},
        {"(\\w+\\.)+\\w+", 0, 0, true, false},
        {"^/(.*/)*internal(/|$)", 0, 0, true, true},
        {"(a+)+$", 0, 0, true, true},
        {"(a|a)*", 0, 0, true, true},
        {"(\\w|\\d)+x", 0, 0, true, true},
        {"([^/]+/?)*", 0, 0, true, true},
        {"(.*)*", 0, 0, true, true},
        {"x(?:y(-?\\d+)*)z", 0, 0, true, true},
        /* what is not understood is the worst */
        {"(a)\\1", 0, 0, true, false},
        {"(?x) a # (", 0, 0, true, false},
        {"\\Qa+\\E", 0, 0, true, false},
        {"(*NO_JIT)a", 0, 0, true, false},
        {"(?(1)a|b)", 0, 0, true, false},
        {"a{,5}", 0, 0, true, false},
        {"(a)(?1)", 0, 0, true, false},
        {"(?#c)a", 0, 0, true, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct pattern_cost cost = pattern_cost(cases[i].pattern);
        if (cost.endless != cases[i].endless || cost.explodes != cases[i].explodes ||
            (!cost.endless && (cost.ways != cases[i].ways || cost.degree != cases[i].degree)))
            fail_msg("%s: ways %g degree %u%s%s", cases[i].pattern, cost.ways, cost.degree,
                     cost.endless ? " endless" : "", cost.explodes ? " explodes" : "");
    }
    struct pattern_cost two = pattern_cost("^a*b*$");
    assert_true(pattern_steps(&two, 0, 100) == 1e4 && pattern_steps(&two, 1, 100) == 1e6);
}

static void patterns_are_unrolled(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"^/r[0-9]+$", "^/r[0-9][0-9]*$"},
        {"a+b++(c+)+.+?\\w+x{2}+", "aa*bb*+(cc*)+..*?\\w\\w*x{2}+"},
        {"^(?!x+)[]+]+|(?<n>\\++)+$", "^(?!xx*)[]+][]+]*|(?<n>\\+\\+*)+$"},
        {"a+(?R)b+", "a+(?R)b+"},
        {"abc", "abc"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct text text = text_growing();
        pattern_unroll(rows[i][0], &text);
        assert_span(text_span(&text), rows[i][1]);
        text_free(&text);
    }
}

static void unsound_patterns_are_told(void **state)
{
    (void)state;
    struct error error = {.text = ""};
    assert_true(regex_is_sound("^/([^/]+/)*private/", &error));
    assert_true(regex_is_sound("^/v[0-9]+/.*\\.(css|js)$", &error));
    assert_true(regex_is_sound("(not a pattern", &error));
    assert_false(regex_is_sound("^/(.*/)*internal(/|$)", &error));
    assert_non_null(strstr(error.text, "\"^/(.*/)*internal(/|$)\" repeats"));
    assert_false(regex_is_sound("^/([^/]+)/\\1$", &error));
    assert_non_null(strstr(error.text, "back references"));
}

static int teardown(void **state)
{
    (void)state;
    regex_thread_leave();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_subjects_get_the_right_answer),
        cmocka_unit_test(what_cannot_be_told_is_no_no),
        cmocka_unit_test(work_is_bounded),
        cmocka_unit_test(all_work_of_a_thread_can_be_bounded),
        cmocka_unit_test(both_matchers_agree),
        cmocka_unit_test(patterns_have_their_cost),
        cmocka_unit_test(patterns_are_unrolled),
        cmocka_unit_test(unsound_patterns_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
