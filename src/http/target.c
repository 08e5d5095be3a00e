/* Request targets: host and port are split and made ready to be compared; the path is http/path.c's. */
#include "http/target.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/arena.h"
#include "http/path.h"

/* Of a reg-name or IPv4 (RFC 3986 3.2.2), but for what two readers may take for two hosts: ',' lists them and
 * '%' hides them. */
enum { HOST_BYTE = 1, HOST_DOT = 2, HOST_UPPER = 4 };
static const uint8_t host_bytes[256] = {
    ['!'] = HOST_BYTE,  ['$'] = HOST_BYTE,  ['&'] = HOST_BYTE,  ['\''] = HOST_BYTE, ['('] = HOST_BYTE,
    [')'] = HOST_BYTE,  ['*'] = HOST_BYTE,  ['+'] = HOST_BYTE,  ['-'] = HOST_BYTE,  ['.'] = HOST_DOT,
    ['0'] = HOST_BYTE,  ['1'] = HOST_BYTE,  ['2'] = HOST_BYTE,  ['3'] = HOST_BYTE,  ['4'] = HOST_BYTE,
    ['5'] = HOST_BYTE,  ['6'] = HOST_BYTE,  ['7'] = HOST_BYTE,  ['8'] = HOST_BYTE,  ['9'] = HOST_BYTE,
    [';'] = HOST_BYTE,  ['='] = HOST_BYTE,  ['A'] = HOST_UPPER, ['B'] = HOST_UPPER, ['C'] = HOST_UPPER,
    ['D'] = HOST_UPPER, ['E'] = HOST_UPPER, ['F'] = HOST_UPPER, ['G'] = HOST_UPPER, ['H'] = HOST_UPPER,
    ['I'] = HOST_UPPER, ['J'] = HOST_UPPER, ['K'] = HOST_UPPER, ['L'] = HOST_UPPER, ['M'] = HOST_UPPER,
    ['N'] = HOST_UPPER, ['O'] = HOST_UPPER, ['P'] = HOST_UPPER, ['Q'] = HOST_UPPER, ['R'] = HOST_UPPER,
    ['S'] = HOST_UPPER, ['T'] = HOST_UPPER, ['U'] = HOST_UPPER, ['V'] = HOST_UPPER, ['W'] = HOST_UPPER,
    ['X'] = HOST_UPPER, ['Y'] = HOST_UPPER, ['Z'] = HOST_UPPER, ['_'] = HOST_BYTE,  ['a'] = HOST_BYTE,
    ['b'] = HOST_BYTE,  ['c'] = HOST_BYTE,  ['d'] = HOST_BYTE,  ['e'] = HOST_BYTE,  ['f'] = HOST_BYTE,
    ['g'] = HOST_BYTE,  ['h'] = HOST_BYTE,  ['i'] = HOST_BYTE,  ['j'] = HOST_BYTE,  ['k'] = HOST_BYTE,
    ['l'] = HOST_BYTE,  ['m'] = HOST_BYTE,  ['n'] = HOST_BYTE,  ['o'] = HOST_BYTE,  ['p'] = HOST_BYTE,
    ['q'] = HOST_BYTE,  ['r'] = HOST_BYTE,  ['s'] = HOST_BYTE,  ['t'] = HOST_BYTE,  ['u'] = HOST_BYTE,
    ['v'] = HOST_BYTE,  ['w'] = HOST_BYTE,  ['x'] = HOST_BYTE,  ['y'] = HOST_BYTE,  ['z'] = HOST_BYTE,
    ['~'] = HOST_BYTE};

/* 0: it is none. No label of it is empty, but for the root's at the end (RFC 1034 3.1): who drops dots reads
 * "a..b" as another host. Else what is in it, HOST_DOT: at the end. */
static unsigned host_name_marks(struct span host)
{
    unsigned seen = HOST_BYTE;
    size_t i = 0, label = 0; /* where it begins */
    for (;;) {
        unsigned kind = HOST_BYTE;
        while (i < host.length && (kind = host_bytes[(unsigned char)host.at[i]]) == HOST_BYTE)
            i++;
        if (i == host.length)
            return i == 0 ? 0 : label == i ? seen | HOST_DOT : seen;
        if (kind == 0 || (kind == HOST_DOT && i == label))
            return 0;
        seen |= kind & HOST_UPPER;
        i++;
        label = kind == HOST_DOT ? i : label;
    }
}

bool host_v6_normal(struct span host, char text[HOST_V6_MOST])
{
    struct in6_addr address;
    if (host.length < 4 || host.length - 2 >= HOST_V6_MOST || host.at[0] != '[' ||
        host.at[host.length - 1] != ']' || memchr(host.at, '\0', host.length) != NULL)
        return false;
    memcpy(text, host.at + 1, host.length - 2);
    text[host.length - 2] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1 &&
           inet_ntop(AF_INET6, &address, text, HOST_V6_MOST) != NULL;
}

static bool port_is_number(struct span text, uint16_t *port)
{
    unsigned value = 0;
    if (text.length > 5)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text.at[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= 65535;
}

bool authority_read(struct span authority, struct authority *parts)
{
    size_t end = authority.length;
    if (authority.length != 0 && authority.at[0] == '[') {
        size_t close = span_find(authority, ']');
        if (close == authority.length)
            return false;
        end = close + 1;
    } else {
        end = span_find(authority, ':');
    }
    *parts = (struct authority){.host = span_first(authority, end)};
    bool port_is_normal = true;
    if (end != authority.length) {
        struct span port = span_skip(authority, end + 1);
        if (authority.at[end] != ':' || !port_is_number(port, &parts->port))
            return false;
        parts->has_port = port.length != 0;
        port_is_normal = parts->has_port && port.at[0] != '0';
    }
    unsigned marks = host_name_marks(parts->host);
    parts->is_normal = marks == HOST_BYTE && port_is_normal;
    char text[HOST_V6_MOST];
    return marks != 0 || (end != 0 && host_v6_normal(parts->host, text));
}

bool authority_split(struct span authority, struct span *host, uint16_t *port, bool *has_port)
{
    struct authority parts;
    if (!authority_read(authority, &parts))
        return false;
    *host = parts.host;
    *port = parts.port;
    *has_port = parts.has_port;
    return true;
}

static struct span without_dot(struct span host)
{
    return host.at[host.length - 1] == '.' ? span_first(host, host.length - 1) : host;
}

bool authority_is_same(struct span a, struct span b, uint16_t default_port)
{
    struct authority first, second;
    if (span_equal_nocase(a, b))
        return true;
    if (!authority_read(a, &first) || !authority_read(b, &second) ||
        (first.has_port ? first.port : default_port) != (second.has_port ? second.port : default_port))
        return false;
    char first_v6[HOST_V6_MOST], second_v6[HOST_V6_MOST];
    if (host_v6_normal(first.host, first_v6))
        return host_v6_normal(second.host, second_v6) && strcmp(first_v6, second_v6) == 0;
    return span_equal_nocase(without_dot(first.host), without_dot(second.host));
}

/* Lower case and without a final dot, or an IPv6 address as inet_ntop() prints it; behind it the port, if
 * there is one, without zeros before it. */
static bool authority_write(struct target *target, struct span authority, struct span host, bool has_port,
                            struct arena *arena)
{
    char v6[HOST_V6_MOST];
    bool brackets = host_v6_normal(host, v6);
    struct span name = brackets ? span_of(v6) : without_dot(host);
    struct span port = has_port ? span_skip(authority, host.length + 1) : SPAN_NONE;
    while (port.length > 1 && port.at[0] == '0')
        port = span_skip(port, 1);
    char *at = arena_get_bytes(arena, name.length + port.length + 3), *to = at;
    if (at == NULL)
        return false;
    if (brackets)
        *to++ = '[';
    target->host = span_make(to, name.length);
    for (size_t i = 0; i < name.length; i++)
        *to++ = ascii_lower(name.at[i]);
    if (brackets)
        *to++ = ']';
    if (port.length != 0) {
        *to++ = ':';
        memcpy(to, port.at, port.length);
        to += port.length;
    }
    target->authority = span_make(at, (size_t)(to - at));
    return true;
}

enum failure target_host(struct target *target, struct span authority, struct arena *arena)
{
    struct authority parts;
    if (!authority_read(authority, &parts))
        return FAILURE_BAD_HOST;
    target->host = parts.host;
    target->port = parts.port;
    target->authority = authority;
    if (parts.is_normal)
        return FAILURE_NONE;
    return authority_write(target, authority, parts.host, parts.has_port, arena) ? FAILURE_NONE
                                                                                 : FAILURE_OVERLOADED;
}

static enum failure target_path(struct target *target, struct arena *arena)
{
    if (path_is_plain(target->path) || span_is(target->path, "*"))
        return FAILURE_NONE;
    return path_prepare(target->path, arena, &target->path, &target->marks);
}

enum failure target_prepare(struct target *target, struct span authority, struct span path, struct span query,
                            struct arena *arena)
{
    *target = (struct target){.path = path, .query = query};
    enum failure why = authority.length != 0 ? target_host(target, authority, arena) : FAILURE_NONE;
    return why != FAILURE_NONE ? why : target_path(target, arena);
}

enum failure target_prepare_head(struct target *target, const struct head *head, struct arena *arena)
{
    struct span authority = head->line.request.authority, path = head->line.request.path,
                query = head->line.request.query;
    uint32_t length = head->line.request.host_length;
    if (length == 0)
        return target_prepare(target, authority, path, query, arena);
    *target = (struct target){.host = span_first(authority, length),
                              .authority = authority,
                              .port = head->line.request.port,
                              .path = path,
                              .query = query};
    return target_path(target, arena);
}
