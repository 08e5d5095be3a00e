#include "oracle/subject.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "oracle/plan.h"
#include "oracle/report.h"
#include "oracle/settings.h"

#define LOG_ROOM (8u << 20)

static struct {
    pid_t pid; /* 0: there is none */
    int log;   /* its standard output, where the access log goes */
    char *ring;
    size_t logged; /* bytes in all; the last LOG_ROOM are in the ring */
    char errors[512], folder[400];
    unsigned generation;
} subject;

/* ---- its file ---- */

static void write_pool(FILE *file, const char *folder, unsigned number, unsigned generation)
{
    static const char *const versions[POOLS] = {"http/1.1", "h2c", "http/1.1", "h2"};
    fprintf(file, "  p%u: { protocol: %s, servers: [\"127.0.0.1:%u\", \"127.0.0.1:%u\"", number,
            versions[number], settings.server_ports[number][0], settings.server_ports[number][1]);
    if (generation % 2 == 1) /* it comes and goes with each reload */
        fprintf(file, ", \"127.0.0.1:%u\"", settings.server_ports[number][2]);
    fprintf(file, "]");
    if (number >= 2)
        fprintf(file, ", tls: { ca: %s/ca.crt, server_name: p%u.test }", folder, number);
    fprintf(file, " }\n");
}

static void write_routes(FILE *file, unsigned pool)
{
    static const char upgrades[] = "upgrades: [websocket, tcp, \"SPDY/3.1\"]";
    fprintf(
        file,
        "  - { match: { host: p%u.test, header: { x-hedge: \"1\" } }, pool: p%u, hedge: { after: 4ms, budget: 5%% } }\n"
        "  - { match: { host: p%u.test, header: { x-limit: \"1\" } }, pool: p%u, body_limit: %uB }\n",
        pool, pool, pool, pool, LIMIT_BYTES);
    for (unsigned i = 0; i < POOLS; i++)
        if (i != pool)
            fprintf(file,
                    "  - { match: { host: p%u.test, header: { x-mirror: \"%u\" } }, pool: p%u, %s,\n"
                    "      mirror: { pool: p%u, max_in_flight: 100000, timeout: 1h } }\n",
                    pool, i + 1, pool, upgrades, i);
    fprintf(file, "  - { match: { host: p%u.test }, pool: p%u, %s }\n", pool, pool, upgrades);
}

/*
 * Each generation differs from the last by a route that nobody asks for, a server of each pool, and by
 * nothing that a client's connection goes by. Waits of weir's own are longer than any of the oracle's: on a
 * machine that is slow, they must not end what the plan goes on with.
 */
static bool write_file(const char *folder, const char *path, unsigned generation)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return false;
    fprintf(
        file,
        "workers: 2\nlisteners:\n"
        "  - { address: \"127.0.0.1:%u\", protocols: [h2c, http/1.1] }\n"
        "  - { address: \"127.0.0.1:%u\", tls: { certificates: [ { cert: %s/leaf.crt, key: %s/leaf.key } ] "
        "} }\n",
        settings.weir_ports[0], settings.weir_ports[1], folder, folder);
    fprintf(
        file,
        "timeouts: { request_head: 2m, keep_alive: 5m, request_idle: 5m, write: 5m, response: 5m, response_idle: 5m, linger: 1m, "
        "ping: none }\n"
        "tls: { handshake_timeout: 1m }\n"
        "limits: { least_body_rate: none, least_read_rate: none }\n");
    fprintf(file, "routes:\n  - { match: { host: g%u.test }, respond: 404 }\n", generation);
    for (unsigned i = 0; i < POOLS; i++)
        write_routes(file, i);
    /* What the servers do here on purpose must not take them out. */
    fprintf(
        file,
        "defaults:\n  pool:\n    balance: round_robin\n    max_connections: 100000\n    connect_timeout: 1m\n    fast_down: 1000\n"
        "    outlier: { most: 0%% }\n    retry: { attempts: 2, budget: 100%% }\npools:\n");
    for (unsigned i = 0; i < POOLS; i++)
        write_pool(file, folder, i, generation);
    return fclose(file) == 0;
}

/* ---- its life ---- */

static void run(const char *path, int log)
{
    int errors = open(subject.errors, O_WRONLY | O_CREAT | O_TRUNC, 0644),
        nothing = open("/dev/null", O_RDONLY);
    if (errors < 0 || nothing < 0 || dup2(nothing, 0) < 0 || dup2(log, 1) < 0 || dup2(errors, 2) < 0)
        _exit(2);
    (void)prctl(PR_SET_PDEATHSIG,
                SIGKILL); /* it ends with the oracle, however that ends, and be it stopped */
    (void)setenv("ASAN_OPTIONS", "exitcode=99:detect_leaks=1:abort_on_error=0", 1);
    (void)setenv("UBSAN_OPTIONS", "print_stacktrace=1", 1);
    (void)setenv("TSAN_OPTIONS", "exitcode=66", 1);
    (void)execl(settings.weir, settings.weir, "run", "-c", path, (char *)NULL);
    _exit(2);
}

/* The whole of what it wrote to standard error; the caller frees it. */
static char *errors_text(void)
{
    struct stat facts;
    int fd = open(subject.errors, O_RDONLY);
    if (fd < 0 || fstat(fd, &facts) != 0)
        return strdup("");
    char *text = calloc(1, (size_t)facts.st_size + 1);
    if (text == NULL || read(fd, text, (size_t)facts.st_size) < 0)
        abort();
    close(fd);
    return text;
}

static bool is_ready(void)
{
    char *text = errors_text();
    bool ready = strstr(text, "message=ready") != NULL;
    free(text);
    return ready;
}

static void print_errors(void)
{
    char *text = errors_text();
    size_t length = strlen(text);
    printf("  weir wrote:\n%s\n", length > 6000 ? text + length - 6000 : text);
    free(text);
}

static bool has_ended(int *status, bool waits)
{
    pid_t pid = waitpid(subject.pid, status, waits ? 0 : WNOHANG);
    if (pid != subject.pid)
        return false;
    subject.pid = 0;
    return true;
}

bool subject_start(const char *folder)
{
    char path[512];
    int both[2], status;
    (void)snprintf(subject.folder, sizeof subject.folder, "%s", folder);
    (void)snprintf(path, sizeof path, "%s/weir.yaml", folder);
    (void)snprintf(subject.errors, sizeof subject.errors, "%s/weir.err", folder);
    subject.ring = malloc(LOG_ROOM);
    if (subject.ring == NULL || !write_file(folder, path, 0) || pipe(both) != 0)
        return false;
    subject.pid = fork();
    if (subject.pid == 0)
        run(path, both[1]);
    close(both[1]);
    subject.log = both[0];
    (void)fcntl(subject.log, F_SETFL, O_NONBLOCK);
    (void)fcntl(subject.log, F_SETPIPE_SZ, 1 << 20);
    for (unsigned i = 0; i < 200 * settings.slow; i++) {
        if (is_ready())
            return true;
        if (has_ended(&status, false))
            break;
        usleep(100000);
    }
    printf("oracle: weir does not start\n");
    print_errors();
    return false;
}

static void take_log(void)
{
    for (;;) {
        size_t at = subject.logged % LOG_ROOM;
        ssize_t got = read(subject.log, subject.ring + at, LOG_ROOM - at);
        if (got <= 0)
            return;
        subject.logged += (size_t)got;
    }
}

static void judge_end(int status)
{
    char *text = errors_text();
    bool reported = strstr(text, "Sanitizer") != NULL || strstr(text, "runtime error:") != NULL ||
                    strstr(text, "Assertion") != NULL;
    free(text);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !reported)
        return;
    report_fault(
        FAULT_SUBJECT, NULL, NULL, "weir ended with %s %d%s", WIFEXITED(status) ? "exit code" : "signal",
        WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), reported ? ", and a report" : "");
    print_errors();
}

bool subject_look(void)
{
    int status;
    take_log();
    if (subject.pid == 0)
        return false;
    if (!has_ended(&status, false))
        return true;
    report_fault(FAULT_SUBJECT, NULL, NULL, "weir ended by itself");
    judge_end(status);
    return false;
}

/* As the kernel tells it: S is asleep. */
static bool thread_sleeps(const char *folder, const char *number)
{
    char path[512], text[256] = "";
    (void)snprintf(path, sizeof path, "%s/%s/stat", folder, number);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return true; /* it has ended */
    size_t length = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[length] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end == NULL || strncmp(name_end, ") S", 3) == 0;
}

bool subject_is_idle(void)
{
    char folder[64];
    bool idle = true;
    (void)snprintf(folder, sizeof folder, "/proc/%d/task", (int)subject.pid);
    DIR *threads = opendir(folder);
    if (threads == NULL)
        return true;
    for (struct dirent *entry; idle && (entry = readdir(threads)) != NULL;)
        idle = entry->d_name[0] == '.' || thread_sleeps(folder, entry->d_name);
    (void)closedir(threads);
    return idle;
}

void subject_stand_still(bool still)
{
    if (subject.pid != 0)
        (void)kill(subject.pid, still ? SIGSTOP : SIGCONT);
}

void subject_reload(void)
{
    char path[512], made[512];
    if (subject.pid == 0)
        return;
    (void)snprintf(path, sizeof path, "%s/weir.yaml", subject.folder);
    (void)snprintf(made, sizeof made, "%s/weir.yaml.new", subject.folder);
    if (!write_file(subject.folder, made, ++subject.generation) || rename(made, path) != 0)
        abort();
    (void)kill(subject.pid, SIGHUP);
}

unsigned subject_reloads(void)
{
    return subject.generation;
}

void subject_stop(void)
{
    int status;
    if (subject.pid == 0)
        return;
    subject_stand_still(false);
    (void)kill(subject.pid, SIGTERM);
    for (unsigned i = 0; i < 400 * settings.slow; i++) {
        take_log();
        if (has_ended(&status, false)) {
            judge_end(status);
            return;
        }
        usleep(100000);
    }
    report_fault(FAULT_SUBJECT, NULL, NULL, "weir does not end");
    (void)kill(subject.pid, SIGKILL);
    (void)has_ended(&status, true);
}

void subject_print_log(uint64_t id)
{
    char name[40];
    usleep(50000); /* its log thread may be behind */
    take_log();
    size_t length = subject.logged < LOG_ROOM ? subject.logged : LOG_ROOM;
    (void)snprintf(name, sizeof name, "/x/%016" PRIx64 "\"", id);
    const char *at = memmem(subject.ring, length, name, strlen(name)), *end = subject.ring + length;
    while (at != NULL) {
        const char *first = at, *last = at;
        while (first > subject.ring && first[-1] != '\n')
            first--;
        while (last < end && *last != '\n')
            last++;
        printf("  access log: %.*s\n", (int)(last - first), first);
        at = memmem(last, (size_t)(end - last), name, strlen(name));
    }
}
