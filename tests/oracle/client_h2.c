/* The life of a client's connection over HTTP/2, and what comes in. */
#include "oracle/client_h2.h"

#include <stdlib.h>

#include "oracle/judge.h"
#include "oracle/report.h"
#include "oracle/settings.h"

#define WINDOW_OPENED 20000

static struct client_h2 *client_of(struct link *link)
{
    return (struct client_h2 *)(void *)link; /* its first member */
}

static struct client_h2 *client_of_h2(struct h2 *h2)
{
    return client_of(h2->link);
}

/* ---- the end ---- */

static void take_out(struct h2_request *request)
{
    struct client_h2 *client = request->client;
    for (unsigned i = 0; i < client->count; i++)
        if (client->streams[i] == request)
            client->streams[i] = client->streams[--client->count];
    evtimer_del(&request->fallback);
}

static void free_request(struct h2_request *request)
{
    bytes_free(&request->malformed);
    free(request);
}

/* Everything on the connection is over; with `how`, each has to have a reason. The library may be in the
 * middle of any. */
void client_h2_abandon(struct client_h2 *client, const char *how)
{
    client->ending = client->h2.ended = true;
    while (client->count != 0) {
        struct h2_request *request = client->streams[client->count - 1];
        struct exchange *x = request->exchange;
        take_out(request);
        request->exchange = NULL;
        request->next_lost = client->lost;
        client->lost = request;
        x->give_up = NULL;
        if (how != NULL)
            judge_client_gone(x, how);
        x->gave_up = x->gave_up || !x->whole || !x->ended;
        exchange_client_over(x);
    }
}

void client_h2_give_up(struct exchange *x)
{
    struct h2_request *request = x->owner;
    struct client_h2 *client = request->client;
    link_close(&client->link);
    client_h2_abandon(client, NULL);
}

/* ---- what comes ---- */

static struct exchange *exchange_of(void *stream)
{
    return ((struct h2_request *)stream)->exchange;
}

static void look_at_cut(struct h2_request *request)
{
    struct exchange *x = request->exchange;
    if (x->plan.cut.where == CUT_UNANSWERED && x->plan.cut.answer_at <= x->body_seen && !x->whole)
        request->cuts = x->gave_up = x->was_reset = true;
}

static void message_ended(struct h2_request *request, const struct message *trailers)
{
    struct exchange *x = request->exchange;
    if (x->tunnels) {
        request->down_ended = true;
        x->whole = judge_tunnel_down_end(x);
    } else {
        (void)judge_answer_end(x, trailers);
    }
    if (x->failed)
        return;
    bool refused = x->plan.kind != KIND_PLAIN && !x->tunnels;
    if ((x->plan.gives_up || refused) && !x->ended)
        request->cuts = x->gave_up = true; /* what of it is still to be sent nobody wants */
    client_h2_resume(request);
}

static void on_head(struct h2 *h2, int32_t id, void *stream, struct message *message, bool last)
{
    static const struct message none;
    struct h2_request *request = stream;
    struct exchange *x = request != NULL ? request->exchange : NULL;
    if (x == NULL)
        return;
    if (message->status == 0) {
        message_ended(request, message);
    } else if (message->status < 200) {
        request->released = request->released || message->status == 100;
        (void)judge_interim(x, message);
    } else if (judge_answer(x, message)) {
        look_at_cut(request);
        if (request->client->opens)
            (void)nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, id, WINDOW_OPENED);
        if (last)
            message_ended(request, &none);
    }
    if (!h2->link->dead && !h2->ended)
        client_h2_resume(request);
}

static void on_body(struct h2 *h2, void *stream, const char *bytes, size_t length)
{
    struct h2_request *request = stream;
    struct exchange *x = request->exchange;
    (void)h2;
    if (x == NULL)
        return;
    if (x->tunnels)
        (void)judge_tunnel_down(x, bytes, length);
    else if (judge_answer_body(x, bytes, length))
        look_at_cut(request);
}

static void on_end(struct h2 *h2, void *stream)
{
    static const struct message none;
    (void)h2;
    if (exchange_of(stream) != NULL)
        message_ended(stream, &none);
}

static void on_stream_closed(struct h2 *h2, void *stream, uint32_t error)
{
    struct h2_request *request = stream;
    struct exchange *x = request->exchange;
    char how[64];
    (void)h2;
    if (x == NULL)
        return;
    (void)snprintf(how, sizeof how, "weir reset the stream: %s", nghttp2_http2_strerror(error));
    judge_client_gone(x, how);
    if (request->exchange == NULL)
        return; /* that was a fault, and all were given up */
    take_out(request);
    free_request(request);
}

static void on_settings(struct h2 *h2)
{
    client_of_h2(h2)->ready = true;
}

static void on_goaway(struct h2 *h2, uint32_t error)
{
    struct client_h2 *client = client_of_h2(h2);
    client->ending = true;
    if (error == NGHTTP2_NO_ERROR)
        return;
    report_fault(FAULT_SYNTAX, NULL, h2->link, "weir said GOAWAY: %s", nghttp2_http2_strerror(error));
    link_close(h2->link);
    client_h2_abandon(client, NULL);
}

static void on_lost(struct h2 *h2)
{
    client_h2_abandon(client_of_h2(h2), NULL);
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

/* Windows from small to large; what a client leaves under 256 bytes is served one at a time. */
static void send_settings(struct client_h2 *client)
{
    static const uint32_t windows[] = {65535, 65535, 2000, 4096, 16384, 200000, 1 << 20};
    uint32_t window = client->opens ? 0 : windows[draw_below(&client->draw, 7)];
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, draw_permille(&client->draw, 200) ? 0 : 4096},
    };
    (void)nghttp2_submit_settings(client->h2.session, 0, entries, 3);
}

static void on_opened(struct link *link)
{
    struct client_h2 *client = client_of(link);
    report_connection(true, client->tls, false);
    send_settings(client);
    client_h2_pump(client);
}

static void on_received(struct link *link)
{
    struct client_h2 *client = client_of(link);
    h2_read(&client->h2);
    if (!link->dead)
        client_h2_pump(client);
    if (!link->dead && draw_permille(&client->draw, 4))
        link_pause(link, draw_between(&client->draw, 1, 12));
}

static void on_room(struct link *link)
{
    client_h2_pump(client_of(link));
}

static void on_ended(struct link *link)
{
    struct client_h2 *client = client_of(link);
    bool told = client->ending;
    if (!told && client->count == 0)
        report_fault(FAULT_CUT, NULL, link, "weir ended a connection without GOAWAY");
    link_close(link);
    client_h2_abandon(client, "weir ended the connection");
}

static void on_broken(struct link *link)
{
    client_h2_abandon(client_of(link), "weir broke the connection");
}

static void on_freed(struct link *link)
{
    struct client_h2 *client = client_of(link);
    void (*gone)(void) = client->gone;
    h2_end(&client->h2);
    while (client->lost != NULL) {
        struct h2_request *request = client->lost;
        client->lost = request->next_lost;
        free_request(request);
    }
    free(client);
    gone();
}

static const struct link_events link_events = {
    .opened = on_opened,
    .received = on_received,
    .room = on_room,
    .ended = on_ended,
    .broken = on_broken,
    .freed = on_freed,
};

void client_h2_open(bool tls, struct draw draw, void (*gone)(void))
{
    struct client_h2 *client = calloc(1, sizeof *client);
    if (client == NULL)
        abort();
    client->draw = draw;
    client->tls = tls;
    client->gone = gone;
    client->opens = draw_permille(&client->draw, 60);
    client->depth = client->opens ? 1 : draw_between(&client->draw, 1, STREAMS_MOST);
    client->left = draw_between(&client->draw, 1, 200);
    client->link.events = &link_events;
    h2_begin(&client->h2, &client->link, &h2_events, &client->draw, false);
    int buffer = draw_permille(&client->draw, 100) ? 4096 : 0;
    link_connect(&client->link, settings.weir_ports[tls], tls ? settings.client_tls[1] : NULL, buffer);
}
