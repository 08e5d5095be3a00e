/* gRPC-Web of a browser on one side, gRPC of a server on the other, where a route says grpc_web. */
#ifndef WEIR_PROXY_GRPC_BRIDGE_H
#define WEIR_PROXY_GRPC_BRIDGE_H

#include <stdbool.h>

#include "base/attributes.h"
#include "http/failure.h"

struct buf;
struct exchange_run;
struct fields;

/* The request's head has come. When it is of gRPC-Web it becomes one of gRPC, and run->bridge is set; the
 * functions below are for such exchanges only. */
enum failure grpc_bridge_begin(struct exchange_run *run) MUST_CHECK;
/* A piece of the request's body, changed in place. */
enum failure grpc_bridge_request(struct exchange_run *run, struct buf *bytes, bool last) MUST_CHECK;
/*
 * The final head of the server's response becomes one of gRPC-Web; what is not of gRPC stays as it is. last:
 * there is no more than the head, whose status then goes to the body, into `bytes`: a page's script may not
 * be shown it among the fields.
 */
enum failure grpc_bridge_head(struct exchange_run *run, bool last, struct buf *bytes) MUST_CHECK;
/* A piece of the response's body, changed in place. */
enum failure grpc_bridge_response(struct exchange_run *run, struct buf *bytes, bool last) MUST_CHECK;
/* Its trailers, as the body's last bytes; none when the response is not of gRPC and keeps its own. */
enum failure grpc_bridge_trailers(struct exchange_run *run, const struct fields *trailers,
                                  struct buf *bytes) MUST_CHECK;
/* weir's own response: adds its Content-Type, and its status to `bytes`. */
enum failure grpc_bridge_answer(struct exchange_run *run, const struct fields *trailers,
                                struct buf *bytes) MUST_CHECK;

#endif
