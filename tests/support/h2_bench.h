/*
 * One HTTP/2 http_conn over http_bench's loop and socket pair, with any number of streams. The peer's frames
 * are made by hand, so that they may be wrong; what the codec sends is read back as text, a word a frame, and
 * what it tells is written down as in http_bench, with the number of the stream behind the event.
 */
#ifndef WEIR_TESTS_H2_BENCH_H
#define WEIR_TESTS_H2_BENCH_H

#include <nghttp2/nghttp2.h>
#include <stdarg.h>

#include "support/http_bench.h"

#define H2_BENCH_STREAMS 512u

struct h2_bench;
struct h2_bench_stream {
    struct h2_bench *bench;
    struct stream *stream; /* NULL after closed() */
    struct arena *arena;
    unsigned number; /* from 1, as they were opened */
    size_t body_bytes;
};
struct h2_bench {
    struct http_bench http; /* its first member; stream, arena and body_bytes stay empty */
    struct h2_bench_stream streams[H2_BENCH_STREAMS + 1];
    unsigned opened;
    unsigned in_body; /* the stream whose body was the last event; 0: none */
    nghttp2_hd_inflater *inflater;
    struct text output; /* of the codec, not looked at yet */
    void (*on_head)(struct h2_bench *bench, unsigned number);
};
/* Frames of the peer. */
struct h2_frames {
    char bytes[1 << 18];
    size_t length;
};

/* The connection's first frames are exchanged; change limits and timeouts, then h2_bench_again(). */
void h2_bench_begin(struct h2_bench *bench, enum http_role role);
void h2_bench_again(struct h2_bench *bench, enum http_role role);
/* The same, but the peer has said nothing yet. */
void h2_bench_again_silent(struct h2_bench *bench, enum http_role role);
void h2_bench_end(struct h2_bench *bench);

void h2_frame(struct h2_frames *frames, uint8_t type, uint8_t flags, int32_t id, const void *payload,
              size_t length);
/* WINDOW_UPDATE, RST_STREAM */
void h2_frame_number(struct h2_frames *frames, uint8_t type, int32_t id, uint32_t number);
void h2_frame_goaway(struct h2_frames *frames, int32_t last, uint32_t code);
void h2_frame_setting(struct h2_frames *frames, uint16_t name, uint32_t value);
void h2_frame_data(struct h2_frames *frames, int32_t id, const char *text, bool last);
void h2_frame_bytes(struct h2_frames *frames, int32_t id, size_t length, bool last); /* DATA of one size */
#define H2_END NGHTTP2_FLAG_END_STREAM
/* A whole head; names and values follow, then NULL. */
void h2_frame_head(struct h2_frames *frames, int32_t id, int flags, ...);
/* the same from a table */
void h2_frame_names(struct h2_frames *frames, int32_t id, uint8_t flags, const char *const *names);
/* GET /x of a.test; what follows are further fields. */
#define h2_frame_get(frames, id, ...)                                                                       \
    h2_frame_head(frames, id, H2_END, ":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", \
                  "/x", __VA_ARGS__)
#define h2_frame_post(frames, id, ...)                                                                  \
    h2_frame_head(frames, id, 0, ":method", "POST", ":scheme", "http", ":authority", "a.test", ":path", \
                  "/x", __VA_ARGS__)
/* A header block alone, for frames that are put together by hand; returns its length. */
size_t h2_block(char *to, size_t room, ...);

/* Sends and empties. */
void h2_peer_sends(struct h2_bench *bench, struct h2_frames *frames);
/* The frames that came since the last look, as "HEADERS1{:status=200}:end DATA1:5 RST1:8 GOAWAY:1:0
 * WINDOW1:100 PING SETTINGS:ack", then <end> or <reset>. */
const char *h2_peer_reads(struct h2_bench *bench);
#define expect_told(bench, text) h2_bench_expect_told(bench, text, __FILE__, __LINE__)
void h2_bench_expect_told(struct h2_bench *bench, const char *text, const char *file, int line);
#define expect_frames(bench, text) h2_bench_expect_frames(bench, text, __FILE__, __LINE__)
void h2_bench_expect_frames(struct h2_bench *bench, const char *text, const char *file, int line);
/* Turns until the words come in what is told, or fails; forgets what was told. */
#define wait_told(bench, words) h2_bench_wait_told(bench, words, __FILE__, __LINE__)
void h2_bench_wait_told(struct h2_bench *bench, const char *words, const char *file, int line);

/* Calls down. */
void h2_call_response(struct h2_bench *bench, unsigned number, unsigned status, int64_t length, bool last);
void h2_call_body(struct h2_bench *bench, unsigned number, size_t length, bool last); /* of 'x' */
void h2_call_text(struct h2_bench *bench, unsigned number, const char *text, bool last);
void h2_call_trailers(struct h2_bench *bench, unsigned number, const char *name, const char *value);
void h2_call_credit(struct h2_bench *bench, unsigned number, size_t bytes);
void h2_call_reset(struct h2_bench *bench, unsigned number, enum failure why);
/* Client role: opens a stream and sends `METHOD /x`; returns its number. upgrade: NULL or the protocol. */
unsigned h2_call_request(struct h2_bench *bench, const char *method, int64_t length, bool last,
                         const char *upgrade);
unsigned h2_call_open(struct h2_bench *bench);

#endif
