/* The plain kind: TCP and unix sockets. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/pipe.h"
#include "net/socket.h"
#include "net/transport.h"

static enum transport_step step_of_errno(struct transport *transport, enum transport_step again)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return again;
    transport->error = errno;
    return TRANSPORT_FAILED;
}

/*
 * A reset is told once, by the call that comes first; behind it the kernel reads as if the peer had ended. So
 * when writing has failed, an EOF is no end of what was sent: who reads to the end of the connection would
 * take half of it for all. (EPIPE tells of a reset that came after the peer's own end.)
 */
static enum transport_step tcp_end(struct transport *transport)
{
    return transport_has_failed(transport) ? TRANSPORT_FAILED : TRANSPORT_ENDED;
}

/* First called before the loop has looked at the socket: then only waits. */
static enum transport_step tcp_open(struct transport *transport)
{
    if (!transport->connecting)
        return TRANSPORT_DONE;
    if (!transport->read_wants_write)
        return TRANSPORT_WANTS_WRITE;
    int error = socket_error(transport->fd);
    if (error != 0) {
        transport->error = error;
        return TRANSPORT_FAILED;
    }
    transport->connecting = 0;
    return TRANSPORT_DONE;
}

static enum transport_step tcp_read(struct transport *transport, const struct iovec *vectors, int count,
                                    size_t *got)
{
    ssize_t bytes = count == 1 ? recv(transport->fd, vectors[0].iov_base, vectors[0].iov_len, 0)
                               : readv(transport->fd, vectors, count);
    if (bytes < 0)
        return step_of_errno(transport, TRANSPORT_WANTS_READ);
    *got = (size_t)bytes;
    return bytes == 0 ? tcp_end(transport) : TRANSPORT_DONE;
}

static enum transport_step tcp_write(struct transport *transport, const struct iovec *vectors, int count,
                                     size_t *sent)
{
    ssize_t bytes;
    if (count == 1) {
        bytes = send(transport->fd, vectors[0].iov_base, vectors[0].iov_len, MSG_NOSIGNAL);
    } else {
        struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)vectors, .msg_iovlen = (size_t)count};
        bytes = sendmsg(transport->fd, &message, MSG_NOSIGNAL);
    }
    if (bytes < 0)
        return step_of_errno(transport, TRANSPORT_WANTS_WRITE);
    *sent = (size_t)bytes;
    return TRANSPORT_DONE;
}

static enum transport_step tcp_read_pipe(struct transport *transport, struct pipe *pipe, size_t most,
                                         size_t *got)
{
    ssize_t bytes = pipe_fill(pipe, transport->fd, most);
    if (bytes < 0)
        return step_of_errno(transport, TRANSPORT_WANTS_READ);
    *got = (size_t)bytes;
    return bytes == 0 ? tcp_end(transport) : TRANSPORT_DONE;
}

static enum transport_step tcp_write_pipe(struct transport *transport, struct pipe *pipe, size_t most,
                                          bool more, size_t *sent)
{
    ssize_t bytes = pipe_drain(pipe, transport->fd, most, more);
    if (bytes < 0)
        return step_of_errno(transport, TRANSPORT_WANTS_WRITE);
    *sent = (size_t)bytes;
    return TRANSPORT_DONE;
}

static enum transport_step tcp_finish(struct transport *transport)
{
    (void)shutdown(transport->fd, SHUT_WR); /* ENOTCONN: the peer is gone, which the next read tells */
    return TRANSPORT_DONE;
}

static void tcp_free(struct transport *transport)
{
    free(transport);
}

static const struct transport_kind tcp_kind = {
    .name = "tcp",
    .open = tcp_open,
    .read = tcp_read,
    .write = tcp_write,
    .read_pipe = tcp_read_pipe,
    .write_pipe = tcp_write_pipe,
    .finish = tcp_finish,
    .free = tcp_free,
};

struct transport *transport_new_plain(struct loop *loop, int fd, bool pending,
                                      const struct transport_events *events, void *owner)
{
    struct transport *transport = calloc(1, sizeof *transport);
    if (transport == NULL)
        return NULL;
    transport->connecting = pending;
    transport_init(transport, &tcp_kind, loop, fd, events, owner);
    return transport;
}
