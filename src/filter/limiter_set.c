/* Limiters by name; they outlive reloads while what they count stays the same. Control thread. */
#include "filter/limiter_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "config/limiter_config.h"
#include "filter/filter.h"
#include "filter/limiter.h"

struct limiter_set {
    size_t count, room;
    struct limiter **limiters;
};

struct limiter_set *limiter_set_new(void)
{
    return xcalloc(1, sizeof(struct limiter_set));
}

void limiter_set_free(struct limiter_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++)
        limiter_release(set->limiters[i]);
    free(set->limiters);
    free(set);
}

void limiter_set_sweep(struct limiter_set *set)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (limiter_is_unused(set->limiters[i]))
            limiter_release(set->limiters[i]);
        else
            set->limiters[kept++] = set->limiters[i];
    }
    set->count = kept;
}

struct limiter *limiter_set_find(struct limiter_set *set, const struct limiter_config *config)
{
    for (size_t i = set->count; i-- > 0;) /* the newest of a name first */
        if (strcmp(limiter_name(set->limiters[i]), config->name) == 0 &&
            limiter_is_same(set->limiters[i], config))
            return limiter_take(set->limiters[i]);
    if (set->count == set->room) {
        set->room = set->room == 0 ? 8 : set->room * 2;
        set->limiters = xrealloc(set->limiters, set->room * sizeof *set->limiters);
    }
    struct limiter *limiter = limiter_new(config);
    set->limiters[set->count++] = limiter;
    return limiter_take(limiter);
}
