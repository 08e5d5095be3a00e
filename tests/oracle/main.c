/* The oracle of desynchronisation (README.md here): starts weir, plays its clients and its servers, and
 * judges. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "oracle/certificate.h"
#include "oracle/clients.h"
#include "oracle/draw.h"
#include "oracle/exchange.h"
#include "oracle/link.h"
#include "oracle/report.h"
#include "oracle/servers.h"
#include "oracle/settings.h"
#include "oracle/subject.h"

#define TICK_MS 100
#define HANG_TICKS 200 /* 20 s */

struct settings settings = {.seed = 1, .exchanges = 5000, .slots = 48, .slow = 1, .tls = true};

static const char usage[] =
    "oracle [--weir PATH] [--exchanges N] [--seed N] [--crossing IN-OUT] [--clear] [--calm] [--slots N] [--slow F] [--stop]\n"
    "  --weir PATH      the binary that is judged; default $WEIR, or ./weir\n"
    "  --exchanges N    default 5000\n"
    "  --seed N         what is drawn; 0: of the clock. It is printed\n"
    "  --crossing C     only h1-h1, h1-h2, h2-h1 or h2-h2\n"
    "  --clear          no TLS\n"
    "  --calm           weir is neither held up nor reloaded\n"
    "  --slots N        client connections at once; default 48\n"
    "  --slow F         longest waits are multiplied by it\n"
    "  --stop           ends at the first fault\n"
    "Ends with a line of figures; exit code 0 when nothing was wrong, 1 when something was, 2 when it could not run.\n";

static void bad_usage(void)
{
    fputs(usage, stderr);
    exit(2);
}

static void take_crossing(const char *text)
{
    if (strlen(text) != 5 || sscanf(text, "h%1u-h%1u", &settings.in, &settings.out) != 2 ||
        settings.in - 1 > 1 || settings.out - 1 > 1)
        bad_usage();
}

static void take_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"weir", required_argument, NULL, 'w'},  {"exchanges", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},  {"crossing", required_argument, NULL, 'c'},
        {"clear", no_argument, NULL, 'p'},       {"calm", no_argument, NULL, 'q'},
        {"slots", required_argument, NULL, 'l'}, {"slow", required_argument, NULL, 'f'},
        {"stop", no_argument, NULL, 'x'},        {NULL, 0, NULL, 0},
    };
    settings.weir = getenv("WEIR") != NULL ? getenv("WEIR") : "./weir";
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'w':
            settings.weir = optarg;
            break;
        case 'n':
            settings.exchanges = strtoull(optarg, NULL, 10);
            break;
        case 's':
            settings.seed = strtoull(optarg, NULL, 10);
            break;
        case 'c':
            take_crossing(optarg);
            break;
        case 'p':
            settings.tls = false;
            break;
        case 'q':
            settings.calm = true;
            break;
        case 'l':
            settings.slots = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'f':
            settings.slow = strtod(optarg, NULL);
            break;
        case 'x':
            settings.stop_at_fault = true;
            break;
        default:
            bad_usage();
        }
    }
    if (settings.seed == 0)
        settings.seed = (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000;
}

static void on_signal(evutil_socket_t fd, short what, void *owner)
{
    (void)fd;
    (void)what;
    (void)owner;
    event_base_loopbreak(link_base);
}

/*
 * What came from all sides while weir stood still it finds at once: bytes, ends and resets meet in orders
 * that a fast program hardly sees. Reloads come in the middle of whatever there is.
 */
#define STILL_PERMILLE 300u /* of the ticks */
#define STILL_MS_MOST 25u
#define RELOAD_PERMILLE 40u

static struct draw tick_draw;
static struct event *moves_again;

static void on_moves_again(evutil_socket_t fd, short what, void *owner)
{
    (void)fd;
    (void)what;
    (void)owner;
    subject_stand_still(false);
}

static void disturb(void)
{
    struct timeval wait = {.tv_usec = (long)draw_between(&tick_draw, 1, STILL_MS_MOST) * 1000};
    if (draw_permille(&tick_draw, RELOAD_PERMILLE))
        subject_reload();
    if (!draw_permille(&tick_draw, STILL_PERMILLE))
        return;
    subject_stand_still(true);
    evtimer_add(moves_again, &wait);
}

/*
 * While weir has something to do, or waits for a processor, what has not moved is late and not lost: on a
 * slow machine, or with sanitizers, an exchange waits for others for as long as it likes. But it may be busy
 * for ever: then nothing moves.
 */
#define BUSY_TICKS_MOST 100

static bool time_counts(void)
{
    static uint64_t moves_before;
    static unsigned busy;
    busy = exchange_moves == moves_before ? busy + 1 : 0;
    moves_before = exchange_moves;
    return busy > BUSY_TICKS_MOST || subject_is_idle();
}

static void on_tick(evutil_socket_t fd, short what, void *owner)
{
    (void)fd;
    (void)what;
    (void)owner;
    if (time_counts())
        exchange_tick();
    exchange_look_around((uint64_t)(HANG_TICKS * settings.slow));
    clients_wake();
    if (!settings.calm)
        disturb();
    if (!subject_look() || (settings.stop_at_fault && report_faults() != 0))
        event_base_loopbreak(link_base);
}

/* Until all exchanges are done, weir is gone, or a fault is to end it. */
static void run(void)
{
    struct timeval tick = {.tv_usec = TICK_MS * 1000};
    static const int signals[] = {SIGTERM, SIGINT};
    tick_draw.state = draw_mix(settings.seed ^ 0x717c);
    moves_again = evtimer_new(link_base, on_moves_again, NULL);
    struct event *ticks = event_new(link_base, -1, EV_PERSIST, on_tick, NULL);
    event_add(ticks, &tick);
    for (unsigned i = 0; i < 2; i++)
        event_add(evsignal_new(link_base, signals[i], on_signal, NULL), NULL);
    clients_begin();
    while (!exchange_all_done()) {
        (void)event_base_loop(link_base, EVLOOP_ONCE);
        link_bury();
        if (event_base_got_break(link_base))
            break;
    }
}

static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void remove_files(const char *folder)
{
    static const char *const names[] = {"ca.crt",    "leaf.crt",      "leaf.key",
                                        "weir.yaml", "weir.yaml.new", "weir.err"};
    char path[512];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

int main(int argc, char **argv)
{
    const char *top = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
    char folder[256];
    take_options(argc, argv);
    (void)signal(SIGPIPE, SIG_IGN);
    raise_limits();
    (void)snprintf(folder, sizeof folder, "%s/oracleXXXXXX", top);
    link_base = event_base_new();
    if (link_base == NULL || mkdtemp(folder) == NULL) {
        perror("oracle: a folder for its files");
        return 2;
    }
    certificate_prepare(folder);
    servers_begin();
    report_begin(settings.seed, settings.exchanges);
    bool started = subject_start(folder);
    if (started)
        run();
    subject_stop();
    bool good = started && report_end();
    remove_files(folder);
    return good ? 0 : started ? 1 : 2;
}
