/* Limiters by name, and requests in flight by route; they outlive reloads while what they count stays the
 * same. For the thread that loads. */
#include "filter/limiter_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/pages.h"
#include "config/limiter_config.h"
#include "filter/filter.h"
#include "filter/limiter.h"

struct limiter_set {
    size_t count, room;
    struct limiter **limiters;
    uint64_t build;
    size_t tables_count, tables_room;
    struct in_flight_table **tables;
};

struct limiter_set *limiter_set_new(void)
{
    return xcalloc(1, sizeof(struct limiter_set));
}

static void table_free(struct in_flight_table *table)
{
    pages_free((void *)table->words, table->buckets * CACHE_LINE);
    free(table);
}

void limiter_set_free(struct limiter_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++)
        limiter_release(set->limiters[i]);
    for (size_t i = 0; i < set->tables_count; i++)
        table_free(set->tables[i]);
    free(set->tables);
    free(set->limiters);
    free(set);
}

void limiter_set_begin(struct limiter_set *set)
{
    set->build++;
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
    kept = 0;
    for (size_t i = 0; i < set->tables_count; i++) {
        if (set->tables[i]->users == 0)
            table_free(set->tables[i]);
        else
            set->tables[kept++] = set->tables[i];
    }
    set->tables_count = kept;
}

struct limiter *limiter_set_find(struct limiter_set *set, const struct limiter_config *config)
{
    for (size_t i = set->count; i-- > 0;) /* the newest of a name first */
        if (strcmp(limiter_name(set->limiters[i]), config->name) == 0 &&
            limiter_is_same(set->limiters[i], config))
            return limiter_take(set->limiters[i]);
    struct limiter *limiter = limiter_new(config);
    if (limiter == NULL)
        return NULL;
    if (set->count == set->room) {
        set->room = set->room == 0 ? 8 : set->room * 2;
        set->limiters = xrealloc(set->limiters, set->room * sizeof *set->limiters);
    }
    set->limiters[set->count++] = limiter;
    return limiter_take(limiter);
}

static struct in_flight_table *table_new(uint64_t whose, uint64_t buckets)
{
    struct in_flight_table *table = xcalloc(1, sizeof *table);
    table->whose = whose;
    table->buckets = buckets;
    table->words = pages_new(buckets * CACHE_LINE); /* a bucket is a line */
    if (table->words == NULL) {
        free(table);
        return NULL;
    }
    return table;
}

static struct in_flight_table *table_take(struct limiter_set *set, struct in_flight_table *table)
{
    table->build = set->build;
    table->users++;
    return table;
}

struct in_flight_table *limiter_set_in_flight(struct limiter_set *set, uint64_t whose, uint64_t buckets)
{
    for (size_t i = 0; i < set->tables_count; i++) {
        struct in_flight_table *table = set->tables[i];
        if (table->whose == whose && table->buckets == buckets && table->build != set->build)
            return table_take(set, table);
    }
    struct in_flight_table *table = table_new(whose, buckets);
    if (table == NULL)
        return NULL;
    if (set->tables_count == set->tables_room) {
        set->tables_room = set->tables_room == 0 ? 8 : set->tables_room * 2;
        set->tables = xrealloc(set->tables, set->tables_room * sizeof(struct in_flight_table *));
    }
    set->tables[set->tables_count++] = table;
    return table_take(set, table);
}

void in_flight_table_release(struct in_flight_table *table)
{
    if (table != NULL)
        table->users--;
}
