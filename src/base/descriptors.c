/* A count that all threads write and a limit that none but control does, each on a line of its own. */
#include "base/descriptors.h"

#include <assert.h>
#include <stdatomic.h>

#define CLIENTS(count) ((count) - (count) / 5) /* most are idle at any time; the others need a server */
#define SHORT(count) ((count) - (count) / 16)  /* beyond this the rest is kept for servers */

static struct {
    _Alignas(CACHE_LINE) _Atomic uint64_t taken;
    _Alignas(CACHE_LINE) _Atomic uint64_t allowed;
} descriptors = {.allowed = UINT64_MAX};

static uint64_t allowed(void)
{
    return atomic_load_explicit(&descriptors.allowed, memory_order_relaxed);
}

void descriptors_allow(uint64_t count)
{
    atomic_store_explicit(&descriptors.allowed, count, memory_order_relaxed);
}

uint64_t descriptors_clients_of(uint64_t count)
{
    return CLIENTS(count);
}

uint64_t descriptors_for_clients(void)
{
    return descriptors_clients_of(allowed());
}

bool descriptors_are_short(void)
{
    return atomic_load_explicit(&descriptors.taken, memory_order_relaxed) > SHORT(allowed());
}

static bool take(unsigned count, uint64_t most)
{
    uint64_t before = atomic_fetch_add_explicit(&descriptors.taken, count, memory_order_relaxed);
    if (before + count <= most)
        return true;
    descriptors_give(count);
    return false;
}

bool descriptors_take(unsigned count)
{
    return take(count, SHORT(allowed()));
}

bool descriptors_take_last(unsigned count)
{
    return take(count, allowed());
}

void descriptors_take_anyway(unsigned count)
{
    atomic_fetch_add_explicit(&descriptors.taken, count, memory_order_relaxed);
}

void descriptors_give(unsigned count)
{
    uint64_t before = atomic_fetch_sub_explicit(&descriptors.taken, count, memory_order_relaxed);
    assert(before >= count);
}
