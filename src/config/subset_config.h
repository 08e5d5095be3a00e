/* Which servers of a huge pool this weir uses (pool.subset). */
#ifndef WEIR_CONFIG_SUBSET_CONFIG_H
#define WEIR_CONFIG_SUBSET_CONFIG_H

#include "config/values.h"

#define SUBSET_NO_INDEX UINT64_MAX

struct subset_config {
    uint64_t size;  /* servers used; 0 (auto): as upstream/subset.c works out */
    uint64_t index; /* this weir's among those in front of the pool, from 0; with `of`, or SUBSET_NO_INDEX */
    uint64_t of;    /* how many these are; 0: not told, then the servers are drawn by `id` */
    const char *id; /* this weir's name among them; NULL: the host's */
};

#endif
