/* Addresses and networks: parse, resolve, print, compare. IPv4 is held v4-mapped in ip_address and network,
 * so one comparison serves both. */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool parse_port(struct span text, uint16_t *port)
{
    uint64_t number;
    if (!text_to_number(text, 65535, &number))
        return false;
    *port = (uint16_t)number;
    return true;
}

/* "host:port" or "[v6]:port" or ":port" into its parts; host without brackets. */
static bool split_host_port(struct span text, struct span *host, uint16_t *port)
{
    size_t colon = text.length;
    while (colon > 0 && text.at[colon - 1] != ':')
        colon--;
    if (colon == 0 || !parse_port(span_skip(text, colon), port))
        return false;
    *host = span_first(text, colon - 1);
    if (host->length >= 2 && host->at[0] == '[' && host->at[host->length - 1] == ']')
        *host = span_make(host->at + 1, host->length - 2);
    else if (span_find(*host, ':') != host->length)
        return false; /* an IPv6 address needs brackets before a port */
    return true;
}

static bool parse_ip(struct span text, struct in_addr *v4, struct in6_addr *v6, int *family)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.length == 0 || text.length >= sizeof copy || memchr(text.at, '\0', text.length) != NULL)
        return false;
    memcpy(copy, text.at, text.length);
    copy[text.length] = '\0';
    *family = inet_pton(AF_INET, copy, v4) == 1 ? AF_INET : inet_pton(AF_INET6, copy, v6) == 1 ? AF_INET6 : 0;
    return *family != 0;
}

static bool host_has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static void address_set(struct address *address, int family, const struct in_addr *v4,
                        const struct in6_addr *v6, uint16_t port)
{
    memset(address, 0, sizeof *address);
    if (family == AF_INET) {
        address->socket.v4 =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = *v4};
        address->length = sizeof address->socket.v4;
    } else {
        address->socket.v6 =
            (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *v6};
        address->length = sizeof address->socket.v6;
    }
}

static bool parse_unix(struct address *address, const char *path, struct error *error)
{
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address->socket.local.sun_path)
        return error_set(error, "the path of a unix socket has 1 to %zu bytes",
                         sizeof address->socket.local.sun_path - 1);
    memset(address, 0, sizeof *address);
    address->socket.local.sun_family = AF_UNIX;
    memcpy(address->socket.local.sun_path, path, length + 1);
    address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return true;
}

bool address_parse(struct address *address, const char *text, struct error *error)
{
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(address, text + 5, error);
    struct span host;
    uint16_t port;
    struct in_addr v4 = {.s_addr = INADDR_ANY};
    struct in6_addr v6 = in6addr_any;
    int family;
    if (!split_host_port(span_of(text), &host, &port))
        return error_set(error, "\"%s\" is not an address; write host:port, [v6]:port, :port or unix:/path",
                         text);
    if (host.length == 0)
        family = host_has_ipv6() ? AF_INET6 : AF_INET;
    else if (!parse_ip(host, &v4, &v6, &family))
        return error_set(error, "\"%.*s\" is not an IP address", (int)host.length, host.at);
    address_set(address, family, &v4, &v6, port);
    return true;
}

static size_t copy_results(struct address *addresses, size_t most, const struct addrinfo *found)
{
    size_t count = 0;
    for (; found != NULL && count < most; found = found->ai_next) {
        if (found->ai_addrlen > sizeof addresses[count].socket)
            continue;
        memset(&addresses[count], 0, sizeof addresses[count]);
        memcpy(&addresses[count].socket, found->ai_addr, found->ai_addrlen);
        addresses[count++].length = found->ai_addrlen;
    }
    return count;
}

size_t address_resolve(struct address *addresses, size_t most, const char *text, struct error *error)
{
    if (address_parse(&addresses[0], text, error))
        return 1;
    struct span host;
    uint16_t port;
    if (strncmp(text, "unix:", 5) == 0 || !split_host_port(span_of(text), &host, &port) || host.length == 0)
        return 0;
    char name[256], service[8];
    if (host.length >= sizeof name) {
        error_set(error, "a host name has at most 253 characters");
        return 0;
    }
    memcpy(name, host.at, host.length);
    name[host.length] = '\0';
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
    int code = getaddrinfo(name, service, &hints, &found);
    if (code != 0) {
        error_set(error, "can't resolve \"%s\": %s", name,
                  code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
        return 0;
    }
    size_t count = copy_results(addresses, most, found);
    freeaddrinfo(found);
    return count;
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (a->socket.any.sa_family != b->socket.any.sa_family)
        return false;
    switch (a->socket.any.sa_family) {
    case AF_INET:
        return a->socket.v4.sin_port == b->socket.v4.sin_port &&
               a->socket.v4.sin_addr.s_addr == b->socket.v4.sin_addr.s_addr;
    case AF_INET6:
        return a->socket.v6.sin6_port == b->socket.v6.sin6_port &&
               memcmp(&a->socket.v6.sin6_addr, &b->socket.v6.sin6_addr, 16) == 0;
    default:
        return strcmp(a->socket.local.sun_path, b->socket.local.sun_path) == 0;
    }
}

struct span address_print(const struct address *address, char text[ADDRESS_TEXT_MAX])
{
    struct text out = text_over(text, ADDRESS_TEXT_MAX);
    char ip[INET6_ADDRSTRLEN];
    switch (address->socket.any.sa_family) {
    case AF_INET:
        text_print(&out, "%s:%u", inet_ntop(AF_INET, &address->socket.v4.sin_addr, ip, sizeof ip),
                   ntohs(address->socket.v4.sin_port));
        break;
    case AF_INET6:
        text_print(&out, "[%s]:%u", inet_ntop(AF_INET6, &address->socket.v6.sin6_addr, ip, sizeof ip),
                   ntohs(address->socket.v6.sin6_port));
        break;
    case AF_UNIX:
        text_print(&out, "unix:%s", address->socket.local.sun_path);
        break;
    default:
        text_add(&out, SPAN("unknown"));
    }
    return text_span(&out);
}

/* ---- IP addresses ---- */

static void ip_set_v4(struct ip_address *ip, const struct in_addr *v4)
{
    memcpy(ip->bytes, mapped_prefix, sizeof mapped_prefix);
    memcpy(ip->bytes + 12, v4, 4);
    ip->family = AF_INET;
}

static bool is_mapped(const uint8_t bytes[16])
{
    return memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

static void ip_set_v6(struct ip_address *ip, const struct in6_addr *v6)
{
    memcpy(ip->bytes, v6, 16);
    ip->family = is_mapped(ip->bytes) ? AF_INET : AF_INET6;
}

void ip_address_of(struct ip_address *ip, const struct address *address)
{
    *ip = (struct ip_address){.family = 0};
    switch (address->socket.any.sa_family) {
    case AF_INET:
        ip_set_v4(ip, &address->socket.v4.sin_addr);
        ip->port = ntohs(address->socket.v4.sin_port);
        break;
    case AF_INET6:
        ip_set_v6(ip, &address->socket.v6.sin6_addr);
        ip->port = ntohs(address->socket.v6.sin6_port);
        break;
    case AF_UNIX:
        ip->family = AF_UNIX;
        break;
    default:
        break;
    }
}

bool ip_address_parse(struct ip_address *ip, struct span text)
{
    struct in_addr v4;
    struct in6_addr v6;
    int family;
    *ip = (struct ip_address){.family = 0};
    struct span host = text;
    if (text.length >= 2 && text.at[0] == '[' && text.at[text.length - 1] == ']')
        host = span_make(text.at + 1, text.length - 2);
    if (!parse_ip(host, &v4, &v6, &family) &&
        !(split_host_port(text, &host, &ip->port) && parse_ip(host, &v4, &v6, &family)))
        return false;
    if (family == AF_INET)
        ip_set_v4(ip, &v4);
    else
        ip_set_v6(ip, &v6);
    return true;
}

static char *print_byte(char *to, unsigned value)
{
    if (value >= 100)
        *to++ = (char)('0' + value / 100);
    if (value >= 10)
        *to++ = (char)('0' + value / 10 % 10);
    *to++ = (char)('0' + value % 10);
    return to;
}

struct span ip_address_print(const struct ip_address *ip, char text[ADDRESS_TEXT_MAX])
{
    switch (ip->family) {
    case AF_INET: { /* once a request (X-Forwarded-For): by hand */
        char *to = text;
        for (unsigned i = 12; i < 16; i++) {
            if (i != 12)
                *to++ = '.';
            to = print_byte(to, ip->bytes[i]);
        }
        *to = '\0';
        return span_make(text, (size_t)(to - text));
    }
    case AF_INET6:
        return span_of(inet_ntop(AF_INET6, ip->bytes, text, ADDRESS_TEXT_MAX));
    default:
        memcpy(text, ip->family == AF_UNIX ? "unix" : "none", 5);
        return span_of(text);
    }
}

bool ip_address_equal(const struct ip_address *a, const struct ip_address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, 16) == 0;
}

/* Zeroes all bits behind the first `bits`. */
static void mask_bits(uint8_t bytes[16], unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits > i * 8 ? bits - i * 8 : 0;
        if (keep < 8)
            bytes[i] = (uint8_t)(bytes[i] & (0xff00u >> keep));
    }
}

void ip_address_mask(struct ip_address *ip, unsigned ipv6_prefix)
{
    if (ip->family == AF_INET6)
        mask_bits(ip->bytes, ipv6_prefix);
}

/* ---- networks ---- */

bool network_parse(struct network *network, const char *text, struct error *error)
{
    *network = (struct network){.family = 0};
    if (strcmp(text, "unix") == 0) {
        network->family = AF_UNIX;
        return true;
    }
    struct span whole = span_of(text);
    size_t slash = span_find(whole, '/');
    struct ip_address ip;
    struct in_addr v4;
    struct in6_addr v6;
    int family;
    if (!parse_ip(span_first(whole, slash), &v4, &v6, &family))
        return error_set(
            error,
            "\"%s\" is not an address or a network; write 10.0.0.0/8, 2001:db8::/32 or a single address",
            text);
    unsigned most = family == AF_INET ? 32 : 128;
    uint64_t bits = most;
    if (slash != whole.length && !text_to_number(span_skip(whole, slash + 1), most, &bits))
        return error_set(error, "the prefix of \"%s\" is not a number from 0 to %u", text, most);
    if (family == AF_INET)
        ip_set_v4(&ip, &v4);
    else
        ip_set_v6(&ip, &v6);
    network->bits = (uint8_t)(bits + (family == AF_INET ? 96 : 0));
    mask_bits(ip.bytes, network->bits);
    /* ::ffff:0:0/90 is one of IPv6 once it is masked */
    network->family = is_mapped(ip.bytes) ? AF_INET : AF_INET6;
    memcpy(network->bytes, ip.bytes, 16);
    return true;
}

static bool network_contains(const struct network *network, const struct ip_address *ip)
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (memcmp(network->bytes, ip->bytes, whole) != 0)
        return false;
    return rest == 0 || ((network->bytes[whole] ^ ip->bytes[whole]) & (0xff00u >> rest & 0xffu)) == 0;
}

bool networks_contain(const struct networks *networks, const struct ip_address *ip)
{
    for (size_t i = 0; i < networks->count; i++) {
        const struct network *network = &networks->items[i];
        bool same_kind = (network->family == AF_UNIX) == (ip->family == AF_UNIX) && ip->family != 0;
        /* ::/0 covers IPv6 only: a v4-mapped address is an IPv4 one. */
        if (same_kind &&
            (network->family == AF_UNIX || (network->family == ip->family && network_contains(network, ip))))
            return true;
    }
    return false;
}
