/* The tables of this room, and the checks of single values that their rows name. */
#ifndef WEIR_CONFIG_CONFIG_SCHEMA_H
#define WEIR_CONFIG_CONFIG_SCHEMA_H

#include "schema/schema.h"

#define SECONDS(count) ((count)*UINT64_C(1000))
#define MINUTES(count) SECONDS((count)*UINT64_C(60))
#define HOURS(count) MINUTES((count)*UINT64_C(60))
#define KIBIBYTES(count) ((count)*UINT64_C(1024))
#define MEBIBYTES(count) KIBIBYTES((count)*UINT64_C(1024))
#define GIBIBYTES(count) MEBIBYTES((count)*UINT64_C(1024))

struct config;
struct schema_document;

extern const struct schema config_schema;
extern const struct schema listener_schema;
extern const struct schema tls_schema;
extern const struct schema upstream_tls_schema;
extern const struct schema tls_shared_schema;
extern const struct schema limiter_schema;
extern const struct schema in_flight_schema;
extern const struct schema sticky_schema;
extern const struct schema split_schema;
extern const struct schema subset_schema;
extern const struct schema route_schema;
extern const struct schema pool_schema;
extern const struct schema server_schema;
extern const struct schema forwarding_schema;
extern const struct schema timeouts_schema;
extern const struct schema limits_schema;
extern const struct schema log_schema;
extern const struct schema access_log_schema;
extern const char *const tls_versions[];
/* Words of other products and ours. */
extern const struct schema_alias config_words[];

/* Each says whether the value can be what the name says, and if not, why. */
bool syntax_listen_address(struct span value, struct error *error);
bool syntax_server_address(struct span value, struct error *error);
bool syntax_proxy_network(struct span value, struct error *error);
bool syntax_network(struct span value, struct error *error);
bool syntax_network_allowed(struct span value, struct error *error);
bool syntax_network_denied(struct span value, struct error *error);
bool syntax_port(struct span value, struct error *error);
/* What stands behind the host of "host:port" or "[v6]:port"; without text: no port does. */
struct span authority_port(struct span authority);
bool syntax_token(struct span value, struct error *error);
bool syntax_match_name(struct span value, struct error *error);
bool syntax_set_name(struct span value, struct error *error);
bool syntax_upgrade(struct span value, struct error *error);
bool syntax_probe_method(struct span value, struct error *error);
bool syntax_method(struct span value, struct error *error);
bool syntax_certificate_name(struct span value, struct error *error);
bool syntax_host_pattern(struct span value, struct error *error);
bool syntax_host(struct span value, struct error *error);
bool syntax_path_pattern(struct span value, struct error *error);
/* The first thing in the text that regular expressions are made of; NULL: it reads as a plain text. */
const char *syntax_regex_word(struct span value);
/* Text with stars as a regular expression: one is `star`, such as any segment or part of one, and two are
 * anything, or any number of segments; all else stands for itself. The text ends with a NUL, as all do. */
void syntax_stars(struct text *regex, struct span value, const char *star);
bool syntax_value_pattern(struct span value, struct error *error);
bool syntax_path(struct span value, struct error *error);
/* template_check.c: of what is filled in when the file is read (environment) or with each request */
bool syntax_environment(struct span value, struct error *error);
bool syntax_header(struct span value, struct error *error);
bool syntax_response_header(struct span value, struct error *error);
bool syntax_body(struct span value, struct error *error);
bool doubt_body(struct span value, struct error *error);
bool syntax_location(struct span value, struct error *error);
bool syntax_scheme(struct span value, struct error *error);
bool syntax_redirect_host(struct span value, struct error *error);
bool syntax_redirect_path(struct span value, struct error *error);
bool syntax_rewrite_host(struct span value, struct error *error);
bool syntax_rewrite_path(struct span value, struct error *error);
bool syntax_prefix(struct span value, struct error *error);
/* Both were given; groups: that the regex has. */
/* False: some path of these may become what is none. */
bool replacement_doubt(const char *regex, const char *replacement, const struct texts *paths,
                       struct error *error);
bool replacement_check(const char *regex, const char *replacement, unsigned groups, struct error *error);
bool syntax_key_part(struct span value, struct error *error);
bool syntax_grpc_service(struct span value, struct error *error);
bool syntax_expected_status(struct span value, struct error *error);
bool syntax_retry_class(struct span value, struct error *error);
bool syntax_zone(struct span value, struct error *error);
bool syntax_name(struct span value, struct error *error);
bool syntax_media_type(struct span value, struct error *error);
bool syntax_field_pattern(struct span value, struct error *error);
bool syntax_search(struct span value, struct error *error);
bool syntax_expected_body(struct span value, struct error *error);
bool syntax_user(struct span value, struct error *error);
bool syntax_probe_host(struct span value, struct error *error);
bool syntax_mode(struct span value, struct error *error);
bool syntax_log_target(struct span value, struct error *error);

/* habit_check.c: of what is taken and was hardly meant so; false: the warning */
bool doubt_path_pattern(struct span value, struct error *error);
bool doubt_value_pattern(struct span value, struct error *error);
bool doubt_probe_path(struct span value, struct error *error);
bool doubt_query_name(struct span name, struct error *error);
bool doubt_new_path(struct span value, struct error *error);
bool doubt_location(struct span value, struct error *error);
bool doubt_redirect_path(struct span value, struct error *error);
bool doubt_prefix(struct span value, struct error *error);
bool doubt_upgrade(struct span value, struct error *error);
bool doubt_method(struct span value, struct error *error);
bool doubt_proxy_network(struct span value, struct error *error);
bool doubt_network(struct span value, struct error *error);
/* The address as IPv6, v4-mapped where it is one of IPv4; false: it is none. */
bool ip_read(struct span text, unsigned char bytes[16]);
/* Both are networks of the file. */
bool network_has(const char *outer, const char *inner);

/* config_check.c: what no row can say; fills what is derived. */
void config_check(struct config *config, struct schema_document *document);
/* route_check.c: the same for the routes of the file or of one listener. */
struct route_config;
void routes_check(struct route_config *routes, size_t count, const struct schema_document *document,
                  struct arena *arena, struct schema_report *report);
/* A status that clients do not know, where nginx means none by it. */
void status_doubt(const uint64_t *status, const struct schema_document *document,
                  struct schema_report *report);
/* effect_check.c: keys that do nothing beside the others. */
void effect_check(const struct config *config, const struct schema_document *document,
                  struct schema_report *report);
/* loop_check.c: requests that come back to where they were. */
void loop_check(const struct config *config, const struct schema_document *document,
                struct schema_report *report);
/* memory_check.c: what the file makes weir hold against limits.memory. */
void memory_check(const struct config *config, const struct schema_document *document,
                  struct schema_report *report);
/* protocol_check.c: what does not fit together of listeners, routes and pools that are right by themselves.
 */
void protocol_check(const struct config *config, const struct schema_document *document,
                    struct schema_report *report);
struct key_part *key_parts_of(const struct texts *key, size_t *count, struct arena *arena);
/* cookie_config.c: likewise. */
struct sticky_config;
struct split_config;
void sticky_check(struct sticky_config *sticky, const struct schema_document *document,
                  struct schema_report *report);
void split_check(struct split_config *split, const struct schema_document *document, struct arena *arena,
                 struct schema_report *report);
/* subset_config.c: likewise. own: it is not that of the defaults. */
struct pool_config;
void subset_check(const struct pool_config *pool, bool own, const struct schema_document *document,
                  struct schema_report *report);
/* It is read when the file is loaded, and can be; false: it is not, or the report says why it can't be. */
bool file_check(const char *const *field, const struct schema_document *document,
                struct schema_report *report);

#endif
