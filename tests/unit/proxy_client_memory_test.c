/* Who goes where memory is short: those who have flooded, then who never asked, then who holds most. */
#include "proxy/client_memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/list.h"
#include "base/memory.h"
#include "config/config.h"
#include "http/http_conn.h"
#include "net/loop.h"
#include "proxy/client_conn.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "unit.h"

#define MOST ((size_t)64 << 20)
#define CLIENTS 8u

static struct worker worker;
static struct listener_config listener = {.name = "door"};
static struct site site = {.config = &listener};
static struct client {
    struct http_conn http;
    struct client_conn conn;
    size_t held;
} clients[CLIENTS];
static char went[CLIENTS + 1]; /* by their letters, in their order */

static size_t client_held(const struct http_conn *http)
{
    return CONTAINER_OF(http, struct client, http)->held;
}

static void client_closed(struct http_conn *http, enum http_close how)
{
    const struct client *client = CONTAINER_OF(http, struct client, http);
    assert_int_equal(how, HTTP_CLOSE_SOON);
    went[strlen(went)] = (char)('a' + (client - clients));
}

static const struct http_conn_ops ops = {
    .held = client_held, .close = client_closed, .least = (size_t)16 << 10};

/* a to h: in the order in which they came, some of them to the same list. */
struct one {
    struct list *list;
    size_t kib;
    bool passes, tls;
};
static const struct one crowd[CLIENTS] = {
    {&worker.clients, 44, false, false}, {&worker.fresh, 9, false, false},
    {&worker.fresh, 40, false, false},   {&worker.clients, 30, false, false},
    {&worker.clients, 15, false, false}, {&worker.fresh, 7, false, false},
    {&worker.flooded, 0, false, false},  {&worker.flooded, 1, false, false},
};
/* All of them but c have a request on its way, which is 16 KiB. */
static const struct one askers[CLIENTS] = {
    {&worker.clients, 16, false, false}, {&worker.clients, 76, true, false},
    {&worker.fresh, 1, false, false},    {&worker.clients, 16, true, true},
    {&worker.clients, 46, true, false},  {&worker.clients, 27, false, false},
    {&worker.clients, 18, false, false}, {&worker.clients, 15, true, false},
};

static int full_with(const struct one *ones)
{
    worker = (struct worker){.loop = loop_new()};
    list_init(&worker.clients);
    list_init(&worker.fresh);
    list_init(&worker.flooded);
    memset(went, 0, sizeof went);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *client = &clients[i];
        *client = (struct client){.http = {.ops = &ops}, .held = ones[i].kib << 10};
        client->conn = (struct client_conn){.worker = &worker, .site = &site, .http = &client->http};
        client->conn.peer.family = AF_INET;
        client->conn.released = true; /* no cap has counted it */
        client->conn.tls = ones[i].tls;
        client->conn.passed_at = (uint32_t)loop_now(worker.loop) - (ones[i].passes ? 0 : CLIENT_PASSES_MS);
        list_push_back(ones[i].list, &client->conn.at);
    }
    memory_limit(MOST);
    memory_thread_serves(&worker.memory);
    memory_count((ptrdiff_t)MOST);
    return memory_level() == MEMORY_FULL ? 0 : -1;
}

static int full_with_the_crowd(void **state)
{
    (void)state;
    return full_with(crowd);
}

static int full_with_askers(void **state)
{
    (void)state;
    return full_with(askers);
}

static int ends(void **state)
{
    (void)state;
    memory_count(-(ptrdiff_t)MOST);
    memory_thread_serves(NULL);
    memory_limit(0);
    loop_free(worker.loop);
    return 0;
}

/* e and f hold so little that they go for nobody. */
static void who_flooded_goes_first_for_another_worker(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CLIENTS; i++)
        client_memory_answer(&worker);
    assert_string_equal(went, "ghbcad");
}

/* a asks, who holds most: it does not go for itself, nor b, who holds less than half of that. */
static void who_flooded_goes_first_for_a_request(void **state)
{
    (void)state;
    for (const char *due = "ghcd"; *due != '\0'; due++) {
        assert_true(client_memory_make_room(&clients[0].conn));
        assert_int_equal(went[strlen(went) - 1], *due);
    }
}

/* What a request needs weighs nothing, and what is far beyond it a third, where bytes pass: else who reads a
 * byte now and then would outlive who waits. d and e pass bytes and hold no more than that takes: c, who
 * never asked, goes before them, though it holds next to nothing, and they do not go in the turn in which
 * others went. h holds little and goes for nobody. */
static void who_holds_beyond_what_a_request_needs_goes_first(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CLIENTS; i++)
        client_memory_answer(&worker);
    assert_string_equal(went, "fbgac");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_flooded_goes_first_for_another_worker, full_with_the_crowd, ends),
        cmocka_unit_test_setup_teardown(who_flooded_goes_first_for_a_request, full_with_the_crowd, ends),
        cmocka_unit_test_setup_teardown(who_holds_beyond_what_a_request_needs_goes_first, full_with_askers,
                                        ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
