/*
 * Reads the chain of proxies before weir. A trusted peer speaks one of two languages, X-Forwarded-* or
 * Forwarded, and is believed in one only: many a proxy sets the one and passes on what a stranger wrote in
 * the other. X-Forwarded-* is taken where it is there, as it is what most proxies set.
 */
#include "proxy/client_chain.h"

#include "http/exchange.h"
#include "http/head.h"
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
    while (slashes < at && text.at[at - 1 - slashes] == '\\')
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

struct span client_chain_parameter(struct span element, struct span name)
{
    while (element.length != 0) {
        size_t end = 0;
        bool quoted = false;
        for (; end < element.length && (quoted || element.at[end] != ';'); end++)
            quoted = is_quote(element, end) ? !quoted : quoted;
        struct span pair = span_trim(span_first(element, end));
        element = end == element.length ? SPAN_NONE : span_skip(element, end + 1);
        size_t equals = span_find(pair, '=');
        if (equals == pair.length || !span_equal_nocase(span_first(pair, equals), name))
            continue;
        struct span value = span_skip(pair, equals + 1);
        if (value.length >= 2 && value.at[0] == '"' && value.at[value.length - 1] == '"')
            value = span_make(value.at + 1, value.length - 2);
        return value;
    }
    return SPAN_NONE;
}

/* Where the walk stopped: the element that tells of the client, and how many stand behind it. */
struct stop {
    struct span element;
    unsigned behind;
};

/* From the last line to the first, each from the right, while the address found is trusted. */
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
            if (id == FIELD_FORWARDED)
                text = client_chain_parameter(element, SPAN("for"));
            if (!ip_address_parse(&ip, text))
                return stop;
            exchange->client = ip;
            stop = (struct stop){element, seen++};
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
            value = client_chain_cut_last(&list);
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

void client_chain_find(struct exchange *exchange, const struct snapshot *snapshot)
{
    const struct fields *fields = &exchange->request.fields;
    exchange->client = exchange->peer;
    exchange->chain = CHAIN_NONE;
    exchange->peer_trusted = is_trusted(snapshot, &exchange->peer);
    if (!exchange->peer_trusted)
        return;
    if (fields_find(fields, FIELD_X_FORWARDED_FOR) != NULL ||
        fields_find(fields, FIELD_X_FORWARDED_PROTO) != NULL) {
        exchange->chain = CHAIN_X_FORWARDED;
        struct stop stop = walk(exchange, snapshot, FIELD_X_FORWARDED_FOR);
        believe_scheme(exchange, value_of_hop(fields, FIELD_X_FORWARDED_PROTO, stop.behind));
    } else if (fields_find(fields, FIELD_FORWARDED) != NULL) {
        exchange->chain = CHAIN_FORWARDED;
        struct stop stop = walk(exchange, snapshot, FIELD_FORWARDED);
        believe_scheme(exchange, client_chain_parameter(stop.element, SPAN("proto")));
        exchange->told_host = client_chain_parameter(stop.element, SPAN("host"));
    }
}
