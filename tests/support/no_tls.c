/* Stands in for the TLS client side in tests of what lies above it: connections are plain. */
#include "support/no_tls.h"
#include "net/transport.h"
#include "tls/tls.h"

struct tls_client *tls_client_take(struct tls_client *client)
{
    return client;
}

void tls_client_release(struct tls_client *client)
{
    (void)client;
}

struct transport *tls_transport_connect(struct loop *loop, int fd, bool pending, struct tls_client *client,
                                        const char *name, const struct transport_events *events, void *owner)
{
    (void)client;
    (void)name;
    return transport_new_plain(loop, fd, pending, events, owner);
}

void tls_transport_offer(struct transport *transport, unsigned protocol_bits)
{
    (void)transport;
    (void)protocol_bits;
}

const char *no_tls_alpn = "";

struct tls_facts tls_transport_facts(const struct transport *transport)
{
    (void)transport;
    return (struct tls_facts){.alpn = span_of(no_tls_alpn)};
}

const char *tls_transport_failure(const struct transport *transport)
{
    (void)transport;
    return "";
}

/* Something to hold on to; its bytes are never looked at. */
struct tls_client *tls_client_new(const struct upstream_tls_config *config, unsigned protocol_bits,
                                  struct tls_files *files, struct error *error)
{
    static char client;
    (void)files;
    (void)config;
    (void)protocol_bits;
    (void)error;
    return (struct tls_client *)(void *)&client;
}
