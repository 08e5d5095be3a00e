/*
 * Reads the chain of proxies before weir. A trusted peer speaks one of two languages, X-Forwarded-* or
 * Forwarded, and is believed in one only: many a proxy sets the one and passes on what a stranger wrote in
 * the other. X-Forwarded-* is taken where it is there, as it is what most proxies set.
 */
#include "proxy/client_chain.h"

#include "base/arena.h"
#include "base/text.h"
#include "config/field_names.h"
#include "http/exchange.h"
#include "http/head.h"
#include "http/head_check.h"
#include "http/target.h"
#include "net/address.h"
#include "proxy/snapshot.h"

static bool is_trusted(const struct snapshot *snapshot, const struct ip_address *ip)
{
    if (ip->family == AF_UNIX)
        return snapshot->trust_unix;
    return snapshot->trusted.count != 0 && networks_contain(&snapshot->trusted, ip);
}

/* A quote that opens or ends a quoted string: no backslash before it makes it a character. */
static bool is_quote(struct span text, size_t at)
{
    size_t slashes = 0;
    while (text.at[at] == '"' && slashes < at && text.at[at - 1 - slashes] == '\\')
        slashes++;
    return text.at[at] == '"' && slashes % 2 == 0;
}

struct span client_chain_cut_last(struct span *list)
{
    size_t i = list->length;
    bool quoted = false;
    for (; i > 0 && (quoted || list->at[i - 1] != ','); i--)
        quoted = is_quote(*list, i - 1) ? !quoted : quoted;
    struct span last = span_trim(span_skip(*list, i));
    *list = span_first(*list, i > 0 ? i - 1 : 0);
    return last;
}

/* The next parameter of an element; where two semicolons meet there is none (RFC 7239 4). False: it was the
 * last. */
static bool next_pair(struct span *element, struct span *pair)
{
    *pair = SPAN_NONE;
    while (element->length != 0 && pair->length == 0) {
        size_t end = 0;
        bool quoted = false;
        for (; end < element->length && (quoted || element->at[end] != ';'); end++)
            quoted = is_quote(*element, end) ? !quoted : quoted;
        *pair = span_trim(span_first(*element, end));
        *element = end == element->length ? SPAN_NONE : span_skip(*element, end + 1);
    }
    return pair->length != 0;
}

/* Its name, and its value as it was written. False: it has none. */
static bool split_pair(struct span pair, struct span *name, struct span *value)
{
    size_t equals = span_find(pair, '=');
    *name = span_first(pair, equals);
    *value = equals == pair.length ? SPAN_NONE : span_skip(pair, equals + 1);
    return equals != pair.length;
}

/* The octets that a quoted string stands for (RFC 9110 5.6.4). */
static struct span unquote(struct span quoted, struct arena *arena)
{
    struct span inside = span_make(quoted.at + 1, quoted.length - 2);
    if (span_find(inside, '\\') == inside.length)
        return inside;
    char *plain = arena_get_bytes(arena, inside.length);
    size_t length = 0;
    for (size_t i = 0; plain != NULL && i < inside.length; i++) {
        i += inside.at[i] == '\\' && i + 1 < inside.length;
        plain[length++] = inside.at[i];
    }
    return plain != NULL ? span_make(plain, length) : SPAN_NONE;
}

struct span client_chain_parameter(struct span element, struct span wanted, struct arena *arena)
{
    struct span pair, name, value;
    while (next_pair(&element, &pair)) {
        if (!split_pair(pair, &name, &value) || !span_equal_nocase(name, wanted))
            continue;
        if (value.length >= 2 && value.at[0] == '"' && value.at[value.length - 1] == '"')
            value = unquote(value, arena);
        return value;
    }
    return SPAN_NONE;
}

/* ---- what can be read of a chain ---- */

/* A token, a quoted string, or what many write without the quotes that RFC 7239 4 wants: [2001:db8::1]:80. */
static bool is_value(struct span value)
{
    bool quoted = value.length != 0 && value.at[0] == '"';
    if (quoted && (value.length < 2 || !is_quote(value, value.length - 1)))
        return false;
    struct span inside = quoted ? span_make(value.at + 1, value.length - 2) : value;
    for (size_t i = 0; i < inside.length; i++) {
        bool special =
            inside.at[i] == '"' || inside.at[i] == '\\' || inside.at[i] == ' ' || inside.at[i] == '\t';
        if (special && !quoted)
            return false;
        if (inside.at[i] == '"')
            return false; /* it ended before */
        i += inside.at[i] == '\\';
    }
    return quoted || value.length != 0;
}

/* Of a parameter that stands twice one server reads the first and another the last. */
static bool forwarded_is_readable(struct span element)
{
    static const struct span known[] = {{"for", 3}, {"by", 2}, {"host", 4}, {"proto", 5}};
    unsigned seen = 0;
    struct span pair, name, value;
    while (next_pair(&element, &pair)) {
        if (!split_pair(pair, &name, &value) || name.length == 0 || !field_name_is_plain(name) ||
            !is_value(value))
            return false;
        for (unsigned i = 0; i < COUNT_OF(known); i++) {
            if (!span_equal_nocase(name, known[i]))
                continue;
            if ((seen & 1u << i) != 0)
                return false;
            seen |= 1u << i;
        }
    }
    return true;
}

/* An address, or what stands for one (RFC 7239 6): unknown, _name. */
static bool address_is_readable(struct span text)
{
    struct ip_address ip;
    size_t i = 1;
    if (ip_address_parse(&ip, text) || span_equal_nocase(text, SPAN("unknown")))
        return true;
    while (i < text.length &&
           (text.at[i] == '.' || text.at[i] == '_' || field_name_is_plain(span_make(text.at + i, 1))))
        i++;
    return text.length > 1 && text.at[0] == '_' && i == text.length;
}

/* Leaves of a list its end from which on all can be read, at most *left elements. False: there was more. */
static bool keep_readable_end(struct span *list, uint16_t id, unsigned *left)
{
    struct span rest = *list, kept = SPAN("");
    bool readable = true;
    while (rest.length != 0 && *left != 0 && readable) {
        struct span element = client_chain_cut_last(&rest);
        if (element.length == 0)
            continue; /* of a list (RFC 9110 5.6.1.2) an empty one is nobody's, here and below */
        readable = id == FIELD_FORWARDED ? forwarded_is_readable(element) : address_is_readable(element);
        if (!readable)
            continue;
        kept = span_make(element.at, (size_t)(list->at + list->length - element.at));
        --*left;
    }
    *list = span_trim(kept);
    return readable && rest.length == 0;
}

/*
 * Keeps of a chain what stands behind the last element that cannot be read: the nearest proxies wrote that,
 * and what is before may be anybody's, an open quote that swallows their words among it. Nobody has more than
 * CHAIN_MOST proxies before weir; of a longer chain those nearest count, in both languages and for the walk.
 */
static bool keep_readable(struct fields *fields, uint16_t id)
{
    unsigned left = CHAIN_MOST;
    uint16_t begin = fields->count;
    bool whole = true;
    for (; begin > 0 && whole; begin--) {
        struct field *field = &fields->items[begin - 1];
        if (field->id == id)
            whole = keep_readable_end(&field->value, id, &left);
    }
    uint16_t kept = 0;
    for (uint16_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (field->id == id && (i < begin || field->value.length == 0))
            continue;
        if (kept != i)
            fields->items[kept] = *field;
        kept++;
    }
    fields->count = kept;
    return whole;
}

struct span client_chain_node(struct span element, struct arena *arena)
{
    struct span node = client_chain_parameter(element, SPAN("for"), arena);
    size_t port = node.length;
    while (port != 0 && node.at[port - 1] != ':')
        port--;
    return port != 0 && port < node.length && node.at[port] == '_' ? span_first(node, port - 1) : node;
}

/* ---- the walk ---- */

/* Where the walk stopped: the element that tells of the client's hop, though it may not name the client, and
 * how many stand behind it. */
struct stop {
    struct span element;
    unsigned behind;
};

/* From the last line to the first, each from the right, while the address found is trusted. Who wrote the
 * element before which it stops is trusted, too. */
static struct stop walk(struct exchange *exchange, const struct snapshot *snapshot, uint16_t id)
{
    const struct fields *fields = &exchange->request.fields;
    struct stop stop = {SPAN_NONE, 0};
    unsigned seen = 0;
    for (uint16_t i = fields->count; i-- > 0;) {
        if (fields->items[i].id != id)
            continue;
        struct span list = fields->items[i].value;
        while (list.length != 0) {
            struct span element = client_chain_cut_last(&list), text = element;
            struct ip_address ip;
            if (element.length == 0)
                continue;
            if (id == FIELD_FORWARDED)
                text = client_chain_node(element, exchange->arena);
            stop = (struct stop){element, seen++};
            if (!ip_address_parse(&ip, text))
                return stop;
            exchange->client = ip;
            if (!is_trusted(snapshot, &ip))
                return stop;
        }
    }
    return stop;
}

/* Of a field that has a value for each hop, or one for all: that of the hop with so many behind it. */
static struct span value_of_hop(const struct fields *fields, uint16_t id, unsigned behind)
{
    struct span value = SPAN_NONE;
    for (uint16_t i = fields->count; i-- > 0;) {
        if (fields->items[i].id != id)
            continue;
        struct span list = fields->items[i].value;
        while (list.length != 0) {
            struct span element = client_chain_cut_last(&list);
            if (element.length == 0)
                continue;
            value = element;
            if (behind-- == 0)
                return value;
        }
    }
    return value;
}

/* Some proxies name the scheme of WebSockets. What is none of these says nothing. */
static void believe_scheme(struct exchange *exchange, struct span scheme)
{
    if (span_equal_nocase(scheme, SPAN("https")) || span_equal_nocase(scheme, SPAN("wss")))
        exchange->https = true;
    else if (span_equal_nocase(scheme, SPAN("http")) || span_equal_nocase(scheme, SPAN("ws")))
        exchange->https = false;
}

/* A host that a proxy tells, in its normal form; what is none says nothing. */
static void believe_host(struct exchange *exchange, struct span host)
{
    struct target target = {.port = 0};
    if (host.length != 0 && target_host(&target, host, exchange->arena) == FAILURE_NONE)
        exchange->told_host = target.authority;
}

static void believe_port(struct exchange *exchange, struct span port)
{
    uint64_t number;
    if (text_to_number(port, UINT16_MAX, &number))
        exchange->told_port = (uint16_t)number;
}

/* Of X-Forwarded-*, what is told of the hop of the client. */
static void believe_hop(struct exchange *exchange, unsigned behind)
{
    const struct fields *fields = &exchange->request.fields;
    exchange->hops_behind = behind;
    believe_scheme(exchange, value_of_hop(fields, FIELD_X_FORWARDED_PROTO, behind));
    believe_host(exchange, value_of_hop(fields, FIELD_X_FORWARDED_HOST, behind));
    believe_port(exchange, value_of_hop(fields, FIELD_X_FORWARDED_PORT, behind));
}

/* One field with that value, where the peer brought some; empty: none. */
static void keep_value(struct fields *fields, uint16_t id, struct span value)
{
    struct field *first = fields_find(fields, id);
    if (first == NULL)
        return;
    struct field one = *first;
    (void)fields_remove(fields, id); /* there is room for one again */
    one.value = value;
    if (value.length != 0)
        fields->items[fields->count++] = one;
}

/* What conditions see of what a peer told is what is believed of it, and servers are told: not the other
 * language, nor other hops. */
static void keep_believed(struct exchange *exchange)
{
    struct fields *fields = &exchange->request.fields;
    bool other = exchange->chain == CHAIN_FORWARDED, tells_port = !other && exchange->told_port != 0;
    struct span port = value_of_hop(fields, FIELD_X_FORWARDED_PORT, exchange->hops_behind);
    while (port.length > 1 && port.at[0] == '0')
        port = span_skip(port, 1);
    if (!other)
        (void)fields_remove(fields, FIELD_FORWARDED);
    keep_value(fields, FIELD_X_FORWARDED_PROTO, exchange->https ? SPAN("https") : SPAN("http"));
    keep_value(fields, FIELD_X_FORWARDED_HOST, other ? SPAN("") : exchange->told_host);
    keep_value(fields, FIELD_X_FORWARDED_PORT, tells_port ? port : SPAN(""));
    if (fields_find(fields, FIELD_X_REQUEST_ID) != NULL)
        keep_value(fields, FIELD_X_REQUEST_ID, exchange_request_id(exchange));
}

/* A peer that told who the client is by a chain may have passed on an X-Real-IP that a stranger wrote. */
static void keep_real_ip(struct exchange *exchange)
{
    struct ip_address ip;
    const struct field *real = fields_find(&exchange->request.fields, FIELD_X_REAL_IP);
    if (real != NULL && ip_address_parse(&ip, real->value) && !ip_address_equal(&ip, &exchange->client))
        fields_remove(&exchange->request.fields, FIELD_X_REAL_IP);
}

void client_chain_find(struct exchange *exchange, const struct snapshot *snapshot)
{
    struct fields *fields = &exchange->request.fields;
    struct ip_address ip;
    exchange->client = exchange->peer;
    exchange->chain = CHAIN_NONE;
    exchange->peer_trusted = is_trusted(snapshot, &exchange->peer);
    if (!exchange->peer_trusted)
        return;
    const struct field *real = fields_find(fields, FIELD_X_REAL_IP);
    if (real != NULL && (!ip_address_parse(&ip, real->value) || fields_next(fields, real) != NULL))
        fields_remove(fields, FIELD_X_REAL_IP);
    if (fields_find(fields, FIELD_X_FORWARDED_FOR) != NULL ||
        fields_find(fields, FIELD_X_FORWARDED_PROTO) != NULL) {
        exchange->chain = CHAIN_X_FORWARDED;
        exchange->chain_cut = !keep_readable(fields, FIELD_X_FORWARDED_FOR);
        believe_hop(exchange, walk(exchange, snapshot, FIELD_X_FORWARDED_FOR).behind);
    } else if (fields_find(fields, FIELD_FORWARDED) != NULL) {
        exchange->chain = CHAIN_FORWARDED;
        exchange->chain_cut = !keep_readable(fields, FIELD_FORWARDED);
        struct stop stop = walk(exchange, snapshot, FIELD_FORWARDED);
        believe_scheme(exchange, client_chain_parameter(stop.element, SPAN("proto"), exchange->arena));
        believe_host(exchange, client_chain_parameter(stop.element, SPAN("host"), exchange->arena));
    } else {
        believe_hop(exchange, 0);
    }
    if (exchange->chain != CHAIN_NONE)
        keep_real_ip(exchange);
    keep_believed(exchange);
}
