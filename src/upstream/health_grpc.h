/*
 * The question and the answer of grpc.health.v1.Health/Check (github.com/grpc/grpc, doc/health-checking.md)
 * as bytes: two messages of one field each. Who sends and receives them is health_probe.c.
 */
#ifndef WEIR_UPSTREAM_HEALTH_GRPC_H
#define WEIR_UPSTREAM_HEALTH_GRPC_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/span.h"
#include "upstream/health_probe.h"

struct buf;

#define HEALTH_GRPC_PATH "/grpc.health.v1.Health/Check"
#define HEALTH_GRPC_ANSWER_MOST 4096u /* bytes of body that are looked at: an answer has seven */

/* false: no memory. */
bool health_grpc_ask(struct buf *bytes, struct span service) MUST_CHECK;
/* body: all of it; status: of grpc-status, wherever it stood; at == NULL: there was none. PASSED, FAILED, or
 * SICK: the server answers with another word than SERVING. why: for people, a static text. */
enum probe_verdict health_grpc_judge(struct span body, struct span status, const char **why);

#endif
