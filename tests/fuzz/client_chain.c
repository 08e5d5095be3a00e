/*
 * Fuzzes what trusted proxies tell (proxy/client_chain.h, forwarded.h): X-Forwarded-*, Forwarded, X-Real-IP.
 * The first byte chooses the peer, the rest is the fields of a request. What holds: a stranger is not
 * believed; a client that is not the peer is an address of the input; of X-Forwarded-For it is the one that a
 * plain reading from the right finds, of a well-formed Forwarded that of one from the left; and who is told
 * the whole by weir, in either language, and trusts weir, sees the same client.
 */
#include "proxy/client_chain.h"

#include "base/arena.h"
#include "base/attributes.h"
#include "config/config.h"
#include "fuzz.h"
#include "http/exchange.h"
#include "http/h1_parse.h"
#include "http/stream.h"
#include "http/target.h"
#include "net/address.h"
#include "proxy/forwarded.h"
#include "proxy/snapshot.h"

#define ARENA ((size_t)1 << 20)
#define TELL_ALL                                                                                    \
    (FORWARDING_FOR | FORWARDING_PROTO | FORWARDING_HOST | FORWARDING_PORT | FORWARDING_FORWARDED | \
     FORWARDING_VIA | FORWARDING_REAL_IP)

static const struct limits_config limits = {.request_head = 32768,
                                            .header_list = 32768,
                                            .request_line = 1024,
                                            .fields = 100,
                                            .response_head = 4096,
                                            .streams = 20};
static const char *const peers[] = {"10.0.0.1", "192.0.2.1", "2001:db8:a::1", "unix"};
static struct network networks[2];
static const struct snapshot snapshot = {.trusted = {.count = 2, .items = networks}};

static void begin(void)
{
    struct error error;
    if (networks[0].family == 0)
        HOLDS(network_parse(&networks[0], "10.0.0.0/8", &error) &&
              network_parse(&networks[1], "2001:db8:a::/48", &error));
}

static struct ip_address peer_of(const char *name)
{
    struct ip_address peer = {.family = AF_UNIX};
    HOLDS(strcmp(name, "unix") == 0 || ip_address_parse(&peer, span_of(name)));
    return peer;
}

/* The same request whoever reads it: into an arena of its own. False: it is none. */
static bool receive(struct exchange *x, const char *peer, struct span fields)
{
    struct head_check check;
    struct h1_scan scan = {.at = 0};
    size_t length = 0;
    *x = (struct exchange){.arena = arena_new(ARENA), .peer = peer_of(peer)};
    HOLDS(x->arena != NULL);
    struct span bytes = arena_print(x->arena, "GET /a HTTP/1.1\r\nHost: shop.test\r\n%.*s\r\n\r\n",
                                    (int)fields.length, fields.at);
    return h1_scan(&scan, bytes, &length) == H1_DONE && length == bytes.length &&
           h1_parse_request(bytes, &limits, x->arena, &x->request, &check) == FAILURE_NONE;
}

/* ---- an address of the input ---- */

static bool is_of_address(char c)
{
    return c == '.' || c == ':' || (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

static bool text_is_address(struct span text, const struct ip_address *ip)
{
    struct ip_address read;
    return ip_address_parse(&read, text) && ip_address_equal(&read, ip);
}

/* Backslashes aside, which quoted strings may have anywhere; a port may be a name, or follow. Before it may
 * stand a field's name and its colon. */
static bool input_has_address(struct span input, const struct ip_address *ip)
{
    char *text = fuzz_exact(input);
    size_t length = 0;
    bool found = false;
    for (size_t i = 0; i < input.length; i++)
        if (input.at[i] != '\\')
            text[length++] = input.at[i];
    for (size_t at = 0; at < length && !found; at++) {
        size_t end = at;
        while (end < length && end - at < 64 && is_of_address(text[end]))
            end++;
        struct span word = span_make(text + at, end - at);
        found = text_is_address(word, ip);
        if (!found && word.length > 1 && word.at[word.length - 1] == ':')
            found = text_is_address(span_first(word, word.length - 1), ip);
    }
    free(text);
    return found;
}

/* ---- a plain reading of X-Forwarded-For ---- */

/* All lines as one list; the last element, which goes. */
static bool last_element(struct span *list, struct span *element)
{
    do {
        size_t at = list->length;
        while (at > 0 && list->at[at - 1] != ',')
            at--;
        *element = span_trim(span_skip(*list, at));
        *list = span_first(*list, at > 0 ? at - 1 : 0);
    } while (element->length == 0 && list->length != 0);
    return element->length != 0;
}

static struct ip_address client_read_plainly(const struct fields *fields, struct arena *arena,
                                             struct ip_address peer)
{
    struct ip_address client = peer, ip;
    struct span list = SPAN(""), element;
    for (uint16_t i = 0; i < fields->count; i++)
        if (fields->items[i].id == FIELD_X_FORWARDED_FOR)
            list = arena_print(arena, "%.*s,%.*s", (int)list.length, list.at,
                               (int)fields->items[i].value.length, fields->items[i].value.at);
    for (unsigned i = 0; i < CHAIN_MOST && last_element(&list, &element); i++) {
        if (!ip_address_parse(&ip, element))
            break;
        client = ip;
        if (!networks_contain(&snapshot.trusted, &ip))
            break;
    }
    return client;
}

/* ---- a plain reading of Forwarded, from the left ---- */

#define NODES_MOST CHAIN_MOST

/* What follows RFC 7239 4 to the letter; of all else nothing is said here. */
struct plain_list {
    struct span nodes[NODES_MOST]; /* of each element; empty: it names none */
    unsigned count;
    struct span rest; /* of the line that is read */
    struct arena *arena;
};

static bool next_is(struct plain_list *list, char c)
{
    list->rest = span_trim(list->rest);
    if (list->rest.length == 0 || list->rest.at[0] != c)
        return false;
    list->rest = span_skip(list->rest, 1);
    return true;
}

static struct span name_read(struct plain_list *list)
{
    size_t length = 0;
    while (length < list->rest.length &&
           (ascii_lower(list->rest.at[length]) >= 'a' && ascii_lower(list->rest.at[length]) <= 'z'))
        length++;
    struct span name = span_first(list->rest, length);
    list->rest = span_skip(list->rest, length);
    return name;
}

static bool string_read(struct plain_list *list, struct span *value)
{
    char *text = arena_get_bytes(list->arena, list->rest.length + 1);
    size_t length = 0, at = 1;
    HOLDS(text != NULL);
    for (; at < list->rest.length && list->rest.at[at] != '"'; at++) {
        at += list->rest.at[at] == '\\';
        if (at < list->rest.length)
            text[length++] = list->rest.at[at];
    }
    if (at >= list->rest.length)
        return false;
    *value = span_make(text, length);
    list->rest = span_skip(list->rest, at + 1);
    return true;
}

static bool value_read(struct plain_list *list, struct span *value)
{
    size_t length = 0;
    if (list->rest.length != 0 && list->rest.at[0] == '"')
        return string_read(list, value);
    while (length < list->rest.length && strchr("\"\\ \t,;", list->rest.at[length]) == NULL)
        length++;
    *value = span_first(list->rest, length);
    list->rest = span_skip(list->rest, length);
    return length != 0;
}

/* Up to its comma or the end of the line. */
static bool element_read(struct plain_list *list)
{
    struct span node = SPAN(""), value, name;
    unsigned seen = 0, pairs = 0;
    do {
        list->rest = span_trim(list->rest);
        name = name_read(list);
        if (name.length == 0)
            break;
        if (list->rest.length == 0 || list->rest.at[0] != '=')
            return false;
        list->rest = span_skip(list->rest, 1);
        if (!value_read(list, &value))
            return false;
        unsigned known = span_equal_nocase(name, SPAN("for"))     ? 1
                         : span_equal_nocase(name, SPAN("by"))    ? 2
                         : span_equal_nocase(name, SPAN("host"))  ? 4
                         : span_equal_nocase(name, SPAN("proto")) ? 8
                                                                  : 0;
        if ((seen & known) != 0)
            return false;
        seen |= known;
        node = known == 1 ? value : node;
        pairs++;
    } while (next_is(list, ';'));
    if (pairs != 0 && list->count < NODES_MOST)
        list->nodes[list->count++] = node;
    else if (pairs != 0)
        return false;
    return true;
}

/* False: it is not to the letter. */
static bool forwarded_read_plainly(const struct fields *fields, struct plain_list *list)
{
    for (uint16_t i = 0; i < fields->count; i++) {
        if (fields->items[i].id != FIELD_FORWARDED)
            continue;
        list->rest = fields->items[i].value;
        do {
            if (!element_read(list))
                return false;
        } while (next_is(list, ','));
        if (list->rest.length != 0)
            return false;
    }
    return true;
}

static struct ip_address client_of_list(const struct plain_list *list, struct ip_address peer)
{
    struct ip_address client = peer, ip;
    for (unsigned i = list->count; i-- > 0;) {
        struct span node = list->nodes[i];
        size_t port = node.length;
        while (port > 0 && node.at[port - 1] != ':')
            port--;
        if (port != 0 && port < node.length && node.at[port] == '_')
            node = span_first(node, port - 1);
        if (!ip_address_parse(&ip, node))
            break;
        client = ip;
        if (!networks_contain(&snapshot.trusted, &ip))
            break;
    }
    return client;
}

/* ---- what the next one is told ---- */

static unsigned elements_of(const struct fields *fields, uint16_t id)
{
    unsigned count = 0;
    for (uint16_t i = 0; i < fields->count; i++) {
        struct span list = fields->items[i].id == id ? fields->items[i].value : SPAN_NONE;
        while (list.length != 0)
            count += client_chain_cut_last(&list).length != 0;
    }
    return count;
}

/* A weir behind this one, that is told in one language only. */
static void hold_next(const struct exchange *x, uint16_t id, const char *peer)
{
    struct exchange next;
    const struct field *told = fields_find(&x->request.fields, id);
    HOLDS(told != NULL && fields_next(&x->request.fields, told) == NULL);
    /* of a full chain the next one has no room for the first, who may be the client */
    if (elements_of(&x->request.fields, id) <= CHAIN_MOST) {
        struct span line = arena_print(x->arena, "%.*s: %.*s", (int)told->name.length, told->name.at,
                                       (int)told->value.length, told->value.at);
        HOLDS(receive(&next, peer, line));
        client_chain_find(&next, &snapshot);
        HOLDS(!next.chain_cut && ip_address_equal(&next.client, &x->client));
        HOLDS(id != FIELD_FORWARDED || next.https == x->https);
        arena_free(next.arena);
    }
}

static void forward(struct exchange *x)
{
    if (forwarded_strip(&x->request, x->peer_trusted ? CLAIMS_KEPT : CLAIMS_DROPPED, x->arena) !=
            FAILURE_NONE ||
        target_prepare_head(&x->target, &x->request, x->arena) != FAILURE_NONE)
        return;
    x->request.line.request.authority = x->target.authority;
    HOLDS(forwarded_add(x, TELL_ALL));
    if (x->peer.family == AF_UNIX)
        return; /* which nobody is told as an address */
    hold_next(x, FIELD_X_FORWARDED_FOR, peers[0]);
    hold_next(x, FIELD_FORWARDED, peers[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return -1;
    begin();
    struct exchange x;
    const char *peer = peers[data[0] % COUNT_OF(peers)];
    struct span fields = span_make((const char *)data + 1, size - 1);
    if (memchr(fields.at, '\0', fields.length) != NULL)
        return -1;
    if (!receive(&x, peer, fields)) {
        arena_free(x.arena);
        return -1;
    }
    struct ip_address plainly = client_read_plainly(&x.request.fields, x.arena, x.peer);
    struct plain_list list = {.count = 0, .arena = x.arena};
    bool to_the_letter = forwarded_read_plainly(&x.request.fields, &list);
    client_chain_find(&x, &snapshot);
    bool same = ip_address_equal(&x.client, &x.peer);
    HOLDS(x.peer_trusted ||
          (same && x.chain == CHAIN_NONE && !x.https && x.told_host.length == 0 && x.told_port == 0));
    HOLDS(same || x.chain != CHAIN_NONE);
    HOLDS(same || input_has_address(fields, &x.client));
    HOLDS(x.chain != CHAIN_X_FORWARDED || ip_address_equal(&x.client, &plainly));
    if (x.chain == CHAIN_FORWARDED && to_the_letter) {
        plainly = client_of_list(&list, x.peer);
        HOLDS(!x.chain_cut && ip_address_equal(&x.client, &plainly));
    }
    forward(&x);
    arena_free(x.arena);
    return 0;
}
