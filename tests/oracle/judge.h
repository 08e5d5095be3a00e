/*
 * The verdicts: what one end has seen is held against what the other has really sent. A function that returns
 * false (or NULL) has told a fault, and the exchange is given up; who called looks whether its link is dead.
 */
#ifndef ORACLE_JUDGE_H
#define ORACLE_JUDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "oracle/exchange.h"

struct message;

/* ---- at a server ---- */

/* A request's head, come to a server of that pool. `ended`: this server had already ended the connection;
 * then the request is noted and NULL returned without a fault. */
struct attempt *judge_request(const struct message *message, unsigned pool, bool ended, struct link *link);
bool judge_request_body(struct attempt *attempt, const char *bytes, size_t length);
bool judge_request_end(struct attempt *attempt, const struct message *trailers);
/* The stream or connection is gone: whether it may be, with what has passed. The attempt is over. */
void judge_server_gone(struct attempt *attempt, const char *how);

/* ---- at a client ---- */

bool judge_interim(struct exchange *exchange, const struct message *message);
bool judge_answer(struct exchange *exchange, const struct message *message);
bool judge_answer_body(struct exchange *exchange, const char *bytes, size_t length);
bool judge_answer_end(struct exchange *exchange, const struct message *trailers);
/* The stream or connection is gone before the answer's end. The exchange is over. */
void judge_client_gone(struct exchange *exchange, const char *how);

/* Whether what servers have seen by now explains an answer of weir's own, or none. */
bool judge_explains(const struct exchange *exchange);

/* ---- tunnels ---- */

bool judge_tunnel_down(struct exchange *exchange, const char *bytes, size_t length);
bool judge_tunnel_up(struct attempt *attempt, const char *bytes, size_t length);
/* A side has seen the other's end. */
bool judge_tunnel_down_end(struct exchange *exchange);
bool judge_tunnel_up_end(struct attempt *attempt);

#endif
