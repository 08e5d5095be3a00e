/* What a route matches, as sets that can be compared: whether one takes all that another does. */
#ifndef WEIR_ROUTE_SHAPE_H
#define WEIR_ROUTE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/span.h"
#include "net/address.h"

struct arena;
struct map;
struct match_config;

enum path_kind { PATH_ANY, PATH_EXACT, PATH_PREFIX, PATH_REGEX };
struct path_shape {
    enum path_kind kind;
    struct span text, decoded; /* both forms in which it is matched; of a regular expression the pattern */
    /* of a regular expression: what all paths that match begin with; "": not known */
    struct span begins;
    bool all_that_begin; /* and all paths that begin so match */
};
struct host_shape {
    bool any, wildcard;
    struct span name;
};
/* A route made ready to be compared. */
struct shape {
    const struct match_config *match;
    size_t number, hosts_count, paths_count;
    struct host_shape *hosts;
    struct path_shape *paths;
    struct networks clients;
};
/* What comparing needs, and may cost. */
struct shaping {
    struct arena *arena;
    struct map *regexes; /* compiled, by pattern */
    uint64_t work;       /* comparisons of two texts */
};
struct shaping shaping_begin(void);
void shaping_end(struct shaping *shaping);
/* Zeroed, in its arena. */
void *shaping_get(struct shaping *shaping, size_t size);
/* False: more comparisons have been made than are to be; then nothing takes anything. */
bool shaping_work(struct shaping *shaping, uint64_t steps) MUST_CHECK;

/* NULL: it has a pattern that no request can match. */
struct shape *shape_new(struct shaping *shaping, const struct match_config *match, size_t number);
/* Whether `wide` matches every request that `narrow` matches. False also where that can't be seen. */
bool shape_covers(struct shaping *shaping, const struct shape *wide, const struct shape *narrow) MUST_CHECK;

#endif
