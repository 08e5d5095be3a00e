/* What neither a client nor a server should say. In the texts %i stands for the exchange, %a for the answer,
 * %h for the host, %m for the field that asks for a copy, %s for a whole request that nobody sends. */
#ifndef ORACLE_MALFORMED_H
#define ORACLE_MALFORMED_H

#include <stdbool.h>

#include "oracle/bytes.h"

struct plan;

/* Rows for the kind and version of that plan; 0: it is well-formed. */
unsigned malformed_rows(const struct plan *plan);
/*
 * The plan's request. HTTP/1: all of its bytes. HTTP/2: a line `name=value` for each field, after \1 the DATA
 * that follows, after \5 the lines of trailers; \2, \3 and \4 in a value stand for CR, LF and NUL.
 */
const char *malformed_request(const struct plan *plan);
/* Whether the length that it says comes before it is seen to be wrong: a server of HTTP/1 then has had a
 * whole request. */
bool malformed_may_look_whole(const struct plan *plan);
/* An answer in the same form. Row from 1. *late: only what follows the head is wrong. */
const char *malformed_answer(bool http2, unsigned row, bool *late);
/* Writes the text with what stands for its %. */
struct malformed_names {
    const char *id, *answer, *host, *mirror;
};
void malformed_print(struct bytes *to, const char *text, const struct malformed_names *names);

#endif
