/* What outlives snapshots, made and swept on the thread that loads; what each part does is its own room's. */
#include "proxy/shared_state.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/error.h"
#include "filter/filter.h"
#include "proxy/listener_counts.h"
#include "tls/tls.h"
#include "upstream/server.h"

struct shared_state *shared_state_new(void)
{
    struct shared_state *shared = xcalloc(1, sizeof(*shared));
    shared->servers = server_set_new();
    shared->limiters = limiter_set_new();
    shared->files = tls_files_new();
    shared->tickets = tls_tickets_new();
    shared->listeners = listener_counts_set_new();
    return shared;
}

void shared_state_free(struct shared_state *shared)
{
    if (shared == NULL)
        return;
    listener_counts_set_free(shared->listeners);
    tls_tickets_free(shared->tickets);
    tls_files_free(shared->files);
    limiter_set_free(shared->limiters);
    server_set_free(shared->servers);
    free(shared);
}

void shared_state_sweep(struct shared_state *shared)
{
    server_set_sweep(shared->servers);
    tls_files_sweep(shared->files);
    limiter_set_sweep(shared->limiters);
    listener_counts_set_sweep(shared->listeners);
}
