/*
 * One table says what a section of the file is: each key is a row with its type, default, range and prose,
 * and the field of the plain struct it fills. From the rows come reading, messages, the effective
 * configuration, the JSON Schema and the list that the manual is held against. The key's name is the field's
 * name, and a row does not compile for a field of another type.
 */
#ifndef WEIR_SCHEMA_SCHEMA_H
#define WEIR_SCHEMA_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"
#include "schema/schema_report.h"
#include "schema/types.h"

struct arena;
struct schema_document;
struct text;

enum schema_type {
    SCHEMA_BOOL,      /* bool */
    SCHEMA_INT,       /* uint64_t or int64_t */
    SCHEMA_SIZE,      /* uint64_t, bytes */
    SCHEMA_DURATION,  /* uint64_t, milliseconds */
    SCHEMA_PERCENT,   /* uint64_t */
    SCHEMA_RATE,      /* struct rate */
    SCHEMA_CHOICE,    /* an enum that counts from 0 in the order of `choices` */
    SCHEMA_STRING,    /* const char * */
    SCHEMA_TEMPLATE,  /* const char *; ${...} is left for the request */
    SCHEMA_PATH,      /* const char *, made absolute; words in `choices` stand for themselves */
    SCHEMA_REFERENCE, /* const char *; a name in the map `refers` of the root */
    SCHEMA_TEXTS,     /* struct texts of `item` */
    SCHEMA_PAIRS,     /* struct name_values of `item` */
    SCHEMA_SECTION,   /* a struct in the struct */
    SCHEMA_OPTIONAL,  /* a pointer to a struct; NULL when absent, `false` or `none` */
    SCHEMA_SECTIONS,  /* a list of structs: pointer and count */
    SCHEMA_MAP,       /* structs by name, in the order of the file: pointer and count */
    SCHEMA_INCLUDE    /* stored nowhere: other files were merged already */
};

enum schema_flag {
    SCHEMA_REQUIRED = 1, /* has no default */
    SCHEMA_SINGLE = 2,   /* one section may stand where the list is meant */
    SCHEMA_PRESENT = 4,  /* an optional section that is there with its defaults unless it is turned off */
    SCHEMA_OWN = 8,      /* can't be given by a section of defaults */
    /* a section of defaults: what it gives stands for every other section of its schema */
    SCHEMA_PARTIAL = 16,
    SCHEMA_SEEN = 32,   /* its keys are those of another place: lists and manual don't repeat them */
    SCHEMA_MERGED = 64, /* its effect is in other sections: not part of the effective configuration */
    /* a section of names: those of a section of defaults and its own add up, its own winning by name */
    SCHEMA_ADDS_UP = 256,
    SCHEMA_SECRET = 128,      /* its texts are not printed with the effective configuration */
    SCHEMA_SECRET_FILE = 512, /* a path of a file that only weir is to read */
    /* a text that may have lines, control characters and a length of its own; others are one line of 8 KiB */
    SCHEMA_LINES = 1024,
    SCHEMA_TOLD = 2048, /* its prose says what holds without the key: "by default ..." */
    /* an empty text is of use, so that variables may bring it; elsewhere what they empty is refused */
    SCHEMA_MAY_BE_EMPTY = 4096,
    SCHEMA_CASELESS = 8192, /* of pairs: names that differ by their case alone are one */
    /* a condition, which what an empty variable leaves of it widens: the file itself must say by
     * ${env.NAME:-} that a variable in it may be empty */
    SCHEMA_CONDITION = 16384
};

#define SCHEMA_SECRET_SHOWN "(a secret, not shown)" /* printed for a secret; never one itself */
#define SCHEMA_NO_LIMIT UINT64_MAX
#define SCHEMA_WORD(number_) (UINT64_MAX - (number_)) /* no number of a file is as high */
#define SCHEMA_MOST_KEYS 64

struct schema;
struct schema_key {
    const char *name;
    enum schema_type type;
    unsigned flags;
    size_t offset, count_offset;
    const char *fallback;       /* the default as it would be written; NULL: not set */
    uint64_t unset;             /* stored for a number that is not set; no value of the row */
    uint64_t least, most;       /* in the unit that is stored; of a list: how many */
    enum schema_type item;      /* of texts and pairs: STRING, TEMPLATE, PATH or REFERENCE */
    const char *const *choices; /* ends with NULL */
    /* of a choice: pairs of another word and the choice that it stands for, ends with NULL */
    const char *const *synonyms;
    /* a word that stands for 0, such as auto or none; then no number is 0 */
    const char *word;
    /* others, ends with NULL: they stand for SCHEMA_WORD(0), SCHEMA_WORD(1) ... */
    const char *const *words;
    const char *refers; /* key of the root */
    const struct schema *section;
    /* What the type alone can't say about a value. False: why, as the rest of the sentence `"value" ...`. */
    bool (*check)(struct span value, struct error *error);
    bool (*check_name)(struct span name, struct error *error); /* of pairs */
    /* Likewise of what is taken and was hardly meant so. False: the warning. */
    bool (*doubt)(struct span value, struct error *error);
    bool (*doubt_name)(struct span name, struct error *error);
    const char *empty; /* of a list that must not be: what to write instead; NULL: the usual */
    const char *text;  /* prose, one sentence */
};
struct schema {
    const char *noun; /* for messages: pool */
    size_t size;
    const struct schema_key *keys; /* ends with a name of NULL */
    const char *shorthand;         /* the key that a bare value gives; NULL: none */
    size_t name_offset;            /* of a const char *name, in entries of a map */
    const char *text;
    const char
        *strangers; /* what to write instead, when none of the keys given is one of its own; NULL: nothing */
    const char *bare; /* what to write instead of a bare value that cannot stand for it; NULL: nothing */
    /* Pairs of key and value, ends with NULL: what turns the section off, for which `false` and `none` stand,
     * as they do for the absence of optional ones. "[]" is a list of nothing. NULL: its absence, if anything.
     */
    const char *const *off;
};
/*
 * Words of another product and ours for them: keys, or values of a key. "{}" stands for a section where a
 * single value is meant, "{number}" for a whole number, and a star at the end for all words that begin so.
 * Without `ours`, `hint` says what to do instead; a hint goes before `ours`. With neither there is nothing
 * like it.
 */
struct schema_alias {
    /* noun of the section it is written in, or the key that it is a value of with a colon; NULL: any section
     */
    const char *section;
    const char *whose;  /* the product's name; others: of several, or what people write */
    const char *theirs; /* commas part them */
    const char *ours;
    const char *hint;
    const char *absent; /* entry of the manual's section NOT IN WEIR */
};

/* ---- rows ---- */

#define SCHEMA_MEMBER(section_, field_) (((section_ *)NULL)->field_)
#define SCHEMA_AT(section_, field_, holds_) (offsetof(section_, field_) + 0 * sizeof(char[(holds_) ? 1 : -1]))
#define SCHEMA_IS(section_, field_, ctype_) \
    SCHEMA_AT(section_, field_, _Generic(SCHEMA_MEMBER(section_, field_), ctype_ : 1, default : 0))
#define SCHEMA_IS_INT(section_, field_) \
    SCHEMA_AT(section_, field_,         \
              _Generic(SCHEMA_MEMBER(section_, field_), uint64_t : 1, int64_t : 1, default : 0))
#define SCHEMA_IS_ENUM(section_, field_)                                                              \
    SCHEMA_AT(section_, field_,                                                                       \
              sizeof(SCHEMA_MEMBER(section_, field_)) == sizeof(unsigned) &&                          \
                  _Generic(SCHEMA_MEMBER(section_, field_), const char * : 0, uint64_t : 0, bool : 0, \
                           default : 1))

/* The last argument is the prose; more designated members may follow it. */
#define KEY_BOOL(section_, field_, fallback_, ...) \
    KEY_BOOL_AS(section_, field_, #field_, fallback_, __VA_ARGS__)
#define KEY_BOOL_AS(section_, field_, name_, fallback_, ...)                               \
    {                                                                                      \
        .name = (name_), .type = SCHEMA_BOOL, .offset = SCHEMA_IS(section_, field_, bool), \
        .fallback = (fallback_), .text = __VA_ARGS__                                       \
    }
#define KEY_NUMBER(type_, section_, field_, fallback_, least_, most_, ...)               \
    {                                                                                    \
        .name = #field_, .type = (type_), .offset = SCHEMA_IS_INT(section_, field_),     \
        .fallback = (fallback_), .least = (least_), .most = (most_), .text = __VA_ARGS__ \
    }
#define KEY_INT(...) KEY_NUMBER(SCHEMA_INT, __VA_ARGS__)
#define KEY_SIZE(...) KEY_NUMBER(SCHEMA_SIZE, __VA_ARGS__)
#define KEY_DURATION(...) KEY_NUMBER(SCHEMA_DURATION, __VA_ARGS__)
#define KEY_PERCENT(...) KEY_NUMBER(SCHEMA_PERCENT, __VA_ARGS__)
#define KEY_RATE(section_, field_, ...)                                                           \
    {                                                                                             \
        .name = #field_, .type = SCHEMA_RATE, .offset = SCHEMA_IS(section_, field_, struct rate), \
        .text = __VA_ARGS__                                                                       \
    }
#define KEY_CHOICE(section_, field_, fallback_, choices_, ...)                              \
    {                                                                                       \
        .name = #field_, .type = SCHEMA_CHOICE, .offset = SCHEMA_IS_ENUM(section_, field_), \
        .fallback = (fallback_), .choices = (choices_), .text = __VA_ARGS__                 \
    }
#define KEY_CHARS(type_, section_, field_, fallback_, ...)                                     \
    {                                                                                          \
        .name = #field_, .type = (type_), .offset = SCHEMA_IS(section_, field_, const char *), \
        .fallback = (fallback_), .text = __VA_ARGS__                                           \
    }
#define KEY_STRING(...) KEY_CHARS(SCHEMA_STRING, __VA_ARGS__)
#define KEY_TEMPLATE(...) KEY_CHARS(SCHEMA_TEMPLATE, __VA_ARGS__)
#define KEY_PATH(...) KEY_CHARS(SCHEMA_PATH, __VA_ARGS__)
#define KEY_REFERENCE(section_, field_, refers_, ...)                                                   \
    {                                                                                                   \
        .name = #field_, .type = SCHEMA_REFERENCE, .offset = SCHEMA_IS(section_, field_, const char *), \
        .refers = (refers_), .text = __VA_ARGS__                                                        \
    }
#define KEY_TEXTS(item_, section_, field_, fallback_, ...)                                                \
    {                                                                                                     \
        .name = #field_, .type = SCHEMA_TEXTS, .item = (item_),                                           \
        .offset = SCHEMA_IS(section_, field_, struct texts), .fallback = (fallback_), .text = __VA_ARGS__ \
    }
#define KEY_PAIRS(item_, section_, field_, ...)                                        \
    {                                                                                  \
        .name = #field_, .type = SCHEMA_PAIRS, .item = (item_),                        \
        .offset = SCHEMA_IS(section_, field_, struct name_values), .text = __VA_ARGS__ \
    }
#define KEY_SECTION(section_, field_, ctype_, schema_, ...)                                     \
    {                                                                                           \
        .name = #field_, .type = SCHEMA_SECTION, .offset = SCHEMA_IS(section_, field_, ctype_), \
        .section = &(schema_), .text = __VA_ARGS__                                              \
    }
#define KEY_OPTIONAL(section_, field_, ctype_, schema_, ...)                                       \
    {                                                                                              \
        .name = #field_, .type = SCHEMA_OPTIONAL, .offset = SCHEMA_IS(section_, field_, ctype_ *), \
        .section = &(schema_), .text = __VA_ARGS__                                                 \
    }
#define KEY_MANY(type_, section_, field_, ctype_, schema_, ...)                             \
    {                                                                                       \
        .name = #field_, .type = (type_), .offset = SCHEMA_IS(section_, field_, ctype_ *),  \
        .count_offset = SCHEMA_IS(section_, field_##_count, size_t), .section = &(schema_), \
        .text = __VA_ARGS__                                                                 \
    }
#define KEY_SECTIONS(...) KEY_MANY(SCHEMA_SECTIONS, __VA_ARGS__)
#define KEY_MAP(...) KEY_MANY(SCHEMA_MAP, __VA_ARGS__)
#define KEY_END      \
    {                \
        .name = NULL \
    }

/* ---- reading ---- */

/* For a check and a doubt: the value that they judge as the file writes it, with its ${env.NAME}. */
struct span schema_judged_text(struct span value);

/* A document: the main file and those it includes, as a tree that knows its places. Nodes live as long as the
 * document.
 */
struct schema_document *schema_document_new(struct schema_report *report);
void schema_document_free(struct schema_document *document); /* NULL allowed */
struct schema_report *schema_document_report(const struct schema_document *document);
/* "-" is standard input. False: it can't be read or is not YAML as weir takes it; the report says why. */
bool schema_document_read(struct schema_document *document, const char *path) MUST_CHECK;
bool schema_document_read_text(struct schema_document *document, const char *name, const char *text,
                               size_t length) MUST_CHECK;

/* From now on a variable of the environment that is not set is no error, and the value that it stands in is
 * not judged: the key stays at its default, and its section counts as broken. For a review on another
 * machine. */
void schema_document_judge_text(struct schema_document *document);
/* The names of those variables. */
const struct texts *schema_document_unjudged(const struct schema_document *document);
/* One of them stands for a value that a section must have: what goes by all sections together can't be
 * judged. */
bool schema_is_partial(const struct schema_document *document);

/*
 * The tree as a struct of `root`, in memory of `arena`. Problems go to the report and the value falls back to
 * its default, so that reading goes on: the struct is whole only when the report has no errors.
 */
void *schema_load(struct schema_document *document, const struct schema *root,
                  const struct schema_alias *aliases, struct arena *arena) MUST_CHECK;

/* ---- places, for what a row can't say; good while the document lives ---- */

/* Where the value of a field stands; nowhere when the file does not give it. Also for items of texts and
 * pairs. */
struct schema_place schema_place(const struct schema_document *document, const void *field);
/* Where the key of that value stands. */
struct schema_place schema_place_key(const struct schema_document *document, const void *field);
/* The path of a file that was read, the main one first; NULL: there are no more. Not standard input. */
const char *schema_document_file(const struct schema_document *document, size_t number);
/* Where a section stands: its name in a map, the key that opens it, or its first line in a list. */
struct schema_place schema_place_section(const struct schema_document *document, const void *section);
/* The text as it stands in the document where a variable of the environment brought it; else itself. */
const char *schema_written(const struct schema_document *document, const char *text);
/* The section was copied: the fields of the copy have the places of those that were read. */
void schema_place_copy(struct schema_document *document, const void *from, const void *to, size_t size);
/* Something in this section was refused already: what seems to be missing may be what was misspelt. */
bool schema_is_broken(const struct schema_document *document, const void *section);

/* The key's value is what it would be without the key, and without a section of defaults. */
bool schema_is_default(const struct schema *schema, const struct schema_key *key, const void *section);

/* ---- writing ---- */

/* The struct as YAML that reads back to the same. */
void schema_dump(const struct schema *root, const void *section, struct text *to);
/* The same while its document lives: what came from the environment as the reference that stands in the file.
 * How many secrets stand in the file itself, and are masked. */
size_t schema_dump_written(const struct schema_document *document, const struct schema *root,
                           const void *section, struct text *to) MUST_CHECK;
/* One key of it, with a document as schema_dump_written() does; nothing where it is not set. */
void schema_dump_key(const struct schema_key *key, const void *section,
                     const struct schema_document *document, struct text *to);
/* A key whose value differs, or an item that only one of two lists has. */
struct schema_difference {
    const char *path; /* "pools[app].health.interval" */
    bool is_item;     /* then the texts are its name, one of them NULL */
    const char *before, *after;
    const struct schema *of; /* of the innermost item of a list or map that it is or is in; NULL: in none */
    const void *item;        /* that item, as it was before; an added one as it is */
};
/*
 * Tells what differs between two structs of `schema`, in the order of the keys. Items of lists are matched by
 * the name that `name` writes (false: it leaves that to the schema; NULL: to all schemas), those of one name
 * in their order. Secrets are compared but not told, and what came from the environment is told as it stands
 * in the document. `name` is asked for that too, with a document.
 */
struct schema_side {
    const void *section;
    const struct schema_document *document; /* NULL: everything is told as it is */
};
void schema_compare(const struct schema *schema, const struct schema_side *before,
                    const struct schema_side *after,
                    bool (*name)(const struct schema *schema, const void *item,
                                 const struct schema_document *document, struct text *to),
                    void (*tell)(void *owner, const struct schema_difference *difference), void *owner);
/* Each text that is set, items of lists of texts too, with its row; not those of pairs. */
void schema_each_text(const struct schema *root, const void *section,
                      void (*each)(void *owner, const struct schema_key *key, const char *const *field),
                      void *owner);
/* JSON Schema (draft 2020-12). */
void schema_export_json(const struct schema *root, const char *title, struct text *to);
/* One line a key: path, type, default, range, prose, with tabs between. */
void schema_export_list(const struct schema *root, struct text *to);

#endif
