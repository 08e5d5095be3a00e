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

static bool host_is_name(struct span host)
{
    size_t i = 0;
    while (i < host.length && host_bytes[(unsigned char)host.at[i]])
        i++;
    return i == host.length && i != 0;
}

static bool host_is_v6(struct span host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (host.length < 4 || host.length - 2 >= sizeof text || host.at[host.length - 1] != ']' ||
        memchr(host.at, '\0', host.length) != NULL)
        return false;
    memcpy(text, host.at + 1, host.length - 2);
    text[host.length - 2] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
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
    return host->length != 0 && (host->at[0] == '[' ? host_is_v6(*host) : host_is_name(*host));
}

/* Lower case, without brackets and final dot. No copy when nothing has to change. */
static bool host_prepare(struct target *target, struct span host, struct arena *arena)
{
    if (host.at[0] == '[')
        host = span_make(host.at + 1, host.length - 2);
    else if (host.length > 1 && host.at[host.length - 1] == '.')
        host.length--;
    size_t i = 0;
    while (i < host.length && !(host.at[i] >= 'A' && host.at[i] <= 'Z'))
        i++;
    target->host = host;
    if (i == host.length)
        return true;
    char *copy = arena_get_bytes(arena, host.length);
    if (copy == NULL)
        return false;
    for (i = 0; i < host.length; i++)
        copy[i] = ascii_lower(host.at[i]);
    target->host = span_make(copy, host.length);
    return true;
}

enum failure target_prepare(struct target *target, struct span authority, struct span path, struct span query,
                            struct arena *arena)
{
    *target = (struct target){.path = path, .query = query};
    struct span host;
    bool has_port;
    if (authority.length != 0) {
        if (!authority_split(authority, &host, &target->port, &has_port))
            return FAILURE_BAD_HOST;
        if (!host_prepare(target, host, arena))
            return FAILURE_OVERLOADED;
    }
    if (path_is_plain(path) || span_is(path, "*"))
        return FAILURE_NONE;
    return path_prepare(path, arena, &target->path, &target->marks);
}
