/*
 * TLS as a kind of transport: OpenSSL straight on the socket (tls_socket.c), with read-ahead. Reading goes on
 * until WANT_READ, since bytes that OpenSSL has read ahead never wake the loop; small pieces that are written
 * together leave as one record, and large ones as several with one call.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/counters.h"
#include "base/error.h"
#include "net/socket.h"
#include "tls/tls_error.h"
#include "tls/tls_files.h"
#include "tls/tls_private.h"
#include "tls/tls_socket.h"

#define REASON_MOST 96u
#define NAME_FLAGS (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)
#define V4_SKIP 12u /* bytes of an ip_address before those of IPv4, which is held v4-mapped */

struct tls_transport {
    struct transport transport;
    SSL *ssl;
    struct tls_store *store;   /* server role */
    struct tls_client *client; /* client role */
    struct tls_socket socket;
    size_t shown;  /* of the store's identities; once shaken, where hosts have to be covered */
    size_t sealed; /* bytes of `out` whose records wait in socket.unsent */
    bool shaken;
    bool unnamed; /* client role: the server's name is to be verified, and there is none */
};

static _Thread_local char last_failure[REASON_MOST];

/* What an error means is told by the queue, which must not have an older one. Emptying it goes through all of
 * its places, looking at it does not. */
static void forget_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
    errno = 0;
}

static struct tls_transport *tls_of(const struct transport *transport)
{
    return (struct tls_transport *)(uintptr_t)transport; /* its first member */
}

/* Ours is the one callback that fails for a reason of its own: take_name(). */
static const char *reason_told(void)
{
    bool refused = ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CALLBACK_FAILED;
    const char *reason = tls_reason();
    return refused ? "there is no certificate for the name asked for" : reason;
}

static enum transport_step tls_failed(struct tls_transport *tls, int error)
{
    long verify = SSL_get_verify_result(tls->ssl);
    bool unverified = tls->client != NULL && verify != X509_V_OK && tls->client->verify != SERVER_VERIFY_NONE;
    const char *reason = unverified ? X509_verify_cert_error_string(verify) : reason_told();
    ERR_clear_error();
    snprintf(last_failure, sizeof last_failure, "%s", reason);
    tls->transport.error = unverified ? TRANSPORT_ERROR_VERIFY : error;
    return TRANSPORT_FAILED;
}

/* What an SSL call that did not succeed means. The end of the stream without close_notify is an end for a
 * server, whose HTTP knows when a request is cut (a tunnel does not, so it is told), but not for a client:
 * there a body may end with the connection. */
static enum transport_step step_of(struct tls_transport *tls, int result)
{
    int number = errno;
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TRANSPORT_WANTS_READ;
    case SSL_ERROR_WANT_WRITE:
        return TRANSPORT_WANTS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TRANSPORT_ENDED;
    case SSL_ERROR_SYSCALL:
        ERR_clear_error();
        tls->transport.error = number != 0 ? number : ECONNRESET;
        return TRANSPORT_FAILED;
    default:
        break;
    }
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        if (transport_has_failed(&tls->transport))
            return TRANSPORT_FAILED;
        tls->transport.truncated = 1;
        if (tls->shaken && tls->store != NULL)
            return TRANSPORT_ENDED;
        tls->transport.error = tls->shaken ? TRANSPORT_ERROR_TRUNCATED : ECONNRESET;
        return TRANSPORT_FAILED;
    }
    return tls_failed(tls, TRANSPORT_ERROR_TLS);
}

/* True when the last read of the socket was short and nothing of it is left: then more has to come, which the
 * loop will tell. */
static bool is_read_out(struct tls_transport *tls)
{
    if (!tls->socket.drained || SSL_has_pending(tls->ssl) == 1)
        return false;
    tls->socket.drained = false;
    return true;
}

/* ---- handshake ---- */

/* Somebody speaks HTTP to the TLS port: told in words they can read. */
static void answer_plainly(struct tls_transport *tls)
{
    static const char answer[] =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 48\r\nConnection: close\r\n\r\n"
        "400 Bad Request\nThis port speaks TLS: use https\n";
    (void)!send(tls->transport.fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(tls->transport.fd, SHUT_WR);
    char rest[4096]; /* what is unread when the socket closes would reset it before the answer is read */
    while (recv(tls->transport.fd, rest, sizeof rest, MSG_DONTWAIT) > 0)
        ;
}

static bool looks_like_http(unsigned long code)
{
    int reason = ERR_GET_REASON(code);
    return ERR_GET_LIB(code) == ERR_LIB_SSL &&
           (reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST);
}

static enum transport_step shake(struct tls_transport *tls)
{
    if (tls->unnamed) {
        snprintf(last_failure, sizeof last_failure, "there is no name to verify the certificate by");
        tls->transport.error = TRANSPORT_ERROR_VERIFY;
        return TRANSPORT_FAILED;
    }
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(tls->ssl);
    if (result == 1) {
        tls->shaken = true;
        if (tls->store != NULL && tls->store->covered)
            tls->shown = tls_identity_shown(tls->ssl, tls->store);
        (void)is_read_out(tls);
        return TRANSPORT_DONE;
    }
    if (tls->socket.hello.too_long) {
        ERR_clear_error();
        snprintf(last_failure, sizeof last_failure, "the ClientHello is longer than %u bytes",
                 TLS_HELLO_MOST);
        tls->transport.error = TRANSPORT_ERROR_TLS;
        return TRANSPORT_FAILED;
    }
    if (tls->store != NULL && looks_like_http(ERR_peek_error()))
        answer_plainly(tls);
    enum transport_step step = step_of(tls, result);
    if (step == TRANSPORT_ENDED)
        tls->transport.error = ECONNRESET;
    return step;
}

static enum transport_step tls_open(struct transport *transport)
{
    struct tls_transport *tls = tls_of(transport);
    if (!transport->connecting)
        return shake(tls);
    if (!transport->read_wants_write)
        return TRANSPORT_WANTS_WRITE;
    int error = socket_error(transport->fd);
    if (error != 0) {
        transport->error = error;
        return TRANSPORT_FAILED;
    }
    transport->connecting = 0;
    return shake(tls);
}

/* ---- bytes ---- */

static enum transport_step tls_read(struct transport *transport, const struct iovec *vectors, int count,
                                    size_t *got)
{
    struct tls_transport *tls = tls_of(transport);
    for (int i = 0; i < count; i++) {
        size_t filled = 0;
        while (filled < vectors[i].iov_len) {
            size_t bytes = 0;
            forget_errors();
            int result = SSL_read_ex(tls->ssl, (char *)vectors[i].iov_base + filled,
                                     vectors[i].iov_len - filled, &bytes);
            if (result == 1) {
                filled += bytes;
                *got += bytes;
                if (is_read_out(tls))
                    return TRANSPORT_DONE;
                continue;
            }
            enum transport_step step = step_of(tls, result);
            bool later = step == TRANSPORT_WANTS_READ || step == TRANSPORT_WANTS_WRITE;
            return later && *got != 0 ? TRANSPORT_DONE : step;
        }
    }
    return TRANSPORT_DONE;
}

/* The next record's bytes: the first slice when it is large, else several together. */
static struct span next_record(const struct iovec *vectors, int count, size_t skip)
{
    int i = 0;
    while (i < count && skip >= vectors[i].iov_len)
        skip -= vectors[i++].iov_len;
    if (i == count)
        return SPAN_NONE;
    size_t first = vectors[i].iov_len - skip;
    if (first >= TLS_RECORD_MOST / 2 || i + 1 == count)
        return span_make((char *)vectors[i].iov_base + skip,
                         first < TLS_RECORD_MOST ? first : TLS_RECORD_MOST);
    char *plain = tls_socket_plain();
    size_t length = 0;
    for (; i < count && length < TLS_RECORD_MOST; i++, skip = 0) {
        size_t part = vectors[i].iov_len - skip, room = TLS_RECORD_MOST - length;
        part = part < room ? part : room;
        memcpy(plain + length, (char *)vectors[i].iov_base + skip, part);
        length += part;
    }
    return span_make(plain, length);
}

/* Records of what lies behind the first `skip` bytes, as many as leave together; *sealed of them. */
static enum transport_step seal(struct tls_transport *tls, const struct iovec *vectors, int count,
                                size_t skip, size_t *sealed)
{
    struct span record;
    tls_socket_gather(&tls->socket);
    while (tls_socket_has_room() && (record = next_record(vectors, count, skip + *sealed)).length != 0) {
        size_t bytes = 0;
        forget_errors();
        int result = SSL_write_ex(tls->ssl, record.at, record.length, &bytes);
        if (result != 1)
            return step_of(tls, result);
        *sealed += bytes;
    }
    return TRANSPORT_DONE;
}

static enum transport_step tls_write(struct transport *transport, const struct iovec *vectors, int count,
                                     size_t *sent)
{
    struct tls_transport *tls = tls_of(transport);
    for (;;) {
        enum transport_step step = TRANSPORT_DONE;
        if (tls->socket.unsent.length == 0)
            step = seal(tls, vectors, count, *sent, &tls->sealed);
        if (step == TRANSPORT_FAILED || (tls->sealed == 0 && tls->socket.unsent.length == 0)) {
            tls->socket.gathering = false;
            return step;
        }
        int left = tls_socket_send(&tls->socket);
        if (left < 0) {
            transport->error = errno;
            if (errno != ENOMEM && tls->socket.unsent.length == 0)
                tls->sealed = 0; /* none of it has left */
            return TRANSPORT_FAILED;
        }
        if (left == 0)
            return TRANSPORT_WANTS_WRITE;
        *sent += tls->sealed;
        tls->sealed = 0;
        if (step != TRANSPORT_DONE)
            return step;
    }
}

static enum transport_step tls_finish(struct transport *transport)
{
    struct tls_transport *tls = tls_of(transport);
    ERR_clear_error();
    int result = tls->shaken ? SSL_shutdown(tls->ssl) : 0; /* one way: our close_notify */
    if (result < 0 && SSL_get_error(tls->ssl, result) == SSL_ERROR_WANT_WRITE)
        return TRANSPORT_WANTS_WRITE;
    ERR_clear_error();
    if (tls->store != NULL)
        (void)shutdown(transport->fd, SHUT_WR); /* a client that waits for the end of TCP too */
    return TRANSPORT_DONE;
}

static void tls_free(struct transport *transport)
{
    struct tls_transport *tls = tls_of(transport);
    SSL_free(tls->ssl);
    buf_clear(&tls->socket.unsent);
    tls_store_release(tls->store);
    tls_client_release(tls->client);
    free(tls);
}

static bool tls_has_pending(const struct transport *transport)
{
    return SSL_has_pending(tls_of(transport)->ssl) == 1;
}

/* Of what is sealed and not told of, what does not wait here. */
static size_t tls_ahead(const struct transport *transport)
{
    const struct tls_transport *tls = tls_of(transport);
    size_t waits = tls->socket.unsent.length;
    return tls->sealed > waits ? tls->sealed - waits : 0;
}

static const struct transport_kind tls_kind = {
    .name = "tls",
    .tls = true,
    .open = tls_open,
    .read = tls_read,
    .write = tls_write,
    .finish = tls_finish,
    .free = tls_free,
    .has_pending = tls_has_pending,
    .ahead = tls_ahead,
};

/* ---- making ---- */

static struct tls_transport *tls_new(SSL_CTX *context, int fd)
{
    struct tls_transport *tls = calloc(1, sizeof *tls);
    SSL *ssl = tls != NULL ? SSL_new(context) : NULL;
    BIO *bio = ssl != NULL ? tls_socket_bio(&tls->socket) : NULL;
    if (bio == NULL) {
        SSL_free(ssl);
        free(tls);
        return NULL;
    }
    tls->ssl = ssl;
    tls->socket.fd = fd;
    SSL_set_bio(tls->ssl, bio, bio);
    return tls;
}

/* Of one that is no transport yet. */
static void tls_unmake(struct tls_transport *tls)
{
    SSL_free(tls->ssl);
    free(tls);
}

struct transport *tls_transport_accept(struct loop *loop, int fd, struct tls_store *store, struct buf *early,
                                       const struct transport_events *events, void *owner)
{
    struct tls_transport *tls = tls_new(store->context, fd);
    if (tls == NULL)
        return NULL;
    if (early != NULL)
        buf_clear(early); /* the caller reads a PROXY preface with MSG_PEEK, so nothing can be early here */
    tls->store = tls_store_take(store);
    tls->socket.hello.awaited = true;
    SSL_set_accept_state(tls->ssl);
    transport_init(&tls->transport, &tls_kind, loop, fd, events, owner);
    return &tls->transport;
}

static bool verify_address(X509_VERIFY_PARAM *wanted, const struct ip_address *ip)
{
    size_t skip = ip->family == AF_INET ? V4_SKIP : 0;
    return X509_VERIFY_PARAM_set1_ip(wanted, ip->bytes + skip, sizeof ip->bytes - skip) == 1;
}

/*
 * The name to ask for (RFC 6066 3: no address, no dot at the end) and to verify. A certificate's names are
 * its alternative names, the common name is none, and a wildcard is a whole label (RFC 9525 6). False: no
 * memory for it. unnamed: neither a name nor an address is set, so that whoever has to verify one must not go
 * on.
 */
static bool set_name(struct tls_transport *tls, const struct tls_client *client, const char *text)
{
    struct ip_address ip;
    char name[TLS_NAME_MOST];
    struct span host = text != NULL ? span_of(text) : SPAN_NONE;
    if (host.length != 0 && host.at[host.length - 1] == '.')
        host.length--;
    bool verify = client->verify == SERVER_VERIFY_FULL;
    if (host.length == 0 || host.length >= sizeof name) {
        tls->unnamed = verify;
        return true;
    }
    memcpy(name, host.at, host.length);
    name[host.length] = '\0';
    X509_VERIFY_PARAM *wanted = SSL_get0_param(tls->ssl);
    X509_VERIFY_PARAM_set_hostflags(wanted, NAME_FLAGS);
    if (ip_address_parse(&ip, host))
        return !verify || verify_address(wanted, &ip);
    return SSL_set_tlsext_host_name(tls->ssl, name) == 1 &&
           (!verify || X509_VERIFY_PARAM_set1_host(wanted, name, host.length) == 1);
}

struct transport *tls_transport_connect(struct loop *loop, int fd, bool pending, struct tls_client *client,
                                        const char *name, const struct transport_events *events, void *owner)
{
    struct tls_transport *tls = tls_new(client->context, fd);
    if (tls == NULL)
        return NULL;
    if (!set_name(tls, client, client->server_name != NULL ? client->server_name : name)) {
        tls_unmake(tls);
        return NULL;
    }
    tls->client = tls_client_take(client);
    tls->transport.connecting = pending;
    SSL_set_connect_state(tls->ssl);
    transport_init(&tls->transport, &tls_kind, loop, fd, events, owner);
    return &tls->transport;
}

void tls_transport_offer(struct transport *transport, unsigned protocol_bits)
{
    struct span protocols = tls_protocols(protocol_bits);
    /* Not 0: no memory; the client's own offer stands, and its answer is seen when the handshake is done. */
    (void)SSL_set_alpn_protos(tls_of(transport)->ssl, (const unsigned char *)protocols.at,
                              (unsigned)protocols.length);
}

/* By the names that it serves, or by those in it: a client goes by the latter. */
static bool covers(const struct tls_store *store, size_t shown, struct span host)
{
    struct ip_address ip;
    if (host.length == 0 || shown == store->identities_count)
        return host.length == 0;
    X509 *leaf = store->identities[shown]->leaf;
    if (!ip_address_parse(&ip, host))
        return tls_store_is_named(store, shown, host) ||
               (host.at[0] != '.' && /* which would stand for any name below */
                X509_check_host(leaf, host.at, host.length, NAME_FLAGS, NULL) == 1);
    size_t skip = ip.family == AF_INET ? V4_SKIP : 0;
    return X509_check_ip(leaf, ip.bytes + skip, sizeof ip.bytes - skip, 0) == 1;
}

static bool serves(const struct tls_store *store, struct span name, size_t shown, struct span host)
{
    if (host.length != 0 && host.at[host.length - 1] == '.')
        host.length--;
    if (host.length != 0 && span_equal_nocase(name, host))
        return true;
    if (store->client_auth != CLIENT_AUTH_OFF && tls_store_find(store, name) != tls_store_find(store, host))
        return false;
    return !store->covered || covers(store, shown, host);
}

bool tls_transport_serves(const struct transport *transport, struct span host)
{
    const struct tls_transport *tls = tls_of(transport);
    struct span name = span_of(SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name));
    return serves(tls->store, name, tls->shown, host);
}

enum tls_admission tls_store_admits(const struct tls_store *store, const char *name, struct span host)
{
    struct tls_choice choice;
    if (!tls_store_choose(store, name, &choice))
        return TLS_NAME_REFUSED;
    return serves(store, span_of(name), choice.identities[0], host) ? TLS_ADMITTED : TLS_MISDIRECTED;
}

bool tls_transport_satisfies(const struct transport *transport, const struct tls_store *store)
{
    const struct tls_store *own = tls_of(transport)->store;
    return store->client_auth != CLIENT_AUTH_REQUIRED ||
           (tls_transport_facts(transport).client_verified &&
            memcmp(own->authorities, store->authorities, sizeof store->authorities) == 0);
}

struct tls_facts tls_transport_facts(const struct transport *transport)
{
    struct tls_facts facts = {.version = NULL};
    if (transport->kind != &tls_kind)
        return facts;
    const SSL *ssl = tls_of(transport)->ssl;
    const unsigned char *alpn;
    unsigned length;
    SSL_get0_alpn_selected(ssl, &alpn, &length);
    facts.version = SSL_get_version(ssl);
    facts.cipher = SSL_get_cipher_name(ssl);
    facts.server_name = span_of(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    facts.alpn = span_make((const char *)alpn, length);
    facts.resumed = SSL_session_reused(ssl) == 1;
    facts.client_verified = tls_of(transport)->store != NULL && SSL_get0_peer_certificate(ssl) != NULL &&
                            SSL_get_verify_result(ssl) == X509_V_OK;
    return facts;
}

const char *tls_transport_failure(const struct transport *transport)
{
    return transport->error == TRANSPORT_ERROR_TLS || transport->error == TRANSPORT_ERROR_VERIFY
               ? last_failure
               : transport_error_text(transport->error);
}
