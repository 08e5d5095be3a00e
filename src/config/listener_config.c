/* Keys of a listener. */
#include "config/listener_config.h"

#include "config/config_schema.h"
#include "config/route_config.h"

static const char *const protocols[] = {"h2", "h2c", "http/1.1", NULL};
static const char *const proxy_protocols[] = {"off", "optional", "required", NULL};

#define LISTENER struct listener_config
static const struct schema_key listener_keys[] = {
    KEY_STRING(LISTENER, address, NULL,
               "Address to accept on: host:port, :port for all addresses, [v6]:port or unix:/path.",
               .flags = SCHEMA_REQUIRED | SCHEMA_OWN, .check = syntax_listen_address),
    KEY_STRING(LISTENER, name, NULL, "Name in logs; by default the address.",
               .flags = SCHEMA_OWN | SCHEMA_TOLD, .check = syntax_name),
    KEY_TEXTS(SCHEMA_STRING, LISTENER, protocols, NULL,
              "Protocols spoken; by default [h2, http/1.1] behind TLS and [http/1.1] in the clear.",
              .choices = protocols, .least = 1, .flags = SCHEMA_TOLD),
    KEY_OPTIONAL(LISTENER, tls, struct tls_config, tls_schema, "Turns on TLS."),
    KEY_CHOICE(
        LISTENER, proxy_protocol, "off", proxy_protocols,
        "Whether connections begin with a PROXY header, version 1 or 2; optional only from trusted_proxies."),
    KEY_INT(LISTENER, max_connections, "none", 1, 10000000,
            "Connections open at once; none: only limits.connections holds.", .word = "none"),
    KEY_INT(LISTENER, max_connections_per_client, "none", 1, 10000000,
            "Connections open at once from one client address.", .word = "none"),
    KEY_INT(LISTENER, backlog, "4096", 1, 65535, "Connections that wait in the kernel to be accepted."),
    KEY_STRING(LISTENER, mode, "0660", "Permissions of a unix socket, in octal.", .check = syntax_mode),
    KEY_SECTIONS(LISTENER, routes, struct route_config, route_schema,
                 "Routes of this listener alone; without them it serves those of the file.",
                 .flags = SCHEMA_OWN | SCHEMA_SEEN),
    KEY_END};
const struct schema listener_schema = {.noun = "listener",
                                       .size = sizeof(LISTENER),
                                       .keys = listener_keys,
                                       .shorthand = "address",
                                       .strangers = "begin each item of listeners with \"- \", as in "
                                                    "- { name: web, address: \":8080\" }",
                                       .text = "An address that weir accepts connections on."};
