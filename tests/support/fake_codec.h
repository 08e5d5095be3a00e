/*
 * A codec of one byte a message for tests of the upstream side: a request is sent as "q"; the server answers "k" (and
 * keeps the connection) or "c" (and the codec closes it). Stands in for http_conn_new() and its like.
 */
#ifndef WEIR_TESTS_FAKE_CODEC_H
#define WEIR_TESTS_FAKE_CODEC_H

struct stream;

extern int fake_codec_hint; /* what http_conn_keep_alive_hint() says */
/* Ends the stream well without an answer, in a task: for tests that need no server to talk to. */
void fake_stream_finish(struct stream *stream);

#endif
