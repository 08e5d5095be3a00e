/*
 * Ejection: a server whose traffic fails is left out for some seconds (balancing.md 7). Beside adaptive,
 * which avoids it anyway, this spares the requests that find that out anew, and it guards the policies that
 * look at no errors. By traffic only: who is down by probes or refused connections is health's.
 *
 * What one client is answered tells of that client at least as much as of the server: errors count when they
 * come from several by turns (score_accused()).
 */
#ifndef WEIR_UPSTREAM_EJECTION_H
#define WEIR_UPSTREAM_EJECTION_H

#include <stdint.h>

struct pool;
struct server;

/* An attempt of this client failed there; client: as score_accused() takes it. */
void ejection_error(const struct pool *pool, struct server *server, uint32_t client, uint64_t now_us);
/* An attempt went well. */
void ejection_success(struct server *server);
/* The pool has been judged anew: who fails far more often than the others goes; and tells whether so few are
 * left that ejections do not count. */
void ejection_judge(const struct pool *pool, uint64_t now_us);
/* What was seen against it is void (probes that had failed as well pass again). */
void ejection_end(struct server *server);

#endif
