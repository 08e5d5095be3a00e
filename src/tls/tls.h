/*
 * TLS as a kind of transport, and certificates by name. No other room sees OpenSSL. Contexts are made at load
 * time, one per listener; certificates are chosen in the certificate callback (exact name, wildcard,
 * default), no SSL_CTX per name.
 */
#ifndef WEIR_TLS_TLS_H
#define WEIR_TLS_TLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"
#include "config/tls_config.h"
#include "net/transport.h"

struct tls_store;   /* what a listener needs to be a TLS server: counted, thread-safe */
struct tls_files;   /* certificates and keys as they were read; outlives reloads, of the thread that loads */
struct tls_client;  /* what a pool needs to be a TLS client: counted, thread-safe */
struct tls_tickets; /* ticket keys of the process, shared by all stores, rotated by age; outlives reloads */

bool tls_begin(struct error *error) MUST_CHECK; /* once, at start */
const char *tls_library_version(void);
struct tls_tickets *tls_tickets_new(void);
void tls_tickets_free(struct tls_tickets *tickets);
void tls_tickets_configure(struct tls_tickets *tickets, uint64_t lifetime_ms);

/* Whether OpenSSL knows each cipher of the list, of TLS 1.3 or of those before; else the error names the
 * first. */
bool tls_ciphers_check(const char *ciphers, bool of_1_3, struct error *error) MUST_CHECK;

struct tls_files *tls_files_new(void);
void tls_files_free(struct tls_files *files);
/* Of one loading: so many threads may read side by side; `given_up` (NULL: never) ends it with errors.
 * thorough: each signature is verified, also of thousands. */
void tls_files_begin(struct tls_files *files, unsigned threads, bool thorough, const _Atomic bool *given_up);
void tls_files_sweep(struct tls_files *files); /* frees what no store and no client uses */

/* What is wrong with files that a section names: errors, what clients may stumble over, and dates that are
 * past or near. `field` is of the section, for its place. */
enum tls_word { TLS_WORD_ERROR, TLS_WORD_WARNING, TLS_WORD_DATE };
struct tls_teller {
    void (*tell)(void *owner, enum tls_word word, const char *const *field, const char *text);
    /* cert cannot be used with its key, or as an authority (key NULL). of_key: the key is to blame */
    void (*missing)(void *owner, const char *const *cert, const char *const *key, bool of_key,
                    const char *text);
    void *owner;
};
/* Reads the files, and tells. False: there was an error, and no store or client can be made. */
bool tls_check_listener(struct tls_files *files, const struct tls_config *config,
                        const struct tls_teller *teller) MUST_CHECK;
bool tls_check_pool(struct tls_files *files, const struct upstream_tls_config *config,
                    const struct tls_teller *teller) MUST_CHECK;

/* Each error has its file and reason. protocol_bits: enum protocol_bit, for ALPN. */
struct tls_store *tls_store_new(const struct tls_config *config, unsigned protocol_bits,
                                struct tls_files *files, struct tls_tickets *tickets,
                                struct error *error) MUST_CHECK;
/* Tells which certificates have expired or soon will, by their place in the section; TLS_AUTHORITIES: all of
 * client_ca, or of a pool's ca. `now`: seconds since 1970. */
#define TLS_AUTHORITIES SIZE_MAX
struct tls_date_teller {
    void (*tell)(void *owner, size_t certificate, const char *words);
    void *owner;
};
void tls_store_dates(const struct tls_store *store, int64_t now, const struct tls_date_teller *teller);
void tls_client_dates(const struct tls_client *client, int64_t now, const struct tls_date_teller *teller);
struct tls_store *tls_store_take(struct tls_store *store);
void tls_store_release(struct tls_store *store); /* NULL allowed */
/* What a client gets that asks for `name` (NULL: for none) and sends a request for `host` on that connection.
 */
enum tls_admission {
    TLS_ADMITTED,
    TLS_NAME_REFUSED, /* in the handshake, by strict_sni */
    TLS_MISDIRECTED   /* the request, by 421 */
};
enum tls_admission tls_store_admits(const struct tls_store *store, const char *name, struct span host);
/* Both ask the same of clients: who shows certificates, of which authorities, versions, ciphers, names. Our
 * own certificates are not looked at. */
bool tls_store_same_rule(const struct tls_store *a, const struct tls_store *b);
/* Whether hosts of requests are to be asked about: tls_transport_serves(). */
bool tls_store_checks_hosts(const struct tls_store *store);

/* protocol_bits: enum protocol_bit, what is offered by ALPN, h2 first. */
struct tls_client *tls_client_new(const struct upstream_tls_config *config, unsigned protocol_bits,
                                  struct tls_files *files, struct error *error) MUST_CHECK;
struct tls_client *tls_client_take(struct tls_client *client);
void tls_client_release(struct tls_client *client);

/* Server side over an accepted socket; takes the descriptor and a reference of the store. `early` may hold
 * bytes already read (behind a PROXY preface); NULL: none. A client that speaks plain HTTP on a TLS port gets
 * a plain 400 that says so. NULL: no memory, and nothing was taken. */
struct transport *tls_transport_accept(struct loop *loop, int fd, struct tls_store *store, struct buf *early,
                                       const struct transport_events *events, void *owner);
/* Client side over a socket that socket_connect() began. name: a name or an IP address to verify, and the
 * name to ask for, unless the config gives one. Without any (NULL) a connection whose server's name has to be
 * verified fails with TRANSPORT_ERROR_VERIFY. NULL: no memory, and nothing was taken. */
struct transport *tls_transport_connect(struct loop *loop, int fd, bool pending, struct tls_client *client,
                                        const char *name, const struct transport_events *events, void *owner);

/* Of a transport just begun by tls_transport_connect(): offers this instead of what its client says. */
void tls_transport_offer(struct transport *transport, unsigned protocol_bits);

/* Of an opened TLS transport; for a plain one: NONE values. */
struct tls_facts {
    const char *version; /* "TLSv1.3" or NULL */
    const char *cipher;
    struct span server_name; /* SNI the client sent, lower case */
    struct span alpn;        /* "h2", "http/1.1" or empty */
    bool resumed;
    bool client_verified;
};
/* Of an opened TLS transport to a client: whether a request for `host` (no port; empty: none was named) may
 * come on it, else 421. Where clients show certificates, those were asked for by the TLS name, and the host
 * has to be of the same choice; with authority: covered the certificate that was shown has to cover it. */
bool tls_transport_serves(const struct transport *transport, struct span host);
/* Of an opened TLS transport to a client: it has shown what another store demands of its clients. */
bool tls_transport_satisfies(const struct transport *transport, const struct tls_store *store);
struct tls_facts tls_transport_facts(const struct transport *transport);
/* Why the handshake failed, for the log: OpenSSL's reason as text in a static thread-local buffer. */
const char *tls_transport_failure(const struct transport *transport);

#endif
