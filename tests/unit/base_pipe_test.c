/* Bytes in pipes: they move, split and are dropped as others do, come out in order, and a pipe that lost some
 * gives nothing more. */
#include "base/pipe.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "unit.h"

#define LENGTH 1000u

struct ends {
    int from[2], to[2];
    struct pipe *pipe;
    char sent[LENGTH];
};

static void ends_begin(struct ends *ends, struct buf *buf)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends->from), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends->to), 0);
    for (size_t i = 0; i < LENGTH; i++)
        ends->sent[i] = (char)('a' + i % 23);
    assert_int_equal(write(ends->from[0], ends->sent, LENGTH), LENGTH);
    ends->pipe = pipe_take();
    assert_non_null(ends->pipe);
    assert_int_equal(pipe_fill(ends->pipe, ends->from[1], PIPE_ROOM), LENGTH);
    assert_true(buf_add_pipe(buf, ends->pipe, LENGTH));
}

static void ends_close(struct ends *ends)
{
    pipe_release(ends->pipe);
    for (int i = 0; i < 2; i++) {
        close(ends->from[i]);
        close(ends->to[i]);
    }
}

/* As a transport does it. */
static size_t drain(struct ends *ends, struct buf *buf, size_t most)
{
    struct slice *front = buf->first;
    ssize_t bytes = pipe_drain(front->pipe, ends->to[0], most < front->length ? most : front->length, false);
    assert_true(bytes > 0);
    buf_skip(buf, (size_t)bytes);
    return (size_t)bytes;
}

static void bytes_come_out_in_order_at_every_split(void **state)
{
    (void)state;
    for (size_t split = 0; split <= LENGTH; split += 111) {
        struct ends ends;
        struct buf in = {.first = NULL}, out = {.first = NULL};
        char got[LENGTH + 2];
        ends_begin(&ends, &in);
        assert_true(buf_add(&in, "!", 1));
        assert_true(buf_move_some(&out, &in, split));
        buf_move(&out, &in);
        assert_int_equal(out.length, LENGTH + 1);
        while (buf_front_pipe(&out) != NULL)
            (void)drain(&ends, &out, 70);
        assert_int_equal(out.length, 1); /* memory behind a pipe */
        assert_int_equal(ends.pipe->inside, 0);
        assert_int_equal(ends.pipe->wanted, 0);
        assert_int_equal(read(ends.to[1], got, sizeof got), LENGTH);
        assert_memory_equal(got, ends.sent, LENGTH);
        buf_clear(&out);
        ends_close(&ends);
    }
}

static void dropped_bytes_stop_a_pipe(void **state)
{
    (void)state;
    struct ends ends;
    struct buf in = {.first = NULL}, dropped = {.first = NULL};
    ends_begin(&ends, &in);
    assert_true(buf_move_some(&dropped, &in, 10));
    buf_clear(&dropped);
    assert_int_equal(pipe_drain(ends.pipe, ends.to[0], 10, false), -1);
    assert_int_equal(errno, EPIPE);
    buf_clear(&in);
    struct pipe *before = ends.pipe;
    int read_end = before->read_end;
    ends_close(&ends);
    assert_int_equal(write(read_end, "", 0), -1); /* was closed, not kept: its bytes would be another's */
}

static void vectors_end_before_a_pipe(void **state)
{
    (void)state;
    struct ends ends;
    struct buf buf = {.first = NULL};
    struct iovec vectors[4];
    assert_true(buf_add(&buf, "head", 4));
    ends_begin(&ends, &buf);
    assert_int_equal(buf_vectors(&buf, vectors, 4), 1);
    assert_null(buf_front_pipe(&buf));
    buf_skip(&buf, 4);
    assert_ptr_equal(buf_front_pipe(&buf), ends.pipe);
    assert_int_equal(buf_vectors(&buf, vectors, 4), 0);
    while (buf.length != 0)
        (void)drain(&ends, &buf, LENGTH);
    ends_close(&ends);
}

static void pipes_are_kept_and_have_a_cap(void **state)
{
    (void)state;
    struct pipe *pipes[64];
    size_t count = 0;
    while (count < 64 && (pipes[count] = pipe_take()) != NULL)
        count++;
    assert_int_equal(count, 32);
    struct pipe *last = pipes[--count];
    pipe_release(last);
    pipes[count] = pipe_take();
    assert_ptr_equal(pipes[count++], last);
    while (count > 0)
        pipe_release(pipes[--count]);
    pipe_pool_trim(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_in_order_at_every_split),
        cmocka_unit_test(dropped_bytes_stop_a_pipe),
        cmocka_unit_test(vectors_end_before_a_pipe),
        cmocka_unit_test(pipes_are_kept_and_have_a_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
