/*
 * The border: a request as a client's connection hands it over, read from text by the codec's own parser, and
 * what becomes of it in the order in which an exchange does it: who the client is, what is dropped, the
 * target, what servers are told. For the tests of what stands between.
 */
#ifndef WEIR_TESTS_PROXY_BORDER_FIXTURE_H
#define WEIR_TESTS_PROXY_BORDER_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "http/exchange.h"
#include "http/h1_parse.h"
#include "http/stream.h"
#include "http/target.h"
#include "net/loop.h"
#include "proxy/client_chain.h"
#include "proxy/forwarded.h"
#include "proxy_fixture.h"

#define BORDER_ARENA ((size_t)256 << 10)

struct border {
    struct shared_state *shared;
    struct snapshot *snapshot;
    struct loop *loop;
    struct exchange x;      /* of the last request */
    struct stream upstream; /* to the server that answers it */
    char seen[8192];        /* what border_seen() has printed last */
};

/* `keys` of the file, such as trusted_proxies; everything goes to one pool. */
static inline void border_open(struct border *border, const char *keys)
{
    char file[2048];
    snprintf(file, sizeof file,
             "listeners: [ \"127.0.0.1:21180\" ]\n%s\nroutes: [ { pool: app } ]\n"
             "pools: { app: { servers: [127.0.0.1:1] } }\n",
             keys);
    memset(border, 0, sizeof *border);
    border->shared = shared_state_new();
    border->snapshot = fixture_snapshot(file, border->shared);
    border->loop = loop_new();
}

static inline void border_close(struct border *border)
{
    arena_free(border->x.arena);
    loop_free(border->loop);
    snapshot_release(border->snapshot);
    shared_state_free(border->shared);
}

static inline struct span border_bytes(struct border *border, const char *start, const char *fields)
{
    struct span bytes = arena_print(border->x.arena, "%s\r\n%s\r\n", start, fields);
    struct h1_scan scan = {.at = 0};
    size_t length = 0;
    assert_int_equal(h1_scan(&scan, bytes, &length), H1_DONE);
    assert_int_equal(length, bytes.length);
    return bytes;
}

/* The request as it came. peer: an address, or "unix". fields: lines, each with its CRLF. */
static inline void border_receive_line(struct border *border, const char *peer, const char *start,
                                       const char *fields)
{
    struct exchange *x = &border->x;
    struct head_check check;
    arena_free(x->arena);
    *x = (struct exchange){.arena = arena_new(BORDER_ARENA), .loop = border->loop};
    if (strcmp(peer, "unix") == 0)
        x->peer.family = AF_UNIX;
    else
        assert_true(ip_address_parse(&x->peer, span_of(peer)));
    struct span bytes = border_bytes(border, start, fields);
    assert_int_equal(
        h1_parse_request(bytes, &border->snapshot->config->limits, x->arena, &x->request, &check),
        FAILURE_NONE);
}

static inline void border_receive(struct border *border, const char *peer, const char *fields)
{
    char all[4096];
    snprintf(all, sizeof all, "Host: shop.test\r\n%s", fields);
    border_receive_line(border, peer, "GET /a HTTP/1.1", all);
}

/* Up to where routes look at it. What came by TLS: x.tls and x.https are set before. */
static inline enum failure border_enter(struct border *border)
{
    struct exchange *x = &border->x;
    client_chain_find(x, border->snapshot);
    enum failure why = forwarded_strip(&x->request, x->peer_trusted ? CLAIMS_KEPT : CLAIMS_DROPPED, x->arena);
    if (why != FAILURE_NONE)
        return why;
    assert_int_equal(target_prepare_head(&x->target, &x->request, x->arena), FAILURE_NONE);
    x->request.line.request.authority = x->target.authority;
    return FAILURE_NONE;
}

/* A request up to where routes look at it. */
static inline void border_take(struct border *border, const char *peer, const char *fields)
{
    border_receive(border, peer, fields);
    assert_int_equal(border_enter(border), FAILURE_NONE);
}

#define TELL_ALL                                                                                    \
    (FORWARDING_FOR | FORWARDING_PROTO | FORWARDING_HOST | FORWARDING_PORT | FORWARDING_FORWARDED | \
     FORWARDING_VIA | FORWARDING_REAL_IP)

/* The same up to what servers are told. */
static inline void border_forward(struct border *border, const char *peer, const char *fields)
{
    border_take(border, peer, fields);
    assert_true(forwarded_add(&border->x, TELL_ALL));
}

/* A server's response, as it came. */
static inline void border_answer(struct border *border, const char *fields)
{
    struct exchange *x = &border->x;
    struct head_check check;
    struct span bytes = border_bytes(border, "HTTP/1.1 200 OK", fields);
    assert_int_equal(
        h1_parse_response(bytes, &border->snapshot->config->limits, x->arena, &x->response, &check),
        FAILURE_NONE);
    x->upstream = &border->upstream;
}

/* The values of all fields of a name, with " | " between two of them; "(none)". */
static inline const char *border_seen(struct border *border, const struct fields *fields, const char *name)
{
    struct text text = text_over(border->seen, sizeof border->seen);
    unsigned count = 0;
    for (uint16_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (!span_equal_nocase(field->name, span_of(name)))
            continue;
        text_print(&text, "%s%.*s", count++ != 0 ? " | " : "", (int)field->value.length, field->value.at);
    }
    if (count == 0)
        text_add(&text, SPAN("(none)"));
    text_char(&text, '\0');
    assert_false(text.cut);
    return border->seen;
}

/* Their names, in their order, with a blank between two of them. */
static inline const char *border_names(struct border *border, const struct fields *fields)
{
    struct text text = text_over(border->seen, sizeof border->seen);
    for (uint16_t i = 0; i < fields->count; i++)
        text_print(&text, "%s%.*s", i != 0 ? " " : "", (int)fields->items[i].name.length,
                   fields->items[i].name.at);
    text_char(&text, '\0');
    return border->seen;
}

#define assert_told(border, name, expected) \
    assert_string_equal(border_seen(border, &(border)->x.request.fields, name), expected)
#define assert_answered(border, name, expected) \
    assert_string_equal(border_seen(border, &(border)->x.response.fields, name), expected)

#endif
