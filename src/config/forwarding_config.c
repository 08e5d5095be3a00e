/* Keys of what servers are told of the client. */
#include "config/forwarding_config.h"

#include <string.h>

#include "config/config_schema.h"

#define FORWARDING struct forwarding_config
static const char *const x_fields[] = {"for", "proto", "host", "port", NULL};
static const struct schema_key forwarding_keys[] = {
    KEY_TEXTS(SCHEMA_STRING, FORWARDING, x_forwarded, "[for, proto, host]",
              "Which of X-Forwarded-For, -Proto, -Host and -Port are sent; [] for none.",
              .choices = x_fields),
    KEY_BOOL(FORWARDING, forwarded, "true", "Sends Forwarded (RFC 7239)."),
    KEY_BOOL(
        FORWARDING, via, "true",
        "Sends Via, to servers and to clients (RFC 9110 7.6.3); nginx as a server does not compress for requests that "
        "have it."),
    KEY_BOOL(FORWARDING, x_real_ip, "false", "Sends X-Real-IP, the client's address alone."), KEY_END};
const struct schema forwarding_schema = {.noun = "forwarding",
                                         .size = sizeof(FORWARDING),
                                         .keys = forwarding_keys,
                                         .off = (const char *const[]){"x_forwarded", "[]", "forwarded",
                                                                      "false", "via", "false", "x_real_ip",
                                                                      "false", NULL},
                                         .text = "What servers are told of the client, and clients of weir."};

unsigned forwarding_bits(const struct forwarding_config *config)
{
    unsigned bits = (config->forwarded ? FORWARDING_FORWARDED : 0u) | (config->via ? FORWARDING_VIA : 0u) |
                    (config->x_real_ip ? FORWARDING_REAL_IP : 0u);
    for (size_t i = 0; i < config->x_forwarded.count; i++)
        for (unsigned j = 0; x_fields[j] != NULL; j++)
            if (strcmp(config->x_forwarded.items[i], x_fields[j]) == 0)
                bits |= 1u << j;
    return bits;
}
