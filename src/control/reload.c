/*
 * From a loaded snapshot into the workers' hands, on control's thread. Everything that can fail is done
 * before anything changes: the loader has read and built, new sockets and logs are opened here; what follows
 * cannot fail.
 */
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/log_writer.h"
#include "config/config.h"
#include "control/control.h"
#include "control/control_state.h"
#include "control/listeners.h"
#include "control/loader.h"
#include "control/memory_limit.h"
#include "control/open_files.h"
#include "control/restart_keys.h"
#include "control/service_notify.h"
#include "net/mailbox.h"
#include "proxy/shared_state.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "tls/tls.h"
#include "upstream/health.h"
#include "upstream/pool.h"
#include "upstream/subset.h"

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

/* Nothing here can fail: workers get the snapshot before the sockets that belong to it. */
static void reload_publish(struct control *control, struct snapshot *snapshot)
{
    struct snapshot *before = control->snapshot;
    control->snapshot = snapshot;
    tls_tickets_configure(control->shared->tickets, snapshot->config->tls.ticket_lifetime);
    for (unsigned i = 0; i < control->workers_count; i++)
        worker_post_snapshot(control->workers[i], snapshot);
    listeners_commit(control->listeners, control->workers, control->mailbox);
    open_files_allow(snapshot->config, control->workers_count);
    memory_limit_set(snapshot->config);
    health_set_pools(control->health, snapshot->pools, snapshot->pools_count);
    old_snapshots_add(control, before);
    snapshot_release(before);
}

static void reload_failed(const char *why)
{
    counter_add(COUNTER_reloads_failed, 1);
    log_error("control", "reload failed; the running configuration is unchanged", KV("why", why));
}

static bool reload_try(struct control *control, struct load *load)
{
    struct snapshot *snapshot = load->snapshot;
    const struct config *before = control->snapshot->config;
    if (snapshot == NULL)
        return false;
    if (!open_files_suffice(snapshot->config, control->workers_count, &load->error) ||
        !listeners_open(control->listeners, snapshot->config, &load->error)) {
        snapshot_release(snapshot);
        return false;
    }
    if (!reload_changed_logs(before, snapshot->config, &load->error)) {
        listeners_undo(control->listeners);
        snapshot_release(snapshot);
        return false;
    }
    restart_keys_tell(&control->facts, snapshot->config);
    reload_publish(control, snapshot);
    return true;
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

void reload_ask(struct control *control)
{
    if (control->options->text != NULL) {
        log_warn("control", "there is no file to reload", KV_NONE);
        return;
    }
    if (control->leaving) {
        log_warn("control", "told to end, so the file is not loaded anew", KV_NONE);
        return;
    }
    /* The file may have changed since it was read: what is asked for while it loads is read afterwards. */
    control->load_again = control->loading;
    if (control->loading)
        return;
    control->loading = true;
    service_notify_reloading();
    patience_start(control);
    loader_ask(control->loader);
}

void reload_finish(struct control *control, struct load *load)
{
    struct old_count old = old_snapshots_count(control);
    bool done = reload_try(control, load);
    service_notify_ready();
    if (!done) {
        reload_failed(load->error.text);
        return;
    }
    counter_add(COUNTER_reloads, 1);
    log_info("control", "configuration loaded", KV("file", control->options->path),
             KV_NUMBER("took_us", clock_monotonic_us() - load->began_us), KV_NUMBER("older", old.count),
             KV_NUMBER("oldest_s", old.oldest / 1000), KV_NUMBER("memory", control->snapshot->memory));
    reload_log_subsets(control->snapshot);
    expiry_look(control);
}
