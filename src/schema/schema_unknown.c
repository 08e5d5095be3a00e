/* What to say about a key or a name that does not exist: which one was probably meant, or where the key
 * belongs. */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/text.h"
#include "schema/schema_loader.h"
#include "schema/schema_value.h"

enum { SCHEMAS_MOST = 128 };

void context_print(const struct context *context, struct text *to)
{
    if (context->up == NULL) {
        text_print(to, "the file");
        return;
    }
    text_print(to, "%s", context->schema->noun);
    if (context->name != NULL)
        text_print(to, " \"%s\"", context->name);
    else if (context->up->up != NULL) {
        text_print(to, " of ");
        context_print(context->up, to);
    }
}

/* A section, and the one that it stands in. */
struct spot {
    const struct schema *schema, *up; /* NULL, NULL: none */
};
static struct span separators_skip(struct span word)
{
    while (word.length != 0 && strchr("_- ", word.at[0]) != NULL)
        word = span_skip(word, 1);
    return word;
}

/* The same letters and digits, whatever the case and what stands between them. */
static bool is_spelt(struct span word, struct span other)
{
    for (;; word = span_skip(word, 1), other = span_skip(other, 1)) {
        word = separators_skip(word);
        other = separators_skip(other);
        if (word.length == 0 || other.length == 0)
            return word.length == other.length;
        if (ascii_lower(word.at[0]) != ascii_lower(other.at[0]))
            return false;
    }
}

/* Products write the same word with dashes, underscores, blanks and capitals; what stands in parentheses is
 * an argument. `theirs` may end in a star, for all words that begin so. */
static bool is_word(struct span theirs, struct span word)
{
    size_t at = 0;
    for (; theirs.length != 0 && theirs.at[0] != '*'; theirs = span_skip(theirs, 1)) {
        bool is_separator = strchr("_- ", theirs.at[0]) != NULL;
        if (is_separator && theirs.length > 1 && theirs.at[1] == '*')
            return at < word.length && strchr("_- ", word.at[at]) != NULL;
        if (is_separator)
            continue;
        while (at < word.length && strchr("_- ", word.at[at]) != NULL)
            at++;
        if (at == word.length || ascii_lower(word.at[at]) != ascii_lower(theirs.at[0]))
            return false;
        at++;
    }
    return theirs.length != 0 || at == word.length || strchr("( .", word.at[at]) != NULL;
}

/* One of the words of the row as it is, not as what one that ends in a star stands for. */
static bool is_whole_word_of(const struct schema_alias *alias, struct span word)
{
    struct span words = span_of(alias->theirs), theirs;
    while (span_next_element(&words, &theirs))
        if (span_find(theirs, '*') == theirs.length && is_word(theirs, word))
            return true;
    return false;
}

/* One of the words of the row. */
static bool is_word_of(const struct schema_alias *alias, struct span word)
{
    struct span words = span_of(alias->theirs), theirs;
    while (span_next_element(&words, &theirs))
        if (is_word(theirs, word))
            return true;
    return false;
}

static bool is_of_key(const struct schema_alias *alias)
{
    return alias->section == NULL || alias->section[strlen(alias->section) - 1] != ':';
}

/* The row for a key of this section; section NULL: of any. Words as they are written come before those that
 * are nearly so, and both before beginnings. */
static const struct schema_alias *alias_find(const struct loader *loader, const char *section,
                                             struct span word)
{
    const struct schema_alias *found = NULL;
    size_t longest = 0;
    for (const struct schema_alias *alias = loader->aliases; alias != NULL && alias->theirs != NULL;
         alias++) {
        bool here = section == NULL || alias->section == NULL || strcmp(alias->section, section) == 0;
        if (!here || !is_of_key(alias))
            continue;
        struct span words = span_of(alias->theirs), theirs;
        while (span_next_element(&words, &theirs)) {
            if (span_equal(word, theirs))
                return alias;
            if (theirs.length > longest && is_word(theirs, word)) {
                found = alias;
                longest = theirs.length;
            }
        }
    }
    return found;
}

struct guess {
    const struct schema_alias *alias;
    const struct schema_key *meant; /* of this section */
    struct spot elsewhere;          /* has a key of that name, or of ours for it */
    const char *name;               /* of that key */
    bool abroad;                    /* the word is one of another section */
    const char *key, *value;        /* it is that value of that key; NULL: it is none */
};

/* A word that is a value of one of the section's keys, or that another product's users know as one. */
static bool value_guess(const struct loader *loader, const struct schema *schema, struct span word,
                        const char **key, const char **value)
{
    unsigned which;
    for (const struct schema_key *row = schema->keys; row->name != NULL; row++) {
        if (row->choices == NULL || row->type != SCHEMA_CHOICE)
            continue;
        *key = row->name;
        if (value_choice(row->choices, word, &which)) {
            *value = row->choices[which];
            return word.length > 3;
        }
        for (const struct schema_alias *alias = loader->aliases; alias != NULL && alias->theirs != NULL;
             alias++)
            if (alias->ours != NULL && value_alias_is_of(alias, row->name) && word.length > 3 &&
                is_word_of(alias, word)) {
                *value = alias->ours;
                return true;
            }
    }
    return false;
}

/* The same of a key of any section. */
static bool value_guess_anywhere(const struct loader *loader, struct span word, struct guess *guess)
{
    for (const struct schema_alias *alias = loader->aliases; alias != NULL && alias->theirs != NULL; alias++)
        if (!is_of_key(alias) && alias->ours != NULL && word.length > 3 && is_word_of(alias, word)) {
            struct span key = span_first(span_of(alias->section), strlen(alias->section) - 1);
            struct span copy = arena_copy(loader->arena, key);
            guess->key = copy.at;
            guess->value = alias->ours;
            return copy.at != NULL;
        }
    return false;
}

static bool is_number(struct span value)
{
    return value.length != 0 && strspn(value.at, "0123456789") >= value.length;
}

struct hint {
    struct span theirs;
    const char *text;
    struct hint *next;
};

void hints_file(struct loader *loader)
{
    loader->hints = map_new();
    for (const struct schema_alias *alias = loader->aliases; alias != NULL && alias->theirs != NULL;
         alias++) {
        if (alias->hint == NULL || is_of_key(alias))
            continue;
        struct span key = span_first(span_of(alias->section), strlen(alias->section) - 1);
        struct span words = span_of(alias->theirs), theirs;
        while (span_next_element(&words, &theirs)) {
            struct hint *hint = loader_get(loader, sizeof(*hint));
            *hint = (struct hint){theirs, alias->hint, map_get(loader->hints, key)};
            map_set(loader->hints, key, hint);
        }
    }
}

const char *value_hint(const struct loader *loader, const char *name, struct span value)
{
    for (const struct hint *hint = map_get(loader->hints, span_of(name)); hint != NULL; hint = hint->next)
        if (span_equal(value, hint->theirs) || (span_is(hint->theirs, "{number}") && is_number(value)))
            return hint->text;
    return NULL;
}

static const struct schema_key *key_find(const struct schema *schema, const char *name)
{
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        if (strcmp(key->name, name) == 0)
            return key;
    return NULL;
}

static const struct schema_key *key_near(const struct schema *schema, struct span word, unsigned most)
{
    const struct schema_key *found = NULL;
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++) {
        unsigned distance = text_distance(word, span_of(key->name), most);
        if (distance <= most && distance < strlen(key->name)) {
            found = key;
            if (distance == 0)
                break;
            most = distance - 1;
        }
    }
    return found;
}

/* The section's own key in another product's letters: maxConnections, max-connections, MAX_CONNECTIONS. */
static const struct schema_key *key_folded(const struct schema *schema, struct span word)
{
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        if (is_spelt(span_of(key->name), word))
            return key;
    return NULL;
}

/* The section's own key with a unit behind it: timeout_ms, timeoutSeconds. */
static const struct schema_key *key_with_unit(const struct schema *schema, struct span word)
{
    static const char *const units[] = {
        "ms",  "msec", "msecs",   "millis", "milliseconds", "s",  "sec", "secs", "seconds",
        "min", "mins", "minutes", "hours",  "bytes",        "kb", "mb",  "gb"};
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        size_t length = strlen(units[i]);
        if (word.length <= length + 1)
            continue;
        struct span key = span_first(word, word.length - length), unit = span_skip(word, key.length);
        char last = key.at[key.length - 1];
        bool parted = last == '_' || last == '-' || (unit.at[0] >= 'A' && unit.at[0] <= 'Z');
        if (parted && span_equal_nocase(unit, span_of(units[i])))
            return key_folded(schema, key);
    }
    return NULL;
}

bool glued_key_tell(struct loader *loader, const struct schema *schema, const struct node *node)
{
    struct span text = node->as.text, name = span_first(text, span_find(text, ':'));
    struct span value = name.length < text.length ? span_skip(text, name.length + 1) : SPAN_NONE;
    const struct schema_key *key = node->plain ? key_folded(schema, name) : NULL;
    if (key == NULL || value.length == 0 || is_number(value) || span_starts(value, SPAN("${env.")))
        return false; /* a host may have that name, and a port behind it */
    schema_report_add(loader->report, SCHEMA_ERROR, node_place(node),
                      "a blank is missing after the colon; write %s: %.*s", key->name, (int)value.length,
                      value.at);
    return true;
}

struct search {
    const char *name;
    const struct schema *seen[SCHEMAS_MOST];
    size_t count;
};

/* The first section below `at` that has a key of this name. */
static struct spot spot_with(struct search *search, struct spot at)
{
    for (size_t i = 0; i < search->count; i++)
        if (search->seen[i] == at.schema)
            return (struct spot){NULL, NULL};
    if (search->count == SCHEMAS_MOST)
        return (struct spot){NULL, NULL};
    search->seen[search->count++] = at.schema;
    if (key_find(at.schema, search->name) != NULL)
        return at;
    struct spot found = {NULL, NULL};
    for (const struct schema_key *key = at.schema->keys; key->name != NULL && found.schema == NULL; key++)
        if (key->section != NULL)
            found = spot_with(search, (struct spot){key->section, at.schema});
    return found;
}

/* The sections right below come first: what is missing is most often one level of indentation. */
static struct spot spot_elsewhere(const struct loader *loader, const struct schema *schema, const char *name)
{
    struct search search = {.name = name};
    struct spot found = spot_with(&search, (struct spot){schema, NULL});
    return found.schema != NULL ? found : spot_with(&search, (struct spot){loader->root, NULL});
}

bool key_is_explained(const struct loader *loader, const struct schema *schema, struct span word)
{
    return alias_find(loader, schema->noun, word) != NULL ||
           key_folded(schema, span_first(word, span_find(word, ':'))) != NULL ||
           key_near(schema, word, word.length > 3 ? 1 : 0) != NULL;
}

static void key_guess_ours(const struct loader *loader, const struct schema *schema, struct guess *guess)
{
    const char *ours = guess->alias->ours;
    if (ours == NULL)
        return;
    guess->name = ours;
    guess->meant = guess->abroad ? NULL : key_find(schema, ours);
    if (guess->meant == NULL && !guess->abroad)
        guess->elsewhere = spot_elsewhere(loader, schema, ours);
}

/* The section's own key but for capitals and dashes is meant, and what another product calls so here is known
 * for certain, but for words that only begin so; then comes what is nearly the same, then what it calls so in
 * another place, what stands in another section, a value of a key, and last what is a little like it. */
static struct guess key_guess(const struct loader *loader, const struct schema *schema, struct span word)
{
    struct guess guess = {.meant = key_folded(schema, word), .name = word.at};
    if (guess.meant != NULL)
        return guess;
    guess.alias = alias_find(loader, schema->noun, word);
    guess.meant = key_with_unit(schema, word);
    if (guess.meant == NULL)
        guess.meant = key_near(schema, word, word.length > 3 ? 1 : 0);
    if (guess.alias != NULL && (guess.meant == NULL || is_whole_word_of(guess.alias, word))) {
        guess.meant = NULL;
        key_guess_ours(loader, schema, &guess);
        return guess;
    }
    guess.alias = NULL;
    if (guess.meant != NULL)
        return guess;
    guess.elsewhere = spot_elsewhere(loader, schema, word.at);
    if (guess.elsewhere.schema != NULL)
        return guess;
    guess.alias = alias_find(loader, NULL, word);
    guess.abroad = guess.alias != NULL;
    if (guess.abroad)
        key_guess_ours(loader, schema, &guess);
    else if (!value_guess(loader, schema, word, &guess.key, &guess.value) &&
             !value_guess_anywhere(loader, word, &guess))
        guess.meant = key_near(schema, word, word.length < 6 ? 1 : word.length < 9 ? 2 : 3);
    return guess;
}

bool key_is_ours(const struct loader *loader, const struct schema *schema, struct span word)
{
    return key_guess(loader, schema, word).meant != NULL;
}

/* Where sections of one name stand in several places, it is told which is meant. */
static void spot_print(const struct loader *loader, const struct schema *here, struct spot spot,
                       struct text *to)
{
    if (spot.schema == loader->root)
        text_print(to, "stands at the top of the file");
    else if (strcmp(spot.schema->noun, here->noun) != 0 || spot.up == NULL)
        text_print(to, "is a key of %s", spot.schema->noun);
    else if (spot.up == loader->root)
        text_print(to, "is a key of %s at the top of the file", spot.schema->noun);
    else
        text_print(to, "is a key of %s in a %s", spot.schema->noun, spot.up->noun);
}

/* Names of sections in the plural need none. */
static const char *article_of(const char *noun)
{
    return noun[strlen(noun) - 1] == 's' ? "" : "a ";
}

static void guess_print(const struct loader *loader, const struct schema *schema, const struct guess *guess,
                        struct text *to)
{
    const struct schema_alias *alias = guess->alias;
    bool known = alias != NULL && strcmp(alias->whose, "others") != 0;
    bool file = alias != NULL && strcmp(alias->section, loader->root->noun) == 0;
    if (alias != NULL && alias->hint != NULL) {
        text_print(to, "; ");
        if (guess->abroad && !file)
            text_print(to, "in %s%s, ", article_of(alias->section), alias->section);
        text_print(to, "%s", alias->hint);
    }
    if (alias != NULL && alias->absent != NULL && alias->hint == NULL)
        text_print(to, "; %s%sweir has nothing like it", known ? alias->whose : "",
                   known ? " has that, and " : "");
    if (alias != NULL && alias->absent != NULL)
        text_print(to, "%s see %s under NOT IN WEIR in weir.yaml(5)", alias->hint != NULL ? ";" : ":",
                   alias->absent);
    if (alias != NULL && (alias->hint != NULL || alias->absent != NULL))
        return;
    if (guess->meant != NULL)
        text_print(to, "; did you mean \"%s\"?", guess->meant->name);
    else if (guess->abroad && file)
        text_print(to, "; \"%s\" stands at the top of the file", guess->name);
    else if (guess->abroad)
        text_print(to, "; \"%s\" is a key of %s", guess->name, alias->section);
    else if (guess->elsewhere.schema != NULL) {
        text_print(to, "; \"%s\" ", guess->name);
        spot_print(loader, schema, guess->elsewhere, to);
    } else if (guess->value != NULL)
        text_print(to, "; write %s: %s", guess->key, guess->value);
}

/* What a section takes, where nothing better can be said. */
static void keys_print(const struct schema *schema, struct text *to)
{
    size_t count = 0;
    while (schema->keys[count].name != NULL)
        count++;
    if (count > 12) {
        text_print(to, "; see weir.yaml(5) for the keys of %s%s",
                   strcmp(schema->noun, "file") == 0 ? "the " : article_of(schema->noun), schema->noun);
        return;
    }
    text_print(to, "; its keys are ");
    for (const struct schema_key *key = schema->keys; key->name != NULL; key++)
        text_print(to, "%s%s", key == schema->keys ? "" : key[1].name == NULL ? " and " : ", ", key->name);
}

const struct schema_key *unknown_key_tell(struct loader *loader, const struct context *context,
                                          const struct node *node)
{
    struct guess guess = key_guess(loader, context->schema, node->as.text);
    if (glued_key_tell(loader, context->schema, node))
        return key_folded(context->schema, span_first(node->as.text, span_find(node->as.text, ':')));
    struct text where = text_growing(), tail = text_growing();
    if (context->up != NULL)
        text_print(&where, " in ");
    if (context->up != NULL)
        context_print(context, &where);
    guess_print(loader, context->schema, &guess, &tail);
    if (tail.length == 0)
        keys_print(context->schema, &tail);
    schema_report_add(loader->report, SCHEMA_ERROR, node_place(node), "unknown key \"%s\"%.*s%.*s",
                      node->as.text.at, (int)where.length, where.length != 0 ? where.at : "",
                      (int)tail.length, tail.at);
    text_free(&where);
    text_free(&tail);
    return guess.meant;
}

static const char *entry_name(const struct schema_key *key, const void *root, size_t at)
{
    const char *entries, *name;
    memcpy(&entries, (const char *)root + key->offset, sizeof(entries));
    memcpy(&name, entries + at * key->section->size + key->section->name_offset, sizeof(name));
    return name;
}

static size_t entry_count(const struct schema_key *key, const void *root)
{
    size_t count;
    memcpy(&count, (const char *)root + key->count_offset, sizeof(count));
    return count;
}

static void reference_tell(struct loader *loader, const struct schema_key *names,
                           const struct reference *reference, const void *root)
{
    const char *noun = names->section->noun, *found = NULL;
    size_t count = entry_count(names, root);
    unsigned best = strlen(reference->name) < 4 ? 1 : 2;
    for (size_t i = 0; i < count; i++) {
        const char *name = entry_name(names, root, i);
        bool same = span_equal_nocase(span_of(reference->name), span_of(name)); /* but for its capitals */
        unsigned distance = same ? 0 : text_distance(span_of(reference->name), span_of(name), best);
        if (distance <= best) {
            found = name;
            best = distance != 0 ? distance - 1 : 0;
        }
    }
    static const char named[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
    bool is_name = strspn(reference->name, named) == strlen(reference->name);
    const char *hint = is_name ? NULL : value_hint(loader, reference->key->name, SPAN("{}"));
    if (hint == NULL && !is_name)
        hint = value_hint(loader, noun, SPAN("{}"));
    if (found != NULL)
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(reference->node),
                          "there is no %s \"%s\"; did you mean \"%s\"?", noun, reference->name, found);
    else if (hint != NULL)
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(reference->node),
                          "\"%s\" is not the name of a %s; %s", reference->name, noun, hint);
    else
        schema_report_add(loader->report, SCHEMA_ERROR, node_place(reference->node),
                          "there is no %s \"%s\"; write it under %s, or name one that is there", noun,
                          reference->name, names->name);
}

/* All references to one map of the root. */
static void map_check(struct loader *loader, const struct schema_key *names, const void *root)
{
    struct map *known = map_new();
    size_t count = entry_count(names, root);
    for (size_t i = 0; i < count; i++)
        map_set(known, span_of(entry_name(names, root, i)), loader);
    for (size_t i = 0; i < loader->references_count; i++) {
        const struct reference *reference = &loader->references[i];
        if (strcmp(reference->key->refers, names->name) == 0 &&
            map_get(known, span_of(reference->name)) == NULL)
            reference_tell(loader, names, reference, root);
    }
    map_free(known);
}

void references_check(struct loader *loader, const void *root)
{
    for (const struct schema_key *key = loader->root->keys; key->name != NULL; key++)
        if (key->type == SCHEMA_MAP)
            map_check(loader, key, root);
}
