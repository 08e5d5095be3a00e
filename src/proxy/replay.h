/* Request body bytes kept by reference, so that another server can be given them, until the response head
 * arrives. */
#ifndef WEIR_PROXY_REPLAY_H
#define WEIR_PROXY_REPLAY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct replay {
    struct buf kept;
    size_t cap; /* bytes: retry.buffer of the pool */
    bool lost;  /* more was sent than the cap allows to keep */
};
void replay_keep(struct replay *replay, const struct buf *bytes);
void replay_drop(struct replay *replay); /* no retry is wanted any more */

#endif
