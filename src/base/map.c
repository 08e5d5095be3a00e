/* Open addressing with linear probes, at most three quarters full; removal moves the followers back, so there
 * are no tombstones. */
#include "base/map.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/hash.h"

struct map_entry {
    uint64_t hash;
    char *key;
    size_t length;
    void *value; /* NULL: the place is free */
};

struct map {
    struct map_entry *entries;
    size_t count, room; /* room is a power of two */
};

static struct map_entry *map_place(const struct map *map, struct span key, uint64_t hash)
{
    for (size_t at = hash & (map->room - 1);; at = (at + 1) & (map->room - 1)) {
        struct map_entry *entry = &map->entries[at];
        if (entry->value == NULL)
            return entry;
        if (entry->hash == hash && span_equal(span_make(entry->key, entry->length), key))
            return entry;
    }
}

static void map_grow(struct map *map)
{
    struct map_entry *old = map->entries;
    size_t old_room = map->room;
    map->room *= 2;
    map->entries = xcalloc(map->room, sizeof *map->entries);
    for (size_t i = 0; i < old_room; i++)
        if (old[i].value != NULL)
            *map_place(map, span_make(old[i].key, old[i].length), old[i].hash) = old[i];
    free(old);
}

struct map *map_new(void)
{
    hash_init();
    struct map *map = xmalloc(sizeof *map);
    map->count = 0;
    map->room = 16;
    map->entries = xcalloc(map->room, sizeof *map->entries);
    return map;
}

void map_free(struct map *map)
{
    if (map == NULL)
        return;
    for (size_t i = 0; i < map->room; i++)
        free(map->entries[i].key);
    free(map->entries);
    free(map);
}

void *map_get(const struct map *map, struct span key)
{
    return map_place(map, key, hash_keyed(key))->value;
}

void map_set(struct map *map, struct span key, void *value)
{
    assert(value != NULL);
    uint64_t hash = hash_keyed(key);
    struct map_entry *entry = map_place(map, key, hash);
    if (entry->value != NULL) {
        entry->value = value;
        return;
    }
    if ((map->count + 1) * 4 > map->room * 3) {
        map_grow(map);
        entry = map_place(map, key, hash);
    }
    char *copy = xmalloc(key.length);
    if (key.length != 0)
        memcpy(copy, key.at, key.length);
    *entry = (struct map_entry){.hash = hash, .key = copy, .length = key.length, .value = value};
    map->count++;
}

void *map_remove(struct map *map, struct span key)
{
    struct map_entry *entry = map_place(map, key, hash_keyed(key));
    void *value = entry->value;
    if (value == NULL)
        return NULL;
    free(entry->key);
    size_t mask = map->room - 1;
    size_t hole = (size_t)(entry - map->entries);
    for (size_t at = (hole + 1) & mask; map->entries[at].value != NULL; at = (at + 1) & mask) {
        size_t home = map->entries[at].hash & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue; /* its home lies behind the hole: it must stay */
        map->entries[hole] = map->entries[at];
        hole = at;
    }
    map->entries[hole] = (struct map_entry){.value = NULL};
    map->count--;
    return value;
}

size_t map_count(const struct map *map)
{
    return map->count;
}

bool map_next(const struct map *map, size_t *at, struct span *key, void **value)
{
    for (; *at < map->room; ++*at) {
        const struct map_entry *entry = &map->entries[*at];
        if (entry->value == NULL)
            continue;
        *key = span_make(entry->key, entry->length);
        *value = entry->value;
        ++*at;
        return true;
    }
    return false;
}
