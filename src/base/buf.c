/*
 * Queues of slices. A slice extends its block only while nobody else holds that block and nothing was handed
 * out behind the slice. A reservation belongs to the thread and ends with the next buf_commit(): an idle buf
 * holds no block for it.
 */
#include "base/buf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/pipe.h"
#include "base/pooling.h"

#define SLICES_KEPT 1024u

static _Thread_local struct slice *slice_free_list;
static _Thread_local size_t slice_free_count;

static _Thread_local struct {
    struct buf *of;
    struct slice *slice; /* new, with a block; NULL: the last slice's block is extended */
} buf_reserved;

static inline struct slice *slice_take(void)
{
    struct slice *slice = slice_free_list;
    if (slice == NULL)
        return malloc(sizeof *slice);
    slice_free_list = slice->next;
    slice_free_count--;
    return slice;
}

static void slice_leave_pipe(struct slice *slice)
{
    slice->pipe->wanted -= slice->length;
    pipe_release(slice->pipe);
}

/* The first bytes have left. */
static inline void slice_skip(struct slice *slice, size_t length)
{
    if (slice->pipe == NULL)
        slice->at += length;
    else
        slice->pipe->wanted -= length;
    slice->length -= length;
}

static inline void slice_free(struct slice *slice)
{
    if (slice->block != NULL)
        block_release(slice->block);
    else if (slice->pipe != NULL)
        slice_leave_pipe(slice);
    if (!POOLING || slice_free_count >= SLICES_KEPT) {
        free(slice);
        return;
    }
    slice->next = slice_free_list;
    slice_free_list = slice;
    slice_free_count++;
}

static inline void buf_append(struct buf *buf, struct slice *slice)
{
    slice->next = NULL;
    if (buf->last != NULL)
        buf->last->next = slice;
    else
        buf->first = slice;
    buf->last = slice;
    buf->length += slice->length;
}

/* A slice over bytes whose block (or NULL) it is handed a reference of. */
static bool buf_append_bytes(struct buf *buf, struct block *block, char *at, size_t length)
{
    struct slice *slice = slice_take();
    if (slice == NULL)
        return false;
    slice->block = block;
    slice->pipe = NULL;
    slice->at = at;
    slice->length = length;
    buf_append(buf, slice);
    return true;
}

/* How many bytes may be written behind the last slice. */
static size_t buf_tail_room(const struct buf *buf)
{
    const struct slice *last = buf->last;
    if (last == NULL || last->block == NULL || last->block->count != 1)
        return 0;
    struct block *block = last->block;
    if (last->at + last->length != block->bytes + block->used)
        return 0;
    return block_is_lent(block) ? 0 : BLOCK_ROOM - block->used;
}

static void buf_extend_tail(struct buf *buf, const char *bytes, size_t length)
{
    struct slice *last = buf->last;
    memcpy(last->at + last->length, bytes, length);
    last->length += length;
    last->block->used += (uint32_t)length;
    buf->length += length;
}

/* Copies into new blocks; on failure what was copied is left for the caller to drop. */
static bool buf_copy_to_new(struct buf *buf, const char *bytes, size_t length)
{
    while (length > 0) {
        struct block *block = block_take();
        if (block == NULL)
            return false;
        size_t part = length < BLOCK_ROOM ? length : BLOCK_ROOM;
        if (!buf_append_bytes(buf, block, block->bytes, part)) {
            block_release(block);
            return false;
        }
        memcpy(block->bytes, bytes, part);
        block->used = (uint32_t)part;
        bytes += part;
        length -= part;
    }
    return true;
}

void buf_clear(struct buf *buf)
{
    struct slice *slice = buf->first;
    while (slice != NULL) {
        struct slice *next = slice->next;
        slice_free(slice);
        slice = next;
    }
    *buf = (struct buf){.first = NULL};
}

bool buf_add(struct buf *buf, const void *bytes, size_t length)
{
    if (length == 0)
        return true;
    const char *from = bytes;
    size_t room = buf_tail_room(buf);
    size_t part = length < room ? length : room;
    if (part < length) {
        struct buf rest = {.first = NULL};
        if (!buf_copy_to_new(&rest, from + part, length - part)) {
            buf_clear(&rest);
            return false;
        }
        if (part > 0)
            buf_extend_tail(buf, from, part);
        buf_move(buf, &rest);
        return true;
    }
    buf_extend_tail(buf, from, part);
    return true;
}

bool buf_add_span(struct buf *buf, struct span bytes)
{
    return buf_add(buf, bytes.at, bytes.length);
}

bool buf_add_block(struct buf *buf, struct block *block, char *at, size_t length)
{
    if (length == 0)
        return true;
    struct slice *last = buf->last;
    /* Bytes that follow on what is there need no slice of their own. */
    if (last != NULL && last->block == block && last->at + last->length == at) {
        last->length += length;
        buf->length += length;
        return true;
    }
    if (!buf_append_bytes(buf, block, at, length))
        return false;
    block_share(block);
    return true;
}

bool buf_add_constant(struct buf *buf, struct span bytes)
{
    /* Slices are only ever read from through a buf, so the constness is kept. */
    return bytes.length == 0 || buf_append_bytes(buf, NULL, (char *)(uintptr_t)bytes.at, bytes.length);
}

bool buf_add_pipe(struct buf *buf, struct pipe *pipe, size_t length)
{
    if (!buf_append_bytes(buf, NULL, NULL, length))
        return false;
    buf->last->pipe = pipe_share(pipe);
    pipe->wanted += length;
    return true;
}

void buf_move(struct buf *to, struct buf *from)
{
    if (from->first == NULL)
        return;
    if (to->last != NULL)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    to->length += from->length;
    *from = (struct buf){.first = NULL};
}

void buf_join(struct buf *to, struct buf *from)
{
    struct slice *last = to->last, *first = from->first;
    if (last == NULL || first == NULL || first->block == NULL || first->block != last->block ||
        last->at + last->length != first->at) {
        buf_move(to, from);
        return;
    }
    last->length += first->length;
    to->length += first->length;
    from->length -= first->length;
    from->first = first->next;
    if (from->first == NULL)
        from->last = NULL;
    slice_free(first);
    buf_move(to, from);
}

void buf_prepend(struct buf *to, struct buf *from)
{
    struct buf behind = *to;
    *to = *from;
    *from = (struct buf){.first = NULL};
    buf_move(to, &behind);
}

bool buf_move_some(struct buf *to, struct buf *from, size_t length)
{
    assert(length <= from->length);
    if (length == from->length) {
        buf_move(to, from);
        return true;
    }
    struct slice **link = &from->first;
    struct slice *before = NULL;
    size_t left = length;
    while (left >= (*link)->length) {
        left -= (*link)->length;
        before = *link;
        link = &before->next;
    }
    struct slice *split = *link; /* stays in from, without its first `left` bytes */
    if (left > 0) {
        struct slice *part = slice_take();
        if (part == NULL)
            return false;
        *part = *split;
        part->next = split;
        part->length = left;
        split->length -= left;
        if (part->block != NULL)
            block_share(part->block);
        if (part->pipe != NULL)
            pipe_share(part->pipe);
        else
            split->at += left;
        *link = part;
        before = part;
    }
    if (before == NULL)
        return true;
    struct buf head = {.first = from->first, .last = before, .length = length};
    before->next = NULL;
    from->first = split;
    from->length -= length;
    buf_move(to, &head);
    return true;
}

bool buf_pull(struct buf *to, struct buf *from, size_t length)
{
    struct slice *last = to->last, *first = from->first;
    if (last == NULL || first == NULL || last->block == NULL || first->block == NULL ||
        block_is_lent(last->block) || first->length < length)
        return false;
    const char *end =
        first->block == last->block ? first->at + length : last->block->bytes + last->block->used;
    char *at = last->at + last->length;
    if (end < at || (size_t)(end - at) < length)
        return false;
    memmove(at, first->at, length);
    last->length += length;
    to->length += length;
    buf_skip(from, length);
    return true;
}

bool buf_share(struct buf *to, const struct buf *from)
{
    struct buf shared = {.first = NULL};
    for (const struct slice *slice = from->first; slice != NULL; slice = slice->next) {
        assert(slice->pipe == NULL);
        if (slice->block != NULL ? !buf_add_block(&shared, slice->block, slice->at, slice->length)
                                 : !buf_append_bytes(&shared, NULL, slice->at, slice->length)) {
            buf_clear(&shared);
            return false;
        }
    }
    buf_move(to, &shared);
    return true;
}

void buf_skip(struct buf *buf, size_t length)
{
    assert(length <= buf->length);
    buf->length -= length;
    struct slice *slice = buf->first;
    while (slice != NULL && length >= slice->length) {
        struct slice *next = slice->next;
        length -= slice->length;
        slice_free(slice);
        slice = next;
    }
    buf->first = slice;
    if (slice == NULL) {
        buf->last = NULL;
        return;
    }
    slice_skip(slice, length);
}

size_t buf_peek(const struct buf *buf, void *to, size_t length)
{
    char *at = to;
    size_t left = length;
    for (const struct slice *slice = buf->first; slice != NULL && left > 0; slice = slice->next) {
        size_t part = slice->length < left ? slice->length : left;
        assert(slice->pipe == NULL);
        memcpy(at, slice->at, part);
        at += part;
        left -= part;
    }
    return length - left;
}

int buf_vectors(const struct buf *buf, struct iovec *vectors, int count)
{
    int filled = 0;
    for (const struct slice *slice = buf->first; slice != NULL && slice->pipe == NULL && filled < count;
         slice = slice->next)
        vectors[filled++] = (struct iovec){.iov_base = slice->at, .iov_len = slice->length};
    return filled;
}

size_t buf_held(const struct buf *buf)
{
    size_t held = 0;
    const struct block *before = NULL;
    for (const struct slice *slice = buf->first; slice != NULL; slice = slice->next) {
        if (slice->block != NULL && slice->block != before && !block_is_lent(slice->block))
            held += BLOCK_SIZE;
        before = slice->block;
    }
    return held;
}

size_t buf_kept(const struct buf *buf)
{
    return buf->length <= BLOCK_ROOM && buf->first == buf->last ? buf->length : buf_held(buf);
}

char *buf_reserve(struct buf *buf, size_t least, size_t *room)
{
    assert(least <= BLOCK_ROOM);
    if (buf_reserved.slice != NULL) { /* the one before was never committed */
        slice_free(buf_reserved.slice);
        buf_reserved.slice = NULL;
    }
    buf_reserved.of = buf;
    size_t tail = buf_tail_room(buf);
    if (tail != 0 && tail >= least) {
        *room = tail;
        return buf->last->at + buf->last->length;
    }
    struct slice *slice = slice_take();
    if (slice == NULL)
        return NULL;
    *slice = (struct slice){.block = block_take()};
    if (slice->block == NULL) {
        slice_free(slice);
        return NULL;
    }
    slice->at = slice->block->bytes;
    buf_reserved.slice = slice;
    *room = BLOCK_ROOM;
    return slice->at;
}

void buf_commit(struct buf *buf, size_t length)
{
    assert(buf_reserved.of == buf);
    struct slice *slice = buf_reserved.slice;
    buf_reserved.slice = NULL;
    buf_reserved.of = NULL;
    if (slice == NULL) {
        buf->last->length += length;
        buf->last->block->used += (uint32_t)length;
        buf->length += length;
        return;
    }
    if (length == 0) {
        slice_free(slice);
        return;
    }
    slice->block->used = (uint32_t)length;
    slice->length = length;
    buf_append(buf, slice);
}
