/* The protocol of sd_notify(3): a datagram of lines to a Unix socket. Nobody listening is no failure. */
#include "control/service_notify.h"

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

static void service_notify(const char *message)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path != NULL ? strlen(path) : 0;
    if (length < 2 || length >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* the abstract namespace: no final NUL in the length */
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return;
    ssize_t sent = sendto(descriptor, message, strlen(message), MSG_NOSIGNAL,
                          (const struct sockaddr *)&address, size);
    (void)sent;
    close(descriptor);
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

void service_notify_stopping(void)
{
    service_notify("STOPPING=1");
}

void service_notify_alive(void)
{
    service_notify("WATCHDOG=1");
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
    if (process != NULL && (!text_to_number(span_of(process), INT32_MAX, &number) ||
                            number != (uint64_t)getpid()))
        return 0; /* meant for another process */
    return period / 1000u;
}
