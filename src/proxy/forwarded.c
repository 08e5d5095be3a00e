/* Fields at the border. First everything hop by hop goes, only then weir adds its own: so a client can strip
 * nothing that weir asserts. */
#include "proxy/forwarded.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "config/config.h"
#include "config/field_names.h"
#include "http/exchange.h"
#include "http/head.h"
#include "http/stream.h"
#include "http/target.h"
#include "net/address.h"
#include "net/loop.h"
#include "proxy/client_chain.h"

#define NAMED_MOST 32 /* names that a Connection field may list */

/* What Connection can't name away: framing, Host, and what weir or an earlier trusted hop asserts. */
static bool field_is_protected(uint16_t id)
{
    switch (id) {
    case FIELD_HOST:
    case FIELD_CONTENT_LENGTH:
    case FIELD_VIA:
    case FIELD_FORWARDED:
    case FIELD_X_FORWARDED_FOR:
    case FIELD_X_FORWARDED_PROTO:
    case FIELD_X_FORWARDED_HOST:
    case FIELD_X_FORWARDED_PORT:
    case FIELD_X_REAL_IP:
    case FIELD_X_REQUEST_ID:
        return true;
    default:
        return false;
    }
}

bool forwarded_is_attempt(struct span name)
{
    return span_equal_nocase(name, SPAN("x-attempt")) ||
           span_equal_nocase(name, SPAN("x-envoy-attempt-count"));
}

/* Of a name that begins with "x-" or the like, in the spelling too that some servers take for it
 * (limits.underscore_names). */
static NOINLINE bool name_is_claim(struct span name)
{
    static const struct span claims[] = {
        {"x-real-ip", 9}, {"x-request-id", 12}, {"x-attempt", 9}, {"x-envoy-attempt-count", 21}};
    if (name.length >= 11 && names_fold_together(span_first(name, 11), SPAN("x-forwarded")))
        return true;
    for (size_t i = 0; i < COUNT_OF(claims); i++)
        if (names_fold_together(name, claims[i]))
            return true;
    return false;
}

/* What tells who the client is, or how often it asked. */
static inline bool field_is_claim(const struct field *field)
{
    return field->id == FIELD_FORWARDED ||
           ((field->name.at[0] | 0x20) == 'x' && field->name.length >= 9 && name_is_claim(field->name));
}

/* A trusted proxy has no reason to spell it so: a client's, that it let through. */
static inline bool claim_is_dropped(const struct field *field, enum claims claims)
{
    return claims != CLAIMS_OF_SERVER && field_is_claim(field) &&
           (claims == CLAIMS_DROPPED || (field->id == FIELD_OTHER && !field_name_is_plain(field->name)));
}

/* Names of end-to-end fields that Connection lists, into names; most messages list none. More than
 * NAMED_MOST: there are more. */
static unsigned named_by_connection(const struct fields *fields, struct span names[NAMED_MOST])
{
    unsigned count = 0;
    for (uint16_t i = 0; i < fields->count; i++) {
        if (fields->items[i].id != FIELD_CONNECTION)
            continue;
        struct span rest = fields->items[i].value, name;
        while (span_next_element(&rest, &name)) {
            uint16_t id = field_id(name);
            if (name.length == 0 || field_is_hop(id) || field_is_protected(id) ||
                span_equal_nocase(name, SPAN("close")))
                continue;
            if (count == NAMED_MOST)
                return NAMED_MOST + 1;
            names[count++] = name;
        }
    }
    return count;
}

static bool name_is_among(struct span name, const struct field_names *names)
{
    for (unsigned i = 0; i < names->count; i++)
        if (span_equal_nocase(name, names->items[i]))
            return true;
    return false;
}

static bool keep_names(struct head *head, const struct span *names, unsigned count, struct arena *arena)
{
    struct field_names *kept = arena_get(arena, sizeof *kept + count * sizeof *names);
    if (kept == NULL)
        return false;
    kept->count = count;
    memcpy(kept->items, names, count * sizeof *names);
    head->named = kept;
    return true;
}

enum failure forwarded_strip(struct head *head, enum claims claims, struct arena *arena)
{
    struct span names[NAMED_MOST];
    struct fields *fields = &head->fields;
    unsigned named = named_by_connection(fields, names);
    if (named > NAMED_MOST)
        return FAILURE_BAD_REQUEST;
    if (named != 0 && !keep_names(head, names, named, arena))
        return FAILURE_OVERLOADED;
    uint16_t kept = 0;
    for (uint16_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        bool is_named = named != 0 && name_is_among(field->name, head->named);
        if (is_named && field->id == FIELD_DATE)
            head->has_date = false; /* so that weir's own takes its place */
        if (field_is_hop(field->id) || claim_is_dropped(field, claims) || is_named)
            continue;
        if (kept != i)
            fields->items[kept] = *field;
        kept++;
    }
    fields->count = kept;
    return FAILURE_NONE;
}

void forwarded_strip_trailers(struct fields *trailers, const struct field_names *named)
{
    uint16_t kept = 0;
    for (uint16_t i = 0; i < trailers->count; i++) {
        const struct field *field = &trailers->items[i];
        if (field_may_trail(field->id) && !field_is_claim(field) &&
            (named == NULL || !name_is_among(field->name, named)))
            trailers->items[kept++] = *field;
    }
    trailers->count = kept;
}

static bool add(struct exchange *exchange, uint16_t id, struct span value)
{
    return value.at != NULL &&
           fields_add(&exchange->request.fields, exchange->arena, field_names[id], value, id);
}

static struct span scheme_of(const struct exchange *exchange)
{
    return exchange->https ? SPAN("https") : SPAN("http");
}

/* for=1.2.3.4;proto=https;host="a.test:8443" (RFC 7239 4: IPv6 in brackets and quotes). The host is quoted:
 * it may hold a colon. Once a request, so without printf, which costs a tenth of all that a request does
 * here. */
static struct span forwarded_entry(struct exchange *exchange, struct span ip, struct span scheme,
                                   struct span host)
{
    bool quoted = exchange->peer.family == AF_INET6, named = host.length != 0;
    const struct span parts[] = {
        SPAN("for="),
        quoted ? SPAN("\"[") : SPAN(""),
        ip,
        quoted ? SPAN("]\"") : SPAN(""),
        SPAN(";proto="),
        scheme,
        named ? SPAN(";host=\"") : SPAN(""),
        host,
        named ? SPAN("\"") : SPAN(""),
    };
    size_t length = 0;
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        length += parts[i].length;
    char *at = arena_get_bytes(exchange->arena, length), *to = at;
    for (size_t i = 0; at != NULL && i < COUNT_OF(parts); i++)
        if (parts[i].length != 0)
            to = (char *)memcpy(to, parts[i].at, parts[i].length) + parts[i].length;
    return at != NULL ? span_make(at, length) : SPAN_NONE;
}

/* The host that the client asked for. */
static struct span asked_host(const struct exchange *exchange)
{
    return exchange->told_host.length != 0 ? exchange->told_host : exchange->request.line.request.authority;
}

/* ---- the chain of a trusted peer ---- */

/* The elements of a list, the last one first. There are not more than CHAIN_MOST, as client_chain_find() has
 * left them; empty ones are nobody's, and not sent on (RFC 9110 5.6.1.1). */
static unsigned chain_elements(const struct exchange *exchange, uint16_t id, struct span hops[CHAIN_MOST])
{
    const struct fields *fields = &exchange->request.fields;
    unsigned count = 0;
    for (uint16_t i = fields->count; i-- > 0;) {
        struct span list = fields->items[i].id == id ? fields->items[i].value : SPAN_NONE;
        while (list.length != 0 && count < CHAIN_MOST) {
            struct span element = client_chain_cut_last(&list);
            if (element.length != 0)
                hops[count++] = element;
        }
    }
    return count;
}

/* A list that is written so far with a comma behind each element, and weir's own at its end, if there is one.
 */
static struct span list_end(char *at, char *to, struct span own)
{
    if (own.length == 0 && to != at)
        to -= 2;
    memcpy(to, own.at, own.length);
    return span_make(at, (size_t)(to - at) + own.length);
}

/* What one field lists and then `own`, as one line. */
static struct span chain_extend(struct exchange *exchange, uint16_t id, struct span own)
{
    struct span hops[CHAIN_MOST];
    unsigned count = chain_elements(exchange, id, hops);
    size_t length = own.length;
    for (unsigned i = 0; i < count; i++)
        length += hops[i].length + 2;
    char *at = arena_get_bytes(exchange->arena, length + 1), *to = at;
    if (at == NULL)
        return SPAN_NONE;
    for (unsigned i = count; i-- > 0;) {
        memcpy(to, hops[i].at, hops[i].length);
        memcpy(to + hops[i].length, ", ", 2);
        to += hops[i].length + 2;
    }
    fields_remove(&exchange->request.fields, id);
    return list_end(at, to, own);
}

/* One hop before weir, as an element of Forwarded (RFC 7239 6: what is no address is unknown) or of
 * X-Forwarded-For. */
static void hop_print(struct text *to, struct span address, bool as_forwarded)
{
    char memory[ADDRESS_TEXT_MAX];
    struct ip_address ip;
    struct span text = ip_address_parse(&ip, address) ? ip_address_print(&ip, memory) : SPAN("unknown");
    bool v6 = span_find(text, ':') != text.length;
    text_print(to, "%s%s%.*s%s", as_forwarded ? "for=" : "", as_forwarded && v6 ? "\"[" : "",
               (int)text.length, text.at, as_forwarded && v6 ? "]\"" : "");
}

/* The addresses that `from` lists, in the language that the peer did not use, and then `own`. */
static struct span chain_translate(struct exchange *exchange, uint16_t from, struct span own)
{
    bool to_forwarded = from == FIELD_X_FORWARDED_FOR;
    struct span hops[CHAIN_MOST];
    unsigned count = chain_elements(exchange, from, hops);
    char memory[CHAIN_MOST * (ADDRESS_TEXT_MAX + 10) + 600];
    struct text text = text_over(memory, sizeof memory);
    for (unsigned i = count; i-- > 0;) {
        struct span hop = to_forwarded ? hops[i] : client_chain_node(hops[i], exchange->arena);
        hop_print(&text, hop, to_forwarded);
        if (to_forwarded && i == exchange->hops_behind) { /* the client's: by what it came, and for whom */
            struct span named = asked_host(exchange);
            bool fits = named.length != 0 && named.length < 512;
            text_print(&text, ";proto=%s%s%.*s%s", exchange->https ? "https" : "http", fits ? ";host=\"" : "",
                       fits ? (int)named.length : 0, fits ? named.at : "", fits ? "\"" : "");
        }
        text_add(&text, SPAN(", "));
    }
    char *at = arena_get_bytes(exchange->arena, text.length + own.length + 1);
    if (at == NULL)
        return SPAN_NONE;
    memcpy(at, text.at, text.length);
    return list_end(at, at + text.length, own);
}

/* The version that the message came in (RFC 9110 7.6.3). */
static struct span via_entry(bool http2)
{
    return http2 ? SPAN("2.0 weir") : SPAN("1.1 weir");
}

/* What servers are told of this request; at == NULL: nothing. */
struct told {
    struct span addresses, host, port, forwarded;
};

/* Extends what a trusted peer told, in both languages; its own fields go, to be written anew. */
static bool tell_trusted(struct exchange *exchange, struct told *told)
{
    static const uint16_t rewritten[] = {FIELD_X_FORWARDED_PROTO, FIELD_X_FORWARDED_HOST,
                                         FIELD_X_FORWARDED_PORT};
    struct fields *fields = &exchange->request.fields;
    struct span own_ip = told->addresses, own_hop = told->forwarded;
    if (exchange->chain == CHAIN_FORWARDED) {
        told->addresses = chain_translate(exchange, FIELD_FORWARDED, own_ip);
        told->forwarded = chain_extend(exchange, FIELD_FORWARDED, own_hop);
    } else {
        if (fields_find(fields, FIELD_X_FORWARDED_FOR) != NULL)
            told->forwarded = chain_translate(exchange, FIELD_X_FORWARDED_FOR, own_hop);
        told->addresses = chain_extend(exchange, FIELD_X_FORWARDED_FOR, own_ip);
        fields_remove(fields, FIELD_FORWARDED);
    }
    for (size_t i = 0; i < COUNT_OF(rewritten); i++)
        fields_remove(fields, rewritten[i]);
    return told->addresses.at != NULL && told->forwarded.at != NULL;
}

/* The port that the client asked for: that a trusted peer tells, else of the host that is told, else the
 * scheme's own. */
static struct span asked_port(struct exchange *exchange)
{
    struct authority asked = {.port = exchange->target.port};
    if (exchange->told_host.length != 0 && !authority_read(exchange->told_host, &asked))
        asked.port = 0;
    unsigned port = exchange->told_port != 0 ? exchange->told_port : asked.port;
    if (port != 0)
        return arena_print(exchange->arena, "%u", port);
    return exchange->https ? SPAN("443") : SPAN("80");
}

static bool tell(struct exchange *exchange, const struct told *told, unsigned what)
{
    const struct {
        unsigned bit;
        uint16_t id;
        struct span value;
    } rows[] = {
        {FORWARDING_FOR, FIELD_X_FORWARDED_FOR, told->addresses},
        {FORWARDING_PROTO, FIELD_X_FORWARDED_PROTO, scheme_of(exchange)},
        {FORWARDING_HOST, FIELD_X_FORWARDED_HOST, told->host},
        {FORWARDING_PORT, FIELD_X_FORWARDED_PORT, told->port},
        {FORWARDING_FORWARDED, FIELD_FORWARDED, told->forwarded},
        {FORWARDING_VIA, FIELD_VIA, via_entry(exchange->http2)},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if ((what & rows[i].bit) != 0 && rows[i].value.length != 0 &&
            !add(exchange, rows[i].id, rows[i].value))
            return false;
    return true;
}

/* False: it came by a unix socket. */
static bool has_address(const struct ip_address *ip)
{
    return ip->family == AF_INET || ip->family == AF_INET6;
}

static bool tell_real_ip(struct exchange *exchange)
{
    char text[ADDRESS_TEXT_MAX];
    struct span ip = ip_address_print(&exchange->client, text);
    fields_remove(&exchange->request.fields, FIELD_X_REAL_IP);
    return !has_address(&exchange->client) || add(exchange, FIELD_X_REAL_IP, arena_copy(exchange->arena, ip));
}

/* The hop to weir, as an element of either list. A peer without an address is unknown (RFC 7239 6.2), or left
 * out where it told who the client is: the next proxy believes nothing of what stands before an unknown one.
 */
static bool tell_hop(struct exchange *exchange, struct told *told)
{
    char text[ADDRESS_TEXT_MAX];
    bool known = has_address(&exchange->peer);
    told->addresses = told->forwarded = SPAN("");
    if (!known && has_address(&exchange->client))
        return true;
    struct span ip = known ? ip_address_print(&exchange->peer, text) : SPAN("unknown");
    /* Of a chain the first hop is how the client came; the last is this connection. */
    uint16_t chain = exchange->chain == CHAIN_FORWARDED ? FIELD_FORWARDED : FIELD_X_FORWARDED_FOR;
    bool is_first = exchange->chain == CHAIN_NONE || fields_find(&exchange->request.fields, chain) == NULL;
    bool https = is_first ? exchange->https : exchange->tls;
    told->addresses = arena_copy(exchange->arena, ip);
    told->forwarded = forwarded_entry(exchange, ip, https ? SPAN("https") : SPAN("http"),
                                      is_first ? told->host : exchange->request.line.request.authority);
    return told->addresses.at != NULL && told->forwarded.at != NULL;
}

bool forwarded_add(struct exchange *exchange, unsigned what)
{
    struct fields *fields = &exchange->request.fields;
    struct told told = {
        .host = asked_host(exchange),
        .port = (what & FORWARDING_PORT) != 0 ? asked_port(exchange) : SPAN_NONE,
    };
    struct span id = exchange_request_id(exchange);
    fields_remove(fields, FIELD_X_REQUEST_ID); /* a trusted peer's own is what exchange_request_id() gave */
    if (!tell_hop(exchange, &told))
        return false;
    if (exchange->peer_trusted && !tell_trusted(exchange, &told))
        return false;
    return tell(exchange, &told, what) && add(exchange, FIELD_X_REQUEST_ID, id) &&
           ((what & FORWARDING_REAL_IP) == 0 || tell_real_ip(exchange));
}

bool forwarded_add_response(struct exchange *exchange, bool via)
{
    struct head *response = &exchange->response;
    struct arena *arena = exchange->arena;
    /* what is written at once need not outlive it */
    return (response->has_date || fields_add(&response->fields, arena, field_names[FIELD_DATE],
                                             clock_http_now(loop_now_us(exchange->loop)), FIELD_DATE)) &&
           (!via || fields_add(&response->fields, arena, field_names[FIELD_VIA],
                               via_entry(exchange->upstream->http2), FIELD_VIA));
}

#define FORWARDS_MOST 100000000u /* a larger number is cut, which the next proxy may do too */

enum failure forwarded_count(struct exchange *exchange, bool *here)
{
    enum method method = exchange->request.line.request.method;
    struct field *field = method == METHOD_OPTIONS || method == METHOD_TRACE
                              ? fields_find_name(&exchange->request.fields, SPAN("Max-Forwards"))
                              : NULL;
    *here = false;
    if (field == NULL)
        return FAILURE_NONE;
    unsigned number = 0;
    for (size_t i = 0; i < field->value.length; i++) {
        if (field->value.at[i] < '0' || field->value.at[i] > '9')
            return FAILURE_BAD_REQUEST;
        if (number < FORWARDS_MOST)
            number = number * 10 + (unsigned)(field->value.at[i] - '0');
    }
    if (field->value.length == 0 || fields_next(&exchange->request.fields, field) != NULL)
        return FAILURE_BAD_REQUEST;
    *here = number == 0;
    if (*here)
        return FAILURE_NONE;
    field->value = arena_print(exchange->arena, "%u", number - 1);
    return field->value.at != NULL ? FAILURE_NONE : FAILURE_OVERLOADED;
}
