/*
 * HTTP/1 heads: pure functions over contiguous bytes. h1_scan() finds the end of a head and refuses forbidden
 * bytes as they come, at O(n) whatever the drip; the parsers then read the whole head. Spans of the head
 * point into the bytes.
 */
#ifndef WEIR_HTTP_H1_PARSE_H
#define WEIR_HTTP_H1_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/span.h"
#include "http/failure.h"
#include "http/head_check.h"

struct arena;
struct head;
struct limits_config;

enum h1_step { H1_MORE, H1_DONE, H1_FAILED };
/* Where scanning stands; zeroed at the first byte of a head. */
struct h1_scan {
    uint32_t at;         /* next byte to look at */
    uint32_t line;       /* first byte of its line */
    uint32_t first_line; /* length of the start line, once it is whole; 0 before */
    bool in_trailers;    /* a section of fields only: an empty first line ends it */
};
/* DONE: *length is the length of the head with its empty line. FAILED: a forbidden byte (bare CR or LF,
 * controls but HTAB). */
enum h1_step h1_scan(struct h1_scan *scan, struct span bytes, size_t *length) MUST_CHECK;
/* The next byte below 0x20 or equal to 0x7f, from `at` on; bytes.length when there is none. */
size_t h1_find_control(struct span bytes, size_t at);

/* A start line alone, while the rest is still to come. Behind it lies the CR that ended it. */
enum failure h1_check_request_line(struct span line) MUST_CHECK;
/* bytes: a whole head as h1_scan() found it. The check keeps what Connection said for the codec. */
enum failure h1_parse_request(struct span bytes, const struct limits_config *limits, struct arena *arena,
                              struct head *head, struct head_check *check) MUST_CHECK;
enum failure h1_parse_response(struct span bytes, const struct limits_config *limits, struct arena *arena,
                               struct head *head, struct head_check *check) MUST_CHECK;
/* A section of fields (trailers), with its empty line, held to what heads of requests or responses are. NONE,
 * or what a malformed field is. */
enum failure h1_parse_trailers(struct span bytes, bool request, const struct limits_config *limits,
                               struct arena *arena, struct fields *fields) MUST_CHECK;
bool h1_is_token_byte(unsigned char c);

#endif
