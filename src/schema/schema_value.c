/*
 * Values as text: booleans, whole numbers, sizes, durations, percents, rates and choices. A number that needs
 * a unit and has none is an error, so that nobody guesses. Texts, paths and lists are left to schema_load.c.
 */
#include "schema/schema_value.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

struct unit {
    const char *name;
    uint64_t times;
};
static const struct unit duration_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const struct unit size_units[] = {{"GiB", 1 << 30}, {"GB", 1000000000}, {"MiB", 1 << 20},
                                         {"MB", 1000000},  {"KiB", 1 << 10},   {"KB", 1000},
                                         {"B", 1},         {NULL, 0}};
static const struct unit percent_units[] = {{"%", 1}, {NULL, 0}};
static const struct unit rate_units[] = {{"/s", 1000}, {"/m", 60000}, {"/h", 3600000}, {NULL, 0}};

struct notation {
    const char *noun, *units_said, *example;
    const struct unit *units;
};
static const struct notation notations[] = {
    [SCHEMA_SIZE] = {"a size", "B, KiB, MiB, GiB, KB, MB or GB", "64KiB", size_units},
    [SCHEMA_DURATION] = {"a duration", "ms, s, m or h", "2s", duration_units},
    [SCHEMA_PERCENT] = {"a percentage", "%", "20%", percent_units},
    [SCHEMA_RATE] = {"a rate", "/s, /m or /h", "100/s", rate_units},
};

static const struct unit *unit_find(const struct unit *units, struct span name)
{
    for (; units->name != NULL; units++)
        if (span_is(name, units->name))
            return units;
    return NULL;
}

static size_t digits_in(struct span value)
{
    size_t count = 0;
    while (count < value.length && value.at[count] >= '0' && value.at[count] <= '9')
        count++;
    return count;
}

/* A value in a message: never more than a line of it. */
static int shown(struct span value)
{
    return value.length > 60 ? 60 : (int)value.length;
}

static bool range_error(const struct schema_key *key, struct span value, struct error *error)
{
    char range[160];
    struct text text = text_over(range, sizeof(range));
    value_range_print(key, &text);
    return error_set(error, "\"%.*s\" is out of range; %s takes %s", shown(value), value.at, key->name,
                     range);
}

/* Where 0 is no value, people mean no limit, off or the default by it, and what one means another does not.
 */
static bool zero_error(const struct schema_key *key, struct span value, struct error *error)
{
    char range[160];
    struct text text = text_over(range, sizeof(range));
    value_range_print(key, &text);
    return error_set(error, "\"%.*s\" could mean several things; %s takes %s%s", shown(value), value.at,
                     key->name, range, value_may_lack(key) ? "; without the key its default holds" : "");
}

static bool number_store(const struct schema_key *key, struct span value, uint64_t number, void *to,
                         struct error *error)
{
    if (number == 0 && key->least > 0 && (key->word != NULL || key->words != NULL || value_may_lack(key)))
        return zero_error(key, value, error);
    if (number < key->least || number > key->most)
        return range_error(key, value, error);
    if (key->check != NULL && !key->check(value, error))
        return false;
    memcpy(to, &number, sizeof(number));
    return true;
}

/* Words by which other products, and people, say that there is no limit. */
static bool is_said_none(struct span value)
{
    static const char *const words[] = {"off",      "no",       "never",    "false", "disabled", "unlimited",
                                        "infinite", "infinity", "no_limit", "inf",   "nolimit",  "-1"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (span_equal_nocase(value, span_of(words[i])))
            return true;
    return false;
}

/* The words of a number, by position, NULL after the last: the one for 0, then those for SCHEMA_WORD(). */
static const char *number_word(const struct schema_key *key, size_t at, uint64_t *number)
{
    if (key->word != NULL && at == 0) {
        *number = 0;
        return key->word;
    }
    at -= key->word != NULL;
    *number = SCHEMA_WORD(at);
    return key->words != NULL ? key->words[at] : NULL;
}

static const char *number_word_of(const struct schema_key *key, uint64_t number)
{
    uint64_t stands_for;
    const char *word;
    for (size_t i = 0; (word = number_word(key, i, &stands_for)) != NULL; i++)
        if (stands_for == number)
            return word;
    return NULL;
}

static bool number_word_read(const struct schema_key *key, struct span value, uint64_t *number)
{
    const char *word;
    for (size_t i = 0; (word = number_word(key, i, number)) != NULL; i++)
        if (span_is(value, word))
            return true;
    return false;
}

/* The word of the row that was probably meant; NULL: none of them. */
static const char *number_word_near(const struct schema_key *key, struct span value)
{
    const char *word;
    uint64_t number;
    for (size_t i = 0; (word = number_word(key, i, &number)) != NULL; i++)
        if (text_distance(value, span_of(word), 1) <= 1 || span_equal_nocase(value, span_of(word)) ||
            (is_said_none(value) && strcmp(word, "none") == 0))
            return word;
    return NULL;
}

static bool number_word_error(const struct schema_key *key, struct span value, const char *meant,
                              struct error *error)
{
    char range[160];
    struct text text = text_over(range, sizeof(range));
    value_range_print(key, &text);
    return error_set(error, "\"%.*s\" is not known; did you mean \"%s\"? %s takes %s", shown(value), value.at,
                     meant, key->name, range);
}

static bool int_read(const struct schema_key *key, struct span value, void *to, struct error *error)
{
    uint64_t number = 0;
    if (number_word_read(key, value, &number)) {
        memcpy(to, &number, sizeof(number));
        return true;
    }
    const char *meant = number_word_near(key, value);
    if (meant != NULL)
        return number_word_error(key, value, meant, error);
    if (value.length == 0 || digits_in(value) != value.length) {
        char range[160];
        struct text text = text_over(range, sizeof(range));
        value_range_print(key, &text);
        return error_set(error, "\"%.*s\" is not a whole number; %s takes %s", shown(value), value.at,
                         key->name, range);
    }
    if (!text_to_number(value, INT64_MAX, &number))
        return range_error(key, value, error);
    return number_store(key, value, number, to, error);
}

/* A number with a unit: how many, and the unit. */
static bool unit_read(const struct notation *notation, struct span value, uint64_t *number,
                      const struct unit **unit, struct error *error)
{
    size_t digits = digits_in(value);
    if (digits != 0 && digits == value.length)
        return error_set(error, "\"%.*s\" has no unit; write %s, such as %s", shown(value), value.at,
                         notation->units_said, notation->example);
    *unit = digits != 0 ? unit_find(notation->units, span_skip(value, digits)) : NULL;
    if (*unit == NULL && digits != 0 && notation == &notations[SCHEMA_RATE] && value.at[digits] == 'r' &&
        unit_find(notation->units, span_skip(value, digits + 1)) != NULL)
        return error_set(error, "\"%.*s\" is nginx's; write \"%.*s%s\"", shown(value), value.at, (int)digits,
                         value.at, value.at + digits + 1);
    if (*unit == NULL)
        return error_set(error, "\"%.*s\" is not %s; write a number and %s, such as %s", shown(value),
                         value.at, notation->noun, notation->units_said, notation->example);
    if (!text_to_number(span_first(value, digits), INT64_MAX, number))
        *number = UINT64_MAX;
    return true;
}

static bool scaled_read(const struct schema_key *key, struct span value, void *to, struct error *error)
{
    uint64_t number = 0;
    const struct unit *unit = NULL;
    if (number_word_read(key, value, &number)) {
        memcpy(to, &number, sizeof(number));
        return true;
    }
    if (span_is(value, "0")) /* nothing is nothing in every unit */
        return number_store(key, value, 0, to, error);
    const char *meant = number_word_near(key, value);
    if (meant != NULL)
        return number_word_error(key, value, meant, error);
    if (!unit_read(&notations[key->type], value, &number, &unit, error))
        return false;
    if (number > INT64_MAX / unit->times)
        return range_error(key, value, error);
    return number_store(key, value, number * unit->times, to, error);
}

static bool rate_read(const struct schema_key *key, struct span value, void *to, struct error *error)
{
    struct rate rate = {0, 0};
    const struct unit *unit = NULL;
    if (!unit_read(&notations[SCHEMA_RATE], value, &rate.count, &unit, error))
        return false;
    rate.period = unit->times;
    /* The bounds hold per second; a slow unit may say larger counts. */
    if (rate.count == 0 || rate.count > 1000000 * (unit->times / 1000))
        return error_set(error, "\"%.*s\" is out of range; %s takes 1/h to 1000000/s", shown(value), value.at,
                         key->name);
    memcpy(to, &rate, sizeof(rate));
    return true;
}

static bool bool_read(const struct schema_key *key, struct span value, void *to, struct error *error)
{
    bool is_true = span_is(value, "true");
    if (!is_true && !span_is(value, "false"))
        return error_set(error, "\"%.*s\" is not a boolean; %s takes true or false", shown(value), value.at,
                         key->name);
    memcpy(to, &is_true, sizeof(is_true));
    return true;
}

bool value_choice(const char *const *choices, struct span value, unsigned *which)
{
    for (*which = 0; choices[*which] != NULL; ++*which)
        if (span_is(value, choices[*which]))
            return true;
    return false;
}

bool value_alias_is_of(const struct schema_alias *alias, const char *key)
{
    size_t length = strlen(key);
    return alias->section != NULL && strncmp(alias->section, key, length) == 0 &&
           strcmp(alias->section + length, ":") == 0;
}

const char *value_suggest(const char *const *choices, struct span value, const struct schema_alias *aliases,
                          const char *section)
{
    unsigned which, best = value.length < 4 ? 2 : value.length < 8 ? 3 : 4;
    const char *found = NULL;
    for (const char *const *choice = choices; *choice != NULL; choice++)
        if (span_equal_nocase(value, span_of(*choice)))
            return *choice;
    for (; aliases != NULL && aliases->theirs != NULL; aliases++) {
        struct span words = span_of(aliases->theirs), theirs;
        if (!value_alias_is_of(aliases, section) || aliases->ours == NULL ||
            !value_choice(choices, span_of(aliases->ours), &which))
            continue;
        while (span_next_element(&words, &theirs))
            if (span_equal_nocase(value, theirs))
                return choices[which];
    }
    for (; *choices != NULL; choices++) {
        unsigned distance = text_distance(value, span_of(*choices), best - 1);
        if (distance < best && distance < strlen(*choices)) {
            best = distance;
            found = *choices;
        }
    }
    return found;
}

static bool choice_read(const struct schema_key *key, struct span value, const struct schema_alias *aliases,
                        void *to, struct error *error)
{
    unsigned which = 0;
    for (const char *const *pair = key->synonyms; pair != NULL && *pair != NULL; pair += 2)
        if (span_is(value, pair[0]))
            value = span_of(pair[1]);
    if (value_choice(key->choices, value, &which)) {
        memcpy(to, &which, sizeof(which));
        return true;
    }
    char range[200];
    struct text text = text_over(range, sizeof(range));
    value_range_print(key, &text);
    const char *meant = value_suggest(key->choices, value, aliases, key->name);
    if (meant != NULL)
        return error_set(error, "\"%.*s\" is not known; did you mean \"%s\"? %s takes %s", shown(value),
                         value.at, meant, key->name, range);
    return error_set(error, "\"%.*s\" is not known; %s takes %s", shown(value), value.at, key->name, range);
}

bool value_read(const struct schema_key *key, struct span value, const struct schema_alias *aliases, void *to,
                struct error *error)
{
    switch (key->type) {
    case SCHEMA_BOOL:
        return bool_read(key, value, to, error);
    case SCHEMA_INT:
        return int_read(key, value, to, error);
    case SCHEMA_SIZE:
    case SCHEMA_DURATION:
    case SCHEMA_PERCENT:
        return scaled_read(key, value, to, error);
    case SCHEMA_RATE:
        return rate_read(key, value, to, error);
    case SCHEMA_CHOICE:
        return choice_read(key, value, aliases, to, error);
    case SCHEMA_STRING:
    case SCHEMA_TEMPLATE:
    case SCHEMA_PATH:
    case SCHEMA_REFERENCE:
    case SCHEMA_TEXTS:
    case SCHEMA_PAIRS:
    case SCHEMA_SECTION:
    case SCHEMA_OPTIONAL:
    case SCHEMA_SECTIONS:
    case SCHEMA_MAP:
    case SCHEMA_INCLUDE:
        break;
    }
    assert(false); /* a type of text: schema_text.c */
    return false;
}

bool value_is_number(const struct schema_key *key)
{
    return key->type == SCHEMA_INT || key->type == SCHEMA_SIZE || key->type == SCHEMA_DURATION ||
           key->type == SCHEMA_PERCENT;
}

bool value_may_lack(const struct schema_key *key)
{
    return key->fallback == NULL && (key->flags & SCHEMA_REQUIRED) == 0;
}

void value_number_print(const struct schema_key *key, uint64_t number, struct text *to)
{
    const char *word = number_word_of(key, number);
    if (word != NULL) {
        text_print(to, "%s", word);
        return;
    }
    if (key->type == SCHEMA_INT) {
        text_number(to, number);
        return;
    }
    const struct unit *unit = notations[key->type].units;
    if (number == 0 && key->type == SCHEMA_DURATION)
        unit = unit_find(unit, SPAN("s"));
    else if (number == 0 && key->type == SCHEMA_SIZE)
        unit = unit_find(unit, SPAN("B"));
    while (number % unit->times != 0)
        unit++;
    text_number(to, number / unit->times);
    text_print(to, "%s", unit->name);
}

void value_print(const struct schema_key *key, const void *from, struct text *to)
{
    uint64_t number;
    unsigned which;
    struct rate rate;
    if (key->type == SCHEMA_BOOL) {
        text_print(to, "%s", *(const bool *)from ? "true" : "false");
    } else if (key->type == SCHEMA_CHOICE) {
        memcpy(&which, from, sizeof(which));
        text_print(to, "%s", key->choices[which]);
    } else if (key->type == SCHEMA_RATE) {
        memcpy(&rate, from, sizeof(rate));
        text_number(to, rate.count);
        text_print(to, "%s", rate.period == 1000 ? "/s" : rate.period == 60000 ? "/m" : "/h");
    } else {
        memcpy(&number, from, sizeof(number));
        value_number_print(key, number, to);
    }
}

static void choices_print(const char *const *choices, struct text *to)
{
    for (size_t i = 0; choices[i] != NULL; i++)
        text_print(to, "%s%s", i == 0 ? "" : choices[i + 1] == NULL ? " or " : ", ", choices[i]);
}

void value_range_print(const struct schema_key *key, struct text *to)
{
    if (key->type == SCHEMA_RATE) {
        text_print(to, "1/h to 1000000/s");
    } else if (key->type == SCHEMA_BOOL) {
        text_print(to, "true or false");
    } else if (key->choices != NULL) {
        choices_print(key->choices, to);
    } else if (value_is_number(key)) {
        const char *word;
        uint64_t number;
        for (size_t i = 0; (word = number_word(key, i, &number)) != NULL; i++)
            text_print(to, "%s or ", word);
        value_number_print(key, key->least, to);
        bool bounded = key->most != SCHEMA_NO_LIMIT && key->most != INT64_MAX;
        text_print(to, bounded ? " to " : " and more");
        if (bounded)
            value_number_print(key, key->most, to);
    }
}

const char *value_type_name(const struct schema_key *key)
{
    static const char *const names[] = {
        [SCHEMA_BOOL] = "bool",           [SCHEMA_INT] = "int",
        [SCHEMA_SIZE] = "size",           [SCHEMA_DURATION] = "duration",
        [SCHEMA_PERCENT] = "percent",     [SCHEMA_RATE] = "rate",
        [SCHEMA_CHOICE] = "choice",       [SCHEMA_STRING] = "string",
        [SCHEMA_TEMPLATE] = "template",   [SCHEMA_PATH] = "path",
        [SCHEMA_REFERENCE] = "name",      [SCHEMA_TEXTS] = "list",
        [SCHEMA_PAIRS] = "map",           [SCHEMA_SECTION] = "section",
        [SCHEMA_OPTIONAL] = "section",    [SCHEMA_SECTIONS] = "list of sections",
        [SCHEMA_MAP] = "map of sections", [SCHEMA_INCLUDE] = "list of paths"};
    static const char *const lists[] = {[SCHEMA_STRING] = "list of strings",
                                        [SCHEMA_TEMPLATE] = "list of templates",
                                        [SCHEMA_PATH] = "list of paths",
                                        [SCHEMA_REFERENCE] = "list of names"};
    return key->type == SCHEMA_TEXTS ? lists[key->item] : names[key->type];
}
