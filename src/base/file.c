/* What a path leads to is looked at before the first byte is waited for. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM_FIRST 4096u /* of a file that does not tell its size, such as those of /proc */

bool file_is_regular(const struct stat *status, const char *path, struct error *error)
{
    if (S_ISREG(status->st_mode))
        return true;
    const char *kind = S_ISDIR(status->st_mode)    ? "a folder"
                       : S_ISFIFO(status->st_mode) ? "a pipe"
                       : S_ISSOCK(status->st_mode) ? "a socket"
                                                   : "a device";
    return error_set(error, "cannot read %s: it is %s; a regular file is wanted", path, kind);
}

bool file_exists(const char *path, struct error *error)
{
    struct stat status;
    return stat(path, &status) == 0 ? file_is_regular(&status, path, error)
                                    : error_set_errno(error, errno, "cannot read %s", path);
}

/* `room`: what is expected; one byte more is asked for, so that the end is seen. */
static bool read_until_end(int descriptor, size_t room, size_t most, struct span *bytes)
{
    char *at = xmalloc(room + 2);
    size_t length = 0;
    ssize_t got;
    while ((got = read(descriptor, at + length, room + 1 - length)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            free(at);
            return false;
        }
        length += (size_t)got;
        if (length > most)
            break;
        if (length == room + 1) {
            room = 2 * length;
            at = xrealloc(at, room + 2);
        }
    }
    at[length] = '\0';
    *bytes = span_make(at, length);
    return true;
}

static bool read_bounded(int descriptor, const char *name, size_t room, size_t most, struct span *bytes,
                         struct error *error)
{
    if (!read_until_end(descriptor, room < most ? room : most, most, bytes))
        return error_set_errno(error, errno, "cannot read %s", name);
    if (bytes->length <= most)
        return true;
    free((char *)(uintptr_t)bytes->at);
    *bytes = SPAN_NONE;
    return error_set(error, "cannot read %s: it has over %zu %s", name,
                     most >= 1u << 20 ? most >> 20 : most >> 10, most >= 1u << 20 ? "MiB" : "KiB");
}

bool file_read_all(int descriptor, const char *name, size_t most, struct span *bytes, struct error *error)
{
    return read_bounded(descriptor, name, ROOM_FIRST, most, bytes, error);
}

bool file_read_status(const char *path, size_t most, struct span *bytes, struct stat *status,
                      struct error *error)
{
    /* Non-blocking for the opening: of a pipe that nobody writes to, or a device. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) { /* a socket's error would not say that it is one */
        int number = errno;
        return file_exists(path, error) && error_set_errno(error, number, "cannot read %s", path);
    }
    bool fine = fstat(descriptor, status) == 0 || error_set_errno(error, errno, "cannot read %s", path);
    fine = fine && file_is_regular(status, path, error) &&
           read_bounded(descriptor, path, status->st_size > 0 ? (size_t)status->st_size : ROOM_FIRST, most,
                        bytes, error);
    close(descriptor);
    return fine;
}

bool file_read(const char *path, size_t most, struct span *bytes, struct error *error)
{
    struct stat status;
    return file_read_status(path, most, bytes, &status, error);
}
