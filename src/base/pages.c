/* Pages by mmap. They are never made huge: one key in a table would then hold 2 MiB. Behind them lies a bit
 * for each, of those that are counted. */
#include "base/pages.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/memory.h"

#define PAGE 4096u
#define BITS 64u

static size_t bits_at(size_t size)
{
    return (size + BITS - 1) / BITS * BITS;
}

static size_t words_of(size_t size)
{
    return (size / PAGE + BITS) / BITS;
}

static size_t size_of_all(size_t size)
{
    return bits_at(size) + words_of(size) * sizeof(uint64_t);
}

void *pages_new(size_t size)
{
    /* not reserved: what may never be touched is not held against the machine's memory either */
    void *pages = mmap(NULL, size_of_all(size), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    (void)madvise(pages, size_of_all(size), MADV_NOHUGEPAGE); /* only tunes */
    return pages;
}

static _Atomic uint64_t *bits_of(void *pages, size_t size)
{
    return (_Atomic uint64_t *)(void *)((char *)pages + bits_at(size));
}

void pages_used(void *pages, size_t size, const void *at)
{
    size_t page = (size_t)((const char *)at - (const char *)pages) / PAGE;
    _Atomic uint64_t *word = &bits_of(pages, size)[page / BITS];
    uint64_t bit = (uint64_t)1 << page % BITS;
    if ((atomic_load_explicit(word, memory_order_relaxed) & bit) == 0 &&
        (atomic_fetch_or_explicit(word, bit, memory_order_relaxed) & bit) == 0)
        memory_count_file(PAGE);
}

static size_t count_used(void *pages, size_t size)
{
    const _Atomic uint64_t *bits = bits_of(pages, size);
    size_t count = 0;
    for (size_t i = 0; i < words_of(size); i++)
        count += (size_t)__builtin_popcountll(atomic_load_explicit(&bits[i], memory_order_relaxed));
    return count;
}

void pages_free(void *pages, size_t size)
{
    if (pages == NULL)
        return;
    memory_count_file(-(ptrdiff_t)(count_used(pages, size) * PAGE));
    (void)munmap(pages, size_of_all(size));
}
