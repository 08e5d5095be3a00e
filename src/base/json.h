/* Writes JSON into a text: keeps commas and nesting right, escapes strings (RFC 8259; invalid UTF-8 becomes
 * \ufffd). */
#ifndef WEIR_BASE_JSON_H
#define WEIR_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/span.h"
#include "base/text.h"

struct json {
    struct text *to;
    unsigned depth;
    bool comma[32]; /* by depth: a value was written already */
    bool after_key;
};

void json_begin(struct json *json, struct text *to);
void json_object(struct json *json);
void json_array(struct json *json);
void json_end_object(struct json *json);
void json_end_array(struct json *json);
void json_key(struct json *json, const char *key);
void json_string(struct json *json, struct span value);
void json_number(struct json *json, int64_t value);
void json_decimal(struct json *json, double value); /* up to 6 digits, no exponent */
void json_bool(struct json *json, bool value);
void json_null(struct json *json);
void json_text_string(struct text *to, struct span value); /* one quoted string, no bookkeeping */

#endif
