/* Request targets: host and port are split and made ready to be compared; the path is http/path.c's. */
#include "http/target.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/arena.h"
#include "http/path.h"

/* Of a reg-name or IPv4 (RFC 3986 3.2.2), but for what two readers may take for two hosts: ',' lists them and
 * '%' hides them. */
static const bool host_bytes[256] = {
    ['!'] = true, ['$'] = true, ['&'] = true, ['\''] = true, ['('] = true, [')'] = true, ['*'] = true,
    ['+'] = true, ['-'] = true, ['.'] = true, [';'] = true,  ['='] = true, ['_'] = true, ['~'] = true,
    ['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true,  ['4'] = true, ['5'] = true, ['6'] = true,
    ['7'] = true, ['8'] = true, ['9'] = true, ['A'] = true,  ['B'] = true, ['C'] = true, ['D'] = true,
    ['E'] = true, ['F'] = true, ['G'] = true, ['H'] = true,  ['I'] = true, ['J'] = true, ['K'] = true,
    ['L'] = true, ['M'] = true, ['N'] = true, ['O'] = true,  ['P'] = true, ['Q'] = true, ['R'] = true,
    ['S'] = true, ['T'] = true, ['U'] = true, ['V'] = true,  ['W'] = true, ['X'] = true, ['Y'] = true,
    ['Z'] = true, ['a'] = true, ['b'] = true, ['c'] = true,  ['d'] = true, ['e'] = true, ['f'] = true,
    ['g'] = true, ['h'] = true, ['i'] = true, ['j'] = true,  ['k'] = true, ['l'] = true, ['m'] = true,
    ['n'] = true, ['o'] = true, ['p'] = true, ['q'] = true,  ['r'] = true, ['s'] = true, ['t'] = true,
    ['u'] = true, ['v'] = true, ['w'] = true, ['x'] = true,  ['y'] = true, ['z'] = true,
};

/* No label of it is empty, but for the root's at the end (RFC 1034 3.1): who drops dots reads "a..b" as
 * another host. */
static bool host_is_name(struct span host)
{
    bool dot = true;
    size_t i = 0;
    for (; i < host.length && host_bytes[(unsigned char)host.at[i]]; i++) {
        bool is_dot = host.at[i] == '.';
        if (is_dot && dot)
            return false;
        dot = is_dot;
    }
    return i == host.length && i != 0;
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

bool authority_split(struct span authority, struct span *host, uint16_t *port, bool *has_port)
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
    *host = span_first(authority, end);
    *port = 0;
    *has_port = false;
    if (end != authority.length) {
        if (authority.at[end] != ':' || !port_is_number(span_skip(authority, end + 1), port))
            return false;
        *has_port = end + 1 != authority.length;
    }
    char text[HOST_V6_MOST];
    return host->length != 0 && (host->at[0] == '[' ? host_v6_normal(*host, text) : host_is_name(*host));
}

/* Lower case and without a final dot, or an IPv6 address as inet_ntop() prints it; behind it the port, if
 * there is one, without zeros before it. */
static bool authority_write(struct target *target, struct span authority, struct span host, bool has_port,
                            struct arena *arena)
{
    char v6[HOST_V6_MOST];
    bool brackets = host_v6_normal(host, v6);
    struct span name = brackets ? span_of(v6) : host;
    if (!brackets && name.at[name.length - 1] == '.')
        name.length--;
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

/* A name with a port or without, as nearly all are. */
static bool authority_is_normal(struct span authority, struct span host, bool has_port)
{
    size_t i = 0;
    while (i < host.length && !(host.at[i] >= 'A' && host.at[i] <= 'Z'))
        i++;
    return i == host.length && host.at[0] != '[' && host.at[host.length - 1] != '.' &&
           (has_port ? authority.at[host.length + 1] != '0' : authority.length == host.length);
}

enum failure target_host(struct target *target, struct span authority, struct arena *arena)
{
    struct span host;
    bool has_port;
    if (!authority_split(authority, &host, &target->port, &has_port))
        return FAILURE_BAD_HOST;
    target->host = host;
    target->authority = authority;
    if (authority_is_normal(authority, host, has_port))
        return FAILURE_NONE;
    return authority_write(target, authority, host, has_port, arena) ? FAILURE_NONE : FAILURE_OVERLOADED;
}

enum failure target_prepare(struct target *target, struct span authority, struct span path, struct span query,
                            struct arena *arena)
{
    *target = (struct target){.path = path, .query = query};
    enum failure why = authority.length != 0 ? target_host(target, authority, arena) : FAILURE_NONE;
    if (why != FAILURE_NONE)
        return why;
    if (path_is_plain(path) || span_is(path, "*"))
        return FAILURE_NONE;
    return path_prepare(path, arena, &target->path, &target->marks);
}
