/* Reads a PROXY preface. Version 1 is a line of at most 107 bytes, version 2 a binary header with a length
 * (proxy-protocol.txt 2.1, 2.2). */
#include "net/proxy_protocol.h"

#include <string.h>

#include "base/text.h"

#define V1_MOST 107u /* with CRLF, as the specification counts it */
#define V2_HEAD 16u
#define V2_FAMILY_LAST 3u    /* AF_UNIX; others are to be refused, of LOCAL alone they say nothing */
#define V2_TRANSPORT_LAST 2u /* DGRAM */
#define V2_TYPE_CRC32C 0x03u /* PP2_TYPE_CRC32C */
#define V2_TYPE_SSL 0x20u    /* PP2_TYPE_SSL */
#define V2_CLIENT_SSL 0x01u  /* PP2_CLIENT_SSL */
/* What the addresses of a family take (2.2): none, IPv4, IPv6, two paths of unix sockets. */
static const uint8_t v2_address_lengths[V2_FAMILY_LAST + 1] = {0, 12, 36, 216};
static const char v2_signature[12] = {0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A};

/* Cuts the next word, ended by one blank or the end. */
static struct span next_word(struct span *rest)
{
    size_t blank = span_find(*rest, ' ');
    struct span word = span_first(*rest, blank);
    *rest = blank == rest->length ? span_skip(*rest, blank) : span_skip(*rest, blank + 1);
    return word;
}

/* Alone, as the family writes it: ip_address_parse() takes brackets and a port besides. */
static bool v1_address_is_bare(struct span address, uint8_t family)
{
    unsigned colons = 0;
    for (size_t i = 0; i < address.length; i++)
        colons += address.at[i] == ':';
    return span_find(address, '[') == address.length && (family == AF_INET ? colons == 0 : colons >= 2);
}

static bool v1_address(struct ip_address *ip, struct span address, struct span port, uint8_t family)
{
    uint64_t number;
    bool octal = port.length > 1 && port.at[0] == '0';
    if (!v1_address_is_bare(address, family) || !ip_address_parse(ip, address) || octal ||
        !text_to_number(port, 65535, &number))
        return false;
    ip->port = (uint16_t)number;
    return true;
}

static enum proxy_protocol_step v1_read(struct proxy_protocol *result, struct span bytes)
{
    const char *end = memmem(bytes.at, bytes.length < V1_MOST ? bytes.length : V1_MOST, "\r\n", 2);
    if (end == NULL)
        return bytes.length < V1_MOST ? PROXY_PROTOCOL_MORE : PROXY_PROTOCOL_BAD;
    struct span line = span_make(bytes.at, (size_t)(end - bytes.at));
    result->length = line.length + 2;
    line = span_skip(line, sizeof "PROXY " - 1);
    struct span kind = next_word(&line);
    if (span_is(kind, "UNKNOWN")) {
        result->local = true;
        return PROXY_PROTOCOL_DONE;
    }
    if (!span_is(kind, "TCP4") && !span_is(kind, "TCP6"))
        return PROXY_PROTOCOL_BAD;
    uint8_t family = span_is(kind, "TCP4") ? AF_INET : AF_INET6;
    struct span source = next_word(&line), destination = next_word(&line), source_port = next_word(&line),
                destination_port = next_word(&line);
    bool good = destination_port.at + destination_port.length == end &&
                v1_address(&result->source, source, source_port, family) &&
                v1_address(&result->destination, destination, destination_port, family);
    return good ? PROXY_PROTOCOL_DONE : PROXY_PROTOCOL_BAD;
}

static uint16_t read_16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void v2_addresses(struct proxy_protocol *result, const uint8_t *at, bool v6)
{
    struct address address = {.length = 0};
    for (unsigned i = 0; i < 2; i++) {
        if (v6) {
            address.socket.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
            memcpy(&address.socket.v6.sin6_addr, at + i * 16u, 16);
        } else {
            address.socket.v4 = (struct sockaddr_in){.sin_family = AF_INET};
            memcpy(&address.socket.v4.sin_addr, at + i * 4u, 4);
        }
        struct ip_address *ip = i == 0 ? &result->source : &result->destination;
        ip_address_of(ip, &address);
        ip->port = read_16(at + (v6 ? 32u : 8u) + i * 2u);
    }
}

/* The checksum of 2.2.3 (RFC 9260, appendix A), four bits a step. */
static uint32_t crc32c(uint32_t crc, const uint8_t *at, size_t length)
{
    static const uint32_t steps[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
                                       0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    for (size_t i = 0; i < length; i++) {
        crc ^= at[i];
        crc = crc >> 4 ^ steps[crc & 15];
        crc = crc >> 4 ^ steps[crc & 15];
    }
    return crc;
}

/* It is of the whole header, in which its own four bytes are 0. */
static bool v2_sum_is_right(const uint8_t *begin, const uint8_t *sum, const uint8_t *end)
{
    static const uint8_t zeros[4];
    uint32_t crc = crc32c(0xffffffff, begin, (size_t)(sum - begin));
    crc = crc32c(crc, zeros, sizeof zeros);
    crc = ~crc32c(crc, sum + 4, (size_t)(end - sum - 4));
    return crc == ((uint32_t)read_16(sum) << 16 | read_16(sum + 2));
}

/* Type, length, value (2.2.1), from `at` on: false where one runs over the end, or the checksum is wrong. */
static bool v2_extras(struct proxy_protocol *result, const uint8_t *begin, const uint8_t *at,
                      const uint8_t *end)
{
    while (end - at >= 3) {
        uint8_t type = at[0];
        size_t length = read_16(at + 1);
        at += 3;
        if (length > (size_t)(end - at))
            return false;
        if (type == V2_TYPE_CRC32C && (length != 4 || !v2_sum_is_right(begin, at, end)))
            return false;
        if (type == V2_TYPE_SSL &&
            length >= 5) /* bits of the client, and four bytes of the verdict on its certificate */
            result->tls = (at[0] & V2_CLIENT_SSL) != 0;
        at += length;
    }
    return at == end;
}

static enum proxy_protocol_step v2_read(struct proxy_protocol *result, struct span bytes)
{
    const uint8_t *at = (const uint8_t *)bytes.at;
    if (bytes.length < V2_HEAD)
        return PROXY_PROTOCOL_MORE;
    unsigned version = at[12] >> 4, command = at[12] & 15, family = at[13], length = read_16(at + 14);
    bool defined =
        command == 0 || (command == 1 && family >> 4 <= V2_FAMILY_LAST && (family & 15) <= V2_TRANSPORT_LAST);
    if (version != 2 || !defined || V2_HEAD + length > PROXY_PROTOCOL_MAX)
        return PROXY_PROTOCOL_BAD;
    if (bytes.length < V2_HEAD + length)
        return PROXY_PROTOCOL_MORE;
    result->length = V2_HEAD + length;
    bool v4 = family == 0x11, v6 = family == 0x21; /* TCP over IPv4, IPv6 */
    result->local = command == 0 || (!v4 && !v6);
    if (command == 0 || family >> 4 == 0)
        return PROXY_PROTOCOL_DONE; /* nothing else of it says anything */
    size_t addresses = v2_address_lengths[family >> 4];
    if (length < addresses)
        return PROXY_PROTOCOL_BAD;
    if (!result->local)
        v2_addresses(result, at + V2_HEAD, v6);
    bool good = v2_extras(result, at, at + V2_HEAD + addresses, at + result->length);
    return good ? PROXY_PROTOCOL_DONE : PROXY_PROTOCOL_BAD;
}

static bool agree(struct span bytes, const char *start, size_t length)
{
    size_t common = bytes.length < length ? bytes.length : length;
    return memcmp(bytes.at, start, common) == 0;
}

enum proxy_protocol_step proxy_protocol_read(struct proxy_protocol *result, struct span bytes)
{
    static const char v1_start[] = "PROXY ";
    *result = (struct proxy_protocol){.length = 0};
    if (bytes.length == 0)
        return PROXY_PROTOCOL_MORE;
    if (agree(bytes, v2_signature, sizeof v2_signature))
        return bytes.length < sizeof v2_signature ? PROXY_PROTOCOL_MORE : v2_read(result, bytes);
    if (agree(bytes, v1_start, sizeof v1_start - 1))
        return bytes.length < sizeof v1_start - 1 ? PROXY_PROTOCOL_MORE : v1_read(result, bytes);
    return PROXY_PROTOCOL_ABSENT;
}
