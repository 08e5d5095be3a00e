/* A head or trailers as they were received, over whichever version. */
#ifndef ORACLE_MESSAGE_H
#define ORACLE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "oracle/bytes.h"

#define MESSAGE_FIELDS_MOST 64u
#define LENGTH_UNKNOWN UINT64_MAX

struct field {
    struct span name, value;
};
struct message {
    struct span method, path, authority, scheme, protocol; /* of a request; .at NULL: there is none */
    unsigned status;                                       /* of an answer; 0: a request */
    unsigned minor;                                        /* HTTP/1.MINOR */
    bool http2;
    bool chunked;    /* HTTP/1 */
    uint64_t length; /* Content-Length, or LENGTH_UNKNOWN */
    unsigned count;
    struct field fields[MESSAGE_FIELDS_MOST];
};

bool span_is(struct span span, const char *text);
bool span_is_nocase(struct span span, const char *text);
/* All of it as digits; false: it is no such number. */
bool span_number(struct span span, uint64_t *number);
/* The value of the one field of that name; .at NULL: there is none, or there are several (*count). */
struct span message_field(const struct message *message, const char *name, unsigned *count);
/* Whether a field of that name lists the word. */
bool message_says(const struct message *message, const char *name, const char *word);
/* Reads the framing fields. NULL, or what is wrong with them. */
const char *message_framing(struct message *message);

#endif
