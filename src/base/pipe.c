/*
 * The pool is last in, first out, and small: a pipe is worth having only for large bodies, and what lies in
 * pipes is memory of the kernel, which has to be bounded. A pipe that comes back with bytes in it is closed.
 */
#include "base/pipe.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/descriptors.h"

#define PIPES_MOST 32u /* out at a time, of a thread: 32 MiB */
#define PIPES_KEPT 8u

static _Thread_local struct {
    struct pipe *free;
    size_t free_count, out;
} pipe_pool;

static void pipe_close(struct pipe *pipe)
{
    close(pipe->read_end);
    close(pipe->write_end);
    descriptors_give(2);
    free(pipe);
}

static struct pipe *pipe_make(void)
{
    int ends[2];
    if (!descriptors_take(COUNT_OF(ends)))
        return NULL;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        descriptors_give(COUNT_OF(ends));
        return NULL;
    }
    struct pipe *pipe =
        fcntl(ends[1], F_SETPIPE_SZ, (int)PIPE_ROOM) >= (int)PIPE_ROOM ? calloc(1, sizeof *pipe) : NULL;
    if (pipe == NULL) {
        close(ends[0]);
        close(ends[1]);
        descriptors_give(COUNT_OF(ends));
        return NULL;
    }
    pipe->read_end = ends[0];
    pipe->write_end = ends[1];
    return pipe;
}

struct pipe *pipe_take(void)
{
    if (pipe_pool.out == PIPES_MOST)
        return NULL;
    struct pipe *pipe = pipe_pool.free;
    if (pipe != NULL) {
        pipe_pool.free = pipe->next;
        pipe_pool.free_count--;
    } else {
        pipe = pipe_make();
        if (pipe == NULL)
            return NULL;
    }
    pipe_pool.out++;
    pipe->count = 1;
    return pipe;
}

void pipe_release(struct pipe *pipe)
{
    if (--pipe->count != 0)
        return;
    assert(pipe->wanted == 0);
    pipe_pool.out--;
    if (pipe->inside != 0 || pipe_pool.free_count == PIPES_KEPT) {
        pipe_close(pipe);
        return;
    }
    pipe->next = pipe_pool.free;
    pipe_pool.free = pipe;
    pipe_pool.free_count++;
}

ssize_t pipe_fill(struct pipe *pipe, int from, size_t most)
{
    ssize_t bytes = splice(from, NULL, pipe->write_end, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (bytes > 0)
        pipe->inside += (size_t)bytes;
    return bytes;
}

ssize_t pipe_drain(struct pipe *pipe, int to, size_t most, bool more)
{
    if (pipe->wanted != pipe->inside) { /* other bytes would come out than those that are meant */
        errno = EPIPE;
        return -1;
    }
    ssize_t bytes = splice(pipe->read_end, NULL, to, NULL, most,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0));
    if (bytes > 0)
        pipe->inside -= (size_t)bytes;
    return bytes;
}

void pipe_pool_trim(size_t keep)
{
    while (pipe_pool.free_count > keep) {
        struct pipe *pipe = pipe_pool.free;
        pipe_pool.free = pipe->next;
        pipe_pool.free_count--;
        pipe_close(pipe);
    }
}
