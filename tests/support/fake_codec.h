/*
 * A codec of one byte a message for tests of the upstream side: a request is sent as "q"; the server answers
 * "k" (and keeps the connection) or "c" (and the codec closes it). Stands in for http_conn_new() and its
 * like. As HTTP/2 it has several streams, of which "k" answers the oldest, "r" refuses it, "s" stands for
 * SETTINGS and "g" for a GOAWAY.
 */
#ifndef WEIR_TESTS_FAKE_CODEC_H
#define WEIR_TESTS_FAKE_CODEC_H

struct stream;

extern int fake_codec_hint;         /* what http_conn_keep_alive_hint() says */
extern unsigned fake_codec_streams; /* of an HTTP/2 connection, once its server has said "s"; 100 before */
/* Ends the stream well without an answer, in a task: for tests that need no server to talk to. */
void fake_stream_finish(struct stream *stream);

#endif
