/* The table of bounds, and buckets that leak when they are looked at. */
#include "http/h2_guard.h"

const struct h2_guard_info h2_guard_info[H2_GUARD_COUNT] = {
#define X(kind, brim, leak, text) [H2_GUARD_##kind] = {#kind, brim, leak, COUNTER_h2_flood_##kind},
    H2_GUARDS(X)
#undef X
};

static void guard_leak(struct h2_guard *guard, uint32_t second)
{
    uint32_t elapsed = second - guard->second;
    guard->second = second;
    for (unsigned i = 0; i < H2_GUARD_COUNT; i++) {
        uint64_t leaked = (uint64_t)elapsed * h2_guard_info[i].leak;
        guard->levels[i] = leaked < guard->levels[i] ? (uint16_t)(guard->levels[i] - leaked) : 0;
    }
}

bool h2_guard_note(struct h2_guard *guard, enum h2_guard_kind kind, uint64_t now)
{
    uint32_t second = (uint32_t)(now / 1000);
    if (second != guard->second)
        guard_leak(guard, second);
    if (guard->levels[kind] == h2_guard_info[kind].brim)
        return false;
    guard->levels[kind]++;
    return true;
}

void h2_guard_earn(struct h2_guard *guard, enum h2_guard_kind kind, uint16_t count)
{
    guard->levels[kind] = count < guard->levels[kind] ? (uint16_t)(guard->levels[kind] - count) : 0;
}
