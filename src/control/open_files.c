/* Open files: counted out once for each configuration. */
#include "control/open_files.h"

#include <stdint.h>
#include <sys/resource.h>

#include "base/descriptors.h"
#include "base/log.h"
#include "config/config.h"

#define OF_A_WORKER 8u /* its loop (an epoll and a pipe), its mailbox, and clients on their way to it */
#define OF_A_LISTENER \
    2u /* for each worker: a socket, and what lets it turn somebody away when nothing is left */
#define OF_CONTROL \
    16u          /* its loop, signals, standard streams, logs, the service manager, one more of each log */
#define LEAST 8u /* connections without which nothing goes */
/* For what a reload opens, for names that are looked up, and for what goes in the same turn as another comes.
 */
#define SPARE_MOST 64u
#define SPARE_LEAST 8u

static uint64_t files_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (uint64_t)limit.rlim_cur : UINT64_MAX;
}

static uint64_t files_spare(uint64_t files)
{
    uint64_t spare = files / 16;
    return spare < SPARE_LEAST ? SPARE_LEAST : spare > SPARE_MOST ? SPARE_MOST : spare;
}

/* Beside connections. */
static uint64_t files_of_weir(const struct config *config, unsigned workers, uint64_t files)
{
    uint64_t listeners = config->listeners_count * OF_A_LISTENER;
    return workers * (OF_A_WORKER + listeners) + OF_CONTROL + files_spare(files);
}

/* What a file with one listener, served by one worker, would need. */
bool open_files_suffice_to_start(struct error *error)
{
    uint64_t files = files_limit(), needed = OF_A_WORKER + OF_A_LISTENER + OF_CONTROL + SPARE_LEAST + LEAST;
    return files >= needed ||
           error_set(
               error,
               "open files are limited to %llu, and weir needs %llu at least, more with each listener and "
               "worker; raise LimitNOFILE or ulimit -n",
               (unsigned long long)files, (unsigned long long)needed);
}

bool open_files_suffice(const struct config *config, unsigned workers, struct error *error)
{
    uint64_t files = files_limit(), needed = files_of_weir(config, workers, files) + LEAST;
    return files >= needed ||
           error_set(
               error,
               "open files are limited to %llu, and %zu listeners with %u workers need at least %llu; raise "
               "LimitNOFILE or ulimit -n, or lower `workers`",
               (unsigned long long)files, config->listeners_count, workers, (unsigned long long)needed);
}

/* What connections may have. */
static uint64_t files_left(uint64_t files, uint64_t own)
{
    return files > own + LEAST ? files - own : LEAST;
}

static uint64_t files_needed(uint64_t own, uint64_t wanted)
{
    return own + wanted + wanted / 4;
}

#define LOWERED \
    "limits.connections is lowered to what fits into the limit of open files; raise LimitNOFILE or ulimit -n"

bool open_files_fit(const struct config *config, unsigned workers, struct error *error)
{
    uint64_t files = files_limit(), own = files_of_weir(config, workers, files),
             fit = descriptors_clients_of(files_left(files, own)), wanted = config->limits.connections;
    return fit >= wanted ||
           error_set(error, LOWERED ": %llu of %llu fit; the limit is %llu, and %llu are needed",
                     (unsigned long long)fit, (unsigned long long)wanted, (unsigned long long)files,
                     (unsigned long long)files_needed(own, wanted));
}

void open_files_allow(const struct config *config, unsigned workers)
{
    uint64_t files = files_limit(), own = files_of_weir(config, workers, files);
    descriptors_allow(files_left(files, own));
    uint64_t fit = descriptors_for_clients(), wanted = config->limits.connections;
    if (fit < wanted)
        log_warn("control", LOWERED, KV_NUMBER("connections", fit), KV_NUMBER("wanted", wanted),
                 KV_NUMBER("open_files", files), KV_NUMBER("needed", files_needed(own, wanted)));
}
