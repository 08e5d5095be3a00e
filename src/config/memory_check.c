/* What the file itself may make weir hold: tables of keys, which nobody's memory is asked for before keys
 * come. */
#include <inttypes.h>

#include "base/attributes.h"
#include "config/config.h"
#include "config/config_schema.h"
#include "schema/schema_document.h"
#include "schema/schema_report.h"

static uint64_t keys_size(uint64_t keys)
{
    return limiter_buckets(keys) * CACHE_LINE;
}

static uint64_t routes_size(const struct route_config *routes, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++)
        if (routes[i].in_flight != NULL)
            size += keys_size(routes[i].in_flight->keys);
    return size;
}

uint64_t config_keys_size(const struct config *config)
{
    uint64_t size = routes_size(config->routes, config->routes_count);
    for (size_t i = 0; i < config->listeners_count; i++)
        size += routes_size(config->listeners[i].routes, config->listeners[i].routes_count);
    for (size_t i = 0; i < config->rate_limits_count; i++)
        size += keys_size(config->rate_limits[i].keys);
    return size;
}

void memory_check(const struct config *config, const struct schema_document *document,
                  struct schema_report *report)
{
    uint64_t size = config_keys_size(config);
    if (config->limits.memory != LIMITS_AUTO && size > config->limits.memory)
        schema_report_add(report, SCHEMA_WARNING, schema_place(document, &config->limits.memory),
                          "the keys of rate_limits and in_flight may come to %" PRIu64
                          "MiB, more than limits.memory; lower their `keys`, or raise limits.memory",
                          size >> 20);
}
