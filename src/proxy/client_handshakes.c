/* Lists by age, of the worker and of each client in it: what a limit costs does not grow with it. */
#include "proxy/client_handshakes.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "base/map.h"
#include "config/config.h"
#include "proxy/client_caps.h"
#include "proxy/client_conn.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"

#define CLIENT_IPV6_PREFIX 64u /* what one subscriber usually holds */
/* Of limits.connections, where the file gives no number. */
#define SHARE_OF_ALL 2u
#define SHARE_OF_CLIENT 5u

struct client_handshakes {
    struct list all;
    uint64_t count;
    struct map *by_client; /* struct handshakes_of: as many as there are handshakes at most */
};
struct handshakes_of {
    struct list all;
    uint64_t count;
    struct ip_address client; /* masked */
};

struct client_handshakes *client_handshakes_new(void)
{
    struct client_handshakes *handshakes = xcalloc(1, sizeof *handshakes);
    list_init(&handshakes->all);
    handshakes->by_client = map_new();
    return handshakes;
}

void client_handshakes_free(struct client_handshakes *handshakes)
{
    if (handshakes == NULL)
        return;
    assert(handshakes->count == 0);
    map_free(handshakes->by_client);
    free(handshakes);
}

static uint64_t share(const struct client_conn *conn, uint64_t most, unsigned part)
{
    unsigned workers = conn->worker->peers_count > 1 ? conn->worker->peers_count : 1;
    if (most == HANDSHAKES_AUTO)
        most = client_caps_most(conn->lease) / part;
    return most != 0 ? (most - 1) / workers + 1 : 1;
}

/* The oldest first; the newest, for which there has to be room, is behind them. */
static void make_room(struct handshake *oldest, const char *limit)
{
    struct client_conn *conn = oldest->conn;
    handshake_end(oldest);
    if (conn->released)
        return; /* it is on its way out */
    log_warn("listener", "a client did not end its handshake, and went for another",
             KV("listener", conn->site->config->name), KV("limit", limit));
    client_conn_shed(conn);
}

void handshake_begin(struct handshake *handshake, struct client_conn *conn)
{
    struct client_handshakes *handshakes = conn->worker->handshakes;
    uint64_t most = share(conn, conn->lease->snapshot->config->limits.handshakes, SHARE_OF_ALL);
    if (list_is_linked(&handshake->at))
        return;
    handshake->conn = conn;
    list_push_back(&handshakes->all, &handshake->at);
    handshakes->count++;
    while (handshakes->count > most)
        make_room(CONTAINER_OF(handshakes->all.next, struct handshake, at), "limits.handshakes");
}

static struct span key_of(const struct ip_address *client)
{
    return span_make((const char *)client->bytes, sizeof client->bytes);
}

static struct handshakes_of *client_of(struct client_handshakes *handshakes, const struct ip_address *peer)
{
    struct ip_address masked = *peer;
    ip_address_mask(&masked, CLIENT_IPV6_PREFIX);
    struct handshakes_of *client = map_get(handshakes->by_client, key_of(&masked));
    if (client != NULL)
        return client;
    client = xcalloc(1, sizeof *client);
    client->client = masked;
    list_init(&client->all);
    map_set(handshakes->by_client, key_of(&masked), client);
    return client;
}

void handshake_known(struct handshake *handshake)
{
    struct client_conn *conn = handshake->conn;
    const uint64_t limit = conn->lease->snapshot->config->limits.handshakes_per_client;
    if (conn->peer.family == AF_UNIX || conn->peer.family == 0)
        return;
    /* without a limit too: one may come by a reload */
    uint64_t most = limit == HANDSHAKES_NONE ? UINT64_MAX : share(conn, limit, SHARE_OF_CLIENT);
    struct handshakes_of *client = client_of(conn->worker->handshakes, &conn->peer);
    handshake->client = client;
    list_push_back(&client->all, &handshake->of_client);
    client->count++;
    while (client->count > most)
        make_room(CONTAINER_OF(client->all.next, struct handshake, of_client),
                  "limits.handshakes_per_client");
}

void handshake_end(struct handshake *handshake)
{
    if (!list_is_linked(&handshake->at))
        return;
    struct client_handshakes *handshakes = handshake->conn->worker->handshakes;
    struct handshakes_of *client = handshake->client;
    list_remove(&handshake->at);
    handshakes->count--;
    if (client == NULL)
        return;
    list_remove(&handshake->of_client);
    handshake->client = NULL;
    if (--client->count != 0)
        return;
    (void)map_remove(handshakes->by_client, key_of(&client->client));
    free(client);
}
