/* See upstream_bench.h. */
#include "support/upstream_bench.h"

#include <stdio.h>
#include <unistd.h>

#include "http/stream.h"
#include "net/socket.h"
#include "support/fake_codec.h"
#include "support/loop_run_for.h"
#include "unit/unit.h"
#include "upstream/balance.h"

void bench_run(struct bench *bench, unsigned milliseconds)
{
    loop_run_for(bench->loop, milliseconds);
}

struct address listening_address(int *fd)
{
    struct error error;
    struct address address;
    assert_true(address_parse(&address, "127.0.0.1:0", &error));
    *fd = socket_listen(&address, 16, 0, &error);
    assert_true(*fd >= 0);
    address.length = sizeof address.socket;
    assert_int_equal(getsockname(*fd, &address.socket.any, &address.length), 0);
    return address;
}

void bench_add(struct bench *bench, const struct address *addresses, size_t count)
{
    size_t at = bench->pool.servers_count++;
    char text[ADDRESS_TEXT_MAX], name[8];
    struct span printed = address_print(&addresses[0], text);
    (void)printed;
    snprintf(name, sizeof name, "s%zu", at);
    bench->members[at] = (struct pool_server){
        .server = server_set_take(bench->set, bench->pool.shared, name, name, addresses, count),
        .weight = 1,
        .max_connections = (uint32_t)bench->config.max_connections,
    };
    bench->pool.limited = bench->config.max_connections != 0;
    bench->pool.adapts = bench->config.max_connections == SERVER_ADAPTS;
}

void bench_begin(struct bench *bench, size_t servers, uint64_t max_connections)
{
    memset(bench, 0, sizeof *bench);
    fake_codec_hint = -1;
    bench->config = (struct pool_config){
        .name = "api",
        .max_connections = max_connections,
        .queue = {.size = 2, .max_wait = 150},
        .retry = {.budget = 20},
        .connect_timeout = 200,
        .idle_timeout = 4000,
        .idle_connections = 64,
        .fast_down = 2,
    };
    bench->loop = loop_new();
    bench->set = server_set_new();
    bench->upstreams = upstreams_new(bench->loop, 0, NULL, NULL);
    bench->pool = (struct pool){
        .config = &bench->config,
        .name = "api",
        .servers = bench->members,
        .shared = server_set_take_pool(bench->set, "api"),
        .balancer = balancers[BALANCE_ROUND_ROBIN],
    };
    for (size_t i = 0; i < servers; i++) {
        struct address address = listening_address(&bench->listening[i]);
        bench_add(bench, &address, 1);
    }
    for (size_t i = 0; i < ASKS_MOST; i++)
        bench->askers[i].bench = bench;
}

/* Every slot is free again, nobody refers to the servers, and they can be swept. */
void bench_end(struct bench *bench)
{
    upstreams_free(bench->upstreams);
    if (bench->pool.plan != NULL)
        bench->pool.balancer->dispose(bench->pool.plan);
    assert_int_equal(bench->pool.shared->waiting, 0);
    for (size_t i = 0; i < bench->pool.servers_count; i++) {
        assert_int_equal(bench->members[i].server->in_flight, 0);
        assert_int_equal(bench->members[i].server->awaiting, 0);
        assert_int_equal(bench->members[i].server->references, 1);
        server_release(bench->members[i].server);
        close(bench->listening[i]);
    }
    pool_shared_release(bench->pool.shared);
    server_set_sweep(bench->set);
    server_set_free(bench->set);
    loop_free(bench->loop);
}

static void asker_closed(struct stream *stream, enum failure why)
{
    struct asker *asker = stream->owner;
    asker->closed = why;
    asker->stream = NULL;
    asker->done++;
    upstream_done(asker->bench->upstreams, &asker->waiter, why);
}

static const struct stream_events asker_events = {.closed = asker_closed};

static void asker_ready(struct upstream_waiter *waiter, struct stream *stream)
{
    struct asker *asker = CONTAINER_OF(waiter, struct asker, waiter);
    assert_false(asker->in_call);
    asker->ready++;
    asker->stream = stream;
    stream->events = &asker_events;
    stream->owner = asker;
    stream->ops->send_head(stream, NULL, true);
}

static void asker_failed(struct upstream_waiter *waiter, enum failure why)
{
    struct asker *asker = CONTAINER_OF(waiter, struct asker, waiter);
    assert_false(asker->in_call);
    asker->failed++;
    asker->failure = why;
}

struct asker *ask(struct bench *bench, unsigned number)
{
    struct asker *asker = &bench->askers[number];
    if (bench->pool.plan == NULL)
        assert_true(bench->pool.balancer->prepare(&bench->pool, &bench->pool.plan, NULL));
    memset(asker, 0, sizeof *asker);
    asker->bench = bench;
    asker->waiter.ready = asker_ready;
    asker->waiter.failed = asker_failed;
    asker->waiter.pool = &bench->pool;
    asker->waiter.priority = PRIORITY_NORMAL;
    asker->in_call = true;
    upstream_open(bench->upstreams, &asker->waiter);
    asker->in_call = false;
    return asker;
}

/* The server's side: takes a connection, answers one. */
int serve(struct bench *bench, unsigned server)
{
    return accept(bench->listening[server], NULL, NULL);
}

void answer(struct bench *bench, int fd, char how)
{
    char request;
    assert_int_equal(recv(fd, &request, 1, 0), 1);
    assert_int_equal(request, 'q');
    assert_int_equal(send(fd, &how, 1, 0), 1);
    bench_run(bench, 10);
}

int64_t counted(enum counter_id id)
{
    return counter_cells->value[id];
}
