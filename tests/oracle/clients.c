#include "oracle/clients.h"

#include "oracle/client_h1.h"
#include "oracle/client_h2.h"
#include "oracle/settings.h"

static struct draw clients_draw;
static unsigned opened, idle; /* idle: slots without a connection */

static void open_one(void)
{
    if (!exchange_may_begin()) {
        idle++;
        return;
    }
    struct draw draw = {.state = draw_next(&clients_draw)};
    bool tls = settings.tls && draw_permille(&clients_draw, 300);
    bool either = opened++ < settings.slots ? opened % 2 == 0 : exchange_wants_http2();
    bool http2 = settings.in != 0 ? settings.in == 2 : either;
    if (http2)
        client_h2_open(tls, draw, open_one);
    else
        client_h1_open(tls, draw, open_one);
}

void clients_begin(void)
{
    clients_draw.state = draw_mix(settings.seed ^ 0xc1);
    for (unsigned i = 0; i < settings.slots; i++)
        open_one();
}

void clients_wake(void)
{
    unsigned count = idle;
    idle = 0;
    while (count-- != 0)
        open_one();
}
