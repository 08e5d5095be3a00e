/*
 * One http_conn over a real loop and a socket pair whose other end is the test. What the codec tells is
 * written down, one word or two an event, so that a test compares it with what it expects; an event from
 * inside a call fails the test (turn rules).
 */
#ifndef WEIR_TESTS_HTTP_BENCH_H
#define WEIR_TESTS_HTTP_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "config/config.h"
#include "http/head.h"
#include "http/http_conn.h"
#include "http/stream.h"
#include "net/loop.h"

struct http_bench {
    struct loop *loop;
    struct watch *turns; /* an always ready descriptor: counts turns */
    int turns_fd;
    unsigned turns_left;
    int peer; /* the test's end; -1: closed */
    struct limits_config limits;
    struct timeouts_config timeouts;
    struct http_settings settings;
    enum http_version version;
    const struct http_conn_events *conn_events; /* whose owner is the bench */
    struct http_conn *conn;                     /* NULL after closed() */
    struct stream *stream;                      /* NULL after closed() */
    struct arena *arena;                        /* of the stream, until it closes */
    struct text log;                            /* events, since the last look */
    bool in_call;                               /* a call into the codec is on: nothing may come up */
    bool any_sent;                              /* of the stream that closed last */
    bool hold;                                  /* body bytes are not credited by themselves */
    size_t body_bytes;                          /* received as body */
    size_t window;                              /* of streams that open */
    void (*on_head)(struct http_bench *bench);  /* called in head(); NULL: nothing */
};

void http_bench_begin(struct http_bench *bench, enum http_role role); /* HTTP/1 */
/* The same with a listener of its own, which sets conn to NULL in closed(). */
void http_bench_begin_as(struct http_bench *bench, enum http_role role, enum http_version version,
                         const struct http_conn_events *events);
/* The conn is made anew over a new pair: for settings that were changed after begin. */
void http_bench_again(struct http_bench *bench, enum http_role role);
void http_bench_end(struct http_bench *bench);
void http_bench_turns(struct http_bench *bench, unsigned turns);
void http_bench_wait(struct http_bench *bench, unsigned milliseconds);
/* The peer sends, and the loop turns a few times. */
void peer_sends(struct http_bench *bench, const char *text);
void peer_sends_bytes(struct http_bench *bench, const char *bytes, size_t length);
void peer_ends(struct http_bench *bench);
/* All that has come for the peer, as text; "<end>" is added at EOF, "<reset>" at a reset. Valid until the
 * next call. */
const char *peer_reads(struct http_bench *bench);
/* What was told since the last look must be this; empties it. */
#define expect_events(bench, text) http_bench_expect(bench, text, __FILE__, __LINE__)
void http_bench_expect(struct http_bench *bench, const char *text, const char *file, int line);
#define expect_output(bench, text) http_bench_expect_output(bench, text, __FILE__, __LINE__)
void http_bench_expect_output(struct http_bench *bench, const char *text, const char *file, int line);

/* Calls down, each checked for coming back without an event. */
/* length -1: unknown */
void call_response(struct http_bench *bench, unsigned status, int64_t length, bool last);
void call_head(struct http_bench *bench, const struct head *head, bool last);
void call_body(struct http_bench *bench, const char *text, bool last);
void call_trailers(struct http_bench *bench, const char *name, const char *value);
void call_credit(struct http_bench *bench, size_t bytes);
void call_reset(struct http_bench *bench, enum failure why);
void http_bench_open(struct http_bench *bench); /* client role */
/* Client role: opens a stream and sends `METHOD /x` with Host a.test. */
void call_request(struct http_bench *bench, const char *method, int64_t length, bool last);

#endif
