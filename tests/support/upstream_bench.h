/*
 * One worker's upstream side over a real loop, and servers that are listening sockets without anybody behind
 * but the test; with the codec of fake_codec.h.
 */
#ifndef WEIR_TESTS_UPSTREAM_BENCH_H
#define WEIR_TESTS_UPSTREAM_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/counters.h"
#include "config/pool_config.h"
#include "net/address.h"
#include "net/loop.h"
#include "upstream/pool.h"
#include "upstream/upstream.h"

#define SERVERS_MOST 3
#define ASKS_MOST 8

struct asker {
    struct upstream_waiter waiter;
    struct bench *bench;
    struct stream *stream;
    enum failure failure; /* of failed() */
    enum failure closed;
    unsigned ready, failed, done;
    bool in_call;
};
struct bench {
    struct loop *loop;
    struct upstreams *upstreams;
    struct server_set *set;
    struct pool_config config;
    struct health_config health;
    struct pool_server members[SERVERS_MOST];
    struct pool pool;
    int listening[SERVERS_MOST];
    struct asker askers[ASKS_MOST];
};

void bench_run(struct bench *bench, unsigned milliseconds);
struct address listening_address(int *fd);
/* One more server with these addresses. */
void bench_add(struct bench *bench, const struct address *addresses, size_t count);
void bench_begin(struct bench *bench, size_t servers, uint64_t max_connections);
/* Checks that every slot is free again and nobody refers to the servers. */
void bench_end(struct bench *bench);
/* Opens with the number-th asker. */
struct asker *ask(struct bench *bench, unsigned number);
/* The server's side: takes a connection. */
int serve(struct bench *bench, unsigned server);
/* The server's side: answers one request, and lets the loop run. */
void answer(struct bench *bench, int fd, char how);
int64_t counted(enum counter_id id);

#endif
