/* Named rate limits, `rate_limits: { name: { rate: 100/s, burst: 200, key: client.ip } }`, and limits of
 * requests in flight. */
#ifndef WEIR_CONFIG_LIMITER_CONFIG_H
#define WEIR_CONFIG_LIMITER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "config/values.h"

/* One part of a key. Text: client.ip | host | path | method | header:NAME | cookie:NAME | query:NAME; a list
 * combines parts. */
enum key_part_kind { KEY_CLIENT_IP, KEY_HOST, KEY_PATH, KEY_METHOD, KEY_HEADER, KEY_COOKIE, KEY_QUERY };
struct key_part {
    enum key_part_kind kind;
    const char *name; /* of a header, cookie or query parameter; NULL otherwise */
};
/* What becomes of a request that lacks a part of the key, or gives several values of it: it is counted with
 * all others of that kind; not at all (several values are counted all the same); or refused. */
enum key_missing { MISSING_COUNT, MISSING_PASS, MISSING_REFUSE };
struct limiter_config {
    const char *name;   /* its key in the map */
    struct rate rate;   /* required; 1/h .. 1000000/s */
    uint64_t burst;     /* how many may come at once; 0 (auto): one second's worth, at least 1 */
    struct texts key;   /* [client.ip] */
    size_t parts_count; /* not a key: set by the check from `key` */
    struct key_part *parts;
    enum key_missing missing; /* count */
    uint64_t ipv6_prefix;     /* 64 */
    uint64_t keys;            /* how many keys the table holds, 8 bytes each; 131072 */
    bool dry_run;             /* false; true: counts and logs, refuses nothing */
    uint64_t status;          /* 429 */
};
/* route.in_flight: { limit: 100, key: client.ip }: requests in progress per key. */
struct in_flight_config {
    uint64_t limit;     /* required */
    struct texts key;   /* [client.ip] */
    size_t parts_count; /* not a key */
    struct key_part *parts;
    enum key_missing missing; /* count */
    uint64_t ipv6_prefix;     /* 64 */
    uint64_t keys;            /* 65536 */
    bool dry_run;             /* false */
    uint64_t status;          /* 429 */
};

/* Words of a table, one a key, lie in lines of LIMITER_WORDS; a table has a power of two of them. */
#define LIMITER_WORDS 8u
uint64_t limiter_buckets(uint64_t keys);

/* A limiter counts time in units of which an emission interval (the time that one request buys at the rate)
 * and a millisecond have whole numbers. Of the bits of a word this is how far ahead of now a key may be. */
struct limiter_units {
    uint64_t interval, per_ms;
};
struct limiter_units limiter_units_of(const struct rate *rate);
#define LIMITER_AHEAD_BITS 42u
uint64_t limiter_burst_of(const struct limiter_config *config); /* what auto stands for */
uint64_t limiter_burst_most(const struct rate *rate);           /* what the word holds; auto is never more */

struct schema_document;
struct schema_report;
void limiter_check(const struct limiter_config *config, const struct schema_document *document,
                   struct schema_report *report);

#endif
