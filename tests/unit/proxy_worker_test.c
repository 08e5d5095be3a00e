/*
 * A worker on its thread with real sockets: requests on kept connections across reloads, listeners that go,
 * caps, PROXY prefaces cut at every byte, draining and stopping. The action is always weir's own answer;
 * servers are tested elsewhere.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/memory.h"
#include "net/address.h"
#include "net/socket.h"
#include "proxy/worker.h"
#include "proxy_fixture.h"
#include "upstream/upstream.h"

/* An address of its own: ports of 127.0.0.1 are drawn by integration tests that may run beside. */
#define FIRST "127.21.12.1:21120"
#define SECOND "127.21.12.1:21121"
#define SERVER "127.21.12.1:21129"
#define PATIENCE_S 30 /* nothing is waited for that long but by a fault */
#define LISTENERS_MOST 2

struct rig {
    struct shared_state *shared;
    struct worker *worker;
    int fds[LISTENERS_MOST];
    unsigned fds_count;
};

static _Atomic unsigned came_home, told_drained, told_unlistened;

/* On the worker's thread; control would free it there by letter. These tests free at the end. */
static struct snapshot *homes[8];
static void bring_home(struct snapshot *snapshot)
{
    homes[atomic_fetch_add(&came_home, 1)] = snapshot;
}

static void drained(struct worker *worker)
{
    (void)worker;
    atomic_fetch_add(&told_drained, 1);
}

static void unlistened(void *argument)
{
    (void)argument;
    atomic_fetch_add(&told_unlistened, 1);
}

static bool comes_to(_Atomic unsigned *value, unsigned expected)
{
    for (unsigned i = 0; i < PATIENCE_S * 1000; i++) {
        if (atomic_load(value) == expected)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return false;
}

static uint64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct snapshot *rig_snapshot(struct rig *rig, const char *yaml)
{
    struct snapshot *snapshot = fixture_snapshot(yaml, rig->shared);
    snapshot->last_release = bring_home;
    return snapshot;
}

/* All but the thread. */
static void rig_prepare(struct rig *rig, const char *yaml)
{
    *rig = (struct rig){.shared = shared_state_new()};
    atomic_store(&came_home, 0);
    atomic_store(&told_drained, 0);
    atomic_store(&told_unlistened, 0);
    struct snapshot *snapshot = rig_snapshot(rig, yaml);
    rig->worker = worker_new(0, snapshot);
    rig->worker->drained = drained;
    struct error error = {.text = ""};
    for (size_t i = 0; i < snapshot->sites_count; i++) {
        const char *text = snapshot->sites[i].config->address;
        struct address address;
        assert_true(address_parse(&address, text, &error));
        rig->fds[i] = socket_listen(&address, 64, 0600, &error);
        if (rig->fds[i] < 0)
            print_error("%s\n", error.text);
        assert_true(rig->fds[i] >= 0);
        rig->fds_count++;
        worker_post_listen(rig->worker, rig->fds[i], text);
    }
    snapshot_release(snapshot); /* the worker's lease holds it */
}

static void rig_start(struct rig *rig, const char *yaml)
{
    struct error error;
    rig_prepare(rig, yaml);
    workers_introduce(&rig->worker, 1);
    assert_true(worker_start(rig->worker, &error));
}

static void rig_reload(struct rig *rig, const char *yaml)
{
    struct snapshot *snapshot = rig_snapshot(rig, yaml);
    worker_post_snapshot(rig->worker, snapshot);
    snapshot_release(snapshot);
}

/* Stops the worker, whatever it has open, and finds every snapshot released. */
static void rig_end(struct rig *rig, unsigned snapshots)
{
    worker_post_stop(rig->worker);
    worker_join(rig->worker);
    worker_free(rig->worker);
    assert_int_equal(atomic_load(&came_home), snapshots);
    for (unsigned i = 0; i < snapshots; i++)
        snapshot_free(homes[i]);
    for (unsigned i = 0; i < rig->fds_count; i++)
        close(rig->fds[i]);
    shared_state_free(rig->shared);
}

static int client_open(const char *text)
{
    struct address address;
    struct error error;
    assert_true(address_parse(&address, text, &error));
    int fd = socket(address.socket.any.sa_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    struct timeval patience = {.tv_sec = PATIENCE_S};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, &address.socket.any, address.length), 0);
    socket_no_delay(fd);
    return fd;
}

static void client_send(int fd, const char *bytes, size_t length)
{
    assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), length);
}

/* Reads until `end` stands in what came, or the connection ends; returns what came as text. */
static const char *client_read(int fd, const char *end)
{
    static char bytes[4096];
    size_t length = 0;
    bytes[0] = '\0';
    while (strstr(bytes, end) == NULL && length < sizeof(bytes) - 1) {
        ssize_t got = recv(fd, bytes + length, sizeof(bytes) - 1 - length, 0);
        if (got <= 0) {
            if (got < 0 && errno != ECONNRESET)
                fail_msg("nothing more came after \"%s\"", bytes);
            break;
        }
        length += (size_t)got;
        bytes[length] = '\0';
    }
    return bytes;
}

static const char request[] = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

static const char *client_ask(int fd, const char *end)
{
    client_send(fd, request, sizeof(request) - 1);
    return client_read(fd, end);
}

static bool is_closed(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, 0);
    return got == 0 || (got < 0 && errno == ECONNRESET);
}

#define ANSWERS(text) "access_log: false\nroutes: [ { respond: { body: \"" text "\" } } ]\n"
#define ONE_LISTENER "listeners: [ { address: \"" FIRST "\" } ]\n"

static void kept_connections_see_the_new_snapshot(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, ONE_LISTENER ANSWERS("<one>"));
    int fd = client_open(FIRST), quiet = client_open(FIRST);
    assert_non_null(strstr(client_ask(fd, "<one>"), "200"));
    assert_non_null(strstr(client_ask(fd, "<one>"), "<one>"));
    rig_reload(&rig, ONE_LISTENER ANSWERS("<two>"));
    assert_true(comes_to(&came_home, 1)); /* nobody is left on the old one: not even idle connections */
    assert_non_null(strstr(client_ask(fd, "<two>"), "<two>"));
    assert_non_null(strstr(client_ask(quiet, "<two>"), "<two>"));
    close(quiet);
    close(fd);
    rig_end(&rig, 2);
}

static _Atomic unsigned read_behind;
static void note_read(struct letter *letter, void *reader)
{
    (void)letter;
    (void)reader;
    atomic_fetch_add(&read_behind, 1);
}
/* Letters are read in the order in which they were posted. */
static struct letter behind_it = {.open = note_read};

/* A request that has begun is served by the snapshot it began on. */
static void a_request_keeps_its_snapshot(void **state)
{
    (void)state;
    static const char old[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<old>";
    struct rig rig;
    rig_start(&rig, ONE_LISTENER "access_log: false\nroutes: [ { pool: p } ]\n"
                                 "pools: { p: { servers: [" SERVER "], connect_timeout: 30s } }\n");
    struct address address;
    struct error error;
    assert_true(address_parse(&address, SERVER, &error));
    int listener = socket_listen(&address, 8, 0, &error);
    assert_true(listener >= 0);
    int fd = client_open(FIRST);
    client_send(fd, request, sizeof(request) - 1);
    struct pollfd arrival = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&arrival, 1, PATIENCE_S * 1000), 1);
    int server = accept(listener, NULL, NULL);
    assert_non_null(strstr(client_read(server, "\r\n\r\n"), "\r\n\r\n"));
    rig_reload(&rig, ONE_LISTENER ANSWERS("<two>"));
    mailbox_post(rig.worker->mailbox, &behind_it);
    assert_true(comes_to(&read_behind, 1));
    assert_int_equal(atomic_load(&came_home), 0);
    client_send(server, old, sizeof(old) - 1);
    assert_non_null(strstr(client_read(fd, "<old>"), "<old>"));
    assert_true(comes_to(&came_home, 1));
    close(fd);
    close(server);
    close(listener);
    rig_end(&rig, 2);
}

static void a_vanished_listener_answers_once_more(void **state)
{
    (void)state;
    static const char both[] =
        "listeners: [ { address: \"" FIRST "\" }, { address: \"" SECOND "\" } ]\n" ANSWERS("<one>");
    struct rig rig;
    rig_start(&rig, both);
    int fd = client_open(SECOND), stays = client_open(FIRST);
    assert_non_null(strstr(client_ask(fd, "<one>"), "<one>"));
    rig_reload(&rig, ONE_LISTENER ANSWERS("<two>"));
    int late = client_open(SECOND); /* after the snapshot, before the listener is gone */
    worker_post_unlisten(rig.worker, rig.fds[1], unlistened, NULL);
    assert_true(comes_to(&told_unlistened, 1));
    const char *answer = client_ask(fd, "<one>");
    assert_non_null(strstr(answer, "<one>"));
    assert_non_null(strstr(answer, "onnection: close"));
    assert_true(is_closed(fd));
    assert_non_null(strstr(client_ask(late, "<one>"), "<one>"));
    assert_true(is_closed(late));
    assert_non_null(strstr(client_ask(stays, "<two>"), "<two>"));
    assert_true(comes_to(&came_home, 1));
    close(fd);
    close(late);
    close(stays);
    rig_end(&rig, 2);
}

static void caps_hold(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, "limits: { connections: 3 }\n"
                    "listeners: [ { address: \"" FIRST "\", max_connections: 2 }, { address: \"" SECOND
                    "\" } ]\n" ANSWERS("<one>"));
    int one = client_open(SECOND);
    assert_non_null(strstr(client_ask(one, "<one>"), "<one>"));
    nanosleep(&(struct timespec){.tv_nsec = 400000000}, NULL);
    int two = client_open(FIRST), three = client_open(FIRST);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    int four = client_open(FIRST);
    /* the listener's cap: the oldest of its own goes for a new one, be there older ones elsewhere */
    assert_true(is_closed(two));
    int five = client_open(SECOND);
    /* the cap of all: the oldest of all, whether it ever asked or not */
    assert_true(is_closed(one));
    assert_non_null(strstr(client_ask(three, "<one>"), "<one>"));
    assert_non_null(strstr(client_ask(four, "<one>"), "<one>"));
    assert_non_null(strstr(client_ask(five, "<one>"), "<one>"));
    close(one);
    close(two);
    close(three);
    close(four);
    close(five);
    rig_end(&rig, 1);
}

static void clients_are_capped(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig,
              "listeners: [ { address: \"" FIRST "\", max_connections_per_client: 1 } ]\n" ANSWERS("<one>"));
    int one = client_open(FIRST);
    assert_non_null(strstr(client_ask(one, "<one>"), "<one>"));
    int two = client_open(FIRST);
    assert_true(is_closed(two));
    close(two);
    close(one);
    bool served = false; /* once the worker has seen the end of the first */
    for (uint64_t end = milliseconds() + PATIENCE_S * 1000; !served && milliseconds() < end;) {
        two = client_open(FIRST);
        served = send(two, request, sizeof(request) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(request) - 1 &&
                 strstr(client_read(two, "<one>"), "<one>") != NULL;
        close(two);
    }
    assert_true(served);
    rig_end(&rig, 1);
}

/* Who has just been answered is about to ask again; for a quarter of a second, which a slow machine may take
 * to bring the second: then the first goes, and it begins anew. */
static void nothing_idle_means_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, "limits: { connections: 1 }\n" ONE_LISTENER ANSWERS("<one>"));
    bool refused = false;
    for (unsigned i = 0; i < 100 && !refused; i++) {
        int one = client_open(FIRST);
        assert_non_null(strstr(client_ask(one, "<one>"), "<one>"));
        uint64_t since = milliseconds();
        assert_non_null(strstr(client_ask(one, "<one>"), "<one>"));
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        int two = client_open(FIRST);
        struct pollfd ends[] = {{.fd = one, .events = POLLIN}, {.fd = two, .events = POLLIN}};
        assert_true(poll(ends, 2, PATIENCE_S * 1000) > 0);
        refused = ends[0].revents == 0;
        assert_true(is_closed(refused ? two : one));
        assert_true(refused || milliseconds() >= since + 250);
        if (refused)
            assert_non_null(strstr(client_ask(one, "<one>"), "<one>"));
        close(one);
        close(two);
        for (unsigned j = 0; j < PATIENCE_S * 1000 && atomic_load(&rig.worker->load) != 0; j++)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_true(refused);
    rig_end(&rig, 1);
}

static void not_told(struct memory_server *server)
{
    (void)server;
}

/* Nobody is there who would go for it. Another thread holds what there is. */
static void who_comes_when_memory_is_short_is_refused(void **state)
{
    (void)state;
    static struct memory_server holder = {.grown = not_told};
    struct rig rig;
    rig_start(&rig, ONE_LISTENER ANSWERS("<one>"));
    memory_limit(256 << 20);
    memory_thread_serves(&holder);
    ptrdiff_t most = (ptrdiff_t)memory_for_peers();
    static const struct {
        unsigned per_cent;
        bool refused;
    } cases[] = {{78, false}, {84, true}, {99, true}, {10, false}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ptrdiff_t held = most / 100 * (ptrdiff_t)cases[i].per_cent;
        memory_count(held);
        int64_t before = counter_sum(COUNTER_memory_refused);
        int fd = client_open(FIRST);
        if (cases[i].refused)
            assert_true(is_closed(fd));
        else
            assert_non_null(strstr(client_ask(fd, "<one>"), "<one>"));
        assert_int_equal(counter_sum(COUNTER_memory_refused), before + cases[i].refused);
        close(fd);
        for (unsigned j = 0; j < PATIENCE_S * 1000 && atomic_load(&rig.worker->load) != 0; j++)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        memory_count(-held);
    }
    memory_thread_serves(NULL);
    memory_limit(0);
    rig_end(&rig, 1);
}

#define PREFACED_WITHIN(time, mode)                                                                        \
    "listeners: [ { address: \"" FIRST "\", proxy_protocol: " mode " } ]\ntimeouts: { proxy_header: " time \
    " }\n"
#define PREFACED(mode) PREFACED_WITHIN("30s", mode)

/* At every split point, so that each byte may be the last that has come. */
static void prefaces_are_read(void **state)
{
    (void)state;
    static const char one[] =
        "PROXY TCP4 192.0.2.9 192.0.2.10 40000 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char two[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x09\xc0\0\x02\x0a\x9c\x40\x01\xbb"
                              "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    static const struct span prefaces[] = {{one, sizeof(one) - 1}, {two, sizeof(two) - 1}};
    struct rig rig;
    rig_start(&rig, PREFACED("required") ANSWERS("<${client.ip}>"));
    for (size_t i = 0; i < COUNT_OF(prefaces); i++) {
        for (size_t cut = 0; cut < 48; cut++) {
            int fd = client_open(FIRST);
            client_send(fd, prefaces[i].at, cut);
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
            client_send(fd, prefaces[i].at + cut, prefaces[i].length - cut);
            assert_non_null(strstr(client_read(fd, ">"), "<192.0.2.9>"));
            close(fd);
        }
    }
    rig_end(&rig, 1);
}

static void prefaces_are_required(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, PREFACED_WITHIN("200ms", "required") ANSWERS("<${client.ip}>"));
    int plain = client_open(FIRST), quiet = client_open(FIRST), bad = client_open(FIRST);
    assert_string_equal(client_ask(plain, ">"), "");
    client_send(bad, "PROXY TCP4 192.0.2.999 1 2 3\r\n", 30);
    assert_true(is_closed(bad));
    assert_true(is_closed(quiet)); /* timeouts.proxy_header */
    close(plain);
    close(quiet);
    close(bad);
    rig_end(&rig, 1);
}

/* Optional: only from those who are trusted, and a beginning that turns out to be none belongs to the
 * request. */
static void prefaces_are_optional(void **state)
{
    (void)state;
    static const char preface[] = "PROXY TCP4 192.0.2.9 192.0.2.10 1 2\r\n";
    struct rig rig;
    rig_start(&rig, "trusted_proxies: [127.0.0.1]\n" PREFACED("optional") ANSWERS("<${client.ip}>"));
    int fd = client_open(FIRST);
    client_send(fd, preface, sizeof(preface) - 1);
    assert_non_null(strstr(client_ask(fd, ">"), "<192.0.2.9>"));
    close(fd);
    fd = client_open(FIRST);
    client_send(fd, "P", 1);
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    client_send(fd, "ROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", 32);
    assert_non_null(strstr(client_read(fd, ">"), "<127.0.0.1>"));
    close(fd);
    rig_reload(&rig, PREFACED("optional") ANSWERS("<${client.ip}>"));
    assert_true(comes_to(&came_home, 1));
    fd = client_open(FIRST); /* trusted no more: these bytes are a bad request */
    client_send(fd, preface, sizeof(preface) - 1);
    assert_non_null(strstr(client_ask(fd, "\r\n\r\n"), " 400 "));
    close(fd);
    rig_end(&rig, 2);
}

/* Within the second that a kept connection has from the beginning of a drain; on a slow machine that may be
 * over. */
static void answered_once_more(int fd, uint64_t since)
{
    if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1 ||
        strstr(client_read(fd, "<one>"), "onnection: close") == NULL)
        assert_true(milliseconds() >= since + 900);
    else
        assert_true(is_closed(fd));
}

static void draining_ends_when_the_last_client_left(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, ONE_LISTENER ANSWERS("<one>"));
    int fd = client_open(FIRST), quiet = client_open(FIRST), waiting = client_open(FIRST);
    assert_non_null(strstr(client_ask(fd, "<one>"), "<one>"));
    assert_non_null(strstr(client_ask(quiet, "<one>"), "<one>"));
    uint64_t since = milliseconds();
    worker_post_drain(rig.worker);
    answered_once_more(fd, since);
    assert_true(is_closed(quiet)); /* without another request, after a second */
    close(waiting);
    assert_true(comes_to(&told_drained, 1));
    close(fd);
    close(quiet);
    rig_end(&rig, 1);
    assert_int_equal(atomic_load(&told_drained), 1);
}

/* Worker 0 is given all connections by the kernel, and hands on what the other has fewer of, also when that
 * one does not (yet) listen itself. */
static void connections_are_spread(void **state)
{
    (void)state;
    enum { CLIENTS = 41 };
    struct rig rig, other;
    rig_prepare(&rig, ONE_LISTENER ANSWERS("<one>"));
    other = (struct rig){.shared = rig.shared, .worker = worker_new(1, rig.worker->lease->snapshot)};
    other.worker->drained = drained;
    workers_introduce((struct worker *[]){rig.worker, other.worker}, 2);
    struct error error;
    assert_true(worker_start(rig.worker, &error) && worker_start(other.worker, &error));
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_open(FIRST);
        assert_non_null(strstr(client_ask(fds[i], "<one>"), "<one>"));
        int32_t here = atomic_load(&rig.worker->load), there = atomic_load(&other.worker->load);
        assert_int_equal(here + there, i + 1);
        assert_true(there <= here + 1 && here <= there + 1 + there / 8);
    }
    uint64_t since = milliseconds();
    worker_post_drain(rig.worker);
    worker_post_drain(other.worker);
    for (int i = 0; i < CLIENTS; i++) {
        if (i % 2 == 0)
            answered_once_more(fds[i], since);
        close(fds[i]);
    }
    assert_true(comes_to(&told_drained, 2));
    assert_int_equal(atomic_load(&other.worker->load), 0);
    worker_post_stop(other.worker);
    worker_join(other.worker);
    worker_free(other.worker);
    rig_end(&rig, 1);
}

static void stopping_waits_for_nobody(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, ONE_LISTENER ANSWERS("<one>"));
    int fd = client_open(FIRST), half = client_open(FIRST);
    assert_non_null(strstr(client_ask(fd, "<one>"), "<one>"));
    client_send(half, "GET / HT", 8);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    rig_end(&rig, 1);
    assert_true(is_closed(fd));
    assert_true(is_closed(half));
    close(fd);
    close(half);
}

static struct lease *kept;
static void keep_lease(struct letter *letter, void *reader)
{
    (void)letter;
    kept = lease_take(reader);
}
static void drop_lease(struct letter *letter, void *reader)
{
    struct worker *worker = reader;
    (void)letter;
    assert_ptr_not_equal(worker->lease, kept);
    assert_false(kept->current);
    lease_release(kept);
}
static struct letter keep = {.open = keep_lease}, drop = {.open = drop_lease};

/* The snapshot goes with the last lease, not with the letter that replaces it. */
static void leases_hold_snapshots(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, ONE_LISTENER ANSWERS("<one>"));
    mailbox_post(rig.worker->mailbox, &keep);
    rig_reload(&rig, ONE_LISTENER ANSWERS("<two>"));
    rig_reload(&rig, ONE_LISTENER ANSWERS("<three>"));
    assert_true(comes_to(&came_home, 1)); /* the second had no user */
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    assert_int_equal(atomic_load(&came_home), 1);
    mailbox_post(rig.worker->mailbox, &drop);
    assert_true(comes_to(&came_home, 2));
    rig_end(&rig, 3);
}

/* The ports are fixed and shared with whoever asks (SO_REUSEPORT): who runs this test beside another run of
 * it waits for its turn. The name goes with the process. */
static void take_turn(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0weir/proxy_worker_test"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    while (bind(fd, (struct sockaddr *)&name, sizeof(name)) != 0 && errno == EADDRINUSE)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    take_turn();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_connections_see_the_new_snapshot),
        cmocka_unit_test(a_request_keeps_its_snapshot),
        cmocka_unit_test(a_vanished_listener_answers_once_more),
        cmocka_unit_test(caps_hold),
        cmocka_unit_test(clients_are_capped),
        cmocka_unit_test(nothing_idle_means_refused),
        cmocka_unit_test(who_comes_when_memory_is_short_is_refused),
        cmocka_unit_test(prefaces_are_read),
        cmocka_unit_test(prefaces_are_required),
        cmocka_unit_test(prefaces_are_optional),
        cmocka_unit_test(draining_ends_when_the_last_client_left),
        cmocka_unit_test(connections_are_spread),
        cmocka_unit_test(stopping_waits_for_nobody),
        cmocka_unit_test(leases_hold_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
