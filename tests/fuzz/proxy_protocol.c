/*
 * Fuzzes PROXY prefaces (net/proxy_protocol.h). What holds: however the bytes come, the verdict is the same
 * once there is one, with the same length and the same addresses; and what was read, written anew in either
 * version, is read as the same.
 */
#include "net/proxy_protocol.h"

#include "fuzz.h"

static enum proxy_protocol_step preface_read(struct proxy_protocol *told, struct span bytes)
{
    char *exact = fuzz_exact(bytes);
    enum proxy_protocol_step step = proxy_protocol_read(told, span_make(exact, bytes.length));
    free(exact);
    return step;
}

static bool ends_are_same(const struct ip_address *a, const struct ip_address *b)
{
    return ip_address_equal(a, b) && a->port == b->port;
}

static bool addresses_are_same(const struct proxy_protocol *a, const struct proxy_protocol *b)
{
    return a->local == b->local && ends_are_same(&a->source, &b->source) &&
           ends_are_same(&a->destination, &b->destination);
}

static void hold_at_every_length(struct span bytes, enum proxy_protocol_step whole,
                                 const struct proxy_protocol *told)
{
    bool decided = false;
    for (size_t length = 0; length <= bytes.length; length++) {
        struct proxy_protocol part;
        enum proxy_protocol_step step = preface_read(&part, span_first(bytes, length));
        HOLDS(step == whole || (step == PROXY_PROTOCOL_MORE && !decided));
        decided = step != PROXY_PROTOCOL_MORE;
        if (step != PROXY_PROTOCOL_DONE)
            continue;
        HOLDS(length >= part.length && part.length == told->length && part.tls == told->tls);
        HOLDS(addresses_are_same(&part, told));
    }
    HOLDS(whole != PROXY_PROTOCOL_DONE || told->length <= bytes.length);
}

static void hold_printed(const struct ip_address *ip)
{
    char text[ADDRESS_TEXT_MAX];
    struct ip_address again;
    HOLDS(ip_address_parse(&again, ip_address_print(ip, text)) && ip_address_equal(ip, &again));
}

/* Those of two families are written as IPv6. */
static bool both_are_v4(const struct proxy_protocol *told)
{
    return told->source.family == AF_INET && told->destination.family == AF_INET;
}

static size_t print_end(const struct ip_address *ip, bool v4, char text[ADDRESS_TEXT_MAX + 8])
{
    char address[ADDRESS_TEXT_MAX];
    ip_address_print(ip, address);
    return (size_t)snprintf(text, ADDRESS_TEXT_MAX + 8, "%s%s", !v4 && ip->family == AF_INET ? "::ffff:" : "",
                            address);
}

static void hold_as_line(const struct proxy_protocol *told)
{
    char source[ADDRESS_TEXT_MAX + 8], destination[ADDRESS_TEXT_MAX + 8], line[400];
    bool v4 = both_are_v4(told);
    struct proxy_protocol again;
    (void)print_end(&told->source, v4, source);
    (void)print_end(&told->destination, v4, destination);
    int length = snprintf(line, sizeof line, "PROXY TCP%c %s %s %u %u\r\n", v4 ? '4' : '6', source,
                          destination, told->source.port, told->destination.port);
    HOLDS(preface_read(&again, span_make(line, (size_t)length)) == PROXY_PROTOCOL_DONE);
    HOLDS(again.length == (size_t)length && addresses_are_same(told, &again));
}

static void hold_as_bytes(const struct proxy_protocol *told)
{
    unsigned char bytes[16 + 36] = "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24";
    struct proxy_protocol again;
    const uint16_t ports[2] = {htons(told->source.port), htons(told->destination.port)};
    memcpy(bytes + 16, told->source.bytes, 16);
    memcpy(bytes + 32, told->destination.bytes, 16);
    memcpy(bytes + 48, ports, sizeof ports);
    HOLDS(preface_read(&again, span_make((char *)bytes, sizeof bytes)) == PROXY_PROTOCOL_DONE);
    HOLDS(again.length == sizeof bytes && addresses_are_same(told, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_make((const char *)data, size);
    struct proxy_protocol told;
    enum proxy_protocol_step step = preface_read(&told, bytes);
    hold_at_every_length(bytes, step, &told);
    if (step != PROXY_PROTOCOL_DONE || told.local)
        return 0;
    hold_printed(&told.source);
    hold_printed(&told.destination);
    hold_as_line(&told);
    hold_as_bytes(&told);
    return 0;
}
