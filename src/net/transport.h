/*
 * A byte pipe to one peer, TCP, TLS, or a script in tests: an out-queue flushed once at the end of the turn,
 * reads into counted blocks, pause, half-close. Events come from the loop, never from inside a transport_*()
 * call.
 */
#ifndef WEIR_NET_TRANSPORT_H
#define WEIR_NET_TRANSPORT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/attributes.h"
#include "base/buf.h"
#include "net/address.h"
#include "net/loop.h"

struct transport;
/* What a transport tells its owner. */
struct transport_events {
    /* connected, and for TLS shaken hands */
    void (*opened)(struct transport *transport);
    /* the owner takes all of it (moves it out) */
    void (*received)(struct transport *transport, struct buf *bytes);
    /* bytes of transport_send() that the socket took; 0: some of what waits, but it is not known how many */
    void (*sent)(struct transport *transport, size_t bytes);
    /* the peer will send no more (EOF, close_notify) */
    void (*ended)(struct transport *transport);
    void (*closed)(struct transport *transport,
                   /* once, and last; an errno, 0 after transport_close(), or a TRANSPORT_ERROR_* */
                   int error);
};
enum {
    TRANSPORT_ERROR_TLS = 10001,
    TRANSPORT_ERROR_VERIFY,
    TRANSPORT_ERROR_TRUNCATED
}; /* beyond errno values; text by transport_error_text() */
enum transport_step {
    TRANSPORT_DONE,
    TRANSPORT_WANTS_READ,
    TRANSPORT_WANTS_WRITE,
    TRANSPORT_ENDED,
    TRANSPORT_FAILED
};
/* How bytes reach the socket. */
struct transport_kind {
    const char *name;
    bool tls;
    /* connect or handshake, called again when ready */
    enum transport_step (*open)(struct transport *transport);
    /* Into the vectors; *got bytes. DONE with fewer than asked means a short read: nothing more is there now.
     */
    enum transport_step (*read)(struct transport *transport, const struct iovec *vectors, int count,
                                size_t *got);
    enum transport_step (*write)(struct transport *transport, const struct iovec *vectors, int count,
                                 size_t *sent);
    enum transport_step (*finish)(struct transport *transport); /* shutdown(SHUT_WR), close_notify */
    void (*free)(struct transport *transport);
    /* The same by way of a pipe, at most `most` bytes; NULL: this kind has to look at its bytes. */
    enum transport_step (*read_pipe)(struct transport *transport, struct pipe *pipe, size_t most,
                                     size_t *got);
    enum transport_step (*write_pipe)(struct transport *transport, struct pipe *pipe, size_t most, bool more,
                                      size_t *sent);
    /* True when bytes were read ahead that no event will tell of; NULL: never. */
    bool (*has_pending)(const struct transport *transport);
    /* Bytes that the socket has and write() has not yet told of; NULL: none. */
    size_t (*ahead)(const struct transport *transport);
};
/* Idle plain connections pay for this struct: keep it small. Fields below `owner` are the transport's own. */
struct transport {
    const struct transport_kind *kind;
    const struct transport_events *events;
    void *owner;
    struct loop *loop;
    struct watch *watch;
    struct buf out;    /* waits for the socket */
    struct pipe *pipe; /* the next pipe->left bytes come by it; NULL: by memory */
    struct task flush;
    union {
        struct task look;       /* after a resume: bytes read ahead do not wake the loop */
        struct retired retired; /* once it is closed */
    };
    uint64_t sent; /* bytes of transport_send() that have left for the socket, all */
    int fd;
    int error; /* of the failure, until closed() tells it */
    /* bytes to ask for at once: one block for heads, more for bodies (transport_expect()) */
    uint32_t read_size;
    unsigned opened : 1, paused : 1, finishing : 1, finished : 1, ended : 1, closing : 1, closed : 1,
        wants_write : 1, read_wants_write : 1, cutting : 1,
        starved : 6,    /* looks in a row that found no memory to read into */
        unread : 1,     /* reading stopped before a short read: the socket may have more */
        connecting : 1, /* of the kind: the socket is not connected yet */
        truncated : 1;  /* of the kind: the peer has ended without its word for it (TLS), so perhaps another
                           has ended it */
};

/* An accepted socket, or one that socket_connect() began; takes the descriptor. Plain TCP or unix. Opened is
 * told in a later step of this turn at the soonest. NULL: no memory, and the descriptor stays the caller's.
 */
struct transport *transport_new_plain(struct loop *loop, int fd, bool pending,
                                      const struct transport_events *events, void *owner);
/* For kinds outside (tls, tests): fills a zeroed struct that the kind allocated, and registers it. */
void transport_init(struct transport *transport, const struct transport_kind *kind, struct loop *loop, int fd,
                    const struct transport_events *events, void *owner);
void transport_send(struct transport *transport,
                    struct buf *bytes); /* takes all bytes; leaves at the end of the turn */
/* stop reading (level: received may come once more this turn: no) */
void transport_pause(struct transport *transport);
void transport_resume(struct transport *transport);
void transport_expect(struct transport *transport,
                      /* how much may be read at once, in whole blocks, 1 to 8; 0: one */
                      size_t bytes);
/* The next `bytes` may come by way of a pipe (buf_add_pipe()), where that can be had: the owner passes them
 * on unseen to a transport that can write them (transport_has_pipes()). */
void transport_pipe(struct transport *transport, uint64_t bytes);
static inline bool transport_has_pipes(const struct transport *transport)
{
    return transport->kind->read_pipe != NULL;
}
void transport_finish(struct transport *transport); /* end our side once all is sent */
void transport_close(
    /* now, unsent bytes are lost; closed(…, 0) comes in this turn's tasks; freed after */
    struct transport *transport);
void transport_reset(
    struct transport *transport); /* the same with RST (SO_LINGER 0), so that the peer learns it was cut */
void transport_cut(
    struct transport *transport); /* the same behind what waits, as far as the socket takes it */
void transport_leave(
    struct transport *transport); /* transport_finish(), and closes with what the socket takes now */
/* Sending has failed for another reason than that the peer had ended before: an EOF is what is left of that
 * failure, and no end. */
static inline bool transport_has_failed(const struct transport *transport)
{
    return transport->error != 0 && transport->error != EPIPE;
}
static inline size_t transport_unsent(const struct transport *transport)
{
    return transport->out.length;
}
/* Bytes of all that was sent which the peer has (its side of TCP has acknowledged them), or a few less: what
 * a slow reader takes shows here long before the socket has room for more. One ioctl. */
uint64_t transport_taken(const struct transport *transport);
/* True when an idle connection has bytes, or its end, that no event has told yet: the next message would be
 * taken for what they say (protocol.md 14, 29). One recv(MSG_PEEK), and only where the last read was not a
 * short one; all else the loop has told. */
bool transport_is_stale(const struct transport *transport) MUST_CHECK;
const char *transport_error_text(int error);

#endif
