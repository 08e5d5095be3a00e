/* What gRPC writes into HTTP (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md and PROTOCOL-WEB.md): its media
 * types, its deadline, its messages. */
#ifndef WEIR_HTTP_GRPC_H
#define WEIR_HTTP_GRPC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/span.h"

struct arena;
struct fields;
struct head;

enum grpc_kind { GRPC_NONE, GRPC_PLAIN, GRPC_WEB, GRPC_WEB_TEXT };
/* By Content-Type. subtype, may be NULL: what follows the kind, as "+proto", or empty. */
enum grpc_kind grpc_kind(const struct fields *fields, struct span *subtype);
/* Of a request, which is one of gRPC with POST only. */
enum grpc_kind grpc_request_kind(const struct head *request);
/* grpc-timeout: at most eight digits and a unit, in milliseconds rounded up; false when there is none that is
 * well formed. */
bool grpc_timeout(const struct fields *fields, uint64_t *milliseconds) MUST_CHECK;
/* The status of HTTP that says the same of a server as the grpc-status among the fields, if that is one of a
 * server that is not well; else 200. */
unsigned grpc_server_status(const struct fields *fields) MUST_CHECK;
/* A text as grpc-message has it: all but printable ASCII percent-encoded, and '%'. at == NULL: the arena's
 * cap. */
struct span grpc_message(struct span text, struct arena *arena);

#endif
