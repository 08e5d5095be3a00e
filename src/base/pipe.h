/*
 * Counted pipes of the kernel, and the per-thread pool they come from: bytes that go from one socket to
 * another without being copied through memory. Such bytes are slices of a buf like others (buf_add_pipe()),
 * but can't be looked at. A pipe is used by one socket to fill and, in the order of filling, by one to drain.
 */
#ifndef WEIR_BASE_PIPE_H
#define WEIR_BASE_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"

#define PIPE_ROOM (1u << 20) /* bytes; what a process without privileges may ask for */

struct pipe {
    struct pipe *next; /* while free */
    uint32_t count;    /* references: the transport that fills it and each slice */
    int read_end, write_end;
    size_t inside; /* bytes in it */
    /* of them: those that slices stand for; less than inside when slices were dropped, and then nothing is
     * drained any more */
    size_t wanted;
    uint64_t left; /* bytes that the owner lets in yet */
};

/* An empty pipe with count 1, or NULL: too many are out in this thread, or the kernel gives none that is
 * large enough. */
struct pipe *pipe_take(void) MUST_CHECK;
void pipe_release(struct pipe *pipe);
static inline struct pipe *pipe_share(struct pipe *pipe)
{
    pipe->count++;
    return pipe;
}
/* As read() and write() of the descriptor, through the pipe. What was filled has to be added to a buf. more:
 * the message goes on behind these bytes. */
ssize_t pipe_fill(struct pipe *pipe, int from, size_t most) MUST_CHECK;
ssize_t pipe_drain(struct pipe *pipe, int to, size_t most, bool more) MUST_CHECK;
/* Closes the free pipes (all but `keep`) of this thread. */
void pipe_pool_trim(size_t keep);

#endif
