/* The tree of a document, shared by the files of this room only. */
#ifndef WEIR_SCHEMA_SCHEMA_DOCUMENT_H
#define WEIR_SCHEMA_SCHEMA_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/schema.h"

struct arena;

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };
struct node_entry {
    struct node *key; /* a scalar */
    struct node *value;
};
struct node {
    enum node_kind kind;
    bool plain;            /* a scalar without quotes */
    bool open;             /* being read: an alias to it would contain itself */
    bool refused;          /* told already: nothing more is said about it */
    uint32_t line, column; /* from 1 */
    uint32_t length;       /* characters, for the underline */
    uint32_t expanded;     /* nodes in it, counting what aliases stand for each time */
    uint32_t count;        /* items or entries */
    struct schema_source *source;
    const struct node *from; /* of a value that a variable brought: where the variable stands */
    union {
        struct span text; /* ended by a NUL beyond its length */
        struct node **items;
        struct node_entry *entries;
    } as;
};
/* What stands where in the file. */
struct place_entry {
    const void *address;
    const struct node *key, *value;
    bool is_section;
    bool broken;
};
struct places;
struct schema_document {
    struct arena *arena;
    struct schema_report *report;
    struct node *root;
    struct schema_source **sources;
    size_t sources_count, sources_room;
    size_t bytes; /* of all sources */
    uint32_t alias_nodes;
    /* an included file could not be read: what seems to be missing may stand there */
    bool incomplete;
    struct places *places;
    bool judges_text;      /* variables that are not set are noted here instead of told */
    bool partial;          /* of a value that must be there */
    struct texts unjudged; /* names, each once */
    size_t unjudged_room, unjudged_values;
};

/* schema_mistakes.c: a character that looks like one of YAML's and is none. */
struct lookalike {
    size_t at, length;
    const char *name, *ours; /* "a no-break space (U+00A0)", "a plain blank" */
    bool is_quote;
};
#define LOOKALIKE_SENTENCE "%s stands %s, which only looks plain; write %s"
bool lookalike_find(struct span text, struct lookalike *found) MUST_CHECK;
/* The same where it can only be meant for YAML's own: at the front or, if it is no quote, at the end. */
bool lookalike_at_edge(struct span text, struct lookalike *found) MUST_CHECK;
/* The file is in another product's language, which its first line tells; true: it was told. */
bool foreign_file_tell(struct schema_report *report, struct schema_source *source) MUST_CHECK;
/* What probably made the reader stumble at this place; true: it was told. */
bool mistake_tell(struct schema_report *report, struct schema_place place) MUST_CHECK;
/* A key in the line of the place with `=` behind it, or no blank behind its colon; true: it was told. */
bool separator_tell(struct schema_report *report, struct schema_place key) MUST_CHECK;
/* The same of the key above the place, indented as its line is. */
bool separator_tell_above(struct schema_report *report, struct schema_place place) MUST_CHECK;

struct schema_place node_place(const struct node *node);
bool node_is_null(const struct node *node);
struct node *node_get(const struct node *map, const char *key);
/* schema_document.c: reads one file as a tree, its includes not followed; NULL after an error. `from`: the
 * value that names it, or NULL. */
struct node *document_read_file(struct schema_document *document, const char *path, const struct node *from);
/* Of keys given twice the first stays, and the others are told. `caseless`: names without case. */
void duplicates_drop(struct schema_document *document, struct node *map, bool caseless);
/* schema_include.c: merges what `include:` of the root names into it. `path` of the main file, NULL when
 * there is none.
 */
void document_include(struct schema_document *document, const char *path);
/* The variable stands for a value that is not judged. */
void document_unjudged_note(struct schema_document *document, struct span name);
/* schema_place.c */
void place_add(struct schema_document *document, const void *address, bool is_section, const struct node *key,
               const struct node *value);
/* Where a variable of the environment stands that brought this field, text or section; NULL: none did. */
const struct node *place_variable(const struct schema_document *document, const void *address,
                                  bool is_section);
bool node_has_variable(const struct node *node) MUST_CHECK;
/* something in it was refused; it has a place */
void place_break(struct schema_document *document, const void *section);
struct places *places_new(void);
void places_free(struct places *places);

#endif
