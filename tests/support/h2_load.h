/* What both sides of tests/integration/crossings share (h2_load.c, h2_load_origin.c): connections on one
 * epoll, and bodies whose every byte both know. */
#ifndef WEIR_TESTS_SUPPORT_H2_LOAD_H
#define WEIR_TESTS_SUPPORT_H2_LOAD_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BODY_MOST (1u << 20)
#define SEEDS 65536u

/* A request says in its target what it is: /ID?u=UP&d=DOWN&s=SEED&l=LENGTH&w=WAIT */
struct plan {
    unsigned id, up, down, seed;
    bool length;   /* the response: with Content-Length; else with trailers */
    unsigned wait; /* ms: the server pauses so long in reading the request */
};
/* One body on its way. */
struct body {
    const uint8_t *bytes;
    size_t size, at;
};
struct bytes {
    uint8_t *at;
    size_t length, room;
};
/* A connection of either version; the rest belongs to who embeds it. */
struct link {
    int fd;
    bool two, ended, dead; /* ended: the peer's EOF came */
    bool deaf;             /* reads nothing until it is woken */
    uint32_t watched;      /* epoll events */
    struct bytes in, out;
    nghttp2_session *session;
};

void load_prepare(void);
const uint8_t *load_content(unsigned seed);
/* false: other bytes, or too many */
bool load_verify(struct body *body, const uint8_t *bytes, size_t length);
uint64_t load_now(void); /* ms */
_Noreturn void load_die(const char *what);
unsigned load_number(const char *text, char key, unsigned otherwise); /* of a query */
bool plan_parse(struct plan *plan, const char *target);

void bytes_add(struct bytes *bytes, const void *at, size_t length);
void bytes_print(struct bytes *bytes, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bytes_drop(struct bytes *bytes, size_t length);
/* The head in front, up to and with its empty line; 0: not whole yet. It is made a string, in place. */
size_t bytes_head(struct bytes *bytes);
const char *head_field(const char *head, const char *name); /* its value, or NULL; ends at the line's end */

/* A chunked body being read: chunk_take() gives what may be taken of `bytes` as body; at the end *last. */
struct chunked {
    size_t left;   /* of the chunk */
    int state;     /* of load_common.c */
    bool trailers; /* there was one */
};
/* false: wrong bytes */
bool chunked_take(struct chunked *chunked, struct bytes *bytes, struct body *body, bool *last);

void link_watch(int epoll, struct link *link, void *owner);
bool link_read(struct link *link);  /* false: the connection is dead */
bool link_write(struct link *link); /* flushes; for HTTP/2 makes frames first; false: dead */
void link_free(struct link *link);

int origin_main(int argc, char **argv);

#endif
