/* Per-thread counter cells: one writer each, read anywhere (relaxed atomics), summed when asked. */
#ifndef WEIR_BASE_COUNTERS_H
#define WEIR_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/counter_table.h"

enum counter_id {
#define X(name, kind, help) COUNTER_##name,
    COUNTERS(X)
#undef X
        COUNTER_COUNT
};
enum counter_kind { COUNTER_KIND_COUNTER, COUNTER_KIND_GAUGE };
struct counter_info {
    const char *name;
    enum counter_kind kind;
    const char *help;
};
extern const struct counter_info counter_info[COUNTER_COUNT];

struct counter_cells {
    _Atomic int64_t value[COUNTER_COUNT];
};
/* never NULL: a shared dummy before counters_thread_enter() */
extern _Thread_local struct counter_cells *counter_cells;

/* Makes cells for this thread and registers them; they live to the end of the process. */
void counters_thread_enter(void);
/* Sum over all threads. */
int64_t counter_sum(enum counter_id id);
/* one more exchange ended with this row of the failure table */
void counter_failure(unsigned failure);
int64_t counter_failure_sum(unsigned failure);

/* A plain load and store: this thread is the only writer of its cell, so no read-modify-write is needed. */
static inline void counter_add(enum counter_id id, int64_t by)
{
    _Atomic int64_t *cell = &counter_cells->value[id];
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + by, memory_order_relaxed);
}

#endif
