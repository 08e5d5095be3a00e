/*
 * A client's connection from accept to closed: caps, the PROXY preface, TLS, then the codec. Its exchanges
 * are exchange_run's; it only counts them, and moves to the current snapshot between them. What only the
 * beginning needs lives in client_setup and goes with it.
 */
#include "proxy/client_conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/counters.h"
#include "base/log.h"
#include "config/config.h"
#include "http/http_conn.h"
#include "http/stream.h"
#include "net/proxy_protocol.h"
#include "net/socket.h"
#include "net/transport.h"
#include "proxy/client_caps.h"
#include "proxy/client_handshakes.h"
#include "proxy/client_rules.h"
#include "proxy/client_version.h"
#include "proxy/exchange_run.h"
#include "proxy/exchange_state.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "tls/tls.h"

#define CHOOSE_DRAINING_MS                                                          \
    1000u /* what a client that has not shown its version is given once weir drains \
           */

struct client_setup {
    struct client_conn *conn;
    struct deadline deadline; /* of the preface, then of the handshake */
    struct retired retired;
    struct handshake handshake;
    struct watch *watch; /* while the preface is read */
    /* bytes already read: a beginning of a preface, or what turned out to be none */
    struct buf early;
    int fd; /* until a transport has it; then -1 */
    bool timed_out;
    bool choosing; /* the transport is open, and its first bytes have not yet told the version */
};

/* ---- the end ---- */

static void setup_free(struct retired *retired)
{
    free(CONTAINER_OF(retired, struct client_setup, retired));
}

static void setup_end(struct client_conn *conn)
{
    struct client_setup *setup = conn->setup;
    if (setup == NULL)
        return;
    conn->setup = NULL;
    handshake_end(&setup->handshake);
    deadline_clear(&setup->deadline);
    if (setup->watch != NULL)
        watch_free(setup->watch);
    if (setup->fd >= 0)
        close(setup->fd);
    buf_clear(&setup->early);
    setup->retired.free = setup_free;
    loop_retire(conn->worker->loop, &setup->retired);
}

static void conn_free(struct retired *retired)
{
    free(CONTAINER_OF(retired, struct client_conn, retired));
}

/* To another list of the worker, or to none: nobody looks at it any more. */
static void conn_lies(struct client_conn *conn, struct list *list)
{
    if (!list_is_linked(&conn->at))
        return;
    list_remove(&conn->at);
    if (list != NULL)
        list_push_back(list, &conn->at);
    client_caps_publish(conn->worker);
}

static void conn_end(struct client_conn *conn)
{
    struct worker *worker = conn->worker;
    client_caps_leave(conn);
    counter_add(COUNTER_connections_open, -1);
    conn->retired.free = conn_free;
    loop_retire(worker->loop, &conn->retired);
    worker_client_gone(worker);
    lease_release(conn->lease);
}

/* Nothing comes from its socket any more; exchanges may still have to hear from their servers. */
static void conn_gone(struct client_conn *conn)
{
    assert(!conn->gone);
    conn->gone = true;
    conn->http = NULL;
    conn->transport = NULL;
    conn_lies(conn, NULL);
    setup_end(conn);
    upstream_owner_end(&conn->owner);
    if (conn->exchanges == 0)
        conn_end(conn);
}

void client_conn_exchange_done(struct client_conn *conn)
{
    assert(conn->exchanges > 0);
    if (--conn->exchanges != 0)
        return;
    conn->quiet_since = (uint32_t)loop_now(conn->worker->loop);
    if (conn->gone)
        conn_end(conn);
    else
        client_conn_refresh(conn);
}

void client_conn_close(struct client_conn *conn)
{
    if (conn->http != NULL)
        http_conn_close(conn->http);
    else if (conn->transport != NULL)
        transport_close(conn->transport);
    else if (!conn->gone)
        conn_gone(conn);
}

void client_conn_shed(struct client_conn *conn)
{
    conn->draining = true;
    conn_lies(conn, NULL);
    client_caps_release(conn);
    if (conn->http != NULL)
        http_conn_shed(conn->http);
    else
        client_conn_close(conn);
}

void client_conn_cut(struct client_conn *conn)
{
    if (conn->http != NULL)
        http_conn_reset(conn->http);
    else
        client_conn_close(conn);
}

/* ---- the codec ---- */

static bool is_choosing(const struct client_conn *conn)
{
    return conn->setup != NULL && conn->setup->choosing;
}

void client_conn_drain(struct client_conn *conn)
{
    if (conn->draining)
        return;
    conn->draining = true;
    if (conn->http != NULL)
        http_conn_drain(conn->http);
    else if (is_choosing(conn))
        deadline_set(&conn->setup->deadline, conn->worker->loop, CHOOSE_DRAINING_MS);
}

static void conn_move(struct client_conn *conn, const struct site *site)
{
    struct lease *old = conn->lease;
    conn->lease = lease_hold(conn->worker->lease);
    conn->site = site;
    if (conn->http != NULL)
        http_conn_settings(conn->http, &site->http);
    else if (conn->transport == NULL) /* still in the PROXY preface */
        conn->tls = site->tls != NULL;
    lease_release(old);
}

/* What it has shown no longer fits: it ends with what is in progress, and where the new rules demand more of
 * clients nothing else is served on it. */
static void conn_outdate(struct client_conn *conn, const struct site *site)
{
    if (!client_rules_hold_of_tls(conn, site)) {
        conn->outdated = true;
        conn->refused = !client_rules_are_met(conn, site);
    }
    client_conn_drain(conn);
}

/* between: HTTP/1 reads its settings in the middle of an exchange, and is not moved there; an exchange holds
 * a snapshot of its own. A handshake goes on under the rules that it began with, and is looked at when it is
 * done. */
static void conn_refresh(struct client_conn *conn, bool between)
{
    struct lease *current = conn->worker->lease;
    if (conn->lease == current || conn->gone)
        return;
    const struct site *site = snapshot_site(current->snapshot, conn->site->config->address);
    /* before, its PROXY header has yet to tell who it is */
    if (site != NULL && (conn->transport != NULL || conn->http != NULL))
        client_caps_follow(conn, site);
    if (conn->outdated || (conn->transport != NULL && !conn->transport->opened))
        return;
    if (site == NULL)
        client_conn_drain(conn);
    else if (!client_rules_hold(conn, site))
        conn_outdate(conn, site);
    else if (between)
        conn_move(conn, site);
}

void client_conn_refresh(struct client_conn *conn)
{
    conn_refresh(conn, conn->exchanges == 0 || (conn->http != NULL && conn->http->version == HTTP_2));
}

/* ---- a stream too many ---- */

/* In the stream's arena, whose freeing ends it. */
struct refused_stream {
    struct retired retired;
    struct arena *arena;
    struct loop *loop;
};

static void refused_free(struct retired *retired)
{
    arena_free(CONTAINER_OF(retired, struct refused_stream, retired)->arena);
}

static void refused_closed(struct stream *stream, enum failure why)
{
    struct refused_stream *refused = stream->owner;
    (void)why;
    refused->retired.free = refused_free;
    loop_retire(refused->loop, &refused->retired);
}

static const struct stream_events refused_events = {.closed = refused_closed};

/*
 * A client that resets its requests makes room for others by HTTP/2's count, while ours still let go of their
 * servers (CVE-2023-44487): streams past what such a connection may leave behind are refused before they cost
 * more than this, told as not processed (RFC 9113 8.7).
 */
static void stream_refuse(struct client_conn *conn, struct stream *stream)
{
    _Static_assert(sizeof(struct refused_stream) <= sizeof(struct exchange_run), "it has an exchange's room");
    struct refused_stream *refused = stream->room;
    *refused = (struct refused_stream){.arena = stream->arena, .loop = conn->worker->loop};
    stream->owner = refused;
    stream->events = &refused_events;
    counter_add(COUNTER_streams_refused, 1);
    stream->ops->reset(stream, FAILURE_STREAM_REFUSED);
}

static void http_opened(struct http_conn *http, struct stream *stream)
{
    struct client_conn *conn = http->owner;
    if (!conn->asked) {
        conn->asked = true;
        conn_lies(conn, &conn->worker->clients);
    }
    if (conn->worker->leaving)
        client_conn_drain(conn);
    if (conn->exchanges < 2 * conn->lease->snapshot->config->limits.streams)
        exchange_begin(conn, stream);
    else
        stream_refuse(conn, stream);
}

static void http_idle(struct http_conn *http)
{
    struct client_conn *conn = http->owner;
    conn->quiet_since = (uint32_t)loop_now(conn->worker->loop);
    conn_refresh(conn, true);
}

/* It is the first to go from now on. */
static void http_flooded(struct http_conn *http, const char *of)
{
    struct client_conn *conn = http->owner;
    char peer[ADDRESS_TEXT_MAX];
    log_warn("http2", "a client flooded its connection, which is closed", KV("of", of),
             KV_SPAN("client", ip_address_print(&conn->peer, peer)),
             KV("listener", conn->site->config->name));
    conn_lies(conn, &conn->worker->flooded);
}

static void http_closed(struct http_conn *http, enum failure why)
{
    struct client_conn *conn = http->owner;
    char peer[ADDRESS_TEXT_MAX];
    if (why == FAILURE_TLS_ON_PLAIN) /* else each exchange has been told its own */
        log_info("listener", failure_info[why].text, KV_SPAN("client", ip_address_print(&conn->peer, peer)),
                 KV("listener", conn->site->config->name));
    conn_gone(conn);
}

static const struct http_conn_events http_events = {
    .opened = http_opened,
    .idle = http_idle,
    .flooded = http_flooded,
    .closed = http_closed,
};

/* ---- the transport, until the codec has it ---- */

static void setup_passed(struct deadline *deadline);

static void setup_begin(struct client_conn *conn)
{
    if (conn->setup != NULL)
        return;
    conn->setup = xcalloc(1, sizeof(*conn->setup));
    conn->setup->conn = conn;
    conn->setup->fd = -1;
    conn->setup->deadline.passed = setup_passed;
}

static void count_handshake(const struct transport *transport)
{
    counter_add(COUNTER_tls_handshakes, 1);
    if (tls_transport_facts(transport).resumed)
        counter_add(COUNTER_tls_resumed, 1);
}

static void http_begin(struct client_conn *conn, enum http_version version)
{
    struct buf *early =
        conn->setup != NULL && !buf_is_empty(&conn->setup->early) ? &conn->setup->early : NULL;
    conn->http =
        http_conn_new(version, HTTP_SERVER, conn->transport, &conn->site->http, early, &http_events, conn);
    if (conn->http == NULL) {
        transport_close(conn->transport);
        return;
    }
    conn->transport = NULL;
    setup_end(conn);
    if (conn->draining || conn->worker->draining) {
        conn->draining = true;
        http_conn_drain(conn->http);
    }
}

/* A client of HTTP/1 where there is only HTTP/2: told in words it can read. What it sends is thrown away
 * until it has read them. */
static void refuse_http_1(struct client_conn *conn)
{
    struct buf bytes = {0};
    char peer[ADDRESS_TEXT_MAX];
    uint64_t linger = conn->lease->snapshot->config->timeouts.linger;
    counter_add(COUNTER_connections_refused, 1);
    log_info("listener", "HTTP/1 was sent where only HTTP/2 is spoken",
             KV_SPAN("client", ip_address_print(&conn->peer, peer)),
             KV("listener", conn->site->config->name));
    conn->setup->choosing = false;
    buf_clear(&conn->setup->early);
    if (linger == 0 || !buf_add_span(&bytes, client_version_refusal)) {
        transport_close(conn->transport);
        return;
    }
    deadline_set(&conn->setup->deadline, conn->worker->loop, linger);
    transport_send(conn->transport, &bytes);
    transport_finish(conn->transport);
}

static void choose_by_bytes(struct client_conn *conn)
{
    bool both = (conn->site->config->protocol_bits & PROTOCOL_HTTP_1) != 0;
    enum client_version version = client_version_of(&conn->setup->early, both);
    if (version == CLIENT_VERSION_1 && !both)
        refuse_http_1(conn);
    else if (version != CLIENT_VERSION_MORE)
        http_begin(conn, version == CLIENT_VERSION_2 ? HTTP_2 : HTTP_1);
}

/* What has been agreed on, or is all that there is; else the first bytes tell. A client that offered no ALPN
 * speaks what is left. */
static bool version_is_known(const struct client_conn *conn, enum http_version *version)
{
    unsigned bits = conn->site->config->protocol_bits;
    struct span alpn = conn->tls ? tls_transport_facts(conn->transport).alpn : SPAN_NONE;
    *version = span_equal(alpn, SPAN("h2")) ? HTTP_2 : HTTP_1;
    return alpn.length != 0 || (conn->tls ? (bits & PROTOCOL_HTTP_1) != 0 : (bits & PROTOCOL_H2C) == 0);
}

static void transport_opened(struct transport *transport)
{
    struct client_conn *conn = transport->owner;
    if (conn->tls)
        count_handshake(transport);
    if (conn->setup != NULL)
        handshake_end(&conn->setup->handshake);
    client_conn_refresh(conn);
    enum http_version version;
    if (version_is_known(conn, &version)) {
        http_begin(conn, version);
        return;
    }
    setup_begin(conn);
    conn->setup->choosing = true;
    deadline_set(&conn->setup->deadline, conn->worker->loop,
                 conn->draining ? CHOOSE_DRAINING_MS : conn->lease->snapshot->config->timeouts.request_head);
    choose_by_bytes(conn);
}

static void transport_received(struct transport *transport, struct buf *bytes)
{
    struct client_conn *conn = transport->owner;
    if (conn->http != NULL || !is_choosing(conn)) { /* only of one that closes for want of memory */
        buf_clear(bytes);
        return;
    }
    buf_move(&conn->setup->early, bytes);
    choose_by_bytes(conn);
}

static void transport_sent(struct transport *transport, size_t bytes)
{
    (void)transport;
    (void)bytes;
}

static void transport_ended(struct transport *transport)
{
    transport_close(transport);
}

static void log_handshake(const struct client_conn *conn, const struct transport *transport, int error)
{
    char peer[ADDRESS_TEXT_MAX];
    const char *why = conn->setup != NULL && conn->setup->timed_out ? "timed out"
                      : error == TRANSPORT_ERROR_TLS                ? tls_transport_failure(transport)
                                                                    : transport_error_text(error);
    counter_add(COUNTER_tls_handshakes_failed, 1);
    log_info("tls", "handshake failed", KV_SPAN("client", ip_address_print(&conn->peer, peer)),
             KV("listener", conn->site->config->name), KV("why", why));
}

static void transport_closed(struct transport *transport, int error)
{
    struct client_conn *conn = transport->owner;
    bool by_us = error == 0 && (conn->setup == NULL || !conn->setup->timed_out);
    if (conn->tls && !transport->opened && !by_us)
        log_handshake(conn, transport, error);
    conn_gone(conn);
}

static const struct transport_events transport_events = {
    .opened = transport_opened,
    .received = transport_received,
    .sent = transport_sent,
    .ended = transport_ended,
    .closed = transport_closed,
};

static void preface_refuse(struct client_conn *conn, const char *why)
{
    char peer[ADDRESS_TEXT_MAX];
    counter_add(COUNTER_connections_refused, 1);
    log_info("listener", "PROXY preface refused", KV_SPAN("client", ip_address_print(&conn->peer, peer)),
             KV("listener", conn->site->config->name), KV("why", why));
    conn_gone(conn);
}

static void setup_passed(struct deadline *deadline)
{
    struct client_setup *setup = CONTAINER_OF(deadline, struct client_setup, deadline);
    setup->timed_out = true;
    if (setup->conn->transport != NULL)
        transport_close(setup->conn->transport);
    else
        preface_refuse(setup->conn, "timed out");
}

/* ---- the beginning ---- */

static void conn_without_memory(struct client_conn *conn, int fd)
{
    client_caps_tell(conn->site, "memory");
    counter_add(COUNTER_memory_refused, 1);
    close(fd);
    conn_gone(conn);
}

/* The client's address is known: a transport, or the end. */
static void conn_admit(struct client_conn *conn, int fd)
{
    struct worker *worker = conn->worker;
    if (!client_caps_enter_client(conn)) {
        close(fd);
        conn_gone(conn);
        return;
    }
    if (!conn->tls) {
        conn->transport = transport_new_plain(worker->loop, fd, false, &transport_events, conn);
        if (conn->transport == NULL)
            conn_without_memory(conn, fd);
        return;
    }
    setup_begin(conn);
    struct buf *early = buf_is_empty(&conn->setup->early) ? NULL : &conn->setup->early;
    conn->transport = tls_transport_accept(worker->loop, fd, conn->site->tls, early, &transport_events, conn);
    if (conn->transport == NULL) {
        conn_without_memory(conn, fd);
        return;
    }
    deadline_set(&conn->setup->deadline, worker->loop, conn->lease->snapshot->config->tls.handshake_timeout);
    handshake_begin(&conn->setup->handshake, conn);
    handshake_known(&conn->setup->handshake);
}

static void preface_over(struct client_conn *conn)
{
    struct client_setup *setup = conn->setup;
    int fd = setup->fd;
    setup->fd = -1;
    watch_free(setup->watch);
    setup->watch = NULL;
    deadline_clear(&setup->deadline);
    conn_admit(conn, fd);
}

/* Takes bytes off the socket that were only looked at so far. */
static bool preface_consume(struct client_setup *setup, char *bytes, size_t length)
{
    return length == 0 || recv(setup->fd, bytes, length, 0) == (ssize_t)length;
}

/* Looks without taking, since what follows the preface is for TLS to read from the socket itself. Only the
 * bytes of a preface that is not yet whole are taken, or a level-triggered loop would spin. */
static void preface_ready(void *owner, unsigned bits)
{
    struct client_conn *conn = owner;
    struct client_setup *setup = conn->setup;
    char bytes[PROXY_PROTOCOL_MAX];
    size_t had = buf_peek(&setup->early, bytes, sizeof(bytes));
    ssize_t seen = recv(setup->fd, bytes + had, sizeof(bytes) - had, MSG_PEEK);
    (void)bits;
    if (seen < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (seen <= 0) {
        preface_refuse(conn, seen == 0 ? "the client closed" : strerror(errno));
        return;
    }
    size_t got = (size_t)seen;
    struct proxy_protocol preface = {0};
    switch (proxy_protocol_read(&preface, span_make(bytes, had + got))) {
    case PROXY_PROTOCOL_MORE:
        if (had + got == sizeof(bytes) || !preface_consume(setup, bytes + had, got) ||
            !buf_add(&setup->early, bytes + had, got))
            preface_refuse(conn, "too long");
        return;
    case PROXY_PROTOCOL_DONE:
        if (!preface_consume(setup, bytes + had, preface.length - had)) {
            preface_refuse(conn, "cannot read");
            return;
        }
        buf_clear(&setup->early);
        if (!preface.local)
            conn->peer = preface.source;
        conn->preface_tls = !preface.local && preface.tls;
        preface_over(conn);
        return;
    case PROXY_PROTOCOL_ABSENT:
        if (conn->site->config->proxy_protocol == PROXY_PROTOCOL_REQUIRED)
            preface_refuse(conn, "there is none");
        else
            preface_over(conn);
        return;
    case PROXY_PROTOCOL_BAD:
        preface_refuse(conn, "malformed");
        return;
    }
}

static bool peer_is_trusted(const struct client_conn *conn)
{
    const struct snapshot *snapshot = conn->lease->snapshot;
    if (conn->peer.family == AF_UNIX)
        return snapshot->trust_unix;
    return networks_contain(&snapshot->trusted, &conn->peer);
}

static bool expects_preface(const struct client_conn *conn)
{
    switch (conn->site->config->proxy_protocol) {
    case PROXY_PROTOCOL_OFF:
        return false;
    case PROXY_PROTOCOL_OPTIONAL:
        return peer_is_trusted(conn);
    case PROXY_PROTOCOL_REQUIRED:
        return true;
    }
    return false;
}

static void preface_begin(struct client_conn *conn, int fd)
{
    struct worker *worker = conn->worker;
    setup_begin(conn);
    conn->setup->fd = fd;
    conn->setup->watch = watch_new(worker->loop, fd, WATCH_READ, preface_ready, conn);
    if (conn->setup->watch == NULL) {
        preface_refuse(conn, "no memory to watch it");
        return;
    }
    deadline_set(&conn->setup->deadline, worker->loop, conn->lease->snapshot->config->timeouts.proxy_header);
    handshake_begin(&conn->setup->handshake, conn);
}

const char *client_conn_accept(struct lease *lease, const struct site *site, int fd,
                               const struct address *peer, enum caps_who who)
{
    struct worker *worker = lease->worker;
    const char *limit = client_caps_enter(lease, site, who);
    if (limit != NULL)
        return limit;
    counter_add(COUNTER_connections_accepted, 1);
    struct client_conn *conn = xcalloc(1, sizeof(*conn));
    conn->worker = worker;
    conn->lease = lease_hold(lease);
    conn->site = site;
    conn->tls = site->tls != NULL;
    upstream_owner_init(&conn->owner);
    conn->quiet_since = (uint32_t)loop_now(worker->loop);
    conn->passed_at = conn->quiet_since - CLIENT_PASSES_MS;
    ip_address_of(&conn->peer, peer);
    list_push_back(&worker->fresh, &conn->at);
    client_caps_publish(worker);
    worker_client_came(worker);
    counter_add(COUNTER_connections_open, 1);
    if (expects_preface(conn))
        preface_begin(conn, fd);
    else
        conn_admit(conn, fd);
    return NULL;
}

void client_conn_refuse(const struct site *site, int fd, const char *limit)
{
    counter_add(COUNTER_connections_accepted, 1);
    client_caps_tell(site, limit);
    close(fd);
}
