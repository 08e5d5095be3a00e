/* Parts are hashed one after another, so that "ab"+"c" and "a"+"bc" differ. */
#include "filter/key.h"

#include "base/hash.h"
#include "config/limiter_config.h"
#include "http/exchange.h"

struct span key_cookie(const struct exchange *exchange, struct span name)
{
    const struct field *field = fields_find(&exchange->request.fields, FIELD_COOKIE);
    for (; field != NULL; field = fields_next(&exchange->request.fields, field)) {
        struct span rest = field->value;
        while (rest.length != 0) {
            size_t end = span_find(rest, ';');
            struct span pair = span_trim(span_first(rest, end));
            rest = end == rest.length ? SPAN_NONE : span_skip(rest, end + 1);
            size_t equal = span_find(pair, '=');
            if (equal != pair.length && span_equal(span_first(pair, equal), name))
                return span_skip(pair, equal + 1);
        }
    }
    return SPAN_NONE;
}

static struct span query_value(const struct exchange *exchange, struct span name)
{
    struct span rest = exchange->target.query;
    while (rest.at != NULL) {
        size_t end = span_find(rest, '&');
        struct span pair = span_first(rest, end);
        rest = end == rest.length ? SPAN_NONE : span_skip(rest, end + 1);
        size_t equal = span_find(pair, '=');
        if (span_equal(span_first(pair, equal), name))
            return equal == pair.length ? SPAN("") : span_skip(pair, equal + 1);
    }
    return SPAN_NONE;
}

static struct span part_value(const struct key_part *part, unsigned ipv6_prefix,
                              const struct exchange *exchange, struct ip_address *ip)
{
    switch (part->kind) {
    case KEY_CLIENT_IP:
        *ip = exchange->client;
        ip_address_mask(ip, ipv6_prefix);
        return span_make((const char *)ip->bytes, sizeof ip->bytes);
    case KEY_HOST:
        return exchange->target.host;
    case KEY_PATH:
        return exchange->target.path;
    case KEY_METHOD:
        return exchange->request.line.request.method_name;
    case KEY_HEADER: {
        const struct field *field = fields_find_name(&exchange->request.fields, span_of(part->name));
        return field != NULL ? field->value : SPAN_NONE;
    }
    case KEY_COOKIE:
        return key_cookie(exchange, span_of(part->name));
    case KEY_QUERY:
        return query_value(exchange, span_of(part->name));
    }
    return SPAN_NONE;
}

bool key_hash(const struct key_part *parts, size_t count, unsigned ipv6_prefix,
              const struct exchange *exchange, uint64_t *hash)
{
    uint64_t value = count;
    for (size_t i = 0; i < count; i++) {
        struct ip_address ip;
        struct span part = part_value(&parts[i], ipv6_prefix, exchange, &ip);
        if (part.at == NULL)
            return false;
        value = hash_keyed_seed(part, value);
    }
    *hash = value;
    return true;
}

bool key_hash_fixed(const struct key_part *parts, size_t count, unsigned ipv6_prefix,
                    const struct exchange *exchange, uint64_t *hash)
{
    uint64_t key[2] = {0x7765697200ull, count};
    for (size_t i = 0; i < count; i++) {
        struct ip_address ip;
        struct span part = part_value(&parts[i], ipv6_prefix, exchange, &ip);
        if (part.length == 0)
            return false;
        key[1] = hash_sip13(key, part);
    }
    *hash = key[1];
    return true;
}
