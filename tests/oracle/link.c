#include "oracle/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_MOST (64u << 10)

struct event_base *link_base;
static struct link *dead_links;

static void link_die(struct link *link)
{
    if (link->dead)
        return;
    link->dead = true;
    link->open = false;
    event_del(&link->readable);
    event_del(&link->writable);
    event_del(&link->resumes);
    if (link->ssl != NULL)
        SSL_free(link->ssl);
    link->ssl = NULL;
    close(link->fd);
    link->next_dead = dead_links;
    dead_links = link;
}

static void link_broke(struct link *link, const char *how)
{
    trace_note(&link->trace, "%s", how);
    link_die(link);
    link->events->broken(link);
}

void link_close(struct link *link)
{
    if (!link->dead)
        trace_note(&link->trace, "closed by the oracle");
    link_die(link);
}

void link_reset(struct link *link)
{
    if (link->dead)
        return;
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    trace_note(&link->trace, "reset by the oracle");
    link_die(link);
}

void link_bury(void)
{
    while (dead_links != NULL) {
        struct link *link = dead_links;
        dead_links = link->next_dead;
        bytes_free(&link->in);
        bytes_free(&link->out);
        link->events->freed(link);
    }
}

/* ---- writing ---- */

enum written { WRITTEN, WRITE_WAITS, WRITE_BROKE };

static enum written write_some(struct link *link, size_t length, size_t *wrote)
{
    const char *at = bytes_front(&link->out);
    *wrote = 0;
    if (link->ssl == NULL) {
        ssize_t result = send(link->fd, at, length, MSG_NOSIGNAL);
        if (result < 0)
            return errno == EAGAIN || errno == EINTR ? WRITE_WAITS : WRITE_BROKE;
        *wrote = (size_t)result;
        return WRITTEN;
    }
    ERR_clear_error();
    if (SSL_write_ex(link->ssl, at, length, wrote) == 1)
        return WRITTEN;
    int error = SSL_get_error(link->ssl, 0);
    return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? WRITE_WAITS : WRITE_BROKE;
}

static void wait_to_write(struct link *link, bool waits)
{
    if (waits == link->waits_to_write)
        return;
    link->waits_to_write = waits;
    if (waits)
        event_add(&link->writable, NULL);
    else
        event_del(&link->writable);
}

/* TLS has a word for it, which may have to wait like any other. */
static void end_side(struct link *link)
{
    ERR_clear_error();
    int said = link->ssl != NULL && !link->bare ? SSL_shutdown(link->ssl) : 0;
    if (said < 0 && SSL_get_error(link->ssl, said) == SSL_ERROR_WANT_WRITE) {
        wait_to_write(link, true);
        return;
    }
    link->shut = true;
    (void)shutdown(link->fd, SHUT_WR);
    trace_note(&link->trace, "our side ended");
}

/* False: the link is dead. A write that fails is told once what the peer has said is read. */
static bool write_out(struct link *link, bool one_piece)
{
    while (bytes_length(&link->out) != 0) {
        size_t length = bytes_length(&link->out), wrote;
        if (link->piece != 0 && length > link->piece)
            length = link->piece;
        if (link->promised != 0 && link->promised < bytes_length(&link->out))
            length = link->promised;
        else if (link->promised != 0)
            length = bytes_length(&link->out);
        enum written result = write_some(link, length, &wrote);
        link->promised = result == WRITE_WAITS && link->ssl != NULL ? length : 0;
        if (result == WRITE_BROKE) {
            trace_note(&link->trace, "writing failed: %s", strerror(errno));
            bytes_take(&link->out, bytes_length(&link->out));
            link->shut = link->unwritable = true;
            break;
        }
        if (result == WRITE_WAITS)
            break;
        trace_bytes(&link->trace, TRACE_SENT, bytes_front(&link->out), wrote);
        bytes_take(&link->out, wrote);
        if (one_piece && link->piece != 0)
            break;
    }
    wait_to_write(link, bytes_length(&link->out) != 0);
    if (bytes_length(&link->out) == 0 && link->ending && !link->shut)
        end_side(link);
    return !link->dead;
}

void link_flush(struct link *link)
{
    if (!link->open || link->dead || link->waits_to_write)
        return;
    if (link->shut)
        bytes_take(&link->out, bytes_length(&link->out));
    (void)write_out(link, true);
}

void link_finish(struct link *link)
{
    link->ending = true;
    link_flush(link);
}

/* ---- reading ---- */

static void peer_ended(struct link *link)
{
    if (link->peer_end)
        return;
    link->peer_end = true;
    event_del(&link->readable);
    trace_note(&link->trace, "the peer ended its side");
    link->events->ended(link);
}

/* False: nothing more for now. */
static bool read_plain(struct link *link)
{
    char *to = bytes_reserve(&link->in, READ_MOST);
    ssize_t got = recv(link->fd, to, READ_MOST, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    /* Who was told of a reset when writing sees a mere end when reading. */
    if (got < 0 || (got == 0 && link->unwritable)) {
        link_broke(link, "reset by the peer");
        return false;
    }
    if (got == 0) {
        peer_ended(link);
        return false;
    }
    trace_bytes(&link->trace, TRACE_RECEIVED, to, (size_t)got);
    bytes_wrote(&link->in, (size_t)got);
    return true;
}

static bool read_tls(struct link *link)
{
    char *to = bytes_reserve(&link->in, READ_MOST);
    size_t got;
    ERR_clear_error();
    if (SSL_read_ex(link->ssl, to, READ_MOST, &got) == 1) {
        trace_bytes(&link->trace, TRACE_RECEIVED, to, got);
        bytes_wrote(&link->in, got);
        return true;
    }
    int error = SSL_get_error(link->ssl, 0);
    if (error == SSL_ERROR_ZERO_RETURN)
        peer_ended(link);
    else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        link_broke(link, "TLS was cut");
    return false;
}

static void on_opened(struct link *link)
{
    link->open = true;
    link->events->opened(link);
}

/* True once the handshake is done. */
static bool shake_hands(struct link *link)
{
    ERR_clear_error();
    int result = SSL_do_handshake(link->ssl);
    if (result == 1) {
        wait_to_write(link, false);
        on_opened(link);
        return !link->dead;
    }
    int error = SSL_get_error(link->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        wait_to_write(link, error == SSL_ERROR_WANT_WRITE);
    else
        link_broke(link, "the TLS handshake failed");
    return false;
}

static void on_readable(evutil_socket_t fd, short what, void *owner)
{
    struct link *link = owner;
    (void)fd;
    (void)what;
    if (!link->open && link->ssl != NULL && !shake_hands(link))
        return;
    bool more = true;
    while (more && !link->dead) {
        if (!(link->ssl != NULL ? read_tls(link) : read_plain(link)))
            return;
        more = link->ssl != NULL && SSL_pending(link->ssl) != 0;
        link->events->received(link);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *owner)
{
    struct link *link = owner;
    (void)fd;
    (void)what;
    if (!link->open) {
        int error = 0;
        socklen_t length = sizeof error;
        (void)getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        wait_to_write(link, false);
        if (error != 0)
            link_broke(link, strerror(error));
        else if (link->ssl != NULL)
            (void)shake_hands(link);
        else
            on_opened(link);
        return;
    }
    if (write_out(link, true) && bytes_length(&link->out) == 0)
        link->events->room(link);
}

static void on_resumes(evutil_socket_t fd, short what, void *owner)
{
    struct link *link = owner;
    (void)fd;
    (void)what;
    if (!link->peer_end)
        event_add(&link->readable, NULL);
    if (link->ssl != NULL && SSL_pending(link->ssl) != 0)
        on_readable(link->fd, EV_READ, link);
}

void link_pause(struct link *link, unsigned milliseconds)
{
    if (link->dead || link->peer_end)
        return;
    struct timeval wait = {.tv_sec = milliseconds / 1000, .tv_usec = (long)(milliseconds % 1000) * 1000};
    event_del(&link->readable);
    event_add(&link->resumes, &wait);
}

/* ---- the beginning ---- */

static void link_begin(struct link *link, int fd, SSL_CTX *tls, int buffer)
{
    int one = 1;
    link->fd = fd;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (buffer != 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    }
    if (tls != NULL) {
        link->ssl = SSL_new(tls);
        if (link->ssl == NULL || SSL_set_fd(link->ssl, fd) != 1)
            abort();
    }
    event_assign(&link->readable, link_base, fd, EV_READ | EV_PERSIST, on_readable, link);
    event_assign(&link->writable, link_base, fd, EV_WRITE | EV_PERSIST, on_writable, link);
    evtimer_assign(&link->resumes, link_base, on_resumes, link);
    event_add(&link->readable, NULL);
}

void link_connect(struct link *link, unsigned port, SSL_CTX *tls, int buffer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        abort();
    link_begin(link, fd, tls, buffer);
    if (link->ssl != NULL)
        SSL_set_connect_state(link->ssl);
    (void)connect(fd, (struct sockaddr *)&address, sizeof address); /* how it went, the event tells */
    wait_to_write(link, true);
}

void link_accept(struct link *link, int fd, SSL_CTX *tls, int buffer)
{
    link_begin(link, fd, tls, buffer);
    if (link->ssl != NULL)
        SSL_set_accept_state(link->ssl);
    else
        link->open = true;
}
