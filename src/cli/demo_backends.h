/* Three small HTTP servers on loopback, on a thread of their own, for the demo to have something to proxy to.
 */
#ifndef WEIR_CLI_DEMO_BACKENDS_H
#define WEIR_CLI_DEMO_BACKENDS_H

#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

#define DEMO_BACKENDS 3

struct demo_backends;
struct config;

extern const char *const demo_backend_names[DEMO_BACKENDS];

/* Opens their sockets, on these ports; 0: one that is free. */
struct demo_backends *demo_backends_new(const uint16_t ports[DEMO_BACKENDS], struct error *error) MUST_CHECK;
uint16_t demo_backends_port(const struct demo_backends *backends, unsigned number);
/* Starts to answer; the limits and timeouts are the configuration's, which must outlive it. */
bool demo_backends_start(struct demo_backends *backends, const struct config *config,
                         struct error *error) MUST_CHECK;
void demo_backends_free(struct demo_backends *backends); /* ends the thread; NULL allowed */

#endif
