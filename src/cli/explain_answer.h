/* How weir explain tells: lines for people, values for programs. */
#ifndef WEIR_CLI_EXPLAIN_ANSWER_H
#define WEIR_CLI_EXPLAIN_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/text.h"
#include "http/failure.h"

struct exchange;
struct plan;
struct timeouts_config;

#define SKIPPED_MOST \
    20u /* routes told before the one that serves, and servers of a pool; people read no more */

/* Lines for people, or one object for programs. */
struct answer_text {
    struct text text;
    struct json json;
    bool as_json;
    bool bridged; /* the route makes gRPC of gRPC-Web, failures too */
};
struct told_pair {
    const char *key, *value, *second_key, *second;
};
/* A key and its text, for both. */
void explain_tell(struct answer_text *out, const char *key, const char *value);
/* An object in a list for programs, "value: second" for people. */
void explain_tell_pair(struct answer_text *out, const char *what, struct told_pair pair);
/* The answer of a request that fails. */
void explain_tell_failure(struct answer_text *out, const struct exchange *x, enum failure why);
/* All that the route says of the request, which its filters may change. True: it is served. */
bool explain_tell_plan(struct answer_text *out, const struct plan *plan, struct exchange *x,
                       const struct timeouts_config *timeouts);
/* What only programs get; people read it in a line. */
void explain_note(struct answer_text *out, const char *key, uint64_t value);
void explain_note_text(struct answer_text *out, const char *key, const char *value);
void explain_note_bool(struct answer_text *out, const char *key, bool value);

#endif
