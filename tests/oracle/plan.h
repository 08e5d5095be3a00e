/* All that both ends are going to do in one exchange, drawn before it begins (grammar.c) from the seed and
 * its number. */
#ifndef ORACLE_PLAN_H
#define ORACLE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define NEVER UINT32_MAX
#define ANSWERS_MOST 2u
#define LIMIT_BYTES 3000u /* of a body where a route has a limit */

enum kind {
    KIND_PLAIN,
    KIND_UPGRADE,  /* GET with Upgrade, or extended CONNECT; over HTTP/1 of other protocols POST with a body,
                      too */
    KIND_CONNECT,  /* asks for a tunnel that weir does not give: the head never reaches a server */
    KIND_BAD_HEAD, /* malformed: the head never reaches a server */
    KIND_BAD_BODY, /* a good head and a malformed body: may reach a server, but never whole */
    KIND_COUNT
};
enum framing {
    FRAMING_NONE,    /* no body */
    FRAMING_LENGTH,  /* Content-Length */
    FRAMING_CHUNKED, /* chunks; over HTTP/2: DATA without a length */
    FRAMING_CLOSE    /* of HTTP/1 answers: until the connection ends */
};
enum cut_where {
    CUT_NOWHERE,
    CUT_REFUSED,    /* server, HTTP/2: REFUSED_STREAM, or above the last stream of a GOAWAY */
    CUT_UNANSWERED, /* client: once the request is sent; server: instead of an answer */
    CUT_IN_HEAD,    /* HTTP/1 */
    CUT_IN_BODY
};
/* Where a side gives up. */
struct cut {
    uint8_t where;      /* enum cut_where */
    bool late;          /* server: a moment after what came before it */
    bool reset;         /* HTTP/1: by RST instead of FIN; HTTP/2: the connection instead of the stream */
    uint32_t at;        /* bytes of the head or body before */
    uint32_t answer_at; /* client: bytes of the answer's body before; NEVER: its head is not waited for */
};
struct body_plan {
    uint8_t framing, flavour;
    uint8_t trailers;  /* harmless ones */
    bool bad_trailers; /* such as must not be passed on */
    bool odd;          /* HTTP/1: extensions, upper case, zeros; HTTP/2: padding, empty frames */
    uint32_t length;
    uint32_t piece; /* most bytes of a chunk or frame */
};
enum answer_begin { BEGIN_WHOLE, BEGIN_HEAD, BEGIN_MIDDLE };
enum answer_end {
    END_KEEP,
    END_CLOSE,  /* told by Connection: close; HTTP/2: GOAWAY */
    END_SILENT, /* the connection ends without a word */
    END_SURPLUS /* bytes behind the answer that nobody asked for */
};
enum goes {
    GOES_NOT,
    GOES_AT_ONCE, /* with the last stream that it serves */
    GOES_IN_TWO   /* with the last that there can be; with the real one when all are answered */
};
struct answer_plan {
    uint16_t status;
    uint16_t delay; /* ms */
    uint8_t begin, end;
    uint8_t interims; /* 103, and 102 */
    bool continues;   /* says 100 to those who wait for it */
    bool leaves;      /* takes no more of a request that it has answered early */
    bool holds;       /* ends its body only once the request is whole */
    uint8_t goes;     /* HTTP/2: GOAWAY comes with its head; enum goes */
    uint8_t bad;      /* malformed: a row of malformed_answer(); 0: none */
    uint16_t piece;   /* most bytes of one write; 0: no bound */
    uint32_t begin_at;
    struct body_plan body;
    struct cut cut;
};
enum tunnel_ends { ENDS_CLIENT, ENDS_SERVER, ENDS_BOTH };
struct tunnel_plan {
    bool accepted;
    bool hasty;       /* says 101 before the request is whole, which is no answer to it */
    uint8_t protocol; /* a row of `protocols` */
    uint8_t flavour;  /* of its bytes: enum flavour */
    uint8_t ends;     /* who ends first; the other when it has seen that */
    uint8_t cut;      /* 1: the client, 2: the server resets half-way */
    bool together;    /* the server's first bytes come with its head */
    uint32_t up, down;
    uint32_t early; /* bytes of the client that do not wait for the answer */
};
struct plan {
    bool http2_in, tls_in, http2_out, tls_out;
    uint8_t kind;    /* enum kind */
    uint8_t variant; /* a row of the malformed requests */
    uint8_t method;  /* a row of `methods` */
    bool old;        /* HTTP/1.0 */
    bool says_close, says_keep_alive, absolute, expects;
    bool waits;        /* for a 100 before the body */
    bool half_closes;  /* after the request */
    bool gives_up;     /* does not end a request that was answered early */
    bool asks_hedge;   /* its route asks a second server when the first is late */
    bool hedged;       /* and may do so for it */
    bool limited;      /* its route takes no body over LIMIT_BYTES */
    uint8_t mirror;    /* the pool that gets a copy, from 1; 0: none */
    uint16_t noise;    /* bytes of a field that means nothing */
    uint16_t piece;    /* HTTP/1: most bytes of one write; 0: no bound */
    uint32_t holds_at; /* byte of the body before which an answer is waited for */
    struct body_plan body;
    struct cut cut;
    struct answer_plan answers[ANSWERS_MOST]; /* the last is that of all later attempts */
    struct answer_plan copy;                  /* to what is sent once more */
    struct tunnel_plan tunnel;
};
struct method {
    const char *name;
    bool idempotent; /* by its definition (RFC 9110 9.2.2) and known to weir */
    uint16_t weight;
    uint16_t bodies; /* of a thousand have a body */
};
extern const struct method methods[];
/* That a request asks for; over HTTP/2 the first alone. */
#define PROTOCOLS 3u
extern const char *const protocols[PROTOCOLS];
#define PROTOCOL_WEBSOCKET_ROW 0u
#define METHOD_GET_ROW 0u
#define METHOD_HEAD_ROW 1u
#define METHOD_POST_ROW 2u

/* Which crossing, the caller has set. */
void plan_draw(struct plan *plan, uint64_t seed, uint64_t number);
static inline bool plan_is_head(const struct plan *plan)
{
    return plan->kind == KIND_PLAIN && plan->method == METHOD_HEAD_ROW;
}
/* Whether that answer has no body whatever its fields say (RFC 9112 6.3). */
static inline bool plan_is_bodiless(const struct plan *plan, const struct answer_plan *answer)
{
    return plan_is_head(plan) || answer->status == 204 || answer->status == 304;
}
/* Whether its body is larger than its route takes. */
static inline bool plan_is_over_limit(const struct plan *plan)
{
    return plan->limited && plan->body.length > LIMIT_BYTES;
}
/* Whether that answer has bytes of a body. */
bool plan_answer_has_body(const struct plan *plan, const struct answer_plan *answer);
#endif
