/* What becomes of TLS connections while memory is short: the n-th allocation fails, OpenSSL's among them, for
 * every n until none is left to fail. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/loop_run_for.h"
#include "support/no_memory.h"
#include "tls/tls_private.h"
#include "tls/tls_self_signed.h"
#include "unit.h"

#define NAME "a.test"

static struct loop *loop;
static struct tls_files *files;
static struct tls_tickets *tickets;
static struct tls_store *store;
static struct tls_client *client;

/* One end of a connection, as its owner hears of it. */
struct side {
    struct transport *transport;
    bool opened, closed;
    int error; /* of closed() */
};

static void on_opened(struct transport *transport)
{
    ((struct side *)transport->owner)->opened = true;
}

static void on_received(struct transport *transport, struct buf *bytes)
{
    (void)transport;
    buf_clear(bytes);
}

static void on_sent(struct transport *transport, size_t bytes)
{
    (void)transport;
    (void)bytes;
}

static void on_ended(struct transport *transport)
{
    transport_close(transport);
}

static void on_closed(struct transport *transport, int error)
{
    struct side *side = transport->owner;
    assert_false(side->closed); /* once */
    side->closed = true;
    side->error = error;
}

static const struct transport_events events = {
    .opened = on_opened, .received = on_received, .sent = on_sent, .ended = on_ended, .closed = on_closed};

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void pair_make(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
}

static void side_accepts(struct side *side, int fd)
{
    side->transport = tls_transport_accept(loop, fd, store, NULL, &events, side);
}

static void side_connects(struct side *side, int fd)
{
    side->transport = tls_transport_connect(loop, fd, false, client, NAME, &events, side);
}

static void side_ends(struct side *side)
{
    if (!side->closed)
        transport_close(side->transport);
    RUN_UNTIL(loop, side->closed);
    loop_turn(loop);
}

/* Both ends shake hands while nothing fails. */
static void hands_are_shaken(void)
{
    int pair[2];
    struct side server = {.transport = NULL}, asker = {.transport = NULL};
    pair_make(pair);
    side_accepts(&server, pair[0]);
    side_connects(&asker, pair[1]);
    assert_non_null(server.transport);
    assert_non_null(asker.transport);
    RUN_UNTIL(loop, (server.opened && asker.opened) || server.closed || asker.closed);
    if (!server.opened || !asker.opened)
        fail_msg("no handshake: %s at the server, %s at the client", transport_error_text(server.error),
                 transport_error_text(asker.error));
    assert_span(tls_transport_facts(server.transport).server_name, NAME);
    side_ends(&asker);
    side_ends(&server);
    assert_false(is_open(pair[0]));
    assert_false(is_open(pair[1]));
}

static size_t pieces_now(void)
{
    ERR_clear_error();
    OPENSSL_thread_stop(); /* what OpenSSL keeps for the thread */
    return no_memory_pieces();
}

/* Allocation n of making it fails; false: it has no n-th one. */
static bool making_fails(unsigned n, void (*make)(struct side *side, int fd))
{
    int pair[2];
    struct side side = {.transport = NULL};
    pair_make(pair);
    no_memory_at(n);
    make(&side, pair[0]);
    bool came = no_memory_came();
    assert_false(side.closed); /* not from inside */
    if (side.transport == NULL) {
        assert_true(came);
        assert_true(is_open(pair[0])); /* the caller's still */
        close(pair[0]);
    } else {
        /* The one failure that is told later is a watch that was not to be had. */
        RUN_UNTIL(loop, side.closed || !came);
        if (came)
            assert_int_equal(side.error, ENOMEM);
        side_ends(&side);
        assert_false(is_open(pair[0]));
    }
    close(pair[1]);
    return came;
}

/* Held by the test alone: no transport that was half made has kept a reference. */
static void expect_no_references(void)
{
    assert_int_equal(atomic_load(&store->references), 1);
    assert_int_equal(atomic_load(&client->references), 1);
}

static void each_allocation_fails_in_turn(void (*make)(struct side *side, int fd))
{
    unsigned n = 1;
    for (unsigned i = 0; i < 3; i++) /* what is made once for the process */
        hands_are_shaken();
    size_t before = pieces_now();
    while (making_fails(n, make)) {
        size_t after = pieces_now();
        if (after > before)
            fail_msg("allocation %u failed, and %zu pieces are still held", n, after - before);
        expect_no_references();
        n++;
    }
    assert_true(n > 5);
    hands_are_shaken();
    expect_no_references();
    assert_true(pieces_now() <= before);
}

static void a_server_side_that_cannot_be_made_leaves_nothing(void **state)
{
    (void)state;
    each_allocation_fails_in_turn(side_accepts);
}

/* One that is made asks for its name and verifies it, or fails for want of memory: never without a name. */
static void a_client_side_that_cannot_be_made_leaves_nothing(void **state)
{
    (void)state;
    each_allocation_fails_in_turn(side_connects);
}

static int begin(void **state)
{
    static char directory[] = "/tmp/weir-tls-no-memory-XXXXXX";
    char cert[64], key[64];
    struct error error = {.text = ""};
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(cert, sizeof cert, "%s/cert.pem", directory);
    snprintf(key, sizeof key, "%s/key.pem", directory);
    assert_true(tls_begin(&error));
    assert_true(tls_self_signed(cert, key, "DNS:" NAME, &error));
    struct certificate_config certificate = {.cert = cert, .key = key};
    struct tls_config config = {.certificates_count = 1,
                                .certificates = &certificate,
                                .min_version = TLS_VERSION_1_2,
                                .max_version = TLS_VERSION_1_3,
                                .ciphers = TLS_CIPHERS,
                                .ciphersuites = TLS_CIPHERSUITES};
    struct upstream_tls_config upstream = {.verify = SERVER_VERIFY_FULL, .ca = cert};
    loop = loop_new();
    files = tls_files_new();
    tickets = tls_tickets_new();
    tls_files_begin(files, 1, false, NULL);
    store = tls_store_new(&config, 1, files, tickets, &error);
    client = store != NULL ? tls_client_new(&upstream, 1, files, &error) : NULL;
    unlink(cert);
    unlink(key);
    rmdir(directory);
    if (client == NULL)
        print_error("%s\n", error.text);
    return client != NULL ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    tls_client_release(client);
    tls_store_release(store);
    tls_tickets_free(tickets);
    tls_files_free(files);
    loop_free(loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_side_that_cannot_be_made_leaves_nothing),
        cmocka_unit_test(a_client_side_that_cannot_be_made_leaves_nothing),
    };
    if (CRYPTO_set_mem_functions(no_memory_get, no_memory_grow, no_memory_free) != 1)
        return 1;
    return cmocka_run_group_tests(tests, begin, end);
}
