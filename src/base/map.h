/* A map keyed by bytes (open addressing, keyed hash so that nobody outside can choose collisions). Keys are
 * copied. */
#ifndef WEIR_BASE_MAP_H
#define WEIR_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

struct map;

struct map *map_new(void);
void map_free(struct map *map); /* not the values; NULL allowed */
void *map_get(const struct map *map, struct span key);
void map_set(struct map *map, struct span key, void *value); /* value must not be NULL; replaces */
void *map_remove(struct map *map, struct span key);
size_t map_count(const struct map *map);
/* Walks in unspecified order: start with *at = 0; false at the end. */
bool map_next(const struct map *map, size_t *at, struct span *key, void **value);

#endif
