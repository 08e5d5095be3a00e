/* Tries what a start would do and undoes it: nothing listens, nothing is made. */
#include "control/here_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log_output.h"
#include "config/config.h"
#include "control/named_files.h"
#include "control/open_files.h"
#include "control/privileges.h"
#include "control/restart_keys.h"
#include "net/address.h"
#include "net/names.h"
#include "net/socket.h"
#include "schema/schema.h"
#include "schema/schema_report.h"
#include "upstream/pool.h"

struct here {
    const struct config *config;
    const struct schema_document *document;
    struct schema_report *report;
};

static void here_tell(const struct here *here, enum schema_severity severity, const void *field,
                      const char *text)
{
    schema_report_add(here->report, severity, schema_place(here->document, field), "%s", text);
}

static void check_names(const struct here *here)
{
    struct names *names = names_new();
    struct error error;
    for (size_t i = 0; i < here->config->pools_count; i++)
        pool_want_names(&here->config->pools[i], names);
    bool all = names_resolve(names, NAMES_WAIT_MOST, NULL, &error);
    for (size_t i = 0; !all && i < here->config->pools_count; i++)
        for (size_t j = 0; j < here->config->pools[i].servers_count; j++) {
            const struct server_config *server = &here->config->pools[i].servers[j];
            struct address address;
            if (names_find(names, &address, 1, server->address, &error) == 0)
                here_tell(here, SCHEMA_ERROR, &server->address, error.text);
        }
    names_free(names);
}

static void check_user(const struct here *here)
{
    struct error error;
    if (here->config->user == NULL)
        return;
    if (privileges_try(here->config->user, &error))
        named_files_check_user(here->config, here->document, here->report);
    else
        here_tell(here, SCHEMA_ERROR, &here->config->user, error.text);
}

/* ---- files that would be made ---- */

/* False: the folder of the path is not one in which this user can make a file. */
static bool folder_takes_files(const char *path, struct error *error)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL   ? xstrdup(".")
                   : slash == path ? xstrdup("/")
                                   : strndup(path, (size_t)(slash - path));
    struct stat status;
    bool good = false;
    if (stat(folder, &status) != 0)
        error_set_errno(error, errno, "the folder %s cannot be used", folder);
    else if (!S_ISDIR(status.st_mode))
        error_set(error, "%s is no folder", folder);
    else if (access(folder, W_OK | X_OK) != 0)
        error_set_errno(error, errno, "no file can be made in %s", folder);
    else
        good = true;
    free(folder);
    return good;
}

/* *severity: of what is told. Who is to read a pipe may well come before weir does. */
static bool log_opens(const char *to, enum schema_severity *severity, struct error *error)
{
    *severity = SCHEMA_ERROR;
    struct stat status;
    if (strcmp(to, "stdout") == 0 || strcmp(to, "stderr") == 0)
        return true;
    if (strncmp(to, "unix:", 5) == 0) {
        if (stat(to + 5, &status) != 0)
            return error_set_errno(error, errno, "nobody listens on %s", to);
        return S_ISSOCK(status.st_mode) || error_set(error, "%s is no socket", to + 5);
    }
    int file = open(to, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int number = errno;
    if (file >= 0)
        (void)close(file);
    if (file >= 0)
        return true;
    switch (log_output_unread(to, number, error)) {
    case LOG_UNREAD_PIPE:
        *severity = SCHEMA_WARNING;
        return false;
    case LOG_UNREAD_SOCKET:
        return false;
    case LOG_UNREAD_NOT:
        break;
    }
    return number == ENOENT ? folder_takes_files(to, error)
                            : error_set_errno(error, number, "cannot open %s", to);
}

static void check_logs(const struct here *here)
{
    const struct config *config = here->config;
    struct error error;
    enum schema_severity severity;
    if (!log_opens(config->log.to, &severity, &error))
        here_tell(here, severity, &config->log.to, error.text);
    if (config->access_log != NULL && !log_opens(config->access_log->to, &severity, &error))
        here_tell(here, severity, &config->access_log->to, error.text);
}

/* ---- addresses ---- */

static void check_unix(const struct here *here, const struct listener_config *listener)
{
    const char *path = listener->address + 5;
    struct error error;
    struct stat status;
    if (lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode)) {
        error_set(&error, "%s is there and is no socket", path);
        here_tell(here, SCHEMA_ERROR, &listener->address, error.text);
    } else if (!folder_takes_files(path, &error)) {
        here_tell(here, SCHEMA_ERROR, &listener->address, error.text);
    }
}

static void check_port(const struct here *here, const struct listener_config *listener)
{
    struct address address;
    struct error error;
    int number = 0;
    if (!address_parse(&address, listener->address, &error)) {
        here_tell(here, SCHEMA_ERROR, &listener->address, error.text);
        return;
    }
    if (socket_try(&address, &number))
        return;
    if (number == EADDRINUSE) {
        error_set(&error, "somebody listens on %s: a start would fail, unless it is the weir to be reloaded",
                  listener->address);
        here_tell(here, SCHEMA_WARNING, &listener->address, error.text);
        return;
    }
    error_set_errno(
        &error, number,
        number == EACCES
            ? "cannot listen on %s: ports below 1024 want root (and `user`), or CAP_NET_BIND_SERVICE"
            : "cannot listen on %s",
        listener->address);
    here_tell(here, SCHEMA_ERROR, &listener->address, error.text);
}

/* ---- open files ---- */

static void check_open_files(const struct here *here)
{
    unsigned workers = restart_workers(here->config);
    struct error error;
    privileges_raise_files(); /* as a start does; of this process alone, which ends */
    if (!open_files_suffice(here->config, workers, &error))
        schema_report_add(here->report, SCHEMA_ERROR, SCHEMA_NOWHERE, "%s", error.text);
    else if (!open_files_fit(here->config, workers, &error))
        here_tell(here, SCHEMA_WARNING, &here->config->limits.connections, error.text);
}

void here_check(const struct config *config, const struct schema_document *document,
                struct schema_report *report)
{
    const struct here here = {config, document, report};
    check_names(&here);
    check_user(&here);
    check_logs(&here);
    check_open_files(&here);
    for (size_t i = 0; i < config->listeners_count; i++)
        if (strncmp(config->listeners[i].address, "unix:", 5) == 0)
            check_unix(&here, &config->listeners[i]);
        else
            check_port(&here, &config->listeners[i]);
}
