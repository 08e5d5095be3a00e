/* What the files that turn the tree into structs share. */
#ifndef WEIR_SCHEMA_SCHEMA_LOADER_H
#define WEIR_SCHEMA_SCHEMA_LOADER_H

#include "base/arena.h"
#include "schema/schema_document.h"

/* A struct of a schema with all defaults in place: every section starts as a copy of it. */
struct prototype {
    const struct schema *schema;
    void *bytes;
    uint64_t given; /* keys that a section of defaults gives, by row */
    struct prototype *next;
};
/* A name that must be found in a map of the root once all is read. */
struct reference {
    const struct schema_key *key;
    const char *name;
    const struct node *node;
};
struct loader {
    struct schema_document *document;
    struct schema_report *report;
    struct arena *arena; /* of what is made */
    const struct schema *root;
    const struct schema_alias *aliases;
    struct map *hints; /* by key: the rows of its values that have a hint, as a list */
    struct prototype *prototypes;
    struct reference *references;
    size_t references_count, references_room;
};
/* Where a section stands among others, for messages. */
struct context {
    const struct schema *schema;
    const char *name; /* NULL: has none */
    const struct context *up;
};

void *loader_get(struct loader *loader, size_t size);
/* schema_prototype.c */
struct prototype *prototype_of(struct loader *loader, const struct schema *schema);
/* schema_add_up.c: whether some key of the section adds to what an outer section says, and that */
bool section_adds_up(const struct schema *schema) MUST_CHECK;
void section_add_up(struct loader *loader, const struct schema *schema, const void *outer, void *section);
/* schema_text.c: a scalar as text with its variables filled in; false: the report says why. */
bool text_of(struct loader *loader, const struct schema_key *key, const struct node *node,
             enum schema_type type, struct span *value) MUST_CHECK;
/*
 * The values of a list with what variables stand for: where one item is nothing but a variable of the
 * environment, and what that holds cannot be a single value, it is the values between its commas and blanks.
 * The node itself when there is none.
 */
const struct node *list_expand(struct loader *loader, const struct schema_key *key, const struct node *node);
/* True: the value is a word of another product, and what to write instead is told. */
bool hint_tell(struct loader *loader, const struct schema_key *key, const struct node *node,
               struct span value) MUST_CHECK;
/*
 * True: nothing is left of a value since its variables are empty, and it is told which. Only texts that are
 * of use when empty may be emptied so: who reads the file can't see it, and a condition that is gone holds
 * for everybody.
 */
bool emptied_tell(struct loader *loader, const struct schema_key *key, const struct node *node,
                  struct span value) MUST_CHECK;
/* The same of an item of a list that is gone: what others are left is no matter, since a limit, a proxy or a
 * header to be removed would be missing among them. `${env.NAME:-}` says in the file itself that it may be.
 */
bool item_emptied_tell(struct loader *loader, const struct schema_key *key, const struct node *item,
                       bool among_others) MUST_CHECK;
/* What was refused has a character in it that only looks plain; true: that is told instead. */
bool lookalike_tell(struct loader *loader, const struct node *node, struct span value) MUST_CHECK;
/* The same, checked and stored as the row says: paths made absolute, references noted. NULL: the report says
 * why. */
const char *text_load(struct loader *loader, const struct schema_key *key, const struct node *node,
                      enum schema_type type) MUST_CHECK;
void texts_load(struct loader *loader, const struct schema_key *key, const struct node *node,
                struct texts *to);
/* Whether a check or a doubt of a row, NULL allowed, takes what a node holds. */
bool value_judge(bool (*judge)(struct span value, struct error *error), const struct node *node,
                 struct span value, struct error *error) MUST_CHECK;
/* Has fewer items than it must. */
void list_short_tell(struct loader *loader, const struct schema_key *key, const struct node *node);
void pairs_load(struct loader *loader, const struct schema_key *key, const struct node *node,
                struct name_values *to);
/* schema_unknown.c: what to say about keys and names that do not exist. */
/* What to write instead of a value of the section or key of that name; "{}": of a section. NULL: nothing is
 * known. */
const char *value_hint(const struct loader *loader, const char *name, struct span value);
/* A key of the section, or one that unknown_key_tell() has an answer for. */
bool key_is_explained(const struct loader *loader, const struct schema *schema, struct span word) MUST_CHECK;
/* A key of the section, or another word for one. */
bool key_is_ours(const struct loader *loader, const struct schema *schema, struct span word) MUST_CHECK;
/* `key:value` without its blank is read as one text: true: it was told. */
bool glued_key_tell(struct loader *loader, const struct schema *schema, const struct node *node) MUST_CHECK;
/* The key that was probably meant. */
const struct schema_key *unknown_key_tell(struct loader *loader, const struct context *context,
                                          const struct node *key);
/* Files those rows, so that each value costs one look-up. */
void hints_file(struct loader *loader);
void references_check(struct loader *loader, const void *root);
void context_print(const struct context *context, struct text *to);

#endif
