/* The keys of pool.subset, and what they have to do with each other. */
#include "config/subset_config.h"

#include "config/config_schema.h"
#include "config/pool_config.h"

#define SUBSET struct subset_config
static const struct schema_key subset_keys[] = {
    KEY_INT(
        SUBSET, size, "auto", 1, 100000,
        "Servers that this weir uses. auto: a tenth of them with index, 20 at least and so many that none is "
        "left out; otherwise 64.",
        .word = "auto"),
    KEY_INT(SUBSET, index, NULL, 0, 99999, "Which of the weirs this one is, from 0; every one has its own.",
            .unset = SUBSET_NO_INDEX),
    KEY_INT(SUBSET, of, NULL, 1, 100000, "How many weirs stand in front of the pool."),
    KEY_STRING(
        SUBSET, id, NULL,
        "This weir's name, by which its servers are drawn where there is no index; by default the host's name.",
        .check = syntax_name, .flags = SCHEMA_TOLD),
    KEY_END};
const struct schema subset_schema = {.noun = "subset",
                                     .size = sizeof(SUBSET),
                                     .keys = subset_keys,
                                     .shorthand = "size",
                                     .text = "Lets this weir use a part of a huge pool."};

struct check {
    const struct pool_config *pool;
    const struct schema_document *document;
    struct schema_report *report;
};

static struct schema_place place_of(const struct check *check, const void *field)
{
    return schema_place(check->document, field);
}

static void index_check(const struct check *check)
{
    const struct subset_config *subset = check->pool->subset;
    struct schema_place index = place_of(check, &subset->index), of = place_of(check, &subset->of),
                        id = place_of(check, &subset->id);
    if (subset->index != SUBSET_NO_INDEX && subset->of == 0)
        schema_report_add(check->report, SCHEMA_ERROR, index,
                          "index needs of: how many weirs stand in front of the pool");
    else if (subset->index == SUBSET_NO_INDEX && subset->of != 0)
        schema_report_add(check->report, SCHEMA_ERROR, of,
                          "of needs index: which of the %llu this one is, from 0 to %llu",
                          (unsigned long long)subset->of, (unsigned long long)subset->of - 1);
    else if (subset->of != 0 && subset->index >= subset->of)
        schema_report_add(check->report, SCHEMA_ERROR, index,
                          "weirs are counted from 0; of %llu the last has the index %llu",
                          (unsigned long long)subset->of, (unsigned long long)subset->of - 1);
    else if (subset->of != 0 && id.source != NULL)
        schema_report_add(check->report, SCHEMA_WARNING, id, "id has no effect where there is an index");
}

/* Servers come and go, so a size that does not fit them is no error: that would keep a file from being loaded
 * because a server has gone. */
static void size_check(const struct check *check)
{
    const struct subset_config *subset = check->pool->subset;
    unsigned long long servers = 0, size = subset->size, of = subset->of;
    for (size_t i = 0; i < check->pool->servers_count; i++)
        servers += check->pool->servers[i].backup == BACKUP_NOT ? 1 : 0;
    if (size > servers)
        schema_report_add(check->report, SCHEMA_WARNING, place_of(check, &subset->size),
                          "pool \"%s\" has %llu servers; a subset of %llu is all of them", check->pool->name,
                          servers, size);
    else if (of != 0 && size * of < servers)
        schema_report_add(check->report, SCHEMA_WARNING, place_of(check, &subset->size),
                          "%llu weirs with %llu servers each leave %llu of the %llu of pool \"%s\" without "
                          "requests; write a size of at least %llu",
                          of, size, servers - size * of, servers, check->pool->name, (servers + of - 1) / of);
}

void subset_check(const struct pool_config *pool, bool own, const struct schema_document *document,
                  struct schema_report *report)
{
    const struct check check = {pool, document, report};
    const char *bound = pool->balance == BALANCE_HASH ? "a key" : pool->sticky != NULL ? "a client" : NULL;
    if (!schema_is_broken(document, pool->subset))
        index_check(&check);
    if (own && pool->subset->size != 0)
        size_check(&check);
    if (bound != NULL)
        schema_report_add(
            report, SCHEMA_WARNING, schema_place_section(document, pool->subset),
            "%s that comes through another weir goes to another server; each has a subset of its own", bound);
}
