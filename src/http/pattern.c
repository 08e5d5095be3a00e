/*
 * A reader of PCRE2's syntax (pcre2pattern(3)) that knows atoms, groups and quantifiers and nothing else.
 * Ways multiply along a sequence and add up over alternatives. A quantifier without end on one character is a
 * degree; on a group it is one where the group can match in one way only, and else no bound is known.
 */
#include "http/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <math.h>
#include <pcre2.h>
#include <string.h>

#include "base/attributes.h"
#include "base/span.h"
#include "base/text.h"

#define ATOMS_MOST 16u    /* of a group that are compared with others */
#define REPEATS_END 1000u /* a quantifier that goes further counts as one without end */

/* What a part of a pattern may cost, and what tells whether repeating it explodes. */
struct part {
    double ways;
    unsigned degree;
    struct span first, last; /* atoms that every match begins and ends with; at == NULL: none */
    size_t atoms;            /* number of atoms */
    unsigned repeated_count, choices_count;
    struct span repeated[ATOMS_MOST]; /* atoms that are repeated without end */
    struct span choices[ATOMS_MOST];  /* alternatives that are one atom */
    bool loose; /* an alternative repeats without end what may also begin the next round */
};
struct reader {
    const char *at;
    bool odd;     /* something that this does not know: reading ends here */
    bool endless; /* no bound is known, though all is understood */
    bool explodes;
    struct text *unrolled; /* NULL: not wanted */
    const char *unrolled_to;
};
struct quantifier {
    unsigned least, most;
    bool given;
};

static bool take(struct reader *reader, const char *text)
{
    size_t length = strlen(text);
    if (strncmp(reader->at, text, length) != 0)
        return false;
    reader->at += length;
    return true;
}

/* ---- atoms ---- */

/* After "[". */
static void read_class(struct reader *reader)
{
    (void)take(reader, "^");
    (void)take(reader, "]");
    while (*reader->at != ']' && *reader->at != '\0') {
        if (reader->at[0] == '[' && reader->at[1] == ':') {
            const char *end = strchr(reader->at + 2, ']');
            reader->at = end != NULL && end[-1] == ':' ? end : reader->at;
        } else if (reader->at[0] == '\\' && reader->at[1] != '\0') {
            reader->odd = reader->odd || reader->at[1] == 'Q';
            reader->at++;
        }
        reader->at++;
    }
    reader->odd = reader->odd || *reader->at == '\0';
    reader->at += *reader->at != '\0';
}

/* After "\". Whether it stands for a character; odd: for who knows what. */
static bool read_escape(struct reader *reader)
{
    char c = *reader->at;
    if (c == '\0' || strchr("123456789kgQERXCK", c) != NULL) {
        reader->odd = true;
        return false;
    }
    reader->at++;
    if (c == 'c' && *reader->at != '\0')
        reader->at++;
    if (strchr("xpPoN", c) != NULL && *reader->at == '{') {
        const char *end = strchr(reader->at, '}');
        reader->odd = reader->odd || end == NULL;
        reader->at = end != NULL ? end + 1 : reader->at;
    }
    return strchr("AzZbBG", c) == NULL;
}

static unsigned read_number(struct reader *reader)
{
    unsigned number = 0;
    for (; *reader->at >= '0' && *reader->at <= '9'; reader->at++)
        number = number < REPEATS_END ? number * 10 + (unsigned)(*reader->at - '0') : number;
    return number;
}

/* "{" without a number behind it is a character, but for "{,5}" and "{ 2 }" in newer versions of PCRE2. */
static struct quantifier read_quantifier(struct reader *reader)
{
    struct quantifier quantifier = {.least = 1, .most = 1, .given = true};
    if (take(reader, "*") || take(reader, "+")) {
        quantifier.most = REPEATS_END;
        quantifier.least = reader->at[-1] == '+';
    } else if (take(reader, "?")) {
        quantifier.least = 0;
    } else if (reader->at[0] == '{' && reader->at[1] >= '0' && reader->at[1] <= '9') {
        reader->at++;
        quantifier.least = quantifier.most = read_number(reader);
        if (take(reader, ","))
            quantifier.most = *reader->at == '}' ? REPEATS_END : read_number(reader);
        reader->odd = reader->odd || !take(reader, "}");
    } else {
        reader->odd = reader->odd || (reader->at[0] == '{' && strchr(", \t", reader->at[1]) != NULL);
        quantifier.given = false;
        return quantifier;
    }
    if (!take(reader, "?"))
        (void)take(reader, "+");
    return quantifier;
}

/* ---- whether two atoms can match the same character ---- */

static pcre2_code *atom_compile(struct span atom)
{
    char pattern[256];
    int number;
    PCRE2_SIZE offset;
    struct text text = text_over(pattern, sizeof pattern);
    text_print(&text, "\\A(?s:%.*s)", (int)atom.length, atom.at);
    return text.cut ? NULL : pcre2_compile((PCRE2_SPTR)pattern, text.length, 0, &number, &offset, NULL);
}

static bool atom_matches(const pcre2_code *code, char c, pcre2_match_data *data)
{
    return code == NULL || pcre2_match(code, (PCRE2_SPTR)&c, 1, 0, 0, data, NULL) >= 0;
}

static bool atoms_overlap(struct span a, struct span b)
{
    pcre2_code *first = atom_compile(a), *second = atom_compile(b);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    bool overlap = data == NULL;
    for (char c = ' ' + 1; c < 0x7f && !overlap; c++)
        overlap = atom_matches(first, c, data) && atom_matches(second, c, data);
    pcre2_match_data_free(data);
    pcre2_code_free(first);
    pcre2_code_free(second);
    return overlap;
}

static bool overlaps_any(struct span atom, const struct span *others, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (atoms_overlap(atom, others[i]))
            return true;
    return false;
}

/* A round of "([^/]+/)*" ends where the next one begins, and nowhere else: what parts them is in no repeated
 * atom. */
static bool rounds_are_parted(const struct part *part)
{
    return (part->first.at != NULL && !overlaps_any(part->first, part->repeated, part->repeated_count)) ||
           (part->last.at != NULL && !overlaps_any(part->last, part->repeated, part->repeated_count));
}

/* ---- parts ---- */

static struct part read_alternatives(struct reader *reader);

static void atom_note(struct span atoms[ATOMS_MOST], unsigned *count, struct span atom)
{
    if (*count < ATOMS_MOST)
        atoms[(*count)++] = atom;
}

static void repeat_atom(struct part *part, struct span atom, const struct quantifier *quantifier)
{
    if (quantifier->most >= REPEATS_END) {
        part->degree++;
        atom_note(part->repeated, &part->repeated_count, atom);
    } else {
        part->ways *= quantifier->most - quantifier->least + 1;
    }
}

/* A group that can match in one way is as good as an atom. */
static void repeat_group(struct reader *reader, struct part *part, struct part *group,
                         const struct quantifier *quantifier)
{
    bool endless = quantifier->most >= REPEATS_END, varies = group->degree > 0 || group->ways > 1;
    if (quantifier->most <= 1) {
        part->degree += group->degree;
        part->ways *= group->ways * (quantifier->least == 0 ? 2 : 1);
    } else if (!varies) {
        repeat_atom(part, SPAN_NONE, quantifier);
        part->repeated_count -= endless && part->repeated_count > 0;
    } else {
        reader->endless = true;
    }
    for (unsigned i = 0; i < group->choices_count && endless && !reader->explodes; i++)
        reader->explodes = overlaps_any(group->choices[i], group->choices, i);
    reader->explodes = reader->explodes || (endless && group->loose);
    for (unsigned i = 0; i < group->repeated_count; i++)
        atom_note(part->repeated, &part->repeated_count, group->repeated[i]);
}

/* What stands between "(" and what a group holds. */
static bool read_opening(struct reader *reader)
{
    static const char *const plain[] = {"?:", "?|", "?=", "?!", "?<=", "?<!", "?>"};
    for (size_t i = 0; i < COUNT_OF(plain); i++)
        if (take(reader, plain[i]))
            return true;
    if (take(reader, "?<") || take(reader, "?P<")) {
        reader->at += strcspn(reader->at, ">");
        return take(reader, ">");
    }
    if (take(reader, "?")) {
        size_t flags = strspn(reader->at, "imsn-");
        reader->at += flags;
        return flags != 0 && (*reader->at == ')' || take(reader, ":"));
    }
    return *reader->at != '*';
}

static struct part read_group(struct reader *reader)
{
    reader->odd = reader->odd || !read_opening(reader);
    struct part part = read_alternatives(reader);
    reader->odd = reader->odd || !take(reader, ")");
    return part;
}

/* Behind an atom that is repeated by "+". */
static void unroll(struct reader *reader, struct span atom)
{
    const char *end = atom.at + atom.length;
    text_add(reader->unrolled, span_make(reader->unrolled_to, (size_t)(end - reader->unrolled_to)));
    text_add(reader->unrolled, atom);
    text_char(reader->unrolled, '*');
    reader->unrolled_to = end + 1;
}

static void read_atom(struct reader *reader, struct part *part)
{
    const char *begin = reader->at;
    struct part group;
    char c = *reader->at++;
    bool grouped = c == '(', single = strchr("^$(", c) == NULL;
    if (grouped)
        group = read_group(reader);
    else if (c == '[')
        read_class(reader);
    else if (c == '\\')
        single = read_escape(reader);
    struct span atom = span_make(begin, (size_t)(reader->at - begin));
    struct quantifier quantifier = read_quantifier(reader);
    if (grouped)
        repeat_group(reader, part, &group, &quantifier);
    else if (single && quantifier.given)
        repeat_atom(part, atom, &quantifier);
    if (single && atom.at[atom.length] == '+' && reader->unrolled != NULL)
        unroll(reader, atom);
    part->last = single && quantifier.least > 0 ? atom : SPAN_NONE;
    if (part->atoms++ == 0) {
        part->first = part->last;
        if (single && !quantifier.given)
            atom_note(part->choices, &part->choices_count, atom);
    } else {
        part->choices_count = 0;
    }
}

static struct part read_sequence(struct reader *reader)
{
    struct part part = {.ways = 1};
    while (!reader->odd && *reader->at != '\0' && strchr("|)", *reader->at) == NULL)
        read_atom(reader, &part);
    part.loose = part.repeated_count != 0 && !rounds_are_parted(&part);
    return part;
}

static struct part read_alternatives(struct reader *reader)
{
    struct part all = read_sequence(reader);
    while (!reader->odd && take(reader, "|")) {
        struct part next = read_sequence(reader);
        all.ways += next.ways;
        all.degree = next.degree > all.degree ? next.degree : all.degree;
        all.loose = all.loose || next.loose;
        all.first = all.last = SPAN_NONE;
        for (unsigned i = 0; i < next.choices_count; i++)
            atom_note(all.choices, &all.choices_count, next.choices[i]);
        for (unsigned i = 0; i < next.repeated_count; i++)
            atom_note(all.repeated, &all.repeated_count, next.repeated[i]);
    }
    return all;
}

struct pattern_cost pattern_cost(const char *pattern)
{
    struct reader reader = {.at = pattern};
    struct part part = read_alternatives(&reader);
    bool odd = reader.odd || *reader.at != '\0';
    return (struct pattern_cost){.ways = part.ways,
                                 .degree = part.degree,
                                 .endless = odd || reader.endless,
                                 .explodes = reader.explodes};
}

void pattern_unroll(const char *pattern, struct text *to)
{
    size_t before = to->length;
    struct reader reader = {.at = pattern, .unrolled = to, .unrolled_to = pattern};
    (void)read_alternatives(&reader);
    if (reader.odd || *reader.at != '\0') {
        to->length = before;
        reader.unrolled_to = pattern;
    }
    text_add(to, span_of(reader.unrolled_to));
}

double pattern_steps(const struct pattern_cost *cost, unsigned more, size_t length)
{
    double steps = cost->ways;
    if (cost->endless)
        return INFINITY;
    for (unsigned i = 0; i < cost->degree + more; i++)
        steps *= (double)length;
    return steps;
}
