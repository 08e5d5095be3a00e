/*
 * What all kinds of transport share: the out-queue that leaves once at the end of the turn, reading into
 * blocks until a short read, pause, half-close and death. A kind only moves bytes and shakes hands.
 */
#include "net/transport.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/block.h"
#include "base/counters.h"
#include "base/pipe.h"

#define BLOCKS_AT_ONCE 8u        /* 128 KiB: bodies; a head comes with one */
#define READ_A_TURN (256u << 10) /* fairness: the level-triggered loop brings the rest in the next turn */
#define VECTORS_AT_ONCE 64
#define STARVED_MOST 50u /* looks, a tick apart: 200 to 400 ms, in which those who hold most have gone */

static void transport_flush(struct task *task);

static void transport_watch(struct transport *transport)
{
    unsigned bits = 0;
    bool connecting = !transport->opened;
    if (!transport->paused && !transport->ended && transport->starved == 0)
        bits |= WATCH_READ;
    if (transport->wants_write || (connecting && transport->read_wants_write))
        bits |= WATCH_WRITE;
    if (transport->watch == NULL || watch_change(transport->watch, bits))
        return;
    watch_free(transport->watch);
    transport->watch = NULL;
    loop_later(transport->loop, &transport->flush);
}

static void transport_free(struct retired *retired)
{
    struct transport *transport = CONTAINER_OF(retired, struct transport, retired);
    transport->kind->free(transport);
}

static void transport_leave_pipe(struct transport *transport)
{
    if (transport->pipe != NULL)
        pipe_release(transport->pipe);
    transport->pipe = NULL;
}

/* The end: tells the owner, closes the descriptor, and frees after the turn. */
static void transport_die(struct transport *transport, int error)
{
    if (transport->closed)
        return;
    transport->closed = true;
    transport->closing = true;
    loop_cancel(transport->loop, &transport->flush);
    loop_cancel(transport->loop, &transport->look);
    buf_clear(&transport->out);
    transport_leave_pipe(transport);
    watch_free(transport->watch);
    transport->watch = NULL;
    transport->events->closed(transport, error);
    close(transport->fd);
    transport->fd = -1;
    transport->retired = (struct retired){.free = transport_free};
    loop_retire(transport->loop, &transport->retired);
}

/* ---- reading ---- */

/* Takes up to `count` blocks; fewer, perhaps none, at the cap. */
static unsigned take_blocks(struct block *blocks[], struct iovec *vectors, unsigned count)
{
    unsigned got = 0;
    while (got < count && (blocks[got] = block_take()) != NULL) {
        vectors[got] = (struct iovec){.iov_base = blocks[got]->bytes, .iov_len = BLOCK_ROOM};
        got++;
    }
    return got;
}

/* Makes slices of what was read; blocks that got nothing go back. False: no memory for slices. */
static bool collect_blocks(struct buf *in, struct block *blocks[], unsigned count, size_t got)
{
    bool fits = true;
    for (unsigned i = 0; i < count; i++) {
        size_t part = got < BLOCK_ROOM ? got : BLOCK_ROOM;
        blocks[i]->used = (uint32_t)part;
        fits = (part == 0 || buf_add_block(in, blocks[i], blocks[i]->bytes, part)) && fits;
        block_release(blocks[i]);
        got -= part;
    }
    return fits;
}

/* Bytes were lost, nothing watches it, or it has waited in vain. */
static void transport_give_up(struct transport *transport)
{
    counter_add(COUNTER_memory_shed, 1);
    transport->error = ENOMEM;
    transport_die(transport, ENOMEM);
}

/* There is no memory to read into. It may be that this connection holds nothing, and others all: so it waits
 * while those go, and looks again. Meanwhile the socket's bytes may not wake the loop. */
static void transport_starve(struct transport *transport)
{
    if (transport->starved == STARVED_MOST) {
        transport_give_up(transport);
        return;
    }
    transport->starved++;
    transport->unread = true;
    transport_watch(transport);
    loop_next_tick(transport->loop, &transport->look);
}

static void transport_end(struct transport *transport)
{
    transport->ended = true;
    transport_watch(transport);
    transport->events->ended(transport);
}

/* Bytes that a kind has read ahead (TLS) do not wake the loop: whoever stops before they are used up looks
 * again by a task. Not after a read that found no whole record: then more has to come, which the loop will
 * tell. */
static void transport_look_later(struct transport *transport)
{
    if (!transport->closing && transport->kind->has_pending != NULL &&
        transport->kind->has_pending(transport))
        loop_later(transport->loop, &transport->look);
}

/* What one look at the socket brought. */
struct reading {
    struct buf in;
    size_t got, asked;
    bool starved; /* nothing was read */
    bool lost;    /* what was read */
};

static enum transport_step transport_read_memory(struct transport *transport, struct reading *reading)
{
    struct block *blocks[BLOCKS_AT_ONCE];
    struct iovec vectors[BLOCKS_AT_ONCE];
    unsigned count = transport->read_size / BLOCK_ROOM;
    unsigned taken = take_blocks(blocks, vectors,
                                 count == 0               ? 1
                                 : count < BLOCKS_AT_ONCE ? count
                                                          : BLOCKS_AT_ONCE);
    reading->starved = taken == 0;
    if (taken == 0)
        return TRANSPORT_FAILED;
    reading->asked = (size_t)taken * BLOCK_ROOM;
    enum transport_step step = transport->kind->read(transport, vectors, (int)taken, &reading->got);
    reading->lost = !collect_blocks(&reading->in, blocks, taken, reading->got);
    return step;
}

/* A pipe that has bytes and takes no more may be full, which the kernel tells like a socket that is empty:
 * then memory takes what there is. So a full pipe stops nothing, and the order is kept, since slices leave in
 * order. */
static enum transport_step transport_read_pipe(struct transport *transport, struct reading *reading)
{
    struct pipe *pipe = transport->pipe;
    size_t room = pipe->inside < PIPE_ROOM ? PIPE_ROOM - pipe->inside : 0;
    reading->asked = pipe->left < room ? (size_t)pipe->left : room;
    enum transport_step step = TRANSPORT_WANTS_READ;
    if (reading->asked != 0)
        step = transport->kind->read_pipe(transport, pipe, reading->asked, &reading->got);
    if (step == TRANSPORT_WANTS_READ && pipe->inside != 0)
        step = transport_read_memory(transport, reading);
    else if (reading->got != 0)
        reading->lost = !buf_add_pipe(&reading->in, pipe, reading->got);
    pipe->left -= reading->got < pipe->left ? reading->got : pipe->left;
    if (pipe->left == 0)
        transport_leave_pipe(transport);
    return step;
}

static void transport_read(struct transport *transport)
{
    size_t total = 0;
    while (total < READ_A_TURN && !transport->paused && !transport->closing && !transport->ended) {
        struct reading reading = {.got = 0};
        enum transport_step step = transport->pipe != NULL ? transport_read_pipe(transport, &reading)
                                                           : transport_read_memory(transport, &reading);
        if (reading.starved) {
            transport->starved = total == 0 ? transport->starved : 0;
            transport_starve(transport);
            return;
        }
        if (reading.lost) {
            buf_clear(&reading.in);
            transport_give_up(transport);
            return;
        }
        if (reading.got != 0)
            transport->events->received(transport, &reading.in);
        assert(reading.in.length == 0); /* the owner takes all */
        total += reading.got;
        if (step == TRANSPORT_FAILED) {
            if (!transport->closing)
                transport_die(transport, transport->error);
            return;
        }
        if (step == TRANSPORT_ENDED && !transport->closing) {
            transport_end(transport);
            return;
        }
        /* When writing has failed, an end stands behind a short read, of which no event will tell. */
        bool failed = transport->error != 0;
        if (step != TRANSPORT_DONE || (reading.got < reading.asked && !failed)) {
            transport->unread = false;
            return;
        }
    }
    transport->unread = true;
    if (total >= READ_A_TURN)
        transport_look_later(transport);
}

static void transport_look(struct task *task)
{
    struct transport *transport = CONTAINER_OF(task, struct transport, look);
    unsigned starved = transport->starved;
    if (!transport->opened || transport->closing)
        return;
    transport_read(transport);
    if (starved == 0 || transport->starved != starved || transport->closing)
        return;
    transport->starved = 0;
    transport_watch(transport);
}

/* ---- opening ---- */

static void transport_open(struct transport *transport)
{
    enum transport_step step = transport->kind->open(transport);
    switch (step) {
    case TRANSPORT_DONE:
        transport->opened = true;
        transport->read_wants_write = false;
        transport_watch(transport);
        transport->events->opened(transport);
        transport_look_later(transport); /* a request may have come with the last message of the handshake */
        if (transport->out.length != 0 || transport->finishing)
            loop_later(transport->loop, &transport->flush);
        return;
    case TRANSPORT_WANTS_READ:
    case TRANSPORT_WANTS_WRITE:
        transport->read_wants_write = step == TRANSPORT_WANTS_WRITE;
        transport_watch(transport);
        return;
    case TRANSPORT_ENDED:
    case TRANSPORT_FAILED:
        transport_die(transport, transport->error != 0 ? transport->error : ECONNRESET);
        return;
    }
}

static void transport_ready(void *owner, unsigned bits)
{
    struct transport *transport = owner;
    if (transport->closing)
        return;
    if (!transport->opened) {
        transport_open(transport);
        return;
    }
    if (bits & WATCH_WRITE)
        loop_later(transport->loop, &transport->flush);
    if ((bits & WATCH_READ) && transport->paused) {
        transport_watch(transport);
    } else if (bits & WATCH_READ) {
        transport_read(transport);
    }
}

/* ---- writing ---- */

/* The peer does not take bytes any more; what it said before may still be readable (an early answer), so that
 * is heard first. */
static void transport_write_failed(struct transport *transport)
{
    int error = transport->error;
    buf_clear(&transport->out);
    transport->paused = false;
    transport_read(transport);
    if (!transport->closing)
        transport_die(transport, error);
}

static void transport_finish_now(struct transport *transport)
{
    enum transport_step step = transport->kind->finish(transport);
    if (step == TRANSPORT_WANTS_WRITE) {
        transport->wants_write = true;
    } else {
        transport->finished = true;
    }
}

static enum transport_step transport_write_pipe(struct transport *transport, size_t *total)
{
    struct slice *front = transport->out.first;
    size_t sent = 0, asked = front->length;
    enum transport_step step =
        transport->kind->write_pipe(transport, front->pipe, asked, transport->out.length > asked, &sent);
    buf_skip(&transport->out, sent);
    *total += sent;
    return step == TRANSPORT_DONE && sent < asked ? TRANSPORT_WANTS_WRITE : step;
}

static enum transport_step transport_write(struct transport *transport, size_t *total)
{
    enum transport_step step = TRANSPORT_DONE;
    while (transport->out.length != 0 && step == TRANSPORT_DONE) {
        struct iovec vectors[VECTORS_AT_ONCE];
        size_t sent = 0, asked = 0;
        if (buf_front_pipe(&transport->out) != NULL) {
            step = transport_write_pipe(transport, total);
            continue;
        }
        int count = buf_vectors(&transport->out, vectors, VECTORS_AT_ONCE);
        for (int i = 0; i < count; i++)
            asked += vectors[i].iov_len;
        step = transport->kind->write(transport, vectors, count, &sent);
        buf_skip(&transport->out, sent);
        *total += sent;
        if (step == TRANSPORT_DONE && sent < asked)
            step = TRANSPORT_WANTS_WRITE; /* a short write: the socket is full */
    }
    return step;
}

/* A part of what waits may have left when none of it is told of. */
static void transport_tell_sent(struct transport *transport, size_t total)
{
    const struct transport_kind *kind = transport->kind;
    if (total != 0 || (transport->out.length != 0 && kind->ahead != NULL && kind->ahead(transport) != 0))
        transport->events->sent(transport, total);
}

static void transport_flush(struct task *task)
{
    struct transport *transport = CONTAINER_OF(task, struct transport, flush);
    if (transport->closing) {
        size_t rest = 0;
        if (transport->cutting && transport->opened)
            (void)transport_write(transport, &rest);
        if (transport->finishing && !transport->finished && transport->opened && transport->out.length == 0)
            transport_finish_now(transport);
        transport_die(transport, 0);
        return;
    }
    if (transport->watch == NULL) { /* nothing would be heard of it any more */
        transport_give_up(transport);
        return;
    }
    if (!transport->opened) {
        transport_open(transport); /* first step after transport_new */
        return;
    }
    size_t total = 0;
    enum transport_step step = transport_write(transport, &total);
    transport->sent += total;
    if (step == TRANSPORT_FAILED || step == TRANSPORT_ENDED) {
        transport_tell_sent(transport, total); /* what left before it failed has left */
        if (!transport->closing)
            transport_write_failed(transport);
        return;
    }
    transport->wants_write = step != TRANSPORT_DONE;
    if (transport->out.length == 0 && transport->finishing && !transport->finished)
        transport_finish_now(transport);
    transport_watch(transport);
    transport_tell_sent(transport, total);
}

/* ---- interface ---- */

void transport_init(struct transport *transport, const struct transport_kind *kind, struct loop *loop, int fd,
                    const struct transport_events *events, void *owner)
{
    transport->kind = kind;
    transport->events = events;
    transport->owner = owner;
    transport->loop = loop;
    transport->fd = fd;
    transport->flush.run = transport_flush;
    transport->look.run = transport_look;
    transport->read_size = BLOCK_ROOM;
    transport->watch = watch_new(loop, fd, WATCH_READ, transport_ready, transport); /* NULL: flush sees it */
    loop_later(loop, &transport->flush);
}

void transport_send(struct transport *transport, struct buf *bytes)
{
    if (transport->closing || transport->finishing) {
        buf_clear(bytes);
        return;
    }
    buf_move(&transport->out, bytes);
    if (transport->opened && !transport->wants_write)
        loop_later(transport->loop, &transport->flush);
}

void transport_pause(struct transport *transport)
{
    if (transport->paused || transport->closing)
        return;
    transport->paused =
        true; /* the loop is told when it brings more: a pause that ends in the same turn costs no call */
}

void transport_resume(struct transport *transport)
{
    if (!transport->paused || transport->closing)
        return;
    transport->paused = false;
    transport_watch(transport);
    transport_look_later(transport);
}

void transport_expect(struct transport *transport, size_t bytes)
{
    transport->read_size = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}

void transport_pipe(struct transport *transport, uint64_t bytes)
{
    if (transport->closing || transport->pipe != NULL || !transport_has_pipes(transport) ||
        (transport->pipe = pipe_take()) == NULL)
        return;
    transport->pipe->left = bytes;
}

void transport_finish(struct transport *transport)
{
    if (transport->closing || transport->finishing)
        return;
    transport->finishing = true;
    if (transport->opened)
        loop_later(transport->loop, &transport->flush);
}

void transport_close(struct transport *transport)
{
    if (transport->closing)
        return;
    transport->closing = true;
    /* An end that was asked for is still said, unless what is lost would look whole by it. */
    transport->finishing = transport->finishing && transport->out.length == 0;
    buf_clear(&transport->out);
    if (transport->watch != NULL)
        (void)!watch_change(transport->watch, 0);
    loop_later(transport->loop, &transport->flush);
}

static void transport_will_reset(struct transport *transport)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    transport->finishing = false;
    (void)!setsockopt(transport->fd, SOL_SOCKET, SO_LINGER, &linger,
                      sizeof linger); /* a unix socket has none: then it just closes */
}

void transport_reset(struct transport *transport)
{
    if (transport->closing)
        return;
    transport_will_reset(transport);
    transport_close(transport);
}

static void transport_close_behind(struct transport *transport)
{
    struct buf rest = {0};
    buf_move(&rest, &transport->out);
    transport_close(transport);
    buf_move(&transport->out, &rest);
    transport->cutting = 1;
}

void transport_cut(struct transport *transport)
{
    if (transport->closing)
        return;
    transport_will_reset(transport);
    transport_close_behind(transport);
}

void transport_leave(struct transport *transport)
{
    if (transport->closing)
        return;
    transport->finishing = true;
    transport_close_behind(transport);
}

uint64_t transport_taken(const struct transport *transport)
{
    int queued = 0; /* stays so where the kernel can't tell */
    (void)ioctl(transport->fd, SIOCOUTQ, &queued);
    uint64_t given = transport->sent, waits = queued > 0 ? (uint64_t)queued : 0;
    if (transport->kind->ahead != NULL)
        given += transport->kind->ahead(transport);
    return given > waits ? given - waits : 0;
}

bool transport_is_stale(const struct transport *transport)
{
    char byte;
    if (!transport->unread)
        return false;
    if (transport->kind->has_pending != NULL && transport->kind->has_pending(transport))
        return true;
    ssize_t got = recv(transport->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

const char *transport_error_text(int error)
{
    switch (error) {
    case 0:
        return "closed";
    case TRANSPORT_ERROR_TLS:
        return "TLS handshake or record failed";
    case TRANSPORT_ERROR_VERIFY:
        return "certificate is not trusted";
    case TRANSPORT_ERROR_TRUNCATED:
        return "TLS ended without close_notify";
    default:
        return strerrordesc_np(error) != NULL ? strerrordesc_np(error) : "unknown error";
    }
}
