/* The control thread's own state, shared by the files of this room only. */
#ifndef WEIR_CONTROL_CONTROL_STATE_H
#define WEIR_CONTROL_CONTROL_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "net/loop.h"

struct config;
struct control_options;
struct health;
struct listeners;
struct mailbox;
struct shared_state;
struct signals;
struct snapshot;
struct worker;

struct control {
    const struct control_options *options;
    struct loop *loop;
    struct mailbox *mailbox;
    struct signals *signals;
    struct shared_state *shared;
    struct snapshot *snapshot; /* the current one; control's reference */
    struct listeners *listeners;
    struct health *health;
    struct worker **workers;
    unsigned workers_count;
    unsigned workers_drained;
    bool draining, stopping;
    bool tls_begun;
    uint64_t began_us;
    uint64_t drain_began; /* ms of the loop */
    struct deadline drain_timeout;
    struct deadline trim; /* of memory, some time after a snapshot was freed */
    struct deadline watchdog;
    uint64_t watchdog_period; /* ms */
    uint64_t *watchdog_turns; /* of each worker at the last look */
};

/* control.c: snapshot.last_release, on whichever thread let go last; the control thread frees it. */
void control_snapshot_comes_home(struct snapshot *snapshot);

/* reload.c: the way from a file to a snapshot, at start and later. */

/* Reads the configuration; its messages go to stderr, followed by `consequence` when there were errors. NULL
 * then. */
struct config *reload_read(const struct control *control, const char *consequence) MUST_CHECK;
/* Builds its snapshot and opens its sockets, all or nothing. Takes the configuration in either case. */
struct snapshot *reload_build(struct control *control, struct config *config, struct error *error) MUST_CHECK;
/* Level, format and targets of the logs; on failure those of before stay. */
bool reload_logs(const struct config *config, struct error *error) MUST_CHECK;
/* Which servers are used where not all are. */
void reload_log_subsets(const struct snapshot *snapshot);
/* All of it, on SIGHUP. */
void reload_now(struct control *control);

/* watchdog.c: tells the service manager that all workers turn. */
void watchdog_start(struct control *control);
void watchdog_stop(struct control *control);

#endif
