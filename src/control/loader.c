/* A loop of its own, whose letters are jobs. Publishing what it has made is reload.c's. */
#include "control/loader.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/log_writer.h"
#include "base/memory.h"
#include "base/text.h"
#include "config/config.h"
#include "control/control.h"
#include "control/cores.h"
#include "control/machine_check.h"
#include "http/regex.h"
#include "net/loop.h"
#include "net/names.h"
#include "proxy/shared_state.h"
#include "proxy/snapshot.h"
#include "schema/schema_report.h"
#include "tls/tls.h"
#include "upstream/pool.h"

#define LOG_RING_SIZE ((size_t)1 << 14)
#define TRIM_AFTER 1000 /* ms after a snapshot was freed: many reloads in a row trim once */
#define STOP_MOST 1000  /* ms that its current step may take at the end of the process */
#define NICE_BY 5       /* while it serves already: requests come first */

struct loader {
    const struct control_options *options;
    struct mailbox *home;
    void (*loaded)(void *reader, struct load *load);
    void (*gone)(void *reader, uint64_t number);
    uint64_t built;
    pthread_t thread;
    struct loop *loop;
    struct mailbox *mailbox;
    struct shared_state *shared;
    struct deadline trim;
    struct letter stop;
    _Atomic bool given_up;
    bool started, has_loaded, goes_on;
};

/* Snapshots come home to it from all threads. */
static struct loader *loader_home;

static void loader_take_home(struct snapshot *snapshot);

/* ---- from the file to a snapshot ---- */

static void loader_print_report(struct schema_report *report, const char *consequence)
{
    struct text text = text_growing();
    const char *no_colour = getenv("NO_COLOR");
    bool colour = isatty(STDERR_FILENO) && (no_colour == NULL || no_colour[0] == '\0');
    schema_report_print(report, &text, colour);
    if (schema_report_errors(report) != 0) {
        schema_report_sum(report, &text);
        text_add(&text, span_of(consequence));
    }
    log_stderr(text_span(&text)); /* in one piece, so that lines of threads don't get between */
    text_free(&text);
}

/* Decoding thousands of certificates side by side; the other half is for requests. Twins of a core would do
 * the same work in the same time and twice the CPU. */
static unsigned loader_threads(void)
{
    return (cores_available() + 1) / 2;
}

static struct config *loader_read(const struct loader *loader, struct error *error)
{
    const struct control_options *options = loader->options;
    const struct config_source source = {
        .path = options->path, .text = options->text, .length = options->length};
    struct machine_check machine = {.files = loader->shared->files};
    const struct config_late late = {.check = machine_check, .owner = &machine, .reads_files = true};
    struct schema_report *report = schema_report_new();
    tls_files_begin(loader->shared->files, loader_threads(), false, &loader->given_up);
    struct config *config = config_load_checked(&source, report, &late);
    loader_print_report(report, loader->has_loaded ? "; the running configuration is unchanged\n" : "\n");
    schema_report_free(report);
    if (config == NULL && loader->has_loaded) /* at a start the report is all that is said */
        error_set(error, "the file has errors");
    return config;
}

static bool loader_find_names(const struct loader *loader, const struct config *config, struct names *names,
                              struct error *error)
{
    for (size_t i = 0; i < config->pools_count; i++)
        pool_want_names(&config->pools[i], names);
    return names_resolve(names, NAMES_WAIT_MOST, &loader->given_up, error);
}

static void loader_sweep(struct loader *loader)
{
    shared_state_sweep(loader->shared);
    if (!deadline_is_set(&loader->trim))
        deadline_set(&loader->trim, loader->loop, TRIM_AFTER);
}

static struct snapshot *loader_build(struct loader *loader, struct error *error)
{
    struct snapshot *snapshot = NULL;
    uint64_t before = memory_held_for_file();
    struct config *config = loader_read(loader, error);
    if (config == NULL)
        return NULL;
    struct names *names = names_new();
    if (loader_find_names(loader, config, names, error))
        snapshot = snapshot_new(config, loader->shared, names, error);
    names_free(names);
    if (snapshot == NULL) {
        config_free(config);
        loader_sweep(loader);
        return NULL;
    }
    snapshot->number = ++loader->built;
    snapshot->last_release = loader_take_home;
    uint64_t after = memory_held_for_file();
    snapshot->memory = after > before ? after - before : 0;
    return snapshot;
}

/* Workers serve and the log thread writes once the first load has been taken. */
static void loader_goes_on(struct loader *loader)
{
    if (!loader->has_loaded || loader->goes_on)
        return;
    loader->goes_on = true;
    log_thread_enter(LOG_RING_SIZE);
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE_BY);
}

static void load_opened(struct letter *letter, void *reader)
{
    loader_home->loaded(reader, CONTAINER_OF(letter, struct load, letter));
}

static void loader_load(struct letter *letter, void *reader)
{
    struct loader *loader = reader;
    struct load *load = CONTAINER_OF(letter, struct load, letter);
    loader_goes_on(loader);
    load->snapshot = loader_build(loader, &load->error);
    if (!loader->has_loaded)
        malloc_trim(0); /* what reading took: several times what is kept of it */
    loader->has_loaded = true;
    load->letter.open = load_opened;
    mailbox_post(loader->home, &load->letter);
}

/* ---- snapshots that come home ---- */

struct homecoming {
    struct letter letter;
    struct snapshot *snapshot;
    uint64_t number;
};

static void homecoming_told(struct letter *letter, void *reader)
{
    struct homecoming *homecoming = CONTAINER_OF(letter, struct homecoming, letter);
    loader_home->gone(reader, homecoming->number);
    free(homecoming);
}

static void homecoming_opened(struct letter *letter, void *reader)
{
    struct homecoming *homecoming = CONTAINER_OF(letter, struct homecoming, letter);
    struct loader *loader = reader;
    loader_goes_on(loader);
    homecoming->number = homecoming->snapshot->number;
    snapshot_free(homecoming->snapshot);
    loader_sweep(loader);
    if (loader->home == NULL) {
        free(homecoming);
        return;
    }
    homecoming->letter.open = homecoming_told;
    mailbox_post(loader->home, &homecoming->letter);
}

/* snapshot.last_release, on whichever thread let go last. */
static void loader_take_home(struct snapshot *snapshot)
{
    struct homecoming *homecoming = xcalloc(1, sizeof *homecoming);
    homecoming->letter.open = homecoming_opened;
    homecoming->snapshot = snapshot;
    mailbox_post(loader_home->mailbox, &homecoming->letter);
}

static void loader_trim(struct deadline *deadline)
{
    (void)deadline;
    malloc_trim(0);
}

/* ---- the thread ---- */

static void *loader_main(void *argument)
{
    struct loader *loader = argument;
    pthread_setname_np(pthread_self(), "weir-loader");
    counters_thread_enter();
    loop_run(loader->loop);
    regex_thread_leave();
    log_thread_leave();
    return NULL;
}

static void loader_stop_opened(struct letter *letter, void *reader)
{
    struct loader *loader = reader;
    (void)letter;
    loop_stop(loader->loop);
}

struct loader *loader_new(const struct control_options *options, struct shared_state *shared,
                          struct mailbox *home, void (*loaded)(void *reader, struct load *load),
                          void (*gone)(void *reader, uint64_t number))
{
    struct loader *loader = xcalloc(1, sizeof *loader);
    loader->options = options;
    loader->home = home;
    loader->loaded = loaded;
    loader->gone = gone;
    loader->loop = loop_new();
    loader->mailbox = mailbox_new(loader->loop, loader);
    loader->shared = shared;
    loader->trim.passed = loader_trim;
    loader->stop.open = loader_stop_opened;
    loader_home = loader;
    return loader;
}

bool loader_start(struct loader *loader, struct error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited by the thread: signals are control's */
    int number = pthread_create(&loader->thread, NULL, loader_main, loader);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    loader->started = number == 0;
    return loader->started || error_set_errno(error, number, "cannot start the thread that loads");
}

void loader_ask(struct loader *loader)
{
    struct load *load = xcalloc(1, sizeof *load);
    load->began_us = clock_monotonic_us();
    load->letter.open = loader_load;
    mailbox_post(loader->mailbox, &load->letter);
}

void loader_give_up(struct loader *loader)
{
    atomic_store(&loader->given_up, true);
}

bool loader_stop(struct loader *loader)
{
    loader_give_up(loader);
    if (!loader->started)
        return true;
    mailbox_post(loader->mailbox, &loader->stop);
    struct timespec at;
    (void)clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += STOP_MOST / 1000;
    /* Not by the monotonic clock: ThreadSanitizer does not know pthread_clockjoin_np() for a join. */
    loader->started = pthread_timedjoin_np(loader->thread, NULL, &at) != 0;
    return !loader->started;
}

void loader_free(struct loader *loader)
{
    loader->home = NULL; /* nobody there opens letters any more */
    mailbox_post(loader->mailbox, &loader->stop);
    loop_run(loader->loop); /* letters that came after the thread had ended */
    deadline_clear(&loader->trim);
    mailbox_free(loader->mailbox);
    loop_free(loader->loop);
    free(loader);
}
