/*
 * A queue of slices of counted blocks: bytes on their way. Moving and sharing bytes between bufs copies
 * nothing. Slice nodes come from a per-thread free list. A `struct buf *` given to a send function is emptied
 * by it. A zeroed struct is an empty buf.
 */
#ifndef WEIR_BASE_BUF_H
#define WEIR_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/attributes.h"
#include "base/block.h"
#include "base/span.h"

struct pipe;

struct slice {
    struct slice *next;
    /* one reference; NULL: the bytes are constant and outlive everything, or lie in a pipe */
    struct block *block;
    struct pipe *pipe; /* one reference; NULL: the bytes are in memory */
    char *at;          /* NULL: in a pipe */
    size_t length;
};

struct buf {
    struct slice *first, *last;
    size_t length; /* of all slices together */
};

void buf_clear(struct buf *buf); /* drops all */
/* copies, filling the last block when it is this buf's alone; false: no block to be had, nothing was added */
bool buf_add(struct buf *buf, const void *bytes, size_t length) MUST_CHECK;
bool buf_add_span(struct buf *buf, struct span bytes) MUST_CHECK;
/* takes one reference of its own (block_share) */
bool buf_add_block(struct buf *buf, struct block *block, char *at, size_t length) MUST_CHECK;
bool buf_add_constant(struct buf *buf, struct span bytes) MUST_CHECK; /* no copy: bytes of static storage */
/* Bytes that were just filled into the pipe; takes a reference of its own. They may be moved, split and
 * dropped, and end in pipe_drain(); who would look at them or share them has to keep them out: their owner
 * says beforehand that it takes such bytes. */
bool buf_add_pipe(struct buf *buf, struct pipe *pipe, size_t length) MUST_CHECK;
void buf_move(struct buf *to, struct buf *from); /* appends all of from, which is empty after */
/* The same; a piece that follows on what is there needs no slice of its own, which takes more memory than a
 * small piece. For what may wait. */
void buf_join(struct buf *to, struct buf *from);
void buf_prepend(struct buf *to, struct buf *from); /* puts all of from before what is in to */
/* the first `length` bytes (splits a slice) */
bool buf_move_some(struct buf *to, struct buf *from, size_t length) MUST_CHECK;
/* The same by moving the bytes themselves behind the last of `to`, over bytes of its block that were in
 * `from` before and that nobody has any more: for what the owner alone has read in order, and small pieces,
 * which a slice each, and blocks with little in them, would outweigh. False: there is no such room. */
bool buf_pull(struct buf *to, struct buf *from, size_t length) MUST_CHECK;
bool buf_share(struct buf *to, const struct buf *from) MUST_CHECK; /* appends references to the same bytes */
void buf_skip(struct buf *buf, size_t length);                     /* drops the first bytes */
/* copies up to length bytes from the front; returns how many */
size_t buf_peek(const struct buf *buf, void *to, size_t length);
/* Fills up to `count` vectors from the front, as far as the bytes are in memory; returns how many were
 * filled. */
int buf_vectors(const struct buf *buf, struct iovec *vectors, int count);
/* Bytes of the pool's blocks that it refers to, though others may, too. */
size_t buf_held(const struct buf *buf);
/* The same, but where there is no more than a block takes its bytes count: they may be on their way through.
 */
size_t buf_kept(const struct buf *buf);
/* The bytes of the first slice. */
static inline struct span buf_front(const struct buf *buf)
{
    return buf->first != NULL ? span_make(buf->first->at, buf->first->length) : SPAN_NONE;
}
/* The pipe that the first bytes lie in; NULL: they are in memory. */
static inline struct pipe *buf_front_pipe(const struct buf *buf)
{
    return buf->first != NULL ? buf->first->pipe : NULL;
}
static inline bool buf_is_empty(const struct buf *buf)
{
    return buf->length == 0;
}
/* A place to write at: the unused tail of the last block when this buf may extend it, else of a new block.
 * *room gets its size (at least `least`, at most BLOCK_ROOM). NULL: no block. What was written is said with
 * buf_commit(). */
char *buf_reserve(struct buf *buf, size_t least, size_t *room) MUST_CHECK;
void buf_commit(struct buf *buf, size_t length);

#endif
