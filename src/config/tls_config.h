/* TLS towards clients (a listener's `tls:`, and the shared top-level `tls:`) and towards servers (a pool's
 * `tls:`). */
#ifndef WEIR_CONFIG_TLS_CONFIG_H
#define WEIR_CONFIG_TLS_CONFIG_H

#include "config/values.h"

enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 }; /* "1.2", "1.3" */

/*
 * The defaults, in the order of Mozilla's "intermediate" recommendation: AES-128 first. OpenSSL's begins with
 * AES-256, whose fourteen rounds instead of ten cost more and keep out nobody who could
 * break AES-128. Those of TLS 1.2 are forward secret and authenticated, which RFC 9113 9.2.2 asks for.
 */
#define TLS_CIPHERS "ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20"
#define TLS_CIPHERSUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

struct certificate_config {
    const char *cert;   /* PEM file with the chain, leaf first; required */
    const char *key;    /* PEM file with the private key; required */
    struct texts names; /* names it serves; empty: the names in the certificate (SAN) */
    /* key `default`: serves clients without or with an unknown SNI; else the first of the list does */
    bool is_default;
};
/* any, covered */
enum authority_rule { AUTHORITY_ANY, AUTHORITY_COVERED };
/* off, optional, required */
enum client_auth { CLIENT_AUTH_OFF, CLIENT_AUTH_OPTIONAL, CLIENT_AUTH_REQUIRED };

/* listener.tls; its absence means a plain listener. */
struct tls_config {
    size_t certificates_count;
    struct certificate_config *certificates; /* at least one */
    enum tls_version min_version;            /* "1.2" */
    enum tls_version max_version;            /* "1.3" */
    const char *ciphers;                     /* TLS 1.2, in OpenSSL's notation; TLS_CIPHERS */
    const char *ciphersuites;                /* TLS 1.3; TLS_CIPHERSUITES */
    enum client_auth client_auth;            /* off */
    const char *client_ca;                   /* PEM file; required unless client_auth is off */
    /* false; true: an unknown name gets an alert, not the default certificate */
    bool strict_sni;
    enum authority_rule authority; /* any; whether requests for names that the certificate lacks get 421 */
};
/* pool.tls; its absence means plain connections. */
/* full (or true), ca, none (or false) */
enum server_verify {
    SERVER_VERIFY_FULL, /* chain and name */
    SERVER_VERIFY_CA,   /* the chain alone */
    SERVER_VERIFY_NONE
};
struct upstream_tls_config {
    enum server_verify verify; /* full */
    const char *ca;            /* PEM file; NULL: the system's store */
    const char *cert;          /* client certificate and key, both or none */
    const char *key;
    /* SNI and the name verified; NULL: the host part of the server's address, which a unix socket has not */
    const char *server_name;
    enum tls_version min_version; /* "1.2" */
};
/* top-level tls: shared by all listeners. */
struct tls_shared_config {
    /* ms; 12h; keys rotate at this age, the previous key still opens; 0: no tickets */
    uint64_t ticket_lifetime;
    uint64_t handshake_timeout; /* ms; 10s */
};

#endif
