/* The counter cells of all threads. Printing them is left to who shows them. */
#include "base/counters.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/error.h"

#define FAILURES_AT_MOST 96u /* rows of the failure table, which is known only above this room */

struct counter_page {
    struct counter_cells cells;
    _Atomic int64_t failures[FAILURES_AT_MOST];
    struct counter_page *next;
};

const struct counter_info counter_info[COUNTER_COUNT] = {
#define X(name_, kind_, help_) {.name = #name_, .kind = COUNTER_KIND_##kind_, .help = help_},
    COUNTERS(X)
#undef X
};

/* Threads that never entered share this page: their counts may be lost, but nothing breaks. */
static struct counter_page counter_shared_page;
static _Atomic(struct counter_page *) counter_pages = &counter_shared_page;

_Thread_local struct counter_cells *counter_cells = &counter_shared_page.cells;

static struct counter_page *counter_this_page(void)
{
    return CONTAINER_OF(counter_cells, struct counter_page, cells);
}

void counters_thread_enter(void)
{
    if (counter_cells != &counter_shared_page.cells)
        return;
    /* On cache lines of its own: another thread's counting must not slow this one's. */
    struct counter_page *page = xcalloc_lines(sizeof(struct counter_page));
    page->next = atomic_load(&counter_pages);
    while (!atomic_compare_exchange_weak(&counter_pages, &page->next, page))
        ;
    counter_cells = &page->cells;
}

int64_t counter_sum(enum counter_id id)
{
    int64_t sum = 0;
    for (struct counter_page *page = atomic_load(&counter_pages); page != NULL; page = page->next)
        sum += atomic_load_explicit(&page->cells.value[id], memory_order_relaxed);
    return sum;
}

void counter_failure(unsigned failure)
{
    assert(failure < FAILURES_AT_MOST);
    _Atomic int64_t *cell = &counter_this_page()->failures[failure];
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + 1, memory_order_relaxed);
}

int64_t counter_failure_sum(unsigned failure)
{
    assert(failure < FAILURES_AT_MOST);
    int64_t sum = 0;
    for (struct counter_page *page = atomic_load(&counter_pages); page != NULL; page = page->next)
        sum += atomic_load_explicit(&page->failures[failure], memory_order_relaxed);
    return sum;
}
