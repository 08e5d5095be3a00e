/*
 * From the file to a snapshot in the workers' hands. Everything that can fail is done before anything
 * changes: the file is read and checked, the snapshot built, the new sockets and logs opened; what follows
 * cannot fail.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/log_writer.h"
#include "base/text.h"
#include "config/config.h"
#include "control/control.h"
#include "control/control_state.h"
#include "control/listeners.h"
#include "control/service_notify.h"
#include "net/mailbox.h"
#include "proxy/shared_state.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "schema/schema_report.h"
#include "tls/tls.h"
#include "upstream/health.h"
#include "upstream/pool.h"
#include "upstream/subset.h"

static void reload_print_report(struct schema_report *report, const char *consequence)
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

static bool reload_wants_tls(const struct config *config)
{
    for (size_t i = 0; i < config->listeners_count; i++)
        if (config->listeners[i].tls != NULL)
            return true;
    for (size_t i = 0; i < config->pools_count; i++) {
        const struct health_config *health = config->pools[i].health;
        if (config->pools[i].tls != NULL || (health != NULL && health->type == PROBE_HTTPS))
            return true;
    }
    return false;
}

/* The library costs milliseconds to begin, so it begins when something needs it. */
static bool reload_begin_tls(struct control *control, const struct config *config, struct error *error)
{
    if (control->tls_begun || !reload_wants_tls(config))
        return true;
    control->tls_begun = tls_begin(error);
    return control->tls_begun;
}

/* Whether the target names another place than the one in use. */
static bool reload_log_differs(const char *before, const char *after)
{
    return before == NULL || strcmp(before, after) != 0;
}

static const char *reload_access_target(const struct config *config)
{
    return config->access_log != NULL ? config->access_log->to : "off";
}

static bool reload_changed_logs(const struct config *before, const struct config *after, struct error *error)
{
    bool log_differs = reload_log_differs(before->log.to, after->log.to);
    if (log_differs && !log_target_set(LOG_TARGET_LOG, after->log.to, error))
        return error_wrap(error, "log");
    if (reload_log_differs(reload_access_target(before), reload_access_target(after)) &&
        !log_target_set(LOG_TARGET_ACCESS, reload_access_target(after), error)) {
        /* it was open a moment ago; if it can't be opened now, lines go where they went last */
        struct error ignored;
        if (log_differs && !log_target_set(LOG_TARGET_LOG, before->log.to, &ignored))
            log_warn("control", "the log could not be put back", KV("why", ignored.text));
        return error_wrap(error, "access_log");
    }
    log_level = after->log.level;
    log_format_set(after->log.format);
    return true;
}

static void reload_warn_of_restarts(const struct config *before, const struct config *after)
{
    if (before->workers != after->workers)
        log_warn("control", "the number of workers changes with a restart only",
                 KV_NUMBER("now", before->workers), KV_NUMBER("wanted", after->workers));
    const char *user_before = before->user != NULL ? before->user : "",
               *user_after = after->user != NULL ? after->user : "";
    if (strcmp(user_before, user_after) != 0)
        log_warn("control", "the user changes with a restart only", KV("now", user_before),
                 KV("wanted", user_after));
}

/* Nothing here can fail: workers get the snapshot before the sockets that belong to it. */
static void reload_publish(struct control *control, struct snapshot *snapshot)
{
    struct snapshot *before = control->snapshot;
    control->snapshot = snapshot;
    tls_tickets_configure(control->shared->tickets, snapshot->config->tls.ticket_lifetime);
    for (unsigned i = 0; i < control->workers_count; i++)
        worker_post_snapshot(control->workers[i], snapshot);
    listeners_commit(control->listeners, control->workers, control->mailbox);
    health_set_pools(control->health, snapshot->pools, snapshot->pools_count);
    snapshot_release(before);
}

static void reload_failed(const char *why)
{
    counter_add(COUNTER_reloads_failed, 1);
    log_error("control", "reload failed; the running configuration is unchanged", KV("why", why));
}

static bool reload_try(struct control *control, struct error *error)
{
    struct config *config = reload_read(control, "; the running configuration is unchanged\n");
    if (config == NULL)
        return error_set(error, "the file has errors");
    struct snapshot *snapshot = reload_build(control, config, error);
    if (snapshot == NULL)
        return false;
    if (!reload_changed_logs(control->snapshot->config, config, error)) {
        listeners_undo(control->listeners);
        snapshot_release(snapshot);
        return false;
    }
    reload_warn_of_restarts(control->snapshot->config, config);
    reload_publish(control, snapshot);
    return true;
}

struct config *reload_read(const struct control *control, const char *consequence)
{
    const struct control_options *options = control->options;
    struct schema_report *report = schema_report_new();
    struct config *config = options->text != NULL
                                ? config_load_text(options->path, options->text, options->length, report)
                                : config_load(options->path, report);
    reload_print_report(report, consequence);
    schema_report_free(report);
    return config;
}

struct snapshot *reload_build(struct control *control, struct config *config, struct error *error)
{
    if (!reload_begin_tls(control, config, error)) {
        config_free(config);
        return NULL;
    }
    struct snapshot *snapshot = snapshot_new(config, control->shared, error);
    if (snapshot == NULL) {
        config_free(config);
        shared_state_sweep(control->shared);
        return NULL;
    }
    snapshot->last_release = control_snapshot_comes_home;
    if (!listeners_open(control->listeners, config, error)) {
        snapshot_release(snapshot);
        return NULL;
    }
    return snapshot;
}

bool reload_logs(const struct config *config, struct error *error)
{
    log_level = config->log.level;
    log_format_set(config->log.format);
    if (!log_target_set(LOG_TARGET_LOG, config->log.to, error))
        return error_wrap(error, "log");
    if (!log_target_set(LOG_TARGET_ACCESS, reload_access_target(config), error))
        return error_wrap(error, "access_log");
    return true;
}

void reload_log_subsets(const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->pools_count; i++)
        if (snapshot->pools[i]->config->subset != NULL)
            subset_log(snapshot->pools[i]);
}

void reload_now(struct control *control)
{
    struct error error = {.text = ""};
    if (control->options->text != NULL) {
        log_warn("control", "there is no file to reload", KV_NONE);
        return;
    }
    uint64_t began = clock_monotonic_us();
    service_notify_reloading();
    bool done = reload_try(control, &error);
    service_notify_ready();
    if (!done) {
        reload_failed(error.text);
        return;
    }
    counter_add(COUNTER_reloads, 1);
    log_info("control", "configuration loaded", KV("file", control->options->path),
             KV_NUMBER("took_us", clock_monotonic_us() - began));
    reload_log_subsets(control->snapshot);
}
