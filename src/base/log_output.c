/* Opens and writes log outputs. A pipe or socket is written only as far as poll() allows, so that a stop is
 * never held up. */
#include "base/log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"

#define LOG_OUTPUT_PIECE 4096u /* PIPE_BUF: what a pipe takes without blocking once poll() says so */

static bool log_output_connect(struct log_output *output, const char *path, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return error_set(error, "cannot connect to %s: the path is too long", path);
    memcpy(address.sun_path, path, strlen(path));
    static const int types[] = {SOCK_DGRAM, SOCK_STREAM};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        int descriptor = socket(AF_UNIX, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (descriptor < 0)
            return error_set_errno(error, errno, "cannot make a socket");
        if (connect(descriptor, (const struct sockaddr *)&address, sizeof address) == 0) {
            output->descriptor = descriptor;
            output->datagrams = types[i] == SOCK_DGRAM;
            output->socket = xstrdup(path);
            return true;
        }
        int number = errno;
        close(descriptor);
        if (number != EPROTOTYPE)
            return error_set_errno(error, number, "cannot connect to %s", path);
    }
    return error_set(error, "cannot connect to %s: neither a datagram nor a stream socket", path);
}

enum log_unread log_output_unread(const char *path, int number, struct error *error)
{
    struct stat status;
    if (number != ENXIO || stat(path, &status) != 0)
        return LOG_UNREAD_NOT;
    if (S_ISSOCK(status.st_mode)) {
        error_set(error, "%s is a socket; write unix:%s", path, path);
        return LOG_UNREAD_SOCKET;
    }
    if (!S_ISFIFO(status.st_mode))
        return LOG_UNREAD_NOT;
    error_set(error,
              "%s is a pipe that nobody reads; start what reads it first, or write to a file or unix:PATH",
              path);
    return LOG_UNREAD_PIPE;
}

static bool log_output_open_file(struct log_output *output, const char *path, struct error *error)
{
    /* Non-blocking for a fifo without a reader; it means nothing to a file. */
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    output->descriptor = open(path, flags, 0640);
    if (output->descriptor >= 0)
        return true;
    int number = errno;
    return log_output_unread(path, number, error) == LOG_UNREAD_NOT
               ? error_set_errno(error, number, "cannot open %s", path)
               : false;
}

static bool log_output_open_stream(struct log_output *output, int stream, struct error *error)
{
    output->descriptor = fcntl(stream, F_DUPFD_CLOEXEC, 3);
    if (output->descriptor < 0)
        return error_set_errno(error, errno, "cannot use standard %s",
                               stream == STDOUT_FILENO ? "output" : "error");
    return true;
}

/* Waits until some bytes may be written; false when that did not come in time. */
static bool log_output_wait(const struct log_output *output, uint64_t deadline)
{
    struct pollfd waiting = {.fd = output->descriptor, .events = POLLOUT};
    for (;;) {
        uint64_t now = clock_monotonic_us();
        uint64_t left = deadline > now ? (deadline - now) / 1000u : 0;
        int ready = poll(&waiting, 1, left < 60000u ? (int)left : 60000);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
        if (ready == 0 && left == 0) {
            errno = ETIMEDOUT;
            return false;
        }
    }
}

/* How much was written; less than all: errno says why. */
static size_t log_output_write(const struct log_output *output, struct span bytes, uint64_t deadline)
{
    size_t most = output->file || output->datagrams ? bytes.length : LOG_OUTPUT_PIECE, done = 0;
    while (done < bytes.length) {
        if (!output->file && !log_output_wait(output, deadline))
            break;
        size_t left = bytes.length - done;
        ssize_t written = write(output->descriptor, bytes.at + done, left < most ? left : most);
        if (written < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (written < 0)
            break;
        done += (size_t)written;
    }
    return done;
}

/* A full disk or a reader that went away may have cut a line: that one is lost, and must not take the next
 * with it. How many bytes of whole lines were written. */
static size_t log_output_write_lines(struct log_output *output, uint64_t deadline)
{
    if (output->torn && log_output_write(output, SPAN("\n"), deadline) == 0)
        return 0;
    size_t done = log_output_write(output, span_make(output->bytes, output->used), deadline);
    output->torn = done > 0 && output->bytes[done - 1] != '\n';
    while (done > 0 && output->bytes[done - 1] != '\n')
        done--;
    return done;
}

static size_t log_output_write_messages(const struct log_output *output, uint64_t deadline)
{
    struct span rest = span_make(output->bytes, output->used);
    while (rest.length > 0) {
        size_t length = span_find(rest, '\n');
        if (log_output_write(output, span_first(rest, length), deadline) < length)
            break;
        rest = length < rest.length ? span_skip(rest, length + 1) : SPAN_NONE;
    }
    return output->used - rest.length;
}

/* Takes what was written off what waits; true: that was all. */
static bool log_output_write_all(struct log_output *output, uint64_t deadline)
{
    size_t done = output->datagrams ? log_output_write_messages(output, deadline)
                                    : log_output_write_lines(output, deadline);
    if (done == output->used) {
        output->used = output->lines = 0;
        return true;
    }
    for (size_t i = 0; i < done; i++)
        output->lines -= output->bytes[i] == '\n';
    output->used -= done;
    memmove(output->bytes, output->bytes + done, output->used);
    return false;
}

/* The reader of a socket was started anew: the socket of before leads nowhere for good. */
static bool log_output_connect_again(struct log_output *output)
{
    struct log_output fresh = {.descriptor = -1};
    struct error ignored;
    int number = errno;
    bool gone = number == ECONNREFUSED || number == ECONNRESET || number == EPIPE || number == ENOTCONN;
    if (output->socket == NULL || !gone || !log_output_connect(&fresh, output->socket, &ignored)) {
        errno = number;
        return false;
    }
    close(output->descriptor);
    free(output->socket);
    output->descriptor = fresh.descriptor;
    output->datagrams = fresh.datagrams;
    output->socket = fresh.socket;
    output->torn = false;
    return true;
}

bool log_output_open(struct log_output *output, const char *where, struct error *error)
{
    *output = (struct log_output){.descriptor = -1};
    bool opened;
    if (strcmp(where, "off") == 0)
        return true;
    if (strcmp(where, "stdout") == 0)
        opened = log_output_open_stream(output, STDOUT_FILENO, error);
    else if (strcmp(where, "stderr") == 0)
        opened = log_output_open_stream(output, STDERR_FILENO, error);
    else if (strncmp(where, "unix:", 5) == 0)
        opened = log_output_connect(output, where + 5, error);
    else
        opened = log_output_open_file(output, where, error);
    struct stat status;
    output->file = opened && fstat(output->descriptor, &status) == 0 && S_ISREG(status.st_mode);
    return opened;
}

void log_output_close(struct log_output *output)
{
    if (output->descriptor >= 0)
        close(output->descriptor);
    free(output->bytes);
    free(output->socket);
    *output = (struct log_output){.descriptor = -1};
}

void log_output_add(struct log_output *output, struct span line, uint64_t deadline)
{
    if (output->descriptor < 0)
        return;
    if (output->bytes == NULL)
        output->bytes = xmalloc(LOG_OUTPUT_ROOM);
    if (line.length > LOG_OUTPUT_ROOM - output->used)
        log_output_flush(output, deadline);
    if (line.length > LOG_OUTPUT_ROOM) {
        counter_add(COUNTER_log_dropped, 1);
        output->lost++;
        output->lost_why = EMSGSIZE;
        return;
    }
    memcpy(output->bytes + output->used, line.at, line.length);
    output->used += line.length;
    output->lines++;
}

void log_output_flush(struct log_output *output, uint64_t deadline)
{
    if (output->used == 0)
        return;
    bool written = log_output_write_all(output, deadline) ||
                   (log_output_connect_again(output) && log_output_write_all(output, deadline));
    size_t dropped = written ? 0 : output->lines;
    output->used = 0;
    output->lines = 0;
    if (dropped == 0)
        return;
    counter_add(COUNTER_log_dropped, (int64_t)dropped);
    output->lost += dropped;
    output->lost_why = errno;
}

bool log_output_stderr(struct span bytes, uint64_t deadline)
{
    const struct log_output output = {.descriptor = STDERR_FILENO};
    return log_output_write(&output, bytes, deadline) == bytes.length;
}
