/* The control thread's own state, shared by the files of this room only. */
#ifndef WEIR_CONTROL_CONTROL_STATE_H
#define WEIR_CONTROL_CONTROL_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/list.h"
#include "control/restart_keys.h"
#include "net/loop.h"

struct config;
struct control_options;
struct health;
struct listeners;
struct load;
struct loader;
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
    struct loader *loader;
    struct shared_state *shared; /* the loader's, as long as it runs */
    struct snapshot *snapshot;   /* the current one; control's reference. NULL: still starting */
    struct listeners *listeners;
    struct health *health;
    struct worker **workers;
    unsigned workers_count;
    struct restart_facts facts;
    unsigned workers_drained;
    bool leaving, draining, stopping, failed; /* told to end; takes no more connections; at once */
    bool loading, load_again;                 /* the loader was asked; once more after that */
    uint64_t began_us;
    uint64_t told_at;             /* ms of the loop: when it was last told to end */
    struct deadline drain_step;   /* the next one, of drain.c */
    struct list old_snapshots;    /* of old_snapshots.c */
    struct deadline reload_drain; /* the next of them that ends */
    struct deadline patience;     /* of the service manager, while something is loaded */
    struct deadline expiry;       /* the next look at certificates' dates */
    struct deadline watchdog;
    uint64_t watchdog_period; /* ms */
    uint64_t *watchdog_turns; /* of each worker at the last look */
};

/* control.c: the process ends now. */
void control_stop(struct control *control);

/* drain.c: told to end: the next step on the way there. */
void drain_told(struct control *control);
void drain_worker_done(struct worker *worker); /* worker.drained, on the worker's thread */
void drain_stop(struct control *control);

/* reload.c: what a load becomes. */

/* Level, format and targets of the logs; on failure those of before stay. */
bool reload_logs(const struct config *config, struct error *error) MUST_CHECK;
/* Which servers are used where not all are. */
void reload_log_subsets(const struct snapshot *snapshot);
/* Has the file loaded anew, on SIGHUP; while it loads, once more after that. */
void reload_ask(struct control *control);
/* All or nothing of what was loaded goes to the workers. The load stays the caller's, its snapshot does not.
 */
void reload_finish(struct control *control, struct load *load);

/* old_snapshots.c: what is used yet though another has taken its place; control->snapshot is that other one.
 */
struct old_count {
    uint64_t count, oldest; /* ms */
};
void old_snapshots_add(struct control *control, const struct snapshot *before);
void old_snapshots_gone(struct control *control, uint64_t number); /* nobody uses it any more */
struct old_count old_snapshots_count(const struct control *control);
void old_snapshots_end(struct control *control);

/* expiry.c: warns of certificates that have expired or soon will, now and once a day from now on. */
void expiry_look(struct control *control);
void expiry_stop(struct control *control);

/* watchdog.c: tells the service manager that a load goes on, and then that all workers turn. */
void patience_start(struct control *control);
void patience_stop(struct control *control);
void watchdog_start(struct control *control);
void watchdog_stop(struct control *control);

#endif
