/*
 * What traffic shows of servers: slowness and errors against the rest of their pool (balancing.md 5). Workers
 * gather in cells of their own; one of them folds and judges a pool ten times a second. What is made of it is
 * the balancer's.
 */
#ifndef WEIR_UPSTREAM_SERVER_SCORE_H
#define WEIR_UPSTREAM_SERVER_SCORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "upstream/server.h"

struct pool;

#define SCORE_TICK_US 100000u

/* One worker's answers of one server since it last folded them. */
struct score_cell {
    float answers, errors; /* errors are among the answers */
    double logs, squares;
    float timeouts; /* and refusals, which are errors too; for server_limit.c */
    double timeout_logs;
    uint64_t least_us; /* of answers and timeouts; 0: none */
    uint64_t last_us;
};
/* An answer's head came after so long. When that is much too long, the next choice knows. */
void score_answered(struct score_cell *cell, const struct pool_shared *shared, struct server *server,
                    uint64_t waited_us, uint64_t now_us);
/* No answer came for so long, and then none was wanted any more: another server's was there. Without this a
 * server whose late answers are cancelled would be known by its quick ones. */
void score_outrun(struct score_cell *cell, const struct pool_shared *shared, struct server *server,
                  uint64_t waited_us, uint64_t now_us);
/* An attempt came to nothing by the server's doing: what its error costs in the next choice is told at once.
 */
void score_failed(struct score_cell *cell, const struct pool_shared *shared, struct server *server,
                  uint64_t now_us);
/* Of an error: whether it counts against the server, as it comes from a client that none of the last
 * `clients` - 1 errors that counted came from; client: a hash of its address; 0: nobody's request could have
 * fared better. */
bool score_accused(struct server *server, uint32_t client, unsigned clients, uint64_t now_us) MUST_CHECK;
/* Before score_failed(): it failed by not answering for so long. */
void score_timed_out(struct score_cell *cell, uint64_t waited_us);
void score_fold(struct score_cell *cell, struct server *server);
/* One server's sums at one instant. */
struct score_view {
    double answers, errors, accused, logs, squares;
    double kept_answers, kept_logs;
    uint64_t all_answers, all_errors; /* not decayed */
};
void score_lock(struct server_score *score);
void score_unlock(struct server_score *score);
struct score_view score_view(struct server *server, uint64_t now_us);
/* Share of errors, as far as there are answers to believe it; normal: the pool's own. */
double score_rate(double errors, const struct score_view *view, double normal);
/* True for one worker each SCORE_TICK_US, which then calls score_pool(). */
bool score_is_due(struct pool_shared *shared, uint64_t now_us) MUST_CHECK;
/* Judges all servers of the pool by each other. */
void score_pool(const struct pool *pool, uint64_t now_us);

#endif
