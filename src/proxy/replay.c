/* Keeping is counting references of blocks, not copying. */
#include "proxy/replay.h"

void replay_keep(struct replay *replay, const struct buf *bytes)
{
    if (replay->lost || bytes->length == 0)
        return;
    if (replay->kept.length + bytes->length > replay->cap || !buf_share(&replay->kept, bytes))
        replay_drop(replay);
}

void replay_drop(struct replay *replay)
{
    replay->lost = true;
    buf_clear(&replay->kept);
}
