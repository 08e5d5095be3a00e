/* The protocol of sd_notify(3): a datagram of lines to a Unix socket. Nobody listening is no failure. */
#include "control/service_notify.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/span.h"
#include "base/text.h"

#define PATIENCE_MS 100 /* for a manager that is slow to read; the process does not hang for it */

/* Connected before privileges are dropped, since the socket may be root's; -1: nobody listens. */
static int descriptor = -1;

void service_notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path != NULL ? strlen(path) : 0;
    if (descriptor >= 0 || length < 2 || length >= sizeof address.sun_path ||
        (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* the abstract namespace: no final NUL in the length */
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor >= 0 && connect(descriptor, (const struct sockaddr *)&address, size) != 0) {
        close(descriptor);
        descriptor = -1;
    }
}

static void service_notify(const char *message)
{
    if (descriptor < 0 || send(descriptor, message, strlen(message), MSG_NOSIGNAL) >= 0 || errno != EAGAIN)
        return;
    struct pollfd ready = {.fd = descriptor, .events = POLLOUT};
    if (poll(&ready, 1, PATIENCE_MS) == 1)
        (void)!send(descriptor, message, strlen(message), MSG_NOSIGNAL);
}

void service_notify_ready(void)
{
    service_notify("READY=1");
}

void service_notify_reloading(void)
{
    char message[64];
    snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)clock_monotonic_us());
    service_notify(message);
}

void service_notify_stopping(uint64_t milliseconds)
{
    char message[64];
    snprintf(message, sizeof message, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
             (unsigned long long)milliseconds * 1000u);
    service_notify(message);
}

void service_notify_alive(void)
{
    service_notify("WATCHDOG=1");
}

void service_notify_extend(uint64_t milliseconds)
{
    char message[64];
    snprintf(message, sizeof message, "EXTEND_TIMEOUT_USEC=%llu", (unsigned long long)milliseconds * 1000u);
    service_notify(message);
}

void service_notify_status(const char *text)
{
    char message[256];
    snprintf(message, sizeof message, "STATUS=%s", text);
    service_notify(message);
}

uint64_t service_watchdog_period(void)
{
    const char *text = getenv("WATCHDOG_USEC");
    const char *process = getenv("WATCHDOG_PID");
    uint64_t period = 0, number = 0;
    if (text == NULL || !text_to_number(span_of(text), UINT64_MAX, &period))
        return 0;
    if (process != NULL &&
        (!text_to_number(span_of(process), INT32_MAX, &number) || number != (uint64_t)getpid()))
        return 0; /* meant for another process */
    return period / 1000u;
}
