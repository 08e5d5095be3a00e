/*
 * Parts are hashed one after another, so that "ab"+"c" and "a"+"bc" differ. A limit must not be passed by
 * with another spelling of what it counts, nor by sending it twice where one server takes the first and
 * another the last: so values are looked at decoded, and all of a name, which costs only those that are
 * spelled so.
 */
#include "filter/key.h"

#include "base/arena.h"
#include "base/hash.h"
#include "http/auth_scheme.h"
#include "http/exchange.h"
#include "http/form.h"
#include "http/path.h"

static struct span unquoted(struct span value)
{
    bool quoted = value.length > 1 && value.at[0] == '"' && value.at[value.length - 1] == '"';
    return quoted ? span_make(value.at + 1, value.length - 2) : value;
}

/* ---- values of a name ---- */

struct walk {
    enum key_part_kind kind;
    bool semicolons; /* part parameters too */
    struct span name;
    const struct exchange *exchange;
    const struct field *field; /* the next, of a header; the one that `rest` is of, of a cookie */
    struct span rest;          /* of a header: what the head keeps under that name, once */
};

static struct walk walk_begin(enum key_part_kind kind, struct span name, const struct exchange *exchange)
{
    struct walk walk = {.kind = kind, .name = name, .exchange = exchange};
    const struct fields *fields = &exchange->request.fields;
    if (kind == KEY_HEADER && !head_keeps(&exchange->request, field_id(name), &walk.rest))
        walk.field = fields_find_name(fields, name);
    else if (kind == KEY_COOKIE)
        walk.field = fields_find(fields, FIELD_COOKIE);
    if (kind == KEY_QUERY)
        walk.rest = exchange->target.query;
    else if (kind == KEY_COOKIE && walk.field != NULL)
        walk.rest = walk.field->value;
    return walk;
}

static struct span pair_take(struct span *rest, char separator)
{
    size_t end = span_find(*rest, separator);
    struct span pair = span_first(*rest, end);
    *rest = end == rest->length ? SPAN_NONE : span_skip(*rest, end + 1);
    return pair;
}

static struct span next_header(struct walk *walk)
{
    const struct field *field = walk->field;
    struct span kept = walk->rest;
    walk->rest = SPAN_NONE;
    if (kept.at != NULL)
        return kept;
    if (field != NULL)
        walk->field = fields_next(&walk->exchange->request.fields, field);
    return field != NULL ? field->value : SPAN_NONE;
}

/* As old servers do it. */
static struct span parameter_take(struct span *rest)
{
    bool ends_first = span_find(*rest, ';') < span_find(*rest, '&');
    return pair_take(rest, ends_first ? ';' : '&');
}

static struct span next_parameter(struct walk *walk)
{
    while (walk->rest.at != NULL) {
        struct span pair = walk->semicolons ? parameter_take(&walk->rest) : pair_take(&walk->rest, '&');
        size_t equal = span_find(pair, '=');
        if (form_is_named(span_first(pair, equal), walk->name))
            return equal == pair.length ? SPAN("") : span_skip(pair, equal + 1);
    }
    return SPAN_NONE;
}

static struct span next_cookie(struct walk *walk)
{
    while (walk->field != NULL) {
        while (walk->rest.at != NULL) {
            struct span pair = span_trim(pair_take(&walk->rest, ';'));
            size_t equal = span_find(pair, '=');
            if (equal != pair.length && form_is_named(span_trim(span_first(pair, equal)), walk->name))
                return span_trim(span_skip(pair, equal + 1));
        }
        walk->field = fields_next(&walk->exchange->request.fields, walk->field);
        walk->rest = walk->field != NULL ? walk->field->value : SPAN_NONE;
    }
    return SPAN_NONE;
}

/* at == NULL: no more. */
static struct span walk_next(struct walk *walk)
{
    return walk->kind == KEY_HEADER  ? next_header(walk)
           : walk->kind == KEY_QUERY ? next_parameter(walk)
                                     : next_cookie(walk);
}

struct span key_cookie(const struct exchange *exchange, struct span name)
{
    struct walk walk = walk_begin(KEY_COOKIE, name, exchange);
    return walk_next(&walk);
}

/* ---- parts ---- */

static struct span client_value(unsigned ipv6_prefix, const struct exchange *exchange, struct ip_address *ip)
{
    *ip = exchange->client;
    ip_address_mask(ip, ipv6_prefix);
    return span_make((const char *)ip->bytes, sizeof ip->bytes);
}

/* The first, as it came. */
static struct span part_value(const struct key_part *part, unsigned ipv6_prefix,
                              const struct exchange *exchange, struct ip_address *ip)
{
    struct walk walk;
    switch (part->kind) {
    case KEY_CLIENT_IP:
        return client_value(ipv6_prefix, exchange, ip);
    case KEY_HOST:
        return exchange->target.host;
    case KEY_PATH:
        return exchange->target.path;
    case KEY_METHOD:
        return exchange->request.line.request.method_name;
    case KEY_HEADER:
    case KEY_COOKIE:
    case KEY_QUERY:
        walk = walk_begin(part->kind, span_of(part->name), exchange);
        return walk_next(&walk);
    }
    return SPAN_NONE;
}

/* Of the query another server makes other parameters. */
static bool is_parted_otherwise(const struct key_part *part, const struct exchange *exchange,
                                struct span first)
{
    if (part->kind != KEY_QUERY || span_find(exchange->target.query, ';') == exchange->target.query.length)
        return false;
    struct walk walk = walk_begin(KEY_QUERY, span_of(part->name), exchange);
    walk.semicolons = true;
    struct span value = walk_next(&walk);
    if (value.at == NULL)
        return first.at != NULL;
    while (value.at != NULL && span_equal(value, first))
        value = walk_next(&walk);
    return value.at != NULL;
}

/* The scheme goes into the hash by itself, so that nothing is copied. */
static struct span credentials_counted(struct span value, uint64_t *hash, bool *several)
{
    char lower[32];
    struct span scheme, rest;
    *several = *several || !auth_credentials_read(value, &scheme, &rest) || scheme.length > sizeof lower;
    if (*several)
        return value;
    for (size_t i = 0; i < scheme.length; i++)
        lower[i] = ascii_lower(scheme.at[i]);
    *hash = hash_keyed_seed(span_make(lower, scheme.length), *hash);
    return rest;
}

/* Of a name: what servers make of it. several: they may make different things of it. */
static struct span value_of_name(const struct key_part *part, const struct exchange *exchange, uint64_t *hash,
                                 bool *several)
{
    struct walk walk = walk_begin(part->kind, span_of(part->name), exchange);
    struct span first = walk_next(&walk), next;
    bool differ = false;
    while (first.at != NULL && (next = walk_next(&walk)).at != NULL)
        differ = differ || !span_equal(first, next);
    differ = differ || is_parted_otherwise(part, exchange, first);
    if (part->kind == KEY_COOKIE)
        first = unquoted(first);
    struct span plain =
        part->kind != KEY_HEADER && first.length != 0 ? form_decoded(first, exchange->arena) : first;
    *several = differ || (plain.at == NULL && first.at != NULL);
    if (part->kind == KEY_HEADER && plain.length != 0 && field_id(span_of(part->name)) == FIELD_AUTHORIZATION)
        return credentials_counted(plain, hash, several);
    return plain;
}

static struct span value_counted(const struct key_rule *rule, const struct key_part *part,
                                 const struct exchange *exchange, struct ip_address *ip, uint64_t *hash,
                                 bool *several)
{
    *several = false;
    if (part->kind >= KEY_HEADER)
        return value_of_name(part, exchange, hash, several);
    struct span value = part_value(part, rule->ipv6_prefix, exchange, ip);
    if (part->kind != KEY_PATH || exchange->target.marks == 0)
        return value;
    value = path_counted(value, rule->paths, exchange->arena);
    *several = value.at == NULL;
    return value;
}

const char *const key_told[] = {
    [KEY_COUNTS] = "",
    [KEY_PASSES] = ", does not count this request (a part of its key is missing)",
    [KEY_REFUSED] = ", refuses this request (a part of its key is missing, or there several times)",
};

enum key_found key_hash(const struct key_rule *rule, const struct exchange *exchange, uint64_t *hash)
{
    uint64_t value = rule->count;
    bool missing = false, several = false;
    for (size_t i = 0; i < rule->count; i++) {
        struct ip_address ip;
        bool differ;
        struct span part = value_counted(rule, &rule->parts[i], exchange, &ip, &value, &differ);
        several = several || differ;
        missing = missing || (!differ && part.length == 0);
        /* nothing that is there is empty, so none of these is taken for it */
        value = hash_keyed_seed(differ || part.length == 0 ? SPAN("") : part, value);
    }
    *hash = value;
    if (rule->missing == MISSING_REFUSE && (missing || several))
        return KEY_REFUSED;
    return rule->missing == MISSING_PASS && missing ? KEY_PASSES : KEY_COUNTS;
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
