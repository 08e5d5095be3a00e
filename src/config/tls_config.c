/* Keys of TLS: towards clients, towards servers, and shared by all listeners. */
#include "config/tls_config.h"

#include "config/config_schema.h"

const char *const tls_versions[] = {"1.2", "1.3", NULL};
static const char *const server_verifies[] = {"full", "ca", "none", NULL};
static const char *const server_verify_synonyms[] = {"true", "full", "false", "none", NULL};
static const char *const authorities[] = {"any", "covered", NULL};
static const char *const client_auths[] = {"off", "optional", "required", NULL};

#define CERT struct certificate_config
static const struct schema_key certificate_keys[] = {
    KEY_PATH(CERT, cert, NULL, "PEM file with the certificate chain, leaf first.", .flags = SCHEMA_REQUIRED,
             .check = syntax_environment),
    KEY_PATH(CERT, key, NULL, "PEM file with the private key.", .flags = SCHEMA_REQUIRED | SCHEMA_SECRET_FILE,
             .check = syntax_environment),
    KEY_TEXTS(SCHEMA_STRING, CERT, names, NULL, "Names that it serves; by default those in the certificate.",
              .check = syntax_certificate_name, .flags = SCHEMA_TOLD),
    KEY_BOOL_AS(
        CERT, is_default, "default", "false",
        "Serves clients that send no name or an unknown one; otherwise the first certificate of the list does."),
    KEY_END};
static const struct schema certificate_schema = {
    .noun = "certificate",
    .size = sizeof(CERT),
    .keys = certificate_keys,
    .text = "A certificate and its key.",
    .strangers = "write a list: certificates: [ { cert: a.crt, key: a.key } ]"};

#define TLS struct tls_config
static const struct schema_key tls_keys[] = {
    KEY_SECTIONS(TLS, certificates, CERT, certificate_schema,
                 "Certificates, chosen by the name that the client asks for.",
                 .flags = SCHEMA_REQUIRED | SCHEMA_SINGLE, .least = 1),
    KEY_CHOICE(TLS, min_version, "1.2", tls_versions, "Oldest version of TLS that is spoken."),
    KEY_CHOICE(TLS, max_version, "1.3", tls_versions, "Newest version of TLS that is spoken."),
    KEY_STRING(TLS, ciphers, TLS_CIPHERS,
               "Ciphers of TLS 1.2 in the notation of OpenSSL; the default are those that HTTP/2 allows. The "
               "first that the client knows is taken, but ChaCha20 if that is what the client likes best: it "
               "has no instructions for AES."),
    KEY_STRING(TLS, ciphersuites, TLS_CIPHERSUITES, "Cipher suites of TLS 1.3, taken in the same way."),
    KEY_CHOICE(TLS, client_auth, "off", client_auths, "Whether clients show a certificate."),
    KEY_PATH(TLS, client_ca, NULL,
             "PEM file with the authorities that clients' certificates are verified against.",
             .check = syntax_environment),
    KEY_BOOL(
        TLS, strict_sni, "false",
        "Refuses clients that ask for an unknown name instead of showing them the default certificate; means "
        "authority: covered as well."),
    KEY_CHOICE(
        TLS, authority, "any", authorities,
        "What hosts requests may name on a connection: any, or those that the certificate shown covers, and 421 "
        "for others."),
    KEY_END};
const struct schema tls_schema = {.noun = "tls",
                                  .size = sizeof(TLS),
                                  .bare = "write tls: { certificates: { cert: ..., key: ... } }",
                                  .keys = tls_keys,
                                  .text = "TLS towards clients."};

#define UPSTREAM_TLS struct upstream_tls_config
static const struct schema_key upstream_tls_keys[] = {
    KEY_CHOICE(
        UPSTREAM_TLS, verify, "full", server_verifies,
        "What is verified of a server's certificate: its chain and its name (full, or true), its chain "
        "alone (ca), or nothing (none, or false).",
        .synonyms = server_verify_synonyms),
    KEY_PATH(UPSTREAM_TLS, ca, NULL,
             "PEM file with the authorities that are trusted; by default those of the system.",
             .check = syntax_environment, .flags = SCHEMA_TOLD),
    KEY_PATH(UPSTREAM_TLS, cert, NULL, "PEM file with the certificate that weir shows to servers.",
             .check = syntax_environment),
    KEY_PATH(UPSTREAM_TLS, key, NULL, "PEM file with its private key.", .check = syntax_environment,
             .flags = SCHEMA_SECRET_FILE),
    KEY_STRING(
        UPSTREAM_TLS, server_name, NULL,
        "Name or IP address that is verified, and the name that is asked for; by default the host of the "
        "server's address.",
        .check = syntax_host, .flags = SCHEMA_TOLD),
    KEY_CHOICE(UPSTREAM_TLS, min_version, "1.2", tls_versions, "Oldest version of TLS that is spoken."),
    KEY_END};
const struct schema upstream_tls_schema = {.noun = "tls",
                                           .size = sizeof(UPSTREAM_TLS),
                                           .keys = upstream_tls_keys,
                                           .text = "TLS towards the servers of a pool."};

#define SHARED struct tls_shared_config
static const struct schema_key tls_shared_keys[] = {
    KEY_DURATION(
        SHARED, ticket_lifetime, "12h", 1, HOURS(168),
        "Age at which the keys of session tickets rotate; the key before still opens. none: no tickets.",
        .word = "none"),
    KEY_DURATION(SHARED, handshake_timeout, "10s", 100, MINUTES(10),
                 "Longest time for a TLS handshake with a client."),
    KEY_END};
const struct schema tls_shared_schema = {.noun = "tls",
                                         .size = sizeof(SHARED),
                                         .keys = tls_shared_keys,
                                         .text = "TLS settings that all listeners share."};
