/* The life of a client's connection over HTTP/1, and what comes in. */
#include "oracle/client_h1.h"

#include <stdlib.h>
#include <string.h>

#include "oracle/judge.h"
#include "oracle/message.h"
#include "oracle/report.h"
#include "oracle/settings.h"

static struct client_h1 *client_of(struct link *link)
{
    return (struct client_h1 *)(void *)link; /* its first member */
}

/* ---- the end ---- */

/* Everything on the connection is over; judged says whether each has to have a reason. */
static void abandon(struct client_h1 *client, const char *how)
{
    struct exchange *all[QUEUE_MOST + 2];
    unsigned count = client->count;
    memcpy(all, client->queue, count * sizeof *all);
    if (client->sending != NULL)
        all[count++] = client->sending;
    if (client->last_one != NULL)
        all[count++] = client->last_one;
    client->count = 0;
    client->sending = client->last_one = NULL;
    client->ending = true;
    for (unsigned i = 0; i < count; i++) {
        if (i == 0 && how != NULL)
            judge_client_gone(all[i], how);
        else if (!all[i]->whole || !all[i]->ended)
            all[i]->gave_up = true; /* it came after one whose connection had to end */
        exchange_client_over(all[i]);
    }
}

void client_h1_cut(struct client_h1 *client, struct exchange *x, bool reset)
{
    x->was_reset = x->gave_up = true;
    x->torn = (reset || client->link.ssl != NULL) && x->tunnels && !x->ended;
    if (reset)
        link_reset(&client->link);
    else
        link_close(&client->link);
    abandon(client, NULL);
}

void client_h1_give_up(struct exchange *x)
{
    struct client_h1 *client = x->owner;
    link_close(&client->link);
    abandon(client, NULL);
    exchange_client_over(x);
}

/* ---- answers ---- */

/* What was pipelined behind an answer that is the last: it must not have been looked at. */
static void drop_queue(struct client_h1 *client)
{
    for (unsigned i = 0; i < client->count; i++) {
        struct exchange *x = client->queue[i];
        x->forbidden = x->gave_up = true;
        if (x->attempts_count != 0) {
            report_fault(FAULT_FORBIDDEN, x, &client->link, "it came behind the end of its connection");
            return;
        }
    }
}

static enum h1_body on_interim(struct client_h1 *client, struct exchange *x, const struct message *message)
{
    if (judge_interim(x, message) && message->status == 100) {
        client->released = true;
        client_h1_pump(client);
    }
    return H1_ANOTHER_HEAD;
}

static bool says_end(const struct exchange *x, const struct message *message)
{
    return message_says(message, "connection", "close") ||
           (x->plan.old && !message_says(message, "connection", "keep-alive"));
}

static enum h1_body on_head(void *owner, struct message *message)
{
    struct client_h1 *client = owner;
    if (client->count == 0) {
        report_fault(FAULT_ALIEN, NULL, &client->link, "an answer that nobody asked for");
        link_close(&client->link);
        return H1_NO_BODY;
    }
    struct exchange *x = client->queue[0];
    if (message->status < 200 && message->status != 101)
        return on_interim(client, x, message);
    if (!judge_answer(x, message))
        return H1_NO_BODY;
    if (message->status == 101) {
        client->step = CLIENT_TUNNEL;
        client_h1_pump(client);
        return H1_TUNNEL;
    }
    client->closes = client->closes || says_end(x, message);
    if (x->plan.cut.where == CUT_UNANSWERED && x->plan.cut.answer_at == 0)
        client_h1_cut(client, x, x->plan.cut.reset);
    else if (client->sending == x)
        client_h1_pump(client); /* the body may have waited for it */
    bool no_body = plan_is_head(&x->plan) || message->status == 204 || message->status == 304;
    return no_body ? H1_NO_BODY : H1_AS_SAID;
}

static void on_body(void *owner, const char *bytes, size_t length)
{
    struct client_h1 *client = owner;
    struct exchange *x = client->queue[0];
    if (client->step == CLIENT_TUNNEL || client->reader.state == H1_RAW) {
        (void)judge_tunnel_down(x, bytes, length);
        return;
    }
    if (!judge_answer_body(x, bytes, length))
        return;
    if (x->plan.cut.where == CUT_UNANSWERED && x->body_seen >= x->plan.cut.answer_at)
        client_h1_cut(client, x, x->plan.cut.reset);
}

static void end_connection(struct client_h1 *client, struct exchange *last)
{
    drop_queue(client);
    if (client->link.dead)
        return;
    if (last == client->sending || last->plan.tunnel.early != 0) {
        link_close(&client->link); /* what is still to be sent nobody wants */
        abandon(client, NULL);
        exchange_client_over(last);
        return;
    }
    client->last_one = last; /* until weir has ended the connection */
}

static void on_end(void *owner, const struct message *trailers)
{
    struct client_h1 *client = owner;
    struct exchange *x = client->queue[0];
    if (!judge_answer_end(x, trailers))
        return;
    memmove(client->queue, client->queue + 1, --client->count * sizeof *client->queue);
    /* Of what was refused nobody knows where it ends. */
    bool refused = x->plan.kind != KIND_PLAIN && x->plan.kind != KIND_UPGRADE;
    bool given_up = x == client->sending && x->plan.gives_up;
    if (client->closes || refused || given_up || x->plan.half_closes || x->plan.tunnel.early != 0) {
        client->ending = true;
        end_connection(client, x);
        return;
    }
    if (client->count != 0)
        client->reader.state = H1_HEAD;
    if (x != client->sending) {
        client->alone = client->alone && client->count != 0;
        exchange_client_over(x);
    }
    client_h1_pump(client);
}

static void on_wrong(void *owner, const char *what)
{
    struct client_h1 *client = owner;
    report_fault(FAULT_SYNTAX, client->count != 0 ? client->queue[0] : NULL, &client->link,
                 "the client got what is no HTTP: %s", what);
    link_close(&client->link);
    abandon(client, NULL);
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
    struct client_h1 *client = client_of(link);
    report_connection(false, client->tls, false);
    client_h1_pump(client);
}

static void on_received(struct link *link)
{
    struct client_h1 *client = client_of(link);
    h1_read(&client->reader);
    if (!link->dead && client->reader.state == H1_OVER && bytes_length(&link->in) != 0) {
        report_fault(FAULT_ALIEN, client->last_one, link, "bytes that nobody asked for");
        link_close(link);
        abandon(client, NULL);
    }
    if (!link->dead && draw_permille(&client->draw, 4))
        link_pause(link, draw_between(&client->draw, 1, 12));
}

/* A tunnel is over once both sides have ended, and what was sent has left. */
static void look_at_tunnel(struct client_h1 *client)
{
    struct link *link = &client->link;
    if (link->dead || client->reader.state != H1_RAW || !link->peer_end)
        return;
    struct exchange *x = client->queue[0];
    if (!link->shut && !x->answered->failed)
        return;
    x->whole = true;
    link_close(link);
    abandon(client, NULL);
}

static void on_room(struct link *link)
{
    client_h1_pump(client_of(link));
    look_at_tunnel(client_of(link));
}

static void on_ended(struct link *link)
{
    struct client_h1 *client = client_of(link);
    if (client->reader.state == H1_RAW) {
        if (judge_tunnel_down_end(client->queue[0]))
            client_h1_pump(client);
        look_at_tunnel(client);
        return;
    }
    h1_read_end(&client->reader);
    if (link->dead)
        return;
    bool between = client->count == 0 && client->last_one == NULL;
    if (between && client->sending == NULL && !client->ending)
        report_fault(FAULT_CUT, NULL, link, "a kept connection was ended without a word");
    link_close(link);
    abandon(client, client->last_one != NULL ? NULL : "weir ended the connection");
}

static void on_broken(struct link *link)
{
    struct client_h1 *client = client_of(link);
    abandon(client, client->last_one != NULL ? NULL : "weir broke the connection");
}

static void on_freed(struct link *link)
{
    struct client_h1 *client = client_of(link);
    void (*gone)(void) = client->gone;
    if (event_initialized(&client->fallback))
        evtimer_del(&client->fallback);
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

void client_h1_open(bool tls, struct draw draw, void (*gone)(void))
{
    struct client_h1 *client = calloc(1, sizeof *client);
    if (client == NULL)
        abort();
    client->draw = draw;
    client->tls = tls;
    client->gone = gone;
    client->depth = draw_permille(&client->draw, 500) ? 1 : draw_between(&client->draw, 2, QUEUE_MOST);
    client->left = draw_between(&client->draw, 1, 60);
    client->reader = (struct h1_reader){
        .events = &reader_events, .owner = client, .link = &client->link, .state = H1_OVER};
    client->link.events = &link_events;
    evtimer_assign(&client->fallback, link_base, NULL, NULL);
    int buffer = draw_permille(&client->draw, 100) ? 4096 : 0;
    link_connect(&client->link, settings.weir_ports[tls], tls ? settings.client_tls[0] : NULL, buffer);
}
