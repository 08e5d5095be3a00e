/* Keys of rate limits and of limits of requests in flight. */
#include "config/limiter_config.h"

#include <inttypes.h>

#include "config/config_schema.h"
#include "schema/schema_document.h"
#include "schema/schema_report.h"

uint64_t limiter_buckets(uint64_t keys)
{
    uint64_t buckets = 1;
    while (buckets * LIMITER_WORDS < keys)
        buckets *= 2;
    return buckets;
}

static uint64_t greatest_common(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

struct limiter_units limiter_units_of(const struct rate *rate)
{
    uint64_t common = greatest_common(rate->count, rate->period);
    return (struct limiter_units){.interval = rate->period / common, .per_ms = rate->count / common};
}

uint64_t limiter_burst_of(const struct limiter_config *config)
{
    uint64_t a_second = config->rate.count * 1000 / config->rate.period;
    return config->burst != 0 ? config->burst : a_second != 0 ? a_second : 1;
}

uint64_t limiter_burst_most(const struct rate *rate)
{
    return ((uint64_t)1 << LIMITER_AHEAD_BITS) / limiter_units_of(rate).interval;
}

void limiter_check(const struct limiter_config *config, const struct schema_document *document,
                   struct schema_report *report)
{
    if (config->rate.period == 0) /* it has no rate, which is told */
        return;
    uint64_t most = limiter_burst_most(&config->rate);
    if (config->burst > most)
        schema_report_add(report, SCHEMA_ERROR, schema_place(document, &config->burst),
                          "a burst of %" PRIu64 " is more than can be counted at this rate; write at most "
                          "%" PRIu64,
                          config->burst, most);
}

static const char *const missings[] = {"count", "pass", "refuse", NULL}; /* enum key_missing */

#define LIMITER struct limiter_config
static const struct schema_key limiter_keys[] = {
    KEY_RATE(LIMITER, rate, "Requests let through in the long run.", .flags = SCHEMA_REQUIRED),
    KEY_INT(LIMITER, burst, "auto", 1, 1000000000,
            "Requests that may come at once; auto: as many as a second's worth, at least 1.", .word = "auto"),
    KEY_TEXTS(SCHEMA_STRING, LIMITER, key, "[client.ip]",
              "What is counted apart: client.ip, host, path, method, header:NAME, cookie:NAME, query:NAME.",
              .check = syntax_key_part, .least = 1),
    KEY_CHOICE(LIMITER, missing, "count", missings,
               "What lacks a part of the key is counted together, passes, or is refused."),
    KEY_INT(LIMITER, ipv6_prefix, "64", 1, 128, "Bits of an IPv6 client address that count as one client."),
    KEY_INT(LIMITER, keys, "131072", 8, 1073741824,
            "Keys remembered at once, 8 bytes each, taken only as keys come; rounded up to a power of two."),
    KEY_BOOL(LIMITER, dry_run, "false", "Counts and logs what would be refused, and refuses nothing."),
    KEY_INT(LIMITER, status, "429", 400, 599, "Status of the answer to a refused request."),
    KEY_END};
const struct schema limiter_schema = {.noun = "rate limit",
                                      .size = sizeof(LIMITER),
                                      .bare = "write NAME: { rate: ... }",
                                      .keys = limiter_keys,
                                      .name_offset = offsetof(LIMITER, name),
                                      .text = "A rate limit, shared exactly by all workers."};

#define IN_FLIGHT struct in_flight_config
static const struct schema_key in_flight_keys[] = {
    KEY_INT(IN_FLIGHT, limit, NULL, 1, 16777215, "Requests in progress at once, for each key.",
            .flags = SCHEMA_REQUIRED),
    KEY_TEXTS(SCHEMA_STRING, IN_FLIGHT, key, "[client.ip]", "What is counted apart, as in a rate limit.",
              .check = syntax_key_part, .least = 1),
    KEY_CHOICE(IN_FLIGHT, missing, "count", missings,
               "What lacks a part of the key is counted together, passes, or is refused."),
    KEY_INT(IN_FLIGHT, ipv6_prefix, "64", 1, 128, "Bits of an IPv6 client address that count as one client."),
    KEY_INT(IN_FLIGHT, keys, "65536", 8, 1073741824,
            "Keys remembered at once, 8 bytes each, taken only as keys come; rounded up to a power of two."),
    KEY_BOOL(IN_FLIGHT, dry_run, "false", "Counts and logs what would be refused, and refuses nothing."),
    KEY_INT(IN_FLIGHT, status, "429", 400, 599, "Status of the answer to a refused request."),
    KEY_END};
const struct schema in_flight_schema = {
    .noun = "in_flight",
    .size = sizeof(IN_FLIGHT),
    .keys = in_flight_keys,
    .shorthand = "limit",
    .bare = "a bare value is the number of requests at once; a rate is written under rate_limits",
    .text = "A limit of requests in progress."};
