/*
 * Connections to servers. Newest first when one is reused, so that those not needed grow old and end. What
 * the peer does to an idle connection (ends it, sends what nobody asked for) the loop tells and the codec
 * closes it: reuse happens in a task, after all events of the turn, and needs no system call to look. What
 * still slips through is a SERVER_STALE for the caller.
 *
 * An HTTP/2 connection is shared from the moment it begins to be made: who comes while it is waits for it, so
 * that many requests at once make few connections. The first is served as soon as it is open, the others once
 * the server's SETTINGS have told how many it takes.
 *
 * A connection that a client logs in on has an owner, that client's connection: nobody else's request goes
 * there, and it ends with its owner. It is not shared before either: over HTTP/2 one is made for it alone.
 */
#include "upstream/upstream_conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/log_crowd.h"
#include "config/listener_config.h"
#include "http/http_conn.h"
#include "net/socket.h"
#include "net/transport.h"
#include "tls/tls.h"
#include "upstream/upstream_state.h"

#define SHED_LOOKS 64u       /* connections looked at to find an idle one that may go */
#define STREAMS_ASSUMED 100u /* of an HTTP/2 connection before its server has said a number */

enum conn_state { CONN_CONNECTING, CONN_BUSY, CONN_IDLE, CONN_CLOSING };

struct upstream_conn {
    enum conn_state state;
    struct upstreams *upstreams;
    struct server_entry *entry;
    struct tls_client *tls;      /* a reference; NULL: plain */
    struct transport *transport; /* until the codec takes it over */
    struct http_conn *http;      /* NULL while connecting */
    struct list waiters;         /* upstream_waiter.queued: while connecting; HTTP/2: until SETTINGS */
    uint32_t waiters_count;
    enum pool_protocol protocol;  /* of the pool it was made for */
    bool http1_only;              /* made for what needs it, or the pool speaks nothing else */
    bool goes_on;                 /* the owner is in the middle of logging in */
    bool settled;                 /* HTTP/2: the server has said how many streams it takes */
    bool last;                    /* serves nobody else, and ends when it is idle */
    bool has_descriptor;          /* counted in base/descriptors.h */
    struct upstream_owner *owner; /* NULL: it is everybody's */
    struct list of_owner;
    struct list of_all;
    /* HTTP/1: in entry->idle while idle; HTTP/2: in entry->shared while it may take more; with an owner in
     * entry->owned */
    struct list place;
    struct deadline deadline; /* to connect, or to stay idle; left alone while busy */
    struct retired retired;
    const struct address *address; /* that is tried or worked */
    uint32_t address_tries;
    uint32_t number; /* not 0 */
    uint32_t requests;
    uint32_t losses_before; /* entry->losses when it began */
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

static bool conn_is_http2(const struct upstream_conn *conn)
{
    return conn->http != NULL && conn->http->version == HTTP_2;
}

/* Its next state is the caller's to set. */
static void conn_leave_idle(struct upstream_conn *conn)
{
    if (conn->state != CONN_IDLE)
        return;
    if (!conn_is_http2(conn))
        list_remove(&conn->place);
    conn->entry->idle_count--;
    counter_add(COUNTER_upstream_idle, -1);
}

static struct upstream_waiter *conn_next_waiter(struct upstream_conn *conn)
{
    if (list_is_empty(&conn->waiters))
        return NULL;
    struct upstream_waiter *waiter = CONTAINER_OF(conn->waiters.next, struct upstream_waiter, queued);
    list_remove(&waiter->queued);
    conn->waiters_count--;
    return waiter;
}

static void conn_add_waiter(struct upstream_conn *conn, struct upstream_waiter *waiter)
{
    waiter->phase = PHASE_CONNECTING;
    waiter->conn = conn;
    list_push_back(&conn->waiters, &waiter->queued);
    conn->waiters_count++;
}

static void conn_give_descriptor(struct upstream_conn *conn)
{
    if (conn->has_descriptor)
        descriptors_give(1);
    conn->has_descriptor = false;
}

/* Nothing of it is open any more. */
static void conn_end(struct upstream_conn *conn)
{
    struct upstreams *upstreams = conn->upstreams;
    struct server_entry *entry = conn->entry;
    conn_leave_idle(conn);
    conn->state = CONN_CLOSING;
    list_remove(&conn->place);
    deadline_clear(&conn->deadline);
    list_remove(&conn->of_all);
    list_remove(&conn->of_owner);
    entry->conns_count--;
    upstreams->conns_count--;
    conn_give_descriptor(conn);
    server_entry_check(upstreams, entry);
    loop_retire(upstreams->loop, &conn->retired);
}

/* closed() comes from the loop and ends it. */
static void conn_close(struct upstream_conn *conn)
{
    if (conn->state == CONN_CLOSING)
        return;
    conn_leave_idle(conn);
    conn->state = CONN_CLOSING;
    list_remove(&conn->place);
    deadline_clear(&conn->deadline);
    if (conn->http != NULL)
        http_conn_close(conn->http);
    else
        transport_close(conn->transport);
}

/* Serves nobody else; what runs goes on. */
static void conn_close_when_idle(struct upstream_conn *conn)
{
    conn->last = true;
    if (conn->state == CONN_IDLE)
        conn_close(conn);
    else
        list_remove(&conn->place);
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

/* What of weir's own makes room for it: an idle connection or a quiet client goes, already while few are
 * left.
 */
static bool conn_take_descriptor(struct upstream_conn *conn)
{
    const struct upstreams *upstreams = conn->upstreams;
    bool taken = descriptors_take_last(1);
    bool room = taken && !descriptors_are_short();
    if (!room && upstreams->make_room != NULL)
        room = upstreams->make_room(upstreams->room_owner, !taken);
    if (!taken && !room)
        return false;
    if (!taken)
        descriptors_take_anyway(1);
    conn->has_descriptor = true;
    return true;
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
        if (!conn->has_descriptor && !conn_take_descriptor(conn))
            return FAILURE_OVERLOADED;
        int fd = socket_connect(address, &pending, &number);
        if (fd < 0) {
            why = failure_of(address, number, false);
            continue;
        }
        struct loop *loop = conn->upstreams->loop;
        conn->transport = conn->tls != NULL
                              ? tls_transport_connect(loop, fd, pending, conn->tls, server->host,
                                                      &conn_transport_events, conn)
                              : transport_new_plain(loop, fd, pending, &conn_transport_events, conn);
        if (conn->transport == NULL) {
            close(fd);
            return FAILURE_OVERLOADED;
        }
        if (conn->tls != NULL && conn->http1_only && conn->protocol == POOL_AUTO)
            tls_transport_offer(conn->transport, PROTOCOL_HTTP_1);
        return FAILURE_NONE;
    }
    return why;
}

static void connect_failed_log(const struct upstream_conn *conn, enum failure why, const char *reason)
{
    const struct server *server = conn->entry->server;
    static struct log_crowd lines = LOG_CROWD("upstream", "pool");
    const struct log_pair pairs[] = {KV("pool", server->pool_name), KV("server", server->name),
                                     KV("why", failure_info[why].word), KV("reason", reason), KV_NONE};
    /* A matter of configuration, which only this line tells; else a check says that the server is down, where
     * there is one. */
    enum log_level level = why == FAILURE_TLS_FAILED || why == FAILURE_TLS_UNVERIFIED    ? LOG_LEVEL_WARN
                           : atomic_load_explicit(&server->probed, memory_order_relaxed) ? LOG_LEVEL_DEBUG
                                                                                         : LOG_LEVEL_INFO;
    log_crowd_write(&lines, level, "cannot connect to server", server->pool_name, failure_info[why].word,
                    pairs);
}

static void conn_tell_waiters(struct upstream_conn *conn, enum failure why)
{
    struct upstream_waiter *waiter;
    for (bool first = true; (waiter = conn_next_waiter(conn)) != NULL; first = false)
        waiter_connect_failed(conn->upstreams, waiter, why, first);
}

static void conn_tell_failed(struct upstream_conn *conn, enum failure why, const char *reason)
{
    connect_failed_log(conn, why, reason);
    counter_add(COUNTER_upstream_connects_failed, 1);
    conn_tell_waiters(conn, why);
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

static void conn_serve_waiters(struct upstream_conn *conn);

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
    case CONN_BUSY: /* set when it was idle: of no meaning now; or its server's SETTINGS are late */
        if (conn->waiters_count != 0)
            conn_serve_waiters(conn);
        break;
    case CONN_CLOSING:
        break;
    }
}

/* --- serving --- */

static bool conn_may_serve(const struct upstream_conn *conn)
{
    return conn->state != CONN_CLOSING && !conn->last && http_conn_room(conn->http) != 0;
}

/* From now on it serves nobody else. Of no owner, or of one that has gone, it serves nobody at all. */
static void conn_bind(struct upstream_conn *conn, struct upstream_owner *owner)
{
    if (conn->owner != NULL)
        return;
    list_remove(&conn->place);
    if (owner == NULL || owner->ended) {
        conn->last = true;
        return;
    }
    conn->owner = owner;
    list_push_front(&owner->conns, &conn->of_owner);
}

/* HTTP/2: among those that may take more, or not. */
static void conn_look(struct upstream_conn *conn)
{
    if (conn->max_requests != 0 && conn->requests >= conn->max_requests)
        conn->last = true;
    if (!conn_may_serve(conn))
        list_remove(&conn->place);
    else if (!list_is_linked(&conn->place))
        list_push_front(conn->owner != NULL ? &conn->entry->owned : &conn->entry->shared, &conn->place);
}

/* What the pool says now holds for its next idle time, without the pool, which may be gone by then. */
static void conn_serve(struct upstream_conn *conn, struct upstream_waiter *waiter, bool reused)
{
    const struct pool_config *config = waiter->pool->config;
    conn_leave_idle(conn);
    if (waiter->logs_in)
        conn_bind(conn, waiter->owner);
    assert(conn->owner == NULL || conn->owner == waiter->owner);
    waiter->serving = conn;
    conn->goes_on = false;
    conn->state = CONN_BUSY;
    conn->requests++;
    conn->idle_timeout = (uint32_t)config->idle_timeout;
    conn->idle_most = (uint32_t)config->idle_connections;
    conn->max_requests = config->max_requests;
    waiter->reused = reused;
    waiter->connection = conn->number;
    struct stream *stream = http_conn_open(conn->http);
    if (conn_is_http2(conn))
        conn_look(conn);
    if (stream != NULL) {
        waiter_ready(conn->upstreams, waiter, stream);
        return;
    }
    conn_close(conn);
    waiter_connect_failed(conn->upstreams, waiter, FAILURE_OVERLOADED, false);
}

/* As many as there is room for; the others look for a connection anew. */
static void conn_serve_waiters(struct upstream_conn *conn)
{
    struct upstream_waiter *waiter;
    conn->settled = true;
    while (conn_may_serve(conn) && (waiter = conn_next_waiter(conn)) != NULL)
        conn_serve(conn, waiter, false);
    while ((waiter = conn_next_waiter(conn)) != NULL)
        waiter_connect_later(conn->upstreams, waiter);
}

/* False: the server has chosen what the pool does not speak, or nothing. */
static bool conn_version(const struct upstream_conn *conn, struct transport *transport,
                         enum http_version *version)
{
    *version = conn->protocol == POOL_H2C ? HTTP_2 : HTTP_1;
    if (conn->tls == NULL || conn->protocol == POOL_HTTP_1)
        return true;
    if (!conn->http1_only && span_equal(tls_transport_facts(transport).alpn, SPAN("h2")))
        *version = HTTP_2;
    return *version == HTTP_2 || conn->protocol == POOL_AUTO;
}

static void transport_opened(struct transport *transport)
{
    struct upstream_conn *conn = transport->owner;
    enum http_version version;
    if (conn->state != CONN_CONNECTING)
        return;
    assert(conn->waiters_count != 0);
    if (!conn_version(conn, transport, &version)) {
        conn_close(conn);
        conn_tell_failed(conn, FAILURE_TLS_FAILED, "server does not choose h2 by ALPN");
        return;
    }
    server_was_reached(conn->entry->server);
    server_address_worked(conn->entry->server, conn->address);
    counter_add(COUNTER_upstream_connects, 1);
    conn->http = http_conn_new(version, HTTP_CLIENT, transport, conn->upstreams->settings, NULL,
                               &conn_http_events, conn);
    if (conn->http == NULL) {
        conn_close(conn);
        conn_tell_failed(conn, FAILURE_OVERLOADED, "no memory for the codec");
        return;
    }
    conn->transport = NULL;
    if (!conn->http1_only)
        conn->entry->speaks_http1 = version == HTTP_1;
    if (version == HTTP_1)
        list_remove(&conn->place);
    conn_serve(conn, conn_next_waiter(conn), false);
    if (version == HTTP_1)
        conn_serve_waiters(conn);
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

/* Below what the server said it would wait (Keep-Alive: timeout), by a second for its answer to be on the
 * way. */
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
    /* The first has ended before the server's SETTINGS: the next is the first now. */
    if (conn->waiters_count != 0 && conn_may_serve(conn)) {
        conn_serve(conn, conn_next_waiter(conn), false);
        return;
    }
    uint32_t milliseconds = idle_time(conn);
    bool used_up = conn->max_requests != 0 && conn->requests >= conn->max_requests;
    if (conn->upstreams->closing || !conn->entry->kept || used_up || conn->last || milliseconds == 0 ||
        conn->entry->idle_count >= conn->idle_most || http_conn_room(http) == 0) {
        conn_close(conn);
        return;
    }
    conn->state = CONN_IDLE;
    if (!conn_is_http2(conn))
        list_push_front(conn->owner != NULL ? &conn->entry->owned : &conn->entry->idle, &conn->place);
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

/* The server's SETTINGS, the end of one of several streams, or a GOAWAY. */
static void conn_room(struct http_conn *http)
{
    struct upstream_conn *conn = http->owner;
    if (conn->state == CONN_CLOSING)
        return;
    conn->settled = true;
    conn_look(conn);
    if (conn->waiters_count != 0)
        conn_serve_waiters(conn);
    if (conn->state == CONN_IDLE && !conn_may_serve(conn))
        conn_close(conn);
}

static void conn_closed(struct http_conn *http, enum failure why)
{
    struct upstream_conn *conn = http->owner;
    (void)why; /* its streams, if any, have told */
    if (conn->state != CONN_CLOSING)
        conn->entry->losses++;
    conn_tell_waiters(conn, FAILURE_CONNECT_FAILED);
    conn_end(conn);
}

static const struct http_conn_events conn_http_events = {
    .opened = conn_opened,
    .idle = conn_idle,
    .room = conn_room,
    .closed = conn_closed,
};

/* --- for upstream.c --- */

/* A connection of several: serves the waiter, or will. A fresh one is older than no loss of another. */
static bool conn_share(struct upstream_conn *conn, struct upstream_waiter *waiter)
{
    if ((waiter->fresh && conn->losses_before != conn->entry->losses) || waiter->avoid == conn->number)
        return false;
    if (conn->settled) {
        if (!conn_may_serve(conn)) {
            list_remove(&conn->place);
            return false;
        }
        counter_add(COUNTER_upstream_reused, 1);
        conn_serve(conn, waiter, true);
        return true;
    }
    if (conn->requests + conn->waiters_count >= STREAMS_ASSUMED ||
        (conn->http != NULL && !conn_may_serve(conn)))
        return false;
    conn_add_waiter(conn, waiter);
    return true;
}

static bool conn_is_of(const struct upstream_conn *conn, const struct pool *pool)
{
    return conn->tls == pool->tls && conn->protocol == pool->protocol;
}

bool upstream_conn_share(struct server_entry *entry, struct upstream_waiter *waiter)
{
    if (waiter->logs_in || (waiter->http1_only && waiter->pool->protocol == POOL_AUTO))
        return false;
    LIST_EACH_SAFE (node, after, &entry->shared) {
        struct upstream_conn *conn = CONTAINER_OF(node, struct upstream_conn, place);
        if (!conn_is_of(conn, waiter->pool))
            conn_close_when_idle(conn);
        else if (conn_share(conn, waiter))
            return true;
    }
    return false;
}

bool upstream_conn_reuse(struct server_entry *entry, struct upstream_waiter *waiter)
{
    while (!list_is_empty(&entry->idle)) {
        struct upstream_conn *conn = CONTAINER_OF(entry->idle.next, struct upstream_conn, place);
        if (conn->tls != waiter->pool->tls || http_conn_room(conn->http) == 0) {
            conn_close(conn); /* of an older configuration, or ended in this turn */
            continue;
        }
        counter_add(COUNTER_upstream_reused, 1);
        conn_serve(conn, waiter, true);
        return true;
    }
    return false;
}

/* --- owners --- */

static bool pool_has(const struct pool *pool, const struct server *server)
{
    size_t i = 0;
    while (i < pool->servers_count && pool->servers[i].server != server)
        i++;
    return i != pool->servers_count;
}

static bool conn_is_free(const struct upstream_conn *conn, const struct pool *pool)
{
    return list_is_linked(&conn->place) && conn_is_of(conn, pool) && conn_may_serve(conn) &&
           (conn->settled || !conn_is_http2(conn)) && pool_has(pool, conn->entry->server);
}

/* The next step of logging in takes the connection of the one before, and nothing else comes in between. */
static struct upstream_conn *owner_conn(const struct upstream_owner *owner, const struct pool *pool,
                                        const struct server *server, bool logs_in)
{
    struct upstream_conn *found = NULL;
    LIST_EACH (node, &owner->conns) {
        struct upstream_conn *conn = CONTAINER_OF(node, struct upstream_conn, of_owner);
        if ((server != NULL && conn->entry->server != server) || (conn->goes_on && !logs_in) ||
            !conn_is_free(conn, pool))
            continue;
        if (conn->goes_on)
            return conn;
        found = found != NULL ? found : conn;
    }
    return found;
}

bool upstream_conn_own(struct server_entry *entry, struct upstream_waiter *waiter)
{
    struct upstream_conn *conn =
        waiter->fresh ? NULL : owner_conn(waiter->owner, waiter->pool, entry->server, waiter->logs_in);
    if (conn == NULL || conn->number == waiter->avoid)
        return false;
    counter_add(COUNTER_upstream_reused, 1);
    conn_serve(conn, waiter, true);
    return true;
}

struct server *upstream_owned_server(const struct upstream_owner *owner, const struct pool *pool,
                                     bool logs_in, bool *goes_on)
{
    const struct upstream_conn *conn = owner_conn(owner, pool, NULL, logs_in);
    *goes_on = conn != NULL && conn->goes_on;
    return conn != NULL ? conn->entry->server : NULL;
}

void upstream_bind(struct upstream_waiter *waiter, bool goes_on)
{
    struct upstream_conn *conn = waiter->serving;
    /* One that several share has never had credentials, as those that log in get others. */
    if (conn_is_http2(conn) && conn->owner == NULL)
        return;
    conn_bind(conn, waiter->owner);
    conn->goes_on = goes_on;
}

void upstream_owner_init(struct upstream_owner *owner)
{
    list_init(&owner->conns);
}

void upstream_owner_end(struct upstream_owner *owner)
{
    owner->ended = true;
    LIST_EACH_SAFE (node, after, &owner->conns) {
        struct upstream_conn *conn = CONTAINER_OF(node, struct upstream_conn, of_owner);
        list_remove(&conn->of_owner);
        conn->owner = NULL;
        conn_close_when_idle(conn);
    }
}

enum failure upstream_conn_connect(struct upstreams *upstreams, struct server_entry *entry,
                                   struct upstream_waiter *waiter)
{
    struct upstream_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return FAILURE_OVERLOADED;
    conn->upstreams = upstreams;
    conn->entry = entry;
    conn->tls = waiter->pool->tls != NULL ? tls_client_take(waiter->pool->tls) : NULL;
    conn->protocol = waiter->pool->protocol;
    conn->http1_only = conn->protocol == POOL_HTTP_1 || (conn->protocol == POOL_AUTO && waiter->http1_only);
    conn->losses_before = entry->losses;
    if (++upstreams->conns_made == 0)
        upstreams->conns_made = 1; /* 0 is none */
    conn->number = upstreams->conns_made;
    list_init(&conn->waiters);
    conn->retired.free = conn_free;
    conn->deadline.passed = conn_deadline_passed;
    enum failure why = conn_try_addresses(conn);
    if (why != FAILURE_NONE) {
        connect_failed_log(conn, why, "connect");
        counter_add(COUNTER_upstream_connects_failed, 1);
        conn_give_descriptor(conn);
        conn_free(&conn->retired);
        return why;
    }
    conn_add_waiter(conn, waiter);
    /* A server that chose HTTP/1.1 last time will again: nobody waits in vain. */
    if (!waiter->logs_in && !conn->http1_only && !(conn->protocol == POOL_AUTO && entry->speaks_http1))
        list_push_front(&entry->shared, &conn->place);
    list_push_back(&upstreams->conns, &conn->of_all);
    upstreams->conns_count++;
    entry->conns_count++;
    deadline_set(&conn->deadline, upstreams->loop, waiter->pool->config->connect_timeout);
    return FAILURE_NONE;
}

void upstream_conn_abandon(struct upstream_waiter *waiter)
{
    struct upstream_conn *conn = waiter->conn;
    list_remove(&waiter->queued);
    conn->waiters_count--;
    if (conn->waiters_count == 0 && conn->state == CONN_CONNECTING)
        conn_close(conn);
}

void upstream_conns_close_idle(struct server_entry *entry, const struct pool *keep)
{
    LIST_EACH_SAFE (node, after, &entry->idle) {
        struct upstream_conn *conn = CONTAINER_OF(node, struct upstream_conn, place);
        if (keep == NULL || conn->tls != keep->tls)
            conn_close(conn);
    }
    struct list *const lists[] = {&entry->shared, &entry->owned};
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        LIST_EACH_SAFE (node, after, lists[i]) {
            struct upstream_conn *conn = CONTAINER_OF(node, struct upstream_conn, place);
            if (keep == NULL ? conn->state == CONN_IDLE : !conn_is_of(conn, keep))
                conn_close_when_idle(conn);
        }
    }
}

/* Those looked at go behind the others, so that the next look sees new ones. */
bool upstreams_shed_idle(struct upstreams *upstreams)
{
    uint32_t looks = upstreams->conns_count < SHED_LOOKS ? upstreams->conns_count : SHED_LOOKS;
    for (uint32_t i = 0; i < looks; i++) {
        struct upstream_conn *conn = CONTAINER_OF(upstreams->conns.next, struct upstream_conn, of_all);
        list_remove(&conn->of_all);
        list_push_back(&upstreams->conns, &conn->of_all);
        if (conn->state != CONN_IDLE || conn->owner != NULL)
            continue;
        conn_close(conn);
        counter_add(COUNTER_upstream_idle_shed, 1);
        return true;
    }
    return false;
}

void upstream_conns_close(struct upstreams *upstreams)
{
    LIST_EACH_SAFE (node, after, &upstreams->conns)
        conn_close(CONTAINER_OF(node, struct upstream_conn, of_all));
}

void upstream_conns_reset(struct upstreams *upstreams)
{
    LIST_EACH_SAFE (node, after, &upstreams->conns) {
        struct upstream_conn *conn = CONTAINER_OF(node, struct upstream_conn, of_all);
        if (conn->http != NULL)
            http_conn_reset(conn->http);
        else
            transport_reset(conn->transport);
    }
}

void upstream_conns_settings(struct upstreams *upstreams)
{
    LIST_EACH (node, &upstreams->conns) {
        struct upstream_conn *conn = CONTAINER_OF(node, struct upstream_conn, of_all);
        if (conn->http != NULL)
            http_conn_settings(conn->http, upstreams->settings);
    }
}
