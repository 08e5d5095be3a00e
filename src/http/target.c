/* Request targets for routing. What is forwarded stays as it was received; this is the one reading of it that
 * weir itself acts upon. */
#include "http/target.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/arena.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986 2.3 */
static bool is_unreserved(unsigned c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

/* ---- authority ---- */

/* reg-name or IPv4 (RFC 3986 3.2.2), but for what two readers may take for two hosts: ',' lists them and '%'
 * hides them. */
static bool host_is_name(struct span host)
{
    for (size_t i = 0; i < host.length; i++) {
        unsigned char c = (unsigned char)host.at[i];
        if (!is_unreserved(c) && (c == 0 || strchr("!$&'()*+;=", c) == NULL))
            return false;
    }
    return host.length != 0;
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

/* ---- path ---- */

/* True when the path is its own normal form: no escapes, no dot segments, no empty segments that rules merge,
 * no backslash. */
static bool path_is_plain(struct span path, const struct target_rules *rules)
{
    for (size_t i = 0; i < path.length; i++) {
        char c = path.at[i];
        if (c == '%' || c == '\\')
            return false;
        bool after_slash = i > 0 && path.at[i - 1] == '/';
        if (after_slash && (c == '.' || (c == '/' && rules->merge_slashes)))
            return false;
    }
    return true;
}

/* Writes the decoded form of the escape at `at` (three bytes); how many bytes it takes, 0: refused. Escapes
 * stay but for unreserved characters. */
static size_t decode_escape(char *to, const char *at, const struct target_rules *rules)
{
    int high = hex_digit(at[1]), low = hex_digit(at[2]);
    if (high < 0 || low < 0)
        return 0;
    unsigned value = (unsigned)(high * 16 + low);
    if (value == 0 || (value == '/' && !rules->allow_encoded_slash) ||
        (value == '\\' && !rules->allow_encoded_backslash))
        return 0;
    if (is_unreserved(value)) {
        to[0] = (char)value;
        return 1;
    }
    static const char digits[] = "0123456789ABCDEF";
    to[0] = '%';
    to[1] = digits[high];
    to[2] = digits[low];
    return 3;
}

/* Decodes into `to`, which has room for path.length; the length, or 0 when refused. */
static size_t path_decode(char *to, struct span path, const struct target_rules *rules)
{
    size_t length = 0;
    for (size_t i = 0; i < path.length;) {
        if (path.at[i] == '\\')
            return 0;
        if (path.at[i] != '%') {
            to[length++] = path.at[i++];
            continue;
        }
        size_t wrote = i + 2 < path.length ? decode_escape(to + length, path.at + i, rules) : 0;
        if (wrote == 0)
            return 0;
        length += wrote;
        i += 3;
    }
    return length;
}

/* A dot segment that an encoded slash or backslash hides ("..%2Fsecret") would climb in a server that decodes
 * it. */
static bool hides_dots(struct span segment)
{
    for (size_t i = 0; i < segment.length;) {
        size_t end = i;
        while (end < segment.length && segment.at[end] != '%')
            end++;
        bool separator = end + 2 < segment.length &&
                         (memcmp(segment.at + end, "%2F", 3) == 0 || memcmp(segment.at + end, "%5C", 3) == 0);
        bool dots = end - i == 2 && segment.at[i] == '.' && segment.at[i + 1] == '.';
        bool at_start = i == 0 || (i >= 3 && (memcmp(segment.at + i - 3, "%2F", 3) == 0 ||
                                              memcmp(segment.at + i - 3, "%5C", 3) == 0));
        if (dots && at_start && (separator || (end == segment.length && i != 0)))
            return true;
        i = end < segment.length ? end + (separator ? 3 : 1) : end;
    }
    return false;
}

/* Removes dot segments in place (RFC 3986 5.2.4) and, if asked, empty ones; the length, or 0 when it climbs
 * above the root. */
static size_t path_remove_dots(char *path, size_t length, bool merge)
{
    size_t out = 0;
    for (size_t i = 0; i < length;) {
        size_t end = i + 1; /* path[i] is the slash that begins a segment */
        while (end < length && path[end] != '/')
            end++;
        struct span segment = span_make(path + i + 1, end - i - 1);
        bool last = end == length;
        bool dot = span_is(segment, "."), dots = span_is(segment, "..");
        if (hides_dots(segment))
            return 0;
        if (dots) {
            if (out == 0)
                return 0;
            while (path[--out] != '/')
                ;
        }
        if (dot || dots) {
            if (last)
                path[out++] = '/';
        } else if (!(merge && segment.length == 0 && !last)) {
            memmove(path + out, path + i, end - i);
            out += end - i;
        }
        i = end;
    }
    if (out == 0)
        path[out++] = '/';
    return out;
}

static enum failure path_prepare(struct target *target, struct span path, const struct target_rules *rules,
                                 struct arena *arena)
{
    target->path = path;
    if (path_is_plain(path, rules))
        return FAILURE_NONE;
    char *copy = arena_get_bytes(arena, path.length + 1);
    if (copy == NULL)
        return FAILURE_OVERLOADED;
    size_t length = path_decode(copy, path, rules);
    if (length != 0)
        length = path_remove_dots(copy, length, rules->merge_slashes);
    target->path = span_make(copy, length);
    return length != 0 ? FAILURE_NONE : FAILURE_BAD_TARGET;
}

enum failure target_prepare(struct target *target, struct span authority, struct span path, struct span query,
                            const struct target_rules *rules, struct arena *arena)
{
    *target = (struct target){.query = query};
    struct span host;
    bool has_port;
    if (authority.length != 0) {
        if (!authority_split(authority, &host, &target->port, &has_port))
            return FAILURE_BAD_HOST;
        if (!host_prepare(target, host, arena))
            return FAILURE_OVERLOADED;
    }
    if (span_is(path, "*")) {
        target->path = path;
        return FAILURE_NONE;
    }
    return path_prepare(target, path, rules, arena);
}
