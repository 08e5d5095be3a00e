/* Whether the text of a single value can be what its key wants: addresses, names, patterns. Whether things
 * exist is not asked here. */
#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

#include "base/text.h"
#include "config/config.h"
#include "config/config_schema.h"
#include "config/field_names.h"
#include "config/foreign_variables.h"

struct config_hooks config_hooks;
bool config_text_only;

#define NO_NOT \
    "\"%s\" begins with \"!\", which turns nothing round; a route above that takes what is left out does"

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* RFC 9110 5.6.2 */
static bool is_token(struct span value)
{
    for (size_t i = 0; i < value.length; i++)
        if (!is_alphanumeric(value.at[i]) &&
            (value.at[i] == '\0' || strchr("!#$%&'*+-.^_`|~", value.at[i]) == NULL))
            return false;
    return value.length != 0;
}

/* Whatever HTTP allows: names have a letter, and are not of any length. */
static bool is_name_like(struct span value)
{
    bool letter = false;
    for (size_t i = 0; i < value.length; i++)
        letter = letter || (ascii_lower(value.at[i]) >= 'a' && ascii_lower(value.at[i]) <= 'z');
    return letter && value.length <= 256 && is_token(value);
}

static bool is_ip(int family, struct span value)
{
    char copy[INET6_ADDRSTRLEN], address[sizeof(struct in6_addr)];
    if (value.length == 0 || value.length >= sizeof(copy))
        return false;
    memcpy(copy, value.at, value.length);
    copy[value.length] = '\0';
    return inet_pton(family, copy, address) == 1;
}

static bool is_host_name(struct span value)
{
    if (value.length == 0 || value.length > 253 || value.at[0] == '.' || value.at[0] == '-')
        return false;
    for (size_t i = 0; i < value.length; i++) {
        bool dots = value.at[i] == '.' && i + 1 < value.length && value.at[i + 1] == '.';
        if (dots || (!is_alphanumeric(value.at[i]) && strchr("-._", value.at[i]) == NULL))
            return false;
    }
    return true;
}

/* Where others write the path of a unix socket: unix//path (Caddy), unix@/path (HAProxy), http://unix:/path
 * and unix:/path: with what is asked for behind it (nginx). */
static bool is_unix_elsewhere(struct span value, struct span *path)
{
    struct span rest = span_starts(value, SPAN("http://unix:")) ? span_skip(value, 7) : value;
    bool ours = rest.at == value.at && span_starts(rest, SPAN("unix:"));
    if (!span_starts(rest, SPAN("unix:")) && !span_starts(rest, SPAN("unix/")) &&
        !span_starts(rest, SPAN("unix@")))
        return false;
    rest = span_skip(rest, 5);
    *path = span_first(rest, span_find(rest, ':'));
    struct span behind = span_skip(rest, path->length);
    return path->length != 0 && path->at[0] == '/' &&
           (!ours || span_is(behind, ":") || span_starts(behind, SPAN(":/"))); /* a path may have a colon */
}

static bool unix_path(struct span value, struct error *error)
{
    struct sockaddr_un address;
    struct span path;
    if (is_unix_elsewhere(value, &path))
        return error_set(error, "\"%s\" is nginx's; write \"unix:%.*s\"", value.at, (int)path.length,
                         path.at);
    path = span_skip(value, 5);
    if (path.length == 0 || path.at[0] != '/')
        return error_set(error, "\"%s\" needs an absolute path, such as unix:/run/weir.sock", value.at);
    if (path.length >= sizeof(address.sun_path))
        return error_set(error, "the path of a unix socket has at most %zu bytes; this one has %zu",
                         sizeof(address.sun_path) - 1, path.length);
    return true;
}

struct span authority_port(struct span authority)
{
    size_t colon = authority.length;
    while (colon > 0 && authority.at[colon - 1] != ':' && authority.at[colon - 1] != ']')
        colon--;
    bool has_port = colon > 0 && authority.at[colon - 1] == ':';
    return has_port ? span_skip(authority, colon) : SPAN_NONE;
}

/* Cuts host and port; the host keeps no brackets. */
static bool host_port(struct span value, struct span *host, struct span *port, bool *in_brackets)
{
    *port = authority_port(value);
    if (port->at == NULL)
        return false;
    *host = span_first(value, value.length - port->length - 1);
    *in_brackets = host->length >= 2 && host->at[0] == '[' && host->at[host->length - 1] == ']';
    if (*in_brackets)
        *host = span_make(host->at + 1, host->length - 2);
    return true;
}

bool syntax_port(struct span port, struct error *error)
{
    uint64_t number;
    return (text_to_number(port, 65535, &number) && number != 0) ||
           error_set(error, "\"%.*s\" is not a port; ports are 1 to 65535", (int)port.length, port.at);
}

/* What an address stands for, as far as it differs. */
struct address_kind {
    const char *example, *key; /* one of the keys that may stand beside it */
    bool of_server;
};
static const struct address_kind listen_kind = {"127.0.0.1:8080", "backlog: 1024", false},
                                 server_kind = {"10.0.0.1:8080", "weight: 2", true};

/* A URL says more than where: with which keys the rest is said. */
static bool scheme_refuse(struct span value, struct span authority, const struct address_kind *kind,
                          struct error *error)
{
    bool grpcs = span_starts(value, SPAN("grpcs:")), tls = grpcs || span_starts(value, SPAN("https:")),
         h2c = span_starts(value, SPAN("h2c:")) || span_starts(value, SPAN("grpc:"));
    struct span path = span_of(authority.at + authority.length);
    path = span_first(path, strcspn(path.at, "?#"));
    while (path.length != 0 && path.at[path.length - 1] == '/')
        path.length--;
    const char *more = kind->of_server && grpcs ? ", and protocol: h2 and tls: {} in the pool"
                       : kind->of_server && tls ? ", and tls: {} speaks TLS to servers"
                       : tls ? ", and tls: { certificates: ... } beside address: speaks TLS"
                       : kind->of_server && h2c ? ", and protocol: h2c in the pool"
                       : h2c                    ? ", and protocols: [h2c, http/1.1] beside address:"
                                                : "";
    const char *port = authority_port(authority).at != NULL ? "" : tls ? ":443" : ":80";
    bool add = kind->of_server && path.length != 0;
    return error_set(error, "\"%s\" has a scheme; an address is host:port: write \"%.*s%s\"%s%s%.*s%s",
                     value.at, (int)authority.length, authority.at, port, more,
                     add ? ", and rewrite: { add_prefix: " : "", add ? (int)path.length : 0, path.at,
                     add ? " } in the route" : "");
}

/* What ends one of several addresses in a text. */
#define ADDRESS_ENDS " \t,;"

/* "a:3000,a:3001", with a port to each; true: it was told. */
static bool several_refuse(struct span value, struct error *error)
{
    struct text list = text_growing();
    size_t count = 0;
    uint64_t number;
    bool all = true;
    for (struct span rest = value; rest.length != 0 && all;) {
        struct span one = span_first(rest, strcspn(rest.at, ADDRESS_ENDS));
        all = one.length == 0 || text_to_number(authority_port(one), 65535, &number);
        if (one.length != 0)
            text_print(&list, "%s\"%.*s\"", count++ == 0 ? "" : ", ", (int)one.length, one.at);
        rest = span_skip(rest, one.length != 0 ? one.length : 1);
    }
    bool told = all && count > 1;
    if (told)
        error_set(error, "\"%s\" is not one address; write each as an item of the list: [%.*s]", value.at,
                  (int)list.length, list.at);
    text_free(&list);
    return told;
}

static bool blank_refuse(struct span value, const struct address_kind *kind, struct error *error)
{
    size_t blank = strcspn(value.at, " \t");
    if (authority_port(span_first(value, blank)).at == NULL)
        return error_set(error, "\"%s\" has a blank; an address is host:port alone, such as %s", value.at,
                         kind->example);
    bool tls = !kind->of_server && strstr(value.at, "ssl") != NULL;
    return error_set(error, "\"%s\" has a blank; what stands behind it are keys: { address: \"%.*s\", %s }",
                     value.at, (int)blank, value.at,
                     tls ? "tls: { certificates: { cert: ..., key: ... } }" : kind->key);
}

static bool address_split(struct span value, const struct address_kind *kind, struct span *host,
                          bool *in_brackets, struct error *error)
{
    struct span port;
    const char *scheme = strstr(value.at, "://");
    if (!syntax_environment(value, error))
        return false;
    if (is_unix_elsewhere(value, &port))
        return error_set(error, "\"%s\" is not an address; write \"unix:%.*s\"", value.at, (int)port.length,
                         port.at);
    if (scheme != NULL)
        return scheme_refuse(value, span_make(scheme + 3, strcspn(scheme + 3, "/?#")), kind, error);
    if (strpbrk(value.at, ADDRESS_ENDS) != NULL && several_refuse(value, error))
        return false;
    if (strpbrk(value.at, " \t") != NULL)
        return blank_refuse(value, kind, error);
    if (value.length != 0 && value.at[0] == '/')
        return error_set(error, "\"%s\" is a path; the address of a unix socket is written \"unix:%s\"",
                         value.at, value.at);
    if (!host_port(value, host, &port, in_brackets) || port.length == 0)
        return error_set(error, "\"%s\" has no port; an address is host:port, such as %s", value.at,
                         kind->example);
    if (!syntax_port(port, error))
        return false;
    if (!*in_brackets && memchr(host->at, ':', host->length) != NULL)
        return error_set(error, "\"%s\" is ambiguous; write an IPv6 address in brackets, such as [::1]:443",
                         value.at);
    if (*in_brackets && !is_ip(AF_INET6, *host))
        return error_set(error, "\"%.*s\" is not an IPv6 address", (int)host->length, host->at);
    return true;
}

bool syntax_listen_address(struct span value, struct error *error)
{
    struct span host = SPAN_NONE;
    bool in_brackets = false;
    if (span_starts(value, SPAN("unix:")))
        return unix_path(value, error);
    if (value.length != 0 && strspn(value.at, "0123456789") == value.length)
        return error_set(error, "\"%s\" is not an address; write \":%s\" for this port on all addresses",
                         value.at, value.at);
    if (!address_split(value, &listen_kind, &host, &in_brackets, error))
        return false;
    if (in_brackets || host.length == 0 || is_ip(AF_INET, host))
        return true;
    if (span_is(host, "*"))
        return error_set(error, "\"%s\" is not an address; write \"%s\" for all addresses", value.at,
                         value.at + 1);
    if (span_is(host, "localhost"))
        return error_set(error, "\"localhost\" is a name; listen on 127.0.0.1%s or [::1]%s",
                         value.at + host.length, value.at + host.length);
    return error_set(error, "\"%.*s\" is not an IP address; weir listens on addresses, not on names",
                     (int)host.length, host.at);
}

bool syntax_server_address(struct span value, struct error *error)
{
    struct span host = SPAN_NONE;
    bool in_brackets = false;
    if (span_starts(value, SPAN("unix:")))
        return unix_path(value, error);
    if (!address_split(value, &server_kind, &host, &in_brackets, error))
        return false;
    if (in_brackets || is_host_name(host))
        return true;
    return error_set(error, "\"%s\" has no host; write an IP address or a name before the port", value.at);
}

/* Whom weir believes is nobody that it need not know. */
bool syntax_proxy_network(struct span value, struct error *error)
{
    static const char *const all[] = {"all", "any", "*", "everyone", "true"};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (span_equal_nocase(value, span_of(all[i])))
            return error_set(error,
                             "\"%s\" would let every client say its own address; write the ranges of your "
                             "proxies, such as 10.0.0.0/8",
                             value.at);
    return syntax_network(value, error);
}

/* An address of IPv4 in the notation of IPv6, with a prefix that is not counted in it. */
static bool mapped_refuse(struct span value, struct span address, unsigned bits, struct error *error)
{
    struct in6_addr ip;
    char dotted[INET_ADDRSTRLEN];
    if (bits >= 96 || !ip_read(address, ip.s6_addr) || !IN6_IS_ADDR_V4MAPPED(&ip))
        return false;
    inet_ntop(AF_INET, ip.s6_addr + 12, dotted, sizeof dotted);
    if (bits <= 32)
        error_set(
            error,
            "\"%s\" holds no address of IPv4, whose prefix begins at 96 when it is written so; write \"%s/%u\"",
            value.at, dotted, bits);
    else
        error_set(
            error,
            "\"%s\" holds no address of IPv4, whose prefix begins at 96 when it is written so; write the "
            "network of IPv4 itself, such as 10.0.0.0/8",
            value.at);
    return true;
}

/* `everybody`: how one says that who means all networks. */
static bool network_check(struct span value, const char *everybody, struct error *error)
{
    static const char private[] = "write [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, \"fc00::/7\"]";
    const struct {
        const char *word, *ours;
    } words[] = {{"all", everybody},
                 {"any", everybody},
                 {"*", everybody},
                 {"everyone", everybody},
                 {"localhost", "write [127.0.0.0/8, \"::1\"]"},
                 {"private", private},
                 {"private_ranges", private}};
    size_t slash = span_find(value, '/');
    struct span address = span_first(value, slash);
    uint64_t bits = 0;
    if (span_is(value, "unix"))
        return true;
    bool v4 = is_ip(AF_INET, address), v6 = is_ip(AF_INET6, address);
    for (size_t i = 0; !v4 && !v6 && i < COUNT_OF(words); i++)
        if (span_equal_nocase(value, span_of(words[i].word)))
            return error_set(error, "\"%s\" is not a network; %s", value.at, words[i].ours);
    if (!v4 && !v6)
        return error_set(error, "\"%s\" is not a network; write an address, or a network such as 10.0.0.0/8",
                         value.at);
    if (slash < value.length && !text_to_number(span_skip(value, slash + 1), v4 ? 32 : 128, &bits))
        return error_set(error, "\"%s\" is not a network; the prefix is 0 to %d", value.at, v4 ? 32 : 128);
    return v4 || slash == value.length || !mapped_refuse(value, address, (unsigned)bits, error);
}

bool syntax_network(struct span value, struct error *error)
{
    return network_check(value, "leave the key out, which holds for everybody", error);
}

bool syntax_network_allowed(struct span value, struct error *error)
{
    return network_check(
        value, "without allow everybody may, so leave it out, and access too where it has no deny", error);
}

bool syntax_network_denied(struct span value, struct error *error)
{
    return network_check(value,
                         "beside allow leave deny out, for all others may not anyway; to refuse everybody, "
                         "write deny: [0.0.0.0/0, \"::/0\", unix]",
                         error);
}

bool syntax_token(struct span value, struct error *error)
{
    return (is_token(value) && value.length <= 256) ||
           error_set(error, "\"%s\" is not a name; write letters, digits, \"-\" and \"_\" alone", value.at);
}

/* Names of headers are whole. HTTP allows what patterns and signs are made of; nobody has such a header. */
static bool name_is_whole(struct span value, struct error *error)
{
    const char sign = value.length > 1 ? value.at[0] : '\0';
    if (sign == '+' || sign == '-')
        return error_set(error, "\"%s\" is not a header name; write \"%s\" under %s:", value.at, value.at + 1,
                         sign == '+' ? "add" : "remove");
    if (sign == '!')
        return error_set(error, NO_NOT, value.at);
    return strpbrk(value.at, "*^|~") == NULL ||
           error_set(error, "\"%s\" is not a header name; names are whole, and no pattern, so write each",
                     value.at);
}

static bool syntax_field_name(struct span value, struct error *error)
{
    if (!is_name_like(value))
        return error_set(error, "\"%.80s\" is not a header name; write it without a colon or blanks",
                         value.at);
    return name_is_whole(value, error);
}

bool syntax_match_name(struct span value, struct error *error)
{
    return field_name_check(value, FIELD_USE_MATCH, error) && syntax_field_name(value, error);
}

bool syntax_set_name(struct span value, struct error *error)
{
    return field_name_check(value, FIELD_USE_EDIT, error) && syntax_field_name(value, error);
}

static bool is_every_method(struct span value)
{
    return span_is(value, "*") || span_equal_nocase(value, SPAN("any")) ||
           span_equal_nocase(value, SPAN("all"));
}

/* One method, where `rest` says what else there is to write. */
static bool method_check(struct span value, const char *rest, struct error *error)
{
    char capitals[24];
    size_t i = 0;
    for (; i < value.length && i + 1 < sizeof capitals; i++)
        capitals[i] = (char)(value.at[i] >= 'a' && value.at[i] <= 'z' ? value.at[i] & ~0x20 : value.at[i]);
    capitals[i] = '\0';
    if (is_token(value) && i == value.length && !span_is(value, capitals))
        return error_set(error, "\"%s\" is not a method; methods are in capitals: %s", value.at, capitals);
    return (is_name_like(value) && strpbrk(value.at, "|*^~$") == NULL) ||
           error_set(error, "\"%s\" is not a method; write one such as GET%s", value.at, rest);
}

bool syntax_method(struct span value, struct error *error)
{
    if (is_every_method(value))
        return error_set(error, "\"%s\" is not a method; leave methods out for all of them", value.at);
    if (value.length != 0 && value.at[0] == '!')
        return error_set(error, NO_NOT, value.at);
    return method_check(value, ", and several as a list: [GET, POST]", error);
}

bool syntax_probe_method(struct span value, struct error *error)
{
    if (is_every_method(value))
        return error_set(error, "\"%s\" is not a method; a probe has one, such as GET", value.at);
    return method_check(value, "", error);
}

/* A protocol with or without its version (RFC 9110 7.8). A tunnel of HTTP/2 would pass by all rules. */
bool syntax_upgrade(struct span value, struct error *error)
{
    size_t slash = span_find(value, '/');
    struct span name = span_first(value, slash);
    if (!is_name_like(name) || (slash != value.length && !is_token(span_skip(value, slash + 1))))
        return error_set(error, "\"%s\" is not a protocol; write one such as websocket or \"SPDY/3.1\"",
                         value.at);
    if (span_equal_nocase(name, SPAN("h2c")) || span_equal_nocase(name, SPAN("h2")) ||
        span_equal_nocase(name, SPAN("HTTP")) || span_equal_nocase(name, SPAN("TLS")))
        return error_set(error,
                         "\"%s\" does not pass as an upgrade; listeners and pools speak HTTP/2 and TLS by "
                         "themselves (protocols, tls)",
                         value.at);
    return true;
}

/* Host(`a.example`) */
static bool rule_refuse(struct span value, struct error *error)
{
    struct span rest = span_skip(value, span_find(value, '`') + 1);
    struct span name = span_first(rest, span_find(rest, '`'));
    bool alone = name.length < rest.length && strchr(rest.at + name.length + 1, '`') == NULL;
    if (!alone || !is_host_name(name))
        return error_set(error, "\"%s\" is a rule; write the names alone, such as [a.example, b.example]",
                         value.at);
    return error_set(error, "\"%s\" is a rule; write the name alone: \"%.*s\"", value.at, (int)name.length,
                     name.at);
}

/* Words and signs of other products that would be read as hosts, and what is written for them. */
static bool host_foreign(struct span value, struct error *error)
{
    bool regex =
        strpbrk(value.at, "~\\^()") != NULL || (value.length > 1 && value.at[value.length - 1] == '$');
    static const char *const all[] = {"_", "_default_", "default_server", "*:*"};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (span_equal_nocase(value, span_of(all[i])))
            return error_set(error, "\"%s\" is no host; leave host out, and the route is for every host",
                             value.at);
    static const char *const switches[] = {"true", "false", "on",   "off", "none",
                                           "any",  "all",   "null", "auto"};
    for (size_t i = 0; i < COUNT_OF(switches); i++)
        if (span_equal_nocase(value, span_of(switches[i])))
            return error_set(error,
                             "\"%s\" is no host; write a name such as www.example.com, or leave the key out",
                             value.at);
    if (value.length != 0 && strspn(value.at, "0123456789") >= value.length)
        return error_set(error, "\"%s\" is a number and no host; write a name such as www.example.com",
                         value.at);
    if (value.length != 0 && value.at[0] == '!')
        return error_set(error, NO_NOT, value.at);
    if (strchr(value.at, '`') != NULL && !span_starts(value, SPAN("HostRegexp")))
        return rule_refuse(value, error);
    if (strpbrk(value.at, " ,|") != NULL && !regex)
        return error_set(error, "\"%s\" is not one host; write one alone, such as www.example.com", value.at);
    if (regex)
        return error_set(
            error, "\"%s\" is a regular expression, which hosts cannot be; write names, or *.example.com",
            value.at);
    return true;
}

/* What stands in the brackets of an IPv6 address; none: it has none. */
static struct span host_inside(struct span host)
{
    bool in_brackets = host.length > 2 && host.at[0] == '[' && host.at[host.length - 1] == ']';
    return in_brackets ? span_make(host.at + 1, host.length - 2) : SPAN_NONE;
}

bool syntax_host(struct span value, struct error *error)
{
    struct span inside = host_inside(value);
    if (!host_foreign(value, error))
        return false;
    if (is_host_name(value) || (inside.length != 0 && is_ip(AF_INET6, inside)))
        return true;
    const char *scheme = strstr(value.at, "://");
    size_t host = scheme != NULL ? strcspn(scheme + 3, "/:") : 0;
    if (scheme != NULL)
        return error_set(error, "\"%s\" is a URL; write the host alone: \"%.*s\"", value.at, (int)host,
                         scheme + 3);
    if (is_ip(AF_INET6, value))
        return error_set(error, "\"%s\" is written in brackets: \"[%s]\"", value.at, value.at);
    if (span_find(value, ':') < value.length)
        return error_set(error, "\"%s\" has a port; hosts are compared without, so write \"%.*s\"", value.at,
                         (int)span_find(value, ':'), value.at);
    if (span_find(value, '/') < value.length)
        return error_set(error, "\"%s\" has a path; write it under path:, and here the host alone", value.at);
    size_t front = span_starts(value, SPAN("*.")) ? 2 : span_starts(value, SPAN(".")) ? 1 : 0;
    if (front != 0 && is_host_name(span_skip(value, front)))
        return error_set(error, "\"%s\" is not one host, which is wanted here; write \"%s\"", value.at,
                         value.at + front);
    return error_set(error, "\"%s\" is not a host name; one has letters, digits, \"-\" and \".\"", value.at);
}

bool syntax_host_pattern(struct span value, struct error *error)
{
    if (!syntax_environment(value, error))
        return false;
    if (span_starts(value, SPAN("*.")) && is_host_name(span_skip(value, 2)))
        return true;
    if (span_is(value, "*"))
        return error_set(error, "\"*\" is not needed; a match without host holds for every host");
    if (strpbrk(value.at, " ,|") != NULL && strpbrk(value.at, "~\\^()$!") == NULL)
        return error_set(error, "\"%s\" is not one host; write several as a list: [a.example, b.example]",
                         value.at);
    if (span_find(value, '*') < value.length)
        return error_set(
            error, "\"%s\" is not a host pattern; a \"*\" stands only at the front, as in *.example.com",
            value.at);
    if (span_starts(value, SPAN(".")) && is_host_name(span_skip(value, 1)))
        return error_set(error,
                         "\"%s\" is not a host name; write \"*%s\" for all below, and \"%s\" for itself",
                         value.at, value.at, value.at + 1);
    return syntax_host(value, error);
}

bool syntax_certificate_name(struct span value, struct error *error)
{
    if (span_is(value, "*"))
        return error_set(
            error,
            "\"*\" is not a name; write default: true for the certificate of all that ask for no other");
    return syntax_host_pattern(value, error);
}

/* `sign` stands before it where a value may be something else. */
static bool regex_check(struct span value, const char *sign, struct error *error)
{
    struct span caseless = span_skip(value, strspn(value.at, "~* "));
    if (value.length == 0)
        return error_set(error,
                         "a regular expression without text matches everything; write what it is to find");
    if (value.at[0] == '*' || span_starts(value, SPAN("~*")))
        return caseless.length == 0
                   ? error_set(error, "\"%s%s\" lacks what it is to find; write one such as \"%s(?i)text\"",
                               sign, value.at, sign)
                   : error_set(error,
                               "\"%s%s\" cannot be a regular expression; for one whatever the case, which is "
                               "\"~*\" in nginx, write \"%s(?i)%s\"",
                               sign, value.at, sign, caseless.at);
    if (value.at[0] != '^' && caseless.length != 0 && caseless.at[0] == '^')
        return error_set(error,
                         "\"%s%s\" never matches, for nothing stands before the beginning; write \"%s%s\"",
                         sign, value.at, sign, caseless.at);
    return config_hooks.regex == NULL || config_hooks.regex(value.at, error);
}

static bool has_word(struct span text, const char *word)
{
    for (size_t i = 0; i < text.length; i++)
        if (span_starts(span_skip(text, i), span_of(word)))
            return true;
    return false;
}

const char *syntax_regex_word(struct span value)
{
    static const char *const words[] = {".*",   ".+",   "\\.", "\\d", "\\w", "\\/", "(?", "[0-9",
                                        "[a-z", "[A-Z", "[^",  "]+",  ")?",  "?$",  "[:"};
    if (value.length > 1 && (value.at[0] == '^' || span_starts(value, SPAN("/^"))))
        return "^";
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (has_word(value, words[i]))
            return words[i];
    if (has_word(value, "(") && has_word(value, "|"))
        return "|";
    return value.length > 1 && value.at[value.length - 1] == '$' && value.at[0] != '$' ? "$" : NULL;
}

/* Adds what the text begins with, and says how much that was. */
static size_t sign_print(struct text *regex, struct span rest, const char *star, bool begins_segment)
{
    size_t stars = strspn(rest.at, "*");
    char sign = rest.at[0];
    if (stars > rest.length)
        stars = rest.length;
    if (stars > 1 && begins_segment && stars < rest.length && rest.at[stars] == '/') {
        text_print(regex, "(.*/)?");
        return stars + 1;
    }
    if (stars != 0)
        text_print(regex, "%s", stars > 1 ? ".*" : star);
    else if (strchr("\\^", sign) != NULL) /* between brackets they are something else */
        text_print(regex, "\\%c", sign);
    else
        text_print(regex, strchr(".$|()?+[{", sign) != NULL ? "[%c]" : "%c", sign);
    return stars != 0 ? stars : 1;
}

void syntax_stars(struct text *regex, struct span value, const char *star)
{
    for (size_t i = 0; i < value.length;)
        i += sign_print(regex, span_skip(value, i), star, i != 0 && value.at[i - 1] == '/');
}

/* "*.php": `end` is behind the stars. */
static bool end_refuse(struct span value, struct span end, struct error *error)
{
    struct text regex = text_growing();
    syntax_stars(&regex, end, "[^/]*");
    error_set(error, "\"%s\" is no pattern here; for all paths with that end write \"~%.*s$\"", value.at,
              (int)regex.length, regex.at);
    text_free(&regex);
    return false;
}

/* The modifiers of nginx's locations, and Traefik's rules. */
static bool path_foreign(struct span value, struct error *error)
{
    static const struct {
        const char *modifier, *before, *after, *meaning;
    } locations[] = {{"~*", "~(?i)", "", "a regular expression whatever the case"},
                     {"^~", "", "/", "a path and all below it"},
                     {"=", "", "", "exactly this path"},
                     {"~", "~", "", "a regular expression"}};
    for (size_t i = 0; i < COUNT_OF(locations); i++) {
        struct span modifier = span_of(locations[i].modifier);
        struct span rest =
            span_trim(span_starts(value, modifier) ? span_skip(value, modifier.length) : SPAN_NONE);
        if (span_is(span_trim(value), locations[i].modifier))
            return error_set(error,
                             "\"%s\" is nginx's, and lacks the path behind it; write one such as \"/api/\"",
                             value.at);
        while (rest.length != 0 && locations[i].before[0] == '~' && strchr("~* ", rest.at[0]) != NULL)
            rest = span_skip(rest, 1);
        if (rest.length != 0 && rest.at[rest.length - 1] == '/' && locations[i].after[0] == '/')
            rest.length--;
        if (rest.length != 0)
            return error_set(error, "\"%s\" is nginx's; %s is written \"%s%.*s%s\"", value.at,
                             locations[i].meaning, locations[i].before, (int)rest.length, rest.at,
                             locations[i].after);
    }
    const char *behind = value.at + strspn(value.at, "*");
    if ((value.length != 0 && behind[0] == '\0') || span_is(value, ".*"))
        return error_set(error, "\"%s\" is not needed; a match without path holds for every path", value.at);
    if (value.at[0] == '!')
        return error_set(error, NO_NOT, value.at);
    if (value.at[0] == '^' || (value.at[0] == '*' && strpbrk(behind, "^$()[]|\\") != NULL))
        return error_set(error, "\"%s\" is a regular expression; one begins with \"~\": \"~%s%s\"", value.at,
                         behind[0] == '.' ? "[.]" : "", behind + (behind[0] == '.'));
    if (value.at[0] == '*')
        return end_refuse(value, span_of(behind), error);
    if (strchr(value.at, '`') != NULL || strchr(value.at, '(') != NULL)
        return error_set(error, "\"%s\" is a rule; write the path alone, such as /x/ for it and all below",
                         value.at);
    if (strstr(value.at, "://") != NULL)
        return error_set(error, "\"%s\" is a URL; write its path here and its host under host:", value.at);
    return error_set(error,
                     "\"%s\" does not begin with \"/\" (or \"~\" for a regular expression); write \"/%s\"",
                     value.at, value.at);
}

/* What stands before the stars at the end: "/api/" has all below itself. Two stars are no segment, too. */
static struct span before_stars(struct span value)
{
    size_t length = value.length;
    while (value.at[length - 1] == '*')
        length--;
    if (value.at[length - 1] == '.' && length > 1 && value.at[length - 2] == '/')
        length--;
    while (length > 3 && memcmp(value.at + length - 4, "/**/", 4) == 0)
        length -= 3;
    return span_make(value.at, length);
}

/* What reads as a regular expression is one already; its beginning is told besides. */
static void before_print(struct text *regex, struct span before)
{
    size_t beginning = span_starts(before, SPAN("/^/")) ? 3 : span_starts(before, SPAN("/^")) ? 2 : 1;
    if (syntax_regex_word(before) == NULL)
        syntax_stars(regex, before, "[^/]*");
    else {
        text_char(regex, '/');
        text_add(regex, span_skip(before, beginning));
    }
}

/* Those behind the beginning of a word, or with stars before them, are regular expressions. */
static bool star_refuse(struct span value, struct error *error)
{
    struct span before = before_stars(value);
    bool plain = syntax_regex_word(before) == NULL && span_find(before, '*') == before.length;
    if (plain && before.at[before.length - 1] == '/')
        return error_set(
            error,
            "\"%s\" ends in \"*\", which is no pattern here; write \"%.*s\", which holds for it and all below",
            value.at, (int)before.length, before.at);
    struct text regex = text_growing();
    before_print(&regex, before);
    error_set(error, "\"%s\" ends in \"*\", which is no pattern here; write \"~^%.*s\", a regular expression",
              value.at, (int)regex.length, regex.at);
    text_free(&regex);
    return false;
}

bool syntax_path_pattern(struct span value, struct error *error)
{
    if (span_starts(value, SPAN("~ ")) || span_starts(value, SPAN("~*")))
        return path_foreign(value, error);
    if (value.length != 0 && value.at[0] == '~')
        return regex_check(span_skip(value, 1), "~", error);
    if (value.length == 0 || value.at[0] != '/')
        return path_foreign(value, error);
    if (strchr(value.at, ' ') != NULL)
        return error_set(
            error,
            "\"%s\" has a blank, which no path of a request has; write one pattern for each item of a list",
            value.at);
    if (strpbrk(value.at, "{}") != NULL)
        return error_set(
            error,
            "\"%s\" has a \"{\", which no path of a request has; write \"~^/...[^/]+...$\" for any segment",
            value.at);
    if (value.at[value.length - 1] == '*')
        return star_refuse(value, error);
    if (strchr(value.at, '\\') != NULL)
        return error_set(
            error,
            "\"%s\" has a \"\\\", which no path of a request has; a regular expression begins with \"~\": \"~^%s\"",
            value.at, value.at);
    size_t fragment = span_find(value, '#');
    if (fragment < span_find(value, '?'))
        return error_set(error,
                         "\"%s\" has a \"#\"; what stands behind it stays with the client, so write \"%.*s\"",
                         value.at, (int)fragment, value.at);
    if (strchr(value.at, '?') != NULL)
        return error_set(error, "\"%s\" has a query; paths are compared without, use query:", value.at);
    return config_hooks.path == NULL || config_hooks.path(value.at, error);
}

bool syntax_value_pattern(struct span value, struct error *error)
{
    return value.length == 0 || value.at[0] != '~' || regex_check(span_skip(value, 1), "~", error);
}

/* HTTP takes the blanks at the ends of a value away. */
bool syntax_field_pattern(struct span value, struct error *error)
{
    bool trimmed = span_trim(value).length == value.length || (value.length != 0 && value.at[0] == '~');
    return (trimmed && syntax_value_pattern(value, error)) ||
           (!trimmed &&
            error_set(
                error,
                "\"%s\" has a blank at its end or front, which no value that comes has; write it without",
                value.at));
}

/* One that finds nothing everywhere is none. */
bool syntax_search(struct span value, struct error *error)
{
    return value.length != 0
               ? regex_check(value, "", error)
               : error_set(error, "regex cannot be empty; write what is searched for, such as \"^/old/\"");
}

bool syntax_path(struct span value, struct error *error)
{
    if (!syntax_environment(value, error))
        return false;
    if (value.length == 0 || value.at[0] != '/')
        return error_set(error, "\"%s\" does not begin with \"/\"", value.at);
    for (size_t i = 0; i < value.length; i++)
        if (value.at[i] <= ' ' || value.at[i] == '#' || value.at[i] == 0x7f)
            return error_set(
                error, "\"%s\" has a character that a path cannot have; write its bytes as %%20 is written",
                value.at);
    return true;
}

/* The part of a key that a variable of another product stands for; NULL: none is known. */
static const char *key_part_meant(struct span value)
{
    static const struct {
        const char *variable, *part;
    } parts[] = {{"${client.ip}", "client.ip"},
                 {"${peer.ip}", "client.ip"},
                 {"${request.host}", "host"},
                 {"${request.path}", "path"},
                 {"${request.uri}", "path"},
                 {"${request.method}", "method"},
                 {"${request.header.*}", "header:NAME"},
                 {NULL, NULL}};
    size_t used;
    struct span name;
    const struct foreign_variable *foreign = foreign_variable_find(value, FOREIGN_PERHAPS, &used, &name);
    if (foreign == NULL)
        return NULL;
    if (strncmp(foreign->theirs, "$cookie_", 8) == 0)
        return "cookie:NAME";
    if (strncmp(foreign->theirs, "$arg_", 5) == 0)
        return "query:NAME";
    for (size_t i = 0; foreign->ours != NULL && parts[i].variable != NULL; i++)
        if (strcmp(parts[i].variable, foreign->ours) == 0)
            return parts[i].part;
    return NULL;
}

bool syntax_key_part(struct span value, struct error *error)
{
    static const char *const plain[] = {"client.ip", "host", "path", "method"};
    static const char *const named[] = {"header:", "cookie:", "query:"};
    for (size_t i = 0; i < COUNT_OF(plain); i++)
        if (span_is(value, plain[i]))
            return true;
    for (size_t i = 0; i < COUNT_OF(named); i++) {
        struct span prefix = span_of(named[i]);
        if (span_starts(value, prefix) && strpbrk(value.at, "*|^~") != NULL)
            return error_set(error, "\"%s\" is not a key; a name is whole, and several are written as a list",
                             value.at);
        if (i == 0 && span_starts(value, prefix) && value.length != prefix.length)
            return field_name_check(span_skip(value, prefix.length), FIELD_USE_KEY, error);
        if (span_starts(value, prefix))
            return is_token(span_skip(value, prefix.length)) ||
                   error_set(error, "\"%s\" lacks a name after the colon", value.at);
    }
    const char *meant = key_part_meant(value);
    if (meant != NULL)
        return error_set(error, "\"%s\" is not a key; did you mean \"%s\"?", value.at, meant);
    return error_set(
        error,
        "\"%s\" is not a key; write client.ip, host, path, method, header:NAME, cookie:NAME or query:NAME",
        value.at);
}

static bool is_status(struct span value)
{
    return value.length == 3 && value.at[0] >= '1' && value.at[0] <= '5' && is_digit(value.at[1]) &&
           is_digit(value.at[2]);
}

bool syntax_grpc_service(struct span value, struct error *error)
{
    if (value.length > 256)
        return error_set(error, "a name of a service has at most 256 bytes");
    for (size_t i = 0; i < value.length; i++)
        if (value.at[i] <= ' ' || value.at[i] > '~')
            return error_set(
                error,
                "\"%s\" has a character that the name of a service cannot have; write one such as package.Service",
                value.at);
    return true;
}

bool syntax_expected_status(struct span value, struct error *error)
{
    bool is_class = value.length == 3 && value.at[0] >= '1' && value.at[0] <= '5' && value.at[1] == 'x' &&
                    value.at[2] == 'x';
    bool is_range = value.length == 7 && value.at[3] == '-' && is_status(span_first(value, 3)) &&
                    is_status(span_skip(value, 4)) && memcmp(value.at, value.at + 4, 3) <= 0;
    if (is_status(value) || is_class || is_range)
        return true;
    return error_set(
        error,
        "\"%s\" is not a status; write one such as 200, a class such as 2xx, or a range such as 200-399",
        value.at);
}

bool syntax_retry_class(struct span value, struct error *error)
{
    if (span_is(value, "never_sent") || span_is(value, "sent_no_reply"))
        return true;
    if (is_status(value) && value.at[0] == '5')
        return true;
    if (is_status(value))
        return error_set(
            error, "\"%s\" is never tried again; only never_sent, sent_no_reply and statuses from 500 are",
            value.at);
    return error_set(
        error,
        "\"%s\" is not a class of failures; write never_sent, sent_no_reply or a status such as \"503\"",
        value.at);
}

/* nginx's zone is a piece of memory with a size. */
bool syntax_zone(struct span value, struct error *error)
{
    return (value.length != 0 && strpbrk(value.at, " \t:=") == NULL) ||
           error_set(
               error,
               "\"%s\" is not a zone, which is one word for where servers stand; memory need not be set aside",
               value.at);
}

/* Of a listener, route, server or weir, in logs and on command lines. */
bool syntax_name(struct span value, struct error *error)
{
    if (value.length == 0)
        return error_set(error, "a name cannot be empty; write one or remove the key");
    if (span_trim(value).length != value.length)
        return error_set(error, "\"%s\" has a blank at its end or front; write the name without", value.at);
    return value.length <= 256 ||
           error_set(error, "\"%.40s...\" is no name; one has at most 256 bytes", value.at);
}

/* RFC 9110 8.3.1 */
bool syntax_media_type(struct span value, struct error *error)
{
    size_t slash = span_find(value, '/'), end = span_find(value, ';');
    struct span kind = span_first(value, slash);
    struct span rest = slash < end ? span_trim(span_make(value.at + slash + 1, end - slash - 1)) : SPAN_NONE;
    return (is_token(kind) && is_token(rest)) ||
           error_set(error, "\"%s\" is not a type; write one such as text/html; charset=utf-8", value.at);
}

bool syntax_expected_body(struct span value, struct error *error)
{
    if (value.length == 0)
        return error_set(error,
                         "every answer has an empty text; write what must stand in it, or remove the key");
    return value.length <= 65536 ||
           error_set(error,
                     "the first 64 KiB of an answer are looked at, and this has %zu bytes; "
                     "write less",
                     value.length);
}

bool syntax_user(struct span value, struct error *error)
{
    size_t colon = span_find(value, ':');
    bool good = colon != 0 && colon + 1 != value.length &&
                strspn(value.at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@\\$-:") >=
                    value.length &&
                value.length <= 256;
    return good || error_set(error, "\"%.80s\" is not a user; write a name, or name:group", value.at);
}

bool syntax_probe_host(struct span value, struct error *error)
{
    struct span port = authority_port(value);
    struct span host = port.at != NULL ? span_first(value, value.length - port.length - 1) : value;
    if (port.at == NULL || strstr(value.at, "://") != NULL || (value.at[0] != '[' && is_ip(AF_INET6, value)))
        return syntax_host(value, error);
    return syntax_port(port, error) &&
           (is_host_name(host) || is_ip(AF_INET6, host_inside(host)) || syntax_host(value, error));
}

bool syntax_mode(struct span value, struct error *error)
{
    bool good = value.length >= 3 && value.length <= 4 && strspn(value.at, "01234567") == value.length;
    return good ||
           error_set(error, "\"%s\" is not a mode; write permissions in octal, such as \"0660\"", value.at);
}

/* Words of formats, levels and other places that would make a file of that name. */
static bool is_word_for_no_file(struct span value)
{
    static const char *const words[] = {"true",   "false",    "yes",  "no",     "on",   "json",    "logfmt",
                                        "common", "combined", "text", "debug",  "info", "warn",    "warning",
                                        "error",  "notice",   "crit", "stdlog", "null", "console", "file"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (span_equal_nocase(value, span_of(words[i])))
            return true;
    return false;
}

static bool is_syslog(struct span value)
{
    static const char *const words[] = {"syslog", "rsyslog", "journald", "journal", "/dev/log", "unixgram"};
    struct span first = span_first(value, strcspn(value.at, " :+,@"));
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (span_equal_nocase(first, span_of(words[i])))
            return true;
    return false;
}

/* "10.0.0.7:514", "[::1]:514", "@logs:514", "udp://logs:514" */
static bool is_network_place(struct span value)
{
    struct span place = span_first(value, span_find(value, ' '));
    struct span port = place.length != 0 && place.at[0] != '/' ? authority_port(place) : SPAN_NONE;
    uint64_t number;
    return strstr(value.at, "://") != NULL || (port.at != NULL && text_to_number(port, 65535, &number));
}

bool syntax_log_target(struct span value, struct error *error)
{
    if (is_syslog(value))
        return error_set(
            error,
            "\"%s\" is no target; write unix:/dev/log for syslog, or stderr, which the service manager writes to its log",
            value.at);
    if (!span_starts(value, SPAN("unix:")) && is_network_place(value))
        return error_set(
            error,
            "\"%s\" would be a file of that name, as nothing is sent to addresses; write unix:/dev/log, and have the "
            "syslog of this machine send it on",
            value.at);
    if (span_starts(value, SPAN("level:")))
        return error_set(
            error,
            "\"%s\" would be a file of that name; write log: { level: %s } for a level, and to: ./%s for such a file",
            value.at, value.at + strlen("level:"), value.at);
    if (is_word_for_no_file(value))
        return error_set(
            error,
            "\"%s\" would be a file of that name; write to: ./%s for it, level: or format: for what it means elsewhere, "
            "and to: stdout, stderr, a file or unix:/path for where",
            value.at, value.at);
    size_t blank = span_find(value, ' ');
    if (blank < value.length && is_word_for_no_file(span_trim(span_skip(value, blank))))
        return error_set(
            error,
            "\"%s\" would be a file of that name; write { to: %.*s, ... } with format: or level: beside it",
            value.at, (int)blank, value.at);
    if (!syntax_environment(value, error))
        return false;
    if (span_starts(value, SPAN("unix:")))
        return unix_path(value, error);
    if (span_equal_nocase(value, SPAN("off")) || span_equal_nocase(value, SPAN("none")))
        return error_set(
            error,
            "\"%s\" would be a file of that name; write ./%s for it, or access_log: false for no log of requests",
            value.at, value.at);
    return true;
}
