/*
 * Connections to servers. Newest first when one is reused, so that those not needed grow old and end. What the peer
 * does to an idle connection (ends it, sends what nobody asked for) the loop tells and the codec closes it: reuse
 * happens in a task, after all events of the turn, and needs no system call to look. What still slips through is a
 * SERVER_STALE for the caller.
 */
#include "upstream/upstream_conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/counters.h"
#include "base/error.h"
#include "base/log.h"
#include "http/http_conn.h"
#include "net/socket.h"
#include "net/transport.h"
#include "tls/tls.h"
#include "upstream/upstream_state.h"

enum conn_state { CONN_CONNECTING, CONN_BUSY, CONN_IDLE, CONN_CLOSING };

struct upstream_conn {
    enum conn_state state;
    struct upstreams *upstreams;
    struct server_entry *entry;
    struct tls_client *tls;         /* a reference; NULL: plain */
    struct transport *transport;    /* until the codec takes it over */
    struct http_conn *http;         /* NULL while connecting */
    struct upstream_waiter *waiter; /* while connecting; NULL: it has gone */
    struct list of_all, idle;
    struct deadline deadline; /* to connect, or to stay idle; left alone while busy */
    struct retired retired;
    const struct address *address; /* that is tried or worked */
    uint32_t address_tries;
    uint32_t requests;
    /* of the pool that used it last */
    uint32_t idle_timeout, idle_most;
    uint64_t max_requests;
};

static const struct transport_events conn_transport_events;
static const struct http_conn_events conn_http_events;

/* --- the end --- */

static void conn_free(struct retired *retired)
{
    struct upstream_conn *conn = CONTAINER_OF(retired, struct upstream_conn, retired);
    tls_client_release(conn->tls);
    free(conn);
}

static void conn_leave_idle(struct upstream_conn *conn)
{
    if (!list_is_linked(&conn->idle))
        return;
    list_remove(&conn->idle);
    conn->entry->idle_count--;
    counter_add(COUNTER_upstream_idle, -1);
}

/* Nothing of it is open any more. */
static void conn_end(struct upstream_conn *conn)
{
    struct upstreams *upstreams = conn->upstreams;
    struct server_entry *entry = conn->entry;
    conn_leave_idle(conn);
    deadline_clear(&conn->deadline);
    list_remove(&conn->of_all);
    entry->conns_count--;
    server_entry_check(upstreams, entry);
    loop_retire(upstreams->loop, &conn->retired);
}

/* closed() comes from the loop and ends it. */
static void conn_close(struct upstream_conn *conn)
{
    if (conn->state == CONN_CLOSING)
        return;
    conn->state = CONN_CLOSING;
    conn_leave_idle(conn);
    deadline_clear(&conn->deadline);
    if (conn->http != NULL)
        http_conn_close(conn->http);
    else
        transport_close(conn->transport);
}

/* --- connecting --- */

static enum failure failure_of(const struct address *address, int error, bool tls)
{
    switch (error) {
    case ECONNREFUSED:
        return FAILURE_CONNECT_REFUSED;
    case ENOENT: /* no such unix socket: nobody listens */
        return address->socket.any.sa_family == AF_UNIX ? FAILURE_CONNECT_REFUSED : FAILURE_CONNECT_FAILED;
    case ETIMEDOUT:
        return FAILURE_CONNECT_TIMEOUT;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return FAILURE_OVERLOADED;
    case TRANSPORT_ERROR_VERIFY:
        return FAILURE_TLS_UNVERIFIED;
    case TRANSPORT_ERROR_TLS:
    case TRANSPORT_ERROR_TRUNCATED:
        return FAILURE_TLS_FAILED;
    default:
        return error == 0 && tls ? FAILURE_TLS_FAILED : FAILURE_CONNECT_FAILED;
    }
}

/* Another address of the same name may do better; a TLS failure would come again. */
static bool next_may_work(enum failure why)
{
    return why == FAILURE_CONNECT_REFUSED || why == FAILURE_CONNECT_FAILED || why == FAILURE_CONNECT_TIMEOUT;
}

/* Begins at the next address that lets itself be tried; else why the last one did not. */
static enum failure conn_try_addresses(struct upstream_conn *conn)
{
    struct server *server = conn->entry->server;
    enum failure why = FAILURE_CONNECT_FAILED;
    const struct address *address;
    while ((address = server_address(server, conn->address_tries)) != NULL) {
        bool pending;
        int number = 0;
        conn->address_tries++;
        conn->address = address;
        int fd = socket_connect(address, &pending, &number);
        if (fd < 0) {
            why = failure_of(address, number, false);
            continue;
        }
        struct loop *loop = conn->upstreams->loop;
        conn->transport = conn->tls != NULL ? tls_transport_connect(loop, fd, pending, conn->tls, server->host_name,
                                                                    &conn_transport_events, conn)
                                            : transport_new_plain(loop, fd, pending, &conn_transport_events, conn);
        return FAILURE_NONE;
    }
    return why;
}

static void connect_failed_log(const struct upstream_conn *conn, enum failure why, const char *reason)
{
    const struct server *server = conn->entry->server;
    const bool tls = why == FAILURE_TLS_FAILED || why == FAILURE_TLS_UNVERIFIED;
    if (tls) /* a matter of configuration, and only told here what it is */
        log_warn("upstream", "cannot connect to server", KV("pool", server->pool_name), KV("server", server->name),
                 KV("why", failure_info[why].word), KV("reason", reason));
    else
        log_debug("upstream", "cannot connect to server", KV("pool", server->pool_name), KV("server", server->name),
                  KV("why", failure_info[why].word), KV("reason", reason));
}

static void conn_tell_failed(struct upstream_conn *conn, enum failure why, const char *reason)
{
    struct upstream_waiter *waiter = conn->waiter;
    connect_failed_log(conn, why, reason);
    counter_add(COUNTER_upstream_connects_failed, 1);
    conn->waiter = NULL;
    if (waiter != NULL)
        waiter_connect_failed(conn->upstreams, waiter, why);
}

static void conn_took_too_long(struct upstream_conn *conn)
{
    struct server *server = conn->entry->server;
    const struct address *next = server_address(server, conn->address_tries);
    if (next != NULL)
        server_address_worked(server, next); /* perhaps: the next connection begins there */
    conn_close(conn);
    conn_tell_failed(conn, FAILURE_CONNECT_TIMEOUT, "no answer within connect_timeout");
}

static void conn_deadline_passed(struct deadline *deadline)
{
    struct upstream_conn *conn = CONTAINER_OF(deadline, struct upstream_conn, deadline);
    switch (conn->state) {
    case CONN_CONNECTING:
        conn_took_too_long(conn);
        break;
    case CONN_IDLE:
        conn_close(conn);
        break;
    case CONN_BUSY: /* set when it was idle: of no meaning now */
    case CONN_CLOSING:
        break;
    }
}

/* --- serving --- */

/* What the pool says now holds for its next idle time, without the pool, which may be gone by then. */
static void conn_serve(struct upstream_conn *conn, struct upstream_waiter *waiter, bool reused)
{
    const struct pool_config *config = waiter->pool->config;
    conn->state = CONN_BUSY;
    conn->requests++;
    conn->idle_timeout = (uint32_t)config->idle_timeout;
    conn->idle_most = (uint32_t)config->idle_connections;
    conn->max_requests = config->max_requests;
    waiter->reused = reused;
    waiter_ready(conn->upstreams, waiter, http_conn_open(conn->http));
}

static void transport_opened(struct transport *transport)
{
    struct upstream_conn *conn = transport->owner;
    struct upstream_waiter *waiter = conn->waiter;
    if (conn->state != CONN_CONNECTING)
        return;
    assert(waiter != NULL);
    server_was_reached(conn->entry->server);
    server_address_worked(conn->entry->server, conn->address);
    counter_add(COUNTER_upstream_connects, 1);
    conn->http =
        http_conn_new(HTTP_1, HTTP_CLIENT, transport, conn->upstreams->settings, NULL, &conn_http_events, conn);
    if (conn->http == NULL) {
        conn_close(conn);
        conn_tell_failed(conn, FAILURE_OVERLOADED, "no memory for the codec");
        return;
    }
    conn->transport = NULL;
    conn->waiter = NULL;
    conn_serve(conn, waiter, false);
}

/* Nothing may come before the codec listens. */
static void transport_received(struct transport *transport, struct buf *bytes)
{
    struct upstream_conn *conn = transport->owner;
    buf_clear(bytes);
    if (conn->state != CONN_CONNECTING)
        return;
    conn_close(conn);
    conn_tell_failed(conn, FAILURE_CONNECT_FAILED, "bytes before the connection was open");
}

static void transport_sent(struct transport *transport, size_t bytes)
{
    (void)transport;
    (void)bytes;
}

static void transport_ended(struct transport *transport)
{
    struct upstream_conn *conn = transport->owner;
    if (conn->state != CONN_CONNECTING)
        return;
    conn_close(conn);
    conn_tell_failed(conn, conn->tls != NULL ? FAILURE_TLS_FAILED : FAILURE_CONNECT_FAILED,
                     "closed before the connection was open");
}

static void transport_closed(struct transport *transport, int error)
{
    struct upstream_conn *conn = transport->owner;
    if (conn->state == CONN_CONNECTING) {
        enum failure why = failure_of(conn->address, error, conn->tls != NULL);
        const char *reason = why == FAILURE_TLS_FAILED || why == FAILURE_TLS_UNVERIFIED
                                 ? tls_transport_failure(transport)
                                 : transport_error_text(error);
        enum failure next = next_may_work(why) ? conn_try_addresses(conn) : why;
        if (next == FAILURE_NONE)
            return;
        conn->state = CONN_CLOSING;
        conn_tell_failed(conn, why, reason);
    }
    conn_end(conn);
}

static const struct transport_events conn_transport_events = {
    .opened = transport_opened,
    .received = transport_received,
    .sent = transport_sent,
    .ended = transport_ended,
    .closed = transport_closed,
};

/* --- idle --- */

/* Below what the server said it would wait (Keep-Alive: timeout), by a second for its answer to be on the way. */
static uint32_t idle_time(const struct upstream_conn *conn)
{
    int hint = http_conn_keep_alive_hint(conn->http);
    if (hint < 0)
        return conn->idle_timeout;
    uint32_t most = hint > 1 ? (uint32_t)(hint > 86400 ? 86400 : hint - 1) * 1000 : (uint32_t)hint * 500;
    return most < conn->idle_timeout ? most : conn->idle_timeout;
}

static void conn_idle(struct http_conn *http)
{
    struct upstream_conn *conn = http->owner;
    if (conn->state != CONN_BUSY)
        return;
    uint32_t milliseconds = idle_time(conn);
    bool used_up = conn->max_requests != 0 && conn->requests >= conn->max_requests;
    if (conn->upstreams->closing || !conn->entry->kept || used_up || milliseconds == 0 ||
        conn->entry->idle_count >= conn->idle_most || http_conn_room(http) == 0) {
        conn_close(conn);
        return;
    }
    conn->state = CONN_IDLE;
    list_push_front(&conn->entry->idle, &conn->idle);
    conn->entry->idle_count++;
    counter_add(COUNTER_upstream_idle, 1);
    deadline_set(&conn->deadline, conn->upstreams->loop, milliseconds);
}

static void conn_opened(struct http_conn *http, struct stream *stream)
{
    (void)http;
    (void)stream;
    assert(false); /* servers open no streams */
}

static void conn_closed(struct http_conn *http, enum failure why)
{
    struct upstream_conn *conn = http->owner;
    (void)why; /* its stream, if any, has told */
    conn->state = CONN_CLOSING;
    conn_end(conn);
}

static const struct http_conn_events conn_http_events = {
    .opened = conn_opened,
    .idle = conn_idle,
    .closed = conn_closed,
};

/* --- for upstream.c --- */

bool upstream_conn_reuse(struct server_entry *entry, struct upstream_waiter *waiter)
{
    while (!list_is_empty(&entry->idle)) {
        struct upstream_conn *conn = CONTAINER_OF(entry->idle.next, struct upstream_conn, idle);
        if (conn->tls != waiter->pool->tls || http_conn_room(conn->http) == 0) {
            conn_close(conn); /* of an older configuration, or ended in this turn */
            continue;
        }
        conn_leave_idle(conn);
        counter_add(COUNTER_upstream_reused, 1);
        conn_serve(conn, waiter, true);
        return true;
    }
    return false;
}

enum failure upstream_conn_connect(struct upstreams *upstreams, struct server_entry *entry,
                                   struct upstream_waiter *waiter)
{
    struct upstream_conn *conn = xcalloc(1, sizeof *conn);
    conn->upstreams = upstreams;
    conn->entry = entry;
    conn->tls = waiter->pool->tls != NULL ? tls_client_take(waiter->pool->tls) : NULL;
    conn->waiter = waiter;
    conn->retired.free = conn_free;
    conn->deadline.passed = conn_deadline_passed;
    enum failure why = conn_try_addresses(conn);
    if (why != FAILURE_NONE) {
        connect_failed_log(conn, why, "connect");
        counter_add(COUNTER_upstream_connects_failed, 1);
        conn_free(&conn->retired);
        return why;
    }
    waiter->conn = conn;
    list_push_back(&upstreams->conns, &conn->of_all);
    entry->conns_count++;
    deadline_set(&conn->deadline, upstreams->loop, waiter->pool->config->connect_timeout);
    return FAILURE_NONE;
}

void upstream_conn_abandon(struct upstream_conn *conn)
{
    conn->waiter = NULL;
    conn_close(conn);
}

void upstream_conns_close_idle(struct server_entry *entry, const struct pool *keep)
{
    LIST_EACH_SAFE(node, after, &entry->idle)
    {
        struct upstream_conn *conn = CONTAINER_OF(node, struct upstream_conn, idle);
        if (keep == NULL || conn->tls != keep->tls)
            conn_close(conn);
    }
}

void upstream_conns_close(struct upstreams *upstreams)
{
    LIST_EACH_SAFE(node, after, &upstreams->conns)
    conn_close(CONTAINER_OF(node, struct upstream_conn, of_all));
}

void upstream_conns_settings(struct upstreams *upstreams)
{
    LIST_EACH(node, &upstreams->conns)
    {
        struct upstream_conn *conn = CONTAINER_OF(node, struct upstream_conn, of_all);
        if (conn->http != NULL)
            http_conn_settings(conn->http, upstreams->settings);
    }
}
