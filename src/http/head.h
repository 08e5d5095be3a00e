/* The start line and fields of a request or a response, the same for HTTP/1 and HTTP/2. Spans point into the
 * stream's arena. */
#ifndef WEIR_HTTP_HEAD_H
#define WEIR_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/span.h"
#include "http/field_table.h"

struct arena;
struct limits_config;

enum method {
    METHOD_OTHER,
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_CONNECT,
    METHOD_OPTIONS,
    METHOD_PATCH,
    METHOD_TRACE
};
struct field {
    struct span name, value; /* the name keeps its case as received; the value is trimmed */
    uint16_t id;             /* enum field_id */
    bool never_indexed;      /* so its sender has it on every hop (RFC 7541 6.2.3) */
};
struct fields {
    struct field *items;
    uint16_t count, room;
};
/* Those that Connection names: they go no further, behind the body either. */
struct field_names {
    unsigned count;
    struct span items[];
};
enum { BODY_NONE = 0, BODY_OF_UNKNOWN_LENGTH = -1 };
/*
 * Framing belongs to the codec: a received head has no Content-Length and no Transfer-Encoding among its
 * fields (body_length tells), and a head that is sent gets them from body_length. Of a response to HEAD and
 * of a 304, body_length is what Content-Length said (with length_given), and the head comes with last = true.
 */
struct head {
    union {
        struct {
            enum method method;
            struct span method_name;
            struct span scheme; /* of an absolute-form target, lower case; empty otherwise */
            /* from Host or the absolute form, as received, with the port; Host is also removed from the
             * fields: the codec writes it first from here */
            struct span authority;
            /* of the authority, where that is its own normal form, as nearly all are: the length of the host,
             * and the port; 0: http/target.c has to look */
            uint32_t host_length;
            uint16_t port;
            struct span path;  /* as received, beginning with '/', or "*" */
            struct span query; /* without '?'; at == NULL: there is none ("/x?" has an empty one) */
        } request;
        struct {
            uint16_t status;
            struct span reason;
        } response;
    } line;
    struct fields fields;
    /* set by forwarded_strip(); NULL: none. In the arena */
    const struct field_names *named;
    int64_t body_length;     /* bytes, or BODY_OF_UNKNOWN_LENGTH */
    bool length_given;       /* the peer said Content-Length */
    struct span length_text; /* as a number is written; empty: none was given */
    /* to be sent: say Connection: close and end the connection after this message (server role) */
    bool close;
    /* request with Expect: 100-continue (HTTP/1.1 and up; the field stays among the fields) */
    bool expect_continue;
    bool accepts_trailers;   /* request with TE: trailers (TE itself is hop by hop) */
    bool announces_trailers; /* with Trailer, which goes on only where trailers can */
    bool has_date;           /* response */
    /* request: Authorization came, or a filter may have set it: only then is it looked for */
    bool has_credentials;
    uint8_t minor_version; /* of HTTP/1: 0 or 1; received heads only */
    /* received: value of Upgrade when Connection names it, HTTP/1.1. To be sent: the protocol of an Upgrade;
     * empty otherwise */
    struct span upgrade;
};
/*
 * What the arena of one exchange may hold, so that no head within its own limit ever finds it full: of the
 * request what came and what is made of it, of a few responses likewise, their trailers and fields; and what
 * the owner and its edits need besides.
 */
size_t head_arena_most(const struct limits_config *limits);
bool fields_grow(struct fields *fields, struct arena *arena) MUST_CHECK; /* internal to fields_add() */
/* false: arena cap */
MUST_CHECK static inline bool fields_add(struct fields *fields, struct arena *arena, struct span name,
                                         struct span value, uint16_t id)
{
    if (fields->count == fields->room && !fields_grow(fields, arena))
        return false;
    fields->items[fields->count++] = (struct field){.name = name, .value = value, .id = id};
    return true;
}
struct field *fields_find(const struct fields *fields, uint16_t id); /* the first */
/* the first, without case */
struct field *fields_find_name(const struct fields *fields, struct span name);
/* What the request says under a name: the first such field, or what is kept of one elsewhere in the head, in
 * the form in which it is forwarded (Content-Length, TE, Upgrade). at == NULL: nothing. */
struct span head_field(const struct head *request, struct span name);
/* The same where others are, or were, its fields. */
struct span head_field_among(const struct head *request, const struct fields *fields, struct span name);
/* Of the latter; false: it is a field as others are. */
bool head_keeps(const struct head *request, uint16_t id, struct span *value);
/* the next with the same name */
struct field *fields_next(const struct fields *fields, const struct field *after);
unsigned fields_remove(struct fields *fields, uint16_t id); /* all; order of the rest is kept */
unsigned fields_remove_name(struct fields *fields, struct span name);
/* Those as well that servers which fold names together read as this one: "x_a" is "X-A" to CGI. */
void fields_remove_folded(struct fields *fields, struct span name);
bool names_fold_together(struct span a, struct span b);
/* perfect hash over FIELDS, without case */
uint16_t field_id(struct span name);
/* canonical names to send, e.g. "X-Forwarded-For" */
extern const struct span field_names[FIELD_ID_COUNT];
bool field_is_hop(uint16_t id);
bool field_may_trail(uint16_t id); /* in trailers; else of heads, or hop by hop */
enum method method_of(struct span name);
/* It is a registered method but for its case. */
bool method_is_misspelt(struct span name);
/* RFC 9110 9.2.2: GET HEAD OPTIONS TRACE PUT DELETE */
bool method_is_idempotent(enum method method);
struct span status_reason(unsigned status); /* standard phrase, or empty */
/* Copies the head so that all spans live in `arena`; false at its cap. */
/* all of them with their bytes, added to `to` */
bool fields_copy(struct fields *to, const struct fields *from, struct arena *arena) MUST_CHECK;
bool head_copy(struct head *to, const struct head *from, bool request, struct arena *arena) MUST_CHECK;

#endif
