/* Parts of control that stand alone: quotas, options, what the service manager is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/attributes.h"
#include "control/cores.h"
#include "control/memory_limit.h"
#include "control/options.h"
#include "control/service_notify.h"
#include "unit.h"

static void test_quota_is_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(cores_of_quota(SPAN("200000 100000\n")), 2);
    assert_int_equal(cores_of_quota(SPAN("150000 100000\n")), 2);
    assert_int_equal(cores_of_quota(SPAN("5000 100000")), 1);
    assert_int_equal(cores_of_quota(SPAN("max 100000\n")), 0);
    assert_int_equal(cores_of_quota(SPAN("1 0\n")), 0);
    assert_int_equal(cores_of_quota(SPAN_NONE), 0);
    assert_true(cores_available() >= 1);
}

/* ---- the limit of memory ---- */

static char groups[64];

static void put(const char *path, const char *text)
{
    char whole[256];
    snprintf(whole, sizeof whole, "%s/%s", groups, path);
    for (char *slash = strchr(whole + strlen(groups) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(whole, 0700);
        *slash = '/';
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static uint64_t group_limit(const char *self)
{
    char path[128];
    put("self", self);
    snprintf(path, sizeof path, "%s/self", groups);
    return memory_of_groups(groups, path);
}

static void test_memory_of_groups(void **state)
{
    (void)state;
    snprintf(groups, sizeof groups, "/tmp/weir-groups-XXXXXX");
    assert_non_null(mkdtemp(groups));
    put("system.slice/memory.max", "268435456\n");
    put("system.slice/weir.service/memory.max", "max\n");
    put("system.slice/weir.service/deep/memory.max", "536870912\n");
    put("small/memory.max", "1048576\n");
    put("system.slice/tight.service/memory.max", "65536\n");
    put("memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("memory/docker/memory.limit_in_bytes", "134217728\n");
    put("memory/docker/x/memory.limit_in_bytes", "9223372036854771712\n");
    put("unified/user/memory.max", "4096\n");
    assert_int_equal(group_limit("0::/system.slice/weir.service\n"), 268435456);
    assert_int_equal(group_limit("0::/system.slice/weir.service/deep\n"), 268435456);
    assert_int_equal(group_limit("0::/system.slice/other/not/there\n"), 268435456);
    assert_int_equal(group_limit("0::/system.slice/tight.service\n"), 65536);
    assert_int_equal(group_limit("0::/small\n"), 1048576);
    assert_int_equal(group_limit("0::/\n"), 0);
    assert_int_equal(group_limit("0::/user"), 4096);
    assert_int_equal(group_limit("5:cpu,cpuacct:/small\n4:memory:/docker/x\n0::/\n"), 134217728);
    assert_int_equal(group_limit("4:hugetlb,memory:/docker/x\n"), 134217728);
    assert_int_equal(group_limit("4:memory:/elsewhere\n"), 0);
    assert_int_equal(group_limit("4:memoryless:/docker/x\n"), 0);
    assert_int_equal(group_limit("4:memory:/docker/x\n0::/small\n"), 1048576);
    assert_int_equal(group_limit("nonsense\n:\n::\n"), 0);
    assert_int_equal(group_limit(""), 0);
    put("memory.max", "2097152\n"); /* of a container, which sees its own group as the root */
    assert_int_equal(group_limit("0::/docker/of/the/machine\n"), 2097152);
    assert_int_equal(memory_of_groups(groups, "/nowhere"), 0);
    char remove[128];
    snprintf(remove, sizeof remove, "rm -r %s", groups);
    assert_int_equal(system(remove), 0);
}

static const struct option_row rows[] = {
    {"config", 'c', "FILE", "the file"},
    {"quiet", 'q', NULL, "say nothing"},
    {"json", 'j', NULL, "for programs"},
    {NULL, 0, NULL, NULL},
};

/* What comes of arguments, as text: row numbers with values, then the rest. */
static const char *parsed(const char *line)
{
    static char result[256];
    char copy[256], *argv[16] = {NULL};
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    struct options options = {.command = "test", .arguments = "", .summary = "", .rows = rows};
    const char *value;
    int row;
    size_t at = 0;
    options_begin(&options, argc, argv);
    while ((row = options_next(&options, &value)) >= 0)
        at += (size_t)snprintf(result + at, sizeof result - at, "%d=%s ", row, value != NULL ? value : "");
    at += (size_t)snprintf(result + at, sizeof result - at, "%s",
                           row == OPTIONS_END    ? "|"
                           : row == OPTIONS_HELP ? "help"
                                                 : "bad");
    while (row == OPTIONS_END && (value = options_argument(&options)) != NULL)
        at += (size_t)snprintf(result + at, sizeof result - at, " %s", value);
    return result;
}

static void test_options(void **state)
{
    (void)state;
    static const struct {
        const char *line, *result;
    } cases[] = {
        {"test", "|"},
        {"test -c x", "0=x |"},
        {"test -cx", "0=x |"},
        {"test --config x --quiet", "0=x 1= |"},
        {"test --config=x=y", "0=x=y |"},
        {"test -qj -c - a b", "1= 2= 0=- | a b"},
        {"test -qcx y", "1= 0=x | y"},
        {"test -q -- -j", "1= | -j"},
        {"test -", "| -"},
        {"test -c", "bad"},
        {"test --config", "bad"},
        {"test --quiet=1", "bad"},
        {"test --confg x", "bad"},
        {"test -qx", "1= bad"},
        {"test --help", "help"},
        {"test -q -h", "1= help"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(parsed(cases[i].line), cases[i].result);
}

static void test_nearest_word(void **state)
{
    (void)state;
    static const char *const words[] = {"run", "check", "explain", "config", NULL};
    assert_string_equal(options_nearest(SPAN("chekc"), words), "check");
    assert_string_equal(options_nearest(SPAN("rum"), words), "run");
    assert_string_equal(options_nearest(SPAN("config"), words), "config");
    assert_null(options_nearest(SPAN("ru"), words + 1));
    assert_null(options_nearest(SPAN("status"), words));
}

static void receive(int reader, const char *expected)
{
    char text[256];
    ssize_t length = recv(reader, text, sizeof text - 1, MSG_DONTWAIT);
    assert_true(length > 0);
    text[length] = '\0';
    assert_int_equal(strncmp(text, expected, strlen(expected)), 0);
}

static void test_service_manager_is_told(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length =
        snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "weir-notify-test-%d", (int)getpid());
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    int reader = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(reader, (const struct sockaddr *)&address, size), 0);
    char name[128];
    snprintf(name, sizeof name, "@%s", address.sun_path + 1);
    service_notify_ready(); /* not opened: no harm */
    setenv("NOTIFY_SOCKET", name, 1);
    service_notify_open();
    service_notify_ready();
    receive(reader, "READY=1");
    service_notify_reloading();
    receive(reader, "RELOADING=1\nMONOTONIC_USEC=");
    service_notify_stopping(2500);
    receive(reader, "STOPPING=1\nEXTEND_TIMEOUT_USEC=2500000");
    close(reader);
    service_notify_ready(); /* nobody listens: no harm */
    unsetenv("NOTIFY_SOCKET");
    service_notify_ready();
}

static void test_watchdog_period(void **state)
{
    (void)state;
    char own[32];
    snprintf(own, sizeof own, "%d", (int)getpid());
    assert_int_equal(service_watchdog_period(), 0);
    setenv("WATCHDOG_USEC", "3000000", 1);
    assert_int_equal(service_watchdog_period(), 3000);
    setenv("WATCHDOG_PID", own, 1);
    assert_int_equal(service_watchdog_period(), 3000);
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(service_watchdog_period(), 0);
    unsetenv("WATCHDOG_PID");
    setenv("WATCHDOG_USEC", "soon", 1);
    assert_int_equal(service_watchdog_period(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_of_groups),
        cmocka_unit_test(test_quota_is_rounded_up),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_nearest_word),
        cmocka_unit_test(test_service_manager_is_told),
        cmocka_unit_test(test_watchdog_period),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
