/* Socket calls with the options that every one of weir's sockets has. */
#include "net/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

static void set_option(int fd, int level, int name, int value)
{
    /* These only tune: a kernel that lacks one serves all the same. */
    (void)!setsockopt(fd, level, name, &value, sizeof value);
}

void socket_no_delay(int fd)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int socket_error(int fd)
{
    int number = 0;
    socklen_t length = sizeof number;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &length) != 0)
        return errno;
    return number;
}

/* What is no socket is somebody's file, or leads to one; connect() refuses it with the number of a dead
 * socket. */
static bool is_socket_file(const struct address *address)
{
    struct stat status;
    return lstat(address->socket.local.sun_path, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* A socket file that nobody answers on was left by a process that died. */
static bool unix_socket_is_stale(const struct address *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool stale = connect(fd, &address->socket.any, address->length) != 0 && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

static bool bind_to(int fd, const struct address *address)
{
    if (bind(fd, &address->socket.any, address->length) == 0)
        return true;
    if (errno != EADDRINUSE || address->socket.any.sa_family != AF_UNIX)
        return false;
    bool is_socket = is_socket_file(address);
    if (!is_socket || !unix_socket_is_stale(address)) {
        errno = is_socket ? EADDRINUSE : EEXIST;
        return false;
    }
    return unlink(address->socket.local.sun_path) == 0 &&
           bind(fd, &address->socket.any, address->length) == 0;
}

bool socket_try(const struct address *address, int *number)
{
    int family = address->socket.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (family == AF_INET6)
            set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    bool done = fd >= 0 && bind(fd, &address->socket.any, address->length) == 0;
    *number = done ? 0 : errno;
    if (fd >= 0)
        close(fd);
    return done;
}

int socket_listen(const struct address *address, int backlog, unsigned unix_mode, struct error *error)
{
    char text[ADDRESS_TEXT_MAX];
    int family = address->socket.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error_set_errno(error, errno, "can't make a socket for %s", address_print(address, text).at);
        return -1;
    }
    if (family != AF_UNIX) {
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        socket_no_delay(fd); /* accepted sockets inherit it */
    }
    if (family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    bool done = bind_to(fd, address) &&
                (family != AF_UNIX || chmod(address->socket.local.sun_path, (mode_t)unix_mode) == 0) &&
                listen(fd, backlog) == 0;
    if (!done) {
        int number = errno;
        close(fd);
        error_set_errno(error, number, "can't listen on %s", address_print(address, text).at);
        return -1;
    }
    return fd;
}

int socket_connect(const struct address *address, bool *pending, int *number)
{
    int family = address->socket.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *number = errno;
        return -1;
    }
    if (family != AF_UNIX)
        socket_no_delay(fd);
    *pending = false;
    if (connect(fd, &address->socket.any, address->length) == 0)
        return fd;
    if (errno == EINPROGRESS) {
        *pending = true;
        return fd;
    }
    *number = errno == EAGAIN ? ECONNREFUSED : errno; /* EAGAIN: the backlog of a unix socket is full */
    close(fd);
    return -1;
}
