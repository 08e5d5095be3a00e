/*
 * Subsets of huge pools (balancing.md 9), so that weirs times servers does not exhaust connections and
 * checks. All weirs put the servers into the same order, that of a hash of their names; the weir of an index
 * takes an arc of it, and the arcs begin at even distances. So the weirs that use one server and those that
 * use another differ by one in number at most, whatever the sizes, and a server that comes or goes changes
 * two servers of a weir at most. (Arcs that begin where the one before ends are as even, but a size that
 * changes by one then moves nearly all of them.) A weir without an index draws: the servers whose names,
 * hashed with its own, come first.
 */
#include "upstream/subset.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "upstream/pool.h"

/* Of balancing.md 9: fewer are too uneven in what they can do to be balanced well. */
#define ARC_LEAST 20u
#define ARC_SHARE 10u   /* one in so many */
#define DRAWN 64u       /* as weirs that do not know of each other are even by luck alone */
#define NAMES_MOST 900u /* bytes of names in a line of the log */

struct candidate {
    uint64_t rank;
    const struct server_config *server;
    size_t at; /* in the file */
};

static const char *name_of(const struct server_config *server)
{
    return server->name != NULL ? server->name : server->address;
}

static int candidate_compare(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return strcmp(a->server->address, b->server->address);
}

static size_t arc_length(size_t servers, size_t weirs)
{
    size_t length = servers / ARC_SHARE, needed = (servers + weirs - 1) / weirs;
    length = length > ARC_LEAST ? length : ARC_LEAST;
    return length > needed ? length : needed;
}

/* This weir's name where it has no index. */
static const char *weir_id(const struct subset_config *subset, char *memory, size_t size)
{
    if (subset->id != NULL)
        return subset->id;
    if (gethostname(memory, size) != 0)
        memory[0] = '\0';
    memory[size - 1] = '\0';
    return memory;
}

/* The same in every process and for every order of the file. */
static void candidates_rank(struct candidate *candidates, size_t count, const struct pool_config *config)
{
    char memory[256];
    const struct subset_config *subset = config->subset;
    const char *id = subset->of != 0 ? "" : weir_id(subset, memory, sizeof memory);
    const uint64_t plain[2] = {0x7765697253ull, 0};
    const uint64_t key[2] = {hash_sip13(plain, span_of(config->name)), hash_sip13(plain, span_of(id))};
    for (size_t i = 0; i < count; i++)
        candidates[i].rank = hash_sip13(key, span_of(name_of(candidates[i].server)));
    qsort(candidates, count, sizeof *candidates, candidate_compare);
}

void subset_choose(const struct pool_config *config, bool *used)
{
    const struct subset_config *subset = config->subset;
    struct candidate *candidates = xcalloc(config->servers_count + 1, sizeof *candidates);
    size_t count = 0, first = 0, size = (size_t)subset->size;
    for (size_t i = 0; i < config->servers_count; i++) {
        used[i] = config->servers[i].backup != BACKUP_NOT;
        if (!used[i])
            candidates[count++] = (struct candidate){.server = &config->servers[i], .at = i};
    }
    candidates_rank(candidates, count, config);
    if (subset->of != 0)
        first = (size_t)(subset->index * count / subset->of);
    if (size == 0)
        size = subset->of != 0 ? arc_length(count, (size_t)subset->of) : DRAWN;
    for (size_t i = 0; i < size && i < count; i++)
        used[candidates[(first + i) % count].at] = true;
    free(candidates);
}

/* --- what it says --- */

void subset_print(const struct pool *pool, struct text *to)
{
    const struct subset_config *subset = pool->config->subset;
    char memory[256];
    text_print(to, "%zu of %zu servers, ", pool->servers_count, pool->config->servers_count);
    if (subset->of != 0)
        text_print(to, "as weir %llu of %llu", (unsigned long long)subset->index,
                   (unsigned long long)subset->of);
    else
        text_print(to, "drawn for %s", weir_id(subset, memory, sizeof memory));
}

void subset_log(const struct pool *pool)
{
    char what[320], names[NAMES_MOST + 320];
    struct text text = text_over(what, sizeof what), list = text_over(names, sizeof names);
    size_t told = 0;
    subset_print(pool, &text);
    for (; told < pool->servers_count && list.length < NAMES_MOST; told++)
        text_print(&list, "%s%.255s", told == 0 ? "" : " ", pool->servers[told].server->name);
    if (told < pool->servers_count)
        text_print(&list, " and %zu more", pool->servers_count - told);
    log_info("balance", "pool is used in part", KV("pool", pool->name), KV("uses", what),
             KV("servers", names));
}
