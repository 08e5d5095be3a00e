/*
 * Values that are taken as they stand and were probably meant otherwise: patterns where a text is compared,
 * networks with the bits of a host, methods that nobody has. Each says why as a warning does; what cannot
 * work at all is an error of config_syntax.c.
 */
#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"
#include "config/config_schema.h"
#include "config/method_names.h"

/* /.../ or /.../i, as JavaScript and Perl write them; none: it is not written so. */
static struct span slashed_inside(struct span value)
{
    size_t length = value.length;
    length -= length != 0 && value.at[length - 1] == 'i';
    bool slashed = length > 3 && value.at[0] == '/' && value.at[length - 1] == '/';
    return slashed && (length < value.length || value.at[1] == '^') ? span_make(value.at + 1, length - 2)
                                                                    : SPAN_NONE;
}

/* The same as a regular expression: from the beginning, unless it says so itself. */
static bool regex_doubt(struct span value, const char *word, struct error *error)
{
    bool anchored = value.at[0] == '^', inside = span_starts(value, SPAN("/^"));
    struct span slashed = slashed_inside(value);
    if (slashed.length != 0)
        return error_set(
            error,
            "\"%s\" is compared as it stands, with \"%s\" in it; a regular expression begins with "
            "\"~\", and has no slashes around it: \"~%s%.*s\"",
            value.at, word, value.at[value.length - 1] == 'i' ? "(?i)" : "", (int)slashed.length, slashed.at);
    const char *rest = value.at + (inside ? value.at[2] == '/' ? 3 : 2 : 0);
    return error_set(
        error,
        "\"%s\" is compared as it stands, with \"%s\" in it; a regular expression begins with \"~\": \"~%s%s\"",
        value.at, word,
        anchored ? ""
        : inside ? "^/"
                 : "^",
        rest);
}

/* A star within is any segment to shells and other proxies. */
static bool star_within_doubt(struct span value, struct error *error)
{
    struct text regex = text_growing();
    syntax_stars(&regex, value, "[^/]*");
    error_set(error, "\"%s\" is compared as it stands, with \"*\" in it; a pattern is written \"~^%.*s%s\"",
              value.at, (int)regex.length, regex.at, value.at[value.length - 1] == '/' ? "" : "$");
    text_free(&regex);
    return false;
}

bool doubt_path_pattern(struct span value, struct error *error)
{
    if (value.length == 0 || value.at[0] == '~')
        return true;
    const char *word = syntax_regex_word(value);
    if (word != NULL)
        return regex_doubt(value, word, error);
    return span_find(value, '*') == value.length || star_within_doubt(value, error);
}

bool doubt_probe_path(struct span value, struct error *error)
{
    const char *word = syntax_regex_word(value);
    return word == NULL ||
           error_set(error, "\"%s\" is asked for as it stands, with \"%s\" in it; a probe goes to one path",
                     value.at, word);
}

/* A star at one end, as shells and other proxies take it; that of a media type is its own. */
static bool is_glob(struct span value)
{
    bool first = value.length > 1 && value.at[0] == '*',
         last = value.length > 1 && value.at[value.length - 1] == '*';
    return (first || last) && strchr(value.at, '/') == NULL;
}

static bool glob_doubt(struct span value, struct error *error)
{
    struct span part = span_skip(value, strspn(value.at, "*"));
    while (part.length != 0 && part.at[part.length - 1] == '*')
        part.length--;
    struct text regex = text_growing();
    syntax_stars(&regex, part, ".*");
    error_set(
        error,
        "\"%s\" is compared as it stands, with \"*\" in it; * alone is any value, and a part of one is written "
        "\"~%s%.*s%s\"",
        value.at, value.at[0] == '*' ? "" : "^", (int)regex.length, regex.at,
        value.at[value.length - 1] == '*' ? "" : "$");
    text_free(&regex);
    return false;
}

bool doubt_value_pattern(struct span value, struct error *error)
{
    const char *word = value.length == 0 || value.at[0] == '~' ? NULL : syntax_regex_word(value);
    if (word != NULL)
        return regex_doubt(value, word, error);
    if (is_glob(value))
        return glob_doubt(value, error);
    return value.length < 2 || value.at[0] != '!' ||
           error_set(
               error,
               "\"%s\" is compared as it stands; no \"!\" turns a condition round, a route above that takes \"%s\" does",
               value.at, value.at + 1);
}

bool doubt_query_name(struct span name, struct error *error)
{
    return strpbrk(name.at, "*^") == NULL ||
           error_set(error, "\"%s\" is a name as it stands; names of parameters are whole, so write each",
                     name.at);
}

/* What is sent as it stands: a star at the end was to bring what came along. */
static bool star_doubt(struct span value, const char *instead, struct error *error)
{
    return value.length == 0 || value.at[value.length - 1] != '*' ||
           error_set(error, "\"%s\" is sent with its \"*\"; %s", value.at, instead);
}

/* What a path begins with is the request's to say: of its own path alone it is a slash. */
static bool beginning_doubt(struct span value, struct error *error)
{
    bool filled = span_starts(value, SPAN("${")) && !span_starts(value, SPAN("${request.path}")) &&
                  !span_starts(value, SPAN("${request.uri}")) && !span_starts(value, SPAN("${env."));
    return !filled ||
           error_set(
               error,
               "what \"%s\" makes need not begin with \"/\", and the request is answered 500 then; write "
               "\"/%s\"",
               value.at, value.at);
}

bool doubt_new_path(struct span value, struct error *error)
{
    return star_doubt(value, "${request.path} is the path that came, and regex with replacement a part of it",
                      error) &&
           beginning_doubt(value, error);
}

bool doubt_location(struct span value, struct error *error)
{
    return star_doubt(value, "${request.uri} is the path that came, with its query", error);
}

bool doubt_redirect_path(struct span value, struct error *error)
{
    return doubt_location(value, error) && beginning_doubt(value, error);
}

bool doubt_prefix(struct span value, struct error *error)
{
    const char *word = syntax_regex_word(value);
    size_t length = span_find(value, '*'), end = length + strspn(value.at + length, "*");
    if (word == NULL && end < value.length)
        word = "*"; /* within */
    length -= end > length && length > 1 && value.at[length - 1] == '/';
    if (word == NULL && length < value.length)
        return error_set(error, "\"%s\" is taken as it stands, with its \"*\"; write \"%.*s\"", value.at,
                         (int)length, value.at);
    return word == NULL ||
           error_set(
               error,
               "\"%s\" is taken as it stands, with \"%s\" in it; a pattern is written regex: and replacement:",
               value.at, word);
}

/* A method that is nearly one of those that have a name, but not it. */
bool doubt_method(struct span value, struct error *error)
{
    const struct method_name *near = NULL;
    for (const struct method_name *known = method_names; known->name != NULL; known++) {
        if (span_is(value, known->name))
            return true;
        if (near == NULL && value.length > 2 && text_distance(value, span_of(known->name), 1) <= 1)
            near = known;
    }
    return near == NULL ||
           error_set(error, "\"%s\" is a method that hardly anybody has; did you mean \"%s\"?", value.at,
                     near->name);
}

/* Names of IANA's registry of upgrade tokens, and what is used beside it. Others pass: an application may
 * have one of its own. */
bool doubt_upgrade(struct span value, struct error *error)
{
    static const char *const known[] = {
        "websocket", "tcp", "SPDY", "connect-udp", "connect-ip", "derp", "tailscale-control-protocol",
        "none"};
    static const char *const words[] = {"ws",        "wss",    "socket",     "sockets",
                                        "socket.io", "sockjs", "web-socket", "web_socket"};
    struct span name = span_first(value, span_find(value, '/'));
    const char *meant = NULL;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (span_equal_nocase(name, span_of(known[i])))
            return true;
        if (name.length > 3 && text_distance(name, span_of(known[i]), 2) <= 2)
            meant = known[i];
    }
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (span_equal_nocase(name, span_of(words[i])))
            meant = "websocket";
    if (meant != NULL)
        return error_set(error, "\"%s\" is no protocol that is known; did you mean \"%s\"?", value.at, meant);
    return error_set(error, "\"%s\" is no protocol that is known; WebSockets ask for \"websocket\"",
                     value.at);
}

static const unsigned char mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_ipv4(const unsigned char bytes[16])
{
    return memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

bool ip_read(struct span text, unsigned char bytes[16])
{
    char copy[INET6_ADDRSTRLEN];
    if (text.length >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.length);
    copy[text.length] = '\0';
    if (inet_pton(AF_INET6, copy, bytes) == 1)
        return true;
    memcpy(bytes, mapped_prefix, sizeof mapped_prefix);
    return inet_pton(AF_INET, copy, bytes + sizeof mapped_prefix) == 1;
}

struct network {
    unsigned char bytes[16]; /* the others are zero */
    uint64_t bits;           /* on the v4-mapped form */
    bool has_others;         /* bits of a host were set */
};

static bool network_read(struct span value, struct network *network)
{
    unsigned char address[16];
    size_t slash = span_find(value, '/');
    bool dotted = memchr(value.at, ':', slash) == NULL;
    uint64_t least = dotted ? 96 : 0, given = 128 - least;
    if (!ip_read(span_first(value, slash), address) ||
        (slash != value.length && !text_to_number(span_skip(value, slash + 1), given, &given)))
        return false;
    network->bits = least + given;
    for (size_t i = 0; i < sizeof address; i++) {
        uint64_t kept = network->bits > i * 8 ? network->bits - i * 8 : 0;
        network->bytes[i] = (unsigned char)(address[i] & (kept >= 8 ? 0xffu : 0xff00u >> kept));
    }
    network->has_others = memcmp(address, network->bytes, sizeof address) != 0;
    return true;
}

bool network_has(const char *outer, const char *inner)
{
    struct network all, part;
    if (strcmp(outer, inner) == 0)
        return true;
    if (!network_read(span_of(outer), &all) || !network_read(span_of(inner), &part) ||
        is_ipv4(all.bytes) != is_ipv4(part.bytes) || all.bits > part.bits)
        return false;
    for (uint64_t i = 0; i < all.bits; i++)
        if (((all.bytes[i / 8] ^ part.bytes[i / 8]) >> (7 - i % 8) & 1) != 0)
            return false;
    return true;
}

bool doubt_network(struct span value, struct error *error)
{
    struct network network;
    char text[INET6_ADDRSTRLEN];
    size_t slash = span_find(value, '/');
    if (!network_read(value, &network) || !network.has_others)
        return true;
    bool dotted = memchr(value.at, ':', slash) == NULL;
    inet_ntop(dotted ? AF_INET : AF_INET6, network.bytes + (dotted ? 12 : 0), text, sizeof text);
    return error_set(error, "\"%s\" means all of %s%s; write that, or \"%.*s\" for the one address", value.at,
                     text, value.at + slash, (int)slash, value.at);
}

/* A network of all addresses, or of half of them. */
bool doubt_proxy_network(struct span value, struct error *error)
{
    struct network network;
    if (network_read(value, &network) && network.bits <= (is_ipv4(network.bytes) ? 97 : 1))
        return error_set(
            error,
            "\"%s\" lets every client say its own address, past limits and access; write the ranges of your proxies",
            value.at);
    return doubt_network(value, error);
}
