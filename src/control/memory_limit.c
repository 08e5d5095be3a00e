/* Reads memory.max (cgroup v2) or memory.limit_in_bytes (v1) from the process's group up to the root. */
#include "control/memory_limit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/attributes.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "config/config.h"
#include "control/cores.h"
#include "control/restart_keys.h"
#include "schema/schema.h"
#include "schema/schema_report.h"

#define GROUPS "/sys/fs/cgroup"
#define GROUP_OF_SELF "/proc/self/cgroup"

/*
 * Of what a group may have: the rest is for what the kernel counts against the same group and weir does not
 * hold, the buffers of its sockets first, then pages of files and tables of descriptors. Who knows better
 * says a number.
 */
#define SHARE_OF 3 / 4
/* These bound addresses, of which what is kept free takes some, too. */
#define PART_OF_OWN 2
#define THREADS_BESIDE 2u               /* workers: control's is the process's first, and the log's */
#define STACK_USUAL ((uint64_t)2 << 20) /* of a thread where none is told: the C library's on x86_64 */
#define OTHERWISE ((uint64_t)1 << 30)
#define NO_LIMIT ((uint64_t)1 << 62) /* version 1 says a number of pages that no machine has */

static uint64_t read_limit(const char *path)
{
    char memory[64];
    uint64_t bytes;
    struct span text = group_file_read(path, memory, sizeof memory);
    text = span_first(text, span_find(text, '\n'));
    return text_to_number(text, UINT64_MAX, &bytes) && bytes < NO_LIMIT ? bytes : 0; /* else "max" */
}

static uint64_t lesser(uint64_t one, uint64_t other)
{
    return one == 0 || (other != 0 && other < one) ? other : one;
}

/* In a container the path may be of the machine outside: then only the root is there, and is its own. */
static uint64_t least_on_the_way_up(const char *mount, struct span group, const char *name)
{
    char path[4096];
    uint64_t least = 0;
    for (;;) {
        snprintf(path, sizeof path, "%s%.*s/%s", mount, (int)group.length, group.at, name);
        least = lesser(least, read_limit(path));
        if (group.length == 0)
            return least;
        size_t length = group.length;
        while (length != 0 && group.at[length - 1] != '/')
            length--;
        group = span_first(group, length != 0 ? length - 1 : 0);
    }
}

static bool names_memory(struct span controllers)
{
    struct span name;
    while (controllers.length != 0) {
        size_t end = span_find(controllers, ',');
        name = span_first(controllers, end);
        if (span_equal(name, SPAN("memory")))
            return true;
        controllers = span_skip(controllers, end < controllers.length ? end + 1 : end);
    }
    return false;
}

/* One line: number:controllers:path, of version 2 "0::path". */
static uint64_t limit_of_line(const char *root, struct span line)
{
    char mount[4096];
    size_t first = span_find(line, ':');
    if (first == line.length)
        return 0;
    struct span rest = span_skip(line, first + 1);
    size_t second = span_find(rest, ':');
    if (second == rest.length)
        return 0;
    struct span controllers = span_first(rest, second), group = span_skip(rest, second + 1);
    if (span_equal(group, SPAN("/")))
        group = SPAN("");
    if (controllers.length != 0) {
        snprintf(mount, sizeof mount, "%s/memory", root);
        return names_memory(controllers) ? least_on_the_way_up(mount, group, "memory.limit_in_bytes") : 0;
    }
    snprintf(mount, sizeof mount, "%s/unified", root);
    return lesser(least_on_the_way_up(root, group, "memory.max"),
                  least_on_the_way_up(mount, group, "memory.max"));
}

uint64_t memory_of_groups(const char *root, const char *self)
{
    char memory[8192];
    uint64_t least = 0;
    struct span text = group_file_read(self, memory, sizeof memory);
    while (text.length != 0) {
        size_t end = span_find(text, '\n');
        least = lesser(least, limit_of_line(root, span_first(text, end)));
        text = span_skip(text, end < text.length ? end + 1 : end);
    }
    return least;
}

/* What getrlimit() said; 0: there is no limit. */
static uint64_t bound_of(int failed, const struct rlimit *limit)
{
    return failed == 0 && limit->rlim_cur < NO_LIMIT ? limit->rlim_cur : 0;
}

static uint64_t memory_of_resources(void)
{
    struct rlimit data, addresses;
    return lesser(bound_of(getrlimit(RLIMIT_DATA, &data), &data),
                  bound_of(getrlimit(RLIMIT_AS, &addresses), &addresses));
}

/* What is left of that beside threads' stacks, of which all addresses count from the start. */
static uint64_t left_beside_stacks(const struct config *config)
{
    struct rlimit stack;
    uint64_t most = memory_of_resources(), one = bound_of(getrlimit(RLIMIT_STACK, &stack), &stack);
    uint64_t stacks = (restart_workers(config) + THREADS_BESIDE) * (one != 0 ? one : STACK_USUAL);
    return stacks < most / 4 * 3 ? most - stacks : most / 4;
}

struct memory_found memory_limit_find(const struct config *config)
{
    if (config->limits.memory != LIMITS_AUTO)
        return (struct memory_found){config->limits.memory, "limits.memory"};
    struct memory_found group = {memory_of_groups(GROUPS, GROUP_OF_SELF) * SHARE_OF,
                                 "three quarters of what its control group may have"},
                        own = {left_beside_stacks(config) / PART_OF_OWN,
                               "half of what RLIMIT_DATA or RLIMIT_AS leaves beside its threads' stacks"};
    if (group.bytes == 0 && own.bytes == 0)
        return (struct memory_found){OTHERWISE, "the default"};
    return own.bytes == 0 || (group.bytes != 0 && group.bytes < own.bytes) ? group : own;
}

void memory_limit_set(const struct config *config)
{
    static uint64_t before; /* control's */
    struct memory_found found = memory_limit_find(config);
    memory_limit(found.bytes);
    memory_set_apart();
    if (found.bytes != before)
        log_info("control", "limit of memory", KV_NUMBER("bytes", found.bytes), KV("from", found.from),
                 KV_NUMBER("for_the_file", memory_held_for_file()));
    before = found.bytes;
}

void memory_limit_check(const struct config *config, const struct schema_document *document,
                        struct schema_report *report)
{
    struct memory_found found = memory_limit_find(config);
    uint64_t group = memory_of_groups(GROUPS, GROUP_OF_SELF), keys = config_keys_size(config),
             own = memory_of_resources();
    struct schema_place place = schema_place(document, &config->limits.memory);
    if (group != 0 && found.bytes > group)
        schema_report_add(report, SCHEMA_WARNING, place,
                          "limits.memory is more than the %" PRIu64
                          "MiB that the control group of this process may have; where weir is to run in it, "
                          "the kernel would end it before load is shed",
                          group >> 20);
    if (own != 0 && found.bytes > own)
        schema_report_add(
            report, SCHEMA_WARNING, place,
            "limits.memory is more than the %" PRIu64
            "MiB that this process itself may have (RLIMIT_DATA, RLIMIT_AS; systemd's LimitDATA, "
            "LimitAS); memory would run out before load is shed",
            own >> 20);
    if (config->limits.memory == LIMITS_AUTO && keys > found.bytes)
        schema_report_add(report, SCHEMA_WARNING, place,
                          "the keys of rate_limits and in_flight may come to %" PRIu64
                          "MiB, more than the %" PRIu64
                          "MiB of limits.memory (%s); lower their `keys`, or raise "
                          "limits.memory",
                          keys >> 20, found.bytes >> 20, found.from);
}
