/* The text of a value to what is stored, and back: numbers, units and words. */
#ifndef WEIR_SCHEMA_SCHEMA_VALUE_H
#define WEIR_SCHEMA_SCHEMA_VALUE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/span.h"
#include "schema/schema.h"

struct text;

/* Reads `value` as the row says and stores it at `to`; types of text are not stored here. False: the sentence
 * is in `error`. */
bool value_read(const struct schema_key *key, struct span value, const struct schema_alias *aliases, void *to,
                struct error *error) MUST_CHECK;
/* Stored as a uint64_t: whole numbers, sizes, durations and percents. */
bool value_is_number(const struct schema_key *key);
/* The word is a value of the key of that name. */
bool value_alias_is_of(const struct schema_alias *alias, const char *key);
/* The key may be left out and has no default of its own: what holds then is not a value of the row. */
bool value_may_lack(const struct schema_key *key);
/* Writes what is stored at `from` as it would be written in the file, without quotes; types of text are not
 * written here. */
void value_print(const struct schema_key *key, const void *from, struct text *to);
/* "1s to 1h", "0 to 1000", "http, https or tcp"; nothing when all is allowed. */
void value_range_print(const struct schema_key *key, struct text *to);
/* bool, int, duration, size, ..., list of names, section: for people. */
const char *value_type_name(const struct schema_key *key);
/* A number as the row's type is written: 1500 as 1500ms. */
void value_number_print(const struct schema_key *key, uint64_t number, struct text *to);
/* One of the choices of a list, or not. */
bool value_choice(const char *const *choices, struct span value, unsigned *which) MUST_CHECK;
/* The choice that was probably meant: ours for another product's word, or a small misspelling; NULL: none. */
const char *value_suggest(const char *const *choices, struct span value, const struct schema_alias *aliases,
                          const char *section);

#endif
