#include "oracle/servers.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "oracle/link.h"
#include "oracle/server_h1.h"
#include "oracle/server_h2.h"
#include "oracle/settings.h"

static struct draw servers_draw;

static void on_accept(evutil_socket_t fd, short what, void *owner)
{
    unsigned pool = (unsigned)(uintptr_t)owner;
    (void)what;
    for (int got; (got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct draw draw = {.state = draw_next(&servers_draw)};
        if (pool % 2 == 0)
            server_h1_accept(got, pool, pool >= 2, draw);
        else
            server_h2_accept(got, pool, pool >= 2, draw);
    }
}

/* A socket that listens on a free port. */
static int listen_somewhere(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        perror("oracle: cannot listen");
        exit(2);
    }
    *port = ntohs(address.sin_port);
    return fd;
}

void servers_begin(void)
{
    int held[2];
    servers_draw.state = draw_mix(settings.seed ^ 0x5e);
    for (unsigned pool = 0; pool < POOLS; pool++)
        for (unsigned i = 0; i < SERVERS; i++) {
            int fd = listen_somewhere(&settings.server_ports[pool][i]);
            struct event *event =
                event_new(link_base, fd, EV_READ | EV_PERSIST, on_accept, (void *)(uintptr_t)pool);
            event_add(event, NULL);
        }
    for (unsigned i = 0; i < 2; i++)
        held[i] = listen_somewhere(&settings.weir_ports[i]);
    for (unsigned i = 0; i < 2; i++)
        close(held[i]);
}
