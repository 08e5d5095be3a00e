/* Reads sched_getaffinity() and the cpu.max files of cgroup v2, from the process's group up to the root. */
#include "control/cores.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

struct span group_file_read(const char *path, char *memory, size_t room)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return SPAN_NONE;
    ssize_t length = read(descriptor, memory, room);
    close(descriptor);
    return length > 0 ? span_make(memory, (size_t)length) : SPAN_NONE;
}

/* The path of this process's group, such as "/system.slice/weir.service", as a C string; false without cgroup
 * v2. */
static bool cores_group(char *path, size_t room)
{
    char memory[4096];
    struct span text = group_file_read("/proc/self/cgroup", memory, sizeof memory);
    while (text.length > 0) {
        size_t end = span_find(text, '\n');
        struct span line = span_first(text, end);
        text = span_skip(text, end < text.length ? end + 1 : end);
        if (!span_starts(line, SPAN("0::/")))
            continue;
        line = span_skip(line, 3);
        if (line.length >= room)
            return false;
        memcpy(path, line.at, line.length);
        path[line.length] = '\0';
        return true;
    }
    return false;
}

/* The least quota on the way up; 0: none. */
static uint64_t cores_quota(void)
{
    char group[2048], path[2200], memory[128];
    uint64_t least = 0;
    if (!cores_group(group, sizeof group))
        return 0;
    for (;;) {
        snprintf(path, sizeof path, CGROUP_ROOT "%s/cpu.max", group);
        uint64_t cores = cores_of_quota(group_file_read(path, memory, sizeof memory));
        if (cores != 0 && (least == 0 || cores < least))
            least = cores;
        char *slash = strrchr(group, '/');
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

uint64_t cores_of_quota(struct span text)
{
    uint64_t quota, period;
    text = span_first(text, span_find(text, '\n'));
    size_t space = span_find(text, ' ');
    if (space == text.length || !text_to_number(span_first(text, space), UINT32_MAX, &quota) ||
        !text_to_number(span_skip(text, space + 1), UINT32_MAX, &period) || period == 0)
        return 0;
    uint64_t cores = (quota + period - 1) / period;
    return cores > 0 ? cores : 1;
}

unsigned cores_available(void)
{
    cpu_set_t set;
    int count =
        sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t quota = cores_quota();
    if (quota != 0 && quota < (uint64_t)count)
        count = (int)quota;
    return count > 0 ? (unsigned)count : 1;
}
