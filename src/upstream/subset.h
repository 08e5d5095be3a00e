/* Which servers of a huge pool one weir uses (pool.subset). */
#ifndef WEIR_UPSTREAM_SUBSET_H
#define WEIR_UPSTREAM_SUBSET_H

#include <stdbool.h>
#include <stddef.h>

struct pool;
struct pool_config;
struct text;

/* Sets used[i] for each server of the file that is used; backups always are. */
void subset_choose(const struct pool_config *config, bool *used);
/* "20 of 200 servers, as weir 3 of 10", for a pool that has a subset. */
void subset_print(const struct pool *pool, struct text *to);
void subset_log(const struct pool *pool);

#endif
