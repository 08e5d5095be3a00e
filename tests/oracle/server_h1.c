/* The life of a server's connection over HTTP/1, and what comes in. */
#include "oracle/server_h1.h"

#include <stdlib.h>

#include "oracle/message.h"
#include "oracle/report.h"
#include "oracle/settings.h"

static struct server_h1 *server_of(struct link *link)
{
    return (struct server_h1 *)(void *)link; /* its first member */
}

static void gone(struct server_h1 *server, const char *how)
{
    struct attempt *a = server->attempt;
    server->attempt = NULL;
    server->step = SERVER_OVER;
    if (a != NULL)
        judge_server_gone(a, how);
}

static void give_up(struct attempt *a)
{
    struct server_h1 *server = a->owner;
    link_close(&server->link);
    server->attempt = NULL;
    server->step = SERVER_OVER;
    attempt_over(a);
}

void server_h1_next(struct server_h1 *server)
{
    struct attempt *a = server->attempt;
    server->attempt = NULL;
    server->step = SERVER_WAITS;
    server->reader.state = H1_HEAD;
    attempt_over(a);
}

/* ---- requests ---- */

static void fault(struct server_h1 *server, enum fault fault, const char *what)
{
    struct attempt *a = server->attempt;
    report_fault(fault, a != NULL ? a->exchange : NULL, &server->link, "%s", what);
    link_close(&server->link);
    gone(server, "after a fault");
}

static enum h1_body on_head(void *owner, struct message *message)
{
    struct server_h1 *server = owner;
    unsigned count;
    if (server->surplus) {
        fault(server, FAULT_ALIEN, "a connection on which more was said than asked for is used again");
        return H1_NO_BODY;
    }
    server->websocket_key.begin = server->websocket_key.end = 0;
    struct span key = message_field(message, "sec-websocket-key", &count);
    bytes_add(&server->websocket_key, key.at, key.length);
    struct attempt *a = judge_request(message, server->pool, server->ended, &server->link);
    if (a == NULL && !server->ended)
        link_close(&server->link);
    if (a == NULL)
        return H1_AS_SAID;
    server->attempt = a;
    a->owner = server;
    a->give_up = give_up;
    server_h1_begin(server);
    return a->tunnels ? H1_TUNNEL : H1_AS_SAID;
}

static void on_body(void *owner, const char *bytes, size_t length)
{
    struct server_h1 *server = owner;
    struct attempt *a = server->attempt;
    if (a == NULL)
        return;
    bool good = a->tunnels ? judge_tunnel_up(a, bytes, length) : judge_request_body(a, bytes, length);
    if (good)
        server_h1_pump(server);
}

static void on_end(void *owner, const struct message *trailers)
{
    struct server_h1 *server = owner;
    struct attempt *a = server->attempt;
    if (a == NULL || !judge_request_end(a, trailers))
        return;
    if (a->ended && server->step == SERVER_WAITS)
        server_h1_next(server);
    else
        server_h1_pump(server);
}

static void on_wrong(void *owner, const char *what)
{
    fault(owner, FAULT_SYNTAX, what);
}

static const struct h1_reader_events reader_events = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .wrong = on_wrong,
};

/* ---- the link ---- */

static void on_opened(struct link *link)
{
    (void)link;
}

static void on_received(struct link *link)
{
    struct server_h1 *server = server_of(link);
    if (server->discards) {
        bytes_take(&link->in, bytes_length(&link->in));
        return;
    }
    h1_read(&server->reader);
    if (!link->dead && !server->discards && server->reader.state == H1_OVER && bytes_length(&link->in) != 0)
        fault(server, FAULT_UNSENT, "bytes behind a request that is not answered");
    if (!link->dead && draw_permille(&server->draw, 4))
        link_pause(link, draw_between(&server->draw, 1, 12));
}

/* A tunnel is over once both sides have ended, and what was sent has left; cut or not. */
static void look_at_tunnel(struct server_h1 *server)
{
    struct link *link = &server->link;
    const struct attempt *a = server->attempt;
    if (link->dead || a == NULL || !a->tunnels || !link->peer_end)
        return;
    if (!link->shut && !a->exchange->gave_up)
        return;
    link_close(link);
    gone(server, "weir ended the tunnel");
}

static void on_room(struct link *link)
{
    server_h1_pump(server_of(link));
    look_at_tunnel(server_of(link));
}

static void on_ended(struct link *link)
{
    struct server_h1 *server = server_of(link);
    if (server->step == SERVER_TUNNEL) {
        if (judge_tunnel_up_end(server->attempt))
            server_h1_pump(server);
        look_at_tunnel(server);
        return;
    }
    link_close(link);
    gone(server, "weir ended the connection");
}

static void on_broken(struct link *link)
{
    gone(server_of(link), "weir broke the connection");
}

static void on_freed(struct link *link)
{
    struct server_h1 *server = server_of(link);
    evtimer_del(&server->delay);
    bytes_free(&server->websocket_key);
    free(server);
}

static const struct link_events link_events = {
    .opened = on_opened,
    .received = on_received,
    .room = on_room,
    .ended = on_ended,
    .broken = on_broken,
    .freed = on_freed,
};

static void on_delay(evutil_socket_t fd, short what, void *owner)
{
    struct server_h1 *server = owner;
    (void)fd;
    (void)what;
    server->delayed = false;
    server_h1_pump(server);
    look_at_tunnel(server);
}

void server_h1_accept(int fd, unsigned pool, bool tls, struct draw draw)
{
    struct server_h1 *server = calloc(1, sizeof *server);
    if (server == NULL)
        abort();
    server->draw = draw;
    server->pool = pool;
    server->reader = (struct h1_reader){
        .events = &reader_events, .owner = server, .link = &server->link, .requests = true};
    server->link.events = &link_events;
    evtimer_assign(&server->delay, link_base, on_delay, server);
    int buffer = draw_permille(&server->draw, 100) ? 4096 : 0;
    link_accept(&server->link, fd, tls ? settings.server_tls[0] : NULL, buffer);
    report_connection(false, tls, true);
}
