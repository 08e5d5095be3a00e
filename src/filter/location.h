/* A Location that a template makes: where clients go next. Each part of it is judged as that part, so that no
 * value of a request reaches out of its place: into the host, or from a path to another host. */
#ifndef WEIR_FILTER_LOCATION_H
#define WEIR_FILTER_LOCATION_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/span.h"
#include "http/failure.h"
#include "http/template.h"

struct exchange;
struct location;

/* The value of a field: of Location as such, of any other its template's text. One of both is set. */
struct field_value {
    struct location *location;
    struct template *template;
    enum template_escape escape;
};
bool field_value_new(struct field_value *value, const char *name, const char *text,
                     struct error *error) MUST_CHECK;
void field_value_free(struct field_value *value);
/* An empty one is none. NONE, REWRITE_INVALID or OVERLOADED. */
enum failure field_value_fill(const struct field_value *value, struct exchange *exchange,
                              struct span *filled) MUST_CHECK;

struct location *location_new(const char *text, struct error *error) MUST_CHECK;
void location_free(struct location *location);
/* The host of the request is a part of it. */
bool location_names_host(const struct location *location);
/* NONE; REWRITE_INVALID, and what was made in exchange->made; OVERLOADED: arena cap. */
enum failure location_fill(const struct location *location, struct exchange *exchange,
                           struct span *value) MUST_CHECK;
/* What stands behind a host: empty, or a path, a query and a fragment that no client reads otherwise. */
bool location_rest_is_fine(struct span rest);
/* Notes what was made, for the log. */
enum failure location_refuse(struct exchange *exchange, struct span made);

#endif
