/*
 * The thread that turns the file into a snapshot and frees snapshots that nobody uses any more: both may take
 * seconds (thousands of certificates, names that nobody answers for), and control's loop serves probes,
 * signals and the service manager meanwhile. One job at a time, in the order of asking. What outlives
 * snapshots (proxy/shared_state.h) is found, made and swept by this thread alone.
 */
#ifndef WEIR_CONTROL_LOADER_H
#define WEIR_CONTROL_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "net/mailbox.h"

struct control_options;
struct loader;
struct shared_state;
struct snapshot;

/* What came of one reading of the file. */
struct load {
    struct letter letter;
    struct snapshot *snapshot; /* NULL: error. Its reference is the receiver's */
    struct error error;
    uint64_t began_us; /* clock_monotonic_us() */
};

/* From loader_start() to loader_stop() nobody else touches what outlives snapshots. `loaded` is called on the
 * loop of `home`, once for each loader_ask(), and takes the load, to free(). */
/* gone: a snapshot that was loaded is freed; on the same loop. */
struct loader *loader_new(const struct control_options *options, struct shared_state *shared,
                          struct mailbox *home, void (*loaded)(void *reader, struct load *load),
                          void (*gone)(void *reader, uint64_t number));
bool loader_start(struct loader *loader, struct error *error) MUST_CHECK;
/* Reads the file anew; one asking at a time. */
void loader_ask(struct loader *loader);
/* Does what takes long no further: what is under way ends with an error soon. */
void loader_give_up(struct loader *loader);
/* Ends the thread once it has freed what came home. False: something holds it (a file system that does not
 * answer), so nothing that it uses may be freed. */
bool loader_stop(struct loader *loader) MUST_CHECK;
/* After loader_stop() was true; frees what came home meanwhile too. */
void loader_free(struct loader *loader);

#endif
