/* The credit rule (architecture: backpressure) and nothing else; who is joined with whom is the exchange's
 * business. */
#include "proxy/relay.h"

#include "base/block.h"
#include "http/stream.h"

/* Credits all that is owed when less than half a window waits: so a sender never stalls for bytes that have
 * left, and what waits here is never more than one and a half windows. */
static void relay_settle(struct relay *relay)
{
    if (relay->uncredited == 0 || relay->from == NULL || relay_is_blocked(relay))
        return;
    size_t owed = relay->uncredited;
    relay->uncredited = 0;
    relay->from->ops->credit(relay->from, owed);
}

void relay_init(struct relay *relay, struct stream *from, size_t window)
{
    *relay = (struct relay){.from = from, .window = window};
}

void relay_attach(struct relay *relay, struct stream *to)
{
    relay->to = to;
    bool last = relay->ended && relay->trailers == NULL;
    if (!buf_is_empty(&relay->held))
        to->ops->send_body(to, &relay->held, last);
    if (relay->trailers != NULL)
        to->ops->send_trailers(to, relay->trailers);
}

void relay_rewind(struct relay *relay, struct buf *kept)
{
    relay->to = NULL;
    buf_prepend(&relay->held, kept);
    relay->queued = relay->held.length;
}

void relay_push(struct relay *relay, struct buf *bytes, size_t taken, bool last)
{
    relay->uncredited += taken;
    relay->queued += bytes->length;
    relay->ended = relay->ended || last;
    if (relay->to != NULL && (last || !buf_is_empty(bytes)))
        relay->to->ops->send_body(relay->to, bytes, last);
    else
        buf_join(&relay->held, bytes);
    relay_settle(relay);
}

void relay_end(struct relay *relay, struct fields *trailers)
{
    relay->ended = true;
    relay->trailers = trailers;
    if (relay->to != NULL)
        relay->to->ops->send_trailers(relay->to, trailers);
}

void relay_sent(struct relay *relay, size_t bytes)
{
    relay->queued -= bytes < relay->queued ? bytes : relay->queued;
    relay_settle(relay);
}

void relay_discard(struct relay *relay, struct buf *bytes, size_t taken)
{
    buf_clear(bytes);
    if (relay->from != NULL && taken != 0)
        relay->from->ops->credit(relay->from, taken);
}

void relay_drop(struct relay *relay)
{
    relay->to = NULL;
    relay->queued = 0;
    buf_clear(&relay->held);
    relay_settle(relay);
}

void relay_clear(struct relay *relay)
{
    buf_clear(&relay->held);
    relay->from = relay->to = NULL;
    relay->queued = relay->uncredited = 0;
}
