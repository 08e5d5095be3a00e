/* The life of a server's connection over HTTP/2, and what comes in. */
#include "oracle/server_h2.h"

#include <stdio.h>
#include <stdlib.h>

#include "oracle/report.h"
#include "oracle/settings.h"

static struct server_h2 *server_of(struct link *link)
{
    return (struct server_h2 *)(void *)link; /* its first member */
}

static void take_out(struct h2_answer *answer)
{
    struct server_h2 *server = answer->server;
    for (unsigned i = 0; i < server->count; i++)
        if (server->streams[i] == answer)
            server->streams[i] = server->streams[--server->count];
    evtimer_del(&answer->delay);
}

static void free_answer(struct h2_answer *answer)
{
    bytes_free(&answer->malformed);
    free(answer);
}

/* The library may be in the middle of any of them. */
void server_h2_abandon(struct server_h2 *server, const char *how)
{
    while (server->count != 0) {
        struct h2_answer *answer = server->streams[server->count - 1];
        struct attempt *a = answer->attempt;
        take_out(answer);
        answer->attempt = NULL;
        answer->next_lost = server->lost;
        server->lost = answer;
        a->give_up = NULL;
        if (how != NULL)
            judge_server_gone(a, how);
        attempt_over(a);
    }
}

void server_h2_end(struct server_h2 *server)
{
    for (unsigned i = 0; i < server->count; i++)
        server->streams[i]->attempt->failed = true;
    server->ended = server->h2.ended = true;
    link_finish(&server->link);
    server_h2_abandon(server, NULL);
}

static void give_up(struct attempt *a)
{
    struct h2_answer *answer = a->owner;
    server_h2_end(answer->server);
}

/* ---- requests ---- */

static struct exchange *exchange_of(void *stream)
{
    const struct attempt *a = ((struct h2_answer *)stream)->attempt;
    return a != NULL ? a->exchange : NULL;
}

static void on_delay(evutil_socket_t fd, short what, void *owner)
{
    struct h2_answer *answer = owner;
    (void)fd;
    (void)what;
    answer->delayed = false;
    server_h2_look(answer);
    server_h2_pump(answer->server);
}

static void request_ended(struct h2_answer *answer, const struct message *trailers)
{
    struct attempt *a = answer->attempt;
    if (a->tunnels) {
        answer->up_ended = true;
        if (!judge_tunnel_up_end(a))
            return;
    } else if (!judge_request_end(a, trailers)) {
        return;
    }
    server_h2_look(answer);
}

static struct h2_answer *begin(struct server_h2 *server, int32_t id, struct attempt *a)
{
    struct h2_answer *answer = calloc(1, sizeof *answer);
    if (answer == NULL || server->count == SERVED_MOST)
        abort();
    server->streams[server->count++] = answer;
    server->last_id = id;
    answer->server = server;
    answer->attempt = a;
    answer->id = id;
    a->owner = answer;
    a->give_up = give_up;
    evtimer_assign(&answer->delay, link_base, on_delay, answer);
    (void)nghttp2_session_set_stream_user_data(server->h2.session, id, answer);
    return answer;
}

static void on_head(struct h2 *h2, int32_t id, void *stream, struct message *message, bool last)
{
    static const struct message none;
    struct server_h2 *server = server_of(h2->link);
    struct h2_answer *answer = stream;
    if (message->method.at == NULL) {
        if (answer != NULL && answer->attempt != NULL)
            request_ended(answer, message);
        return;
    }
    struct attempt *a = judge_request(message, server->pool, server->ended, &server->link);
    if (a == NULL && !server->ended)
        server_h2_end(server);
    if (a == NULL)
        return;
    answer = begin(server, id, a);
    bool upgrade = a->exchange->plan.kind == KIND_UPGRADE;
    a->whole = upgrade && !last; /* of a CONNECT the head is all there is */
    if (last && !judge_request_end(a, &none))
        return;
    server_h2_begin(answer);
}

static void on_body(struct h2 *h2, void *stream, const char *bytes, size_t length)
{
    struct h2_answer *answer = stream;
    struct attempt *a = answer->attempt;
    (void)h2;
    if (a == NULL)
        return;
    if (a->exchange->plan.kind == KIND_UPGRADE && !a->tunnels) {
        if (length != 0 && !a->failed)
            report_fault(FAULT_UNSENT, a->exchange, a->link, "bytes of a tunnel that is not open");
        return;
    }
    if (a->tunnels ? judge_tunnel_up(a, bytes, length) : judge_request_body(a, bytes, length))
        server_h2_look(answer);
}

static void on_end(struct h2 *h2, void *stream)
{
    static const struct message none;
    struct h2_answer *answer = stream;
    struct attempt *a = answer->attempt;
    (void)h2;
    /* What was refused is ended by who asked. */
    if (a != NULL && (a->exchange->plan.kind != KIND_UPGRADE || a->tunnels))
        request_ended(answer, &none);
}

static void on_stream_closed(struct h2 *h2, void *stream, uint32_t error)
{
    struct h2_answer *answer = stream;
    struct attempt *a = answer->attempt;
    char how[64];
    (void)h2;
    if (a == NULL)
        return;
    (void)snprintf(how, sizeof how, "weir reset the stream: %s", nghttp2_http2_strerror(error));
    judge_server_gone(a, how);
    if (answer->attempt == NULL)
        return; /* that was a fault, and all were given up */
    take_out(answer);
    free_answer(answer);
}

static void on_settings(struct h2 *h2)
{
    (void)h2;
}

static void on_goaway(struct h2 *h2, uint32_t error)
{
    if (error == NGHTTP2_NO_ERROR || h2->ended)
        return;
    report_fault(FAULT_SYNTAX, NULL, h2->link, "weir said GOAWAY: %s", nghttp2_http2_strerror(error));
    server_h2_end(server_of(h2->link));
}

static void on_lost(struct h2 *h2)
{
    server_h2_abandon(server_of(h2->link), NULL);
}

static const struct h2_events h2_events = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .closed = on_stream_closed,
    .settings = on_settings,
    .goaway = on_goaway,
    .lost = on_lost,
    .exchange = exchange_of,
};

/* ---- the link ---- */

static void on_opened(struct link *link)
{
    struct server_h2 *server = server_of(link);
    /* None smaller than the protocol's own: the library takes what came before its SETTINGS for too much. */
    static const uint32_t windows[] = {65535, 65535, 200000, 1 << 20};
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, windows[draw_below(&server->draw, 4)]},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, draw_between(&server->draw, 1, 20)},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, draw_permille(&server->draw, 200) ? 0 : 4096},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, draw_permille(&server->draw, 200) ? 30000 : 16384},
    };
    (void)nghttp2_submit_settings(server->h2.session, 0, entries, 5);
    server_h2_pump(server);
}

static void on_received(struct link *link)
{
    struct server_h2 *server = server_of(link);
    h2_read(&server->h2);
    if (!link->dead)
        server_h2_pump(server);
    if (!link->dead && draw_permille(&server->draw, 4))
        link_pause(link, draw_between(&server->draw, 1, 12));
}

static void on_room(struct link *link)
{
    server_h2_pump(server_of(link));
}

static void on_ended(struct link *link)
{
    struct server_h2 *server = server_of(link);
    server->h2.ended = true;
    link_close(link);
    server_h2_abandon(server, "weir ended the connection");
}

static void on_broken(struct link *link)
{
    struct server_h2 *server = server_of(link);
    server->h2.ended = true;
    server_h2_abandon(server, "weir broke the connection");
}

static void on_freed(struct link *link)
{
    struct server_h2 *server = server_of(link);
    h2_end(&server->h2);
    while (server->lost != NULL) {
        struct h2_answer *answer = server->lost;
        server->lost = answer->next_lost;
        free_answer(answer);
    }
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

void server_h2_accept(int fd, unsigned pool, bool tls, struct draw draw)
{
    struct server_h2 *server = calloc(1, sizeof *server);
    if (server == NULL)
        abort();
    server->draw = draw;
    server->pool = pool;
    server->link.events = &link_events;
    h2_begin(&server->h2, &server->link, &h2_events, &server->draw, true);
    int buffer = draw_permille(&server->draw, 100) ? 4096 : 0;
    link_accept(&server->link, fd, tls ? settings.server_tls[1] : NULL, buffer);
    report_connection(true, tls, true);
    if (!tls)
        on_opened(&server->link);
}
