/*
 * PROXY prefaces, version 1 (a line) and version 2 (binary), as proxy-protocol.txt 2.1 and 2.2 have them:
 * what is taken and what of it is told, that a part of one is never taken for the whole, and what is refused.
 * Bytes are read from a place that ends where they end, so that a sanitizer sees who looks behind them.
 */
#include "net/proxy_protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "unit.h"

static const char *const step_names[] = {[PROXY_PROTOCOL_MORE] = "more is wanted",
                                         [PROXY_PROTOCOL_DONE] = "done",
                                         [PROXY_PROTOCOL_ABSENT] = "there is none",
                                         [PROXY_PROTOCOL_BAD] = "malformed"};

static enum proxy_protocol_step preface_read(struct proxy_protocol *told, struct span bytes)
{
    char *exact = malloc(bytes.length + (bytes.length == 0));
    assert_non_null(exact);
    memcpy(exact, bytes.at, bytes.length);
    enum proxy_protocol_step step = proxy_protocol_read(told, span_make(exact, bytes.length));
    free(exact);
    return step;
}

static void preface_print(struct span bytes)
{
    for (size_t i = 0; i < bytes.length && i < 160; i++)
        print_error(bytes.at[i] >= ' ' && bytes.at[i] < 0x7f ? "%c" : "\\x%02x", (unsigned char)bytes.at[i]);
    print_error("%s\n", bytes.length > 160 ? "..." : "");
}

static void expect_step(struct span bytes, enum proxy_protocol_step expected)
{
    struct proxy_protocol told;
    enum proxy_protocol_step step = preface_read(&told, bytes);
    if (step == expected)
        return;
    preface_print(bytes);
    fail_msg("%zu bytes: \"%s\" instead of \"%s\"", bytes.length, step_names[step], step_names[expected]);
}

/* What a whole preface tells, in words: "192.0.2.9:40000 > 192.0.2.10:443", with " tls", or "local". */
static void expect_told(struct span bytes, const char *expected)
{
    struct proxy_protocol told;
    char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX], seen[2 * ADDRESS_TEXT_MAX + 32];
    expect_step(bytes, PROXY_PROTOCOL_DONE);
    assert_int_equal(preface_read(&told, bytes), PROXY_PROTOCOL_DONE);
    if (told.local)
        snprintf(seen, sizeof seen, "local%s", told.tls ? " tls" : "");
    else
        snprintf(seen, sizeof seen, "%s %u > %s %u%s", ip_address_print(&told.source, source).at,
                 told.source.port, ip_address_print(&told.destination, destination).at, told.destination.port,
                 told.tls ? " tls" : "");
    assert_string_equal(seen, expected);
}

/* Any part of it waits for the rest, and what comes behind it is not its own. */
static void expect_whole_at_its_end_only(struct span preface)
{
    struct proxy_protocol told;
    char longer[PROXY_PROTOCOL_MAX + 16];
    for (size_t length = 0; length < preface.length; length++)
        expect_step(span_first(preface, length), PROXY_PROTOCOL_MORE);
    memcpy(longer, preface.at, preface.length);
    memcpy(longer + preface.length, "GET / HTTP/1.1\r\n", 16);
    for (size_t more = 0; more <= 16; more += 4) {
        struct span bytes = span_make(longer, preface.length + more);
        assert_int_equal(preface_read(&told, bytes), PROXY_PROTOCOL_DONE);
        assert_int_equal(told.length, preface.length);
    }
}

/* ---- version 1 ---- */

static void version_1_tells_both_ends_over_ipv4(void **state)
{
    (void)state;
    expect_told(SPAN("PROXY TCP4 192.0.2.9 198.51.100.10 40000 443\r\n"),
                "192.0.2.9 40000 > 198.51.100.10 443");
    expect_told(SPAN("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
                "255.255.255.255 65535 > 255.255.255.255 65535");
    expect_told(SPAN("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0 0 > 0.0.0.0 0");
}

static void version_1_tells_both_ends_over_ipv6(void **state)
{
    (void)state;
    expect_told(SPAN("PROXY TCP6 2001:DB8::9 ::1 40000 443\r\n"), "2001:db8::9 40000 > ::1 443");
    expect_told(SPAN("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 > "
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535");
}

/* A proxy that listens on both families with one socket writes its IPv4 clients so. */
static void version_1_has_one_form_for_ipv4_within_ipv6(void **state)
{
    (void)state;
    expect_told(SPAN("PROXY TCP6 ::ffff:192.0.2.9 2001:db8::1 40000 443\r\n"),
                "192.0.2.9 40000 > 2001:db8::1 443");
}

static void version_1_unknown_keeps_the_sockets_addresses(void **state)
{
    (void)state;
    expect_told(SPAN("PROXY UNKNOWN\r\n"), "local");
    expect_told(SPAN("PROXY UNKNOWN 192.0.2.9 198.51.100.10 40000 443\r\n"), "local");
    expect_told(SPAN("PROXY UNKNOWN what nobody can read\r\n"), "local");
}

static void version_1_waits_for_the_end_of_its_line(void **state)
{
    (void)state;
    expect_whole_at_its_end_only(SPAN("PROXY TCP4 192.0.2.9 198.51.100.10 40000 443\r\n"));
    expect_whole_at_its_end_only(SPAN("PROXY TCP6 2001:db8::9 2001:db8::1 40000 443\r\n"));
    expect_whole_at_its_end_only(SPAN("PROXY UNKNOWN\r\n"));
}

/* The longest line has 107 bytes with its CRLF: UNKNOWN, two IPv6 addresses, two ports. */
static void version_1_ends_within_107_bytes(void **state)
{
    (void)state;
    static const char longest[] = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                                  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    static const char longer[] = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                                 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535 \r\n";
    assert_int_equal(sizeof longest - 1, 107);
    expect_whole_at_its_end_only(span_of(longest));
    for (size_t length = 107; length < sizeof longer; length++)
        expect_step(span_make(longer, length), PROXY_PROTOCOL_BAD);
}

static void version_1_refuses_other_families(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "PROXY UDP6 2001:db8::9 2001:db8::1 1 2\r\n",
        "PROXY UDP4 192.0.2.9 192.0.2.1 1 2\r\n",
        "PROXY TCP5 192.0.2.9 192.0.2.1 1 2\r\n",
        "PROXY TCP 192.0.2.9 192.0.2.1 1 2\r\n",
        "PROXY tcp4 192.0.2.9 192.0.2.1 1 2\r\n",
        "PROXY unknown\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        "PROXY TCP44 192.0.2.9 192.0.2.1 1 2\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        expect_step(span_of(lines[i]), PROXY_PROTOCOL_BAD);
}

/* "The advertised protocol family dictates what format to use." */
static void version_1_refuses_addresses_of_another_form(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "PROXY TCP4 2001:db8::9 2001:db8::1 1 2\r\n", /* of the other family */
        "PROXY TCP4 ::ffff:192.0.2.9 192.0.2.1 1 2\r\n",
        "PROXY TCP4 192.0.2.9 2001:db8::1 1 2\r\n",
        "PROXY TCP6 192.0.2.9 2001:db8::1 1 2\r\n",
        "PROXY TCP6 2001:db8::9 192.0.2.1 1 2\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.1 1 2\r\n", /* no address */
        "PROXY TCP4 192.0.2 192.0.2.1 1 2\r\n",
        "PROXY TCP4 192.0.2.09 192.0.2.1 1 2\r\n",
        "PROXY TCP4 0xc0000209 192.0.2.1 1 2\r\n",
        "PROXY TCP4 localhost 192.0.2.1 1 2\r\n",
        "PROXY TCP6 2001:db8::9::1 2001:db8::1 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n",
        "PROXY TCP6 [2001:db8::9] 2001:db8::1 1 2\r\n", /* with what stands around one elsewhere */
        "PROXY TCP6 2001:db8::9 [2001:db8::1]:443 1 2\r\n",
        "PROXY TCP4 192.0.2.9:80 192.0.2.1 1 2\r\n",
        "PROXY TCP4 192.0.2.9 192.0.2.1:80 1 2\r\n",
        "PROXY TCP6 192.0.2.9:80 2001:db8::1 1 2\r\n",
        "PROXY TCP6 2001:db8::9 192.0.2.1:80 1 2\r\n",
        "PROXY TCP6 1:2:3:4:5:6:7:8:80 2001:db8::1 1 2\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        expect_step(span_of(lines[i]), PROXY_PROTOCOL_BAD);
}

/* Which would end it for who reads it as a text of C. */
static void version_1_refuses_a_nul(void **state)
{
    (void)state;
    static const char line[] = "PROXY TCP4 192.0.2.9 192.0.2.1 40000 443\r\n";
    for (size_t i = sizeof "PROXY " - 1; i <= sizeof line - 3; i++) {
        char bytes[sizeof line];
        memcpy(bytes, line, i);
        bytes[i] = '\0';
        memcpy(bytes + i + 1, line + i, sizeof line - 1 - i);
        expect_step(span_make(bytes, sizeof line), PROXY_PROTOCOL_BAD);
    }
}

/* 0 to 65535, without zeroes in front, "to avoid any possible confusion with octal numbers". */
static void version_1_refuses_ports_that_are_none(void **state)
{
    (void)state;
    static const char *const ports[] = {"65536", "99999999999999999999", "-1", "+1", "0x50", "80a", "080",
                                        "00"};
    char line[128];
    for (size_t i = 0; i < COUNT_OF(ports); i++) {
        snprintf(line, sizeof line, "PROXY TCP4 192.0.2.9 192.0.2.1 %s 443\r\n", ports[i]);
        expect_step(span_of(line), PROXY_PROTOCOL_BAD);
        snprintf(line, sizeof line, "PROXY TCP4 192.0.2.9 192.0.2.1 40000 %s\r\n", ports[i]);
        expect_step(span_of(line), PROXY_PROTOCOL_BAD);
    }
}

/* "Any sequence which does not exactly match the protocol must be discarded": one blank between two words. */
static void version_1_refuses_lines_of_other_words(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.9\r\n",
        "PROXY TCP4 192.0.2.9 192.0.2.1\r\n",
        "PROXY TCP4 192.0.2.9 192.0.2.1 40000\r\n",
        "PROXY TCP4 192.0.2.9 192.0.2.1 40000 \r\n",
        "PROXY TCP4 192.0.2.9 192.0.2.1 40000 443 \r\n",
        "PROXY TCP4 192.0.2.9 192.0.2.1 40000 443 5\r\n",
        "PROXY  TCP4 192.0.2.9 192.0.2.1 40000 443\r\n",
        "PROXY TCP4  192.0.2.9 192.0.2.1 40000 443\r\n",
        "PROXY TCP4 192.0.2.9 192.0.2.1  40000 443\r\n",
        "PROXY TCP4\t192.0.2.9 192.0.2.1 40000 443\r\n",
        "PROXY TCP4 192.0.2.9 192.0.2.1 40000 443\n\r\n",
        "PROXY TCP4 192.0.2.9 192.0.2.1 40000 443\r\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        expect_step(span_of(lines[i]), PROXY_PROTOCOL_BAD);
}

/* ---- version 2 ---- */

enum { LOCAL = 0x20, PROXY = 0x21 }; /* version 2 and a command */
enum { UNSPEC = 0x00, TCP4 = 0x11, UDP4 = 0x12, TCP6 = 0x21, UDP6 = 0x22, UNIX = 0x31, UNIX_DGRAM = 0x32 };
enum { TLV_ALPN = 0x01, TLV_AUTHORITY = 0x02, TLV_CRC32C = 0x03, TLV_NOOP = 0x04, TLV_SSL = 0x20 };
enum { HEAD = 16 };

struct preface {
    size_t length;
    char bytes[PROXY_PROTOCOL_MAX + 256];
};

static struct span preface_span(const struct preface *preface)
{
    return span_make(preface->bytes, preface->length);
}

/* Says that so many bytes stand behind the head. */
static void preface_claim(struct preface *preface, size_t length)
{
    preface->bytes[14] = (char)(length >> 8);
    preface->bytes[15] = (char)length;
}

static void preface_add(struct preface *preface, struct span bytes)
{
    assert_true(preface->length + bytes.length <= sizeof preface->bytes);
    if (bytes.length != 0)
        memcpy(preface->bytes + preface->length, bytes.at, bytes.length);
    preface->length += bytes.length;
    preface_claim(preface, preface->length - HEAD);
}

static void preface_add_tlv(struct preface *preface, unsigned type, struct span value)
{
    char head[3] = {(char)type, (char)(value.length >> 8), (char)value.length};
    preface_add(preface, span_make(head, sizeof head));
    preface_add(preface, value);
}

static struct preface preface_of(unsigned command, unsigned family, struct span addresses)
{
    struct preface preface = {.length = HEAD, .bytes = "\r\n\r\n\0\r\nQUIT\n"};
    preface.bytes[12] = (char)command;
    preface.bytes[13] = (char)family;
    preface_add(&preface, addresses);
    return preface;
}

#define ENDS_V4 SPAN("\xc0\x00\x02\x09\xc6\x33\x64\x0a\x9c\x40\x01\xbb")
#define ENDS_V4_TOLD "192.0.2.9 40000 > 198.51.100.10 443"
#define ENDS_V6                                                                                         \
    SPAN("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x9c\x40" \
         "\x01\xbb")
#define ENDS_V6_TOLD "2001:db8::9 40000 > 2001:db8::1 443"

static struct preface preface_v4(void)
{
    return preface_of(PROXY, TCP4, ENDS_V4);
}

static struct preface preface_v6(void)
{
    return preface_of(PROXY, TCP6, ENDS_V6);
}

static void version_2_tells_both_ends_over_ipv4(void **state)
{
    (void)state;
    struct preface preface = preface_v4();
    expect_told(preface_span(&preface), ENDS_V4_TOLD);
}

static void version_2_tells_both_ends_over_ipv6(void **state)
{
    (void)state;
    struct preface preface = preface_v6();
    expect_told(preface_span(&preface), ENDS_V6_TOLD);
}

static void version_2_has_one_form_for_ipv4_within_ipv6(void **state)
{
    (void)state;
    struct preface preface =
        preface_of(PROXY, TCP6,
                   SPAN("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x09\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                        "\x9c\x40\x01\xbb"));
    expect_told(preface_span(&preface), "192.0.2.9 40000 > 2001:db8::1 443");
}

static void version_2_waits_for_all_that_it_announces(void **state)
{
    (void)state;
    struct preface v4 = preface_v4(), v6 = preface_v6(), local = preface_of(LOCAL, UNSPEC, SPAN("")),
                   more = preface_v4();
    preface_add_tlv(&more, TLV_ALPN, SPAN("h2"));
    preface_add_tlv(&more, TLV_SSL, SPAN("\x01\0\0\0\0"));
    const struct preface *const all[] = {&v4, &v6, &local, &more};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        expect_whole_at_its_end_only(preface_span(all[i]));
}

/* LOCAL: "the receiver must use the real connection endpoints and discard the protocol block including the
 * family". */
static void version_2_local_keeps_the_sockets_addresses_whatever_else_it_says(void **state)
{
    (void)state;
    static const unsigned families[] = {UNSPEC, TCP4, TCP6, UNIX, 0x55, 0xff};
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        struct preface bare = preface_of(LOCAL, families[i], SPAN("")),
                       with_rest = preface_of(LOCAL, families[i], SPAN("\x20\x00\x05\x01\0"));
        expect_told(preface_span(&bare), "local");
        expect_told(preface_span(&with_rest), "local");
    }
}

static void version_2_local_tells_of_no_tls(void **state)
{
    (void)state;
    struct preface preface = preface_of(LOCAL, TCP4, ENDS_V4);
    preface_add_tlv(&preface, TLV_SSL, SPAN("\x01\0\0\0\0"));
    expect_told(preface_span(&preface), "local");
}

/* What weir can't use: "a receiver may fall back to the UNSPEC mode". */
static void version_2_keeps_the_sockets_addresses_for_families_without_tcp(void **state)
{
    (void)state;
    static const unsigned families[] = {UNSPEC, UDP4, UDP6, UNIX, UNIX_DGRAM};
    static const char paths[216] = "/run/client";
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        struct preface preface = preface_of(PROXY, families[i], span_make(paths, sizeof paths));
        expect_told(preface_span(&preface), "local");
    }
    struct preface bare = preface_of(PROXY, UNSPEC, SPAN(""));
    expect_told(preface_span(&bare), "local");
}

/* Bytes of addresses, by family: none, IPv4, IPv6, two paths. */
static const size_t family_lengths[] = {0, 12, 36, 216};

/* Families over 3 and transports over 2 "must be rejected as invalid by receivers": a client whose address
 * is not known would pass for the proxy itself. */
static void version_2_refuses_families_and_transports_that_are_not_defined(void **state)
{
    (void)state;
    for (unsigned family = 0; family <= 0xff; family++) {
        static const char zeros[216];
        struct preface preface =
            preface_of(PROXY, family, span_make(zeros, family >> 4 < 4 ? family_lengths[family >> 4] : 36));
        if (family >> 4 > 3 || (family & 15) > 2)
            expect_step(preface_span(&preface), PROXY_PROTOCOL_BAD);
        else
            expect_step(preface_span(&preface), PROXY_PROTOCOL_DONE);
    }
}

static void version_2_refuses_other_versions_and_commands(void **state)
{
    (void)state;
    for (unsigned command = 0; command <= 0xff; command++) {
        struct preface preface = preface_of(command, TCP4, ENDS_V4);
        bool is_defined = command == LOCAL || command == PROXY;
        expect_step(preface_span(&preface), is_defined ? PROXY_PROTOCOL_DONE : PROXY_PROTOCOL_BAD);
    }
}

static void version_2_refuses_less_than_its_addresses(void **state)
{
    (void)state;
    static const char zeros[216];
    for (unsigned family = 1; family < COUNT_OF(family_lengths); family++)
        for (unsigned transport = 0; transport <= 2; transport++)
            for (size_t length = 0; length <= family_lengths[family]; length++) {
                struct preface preface = preface_of(PROXY, family << 4 | transport, span_make(zeros, length));
                bool is_whole = length == family_lengths[family];
                expect_step(preface_span(&preface), is_whole ? PROXY_PROTOCOL_DONE : PROXY_PROTOCOL_BAD);
            }
}

static void version_2_passes_over_what_it_does_not_know(void **state)
{
    (void)state;
    struct preface preface = preface_v6();
    preface_add_tlv(&preface, TLV_NOOP, SPAN(""));
    preface_add_tlv(&preface, 0xff, SPAN("\x20\0\x05\x01\0\0\0\0")); /* what stands in a value is no TLV */
    preface_add_tlv(&preface, TLV_AUTHORITY, SPAN("a.test"));        /* nor has its first byte any bits */
    expect_told(preface_span(&preface), ENDS_V6_TOLD);
}

/* The head may announce an end anywhere in them: it is good between two only. */
static void version_2_refuses_a_tlv_that_runs_over_the_end(void **state)
{
    (void)state;
    for (unsigned v6 = 0; v6 < 2; v6++) {
        struct preface preface = v6 ? preface_v6() : preface_v4();
        size_t addresses = preface.length, between = 3 + 4;
        preface_add_tlv(&preface, TLV_NOOP, SPAN("1234"));
        preface_add_tlv(&preface, TLV_SSL, SPAN("\x01\0\0\0\0"));
        size_t whole = preface.length;
        for (size_t end = addresses; end <= whole; end++) {
            struct preface cut = preface;
            preface_claim(&cut, end - HEAD);
            cut.length = end;
            bool is_between = end == addresses || end == addresses + between || end == whole;
            expect_step(preface_span(&cut), is_between ? PROXY_PROTOCOL_DONE : PROXY_PROTOCOL_BAD);
        }
    }
}

/* ---- the checksum (2.2.3) ---- */

/* As RFC 3720 defines it, a bit at a time. */
static uint32_t crc32c_of(struct span bytes)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < bytes.length * 8; i++) {
        crc ^= i % 8 == 0 ? (uint8_t)bytes.at[i / 8] : 0u;
        crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

/* Of a header that holds the TLV somewhere, with its value, at `value`, still 0. */
static void preface_sum(struct preface *preface, size_t value)
{
    uint32_t crc = crc32c_of(preface_span(preface));
    for (unsigned i = 0; i < 4; i++)
        preface->bytes[value + i] = (char)(crc >> (24 - 8 * i));
}

static struct preface preface_summed(unsigned family, struct span addresses)
{
    struct preface preface = preface_of(PROXY, family, addresses);
    preface_add_tlv(&preface, TLV_ALPN, SPAN("h2"));
    preface_add_tlv(&preface, TLV_CRC32C, SPAN("\0\0\0\0"));
    size_t value = preface.length - 4;
    preface_add_tlv(&preface, TLV_SSL, SPAN("\x01\0\0\0\0"));
    preface_sum(&preface, value);
    return preface;
}

static void version_2_takes_a_checksum_that_is_right(void **state)
{
    (void)state;
    static const char zeros[216];
    assert_int_equal(crc32c_of(SPAN("123456789")), 0xe3069283);    /* the usual vector */
    assert_int_equal(crc32c_of(span_make(zeros, 32)), 0x8a9136aa); /* RFC 3720 B.4 */
    struct preface v4 = preface_summed(TCP4, ENDS_V4), v6 = preface_summed(TCP6, ENDS_V6);
    struct preface local = preface_summed(UNIX, span_make(zeros, sizeof zeros));
    expect_told(preface_span(&v4), ENDS_V4_TOLD " tls");
    expect_told(preface_span(&v6), ENDS_V6_TOLD " tls");
    expect_step(preface_span(&local), PROXY_PROTOCOL_DONE);
    expect_whole_at_its_end_only(preface_span(&v6));
}

/* A wrong bit anywhere, in the sum itself too. */
static void version_2_refuses_a_checksum_that_is_wrong(void **state)
{
    (void)state;
    struct preface preface = preface_summed(TCP4, ENDS_V4);
    for (size_t bit = HEAD * 8; bit < preface.length * 8; bit++) {
        struct preface wrong = preface;
        wrong.bytes[bit / 8] ^= (char)(1 << bit % 8);
        size_t type = HEAD + ENDS_V4.length + 3 + 2;
        if (bit / 8 != type) /* it would be another TLV */
            expect_step(preface_span(&wrong), PROXY_PROTOCOL_BAD);
    }
    static const char zeros[216];
    struct preface local = preface_summed(UNIX, span_make(zeros, sizeof zeros));
    local.bytes[HEAD] = 'a';
    expect_step(preface_span(&local), PROXY_PROTOCOL_BAD);
}

static void version_2_refuses_a_checksum_of_another_length(void **state)
{
    (void)state;
    static const char zeros[8];
    for (size_t length = 0; length <= sizeof zeros; length++) {
        struct preface preface = preface_v4();
        preface_add_tlv(&preface, TLV_CRC32C, span_make(zeros, length));
        if (length >= 4)
            preface_sum(&preface, preface.length - length);
        expect_step(preface_span(&preface), length == 4 ? PROXY_PROTOCOL_DONE : PROXY_PROTOCOL_BAD);
    }
}

/* ---- TLS ---- */

/* PP2_TYPE_SSL: a byte of bits, of which the first says that the client spoke TLS, and four of a verdict. */
static void version_2_tells_of_tls_by_the_bit_of_the_client(void **state)
{
    (void)state;
    static const struct {
        struct span value;
        bool tls;
    } cases[] = {
        {{"\x01\0\0\0\0", 5}, true},
        {{"\x07\0\0\0\x01", 5}, true},
        {{"\x01\0\0\0\0\x21\0\x07TLSv1.3", 15}, true}, /* with TLVs of its own */
        {{"\x00\0\0\0\0", 5}, false},
        {{"\x06\0\0\0\0", 5}, false},
        {{"\x01\0\0\0", 4}, false}, /* too short to be one */
        {{"", 0}, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct preface preface = preface_v4();
        preface_add_tlv(&preface, TLV_ALPN, SPAN("h2"));
        preface_add_tlv(&preface, TLV_SSL, cases[i].value);
        expect_told(preface_span(&preface), cases[i].tls ? ENDS_V4_TOLD " tls" : ENDS_V4_TOLD);
    }
}

/* Refused by its head, before anything of it is waited for. */
static void version_2_takes_as_many_bytes_as_weir_holds_and_no_more(void **state)
{
    (void)state;
    static const char filler[PROXY_PROTOCOL_MAX];
    struct preface preface = preface_v4();
    preface_add_tlv(&preface, TLV_NOOP, span_make(filler, PROXY_PROTOCOL_MAX - HEAD - ENDS_V4.length - 3));
    assert_int_equal(preface.length, PROXY_PROTOCOL_MAX);
    expect_told(preface_span(&preface), ENDS_V4_TOLD);
    expect_step(span_first(preface_span(&preface), PROXY_PROTOCOL_MAX - 1), PROXY_PROTOCOL_MORE);
    preface_claim(&preface, PROXY_PROTOCOL_MAX - HEAD + 1);
    expect_step(span_first(preface_span(&preface), HEAD), PROXY_PROTOCOL_BAD);
    preface_claim(&preface, 0xffff);
    expect_step(span_first(preface_span(&preface), HEAD), PROXY_PROTOCOL_BAD);
}

/* ---- neither ---- */

static void nothing_says_nothing(void **state)
{
    (void)state;
    expect_step(SPAN(""), PROXY_PROTOCOL_MORE);
}

/* Each byte of a signature counts, and a wrong one is told when it comes. */
static void a_wrong_signature_is_none(void **state)
{
    (void)state;
    static const struct span signatures[] = {{"PROXY ", 6}, {"\r\n\r\n\0\r\nQUIT\n", 12}};
    for (size_t i = 0; i < COUNT_OF(signatures); i++) {
        for (size_t wrong = 0; wrong < signatures[i].length; wrong++) {
            char bytes[16];
            memcpy(bytes, signatures[i].at, signatures[i].length);
            bytes[wrong] ^= 0x20; /* of a letter, its case */
            expect_step(span_make(bytes, wrong + 1), PROXY_PROTOCOL_ABSENT);
            expect_step(span_make(bytes, signatures[i].length), PROXY_PROTOCOL_ABSENT);
        }
    }
}

static void what_other_protocols_begin_with_is_none(void **state)
{
    (void)state;
    static const struct span beginnings[] = {{"GET / HTTP/1.1\r\n", 16},
                                             {"PROPFIND / HTTP/1.1\r\n", 21},
                                             {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24},
                                             {"\x16\x03\x01\x02\x00", 5},
                                             {"\r\nGET / HTTP/1.1\r\n", 18}};
    for (size_t i = 0; i < COUNT_OF(beginnings); i++)
        expect_step(beginnings[i], PROXY_PROTOCOL_ABSENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_tells_both_ends_over_ipv4),
        cmocka_unit_test(version_1_tells_both_ends_over_ipv6),
        cmocka_unit_test(version_1_has_one_form_for_ipv4_within_ipv6),
        cmocka_unit_test(version_1_unknown_keeps_the_sockets_addresses),
        cmocka_unit_test(version_1_waits_for_the_end_of_its_line),
        cmocka_unit_test(version_1_ends_within_107_bytes),
        cmocka_unit_test(version_1_refuses_other_families),
        cmocka_unit_test(version_1_refuses_addresses_of_another_form),
        cmocka_unit_test(version_1_refuses_a_nul),
        cmocka_unit_test(version_1_refuses_ports_that_are_none),
        cmocka_unit_test(version_1_refuses_lines_of_other_words),
        cmocka_unit_test(version_2_tells_both_ends_over_ipv4),
        cmocka_unit_test(version_2_tells_both_ends_over_ipv6),
        cmocka_unit_test(version_2_has_one_form_for_ipv4_within_ipv6),
        cmocka_unit_test(version_2_waits_for_all_that_it_announces),
        cmocka_unit_test(version_2_local_keeps_the_sockets_addresses_whatever_else_it_says),
        cmocka_unit_test(version_2_local_tells_of_no_tls),
        cmocka_unit_test(version_2_keeps_the_sockets_addresses_for_families_without_tcp),
        cmocka_unit_test(version_2_refuses_families_and_transports_that_are_not_defined),
        cmocka_unit_test(version_2_refuses_other_versions_and_commands),
        cmocka_unit_test(version_2_refuses_less_than_its_addresses),
        cmocka_unit_test(version_2_passes_over_what_it_does_not_know),
        cmocka_unit_test(version_2_refuses_a_tlv_that_runs_over_the_end),
        cmocka_unit_test(version_2_takes_a_checksum_that_is_right),
        cmocka_unit_test(version_2_refuses_a_checksum_that_is_wrong),
        cmocka_unit_test(version_2_refuses_a_checksum_of_another_length),
        cmocka_unit_test(version_2_tells_of_tls_by_the_bit_of_the_client),
        cmocka_unit_test(version_2_takes_as_many_bytes_as_weir_holds_and_no_more),
        cmocka_unit_test(nothing_says_nothing),
        cmocka_unit_test(a_wrong_signature_is_none),
        cmocka_unit_test(what_other_protocols_begin_with_is_none),
    };
    return cmocka_run_group_tests_name("proxy protocol", tests, NULL, NULL);
}
